//! Hooks on gradients.

use std::fmt;

use super::launch::{recording, refuse};
use super::op::Op;
use super::saved::{SaveContext, Saved};
use super::{Array, Onnx, OnnxValue, Tensor};
use crate::error::{Error, Result};

struct Hook<F>(F);

impl<F> fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook")
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static> Op<1> for Hook<F> {
    const NAME: &'static str = "register_hook";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        if recording() {
            refuse("a hook");
        }
        Ok(x.clone())
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        Ok(onnx.input(0))
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let replaced = (self.0)(grad)?;
        if replaced.dims() != grad.dims() {
            let expected = format!("a gradient of shape {:?}", grad.dims());
            return Err(Error::shape(Self::NAME, expected, &[replaced.dims()]));
        }
        if replaced.dtype() != grad.dtype() {
            let expected = format!("a gradient of dtype {}", grad.dtype().as_str());
            return Err(Error::dtype(Self::NAME, expected, &[replaced.dtype()]));
        }
        Ok([Some(replaced)])
    }
}

impl Tensor {
    /// This tensor, but `f` is called with the gradient of the result, and what it returns takes the gradient's place.
    ///
    /// Use the returned tensor: only gradients that flow through it reach `f`. In a recorded backward pass `f` is
    /// recorded and differentiated too. The backward pass fails if `f` does, or returns another shape or dtype.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 200.0], &Device::Cpu)?);
    /// let clipped = x.register_hook(|g| g.clamp(-5.0, 5.0))?;
    /// let gradients = clipped.sqr()?.sum_all()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 5.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn register_hook(
        &self,
        f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        Hook(f).apply([self])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::prelude::*;

    #[test]
    fn a_hook_sees_the_whole_gradient_once() -> Result<()> {
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        let x = Tensor::parameter(Array::new(3.0, &Device::Cpu)?);
        let h = x.register_hook(|g| {
            SEEN.fetch_add(g.to_scalar::<f64>()? as usize, Ordering::Relaxed);
            Ok(g.clone())
        })?;
        // Two paths lead to h: the hook is called with their sum.
        let y = ((&h * &h)? + &h)?;
        assert_eq!(y.backward()?.get(&x).unwrap().to_scalar::<f64>()?, 7.0);
        assert_eq!(SEEN.load(Ordering::Relaxed), 7);
        Ok(())
    }

    #[test]
    fn gradients_of_any_order() -> Result<()> {
        let x = Tensor::parameter(Array::new(3.0, &Device::Cpu)?);
        // With g² for g the slope of x² is 4x²; that one's slope, 8x, comes through the hook in its turn.
        let y = x.register_hook(|g| g.sqr())?.sqr()?;
        let [first] = autograd::grad(&y, [&x])?;
        assert_eq!(first.to_scalar::<f64>()?, 36.0);
        let [second] = autograd::grad(&first, [&x])?;
        assert_eq!(second.to_scalar::<f64>()?, 576.0);
        autograd::gradcheck(
            |x| x[0].register_hook(|g| Ok(g.clone()))?.powf(3.0),
            &[Tensor::new(0.7, &Device::Cpu)?],
        )?;
        let wrong = x.register_hook(|g| g.unsqueeze(0))?.backward().unwrap_err();
        assert_eq!(wrong.to_string(), "register_hook: expected a gradient of shape [], got [1]");
        let wrong = x.register_hook(|g| g.to_dtype(DType::F32))?.backward().unwrap_err();
        assert_eq!(wrong.to_string(), "register_hook: expected a gradient of dtype f64, got f32");
        assert!(!x.detach().register_hook(|g| Ok(g.clone()))?.requires_grad());
        Ok(())
    }
}
