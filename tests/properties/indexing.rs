//! Indexing and reshaping on any shape, against naive oracles that copy element by element. The gradient of each must be the
//! transpose of what it does: every number of the result goes back to the one that it came from.

use proptest::prelude::*;
use tealight::ops::{Pad, step};
use tealight::prelude::*;

use super::common::{flat, index, shape};

/// One to four axes, none empty, and one of the axes.
fn shape_and_axis() -> impl Strategy<Value = (Vec<usize>, usize)> {
    prop::collection::vec(1..5_usize, 1..5).prop_flat_map(|dims| {
        let rank = dims.len();
        (Just(dims), 0..rank)
    })
}

/// 1, 2, 3, … in the shape `dims`, laid out in one of several ways.
fn counted(dims: &[usize], layout: u8) -> Tensor {
    let n: usize = dims.iter().product();
    let x = Tensor::arange(1.0, n as f64 + 1.0, &Device::Cpu).unwrap().reshape(dims).unwrap();
    let back: Vec<usize> = (0..x.rank()).rev().collect();
    let x = match layout % 3 {
        0 => x,
        // The axes in reverse.
        1 => x.permute(&back).unwrap().array().contiguous().unwrap().permute(&back[..]).unwrap().into(),
        // Every other element of a longer array.
        _ => {
            let pair = Tensor::stack(&[&x, &x.zeros_like().unwrap()], -1).unwrap();
            pair.array().narrow(dims.len(), 0, 1).unwrap().squeeze(dims.len()).unwrap().into()
        }
    };
    Tensor::parameter(x)
}

/// The number of the element at `index`.
fn number(index: &[usize], dims: &[usize]) -> usize {
    index.iter().zip(dims).fold(0, |flat, (&i, &size)| flat * size + i)
}

/// `y` must have the shape `dims` and at each index the element of `x` that `from` names, or 0; and its gradient must take
/// each weight back there.
fn moved(
    x: &Tensor,
    y: &Tensor,
    dims: &[usize],
    from: impl Fn(&[usize]) -> Option<Vec<usize>>,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(y.dims(), dims);
    let (source, got) = (flat(x), flat(y));
    let weight = |i: usize| ((i * 7 + 3) % 11) as f64;
    let mut expected = vec![0.0; source.len()];
    for (i, &value) in got.iter().enumerate() {
        let place = from(&index(i, dims)).map(|place| number(&place, x.dims()));
        prop_assert_eq!(value, place.map_or(0.0, |place| source[place]), "element {}", i);
        if let Some(place) = place {
            expected[place] += weight(i);
        }
    }
    let weights: Vec<f64> = (0..got.len()).map(weight).collect();
    let weights = Tensor::from_vec(weights, dims, &Device::Cpu).unwrap();
    let gradients = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient = gradients.get(x).unwrap();
    prop_assert_eq!(gradient.dims(), x.dims());
    prop_assert_eq!(flat(gradient), expected);
    Ok(())
}

