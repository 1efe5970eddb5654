//! [`Axis`] and [`Axes`]: any integer names an axis, negative ones from the end, and several are an array of them.

use crate::error::{Error, Result};
use crate::kernel::Dims;

/// An integer that names an axis: 0 is the first, −1 the last.
///
/// ```
/// use tealight::ops::Axis;
/// assert_eq!((-1).of("op", &[2, 3, 4])?, 2);
/// let error = 3_usize.of("op", &[2, 3, 4]).unwrap_err().to_string();
/// assert_eq!(error, "op: expected an axis from -3 to 2, got axis 3 of shape [2, 3, 4]");
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Axis: Copy {
    /// The number as given.
    ///
    /// ```
    /// assert_eq!(tealight::ops::Axis::number(-1_i8), -1);
    /// ```
    fn number(self) -> i64;

    /// The axis of a tensor of shape `dims`, from 0 on.
    ///
    /// # Errors
    /// [`Error::Axis`] if there is none.
    fn of(self, op: &'static str, dims: &[usize]) -> Result<usize> {
        let (axis, rank) = (self.number(), dims.len() as i64);
        let from_start = if axis < 0 { axis.saturating_add(rank) } else { axis };
        match usize::try_from(from_start) {
            Ok(i) if i < dims.len() => Ok(i),
            _ => Err(Error::Axis { op, axis, shape: dims.to_vec() }),
        }
    }
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl Axis for $t {
            fn number(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

/// One axis or several: `1`, `-1`, `[0, 2]`, `&axes[..]`. Of no axes nothing is reduced, as in numpy.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::ones((2, 3, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(x.sum(1)?.dims(), [2, 4]);
/// assert_eq!(x.sum([0, -1])?.to_vec1::<f32>()?, [8.0; 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Axes {
    /// The axes of a tensor of shape `dims`, from 0 on and in ascending order.
    ///
    /// # Errors
    /// [`Error::Axis`] for an axis that does not exist, [`Error::Argument`] for one that is named twice.
    ///
    /// ```
    /// use tealight::ops::Axes;
    /// assert_eq!([-1, 0].of_all("op", &[2, 3, 4])?[..], [0, 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn of_all(self, op: &'static str, dims: &[usize]) -> Result<Dims>;
}

impl<A: Axis> Axes for A {
    fn of_all(self, op: &'static str, dims: &[usize]) -> Result<Dims> {
        Ok(Dims::from_slice(&[self.of(op, dims)?]))
    }
}

impl<A: Axis> Axes for &[A] {
    fn of_all(self, op: &'static str, dims: &[usize]) -> Result<Dims> {
        let mut axes = self.iter().map(|axis| axis.of(op, dims)).collect::<Result<Dims>>()?;
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            let got: Vec<i64> = self.iter().map(|axis| axis.number()).collect();
            return Err(Error::argument(op, "each axis at most once", format!("{got:?}")));
        }
        Ok(axes)
    }
}

impl<A: Axis, const N: usize> Axes for [A; N] {
    fn of_all(self, op: &'static str, dims: &[usize]) -> Result<Dims> {
        self[..].of_all(op, dims)
    }
}

impl<A: Axis, const N: usize> Axes for &[A; N] {
    fn of_all(self, op: &'static str, dims: &[usize]) -> Result<Dims> {
        self[..].of_all(op, dims)
    }
}

#[cfg(test)]
mod tests {
    use super::Axes;
    use crate::prelude::*;

    #[test]
    fn one_or_several() -> Result<()> {
        let dims = &[2, 3, 4];
        assert_eq!(2.of_all("op", dims)?[..], [2]);
        assert_eq!([-1_i8, 0].of_all("op", dims)?[..], [0, 2]);
        assert_eq!((&[1_usize, 0]).of_all("op", dims)?[..], [0, 1]);
        assert_eq!([2_u64, 1, 0][1..].of_all("op", dims)?[..], [0, 1]);
        assert!([0_i64; 0].of_all("op", dims)?.is_empty());
        assert!([0_i64; 0].of_all("op", &[])?.is_empty());
        let error = [2, -1].of_all("op", dims).unwrap_err();
        assert_eq!(error.to_string(), "op: expected each axis at most once, got [2, -1]");
        assert!(matches!([0, 3].of_all("op", dims), Err(Error::Axis { axis: 3, .. })));
        assert!(matches!([u64::MAX].of_all("op", dims), Err(Error::Axis { .. })));
        assert!(matches!(i64::MIN.of_all("op", dims), Err(Error::Axis { .. })));
        Ok(())
    }
}
