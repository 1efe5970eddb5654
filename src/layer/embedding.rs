//! The embedding.

use candle_core::DType;

use super::{ForwardContext, Layer, Parameter};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// The row of a table for each index: y\[…\] = W\[x\[…\]\].
///
/// # Shapes
/// Indices (..) of u8, u32 or i64 to vectors (.., d)
///
/// # Gradient
/// For W, the gradients added up at the rows that were looked up; none for the row of the padding index.
///
/// # Errors
/// Errors if an index is negative or not below the number of rows.
///
/// ```
/// use tealight::layer::Embedding;
/// use tealight::prelude::*;
/// let layer = Embedding::new(1000, 16, &mut Rng::seed(1))?.padding_idx(0)?;
/// let words = Tensor::new(&[[5_u32, 17, 0], [3, 0, 0]], &Device::Cpu)?;
/// assert_eq!(layer.predict(&words)?.dims(), [2, 3, 16]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    /// W, (count, d).
    pub weight: Parameter,
    padding_idx: Option<usize>,
}

impl Embedding {
    /// A table of `count` vectors with `d` elements, in f32. W starts normal with deviation 1, as in PyTorch.
    pub fn new(count: usize, d: usize, rng: &mut Rng) -> Result<Self> {
        let weight = Parameter::new(Tensor::randn(0.0, 1.0, (count, d), rng)?);
        Ok(Embedding { weight, padding_idx: None })
    }

    /// Sets the row of `index` to zero and keeps it there. Use this index to fill up short sequences.
    ///
    /// # Errors
    /// Errors if `index` is not below `count`.
    pub fn padding_idx(self, index: usize) -> Result<Self> {
        let table = self.weight.get().detach();
        let &[count, _] = table.dims() else {
            return Err(Error::shape("embedding", "a weight matrix (count, d)", &[table.dims()]));
        };
        if index >= count {
            return Err(Error::argument("embedding", format!("a padding index below {count}"), index));
        }
        let mut padded = vec![0_u8; count];
        padded[index] = 1;
        let padded = Tensor::from_vec(padded, (count, 1), table.device())?;
        self.weight.set(&table.masked_fill(&padded, 0.0)?)?;
        Ok(Embedding { padding_idx: Some(index), ..self })
    }

    pub(super) fn padding(&self) -> Option<usize> {
        self.padding_idx
    }
}

impl Layer for Embedding {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        if !matches!(x.dtype(), DType::U8 | DType::U32 | DType::I64) {
            return Err(Error::dtype("embedding", "indices of dtype u8, u32 or i64", &[x.dtype()]));
        }
        let weight = self.weight.get();
        let &[_, d] = weight.dims() else {
            return Err(Error::shape("embedding", "a weight matrix (count, d)", &[weight.dims()]));
        };
        let chosen = weight.index_select(0, &x.reshape(x.elem_count())?);
        let y = chosen.map_err(|error| error.context("embedding"))?.reshape([x.dims(), &[d]].concat())?;
        let Some(padding) = self.padding_idx else { return Ok(y) };
        let padded = x.to_dtype(DType::I64)?.eq(padding as f64)?.unsqueeze(-1)?;
        padded.where_cond(&y.detach(), &y)
    }

    crate::fields!(weight);
}

#[cfg(test)]
mod tests {
    use super::Embedding;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    /// The embedding of fixed indices, times x.
    struct Fixed(Embedding);

    impl Layer for Fixed {
        fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
            x * self.0.forward(&Tensor::new(&[[2_u32, 1], [2, 3]], &Device::Cpu)?, ctx)?.tanh()?
        }
        fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
            fields.layer("table", &self.0);
        }
    }

    #[test]
    fn gradients() -> Result<()> {
        let table = Embedding::new(4, 3, &mut Rng::seed(1))?;
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 2, 3), DType::F64, &mut Rng::seed(2))?;
        gradcheck(&Fixed(table), &x, &ForwardContext::train(Rng::seed(3)))?;
        Ok(())
    }

    #[test]
    fn padding_does_not_learn() -> Result<()> {
        let cpu = &Device::Cpu;
        let layer = Embedding::new(4, 3, &mut Rng::seed(1))?.padding_idx(2)?;
        for indices in [Tensor::new(&[2_u8, 0, 2], cpu)?, Tensor::new(&[2_i64, 0, 2], cpu)?] {
            let y = layer.forward(&indices, &mut ForwardContext::eval())?;
            assert_eq!(y.to_vec2::<f32>()?[2], [0.0; 3]);
            let gradients = y.sum_all()?.backward()?;
            let gradient = gradients.get(&layer.weight.get()).unwrap().to_vec2::<f32>()?;
            assert_eq!(gradient, [[1.0; 3], [0.0; 3], [0.0; 3], [0.0; 3]]);
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let layer = Embedding::new(4, 3, &mut Rng::seed(1))?;
        assert_eq!(layer.predict(&Tensor::new(1_u32, cpu)?)?.dims(), [3]);
        assert_eq!(layer.predict(&Tensor::zeros((0, 5), DType::U32, cpu)?)?.dims(), [0, 5, 3]);
        let error = layer.predict(&Tensor::new(&[4_u32], cpu)?).unwrap_err().to_string();
        assert!(error.contains("below 4") && error.contains("got 4"), "{error}");
        let error = layer.predict(&Tensor::new(&[1.0], cpu)?).unwrap_err();
        assert_eq!(error.to_string(), "embedding: expected indices of dtype u8, u32 or i64, got f64");
        let error = layer.padding_idx(4).unwrap_err();
        assert_eq!(error.to_string(), "embedding: expected a padding index below 4, got 4");
        Ok(())
    }
}
