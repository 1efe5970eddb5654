//! Mean 0 and variance 1 for each group of an array of shape (outer, groups, inner): layer, batch and group normalisation. A
//! group is `outer` rows of `inner` elements.

use std::marker::PhantomData;
use std::ops::DerefMut;

use pulp::{Scalar, Simd, WithSimd};

use super::buffer::{self, Scratch, Uninit, slots};
use super::max_pool::{Images, Scattered, max_pool_of};
use super::parallel::{PIECE, for_each_rows, parts, run, worthwhile};
use super::reduce::{BLOCK, HALF, LANES, across};
use super::simd::{Aligned, store, vector, vector_at};
use super::{Element, WindowAxis};

/// For each group its variance, and the numbers that standardise it: y = (x − mean)·scale + shift. The shift corrects for the
/// rounding of the mean.
pub struct Moments<T> {
    pub mean: Vec<T>,
    pub scale: Vec<T>,
    pub shift: Vec<T>,
    pub variance: Vec<T>,
}

/// The mean and variance (with divisor n) of each group; the mean counts as 0 unless `centred`.
#[inline(never)]
pub fn moments<T: Element>(x: &[T], dims: [usize; 3], eps: f64, centred: bool) -> Moments<T> {
    let [outer, groups, inner] = dims;
    let n = (outer * inner) as f64;
    let mean = if centred {
        let total = sums::<T, Plain, 1, 0>((x, x), dims, []);
        buffer::collected(groups, total.iter().map(|[total]| T::constant(total / n)))
    } else {
        buffer::zeros(groups)
    };
    let rest = sums::<T, Squares, 2, 1>((x, x), dims, [&mean]);
    let [mut scale, mut shift, mut variance] = [(); 3].map(|()| buffer::empty(groups));
    for &[left, squares] in rest.iter() {
        // How far the mean is from the true one.
        let left = if centred { left / n } else { 0.0 };
        let wide = (squares / n - left * left).max(0.0);
        // `f64::max` ignores a NaN.
        let wide = if squares.is_nan() { squares } else { wide };
        let factor = 1.0 / (wide + eps).sqrt();
        variance.push(T::constant(wide));
        scale.push(T::constant(factor));
        shift.push(T::constant(-left * factor));
    }
    Moments { mean, scale, shift, variance }
}

/// N numbers of an element of each of two arrays and K numbers of their group, a vector at a time.
trait Terms<T: Element, const N: usize, const K: usize> {
    fn of<S: Simd>(simd: S, x: [T::Vector<S>; 2], numbers: [T::Vector<S>; K]) -> [T::Vector<S>; N];
}

/// x
struct Plain;

impl<T: Element> Terms<T, 1, 0> for Plain {
    #[inline(always)]
    fn of<S: Simd>(_: S, [x, _]: [T::Vector<S>; 2], []: [T::Vector<S>; 0]) -> [T::Vector<S>; 1] {
        [x]
    }
}

/// x − mean and its square
struct Squares;

impl<T: Element> Terms<T, 2, 1> for Squares {
    #[inline(always)]
    fn of<S: Simd>(simd: S, [x, _]: [T::Vector<S>; 2], [mean]: [T::Vector<S>; 1]) -> [T::Vector<S>; 2] {
        let x = T::minus(simd, x, mean);
        [x, T::times(simd, x, x)]
    }
}

/// y = (x − mean)·scale + shift
struct Standardized;

impl<T: Element> Terms<T, 1, 3> for Standardized {
    #[inline(always)]
    fn of<S: Simd>(
        simd: S,
        [x, _]: [T::Vector<S>; 2],
        [mean, scale, shift]: [T::Vector<S>; 3],
    ) -> [T::Vector<S>; 1] {
        [T::plus(simd, T::times(simd, T::minus(simd, x, mean), scale), shift)]
    }
}

/// y·weight + bias
struct Affine;

impl<T: Element> Terms<T, 1, 5> for Affine {
    #[inline(always)]
    fn of<S: Simd>(
        simd: S,
        x: [T::Vector<S>; 2],
        [mean, scale, shift, weight, bias]: [T::Vector<S>; 5],
    ) -> [T::Vector<S>; 1] {
        let [y] = <Standardized as Terms<T, 1, 3>>::of(simd, x, [mean, scale, shift]);
        [T::plus(simd, T::times(simd, y, weight), bias)]
    }
}

/// max(y·weight + bias, 0), where NaN and −0 stay
struct Rectified;

impl<T: Element> Terms<T, 1, 5> for Rectified {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: [T::Vector<S>; 2], numbers: [T::Vector<S>; 5]) -> [T::Vector<S>; 1] {
        let [y] = <Affine as Terms<T, 1, 5>>::of(simd, x, numbers);
        let zero = T::splat(simd, T::default());
        [T::where_less(simd, y, zero, zero, y)]
    }
}

