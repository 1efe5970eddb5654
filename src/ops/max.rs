//! `max` and `min` along axes.

use candle_core::DType;
use candle_core::op::CmpOp;

use super::axis::Axes;
use super::compare::compared;
use super::onnx::counted;
use super::reduction::ReducedAxes;
use crate::autograd::array::{contiguous, converted, on_cpu, sum_axes, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::kernel;

/// The largest element along axes, or the smallest.
#[derive(Debug)]
pub(super) struct Extremum<const LARGEST: bool>(pub(super) ReducedAxes);

impl<const LARGEST: bool> Op<1> for Extremum<LARGEST> {
    const NAME: &'static str = if LARGEST { "max" } else { "min" };

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        let Extremum(over) = self;
        if over.count(x.dims()) == 0 {
            let expected = match over.axes[..] {
                [axis] => format!("at least one element along axis {axis}"),
                _ => "at least one element".into(),
            };
            return Err(Error::shape(Self::NAME, expected, &[x.dims()]));
        }
        if matches!(x.dtype(), DType::F16 | DType::BF16) && x.device().is_cpu() {
            return converted(&self.forward([&converted(x, DType::F32)?], ctx)?, x.dtype());
        }
        let dims = over.output(Self::NAME, x)?;
        if x.elem_count() == 0 {
            // candle refuses to reduce it.
            return Ok(Array::zeros(&dims[..], x.dtype(), x.device())?);
        }
        let (x, [outer, size, inner]) = over.grouped(x)?;
        if !on_cpu(&x) {
            let x = contiguous(&x)?.reshape((outer, size, inner))?;
            let extrema = if LARGEST { x.max(1)? } else { x.min(1)? };
            return Ok(extrema.reshape(&dims[..])?);
        }
        let sizes = [outer, size, inner];
        let what = (Self::NAME, || Primitive::Extremum { sizes, largest: LARGEST, place: false });
        with_float!(x.dtype(), T => launch(what, [&contiguous(&x)?], &dims, move |[x]| {
            if LARGEST {
                kernel::fold_axis(x.elements::<T>(), outer, size, inner, Real::maximum)
            } else {
                kernel::fold_axis(x.elements::<T>(), outer, size, inner, Real::minimum)
            }
        }))
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let (x, dtype) = (onnx.input(0), onnx.dtype(0)?);
        let x = counted(x, dtype, onnx)?;
        let operator = if LARGEST { "ReduceMax" } else { "ReduceMin" };
        let y = self.0.onnx_of(operator, x, self.0.keepdim, onnx);
        if dtype == DType::U8 { onnx.cast(y, dtype) } else { Ok(y) }
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        // A small change of x does not change which element it is, so the mask is a constant.
        let Extremum(over) = self;
        let x = saved.input(0)?.into_array();
        let mask = equal(&x, &saved.output()?.array().reshape(&over.dims(x.dims(), true)[..])?)?;
        let count = Tensor::constant(sum_axes(&mask, &over.axes)?);
        // A count of 0 means NaN, and NaN is what 0/0 and 0 · ∞ give.
        Ok([Some(((over.kept(grad, x.dims())? / count)? * Tensor::constant(mask))?)])
    }
}

/// 1 where x = y, else 0, in the dtype of x; y broadcasts.
fn equal(x: &Array, y: &Array) -> Result<Array> {
    if !on_cpu(x) {
        return converted(&compared("equal", CmpOp::Eq, x, &y.broadcast_as(x.shape())?)?, x.dtype());
    }
    with_float!(x.dtype(), T => launch("equal", [x, y], x.dims(), |[x, y]| {
        let sources = kernel::sources([x.view::<T>(x.dims()), y.view(x.dims())]);
        kernel::map(x.dims(), sources, |[a, b, ..]| if a == b { 1.0 } else { 0.0 })
    }))
}

