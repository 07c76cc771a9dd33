#!/bin/sh
# Passes all tests: format, lints, units, flows, and the checks against independent peers.
set -eu
. "$(dirname "$0")/setup.sh"
need_build

# Peers that did not come from us. What cannot be installed is skipped loudly; in CI that is a failure.
need "the checks against Go's tlog" golang-go golang-golang-x-mod-dev || true
need "the check of the order of flushes" strace || true
need "creators' keys and time-stamps" openssl || true
need "the checks of certificates" poppler-utils qpdf zbar-tools || true
need "the check of PDQ and the table of recall" python3 python3-venv || true
if ! target/peers/venv/bin/python -c 'import pdqhash' 2>/dev/null; then
    mkdir -p target/peers
    { python3 -m venv target/peers/venv && target/peers/venv/bin/pip install --quiet 'pdqhash==0.2.8' 'numpy>=2'; } >&2 ||
        echo "missing for the check of PDQ: the PyPI package pdqhash" >&2
fi
if [ "${CI:-}" = true ]; then
    export TIMEMARK_REQUIRE_PEERS=1
fi

echo "== format and lints"
cargo fmt --all --check
cargo clippy --release --locked --workspace --all-targets --quiet -- -D warnings
cargo check --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz # a workspace of its own
if command -v cargo-deny >/dev/null; then
    cargo deny --offline check bans licenses sources
fi

echo "== tests"
if command -v cargo-nextest >/dev/null; then
    # Loud about skips: nextest shows the output of passing tests only where it is asked to.
    cargo nextest run --release --locked --workspace --no-fail-fast --success-output final
else
    cargo test --release --locked --workspace --no-fail-fast -- --nocapture
fi
