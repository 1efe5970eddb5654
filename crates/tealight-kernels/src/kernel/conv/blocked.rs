//! Convolutions with the channels of the output side by side in vectors, for every stride and dilation.
//!
//! Vectors of channels for several places of the output are summed side by side in registers: an element of the kernel is read once
//! for several places, and an element of the image, which is copied with its padding, once for several vectors.

use pulp::{Simd, WithSimd};
use smallvec::SmallVec;

use super::super::Element;
use super::super::buffer::{Scratch, Uninit, slots};
use super::super::parallel::{is_scalar, run, simd_level};
use super::super::simd::{Aligned, turn};
use super::Conv;
use super::direct::{copy_row, lanes};

/// Places of an output that are summed before they are written to it.
const CHUNK: usize = 48;

/// The most elements of an image with its padding: a level-2 cache holds them.
const LARGEST: usize = 1 << 18;

/// Elements of images whose gradients of the kernel are summed at a time: a level-2 cache holds them, too.
const CACHE: usize = 1 << 16;

/// From this many elements of a window on, sums take longer than bringing their results into the order of the output.
const DEEP: usize = 64;

/// Outputs along one axis whose windows have the same elements: output `first + i·step` reads the input at `i·stride + offset` for
/// each (element of the kernel, offset) of `taps`.
struct AxisPhase {
    first: usize,
    step: usize,
    count: usize,
    stride: usize,
    taps: Vec<(usize, isize)>,
}

/// One axis of an image and of the output.
struct Axis {
    from: usize,
    to: usize,
    phases: Vec<AxisPhase>,
}

impl Axis {
    /// The padding before the first element, and the length with all padding.
    fn padded(&self) -> (usize, usize) {
        let (mut low, mut high) = (0, self.from as isize);
        for AxisPhase { count, stride, taps, .. } in self.phases.iter().filter(|phase| phase.count > 0) {
            for &(_, offset) in taps {
                low = low.min(offset);
                high = high.max(offset + ((count - 1) * stride) as isize + 1);
            }
        }
        (low.unsigned_abs(), (high - low) as usize)
    }
}

/// Outputs whose windows have the same elements: the product of a phase of each axis.
struct Phase {
    /// The first place of the output, and the distance and number of the others, by row and column.
    first: [usize; 2],
    step: [usize; 2],
    count: [usize; 2],
    /// Where each window starts in the padded image.
    starts: Vec<usize>,
    /// Where each element of a window lies behind its start.
    offsets: Vec<usize>,
    /// The last element of the padded image that a window has.
    reach: usize,
    /// The elements of the kernel in the same order: the channel, and the place in it.
    elements: Vec<(usize, usize)>,
}

/// A convolution, or the transpose of one, as sums over windows.
pub(super) struct Blocked {
    /// The channels of one group.
    inputs: usize,
    outputs: usize,
    /// `outputs`, rounded up to whole vectors.
    width: usize,
    /// Rows and columns of an image.
    from: [usize; 2],
    /// Rows and columns of the output.
    to: [usize; 2],
    /// Padding above and left of an image.
    padding: [usize; 2],
    /// Rows and columns of an image with its padding.
    padded: [usize; 2],
    phases: Vec<Phase>,
}

impl Blocked {
    /// The convolution; `None` if another way is faster.
    pub(super) fn new<T: Element>(conv: &Conv) -> Option<Blocked> {
        let few = conv.depth() < DEEP;
        if few || conv.is_plain() || conv.is_one_large() {
            return None;
        }
        let axis = |side: super::WindowAxis| {
            let taps = (0..side.kernel).map(|k| (k, (k * side.dilation) as isize - side.padding as isize));
            let (count, stride) = (side.output, side.stride);
            let phase = AxisPhase { first: 0, step: 1, count, stride, taps: taps.collect() };
            Axis { from: side.input, to: side.output, phases: vec![phase] }
        };
        Blocked::of::<T>(conv.inputs, conv.outputs, conv.sides.map(axis), conv.sides[1].kernel)
    }

