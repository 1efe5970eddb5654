//! Batch normalization.

use candle_core::{DType, Device};

use super::synchronized::synchronized;
use super::{affine, checked_eps, one_operator, ones, per_channel, zeros};
use crate::autograd::array::{converted, count};
use crate::autograd::launch::launch;
use crate::autograd::{OnnxAttribute, Tensor, no_grad, trace};
use crate::error::{Error, Result};
use crate::kernel;
use crate::layer::{Buffer, Fields, ForwardContext, Layer, Parameter};
use crate::ops::{standardize, standardize_affine};

/// Normalizes each channel over the batch and the D axes after the channels to mean 0 and variance 1, then scales and
/// shifts it. Use it as [`BatchNorm1d`] or [`BatchNorm2d`].
///
/// # Shapes
/// (n, channels) or (n, channels, l), images (n, channels, h, w); the shape stays.
///
/// # Formula
/// y = ŷ·w + b with ŷ = (x − mean) / √(var + ε). Training: mean and var (with divisor n) are those of the batch, and the
/// running ones r become (1 − momentum)·r + momentum·(those of the batch; var with divisor n − 1). Evaluation, and training with
/// frozen statistics ([`Layer::freeze_buffers`]): the running ones. Where a trainer cuts the batch into shards, a batch is one of them, or all
/// together: `Trainer::sync_batch_norm`.
///
/// # Gradient
/// Training: (h − mean h − ŷ·mean h·ŷ) / √(var + ε) for x, with h = g·w. Evaluation: h / √(var + ε). Σ g·ŷ for w, Σ g for b.
///
/// # Errors
/// Errors in training mode if a channel has fewer than two elements: one element has no deviation.
///
/// # Source
/// S. Ioffe and C. Szegedy 2015
///
/// ```
/// use tealight::prelude::*;
/// let (layer, x) = (BatchNorm2d::new(3)?, Tensor::randn(5.0, 2.0, (4, 3, 8, 8), &mut Rng::seed(1))?);
/// let y = layer.forward(&x, &mut ForwardContext::train(Rng::seed(2)))?;
/// assert!(y.mean_all()?.to_scalar::<f32>()?.abs() < 1e-6);
/// // The running mean started at 0, and moved by a tenth towards 5.
/// let mean = layer.running_stats.unwrap().mean.get();
/// assert!((mean.mean_all()?.to_scalar::<f32>()? - 0.5).abs() < 0.05);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "BatchNormalization")]
#[derive(Clone, Debug)]
pub struct BatchNorm<const D: usize> {
    /// w, (channels), initially ones.
    pub weight: Option<Parameter>,
    /// b, (channels), initially zeros.
    pub bias: Option<Parameter>,
    /// The statistics used in evaluation mode; without them it uses those of the batch.
    pub running_stats: Option<RunningStats>,
    channels: usize,
    momentum: Option<f64>,
    eps: f64,
}

/// [`BatchNorm`] of (n, channels) or (n, channels, l).
pub type BatchNorm1d = BatchNorm<1>;

/// [`BatchNorm`] of images (n, channels, h, w).
pub type BatchNorm2d = BatchNorm<2>;

/// The statistics that a [`BatchNorm`] gathers in training mode.
#[derive(Clone, Debug)]
pub struct RunningStats {
    /// (channels), initially zeros.
    pub mean: Buffer,
    /// (channels), with divisor n − 1, initially ones.
    pub var: Buffer,
    /// The number of training batches seen, an i64.
    pub num_batches_tracked: Buffer,
}

