//! Arrays of numbers in row-major order, and the operations on them as plainly as they can be written: each element of a result is
//! computed from its indices.

use super::number::Number;

#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Vec<Number>,
}

impl Plain {
    /// Each element from its indices.
    pub(crate) fn build(dims: &[usize], f: impl Fn(&[usize]) -> Number) -> Plain {
        let mut data = Vec::new();
        let mut at = vec![0; dims.len()];
        for _ in 0..dims.iter().product() {
            data.push(f(&at));
            for (index, &size) in at.iter_mut().zip(dims).rev() {
                *index += 1;
                if *index < size {
                    break;
                }
                *index = 0;
            }
        }
        Plain { dims: dims.to_vec(), data }
    }

    pub(crate) fn get(&self, at: &[usize]) -> Number {
        let place = at.iter().zip(&self.dims).fold(0, |place, (index, size)| place * size + index);
        self.data[place]
    }

    /// The element that broadcasting puts at this place of a larger array.
    pub(crate) fn broadcast(&self, at: &[usize]) -> Number {
        let own = &at[at.len() - self.dims.len()..];
        let own: Vec<usize> =
            own.iter().zip(&self.dims).map(|(&index, &size)| if size == 1 { 0 } else { index }).collect();
        self.get(&own)
    }

    pub(crate) fn map(&self, f: impl Fn(Number) -> Number) -> Plain {
        Plain { dims: self.dims.clone(), data: self.data.iter().map(|&x| f(x)).collect() }
    }

    pub(crate) fn zip(&self, other: &Plain, f: impl Fn(Number, Number) -> Number) -> Option<Plain> {
        let dims = broadcast_dims(&self.dims, &other.dims)?;
        Some(Plain::build(&dims, |at| f(self.broadcast(at), other.broadcast(at))))
    }

    pub(crate) fn reshape(&self, dims: &[usize]) -> Plain {
        Plain { dims: dims.to_vec(), data: self.data.clone() }
    }

    /// One number of each line along the axis, which goes.
    pub(crate) fn reduce(&self, axis: usize, f: impl Fn(&[Number]) -> Number) -> Plain {
        let mut dims = self.dims.clone();
        dims.remove(axis);
        Plain::build(&dims, |at| f(&self.line(axis, at)))
    }

    /// As many numbers for each line along the axis.
    pub(crate) fn lines(&self, axis: usize, f: impl Fn(&[Number]) -> Vec<Number>) -> Plain {
        Plain::build(&self.dims, |at| {
            let mut others = at.to_vec();
            let place = others.remove(axis);
            f(&self.line(axis, &others))[place]
        })
    }

    fn line(&self, axis: usize, others: &[usize]) -> Vec<Number> {
        let element = |i| {
            let mut at = others.to_vec();
            at.insert(axis, i);
            self.get(&at)
        };
        (0..self.dims[axis]).map(element).collect()
    }

    /// The axes in another order.
    pub(crate) fn permute(&self, order: &[usize]) -> Plain {
        let dims: Vec<usize> = order.iter().map(|&axis| self.dims[axis]).collect();
        Plain::build(&dims, |at| {
            let mut own = vec![0; at.len()];
            order.iter().zip(at).for_each(|(&axis, &index)| own[axis] = index);
            self.get(&own)
        })
    }

    /// Along the axis the elements of these places, or 0 for none.
    pub(crate) fn pick(&self, axis: usize, places: &[Option<usize>]) -> Plain {
        let mut dims = self.dims.clone();
        dims[axis] = places.len();
        Plain::build(&dims, |at| {
            let mut own = at.to_vec();
            match places[at[axis]] {
                Some(place) => {
                    own[axis] = place;
                    self.get(&own)
                }
                None => Number::constant(0.0),
            }
        })
    }

    pub(crate) fn cat(&self, other: &Plain, axis: usize) -> Plain {
        let mut dims = self.dims.clone();
        dims[axis] += other.dims[axis];
        Plain::build(&dims, |at| {
            let mut own = at.to_vec();
            match at[axis].checked_sub(self.dims[axis]) {
                None => self.get(at),
                Some(index) => {
                    own[axis] = index;
                    other.get(&own)
                }
            }
        })
    }

    /// Matrix products over the last two axes; those before are broadcast.
    pub(crate) fn matmul(&self, other: &Plain) -> Option<Plain> {
        let ([before @ .., n, k], [other_before @ .., k2, m]) = (&self.dims[..], &other.dims[..]) else {
            return None;
        };
        let mut dims = broadcast_dims(before, other_before)?;
        let batch = dims.len();
        dims.extend([n, m]);
        (k == k2).then(|| {
            Plain::build(&dims, |at| {
                let (left, right) = (at[batch], at[batch + 1]);
                let product = |i| {
                    let of = |x: &Plain, row, column| x.broadcast(&[&at[..batch], &[row, column]].concat());
                    of(self, left, i) * of(other, i, right)
                };
                (0..*k).map(product).sum()
            })
        })
    }

    /// (n, c, l) with kernels (o, c, k) to (n, o, l′).
    pub(crate) fn conv1d(&self, kernels: &Plain, stride: usize, padding: usize) -> Option<Plain> {
        let (&[n, c, l], &[o, c2, k]) = (&self.dims[..], &kernels.dims[..]) else { return None };
        if c != c2 || l + 2 * padding < k {
            return None;
        }
        Some(Plain::build(&[n, o, (l + 2 * padding - k) / stride + 1], |at| {
            let product = |(channel, i): (usize, usize)| {
                let place = (at[2] * stride + i).checked_sub(padding).filter(|&place| place < l)?;
                Some(self.get(&[at[0], channel, place]) * kernels.get(&[at[1], channel, i]))
            };
            (0..c * k).map(|place| (place / k, place % k)).filter_map(product).sum()
        }))
    }
}

pub(crate) fn broadcast_dims(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}
