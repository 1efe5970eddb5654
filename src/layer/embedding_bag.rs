//! The embedding of bags of indices.

use candle_core::{DType, Device};

use super::{Embedding, Fields, ForwardContext, Layer};
use crate::autograd::array::{contiguous, converted};
use crate::autograd::launch::launch;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{self, Scratch};
use crate::ops::Rng;

const NAME: &str = "embedding_bag";

/// How an [`EmbeddingBag`] makes one vector of a bag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BagMode {
    /// The sum.
    Sum,
    /// The mean.
    #[default]
    Mean,
    /// The maximum of each feature.
    Max,
}

/// The mean of the rows of a table whose indices are in a bag, or their sum or maximum: the words of a text, whatever their order.
///
/// An empty bag gives zeros. The padding index does not count.
///
/// # Shapes
/// Indices (n, k) of u8, u32 or i64 to (n, d); with [`bags`](EmbeddingBag::bags) also of n bags of any sizes
///
/// # Gradient
/// For W, that of its rows, added up; for a maximum at the first of equal ones.
///
/// # Errors
/// Errors if an index is negative or not below the number of rows.
///
/// ```
/// use tealight::layer::{BagMode, EmbeddingBag};
/// use tealight::prelude::*;
/// let layer = EmbeddingBag::new(1000, 16, &mut Rng::seed(1))?.padding_idx(0)?;
/// let words = Tensor::new(&[[5_u32, 17, 0], [3, 0, 0]], &Device::Cpu)?;
/// assert_eq!(layer.predict(&words)?.dims(), [2, 16]);
/// // Three bags, one behind the other: [5, 17], [], [3].
/// let words = Tensor::new(&[5_u32, 17, 3], &Device::Cpu)?;
/// assert_eq!(layer.mode(BagMode::Sum).bags(&words, &[0, 2, 2], None)?.dims(), [3, 16]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddingBag {
    /// The table.
    pub embedding: Embedding,
    mode: BagMode,
}

impl EmbeddingBag {
    /// A table of `count` vectors with `d` elements, in f32. W starts normal with deviation 1, as in PyTorch.
    pub fn new(count: usize, d: usize, rng: &mut Rng) -> Result<Self> {
        Ok(EmbeddingBag { embedding: Embedding::new(count, d, rng)?, mode: BagMode::Mean })
    }

    /// Sets the row of `index` to zero, and leaves it out of every bag.
    ///
    /// # Errors
    /// Errors if `index` is not below `count`.
    pub fn padding_idx(self, index: usize) -> Result<Self> {
        Ok(EmbeddingBag { embedding: self.embedding.padding_idx(index)?, ..self })
    }

    /// Sets what is made of the rows of a bag. Default: [`BagMode::Mean`].
    pub fn mode(self, mode: BagMode) -> Self {
        EmbeddingBag { mode, ..self }
    }

    /// The vectors of bags that stand one behind the other in `x`, (k): bag i begins at `offsets[i]` and ends where the next begins.
    /// For a sum each row may have a factor of `weights`, (k).
    ///
    /// # Errors
    /// Errors unless the offsets begin with 0 and do not fall or exceed k, or if there are weights for a mean or maximum.
    #[doc(alias = "per_sample_weights")]
    pub fn bags(&self, x: &Tensor, offsets: &[usize], weights: Option<&Tensor>) -> Result<Tensor> {
        let &[k] = x.dims() else { return Err(Error::shape(NAME, "indices (k)", &[x.dims()])) };
        if offsets.first().is_some_and(|&first| first > 0) || offsets.is_empty() && k > 0 {
            return Err(Error::argument(NAME, "offsets that begin with 0", format!("{offsets:?}")));
        }
        if !offsets.is_sorted() || offsets.last().is_some_and(|&last| last > k) {
            return Err(Error::argument(
                NAME,
                format!("rising offsets of at most {k}"),
                format!("{offsets:?}"),
            ));
        }
        if weights.is_some_and(|weights| self.mode != BagMode::Sum || weights.dims() != x.dims()) {
            let got = format!("{:?} and weights {:?}", self.mode, weights.map(Tensor::dims));
            return Err(Error::argument(NAME, format!("BagMode::Sum and weights [{k}]"), got));
        }
        let mut rows = self.embedding.forward(x, &mut ForwardContext::eval())?;
        if let Some(weights) = weights {
            rows = (rows * weights.unsqueeze(-1)?)?;
        }
        let (home, n) = (rows.device(), offsets.len());
        let indices = contiguous(&converted(&x.array().to_device(&Device::Cpu)?, DType::I64)?)?;
        let padding = self.embedding.padding().map(|index| index as i64);
        let offsets = offsets.to_vec();
        if self.mode == BagMode::Max {
            return maxima(&rows, &indices, offsets, padding);
        }
        // The rows of the padding come to a bag that is cut off.
        let owners = launch("owners", [&indices], &[k], move |[x]| {
            let owner = |(i, &index): (usize, &i64)| match Some(index) == padding {
                true => n as u32,
                false => offsets.partition_point(|&start| start <= i) as u32 - 1,
            };
            kernel::collected(k, x.elements().iter().enumerate().map(owner))
        })?;
        let zeros = Tensor::zeros((n + 1, rows.dims()[1]), rows.dtype(), home)?;
        let sums = zeros.index_add(0, &owners.to_device(home)?.into(), &rows)?.narrow(0, 0, n)?;
        if self.mode == BagMode::Sum {
            return Ok(sums);
        }
        let counts = launch("counts", [&owners], &[n, 1], move |[owners]| {
            let mut counts = Scratch::zeros(n + 1);
            owners.elements::<u32>().iter().for_each(|&bag| counts[bag as usize] += 1.0);
            kernel::collected(n, counts[..n].iter().map(|count| f64::max(*count, 1.0)))
        })?;
        sums / Tensor::from(counts.to_device(home)?).to_dtype(rows.dtype())?
    }
}

