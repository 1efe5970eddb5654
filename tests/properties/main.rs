//! Properties that hold for any shape and any numbers, against naive oracles that index element by element.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use proptest::prelude::*;
use tealight::prelude::*;

mod common;
mod indexing;
mod reductions;

use common::{flat, index, numbers, shape, strided};

/// A shape and one that broadcasts with it: some axes are 1, some leading ones are gone.
fn pair() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    (shape(), prop::collection::vec(0..3_u8, 4), 0..5_usize, any::<bool>()).prop_map(
        |(full, ones, cut, swap)| {
            let part = |which: u8| -> Vec<usize> {
                full.iter()
                    .zip(ones.iter().chain([&0]))
                    .map(|(&size, &one)| if one == which { 1 } else { size })
                    .collect()
            };
            let (a, mut b) = (part(1), part(2));
            b.drain(..cut.min(b.len()));
            if swap { (b, a) } else { (a, b) }
        },
    )
}

/// The element of a row-major array of shape `dims` at the last axes of `index`; axes of length 1 repeat.
fn at(data: &[f64], dims: &[usize], index: &[usize]) -> f64 {
    let own = &index[index.len() - dims.len()..];
    data[own.iter().zip(dims).fold(0, |flat, (&i, &size)| flat * size + if size == 1 { 0 } else { i })]
}

fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let n = a.len().max(b.len());
    let side = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(n).map_or(1, |i| dims[i]);
    (0..n).map(|i| if side(a, i) == 1 { side(b, i) } else { side(a, i) }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arithmetic_broadcasts_and_its_gradients_sum((da, db) in pair(), seed in any::<u64>(), views in any::<bool>()) {
        let (a, b) = (numbers(&da, seed), numbers(&db, seed ^ 1));
        let (a, b) = if views { (strided(&a), strided(&b)) } else { (a, b) };
        let (a, b) = (Tensor::parameter(a), Tensor::parameter(b));
        let dims = broadcast(&da, &db);
        let (xa, xb) = (flat(&a), flat(&b));
        let y = (&a * &b).unwrap();
        prop_assert_eq!(y.dims(), &dims[..]);
        let (mut ga, mut gb) = (vec![0.0; xa.len()], vec![0.0; xb.len()]);
        let place = |dims: &[usize], index: &[usize]| {
            let own = &index[index.len() - dims.len()..];
            own.iter().zip(dims).fold(0, |flat, (&i, &size)| flat * size + if size == 1 { 0 } else { i })
        };
        for (i, &value) in flat(&y).iter().enumerate() {
            let index = index(i, &dims);
            let (va, vb) = (at(&xa, &da, &index), at(&xb, &db, &index));
            prop_assert_eq!(value, va * vb);
            ga[place(&da, &index)] += vb;
            gb[place(&db, &index)] += va;
        }
        let gradients = y.sum_all().unwrap().backward().unwrap();
        for (parameter, expected) in [(&a, ga), (&b, gb)] {
            let given = gradients.get(parameter).unwrap();
            prop_assert_eq!(given.dims(), parameter.dims());
            for (x, y) in flat(given).iter().zip(&expected) {
                prop_assert!((x - y).abs() < 1e-12, "{} {}", x, y);
            }
        }
    }

    #[test]
    fn shapes_that_do_not_broadcast_are_errors(da in shape(), db in shape()) {
        let n = da.len().min(db.len());
        let fits = da.iter().rev().zip(db.iter().rev()).take(n).all(|(&x, &y)| x == y || x == 1 || y == 1);
        let result = numbers(&da, 1) + numbers(&db, 2);
        prop_assert_eq!(result.is_ok(), fits, "{:?} {:?}", da, db);
    }

    #[test]
    fn sums_along_any_axis(dims in shape(), seed in any::<u64>(), axis in 0..4_usize, views in any::<bool>()) {
        prop_assume!(axis < dims.len());
        let x = numbers(&dims, seed);
        let data = flat(&x);
        let x = if views { strided(&x) } else { x };
        let sums = x.sum_keepdim(axis).unwrap();
        let mut expected = vec![0.0; sums.elem_count()];
        let kept: Vec<usize> = sums.dims().to_vec();
        for (i, value) in data.iter().enumerate() {
            let mut index = index(i, &dims);
            index[axis] = 0;
            expected[index.iter().zip(&kept).fold(0, |flat, (&i, &size)| flat * size + i)] += value;
        }
        for (x, y) in flat(&sums).iter().zip(&expected) {
            prop_assert!((x - y).abs() < 1e-12);
        }
        let negative = axis as i64 - dims.len() as i64;
        prop_assert_eq!(flat(&x.sum(negative).unwrap()), flat(&sums));
    }

    #[test]
    fn matmul_against_loops(batch in 0..3_usize, m in 0..5_usize, k in 0..5_usize, n in 0..5_usize, seed in any::<u64>(),
                            views in any::<bool>()) {
        let (a, b) = (numbers(&[batch, m, k], seed), numbers(&[k, n], seed ^ 1));
        let (xa, xb) = (flat(&a), flat(&b));
        let (a, b) = if views { (strided(&a), strided(&b)) } else { (a, b) };
        let y = a.matmul(&b).unwrap();
        prop_assert_eq!(y.dims(), &[batch, m, n][..]);
        for (flat, value) in flat(&y).into_iter().enumerate() {
            let (row, column) = (flat / n, flat % n);
            let exact: f64 = (0..k).map(|l| xa[row * k + l] * xb[l * n + column]).sum();
            prop_assert!((value - exact).abs() < 1e-13);
        }
    }

    #[test]
    fn softmax_rows_add_up_to_one(rows in 1..4_usize, width in 1..70_usize, scale in 0.0..1e3_f64, seed in any::<u64>()) {
        let x = (numbers(&[rows, width], seed) * scale).unwrap();
        for row in x.softmax(1).unwrap().to_vec2::<f64>().unwrap() {
            prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            prop_assert!(row.iter().all(|&p| (0.0..=1.0).contains(&p)));
        }
    }
}
