//! Elementary functions for the CPU loops: as exact as a good libm, and compiled into the vector loop they are used in.
//!
//! Every function is straight-line code without calls or branches, made of the basic operations, `mul_add`, `abs`,
//! `copysign`, `floor` and bit operations, all of which IEEE 754 defines to the last bit. So LLVM turns a plain loop over
//! one into SIMD of any width, and the result has the same bits on every machine and at every SIMD level (but for the
//! payload of a NaN). `sin` and `cos` look a table up; that is one gather instruction, or scalar loads before AVX-512.
//!
//! Each is meant to be inlined into a function that is compiled with FMA (through `pulp`). Elsewhere, `mul_add` is a slow call.
//!
//! # Precision
//!
//! The largest error in units in the last place (ulp) of the exact result, over all arguments, subnormal arguments and
//! results included. f32: measured over all 2³² arguments (`powf`: all bases, an exponent each). f64: measured at the
//! golden values of `tests/reference/math_golden.py` and a million random arguments of each function, and rounded up. The constants below, which
//! `tests/math_accuracy.rs` holds the functions to, are the bounds.
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
pub use exp::{Singles, exp_f32, exp_f64, exp_m1_f32, exp_m1_f64, exp_negative_f32, sigmoid_f32};
pub use ln::{ln_1p_f32, ln_1p_f64, ln_f32, ln_f64};
pub use pow::{powf_f32, powf_f64};
pub use tanh::{tanh_f32, tanh_f64};
pub use trig::{cos_f32, cos_f64, sin_f32, sin_f64};

/// The bound on the error of `exp` for f32, in ulp.
pub const EXP_F32_ULP: f64 = 1.0;
/// The bound on the error of `exp` for f64, in ulp.
pub const EXP_F64_ULP: f64 = 1.0;
/// The bound on the error of `sigmoid` for f32, in ulp.
pub const SIGMOID_F32_ULP: f64 = 3.5;
/// The bound on the error of `exp_m1` for f32, in ulp.
pub const EXP_M1_F32_ULP: f64 = 1.6;
/// The bound on the error of `exp_m1` for f64, in ulp.
pub const EXP_M1_F64_ULP: f64 = 2.3;
/// The bound on the error of `ln` for f32, in ulp.
pub const LN_F32_ULP: f64 = 1.0;
/// The bound on the error of `ln` for f64, in ulp.
pub const LN_F64_ULP: f64 = 1.0;
/// The bound on the error of `ln_1p` for f32, in ulp.
pub const LN_1P_F32_ULP: f64 = 1.6;
/// The bound on the error of `ln_1p` for f64, in ulp.
pub const LN_1P_F64_ULP: f64 = 1.7;
/// The bound on the error of `tanh` for f32, in ulp.
pub const TANH_F32_ULP: f64 = 2.6;
/// The bound on the error of `tanh` for f64, in ulp.
pub const TANH_F64_ULP: f64 = 2.8;
/// The bound on the error of `erf` for f32, in ulp.
pub const ERF_F32_ULP: f64 = 2.0;
/// The bound on the error of `erf` for f64, in ulp.
pub const ERF_F64_ULP: f64 = 1.5;
/// The bound on the error of `erfc` for f32, in ulp.
pub const ERFC_F32_ULP: f64 = 0.6;
/// The bound on the error of `erfc` for f64, in ulp.
pub const ERFC_F64_ULP: f64 = 4.0;
/// The bound on the error of `sin` for f32, in ulp.
pub const SIN_F32_ULP: f64 = 0.6;
/// The bound on the error of `sin` for f64, in ulp.
pub const SIN_F64_ULP: f64 = 1.2;
/// The bound on the error of `cos` for f32, in ulp.
pub const COS_F32_ULP: f64 = 0.6;
/// The bound on the error of `cos` for f64, in ulp.
pub const COS_F64_ULP: f64 = 1.2;
/// The bound on the error of `atan` for f32, in ulp.
pub const ATAN_F32_ULP: f64 = 0.6;
/// The bound on the error of `atan` for f64, in ulp.
pub const ATAN_F64_ULP: f64 = 2.0;
/// The bound on the error of `powf` for f32, in ulp.
pub const POWF_F32_ULP: f64 = 0.6;
/// The bound on the error of `powf` for f64, in ulp.
pub const POWF_F64_ULP: f64 = 1.0;
