#!/bin/sh
# The whole idea on the sample pictures: register, verify, scan, report. Everything it makes is in demo/.
set -eu
. "$(dirname "$0")/setup.sh"
need_build

echo "building; the first time this takes some minutes"
cargo build --release --quiet --locked
timemark=$PWD/target/release/timemark
rm -rf demo
mkdir demo
export TIMEMARK_ARCHIVE="$PWD/demo/archive"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. A creator registers works: timemark register samples/works"
"$timemark" init --origin demo.timemark.example
"$timemark" register samples/works --receipts demo/receipts --claimant "A. Creator" --rights "All rights reserved"

say "2. A court checks a receipt offline: timemark verify WORK --receipt RECEIPT --policy TRUST"
"$timemark" log policy > demo/policy.txt
"$timemark" verify samples/works/harbour-at-dusk.jpg \
    --receipt demo/receipts/harbour-at-dusk.jpg.timemark --policy demo/policy.txt

say "3. An agency scans a folder of suspects: timemark scan samples/suspects"
"$timemark" scan samples/suspects --report demo/report

say "4. The operator audits the archive: timemark log audit"
"$timemark" log audit

say "Open demo/report/index.html to see the copies beside the works."
