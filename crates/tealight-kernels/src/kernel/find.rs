//! argmax and argmin along an axis.

use smallvec::SmallVec;

use super::parallel::{for_each_row, vectorize};

/// Whether x is a NaN; no integer is.
#[inline(always)]
#[allow(clippy::eq_op)]
fn is_nan<T: PartialEq>(x: T) -> bool {
    x != x
}

/// The index, along the middle axis of an array of shape (outer, axis, inner), axis > 0, of the element that comes first in the
/// order `before`; of equal ones the first. A NaN comes before every number.
pub fn find_axis<T, F>(x: &[T], outer: usize, axis: usize, inner: usize, before: F) -> Vec<u32>
where
    T: Copy + PartialEq + Send + Sync,
    F: Fn(T, T) -> bool + Send + Sync,
{
    let mut out = vec![0; outer * inner];
    for_each_row(&mut out, inner, |o, out| {
        let block = &x[o * axis * inner..(o + 1) * axis * inner];
        // Mostly inner is 1, and the best element stays in a register.
        let mut best: SmallVec<[T; 1]> = block[..inner].iter().copied().collect();
        vectorize!({
            let (best, out) = (&mut best[..inner], &mut out[..inner]);
            for (place, row) in (0..).zip(block.chunks_exact(inner)) {
                for i in 0..inner {
                    // A selection instead of a branch.
                    let nan = is_nan(row[i]) & !is_nan(best[i]);
                    let better = before(row[i], best[i]) | nan;
                    best[i] = if better { row[i] } else { best[i] };
                    out[i] = if better { place } else { out[i] };
                }
            }
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::find_axis;

    #[test]
    fn the_first_of_equals_and_nan() {
        let places = find_axis(&[3, 1, 4, 1, 5, 9, 2, 6], 2, 2, 2, |a, b| a > b);
        assert_eq!(places, [1, 0, 0, 0]);
        assert_eq!(find_axis(&[1.0, f64::NAN, 7.0, f64::NAN], 1, 4, 1, |a, b| a > b), [1]);
    }
}
