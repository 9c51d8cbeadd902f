# Which of the distribution's packages go into the guest image, and how they get into the cache and out of it.
# Sourced by build.sh, which sets CACHE (folder of .deb files), WORK (scratch, with an empty folder in it), DISTRIBUTION (debian-12), ARCH (amd64, arm64), say() and fail().

# The tools that run inside the guest, and those that only the build runs.
GUEST_PACKAGES='busybox-static dropbear-bin openssh-sftp-server sudo e2fsprogs util-linux'
case $ARCH in
  amd64) BUILD_PACKAGES='mtools syslinux syslinux-common' ;;
  arm64) BUILD_PACKAGES='mtools systemd-boot-efi' ;;
esac

case $DISTRIBUTION in
  debian-*) KERNEL_PACKAGE=linux-image-cloud-$ARCH ;;
  ubuntu-*) KERNEL_PACKAGE=linux-image-virtual ;;
esac

# first_dependencies PACKAGE...: what the packages depend on, one name a line; of alternatives the first, as apt would choose.
first_dependencies() {
  apt-cache depends "$@" | awk '
    /^ *\|?(Pre)?Depends: / && !alternative && $2 !~ /^</ { print $2 }
    /Depends: / { alternative = /^ *\|/ }'
}

# closure PATTERN PACKAGE...: the packages and, transitively, those of their dependencies whose names match the pattern.
# Names of libraries differ between distributions (libext2fs2, libext2fs2t64), so apt is asked instead of a list kept here.
closure() {
  local pattern=$1 found level
  shift
  found=$(printf '%s\n' "$@")
  level=$found
  while [ -n "$level" ]; do
    level=$(first_dependencies $level | grep -E "$pattern" | sort -u | grep -vxF "$found" || true)
    found=$(printf '%s\n%s' "$found" "$level")
  done
  echo "$found" | sed '/^$/d'
}

# fetch_packages: makes sure that the cache holds every package and sets PACKAGE_FILES to their file names.
# The list of names is kept beside them, so that a build with a filled cache asks neither apt nor the network, and builds the same again.
fetch_packages() {
  local list=$CACHE/$DISTRIBUTION-$ARCH.list names file wanted='' missing=no
  if [ -s "$list" ]; then
    while read -r file; do [ -s "$CACHE/$file" ] || missing=yes; done < "$list"
    if [ $missing = no ]; then
      PACKAGE_FILES=$(cat "$list")
      return
    fi
  fi
  command -v apt-cache > /dev/null || fail "the package cache $CACHE is not filled and there is no apt to fill it: install apt"
  apt-cache show "$KERNEL_PACKAGE" > /dev/null 2>&1 ||
    fail "apt knows no package $KERNEL_PACKAGE: run 'apt-get update', and see that the sources name this distribution's main archive"
  names=$(closure '^(lib|zlib)' $GUEST_PACKAGES; printf '%s\n' $BUILD_PACKAGES; closure '^linux-(image|modules|binary)-[0-9]' "$KERNEL_PACKAGE" | grep -vx "$KERNEL_PACKAGE")
  # apt names the files itself (an epoch's colon becomes %3a): 'address' file size hash. From an empty folder, since it skips files that are there.
  PACKAGE_FILES=$(cd "$WORK/empty" && apt-get -qq --print-uris download $names 2> /dev/null | awk '{ print $2 }' | LC_ALL=C sort -u)
  for file in $PACKAGE_FILES; do [ -s "$CACHE/$file" ] || wanted=$wanted\ ${file%%_*}; done
  if [ -n "$wanted" ]; then
    say "downloading $(echo $wanted | wc -w) packages into $CACHE"
    (cd "$CACHE" && apt-get -o APT::Sandbox::User=root -qq download $wanted) || fail "apt could not download:$wanted"
  fi
  printf '%s\n' $PACKAGE_FILES > "$list"
}

# unpack_packages FOLDER: lays all packages into one tree, in which /bin, /sbin and /lib are links into /usr on every distribution.
unpack_packages() {
  local tree=$1 file folder
  for folder in bin sbin lib lib64; do
    mkdir -p "$tree/usr/$folder"
    ln -s "usr/$folder" "$tree/$folder"
  done
  for file in $PACKAGE_FILES; do
    dpkg-deb --fsys-tarfile "$CACHE/$file" | tar -x -C "$tree" --keep-directory-symlink --no-same-owner ||
      fail "cannot unpack $CACHE/$file: delete it and build again"
  done
}
