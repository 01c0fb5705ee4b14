#!/usr/bin/env bash
# Installs the Debian packages of scripts/debian-packages.txt that are missing; does nothing when
# all are there. Asks for sudo only when something is missing and the caller is not root.
set -euo pipefail
list=$(dirname "$0")/debian-packages.txt
wanted=()
while read -r package program; do
  if [ -n "$program" ] && command -v "$program" >/dev/null; then continue; fi
  wanted+=("$package")
done < <(sed 's/#.*//' "$list" | awk 'NF { print $1, $2 }')

if ! command -v dpkg-query >/dev/null; then
  echo "setup: not a Debian system; make sure that these are installed under their local names:"
  printf '  %s\n' "${wanted[@]}"
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all ${#wanted[@]} packages are installed"
  exit 0
fi

echo "setup: installing ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "setup: run as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y --no-install-recommends "${missing[@]}"
