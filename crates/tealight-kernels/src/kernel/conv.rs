//! Convolution as a matrix product with the windows of an image as columns, or directly for small images (`direct`).
//!
//! The three functions are the derivatives of one trilinear form Σ x·w·g over all positions at which an element of a window lies on
//! an input. Results do not depend on the number of threads.

use std::ops::Range;

mod blocked;
mod columns;
mod direct;
mod plans;
mod winograd;

use super::gemm::multiply;
use super::parallel::{large_product, map_each, parts, product_worthwhile};
use super::{Element, Matrix, WindowAxis, add_assign, buffer, is_finite};
use blocked::Blocked;
use buffer::Scratch;
use direct::Direct;
use winograd::Winograd;

/// Elements of the matrix of windows that are made and multiplied at a time: few enough for a cache.
const BLOCK: usize = if cfg!(test) { 64 } else { 1 << 17 };

/// But at least this many windows, for each of which a large kernel is read.
const FEWEST: usize = if cfg!(test) { 5 } else { 256 };

/// The gradient of a large kernel is summed in this many parts, on several threads.
const PARTS: usize = 8;

/// The parts into which the images of a large convolution are divided for threads.
const SHARES: usize = 32;

/// The sizes of a convolution; `inputs` and `outputs` are the channels of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    pub batch: usize,
    pub groups: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub sides: [WindowAxis; 2],
}

impl Conv {
    pub fn x_dims(&self) -> [usize; 4] {
        let [high, wide] = self.sides;
        [self.batch, self.groups * self.inputs, high.input, wide.input]
    }

    pub fn w_dims(&self) -> [usize; 4] {
        let [high, wide] = self.sides;
        [self.groups * self.outputs, self.inputs, high.kernel, wide.kernel]
    }

    pub fn y_dims(&self) -> [usize; 4] {
        let [high, wide] = self.sides;
        [self.batch, self.groups * self.outputs, high.output, wide.output]
    }

    /// The elements of an array. Saturates: a partial product of an empty shape may overflow.
    pub fn count(dims: [usize; 4]) -> usize {
        dims.iter().fold(1, |count, &size| count.saturating_mul(size))
    }

    /// The elements of a window.
    fn depth(&self) -> usize {
        self.sides.iter().fold(self.inputs, |depth, side| depth.saturating_mul(side.kernel))
    }

    /// The windows of an image.
    fn windows(&self) -> usize {
        self.sides[0].output * self.sides[1].output
    }

    /// The elements of one group's channels of an image.
    fn image(&self) -> usize {
        self.inputs * self.sides[0].input * self.sides[1].input
    }

    /// Multiplications of the whole convolution.
    pub fn work(&self) -> usize {
        [self.batch, self.groups, self.outputs, self.windows()]
            .iter()
            .fold(self.depth(), |product, &n| product.saturating_mul(n))
    }

    /// Whether a convolution is a matrix product whenever it can be one: a page has no room for the loops of numbers that its models
    /// do not have.
    fn is_product_only<T: Element>() -> bool {
        cfg!(target_arch = "wasm32") && size_of::<T>() == 8
    }

    /// Whether the sums of [`conv`] start at the bias, so that it is not added at the end.
    pub fn starts_at_bias<T: Element>(&self) -> bool {
        self.depth() > 0
            && Conv::count(self.y_dims()) > 0
            && (self.blocked::<T>().is_some() || self.direct::<T>().is_some())
    }

    /// Whether [`conv`] adds in another order than that of the elements of a window: by Winograd's transforms.
    pub fn is_tiled<T: Element>(&self) -> bool {
        Conv::count(self.y_dims()) > 0 && Winograd::new::<T>(self).is_some()
    }

    /// Whether the matrix of windows is the image itself.
    fn is_plain(&self) -> bool {
        self.sides
            .iter()
            .all(|side| (side.kernel, side.stride, side.padding) == (1, 1, 0) && side.input == side.output)
    }

