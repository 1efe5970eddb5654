//! The negative logarithm of the likelihood of classes.
//!
//! # Shapes
//! Logarithms of probabilities (n, c), (n, c, d1, ..) or (c), classes (n), (n, d1, ..) or () as integers
//!
//! # Formula
//! −w\[class\]·x\[class\]; the mean divides by the sum of the weights
//!
//! # Gradient
//! −w\[class\] at the class, else 0
//!
//! # Errors
//! Shapes or dtypes that do not fit; a class that does not exist; nothing to take the mean of.

use super::classes::{Classes, Rows, ignored};
use super::{ElementwiseLoss, Loss, Mean};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::kernel::rows::IGNORED;

/// Minus the predicted logarithm of the right class's probability; the mean over rows as a [`Loss`]. Of scores take
/// [`CrossEntropy`](struct@super::CrossEntropy) instead, which is this of their `log_softmax` in one pass.
///
/// # Shapes
/// Logarithms of probabilities (n, c), (n, c, d1, ..) or (c), classes (n), (n, d1, ..) or () as integers
///
/// # Formula
/// −w\[class\]·x\[class\]; the mean divides by the sum of the weights
///
/// # Gradient
/// −w\[class\] at the class, else 0
///
/// # Errors
/// Shapes or dtypes that do not fit; a class that does not exist; nothing to take the mean of.
///
/// ```
/// use tealight::loss::Nll;
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[0.5, 0.5], [0.1, 0.9]], &Device::Cpu)?.ln()?;
/// let loss = Nll.loss(&x, &Tensor::new(&[0u32, 1], &Device::Cpu)?)?;
/// assert!((loss.to_scalar::<f64>()? + 0.5 * 0.45_f64.ln()).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "NLLLoss")]
pub struct Nll {
    classes: Classes,
}

/// Every class weighs the same.
#[allow(non_upper_case_globals)] // reads as a struct without fields, as the other losses do
pub const Nll: Nll = Nll { classes: Classes::NONE };

const NAME: &str = "nll";

impl Nll {
    /// With a weight for each class, (c).
    ///
    /// # Errors
    /// Weights that are no float vector, or negative or NaN.
    ///
    /// ```
    /// use tealight::loss::Nll;
    /// use tealight::prelude::*;
    /// let (x, classes) = (Tensor::new(&[[-1.0, -2.0], [-3.0, -4.0]], &Device::Cpu)?, Tensor::new(&[0u32, 1], &Device::Cpu)?);
    /// let loss = Nll.weights(&Tensor::new(&[1.0, 3.0], &Device::Cpu)?)?.loss(&x, &classes)?;
    /// assert_eq!(loss.to_scalar::<f64>()?, 3.25); // (1·1 + 3·4)/(1 + 3)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weights(mut self, weights: &Tensor) -> Result<Self> {
        self.classes.weigh(NAME, weights)?;
        Ok(self)
    }

    /// Rows of this class count for nothing. (PyTorch ignores −100 without being told.)
    ///
    /// ```
    /// use tealight::loss::Nll;
    /// use tealight::prelude::*;
    /// let (x, classes) = (Tensor::new(&[[-1.0, -2.0], [-3.0, -4.0]], &Device::Cpu)?, Tensor::new(&[0u32, 1], &Device::Cpu)?);
    /// assert_eq!(Nll.ignore_index(0).loss(&x, &classes)?.to_scalar::<f64>()?, 4.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn ignore_index(mut self, class: i64) -> Self {
        self.classes.ignored = Some(class);
        self
    }
}

impl ElementwiseLoss for Nll {
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        let Rows { scores, classes, dims } = self.classes.rows(NAME, prediction, target)?;
        if classes.is_empty() {
            return prediction.sum(if prediction.rank() > 1 { 1 } else { 0 });
        }
        let (n, device) = (classes.len(), scores.device());
        let indices = classes.iter().map(|&class| if class == IGNORED { 0 } else { class }).collect();
        let own = scores.gather(1, &Tensor::from_vec(indices, (n, 1), device)?)?.squeeze(1)?;
        let mut losses = self.classes.weighted(own.neg()?, &classes)?;
        if let Some(ignored) = ignored(&classes, device)? {
            losses = losses.masked_fill(&ignored, 0.0)?;
        }
        losses.reshape(dims)
    }

    fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        self.classes.total(NAME, prediction, target)
    }
}

impl Loss for Nll {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        Mean(self.clone()).loss(prediction, target)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CrossEntropy, ElementwiseLoss, Sum, Unreduced};
    use super::Nll;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.0, 1.0, (2, 3, 2), &mut Rng::seed(1))?;
        let classes = Tensor::new(&[[0i64, -1], [2, 1]], &Device::Cpu)?;
        let loss = Nll.weights(&Tensor::new(&[1.0, 2.0, 0.5], &Device::Cpu)?)?.ignore_index(-1);
        autograd::gradcheck(|x| loss.loss(&x[0].sin()?, &classes)?.sqr(), std::slice::from_ref(&x))?;
        autograd::gradcheck(|x| Sum(loss.clone()).loss(&x[0].sin()?, &classes)?.sqr(), &[x])?;
        Ok(())
    }

    #[test]
    fn it_is_the_cross_entropy_of_probabilities() -> Result<()> {
        let x = Tensor::randn(0.0, 1.0, (5, 4), &mut Rng::seed(2))?;
        let classes = Tensor::new(&[3u8, 0, 1, 1, 2], &Device::Cpu)?;
        let (a, b) = (Nll.each(&x.log_softmax(1)?, &classes)?, CrossEntropy.each(&x, &classes)?);
        for (a, b) in a.to_vec1::<f64>()?.into_iter().zip(b.to_vec1::<f64>()?) {
            assert!((a - b).abs() < 1e-14);
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::new(&[[f64::NEG_INFINITY, f64::NAN], [-1.0, -2.0]], cpu)?;
        let loss = Nll.ignore_index(-100);
        let classes = Tensor::new(&[-100i64, 1], cpu)?;
        assert_eq!(Unreduced(loss.clone()).loss(&x, &classes)?.to_vec1::<f64>()?, [0.0, 2.0]);
        assert_eq!(loss.loss(&x, &classes)?.to_scalar::<f64>()?, 2.0);
        let error = loss.loss(&x, &Tensor::new(&[-100i64, -100], cpu)?).unwrap_err().to_string();
        assert_eq!(error, "nll: expected a class that has a weight and is not ignored, got none in 2 rows");
        assert!(Nll.loss(&x, &classes).unwrap_err().to_string().contains("got class -100 in row 0"));
        let none = (Tensor::zeros((0, 3), DType::F32, cpu)?, Tensor::zeros(0, DType::U32, cpu)?);
        assert_eq!(Unreduced(Nll).loss(&none.0, &none.1)?.dims(), [0]);
        assert!(Nll.loss(&none.0, &none.1).is_err());
        assert!(loss.loss(&none.0, &none.1).is_err());
        let weights = Tensor::new(&[1.0, 2.0, 3.0], cpu)?;
        let error = Nll.weights(&weights)?.loss(&x, &Tensor::new(&[0u32, 1], cpu)?).unwrap_err().to_string();
        assert_eq!(error, "nll: expected one weight for each class, got 3 weights for 2 classes");
        assert!(Nll.weights(&(weights * -1.0)?).is_err());
        Ok(())
    }
}
