//! How axes are named: any integer type, negative ones counting from the end.

use crate::error::{Error, Result};
use crate::kernel::Dims;

/// An integer that names an axis: 0 is the first, −1 the last.
///
/// ```
/// use tealight::ops::Axis;
/// assert_eq!((-1).to_index("op", &[2, 3, 4])?, 2);
/// let error = 3_usize.to_index("op", &[2, 3, 4]).unwrap_err().to_string();
/// assert_eq!(error, "op: expected an axis from -3 to 2, got axis 3 of shape [2, 3, 4]");
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Axis: Copy {
    /// The integer as given; one beyond i64 saturates, which no tensor has as an axis.
    fn number(self) -> i64;

    /// The axis of a tensor of shape `dims`, counted from 0. Errors with [`Error::Axis`] if the tensor does not have it.
    fn to_index(self, op: &'static str, dims: &[usize]) -> Result<usize> {
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

/// One axis or several: `1`, `-1`, `[0, 2]`, `&axes[..]`. An empty list reduces nothing, as in numpy.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::ones((2, 3, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(x.sum(1)?.dims(), [2, 4]);
/// assert_eq!(x.sum([0, -1])?.to_vec1::<f32>()?, [8.0; 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Axes {
    /// The integers as given.
    fn numbers(&self) -> impl Iterator<Item = i64>;
}

impl<A: Axis> Axes for A {
    fn numbers(&self) -> impl Iterator<Item = i64> {
        std::iter::once(self.number())
    }
}

impl<A: Axis> Axes for &[A] {
    fn numbers(&self) -> impl Iterator<Item = i64> {
        self.iter().map(|axis| axis.number())
    }
}

impl<A: Axis, const N: usize> Axes for [A; N] {
    fn numbers(&self) -> impl Iterator<Item = i64> {
        self.iter().map(|axis| axis.number())
    }
}

impl<A: Axis, const N: usize> Axes for &[A; N] {
    fn numbers(&self) -> impl Iterator<Item = i64> {
        self.iter().map(|axis| axis.number())
    }
}

/// The axes of a tensor of shape `dims`, counted from 0 and in ascending order. Errors if one is named twice.
pub(super) fn resolve_axes(op: &'static str, axes: impl Axes, dims: &[usize]) -> Result<Dims> {
    let mut resolved = axes.numbers().map(|axis| axis.to_index(op, dims)).collect::<Result<Dims>>()?;
    resolved.sort_unstable();
    if resolved.windows(2).any(|pair| pair[0] == pair[1]) {
        let got: Vec<i64> = axes.numbers().collect();
        return Err(Error::argument(op, "each axis at most once", format!("{got:?}")));
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::resolve_axes;
    use crate::prelude::*;

    #[test]
    fn one_or_several() -> Result<()> {
        let dims = &[2, 3, 4];
        assert_eq!(resolve_axes("op", 2, dims)?[..], [2]);
        assert_eq!(resolve_axes("op", [-1_i8, 0], dims)?[..], [0, 2]);
        assert_eq!(resolve_axes("op", [1_usize, 0], dims)?[..], [0, 1]);
        assert_eq!(resolve_axes("op", &[2_u64, 1, 0][1..], dims)?[..], [0, 1]);
        assert!(resolve_axes("op", [0_i64; 0], dims)?.is_empty());
        assert!(resolve_axes("op", [0_i64; 0], &[])?.is_empty());
        let error = resolve_axes("op", [2, -1], dims).unwrap_err();
        assert_eq!(error.to_string(), "op: expected each axis at most once, got [2, -1]");
        assert!(matches!(resolve_axes("op", [0, 3], dims), Err(Error::Axis { axis: 3, .. })));
        assert!(matches!(resolve_axes("op", [u64::MAX], dims), Err(Error::Axis { .. })));
        assert!(matches!(resolve_axes("op", i64::MIN, dims), Err(Error::Axis { .. })));
        Ok(())
    }
}
