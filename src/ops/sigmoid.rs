//! Sigmoid, tanh and softplus as tensor methods; [`crate::activation`] has them as layers.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(Sigmoid = "sigmoid", elementary sigmoid);
formula!(Tanh = "tanh", elementary tanh);
// eˣ itself would overflow.
formula!(blocks Softplus = "softplus", [x] => x.maximum(R::constant(0.0)) + (-x.abs()).exp().ln_1p(), y => [x.sigmoid()]);

impl Tensor {
    /// 1/(1 + e⁻ˣ). Gradient: y(1 − y).
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let y = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?.sigmoid()?;
    /// assert_eq!(y.to_string(), "[0.73105858 0.88079708 0.95257413]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "expit")]
    pub fn sigmoid(&self) -> Result<Tensor> {
        apply(Sigmoid, [self])
    }

    /// The hyperbolic tangent. Gradient: 1 − y².
    pub fn tanh(&self) -> Result<Tensor> {
        apply(Tanh, [self])
    }

    /// ln(1 + eˣ), without overflow. Gradient: 1/(1 + e⁻ˣ).
    pub fn softplus(&self) -> Result<Tensor> {
        apply(Softplus, [self])
    }
}

/// The derivative of the sigmoid, s(1 − s) with s = sigmoid(x). Gradient: s(1 − s)(1 − 2s).
///
/// ```
/// # use tealight::functional::sigmoid_derivative;
/// # use tealight::prelude::*;
/// let slope = sigmoid_derivative(&Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?)?;
/// assert_eq!(slope.to_string(), "[0.19661193 0.10499359 0.04517666]");
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn sigmoid_derivative(x: &Tensor) -> Result<Tensor> {
    let s = x.sigmoid()?;
    &s * (1.0 - &s)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, close, tensor};
    use super::sigmoid_derivative;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.0, 0.7, 3.0], |x| x.sigmoid());
        check(&[-2.0, 0.0, 0.7, 3.0], |x| x.tanh());
        check(&[-2.0, 0.1, 0.7, 3.0], sigmoid_derivative);
        check(&[-4.0, 0.0, 0.7, 30.0], |x| x.softplus());
    }

    #[test]
    fn softplus_and_two_derivatives_at_extremes() -> Result<()> {
        close(|x| x.softplus(), |x| x.exp().ln_1p(), &[-700.0, -40.0, -1.0, 0.0, 0.5, 3.0, 30.0, 80.0], 3.0)?;
        let x = [f64::NEG_INFINITY, -1e4, -1000.0, 1000.0, 1e4, f64::INFINITY];
        let x = Tensor::parameter(tensor(&x));
        let y = x.softplus()?;
        assert_eq!(y.to_vec1::<f64>()?, [0.0, 0.0, 0.0, 1000.0, 1e4, f64::INFINITY]);
        let [first] = autograd::grad(&y.sum_all()?, [&x])?;
        let [second] = autograd::grad(&first.sum_all()?, [&x])?;
        assert_eq!(first.to_vec1::<f64>()?, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(second.to_vec1::<f64>()?, [0.0; 6]);
        assert!(tensor(&[f64::NAN]).softplus()?.to_vec1::<f64>()?[0].is_nan());
        Ok(())
    }

    #[test]
    fn extremes_to_the_third_derivative() -> Result<()> {
        let x = Tensor::parameter(tensor(&[-1e4, -1000.0, 0.0, 1000.0, f64::INFINITY]));
        let y = x.sigmoid()?;
        assert_eq!(y.to_vec1::<f64>()?, [0.0, 0.0, 0.5, 1.0, 1.0]);
        let [first] = autograd::grad(&y.sum_all()?, [&x])?;
        let [second] = autograd::grad(&first.sum_all()?, [&x])?;
        let [third] = autograd::grad(&second.sum_all()?, [&x])?;
        assert_eq!(first.to_vec1::<f64>()?, [0.0, 0.0, 0.25, 0.0, 0.0]);
        assert_eq!(second.to_vec1::<f64>()?, [0.0; 5]);
        assert_eq!(third.to_vec1::<f64>()?, [0.0, 0.0, -0.125, 0.0, 0.0]);
        Ok(())
    }
}
