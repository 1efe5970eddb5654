//! Convolutions with kernels of 3×3 elements at stride 1, and their gradients, by Winograd's method F(2×2, 3×3).
//!
//! A tile of 2×2 outputs, with the 4×4 elements under their windows, adds 4·9 products x·w·g for each pair of channels. They are also the sum over
//! 16 places of Bᵀ·x·B times G·w·Gᵀ times A·g·Aᵀ, so that the derivative by one of the three takes 16 products: for each place a
//! matrix product over the channels or the tiles.
//!
//! An infinity makes its whole tile infinite or NaN, so a result with such elements is not used.
//!
//! A. Lavin and S. Gray 2016

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::super::Element;
use super::super::buffer::{Scratch, Uninit, assume_written_mut, slots};
use super::super::parallel::{is_scalar, run};
use super::super::simd::{store, vector, vector_at};
use super::Conv;
use super::blocked::{blocks, lanes_of, transpose};
use super::direct::lanes;

/// Places of a transformed tile.
const PLACES: usize = 16;

/// Tiles that are transformed and multiplied at a time: a level-2 cache holds them.
const TILES: usize = if cfg!(test) { 8 } else { 48 };

/// Channels from which on the products take longer than the transforms.
const FEWEST: usize = 16;

/// Elements between the places of a tile, so that these do not share one set of a cache.
const APART: usize = 16;

/// A convolution of kernels of 3×3 elements at stride 1.
pub(super) struct Winograd {
    /// The channels of an image, and of the output.
    channels: [usize; 2],
    /// The same, rounded up to whole vectors.
    widths: [usize; 2],
    /// Rows and columns of an image.
    from: [usize; 2],
    /// Rows and columns of the output.
    to: [usize; 2],
    /// Padding above and left of an image.
    padding: [usize; 2],
    /// Tiles of an image below and beside each other.
    tiles: [usize; 2],
    /// Rows of tiles that are computed at a time.
    rows: usize,
    /// Images that are computed at a time.
    images: usize,
}

/// The parts of a buffer.
struct Buffers<'a, T> {
    /// Lines of an image with its padding, channels last.
    image: &'a mut [T],
    /// Lines of an output, channels last.
    output: &'a mut [T],
    /// The transforms of both by place, tile and channel.
    tiles: [&'a mut [T]; 2],
}

impl Winograd {
    /// `None` if another way is faster, or the only one.
    pub(super) fn new<T: Element>(conv: &Conv) -> Option<Winograd> {
        let three = conv.sides.iter().all(|side| (side.kernel, side.stride, side.dilation) == (3, 1, 1));
        let channels = [conv.inputs, conv.outputs];
        // A page in the browser has no room for it: 27 kB with gzip.
        if cfg!(target_arch = "wasm32")
            || !three
            || conv.groups > 1
            || channels.iter().any(|&n| n < FEWEST)
            || is_scalar()
        {
            return None;
        }
        let widths = channels.map(|n| n.next_multiple_of(lanes::<T>()));
        let to = conv.sides.map(|side| side.output);
        let tiles = to.map(|n| n.div_ceil(2));
        // Half a tile counts as a whole one.
        if conv.windows() == 0
            || 8 * tiles[0] * tiles[1] > 3 * conv.windows()
            || 4 * channels[1] < 3 * widths[1]
        {
            return None;
        }
        let rows = (TILES / tiles[1]).clamp(1, tiles[0]);
        let images =
            if rows == tiles[0] { (TILES / (rows * tiles[1])).clamp(1, conv.batch.max(1)) } else { 1 };
        let (from, padding) = (conv.sides.map(|side| side.input), conv.sides.map(|side| side.padding));
        Some(Winograd { channels, widths, from, to, padding, tiles, rows, images })
    }

    /// The images that are computed at a time.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// From one place of all tiles to the next, of an image or an output.
    fn distance(&self, of: usize) -> usize {
        self.images * self.rows * self.tiles[1] * self.widths[of] + APART
    }

    /// Rows of tiles that one thread may compute.
    pub(super) fn parts(&self, most: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
        let (all, step) = (self.tiles[0], self.tiles[0].div_ceil(most).next_multiple_of(self.rows));
        (0..all).step_by(step).map(move |first| first..all.min(first + step))
    }

    /// The lines of an output in rows of tiles.
    pub(super) fn lines(&self, rows: &Range<usize>) -> Range<usize> {
        2 * rows.start..self.to[0].min(2 * rows.end)
    }

