//! The two interpreters of a formula's tape: candle ops on arrays, and recorded ops on tensors.

use candle_core::Device;

use super::powers;
use super::where_cond::where_greater;
use crate::autograd::array::numbers;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::formula::{Binary, Interpreter, Tape, Unary, elementary};

/// A value on a tape. Constants are folded when a tape is captured, so operations have at least one array.
#[derive(Clone, Debug)]
pub(super) enum Value<A> {
    Scalar(f64),
    Array(A),
}

/// Runs a tape as candle ops, on any device and for any float dtype.
pub(super) struct CandleOps;

impl<A> Value<A> {
    fn array(&self) -> Option<&A> {
        match self {
            Value::Array(array) => Some(array),
            Value::Scalar(_) => None,
        }
    }
}

/// The first array among the operands.
fn first_array<A, const N: usize>(operands: [&Value<A>; N]) -> &A {
    operands.into_iter().find_map(Value::array).expect("constants are folded when a tape is captured")
}

impl Value<Array> {
    /// As an array of shape `dims`, with the dtype and device of `like`.
    pub(super) fn into_array(self, like: &Array, dims: &[usize]) -> Result<Array> {
        match self {
            Value::Array(array) if array.dims() == dims => Ok(array),
            Value::Array(array) => Ok(array.broadcast_as(dims)?.contiguous()?),
            Value::Scalar(c) => Ok(Array::full(c, dims, like.device())?.to_dtype(like.dtype())?),
        }
    }

    /// As an array that broadcasts with `like`.
    fn broadcastable(&self, like: &Array) -> Result<Array> {
        match self {
            Value::Array(array) => Ok(array.clone()),
            Value::Scalar(c) => scalar_like(*c, like),
        }
    }
}

fn scalar_like(c: f64, like: &Array) -> Result<Array> {
    Ok(Array::full(c, (), like.device())?.to_dtype(like.dtype())?)
}

impl Interpreter for CandleOps {
    type Value = Value<Array>;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Value<Array>> {
        Ok(Value::Scalar(value))
    }

    fn unary(&mut self, f: Unary, a: &Value<Array>) -> Result<Value<Array>> {
        let x = first_array([a]);
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
            Unary::Sin => x.sin()?,
            Unary::Cos => x.cos()?,
            Unary::Abs => x.abs()?,
            Unary::Signum => x.sign()?,
            Unary::Recip => x.recip()?,
            Unary::Powi(n) => {
                let power = x.abs()?.powf(f64::from(n))?;
                if n % 2 == 0 { power } else { power.mul(&x.sign()?)? }
            }
            // candle has no operation for the rest.
            _ => on_the_cpu([x], |[x]| f.apply(x))?,
        };
        Ok(Value::Array(y))
    }

    fn binary(&mut self, f: Binary, a: &Value<Array>, b: &Value<Array>) -> Result<Value<Array>> {
        if let (Binary::Pow, Value::Array(_), Value::Scalar(c)) = (f, a, b)
            && c.fract() == 0.0
            && c.abs() < f64::from(i32::MAX)
        {
            return self.unary(Unary::Powi(*c as i32), a);
        }
        let like = first_array([a, b]);
        let (a, b) = (a.broadcastable(like)?, b.broadcastable(like)?);
        Ok(Value::Array(match f {
            Binary::Add => a.broadcast_add(&b)?,
            Binary::Sub => a.broadcast_sub(&b)?,
            Binary::Mul => a.broadcast_mul(&b)?,
            Binary::Div => a.broadcast_div(&b)?,
            Binary::Pow => a.broadcast_pow(&b)?,
            Binary::Remainder => on_the_cpu([&a, &b], |[a, b]| f.apply(a, b))?,
            Binary::Max => a.broadcast_maximum(&b)?,
            Binary::Min => a.broadcast_minimum(&b)?,
        }))
    }

    fn select_gt(&mut self, operands: [&Value<Array>; 4]) -> Result<Value<Array>> {
        let like = first_array(operands);
        let [a, b, yes, no] = operands.map(|x| x.broadcastable(like));
        let [a, b, yes, no] = broadcast_all([&a?, &b?, &yes?, &no?])?;
        Ok(Value::Array(a.gt(&b)?.where_cond(&yes, &no)?))
    }
}

