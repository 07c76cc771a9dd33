#!/bin/sh
# Builds target/verifier/timemark-verify, the courtroom's program: small, and the same bytes wherever it is built.
set -eu
. "$(dirname "$0")/setup.sh"
need_build

# Paths of this machine would stand in the messages of panics, and make other bytes elsewhere.
separator=$(printf '\037')
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo$separator--remap-path-prefix=$PWD=/timemark"
export CARGO_ENCODED_RUSTFLAGS
cargo build --package timemark-verify --bin timemark-verify --profile verifier --locked --quiet --target-dir target/verifier-build
mkdir -p target/verifier
cp target/verifier-build/verifier/timemark-verify target/verifier/

crates=$(cargo tree --package timemark-verify --edges normal --prefix none --locked | sed 's/ .*//' | sort -u | grep -cv '^timemark')
echo "target/verifier/timemark-verify: $(wc -c < target/verifier/timemark-verify) bytes, $crates outside crates"
echo "sha256 $(sha256sum target/verifier/timemark-verify | cut -d' ' -f1)"
