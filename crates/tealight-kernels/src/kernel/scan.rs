//! Folds and scans along the middle axis of an array of shape (outer, axis, inner), one element after the other.

use smallvec::SmallVec;

use super::Element;
use super::parallel::{for_each_row, vectorize};

/// `end(step(… step(step(start, x[o, 0, i]), x[o, 1, i]) …))` of shape (outer, inner).
pub fn reduce_axis<T, A, O>(
    x: &[T],
    [outer, axis, inner]: [usize; 3],
    start: A,
    step: impl Fn(A, T) -> A + Send + Sync,
    end: impl Fn(A) -> O + Send + Sync,
) -> Vec<O>
where
    T: Copy + Send + Sync,
    A: Copy + Send + Sync,
    O: Copy + Default + Send,
{
    let mut out = vec![O::default(); outer * inner];
    for_each_row(&mut out, inner, |o, out| {
        let block = &x[o * axis * inner..(o + 1) * axis * inner];
        // Mostly inner is 1, and the value stays in a register.
        let mut folds: SmallVec<[A; 1]> = SmallVec::from_elem(start, inner);
        vectorize!({
            if inner == 1 {
                let mut fold = start;
                for i in 0..axis {
                    fold = step(fold, block[i]);
                }
                out[0] = end(fold);
                return;
            }
            let folds = &mut folds[..inner];
            for row in block.chunks_exact(inner) {
                for i in 0..inner {
                    folds[i] = step(folds[i], row[i]);
                }
            }
            for i in 0..inner {
                out[i] = end(folds[i]);
            }
        });
    });
    out
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// From the end of the axis to its start.
    pub reverse: bool,
    /// Whether an element is left out of its own result.
    pub exclusive: bool,
}

/// The partial results of [`reduce_axis`], of two arrays: after each element, or before it if `exclusive`. Not vectorised, since
/// each value waits for the one before.
pub fn scan<T, A, O>(
    [a, b]: [&[T]; 2],
    [outer, axis, inner]: [usize; 3],
    walk: Walk,
    start: A,
    step: impl Fn(A, T, T) -> A + Send + Sync,
    end: impl Fn(A) -> O + Send + Sync,
) -> Vec<O>
where
    T: Copy + Send + Sync,
    A: Copy + Send + Sync,
    O: Copy + Default + Send,
{
    let mut out = vec![O::default(); outer * axis * inner];
    for_each_row(&mut out, axis * inner, |o, out| {
        let block = o * axis * inner..(o + 1) * axis * inner;
        let (a, b) = (&a[block.clone()], &b[block]);
        let mut values: SmallVec<[A; 1]> = SmallVec::from_elem(start, inner);
        let values = &mut values[..inner];
        for k in 0..axis {
            let from = if walk.reverse { axis - 1 - k } else { k } * inner;
            let (a, b, out) = (&a[from..][..inner], &b[from..][..inner], &mut out[from..][..inner]);
            for i in 0..inner {
                let before = values[i];
                values[i] = step(before, a[i], b[i]);
                out[i] = end(if walk.exclusive { before } else { values[i] });
            }
        }
    });
    out
}

/// The products along the axis, rounded once.
#[inline(never)]
pub fn products<T: Element>(x: &[T], shape: [usize; 3]) -> Vec<T> {
    reduce_axis(x, shape, 1.0, |a, x| a * x.to_f64(), T::constant)
}

/// For each element the product of all others along the axis, without a division, which would fail at 0.
#[inline(never)]
pub fn other_products<T: Element>(x: &[T], shape: [usize; 3]) -> Vec<T> {
    let side = |reverse| {
        let walk = Walk { reverse, exclusive: true };
        scan([x, x], shape, walk, 1.0, |a, x: T, _| a * x.to_f64(), |a| a)
    };
    side(false).into_iter().zip(side(true)).map(|(before, after)| T::constant(before * after)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Walk, other_products, products, reduce_axis, scan};

    #[test]
    fn folds_and_scans_against_plain_loops() {
        for shape @ [outer, axis, inner] in
            [[1, 5, 1], [3, 4, 2], [2, 1, 3], [0, 3, 2], [2, 0, 3], [2, 3, 0], [200, 100, 1], [2, 90, 100]]
        {
            let x: Vec<i64> = (0..(outer * axis * inner) as i64).map(|i| i * 37 % 101 - 50).collect();
            let y: Vec<i64> = x.iter().map(|x| x % 7).collect();
            let at = |o: usize, k: usize, i: usize| (o * axis + k) * inner + i;
            let step = |a: i64, x: i64| a.wrapping_mul(3).wrapping_add(x);
            let sums = reduce_axis(&x, shape, 1, step, |a| a as f64);
            for flat in 0..outer * inner {
                let (o, i) = (flat / inner, flat % inner);
                let plain = (0..axis).fold(1, |a, k| step(a, x[at(o, k, i)]));
                assert_eq!(sums[flat], plain as f64);
            }
            for (reverse, exclusive) in [(false, false), (true, false), (false, true), (true, true)] {
                let walk = Walk { reverse, exclusive };
                let got = scan([&x, &y], shape, walk, 1, |a, x, y| step(a, x) ^ y, |a| a);
                assert_eq!(got.len(), x.len());
                for flat in 0..outer * inner {
                    let (o, i) = (flat / inner, flat % inner);
                    let mut a = 1;
                    for k in 0..axis {
                        let place = at(o, if reverse { axis - 1 - k } else { k }, i);
                        let before = a;
                        a = step(a, x[place]) ^ y[place];
                        assert_eq!(got[place], if exclusive { before } else { a }, "{shape:?} {walk:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn products_do_not_overflow_on_the_way() {
        let x = [1e30_f32, 1e30, 1e-30, 1e-30];
        assert!((products(&x, [1, 4, 1])[0] - 1.0).abs() < 1e-6);
        let others = other_products(&x, [1, 4, 1]);
        assert!((others[0] / 1e-30 - 1.0).abs() < 1e-6 && (others[3] / 1e30 - 1.0).abs() < 1e-6);
        assert_eq!(other_products(&[2.0, 0.0, 3.0], [1, 3, 1]), [0.0, 6.0, 0.0]);
        assert_eq!(products::<f64>(&[], [2, 0, 1]), [1.0, 1.0]);
    }
}
