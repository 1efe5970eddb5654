//! Cross-entropy between scores and classes.
//!
//! # Shapes
//! Scores (n, c), (n, c, d1, ..) or (c); classes (n), (n, d1, ..) or () as integers, or probabilities of the shape of the
//! scores; a loss for each row.
//!
//! # Formula
//! −Σ q·ln softmax(x), where q is w\[class\] at the class and 0 elsewhere, or w·probability; smoothing takes
//! (1 − ε)·q + ε·w/c. For a class alone it is ln Σ exp(x) − x\[class\].
//!
//! # Gradient
//! softmax(x)·Σ q − q; by a probability −w·ln softmax(x)
//!
//! # Errors
//! Shapes or dtypes that do not fit; a class that does not exist; a probability outside of 0 to 1; nothing to take the mean of.

use candle_core::DType;
use smallvec::SmallVec;

use super::classes::{self, Classes, ignored};
use super::{ElementwiseLoss, Loss, Mean, check};
use crate::autograd::array::{contiguous, elements, make, on_cpu, with_float};
use crate::autograd::{Array, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::rows::{self, IGNORED};
use crate::kernel::{self, soft_cross_entropy};
use crate::ops;

/// −ln of the probability that softmax gives to the right class; the mean over rows as a [`Loss`].
///
/// # Shapes
/// Scores (n, c), (n, c, d1, ..) or (c); classes (n), (n, d1, ..) or () as integers, or probabilities of the shape of the
/// scores; a loss for each row.
///
/// # Formula
/// −Σ q·ln softmax(x), where q is w\[class\] at the class and 0 elsewhere, or w·probability; smoothing takes
/// (1 − ε)·q + ε·w/c. For a class alone it is ln Σ exp(x) − x\[class\].
///
/// # Gradient
/// softmax(x)·Σ q − q; by a probability −w·ln softmax(x)
///
/// # Errors
/// Shapes or dtypes that do not fit; a class that does not exist; a probability outside of 0 to 1; nothing to take the mean of.
///
/// ```
/// use tealight::prelude::*;
/// let scores = Tensor::new(&[[2.0, 0.0, 0.0], [0.0, 0.0, 1000.0]], &Device::Cpu)?;
/// let classes = Tensor::new(&[0u32, 2], &Device::Cpu)?;
/// let loss = CrossEntropy.loss(&scores, &classes)?.to_scalar::<f64>()?;
/// assert!((loss - 0.5 * (1.0 + 2.0 * (-2.0_f64).exp()).ln()).abs() < 1e-15);
/// // Every class gets a little, and the first one counts for nothing.
/// let loss = CrossEntropy.label_smoothing(0.1)?.ignore_index(0);
/// assert!((loss.loss(&scores, &classes)?.to_scalar::<f64>()? - 200.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "CrossEntropyLoss")]
pub struct CrossEntropy {
    classes: Classes,
    smoothing: f64,
}

/// Every class weighs the same, and nothing is smoothed.
#[allow(non_upper_case_globals)] // reads as a struct without fields, as the other losses do
pub const CrossEntropy: CrossEntropy = CrossEntropy { classes: Classes::NONE, smoothing: 0.0 };

const NAME: &str = "cross_entropy";

impl CrossEntropy {
    /// With a weight for each class, (c). The mean divides by the sum of the weights of the targets, and for probabilities
    /// by the number of rows.
    ///
    /// # Errors
    /// Weights that are no float vector, or negative or NaN.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scores = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
    /// let loss = CrossEntropy.weights(&Tensor::new(&[1.0, 1.0, 4.0], &Device::Cpu)?)?;
    /// let each = loss.each(&scores, &Tensor::new(&[0u32, 2], &Device::Cpu)?)?.to_vec1::<f64>()?;
    /// assert_eq!(each[1], 4.0 * each[0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weights(mut self, weights: &Tensor) -> Result<Self> {
        self.classes.weigh(NAME, weights)?;
        Ok(self)
    }

    /// Rows of this class count for nothing, whatever their scores. (PyTorch ignores −100 without being told.)
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scores = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
    /// let loss = CrossEntropy.ignore_index(-100).loss(&scores, &Tensor::new(&[0i64, -100], &Device::Cpu)?)?;
    /// assert!((loss.to_scalar::<f64>()? - 3.0_f64.ln()).abs() < 1e-15); // of the first row alone
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn ignore_index(mut self, class: i64) -> Self {
        self.classes.ignored = Some(class);
        self
    }

    /// The targets are mixed with the same for every class, by this share.
    ///
    /// # Errors
    /// A share outside of 0 to 1.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (scores, class) = (Tensor::new(&[[0.0, 1000.0]], &Device::Cpu)?, Tensor::new(&[1u32], &Device::Cpu)?);
    /// let loss = CrossEntropy.label_smoothing(0.1)?.loss(&scores, &class)?;
    /// assert!((loss.to_scalar::<f64>()? - 50.0).abs() < 1e-9); // 0.05 for the other class, of probability e⁻¹⁰⁰⁰
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn label_smoothing(mut self, share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::argument(NAME, "a smoothing from 0 to 1", share));
        }
        self.smoothing = share;
        Ok(self)
    }

    /// The losses for probabilities.
    fn probable(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        if prediction.dtype() != target.dtype() {
            let got = [prediction.dtype(), target.dtype()];
            return Err(Error::dtype(NAME, "scores and probabilities of one dtype", &got));
        }
        if let Some(class) = self.classes.ignored {
            let expected = "classes as targets to ignore one of";
            return Err(Error::argument(NAME, expected, format!("probabilities and ignore_index({class})")));
        }
        check::within(NAME, "probabilities", target, 0.0, 1.0)?;
        let ((scores, dims), (mut q, _)) =
            (classes::matrix(NAME, prediction)?, classes::matrix(NAME, target)?);
        let width = scores.dims()[1];
        self.classes.check_width(NAME, width)?;
        if self.smoothing > 0.0 && width > 0 {
            q = ((q * (1.0 - self.smoothing))? + self.smoothing / width as f64)?;
        }
        if let Some(weights) = &self.classes.weights {
            let weights = Tensor::from_vec(weights.to_vec(), width, q.device())?;
            q = (q * weights.to_dtype(scores.dtype())?)?;
        }
        Soft.apply([&scores, &q])?.reshape(dims)
    }

    /// The q of rows of classes.
    fn smooth(&self, rows: &classes::Rows) -> Result<Tensor> {
        let width = rows.scores.dims()[1];
        let each: Vec<f64> = (0..width as u32)
            .map(|class| self.smoothing / width as f64 * self.classes.weight(class))
            .collect();
        let mut q = Vec::with_capacity(rows.scores.elem_count());
        for &class in &rows.classes {
            let start = q.len();
            if class == IGNORED {
                q.resize(start + width, 0.0);
            } else {
                q.extend_from_slice(&each);
                q[start + class as usize] += (1.0 - self.smoothing) * self.classes.weight(class);
            }
        }
        Tensor::from_vec(q, rows.scores.dims(), rows.scores.device())?.to_dtype(rows.scores.dtype())
    }
}