/// g times 1 where y·weight + bias > 0, and times 0 elsewhere.
#[inline(always)]
fn rectified_slope<S: Simd, T: Element>(
    simd: S,
    x: [T::Vector<S>; 2],
    numbers: [T::Vector<S>; 5],
) -> T::Vector<S> {
    let [y] = <Affine as Terms<T, 1, 5>>::of(simd, x, numbers);
    let [zero, one] = [T::splat(simd, T::default()), T::splat(simd, T::constant(1.0))];
    T::times(simd, x[1], T::where_less(simd, zero, y, one, zero))
}

/// [`Slopes`] for the gradient of [`Rectified`]
struct RectifiedSlopes;

impl<T: Element> Terms<T, 2, 5> for RectifiedSlopes {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: [T::Vector<S>; 2], numbers: [T::Vector<S>; 5]) -> [T::Vector<S>; 2] {
        let g = rectified_slope::<S, T>(simd, x, numbers);
        let [mean, scale, shift, ..] = numbers;
        <Slopes as Terms<T, 2, 3>>::of(simd, [x[0], g], [mean, scale, shift])
    }
}

/// [`Backward`] for the gradient of [`Rectified`]
struct RectifiedBackward;

impl<T: Element> Terms<T, 1, 8> for RectifiedBackward {
    #[inline(always)]
    fn of<S: Simd>(
        simd: S,
        x: [T::Vector<S>; 2],
        [mean, scale, shift, plain, along, slope, weight, bias]: [T::Vector<S>; 8],
    ) -> [T::Vector<S>; 1] {
        let g = rectified_slope::<S, T>(simd, x, [mean, scale, shift, weight, bias]);
        <Backward as Terms<T, 1, 6>>::of(simd, [x[0], g], [mean, scale, shift, plain, along, slope])
    }
}

/// g and y·g
struct Slopes;

impl<T: Element> Terms<T, 2, 3> for Slopes {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: [T::Vector<S>; 2], numbers: [T::Vector<S>; 3]) -> [T::Vector<S>; 2] {
        let [y] = <Standardized as Terms<T, 1, 3>>::of(simd, x, numbers);
        [x[1], T::times(simd, y, x[1])]
    }
}

/// slope·((g − plain) − y·along)
struct Backward;

impl<T: Element> Terms<T, 1, 6> for Backward {
    #[inline(always)]
    fn of<S: Simd>(
        simd: S,
        x: [T::Vector<S>; 2],
        [mean, scale, shift, plain, along, slope]: [T::Vector<S>; 6],
    ) -> [T::Vector<S>; 1] {
        let [y] = <Standardized as Terms<T, 1, 3>>::of(simd, x, [mean, scale, shift]);
        let part = T::minus(simd, T::minus(simd, x[1], plain), T::times(simd, y, along));
        [T::times(simd, slope, part)]
    }
}

/// Element j of each array, as a vector.
#[inline(always)]
fn splat_all<S: Simd, T: Element, const K: usize>(
    simd: S,
    numbers: [&[T]; K],
    j: usize,
) -> [T::Vector<S>; K] {
    let mut out = [T::splat(simd, T::default()); K];
    for k in 0..K {
        out[k] = T::splat(simd, numbers[k][j]);
    }
    out
}

/// The vectors of each array from element `at` on.
#[inline(always)]
fn vectors_of<S: Simd, T: Element, const K: usize>(simd: S, x: [&[T]; K], at: usize) -> [T::Vector<S>; K] {
    let mut out = [T::splat(simd, T::default()); K];
    for k in 0..K {
        out[k] = vector::<S, T>(x[k], at);
    }
    out
}

/// The second array of a pass.
trait Second<T>: Copy + Sync {
    type Room: DerefMut<Target = [T]>;

    /// Room for `n` elements that are computed.
    fn room(n: usize) -> Self::Room;

    /// Row i of `width` elements, which may be computed in `room`.
    fn row<'a>(&'a self, i: usize, width: usize, room: &'a mut [T]) -> &'a [T];
}

impl<T: Element> Second<T> for &[T] {
    type Room = Box<[T]>;

    fn room(_: usize) -> Box<[T]> {
        Box::default()
    }

    #[inline(always)]
    fn row<'a>(&'a self, i: usize, width: usize, _: &'a mut [T]) -> &'a [T] {
        &self[i * width..][..width]
    }
}

/// A row is an image.
impl<T: Element> Second<T> for Scattered<'_, T> {
    type Room = Scratch<T>;

    fn room(n: usize) -> Scratch<T> {
        Scratch::new(n)
    }

    #[inline(always)]
    fn row<'a>(&'a self, i: usize, _: usize, room: &'a mut [T]) -> &'a [T] {
        self.write(i, room);
        room
    }
}

