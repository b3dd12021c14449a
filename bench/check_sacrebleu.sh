#!/bin/sh
# Compares our BLEU, chrF and significance tests with the installed sacreBLEU (pip install 'sacrebleu==2.6.0' 'numpy>=2'
# regex).
#   bench/check_sacrebleu.sh                     generated lines, nasty ones among them
#   bench/check_sacrebleu.sh FILE...             also lines of your own, each file as references
#   bench/check_sacrebleu.sh --record            writes the answers that crates/metrics/tests/sacrebleu.rs checks
# PYTHON names the interpreter.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p strata-mt-metrics --example score
target=${CARGO_TARGET_DIR:-$root/target}
exec "${PYTHON:-python3}" "$root/bench/check_sacrebleu.py" --score "$target/release/examples/score" \
    --fixture "$root/crates/metrics/tests/sacrebleu.json" "$@"
