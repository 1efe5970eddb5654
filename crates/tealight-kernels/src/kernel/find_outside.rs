//! The first element that is not in a range.

use super::Element;
use super::parallel::vectorize;
use crate::formula::Real;

/// Elements that one vector loop checks.
const PIECE: usize = 4096;

/// Whether x, or |x| if `absolute`, is not from `low` to `high`. A NaN never is.
#[inline(always)]
fn is_outside<T: Element>(x: T, low: T, high: T, absolute: bool) -> bool {
    let x = if absolute { Real::abs(x) } else { x };
    !(low <= x && x <= high)
}

/// A loop, no fold: the closure of one would not be inlined into the vector code.
#[inline(always)]
fn any_outside<T: Element, const ABSOLUTE: bool>(x: &[T], low: T, high: T) -> bool {
    let mut any = false;
    for &x in x {
        any |= is_outside(x, low, high, ABSOLUTE);
    }
    any
}

/// The index of the first element that is not from `low` to `high`; of the absolute values if `absolute`.
#[inline(never)]
pub fn outside<T: Element>(x: &[T], low: T, high: T, absolute: bool) -> Option<usize> {
    let any = |piece: &[T]| match absolute {
        true => vectorize!(any_outside::<T, true>(piece, low, high)),
        false => vectorize!(any_outside::<T, false>(piece, low, high)),
    };
    let start = x.chunks(PIECE).position(any)? * PIECE;
    x[start..].iter().position(|&x| is_outside(x, low, high, absolute)).map(|i| start + i)
}

#[cfg(test)]
mod tests {
    use super::outside;

    #[test]
    fn the_first_of_several() {
        let mut x = vec![0.5_f32; 10_000];
        let found = |x: &[f32]| outside(x, 0.0, 1.0, false);
        assert_eq!(found(&x), None);
        assert_eq!(found(&x[..0]), None);
        x[9_999] = f32::NAN;
        assert_eq!(found(&x), Some(9_999));
        x[5_000] = 2.0;
        x[5_001] = 2.0;
        assert_eq!(found(&x), Some(5_000));
        // At each place of the vectors, and after the last.
        for n in [1, 63, 64, 65, 200] {
            for i in 0..n {
                let mut x = vec![-0.5_f64; n];
                x[i] = -1.5;
                assert_eq!(outside(&x, -1.0, 0.0, false), Some(i), "{n}");
                assert_eq!(outside(&x, 0.0, 1.0, true), Some(i), "{n}");
                assert_eq!(outside(&x, 0.5, 1.5, true), None, "{n}");
            }
        }
    }

    #[test]
    fn absolute_values_and_infinite_bounds() {
        assert_eq!(outside(&[1.0, -1.0, 0.5], 1.0, 1.0, true), Some(2));
        assert_eq!(outside(&[1.0, -1.0, f64::NAN], 1.0, 1.0, true), Some(2));
        let all = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        assert_eq!(outside(&all, f64::NEG_INFINITY, f64::INFINITY, false), Some(2));
    }
}
