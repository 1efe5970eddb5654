//! Convolution: the windows of an image are the columns of a matrix, and what remains is a matrix product.
//!
//! The three functions are the three derivatives of one trilinear form Σ x·w·g over every place where a window's element
//! lies on an input. What is computed does not depend on the number of threads.

use std::ops::Range;

use super::gemm::multiply;
use super::parallel::{large_product, parts, product_worthwhile, vectorize};
use super::{Element, Matrix, Side, add_assign};

/// Elements of a matrix of windows that is made and multiplied at a time: few enough for a cache.
const BLOCK: usize = if cfg!(test) { 64 } else { 1 << 17 };

/// But at least this many windows, so that a large kernel is worth reading.
const FEWEST: usize = if cfg!(test) { 5 } else { 256 };

/// The gradient of a large kernel is summed in this many parts, which may run at the same time.
const PARTS: usize = 8;

/// Into how many shares the images of a large convolution are divided, for threads to take from.
const SHARES: usize = 32;

/// The sizes of a convolution; `inputs` and `outputs` are the channels of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv {
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) sides: [Side; 2],
}

/// Neighbouring windows under one element of the kernel.
struct Run {
    /// Where in the matrix of windows they are.
    columns: Range<usize>,
    /// Those of them that lie on the image, counted from the first.
    inside: Range<usize>,
    /// What the first of these lies on.
    at: usize,
}

impl Conv {
    pub(crate) fn x_dims(&self) -> [usize; 4] {
        let [high, wide] = self.sides;
        [self.batch, self.groups * self.inputs, high.input, wide.input]
    }

    pub(crate) fn w_dims(&self) -> [usize; 4] {
        let [high, wide] = self.sides;
        [self.groups * self.outputs, self.inputs, high.kernel, wide.kernel]
    }

    pub(crate) fn y_dims(&self) -> [usize; 4] {
        let [high, wide] = self.sides;
        [self.batch, self.groups * self.outputs, high.output, wide.output]
    }

