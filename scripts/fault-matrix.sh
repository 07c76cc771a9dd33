#!/bin/sh
# Prints what becomes of the log when any one of its file operations meets any fault, and the sum of pairs.
set -eu
. "$(dirname "$0")/setup.sh"
need_build
cargo test --release --locked -p timemark-tlog fault_matrix -- --nocapture
