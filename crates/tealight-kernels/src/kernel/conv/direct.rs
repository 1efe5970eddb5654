//! Convolutions of small images, without a matrix of windows.
//!
//! An image with its padding is one long row, and so is the output if each of its rows is as long as a padded row of the image:
//! then element k of the kernel lies `offsets[k]` behind the start of the window, wherever that is. Elements between the rows of
//! the output are computed, too, and dropped. For a stride s the image is divided into s² planes, each with every s-th row and
//! column, whose windows lie side by side.
//!
//! Where few sums are made of an element, as in a depthwise convolution, copying rows takes longer than the sums. There, at stride 1, a
//! plane for each column of the kernel has the whole image moved by that column: rows are as long as those of the output, and vectors
//! of a plane lie where those of the output do.

use pulp::{Simd, WithSimd};

use super::super::Element;
use super::super::buffer::Uninit;
use super::super::parallel::{is_scalar, run, simd_level};
use super::{Conv, WindowAxis};

/// Channels of the output that are summed side by side; one, if there is only one, as in a depthwise convolution.
const CHANNELS: usize = 4;

/// Vectors of all channels that are summed side by side, so that no sum waits for another.
const SUMS: usize = 8;

/// The most elements of an image with four channels of an output, and of a kernel: a level-2 cache holds them, so that a matrix
/// product is not faster.
const SMALL: usize = 1 << 15;

/// Elements in a level-1 cache.
const CACHE: usize = 1 << 13;

/// Elements of a line of a cache, at least.
const LINE: usize = 16;

/// From the first element on that a line of a cache begins with: a vector that lies in two lines is read twice.
fn at_a_line<T>(buffer: &mut [T]) -> &mut [T] {
    let first = buffer.as_ptr().align_offset(64).min(LINE);
    &mut buffer[first..]
}

/// Elements of a vector.
pub(super) fn lanes<T>() -> usize {
    let bytes = match simd_level() {
        "avx512" => 64,
        "avx2" => 32,
        _ => 16,
    };
    bytes / size_of::<T>()
}

/// Copies a short row without a call of `memcpy`, which would take longer than the copy.
#[inline(always)]
pub(super) fn copy_row<T: Copy, U: Copy>(from: &[T], to: &mut [U], f: impl Fn(T) -> U) {
    const AT_ONCE: usize = 8;
    let n = from.len().min(to.len());
    let (from, to) = (&from[..n], &mut to[..n]);
    let chunks = to.as_chunks_mut::<AT_ONCE>().0.iter_mut().zip(from.as_chunks().0);
    chunks.for_each(|(to, from)| *to = from.map(&f));
    match (to.last_chunk_mut::<AT_ONCE>(), from.last_chunk()) {
        // The last ones, some for the second time.
        (Some(to), Some(from)) => *to = from.map(f),
        _ => to.iter_mut().zip(from).for_each(|(to, &from)| *to = f(from)),
    }
}

/// A convolution as sums over long rows.
pub(super) struct Direct {
    conv: Conv,
    /// Channels of the output that are summed side by side.
    channels: usize,
    /// From an element of the image to the next in the padded image: more than 1 for the transpose of a convolution with a stride.
    spread: [usize; 2],
    /// Whether there is a plane for each column of the kernel.
    moved: bool,
    /// The planes of a channel.
    planes: usize,
    /// From the start of a padded row to the next.
    pitch: usize,
    /// The elements of a plane.
    plane: usize,
    /// The elements of an output channel, with those between its rows.
    used: usize,
    /// `used`, rounded up to the vectors that are summed side by side.
    places: usize,
    /// How far each element of the kernel lies behind the first.
    offsets: Vec<usize>,
}

