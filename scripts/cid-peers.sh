#!/bin/sh
# Installs the independent implementations of IPFS addresses and archives that store/tests/ compares ours with.
#
#   scripts/cid-peers.sh install       into target/peers/cid; does nothing where they are
set -eu
. "$(dirname "$0")/setup.sh"

[ "${1:-}" = install ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }

peers=target/peers/cid
wanted=tests/peers/cid
mkdir -p "$peers"
status=0

# What is named is installed only when all of it is there, so that a run that is broken off begins again.
if ! cmp -s "$wanted/package.json" "$peers/installed.json"; then
    command -v npm >/dev/null || need "the checks of IPFS addresses" nodejs npm || true
    cp "$wanted/package.json" "$peers/package.json"
    # Their own scripts do not run: none of them is needed.
    if npm install --prefix "$peers" --no-audit --no-fund --no-package-lock --ignore-scripts >&2; then
        cp "$wanted/package.json" "$peers/installed.json"
    else
        echo "missing for the checks of IPFS addresses: the npm packages that $wanted/package.json names" >&2
        status=1
    fi
fi
if ! cmp -s "$wanted/requirements.txt" "$peers/requirements.txt"; then
    need "the checks of IPFS addresses" python3 python3-venv || true
    if python3 -m venv "$peers/venv" >&2 && "$peers/venv/bin/pip" install --quiet -r "$wanted/requirements.txt" >&2; then
        cp "$wanted/requirements.txt" "$peers/requirements.txt"
    else
        echo "missing for the checks of IPFS addresses: the PyPI packages that $wanted/requirements.txt names" >&2
        status=1
    fi
fi
exit $status
