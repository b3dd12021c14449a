#!/usr/bin/env bash
# What a GPU should show in at most ten minutes, for a machine that is lent: everything is built beforehand, elsewhere.
#
#   bench/gpu.sh prepare [DEVICE]   # vulkan by default, or wgpu, cuda, rocm: builds, and fills target/gpu
#   bench/gpu.sh run                # on the machine with the GPU, from target/gpu at the same path; no compiler needed
#
# `run` tests the expert block's vectors (those of STRATA_GOLDEN too, which `prepare` packs) and the models' gradients
# on the device; times training steps of the shapes A, B and F in f32 and bf16; translates with the Burn model and
# compares the text with the CPU's; and notes the card's memory. PEER names a PyTorch program with the flags of
# `strata bench train-step` (`--device cuda` is added), timed in turn. Figures go to target/gpu/results, a file for each
# part. A part that fails or outlasts its share of the time is noted, and the next one runs.
#
# For a dry run without a GPU: apt-get install mesa-vulkan-drivers, `prepare wgpu`, and STEPS=1 SHAPES=A run.
set -euo pipefail
cd "$(dirname "$0")/.."
kit=target/gpu
limit=$((60 << 20)) # bytes of all programs together, as they have to travel

prepare() {
  local device=${1:-vulkan} feature=${1:-vulkan}
  feature=${feature%%:*}
  export CARGO_TARGET_DIR=target/gpu-build
  rm -rf "$kit"
  mkdir -p "$kit"
  echo "$device" >"$kit/device"
  # The same packages in both, so that the dependencies are built once.
  local packages=(--profile dist -p strata-mt -p strata-mt-model --features "strata-mt/$feature")
  cargo build "${packages[@]}"
  cp "$CARGO_TARGET_DIR/dist/strata" "$kit/strata"
  cargo test "${packages[@]}" --test golden --test gradients --no-run --message-format=json |
    sed -n 's/.*"name":"\(golden\|gradients\)".*"executable":"\([^"]*\)".*/\1 \2/p' |
    while read -r name program; do strip -o "$kit/$name" "$program"; done
  if [ ! -x "$kit/golden" ] || [ ! -x "$kit/gradients" ]; then
    echo "no test programs in $kit" >&2
    return 1
  fi
  if [ -n "${STRATA_GOLDEN:-}" ]; then cp -r "$STRATA_GOLDEN" "$kit/vectors"; fi

  # A model that is just good enough to end its sentences.
  "$kit/strata" -q fetch synthetic --languages 2 --pairs 2000 --output "$kit/bitext"
  "$kit/strata" -q prepare "$kit/bitext" --output "$kit/prepared" --vocab-size 1000
  "$kit/strata" -q train recipes/quickstart.toml --output "$kit/run" --set data.prepared="$kit/prepared" \
    --set train.updates=200 --set train.validate_every=200
  # A language of the test text, and its file on the other side.
  local target source
  target=$(find "$kit/bitext" -name 'test.*' | sort | head -n 1)
  target=${target##*.}
  source=$(find "$kit/bitext" -name "test.*$target*" ! -name "*.$target" | sort | head -n 1)
  echo "$target" >"$kit/language"
  head -n 100 "$source" >"$kit/lines"
  local bytes
  bytes=$(stat -c %s "$kit/strata" "$kit/golden" "$kit/gradients" | awk '{ sum += $1 } END { print sum }')
  echo "programs: $((bytes >> 20)) MiB in $kit"
  if [ "$bytes" -gt "$limit" ]; then
    echo "programs are larger than $((limit >> 20)) MiB" >&2
    return 1
  fi
}

part() { # name seconds command...
  local name=$1 seconds=$2 begun=$SECONDS status=0
  shift 2
  timeout "$seconds" "$@" >"$kit/results/$name" 2>&1 || status=$?
  echo "$name: exit $status, $((SECONDS - begun)) s"
  tail -n 3 "$kit/results/$name" | cut -c 1-400
}

# Notes the card's memory twice a second until it is killed.
watch_memory() {
  while sleep 0.5; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits; done >"$kit/results/memory" 2>/dev/null
}

run() {
  local device strata=$kit/strata steps=${STEPS:-10} shape precision
  device=$(<"$kit/device")
  mkdir -p "$kit/results"
  export STRATA_TEST_DEVICE=$device XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$(mktemp -d)}
  if [ -d "$kit/vectors" ]; then export STRATA_GOLDEN=$PWD/$kit/vectors; fi
  local watcher=
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi | tee "$kit/results/card"
    watch_memory &
    watcher=$!
  fi
  part golden 45 "$kit/golden" --nocapture --test-threads 1
  part gradients 45 "$kit/gradients" --nocapture --test-threads 1
  declare -A flags=([A]="--strata=" [B]="--strata=4,4" [F]="--strata=4,12 --layers=2 --d-model=1024 --d-ffn=4096 --heads=16 --vocab=32000")
  for shape in ${SHAPES:-A B F}; do
    for precision in f32 bf16; do
      local words options
      read -ra words <<<"${flags[$shape]}"
      options=(--steps "$steps" "${words[@]}")
      [ "$precision" = f32 ] || options+=(--bf16)
      part "strata-$shape-$precision" 40 "$strata" bench train-step --device "$device" "${options[@]}"
      # shellcheck disable=SC2086 # a command and its arguments
      if [ -n "${PEER:-}" ]; then part "peer-$shape-$precision" 20 $PEER --device cuda "${options[@]}"; fi
    done
  done
  local to
  to=$(<"$kit/language")
  part translate-cpu 20 "$strata" translate "$kit/run" "$kit/lines" --to "$to" --whole-lines --output "$kit/results/text-cpu"
  part translate-device 40 "$strata" translate "$kit/run" "$kit/lines" --to "$to" --whole-lines --device "$device" --output "$kit/results/text-device"
  if [ -n "$watcher" ]; then
    kill "$watcher"
    sort -n "$kit/results/memory" | tail -n 1 | sed 's/$/ MiB of the card at the most/'
  fi
  # Not all need be the same: equal scores may be ordered by their last bits.
  paste -d '\n' "$kit/results/text-cpu" "$kit/results/text-device" |
    awk 'NR % 2 { cpu = $0; next } { same += cpu == $0; all++ } END { print same + 0 " of " all + 0 " lines as on the CPU" }'
}

case ${1:-} in
  prepare) prepare "${2:-}" ;;
  run) run ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
