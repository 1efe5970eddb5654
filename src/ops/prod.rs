//! Products along axes.

use super::axis::Axes;
use super::cumprod::products_of_others;
use super::reduction::{ReducedAxes, around, in_memory, integers};
use super::reshape::reshaped;
use crate::autograd::array::{contiguous, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::{Dims, scan};

/// The product along one axis, which is kept at length 1.
#[derive(Debug)]
struct Prod {
    axis: usize,
}

impl Prod {
    fn reduction(&self) -> ReducedAxes {
        ReducedAxes { axes: Dims::from_slice(&[self.axis]), keepdim: true }
    }
}

impl Op<1> for Prod {
    const NAME: &'static str = "prod";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        let over = self.reduction();
        let dims = over.output(Self::NAME, x)?;
        if x.dtype().is_int() {
            let times = |x: &Array| over.fold(x, &dims, 1, u32::wrapping_mul);
            return integers(x, times, |x| over.fold(x, &dims, 1, i64::wrapping_mul));
        }
        in_memory(x, |x| {
            let shape = around(x.dims(), self.axis);
            with_float!(x.dtype(), T => {
                let what = (Self::NAME, || Primitive::Scan { sizes: shape, walk: None, start: 1.0, step: "total * a" });
                launch(what, [&contiguous(x)?], &dims, move |[x]| scan::products::<T>(x.elements(), shape))
            })
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        if onnx.dtype(0)? == candle_core::DType::U8 {
            return Err(onnx.no_form("prod of u8"));
        }
        Ok(self.reduction().onnx("ReduceProd", onnx))
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        if saved.recording() {
            return Ok([Some((products_of_others(&x, self.axis)? * grad)?)]);
        }
        let others = in_memory(x.array(), |x| {
            let shape = around(x.dims(), self.axis);
            with_float!(x.dtype(), T => {
                launch("other_products", [&contiguous(x)?], x.dims(), move |[x]| {
                    scan::other_products::<T>(x.elements(), shape)
                })
            })
        });
        Ok([Some((Tensor::constant(others?) * grad)?)])
    }
}

/// One axis after the other: the order of factors does not matter, and each step is exact at zeros.
fn product(x: &Tensor, over: &ReducedAxes) -> Result<Tensor> {
    if over.axes.is_empty() {
        // A new axis makes each element its own product, which turns u8 into u32 here too.
        return reshaped(&Prod { axis: x.rank() }.apply([&x.unsqueeze(-1)?])?, x.dims());
    }
    let mut y = x.clone();
    for &axis in over.axes.iter().rev() {
        y = Prod { axis }.apply([&y])?;
    }
    reshaped(&y, &over.dims(x.dims(), over.keepdim))
}

impl Tensor {
    /// Computes the products along `axes`, which are removed.
    ///
    /// Floats are multiplied in f64. Integers wrap around; u8 are multiplied as u32. Gradient: g times the product of all
    /// other elements; exact also where elements are 0.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 0.0, 6.0]], &Device::Cpu)?;
    /// assert_eq!(x.prod(1)?.to_vec1::<f64>()?, [6.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn prod(&self, axes: impl Axes) -> Result<Tensor> {
        product(self, &ReducedAxes::of("prod", self, axes, false)?)
    }

    /// [`prod`](Tensor::prod) with the axes kept at length 1.
    pub fn prod_keepdim(&self, axes: impl Axes) -> Result<Tensor> {
        product(self, &ReducedAxes::of("prod_keepdim", self, axes, true)?)
    }

    /// [`prod`](Tensor::prod) over all elements, as a scalar.
    pub fn prod_all(&self) -> Result<Tensor> {
        self.flatten(0, -1)?.prod(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.prod(-1));
        check(&x, |x| x.exp()?.prod_keepdim(0)? * x);
        check(&x, |x| x.sqr()?.prod_all());
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.prod([0, -1]));
        check(&x, |x| x.exp()?.prod([0; 0]));
        // One zero, and two: the power of e keeps the second derivative from vanishing.
        check(&[0.5, 0.0, 2.0, -1.5], |x| x.prod(-1)?.exp());
        check(&[0.5, 0.0, 2.0, 0.0], |x| x.prod(-1)?.exp());
    }

    #[test]
    fn zeros_are_no_exception() -> Result<()> {
        let slopes = |x: &[f64]| -> Result<Vec<f64>> {
            let x = Tensor::parameter(tensor(x));
            x.prod(0)?.backward()?.get(&x).unwrap().to_vec1()
        };
        assert_eq!(slopes(&[2.0, 3.0, 4.0])?, [12.0, 8.0, 6.0]);
        assert_eq!(slopes(&[2.0, 0.0, 4.0])?, [0.0, 8.0, 0.0]);
        assert_eq!(slopes(&[0.0, 3.0, 0.0])?, [0.0, 0.0, 0.0]);
        let x = Tensor::parameter(tensor(&[0.0, 3.0, 0.0]));
        let [first] = autograd::grad(&x.prod_all()?, [&x])?;
        let [second] = autograd::grad(&first.i(0)?, [&x])?;
        assert_eq!(second.to_vec1::<f64>()?, [0.0, 0.0, 3.0]);
        // A zero in another row of another axis.
        let x = Tensor::parameter(Array::new(&[[2.0, 0.0], [3.0, 5.0]], &Device::Cpu)?);
        let slope = x.prod([0, 1])?.backward()?.get(&x).unwrap().to_vec2::<f64>()?;
        assert_eq!(slope, [[0.0, 30.0], [0.0, 0.0]]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let empty = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(empty.prod(1)?.to_vec1::<f32>()?, [1.0, 1.0]);
        assert_eq!(empty.prod_all()?.to_scalar::<f32>()?, 1.0);
        assert_eq!(empty.prod_keepdim(0)?.dims(), [1, 0]);
        assert_eq!(empty.to_dtype(DType::I64)?.prod([0, 1])?.to_scalar::<i64>()?, 1);
        assert!(tensor(&[0.0, f64::NAN]).prod(0)?.to_scalar::<f64>()?.is_nan());
        assert!(tensor(&[0.0, f64::INFINITY]).prod(0)?.to_scalar::<f64>()?.is_nan());
        assert_eq!(tensor(&[-3.0]).i(0)?.prod_all()?.to_scalar::<f64>()?, -3.0);
        let scalar = Tensor::new(7_u8, &Device::Cpu)?;
        assert_eq!(scalar.prod([0; 0])?.to_scalar::<u32>()?, 7);
        let bytes = Tensor::new(&[[200_u8, 100], [3, 2]], &Device::Cpu)?;
        assert_eq!(bytes.prod(1)?.to_vec1::<u32>()?, [20_000, 6]);
        assert_eq!(bytes.t()?.prod_all()?.to_scalar::<u32>()?, 120_000);
        let large = Tensor::new(&[i64::MAX, 2], &Device::Cpu)?;
        assert_eq!(large.prod(0)?.to_scalar::<i64>()?, -2);
        for dtype in [DType::F16, DType::BF16, DType::F32] {
            let x = Tensor::new(&[256.0, 256.0, 1.0 / 256.0], &Device::Cpu)?.to_dtype(dtype)?;
            let x = Tensor::parameter(x);
            let y = x.prod(0)?;
            assert_eq!(y.to_dtype(DType::F64)?.to_scalar::<f64>()?, 256.0);
            let slope = y.backward()?.get(&x).unwrap().to_dtype(DType::F64)?.to_vec1::<f64>()?;
            assert_eq!(slope[..2], [1.0, 1.0], "{dtype:?}");
        }
        let error = bytes.prod([1, 1]).unwrap_err();
        assert_eq!(error.to_string(), "prod: expected each axis at most once, got [1, 1]");
        assert!(matches!(bytes.prod_keepdim(2), Err(Error::Axis { op: "prod_keepdim", .. })));
        let nothing = Tensor::from(Array::zeros((0, usize::MAX), DType::F32, &Device::Cpu)?);
        assert!(matches!(nothing.prod(0), Err(Error::Shape { op: "prod", .. })));
        Ok(())
    }
}
