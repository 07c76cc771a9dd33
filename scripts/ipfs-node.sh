#!/bin/sh
# A real IPFS node on loopback, offline, for the tests of the IPFS store.
#   ipfs-node.sh install           into target/peers/ipfs: some minutes and 300 MB, once
#   ipfs-node.sh start DIR PORT    a node whose repository is DIR (made where there is none); returns when it answers
#   ipfs-node.sh stop DIR
set -eu
command=${1:-} dir=${2:-} port=${3:-}
# Setting up goes to the root of the repository.
case $dir in '' | /*) ;; *) dir=$PWD/$dir ;; esac
. "$(dirname "$0")/setup.sh"
peer=target/peers/ipfs

install() {
    # js-ipfs, as npm has it whole; the package kubo there fetches a binary from elsewhere.
    version=0.66.1
    if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
        need "the IPFS node" nodejs npm || exit 1
    fi
    mkdir -p "$peer"
    if ! grep -qs "\"version\": \"$version\"" "$peer/node_modules/ipfs/package.json"; then
        npm install --prefix "$peer" --no-audit --no-fund --ignore-scripts --save-exact "ipfs@$version" >&2
    fi
    # Where its answers differ from those of Kubo, whose RPC it serves: CIDs in base 32, sizes as text.
    answers=$peer/node_modules/ipfs-http-server/src/api/resources
    sed -i "s/cidBase: Joi.string().default('base58btc')/cidBase: Joi.string().default('base32')/" \
        "$answers/files-regular.js" "$answers/pin.js"
    sed -i "s/Size: file.size,/Size: String(file.size),/" "$answers/files-regular.js"
    # It looks for its libraries beside itself.
    cp tests/peers/ipfs/node.mjs "$peer/"
}

start() {
    mkdir -p "$dir"
    # A node that was killed leaves its lock.
    if [ -f "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
        echo "a node runs in $dir already" >&2
        exit 1
    fi
    rm -rf "$dir/repo.lock"
    : >"$dir/node.log" # an earlier start was ready as well, and what runs beside us truncates it later
    node "$peer/node.mjs" "$dir" "$port" >"$dir/node.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$dir/pid"
    waited=0
    until grep -qs '^ready' "$dir/node.log"; do
        waited=$((waited + 1))
        if [ "$waited" -gt 600 ] || ! kill -0 "$pid" 2>/dev/null; then
            echo "the IPFS node did not start:" >&2
            cat "$dir/node.log" >&2
            kill "$pid" 2>/dev/null || true
            exit 1
        fi
        sleep 0.1
    done
    echo "http://127.0.0.1:$port"
}

stop() {
    kill "$(cat "$dir/pid")" 2>/dev/null || true
    rm -f "$dir/pid"
}

case "$command:$dir:$port" in
    install::) install ;;
    start:?*:?*) start ;;
    stop:?*:) stop ;;
    *)
        sed -n '3,5s/^# *//p' scripts/ipfs-node.sh >&2
        exit 2
        ;;
esac
