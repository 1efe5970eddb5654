//! The order of the elements of a row.

use std::cmp::Ordering;

use super::parallel::for_each_row;

/// In which order elements come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// The largest first.
    pub(crate) descending: bool,
    /// Whether a NaN comes before every number; if not, it comes after them.
    pub(crate) nan_first: bool,
}

impl Order {
    /// A total order of all but equal numbers: without one, sorting would be free to panic.
    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn compare<T: Copy + PartialOrd>(self, a: T, b: T) -> Ordering {
        let (order, back) = match a.partial_cmp(&b) {
            Some(order) => (order, self.descending),
            None => ((a != a).cmp(&(b != b)), self.nan_first),
        };
        if back { order.reverse() } else { order }
    }
}

/// The places of the first `k` elements of each row of `width` in that order, of equal ones the earlier first; 0 < k ≤
/// width < 2³².
pub(crate) fn places<T>(x: &[T], width: usize, k: usize, order: Order) -> Vec<u32>
where
    T: Copy + PartialOrd + Send + Sync,
{
    let mut out = vec![0; x.len() / width * k];
    for_each_row(&mut out, k, |i, out| {
        let row = &x[i * width..(i + 1) * width];
        let mut pairs: Vec<(T, u32)> = row.iter().copied().zip(0..).collect();
        // No two pairs are equal, so that no sort is unstable.
        let compare = |a: &(T, u32), b: &(T, u32)| order.compare(a.0, b.0).then(a.1.cmp(&b.1));
        if k < width {
            pairs.select_nth_unstable_by(k - 1, compare);
            pairs.truncate(k);
        }
        pairs.sort_unstable_by(compare);
        out.iter_mut().zip(&pairs).for_each(|(slot, pair)| *slot = pair.1);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::{Order, places};

    #[test]
    fn against_a_stable_sort() {
        const NAN: f64 = f64::NAN;
        let x: Vec<f64> = (0..20_000)
            .map(|i: u64| match i * 7919 % 23 {
                0 | 1 => NAN,
                2 => f64::INFINITY,
                3 => f64::NEG_INFINITY,
                4 => -0.0,
                n => (n / 2) as f64 - 6.0,
            })
            .collect();
        for (descending, nan_first) in [(false, false), (true, false), (true, true)] {
            for (width, k) in [(1, 1), (100, 100), (100, 7), (20_000, 20_000), (20_000, 19_999)] {
                let got = places(&x, width, k, Order { descending, nan_first });
                for (row, got) in x.chunks(width).zip(got.chunks(k)) {
                    let mut plain: Vec<u32> = (0..width as u32).collect();
                    // A key that puts a NaN beyond the infinities.
                    let key = |i: &u32| {
                        let x = row[*i as usize];
                        let (nan, sign) =
                            (if nan_first { -1 } else { 1 }, if descending { -1.0 } else { 1.0 });
                        if x.is_nan() { (nan, 0.0) } else { (0, sign * x) }
                    };
                    plain.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap());
                    assert_eq!(got, &plain[..k], "{descending} {nan_first} {width} {k}");
                }
            }
        }
    }
}
