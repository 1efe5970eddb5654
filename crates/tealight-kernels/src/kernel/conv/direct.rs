//! Convolutions of small images at stride 1, without a matrix of windows.
//!
//! An image with its padding is one long row, and so is the output if each of its rows is as long as a padded row of the image:
//! then element k of the kernel lies `offsets[k]` behind the start of the window, wherever that is. Elements between the rows of
//! the output are computed, too, and dropped.

use pulp::{Simd, WithSimd};

use super::super::Element;
use super::super::buffer::Uninit;
use super::super::parallel::{is_scalar, large_product, simd_level};
use super::super::simd::run;
use super::{Conv, WindowAxis};

/// Channels of the output that are summed side by side.
const CHANNELS: usize = 4;

/// Vectors of an output that are summed side by side, so that no sum waits for another.
const VECTORS: usize = 2;

/// Elements of the kernel whose gradients are summed side by side, for each channel.
const TAPS: usize = 2;

/// The most elements of an image with four channels of an output, and of a kernel: a level-2 cache holds them, so that a matrix
/// product is not faster.
const SMALL: usize = 1 << 15;

/// Elements in a level-1 cache.
const CACHE: usize = 1 << 13;

/// Elements of an output that are summed side by side.
fn together<T>() -> usize {
    let bytes = match simd_level() {
        "avx512" => 64,
        "avx2" => 32,
        _ => 16,
    };
    VECTORS * bytes / size_of::<T>()
}

/// Copies a short row without a call of `memcpy`, which would take longer than the copy.
#[inline(always)]
fn copy_row<T: Copy, U: Copy>(from: &[T], to: &mut [U], f: impl Fn(T) -> U) {
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
    /// From the start of a padded row to the next.
    pitch: usize,
    /// The elements of a padded channel.
    channel: usize,
    /// The elements of an output channel, with those between its rows.
    used: usize,
    /// `used`, rounded up to whole vectors.
    places: usize,
    /// How far each element of the kernel lies behind the first.
    offsets: Vec<usize>,
}

impl Direct {
    /// `None` if the matrix product is possible only, or faster.
    pub(super) fn new<T: Element>(conv: &Conv) -> Option<Direct> {
        let [high, wide] = conv.sides;
        let reach = |side: WindowAxis| (side.kernel - 1) * side.dilation + side.output;
        // Not with the output padding of a transposed convolution.
        let fits = conv
            .sides
            .iter()
            .all(|&side| side.stride == 1 && side.output > 0 && reach(side) >= side.input + side.padding);
        // For a single image only the matrix product uses several threads.
        let one = conv.batch * conv.groups == 1 && large_product(conv.work());
        if !fits || one || is_scalar() || conv.is_plain() {
            return None;
        }
        // The padding before a row is also some of that behind the last one.
        let pitch = wide.output.max(wide.input + wide.padding).max(reach(wide) - wide.padding);
        let channel = reach(high).saturating_mul(pitch).saturating_add(wide.padding);
        let places = high.output.saturating_mul(pitch);
        let size = channel.saturating_mul(conv.inputs).saturating_add(places.saturating_mul(CHANNELS));
        let kernel = conv.depth().saturating_mul(conv.outputs);
        if size.max(kernel) > SMALL || places > 2 * conv.windows() {
            return None;
        }
        let used = places - (pitch - wide.output);
        let places = used.next_multiple_of(together::<T>());
        let mut offsets = Vec::with_capacity(conv.depth());
        for input in 0..conv.inputs {
            for ky in 0..high.kernel {
                let row = input * channel + ky * high.dilation * pitch;
                offsets.extend((0..wide.kernel).map(|kx| row + kx * wide.dilation));
            }
        }
        Some(Direct { conv: *conv, pitch, channel, used, places, offsets })
    }

    /// The elements of a padded image, and room behind it for the last vector.
    fn image(&self) -> usize {
        self.conv.inputs * self.channel + self.places - self.used
    }

    /// Copies an image into `padded`, whose padding is 0 already.
    fn pad<T: Element>(&self, image: &[T], padded: &mut [T]) {
        let [high, wide] = self.conv.sides;
        if self.channel == high.input * wide.input {
            padded[..image.len()].copy_from_slice(image);
            return;
        }
        let channels = image.chunks_exact((high.input * wide.input).max(1));
        for (image, padded) in channels.zip(padded.chunks_exact_mut(self.channel)) {
            let rows = padded.chunks_exact_mut(self.pitch).skip(high.padding);
            for (row, to) in image.chunks_exact(wide.input.max(1)).zip(rows) {
                copy_row(row, &mut to[wide.padding..], |x| x);
            }
        }
    }

    /// The kernel of all groups, whose element d of output o is `at(o, d)`: four outputs side by side, with zeros for missing ones.
    pub(super) fn pack<T: Element>(&self, at: impl Fn(usize, usize) -> T) -> Vec<T> {
        let Conv { groups, outputs, .. } = self.conv;
        let mut packed = Vec::with_capacity(groups * outputs.next_multiple_of(CHANNELS) * self.offsets.len());
        for group in 0..groups {
            for first in (0..outputs).step_by(CHANNELS) {
                for d in 0..self.offsets.len() {
                    packed.extend(
                        (first..first + CHANNELS)
                            .map(|o| if o < outputs { at(group * outputs + o, d) } else { T::default() }),
                    );
                }
            }
        }
        packed
    }

