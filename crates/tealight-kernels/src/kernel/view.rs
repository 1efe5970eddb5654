//! Strided arrays, and how those of one shape are walked together.

use smallvec::SmallVec;

/// A shape or strides: up to six axes without an allocation.
pub type Dims = SmallVec<[usize; 6]>;

/// A strided array: element (i₀, i₁, …) is `data[i₀·s₀ + i₁·s₁ + …]`. Along an axis of stride 0 it is constant.
#[derive(Clone, Debug)]
pub struct View<'a, T> {
    pub data: &'a [T],
    pub strides: Dims,
}

/// The shape that two broadcast to by numpy's rules; `None` if they do not.
pub fn broadcast_dims(a: &[usize], b: &[usize]) -> Option<Dims> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut dims = Dims::from_slice(long);
    for (out, &other) in dims[long.len() - short.len()..].iter_mut().zip(short) {
        match (*out, other) {
            (x, y) if x == y => {}
            (1, y) => *out = y,
            (_, 1) => {}
            _ => return None,
        }
    }
    Some(dims)
}

impl<'a, T> View<'a, T> {
    /// `data` laid out with `dims` and `strides`, seen as an array of shape `out`, to which `dims` broadcasts.
    pub fn broadcast(data: &'a [T], dims: &[usize], strides: &[usize], out: &[usize]) -> Self {
        let lead = out.len() - dims.len();
        let strides = (0..out.len())
            .map(|axis| match axis.checked_sub(lead) {
                Some(own) if dims[own] == out[axis] => strides[own],
                _ => 0,
            })
            .collect();
        View { data, strides }
    }

    /// A placeholder for a source that the loop does not read.
    pub fn unused() -> Self {
        View { data: &[], strides: Dims::new() }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.data.is_empty()
    }
}

