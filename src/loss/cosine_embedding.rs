//! The cosine between two vectors that should be alike or not.
//!
//! # Formula
//! 1 − cos(a, b) where the target is 1, max(0, cos(a, b) − margin) where it is −1;
//! cos(a, b) = Σ a·b / √((Σ a² + ε)(Σ b² + ε)) with ε = 1e-12
//!
//! # Gradient
//! That of the cosine, of either sign
//!
//! # Kinks
//! Where the cosine is the margin the slope is as above it.
//!
//! # Errors
//! Vectors of different shapes; targets that are not one −1 or 1 for each pair.

use super::{check, reductions};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Pairs of vectors should point the same way where the target is 1, and not where it is −1.
///
/// # Formula
/// 1 − cos(a, b) where the target is 1, max(0, cos(a, b) − margin) where it is −1;
/// cos(a, b) = Σ a·b / √((Σ a² + ε)(Σ b² + ε)) with ε = 1e-12
///
/// # Gradient
/// That of the cosine, of either sign
///
/// # Kinks
/// Where the cosine is the margin the slope is as above it.
///
/// # Errors
/// Vectors of different shapes; targets that are not one −1 or 1 for each pair.
///
/// ```
/// use tealight::loss::CosineEmbedding;
/// use tealight::prelude::*;
/// let a = Tensor::new(&[[3.0, 0.0], [1.0, 0.0]], &Device::Cpu)?;
/// let b = Tensor::new(&[[5.0, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let target = Tensor::new(&[1.0, -1.0], &Device::Cpu)?;
/// let loss = Mean(CosineEmbedding::default()).pairs(&a, &b, &target)?;
/// assert!(loss.to_scalar::<f64>()?.abs() < 1e-12);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "CosineEmbeddingLoss")]
pub struct CosineEmbedding {
    /// The cosine that unlike vectors may have, 0 unless said otherwise.
    pub margin: f64,
}

const NAME: &str = "cosine_embedding";

impl CosineEmbedding {
    /// The losses, one for each pair of vectors.
    ///
    /// # Shapes
    /// Two of (n, d) and targets (n), or two of (d) and a scalar.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit; targets that are neither −1 nor 1; a margin that is NaN.
    ///
    /// ```
    /// use tealight::loss::CosineEmbedding;
    /// use tealight::prelude::*;
    /// let a = Tensor::new(&[[1.0, 0.0], [1.0, 0.0]], &Device::Cpu)?;
    /// let b = Tensor::new(&[[0.0, 2.0], [0.0, 2.0]], &Device::Cpu)?; // at right angles
    /// let losses = CosineEmbedding::default().pairs(&a, &b, &Tensor::new(&[1.0, -1.0], &Device::Cpu)?)?;
    /// assert_eq!(losses.to_vec1::<f64>()?, [1.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn pairs(&self, a: &Tensor, b: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "two vectors or two rows of them", &[a, b])?;
        let Some((_, rows)) = a.dims().split_last() else {
            return Err(Error::shape(NAME, "vectors (n, d)", &[a.dims(), b.dims()]));
        };
        if target.dims() != rows {
            let expected = format!("targets of shape {rows:?}");
            return Err(Error::shape(NAME, expected, &[a.dims(), b.dims(), target.dims()]));
        }
        if self.margin.is_nan() {
            return Err(Error::argument(NAME, "a margin that is a number", self.margin));
        }
        check::signs(NAME, "targets", target)?;
        let length = |x: &Tensor| (x.sqr()?.sum(-1)? + 1e-12)?.sqrt();
        let cosine = ((a * b)?.sum(-1)? / (length(a)? * length(b)?)?)?;
        let unlike = (&cosine - self.margin)?.clamp(0.0, f64::INFINITY)?;
        target.gt(0.0)?.where_cond(&(1.0 - cosine)?, &unlike)
    }
}

reductions!(CosineEmbedding.pairs(a, b, target));

#[cfg(test)]
mod tests {
    use super::CosineEmbedding;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let rng = &mut Rng::seed(2);
        let inputs = [Tensor::randn(0.0, 1.0, (4, 3), rng)?, Tensor::randn(0.0, 1.0, (4, 3), rng)?];
        let target = Tensor::new(&[1i64, -1, -1, 1], &Device::Cpu)?;
        let loss = CosineEmbedding { margin: -0.9 };
        autograd::gradcheck(|x| Mean(loss).pairs(&x[0], &x[1], &target)?.sqr(), &inputs)?;
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let loss = CosineEmbedding::default();
        let (zero, one) = (tensor(&[0.0, 0.0]), tensor(&[1.0]).squeeze(0)?);
        assert_eq!(loss.pairs(&zero, &zero, &one)?.to_scalar::<f64>()?, 1.0);
        let error = loss.pairs(&zero, &zero, &zero).unwrap_err().to_string();
        assert_eq!(error, "cosine_embedding: expected targets of shape [], got [2] and [2] and [2]");
        assert!(loss.pairs(&zero, &zero, &(one * 0.5)?).is_err());
        assert!(loss.pairs(&zero, &tensor(&[1.0]), &tensor(&[1.0])).is_err());
        assert!(
            loss.pairs(&Tensor::new(1.0, &Device::Cpu)?, &Tensor::new(1.0, &Device::Cpu)?, &zero).is_err()
        );
        let none = Tensor::zeros((0, 3), DType::F64, &Device::Cpu)?;
        assert_eq!(Sum(loss).pairs(&none, &none, &tensor(&[]))?.to_scalar::<f64>()?, 0.0);
        assert!(Mean(loss).pairs(&none, &none, &tensor(&[])).is_err());
        Ok(())
    }
}
