//! `gather` and `scatter`: elements by an index for each, along one axis.

use super::axis::Axis;
use super::narrow::narrowed;
use super::onnx::counted;
use super::take::{Places, added, checked_indices, same_kind, taken, written};
use crate::autograd::{Onnx, OnnxAttribute, OnnxValue, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::{Dims, strides};

/// The element of `x` for each index.
fn flat_indices(op: &'static str, x: &Tensor, axis: usize, indices: &Tensor) -> Result<Places> {
    let (own, other) = (x.dims(), indices.dims());
    if own.len() != other.len() || (0..own.len()).any(|i| i != axis && other[i] > own[i]) {
        let expected = format!("indices no longer than the tensor except along axis {axis}");
        return Err(Error::shape(op, expected, &[own, other]));
    }
    let (steps, other) = (strides(own), Dims::from_slice(other));
    let starts = checked_indices(op, own, axis, indices, move |places| {
        if places.is_empty() {
            return;
        }
        // Along `axis` only the index counts, not the position of the index.
        let step = |i: usize| if i == axis { 0 } else { steps[i] };
        let (mut at, mut start) = (Dims::from_elem(0, other.len()), 0);
        for place in places {
            *place = start as i64 + *place * steps[axis] as i64;
            for i in (0..other.len()).rev() {
                at[i] += 1;
                start += step(i);
                if at[i] < other[i] {
                    break;
                }
                start -= at[i] * step(i);
                at[i] = 0;
            }
        }
    })?;
    Ok(Places { starts, block: 1, period: x.elem_count() })
}

/// Writes or adds the third input to the first, at an index for each of its elements.
pub(super) fn scatter_node(at: OnnxValue, axis: usize, add: bool, onnx: &mut Onnx) -> Result<OnnxValue> {
    let mut attributes = vec![("axis", OnnxAttribute::Int(axis as i64))];
    if add {
        attributes.push(("reduction", OnnxAttribute::Text("add")));
    }
    let inputs = [onnx.input(0), at, onnx.input(2)];
    Ok(onnx.node("ScatterElements", &inputs, &attributes))
}

/// The part of `source` that has indices.
fn indexed_part(op: &'static str, x: &Tensor, indices: &Tensor, source: &Tensor) -> Result<Tensor> {
    same_kind(op, x, source)?;
    let (own, other) = (source.dims(), indices.dims());
    if own.len() != other.len() || own.iter().zip(other).any(|(own, other)| own < other) {
        return Err(Error::shape(op, "a source no shorter than the indices", &[own, other]));
    }
    let narrow = |x: Tensor, (axis, &len): (usize, &usize)| narrowed(&x, axis, 0, len);
    other.iter().enumerate().try_fold(source.clone(), narrow)
}

impl Tensor {
    /// Takes one element for each index: y\[.., i, ..\] = x\[.., indices\[.., i, ..\], ..\], where i runs along `axis`.
    ///
    /// Negative indices count from the end. Gradient: g added at the elements that were taken.
    ///
    /// Shapes: the result has the shape of `indices`, which along all axes but `axis` are no longer than this tensor.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let scores = Tensor::new(&[[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], &Device::Cpu)?; // (n, c)
    /// let labels = Tensor::new(&[[2_u32], [0]], &Device::Cpu)?; // (n, 1)
    /// assert_eq!(scores.gather(1, &labels)?.to_vec2::<f64>()?, [[0.7], [0.8]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "take_along_axis")]
    pub fn gather(&self, axis: impl Axis, indices: &Tensor) -> Result<Tensor> {
        let axis = axis.to_index("gather", self.dims())?;
        let compute = || taken(self, flat_indices("gather", self, axis, indices)?, indices.dims());
        traced(&[self, indices], compute, |onnx| {
            let (x, at) = (onnx.input(0), onnx.input(1));
            let at = counted(at, onnx.dtype(1)?, onnx)?;
            Ok(onnx.node("GatherElements", &[x, at], &[("axis", OnnxAttribute::Int(axis as i64))]))
        })
    }

    /// Returns a copy with one element of `source` written for each index:
    /// y\[.., indices\[.., i, ..\], ..\] = source\[.., i, ..\], where i runs along `axis`.
    ///
    /// If several are written to one element, the last in row-major order stays. Negative indices count from the end.
    ///
    /// Shapes: `indices` are no longer than this tensor along all axes but `axis`, and no longer than the source along any.
    /// Gradient: for this tensor g, but 0 where it was overwritten; for the source g at the written elements, and 0 for those
    /// that did not stay.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let zeros = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
    /// let at = Tensor::new(&[[2_u32], [0]], &Device::Cpu)?;
    /// let ones = Tensor::ones((2, 1), DType::F64, &Device::Cpu)?;
    /// assert_eq!(zeros.scatter(1, &at, &ones)?.to_vec2::<f64>()?, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "put_along_axis")]
    pub fn scatter(&self, axis: impl Axis, indices: &Tensor, source: &Tensor) -> Result<Tensor> {
        self.scattered("scatter", axis, indices, source, written)
    }

    /// Returns a copy with one element of `source` added for each index, as [`scatter`](Tensor::scatter) writes them.
    ///
    /// Several that are added to one element all count. Integers wrap around. Gradient: g for this tensor, and for the
    /// source g at the indices.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let zeros = Tensor::zeros(3, DType::F64, &Device::Cpu)?;
    /// let at = Tensor::new(&[2_u32, 0, 2], &Device::Cpu)?;
    /// let x = Tensor::new(&[1.0, 10.0, 100.0], &Device::Cpu)?;
    /// assert_eq!(zeros.scatter_add(0, &at, &x)?.to_vec1::<f64>()?, [10.0, 0.0, 101.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn scatter_add(&self, axis: impl Axis, indices: &Tensor, source: &Tensor) -> Result<Tensor> {
        self.scattered("scatter_add", axis, indices, source, added)
    }

    fn scattered(
        &self,
        op: &'static str,
        axis: impl Axis,
        indices: &Tensor,
        source: &Tensor,
        combine: fn(&Tensor, &Tensor, Places) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let axis = axis.to_index(op, self.dims())?;
        let at = flat_indices(op, self, axis, indices)?;
        let source = indexed_part(op, self, indices, source)?;
        let compute = || combine(self, &source, at);
        traced(&[self, indices, &source], compute, |onnx| {
            let at = onnx.input(1);
            let at = counted(at, onnx.dtype(1)?, onnx)?;
            scatter_node(at, axis, op == "scatter_add", onnx)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        let cpu = &Device::Cpu;
        // 1 is taken three times and 0 never.
        let long = Tensor::new(&[[1_u32, 1, 5, 2, 1, 3, 3]], cpu)?;
        check(&x, |x| x.reshape((x.elem_count() / 6, 6))?.gather(1, &long)?.exp());
        let short = Tensor::new(&[[2_i64, 0], [2, 1]], cpu)?;
        check(&x, |x| x.sqr()?.reshape((3, x.elem_count() / 3))?.gather(0, &short));
        // 2 is written twice, 0 is kept.
        let twice = Tensor::new(&[[2_i64, 1, -1]], cpu)?;
        for add in [false, true] {
            check(&x, |x| {
                let x = x.reshape((x.elem_count() / 3, 3))?;
                let source = x.sqr()?;
                if add {
                    x.exp()?.scatter_add(1, &twice, &source)
                } else {
                    x.exp()?.scatter(1, &twice, &source)
                }
            });
        }
        Ok(())
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        let plain = Tensor::arange(0.0, 120.0, &Device::Cpu)?.reshape((4, 5, 6))?;
        for dtype in [DType::U32, DType::BF16, DType::F32, DType::F64] {
            for x in [plain.clone(), plain.permute(&[2, 0, 1])?, plain.narrow(0, 1, 3)?] {
                for axis in 0..3 {
                    // Strided indices, shorter along the other axes and longer along this one.
                    let size = x.dims()[axis];
                    let remainder: Vec<i64> = (0..60).map(|i| i * 7 % size as i64).collect();
                    let indices = Tensor::from_vec(remainder, (5, 3, 4), &Device::Cpu)?;
                    let indices = match axis {
                        0 => indices.transpose(1, 2)?.narrow(1, 0, 3)?.narrow(2, 0, 3)?,
                        1 => indices.transpose(0, 1)?.narrow(2, 0, 3)?,
                        _ => indices.permute(&[1, 2, 0])?,
                    };
                    let numbers = x.to_vec3::<f64>()?;
                    let at = indices.to_vec3::<i64>()?;
                    let y = x.to_dtype(dtype)?.gather(axis, &indices)?;
                    assert_eq!(y.dims(), indices.dims());
                    let y = y.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                    for (i, rows) in at.iter().enumerate() {
                        for (j, row) in rows.iter().enumerate() {
                            for (k, &index) in row.iter().enumerate() {
                                let mut place = [i, j, k];
                                place[axis] = index as usize;
                                let [a, b, c] = place;
                                assert_eq!(y[i][j][k], numbers[a][b][c], "{dtype:?} {axis} {place:?}");
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_gradient_is_added_for_every_time_a_place_was_taken() -> Result<()> {
        for dtype in [DType::F16, DType::F32, DType::F64] {
            let x = Tensor::parameter(Array::zeros((3, 2), dtype, &Device::Cpu)?);
            // 4096 ones, added in f16, would stay at 2048. The second column of x is never reached.
            let y = x.gather(0, &Tensor::full(1_u8, (4096, 1), &Device::Cpu)?)?.sum_all()?;
            let gradients = y.backward()?;
            let gradient = gradients.get(&x).unwrap().to_dtype(DType::F64)?;
            assert_eq!(gradient.to_vec2::<f64>()?, [[0.0, 0.0], [4096.0, 0.0], [0.0, 0.0]], "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn scattered_against_loops() -> Result<()> {
        let cpu = &Device::Cpu;
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(0.0, 12.0, cpu)?.reshape((4, 3))?.to_dtype(dtype)?;
            let source = Tensor::arange(20.0, 32.0, cpu)?.reshape((4, 3))?.t()?.to_dtype(dtype)?; // (3, 4)
            let indices = Tensor::new(&[[0_i64, -1], [0, 2], [3, 2]], cpu)?;
            let mut set = x.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            let mut sum = set.clone();
            let from = source.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            for (i, row) in indices.to_vec2::<i64>()?.iter().enumerate() {
                for (j, &index) in row.iter().enumerate() {
                    let at = if index < 0 { index + 4 } else { index } as usize;
                    set[at][j] = from[i][j];
                    sum[at][j] += from[i][j];
                }
            }
            let numbers = |x: Tensor| x.to_dtype(DType::F64)?.to_vec2::<f64>();
            assert_eq!(numbers(x.scatter(0, &indices, &source)?)?, set, "{dtype:?}");
            assert_eq!(numbers(x.scatter_add(-2, &indices, &source)?)?, sum, "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn only_the_last_written_has_a_gradient() -> Result<()> {
        let [x, source] = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].map(|x| Tensor::parameter(tensor(&x)));
        let y = x.scatter(0, &Tensor::new(&[1_u32, 1, 0], &Device::Cpu)?, &source)?;
        assert_eq!(y.to_vec1::<f64>()?, [6.0, 5.0, 3.0]);
        let gradients = y.sqr()?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [0.0, 0.0, 6.0]);
        assert_eq!(gradients.get(&source).unwrap().to_vec1::<f64>()?, [0.0, 10.0, 12.0]);
        Ok(())
    }

    #[test]
    fn scatter_refuses() -> Result<()> {
        let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        let indices = Tensor::zeros((2, 4), DType::U32, &Device::Cpu)?;
        let error = x.scatter(1, &indices, &x).unwrap_err();
        let message = "scatter: expected a source no shorter than the indices, got [2, 3] and [2, 4]";
        assert_eq!(error.to_string(), message);
        assert!(matches!(x.scatter(0, &indices, &x), Err(Error::Shape { .. })));
        assert!(matches!(x.scatter_add(0, &x, &x), Err(Error::Dtype { .. })));
        let short = indices.narrow(1, 0, 1)?;
        assert!(matches!(x.scatter_add(0, &short, &x.to_dtype(DType::F64)?), Err(Error::Dtype { .. })));
        assert!(matches!(x.scatter(2, &short, &x), Err(Error::Axis { .. })));
        let none = Tensor::zeros((0, 3), DType::U32, &Device::Cpu)?;
        assert_eq!(x.scatter(0, &none, &x)?.to_vec2::<f32>()?, [[0.0; 3]; 2]);
        let far = Tensor::new(&[[2_u32]], &Device::Cpu)?;
        assert!(matches!(x.scatter(0, &far, &x), Err(Error::Argument { .. })));
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::zeros((2, 3), DType::F32, cpu)?;
        let none = Tensor::zeros((0, 3), DType::U32, cpu)?;
        assert_eq!(x.gather(0, &none)?.dims(), [0, 3]);
        assert_eq!(x.gather(1, &none)?.dims(), [0, 3]);
        assert_eq!(
            Tensor::zeros((2, 0), DType::F32, cpu)?.gather(0, &none.t()?.i((..1, ..))?)?.dims(),
            [1, 0]
        );
        let ends = Tensor::new(&[[1.0, 2.0, 3.0]], cpu)?.gather(1, &Tensor::new(&[[-1_i64, -3]], cpu)?)?;
        assert_eq!(ends.to_vec2::<f64>()?, [[3.0, 1.0]]);
        let error = x.gather(1, &Tensor::new(&[[0_i64, -4]], cpu)?).unwrap_err().to_string();
        let message = "gather: expected indices from -3 and below 3 (axis 1 of shape [2, 3]), \
                       got -4 (element 1 of the indices)";
        assert_eq!(error, message);
        let error = x.gather(1, &Tensor::zeros((3, 1), DType::U32, cpu)?).unwrap_err();
        let message =
            "gather: expected indices no longer than the tensor except along axis 1, got [2, 3] and [3, 1]";
        assert_eq!(error.to_string(), message);
        assert!(matches!(x.gather(1, &Tensor::zeros(3, DType::U32, cpu)?), Err(Error::Shape { .. })));
        assert!(matches!(x.gather(1, &x), Err(Error::Dtype { .. })));
        assert!(matches!(x.gather(-3, &none), Err(Error::Axis { axis: -3, .. })));
        assert!(matches!(tensor(&[1.0]).i(0)?.gather(0, &none), Err(Error::Axis { .. })));
        Ok(())
    }
}
