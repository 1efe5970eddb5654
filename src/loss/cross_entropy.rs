//! [`CrossEntropy`] of logits and classes, or probabilities.

use candle_core::DType;
use smallvec::SmallVec;

use super::classes::{ClassRows, Classes, class_matrix, ignored_mask};
use super::{ElementwiseLoss, Reduction, check, reduce_elementwise, that_counts};
use crate::autograd::array::{contiguous, elements, make, on_cpu, with_float};
use crate::autograd::{Array, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::rows::{self, IGNORED};
use crate::kernel::{self, soft_cross_entropy};
use crate::ops;

/// Cross-entropy of logits x and classes: the mean over rows of ln Σ exp(x) − x\[class\], which is −ln softmax(x)\[class\].
///
/// The prediction is (n, c), (n, c, d1, ..) or (c). The target holds integer classes, (n), (n, d1, ..) or (), or
/// probabilities q of the shape of the prediction, for which the loss of a row is −Σ q·ln softmax(x). The gradient is
/// softmax(x)·Σ q − q, with q = 1 at the class and 0 elsewhere for integer targets. Errors if a class does not exist or a
/// probability is outside of 0 to 1.
///
/// ```
/// use tealight::prelude::*;
/// let scores = Tensor::new(&[[2.0, 0.0, 0.0], [0.0, 0.0, 1000.0]], &Device::Cpu)?;
/// let classes = Tensor::new(&[0u32, 2], &Device::Cpu)?;
/// let loss = CrossEntropy::new().loss(&scores, &classes)?.to_scalar::<f64>()?;
/// assert!((loss - 0.5 * (1.0 + 2.0 * (-2.0_f64).exp()).ln()).abs() < 1e-15);
/// let loss = CrossEntropy::new().label_smoothing(0.1)?.ignore_index(0).loss(&scores, &classes)?;
/// assert!((loss.to_scalar::<f64>()? - 200.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "CrossEntropyLoss")]
pub struct CrossEntropy {
    classes: Classes,
    smoothing: f64,
}

const NAME: &str = "cross_entropy";

impl CrossEntropy {
    /// Without class weights, an ignored class or label smoothing.
    pub fn new() -> Self {
        CrossEntropy::default()
    }

    /// Multiplies q by the weight of each class, from a float vector (c). For integer targets the mean divides by the sum
    /// of the weights of the targets, for probabilities by the number of rows. Errors if a weight is negative or NaN.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scores = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
    /// let loss = CrossEntropy::new().class_weights(&Tensor::new(&[1.0, 1.0, 4.0], &Device::Cpu)?)?;
    /// let losses = loss.elementwise(&scores, &Tensor::new(&[0u32, 2], &Device::Cpu)?)?.to_vec1::<f64>()?;
    /// assert_eq!(losses[1], 4.0 * losses[0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "weight")]
    pub fn class_weights(mut self, weights: &Tensor) -> Result<Self> {
        self.classes.set_weights(NAME, weights)?;
        Ok(self)
    }

    /// Leaves out rows of this class: their loss is 0 whatever their scores, and the mean does not count them. Default: no
    /// class is ignored (PyTorch ignores −100). The mean of a batch where all rows are ignored is an error (PyTorch returns
    /// NaN).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scores = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
    /// let classes = Tensor::new(&[0i64, -100], &Device::Cpu)?;
    /// let loss = CrossEntropy::new().ignore_index(-100).loss(&scores, &classes)?;
    /// assert!((loss.to_scalar::<f64>()? - 3.0_f64.ln()).abs() < 1e-15); // of the first row alone
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn ignore_index(mut self, class: i64) -> Self {
        self.classes.ignored = Some(class);
        self
    }

    /// Mixes the targets with the uniform distribution: (1 − ε)·q + ε/c. Default: 0. Errors if `epsilon` is outside of 0 to 1.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (scores, class) = (Tensor::new(&[[0.0, 1000.0]], &Device::Cpu)?, Tensor::new(&[1u32], &Device::Cpu)?);
    /// let loss = CrossEntropy::new().label_smoothing(0.1)?.loss(&scores, &class)?;
    /// assert!((loss.to_scalar::<f64>()? - 50.0).abs() < 1e-9); // 0.05 · 1000 for the other class
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn label_smoothing(mut self, epsilon: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(Error::argument(NAME, "a smoothing from 0 to 1", epsilon));
        }
        self.smoothing = epsilon;
        Ok(self)
    }

    /// The losses if the targets are probabilities.
    fn of_probabilities(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        if prediction.dtype() != target.dtype() {
            let got = [prediction.dtype(), target.dtype()];
            return Err(Error::dtype(NAME, "scores and probabilities of one dtype", &got));
        }
        if let Some(class) = self.classes.ignored {
            let expected = "integer classes as targets, with ignore_index";
            return Err(Error::argument(NAME, expected, format!("probabilities and ignore_index({class})")));
        }
        check::in_range(NAME, "probabilities", target, 0.0, 1.0)?;
        let ((scores, dims), (mut q, _)) = (class_matrix(NAME, prediction)?, class_matrix(NAME, target)?);
        let width = scores.dims()[1];
        self.classes.check_width(NAME, width)?;
        if self.smoothing > 0.0 && width > 0 {
            q = ((q * (1.0 - self.smoothing))? + self.smoothing / width as f64)?;
        }
        if let Some(weights) = &self.classes.weights {
            let weights = Tensor::from_vec(weights.to_vec(), width, q.device())?;
            q = (q * weights.to_dtype(scores.dtype())?)?;
        }
        SoftTargets.apply([&scores, &q])?.reshape(dims)
    }

    /// The smoothed and weighted target distribution of each row.
    fn smooth_targets(&self, rows: &ClassRows) -> Result<Tensor> {
        let width = rows.scores.dims()[1];
        let uniform: Vec<f64> = (0..width as u32)
            .map(|class| self.smoothing / width as f64 * self.classes.weight(class))
            .collect();
        let mut q = Vec::with_capacity(rows.scores.elem_count());
        for &class in &rows.classes {
            let start = q.len();
            if class == IGNORED {
                q.resize(start + width, 0.0);
            } else {
                q.extend_from_slice(&uniform);
                q[start + class as usize] += (1.0 - self.smoothing) * self.classes.weight(class);
            }
        }
        Tensor::from_vec(q, rows.scores.dims(), rows.scores.device())?.to_dtype(rows.scores.dtype())
    }
}

