//! [`Tape`]: a formula written down as a straight line of instructions.

use std::fmt;

use super::expr::{self, Expr};
use super::{Interpreter, Real};

/// A function of one number.
///
/// ```
/// # use tealight_kernels as tealight;
/// assert_eq!(tealight::formula::Unary::Recip.apply(4.0_f64), 0.25);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Unary {
    Neg,
    Exp,
    ExpM1,
    Ln,
    Ln1p,
    Sqrt,
    Tanh,
    Sigmoid,
    Erf,
    Erfc,
    Atan,
    Floor,
    Round,
    Sin,
    Cos,
    Abs,
    Signum,
    Recip,
    Powi(i32),
}

/// A function of two numbers.
///
/// ```
/// # use tealight_kernels as tealight;
/// assert_eq!(tealight::formula::Binary::Max.apply(2.0_f64, 3.0), 3.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Rem,
    Max,
    Min,
}

/// One instruction; operands are the indices of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Instruction {
    Input(usize),
    Constant(f64),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    /// `[a, b, yes, no]`: a > b ? yes : no
    Select([usize; 4]),
}

impl Instruction {
    pub(super) fn operands(&self) -> impl Iterator<Item = usize> + use<> {
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

/// A formula written down: what [`Expr`] records.
///
/// A program is read by a [`Interpreter`] (candle ops on any device; tensor ops with a history) or printed:
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Dual, Tape, Real};
/// fn softplus<R: Real>(x: R) -> R { x.exp().ln_1p() }
/// assert_eq!(Tape::capture(|[x]| [softplus(x)]).to_string(), "ln(1 + exp(x))");
/// let derivative = Tape::capture(|[x]| [softplus(Dual::variable(x)).slope()]);
/// assert_eq!(derivative.named(&["t"]).to_string(), "exp(t) / (1 + exp(t))");
/// ```
#[derive(Clone, Debug)]
pub struct Tape {
    pub(super) instructions: Vec<Instruction>,
    outputs: Vec<usize>,
    names: Vec<String>,
}

impl Tape {
    /// Records what `f` does to its N inputs.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Tape;
    /// assert_eq!(Tape::capture(|[a, b]| [a + b, a - b]).to_string(), "[a + b, a - b]");
    /// ```
    pub fn capture<const N: usize, const M: usize>(f: impl FnOnce([Expr; N]) -> [Expr; M]) -> Self {
        Self::capture_slice(N, |inputs| f(std::array::from_fn(|i| inputs[i])).to_vec())
    }

    /// [`capture`](Program::capture) for a number of inputs and outputs that is known at run time only.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Tape;
    /// assert_eq!(Tape::capture_slice(2, |x| vec![x[0] / x[1]]).to_string(), "a / b");
    /// ```
    pub fn capture_slice(inputs: usize, f: impl FnOnce(&[Expr]) -> Vec<Expr>) -> Self {
        // What follows is compiled once, and not for each formula.
        let mut f = Some(f);
        Self::captured(inputs, &mut |x| f.take().map(|f| f(x)).unwrap_or_default())
    }

    fn captured(inputs: usize, f: &mut dyn FnMut(&[Expr]) -> Vec<Expr>) -> Self {
        let (instructions, outputs) = expr::record(inputs, f);
        let names = match inputs {
            1 => vec!["x".to_string()],
            _ => (0..inputs).map(|i| char::from(b'a' + (i % 26) as u8).to_string()).collect(),
        };
        Tape { instructions, outputs, names }.without_dead_code(inputs)
    }

    /// Leaves out what no output needs: a dual number computes the value too, and often only the slope is asked for.
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

    /// The same program, with names for its inputs when it is printed.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// let ratio = tealight::formula::Tape::capture(|[a, b]| [a / b]);
    /// assert_eq!(ratio.named(&["mass", "volume"]).to_string(), "mass / volume");
    /// ```
    pub fn named(mut self, names: &[&str]) -> Self {
        for (own, name) in self.names.iter_mut().zip(names) {
            *own = (*name).to_string();
        }
        self
    }

