//! Explicit vectors, for the few loops that the compiler does not vectorise well.

use pulp::Simd;

use crate::formula::math::Singles;

/// Floats and their vectors.
pub trait Vectors: Copy {
    /// A vector, at any address.
    type Vector<S: Simd>: Copy;

    /// A vector with x in each place.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// As many whole vectors as there are.
    fn vectors<S: Simd>(numbers: &[Self]) -> &[Self::Vector<S>];

    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Vector<S>];

    /// An index as the bits of a number, which is not computed with.
    fn of_index(i: u32) -> Self;

    fn index(self) -> u32;

    /// a + b.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a − b.
    fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a·b.
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a·b + c.
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>)
    -> Self::Vector<S>;

    /// The second of each pair if its first number is larger, or a NaN where that of the first pair is none; else the first pair.
    fn later<S: Simd>(
        simd: S,
        first: [Self::Vector<S>; 2],
        second: [Self::Vector<S>; 2],
    ) -> [Self::Vector<S>; 2];

    /// `yes` in each place where a < b, else `no`.
    fn where_less<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        yes: Self::Vector<S>,
        no: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// The larger number in each place.
    fn larger<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// The largest element of a vector.
    fn largest<S: Simd>(simd: S, x: Self::Vector<S>) -> Self;

    /// The sum of a vector's elements.
    fn total<S: Simd>(simd: S, x: Self::Vector<S>) -> Self;

    /// A vector that starts with `count` elements.
    ///
    /// # Safety
    /// They must lie there, and be fewer than a vector has.
    unsafe fn load_first<S: Simd>(simd: S, from: *const Self, count: usize) -> Self::Vector<S>;

    /// Writes the first `count` elements of a vector.
    ///
    /// # Safety
    /// They must lie there, and be fewer than a vector has.
    unsafe fn store_first<S: Simd>(simd: S, x: Self::Vector<S>, to: *mut Self, count: usize);
}

macro_rules! fused {
    ($(
        $t:ident $vector:ident $splat:ident $vectors:ident $mutable:ident $fused:ident $larger:ident $largest:ident $total:ident
        $plus:ident $minus:ident $times:ident $less:ident $equal:ident $most:ident $both:ident $not:ident $select:ident $to:ident $from:ident
        $between:ident $load:ident $store:ident;
    )*) => {$(
        impl Vectors for $t {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
                simd.$splat(x)
            }

            #[inline(always)]
            fn vectors<S: Simd>(numbers: &[Self]) -> &[S::$vector] {
                S::$vectors(numbers).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::$vector] {
                S::$mutable(numbers).0
            }

            #[inline(always)]
            fn of_index(i: u32) -> Self {
                Self::from_bits(i.into())
            }

            #[inline(always)]
            fn index(self) -> u32 {
                self.to_bits() as u32
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$plus(a, b)
            }

            #[inline(always)]
            fn minus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$minus(a, b)
            }

            #[inline(always)]
            fn times<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$times(a, b)
            }

            #[inline(always)]
            fn later<S: Simd>(simd: S, first: [S::$vector; 2], second: [S::$vector; 2]) -> [S::$vector; 2] {
                let (a, b) = (first[0], second[0]);
                let later = simd.$both(simd.$equal(a, a), simd.$not(simd.$most(b, a)));
                let mut out = first;
                for i in 0..2 {
                    // `select_f32s` is not always inlined.
                    out[i] = simd.$from(simd.$select(later, simd.$to(second[i]), simd.$to(first[i])));
                }
                out
            }

            #[inline(always)]
            fn where_less<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                yes: S::$vector,
                no: S::$vector,
            ) -> S::$vector {
                simd.$from(simd.$select(simd.$less(a, b), simd.$to(yes), simd.$to(no)))
            }

            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$fused(a, b, c)
            }

            #[inline(always)]
            fn larger<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$larger(a, b)
            }

            #[inline(always)]
            fn largest<S: Simd>(simd: S, x: S::$vector) -> Self {
                simd.$largest(x)
            }

            #[inline(always)]
            fn total<S: Simd>(simd: S, x: S::$vector) -> Self {
                simd.$total(x)
            }

            #[inline(always)]
            unsafe fn load_first<S: Simd>(simd: S, from: *const Self, count: usize) -> S::$vector {
                // SAFETY: the elements of the mask lie there, by this function's contract.
                unsafe { simd.$load(simd.$between(0, count as _), from) }
            }

            #[inline(always)]
            unsafe fn store_first<S: Simd>(simd: S, x: S::$vector, to: *mut Self, count: usize) {
                // SAFETY: as above.
                unsafe { simd.$store(simd.$between(0, count as _), to, x) }
            }
        }
    )*};
}

fused! {
    f32 f32s splat_f32s as_simd_f32s as_mut_simd_f32s mul_add_e_f32s max_f32s reduce_max_f32s reduce_sum_f32s
        add_f32s sub_f32s mul_f32s less_than_f32s equal_f32s less_than_or_equal_f32s and_m32s not_m32s select_u32s transmute_u32s_f32s transmute_f32s_u32s
        mask_between_m32s mask_load_ptr_f32s mask_store_ptr_f32s;
    f64 f64s splat_f64s as_simd_f64s as_mut_simd_f64s mul_add_e_f64s max_f64s reduce_max_f64s reduce_sum_f64s
        add_f64s sub_f64s mul_f64s less_than_f64s equal_f64s less_than_or_equal_f64s and_m64s not_m64s select_u64s transmute_u64s_f64s transmute_f64s_u64s
        mask_between_m64s mask_load_ptr_f64s mask_store_ptr_f64s;
}

