//! `flip` and `roll`.

use super::axis::{Axis, resolve_axes};
use super::narrow::narrowed;
use super::take::taken_along;
use crate::autograd::Tensor;
use crate::error::Result;

impl Tensor {
    /// Reverses the order of the elements along the given axes. Gradient: g, flipped back.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?;
    /// assert_eq!(x.flip(&[-1])?.to_vec2::<f64>()?, [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "fliplr")]
    #[doc(alias = "flipud")]
    pub fn flip(&self, axes: &[impl Axis]) -> Result<Tensor> {
        let axes = resolve_axes("flip", axes, self.dims())?;
        let flip = |x: Tensor, axis: usize| taken_along("flip", &x, axis, (0..x.dims()[axis]).rev());
        axes.into_iter().filter(|&axis| self.dims()[axis] > 1).try_fold(self.clone(), flip)
    }

    /// Moves each element by `shift` along `axis`; what leaves at one end enters at the other. Gradient: g, rolled back.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
    /// assert_eq!(x.roll(2, 0)?.to_vec1::<f64>()?, [3.0, 4.0, 0.0, 1.0, 2.0]);
    /// assert_eq!(x.roll(-1, 0)?.to_vec1::<f64>()?, [1.0, 2.0, 3.0, 4.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn roll(&self, shift: i64, axis: impl Axis) -> Result<Tensor> {
        let axis = axis.to_index("roll", self.dims())?;
        // An axis is no longer than isize::MAX; one of length 0 has nothing to move.
        let size = self.dims()[axis];
        let shift = shift.rem_euclid(size.max(1) as i64) as usize;
        if shift == 0 {
            return Ok(self.clone());
        }
        let (head, tail) =
            (narrowed(self, axis, 0, size - shift)?, narrowed(self, axis, size - shift, shift)?);
        Tensor::cat(&[tail, head], axis)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.exp()?.flip(&[-1])? * x);
        check(&x, |x| {
            let x = x.reshape((2, 3, x.elem_count() / 6))?;
            x.sqr()?.flip(&[0, 1])? + x.roll(1, 1)?
        });
        check(&x, |x| x.roll(-4, -1)?.sqr()? * x);
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((4, 2, 3))?.to_dtype(dtype)?;
            let x = x.permute(&[1, 2, 0])?;
            let at = |i: usize, j: usize, k: usize| (k * 6 + i * 3 + j) as f64;
            let (flipped, rolled) = (x.flip(&[2, 0])?, x.roll(-1, 1)?);
            let [flipped, rolled] = [flipped, rolled].map(|x| x.to_dtype(DType::F64)?.to_vec3::<f64>());
            let (flipped, rolled) = (flipped?, rolled?);
            for (i, j, k) in (0..24).map(|n| (n / 12, n / 4 % 3, n % 4)) {
                assert_eq!(flipped[i][j][k], at(1 - i, j, 3 - k), "{dtype:?}");
                assert_eq!(rolled[i][j][k], at(i, (j + 1) % 3, k), "{dtype:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0]);
        for (shift, first) in [(0, 1.0), (3, 1.0), (-7, 2.0), (i64::MAX, 3.0), (i64::MIN, 3.0)] {
            assert_eq!(x.roll(shift, 0)?.to_vec1::<f64>()?[0], first, "{shift}");
        }
        assert_eq!(x.flip(&[0; 0])?.to_vec1::<f64>()?, [1.0, 2.0, 3.0]);
        let none = Tensor::zeros((1 << 40, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(none.flip(&[0, 1])?.dims(), [1 << 40, 0]);
        assert_eq!(none.roll(5, 1)?.roll(3, 0)?.dims(), [1 << 40, 0]);
        let error = x.flip(&[0, -1]).unwrap_err();
        assert_eq!(error.to_string(), "flip: expected each axis at most once, got [0, -1]");
        assert!(matches!(x.flip(&[1]), Err(Error::Axis { axis: 1, .. })));
        let scalar = Tensor::new(1.0, &Device::Cpu)?;
        assert!(matches!(scalar.roll(1, 0), Err(Error::Axis { .. })));
        assert!(matches!(scalar.flip(&[0]), Err(Error::Axis { .. })));
        Ok(())
    }
}
