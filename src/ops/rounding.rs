//! Rounding to integers. The gradient is 0 everywhere, also at the jumps, as in PyTorch.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(blocks Floor = "floor", elementary floor);
formula!(blocks Round = "round", elementary round_ties_even);
formula!(blocks Ceil = "ceil", [x] => -(-x).floor(), y => [R::constant(0.0)]);
formula!(blocks Trunc = "trunc", [x] => x.select_gt(R::constant(0.0), x.floor(), -(-x).floor()),
    y => [R::constant(0.0)]);

impl Tensor {
    /// The largest integer ≤ x. Gradient: 0.
    pub fn floor(&self) -> Result<Tensor> {
        apply(Floor, [self])
    }

    /// The smallest integer ≥ x. Gradient: 0.
    pub fn ceil(&self) -> Result<Tensor> {
        apply(Ceil, [self])
    }

    /// The nearest integer, ties to even. Gradient: 0.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[0.5, 1.5, 2.5, 2.6], &Device::Cpu)?;
    /// assert_eq!(x.round()?.to_vec1::<f64>()?, [0.0, 2.0, 2.0, 3.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "rint")]
    pub fn round(&self) -> Result<Tensor> {
        apply(Round, [self])
    }

    /// x rounded towards 0. Gradient: 0.
    #[doc(alias = "fix")]
    pub fn trunc(&self) -> Result<Tensor> {
        apply(Trunc, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, grad_at, tensor};
    use crate::prelude::*;

    type Rounding = (fn(&Tensor) -> Result<Tensor>, fn(f64) -> f64);
    const ALL: [Rounding; 4] = [
        (Tensor::floor, f64::floor),
        (Tensor::ceil, f64::ceil),
        (Tensor::round, f64::round_ties_even),
        (Tensor::trunc, f64::trunc),
    ];

    #[test]
    fn gradients() -> Result<()> {
        for (f, _) in ALL {
            check(&[-1.7, 0.2, 2.6], |x| x * f(x)?);
            assert_eq!(grad_at(2.0, f)?, 0.0);
            assert_eq!(grad_at(2.5, f)?, 0.0);
        }
        Ok(())
    }

    #[test]
    fn every_bit_of_std() -> Result<()> {
        let big = 2f64.powi(52);
        let x =
            [0.0, 0.3, 0.5, 0.49999999999999994, 1.0, 1.5, 2.5, 7.9, big - 0.5, big + 1.0, 1e300, f64::MAX];
        let x: Vec<f64> = x.iter().chain(&[1e-310, f64::INFINITY]).flat_map(|&x| [x, -x]).collect();
        for (f, exact) in ALL {
            for (y, &x) in f(&tensor(&x))?.to_vec1::<f64>()?.into_iter().zip(&x) {
                assert_eq!(y.to_bits(), exact(x).to_bits(), "{x}: {y}, not {}", exact(x));
            }
            assert!(f(&tensor(&[f64::NAN]))?.to_vec1::<f64>()?[0].is_nan());
            assert!(f(&Tensor::zeros((0, 2), DType::F32, &Device::Cpu)?)?.dims() == [0, 2]);
            assert!(matches!(f(&Tensor::new(&[1_u32], &Device::Cpu)?), Err(Error::Dtype { .. })));
        }
        Ok(())
    }
}
