//! Blocks of an array by a list of indices: taken (gather), added to (scatter-add) and overwritten.

use super::buffer;

/// Where blocks of `block` adjacent elements start, the same in every `period` elements of an array: single elements (`block` = 1),
/// elements of the whole array (`period` = its length), or slices along an axis. A block lies within its period; blocks may overlap,
/// and `starts` may repeat. Where a start is negative there is no block: zeros are taken, and nothing is written.
#[derive(Clone, Copy, Debug)]
pub struct BlockIndices<'a> {
    pub starts: &'a [i64],
    pub block: usize,
    pub period: usize,
}

/// Addition that wraps around for integers.
pub trait Plus: Copy + Default {
    fn plus(self, other: Self) -> Self;
}

macro_rules! plus {
    ($(($($t:ty)*) $add:expr;)*) => {$($(
        impl Plus for $t {
            fn plus(self, other: Self) -> Self {
                let add: fn($t, $t) -> $t = $add;
                add(self, other)
            }
        }
    )*)*};
}
plus! {
    (u8 u32 i16 i32 i64) |a, b| a.wrapping_add(b);
    (f32 f64) |a, b| a + b;
}

impl BlockIndices<'_> {
    /// The elements of all blocks of one period.
    pub fn count(&self) -> usize {
        self.starts.len() * self.block
    }

    /// The elements of all blocks, one block after the other.
    pub fn take<T: Copy + Default + 'static>(&self, data: &[T]) -> Vec<T> {
        if self.count() == 0 {
            return Vec::new();
        }
        let mut out = buffer::empty(data.len() / self.period * self.count());
        for piece in data.chunks_exact(self.period) {
            let starts = self.starts.iter().map(|&start| usize::try_from(start).ok());
            match self.block {
                1 => out.extend(starts.map(|start| start.map_or(T::default(), |start| piece[start]))),
                n => starts.for_each(|start| match start {
                    Some(start) => out.extend_from_slice(&piece[start..start + n]),
                    None => out.resize(out.len() + n, T::default()),
                }),
            }
        }
        out
    }

    /// `n` zeros with the elements of `source` added to the blocks: the transpose of [`take`](BlockIndices::take).
    pub fn put<T: Plus + 'static>(&self, source: &[T], n: usize) -> Vec<T> {
        let mut out = buffer::zeros(n);
        self.add(&mut out, source);
        out
    }

    /// Adds the elements of `source` to the blocks.
    pub fn add<T: Plus>(&self, out: &mut [T], source: &[T]) {
        self.each(out, source, |out, row| out.iter_mut().zip(row).for_each(|(a, &b)| *a = a.plus(b)));
    }

    /// Overwrites the blocks with the elements of `source`; where they overlap, the last one stays.
    pub fn set<T: Copy>(&self, out: &mut [T], source: &[T]) {
        self.each(out, source, |out, row| out.copy_from_slice(row));
    }

    fn each<T>(&self, out: &mut [T], source: &[T], write: impl Fn(&mut [T], &[T])) {
        if self.count() == 0 {
            return;
        }
        for (piece, part) in out.chunks_exact_mut(self.period).zip(source.chunks_exact(self.count())) {
            for (&start, row) in self.starts.iter().zip(part.chunks_exact(self.block)) {
                if let Ok(start) = usize::try_from(start) {
                    write(&mut piece[start..start + self.block], row);
                }
            }
        }
    }

    /// The same elements as indices of blocks of one length, which is 1 if no longer one divides all starts: (indices, length).
    pub fn in_blocks(&self) -> (Vec<i64>, usize) {
        let n = self.block.max(1);
        if self.period.is_multiple_of(n) && self.starts.iter().all(|start| start % n as i64 == 0) {
            return (self.starts.iter().map(|start| start / n as i64).collect(), n);
        }
        (self.starts.iter().flat_map(|&start| start..start + self.block as i64).collect(), 1)
    }
}

/// The starts of blocks, with −1 for each that stands there again.
pub fn last_of_each(starts: &[i64]) -> Vec<i64> {
    let mut last = starts.to_vec();
    if starts.is_sorted_by(|a, b| a < b) {
        return last;
    }
    let mut order: Vec<usize> = (0..starts.len()).collect();
    order.sort_unstable_by_key(|&i| (starts[i], i));
    for pair in order.windows(2).filter(|pair| starts[pair[0]] == starts[pair[1]]) {
        last[pair[0]] = -1;
    }
    last
}

