//! [`TripletMargin`], for an anchor, a similar vector and a dissimilar one.

use super::{Reduction, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The triplet margin loss: the mean of max(0, d(anchor, positive) − d(anchor, negative) + margin), with
/// d(x, y) = ‖x − y + ε‖ₚ. (V. Balntas et al. 2016)
///
/// The defaults are PyTorch's. The gradient is 0 at the kink, and that of the norm of 0.
///
/// ```
/// use tealight::loss::TripletMargin;
/// use tealight::prelude::*;
/// let anchor = Tensor::new(&[[0.0, 0.0]], &Device::Cpu)?;
/// let (near, far) = (Tensor::new(&[[3.0, 4.0]], &Device::Cpu)?, Tensor::new(&[[0.0, 5.5]], &Device::Cpu)?);
/// let loss = TripletMargin::new().loss(&anchor, &near, &far)?;
/// assert!((loss.to_scalar::<f64>()? - 0.5).abs() < 1e-5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "TripletMarginLoss")]
pub struct TripletMargin {
    margin: f64,
    p: f64,
    swap: bool,
    eps: f64,
    reduction: Reduction,
}

impl Default for TripletMargin {
    fn default() -> Self {
        TripletMargin { margin: 1.0, p: 2.0, swap: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

const NAME: &str = "triplet_margin";

impl TripletMargin {
    /// With a margin of 1, p = 2 and ε = 1e-6.
    pub fn new() -> Self {
        TripletMargin::default()
    }

    /// How much closer to the anchor the positive vector should be than the negative one. Default: 1. Errors if `margin`
    /// is NaN.
    pub fn margin(self, margin: f64) -> Result<Self> {
        check_setting("a margin that is not NaN", margin, !margin.is_nan())?;
        Ok(TripletMargin { margin, ..self })
    }

    /// The norm of the distances: 1, 2, ∞ or another number above 0. Default: 2. Errors if `p` is not above 0.
    pub fn p(self, p: f64) -> Result<Self> {
        check_setting("p > 0", p, p > 0.0)?;
        Ok(TripletMargin { p, ..self })
    }

    /// Uses d(positive, negative) in place of d(anchor, negative) where it is smaller.
    pub fn swap(self) -> Self {
        TripletMargin { swap: true, ..self }
    }

    /// ε, added to each difference. Default: 1e-6. Errors if `eps` is NaN.
    pub fn eps(self, eps: f64) -> Result<Self> {
        check_setting("an eps that is not NaN", eps, !eps.is_nan())?;
        Ok(TripletMargin { eps, ..self })
    }

    /// How the losses of the triplets are reduced. Default: the mean.
    pub fn reduction(self, reduction: Reduction) -> Self {
        TripletMargin { reduction, ..self }
    }

    /// The loss of three tensors (.., d); one loss per vector before reduction.
    pub fn loss(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "anchors, positives and negatives", &[anchor, positive, negative])?;
        if anchor.rank() == 0 {
            return Err(Error::shape(NAME, "vectors (.., d)", &[&[]]));
        }
        let near = self.distance(anchor, positive)?;
        let mut far = self.distance(anchor, negative)?;
        if self.swap {
            far = far.minimum(&self.distance(positive, negative)?)?;
        }
        self.reduction.apply(((near - far)? + self.margin)?.relu()?)
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        ((a - b)? + self.eps)?.norm(self.p, -1)
    }
}

fn check_setting(expected: &str, got: f64, valid: bool) -> Result<()> {
    if valid { Ok(()) } else { Err(Error::argument(NAME, expected, got)) }
}

#[cfg(test)]
mod tests {
    use super::TripletMargin;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let rng = &mut Rng::seed(3);
        let dims = (4, 3);
        let inputs = [(); 3].map(|()| Tensor::randn_dtype(0.0, 1.0, dims, DType::F64, rng).unwrap());
        let loss = |p| TripletMargin::new().margin(2.0)?.p(p);
        for loss in [loss(2.0)?, loss(2.0)?.swap(), loss(1.0)?, loss(3.0)?.swap(), loss(f64::INFINITY)?] {
            autograd::gradcheck(|x| loss.loss(&x[0], &x[1], &x[2])?.sqr(), &inputs)?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let loss = TripletMargin::new().eps(0.0)?;
        let x = Parameter::new(tensor(&[1.0, 2.0]));
        let y = loss.loss(&x.get(), &x.get(), &tensor(&[1.0, 2.0]))?;
        assert_eq!(y.to_scalar::<f64>()?, 1.0);
        assert_eq!(y.backward()?.get(&x.get()).unwrap().to_vec1::<f64>()?, [0.0, 0.0]);
        let (a, b) = (tensor(&[1.0, 2.0]), tensor(&[1.0]));
        let error = loss.loss(&a, &a, &b).unwrap_err().to_string();
        assert!(error.ends_with("of one shape, got [2] and [2] and [1]"), "{error}");
        assert!(loss.p(0.0).is_err() && loss.margin(f64::NAN).is_err());
        assert!(loss.loss(&x.get().sum_all()?, &x.get().sum_all()?, &x.get().sum_all()?).is_err());
        let none = Tensor::zeros((0, 3), DType::F64, &Device::Cpu)?;
        assert!(loss.loss(&none, &none, &none).is_err());
        Ok(())
    }
}
