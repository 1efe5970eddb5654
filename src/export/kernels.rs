// The kernels' sums in the same order, in as little of Rust as `translate` knows: what a program is exported with, in C and in Rust.
//
// `tests` compares them with the kernels, bit for bit. Arrays come with the place where they start.

/// Σ rowᵢ·vectorᵢ as in a product of a matrix with a vector: in 16 places, and blocks in f64.
fn places_dot(row: &[f32], row_at: usize, vector: &[f32], vector_at: usize, n: usize) -> f32 {
    let mut total: f64 = 0.0;
    let mut from: usize = 0;
    while from < n {
        let to: usize = if n - from < 1024 { n } else { from + 1024 };
        let mut place: [f32; 16] = [0.0; 16];
        // Whole runs first: compilers make vectors of them.
        let whole: usize = from + (to - from) / 16 * 16;
        for block in 0..(to - from) / 16 {
            for p in 0..16 {
                let i: usize = from + block * 16 + p;
                place[p] = row[row_at + i].mul_add(vector[vector_at + i], place[p]);
            }
        }
        for i in whole..to {
            let p: usize = (i - whole) % 16;
            place[p] = row[row_at + i].mul_add(vector[vector_at + i], place[p]);
        }
        let mut width: usize = 8;
        while width > 0 {
            for i in 0..width {
                place[i] = place[i] + place[i + width];
            }
            width = width / 2;
        }
        total = total + place[0] as f64;
        from = to;
    }
    total as f32
}

/// y = x·wᵀ + b, where x is m × k and w is n × k. The sums are those of `matmul`.
fn affine(x: &[f32], x_at: usize, w: &[f32], w_at: usize, b: &[f32], b_at: usize, y: &mut [f32], y_at: usize, m: usize, k: usize, n: usize) {
    for i in 0..m {
        for j in 0..n {
            let mut total: f32 = b[b_at + j];
            if n == 1 || m == 1 {
                total = total + places_dot(w, w_at + j * k, x, x_at + i * k, k);
            } else {
                let mut from: usize = 0;
                while from < k {
                    let to: usize = if k - from < 512 { k } else { from + 512 };
                    let mut sum: f32 = 0.0;
                    for p in from..to {
                        sum = x[x_at + i * k + p].mul_add(w[w_at + j * k + p], sum);
                    }
                    total = total + sum;
                    from = to;
                }
            }
            y[y_at + i * n + j] = total;
        }
    }
}

/// y = a·b, each element the sum of blocks of 512 products, and each block one fused multiply-add after the other.
fn matmul(a: &[f32], a_at: usize, a_row: usize, a_column: usize, b: &[f32], b_at: usize, b_row: usize, b_column: usize, y: &mut [f32], y_at: usize, m: usize, k: usize, n: usize) {
    for i in 0..m {
        for j in 0..n {
            let mut total: f32 = 0.0;
            let mut from: usize = 0;
            while from < k {
                let to: usize = if k - from < 512 { k } else { from + 512 };
                let mut sum: f32 = 0.0;
                for p in from..to {
                    sum = a[a_at + i * a_row + p * a_column].mul_add(b[b_at + p * b_row + j * b_column], sum);
                }
                total = if from == 0 { sum } else { total + sum };
                from = to;
            }
            y[y_at + i * n + j] = total;
        }
    }
}

/// y = rows·vector, where each row is stored in one piece.
fn rows_vector(rows: &[f32], rows_at: usize, stride: usize, vector: &[f32], vector_at: usize, y: &mut [f32], y_at: usize, count: usize, k: usize) {
    for i in 0..count {
        y[y_at + i] = places_dot(rows, rows_at + i * stride, vector, vector_at, k);
    }
}

/// y = vector·b, where b is k × n and stored row by row: four rows at a time, and each `run` of rows by itself.
fn vector_matrix(a: &[f32], a_at: usize, a_column: usize, b: &[f32], b_at: usize, b_row: usize, y: &mut [f32], y_at: usize, k: usize, n: usize, run: usize) {
    for j in 0..n {
        let mut total: f32 = 0.0;
        let mut from: usize = 0;
        while from < k {
            let to: usize = if k - from < run { k } else { from + run };
            let mut sum: f32 = 0.0;
            let mut i: usize = from;
            while i + 4 <= to {
                let first: f32 = a[a_at + i * a_column] * b[b_at + i * b_row + j];
                let second: f32 = a[a_at + (i + 1) * a_column] * b[b_at + (i + 1) * b_row + j];
                let third: f32 = a[a_at + (i + 2) * a_column] * b[b_at + (i + 2) * b_row + j];
                let fourth: f32 = a[a_at + (i + 3) * a_column] * b[b_at + (i + 3) * b_row + j];
                let left: f32 = first + second;
                let right: f32 = third + fourth;
                sum = sum + (left + right);
                i = i + 4;
            }
            while i < to {
                let product: f32 = a[a_at + i * a_column] * b[b_at + i * b_row + j];
                sum = sum + product;
                i = i + 1;
            }
            total = total + sum;
            from = to;
        }
        y[y_at + j] = total;
    }
}

/// The sum of 16 numbers, which are overwritten.
fn across(total: &mut [f64]) -> f64 {
    let mut width: usize = 8;
    while width > 0 {
        for i in 0..width {
            total[i] = total[i] + total[i + width];
        }
        width = width / 2;
    }
    total[0]
}

