#!/usr/bin/env bash
# Training steps of Strata and of a peer at the shapes of docs/performance.md, alternately, with 2 threads: prints both programs'
# best and median tokens per second, the ratios, and the peak memory of each.
#
#   PEER='python3 step.py' bench/train_step.sh [ROUNDS] [SHAPES]      # 3 rounds of A B C D F by default
#
# PEER is a program with the flags and JSON keys of `strata bench train-step`, for example one in PyTorch (without it Strata alone is
# timed). Both programs' malloc keeps its pages: Strata tells it so itself, the peer by glibc's variables.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
shapes=${2:-A B C D F}
cargo build --quiet --release
strata=${CARGO_TARGET_DIR:-target}/release/strata
out=$(mktemp)
trap 'rm -f "$out"' EXIT

flags() {
  case $1 in
    A) echo --strata= ;;
    B) echo --strata=4,4 ;;
    C) echo --strata=2,2,2,2 ;;
    D) echo --strata=64 --d-model=256 --d-ffn=1024 --batch=64 ;;
    F) echo --strata=4,12 --layers=2 --d-model=1024 --d-ffn=4096 --heads=16 --vocab=32000 ;;
    *) echo "no shape $1" >&2; return 2 ;;
  esac
}
field() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$json" | head -n 1; }
timed() { # shape program command...
  local shape=$1 program=$2 peak=0 now
  shift 2
  json=$(mktemp)
  "$@" >"$json" &
  # The kernel keeps the highest mark; it is read while the process lives.
  while now=$(awk '/VmHWM/ { print $2 }' "/proc/$!/status" 2>/dev/null) && [ -n "$now" ]; do peak=$now; sleep 0.1; done
  wait $!
  echo "$shape $program $(field tokens_per_second_best) $(field tokens_per_second_median) $peak" >>"$out"
  rm -f "$json"
}
for ((round = 1; round <= rounds; round++)); do
  for shape in $shapes; do
    read -ra of_shape <<<"$(flags "$shape")"
    timed "$shape" strata "$strata" --threads 2 bench train-step "${of_shape[@]}"
    if [ -n "${PEER:-}" ]; then
      read -ra peer <<<"$PEER"
      timed "$shape" peer env MALLOC_TOP_PAD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_MMAP_MAX_=0 \
        "${peer[@]}" --threads 2 "${of_shape[@]}"
    fi
  done
done
sort -s -k1,2 "$out" | awk '
  { key = $1 " " $2; shapes[$1] = 1; n[key]++; medians[key, n[key]] = $4; if ($3 > best[key]) best[key] = $3; if ($5 > peak[key]) peak[key] = $5 }
  function median(key,    count, i, j, t, v) {
    count = n[key]
    for (i = 1; i <= count; i++) v[i] = medians[key, i]
    for (i = 1; i <= count; i++) for (j = i + 1; j <= count; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
    return count % 2 ? v[(count + 1) / 2] : (v[count / 2] + v[count / 2 + 1]) / 2
  }
  END {
    printf "%-6s %18s %18s %14s %20s\n", "shape", "strata best/median", "peer best/median", "ratios", "peak MiB, both"
    for (shape in shapes) {
      s = shape " strata"; p = shape " peer"
      printf "%-6s %9.0f %8.0f", shape, best[s], median(s)
      if (n[p]) printf " %9.0f %8.0f %7.2f %6.2f %9d %9d\n", best[p], median(p), best[s] / best[p], median(s) / median(p), peak[s] / 1024, peak[p] / 1024
      else printf " %40d\n", peak[s] / 1024
    }
  }' | { read -r head; echo "$head"; sort; }
