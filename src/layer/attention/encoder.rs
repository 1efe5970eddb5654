//! The encoder layer of a transformer.

use std::fmt;

use super::{AttentionMask, MultiHeadAttention};
use crate::activation::Relu;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::layer::dropout::{dropped, probability};
use crate::layer::{Fields, ForwardContext, Layer, LayerNorm, Linear};
use crate::ops::Rng;

const NAME: &str = "transformer_encoder_layer";

/// Attention and two linear layers, each with a way around it and a normalisation.
///
/// # Shapes
/// (n, t, e); the shape stays.
///
/// # Formula
/// a = norm1(x + attention(x)), y = norm2(a + linear2(f(linear1(a)))); if the norms come first, a = x +
/// attention(norm1(x)), y = a + linear2(f(linear1(norm2(a))))
///
/// # Gradient
/// That of the layers that it is made of.
///
/// # Errors
/// Inputs of another shape; masks that do not fit.
///
/// # Source
/// A. Vaswani and others 2017; names and first values are PyTorch's.
///
/// ```
/// use tealight::layer::TransformerEncoderLayer;
/// use tealight::prelude::*;
/// let layer = TransformerEncoderLayer::new(8, 2, 32, &mut Rng::seed(1))?.norm_first();
/// let x = Tensor::ones((3, 5, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [3, 5, 8]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct TransformerEncoderLayer {
    /// The attention.
    pub self_attn: MultiHeadAttention,
    /// From e numbers to the feed-forward width.
    pub linear1: Linear,
    /// And back.
    pub linear2: Linear,
    /// Of the attention.
    pub norm1: LayerNorm,
    /// Of the two linear layers.
    pub norm2: LayerNorm,
    activation: Box<dyn Layer>,
    dropout: f64,
    norm_first: bool,
}

impl TransformerEncoderLayer {
    /// A layer for `width` numbers at each place, in f32, with relu and dropout 0.1.
    ///
    /// # Errors
    /// A width that the heads do not divide; sizes that do not fit in memory.
    ///
    /// ```
    /// use tealight::layer::TransformerEncoderLayer;
    /// use tealight::prelude::*;
    /// let layer = TransformerEncoderLayer::new(8, 2, 32, &mut Rng::seed(1))?;
    /// assert_eq!(layer.linear1.weight.get().dims(), [32, 8]);
    /// assert_eq!(layer.linear2.weight.get().dims(), [8, 32]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

    /// The same layer with this dropout: of the attention, after it, and after each of the linear layers.
    ///
    /// # Errors
    /// A probability outside [0, 1].
    ///
    /// ```
    /// use tealight::layer::TransformerEncoderLayer;
    /// use tealight::prelude::*;
    /// let layer = TransformerEncoderLayer::new(8, 2, 32, &mut Rng::seed(1))?.dropout(0.0)?;
    /// let x = Tensor::ones((1, 5, 8), DType::F32, &Device::Cpu)?;
    /// // Nothing is left to chance, so training gives what evaluation gives.
    /// assert_eq!(layer.forward(&x, &mut ForwardContext::train(Rng::seed(2)))?, layer.predict(&x)?);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn dropout(self, dropout: f64) -> Result<Self> {
        let dropout = probability(NAME, dropout)?;
        Ok(TransformerEncoderLayer { self_attn: self.self_attn.dropout(dropout)?, dropout, ..self })
    }

    /// The same layer with the normalisations before attention and linear layers.
    ///
    /// ```
    /// use tealight::layer::TransformerEncoderLayer;
    /// use tealight::prelude::*;
    /// let layer = TransformerEncoderLayer::new(8, 2, 32, &mut Rng::seed(1))?;
    /// let x = Tensor::full(5f32, (1, 1, 8), &Device::Cpu)?;
    /// let mean = |y: Tensor| y.mean_all()?.to_scalar::<f32>();
    /// assert!(mean(layer.predict(&x)?)?.abs() < 1e-6); // norm2 comes last
    /// assert!(mean(layer.norm_first().predict(&x)?)? > 4.0); // x goes around both norms
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn norm_first(self) -> Self {
        TransformerEncoderLayer { norm_first: true, ..self }
    }

    /// The same layer with another activation than relu.
    ///
    /// ```
    /// use tealight::layer::{PRelu, TransformerEncoderLayer};
    /// use tealight::prelude::*;
    /// let layer = TransformerEncoderLayer::new(8, 2, 32, &mut Rng::seed(1))?.activation(PRelu::new()?);
    /// // Its slope is learned with the rest.
    /// assert!(layer.parameters().iter().any(|(name, _)| name == "activation.weight"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn activation(self, activation: impl Layer + 'static) -> Self {
        TransformerEncoderLayer { activation: Box::new(activation), ..self }
    }

    /// The output for x, in which the places see each other as the mask allows.
    ///
    /// # Shapes
    /// (n, t, e); the shape stays.
    ///
    /// # Errors
    /// Inputs of another shape; masks that do not fit, or that leave a place nothing to see.
    ///
    /// ```
    /// use tealight::layer::{AttentionMask, TransformerEncoderLayer};
    /// use tealight::prelude::*;
    /// let layer = TransformerEncoderLayer::new(8, 2, 32, &mut Rng::seed(1))?;
    /// let x = Tensor::randn(0f32, 1.0, (1, 5, 8), &mut Rng::seed(2))?;
    /// let mask = AttentionMask::new().causal();
    /// let whole = layer.encode(&x, &mask, &mut ForwardContext::eval())?;
    /// let start = layer.encode(&x.narrow(1, 0, 3)?, &mask, &mut ForwardContext::eval())?;
    /// // What comes later changes nothing at the first three places.
    /// let change = (whole.narrow(1, 0, 3)? - start)?.abs()?.max_all()?;
    /// assert!(change.to_scalar::<f32>()? < 1e-5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.layer("self_attn", &self.self_attn);
        fields.layer("linear1", &self.linear1).layer("linear2", &self.linear2);
        fields.layer("norm1", &self.norm1).layer("norm2", &self.norm2);
        fields.layer("activation", self.activation.as_ref());
    }
}

impl fmt::Debug for TransformerEncoderLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (&self.self_attn, &self.linear1, &self.norm_first);
        write!(f, "TransformerEncoderLayer{fields:?}")
    }
}
