#!/bin/bash
# Builds the guest image from the packages of the distribution that this runs on. See README.md.
# usage: build.sh OUT.qcow2, or build.sh FOLDER for FOLDER/wisp-guest-VERSION.qcow2
# WISP_GUEST_CACHE is the folder of downloaded packages; with a filled one the network is not used.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VERSION=$(cat "$HERE/VERSION")
CACHE=${WISP_GUEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/wisp/guest-packages}
TIME=1735689600 # every file's time and
FILE_SYSTEM_UUID=57495350-6775-4573-8000-000000000001 # the file system's identity are fixed, so that two builds are alike

say() { echo "guest image: $*"; }
fail() {
  echo "guest image: $*" >&2
  exit 1
}
set_times() { find "$@" -exec touch -h -d "@$TIME" {} +; }

[ $# = 1 ] || fail 'usage: build.sh OUT.qcow2 | build.sh FOLDER'
out=$1
[ ! -d "$out" ] || out=$out/wisp-guest-$VERSION.qcow2

case $(uname -m) in
  x86_64) ARCH=amd64 TRIPLET=x86_64-linux-gnu LOADER=lib64/ld-linux-x86-64.so.2 SERIAL=ttyS0 ;;
  aarch64) ARCH=arm64 TRIPLET=aarch64-linux-gnu LOADER=lib/ld-linux-aarch64.so.1 SERIAL=ttyAMA0 ;;
  *) fail "can be built on x86_64 and aarch64, this machine is $(uname -m): build it elsewhere and copy the file" ;;
esac
DISTRIBUTION=$(. /etc/os-release && echo "${ID:-unknown}-${VERSION_ID:-unknown}")
case $DISTRIBUTION in
  debian-12 | debian-13 | ubuntu-24.04) ;;
  *) fail "is built from the packages of Debian 12, Debian 13 or Ubuntu 24.04; this is $DISTRIBUTION" ;;
esac
missing=
for tool in dpkg-deb:dpkg mke2fs:e2fsprogs qemu-img:qemu-utils; do
  PATH=$PATH:/usr/sbin:/sbin command -v "${tool%:*}" > /dev/null || missing="$missing ${tool#*:}"
done
[ -z "$missing" ] || fail "install what is missing: apt-get install$missing"
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ]; then # the files in the image belong to root
  command -v fakeroot > /dev/null || fail 'run as root, or install fakeroot'
  exec fakeroot "$0" "$@"
fi

mkdir -p "$CACHE" "$(dirname "$out")"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/wisp-guest.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
STAGE=$WORK/stage
ROOT=$WORK/root
mkdir "$WORK/empty" "$STAGE" "$ROOT"
umask 022

. "$HERE/packages.sh"
. "$HERE/root.sh"
. "$HERE/boot.sh"

fetch_packages
unpack_packages "$STAGE"
find_kernel
make_root
copy_modules "$ROOT" $DISK_MODULES $GUEST_MODULES
own_root
make_disk "$WORK/disk.raw"
# zstd, because the BIOS reads the kernel in small pieces and each unpacks a whole cluster: with zlib the guest starts a second later
qemu-img convert -c -f raw -O qcow2 -o compression_type=zstd "$WORK/disk.raw" "$WORK/disk.qcow2"
mv "$WORK/disk.qcow2" "$out.part" # perhaps across file systems, so the rename makes it whole
mv "$out.part" "$out"
say "$out: $(($(stat -c %s "$out") / 1024)) kB, kernel $KERNEL of $DISTRIBUTION, in $SECONDS s"
