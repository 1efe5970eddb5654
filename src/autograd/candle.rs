//! [`from_candle`]: any function on candle's tensors as one operation.

use std::fmt;
use std::sync::Arc;

use candle_core::Var;

use super::op::VariadicOp;
use super::saved::{SaveContext, Saved};
use super::{Array, Tensor};
use crate::error::{Error, Result};

/// A function on candle's tensors as an operation. Made by [`from_candle`].
pub struct CandleOp<F> {
    name: &'static str,
    f: Arc<F>,
}

impl<F> Clone for CandleOp<F> {
    fn clone(&self) -> Self {
        CandleOp { name: self.name, f: self.f.clone() }
    }
}

impl<F> fmt::Debug for CandleOp<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CandleOp({})", self.name)
    }
}

/// Makes any function on candle's tensors an operation, for what exists only in candle.
///
/// Its gradient is candle's: the backward pass runs the function again and differentiates it with candle. It cannot be
/// differentiated a second time. A function of which candle gives no gradient (some of its fused functions end the
/// history silently) is an error in the backward pass.
///
/// ```
/// # use tealight::prelude::*;
/// let cubes = autograd::from_candle("cubes", |[x]: [&Array; 1]| x.sqr()?.mul(x)?.sum_all());
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let gradients = cubes.apply([&x])?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [3.0, 12.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn from_candle<F, const N: usize>(name: &'static str, f: F) -> CandleOp<F>
where
    F: Fn([&Array; N]) -> candle_core::Result<Array> + Send + Sync + 'static,
{
    CandleOp { name, f: Arc::new(f) }
}

impl<F> CandleOp<F> {
    /// Runs the function, and records it if an input needs a gradient.
    ///
    /// # Errors
    /// Those of the function.
    pub fn apply<const N: usize>(&self, inputs: [&Tensor; N]) -> Result<Tensor>
    where
        F: Fn([&Array; N]) -> candle_core::Result<Array> + Send + Sync + 'static,
    {
        CandleCall::<F, N>(self.clone()).apply(&inputs)
    }

    fn context(&self, error: candle_core::Error) -> Error {
        Error::from(error).context(self.name)
    }
}

/// One call of the function, with its number of inputs.
struct CandleCall<F, const N: usize>(CandleOp<F>);

impl<F, const N: usize> fmt::Debug for CandleCall<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<F, const N: usize> VariadicOp for CandleCall<F, N>
where
    F: Fn([&Array; N]) -> candle_core::Result<Array> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn forward(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        (0..N).for_each(|i| ctx.save_input(i));
        let output = (self.0.f)(std::array::from_fn(|i| inputs[i])).map_err(|error| self.0.context(error))?;
        // candle's own history would keep its inputs alive.
        Ok(output.detach())
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let CandleOp { name, f } = &self.0;
        let inputs = (0..N).map(|i| saved.input(i)).collect::<Result<Vec<_>>>()?;
        let mut arrays: Vec<Array> = inputs.iter().map(|x| x.array().clone()).collect();
        let mut variables: Vec<Option<Var>> = vec![None; N];
        for i in (0..N).filter(|&i| saved.needs_input_grad(i)) {
            let variable = Var::from_tensor(&arrays[i]).map_err(|error| self.0.context(error))?;
            arrays[i] = variable.as_tensor().clone();
            variables[i] = Some(variable);
        }
        let found = f(std::array::from_fn(|i| &arrays[i]))
            .and_then(|y| (y * grad.array())?.sum_all()?.backward())
            .map_err(|error| self.0.context(error))?;
        let all: Vec<&Tensor> = inputs.iter().chain([grad]).collect();
        let gradient = |(i, variable): (usize, Option<Var>)| {
            let Some(variable) = variable else { return Ok(None) };
            let reason = || {
                format!(
                    "candle gives no gradient for input {i}: the function does not read it, or ends its history"
                )
            };
            let found = found.get(&variable).ok_or_else(|| Error::no_gradient(name, reason()))?;
            CandleGradient { name, gradient: found.detach() }.apply(&all).map(Some)
        };
        variables.into_iter().enumerate().map(gradient).collect()
    }
}

/// A gradient that candle computed from the inputs: it cannot be differentiated again.
#[derive(Debug)]
struct CandleGradient {
    name: &'static str,
    gradient: Array,
}

impl VariadicOp for CandleGradient {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forward(&self, _: &[&Array], _: &mut SaveContext) -> Result<Array> {
        Ok(self.gradient.clone())
    }

    fn backward(&self, _: &Saved, _: &Tensor) -> Result<Vec<Option<Tensor>>> {
        Err(Error::no_gradient(self.name, "a gradient that candle computed cannot be differentiated again"))
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn parameter(numbers: &[f64]) -> Tensor {
        Tensor::parameter(Array::new(numbers, &Device::Cpu).unwrap())
    }

    #[test]
    fn gradients() -> Result<()> {
        let product = autograd::from_candle("product", |[a, b]: [&Array; 2]| a.exp()?.mul(b));
        let [a, b] = [parameter(&[0.3, -1.0]), parameter(&[2.0, 0.5])];
        let inputs = [a.detach(), b.detach()];
        autograd::GradCheck::new()
            .order(1)
            .run(|x| product.apply([&x[0].sin()?, &x[1]])?.powf(3.0), &inputs)?;
        // Only what is wanted is computed, and a constant is no variable.
        let gradients = product.apply([&a, &b.detach()])?.sum_all()?.backward()?;
        assert_eq!(gradients.len(), 1);
        Ok(())
    }

    #[test]
    fn a_missing_gradient_is_an_error() -> Result<()> {
        let x = parameter(&[1.0, 2.0]);
        let cut = autograd::from_candle("cut", |[x]: [&Array; 1]| x.detach().exp());
        let error = cut.apply([&x])?.sum_all()?.backward().unwrap_err();
        assert!(error.to_string().starts_with("cut: candle gives no gradient for input 0"), "{error}");
        let square = autograd::from_candle("square", |[x]: [&Array; 1]| x.sqr());
        let [first] = autograd::grad(&square.apply([&x])?.sum_all()?, [&x])?;
        assert_eq!(first.to_vec1::<f64>()?, [2.0, 4.0]);
        let error = autograd::grad(&first.sum_all()?, [&x]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "square: a gradient that candle computed cannot be differentiated again"
        );
        let wrong = autograd::from_candle("wrong", |[x]: [&Array; 1]| x.reshape(7)).apply([&x]);
        assert!(wrong.unwrap_err().to_string().starts_with("wrong: "));
        Ok(())
    }
}