    /// The rows of tiles of an image.
    pub(super) fn rows(&self) -> Range<usize> {
        0..self.tiles[0]
    }

    /// The elements of the parts of a buffer.
    fn buffer_sizes(&self) -> [usize; 4] {
        let lines = |extra: usize, width| (2 * self.rows + extra) * (2 * self.tiles[1] + extra) * width;
        let [x, y] = [0, 1].map(|of| PLACES * self.distance(of));
        [lines(2, self.widths[0]), lines(0, self.widths[1]), x, y]
    }

    /// Memory for [`convolve`](Self::convolve) and [`kernel`](Self::kernel).
    pub(super) fn buffer<T: Element>(&self) -> Scratch<T> {
        let sizes = self.buffer_sizes();
        let mut buffer = Scratch::new(sizes.iter().sum());
        // Places that are not written are padding.
        buffer[..sizes[0] + sizes[1]].fill(T::default());
        buffer
    }

    fn split<'a, T>(&self, buffer: &'a mut [T]) -> Buffers<'a, T> {
        let [image, output, x, _] = self.buffer_sizes();
        let (image, rest) = buffer.split_at_mut(image);
        let (output, rest) = rest.split_at_mut(output);
        Buffers { image, output, tiles: rest.split_at_mut(x).into() }
    }

    /// The transform of a kernel of (outputs, channels, 3, 3), by place, channel of the image and of the output; or of the kernel of the transposed
    /// convolution, which is of (channels, outputs, 3, 3).
    pub(super) fn pack<T: Element>(&self, kernel: &[T], transposed: bool) -> Scratch<T> {
        let size = self.channels[0] * self.widths[1];
        let (mut turned, mut packed) = (Scratch::new(9 * size), Scratch::new(PLACES * size));
        run(Pack { own: self, kernel, transposed, turned: &mut turned, packed: &mut packed });
        packed
    }

    /// Writes the lines of the outputs in rows of tiles of some images, at most [`images`](Self::images) of them.
    pub(super) fn convolve<T: Element>(
        &self,
        images: &[T],
        rows: Range<usize>,
        kernel: &[T],
        bias: Option<&[T]>,
        buffer: &mut [T],
        out: &mut [Uninit<T>],
    ) {
        run(Convolve { own: self, images, rows, kernel, bias, buffers: self.split(buffer), out });
    }

    /// The elements of a transformed gradient of the kernel.
    pub(super) fn kernel_size(&self) -> usize {
        PLACES * self.channels[0] * self.widths[1]
    }

    /// The transform of the gradient of the kernel for some images, at most [`images`](Self::images) of them, which is added to
    /// `sum` if `adds`.
    pub(super) fn kernel<T: Element>(
        &self,
        images: &[T],
        gradients: &[T],
        buffer: &mut [T],
        sum: &mut [T],
        adds: bool,
    ) {
        run(Products { own: self, images, gradients, buffers: self.split(buffer), sum, adds });
    }

    /// Writes the gradient of a kernel, of which `sum` is the transform.
    pub(super) fn unpack<T: Element>(&self, sum: &[T], out: &mut [Uninit<T>]) {
        let mut turned = Scratch::new(9 * self.channels[0] * self.widths[1]);
        run(Unpack { own: self, sum, turned: &mut turned, out });
    }

    /// The first row of tiles and the number of rows of each part that is computed at a time.
    fn bands(&self, Range { start, end }: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let rows = self.rows;
        (start..end).step_by(rows).map(move |first| (first, rows.min(end - first)))
    }

    /// Transforms rows of tiles of an image, and writes them from tile `at` on.
    #[inline(always)]
    fn spread<S: Simd, T: Element>(
        &self,
        simd: S,
        image: &[T],
        (first, rows): (usize, usize),
        lines: &mut [T],
        at: usize,
        out: &mut [T],
    ) {
        let pitch = 2 * self.tiles[1] + 2;
        gather(
            image,
            [self.channels[0], self.widths[0]],
            self.from,
            self.padding,
            [2 * first, 2 * rows + 2],
            pitch,
            lines,
        );
        let (width, distance, lanes) = (self.widths[0], self.distance(0), lanes_of::<S, T>());
        for row in 0..rows {
            for column in 0..self.tiles[1] {
                let tile = &lines[(2 * row * pitch + 2 * column) * width..][..(3 * pitch + 4) * width];
                let out = &mut out[(at + row * self.tiles[1] + column) * width..][..15 * distance + width];
                for c in (0..width).step_by(lanes) {
                    let mut d = [[T::splat(simd, T::default()); 4]; 4];
                    for y in 0..4 {
                        for x in 0..4 {
                            // SAFETY: the tile has 3·pitch + 4 elements of `width` channels, and vectors divide the width.
                            d[y][x] =
                                unsafe { vector_at::<S, T>(tile.as_ptr().add((y * pitch + x) * width + c)) };
                        }
                    }
                    for y in 0..4 {
                        d[y] = of_image::<S, T>(simd, d[y]);
                    }
                    for x in 0..4 {
                        let column = of_image::<S, T>(simd, [d[0][x], d[1][x], d[2][x], d[3][x]]);
                        for y in 0..4 {
                            // SAFETY: the slice ends `width` elements behind the last place.
                            unsafe {
                                store_at::<S, T>(column[y], out.as_mut_ptr().add((4 * y + x) * distance + c))
                            };
                        }
                    }
                }
            }
        }
    }
}