    /// The transpose, from the outputs of `conv` to its inputs; `None` if another way is faster.
    pub(super) fn transpose<T: Element>(conv: &Conv) -> Option<Blocked> {
        let few = conv.depth() / conv.inputs.max(1) * conv.outputs < DEEP;
        if few || conv.is_plain() || conv.is_one_large() {
            return None;
        }
        let axis = |side: super::WindowAxis| {
            let phase = |first: usize| {
                // Output o of the convolution reads x at o·stride + k·dilation − padding.
                let tap = |k: usize| {
                    let at = (first + side.padding) as isize - (k * side.dilation) as isize;
                    let stride = side.stride as isize;
                    (at.rem_euclid(stride) == 0).then(|| (k, at.div_euclid(stride)))
                };
                let taps = (0..side.kernel).rev().filter_map(tap).collect();
                let count = side.input.saturating_sub(first).div_ceil(side.stride);
                AxisPhase { first, step: side.stride, count, stride: 1, taps }
            };
            Axis {
                from: side.output,
                to: side.input,
                phases: (0..side.stride.min(side.input)).map(phase).collect(),
            }
        };
        Blocked::of::<T>(conv.outputs, conv.inputs, conv.sides.map(axis), conv.sides[1].kernel)
    }

    fn of<T: Element>(
        inputs: usize,
        outputs: usize,
        [high, wide]: [Axis; 2],
        kernel_width: usize,
    ) -> Option<Blocked> {
        let width = outputs.next_multiple_of(lanes::<T>());
        let [(above, rows), (left, columns)] = [high.padded(), wide.padded()];
        let size = rows.saturating_mul(columns).saturating_mul(inputs);
        if is_scalar() || size == 0 || size > LARGEST || 8 * outputs < 7 * width {
            return None;
        }
        let phase = |high: &AxisPhase, wide: &AxisPhase| {
            let (mut offsets, mut elements) = (Vec::new(), Vec::new());
            for channel in 0..inputs {
                for &(ky, y) in &high.taps {
                    for &(kx, x) in &wide.taps {
                        let (y, x) = (y + above as isize, x + left as isize);
                        offsets.push((channel * rows + y as usize) * columns + x as usize);
                        elements.push((channel, ky * kernel_width + kx));
                    }
                }
            }
            let starts: Vec<usize> = (0..high.count)
                .flat_map(|y| (0..wide.count).map(move |x| y * high.stride * columns + x * wide.stride))
                .collect();
            Phase {
                first: [high.first, wide.first],
                step: [high.step, wide.step],
                count: [high.count, wide.count],
                // Nothing is read where there are no windows, or none of their elements.
                reach: starts.iter().max().unwrap_or(&0) + offsets.iter().max().unwrap_or(&0),
                starts,
                offsets,
                elements,
            }
        };
        let phases =
            high.phases.iter().flat_map(|high| wide.phases.iter().map(move |wide| phase(high, wide)));
        Some(Blocked {
            inputs,
            outputs,
            width,
            from: [high.from, wide.from],
            to: [high.to, wide.to],
            padding: [above, left],
            padded: [rows, columns],
            phases: phases.collect(),
        })
    }

    fn image(&self) -> usize {
        self.padded[0] * self.padded[1] * self.inputs
    }

    /// Copies an image into `padded`, whose padding is 0 already.
    #[inline(always)]
    fn pad<T: Element>(&self, image: &[T], padded: &mut [T]) {
        let ([rows, columns], [above, left]) = (self.from, self.padding);
        let channels = padded.chunks_exact_mut(self.padded[0] * self.padded[1]);
        for (image, padded) in image.chunks_exact((rows * columns).max(1)).zip(channels) {
            let to = padded.chunks_exact_mut(self.padded[1]).skip(above);
            for (row, to) in image.chunks_exact(columns.max(1)).zip(to) {
                copy_row(row, &mut to[left..], |x| x);
            }
        }
    }

    /// The kernels of all groups in the order in which they are read, where `at(output, channel, place)` is an element.
    pub(super) fn pack<T: Element>(
        &self,
        groups: usize,
        at: impl Fn(usize, usize, usize) -> T,
    ) -> Scratch<T> {
        let elements: usize = self.phases.iter().map(|phase| phase.elements.len()).sum();
        let mut packed = Scratch::new(groups * elements * self.width);
        let mut rest = &mut packed[..];
        for group in 0..groups {
            let at = |o: usize, channel, place| match o < self.outputs {
                true => at(group * self.outputs + o, channel, place),
                false => T::default(),
            };
            for phase in &self.phases {
                for block in self.blocks::<T>() {
                    for &(channel, place) in &phase.elements {
                        let slots = rest.split_off_mut(..block.len()).expect("each element has its room");
                        slots
                            .iter_mut()
                            .zip(block.clone())
                            .for_each(|(slot, o)| *slot = at(o, channel, place));
                    }
                }
            }
        }
        packed
    }

    /// The channels of the output that are summed side by side.
    fn blocks<T>(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        blocks::<T>(self.width)
    }

