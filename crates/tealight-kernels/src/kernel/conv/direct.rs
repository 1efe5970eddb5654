//! Convolutions of small images, without a matrix of windows.
//!
//! An image with its padding is one long row, and so is the output if each of its rows is as long as a padded row of the image:
//! then element k of the kernel lies `offsets[k]` behind the start of the window, wherever that is. Elements between the rows of
//! the output are computed, too, and dropped. For a stride s the image is divided into s² planes, each with every s-th row and
//! column, whose windows lie side by side.
//!
//! Where few sums are made of an element, as in a depthwise convolution, copying rows takes longer than the sums. There, a plane for
//! each column of the kernel has the elements that this column lies on: rows are as long as those of the output, and vectors of a
//! plane lie where those of the output do. At stride 1 that is the whole image, moved.
//!
//! The transpose of a convolution with a stride is several convolutions at stride 1 ([`Phases`]), whose outputs lie between one another.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use smallvec::SmallVec;

use super::super::Element;
use super::super::buffer::{Scratch, Uninit};
use super::super::parallel::{is_scalar, run, simd_level, vectorize};
use super::{Conv, WindowAxis};

/// Channels of the output that are summed side by side; one, if there is only one, as in a depthwise convolution.
const CHANNELS: usize = 4;

/// Vectors of all channels that are summed side by side, so that no sum waits for another.
const SUMS: usize = 8;

/// The most elements of an image with four channels of an output, and of a kernel: a level-2 cache holds them, so that a matrix
/// product is not faster.
const SMALL: usize = 1 << 15;

/// The fewest elements of an image for kernels of one element: a vector of fewer would have empty places.
const FEWEST: usize = 32;

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

/// Where the plane of a column of the kernel begins, the first element of a row that it has, and the outputs that these are for.
type Column = (usize, usize, Range<usize>);

/// A convolution as sums over long rows.
pub(super) struct Direct {
    conv: Conv,
    /// Channels of the output that are summed side by side.
    channels: usize,
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
    /// `None` if the matrix product is possible only, or faster.
    pub(super) fn new<T: Element>(conv: &Conv) -> Option<Direct> {
        let few = conv.is_plain() && conv.windows() < FEWEST;
        if conv.is_one_large() || few { None } else { Direct::of::<T>(conv) }
    }

