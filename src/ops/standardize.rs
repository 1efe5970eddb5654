//! Mean 0 and variance 1 over some of the axes: what the normalization layers share.

use candle_core::{DType, WithDType};

use super::reduction::ReducedAxes;
use crate::autograd::array::{contiguous, on_cpu, with_float};
use crate::autograd::launch::{Primitive, launch, launch_many};
use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{self, Dims, norm};

/// The mean and the variance (with divisor n) of each group; in f32 for f16 and bf16.
pub(crate) struct Statistics {
    pub(crate) mean: Tensor,
    pub(crate) variance: Tensor,
}

#[derive(Clone, Debug)]
struct StandardizeGroups {
    eps: f64,
    centred: bool,
    /// mean, scale and shift of each group: y = (x − mean)·scale + shift.
    moments: [Array; 3],
}

/// The shape, of which `standardize` has checked the rank.
fn sizes(x: &Array) -> [usize; 3] {
    x.dims().try_into().expect("standardize checks the rank")
}

/// The mean of each group, (1, groups, 1).
fn mean(x: &Tensor) -> Result<Tensor> {
    x.mean_keepdim(2)?.mean_keepdim(0)
}

impl Op<1> for StandardizeGroups {
    const NAME: &'static str = "standardize";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        let ([m, scale, shift], dims) = (&self.moments, sizes(x));
        with_float!(x.dtype(), T => {
            let what = (Self::NAME, || Primitive::Standardize(dims));
            launch(what, [&contiguous(x)?, m, scale, shift], &dims, move |[x, moments @ ..]| {
                norm::standardize(x.elements::<T>(), dims, moments.map(|x| x.elements()))
            })
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        self.onnx_of_x(onnx)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Symmetric
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        if saved.recording() {
            return Ok([Some(self.slope(&x, &self.clone().apply([&x])?, grad)?)]);
        }
        let [m, scale, shift] = &self.moments;
        let inputs = [&contiguous(x.array())?, &contiguous(grad.array())?, m, scale, shift];
        let (dims, centred) = (sizes(grad.array()), self.centred);
        let slope = with_float!(x.dtype(), T => {
            let what = ("standardize_backward", || Primitive::StandardizeBackward { sizes: dims, centred });
            launch(what, inputs, &dims, move |[x, g, moments @ ..]| {
                let moments = moments.map(|x| x.elements());
                norm::standardize_backward(x.elements::<T>(), g.elements(), dims, moments, centred)
            })?
        });
        Ok([Some(slope.into())])
    }
}

impl StandardizeGroups {
    fn onnx_of_x(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let over = ReducedAxes { axes: Dims::from_slice(&[0, 2]), keepdim: true };
        let x = onnx.input(0);
        let centred = match self.centred {
            true => {
                let mean = over.onnx_of("ReduceMean", x, true, onnx);
                onnx.node("Sub", &[x, mean], &[])
            }
            false => x,
        };
        let squares = onnx.node("Mul", &[centred, centred], &[]);
        let variance = over.onnx_of("ReduceMean", squares, true, onnx);
        let eps = onnx.number(self.eps, onnx.dtype(0)?)?;
        let sum = onnx.node("Add", &[variance, eps], &[]);
        let root = onnx.node("Sqrt", &[sum], &[]);
        Ok(onnx.node("Div", &[centred, root], &[]))
    }

    /// The gradient by x of y, with its history.
    fn slope(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let mut slope = (grad - y * mean(&(grad * y)?)?)?;
        if self.centred {
            slope = (slope - mean(grad)?)?;
        }
        slope * (variance(x, self.centred)? + self.eps)?.powf(-0.5)?
    }
}

/// [`StandardizeGroups`] of the first input, times the second and plus the third for each group, in one pass.
#[derive(Clone, Debug)]
struct AffineGroups(StandardizeGroups);

impl Op<3> for AffineGroups {
    const NAME: &'static str = "standardize_affine";

