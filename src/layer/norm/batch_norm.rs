//! Normalisation of each channel over the batch.
//!
//! # Shapes
//! (n, c) or (n, c, l), images (n, c, h, w); the shape stays.
//!
//! # Formula
//! y = (x − mean) / √(var + ε) · w + b for each channel. Training: mean and var (with divisor n) of the batch, and the
//! running ones come nearer: r ← (1 − momentum)·r + momentum·(that of the batch; for var with divisor n − 1). Evaluation:
//! the running ones.
//!
//! # Gradient
//! Training: (h − mean h − ŷ·mean h·ŷ) / √(var + ε) for x, with ŷ = (x − mean) / √(var + ε) and h = g·w. Evaluation:
//! h / √(var + ε). Always Σ g·ŷ for w, Σ g for b.
//!
//! # Errors
//! Another number of channels; in training fewer than two numbers a channel, which have no deviation.
//!
//! # Source
//! S. Ioffe and C. Szegedy 2015.

use candle_core::{DType, Device};

use super::{affine, checked_eps, one_operator, ones, per_channel, zeros};
use crate::autograd::array::count;
use crate::autograd::{OnnxAttribute, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::{Buffer, Fields, ForwardContext, Layer, Parameter};
use crate::ops::standardize;

/// Mean 0 and variance 1 for each channel, over the batch and the D axes after the channels; then a scale and a shift
/// that are learned. Use it as [`BatchNorm1d`] or [`BatchNorm2d`].
///
/// # Shapes
/// (n, c) or (n, c, l), images (n, c, h, w); the shape stays.
///
/// # Formula
/// y = (x − mean) / √(var + ε) · w + b for each channel. Training: mean and var (with divisor n) of the batch, and the
/// running ones come nearer: r ← (1 − momentum)·r + momentum·(that of the batch; for var with divisor n − 1). Evaluation:
/// the running ones.
///
/// ```
/// use tealight::layer::BatchNorm2d;
/// use tealight::prelude::*;
/// let layer = BatchNorm2d::new(3)?;
/// let x = Tensor::randn(5f32, 2.0, (4, 3, 8, 8), &mut Rng::seed(1))?;
/// let y = layer.forward(&x, &mut ForwardContext::train(Rng::seed(2)))?;
/// assert!(y.mean_all()?.to_scalar::<f32>()?.abs() < 1e-6);
/// // What evaluation goes by has come a tenth nearer to the mean of 5.
/// let mean = layer.state()[2].1.get();
/// assert!((mean.mean_all()?.to_scalar::<f32>()? - 0.5).abs() < 0.05);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "BatchNormalization")]
#[derive(Clone, Debug)]
pub struct BatchNorm<const D: usize> {
    /// w, (c); it starts as ones.
    pub weight: Option<Parameter>,
    /// b, (c); it starts as zeros.
    pub bias: Option<Parameter>,
    /// What evaluation goes by; without it, evaluation goes by the batch too.
    pub running_stats: Option<RunningStats>,
    channels: usize,
    momentum: Option<f64>,
    eps: f64,
}

/// [`BatchNorm`] of (n, c) or (n, c, l).
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[1_f32, 10.0], [3.0, 30.0]], &Device::Cpu)?;
/// let y = BatchNorm1d::new(2)?.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?;
/// assert_eq!(y.round()?.to_vec2::<f32>()?, [[-1.0, -1.0], [1.0, 1.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type BatchNorm1d = BatchNorm<1>;

/// [`BatchNorm`] of images (n, c, h, w).
///
/// ```
/// use tealight::prelude::*;
/// let error = BatchNorm2d::new(3)?.predict(&Tensor::zeros((4, 3), DType::F32, &Device::Cpu)?).unwrap_err();
/// assert_eq!(error.to_string(), "batch_norm2d: expected inputs of shape [n, 3, h, w], got [4, 3]");
/// # Ok::<(), tealight::Error>(())
/// ```
pub type BatchNorm2d = BatchNorm<2>;

