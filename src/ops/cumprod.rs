//! Cumulative products, with gradients that divide nothing and so are exact at zeros.

use candle_core::{DType, WithDType};

use super::axis::Axis;
use super::cumsum::{scan_floats, scan_integers};
use super::onnx::counted;
use super::reduction::{around, in_memory, integers};
use crate::autograd::array::{contiguous, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxAttribute, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::scan::{Walk, scan};

/// The cumulative products along `axis`, from its start or from its end.
#[derive(Debug)]
struct CumProd {
    axis: usize,
    reverse: bool,
}

impl Op<1> for CumProd {
    const NAME: &'static str = "cumprod";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        let &CumProd { axis, reverse } = self;
        if x.dtype().is_int() {
            let times = |x: &Array| scan_integers(x, axis, 1, u32::wrapping_mul);
            return integers(x, times, |x| scan_integers(x, axis, 1, i64::wrapping_mul));
        }
        scan_floats(x, axis, Walk { reverse, exclusive: false }, 1.0, |total, a| total * a, "total * a")
    }

    /// In opsets without an operator, products of 2, 4, 8 … elements, each of two of the ones before.
    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let &CumProd { axis, reverse } = self;
        let (x, dtype) = (onnx.input(0), onnx.dtype(0)?);
        let mut y = counted(x, dtype, onnx)?;
        if onnx.opset() >= 26 {
            let along = onnx.int(axis as i64);
            return Ok(onnx.node(
                "CumProd",
                &[y, along],
                &[("reverse", OnnxAttribute::Int(i64::from(reverse)))],
            ));
        }
        let (rank, size) = (onnx.dims(0)?.len(), onnx.dims(0)?[axis]);
        let one = onnx.number(1.0, if dtype.is_float() { dtype } else { DType::I64 })?;
        let along = onnx.ints(&[axis as i64]);
        for step in
            std::iter::successors(Some(1_usize), |step| step.checked_mul(2)).take_while(|&step| step < size)
        {
            let (step, mut pads) = (step as i64, vec![0; 2 * rank]);
            pads[if reverse { rank + axis } else { axis }] = step;
            let [start, end] =
                (if reverse { [step, i64::MAX] } else { [0, -step] }).map(|at| onnx.ints(&[at]));
            let part = onnx.node("Slice", &[y, start, end, along], &[]);
            let pads = onnx.ints(&pads);
            let before = onnx.node("Pad", &[part, pads, one], &[]);
            y = onnx.node("Mul", &[y, before], &[]);
        }
        Ok(y)
    }

    /// yᵢ₋₁·hᵢ, where hᵢ = gᵢ + xᵢ₊₁·hᵢ₊₁ is a recurrence from the end.
    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &CumProd { axis, reverse } = self;
        let next = Shift { axis, reverse: !reverse, fill: 0.0 }.apply([&saved.input(0)?])?;
        let h = Recurrence { axis, reverse: !reverse }.apply([&next, grad])?;
        let before = Shift { axis, reverse, fill: 1.0 }.apply([&saved.output()?])?;
        Ok([Some((before * h)?)])
    }
}

/// Moves each element by one along `axis`, towards its end (or its start): the last is dropped and `fill` comes first.
#[derive(Debug)]
struct Shift {
    axis: usize,
    reverse: bool,
    fill: f64,
}

impl Op<1> for Shift {
    const NAME: &'static str = "shift";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let &Shift { axis, reverse, fill } = self;
        scan_floats(x, axis, Walk { reverse, exclusive: true }, fill, |_, a| a, "a")
    }

    fn jacobian(&self) -> Jacobian {
        if self.fill == 0.0 { Jacobian::Linear } else { Jacobian::General }
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let back = Shift { axis: self.axis, reverse: !self.reverse, fill: 0.0 };
        Ok([Some(back.apply([grad])?)])
    }
}

/// hᵢ = bᵢ + aᵢ·hᵢ₋₁ along `axis`, or from its end with hᵢ₊₁. It starts with h = 0, so the first a must not be infinite.
#[derive(Debug)]
struct Recurrence {
    axis: usize,
    reverse: bool,
}

impl Op<2> for Recurrence {
    const NAME: &'static str = "recurrence";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        let (shape, walk) = (around(a.dims(), self.axis), Walk { reverse: self.reverse, exclusive: false });
        in_memory(a, |a| {
            in_memory(b, |b| {
                with_float!(a.dtype(), T => {
                    let step = "b + a * total";
                    let what = (Self::NAME, || Primitive::Scan { sizes: shape, walk: Some(walk), start: 0.0, step });
                    launch(what, [&contiguous(a)?, &contiguous(b)?], a.dims(), move |numbers| {
                        let step = |total: f64, a: T, b: T| b.to_f64() + a.to_f64() * total;
                        scan(numbers.map(|x| x.elements()), shape, walk, 0.0, step, T::from_f64)
                    })
                })
            })
        })
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let &Recurrence { axis, reverse } = self;
        let next = Shift { axis, reverse: !reverse, fill: 0.0 }.apply([&saved.input(0)?])?;
        let u = Recurrence { axis, reverse: !reverse }.apply([&next, grad])?;
        if !saved.needs_input_grad(0) {
            return Ok([None, Some(u)]);
        }
        let before = Shift { axis, reverse, fill: 0.0 }.apply([&saved.output()?])?;
        Ok([Some((&u * before)?), Some(u)])
    }
}

