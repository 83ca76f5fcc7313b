#!/bin/sh
# Makes pico: run.sh [MINUTES]. Stops and resumes at any time (kill it, start it again); MINUTES is the whole training time.
# PICO_RUN (default: pico/run in the temporary folder) holds checkpoints and logs; the result goes to models/pico.
set -e
cd "$(dirname "$0")"
minutes=${1:-120}
run=${PICO_RUN:-${TMPDIR:-/tmp}/pico/run}
python=${PYTHON:-/usr/bin/python3}
export PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive
mkdir -p "$run" ../models/pico
[ -f "$run/tokenizer.json" ] || $python tokenizer.py "$run/tokenizer.json"
nice -n 15 $python train.py "$run" --vision-minutes $((minutes / 5)) --minutes $((minutes * 4 / 5))
$python export.py "$run" ../models/pico
$python tokenizer.py --cases "$run/tokenizer.json" tokenizer-cases.json
$python evaluate.py ../models/pico
