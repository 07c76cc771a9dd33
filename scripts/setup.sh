# What building and testing need, installed where that is allowed, else named. Read by the other scripts.
# shellcheck shell=sh

cd "$(dirname "$0")/.." || exit 2

# need WHAT-FOR PACKAGE...: makes sure that Debian packages are there, if this machine has apt and lets us.
need() {
    what=$1
    shift
    missing=
    for package in "$@"; do
        dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "installing$missing ($what)" >&2
        # shellcheck disable=SC2086
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >&2 && return 0
    fi
    echo "missing for $what:$missing" >&2
    return 1
}

need_build() {
    command -v cc >/dev/null || need "linking" gcc libc6-dev || exit 2
    if ! command -v cargo >/dev/null; then
        echo "missing: Rust 1.95 or newer (cargo); https://rustup.rs installs it" >&2
        exit 2
    fi
}
