# Lays out the guest's root file system. Sourced by build.sh, which sets HERE, STAGE (the unpacked packages), ROOT (the result), VERSION, TRIPLET, LOADER and SERIAL (of the architecture), fail().

# programs taken from packages other than busybox, as they lie in the stage
PROGRAMS='usr/sbin/dropbear usr/bin/dropbearkey usr/bin/dbclient usr/lib/openssh/sftp-server usr/bin/sudo usr/libexec/sudo/sudoers.so
  usr/sbin/mke2fs usr/sbin/e2fsck usr/sbin/resize2fs usr/sbin/blkid usr/bin/lsblk'

# libraries_of FILE...: those that the loader would load for them, from the stage. The stage's own loader is asked: it is the host's
# distribution and architecture, so it runs here.
libraries_of() {
  local file loader=$STAGE/$LOADER
  for file in "$@"; do
    env -u LD_PRELOAD "$loader" --library-path "$STAGE/lib/$TRIPLET:$STAGE/usr/libexec/sudo" --list "$file" || fail "cannot tell the libraries of $file"
  done | awk '/not found/ { print "missing:" $1 } $3 ~ /^\// { print $3 }' | sort -u
}

# make_root: everything but kernel modules
make_root() {
  local folder program library applet name libraries
  for folder in usr/bin usr/sbin usr/lib/$TRIPLET/security usr/lib/modules usr/lib64 etc/dropbear dev proc sys run mnt media root home/cirros var/lib var/log var/cache; do
    mkdir -p "$ROOT/$folder"
  done
  for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$ROOT/$folder"; done
  mkdir -m 1777 "$ROOT/tmp" "$ROOT/var/tmp"
  ln -s /run "$ROOT/var/run"
  ln -s /proc/self/mounts "$ROOT/etc/mtab"

  for program in $PROGRAMS; do install -D -m 755 "$STAGE/$program" "$ROOT/$program"; done
  cp "$STAGE/bin/busybox" "$ROOT/bin/busybox"
  for applet in $("$STAGE/bin/busybox" --list); do
    case $applet in
      busybox | linuxrc | dpkg | dpkg-deb | rpm | rpm2cpio | acpid) continue ;;
    esac
    [ -e "$ROOT/usr/bin/$applet" ] || [ -e "$ROOT/usr/sbin/$applet" ] || ln -s busybox "$ROOT/usr/bin/$applet"
  done
  for name in init getty poweroff reboot halt ip modprobe udhcpc; do ln -s ../bin/busybox "$ROOT/usr/sbin/$name"; done # their customary place
  for name in mkfs.ext2 mkfs.ext3 mkfs.ext4; do ln -s mke2fs "$ROOT/usr/sbin/$name"; done
  for name in fsck.ext2 fsck.ext3 fsck.ext4; do ln -s e2fsck "$ROOT/usr/sbin/$name"; done
  # a command that SSH runs has no sbin in its PATH
  for name in mke2fs mkfs.ext2 mkfs.ext3 mkfs.ext4 e2fsck resize2fs blkid; do ln -s "../sbin/$name" "$ROOT/usr/bin/$name"; done
  ln -s dbclient "$ROOT/usr/bin/ssh"
  ln -s openssh/sftp-server "$ROOT/usr/lib/sftp-server"
  cp "$STAGE/etc/mke2fs.conf" "$ROOT/etc/"

  install -m 644 "$STAGE/lib/$TRIPLET/security/pam_permit.so" "$ROOT/lib/$TRIPLET/security/"
  libraries=$(libraries_of $(for program in $PROGRAMS lib/$TRIPLET/security/pam_permit.so; do echo "$STAGE/$program"; done))
  for library in $libraries; do
    case $library in
      missing:*) fail "no package in the cache has the library ${library#missing:}: delete the cache's .list file and build again" ;;
      */sudo/*) install -m 644 "$library" "$ROOT/usr/libexec/sudo/" ;;
      *) install -m 644 "$library" "$ROOT/lib/$TRIPLET/" ;;
    esac
  done
  install -m 755 "$STAGE/$LOADER" "$ROOT/${LOADER%/*}/"

  cp -R "$HERE/root/." "$ROOT/"
  sed -i "s/ttyS0/$SERIAL/g" "$ROOT/etc/inittab"
  cat > "$ROOT/etc/os-release" <<-END
	NAME="Wisp guest"
	ID=wisp-guest
	ID_LIKE="cirros debian"
	VERSION_ID="$VERSION"
	PRETTY_NAME="Wisp guest $VERSION (made of $DISTRIBUTION)"
	END
}

# own_root: owners and modes that neither Git nor cp keep
own_root() {
  chown -R 0:0 "$ROOT"
  chown -R 1000:1000 "$ROOT/home/cirros"
  chmod 600 "$ROOT/etc/shadow"
  chmod 440 "$ROOT/etc/sudoers"
  chmod 700 "$ROOT/root" "$ROOT/etc/dropbear"
  # busybox keeps root's rights for the applets that want them (ping, su) and drops them for all others
  chmod 4755 "$ROOT/usr/bin/sudo" "$ROOT/usr/bin/busybox"
}
