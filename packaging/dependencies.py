#!/usr/bin/env python3
"""What a crate of the workspace is built from: the licenses of its dependencies, and a bill of materials (CycloneDX).

    packaging/dependencies.py cli --licenses LICENSES.txt --sbom strata.cdx.json [CARGO OPTIONS]

Further options, such as --no-default-features, go to Cargo. Needs Python's cyclonedx-python-lib for --sbom.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LICENSE_FILES = re.compile(r"(licen[cs]e|copying|notice|unlicense|copyright)", re.IGNORECASE)


def cargo(command, manifest, options):
    """What a command of Cargo's says about the package of `manifest`, built with `options` for this machine."""
    command = ["cargo", *command, "--locked", "--manifest-path", str(manifest), *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(crate, options):
    """The id of the package in the folder `crate`, the packages that become part of it, and the ids that each of them
    builds on. Tests and build scripts use more, which is not shipped; `cargo metadata` has yet more, for features that
    nobody chose."""
    manifest = ROOT / "crates" / crate / "Cargo.toml"
    tree = cargo(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"], manifest, options)
    shipped = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    described = json.loads(cargo(["metadata", "--format-version", "1"], manifest, options))
    packages = {
        one["id"]: one for one in described["packages"] if (one["name"], f"v{one['version']}") in shipped
    }
    if len(packages) != len(shipped):
        sys.exit(f"cargo tree names {len(shipped)} packages, of which cargo metadata knows {len(packages)}")
    builds_on = {
        node["id"]: [one["pkg"] for one in node["deps"] if one["pkg"] in packages]
        for node in described["resolve"]["nodes"]
        if node["id"] in packages
    }
    [root] = [id for id, one in packages.items() if one["manifest_path"] == str(manifest)]
    return root, sorted(packages.values(), key=lambda one: (one["name"], one["version"])), builds_on


def is_ours(package):
    return package["source"] is None


def texts(package):
    """The license files in a package's sources."""
    folder = Path(package["manifest_path"]).parent
    named = [folder / package["license_file"]] if package["license_file"] else []
    found = sorted(path for path in folder.iterdir() if path.is_file() and LICENSE_FILES.match(path.name))
    return [path.read_text(errors="replace").strip() for path in dict.fromkeys([*named, *found])]


def write_licenses(path, packages):
    """Every license text once, after the names of those that come under it."""
    by_text, without = {}, []
    for package in filter(lambda package: not is_ours(package), packages):
        name = f"{package['name']} {package['version']} ({package['license'] or 'see its file'})"
        found = texts(package)
        for text in found:
            # The same text, broken into other lines, is the same license.
            by_text.setdefault(" ".join(text.split()), (text, []))[1].append(name)
        if not found:
            without.append(name)
    line = "=" * 80
    parts = ["The program holds code of the packages below, under these licenses."]
    for text, names in sorted(by_text.values(), key=lambda entry: (-len(entry[1]), entry[1])):
        parts.append("\n".join([line, *names, line, "", text]))
    if without:
        parts.append("\n".join([line, "Named license, no file with its text:", *without]))
    path.write_text("\n\n".join(parts) + "\n")
    return len(by_text), len(without)


def write_sbom(path, root, packages, builds_on):
    """A CycloneDX bill of materials, checked against its schema."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType, XsUri, ExternalReference, ExternalReferenceType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL

    sums = checksums()
    licenses = LicenseFactory()
    components = {}
    for package in packages:
        name, version = package["name"], package["version"]
        key = (name, version)
        components[package["id"]] = Component(
            type=ComponentType.APPLICATION if package["id"] == root else ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=f"{name}@{version}",
            description=(package["description"] or "").strip() or None,
            licenses=[licenses.make_from_string(package["license"].replace("/", " OR "))] if package["license"] else [],
            purl=None if is_ours(package) else PackageURL("cargo", None, name, version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sums[key])] if key in sums else [],
            external_references=[ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(package["repository"]))]
            if package["repository"]
            else [],
        )
    bom = Bom(components=[component for one, component in components.items() if one != root])
    bom.metadata.component = components[root]
    for one, used in builds_on.items():
        bom.register_dependency(components[one], [components[other] for other in used])
    # The same packages give the same file.
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), timezone.utc)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, " ".join(sorted(one.bom_ref.value for one in components.values())))
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"{path}: not CycloneDX 1.6: {error}")
    path.write_text(text + "\n")


def checksums():
    """The SHA-256 of each package's archive, as Cargo.lock has it."""
    lock = (ROOT / "Cargo.lock").read_text()
    entry = re.compile(r'name = "(.*)"\nversion = "(.*)"\nsource = .*\nchecksum = "(.*)"')
    return {(name, version): sum for name, version, sum in entry.findall(lock)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("crate")
    parser.add_argument("--licenses", type=Path, metavar="FILE")
    parser.add_argument("--sbom", type=Path, metavar="FILE")
    arguments, options = parser.parse_known_args()
    root, packages, builds_on = linked(arguments.crate, options)
    if arguments.licenses:
        texts, without = write_licenses(arguments.licenses, packages)
        others = sum(not is_ours(package) for package in packages)
        print(f"{arguments.licenses}: {others} packages, {texts} texts; {without} packages have none")
    if arguments.sbom:
        write_sbom(arguments.sbom, root, packages, builds_on)
        print(f"{arguments.sbom}: {len(packages)} packages")


if __name__ == "__main__":
    main()