/// What a sum of `lanes` is of: x − mean, its square, g, or y·g with y = (x − mean)·scale + shift.
fn lane_term(kind: usize, x: f32, g: f32, mean: f32, scale: f32, shift: f32) -> f32 {
    let centred: f32 = x - mean;
    if kind == 0 {
        return centred;
    }
    if kind == 1 {
        return centred * centred;
    }
    if kind == 2 {
        return g;
    }
    let product: f32 = centred * scale;
    let y: f32 = product + shift;
    y * g
}

/// Adds a sum in 32 lanes over blocks of 512, whose pairs are added in f64, to the 16 numbers whose sum it is.
fn lanes(kind: usize, x: &[f32], x_at: usize, g: &[f32], g_at: usize, mean: f32, scale: f32, shift: f32, n: usize, total: &mut [f64]) {
    let mut from: usize = 0;
    while from < n {
        let to: usize = if n - from < 512 { n } else { from + 512 };
        let whole: usize = from + (to - from) / 32 * 32;
        let mut lane: [f32; 32] = [0.0; 32];
        for i in from..whole {
            let l: usize = (i - from) % 32;
            lane[l] = lane[l] + lane_term(kind, x[x_at + i], g[g_at + i], mean, scale, shift);
        }
        for i in 0..16 {
            total[i] = total[i] + (lane[i] + lane[i + 16]) as f64;
        }
        for i in whole..to {
            let l: usize = (i - whole) % 16;
            total[l] = total[l] + lane_term(kind, x[x_at + i], g[g_at + i], mean, scale, shift) as f64;
        }
        from = to;
    }
}

/// Σ x in lanes.
fn lanes_sum(x: &[f32], x_at: usize, n: usize) -> f64 {
    let mut total: [f64; 16] = [0.0; 16];
    lanes(0, x, x_at, x, x_at, 0.0, 0.0, 0.0, n, &mut total);
    across(&mut total)
}

/// Σ x of one row among several: a short one is summed in order.
fn row_sum(x: &[f32], x_at: usize, n: usize) -> f32 {
    if n >= 32 {
        return lanes_sum(x, x_at, n) as f32;
    }
    let mut total: f64 = 0.0;
    for i in 0..n {
        total = total + x[x_at + i] as f64;
    }
    total as f32
}

/// The sum along the middle one of three axes.
fn sum_axis(x: &[f32], x_at: usize, y: &mut [f32], y_at: usize, outer: usize, axis: usize, inner: usize) {
    for o in 0..outer {
        for j in 0..inner {
            let at: usize = x_at + o * axis * inner + j;
            if inner == 1 && outer == 1 {
                y[y_at] = lanes_sum(x, at, axis) as f32;
            } else if inner == 1 {
                y[y_at + o] = row_sum(x, at, axis);
            } else if axis <= 16 {
                let mut sum: f32 = x[at];
                for i in 1..axis {
                    sum = sum + x[at + i * inner];
                }
                y[y_at + o * inner + j] = sum;
            } else {
                let mut total: f64 = 0.0;
                let mut from: usize = 0;
                while from < axis {
                    let to: usize = if axis - from < 16 { axis } else { from + 16 };
                    let mut sum: f32 = 0.0;
                    for i in from..to {
                        sum = sum + x[at + i * inner];
                    }
                    total = total + sum as f64;
                    from = to;
                }
                y[y_at + o * inner + j] = total as f32;
            }
        }
    }
}

/// The largest element of a row.
fn row_max(x: &[f32], x_at: usize, n: usize) -> f32 {
    let mut largest: f32 = x[x_at];
    for i in 1..n {
        largest = if x[x_at + i] > largest { x[x_at + i] } else { largest };
    }
    largest
}

/// The larger or the smaller number; NaN if either is.
fn extreme(a: f32, b: f32, largest: bool) -> f32 {
    let first: bool = if largest { a > b } else { a < b };
    if a != a || first { a } else { b }
}

/// The largest or the smallest element along the middle one of three axes; in lanes where a row is long, which decides between zeros.
fn extrema(x: &[f32], x_at: usize, y: &mut [f32], outer: usize, axis: usize, inner: usize, largest: bool) {
    for row in 0..outer * inner {
        let at: usize = x_at + row / inner * axis * inner + row % inner;
        let mut lane: [f32; 32] = [0.0; 32];
        let width: usize = if inner > 1 || axis < 32 { 1 } else { 32 };
        for i in 0..width {
            lane[i] = x[at];
        }
        for i in 0..axis / width * width {
            lane[i % width] = extreme(lane[i % width], x[at + i * inner], largest);
        }
        if width > 1 {
            for i in 0..width {
                lane[i] = extreme(lane[i], x[at + axis - width + i], largest);
            }
        }
        let mut half: usize = width / 2;
        while half > 0 {
            for i in 0..half {
                lane[i] = extreme(lane[i], lane[i + half], largest);
            }
            half = half / 2;
        }
        y[row] = lane[0];
    }
}

/// Where it is; the first of equal ones, and a NaN before all numbers.
fn extremum_places(x: &[f32], x_at: usize, y: &mut [u32], outer: usize, axis: usize, inner: usize, largest: bool) {
    for row in 0..outer * inner {
        let at: usize = x_at + row / inner * axis * inner + row % inner;
        let mut best: f32 = x[at];
        y[row] = 0;
        for i in 1..axis {
            let own: f32 = x[at + i * inner];
            let before: bool = if largest { own > best } else { own < best };
            if before || (own != own && best == best) {
                best = own;
                y[row] = i as u32;
            }
        }
    }
}

