# To be sourced: npm packages for a test, pinned with their hashes and kept in build/NAME.
# No package's own script is run.

# install_npm_packages NAME FOLDER SIZE: makes build/NAME hold the packages of FOLDER's
# package-lock.json and a copy of FOLDER's scripts (they look for packages beside themselves), and
# sets npm_home to it. Ends the program with 77 and a sentence when npm or its registry cannot be
# had; that is no verdict on what is tested. SIZE says what is fetched, for people.
install_npm_packages() {
  local name=$1 folder=$2 size=$3 wanted
  npm_home=$source/build/$name
  skip() {
    echo "$name: SKIPPED, nothing was checked: $*"
    exit 77
  }
  if [ "$(uname -sm)" != "Linux x86_64" ]; then
    skip "the packages are for Linux on x86-64, this is $(uname -sm)"
  fi
  if ! command -v npm >/dev/null; then skip "there is no npm (make setup installs it)"; fi
  mkdir -p "$npm_home"
  exec 9>"$npm_home/lock" # several build folders share the packages
  flock 9
  wanted=$(cat "$folder"/package*.json | sha256sum)
  if [ "$wanted" != "$(cat "$npm_home/installed" 2>/dev/null)" ]; then
    rm -rf "$npm_home/installed" "$npm_home/node_modules"
    cp "$folder"/package*.json "$npm_home"
    echo "$name: installing npm packages into build/$name ($size to fetch, once)"
    if ! (cd "$npm_home" && npm ci --ignore-scripts --omit=optional --omit=peer --no-audit --no-fund \
      --prefer-offline --fetch-retries=1 --fetch-retry-mintimeout=1000 --loglevel=error \
      >install.log 2>&1); then
      # A registry that cannot be reached is one thing; anything else is a mistake.
      if grep -qE 'code (E(NOTFOUND|AI_AGAIN|CONN(REFUSED|RESET)|TIMEDOUT|NETUNREACH|HOSTUNREACH|NOTCACHED|5[0-9]{2})|(ERR_)?SOCKET_TIMEOUT|FETCH_ERROR)' "$npm_home/install.log"; then
        skip "the npm registry cannot be reached ($(grep -m 1 -oE 'code [A-Z0-9_]+' "$npm_home/install.log"))"
      fi
      cat "$npm_home/install.log" >&2
      echo "$name: npm could not install the packages; see above" >&2
      exit 1
    fi
    echo "$wanted" >"$npm_home/installed"
  fi
  cp "$folder"/*.mjs "$npm_home"
  flock -u 9
}
