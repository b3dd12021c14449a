#!/usr/bin/env bash
# Fuzzes the loader of packed folders: no crash, no allocation beyond 4 MiB for files of some KiB.
#
#   bench/fuzz.sh [SECONDS]      # 600 by default
#
# Needs a nightly Rust and `cargo install cargo-fuzz`. Begins with the folders of every format version that the tests
# keep.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
corpus=fuzz/corpus/packed_folder
mkdir -p "$corpus"
folders=(packed-v2/{dense,smoe}-{f32,int8})
files=(packed.safetensors packed.json config.json SHA256SUMS)
for folder in "${!folders[@]}"; do
  for file in 0 1 2 3; do
    { printf "\\x$(printf %02x $((file * 4 + folder)))"; cat "crates/runtime/tests/${folders[folder]}/${files[file]}"; } >"$corpus/kept-$folder-$file"
  done
done
cargo +nightly fuzz run packed_folder -- -max_total_time="$seconds" -max_len=40000 -malloc_limit_mb=4 -rss_limit_mb=1024
