#!/usr/bin/env bash
# The resident size of a step of training above that of its model, in megabytes: benches/memory.sh PROGRAM [PYTHON [JOB]]
#
# PROGRAM is what `cargo bench --bench speed --no-run` builds, PYTHON has torch. Each number is of a process of its own: the largest size in the
# first three steps, of which ours records one and runs one both ways, and in the fifty after them; of these also without the pages of the
# program's files, which are read as they are needed.
set -euo pipefail
program="$1"
python="${2:-}"
job="${3:-replayed-cnn32-adamw/32x3x32x32}"
here="$(cd "$(dirname "$0")" && pwd)"
export RAYON_NUM_THREADS="${RAYON_NUM_THREADS:-1}" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
row() { echo "| $1 | ${2// / | } |"; }
echo "| $job | first three steps | later | later, without code |"
echo "|---|---|---|---|"
for how in eager replayed; do
    row "$how" "$("$program" --memory "$job" "$how")"
    row "$how, memory::keep_freed" "$("$program" --memory "$job" "$how" keep)"
done
[ -z "$python" ] || row "PyTorch" "$("$python" "$here/peers/peers.py" --memory "$job" torch)"
