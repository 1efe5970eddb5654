//! The Gaussian error linear unit.

use super::{Activation, bounded};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// From here on Φ is 0 or 1 in f64: x is bounded before it is squared or multiplied by 0.
const FAR: f64 = 40.0;

/// x·Φ(x), where Φ is the distribution function of the normal distribution, erfc(−x/√2)/2.
///
/// # Gradient
/// Φ(x) + x·Φ′(x)
///
/// # Source
/// D. Hendrycks and K. Gimpel 2016
///
/// ```
/// use tealight::prelude::*;
/// assert!((Gelu.value(1.0) - 0.8413447460685429_f64).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Gelu;

/// Φ(x), accurate also where it is nearly 0.
#[inline(always)]
fn normal<R: Real>(x: R) -> R {
    R::constant(0.5) * (R::constant(-std::f64::consts::FRAC_1_SQRT_2) * x).erfc()
}

impl Activation for Gelu {
    const NAME: &'static str = "gelu";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let x = x.maximum(R::constant(-FAR));
        x * normal(x)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        const DENSITY_AT_0: f64 = 0.3989422804014327;
        let x = bounded(x, -FAR, FAR);
        normal(x) + x * R::constant(DENSITY_AT_0) * (R::constant(-0.5) * x * x).exp()
    }
}

/// [`Gelu`] with Φ(x) ≈ (1 + tanh(√(2/π)(x + 0.044715x³)))/2, as in GPT-2; PyTorch's `GELU(approximate="tanh")`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GeluTanh;

/// 2√(2/π), and 0.044715 times it.
const LINEAR: f64 = 1.5957691216057308;
const CUBIC: f64 = 0.07135481627260025;

impl Activation for GeluTanh {
    const NAME: &'static str = "gelu_tanh";

    fn value<R: Real>(&self, x: R) -> R {
        let x = x.maximum(R::constant(-FAR));
        x * (x * (R::constant(LINEAR) + R::constant(CUBIC) * x * x)).sigmoid()
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let x = bounded(x, -FAR, FAR);
        let square = R::constant(CUBIC) * x * x;
        let y = (x * (R::constant(LINEAR) + square)).sigmoid();
        let inner = x * (R::constant(LINEAR) + R::constant(3.0) * square);
        y * (R::constant(1.0) + inner * (R::constant(1.0) - y))
    }
}

impl Tensor {
    /// [`Gelu`] of every element: x·Φ(x).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[-1e4, 0.0, 1e4], &Device::Cpu)?;
    /// assert_eq!(x.gelu()?.to_vec1::<f64>()?, [0.0, 0.0, 1e4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn gelu(&self) -> Result<Tensor> {
        Gelu.apply(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::{Gelu, GeluTanh};
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [-2.0, 0.0, 0.7, 3.0];
        check(&x, |x| Gelu.apply(x));
        check(&x, |x| GeluTanh.apply(x));
        extremes(&Gelu, [0.0; 3], [f64::INFINITY, 1.0, 0.0]);
        // -10·Φ(-10), of which 1 + erf has no digit.
        let far = Gelu.value(-10.0_f64);
        assert!((far / -7.619853024160525e-23 - 1.0).abs() < 1e-13, "{far:e}");
        extremes(&GeluTanh, [0.0; 3], [f64::INFINITY, 1.0, 0.0]);
    }
}
