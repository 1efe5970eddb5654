//! Resampling along one axis: the linear map behind average pools and upsampling, which treat one axis after the other.

use candle_core::Device;

use super::reduction::around;
use super::window::in_memory;
use crate::autograd::array::{contiguous, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::{self, Dims, ResampleMode};

/// From `from` elements along `axis`, at least one, to `to`.
#[derive(Clone, Copy, Debug)]
struct AxisMap {
    axis: usize,
    from: usize,
    to: usize,
    rule: ResampleMode,
}

impl AxisMap {
    fn run(self, x: &Array, transposed: bool) -> Result<Array> {
        let AxisMap { axis, from, to, rule } = self;
        let mut dims = Dims::from_slice(x.dims());
        let [outer, _, inner] = around(&dims, axis);
        let sizes = [outer, from, to, inner];
        dims[axis] = if transposed { from } else { to };
        in_memory([x], |[x]| {
            with_float!(x.dtype(), T => {
                let kernel = if transposed { kernel::resample_transpose::<T> } else { kernel::resample::<T> };
                let what = ("resample", || {
                    let (windows, sizes) = (rule.windows(from, to).to_vec(), [outer, from, inner]);
                    match transposed {
                        true => Primitive::ResampleTranspose { windows, sizes },
                        false => Primitive::Resample { windows, sizes },
                    }
                });
                launch(what, [&contiguous(x)?], &dims, move |[x]| kernel(x.elements(), rule, sizes))
            })
        })
    }
}

#[derive(Debug)]
struct Resample(AxisMap);

impl Op<1> for Resample {
    const NAME: &'static str = "resample";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        self.0.run(x, false)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(Transposed(self.0).apply([grad])?)])
    }
}

/// The transpose of [`Resample`].
#[derive(Debug)]
struct Transposed(AxisMap);

impl Op<1> for Transposed {
    const NAME: &'static str = "resample_transpose";

    fn forward(&self, [g]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        self.0.run(g, true)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(Resample(self.0).apply([grad])?)])
    }
}

/// Resamples the last axes of `x` to the given lengths. An axis that becomes longer than 0 must not be empty.
pub(super) fn resampled(x: &Tensor, rules: &[(usize, ResampleMode)]) -> Result<Tensor> {
    let lead = x.rank().saturating_sub(rules.len());
    let mut y = x.clone();
    // The last axis takes longest, so it has its turn while the other one is short.
    let grows = rules.first().is_some_and(|rule| rule.0 > x.dims()[lead]);
    let order = if grows { [1, 0] } else { [0, 1] };
    for i in order.into_iter().filter(|&i| i < rules.len()) {
        let (axis, (to, rule)) = (lead + i, rules[i]);
        let from = y.dims()[axis];
        if from != to || matches!(rule, ResampleMode::Mean { .. }) {
            y = Resample(AxisMap { axis, from, to, rule }).apply([&y])?;
        }
    }
    Ok(y)
}

/// Resampling of the last two axes in ONNX, which has no operator for it: products with the matrices that the maps make of
/// the identity.
pub(super) fn by_matrices(
    onnx: &mut Onnx,
    from: [usize; 2],
    to: [usize; 2],
    rule: ResampleMode,
) -> Result<OnnxValue> {
    let (mut y, dtype) = (onnx.input(0), onnx.dtype(0)?);
    let matrix = |axis: usize, onnx: &mut Onnx| -> Result<OnnxValue> {
        let identity = Tensor::eye(from[axis], dtype, &Device::Cpu)?;
        let map = AxisMap { axis, from: from[axis], to: to[axis], rule };
        Ok(onnx.constant(&map.run(identity.array(), false)?))
    };
    if from[1] != to[1] {
        let right = matrix(1, onnx)?;
        y = onnx.node("MatMul", &[y, right], &[]);
    }
    if from[0] != to[0] {
        let left = matrix(0, onnx)?;
        y = onnx.node("MatMul", &[left, y], &[]);
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::resampled;
    use crate::kernel::{ResampleMode, WindowAxis};
    use crate::ops::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        let side = WindowAxis { input: 3, output: 2, kernel: 2, stride: 2, padding: 1, dilation: 1 };
        for (to, rule) in [
            (2, ResampleMode::Mean { side, padded: true }),
            (2, ResampleMode::Mean { side, padded: false }),
            (2, ResampleMode::Adaptive),
            (5, ResampleMode::Adaptive),
            (4, ResampleMode::Nearest),
            (5, ResampleMode::Linear { corners: true }),
            (2, ResampleMode::Linear { corners: false }),
        ] {
            check(&x, |x| resampled(&x.reshape((x.elem_count() / 3, 3))?, &[(to, rule)])?.exp());
            check(&x, |x| {
                resampled(
                    &x.reshape((3, x.elem_count() / 3))?.sqr()?,
                    &[(to, rule), (1, ResampleMode::Adaptive)],
                )
            });
        }
    }

    #[test]
    fn strided_narrow_and_empty() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape((2, 3))?;
        let means = [(1, ResampleMode::Adaptive), (1, ResampleMode::Adaptive)];
        assert_eq!(resampled(&x.t()?, &means)?.to_vec2::<f64>()?, [[3.5]]);
        let repeated = tensor(&[1.0, 2.0]).broadcast_to((3, 2))?;
        assert_eq!(resampled(&repeated, &means)?.to_vec2::<f64>()?, [[1.5]]);
        for dtype in [DType::F16, DType::BF16, DType::F32] {
            // In f16 the sum of a row would be infinite.
            let y = resampled(&Tensor::ones((3, 70000), dtype, &Device::Cpu)?, &means)?;
            assert_eq!((y.dtype(), y.to_dtype(DType::F64)?.to_vec2::<f64>()?), (dtype, vec![vec![1.0]]));
        }
        let empty = Tensor::zeros((0, 2, 3), DType::F32, &Device::Cpu)?;
        let many = [(1 << 30, ResampleMode::Nearest); 2];
        assert_eq!(resampled(&empty, &many)?.dims(), [0, 1 << 30, 1 << 30]);
        assert_eq!(
            resampled(&x, &[(0, ResampleMode::Adaptive), (2, ResampleMode::Adaptive)])?.dims(),
            [0, 2]
        );
        Ok(())
    }
}
