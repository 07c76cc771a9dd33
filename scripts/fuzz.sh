#!/bin/sh
# Runs every fuzz target for a while, starting from its seeds; exits with 1 if one of them crashes.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]       20 seconds each, all targets
#
# Needs Rust, a C++ compiler and nothing else. What a crash leaves is in fuzz/artifacts.
set -eu

seconds=${1:-20}
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/../fuzz"
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

if ! command -v cargo-fuzz > /dev/null; then
    cargo install cargo-fuzz --locked --version 0.13.2
fi

# The sanitizer is asked for with a flag of the nightly compiler; this lets the stable one take it.
export RUSTC_BOOTSTRAP=1
cargo fuzz build --sanitizer "${SANITIZER:-address}"

mkdir -p corpus artifacts
summary=$(mktemp)
log=$(mktemp)
trap 'rm -f "$summary" "$log"' EXIT
failed=0
for target in ${*:-$(cargo fuzz list)}; do
    # Long seeds are not kept: `cargo run` in this folder writes them.
    mkdir -p "corpus/$target" "seeds/$target"
    if cargo fuzz run --sanitizer "${SANITIZER:-address}" "$target" \
        "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
        > "$log" 2>&1; then
        outcome=ok
    else
        outcome=CRASHED
        failed=1
        cat "$log"
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    printf '%-12s %12s executions  %s\n' "$target" "${executions:-no}" "$outcome" |
        tee -a "$summary"
done

echo
echo "$seconds s each:"
cat "$summary"
exit $failed
