// The kernels of integers of 8 bits, which this crate runs and `translate` knows. Activations are stored with 128 added, as u8.

/// The nearest integer, ties to even.
pub(super) fn round_f32(x: f32) -> f32 {
    if !(x.abs() < 8388608.0) {
        return x;
    }
    ((x.abs() + 8388608.0) - 8388608.0).copysign(x)
}

/// Within 0 and 255; a NaN is 0.
fn byte(x: f32) -> u8 {
    let above: f32 = if x > 0.0 { x } else { 0.0 };
    let within: f32 = if above < 255.0 { above } else { 255.0 };
    within as u8
}

/// y = x / scale, rounded to even, + zero
pub(super) fn quantize(x: &[f32], x_at: usize, y: &mut [u8], y_at: usize, count: usize, scale: f32, zero: f32) {
    for i in 0..count {
        y[y_at + i] = byte(round_f32(x[x_at + i] / scale) + zero);
    }
}

/// y = (x − zero)·scale
pub(super) fn dequantize(x: &[u8], x_at: usize, y: &mut [f32], y_at: usize, count: usize, scale: f32, zero: i32) {
    for i in 0..count {
        y[y_at + i] = (x[x_at + i] as i32 - zero) as f32 * scale;
    }
}

/// sum·factor, rounded to even, + zero, within 8 bits: in integers if the factor is a power of two up to 1.
fn requantize(sum: i32, factor: f32, zero: i32) -> u8 {
    let bits: u32 = factor.to_bits();
    let exponent: i32 = (bits >> 23) as i32;
    let mut value: i32 = 0;
    if bits & 8388607 == 0 && exponent < 128 {
        let shift: i32 = if exponent < 97 { 30 } else { 127 - exponent };
        let one: i32 = 1 << shift;
        value = sum >> shift;
        let rest: i32 = sum - value * one;
        if rest > one - rest || (rest == one - rest && value & 1 == 1) {
            value = value + 1;
        }
    } else {
        let whole: f32 = round_f32(sum as f32 * factor);
        let above: f32 = if whole > -512.0 { whole } else { -512.0 };
        let within: f32 = if above < 512.0 { above } else { 512.0 };
        value = within as i32;
    }
    value = value + zero;
    if value < 0 {
        value = 0;
    }
    if value > 255 {
        value = 255;
    }
    value as u8
}

/// y = x·wᵀ + b, where x is m × k and w is n × k.
pub(super) fn affine_u8(x: &[u8], x_at: usize, w: &[i8], b: &[i32], factor: &[f32], y: &mut [u8], y_at: usize, m: usize, k: usize, n: usize, x_zero: i32, y_zero: i32) {
    for i in 0..m {
        for j in 0..n {
            let mut sum: i32 = b[j];
            for p in 0..k {
                sum = sum + (x[x_at + i * k + p] as i32 - x_zero) * w[j * k + p] as i32;
            }
            y[y_at + i * n + j] = requantize(sum, factor[j], y_zero);
        }
    }
}

/// A convolution of one group of one image, with 0 outside of the image.
pub(super) fn conv_u8(x: &[u8], x_at: usize, w: &[i8], w_at: usize, b: &[i32], factor: &[f32], b_at: usize, y: &mut [u8], y_at: usize, x_zero: i32, y_zero: i32, inputs: usize, outputs: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for o in 0..outputs {
        for row in 0..to_high {
            for column in 0..to_wide {
                let mut sum: i32 = b[b_at + o];
                for c in 0..inputs {
                    for ky in 0..kernel_high {
                        let at_row: usize = row * step_high + ky * far_high;
                        if at_row >= pad_high && at_row < high + pad_high {
                            for kx in 0..kernel_wide {
                                let at_column: usize = column * step_wide + kx * far_wide;
                                if at_column >= pad_wide && at_column < wide + pad_wide {
                                    let value: i32 = x[x_at + (c * high + at_row - pad_high) * wide + at_column - pad_wide] as i32 - x_zero;
                                    sum = sum + value * w[w_at + ((o * inputs + c) * kernel_high + ky) * kernel_wide + kx] as i32;
                                }
                            }
                        }
                    }
                }
                y[y_at + (o * to_high + row) * to_wide + column] = requantize(sum, factor[b_at + o], y_zero);
            }
        }
    }
}

/// The largest element of each window.
pub(super) fn max_pool_u8(x: &[u8], x_at: usize, y: &mut [u8], y_at: usize, images: usize, high: usize, wide: usize, to_high: usize, to_wide: usize, kernel_high: usize, kernel_wide: usize, step_high: usize, step_wide: usize, pad_high: usize, pad_wide: usize, far_high: usize, far_wide: usize) {
    for image in 0..images {
        for row in 0..to_high {
            for column in 0..to_wide {
                let mut best: u8 = 0;
                for ky in 0..kernel_high {
                    for kx in 0..kernel_wide {
                        let at_row: usize = row * step_high + ky * far_high;
                        let at_column: usize = column * step_wide + kx * far_wide;
                        if at_row >= pad_high && at_row < high + pad_high && at_column >= pad_wide && at_column < wide + pad_wide {
                            let value: u8 = x[x_at + (image * high + at_row - pad_high) * wide + at_column - pad_wide];
                            best = if value > best { value } else { best };
                        }
                    }
                }
                y[y_at + (image * to_high + row) * to_wide + column] = best;
            }
        }
    }
}