/// y = exp(x − largest), and its sum as for long rows: those behind the last whole run of lanes are added in lanes, too.
fn exponentials(x: &[f32], x_at: usize, largest: f32, y: &mut [f32], y_at: usize, n: usize) -> f32 {
    let mut total: [f64; 16] = [0.0; 16];
    let mut from: usize = 0;
    while from < n {
        let to: usize = if n - from < 512 { n } else { from + 512 };
        let mut lane: [f32; 32] = [0.0; 32];
        for i in from..to {
            let l: usize = (i - from) % 32;
            let e: f32 = exp_negative_f32(x[x_at + i] - largest);
            y[y_at + i] = e;
            lane[l] = lane[l] + e;
        }
        for i in 0..16 {
            total[i] = total[i] + (lane[i] + lane[i + 16]) as f64;
        }
        from = to;
    }
    across(&mut total) as f32
}

/// y = exp(x − largest), and its sum.
fn row_exponentials(x: &[f32], x_at: usize, largest: f32, y: &mut [f32], y_at: usize, n: usize) -> f32 {
    if n >= 32 {
        return exponentials(x, x_at, largest, y, y_at, n);
    }
    for i in 0..n {
        y[y_at + i] = exp_negative_f32(x[x_at + i] - largest);
    }
    row_sum(y, y_at, n)
}

fn softmax(x: &[f32], x_at: usize, y: &mut [f32], y_at: usize, count: usize, width: usize) {
    for row in 0..count {
        let at: usize = row * width;
        let largest: f32 = row_max(x, x_at + at, width);
        let sum: f32 = row_exponentials(x, x_at + at, largest, y, y_at + at, width);
        for i in 0..width {
            y[y_at + at + i] = y[y_at + at + i] / sum;
        }
    }
}

fn log_softmax(x: &[f32], x_at: usize, y: &mut [f32], y_at: usize, count: usize, width: usize) {
    for row in 0..count {
        let at: usize = row * width;
        let largest: f32 = row_max(x, x_at + at, width);
        for i in 0..width {
            y[y_at + at + i] = exp_negative_f32(x[x_at + at + i] - largest);
        }
        let log: f32 = ln_f32(row_sum(y, y_at + at, width));
        for i in 0..width {
            y[y_at + at + i] = x[x_at + at + i] - largest - log;
        }
    }
}

/// −ln softmax x at the classes times `factor`.
fn cross_entropy(x: &[f32], x_at: usize, classes: &[u32], classes_at: usize, factor: f32, losses: &mut [f32], losses_at: usize, scratch: &mut [f32], count: usize, width: usize) {
    for row in 0..count {
        let at: usize = x_at + row * width;
        let largest: f32 = row_max(x, at, width);
        for i in 0..width {
            scratch[i] = exp_negative_f32(x[at + i] - largest);
        }
        let log: f32 = ln_f32(row_sum(scratch, 0, width));
        let own: f32 = x[at + classes[classes_at + row] as usize] - largest;
        losses[losses_at + row] = (log - own) * factor;
    }
}

/// `cross_entropy`, and its gradient.
fn cross_entropy_slopes(x: &[f32], x_at: usize, classes: &[u32], classes_at: usize, factor: f32, losses: &mut [f32], losses_at: usize, y: &mut [f32], y_at: usize, count: usize, width: usize) {
    for row in 0..count {
        let at: usize = row * width;
        let class: usize = classes[classes_at + row] as usize;
        let largest: f32 = row_max(x, x_at + at, width);
        let sum: f32 = row_exponentials(x, x_at + at, largest, y, y_at + at, width);
        let scale: f32 = factor / sum;
        let own: f32 = x[x_at + at + class] - largest;
        losses[losses_at + row] = (ln_f32(sum) - own) * factor;
        for i in 0..width {
            y[y_at + at + i] = y[y_at + at + i] * scale;
        }
        y[y_at + at + class] = y[y_at + at + class] - factor;
    }
}

/// y·(g − Σ g·y)
fn softmax_backward(y: &[f32], y_at: usize, g: &[f32], g_at: usize, out: &mut [f32], out_at: usize, count: usize, width: usize) {
    for row in 0..count {
        let at: usize = row * width;
        for i in 0..width {
            out[out_at + at + i] = g[g_at + at + i] * y[y_at + at + i];
        }
        let mean: f32 = row_sum(out, out_at + at, width);
        for i in 0..width {
            let difference: f32 = g[g_at + at + i] - mean;
            out[out_at + at + i] = y[y_at + at + i] * difference;
        }
    }
}

/// g − exp(y)·Σ g
fn log_softmax_backward(y: &[f32], y_at: usize, g: &[f32], g_at: usize, out: &mut [f32], out_at: usize, count: usize, width: usize) {
    for row in 0..count {
        let at: usize = row * width;
        let total: f32 = row_sum(g, g_at + at, width);
        for i in 0..width {
            let part: f32 = exp_f32(y[y_at + at + i]) * total;
            out[out_at + at + i] = g[g_at + at + i] - part;
        }
    }
}

