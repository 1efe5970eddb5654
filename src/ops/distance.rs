//! `cosine_similarity` and `pairwise_distance`: how alike two vectors are, and how far apart.

use super::axis::Axis;
use super::norm::norm;
use super::pointwise::broadcast;
use super::reduction::{ReducedAxes, in_f32};
use crate::autograd::{Tensor, broadcast_to};
use crate::error::{Error, Result};

fn pair(op: &'static str, a: &Tensor, b: &Tensor) -> Result<[Tensor; 2]> {
    let dims = broadcast(op, &[a.array(), b.array()])?;
    Ok([broadcast_to(a, &dims)?, broadcast_to(b, &dims)?])
}

impl Tensor {
    /// The cosines of the angles between vectors along `axis`, which is removed: Σ a·b / (‖a‖·‖b‖).
    ///
    /// A vector of zeros has cosine 0 and slope 0 with every other; lengths are accurate also where their squares overflow, so there is
    /// no ε as in PyTorch. The axis is one of the shape that both broadcast to. Gradient for a: (b/‖b‖ − y·a/‖a‖)/‖a‖.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let a = Tensor::new(&[[3.0, 4.0], [1.0, 0.0]], &Device::Cpu)?;
    /// let b = Tensor::new(&[0.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(a.cosine_similarity(&b, -1)?.to_vec1::<f64>()?, [0.8, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn cosine_similarity(&self, other: &Tensor, axis: impl Axis) -> Result<Tensor> {
        let [a, b] = pair("cosine_similarity", self, other)?;
        let axis = axis.to_index("cosine_similarity", a.dims())?;
        in_f32([&a, &b], |[a, b]| {
            let unit = |x: &Tensor| x.transpose(axis, -1)?.normalize_rows(2.0);
            (unit(a)? * unit(b)?)?.transpose(axis, -1)?.sum(axis)
        })
    }

    /// The p-norms of the differences a − b along the last axis: (.., d) and (.., d) to (..). See [`norm`](Tensor::norm) for p.
    ///
    /// Unlike PyTorch's it adds no ε (of 1e-6) to the differences: at a = b the distance is 0, and so is its slope.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let a = Tensor::new(&[[3.0, 4.0], [1.0, 1.0]], &Device::Cpu)?;
    /// let b = Tensor::new(&[0.0, 0.0], &Device::Cpu)?;
    /// assert_eq!(a.pairwise_distance(&b, 1.0)?.to_vec1::<f64>()?, [7.0, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn pairwise_distance(&self, other: &Tensor, p: f64) -> Result<Tensor> {
        const NAME: &str = "pairwise_distance";
        let [a, b] = pair(NAME, self, other)?;
        if a.rank() == 0 {
            return Err(Error::shape(NAME, "one axis or more", &[self.dims(), other.dims()]));
        }
        in_f32([&a, &b], |[a, b]| {
            let apart = (a - b)?;
            norm(NAME, &apart, p, ReducedAxes::of(NAME, &apart, -1, false)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check2, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let shift = tensor(&[0.3, -1.0, 2.0]);
        check2(|a, b| (a + &shift)?.cosine_similarity(&(b - &shift)?, -1));
        for p in [1.0, 2.0, 3.0] {
            check2(|a, b| a.exp()?.pairwise_distance(b, p));
        }
    }

    #[test]
    fn edges() -> Result<()> {
        let (a, b) = (tensor(&[3e200, -4e200]), tensor(&[3e-200, -4e-200]));
        assert!((a.cosine_similarity(&b, 0)?.to_scalar::<f64>()? - 1.0).abs() < 1e-15);
        assert_eq!(a.pairwise_distance(&a, 2.0)?.to_scalar::<f64>()?, 0.0);
        // The axis is one of the common shape.
        let rows = Tensor::ones((2, 3), DType::F64, &Device::Cpu)?;
        assert_eq!(rows.i(0)?.cosine_similarity(&rows, 0)?.dims(), [3]);
        let error = a.cosine_similarity(&tensor(&[1.0; 3]), 0).unwrap_err().to_string();
        assert_eq!(error, "cosine_similarity: expected shapes that broadcast together, got [2] and [3]");
        let error = a.pairwise_distance(&b, -1.0).unwrap_err().to_string();
        assert_eq!(error, "pairwise_distance: expected p >= 0, or -inf, got -1");
        let scalar = Tensor::new(1.0, &Device::Cpu)?;
        assert!(matches!(scalar.pairwise_distance(&scalar, 2.0), Err(Error::Shape { .. })));
        assert!(matches!(scalar.cosine_similarity(&scalar, 0), Err(Error::Axis { .. })));
        Ok(())
    }
}