    fn of<T: Element>(conv: &Conv) -> Option<Direct> {
        let [high, wide] = conv.sides;
        if is_scalar() || conv.windows() == 0 {
            return None;
        }
        // The rows and columns of a plane that the windows reach.
        let reach = |side: WindowAxis| side.output + (side.kernel - 1) * side.dilation / side.stride;
        let same = wide.input == wide.output && high.stride == 1;
        let moved = conv.outputs == 1 && (wide.stride > 1 || same);
        let pitch = match wide.stride {
            _ if moved => wide.output,
            // The padding before a row is also some of that behind the last one.
            1 => wide.output.max(wide.input + wide.padding).max(reach(wide).saturating_sub(wide.padding)),
            _ => reach(wide),
        };
        let plane = reach(high).saturating_mul(pitch).saturating_add(if moved { 0 } else { wide.padding });
        let planes = high.stride.saturating_mul(if moved { wide.kernel } else { wide.stride });
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
                    let (number, at) = if moved { (kx, 0) } else { (at % wide.stride, at / wide.stride) };
                    let number = ky % high.stride * (planes / high.stride) + number;
                    offsets.push((input * planes + number) * plane + ky / high.stride * pitch + at);
                }
            }
        }
        Some(Direct { conv: *conv, channels, moved, planes, pitch, plane, used, places, offsets })
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

    /// Divides an image at stride 2 into its even and odd columns where these are two of the planes that [`Direct::pick_by_columns`] makes, and
    /// moves those for the other planes; false if they are not.
    #[inline(always)]
    fn halve_by_columns<T: Element>(&self, image: &[T], padded: &mut [T], columns: &[Column]) -> bool {
        let [high, wide] = self.conv.sides;
        let (rows, sizes) = (self.plane / self.pitch, [wide.input.div_ceil(2), wide.input / 2]);
        let mut halves = [None; 2];
        for (half, size) in sizes.into_iter().enumerate() {
            for (plane, from, outputs) in columns {
                if *from == half && *outputs == (0..size) {
                    halves[half] = Some(*plane);
                }
            }
        }
        let [Some(evens), Some(odds)] = halves else { return false };
        let channels = image.chunks_exact((high.input * wide.input).max(1));
        for (image, planes) in channels.zip(padded.chunks_exact_mut(self.planes * self.plane)) {
            let (mut group, mut at) = (high.padding % high.stride, high.padding / high.stride * self.pitch);
            for row in image.chunks_exact(wide.input.max(1)) {
                if at >= rows * self.pitch {
                    break;
                }
                let first = group * wide.kernel * self.plane + at;
                let (even, odd) = (first + evens, first + odds);
                let halves = planes.get_disjoint_mut([even..even + sizes[0], odd..odd + sizes[1]]);
                let [evens, odds] = halves.expect("planes do not overlap");
                split(row, evens, odds);
                group += 1;
                if group == high.stride {
                    (group, at) = (0, at + self.pitch);
                }
            }
            for group in planes.chunks_exact_mut(wide.kernel * self.plane) {
                for (plane, from, outputs) in columns {
                    let half = [evens, odds][from % 2];
                    if *plane == half {
                        continue;
                    }
                    let (to, from) = (outputs.start, from / 2);
                    let n = self.plane - to.max(from);
                    group.copy_within(half + from..half + from + n, plane + to);
                    for row in group[*plane..plane + self.plane].chunks_exact_mut(self.pitch) {
                        row[..outputs.start].fill(T::default());
                        row[outputs.end..].fill(T::default());
                    }
                }
            }
        }
        true
    }

    /// Copies what each column of the kernel lies on at a stride into planes whose padding is 0 already.
    #[inline(always)]
    fn pick_by_columns<T: Element>(&self, image: &[T], padded: &mut [T]) {
        let [high, wide] = self.conv.sides;
        let rows = self.plane / self.pitch;
        let columns: SmallVec<[Column; 8]> = (0..wide.kernel)
            .map(|kx| (wide.outputs(kx), kx))
            .filter(|(outputs, _)| !outputs.is_empty())
            .map(|(outputs, kx)| (kx * self.plane, wide.place(outputs.start, kx), outputs))
            .collect();
        if wide.stride == 2 && self.halve_by_columns(image, padded, &columns) {
            return;
        }
        let mut halves = SmallVec::<[T; 256]>::from_elem(T::default(), wide.input + 1);
        let (evens, odds) = halves.split_at_mut(wide.input.div_ceil(2));
        let channels = image.chunks_exact((high.input * wide.input).max(1));
        for (image, planes) in channels.zip(padded.chunks_exact_mut(self.planes * self.plane)) {
            // No division for each row: it would take longer than the copy.
            let (mut group, mut at) = (high.padding % high.stride, high.padding / high.stride * self.pitch);
            for row in image.chunks_exact(wide.input.max(1)) {
                if at >= rows * self.pitch {
                    break;
                }
                let first = group * wide.kernel * self.plane + at;
                group += 1;
                if group == high.stride {
                    (group, at) = (0, at + self.pitch);
                }
                if wide.stride == 2 {
                    split(row, evens, odds);
                }
                for (plane, from, outputs) in &columns {
                    let to = &mut planes[first + plane..][outputs.clone()];
                    if wide.stride == 2 {
                        let half = if from % 2 == 0 { &evens } else { &odds };
                        copy_row(&half[from / 2..], to, |x| x);
                    } else {
                        let row = row[*from..].iter().step_by(wide.stride);
                        to.iter_mut().zip(row).for_each(|(to, &x)| *to = x);
                    }
                }
            }
        }
    }

    /// Copies an image into `padded`, whose padding is 0 already.
    fn pad<T: Element>(&self, image: &[T], padded: &mut [T]) {
        let [high, wide] = self.conv.sides;
        if self.moved {
            return match wide.stride {
                1 => self.move_by_columns(image, padded),
                _ => vectorize!(self.pick_by_columns(image, padded)),
            };
        }
        let planes = high.stride * wide.stride;
        if self.plane == high.input * wide.input && planes == 1 {
            padded[..image.len()].copy_from_slice(image);
            return;
        }
        let rows = (self.plane - wide.padding) / self.pitch;
        let channels = image.chunks_exact((high.input * wide.input).max(1));
        for (image, padded) in channels.zip(padded.chunks_exact_mut(planes * self.plane)) {
            for (y, row) in image.chunks_exact(wide.input.max(1)).enumerate() {
                let y = y + high.padding;
                if y / high.stride >= rows {
                    break;
                }
                let first = y % high.stride * wide.stride;
                let at = y / high.stride * self.pitch;
                if wide.stride == 1 {
                    let to = &mut padded[first * self.plane + at + wide.padding..];
                    copy_row(row, to, |x| x);
                    continue;
                }
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
                        to.iter_mut().zip(row).for_each(|(to, &x)| *to = x);
                    }
                }
            }
        }
    }

    /// The kernel of all groups, whose element d of output o is `at(o, d)`: some outputs side by side, with zeros for missing ones.
    pub(super) fn pack<T: Element>(&self, at: impl Fn(usize, usize) -> T) -> Scratch<T> {
        let mut packed = Scratch::new(self.packed());
        self.pack_into(&mut packed, at);
        packed
    }

    /// The elements of what [`Direct::pack`] makes.
    fn packed(&self) -> usize {
        self.conv.groups * self.conv.outputs.next_multiple_of(self.channels) * self.offsets.len()
    }

    fn pack_into<T: Element>(&self, packed: &mut [T], at: impl Fn(usize, usize) -> T) {
        let (Conv { groups, outputs, .. }, channels) = (self.conv, self.channels);
        let mut slots = packed.chunks_exact_mut(channels);
        for group in 0..groups {
            for first in (0..outputs).step_by(channels) {
                for d in 0..self.offsets.len() {
                    let slots = slots.next().expect("each element has its room").iter_mut();
                    slots.zip(first..).for_each(|(slot, o)| {
                        *slot = if o < outputs { at(group * outputs + o, d) } else { T::default() };
                    });
                }
            }
        }
    }

    /// Room for [`Direct::convolve`].
    pub(super) fn buffer<T: Element>(&self) -> (Scratch<T>, Scratch<T>) {
        (Scratch::zeros(self.image() + LINE), Scratch::zeros(self.channels * self.places))
    }

    /// Writes the sums of a block of outputs to `rows`.
    fn sum<T: Element>(&self, block: usize, kernel: &[T], bias: Option<&[T]>, x: &[T], rows: &mut [T]) {
        let depth = self.offsets.len() * self.channels;
        let (direct, kernel) = (self, &kernel[block * depth..][..depth]);
        let start =
            |o| bias.and_then(|bias| bias.get(block * self.channels + o)).copied().unwrap_or_default();
        match self.channels {
            1 => run(Sums::<T, 1, 8> { direct, x, kernel, start: [start(0)], rows }),
            _ => {
                let start = std::array::from_fn(start);
                run(Sums::<T, CHANNELS, { SUMS / CHANNELS }> { direct, x, kernel, start, rows });
            }
        }
    }

    /// Writes all outputs of one group of one image.
    pub(super) fn convolve<T: Element>(
        &self,
        image: &[T],
        kernel: &[T],
        bias: Option<&[T]>,
        (padded, rows): &mut (Scratch<T>, Scratch<T>),
        out: &mut [Uninit<T>],
    ) {
        let [height, width] = self.conv.sides.map(|side| side.output);
        // An image without padding whose vectors are whole is read where it is.
        let mut x = image;
        if !(self.conv.is_plain() && self.places == self.used) {
            let padded = at_a_line(padded);
            self.pad(image, padded);
            x = padded;
        }
        for (block, out) in out.chunks_mut(self.channels * height * width).enumerate() {
            self.sum(block, kernel, bias, x, rows);
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
    pub(super) fn kernel_buffer<T: Element>(&self) -> (Scratch<T>, Scratch<T>) {
        let gradients = self.conv.outputs.next_multiple_of(self.channels) * self.places;
        let n = self.batch();
        (Scratch::zeros(n * self.image() + LINE), Scratch::zeros(n * gradients + LINE))
    }

    /// Adds the gradient of one group's kernel for pairs of an image and the gradient of its output.
    pub(super) fn kernel<'a, T: Element>(
        &self,
        mut images: impl Iterator<Item = (&'a [T], &'a [T])>,
        (xs, gs): &mut (Scratch<T>, Scratch<T>),
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

/// The elements of a row that have even and odd places.
#[inline(always)]
fn split<T: Element>(row: &[T], evens: &mut [T], odds: &mut [T]) {
    let (pairs, last) = row.as_chunks::<2>();
    let (even, odd) = (&mut evens[..pairs.len()], &mut odds[..pairs.len()]);
    for i in 0..pairs.len() {
        even[i] = pairs[i][0];
        odd[i] = pairs[i][1];
    }
    if let [last] = last {
        evens[pairs.len()] = *last;
    }
}

/// The transpose of a convolution with strides, as a convolution at stride 1 for the places whose row and column leave the same
/// remainders.
pub(super) struct Phases {
    /// From the outputs of the convolution to its inputs.
    turned: Conv,
    strides: [usize; 2],
    /// By rows: each convolution, and the element of the kernel for each of its own.
    phases: Vec<(Direct, Vec<usize>)>,
}

impl Phases {
    /// `None` if the matrix product is possible only, or faster.
    pub(super) fn new<T: Element>(conv: &Conv) -> Option<Phases> {
        if conv.is_one_large() || conv.is_plain() {
            return None;
        }
        // One axis of a phase, and which elements of the kernel it has.
        let axis = |side: WindowAxis, first: usize| {
            // Output o of the convolution reads x at o·stride + k·dilation − padding.
            let tap = |k: usize| {
                let at = (first + side.padding) as isize - (k * side.dilation) as isize;
                let stride = side.stride as isize;
                (at.rem_euclid(stride) == 0).then(|| (k, at.div_euclid(stride)))
            };
            let (taps, offsets): (Vec<usize>, Vec<isize>) = (0..side.kernel).rev().filter_map(tap).unzip();
            let dilation = match offsets[..] {
                [first, second, ..] => (second - first).unsigned_abs(),
                _ => 1,
            };
            let output = side.input.saturating_sub(first).div_ceil(side.stride);
            let padding = usize::try_from(-*offsets.first()?).ok()?;
            let kernel = taps.len();
            Some((WindowAxis { input: side.output, output, kernel, stride: 1, padding, dilation }, taps))
        };
        let [high, wide] = conv.sides;
        let turned = Conv { inputs: conv.outputs, outputs: conv.inputs, ..*conv };
        let mut phases = Vec::with_capacity(high.stride * wide.stride);
        for y in 0..high.stride {
            for x in 0..wide.stride {
                let ((high, rows), (across, columns)) = (axis(high, y)?, axis(wide, x)?);
                let direct = Direct::of::<T>(&Conv { sides: [high, across], ..turned })?;
                let at = rows.iter().flat_map(|row| columns.iter().map(move |x| row * wide.kernel + x));
                phases.push((direct, at.collect()));
            }
        }
        Some(Phases { turned, strides: [high.stride, wide.stride], phases })
    }

    /// The kernel of all groups, whose element k of the sum from channel c to output o is `at(o, c, k)`, for each phase.
    pub(super) fn pack<T: Element>(&self, at: impl Fn(usize, usize, usize) -> T) -> Scratch<T> {
        let mut packed = Scratch::new(self.phases.iter().map(|(direct, _)| direct.packed()).sum());
        let mut rest = &mut packed[..];
        for (direct, taps) in &self.phases {
            let own = rest.split_off_mut(..direct.packed()).expect("each phase has its room");
            direct.pack_into(own, |o, d| at(o, d / taps.len(), taps[d % taps.len()]));
        }
        packed
    }

    /// Room for [`Phases::convolve`].
    pub(super) fn buffer<T: Element>(&self) -> SmallVec<[(Scratch<T>, Scratch<T>); 4]> {
        self.phases.iter().map(|(direct, _)| direct.buffer()).collect()
    }

    /// Writes all outputs of one group of one image, which has `size` rows and columns.
    pub(super) fn convolve<T: Element>(
        &self,
        image: &[T],
        (group, kernels): (usize, &[T]),
        bias: Option<&[T]>,
        buffers: &mut [(Scratch<T>, Scratch<T>)],
        size: [usize; 2],
        out: &mut [Uninit<T>],
    ) {
        for ((direct, _), (padded, _)) in self.phases.iter().zip(&mut *buffers) {
            direct.pad(image, at_a_line(padded));
        }
        let channels = self.phases[0].0.channels;
        for (block, out) in out.chunks_mut(channels * size[0] * size[1]).enumerate() {
            let mut rest = kernels;
            for ((direct, _), (padded, rows)) in self.phases.iter().zip(&mut *buffers) {
                let (kernel, others) = rest.split_at(direct.packed());
                rest = others;
                let length = kernel.len() / self.turned.groups;
                direct.sum(block, &kernel[group * length..][..length], bias, at_a_line(padded), rows);
            }
            vectorize!(for (o, out) in out.chunks_mut(size[0] * size[1]).enumerate() {
                for (y, out) in out.chunks_exact_mut(size[1]).enumerate() {
                    let first = y % self.strides[0] * self.strides[1];
                    let row = |x: usize| {
                        let direct = &self.phases[first + x].0;
                        let at = o * direct.places + y / self.strides[0] * direct.pitch;
                        &buffers[first + x].1[at..][..direct.conv.sides[1].output]
                    };
                    if self.strides[1] == 2 {
                        join(row(0), row(1), out);
                        continue;
                    }
                    for x in 0..self.strides[1] {
                        let places = out.iter_mut().skip(x).step_by(self.strides[1]);
                        places.zip(row(x)).for_each(|(out, &sum)| *out = Uninit::new(sum));
                    }
                }
            });
        }
    }
}

/// The inverse of [`split`].
#[inline(always)]
fn join<T: Element>(evens: &[T], odds: &[T], row: &mut [Uninit<T>]) {
    let (pairs, last) = row.as_chunks_mut::<2>();
    let (even, odd) = (&evens[..pairs.len()], &odds[..pairs.len()]);
    for i in 0..pairs.len() {
        pairs[i] = [Uninit::new(even[i]), Uninit::new(odd[i])];
    }
    if let [last] = last {
        *last = Uninit::new(evens[pairs.len()]);
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
