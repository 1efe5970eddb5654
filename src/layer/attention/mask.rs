//! [`AttentionMask`]: which keys a query may see.

use candle_core::{DType, Device};

use super::NAME;
use crate::autograd::Tensor;
use crate::autograd::launch::launch_check;
use crate::error::{Error, Result};

/// Hides keys from queries, or changes their scores. As in PyTorch, 1 hides.
///
/// ```
/// use tealight::layer::{AttentionMask, MultiHeadAttention};
/// use tealight::prelude::*;
/// let layer = MultiHeadAttention::new(4, 1, &mut Rng::seed(1))?;
/// let x = Tensor::ones((1, 3, 4), DType::F32, &Device::Cpu)?;
/// let mask = AttentionMask::new().causal().padding(&Tensor::new(&[[0_u8, 0, 1]], &Device::Cpu)?);
/// let (_, weights) = layer.attend(&x, &x, &x, &mask, &mut ForwardContext::eval())?;
/// let expected = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]];
/// assert_eq!(weights.i((0, 0))?.to_vec2::<f32>()?, expected);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttentionMask {
    causal: bool,
    scores: Option<Tensor>,
    padding: Option<Tensor>,
}

impl AttentionMask {
    /// Every query sees every key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Query i sees the keys up to i.
    #[doc(alias = "is_causal")]
    #[doc(alias = "generate_square_subsequent_mask")]
    #[must_use]
    pub fn causal(self) -> Self {
        AttentionMask { causal: true, ..self }
    }

    /// A mask for each query and key. Of u8: elements that are not 0 hide the key. Of floats: added to the scores.
    ///
    /// # Shapes
    /// (t, s), (n · heads, t, s), or four axes that broadcast to (n, heads, t, s)
    #[must_use]
    pub fn attn_mask(self, mask: &Tensor) -> Self {
        AttentionMask { scores: Some(mask.clone()), ..self }
    }

    /// A mask of u8 for each key: elements that are not 0 hide the key, as the padding of a short sequence.
    ///
    /// # Shapes
    /// (n, s)
    #[must_use]
    #[doc(alias = "key_padding_mask")]
    pub fn padding(self, mask: &Tensor) -> Self {
        AttentionMask { padding: Some(mask.clone()), ..self }
    }

    /// The scores (n, heads, t, s), with −∞ where the key is hidden.
    pub(super) fn apply(&self, scores: Tensor) -> Result<Tensor> {
        let [n, heads, t, s] = scores.dims().try_into().expect("a product of tensors of rank 4 has rank 4");
        let mut masked = scores;
        let hide = |scores: &Tensor, hidden: &Tensor| {
            scores.masked_fill(&hidden.to_device(scores.device())?.ne(0.0)?, f64::NEG_INFINITY)
        };
        if self.causal && masked.elem_count() > 0 {
            let later: Vec<u8> = (0..t * s).map(|i| u8::from(i % s > i / s)).collect();
            masked = hide(&masked, &Tensor::from_vec(later, (t, s), &Device::Cpu)?)?;
        }
        if let Some(mask) = &self.padding {
            if mask.dims() != [n, s] || mask.dtype() != DType::U8 {
                return Err(refused("a padding mask", format!("[{n}, {s}] of u8"), mask));
            }
            masked = hide(&masked, &mask.reshape((n, 1, 1, s))?)?;
        }
        if let Some(mask) = &self.scores {
            let fits = match *mask.dims() {
                [a, b] => [a, b] == [t, s],
                [a, b, c] => [a, b, c] == [n * heads, t, s],
                [a, b, c, d] => {
                    [(a, n), (b, heads), (c, t), (d, s)].iter().all(|&(size, full)| [1, full].contains(&size))
                }
                _ => false,
            };
            if !fits || ![DType::U8, masked.dtype()].contains(&mask.dtype()) {
                let (all, dtype) = (n * heads, masked.dtype().as_str());
                let shapes = format!("[{t}, {s}], [{all}, {t}, {s}] or [{n}, {heads}, {t}, {s}]");
                return Err(refused("a mask of scores", format!("{shapes} of u8 or {dtype}"), mask));
            }
            let mask = if mask.rank() == 3 { &mask.reshape((n, heads, t, s))? } else { mask };
            masked = if mask.dtype() == DType::U8 { hide(&masked, mask)? } else { (masked + mask)? };
        }
        // A softmax over nothing but −∞ would be NaN.
        let any = self.causal || self.padding.is_some() || self.scores.is_some();
        if any && masked.elem_count() > 0 {
            let lost = masked.detach().max(-1)?.eq(f64::NEG_INFINITY)?.to_device(&Device::Cpu)?;
            launch_check("attention_mask", [lost.array()], |[lost]| {
                let expected = "a mask that leaves each query a key";
                match lost.elements::<u8>().contains(&1) {
                    true => Err(Error::argument(NAME, expected, "a query from which all are hidden")),
                    false => Ok(()),
                }
            })?;
        }
        Ok(masked)
    }
}

fn refused(what: &str, expected: String, mask: &Tensor) -> Error {
    let got = format!("{:?} of {}", mask.dims(), mask.dtype().as_str());
    Error::argument(NAME, format!("{what} {expected}"), got)
}
