#!/usr/bin/env bash
# fuzz.sh [TARGET...]: runs every fuzz target (or those named) of build/fuzz for FUZZ_SECONDS
# (default 60), all at once. Seeds are fuzz/corpus/NAME; what a run learns
# goes to build/fuzz/corpus/NAME, a crash to build/fuzz/crashes/NAME-*. Fails when any target does.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
build=build/fuzz
mkdir -p $build/crashes $build/logs

fuzz_one() {
  local target=$1 name=${1%_fuzz} status=0
  mkdir -p "$build/corpus/$name"
  local seeds=()
  if [ -d "fuzz/corpus/$name" ]; then seeds=("fuzz/corpus/$name"); fi
  "$build/fuzz/$target" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 \
    -artifact_prefix="$build/crashes/$name-" "$build/corpus/$name" "${seeds[@]}" \
    >"$build/logs/$name.log" 2>&1 || status=$?
  if [ $status -eq 0 ]; then
    echo "fuzz: $name passed, $(grep -o 'Done [0-9]* runs' "$build/logs/$name.log" || echo no summary)"
  else
    echo "fuzz: $name FAILED (status $status); the end of $build/logs/$name.log:"
    tail -n 25 "$build/logs/$name.log"
  fi
  return $status
}
export -f fuzz_one
export seconds build

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in fuzz/*_fuzz.cpp; do
    if [ -f "$source" ]; then targets+=("$(basename "$source" .cpp)"); fi
  done
fi
if [ ${#targets[@]} -eq 0 ]; then
  echo "fuzz: there are no targets" >&2
  exit 1
fi
echo "fuzz: ${#targets[@]} targets, $seconds s each, all at once"
printf '%s\0' "${targets[@]}" |
  xargs -0 -P "${#targets[@]}" -I{} bash -c 'fuzz_one "$1" || exit 1' _ {}
echo "fuzz: ${#targets[@]} targets passed"
