//! Linear systems and inverses, by LU factorisation with partial pivoting. Computed in f64 and rounded once.

use candle_core::{CpuStorage, DType, Device};

use super::create::checked;
use super::matmul::floats;
use crate::autograd::array::{contiguous, converted, place};
use crate::autograd::launch::launch_many;
use crate::autograd::{Array, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{Dims, broadcast_dims, linalg};

/// The size n of matrices (.., n, n). Errors if they are not square, or their dtype cannot be factorised.
pub(super) fn check_square(op: &'static str, x: &Tensor) -> Result<usize> {
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Err(Error::dtype(op, "a tensor of f32 or f64 (see to_dtype)", &[x.dtype()]));
    }
    match *x.dims() {
        [.., n, m] if n == m => Ok(n),
        _ => Err(Error::shape(op, "a square matrix or a batch of them", &[x.dims()])),
    }
}

/// The batch axes of matrices that [`check_square`] accepted, and their size.
pub(super) fn batch_and_size(dims: &[usize]) -> (&[usize], usize) {
    let (batch, matrix) = dims.split_at(dims.len() - 2);
    (batch, matrix[0])
}

/// The array of shape `dims` that `kernel` computes in f64 from arrays, each broadcast to its shape.
pub(super) fn in_f64<const N: usize>(
    op: &'static str,
    inputs: [(&Array, &[usize]); N],
    dims: &[usize],
    kernel: impl Fn([&[f64]; N]) -> Result<Vec<f64>> + Send + Sync + 'static,
) -> Result<Array> {
    let like = inputs[0].0;
    let mut wide = Vec::with_capacity(N);
    for (x, dims) in inputs {
        let x = x.to_device(&Device::Cpu)?.broadcast_as(dims)?;
        wide.push(converted(&contiguous(&x)?, DType::F64)?);
    }
    let [y] = launch_many(op, std::array::from_fn(|i| &wide[i]), [dims], move |inputs| {
        Ok([CpuStorage::F64(kernel(inputs.map(|x| x.elements()))?)])
    })?;
    Ok(converted(&y, like.dtype())?.to_device(like.device())?)
}

/// The error of matrix number `at` of a batch, which is not what was expected.
pub(super) fn matrix_error(op: &'static str, expected: &str, got: &str, batch: &[usize], at: usize) -> Error {
    let index = place(batch, at);
    let of_batch = if batch.is_empty() { String::new() } else { format!(" at {index:?} of the batch") };
    Error::argument(op, expected, format!("{got}{of_batch}"))
}

fn singular(op: &'static str, batch: &[usize], at: usize) -> Error {
    matrix_error(op, "an invertible matrix", "a singular one", batch, at)
}

/// For matrices (.., n, n) and (.., n, k).
#[derive(Debug)]
struct Solve;

impl Op<2> for Solve {
    const NAME: &'static str = "solve";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        if ctx.needs_input_grad(0) {
            ctx.save_output();
        }
        let ((batch_a, n), (batch_b, _)) = (batch_and_size(a.dims()), batch_and_size(b.dims()));
        let k = b.dims()[b.rank() - 1];
        let batch = broadcast_dims(batch_a, batch_b).ok_or_else(|| {
            Error::shape(Self::NAME, "batch sizes that broadcast together", &[a.dims(), b.dims()])
        })?;
        let matrices = |rows: usize, columns: usize| -> Result<Vec<usize>> {
            let shape = [&batch[..], &[rows, columns]].concat();
            Ok(checked(Self::NAME, shape.into(), size_of::<f64>())?.into_dims())
        };
        let (dims, left) = (matrices(n, k)?, matrices(n, n)?);
        in_f64(Self::NAME, [(a, &left), (b, &dims)], &dims, move |[a, b]| {
            linalg::solve(a, b, n, k).map_err(|at| singular(Self::NAME, &batch, at))
        })
    }

    /// `self`⁻¹·(b′ − a′·y)
    fn jvp(&self, saved: &Saved, [a, b]: [Option<&Tensor>; 2]) -> Result<Option<Tensor>> {
        let turned = a.map(|a| a.matmul(&saved.output()?)).transpose()?;
        let right = match (turned, b) {
            (Some(turned), Some(b)) => (b - turned)?,
            (Some(turned), None) => turned.neg()?,
            (None, Some(b)) => b.clone(),
            (None, None) => return Ok(None),
        };
        Solve.apply([&saved.input(0)?, &right]).map(Some)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let b = Solve.apply([&saved.input(0)?.t()?, grad])?;
        let a = saved.needs_input_grad(0).then(|| b.matmul(&saved.output()?.t()?)?.neg()).transpose()?;
        Ok([a, saved.needs_input_grad(1).then_some(b)])
    }
}