/// The sums of the terms of each group.
fn sums<T: Element, F: Terms<T, N, K>, const N: usize, const K: usize>(
    x: (&[T], impl Second<T>),
    dims: [usize; 3],
    numbers: [&[T]; K],
) -> Scratch<[f64; N]> {
    let [outer, groups, inner] = dims;
    let mut out = Scratch::filled(groups, [0.0; N]);
    let piece = PIECE.div_ceil((outer * inner).max(1));
    parts(&mut out, piece, worthwhile(x.0.len()), &|i, out| {
        run(Sums::<T, F, _, N, K> { first: i * piece, out, x, dims, numbers, terms: PhantomData });
    });
    out
}

/// The sums of groups from `first` on.
struct Sums<'a, T, F, G, const N: usize, const K: usize> {
    first: usize,
    out: &'a mut [[f64; N]],
    x: (&'a [T], G),
    dims: [usize; 3],
    numbers: [&'a [T]; K],
    terms: PhantomData<F>,
}

impl<T: Element, F: Terms<T, N, K>, G: Second<T>, const N: usize, const K: usize> WithSimd
    for Sums<'_, T, F, G, N, K>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sums { first, out, x: (x, second), dims: [outer, groups, inner], numbers, .. } = self;
        let mut room = G::room(inner);
        if inner == 1 {
            for (block, out) in out.chunks_mut(LANES).enumerate() {
                let first = first + block * LANES;
                let mut totals = Aligned([[0.0; LANES]; N]);
                for o in 0..outer {
                    let x = [&x[o * groups..][..groups], second.row(o, groups, &mut room)];
                    if out.len() == LANES {
                        columns::<S, T, F, N, K>(
                            simd,
                            x.map(|x| &x[first..]),
                            numbers.map(|x| &x[first..]),
                            &mut totals.0,
                        );
                        continue;
                    }
                    for j in 0..out.len() {
                        let terms = term::<T, F, N, K>(x, first + j, scalars(numbers, first + j));
                        for k in 0..N {
                            totals.0[k][j] += terms[k].to_f64();
                        }
                    }
                }
                for (j, out) in out.iter_mut().enumerate() {
                    *out = totals.0.map(|total| total[j]);
                }
            }
            return;
        }
        for (j, out) in out.iter_mut().enumerate() {
            let (wide, narrow) = (splat_all(simd, numbers, first + j), scalars(numbers, first + j));
            let mut totals = Aligned([[0.0; HALF]; N]);
            for o in 0..outer {
                let row = o * groups + first + j;
                let x = [&x[row * inner..][..inner], second.row(row, inner, &mut room)];
                // In the order of `reduce::lane_sums`.
                for from in (0..inner).step_by(BLOCK) {
                    let n = BLOCK.min(inner - from);
                    let x = x.map(|x| &x[from..from + n]);
                    let whole = n / LANES * LANES;
                    if whole > 0 {
                        lane_sums::<S, T, F, N, K>(simd, x.map(|x| &x[..whole]), wide, &mut totals.0);
                    }
                    let half = whole + (n - whole) / HALF * HALF;
                    if half > whole {
                        half_sums::<S, T, F, N, K>(simd, x.map(|x| &x[whole..half]), wide, &mut totals.0);
                    }
                    for i in half..n {
                        let terms = term::<T, F, N, K>(x, i, narrow);
                        for k in 0..N {
                            totals.0[k][i - half] += terms[k].to_f64();
                        }
                    }
                }
            }
            *out = totals.0.map(across);
        }
    }
}

/// Element j of each array.
#[inline(always)]
fn scalars<T: Element, const K: usize>(numbers: [&[T]; K], j: usize) -> [T; K] {
    let mut out = [T::default(); K];
    for k in 0..K {
        out[k] = numbers[k][j];
    }
    out
}

/// The terms of element i.
#[inline(always)]
fn term<T: Element, F: Terms<T, N, K>, const N: usize, const K: usize>(
    x: [&[T]; 2],
    i: usize,
    numbers: [T; K],
) -> [T; N] {
    let mut wide = [T::splat(Scalar, T::default()); K];
    for k in 0..K {
        wide[k] = T::splat(Scalar, numbers[k]);
    }
    let terms = F::of(Scalar, vectors_of::<Scalar, T, 2>(Scalar, x, i), wide);
    let mut out = [T::default(); N];
    for k in 0..N {
        out[k] = T::total(Scalar, terms[k]);
    }
    out
}