impl Direct {
    /// `None` if the matrix product is possible only, or faster. `spread` is the stride of a transposed convolution.
    pub(super) fn new<T: Element>(conv: &Conv, spread: [usize; 2]) -> Option<Direct> {
        let [high, wide] = conv.sides;
        if conv.is_one_large() || is_scalar() || conv.is_plain() || conv.windows() == 0 {
            return None;
        }
        // The rows and columns of a plane that the windows reach.
        let reach = |side: WindowAxis| side.output + (side.kernel - 1) * side.dilation / side.stride;
        let same = wide.input == wide.output && [high.stride, wide.stride] == [1; 2] && spread == [1; 2];
        let moved = conv.outputs == 1 && same;
        let pitch = match wide.stride * spread[1] {
            _ if moved => wide.output,
            // The padding before a row is also some of that behind the last one.
            1 => wide.output.max(wide.input + wide.padding).max(reach(wide).saturating_sub(wide.padding)),
            _ => reach(wide),
        };
        let plane = reach(high).saturating_mul(pitch).saturating_add(if moved { 0 } else { wide.padding });
        let planes = if moved { wide.kernel } else { high.stride.saturating_mul(wide.stride) };
        let places = high.output.saturating_mul(pitch);
        let channels = if conv.outputs == 1 { 1 } else { CHANNELS };
        let size = plane.saturating_mul(planes).saturating_mul(conv.inputs);
        let size = size.saturating_add(places.saturating_mul(channels));
        let kernel = conv.depth().saturating_mul(conv.outputs);
        if size.max(kernel) > SMALL || places > 2 * conv.windows() {
            return None;
        }
        let used = places - (pitch - wide.output);
        let places = used.next_multiple_of(SUMS / channels * lanes::<T>());
        let mut offsets = Vec::with_capacity(conv.depth());
        for input in 0..conv.inputs {
            for ky in (0..high.kernel).map(|ky| ky * high.dilation) {
                for kx in 0..wide.kernel {
                    let at = kx * wide.dilation;
                    let (plane_number, at) = match moved {
                        true => (kx, ky * pitch),
                        false => (
                            ky % high.stride * wide.stride + at % wide.stride,
                            ky / high.stride * pitch + at / wide.stride,
                        ),
                    };
                    offsets.push((input * planes + plane_number) * plane + at);
                }
            }
        }
        Some(Direct { conv: *conv, channels, spread, moved, planes, pitch, plane, used, places, offsets })
    }

    /// A padded image, and room behind it for the last vectors.
    fn image(&self) -> usize {
        self.conv.inputs * self.planes * self.plane + self.places - self.used
    }

    /// Copies an image, moved by each column of the kernel, into planes whose rows above and below are 0 already.
    fn move_by_columns<T: Element>(&self, image: &[T], padded: &mut [T]) {
        let [high, wide] = self.conv.sides;
        let width = wide.input;
        let first = high.padding * width;
        let size = (high.input * width).min(self.plane.saturating_sub(first));
        let channels = image.chunks_exact((high.input * width).max(1));
        for (image, planes) in channels.zip(padded.chunks_exact_mut(self.planes * self.plane)) {
            for (kx, plane) in planes.chunks_exact_mut(self.plane).enumerate().filter(|_| size > 0) {
                let to = &mut plane[first..][..size];
                let (right, left) = (wide.padding, kx * wide.dilation);
                let by = left.abs_diff(right).min(size);
                let wrapped = match left < right {
                    true => {
                        to[by..].copy_from_slice(&image[..size - by]);
                        0..by.min(width)
                    }
                    false => {
                        to[..size - by].copy_from_slice(&image[by..size]);
                        width - by.min(width)..width
                    }
                };
                if !wrapped.is_empty() {
                    to.chunks_exact_mut(width).for_each(|row| row[wrapped.clone()].fill(T::default()));
                }
            }
        }
    }

    /// Copies an image into `padded`, whose padding is 0 already.
    fn pad<T: Element>(&self, image: &[T], padded: &mut [T]) {
        if self.moved {
            return self.move_by_columns(image, padded);
        }
        let [high, wide] = self.conv.sides;
        let planes = high.stride * wide.stride;
        if self.plane == high.input * wide.input && planes == 1 && self.spread == [1, 1] {
            padded[..image.len()].copy_from_slice(image);
            return;
        }
        let rows = (self.plane - wide.padding) / self.pitch;
        let channels = image.chunks_exact((high.input * wide.input).max(1));
        for (image, padded) in channels.zip(padded.chunks_exact_mut(planes * self.plane)) {
            for (y, row) in image.chunks_exact(wide.input.max(1)).enumerate() {
                let y = y * self.spread[0] + high.padding;
                if y / high.stride >= rows {
                    break;
                }
                let first = y % high.stride * wide.stride;
                let at = y / high.stride * self.pitch;
                if wide.stride * self.spread[1] == 1 {
                    let to = &mut padded[first * self.plane + at + wide.padding..];
                    copy_row(row, to, |x| x);
                    continue;
                }
                // A convolution has a stride or its input is spread, not both.
                for plane in 0..wide.stride {
                    let skipped = (plane + wide.stride - wide.padding % wide.stride) % wide.stride;
                    let to = &mut padded[(first + plane) * self.plane + at..][..self.pitch];
                    let to = to.get_mut((skipped + wide.padding) / wide.stride..).unwrap_or_default();
                    let row = row.get(skipped..).unwrap_or_default();
                    if wide.stride == 2 {
                        // The compiler vectorises pairs.
                        let (pairs, last) = row.as_chunks::<2>();
                        let row = pairs.iter().map(|pair| pair[0]).chain(last.iter().copied());
                        to.iter_mut().zip(row).for_each(|(to, x)| *to = x);
                    } else {
                        let row = row.iter().step_by(wide.stride);
                        to.iter_mut().step_by(self.spread[1]).zip(row).for_each(|(to, &x)| *to = x);
                    }
                }
            }
        }
    }