fn broadcast_all<const N: usize>(arrays: [&Array; N]) -> Result<[Array; N]> {
    let mut dims = arrays[0].shape().clone();
    for x in &arrays[1..] {
        dims = dims.broadcast_shape_binary_op(x.shape(), "broadcast")?;
    }
    let mut broadcast = arrays.map(Array::clone);
    for x in &mut broadcast {
        *x = x.broadcast_as(&dims)?;
    }
    Ok(broadcast)
}

/// Computes an operation that candle lacks in main memory, and moves the result back.
fn on_the_cpu<const N: usize>(inputs: [&Array; N], f: impl Fn([f64; N]) -> f64) -> Result<Array> {
    let arrays = broadcast_all(inputs)?;
    let mut values = [const { Vec::new() }; N];
    for (values, x) in values.iter_mut().zip(&arrays) {
        *values = numbers(x)?;
    }
    let y = (0..arrays[0].elem_count()).map(|i| f(values.each_ref().map(|x| x[i]))).collect();
    let y = Array::from_vec(y, arrays[0].shape(), &Device::Cpu)?;
    Ok(y.to_dtype(inputs[0].dtype())?.to_device(inputs[0].device())?)
}

macro_rules! tensor_ops {
    ($($(#[$_:meta])* $_method:ident $variant:ident $_name:literal $tensor:ident $_kernels:tt $_slope:tt;)*) => {
        fn tensor_op(f: Unary, x: &Tensor) -> Result<Tensor> {
            match f {
                Unary::Neg => x.neg(),
                Unary::Powi(n) => super::apply(powers::Powi(n), [x]),
                $(Unary::$variant => x.$tensor(),)*
            }
        }
    };
}
elementary!(tensor_ops);

/// The first output of a tape as tensor operations.
pub(crate) fn run_tape(tape: &Tape, inputs: &[Tensor]) -> Result<Tensor> {
    let values: Vec<Value<Tensor>> = inputs.iter().cloned().map(Value::Array).collect();
    tape.run(&mut RecordedOps, &values)?.swap_remove(0).tensor(&inputs[0])
}

/// Runs a tape as tensor operations, which are recorded in turn.
pub(super) struct RecordedOps;

impl Interpreter for RecordedOps {
    type Value = Value<Tensor>;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Value<Tensor>> {
        Ok(Value::Scalar(value))
    }

    fn unary(&mut self, f: Unary, a: &Value<Tensor>) -> Result<Value<Tensor>> {
        Ok(Value::Array(tensor_op(f, first_array([a]))?))
    }

    fn binary(&mut self, f: Binary, a: &Value<Tensor>, b: &Value<Tensor>) -> Result<Value<Tensor>> {
        use Value::{Array, Scalar};
        let y = match (f, a, b) {
            (Binary::Add, Array(x), Scalar(c)) | (Binary::Add, Scalar(c), Array(x)) => x + *c,
            (Binary::Sub, Array(x), Scalar(c)) => x - *c,
            (Binary::Sub, Scalar(c), Array(x)) => *c - x,
            (Binary::Mul, Array(x), Scalar(c)) | (Binary::Mul, Scalar(c), Array(x)) => x * *c,
            (Binary::Div, Array(x), Scalar(c)) => x / *c,
            (Binary::Div, Scalar(c), Array(x)) => *c / x,
            (Binary::Pow, Array(x), Scalar(c)) => x.powf(*c),
            (Binary::Remainder, Array(x), Scalar(c)) => x.remainder(*c),
            // Max and min of a formula share a tie also with a number, unlike the methods of Tensor.
            (f, a, b) => {
                let like = first_array([a, b]);
                let (a, b) = (a.tensor(like)?, b.tensor(like)?);
                match f {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                    Binary::Div => a / b,
                    Binary::Pow => a.pow(&b),
                    Binary::Remainder => a.remainder(&b),
                    Binary::Max => a.maximum(&b),
                    Binary::Min => a.minimum(&b),
                }
            }
        };
        Ok(Array(y?))
    }

    fn select_gt(&mut self, operands: [&Value<Tensor>; 4]) -> Result<Value<Tensor>> {
        let like = first_array(operands);
        let [a, b, yes, no] = operands.map(|x| x.tensor(like));
        Ok(Value::Array(where_greater(&a?, &b?, &yes?, &no?)?))
    }
}

impl Value<Tensor> {
    /// As a tensor that broadcasts with `like`.
    fn tensor(&self, like: &Tensor) -> Result<Tensor> {
        match self {
            Value::Array(x) => Ok(x.clone()),
            Value::Scalar(c) => Ok(Tensor::constant(scalar_like(*c, like.array())?)),
        }
    }
}
