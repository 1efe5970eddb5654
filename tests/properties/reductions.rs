//! Reductions, scans and sorts of any shape, along any axes, against oracles that index element by element.

use proptest::prelude::*;
use tealight::prelude::*;

use super::common::{flat, index, numbers, shape, strided};

/// A reduction of this crate, and what it is of a plain list: its value, and its slope by each element.
struct Case {
    name: &'static str,
    plain: fn(&Tensor, &[i64]) -> Result<Tensor>,
    keepdim: fn(&Tensor, &[i64]) -> Result<Tensor>,
    value: fn(&[f64]) -> f64,
    slope: fn(&[f64], f64, f64) -> f64,
}

macro_rules! cases {
    ($($plain:ident $keepdim:ident ($($before:expr),*) ($($after:expr),*): $value:expr, $slope:expr;)*) => {
        &[$(Case {
            name: stringify!($plain),
            plain: |x, axes| x.$plain($($before,)* axes $(, $after)*),
            keepdim: |x, axes| x.$keepdim($($before,)* axes $(, $after)*),
            value: $value,
            slope: $slope,
        }),*]
    };
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64], ddof: f64) -> f64 {
    x.iter().map(|v| (v - mean(x)).powi(2)).sum::<f64>() / (x.len() as f64 - ddof).max(0.0)
}