/// Drops axes of size 1 and merges adjacent ones that every view walks as one, so that most loops have one axis.
pub(super) fn coalesce<const N: usize, T>(dims: &[usize], views: &mut [View<'_, T>; N]) -> Dims {
    let mut merged = Dims::new();
    let mut strides: [Dims; N] = std::array::from_fn(|_| Dims::new());
    for (axis, &size) in dims.iter().enumerate() {
        if size == 1 {
            continue;
        }
        let one_walk = !merged.is_empty()
            && views
                .iter()
                .zip(&strides)
                .all(|(view, outer)| view.is_unused() || outer[outer.len() - 1] == view.strides[axis] * size);
        if one_walk {
            *merged.last_mut().expect("one walk has an axis before this one") *= size;
        } else {
            merged.push(size);
        }
        for (view, outer) in views.iter().zip(&mut strides) {
            if view.is_unused() {
                continue;
            }
            if one_walk {
                outer.pop();
            }
            outer.push(view.strides[axis]);
        }
    }
    for (view, strides) in views.iter_mut().zip(strides) {
        view.strides = strides;
    }
    merged
}

/// The index along each axis of element number `flat`, in row-major order.
pub(super) fn unravel(mut flat: usize, dims: &[usize]) -> Dims {
    let mut index = Dims::from_elem(0, dims.len());
    for (place, &size) in index.iter_mut().zip(dims).rev() {
        (*place, flat) = (flat % size, flat / size);
    }
    index
}

/// Walks a view in row-major order from any element on and copies runs of elements out.
pub(super) struct Walk<'v, 'a, T> {
    view: &'v View<'a, T>,
    dims: &'v [usize],
    index: Dims,
    offset: usize,
}

impl<'v, 'a, T: Copy> Walk<'v, 'a, T> {
    /// Starts at element number `start` of a view of shape `dims`.
    pub(super) fn new(view: &'v View<'a, T>, dims: &'v [usize], start: usize) -> Self {
        let index = unravel(start, dims);
        let offset = index.iter().zip(&view.strides).map(|(place, stride)| place * stride).sum();
        Walk { view, dims, index, offset }
    }

    /// The next `out.len()` elements, in runs along the last axis.
    pub(super) fn fill(&mut self, out: &mut [std::mem::MaybeUninit<T>]) {
        let Some(last) = self.dims.len().checked_sub(1) else {
            out.iter_mut().for_each(|slot| {
                slot.write(self.view.data[0]);
            });
            return;
        };
        let stride = self.view.strides[last];
        let mut rest = out;
        while !rest.is_empty() {
            let run = rest.len().min(self.dims[last] - self.index[last]);
            let (now, later) = std::mem::take(&mut rest).split_at_mut(run);
            rest = later;
            let source = &self.view.data[self.offset..];
            match stride {
                0 => now.iter_mut().for_each(|slot| {
                    slot.write(source[0]);
                }),
                // An index out of bounds panics: a shorter `zip` would leave slots uninitialised.
                1 => now.iter_mut().zip(&source[..run]).for_each(|(slot, &value)| {
                    slot.write(value);
                }),
                _ => {
                    let source = &source[..=(run - 1) * stride];
                    now.iter_mut().zip(source.iter().step_by(stride)).for_each(|(slot, &value)| {
                        slot.write(value);
                    });
                }
            }
            self.advance(run);
        }
    }

    fn advance(&mut self, run: usize) {
        let last = self.dims.len() - 1;
        self.index[last] += run;
        self.offset += run * self.view.strides[last];
        let mut axis = last;
        while self.index[axis] == self.dims[axis] {
            self.offset -= self.index[axis] * self.view.strides[axis];
            self.index[axis] = 0;
            if axis == 0 {
                return;
            }
            axis -= 1;
            self.index[axis] += 1;
            self.offset += self.view.strides[axis];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dims, View, Walk, broadcast_dims, coalesce};

    #[test]
    fn broadcasting_rules() {
        let dims = |a: &[usize], b: &[usize]| broadcast_dims(a, b).map(|d| d.to_vec());
        assert_eq!(dims(&[3, 1], &[4]), Some(vec![3, 4]));
        assert_eq!(dims(&[], &[2, 0]), Some(vec![2, 0]));
        assert_eq!(dims(&[0], &[1]), Some(vec![0]));
        assert_eq!(dims(&[2, 3], &[2]), None);
        assert_eq!(dims(&[0], &[2]), None);
    }

    #[test]
    fn contiguous_views_become_one_axis() {
        let data = [0.0; 24];
        let mut views = [View { data: &data, strides: Dims::from_slice(&[12, 4, 1]) }];
        assert_eq!(coalesce(&[2, 3, 4], &mut views).as_slice(), [24]);
        let mut views = [View { data: &data, strides: Dims::from_slice(&[0, 4, 1]) }];
        assert_eq!(coalesce(&[2, 3, 4], &mut views).as_slice(), [2, 12]);
        assert_eq!(views[0].strides.as_slice(), [0, 1]);
    }

    #[test]
    fn a_walk_visits_every_element_in_order_from_anywhere() {
        let data: Vec<usize> = (0..24).collect();
        // The (4, 3, 2) transpose of a (2, 3, 4) array.
        let view = View { data: &data[..], strides: Dims::from_slice(&[1, 4, 12]) };
        let dims = [4, 3, 2];
        let expected: Vec<usize> =
            (0..24).map(|flat| flat / 6 + (flat / 2 % 3) * 4 + (flat % 2) * 12).collect();
        for start in 0..24 {
            let mut out = [std::mem::MaybeUninit::new(0); 24];
            let mut walk = Walk::new(&view, &dims, start);
            let (head, tail) = out[start..].split_at_mut((24 - start) / 3);
            walk.fill(head);
            walk.fill(tail);
            let got: Vec<usize> = out[start..].iter().map(unsafe_read).collect();
            assert_eq!(got, expected[start..]);
        }
    }

    fn unsafe_read(slot: &std::mem::MaybeUninit<usize>) -> usize {
        // SAFETY: every slot was initialised when the array was made.
        unsafe { slot.assume_init() }
    }
}
