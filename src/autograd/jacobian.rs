//! Jacobians, Hessians, and their products with vectors. All results can be differentiated again.

use super::array::sum_axes;
use super::broadcast::Accumulate;
use super::grad::{grad, try_from_fn, vjp};
use super::op::{Jacobian, Op, VariadicOp};
use super::saved::{SaveContext, Saved};
use super::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// The Jacobian of `y` with respect to each of `xs`: element (i…, j…) is ∂yᵢ / ∂xⱼ, so its shape is y's followed by x's.
///
/// It takes one backward pass for each element of y.
///
/// # Errors
/// Errors if an x does not require a gradient.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let [j] = autograd::jacobian(&x.sqr()?, [&x])?;
/// assert_eq!(j.to_vec2::<f64>()?, [[2.0, 0.0], [0.0, 4.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn jacobian<const N: usize>(y: &Tensor, xs: [&Tensor; N]) -> Result<[Tensor; N]> {
    let n = y.elem_count();
    let mut rows: [Vec<Tensor>; N] = std::array::from_fn(|_| Vec::with_capacity(n));
    for i in 0..n {
        let seed = at_row(&Array::ones(1, y.dtype(), y.device())?, i, n)?.reshape(y.dims())?;
        for (rows, row) in rows.iter_mut().zip(vjp(y, xs, &Tensor::constant(seed))?) {
            rows.push(row);
        }
    }
    try_from_fn(|k| stacked(&rows[k], y.dims(), xs[k]))
}

/// The Hessian of the scalar `y`: block \[k\]\[l\] holds ∂²y / ∂xₖ∂xₗ, in the shape of xₖ followed by that of xₗ.
///
/// It takes one backward pass for each element of the xs; [`hvp`], its product with a vector, takes two in all.
///
/// # Errors
/// Errors if y is not a scalar, an x does not require a gradient, or an operation has no second derivative.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let [[h]] = autograd::hessian(&x.powf(3.0)?.sum_all()?, [&x])?;
/// assert_eq!(h.to_vec2::<f64>()?, [[6.0, 0.0], [0.0, 12.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn hessian<const N: usize>(y: &Tensor, xs: [&Tensor; N]) -> Result<[[Tensor; N]; N]> {
    let slopes = grad(y, xs)?;
    try_from_fn(|k| jacobian(&slopes[k], xs))
}

/// The Hessian-vector product of the scalar `y` with `vs`, which have the shapes of `xs`: the directional derivative of
/// the gradient. It takes two backward passes.
///
/// # Errors
/// As [`hessian`], and if a v has another shape than its x.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let v = Tensor::new(&[1.0, 10.0], &Device::Cpu)?;
/// let [product] = autograd::hvp(&x.powf(3.0)?.sum_all()?, [&x], [&v])?;
/// assert_eq!(product.to_vec1::<f64>()?, [6.0, 120.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "vhp")]
pub fn hvp<const N: usize>(y: &Tensor, xs: [&Tensor; N], vs: [&Tensor; N]) -> Result<[Tensor; N]> {
    let slopes = grad(y, xs)?;
    match inner_products("hvp", &slopes.each_ref(), &vs)? {
        Some(slope) => grad(&slope, xs),
        None => try_from_fn(|k| Ok(Tensor::constant(xs[k].array.zeros_like()?))),
    }
}

/// Σ ⟨slope, v⟩; `None` if there are no slopes.
pub(super) fn inner_products(op: &'static str, slopes: &[&Tensor], vs: &[&Tensor]) -> Result<Option<Tensor>> {
    let mut sum: Option<Tensor> = None;
    for (slope, v) in slopes.iter().zip(vs) {
        same_kind(op, slope, v)?;
        let term = Inner.apply([slope, v])?;
        sum = Some(match sum {
            Some(sum) => Accumulate.apply([&sum, &term])?,
            None => term,
        });
    }
    Ok(sum)
}

/// Errors unless the vector `v` has the shape and the dtype of `x`.
pub(super) fn same_kind(op: &'static str, x: &Tensor, v: &Tensor) -> Result<()> {
    if x.dims() != v.dims() {
        return Err(Error::shape(op, "a vector of the shape of its x", &[x.dims(), v.dims()]));
    }
    if x.dtype() != v.dtype() {
        return Err(Error::dtype(op, "a vector of the dtype of its x", &[x.dtype(), v.dtype()]));
    }
    Ok(())
}

