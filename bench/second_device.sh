#!/usr/bin/env bash
# The code is written once for every device: this proves it on one that is not the CPU backend.
# Builds with `wgpu`, then runs the expert block's vectors, the whole-model tests and a short training through Vulkan.
#
#   bench/second_device.sh [DEVICE]     # wgpu by default; any other device is its own Cargo feature, e.g. cuda:0
#
# Without a GPU a software Vulkan does: apt-get install mesa-vulkan-drivers (feature `wgpu`, not `vulkan`, with Mesa 22).
# Takes about 15 minutes on 2 cores, most of it the build; keeps to its own target folder.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${1:-wgpu}
feature=${device%%:*}
export CARGO_TARGET_DIR=target/second-device
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$(mktemp -d)} # Mesa's software driver wants one

STRATA_TEST_DEVICE=$device cargo test --release -p strata-model --features "$feature" --test golden --test transformer -- --nocapture --test-threads 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strata() { cargo run --quiet --release --features "$feature" -- "$@"; }
strata fetch synthetic --languages 2 --pairs 2000 --output "$work/bitext"
strata prepare "$work/bitext" --output "$work/prepared" --vocab-size 1000
for on in cpu "$device"; do
  strata train recipes/quickstart.toml --device "$on" --output "$work/$feature-$on" \
    --set data.prepared="$work/prepared" --set data.tokens_per_batch=500 --set model.d_model=64 --set model.d_ffn=128 \
    --set model.heads=4 --set model.dropout=0.0 --set model.attention_dropout=0.0 --set train.updates=20 --set train.log_every=5 --set train.validate_every=20
done
echo "the losses of both devices must agree to about three digits"
