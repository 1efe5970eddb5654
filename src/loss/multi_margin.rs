//! The hinge of several classes.
//!
//! # Shapes
//! Scores (n, c) or (c), classes (n) or () as integers
//!
//! # Formula
//! w\[class\]/c · Σ max(0, margin − x\[class\] + x\[j\])ᵖ over the other classes j
//!
//! # Gradient
//! p·w/c · max(0, …)ᵖ⁻¹ for the other classes, and minus their sum for the class itself
//!
//! # Kinks
//! 0 where a margin is just kept.
//!
//! # Errors
//! Shapes or dtypes that do not fit; a class that does not exist; a p that is neither 1 nor 2; a margin that is NaN.

use super::classes::{Classes, Rows};
use super::{ElementwiseLoss, Loss, Mean};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The score of the right class should be above all others, by a margin; the mean over rows as a [`Loss`].
///
/// # Shapes
/// Scores (n, c) or (c), classes (n) or () as integers
///
/// # Formula
/// w\[class\]/c · Σ max(0, margin − x\[class\] + x\[j\])ᵖ over the other classes j
///
/// # Gradient
/// p·w/c · max(0, …)ᵖ⁻¹ for the other classes, and minus their sum for the class itself
///
/// # Kinks
/// 0 where a margin is just kept.
///
/// # Errors
/// Shapes or dtypes that do not fit; a class that does not exist; a p that is neither 1 nor 2; a margin that is NaN.
///
/// ```
/// use tealight::loss::MultiMargin;
/// use tealight::prelude::*;
/// let scores = Tensor::new(&[[3.0, 2.5, 0.0]], &Device::Cpu)?;
/// let loss = MultiMargin::default().loss(&scores, &Tensor::new(&[0u32], &Device::Cpu)?)?;
/// assert_eq!(loss.to_scalar::<f64>()?, 0.5 / 3.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "MultiMarginLoss")]
pub struct MultiMargin {
    p: usize,
    margin: f64,
    classes: Classes,
}

impl Default for MultiMargin {
    fn default() -> Self {
        MultiMargin { p: 1, margin: 1.0, classes: Classes::NONE }
    }
}

const NAME: &str = "multi_margin";

impl MultiMargin {
    /// With the power p, 1 (the default) or 2.
    ///
    /// # Errors
    /// Another power.
    ///
    /// ```
    /// use tealight::loss::MultiMargin;
    /// use tealight::prelude::*;
    /// let (scores, class) = (Tensor::new(&[[3.0, 2.5, 0.0]], &Device::Cpu)?, Tensor::new(&[0u32], &Device::Cpu)?);
    /// let loss = MultiMargin::default().p(2)?.loss(&scores, &class)?;
    /// assert_eq!(loss.to_scalar::<f64>()?, 0.5 * 0.5 / 3.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn p(self, p: usize) -> Result<Self> {
        if !matches!(p, 1 | 2) {
            return Err(Error::argument(NAME, "p = 1 or 2", format!("p = {p}")));
        }
        Ok(MultiMargin { p, ..self })
    }

    /// With a margin other than 1.
    ///
    /// # Errors
    /// NaN.
    ///
    /// ```
    /// use tealight::loss::MultiMargin;
    /// use tealight::prelude::*;
    /// let (scores, class) = (Tensor::new(&[[3.0, 2.5, 0.0]], &Device::Cpu)?, Tensor::new(&[0u32], &Device::Cpu)?);
    /// assert_eq!(MultiMargin::default().margin(0.5)?.loss(&scores, &class)?.to_scalar::<f64>()?, 0.0);
    /// assert_eq!(MultiMargin::default().margin(2.0)?.loss(&scores, &class)?.to_scalar::<f64>()?, 0.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn margin(self, margin: f64) -> Result<Self> {
        if margin.is_nan() {
            return Err(Error::argument(NAME, "a margin that is a number", margin));
        }
        Ok(MultiMargin { margin, ..self })
    }

    /// With a weight for each class, (c).
    ///
    /// # Errors
    /// Weights that are no float vector, or negative or NaN.
    ///
    /// ```
    /// use tealight::loss::MultiMargin;
    /// use tealight::prelude::*;
    /// let (scores, class) = (Tensor::new(&[[3.0, 2.5, 0.0]], &Device::Cpu)?, Tensor::new(&[0u32], &Device::Cpu)?);
    /// let loss = MultiMargin::default().weights(&Tensor::new(&[6.0, 1.0, 1.0], &Device::Cpu)?)?;
    /// assert_eq!(loss.each(&scores, &class)?.to_vec1::<f64>()?, [1.0]); // 6 · 0.5/3
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weights(mut self, weights: &Tensor) -> Result<Self> {
        self.classes.weigh(NAME, weights)?;
        Ok(self)
    }
}

impl ElementwiseLoss for MultiMargin {
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        if prediction.rank() > 2 {
            return Err(Error::shape(NAME, "scores (n, c)", &[prediction.dims()]));
        }
        let Rows { scores, classes, dims } = self.classes.rows(NAME, prediction, target)?;
        if classes.is_empty() {
            return prediction.sum(-1);
        }
        let (n, width, device) = (classes.len(), scores.dims()[1], scores.device());
        let mut right = vec![0_u8; scores.elem_count()];
        for (row, &class) in classes.iter().enumerate() {
            right[row * width + class as usize] = 1;
        }
        let own = scores.gather(1, &Tensor::from_vec(classes.clone(), (n, 1), device)?)?;
        let short = ((&scores - own)? + self.margin)?.relu()?;
        let powers = if self.p == 2 { short.sqr()? } else { short };
        let others = powers.masked_fill(&Tensor::from_vec(right, (n, width), device)?, 0.0)?;
        self.classes.weighted((others.sum(1)? / width as f64)?, &classes)?.reshape(dims)
    }
}

impl Loss for MultiMargin {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        Mean(self.clone()).loss(prediction, target)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ElementwiseLoss, Sum};
    use super::MultiMargin;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.0, 1.0, (4, 3), &mut Rng::seed(1))?;
        let classes = Tensor::new(&[0u32, 2, 2, 1], &Device::Cpu)?;
        let weights = Tensor::new(&[1.0, 2.0, 0.5], &Device::Cpu)?;
        for p in [1, 2] {
            let loss = MultiMargin::default().p(p)?.margin(0.7)?.weights(&weights)?;
            autograd::gradcheck(|x| loss.loss(&x[0], &classes)?.sqr(), std::slice::from_ref(&x))?;
            autograd::gradcheck(|x| Sum(loss.clone()).loss(&x[0], &classes), std::slice::from_ref(&x))?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let loss = MultiMargin::default();
        assert!(loss.clone().p(3).unwrap_err().to_string().contains("expected p = 1 or 2, got p = 3"));
        assert!(loss.clone().margin(f64::NAN).is_err());
        let one = Tensor::new(&[2.0, 2.0], cpu)?;
        assert_eq!(loss.each(&one, &Tensor::new(0u32, cpu)?)?.to_scalar::<f64>()?, 0.5);
        let error = loss.loss(&Tensor::zeros((2, 3, 4), DType::F32, cpu)?, &one).unwrap_err().to_string();
        assert_eq!(error, "multi_margin: expected scores (n, c), got [2, 3, 4]");
        let none = Tensor::zeros((0, 3), DType::F32, cpu)?;
        assert!(loss.loss(&none, &Tensor::zeros(0, DType::U32, cpu)?).is_err());
        Ok(())
    }
}