    /// Room for [`Direct::convolve`].
    pub(super) fn buffer<T: Element>(&self) -> (Vec<T>, Vec<T>) {
        (vec![T::default(); self.image()], vec![T::default(); CHANNELS * self.places])
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
        self.pad(image, padded);
        let [height, width] = self.conv.sides.map(|side| side.output);
        let depth = self.offsets.len() * CHANNELS;
        for (block, out) in out.chunks_mut(CHANNELS * height * width).enumerate() {
            let kernel = &kernel[block * depth..][..depth];
            let start = std::array::from_fn(|o| {
                bias.and_then(|bias| bias.get(block * CHANNELS + o)).copied().unwrap_or_default()
            });
            run(Sums { direct: self, x: padded, kernel, start, rows });
            for (out, rows) in out.chunks_mut(height * width).zip(rows.chunks_exact(self.places)) {
                for (oy, out) in out.chunks_exact_mut(width).enumerate() {
                    copy_row(&rows[oy * self.pitch..], out, Uninit::new);
                }
            }
        }
    }

    /// The images whose gradients of the kernel are summed at a time, few enough for a cache.
    fn batch(&self) -> usize {
        (CACHE / (self.image() + CHANNELS * self.places)).clamp(1, 8)
    }

    /// Room for [`Direct::kernel`].
    pub(super) fn kernel_buffer<T: Element>(&self) -> (Vec<T>, Vec<T>) {
        let gradients = self.conv.outputs.next_multiple_of(CHANNELS) * self.places;
        let n = self.batch();
        (vec![T::default(); n * self.image()], vec![T::default(); n * gradients])
    }

    /// Adds the gradient of one group's kernel for pairs of an image and the gradient of its output.
    pub(super) fn kernel<'a, T: Element>(
        &self,
        mut images: impl Iterator<Item = (&'a [T], &'a [T])>,
        (xs, gs): &mut (Vec<T>, Vec<T>),
        sum: &mut [T],
    ) {
        let width = self.conv.sides[1].output;
        let gradients = self.conv.outputs.next_multiple_of(CHANNELS) * self.places;
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
            run(Products { direct: self, xs, gs, sum });
        }
    }
}

/// Four channels of an output, as long rows.
struct Sums<'a, T> {
    direct: &'a Direct,
    x: &'a [T],
    kernel: &'a [T],
    start: [T; CHANNELS],
    rows: &'a mut [T],
}

impl<T: Element> WithSimd for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sums { direct, x, kernel, start, rows } = self;
        let (kernel, _) = kernel.as_chunks::<CHANNELS>();
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        for place in (0..direct.used).step_by(VECTORS * lanes) {
            let x = &x[place..];
            let mut sums = start.map(|start| [T::splat(simd, start); VECTORS]);
            for (&offset, w) in direct.offsets.iter().zip(kernel) {
                let x = T::vectors::<S>(&x[offset..offset + VECTORS * lanes]);
                for o in 0..CHANNELS {
                    let w = T::splat(simd, w[o]);
                    for v in 0..VECTORS {
                        sums[o][v] = T::fused(simd, x[v], w, sums[o][v]);
                    }
                }
            }
            for o in 0..CHANNELS {
                let row = &mut rows[o * direct.places + place..][..VECTORS * lanes];
                T::vectors_mut::<S>(row).copy_from_slice(&sums[o]);
            }
        }
    }
}

/// Adds the products of the long rows of images with those of gradients.
struct Products<'a, T> {
    direct: &'a Direct,
    xs: &'a [T],
    gs: &'a [T],
    sum: &'a mut [T],
}

impl<T: Element> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { direct, xs, gs, sum } = self;
        let (outputs, depth, places) = (direct.conv.outputs, direct.offsets.len(), direct.places);
        let n = direct.used.div_ceil(size_of::<T::Vector<S>>() / size_of::<T>());
        for first in (0..outputs).step_by(CHANNELS) {
            for (tap, offsets) in direct.offsets.chunks(TAPS).enumerate() {
                let mut sums = [[T::splat(simd, T::default()); TAPS]; CHANNELS];
                let gs = gs.chunks_exact(outputs.next_multiple_of(CHANNELS) * places);
                for (x, g) in xs.chunks_exact(direct.image()).zip(gs) {
                    let x = |t| {
                        // The sum of a tap that is missing is not used.
                        let offset = offsets.get(t).copied().unwrap_or(0);
                        &T::vectors::<S>(&x[offset..])[..n]
                    };
                    let g = |o| &T::vectors::<S>(&g[(first + o) * places..])[..n];
                    // Iterators: bounds checks would cost more than the products.
                    let x = x(0).iter().zip(x(1));
                    let g = g(0).iter().zip(g(1)).zip(g(2)).zip(g(3));
                    for ((&x0, &x1), (((&g0, &g1), &g2), &g3)) in x.zip(g) {
                        let (x, g) = ([x0, x1], [g0, g1, g2, g3]);
                        for o in 0..CHANNELS {
                            for t in 0..TAPS {
                                sums[o][t] = T::fused(simd, g[o], x[t], sums[o][t]);
                            }
                        }
                    }
                }
                for o in 0..CHANNELS.min(outputs - first) {
                    for t in 0..offsets.len() {
                        sum[(first + o) * depth + tap * TAPS + t] += T::total(simd, sums[o][t]);
                    }
                }
            }
        }
    }
}
