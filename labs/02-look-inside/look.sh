#!/bin/sh
# Lab 2 as a script: shows where a server is on this machine. Usage: look.sh SERVER (name or id). Only looks; run as root on the server's host.
set -eu

server=${1:?usage: look.sh SERVER}
home=$(readlink -f "${WISP_HOME:-/var/lib/wisp}")
[ -r "$home/openrc" ] || {
  echo "look.sh: there is no $home/openrc: this works on the controller's machine, as root" >&2
  exit 1
}
# shellcheck disable=SC1091
. "$home/openrc"
title() { printf '\n── %s\n' "$*"; }

tag=$(printf %s "$home" | sha256sum | cut -c1-6)
id=$(openstack server list --all-projects -f value -c ID -c Name | while read -r one name; do
  if [ "$one" = "$server" ] || [ "$name" = "$server" ]; then echo "$one"; fi
done | head -n 1)
[ -n "$id" ] || {
  echo "look.sh: there is no server $server" >&2
  exit 1
}

title "server $id of the cloud with tag $tag"
openstack server show "$id" -c status -c OS-EXT-SRV-ATTR:host -c addresses

title 'the process'
virsh -c "qemu:///system?socket=${WISP_LIBVIRT_SOCKET:-/run/libvirt/libvirt-sock}" domstate "wisp-$tag-$id" || :
ls -l "$home/servers/$id"
qemu-img info --backing-chain -U "$home/servers/$id/disk" | grep -E '^(image|virtual size|disk size)'

openstack port list --server "$id" -f value -c ID | while read -r port; do
  network=$(openstack port show "$port" -f value -c network_id)
  short=$(printf %s "$port" | tr -d - | cut -c1-7)
  long=$(printf %s "$port" | tr -d - | cut -c1-14)
  bridge=w${tag}b$(printf %s "$network" | tr -d - | cut -c1-7)

  title "the cable: port $port"
  ip -brief link show dev "w${tag}t$short"
  title "the bridge of network $network and all that is plugged into it"
  ip -brief link show dev "$bridge"
  ip -brief link show master "$bridge"
  title 'its namespace'
  ip -brief -n "wisp-$tag-$network" address show
  for pid in $(ip netns pids "wisp-$tag-$network"); do ps -o pid=,args= -p "$pid" || :; done # one may have ended meanwhile
  cat "$home/network/$network/hosts"
  title 'what the server may receive, and what it may send'
  iptables -S "wisp$tag-i-$long"
  iptables -S "wisp$tag-o-$long"
  title 'with which addresses it may send'
  nft list chain bridge "wisp_$tag" "port_w${tag}t$short"
done

title 'what the host was told'
host=$(sed -n 's/.*"host_id": "\(.*\)".*/\1/p' "$home/host.json")
secret=$(sed -n 's/.*"secret": "\(.*\)".*/\1/p' "$home/host.json")
# The answer never ends, so curl ends it: that is no error. The header goes by standard input, so that no list of processes shows the secret.
printf 'Authorization: Bearer %s.%s\n' "$host" "$secret" |
  curl --silent --no-buffer --max-time 10 --unix-socket "$home/run/controller.sock" --header @- \
    "http://controller/wire/v1/hosts/$host/desired?since=0" | cut -c1-160 || :
