//! Vectors by name, for the few loops that the compiler does not vectorise as they need it.

use pulp::{Simd, WithSimd};

use super::parallel::arch;

/// Floats and their vectors.
pub(crate) trait Vectors: Copy {
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

    /// The sum of a vector's numbers.
    fn total<S: Simd>(simd: S, x: Self::Vector<S>) -> Self;
}

macro_rules! fused {
    ($($t:ident $vector:ident $splat:ident $vectors:ident $mutable:ident $fused:ident $total:ident;)*) => {$(
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
            fn total<S: Simd>(simd: S, x: S::$vector) -> Self {
                simd.$total(x)
            }
        }
    )*};
}

fused! {
    f32 f32s splat_f32s as_simd_f32s as_mut_simd_f32s mul_add_e_f32s reduce_sum_f32s;
    f64 f64s splat_f64s as_simd_f64s as_mut_simd_f64s mul_add_e_f64s reduce_sum_f64s;
}

/// Runs `f` on the instruction set in use. Unlike plain loops, whose vectors the compiler chooses, such code is the same
/// wherever it is inlined.
pub(crate) fn run<F: WithSimd>(f: F) -> F::Output {
    arch().dispatch(f)
}
