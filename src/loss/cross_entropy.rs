//! [`CrossEntropy`] of logits and classes, or probabilities.

use std::sync::{Mutex, PoisonError};

use candle_core::DType;
use smallvec::SmallVec;

use super::classes::{ClassRows, ClassTargets, Classes, class_matrix};
use super::{ElementwiseLoss, Reduction, check, reduce_elementwise, that_counts};
use crate::autograd::array::{contiguous, converted, is_narrow, on_cpu, with_float};
use crate::autograd::launch::{Operand, Primitive, launch, launch_many};
use crate::autograd::{Array, Element, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::rows::{self, IGNORED};
use crate::kernel::{self, Scratch, soft_cross_entropy};
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
        let (width, own) = (rows.scores.dims()[1], self.clone());
        let q = rows.targets.derive(rows.scores.dims(), rows.scores.device(), move |classes| {
            let uniform =
                (0..width as u32).map(|class| own.smoothing / width as f64 * own.classes.weight(class));
            let uniform = Scratch::collect(width, uniform);
            let mut q = kernel::empty(classes.len() * width);
            for &class in classes {
                let start = q.len();
                if class == IGNORED {
                    q.resize(start + width, 0.0);
                } else {
                    q.extend_from_slice(&uniform);
                    q[start + class as usize] += (1.0 - own.smoothing) * own.classes.weight(class);
                }
            }
            Ok(q)
        })?;
        q.to_dtype(rows.scores.dtype())
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
            let divisor = Divisor::Fixed(1.0);
            let (settings, targets) = (self.classes.clone(), rows.targets);
            HardTargets { settings, targets, divisor, total: false }.apply([&rows.scores])?
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
        let divisor = reduction.divisor(target.dims())?;
        let divisor = match reduction {
            Reduction::Mean => Divisor::Weights { rows: divisor },
            _ => Divisor::Fixed(divisor),
        };
        let (settings, targets) = (self.classes.clone(), rows.targets);
        HardTargets { settings, targets, divisor, total: true }.apply([&rows.scores])
    }
}

/// The loss of each row times its factor, or the sum over the rows, for integer classes. It saves its gradient, which
/// the kernel computes in the same pass.
#[derive(Debug)]
struct HardTargets {
    settings: Classes,
    targets: ClassTargets,
    divisor: Divisor,
    total: bool,
}

/// What the losses of the rows are divided by.
#[derive(Clone, Copy, Debug)]
enum Divisor {
    Fixed(f64),
    /// The sum of the weights of the targets.
    Weights {
        rows: f64,
    },
}

/// The factor of each row, or one for all.
fn factors(settings: &Classes, divisor: Divisor, classes: &[u32]) -> Result<SmallVec<[f64; 1]>> {
    let divisor = match divisor {
        Divisor::Fixed(divisor) => divisor,
        Divisor::Weights { rows } => that_counts(settings.sum_of_weights(classes), rows)?,
    };
    Ok(settings.factors(classes, divisor))
}

impl HardTargets {
    /// The factor of every row, if no target can change it.
    fn constant_factor(&self) -> Option<f64> {
        let divisor = match self.divisor {
            Divisor::Fixed(divisor) | Divisor::Weights { rows: divisor } => divisor,
        };
        self.settings.is_plain().then(|| 1.0 / divisor)
    }

    /// The factors as a tensor (rows, 1).
    fn factors(&self, x: &Array) -> Result<Tensor> {
        let (own, divisor, n) = (self.settings.clone(), self.divisor, self.targets.len());
        let factors = self.targets.derive(&[n, 1], x.device(), move |classes| {
            let factors = factors(&own, divisor, classes)?;
            Ok((0..n).map(|i| *factors.get(i).unwrap_or(&factors[0])).collect::<Vec<f64>>())
        })?;
        factors.to_dtype(x.dtype())
    }

    fn one_hot(&self, x: &Array) -> Result<Tensor> {
        let width = x.dims()[1];
        let ones = self.targets.derive(x.dims(), x.device(), move |classes| {
            let mut ones = vec![0_f32; classes.len() * width];
            for (row, &class) in classes.iter().enumerate().filter(|&(_, &class)| class != IGNORED) {
                ones[row * width + class as usize] = 1.0;
            }
            Ok(ones)
        })?;
        ones.to_dtype(x.dtype())
    }
}

