//! Matrix products in tiles whose sums stay in registers.
//!
//! The columns of a product are computed in panels of up to four vectors, and the rows of a panel in tiles. The right factor is read
//! in place where its rows are contiguous, and is packed panel by panel otherwise; the left one is always read in place. Where only
//! the left factor could be read in vectors, or is the smaller one to pack, the transpose of the product is computed.
//!
//! An element is the sum of blocks of [`DEPTH`] products, and a block is one fused multiply-add after the other: the bits depend
//! neither on the vectors' width nor on how a product is divided.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::Element;
use super::buffer::{Scratch, Uninit};
use super::gemm::{Matrix, Onto};
use super::parallel::run;
use super::simd::{turn, vector_at};

/// So many products are added one after the other; the sums of such blocks are added to the result.
pub(super) const DEPTH: usize = 512;

/// Columns whose panels are packed at a time: with [`DEPTH`] rows they take half of a level-2 cache.
const GROUP: usize = 256;

/// Rows for which the panels of a group are gone through: whole tiles of six and of eight.
const STRIP: usize = 48;

/// Elements that are packed on the stack.
const FEW: usize = 2048;

/// The rows at the end of the right factor that may be copied because a vector would reach beyond the slice.
const REST: usize = 32;

/// The products of `count` pairs of matrices m × k and k × n, where k > 0.
pub(super) struct Products<'a, T> {
    /// Where element (0, 0) of the first product lies; that of the next one lies `step` elements behind.
    pub out: *mut T,
    pub step: usize,
    /// The distance of the rows of a product.
    pub rows: usize,
    pub sizes: [usize; 3],
    pub count: usize,
    pub pair: &'a dyn Fn(usize) -> (Matrix<'a, T>, Matrix<'a, T>),
    pub onto: Onto<'a, T>,
}

/// Computes them.
///
/// # Safety
/// Their elements must be valid to write, and to read if they are added to what is there.
#[inline(never)]
pub(super) unsafe fn compute<T: Element>(products: Products<T>) {
    run(products);
}

impl<T: Element> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [m, k, n] = self.sizes;
        for i in 0..self.count {
            let (a, b) = (self.pair)(i);
            assert!(a.holds(m, k) && b.holds(k, n), "kernel::matmul: a matrix reaches beyond its slice");
            // SAFETY: by the contract of `compute`.
            let out = unsafe { self.out.add(i * self.step) };
            let strides = [self.rows, 1];
            let base = match self.onto {
                Onto::Nothing => None,
                Onto::Output => Some((out.cast_const(), strides)),
                Onto::Row(row) => {
                    assert!(row.len() >= n, "kernel::matmul: a row that is too short");
                    Some((row.as_ptr(), [0, 1]))
                }
            };
            let product = Product { out, strides, sizes: self.sizes, a, b, base };
            if size_of::<T::Vector<S>>() == size_of::<T>() {
                product.by_elements();
            } else {
                product.or_its_transpose(size_of::<T::Vector<S>>() / size_of::<T>()).by_vectors(simd);
            }
        }
    }
}

/// Where the elements are that the sums are added to, and their strides.
type Base<T> = Option<(*const T, [usize; 2])>;

/// A product, whose factors hold m × k and k × n elements, and whose elements may be written, as those of the base may be read.
#[derive(Clone, Copy)]
struct Product<'a, T> {
    out: *mut T,
    strides: [usize; 2],
    sizes: [usize; 3],
    a: Matrix<'a, T>,
    b: Matrix<'a, T>,
    base: Base<T>,
}

/// Whether so many lines of memory that lie `stride` elements apart drive out one another: they share few places of a level-1 cache,
/// which starts anew every 4 KiB and holds eight lines in each place, half of them of the other factor.
fn is_crowded<T>(stride: usize, lines: usize) -> bool {
    let bytes = (stride * size_of::<T>()).max(1);
    lines > 4 * (4096 >> bytes.trailing_zeros().clamp(6, 12))
}

