//! [`Nll`], the negative log-likelihood of classes.

use super::ElementwiseLoss;
use super::classes::Classes;
use crate::autograd::Tensor;
use crate::error::Result;

/// The negative log-likelihood of classes: the mean over rows of −x\[class\] for log-probabilities x. For logits use
/// [`CrossEntropy`](super::CrossEntropy), which applies `log_softmax` in the same pass.
///
/// The prediction is (n, c), (n, c, d1, ..) or (c); the target holds integer classes, (n), (n, d1, ..) or (). Errors if a
/// class does not exist.
///
/// ```
/// use tealight::loss::Nll;
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[0.5, 0.5], [0.1, 0.9]], &Device::Cpu)?.ln()?;
/// let loss = Nll::new().loss(&x, &Tensor::new(&[0u32, 1], &Device::Cpu)?)?;
/// assert!((loss.to_scalar::<f64>()? + 0.5 * 0.45_f64.ln()).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "NLLLoss")]
pub struct Nll {
    classes: Classes,
}

const NAME: &str = "nll";

impl Nll {
    /// Without class weights or an ignored class.
    pub fn new() -> Self {
        Nll::default()
    }

    /// Multiplies the loss of each row by the weight of its class, from a float vector (c). The mean divides by the sum of
    /// the weights of the targets. Errors if a weight is negative or NaN.
    ///
    /// ```
    /// use tealight::loss::Nll;
    /// use tealight::prelude::*;
    /// let (x, classes) = (Tensor::new(&[[-1.0, -2.0], [-3.0, -4.0]], &Device::Cpu)?, Tensor::new(&[0u32, 1], &Device::Cpu)?);
    /// let loss = Nll::new().class_weights(&Tensor::new(&[1.0, 3.0], &Device::Cpu)?)?.loss(&x, &classes)?;
    /// assert_eq!(loss.to_scalar::<f64>()?, 3.25); // (1·1 + 3·4)/(1 + 3)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "weight")]
    pub fn class_weights(mut self, weights: &Tensor) -> Result<Self> {
        self.classes.set_weights(NAME, weights)?;
        Ok(self)
    }

    /// Leaves out rows of this class: their loss is 0, and the mean does not count them. Default: no class is ignored
    /// (PyTorch ignores −100). The mean of a batch where all rows are ignored is an error (PyTorch returns NaN).
    pub fn ignore_index(mut self, class: i64) -> Self {
        self.classes.ignored = Some(class);
        self
    }
}

impl ElementwiseLoss for Nll {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        let rows = self.classes.rows(NAME, prediction, target)?;
        self.classes.finish(rows.own_scores()?.neg()?, rows)
    }

    fn total_weight(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        self.classes.total_weight(NAME, prediction, target)
    }
}

#[cfg(test)]
mod tests {
    use super::Nll;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 3, 2), DType::F64, &mut Rng::seed(1))?;
        let classes = Tensor::new(&[[0i64, -1], [2, 1]], &Device::Cpu)?;
        let loss = Nll::new().class_weights(&Tensor::new(&[1.0, 2.0, 0.5], &Device::Cpu)?)?.ignore_index(-1);
        autograd::gradcheck(|x| loss.loss(&x[0].sin()?, &classes)?.sqr(), std::slice::from_ref(&x))?;
        autograd::gradcheck(
            |x| loss.clone().reduction(Reduction::Sum).loss(&x[0].sin()?, &classes)?.sqr(),
            &[x],
        )?;
        Ok(())
    }

    #[test]
    fn nll_of_log_softmax_is_cross_entropy() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (5, 4), DType::F64, &mut Rng::seed(2))?;
        let classes = Tensor::new(&[3u8, 0, 1, 1, 2], &Device::Cpu)?;
        let (a, b) = (
            Nll::new().elementwise(&x.log_softmax(1)?, &classes)?,
            CrossEntropy::new().elementwise(&x, &classes)?,
        );
        for (a, b) in a.to_vec1::<f64>()?.into_iter().zip(b.to_vec1::<f64>()?) {
            assert!((a - b).abs() < 1e-14);
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::new(&[[f64::NEG_INFINITY, f64::NAN], [-1.0, -2.0]], cpu)?;
        let loss = Nll::new().ignore_index(-100);
        let classes = Tensor::new(&[-100i64, 1], cpu)?;
        assert_eq!(loss.elementwise(&x, &classes)?.to_vec1::<f64>()?, [0.0, 2.0]);
        assert_eq!(loss.loss(&x, &classes)?.to_scalar::<f64>()?, 2.0);
        let error = loss.loss(&x, &Tensor::new(&[-100i64, -100], cpu)?).unwrap_err().to_string();
        assert_eq!(error, "mean: expected a class that has a weight and is not ignored, got none in 2 rows");
        assert!(Nll::new().loss(&x, &classes).unwrap_err().to_string().contains("got class -100 in row 0"));
        let none = (Tensor::zeros((0, 3), DType::F32, cpu)?, Tensor::zeros(0, DType::U32, cpu)?);
        assert_eq!(Nll::new().elementwise(&none.0, &none.1)?.dims(), [0]);
        assert!(Nll::new().loss(&none.0, &none.1).is_err());
        assert!(loss.loss(&none.0, &none.1).is_err());
        let weights = Tensor::new(&[1.0, 2.0, 3.0], cpu)?;
        let error = Nll::new()
            .class_weights(&weights)?
            .loss(&x, &Tensor::new(&[0u32, 1], cpu)?)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "nll: expected one weight for each class, got 3 weights for 2 classes");
        assert!(Nll::new().class_weights(&(weights * -1.0)?).is_err());
        Ok(())
    }
}
