#!/usr/bin/env bash
# Two ranks of one thread, and one process of two threads, in turns: benches/ranks.sh PROGRAM [TURNS [STEPS]]
#
# PROGRAM is what `cargo bench --bench ranks --features mpi --no-run` builds. The last of the three is a training that is not distributed.
set -euo pipefail
program="$1"
turns="${2:-3}"
steps="${3:-200}"
options=(--bind-to none)
[ "$(id -u)" -ne 0 ] || options+=(--allow-run-as-root)
for ((turn = 0; turn < turns; turn++)); do
    RAYON_NUM_THREADS=1 mpirun "${options[@]}" --oversubscribe -n 2 "$program" "$steps" 4
    RAYON_NUM_THREADS=2 "$program" "$steps" 4
    RAYON_NUM_THREADS=2 "$program" "$steps" 1
done
uptime
