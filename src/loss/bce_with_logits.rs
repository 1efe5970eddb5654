//! [`BceWithLogits`], binary cross-entropy of logits.

use super::{ElementwiseLoss, PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Formula, Real};
use crate::ops;

/// Binary cross-entropy of logits z and targets t from 0 to 1: the mean of max(z, 0) − z·t + ln(1 + exp(−|z|)), which is
/// [`Bce`](super::Bce) of sigmoid(z) without its rounding errors; 0 for an infinite logit of the target's side. The gradient is
/// sigmoid(z) − t. Errors if a target is outside of 0 to 1.
///
/// ```
/// use tealight::prelude::*;
/// let (z, t) = (Tensor::new(&[1000.0, 1000.0], &Device::Cpu)?, Tensor::new(&[1.0, 0.0], &Device::Cpu)?);
/// assert_eq!(BceWithLogits.elementwise(&z, &t)?.to_vec1::<f64>()?, [0.0, 1000.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "BCEWithLogitsLoss")]
#[doc(alias = "binary_cross_entropy_with_logits")]
pub struct BceWithLogits;

impl PointwiseLoss for BceWithLogits {
    const NAME: &'static str = "bce_with_logits";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let (z, zero) = (prediction, R::constant(0.0));
        // |z|·w, where 0·∞ is 0.
        let w = z.select_gt(zero, R::constant(1.0) - target, target);
        w.abs().select_gt(zero, z.abs() * w, zero) + (-z.abs()).exp().ln_1p()
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        [prediction.sigmoid() - target, -prediction]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        check::in_range(NAME, "targets", target, 0.0, 1.0)
    }
}

impl BceWithLogits {
    /// Multiplies the loss of positive targets: −(w·t·ln p + (1 − t)·ln(1 − p)) with p = sigmoid(z). A weight above 1 raises
    /// recall, at the price of precision.
    ///
    /// `weight` is a scalar, or has one weight per index of the last axes. Errors if a weight is negative, infinite or NaN.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (z, t) = (Tensor::new(&[0.0, 0.0], &Device::Cpu)?, Tensor::new(&[1.0, 0.0], &Device::Cpu)?);
    /// let loss = BceWithLogits.pos_weight(&Tensor::new(3.0, &Device::Cpu)?)?;
    /// assert_eq!(loss.loss(&z, &t)?.to_scalar::<f64>()?, (3.0 + 1.0) / 2.0 * 2.0_f64.ln());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn pos_weight(self, weight: &Tensor) -> Result<BceWithPosWeight> {
        check::in_range(NAME, "positive weights", weight, 0.0, f64::MAX)?;
        Ok(BceWithPosWeight { weight: weight.clone() })
    }
}

const NAME: &str = <BceWithLogits as PointwiseLoss>::NAME;

/// [`BceWithLogits`] with a weight of the positive targets: see [`BceWithLogits::pos_weight`].
#[derive(Clone, Debug)]
pub struct BceWithPosWeight {
    weight: Tensor,
}

impl ElementwiseLoss for BceWithPosWeight {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "prediction and target", &[prediction, target])?;
        let weight = self.weight.to_dtype(prediction.dtype())?;
        let skipped = prediction.rank().checked_sub(weight.rank());
        let last_axes = skipped.map(|skipped| &prediction.dims()[skipped..]);
        if !last_axes.is_some_and(|axes| axes.iter().zip(weight.dims()).all(|(&n, &w)| w == 1 || w == n)) {
            let expected = "a positive weight for each of the last axes";
            return Err(Error::shape(NAME, expected, &[prediction.dims(), weight.dims()]));
        }
        check::in_range(NAME, "targets", target, 0.0, 1.0)?;
        ops::apply(PosWeighted, [prediction, target, &weight])
    }

    fn total_weight(&self, prediction: &Tensor, _: &Tensor) -> Result<Option<f64>> {
        Ok(Some(prediction.elem_count() as f64))
    }
}

#[derive(Clone, Copy, Debug)]
struct PosWeighted;

/// w·ln(1 + eᶻ), where 0·∞ is 0.
#[inline(always)]
pub(super) fn softplus<R: Real>(w: R, z: R) -> R {
    let zero = R::constant(0.0);
    // Not |z|, whose slope at 0 is none of the softplus.
    let near = z.select_gt(zero, -z, z).exp().ln_1p();
    w.abs().select_gt(zero, w * (z.select_gt(zero, z, zero) + near), zero * near)
}

