//! [`Expr`], a number that records what is done to it.

use std::cell::{Cell, RefCell};
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Real;
use super::real::Sealed;
use super::tape::{Binary, Instruction, Unary};
use crate::elementary;

/// A value on the [`Tape`](super::Tape) that is being recorded: evaluating a formula with it records the formula.
///
/// It belongs to the [`Tape::capture`](super::Tape::capture) that made it. To use it, or to make a constant, outside of
/// that capture panics.
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Expr, Tape, Real};
/// let square = |x: Expr| x * x + Expr::constant(1.0);
/// assert_eq!(Tape::capture(|[x]| [square(x)]).to_string(), "x * x + 1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Expr {
    capture: u64,
    index: usize,
}

/// A tape that is being recorded.
struct Capture {
    /// Unique on this thread.
    id: u64,
    instructions: Vec<Instruction>,
}

thread_local! {
    /// The captures under way, the innermost last.
    static CAPTURES: RefCell<Vec<Capture>> = const { RefCell::new(Vec::new()) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
    static FOLDS: Cell<bool> = const { Cell::new(true) };
}

/// Calls `f`, in which each operation is recorded as it is.
pub(super) fn without_folding<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            FOLDS.set(self.0);
        }
    }
    let _restore = Restore(FOLDS.replace(false));
    f()
}

/// Ends the innermost capture even when the formula panics.
struct EndCapture;

impl Drop for EndCapture {
    fn drop(&mut self) {
        CAPTURES.with_borrow_mut(Vec::pop);
    }
}

/// The instructions of `f`, the inputs first, and the indices of the outputs.
pub(super) fn record(
    inputs: usize,
    f: &mut dyn FnMut(&[Expr]) -> Vec<Expr>,
) -> (Vec<Instruction>, Vec<usize>) {
    let id = NEXT_ID.replace(NEXT_ID.get() + 1);
    let instructions = (0..inputs).map(Instruction::Input).collect();
    CAPTURES.with_borrow_mut(|captures| captures.push(Capture { id, instructions }));
    let _guard = EndCapture;
    let inputs: Vec<Expr> = (0..inputs).map(|index| Expr { capture: id, index }).collect();
    let outputs = f(&inputs);
    current(|capture| {
        let outputs = outputs.into_iter().map(|output| output.index_in(capture)).collect();
        (std::mem::take(&mut capture.instructions), outputs)
    })
}

fn current<T>(f: impl FnOnce(&mut Capture) -> T) -> T {
    CAPTURES.with_borrow_mut(|captures| f(captures.last_mut().expect("an Expr is used within Tape::capture")))
}

/// Appends `instruction`, or finds it: equal sub-expressions are computed once.
fn push(capture: &mut Capture, instruction: Instruction) -> Expr {
    let Capture { id, instructions } = capture;
    let index = instructions.iter().position(|known| known.is(&instruction)).unwrap_or_else(|| {
        instructions.push(instruction);
        instructions.len() - 1
    });
    Expr { capture: *id, index }
}

impl Expr {
    fn index_in(self, capture: &Capture) -> usize {
        assert_eq!(self.capture, capture.id, "an Expr belongs to the Tape::capture that made it");
        self.index
    }

    fn instruction(self) -> Instruction {
        current(|capture| capture.instructions[self.index_in(capture)])
    }

    /// The value, if this is a constant.
    pub(super) fn known(self) -> Option<f64> {
        match self.instruction() {
            Instruction::Constant(c) if FOLDS.get() => Some(c),
            _ => None,
        }
    }

    fn unary(self, f: Unary) -> Self {
        match self.known() {
            Some(c) => Expr::constant(f.apply(c)),
            None => current(|capture| push(capture, Instruction::Unary(f, self.index))),
        }
    }

    /// Folds constants, drops what changes nothing: 1·x, x/1, x + −0, x − 0, and makes 1/x one function. (x + 0 stays: x may be −0; 0·x too: x may be
    /// infinite.)
    fn binary(self, f: Binary, other: Self) -> Self {
        let is_zero = |x: Option<f64>, zero: f64| x.is_some_and(|x| x.to_bits() == zero.to_bits());
        match (f, self.known(), other.known()) {
            (_, Some(a), Some(b)) => Expr::constant(f.apply(a, b)),
            (Binary::Mul, Some(1.0), _) => other,
            (Binary::Div, Some(1.0), _) => other.recip(),
            (Binary::Add, a, _) if is_zero(a, -0.0) => other,
            (Binary::Add, _, b) if is_zero(b, -0.0) => self,
            (Binary::Sub, _, b) if is_zero(b, 0.0) => self,
            (Binary::Mul | Binary::Div | Binary::Pow, _, Some(1.0)) => self,
            (Binary::Mul, Some(-1.0), _) => -other,
            _ => current(|capture| push(capture, Instruction::Binary(f, self.index, other.index))),
        }
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Expr {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.binary(Binary::$trait, other)
            }
        }
    )*};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl Neg for Expr {
    type Output = Self;
    fn neg(self) -> Self {
        match self.instruction() {
            Instruction::Unary(Unary::Neg, index) if FOLDS.get() => Expr { index, ..self },
            _ => self.unary(Unary::Neg),
        }
    }
}

