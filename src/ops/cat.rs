//! Tensors joined along an axis, one that they have or a new one.
//!
//! # Formula
//! y\[…, o(k) + i, …\] = xₖ\[…, i, …\], where o(k) places are taken by the tensors before the k-th
//!
//! # Gradient
//! To each tensor its part of the gradient.
//!
//! # Errors
//! No tensors at all; shapes that differ elsewhere than along the axis; dtypes or devices that differ.

use std::borrow::Borrow;

use super::axis::Axis;
use super::narrow::{narrowed, selected};
use crate::autograd::array::contiguous;
use crate::autograd::{
    Array, BackwardRule, Call, Grads, OnnxAttribute, OnnxValue, SavedArrays, Tensor, record, traced,
};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// Joined along `axis`, of which the inputs have `lengths`.
#[derive(Debug)]
struct Cat {
    axis: usize,
    lengths: Dims,
}

impl BackwardRule for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn backward(&self, call: &Call, grad: &Tensor) -> Result<Grads> {
        let mut start = 0;
        let part = |(i, &len): (usize, &usize)| {
            let from = start;
            start += len;
            call.wants(i).then(|| narrowed(grad, self.axis, from, len)).transpose()
        };
        self.lengths.iter().enumerate().map(part).collect()
    }
}

/// Each input at its place of a new `axis`.
#[derive(Debug)]
struct Stack {
    axis: usize,
    count: usize,
}

impl BackwardRule for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn backward(&self, call: &Call, grad: &Tensor) -> Result<Grads> {
        let part = |i| call.wants(i).then(|| selected(grad, self.axis, i)).transpose();
        (0..self.count).map(part).collect()
    }
}

/// The tensors, if there are any and they agree in all but their lengths along `axis`.
fn agreeing<'a, T: Borrow<Tensor>>(
    op: &'static str,
    tensors: &'a [T],
    axis: Option<usize>,
) -> Result<Vec<&'a Tensor>> {
    let all: Vec<&Tensor> = tensors.iter().map(T::borrow).collect();
    let Some((first, rest)) = all.split_first() else {
        return Err(Error::argument(op, "at least one tensor", "none"));
    };
    for other in rest {
        let (a, b) = (first.dims(), other.dims());
        if a.len() != b.len() || (0..a.len()).any(|i| a[i] != b[i] && Some(i) != axis) {
            let expected = match axis {
                Some(axis) => format!("shapes that differ on axis {axis} alone"),
                None => "tensors of one shape".into(),
            };
            return Err(Error::shape(op, expected, &[a, b]));
        }
        if first.dtype() != other.dtype() {
            let expected = "tensors of one dtype (see to_dtype)";
            return Err(Error::dtype(op, expected, &[first.dtype(), other.dtype()]));
        }
        if !first.device().same_device(other.device()) {
            let got = [first, other].map(|x| format!("{:?}", x.device().location())).join(" and ");
            return Err(Error::Device { op, got });
        }
    }
    Ok(all)
}

/// The numbers joined along an axis that all have.
fn joined(arrays: impl Iterator<Item = Result<Array>>, axis: usize) -> Result<Array> {
    // Of strided views candle may make a strided result.
    let arrays = arrays.map(|array| contiguous(&array?)).collect::<Result<Vec<_>>>()?;
    Ok(Array::cat(&arrays, axis)?)
}

impl Tensor {
    /// The tensors one after the other along `axis`.
    ///
    /// # Shapes
    /// One rank and, but for `axis`, one shape.
    ///
    /// # Gradient
    /// To each tensor its part of the gradient.
    ///
    /// # Errors
    /// No tensors at all; an axis that does not exist; shapes that differ elsewhere; dtypes or devices that differ.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let a = Tensor::new(&[[1.0, 2.0]], &Device::Cpu)?;
    /// let b = Tensor::new(&[[3.0, 4.0], [5.0, 6.0]], &Device::Cpu)?;
    /// let y = Tensor::cat(&[&a, &b], 0)?;
    /// assert_eq!(y.to_vec2::<f64>()?, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "concatenate")]
    #[doc(alias = "hstack")]
    #[doc(alias = "vstack")]
    pub fn cat(tensors: &[impl Borrow<Tensor>], axis: impl Axis) -> Result<Tensor> {
        let first = tensors.first().map(|x| x.borrow().dims()).unwrap_or(&[1]);
        let axis = axis.of("cat", first)?;
        let all = agreeing("cat", tensors, Some(axis))?;
        if let [only] = all[..] {
            return Ok(only.clone());
        }
        let compute = || {
            let array = joined(all.iter().map(|x| Ok(x.array().clone())), axis)?;
            let rule = || Cat { axis, lengths: all.iter().map(|x| x.dims()[axis]).collect() };
            Ok(record(&all, array, SavedArrays::default(), rule))
        };
        traced(&all, compute, |onnx| {
            let inputs: Vec<OnnxValue> = (0..all.len()).map(|i| onnx.input(i)).collect();
            Ok(onnx.node("Concat", &inputs, &[("axis", OnnxAttribute::Int(axis as i64))]))
        })
    }