/// Writes a vector to an address that need not be aligned.
///
/// # Safety
/// As many elements as a vector has must lie there.
#[inline(always)]
unsafe fn store_at<S: Simd, T: Element>(vector: T::Vector<S>, to: *mut T) {
    // SAFETY: a vector is its elements, and the write takes any address.
    unsafe { to.cast::<T::Vector<S>>().write_unaligned(vector) }
}

/// Copies `count` lines of an image from line `first` on, which has its padding above and beside it, to lines of `pitch` places with the
/// channels of each place side by side.
#[inline(always)]
fn gather<T: Element>(
    image: &[T],
    [channels, width]: [usize; 2],
    [height, wide]: [usize; 2],
    [above, left]: [usize; 2],
    [first, count]: [usize; 2],
    pitch: usize,
    lines: &mut [T],
) {
    let columns = wide.min(pitch.saturating_sub(left));
    for (y, line) in (first..first + count).zip(lines.chunks_exact_mut(pitch * width)) {
        match y.checked_sub(above).filter(|&y| y < height && columns > 0) {
            Some(y) => {
                // SAFETY: `transpose` writes elements.
                let line = unsafe { slots(&mut line[left * width..]) };
                transpose(&image[y * wide..], height * wide, line, width, [channels, columns]);
            }
            None => line.fill(T::default()),
        }
    }
}

/// Bᵀ·d
#[inline(always)]
fn of_image<S: Simd, T: Element>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 4] {
    [T::minus(simd, a, c), T::plus(simd, b, c), T::minus(simd, c, b), T::minus(simd, b, d)]
}

/// Aᵀ·m
#[inline(always)]
fn to_output<S: Simd, T: Element>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 2] {
    [T::plus(simd, T::plus(simd, a, b), c), T::minus(simd, T::minus(simd, b, c), d)]
}

/// A·g
#[inline(always)]
fn of_output<S: Simd, T: Element>(simd: S, [a, b]: [T::Vector<S>; 2]) -> [T::Vector<S>; 4] {
    [a, T::plus(simd, a, b), T::minus(simd, a, b), T::minus(simd, T::splat(simd, T::default()), b)]
}

/// G·w
#[inline(always)]
fn of_kernel<S: Simd, T: Element>(simd: S, [a, b, c]: [T::Vector<S>; 3]) -> [T::Vector<S>; 4] {
    let half = T::splat(simd, T::constant(0.5));
    let outer = T::plus(simd, a, c);
    [a, T::times(simd, T::plus(simd, outer, b), half), T::times(simd, T::minus(simd, outer, b), half), c]
}

/// Gᵀ·m
#[inline(always)]
fn to_kernel<S: Simd, T: Element>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 3] {
    let half = T::splat(simd, T::constant(0.5));
    let inner = T::times(simd, T::plus(simd, b, c), half);
    [T::plus(simd, a, inner), T::times(simd, T::minus(simd, b, c), half), T::plus(simd, inner, d)]
}

/// The transform of a kernel.
struct Pack<'a, T> {
    own: &'a Winograd,
    kernel: &'a [T],
    transposed: bool,
    /// The kernel with the channels of the output last.
    turned: &'a mut [T],
    packed: &'a mut [T],
}

