//! [`from_candle`]: any function of candle's as one operation.

use std::fmt;
use std::sync::Arc;

use candle_core::Var;
use smallvec::SmallVec;

use super::node::{BackwardRule, Call, Grads, needs_grad, record};
use super::saved::SavedArrays;
use super::{Array, Tensor, mode, trace};
use crate::error::{Error, Result};

/// A function on candle's tensors that tensors with a history can pass through: see [`from_candle`].
///
/// ```
/// use tealight::prelude::*;
/// let cubes = autograd::from_candle("cubes", |[x]: [&Array; 1]| x.sqr()?.mul(x));
/// assert_eq!(format!("{cubes:?}"), "FromCandle(cubes)");
/// ```
pub struct FromCandle<F> {
    name: &'static str,
    f: Arc<F>,
}

impl<F> Clone for FromCandle<F> {
    fn clone(&self) -> Self {
        FromCandle { name: self.name, f: self.f.clone() }
    }
}

impl<F> fmt::Debug for FromCandle<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromCandle({})", self.name)
    }
}

/// Makes any function of candle's into an operation. Its gradient comes from candle's backward pass over that piece
/// alone, which runs the function again.
///
/// This is a way out for what exists for candle only; the gradient is as right as candle's is, and has no second
/// derivative. Where candle gives no gradient at all (some of its fused functions end the history in silence), there is an
/// error instead.
///
/// ```
/// use tealight::prelude::*;
/// let cubes = autograd::from_candle("cubes", |[x]: [&Array; 1]| x.sqr()?.mul(x)?.sum_all());
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
/// let gradients = cubes.apply([&x])?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [3.0, 12.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn from_candle<F, const N: usize>(name: &'static str, f: F) -> FromCandle<F>
where
    F: Fn([&Array; N]) -> candle_core::Result<Array> + Send + Sync + 'static,
{
    FromCandle { name, f: Arc::new(f) }
}

impl<F> FromCandle<F> {
    /// Runs the function, and records it if an input needs a gradient.
    ///
    /// # Gradient
    /// Candle's. Differentiating that gradient again is an error.
    ///
    /// # Errors
    /// Those of the function.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let product = autograd::from_candle("product", |[a, b]: [&Array; 2]| a.mul(b));
    /// let (a, b) = (Tensor::new(&[2.0, 3.0], &Device::Cpu)?, Tensor::new(&[5.0, 7.0], &Device::Cpu)?);
    /// assert_eq!(product.apply([&a, &b])?.to_vec1::<f64>()?, [10.0, 21.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn apply<const N: usize>(&self, inputs: [&Tensor; N]) -> Result<Tensor>
    where
        F: Fn([&Array; N]) -> candle_core::Result<Array> + Send + Sync + 'static,
    {
        let output =
            (self.f)(inputs.map(Tensor::array)).map_err(|error| Error::from(error).within(self.name))?;
        if mode::watched() != 0 {
            trace::watch(self.name, &inputs, &output, &mut |onnx| Err(onnx.no_form(self.name)))?;
        }
        if !needs_grad(&inputs) {
            return Ok(Tensor::constant(output));
        }
        let kept = inputs.iter().map(|x| Some(x.array().clone())).collect();
        let saved_arrays = SavedArrays { inputs: kept, output: None, extra: SmallVec::new() };
        // A history of candle's own would be kept alive for nobody.
        Ok(record(&inputs, output.detach(), saved_arrays, || Piece::<F, N>(self.clone())))
    }
}

/// One call of the function, as a rule of a node.
struct Piece<F, const N: usize>(FromCandle<F>);

impl<F, const N: usize> fmt::Debug for Piece<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<F, const N: usize> BackwardRule for Piece<F, N>
where
    F: Fn([&Array; N]) -> candle_core::Result<Array> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn backward(&self, call: &Call, grad: &Tensor) -> Result<Grads> {
        let FromCandle { name, f } = &self.0;
        let place = |error: candle_core::Error| Error::from(error).within(*name);
        let arrays: Vec<Array> = call.node.saved_arrays.inputs.iter().flatten().cloned().collect();
        let (mut leaves, mut variables) = (arrays.clone(), Vec::new());
        for (i, leaf) in leaves.iter_mut().enumerate().filter(|(i, _)| call.wants(*i)) {
            let variable = Var::from_tensor(leaf).map_err(place)?;
            *leaf = variable.as_tensor().clone();
            variables.push((i, variable));
        }
        let found = f(std::array::from_fn(|i| &leaves[i]))
            .and_then(|y| (y * grad.array())?.sum_all()?.backward())
            .map_err(place)?;
        let mut grads: Grads = arrays.iter().map(|_| None).collect();
        let inputs: Vec<Tensor> = arrays
            .iter()
            .zip(&call.node.edges)
            .map(|(x, edge)| call.with_history(x, edge.as_ref()))
            .collect();
        let all: Vec<&Tensor> = inputs.iter().chain([grad]).collect();
        for (i, variable) in variables {
            let reason = || {
                format!(
                    "candle gives no gradient for input {i}: the function does not read it, or ends its history"
                )
            };
            let found = found.get(&variable).ok_or_else(|| Error::no_gradient(name, reason()))?;
            grads[i] = Some(record(&all, found.detach(), SavedArrays::default(), || Once(name)));
        }
        Ok(grads)
    }
}

/// A gradient of candle's, which cannot be differentiated again.
#[derive(Debug)]
struct Once(&'static str);

impl BackwardRule for Once {
    fn name(&self) -> &'static str {
        self.0
    }

    fn backward(&self, _: &Call, _: &Tensor) -> Result<Grads> {
        Err(Error::no_gradient(self.0, "a gradient that candle computed cannot be differentiated again"))
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
    fn what_candle_does_not_give_is_an_error() -> Result<()> {
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