/// Adds the sums of whole runs of lanes, of which two vectors are summed at a time.
#[inline(always)]
fn lane_sums<S: Simd, T: Element, F: Terms<T, N, K>, const N: usize, const K: usize>(
    simd: S,
    x: [&[T]; 2],
    numbers: [T::Vector<S>; K],
    totals: &mut [[f64; HALF]; N],
) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let n = x[0].len();
    assert!(n == x[1].len() && n.is_multiple_of(LANES), "kernel::norm: rows of whole lanes");
    // Lanes of the two halves, which are added first, are summed side by side.
    for lane in (0..HALF).step_by(lanes) {
        let mut sums = [[T::splat(simd, T::default()); N]; 2];
        for from in (0..n).step_by(LANES) {
            for half in 0..2 {
                let at = from + half * HALF + lane;
                // SAFETY: vectors divide HALF, so that this one ends before LANES behind `from`, which both arrays have.
                let x = unsafe {
                    [vector_at::<S, T>(x[0].as_ptr().add(at)), vector_at::<S, T>(x[1].as_ptr().add(at))]
                };
                let terms = F::of(simd, x, numbers);
                for k in 0..N {
                    sums[half][k] = T::plus(simd, sums[half][k], terms[k]);
                }
            }
        }
        for k in 0..N {
            add_wide::<S, T>(T::plus(simd, sums[0][k], sums[1][k]), &mut totals[k], lane);
        }
    }
}

/// Adds the terms of half as many elements as there are lanes.
#[inline(always)]
fn half_sums<S: Simd, T: Element, F: Terms<T, N, K>, const N: usize, const K: usize>(
    simd: S,
    x: [&[T]; 2],
    numbers: [T::Vector<S>; K],
    totals: &mut [[f64; HALF]; N],
) {
    for lane in (0..HALF).step_by(size_of::<T::Vector<S>>() / size_of::<T>()) {
        let terms = F::of(simd, vectors_of::<S, T, 2>(simd, x, lane), numbers);
        for k in 0..N {
            add_wide::<S, T>(terms[k], &mut totals[k], lane);
        }
    }
}

/// Adds the terms of the first elements.
#[inline(always)]
fn columns<S: Simd, T: Element, F: Terms<T, N, K>, const N: usize, const K: usize>(
    simd: S,
    x: [&[T]; 2],
    numbers: [&[T]; K],
    totals: &mut [[f64; LANES]; N],
) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    for lane in (0..LANES).step_by(lanes) {
        let terms = F::of(simd, vectors_of::<S, T, 2>(simd, x, lane), vectors_of(simd, numbers, lane));
        for k in 0..N {
            add_wide::<S, T>(terms[k], &mut totals[k], lane);
        }
    }
}

/// Adds the elements of a vector to the numbers from `at` on.
#[inline(always)]
fn add_wide<S: Simd, T: Element>(vector: T::Vector<S>, totals: &mut [f64], at: usize) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let mut elements = Aligned([T::default(); HALF]);
    store(vector, &mut elements.0[..lanes]);
    let totals = &mut totals[at..at + lanes];
    for i in 0..lanes {
        totals[i] += elements.0[i].to_f64();
    }
}

/// f of the elements of x and the numbers of the group, for each place of the arrays x.
fn elements<T: Element, F: Terms<T, 1, K>, const K: usize>(
    dims: [usize; 3],
    (x, second): (&[T], impl Second<T>),
    numbers: [&[T]; K],
) -> Vec<T> {
    let [outer, groups, inner] = dims;
    let width = if inner == 1 { groups } else { inner };
    let rows = |first: usize, out: &mut [Uninit<T>]| {
        let (by_column, x) = (inner == 1, (x, second));
        run(Elements::<T, F, _, K> { first, out, x, width, groups, by_column, numbers, terms: PhantomData });
    };
    // SAFETY: the rows are all of the output, and `Elements` writes every element of one.
    unsafe { buffer::written(outer * groups * inner, |out| for_each_rows(out, width, &rows)) }
}

/// The rows from `first` on, of `width` elements: of one group each or, if `by_column`, of all groups.
struct Elements<'a, T, F, G, const K: usize> {
    first: usize,
    out: &'a mut [Uninit<T>],
    x: (&'a [T], G),
    width: usize,
    groups: usize,
    by_column: bool,
    numbers: [&'a [T]; K],
    terms: PhantomData<F>,
}

impl<T: Element, F: Terms<T, 1, K>, G: Second<T>, const K: usize> WithSimd for Elements<'_, T, F, G, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Elements { first, out, x: (x, second), width, groups, numbers, by_column, .. } = self;
        let mut room = G::room(width);
        for (r, out) in out.chunks_exact_mut(width).enumerate() {
            let r = first + r;
            let x = [&x[r * width..][..width], second.row(r, width, &mut room)];
            elements_of_row::<S, T, F, K>(
                simd,
                x,
                numbers,
                if by_column { None } else { Some(r % groups) },
                out,
            );
        }
    }
}

/// [`elements`] that take the places of those of x.
fn elements_in_place<T: Element, F: Terms<T, 1, K>, const K: usize>(
    dims: [usize; 3],
    (mut x, second): (Vec<T>, impl Second<T>),
    numbers: [&[T]; K],
) -> Vec<T> {
    let [_, groups, inner] = dims;
    let width = if inner == 1 { groups } else { inner };
    for_each_rows(&mut x, width, &|first, rows| {
        let by_column = inner == 1;
        run(InPlace::<T, F, _, K> {
            first,
            rows,
            second,
            width,
            groups,
            by_column,
            numbers,
            terms: PhantomData,
        });
    });
    x
}

