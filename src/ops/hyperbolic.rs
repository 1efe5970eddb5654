//! The hyperbolic sine and cosine.

use super::pointwise::{Pointwise, formula};
use crate::autograd::{Array, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::formula::Real;

formula!(blocks Sinh = "sinh", [x] => sinh(x), y => [cosh(x)]);
formula!(blocks Cosh = "cosh", [x] => cosh(x), y => [sinh(x)]);

// Both use e^(x/2), which does not overflow where the result is finite.

/// 2 sinh(x/2) · cosh(x/2), accurate near 0.
#[inline(always)]
fn sinh<R: Real>(x: R) -> R {
    let half = R::constant(0.5) * x;
    let (rise, fall) = (half.exp_m1(), (-half).exp_m1());
    (rise - fall) * (R::constant(0.5) * rise + R::constant(0.5) * fall + R::constant(1.0))
}

#[inline(always)]
fn cosh<R: Real>(x: R) -> R {
    let half = R::constant(0.5);
    let (rising, falling) = ((half * x).exp(), (-(half * x)).exp());
    half * rising * rising + half * falling * falling
}

/// A formula whose recorded slope is another operation: the derivative of that product of exponentials would be ∞ · 0 at ±∞.
macro_rules! slope {
    ($name:ident: $method:ident) => {
        impl Op<1> for $name {
            const NAME: &'static str = <Pointwise<$name, 1> as Op<1>>::NAME;

            fn forward(&self, inputs: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
                Pointwise(*self).forward(inputs, ctx)
            }

            fn derivative(&self) -> Option<String> {
                Pointwise(*self).derivative()
            }

            fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
                Pointwise(*self).onnx(onnx)
            }

            fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
                if !saved.recording() {
                    return Pointwise(*self).backward(saved, grad);
                }
                Ok([Some((grad * saved.input(0)?.$method()?)?)])
            }
        }
    };
}
slope!(Sinh: cosh);
slope!(Cosh: sinh);

impl Tensor {
    /// The hyperbolic sine. Gradient: cosh x.
    pub fn sinh(&self) -> Result<Tensor> {
        Sinh.apply([self])
    }

    /// The hyperbolic cosine. Gradient: sinh x.
    pub fn cosh(&self) -> Result<Tensor> {
        Cosh.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, close, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-3.0, -0.4, 0.0, 1e-3, 2.0], |x| x.sinh());
        check(&[-3.0, -0.4, 0.0, 1e-3, 2.0], |x| x.cosh());
    }

    #[test]
    fn against_std() -> Result<()> {
        let points: Vec<f64> = (-7104..7104).step_by(7).map(|i| f64::from(i) / 10.0).collect();
        close(|x| x.sinh(), f64::sinh, &points, 8.0)?;
        close(|x| x.cosh(), f64::cosh, &points, 8.0)?;
        let tiny: Vec<f64> = (-320..0).map(|i| 10_f64.powi(i)).collect();
        close(|x| x.sinh(), f64::sinh, &tiny, 8.0)?;
        close(|x| x.cosh(), f64::cosh, &tiny, 8.0)
    }

    #[test]
    fn extremes() -> Result<()> {
        let x = tensor(&[-0.0, 710.4, -710.4, 711.0, -1e4, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
        let (sinh, cosh) = (x.sinh()?.to_vec1::<f64>()?, x.cosh()?.to_vec1::<f64>()?);
        assert!(sinh[0] == 0.0 && sinh[0].is_sign_negative() && cosh[0] == 1.0);
        assert!(sinh[1].is_finite() && sinh[2] == -sinh[1] && cosh[1].is_finite() && cosh[2] == cosh[1]);
        const INF: f64 = f64::INFINITY;
        assert_eq!(sinh[3..7], [INF, -INF, INF, -INF]);
        assert_eq!(cosh[3..7], [INF; 4]);
        assert!(sinh[7].is_nan() && cosh[7].is_nan());
        assert!(grad_at(710.4, |x| x.sinh())?.is_finite() && grad_at(-710.4, |x| x.cosh())?.is_finite());
        assert_eq!(grad_at(1e-200, |x| x.cosh())?, 1e-200);
        Ok(())
    }
}