/// The largest row of each bag, feature by feature.
fn maxima(rows: &Tensor, indices: &Array, offsets: Vec<usize>, padding: Option<i64>) -> Result<Tensor> {
    let &[k, d] = rows.dims() else { unreachable!("an embedding of k indices is (k, d)") };
    let n = offsets.len();
    let numbers = contiguous(&converted(&rows.array().to_device(&Device::Cpu)?, DType::F64)?)?;
    let places = launch("maxima", [&numbers, indices], &[n, d], move |[numbers, indices]| {
        let (numbers, indices) = (numbers.elements::<f64>(), indices.elements::<i64>());
        let mut places = kernel::empty(n * d);
        for (bag, &start) in offsets.iter().enumerate() {
            let end = offsets.get(bag + 1).copied().unwrap_or(k);
            for feature in 0..d {
                let better = |best: usize, i: usize| {
                    let (a, b) = (numbers[best * d + feature], numbers[i * d + feature]);
                    if b > a || (b.is_nan() && !a.is_nan()) { i } else { best }
                };
                // Row k is one of zeros, for bags that are empty.
                let own = (start..end).filter(|&i| Some(indices[i]) != padding);
                places.push(own.reduce(better).unwrap_or(k) as u32);
            }
        }
        places
    })?;
    let zeros = Tensor::zeros((1, d), rows.dtype(), rows.device())?;
    Tensor::cat(&[rows, &zeros], 0)?.gather(0, &places.to_device(rows.device())?.into())
}

impl Layer for EmbeddingBag {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let &[n, k] = x.dims() else { return Err(Error::shape(NAME, "indices (n, k)", &[x.dims()])) };
        let offsets: Vec<usize> = (0..n).map(|i| i * k).collect();
        self.bags(&x.reshape(n * k)?, &offsets, None)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.embedding.fields(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::{BagMode, EmbeddingBag};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        for mode in [BagMode::Sum, BagMode::Mean, BagMode::Max] {
            let layer = EmbeddingBag::new(5, 3, &mut Rng::seed(1))?.mode(mode).padding_idx(4)?;
            layer.to_dtype(DType::F64)?;
            let words = Tensor::new(&[0_u32, 2, 4, 2, 1, 4], &Device::Cpu)?;
            let weight = layer.embedding.weight.get().detach();
            let run = |x: &[Tensor]| {
                layer.embedding.weight.set(&weight)?;
                let factors = (mode == BagMode::Sum).then_some(&x[0]);
                layer.bags(&words, &[0, 3, 3, 5], factors)?.exp()? * x[0].i(..4)?.unsqueeze(-1)?
            };
            let factors = Tensor::new(&[0.5, -1.0, 2.0, 1.5, 0.25, 3.0], &Device::Cpu)?;
            autograd::gradcheck(run, &[factors])?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let layer = EmbeddingBag::new(4, 3, &mut Rng::seed(1))?.padding_idx(0)?;
        for mode in [BagMode::Sum, BagMode::Mean, BagMode::Max] {
            let layer = layer.clone().mode(mode);
            assert_eq!(
                layer.predict(&Tensor::zeros((2, 0), DType::U32, cpu)?)?.to_vec2::<f32>()?,
                [[0.0; 3]; 2]
            );
            assert_eq!(
                layer.predict(&Tensor::zeros((2, 3), DType::I64, cpu)?)?.to_vec2::<f32>()?,
                [[0.0; 3]; 2]
            );
            assert_eq!(layer.predict(&Tensor::zeros((0, 3), DType::U8, cpu)?)?.dims(), [0, 3]);
            let none = Tensor::zeros(0, DType::U32, cpu)?;
            assert_eq!(layer.bags(&none, &[], None)?.dims(), [0, 3]);
            assert_eq!(layer.bags(&none, &[0, 0], None)?.to_vec2::<f32>()?, [[0.0; 3]; 2]);
        }
        let words = Tensor::new(&[1_u32, 2, 3], cpu)?;
        let says = |y: Result<Tensor>, message: &str| {
            assert_eq!(y.unwrap_err().to_string(), format!("embedding_bag: {message}"))
        };
        says(layer.bags(&words, &[], None), "expected offsets that begin with 0, got []");
        says(layer.bags(&words, &[1], None), "expected offsets that begin with 0, got [1]");
        says(layer.bags(&words, &[0, 2, 1], None), "expected rising offsets of at most 3, got [0, 2, 1]");
        says(layer.bags(&words, &[0, 4], None), "expected rising offsets of at most 3, got [0, 4]");
        says(
            layer.bags(&words, &[0], Some(&Tensor::ones(3, DType::F32, cpu)?)),
            "expected BagMode::Sum and weights [3], got Mean and weights Some([3])",
        );
        says(layer.predict(&words), "expected indices (n, k), got [3]");
        assert!(
            layer.bags(&Tensor::new(&[4_u32], cpu)?, &[0], None).unwrap_err().to_string().contains("below 4")
        );
        assert_eq!(layer.parameters()[0].0, "weight");
        Ok(())
    }
}