/// As [`Elements`], of which x are the rows themselves.
struct InPlace<'a, T, F, G, const K: usize> {
    first: usize,
    rows: &'a mut [T],
    second: G,
    width: usize,
    groups: usize,
    by_column: bool,
    numbers: [&'a [T]; K],
    terms: PhantomData<F>,
}

impl<T: Element, F: Terms<T, 1, K>, G: Second<T>, const K: usize> WithSimd for InPlace<'_, T, F, G, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let InPlace { first, rows, second, width, groups, by_column, numbers, .. } = self;
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let mut room = G::room(width);
        for (r, row) in rows.chunks_exact_mut(width).enumerate() {
            let r = first + r;
            let (second, group) = (second.row(r, width, &mut room), r % groups);
            let wide = splat_all(simd, numbers, if by_column { 0 } else { group });
            let whole = width / lanes * lanes;
            // The last vector has some elements for the second time, and of what they were before.
            let mut last = None;
            if width > whole && whole > 0 {
                last = Some(vectors_of::<S, T, 2>(simd, [row, second], width - lanes));
            }
            for at in (0..whole).step_by(lanes) {
                let numbers = if by_column { vectors_of(simd, numbers, at) } else { wide };
                let [y] = F::of(simd, vectors_of::<S, T, 2>(simd, [row, second], at), numbers);
                store(y, &mut row[at..at + lanes]);
            }
            match last {
                Some(x) => {
                    let at = width - lanes;
                    let [y] = F::of(simd, x, if by_column { vectors_of(simd, numbers, at) } else { wide });
                    store(y, &mut row[at..]);
                }
                None => {
                    for i in whole..width {
                        let numbers = scalars(numbers, if by_column { i } else { group });
                        [row[i]] = term::<T, F, 1, K>([row, second], i, numbers);
                    }
                }
            }
        }
    }
}

/// f of the elements of a row: of one group, or one element of each group.
#[inline(always)]
fn elements_of_row<S: Simd, T: Element, F: Terms<T, 1, K>, const K: usize>(
    simd: S,
    x: [&[T]; 2],
    numbers: [&[T]; K],
    group: Option<usize>,
    out: &mut [Uninit<T>],
) {
    let (lanes, width) = (size_of::<T::Vector<S>>() / size_of::<T>(), out.len());
    // Of any group where each element has its own: these are not read then. A closure here would not be inlined.
    let wide = splat_all(simd, numbers, group.unwrap_or(0));
    let mut from = 0;
    assert!(x.iter().all(|x| x.len() == width), "kernel::norm: rows of one length");
    while from < width && width >= lanes {
        // The last vector has some elements for the second time.
        let at = from.min(width - lanes);
        let numbers = if group.is_none() { vectors_of(simd, numbers, at) } else { wide };
        // SAFETY: `at` is at most `width - lanes`, and both rows have `width` elements.
        let x =
            unsafe { [vector_at::<S, T>(x[0].as_ptr().add(at)), vector_at::<S, T>(x[1].as_ptr().add(at))] };
        let [y] = F::of(simd, x, numbers);
        store(y, &mut out[at..at + lanes]);
        from += lanes;
    }
    for i in from..width {
        let numbers = scalars(numbers, group.unwrap_or(i));
        let [y] = term::<T, F, 1, K>(x, i, numbers);
        out[i].write(y);
    }
}

/// y = (x − mean)·scale + shift
#[inline(never)]
pub fn standardize<T: Element>(x: &[T], dims: [usize; 3], numbers: [&[T]; 3]) -> Vec<T> {
    elements::<T, Standardized, 3>(dims, (x, x), numbers)
}

/// y·weight + bias, with y of [`standardize`].
#[inline(never)]
pub fn standardize_affine<T: Element>(x: &[T], dims: [usize; 3], numbers: [&[T]; 5]) -> Vec<T> {
    elements::<T, Affine, 5>(dims, (x, x), numbers)
}

/// scale·(g − mean g − y·mean g·y), without the first mean unless `centred`.
#[inline(never)]
pub fn standardize_backward<T: Element>(
    x: &[T],
    grad: &[T],
    dims: [usize; 3],
    numbers: [&[T]; 3],
    centred: bool,
) -> Vec<T> {
    let n = (dims[0] * dims[2]) as f64;
    let totals = sums::<T, Slopes, 2, 3>((x, grad), dims, numbers);
    let plain = totals.iter().map(|total| if centred { T::constant(total[0] / n) } else { T::default() });
    let plain = Scratch::collect(totals.len(), plain);
    let along = Scratch::collect(totals.len(), totals.iter().map(|total| T::constant(total[1] / n)));
    let [mean, scale, shift] = numbers;
    elements::<T, Backward, 6>(dims, (x, grad), [mean, scale, shift, &plain, &along, scale])
}

