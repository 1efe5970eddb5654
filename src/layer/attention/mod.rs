//! Attention, and the layer of a transformer.

mod encoder;
mod mask;

pub use encoder::TransformerEncoderLayer;
pub use mask::AttentionMask;

use super::dropout::{dropped, probability};
use super::{Fields, ForwardContext, Layer, Linear, Parameter, init};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

const NAME: &str = "multi_head_attention";

/// For each query the values whose keys fit it, in several ways at once.
///
/// # Shapes
/// Queries (n, t, e), keys and values (n, s, e) to (n, t, e)
///
/// # Formula
/// softmax(Q·Kᵀ/√(e/heads))·V for each head, its Q, K and V being e/heads numbers of W·x + b; of the heads side by side a
/// linear layer makes the output
///
/// # Gradient
/// That of the operations that it is made of.
///
/// # Errors
/// Inputs of other shapes; masks that do not fit, or that leave a query without a key.
///
/// # Source
/// A. Vaswani and others 2017; parameters, names and first values are PyTorch's.
///
/// ```
/// use tealight::layer::{AttentionMask, MultiHeadAttention};
/// use tealight::prelude::*;
/// let layer = MultiHeadAttention::new(8, 2, &mut Rng::seed(1))?;
/// let x = Tensor::ones((3, 5, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [3, 5, 8]);
/// let (y, weights) = layer.attend(&x, &x, &x, &AttentionMask::new().causal(), &mut ForwardContext::eval())?;
/// assert_eq!((y.dims(), weights.dims()), (&[3, 5, 8][..], &[3, 2, 5, 5][..]));
/// // The first query sees the first key alone.
/// assert_eq!(weights.i((0, 0, 0))?.to_vec1::<f32>()?, [1.0, 0.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    /// For queries, keys and values one below the other, (3e, e).
    pub in_proj_weight: Parameter,
    /// (3e)
    pub in_proj_bias: Option<Parameter>,
    /// From the heads side by side to the output.
    pub out_proj: Linear,
    width: usize,
    heads: usize,
    dropout: f64,
}

impl MultiHeadAttention {
    /// A layer for `width` numbers at each place, in f32; each head has width / heads of them.
    ///
    /// # Errors
    /// A width that the heads do not divide; sizes that do not fit in memory.
    ///
    /// ```
    /// use tealight::layer::MultiHeadAttention;
    /// use tealight::prelude::*;
    /// let layer = MultiHeadAttention::new(8, 2, &mut Rng::seed(1))?;
    /// assert_eq!(layer.in_proj_weight.get().dims(), [24, 8]);
    /// let error = MultiHeadAttention::new(8, 3, &mut Rng::seed(1)).unwrap_err().to_string();
    /// assert!(error.ends_with("expected a width that the heads divide, got a width of 8 and 3 heads"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

    /// The same layer without biases.
    ///
    /// ```
    /// use tealight::layer::MultiHeadAttention;
    /// use tealight::prelude::*;
    /// let layer = MultiHeadAttention::new(8, 2, &mut Rng::seed(1))?.without_bias();
    /// let names: Vec<String> = layer.parameters().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["in_proj_weight", "out_proj.weight"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn without_bias(self) -> Self {
        MultiHeadAttention { in_proj_bias: None, out_proj: self.out_proj.without_bias(), ..self }
    }

    /// The same layer, with this probability that a query leaves out a key while training.
    ///
    /// # Errors
    /// A probability outside [0, 1].
    ///
    /// ```
    /// use tealight::layer::{AttentionMask, MultiHeadAttention};
    /// use tealight::prelude::*;
    /// let layer = MultiHeadAttention::new(4, 1, &mut Rng::seed(1))?.dropout(0.5)?;
    /// let x = Tensor::ones((1, 2, 4), DType::F32, &Device::Cpu)?;
    /// let ctx = &mut ForwardContext::train(Rng::seed(2));
    /// let (_, weights) = layer.attend(&x, &x, &x, &AttentionMask::new(), ctx)?;
    /// // Each half is left out or doubled.
    /// assert!(weights.flatten(0, -1)?.to_vec1::<f32>()?.iter().all(|&w| w == 0.0 || w == 1.0));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn dropout(self, dropout: f64) -> Result<Self> {
        Ok(MultiHeadAttention { dropout: probability(NAME, dropout)?, ..self })
    }

    /// The output for these queries, keys and values, and how much of each value was taken, (n, heads, t, s).
    ///
    /// # Shapes
    /// Queries (n, t, e), keys and values (n, s, e) to outputs (n, t, e) and weights (n, heads, t, s)
    ///
    /// # Errors
    /// Inputs of other shapes; masks that do not fit, or that leave a query without a key.
    ///
    /// ```
    /// use tealight::layer::{AttentionMask, MultiHeadAttention};
    /// use tealight::prelude::*;
    /// let layer = MultiHeadAttention::new(8, 2, &mut Rng::seed(1))?;
    /// let query = Tensor::ones((3, 4, 8), DType::F32, &Device::Cpu)?;
    /// let text = Tensor::ones((3, 5, 8), DType::F32, &Device::Cpu)?;
    /// let (y, weights) = layer.attend(&query, &text, &text, &AttentionMask::new(), &mut ForwardContext::eval())?;
    /// assert_eq!((y.dims(), weights.dims()), (&[3, 4, 8][..], &[3, 2, 4, 5][..]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
        // (n, heads, places, width)
        let projected = |x: &Tensor, part: usize| -> Result<Tensor> {
            let mut y = x.matmul(&weight.narrow(0, part * self.width, self.width)?.t()?)?;
            if let Some(bias) = &bias {
                y = (y + bias.narrow(0, part * self.width, self.width)?)?;
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
    /// The attention of x to itself.
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        Ok(self.attend(x, x, x, &AttentionMask::new(), ctx)?.0)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.field("in_proj_weight", &self.in_proj_weight).field("in_proj_bias", &self.in_proj_bias);
        fields.layer("out_proj", &self.out_proj);
    }
}

#[cfg(test)]
mod tests;