    /// Whether there is a single image, and large: only the matrix product uses several threads for it.
    fn is_one_large(&self) -> bool {
        self.batch * self.groups == 1 && large_product(self.work())
    }

    /// Windows that are made at a time.
    fn step(&self) -> usize {
        (BLOCK / self.depth().max(1)).max(FEWEST).min(self.windows()).max(1)
    }

    /// The blocks of windows of an image.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (windows, step) = (self.windows(), self.step());
        (0..windows).step_by(step).map(move |start| start..windows.min(start + step))
    }

    /// Room for a block of the matrix of windows.
    fn buffer<T: Element>(&self) -> Scratch<T> {
        Scratch::zeros(if self.is_plain() { 0 } else { self.depth() * self.step() })
    }

    /// The convolution that equals the transpose of this one, if that has stride 1.
    fn turned(&self) -> Option<Conv> {
        let turned = |side: WindowAxis| {
            let padding = ((side.kernel - 1) * side.dilation).checked_sub(side.padding)?;
            (side.stride == 1).then_some(WindowAxis {
                input: side.output,
                output: side.input,
                padding,
                ..side
            })
        };
        let sides = [turned(self.sides[0])?, turned(self.sides[1])?];
        Some(Conv { inputs: self.outputs, outputs: self.inputs, sides, ..*self })
    }

    /// Calls `f(i, part i, buffer, threads)` for every part of `size` elements, on several threads if that pays; a single part may use
    /// several itself if `threads`.
    fn for_each_part<T: Send, B>(
        &self,
        out: &mut [T],
        size: usize,
        buffer: impl Fn() -> B + Sync,
        f: impl Fn(usize, &mut [T], &mut B, bool) + Sync,
    ) {
        let many = product_worthwhile(self.work());
        let count = out.len() / size;
        // Several at a time, which share a buffer.
        let run = if many && count > 1 { count.div_ceil(SHARES) } else { count };
        parts(out, run * size, many && count > 1, &|first, some| {
            let mut buffer = buffer();
            let some = some.chunks_mut(size).enumerate();
            some.for_each(|(i, part)| f(first * run + i, part, &mut buffer, many && count == 1));
        });
    }
}

/// The convolution of x, or its transpose, with channels last.
fn in_blocks<T: Element>(
    blocked: &Blocked,
    conv: &Conv,
    [image, size]: [usize; 2],
    x: &[T],
    at: impl Fn(usize, usize, usize) -> T,
    bias: Option<&[T]>,
) -> Vec<T> {
    let kernel = blocked.pack(conv.groups, at);
    let (length, channels) = (kernel.len() / conv.groups, bias.map_or(0, |bias| bias.len() / conv.groups));
    // SAFETY: the parts are all of the output, and `convolve` writes every element of its part.
    unsafe {
        buffer::written(conv.batch * conv.groups * size, |y| {
            conv.for_each_part(
                y,
                size,
                || blocked.buffer(),
                |i, y, buffer, _| {
                    let group = i % conv.groups;
                    let kernel = &kernel[group * length..][..length];
                    let bias = bias.map(|bias| &bias[group * channels..][..channels]);
                    blocked.convolve(&x[i * image..][..image], kernel, bias, buffer, y);
                },
            );
        })
    }
}

/// The convolution of x with the kernel whose element d of output o is `at(o, d)`.
fn directly<T: Element>(
    direct: &Direct,
    conv: &Conv,
    x: &[T],
    at: impl Fn(usize, usize) -> T,
    bias: Option<&[T]>,
) -> Vec<T> {
    let (kernel, size) = (direct.pack(at), conv.outputs * conv.windows());
    let length = kernel.len() / conv.groups;
    // SAFETY: the parts are all of the output, and `convolve` writes every element of its part.
    unsafe {
        buffer::written(Conv::count(conv.y_dims()), |y| {
            conv.for_each_part(
                y,
                size,
                || direct.buffer(),
                |i, y, buffer, _| {
                    let group = i % conv.groups;
                    let kernel = &kernel[group * length..][..length];
                    let bias = bias.map(|bias| &bias[group * conv.outputs..][..conv.outputs]);
                    direct.convolve(&x[i * conv.image()..][..conv.image()], kernel, bias, buffer, y);
                },
            );
        })
    }
}

