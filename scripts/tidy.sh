#!/usr/bin/env bash
# tidy.sh [PATH...]: clang-tidy with .clang-tidy's checks over the sources below PATH (default: src
# and tools) and the headers they include; not over tests, where most findings are GoogleTest's
# macros. Reads the compile commands of build/release. Any finding is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD_DIR:-build/release}
if [ ! -f "$build/compile_commands.json" ]; then
  echo "tidy: no $build/compile_commands.json; run: make build" >&2
  exit 1
fi
if [ $# -eq 0 ]; then set -- src tools; fi
sources=()
for path in "$@"; do
  mapfile -t -O "${#sources[@]}" sources < <(
    scripts/cpp-files.sh | grep "^${path%/}" | grep '\.cpp$' | grep -v '_test\.cpp$')
done
# GCC-only warning flags would stop clang before it looks at anything.
printf '%s\0' "${sources[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
    --extra-arg=-Wno-unknown-warning-option 2> >(grep -v 'warnings generated' >&2 || true)
echo "tidy: ${#sources[@]} files are clean"
