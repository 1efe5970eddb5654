//! A copy of a tensor with a part replaced.
//!
//! # Formula
//! y = x, and y\[a, b..c, …\] = source
//!
//! # Gradient
//! To x the gradient, but 0 in the part; to the source what is in the part, summed where it was broadcast.
//!
//! # Errors
//! Those of [`Tensor::i`]; a source that does not broadcast to the part, or of another dtype.

use super::index::{Indices, Taken, resolved};
use super::take::{same_kind, written};
use crate::autograd::{self, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{BlockIndices, broadcast_dims, strides, sums};

/// A copy of `x` with `source`, broadcast, at the places taken along the first axes.
pub(super) fn assigned(
    op: &'static str,
    x: &Tensor,
    mut taken: Vec<Taken>,
    source: &Tensor,
) -> Result<Tensor> {
    same_kind(op, x, source)?;
    taken.extend(x.dims()[taken.len()..].iter().map(|&size| Taken::Span(0, size)));
    let part: Vec<usize> = taken.iter().filter_map(Taken::len).collect();
    if broadcast_dims(source.dims(), &part).as_deref() != Some(&part[..]) {
        return Err(Error::shape(op, format!("a source that broadcasts to {part:?}"), &[source.dims()]));
    }
    let source = if source.dims() == part { source.clone() } else { autograd::broadcast_to(source, &part)? };
    if part.contains(&0) {
        return written(x, &source, BlockIndices { starts: [].into(), block: 1, period: x.elem_count() });
    }
    let steps = strides(x.dims());
    // The last axes are written in blocks, as far as they are taken whole, and one span before them.
    let whole =
        |&(axis, taken): &(usize, &Taken)| matches!(*taken, Taken::Span(_, len) if len == x.dims()[axis]);
    let split = taken.len() - taken.iter().enumerate().rev().take_while(whole).count();
    let mut block: usize = part[part.len() - (taken.len() - split)..].iter().product();
    let mut lists: Vec<Vec<usize>> = taken[..split].iter().map(Taken::list).collect();
    if let Some(&Taken::Span(start, len)) = taken[..split].last() {
        block *= len;
        lists[split - 1] = vec![start];
    }
    let scaled = lists.into_iter().zip(&steps).map(|(list, step)| list.iter().map(|at| at * step).collect());
    let places = BlockIndices { starts: sums(scaled).into(), block, period: x.elem_count() };
    written(x, &source, places)
}

impl Tensor {
    /// A copy in which the part that `indices` name, as for [`i`](Tensor::i), is `source`.
    ///
    /// The source broadcasts to the part. Of a place that a vector of indices names twice the last stays.
    ///
    /// # Gradient
    /// To this tensor the gradient, but 0 in the part; to the source what is in the part, summed where it was broadcast.
    ///
    /// # Errors
    /// Those of [`i`](Tensor::i); a source that does not broadcast to the part, or of another dtype.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
    /// let y = x.assign((.., 1..), &Tensor::new(&[1.0, 2.0], &Device::Cpu)?)?;
    /// assert_eq!(y.to_vec2::<f64>()?, [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "slice_assign")]
    #[doc(alias = "index_put")]
    pub fn assign(&self, indices: impl Indices, source: &Tensor) -> Result<Tensor> {
        assigned("assign", self, resolved("assign", self, indices)?, source)
    }
}

#[cfg(test)]
mod tests {
    use super::super::step;
    use super::super::testing::{check, check2};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        let twice = Tensor::new(&[2_i64, 0, -1], &Device::Cpu)?;
        check(&x, |x| {
            let x = x.reshape((2, 3, x.elem_count() / 6))?;
            let source = x.sqr()?.i((.., .., 0))?;
            let y = x.exp()?.assign((.., &twice), &source.unsqueeze(-1)?)?;
            y.assign((1, step(.., -2)), &source.i((0, ..2))?.unsqueeze(1)?)
        });
        check2(|a, b| {
            let x = (a * b)?;
            x.assign((.., -1), &a.flatten(0, -1)?.i(0)?)?.assign(0, &b.flatten(0, -1)?.i(0)?)
        });
        Ok(())
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        let cpu = &Device::Cpu;
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::zeros((2, 3, 4), dtype, cpu)?;
            let one = Tensor::ones((), dtype, cpu)?;
            let places = |y: Tensor| -> Result<Vec<usize>> {
                let flat = y.flatten(0, -1)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
                Ok((0..24).filter(|&i| flat[i] == 1.0).collect())
            };
            assert_eq!(places(x.assign(1, &one)?)?, (12..24).collect::<Vec<_>>(), "{dtype:?}");
            assert_eq!(places(x.assign((.., 1..), &one)?)?.len(), 16);
            assert_eq!(places(x.assign((0, .., 1..3), &one)?)?, [1, 2, 5, 6, 9, 10]);
            assert_eq!(places(x.assign((0, step(.., -2), step(.., 3)), &one)?)?, [0, 3, 8, 11]);
            let pick = Tensor::new(&[-1_i64, 0], cpu)?;
            assert_eq!(places(x.assign((1, &pick, 2), &one)?)?, [14, 22]);
            assert_eq!(places(x.assign((.., .., 4..), &one)?)?, [0_usize; 0]);
        }
        // The order of the source is that of the part, and the last of two stays.
        let x = Tensor::zeros((2, 3), DType::F64, cpu)?;
        let source = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], cpu)?;
        let y = x.t()?.assign((&Tensor::new(&[2_u32, 1, 2], cpu)?, step(.., -1)), &source.t()?)?;
        assert_eq!(y.to_vec2::<f64>()?, [[0.0, 0.0], [5.0, 2.0], [6.0, 3.0]]);
        // A scalar is all one place.
        let scalar = Tensor::new(1.0, cpu)?.assign((), &Tensor::new(2.0, cpu)?)?;
        assert_eq!(scalar.to_scalar::<f64>()?, 2.0);
        Ok(())
    }

    #[test]
    fn errors() -> Result<()> {
        let x = Tensor::zeros((3, 4), DType::F32, &Device::Cpu)?;
        let error = x.assign((.., 1..), &Tensor::zeros(4, DType::F32, &Device::Cpu)?).unwrap_err();
        assert_eq!(error.to_string(), "assign: expected a source that broadcasts to [3, 3], got [4]");
        assert!(matches!(x.assign(.., &x.unsqueeze(0)?), Err(Error::Shape { .. })));
        assert!(matches!(x.assign(.., &x.to_dtype(DType::F64)?), Err(Error::Dtype { .. })));
        assert!(matches!(x.assign((0, 0, 0), &x), Err(Error::Argument { .. })));
        Ok(())
    }
}