/// Σ a·b over all elements, a scalar.
#[derive(Debug)]
struct Inner;

impl Op<2> for Inner {
    const NAME: &'static str = "inner";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_input(1);
        let product = (a * b)?;
        Ok(sum_axes(&product, &(0..product.rank()).collect::<Dims>())?.reshape(())?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Bilinear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let other = |i: usize| Scale.apply([grad, &saved.input(1 - i)?]);
        let [a, b] = [0, 1].map(|i| saved.needs_input_grad(i).then(|| other(i)).transpose());
        Ok([a?, b?])
    }
}

/// The scalar s times the tensor x.
#[derive(Debug)]
struct Scale;

impl Op<2> for Scale {
    const NAME: &'static str = "scale";

    fn forward(&self, [s, x]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_input(1);
        Ok(x.broadcast_mul(s)?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Bilinear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let s = saved.needs_input_grad(0).then(|| Inner.apply([grad, &saved.input(1)?])).transpose()?;
        let x = saved.needs_input_grad(1).then(|| Scale.apply([&saved.input(0)?, grad])).transpose()?;
        Ok([s, x])
    }
}

/// The gradients of the elements of y as one tensor, in the shape of y followed by that of x.
fn stacked(rows: &[Tensor], y: &[usize], x: &Tensor) -> Result<Tensor> {
    let dims: Dims = y.iter().chain(x.dims()).copied().collect();
    if rows.is_empty() {
        return Ok(Tensor::constant(Array::zeros(&dims[..], x.dtype(), x.device())?));
    }
    StackRows { dims, row: Dims::from_slice(x.dims()) }.apply(&rows.iter().collect::<Vec<_>>())
}

/// Tensors of the shape `row`, stacked along the first axes of the shape `dims`.
#[derive(Debug)]
struct StackRows {
    dims: Dims,
    row: Dims,
}

impl VariadicOp for StackRows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn forward(&self, rows: &[&Array], _: &mut SaveContext) -> Result<Array> {
        let rows = rows.iter().map(|row| row.contiguous()).collect::<Result<Vec<_>, _>>()?;
        Ok(Array::stack(&rows, 0)?.reshape(&self.dims[..])?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let n = saved.input_count();
        let row = |i| Row { i, n, dims: self.row.clone() }.apply([grad]);
        (0..n).map(|i| saved.needs_input_grad(i).then(|| row(i)).transpose()).collect()
    }
}

/// Row i of a tensor of n rows, in the shape `dims`. The first axes of the tensor together are the rows.
#[derive(Debug)]
struct Row {
    i: usize,
    n: usize,
    dims: Dims,
}

impl Op<1> for Row {
    const NAME: &'static str = "row";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let length = self.dims.iter().product::<usize>();
        Ok(x.reshape((self.n, length))?.narrow(0, self.i, 1)?.reshape(&self.dims[..])?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &Row { i, n, .. } = self;
        Ok([Some(AtRow { i, n, dims: Dims::from_slice(saved.input_dims(0)?) }.apply([grad])?)])
    }
}

/// The transpose of [`Row`]: the input as row i of n, zeros elsewhere, in the shape `dims`.
#[derive(Debug)]
struct AtRow {
    i: usize,
    n: usize,
    dims: Dims,
}

impl Op<1> for AtRow {
    const NAME: &'static str = "at_row";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        Ok(at_row(x, self.i, self.n)?.reshape(&self.dims[..])?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &AtRow { i, n, .. } = self;
        Ok([Some(Row { i, n, dims: Dims::from_slice(saved.input_dims(0)?) }.apply([grad])?)])
    }
}

