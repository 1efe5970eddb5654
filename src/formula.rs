//! A formula is written once, generic over [`Real`], and evaluated with several types of number: `f32` and `f64` compute it
//! on the CPU, [`Dual`] differentiates it exactly, [`Jet`] as often as wanted, [`Expr`] records it as a [`Tape`] (printed, or run as tensor operations on
//! other devices and for higher derivatives), and `InputSet` finds which values the backward pass must save.

use std::fmt::Debug;

use crate::error::Error;

#[doc(inline)]
pub use tealight_kernels::formula::{Dual, Expr, Jet, ParseError, Parsed, Real, Tape, parse};

pub(crate) use tealight_kernels::elementary;
pub(crate) use tealight_kernels::formula::math::SOURCES as MATH_SOURCES;
pub(crate) use tealight_kernels::formula::{Binary, InputSet, Interpreter, Unary, slope};

/// y = f(x₁, …, x_N), element by element.
///
/// Only `value` is required. [`ops::apply`](crate::ops::apply) makes a tensor operation of it. The most common case, N = 1,
/// is an [`Activation`](crate::activation::Activation).
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

    /// Whether both methods are marked `#[inline(always)]`, so that the whole formula compiles to one vector loop.
    /// Default: `false`.
    ///
    /// Otherwise each operation of the formula runs as a separate vector loop over a block in cache, which is up to about
    /// twice as slow. Do not set it without the attribute: a function call per element is a hundred times as slow.
    const IS_INLINED: bool = false;

    /// f(x)
    fn value<R: Real>(&self, x: [R; N]) -> R;

    /// ∂f/∂xᵢ from x and y = f(x). Default: the exact derivative of `value`, by dual numbers. Write it by hand where y
    /// makes it cheaper.
    #[inline(always)]
    fn derivative<R: Real>(&self, x: [R; N], y: R) -> [R; N] {
        let _ = y;
        std::array::from_fn(|i| {
            let seeded =
                std::array::from_fn(|j| if i == j { Dual::variable(x[j]) } else { Dual::fixed(x[j]) });
            self.value(seeded).slope()
        })
    }

    /// The formula as a list of instructions, which can be printed.
    fn tape(&self) -> Tape {
        Tape::capture(|x| [self.value(x)])
    }
}

/// The Taylor series of `f` along the line x + t·v, up to tᴷ, in one evaluation: its k-th derivative by t is
/// [`derivative(k)`](Jet::derivative).
///
/// ```
/// use tealight::activation::Tanh;
/// use tealight::formula::taylor;
/// let y = taylor::<8, 1, f64>(&Tanh, [0.0], [1.0]);
/// assert_eq!([1, 3, 5].map(|k| y.derivative(k)), [1.0, -2.0, 16.0]);
/// ```
pub fn taylor<const K: usize, const N: usize, R: Real>(
    f: &impl Formula<N>,
    x: [R; N],
    v: [R; N],
) -> Jet<R, K> {
    f.value(std::array::from_fn(|i| Jet::line(x[i], v[i])))
}

macro_rules! parsed {
    ($($inputs:literal)*) => {
        $(impl Formula<$inputs> for Parsed<$inputs> {
            const NAME: &'static str = "parsed";

            fn value<R: Real>(&self, x: [R; $inputs]) -> R {
                Parsed::value(self, x)
            }
        })*
    };
}
parsed!(2 3);

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        let got = format!("{} at column {}", error.got, error.column);
        Error::Argument { op: "parse", expected: error.expected, got }
    }
}
