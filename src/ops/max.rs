//! The largest and the smallest element, along an axis or of all, and where it is.
//!
//! # Formula
//! max x, min x, and the first i with xᵢ = max x or min x
//!
//! # Gradient
//! The gradient at the extremum, 0 elsewhere; a place has none.
//!
//! # Kinks
//! Equal extrema share the gradient equally. NaN in, NaN out: a NaN is the extremum, as in numpy, and the gradient is
//! NaN along its axis. (Other devices than the CPU may pass over a NaN.)
//!
//! # Errors
//! An axis that does not exist; an extremum of nothing.

use candle_core::{DType, WithDType};

use super::axis::Axis;
use super::reshape::reshaped;
use crate::autograd::array::{contiguous, make, on_cpu, read, sum_axes, view, with_float, with_slice};
use crate::autograd::{Array, Keep, Op, Saved, Tensor};
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::kernel::{self, Dims};

/// The extremum along an axis, or of all elements: the largest, or the smallest.
#[derive(Debug)]
struct Extremum<const LARGEST: bool> {
    axis: Option<usize>,
    keepdim: bool,
}

/// What an axis is to the kernels: the middle one of three.
fn around(dims: &[usize], axis: Option<usize>) -> [usize; 3] {
    match axis {
        Some(axis) => [dims[..axis].iter().product(), dims[axis], dims[axis + 1..].iter().product()],
        None => [1, dims.iter().product(), 1],
    }
}

impl<const LARGEST: bool> Extremum<LARGEST> {
    /// The shape of the result with the axis left in, or out.
    fn dims(&self, input: &[usize], keepdim: bool) -> Dims {
        let mut dims = Dims::from_slice(input);
        match (self.axis, keepdim) {
            (Some(axis), true) => dims[axis] = 1,
            (Some(axis), false) => drop(dims.remove(axis)),
            (None, true) => dims.fill(1),
            (None, false) => dims.clear(),
        }
        dims
    }
}

impl<const LARGEST: bool> Op<1> for Extremum<LARGEST> {
    const NAME: &'static str = if LARGEST { "max" } else { "min" };

    fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
        keep.input(0);
        keep.output();
        let [outer, size, inner] = around(x.dims(), self.axis);
        if size == 0 {
            let expected = match self.axis {
                Some(axis) => format!("at least one element along axis {axis}"),
                None => "at least one element".into(),
            };
            return Err(Error::shape(Self::NAME, expected, &[x.dims()]));
        }
        let dims = self.dims(x.dims(), self.keepdim);
        if matches!(x.dtype(), DType::F16 | DType::BF16) && x.device().is_cpu() {
            return Ok(self.forward([&x.to_dtype(DType::F32)?], keep)?.to_dtype(x.dtype())?);
        }
        if outer * inner == 0 {
            // candle refuses to reduce it.
            return Ok(Array::zeros(&dims[..], x.dtype(), x.device())?);
        }
        if !on_cpu(x) {
            let x = contiguous(x)?.reshape((outer, size, inner))?;
            let extrema = if LARGEST { x.max(1)? } else { x.min(1)? };
            return Ok(extrema.reshape(&dims[..])?);
        }
        with_float!(x.dtype(), T => {
            let extrema = with_slice(x, |x: &[T]| {
                if LARGEST {
                    kernel::fold_axis(x, outer, size, inner, Real::max)
                } else {
                    kernel::fold_axis(x, outer, size, inner, Real::min)
                }
            })?;
            make(extrema, &dims, x)
        })
    }

    fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        // Which element it is does not change when x does: as far as derivatives go the mask is a constant.
        let x = saved.input(0)?.into_array();
        let dims = self.dims(x.dims(), true);
        let taken = equal(&x, &saved.output()?.array().reshape(&dims[..])?)?;
        let axes: Dims = (0..x.rank()).filter(|&axis| self.axis.is_none_or(|own| own == axis)).collect();
        let count = Tensor::constant(sum_axes(&taken, &axes)?);
        // A count of 0 means NaN, and NaN is what 0/0 and 0 · ∞ give.
        Ok([Some(((reshaped(grad, &dims)? / count)? * Tensor::constant(taken))?)])
    }
}

