#!/usr/bin/env bash
# Translation speed against CTranslate2 at the same shape (Transformer-base, random weights, fixed lengths), alternately, several
# rounds, with 2 threads: prints each program's best and median tokens per second and the ratio. Then the MoE models, and 8 to 64
# experts at equal active compute, which CTranslate2 has no counterpart of.
#
#   bench/translate.sh [ROUNDS]        # 3 by default
#
# PYTHON names an interpreter that has ctranslate2 and numpy (python3 by default; without the package only Strata is timed).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
python=${PYTHON:-python3}
cargo build --quiet --release
strata=${CARGO_TARGET_DIR:-target}/release/strata
out=$(mktemp)
trap 'rm -f "$out"' EXIT
peer=true
"$python" -c 'import ctranslate2, numpy' 2>/dev/null || { peer=false; echo "no ctranslate2 for $python: Strata alone"; }

field() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" | head -n 1; }
note() { # setting program, a JSON line on standard input
  local line; line=$(cat)
  echo "$1 $2 $(field tokens_per_second <<<"$line") $(field latency_p50_ms <<<"$line")" >>"$out"
}
for ((round = 1; round <= rounds; round++)); do
  for precision in f32 int8; do
    flag=(); [ "$precision" = int8 ] && flag=(--int8)
    for batch in 32 1; do
      setting=dense-$precision-batch-$batch
      "$strata" --threads 2 bench translate --batch $batch --runs 2 "${flag[@]}" | note "$setting" strata
      if $peer; then "$python" bench/peer_ctranslate2.py --batch $batch --runs 2 "${flag[@]}" | note "$setting" ctranslate2; fi
    done
    for strata_of in 8 4,4; do
      "$strata" --threads 2 bench translate --strata $strata_of --batch 32 --runs 2 "${flag[@]}" | note "experts-$strata_of-$precision-batch-32" strata
    done
    for experts in 16 32 64; do
      "$strata" --threads 2 bench translate --strata $experts --batch 32 --runs 2 "${flag[@]}" | note "experts-$experts-$precision-batch-32" strata
    done
  done
done
awk '{
  key = $1; name[key] = 1
  n[key, $2]++; values[key, $2, n[key, $2]] = $3
  if ($3 > best[key, $2]) best[key, $2] = $3
}
function median(key, program,    count, i, j, t, v) {
  count = n[key, program]
  for (i = 1; i <= count; i++) v[i] = values[key, program, i]
  for (i = 1; i <= count; i++) for (j = i + 1; j <= count; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
  return count % 2 ? v[(count + 1) / 2] : (v[count / 2] + v[count / 2 + 1]) / 2
}
END {
  printf "%-30s %10s %10s %12s %12s %8s %8s\n", "tokens per second", "strata", "median", "ctranslate2", "median", "best", "median"
  for (key in name) {
    mine = median(key, "strata")
    if (n[key, "ctranslate2"]) {
      theirs = median(key, "ctranslate2")
      printf "%-30s %10.1f %10.1f %12.1f %12.1f %7.2fx %7.2fx\n", key, best[key, "strata"], mine, best[key, "ctranslate2"], theirs, best[key, "strata"] / best[key, "ctranslate2"], mine / theirs
    } else printf "%-30s %10.1f %10.1f\n", key, best[key, "strata"], mine
  }
}' "$out" | (read -r header; echo "$header"; sort)
