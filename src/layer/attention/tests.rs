use super::{AttentionMask, MultiHeadAttention, TransformerEncoderLayer};
use crate::layer::{LayerNorm, gradcheck};
use crate::prelude::*;

/// Attention under a mask, and the encoder layer under it.
struct Masked<L>(L, AttentionMask);

impl Layer for Masked<MultiHeadAttention> {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let memory = (x.narrow(1, 0, 2)? * 0.7)?;
        Ok(self.0.attend(x, &memory, &memory.tanh()?, &self.1, ctx)?.0)
    }
    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.0.fields(fields);
    }
}

impl Layer for Masked<TransformerEncoderLayer> {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        self.0.encode(x, &self.1, ctx)
    }
    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.0.fields(fields);
    }
}

#[test]
fn gradients() -> Result<()> {
    let x = Tensor::randn_dtype(0.0, 1.0, (2, 3, 4), DType::F64, &mut Rng::seed(1))?;
    let rng = &mut Rng::seed(2);
    let train = ForwardContext::train(Rng::seed(3));
    gradcheck(&MultiHeadAttention::new(4, 2, rng)?.without_bias(), &x, &train)?;
    let added = Tensor::new(&[[0.5, -1.0], [f64::NEG_INFINITY, 0.0], [0.0, 2.0]], &Device::Cpu)?;
    let mask = AttentionMask::new().attn_mask(&added);
    gradcheck(&Masked(MultiHeadAttention::new(4, 2, rng)?.dropout(0.3)?, mask), &x, &train)?;
    let small = x.narrow(1, 0, 2)?.narrow(2, 0, 2)?;
    // Of two numbers with a small ε the norm is almost a jump, which finite differences do not follow.
    let layer = || -> Result<TransformerEncoderLayer> {
        let mut layer = TransformerEncoderLayer::new(2, 1, 3, &mut Rng::seed(4))?.activation(Tanh);
        layer.norm1 = LayerNorm::new(2)?.eps(0.3)?;
        layer.norm2 = LayerNorm::new(2)?.eps(0.3)?;
        layer.dropout(0.1)
    };
    gradcheck(&layer()?, &small, &train)?;
    gradcheck(&Masked(layer()?.norm_first(), AttentionMask::new().causal()), &small, &train)?;
    Ok(())
}

#[test]
fn hidden_keys_have_weight_0() -> Result<()> {
    let layer = MultiHeadAttention::new(4, 2, &mut Rng::seed(1))?;
    let x = Tensor::randn(0.0, 1.0, (2, 3, 4), &mut Rng::seed(2))?;
    let ctx = &mut ForwardContext::eval();
    let attend = |mask: AttentionMask, ctx: &mut ForwardContext| layer.attend(&x, &x, &x, &mask, ctx);
    let cpu = &Device::Cpu;
    let (causal, weights) = attend(AttentionMask::new().causal(), ctx)?;
    let sums = weights.sum(-1)?.flatten(0, -1)?.to_vec1::<f32>()?;
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
    let later = Tensor::new(&[[0_u8, 1, 1], [0, 0, 7], [0, 0, 0]], cpu)?;
    assert_eq!(attend(AttentionMask::new().attn_mask(&later), ctx)?.0, causal);
    let infinite = later
        .ne(&Tensor::zeros((), DType::U8, cpu)?)?
        .where_cond(&Tensor::full(f32::NEG_INFINITY, (), cpu)?, &Tensor::zeros((), DType::F32, cpu)?)?;
    assert_eq!(attend(AttentionMask::new().attn_mask(&infinite), ctx)?.0, causal);
    let repeated = later.broadcast_to((4, 3, 3))?;
    assert_eq!(attend(AttentionMask::new().attn_mask(&repeated), ctx)?.0, causal);
    let padding = Tensor::new(&[[0_u8, 0, 0], [0, 0, 1]], cpu)?;
    let (_, weights) = attend(AttentionMask::new().padding(&padding), ctx)?;
    assert_eq!(weights.i((1, .., .., 2))?.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
    assert!(weights.i((0, .., .., 2))?.min_all()?.to_scalar::<f32>()? > 0.0);
    Ok(())
}

#[test]
fn refusals() -> Result<()> {
    let layer = MultiHeadAttention::new(4, 2, &mut Rng::seed(1))?;
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
    let x = zeros(&[2, 3, 4])?;
    let error = layer.predict(&zeros(&[2, 3, 5])?).unwrap_err().to_string();
    let message = "multi_head_attention: expected queries [n, t, 4], keys and values [n, s, 4] with s > 0, \
                   got [2, 3, 5] and [2, 3, 5] and [2, 3, 5]";
    assert_eq!(error, message);
    let with = |mask: AttentionMask| layer.attend(&x, &x, &x, &mask, &mut ForwardContext::eval());
    let ones = |dims: &[usize]| Tensor::ones(dims, DType::U8, &Device::Cpu);
    let error = with(AttentionMask::new().padding(&ones(&[2, 3])?)).unwrap_err().to_string();
    let message = "multi_head_attention: expected a mask that leaves each query a key, \
                   got a query from which all are hidden";
    assert_eq!(error, message);
    let error = with(AttentionMask::new().padding(&ones(&[3, 2])?)).unwrap_err().to_string();
    let message = "multi_head_attention: expected a padding mask [2, 3] of u8, got [3, 2] of u8";
    assert_eq!(error, message);
    assert!(with(AttentionMask::new().attn_mask(&ones(&[4, 3])?)).is_err());
    assert!(with(AttentionMask::new().attn_mask(&zeros(&[3, 3])?.to_dtype(DType::F64)?)).is_err());
    assert!(
        layer
            .attend(
                &x,
                &zeros(&[2, 0, 4])?,
                &zeros(&[2, 0, 4])?,
                &AttentionMask::new(),
                &mut ForwardContext::eval()
            )
            .is_err()
    );
    assert_eq!(layer.predict(&zeros(&[0, 3, 4])?)?.dims(), [0, 3, 4]);
    let none = AttentionMask::new().causal();
    assert_eq!(
        layer.attend(&zeros(&[2, 0, 4])?, &x, &x, &none, &mut ForwardContext::eval())?.0.dims(),
        [2, 0, 4]
    );
    assert!(MultiHeadAttention::new(4, 3, &mut Rng::seed(1)).is_err());
    assert!(MultiHeadAttention::new(4, 0, &mut Rng::seed(1)).is_err());
    assert!(layer.dropout(-0.1).is_err());
    let layer = TransformerEncoderLayer::new(4, 2, 8, &mut Rng::seed(1))?;
    let names: Vec<String> = layer.parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names[..4],
        [
            "self_attn.in_proj_weight",
            "self_attn.in_proj_bias",
            "self_attn.out_proj.weight",
            "self_attn.out_proj.bias"
        ]
    );
    assert_eq!(names[8..], ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"]);
    let error = layer.predict(&zeros(&[2, 3, 5])?).unwrap_err().to_string();
    assert!(error.starts_with("multi_head_attention: expected"), "{error}");
    Ok(())
}
