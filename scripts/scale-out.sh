#!/usr/bin/env bash
# scale-out.sh [PROGRAM]: three replicas behind HAProxy on loopback; see tests/scale_out/main.mjs.
# Status 0: all held; 1: something did not; 77: haproxy or node is missing, and the last line says so.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$source/build/release/foretoken}
for tool in haproxy node; do
  if ! PATH=$PATH:/usr/sbin command -v $tool >/dev/null; then
    echo "scale-out: SKIPPED, nothing was checked: there is no $tool (make setup installs it)"
    exit 77
  fi
done
PATH=$PATH:/usr/sbin node "$source/tests/scale_out/main.mjs" "$source" "$program"