/// The gradients of [`standardize_affine`] by x, the weight and the bias, where the mean and the scale depend on x:
/// weight·scale·(g − mean g − y·mean g·y), Σ g·y and Σ g.
#[inline(never)]
pub fn standardize_affine_backward<T: Element>(
    x: &[T],
    grad: &[T],
    dims: [usize; 3],
    [mean, scale, shift, weight]: [&[T]; 4],
) -> [Vec<T>; 3] {
    let totals = sums::<T, Slopes, 2, 3>((x, grad), dims, [mean, scale, shift]);
    affine_gradients(&totals, dims, weight, scale, |plain, along, slope| {
        elements::<T, Backward, 6>(dims, (x, grad), [mean, scale, shift, plain, along, slope])
    })
}

/// The rectified values of [`standardize_affine`]: max(y·weight + bias, 0).
#[inline(never)]
pub fn standardize_affine_relu<T: Element>(x: &[T], dims: [usize; 3], numbers: [&[T]; 5]) -> Vec<T> {
    elements::<T, Rectified, 5>(dims, (x, x), numbers)
}

/// [`standardize_affine_backward`] of the gradient by the input of the rectifier of [`standardize_affine_relu`], of whose result `grad` is
/// the gradient. The gradient by x takes its place.
#[inline(never)]
pub fn standardize_affine_relu_backward<T: Element>(
    x: Vec<T>,
    grad: &[T],
    dims: [usize; 3],
    numbers: [&[T]; 5],
) -> [Vec<T>; 3] {
    rectified_backward(x, grad, dims, numbers)
}

fn rectified_backward<T: Element>(
    x: Vec<T>,
    grad: impl Second<T>,
    dims: [usize; 3],
    [mean, scale, shift, weight, bias]: [&[T]; 5],
) -> [Vec<T>; 3] {
    let numbers = [mean, scale, shift, weight, bias];
    let totals = sums::<T, RectifiedSlopes, 2, 5>((&x, grad), dims, numbers);
    affine_gradients(&totals, dims, weight, scale, |plain, along, slope| {
        let numbers = [mean, scale, shift, plain, along, slope, weight, bias];
        elements_in_place::<T, RectifiedBackward, 8>(dims, (x, grad), numbers)
    })
}

/// [`max_pool`](super::max_pool()) of the images that [`standardize_affine_relu`] makes, of which none is written. A group is an image.
#[inline(never)]
pub fn standardize_affine_relu_pool<T: Element>(
    x: &[T],
    dims: [usize; 3],
    numbers: [&[T]; 5],
    sides: &[WindowAxis; 2],
) -> (Vec<T>, Vec<u32>) {
    max_pool_of(RectifiedImages { x, dims, numbers }, x.len(), sides)
}

/// [`standardize_affine_relu_backward`] of the gradient `grad` of [`standardize_affine_relu_pool`], which took the elements at `places`.
#[inline(never)]
pub fn standardize_affine_relu_pool_backward<T: Element>(
    x: Vec<T>,
    (grad, places): (&[T], &[u32]),
    dims: [usize; 3],
    numbers: [&[T]; 5],
    sides: &[WindowAxis; 2],
) -> [Vec<T>; 3] {
    rectified_backward(x, Scattered::new(grad, places, sides), dims, numbers)
}

/// The images of [`standardize_affine_relu`].
#[derive(Clone, Copy)]
struct RectifiedImages<'a, T> {
    x: &'a [T],
    dims: [usize; 3],
    numbers: [&'a [T]; 5],
}

impl<T: Element> Images<T> for RectifiedImages<'_, T> {
    type Room = Scratch<T>;

    fn room(n: usize) -> Scratch<T> {
        Scratch::new(n)
    }

    fn read<'a>(&'a self, from: usize, n: usize, room: &'a mut [T]) -> &'a [T] {
        let room = &mut room[..n];
        run(ReadRectified { images: self, from, room });
        room
    }
}

/// The elements from `from` on.
struct ReadRectified<'a, T> {
    images: &'a RectifiedImages<'a, T>,
    from: usize,
    room: &'a mut [T],
}

impl<T: Element> WithSimd for ReadRectified<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ReadRectified { images: RectifiedImages { x, dims: [_, groups, inner], numbers }, from, room } =
            self;
        let mut at = 0;
        while at < room.len() {
            let (row, start) = ((from + at) / inner, (from + at) % inner);
            let count = (inner - start).min(room.len() - at);
            let x = &x[from + at..][..count];
            // SAFETY: elements are written.
            let out = unsafe { slots(&mut room[at..at + count]) };
            elements_of_row::<S, T, Rectified, 5>(simd, [x, x], *numbers, Some(row % groups), out);
            at += count;
        }
    }
}

