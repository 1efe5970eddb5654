//! Where an array has something that it should not have.

use super::Element;
use super::parallel::vectorize;

/// Elements that are looked at before it is asked whether one of them was found.
const PIECE: usize = 4096;

/// The place of the first element for which `wrong` holds.
pub(crate) fn position<T: Element>(x: &[T], wrong: impl Fn(T) -> bool) -> Option<usize> {
    let any = |piece: &[T]| {
        vectorize(
            #[inline(always)]
            || piece.iter().fold(false, |any, &x| any | wrong(x)),
        )
    };
    let start = x.chunks(PIECE).position(any)? * PIECE;
    x[start..].iter().position(|&x| wrong(x)).map(|i| start + i)
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn the_first_of_several() {
        let mut x = vec![0.5_f32; 10_000];
        let outside = |x: f32| !(0.0..=1.0).contains(&x);
        assert_eq!(position(&x, outside), None);
        assert_eq!(position(&x[..0], outside), None);
        x[9_999] = f32::NAN;
        assert_eq!(position(&x, outside), Some(9_999));
        x[5_000] = 2.0;
        x[5_001] = 2.0;
        assert_eq!(position(&x, outside), Some(5_000));
    }
}
