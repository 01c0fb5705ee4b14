#!/usr/bin/env bash
# format.sh [--check]: clang-format over every C++ file; with --check changes nothing and fails
# with the list of files that would change.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(scripts/cpp-files.sh)
if [ "${1:-}" != --check ]; then
  printf '%s\0' "${files[@]}" | xargs -0 clang-format -i
  echo "format: ${#files[@]} files formatted"
  exit 0
fi
bad=()
for file in "${files[@]}"; do
  clang-format --dry-run -Werror "$file" >/dev/null 2>&1 || bad+=("$file")
done
if [ ${#bad[@]} -ne 0 ]; then
  printf 'format: %s\n' "${bad[@]}"
  echo "format: ${#bad[@]} of ${#files[@]} files need clang-format; run: make format"
  exit 1
fi
echo "format: ${#files[@]} files are formatted"
