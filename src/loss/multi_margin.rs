//! [`MultiMargin`], the hinge loss of several classes.

use super::ElementwiseLoss;
use super::classes::{ClassRows, Classes};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::kernel;

/// The multi-class hinge loss: the mean over rows of w\[class\]/c · Σ max(0, margin − x\[class\] + x\[j\])ᵖ over the
/// other classes j. The gradient is 0 at the kink.
///
/// The prediction is (n, c) or (c); the target holds integer classes, (n) or (). The mean divides by the number of rows
/// also with class weights, as in PyTorch. Errors if a class does not exist.
///
/// ```
/// use tealight::loss::MultiMargin;
/// use tealight::prelude::*;
/// let (scores, class) = (Tensor::new(&[[3.0, 2.5, 0.0]], &Device::Cpu)?, Tensor::new(&[0u32], &Device::Cpu)?);
/// assert_eq!(MultiMargin::new().loss(&scores, &class)?.to_scalar::<f64>()?, 0.5 / 3.0);
/// assert_eq!(MultiMargin::new().p(2)?.loss(&scores, &class)?.to_scalar::<f64>()?, 0.5 * 0.5 / 3.0);
/// assert_eq!(MultiMargin::new().margin(2.0)?.loss(&scores, &class)?.to_scalar::<f64>()?, 0.5);
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
        MultiMargin { p: 1, margin: 1.0, classes: Classes::default() }
    }
}

const NAME: &str = "multi_margin";

impl MultiMargin {
    /// With p = 1, a margin of 1 and no class weights.
    pub fn new() -> Self {
        MultiMargin::default()
    }

    /// The power. Default: 1. Errors if `p` is neither 1 nor 2.
    pub fn p(self, p: usize) -> Result<Self> {
        if !matches!(p, 1 | 2) {
            return Err(Error::argument(NAME, "p = 1 or 2", format!("p = {p}")));
        }
        Ok(MultiMargin { p, ..self })
    }

    /// The margin. Default: 1. Errors if `margin` is NaN.
    pub fn margin(self, margin: f64) -> Result<Self> {
        if margin.is_nan() {
            return Err(Error::argument(NAME, "a margin that is not NaN", margin));
        }
        Ok(MultiMargin { margin, ..self })
    }

    /// Multiplies the loss of each row by the weight of its class, from a float vector (c). Errors if a weight is negative
    /// or NaN.
    #[doc(alias = "weight")]
    pub fn class_weights(mut self, weights: &Tensor) -> Result<Self> {
        self.classes.set_weights(NAME, weights)?;
        Ok(self)
    }
}

impl ElementwiseLoss for MultiMargin {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        if prediction.rank() > 2 {
            return Err(Error::shape(NAME, "scores (n, c)", &[prediction.dims()]));
        }
        let rows = self.classes.rows(NAME, prediction, target)?;
        let own = rows.own_scores()?.unsqueeze(1)?;
        let ClassRows { scores, targets, dims } = rows;
        let (n, width) = (targets.len(), scores.dims()[1]);
        if n == 0 {
            return prediction.sum(-1);
        }
        let right = targets.derive(&[n, width], scores.device(), move |classes| {
            let mut right = kernel::zeros::<u8>(n * width);
            for (row, &class) in classes.iter().enumerate() {
                right[row * width + class as usize] = 1;
            }
            Ok(right)
        })?;
        let short = ((&scores - own)? + self.margin)?.masked_fill(&right, 0.0)?.relu()?;
        let powers = if self.p == 2 { short.sqr()? } else { short };
        self.classes.weighted((powers.sum(1)? / width as f64)?, &targets)?.reshape(dims)
    }

    fn total_weight(&self, _: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        Ok(Some(target.elem_count() as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::MultiMargin;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (4, 3), DType::F64, &mut Rng::seed(1))?;
        let classes = Tensor::new(&[0u32, 2, 2, 1], &Device::Cpu)?;
        let weights = Tensor::new(&[1.0, 2.0, 0.5], &Device::Cpu)?;
        for p in [1, 2] {
            let loss = MultiMargin::new().p(p)?.margin(0.7)?.class_weights(&weights)?;
            autograd::gradcheck(|x| loss.loss(&x[0], &classes)?.sqr(), std::slice::from_ref(&x))?;
            autograd::gradcheck(
                |x| loss.clone().reduction(Reduction::Sum).loss(&x[0], &classes),
                std::slice::from_ref(&x),
            )?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let loss = MultiMargin::new();
        assert!(loss.clone().p(3).unwrap_err().to_string().contains("expected p = 1 or 2, got p = 3"));
        assert!(loss.clone().margin(f64::NAN).is_err());
        let one = Tensor::new(&[2.0, 2.0], cpu)?;
        assert_eq!(loss.elementwise(&one, &Tensor::new(0u32, cpu)?)?.to_scalar::<f64>()?, 0.5);
        let error = loss.loss(&Tensor::zeros((2, 3, 4), DType::F32, cpu)?, &one).unwrap_err().to_string();
        assert_eq!(error, "multi_margin: expected scores (n, c), got [2, 3, 4]");
        let none = Tensor::zeros((0, 3), DType::F32, cpu)?;
        assert!(loss.loss(&none, &Tensor::zeros(0, DType::U32, cpu)?).is_err());
        Ok(())
    }
}
