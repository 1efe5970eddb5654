//! Elementwise comparisons. The result is a u8 tensor of 0 and 1 without a gradient; a comparison with NaN is 0, except `ne`.

use candle_core::backend::BackendStorage;
use candle_core::op::CmpOp;
use candle_core::{DType, Device};

use super::onnx::counted;
use super::operand::{Operand, TensorOrScalar};
use crate::autograd::array::{fits, in_main_memory};
use crate::autograd::launch::{Primitive, launch_many};
use crate::autograd::{Array, Onnx, OnnxValue, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::broadcast_dims;

macro_rules! comparisons {
    ($($method:ident $variant:ident $alias:literal $sign:literal $operator:literal),*) => {
        impl Tensor {$(
            #[doc = concat!("Whether self ", $sign, " other, a tensor or a scalar, element by element: a u8 tensor of 0 and 1.")]
            ///
            /// # Errors
            /// Errors if `other` is a scalar that the dtype of an integer tensor cannot hold, such as 0.5.
            ///
            /// ```
            /// # use tealight::prelude::*;
            /// let x = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?;
            #[doc = concat!("let mask = x.", stringify!($method), "(2.0)?;")]
            #[doc = concat!("assert_eq!(mask.to_vec1::<u8>()?, [1.0, 2.0, 3.0].map(|x| (x ", $sign, " 2.0) as u8));")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            #[doc(alias = $alias)]
            pub fn $method(&self, other: impl Operand) -> Result<Tensor> {
                let (b, [x, y]) = operands(stringify!($method), self, other.get())?;
                let compute = || Ok(Tensor::constant(compared(stringify!($method), CmpOp::$variant, &x, &y)?));
                traced(&[self, &b], compute, |onnx| node($operator, onnx))
            }
        )*}
    };
}
comparisons!(
    eq Eq "equal" "==" "Equal",
    ne Ne "not_equal" "!=" "",
    lt Lt "less" "<" "Less",
    le Le "less_equal" "<=" "LessOrEqual",
    gt Gt "greater" ">" "Greater",
    ge Ge "greater_equal" ">=" "GreaterOrEqual"
);

/// The other operand as a tensor, and both broadcast to one shape.
fn operands(op: &'static str, a: &Tensor, other: TensorOrScalar) -> Result<(Tensor, [Array; 2])> {
    let b = match other {
        TensorOrScalar::Tensor(other) => other.detach(),
        TensorOrScalar::Scalar(c) => Tensor::constant(scalar_like(op, c, a.array())?),
    };
    if a.dtype() != b.dtype() {
        return Err(Error::dtype(op, "two tensors of one dtype", &[a.dtype(), b.dtype()]));
    }
    if !a.device().same_device(b.device()) {
        let got = format!("{:?} and {:?}", a.device().location(), b.device().location());
        return Err(Error::Device { op, got });
    }
    let dims = broadcast_dims(a.dims(), b.dims())
        .ok_or_else(|| Error::shape(op, "shapes that broadcast together", &[a.dims(), b.dims()]))?;
    fits(op, &dims, a.dtype().size_in_bytes())?;
    let arrays = [a.array().broadcast_as(&dims[..])?, b.array().broadcast_as(&dims[..])?];
    Ok((b, arrays))
}

/// A comparison as an ONNX node; "" is the negation of `Equal`.
/// The comparison of arrays of one shape.
pub(super) fn compared(op: &'static str, by: CmpOp, x: &Array, y: &Array) -> Result<Array> {
    if !in_main_memory(x) {
        return Ok(x.cmp(y, by)?);
    }
    let sign = match by {
        CmpOp::Eq => "==",
        CmpOp::Ne => "!=",
        CmpOp::Lt => "<",
        CmpOp::Le => "<=",
        CmpOp::Gt => ">",
        CmpOp::Ge => ">=",
    };
    let [mask] = launch_many((op, || Primitive::Compare(sign)), [x, y], [x.dims()], move |[x, y]| {
        Ok([x.storage().cmp(by, y.storage(), x.layout(), y.layout())?])
    })?;
    Ok(mask)
}

fn node(operator: &'static str, onnx: &mut Onnx) -> Result<OnnxValue> {
    let dtype = onnx.dtype(0)?;
    let [a, b] = [0, 1].map(|i| onnx.input(i));
    let inputs = [counted(a, dtype, onnx)?, counted(b, dtype, onnx)?];
    let condition = match operator {
        "" => {
            let equal = onnx.node("Equal", &inputs, &[]);
            onnx.node("Not", &[equal], &[])
        }
        _ => onnx.node(operator, &inputs, &[]),
    };
    Ok(onnx.mask(condition))
}

/// `c` in the dtype of `like`, where an integer dtype must hold it exactly.
fn scalar_like(op: &'static str, c: f64, like: &Array) -> Result<Array> {
    let converted = Array::full(c, (), &Device::Cpu)?.to_dtype(like.dtype())?;
    // 2⁶³ would become the largest i64, which converts back to 2⁶³.
    let exact = converted.to_dtype(DType::F64)?.to_scalar::<f64>()? == c && c < 2f64.powi(63);
    if !like.dtype().is_float() && !exact {
        let expected = format!("a scalar that dtype {} can represent", like.dtype().as_str());
        return Err(Error::argument(op, expected, c));
    }
    Ok(converted.to_device(like.device())?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn broadcasting_nan_and_no_gradient() -> Result<()> {
        let x = Tensor::parameter(tensor(&[1.0, f64::NAN]));
        let y = Tensor::new(&[[1.0], [0.0]], &Device::Cpu)?;
        assert_eq!(x.eq(&y)?.to_vec2::<u8>()?, [[1, 0], [0, 0]]);
        assert_eq!(x.ne(&y)?.to_vec2::<u8>()?, [[0, 1], [1, 1]]);
        assert!(!x.ge(&y)?.requires_grad());
        assert_eq!(x.ge(1.0)?.to_vec1::<u8>()?, [1, 0]);
        for mask in [x.eq(f64::NAN)?, x.lt(f64::NAN)?, x.ge(f64::NAN)?] {
            assert_eq!(mask.to_vec1::<u8>()?, [0, 0]);
        }
        assert!(matches!(x.eq(tensor(&[1.0, 2.0, 3.0])), Err(Error::Shape { .. })));
        assert!(matches!(x.eq(&Tensor::new(1u8, &Device::Cpu)?), Err(Error::Dtype { .. })));
        Ok(())
    }

    type Tensors = fn(&Tensor, &Tensor) -> Result<Tensor>;
    type Number = fn(&Tensor, f64) -> Result<Tensor>;
    type Plain = fn(&f64, &f64) -> bool;

    #[test]
    fn every_comparison_on_views() -> Result<()> {
        let all: [(Tensors, Number, Plain); 6] = [
            (|a, b| a.eq(b), |a, c| a.eq(c), f64::eq),
            (|a, b| a.ne(b), |a, c| a.ne(c), f64::ne),
            (|a, b| a.lt(b), |a, c| a.lt(c), f64::lt),
            (|a, b| a.le(b), |a, c| a.le(c), f64::le),
            (|a, b| a.gt(b), |a, c| a.gt(c), f64::gt),
            (|a, b| a.ge(b), |a, c| a.ge(c), f64::ge),
        ];
        let numbers = [[0.0, 1.0, f64::NAN], [-0.0, 2.0, f64::INFINITY]];
        let strided = Tensor::new(&numbers, &Device::Cpu)?.t()?;
        let row = tensor(&[1.0, 2.0]).broadcast_to((3, 2))?;
        for (tensors, number, plain) in all {
            let pairs = tensors(&strided, &row)?.to_vec2::<u8>()?;
            let ones = number(&strided, 1.0)?.to_vec2::<u8>()?;
            for (i, j) in (0..3).flat_map(|i| [(i, 0), (i, 1)]) {
                assert_eq!(pairs[i][j], u8::from(plain(&numbers[j][i], &[1.0, 2.0][j])));
                assert_eq!(ones[i][j], u8::from(plain(&numbers[j][i], &1.0)));
            }
            let empty = Tensor::zeros((0, 2), DType::F32, &Device::Cpu)?;
            assert_eq!(number(&empty, 1.0)?.dims(), [0, 2]);
        }
        Ok(())
    }

    #[test]
    fn numbers_beside_integers() -> Result<()> {
        let x = Tensor::new(&[1_u8, 2, 255], &Device::Cpu)?;
        assert_eq!(x.ge(2.0)?.to_vec1::<u8>()?, [0, 1, 1]);
        let x = Tensor::new(&[-1_i64, 2, i64::MAX], &Device::Cpu)?;
        assert_eq!(x.lt(-0.0)?.to_vec1::<u8>()?, [1, 0, 0]);
        let error = x.gt(0.5).unwrap_err().to_string();
        assert_eq!(error, "gt: expected a scalar that dtype i64 can represent, got 0.5");
        for c in [2f64.powi(63), f64::NAN, f64::INFINITY] {
            assert!(matches!(x.eq(c), Err(Error::Argument { .. })), "{c}");
        }
        // The scalar is rounded to the dtype of a float tensor.
        assert_eq!(Tensor::new(&[0.1_f32], &Device::Cpu)?.eq(0.1)?.to_vec1::<u8>()?, [1]);
        Ok(())
    }
}