/// A convolution of one group of one image: element (channel, ky, kx) after the other, with 0 outside of the image. The sums start at
/// the bias or, if not `ahead`, get it at the end and are of blocks of 512 elements, as those of `matmul`.
fn conv(x: &[f32], x_at: usize, w: &[f32], w_at: usize, bias: &[f32], bias_at: usize, y: &mut [f32], y_at: usize, biased: bool, ahead: bool, inputs: usize, outputs: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for o in 0..outputs {
        for row in 0..to_high {
            for column in 0..to_wide {
                let mut total: f32 = 0.0;
                let mut sum: f32 = 0.0;
                if biased && ahead {
                    sum = bias[bias_at + o];
                }
                let mut count: usize = 0;
                for c in 0..inputs {
                    for ky in 0..kernel_high {
                        for kx in 0..kernel_wide {
                            let at_row: usize = row * step_high + ky * far_high;
                            let at_column: usize = column * step_wide + kx * far_wide;
                            let mut value: f32 = 0.0;
                            if at_row >= pad_high && at_row < high + pad_high && at_column >= pad_wide && at_column < wide + pad_wide {
                                value = x[x_at + (c * high + at_row - pad_high) * wide + at_column - pad_wide];
                            }
                            if !ahead && count > 0 && count % 512 == 0 {
                                total = if count == 512 { sum } else { total + sum };
                                sum = 0.0;
                            }
                            count = count + 1;
                            sum = value.mul_add(w[w_at + ((o * inputs + c) * kernel_high + ky) * kernel_wide + kx], sum);
                        }
                    }
                }
                if !ahead && count > 512 {
                    sum = total + sum;
                }
                if biased && !ahead {
                    sum = sum + bias[bias_at + o];
                }
                y[y_at + (o * to_high + row) * to_wide + column] = sum;
            }
        }
    }
}

/// The largest element of each window; a NaN counts as the largest.
fn max_pool(x: &[f32], x_at: usize, y: &mut [f32], y_at: usize, images: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for image in 0..images {
        for row in 0..to_high {
            for column in 0..to_wide {
                let mut best: f32 = -f32::INFINITY;
                for ky in 0..kernel_high {
                    for kx in 0..kernel_wide {
                        let at_row: usize = row * step_high + ky * far_high;
                        let at_column: usize = column * step_wide + kx * far_wide;
                        if at_row >= pad_high && at_row < high + pad_high && at_column >= pad_wide && at_column < wide + pad_wide {
                            let value: f32 = x[x_at + (image * high + at_row - pad_high) * wide + at_column - pad_wide];
                            if best == best && !(value <= best) {
                                best = value;
                            }
                        }
                    }
                }
                y[y_at + (image * to_high + row) * to_wide + column] = best;
            }
        }
    }
}

/// Whether all numbers are finite.
fn is_finite(x: &[f32], x_at: usize, n: usize) -> bool {
    for i in 0..n {
        if !(x[x_at + i].abs() < f32::INFINITY) {
            return false;
        }
    }
    true
}

/// √x, rounded correctly: the root of an integer, digit by digit.
fn root_f32(x: f32) -> f32 {
    if !(x > 0.0) || x == f32::INFINITY {
        return if x < 0.0 { f32::NAN } else { x };
    }
    let mut bits: u32 = x.to_bits();
    let mut exponent: u32 = bits >> 23;
    if exponent == 0 {
        bits = (x * 33554432.0).to_bits();
        exponent = (bits >> 23) + 231;
    } else {
        exponent = exponent + 256;
    }
    let mut mantissa: u32 = (bits & 8388607) | 8388608;
    if exponent & 1 == 0 {
        mantissa = mantissa << 1;
    }
    mantissa = mantissa << 1;
    let mut root: u32 = 0;
    let mut twice: u32 = 0;
    let mut digit: u32 = 16777216;
    while digit != 0 {
        let next: u32 = twice + digit;
        if next <= mantissa {
            twice = next + digit;
            mantissa = mantissa - next;
            root = root + digit;
        }
        mantissa = mantissa << 1;
        digit = digit >> 1;
    }
    if mantissa != 0 {
        root = root + (root & 1);
    }
    f32::from_bits((root >> 1) + (((exponent + 1) / 2 - 66) << 23))
}

/// a·b + c, rounded once: the product is exact in f64, and the sum rounded to odd there.
fn fused_f32(a: f32, b: f32, c: f32) -> f32 {
    let product: f64 = (a as f64) * (b as f64);
    let other: f64 = c as f64;
    let sum: f64 = product + other;
    let part: f64 = sum - product;
    let error: f64 = (product - (sum - part)) + (other - part);
    let mut bits: u64 = sum.to_bits();
    if (error > 0.0 || error < 0.0) && bits & 1 == 0 {
        if (error > 0.0) == (sum > 0.0) {
            bits = bits + 1;
        } else {
            bits = bits - 1;
        }
    }
    f64::from_bits(bits) as f32
}

/// √x of a normal number, as `root_f32`.
fn root_f64(x: f64) -> f64 {
    if !(x > 0.0) || x == f64::INFINITY {
        return if x < 0.0 { f64::NAN } else { x };
    }
    let bits: u64 = x.to_bits();
    let exponent: u64 = bits >> 52;
    let mut mantissa: u64 = (bits & 4503599627370495) | 4503599627370496;
    if exponent & 1 == 0 {
        mantissa = mantissa << 1;
    }
    mantissa = mantissa << 1;
    let mut root: u64 = 0;
    let mut twice: u64 = 0;
    let mut digit: u64 = 9007199254740992;
    while digit != 0 {
        let next: u64 = twice + digit;
        if next <= mantissa {
            twice = next + digit;
            mantissa = mantissa - next;
            root = root + digit;
        }
        mantissa = mantissa << 1;
        digit = digit >> 1;
    }
    if mantissa != 0 {
        root = root + (root & 1);
    }
    f64::from_bits((root >> 1) + (((exponent + 1) / 2 + 510) << 52))
}

