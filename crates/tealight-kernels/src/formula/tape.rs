//! [`Tape`], a formula as a list of instructions.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use super::Real;
use super::expr::{self, Expr};
use crate::elementary;

macro_rules! unary {
    ($($(#[$_:meta])* $method:ident $variant:ident $name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
        /// A function of one number.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Unary {
            Neg,
            Powi(i32),
            $($variant,)*
        }

        impl Unary {
            /// f(x)
            pub fn apply<R: Real>(self, x: R) -> R {
                match self {
                    Unary::Neg => -x,
                    Unary::Powi(n) => x.powi(n),
                    $(Unary::$variant => x.$method(),)*
                }
            }

            fn name(self) -> &'static str {
                match self {
                    Unary::Neg => "-",
                    Unary::Powi(_) => "powi",
                    $(Unary::$variant => $name,)*
                }
            }
        }
    };
}
elementary!(unary);

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Remainder,
    Max,
    Min,
}

impl Binary {
    /// f(a, b)
    pub fn apply<R: Real>(self, a: R, b: R) -> R {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Pow => a.powf(b),
            Binary::Remainder => a.remainder(b),
            Binary::Max => a.maximum(b),
            Binary::Min => a.minimum(b),
        }
    }
}

/// Something that runs a [`Tape`].
pub trait Interpreter {
    /// What an instruction yields.
    type Value: Clone;
    /// How an instruction can fail.
    type Error;
    /// A constant.
    fn constant(&mut self, value: f64) -> Result<Self::Value, Self::Error>;
    /// f(a)
    fn unary(&mut self, f: Unary, a: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// f(a, b)
    fn binary(&mut self, f: Binary, a: &Self::Value, b: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// `yes` where a > b, else `no`; `operands` are a, b, yes, no.
    fn select_gt(&mut self, operands: [&Self::Value; 4]) -> Result<Self::Value, Self::Error>;
}

/// Runs a tape with numbers.
struct Numbers<R>(PhantomData<R>);

impl<R: Real> Interpreter for Numbers<R> {
    type Value = R;
    type Error = Infallible;
    fn constant(&mut self, value: f64) -> Result<R, Infallible> {
        Ok(R::constant(value))
    }
    fn unary(&mut self, f: Unary, a: &R) -> Result<R, Infallible> {
        Ok(f.apply(*a))
    }
    fn binary(&mut self, f: Binary, a: &R, b: &R) -> Result<R, Infallible> {
        Ok(f.apply(*a, *b))
    }
    fn select_gt(&mut self, [a, b, yes, no]: [&R; 4]) -> Result<R, Infallible> {
        Ok(a.select_gt(*b, *yes, *no))
    }
}

/// One instruction; operands are the indices of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Instruction {
    Input(usize),
    Constant(f64),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    /// `[a, b, yes, no]`: a > b ? yes : no
    Select([usize; 4]),
}

impl Instruction {
    /// Whether both compute the same bits: 0 and −0 are two constants.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Instruction::Constant(a), Instruction::Constant(b)) => a.to_bits() == b.to_bits(),
            _ => self == other,
        }
    }

    pub(crate) fn operands(&self) -> impl Iterator<Item = usize> + use<> {
        let ids = match *self {
            Instruction::Input(_) | Instruction::Constant(_) => [None; 4],
            Instruction::Unary(_, a) => [Some(a), None, None, None],
            Instruction::Binary(_, a, b) => [Some(a), Some(b), None, None],
            Instruction::Select(ids) => ids.map(Some),
        };
        ids.into_iter().flatten()
    }

    fn renumbered(self, new: &[usize]) -> Self {
        match self {
            Instruction::Unary(f, a) => Instruction::Unary(f, new[a]),
            Instruction::Binary(f, a, b) => Instruction::Binary(f, new[a], new[b]),
            Instruction::Select(ids) => Instruction::Select(ids.map(|i| new[i])),
            other => other,
        }
    }
}

