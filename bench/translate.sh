#!/usr/bin/env bash
# Translation speed against CTranslate2, alternately, several rounds, with 2 threads: prints each program's best and
# median and the ratio of each.
#
#   bench/translate.sh [ROUNDS]                            # 3 by default: random weights, fixed lengths
#   bench/translate.sh [ROUNDS] MODEL TEXT LANG            # a dense model folder on a file's lines
#
# Without a model: the Transformer-base shape at batches of 32 and 1, then MoE models of it and 8 to 64 experts at equal
# active compute, which CTranslate2 has no counterpart of, and a PyTorch program for MoE-8 if HF_PEER names one (a
# command that prints JSON lines with tokens_per_second; the first counts). With a model both run the same weights,
# CTranslate2 from our export.
#
# PYTHON names an interpreter (python3 by default); without ctranslate2, numpy and tokenizers in it only Strata is
# timed.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
model=${2:-} text=${3:-} to=${4:-}
python=${PYTHON:-python3}
cargo build --quiet --release
strata=${CARGO_TARGET_DIR:-target}/release/strata
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/figures
peer=true
"$python" -c 'import ctranslate2, numpy' 2>/dev/null || { peer=false; echo "no ctranslate2 for $python: Strata alone"; }

note() { # setting program: takes the figures of a JSON line on standard input
  "$python" -c '
import json, sys
line = json.loads(sys.stdin.readline())
for key in ("tokens_per_second", "text_tokens_per_second", "latency_p50_ms", "latency_p95_ms", "peak_memory_mb"):
    if line.get(key):
        print(sys.argv[1], key, sys.argv[2], line[key])
' "$1" "$2" >>"$out"
}
random_weights() { # precision
  local precision=$1 batch experts flag=()
  [ "$precision" = f32 ] || flag=(--precision "$precision")
  local peer=$peer
  [ "$precision" = bf16 ] && peer=false # CTranslate2 has none on the CPU
  for batch in 32 1; do
    "$strata" --threads 2 bench translate --batch $batch --runs 2 "${flag[@]}" | note "dense-$precision-batch-$batch" strata
    if $peer; then "$python" bench/peer_ctranslate2.py --batch $batch --runs 2 "${flag[@]}" | note "dense-$precision-batch-$batch" peer; fi
  done
  for experts in 8 4,4 16 32 64; do
    "$strata" --threads 2 bench translate --strata $experts --batch 32 --runs 2 "${flag[@]}" | note "experts-$experts-$precision-batch-32" strata
  done
  if [ -n "${HF_PEER:-}" ] && [ "$precision" = f32 ]; then $HF_PEER | { head -n 1; cat >&2; } 2>/dev/null | note experts-8-f32-batch-32 peer; fi
}
of_model() { # precision
  local precision=$1 batch flag=()
  [ "$precision" = f32 ] || flag=(--precision "$precision")
  local peer=$peer
  [ "$precision" = bf16 ] && peer=false # CTranslate2 has none on the CPU
  for batch in 1 32; do
    # One at a time the first hundred lines are enough.
    head -n "$((batch == 1 ? 100 : 1000000))" "$text" >"$work/lines"
    "$strata" --threads 2 bench text "$work/packed-$precision" "$work/lines" --to "$to" --beam 4 --max-length 100 --batch $batch --runs 1 --output "$work/strata" | note "$precision-batch-$batch" strata
    if $peer; then
      "$python" bench/peer_ctranslate2.py --model "$work/ct2" --tokenizer "$work/packed-f32/tokenizer.json" --text "$work/lines" --to "$to" --max-length 100 --batch $batch --runs 1 --output "$work/peer" "${flag[@]}" | note "$precision-batch-$batch" peer
    fi
  done
}
if [ -n "$model" ]; then
  "$strata" -q export "$model" --output "$work/packed-f32"
  for precision in bf16 int8; do
    "$strata" -q export "$model" --precision $precision --output "$work/packed-$precision"
  done
  "$strata" -q export "$model" --format ctranslate2 --output "$work/ct2"
  du -sm "$work"/*/ | awk '{ n = split($2, part, "/"); print part[n - 1] ": " $1 " MB on disk" }'
fi
for ((round = 1; round <= rounds; round++)); do
  for precision in f32 bf16 int8; do
    if [ -n "$model" ]; then of_model $precision; else random_weights $precision; fi
    if [ -n "$model" ] && [ "$round" = 1 ] && [ "$precision" != bf16 ] && $peer; then
      paste -d '\n' "$work/strata" "$work/peer" | awk -v what="$precision" 'NR % 2 { ours = $0; next } { same += ours == $0; all++ } END { print same " of " all " lines have the same translation (" what ")" }'
    fi
  done
done
"$python" - "$out" <<'TABLE'
import collections, statistics, sys
found = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    setting, key, program, value = line.split()
    found[setting, key][program].append(float(value))
print(f"{'':44} {'strata, best':>13} {'median':>8} {'peer, best':>11} {'median':>8} {'ratios':>12}")
for (setting, key), programs in sorted(found.items()):
    more_is_better = key.endswith("per_second")
    best = max if more_is_better else min
    ours, theirs = programs["strata"], programs["peer"]
    if not ours:
        continue
    text = f"{setting + ' ' + key:44} {best(ours):13.1f} {statistics.median(ours):8.1f}"
    if theirs:
        pairs = [(best(ours), best(theirs)), (statistics.median(ours), statistics.median(theirs))]
        ratios = ", ".join(f"{a / b if more_is_better else b / a:.2f}" for a, b in pairs)
        text += f" {best(theirs):11.1f} {statistics.median(theirs):8.1f} {ratios:>12}"
    print(text)
TABLE