    /// The kernel of all groups, whose element d of output o is `at(o, d)`: some outputs side by side, with zeros for missing ones.
    pub(super) fn pack<T: Element>(&self, at: impl Fn(usize, usize) -> T) -> Vec<T> {
        let (Conv { groups, outputs, .. }, channels) = (self.conv, self.channels);
        let mut packed = Vec::with_capacity(groups * outputs.next_multiple_of(channels) * self.offsets.len());
        for group in 0..groups {
            for first in (0..outputs).step_by(channels) {
                for d in 0..self.offsets.len() {
                    packed.extend(
                        (first..first + channels)
                            .map(|o| if o < outputs { at(group * outputs + o, d) } else { T::default() }),
                    );
                }
            }
        }
        packed
    }

    /// Room for [`Direct::convolve`].
    pub(super) fn buffer<T: Element>(&self) -> (Vec<T>, Vec<T>) {
        (vec![T::default(); self.image() + LINE], vec![T::default(); self.channels * self.places])
    }

    /// Writes all outputs of one group of one image.
    pub(super) fn convolve<T: Element>(
        &self,
        image: &[T],
        kernel: &[T],
        bias: Option<&[T]>,
        (padded, rows): &mut (Vec<T>, Vec<T>),
        out: &mut [Uninit<T>],
    ) {
        let padded = at_a_line(padded);
        self.pad(image, padded);
        let [height, width] = self.conv.sides.map(|side| side.output);
        let depth = self.offsets.len() * self.channels;
        for (block, out) in out.chunks_mut(self.channels * height * width).enumerate() {
            let kernel = &kernel[block * depth..][..depth];
            let start =
                |o| bias.and_then(|bias| bias.get(block * self.channels + o)).copied().unwrap_or_default();
            match self.channels {
                1 => run(Sums::<T, 1, 8> { direct: self, x: padded, kernel, start: [start(0)], rows }),
                _ => {
                    let start = std::array::from_fn(start);
                    run(Sums::<T, CHANNELS, { SUMS / CHANNELS }> {
                        direct: self,
                        x: padded,
                        kernel,
                        start,
                        rows,
                    });
                }
            }
            for (out, rows) in out.chunks_mut(height * width).zip(rows.chunks_exact(self.places)) {
                let width = if self.pitch == width { out.len() } else { width };
                for (oy, out) in out.chunks_exact_mut(width).enumerate() {
                    copy_row(&rows[oy * self.pitch..], out, Uninit::new);
                }
            }
        }
    }

    /// The images whose gradients of the kernel are summed at a time, few enough for a cache.
    fn batch(&self) -> usize {
        (CACHE / (self.image() + self.channels * self.places)).clamp(1, 8)
    }

    /// Room for [`Direct::kernel`].
    pub(super) fn kernel_buffer<T: Element>(&self) -> (Vec<T>, Vec<T>) {
        let gradients = self.conv.outputs.next_multiple_of(self.channels) * self.places;
        let n = self.batch();
        (vec![T::default(); n * self.image() + LINE], vec![T::default(); n * gradients + LINE])
    }

