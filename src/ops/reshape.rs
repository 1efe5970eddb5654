//! Other shapes of the same elements.

use candle_core::Shape;

use super::axis::Axis;
use super::create::checked;
use crate::autograd::array::contiguous;
use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// The op behind all methods here.
#[derive(Debug)]
pub(super) struct Reshape(Dims);

impl Op<1> for Reshape {
    const NAME: &'static str = "reshape";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let dims = &self.0[..];
        if x.is_contiguous() || longer(x.dims()) != longer(dims) {
            return Ok(contiguous(x)?.reshape(dims)?);
        }
        // Axes of length 1 come and go without a copy, however x is laid out.
        let mut y = x.clone();
        for axis in (0..x.rank()).rev().filter(|&axis| x.dims()[axis] == 1) {
            y = y.squeeze(axis)?;
        }
        for (axis, _) in dims.iter().enumerate().filter(|&(_, &size)| size == 1) {
            y = y.unsqueeze(axis)?;
        }
        Ok(y)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let x = onnx.input(0);
        Ok(onnx.reshape(x, &self.0))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(Reshape(Dims::from_slice(saved.input_dims(0)?)).apply([grad])?)])
    }
}

/// The shape without axes of length 1.
fn longer(dims: &[usize]) -> Dims {
    dims.iter().copied().filter(|&size| size != 1).collect()
}

/// `x` with the shape `dims`, which has as many elements.
pub(super) fn reshaped(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    if x.dims() == dims { Ok(x.clone()) } else { Reshape(Dims::from_slice(dims)).apply([x]) }
}

impl Tensor {
    /// The same elements, in row-major order, in another shape with as many elements.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 6.0, &Device::Cpu)?.reshape((2, 3))?;
    /// assert_eq!(x.to_vec2::<f64>()?, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "view")]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = checked("reshape", shape.into(), 0)?;
        if shape.elem_count() != self.elem_count() {
            let expected = format!("a shape of {} elements for {:?}", self.elem_count(), self.dims());
            return Err(Error::shape("reshape", expected, &[shape.dims()]));
        }
        reshaped(self, shape.dims())
    }

    /// Merges the axes from `start` to `end`, both included. A scalar becomes a vector.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3, 4, 5), DType::F32, &Device::Cpu)?;
    /// assert_eq!(x.flatten(1, -1)?.dims(), [2, 60]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "ravel")]
    pub fn flatten(&self, start: impl Axis, end: impl Axis) -> Result<Tensor> {
        if self.rank() == 0 && [start.number(), end.number()].iter().all(|n| (-1..=0).contains(n)) {
            return reshaped(self, &[1]);
        }
        let (start, end) = (start.to_index("flatten", self.dims())?, end.to_index("flatten", self.dims())?);
        if start > end {
            return Err(Error::argument("flatten", "start <= end", format!("axes {start} to {end}")));
        }
        let mut dims = Dims::from_slice(&self.dims()[..start]);
        dims.push(self.dims()[start..=end].iter().product());
        dims.extend_from_slice(&self.dims()[end + 1..]);
        reshaped(self, &dims)
    }

    /// Removes `axis`. Errors unless its length is 1.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 1, 3), DType::F32, &Device::Cpu)?;
    /// assert_eq!(x.squeeze(1)?.dims(), [2, 3]);
    /// let error = x.squeeze(0).unwrap_err().to_string();
    /// assert_eq!(error, "squeeze: expected axis 0 to have length 1, got [2, 1, 3]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn squeeze(&self, axis: impl Axis) -> Result<Tensor> {
        let axis = axis.to_index("squeeze", self.dims())?;
        if self.dims()[axis] != 1 {
            return Err(Error::shape("squeeze", format!("axis {axis} to have length 1"), &[self.dims()]));
        }
        let mut dims = Dims::from_slice(self.dims());
        dims.remove(axis);
        reshaped(self, &dims)
    }

    /// Removes all axes of length 1.
    pub fn squeeze_all(&self) -> Result<Tensor> {
        reshaped(self, &longer(self.dims()))
    }

    /// Inserts an axis of length 1 at the position `axis`; −1 is the last position.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros(3, DType::F32, &Device::Cpu)?;
    /// assert_eq!((x.unsqueeze(0)?.dims(), x.unsqueeze(-1)?.dims()), (&[1, 3][..], &[3, 1][..]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "expand_dims")]
    #[doc(alias = "newaxis")]
    pub fn unsqueeze(&self, axis: impl Axis) -> Result<Tensor> {
        let mut dims = Dims::from_slice(self.dims());
        dims.push(1);
        let axis = axis.to_index("unsqueeze", &dims)?;
        dims.pop();
        dims.insert(axis, 1);
        reshaped(self, &dims)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.flatten(0, -1)?.unsqueeze(0)?.squeeze(0)?.reshape((1, x.elem_count())));
        check(&x, |x| x.unsqueeze(0)?.unsqueeze(-1)?.sqr()?.squeeze_all());
    }

    #[test]
    fn shapes() -> Result<()> {
        let x = Tensor::arange(0u32, 12, &Device::Cpu)?.reshape((3, 4))?;
        // A strided view is read in its own order.
        let t: Tensor = x.array().t()?.into();
        assert_eq!(t.flatten(0, 1)?.to_vec1::<u32>()?[..4], [0, 4, 8, 1]);
        let view = t.unsqueeze(1)?.unsqueeze(0)?.unsqueeze(-1)?;
        assert_eq!((view.dims(), view.array().is_contiguous()), (&[1, 4, 1, 3, 1][..], false));
        assert_eq!(view.squeeze_all()?.to_vec2::<u32>()?, t.to_vec2::<u32>()?);
        assert_eq!(Tensor::zeros((1, 1), DType::U8, &Device::Cpu)?.squeeze_all()?.rank(), 0);
        assert_eq!(Tensor::zeros((1, 0), DType::U8, &Device::Cpu)?.squeeze_all()?.dims(), [0]);
        let back = view.reshape((4, 1, 3))?.squeeze(1)?;
        assert_eq!(back.to_vec2::<u32>()?, t.to_vec2::<u32>()?);
        assert_eq!(Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?.reshape((0, 7))?.dims(), [0, 7]);
        assert_eq!(Tensor::new(1.0, &Device::Cpu)?.flatten(0, -1)?.dims(), [1]);
        let error = x.reshape((5, 2)).unwrap_err();
        assert_eq!(error.to_string(), "reshape: expected a shape of 12 elements for [3, 4], got [5, 2]");
        assert!(matches!(x.reshape((usize::MAX, 5)), Err(Error::Shape { .. })));
        assert!(matches!(x.squeeze(0), Err(Error::Shape { .. })));
        assert!(matches!(x.squeeze(2), Err(Error::Axis { .. })));
        assert!(matches!(x.unsqueeze(-4), Err(Error::Axis { .. })));
        assert!(matches!(x.flatten(1, 0), Err(Error::Argument { .. })));
        Ok(())
    }
}