    fn forward(&self, [x, w, b]: [&Array; 3], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_input(1);
        let ([m, scale, shift], dims) = (&self.0.moments, sizes(x));
        let inputs = [&contiguous(x)?, m, scale, shift, &contiguous(w)?, &contiguous(b)?];
        with_float!(x.dtype(), T => {
            launch((Self::NAME, || Primitive::Standardize(dims)), inputs, &dims, move |[x, numbers @ ..]| {
                norm::standardize_affine(x.elements::<T>(), dims, numbers.map(|x| x.elements()))
            })
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let mut y = self.0.onnx_of_x(onnx)?;
        for (i, name) in [(1, "Mul"), (2, "Add")] {
            let (numbers, groups) = (onnx.input(i), onnx.dims(i)?[0]);
            let shaped = onnx.reshape(numbers, &[1, groups, 1]);
            y = onnx.node(name, &[y, shaped], &[]);
        }
        Ok(y)
    }

    fn jvp(&self, saved: &Saved, [x, w, b]: [Option<&Tensor>; 3]) -> Result<Option<Tensor>> {
        let (input, weight) = (saved.input(0)?, saved.input(1)?);
        let y = self.0.clone().apply([&input])?;
        let shaped = |numbers: &Tensor| numbers.reshape((1, numbers.elem_count(), 1));
        // The gradient is its own transpose.
        let by_x = x.map(|x| self.0.slope(&input, &y, x)? * shaped(&weight)?);
        let by_w = w.map(|w| &y * shaped(w)?);
        let by_b = b.map(|b| shaped(b)?.broadcast_to(input.dims()));
        [by_x, by_w, by_b].into_iter().flatten().reduce(|a, b| a? + b?).transpose()
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let (x, w) = (saved.input(0)?, saved.input(1)?);
        let (dims, groups) = (sizes(grad.array()), w.dims().to_vec());
        if saved.recording() {
            let y = self.0.clone().apply([&x])?;
            let by_x = self.0.slope(&x, &y, &(grad * w.reshape((1, dims[1], 1))?)?)?;
            return Ok([Some(by_x), Some((grad * y)?.sum([0, 2])?), Some(grad.sum([0, 2])?)]);
        }
        let [m, scale, shift] = &self.0.moments;
        let inputs =
            [&contiguous(x.array())?, &contiguous(grad.array())?, m, scale, shift, &contiguous(w.array())?];
        let gradients = with_float!(x.dtype(), T => {
            let what = ("standardize_backward", || Primitive::StandardizeBackward { sizes: dims, centred: true });
            launch_many(what, inputs, [&dims, &groups[..], &groups], move |[x, g, numbers @ ..]| {
                let numbers = numbers.map(|x| x.elements());
                Ok(norm::standardize_affine_backward(x.elements::<T>(), g.elements(), dims, numbers)
                    .map(T::to_cpu_storage_owned))
            })?
        });
        Ok(gradients.map(|gradient| Some(gradient.into())))
    }
}

/// The mean of (x − mean)², or of x², of each group, (1, groups, 1).
fn variance(x: &Tensor, centred: bool) -> Result<Tensor> {
    if centred { mean(&(x - mean(x)?)?.sqr()?) } else { mean(&x.sqr()?) }
}

/// (x − mean) / √(variance + ε) of each group of x, (outer, groups, inner), and the statistics; x / √(mean x² + ε) if not `centred`.
/// The sums are accumulated in f64. The gradient is (g − mean g − y·mean g·y) / √(variance + ε), without `mean g` if not `centred`.
pub(crate) fn standardize(x: &Tensor, eps: f64, centred: bool) -> Result<(Tensor, Statistics)> {
    let op = StandardizeGroups::NAME;
    if x.rank() != 3 {
        return Err(Error::shape(op, "three axes (outer, groups, inner)", &[x.dims()]));
    }
    match x.dtype() {
        dtype if !dtype.is_float() => {
            return Err(Error::dtype(op, "a float tensor (see to_dtype)", &[dtype]));
        }
        dtype @ (DType::F16 | DType::BF16) => {
            let (y, statistics) = standardize(&x.to_dtype(DType::F32)?, eps, centred)?;
            return Ok((y.to_dtype(dtype)?, statistics));
        }
        _ => {}
    }
    let groups = sizes(x.array())[1];
    if x.elem_count() == 0 {
        // There may be any number of empty groups, so no number is kept for them.
        let nothing = Tensor::zeros((), x.dtype(), x.device())?.broadcast_to(groups)?;
        return Ok((x.clone(), Statistics { mean: nothing.clone(), variance: nothing }));
    }
    if !on_cpu(x.array()) {
        let (m, v) = (mean(x)?, variance(x, centred)?);
        let y = if centred { (x - &m)? } else { x.clone() };
        let y = (y * (&v + eps)?.powf(-0.5)?)?;
        let [mean, variance] = [m.reshape(groups)?.detach(), v.reshape(groups)?.detach()];
        return Ok((y, Statistics { mean, variance }));
    }
    let (op, statistics) = measured(x, eps, centred)?;
    Ok((op.apply([x])?, statistics))
}

/// [`standardize`] with the mean, times w and plus b of each group.
pub(crate) fn standardize_affine(x: &Tensor, [w, b]: [&Tensor; 2], eps: f64) -> Result<(Tensor, Statistics)> {
    let as_x = |numbers: &Tensor| {
        numbers.dims() == &x.dims()[1..2] && numbers.dtype() == x.dtype() && on_cpu(numbers.array())
    };
    let fuses = x.rank() == 3 && x.elem_count() > 0 && on_cpu(x.array()) && as_x(w) && as_x(b);
    if fuses && matches!(x.dtype(), DType::F32 | DType::F64) {
        let (op, statistics) = measured(x, eps, true)?;
        return Ok((AffineGroups(op).apply([x, w, b])?, statistics));
    }
    let (y, statistics) = standardize(x, eps, true)?;
    let shaped = |numbers: &Tensor| numbers.reshape((1, numbers.elem_count(), 1));
    Ok((shaped(b)?.addcmul(&y, &shaped(w)?, 1.0)?, statistics))
}

/// The operation with the numbers of each group of x, and their statistics.
fn measured(x: &Tensor, eps: f64, centred: bool) -> Result<(StandardizeGroups, Statistics)> {
    let (array, dims) = (x.array(), sizes(x.array()));
    let groups = dims[1];
    let [m, scale, shift, mean, variance] = with_float!(x.dtype(), T => {
        let what = ("moments", || Primitive::Moments { sizes: dims, eps, centred });
        launch_many(what, [&contiguous(array)?], [&[groups]; 5], move |[x]| {
            let norm::Moments { mean, scale, shift, variance } = norm::moments::<T>(x.elements(), dims, eps, centred);
            // The exact mean is where y is 0.
            let exact = kernel::collected(groups, (0..groups).map(|g| mean[g] - shift[g] / scale[g]));
            Ok([mean, scale, shift, exact, variance].map(T::to_cpu_storage_owned))
        })?
    });
    let statistics = Statistics { mean: mean.into(), variance: variance.into() };
    Ok((StandardizeGroups { eps, centred, moments: [m, scale, shift] }, statistics))
}

#[cfg(test)]
mod tests {
    use super::{standardize, standardize_affine};
    use crate::ops::testing::check;
    use crate::prelude::*;

    const X: [f64; 12] = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7, 0.1, 3.0, -2.0, 0.9, 1.1, -0.4];

    #[test]
    fn gradients() {
        for dims in [[1, 3, 4], [3, 4, 1], [2, 3, 2], [3, 1, 4]] {
            for centred in [true, false] {
                // The second of the two tensors has twice as many elements.
                check(&X, |x| {
                    let more = x.elem_count() / 12;
                    let x = x.reshape((dims[0] * more, dims[1], dims[2]))?;
                    standardize(&x, 0.1, centred).map(|(y, _)| y)
                });
                // The numbers of groups are of the first elements.
                check(&X, |x| {
                    let more = x.elem_count() / 12;
                    let numbers = |from| x.flatten(0, -1)?.narrow(0, from, dims[1]);
                    let x = x.reshape((dims[0] * more, dims[1], dims[2]))?;
                    standardize_affine(&x, [&numbers(1)?, &numbers(3)?], 0.1).map(|(y, _)| y)
                });
            }
        }
    }

    /// y, mean and variance by plain loops.
    fn plain(x: &[f64], [outer, groups, inner]: [usize; 3], eps: f64, centred: bool) -> [Vec<f64>; 3] {
        let (mut y, mut means, mut variances) = (vec![0.0; x.len()], vec![], vec![]);
        for g in 0..groups {
            let places =
                || (0..outer).flat_map(move |o| (0..inner).map(move |i| (o * groups + g) * inner + i));
            let n = (outer * inner) as f64;
            let mean = if centred { places().map(|p| x[p]).sum::<f64>() / n } else { 0.0 };
            let variance = places().map(|p| (x[p] - mean).powi(2)).sum::<f64>() / n;
            places().for_each(|p| y[p] = (x[p] - mean) / (variance + eps).sqrt());
            means.push(mean);
            variances.push(variance);
        }
        [y, means, variances]
    }

    #[test]
    fn against_plain_loops() -> Result<()> {
        for dims in
            [[1, 5, 700], [64, 300, 1], [3, 4, 7], [8, 3, 1000], [40, 1000, 1], [1, 1, 1], [2, 1, 30_000]]
        {
            let x = Tensor::randn_dtype(3.0, 2.0, &dims, DType::F64, &mut Rng::seed(1))?;
            let numbers = x.flatten(0, -1)?.to_vec1::<f64>()?;
            for centred in [true, false] {
                let [y, mean, variance] = plain(&numbers, dims, 1e-5, centred);
                for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5), (DType::BF16, 0.02)] {
                    let (got, statistics) = standardize(&x.to_dtype(dtype)?, 1e-5, centred)?;
                    assert_eq!((got.dims(), got.dtype()), (&dims[..], dtype));
                    let near = |got: Tensor, expected: &[f64]| -> Result<()> {
                        let got = got.flatten(0, -1)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
                        let far = |(a, b): (&f64, &f64)| (a - b).abs() / (1.0 + b.abs());
                        let far = got.iter().zip(expected).map(far).fold(0.0, f64::max);
                        assert!(got.len() == expected.len() && far < tolerance, "{dims:?} {dtype:?}: {far}");
                        Ok(())
                    };
                    let [w, b] = [0.7, -0.2].map(|salt| {
                        let numbers = (0..dims[1]).map(|g| (g as f64 + salt).sin()).collect::<Vec<_>>();
                        Tensor::from_vec(numbers, dims[1], &Device::Cpu)?.to_dtype(dtype)
                    });
                    let (w, b) = (w?, b?);
                    let own = standardize_affine(&x.to_dtype(dtype)?, [&w, &b], 1e-5)?.0;
                    if centred && dtype != DType::BF16 {
                        // In one pass and in two: the same bits.
                        let shaped = |x: &Tensor| x.reshape((1, dims[1], 1));
                        assert_eq!(own, ((&got * shaped(&w)?)? + shaped(&b)?)?);
                    }
                    near(got, &y)?;
                    near(statistics.mean, &mean)?;
                    near(statistics.variance, &variance)?;
                }
            }
        }
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        // Far from 0, where the mean has no room for its digits.
        let x: Vec<f32> = (0..1000).map(|i| 1e4 + (i % 2) as f32 * 0.0625).collect();
        let (y, statistics) = standardize(&Tensor::from_vec(x, (1, 1, 1000), &Device::Cpu)?, 1e-12, true)?;
        assert!((statistics.variance.to_vec1::<f32>()?[0] / 0.03125_f32.powi(2) - 1.0).abs() < 1e-5);
        assert!(y.to_vec3::<f32>()?[0][0].iter().all(|y| (y.abs() - 1.0).abs() < 1e-5));
        // All the same: 0.
        let (y, _) = standardize(&Tensor::full(7.0, (2, 3, 2), &Device::Cpu)?, 1e-5, true)?;
        assert_eq!(y.sqr()?.sum_all()?.to_scalar::<f64>()?, 0.0);
        // NaN and infinity spoil their group alone.
        for bad in [f64::NAN, f64::INFINITY] {
            let x = Tensor::new(&[[[bad, 1.0], [1.0, 3.0]]], &Device::Cpu)?;
            let y = standardize(&x, 1e-5, true)?.0.to_vec3::<f64>()?;
            assert!(y[0][0].iter().all(|y| y.is_nan()) && (y[0][1][1] - 1.0).abs() < 1e-4, "{y:?}");
        }
        for dims in [[0, 3, 2], [2, 0, 2], [2, 3, 0]] {
            let zeros = Tensor::parameter(Array::zeros(&dims, DType::F32, &Device::Cpu)?);
            let y = standardize(&zeros, 1e-5, true)?.0;
            assert_eq!(y.sum_all()?.backward()?.get(&zeros).unwrap().dims(), dims);
        }
        let x = Tensor::zeros((0, 1 << 50, 1), DType::F32, &Device::Cpu)?;
        assert_eq!(standardize(&x, 1e-5, true)?.0, x);
        let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        assert!(matches!(standardize(&x, 1e-5, true), Err(Error::Shape { .. })));
        let x = Tensor::zeros((2, 3, 1), DType::U8, &Device::Cpu)?;
        assert!(matches!(standardize(&x, 1e-5, true), Err(Error::Dtype { .. })));
        Ok(())
    }
}
