//! The two machines that carry out a captured formula: on candle's arrays, and on tensors with a history.

use candle_core::{DType, Device};

use super::powers;
use super::where_cond::where_greater;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::formula::{Binary, Interpreter, Unary};

/// A value of a program: a number, or an array.
#[derive(Clone, Debug)]
pub(super) enum Value<A> {
    Number(f64),
    Array(A),
}

/// Runs a program as candle ops: any device, any float dtype.
pub(super) struct CandleOps {
    pub(super) op: &'static str,
}

impl Value<Array> {
    /// As an array like `like`, of shape `dims`.
    pub(super) fn into_array(self, like: &Array, dims: &[usize]) -> Result<Array> {
        match self {
            Value::Array(array) if array.dims() == dims => Ok(array),
            Value::Array(array) => Ok(array.broadcast_as(dims)?.contiguous()?),
            Value::Number(c) => Ok(Array::full(c, dims, like.device())?.to_dtype(like.dtype())?),
        }
    }

    /// As an array that broadcasts against `like`.
    fn spread(&self, like: &Array) -> Result<Array> {
        match self {
            Value::Array(array) => Ok(array.clone()),
            Value::Number(c) => Ok(Array::full(*c, (), like.device())?.to_dtype(like.dtype())?),
        }
    }
}

impl Interpreter for CandleOps {
    type Value = Value<Array>;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Value<Array>> {
        Ok(Value::Number(value))
    }

