//! Losses: how far a prediction is from its target, as one number to be made small.
//!
//! A pointwise loss is a formula of two inputs ([`PointwiseLoss`]). A wrapper says what becomes of the losses of all
//! elements or rows: [`Mean`]`(BceWithLogits)`, [`Sum`]`(L1)`, [`Unreduced`]`(CrossEntropy)`; `weighted` gives each its own weight.
//!
//! What is no target is an error: classes that do not exist, probabilities outside of 0 to 1, NaN, and shapes that would
//! broadcast.

mod bce;
mod bce_with_logits;
mod check;
mod classes;
mod cosine_embedding;
mod cross_entropy;
mod gaussian_nll;
mod hinge;
mod huber;
mod kl_div;
mod l1;
mod l2;
mod multi_margin;
mod nll;
mod poisson_nll;
mod triplet_margin;

use std::fmt::Debug;

pub use bce::Bce;
pub use bce_with_logits::{BceWithLogits, BceWithPosWeight};
pub use cosine_embedding::CosineEmbedding;
pub use cross_entropy::CrossEntropy;
pub use gaussian_nll::GaussianNll;
pub use hinge::Hinge;
pub use huber::{Huber, SmoothL1};
pub use kl_div::KlDiv;
pub use l1::{L1, l1};
pub use l2::{L2, Mse, l2};
pub use multi_margin::MultiMargin;
pub use nll::Nll;
pub use poisson_nll::PoissonNll;
pub use triplet_margin::TripletMargin;

use crate::autograd::Tensor;
use crate::autograd::array::is_finite;
use crate::error::{Error, Result};
use crate::formula::{Dual, Formula, Real};
use crate::ops;

/// What training makes small: a scalar from a prediction and its target.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// let losses: [&dyn Loss; 2] = [&Mean(L1), &Sum(L2)];
/// assert_eq!(losses[0].loss(&p, &t)?.to_scalar::<f64>()?, 2.0);
/// assert_eq!(losses[1].loss(&p, &t)?.to_scalar::<f64>()?, 10.0);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Loss: Debug + Send + Sync {
    /// The loss, a scalar; with [`Unreduced`], one for each element or row.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit together; what is no target.
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor>;
}

/// A loss of each element: a formula of a prediction and a target.
///
/// ```
/// use tealight::prelude::*;
/// /// ln cosh(p − t): like L2 near 0, like L1 far away.
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
/// autograd::gradcheck(|x| Mean(LogCosh).loss(&x[0], &x[1]), &[p, t])?;
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait PointwiseLoss: Clone + Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    const NAME: &'static str;

    /// Whether both methods are marked `#[inline(always)]`; see [`Formula::FUSED`].
    const FUSED: bool = false;

    /// Whether a target that is NaN always makes the loss NaN: then [`check`](Self::check) looks at the targets of a sum or
    /// mean only if that is NaN.
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

    /// Refuses what is no prediction or no target of this loss. The default refuses targets that are NaN.
    ///
    /// # Errors
    /// What it refuses.
    fn check(&self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let _ = prediction;
        check::no_nan(Self::NAME, "targets", target)
    }
}

impl<L: PointwiseLoss> Formula<2> for L {
    const NAME: &'static str = L::NAME;
    const FUSED: bool = L::FUSED;

    #[inline(always)]
    fn value<R: Real>(&self, [prediction, target]: [R; 2]) -> R {
        PointwiseLoss::value(self, prediction, target)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, [prediction, target]: [R; 2], _: R) -> [R; 2] {
        PointwiseLoss::derivative(self, prediction, target)
    }
}

/// A loss that has a value for each element or row, which [`Mean`] and [`Sum`] reduce.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(L2.each(&p, &t)?.to_vec1::<f64>()?, [1.0, 9.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait ElementwiseLoss: Debug + Send + Sync {
    /// The losses, one for each element or row.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit together; what is no target.
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// What the mean divides the sum by: `None` for the number of losses. With weights for classes it is the sum of the
    /// weights of the targets.
    ///
    /// # Errors
    /// Targets that have no weight at all.
    fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        let _ = (prediction, target);
        Ok(None)
    }

    /// The sum of the losses, or their mean. The default adds what [`each`](Self::each) gives.
    ///
    /// # Errors
    /// As for `each`; a mean of nothing.
    fn total(&self, prediction: &Tensor, target: &Tensor, mean: bool) -> Result<Tensor> {
        total_of_each(self, prediction, target, mean)
    }

    /// The same with a weight for each loss, or for all of each sample.
    ///
    /// ```
    /// use tealight::loss::ElementwiseLoss;
    /// use tealight::prelude::*;
    /// let p = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// let weights = Tensor::new(&[1.0, 0.0], &Device::Cpu)?;
    /// let loss = Sum(L1.weighted(&weights)).loss(&p, &Tensor::zeros((2, 2), DType::F64, &Device::Cpu)?)?;
    /// assert_eq!(loss.to_scalar::<f64>()?, 3.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn weighted(self, weights: &Tensor) -> Weighted<Self>
    where
        Self: Sized,
    {
        Weighted { loss: self, weights: weights.clone() }
    }
}

