#!/usr/bin/env bash
# Makes all that a release consists of, for the machine that it runs on:
#   packaging/release.sh OUT [PART...]
# Parts, all by default: tarball, inference, deb, wheel, source, image. Then OUT/SHA256SUMS. Needs Rust, a C compiler and
# Python; for the .deb debhelper, for the image buildah or podman.
#   STRATA_URL   where the files will be published, for the Homebrew formula
#   DEBEMAIL     the address of those who answer for the .deb
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(tarball inference deb wheel source image)

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
target=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-target}/dist/strata
# The time of the last commit, so that archives of equal files are equal.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
maintainer="The Strata developers <${DEBEMAIL:-strata@localhost}>"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wanted() { [[ " ${parts[*]} " == *" $1 "* ]]; }

# archive NAME: packs the folder $work/NAME.
archive() {
  tar --directory "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - "$1" |
    gzip -n -9 >"$out/$1.tar.gz"
}

# program FOLDER [CARGO OPTIONS]: the stripped program, and all that lies beside it in a package.
program() {
  local folder=$1
  shift
  cargo build --profile dist --locked --package strata-mt "$@"
  mkdir -p "$folder"/completions/{bash,zsh,fish}
  install -m 755 "$built" "$folder/strata"
  "$folder/strata" generate completions bash >"$folder/completions/bash/strata"
  "$folder/strata" generate completions zsh >"$folder/completions/zsh/_strata"
  "$folder/strata" generate completions fish >"$folder/completions/fish/strata.fish"
  "$folder/strata" --quiet generate man --output "$folder/man"
  cp LICENSE README.md CHANGELOG.md deploy/strata.service "$folder"
  "$work/python/bin/python" packaging/dependencies.py cli "$@" \
    --licenses "$folder/LICENSE-DEPENDENCIES" --sbom "$folder/strata.cdx.json"
}

deb() {
  local staged=$work/deb/strata-mt-$version
  mkdir -p "$staged/debian"
  cp -r "$1"/. "$staged"
  cp -r packaging/debian/. "$staged/debian"
  sed -i "s|^Maintainer:.*|Maintainer: $maintainer|" "$staged/debian/control"
  sed 's|/usr/local/bin/strata|/usr/bin/strata|' deploy/strata.service >"$staged/debian/strata-mt.strata.service"
  cat >"$staged/debian/changelog" <<CHANGELOG
strata-mt ($version-1) unstable; urgency=medium

  * Release $version; changelog.gz beside this file says what is new.

 -- $maintainer  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
CHANGELOG
  (cd "$staged" && dpkg-buildpackage --build=binary --no-sign)
  mv "$work"/deb/*.deb "$out"
}

# The inference-only program on Debian's base image.
image() {
  local tool
  tool=$(command -v buildah || command -v podman) || { echo 'no buildah and no podman: no image'; return; }
  "$tool" build --file deploy/Containerfile --tag "strata:$version" .
  "$tool" push "strata:$version" "oci-archive:$out/strata-$version-image.tar:strata:$version"
}

python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet --disable-pip-version-check 'cyclonedx-python-lib[json-validation]>=11,<12'

if wanted tarball || wanted deb; then
  full=strata-$version-$target
  program "$work/$full"
  ! wanted tarball || archive "$full"
  ! wanted deb || deb "$work/$full"
fi
if wanted inference; then
  program "$work/strata-inference-$version-$target" --no-default-features
  archive "strata-inference-$version-$target"
fi
if wanted source; then
  git archive --format=tar --prefix="strata-$version/" HEAD | gzip -n -9 >"$out/strata-$version.tar.gz"
  sum=$(sha256sum "$out/strata-$version.tar.gz")
  sed -e "s|@URL@|${STRATA_URL:-file://$out}|; s|@VERSION@|$version|; s|@SHA256@|${sum%% *}|" packaging/strata.rb.in >"$out/strata.rb"
fi
! wanted wheel || packaging/wheel.sh "$out" --zig
! wanted image || image

(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf "%P\n" | sort | xargs sha256sum) >"$work/sums"
mv "$work/sums" "$out/SHA256SUMS"
cat "$out/SHA256SUMS"
