#!/bin/sh
# The launcher: installs what is missing (Debian packages, saying which and why; Node and libraries by npm), then runs src/main.ts with
# the Node that npm brought. With everything there it is only the last line.
set -eu

# A link to this file may be anywhere; the house is where the file itself is.
here=$(dirname "$(readlink -f "$0")")
command=${1:-help}

say() { printf '%s\n' "$*" >&2; }
refuse() {
  say "wisp: $1"
  exit 1
}

# The lines of a package list that are for this machine, without comments and without what is installed already.
missing() {
  architecture=$(dpkg --print-architecture)
  installed=" $(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | tr '\n' ' ') "
  cat "$@" | while read -r name why; do
    case $name in
      '' | '#'*) continue ;;
      *:"$architecture") name=${name%:*} ;;
      *:*) continue ;;
    esac
    case $installed in
      *" $name "*) ;;
      *) printf '%-26s%s\n' "$name" "$why" ;;
    esac
  done
}

supported() {
  [ -r /etc/os-release ] || refuse 'this system has no /etc/os-release: Wisp runs on Debian 12, Debian 13 and Ubuntu 24.04'
  system=$(. /etc/os-release && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}")
  case $system in
    'debian 12' | 'debian 13' | 'ubuntu 24.04') ;;
    *) refuse "Wisp runs on Debian 12, Debian 13 and Ubuntu 24.04; this is $system. Elsewhere, install by hand what packages/cloud lists, run npm ci, and start node_modules/.bin/node src/main.ts" ;;
  esac
  command -v apt-get > /dev/null || refuse 'apt-get is missing: without it the packages that Wisp needs cannot be installed'
}

install_packages() {
  wanted=$(missing "$@")
  command -v npm > /dev/null || wanted=$(printf '%s\n%-26s%s' "$wanted" npm "brings Node and the libraries that Wisp is written with")
  [ -n "$wanted" ] || return 0
  supported
  say 'Wisp installs these Debian packages (and what they depend on, nothing else):'
  say "$(printf '%s\n' "$wanted" | sed '/^$/d; s/^/  /')"
  names=$(printf '%s\n' "$wanted" | sed '/^$/d; s/ .*//')
  # Where apt knows them already there is no need to ask the network what is new.
  # shellcheck disable=SC2086 # one word a package
  apt-get install --simulate --quiet=2 --no-install-recommends $names > /dev/null 2>&1 || apt-get update --quiet=2
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $names >&2 ||
    refuse 'apt-get could not install them (its own words are above). When that is mended, run the same again'
}

# The stamp is a copy of the lock file that node_modules was made from, written only after npm has finished. Where it differs (someone ran npm
# by hand) npm's own mark still says whether node_modules is as new as the lock file.
install_libraries() {
  stamp=$here/node_modules/.wisp-lock
  mark=$here/node_modules/.package-lock.json
  cmp -s "$here/package-lock.json" "$stamp" && return 0
  if [ -e "$mark" ] && ! [ "$mark" -ot "$here/package-lock.json" ]; then
    cp "$here/package-lock.json" "$stamp"
    return 0
  fi
  say 'Wisp installs Node and its libraries (npm ci) ...'
  (cd "$here" && NODE_OPTIONS="--require \"$here/packages/npm-engine.cjs\"" npm ci --no-audit --no-fund --loglevel=error >&2) || refuse 'npm ci failed (its own words are above). When that is mended, run the same again'
  cp "$here/package-lock.json" "$stamp"
}

# The npm of Debian 12 brings Node without the link to it.
link_node() {
  [ -x "$here/node_modules/.bin/node" ] && return 0
  for node in "$here"/node_modules/node-linux-*/bin/node; do
    if [ -x "$node" ]; then
      mkdir -p "$here/node_modules/.bin"
      ln -sf "../${node#"$here/node_modules/"}" "$here/node_modules/.bin/node"
      return 0
    fi
  done
  refuse 'nothing is installed yet: "wisp up" does that'
}

# What is in packages/python, in a folder that sees Debian's Python libraries, too; npm ci takes it away with the rest. Without it only the
# tests that want it fail.
install_python() {
  folder=$here/node_modules/.python
  cmp -s "$here/packages/python" "$folder/installed" && return 0
  say "Wisp installs more of OpenStack's tests (pip install) ..."
  rm -rf "$folder"
  if /usr/bin/python3 -m venv --system-site-packages "$folder" &&
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$here/packages/python"; then
    cp "$here/packages/python" "$folder/installed"
  else
    say 'pip failed (its own words are above): the tests of identity and image that it should have brought will fail'
  fi
}

case $command in
  up | test | install | join)
    [ "$(id -u)" = 0 ] || refuse "\"wisp $command\" wants root: it starts virtual machines and makes networks. Try: sudo $0 $*"
    # Asking dpkg takes 30 ms; it is asked again only when a list has changed or a package was installed or removed since.
    ready=$here/node_modules/.wisp-packages-$command
    if ! [ "$ready" -nt /var/lib/dpkg/status ] || ! [ "$ready" -nt "$here/packages/cloud" ] || ! [ "$ready" -nt "$here/packages/test" ]; then
      if [ "$command" = test ]; then install_packages "$here/packages/cloud" "$here/packages/test"; else install_packages "$here/packages/cloud"; fi
      install_libraries
      : > "$ready"
    fi
    install_libraries
    if [ "$command" = test ]; then install_python; fi
    ;;
esac
link_node

# Where Node keeps what it made of our TypeScript (see src/main.ts).
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$here/node_modules/.cache/wisp}"
compiled=$NODE_COMPILE_CACHE/compiled
if [ "$command" = up ] && { ! [ -e "$compiled" ] || [ -n "$(find "$here/src" -name '*.ts' -newer "$compiled" -print -quit)" ]; }; then
  if "$here/node_modules/.bin/node" "$here/src/start/compile.ts"; then : > "$compiled"; fi
fi
if [ "$command" = test ]; then
  shift
  exec "$here/node_modules/.bin/node" "$here/test/run.ts" "$@"
fi
exec "$here/node_modules/.bin/node" "$here/src/main.ts" "$@"