/// Whether the targets are probabilities.
fn is_distribution(prediction: &Tensor, target: &Tensor) -> bool {
    target.dtype().is_float() && target.dims() == prediction.dims()
}

impl ElementwiseLoss for CrossEntropy {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        if is_distribution(prediction, target) {
            return self.of_probabilities(prediction, target);
        }
        let rows = self.classes.rows(NAME, prediction, target)?;
        let losses = if self.smoothing > 0.0 {
            SoftTargets.apply([&rows.scores, &self.smooth_targets(&rows)?])?
        } else {
            let factors = self.classes.factors(&rows.classes, 1.0);
            HardTargets { classes: rows.classes, factors, total: false }.apply([&rows.scores])?
        };
        losses.reshape(rows.dims)
    }

    fn total_weight(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        if is_distribution(prediction, target) {
            let width = prediction.dims().get(1).or(prediction.dims().first()).copied().unwrap_or(1);
            return Ok(Some((target.elem_count() / width.max(1)) as f64));
        }
        self.classes.total_weight(NAME, prediction, target)
    }

    fn reduced(&self, prediction: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
        let soft = self.smoothing > 0.0 || is_distribution(prediction, target);
        if soft || reduction == Reduction::None {
            return reduce_elementwise(self, prediction, target, reduction);
        }
        let rows = self.classes.rows(NAME, prediction, target)?;
        let mut divisor = reduction.divisor(target.dims())?;
        if reduction == Reduction::Mean {
            divisor = that_counts(self.classes.sum_of_weights(&rows.classes), divisor)?;
        }
        let factors = self.classes.factors(&rows.classes, divisor);
        HardTargets { classes: rows.classes, factors, total: true }.apply([&rows.scores])
    }
}

