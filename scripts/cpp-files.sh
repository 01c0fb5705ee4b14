#!/usr/bin/env bash
# Lists the project's own C++ files, relative to the top: what `make format` and `make tidy` read.
set -euo pipefail
cd "$(dirname "$0")/.."
find src tools tests bench fuzz -type f \( -name '*.h' -o -name '*.cpp' \) | sort