/// A part of the left factor, whose element (i, p) lies i·rows + p·columns behind `from`; or a copy, of as many rows at a time as a
/// tile has.
#[derive(Clone, Copy)]
struct Left<T> {
    from: *const T,
    rows: usize,
    columns: usize,
    /// The distance of the rows of one tile from those of the next one, and their number, in a copy.
    copy: Option<[usize; 2]>,
}

impl<T> Left<T> {
    /// From the row with this number on. It is the first of a tile, or lies in one that is whole.
    #[inline(always)]
    fn at(self, row: usize) -> Self {
        let distance = match self.copy {
            Some([step, rows]) => row / rows * step + row % rows,
            None => row * self.rows,
        };
        Left { from: self.from.wrapping_add(distance), ..self }
    }
}

/// Rows of a panel of the right factor: whole vectors, whose elements beyond the product's columns do not matter.
#[derive(Clone, Copy)]
struct Rows<T> {
    from: *const T,
    step: usize,
    count: usize,
}

/// A panel: its columns, and its rows of one block, of which the last ones may lie elsewhere.
struct Panel<T> {
    columns: Range<usize>,
    rows: [Rows<T>; 2],
}

/// The body for each number below the limit, which is a constant: with a loop in its place the sums would not stay in registers.
macro_rules! each {
    ($i:ident in [$($number:literal)*], $limit:ident, $body:block) => {
        $(
            if $number < $limit {
                #[allow(non_upper_case_globals)]
                const $i: usize = $number;
                $body
            }
        )*
    };
}

/// How many vectors of `left` that are left the next panel takes: as equal panels as there can be, for the registers there are.
#[inline(always)]
fn panel_vectors<S: Simd>(left: usize) -> usize {
    match is_avx2::<S>() {
        true => left.min(2),
        false => left.div_ceil(left.div_ceil(4)),
    }
}

/// The most rows of a tile of so many vectors. Their sums, a row of the panel and an element of the left factor take all registers.
#[inline(always)]
fn tile_rows<S: Simd>(vectors: usize) -> usize {
    match (is_avx2::<S>(), vectors) {
        (false, 4) | (true, 2) => 6,
        _ => 8,
    }
}

/// Whether there are 16 registers and not 32.
#[inline(always)]
fn is_avx2<S: Simd>() -> bool {
    size_of::<S::f32s>() == 32
}

