//! [`Tensor::unfold`].

use super::axis::Axis;
use super::create::checked;
use super::take::{Places, taken};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

impl Tensor {
    /// All windows of `size` elements along `axis`, `step` elements apart: (…, n, …) becomes
    /// (…, (n − size) / step + 1, …, size). Errors if `size` is above the length of the axis, or `step` is 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
    /// assert_eq!(x.unfold(0, 3, 2)?.to_vec2::<f64>()?, [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "sliding_window_view")]
    pub fn unfold(&self, axis: impl Axis, size: usize, step: usize) -> Result<Tensor> {
        let axis = axis.to_index("unfold", self.dims())?;
        let length = self.dims()[axis];
        if size > length || step == 0 {
            let expected = format!("size <= {length} (axis {axis} of shape {:?}) and step >= 1", self.dims());
            return Err(Error::argument("unfold", expected, format!("size = {size} and step = {step}")));
        }
        let windows = (length - size) / step + 1;
        let mut dims = self.dims().to_vec();
        dims.splice(axis..=axis, [windows, size]);
        let shape = checked("unfold", dims.into(), self.dtype().size_in_bytes())?;
        let inner: usize = self.dims()[axis + 1..].iter().product();
        // An empty result may have any number of windows: no list of them is made.
        let starts = (0..windows.min(shape.elem_count())).map(|window| window * step * inner);
        let places = Places::new(starts, size * inner, length * inner)?;
        let mut order: Vec<usize> = (0..=self.rank()).collect();
        order[axis + 1..].rotate_left(1);
        taken(self, places, shape.dims())?.permute(&order)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.exp()?.unfold(-1, 3, 1)?.sqr());
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.unfold(0, 2, 1)?.exp());
        check(&x, |x| x.sqr()?.unfold(-1, 2, 3));
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(0.0, 30.0, &Device::Cpu)?.reshape((2, 5, 3))?.to_dtype(dtype)?;
            for (size, step) in [(1, 1), (2, 1), (3, 2), (5, 7), (2, 3), (0, 2)] {
                let y = x.unfold(1, size, step)?;
                let windows = (5 - size) / step + 1;
                assert_eq!(y.dims(), [2, windows, 3, size]);
                let y = y.flatten(0, -1)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
                let mut expected = vec![];
                for (i, w, k) in (0..2 * windows * 3).map(|n| (n / 3 / windows, n / 3 % windows, n % 3)) {
                    expected.extend((0..size).map(|j| (i * 15 + (w * step + j) * 3 + k) as f64));
                }
                assert_eq!(y, expected, "{dtype:?} {size} {step}");
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0]);
        assert_eq!(x.unfold(0, 1, usize::MAX)?.to_vec2::<f64>()?, [[1.0]]);
        assert_eq!(x.unfold(0, 0, 1)?.dims(), [4, 0]);
        assert_eq!(
            Tensor::zeros((1 << 40, 0), DType::F32, &Device::Cpu)?.unfold(0, 1, 1)?.dims(),
            [1 << 40, 0, 1]
        );
        let error = x.unfold(0, 4, 1).unwrap_err();
        let message =
            "unfold: expected size <= 3 (axis 0 of shape [3]) and step >= 1, got size = 4 and step = 1";
        assert_eq!(error.to_string(), message);
        assert!(matches!(x.unfold(0, 1, 0), Err(Error::Argument { .. })));
        assert!(matches!(x.unfold(0, usize::MAX, 1), Err(Error::Argument { .. })));
        assert!(matches!(x.unfold(1, 1, 1), Err(Error::Axis { axis: 1, .. })));
        assert!(matches!(x.i(0)?.unfold(0, 1, 1), Err(Error::Axis { .. })));
        Ok(())
    }
}
