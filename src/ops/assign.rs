//! `assign`: the functional form of numpy's `x[…] = source`.

use candle_core::Device;

use super::index::{Indices, Selection, axis_by_axis, indexed, resolve};
use super::take::{Places, same_kind, written};
use crate::autograd::array::contiguous;
use crate::autograd::{self, Tensor, trace};
use crate::error::{Error, Result};
use crate::kernel::{broadcast_dims, strides, sums};

/// A copy of `x` with `source`, broadcast, written to what is selected along the first axes.
pub(super) fn assigned(
    op: &'static str,
    x: &Tensor,
    mut selected: Vec<Selection>,
    source: &Tensor,
) -> Result<Tensor> {
    same_kind(op, x, source)?;
    for selection in &selected {
        if let Selection::Tensor(indices, _) = selection {
            trace::read("indices (see scatter)", indices)?;
        }
    }
    if !axis_by_axis(&selected) {
        let places = Tensor::arange(0, x.elem_count() as i64, &Device::Cpu)?.reshape(x.dims())?;
        let places = indexed(op, &places, selected)?;
        let source = spread(op, source, places.dims())?;
        let starts = contiguous(places.array())?.flatten_all()?;
        return written(x, &source, Places { starts, block: 1, period: x.elem_count() });
    }
    selected.extend(x.dims()[selected.len()..].iter().map(|&size| Selection::Span(0, size)));
    let target: Vec<usize> = selected.iter().filter_map(Selection::len).collect();
    let source = spread(op, source, &target)?;
    if target.contains(&0) {
        return written(x, &source, Places::new(std::iter::empty(), 1, x.elem_count())?);
    }
    let steps = strides(x.dims());
    // Trailing axes that are selected whole, and one span before them, are written as one block.
    let whole = |&(axis, selected): &(usize, &Selection)| matches!(*selected, Selection::Span(_, len) if len == x.dims()[axis]);
    let split = selected.len() - selected.iter().enumerate().rev().take_while(whole).count();
    let mut block: usize = target[target.len() - (selected.len() - split)..].iter().product();
    let mut lists: Vec<Vec<usize>> = selected[..split].iter().map(Selection::list).collect::<Result<_>>()?;
    if let Some(&Selection::Span(start, len)) = selected[..split].last() {
        block *= len;
        lists[split - 1] = vec![start];
    }
    let scaled = lists.into_iter().zip(&steps).map(|(list, step)| list.iter().map(|at| at * step).collect());
    written(x, &source, Places::new(sums(scaled).into_iter(), block, x.elem_count())?)
}

fn spread(op: &'static str, source: &Tensor, target: &[usize]) -> Result<Tensor> {
    if source.dims() == target {
        return Ok(source.clone());
    }
    if broadcast_dims(source.dims(), target).as_deref() != Some(target) {
        return Err(Error::shape(op, format!("a source that broadcasts to {target:?}"), &[source.dims()]));
    }
    autograd::broadcast_to(source, target)
}

impl Tensor {
    /// Returns a copy in which the elements selected by `indices`, as for [`i`](Tensor::i), are replaced by `source`.
    ///
    /// The source broadcasts to the selection. If index tensors name an element twice, the last one stays.
    ///
    /// Gradient: for this tensor g, but 0 in the selection; for the source g at the selection. Errors as for [`i`](Tensor::i),
    /// or if the source does not broadcast to the selection.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
    /// let y = x.assign((.., 1..), &Tensor::new(&[1.0, 2.0], &Device::Cpu)?)?;
    /// assert_eq!(y.to_vec2::<f64>()?, [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "slice_assign")]
    #[doc(alias = "index_put")]
    pub fn assign(&self, indices: impl Indices, source: &Tensor) -> Result<Tensor> {
        assigned("assign", self, resolve("assign", self, indices)?, source)
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
