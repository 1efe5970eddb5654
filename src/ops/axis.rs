//! [`Axis`]: any integer names an axis, negative ones from the end.

use crate::error::{Error, Result};

/// An integer that names an axis: 0 is the first, −1 the last.
pub trait Axis: Copy {
    /// The number as given.
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