/// `index` with another number at `axis`.
fn with(index: &[usize], axis: usize, at: usize) -> Vec<usize> {
    let mut index = index.to_vec();
    index[axis] = at;
    index
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_reshape_keeps_the_order(dims in shape(), cuts in prop::collection::vec(1..5_usize, 3), layout in any::<u8>()) {
        let x = counted(&dims, layout);
        // Any divisors of what is left, and the rest.
        let mut left = x.elem_count();
        let mut to: Vec<usize> = vec![];
        for cut in cuts {
            let size = if left.is_multiple_of(cut) { cut } else { 1 };
            to.push(size);
            left /= size;
        }
        to.push(left);
        let y = x.reshape(&to[..]).unwrap();
        moved(&x, &y, &to, |at| Some(index(number(at, &to), &dims)))?;
        moved(&x, &x.flatten(0, -1).unwrap(), &[x.elem_count()], |at| Some(index(at[0], &dims)))?;
        let without: Vec<usize> = dims.iter().copied().filter(|&size| size != 1).collect();
        moved(&x, &x.squeeze_all().unwrap(), &without, |at| Some(index(number(at, &without), &dims)))?;
    }

    #[test]
    fn axes_in_any_order(dims in shape(), keys in prop::collection::vec(any::<u32>(), 4), layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let mut order: Vec<usize> = (0..dims.len()).collect();
        order.sort_by_key(|&axis| keys[axis]);
        let to: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        moved(&x, &x.permute(&order).unwrap(), &to, |at| {
            let mut from = vec![0; at.len()];
            order.iter().zip(at).for_each(|(&axis, &i)| from[axis] = i);
            Some(from)
        })?;
    }

    #[test]
    fn integers_ranges_and_steps((dims, axis) in shape_and_axis(), a in 0..6_usize, b in 0..6_usize, by in -4..5_i64,
                                 layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let size = dims[axis];
        let (start, end) = (a.min(b).min(size), a.max(b).min(size));
        // The axis is brought to the front, where `i` begins.
        let front = x.transpose(0, axis).unwrap();
        let back = |y: Tensor| y.transpose(0, axis).unwrap();
        let span = with(&dims, axis, end - start);
        let y = back(front.i(start..end).unwrap());
        moved(&x, &y, &span, |at| Some(with(at, axis, start + at[axis])))?;
        let negative = start as i64 - size as i64;
        if start < size {
            prop_assert_eq!(flat(&back(front.i(negative..).unwrap())), flat(&back(front.i(start..).unwrap())));
            prop_assert_eq!(flat(&front.i(negative).unwrap()), flat(&front.i(start).unwrap()));
        }
        let stepped = front.i(step(start..end, by));
        prop_assert_eq!(stepped.is_ok(), by != 0);
        let list: Vec<usize> = match by {
            0 => return Ok(()),
            1.. => (start..end).step_by(by as usize).collect(),
            _ => (start..end).rev().step_by(by.unsigned_abs() as usize).collect(),
        };
        moved(&x, &back(stepped.unwrap()), &with(&dims, axis, list.len()), |at| Some(with(at, axis, list[at[axis]])))?;
    }

    #[test]
    fn any_indices((dims, axis) in shape_and_axis(), picks in prop::collection::vec(any::<u16>(), 0..6),
                   layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let size = dims[axis] as i64;
        // From −size to size − 1.
        let picks: Vec<i64> = picks.iter().map(|&pick| i64::from(pick) % (2 * size) - size).collect();
        let place = |i: usize| picks[i].rem_euclid(size) as usize;
        let indices = Tensor::new(&picks[..], &Device::Cpu).unwrap();
        let y = x.index_select(axis, &indices).unwrap();
        let to = with(&dims, axis, picks.len());
        moved(&x, &y, &to, |at| Some(with(at, axis, place(at[axis]))))?;
        // The same by gather, with the indices repeated along the other axes.
        let mut column = vec![1; dims.len()];
        column[axis] = picks.len();
        let table = indices.reshape(&column[..]).unwrap().broadcast_to(&to[..]).unwrap();
        let y = x.gather(axis, &table).unwrap();
        moved(&x, &y, &to, |at| Some(with(at, axis, place(at[axis]))))?;
        // Scattered into zeros: the last stays, and the others have no gradient.
        let wide = counted(&to, layout);
        let zeros = Tensor::zeros(&dims[..], DType::F64, &Device::Cpu).unwrap();
        let last = |at: usize| (0..picks.len()).rev().find(|&i| place(i) == at);
        let y = zeros.scatter(axis, &table, &wide).unwrap();
        moved(&wide, &y, &dims, |at| Some(with(at, axis, last(at[axis])?)))?;
        // `assign` of vectors of indices does the same.
        let front = zeros.transpose(0, axis).unwrap().assign(&indices, &wide.transpose(0, axis).unwrap()).unwrap();
        moved(&wide, &front.transpose(0, axis).unwrap(), &dims, |at| Some(with(at, axis, last(at[axis])?)))?;
        // Added: all of them count.
        let added = [zeros.scatter_add(axis, &table, &wide), zeros.index_add(axis, &indices, &wide)];
        let mut sums = vec![0.0; zeros.elem_count()];
        for (i, value) in flat(&wide).into_iter().enumerate() {
            let at = index(i, &to);
            sums[number(&with(&at, axis, place(at[axis])), &dims)] += value;
        }
        for y in added {
            prop_assert_eq!(&flat(&y.unwrap()), &sums);
        }
    }

    #[test]
    fn an_assigned_part_is_read_back((dims, axis) in shape_and_axis(), a in 0..5_usize, b in 0..5_usize, last in -4..4_i64,
                                     by in prop::sample::select(vec![-3_i64, -1, 1, 2]), layout in any::<u8>()) {
        let x = counted(&dims, layout).transpose(0, axis).unwrap();
        let (start, end) = (a.min(b).min(dims[axis]), a.max(b).min(dims[axis]));
        let first = step(start..end, by);
        let part = x.i(first).unwrap();
        let source = (counted(part.dims(), layout / 3) + 1000.0).unwrap();
        let y = x.assign(first, &source).unwrap();
        prop_assert_eq!(flat(&y.i(first).unwrap()), flat(&source));
        let changed = flat(&y).iter().zip(&flat(&x)).filter(|(a, b)| a != b).count();
        prop_assert_eq!(changed, part.elem_count());
        // An integer on the second axis, if there is one, and a number for all places.
        let size = x.dims().get(1).copied().unwrap_or(0) as i64;
        if (-size..size).contains(&last) {
            let number = Tensor::new(-1.0, &Device::Cpu).unwrap();
            let y = x.assign((first, last), &number).unwrap();
            let part = y.i((first, last)).unwrap();
            prop_assert!(flat(&part).iter().all(|&x| x == -1.0));
            prop_assert_eq!(flat(&y).iter().filter(|&&x| x == -1.0).count(), part.elem_count());
        }
    }

    #[test]
    fn flips_and_rolls((dims, axis) in shape_and_axis(), other in 0..4_usize, shift in any::<i64>(), layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let size = dims[axis];
        let mut axes = vec![axis as i64];
        if other < dims.len() && other != axis {
            axes.push(other as i64 - dims.len() as i64);
        }
        moved(&x, &x.flip(&axes).unwrap(), &dims, |at| {
            let at = with(at, axis, size - 1 - at[axis]);
            Some(if axes.len() == 1 { at } else { with(&at, other, dims[other] - 1 - at[other]) })
        })?;
        moved(&x, &x.roll(shift, axis).unwrap(), &dims, |at| {
            let from = (at[axis] as i128 - i128::from(shift)).rem_euclid(size as i128);
            Some(with(at, axis, from as usize))
        })?;
    }

    #[test]
    fn repeats_and_tiles(dims in shape(), axis in 0..4_usize, times in prop::collection::vec(0..4_usize, 0..4),
                         layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let rank = dims.len().max(times.len());
        let pad = |numbers: &[usize]| [&vec![1; rank - numbers.len()][..], numbers].concat();
        let (own, n) = (pad(&dims), pad(&times));
        let to: Vec<usize> = own.iter().zip(&n).map(|(a, b)| a * b).collect();
        moved(&x, &x.tile(&times).unwrap(), &to, |at| {
            let at: Vec<usize> = at.iter().zip(&own).map(|(i, size)| i % size).collect();
            Some(at[rank - dims.len()..].to_vec())
        })?;
        if axis < dims.len() {
            let n = times.first().copied().unwrap_or(2);
            let to = with(&dims, axis, dims[axis] * n);
            moved(&x, &x.repeat(n, axis).unwrap(), &to, |at| Some(with(at, axis, at[axis] / n)))?;
        }
    }

    #[test]
    fn parts_put_together_again((dims, axis) in shape_and_axis(), size in 1..6_usize, cuts in prop::collection::vec(0..5_usize, 0..4),
                                layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let mut cuts: Vec<usize> = cuts.iter().map(|&cut| cut.min(dims[axis])).collect();
        cuts.sort_unstable();
        for parts in [x.split(size, axis), x.tensor_split(&cuts, axis), x.chunk(size, axis)] {
            moved(&x, &Tensor::cat(&parts.unwrap(), axis).unwrap(), &dims, |at| Some(at.to_vec()))?;
        }
        let lengths: Vec<usize> = x.split(size, axis).unwrap().iter().map(|part| part.dims()[axis]).collect();
        prop_assert!(lengths.iter().rev().skip(1).all(|&length| length == size));
    }

    #[test]
    fn diagonals_and_triangles(dims in shape(), k in -5..6_i64, layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let (lower, upper) = (x.tril(k), x.triu(k));
        prop_assert_eq!(lower.is_ok(), dims.len() >= 2);
        if let [.., _, _] = dims[..] {
            let right = |at: &[usize]| at[at.len() - 1] as i64 - at[at.len() - 2] as i64;
            moved(&x, &lower.unwrap(), &dims, |at| (right(at) <= k).then(|| at.to_vec()))?;
            moved(&x, &upper.unwrap(), &dims, |at| (right(at) >= k).then(|| at.to_vec()))?;
        }
        let (down, right) = ((-k).max(0) as usize, k.max(0) as usize);
        match dims[..] {
            [n] => {
                let side = n + down + right;
                let on_it = |at: &[usize]| at[0] + right == at[1] + down && at[0] >= down && at[1] >= right;
                moved(&x, &x.diag(k).unwrap(), &[side, side], |at| on_it(at).then(|| vec![at[0] - down]))?;
            }
            [n, m] => {
                let length = (0..n).filter(|i| (*i as i64 + k) >= 0 && (*i as i64 + k) < m as i64).count();
                moved(&x, &x.diag(k).unwrap(), &[length], |at| Some(vec![at[0] + down, at[0] + right]))?;
            }
            _ => prop_assert!(x.diag(k).is_err()),
        }
    }

    #[test]
    fn masks(dims in shape(), marks in prop::collection::vec(0..3_u8, 256), layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let n = x.elem_count();
        let places: Vec<usize> = (0..n).filter(|&i| marks[i % 256] != 0).collect();
        let mask: Vec<u8> = (0..n).map(|i| marks[i % 256]).collect();
        let mask = Tensor::from_vec(mask, &dims[..], &Device::Cpu).unwrap();
        let count = places.len();
        moved(&x, &x.masked_select(&mask).unwrap(), &[count], |at| Some(index(places[at[0]], &dims)))?;
        let unmarked = |at: &[usize]| !places.contains(&number(at, &dims));
        moved(&x, &x.masked_fill(&mask, 0.0).unwrap(), &dims, |at| unmarked(at).then(|| at.to_vec()))?;
        let zeros = x.zeros_like().unwrap();
        let source = counted(&[count + 1], 2);
        moved(&source, &zeros.masked_scatter(&mask, &source).unwrap(), &dims, |at| {
            let i = places.binary_search(&number(at, &dims)).ok()?;
            Some(vec![i])
        })?;
        let found = mask.nonzero().unwrap();
        prop_assert_eq!(found.dims(), &[count, dims.len()][..]);
        let rows: Vec<i64> = found.array().flatten_all().unwrap().to_vec1().unwrap();
        let expected: Vec<i64> = places.iter().flat_map(|&i| index(i, &dims)).map(|i| i as i64).collect();
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn windows((dims, axis) in shape_and_axis(), size in 0..6_usize, by in 0..4_usize, layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let y = x.unfold(axis, size, by);
        prop_assert_eq!(y.is_ok(), by > 0 && size <= dims[axis]);
        if let Ok(y) = y {
            let mut to = with(&dims, axis, (dims[axis] - size) / by + 1);
            to.push(size);
            moved(&x, &y, &to, |at| Some(with(&at[..dims.len()], axis, at[axis] * by + at[dims.len()])))?;
        }
    }

    #[test]
    fn padding((dims, axis) in shape_and_axis(), before in 0..4_usize, after in 0..4_usize, layout in any::<u8>()) {
        let x = counted(&dims, layout);
        let size = dims[axis];
        let mut pairs = vec![(0, 0); dims.len() - axis];
        pairs[0] = (before, after);
        let to = with(&dims, axis, before + size + after);
        let inside = |at: &[usize]| at[axis].checked_sub(before).filter(|&i| i < size);
        let y = x.pad(&pairs, Pad::Constant(0.0)).unwrap();
        moved(&x, &y, &to, |at| Some(with(at, axis, inside(at)?)))?;
        let y = x.pad(&pairs, Pad::Replicate).unwrap();
        moved(&x, &y, &to, |at| Some(with(at, axis, at[axis].saturating_sub(before).min(size - 1))))?;
        let y = x.pad(&pairs, Pad::Reflect);
        prop_assert_eq!(y.is_ok(), before < size && after < size);
        if let Ok(y) = y {
            // Walk from the first element, and turn at the ends.
            let row: Vec<usize> = (0..size).chain((1..size.max(2) - 1).rev()).collect();
            let at_place = |i: i64| row[i.rem_euclid(row.len() as i64) as usize];
            moved(&x, &y, &to, |at| Some(with(at, axis, at_place(at[axis] as i64 - before as i64))))?;
        }
    }

    #[test]
    fn grids(lengths in prop::collection::vec(0..4_usize, 1..4)) {
        let vectors: Vec<Tensor> = lengths.iter().map(|&n| counted(&[n], 2)).collect();
        for (k, y) in Tensor::meshgrid(&vectors).unwrap().iter().enumerate() {
            moved(&vectors[k], y, &lengths, |at| Some(vec![at[k]]))?;
        }
    }
}