/// 1 where x = y, which broadcasts to it, else 0, in the type of x.
fn equal(x: &Array, y: &Array) -> Result<Array> {
    if !on_cpu(x) {
        return Ok(x.broadcast_eq(y)?.to_dtype(x.dtype())?);
    }
    with_float!(x.dtype(), T => {
        let mask = read::<T, _, 2>([x, y], |parts| {
            let sources = kernel::sources(parts.map(|part| view(part, x.dims())));
            kernel::map(x.dims(), sources, |[x, y, ..]| if x == y { 1.0 } else { 0.0 })
        })?;
        make(mask, x.dims(), x)
    })
}

/// Where along an axis the extremum is.
fn place(x: &Tensor, op: &'static str, axis: impl Axis, largest: bool) -> Result<Tensor> {
    fn find<T: WithDType>(x: &Array, [outer, size, inner]: [usize; 3], largest: bool) -> Result<Vec<u32>> {
        with_slice(x, |x: &[T]| {
            if largest {
                kernel::find_axis(x, outer, size, inner, |a, b| a > b)
            } else {
                kernel::find_axis(x, outer, size, inner, |a, b| a < b)
            }
        })
    }
    let axis = axis.of(op, x.dims())?;
    let x = x.array();
    let around = around(x.dims(), Some(axis));
    if around[1] == 0 || u32::try_from(around[1]).is_err() {
        let expected = format!("at least one element along axis {axis}, and fewer than 2^32");
        return Err(Error::shape(op, expected, &[x.dims()]));
    }
    let mut dims = Dims::from_slice(x.dims());
    dims.remove(axis);
    if dims.contains(&0) {
        return Ok(Tensor::constant(Array::zeros(&dims[..], DType::U32, x.device())?));
    }
    if !x.device().is_cpu() {
        return Ok(Tensor::constant(if largest { x.argmax(axis)? } else { x.argmin(axis)? }));
    }
    let places = match x.dtype() {
        DType::F32 => find::<f32>(x, around, largest)?,
        DType::F16 | DType::BF16 => find::<f32>(&x.to_dtype(DType::F32)?, around, largest)?,
        DType::U8 => find::<u8>(x, around, largest)?,
        DType::U32 => find::<u32>(x, around, largest)?,
        DType::I64 => find::<i64>(x, around, largest)?,
        // The numbers of every other type are numbers of this one.
        _ => find::<f64>(&x.to_dtype(DType::F64)?, around, largest)?,
    };
    Ok(Tensor::constant(make(places, &dims, x)?))
}

