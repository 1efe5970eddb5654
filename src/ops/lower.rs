//! The two machines that carry out a captured formula: on candle's arrays, and on tensors with a history.

use super::where_cond::where_greater;
use super::{exp, extrema, powers, trig};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::formula::{Binary, Machine, Unary};

/// A value of a program: a number, or an array.
#[derive(Clone, Debug)]
pub(super) enum Operand<A> {
    Number(f64),
    Is(A),
}

/// Runs a program as candle ops: any device, any float dtype.
pub(super) struct Lower {
    pub(super) op: &'static str,
}

impl Operand<Array> {
    /// As an array like `like`, of shape `dims`.
    pub(super) fn into_array(self, like: &Array, dims: &[usize]) -> Result<Array> {
        match self {
            Operand::Is(array) if array.dims() == dims => Ok(array),
            Operand::Is(array) => Ok(array.broadcast_as(dims)?.contiguous()?),
            Operand::Number(c) => Ok(Array::full(c, dims, like.device())?.to_dtype(like.dtype())?),
        }
    }

    /// As an array that broadcasts against `like`.
    fn spread(&self, like: &Array) -> Result<Array> {
        match self {
            Operand::Is(array) => Ok(array.clone()),
            Operand::Number(c) => Ok(Array::full(*c, (), like.device())?.to_dtype(like.dtype())?),
        }
    }
}

impl Machine for Lower {
    type Value = Operand<Array>;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Operand<Array>> {
        Ok(Operand::Number(value))
    }

    fn unary(&mut self, f: Unary, a: &Operand<Array>) -> Result<Operand<Array>> {
        let x = match a {
            Operand::Number(c) => return Ok(Operand::Number(f.apply(*c))),
            Operand::Is(x) => x,
        };
        let y = match f {
            Unary::Neg => x.neg()?,
            Unary::Exp => x.exp()?,
            Unary::ExpM1 => {
                // 2 sinh(x/2) exp(x/2) = tanh(x/2) (exp(x) + 1): no cancellation near 0; for x > 1 there is none anyway.
                let near = (x * 0.5)?.tanh()?.mul(&(x.exp()? + 1.0)?)?;
                x.gt(1.0)?.where_cond(&(x.exp()? - 1.0)?, &near)?
            }
            Unary::Ln => x.log()?,
            Unary::Ln1p => {
                // Kahan: ln(u)·x/(u − 1) with u = 1 + x rounded, which cancels the rounding.
                let u = (x + 1.0)?;
                let rounded = (&u - 1.0)?;
                let near = u.log()?.mul(x)?.div(&rounded)?;
                let big = x.gt(1.0)?.where_cond(&u.log()?, &near)?;
                rounded.eq(0.0)?.where_cond(x, &big)?
            }
            Unary::Sqrt => x.sqrt()?,
            Unary::Tanh => x.tanh()?,
            Unary::Sigmoid => (x.neg()?.exp()? + 1.0)?.recip()?,
            Unary::Erf => x.erf()?,
            Unary::Sin => x.sin()?,
            Unary::Cos => x.cos()?,
            Unary::Abs => x.abs()?,
            Unary::Signum => x.sign()?,
            Unary::Recip => x.recip()?,
            Unary::Powi(n) => {
                let power = x.abs()?.powf(f64::from(n))?;
                if n % 2 == 0 { power } else { power.mul(&x.sign()?)? }
            }
        };
        Ok(Operand::Is(y))
    }

    fn binary(&mut self, f: Binary, a: &Operand<Array>, b: &Operand<Array>) -> Result<Operand<Array>> {
        use Operand::{Is, Number};
        let like = match (a, b) {
            (Number(a), Number(b)) => return Ok(Number(f.apply(*a, *b))),
            (Is(x), _) | (_, Is(x)) => x,
        };
        if let (Binary::Pow, Is(x), Number(c)) = (f, a, b)
            && c.fract() == 0.0
            && c.abs() < f64::from(i32::MAX)
        {
            return self.unary(Unary::Powi(*c as i32), &Is(x.clone()));
        }
        let (a, b) = (a.spread(like)?, b.spread(like)?);
        Ok(Is(match f {
            Binary::Add => a.broadcast_add(&b)?,
            Binary::Sub => a.broadcast_sub(&b)?,
            Binary::Mul => a.broadcast_mul(&b)?,
            Binary::Div => a.broadcast_div(&b)?,
            Binary::Pow => a.broadcast_pow(&b)?,
            Binary::Max => a.broadcast_maximum(&b)?,
            Binary::Min => a.broadcast_minimum(&b)?,
        }))
    }

