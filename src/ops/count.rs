//! `any`, `all` and `count_nonzero`.

use candle_core::{CpuStorage, DType, Device, WithDType};

use super::axis::Axes;
use super::reduction::{ReducedAxes, with_number};
use crate::autograd::array::contiguous;
use crate::autograd::launch::launch_many;
use crate::autograd::{Array, Tensor, traced};
use crate::error::Result;
use crate::kernel::scan::reduce_axis;

#[derive(Clone, Copy, Debug)]
enum Quantifier {
    Any,
    All,
    Count,
}

fn count(op: &'static str, x: &Tensor, over: &ReducedAxes, quantifier: Quantifier) -> Result<Tensor> {
    let compute = || Ok(Tensor::constant(counted(op, x.array(), over, quantifier)?));
    traced(&[x], compute, |onnx| {
        let x = onnx.input(0);
        let nonzero = onnx.condition(x);
        let ones = onnx.cast(nonzero, DType::I64)?;
        let operator = match quantifier {
            Quantifier::Any => "ReduceMax",
            Quantifier::All => "ReduceMin",
            Quantifier::Count => "ReduceSum",
        };
        let y = over.onnx_of(operator, ones, over.keepdim, onnx);
        if matches!(quantifier, Quantifier::Count) { Ok(y) } else { onnx.cast(y, DType::U8) }
    })
}

fn counted(op: &'static str, x: &Array, over: &ReducedAxes, quantifier: Quantifier) -> Result<Array> {
    let dims = over.output(op, x)?;
    let (own, shape) = over.grouped(&x.to_device(&Device::Cpu)?)?;
    let own = &own;
    let [result] = with_number!(own, T => launch_many(op, [&contiguous(own)?], [&dims], move |[x]| {
        let zero = T::from_f64(0.0);
        let counts = reduce_axis(x.elements::<T>(), shape, 0, |n, x| n + u64::from(x != zero), |n| n);
        let counts = counts.into_iter();
        Ok([match quantifier {
            Quantifier::Any => CpuStorage::U8(counts.map(|n| u8::from(n > 0)).collect()),
            Quantifier::All => CpuStorage::U8(counts.map(|n| u8::from(n == shape[1] as u64)).collect()),
            Quantifier::Count => CpuStorage::U32(counts.map(|n| n as u32).collect()),
        }])
    })?);
    Ok(result.to_device(x.device())?)
}