impl<T: Element> WithSimd for Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Pack { own, kernel, transposed, turned, packed } = self;
        let ([inputs, outputs], width, lanes) = (own.channels, own.widths[1], lanes_of::<S, T>());
        if transposed {
            let channels = kernel.chunks_exact(9 * outputs).zip(turned.chunks_exact_mut(9 * width));
            for (kernel, turned) in channels {
                // SAFETY: `transpose` writes elements.
                transpose(kernel, 9, unsafe { slots(turned) }, width, [outputs, 9]);
            }
        } else {
            // SAFETY: as above.
            transpose(kernel, 9 * inputs, unsafe { slots(turned) }, width, [outputs, 9 * inputs]);
        }
        for channel in 0..inputs {
            for c in (0..width).step_by(lanes) {
                let mut rows = [[T::splat(simd, T::default()); 4]; 3];
                for y in 0..3 {
                    let mut w = [rows[0][0]; 3];
                    for x in 0..3 {
                        let place = if transposed { 8 - (3 * y + x) } else { 3 * y + x };
                        w[x] = vector::<S, T>(turned, (9 * channel + place) * width + c);
                    }
                    rows[y] = of_kernel::<S, T>(simd, w);
                }
                for x in 0..4 {
                    let column = of_kernel::<S, T>(simd, [rows[0][x], rows[1][x], rows[2][x]]);
                    for y in 0..4 {
                        let at = ((4 * y + x) * inputs + channel) * width + c;
                        store(column[y], &mut packed[at..][..lanes]);
                    }
                }
            }
        }
    }
}

/// The transpose of [`Pack`].
struct Unpack<'a, T> {
    own: &'a Winograd,
    sum: &'a [T],
    turned: &'a mut [T],
    out: &'a mut [Uninit<T>],
}

impl<T: Element> WithSimd for Unpack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Unpack { own, sum, turned, out } = self;
        let ([inputs, outputs], width, lanes) = (own.channels, own.widths[1], lanes_of::<S, T>());
        for channel in 0..inputs {
            for c in (0..width).step_by(lanes) {
                let mut rows = [[T::splat(simd, T::default()); 3]; 4];
                for y in 0..4 {
                    let mut m = [rows[0][0]; 4];
                    for x in 0..4 {
                        m[x] = vector::<S, T>(sum, ((4 * y + x) * inputs + channel) * width + c);
                    }
                    rows[y] = to_kernel::<S, T>(simd, m);
                }
                for x in 0..3 {
                    let column = to_kernel::<S, T>(simd, [rows[0][x], rows[1][x], rows[2][x], rows[3][x]]);
                    for y in 0..3 {
                        let at = (9 * channel + 3 * y + x) * width + c;
                        store(column[y], &mut turned[at..][..lanes]);
                    }
                }
            }
        }
        transpose(turned, width, out, 9 * inputs, [9 * inputs, outputs]);
    }
}

struct Convolve<'a, T> {
    own: &'a Winograd,
    images: &'a [T],
    rows: Range<usize>,
    kernel: &'a [T],
    bias: Option<&'a [T]>,
    buffers: Buffers<'a, T>,
    out: &'a mut [Uninit<T>],
}

