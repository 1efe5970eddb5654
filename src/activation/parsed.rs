//! [`Parsed`] as an activation.

use super::Activation;
use crate::formula::{Parsed, Real};

/// A formula from a text as an activation: it has its gradients, and is a layer.
///
/// ```
/// use tealight::formula::parse;
/// use tealight::prelude::*;
/// let mish = parse("x * tanh(ln(1 + exp(x)))", ["x"])?;
/// let x = Tensor::parameter(Tensor::new(&[0.0, 1.0], &Device::Cpu)?);
/// let [slope] = autograd::grad(&mish.apply(&x)?.sum_all()?, [&x])?;
/// assert_eq!(slope.to_string(), "[0.6        1.04903622]");
/// assert!(parse("tanh x", ["x"]).is_err());
/// # Ok::<(), tealight::Error>(())
/// ```
impl Activation for Parsed<1> {
    const NAME: &'static str = "parsed";

    fn value<R: Real>(&self, x: R) -> R {
        Parsed::value(self, [x])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use crate::formula::parse;
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let f = parse("x / (1 + exp(-x))", ["x"]).unwrap();
        check(&[-2.0, 0.0, 0.7, 3.0], |x| f.apply(x));
        extremes(&parse("tanh(x)", ["x"]).unwrap(), [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]);
    }
}
