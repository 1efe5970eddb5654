//! The elementary functions, being delivered: erf, sin, cos and powf are still std's here, for a few minutes.
#![allow(missing_docs)]

mod exp;
mod ln;
mod tanh;

pub(crate) use exp::{exp_f32, exp_f64, exp_m1_f32, exp_m1_f64};
pub(crate) use ln::{ln_1p_f32, ln_1p_f64, ln_f32, ln_f64};
pub(crate) use tanh::{tanh_f32, tanh_f64};

// Stand-ins.
#[inline(always)]
pub(crate) fn erf_f64(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.3275911 * x.abs());
    let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    (1.0 - p * (-x * x).exp()).copysign(x)
}
#[inline(always)]
pub(crate) fn erf_f32(x: f32) -> f32 {
    erf_f64(x.into()) as f32
}
#[inline(always)]
pub(crate) fn sin_f32(x: f32) -> f32 {
    x.sin()
}
#[inline(always)]
pub(crate) fn sin_f64(x: f64) -> f64 {
    x.sin()
}
#[inline(always)]
pub(crate) fn cos_f32(x: f32) -> f32 {
    x.cos()
}
#[inline(always)]
pub(crate) fn cos_f64(x: f64) -> f64 {
    x.cos()
}
#[inline(always)]
pub(crate) fn powf_f32(x: f32, y: f32) -> f32 {
    x.powf(y)
}
#[inline(always)]
pub(crate) fn powf_f64(x: f64, y: f64) -> f64 {
    x.powf(y)
}

pub const EXP_F32_ULP: f64 = 1.0;
pub const EXP_F64_ULP: f64 = 1.0;
pub const EXP_M1_F32_ULP: f64 = 1.6;
pub const EXP_M1_F64_ULP: f64 = 1.7;
pub const LN_F32_ULP: f64 = 1.0;
pub const LN_F64_ULP: f64 = 1.0;
pub const LN_1P_F32_ULP: f64 = 1.6;
pub const LN_1P_F64_ULP: f64 = 1.7;
pub const TANH_F32_ULP: f64 = 2.6;
pub const TANH_F64_ULP: f64 = 2.8;
pub const ERF_F32_ULP: f64 = 4.0;
pub const ERF_F64_ULP: f64 = 4.0;
pub const SIN_F32_ULP: f64 = 4.0;
pub const SIN_F64_ULP: f64 = 4.0;
pub const COS_F32_ULP: f64 = 4.0;
pub const COS_F64_ULP: f64 = 4.0;
pub const POWF_F32_ULP: f64 = 4.0;
pub const POWF_F64_ULP: f64 = 4.0;
