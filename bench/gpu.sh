#!/bin/bash
# Everything that is measured on a real GPU, unattended, in under nine minutes.
#
#   OUT=results bench/gpu.sh [SECONDS for rota bench, 440]
#
# A part that fails ends none of the others. What each printed lies in $OUT, with bench.json, which
# is written anew after each measurement. For the plots and the page, afterwards, anywhere:
#   rota bench --show bench.json --plots DIR --page docs/results.md
set -u
cd "$(dirname "$0")/.." || exit 1
OUT=${OUT:-bench/results/$(date +%Y-%m-%d)}
mkdir -p "$OUT"
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
failed=0

part() {  # name, limit in seconds, command…
    local name=$1 limit=$2 rc
    shift 2
    echo "== $name"
    timeout -k 10 "$limit" "$@" 2> >(tee "$OUT/$name.err" >&2) | tee "$OUT/$name.txt"
    rc=${PIPESTATUS[0]}
    [ "$rc" -eq 0 ] || { echo "== $name ended with $rc"; failed=1; }
}

part nvml 25 "$PYTHON" bench/probe_nvml.py
part devices 15 "$PYTHON" -m rota devices
part demo 75 "$PYTHON" -m rota demo --json
part bench $((${1:-440} + 25)) "$PYTHON" -m rota bench --json "$OUT/bench.json" --within "${1:-440}"
exit $failed