impl CrossEntropy {
    /// Whether the targets are probabilities, or become some.
    fn is_soft(&self, prediction: &Tensor, target: &Tensor) -> bool {
        self.smoothing > 0.0 || target.dtype().is_float() && target.dims() == prediction.dims()
    }
}

impl ElementwiseLoss for CrossEntropy {
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        if target.dtype().is_float() && target.dims() == prediction.dims() {
            return self.probable(prediction, target);
        }
        let rows = self.classes.rows(NAME, prediction, target)?;
        let losses = if self.smoothing > 0.0 {
            Soft.apply([&rows.scores, &self.smooth(&rows)?])?
        } else {
            let factors = self.classes.factors(&rows.classes, 1.0);
            Hard { classes: rows.classes, factors, total: false }.apply([&rows.scores])?
        };
        losses.reshape(rows.dims)
    }

    fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        if target.dtype().is_float() {
            return Ok(None);
        }
        self.classes.total(NAME, prediction, target)
    }

    fn total(&self, prediction: &Tensor, target: &Tensor, mean: bool) -> Result<Tensor> {
        if self.is_soft(prediction, target) {
            return super::total_of_each(self, prediction, target, mean);
        }
        let rows = self.classes.rows(NAME, prediction, target)?;
        if mean && rows.classes.is_empty() {
            return Err(super::empty(target));
        }
        let divisor = if mean { self.classes.weight_of(NAME, &rows.classes)? } else { 1.0 };
        let factors = self.classes.factors(&rows.classes, divisor);
        Hard { classes: rows.classes, factors, total: true }.apply([&rows.scores])
    }
}

