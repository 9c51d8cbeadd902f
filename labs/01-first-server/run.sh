#!/bin/sh
# Lab 1 as a script: the steps of README.md, each checked. Exit status 0 when all of them did what the page says.
# The cloud must be up. WISP_HOME says where it is; run as root.
set -eu

here=$(dirname "$(readlink -f "$0")")
wisp=$here/../../wisp
home=${WISP_HOME:-/var/lib/wisp}
name=lab-one-$$
work=$(mktemp -d)

step() { printf '── %s\n' "$*"; }
fail() {
  printf 'lab 1: %s\n' "$*" >&2
  exit 1
}

clean_up() {
  openstack server delete --wait "$name" > /dev/null 2>&1 || :
  openstack keypair delete "$name" > /dev/null 2>&1 || :
  rm -rf "$work"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  left=$1
  what=$2
  shift 2
  until "$@"; do
    left=$((left - 2))
    [ "$left" -gt 0 ] || fail "it is still not so that $what"
    sleep 2
  done
}

status_is() { [ "$(openstack server show -f value -c status "$name")" = "$1" ]; }
log_has() { openstack console log show "$name" | grep -q "$1"; }

[ -r "$home/demo-openrc" ] || fail "there is no $home/demo-openrc: start a cloud with \"wisp up\" first (and be root)"
# shellcheck disable=SC1091
. "$home/demo-openrc"
trap clean_up EXIT
trap 'exit 130' INT TERM

step 'who you are'
[ -n "$(openstack token issue -f value -c id)" ] || fail 'there was no token'

step 'what there is'
openstack image list -f value -c Name | grep -qx wisp-guest || fail 'there is no image wisp-guest'
openstack flavor list -f value -c Name | grep -qx m1.nano || fail 'there is no flavor m1.nano'
openstack network list -f value -c Name | grep -qx private || fail 'there is no network private'

step 'a key'
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
openstack keypair create --public-key "$work/key.pub" "$name" > /dev/null

step 'launch'
# shellcheck disable=SC2016 # the guest's shell shall replace it, not ours
printf '#!/bin/sh\necho "hello from $(hostname)"\n' > "$work/hello.sh"
openstack server create --image wisp-guest --flavor m1.nano --network private --key-name "$name" --user-data "$work/hello.sh" --wait "$name" > /dev/null
status_is ACTIVE || fail 'the server is not ACTIVE'
openstack server event list -f value -c Action "$name" | grep -qx create || fail 'its list of events does not begin with create'

step 'watch it boot'
wait_for 180 'the console log ends with the guest being ready' log_has 'wisp guest ready'
log_has "hello from $name" || fail 'the console log does not have what hello.sh printed'

step 'log in'
said=$("$wisp" ssh "$name" -i "$work/key" hostname)
[ "$said" = "$name" ] || fail "the server calls itself '$said'"

step 'stop, start, delete'
openstack server stop "$name"
wait_for 90 'the server is SHUTOFF' status_is SHUTOFF
openstack server start "$name"
wait_for 60 'the server is ACTIVE' status_is ACTIVE
openstack server delete --wait "$name"
! openstack server show "$name" > /dev/null 2>&1 || fail 'the server is still there'
openstack keypair delete "$name"

echo 'lab 1: everything went as the page says'
