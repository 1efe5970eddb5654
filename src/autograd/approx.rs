//! `approx`'s traits for tensors: `assert_relative_eq!(a, b, epsilon = 1e-9)`.

use std::cell::RefCell;

use approx::{AbsDiffEq, RelativeEq, UlpsEq};
use candle_core::TensorId;

use super::Tensor;
use super::array::{numbers, place};

// approx prints both sides of a failed assertion with `{:?}` and no more. The comparison leaves word of what it found,
// and the tensor that it concerns shows it.
thread_local!(static LAST: RefCell<Option<(TensorId, String)>> = const { RefCell::new(None) });

/// What the last failed comparison on this thread found about `tensor`.
pub(super) fn note(tensor: &Tensor) -> Option<String> {
    let id = tensor.array().id();
    LAST.with_borrow(|last| last.as_ref().filter(|(known, _)| *known == id).map(|(_, text)| text.clone()))
}

/// Whether `near` holds for every pair of elements. Remembers why not.
fn all(a: &Tensor, b: &Tensor, near: impl Fn(&f64, &f64) -> bool) -> bool {
    let text = match (numbers(a.array()), numbers(b.array())) {
        _ if a.dims() != b.dims() => format!("shapes differ: {:?} and {:?}", a.dims(), b.dims()),
        _ if a.dtype() != b.dtype() => {
            format!("dtypes differ: {} and {}", a.dtype().as_str(), b.dtype().as_str())
        }
        (Ok(left), Ok(right)) => {
            let off = left.iter().zip(&right).enumerate().filter(|(_, (x, y))| !near(x, y));
            let count = off.clone().count();
            // NaN is as wrong as can be.
            let size = |(_, (x, y)): &(usize, (&f64, &f64))| {
                let d = (**x - **y).abs();
                if d.is_nan() { f64::INFINITY } else { d }
            };
            let Some((i, (x, y))) = off.max_by(|p, q| size(p).total_cmp(&size(q))) else { return true };
            let place = place(a.dims(), i);
            format!("{count} of {} elements differ, worst at {place:?}: {x} and {y}", left.len())
        }
        _ => "the numbers could not be read".into(),
    };
    LAST.set(Some((b.array().id(), text)));
    false
}

/// Equality element by element, as `==` on slices: NaN equals nothing. Shape and dtype count, the history does not.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        all(self, other, |x, y| x == y)
    }
}

/// Element by element; shapes and dtypes must be equal too.
impl AbsDiffEq for Tensor {
    type Epsilon = f64;
    fn default_epsilon() -> f64 {
        f64::EPSILON
    }
    fn abs_diff_eq(&self, other: &Self, epsilon: f64) -> bool {
        all(self, other, |x, y| x.abs_diff_eq(y, epsilon))
    }
}

/// Element by element; shapes and dtypes must be equal too.
///
/// ```
/// use approx::assert_relative_eq;
/// use tealight::prelude::*;
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

/// Element by element, in units in the last place of f64; shapes and dtypes must be equal too.
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
        assert_eq!(tensor(&[]), tensor(&[]));
        assert_ne!(tensor(&[1.0]), tensor(&[2.0]));
    }

    #[test]
    fn a_failure_shows_the_worst_element_and_the_shapes() {
        let (a, b) = (tensor(&[1.0, 2.0, 3.0]), tensor(&[1.0, 2.5, 3.1]));
        let message = |f: &dyn Fn()| {
            let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
            payload.downcast_ref::<String>().unwrap().clone()
        };
        let message_ab = message(&|| assert_relative_eq!(a, b, epsilon = 1e-9));
        assert!(message_ab.contains("2 of 3 elements differ, worst at [1]: 2 and 2.5"), "{message_ab}");
        let c = tensor(&[1.0]);
        assert!(message(&|| assert_relative_eq!(a, c)).contains("shapes differ: [3] and [1]"));
    }
}
