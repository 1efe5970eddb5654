//! approx's traits for tensors: `assert_relative_eq!(a, b, epsilon = 1e-9)`.

use approx::{AbsDiffEq, RelativeEq, UlpsEq};

use super::Tensor;
use super::array::numbers;

/// Whether shape and dtype are equal and `near` holds for every pair of elements.
fn all(a: &Tensor, b: &Tensor, near: impl Fn(&f64, &f64) -> bool) -> bool {
    let same = a.dims() == b.dims() && a.dtype() == b.dtype();
    let (Ok(left), Ok(right)) = (numbers(a.array()), numbers(b.array())) else { return false };
    same && left.iter().zip(&right).all(|(x, y)| near(x, y))
}

/// Element by element; shapes and dtypes must be equal.
impl AbsDiffEq for Tensor {
    type Epsilon = f64;
    fn default_epsilon() -> f64 {
        f64::EPSILON
    }
    fn abs_diff_eq(&self, other: &Self, epsilon: f64) -> bool {
        all(self, other, |x, y| x.abs_diff_eq(y, epsilon))
    }
}

/// Element by element; shapes and dtypes must be equal.
///
/// ```
/// # use approx::assert_relative_eq;
/// # use tealight::prelude::*;
/// let a = Tensor::new(&[0.1, 0.2], &Device::Cpu)?;
/// let b = ((&a + 1.0)? - 1.0)?;
/// assert_relative_eq!(a, b, epsilon = 1e-9);
/// # Ok::<(), tealight::Error>(())
/// ```
impl RelativeEq for Tensor {
    fn default_max_relative() -> f64 {
        f64::default_max_relative()
    }
    fn relative_eq(&self, other: &Self, epsilon: f64, max_relative: f64) -> bool {
        all(self, other, |x, y| x.relative_eq(y, epsilon, max_relative))
    }
}

/// Element by element, in units in the last place of f64; shapes and dtypes must be equal.
impl UlpsEq for Tensor {
    fn default_max_ulps() -> u32 {
        f64::default_max_ulps()
    }
    fn ulps_eq(&self, other: &Self, epsilon: f64, max_ulps: u32) -> bool {
        all(self, other, |x, y| x.ulps_eq(y, epsilon, max_ulps))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Array, Tensor};
    use approx::{assert_relative_eq, relative_eq};
    use candle_core::Device::Cpu;

    fn tensor(x: &[f64]) -> Tensor {
        Tensor::constant(Array::new(x, &Cpu).unwrap())
    }

    #[test]
    fn compares() {
        assert_relative_eq!(tensor(&[1.0, 2.0]), tensor(&[1.0, 2.0 + 1e-12]), epsilon = 1e-9);
        assert!(!relative_eq!(tensor(&[1.0]), tensor(&[1.0, 1.0])));
        assert!(!relative_eq!(tensor(&[f64::NAN]), tensor(&[f64::NAN])));
    }

    #[test]
    fn a_failure_shows_elements_and_shapes() {
        let message = |a: Tensor, b: Tensor| {
            let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert_relative_eq!(a, b, epsilon = 1e-9);
            }))
            .unwrap_err();
            payload.downcast_ref::<String>().unwrap().clone()
        };
        let (a, b) = (tensor(&[1.0, 2.0, 3.0]), tensor(&[1.0, 2.5, 3.1]));
        let text = message(a.clone(), b);
        assert!(text.contains("[1.0, 2.0, 3.0]") && text.contains("[1.0, 2.5, 3.1]"), "{text}");
        let text = message(a, tensor(&[1.0]));
        assert!(text.contains("Tensor([3], f64") && text.contains("Tensor([1], f64"), "{text}");
    }
}
