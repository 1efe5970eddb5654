//! [`MultiLabelMargin`] and [`MultiLabelSoftMargin`], for rows that belong to several classes.

use super::classes::ClassTargets;
use super::{BceWithLogits, ElementwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::kernel::rows::IGNORED;

/// The hinge loss of rows with several classes: the mean over rows of Σ max(0, 1 − x\[j\] + x\[i\])/c, over the classes j of the
/// row and the others i. The gradient is 0 at the kink.
///
/// The prediction is (n, c) or (c). The target has the same shape: the classes of each row, and −1 after the last. Errors if a
/// class does not exist.
///
/// ```
/// use tealight::loss::MultiLabelMargin;
/// use tealight::prelude::*;
/// let x = Tensor::new(&[0.1, 0.2, 0.4, 0.8], &Device::Cpu)?;
/// let loss = MultiLabelMargin.loss(&x, &Tensor::new(&[3i64, 0, -1, -1], &Device::Cpu)?)?; // of classes 3 and 0
/// assert!((loss.to_scalar::<f64>()? - (0.4 + 0.6 + 1.1 + 1.3) / 4.0).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "MultiLabelMarginLoss")]
pub struct MultiLabelMargin;

/// The number of rows and of classes.
fn rows_and_classes(op: &'static str, x: &Tensor) -> Result<(usize, usize)> {
    match *x.dims() {
        [c] if c > 0 => Ok((1, c)),
        [n, c] if c > 0 => Ok((n, c)),
        _ => Err(Error::shape(op, "scores (n, c) or (c) of one class or more", &[x.dims()])),
    }
}

impl ElementwiseLoss for MultiLabelMargin {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        const NAME: &str = "multi_label_margin";
        check::same_shape(NAME, "scores and classes", &[prediction, target])?;
        let (n, c) = rows_and_classes(NAME, prediction)?;
        if !prediction.dtype().is_float() || target.dtype().is_float() {
            let got = [prediction.dtype(), target.dtype()];
            return Err(Error::dtype(NAME, "float scores and integer classes (see to_dtype)", &got));
        }
        let classes = ClassTargets::new(NAME, target, c, Some(-1))?.read()?;
        let of_row = |row: &'_ [u32]| row.iter().position(|&class| class == IGNORED).unwrap_or(c);
        let most = classes.chunks(c).map(of_row).max().unwrap_or(0).max(1);
        let (mut own, mut unused) = (vec![0; n * most], vec![1_u8; n * most * c]);
        for (row, classes) in classes.chunks(c).enumerate() {
            let classes = &classes[..of_row(classes)];
            for (at, &class) in (row * most..).zip(classes) {
                own[at] = class;
                unused[at * c..][..c].fill(0);
                classes.iter().for_each(|&class| unused[at * c + class as usize] = 1);
            }
        }
        let (scores, device) = (prediction.reshape((n, c))?, prediction.device());
        let own = scores.gather(1, &Tensor::from_vec(own, (n, most), device)?)?.unsqueeze(2)?;
        let short = (1.0 - (own - scores.unsqueeze(1)?)?)?.relu()?;
        let short = short.masked_fill(&Tensor::from_vec(unused, (n, most, c), device)?, 0.0)?;
        (short.sum([1, 2])? / c as f64)?.reshape(&prediction.dims()[..prediction.rank() - 1])
    }

    fn total_weight(&self, prediction: &Tensor, _: &Tensor) -> Result<Option<f64>> {
        Ok(Some(rows_and_classes("multi_label_margin", prediction)?.0 as f64))
    }
}

/// Binary cross-entropy of rows with several classes: the mean over rows of the mean over classes of w·[`BceWithLogits`].
///
/// The prediction is (n, c) or (c), and the target of the same shape, from 0 to 1.
///
/// ```
/// use tealight::loss::MultiLabelSoftMargin;
/// use tealight::prelude::*;
/// let (x, t) = (Tensor::new(&[[0.3, -2.0]], &Device::Cpu)?, Tensor::new(&[[1.0, 0.0]], &Device::Cpu)?);
/// assert_eq!(
///     MultiLabelSoftMargin::new().loss(&x, &t)?.to_scalar::<f64>()?,
///     BceWithLogits.loss(&x, &t)?.to_scalar::<f64>()?,
/// );
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "MultiLabelSoftMarginLoss")]
pub struct MultiLabelSoftMargin {
    weights: Option<Tensor>,
}