impl<T: Element> Product<'_, T> {
    /// The same sums without vectors.
    fn by_elements(self) {
        let Product { out, strides, sizes: [m, k, n], a, b, base } = self;
        // A fused product that the processor has no instruction for takes a hundred times as long as two roundings.
        #[cfg(target_arch = "x86_64")]
        let is_fused = std::arch::is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        let is_fused = true;
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            // SAFETY: the element lies there, for i < m and j < n.
            let to = unsafe { out.add(i * strides[0] + j * strides[1]) };
            // SAFETY: as above.
            let mut base = base.map(|(base, strides)| unsafe { *base.add(i * strides[0] + j * strides[1]) });
            for from in (0..k).step_by(DEPTH) {
                let sum = (from..k.min(from + DEPTH)).fold(T::default(), |sum, p| {
                    let (x, y) = (a.data[i * a.rows + p * a.columns], b.data[p * b.rows + j * b.columns]);
                    if is_fused { x.multiply_add(y, sum) } else { x * y + sum }
                });
                base = Some(base.map_or(sum, |base| base + sum));
            }
            // SAFETY: as above.
            unsafe { to.write(base.expect("a product has a block of columns: k > 0")) };
        }
    }

    /// This product, or the one that computes its transpose if that is faster.
    #[inline(always)]
    fn or_its_transpose(self, lanes: usize) -> Self {
        let [m, k, n] = self.sizes;
        // In cycles: a vector of products takes one, packing an element half a cycle, and turning one of a tile a whole one.
        let pack = |elements: usize, in_place: bool| if in_place { 0 } else { elements / 2 };
        let direct = m * k * n.div_ceil(lanes) + pack(n * k, self.b.columns == 1);
        let turned = n * k * m.div_ceil(lanes) + pack(m * k, self.a.rows == 1) + m * n * k.div_ceil(DEPTH);
        if direct <= turned + turned / 64 {
            return self;
        }
        Product {
            strides: [self.strides[1], self.strides[0]],
            base: self.base.map(|(base, [down, along])| (base, [along, down])),
            sizes: [n, k, m],
            a: Matrix { data: self.b.data, rows: self.b.columns, columns: self.b.rows },
            b: Matrix { data: self.a.data, rows: self.a.columns, columns: self.a.rows },
            out: self.out,
        }
    }

    #[inline(always)]
    fn by_vectors<S: Simd>(self, simd: S) {
        let [m, k, n] = self.sizes;
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let vectors = n.div_ceil(lanes);
        // How many rows may be read up to the end of the last vector.
        let readable = match (self.b.data.len().checked_sub(vectors * lanes), self.b.rows) {
            _ if n.is_multiple_of(lanes) => k,
            (None, _) => 0,
            (Some(_), 0) => k,
            (Some(more), rows) => k.min(more / rows + 1),
        };
        let in_place = self.is_in_place() && k - readable <= REST;
        let mut few = [const { Uninit::<T>::uninit() }; FEW];
        let (mut many, mut copy) = (None, None);
        // A group has fewer columns than GROUP before its last panel.
        let most = vectors.min(GROUP / lanes + 4) * lanes * k.min(DEPTH);
        for from in (0..k).step_by(DEPTH) {
            let block = from..k.min(from + DEPTH);
            let base = if from > 0 { Some((self.out.cast_const(), self.strides)) } else { self.base };
            let mut first = 0;
            while first < vectors {
                let mut last = first;
                while last < vectors && (last - first) * lanes < GROUP {
                    last += panel_vectors::<S>(vectors - last);
                }
                let size = (last - first) * lanes * block.len();
                assert!(size <= most, "a group is larger than its room");
                let most_rows = self.most_rows::<S>(panel_vectors::<S>(vectors - first));
                let room = if in_place || size <= FEW {
                    few.as_mut_ptr().cast::<T>()
                } else {
                    many.get_or_insert_with(|| Scratch::<T>::new(most.next_power_of_two())).as_mut_ptr()
                };
                for i in (0..m).step_by(STRIP) {
                    let strip = i..m.min(i + STRIP);
                    // SAFETY: a holds the rows of the strip and the columns of the block.
                    let left =
                        unsafe { self.left(&strip, &block, [(last - first) * lanes, most_rows], &mut copy) };
                    let mut at = first;
                    while at < last {
                        let count = panel_vectors::<S>(vectors - at);
                        let columns = at * lanes..n.min((at + count) * lanes);
                        // SAFETY: `room` is for all panels of the group and the rows of the block, or for the rest of one panel.
                        // The strip lies inside the product.
                        unsafe {
                            let panel = if in_place {
                                self.panel_in_place(columns, &block, readable, count * lanes, room, i == 0)
                            } else {
                                let room = room.add((at - first) * lanes * block.len());
                                self.packed_panel(columns, &block, count * lanes, room, i == 0)
                            };
                            match count {
                                1 => self.strip::<S, 1>(simd, strip.clone(), left, &panel, base),
                                2 => self.strip::<S, 2>(simd, strip.clone(), left, &panel, base),
                                _ if is_avx2::<S>() => unreachable!("a panel has at most two vectors"),
                                3 => self.strip::<S, 3>(simd, strip.clone(), left, &panel, base),
                                _ => self.strip::<S, 4>(simd, strip.clone(), left, &panel, base),
                            }
                        }
                        at += count;
                    }
                }
                first = last;
            }
        }
    }

    /// Whether the right factor is read in place. Its rows are copied where they drive out one another from the cache.
    #[inline(always)]
    fn is_in_place(&self) -> bool {
        let [m, k, _] = self.sizes;
        self.b.columns == 1 && !(m >= STRIP && is_crowded::<T>(self.b.rows, k.min(DEPTH)))
    }

    /// The most rows of a tile of so many vectors. Where it is written turned, fours of rows are turned together.
    #[inline(always)]
    fn most_rows<S: Simd>(&self, vectors: usize) -> usize {
        let most = tile_rows::<S>(vectors);
        if self.strides[1] == 1 { most } else { most / 4 * 4 }
    }

    /// The left factor from the strip's first row and the block's first column on. It is copied where each tile would read parts of lines
    /// that drive out one another.
    ///
    /// # Safety
    /// It must hold the rows of the strip and the columns of the block.
    #[inline(always)]
    unsafe fn left(
        &self,
        strip: &Range<usize>,
        block: &Range<usize>,
        [columns, rows]: [usize; 2],
        copy: &mut Option<Scratch<T>>,
    ) -> Left<T> {
        let a = self.a;
        // SAFETY: by this function's contract.
        let from = unsafe { a.data.as_ptr().add(strip.start * a.rows + block.start * a.columns) };
        if a.rows != 1 || columns < 64 || !is_crowded::<T>(a.columns, block.len()) {
            return Left { from, rows: a.rows, columns: a.columns, copy: None };
        }
        let room = copy.get_or_insert_with(|| Scratch::new(STRIP * DEPTH)).as_mut_ptr();
        let sizes = [block.len(), strip.len()];
        // SAFETY: the elements of the strip and the block, for which there is room: a strip has whole tiles, but for its last rows.
        unsafe {
            match rows {
                4 => pack_rows::<T, 4>(from, a.columns, sizes, room),
                6 => pack_rows::<T, 6>(from, a.columns, sizes, room),
                8 => pack_rows::<T, 8>(from, a.columns, sizes, room),
                _ => unreachable!("a tile has 4, 6 or 8 rows"),
            }
        }
        Left { from: room, rows: 1, columns: rows, copy: Some([rows * block.len(), rows]) }
    }

    /// A panel of `width` elements. `write` says that the rows from `readable` on are not copied to `room` yet.
    ///
    /// # Safety
    /// `room` must have [`FEW`] elements, and at most [`REST`] rows may come behind `readable`.
    #[inline(always)]
    unsafe fn panel_in_place(
        &self,
        columns: Range<usize>,
        block: &Range<usize>,
        readable: usize,
        width: usize,
        room: *mut T,
        write: bool,
    ) -> Panel<T> {
        let b = self.b;
        // Only the last panel can reach beyond the columns.
        let whole = if columns.len() == width { block.end } else { readable.clamp(block.start, block.end) };
        if write {
            for p in whole..block.end {
                for j in 0..width {
                    // SAFETY: b holds k × n elements, and `room` has as many rows of at most 4 vectors.
                    unsafe {
                        *room.add((p - whole) * width + j) = match columns.start + j < columns.end {
                            true => b.data[p * b.rows + columns.start + j],
                            false => T::default(),
                        };
                    }
                }
            }
        }
        // Not `add`: there may be no row, and then it is not used.
        let from = b.data.as_ptr().wrapping_add(block.start * b.rows + columns.start);
        let first = Rows { from, step: b.rows, count: whole - block.start };
        Panel { columns, rows: [first, Rows { from: room, step: width, count: block.end - whole }] }
    }

    /// A panel of `width` elements in `room`, where it is packed if `write`.
    ///
    /// # Safety
    /// `room` must have as many elements for each row of the block.
    #[inline(always)]
    unsafe fn packed_panel(
        &self,
        columns: Range<usize>,
        block: &Range<usize>,
        width: usize,
        room: *mut T,
        write: bool,
    ) -> Panel<T> {
        let b = self.b;
        let depth = block.len();
        if write {
            // SAFETY: b holds k × n elements, and the caller says what `room` has.
            unsafe {
                pack(
                    b.data.as_ptr().add(block.start * b.rows + columns.start * b.columns),
                    [b.rows, b.columns],
                    [depth, columns.len()],
                    room,
                    width,
                );
            }
        }
        let rows = Rows { from: room.cast_const(), step: width, count: depth };
        Panel { columns, rows: [rows, Rows { count: 0, ..rows }] }
    }

    /// The sums of one block in some rows and the columns of a panel of V vectors.
    ///
    /// # Safety
    /// The rows must lie inside the product, and the panel's rows of V vectors must be readable.
    #[inline(always)]
    unsafe fn strip<S: Simd, const V: usize>(
        &self,
        simd: S,
        rows: Range<usize>,
        left: Left<T>,
        panel: &Panel<T>,
        base: Base<T>,
    ) {
        let most = left.copy.map_or_else(|| self.most_rows::<S>(V), |[_, rows]| rows);
        let mut done = 0;
        while done < rows.len() {
            let more = rows.len() - done;
            let a = left.at(done);
            let i = rows.start + done;
            // SAFETY: by this function's contract, for a tile of at most as many rows as are left.
            done += unsafe {
                if most >= 8 && more >= 8 {
                    self.tile::<S, 8, V>(simd, i, a, panel, base)
                } else if most >= 6 && more >= 6 {
                    self.tile::<S, 6, V>(simd, i, a, panel, base)
                } else if more >= 4 {
                    self.tile::<S, 4, V>(simd, i, a, panel, base)
                } else if more >= 2 {
                    self.tile::<S, 2, V>(simd, i, a, panel, base)
                } else {
                    self.tile::<S, 1, V>(simd, i, a, panel, base)
                }
            };
        }
    }

    /// A tile of R rows from row i on, which are the first of `a`; returns R.
    ///
    /// # Safety
    /// As for `strip`.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        i: usize,
        a: Left<T>,
        panel: &Panel<T>,
        base: Base<T>,
    ) -> usize {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let mut sums = [[T::splat(simd, T::default()); V]; R];
        // SAFETY: by this function's contract the tile lies inside the product, a has R rows and as many columns as the panel has rows,
        // and both may be read.
        unsafe {
            let mut left = a.from;
            for part in panel.rows {
                let mut right = part.from;
                for _ in 0..part.count {
                    let mut row = [T::splat(simd, T::default()); V];
                    each!(l in [0 1 2 3], V, {
                        row[l] = vector_at::<S, T>(right.wrapping_add(l * lanes));
                    });
                    each!(r in [0 1 2 3 4 5 6 7], R, {
                        let x = T::splat(simd, *left.wrapping_add(r * a.rows));
                        each!(l in [0 1 2 3], V, {
                            sums[r][l] = T::fused(simd, x, row[l], sums[r][l]);
                        });
                    });
                    left = left.wrapping_add(a.columns);
                    right = right.wrapping_add(part.step);
                }
            }
            let [down, along] = self.strides;
            let first = panel.columns.start;
            let out = self.out.add(i * down + first * along);
            let base = base.map(|(base, [down, along])| (base.add(i * down + first * along), [down, along]));
            let width = panel.columns.len();
            if along != 1 || base.is_some_and(|(_, strides)| strides[1] != 1) {
                let tile = sums;
                scatter(tile.as_ptr().cast::<T>(), V * lanes, [R, width], out, self.strides, base);
                return R;
            }
            let rest = width - (V - 1) * lanes;
            each!(r in [0 1 2 3 4 5 6 7], R, {
                let line = out.add(r * down);
                each!(l in [0 1 2 3], V, {
                    let to = line.add(l * lanes);
                    if l + 1 < V || rest == lanes {
                        let sum = match base {
                            Some((base, [down, _])) => {
                                T::plus(simd, vector_at::<S, T>(base.add(r * down + l * lanes)), sums[r][l])
                            }
                            None => sums[r][l],
                        };
                        to.cast::<T::Vector<S>>().write_unaligned(sum);
                    } else {
                        let sum = match base {
                            Some((base, [down, _])) => {
                                let from = base.add(r * down + l * lanes);
                                T::plus(simd, T::load_first(simd, from, rest), sums[r][l])
                            }
                            None => sums[r][l],
                        };
                        T::store_first(simd, sum, to, rest);
                    }
                });
            });
        }
        R
    }
}