macro_rules! extrema {
    ($($largest:literal $adjective:literal $one:ident $keepdim:ident $all:ident $place:ident
       [$value:literal $values:literal $places:literal])*) => {
        impl Tensor {$(
            #[doc = concat!("The ", $adjective, " elements along `axis`, which goes away.")]
            ///
            /// ```
            /// use tealight::prelude::*;
            /// let x = Tensor::new(&[[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]], &Device::Cpu)?;
            #[doc = concat!("assert_eq!(x.", stringify!($one), "(1)?.to_vec1::<f64>()?, ", $values, ");")]
            #[doc = concat!("assert_eq!(x.", stringify!($all), "()?.to_scalar::<f64>()?, ", $value, ");")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            ///
            /// # Gradient
            /// The gradient at the element that was taken, 0 elsewhere.
            ///
            /// # Kinks
            /// Equal extrema share the gradient equally. NaN in, NaN out.
            ///
            /// # Errors
            /// An axis that does not exist or is empty.
            pub fn $one(&self, axis: impl Axis) -> Result<Tensor> {
                let axis = Some(axis.of(stringify!($one), self.dims())?);
                Extremum::<$largest> { axis, keepdim: false }.apply([self])
            }

            #[doc = concat!("[`", stringify!($one), "`](Tensor::", stringify!($one), "), with the axis kept at length 1, ")]
            /// so that the result broadcasts against this tensor.
            ///
            /// # Errors
            /// An axis that does not exist or is empty.
            pub fn $keepdim(&self, axis: impl Axis) -> Result<Tensor> {
                let axis = Some(axis.of(stringify!($keepdim), self.dims())?);
                Extremum::<$largest> { axis, keepdim: true }.apply([self])
            }

            #[doc = concat!("The ", $adjective, " element of all, a scalar.")]
            ///
            /// # Errors
            /// A tensor without elements.
            pub fn $all(&self) -> Result<Tensor> {
                Extremum::<$largest> { axis: None, keepdim: false }.apply([self])
            }

            #[doc = concat!("Where along `axis`, which goes away, the ", $adjective, " element is; of equal ones the first.")]
            ///
            /// A NaN counts as the extremum, as in numpy. The result is u32 and has no history.
            ///
            /// ```
            /// use tealight::prelude::*;
            /// let x = Tensor::new(&[[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]], &Device::Cpu)?;
            #[doc = concat!("assert_eq!(x.", stringify!($place), "(1)?.to_vec1::<u32>()?, ", $places, ");")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            ///
            /// # Errors
            /// An axis that does not exist or is empty.
            pub fn $place(&self, axis: impl Axis) -> Result<Tensor> {
                place(self, stringify!($place), axis, $largest)
            }
        )*}
    };
}
extrema! {
    true "largest" max max_keepdim max_all argmax ["7.0" "[5.0, 7.0]" "[1, 0]"]
    false "smallest" min min_keepdim min_all argmin ["0.0" "[1.0, 0.0]" "[0, 1]"]
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
                    let mut expected = [(); 4].map(|()| Vec::new());
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
                            let first = |v: f64| along.iter().position(|&x| x == v).unwrap() as f64;
                            let all = [most, least, first(most), first(least)];
                            expected.iter_mut().zip(all).for_each(|(list, v)| list.push(v));
                        }
                    }
                    let got = [x.max(axis)?, x.min(axis)?, x.argmax(axis)?, x.argmin(axis)?];
                    assert_eq!(got[0].dtype(), dtype);
                    assert_eq!(got[2].dtype(), DType::U32);
                    assert_eq!(got[3].dims(), [dims[a], dims[b]]);
                    for (got, expected) in got.into_iter().zip(expected) {
                        assert_eq!(back(got)?, expected, "{dtype:?} {dims:?} {axis}");
                    }
                    assert_eq!(x.max_keepdim(axis)?.dims()[axis], 1);
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
            let x = Tensor::parameter(x.into_array());
            let slope = |y: Tensor| -> Result<Vec<Vec<f64>>> {
                y.sum_all()?.backward()?.get(&x).unwrap().to_dtype(DType::F64)?.to_vec2()
            };
            assert_eq!(slope(x.max(1)?)?, [[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]], "{dtype:?}");
            assert_eq!(slope(x.min_all()?)?, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
            assert_eq!(slope(x.broadcast_to((4, 2, 3))?.max(0)?)?, [[1.0; 3]; 2]);
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
                assert_eq!(x.argmax(0)?.to_scalar::<u32>()?, at as u32);
                assert_eq!(x.argmin(0)?.to_scalar::<u32>()?, at as u32);
            }
        }
        let x = Tensor::parameter(tensor(&[1.0, f64::NAN]).into_array());
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
        assert_eq!(x.argmin(0)?.dims(), [0]);
        let error = x.max(1).unwrap_err();
        assert_eq!(error.to_string(), "max: expected at least one element along axis 1, got [2, 0]");
        assert_eq!(x.min_all().unwrap_err().to_string(), "min: expected at least one element, got [2, 0]");
        assert!(matches!(x.argmax(1), Err(Error::Shape { .. })));
        let integers = Tensor::zeros((2, 0), DType::U8, &Device::Cpu)?;
        assert!(matches!(integers.max_keepdim(1), Err(Error::Shape { .. })));
        assert_eq!(integers.max_keepdim(0)?.dims(), [1, 0]);
        let scalar = Tensor::parameter(Array::new(3.0, &Device::Cpu)?);
        let y = scalar.max_all()?;
        assert_eq!(y.to_scalar::<f64>()?, 3.0);
        assert_eq!(y.backward()?.get(&scalar).unwrap().to_scalar::<f64>()?, 1.0);
        assert!(matches!(scalar.max(0), Err(Error::Axis { .. })));
        assert!(matches!(scalar.argmax(0), Err(Error::Axis { .. })));
        assert!(matches!(x.min_keepdim(-3), Err(Error::Axis { op: "min_keepdim", axis: -3, .. })));
        assert!(!scalar.unsqueeze(0)?.argmax(0)?.requires_grad());
        Ok(())
    }
}
