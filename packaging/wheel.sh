#!/usr/bin/env bash
# Makes the Python wheel and tries it as those who install it do: in an environment with nothing else, with the package's
# own tests.
#   packaging/wheel.sh OUT [MATURIN OPTIONS]
# With --zig the wheel is linked for the glibc of 2014 and tagged manylinux2014; without, for this machine's glibc.
# STRATA_BINARY names a command line to compare translations with.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check 'maturin[zig]>=1.9,<2' auditwheel twine

# Picked up by pyproject.toml's license-files.
trap 'rm -rf "$work" LICENSE-DEPENDENCIES' EXIT
"$work/tools/bin/python" packaging/dependencies.py python --licenses LICENSE-DEPENDENCIES

# Maturin finds zig by the Python that comes first.
PATH=$work/tools/bin:$PATH maturin build --out "$work" "$@"
wheel=$(echo "$work"/*.whl)
"$work/tools/bin/twine" check --strict "$wheel"
"$work/tools/bin/auditwheel" show "$wheel"

# Until the first translation: of a tiny model, so that it is the package's own time.
python3 -m venv "$work/bare"
started=$(date +%s%N)
"$work/bare/bin/pip" install --quiet --disable-pip-version-check "$wheel"
installed=$(date +%s%N)
first=$(
  cd "$work" && bare/bin/python - "$OLDPWD/crates/runtime/tests/golden/marian-apart" <<'PYTHON'
import sys
import strata_mt
strata_mt.import_model(sys.argv[1], "model", source="en", target="de")
print(strata_mt.Translator("model").translate("The old dog sees the cat.", "de"))
PYTHON
)
translated=$(date +%s%N)
[ -n "$first" ]

STRATA_GOLDEN_MODELS=$PWD/crates/runtime/tests/golden "$work/bare/bin/python" -m unittest discover -s python/tests

cp "$wheel" "$out"
printf '%s: %d bytes; installed in %d ms, first translation %d ms later\n' "$out/$(basename "$wheel")" \
  "$(stat -c %s "$wheel")" $(((installed - started) / 1000000)) $(((translated - installed) / 1000000))
