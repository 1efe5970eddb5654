//! Losses: what training minimizes.

mod bce;
mod bce_with_logits;
mod check;
mod classes;
mod cosine_embedding;
mod cross_entropy;
mod focal;
mod gaussian_nll;
mod hinge;
mod hinge_embedding;
mod huber;
mod kl_div;
mod l1;
mod margin_ranking;
mod mse;
mod multi_label;
mod multi_margin;
mod nll;
mod poisson_nll;
mod soft_margin;
mod triplet_margin;

use std::fmt::Debug;

pub use bce::Bce;
pub use bce_with_logits::{BceWithLogits, BceWithPosWeight};
pub use cosine_embedding::CosineEmbedding;
pub use cross_entropy::CrossEntropy;
pub use focal::{Focal, SigmoidFocal};
pub use gaussian_nll::GaussianNll;
pub use hinge::Hinge;
pub use hinge_embedding::HingeEmbedding;
pub use huber::{Huber, SmoothL1};
pub use kl_div::KlDiv;
pub use l1::{L1, l1};
pub use margin_ranking::MarginRanking;
pub use mse::{Mse, l2};
pub use multi_label::{MultiLabelMargin, MultiLabelSoftMargin};
pub use multi_margin::MultiMargin;
pub use nll::Nll;
pub use poisson_nll::PoissonNll;
pub use soft_margin::SoftMargin;
pub use triplet_margin::TripletMargin;

use crate::autograd::array::{count, is_finite};
use crate::autograd::launch::{recording, unless_finite};
use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};
use crate::formula::{Dual, Formula, Real};
use crate::ops;

/// The scalar that training minimizes, computed from a prediction and a target.
///
/// The losses of this module take the mean over all elements or rows, as in PyTorch;
/// [`reduction`](ElementwiseLoss::reduction) chooses otherwise. Unlike PyTorch, they do not broadcast a prediction and a
/// target of different shapes, and they refuse invalid targets: NaN, a class that does not exist, a probability outside of
/// 0 to 1.
///
/// For a custom loss implement [`PointwiseLoss`] if it is a formula of one prediction and one target, else this trait.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// let losses: [&dyn Loss; 2] = [&Mse, &L1.reduction(Reduction::Sum)];
/// assert_eq!(losses[0].loss(&p, &t)?.to_scalar::<f64>()?, 5.0);
/// assert_eq!(losses[1].loss(&p, &t)?.to_scalar::<f64>()?, 4.0);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Loss: Debug + Send + Sync {
    /// The loss, a scalar; with [`Reduction::None`] a tensor of one loss per element or row.
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// What the loss divides a sum by: the number of its terms, or their total weight. `None` if it is a sum.
    ///
    /// The loss of several batches together is Σ dᵢ·lossᵢ / Σ dᵢ, or Σ lossᵢ where it is a sum. So a
    /// [`Trainer`](crate::train::Trainer) measures a loss, and accumulates gradients. Where it is 0, no row of the batch counts,
    /// and `loss` need not exist. Default: the length of the prediction's first axis.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (p, t) = (Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?, Tensor::new(&[0_i64, -1, 1], &Device::Cpu)?);
    /// assert_eq!(CrossEntropy::new().ignore_index(-1).divisor(&p, &t)?, Some(2.0));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        let _ = target;
        Ok(Some(prediction.dims().first().map_or(1.0, |&rows| rows as f64)))
    }
}

/// How the losses of a batch become one number. Default: `Mean`.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[[1.0, 3.0]], &Device::Cpu)?, Tensor::new(&[[0.0, 0.0]], &Device::Cpu)?);
/// assert_eq!(Mse.loss(&p, &t)?.to_scalar::<f64>()?, 5.0);
/// assert_eq!(Mse.reduction(Reduction::Sum).loss(&p, &t)?.to_scalar::<f64>()?, 10.0);
/// assert_eq!(Mse.reduction(Reduction::None).loss(&p, &t)?.to_vec2::<f64>()?, [[1.0, 9.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The mean over all elements, or over all rows for losses of classes. With class weights or an ignored class the sum
    /// is divided by the weights of the targets, as in PyTorch. Errors for an empty batch.
    #[default]
    Mean,
    /// The sum.
    Sum,
    /// The sum divided by the length of the first axis. Errors for an empty batch, and for a scalar.
    #[doc(alias = "batchmean")]
    BatchMean,
    /// No reduction: one loss per element or row.
    None,
}