/// The convolution of x with w, which is the kernel of the transposed convolution if `transposed`. This way spreads an infinity, so that images
/// with results that are not finite get those of `plainly`.
fn in_tiles<T: Element>(
    winograd: &Winograd,
    conv: &Conv,
    x: &[T],
    (w, transposed): (&[T], bool),
    bias: Option<&[T]>,
    plainly: impl Fn(&[T]) -> Vec<T>,
) -> Vec<T> {
    let (kernel, size, image) =
        (&winograd.pack(w, transposed)[..], conv.outputs * conv.windows(), conv.image());
    let at_once = winograd.images();
    let rows = winograd.rows();
    // Fewer shares than elsewhere: each has large buffers.
    let share = conv.batch.div_ceil(PARTS).next_multiple_of(at_once).min(conv.batch);
    // SAFETY: the parts are all of the output, and `convolve` writes every element of its part.
    let mut y = unsafe {
        buffer::written(conv.batch * size, |y| {
            if conv.batch == 1 && product_worthwhile(conv.work()) {
                return in_lines(winograd, conv, x, kernel, bias, y);
            }
            conv.for_each_part(
                y,
                share * size,
                || winograd.buffer(),
                |i, y, buffer, _| {
                    for (j, y) in y.chunks_mut(at_once * size).enumerate() {
                        let images = &x[(i * share + j * at_once) * image..][..y.len() / size * image];
                        winograd.convolve(images, rows.clone(), kernel, bias, buffer, y);
                    }
                },
            );
        })
    };
    if !is_finite(&y) {
        for (y, x) in y.chunks_exact_mut(size).zip(x.chunks_exact(image)) {
            if !is_finite(y) {
                y.copy_from_slice(&plainly(x));
            }
        }
    }
    y
}

/// Writes the output of one image, on several threads.
fn in_lines<T: Element>(
    winograd: &Winograd,
    conv: &Conv,
    x: &[T],
    kernel: &[T],
    bias: Option<&[T]>,
    y: &mut [buffer::Uninit<T>],
) {
    let wide = conv.sides[1].output;
    let shares = map_each(winograd.parts(SHARES), |rows| {
        let lines = winograd.lines(&rows);
        // SAFETY: `convolve` writes every element.
        let part = unsafe {
            buffer::written(conv.outputs * lines.len() * wide, |part| {
                winograd.convolve(x, rows, kernel, bias, &mut winograd.buffer(), part);
            })
        };
        (lines, part)
    });
    parts(y, conv.windows(), true, &|channel, y| {
        for (lines, part) in &shares {
            let size = lines.len() * wide;
            let y = y[lines.start * wide..][..size].iter_mut();
            y.zip(&part[channel * size..]).for_each(|(y, &part)| {
                y.write(part);
            });
        }
    });
}

/// Adds `bias[i]` to channel i of an image.
fn add_bias<T: Element>(image: &mut [T], bias: &[T]) {
    let size = (image.len() / bias.len().max(1)).max(1);
    for (channel, &b) in image.chunks_exact_mut(size).zip(bias) {
        channel.iter_mut().for_each(|y| *y += b);
    }
}

/// The convolution of x with w, plus a bias for each channel.
pub fn conv<T: Element>(conv: &Conv, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    if Conv::count(conv.y_dims()) > 0
        && let Some(winograd) = Winograd::new::<T>(conv)
    {
        let one = Conv { batch: 1, ..*conv };
        return in_tiles(&winograd, conv, x, (w, false), bias, |x| plain_conv(&one, x, w, bias));
    }
    plain_conv(conv, x, w, bias)
}