/// Writes the first columns of a tile, whose rows are `step` elements apart, with any strides, added to the base if there is one.
///
/// # Safety
/// The elements must lie there, and those of the base must be initialised.
#[inline(never)]
unsafe fn scatter<T: Element>(
    tile: *const T,
    step: usize,
    [rows, columns]: [usize; 2],
    out: *mut T,
    strides: [usize; 2],
    base: Base<T>,
) {
    let put = |r: usize, j: usize, x: T| {
        // SAFETY: the callers below name an element of the tile, and this function's contract says that it lies there, and in the base.
        unsafe {
            let sum = base.map_or(x, |(base, [down, along])| *base.add(r * down + j * along) + x);
            out.add(r * strides[0] + j * strides[1]).write(sum);
        }
    };
    let mut done = 0;
    if strides[0] == 1 {
        let whole = columns / 4 * 4;
        while done + 4 <= rows {
            for j in (0..whole).step_by(4) {
                // SAFETY: four rows and four columns of the tile from row `done` on.
                unsafe {
                    let (from, to) = (tile.add(done * step + j), out.add(j * strides[1] + done));
                    if base.is_some() {
                        let mut sums = [T::default(); 16];
                        turn(from, step, sums.as_mut_ptr(), 4);
                        for (l, sums) in sums.chunks_exact(4).enumerate() {
                            (0..4).for_each(|r| put(done + r, j + l, sums[r]));
                        }
                    } else {
                        turn(from, step, to, strides[1]);
                    }
                }
            }
            for (j, r) in (whole..columns).flat_map(|j| (done..done + 4).map(move |r| (j, r))) {
                // SAFETY: an element of the tile.
                put(r, j, unsafe { *tile.add(r * step + j) });
            }
            done += 4;
        }
    }
    for (j, r) in (0..columns).flat_map(|j| (done..rows).map(move |r| (j, r))) {
        // SAFETY: an element of the tile.
        put(r, j, unsafe { *tile.add(r * step + j) });
    }
}

