//! Conversion to another dtype.

use candle_core::DType;

use super::create::checked;
use crate::autograd::array::{contiguous, converted, on_cpu};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor, traced};
use crate::error::Result;
use crate::kernel;

#[derive(Debug)]
struct ToDtype {
    from: DType,
    to: DType,
}

impl Op<1> for ToDtype {
    const NAME: &'static str = "to_dtype";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        // Between f32 and f64 tealight's loop is faster than candle's: its results lie in large pages.
        match (x.dtype(), self.to) {
            (DType::F64, DType::F32) if on_cpu(x) => {
                launch((Self::NAME, || Primitive::Cast), [&contiguous(x)?], x.dims(), |[x]| {
                    kernel::cast::<f64, f32>(x.elements(), |x| x as f32)
                })
            }
            (DType::F32, DType::F64) if on_cpu(x) => {
                launch((Self::NAME, || Primitive::Cast), [&contiguous(x)?], x.dims(), |[x]| {
                    kernel::cast::<f32, f64>(x.elements(), f64::from)
                })
            }
            _ => converted(x, self.to),
        }
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let x = onnx.input(0);
        onnx.cast(x, self.to)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(grad.to_dtype(self.from)?)])
    }
}

impl Tensor {
    /// Converts to another dtype, rounding or truncating as Rust's `as` does.
    ///
    /// The gradient is converted back to this tensor's dtype; an integer result has no gradient.
    ///
    /// # Errors
    /// Errors if the device does not support the dtype.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[2.7, -1.5, 300.0], &Device::Cpu)?;
    /// assert_eq!(x.to_dtype(DType::I64)?.to_vec1::<i64>()?, [2, -1, 300]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "astype")]
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        checked("to_dtype", self.shape().into(), dtype.size_in_bytes())?;
        if !dtype.is_float() {
            let compute = || Ok(converted(self.array(), dtype)?.into());
            return traced(&[self], compute, |onnx| {
                let x = onnx.input(0);
                onnx.cast(x, dtype)
            });
        }
        ToDtype { from: self.dtype(), to: dtype }.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::Array;
    use crate::prelude::*;

    /// All 256 of them, against torch.float8_e4m3fn and ml_dtypes.float8_e4m3fn: 2^(e−7)·(1 + m/8), no infinity, NaN at 0x7f.
    #[test]
    fn floats_of_8_bits() -> Result<()> {
        let bytes: Vec<u8> = (0..=255).collect();
        let x = Tensor::from(Array::from_raw_buffer(&bytes, DType::F8E4M3, &[256], &Device::Cpu)?);
        let exact = |byte: u8| {
            let (e, m) = (i32::from(byte >> 3 & 15), f64::from(byte & 7));
            let size = match (e, byte & 127) {
                (_, 127) => f64::NAN,
                (0, _) => m / 512.0,
                _ => 2_f64.powi(e - 7) * (1.0 + m / 8.0),
            };
            if byte < 128 { size } else { -size }
        };
        let y = x.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        for (byte, y) in (0..=255).zip(y) {
            let expected = exact(byte);
            assert!(y == expected && y.is_sign_negative() == (byte > 127) || y.is_nan() && expected.is_nan());
        }
        assert!(x.to_string().starts_with("[   0.          0.001953 "), "{x}");
        assert_eq!(format!("{:?}", x.narrow(0, 56, 2)?), "Tensor([2], f8e4m3, [1.0, 1.125])");
        Ok(())
    }

    #[test]
    fn gradients_are_converted_back() -> Result<()> {
        let x = Tensor::parameter(Tensor::new(&[1.0_f32, 2.0], &Device::Cpu)?);
        let y = x.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f32>()?, [2.0, 4.0]);
        assert!(!x.to_dtype(DType::U32)?.requires_grad());
        Ok(())
    }

    #[test]
    fn kernel_converts_as_rust() -> Result<()> {
        let edges = [0.1, -0.0, 1e-50, 1e50, f64::MIN, f64::INFINITY, f64::NAN, 1.0 + f64::EPSILON];
        for n in [0, 1, 7, 8, 100_000] {
            let x: Vec<f64> = edges.iter().cycle().take(n).copied().collect();
            let single = Tensor::from_vec(x.clone(), n, &Device::Cpu)?.to_dtype(DType::F32)?;
            let bits = single.to_vec1::<f32>()?.into_iter().map(f32::to_bits);
            assert!(bits.eq(x.iter().map(|&x| (x as f32).to_bits())), "{n}");
            let double = single.to_dtype(DType::F64)?.to_vec1::<f64>()?.into_iter().map(f64::to_bits);
            assert!(double.eq(x.iter().map(|&x| f64::from(x as f32).to_bits())), "{n}");
        }
        let view = Tensor::new(&[[1.5, 2.5], [3.5, 4.5]], &Device::Cpu)?.t()?;
        assert_eq!(view.to_dtype(DType::F32)?.to_vec2::<f32>()?, [[1.5, 3.5], [2.5, 4.5]]);
        Ok(())
    }
}