macro_rules! counts {
    ($($one:ident $keepdim:ident $all:ident -> $type:ident $what:literal $empty:literal [$values:literal] $quantifier:ident)*) => {
        impl Tensor {$(
            #[doc = concat!($what, " along `axes`, which are removed.")]
            ///
            #[doc = concat!("Takes every dtype and has no gradient. NaN is not 0, −0 is. Over no elements: ", $empty, ".")]
            ///
            /// ```
            /// # use tealight::prelude::*;
            /// let x = Tensor::new(&[[0.0, 2.0], [3.0, 4.0], [0.0, 0.0]], &Device::Cpu)?;
            #[doc = concat!("assert_eq!(x.", stringify!($one), "(1)?.to_vec1::<", stringify!($type), ">()?, ", $values, ");")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            pub fn $one(&self, axes: impl Axes) -> Result<Tensor> {
                let op = stringify!($one);
                count(op, self, &ReducedAxes::of(op, self, axes, false)?, Quantifier::$quantifier)
            }

            #[doc = concat!("[`", stringify!($one), "`](Tensor::", stringify!($one), ") with the axes kept at length 1.")]
            pub fn $keepdim(&self, axes: impl Axes) -> Result<Tensor> {
                let op = stringify!($keepdim);
                count(op, self, &ReducedAxes::of(op, self, axes, true)?, Quantifier::$quantifier)
            }

            #[doc = concat!("[`", stringify!($one), "`](Tensor::", stringify!($one), ") over all elements, as a scalar.")]
            pub fn $all(&self) -> Result<Tensor> {
                count(stringify!($all), self, &ReducedAxes::all(self), Quantifier::$quantifier)
            }
        )*}
    };
}
counts! {
    any any_keepdim any_all -> u8 "Tests whether any element is not 0 (a u8, 0 or 1)" "0" ["[1, 1, 0]"] Any
    all all_keepdim all_all -> u8 "Tests whether all elements are not 0 (a u8, 0 or 1)" "1" ["[0, 1, 0]"] All
    count_nonzero count_nonzero_keepdim count_nonzero_all -> u32 "Counts the elements that are not 0 (a u32)" "0"
        ["[1, 2, 0]"] Count
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn a_count_has_no_gradient() -> Result<()> {
        check(&[0.3, -1.0, 2.0], |x| x * x.count_nonzero_all()?.to_dtype(DType::F64)?);
        let x = Tensor::parameter(tensor(&[1.0, 0.0]));
        assert!(!x.any(0)?.requires_grad() && !x.count_nonzero_all()?.requires_grad());
        Ok(())
    }

    #[test]
    fn every_dtype_and_layout_against_plain_loops() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let numbers: Vec<f64> = (0..120).map(|i| f64::from(i * 37 % 23 / 9)).collect();
            let plain = Tensor::from_vec(numbers, (4, 5, 6), &Device::Cpu)?.to_dtype(dtype)?;
            for x in [plain.permute(&[2, 0, 1])?, plain.narrow(1, 1, 3)?, plain] {
                let numbers = x.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                let (any, all) = (x.any([0, 2])?.to_vec1::<u8>()?, x.all([0, 2])?.to_vec1::<u8>()?);
                let count = x.count_nonzero([2, 0])?.to_vec1::<u32>()?;
                for j in 0..x.dims()[1] {
                    let row: Vec<f64> = numbers.iter().flat_map(|part| part[j].clone()).collect();
                    assert_eq!(any[j], u8::from(row.iter().any(|&x| x != 0.0)));
                    assert_eq!(all[j], u8::from(row.iter().all(|&x| x != 0.0)));
                    assert_eq!(count[j] as usize, row.iter().filter(|&&x| x != 0.0).count(), "{dtype:?}");
                }
                assert_eq!(x.all_keepdim(1)?.dims()[1], 1);
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[f64::NAN, -0.0, 5e-324]);
        assert_eq!(x.count_nonzero(0)?.to_scalar::<u32>()?, 2);
        assert_eq!((x.any_all()?.to_scalar::<u8>()?, x.all_all()?.to_scalar::<u8>()?), (1, 0));
        let empty = Tensor::zeros((2, 0), DType::U8, &Device::Cpu)?;
        assert_eq!(empty.any(1)?.to_vec1::<u8>()?, [0, 0]);
        assert_eq!(empty.all(1)?.to_vec1::<u8>()?, [1, 1]);
        assert_eq!(empty.count_nonzero_all()?.to_scalar::<u32>()?, 0);
        assert_eq!(empty.any_keepdim(0)?.dims(), [1, 0]);
        // Of no axes: each element by itself.
        assert_eq!(x.any([0; 0])?.to_vec1::<u8>()?, [1, 0, 1]);
        assert_eq!(x.i(0)?.all([0; 0])?.to_scalar::<u8>()?, 1);
        // A sum of u8 would wrap here.
        let many = Tensor::full(1_u8, 512, &Device::Cpu)?;
        assert_eq!(many.count_nonzero_keepdim(0)?.to_vec1::<u32>()?, [512]);
        let error = x.any([0, -1]).unwrap_err();
        assert_eq!(error.to_string(), "any: expected each axis at most once, got [0, -1]");
        assert!(matches!(x.all_keepdim(1), Err(Error::Axis { op: "all_keepdim", .. })));
        Ok(())
    }
}