    /// Carries the program out, one value for each output.
    ///
    /// # Errors
    /// Those of the machine.
    ///
    /// # Panics
    /// If there is another number of inputs than the program has.
    pub fn run<M: Interpreter>(
        &self,
        machine: &mut M,
        inputs: &[M::Value],
    ) -> Result<Vec<M::Value>, M::Error> {
        assert_eq!(inputs.len(), self.names.len(), "a tape takes one value for each of its inputs");
        let mut values: Vec<M::Value> = Vec::with_capacity(self.instructions.len());
        for instruction in &self.instructions {
            let value = match *instruction {
                Instruction::Input(i) => inputs[i].clone(),
                Instruction::Constant(c) => machine.constant(c)?,
                Instruction::Unary(f, a) => machine.unary(f, &values[a])?,
                Instruction::Binary(f, a, b) => machine.binary(f, &values[a], &values[b])?,
                Instruction::Select(ids) => machine.select_gt(ids.map(|i| &values[i]))?,
            };
            values.push(value);
        }
        Ok(self.outputs.iter().map(|&i| values[i].clone()).collect())
    }
}

impl Unary {
    /// f(x) of a number.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// assert_eq!(tealight::formula::Unary::Powi(3).apply(2.0_f64), 8.0);
    /// ```
    pub fn apply<R: Real>(self, x: R) -> R {
        match self {
            Unary::Neg => -x,
            Unary::Exp => x.exp(),
            Unary::ExpM1 => x.exp_m1(),
            Unary::Ln => x.ln(),
            Unary::Ln1p => x.ln_1p(),
            Unary::Sqrt => x.sqrt(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => x.sigmoid(),
            Unary::Erf => x.erf(),
            Unary::Erfc => x.erfc(),
            Unary::Atan => x.atan(),
            Unary::Floor => x.floor(),
            Unary::Round => x.round_ties_even(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Abs => x.abs(),
            Unary::Signum => x.signum(),
            Unary::Recip => x.recip(),
            Unary::Powi(n) => x.powi(n),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unary::Neg => "-",
            Unary::Exp => "exp",
            Unary::ExpM1 => "exp_m1",
            Unary::Ln => "ln",
            Unary::Ln1p => "ln_1p",
            Unary::Sqrt => "sqrt",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Erf => "erf",
            Unary::Erfc => "erfc",
            Unary::Atan => "atan",
            Unary::Floor => "floor",
            Unary::Round => "round",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Abs => "abs",
            Unary::Signum => "signum",
            Unary::Recip => "recip",
            Unary::Powi(_) => "powi",
        }
    }
}

impl Binary {
    /// f(a, b) of two numbers.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// assert_eq!(tealight::formula::Binary::Rem.apply(-5.5_f64, 2.0), 0.5);
    /// ```
    pub fn apply<R: Real>(self, a: R, b: R) -> R {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Pow => a.powf(b),
            Binary::Rem => a.rem(b),
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
        }
    }
}

/// How tightly an expression binds when printed: a sum, a product, a sign or power, an atom.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const SIGN: u8 = 3;
const ATOM: u8 = 4;

impl Tape {
    fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.instructions.len()];
        self.instructions.iter().flat_map(Instruction::operands).for_each(|i| uses[i] += 1);
        self.outputs.iter().for_each(|&i| uses[i] += 1);
        uses
    }

    /// The text of each instruction and how tightly it binds; a shared compound one gets a name, `t1`, and a line of its own.
    fn texts(&self, shared: &mut Vec<String>) -> Vec<(String, u8)> {
        let uses = self.uses();
        let mut texts: Vec<(String, u8)> = Vec::with_capacity(self.instructions.len());
        for (id, instruction) in self.instructions.iter().enumerate() {
            let within = |i: usize, least: u8| {
                let (text, level) = &texts[i];
                if *level < least { format!("({text})") } else { text.clone() }
            };
            let bare = |i: usize| within(i, 0);
            let (text, level) = match *instruction {
                Instruction::Input(i) => (self.names[i].clone(), ATOM),
                Instruction::Constant(c) if c < 0.0 => (format!("{c}"), SIGN),
                Instruction::Constant(c) => (format!("{c}"), ATOM),
                Instruction::Unary(Unary::Neg, a) => (format!("-{}", within(a, SIGN)), SIGN),
                Instruction::Unary(Unary::Abs, a) => (format!("|{}|", bare(a)), ATOM),
                Instruction::Unary(Unary::Recip, a) => (format!("1 / {}", within(a, SIGN)), PRODUCT),
                Instruction::Unary(Unary::Powi(n), a) => (format!("{}^{n}", within(a, ATOM)), SIGN),
                Instruction::Unary(f, a) => (format!("{}({})", f.name(), bare(a)), ATOM),
                Instruction::Binary(Binary::Add, a, b) => {
                    (format!("{} + {}", within(a, SUM), within(b, SUM)), SUM)
                }
                Instruction::Binary(Binary::Sub, a, b) => {
                    (format!("{} - {}", within(a, SUM), within(b, PRODUCT)), SUM)
                }
                Instruction::Binary(Binary::Mul, a, b) => {
                    (format!("{} * {}", within(a, PRODUCT), within(b, PRODUCT)), PRODUCT)
                }
                Instruction::Binary(Binary::Div, a, b) => {
                    (format!("{} / {}", within(a, PRODUCT), within(b, SIGN)), PRODUCT)
                }
                Instruction::Binary(Binary::Pow, a, b) => {
                    (format!("{}^{}", within(a, ATOM), within(b, ATOM)), SIGN)
                }
                Instruction::Binary(Binary::Rem, a, b) => (format!("rem({}, {})", bare(a), bare(b)), ATOM),
                Instruction::Binary(Binary::Max, a, b) => (format!("max({}, {})", bare(a), bare(b)), ATOM),
                Instruction::Binary(Binary::Min, a, b) => (format!("min({}, {})", bare(a), bare(b)), ATOM),
                Instruction::Select([a, b, yes, no]) => (
                    format!("({} > {} ? {} : {})", within(a, SUM), within(b, SUM), bare(yes), bare(no)),
                    ATOM,
                ),
            };
            // Without names the text of a program that shares its parts would grow exponentially.
            if uses[id] > 1 && text.len() > 12 {
                let name = format!("t{}", shared.len() + 1);
                shared.push(format!("{name} = {text}"));
                texts.push((name, ATOM));
            } else {
                texts.push((text, level));
            }
        }
        texts
    }
}

/// The formula in the usual notation: `1 / (1 + exp(-x))`.
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
