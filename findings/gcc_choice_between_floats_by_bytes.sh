#!/usr/bin/env bash
# Question: does `y[i] = mask[i] != 0 ? 0.0f : x[i]`, with a mask of bytes and arrays of 2×16 elements, give the same numbers with -O3 -mavx2 as
#   without optimisation?
# Usual guess: yes. There is no arithmetic in it to be reordered, and a loop of one line that every numeric program has would have been found
#   wrong long ago.
# Versions: gcc 12.2.0 and cpp 12.2.0 of Debian 12 (12.2.0-14+deb12u1), for x86-64 with AVX2. By hand also 11.3.0 and 13.3.0, which do the same,
#   and 14.2.0, which is right.
# Behaviour: no. The loop is made into loads with masks (vmaskmovps), four for 32 bytes of the mask, and where the number of elements is known all
#   four get the mask of the first eight. x[i] is read as 0 where element i % 8 of the first eight is chosen away. One row of 16 is right,
#   -O2 and AVX-512 are, and so is a loop that reads x[i] into a variable before the choice.
# Output seen (a mask that is set in column 3 of 16):
#   -O0: 0 of 32 wrong
#   -O3: 0 of 32 wrong
#   -O3 -mavx2: 2 of 32 wrong: 11 27
#   -O3 -mavx2 -DREAD_BEFORE: 0 of 32 wrong
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
pool=http://deb.debian.org/debian/pool/main
for package in g/gcc-12/{gcc-12,cpp-12,libgcc-12-dev}_12.2.0-14+deb12u1_amd64.deb i/isl/libisl23_0.25-1.1_amd64.deb \
    m/mpclib3/libmpc3_1.3.1-1_amd64.deb m/mpfr4/libmpfr6_4.2.0-1_amd64.deb g/gmp/libgmp10_6.2.1+dfsg1-1.1_amd64.deb; do
    curl -sSfo package.deb "$pool/$package"
    dpkg -x package.deb root
done
export LD_LIBRARY_PATH="$T/root/usr/lib/x86_64-linux-gnu"
cat >choice.c <<'E2'
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { ROWS = 2, COLUMNS = 16, N = ROWS * COLUMNS };
static float x[N], y[N];
static uint8_t mask[N];

static void choose(const uint8_t *mask, const float *x, float *y) {
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLUMNS; j++) {
#ifdef READ_BEFORE
            float own = x[i * COLUMNS + j];
            y[i * COLUMNS + j] = mask[i * COLUMNS + j] != 0 ? 0.0f : own;
#else
            y[i * COLUMNS + j] = mask[i * COLUMNS + j] != 0 ? 0.0f : x[i * COLUMNS + j];
#endif
        }
    }
}

void choose_all(void) { choose(mask, x, y); }

int main(void) {
    for (volatile int i = 0; i < N; i++) {
        x[i] = (float)(i + 1);
        mask[i] = i % COLUMNS == 3;
    }
    choose_all();
    int wrong = 0;
    char places[400] = "";
    for (volatile int i = 0, at = 0; i < N; i++) {
        if (y[i] != (mask[i] ? 0.0f : (float)(i + 1))) {
            wrong++;
            at += snprintf(places + at, sizeof places - (size_t)at, " %d", i);
        }
    }
    printf("%d of %d wrong%s%s\n", wrong, N, wrong ? ":" : "", places);
    return 0;
}
E2
for flags in "-O0" "-O3" "-O3 -mavx2" "-O3 -mavx2 -DREAD_BEFORE"; do
    # shellcheck disable=SC2086
    root/usr/bin/gcc-12 -std=c11 -Wall -Wextra $flags choice.c -o choice
    echo "$flags: $(./choice)"
done | tee seen
diff seen - <<'E2'
-O0: 0 of 32 wrong
-O3: 0 of 32 wrong
-O3 -mavx2: 2 of 32 wrong: 11 27
-O3 -mavx2 -DREAD_BEFORE: 0 of 32 wrong
E2
