//! The encoder layer of a transformer.

use std::fmt;

use super::{AttentionMask, MultiHeadAttention};
use crate::activation::Relu;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::layer::dropout::{dropped, probability};
use crate::layer::{ForwardContext, Layer, LayerNorm, Linear};
use crate::ops::Rng;

const NAME: &str = "transformer_encoder_layer";

/// Self-attention and two linear layers, each with a residual connection, dropout and layer normalization.
///
/// # Shapes
/// (n, t, e); the shape stays.
///
/// # Formula
/// a = norm1(x + attention(x)), y = norm2(a + linear2(f(linear1(a)))). With
/// [`norm_first`](TransformerEncoderLayer::norm_first) a = x + attention(norm1(x)), y = a + linear2(f(linear1(norm2(a)))).
///
/// # Source
/// A. Vaswani et al. 2017; parameters, their names and initial values are PyTorch's.
///
/// ```
/// use tealight::layer::TransformerEncoderLayer;
/// use tealight::prelude::*;
/// let layer = TransformerEncoderLayer::new(8, 2, 32, &mut Rng::seed(1))?.activation(Gelu).norm_first();
/// let x = Tensor::ones((3, 5, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [3, 5, 8]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct TransformerEncoderLayer {
    /// The self-attention.
    pub self_attn: MultiHeadAttention,
    /// From e to the feed-forward width.
    pub linear1: Linear,
    /// From the feed-forward width to e.
    pub linear2: Linear,
    /// The normalization of the attention.
    pub norm1: LayerNorm,
    /// The normalization of the linear layers.
    pub norm2: LayerNorm,
    activation: Box<dyn Layer>,
    dropout: f64,
    norm_first: bool,
}

impl TransformerEncoderLayer {
    /// A layer for `width` features, in f32.
    ///
    /// # Errors
    /// Errors if `heads` does not divide `width`.
    pub fn new(width: usize, heads: usize, feed_forward: usize, rng: &mut Rng) -> Result<Self> {
        let layer = TransformerEncoderLayer {
            self_attn: MultiHeadAttention::new(width, heads, rng)?,
            linear1: Linear::new(width, feed_forward, rng)?,
            linear2: Linear::new(feed_forward, width, rng)?,
            norm1: LayerNorm::new(width)?,
            norm2: LayerNorm::new(width)?,
            activation: Box::new(Relu),
            dropout: 0.0,
            norm_first: false,
        };
        layer.dropout(0.1)
    }

    /// Sets the probability of dropout: of the attention weights, after the attention, and after each of the linear layers. Default:
    /// `0.1`.
    ///
    /// # Errors
    /// Errors if it is outside [0, 1].
    pub fn dropout(self, dropout: f64) -> Result<Self> {
        let dropout = probability(NAME, dropout)?;
        Ok(TransformerEncoderLayer { self_attn: self.self_attn.dropout(dropout)?, dropout, ..self })
    }

    /// Normalizes before the attention and the linear layers, not after their residual connections.
    pub fn norm_first(self) -> Self {
        TransformerEncoderLayer { norm_first: true, ..self }
    }

    /// Sets f. Default: relu.
    pub fn activation(self, activation: impl Layer + 'static) -> Self {
        TransformerEncoderLayer { activation: Box::new(activation), ..self }
    }

    /// The output for x with a mask for the self-attention.
    ///
    /// # Errors
    /// Errors if the mask has another shape, or if it hides all positions from one.
    #[doc(alias = "src_mask")]
    pub fn encode(&self, x: &Tensor, mask: &AttentionMask, ctx: &mut ForwardContext) -> Result<Tensor> {
        if self.norm_first {
            let a = (x + self.attention(&ctx.call("norm1", &self.norm1, x)?, mask, ctx)?)?;
            let b = ctx.call("norm2", &self.norm2, &a)?;
            a + self.feed_forward(&b, ctx)?
        } else {
            let a = (x + self.attention(x, mask, ctx)?)?;
            let a = ctx.call("norm1", &self.norm1, &a)?;
            let b = (&a + self.feed_forward(&a, ctx)?)?;
            ctx.call("norm2", &self.norm2, &b)
        }
    }

    fn attention(&self, x: &Tensor, mask: &AttentionMask, ctx: &mut ForwardContext) -> Result<Tensor> {
        let (y, _) = self.self_attn.attend(x, x, x, mask, ctx)?;
        dropped(NAME, &y, y.dims(), self.dropout, ctx)
    }

    fn feed_forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let wide = ctx.call("linear1", &self.linear1, x)?;
        let wide = self.activation.forward(&wide, ctx)?;
        let wide = dropped(NAME, &wide, wide.dims(), self.dropout, ctx)?;
        let y = ctx.call("linear2", &self.linear2, &wide)?;
        dropped(NAME, &y, y.dims(), self.dropout, ctx)
    }
}

impl Layer for TransformerEncoderLayer {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        self.encode(x, &AttentionMask::new(), ctx)
    }

    crate::fields!(self_attn, linear1, linear2, norm1, norm2, activation);
}

impl fmt::Debug for TransformerEncoderLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (&self.self_attn, &self.linear1, &self.norm_first);
        write!(f, "TransformerEncoderLayer{fields:?}")
    }
}