macro_rules! extrema {
    ($($largest:literal $adjective:literal $one:ident $keepdim:ident $all:ident $alias:literal [$values:literal $value:literal])*) => {
        impl Tensor {$(
            #[doc = concat!("Returns the ", $adjective, " elements along `axes`, which are removed. Integers too.")]
            ///
            /// NaN in, NaN out. Gradient: g at the element that was taken, 0 elsewhere; elements that are tied share it equally.
            /// (PyTorch's `amax` and `amin`.) Errors if there is no element to take.
            ///
            /// ```
            /// # use tealight::prelude::*;
            /// let x = Tensor::new(&[[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]], &Device::Cpu)?;
            #[doc = concat!("assert_eq!(x.", stringify!($one), "(1)?.to_vec1::<f64>()?, ", $values, ");")]
            #[doc = concat!("assert_eq!(x.", stringify!($one), "([0, 1])?.to_scalar::<f64>()?, ", $value, ");")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            #[doc(alias = $alias)]
            pub fn $one(&self, axes: impl Axes) -> Result<Tensor> {
                Extremum::<$largest>(ReducedAxes::of(stringify!($one), self, axes, false)?).apply([self])
            }

            #[doc = concat!("[`", stringify!($one), "`](Tensor::", stringify!($one), ") with the axes kept at length 1.")]
            pub fn $keepdim(&self, axes: impl Axes) -> Result<Tensor> {
                Extremum::<$largest>(ReducedAxes::of(stringify!($keepdim), self, axes, true)?).apply([self])
            }

            #[doc = concat!("[`", stringify!($one), "`](Tensor::", stringify!($one), ") over all elements, as a scalar.")]
            pub fn $all(&self) -> Result<Tensor> {
                Extremum::<$largest>(ReducedAxes::all(self)).apply([self])
            }
        )*}
    };
}
extrema! {
    true "largest" max max_keepdim max_all "amax" ["[5.0, 7.0]" "7.0"]
    false "smallest" min min_keepdim min_all "amin" ["[1.0, 0.0]" "0.0"]
}