#[derive(Debug)]
struct Inv;

impl Op<1> for Inv {
    const NAME: &'static str = "inv";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_output();
        let (batch, n) = batch_and_size(x.dims());
        let batch = Dims::from_slice(batch);
        in_f64(Self::NAME, [(x, x.dims())], x.dims(), move |[x]| {
            linalg::inv(x, n).map_err(|at| singular(Self::NAME, &batch, at))
        })
    }

    fn jvp(&self, saved: &Saved, [x]: [Option<&Tensor>; 1]) -> Result<Option<Tensor>> {
        let y = saved.output()?;
        x.map(|x| y.matmul(x)?.matmul(&y)?.neg()).transpose()
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let y = saved.output()?.t()?;
        Ok([Some(y.matmul(grad)?.matmul(&y)?.neg()?)])
    }
}

impl Tensor {
    /// Solves the linear system `self`·y = `b` for y, as `torch.linalg.solve`. Needs the feature `linalg`.
    ///
    /// This is more accurate than multiplying with the inverse. Computed in f64 and rounded once. NaN elements are no error:
    /// they give a NaN result.
    ///
    /// Shapes: (.., n, n) and (.., n, k) give (.., n, k), with batches that broadcast. A `b` of shape (n), or (.., n) with the batch of `self`,
    /// is vectors and gives (.., n); `numpy.linalg.solve` takes only the former for one. Gradient: `self`⁻ᵀ·g for `b`, and −(`self`⁻ᵀ·g)·yᵀ for `self`.
    ///
    /// # Errors
    /// Errors if a matrix is not square or is singular (the message says which of the batch), or the dtype is not f32 or f64.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let a = Tensor::new(&[[2.0, 1.0], [0.0, 4.0]], &Device::Cpu)?;
    /// let b = Tensor::new(&[5.0, 8.0], &Device::Cpu)?;
    /// assert_eq!(a.solve(&b)?.to_vec1::<f64>()?, [1.5, 2.0]);
    /// let error = (a * 0.0)?.solve(&b).unwrap_err();
    /// assert_eq!(error.to_string(), "solve: expected an invertible matrix, got a singular one");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn solve(&self, b: &Tensor) -> Result<Tensor> {
        let n = check_square("solve", self)?;
        floats("solve", self, b)?;
        let vectors = *b.dims() == [n] || b.dims() == &self.dims()[..self.rank() - 1];
        match *b.dims() {
            _ if vectors => Solve.apply([self, &b.unsqueeze(-1)?])?.squeeze(-1),
            [.., rows, _] if rows == n => Solve.apply([self, b]),
            _ => {
                let expected = format!("a right side of {n} rows");
                Err(Error::shape("solve", expected, &[self.dims(), b.dims()]))
            }
        }
    }

    /// Computes the inverse of a matrix. Needs the feature `linalg`.
    ///
    /// To multiply with the inverse, [`solve`](Tensor::solve) is faster and more accurate; errors and NaN are as there.
    ///
    /// Shapes: (.., n, n), each matrix by itself. Gradient: −yᵀ·g·yᵀ.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[0.0, 2.0], [-4.0, 0.0]], &Device::Cpu)?;
    /// assert_eq!(x.inv()?.to_vec2::<f64>()?, [[0.0, -0.25], [0.5, 0.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "inverse")]
    pub fn inv(&self) -> Result<Tensor> {
        check_square("inv", self)?;
        Inv.apply([self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::tensor;
    use crate::prelude::*;

    /// Random matrices far from singular ones.
    pub(in crate::ops) fn matrices(dims: &[usize], seed: u64) -> Result<Tensor> {
        let n = dims[dims.len() - 1];
        Tensor::randn_dtype(0.0, 1.0, dims, DType::F64, &mut Rng::seed(seed))?
            + (Tensor::eye(n, DType::F64, &Device::Cpu)? * 3.0)?
    }

    pub(in crate::ops) fn assert_near(x: &Tensor, y: &Tensor, bound: f64) -> Result<()> {
        assert_eq!((x.dims(), x.dtype()), (y.dims(), y.dtype()));
        let most = (x - y)?.abs()?.to_dtype(DType::F64)?.reshape(x.elem_count())?.to_vec1::<f64>()?;
        assert!(most.iter().all(|&off| off <= bound), "{x}\n{y}");
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        for (a, b) in [
            (&[3, 3][..], &[3][..]),
            (&[3, 3], &[3, 2]),
            (&[2, 2, 2], &[2]),
            (&[2, 2, 2], &[2, 2]),
            (&[2, 3, 2, 2], &[2, 3, 2]),
            (&[2, 2, 2], &[2, 1]),
            (&[2, 2], &[3, 2, 1]),
            (&[2, 1, 2, 2], &[2, 2, 1]),
            (&[1, 1], &[1, 1]),
        ] {
            let inputs = [matrices(a, 1)?, Tensor::randn_dtype(0.0, 1.0, b, DType::F64, &mut Rng::seed(2))?];
            autograd::gradcheck(|x| x[0].solve(&x[1]), &inputs)?;
            autograd::gradcheck(|x| x[0].solve(&x[1])?.powf(3.0), &inputs)?;
            autograd::gradcheck(|x| x[0].t()?.solve(&x[1])?.sqr(), &inputs)?;
        }
        for dims in [&[1, 1][..], &[3, 3], &[2, 2, 2]] {
            let x = [matrices(dims, 3)?];
            autograd::gradcheck(|x| x[0].inv(), &x)?;
            autograd::gradcheck(|x| x[0].inv()?.powf(3.0), &x)?;
            autograd::gradcheck(|x| x[0].t()?.inv()?.sqr(), &x)?;
            // One tensor on both sides.
            autograd::gradcheck(|x| x[0].solve(&x[0].sqr()?)?.sqr(), &x)?;
        }
        Ok(())
    }

    /// a·y by loops.
    fn product(a: &[Vec<f64>], y: &[Vec<f64>]) -> Vec<f64> {
        let dot = |row: &Vec<f64>, j: usize| row.iter().zip(y).map(|(a, y)| a * y[j]).sum::<f64>();
        a.iter().flat_map(|row| (0..y[0].len()).map(move |j| dot(row, j))).collect()
    }

    #[test]
    fn residuals() -> Result<()> {
        for n in [1, 2, 3, 5, 8, 20, 50] {
            for seed in 0..3 {
                // Nothing but random, so that rows must change places.
                let a = Tensor::randn_dtype(0.0, 1.0, (n, n), DType::F64, &mut Rng::seed(seed))?;
                let b = Tensor::randn_dtype(0.0, 1.0, (3, n), DType::F64, &mut Rng::seed(seed + 10))?.t()?;
                for a in [a.clone(), a.t()?] {
                    let y = a.solve(&b)?;
                    let got = product(&a.to_vec2()?, &y.to_vec2()?);
                    let size: f64 = y.abs()?.max_all()?.to_scalar()?;
                    for (got, b) in got.into_iter().zip(b.to_vec2::<f64>()?.concat()) {
                        assert!((got - b).abs() <= 1e-14 * n as f64 * (1.0 + size), "{n}: {got} {b}");
                    }
                    let ones = product(&a.to_vec2()?, &a.inv()?.to_vec2()?);
                    let size: f64 = a.inv()?.abs()?.max_all()?.to_scalar()?;
                    for (i, one) in ones.into_iter().enumerate() {
                        let exact = if i % (n + 1) == 0 { 1.0 } else { 0.0 };
                        assert!((one - exact).abs() <= 1e-14 * n as f64 * (1.0 + size), "{n}: {one}");
                    }
                }
                // f32 is rounded once.
                let (a, b) = (a.to_dtype(DType::F32)?, b.to_dtype(DType::F32)?);
                let wide = a.to_dtype(DType::F64)?.solve(&b.to_dtype(DType::F64)?)?.to_dtype(DType::F32)?;
                assert_eq!(a.solve(&b)?.to_vec2::<f32>()?, wide.to_vec2::<f32>()?);
            }
        }
        Ok(())
    }

    #[test]
    fn batches() -> Result<()> {
        let a = matrices(&[2, 3, 4, 4], 5)?;
        let b = Tensor::randn_dtype(0.0, 1.0, (3, 4, 2), DType::F64, &mut Rng::seed(6))?;
        let (y, inverse) = (a.solve(&b)?, a.inv()?);
        assert_eq!(y.dims(), [2, 3, 4, 2]);
        // Matrices that share their memory, and a batch with the axes in another order.
        let turned = a.transpose(0, 1)?.solve(&b.unsqueeze(1)?)?;
        for i in 0..2 {
            for j in 0..3 {
                let (one, right) = (a.i((i, j))?, b.i(j)?);
                assert_near(&y.i((i, j))?, &one.solve(&right)?, 0.0)?;
                assert_near(&turned.i((j, i))?, &one.solve(&right)?, 0.0)?;
                assert_near(&inverse.i((i, j))?, &one.inv()?, 0.0)?;
                let vector = right.i((.., 0))?;
                assert_near(&one.solve(&vector)?, &y.i((i, j, .., 0))?, 0.0)?;
            }
        }
        // A vector for each matrix, also where it could be a matrix for all.
        let right = b.i((0..2, .., 0))?;
        for a in [a.i((.., 0))?, a.i((.., 0, 0..2, 0..2))?] {
            let right = right.narrow(1, 0, a.dims()[2])?;
            for i in 0..2 {
                assert_near(&a.solve(&right)?.i(i)?, &a.i(i)?.solve(&right.i(i)?)?, 0.0)?;
            }
        }
        let same = a.i((0, 0))?.broadcast_to((5, 4, 4))?;
        assert_near(&same.inv()?.i(4)?, &inverse.i((0, 0))?, 0.0)
    }

    #[test]
    fn extremes() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::from(Array::zeros(dims, DType::F64, &Device::Cpu).unwrap());
        assert_eq!(zeros(&[0, 0]).inv()?.dims(), [0, 0]);
        assert_eq!(zeros(&[2, 0, 0]).solve(&zeros(&[0]))?.dims(), [2, 0]);
        assert_eq!(zeros(&[0, 0]).solve(&zeros(&[3, 0, 2]))?.dims(), [3, 0, 2]);
        assert_eq!(zeros(&[0, 2, 2]).solve(&zeros(&[2, 3]))?.dims(), [0, 2, 3]);
        assert_eq!(zeros(&[2, 2]).solve(&zeros(&[2, 0]))?.dims(), [2, 0]);
        assert_eq!(zeros(&[0, 1 << 30, 1 << 30]).inv()?.dims(), [0, 1 << 30, 1 << 30]);
        let x = Tensor::parameter(zeros(&[2, 0, 0]));
        let y = (x.inv()?.sum_all()? + x.solve(&zeros(&[0, 2]))?.sum_all()?)?;
        assert_eq!(y.backward()?.get(&x).unwrap().dims(), [2, 0, 0]);
        let absurd = zeros(&[1 << 40, 0, 0]).solve(&zeros(&[1 << 40, 1, 0, 1 << 40]));
        assert!(matches!(absurd, Err(Error::Shape { .. })));

        // NaN wherever it stands makes NaN, of its own matrix alone; infinities may make zeros.
        for place in 0..4 {
            let x = Tensor::new(&[[2.0, 1.0], [1.0, 3.0]], &Device::Cpu)?.reshape(4)?;
            let mut numbers = x.to_vec1::<f64>()?;
            numbers[place] = f64::NAN;
            let both = Tensor::stack(&[&x, &tensor(&numbers)], 0)?.reshape((2, 2, 2))?;
            let inverse = both.inv()?.to_vec3::<f64>()?;
            assert!(inverse[1].concat().iter().all(|x| x.is_nan()));
            assert!(inverse[0].concat().iter().all(|x| x.is_finite()));
            assert!(both.solve(&tensor(&[1.0, 2.0]))?.to_vec2::<f64>()?[1].iter().all(|x| x.is_nan()));
            for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
                numbers[place] = infinite;
                let _ = tensor(&numbers).reshape((2, 2))?.inv();
            }
        }
        assert!(
            tensor(&[0.0, f64::NAN, 1.0, 0.0])
                .reshape((2, 2))?
                .inv()?
                .i((0, 0))?
                .to_scalar::<f64>()?
                .is_nan()
        );
        assert_eq!(tensor(&[f64::INFINITY]).unsqueeze(0)?.inv()?.to_vec2::<f64>()?, [[0.0]]);
        let x = matrices(&[2, 2], 7)?;
        let y = x.solve(&Tensor::new(&[[f64::NAN, 1.0], [0.0, 1.0]], &Device::Cpu)?)?.to_vec2::<f64>()?;
        assert!(y[0][0].is_nan() && y[0][1].is_finite() && y[1][1].is_finite());
        for size in [1e-300, 1e300] {
            assert_near(&((&x * size)?.inv()? * size)?, &x.inv()?, 1e-15)?;
        }
        Ok(())
    }

    #[test]
    fn errors() -> Result<()> {
        let message = |y: Result<Tensor>| y.unwrap_err().to_string();
        let x = matrices(&[2, 3, 2, 2], 8)?;
        let flags = tensor(&[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]).reshape((2, 3, 1, 1))?;
        let some = (&x * flags)?;
        let text = "expected an invertible matrix, got a singular one at [1, 1] of the batch";
        assert_eq!(message(some.inv()), format!("inv: {text}"));
        assert_eq!(message(some.solve(&tensor(&[1.0, 2.0]))), format!("solve: {text}"));
        assert_eq!(message(some.solve(&x.i((.., .., 0))?)), format!("solve: {text}"));
        let shape = "expected a square matrix or a batch of them, got [2, 3]";
        assert_eq!(message(Tensor::ones((2, 3), DType::F64, &Device::Cpu)?.inv()), format!("inv: {shape}"));
        let text = "solve: expected a right side of 2 rows, got [2, 3, 2, 2] and [3, 2]";
        assert_eq!(message(x.solve(&x.i((0, .., .., 0))?)), text);
        assert!(matches!(x.solve(&tensor(&[1.0]).sum_all()?), Err(Error::Shape { .. })));
        let text = "solve: expected batch sizes that broadcast together, got [2, 3, 2, 2] and [2, 2, 2]";
        assert_eq!(message(x.solve(&x.i((.., 0))?)), text);
        assert!(matches!(tensor(&[1.0]).inv(), Err(Error::Shape { .. })));
        let text = "inv: expected a tensor of f32 or f64 (see to_dtype), got f16";
        assert_eq!(message(x.to_dtype(DType::F16)?.inv()), text);
        assert!(matches!(x.solve(&x.to_dtype(DType::F32)?), Err(Error::Dtype { .. })));
        Ok(())
    }
}
