//! Slices in, slices out: the CPU loops. Threads and SIMD live here and nowhere else; no tensor is known.
//!
//! [`map`] evaluates a closure over several arrays at once, element by element; [`reduce`] sums and finds maxima along
//! an axis. The instruction set is chosen when the program runs (AVX-512, AVX2, NEON, or what the compiler targets).

mod buffer;
mod map;
mod parallel;
mod reduce;
mod view;

pub(crate) use map::{SOURCES, add_assign, map, sources};
pub(crate) use parallel::{for_each_row, vectorize};
pub(crate) use reduce::{dot, find_axis, fold_axis, sum, sum_axis};
pub(crate) use view::{Dims, View, broadcast_dims};

use candle_core::WithDType;

use crate::formula::Real;

/// The element types that the kernels are compiled for.
pub(crate) trait Element: Real + WithDType + Default + PartialOrd {}
impl Element for f32 {}
impl Element for f64 {}