/// The strides of an array in row-major order.
pub fn strides(dims: &[usize]) -> Vec<usize> {
    (0..dims.len())
        .map(|axis| dims[axis + 1..].iter().fold(1, |n: usize, &size| n.saturating_mul(size)))
        .collect()
}

/// Every sum of one element of each list, in row-major order of the lists.
pub fn sums(lists: impl IntoIterator<Item = Vec<usize>>) -> Vec<usize> {
    lists.into_iter().fold(vec![0], |sums, list| {
        sums.iter().flat_map(|&sum| list.iter().map(move |&number| sum + number)).collect()
    })
}

/// The indices of the elements that are not 0; a NaN is not.
pub fn nonzero<T: Copy + PartialEq + Default>(data: &[T]) -> Vec<usize> {
    data.iter().enumerate().filter(|&(_, &x)| x != T::default()).map(|(i, _)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::{BlockIndices, last_of_each, nonzero, strides, sums};

    fn places(starts: &[i64], block: usize, period: usize) -> BlockIndices<'_> {
        BlockIndices { starts, block, period }
    }

    #[test]
    fn take_put_set_and_add() {
        let data = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11_i64];
        let twice = places(&[3, 0, 3], 2, 6);
        assert_eq!(twice.take(&data), [3, 4, 0, 1, 3, 4, 9, 10, 6, 7, 9, 10]);
        let source = [1, 2, 3, 4, 5, 6_i64];
        assert_eq!(places(&[3, 0, 3], 2, 6).put(&source, 6), [3, 4, 0, 6, 8, 0]);
        assert_eq!(places(&[0, 1], 2, 3).put(&source[..4], 3), [1, 5, 4]);
        let mut out = [9; 6];
        twice.set(&mut out, &source);
        assert_eq!(out, [3, 4, 9, 5, 6, 9]);
        let some = places(&[-1, 2, -1], 2, 4);
        assert_eq!(some.take(&data[..4]), [0, 0, 2, 3, 0, 0]);
        assert_eq!(some.put(&source, 4), [0, 0, 3, 4]);
        assert_eq!(places(&[1, -1], 1, 2).take(&data[..2]), [1, 0]);
        let mut bytes = [250_u8];
        places(&[0, 0], 1, 1).add(&mut bytes, &[3, 4]);
        assert_eq!(bytes, [1]);
    }

    #[test]
    fn empty_arrays() {
        let none: [f32; 0] = [];
        for nothing in [places(&[], 3, 6), places(&[0, 0], 0, 0), places(&[], 0, 0)] {
            assert_eq!(nothing.take(&none), none);
            assert_eq!(nothing.put(&none, 2), [0.0, 0.0]);
        }
        assert_eq!(places(&[0, 1], 1, 2).take(&none), none);
    }

    #[test]
    fn the_last_of_each() {
        assert_eq!(last_of_each(&[0, 4, 6]), [0, 4, 6]);
        assert_eq!(last_of_each(&[6, 0, 4]), [6, 0, 4]);
        assert_eq!(last_of_each(&[4, 0, 4, 6, 0, 4]), [-1, -1, -1, 6, 0, 4]);
    }

    #[test]
    fn places_in_whole_blocks() {
        assert_eq!(places(&[6, 0], 3, 9).in_blocks(), (vec![2, 0], 3));
        assert_eq!(places(&[1, 0], 2, 4).in_blocks(), (vec![1, 2, 0, 1], 1));
    }

    #[test]
    fn sums_of_lists_and_strides() {
        assert_eq!(sums([vec![0, 10], vec![0, 1, 2]]), [0, 1, 2, 10, 11, 12]);
        assert_eq!(sums([]), [0]);
        assert_eq!(sums([vec![1], vec![]]), [0_usize; 0]);
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(strides(&[]), [0_usize; 0]);
    }

    #[test]
    fn nonzero_elements() {
        assert_eq!(nonzero(&[0.0, -0.0, 1.0, f64::NAN]), [2, 3]);
    }
}
