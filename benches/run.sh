#!/usr/bin/env bash
# Runs all benchmarks, writes benches/results/<machine>/<date>.csv, and prints it as a table.
#
#   benches/run.sh                  run (about fifteen minutes once everything is compiled)
#   benches/run.sh --table FILE     print the table of an earlier run, in Markdown
#
# TIMEMARK_BENCH_MACHINE names the machine's folder; by default the processor does.
# For the other variables see benches/README.md.
set -euo pipefail

table() {
    awk -F, '
        /^#/ { print substr($0, 3) "  "; next }
        /^bench,/ { print "\n| bench | metric | value | unit | note |\n|---|---|---:|---|---|"; next }
        { printf "| %s | %s | " ($3 < 100 ? "%.3g" : "%.0f") " | %s | %s |\n", $1, $2, $3, $4, $5 }
    ' "$1"
}

if [ "${1:-}" = --table ]; then
    table "$2"
    exit
fi

started=$SECONDS
bench_dir=${TIMEMARK_BENCH_DIR:-target/bench-data} # as the benchmarks have it: from where they run
cd "$(dirname "$0")/.."
benches=(--bench hash --bench glance --bench codes --bench rematch --bench verify --bench log --bench million --bench append --bench scan --bench serve)
# The release profile by its name, so that these are the very artefacts of `cargo test --release`.
cargo bench --profile release "${benches[@]}" --no-run
space=(--package timemark-store --bench space) # without TIMEMARK_BENCH_PICTURES of the sample suspects
cargo bench --profile release "${space[@]}" --no-run

mkdir -p "$bench_dir"
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
cores=$(nproc)
memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
device=$(findmnt --noheadings --output SOURCE --target "$bench_dir" | sed 's/\[.*//')
filesystem=$(findmnt --noheadings --output FSTYPE --target "$bench_dir")
disk=$(lsblk --noheadings --nodeps --output TRAN,MODEL "$device" 2>/dev/null | xargs || true)
case "$device" in
/dev/vd*) disk="a virtual disk (virtio)" ;;
/dev/*) disk="${disk:-unknown}" ;;
*) disk="no disk of its own" ;;
esac
if [ "$filesystem" = tmpfs ]; then
    echo "$bench_dir lies in memory, where a flush costs nothing: set TIMEMARK_BENCH_DIR" >&2
    exit 1
fi
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
git diff --quiet HEAD -- '*.rs' '*.toml' Cargo.lock 2>/dev/null || commit="$commit with changes"
machine=${TIMEMARK_BENCH_MACHINE:-$(
    echo "$cpu $cores cores" | sed 's/([^)]*)//g' | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9.\n' -
)}

results=benches/results/$machine/$(date -u +%F).csv
partial=target/bench-results.csv
{
    echo "# processor: $cpu; $cores cores"
    echo "# memory: $memory"
    echo "# kernel: $(uname -sr)"
    echo "# disk: $filesystem on $disk"
    echo "# compiler: $(rustc --version)"
    echo "# commit: $commit"
    echo "# load average at the start: $(cut -d ' ' -f 1-3 /proc/loadavg)"
    echo "bench,metric,value,unit,note"
} >"$partial"
export TIMEMARK_BENCH_CSV=$PWD/$partial
cargo bench --profile release "${benches[@]}"
cargo bench --profile release "${space[@]}"

# Only a whole run becomes a result.
mkdir -p "$(dirname "$results")"
mv "$partial" "$results"
echo
table "$results"
echo
echo "$results, after $((SECONDS - started)) s"
