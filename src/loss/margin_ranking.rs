//! [`MarginRanking`], for pairs of scores of which one should be higher.

use super::{Reduction, check, same_shape_and_dtype};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The margin ranking loss of pairs of scores: the mean of max(0, −t·(a − b) + margin) for targets t of 1, where a should be the
/// higher, or −1. The gradient is 0 at the kink.
///
/// ```
/// use tealight::loss::MarginRanking;
/// use tealight::prelude::*;
/// let (a, b) = (Tensor::new(&[3.0, 1.0], &Device::Cpu)?, Tensor::new(&[1.0, 3.0], &Device::Cpu)?);
/// let loss = MarginRanking::new().loss(&a, &b, &Tensor::new(&[1.0, 1.0], &Device::Cpu)?)?;
/// assert_eq!(loss.to_scalar::<f64>()?, (0.0 + 2.0) / 2.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "MarginRankingLoss")]
pub struct MarginRanking {
    margin: f64,
    reduction: Reduction,
}

const NAME: &str = "margin_ranking";

impl MarginRanking {
    /// With a margin of 0.
    pub fn new() -> Self {
        MarginRanking::default()
    }

    /// How much higher a score should be. Default: 0. Errors if `margin` is NaN.
    pub fn margin(self, margin: f64) -> Result<Self> {
        if margin.is_nan() {
            return Err(Error::argument(NAME, "a margin that is not NaN", margin));
        }
        Ok(MarginRanking { margin, ..self })
    }

    /// How the losses of the pairs are reduced. Default: the mean.
    pub fn reduction(self, reduction: Reduction) -> Self {
        MarginRanking { reduction, ..self }
    }

    /// The loss of scores `a` and `b` and targets, all of one shape. Errors if a target is neither −1 nor 1.
    pub fn loss(&self, a: &Tensor, b: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "two scores and a target", &[a, b, target])?;
        same_shape_and_dtype(NAME, a, b)?;
        check::signs(NAME, "targets", target)?;
        let short = ((b - a)? * target.to_dtype(a.dtype())?)? + self.margin;
        self.reduction.apply(short?.relu()?)
    }
}

#[cfg(test)]
mod tests {
    use super::MarginRanking;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [tensor(&[0.3, -1.0, 2.0]), tensor(&[0.5, -0.1, 2.3])];
        let target = Tensor::new(&[1i64, -1, -1], &Device::Cpu)?;
        let loss = MarginRanking::new().margin(0.25)?;
        autograd::gradcheck(|x| loss.loss(&x[0], &x[1], &target)?.sqr(), &inputs)?;
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let loss = MarginRanking::new();
        let (x, one) = (Tensor::parameter(tensor(&[1.0, f64::NAN])), tensor(&[1.0, 1.0]));
        let each = loss.reduction(Reduction::None).loss(&x, &tensor(&[1.0, 1.0]), &one)?;
        assert!(each.to_vec1::<f64>()?[1].is_nan());
        let [slope] = autograd::grad(&each.sum_all()?, [&x])?;
        assert_eq!(slope.to_vec1::<f64>()?[0], 0.0); // two equal scores are at the kink
        let error = loss.loss(&x, &one, &tensor(&[1.0])).unwrap_err().to_string();
        assert_eq!(
            error,
            "margin_ranking: expected two scores and a target of one shape, got [2] and [2] and [1]"
        );
        assert!(loss.loss(&one, &one, &tensor(&[1.0, 0.0])).is_err() && loss.margin(f64::NAN).is_err());
        assert!(loss.loss(&one, &one.to_dtype(DType::F32)?, &one).is_err());
        assert!(loss.loss(&tensor(&[]), &tensor(&[]), &tensor(&[])).is_err());
        Ok(())
    }
}
