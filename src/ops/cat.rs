//! `cat` and `stack`.

use std::borrow::Borrow;

use candle_core::WithDType;
use smallvec::SmallVec;

use super::axis::Axis;
use super::narrow::{narrowed, selected};
use super::take::with_data;
use crate::autograd::array::{contiguous, count, fits, in_main_memory};
use crate::autograd::launch::{Operand, Primitive, launch_all};
use crate::autograd::{
    Array, Jacobian, Onnx, OnnxAttribute, OnnxValue, SaveContext, Saved, Tensor, VariadicOp,
};
use crate::error::{Error, Result};
use crate::kernel::{self, Dims};

#[derive(Debug)]
struct Cat {
    axis: usize,
    /// Where each input ends along the axis.
    ends: Vec<usize>,
}

impl VariadicOp for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn forward(&self, inputs: &[&Array], _: &mut SaveContext) -> Result<Array> {
        joined(inputs.iter().map(|x| contiguous(x)), self.axis)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let mut start = 0;
        let part = |(i, &end): (usize, &usize)| {
            let from = std::mem::replace(&mut start, end);
            saved.needs_input_grad(i).then(|| narrowed(grad, self.axis, from, end - from)).transpose()
        };
        self.ends.iter().enumerate().map(part).collect()
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let inputs: Vec<OnnxValue> = (0..self.ends.len()).map(|i| onnx.input(i)).collect();
        Ok(onnx.node("Concat", &inputs, &[("axis", OnnxAttribute::Int(self.axis as i64))]))
    }
}

#[derive(Debug)]
struct Stack {
    axis: usize,
}

impl VariadicOp for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn forward(&self, inputs: &[&Array], _: &mut SaveContext) -> Result<Array> {
        joined(inputs.iter().map(|x| contiguous(&x.unsqueeze(self.axis)?)), self.axis)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let part = |i| saved.needs_input_grad(i).then(|| selected(grad, self.axis, i)).transpose();
        (0..saved.input_count()).map(part).collect()
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let axis = self.axis as i64;
        let at = onnx.ints(&[axis]);
        let mut inputs = Vec::new();
        for i in 0..onnx.input_count() {
            let input = onnx.input(i);
            inputs.push(onnx.node("Unsqueeze", &[input, at], &[]));
        }
        Ok(onnx.node("Concat", &inputs, &[("axis", OnnxAttribute::Int(axis))]))
    }
}

/// Joins arrays, which are contiguous: of strided views candle may make a strided result.
fn joined(arrays: impl Iterator<Item = Result<Array>>, axis: usize) -> Result<Array> {
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    if !in_main_memory(&arrays[0]) {
        return Ok(Array::cat(&arrays, axis)?);
    }
    let mut dims = Dims::from_slice(arrays[0].dims());
    dims[axis] = arrays.iter().map(|x| x.dims()[axis]).sum();
    fits("cat", &dims, arrays[0].dtype().size_in_bytes())?;
    let outer = if dims.contains(&0) { 0 } else { count(&dims[..axis]) };
    let rows: Vec<usize> = arrays.iter().map(|x| count(&x.dims()[axis..])).collect();
    let lengths = rows.clone();
    let what = ("cat", move || Primitive::Concat { outer, rows: lengths });
    launch_all(what, &arrays.iter().collect::<Vec<_>>(), &dims, move |x| {
        with_data!(x[0], first => rows_of(first, x, outer, &rows)).map(|[y]| y)
    })
}

/// The first row of each operand, then the second ones, and so on. `_` has their type.
fn rows_of<T: WithDType>(_: &[T], operands: &[Operand<'_>], outer: usize, rows: &[usize]) -> Vec<T> {
    let slices: SmallVec<[&[T]; 8]> = operands.iter().map(Operand::elements).collect();
    let mut out = kernel::empty(slices.iter().map(|slice| slice.len()).sum());
    for i in 0..outer {
        slices.iter().zip(rows).for_each(|(slice, &row)| out.extend_from_slice(&slice[i * row..][..row]));
    }
    out
}

/// The tensors, if there are any and their shapes differ at most along `axis`.
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

impl Tensor {
    /// Concatenates tensors along `axis`.
    ///
    /// Their shapes are equal except along that axis. The gradient is split between them.
    ///
    /// # Errors
    /// Errors if there is no tensor, or their shapes differ on another axis.
    ///
    /// ```
    /// # use tealight::prelude::*;
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
        // Without tensors any axis will do: `agreeing` reports that there are none.
        let first = tensors.first().map_or(&[1][..], |x| x.borrow().dims());
        let axis = axis.to_index("cat", first)?;
        let all = agreeing("cat", tensors, Some(axis))?;
        if let [only] = all[..] {
            return Ok(only.clone());
        }
        let end = |end: &mut usize, x: &&Tensor| {
            *end += x.dims()[axis];
            Some(*end)
        };
        Cat { axis, ends: all.iter().scan(0, end).collect() }.apply(&all)
    }

    /// Joins tensors of one shape along a new axis, which becomes number `axis` of the result; −1 puts it last.
    ///
    /// # Errors
    /// Errors if there is no tensor, or their shapes differ.
    ///
    /// ```
    /// # use tealight::prelude::*;
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
        Stack { axis: axis.to_index("stack", &dims)? }.apply(&all)
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
    fn gradients_of_some_inputs() -> Result<()> {
        let x = tensor(&[1.0, 2.0]).into_parameter();
        let y = Tensor::cat(&[&tensor(&[5.0]), &x, &tensor(&[])], 0)?.sqr()?.sum_all()?;
        assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 4.0]);
        assert!(!no_grad(|| Tensor::stack(&[&x, &x], 0))?.requires_grad());
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