    /// The elements of an array; at most `usize::MAX`, which only an empty one of odd shape would exceed on the way.
    pub(crate) fn count(dims: [usize; 4]) -> usize {
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
    fn work(&self) -> usize {
        [self.batch, self.groups, self.outputs, self.windows()]
            .iter()
            .fold(self.depth(), |product, &n| product.saturating_mul(n))
    }

    /// Whether the matrix of windows is the image itself.
    fn is_plain(&self) -> bool {
        self.sides
            .iter()
            .all(|side| (side.kernel, side.stride, side.padding) == (1, 1, 0) && side.input == side.output)
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

    /// A matrix of windows, still empty.
    fn buffer<T: Element>(&self) -> Vec<T> {
        vec![T::default(); if self.is_plain() { 0 } else { self.depth() * self.step() }]
    }

    /// Calls `f` for every element of the kernel and every row of `windows`.
    #[inline(always)]
    fn runs(&self, windows: &Range<usize>, mut f: impl FnMut(Run)) {
        let [high, wide] = self.sides;
        let mut start = 0;
        for channel in 0..self.inputs {
            for ky in 0..high.kernel {
                let rows = high.outputs(ky);
                for kx in 0..wide.kernel {
                    let places = wide.outputs(kx);
                    let (mut oy, mut ox) = (windows.start / wide.output, windows.start % wide.output);
                    let end = start + windows.len();
                    while start < end {
                        let len = (wide.output - ox).min(end - start);
                        let mut run = Run { columns: start..start + len, inside: 0..0, at: 0 };
                        let first = places.start.max(ox);
                        let last = places.end.min(ox + len);
                        if rows.contains(&oy) && first < last {
                            run.inside = first - ox..last - ox;
                            run.at = (channel * high.input + high.place(oy, ky)) * wide.input
                                + wide.place(first, kx);
                        }
                        f(run);
                        start += len;
                        (oy, ox) = (oy + 1, 0);
                    }
                }
            }
        }
    }

    /// The matrix of `windows` of an image.
    fn gather<T: Element>(&self, image: &[T], windows: &Range<usize>, columns: &mut [T]) {
        let stride = self.sides[1].stride;
        vectorize(
            #[inline(always)]
            || {
                self.runs(
                    windows,
                    #[inline(always)]
                    |Run { columns: range, inside, at }| {
                        let columns = &mut columns[range];
                        columns[..inside.start].fill(T::default());
                        columns[inside.end..].fill(T::default());
                        let columns = &mut columns[inside];
                        if stride == 1 {
                            columns.copy_from_slice(&image[at..at + columns.len()]);
                        } else if let Some(image) = image.get(at..) {
                            columns.iter_mut().zip(image.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
                        }
                    },
                );
            },
        );
    }

    /// Adds a matrix of `windows` to the image, where they lie on it.
    fn scatter<T: Element>(&self, columns: &[T], windows: &Range<usize>, image: &mut [T]) {
        let stride = self.sides[1].stride;
        vectorize(
            #[inline(always)]
            || {
                self.runs(
                    windows,
                    #[inline(always)]
                    |Run { columns: range, inside, at }| {
                        let columns = &columns[range][inside];
                        if stride == 1 {
                            let image = &mut image[at..at + columns.len()];
                            image.iter_mut().zip(columns).for_each(|(x, &from)| *x += from);
                        } else if let Some(image) = image.get_mut(at..) {
                            image.iter_mut().step_by(stride).zip(columns).for_each(|(x, &from)| *x += from);
                        }
                    },
                );
            },
        );
    }

    /// Calls `f(i, part i, buffer, threads)` for every part of `size` elements, on several threads if that pays.
    fn for_each_part<T: Element>(
        &self,
        out: &mut [T],
        size: usize,
        f: impl Fn(usize, &mut [T], &mut [T], bool) + Sync,
    ) {
        let many = product_worthwhile(self.work());
        let count = out.len() / size;
        // A few at a time, so that a buffer serves several.
        let run = if many && count > 1 { count.div_ceil(SHARES) } else { count };
        parts(out, run * size, many && count > 1, &|first, some| {
            let mut buffer = self.buffer();
            let some = some.chunks_mut(size).enumerate();
            some.for_each(|(i, part)| f(first * run + i, part, &mut buffer, many && count == 1));
        });
    }
}

/// The convolution of x with w.
pub(crate) fn conv<T: Element>(conv: &Conv, x: &[T], w: &[T]) -> Vec<T> {
    let (m, depth, windows) = (conv.outputs, conv.depth(), conv.windows());
    let mut y = vec![T::default(); Conv::count(conv.y_dims())];
    if y.is_empty() || depth == 0 {
        return y;
    }
    conv.for_each_part(&mut y, m * windows, |i, y, columns, threads| {
        let image = &x[i * conv.image()..][..conv.image()];
        let kernel = Matrix { data: &w[i % conv.groups * m * depth..], rows: depth, columns: 1 };
        if conv.is_plain() {
            let image = Matrix { data: image, rows: windows, columns: 1 };
            return multiply((y, windows), [m, depth, windows], kernel, image, false, threads);
        }
        for block in conv.blocks() {
            let n = block.len();
            conv.gather(image, &block, columns);
            let columns = Matrix { data: columns, rows: n, columns: 1 };
            multiply((&mut y[block.start..], windows), [m, depth, n], kernel, columns, false, threads);
        }
    });
    y
}

/// The transposed convolution of g with w: the gradient of x.
pub(crate) fn conv_transpose<T: Element>(conv: &Conv, w: &[T], g: &[T]) -> Vec<T> {
    let (m, depth, windows) = (conv.outputs, conv.depth(), conv.windows());
    let mut x = vec![T::default(); Conv::count(conv.x_dims())];
    if x.is_empty() || m == 0 {
        return x;
    }
    conv.for_each_part(&mut x, conv.image(), |i, image, columns, threads| {
        let g = &g[i * m * windows..][..m * windows];
        let kernel = Matrix { data: &w[i % conv.groups * m * depth..], rows: 1, columns: depth };
        let from = |start| Matrix { data: &g[start..], rows: windows, columns: 1 };
        if conv.is_plain() {
            return multiply((image, windows), [depth, m, windows], kernel, from(0), false, threads);
        }
        for block in conv.blocks() {
            let n = block.len();
            multiply((columns, n), [depth, m, n], kernel, from(block.start), false, threads);
            conv.scatter(columns, &block, image);
        }
    });
    x
}

/// The gradient of the kernel.
pub(crate) fn conv_kernel<T: Element>(conv: &Conv, x: &[T], g: &[T]) -> Vec<T> {
    let (m, depth, windows) = (conv.outputs, conv.depth(), conv.windows());
    let size = Conv::count(conv.w_dims());
    if size == 0 || conv.batch == 0 {
        return vec![T::default(); size];
    }
    let parts = if large_product(conv.work()) { PARTS.min(conv.batch) } else { 1 };
    let mut sums = vec![T::default(); parts * size];
    conv.for_each_part(&mut sums, size, |part, sums, columns, threads| {
        let images = part * conv.batch / parts..(part + 1) * conv.batch / parts;
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
    });
    let (sum, rest) = sums.split_at_mut(size);
    rest.chunks_exact(size).for_each(|part| add_assign(sum, part));
    sums.truncate(size);
    sums
}

#[cfg(test)]
mod tests {
    use super::{Conv, PARTS, Side, conv, conv_kernel, conv_transpose};

    /// Σ x·w·g with every index written out, as a derivative by x, w and g.
    fn plain(c: &Conv, x: &[f64], w: &[f64], g: &[f64]) -> [Vec<f64>; 3] {
        let [n, channels, h, width] = c.x_dims();
        let [_, inner, kh, kw] = c.w_dims();
        let [_, outer, oh, ow] = c.y_dims();
        let mut out = [vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; g.len()]];
        let [high, wide] = c.sides;
        for image in 0..n {
            for o in 0..outer {
                for place in 0..oh * ow {
                    for i in 0..inner {
                        for k in 0..kh * kw {
                            let y = (place / ow * high.stride + k / kw * high.dilation)
                                .wrapping_sub(high.padding);
                            let x_at = (place % ow * wide.stride + k % kw * wide.dilation)
                                .wrapping_sub(wide.padding);
                            if y >= h || x_at >= width {
                                continue;
                            }
                            let channel = o / c.outputs * inner + i;
                            let a = ((image * channels + channel) * h + y) * width + x_at;
                            let b = (o * inner + i) * kh * kw + k;
                            let p = (image * outer + o) * oh * ow + place;
                            out[0][a] += w[b] * g[p];
                            out[1][b] += x[a] * g[p];
                            out[2][p] += x[a] * w[b];
                        }
                    }
                }
            }
        }
        out
    }

    fn side(input: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Side {
        let output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
        Side { input, output, kernel, stride, padding, dilation }
    }

    fn numbers(n: usize, salt: f64) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * 1.7 + salt).sin()).collect()
    }