impl Reduction {
    /// What the sum of losses of this shape is divided by.
    fn divisor(self, dims: &[usize]) -> Result<f64> {
        let n = match (self, dims) {
            (Reduction::Sum | Reduction::None, _) => return Ok(1.0),
            (Reduction::Mean, _) => count(dims),
            (Reduction::BatchMean, [n, ..]) => *n,
            (Reduction::BatchMean, []) => 0,
        };
        if n == 0 { Err(Error::shape("mean", "a batch that is not empty", &[dims])) } else { Ok(n as f64) }
    }

    fn apply(self, losses: Tensor) -> Result<Tensor> {
        let divisor = self.divisor(losses.dims())?;
        match self {
            Reduction::None => Ok(losses),
            Reduction::Sum => losses.sum_all(),
            Reduction::Mean => losses.mean_all(),
            Reduction::BatchMean => losses.sum_all()? / divisor,
        }
    }
}

/// A loss that is a formula of one prediction and one target.
///
/// ```
/// use tealight::prelude::*;
/// /// ln cosh(p − t): quadratic near 0, linear far away.
/// #[derive(Clone, Debug)]
/// struct LogCosh;
/// impl PointwiseLoss for LogCosh {
///     const NAME: &'static str = "log_cosh";
///     fn value<R: Real>(&self, prediction: R, target: R) -> R {
///         let d = (prediction - target).abs();
///         d + (R::constant(-2.0) * d).exp().ln_1p() - R::constant(2.0).ln()
///     }
/// }
/// let (p, t) = (Tensor::new(&[0.3, 2.0], &Device::Cpu)?, Tensor::new(&[1.0, 0.0], &Device::Cpu)?);
/// autograd::gradcheck(|x| LogCosh.loss(&x[0], &x[1]), &[p, t])?;
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait PointwiseLoss: Clone + Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    const NAME: &'static str;

    /// Whether both methods are marked `#[inline(always)]`; see [`Formula::IS_INLINED`].
    const IS_INLINED: bool = false;

    /// Whether a NaN among the targets always makes the loss NaN. Then [`check`](Self::check) runs after a sum or mean, and
    /// only if that is not finite.
    const PROPAGATES_NAN: bool = false;

    /// The loss of one element.
    fn value<R: Real>(&self, prediction: R, target: R) -> R;

    /// The derivatives by prediction and target. The default differentiates `value` with dual numbers.
    #[inline(always)]
    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let by_prediction = self.value(Dual::variable(prediction), Dual::fixed(target)).slope();
        let by_target = self.value(Dual::fixed(prediction), Dual::variable(target)).slope();
        [by_prediction, by_target]
    }

    /// Errors if a prediction or a target is invalid. The default refuses targets that are NaN.
    fn check(&self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let _ = prediction;
        check::not_nan(Self::NAME, "targets", target)
    }
}

impl<L: PointwiseLoss> Formula<2> for L {
    const NAME: &'static str = L::NAME;
    const IS_INLINED: bool = L::IS_INLINED;

    #[inline(always)]
    fn value<R: Real>(&self, [prediction, target]: [R; 2]) -> R {
        PointwiseLoss::value(self, prediction, target)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, [prediction, target]: [R; 2], _: R) -> [R; 2] {
        PointwiseLoss::derivative(self, prediction, target)
    }
}

/// A loss with one value per element or row, which a [`Reduction`] turns into a scalar. Every such loss is a [`Loss`]: the mean.
pub trait ElementwiseLoss: Debug + Send + Sync {
    /// The losses before reduction, one per element or row.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
    /// assert_eq!(Mse.elementwise(&p, &t)?.to_vec1::<f64>()?, [1.0, 9.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// What [`Reduction::Mean`] divides the sum by: the number of losses or, with class weights, the sum of the weights of the
    /// targets. Default: `None`, the number of losses, which [`elementwise`](Self::elementwise) is called to find.
    fn total_weight(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        let _ = (prediction, target);
        Ok(None)
    }

    /// The reduced loss. The default reduces the result of [`elementwise`](Self::elementwise); a loss that computes its sum
    /// directly overrides it.
    fn reduced(&self, prediction: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        reduce_elementwise(self, prediction, target, reduction)
    }

    /// This loss with another reduction than the mean. Call it last: `CrossEntropy::new().ignore_index(0).reduction(Reduction::Sum)`.
    fn reduction(self, reduction: Reduction) -> Reduced<Self>
    where
        Self: Sized,
    {
        Reduced { loss: self, reduction }
    }