    /// The tensors side by side along a new axis at the position `axis`; −1 puts it last.
    ///
    /// # Shapes
    /// One shape.
    ///
    /// # Gradient
    /// To each tensor its part of the gradient.
    ///
    /// # Errors
    /// No tensors at all; a position beyond the rank; shapes, dtypes or devices that differ.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let a = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// let b = Tensor::new(&[3.0, 4.0], &Device::Cpu)?;
    /// assert_eq!(Tensor::stack(&[&a, &b], 0)?.to_vec2::<f64>()?, [[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(Tensor::stack(&[a, b], -1)?.to_vec2::<f64>()?, [[1.0, 3.0], [2.0, 4.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn stack(tensors: &[impl Borrow<Tensor>], axis: impl Axis) -> Result<Tensor> {
        let all = agreeing("stack", tensors, None)?;
        let mut dims = Dims::from_slice(all[0].dims());
        dims.push(1);
        let axis = axis.of("stack", &dims)?;
        let compute = || {
            let array = joined(all.iter().map(|x| Ok(x.array().unsqueeze(axis)?)), axis)?;
            Ok(record(&all, array, SavedArrays::default(), || Stack { axis, count: all.len() }))
        };
        traced(&all, compute, |onnx| {
            let at = onnx.ints(&[axis as i64]);
            let mut inputs = Vec::with_capacity(all.len());
            for i in 0..all.len() {
                let input = onnx.input(i);
                inputs.push(onnx.node("Unsqueeze", &[input, at], &[]));
            }
            Ok(onnx.node("Concat", &inputs, &[("axis", OnnxAttribute::Int(axis as i64))]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| Tensor::cat(&[x, &x.sqr()?, x], -1)?.exp());
        check(&x, |x| Tensor::cat(&[x.sqr()?, x.narrow(-1, 0, 6)?], 0));
        check(&x, |x| Tensor::stack(&[x, &x.sqr()?], 0));
        check(&x, |x| Tensor::stack(&[x.sqr()?, x.exp()?, x.clone()], -1));
        check(&x, |x| Tensor::cat(&Tensor::stack(&[x, x], 0)?.sqr()?.chunk(2, -1)?, 0));
        check2(|a, b| Tensor::stack(&[(a * b)?, (a - b)?], 0)?.sqr());
    }

    #[test]
    fn views_of_every_kind() -> Result<()> {
        // A transpose, a broadcast view, an empty part and a plain matrix, along each axis.
        for dtype in [DType::U8, DType::I64, DType::F16, DType::F32, DType::F64] {
            let plain = Tensor::arange(0.0, 6.0, &Device::Cpu)?.reshape((2, 3))?.to_dtype(dtype)?;
            let turned = Tensor::arange(6.0, 12.0, &Device::Cpu)?.reshape((3, 2))?.to_dtype(dtype)?.t()?;
            let repeated = Tensor::full(7.0, 3, &Device::Cpu)?.to_dtype(dtype)?.broadcast_to((2, 3))?;
            let parts = [turned, repeated, plain.narrow(0, 1, 1)?, plain];
            let numbers = |x: &Tensor| x.to_dtype(DType::F64)?.to_vec2::<f64>();
            let mut rows = Vec::new();
            for part in &parts {
                rows.extend(numbers(part)?);
            }
            assert_eq!(numbers(&Tensor::cat(&parts, 0)?)?, rows, "{dtype:?}");
            let turned_parts = parts.iter().map(Tensor::t).collect::<Result<Vec<_>>>()?;
            let y = Tensor::cat(&turned_parts, -1)?;
            assert!(y.array().is_contiguous());
            assert_eq!(numbers(&y.t()?)?, rows, "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn only_the_wanted_gradients() -> Result<()> {
        let x = Tensor::parameter(tensor(&[1.0, 2.0]).into_array());
        let y = Tensor::cat(&[&tensor(&[5.0]), &x, &tensor(&[])], 0)?.sqr()?.sum_all()?;
        assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 4.0]);
        assert!(!no_grad(|| Tensor::stack(&[&x, &x], 0))?.requires_grad());
        // More inputs than an `Op` takes.
        let y = Tensor::stack(&vec![x.clone(); 1000], 0)?.sum_all()?;
        assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [1000.0, 1000.0]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        assert_eq!(Tensor::cat(&[zeros(&[2, 0])?, zeros(&[2, 3])?, zeros(&[2, 0])?], 1)?.dims(), [2, 3]);
        assert_eq!(Tensor::stack(&[zeros(&[0, 2])?, zeros(&[0, 2])?], 1)?.dims(), [0, 2, 2]);
        assert_eq!(Tensor::stack(&[zeros(&[])?, zeros(&[])?], 0)?.dims(), [2]);
        assert_eq!(Tensor::stack(&[zeros(&[3])?], -2)?.dims(), [1, 3]);
        let none: [Tensor; 0] = [];
        assert_eq!(
            Tensor::cat(&none, 0).unwrap_err().to_string(),
            "cat: expected at least one tensor, got none"
        );
        assert!(matches!(Tensor::stack(&none, 0), Err(Error::Argument { .. })));
        let error = Tensor::cat(&[zeros(&[2, 3])?, zeros(&[3, 2])?], 0).unwrap_err();
        let message = "cat: expected shapes that differ on axis 0 alone, got [2, 3] and [3, 2]";
        assert_eq!(error.to_string(), message);
        assert!(matches!(Tensor::cat(&[zeros(&[2])?, zeros(&[2, 1])?], 0), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::cat(&[zeros(&[])?, zeros(&[])?], 0), Err(Error::Axis { .. })));
        assert!(matches!(Tensor::stack(&[zeros(&[2])?, zeros(&[3])?], 0), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::stack(&[zeros(&[2])?], 2), Err(Error::Axis { axis: 2, .. })));
        let error = Tensor::cat(&[zeros(&[1])?, tensor(&[1.0])], 0).unwrap_err();
        assert!(matches!(&error, Error::Dtype { got, .. } if *got == [DType::F32, DType::F64]), "{error}");
        Ok(())
    }
}
