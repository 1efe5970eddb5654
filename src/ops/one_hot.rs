//! `one_hot`.

use candle_core::{CpuStorage, DType, Device, Shape};

use super::create::checked;
use super::onnx::counted;
use crate::autograd::array::{contiguous, converted};
use crate::autograd::launch::launch_many;
use crate::autograd::{Tensor, traced};
use crate::error::{Error, Result};

impl Tensor {
    /// Encodes class indices as vectors of length `classes` with 1 at the class and 0 elsewhere.
    ///
    /// Shapes: any to (.., classes). Classes are u8, u32 or i64; the result has no gradient. Errors if a class is not from 0
    /// to `classes` − 1.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[2_u32, 0], &Device::Cpu)?;
    /// assert_eq!(x.one_hot(3, DType::F32)?.to_vec2::<f32>()?, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Result<Tensor> {
        if !matches!(self.dtype(), DType::U8 | DType::U32 | DType::I64) {
            return Err(Error::dtype("one_hot", "classes of dtype u8, u32 or i64", &[self.dtype()]));
        }
        let shape = [self.dims(), &[classes]].concat();
        let shape = checked("one_hot", shape.into(), dtype.size_in_bytes())?;
        traced(
            &[self],
            || encode(self, classes, shape, dtype),
            |onnx| {
                let (x, last) = (onnx.input(0), onnx.ints(&[-1]));
                let x = counted(x, onnx.dtype(0)?, onnx)?;
                let x = onnx.node("Unsqueeze", &[x, last], &[]);
                let all = onnx.ints(&(0..classes as i64).collect::<Vec<_>>());
                let equal = onnx.node("Equal", &[x, all], &[]);
                onnx.cast(equal, dtype)
            },
        )
    }
}

fn encode(x: &Tensor, classes: usize, shape: Shape, dtype: DType) -> Result<Tensor> {
    let numbers = contiguous(&converted(&x.array().to_device(&Device::Cpu)?, DType::I64)?)?;
    let count = shape.elem_count();
    let [ones] = launch_many("one_hot", [&numbers], [shape.dims()], move |[x]| {
        let mut ones = vec![0_u8; count];
        for (element, &class) in x.elements::<i64>().iter().enumerate() {
            let at = usize::try_from(class).ok().filter(|&at| at < classes).ok_or_else(|| {
                let got = format!("{class} (element {element})");
                Error::argument("one_hot", format!("classes from 0 and below {classes}"), got)
            })?;
            ones[element * classes + at] = 1;
        }
        Ok([CpuStorage::U8(ones)])
    })?;
    Ok(converted(&ones.to_device(x.device())?, dtype)?.into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        // A product with it is a lookup, and has its gradient.
        let one_hot = Tensor::new(&[2_i64, 0, 2], &Device::Cpu)?.one_hot(3, DType::F64)?;
        assert!(!one_hot.requires_grad());
        check(&[0.3, -1.0, 2.0], |x| one_hot.matmul(&x.reshape((3, x.elem_count() / 3))?));
        Ok(())
    }

    #[test]
    fn classes_of_every_kind() -> Result<()> {
        let x = Tensor::new(&[[1_i64, 0], [3, 2]], &Device::Cpu)?.t()?;
        for from in [DType::U8, DType::U32, DType::I64] {
            for to in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
                let y = x.to_dtype(from)?.one_hot(4, to)?;
                assert_eq!((y.dims(), y.dtype()), (&[2, 2, 4][..], to));
                let y = y.to_dtype(DType::F64)?.reshape((4, 4))?.to_vec2::<f64>()?;
                let expected =
                    [1, 3, 0, 2].map(|class| [0, 1, 2, 3].map(|c| f64::from(u8::from(c == class))));
                assert_eq!(y, expected);
            }
        }
        assert_eq!(Tensor::new(1_u8, &Device::Cpu)?.one_hot(2, DType::U8)?.to_vec1::<u8>()?, [0, 1]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::new(&[0_i64, 3], &Device::Cpu)?;
        let error = x.one_hot(3, DType::F32).unwrap_err();
        assert_eq!(error.to_string(), "one_hot: expected classes from 0 and below 3, got 3 (element 1)");
        assert!(matches!(
            Tensor::new(&[-1_i64], &Device::Cpu)?.one_hot(3, DType::F32),
            Err(Error::Argument { .. })
        ));
        assert!(matches!(x.one_hot(0, DType::F32), Err(Error::Argument { .. })));
        assert!(matches!(x.one_hot(usize::MAX, DType::F32), Err(Error::Shape { .. })));
        assert!(matches!(tensor(&[1.0]).one_hot(3, DType::F32), Err(Error::Dtype { .. })));
        let none = Tensor::zeros(0, DType::U32, &Device::Cpu)?;
        assert_eq!(none.one_hot(0, DType::F32)?.dims(), [0, 0]);
        assert_eq!(none.one_hot(5, DType::F32)?.dims(), [0, 5]);
        Ok(())
    }
}
