//! Products of matrices and vectors.

use std::sync::Arc;

use candle_core::DType;

use super::reshape::reshaped;
use crate::autograd::array::{by_candle, contiguous, fits, on_cpu, widened, with_float};
use crate::autograd::launch::{MatMul as Product, Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{self, Dims, Matrix, View, broadcast_dims};

/// Saves what the gradient of a product needs: each of the first two inputs, if the gradient of the other is needed.
pub(super) fn save_factors(ctx: &mut SaveContext) {
    for i in 0..2 {
        if ctx.needs_input_grad(i) {
            ctx.save_input(1 - i);
        }
    }
}

/// For matrices (.., m, k) and (.., k, n).
#[derive(Debug)]
struct MatMul;

impl Op<2> for MatMul {
    const NAME: &'static str = "matmul";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        save_factors(ctx);
        let (da, db) = (a.dims(), b.dims());
        let mismatch = |expected: String| Error::shape("matmul", expected, &[da, db]);
        let ([batch_a @ .., m, k], [batch_b @ .., inner, n]) = (da, db) else {
            return Err(mismatch("matrices".into()));
        };
        if k != inner {
            return Err(mismatch(format!("inner sizes to be equal ({k} and {inner})")));
        }
        let batch = broadcast_dims(batch_a, batch_b)
            .ok_or_else(|| mismatch("batch sizes that broadcast together".into()))?;
        let mut dims = batch.clone();
        dims.extend_from_slice(&[*m, *n]);
        fits(Self::NAME, &dims, a.dtype().size_in_bytes())?;
        if by_candle(a) || by_candle(b) {
            // candle multiplies only some layouts in place.
            return Ok(contiguous(a)?.broadcast_matmul(&contiguous(b)?)?);
        }
        if !on_cpu(a) {
            return widened([a, b], |[a, b]| self.forward([a, b], ctx));
        }
        let (batch_a, batch_b) = (Dims::from_slice(batch_a), Dims::from_slice(batch_b));
        let sizes = [*m, *k, *n];
        let what = (Self::NAME, || {
            let [la, lb] = [a, b].map(|x| x.stride());
            let steps = [steps(&batch_a, la, &batch), steps(&batch_b, lb, &batch)];
            let last = |strides: &[usize]| [strides[strides.len() - 2], strides[strides.len() - 1]];
            let starts =
                (0..batch.iter().product()).map(|i| [0, 1].map(|x| start(i, &batch, &steps[x]))).collect();
            Primitive::MatMul(Arc::new(Product { sizes, strides: [last(la), last(lb)], starts }))
        });
        with_float!(a.dtype(), T => {
            let (batch_a, batch_b, batch) = (batch_a.clone(), batch_b.clone(), batch.clone());
            launch(what, [a, b], &dims, move |[a, b]| {
                let (la, lb) = (a.strides(), b.strides());
                let steps = [steps(&batch_a, la, &batch), steps(&batch_b, lb, &batch)];
                let (numbers_a, numbers_b) = (a.elements::<T>(), b.elements::<T>());
                let matrix = |data, strides: &[usize]| {
                    let last = strides.len() - 1;
                    Matrix { data, rows: strides[last - 1], columns: strides[last] }
                };
                kernel::matmul(batch.iter().product(), sizes, |i| {
                    let [from_a, from_b] = [0, 1].map(|x| start(i, &batch, &steps[x]));
                    (matrix(&numbers_a[from_a..], la), matrix(&numbers_b[from_b..], lb))
                })
            })
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let inputs = [onnx.input(0), onnx.input(1)];
        Ok(onnx.node("MatMul", &inputs, &[]))
    }

    fn by_rows(&self) -> bool {
        true
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Bilinear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let a = saved.needs_input_grad(0).then(|| MatMul.apply([grad, &saved.input(1)?.t()?]));
        let b = saved.needs_input_grad(1).then(|| MatMul.apply([&saved.input(0)?.t()?, grad]));
        Ok([a.transpose()?, b.transpose()?])
    }
}

/// The distances of the matrices of a batch along each of its axes, when the batch is broadcast to `out`.
fn steps(dims: &[usize], strides: &[usize], out: &[usize]) -> Dims {
    View::broadcast(&[()], dims, &strides[..dims.len()], out).strides
}

/// Where matrix i of a batch starts.
fn start(mut i: usize, batch: &[usize], steps: &[usize]) -> usize {
    let mut from = 0;
    for (axis, (&size, &step)) in batch.iter().zip(steps).enumerate().rev() {
        // Most batches have one axis or two, and dividing takes long.
        if axis == 0 {
            from += i * step;
        } else {
            from += i % size * step;
            i /= size;
        }
    }
    from
}

/// Σ aᵢ·bᵢ of two vectors, without the array of products.
#[derive(Debug)]
struct Dot;

impl Op<2> for Dot {
    const NAME: &'static str = "dot";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        save_factors(ctx);
        if cfg!(target_arch = "wasm32") && !on_cpu(a) {
            return widened([a, b], |[a, b]| self.forward([a, b], ctx));
        }
        if matches!(a.dtype(), DType::F16 | DType::BF16) {
            // candle would add in the narrow dtype, where a sum of 1,000 ones is 256 in bf16.
            let sum = (a.to_dtype(DType::F32)? * b.to_dtype(DType::F32)?)?.sum_all()?;
            return Ok(sum.to_dtype(a.dtype())?);
        }
        if by_candle(a) {
            return Ok((a * b)?.sum_all()?);
        }
        with_float!(a.dtype(), T => {
            launch(Self::NAME, [&contiguous(a)?, &contiguous(b)?], &[], |[a, b]| {
                vec![kernel::dot::<T>(a.elements(), b.elements())]
            })
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let inputs = [onnx.input(0), onnx.input(1)];
        Ok(onnx.node("MatMul", &inputs, &[]))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Bilinear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let a = saved.needs_input_grad(0).then(|| grad * saved.input(1)?);
        let b = saved.needs_input_grad(1).then(|| grad * saved.input(0)?);
        Ok([a.transpose()?, b.transpose()?])
    }
}

#[derive(Debug)]
struct Outer;

impl Op<2> for Outer {
    const NAME: &'static str = "outer";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        save_factors(ctx);
        let (a, b) = (contiguous(a)?, contiguous(b)?);
        fits(Self::NAME, &[a.elem_count(), b.elem_count()], a.dtype().size_in_bytes())?;
        with_float!(a.dtype(), T => {
            let dims = [a.elem_count(), b.elem_count()];
            launch(Self::NAME, [&a, &b], &dims, |[a, b]| kernel::outer::<T>(a.elements(), b.elements()))
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let (a, b, axis) = (onnx.input(0), onnx.input(1), onnx.ints(&[1]));
        let column = onnx.node("Unsqueeze", &[a, axis], &[]);
        Ok(onnx.node("Mul", &[column, b], &[]))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Bilinear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let a = saved.needs_input_grad(0).then(|| grad.matmul(&saved.input(1)?));
        let b = saved.needs_input_grad(1).then(|| saved.input(0)?.matmul(grad));
        Ok([a.transpose()?, b.transpose()?])
    }
}

/// Errors unless both are float tensors of one dtype and on one device.
pub(super) fn floats(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    let got = [a.dtype(), b.dtype()];
    let known = matches!(got[0], DType::F32 | DType::F64 | DType::F16 | DType::BF16);
    if got[0] != got[1] || !known {
        return Err(Error::dtype(op, "float tensors of one dtype (see to_dtype)", &got));
    }
    if !a.device().same_device(b.device()) {
        let got = format!("{:?} and {:?}", a.device().location(), b.device().location());
        return Err(Error::Device { op, got });
    }
    Ok(())
}

impl Tensor {
    /// Computes the matrix product: yᵢⱼ = Σₖ aᵢₖ·bₖⱼ.
    ///
    /// As in numpy and PyTorch, a vector is a row on the left and a column on the right, and leading axes are batches, which
    /// broadcast. Shapes: (.., m, k) and (.., k, n) give (.., m, n); (k) and (k) give a scalar. Gradient: g·bᵀ and aᵀ·g.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let a = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// let b = Tensor::new(&[[1.0], [10.0]], &Device::Cpu)?;
    /// assert_eq!(a.matmul(&b)?.to_vec2::<f64>()?, [[21.0], [43.0]]);
    /// let error = a.matmul(&Tensor::zeros((3, 2), DType::F64, &Device::Cpu)?).unwrap_err();
    /// assert_eq!(error.to_string(), "matmul: expected inner sizes to be equal (2 and 3), got [2, 2] and [3, 2]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "bmm")]
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        floats("matmul", self, other)?;
        let (a, b) = (self.dims(), other.dims());
        match (a.len(), b.len()) {
            (0, _) | (_, 0) => Err(Error::shape("matmul", "vectors or matrices", &[a, b])),
            (1, 1) => self.dot(other),
            (1, _) => self.unsqueeze(0)?.matmul(other)?.squeeze(-2),
            (_, 1) => self.matmul(&other.unsqueeze(1)?)?.squeeze(-1),
            // One product of many rows is faster than many products, and its gradient needs no sum over batches.
            (rank @ 3.., 2) if a[rank - 1] == b[0] && self.array().is_contiguous() => {
                let rows = a[..rank - 1].iter().product();
                let flat = reshaped(self, &[rows, a[rank - 1]])?;
                let mut dims = Dims::from_slice(&a[..rank - 1]);
                dims.push(b[1]);
                reshaped(&MatMul.apply([&flat, other])?, &dims)
            }
            _ => MatMul.apply([self, other]),
        }
    }

    /// Computes the dot product Σ aᵢ·bᵢ of two vectors of the same length. Gradient: g·b and g·a.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let a = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?;
    /// assert_eq!(a.dot(&a)?.to_scalar::<f64>()?, 14.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "inner")]
    pub fn dot(&self, other: &Tensor) -> Result<Tensor> {
        floats("dot", self, other)?;
        if self.rank() != 1 || self.dims() != other.dims() {
            return Err(Error::shape("dot", "two vectors of one length", &[self.dims(), other.dims()]));
        }
        Dot.apply([self, other])
    }

    /// Computes the outer product aᵢ·bⱼ of two vectors, a matrix.
    ///
    /// Shapes: (m) and (n) give (m, n). Gradient: Σⱼ gᵢⱼ·bⱼ and Σᵢ gᵢⱼ·aᵢ.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let (a, b) = (Tensor::new(&[1.0, 2.0], &Device::Cpu)?, Tensor::new(&[10.0, 20.0, 30.0], &Device::Cpu)?);
    /// assert_eq!(a.outer(&b)?.to_vec2::<f64>()?, [[10.0, 20.0, 30.0], [20.0, 40.0, 60.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn outer(&self, other: &Tensor) -> Result<Tensor> {
        if self.rank() != 1 || other.rank() != 1 {
            return Err(Error::shape("outer", "two vectors", &[self.dims(), other.dims()]));
        }
        floats("outer", self, other)?;
        if !(on_cpu(self.array()) && on_cpu(other.array())) {
            return self.unsqueeze(1)?.mul(&other.unsqueeze(0)?);
        }
        Outer.apply([self, other])
    }

    /// Computes the product of a matrix (m, k) with a vector (k), as [`matmul`](Tensor::matmul) but refusing other ranks.
    #[doc(alias = "mv")]
    pub fn matvec(&self, vector: &Tensor) -> Result<Tensor> {
        if self.rank() != 2 || vector.rank() != 1 {
            return Err(Error::shape("matvec", "a matrix and a vector", &[self.dims(), vector.dims()]));
        }
        self.matmul(vector)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::tensor;
    use crate::prelude::*;

    fn numbers(dims: &[usize]) -> Tensor {
        let n = dims.iter().product::<usize>();
        Tensor::from_vec((0..n).map(|i| (i as f64 * 1.7).sin()).collect(), dims, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients() -> Result<()> {
        for (a, b) in [
            (&[2, 3][..], &[3, 2][..]),
            (&[3], &[3, 2]),
            (&[2, 3], &[3]),
            (&[3], &[3]),
            (&[2, 2, 3], &[3, 2]),
            (&[2, 3], &[2, 3, 2]),
            (&[2, 1, 2, 3], &[3, 3, 1]),
        ] {
            let inputs = [numbers(a), numbers(b)];
            autograd::gradcheck(|x| x[0].matmul(&x[1]), &inputs)?;
            autograd::gradcheck(|x| x[0].matmul(&x[1])?.powf(3.0), &inputs)?;
        }
        autograd::gradcheck(|x| x[0].outer(&x[1])?.sqr(), &[numbers(&[2]), numbers(&[3])])?;
        autograd::gradcheck(|x| x[0].matvec(&x[1])?.sqr(), &[numbers(&[2, 3]), numbers(&[3])])?;
        Ok(())
    }

    #[test]
    fn half_precision_adds_up_in_f32() -> Result<()> {
        for dtype in [DType::F16, DType::BF16] {
            let ones = |dims: &[usize]| Tensor::ones(dims, dtype, &Device::Cpu);
            let products = [
                ones(&[1000])?.dot(&ones(&[1000])?)?,
                ones(&[2, 1000])?.matmul(&ones(&[1000, 2])?)?,
                ones(&[2, 2, 1000])?.matmul(&ones(&[1000])?)?,
            ];
            for product in products {
                assert_eq!(product.dtype(), dtype);
                let least = product.to_dtype(DType::F64)?.min_all()?.to_scalar::<f64>()?;
                assert_eq!(least, 1000.0, "{dtype:?} {:?}", product.dims());
            }
        }
        Ok(())
    }

    #[test]
    fn strided_operands() -> Result<()> {
        let (a, b) = (numbers(&[4, 3]), numbers(&[5, 4]));
        let transposed = |x: &Tensor| -> Result<Tensor> { Ok(x.array().t()?.into()) };
        let expected = transposed(&b.matmul(&a)?)?.array().contiguous()?;
        let got = transposed(&a)?.matmul(&transposed(&b)?)?;
        let (x, y): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (expected.to_vec2()?, got.to_vec2()?);
        assert!(x.concat().iter().zip(y.concat()).all(|(x, y)| (x - y).abs() < 1e-14));
        // A row that is repeated: stride 0.
        let ones = tensor(&[1.0]).array().broadcast_as((3, 4))?.into();
        let sums = Tensor::matmul(&ones, &numbers(&[4, 2]))?;
        assert_eq!(sums.dims(), [3, 2]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let empty =
            Tensor::zeros((2, 0), DType::F32, cpu)?.matmul(&Tensor::zeros((0, 3), DType::F32, cpu)?)?;
        assert_eq!(empty.to_vec2::<f32>()?, [[0.0; 3]; 2]);
        assert_eq!(
            Tensor::zeros((0, 2), DType::F32, cpu)?.matmul(&Tensor::zeros((2, 3), DType::F32, cpu)?)?.dims(),
            [0, 3]
        );
        assert_eq!(
            Tensor::zeros((0, 2, 2), DType::F32, cpu)?
                .matmul(&Tensor::zeros((2, 3), DType::F32, cpu)?)?
                .dims(),
            [0, 2, 3]
        );
        assert!(matches!(numbers(&[2, 3]).matmul(&numbers(&[2, 3])), Err(Error::Shape { .. })));
        assert!(matches!(numbers(&[2, 2, 3]).matmul(&numbers(&[3, 3, 2])), Err(Error::Shape { .. })));
        assert!(matches!(numbers(&[]).matmul(&numbers(&[2])), Err(Error::Shape { .. })));
        assert!(matches!(numbers(&[2]).dot(&numbers(&[3])), Err(Error::Shape { .. })));
        let narrow = numbers(&[2, 2]).to_dtype(DType::F32)?;
        assert!(matches!(numbers(&[2, 2]).matmul(&narrow), Err(Error::Dtype { .. })));
        let half = narrow.to_dtype(DType::F16)?;
        assert_eq!(half.matmul(&half)?.dtype(), DType::F16);
        Ok(())
    }
}
