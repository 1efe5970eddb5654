//! The inverse trigonometric functions.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

formula!(blocks Asin = "asin", [x] => (x / cosine(x)).atan(), y => [cosine(x).recip()]);
// Twice the angle whose tangent this is: no cancellation near 1, and a pole only at −1.
formula!(blocks Acos = "acos",
    [x] => R::constant(2.0) * ((R::constant(1.0) - x) / (R::constant(1.0) + x)).sqrt().atan(),
    y => [-cosine(x).recip()]);
formula!(blocks Atan = "atan", elementary atan);
formula!(blocks Atan2 = "atan2", [y, x] => angle(y, x), angle => {
    // x² and y² themselves may overflow or vanish. At the origin all derivatives are 0.
    let [zero, one, infinity] = [0.0, 1.0, f64::INFINITY].map(R::constant);
    let scale = x.abs().maximum(y.abs());
    let origin = scale.select_gt(zero, zero, one);
    let scale = infinity.select_gt(scale, scale.select_gt(zero, scale, infinity), one);
    let (u, v) = (x / scale, y / scale);
    let square = u * u + v * v + origin;
    [u / square / scale, -(v / square / scale)]
});

/// √(1 − x²): the cosine of the angle whose sine is x. The product does not cancel near ±1; at ±1 its factor 0 would meet an
/// infinite gradient.
#[inline(always)]
fn cosine<R: Real>(x: R) -> R {
    let one = R::constant(1.0);
    one.select_gt(x.abs(), (one - x) * (one + x), one - x * x).sqrt()
}

/// The angle of (x, y) as C's `atan2`, also for signed zeros and infinities.
#[inline(always)]
fn angle<R: Real>(y: R, x: R) -> R {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    let quarter = R::constant(std::f64::consts::FRAC_PI_2);
    let (across, up) = (x.abs(), y.abs());
    let (low, high) = (across.minimum(up), across.maximum(up));
    // Two infinities give the slope 1 (∞ · 0 is NaN, which is not below 1), two zeros the slope 0.
    let slope = one.select_gt(low * zero, low / high, one);
    let slope = high.select_gt(zero, slope, high);
    let angle = slope.atan();
    let angle = up.select_gt(across, quarter - angle, angle);
    let angle = negative(x, R::constant(std::f64::consts::PI) - angle, angle);
    negative(y, -angle, angle)
}

/// `yes` where x has a minus sign; the reciprocal tells −0 from 0.
#[inline(always)]
fn negative<R: Real>(x: R, yes: R, no: R) -> R {
    let zero = R::constant(0.0);
    zero.select_gt(x, yes, zero.select_gt(x.recip(), yes, no))
}

impl Tensor {
    /// The arc sine, from −π/2 to π/2; NaN outside of [−1, 1]. Gradient: 1/√(1 − x²), infinite at ±1.
    #[doc(alias = "arcsin")]
    pub fn asin(&self) -> Result<Tensor> {
        apply(Asin, [self])
    }

    /// The arc cosine, from 0 to π; NaN outside of [−1, 1]. Gradient: −1/√(1 − x²), infinite at ±1.
    #[doc(alias = "arccos")]
    pub fn acos(&self) -> Result<Tensor> {
        apply(Acos, [self])
    }

    /// The arc tangent, from −π/2 to π/2. Gradient: 1/(1 + x²).
    #[doc(alias = "arctan")]
    pub fn atan(&self) -> Result<Tensor> {
        apply(Atan, [self])
    }

    /// The angle of the point (x, y) in radians, from −π to π, where y is this tensor.
    ///
    /// Gradient: x/(x² + y²) for y and −y/(x² + y²) for x; 0 at (0, 0), as in PyTorch.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let (y, x) = (Tensor::new(&[0.0, 2.0], &Device::Cpu)?, Tensor::new(&[-1.0, 0.0], &Device::Cpu)?);
    /// assert_eq!(y.atan2(&x)?.to_vec1::<f64>()?, [std::f64::consts::PI, std::f64::consts::FRAC_PI_2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "arctan2")]
    pub fn atan2(&self, x: &Tensor) -> Result<Tensor> {
        apply(Atan2, [self, x])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, close, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-0.9, 0.0, 0.3, 0.7], |x| x.asin());
        check(&[-0.9, 0.0, 0.3, 0.7], |x| x.acos());
        check(&[-30.0, -0.4, 0.0, 2.0], |x| x.atan());
        check2(|y, x| (y - 1.2)?.atan2(&(x - 1.4)?));
    }

    #[test]
    fn against_std() -> Result<()> {
        let wide: Vec<f64> = (-400..400).map(|i| 1.07_f64.powi(i) * [1.0, -1.0][i as usize % 2]).collect();
        close(|x| x.atan(), f64::atan, &wide, 4.0)?;
        let narrow: Vec<f64> = (-1000..=1000).map(|i| f64::from(i) / 1000.0).collect();
        close(|x| x.asin(), f64::asin, &narrow, 4.0)?;
        close(|x| x.acos(), f64::acos, &narrow, 4.0)?;
        for x in [1e-300, 1e-9, 1.0 - 1e-9, 1.0 - 2f64.powi(-53)] {
            close(|x| x.asin(), f64::asin, &[x, -x], 4.0)?;
            close(|x| x.acos(), f64::acos, &[x, -x], 4.0)?;
        }
        for number in [1.0, -0.25, 2f64.powi(-100), -2f64.powi(100)] {
            let x = Tensor::new(number, &Device::Cpu)?;
            close(|y| y.atan2(&x.to_dtype(y.dtype())?), |y| y.atan2(number), &wide, 4.0)?;
        }
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        let special = [0.0, -0.0, 1.0, -2.0, 1e-310, -1e308, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        for x in special {
            let points = Tensor::full(x, special.len(), &Device::Cpu)?;
            let angles = tensor(&special).atan2(&points)?.to_vec1::<f64>()?;
            for (angle, y) in angles.into_iter().zip(special) {
                let same = (angle - y.atan2(x)).abs() < 1e-15 && angle.signum() == y.atan2(x).signum();
                assert!(same || angle.is_nan() && y.atan2(x).is_nan(), "atan2({y}, {x}) = {angle}");
            }
        }
        for outside in [1.5, -1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(tensor(&[outside]).asin()?.to_vec1::<f64>()?[0].is_nan());
            assert!(tensor(&[outside]).acos()?.to_vec1::<f64>()?[0].is_nan());
        }
        assert_eq!(grad_at(1.0, |x| x.asin())?, f64::INFINITY);
        assert_eq!(grad_at(-1.0, |x| x.acos())?, f64::NEG_INFINITY);
        assert_eq!(grad_at(1e200, |x| x.atan())?, 0.0);
        // x² + y² would overflow, or be 0.
        assert_eq!(grad_at(1e200, |y| y.atan2(&tensor(&[1e200])))?, 0.5e-200);
        assert_eq!(grad_at(1e-200, |y| y.atan2(&tensor(&[1e-200])))?, 0.5e200);
        assert_eq!(grad_at(0.0, |y| y.atan2(&tensor(&[0.0])))?, 0.0);
        assert!(matches!(tensor(&[1.0; 2]).atan2(&tensor(&[1.0; 3])), Err(Error::Shape { .. })));
        let integer = Tensor::new(&[1_u32], &Device::Cpu)?.atan().unwrap_err();
        assert_eq!(integer.to_string(), "atan: expected a float tensor (see to_dtype), got u32");
        Ok(())
    }
}
