//! `broadcast_to`.

use candle_core::Shape;

use super::create::checked;
use crate::autograd::{self, Tensor};
use crate::error::Result;

impl Tensor {
    /// Repeats the tensor along axes of length 1 and along new leading axes, as numpy does. It returns a view, not a copy.
    ///
    /// Gradient: g summed over the repeated axes.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0], [2.0]], &Device::Cpu)?;
    /// assert_eq!(x.broadcast_to((2, 3))?.to_vec2::<f64>()?, [[1.0; 3], [2.0; 3]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "expand")]
    #[doc(alias = "expand_as")]
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = checked("broadcast_to", shape.into(), 0)?;
        if self.dims() == shape.dims() {
            return Ok(self.clone());
        }
        autograd::broadcast_to(self, shape.dims())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0];
        check(&x, |x| x.unsqueeze(0)?.broadcast_to([&[2, 1], x.dims()].concat()));
        check(&x, |x| x.unsqueeze(-1)?.broadcast_to([x.dims(), &[3]].concat())?.sqr());
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::parameter(tensor(&[1.0, 2.0]));
        let y = x.broadcast_to((3, 2))?;
        // A view of a view, read in its own order.
        assert_eq!(y.reshape(6)?.to_vec1::<f64>()?, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(y.sum_all()?.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [3.0, 3.0]);
        let nothing = x.broadcast_to((0, 2))?.sum_all()?;
        assert_eq!(nothing.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [0.0, 0.0]);
        let scalar = Tensor::new(7u32, &Device::Cpu)?;
        assert_eq!(scalar.broadcast_to(2)?.to_vec1::<u32>()?, [7, 7]);
        assert_eq!(scalar.broadcast_to(())?.dims(), [0_usize; 0]);
        let error = x.broadcast_to((2, 3)).unwrap_err();
        assert_eq!(error.to_string(), "broadcast_to: expected a shape that broadcasts to [2, 3], got [2]");
        assert!(matches!(x.broadcast_to(()), Err(Error::Shape { .. })));
        assert!(matches!(x.broadcast_to((usize::MAX, 2)), Err(Error::Shape { .. })));
        Ok(())
    }
}
