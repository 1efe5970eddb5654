//! The CPU loops over slices, and all threads, SIMD and unsafe code of tealight. The instruction set is chosen when the program
//! runs: AVX-512, AVX2, NEON, or what the compiler targets.

// The vectoriser handles one index for several arrays best.
#![allow(clippy::needless_range_loop)]
// Nothing here is for users: the items are public for the crate tealight.
#![allow(missing_docs)]
// Nowhere else in the workspace's libraries. Each block says why it is sound.
#![allow(unsafe_code)]

mod block;
mod buffer;
mod chain;
mod conv;
mod exponentials;
mod find;
mod find_outside;
mod fused_loss;
mod gemm;
mod index;
#[cfg(feature = "linalg")]
pub mod linalg;
mod map;
mod max_pool;
pub mod moments;
pub mod norm;
mod one_pass;
pub mod optim;
pub mod order;
mod parallel;
mod products;
mod random;
pub mod recurrent;
mod reduce;
mod resample;
pub mod rows;
pub mod scan;
mod scope;
mod simd;
#[cfg(target_arch = "wasm32")]
mod small_tiles;
pub mod soft_cross_entropy;
mod taped;
#[cfg(not(target_arch = "wasm32"))]
mod tiles;
mod view;
mod window;

pub use block::Block;
pub use buffer::{Scratch, clear_spare, collected, empty, give_spare, keep_freed, one, trim_freed, zeros};
pub use chain::{ElementLoop, LINKS, Link, LinkSource, chain};
pub use conv::{Conv, conv, conv_kernel, conv_transpose};
pub use find::find_axis;
pub use find_outside::outside;
pub use fused_loss::{Both, both, total, total_at_once};
pub use gemm::{Matrix, affine, matmul, outer};
pub use index::{BlockIndices, last_of_each, nonzero, strides, sums};
pub use map::{
    Loop, SOURCES, Slots, Written, add_assign, cast, fuse, in_blocks, map, map_by, map_slices, sources,
};
pub use max_pool::{max_pool, pool_gather, pool_scatter};
pub use one_pass::{one_pass, run_of};
pub use parallel::{map_each, parts, simd_level};
pub use random::from_uniform;
pub use reduce::{add_scaled_dot, dot, fold_axis, is_finite, sum, sum_axis, sum_squares};
pub use resample::{ResampleMode, Window, resample, resample_transpose};
pub use taped::{Code, taped, taped_all};
pub use view::{Dims, View, broadcast_dims};
pub use window::WindowAxis;

// For scope.rs, in which tests/loom.rs has loom's `sync` instead.
use std::ops::{AddAssign, DivAssign, MulAssign, SubAssign};
use std::sync;

use crate::formula::{Real, math};

macro_rules! instances {
    ($($module:ident: $($kernel:ident)*;)*) => {
        /// Makes the compiler translate these kernels here, for both types of elements: a generic function is shared with the crates
        /// above only where it has an instance here and is `#[inline(never)]`, and is compiled again there otherwise, without
        /// optimisation in a debug build. Never called.
        #[doc(hidden)]
        #[inline(never)]
        pub fn instances() {
            std::hint::black_box([
                $($($module::$kernel::<f32> as *const (), $module::$kernel::<f64> as *const (),)*)*
            ]);
        }
    };
}
instances! {
    chain: chain;
    conv: conv conv_transpose conv_kernel;
    find_outside: outside;
    fused_loss: total total_at_once;
    gemm: outer affine matmul_by;
    map: in_blocks map_by map_slices add_assign;
    max_pool: max_pool pool_gather pool_scatter;
    moments: variances centered norms norm log_sum_exps softmax;
    norm: moments standardize standardize_backward;
    one_pass: one_pass;
    optim: norm;
    order: places;
    reduce: sum is_finite dot add_scaled_dot sum_axis sum_squares;
    resample: resample resample_transpose;
    rows: softmax softmax_backward log_softmax log_softmax_backward cross_entropy cross_entropy_and_slopes normalize normalize_backward;
    scan: products other_products;
    soft_cross_entropy: soft_cross_entropy soft_cross_entropy_backward;
    taped: taped taped_all;
}

/// The element types that the kernels are compiled for.
pub trait Element:
    Real
    + simd::Vectors
    + Default
    + PartialOrd
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Send
    + Sync
    + 'static
{
    /// Sums of squares between this and its reciprocal neither overflow nor lose digits.
    const SMALL_SQUARE: f64;

    fn to_f64(self) -> f64;

    /// self · a + b, rounded as `Vectors::fused` does: once, but twice in WebAssembly, which has no instruction
    /// for it.
    fn multiply_add(self, a: Self, b: Self) -> Self;

    /// eˣ for x ≤ 0; in f32 it is 0 where the result would be subnormal.
    fn exp_negative(self) -> Self;

    /// Writes exp(x − max x) to all of `out`, which has the length of x; returns the maximum and the sum.
    fn exponentials(x: &[Self], out: &mut [buffer::Uninit<Self>]) -> (Self, f64);
}

impl Element for f32 {
    const SMALL_SQUARE: f64 = 1e-28;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn multiply_add(self, a: Self, b: Self) -> Self {
        if cfg!(target_arch = "wasm32") { self * a + b } else { self.mul_add(a, b) }
    }

    #[inline(always)]
    fn exp_negative(self) -> Self {
        math::exp_negative_f32(self)
    }

    #[inline(always)]
    fn exponentials(x: &[f32], out: &mut [buffer::Uninit<f32>]) -> (f32, f64) {
        exponentials::singles(x, out)
    }
}

impl Element for f64 {
    const SMALL_SQUARE: f64 = 1e-280;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn multiply_add(self, a: Self, b: Self) -> Self {
        if cfg!(target_arch = "wasm32") { self * a + b } else { self.mul_add(a, b) }
    }

    #[inline(always)]
    fn exp_negative(self) -> Self {
        Real::exp(self)
    }

    #[inline(always)]
    fn exponentials(x: &[f64], out: &mut [buffer::Uninit<f64>]) -> (f64, f64) {
        exponentials::plain(x, out)
    }
}
