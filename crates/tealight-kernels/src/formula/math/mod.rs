//! The elementary functions of f32 and f64: as accurate as a good libm, and inlined into the vector loop that uses them.
//!
//! Each is straight-line code of IEEE 754 operations, without calls or branches, so LLVM turns a loop over it into SIMD of
//! any width, with the same bits on every machine and at every SIMD level (except the payload of a NaN). `sin` and `cos`
//! look a table up: one gather instruction, or scalar loads before AVX-512. Inline them into code that is compiled with FMA
//! (through `pulp`), or `mul_add` is a slow call.
//!
//! The largest errors in ulp, over all arguments, subnormal arguments and results included: for f32 measured over all 2³²
//! arguments (`powf`: all bases, one exponent each), for f64 at the values of `tests/reference/math_golden.py` and a million
//! random arguments of each function, and rounded up. `tests/math_accuracy.rs` reads this table and holds the functions to it.
//!
//! | function | f32 | f64 |
//! |---|---|---|
//! | `exp` | 1.0 | 1.0 |
//! | `exp_m1` | 1.6 | 2.3 |
//! | `sigmoid` | 3.5 | – |
//! | `ln` | 1.0 | 1.0 |
//! | `ln_1p` | 1.6 | 1.7 |
//! | `tanh` | 2.6 | 2.8 |
//! | `erf` | 2.0 | 1.5 |
//! | `erfc` | 0.6 | 4.0 |
//! | `sin` | 0.6 | 1.2 |
//! | `cos` | 0.6 | 1.2 |
//! | `atan` | 0.6 | 2.0 |
//! | `powf` | 0.6 | 1.0 |
//!
//! Polynomial coefficients are made by `tests/reference/math_coefficients.py`.

/// c₀ + x·(c₁ + x·(c₂ + …)), from the coefficients with the given indices, the highest first.
macro_rules! polynomial {
    ($x:ident, $c:ident[$highest:literal $($i:literal)*]) => {
        $c[$highest]$(.mul_add($x, $c[$i]))*
    };
}

/// The Rust of the functions, which an exported program is made of; first that with [`Singles`].
#[doc(hidden)]
pub const SOURCES: [&str; 8] = [
    include_str!("exp.rs"),
    include_str!("atan.rs"),
    include_str!("ln.rs"),
    include_str!("tanh.rs"),
    include_str!("erf.rs"),
    include_str!("pow.rs"),
    include_str!("trig.rs"),
    include_str!("mod.rs"),
];

mod atan;
mod erf;
mod exp;
mod ln;
mod pow;
mod reduce;
mod tanh;
mod trig;

pub use atan::{atan_f32, atan_f64};
pub use erf::{erf_f32, erf_f64, erfc_f32, erfc_f64};
pub use exp::{
    Singles, exp_f32, exp_f64, exp_m1_f32, exp_m1_f64, exp_negative_f32, sigmoid_f32, sigmoid_f64,
};
pub use ln::{ln_1p_f32, ln_1p_f64, ln_f32, ln_f64};
pub use pow::{powf_f32, powf_f64};
pub use tanh::{tanh_f32, tanh_f64};
pub use trig::{cos_f32, cos_f64, sin_f32, sin_f64};

/// −1, 0 or 1; x itself at ±0 and NaN.
#[inline(always)]
pub fn signum_f32(x: f32) -> f32 {
    if x.abs() > 0.0 { 1_f32.copysign(x) } else { x }
}

/// −1, 0 or 1; x itself at ±0 and NaN.
#[inline(always)]
pub fn signum_f64(x: f64) -> f64 {
    if x.abs() > 0.0 { 1_f64.copysign(x) } else { x }
}