/// a·b + c, rounded once, where no product overflows or is subnormal: S. Boldo and G. Melquiond 2008.
fn fused_f64(a: f64, b: f64, c: f64) -> f64 {
    let wide_a: f64 = a * 134217729.0;
    let wide_b: f64 = b * 134217729.0;
    let high_a: f64 = wide_a - (wide_a - a);
    let high_b: f64 = wide_b - (wide_b - b);
    let low_a: f64 = a - high_a;
    let low_b: f64 = b - high_b;
    let product: f64 = a * b;
    let lost: f64 = low_a * low_b - (((product - high_a * high_b) - low_a * high_b) - high_a * low_b);
    let near: f64 = c + lost;
    let near_part: f64 = near - c;
    let near_lost: f64 = (c - (near - near_part)) + (lost - near_part);
    let sum: f64 = product + near;
    let sum_part: f64 = sum - product;
    let sum_lost: f64 = (product - (sum - sum_part)) + (near - sum_part);
    let rest: f64 = near_lost + sum_lost;
    let rest_part: f64 = rest - near_lost;
    let error: f64 = (near_lost - (rest - rest_part)) + (sum_lost - rest_part);
    let mut bits: u64 = rest.to_bits();
    if (error > 0.0 || error < 0.0) && bits & 1 == 0 {
        if (error > 0.0) == (rest > 0.0) {
            bits = bits + 1;
        } else {
            bits = bits - 1;
        }
    }
    sum + f64::from_bits(bits)
}

/// Σ x² in lanes.
fn lanes_squares(x: &[f32], x_at: usize, n: usize) -> f64 {
    let mut total: [f64; 16] = [0.0; 16];
    let mut from: usize = 0;
    while from < n {
        let to: usize = if n - from < 512 { n } else { from + 512 };
        let whole: usize = from + (to - from) / 32 * 32;
        let mut lane: [f32; 32] = [0.0; 32];
        for i in from..whole {
            let l: usize = (i - from) % 32;
            lane[l] = x[x_at + i].mul_add(x[x_at + i], lane[l]);
        }
        for i in 0..16 {
            total[i] = total[i] + (lane[i] + lane[i + 16]) as f64;
        }
        for i in whole..to {
            let l: usize = (i - whole) % 16;
            total[l] = total[l] + (x[x_at + i] * x[x_at + i]) as f64;
        }
        from = to;
    }
    across(&mut total)
}

/// The norm of a gradient; also where squares overflow or vanish.
fn gradient_norm(x: &[f32], x_at: usize, n: usize) -> f64 {
    let squares: f64 = (lanes_squares(x, x_at, n) as f32) as f64;
    if squares > 1e-28 && squares < 1e28 {
        return root_f64(squares);
    }
    let mut largest: f64 = 0.0;
    for i in 0..n {
        let size: f64 = x[x_at + i].abs() as f64;
        largest = if size > largest { size } else { largest };
    }
    if largest == 0.0 {
        return 0.0;
    }
    let mut sum: f64 = 0.0;
    for i in 0..n {
        let part: f64 = x[x_at + i] as f64 / largest;
        sum = sum + part * part;
    }
    largest * root_f64(sum)
}

/// Element `number` along an axis of length `to`: the weighted mean of a window.
fn resample(x: &[f32], x_at: usize, y: &mut [f32], y_at: usize, outer: usize, from: usize, to: usize, inner: usize, number: usize, start: usize, len: usize, first: f32, rest: f32, divisor: f32) {
    for o in 0..outer {
        for i in 0..inner {
            let mut sum: f32 = 0.0;
            for k in 0..len {
                let weight: f32 = if k == 0 { first } else { rest };
                let part: f32 = weight * x[x_at + (o * from + start + k) * inner + i];
                sum = sum + part;
            }
            y[y_at + (o * to + number) * inner + i] = sum / divisor;
        }
    }
}

/// Rows of one array between those of others.
fn copy_rows(x: &[f32], x_at: usize, y: &mut [f32], y_at: usize, count: usize, row: usize, total: usize) {
    for i in 0..count {
        for j in 0..row {
            y[y_at + i * total + j] = x[x_at + i * row + j];
        }
    }
}

/// The first bits of 2/π behind the point.
const TWO_OVER_PI: [u64; 4] = [0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561];

/// `count` binary digits of 2/π·2ᵉ modulo 4 from digit `skip` on, where digit 0 is worth 2, over 2ᵉ.
fn quarter_digits(e: usize, skip: usize, count: usize) -> f64 {
    let mut value: u64 = 0;
    for i in 0..count {
        let place: usize = e + skip + i;
        value = value << 1;
        if place > 1 {
            value = value | ((TWO_OVER_PI[(place - 2) / 64] >> (63 - (place - 2) % 64)) & 1);
        }
    }
    let scale: u64 = (1025 - e - skip - count) as u64;
    value as f64 * f64::from_bits(scale << 52)
}

/// x = (n + part)·π/2 up to whole turns, as `reduce::quarter_turns_f32`, whose table is computed here.
fn quarter_turns_f32(x: f32) -> (f64, u64) {
    let row: u32 = (x.to_bits() >> 23) & 255;
    let mut high: f64 = 0.6366197690367699;
    let mut low: f64 = 0.0000000033308114761321754;
    if row >= 150 {
        let e: usize = (row - 150) as usize;
        high = quarter_digits(e, 0, 29);
        low = quarter_digits(e, 29, 53);
    }
    let wide: f64 = x as f64;
    let product: f64 = wide * high;
    let shifted: f64 = wide.mul_add(low, product) + 6755399441055744.0;
    let part: f64 = product - (shifted - 6755399441055744.0);
    (wide.mul_add(low, part), shifted.to_bits())
}

/// The remainder of a division, with the sign of the divisor: the digits of the quotient one by one, all of which is exact in f64.
fn remainder_f32(x: f32, divisor: f32) -> f32 {
    let by: f64 = divisor.abs() as f64;
    let mut rest: f64 = x.abs() as f64;
    if !(rest < f64::INFINITY) || !(by > 0.0) {
        return f32::NAN;
    }
    let mut part: f64 = by;
    while part <= rest {
        part = part + part;
    }
    while part > by {
        part = part * 0.5;
        if rest >= part {
            rest = rest - part;
        }
    }
    let left: f32 = (rest as f32).copysign(x);
    if left == 0.0 {
        return left.copysign(divisor);
    }
    if (left > 0.0) == (divisor > 0.0) { left } else { left + divisor }
}

