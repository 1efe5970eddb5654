//! The loop and the norm that optimizers use.

use super::Element;
use super::buffer::{self, Uninit, fill};
use super::parallel::{DisjointChunks, PIECE, parts, vectorize, worthwhile};
use super::reduce::{dot, length};
use super::simd::Aligned;

/// Elements that are copied to local arrays and computed together: of these the compiler sees that none overlaps another.
const WIDTH: usize = 64;

/// `f(value, gradient, memory)` for each element: returns the new values and overwrites the memory. A memory that is `None` reads
/// as 0. All slices have the length of `value`.
pub fn update<T: Element, const N: usize>(
    value: &[T],
    grad: &[T],
    memory: [Option<&mut [T]>; N],
    f: impl Fn(T, T, [T; N]) -> (T, [T; N]) + Send + Sync,
) -> Vec<T> {
    let n = value.len();
    if !worthwhile(n) {
        // SAFETY: `in_blocks` writes all of its piece.
        return unsafe { buffer::written(n, |out| in_blocks(Chunk { out, value, grad, memory }, &f)) };
    }
    let memory = memory.map(|memory| memory.map(|memory| DisjointChunks::new(memory, PIECE)));
    // SAFETY: the pieces cover the whole output, and `in_blocks` writes all of its piece.
    unsafe {
        buffer::written(n, |out| {
            parts(out, PIECE, true, &|i, out| {
                let (from, to) = (i * PIECE, i * PIECE + out.len());
                let memory = memory.each_ref().map(|memory| memory.as_ref().map(|memory| memory.take(i)));
                in_blocks(Chunk { out, value: &value[from..to], grad: &grad[from..to], memory }, &f);
            });
        })
    }
}

/// The same part of all slices, for one thread.
struct Chunk<'a, T, const N: usize> {
    out: &'a mut [Uninit<T>],
    value: &'a [T],
    grad: &'a [T],
    memory: [Option<&'a mut [T]>; N],
}

#[inline(never)]
fn in_blocks<T: Element, const N: usize>(
    mut chunk: Chunk<'_, T, N>,
    f: &impl Fn(T, T, [T; N]) -> (T, [T; N]),
) {
    vectorize!(blocks(&mut chunk, f));
}

#[inline(always)]
fn blocks<T: Element, const N: usize>(
    Chunk { out, value, grad, memory }: &mut Chunk<'_, T, N>,
    f: &impl Fn(T, T, [T; N]) -> (T, [T; N]),
) {
    let zero = [T::default(); WIDTH];
    let mut local = Aligned((zero, zero, [zero; N]));
    let (p, g, m) = &mut local.0;
    for (number, out) in out.chunks_mut(WIDTH).enumerate() {
        let range = number * WIDTH..number * WIDTH + out.len();
        load(p, &value[range.clone()]);
        load(g, &grad[range.clone()]);
        for k in 0..N {
            if let Some(memory) = &memory[k] {
                load(&mut m[k], &memory[range.clone()]);
            } else {
                m[k] = zero;
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
        fill(out, |i| p[i]);
        for k in 0..N {
            if let Some(memory) = &mut memory[k] {
                store(&m[k], &mut memory[range.clone()]);
            }
        }
    }
}

/// Copies up to a block; a whole one without a call.
#[inline(always)]
fn load<T: Copy>(block: &mut [T; WIDTH], from: &[T]) {
    match from.try_into() {
        Ok(whole) => *block = whole,
        Err(_) => block[..from.len()].copy_from_slice(from),
    }
}

/// The reverse of [`load`].
#[inline(always)]
fn store<T: Copy>(block: &[T; WIDTH], to: &mut [T]) {
    match <&mut [T; WIDTH]>::try_from(&mut *to) {
        Ok(whole) => *whole = *block,
        Err(_) => to.copy_from_slice(&block[..to.len()]),
    }
}

/// √Σ x², also where the squares overflow or vanish.
#[inline(never)]
pub fn norm<T: Element>(x: &[T]) -> f64 {
    length(x, dot(x, x).to_f64(), T::SMALL_SQUARE, T::to_f64)
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
