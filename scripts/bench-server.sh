#!/usr/bin/env bash
# bench-server.sh [PROGRAM [ENGINE_ALONE]]: load, disconnects and overhead of the running server on
# the tiny model, each for DURATION seconds (default 60); docs/benchmarking.md has the protocol.
# ONLY=load, faults or overhead runs one of them. Status 1: a goal was missed.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
export FORETOKEN_PROGRAM=${1:-$source/build/release/foretoken}
export FORETOKEN_ENGINE_ALONE=${2:-$source/build/bench/bench/engine_alone}
export FORETOKEN_MODEL=$source/models/tiny/tiny-paw-BF16.gguf
ulimit -n "$(ulimit -H -n)"
failed=0
for name in ${ONLY:-overhead load faults}; do
  echo "--- $name"
  node "$source/bench/server/$name.mjs" || failed=1
done
exit $failed