/// The largest integer ≤ x.
fn floor_f32(x: f32) -> f32 {
    let whole: f32 = round_f32(x);
    if whole > x { whole - 1.0 } else { whole }
}

/// A sum over group `j` of an array of shape (outer, groups, inner), as `norm::sums`.
fn group_sum(kind: usize, x: &[f32], x_at: usize, g: &[f32], g_at: usize, mean: f32, scale: f32, shift: f32, outer: usize, groups: usize, inner: usize, j: usize) -> f64 {
    let mut total: [f64; 16] = [0.0; 16];
    for o in 0..outer {
        let start: usize = (o * groups + j) * inner;
        if inner == 1 {
            total[0] = total[0] + lane_term(kind, x[x_at + start], g[g_at + start], mean, scale, shift) as f64;
        } else {
            lanes(kind, x, x_at + start, g, g_at + start, mean, scale, shift, inner, &mut total);
        }
    }
    across(&mut total)
}

/// The variance of a group, and how far its mean is from the true one.
fn group_variance(x: &[f32], x_at: usize, mean: f32, centred: bool, outer: usize, groups: usize, inner: usize, j: usize) -> (f64, f64) {
    let n: f64 = (outer * inner) as f64;
    let squares: f64 = group_sum(1, x, x_at, x, x_at, mean, 0.0, 0.0, outer, groups, inner, j) / n;
    let mut left: f64 = 0.0;
    if centred {
        left = group_sum(0, x, x_at, x, x_at, mean, 0.0, 0.0, outer, groups, inner, j) / n;
    }
    let variance: f64 = squares - left * left;
    (if variance < 0.0 { 0.0 } else { variance }, left)
}

/// The mean of each group, and the scale and the shift that standardise it.
fn moments(x: &[f32], x_at: usize, mean: &mut [f32], scale: &mut [f32], shift: &mut [f32], outer: usize, groups: usize, inner: usize, eps: f64, centred: bool) {
    for j in 0..groups {
        mean[j] = 0.0;
        if centred {
            mean[j] = (group_sum(0, x, x_at, x, x_at, 0.0, 0.0, 0.0, outer, groups, inner, j) / (outer * inner) as f64) as f32;
        }
        let (variance, left) = group_variance(x, x_at, mean[j], centred, outer, groups, inner, j);
        let factor: f64 = 1.0 / root_f64(variance + eps);
        scale[j] = factor as f32;
        shift[j] = (-left * factor) as f32;
    }
}

/// The variance of each group.
fn variances(x: &[f32], x_at: usize, mean: &[f32], y: &mut [f32], outer: usize, groups: usize, inner: usize, centred: bool) {
    for j in 0..groups {
        let (variance, _) = group_variance(x, x_at, mean[j], centred, outer, groups, inner, j);
        y[j] = variance as f32;
    }
}

/// y = (x − mean)·scale + shift
fn standardize(x: &[f32], x_at: usize, mean: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32], y_at: usize, outer: usize, groups: usize, inner: usize) {
    for row in 0..outer * groups {
        let j: usize = row % groups;
        for i in 0..inner {
            let product: f32 = (x[x_at + row * inner + i] - mean[j]) * scale[j];
            y[y_at + row * inner + i] = product + shift[j];
        }
    }
}

/// y·weight + bias of each group.
fn affine_groups(weight: &[f32], weight_at: usize, bias: &[f32], bias_at: usize, y: &mut [f32], y_at: usize, outer: usize, groups: usize, inner: usize) {
    for row in 0..outer * groups {
        let j: usize = row % groups;
        for i in 0..inner {
            let product: f32 = y[y_at + row * inner + i] * weight[weight_at + j];
            y[y_at + row * inner + i] = product + bias[bias_at + j];
        }
    }
}

/// The sums of each group.
fn group_sums(kind: usize, x: &[f32], x_at: usize, g: &[f32], g_at: usize, mean: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32], outer: usize, groups: usize, inner: usize) {
    for j in 0..groups {
        y[j] = group_sum(kind, x, x_at, g, g_at, mean[j], scale[j], shift[j], outer, groups, inner, j) as f32;
    }
}

/// scale·(g − mean g − y·mean g·y), without the first mean unless `centred`, and times the weight if `weighted`.
fn standardize_backward(x: &[f32], x_at: usize, g: &[f32], g_at: usize, mean: &[f32], scale: &[f32], shift: &[f32], weight: &[f32], weight_at: usize, y: &mut [f32], y_at: usize, outer: usize, groups: usize, inner: usize, centred: bool, weighted: bool) {
    let n: f64 = (outer * inner) as f64;
    for j in 0..groups {
        let mut plain: f32 = 0.0;
        if centred {
            plain = (group_sum(2, x, x_at, g, g_at, mean[j], scale[j], shift[j], outer, groups, inner, j) / n) as f32;
        }
        let along: f32 = (group_sum(3, x, x_at, g, g_at, mean[j], scale[j], shift[j], outer, groups, inner, j) / n) as f32;
        let slope: f32 = if weighted { weight[weight_at + j] * scale[j] } else { scale[j] };
        for o in 0..outer {
            for i in 0..inner {
                let at: usize = (o * groups + j) * inner + i;
                let product: f32 = (x[x_at + at] - mean[j]) * scale[j];
                let part: f32 = (product + shift[j]) * along;
                let difference: f32 = (g[g_at + at] - plain) - part;
                y[y_at + at] = slope * difference;
            }
        }
    }
}