fn largest(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn norm(x: &[f64], p: f64) -> f64 {
    x.iter().map(|v| v.abs().powf(p)).sum::<f64>().powf(1.0 / p)
}

/// a / b, and 0 where nothing is divided by nothing.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

fn share(x: &[f64], v: f64, y: f64) -> f64 {
    ratio(f64::from(v == y), x.iter().filter(|&&v| v == y).count() as f64)
}

/// The product without one element of the value v.
fn without(x: &[f64], v: f64) -> f64 {
    let at = x.iter().position(|&w| w == v).unwrap();
    x.iter().enumerate().filter(|&(i, _)| i != at).map(|(_, v)| v).product()
}

const CASES: &[Case] = cases! {
    sum sum_keepdim () (): |x| x.iter().sum(), |_, _, _| 1.0;
    mean mean_keepdim () (): mean, |x, _, _| 1.0 / x.len() as f64;
    prod prod_keepdim () (): |x| x.iter().product(), |x, v, _| without(x, v);
    max max_keepdim () (): largest, share;
    min min_keepdim () (): |x| -largest(&x.iter().map(|v| -v).collect::<Vec<_>>()), share;
    var var_keepdim () (0): |x| variance(x, 0.0), |x, v, _| 2.0 * (v - mean(x)) / x.len() as f64;
    var var_keepdim () (1): |x| variance(x, 1.0), |x, v, _| 2.0 * (v - mean(x)) / (x.len() as f64 - 1.0);
    std std_keepdim () (0): |x| variance(x, 0.0).sqrt(), |x, v, y| ratio(v - mean(x), x.len() as f64 * y);
    logsumexp logsumexp_keepdim () (): |x| x.iter().map(|v| v.exp()).sum::<f64>().ln(), |_, v, y| (v - y).exp();
    norm norm_keepdim (2.0) (): |x| norm(x, 2.0), |_, v, y| ratio(v, y);
    norm norm_keepdim (1.0) (): |x| norm(x, 1.0), |_, v, _| if v == 0.0 { 0.0 } else { v.signum() };
    norm norm_keepdim (3.0) (): |x| norm(x, 3.0), |_, v, y| ratio(v * v.abs(), y * y);
    norm norm_keepdim (f64::INFINITY) (): |x| x.iter().fold(0.0, |a, v| a.max(v.abs())),
        |x, v, y| if v == 0.0 { 0.0 } else {
            v.signum() * share(&x.iter().map(|v| v.abs()).collect::<Vec<_>>(), v.abs(), y)
        };
};

/// The axes of which `which` has the bit, in either direction and counted from either end.
fn chosen(rank: usize, which: u8, negative: u8, backwards: bool) -> Vec<i64> {
    let has = |bits: u8, axis: usize| bits >> axis & 1 == 1;
    let signed = |axis: usize| axis as i64 - if has(negative, axis) { rank as i64 } else { 0 };
    let mut axes: Vec<i64> = (0..rank).filter(|&axis| has(which, axis)).map(signed).collect();
    if backwards {
        axes.reverse();
    }
    axes
}

/// Standard normal numbers, or small integers, among which there are zeros and ties.
fn data(dims: &[usize], seed: u64, coarse: bool) -> Tensor {
    let x = numbers(dims, seed);
    if coarse { x.array().round().unwrap().into() } else { x }
}

/// For each element of x the number of the result that it goes into, and how many results there are.
fn groups(dims: &[usize], axes: &[i64]) -> (Vec<usize>, usize) {
    let rank = dims.len() as i64;
    let goes = |axis: usize| axes.iter().any(|a| a.rem_euclid(rank) as usize == axis);
    let kept: Vec<usize> = (0..dims.len()).map(|axis| if goes(axis) { 1 } else { dims[axis] }).collect();
    let count = dims.iter().product();
    let group = |i: usize| {
        let places = index(i, dims).into_iter().zip(&kept);
        places.fold(0, |flat, (i, &size)| flat * size + if size == 1 { 0 } else { i })
    };
    ((0..count).map(group).collect(), kept.iter().product())
}

fn close(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

fn exactly<T: PartialEq + std::fmt::Debug>(a: T, b: T) -> std::result::Result<(), TestCaseError> {
    prop_assert_eq!(a, b);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn reductions(dims in shape(), seed in any::<u64>(), bits in any::<(u8, u8)>(), back in any::<bool>(),
                  views in any::<bool>(), coarse in any::<bool>()) {
        let x = data(&dims, seed, coarse);
        let list = flat(&x);
        let x = Tensor::parameter(if views { strided(&x) } else { x });
        let axes = chosen(dims.len(), bits.0, bits.1, back);
        let (group, count) = groups(&dims, &axes);
        let mut members = vec![vec![]; count];
        list.iter().zip(&group).for_each(|(&v, &g)| members[g].push(v));
        for case in CASES {
            let name = case.name;
            let y = (case.plain)(&x, &axes);
            if ["max", "min"].contains(&name) && axes.iter().any(|a| dims[a.rem_euclid(dims.len() as i64) as usize] == 0) {
                prop_assert!(matches!(y, Err(Error::Shape { .. })), "{name} {dims:?} {axes:?}");
                continue;
            }
            let y = y.unwrap();
            let kept = (case.keepdim)(&x, &axes).unwrap();
            prop_assert_eq!(kept.rank(), dims.len());
            prop_assert_eq!(y.rank(), dims.len() - axes.len());
            let values = flat(&y);
            exactly(format!("{:?}", flat(&kept)), format!("{values:?}"))?;
            for (value, members) in values.iter().zip(&members) {
                let expected = (case.value)(members);
                prop_assert!(close(*value, expected), "{name} of {members:?}: {value} {expected}");
            }
            // Every result with a weight of its own, by the ordinary pass and by the recorded one.
            let weights = numbers(y.dims(), seed ^ 1);
            let total = (&y * &weights).unwrap().sum_all().unwrap();
            let ordinary = total.backward().unwrap();
            let [recorded] = autograd::grad(&total, [&x]).unwrap();
            let weights = flat(&weights);
            for slopes in [flat(ordinary.get(&x).unwrap()), flat(&recorded)] {
                for (i, slope) in slopes.into_iter().enumerate() {
                    let (members, y) = (&members[group[i]], values[group[i]]);
                    let expected = weights[group[i]] * (case.slope)(members, list[i], y);
                    prop_assert!(close(slope, expected), "{name} of {members:?}: slope {slope} {expected}");
                }
            }
        }
        let mut counts = vec![0; count];
        list.iter().zip(&group).for_each(|(&v, &g)| counts[g] += u32::from(v != 0.0));
        let full = members.iter().zip(&counts).map(|(members, &n)| u8::from(n as usize == members.len()));
        let some = counts.iter().map(|&n| u8::from(n > 0));
        let one = |y: Tensor| y.flatten(0, -1).unwrap();
        exactly(one(x.any(&axes[..]).unwrap()).to_vec1::<u8>().unwrap(), some.collect())?;
        exactly(one(x.all(&axes[..]).unwrap()).to_vec1::<u8>().unwrap(), full.collect())?;
        exactly(one(x.count_nonzero(&axes[..]).unwrap()).to_vec1::<u32>().unwrap(), counts)?;
    }

    #[test]
    fn integers(dims in shape(), seed in any::<u64>(), bits in any::<(u8, u8)>(), views in any::<bool>()) {
        let x = data(&dims, seed, true).abs().unwrap();
        let list = flat(&x);
        let x = if views { strided(&x) } else { x };
        let axes = chosen(dims.len(), bits.0, bits.1, false);
        let (group, count) = groups(&dims, &axes);
        let (mut sums, mut products) = (vec![0.0; count], vec![1.0; count]);
        for (v, &g) in list.iter().zip(&group) {
            sums[g] += v;
            products[g] *= v;
        }
        for dtype in [DType::U8, DType::U32, DType::I64] {
            let x = x.to_dtype(dtype).unwrap();
            let wide = if dtype == DType::U8 { DType::U32 } else { dtype };
            for (y, expected) in [(x.sum(&axes[..]), &sums), (x.prod(&axes[..]), &products)] {
                let y = y.unwrap();
                prop_assert_eq!(y.dtype(), wide);
                // Products of more than a few elements wrap around.
                for (y, &expected) in flat(&y.to_dtype(DType::F64).unwrap()).into_iter().zip(expected) {
                    prop_assert!(y == expected || expected > 4e9, "{y} {expected}");
                }
            }
        }
    }

    #[test]
    fn scans(dims in shape(), seed in any::<u64>(), axis in 0..4_usize, views in any::<bool>(), coarse in any::<bool>()) {
        prop_assume!(axis < dims.len());
        let x = data(&dims, seed, coarse);
        let list = flat(&x);
        let x = Tensor::parameter(if views { strided(&x) } else { x });
        let (group, count) = groups(&dims, &[axis as i64]);
        let (mut sum, mut product) = (vec![0.0; count], vec![1.0; count]);
        let (mut sums, mut products) = (vec![], vec![]);
        for (&v, &g) in list.iter().zip(&group) {
            sum[g] += v;
            product[g] *= v;
            sums.push(sum[g]);
            products.push(product[g]);
        }
        let weights = numbers(&dims, seed ^ 1);
        let weight = flat(&weights);
        for (y, expected, times) in [(x.cumsum(axis), sums, false), (x.cumprod(axis), products, true)] {
            let y = y.unwrap();
            prop_assert!(flat(&y).iter().zip(&expected).all(|(&a, &b)| close(a, b)));
            let total = (y * &weights).unwrap().sum_all().unwrap();
            let [recorded] = autograd::grad(&total, [&x]).unwrap();
            let ordinary = total.backward().unwrap();
            for slopes in [flat(ordinary.get(&x).unwrap()), flat(&recorded)] {
                for (i, slope) in slopes.into_iter().enumerate() {
                    // Σ over k ≥ i in the same row, of the product of all others up to k.
                    let row: Vec<usize> = (0..list.len()).filter(|&k| group[k] == group[i]).collect();
                    let expected: f64 = row.iter().filter(|&&k| k >= i).map(|&k| {
                        let others = row.iter().filter(|&&j| j <= k && j != i).map(|&j| list[j]);
                        weight[k] * if times { others.product() } else { 1.0 }
                    }).sum();
                    prop_assert!(close(slope, expected), "{slope} {expected}");
                }
            }
        }
    }

    #[test]
    fn sorts(dims in shape(), seed in any::<u64>(), axis in 0..4_usize, down in any::<bool>(), k in 0..5_usize,
             views in any::<bool>(), coarse in any::<bool>()) {
        prop_assume!(axis < dims.len());
        let x = data(&dims, seed, coarse);
        let list = flat(&x);
        let x = Tensor::parameter(if views { strided(&x) } else { x });
        let (group, count) = groups(&dims, &[axis as i64]);
        let mut rows = vec![vec![]; count];
        list.iter().zip(&group).for_each(|(&v, &g)| rows[g].push(v));
        let order = |row: &[f64], down: bool| {
            let mut places: Vec<u32> = (0..row.len() as u32).collect();
            let key = |&i: &u32| if down { -row[i as usize] } else { row[i as usize] };
            places.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap());
            places
        };
        let check = |values: &Tensor, places: &Tensor, size: usize, down: bool| {
            let mut dims = dims.clone();
            dims[axis] = size;
            assert_eq!((values.dims(), places.dims()), (&dims[..], &dims[..]));
            let (group, _) = groups(&dims, &[axis as i64]);
            let places = places.flatten(0, -1).unwrap().to_vec1::<u32>().unwrap();
            let mut next = vec![0; count];
            for ((value, place), g) in flat(values).into_iter().zip(places).zip(group) {
                assert_eq!(place, order(&rows[g], down)[next[g]]);
                assert_eq!(value, rows[g][place as usize]);
                next[g] += 1;
            }
        };
        let (values, places) = x.sort(axis, down).unwrap();
        check(&values, &places, dims[axis], down);
        let top = x.topk(k, axis);
        prop_assert_eq!(top.is_ok(), k <= dims[axis]);
        if let Ok((values, places)) = top {
            check(&values, &places, k, true);
            // Each element taken has its weight for a slope.
            let weights = numbers(values.dims(), seed ^ 1);
            let gradients = (values * &weights).unwrap().sum_all().unwrap().backward().unwrap();
            let back = gradients.get(&x).unwrap().gather(axis, &places).unwrap();
            prop_assert_eq!(flat(&back), flat(&weights));
            prop_assert!(close(gradients.get(&x).unwrap().sum_all().unwrap().to_scalar().unwrap(),
                weights.sum_all().unwrap().to_scalar().unwrap()));
        }
    }
}

#[test]
fn no_shape_is_too_absurd() -> Result<()> {
    for dtype in [DType::U8, DType::I64, DType::F16, DType::F32] {
        for x in [
            Array::zeros((0, usize::MAX), dtype, &Device::Cpu)?.into(),
            Tensor::zeros(&[2, 0, 3, 0, 1, 0, 2], dtype, &Device::Cpu)?,
            Tensor::zeros((), dtype, &Device::Cpu)?,
        ] {
            let x = Tensor::parameter(x);
            let rank = x.rank() as i64;
            for axes in [
                vec![],
                vec![0],
                vec![1],
                vec![-1],
                vec![0, 1],
                (0..rank).collect(),
                vec![i64::MIN, i64::MAX],
            ] {
                let mut results: Vec<Result<Tensor>> =
                    CASES.iter().map(|case| (case.plain)(&x, &axes)).collect();
                results.extend([x.any(&axes[..]), x.all(&axes[..]), x.count_nonzero(&axes[..])]);
                for &axis in &axes {
                    results.extend([x.cumsum(axis), x.cumprod(axis), x.argsort(axis, true)]);
                    results.extend([x.argmax(axis), x.argmin(axis)]);
                    results.extend(
                        [x.topk(2, axis), x.sort(axis, false)].map(|pair| pair.map(|(values, _)| values)),
                    );
                }
                results.extend([x.argmax_all(), x.argmin_all()]);
                for y in results.into_iter().flatten().filter(Tensor::requires_grad) {
                    let [slope] = autograd::grad(&y.sum_all()?, [&x])?;
                    assert_eq!(slope.dims(), x.dims());
                }
                for axis in axes.iter().filter(|&&axis| axis > rank) {
                    assert!(matches!(x.sum(*axis), Err(Error::Axis { .. })));
                }
            }
        }
    }
    Ok(())
}