/// Copies columns of the left factor, `step` elements apart, so that R rows of all columns follow R others, and each column of R rows the
/// one before.
///
/// # Safety
/// The elements must lie there, and `to` must have room for all of them.
#[inline(never)]
unsafe fn pack_rows<T: Element, const R: usize>(
    from: *const T,
    step: usize,
    [depth, rows]: [usize; 2],
    to: *mut T,
) {
    let whole = rows / R * R;
    // Few columns at a time: the lines that they share stay in level-1 cache.
    for first in (0..depth).step_by(16) {
        let columns = first..depth.min(first + 16);
        for i in (0..whole).step_by(R) {
            for p in columns.clone() {
                // SAFETY: R of the elements.
                unsafe {
                    let rows = from.add(p * step + i).cast::<[T; R]>().read_unaligned();
                    to.add(i * depth + p * R).cast::<[T; R]>().write_unaligned(rows);
                }
            }
        }
        for (p, i) in columns.flat_map(|p| (whole..rows).map(move |i| (p, i))) {
            // SAFETY: one of the elements.
            unsafe { *to.add(whole * depth + p * R + (i - whole)) = *from.add(p * step + i) };
        }
    }
}

/// Copies rows, whose elements have any strides, to rows of `width` elements, and zeros behind them.
///
/// # Safety
/// The elements must lie there, and `to` must have `width` elements for each row.
#[inline(never)]
unsafe fn pack<T: Element>(
    from: *const T,
    strides: [usize; 2],
    [depth, columns]: [usize; 2],
    to: *mut T,
    width: usize,
) {
    // SAFETY: each element that is read is one of the rows, and each that is written one of `to`'s.
    unsafe {
        if columns < width {
            for p in 0..depth {
                (columns..width).for_each(|j| *to.add(p * width + j) = T::default());
            }
        }
        if strides[1] == 1 {
            for p in 0..depth {
                std::ptr::copy_nonoverlapping(from.add(p * strides[0]), to.add(p * width), columns);
            }
            return;
        }
        let mut done = [0, 0];
        if strides[0] == 1 {
            done = [depth / 4 * 4, columns / 4 * 4];
            // As many columns at a time as fill a line.
            for first in (0..done[1]).step_by(16) {
                for p in (0..done[0]).step_by(4) {
                    for j in (first..done[1].min(first + 16)).step_by(4) {
                        turn(from.add(j * strides[1] + p), strides[1], to.add(p * width + j), width);
                    }
                }
            }
        }
        for p in 0..depth {
            for j in if p < done[0] { done[1] } else { 0 }..columns {
                *to.add(p * width + j) = *from.add(p * strides[0] + j * strides[1]);
            }
        }
    }
}