impl Formula<3> for PosWeighted {
    const NAME: &'static str = NAME;

    fn value<R: Real>(&self, [z, t, weight]: [R; 3]) -> R {
        softplus(weight * t, -z) + softplus(R::constant(1.0) - t, z)
    }

    fn derivative<R: Real>(&self, [z, t, weight]: [R; 3], _: R) -> [R; 3] {
        let one = R::constant(1.0);
        let by_z = (one - t) * z.sigmoid() - weight * t * (-z).sigmoid();
        [by_z, softplus(weight, -z) - softplus(one, z), softplus(t, -z)]
    }
}

#[cfg(test)]
mod tests {
    use super::BceWithLogits;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (z, t) = (tensor(&[0.3, -4.0, 9.0, 0.0]), tensor(&[0.9, 0.2, 0.3, 0.7]));
        let inputs = [z, t, tensor(&[3.0, 0.5, 1.0, 2.0])];
        autograd::gradcheck(|x| BceWithLogits.loss(&x[0], &x[1]), &inputs[..2])?;
        autograd::gradcheck(|x| BceWithLogits.pos_weight(&x[2])?.loss(&x[0], &x[1])?.sqr(), &inputs)?;
        Ok(())
    }

    #[test]
    fn pos_weight() -> Result<()> {
        let (z, t) = (tensor(&[1e4, -1e4, 0.3, -0.3]), tensor(&[1.0, 0.0, 0.7, 0.0]));
        let weigh = |weight: &Tensor| {
            BceWithLogits.pos_weight(weight)?.elementwise(&z.reshape((2, 2))?, &t.reshape((2, 2))?)
        };
        let plain = BceWithLogits.elementwise(&z, &t)?.to_vec1::<f64>()?;
        let same = weigh(&tensor(&[1.0, 1.0]))?.flatten(0, 1)?.to_vec1::<f64>()?;
        assert!(plain.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-15), "{plain:?} {same:?}");
        assert!(matches!(weigh(&tensor(&[1.0; 3])), Err(Error::Shape { .. })));
        assert!(matches!(
            weigh(&Tensor::ones((1, 1, 1), DType::F64, &Device::Cpu)?),
            Err(Error::Shape { .. })
        ));
        assert!(BceWithLogits.pos_weight(&tensor(&[f64::NAN])).is_err());
        let error = BceWithLogits.elementwise(&z, &z).unwrap_err().to_string();
        assert_eq!(error, "bce_with_logits: expected targets from 0 to 1, got 10000 at [0]");
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        for dtype in [DType::F32, DType::F64] {
            for z in [17.0, 100.0, 1000.0] {
                let x = tensor(&[z, -z, z, -z]).to_dtype(dtype)?;
                let x = Tensor::parameter(x);
                let t = tensor(&[1.0, 0.0, 0.0, 1.0]).to_dtype(dtype)?;
                let loss = BceWithLogits.elementwise(&x, &t)?;
                let expected = [f64::ln_1p(f64::exp(-z)), z + f64::ln_1p(f64::exp(-z))];
                let [first] = autograd::grad(&loss.sum_all()?, [&x])?;
                let [second] = autograd::grad(&first.sum_all()?, [&x])?;
                let numbers = |x: &Tensor| x.to_dtype(DType::F64)?.to_vec1::<f64>();
                for (i, value) in numbers(&loss)?.into_iter().enumerate() {
                    let e = expected[i / 2];
                    // The last term: f32 has no finer numbers near 0.
                    assert!((value - e).abs() <= 3e-7 * e + 2e-45, "{z}: {value} {e}");
                }
                let p = 1.0 / (1.0 + f64::exp(z));
                for (value, e) in numbers(&first)?.into_iter().zip([-p, p, 1.0 - p, p - 1.0]) {
                    assert!((value - e).abs() < 1e-7, "{z}: {value} {e}");
                }
                assert!(numbers(&second)?.iter().all(|x| (0.0..1e-7).contains(x)), "{second}");
            }
        }
        Ok(())
    }
}