    fn unary(&mut self, f: Unary, a: &Value<Array>) -> Result<Value<Array>> {
        let x = match a {
            Value::Number(c) => return Ok(Value::Number(f.apply(*c))),
            Value::Array(x) => x,
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
            Unary::Floor => x.floor()?,
            Unary::Erfc | Unary::Atan | Unary::Round => on_the_cpu([x], |[x]| f.apply(x))?,
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
        Ok(Value::Array(y))
    }

    fn binary(&mut self, f: Binary, a: &Value<Array>, b: &Value<Array>) -> Result<Value<Array>> {
        use Value::{Array, Number};
        let like = match (a, b) {
            (Number(a), Number(b)) => return Ok(Number(f.apply(*a, *b))),
            (Array(x), _) | (_, Array(x)) => x,
        };
        if let (Binary::Pow, Array(x), Number(c)) = (f, a, b)
            && c.fract() == 0.0
            && c.abs() < f64::from(i32::MAX)
        {
            return self.unary(Unary::Powi(*c as i32), &Array(x.clone()));
        }
        let (a, b) = (a.spread(like)?, b.spread(like)?);
        Ok(Array(match f {
            Binary::Add => a.broadcast_add(&b)?,
            Binary::Sub => a.broadcast_sub(&b)?,
            Binary::Mul => a.broadcast_mul(&b)?,
            Binary::Div => a.broadcast_div(&b)?,
            Binary::Pow => a.broadcast_pow(&b)?,
            Binary::Rem => on_the_cpu([&a, &b], |[a, b]| f.apply(a, b))?,
            Binary::Max => a.broadcast_maximum(&b)?,
            Binary::Min => a.broadcast_minimum(&b)?,
        }))
    }

    fn select_gt(&mut self, [a, b, yes, no]: [&Value<Array>; 4]) -> Result<Value<Array>> {
        let like = [a, b, yes, no].into_iter().find_map(|x| match x {
            Value::Array(array) => Some(array),
            Value::Number(_) => None,
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
        Ok(Value::Array(a.gt(&b)?.where_cond(&yes, &no)?))
    }
}

/// What candle has no op for is computed in main memory, and moved back.
fn on_the_cpu<const N: usize>(inputs: [&Array; N], f: impl Fn([f64; N]) -> f64) -> Result<Array> {
    let mut dims = inputs[0].shape().clone();
    for x in &inputs[1..] {
        dims = dims.broadcast_shape_binary_op(x.shape(), "broadcast")?;
    }
    let mut numbers = [const { Vec::new() }; N];
    for (numbers, x) in numbers.iter_mut().zip(inputs) {
        let x = x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.broadcast_as(&dims)?;
        *numbers = x.flatten_all()?.to_vec1()?;
    }
    let values = (0..dims.elem_count()).map(|i| f(numbers.each_ref().map(|x| x[i]))).collect();
    let y = Array::from_vec(values, dims, &Device::Cpu)?;
    Ok(y.to_dtype(inputs[0].dtype())?.to_device(inputs[0].device())?)
}

/// Runs a program as tensor operations, which record themselves.
pub(super) struct RecordedOps;

impl Interpreter for RecordedOps {
    type Value = Value<Tensor>;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Value<Tensor>> {
        Ok(Value::Number(value))
    }

    fn unary(&mut self, f: Unary, a: &Value<Tensor>) -> Result<Value<Tensor>> {
        let x = match a {
            Value::Number(c) => return Ok(Value::Number(f.apply(*c))),
            Value::Array(x) => x,
        };
        let y = match f {
            Unary::Neg => x.neg(),
            Unary::Exp => x.exp(),
            Unary::ExpM1 => x.expm1(),
            Unary::Ln => x.ln(),
            Unary::Ln1p => x.log1p(),
            Unary::Sqrt => x.sqrt(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => x.sigmoid(),
            Unary::Erf => x.erf(),
            Unary::Erfc => x.erfc(),
            Unary::Atan => x.atan(),
            Unary::Floor => x.floor(),
            Unary::Round => x.round(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Abs => x.abs(),
            Unary::Signum => x.sign(),
            Unary::Recip => x.recip(),
            Unary::Powi(n) => super::apply(powers::Powi(n), [x]),
        };
        Ok(Value::Array(y?))
    }

    fn binary(&mut self, f: Binary, a: &Value<Tensor>, b: &Value<Tensor>) -> Result<Value<Tensor>> {
        use Value::{Array, Number};
        let y = match (f, a, b) {
            (f, Number(a), Number(b)) => return Ok(Number(f.apply(*a, *b))),
            (Binary::Add, Array(a), Array(b)) => a + b,
            (Binary::Add, Array(x), Number(c)) | (Binary::Add, Number(c), Array(x)) => x + *c,
            (Binary::Sub, Array(a), Array(b)) => a - b,
            (Binary::Sub, Array(x), Number(c)) => x - *c,
            (Binary::Sub, Number(c), Array(x)) => *c - x,
            (Binary::Mul, Array(a), Array(b)) => a * b,
            (Binary::Mul, Array(x), Number(c)) | (Binary::Mul, Number(c), Array(x)) => x * *c,
            (Binary::Div, Array(a), Array(b)) => a / b,
            (Binary::Div, Array(x), Number(c)) => x / *c,
            (Binary::Div, Number(c), Array(x)) => *c / x,
            (Binary::Pow, Array(x), Number(c)) => x.powf(*c),
            (Binary::Rem, Array(x), Number(c)) => x.rem(*c),
            (Binary::Max, Array(x), Number(c)) | (Binary::Max, Number(c), Array(x)) => x.maximum(*c),
            (Binary::Min, Array(x), Number(c)) | (Binary::Min, Number(c), Array(x)) => x.minimum(*c),
            (f, a, b) => {
                let (a, b) = both(a, b)?;
                match f {
                    Binary::Max => a.maximum(&b),
                    Binary::Min => a.minimum(&b),
                    Binary::Rem => a.rem(&b),
                    _ => a.pow(&b),
                }
            }
        };
        Ok(Array(y?))
    }

    fn select_gt(&mut self, [a, b, yes, no]: [&Value<Tensor>; 4]) -> Result<Value<Tensor>> {
        let (a, b) = both(a, b)?;
        let (yes, no) = both_like(yes, no, &a)?;
        Ok(Value::Array(where_greater(&a, &b, &yes, &no)?))
    }
}

/// Both as tensors; at least one is.
fn both(a: &Value<Tensor>, b: &Value<Tensor>) -> Result<(Tensor, Tensor)> {
    let like = match (a, b) {
        (Value::Array(x), _) | (_, Value::Array(x)) => x.clone(),
        (Value::Number(a), _) => Tensor::new(*a, &Device::Cpu)?,
    };
    both_like(a, b, &like)
}

fn both_like(a: &Value<Tensor>, b: &Value<Tensor>, like: &Tensor) -> Result<(Tensor, Tensor)> {
    let tensor = |operand: &Value<Tensor>| match operand {
        Value::Array(x) => Ok(x.clone()),
        Value::Number(c) => {
            let number = Array::full(*c, (), like.device())?;
            Ok::<_, Error>(Tensor::constant(number.to_dtype(like.dtype())?))
        }
    };
    Ok((tensor(a)?, tensor(b)?))
}
