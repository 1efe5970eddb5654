//! The fused linear layer: a matrix product and a bias in one pass.

use candle_core::DType;

use super::matmul::{floats, save_factors};
use super::reshape::reshaped;
use crate::autograd::Element;
use crate::autograd::array::{contiguous, on_cpu, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Onnx, OnnxAttribute, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{self, Matrix};

/// x·wᵀ + b for a matrix x (n, k), a matrix w (m, k) and a vector b (m), on the CPU.
#[derive(Debug)]
struct Affine;

impl Op<3> for Affine {
    const NAME: &'static str = "linear";

    fn forward(&self, [x, w, b]: [&Array; 3], ctx: &mut SaveContext) -> Result<Array> {
        save_factors(ctx);
        let sizes = [x.dims()[0], x.dims()[1], w.dims()[0]];
        let (x, w, b) = (contiguous(x)?, contiguous(w)?, contiguous(b)?);
        with_float!(x.dtype(), T => {
            launch((Self::NAME, || Primitive::Affine(sizes)), [&x, &w, &b], &[sizes[0], sizes[2]], move |[x, w, b]| {
                kernel::affine::<T>(x.elements(), w.elements(), b.elements(), sizes)
            })
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let inputs = [onnx.input(0), onnx.input(1), onnx.input(2)];
        // Engines refuse Gemm of f64, or get it wrong.
        if onnx.dtype(0)? == DType::F64 {
            let [x, w, b] = inputs;
            let turned = onnx.node("Transpose", &[w], &[("perm", OnnxAttribute::Ints(vec![1, 0]))]);
            let product = onnx.node("MatMul", &[x, turned], &[]);
            return Ok(onnx.node("Add", &[product, b], &[]));
        }
        Ok(onnx.node("Gemm", &inputs, &[("transB", OnnxAttribute::Int(1))]))
    }

    fn by_rows(&self) -> bool {
        true
    }

    fn jvp(&self, saved: &Saved, [x, w, b]: [Option<&Tensor>; 3]) -> Result<Option<Tensor>> {
        let by_x = x.map(|x| x.matmul(&saved.input(1)?.t()?)).transpose()?;
        let by_w = w.map(|w| saved.input(0)?.matmul(&w.t()?)).transpose()?;
        let product = match (by_x, by_w) {
            (Some(x), Some(w)) => Some((x + w)?),
            (x, w) => x.or(w),
        };
        match (product, b) {
            (Some(product), Some(b)) => Ok(Some((product + b)?)),
            // Of a bias alone the number of rows is not known here.
            (product, _) => Ok(product),
        }
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        if !saved.recording() && grad.array().is_contiguous() {
            return with_float!(grad.dtype(), T => backward_arrays::<T>(saved, grad.array()));
        }
        let x = saved.needs_input_grad(0).then(|| grad.matmul(&saved.input(1)?));
        let w = saved.needs_input_grad(1).then(|| grad.t()?.matmul(&saved.input(0)?));
        let b = saved.needs_input_grad(2).then(|| grad.sum(0));
        Ok([x.transpose()?, w.transpose()?, b.transpose()?])
    }
}

/// The gradients without views or history on the way.
fn backward_arrays<T: Element>(saved: &Saved, g: &Array) -> Result<[Option<Tensor>; 3]> {
    let (n, m) = (g.dims()[0], g.dims()[1]);
    let mut grads = [None, None, None];
    if saved.needs_input_grad(0) {
        let w = &contiguous(saved.call.input(1)?)?;
        let k = w.dims()[1];
        grads[0] = Some(launch(
            ("matmul", || Primitive::matmul([n, m, k], [false, false])),
            [g, w],
            &[n, k],
            move |[g, w]| {
                let g = Matrix { data: g.elements::<T>(), rows: m, columns: 1 };
                let w = Matrix { data: w.elements(), rows: k, columns: 1 };
                kernel::matmul(1, [n, m, k], |_| (g, w))
            },
        )?);
    }
    if saved.needs_input_grad(1) {
        let x = &contiguous(saved.call.input(0)?)?;
        let k = x.dims()[1];
        grads[1] = Some(launch(
            ("matmul", || Primitive::matmul([m, n, k], [true, false])),
            [g, x],
            &[m, k],
            move |[g, x]| {
                let g = Matrix { data: g.elements::<T>(), rows: 1, columns: m };
                let x = Matrix { data: x.elements(), rows: k, columns: 1 };
                kernel::matmul(1, [m, n, k], |_| (g, x))
            },
        )?);
    }
    if saved.needs_input_grad(2) {
        grads[2] = Some(launch(("sum", || Primitive::Sum([1, n, m])), [g], &[m], move |[g]| {
            kernel::sum_axis(g.elements::<T>(), 1, n, m)
        })?);
    }
    Ok(grads.map(|grad| grad.map(Tensor::constant)))
}

/// x·wᵀ + b for x (.., k), w (m, k) and b (m). Gradients: g·w, gᵀ·x and the column sums of g.
pub(crate) fn affine(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    floats("linear", x, weight)?;
    floats("linear", x, bias)?;
    let mismatch = || {
        let expected = "inputs (.., k), a weight (m, k) and a bias (m)";
        Error::shape("linear", expected, &[x.dims(), weight.dims(), bias.dims()])
    };
    let ([lead @ .., k], [m, inner]) = (x.dims(), weight.dims()) else { return Err(mismatch()) };
    if k != inner || bias.dims() != [*m] {
        return Err(mismatch());
    }
    if !on_cpu(x.array()) {
        return x.matmul(&weight.t()?)? + bias;
    }
    if lead.len() == 1 {
        return Affine.apply([x, weight, bias]);
    }
    let rows = lead.iter().product();
    let y = Affine.apply([&reshaped(x, &[rows, *k])?, weight, bias])?;
    reshaped(&y, &[lead, &[*m]].concat())
}

#[cfg(test)]
mod tests {
    use super::affine;
    use crate::prelude::*;

    fn inputs(dims: &[&[usize]]) -> Vec<Tensor> {
        let rng = &mut Rng::seed(3);
        dims.iter().map(|&dims| Tensor::randn_dtype(0.0, 1.0, dims, DType::F64, rng).unwrap()).collect()
    }

    #[test]
    fn gradients() -> Result<()> {
        for x in [&[3, 4][..], &[4], &[2, 3, 4], &[1, 4]] {
            for m in [1, 2] {
                let inputs = inputs(&[x, &[m, 4], &[m]]);
                autograd::gradcheck(|v| affine(&v[0], &v[1], &v[2])?.powf(3.0), &inputs)?;
                let parts = (inputs[0].matmul(&inputs[1].t()?)? + &inputs[2])?;
                let off = (affine(&inputs[0], &inputs[1], &inputs[2])? - parts)?.abs()?.max_all()?;
                assert!(off.to_scalar::<f64>()? < 1e-14);
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        assert_eq!(affine(&zeros(&[0, 4])?, &zeros(&[2, 4])?, &zeros(&[2])?)?.dims(), [0, 2]);
        assert_eq!(affine(&zeros(&[0, 4])?, &zeros(&[1, 4])?, &zeros(&[1])?)?.dims(), [0, 1]);
        let ones = Tensor::ones(2, DType::F32, &Device::Cpu)?;
        assert_eq!(affine(&zeros(&[3, 0])?, &zeros(&[2, 0])?, &ones)?.to_vec2::<f32>()?, [[1.0; 2]; 3]);
        let error = affine(&zeros(&[3, 4])?, &zeros(&[2, 3])?, &ones).unwrap_err().to_string();
        let expected =
            "linear: expected inputs (.., k), a weight (m, k) and a bias (m), got [3, 4] and [2, 3] and [2]";
        assert_eq!(error, expected);
        assert!(affine(&zeros(&[])?, &zeros(&[2, 3])?, &ones).is_err());
        assert!(affine(&zeros(&[3, 4])?, &zeros(&[2, 4])?, &ones.to_dtype(DType::F64)?).is_err());
        let half = |x: &Tensor| x.to_dtype(DType::F16);
        assert_eq!(
            affine(&half(&zeros(&[3, 4])?)?, &half(&zeros(&[2, 4])?)?, &half(&ones)?)?.dtype(),
            DType::F16
        );
        Ok(())
    }
}