/// The transpose of `conv` for one group of one image, perhaps with a bias.
fn conv_transpose(w: &[f32], w_at: usize, g: &[f32], g_at: usize, bias: &[f32], bias_at: usize, x: &mut [f32], x_at: usize, biased: bool, inputs: usize, outputs: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for c in 0..inputs {
        for i in 0..high * wide {
            x[x_at + c * high * wide + i] = if biased { bias[bias_at + c] } else { 0.0 };
        }
        for o in 0..outputs {
            for row in 0..to_high {
                for column in 0..to_wide {
                    for ky in 0..kernel_high {
                        for kx in 0..kernel_wide {
                            let at_row: usize = row * step_high + ky * far_high;
                            let at_column: usize = column * step_wide + kx * far_wide;
                            if at_row >= pad_high && at_row < high + pad_high && at_column >= pad_wide && at_column < wide + pad_wide {
                                let at: usize = x_at + (c * high + at_row - pad_high) * wide + at_column - pad_wide;
                                x[at] = g[g_at + (o * to_high + row) * to_wide + column].mul_add(w[w_at + ((o * inputs + c) * kernel_high + ky) * kernel_wide + kx], x[at]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds the gradient of the kernel of one group of one image.
fn conv_kernel(x: &[f32], x_at: usize, g: &[f32], g_at: usize, w: &mut [f32], w_at: usize, inputs: usize, outputs: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for o in 0..outputs {
        for c in 0..inputs {
            for ky in 0..kernel_high {
                for kx in 0..kernel_wide {
                    let mut sum: f32 = 0.0;
                    for row in 0..to_high {
                        for column in 0..to_wide {
                            let at_row: usize = row * step_high + ky * far_high;
                            let at_column: usize = column * step_wide + kx * far_wide;
                            if at_row >= pad_high && at_row < high + pad_high && at_column >= pad_wide && at_column < wide + pad_wide {
                                let value: f32 = x[x_at + (c * high + at_row - pad_high) * wide + at_column - pad_wide];
                                sum = value.mul_add(g[g_at + (o * to_high + row) * to_wide + column], sum);
                            }
                        }
                    }
                    let at: usize = w_at + ((o * inputs + c) * kernel_high + ky) * kernel_wide + kx;
                    w[at] = w[at] + sum;
                }
            }
        }
    }
}

/// The blocks of each piece of x that start at the places; zeros for a place below 0.
fn take(x: &[f32], x_at: usize, starts: &[i32], y: &mut [f32], pieces: usize, count: usize, block: usize, period: usize) {
    for row in 0..pieces * count {
        let start: i32 = starts[row % count];
        for i in 0..block {
            y[row * block + i] = if start < 0 { 0.0 } else { x[x_at + row / count * period + start as usize + i] };
        }
    }
}

/// Adds x to the blocks of each piece of y that start at the places, or writes it there.
fn put(x: &[f32], x_at: usize, starts: &[i32], y: &mut [f32], pieces: usize, count: usize, block: usize, period: usize, adds: bool) {
    for row in 0..pieces * count {
        let start: i32 = starts[row % count];
        if start >= 0 {
            for i in 0..block {
                let at: usize = row / count * period + start as usize + i;
                let own: f32 = x[x_at + row * block + i];
                y[at] = if adds { y[at] + own } else { own };
            }
        }
    }
}

fn clear(y: &mut [f32], n: usize) {
    for i in 0..n {
        y[i] = 0.0;
    }
}

/// Where the largest element of each window is in its image.
fn max_places(x: &[f32], x_at: usize, places: &mut [u32], images: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for image in 0..images {
        for row in 0..to_high {
            for column in 0..to_wide {
                let mut best: f32 = -f32::INFINITY;
                let mut place: u32 = 4294967295;
                for ky in 0..kernel_high {
                    for kx in 0..kernel_wide {
                        let at_row: usize = row * step_high + ky * far_high;
                        let at_column: usize = column * step_wide + kx * far_wide;
                        if at_row >= pad_high && at_row < high + pad_high && at_column >= pad_wide && at_column < wide + pad_wide {
                            let at: usize = (at_row - pad_high) * wide + at_column - pad_wide;
                            let value: f32 = x[x_at + image * high * wide + at];
                            if place == 4294967295 || (best == best && !(value <= best)) {
                                best = value;
                                place = at as u32;
                            }
                        }
                    }
                }
                places[(image * to_high + row) * to_wide + column] = place;
            }
        }
    }
}

/// Zeros with each element added at its place in its image.
fn pool_scatter(g: &[f32], g_at: usize, places: &[u32], places_at: usize, y: &mut [f32], y_at: usize, images: usize, width: usize, size: usize) {
    for i in 0..images * size {
        y[y_at + i] = 0.0;
    }
    for i in 0..images * width {
        if places[places_at + i] != 4294967295 {
            let at: usize = y_at + i / width * size + places[places_at + i] as usize;
            y[at] = y[at] + g[g_at + i];
        }
    }
}

/// Adds the transpose of `resample` for element `number` of the axis.
fn resample_transpose(g: &[f32], g_at: usize, y: &mut [f32], y_at: usize, outer: usize, from: usize, to: usize, inner: usize, number: usize, start: usize, len: usize, first: f32, rest: f32, divisor: f32) {
    for o in 0..outer {
        for k in 0..len {
            let weight: f32 = if k == 0 { first } else { rest };
            for i in 0..inner {
                let quotient: f32 = g[g_at + (o * to + number) * inner + i] / divisor;
                let at: usize = y_at + (o * from + start + k) * inner + i;
                let part: f32 = weight * quotient;
                y[at] = y[at] + part;
            }
        }
    }
}

/// x / ‖x‖ of each row, and ‖x‖; a row of zeros stays zero.
fn normalize_rows(x: &[f32], x_at: usize, y: &mut [f32], y_at: usize, lengths: &mut [f32], count: usize, width: usize) {
    for row in 0..count {
        let at: usize = row * width;
        let mut largest: f32 = 0.0;
        for i in 0..width {
            let own: f32 = x[x_at + at + i].abs();
            largest = if own > largest || own != own { own } else { largest };
            y[y_at + at + i] = own * own;
        }
        let squares: f32 = row_sum(y, y_at + at, width);
        let mut length: f32 = largest;
        if squares > 1e-28 && squares < 1e28 {
            length = root_f32(squares);
        } else if largest > 0.0 && largest < f32::INFINITY {
            let mut scaled: f32 = 0.0;
            for i in 0..width {
                let part: f32 = x[x_at + at + i] / largest;
                let square: f32 = part * part;
                scaled = scaled + square;
            }
            length = largest * root_f32(scaled);
        }
        lengths[row] = length;
        let divisor: f32 = if length == 0.0 { 1.0 } else { length };
        for i in 0..width {
            y[y_at + at + i] = x[x_at + at + i] / divisor;
        }
    }
}

/// (g − y·Σ g·y) / ‖x‖; 0 for a row of zeros.
fn normalize_rows_backward(y: &[f32], y_at: usize, lengths: &[f32], g: &[f32], g_at: usize, out: &mut [f32], out_at: usize, count: usize, width: usize) {
    for row in 0..count {
        let at: usize = row * width;
        for i in 0..width {
            out[out_at + at + i] = g[g_at + at + i] * y[y_at + at + i];
        }
        let along: f32 = row_sum(out, out_at + at, width);
        let length: f32 = lengths[row];
        let scale: f32 = 1.0 / length;
        for i in 0..width {
            let part: f32 = y[y_at + at + i] * along;
            let difference: f32 = g[g_at + at + i] - part;
            let mut slope: f32 = difference * scale;
            if length == 0.0 {
                slope = 0.0;
            } else if !(scale.abs() < f32::INFINITY) {
                slope = difference / length;
            }
            out[out_at + at + i] = slope;
        }
    }
}

/// Whether all numbers are within the bounds or, if `absolute`, their absolute values are.
fn in_range(x: &[f32], x_at: usize, n: usize, low: f32, high: f32, absolute: bool) -> bool {
    for i in 0..n {
        let own: f32 = if absolute { x[x_at + i].abs() } else { x[x_at + i] };
        if !(own >= low && own <= high) {
            return false;
        }
    }
    true
}

/// Block `number` of the ChaCha stream of a key, with 8 rounds.
fn chacha8(key: &[u32], number: u64, x: &mut [u32]) {
    let mut first: [u32; 16] = [0; 16];
    first[0] = 0x61707865;
    first[1] = 0x3320646e;
    first[2] = 0x79622d32;
    first[3] = 0x6b206574;
    for i in 0..8 {
        first[4 + i] = key[i];
    }
    first[12] = number as u32;
    first[13] = (number >> 32) as u32;
    for i in 0..16 {
        x[i] = first[i];
    }
    for round in 0..32 {
        let a: usize = round % 4;
        let turn: usize = round / 4 % 2;
        let b: usize = 4 + (a + turn) % 4;
        let c: usize = 8 + (a + 2 * turn) % 4;
        let d: usize = 12 + (a + 3 * turn) % 4;
        x[a] = x[a].wrapping_add(x[b]);
        x[d] = x[d] ^ x[a];
        x[d] = (x[d] << 16) | (x[d] >> 16);
        x[c] = x[c].wrapping_add(x[d]);
        x[b] = x[b] ^ x[c];
        x[b] = (x[b] << 12) | (x[b] >> 20);
        x[a] = x[a].wrapping_add(x[b]);
        x[d] = x[d] ^ x[a];
        x[d] = (x[d] << 8) | (x[d] >> 24);
        x[c] = x[c].wrapping_add(x[d]);
        x[b] = x[b] ^ x[c];
        x[b] = (x[b] << 7) | (x[b] >> 25);
    }
    for i in 0..16 {
        x[i] = x[i].wrapping_add(first[i]);
    }
}

/// 0 where a uniform number of `Rng` is below p, else `kept`: those from number `start` on that a seed gives.
fn random_mask(seed: u64, start: usize, y: &mut [f32], n: usize, p: f64, kept: f32) {
    let mut key: [u32; 8] = [0; 8];
    let mut state: u64 = seed;
    for i in 0..8 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(11634580027462260723);
        let word: u32 = (((state >> 18) ^ state) >> 27) as u32;
        let by: u32 = (state >> 59) as u32;
        key[i] = (word >> by) | (word << ((32 - by) & 31));
    }
    let mut block: [u32; 16] = [0; 16];
    for i in 0..n {
        let place: usize = (start + i) % 8;
        if i == 0 || place == 0 {
            chacha8(&key, ((start + i) / 8) as u64, &mut block);
        }
        let low: u64 = block[2 * place] as u64;
        let high: u64 = block[2 * place + 1] as u64;
        let uniform: f64 = (((high << 32) | low) >> 11) as f64 * 1.1102230246251565e-16;
        y[i] = if uniform < p { 0.0 } else { kept };
    }
}