impl<T: Element> WithSimd for Convolve<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Convolve { own, images, rows: all, kernel, bias, buffers, out } = self;
        let Buffers { image: lines, output, tiles: [xs, ys] } = buffers;
        let ([inputs, outputs], [x_width, width]) = (own.channels, own.widths);
        let (size, [height, wide]) = (inputs * own.from[0] * own.from[1], own.to);
        let (lanes, beside) = (lanes_of::<S, T>(), own.tiles[1]);
        let begin = 2 * all.start;
        let plane = own.lines(&all).len() * wide;
        let y_size = outputs * plane;
        for (first, rows) in own.bands(all) {
            let (each, count) = (rows * beside, out.len() / y_size);
            for i in 0..count {
                own.spread(simd, &images[i * size..][..size], (first, rows), lines, i * each, xs);
            }
            for place in 0..PLACES {
                let x = &xs[place * own.distance(0)..];
                let w = &kernel[place * inputs * width..][..inputs * width];
                let y = &mut ys[place * own.distance(1)..];
                let sizes = [count * each, inputs];
                multiply::<S, T>(simd, sizes, (x, [x_width, 1]), w, y, width, false);
            }
            let distance = own.distance(1);
            for (i, out) in out.chunks_exact_mut(y_size).enumerate() {
                for tile in 0..each {
                    let y = &ys[(i * each + tile) * width..][..15 * distance + width];
                    let to = &mut output[(tile / beside * 2 * beside + tile % beside) * 2 * width..];
                    let to = &mut to[..(2 * beside + 2) * width];
                    for c in (0..width).step_by(lanes) {
                        let mut rows = [[T::splat(simd, T::default()); 2]; 4];
                        for y_at in 0..4 {
                            let mut m = [rows[0][0]; 4];
                            for x_at in 0..4 {
                                // SAFETY: the slice ends `width` elements behind the last place.
                                m[x_at] = unsafe {
                                    vector_at::<S, T>(y.as_ptr().add((4 * y_at + x_at) * distance + c))
                                };
                            }
                            rows[y_at] = to_output::<S, T>(simd, m);
                        }
                        for x_at in 0..2 {
                            let column = to_output::<S, T>(
                                simd,
                                [rows[0][x_at], rows[1][x_at], rows[2][x_at], rows[3][x_at]],
                            );
                            for y_at in 0..2 {
                                // SAFETY: the last element is the second of the second line.
                                unsafe {
                                    let at = (y_at * 2 * beside + x_at) * width + c;
                                    store_at::<S, T>(column[y_at], to.as_mut_ptr().add(at));
                                }
                            }
                        }
                    }
                }
                let lines = (2 * rows).min(height - 2 * first);
                let top = 2 * first - begin;
                if wide == 2 * beside {
                    transpose(output, width, &mut out[top * wide..], plane, [lines * wide, outputs]);
                } else {
                    for y in 0..lines {
                        let from = &output[y * 2 * beside * width..];
                        transpose(from, width, &mut out[(top + y) * wide..], plane, [wide, outputs]);
                    }
                }
                if let Some(bias) = bias {
                    for (channel, &bias) in out.chunks_exact_mut(plane).zip(bias) {
                        // SAFETY: these lines of the channel were just written.
                        for y in unsafe { assume_written_mut(&mut channel[top * wide..(top + lines) * wide]) }
                        {
                            *y += bias;
                        }
                    }
                }
            }
        }
    }
}

/// Adds the transforms of the products of images and gradients.
struct Products<'a, T> {
    own: &'a Winograd,
    images: &'a [T],
    gradients: &'a [T],
    buffers: Buffers<'a, T>,
    sum: &'a mut [T],
    adds: bool,
}

impl<T: Element> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { own, images, gradients, buffers, sum, adds } = self;
        let Buffers { image: lines, output, tiles: [xs, gs] } = buffers;
        let ([inputs, outputs], [x_width, width]) = (own.channels, own.widths);
        let [size, g_size] = [inputs * own.from[0] * own.from[1], outputs * own.to[0] * own.to[1]];
        let (lanes, beside, pitch) = (lanes_of::<S, T>(), own.tiles[1], 2 * own.tiles[1]);
        let distance = own.distance(1);
        for (first, rows) in own.bands(own.rows()) {
            let (each, count) = (rows * beside, gradients.len() / g_size);
            for i in 0..count {
                own.spread(simd, &images[i * size..][..size], (first, rows), lines, i * each, xs);
                let g = &gradients[i * g_size..][..g_size];
                gather(g, [outputs, width], own.to, [0, 0], [2 * first, 2 * rows], pitch, output);
                for tile in 0..each {
                    let g =
                        &output[(tile / beside * pitch + tile % beside) * 2 * width..][..(pitch + 2) * width];
                    let to = &mut gs[(i * each + tile) * width..][..15 * distance + width];
                    for c in (0..width).step_by(lanes) {
                        let mut rows = [[T::splat(simd, T::default()); 4]; 2];
                        for y in 0..2 {
                            // SAFETY: the last element is the second of the second line.
                            rows[y] = unsafe {
                                let g = g.as_ptr().add(y * pitch * width + c);
                                of_output::<S, T>(
                                    simd,
                                    [vector_at::<S, T>(g), vector_at::<S, T>(g.add(width))],
                                )
                            };
                        }
                        for x in 0..4 {
                            let column = of_output::<S, T>(simd, [rows[0][x], rows[1][x]]);
                            for y in 0..4 {
                                // SAFETY: the slice ends `width` elements behind the last place.
                                unsafe {
                                    store_at::<S, T>(
                                        column[y],
                                        to.as_mut_ptr().add((4 * y + x) * distance + c),
                                    );
                                }
                            }
                        }
                    }
                }
            }
            for place in 0..PLACES {
                let x = &xs[place * own.distance(0)..];
                let g = &gs[place * own.distance(1)..];
                let sum = &mut sum[place * inputs * width..][..inputs * width];
                let sizes = [inputs, count * each];
                multiply::<S, T>(simd, sizes, (x, [1, x_width]), g, sum, width, adds || first > 0);
            }
        }
    }
}