pub(super) fn at_row(x: &Array, i: usize, n: usize) -> Result<Array> {
    Ok(x.reshape((1, x.elem_count()))?.pad_with_zeros(0, i, n - i - 1)?)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn parameter(numbers: &[f64]) -> Tensor {
        Tensor::parameter(Array::new(numbers, &Device::Cpu).unwrap())
    }

    #[test]
    fn a_matrix_times_a_vector() -> Result<()> {
        let a = Tensor::parameter(Array::new(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu)?);
        let x = parameter(&[0.5, -1.0]);
        let y = a.matvec(&x)?;
        let [by_a, by_x] = autograd::jacobian(&y, [&a, &x])?;
        assert_eq!((by_a.dims(), by_x.dims()), (&[3, 3, 2][..], &[3, 2][..]));
        assert_eq!(by_x.to_vec2::<f64>()?, a.to_vec2::<f64>()?);
        assert_eq!(by_a.to_vec3::<f64>()?[1], [[0.0, 0.0], [0.5, -1.0], [0.0, 0.0]]);
        let [va, vx] = [a.detach(), parameter(&[1.0, 1.0])];
        let forward = autograd::jvp(&y, [&a, &x], [&va, &vx])?;
        assert_eq!(forward.to_vec1::<f64>()?, [1.5, 4.5, 7.5]);
        // d/da of the Jacobian by x, which is a: differentiated through the rows.
        let [again] = autograd::grad(&by_x.powf(3.0)?.sum_all()?, [&a])?;
        assert_eq!(
            again.to_vec2::<f64>()?,
            a.sqr()?.mul(&Tensor::full(3.0, (3, 2), &Device::Cpu)?)?.to_vec2::<f64>()?
        );
        Ok(())
    }

    #[test]
    fn hessians_agree_with_each_other() -> Result<()> {
        let (x, w) = (parameter(&[0.3, -1.2]), parameter(&[0.7, 0.1]));
        let y = (x.sin()? * w.exp()?)?.sum_all()?.powf(3.0)?;
        let [[xx, xw], [wx, ww]] = autograd::hessian(&y, [&x, &w])?;
        assert!(xw.t()?.sub(&wx)?.abs()?.max_all()?.to_scalar::<f64>()? < 1e-14);
        let [vx, vw] = [Tensor::new(&[1.0, -2.0], &Device::Cpu)?, Tensor::new(&[0.5, 3.0], &Device::Cpu)?];
        let [px, pw] = autograd::hvp(&y, [&x, &w], [&vx, &vw])?;
        let expected = [(xx.matvec(&vx)? + xw.matvec(&vw)?)?, (wx.matvec(&vx)? + ww.matvec(&vw)?)?];
        for (got, expected) in [px, pw].iter().zip(&expected) {
            assert!(got.sub(expected)?.abs()?.max_all()?.to_scalar::<f64>()? < 1e-13);
        }
        // Third order: the Hessian is differentiated through its rows, to both sides.
        let third = |x: &[Tensor]| {
            let [[h]] = autograd::hessian(&x[0].powf(4.0)?.sum_all()?, [&x[0]])?;
            h.sqr()
        };
        let at = Tensor::parameter(Array::new(&[0.5, 2.0], &Device::Cpu)?);
        let [slope] = autograd::grad(&third(std::slice::from_ref(&at))?.sum_all()?, [&at])?;
        // d/dx (12x²)² = 576x³
        assert_eq!(slope.to_vec1::<f64>()?, [72.0, 4608.0]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let (x, other) = (parameter(&[1.0, 2.0]), parameter(&[3.0]));
        let v = Tensor::new(&[1.0, 1.0], &Device::Cpu)?;
        // A linear function has no curvature, and one of other inputs no slope.
        let [[h]] = autograd::hessian(&x.sum_all()?, [&x])?;
        assert_eq!(h.to_vec2::<f64>()?, [[0.0; 2]; 2]);
        let [p] = autograd::hvp(&x.sum_all()?, [&x], [&v])?;
        assert_eq!(p.to_vec1::<f64>()?, [0.0; 2]);
        let [j] = autograd::jacobian(&other, [&x])?;
        assert_eq!(j.to_vec2::<f64>()?, [[0.0; 2]]);
        assert_eq!(autograd::jvp(&other.detach(), [&x], [&v])?.to_vec1::<f64>()?, [0.0]);
        let [none] = autograd::jacobian(&x.narrow(0, 0, 0)?, [&x])?;
        assert_eq!(none.dims(), [0, 2]);
        let []: [Tensor; 0] = autograd::hvp(&x.sum_all()?, [], [])?;
        let error = autograd::jvp(&x.sqr()?, [&x], [&other]).unwrap_err();
        assert_eq!(error.to_string(), "jvp: expected a vector of the shape of its x, got [2] and [1]");
        assert!(matches!(autograd::hessian(&x, [&x]), Err(Error::Shape { op: "grad", .. })));
        assert!(matches!(autograd::jacobian(&x, [&v]), Err(Error::NoGradient { .. })));
        assert!(matches!(
            autograd::hvp(&x.sum_all()?, [&x], [&v.to_dtype(DType::F32)?]),
            Err(Error::Dtype { .. })
        ));
        Ok(())
    }
}
