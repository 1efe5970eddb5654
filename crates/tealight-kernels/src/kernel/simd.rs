//! Vectors by name, for the few loops that the compiler does not vectorise as they need it.

use pulp::{Simd, WithSimd};

use super::parallel::arch;
use crate::formula::math::Singles;

/// Floats and their vectors.
pub trait Vectors: Copy {
    /// A vector. It may lie anywhere in memory.
    type Vector<S: Simd>: Copy;

    /// A vector of one number.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// Whole vectors.
    fn vectors<S: Simd>(numbers: &[Self]) -> &[Self::Vector<S>];

    /// The same, to write.
    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Vector<S>];

    /// a·b + c.
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>)
    -> Self::Vector<S>;

    /// The larger number in each place.
    fn larger<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// The largest of a vector's numbers.
    fn largest<S: Simd>(simd: S, x: Self::Vector<S>) -> Self;

    /// The sum of a vector's numbers.
    fn total<S: Simd>(simd: S, x: Self::Vector<S>) -> Self;
}

macro_rules! fused {
    ($($t:ident $vector:ident $splat:ident $vectors:ident $mutable:ident $fused:ident $larger:ident $largest:ident $total:ident;)*) => {$(
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
        }
    )*};
}

fused! {
    f32 f32s splat_f32s as_simd_f32s as_mut_simd_f32s mul_add_e_f32s max_f32s reduce_max_f32s reduce_sum_f32s;
    f64 f64s splat_f64s as_simd_f64s as_mut_simd_f64s mul_add_e_f64s max_f64s reduce_max_f64s reduce_sum_f64s;
}

/// N vectors of f32.
#[derive(Clone, Copy)]
pub(super) struct Wide<S: Simd, const N: usize>(pub(super) S, pub(super) [S::f32s; N]);

impl<S: Simd, const N: usize> Wide<S, N> {
    #[inline(always)]
    fn each(self, f: impl Fn(S, usize) -> S::f32s) -> Self {
        let mut out = self;
        for i in 0..N {
            out.1[i] = f(self.0, i);
        }
        out
    }
}

impl<S: Simd, const N: usize> Singles for Wide<S, N> {
    #[inline(always)]
    fn all(self, number: f32) -> Self {
        Wide(self.0, [self.0.splat_f32s(number); N])
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.each(
            #[inline(always)]
            |simd, i| simd.add_f32s(self.1[i], other.1[i]),
        )
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.each(
            #[inline(always)]
            |simd, i| simd.sub_f32s(self.1[i], other.1[i]),
        )
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.each(
            #[inline(always)]
            |simd, i| simd.mul_f32s(self.1[i], other.1[i]),
        )
    }

    #[inline(always)]
    fn fused(self, a: Self, b: Self) -> Self {
        self.each(
            #[inline(always)]
            |simd, i| simd.mul_add_f32s(self.1[i], a.1[i], b.1[i]),
        )
    }

    #[inline(always)]
    fn power(self) -> Self {
        self.each(
            #[inline(always)]
            |simd, i| {
                let bits = simd.transmute_u32s_f32s(self.1[i]);
                simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23)))
            },
        )
    }

    #[inline(always)]
    fn zero_below(self, x: Self, limit: f32) -> Self {
        self.each(
            #[inline(always)]
            |simd, i| {
                let below = simd.less_than_f32s(x.1[i], simd.splat_f32s(limit));
                // `select_f32s` is not always inlined.
                let bits = simd.transmute_u32s_f32s(self.1[i]);
                simd.transmute_f32s_u32s(simd.select_u32s(below, simd.splat_u32s(0), bits))
            },
        )
    }
}

/// Runs `f` on the instruction set in use. Unlike plain loops, whose vectors the compiler chooses, such code is the same
/// wherever it is inlined.
pub(super) fn run<F: WithSimd>(f: F) -> F::Output {
    arch().dispatch(f)
}

/// Asks for some numbers from here on, which are read soon: the processor itself looks no further ahead than to the end of a
/// page. They need not exist.
#[inline(always)]
pub(super) fn prefetch<T>(from: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..(count * size_of::<T>()).div_ceil(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = from.cast::<i8>().wrapping_add(64 * line);
        // SAFETY: a prefetch is a hint: it reads nothing, and does not fail at any address.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(address);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, count);
}
