//! [`Tensor::where_cond`].

use candle_core::DType;
use candle_core::backend::BackendStorage;
use candle_core::op::CmpOp;

use super::compare::compared;
use crate::autograd::array::{fits, in_main_memory};
use crate::autograd::launch::{Primitive, launch_many};
use crate::autograd::{Array, Jacobian, Op, SaveContext, Saved, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::broadcast_dims;

#[derive(Debug)]
struct WhereCond {
    mask: Array,
}

impl Op<2> for WhereCond {
    const NAME: &'static str = "where_cond";

    fn forward(&self, [yes, no]: [&Array; 2], _: &mut SaveContext) -> Result<Array> {
        let all = [self.mask.dims(), yes.dims(), no.dims()];
        if self.mask.dtype() != DType::U8 {
            return Err(Error::dtype(Self::NAME, "a u8 mask (as comparisons give)", &[self.mask.dtype()]));
        }
        if yes.dtype() != no.dtype() {
            return Err(Error::dtype(Self::NAME, "two tensors of one dtype", &[yes.dtype(), no.dtype()]));
        }
        let dims = broadcast_dims(all[1], all[2]).and_then(|dims| broadcast_dims(&dims, all[0]));
        let dims = dims.ok_or_else(|| Error::shape(Self::NAME, "shapes that broadcast together", &all))?;
        fits(Self::NAME, &dims, yes.dtype().size_in_bytes())?;
        let spread = |x: &Array| x.broadcast_as(&dims[..]);
        chosen(&spread(&self.mask)?, &spread(yes)?, &spread(no)?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let zero = Tensor::constant(Array::zeros((), grad.dtype(), grad.device())?);
        let yes = saved.needs_input_grad(0).then(|| self.mask_of(grad, &zero)).transpose()?;
        let no = saved.needs_input_grad(1).then(|| self.mask_of(&zero, grad)).transpose()?;
        Ok([yes, no])
    }
}

/// [`Tensor::where_cond`] for arrays of one shape.
pub(super) fn chosen(mask: &Array, yes: &Array, no: &Array) -> Result<Array> {
    if !in_main_memory(mask) {
        return Ok(mask.where_cond(yes, no)?);
    }
    let what = ("where_cond", || Primitive::WhereCond);
    let [y] = launch_many(what, [mask, yes, no], [mask.dims()], |[mask, yes, no]| {
        let storage = mask.storage();
        Ok([storage.where_cond(mask.layout(), yes.storage(), yes.layout(), no.storage(), no.layout())?])
    })?;
    Ok(y)
}

impl WhereCond {
    fn mask_of(&self, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
        WhereCond { mask: self.mask.clone() }.apply([yes, no])
    }
}

/// a > b ? yes : no
pub(super) fn where_greater(a: &Tensor, b: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    let dims = broadcast_dims(a.dims(), b.dims())
        .ok_or_else(|| Error::shape("where_cond", "shapes that broadcast together", &[a.dims(), b.dims()]))?;
    let spread = |x: &Tensor| x.array().broadcast_as(&dims[..]);
    let compute = || {
        let mask = compared("gt", CmpOp::Gt, &spread(a)?, &spread(b)?)?;
        WhereCond { mask }.apply([yes, no])
    };
    traced(&[a, b, yes, no], compute, |onnx| {
        let [a, b, yes, no] = [0, 1, 2, 3].map(|i| onnx.input(i));
        let greater = onnx.node("Greater", &[a, b], &[]);
        Ok(onnx.node("Where", &[greater, yes, no], &[]))
    })
}

impl Tensor {
    /// `yes` where this mask is not 0, else `no`; the three shapes broadcast. The gradient goes to the selected element. Errors
    /// unless the mask is u8.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[-1.0, 2.0], &Device::Cpu)?;
    /// let zero = Tensor::zeros((), DType::F64, &Device::Cpu)?;
    /// let y = x.gt(&zero)?.where_cond(&x, &zero)?;
    /// assert_eq!(y.to_vec1::<f64>()?, [0.0, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "where")]
    pub fn where_cond(&self, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
        let compute = || WhereCond { mask: self.array().clone() }.apply([yes, no]);
        traced(&[self, yes, no], compute, |onnx| {
            let [mask, yes, no] = [0, 1, 2].map(|i| onnx.input(i));
            let condition = onnx.condition(mask);
            Ok(onnx.node("Where", &[condition, yes, no], &[]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check2, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let mask = Tensor::new(&[[1u8, 0, 1], [0, 0, 1]], &Device::Cpu)?;
        check2(|a, b| mask.where_cond(&a.sqr()?, b));
        // What is not taken may be NaN or infinite: nothing of it comes through.
        let x = Tensor::parameter(tensor(&[0.0, 4.0]));
        let one = tensor(&[1.0, 1.0]);
        let y = x.gt(0.0)?.where_cond(&x.ln()?, &one)?;
        assert_eq!(y.to_vec1::<f64>()?[0], 1.0);
        let error = one.where_cond(&one, &one).unwrap_err();
        assert!(matches!(error, Error::Dtype { .. }), "{error}");
        Ok(())
    }
}
