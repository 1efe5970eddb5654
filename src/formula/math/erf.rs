//! `erf`, the error function.

use super::exp::{exp_m1_negative_f32, exp_m1_negative_f64};

/// `LOG_ERFC` (8) of `tests/reference/math_coefficients.py`: (ln(1 − erf x) / x + 2/√π) / x in powers of x.
const LOG_ERFC: [f32; 8] = [
    -0.6366195,
    -0.102776855,
    0.019149784,
    0.00016607305,
    -0.0016724409,
    0.000635695,
    -0.000118420634,
    9.341549e-06,
];

/// 2/√π in two floats.
const SLOPE_HI_F32: f32 = core::f32::consts::FRAC_2_SQRT_PI;
const SLOPE_LO_F32: f32 = -5.8635383e-08;
const SLOPE_HI_F64: f64 = core::f64::consts::FRAC_2_SQRT_PI;
const SLOPE_LO_F64: f64 = 1.533545961316588e-17;

/// `NEAR`: (erf x / x − 2/√π) / x² in powers of x², for |x| < 1.
const NEAR: [f64; 12] = [
    -0.3761263890318375,
    0.11283791670954851,
    -0.026866170645068594,
    0.005223977624720944,
    -0.0008548326974592904,
    0.00012055330866591379,
    -1.4925589060130542e-05,
    1.6460896916984168e-06,
    -1.6349180769615863e-07,
    1.4651976518907448e-08,
    -1.1342119465982592e-09,
    5.904384722847186e-11,
];

/// `FAR`: ln(1 − erf x) in powers of x, for x ≥ 1.
const FAR: [f64; 18] = [
    -5.027712536224824e-07,
    -1.1283740902210102,
    -0.6366436248007452,
    -0.10270344847841958,
    0.01899019573479474,
    0.00041060460923330146,
    -0.0019159189991998506,
    0.000770623552502736,
    -0.00013503793954641256,
    -2.0272859363623836e-05,
    2.2824944747445724e-05,
    -8.667920241506795e-06,
    2.135858951934388e-06,
    -3.7333591146925887e-07,
    4.642728828981827e-08,
    -3.934665422718425e-09,
    2.04519416353977e-10,
    -4.929238078126714e-12,
];

/// 2/√π·∫₀ˣ e^(−t²) dt.
///
/// 1 − e^H(x) with a polynomial H for ln(1 − erf x), whose first term is exact: no second formula is needed near 0.
/// From 3.93 on an f32 knows only 1.
///
/// # Precision
///
/// At most [`ERF_F32_ULP`](super::ERF_F32_ULP) ulp. ±∞ gives ±1, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub(crate) fn erf_f32(x: f32) -> f32 {
    let a = x.abs();
    let a = if a > 3.93 { 3.93 } else { a };
    let [c0, c1, c2, c3, c4, c5, c6, c7] = LOG_ERFC;
    let p = c7.mul_add(a, c6).mul_add(a, c5).mul_add(a, c4).mul_add(a, c3).mul_add(a, c2).mul_add(a, c1);
    let p = p.mul_add(a, c0).mul_add(a, -SLOPE_LO_F32);
    exp_m1_negative_f32(a.mul_add(-SLOPE_HI_F32, a * p)).copysign(x)
}

/// 2/√π·∫₀ˣ e^(−t²) dt.
///
/// Below 1 an odd polynomial, whose first term is exact; from 1 on 1 − e^H(x), with a polynomial H for ln(1 − erf x).
///
/// # Precision
///
/// At most [`ERF_F64_ULP`](super::ERF_F64_ULP) ulp. ±∞ gives ±1, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub(crate) fn erf_f64(x: f64) -> f64 {
    let a = x.abs();
    let z = a * a;
    let [p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11] = NEAR;
    let p = p11.mul_add(z, p10).mul_add(z, p9).mul_add(z, p8).mul_add(z, p7).mul_add(z, p6).mul_add(z, p5);
    let p = p.mul_add(z, p4).mul_add(z, p3).mul_add(z, p2).mul_add(z, p1).mul_add(z, p0);
    let near = a.mul_add(SLOPE_HI_F64, a * p.mul_add(z, SLOPE_LO_F64));

    let t = if a > 5.95 { 5.95 } else { a };
    let [h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, h11, h12, h13, h14, h15, h16, h17] = FAR;
    let h =
        h17.mul_add(t, h16).mul_add(t, h15).mul_add(t, h14).mul_add(t, h13).mul_add(t, h12).mul_add(t, h11);
    let h = h.mul_add(t, h10).mul_add(t, h9).mul_add(t, h8).mul_add(t, h7).mul_add(t, h6).mul_add(t, h5);
    let h = h.mul_add(t, h4).mul_add(t, h3).mul_add(t, h2).mul_add(t, h1).mul_add(t, h0);
    let far = -exp_m1_negative_f64(h);

    let y = if a < 1.0 { near } else { far };
    y.copysign(x)
}
