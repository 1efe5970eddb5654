//! [`parse`], which reads a formula from a text.

use std::fmt;
use std::sync::Arc;

use super::tape::whole;
use super::{Expr, Real, Tape};
use crate::elementary;

/// The longest text, in bytes.
const MAX_LENGTH: usize = 4096;
/// The deepest nesting of brackets, signs and powers.
const MAX_DEPTH: usize = 64;

/// Reads a formula of the named inputs, such as `x*tanh(ln(1 + exp(x)))`.
///
/// | text | meaning |
/// |---|---|
/// | `1`, `2.5`, `1e-3`, `pi`, `e`, `inf`, `NaN` | constants |
/// | `a + b`, `a - b`, `a * b`, `a / b`, `-a` | arithmetic, with the usual precedence |
/// | `a^b` | a power. It binds more than a sign, from the right: `-x^2` is −(x²), `a^b^c` is a^(b^c). A constant whole exponent is [`powi`](Real::powi), any other [`powf`](Real::powf) |
/// | `exp(a)`, `ln(a)`, `tanh(a)`, … | every function of [`Real`] by its name there, in tealight's tensors or in a printed formula: `ln_1p` and `log1p` |
/// | `max(a, b)`, `min(a, b)`, `remainder(a, b)`, `powf(a, b)` | functions of two numbers |
/// | `\|a\|` | [`abs`](Real::abs) |
/// | `(a > b ? c : d)`, `(a < b ? c : d)` | a choice: [`select_gt`](Real::select_gt) |
/// | `a * a where a = exp(x), …` | names for parts; a later definition can use earlier ones |
///
/// What [`Tape`] prints for one output is read back as the same formula. Constants are computed in `f64` while the text is read. Errors if the text is no
/// formula, is longer than 4,096 bytes or nests deeper than 64 levels.
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Dual, parse};
/// let mish = parse("x * tanh(ln(1 + exp(x)))", ["x"]).unwrap();
/// assert_eq!(mish.value([0.0]), 0.0);
/// assert!((mish.value([Dual::variable(0.0_f64)]).slope() - 0.6).abs() < 1e-15);
/// let error = parse("x * tanh(", ["x"]).unwrap_err();
/// assert_eq!(error.to_string(), "parse: expected a number, a name or '(', got the end at column 10");
/// ```
pub fn parse<const N: usize>(text: &str, inputs: [&str; N]) -> Result<Parsed<N>, ParseError> {
    let tape = tape(text, &inputs)?.named(&inputs);
    Ok(Parsed { tape: Arc::new(tape) })
}

/// A formula of N inputs that [`parse`] read.
///
/// `Display` prints it. In tealight, a formula of one input is an `Activation`, one of two or three a `Formula`.
#[derive(Clone, Debug)]
pub struct Parsed<const N: usize> {
    tape: Arc<Tape>,
}

impl<const N: usize> Parsed<N> {
    /// f(x), with any kind of number.
    pub fn value<R: Real>(&self, x: [R; N]) -> R {
        self.tape.eval(&x)[0]
    }
}

impl<const N: usize> fmt::Display for Parsed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tape.fmt(f)
    }
}

/// Why a text is no formula, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    /// What can stand there.
    pub expected: String,
    /// What stands there.
    pub got: String,
    /// The place in the text, in characters, from 1.
    pub column: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse: expected {}, got {} at column {}", self.expected, self.got, self.column)
    }
}

impl std::error::Error for ParseError {}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Number(f64),
    Name(&'a str),
    Sign(char),
    End,
}

/// A token, its text, and where it begins, in characters from 0.
type Placed<'a> = (Token<'a>, &'a str, usize);

fn error<T>(expected: impl Into<String>, (token, text, column): Placed) -> Result<T, ParseError> {
    let got = if token == Token::End { "the end".into() } else { format!("'{text}'") };
    Err(ParseError { expected: expected.into(), got, column: column + 1 })
}