impl<const D: usize> BatchNorm<D> {
    const NAME: &'static str = match D {
        1 => "batch_norm1d",
        2 => "batch_norm2d",
        _ => "batch_norm",
    };

    /// A layer for `channels` channels, in f32.
    pub fn new(channels: usize) -> Result<Self> {
        let running_stats = RunningStats {
            mean: Buffer::new(Tensor::zeros(channels, DType::F32, &Device::Cpu)?),
            var: Buffer::new(Tensor::ones(channels, DType::F32, &Device::Cpu)?),
            num_batches_tracked: Buffer::new(Tensor::new(0_i64, &Device::Cpu)?),
        };
        let (weight, bias, running_stats) = (ones(channels)?, zeros(channels)?, Some(running_stats));
        Ok(BatchNorm { weight, bias, running_stats, channels, momentum: Some(0.1), eps: 1e-5 })
    }

    /// Removes w and b.
    pub fn without_affine(self) -> Self {
        BatchNorm { weight: None, bias: None, ..self }
    }

    /// Removes the running statistics: evaluation mode uses those of the batch too.
    #[doc(alias = "track_running_stats")]
    pub fn without_running_stats(self) -> Self {
        BatchNorm { running_stats: None, ..self }
    }

    /// Sets the weight of a batch in the running statistics; with `None` they are the average of all batches. Default:
    /// `0.1`.
    ///
    /// # Errors
    /// Errors if `momentum` is outside [0, 1].
    pub fn momentum(self, momentum: impl Into<Option<f64>>) -> Result<Self> {
        match momentum.into() {
            Some(momentum) if !(0.0..=1.0).contains(&momentum) => {
                Err(Error::argument(Self::NAME, "a momentum from 0 to 1", momentum))
            }
            momentum => Ok(BatchNorm { momentum, ..self }),
        }
    }

    /// Sets ε. Default: `1e-5`.
    ///
    /// # Errors
    /// Errors if `eps` is not above 0.
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

    fn standardized(&self, x: &Tensor, ctx: &ForwardContext) -> Result<Tensor> {
        let (n, width) = self.sizes(x)?;
        let channels = per_channel(self.channels, x.rank());
        let y = match &self.running_stats {
            Some(running) if !ctx.is_training() || running.are_frozen() => {
                let scale = (running.var.get() + self.eps)?.powf(-0.5)?;
                let shaped = |a: &Tensor| a.to_dtype(x.dtype())?.reshape(&channels[..]);
                ((x - shaped(&running.mean.get())?)? * shaped(&scale)?)?
            }
            running => {
                let (flat, own) = (x.reshape((n, self.channels, width))?, n.saturating_mul(width));
                let peer = ctx.peer().filter(|_| ctx.is_training() && own > 0);
                if peer.is_none() && (own == 1 || (own == 0 && ctx.is_training())) {
                    let expected = "two values or more for each channel (one alone has no deviation; DataLoader::drop_last \
                                    leaves out a last batch of one)";
                    return Err(Error::shape(Self::NAME, expected, &[x.dims()]));
                }
                let affine = self.weight.as_ref().zip(self.bias.as_ref()).filter(|_| peer.is_none());
                let (y, batch, count) = match (peer, affine) {
                    (Some(peer), _) => synchronized(&flat, self.eps, peer)?,
                    (None, Some((weight, bias))) => {
                        let (y, batch) = standardize_affine(&flat, [&weight.get(), &bias.get()], self.eps)?;
                        (y, batch, own)
                    }
                    (None, None) => {
                        let (y, batch) = standardize(&flat, self.eps, true)?;
                        (y, batch, own)
                    }
                };
                // Of the shards of a process, one keeps the statistics.
                let keeps = ctx.is_training() && peer.is_none_or(|peer| peer.is_first());
                if let (Some(running), true) = (running, keeps) {
                    running.update(&batch.mean, &batch.variance, count, self.momentum)?;
                }
                let y = y.reshape(x.dims())?;
                if affine.is_some() {
                    return Ok(y);
                }
                y
            }
        };
        affine(y, &self.weight, &self.bias, &channels)
    }
}

impl RunningStats {
    /// Whether training uses them as they are, as evaluation does: after [`Layer::freeze_buffers`].
    fn are_frozen(&self) -> bool {
        self.mean.is_frozen() || self.var.is_frozen()
    }

