#!/usr/bin/env bash
# configure.sh PRESET: configures build/PRESET, through ccache where it is installed. CMake's own
# report is shown only when it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
launcher=()
if command -v ccache >/dev/null; then  # told what it must know about precompiled headers
  launcher=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache")
fi
mkdir -p build
echo "configure: build/$preset"
if ! cmake --preset "$preset" "${launcher[@]}" >"build/$preset.configure.log" 2>&1; then
  cat "build/$preset.configure.log" >&2
  exit 1
fi
