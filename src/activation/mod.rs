//! Activations: scalar functions applied to every element, each with an exact gradient of any order.

mod elu;
mod gelu;
mod hard_sigmoid;
mod hard_swish;
mod hard_tanh;
mod leaky_relu;
mod log_sigmoid;
mod mish;
mod parsed;
mod relu;
mod sigmoid;
mod silu;
mod softplus;
mod softsign;
mod tanh;
mod tanhshrink;
mod threshold;

use std::fmt::Debug;

pub use elu::{Celu, Elu, Selu};
pub use gelu::{Gelu, GeluTanh};
pub use hard_sigmoid::HardSigmoid;
pub use hard_swish::HardSwish;
pub use hard_tanh::{HardTanh, Relu6};
pub use leaky_relu::LeakyRelu;
pub use log_sigmoid::LogSigmoid;
pub use mish::Mish;
pub use relu::Relu;
pub use sigmoid::Sigmoid;
pub use silu::Silu;
pub use softplus::Softplus;
pub use softsign::Softsign;
pub use tanh::Tanh;
pub use tanhshrink::Tanhshrink;
pub use threshold::Threshold;

use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::{Dual, Formula, Real, Tape};
use crate::ops;

/// y = f(x), element by element. Every activation is a [`Layer`](crate::layer::Layer).
///
/// A custom activation needs only its formula:
///
/// ```
/// use tealight::prelude::*;
/// /// exp(−x²)
/// #[derive(Clone, Debug)]
/// struct Gaussian;
/// impl Activation for Gaussian {
///     const NAME: &'static str = "gaussian";
///     fn value<R: Real>(&self, x: R) -> R { (-(x * x)).exp() }
/// }
/// # let x = Tensor::new(&[-1.0, 0.5, 2.0], &Device::Cpu)?;
/// # autograd::gradcheck(|x| Gaussian.apply(&x[0]), &[x])?;
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Activation: Clone + Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    const NAME: &'static str;

    /// Whether both methods are marked `#[inline(always)]`; see [`Formula::IS_INLINED`].
    const IS_INLINED: bool = false;

    /// f(x)
    fn value<R: Real>(&self, x: R) -> R;

    /// f′(x) from x and y = f(x). The default is the exact derivative of `value`, by dual numbers.
    ///
    /// A formula written by hand may be cheaper. If it reads only `y`, then `x` is not saved for the backward pass.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Sigmoid.derivative(0.0, 0.5), 0.25); // y(1 − y)
    /// ```
    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, y: R) -> R {
        let _ = y;
        self.value(Dual::variable(x)).slope()
    }

    /// The formula as a list of instructions, which can be printed.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Sigmoid.tape().to_string(), "1 / (1 + exp(-x))");
    /// ```
    fn tape(&self) -> Tape {
        Formula::tape(self)
    }

    /// f of every element of `x`.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        ops::apply(self.clone(), [x])
    }
}

impl<A: Activation> Formula<1> for A {
    const NAME: &'static str = A::NAME;
    const IS_INLINED: bool = A::IS_INLINED;

    #[inline(always)]
    fn value<R: Real>(&self, [x]: [R; 1]) -> R {
        Activation::value(self, x)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, [x]: [R; 1], y: R) -> [R; 1] {
        [Activation::derivative(self, x, y)]
    }
}

/// x where x < 0, else 0, with slope 1 at 0: the slope on the left.
#[inline(always)]
fn not_above_0<R: Real>(x: R) -> R {
    let zero = R::constant(0.0);
    x.select_gt(zero, zero, x)
}

/// x clamped to [low, high], for formulas that are constant or linear beyond.
#[inline(always)]
fn bounded<R: Real>(x: R, low: f64, high: f64) -> R {
    x.maximum(R::constant(low)).minimum(R::constant(high))
}

/// `slope` where low < x < high, else 0.
#[inline(always)]
fn inside<R: Real>(x: R, low: f64, high: f64, slope: R) -> R {
    let zero = R::constant(0.0);
    x.select_gt(R::constant(low), R::constant(high).select_gt(x, slope, zero), zero)
}

#[cfg(test)]
mod testing;
