//! The loops of the optimizers.

use super::Element;
use super::parallel::{PIECE, vectorize, worthwhile};
use super::reduce::dot;

/// Numbers that are copied out, computed with and copied back together. The loop over them is over arrays of its own, so
/// the compiler sees that none overlaps another, however many there are.
const WIDTH: usize = 64;

/// `f(value, gradient, memory)` for each element: returns the new values and writes the new memory to where the old was.
/// What of the memory is `None` reads as 0. All slices have the length of `value`.
pub(crate) fn update<T: Element, const N: usize>(
    value: &[T],
    grad: &[T],
    memory: [Option<&mut [T]>; N],
    f: impl Fn(T, T, [T; N]) -> (T, [T; N]) + Send + Sync,
) -> Vec<T> {
    let mut out = vec![T::default(); value.len()];
    parts(&mut out, value, grad, memory, worthwhile(value.len()), &f);
    out
}

fn parts<T: Element, const N: usize>(
    out: &mut [T],
    value: &[T],
    grad: &[T],
    memory: [Option<&mut [T]>; N],
    threads: bool,
    f: &(impl Fn(T, T, [T; N]) -> (T, [T; N]) + Send + Sync),
) {
    if !threads || out.len() <= PIECE {
        return vectorize(
            #[inline(always)]
            || blocks(out, value, grad, memory, f),
        );
    }
    let middle = (out.len() / 2).next_multiple_of(PIECE);
    let (mut left, mut right) = ([const { None }; N], [const { None }; N]);
    for (k, memory) in memory.into_iter().enumerate() {
        (left[k], right[k]) = memory.map(|memory| memory.split_at_mut(middle)).unzip();
    }
    let (out, values, grads) = (out.split_at_mut(middle), value.split_at(middle), grad.split_at(middle));
    rayon::join(
        || parts(out.0, values.0, grads.0, left, threads, f),
        || parts(out.1, values.1, grads.1, right, threads, f),
    );
}

#[inline(always)]
fn blocks<T: Element, const N: usize>(
    out: &mut [T],
    value: &[T],
    grad: &[T],
    mut memory: [Option<&mut [T]>; N],
    f: &impl Fn(T, T, [T; N]) -> (T, [T; N]),
) {
    let zero = [T::default(); WIDTH];
    let (mut p, mut g, mut m) = (zero, zero, [zero; N]);
    for (number, out) in out.chunks_mut(WIDTH).enumerate() {
        let n = out.len();
        let range = number * WIDTH..number * WIDTH + n;
        p[..n].copy_from_slice(&value[range.clone()]);
        g[..n].copy_from_slice(&grad[range.clone()]);
        for k in 0..N {
            match &memory[k] {
                Some(memory) => m[k][..n].copy_from_slice(&memory[range.clone()]),
                None => m[k] = zero,
            }
        }
        for i in 0..WIDTH {
            let mut old = [T::default(); N];
            for k in 0..N {
                old[k] = m[k][i];
            }
            let (value, new) = f(p[i], g[i], old);
            p[i] = value;
            for k in 0..N {
                m[k][i] = new[k];
            }
        }
        out.copy_from_slice(&p[..n]);
        for k in 0..N {
            if let Some(memory) = &mut memory[k] {
                memory[range.clone()].copy_from_slice(&m[k][..n]);
            }
        }
    }
}

/// √Σ x², also where the squares overflow or vanish.
pub(crate) fn norm<T: Element>(x: &[T]) -> f64 {
    let squares = dot(x, x).to_f64();
    if squares > T::SMALL_SQUARE && squares < 1.0 / T::SMALL_SQUARE {
        return squares.sqrt();
    }
    // NaN, zero, and the extremes: rare, so this may take longer.
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    let largest = x.iter().map(|x| x.to_f64().abs()).fold(0.0, larger);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let squares: f64 = x.iter().map(|x| (x.to_f64() / largest).powi(2)).sum();
    largest * squares.sqrt()
}

#[cfg(test)]
mod tests {
    use super::{norm, update};

    #[test]
    fn every_length_against_a_plain_loop() {
        for n in [0_usize, 1, 63, 64, 65, 1000, 70_001] {
            let value: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let grad: Vec<f64> = (0..n).map(|i| (i % 7) as f64).collect();
            let mut memory: Vec<f64> = (0..n).map(|i| (i % 11) as f64).collect();
            let out = update(&value, &grad, [Some(&mut memory[..]), None], |p, g, [m, unused]| {
                (p - g + unused, [m + g, unused + 1.0])
            });
            for i in 0..n {
                assert_eq!(out[i], i as f64 - (i % 7) as f64, "{n} {i}");
                assert_eq!(memory[i], (i % 11 + i % 7) as f64, "{n} {i}");
            }
        }
    }

    #[test]
    fn norms_at_the_extremes() {
        for scale in [1e-300, 1e-160, 1.0, 1e160, 1e300] {
            assert!((norm(&[3.0 * scale, -4.0 * scale]) / (5.0 * scale) - 1.0).abs() < 1e-15, "{scale}");
        }
        for scale in [1e-37_f32, 1e-20, 1.0, 1e20, 3e37] {
            let exact = 5.0 * f64::from(scale);
            assert!((norm(&[3.0 * scale, -4.0 * scale]) / exact - 1.0).abs() < 2e-7, "{scale}");
        }
        assert_eq!(norm::<f32>(&[]), 0.0);
        assert_eq!(norm(&[0.0, -0.0]), 0.0);
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
        assert!(norm(&[f64::INFINITY, f64::NAN, 1.0]).is_nan());
    }
}