/// A formula as a list of instructions, recorded by evaluating it with [`Expr`].
///
/// It can be printed, and tealight runs it as candle operations on any device and as recorded tensor operations.
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Dual, Tape, Real};
/// fn softplus<R: Real>(x: R) -> R { x.exp().ln_1p() }
/// assert_eq!(Tape::capture(|[x]| [softplus(x)]).to_string(), "ln_1p(exp(x))");
/// let derivative = Tape::capture(|[x]| [softplus(Dual::variable(x)).slope()]);
/// assert_eq!(derivative.named(&["t"]).to_string(), "1 / (1 + exp(t)) * exp(t)");
/// ```
#[derive(Clone, Debug)]
pub struct Tape {
    instructions: Vec<Instruction>,
    outputs: Vec<usize>,
    names: Vec<String>,
}

impl Tape {
    /// Records what `f` does to its N inputs.
    ///
    /// # Panics
    /// If `f` returns or uses an [`Expr`] of another capture.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Tape;
    /// assert_eq!(Tape::capture(|[a, b]| [a + b, a - b]).to_string(), "[a + b, a - b]");
    /// ```
    pub fn capture<const N: usize, const M: usize>(f: impl FnOnce([Expr; N]) -> [Expr; M]) -> Self {
        Self::capture_slice(N, |inputs| f(std::array::from_fn(|i| inputs[i])).to_vec())
    }

    /// [`capture`](Tape::capture) for numbers of inputs and outputs that are known at run time only.
    pub fn capture_slice(inputs: usize, f: impl FnOnce(&[Expr]) -> Vec<Expr>) -> Self {
        // `captured` is compiled once, and not for each formula.
        let mut f = Some(f);
        Self::captured(inputs, &mut |x| f.take().expect("record calls it once")(x))
    }

    /// [`capture_slice`](Tape::capture_slice) of each operation as it is: constants are not folded, so that a narrower type rounds
    /// where the formula does, and nothing is left out.
    #[doc(hidden)]
    pub fn capture_exact(inputs: usize, f: impl FnOnce(&[Expr]) -> Vec<Expr>) -> Self {
        let mut f = Some(f);
        expr::without_folding(|| Self::captured(inputs, &mut |x| f.take().expect("record calls it once")(x)))
    }

    /// The number of inputs.
    #[doc(hidden)]
    pub fn inputs(&self) -> usize {
        self.names.len()
    }

    fn captured(inputs: usize, f: &mut dyn FnMut(&[Expr]) -> Vec<Expr>) -> Self {
        let (instructions, outputs) = expr::record(inputs, f);
        let names = match inputs {
            1 => vec!["x".to_string()],
            _ => (0..inputs).map(|i| char::from(b'a' + (i % 26) as u8).to_string()).collect(),
        };
        Tape { instructions, outputs, names }.without_dead_code(inputs)
    }

    /// Drops what no output needs: a dual number computes the value too, even if only the slope is an output.
    fn without_dead_code(self, inputs: usize) -> Self {
        let mut needed = vec![false; self.instructions.len()];
        self.outputs.iter().for_each(|&i| needed[i] = true);
        needed[..inputs].fill(true);
        for (id, instruction) in self.instructions.iter().enumerate().rev() {
            if needed[id] {
                instruction.operands().for_each(|i| needed[i] = true);
            }
        }
        let mut renumbered = vec![0; needed.len()];
        let mut instructions = Vec::new();
        for (id, instruction) in self.instructions.into_iter().enumerate().filter(|(id, _)| needed[*id]) {
            renumbered[id] = instructions.len();
            instructions.push(instruction.renumbered(&renumbered));
        }
        let outputs = self.outputs.iter().map(|&i| renumbered[i]).collect();
        Tape { instructions, outputs, names: self.names }
    }

    /// Sets the names that the inputs are printed with. Default: `x`, or `a`, `b`, … if there are several.
    pub fn named(mut self, names: &[&str]) -> Self {
        for (own, name) in self.names.iter_mut().zip(names) {
            *own = (*name).to_string();
        }
        self
    }