impl Loss for CrossEntropy {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        Mean(self.clone()).loss(prediction, target)
    }
}

/// The loss of each row for classes that were checked, times its factor; or their sum.
#[derive(Debug)]
struct Hard {
    classes: Vec<u32>,
    factors: SmallVec<[f64; 1]>,
    total: bool,
}

impl Hard {
    /// The factors, one for each row or one for all.
    fn weights(&self, x: &Array) -> Result<Tensor> {
        Tensor::from_vec(self.factors.to_vec(), self.factors.len(), x.device())?.to_dtype(x.dtype())
    }

    fn one_hot(&self, x: &Array) -> Result<Array> {
        let width = x.dims()[1];
        let mut ones = vec![0_f32; x.elem_count()];
        for (row, &class) in self.classes.iter().enumerate().filter(|&(_, &class)| class != IGNORED) {
            ones[row * width + class as usize] = 1.0;
        }
        Ok(Array::from_vec(ones, x.dims(), x.device())?.to_dtype(x.dtype())?)
    }

    /// `losses` or their gradients, with 0 in the rows that are ignored.
    fn counted(&self, rows: Tensor) -> Result<Tensor> {
        match ignored(&self.classes, rows.device())? {
            None => Ok(rows),
            Some(mask) if rows.rank() == 1 => rows.masked_fill(&mask, 0.0),
            Some(mask) => rows.masked_fill(&mask.unsqueeze(1)?, 0.0),
        }
    }
}

impl Op<1> for Hard {
    const NAME: &'static str = NAME;

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        if on_cpu(x) {
            let width = x.dims()[1];
            let x = &contiguous(x)?;
            return with_float!(x.dtype(), T => {
                let factors: SmallVec<[T; 1]> = self.factors.iter().map(|&factor| factor as T).collect();
                let numbers = elements::<T>(x)?;
                let losses = if ctx.needs_input_grad(0) {
                    let [losses, slopes] =
                        rows::cross_entropy_and_slopes(&numbers, &self.classes, &factors, width);
                    ctx.save(make(slopes, x.dims(), x)?);
                    losses
                } else {
                    rows::cross_entropy(&numbers, &self.classes, &factors, width)
                };
                if self.total { make(vec![kernel::sum(&losses)], &[], x) } else { make(losses, &[self.classes.len()], x) }
            });
        }
        let log = Tensor::constant(x.clone()).log_softmax(1)?;
        let losses = Tensor::constant((log.array() * self.one_hot(x)?)?.sum(1)?.neg()?);
        let losses = self.counted((losses * self.weights(x)?)?)?;
        Ok(if self.total { losses.sum_all()? } else { losses }.into_array())
    }

    fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        if let (false, Ok(slopes)) = (saved.recording(), saved.array(0)) {
            let grad = if self.total { grad.clone() } else { grad.unsqueeze(1)? };
            return Ok([Some(ops::total::scaled(slopes, &grad)?)]);
        }
        let x = saved.input(0)?;
        let one_hot = Tensor::constant(self.one_hot(x.array())?);
        let grad = if self.total { grad.clone() } else { grad.unsqueeze(1)? };
        let grad = (grad * self.weights(x.array())?.unsqueeze(-1)?)?;
        Ok([Some(self.counted(((x.softmax(1)? - one_hot)? * grad)?)?)])
    }
}