/// The statistics that a [`BatchNorm`] gathers while training.
///
/// ```
/// use tealight::prelude::*;
/// let layer = BatchNorm1d::new(1)?;
/// layer.forward(&Tensor::new(&[[0_f32], [10.0]], &Device::Cpu)?, &mut ForwardContext::train(Rng::seed(1)))?;
/// let running = layer.running_stats.as_ref().unwrap();
/// // A tenth of the way from 0 to the batch's mean.
/// assert_eq!(running.mean.get().to_vec1::<f32>()?, [0.5]);
/// assert_eq!(running.num_batches_tracked.get().to_scalar::<i64>()?, 1);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RunningStats {
    /// (c); zeros at first.
    pub mean: Buffer,
    /// (c), with divisor n − 1; ones at first.
    pub var: Buffer,
    /// How many batches there were, an i64.
    pub num_batches_tracked: Buffer,
}

impl<const D: usize> BatchNorm<D> {
    const NAME: &'static str = match D {
        1 => "batch_norm1d",
        2 => "batch_norm2d",
        _ => "batch_norm",
    };

    /// A layer for `channels` channels, with momentum 0.1 and ε = 1e-5.
    ///
    /// # Errors
    /// Sizes that do not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// // Before any training, evaluation changes next to nothing: mean 0, variance 1.
    /// let x = Tensor::new(&[[1_f32, 2.0, 3.0]], &Device::Cpu)?;
    /// assert_eq!(BatchNorm1d::new(3)?.predict(&x)?.round()?, x);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(channels: usize) -> Result<Self> {
        let running = RunningStats {
            mean: Buffer::new(Tensor::zeros(channels, DType::F32, &Device::Cpu)?),
            var: Buffer::new(Tensor::ones(channels, DType::F32, &Device::Cpu)?),
            num_batches_tracked: Buffer::new(Tensor::new(0_i64, &Device::Cpu)?),
        };
        let (weight, bias, running_stats) = (ones(channels)?, zeros(channels)?, Some(running));
        Ok(BatchNorm { weight, bias, running_stats, channels, momentum: Some(0.1), eps: 1e-5 })
    }

    /// The same layer without w and b.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = BatchNorm1d::new(3)?.without_affine();
    /// assert!(layer.parameters().is_empty());
    /// assert_eq!(layer.state()[0].0, "running_mean");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn without_affine(self) -> Self {
        BatchNorm { weight: None, bias: None, ..self }
    }

    /// The same layer without running statistics: evaluation goes by the batch too.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = BatchNorm1d::new(1)?.without_running_stats();
    /// let y = layer.predict(&Tensor::new(&[[1_f32], [3.0]], &Device::Cpu)?)?;
    /// assert_eq!(y.round()?.to_vec2::<f32>()?, [[-1.0], [1.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "track_running_stats")]
    pub fn without_running_stats(self) -> Self {
        BatchNorm { running_stats: None, ..self }
    }

    /// The same layer with this share of a batch in the running statistics; with `None` they are the mean of all batches.
    ///
    /// # Errors
    /// A momentum outside [0, 1].
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = BatchNorm1d::new(1)?.momentum(None)?;
    /// for batch in [[[0_f32], [2.0]], [[4.0], [10.0]]] {
    ///     layer.forward(&Tensor::new(&batch, &Device::Cpu)?, &mut ForwardContext::train(Rng::seed(1)))?;
    /// }
    /// // The mean of 1 and 7.
    /// assert_eq!(layer.running_stats.as_ref().unwrap().mean.get().to_vec1::<f32>()?, [4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn momentum(self, momentum: impl Into<Option<f64>>) -> Result<Self> {
        match momentum.into() {
            Some(share) if !(0.0..=1.0).contains(&share) => {
                Err(Error::argument(Self::NAME, "a momentum from 0 to 1", share))
            }
            momentum => Ok(BatchNorm { momentum, ..self }),
        }
    }

    /// The same layer with this ε.
    ///
    /// # Errors
    /// An ε that is not above 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = BatchNorm1d::new(1)?.eps(3.0)?;
    /// let y = layer.forward(&Tensor::new(&[[1_f32], [3.0]], &Device::Cpu)?, &mut ForwardContext::train(Rng::seed(1)))?;
    /// assert_eq!(y.to_vec2::<f32>()?, [[-0.5], [0.5]]); // ±1 / √(1 + 3)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(self, eps: f64) -> Result<Self> {
        Ok(BatchNorm { eps: checked_eps(Self::NAME, eps)?, ..self })
    }

    /// n and the product of the axes after the channels.
    fn sizes(&self, x: &Tensor) -> Result<(usize, usize)> {
        let c = self.channels;
        match x.dims() {
            &[n, channels, ref rest @ ..] if channels == c && (rest.len() == D || (D, rest) == (1, &[])) => {
                Ok((n, count(rest)))
            }
            dims => {
                let expected = match D {
                    1 => format!("inputs of shape [n, {c}] or [n, {c}, l]"),
                    2 => format!("inputs of shape [n, {c}, h, w]"),
                    _ => format!("inputs of shape [n, {c}, ..] with {} axes", D + 2),
                };
                Err(Error::shape(Self::NAME, expected, &[dims]))
            }
        }
    }
}