    /// Room for [`Blocked::convolve`].
    pub(super) fn buffer<T: Element>(&self) -> (Scratch<T>, Scratch<T>) {
        (Scratch::zeros(self.image()), Scratch::zeros(CHUNK * 4 * lanes::<T>()))
    }

    /// Writes all outputs of one group of one image.
    pub(super) fn convolve<T: Element>(
        &self,
        image: &[T],
        kernel: &[T],
        bias: Option<&[T]>,
        buffer: &mut (Scratch<T>, Scratch<T>),
        out: &mut [Uninit<T>],
    ) {
        run(Convolve { blocked: self, image, kernel, bias, buffer, out });
    }

    /// Room for [`Blocked::kernel`].
    pub(super) fn kernel_buffer<T: Element>(&self) -> [Scratch<T>; 3] {
        let [phase] = &self.phases[..] else { return [0; 3].map(Scratch::new) };
        let n = self.batch();
        let sizes =
            [n * self.image(), n * phase.starts.len() * self.width, phase.elements.len() * self.width];
        sizes.map(Scratch::zeros)
    }

    /// The images whose gradients of the kernel are summed at a time.
    fn batch(&self) -> usize {
        (CACHE / (self.image() + self.to[0] * self.to[1] * self.width)).clamp(1, 8)
    }

    /// Adds the gradient of one group's kernel for pairs of an image and the gradient of its output.
    pub(super) fn kernel<'a, T: Element>(
        &self,
        images: impl Iterator<Item = (&'a [T], &'a [T])>,
        [xs, gs, sums]: &mut [Scratch<T>; 3],
        sum: &mut [T],
    ) {
        let phase = &self.phases[0];
        sums.fill(T::default());
        let mut images = images.peekable();
        while images.peek().is_some() {
            let pairs: SmallVec<[_; 8]> = images.by_ref().take(self.batch()).collect();
            run(Products { blocked: self, pairs: &pairs, xs, gs, sums });
        }
        let taps = sum.len() / (self.outputs * self.inputs);
        let mut rows = sums.iter();
        for block in self.blocks::<T>() {
            for &(channel, place) in &phase.elements {
                for (o, &value) in block.clone().zip(&mut rows) {
                    if o < self.outputs {
                        sum[(o * self.inputs + channel) * taps + place] += value;
                    }
                }
            }
        }
    }
}

/// Channels that are summed side by side, of `width` in whole vectors.
pub(super) fn blocks<T>(width: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let lanes = lanes::<T>();
    let most = if many_registers() { 4 } else { 2 };
    let mut start = 0;
    std::iter::from_fn(move || {
        let vectors = match (width - start) / lanes {
            0 => return None,
            1 => 1,
            2 | 3 => 2,
            _ => most,
        };
        start += vectors * lanes;
        Some(start - vectors * lanes..start)
    })
}

/// Whether six places and four vectors of channels fit in registers.
fn many_registers() -> bool {
    simd_level() != "avx2"
}

/// `to[j·to_row + i] = from[i·from_row + j]` for i below `rows` and j below `columns`.
#[inline(always)]
pub(super) fn transpose<T: Copy>(
    from: &[T],
    from_row: usize,
    to: &mut [Uninit<T>],
    to_row: usize,
    [rows, columns]: [usize; 2],
) {
    const SIDE: usize = 4;
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(
        (rows - 1) * from_row + columns <= from.len() && (columns - 1) * to_row + rows <= to.len(),
        "kernel::conv: a matrix outside of its slice"
    );
    let [whole, wide] = [rows, columns].map(|n| n / SIDE * SIDE);
    let (start, end) = (from.as_ptr(), to.as_mut_ptr().cast::<T>());
    // Along the rows that lie farther from one another: many of them may share one set of a cache.
    if from_row > to_row {
        for i in (0..whole).step_by(SIDE) {
            for j in (0..wide).step_by(SIDE) {
                // SAFETY: rows i to i + 3 and columns j to j + 3 lie inside of both by the assertion above.
                unsafe { turn(start.add(i * from_row + j), from_row, end.add(j * to_row + i), to_row) };
            }
        }
    } else {
        for j in (0..wide).step_by(SIDE) {
            for i in (0..whole).step_by(SIDE) {
                // SAFETY: as above.
                unsafe { turn(start.add(i * from_row + j), from_row, end.add(j * to_row + i), to_row) };
            }
        }
    }
    for i in 0..rows {
        for j in if i < whole { wide } else { 0 }..columns {
            to[j * to_row + i].write(from[i * from_row + j]);
        }
    }
}

