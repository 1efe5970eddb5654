//! `argmax` and `argmin`.

use candle_core::{DType, WithDType};

use super::axis::Axis;
use super::reduction::{around, with_number};
use crate::autograd::array::{contiguous, in_main_memory};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, OnnxAttribute, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel;

fn find<T: WithDType>(x: &[T], [outer, size, inner]: [usize; 3], largest: bool) -> Vec<u32> {
    // Choosing the operands, not the comparison, compiles one loop for both.
    let before = |a: T, b: T| {
        let (a, b) = if largest { (a, b) } else { (b, a) };
        a > b
    };
    kernel::find_axis(x, outer, size, inner, before)
}

/// The index of the extremum along an axis, or among all elements in row-major order.
fn arg_extremum(op: &'static str, x: &Tensor, axis: Option<usize>, largest: bool) -> Result<Tensor> {
    let compute = || Ok(Tensor::constant(indices(op, x.array(), axis, largest)?));
    traced(&[x], compute, |onnx| {
        let mut x = onnx.input(0);
        if axis.is_none() {
            let all = onnx.ints(&[-1]);
            x = onnx.node("Reshape", &[x, all], &[]);
        }
        let operator = if largest { "ArgMax" } else { "ArgMin" };
        let axis = OnnxAttribute::Int(axis.unwrap_or(0) as i64);
        Ok(onnx.node(operator, &[x], &[("axis", axis), ("keepdims", OnnxAttribute::Int(0))]))
    })
}

fn indices(op: &'static str, x: &Array, axis: Option<usize>, largest: bool) -> Result<Array> {
    let (shape, dims) = match axis {
        Some(axis) => (around(x.dims(), axis), [&x.dims()[..axis], &x.dims()[axis + 1..]].concat()),
        None => ([1, x.elem_count(), 1], vec![]),
    };
    if shape[1] == 0 || u32::try_from(shape[1]).is_err() {
        let along = axis.map_or(String::new(), |axis| format!(" along axis {axis}"));
        let expected = format!("at least one element{along}, and fewer than 2^32");
        return Err(Error::shape(op, expected, &[x.dims()]));
    }
    if x.elem_count() == 0 {
        return Ok(Array::zeros(&dims[..], DType::U32, x.device())?);
    }
    if !in_main_memory(x) {
        let x = x.contiguous()?.reshape(&shape)?;
        let found = if largest { x.argmax(1)? } else { x.argmin(1)? };
        return Ok(found.reshape(&dims[..])?);
    }
    let what = (op, || Primitive::Extremum { sizes: shape, largest, place: true });
    with_number!(x, T => launch(what, [&contiguous(x)?], &dims, move |[x]| find(x.elements::<T>(), shape, largest)))
}

macro_rules! arg_extrema {
    ($($largest:literal $adjective:literal $one:ident $all:ident $both:ident [$values:literal])*) => {
        impl Tensor {$(
            #[doc = concat!("Returns the index of the ", $adjective, " element along `axis`, which is removed.")]
            ///
            /// The result is u32 and has no gradient. Of equal elements the first counts. A NaN counts as the extremum, as in
            /// numpy. Errors if the axis is empty or has 2³² or more elements.
            ///
            /// ```
            /// # use tealight::prelude::*;
            /// let x = Tensor::new(&[[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]], &Device::Cpu)?;
            #[doc = concat!("assert_eq!(x.", stringify!($one), "(1)?.to_vec1::<u32>()?, ", $values, ");")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            pub fn $one(&self, axis: impl Axis) -> Result<Tensor> {
                let op = stringify!($one);
                arg_extremum(op, self, Some(axis.to_index(op, self.dims())?), $largest)
            }

            #[doc = concat!("[`", stringify!($one), "`](Tensor::", stringify!($one), ") over all elements, as an index in row-major order.")]
            pub fn $all(&self) -> Result<Tensor> {
                arg_extremum(stringify!($all), self, None, $largest)
            }

            #[doc = concat!("Returns the ", $adjective, " elements along `axis`, which is removed, and their indices (u32).")]
            ///
            #[doc = concat!("The indices are those of [`", stringify!($one), "`](Tensor::", stringify!($one), "). Gradient: g at the ")]
            /// element that was taken, also in a tie.
            ///
            /// ```
            /// # use tealight::prelude::*;
            /// let x = Tensor::new(&[[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]], &Device::Cpu)?;
            #[doc = concat!("let (values, indices) = x.", stringify!($both), "(1)?;")]
            #[doc = concat!("assert_eq!(indices.to_vec1::<u32>()?, ", $values, ");")]
            /// assert_eq!(values.to_vec1::<f64>()?, x.gather(1, &indices.unsqueeze(1)?)?.squeeze(1)?.to_vec1::<f64>()?);
            /// # Ok::<(), tealight::Error>(())
            /// ```
            pub fn $both(&self, axis: impl Axis) -> Result<(Tensor, Tensor)> {
                let op = stringify!($both);
                let axis = axis.to_index(op, self.dims())?;
                let indices = arg_extremum(op, self, Some(axis), $largest)?;
                Ok((self.gather(axis, &indices.unsqueeze(axis)?)?.squeeze(axis)?, indices))
            }
        )*}
    };
}
arg_extrema! {
    true "largest" argmax argmax_all max_with_indices ["[1, 0]"]
    false "smallest" argmin argmin_all min_with_indices ["[0, 1]"]
}