/// The vector from element `at` on.
#[inline(always)]
pub(super) fn vector<S: Simd, T: Vectors>(x: &[T], at: usize) -> T::Vector<S> {
    let x = &x[at..at + size_of::<T::Vector<S>>() / size_of::<T>()];
    // SAFETY: the slice has a vector's elements.
    unsafe { vector_at::<S, T>(x.as_ptr()) }
}

/// The vector at an address that need not be aligned.
///
/// # Safety
/// As many elements as a vector has must lie there.
#[inline(always)]
pub(super) unsafe fn vector_at<S: Simd, T: Vectors>(from: *const T) -> T::Vector<S> {
    // SAFETY: a vector is its elements, and the read takes any address.
    unsafe { from.cast::<T::Vector<S>>().read_unaligned() }
}

/// Writes the transpose of a square of 4×4 elements, whose rows are `from_row` and `to_row` elements apart.
///
/// # Safety
/// The rows must lie there, and `to` must not overlap `from`.
#[inline(always)]
pub(super) unsafe fn turn<T: Copy>(from: *const T, from_row: usize, to: *mut T, to_row: usize) {
    // The compiler moves single elements otherwise.
    #[cfg(target_arch = "x86_64")]
    if size_of::<T>() == 4 {
        use std::arch::x86_64::{
            _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32,
            _mm_unpacklo_epi64,
        };
        // SAFETY: a row is four elements of four bytes, and both instructions take any address; each x86-64 has them.
        unsafe {
            let row = |i: usize| _mm_loadu_si128(from.add(i * from_row).cast());
            let [a, b, c, d] = [row(0), row(1), row(2), row(3)];
            let [low, high] = [
                [_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d)],
                [_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d)],
            ];
            _mm_storeu_si128(to.cast(), _mm_unpacklo_epi64(low[0], low[1]));
            _mm_storeu_si128(to.add(to_row).cast(), _mm_unpackhi_epi64(low[0], low[1]));
            _mm_storeu_si128(to.add(2 * to_row).cast(), _mm_unpacklo_epi64(high[0], high[1]));
            _mm_storeu_si128(to.add(3 * to_row).cast(), _mm_unpackhi_epi64(high[0], high[1]));
        }
        return;
    }
    for i in 0..4 {
        for j in 0..4 {
            // SAFETY: the caller says that the rows lie there.
            unsafe { *to.add(j * to_row + i) = *from.add(i * from_row + j) };
        }
    }
}

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// An array that begins with a cache line. One on the stack does so in some processes only, and in some of the ways to its function:
/// there, vectors that lie in two lines make a loop take half as long again.
#[repr(align(64))]
pub(super) struct Aligned<A>(pub(super) A);

/// Writes a vector to as many elements.
#[inline(always)]
pub(super) fn store<V: Copy, T: Copy>(vector: V, to: &mut [T]) {
    assert_eq!(size_of_val(to), size_of::<V>(), "kernel::simd: a vector of another size");
    // SAFETY: the slice has the size of the vector, whose elements have its type; it may lie at any address.
    unsafe { to.as_mut_ptr().cast::<V>().write_unaligned(vector) }
}

/// N vectors of f32.
#[derive(Clone, Copy)]
pub(super) struct Wide<S: Simd, const N: usize>(pub(super) S, pub(super) [S::f32s; N]);

/// A [`Wide`] of an expression for each i. A loop, because a closure is not always inlined.
macro_rules! each {
    ($wide:ident, |$i:ident| $vector:expr) => {{
        let mut out = $wide;
        for $i in 0..N {
            out.1[$i] = $vector;
        }
        out
    }};
}

impl<S: Simd, const N: usize> Singles for Wide<S, N> {
    #[inline(always)]
    fn all(self, number: f32) -> Self {
        Wide(self.0, [self.0.splat_f32s(number); N])
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        each!(self, |i| self.0.add_f32s(self.1[i], other.1[i]))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        each!(self, |i| self.0.sub_f32s(self.1[i], other.1[i]))
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        each!(self, |i| self.0.mul_f32s(self.1[i], other.1[i]))
    }

    #[inline(always)]
    fn fused(self, a: Self, b: Self) -> Self {
        each!(self, |i| self.0.mul_add_f32s(self.1[i], a.1[i], b.1[i]))
    }

    #[inline(always)]
    fn power(self) -> Self {
        let simd = self.0;
        each!(self, |i| {
            let bits = simd.transmute_u32s_f32s(self.1[i]);
            simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23)))
        })
    }

    #[inline(always)]
    fn zero_below(self, x: Self, limit: f32) -> Self {
        let simd = self.0;
        each!(self, |i| {
            let below = simd.less_than_f32s(x.1[i], simd.splat_f32s(limit));
            // `select_f32s` is not always inlined.
            let bits = simd.transmute_u32s_f32s(self.1[i]);
            simd.transmute_f32s_u32s(simd.select_u32s(below, simd.splat_u32s(0), bits))
        })
    }
}

/// Prefetches `count` elements, which need not exist: the processor by itself prefetches no further than to the end of a page.
#[inline(always)]
pub(super) fn prefetch<T>(from: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..(count * size_of::<T>()).div_ceil(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = from.cast::<i8>().wrapping_add(64 * line);
        // SAFETY: a prefetch is a hint that does not fail at any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(address);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, count);
}