struct Convolve<'a, T: 'static> {
    blocked: &'a Blocked,
    image: &'a [T],
    kernel: &'a [T],
    bias: Option<&'a [T]>,
    buffer: &'a mut (Scratch<T>, Scratch<T>),
    out: &'a mut [Uninit<T>],
}

impl<T: Element> WithSimd for Convolve<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Convolve { blocked, image, mut kernel, bias, buffer: (padded, sums), out } = self;
        blocked.pad(image, padded);
        for phase in &blocked.phases {
            for block in blocked.blocks::<T>() {
                let weights = kernel.split_off(..phase.elements.len() * block.len()).expect("a whole block");
                let channels = block.start..block.end.min(blocked.outputs);
                let mut start = Aligned([T::default(); 64]);
                let start = &mut start.0;
                if let Some(bias) = bias {
                    start[..channels.len()].copy_from_slice(&bias[channels.clone()]);
                }
                for first in (0..phase.starts.len()).step_by(CHUNK) {
                    let chunk = Chunk { phase, first, count: CHUNK.min(phase.starts.len() - first) };
                    let (x, start) = (&padded[..], &start[..block.len()]);
                    match block.len() / lanes_of::<S, T>() {
                        4 if S::REGISTER_COUNT > 16 => chunk.sum::<S, T, 6, 4>(simd, x, weights, start, sums),
                        2 => chunk.sum::<S, T, 6, 2>(simd, x, weights, start, sums),
                        _ => chunk.sum::<S, T, 8, 1>(simd, x, weights, start, sums),
                    }
                    chunk.write(blocked.to, block.len(), sums, channels.clone(), out);
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn lanes_of<S: Simd, T: Element>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}

/// `count` places of an output from `first` on.
struct Chunk<'a> {
    phase: &'a Phase,
    first: usize,
    count: usize,
}

impl Chunk<'_> {
    /// Writes the sums of V vectors of channels to `sums`, P places at a time. They begin at `start`.
    #[inline(always)]
    fn sum<S: Simd, T: Element, const P: usize, const V: usize>(
        &self,
        simd: S,
        x: &[T],
        weights: &[T],
        start: &[T],
        sums: &mut [T],
    ) {
        let &Chunk { phase, first, count } = self;
        let lanes = lanes_of::<S, T>();
        let start = &T::vectors::<S>(start)[..V];
        let mut starts = [0; CHUNK + 8];
        starts[..count].copy_from_slice(&phase.starts[first..first + count]);
        // The last place stands in for missing ones.
        let last = starts[count - 1];
        starts[count..].fill(last);
        assert!(phase.reach < x.len(), "kernel::conv: a window outside of its image");
        let sums = sums[..count.next_multiple_of(P) * V * lanes].chunks_exact_mut(P * V * lanes);
        for (sums, &starts) in sums.zip(starts.as_chunks::<P>().0) {
            let mut total = [[start[0]; V]; P];
            for total in &mut total {
                total.copy_from_slice(start);
            }
            for (&offset, weights) in phase.offsets.iter().zip(T::vectors::<S>(weights).chunks_exact(V)) {
                let x = x.as_ptr().wrapping_add(offset);
                for p in 0..P {
                    // SAFETY: neither is beyond the last window or element, which lie inside `x` by the assertion above.
                    let x = T::splat(simd, unsafe { *x.add(starts[p]) });
                    for v in 0..V {
                        total[p][v] = T::fused(simd, x, weights[v], total[p][v]);
                    }
                }
            }
            for (sums, total) in T::vectors_mut::<S>(sums).chunks_exact_mut(V).zip(&total) {
                sums.copy_from_slice(total);
            }
        }
    }

    /// Writes the sums, `width` for each place, to `channels` of the output, whose rows and columns are `to`.
    #[inline(always)]
    fn write<T: Element>(
        &self,
        to: [usize; 2],
        width: usize,
        sums: &[T],
        channels: std::ops::Range<usize>,
        out: &mut [Uninit<T>],
    ) {
        let &Chunk { phase, first, count } = self;
        let size = to[0] * to[1];
        if phase.step == [1, 1] {
            let out = &mut out[channels.start * size + first..];
            transpose(sums, width, out, size, [count, channels.len()]);
            return;
        }
        let mut places = [0; CHUNK];
        for (i, place) in places[..count].iter_mut().enumerate() {
            let (row, column) = ((first + i) / phase.count[1], (first + i) % phase.count[1]);
            *place = (phase.first[0] + row * phase.step[0]) * to[1] + phase.first[1] + column * phase.step[1];
        }
        for (c, channel) in channels.enumerate() {
            let out = &mut out[channel * size..][..size];
            for (&place, sums) in places[..count].iter().zip(sums.chunks_exact(width)) {
                out[place].write(sums[c]);
            }
        }
    }
}