impl Op<1> for HardTargets {
    const NAME: &'static str = NAME;

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        if on_cpu(x) {
            return with_float!(x.dtype(), T => self.fused::<T>(&contiguous(x)?, ctx));
        }
        let log = Tensor::constant(x.clone()).log_softmax(1)?;
        let losses = (log * self.one_hot(x)?)?.sum(1)?.neg()?;
        let losses = self.targets.zero_ignored((losses * self.factors(x)?.squeeze(1)?)?)?;
        Ok(if self.total { losses.sum_all()? } else { losses }.into_array())
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let grad = if self.total { grad.clone() } else { grad.unsqueeze(1)? };
        if let (false, Ok(slopes)) = (saved.recording(), saved.array(0)) {
            return Ok([Some(ops::total::scaled(slopes, &grad)?)]);
        }
        let x = saved.input(0)?;
        let grad = (grad * self.factors(x.array())?)?;
        let slopes = ((x.softmax(1)? - self.one_hot(x.array())?)? * grad)?;
        Ok([Some(self.targets.zero_ignored(slopes)?)])
    }
}

impl HardTargets {
    /// The losses and, if they are needed, the slopes in one pass.
    fn fused<T: Element>(&self, x: &Array, ctx: &mut SaveContext) -> Result<Array> {
        let (width, n, total, slopes) =
            (x.dims()[1], self.targets.len(), self.total, ctx.needs_input_grad(0));
        let (settings, divisor, reader) = (self.settings.clone(), self.divisor, self.targets.reader());
        // A program calls the kernel again and again: the classes and the losses of the rows stay in memory that is there.
        let scratch = Mutex::new((Vec::new(), Vec::new()));
        let run = move |[x, target]: [Operand<'_>; 2]| {
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            let (classes, rows) = &mut *scratch;
            let x = x.elements::<T>();
            reader.read_into(target, classes)?;
            let factors: SmallVec<[T; 1]> =
                factors(&settings, divisor, classes)?.iter().map(|&factor| T::constant(factor)).collect();
            if !slopes {
                let losses = rows::cross_entropy(x, classes, &factors, width);
                return Ok([if total { kernel::one(kernel::sum(&losses)) } else { losses }, Vec::new()]
                    .map(T::to_cpu_storage_owned));
            }
            rows.resize(n, T::constant(0.0));
            let slopes = rows::cross_entropy_and_slopes(x, classes, &factors, width, rows);
            let losses = if total { kernel::one(kernel::sum(rows)) } else { rows.clone() };
            Ok([losses, slopes].map(T::to_cpu_storage_owned))
        };
        let inputs = [x, &self.targets.array];
        let total = self.total;
        let what = || match self.constant_factor() {
            Some(factor) => Primitive::CrossEntropy { width, factor, total, slopes },
            None => Primitive::Opaque,
        };
        let dims: &[usize] = if total { &[] } else { &[n] };
        if slopes {
            let [losses, slopes] = launch_many((NAME, what), inputs, [dims, x.dims()], run)?;
            ctx.save(slopes);
            return Ok(losses);
        }
        let [losses] =
            launch_many((NAME, what), inputs, [dims], move |x| run(x).map(|[losses, _]| [losses]))?;
        Ok(losses)
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
                launch(NAME, [&x, &q], &[n], move |[x, q]| {
                    soft_cross_entropy::soft_cross_entropy::<T>(x.elements(), q.elements(), n, width)
                })
            });
        }
        if is_narrow(x) {
            let wide = [converted(x, DType::F32)?, converted(q, DType::F32)?];
            return converted(&self.forward([&wide[0], &wide[1]], ctx)?, x.dtype());
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
                let slopes = launch(NAME, [&x, &q, &grad], x.dims(), move |[x, q, grad]| {
                    let (x, q, grad) = (x.elements::<T>(), q.elements(), grad.elements());
                    soft_cross_entropy::soft_cross_entropy_backward(x, q, grad, width)
                })?;
                Some(Tensor::constant(slopes))
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