impl<const D: usize> BatchNorm<D> {
    fn standardized(&self, x: &Tensor, ctx: &ForwardContext) -> Result<Tensor> {
        let (n, width) = self.sizes(x)?;
        let channels = per_channel(self.channels, x.rank());
        let y = match &self.running_stats {
            Some(running) if !ctx.is_training() => {
                let scale = (running.var.get() + self.eps)?.powf(-0.5)?;
                let shaped = |a: &Tensor| a.to_dtype(x.dtype())?.reshape(&channels[..]);
                ((x - shaped(&running.mean.get())?)? * shaped(&scale)?)?
            }
            running => {
                let count = n.saturating_mul(width);
                if count == 1 || (count == 0 && ctx.is_training()) {
                    let expected = "two values or more for each channel (one alone has no deviation)";
                    return Err(Error::shape(Self::NAME, expected, &[x.dims()]));
                }
                let (y, batch) = standardize(&x.reshape((n, self.channels, width))?, self.eps, true)?;
                if let (Some(running), true) = (running, ctx.is_training()) {
                    running.update(&batch.mean, &batch.variance, count, self.momentum)?;
                }
                y.reshape(x.dims())?
            }
        };
        affine(y, &self.weight, &self.bias, &channels)
    }
}

impl RunningStats {
    /// Takes in the mean and the variance (with divisor `count`) of a batch.
    fn update(&self, mean: &Tensor, variance: &Tensor, count: usize, momentum: Option<f64>) -> Result<()> {
        let batches = self.num_batches_tracked.get().to_scalar::<i64>()?.saturating_add(1);
        let share = momentum.unwrap_or(1.0 / batches as f64);
        let unbiased = (variance * (count as f64 / (count as f64 - 1.0)))?;
        no_grad(|| {
            for (own, new) in [(&self.mean, mean), (&self.var, &unbiased)] {
                let old = own.get();
                own.set(&(&old + (new.to_dtype(old.dtype())? - &old)? * share)?)?;
            }
            self.num_batches_tracked.set(&Tensor::new(batches, &Device::Cpu)?)
        })
    }
}