const SOFT: &str = "multi_label_soft_margin";

impl MultiLabelSoftMargin {
    /// Without class weights.
    pub fn new() -> Self {
        MultiLabelSoftMargin::default()
    }

    /// Multiplies the loss of each class by a weight, from a float vector (c). Errors if a weight is negative or NaN.
    #[doc(alias = "weight")]
    pub fn class_weights(self, weights: &Tensor) -> Result<Self> {
        check::in_range(SOFT, "class weights", weights, 0.0, f64::INFINITY)?;
        Ok(MultiLabelSoftMargin { weights: Some(weights.clone()) })
    }
}

impl ElementwiseLoss for MultiLabelSoftMargin {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        check::same_shape(SOFT, "prediction and target", &[prediction, target])?;
        let (_, c) = rows_and_classes(SOFT, prediction)?;
        let mut losses = BceWithLogits.elementwise(prediction, target)?;
        if let Some(weights) = &self.weights {
            if weights.dims() != [c] {
                let expected = format!("one weight for each of {c} classes");
                return Err(Error::shape(SOFT, expected, &[weights.dims()]));
            }
            losses = (losses * weights.to_dtype(prediction.dtype())?)?;
        }
        losses.mean(-1)
    }

    fn total_weight(&self, prediction: &Tensor, _: &Tensor) -> Result<Option<f64>> {
        Ok(Some(rows_and_classes(SOFT, prediction)?.0 as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::{MultiLabelMargin, MultiLabelSoftMargin};
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let x = Tensor::randn_dtype(0.0, 1.0, (3, 4), DType::F64, rng)?;
        let classes = Tensor::new(&[[2i64, 0, -1, 1], [-1, 1, 2, 3], [3, 3, 1, 2]], &Device::Cpu)?;
        autograd::gradcheck(|x| MultiLabelMargin.loss(&x[0], &classes)?.sqr(), std::slice::from_ref(&x))?;
        let t = Tensor::rand_dtype(0.1, 0.9, (3, 4), DType::F64, rng)?;
        let loss = MultiLabelSoftMargin::new().class_weights(&tensor(&[1.0, 2.0, 0.5, 0.0]))?;
        autograd::gradcheck(|x| loss.loss(&x[0], &x[1])?.sqr(), &[x, t])?;
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0]);
        let margin = |classes: &[i64]| MultiLabelMargin.loss(&x, &Tensor::new(classes, &Device::Cpu)?);
        assert_eq!(margin(&[-1, 0, 1])?.to_scalar::<f64>()?, 0.0);
        assert_eq!(margin(&[0, 1, 2])?.to_scalar::<f64>()?, 0.0);
        let error = margin(&[0, 3, -1]).unwrap_err().to_string();
        assert_eq!(error, "multi_label_margin: expected classes from 0 to 2, got class 3 in row 1");
        assert!(margin(&[0, 1]).is_err() && MultiLabelMargin.loss(&x, &x).is_err());
        let none = Tensor::zeros((0, 3), DType::I64, &Device::Cpu)?;
        assert_eq!(MultiLabelMargin.elementwise(&none.to_dtype(DType::F64)?, &none)?.dims(), [0]);
        let nothing = Tensor::zeros((2, 0), DType::F64, &Device::Cpu)?;
        assert!(MultiLabelSoftMargin::new().loss(&nothing, &nothing).is_err());
        let loss = MultiLabelSoftMargin::new().class_weights(&x)?;
        assert!(loss.loss(&tensor(&[1.0]), &tensor(&[1.0])).is_err());
        assert!(loss.class_weights(&tensor(&[-1.0])).is_err());
        Ok(())
    }
}