/// The gradients from Σ g and Σ g·y of each group, and from the gradient by x of the means of both and the slope weight·scale.
fn affine_gradients<T: Element>(
    totals: &[[f64; 2]],
    dims: [usize; 3],
    weight: &[T],
    scale: &[T],
    by_x: impl FnOnce(&[T], &[T], &[T]) -> Vec<T>,
) -> [Vec<T>; 3] {
    let n = (dims[0] * dims[2]) as f64;
    let each = |k: usize, n: f64| totals.iter().map(move |total| T::constant(total[k] / n));
    // The results take the memory that a program gives.
    let [by_weight, by_bias] = [1, 0].map(|k| buffer::collected(totals.len(), each(k, 1.0)));
    let [plain, along] = [0, 1].map(|k| Scratch::collect(totals.len(), each(k, n)));
    let slope = weight.iter().zip(scale).map(|(&weight, &scale)| weight * scale);
    let slope = Scratch::collect(totals.len(), slope);
    [by_x(&plain, &along, &slope), by_weight, by_bias]
}

#[cfg(test)]
mod tests {
    use super::{
        Element, moments, standardize, standardize_affine, standardize_affine_backward,
        standardize_affine_relu, standardize_affine_relu_backward, standardize_affine_relu_pool,
        standardize_affine_relu_pool_backward, standardize_backward,
    };
    use crate::kernel::{WindowAxis, max_pool, pool_scatter};

    /// The sum of group j in the order of `reduce::lane_sums`, one element after the other.
    fn sum<T: Element>(terms: &[T], [outer, groups, inner]: [usize; 3], j: usize) -> f64 {
        let mut totals = [0.0; 16];
        for o in 0..outer {
            let row = &terms[(o * groups + j) * inner..][..inner];
            if inner == 1 {
                totals[0] += row[0].to_f64();
                continue;
            }
            for block in row.chunks(512) {
                let whole = block.len() / 32 * 32;
                let mut lanes = [T::default(); 32];
                block[..whole].iter().enumerate().for_each(|(i, &x)| lanes[i % 32] += x);
                (0..16).for_each(|i| totals[i] += (lanes[i] + lanes[i + 16]).to_f64());
                block[whole..].iter().enumerate().for_each(|(i, &x)| totals[i % 16] += x.to_f64());
            }
        }
        for width in [8, 4, 2, 1] {
            (0..width).for_each(|i| totals[i] += totals[i + width]);
        }
        totals[0]
    }

    fn bits_of_plain_loops<T: Element + std::fmt::Debug>() {
        for dims in
            [[3, 4, 7], [2, 70, 1], [5, 3, 1], [2, 3, 16], [3, 2, 33], [1, 3, 64], [2, 2, 1111], [4, 1, 5]]
        {
            let [outer, groups, inner] = dims;
            let n = (outer * inner) as f64;
            let numbers = |count: usize, salt: f64| -> Vec<T> {
                (0..count).map(|i| T::constant((i as f64 * 1.7 + salt).sin())).collect()
            };
            let (x, grad) = (numbers(outer * groups * inner, 0.1), numbers(outer * groups * inner, 0.2));
            let (weight, bias) = (numbers(groups, 0.3), numbers(groups, 0.4));
            let each = |f: &dyn Fn(usize, usize) -> T| -> Vec<T> {
                (0..x.len()).map(|i| f(i, i / inner % groups)).collect()
            };
            let sums = |terms: &[T]| -> Vec<f64> { (0..groups).map(|j| sum(terms, dims, j)).collect() };
            let of =
                |sums: &[f64], n: f64| -> Vec<T> { sums.iter().map(|sum| T::constant(sum / n)).collect() };

            let got = moments(&x, dims, 1e-5, true);
            let mean = of(&sums(&x), n);
            assert_eq!(got.mean, mean, "{dims:?}");
            let left = sums(&each(&|i, j| x[i] - mean[j]));
            let squares = sums(&each(&|i, j| (x[i] - mean[j]) * (x[i] - mean[j])));
            let variance = |j: usize| T::constant((squares[j] / n - (left[j] / n).powi(2)).max(0.0));
            assert_eq!(got.variance, (0..groups).map(variance).collect::<Vec<T>>(), "{dims:?}");

            let (scale, shift) = (got.scale, got.shift);
            let y = each(&|i, j| (x[i] - mean[j]) * scale[j] + shift[j]);
            assert_eq!(standardize(&x, dims, [&mean, &scale, &shift]), y, "{dims:?}");
            let affine = standardize_affine(&x, dims, [&mean, &scale, &shift, &weight, &bias]);
            assert_eq!(affine, each(&|i, j| y[i] * weight[j] + bias[j]), "{dims:?}");

            let (plain, along) = (sums(&grad), sums(&each(&|i, _| y[i] * grad[i])));
            for centred in [true, false] {
                let means = [if centred { of(&plain, n) } else { vec![T::default(); groups] }, of(&along, n)];
                let slope = |i: usize, j: usize| (grad[i] - means[0][j]) - y[i] * means[1][j];
                let got = standardize_backward(&x, &grad, dims, [&mean, &scale, &shift], centred);
                assert_eq!(got, each(&|i, j| scale[j] * slope(i, j)), "{dims:?}");
                if centred {
                    let numbers = [&mean[..], &scale, &shift, &weight];
                    let [by_x, by_weight, by_bias] = standardize_affine_backward(&x, &grad, dims, numbers);
                    assert_eq!(by_x, each(&|i, j| weight[j] * scale[j] * slope(i, j)), "{dims:?}");
                    assert_eq!((by_weight, by_bias), (of(&along, 1.0), of(&plain, 1.0)), "{dims:?}");

                    let numbers = [&mean[..], &scale, &shift, &weight, &bias];
                    let zero = T::default();
                    let rectified = each(&|i, _| if zero > affine[i] { zero } else { affine[i] });
                    assert_eq!(standardize_affine_relu(&x, dims, numbers), rectified, "{dims:?}");
                    let one = T::constant(1.0);
                    let behind = each(&|i, _| grad[i] * if rectified[i] > zero { one } else { zero });
                    assert_eq!(
                        standardize_affine_relu_backward(x.clone(), &grad, dims, numbers),
                        standardize_affine_backward(&x, &behind, dims, [&mean, &scale, &shift, &weight]),
                        "{dims:?}"
                    );
                }
            }
        }
    }