/// [`conv`] by sums over windows.
#[inline(never)]
fn plain_conv<T: Element>(conv: &Conv, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (m, depth, windows) = (conv.outputs, conv.depth(), conv.windows());
    let size = Conv::count(conv.y_dims());
    if size > 0
        && depth > 0
        && let Some(blocked) = conv.blocked::<T>()
    {
        let taps = depth / conv.inputs;
        let at = |o, channel, place| w[o * depth + channel * taps + place];
        return in_blocks(&blocked, conv, [conv.image(), m * windows], x, at, bias);
    }
    if size > 0
        && depth > 0
        && let Some(direct) = conv.direct::<T>()
    {
        return directly(&direct, conv, x, |o, d| w[o * depth + d], bias);
    }
    let mut y = buffer::zeros(size);
    if y.is_empty() {
        return y;
    }
    conv.for_each_part(
        &mut y,
        m * windows,
        || conv.buffer(),
        |i, y, columns, threads| {
            let group = i % conv.groups;
            let image = &x[i * conv.image()..][..conv.image()];
            let kernel = Matrix { data: &w[group * m * depth..], rows: depth, columns: 1 };
            if conv.is_plain() {
                let image = Matrix { data: image, rows: windows, columns: 1 };
                multiply((&mut *y, windows), [m, depth, windows], kernel, image, false, threads);
            } else if depth > 0 {
                for block in conv.blocks() {
                    let n = block.len();
                    conv.gather(image, &block, columns);
                    let columns = Matrix { data: columns, rows: n, columns: 1 };
                    multiply(
                        (&mut y[block.start..], windows),
                        [m, depth, n],
                        kernel,
                        columns,
                        false,
                        threads,
                    );
                }
            }
            if let Some(bias) = bias {
                add_bias(y, &bias[group * m..][..m]);
            }
        },
    );
    y
}

/// The transposed convolution of g with w, which is the gradient of x, plus a bias for each channel.
pub fn conv_transpose<T: Element>(conv: &Conv, w: &[T], g: &[T], bias: Option<&[T]>) -> Vec<T> {
    if Conv::count(conv.x_dims()) > 0
        && let Some(turned) = conv.turned()
        && let Some(winograd) = Winograd::new::<T>(&turned)
    {
        let one = Conv { batch: 1, ..*conv };
        return in_tiles(&winograd, &turned, g, (w, true), bias, |g| plain_transpose(&one, w, g, bias));
    }
    plain_transpose(conv, w, g, bias)
}

