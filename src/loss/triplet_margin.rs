//! Three vectors of which two should be close.
//!
//! # Formula
//! max(0, d(a, p) − d(a, n) + margin) with d(x, y) = ‖x − y + ε‖ₚ; with `swap` d(p, n) stands for d(a, n) where it is smaller
//!
//! # Gradient
//! That of the distances where the loss is above 0
//!
//! # Kinks
//! The norm of 0 has slope 0. Where the loss just reaches 0 the slope is as above it.
//!
//! # Errors
//! Shapes or dtypes that differ; a p that is not above 0; a margin or ε that is NaN.
//!
//! # Source
//! V. Balntas et al. 2016

use super::{check, reductions};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// An anchor should be closer to the positive vector than to the negative one, by a margin. The defaults are PyTorch's.
///
/// # Formula
/// max(0, d(a, p) − d(a, n) + margin) with d(x, y) = ‖x − y + ε‖ₚ; with `swap` d(p, n) stands for d(a, n) where it is smaller
///
/// # Gradient
/// That of the distances where the loss is above 0
///
/// # Kinks
/// The norm of 0 has slope 0. Where the loss just reaches 0 the slope is as above it.
///
/// # Errors
/// Shapes or dtypes that differ; a p that is not above 0; a margin or ε that is NaN.
///
/// # Source
/// V. Balntas et al. 2016
///
/// ```
/// use tealight::loss::TripletMargin;
/// use tealight::prelude::*;
/// let anchor = Tensor::new(&[[0.0, 0.0]], &Device::Cpu)?;
/// let (near, far) = (Tensor::new(&[[3.0, 4.0]], &Device::Cpu)?, Tensor::new(&[[0.0, 5.5]], &Device::Cpu)?);
/// let loss = Mean(TripletMargin::default()).triplets(&anchor, &near, &far)?;
/// assert!((loss.to_scalar::<f64>()? - 0.5).abs() < 1e-5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "TripletMarginLoss")]
pub struct TripletMargin {
    /// How much closer it should be.
    pub margin: f64,
    /// Which norm measures the distance: 2, 1, ∞ or another number above 0.
    pub p: f64,
    /// Whether the positive vector may take the anchor's place, if it is closer to the negative one.
    pub swap: bool,
    /// ε, added to every difference.
    pub eps: f64,
}

impl Default for TripletMargin {
    fn default() -> Self {
        TripletMargin { margin: 1.0, p: 2.0, swap: false, eps: 1e-6 }
    }
}

const NAME: &str = "triplet_margin";

impl TripletMargin {
    /// The losses, one for each triplet of vectors.
    ///
    /// # Shapes
    /// Three of (.., d), to (..).
    ///
    /// # Errors
    /// Shapes or dtypes that differ; settings that are no numbers, a p that is not above 0.
    ///
    /// ```
    /// use tealight::loss::TripletMargin;
    /// use tealight::prelude::*;
    /// let anchor = Tensor::zeros((2, 1), DType::F64, &Device::Cpu)?;
    /// let (near, far) = (Tensor::new(&[[3.0], [3.0]], &Device::Cpu)?, Tensor::new(&[[3.5], [9.0]], &Device::Cpu)?);
    /// let losses = TripletMargin::default().triplets(&anchor, &near, &far)?.to_vec1::<f64>()?;
    /// assert!((losses[0] - 0.5).abs() < 1e-5 && losses[1] == 0.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn triplets(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "anchors, positives and negatives", &[anchor, positive, negative])?;
        if anchor.rank() == 0 {
            return Err(Error::shape(NAME, "vectors (.., d)", &[&[]]));
        }
        if [self.p, self.margin, self.eps].iter().any(|x| x.is_nan()) || self.p <= 0.0 {
            let got = format!("p = {}, margin = {}, eps = {}", self.p, self.margin, self.eps);
            return Err(Error::argument(NAME, "p > 0 and numbers for the rest", got));
        }
        let near = self.distance(anchor, positive)?;
        let mut far = self.distance(anchor, negative)?;
        if self.swap {
            far = far.minimum(&self.distance(positive, negative)?)?;
        }
        ((near - far)? + self.margin)?.clamp(0.0, f64::INFINITY)
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        ((a - b)? + self.eps)?.norm(self.p, -1)
    }
}

reductions!(TripletMargin.triplets(anchor, positive, negative));

#[cfg(test)]
mod tests {
    use super::TripletMargin;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let rng = &mut Rng::seed(3);
        let dims = (4, 3);
        let inputs = [(); 3].map(|()| Tensor::randn(0.0, 1.0, dims, rng).unwrap());
        for (p, swap) in [(2.0, false), (2.0, true), (1.0, false), (3.0, true), (f64::INFINITY, false)] {
            let loss = TripletMargin { margin: 2.0, p, swap, ..TripletMargin::default() };
            autograd::gradcheck(|x| Mean(loss).triplets(&x[0], &x[1], &x[2])?.sqr(), &inputs)?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let loss = TripletMargin { eps: 0.0, ..TripletMargin::default() };
        let x = Parameter::new(tensor(&[1.0, 2.0]));
        let y = loss.triplets(&x.get(), &x.get(), &tensor(&[1.0, 2.0]))?;
        assert_eq!(y.to_scalar::<f64>()?, 1.0);
        assert_eq!(y.backward()?.get(&x.get()).unwrap().to_vec1::<f64>()?, [0.0, 0.0]);
        let (a, b) = (tensor(&[1.0, 2.0]), tensor(&[1.0]));
        let error = loss.triplets(&a, &a, &b).unwrap_err().to_string();
        assert!(error.ends_with("of one shape, got [2] and [2] and [1]"), "{error}");
        assert!(TripletMargin { p: 0.0, ..loss }.triplets(&a, &a, &a).is_err());
        assert!(loss.triplets(&x.get().sum_all()?, &x.get().sum_all()?, &x.get().sum_all()?).is_err());
        let none = Tensor::zeros((0, 3), DType::F64, &Device::Cpu)?;
        assert!(Mean(loss).triplets(&none, &none, &none).is_err());
        Ok(())
    }
}