/// The loss of each row times its factor, or the sum over the rows, for integer classes. It saves its gradient, which
/// the kernel computes in the same pass.
#[derive(Debug)]
struct HardTargets {
    classes: Vec<u32>,
    factors: SmallVec<[f64; 1]>,
    total: bool,
}

impl HardTargets {
    /// The factors as a tensor: one per row, or one for all.
    fn factors(&self, x: &Array) -> Result<Tensor> {
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

    /// Losses or gradients with 0 in the ignored rows.
    fn zero_ignored(&self, rows: Tensor) -> Result<Tensor> {
        match ignored_mask(&self.classes, rows.device())? {
            None => Ok(rows),
            Some(mask) if rows.rank() == 1 => rows.masked_fill(&mask, 0.0),
            Some(mask) => rows.masked_fill(&mask.unsqueeze(1)?, 0.0),
        }
    }
}

impl Op<1> for HardTargets {
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
        let losses = self.zero_ignored((losses * self.factors(x)?)?)?;
        Ok(if self.total { losses.sum_all()? } else { losses }.into_array())
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        if let (false, Ok(slopes)) = (saved.recording(), saved.array(0)) {
            let grad = if self.total { grad.clone() } else { grad.unsqueeze(1)? };
            return Ok([Some(ops::total::scaled(slopes, &grad)?)]);
        }
        let x = saved.input(0)?;
        let one_hot = Tensor::constant(self.one_hot(x.array())?);
        let grad = if self.total { grad.clone() } else { grad.unsqueeze(1)? };
        let grad = (grad * self.factors(x.array())?.unsqueeze(-1)?)?;
        Ok([Some(self.zero_ignored(((x.softmax(1)? - one_hot)? * grad)?)?)])
    }
}

/// −Σ q·ln softmax(x) of each row.
#[derive(Debug)]
struct SoftTargets;

impl Op<2> for SoftTargets {
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

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
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
    use super::CrossEntropy;
    use crate::prelude::*;

    #[test]
    fn of_classes_and_probabilities() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 2.0, (4, 3), DType::F64, &mut Rng::seed(5))?;
        let classes = Tensor::new(&[0u32, 2, 2, 1], &Device::Cpu)?;
        autograd::gradcheck(|x| CrossEntropy::new().loss(&x[0], &classes), std::slice::from_ref(&x))?;
        autograd::gradcheck(
            |x| CrossEntropy::new().reduction(Reduction::Sum).loss(&x[0], &classes)?.sqr(),
            std::slice::from_ref(&x),
        )?;
        let weights = Tensor::new(&[1.0, 2.0, 0.5], &Device::Cpu)?;
        let some = CrossEntropy::new().class_weights(&weights)?.ignore_index(1);
        let smooth = some.clone().label_smoothing(0.2)?;
        for loss in [some, smooth.clone()] {
            autograd::gradcheck(|x| loss.loss(&x[0], &classes)?.sqr(), std::slice::from_ref(&x))?;
        }
        let (x, t) =
            (x.reshape((2, 3, 2))?, Tensor::rand_dtype(0.1, 0.9, (2, 3, 2), DType::F64, &mut Rng::seed(6))?);
        for loss in [CrossEntropy::new(), CrossEntropy::new().class_weights(&weights)?.label_smoothing(0.2)?]
        {
            autograd::gradcheck(|x| loss.loss(&x[0], &x[1])?.sqr(), &[x.clone(), t.clone()])?;
            autograd::gradcheck(|x| loss.loss(&x[0], &t), std::slice::from_ref(&x))?;
        }
        Ok(())
    }
}
