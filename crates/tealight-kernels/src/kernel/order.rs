//! Sorting the elements of a row.

use super::parallel::for_each_row;

/// The order of a sort.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub descending: bool,
    /// Whether a NaN comes before every number; otherwise it comes after them.
    pub nan_first: bool,
}

/// Elements that can be sorted by a number, so that the sort is compiled once for all types.
pub trait Rank: Copy + Send + Sync {
    /// Greater for a greater element, the same for equal ones; `None` for NaN.
    fn rank(self) -> Option<u64>;
}

macro_rules! ranks {
    ($($t:ty: $x:ident => $rank:expr),*) => {$(
        impl Rank for $t {
            fn rank(self) -> Option<u64> {
                let $x = self;
                $rank
            }
        }
    )*};
}
ranks! {
    u8: x => Some(x.into()),
    u32: x => Some(x.into()),
    i64: x => Some(x as u64 ^ 1 << 63),
    f32: x => f64::from(x).rank(),
    f64: x => {
        // −0 is 0. The bits of positive numbers are in order, and those of negative ones in reverse.
        let bits = (x + 0.0).to_bits();
        let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
        (!x.is_nan()).then_some(ordered)
    }
}

impl Order {
    /// Smaller for an element that comes earlier. No float but NaN has the key 0 or `u64::MAX`.
    fn key<T: Rank>(self, x: T) -> u64 {
        match x.rank() {
            Some(rank) if self.descending => !rank,
            Some(rank) => rank,
            None if self.nan_first => 0,
            None => u64::MAX,
        }
    }
}

/// The indices of the first `k` elements of each row of `width` in that order, of equal ones the earlier first; 0 < k ≤
/// width < 2³².
#[inline(never)]
pub fn places<T: Rank>(x: &[T], width: usize, k: usize, order: Order) -> Vec<u32> {
    let mut out = vec![0; x.len() / width * k];
    for_each_row(&mut out, k, |i, out| {
        let mut pairs = Vec::with_capacity(width);
        for (&x, place) in x[i * width..(i + 1) * width].iter().zip(0..) {
            pairs.push((order.key(x), place));
        }
        first(&mut pairs, out);
    });
    out
}

/// The indices of the smallest keys. No two pairs are equal, so an unstable sort will do.
fn first(pairs: &mut Vec<(u64, u32)>, out: &mut [u32]) {
    let k = out.len();
    if k < pairs.len() {
        pairs.select_nth_unstable(k - 1);
        pairs.truncate(k);
    }
    pairs.sort_unstable();
    out.iter_mut().zip(pairs).for_each(|(slot, pair)| *slot = pair.1);
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

    #[test]
    fn every_type_has_its_order() {
        let up = Order { descending: false, nan_first: false };
        assert_eq!(places(&[3_u8, 255, 0, 3], 4, 4, up), [2, 0, 3, 1]);
        assert_eq!(places(&[u32::MAX, 0, 7], 3, 3, up), [1, 2, 0]);
        assert_eq!(places(&[0, -1, i64::MAX, i64::MIN], 4, 4, up), [3, 1, 0, 2]);
        assert_eq!(
            places(&[0.0_f32, -1e-45, -0.0, f32::NAN, -f32::NAN, 1e-45], 6, 6, up),
            [1, 0, 2, 5, 3, 4]
        );
        let down = Order { descending: true, nan_first: true };
        assert_eq!(places(&[0.0, f64::NEG_INFINITY, f64::INFINITY, -f64::NAN], 4, 4, down), [3, 2, 0, 1]);
        assert_eq!(places(&[i64::MIN, i64::MAX, 0], 3, 2, down), [1, 2]);
    }
}