    fn agrees(c: &Conv) {
        let (x, w) = (numbers(Conv::count(c.x_dims()), 0.1), numbers(Conv::count(c.w_dims()), 0.2));
        let g = numbers(Conv::count(c.y_dims()), 0.3);
        let got = [conv_transpose(c, &w, &g), conv_kernel(c, &x, &g), conv(c, &x, &w)];
        for (part, (got, expected)) in got.iter().zip(plain(c, &x, &w, &g)).enumerate() {
            assert_eq!(got.len(), expected.len());
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-10;
            assert!(got.iter().zip(&expected).all(near), "derivative by part {part} of {c:?}");
        }
    }

    #[test]
    fn against_plain_loops() {
        for stride in 1..=3 {
            for padding in 0..=2 {
                for dilation in 1..=2 {
                    for groups in [1, 2] {
                        let sides =
                            [side(6, 2, stride, padding, 1), side(7, 3, 4 - stride, 2 - padding, dilation)];
                        agrees(&Conv { batch: 2, groups, inputs: 2, outputs: 3, sides });
                    }
                }
            }
        }
        // The image is the matrix; and what looks like it and is not.
        for sides in [[side(3, 1, 1, 0, 1); 2], [side(3, 1, 1, 1, 1); 2], [side(3, 1, 2, 0, 1); 2]] {
            agrees(&Conv { batch: 2, groups: 2, inputs: 3, outputs: 2, sides });
        }
        for (batch, inputs, outputs) in [(0, 1, 1), (1, 0, 2), (2, 3, 0)] {
            agrees(&Conv { batch, groups: 1, inputs, outputs, sides: [side(4, 3, 1, 1, 1); 2] });
        }
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads() {
        let c = Conv { batch: PARTS + 3, groups: 2, inputs: 8, outputs: 8, sides: [side(12, 3, 1, 1, 1); 2] };
        assert!(super::large_product(c.work()));
        agrees(&c);
        let (x, w) = (numbers(Conv::count(c.x_dims()), 0.1), numbers(Conv::count(c.w_dims()), 0.2));
        let all = || [conv(&c, &x, &w), conv_transpose(&c, &w, &x), conv_kernel(&c, &x, &x)];
        let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all);
        assert_eq!(on(1), on(3));
    }
}
