//! Slices in, slices out: the CPU loops. Threads and SIMD live here and nowhere else; no tensor is known.
//!
//! [`map`] evaluates a closure over several arrays at once, element by element; [`reduce`] sums and finds maxima along
//! an axis. The instruction set is chosen when the program runs (AVX-512, AVX2, NEON, or what the compiler targets).

// One index for several arrays: that is what the vectoriser knows best.
#![allow(clippy::needless_range_loop)]

mod block;
mod buffer;
mod gemm;
mod map;
pub(crate) mod optim;
mod parallel;
mod reduce;
pub(crate) mod rows;
mod view;

pub(crate) use gemm::{Matrix, matmul};
pub(crate) use map::{SOURCES, add_assign, map, map_blocks, sources};
pub(crate) use reduce::{dot, find_axis, fold_axis, is_finite, sum_axis};
pub(crate) use view::{Dims, View, broadcast_dims};

use candle_core::WithDType;

use crate::formula::Real;

/// The element types that the kernels are compiled for.
pub(crate) trait Element: Real + WithDType + Default + PartialOrd {
    /// Sums of squares between this and its inverse neither overflow nor lose digits.
    const SMALL_SQUARE: f64;
}

impl Element for f32 {
    const SMALL_SQUARE: f64 = 1e-28;
}

impl Element for f64 {
    const SMALL_SQUARE: f64 = 1e-280;
}
