//! The operators `+ - * /` and unary `-` of tensors.
//!
//! The operands are `&Tensor`, `Tensor` and `f64`, on the right also `Result<Tensor>`, whose error is passed on.
//!
//! ```
//! # use tealight::prelude::*;
//! let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
//! let y = (1.0 + (&x * &x)?)? / (2.0 * &x);
//! assert_eq!(y?.to_vec1::<f64>()?, [1.0, 1.25]);
//! # Ok::<(), tealight::Error>(())
//! ```

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::apply;
use super::arithmetic as op;
use crate::autograd::Tensor;
use crate::error::Result;

macro_rules! operators {
    ($($trait:ident $method:ident $scalar_right:ident $scalar_left:ident),*) => {$(
        operators!(@pair $trait $method, Tensor, &Tensor, |a, b| apply(op::$trait, [&a, b]));
        operators!(@pair $trait $method, &Tensor, &Tensor, |a, b| apply(op::$trait, [a, b]));
        operators!(@pair $trait $method, Tensor, Tensor, |a, b| apply(op::$trait, [&a, &b]));
        operators!(@pair $trait $method, &Tensor, Tensor, |a, b| apply(op::$trait, [a, &b]));
        operators!(@pair $trait $method, Tensor, Result<Tensor>, |a, b| apply(op::$trait, [&a, &b?]));
        operators!(@pair $trait $method, &Tensor, Result<Tensor>, |a, b| apply(op::$trait, [a, &b?]));
        operators!(@pair $trait $method, Tensor, f64, |a, c| apply(op::$scalar_right(c), [&a]));
        operators!(@pair $trait $method, &Tensor, f64, |a, c| apply(op::$scalar_right(c), [a]));
        operators!(@pair $trait $method, f64, Tensor, |c, b| apply(op::$scalar_left(c), [&b]));
        operators!(@pair $trait $method, f64, &Tensor, |c, b| apply(op::$scalar_left(c), [b]));
    )*};
    (@pair $trait:ident $method:ident, $left:ty, $right:ty, |$a:ident, $b:ident| $body:expr) => {
        impl $trait<$right> for $left {
            type Output = Result<Tensor>;
            fn $method(self, other: $right) -> Result<Tensor> {
                let ($a, $b) = (self, other);
                $body
            }
        }
    };
}

operators!(Add add AddScalar AddScalar, Sub sub SubScalar ScalarSub,
           Mul mul MulScalar MulScalar, Div div DivScalar ScalarDiv);

impl Neg for &Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        apply(op::Neg, [self])
    }
}

impl Neg for Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        apply(op::Neg, [&self])
    }
}
