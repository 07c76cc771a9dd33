#!/bin/sh
# Proves static programs (scripts/package.sh) in a root in which nothing else is: an archive is made, a work registered and
# verified, and the service answers. As root, for chroot.
#
# usage: scripts/static-check.sh FOLDER-OF-PROGRAMS
set -eu
built=${1:?which folder}
for program in timemark timemark-verify; do
    if readelf -l "$built/$program" | grep -q INTERP; then
        echo "$program needs a loader: it is not static" >&2
        exit 1
    fi
done
root=$(mktemp -d)
served=
trap 'test -z "$served" || kill "$served" 2>/dev/null; rm -rf "$root"' EXIT
mkdir -m 1777 "$root/tmp"
mkdir "$root/dev" # without a loader, random bytes come from the device
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
cp "$built/timemark" "$built/timemark-verify" "$root/"
echo "a work" > "$root/tmp/work.txt"
within() { chroot "$root" "$@"; }

within /timemark --archive /tmp/archive init --origin static.example
within /timemark --archive /tmp/archive register /tmp/work.txt --receipts /tmp
within /timemark --archive /tmp/archive log policy > "$root/tmp/policy"
within /timemark-verify /tmp/work.txt /tmp/work.txt.timemark /tmp/policy
echo "another work" > "$root/tmp/other.txt"
if within /timemark-verify /tmp/other.txt /tmp/work.txt.timemark /tmp/policy; then
    echo "it verifies whatever it is shown" >&2
    exit 1
fi

chroot "$root" /timemark --archive /tmp/archive serve --listen 127.0.0.1:0 > "$root/tmp/said" &
served=$!
url=
for _ in $(seq 100); do
    url=$(sed -n 's/^listening on //p' "$root/tmp/said")
    test -z "$url" || break
    sleep 0.1
done
test "$(curl -sS "$url/healthz")" = ok
curl -sSf -F file=@"$root/tmp/other.txt" "$url/v1/works" > /dev/null
test "$(curl -sS "$url/readyz")" = ready
kill "$served"
wait "$served"
served=
within /timemark --archive /tmp/archive log audit

# A name is looked up by DNS alone where the root says so: nothing answers here, and that is said, without a crash.
mkdir "$root/etc"
printf "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n" > "$root/etc/resolv.conf"
echo "hosts: files dns" > "$root/etc/nsswitch.conf"
echo "127.0.0.1 known.example" > "$root/etc/hosts"
for name in unknown.example known.example; do
    status=0
    within /timemark --archive /tmp/archive store use "ipfs:http://$name:9"
    echo "for $name" > "$root/tmp/$name.txt"
    within /timemark --archive /tmp/archive register "/tmp/$name.txt" --receipts /tmp > /dev/null 2>&1
    within /timemark --archive /tmp/archive store push > "$root/tmp/said" 2>&1 || status=$?
    cat "$root/tmp/said"
    if [ "$status" = 0 ] || [ "$status" -ge 128 ]; then exit 1; fi
done
echo "the programs in $built stand alone"