#[cfg(test)]
#[allow(clippy::needless_range_loop)] // the plainest oracle
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn a_place_has_no_gradient() {
        check(&[0.3, -1.0, 2.0], |x| x * x.argmax(-1)?.to_dtype(DType::F64)?.sum_all()?);
        let x = Tensor::parameter(tensor(&[1.0]));
        assert!(!x.argmax(0).unwrap().requires_grad());
        check(&[0.3, -1.0, 2.0], |x| x.exp()?.max_with_indices(-1)?.0 * x.min_with_indices(-1)?.0);
    }

    #[test]
    fn against_plain_loops() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let numbers: Vec<f64> = (0..150).map(|i| f64::from(i * 37 % 23)).collect();
            let plain = Tensor::from_vec(numbers, (5, 6, 5), &Device::Cpu)?.to_dtype(dtype)?;
            let repeated = plain.narrow(1, 2, 1)?.broadcast_to((5, 3, 5))?;
            for x in [plain.permute(&[2, 0, 1])?, plain.narrow(1, 1, 4)?, plain, repeated] {
                let numbers = x.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                for axis in 0..3 {
                    let [a, b] = [[1, 2], [0, 2], [0, 1]][axis];
                    let (most, least) = (x.argmax(axis)?, x.argmin(axis)?);
                    assert_eq!(most.dims(), [x.dims()[a], x.dims()[b]]);
                    let (most, least) = (most.to_vec2::<u32>()?, least.to_vec2::<u32>()?);
                    for i in 0..x.dims()[a] {
                        for j in 0..x.dims()[b] {
                            let along = |k: usize| match axis {
                                0 => numbers[k][i][j],
                                1 => numbers[i][k][j],
                                _ => numbers[i][j][k],
                            };
                            let size = x.dims()[axis];
                            // Reversed, so that of equal ones the first is the last.
                            let by = |a: &usize, b: &usize| along(*a).total_cmp(&along(*b));
                            assert_eq!(most[i][j] as usize, (0..size).rev().max_by(by).unwrap(), "{dtype:?}");
                            assert_eq!(least[i][j] as usize, (0..size).min_by(by).unwrap(), "{dtype:?}");
                        }
                    }
                }
                let flat = x.flatten(0, -1)?;
                assert_eq!(x.argmax_all()?.to_scalar::<u32>()?, flat.argmax(0)?.to_scalar::<u32>()?);
                assert_eq!(x.argmin_all()?.to_scalar::<u32>()?, flat.argmin(0)?.to_scalar::<u32>()?);
            }
        }
        Ok(())
    }

    #[test]
    fn the_first_nan_is_the_place() -> Result<()> {
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            for at in [0, 1, 70, 149] {
                let mut numbers: Vec<f64> = (0..150).map(f64::from).collect();
                (numbers[at], numbers[149]) = (f64::NAN, f64::NAN);
                let x = tensor(&numbers).to_dtype(dtype)?;
                for place in [x.argmax(0)?, x.argmin(0)?, x.argmax_all()?, x.argmin_all()?] {
                    assert_eq!(place.to_scalar::<u32>()?, at as u32);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(x.argmin(0)?.dims(), [0]);
        let error = x.argmax(1).unwrap_err();
        let message = "argmax: expected at least one element along axis 1, and fewer than 2^32, got [2, 0]";
        assert_eq!(error.to_string(), message);
        let error = x.argmin_all().unwrap_err();
        let message = "argmin_all: expected at least one element, and fewer than 2^32, got [2, 0]";
        assert_eq!(error.to_string(), message);
        let scalar = Tensor::new(3.0, &Device::Cpu)?;
        assert_eq!(scalar.argmax_all()?.to_scalar::<u32>()?, 0);
        assert!(matches!(scalar.argmax(0), Err(Error::Axis { op: "argmax", .. })));
        assert!(matches!(scalar.max_with_indices(0), Err(Error::Axis { op: "max_with_indices", .. })));
        assert_eq!(x.min_with_indices(0)?.0.dims(), [0]);
        Ok(())
    }
}