#[cfg(test)]
#[allow(clippy::needless_range_loop)] // the plainest oracle
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    const X: [f64; 6] = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];

    #[test]
    fn gradients() {
        check(&X, |x| x.max(-1));
        check(&X, |x| x.exp()?.min(-1));
        check(&X, |x| x.sqr()?.max_all());
        check(&X, |x| x.min_all()?.sqr()? * x);
        check(&X, |x| x.reshape((3, x.elem_count() / 3))?.max_keepdim(0)? * x.min_keepdim(-1)?.max_all()?);
        check(&X, |x| x - x.max_keepdim(-1)?);
        check(&X, |x| x.reshape((3, 2, x.elem_count() / 6))?.exp()?.max([0, -1]));
        check(&X, |x| {
            x.reshape((3, 2, x.elem_count() / 6))?.min_keepdim([0, 1])? * x.max([0; 0])?.sum_all()?
        });
        // A tie, on both sides of which the shares are the same.
        check(&X, |x| Tensor::cat(&[x, x], -1)?.max(-1)?.exp());
    }

    #[test]
    fn against_plain_loops() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let numbers: Vec<f64> = (0..150).map(|i| f64::from(i * 37 % 23)).collect();
            let plain = Tensor::from_vec(numbers, (5, 6, 5), &Device::Cpu)?.to_dtype(dtype)?;
            let repeated = plain.narrow(1, 2, 1)?.broadcast_to((5, 3, 5))?;
            for x in [plain.permute(&[2, 0, 1])?, plain.narrow(1, 1, 4)?, plain, repeated] {
                let back = |x: Tensor| x.to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1::<f64>();
                let numbers = x.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                for axis in 0..3 {
                    let dims = x.dims();
                    let mut expected = [(); 2].map(|()| Vec::new());
                    let [a, b] = [[1, 2], [0, 2], [0, 1]][axis];
                    for i in 0..dims[a] {
                        for j in 0..dims[b] {
                            let along = (0..dims[axis]).map(|k| match axis {
                                0 => numbers[k][i][j],
                                1 => numbers[i][k][j],
                                _ => numbers[i][j][k],
                            });
                            let along: Vec<f64> = along.collect();
                            let most = along.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                            let least = along.iter().copied().fold(f64::INFINITY, f64::min);
                            expected.iter_mut().zip([most, least]).for_each(|(list, v)| list.push(v));
                        }
                    }
                    let got = [x.max(axis)?, x.min(axis)?];
                    assert_eq!(got[0].dtype(), dtype);
                    assert_eq!(got[1].dims(), [dims[a], dims[b]]);
                    for (got, expected) in got.into_iter().zip(expected) {
                        assert_eq!(back(got)?, expected, "{dtype:?} {dims:?} {axis}");
                    }
                    assert_eq!(x.max_keepdim(axis)?.dims()[axis], 1);
                    // Two axes at once are one after the other.
                    let [both, after] = [x.max([a, b])?, x.max(b)?.max(a)?].map(back);
                    assert_eq!(both?, after?);
                }
                let numbers = numbers.concat().concat();
                let [most, least] = [x.max_all()?, x.min_all()?].map(back);
                assert_eq!(most?, [numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)]);
                assert_eq!(least?, [numbers.iter().copied().fold(f64::INFINITY, f64::min)]);
            }
        }
        Ok(())
    }

    #[test]
    fn ties_share_equally() -> Result<()> {
        for dtype in [DType::F16, DType::F32, DType::F64] {
            let x = Tensor::new(&[[1.0, 2.0, 2.0], [0.0, -0.0, -1.0]], &Device::Cpu)?.to_dtype(dtype)?;
            let x = Tensor::parameter(x);
            let slope = |y: Tensor| -> Result<Vec<Vec<f64>>> {
                y.sum_all()?.backward()?.get(&x).unwrap().to_dtype(DType::F64)?.to_vec2()
            };
            assert_eq!(slope(x.max(1)?)?, [[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]], "{dtype:?}");
            assert_eq!(slope(x.min_all()?)?, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
            assert_eq!(slope(x.broadcast_to((4, 2, 3))?.max(0)?)?, [[1.0; 3]; 2]);
            // One axis after the other, the shares would be 1 : 1 : 2.
            let ties = Tensor::new(&[[3.0, 3.0, 0.0], [3.0, 0.0, 0.0]], &Device::Cpu)?.to_dtype(dtype)?;
            let ties = Tensor::parameter(ties);
            let shares =
                ties.max([0, 1])?.backward()?.get(&ties).unwrap().to_dtype(DType::F64)?.to_vec2::<f64>()?;
            assert!(shares[0][0] == shares[1][0] && (shares[0][1] - 1.0 / 3.0).abs() < 1e-3, "{shares:?}");
        }
        Ok(())
    }

    #[test]
    fn nan_is_never_passed_over() -> Result<()> {
        // candle ignores all but a first NaN.
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            for at in [0, 1, 70, 149] {
                let mut numbers: Vec<f64> = (0..150).map(f64::from).collect();
                numbers[at] = f64::NAN;
                numbers[149] = f64::NAN;
                let x = tensor(&numbers).to_dtype(dtype)?;
                for y in [x.max(0)?, x.min(0)?, x.max_all()?, x.min_all()?] {
                    assert!(y.to_dtype(DType::F64)?.to_scalar::<f64>()?.is_nan(), "{dtype:?} {at}");
                }
            }
        }
        let x = Tensor::parameter(tensor(&[1.0, f64::NAN]));
        assert!(x.max(0)?.backward()?.get(&x).unwrap().to_vec1::<f64>()?.iter().all(|g| g.is_nan()));
        let infinite = tensor(&[f64::NEG_INFINITY, f64::INFINITY]);
        assert_eq!(infinite.max_all()?.to_scalar::<f64>()?, f64::INFINITY);
        assert_eq!(infinite.narrow(0, 0, 1)?.max_all()?.to_scalar::<f64>()?, f64::NEG_INFINITY);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(x.max(0)?.dims(), [0]);
        let error = x.max(1).unwrap_err();
        assert_eq!(error.to_string(), "max: expected at least one element along axis 1, got [2, 0]");
        assert_eq!(x.min_all().unwrap_err().to_string(), "min: expected at least one element, got [2, 0]");
        let integers = Tensor::zeros((2, 0), DType::U8, &Device::Cpu)?;
        assert!(matches!(integers.max_keepdim(1), Err(Error::Shape { .. })));
        assert_eq!(integers.max_keepdim(0)?.dims(), [1, 0]);
        let scalar = Tensor::parameter(Array::new(3.0, &Device::Cpu)?);
        let y = scalar.max_all()?;
        assert_eq!(y.to_scalar::<f64>()?, 3.0);
        assert_eq!(y.backward()?.get(&scalar).unwrap().to_scalar::<f64>()?, 1.0);
        assert!(matches!(scalar.max(0), Err(Error::Axis { .. })));
        assert!(matches!(x.min_keepdim(-3), Err(Error::Axis { op: "min_keepdim", axis: -3, .. })));
        Ok(())
    }
}
