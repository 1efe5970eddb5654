//! `erf`, the error function, and `erfc`, what it lacks to 1.

use super::exp::{exp_m1_negative_f32, exp_m1_negative_f64, exp_times_f64};

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

/// `TAIL`: (1 + 2x)·exp(x²)·erfc x in powers of (x − 3)/(x + 3), for x ≥ ½.
const TAIL: [f64; 22] = [
    1.2530080582697296,
    -0.13562110612458117,
    -0.047562294353438735,
    0.12964515870276525,
    -0.11927366341591442,
    0.06830802734374988,
    -0.023770514905736204,
    0.002529391820236545,
    0.0018886902106052665,
    -0.0007798323102091359,
    -0.00010515876424485701,
    0.00012509954508289656,
    4.9448554915751806e-06,
    -2.0101105543354983e-05,
    -7.179099851262006e-07,
    3.473083677885732e-06,
    3.3061086357848245e-07,
    -6.163243748422216e-07,
    -1.093624185064089e-07,
    9.974894495780242e-08,
    1.8346570197698563e-08,
    -1.0848171157008423e-08,
];

/// 2/√π·∫₀ˣ e^(−t²) dt.
///
/// 1 − e^H(x) with a polynomial H for ln(1 − erf x), whose first term is exact: no second formula is needed near 0.
/// From 3.93 on an f32 knows only 1.
/// ±∞ gives ±1, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub fn erf_f32(x: f32) -> f32 {
    let a = x.abs();
    let a = if a > 3.93 { 3.93 } else { a };
    let p = polynomial!(a, LOG_ERFC[7 6 5 4 3 2 1 0]).mul_add(a, -SLOPE_LO_F32);
    exp_m1_negative_f32(a.mul_add(-SLOPE_HI_F32, a * p)).copysign(x)
}

/// (erf x / x − 2/√π) / x² from z = x² < 1.
#[inline(always)]
fn near_f64(z: f64) -> f64 {
    polynomial!(z, NEAR[11 10 9 8 7 6 5 4 3 2 1 0])
}

/// 2/√π·∫₀ˣ e^(−t²) dt.
///
/// Below 1 an odd polynomial, whose first term is exact; from 1 on 1 − e^H(x), with a polynomial H for ln(1 − erf x).
/// ±∞ gives ±1, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub fn erf_f64(x: f64) -> f64 {
    let a = x.abs();
    let z = a * a;
    let p = near_f64(z);
    let near = a.mul_add(SLOPE_HI_F64, a * p.mul_add(z, SLOPE_LO_F64));

    let t = if a > 5.95 { 5.95 } else { a };
    let h = polynomial!(t, FAR[17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0]);
    let far = -exp_m1_negative_f64(h);

    let y = if a < 1.0 { near } else { far };
    y.copysign(x)
}

/// 1 − erf x = 2/√π·∫ₓ^∞ e^(−t²) dt.
///
/// As [`erfc_f64`], in f64.
/// ∞ gives 0, −∞ gives 2, NaN stays NaN.
#[inline(always)]
pub fn erfc_f32(x: f32) -> f32 {
    erfc_f64(x.into()) as f32
}

/// 1 − erf x = 2/√π·∫ₓ^∞ e^(−t²) dt.
///
/// Between −½ and ½ the polynomial of [`erf_f64`]. Beyond, e^(−x²) times a slowly varying function of x, a polynomial in
/// (x − 3)/(x + 3) over 1 + 2x, so that nothing cancels; x² is carried in two floats, because e^(−x²) magnifies its error.
/// ∞ gives 0, −∞ gives 2, NaN stays NaN.
#[inline(always)]
pub fn erfc_f64(x: f64) -> f64 {
    let z = x * x;
    let near = (-x).mul_add(near_f64(z).mul_add(z, SLOPE_HI_F64), 1.0);

    let a = x.abs();
    let a = if a > 28.0 { 28.0 } else { a };
    let q = (a - 3.0) / (a + 3.0);
    let p = polynomial!(q, TAIL[21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0]);
    let square = a * a;
    let low = a.mul_add(a, -square);
    let tail = exp_times_f64(-square, low, p / a.mul_add(2.0, 1.0));
    let far = if x < 0.0 { 2.0 - tail } else { tail };
    if x.abs() < 0.5 { near } else { far }
}