/// [`conv_transpose`] by sums over windows.
#[inline(never)]
fn plain_transpose<T: Element>(conv: &Conv, w: &[T], g: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (m, depth, windows) = (conv.outputs, conv.depth(), conv.windows());
    let size = Conv::count(conv.x_dims());
    if size > 0
        && m > 0
        && let Some(blocked) = conv.blocked_transpose::<T>()
        && is_finite(w)
    {
        let taps = depth / conv.inputs;
        let at = |i: usize, o, place| {
            let (group, i) = (i / conv.inputs, i % conv.inputs);
            w[((group * m + o) * conv.inputs + i) * taps + place]
        };
        return in_blocks(&blocked, conv, [m * windows, conv.image()], g, at, bias);
    }
    // The direct way multiplies with the padding of g, too, which gives NaN for an infinity in w.
    if size > 0
        && m > 0
        && let Some(turned) = conv.turned()
        && let Some(direct) = turned.direct::<T>()
        && is_finite(w)
    {
        let taps = depth / conv.inputs;
        let at = |i: usize, d: usize| {
            let (group, i) = (i / conv.inputs, i % conv.inputs);
            w[((group * m + d / taps) * conv.inputs + i) * taps + (taps - 1 - d % taps)]
        };
        return directly(&direct, &turned, g, at, bias);
    }
    if size > 0
        && m > 0
        && let Some(phases) = conv.phases::<T>()
        && is_finite(w)
    {
        let (taps, phases) = (depth / conv.inputs, &*phases);
        let kernels = phases.pack(|i, o, place| {
            let (group, i) = (i / conv.inputs, i % conv.inputs);
            w[((group * m + o) * conv.inputs + i) * taps + place]
        });
        // SAFETY: the parts are all of the output, and `convolve` writes every element of its part.
        return unsafe {
            buffer::written(size, |x| {
                conv.for_each_part(
                    x,
                    conv.image(),
                    || phases.buffer(),
                    |i, x, buffers, _| {
                        let group = i % conv.groups;
                        let bias = bias.map(|bias| &bias[group * conv.inputs..][..conv.inputs]);
                        let (g, size) =
                            (&g[i * m * windows..][..m * windows], conv.sides.map(|side| side.input));
                        phases.convolve(g, (group, &kernels), bias, buffers, size, x);
                    },
                );
            })
        };
    }
    let mut x = buffer::zeros(size);
    if x.is_empty() {
        return x;
    }
    conv.for_each_part(
        &mut x,
        conv.image(),
        || conv.buffer(),
        |i, image, columns, threads| {
            let group = i % conv.groups;
            let g = &g[i * m * windows..][..m * windows];
            let kernel = Matrix { data: &w[group * m * depth..], rows: 1, columns: depth };
            let from = |start| Matrix { data: &g[start..], rows: windows, columns: 1 };
            if conv.is_plain() {
                multiply((&mut *image, windows), [depth, m, windows], kernel, from(0), false, threads);
            } else if m > 0 {
                for block in conv.blocks() {
                    let n = block.len();
                    multiply((columns, n), [depth, m, n], kernel, from(block.start), false, threads);
                    conv.scatter(columns, &block, image);
                }
            }
            if let Some(bias) = bias {
                add_bias(image, &bias[group * conv.inputs..][..conv.inputs]);
            }
        },
    );
    x
}

/// Adds the other parts of `size` elements to the first.
fn add_parts<T: Element>(sums: &mut [T], size: usize) {
    let (sum, rest) = sums.split_at_mut(size);
    rest.chunks_exact(size).for_each(|part| add_assign(sum, part));
}

/// The sum of arrays of `size` elements, one for each of the `parts`, to which `add(part, array, buffer, threads)` adds.
fn sum_of_parts<T: Element, B>(
    conv: &Conv,
    [parts, size]: [usize; 2],
    buffer: impl Fn() -> B + Sync,
    add: impl Fn(usize, &mut [T], &mut B, bool) + Sync,
) -> Vec<T> {
    let mut sum = buffer::zeros(size);
    let mut sums = Scratch::zeros(if parts == 1 { 0 } else { parts * size });
    // One call: what `add` does is compiled into it.
    conv.for_each_part(if parts == 1 { &mut sum } else { &mut sums }, size, buffer, add);
    if parts > 1 {
        add_parts(&mut sums, size);
        sum.copy_from_slice(&sums[..size]);
    }
    sum
}