/// `out[i·width + j] = Σ x[i·row + k·column]·w[k·width + j]` for i below `m`, k below `depth` and all j below `width`, added to what is
/// there if `adds`.
#[inline(always)]
fn multiply<S: Simd, T: Element>(
    simd: S,
    sizes: [usize; 2],
    (x, steps): (&[T], [usize; 2]),
    w: &[T],
    out: &mut [T],
    width: usize,
    adds: bool,
) {
    let product = Product { sizes, x, steps, width, adds };
    for block in blocks::<T>(width) {
        let (w, out) = (&w[block.start..], &mut out[block.start..]);
        match block.len() / lanes_of::<S, T>() {
            4 if S::REGISTER_COUNT > 16 => product.columns::<S, 6, 4>(simd, w, out),
            2 if S::REGISTER_COUNT > 16 => product.columns::<S, 8, 2>(simd, w, out),
            2 => product.columns::<S, 6, 2>(simd, w, out),
            _ => product.columns::<S, 8, 1>(simd, w, out),
        }
    }
}

/// A product of matrices: see [`multiply`].
struct Product<'a, T> {
    sizes: [usize; 2],
    x: &'a [T],
    /// From one row of x to the next, and from one column.
    steps: [usize; 2],
    width: usize,
    adds: bool,
}

impl<T: Element> Product<'_, T> {
    /// V vectors of columns, P rows at a time.
    #[inline(always)]
    fn columns<S: Simd, const P: usize, const V: usize>(&self, simd: S, w: &[T], out: &mut [T]) {
        let ([m, depth], [row, column], lanes) = (self.sizes, self.steps, lanes_of::<S, T>());
        assert!(
            m > 0
                && depth > 0
                && (m - 1) * row + (depth - 1) * column < self.x.len()
                && (depth - 1) * self.width + V * lanes <= w.len()
                && (m - 1) * self.width + V * lanes <= out.len(),
            "kernel::conv: a short matrix"
        );
        let (mut x, mut to) = (self.x.as_ptr(), out.as_mut_ptr());
        let mut left = m;
        while left > 0 {
            // SAFETY: at most `left` rows are computed, which lie inside of all three by the assertion above.
            let done = unsafe {
                match left {
                    1 | 2 if P > 2 => self.rows::<S, 2, V>(simd, x, w.as_ptr(), to, left),
                    3 | 4 if P > 4 => self.rows::<S, 4, V>(simd, x, w.as_ptr(), to, left),
                    _ => self.rows::<S, P, V>(simd, x, w.as_ptr(), to, left.min(P)),
                }
            };
            (x, to) = (x.wrapping_add(done * row), to.wrapping_add(done * self.width));
            left -= done;
        }
    }

    /// The first `count` rows, which are at most P. Returns `count`.
    ///
    /// # Safety
    /// They must lie behind `x` and `to`, and V vectors in each row behind `w` and `to`.
    #[inline(always)]
    unsafe fn rows<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        mut x: *const T,
        mut w: *const T,
        to: *mut T,
        count: usize,
    ) -> usize {
        let ([_, depth], [row, column]) = (self.sizes, self.steps);
        let mut starts = [0; P];
        for p in 0..P {
            // The last row stands in for missing ones.
            starts[p] = p.min(count - 1) * row;
        }
        let mut total = [[T::splat(simd, T::default()); V]; P];
        for _ in 0..depth {
            // SAFETY: by this function's contract; a vector may lie at any address.
            let now = unsafe { w.cast::<[T::Vector<S>; V]>().read_unaligned() };
            for p in 0..P {
                // SAFETY: as above.
                let x = T::splat(simd, unsafe { *x.add(starts[p]) });
                for v in 0..V {
                    total[p][v] = T::fused(simd, x, now[v], total[p][v]);
                }
            }
            (x, w) = (x.wrapping_add(column), w.wrapping_add(self.width));
        }
        // A constant number, so that the sums stay in registers.
        for p in 0..P {
            if p >= count {
                break;
            }
            for v in 0..V {
                let to = to.wrapping_add(p * self.width + v * lanes_of::<S, T>());
                // SAFETY: as above.
                unsafe {
                    let sum = if self.adds {
                        T::plus(simd, vector_at::<S, T>(to), total[p][v])
                    } else {
                        total[p][v]
                    };
                    store_at::<S, T>(sum, to);
                }
            }
        }
        count
    }
}
