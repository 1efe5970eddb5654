//! A formula is written once, generic over [`Real`], and read in several ways.
//!
//! | read with | gives |
//! |---|---|
//! | `f32`, `f64` | the CPU kernels |
//! | [`Dual`] | the exact derivative |
//! | [`Expr`] | the formula as a [`Tape`]: candle ops for other devices, recorded tensor ops for higher derivatives, text |
//! | [`InputSet`] | which values the backward pass must keep |

use std::fmt::Debug;

#[doc(inline)]
pub use tealight_kernels::formula::{Dual, Expr, InputSet, Real, Tape, math};

pub(crate) use tealight_kernels::formula::{Binary, Interpreter, Unary};

/// y = f(x₁, …, x_N), element by element.
///
/// `value` is the only method one has to write; see [`Activation`](crate::activation::Activation) for the most common
/// case, N = 1.
///
/// ```
/// use tealight::formula::{Formula, Real};
/// #[derive(Clone, Debug)]
/// struct Hypot;
/// impl Formula<2> for Hypot {
///     const NAME: &'static str = "hypot";
///     fn value<R: Real>(&self, [a, b]: [R; 2]) -> R { (a * a + b * b).sqrt() }
/// }
/// assert_eq!(Hypot.value([3.0, 4.0]), 5.0);
/// let [by_a, by_b] = Hypot.derivative([3.0, 4.0], 5.0);
/// assert!((by_a - 0.6_f64).abs() < 1e-15 && (by_b - 0.8_f64).abs() < 1e-15);
/// assert_eq!(Hypot.tape().to_string(), "sqrt(a * a + b * b)");
/// ```
pub trait Formula<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    const NAME: &'static str;

    /// Whether both methods are marked `#[inline(always)]`, so that the whole formula can become one vector loop.
    ///
    /// Without it each operation of the formula is a vector loop of its own over a few numbers in cache, which takes up
    /// to about twice as long. Do not set it without the attribute: a call for each number takes a hundred times as long.
    const FUSED: bool = false;

    /// f(x)
    ///
    /// ```
    /// use tealight::activation::Sigmoid;
    /// use tealight::formula::Formula;
    /// assert_eq!(Formula::value(&Sigmoid, [0.0_f64]), 0.5);
    /// ```
    fn value<R: Real>(&self, x: [R; N]) -> R;

    /// ∂f/∂xᵢ from x and y = f(x). The default differentiates `value` with dual numbers: exact. Writing it by hand pays
    /// where y makes it cheaper.
    ///
    /// ```
    /// use tealight::formula::Formula;
    /// use tealight::loss::Mse;
    /// assert_eq!(Formula::derivative(&Mse, [1.0_f64, 3.0], 4.0), [-4.0, 4.0]); // of (a − b)²
    /// ```
    #[inline(always)]
    fn derivative<R: Real>(&self, x: [R; N], y: R) -> [R; N] {
        let _ = y;
        std::array::from_fn(|i| {
            let seeded =
                std::array::from_fn(|j| if i == j { Dual::variable(x[j]) } else { Dual::fixed(x[j]) });
            self.value(seeded).slope()
        })
    }

    /// The formula as text and as a list of instructions.
    ///
    /// ```
    /// use tealight::activation::Tanh;
    /// use tealight::formula::Formula;
    /// assert_eq!(Tanh.tape().to_string(), "tanh(x)");
    /// ```
    fn tape(&self) -> Tape {
        Tape::capture(|x| [self.value(x)])
    }
}
