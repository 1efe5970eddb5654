//! [`Expr`]: a number that writes down what is done to it.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Real;
use super::tape::{Binary, Instruction, Unary};

/// A handle into the program that is being recorded: evaluating a formula with it writes the formula down.
///
/// It is made by [`Tape::capture`](super::Program::capture). It is `Copy`, and means something only until that
/// capture ends: outside of one, an `Expr` stands for an unknown number, and what is done to it is forgotten.
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Expr, Tape, Real};
/// let square = |x: Expr| x * x + Expr::constant(1.0);
/// assert_eq!(Tape::capture(|[x]| [square(x)]).to_string(), "x * x + 1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Expr(usize);

/// The instructions of the captures under way on this thread, the innermost last.
type Captures = Vec<Vec<Instruction>>;
thread_local!(static CAPTURES: RefCell<Captures> = const { RefCell::new(Vec::new()) });

/// The index of something that was never recorded.
const UNKNOWN: usize = usize::MAX;

/// Ends the innermost capture even when the formula panics.
struct Capture;

impl Drop for Capture {
    fn drop(&mut self) {
        CAPTURES.with_borrow_mut(Vec::pop);
    }
}

/// The instructions of `f`, the inputs first, and which of them are the outputs.
pub(super) fn record(
    inputs: usize,
    f: &mut dyn FnMut(&[Expr]) -> Vec<Expr>,
) -> (Vec<Instruction>, Vec<usize>) {
    CAPTURES.with_borrow_mut(|captures| captures.push((0..inputs).map(Instruction::Input).collect()));
    let _guard = Capture;
    let inputs: Vec<Expr> = (0..inputs).map(Expr).collect();
    let mut outputs: Vec<usize> = f(&inputs).into_iter().map(|expr| expr.0).collect();
    let mut instructions = CAPTURES.with_borrow_mut(|captures| captures.last_mut().map(std::mem::take));
    let instructions = instructions.get_or_insert_default();
    for output in &mut outputs {
        // An expression of another capture: its value is unknown, and says so.
        if *output >= instructions.len() {
            *output = instructions.len();
            instructions.push(Instruction::Constant(f64::NAN));
        }
    }
    (std::mem::take(instructions), outputs)
}

/// Appends `instruction`, or finds it: equal sub-expressions are computed once.
fn push(instruction: Instruction) -> Expr {
    CAPTURES.with_borrow_mut(|captures| {
        let Some(program) = captures.last_mut() else { return Expr(UNKNOWN) };
        if instruction.operands().any(|i| i >= program.len()) {
            return Expr(UNKNOWN);
        }
        if let Some(found) = program.iter().position(|known| *known == instruction) {
            return Expr(found);
        }
        program.push(instruction);
        Expr(program.len() - 1)
    })
}

impl Expr {
    /// The number, where this is a constant.
    fn known(self) -> Option<f64> {
        CAPTURES.with_borrow(|captures| match captures.last()?.get(self.0)? {
            Instruction::Constant(c) => Some(*c),
            _ => None,
        })
    }

    fn unary(self, f: Unary) -> Self {
        match self.known() {
            Some(c) => Expr::constant(f.apply(c)),
            None => push(Instruction::Unary(f, self.0)),
        }
    }

    /// Folds constants, and drops what changes nothing: 1·x, x/1, x + 0, x − 0. (0·x stays: x may be infinite.)
    fn binary(self, f: Binary, other: Self) -> Self {
        match (f, self.known(), other.known()) {
            (_, Some(a), Some(b)) => Expr::constant(f.apply(a, b)),
            (Binary::Mul, Some(1.0), _) | (Binary::Add, Some(0.0), _) => other,
            (Binary::Mul | Binary::Div | Binary::Pow, _, Some(1.0))
            | (Binary::Add | Binary::Sub, _, Some(0.0)) => self,
            (Binary::Mul, Some(-1.0), _) => -other,
            _ => push(Instruction::Binary(f, self.0, other.0)),
        }
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Expr {
            type Output = Self;
            fn $method(self, other: Self) -> Self { self.binary(Binary::$trait, other) }
        }
    )*};
}
operator!(Add add, Sub sub, Mul mul, Div div);

impl Neg for Expr {
    type Output = Self;
    fn neg(self) -> Self {
        let inner = CAPTURES.with_borrow(|captures| match captures.last()?.get(self.0)? {
            Instruction::Unary(Unary::Neg, a) => Some(Expr(*a)),
            _ => None,
        });
        inner.unwrap_or_else(|| self.unary(Unary::Neg))
    }
}

macro_rules! function {
    ($($method:ident $name:ident),*) => {$(fn $method(self) -> Self { self.unary(Unary::$name) })*};
}

impl Real for Expr {
    fn constant(value: f64) -> Self {
        push(Instruction::Constant(value))
    }
    function!(exp Exp, exp_m1 ExpM1, ln Ln, ln_1p Ln1p, sqrt Sqrt, tanh Tanh, sigmoid Sigmoid, erf Erf, erfc Erfc, atan Atan, sin Sin, cos Cos, abs Abs);
    function!(floor Floor, round_ties_even Round, signum Signum, recip Recip);
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
    fn rem(self, divisor: Self) -> Self {
        self.binary(Binary::Rem, divisor)
    }
    fn max(self, other: Self) -> Self {
        self.binary(Binary::Max, other)
    }
    fn min(self, other: Self) -> Self {
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
            _ if yes.0 == no.0 => yes,
            _ => push(Instruction::Select([self.0, other.0, yes.0, no.0])),
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
        assert_eq!(show(|x| x.max(Expr::constant(-1.5)).abs()), "|max(x, -1.5)|");
        assert_eq!(show(|x| x.rem(x.floor().atan())), "rem(x, atan(floor(x)))");
        assert_eq!(show(|_| Expr::constant(-7.0).rem(Expr::constant(4.0))), "1");
        assert_eq!(show(|_| Expr::constant(f64::NAN)), "NaN");
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
    fn an_expression_that_outlives_its_capture_is_unknown_not_wrong() {
        let mut escaped = None;
        Tape::capture(|[x]| {
            escaped = Some(x.exp().exp().exp());
            [x]
        });
        let stale = escaped.unwrap() + Expr::constant(1.0);
        assert!(stale.known().is_none());
        let program = Tape::capture(|[x]| [x, stale]);
        assert_eq!(program.to_string(), "[x, NaN]");
    }
}
