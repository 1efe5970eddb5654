//! Statistics of all shards of a batch.

use std::sync::Arc;

use candle_core::{DType, Device};

use crate::autograd::{Array, Op, SaveContext, Saved, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::Peer;
use crate::ops::{Statistics, standardize};

/// y = (x − mean)·scale, with the statistics of all shards, whose gradient needs sums over all of them, too.
#[derive(Debug)]
struct Synchronized {
    y: Array,
    /// (1, channels, 1).
    scale: Tensor,
    count: f64,
    peer: Arc<Peer>,
}

/// The sum of each channel, as f64.
fn sums(x: &Tensor) -> Result<Vec<f64>> {
    x.sum_keepdim(2)?.sum_keepdim(0)?.flatten(0, -1)?.to_dtype(DType::F64)?.to_vec1()
}

/// One number for each channel, as (1, channels, 1) and like `x`.
fn per_channel(numbers: Vec<f64>, x: &Tensor) -> Result<Tensor> {
    let count = numbers.len();
    Tensor::from_vec(numbers, (1, count, 1), &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())
}

impl Op<1> for Synchronized {
    const NAME: &'static str = "sync_batch_norm";

    fn forward(&self, _: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_output();
        Ok(self.y.clone())
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        if saved.recording() {
            let reason = "it has no second derivative, since the other shards would have to take part";
            return Err(Error::no_gradient(Self::NAME, reason));
        }
        let y = saved.output()?;
        let own = [sums(grad)?, sums(&(grad * &y)?)?].concat();
        let mut total = vec![0.0; own.len()];
        for shard in self.peer.all_gather(own)? {
            total.iter_mut().zip(shard).for_each(|(total, x)| *total += x / self.count);
        }
        let slopes = total.split_off(total.len() / 2);
        let centred = ((grad - per_channel(total, grad)?)? - y * per_channel(slopes, grad)?)?;
        Ok([Some((centred * &self.scale)?)])
    }
}

/// [`standardize`] of x, (n, channels, l), by the statistics of all shards, and the number of elements of a channel in all of them.
pub(super) fn synchronized(x: &Tensor, eps: f64, peer: &Arc<Peer>) -> Result<(Tensor, Statistics, usize)> {
    if matches!(x.dtype(), DType::F16 | DType::BF16) {
        let (y, statistics, count) = synchronized(&x.to_dtype(DType::F32)?, eps, peer)?;
        return Ok((y.to_dtype(x.dtype())?, statistics, count));
    }
    let channels = x.dims()[1];
    let (y, scale, statistics, count) = no_grad(|| {
        let (_, own) = standardize(x, eps, true)?;
        let [mean, variance] = [&own.mean, &own.variance].map(|x| x.to_dtype(DType::F64)?.to_vec1::<f64>());
        let count = x.elem_count().checked_div(channels).unwrap_or(0);
        let shards = peer.all_gather([vec![count as f64], mean?, variance?].concat())?;
        // As T. Chan, G. Golub and R. LeVeque combine them, in the order of the shards.
        let (mut all, mut mean, mut squares) = (0.0, vec![0.0; channels], vec![0.0; channels]);
        for shard in shards {
            let (&count, moments) = shard.split_first().expect("a shard says its count");
            let (means, variances) = moments.split_at(channels);
            all += count;
            for (c, (other, variance)) in means.iter().zip(variances).enumerate() {
                let far = other - mean[c];
                mean[c] += far * count / all;
                squares[c] += variance * count + far * far * count * (all - count) / all;
            }
        }
        let variance: Vec<f64> = squares.iter().map(|squares| squares / all).collect();
        let scale = per_channel(variance.iter().map(|variance| 1.0 / (variance + eps).sqrt()).collect(), x)?;
        let (mean, variance) = (per_channel(mean, x)?, per_channel(variance, x)?);
        let y = ((x - &mean)? * &scale)?;
        let statistics = Statistics { mean: mean.flatten(0, -1)?, variance: variance.flatten(0, -1)? };
        Ok::<_, Error>((y, scale, statistics, all as usize))
    })?;
    let y =
        Synchronized { y: y.array().clone(), scale, count: count as f64, peer: peer.clone() }.apply([x])?;
    Ok((y, statistics, count))
}