/// The gradient of the kernel.
#[inline(never)]
pub fn conv_kernel<T: Element>(conv: &Conv, x: &[T], g: &[T]) -> Vec<T> {
    let (m, depth, windows) = (conv.outputs, conv.depth(), conv.windows());
    let size = Conv::count(conv.w_dims());
    if size == 0 || conv.batch == 0 {
        return buffer::zeros(size);
    }
    let parts = if large_product(conv.work()) { PARTS.min(conv.batch) } else { 1 };
    let images = |part: usize| part * conv.batch / parts..(part + 1) * conv.batch / parts;
    if !conv.is_one_large()
        && let Some(winograd) = Winograd::new::<T>(conv)
    {
        let (sum_size, at_once) = (winograd.kernel_size(), winograd.images());
        let add = |part: usize, sum: &mut [T], buffer: &mut [T]| {
            let images = images(part);
            for first in images.clone().step_by(at_once) {
                let count = at_once.min(images.end - first);
                let x = &x[first * conv.image()..][..count * conv.image()];
                let g = &g[first * m * windows..][..count * m * windows];
                winograd.kernel(x, g, buffer, sum, first > images.start);
            }
        };
        // One thread adds each part to the first before it begins the next.
        let at_a_time = if product_worthwhile(conv.work()) { parts } else { parts.min(2) };
        let mut sums = Scratch::new(at_a_time * sum_size);
        if at_a_time < parts {
            let (total, sum) = sums.split_at_mut(sum_size);
            let mut buffer = winograd.buffer();
            add(0, total, &mut buffer);
            for part in 1..parts {
                add(part, sum, &mut buffer);
                add_assign(total, sum);
            }
        } else {
            conv.for_each_part(
                &mut sums,
                sum_size,
                || winograd.buffer(),
                |part, sum, buffer, _| add(part, sum, buffer),
            );
            add_parts(&mut sums, sum_size);
        }
        // SAFETY: `unpack` writes every element.
        let gradient =
            unsafe { buffer::written(size, |gradient| winograd.unpack(&sums[..sum_size], gradient)) };
        // As in `in_tiles`.
        if is_finite(&gradient) {
            return gradient;
        }
    }
    if windows > 0
        && let Some(blocked) = conv.blocked::<T>()
    {
        let blocked = &*blocked;
        return sum_of_parts(
            conv,
            [parts, size],
            || blocked.kernel_buffer(),
            |part, sums, buffer, _| {
                for (group, sum) in sums.chunks_exact_mut(m * depth).enumerate() {
                    let pairs = images(part).map(|image| {
                        let i = image * conv.groups + group;
                        (&x[i * conv.image()..][..conv.image()], &g[i * m * windows..][..m * windows])
                    });
                    blocked.kernel(pairs, buffer, sum);
                }
            },
        );
    }
    if let Some(direct) = conv.direct::<T>() {
        let direct = &*direct;
        let sum = sum_of_parts(
            conv,
            [parts, size],
            || direct.kernel_buffer(),
            |part, sums, buffer, _| {
                for (group, sum) in sums.chunks_exact_mut(m * depth).enumerate() {
                    let pairs = images(part).map(|image| {
                        let i = image * conv.groups + group;
                        (&x[i * conv.image()..][..conv.image()], &g[i * m * windows..][..m * windows])
                    });
                    direct.kernel(pairs, buffer, sum);
                }
            },
        );
        // Zeros between the rows are multiplied, too, which gives NaN for an infinity: then the other way is taken.
        if is_finite(&sum) {
            return sum;
        }
    }
    sum_of_parts(
        conv,
        [parts, size],
        || conv.buffer(),
        |part, sums, columns, threads| {
            let images = images(part);
            for i in images.start * conv.groups..images.end * conv.groups {
                let image = &x[i * conv.image()..][..conv.image()];
                let g = &g[i * m * windows..][..m * windows];
                let from = |start| Matrix { data: &g[start..], rows: windows, columns: 1 };
                let sum = &mut sums[i % conv.groups * m * depth..][..m * depth];
                if conv.is_plain() {
                    let image = Matrix { data: image, rows: 1, columns: windows };
                    multiply((sum, depth), [m, windows, depth], from(0), image, true, threads);
                    continue;
                }
                for block in conv.blocks() {
                    let n = block.len();
                    conv.gather(image, &block, columns);
                    let columns = Matrix { data: columns, rows: 1, columns: n };
                    multiply((&mut *sum, depth), [m, n, depth], from(block.start), columns, true, threads);
                }
            }
        },
    )
}

#[cfg(test)]
mod tests;
