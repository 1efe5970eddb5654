//! Arrays of random numbers.

use super::buffer;

/// Uniform numbers that are drawn at a time.
const DRAWN: usize = 256;

/// `n` elements, each computed from the next `EACH` numbers that `draw` writes, in their order.
pub fn from_uniform<T: Copy + 'static, const EACH: usize>(
    n: usize,
    draw: &mut dyn FnMut(&mut [f64]),
    f: impl Fn([f64; EACH]) -> T,
) -> Vec<T> {
    let (mut out, mut drawn) = (buffer::empty(n), [[0.0; EACH]; DRAWN]);
    while out.len() < n {
        let drawn = &mut drawn[..DRAWN.min(n - out.len())];
        draw(drawn.as_flattened_mut());
        out.extend(drawn.iter().map(|&numbers| f(numbers)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::from_uniform;

    #[test]
    fn each_number_once_and_in_order() {
        for n in [0, 1, 255, 256, 257, 1000] {
            let mut next = 0.0;
            let mut draw = |out: &mut [f64]| {
                for x in out {
                    *x = next;
                    next += 1.0;
                }
            };
            let pairs = from_uniform(n, &mut draw, |[a, b]| a * b);
            assert!(pairs.iter().enumerate().all(|(i, &x)| x == (2 * i * (2 * i + 1)) as f64));
            assert_eq!((pairs.len(), next), (n, 2.0 * n as f64));
        }
    }
}
