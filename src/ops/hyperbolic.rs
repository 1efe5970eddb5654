//! The hyperbolic sine and cosine.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

// Both use e^(x/2), which does not overflow where the result is finite.
formula!(blocks Sinh = "sinh", [x] => sinh(x), y => [cosh(x)]);
formula!(blocks Cosh = "cosh", [x] => {
    let half = R::constant(0.5);
    let (rising, falling) = ((half * x).exp(), (-(half * x)).exp());
    half * rising * rising + half * falling * falling
}, y => [sinh(x)]);

/// 2 sinh(x/2)
#[inline(always)]
fn chord<R: Real>(x: R) -> R {
    let half = R::constant(0.5) * x;
    half.exp_m1() - (-half).exp_m1()
}

/// 2 sinh(x/2) · cosh(x/2), accurate near 0, also in its derivatives.
#[inline(always)]
fn sinh<R: Real>(x: R) -> R {
    let half = R::constant(0.5) * x;
    let mean = R::constant(0.5) * half.exp_m1() + R::constant(0.5) * (-half).exp_m1();
    chord(x) * (mean + R::constant(1.0))
}

/// 1 + 2 sinh²(x/2), whose derivative is accurate near 0.
#[inline(always)]
fn cosh<R: Real>(x: R) -> R {
    let chord = chord(x);
    R::constant(1.0) + R::constant(0.5) * chord * chord
}

impl Tensor {
    /// The hyperbolic sine. Gradient: cosh x.
    pub fn sinh(&self) -> Result<Tensor> {
        apply(Sinh, [self])
    }

    /// The hyperbolic cosine. Gradient: sinh x.
    pub fn cosh(&self) -> Result<Tensor> {
        apply(Cosh, [self])
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