/// For each element the product of all others along `axis`, with history.
pub(super) fn products_of_others(x: &Tensor, axis: usize) -> Result<Tensor> {
    let exclusive = |reverse| {
        let products = CumProd { axis, reverse }.apply([x])?;
        Shift { axis, reverse, fill: 1.0 }.apply([&products])
    };
    exclusive(false)? * exclusive(true)?
}

impl Tensor {
    /// Computes the cumulative products along `axis`: each element times all before it. The shape stays.
    ///
    /// Floats are multiplied in f64. Integers wrap around; u8 are multiplied as u32. Gradient: Σ over k ≥ i of gₖ times the
    /// product up to k without xᵢ; exact also where elements are 0.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 0.0, 6.0]], &Device::Cpu)?;
    /// assert_eq!(x.cumprod(1)?.to_vec2::<f64>()?, [[1.0, 2.0, 6.0], [4.0, 0.0, 0.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn cumprod(&self, axis: impl Axis) -> Result<Tensor> {
        CumProd { axis: axis.to_index("cumprod", self.dims())?, reverse: false }.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, tensor};
    use super::{CumProd, Recurrence, Shift, products_of_others};
    use crate::prelude::*;

    const X: [f64; 6] = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];

    #[test]
    fn gradients() {
        check(&X, |x| x.cumprod(-1));
        check(&X, |x| x.exp()?.cumprod(0));
        check(&X, |x| x.reshape((x.elem_count() / 6, 3, 2))?.cumprod(1)?.sqr());
        check(&X, |x| CumProd { axis: x.rank() - 1, reverse: true }.apply([x]));
        check(&X, |x| Shift { axis: 0, reverse: true, fill: 2.0 }.apply([&x.sqr()?]));
        check(&X, |x| products_of_others(x, x.rank() - 1));
        // One zero, and several.
        check(&[0.5, 0.0, 2.0, -1.5], |x| x.cumprod(-1)?.sum_all()?.exp());
        check(&[0.5, 0.0, 2.0, 0.0, 3.0], |x| x.cumprod(-1)?.sum_all()?.exp());
        for reverse in [false, true] {
            check2(|a, b| {
                let (a, b) = (a.broadcast_to((2, 3))?, b.broadcast_to((2, 3))?);
                Recurrence { axis: 1, reverse }.apply([&a, &b])
            });
        }
    }

    #[test]
    fn third_order_and_zeros() -> Result<()> {
        // y = x₀ + x₀x₁ + x₀x₁x₂ at a zero: the only third derivative is 1.
        let x = Tensor::parameter(tensor(&[0.0, 0.0, 5.0]));
        let y = x.cumprod(0)?.sum_all()?;
        let [first] = autograd::grad(&y, [&x])?;
        assert_eq!(first.to_vec1::<f64>()?, [1.0, 0.0, 0.0]);
        let [second] = autograd::grad(&first.i(0)?, [&x])?;
        assert_eq!(second.to_vec1::<f64>()?, [0.0, 6.0, 0.0]);
        let [third] = autograd::grad(&second.i(1)?, [&x])?;
        assert_eq!(third.to_vec1::<f64>()?, [0.0, 0.0, 1.0]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let products = tensor(&[2.0, -0.0, f64::INFINITY, 1.0]).cumprod(0)?.to_vec1::<f64>()?;
        assert!(products[0] == 2.0 && products[1] == 0.0 && products[1].is_sign_negative());
        assert!(products[2..].iter().all(|x| x.is_nan()));
        // In f32 the second product is infinite; the third is not.
        let far = Tensor::new(&[1e30_f32, 1e30, 1e-30], &Device::Cpu)?.cumprod(0)?.to_vec1::<f32>()?;
        assert!(far[1] == f32::INFINITY && (far[2] / 1e30 - 1.0).abs() < 1e-6);
        for dtype in [DType::F16, DType::BF16, DType::F32] {
            let x = Tensor::new(&[[1.0, 2.0], [4.0, 8.0]], &Device::Cpu)?.to_dtype(dtype)?;
            let x = Tensor::parameter(x);
            let y = x.t()?.cumprod(1)?;
            assert_eq!(y.to_dtype(DType::F64)?.to_vec2::<f64>()?, [[1.0, 4.0], [2.0, 16.0]]);
            let slope = y.sum_all()?.backward()?.get(&x).unwrap().to_dtype(DType::F64)?;
            assert_eq!(slope.to_vec2::<f64>()?, [[5.0, 9.0], [1.0, 2.0]], "{dtype:?}");
        }
        let bytes = Tensor::new(&[200_u8, 100], &Device::Cpu)?;
        assert_eq!(bytes.cumprod(0)?.to_vec1::<u32>()?, [200, 20_000]);
        let large = Tensor::new(&[i64::MAX, 2], &Device::Cpu)?;
        assert_eq!(large.cumprod(0)?.to_vec1::<i64>()?, [i64::MAX, -2]);
        let empty = Tensor::parameter(Array::zeros((2, 0), DType::F32, &Device::Cpu)?);
        let y = empty.cumprod(1)?;
        assert_eq!(y.sum_all()?.backward()?.get(&empty).unwrap().dims(), [2, 0]);
        let error = tensor(&[1.0]).i(0)?.cumprod(0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cumprod: expected no axis (a scalar has none), got axis 0 of shape []"
        );
        Ok(())
    }
}