    fn bits_of_separate_passes<T: Element + std::fmt::Debug>() {
        let axis = |input, kernel, stride, padding| {
            let output = (input + 2 * padding - kernel) / stride + 1;
            WindowAxis { input, output, kernel, stride, padding, dilation: 1 }
        };
        let cases = [
            ([3, 5], [axis(4, 2, 2, 0), axis(6, 2, 2, 0)]),
            ([2, 3], [axis(5, 2, 2, 0), axis(7, 2, 2, 0)]),
            ([2, 40], [axis(8, 2, 2, 0), axis(8, 2, 2, 0)]),
            ([1, 3], [axis(34, 2, 2, 0), axis(66, 2, 2, 0)]),
            ([2, 3], [axis(1, 1, 1, 0), axis(128, 2, 2, 0)]),
            ([2, 3], [axis(3, 1, 1, 0), axis(9, 2, 2, 0)]),
            ([2, 3], [axis(7, 3, 2, 1), axis(9, 3, 2, 1)]),
            ([2, 3], [axis(6, 2, 1, 0), axis(5, 3, 1, 1)]),
        ];
        for ([outer, groups], sides) in cases {
            let inner = sides[0].input * sides[1].input;
            let (dims, images) = ([outer, groups, inner], outer * groups);
            let numbers = |count: usize, salt: f64| -> Vec<T> {
                (0..count).map(|i| T::constant((i as f64 * 1.7 + salt).sin())).collect()
            };
            let mut x = numbers(images * inner, 0.1);
            // Zeros of both signs, and a NaN in one image.
            let numbers: [Vec<T>; 5] = std::array::from_fn(|k| numbers(groups, k as f64 + 0.3));
            x[inner / 2] = numbers[0][0];
            for nan in [false, true] {
                if nan {
                    x[inner - 1] = T::constant(f64::NAN);
                }
                let numbers = numbers.each_ref().map(|numbers| &numbers[..]);
                let y = standardize_affine_relu(&x, dims, numbers);
                let (values, places) = max_pool(&y, &sides);
                let got = standardize_affine_relu_pool(&x, dims, numbers, &sides);
                assert_eq!(bits(&got.0), bits(&values), "{dims:?} {sides:?}");
                assert_eq!(got.1, places);

                let mut grad: Vec<T> = values.iter().map(|&y| y - T::constant(0.4)).collect();
                grad[1] = T::constant(-0.0);
                let scattered = pool_scatter(&grad, &places, images, images * inner);
                let expected = standardize_affine_relu_backward(x.clone(), &scattered, dims, numbers);
                let got =
                    standardize_affine_relu_pool_backward(x.clone(), (&grad, &places), dims, numbers, &sides);
                for (got, expected) in got.iter().zip(&expected) {
                    assert_eq!(bits(got), bits(expected), "{dims:?} {sides:?}");
                }
            }
        }
    }

    /// The bits; one number for all that are none.
    fn bits<T: Element>(x: &[T]) -> Vec<u64> {
        x.iter().map(|x| x.to_f64()).map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() }).collect()
    }

    #[test]
    fn pools_have_the_bits_of_separate_passes() {
        bits_of_separate_passes::<f32>();
        bits_of_separate_passes::<f64>();
    }

    #[test]
    fn the_bits_of_plain_loops() {
        bits_of_plain_loops::<f32>();
        bits_of_plain_loops::<f64>();
    }
}