macro_rules! functions {
    ($($(#[$_:meta])* $method:ident $variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
        $(
            fn $method(self) -> Self {
                self.unary(Unary::$variant)
            }
        )*
    };
}

impl Sealed for Expr {}

impl Real for Expr {
    elementary!(functions);

    fn constant(value: f64) -> Self {
        current(|capture| push(capture, Instruction::Constant(value)))
    }
    fn powf(self, exponent: Self) -> Self {
        self.binary(Binary::Pow, exponent)
    }
    fn powi(self, n: i32) -> Self {
        match n {
            0 => Expr::constant(1.0),
            1 => self,
            _ => self.unary(Unary::Powi(n)),
        }
    }
    fn remainder(self, divisor: Self) -> Self {
        self.binary(Binary::Remainder, divisor)
    }
    fn maximum(self, other: Self) -> Self {
        self.binary(Binary::Max, other)
    }
    fn minimum(self, other: Self) -> Self {
        self.binary(Binary::Min, other)
    }
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        match (self.known(), other.known()) {
            (Some(a), Some(b)) => {
                if a > b {
                    yes
                } else {
                    no
                }
            }
            _ => current(|capture| {
                let operands = [self, other, yes, no].map(|x| x.index_in(capture));
                if yes.index == no.index { yes } else { push(capture, Instruction::Select(operands)) }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dual, Real, Tape};
    use super::Expr;

    #[test]
    fn notation() {
        let show = |f: fn(Expr) -> Expr| Tape::capture(|[x]| [f(x)]).to_string();
        assert_eq!(show(|x| x - (x - Expr::constant(2.0))), "x - (x - 2)");
        assert_eq!(show(|x| x / (x * x)), "x / (x * x)");
        assert_eq!(show(|x| -(x + Expr::constant(1.0)).powi(2)), "-(x + 1)^2");
        assert_eq!(show(|x| Expr::constant(2.0) * Expr::constant(3.0) * x), "6 * x");
        assert_eq!(show(|x| x.select_gt(Expr::constant(0.0), x, -x)), "(x > 0 ? x : -x)");
        assert_eq!(show(|x| x.maximum(Expr::constant(-1.5)).abs()), "|max(x, -1.5)|");
        assert_eq!(show(|x| x.remainder(x.floor().atan())), "remainder(x, atan(floor(x)))");
        assert_eq!(show(|_| Expr::constant(-7.0).remainder(Expr::constant(4.0))), "1");
        assert_eq!(show(|_| Expr::constant(f64::NAN)), "NaN");
    }

    #[test]
    fn zeros_keep_their_sign() {
        let show = |f: fn(Expr) -> Expr| Tape::capture(|[x]| [f(x)]).to_string();
        let [plus, minus] = [|| Expr::constant(0.0), || Expr::constant(-0.0)];
        assert_eq!(
            show(|x| x.maximum(Expr::constant(0.0)) + x.minimum(Expr::constant(-0.0))),
            "max(x, 0) + min(x, -0)"
        );
        assert_eq!(show(|x| x.powf(Expr::constant(-0.0))), "x^(-0)");
        let kept = Tape::capture(|[x]| [x + plus(), x - minus(), x + minus(), minus() + x, x - plus()]);
        assert_eq!(kept.to_string(), "[x + 0, x - -0, x, x, x]");
    }

    #[test]
    fn shared_parts_are_named_so_the_text_stays_short() {
        let text = Tape::capture(|[x]| [(0..40).fold(x, |x, _| (x + x.exp()) * x)]).to_string();
        assert!(text.len() < 4000, "{} characters", text.len());
        assert!(text.contains(" where t1 = "));
    }

    #[test]
    fn derivative_of_an_expression() {
        let slope = Tape::capture(|[x]| [(Dual::variable(x) * Dual::variable(x)).slope()]);
        assert_eq!(slope.to_string(), "x + x");
    }

    #[test]
    #[should_panic(expected = "an Expr belongs to the Tape::capture that made it")]
    fn an_expression_of_another_capture_panics() {
        Tape::capture(|[x]| {
            Tape::capture(|[y]| [x + y]);
            [x]
        });
    }

    #[test]
    #[should_panic(expected = "an Expr belongs to the Tape::capture that made it")]
    fn an_output_of_another_capture_panics() {
        let mut escaped = None;
        Tape::capture(|[x]| {
            escaped = Some(x);
            [x]
        });
        Tape::capture_slice(1, |_| escaped.into_iter().collect());
    }

    #[test]
    #[should_panic(expected = "an Expr is used within Tape::capture")]
    fn a_constant_outside_of_a_capture_panics() {
        Expr::constant(1.0);
    }
}