impl<L: PointwiseLoss> ElementwiseLoss for L {
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike(L::NAME, prediction, target)?;
        self.check(prediction, target)?;
        ops::apply(self.clone(), [prediction, target])
    }

    fn total(&self, prediction: &Tensor, target: &Tensor, mean: bool) -> Result<Tensor> {
        alike(L::NAME, prediction, target)?;
        let n = prediction.elem_count();
        if mean && n == 0 {
            return Err(empty(prediction));
        }
        if !L::PROPAGATES_NAN {
            self.check(prediction, target)?;
        }
        let total = ops::total::total(self.clone(), [prediction, target], if mean { n as f64 } else { 1.0 })?;
        if L::PROPAGATES_NAN && !is_finite(total.array())? {
            self.check(prediction, target)?;
        }
        Ok(total)
    }
}

fn alike(op: &'static str, prediction: &Tensor, target: &Tensor) -> Result<()> {
    check::same_shape(op, "prediction and target", &[prediction, target])?;
    if !target.dtype().is_float() || prediction.dtype() != target.dtype() {
        let got = [prediction.dtype(), target.dtype()];
        return Err(Error::dtype(op, "float tensors of one dtype (see to_dtype)", &got));
    }
    Ok(())
}

/// A loss with sample weights: see [`ElementwiseLoss::weighted`]. The mean still divides by the number of losses, as PyTorch's does.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// let loss = L1.weighted(&Tensor::new(&[10.0, 1.0], &Device::Cpu)?);
/// assert_eq!(Mean(loss).loss(&p, &t)?.to_scalar::<f64>()?, 6.5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Weighted<L> {
    loss: L,
    weights: Tensor,
}

impl<L: ElementwiseLoss> ElementwiseLoss for Weighted<L> {
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        let losses = self.loss.each(prediction, target)?;
        let mut dims = self.weights.dims().to_vec();
        if !losses.dims().starts_with(&dims) {
            let expected = format!("weights of shape {:?}, or of its first axes", losses.dims());
            return Err(Error::shape("weighted", expected, &[&dims]));
        }
        dims.resize(losses.rank(), 1);
        let weights = self.weights.reshape(dims)?.to_dtype(losses.dtype())?;
        losses * weights
    }

    fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        self.loss.divisor(prediction, target)
    }
}

/// The mean of the losses of all elements.
///
/// # Errors
/// An empty batch, which has no mean.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 1.0], &Device::Cpu)?, Tensor::new(&[1.0, 1.0], &Device::Cpu)?);
/// assert_eq!(Mean(L1).loss(&p, &t)?.to_scalar::<f64>()?, 0.25);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean<L>(pub L);

impl<L: ElementwiseLoss> Loss for Mean<L> {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.0.total(prediction, target, true)
    }
}

fn total_of_each<L: ElementwiseLoss + ?Sized>(
    loss: &L,
    prediction: &Tensor,
    target: &Tensor,
    mean: bool,
) -> Result<Tensor> {
    let losses = loss.each(prediction, target)?;
    if !mean {
        return losses.sum_all();
    }
    match loss.divisor(prediction, target)? {
        None => self::mean(&losses),
        Some(divisor) => losses.sum_all()? / divisor,
    }
}

fn mean(losses: &Tensor) -> Result<Tensor> {
    if losses.elem_count() == 0 { Err(empty(losses)) } else { losses.mean_all() }
}

fn empty(losses: &Tensor) -> Error {
    Error::shape("mean", "a batch that is not empty", &[losses.dims()])
}

/// The sum of the losses of all elements.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(Sum(L2).loss(&p, &t)?.to_scalar::<f64>()?, 10.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum<L>(pub L);

