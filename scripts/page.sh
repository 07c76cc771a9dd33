#!/bin/sh
# Builds target/page/verify.html: the verifier as WASM and its page, one file that needs no server and no network.
set -eu
. "$(dirname "$0")/setup.sh"
need_build
need "the page" openssl || exit 2

# Both recipes end in the same profile of Cargo.toml, in a folder of their own beside the native builds.
profile=page
target=wasm32-unknown-unknown
build=target/page-build
cargo_home=${CARGO_HOME:-$HOME/.cargo}

# Paths of this machine would stand in the messages of panics, and make other bytes elsewhere. With SIMD, which all
# browsers of 2023 have, a work is hashed in two thirds of the time.
separator=$(printf '\037')
CARGO_ENCODED_RUSTFLAGS="-Ctarget-feature=+simd128$separator--remap-path-prefix=$cargo_home=/cargo$separator--remap-path-prefix=$PWD=/timemark"
export CARGO_ENCODED_RUSTFLAGS

build() {
    cargo rustc --package timemark-verify --lib --crate-type cdylib --profile "$profile" --locked --quiet \
        --target "$target" --target-dir "$build" "$@"
}

if [ -d "$(rustc --print target-libdir --target "$target" 2>/dev/null)" ]; then
    echo "compiler: $(rustc --version), with the target that rustup installed"
    build
else
    # Where rustup cannot add the target, Debian's compiler for web builds brings the source of the standard
    # library, which is compiled along: that takes some minutes the first time.
    need "the page" rustc-web rust-web-src || exit 2
    web_rustc=/usr/bin/rustc
    llvm=$("$web_rustc" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    need "the page" "lld-$llvm" || exit 2
    echo "compiler: $("$web_rustc" --version), with its own source of the standard library"
    RUSTC=$web_rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-$llvm \
        build -Zbuild-std=std,panic_abort
fi

page=target/page
sources=verify/page
scripts="words.js drawings.js views.js page.js"
rm -rf "$page/parts"
mkdir -p "$page/parts"
cp "$build/$target/$profile/timemark_verify.wasm" "$page/verify.wasm"
(cd "$sources" && cat $scripts) > "$page/parts/script.js"
if grep -li '</script\|</style' "$page/parts/script.js" "$sources/worker.js" "$sources/page.css"; then
    echo "this would end its element in the middle" >&2
    exit 1
fi

# The policy of the page names the only script and the only style by their digests.
digest() {
    printf "'sha256-%s'" "$(openssl dgst -sha256 -binary "$1" | openssl base64 -A)"
}
script_digest=$(digest "$page/parts/script.js")
style_digest=$(digest "$sources/page.css")

while IFS= read -r line; do
    case $line in
        *@policy@*)
            printf '%s\n' "${line%%@policy@*}script-src $script_digest 'wasm-unsafe-eval'; style-src $style_digest${line#*@policy@}" ;;
        @style@) printf '<style>'; cat "$sources/page.css"; printf '</style>\n' ;;
        @worker@) printf '<script type="text/plain" id="worker">'; cat "$sources/worker.js"; printf '</script>\n' ;;
        @wasm@) printf '<script type="text/plain" id="wasm">'; openssl base64 -A -in "$page/verify.wasm"; printf '</script>\n' ;;
        @script@) printf '<script>'; cat "$page/parts/script.js"; printf '</script>\n' ;;
        *) printf '%s\n' "$line" ;;
    esac
done < "$sources/index.html" > "$page/verify.html"
rm -r "$page/parts"
# `timemark bundle` looks for it beside the program.
mkdir -p target/release
cp "$page/verify.html" target/release/

size() { wc -c | tr -d ' '; }
echo "$page/verify.wasm: $(size < "$page/verify.wasm") bytes, $(gzip -9 -n -c "$page/verify.wasm" | size) gzipped"
echo "$page/verify.html: $(size < "$page/verify.html") bytes, $(gzip -9 -n -c "$page/verify.html" | size) gzipped"
echo "sha256 $(openssl dgst -sha256 -r "$page/verify.html" | cut -d' ' -f1)"