/// −Σ q·ln softmax(x) of each row.
#[derive(Debug)]
struct Soft;

impl Op<2> for Soft {
    const NAME: &'static str = NAME;

    fn forward(&self, [x, q]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_input(1);
        let (n, width) = (x.dims()[0], x.dims()[1]);
        if on_cpu(x) {
            let (x, q) = (contiguous(x)?, contiguous(q)?);
            return with_float!(x.dtype(), T => {
                make(soft_cross_entropy::soft_cross_entropy(&elements::<T>(&x)?, &elements::<T>(&q)?, n, width), &[n], &x)
            });
        }
        if matches!(x.dtype(), DType::F16 | DType::BF16) && x.device().is_cpu() {
            let wide = [x.to_dtype(DType::F32)?, q.to_dtype(DType::F32)?];
            return Ok(self.forward([&wide[0], &wide[1]], ctx)?.to_dtype(x.dtype())?);
        }
        let log = Tensor::constant(x.clone()).log_softmax(1)?;
        Ok((log.array() * q)?.sum(1)?.neg()?)
    }

    fn backward(&self, saved: &Saved<2>, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let (x, q) = (saved.input(0)?, saved.input(1)?);
        let g = grad.unsqueeze(1)?;
        let mut gradients = [None, None];
        if saved.needs_input_grad(0) && !saved.recording() && on_cpu(x.array()) {
            let (width, grad) = (x.dims()[1], contiguous(grad.array())?);
            let (x, q) = (contiguous(x.array())?, contiguous(q.array())?);
            gradients[0] = with_float!(x.dtype(), T => {
                let (numbers, q, grad) = (elements::<T>(&x)?, elements::<T>(&q)?, elements::<T>(&grad)?);
                let data = soft_cross_entropy::soft_cross_entropy_backward(&numbers, &q, &grad, width);
                Some(Tensor::constant(make(data, x.dims(), &x)?))
            });
        } else if saved.needs_input_grad(0) {
            gradients[0] = Some((((x.softmax(1)? * q.sum_keepdim(1)?)? - &q)? * &g)?);
        }
        if saved.needs_input_grad(1) {
            gradients[1] = Some((x.log_softmax(1)?.neg()? * g)?);
        }
        Ok(gradients)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod gradients {
    use super::super::Sum;
    use super::CrossEntropy;
    use crate::prelude::*;

    #[test]
    fn of_classes_and_probabilities() -> Result<()> {
        let x = Tensor::randn(0.0, 2.0, (4, 3), &mut Rng::seed(5))?;
        let classes = Tensor::new(&[0u32, 2, 2, 1], &Device::Cpu)?;
        autograd::gradcheck(|x| CrossEntropy.loss(&x[0], &classes), std::slice::from_ref(&x))?;
        autograd::gradcheck(|x| Sum(CrossEntropy).loss(&x[0], &classes)?.sqr(), std::slice::from_ref(&x))?;
        let weights = Tensor::new(&[1.0, 2.0, 0.5], &Device::Cpu)?;
        let some = CrossEntropy.weights(&weights)?.ignore_index(1);
        let smooth = some.clone().label_smoothing(0.2)?;
        for loss in [some, smooth.clone()] {
            autograd::gradcheck(|x| loss.loss(&x[0], &classes)?.sqr(), std::slice::from_ref(&x))?;
        }
        let (x, t) = (x.reshape((2, 3, 2))?, Tensor::rand(0.1, 0.9, (2, 3, 2), &mut Rng::seed(6))?);
        for loss in [CrossEntropy, CrossEntropy.weights(&weights)?.label_smoothing(0.2)?] {
            autograd::gradcheck(|x| loss.loss(&x[0], &x[1])?.sqr(), &[x.clone(), t.clone()])?;
            autograd::gradcheck(|x| loss.loss(&x[0], &t), std::slice::from_ref(&x))?;
        }
        Ok(())
    }
}