    fn select_gt(&mut self, [a, b, yes, no]: [&Operand<Array>; 4]) -> Result<Operand<Array>> {
        let like = [a, b, yes, no].into_iter().find_map(|x| match x {
            Operand::Is(array) => Some(array),
            Operand::Number(_) => None,
        });
        let like =
            like.ok_or_else(|| Error::argument(self.op, "a formula of its input", "constants only"))?;
        let all = [a.spread(like)?, b.spread(like)?, yes.spread(like)?, no.spread(like)?];
        let mut dims = all[0].shape().clone();
        for x in &all[1..] {
            dims = dims.broadcast_shape_binary_op(x.shape(), self.op)?;
        }
        let [a, b, yes, no] = &all;
        let [a, b] = [a.broadcast_as(&dims)?, b.broadcast_as(&dims)?];
        let (yes, no) = (yes.broadcast_as(&dims)?, no.broadcast_as(&dims)?);
        Ok(Operand::Is(a.gt(&b)?.where_cond(&yes, &no)?))
    }
}

/// Runs a program as tensor operations, which record themselves.
pub(super) struct Record;

impl Machine for Record {
    type Value = Operand<Tensor>;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Operand<Tensor>> {
        Ok(Operand::Number(value))
    }

    fn unary(&mut self, f: Unary, a: &Operand<Tensor>) -> Result<Operand<Tensor>> {
        let x = match a {
            Operand::Number(c) => return Ok(Operand::Number(f.apply(*c))),
            Operand::Is(x) => x,
        };
        let y = match f {
            Unary::Neg => x.neg(),
            Unary::Exp => x.exp(),
            Unary::ExpM1 => super::apply(exp::ExpM1, [x]),
            Unary::Ln => x.ln(),
            Unary::Ln1p => super::apply(exp::Ln1p, [x]),
            Unary::Sqrt => x.sqrt(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => x.sigmoid(),
            Unary::Erf => x.erf(),
            Unary::Sin => super::apply(trig::Sin, [x]),
            Unary::Cos => super::apply(trig::Cos, [x]),
            Unary::Abs => x.abs(),
            Unary::Signum => super::apply(extrema::Sign, [x]),
            Unary::Recip => x.recip(),
            Unary::Powi(n) => super::apply(powers::Powi(n), [x]),
        };
        Ok(Operand::Is(y?))
    }

    fn binary(&mut self, f: Binary, a: &Operand<Tensor>, b: &Operand<Tensor>) -> Result<Operand<Tensor>> {
        use Operand::{Is, Number};
        let y = match (f, a, b) {
            (f, Number(a), Number(b)) => return Ok(Number(f.apply(*a, *b))),
            (Binary::Add, Is(a), Is(b)) => a + b,
            (Binary::Add, Is(x), Number(c)) | (Binary::Add, Number(c), Is(x)) => x + *c,
            (Binary::Sub, Is(a), Is(b)) => a - b,
            (Binary::Sub, Is(x), Number(c)) => x - *c,
            (Binary::Sub, Number(c), Is(x)) => *c - x,
            (Binary::Mul, Is(a), Is(b)) => a * b,
            (Binary::Mul, Is(x), Number(c)) | (Binary::Mul, Number(c), Is(x)) => x * *c,
            (Binary::Div, Is(a), Is(b)) => a / b,
            (Binary::Div, Is(x), Number(c)) => x / *c,
            (Binary::Div, Number(c), Is(x)) => *c / x,
            (Binary::Pow, Is(x), Number(c)) => x.powf(*c),
            (f, a, b) => {
                let (a, b) = both(a, b)?;
                match f {
                    Binary::Max => a.maximum(&b),
                    Binary::Min => a.minimum(&b),
                    _ => a.pow(&b),
                }
            }
        };
        Ok(Is(y?))
    }

    fn select_gt(&mut self, [a, b, yes, no]: [&Operand<Tensor>; 4]) -> Result<Operand<Tensor>> {
        let (a, b) = both(a, b)?;
        let (yes, no) = both_like(yes, no, &a)?;
        Ok(Operand::Is(where_greater(&a, &b, &yes, &no)?))
    }
}

/// Both as tensors; at least one is.
fn both(a: &Operand<Tensor>, b: &Operand<Tensor>) -> Result<(Tensor, Tensor)> {
    let like = match (a, b) {
        (Operand::Is(x), _) | (_, Operand::Is(x)) => x.clone(),
        (Operand::Number(a), _) => Tensor::new(*a, &candle_core::Device::Cpu)?,
    };
    both_like(a, b, &like)
}

fn both_like(a: &Operand<Tensor>, b: &Operand<Tensor>, like: &Tensor) -> Result<(Tensor, Tensor)> {
    let tensor = |operand: &Operand<Tensor>| match operand {
        Operand::Is(x) => Ok(x.clone()),
        Operand::Number(c) => {
            let number = Array::full(*c, (), like.device())?;
            Ok::<_, Error>(Tensor::constant(number.to_dtype(like.dtype())?))
        }
    };
    Ok((tensor(a)?, tensor(b)?))
}
