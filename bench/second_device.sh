#!/usr/bin/env bash
# The code is written once for every device: this proves it on one that is not the CPU backend. Builds with `wgpu`, then
# runs the expert block's vectors and the whole-model tests on it, and the same short training on the CPU and on it,
# whose losses must agree to half a per cent.
#
#   bench/second_device.sh [DEVICE]     # wgpu by default; any other device is its own Cargo feature, e.g. cuda:0
#
# Without a GPU a software Vulkan does: apt-get install mesa-vulkan-drivers (feature `wgpu`, not `vulkan`, with Mesa
# 22). Takes about 20 minutes on 2 cores, most of it the build; keeps to its own target folder.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${1:-wgpu}
feature=${device%%:*}
export CARGO_TARGET_DIR=target/second-device
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$(mktemp -d)} # Mesa's software driver wants one

# The same packages in both, so that the dependencies are built once.
packages=(--release -p strata-mt -p strata-mt-model --features "strata-mt/$feature")
cargo build "${packages[@]}"
STRATA_TEST_DEVICE=$device cargo test "${packages[@]}" --test golden --test transformer --test gradients -- --nocapture --test-threads 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strata=$CARGO_TARGET_DIR/release/strata
"$strata" fetch synthetic --languages 2 --pairs 2000 --output "$work/bitext"
"$strata" prepare "$work/bitext" --output "$work/prepared" --vocab-size 1000
losses=()
for on in cpu "$device"; do
  "$strata" train recipes/quickstart.toml --device "$on" --output "$work/on-$on" --json \
    --set data.prepared="$work/prepared" --set data.tokens_per_batch=500 --set model.d_model=64 --set model.d_ffn=128 \
    --set model.heads=4 --set model.dropout=0.0 --set model.attention_dropout=0.0 --set train.updates=20 --set train.log_every=5 \
    --set train.validate_every=20 | tee "$work/summary.json"
  losses+=("$(sed -n 's/.*"best_loss": \([0-9.]*\).*/\1/p' "$work/summary.json")")
done
awk -v cpu="${losses[0]}" -v other="${losses[1]}" -v name="$device" 'BEGIN {
  difference = (other - cpu) / cpu
  printf "validation loss: cpu %.5f, %s %.5f, difference %+.4f %%\n", cpu, name, other, 100 * difference
  exit (difference > 0.005 || difference < -0.005)
}'