    /// Multiplies each loss by a weight. `weights` has the shape of the losses or of their first axes, such as (n) for one
    /// weight per sample. The mean still divides by the number of losses, as in PyTorch.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
    /// let loss = L1.weighted(&Tensor::new(&[10.0, 1.0], &Device::Cpu)?);
    /// assert_eq!(loss.loss(&p, &t)?.to_scalar::<f64>()?, 6.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn weighted(self, weights: &Tensor) -> Weighted<Self>
    where
        Self: Sized,
    {
        Weighted { loss: self, weights: weights.clone() }
    }
}

impl<L: ElementwiseLoss> Loss for L {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.reduced(prediction, target, Reduction::Mean)
    }

    fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        match self.total_weight(prediction, target)? {
            None => Ok(Some(count(no_grad(|| self.elementwise(prediction, target))?.dims()) as f64)),
            total => Ok(total),
        }
    }
}

fn reduce_elementwise<L: ElementwiseLoss + ?Sized>(
    loss: &L,
    prediction: &Tensor,
    target: &Tensor,
    reduction: Reduction,
) -> Result<Tensor> {
    let losses = loss.elementwise(prediction, target)?;
    let n = count(losses.dims()) as f64;
    if reduction == Reduction::Mean
        && let Some(total) = loss.total_weight(prediction, target)?.filter(|&total| total != n)
    {
        return losses.mean_all()? * (n / that_counts(total, n)?);
    }
    reduction.apply(losses)
}

/// The total weight of some rows; errors if none counts.
fn that_counts(total: f64, rows: f64) -> Result<f64> {
    if total > 0.0 {
        return Ok(total);
    }
    let expected = "a class that has a weight and is not ignored";
    Err(Error::argument("mean", expected, format!("none in {rows} rows")))
}

impl<L: PointwiseLoss> ElementwiseLoss for L {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        same_shape_and_dtype(L::NAME, prediction, target)?;
        self.check(prediction, target)?;
        ops::apply(self.clone(), [prediction, target])
    }

    fn total_weight(&self, prediction: &Tensor, _: &Tensor) -> Result<Option<f64>> {
        Ok(Some(prediction.elem_count() as f64))
    }

    fn reduced(&self, prediction: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        if reduction == Reduction::None {
            return self.elementwise(prediction, target);
        }
        same_shape_and_dtype(L::NAME, prediction, target)?;
        let divisor = reduction.divisor(prediction.dims())?;
        if !L::PROPAGATES_NAN {
            self.check(prediction, target)?;
        }
        let total = ops::total::total(self.clone(), [prediction, target], divisor)?;
        // A program looks again whenever its own total is not finite.
        if L::PROPAGATES_NAN && (recording() || !is_finite(total.array())?) {
            unless_finite(total.array(), || self.check(prediction, target))?;
        }
        Ok(total)
    }
}

fn same_shape_and_dtype(op: &'static str, prediction: &Tensor, target: &Tensor) -> Result<()> {
    check::same_shape(op, "prediction and target", &[prediction, target])?;
    if !target.dtype().is_float() || prediction.dtype() != target.dtype() {
        let got = [prediction.dtype(), target.dtype()];
        return Err(Error::dtype(op, "float tensors of one dtype (see to_dtype)", &got));
    }
    Ok(())
}

/// A loss with another reduction than the mean: see [`ElementwiseLoss::reduction`].
#[derive(Clone, Copy, Debug)]
pub struct Reduced<L> {
    loss: L,
    reduction: Reduction,
}

impl<L: ElementwiseLoss> Loss for Reduced<L> {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.loss.reduced(prediction, target, self.reduction)
    }

    fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        match self.reduction {
            Reduction::Mean => self.loss.divisor(prediction, target),
            Reduction::BatchMean => Ok(Some(prediction.dims().first().map_or(0.0, |&rows| rows as f64))),
            Reduction::Sum | Reduction::None => Ok(None),
        }
    }
}

/// A loss with a weight for each element or sample: see [`ElementwiseLoss::weighted`].
#[derive(Clone, Debug)]
pub struct Weighted<L> {
    loss: L,
    weights: Tensor,
}

impl<L: ElementwiseLoss> ElementwiseLoss for Weighted<L> {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        let losses = self.loss.elementwise(prediction, target)?;
        let mut dims = self.weights.dims().to_vec();
        if !losses.dims().starts_with(&dims) {
            let expected = format!("weights of shape {:?}, or of its first axes", losses.dims());
            return Err(Error::shape("weighted", expected, &[&dims]));
        }
        dims.resize(losses.rank(), 1);
        let weights = self.weights.reshape(dims)?.to_dtype(losses.dtype())?;
        losses * weights
    }

    fn total_weight(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        self.loss.total_weight(prediction, target)
    }
}

#[cfg(test)]
mod tests;
