#!/usr/bin/env bash
# server-tests.sh [PROGRAM]: the running server held to what clients of llama-server rely on, and to
# what it promises itself; see tests/server. FAULT_SECONDS says how long clients misbehave.
# Status 0: all held; 1: something did not; 77: there is no Node.js, and the last line says so.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$source/build/release/foretoken}
if ! command -v node >/dev/null; then
  echo "server: SKIPPED, nothing was checked: there is no node (make setup installs it)"
  exit 77
fi

# Every file is a program of its own. The one that only waits runs beside the others.
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0
finish() { # NAME STATUS
  grep -E '^# (tests|pass|fail) |^ℹ (tests|pass|fail) ' "$logs/$1" | tr '\n' ' ' || true
  echo "$1"
  if [ "$2" != 0 ]; then
    cat "$logs/$1"
    failed=1
  fi
}
run() { FORETOKEN_PROGRAM=$program node "$source/tests/server/$1.test.mjs" >"$logs/$1" 2>&1; }
run faults &
faults=$!
for file in "$source"/tests/server/*.test.mjs; do
  name=$(basename "$file" .test.mjs)
  [ "$name" != faults ] || continue
  status=0
  run "$name" || status=$?
  finish "$name" $status
done
status=0
wait $faults || status=$?
finish faults $status
exit $failed
