//! Binary cross-entropy of logits.
//!
//! # Formula
//! max(z, 0) − z·t + ln(1 + exp(−|z|)), which is −(t·ln p + (1 − t)·ln(1 − p)) with p = sigmoid(z)
//!
//! # Gradient
//! sigmoid(z) − t and −z
//!
//! # Precision
//! Exact for any z: candle's takes the logarithm of the sigmoid, which is inf or NaN from |z| = 17 on.
//!
//! # Errors
//! Shapes or dtypes that differ.

use super::PointwiseLoss;
use crate::formula::Real;

/// The cross-entropy between a target t from 0 to 1 and the probability sigmoid(z) of a logit z.
#[derive(Clone, Copy, Debug, Default)]
pub struct BceWithLogits;

impl PointwiseLoss for BceWithLogits {
    const NAME: &'static str = "bce_with_logits";

    #[inline(always)]
    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let z = prediction;
        z.max(R::constant(0.0)) - z * target + (-z.abs()).exp().ln_1p()
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        [prediction.sigmoid() - target, -prediction]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EachLoss, Mean};
    use super::BceWithLogits;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (z, t) = (tensor(&[0.3, -4.0, 9.0, 0.0]), tensor(&[1.0, 0.2, 0.0, 1.0]));
        autograd::gradcheck(|x| Mean(BceWithLogits).loss(&x[0], &x[1]), &[z, t])?;
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        for dtype in [DType::F32, DType::F64] {
            for z in [17.0, 100.0, 1000.0] {
                let x = tensor(&[z, -z, z, -z]).to_dtype(dtype)?;
                let x = Tensor::parameter(x.into_array());
                let t = tensor(&[1.0, 0.0, 0.0, 1.0]).to_dtype(dtype)?;
                let loss = BceWithLogits.each(&x, &t)?;
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