    /// The value of each output, computed with any kind of number.
    ///
    /// # Panics
    /// If the number of inputs is wrong.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Tape;
    /// assert_eq!(Tape::capture(|[a, b]| [a + b, a - b]).eval(&[5.0, 3.0]), [8.0, 2.0]);
    /// ```
    pub fn eval<R: Real>(&self, inputs: &[R]) -> Vec<R> {
        match self.run(&mut Numbers(PhantomData), inputs) {
            Ok(outputs) => outputs,
        }
    }

    /// Runs the tape and returns one value for each output.
    ///
    /// # Panics
    /// If the number of inputs is wrong.
    #[doc(hidden)]
    pub fn run<I: Interpreter>(
        &self,
        interpreter: &mut I,
        inputs: &[I::Value],
    ) -> Result<Vec<I::Value>, I::Error> {
        assert_eq!(inputs.len(), self.names.len(), "a tape takes one value for each of its inputs");
        let mut values: Vec<I::Value> = Vec::with_capacity(self.instructions.len());
        for instruction in &self.instructions {
            let value = match *instruction {
                Instruction::Input(i) => inputs[i].clone(),
                Instruction::Constant(c) => interpreter.constant(c)?,
                Instruction::Unary(f, a) => interpreter.unary(f, &values[a])?,
                Instruction::Binary(f, a, b) => interpreter.binary(f, &values[a], &values[b])?,
                Instruction::Select(ids) => interpreter.select_gt(ids.map(|i| &values[i]))?,
            };
            values.push(value);
        }
        Ok(self.outputs.iter().map(|&i| values[i].clone()).collect())
    }

    pub(crate) fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The instructions that give the outputs.
    pub(crate) fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Whether it is one operation, or only adds, subtracts, multiplies, divides and negates.
    #[doc(hidden)]
    pub fn is_simple(&self) -> bool {
        let functions = self.instructions.iter().filter(|instruction| match instruction {
            Instruction::Unary(f, _) => *f != Unary::Neg,
            Instruction::Binary(f, ..) => !matches!(f, Binary::Add | Binary::Sub | Binary::Mul | Binary::Div),
            Instruction::Select(_) => true,
            Instruction::Input(_) | Instruction::Constant(_) => false,
        });
        match functions.count() {
            0 => true,
            _ => self.instructions.len() == self.inputs() + 1,
        }
    }

    /// Whether both do the same, instruction by instruction.
    #[doc(hidden)]
    pub fn is(&self, other: &Tape) -> bool {
        let same = |(a, b): (&Instruction, &Instruction)| a.is(b);
        self.outputs == other.outputs
            && self.instructions.len() == other.instructions.len()
            && self.instructions.iter().zip(&other.instructions).all(same)
    }

