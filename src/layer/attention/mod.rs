//! Attention, and the encoder layer of a transformer.

mod encoder;
mod mask;

pub use encoder::TransformerEncoderLayer;
pub use mask::AttentionMask;

use super::dropout::{dropped, probability};
use super::{ForwardContext, Layer, Linear, Parameter, init};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

const NAME: &str = "multi_head_attention";

/// Multi-head attention. As a [`Layer`] it is self-attention: queries, keys and values are all x.
///
/// # Shapes
/// Queries (n, t, e), keys and values (n, s, e) to (n, t, e), with e = `width`
///
/// # Formula
/// softmax(Q·Kᵀ/√d)·V for each head, where its Q, K and V are d = e/heads of the features of W·x + b; the heads are
/// concatenated and go through a linear layer.
///
/// # Source
/// A. Vaswani et al. 2017; parameters, their names and initial values are PyTorch's.
///
/// ```
/// use tealight::layer::{AttentionMask, MultiHeadAttention};
/// use tealight::prelude::*;
/// let layer = MultiHeadAttention::new(8, 2, &mut Rng::seed(1))?;
/// let x = Tensor::ones((3, 5, 8), DType::F32, &Device::Cpu)?;
/// let (y, weights) = layer.attend(&x, &x, &x, &AttentionMask::new().causal(), &mut ForwardContext::eval())?;
/// assert_eq!((y.dims(), weights.dims()), (&[3, 5, 8][..], &[3, 2, 5, 5][..]));
/// // The first query sees only the first key.
/// assert_eq!(weights.i((0, 0, 0))?.to_vec1::<f32>()?, [1.0, 0.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    /// W for queries, keys and values, stacked, (3e, e).
    pub in_proj_weight: Parameter,
    /// b for queries, keys and values, (3e).
    pub in_proj_bias: Option<Parameter>,
    /// From the concatenated heads to the output.
    pub out_proj: Linear,
    width: usize,
    heads: usize,
    dropout: f64,
}

impl MultiHeadAttention {
    /// A layer for `width` features, in f32; each head has width / heads of them.
    ///
    /// # Errors
    /// Errors if `heads` does not divide `width`.
    pub fn new(width: usize, heads: usize, rng: &mut Rng) -> Result<Self> {
        if width == 0 || !width.is_multiple_of(heads) {
            let got = format!("a width of {width} and {heads} heads");
            return Err(Error::argument(NAME, "a width that the heads divide", got));
        }
        let all = width.saturating_mul(3);
        let in_proj_weight = Parameter::new(init::xavier_uniform((all, width), init::gain::LINEAR, rng)?);
        let in_proj_bias = Some(Parameter::new(init::constant(all, 0.0)?));
        let bias = Some(Parameter::new(init::constant(width, 0.0)?));
        let out_proj = Linear { bias, ..Linear::new(width, width, rng)? };
        Ok(MultiHeadAttention { in_proj_weight, in_proj_bias, out_proj, width, heads, dropout: 0.0 })
    }

    /// Removes the biases.
    pub fn without_bias(self) -> Self {
        MultiHeadAttention { in_proj_bias: None, out_proj: self.out_proj.without_bias(), ..self }
    }

    /// Sets the probability that an attention weight is zeroed while training. Default: `0`.
    ///
    /// # Errors
    /// Errors if it is outside [0, 1].
    pub fn dropout(self, dropout: f64) -> Result<Self> {
        Ok(MultiHeadAttention { dropout: probability(NAME, dropout)?, ..self })
    }

    /// The output and the attention weights.
    ///
    /// # Shapes
    /// Queries (n, t, e), keys and values (n, s, e) to outputs (n, t, e) and weights (n, heads, t, s)
    ///
    /// # Errors
    /// Errors if s is 0, if the mask has another shape, or if it hides all keys from a query.
    #[doc(alias = "need_weights")]
    pub fn attend(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: &AttentionMask,
        ctx: &mut ForwardContext,
    ) -> Result<(Tensor, Tensor)> {
        let (&[n, t, q], &[n_key, s, k]) = (query.dims(), key.dims()) else {
            return Err(self.mismatch(&[query, key, value]));
        };
        if n != n_key || q != self.width || k != self.width || key.dims() != value.dims() || s == 0 {
            return Err(self.mismatch(&[query, key, value]));
        }
        let width = self.width / self.heads;
        let weight = self.in_proj_weight.get();
        let bias = self.in_proj_bias.as_ref().map(Parameter::get);
        // (n, heads, positions, width)
        let projected = |x: &Tensor, row: usize| -> Result<Tensor> {
            let mut y = x.matmul(&weight.narrow(0, row * self.width, self.width)?.t()?)?;
            if let Some(bias) = &bias {
                y = (y + bias.narrow(0, row * self.width, self.width)?)?;
            }
            y.reshape((n, x.dims()[1], self.heads, width))?.transpose(1, 2)
        };
        let query = (projected(query, 0)? * (1.0 / (width as f64).sqrt()))?;
        let scores = query.matmul(&projected(key, 1)?.t()?)?;
        let weights = mask.apply(scores)?.softmax(-1)?;
        let weights = dropped(NAME, &weights, weights.dims(), self.dropout, ctx)?;
        let heads = weights.matmul(&projected(value, 2)?)?;
        let joined = heads.transpose(1, 2)?.reshape((n, t, self.width))?;
        Ok((ctx.call("out_proj", &self.out_proj, &joined)?, weights))
    }

    fn mismatch(&self, got: &[&Tensor; 3]) -> Error {
        let e = self.width;
        let expected = format!("queries [n, t, {e}], keys and values [n, s, {e}] with s > 0");
        Error::shape(NAME, expected, &got.map(Tensor::dims))
    }
}

impl Layer for MultiHeadAttention {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        Ok(self.attend(x, x, x, &AttentionMask::new(), ctx)?.0)
    }

    crate::fields!(in_proj_weight, in_proj_bias, out_proj);
}

#[cfg(test)]
mod tests;