/// Adds the products of windows with gradients.
struct Products<'a, T> {
    blocked: &'a Blocked,
    pairs: &'a [(&'a [T], &'a [T])],
    xs: &'a mut [T],
    gs: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Element> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { blocked, pairs, xs, gs, sums } = self;
        let phase = &blocked.phases[0];
        let (image, places) = (blocked.image(), phase.starts.len());
        for (i, (x, g)) in pairs.iter().enumerate() {
            blocked.pad(x, &mut xs[i * image..][..image]);
            let to = &mut gs[i * places * blocked.width..][..places * blocked.width];
            // SAFETY: `transpose` writes elements.
            let to = unsafe { slots(to) };
            transpose(g, places, to, blocked.width, [blocked.outputs, places]);
        }
        let mut sums = sums;
        let (xs, gs) = (&xs[..pairs.len() * image], &gs[..pairs.len() * places * blocked.width]);
        for block in blocked.blocks::<T>() {
            let (some, rest) = sums.split_at_mut(phase.offsets.len() * block.len());
            sums = rest;
            match block.len() / lanes_of::<S, T>() {
                4 if S::REGISTER_COUNT > 16 => {
                    products::<S, T, 6, 4>(simd, blocked, xs, gs, block.start, some)
                }
                2 => products::<S, T, 6, 2>(simd, blocked, xs, gs, block.start, some),
                _ => products::<S, T, 8, 1>(simd, blocked, xs, gs, block.start, some),
            }
        }
    }
}

/// Adds to `sums` the products of the elements of windows at `offsets` with V vectors of gradients from channel `from` on, for P
/// offsets at a time.
#[inline(always)]
fn products<S: Simd, T: Element, const P: usize, const V: usize>(
    simd: S,
    blocked: &Blocked,
    xs: &[T],
    gs: &[T],
    from: usize,
    sums: &mut [T],
) {
    let lanes = lanes_of::<S, T>();
    let phase = &blocked.phases[0];
    let one = T::splat(simd, T::constant(1.0));
    for (offsets, sums) in phase.offsets.chunks(P).zip(sums.chunks_mut(P * V * lanes)) {
        // The first offset stands in for missing ones.
        let offsets: [usize; P] = std::array::from_fn(|p| offsets.get(p).copied().unwrap_or(offsets[0]));
        let images =
            xs.chunks_exact(blocked.image()).zip(gs.chunks_exact(phase.starts.len() * blocked.width));
        for (x, g) in images {
            let total = image::<S, T, P, V>(simd, phase, x, offsets, &g[from..], blocked.width);
            for (sums, total) in T::vectors_mut::<S>(sums).chunks_exact_mut(V).zip(&total) {
                for v in 0..V {
                    sums[v] = T::fused(simd, total[v], one, sums[v]);
                }
            }
        }
    }
}

/// The products of the elements of an image's windows at `offsets` with V vectors of gradients, which are `width` apart.
#[inline(always)]
fn image<S: Simd, T: Element, const P: usize, const V: usize>(
    simd: S,
    phase: &Phase,
    x: &[T],
    offsets: [usize; P],
    g: &[T],
    width: usize,
) -> [[T::Vector<S>; V]; P] {
    let needed = (phase.starts.len() - 1) * width + V * lanes_of::<S, T>();
    assert!(phase.reach < x.len() && needed <= g.len(), "kernel::conv: a window outside of its image");
    let mut total = [[T::splat(simd, T::default()); V]; P];
    let mut g = g.as_ptr();
    for &start in &phase.starts {
        // SAFETY: `needed` elements of `g` are read, which exist by the assertion above; a vector may lie at any address.
        let now = unsafe { g.cast::<[T::Vector<S>; V]>().read_unaligned() };
        g = g.wrapping_add(width);
        let x = x.as_ptr().wrapping_add(start);
        for p in 0..P {
            // SAFETY: neither is beyond the largest start or offset, which lie inside `x` by the assertion above.
            let x = T::splat(simd, unsafe { *x.add(offsets[p]) });
            for v in 0..V {
                total[p][v] = T::fused(simd, x, now[v], total[p][v]);
            }
        }
    }
    total
}