fn tokens(text: &str) -> Result<Vec<Placed<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let (mut rest, mut column) = (text, 0);
    while let Some(first) = rest.chars().next() {
        let name = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '0'..='9' | '.' => number(rest.as_bytes()),
            _ if name(first) => rest.find(|c| !name(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        let place = |token| (token, word, column);
        match first {
            '0'..='9' | '.' => match word.parse() {
                Ok(value) if f64::is_finite(value) => tokens.push(place(Token::Number(value))),
                Ok(_) => return error("a number below 1.8e308", place(Token::Sign(first))),
                Err(_) => return error("a number", place(Token::Sign(first))),
            },
            _ if name(first) => tokens.push(place(Token::Name(word))),
            _ if first.is_whitespace() => {}
            _ if "+-*/^()|,?:><=".contains(first) => tokens.push(place(Token::Sign(first))),
            _ => {
                return error(
                    "a number, a name or one of + - * / ^ ( ) | , > < ? : =",
                    place(Token::Sign(first)),
                );
            }
        }
        column += word.chars().count();
        rest = after;
    }
    tokens.push((Token::End, "", column));
    Ok(tokens)
}

/// The length of the number at the start: digits, a point, an exponent.
fn number(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut length = digits(0);
    if text.get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let exponent = text.get(length + 1 + sign..).map_or(0, |_| digits(length + 1 + sign));
        length += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    length
}

macro_rules! function {
    ($name:ident $x:ident $($(#[$_:meta])* $method:ident $_variant:ident $printed:literal $tensor:ident $_kernels:tt $_slope:tt;)*) => {
        $(if [stringify!($method), $printed, stringify!($tensor)].contains(&$name) { Some($x.$method()) } else)* { None }
    };
}

/// A function of one number by its name.
fn unary(name: &str, x: Expr) -> Option<Expr> {
    elementary!(function name x)
}

fn binary(name: &str, a: Expr, b: Expr) -> Option<Expr> {
    Some(match name {
        "max" => a.maximum(b),
        "min" => a.minimum(b),
        "remainder" => a.remainder(b),
        "powf" => a.powf(b),
        _ => return None,
    })
}

/// a^b: `powi` where b is a constant that an `i32` holds.
fn power(a: Expr, b: Expr) -> Expr {
    b.known().and_then(whole).map_or_else(|| a.powf(b), |n| a.powi(n))
}

fn constant(name: &str) -> Option<f64> {
    Some(match name {
        "pi" => std::f64::consts::PI,
        "e" => std::f64::consts::E,
        "inf" => f64::INFINITY,
        "NaN" => f64::NAN,
        _ => return None,
    })
}

fn tape(text: &str, inputs: &[&str]) -> Result<Tape, ParseError> {
    if text.len() > MAX_LENGTH {
        let (expected, got) = (format!("at most {MAX_LENGTH} bytes"), format!("{} bytes", text.len()));
        return Err(ParseError { expected, got, column: 1 });
    }
    let tokens = tokens(text)?;
    let mut failure = None;
    let tape = Tape::capture_slice(inputs.len(), |values| {
        let names = inputs.iter().copied().zip(values.iter().copied()).collect();
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, names };
        parser.whole().map_or_else(
            |error| {
                failure = Some(error);
                Vec::new()
            },
            |value| vec![value],
        )
    });
    failure.map_or(Ok(tape), Err)
}

/// Reads tokens and records what they say.
struct Parser<'t, 'a> {
    tokens: &'t [Placed<'a>],
    at: usize,
    depth: usize,
    names: Vec<(&'a str, Expr)>,
}

impl<'a> Parser<'_, 'a> {
    fn next(&self) -> Placed<'a> {
        *self.tokens.get(self.at).or(self.tokens.last()).expect("the last token is the end")
    }

    /// Whether the next token is this one, which is taken then.
    fn takes(&mut self, token: Token) -> bool {
        let found = self.next().0 == token;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: char, expected: &str) -> Result<(), ParseError> {
        if self.takes(Token::Sign(sign)) { Ok(()) } else { error(expected, self.next()) }
    }

    /// One level deeper.
    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth == MAX_DEPTH {
            return error(format!("at most {MAX_DEPTH} levels of brackets, signs and powers"), self.next());
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// A formula, and after `where` the names in it, which are read first.
    fn whole(&mut self) -> Result<Expr, ParseError> {
        let tokens = self.tokens;
        let body =
            tokens.iter().position(|(token, ..)| *token == Token::Name("where")).unwrap_or(tokens.len());
        self.at = body + 1;
        while self.at < tokens.len() {
            let place = self.next();
            let Token::Name(name) = place.0 else { return error("a name to define", place) };
            if self.known(name) {
                return error("a new name", place);
            }
            self.at += 1;
            self.expect('=', "'='")?;
            let value = self.choice()?;
            self.names.push((name, value));
            match self.next().0 {
                Token::End => break,
                _ => self.expect(',', "an operator, ',' or the end")?,
            }
        }
        self.at = 0;
        let value = self.choice()?;
        let place = self.next();
        if place.0 == Token::End || self.at == body {
            Ok(value)
        } else {
            error("an operator or the end", place)
        }
    }

    fn known(&self, name: &str) -> bool {
        self.names.iter().any(|(known, _)| *known == name) || constant(name).is_some() || name == "where"
    }

    /// `a > b ? yes : no`, or a sum.
    fn choice(&mut self) -> Result<Expr, ParseError> {
        let left = self.sum()?;
        let swapped = self.next().0 == Token::Sign('<');
        if !swapped && self.next().0 != Token::Sign('>') {
            return Ok(left);
        }
        self.at += 1;
        let right = self.sum()?;
        self.expect('?', "an operator or '?'")?;
        let yes = self.deeper(Self::choice)?;
        self.expect(':', "an operator or ':'")?;
        let no = self.deeper(Self::choice)?;
        let (high, low) = if swapped { (right, left) } else { (left, right) };
        Ok(high.select_gt(low, yes, no))
    }

    fn sum(&mut self) -> Result<Expr, ParseError> {
        let mut value = self.product()?;
        loop {
            value = match self.next().0 {
                Token::Sign('+') => value + self.after_sign(Self::product)?,
                Token::Sign('-') => value - self.after_sign(Self::product)?,
                _ => return Ok(value),
            };
        }
    }

    fn product(&mut self) -> Result<Expr, ParseError> {
        let mut value = self.signed()?;
        loop {
            value = match self.next().0 {
                Token::Sign('*') => value * self.after_sign(Self::signed)?,
                Token::Sign('/') => value / self.after_sign(Self::signed)?,
                _ => return Ok(value),
            };
        }
    }

    /// Takes a sign, and what `f` reads after it.
    fn after_sign<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        self.at += 1;
        f(self)
    }

    fn signed(&mut self) -> Result<Expr, ParseError> {
        match self.next().0 {
            Token::Sign('-') => Ok(-self.after_sign(|parser| parser.deeper(Self::signed))?),
            Token::Sign('+') => self.after_sign(|parser| parser.deeper(Self::signed)),
            _ => self.power(),
        }
    }

    fn power(&mut self) -> Result<Expr, ParseError> {
        let base = self.atom()?;
        if !self.takes(Token::Sign('^')) {
            return Ok(base);
        }
        let exponent = self.deeper(Self::signed)?;
        Ok(power(base, exponent))
    }

    fn atom(&mut self) -> Result<Expr, ParseError> {
        let place = self.next();
        self.at += 1;
        match place.0 {
            Token::Number(value) => Ok(Expr::constant(value)),
            Token::Name(name) => self.name(name, place),
            Token::Sign('(') => {
                let value = self.deeper(Self::choice)?;
                self.expect(')', "an operator or ')'")?;
                Ok(value)
            }
            Token::Sign('|') => {
                let value = self.deeper(Self::choice)?;
                self.expect('|', "an operator or '|'")?;
                Ok(value.abs())
            }
            _ => error("a number, a name or '('", place),
        }
    }

    fn name(&mut self, name: &'a str, place: Placed) -> Result<Expr, ParseError> {
        if let Some((_, value)) = self.names.iter().find(|(known, _)| *known == name) {
            return Ok(*value);
        }
        if let Some(value) = constant(name) {
            return Ok(Expr::constant(value));
        }
        if !self.takes(Token::Sign('(')) {
            // A function without its argument is known, anything else is not.
            let x = Expr::constant(0.0);
            if unary(name, x).or(binary(name, x, x)).is_some() {
                return error(format!("'(' after {name}"), self.next());
            }
            let inputs: Vec<&str> = self.names.iter().map(|(name, _)| *name).collect();
            return error(["a function, a constant", &inputs.join(", ")].join(" or "), place);
        }
        let first = self.deeper(Self::choice)?;
        if let Some(value) = unary(name, first) {
            self.expect(')', "an operator or ')'")?;
            return Ok(value);
        }
        if binary(name, first, first).is_none() {
            return error("a function, such as exp, ln, tanh, sqrt, sin or max", place);
        }
        self.expect(',', "an operator or ','")?;
        let second = self.deeper(Self::choice)?;
        self.expect(')', "an operator or ')'")?;
        binary(name, first, second).map_or_else(|| error("a function", place), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::{Binary, Dual, Interpreter, Jet, Unary};

    fn value(text: &str, x: f64) -> f64 {
        parse(text, ["x"]).unwrap_or_else(|error| panic!("{text}: {error}")).value([x])
    }

    /// What Python says of the same text, with `**` for `^`.
    #[test]
    fn precedence() {
        let table = [
            ("-x^2", -4.0),
            ("2^-x", 0.25),
            ("2^x^3", 256.0),
            ("x^2^3", 256.0),
            ("(x^2)^3", 64.0),
            ("x^-2", 0.25),
            ("-x^-2", -0.25),
            ("8/x/2", 2.0),
            ("8-x-2", 4.0),
            ("8-x*3", 2.0),
            ("8/-x*2", -8.0),
            ("--x", 2.0),
            ("+x - -3", 5.0),
            ("1e1+.5+2.", 12.5),
            ("2e", f64::NAN),
            ("(x > 1 ? 3 : 4) + (x < 1 ? 3 : 4)", 7.0),
            ("x > 1 ? x < 3 ? 5 : 6 : 7", 5.0),
            ("||x - 5| - 1| * |-x|", 4.0),
            ("remainder(-7, x) + max(x, 3) + min(x, 1) + powf(x, 3)", 13.0),
            ("expm1(0) + exp_m1(0) + ln_1p(0) + log1p(0) + sign(x) + round(2.5)", 3.0),
            ("a * b where a = x + 1, b = a * 2", 18.0),
            ("e - 2.718281828459045 + cos(pi)", -1.0),
        ];
        for (text, expected) in table {
            match expected.is_nan() {
                true => assert!(parse(text, ["x"]).is_err(), "{text}"),
                false => assert_eq!(value(text, 2.0), expected, "{text}"),
            }
        }
        assert_eq!(value("-0", 0.0).to_bits(), (-0.0_f64).to_bits());
        assert_eq!(value("x^(-0)", f64::NAN), 1.0);
        assert_eq!(value("1/inf", 0.0), 0.0);
        assert!(value("NaN", 0.0).is_nan());
    }

    #[test]
    fn every_function_has_its_names() {
        macro_rules! names {
            ($($(#[$_:meta])* $method:ident $_variant:ident $printed:literal $tensor:ident $_kernels:tt $_slope:tt;)*) => {
                $(for name in [stringify!($method), $printed, stringify!($tensor)] {
                    let parsed = parse(&format!("{name}(x)"), ["x"]).unwrap();
                    for x in [-1.5, 0.0, 0.3, 2.5, f64::INFINITY] {
                        let (ours, theirs) = (parsed.value([x]), Real::$method(x));
                        assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{name}({x})");
                        let (ours, theirs) = (parsed.value([Dual::variable(x)]).slope(), Dual::variable(x).$method().slope());
                        assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{name}′({x})");
                    }
                })*
            };
        }
        elementary!(names);
        let y = parse("x^3 + a", ["x", "a"]).unwrap().value([Jet::<f64, 3>::variable(2.0), Jet::fixed(1.0)]);
        assert_eq!([0, 1, 2, 3].map(|k| y.derivative(k)), [9.0, 12.0, 12.0, 6.0]);
    }

    #[test]
    fn errors_point_at_the_character() {
        let table = [
            ("", "a number, a name or '(', got the end at column 1"),
            ("x +", "a number, a name or '(', got the end at column 4"),
            ("x + * 2", "a number, a name or '(', got '*' at column 5"),
            ("x x", "an operator or the end, got 'x' at column 3"),
            ("2x", "an operator or the end, got 'x' at column 2"),
            ("(x", "an operator or ')', got the end at column 3"),
            ("x)", "an operator or the end, got ')' at column 2"),
            ("|x", "an operator or '|', got the end at column 3"),
            ("tanh x", "'(' after tanh, got 'x' at column 6"),
            ("é + x", "a function, a constant or x, got 'é' at column 1"),
            ("π·y", "a number, a name or one of + - * / ^ ( ) | , > < ? : =, got '·' at column 2"),
            ("softly(x)", "a function, such as exp, ln, tanh, sqrt, sin or max, got 'softly' at column 1"),
            ("max(x)", "an operator or ',', got ')' at column 6"),
            ("exp(x, 2)", "an operator or ')', got ',' at column 6"),
            ("x > 1", "an operator or '?', got the end at column 6"),
            ("x > 1 ? 2", "an operator or ':', got the end at column 10"),
            ("1.2.3", "an operator or the end, got '.3' at column 4"),
            ("x + .", "a number, got '.' at column 5"),
            ("1e999", "a number below 1.8e308, got '1e999' at column 1"),
            ("x where", "a name to define, got the end at column 8"),
            ("x where x = 2", "a new name, got 'x' at column 9"),
            ("t where t 2", "'=', got '2' at column 11"),
            ("t where t = 2 3", "an operator, ',' or the end, got '3' at column 15"),
            ("x where t = u, u = 2", "a function, a constant or x, got 'u' at column 13"),
            ("x, 2", "an operator or the end, got ',' at column 2"),
            ("x^", "a number, a name or '(', got the end at column 3"),
            ("[x]", "a number, a name or one of + - * / ^ ( ) | , > < ? : =, got '[' at column 1"),
        ];
        for (text, expected) in table {
            let error = parse(text, ["x"]).unwrap_err().to_string();
            assert_eq!(error, format!("parse: expected {expected}"), "{text:?}");
        }
    }

    #[test]
    fn length_and_depth_have_limits() {
        let nested = |n| format!("{}x{}", "(".repeat(n), ")".repeat(n));
        assert_eq!(value(&nested(MAX_DEPTH), 3.0), 3.0);
        for deep in [
            nested(MAX_DEPTH + 1),
            "-".repeat(4000) + "x",
            "x^".repeat(2000) + "x",
            "exp(".repeat(1000),
            "x>1?".repeat(900),
        ] {
            let error = parse(&deep, ["x"]).unwrap_err().to_string();
            assert!(error.starts_with("parse: expected at most 64 levels"), "{error}");
        }
        assert_eq!(value(&("x+".repeat(2000) + "x"), 1.0), 2001.0);
        let error = parse(&"x+".repeat(2049), ["x"]).unwrap_err().to_string();
        assert_eq!(error, "parse: expected at most 4096 bytes, got 4098 bytes at column 1");
    }

    /// Gives each different part of a formula a number, whatever the order of its instructions.
    #[derive(Default)]
    struct Parts(std::collections::HashMap<String, usize>);

    impl Parts {
        fn number(&mut self, part: String) -> Result<usize, std::convert::Infallible> {
            let next = self.0.len();
            Ok(*self.0.entry(part).or_insert(next))
        }
    }

    impl Interpreter for Parts {
        type Value = usize;
        type Error = std::convert::Infallible;
        fn constant(&mut self, value: f64) -> Result<usize, Self::Error> {
            self.number(if value.is_nan() { "NaN".into() } else { format!("{:x}", value.to_bits()) })
        }
        fn unary(&mut self, f: Unary, a: &usize) -> Result<usize, Self::Error> {
            self.number(format!("{f:?} {a}"))
        }
        fn binary(&mut self, f: Binary, a: &usize, b: &usize) -> Result<usize, Self::Error> {
            self.number(format!("{f:?} {a} {b}"))
        }
        fn select_gt(&mut self, operands: [&usize; 4]) -> Result<usize, Self::Error> {
            self.number(format!("{operands:?}"))
        }
    }

    fn assert_read_back(tape: &Tape) {
        let names = ["x", "t1"];
        let tape = tape.clone().named(&names);
        let again = parse(&tape.to_string(), names).unwrap_or_else(|e| panic!("{tape}: {e}"));
        let mut parts = Parts::default();
        let inputs = [0, 1].map(|i| parts.number(format!("input {i}")).unwrap());
        let structure = [&tape, &*again.tape].map(|tape| tape.run(&mut parts, &inputs).unwrap());
        assert_eq!(structure[0], structure[1], "{tape} is read as {again}");
        for x in [[-2.5, 3.0], [-0.0, 0.5], [0.5, -1.0], [3.0, f64::INFINITY]] {
            let (ours, theirs): (f64, f64) = (again.value(x), tape.eval(&x)[0]);
            assert!(
                ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(),
                "{tape} at {x:?}: {ours}, {theirs}"
            );
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let formulas: [fn(Expr, Expr) -> Expr; 14] = [
            |x, _| x - (x - Expr::constant(2.0)),
            |x, y| x - (y + x),
            |x, y| x + (y + x.exp()),
            |x, y| x * (y / (x * y)),
            |x, y| x * (y * x) + x.powf(Expr::constant(2.0)),
            |x, _| -(x + Expr::constant(1.0)).powi(-2) / (x / x),
            |x, _| x.select_gt(Expr::constant(0.0), x, -x).recip().abs(),
            |x, _| x.maximum(Expr::constant(-1.5)).abs().remainder(x.floor().round_ties_even()),
            |x, _| x.powf(Expr::constant(-0.0)) + x.powf(-x) - Expr::constant(-1.5).powf(x),
            |x, y| (0..20).fold(x, |x, _| (x + x.exp()) * y),
            |x, _| x * Expr::constant(1e-300) + Expr::constant(f64::INFINITY) - Expr::constant(f64::NAN),
            |x, _| (Dual::variable(Dual::variable(x)).tanh() * Dual::constant(3.0)).slope().slope(),
            |x, _| x.erfc().exp_m1().ln_1p().sqrt().erf().cos().sin().atan().sigmoid().signum(),
            |x, _| Expr::constant(1.0) / x / (Expr::constant(1.0) / -x),
        ];
        for f in formulas {
            assert_read_back(&Tape::capture(|[x, y]| [f(x, y)]));
        }
    }

    /// A formula of each operation, drawn.
    #[test]
    fn what_is_printed_of_random_formulas_is_read_back() {
        fn draw(state: &mut u64, below: usize) -> usize {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) as usize % below
        }
        macro_rules! functions {
            ($x:ident $chosen:ident $($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {{
                let functions: &[fn(Expr) -> Expr] = &[$(|x| x.$method()),*];
                functions[$chosen % functions.len()]($x)
            }};
        }
        for seed in 0..3000 {
            let state = &mut (seed * 7919);
            let tape = Tape::capture(|[x, y]| {
                let mut parts = vec![x, y];
                parts.extend([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, 1e-9, 1e20].map(Expr::constant));
                for _ in 0..12 {
                    // Often the latest, so that operations nest.
                    let mut any = || match draw(state, 2) {
                        0 => parts[parts.len() - 1],
                        _ => parts[draw(state, parts.len())],
                    };
                    let (a, b, c, d) = (any(), any(), any(), any());
                    let chosen = draw(state, 100);
                    parts.push(match draw(state, 14) {
                        0 => -a,
                        1 => a.powi(chosen as i32 % 7 - 3),
                        2 => a.powf(b),
                        3 => a.maximum(b),
                        4 => a.minimum(b),
                        5 => a.remainder(b),
                        6 => a.select_gt(b, c, d),
                        7 => elementary!(functions a chosen),
                        8 | 9 => a * b,
                        10 => a / b,
                        11 | 12 => a - b,
                        _ => a + b,
                    });
                }
                [parts[parts.len() - 1]]
            });
            assert_read_back(&tape);
        }
    }
}
