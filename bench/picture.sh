#!/usr/bin/env bash
# The picture of the README: a screenshot of the server's own page with a translation, in headless Chromium.
#
#   bench/picture.sh MODEL [TEXT] [FROM] [TO]     # writes docs/page.png
#
# The picture in the repository shows recipes/quickstart.toml with model.d_model=128, model.d_ffn=512,
# train.learning_rate=4e-3 and train.updates=1800, on German, French and Norwegian documentation.
#
# Needs Chromium (CHROMIUM names another than /usr/bin/chromium), Node.js and its package playwright-core, which is
# installed into target/picture if it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:?a model folder, such as runs/quickstart}
text=${2:-"Choose the number of rows and columns. Click the icon. Open the document that contains the table."}
from=${3:-en} to=${4:-de}
strata=${STRATA:-target/release/strata}
modules=target/picture/node_modules
[ -d "$modules/playwright-core" ] || npm install --silent --prefix target/picture playwright-core

log=$(mktemp)
"$strata" serve "$model" --preload --port 0 -q >"$log" &
server=$!
trap 'kill $server 2>/dev/null; rm -f "$log"' EXIT
until address=$(grep -o 'http://[0-9.:]*' "$log"); do
  kill -0 $server 2>/dev/null || exit 1 # the server has said why
  sleep 0.1
done
NODE_PATH=$modules node bench/picture.cjs "$address" "$text" "$from" "$to" docs/page.png