impl<const D: usize> Layer for BatchNorm<D> {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let (Some(running), Some(weight), Some(bias)) = (&self.running_stats, &self.weight, &self.bias)
        else {
            return self.standardized(x, ctx);
        };
        let rest = [running.mean.get(), running.var.get()];
        if ctx.is_training() || rest.iter().chain([x]).any(|tensor| tensor.dtype() != DType::F32) {
            return self.standardized(x, ctx);
        }
        let operator = ("BatchNormalization", &[("epsilon", OnnxAttribute::Float(self.eps as f32))][..]);
        one_operator(operator, x, [weight, bias], &rest, || self.standardized(x, ctx))
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.field("weight", &self.weight).field("bias", &self.bias);
        if let Some(RunningStats { mean, var, num_batches_tracked }) = &self.running_stats {
            fields.buffer("running_mean", mean).buffer("running_var", var);
            fields.buffer("num_batches_tracked", num_batches_tracked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BatchNorm1d, BatchNorm2d};
    use crate::layer::gradcheck;
    use crate::prelude::*;

    fn train() -> ForwardContext {
        ForwardContext::train(Rng::seed(1))
    }

    #[test]
    fn gradients() -> Result<()> {
        for dims in [&[5, 3][..], &[2, 3, 4]] {
            let x = Tensor::randn(0.5, 1.0, dims, &mut Rng::seed(1))?;
            for layer in [BatchNorm1d::new(3)?, BatchNorm1d::new(3)?.without_affine().without_running_stats()]
            {
                let model = Sequential::new().push(layer).push(Tanh);
                gradcheck(&model, &x, &train())?;
                gradcheck(&model, &x, &ForwardContext::eval())?;
            }
        }
        let x = Tensor::randn(0.5, 1.0, (2, 2, 2, 3), &mut Rng::seed(1))?;
        gradcheck(&Sequential::new().push(BatchNorm2d::new(2)?).push(Tanh), &x, &train())?;
        Ok(())
    }

    #[test]
    fn running_statistics() -> Result<()> {
        let x = Tensor::new(&[[1.0_f32, -4.0], [3.0, 2.0]], &Device::Cpu)?;
        let layer = BatchNorm1d::new(2)?.momentum(0.5)?;
        let names: Vec<String> = layer.state().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]);
        layer.forward(&x, &mut train())?;
        layer.predict(&x)?;
        let running = layer.running_stats.clone().unwrap();
        assert_eq!(running.mean.get().to_vec1::<f32>()?, [1.0, -0.5]);
        assert_eq!(running.var.get().to_vec1::<f32>()?, [1.5, 9.5]);
        assert_eq!(running.num_batches_tracked.get().to_scalar::<i64>()?, 1);
        // The mean of all batches: of this one and of one shifted by 2.
        let layer = BatchNorm1d::new(2)?.momentum(None)?;
        layer.forward(&x, &mut train())?;
        layer.forward(&(&x + 2.0)?, &mut train())?;
        assert_eq!(layer.running_stats.clone().unwrap().mean.get().to_vec1::<f32>()?, [3.0, 0.0]);
        // A model that is only run keeps no history in its buffers, and without them the batch decides.
        let layer = layer.without_running_stats();
        assert_eq!(layer.state().len(), 2);
        let y = layer.predict(&x)?.to_vec2::<f32>()?;
        assert!((y[0][0] + 1.0).abs() < 1e-4 && (y[1][1] - 1.0).abs() < 1e-4, "{y:?}");
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        let layer = BatchNorm1d::new(16)?;
        let error = layer.predict(&zeros(&[2, 3])?).unwrap_err();
        let message = "batch_norm1d: expected inputs of shape [n, 16] or [n, 16, l], got [2, 3]";
        assert_eq!(error.to_string(), message);
        assert!(layer.predict(&zeros(&[2, 16, 2, 2])?).is_err());
        let error = layer.forward(&zeros(&[1, 16])?, &mut train()).unwrap_err();
        let message = "batch_norm1d: expected two values or more for each channel (one alone has no deviation), \
                       got [1, 16]";
        assert_eq!(error.to_string(), message);
        assert!(layer.forward(&zeros(&[0, 16, 2])?, &mut train()).is_err());
        assert_eq!(layer.running_stats.as_ref().unwrap().num_batches_tracked.get().to_scalar::<i64>()?, 0);
        assert_eq!(layer.predict(&zeros(&[1, 16])?)?.dims(), [1, 16]);
        assert_eq!(layer.predict(&zeros(&[0, 16])?)?.dims(), [0, 16]);
        let half = zeros(&[4, 16])?.to_dtype(DType::F16)?;
        assert_eq!(layer.clone().without_affine().forward(&half, &mut train())?.dtype(), DType::F16);
        assert!(BatchNorm2d::new(3)?.predict(&zeros(&[2, 3, 4])?).is_err());
        assert!(layer.clone().momentum(1.5).is_err() && layer.eps(0.0).is_err());
        Ok(())
    }
}
