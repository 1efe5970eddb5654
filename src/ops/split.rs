//! [`Tensor::split`] and [`Tensor::tensor_split`].

use super::axis::Axis;
use super::narrow::narrowed;
use crate::autograd::Tensor;
use crate::error::{Error, Result};

impl Tensor {
    /// Splits `axis` into views of `size` elements; the last one is shorter if the length is not a multiple. An empty axis gives
    /// one empty part.
    ///
    /// For a number of parts see [`chunk`](Tensor::chunk). Errors if `size` is 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parts = Tensor::arange(0.0, 5.0, &Device::Cpu)?.split(2, 0)?;
    /// assert_eq!(parts.len(), 3);
    /// assert_eq!(parts[1].to_vec1::<f64>()?, [2.0, 3.0]);
    /// assert_eq!(parts[2].to_vec1::<f64>()?, [4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn split(&self, size: usize, axis: impl Axis) -> Result<Vec<Tensor>> {
        let axis = axis.to_index("split", self.dims())?;
        if size == 0 {
            return Err(Error::argument("split", "parts of at least one element", size));
        }
        let length = self.dims()[axis];
        let starts = (0..length.max(1)).step_by(size);
        starts.map(|start| narrowed(self, axis, start, size.min(length - start))).collect()
    }

    /// Splits `axis` into views before each of the given indices. Errors unless they ascend and are at most the length of the axis;
    /// equal ones give an empty part.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parts = Tensor::arange(0.0, 5.0, &Device::Cpu)?.tensor_split(&[1, 4], 0)?;
    /// assert_eq!(parts[0].to_vec1::<f64>()?, [0.0]);
    /// assert_eq!(parts[1].to_vec1::<f64>()?, [1.0, 2.0, 3.0]);
    /// assert_eq!(parts[2].to_vec1::<f64>()?, [4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "split_at")]
    pub fn tensor_split(&self, indices: &[usize], axis: impl Axis) -> Result<Vec<Tensor>> {
        let axis = axis.to_index("tensor_split", self.dims())?;
        let length = self.dims()[axis];
        if !indices.is_sorted() || indices.last().is_some_and(|&last| last > length) {
            let expected =
                format!("ascending indices up to {length} (axis {axis} of shape {:?})", self.dims());
            return Err(Error::argument("tensor_split", expected, format!("{indices:?}")));
        }
        let starts = [0].iter().chain(indices);
        let ends = indices.iter().chain([&length]);
        starts.zip(ends).map(|(&start, &end)| narrowed(self, axis, start, end - start)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| {
            let parts = x.sqr()?.split(4, -1)?;
            &parts[0].narrow(-1, 1, 2)? * &parts[1]
        });
        check(&x, |x| Tensor::cat(&x.exp()?.tensor_split(&[2, 2, 5], -1)?, -1));
    }

    #[test]
    fn lengths() -> Result<()> {
        let x = Tensor::arange(0u32, 14, &Device::Cpu)?.reshape((2, 7))?;
        let lengths = |parts: Vec<Tensor>| parts.iter().map(|part| part.dims()[1]).collect::<Vec<_>>();
        assert_eq!(lengths(x.split(3, 1)?), [3, 3, 1]);
        assert_eq!(lengths(x.split(7, -1)?), [7]);
        assert_eq!(lengths(x.split(usize::MAX, 1)?), [7]);
        assert_eq!(lengths(x.tensor_split(&[], 1)?), [7]);
        assert_eq!(lengths(x.tensor_split(&[0, 3, 3, 7], 1)?), [0, 3, 0, 4, 0]);
        assert_eq!(x.tensor_split(&[5], 1)?[1].to_vec2::<u32>()?, [[5, 6], [12, 13]]);
        assert_eq!(x.split(1, 0)?[1].to_vec2::<u32>()?[0][0], 7);
        let none = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(lengths(none.split(2, 1)?), [0]);
        Ok(())
    }

    #[test]
    fn errors() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0]);
        assert_eq!(
            x.split(0, 0).unwrap_err().to_string(),
            "split: expected parts of at least one element, got 0"
        );
        let error = x.tensor_split(&[2, 4], 0).unwrap_err();
        let message = "tensor_split: expected ascending indices up to 3 (axis 0 of shape [3]), got [2, 4]";
        assert_eq!(error.to_string(), message);
        assert!(matches!(x.tensor_split(&[2, 1], 0), Err(Error::Argument { .. })));
        assert!(matches!(x.split(1, 1), Err(Error::Axis { axis: 1, .. })));
        assert!(matches!(x.i(0)?.tensor_split(&[], 0), Err(Error::Axis { .. })));
        Ok(())
    }
}
