//! Losses: how far a prediction is from its target, as one number to be made small.
//!
//! A pointwise loss is a formula of two inputs ([`PointwiseLoss`]); [`Mean`] and [`Sum`] make a scalar of it:
//! `Mean(BceWithLogits)`, `Sum(L1)`.

mod bce;
mod bce_with_logits;
mod cross_entropy;
mod l1;
mod l2;

use std::fmt::Debug;

pub use bce::Bce;
pub use bce_with_logits::BceWithLogits;
pub use cross_entropy::CrossEntropy;
pub use l1::{L1, l1};
pub use l2::{L2, l2};

use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Dual, Formula, Real};
use crate::ops;

/// What training makes small: a scalar from a prediction and its target.
pub trait Loss: Debug + Send + Sync {
    /// The loss, a scalar.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit together.
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
///     #[inline(always)]
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

    /// The loss of one element. Mark it `#[inline(always)]`.
    fn value<R: Real>(&self, prediction: R, target: R) -> R;

    /// The derivatives by prediction and target. The default differentiates `value` with dual numbers.
    #[inline(always)]
    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let by_prediction = self.value(Dual::variable(prediction), Dual::fixed(target)).slope();
        let by_target = self.value(Dual::fixed(prediction), Dual::variable(target)).slope();
        [by_prediction, by_target]
    }
}

impl<L: PointwiseLoss> Formula<2> for L {
    const NAME: &'static str = L::NAME;

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
pub trait EachLoss: Debug + Send + Sync {
    /// The losses, one for each element or row.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit together.
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor>;
}

impl<L: PointwiseLoss> EachLoss for L {
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        // Broadcasting would make n² losses of [n] and [n, 1].
        if prediction.dims() != target.dims() {
            let expected = "prediction and target of one shape";
            return Err(Error::shape(L::NAME, expected, &[prediction.dims(), target.dims()]));
        }
        ops::apply(self.clone(), [prediction, target])
    }
}

/// The mean of the losses of all elements.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 1.0], &Device::Cpu)?, Tensor::new(&[1.0, 1.0], &Device::Cpu)?);
/// assert_eq!(Mean(L1).loss(&p, &t)?.to_scalar::<f64>()?, 0.25);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean<L>(pub L);

impl<L: EachLoss> Loss for Mean<L> {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.0.each(prediction, target)?.mean_all()
    }
}

/// The sum of the losses of all elements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum<L>(pub L);

impl<L: EachLoss> Loss for Sum<L> {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.0.each(prediction, target)?.sum_all()
    }
}
