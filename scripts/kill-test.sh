#!/bin/sh
# Kills a registration run at random moments, 50 times or as often as the first argument says.
set -eu
. "$(dirname "$0")/setup.sh"
need_build
TIMEMARK_KILL_ROUNDS=${1:-50} cargo test --release --locked --test it crash -- --nocapture
