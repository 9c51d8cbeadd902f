# The kernel's modules, the initial RAM disk and the disk with its boot loader. Sourced by build.sh, which sets HERE, STAGE, ROOT, WORK, ARCH, SERIAL, fail().

# What the initial RAM disk needs to find the disk, and what the guest's drivers and file systems need. A kernel may have some of them built in.
DISK_MODULES='virtio_pci virtio_blk virtio_scsi sd_mod ata_piix ahci nvme crc32c_generic crc32c_intel ext4'
GUEST_MODULES='virtio_net virtio_rng virtio_balloon virtio_console button evdev sr_mod isofs vfat nls_ascii nls_cp437 nls_iso8859_1 nls_utf8
  8021q e1000 8139cp loop'
INITRAMFS_APPLETS='sh mount modprobe findfs usleep printf dd blockdev switch_root basename dirname readlink'

# module_file NAME: the path of the module below lib/modules/KERNEL, or nothing. A name's dashes and underscores are the same.
module_file() { awk -v name="$1" -F / '{ stem = $NF; sub(/\.ko.*/, "", stem); gsub(/-/, "_", stem); if (stem == name) { print; exit } }' "$WORK/modules"; }

# copy_modules FOLDER NAME...: the modules, decompressed, and those that they depend on (of which each names its own)
copy_modules() {
  local tree=$1/lib/modules/$KERNEL queue name file target
  shift
  queue=$*
  while [ -n "$queue" ]; do
    set -- $queue
    name=$1
    shift
    queue=$*
    file=$(module_file "$name")
    [ -n "$file" ] || continue
    target=$tree/${file%%.ko*}.ko
    [ ! -e "$target" ] || continue
    mkdir -p "${target%/*}"
    case $file in
      *.ko) cp "$STAGE/lib/modules/$KERNEL/$file" "$target" ;;
      *.ko.xz) "$STAGE/bin/busybox" xzcat "$STAGE/lib/modules/$KERNEL/$file" > "$target" ;;
      *.ko.zst) zstd -dcq "$STAGE/lib/modules/$KERNEL/$file" > "$target" ;;
    esac
    queue="$queue $(tr '\0' '\n' < "$target" | sed -n 's/^depends=//p' | tr ',-' ' _')"
  done
  cp "$STAGE/lib/modules/$KERNEL"/modules.{order,builtin} "$tree/"
  "$STAGE/bin/busybox" depmod -b "${tree%/lib/modules/*}" "$KERNEL"
}

# find_kernel: sets KERNEL (its version) and lists its modules
find_kernel() {
  KERNEL=$(cd "$STAGE/boot" && echo vmlinuz-*)
  KERNEL=${KERNEL#vmlinuz-}
  case $KERNEL in *' '* | '*') fail "the packages hold no kernel, or several: $KERNEL" ;; esac
  (cd "$STAGE/lib/modules/$KERNEL" && find . -name '*.ko*' | sed 's,^\./,,' | LC_ALL=C sort) > "$WORK/modules"
  ! grep -q '\.zst$' "$WORK/modules" || command -v zstd > /dev/null || fail 'the kernel has compressed modules: install zstd'
}

# make_initramfs FILE: busybox, the disk's drivers and our init, lightly compressed: it is read by the BIOS, unpacked perhaps by an emulated processor
make_initramfs() {
  local tree=$WORK/initramfs applet folder
  for folder in bin usr/lib dev proc sys root; do mkdir -p "$tree/$folder"; done
  ln -s usr/lib "$tree/lib"
  cp "$STAGE/bin/busybox" "$tree/bin/"
  for applet in $INITRAMFS_APPLETS; do ln -s busybox "$tree/bin/$applet"; done
  copy_modules "$tree" $DISK_MODULES
  install -m 755 "$HERE/initramfs/init" "$tree/init"
  set_times "$tree"
  (cd "$tree" && find . | LC_ALL=C sort | "$STAGE/bin/busybox" cpio -o -H newc -R 0:0 --renumber-inodes --ignore-devno 2> "$WORK/cpio.log") | gzip -1 -n > "$1" ||
    fail "cannot make the initial RAM disk: $(cat "$WORK/cpio.log")"
}

# little_endian NUMBER: its four bytes as escapes for printf
little_endian() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }

