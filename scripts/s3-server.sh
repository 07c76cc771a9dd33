#!/bin/sh
# Installs a small S3 server for the tests of the store, which start it themselves (store/tests/s3/s3rver.cjs).
set -eu
. "$(dirname "$0")/setup.sh"

version=3.7.1
peer=target/peers/s3
case "${1:-}" in
install)
    command -v node >/dev/null && command -v npm >/dev/null || need "the S3 server" nodejs npm
    grep -qs "\"version\": \"$version\"" "$peer/node_modules/s3rver/package.json" && exit 0
    mkdir -p "$peer"
    # Plain JavaScript: no package of it has anything to build.
    npm install --prefix "$peer" --no-audit --no-fund --ignore-scripts --save-exact "s3rver@$version" >&2
    ;;
*)
    echo "usage: $0 install" >&2
    exit 2
    ;;
esac
