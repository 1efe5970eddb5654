//! `index_select` and `index_add`: slices of an axis by a vector of indices.

use super::axis::Axis;
use super::create::checked;
use super::gather::scatter_node;
use super::index::gathered;
use super::onnx::counted;
use super::take::{Places, added, checked_indices, places_at, same_kind, taken};
use crate::autograd::{Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// The slices along `axis` for a vector of indices.
fn slices(op: &'static str, dims: &[usize], axis: usize, indices: &Tensor) -> Result<Places> {
    if indices.rank() != 1 {
        return Err(Error::shape(op, "a vector of indices", &[indices.dims()]));
    }
    places_at(dims, axis, checked_indices(op, dims, axis, indices, |_| {})?)
}

impl Tensor {
    /// Takes the slices of `axis` that a vector of `indices` names, in that order; one may be named several times.
    ///
    /// Negative indices count from the end. Shapes: (.., n, ..) and (k) to (.., k, ..). Gradient: g added at the slices that
    /// were taken. Errors if an index is beyond the axis.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let words = Tensor::new(&[[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]], &Device::Cpu)?;
    /// let text = Tensor::new(&[2_i64, 0, -1], &Device::Cpu)?;
    /// assert_eq!(words.index_select(0, &text)?.to_vec2::<f64>()?, [[2.0, 2.1], [0.0, 0.1], [2.0, 2.1]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "embedding")]
    pub fn index_select(&self, axis: impl Axis, indices: &Tensor) -> Result<Tensor> {
        let axis = axis.to_index("index_select", self.dims())?;
        let slices = slices("index_select", self.dims(), axis, indices)?;
        let mut dims = Dims::from_slice(self.dims());
        dims[axis] = indices.elem_count();
        checked("index_select", dims[..].into(), self.dtype().size_in_bytes())?;
        let compute = || taken(self, slices, &dims);
        traced(&[self, indices], compute, |onnx| gathered(axis, onnx))
    }

    /// Returns a copy with slice i of `source` added to slice `indices[i]` of `axis`; an index that occurs twice adds both.
    ///
    /// Negative indices count from the end. Integers wrap around. Shapes: (.., n, ..), (k) and (.., k, ..) to (.., n, ..).
    /// Gradient: g for this tensor, and for the source the slices of g at the indices.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let counts = Tensor::zeros(3, DType::F64, &Device::Cpu)?;
    /// let votes = Tensor::new(&[2_u32, 0, 2], &Device::Cpu)?;
    /// let weights = Tensor::new(&[1.0, 10.0, 100.0], &Device::Cpu)?;
    /// assert_eq!(counts.index_add(0, &votes, &weights)?.to_vec1::<f64>()?, [10.0, 0.0, 101.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn index_add(&self, axis: impl Axis, indices: &Tensor, source: &Tensor) -> Result<Tensor> {
        const OP: &str = "index_add";
        let axis = axis.to_index(OP, self.dims())?;
        same_kind(OP, self, source)?;
        let slices = slices(OP, self.dims(), axis, indices)?;
        let mut dims = self.dims().to_vec();
        dims[axis] = indices.elem_count();
        if source.dims() != dims {
            return Err(Error::shape(OP, format!("a source of shape {dims:?}"), &[source.dims()]));
        }
        let compute = || added(self, source, slices);
        traced(&[self, indices, source], compute, |onnx| {
            let at = onnx.input(1);
            let at = counted(at, onnx.dtype(1)?, onnx)?;
            // An index for each element of the source.
            let mut column = vec![1; dims.len()];
            column[axis] = dims[axis];
            let (at, shape) = (onnx.reshape(at, &column), onnx.shape(&dims));
            let at = onnx.node("Expand", &[at, shape], &[]);
            scatter_node(at, axis, true, onnx)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, tensor};
    use crate::prelude::*;

    fn indices(numbers: &[u32]) -> Tensor {
        Tensor::new(numbers, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        // 4 is taken three times and 1 never.
        let twice = indices(&[4, 0, 4, 5, 3, 4, 2]);
        check(&x, |x| x.index_select(-1, &twice));
        check(&x, |x| x.sqr()?.unsqueeze(0)?.index_select(-1, &twice)?.exp());
        check(&x, |x| x.unsqueeze(-1)?.index_select(-2, &twice)?.index_select(1, &indices(&[0, 0])));
        check(&x, |x| x.reshape((3, x.elem_count() / 3))?.index_select(0, &indices(&[2, 0, 2])));
        check(&x, |x| x + x.index_select(-1, &indices(&[]))?.sum_all());
        check(&x, |x| x.exp()?.index_add(-1, &indices(&[4, 0, 4]), &x.sqr()?.narrow(-1, 1, 3)?));
        check2(|a, b| {
            let (a, b) = ((a + b)?, (a * b)?);
            a.index_add(0, &Tensor::full(1_u8, 2, &Device::Cpu)?, &b)
        });
    }

    #[test]
    fn index_add_against_loops() -> Result<()> {
        let places = Tensor::new(&[1_i64, -1, -3, 1], &Device::Cpu)?;
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(0.0, 6.0, &Device::Cpu)?.reshape((2, 3))?.to_dtype(dtype)?;
            // A strided source.
            let source = Tensor::arange(10.0, 18.0, &Device::Cpu)?.reshape((4, 2))?.t()?.to_dtype(dtype)?;
            let y = x.index_add(1, &places, &source)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            assert_eq!(y, [[14.0, 1.0 + 10.0 + 16.0, 14.0], [18.0, 4.0 + 11.0 + 17.0, 18.0]], "{dtype:?}");
        }
        let bytes = Tensor::new(&[250_u8], &Device::Cpu)?;
        let y = bytes.index_add(0, &indices(&[0]), &Tensor::new(&[10_u8], &Device::Cpu)?)?;
        assert_eq!(y.to_vec1::<u8>()?, [4]);
        Ok(())
    }

    #[test]
    fn index_add_refuses() -> Result<()> {
        let x = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
        let error = x.index_add(1, &indices(&[0, 1]), &x).unwrap_err();
        assert_eq!(error.to_string(), "index_add: expected a source of shape [2, 2], got [2, 3]");
        assert!(matches!(x.index_add(0, &indices(&[0, 2]), &x), Err(Error::Argument { .. })));
        assert!(matches!(x.index_add(0, &x, &x), Err(Error::Shape { .. })));
        assert!(matches!(x.index_add(2, &indices(&[0]), &x), Err(Error::Axis { .. })));
        let floats = x.to_dtype(DType::F32)?;
        assert!(matches!(x.index_add(0, &indices(&[0, 1]), &floats), Err(Error::Dtype { .. })));
        let none = Tensor::zeros((2, 0), DType::F64, &Device::Cpu)?;
        assert_eq!(x.index_add(1, &indices(&[]), &none)?.to_vec2::<f64>()?, [[0.0; 3]; 2]);
        assert_eq!(none.index_add(0, &indices(&[1, 1]), &none)?.dims(), [2, 0]);
        Ok(())
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        for dtype in [DType::U8, DType::I64, DType::F16, DType::F32, DType::F64] {
            let plain = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((2, 3, 4))?.to_dtype(dtype)?;
            let repeated =
                Tensor::arange(0.0, 4.0, &Device::Cpu)?.to_dtype(dtype)?.broadcast_to((2, 3, 4))?;
            // A part, a transpose and a broadcast view, with strided indices.
            for x in [plain.narrow(1, 1, 2)?, plain.transpose(0, 2)?, plain, repeated] {
                let numbers = x.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                let table = Tensor::new(&[[1_i64, 9], [0, 9], [1, 9]], &Device::Cpu)?;
                let strided = table.i((.., 0))?;
                assert!(!strided.array().is_contiguous());
                let got = x.index_select(1, &strided)?.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                let expected: Vec<Vec<Vec<f64>>> =
                    numbers.iter().map(|rows| [1, 0, 1].map(|i: usize| rows[i].clone()).to_vec()).collect();
                assert_eq!(got, expected, "{dtype:?} {x:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_gradient_is_added_for_every_time_a_place_was_taken() -> Result<()> {
        for dtype in [DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::parameter(Array::zeros((2, 3), dtype, &Device::Cpu)?);
            // 1000 bf16 ones, added in bf16, would stay at 256.
            let y = x.index_select(-1, &Tensor::full(2_u8, 1000, &Device::Cpu)?)?.sum_all()?;
            let gradients = y.backward()?;
            let gradient = gradients.get(&x).unwrap().to_dtype(DType::F64)?;
            assert_eq!(gradient.to_vec2::<f64>()?, [[0.0, 0.0, 1000.0]; 2], "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn index_255_is_an_index() -> Result<()> {
        // candle takes it for "nowhere" and answers 0.
        let x = Tensor::parameter(Array::ones(300, DType::F32, &Device::Cpu)?);
        let y = x.index_select(0, &Tensor::new(&[255_u8], &Device::Cpu)?)?;
        assert_eq!(y.to_vec1::<f32>()?, [1.0]);
        assert_eq!(y.sum_all()?.backward()?.get(&x).unwrap().to_vec1::<f32>()?[255], 1.0);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?;
        assert_eq!(x.index_select(0, &indices(&[]))?.dims(), [0, 3]);
        assert_eq!(x.index_select(1, &indices(&[2, 2, 2, 0]))?.dims(), [0, 4]);
        assert!(matches!(x.index_select(0, &indices(&[0])), Err(Error::Argument { .. })));
        assert!(matches!(x.index_select(2, &indices(&[0])), Err(Error::Axis { axis: 2, .. })));
        let error = x.index_select(1, &indices(&[1, 3])).unwrap_err().to_string();
        let message = "index_select: expected indices from -3 and below 3 (axis 1 of shape [0, 3]), \
                       got 3 (element 1 of the indices)";
        assert_eq!(error, message);
        let negative = Tensor::new(&[-1_i64, 0, -3], &Device::Cpu)?;
        assert_eq!(tensor(&[1.0, 2.0, 3.0]).index_select(0, &negative)?.to_vec1::<f64>()?, [3.0, 1.0, 1.0]);
        let nowhere = [i64::MAX, i64::MIN, -4, u32::MAX.into()].map(|i| Tensor::new(&[i], &Device::Cpu));
        for nowhere in nowhere.into_iter().chain([Tensor::new(&[u32::MAX], &Device::Cpu)]) {
            let nowhere = nowhere?;
            assert!(matches!(x.index_select(1, &nowhere), Err(Error::Argument { .. })));
        }
        assert!(matches!(x.index_select(1, &tensor(&[1.0])), Err(Error::Dtype { .. })));
        assert!(matches!(x.index_select(1, &Tensor::new(1_u32, &Device::Cpu)?), Err(Error::Shape { .. })));
        assert!(matches!(tensor(&[1.0]).i(0)?.index_select(0, &indices(&[0])), Err(Error::Axis { .. })));
        Ok(())
    }
}