    /// Updates them with the mean and the variance (with divisor `count`) of a batch.
    fn update(&self, mean: &Tensor, variance: &Tensor, count: usize, momentum: Option<f64>) -> Result<()> {
        let tracked = self.num_batches_tracked.get();
        if tracked.dtype() != DType::I64 {
            return Err(Error::dtype("batch_norm", "num_batches_tracked of dtype i64", &[tracked.dtype()]));
        }
        let batches =
            launch("next_batch", [&tracked.array().to_device(&Device::Cpu)?], tracked.dims(), |[n]| {
                kernel::collected(1, n.elements::<i64>().iter().map(|n| n.saturating_add(1)))
            })?;
        let unbiased = (variance * (count as f64 / (count as f64 - 1.0)))?;
        no_grad(|| {
            for (own, new) in [(&self.mean, mean), (&self.var, &unbiased)] {
                let old = own.get();
                let step = (new.to_dtype(old.dtype())? - &old)?;
                let step = match momentum {
                    Some(share) => step * share,
                    None => {
                        let share = launch("share", [&batches], tracked.dims(), |[n]| {
                            kernel::collected(1, n.elements::<i64>().iter().map(|&n| 1.0 / n as f64))
                        });
                        step * Tensor::from(converted(&share?, old.dtype())?.to_device(old.device())?)
                    }
                };
                own.set(&(&old + step)?)?;
            }
            self.num_batches_tracked.set(&Tensor::from(batches).to_device(tracked.device())?)
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
        if (ctx.is_training() && !running.are_frozen())
            || rest.iter().chain([x]).any(|tensor| !trace::is_f32(tensor.dtype()))
        {
            return self.standardized(x, ctx);
        }
        let operator = ("BatchNormalization", &[("epsilon", OnnxAttribute::Float(self.eps as f32))][..]);
        one_operator(operator, x, [weight, bias], &rest, || self.standardized(x, ctx))
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.field("weight", &self.weight).field("bias", &self.bias);
        if let Some(stats) = &self.running_stats {
            fields.buffer("running_mean", &stats.mean).buffer("running_var", &stats.var);
            fields.buffer("num_batches_tracked", &stats.num_batches_tracked);
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
            let x = Tensor::randn_dtype(0.5, 1.0, dims, DType::F64, &mut Rng::seed(1))?;
            for layer in [BatchNorm1d::new(3)?, BatchNorm1d::new(3)?.without_affine().without_running_stats()]
            {
                let model = Sequential::new().push(layer).push(Tanh);
                gradcheck(&model, &x, &train())?;
                gradcheck(&model, &x, &ForwardContext::eval())?;
            }
        }
        let x = Tensor::randn_dtype(0.5, 1.0, (2, 2, 2, 3), DType::F64, &mut Rng::seed(1))?;
        gradcheck(&Sequential::new().push(BatchNorm2d::new(2)?).push(Tanh), &x, &train())?;
        Ok(())
    }

    #[test]
    fn running_statistics() -> Result<()> {
        let x = Tensor::new(&[[1.0_f32, -4.0], [3.0, 2.0]], &Device::Cpu)?;
        let layer = BatchNorm1d::new(2)?.momentum(0.5)?;
        let names: Vec<String> = layer.state_dict().into_iter().map(|(name, _)| name).collect();
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
        assert_eq!(layer.state_dict().len(), 2);
        let y = layer.predict(&x)?.to_vec2::<f32>()?;
        assert!((y[0][0] + 1.0).abs() < 1e-4 && (y[1][1] - 1.0).abs() < 1e-4, "{y:?}");
        Ok(())
    }

    #[test]
    fn frozen_statistics() -> Result<()> {
        let x = Tensor::randn_dtype(0.5, 1.0, (5, 3), DType::F64, &mut Rng::seed(1))?;
        let layer = BatchNorm1d::new(3)?;
        layer.to_dtype(DType::F64)?;
        layer.forward(&x, &mut train())?;
        let before = layer.running_stats.as_ref().unwrap().mean.get();
        let model = Sequential::new().push(layer).push(Tanh);
        assert_eq!(model.freeze_buffers("0.running_*")?, 2);
        // As in evaluation, a batch of one too; the parameters learn.
        for x in [&x, &x.i(..1)?] {
            assert_eq!(model.forward(x, &mut train())?, model.predict(x)?);
        }
        gradcheck(&model, &x, &train())?;
        let gradients = model.forward(&x, &mut train())?.sum_all()?.backward()?;
        assert!(gradients.get(&model.parameters()[0].1.get()).is_some());
        assert_eq!(model.state_dict()[2].1.get(), before);
        model.unfreeze_buffers("*")?;
        model.forward(&x, &mut train())?;
        assert_ne!(model.state_dict()[2].1.get(), before);
        let error = model.freeze_buffers("0.weight").unwrap_err().to_string();
        let expected =
            "a pattern that matches a buffer (0.running_mean, 0.running_var, 0.num_batches_tracked)";
        assert_eq!(error, format!("freeze_buffers: expected {expected}, got \"0.weight\""));
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
        let message = "batch_norm1d: expected two values or more for each channel (one alone has no deviation; \
                       DataLoader::drop_last leaves out a last batch of one), got [1, 16]";
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
