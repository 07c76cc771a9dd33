#!/bin/sh
# Passes all tests: format, lints, units, flows, and the checks against independent peers.
set -eu
. "$(dirname "$0")/setup.sh"
need_build

# Peers that did not come from us. What cannot be installed is skipped loudly; in CI that is a failure.
need "the checks against Go's tlog" golang-go golang-golang-x-mod-dev || true
need "the check of the order of flushes" strace || true
need "creators' keys and time-stamps" openssl || true
need "the works that are sealed" age || true
need "the checks of certificates" poppler-utils qpdf zbar-tools || true
need "the check of PDQ and the table of recall" python3 python3-venv || true
if ! target/peers/venv/bin/python -c 'import pdqhash' 2>/dev/null; then
    mkdir -p target/peers
    { python3 -m venv target/peers/venv && target/peers/venv/bin/pip install --quiet 'pdqhash==0.2.8' 'numpy>=2'; } >&2 ||
        echo "missing for the check of PDQ: the PyPI package pdqhash" >&2
fi
need "the checks that experts repeat" xxd unzip || true
for peer in verify service traces; do
    wanted=tests/peers/$peer/requirements.txt
    if ! cmp -s "$wanted" target/peers/$peer/requirements.txt; then
        mkdir -p target/peers
        { python3 -m venv target/peers/$peer && target/peers/$peer/bin/pip install --quiet -r "$wanted"; } >&2 &&
            cp "$wanted" target/peers/$peer/ ||
            echo "missing for the verifier in Python, the checks of the service or those of traces: what $wanted names" >&2
    fi
done
need "the page in a browser" chromium fonts-noto-cjk || true
command -v npm >/dev/null || need "the page in a browser" nodejs npm || true
playwright=1.65.1
axe=4.14.1 # MPL-2.0: it looks at our pages and goes into nothing
if ! grep -qs "\"version\": \"$playwright\"" target/peers/page/node_modules/playwright-core/package.json ||
    ! grep -qs "\"version\": \"$axe\"" target/peers/page/node_modules/axe-core/package.json; then
    mkdir -p target/peers/page
    # It drives Debian's browser and brings none: its own scripts, which would fetch one, do not run.
    npm install --prefix target/peers/page --no-audit --no-fund --ignore-scripts --save-exact "playwright-core@$playwright" \
        "axe-core@$axe" >&2 || echo "missing for the pages in a browser: the npm packages playwright-core and axe-core" >&2
fi
scripts/ipfs-node.sh install || echo "missing for the IPFS store: the npm package ipfs" >&2
scripts/s3-server.sh install || echo "missing for the S3 store: the npm package s3rver" >&2
scripts/cid-peers.sh install || echo "missing for the checks of CIDs: what scripts/cid-peers.sh names" >&2
scripts/page.sh || echo "missing: the verifier's page" >&2
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
cargo build --release --locked --workspace --bins # the courtroom's program as well, which no test of its own brings in
if command -v cargo-nextest >/dev/null; then
    # Loud about skips: nextest shows the output of passing tests only where it is asked to.
    cargo nextest run --release --locked --workspace --no-fail-fast --success-output final
else
    cargo test --release --locked --workspace --no-fail-fast -- --nocapture
fi
