//! Activations: functions of one number, applied to every element.
//!
//! Each is one [`impl Activation`](Activation) in one file, and with that a layer, a vector loop, an exact gradient of
//! any order and its own check.

mod relu;
mod sigmoid;
mod tanh;

use std::fmt::Debug;

pub use relu::Relu;
pub use sigmoid::Sigmoid;
pub use tanh::Tanh;

use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::{Dual, Formula, Real};
use crate::ops;

/// y = f(x), element by element.
///
/// One method makes a new one:
///
/// ```
/// use tealight::prelude::*;
///
/// /// x · tanh(ln(1 + eˣ))
/// #[derive(Clone, Debug)]
/// struct Mish;
/// impl Activation for Mish {
///     const NAME: &'static str = "mish";
///     #[inline(always)] // into the vector loop
///     fn value<R: Real>(&self, x: R) -> R { x * x.exp().ln_1p().tanh() }
/// }
///
/// let x = Tensor::new(&[-1.0, 0.5, 2.0], &Device::Cpu)?;
/// autograd::gradcheck(|x| Mish.apply(&x[0]), &[x])?;
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Activation: Clone + Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    const NAME: &'static str;

    /// f(x). Mark it `#[inline(always)]`: it is compiled into vector loops, and outside of one it runs many times slower.
    fn value<R: Real>(&self, x: R) -> R;

    /// f′(x) from x and y = f(x). The default differentiates `value` with dual numbers: exact, no finite differences.
    ///
    /// Written by hand it may be cheaper; if it reads only `y`, then `x` is not kept for the backward pass.
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, y: R) -> R {
        let _ = y;
        self.value(Dual::variable(x)).slope()
    }

    /// f of every element of `x`.
    ///
    /// # Errors
    /// A dtype that is no float.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        ops::apply(self.clone(), [x])
    }
}

impl<A: Activation> Formula<1> for A {
    const NAME: &'static str = A::NAME;

    #[inline(always)]
    fn value<R: Real>(&self, [x]: [R; 1]) -> R {
        Activation::value(self, x)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, [x]: [R; 1], y: R) -> [R; 1] {
        [Activation::derivative(self, x, y)]
    }
}
