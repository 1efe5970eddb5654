//! The trace of a matrix.

use super::reshape::reshaped;
use super::take::taken_along;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// The diagonal of the last two axes, which become one. Reads only its elements.
pub(super) fn diagonal(x: &Tensor) -> Result<Tensor> {
    let [outer @ .., n, m] = x.dims() else {
        return Err(Error::shape("diagonal", "a tensor of rank 2 or more", &[x.dims()]));
    };
    let (n, m) = (*n, *m);
    let mut dims = Dims::from_slice(outer);
    // An empty axis may stand beside one of any length.
    dims.push(n.checked_mul(m).ok_or_else(|| Error::shape("diagonal", "a smaller matrix", &[x.dims()]))?);
    let places = (0..n.min(m)).map(|i| i * (m + 1));
    taken_along("diagonal", &reshaped(x, &dims)?, outer.len(), places)
}

impl Tensor {
    /// The sum of the diagonal of a matrix (n, m).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!(x.trace()?.to_scalar::<f64>()?, 5.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn trace(&self) -> Result<Tensor> {
        match self.rank() {
            2 => diagonal(self)?.sum_all(),
            _ => Err(Error::shape("trace", "a matrix", &[self.dims()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::diagonal;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7, 0.1, 1.1, -2.0];
        check(&x, |x| x.reshape((3, x.elem_count() / 3))?.exp()?.trace());
        check(&x, |x| x.reshape((3, x.elem_count() / 3))?.t()?.trace());
        check(&x, |x| diagonal(&x.reshape((x.elem_count() / 9, 3, 3))?.t()?)?.sqr());
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F64, &Device::Cpu);
        for dims in [[0, 0], [0, 3], [3, 0]] {
            assert_eq!(zeros(&dims)?.trace()?.to_scalar::<f64>()?, 0.0);
        }
        let x = Tensor::arange(0_i64, 6, &Device::Cpu)?.reshape((2, 3))?;
        assert_eq!(x.trace()?.to_scalar::<i64>()?, 4);
        assert_eq!(x.t()?.trace()?.to_scalar::<i64>()?, 4);
        let nan = Tensor::new(&[[1.0, f64::NAN], [f64::INFINITY, 2.0]], &Device::Cpu)?;
        assert_eq!(nan.trace()?.to_scalar::<f64>()?, 3.0);
        let error = zeros(&[2, 2, 2])?.trace().unwrap_err();
        assert_eq!(error.to_string(), "trace: expected a matrix, got [2, 2, 2]");
        assert!(matches!(zeros(&[])?.trace(), Err(Error::Shape { .. })));
        let huge = Tensor::from(Array::zeros((0, usize::MAX), DType::F64, &Device::Cpu)?);
        assert_eq!(huge.trace()?.to_scalar::<f64>()?, 0.0);
        Ok(())
    }
}
