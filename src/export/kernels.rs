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
        for i in from..to {
            let p: usize = (i - from) % 16;
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

/// y = x·wᵀ + b, where x is m × k and w is n × k.
fn affine(x: &[f32], x_at: usize, w: &[f32], w_at: usize, b: &[f32], b_at: usize, y: &mut [f32], y_at: usize, m: usize, k: usize, n: usize) {
    for i in 0..m {
        for j in 0..n {
            let mut sum: f32 = 0.0;
            if n == 1 || m == 1 {
                sum = places_dot(w, w_at + j * k, x, x_at + i * k, k);
            } else {
                for p in 0..k {
                    sum = x[x_at + i * k + p].mul_add(w[w_at + j * k + p], sum);
                }
            }
            y[y_at + i * n + j] = b[b_at + j] + sum;
        }
    }
}

/// y = a·b, each element one fused multiply-add after the other.
fn matmul(a: &[f32], a_at: usize, a_row: usize, a_column: usize, b: &[f32], b_at: usize, b_row: usize, b_column: usize, y: &mut [f32], y_at: usize, m: usize, k: usize, n: usize) {
    for i in 0..m {
        for j in 0..n {
            let mut sum: f32 = 0.0;
            for p in 0..k {
                sum = a[a_at + i * a_row + p * a_column].mul_add(b[b_at + p * b_row + j * b_column], sum);
            }
            y[y_at + i * n + j] = sum;
        }
    }
}

/// y = rows·vector, where each row is stored in one piece.
fn rows_vector(rows: &[f32], rows_at: usize, stride: usize, vector: &[f32], vector_at: usize, y: &mut [f32], y_at: usize, count: usize, k: usize) {
    for i in 0..count {
        y[y_at + i] = places_dot(rows, rows_at + i * stride, vector, vector_at, k);
    }
}

/// y = vector·b, where b is k × n and stored row by row: four rows at a time.
fn vector_matrix(a: &[f32], a_at: usize, a_column: usize, b: &[f32], b_at: usize, b_row: usize, y: &mut [f32], y_at: usize, k: usize, n: usize) {
    for j in 0..n {
        let mut sum: f32 = 0.0;
        let mut i: usize = 0;
        while i + 4 <= k {
            let first: f32 = a[a_at + i * a_column] * b[b_at + i * b_row + j];
            let second: f32 = a[a_at + (i + 1) * a_column] * b[b_at + (i + 1) * b_row + j];
            let third: f32 = a[a_at + (i + 2) * a_column] * b[b_at + (i + 2) * b_row + j];
            let fourth: f32 = a[a_at + (i + 3) * a_column] * b[b_at + (i + 3) * b_row + j];
            let left: f32 = first + second;
            let right: f32 = third + fourth;
            sum = sum + (left + right);
            i = i + 4;
        }
        while i < k {
            let product: f32 = a[a_at + i * a_column] * b[b_at + i * b_row + j];
            sum = sum + product;
            i = i + 1;
        }
        y[y_at + j] = sum;
    }
}

/// Σ x in 32 lanes over blocks of 512, whose pairs are added in f64.
fn lanes_sum(x: &[f32], x_at: usize, n: usize) -> f64 {
    let mut total: [f64; 16] = [0.0; 16];
    let mut from: usize = 0;
    while from < n {
        let to: usize = if n - from < 512 { n } else { from + 512 };
        let whole: usize = from + (to - from) / 32 * 32;
        let mut lane: [f32; 32] = [0.0; 32];
        for i in from..whole {
            let l: usize = (i - from) % 32;
            lane[l] = lane[l] + x[x_at + i];
        }
        for i in 0..16 {
            total[i] = total[i] + (lane[i] + lane[i + 16]) as f64;
        }
        for i in whole..to {
            let l: usize = (i - whole) % 16;
            total[l] = total[l] + x[x_at + i] as f64;
        }
        from = to;
    }
    let mut width: usize = 8;
    while width > 0 {
        for i in 0..width {
            total[i] = total[i] + total[i + width];
        }
        width = width / 2;
    }
    total[0]
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
    let mut width: usize = 8;
    while width > 0 {
        for i in 0..width {
            total[i] = total[i] + total[i + width];
        }
        width = width / 2;
    }
    total[0] as f32
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

/// A convolution of one group of one image: element (channel, ky, kx) after the other, with 0 outside of the image. The sums start at
/// the bias or, if not `ahead`, get it at the end.
fn conv(x: &[f32], x_at: usize, w: &[f32], w_at: usize, bias: &[f32], bias_at: usize, y: &mut [f32], y_at: usize, biased: bool, ahead: bool, inputs: usize, outputs: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for o in 0..outputs {
        for row in 0..to_high {
            for column in 0..to_wide {
                let mut sum: f32 = 0.0;
                if biased && ahead {
                    sum = bias[bias_at + o];
                }
                for c in 0..inputs {
                    for ky in 0..kernel_high {
                        for kx in 0..kernel_wide {
                            let at_row: usize = row * step_high + ky * far_high;
                            let at_column: usize = column * step_wide + kx * far_wide;
                            let mut value: f32 = 0.0;
                            if at_row >= pad_high && at_row < high + pad_high && at_column >= pad_wide && at_column < wide + pad_wide {
                                value = x[x_at + (c * high + at_row - pad_high) * wide + at_column - pad_wide];
                            }
                            sum = value.mul_add(w[w_at + ((o * inputs + c) * kernel_high + ky) * kernel_wide + kx], sum);
                        }
                    }
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
    let mut width: usize = 8;
    while width > 0 {
        for i in 0..width {
            total[i] = total[i] + total[i + width];
        }
        width = width / 2;
    }
    total[0]
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
