//! Initial values of weights, as in `torch.nn.init`.
//! A weight has the shape (outputs, inputs, window..), as that of `Linear` and of a convolution. All values are f32.
//! ```
//! use tealight::layer::init::{self, Fan};
//! use tealight::prelude::*;
//! let mut layer = Linear::new(64, 32, &mut Rng::seed(1))?;
//! let weight = init::kaiming_normal((32, 64), init::gain::RELU, Fan::In, &mut Rng::seed(2))?;
//! layer.weight = Parameter::new(weight);
//! let variance = layer.weight.get().sqr()?.mean_all()?.to_scalar::<f32>()?;
//! assert!((variance - 2.0 / 64.0).abs() < 0.005);
//! # Ok::<(), tealight::Error>(())
//! ```

use candle_core::{DType, Device, Shape};

use crate::autograd::Tensor;
use crate::autograd::array::count;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// Factors that keep the variance of the values through an activation.
#[doc(alias = "calculate_gain")]
pub mod gain {
    /// For no activation, and for the sigmoid.
    pub const LINEAR: f64 = 1.0;
    /// For tanh, 5/3.
    pub const TANH: f64 = 5.0 / 3.0;
    /// For relu, √2.
    pub const RELU: f64 = std::f64::consts::SQRT_2;
    /// For selu, 3/4.
    pub const SELU: f64 = 0.75;

    /// For leaky relu with this slope below 0, √(2/(1 + slope²)).
    pub fn leaky_relu(slope: f64) -> f64 {
        (2.0 / (1.0 + slope * slope)).sqrt()
    }
}

/// The fan of a weight (outputs, inputs, window..): the number of products per output, or per input.
///
/// ```
/// use tealight::layer::init::Fan;
/// assert_eq!((Fan::In.of(&[16, 3, 5, 5])?, Fan::Out.of(&[16, 3, 5, 5])?), (75, 400));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fan {
    /// inputs · window, the products that each output sums: keeps the variance of the values. For a transposed convolution, that
    /// is `Out`.
    #[doc(alias = "fan_in")]
    In,
    /// outputs · window, the products that each input goes into: keeps the variance of the gradients.
    #[doc(alias = "fan_out")]
    Out,
}

impl Fan {
    /// The fan of a weight of this shape.
    ///
    /// # Errors
    /// Errors if there are fewer than two axes.
    pub fn of(self, dims: &[usize]) -> Result<usize> {
        let [outputs, inputs, window @ ..] = dims else {
            return Err(Error::shape("init", "a weight (outputs, inputs, ..)", &[dims]));
        };
        let channels = if self == Fan::In { inputs } else { outputs };
        Ok(channels.saturating_mul(count(window)))
    }
}

/// `value` everywhere.
pub fn constant(shape: impl Into<Shape>, value: f64) -> Result<Tensor> {
    Tensor::full(value as f32, shape, &Device::Cpu)
}

/// Uniform in [low, high).
///
/// # Errors
/// Errors if a bound is not finite, or if `low > high`.
pub fn uniform(shape: impl Into<Shape>, low: f64, high: f64, rng: &mut Rng) -> Result<Tensor> {
    Tensor::rand(low, high, shape, rng)
}

/// Normal with this mean and standard deviation.
///
/// # Errors
/// Errors if `mean` or `std` is not finite, or if `std < 0`.
pub fn normal(shape: impl Into<Shape>, mean: f64, std: f64, rng: &mut Rng) -> Result<Tensor> {
    Tensor::randn(mean, std, shape, rng)
}

/// Normal, restricted to `bounds`. PyTorch's defaults are mean 0, deviation 1 and bounds −2 and 2.
///
/// # Errors
/// Errors if `mean` is not finite, if `std` is not above 0, or if the bounds are reversed.
///
/// ```
/// use tealight::layer::init;
/// use tealight::prelude::*;
/// let x = init::truncated_normal(1000, 0.0, 1.0, -2.0..2.0, &mut Rng::seed(1))?;
/// assert!(x.to_vec1::<f32>()?.iter().all(|x| (-2.0..=2.0).contains(x)));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "trunc_normal_")]
pub fn truncated_normal(
    shape: impl Into<Shape>,
    mean: f64,
    std: f64,
    bounds: std::ops::Range<f64>,
    rng: &mut Rng,
) -> Result<Tensor> {
    let (low, high) = ((bounds.start - mean) / std, (bounds.end - mean) / std);
    // The likeliest point of the interval.
    let mode = 0f64.max(low).min(high);
    if !(std > 0.0 && std.is_finite() && low <= high && mode.is_finite()) {
        let got = format!("mean {mean}, std {std}, bounds {bounds:?}");
        return Err(Error::argument("truncated_normal", "finite numbers, std > 0 and low <= high", got));
    }
    // Beyond this the density is e⁻⁴⁰ times that at the mode: no draw gets there.
    let reach = mode.abs() + 80.0 / (mode.abs() + (mode * mode + 80.0).sqrt());
    let (low, high) = (low.max(-reach), high.min(reach));
    let mut draw = || {
        loop {
            let z = low + (high - low) * rng.uniform();
            if rng.uniform() < (0.5 * (mode - z) * (mode + z)).exp() {
                return (mean + std * z).clamp(bounds.start, bounds.end) as f32;
            }
        }
    };
    let zeros = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
    Tensor::from_vec((0..zeros.elem_count()).map(|_| draw()).collect(), zeros.dims(), &Device::Cpu)
}

