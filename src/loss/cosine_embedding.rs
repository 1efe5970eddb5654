//! [`CosineEmbedding`], for pairs of vectors.

use super::{Reduction, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The cosine embedding loss of pairs of vectors: the mean of 1 − cos(a, b) where the target is 1, and of
/// max(0, cos(a, b) − margin) where it is −1.
///
/// cos(a, b) = Σ a·b / √((Σ a² + ε)(Σ b² + ε)) with ε = 1e-12. The gradient is 0 at the kink.
///
/// ```
/// use tealight::loss::CosineEmbedding;
/// use tealight::prelude::*;
/// let a = Tensor::new(&[[3.0, 0.0], [1.0, 0.0]], &Device::Cpu)?;
/// let b = Tensor::new(&[[5.0, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let loss = CosineEmbedding::new().loss(&a, &b, &Tensor::new(&[1.0, -1.0], &Device::Cpu)?)?;
/// assert!(loss.to_scalar::<f64>()?.abs() < 1e-12);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "CosineEmbeddingLoss")]
pub struct CosineEmbedding {
    margin: f64,
    reduction: Reduction,
}

const NAME: &str = "cosine_embedding";

impl CosineEmbedding {
    /// With a margin of 0.
    pub fn new() -> Self {
        CosineEmbedding::default()
    }

    /// The cosine up to which dissimilar vectors have no loss. Default: 0. Errors if `margin` is NaN.
    pub fn margin(self, margin: f64) -> Result<Self> {
        if margin.is_nan() {
            return Err(Error::argument(NAME, "a margin that is not NaN", margin));
        }
        Ok(CosineEmbedding { margin, ..self })
    }

    /// How the losses of the pairs are reduced. Default: the mean.
    pub fn reduction(self, reduction: Reduction) -> Self {
        CosineEmbedding { reduction, ..self }
    }

    /// The loss: `a` and `b` are (n, d) and `target` (n), or (d) and a scalar. Errors if a target is neither −1 nor 1.
    pub fn loss(&self, a: &Tensor, b: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "two vectors or two rows of them", &[a, b])?;
        let Some((_, rows)) = a.dims().split_last() else {
            return Err(Error::shape(NAME, "vectors (n, d)", &[a.dims(), b.dims()]));
        };
        if target.dims() != rows {
            let expected = format!("targets of shape {rows:?}");
            return Err(Error::shape(NAME, expected, &[a.dims(), b.dims(), target.dims()]));
        }
        check::signs(NAME, "targets", target)?;
        let length = |x: &Tensor| (x.sqr()?.sum(-1)? + 1e-12)?.sqrt();
        let cosine = ((a * b)?.sum(-1)? / (length(a)? * length(b)?)?)?;
        let unlike = (&cosine - self.margin)?.relu()?;
        self.reduction.apply(target.gt(0.0)?.where_cond(&(1.0 - cosine)?, &unlike)?)
    }
}

#[cfg(test)]
mod tests {
    use super::CosineEmbedding;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let rng = &mut Rng::seed(2);
        let inputs = [
            Tensor::randn_dtype(0.0, 1.0, (4, 3), DType::F64, rng)?,
            Tensor::randn_dtype(0.0, 1.0, (4, 3), DType::F64, rng)?,
        ];
        let target = Tensor::new(&[1i64, -1, -1, 1], &Device::Cpu)?;
        let loss = CosineEmbedding::new().margin(-0.9)?;
        autograd::gradcheck(|x| loss.loss(&x[0], &x[1], &target)?.sqr(), &inputs)?;
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let loss = CosineEmbedding::new();
        let (zero, one) = (tensor(&[0.0, 0.0]), tensor(&[1.0]).squeeze(0)?);
        assert_eq!(loss.loss(&zero, &zero, &one)?.to_scalar::<f64>()?, 1.0);
        let error = loss.loss(&zero, &zero, &zero).unwrap_err().to_string();
        assert_eq!(error, "cosine_embedding: expected targets of shape [], got [2] and [2] and [2]");
        assert!(loss.loss(&zero, &zero, &(one * 0.5)?).is_err());
        assert!(loss.loss(&zero, &tensor(&[1.0]), &tensor(&[1.0])).is_err());
        assert!(
            loss.loss(&Tensor::new(1.0, &Device::Cpu)?, &Tensor::new(1.0, &Device::Cpu)?, &zero).is_err()
        );
        let none = Tensor::zeros((0, 3), DType::F64, &Device::Cpu)?;
        assert_eq!(loss.reduction(Reduction::Sum).loss(&none, &none, &tensor(&[]))?.to_scalar::<f64>()?, 0.0);
        assert!(loss.loss(&none, &none, &tensor(&[])).is_err());
        Ok(())
    }
}
