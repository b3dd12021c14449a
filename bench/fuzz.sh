#!/usr/bin/env bash
# Fuzzes every parser of files that come from others: no crash, no allocation beyond 64 MiB for files of some KiB.
#
#   bench/fuzz.sh [SECONDS] [PARSER...]      # 60 seconds for each of all parsers by default
#
# Needs a nightly Rust and `cargo install cargo-fuzz`. The parsers are those of crates/hostile, whose test gives them
# mutations of the same seeds without cargo-fuzz. What is found lies in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
names=$(cargo run --quiet --release --package strata-mt-hostile --example seeds fuzz/corpus)
for parser in ${*:2}; do
  grep -qx "$parser" <<<"$names" || { echo "$parser is none of the parsers:" $names >&2; exit 2; }
done
for parser in ${*:2}; do chosen+=" $parser"; done
for parser in ${chosen:-$names}; do
  STRATA_FUZZ=$parser cargo +nightly fuzz run parsers "fuzz/corpus/$parser" -- \
    -max_total_time="$seconds" -max_len=65536 -malloc_limit_mb=64 -rss_limit_mb=1024
done