/// Uniform with variance gain² · 2 / (fan in + fan out).
///
/// # Errors
/// Errors if there are fewer than two axes, or if the gain is not finite.
///
/// # Source
/// X. Glorot and Y. Bengio 2010
///
/// ```
/// use tealight::layer::init;
/// use tealight::prelude::*;
/// let weight = init::xavier_uniform((100, 50), init::gain::LINEAR, &mut Rng::seed(1))?;
/// let bound = (3.0 * 2.0 / (50.0 + 100.0_f32)).sqrt();
/// assert!(weight.abs()?.max_all()?.to_scalar::<f32>()? <= bound);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "glorot_uniform")]
pub fn xavier_uniform(shape: impl Into<Shape>, gain: f64, rng: &mut Rng) -> Result<Tensor> {
    let shape = shape.into();
    let bound = 3f64.sqrt() * xavier(&shape, gain)?;
    uniform(shape, -bound, bound, rng)
}

/// Normal with variance gain² · 2 / (fan in + fan out); errors as [`xavier_uniform`].
#[doc(alias = "glorot_normal")]
pub fn xavier_normal(shape: impl Into<Shape>, gain: f64, rng: &mut Rng) -> Result<Tensor> {
    let shape = shape.into();
    let std = xavier(&shape, gain)?;
    normal(shape, 0.0, std, rng)
}

fn xavier(shape: &Shape, gain: f64) -> Result<f64> {
    let fans = Fan::In.of(shape.dims())? as f64 + Fan::Out.of(shape.dims())? as f64;
    Ok(gain.abs() * (2.0 / fans.max(1.0)).sqrt())
}

/// Uniform with variance gain² / fan; errors as [`xavier_uniform`].
///
/// # Source
/// K. He et al. 2015
#[doc(alias = "he_uniform")]
pub fn kaiming_uniform(shape: impl Into<Shape>, gain: f64, fan: Fan, rng: &mut Rng) -> Result<Tensor> {
    let shape = shape.into();
    let bound = 3f64.sqrt() * kaiming(&shape, gain, fan)?;
    uniform(shape, -bound, bound, rng)
}

/// Normal with variance gain² / fan; errors as [`xavier_uniform`].
///
/// # Source
/// K. He et al. 2015
#[doc(alias = "he_normal")]
pub fn kaiming_normal(shape: impl Into<Shape>, gain: f64, fan: Fan, rng: &mut Rng) -> Result<Tensor> {
    let shape = shape.into();
    let std = kaiming(&shape, gain, fan)?;
    normal(shape, 0.0, std, rng)
}

fn kaiming(shape: &Shape, gain: f64, fan: Fan) -> Result<f64> {
    Ok(gain.abs() / (fan.of(shape.dims())?.max(1) as f64).sqrt())
}

/// Normal with variance 1 / fan in; errors as [`xavier_uniform`].
///
/// # Source
/// Y. LeCun et al. 1998; for selu, G. Klambauer et al. 2017
pub fn lecun_normal(shape: impl Into<Shape>, rng: &mut Rng) -> Result<Tensor> {
    kaiming_normal(shape, gain::LINEAR, Fan::In, rng)
}

/// A random matrix whose rows, or columns if there are fewer, are orthogonal and have length `gain`. Further axes count as
/// columns.
///
/// # Errors
/// Errors if there are fewer than two axes, or if the gain is not finite.
///
/// # Source
/// A. M. Saxe et al. 2013
///
/// ```
/// use tealight::layer::init;
/// use tealight::prelude::*;
/// let q = init::orthogonal((3, 5), 1.0, &mut Rng::seed(1))?;
/// let distance = (q.matmul(&q.t()?)? - Tensor::eye(3, DType::F32, &Device::Cpu)?)?;
/// assert!(distance.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn orthogonal(shape: impl Into<Shape>, gain: f64, rng: &mut Rng) -> Result<Tensor> {
    let zeros = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
    let (rows, columns) = match zeros.dims() {
        [rows, rest @ ..] if !rest.is_empty() => (*rows, count(rest)),
        dims => return Err(Error::shape("orthogonal", "a weight (outputs, inputs, ..)", &[dims])),
    };
    if !gain.is_finite() {
        return Err(Error::argument("orthogonal", "a finite gain", gain));
    }
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut next: Vec<f64> = (0..length).map(|_| rng.normal()).collect();
        let before = norm(&next);
        // Twice is enough: W. Kahan and B. Parlett.
        for _ in 0..2 {
            for known in &basis {
                let along: f64 = known.iter().zip(&next).map(|(a, b)| a * b).sum();
                next.iter_mut().zip(known).for_each(|(x, k)| *x -= along * k);
            }
        }
        let after = norm(&next);
        // A vector in the span of the others is drawn again.
        if after > 1e-8 * before {
            next.iter_mut().for_each(|x| *x /= after);
            basis.push(next);
        }
    }
    let numbers = basis.concat().iter().map(|x| (gain * x) as f32).collect();
    let matrix = Tensor::from_vec(numbers, (count, length), &Device::Cpu)?;
    if rows <= columns { matrix.reshape(zeros.dims()) } else { matrix.t()?.reshape(zeros.dims()) }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests;