impl<L: ElementwiseLoss> Loss for Sum<L> {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.0.total(prediction, target, false)
    }
}

/// The losses of all elements, divided by the number of samples: the length of the first axis.
///
/// # Errors
/// An empty batch, or a scalar, which is none.
///
/// ```
/// use tealight::prelude::*;
/// let p = Tensor::ones((2, 3), DType::F64, &Device::Cpu)?;
/// let loss = tealight::loss::BatchMean(L1).loss(&p, &p.zeros_like()?)?;
/// assert_eq!(loss.to_scalar::<f64>()?, 3.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "batchmean")]
pub struct BatchMean<L>(pub L);

impl<L: ElementwiseLoss> Loss for BatchMean<L> {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        match *prediction.dims() {
            [n, ..] if n > 0 => self.0.total(prediction, target, false)? / n as f64,
            _ => Err(Error::shape("batch_mean", "a batch that is not empty", &[prediction.dims()])),
        }
    }
}

/// The losses as they are, one for each element or row.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 3.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(tealight::loss::Unreduced(L2).loss(&p, &t)?.to_vec1::<f64>()?, [1.0, 9.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Unreduced<L>(pub L);

impl<L: ElementwiseLoss> Loss for Unreduced<L> {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.0.each(prediction, target)
    }
}

/// The reductions of a loss of three tensors, under the name of the loss's own method.
macro_rules! reductions {
    ($loss:ident.$method:ident($a:ident, $b:ident, $c:ident)) => {
        impl crate::loss::Mean<$loss> {
            #[doc = concat!("The mean of [`", stringify!($loss), "::", stringify!($method), "`].")]
            ///
            /// ```
            #[doc = concat!("use tealight::{loss::", stringify!($loss), ", prelude::*};")]
            /// # let x = Tensor::new(&[[0.5, 2.0], [1.0, 3.0]], &Device::Cpu)?;
            #[doc = concat!("# let third = if \"", stringify!($c), "\" == \"target\" { x.ones_like()?.i((.., 0))? } else { x.clone() };")]
            #[doc = concat!("# let (", stringify!($a), ", ", stringify!($b), ", ", stringify!($c), ") = (&x, &(&x + 1.0)?, &third);")]
            #[doc = concat!("let loss = ", stringify!($loss), "::default();")]
            #[doc = concat!("assert_eq!(Mean(loss).", stringify!($method), "(", stringify!($a), ", ", stringify!($b), ", ", stringify!($c), ")?, loss.", stringify!($method), "(", stringify!($a), ", ", stringify!($b), ", ", stringify!($c), ")?.mean_all()?);")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            ///
            /// # Errors
            /// Those of the loss; an empty batch.
            pub fn $method(&self, $a: &Tensor, $b: &Tensor, $c: &Tensor) -> Result<Tensor> {
                crate::loss::mean(&self.0.$method($a, $b, $c)?)
            }
        }

        impl crate::loss::Sum<$loss> {
            #[doc = concat!("The sum of [`", stringify!($loss), "::", stringify!($method), "`].")]
            ///
            /// ```
            #[doc = concat!("use tealight::{loss::", stringify!($loss), ", prelude::*};")]
            /// # let x = Tensor::new(&[[0.5, 2.0], [1.0, 3.0]], &Device::Cpu)?;
            #[doc = concat!("# let third = if \"", stringify!($c), "\" == \"target\" { x.ones_like()?.i((.., 0))? } else { x.clone() };")]
            #[doc = concat!("# let (", stringify!($a), ", ", stringify!($b), ", ", stringify!($c), ") = (&x, &(&x + 1.0)?, &third);")]
            #[doc = concat!("let loss = ", stringify!($loss), "::default();")]
            #[doc = concat!("assert_eq!(Sum(loss).", stringify!($method), "(", stringify!($a), ", ", stringify!($b), ", ", stringify!($c), ")?, loss.", stringify!($method), "(", stringify!($a), ", ", stringify!($b), ", ", stringify!($c), ")?.sum_all()?);")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            ///
            /// # Errors
            /// Those of the loss.
            pub fn $method(&self, $a: &Tensor, $b: &Tensor, $c: &Tensor) -> Result<Tensor> {
                self.0.$method($a, $b, $c)?.sum_all()
            }
        }
    };
}
use reductions;

#[cfg(test)]
mod tests;