# partition NUMBER FLAG TYPE START SIZE FILE: writes an entry of the partition table, in sectors; the old cylinder fields say "see the sectors"
partition() {
  printf "\\x$2\\xfe\\xff\\xff\\x$3\\xfe\\xff\\xff$(little_endian "$4")$(little_endian "$5")" |
    dd of="$6" bs=1 seek=$((446 + 16 * ($1 - 1))) conv=notrunc status=none
}

# make_disk FILE: a raw disk with a FAT partition that the machine boots from, made without mounting anything, and, last so that it can grow,
# the root file system.
make_disk() {
  local disk=$1 boot_start=2048 boot_mb root_mb=44 root_start
  make_initramfs "$WORK/initrd"
  cp "$STAGE/boot/vmlinuz-$KERNEL" "$WORK/vmlinuz"
  boot_mb=$((($(stat -c %s "$WORK/vmlinuz") + $(stat -c %s "$WORK/initrd")) / 1048576 + 2))
  root_start=$((boot_start + boot_mb * 2048))
  truncate -s $((1 + boot_mb + root_mb))M "$disk"
  partition 2 00 83 $root_start $((root_mb * 2048)) "$disk"
  printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
  make_boot_partition_$ARCH "$disk" $boot_start $boot_mb || fail 'cannot make the boot partition'

  set_times "$ROOT"
  E2FSPROGS_FAKE_TIME=$TIME mke2fs -q -F -t ext4 -b 4096 -m 0 -L wisp-root -U "$FILE_SYSTEM_UUID" -J size=4 \
    -E "lazy_itable_init=0,hash_seed=$FILE_SYSTEM_UUID,offset=$((root_start * 512))" -d "$ROOT" "$disk" $((root_mb * 1024))k ||
    fail 'cannot make the root file system'
}

KERNEL_OPTIONS='loglevel=4 mitigations=off nokaslr cryptomgr.notests panic=5'
export MTOOLS_SKIP_CHECK=1 SOURCE_DATE_EPOCH=$TIME

# A PC: SYSLINUX, which is twice as fast as GRUB on an emulated processor.
make_boot_partition_amd64() {
  local disk=$1 start=$2 mb=$3
  dd if="$STAGE/usr/lib/SYSLINUX/mbr.bin" of="$disk" bs=440 count=1 conv=notrunc status=none
  partition 1 80 06 "$start" $((mb * 2048)) "$disk"
  cat > "$WORK/syslinux.cfg" <<-END
	default linux
	label linux
	kernel vmlinuz
	initrd initrd
	append console=tty1 console=$SERIAL,115200 no_timer_check random.trust_cpu=on $KERNEL_OPTIONS
	END
  set_times "$WORK"/{vmlinuz,initrd,syslinux.cfg}
  (
    PATH=$STAGE/usr/bin:$PATH # mtools and syslinux, which runs mtools
    mformat -i "$disk@@1M" -v WISPBOOT -N 57495350 -h 32 -s 64 -t "$mb" :: &&
      syslinux --install --offset $((start * 512)) "$disk" &&
      mcopy -m -i "$disk@@1M" "$WORK"/{vmlinuz,initrd,syslinux.cfg} ::
  )
}

# An ARM machine has UEFI: the loader is a file in its place, and finds what it loads by the Boot Loader Specification.
make_boot_partition_arm64() {
  local disk=$1 start=$2 mb=$3 tree=$WORK/efi
  partition 1 00 ef "$start" $((mb * 2048)) "$disk"
  mkdir -p "$tree/EFI/BOOT" "$tree/loader/entries"
  cp "$STAGE/usr/lib/systemd/boot/efi/systemd-bootaa64.efi" "$tree/EFI/BOOT/BOOTAA64.EFI"
  cp "$WORK"/{vmlinuz,initrd} "$tree/"
  printf 'timeout 0\neditor no\n' > "$tree/loader/loader.conf"
  cat > "$tree/loader/entries/wisp.conf" <<-END
	title Wisp guest
	linux /vmlinuz
	initrd /initrd
	options console=tty1 console=$SERIAL,115200 $KERNEL_OPTIONS
	END
  set_times "$tree"
  (
    PATH=$STAGE/usr/bin:$PATH
    mformat -i "$disk@@1M" -v WISPBOOT -N 57495350 -h 32 -s 64 -t "$mb" :: &&
      mcopy -s -m -i "$disk@@1M" "$tree"/* ::
  )
}