    /// The constants, in the order of their use.
    #[doc(hidden)]
    pub fn constants(&self) -> impl Iterator<Item = f64> + '_ {
        self.instructions.iter().filter_map(|instruction| match *instruction {
            Instruction::Constant(c) => Some(c),
            _ => None,
        })
    }

    /// How often each instruction's value is used.
    fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.instructions.len()];
        self.instructions.iter().flat_map(Instruction::operands).for_each(|i| uses[i] += 1);
        self.outputs.iter().for_each(|&i| uses[i] += 1);
        uses
    }

    /// Whether this is a constant whole number, with which `^` is `powi`.
    fn whole(&self, id: usize) -> bool {
        matches!(self.instructions[id], Instruction::Constant(c) if whole(c).is_some())
    }

    /// The text and precedence of each instruction. A long one that is used more than once gets a name, `t1`, and a
    /// definition in `shared`; otherwise the text could grow exponentially.
    fn texts(&self, shared: &mut Vec<String>) -> Vec<(String, u8)> {
        let (uses, mut names) = (self.uses(), 0);
        let mut texts: Vec<(String, u8)> = Vec::with_capacity(self.instructions.len());
        for (id, instruction) in self.instructions.iter().enumerate() {
            let bare = |i: usize| texts[i].0.as_str();
            let operand = |i: usize, least: u8| {
                if texts[i].1 < least { format!("({})", bare(i)) } else { bare(i).to_string() }
            };
            let infix = |a: usize, sign: &str, b: usize, level: u8, right: u8| {
                (format!("{}{sign}{}", operand(a, level), operand(b, right)), level)
            };
            let call = |name: &str, a: usize, b: usize| (format!("{name}({}, {})", bare(a), bare(b)), ATOM);
            let (text, level) = match *instruction {
                Instruction::Input(i) => (self.names[i].clone(), ATOM),
                Instruction::Constant(c) => (number(c), if c.is_sign_negative() { SIGN } else { ATOM }),
                Instruction::Unary(Unary::Neg, a) => (format!("-{}", operand(a, SIGN)), SIGN),
                Instruction::Unary(Unary::Abs, a) => (format!("|{}|", bare(a)), ATOM),
                Instruction::Unary(Unary::Recip, a) => (format!("1 / {}", operand(a, SIGN)), PRODUCT),
                Instruction::Unary(Unary::Powi(n), a) => (format!("{}^{n}", operand(a, ATOM)), SIGN),
                Instruction::Unary(f, a) => (format!("{}({})", f.name(), bare(a)), ATOM),
                Instruction::Binary(Binary::Add, a, b) => infix(a, " + ", b, SUM, PRODUCT),
                Instruction::Binary(Binary::Sub, a, b) => infix(a, " - ", b, SUM, PRODUCT),
                Instruction::Binary(Binary::Mul, a, b) => infix(a, " * ", b, PRODUCT, SIGN),
                Instruction::Binary(Binary::Div, a, b) => infix(a, " / ", b, PRODUCT, SIGN),
                Instruction::Binary(Binary::Pow, a, b) if self.whole(b) => call("powf", a, b),
                Instruction::Binary(Binary::Pow, a, b) => {
                    (format!("{}^{}", operand(a, ATOM), operand(b, ATOM)), SIGN)
                }
                Instruction::Binary(Binary::Remainder, a, b) => call("remainder", a, b),
                Instruction::Binary(Binary::Max, a, b) => call("max", a, b),
                Instruction::Binary(Binary::Min, a, b) => call("min", a, b),
                Instruction::Select([a, b, yes, no]) => {
                    let condition = infix(a, " > ", b, SUM, SUM).0;
                    (format!("({condition} ? {} : {})", bare(yes), bare(no)), ATOM)
                }
            };
            if uses[id] > 1 && text.len() > 12 {
                names += 1;
                while self.names.contains(&format!("t{names}")) {
                    names += 1;
                }
                let name = format!("t{names}");
                shared.push(format!("{name} = {text}"));
                texts.push((name, ATOM));
            } else {
                texts.push((text, level));
            }
        }
        texts
    }
}

/// A number that an `i32` holds; −0 is none.
pub(super) fn whole(number: f64) -> Option<i32> {
    let n = number as i32;
    (f64::from(n).to_bits() == number.to_bits()).then_some(n)
}

/// A constant as it is read back: 2, 0.5, 1e-7.
fn number(c: f64) -> String {
    let text = format!("{c:?}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// Precedence of a printed expression: a sum, a product, a sign or power, an atom.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const SIGN: u8 = 3;
const ATOM: u8 = 4;

/// The formula in the usual notation, such as `1 / (1 + exp(-x))`. [`parse`](super::parse) reads it.
impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shared = Vec::new();
        let texts = self.texts(&mut shared);
        let outputs: Vec<&str> = self.outputs.iter().map(|&i| texts[i].0.as_str()).collect();
        match outputs[..] {
            [one] => write!(f, "{one}")?,
            _ => write!(f, "[{}]", outputs.join(", "))?,
        }
        if !shared.is_empty() {
            write!(f, " where {}", shared.join(", "))?;
        }
        Ok(())
    }
}