    /// Adds the gradient of one group's kernel for pairs of an image and the gradient of its output.
    pub(super) fn kernel<'a, T: Element>(
        &self,
        mut images: impl Iterator<Item = (&'a [T], &'a [T])>,
        (xs, gs): &mut (Vec<T>, Vec<T>),
        sum: &mut [T],
    ) {
        let (xs, gs) = (at_a_line(xs), at_a_line(gs));
        let width = self.conv.sides[1].output;
        let width = if self.pitch == width { self.conv.windows() } else { width };
        let gradients = self.conv.outputs.next_multiple_of(self.channels) * self.places;
        loop {
            let places = xs.chunks_exact_mut(self.image()).zip(gs.chunks_exact_mut(gradients));
            let mut count = 0;
            for (xs, gs) in places {
                let Some((x, g)) = images.next() else { break };
                self.pad(x, xs);
                let channels = g.chunks_exact(self.conv.windows()).zip(gs.chunks_exact_mut(self.places));
                for (g, gs) in channels {
                    for (oy, g) in g.chunks_exact(width).enumerate() {
                        copy_row(g, &mut gs[oy * self.pitch..], |g| g);
                    }
                }
                count += 1;
            }
            if count == 0 {
                return;
            }
            let (xs, gs) = (&xs[..count * self.image()], &gs[..count * gradients]);
            match self.channels {
                1 => run(Products::<T, 1, 5> { direct: self, xs, gs, sum }),
                _ => run(Products::<T, CHANNELS, 2> { direct: self, xs, gs, sum }),
            }
        }
    }
}

/// C channels of an output, as long rows, V vectors of each at a time.
struct Sums<'a, T, const C: usize, const V: usize> {
    direct: &'a Direct,
    x: &'a [T],
    kernel: &'a [T],
    start: [T; C],
    rows: &'a mut [T],
}

impl<T: Element, const C: usize, const V: usize> WithSimd for Sums<'_, T, C, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sums { direct, x, kernel, start, rows } = self;
        let (kernel, _) = kernel.as_chunks::<C>();
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        for place in (0..direct.used).step_by(V * lanes) {
            let x = &x[place..];
            let mut sums = start.map(|start| [T::splat(simd, start); V]);
            for (&offset, w) in direct.offsets.iter().zip(kernel) {
                let x = T::vectors::<S>(&x[offset..offset + V * lanes]);
                for o in 0..C {
                    let w = T::splat(simd, w[o]);
                    for v in 0..V {
                        sums[o][v] = T::fused(simd, x[v], w, sums[o][v]);
                    }
                }
            }
            for o in 0..C {
                let row = &mut rows[o * direct.places + place..][..V * lanes];
                T::vectors_mut::<S>(row).copy_from_slice(&sums[o]);
            }
        }
    }
}

/// Adds the products of the long rows of images with those of gradients: of C channels with N elements of the kernel at a time.
struct Products<'a, T, const C: usize, const N: usize> {
    direct: &'a Direct,
    xs: &'a [T],
    gs: &'a [T],
    sum: &'a mut [T],
}

impl<T: Element, const C: usize, const N: usize> WithSimd for Products<'_, T, C, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { direct, xs, gs, sum } = self;
        let (outputs, depth, places) = (direct.conv.outputs, direct.offsets.len(), direct.places);
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let n = direct.used.div_ceil(lanes);
        for first in (0..outputs).step_by(C) {
            for (taps, some) in direct.offsets.chunks(N).enumerate() {
                // The sum of an element that is missing is not used.
                let offsets: [usize; N] = std::array::from_fn(|t| some.get(t).copied().unwrap_or(0));
                let reach = offsets.iter().max().expect("N > 0") + n * lanes;
                let mut sums = [[T::splat(simd, T::default()); N]; C];
                let gs = gs.chunks_exact(outputs.next_multiple_of(C) * places);
                for (x, g) in xs.chunks_exact(direct.image()).zip(gs) {
                    let g = &g[first * places..];
                    assert!(
                        reach <= x.len() && (C - 1) * places + n * lanes <= g.len(),
                        "kernel::conv: a short row"
                    );
                    for i in 0..n {
                        // SAFETY: n vectors of x lie behind each offset, and n of g in each channel, by the assertion above; they
                        // may lie at any address.
                        let read = |slice: &[T], at: usize| unsafe {
                            slice
                                .as_ptr()
                                .wrapping_add(at + i * lanes)
                                .cast::<T::Vector<S>>()
                                .read_unaligned()
                        };
                        // A loop, because the closure of `offsets.map` would not be inlined.
                        let mut under = [T::splat(simd, T::default()); N];
                        for t in 0..N {
                            under[t] = read(x, offsets[t]);
                        }
                        for o in 0..C {
                            let g = read(g, o * places);
                            for t in 0..N {
                                sums[o][t] = T::fused(simd, g, under[t], sums[o][t]);
                            }
                        }
                    }
                }
                for o in 0..C.min(outputs - first) {
                    for t in 0..some.len() {
                        sum[(first + o) * depth + taps * N + t] += T::total(simd, sums[o][t]);
                    }
                }
            }
        }
    }
}
