//! The largest element of every window of an image, and the pair of linear maps that its gradients are made of.

use super::parallel::{for_each_row, vectorize};
use super::{Element, Side};

/// The place of a window that lies on padding alone.
const NOWHERE: u32 = u32::MAX;

/// Where in its image, of fewer than 2³² elements, the largest element of every window is: of equals the first, and a NaN
/// before every number.
pub(crate) fn max_places<T: Element>(x: &[T], sides: &[Side; 2]) -> Vec<u32> {
    let [high, wide] = sides;
    let image = high.input * wide.input;
    let mut out = vec![NOWHERE; x.len() / image.max(1) * high.output * wide.output];
    for_each_row(&mut out, high.output * wide.output, |i, out| {
        let x = &x[i * image..(i + 1) * image];
        let mut best = vec![T::default(); wide.output];
        vectorize(
            #[inline(always)]
            || {
                for (oy, out) in out.chunks_exact_mut(wide.output).enumerate() {
                    for ky in high.elements(oy) {
                        row_of_windows(x, high.place(oy, ky) * wide.input, wide, &mut best, out);
                    }
                }
            },
        );
    });
    out
}

/// Looks at the row of the image that begins at `start`: at one element of every window, and then at the next.
#[inline(always)]
fn row_of_windows<T: Element>(x: &[T], start: usize, side: &Side, best: &mut [T], out: &mut [u32]) {
    if side.output == 0 {
        return;
    }
    // The last window has the first element that any has on the image, and the first window the last.
    for k in side.elements(side.output - 1).start..side.elements(0).end {
        let windows = side.outputs(k);
        if windows.is_empty() {
            continue;
        }
        let first = start + side.place(windows.start, k);
        let (best, out) = (&mut best[windows.clone()], &mut out[windows]);
        if side.stride == 1 {
            let x = &x[first..first + out.len()];
            for i in 0..out.len() {
                look(x[i], (first + i) as u32, &mut best[i], &mut out[i]);
            }
        } else {
            for i in 0..out.len() {
                let place = first + i * side.stride;
                look(x[place], place as u32, &mut best[i], &mut out[i]);
            }
        }
    }
}

/// A selection, no branch.
#[inline(always)]
#[allow(clippy::eq_op)]
fn look<T: Element>(x: T, place: u32, best: &mut T, best_place: &mut u32) {
    let nan = (x != x) & (*best == *best);
    let better = (x > *best) | nan | (*best_place == NOWHERE);
    *best = if better { x } else { *best };
    *best_place = if better { place } else { *best_place };
}

/// The elements at `places` of every image; `nowhere` where a place is none.
pub(crate) fn take_places<T: Element>(x: &[T], places: &[u32], images: usize, nowhere: T) -> Vec<T> {
    let mut out = vec![T::default(); places.len()];
    let (image, width) = (x.len() / images.max(1), places.len() / images.max(1));
    for_each_row(&mut out, width, |i, out| {
        let x = &x[i * image..(i + 1) * image];
        for (y, &place) in out.iter_mut().zip(&places[i * width..]) {
            *y = if place == NOWHERE { nowhere } else { x[place as usize] };
        }
    });
    out
}

/// Images of zeros and `size` elements in all, with the elements of x added at `places`.
pub(crate) fn scatter_places<T: Element>(x: &[T], places: &[u32], images: usize, size: usize) -> Vec<T> {
    let mut out = vec![T::default(); size];
    let width = places.len() / images.max(1);
    for_each_row(&mut out, size / images.max(1), |i, out| {
        for (&x, &place) in x[i * width..(i + 1) * width].iter().zip(&places[i * width..]) {
            if place != NOWHERE {
                out[place as usize] += x;
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::{NOWHERE, Side, max_places, scatter_places, take_places};

    #[test]
    fn against_plain_loops() {
        for (stride, padding, dilation) in [(1, 0, 1), (2, 1, 1), (3, 1, 2), (1, 1, 2)] {
            let side = |input, kernel| {
                let output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
                Side { input, output, kernel, stride, padding, dilation }
            };
            let sides = [side(5, 2), side(8, 3)];
            let [oh, ow] = [sides[0].output, sides[1].output];
            // Few different numbers, so that there are ties, all of them below the padding that is never chosen.
            let x: Vec<f32> = (0..80).map(|i| -1.0 - (i * i % 5) as f32).collect();
            let places = max_places(&x, &sides);
            assert_eq!(places.len(), 2 * oh * ow);
            for (i, &place) in places.iter().enumerate() {
                let (image, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
                let mut best: Option<usize> = None;
                for k in 0..6 {
                    let y = (oy * stride + k / 3 * dilation).wrapping_sub(padding);
                    let wide = (ox * stride + k % 3 * dilation).wrapping_sub(padding);
                    let at = y.wrapping_mul(8).wrapping_add(wide);
                    if y < 5 && wide < 8 && best.is_none_or(|best| x[image * 40 + at] > x[image * 40 + best])
                    {
                        best = Some(at);
                    }
                }
                assert_eq!(Some(place as usize), best, "{stride} {padding} {dilation}: {i}");
            }
            let taken = take_places(&x, &places, 2, 0.0);
            let back = scatter_places(&taken, &places, 2, 80);
            assert_eq!(back.iter().sum::<f32>(), taken.iter().sum::<f32>());
            assert!(back.iter().zip(&x).all(|(sum, x)| sum % x == 0.0));
        }
    }

    #[test]
    fn extremes() {
        let side = Side { input: 4, output: 2, kernel: 2, stride: 2, padding: 0, dilation: 1 };
        let one = Side { input: 1, output: 1, kernel: 1, stride: 1, padding: 0, dilation: 1 };
        let (nan, low) = (f64::NAN, f64::NEG_INFINITY);
        assert_eq!(max_places(&[1.0, nan, nan, nan], &[one, side]), [1, 2]);
        assert_eq!(max_places(&[low, low, nan, f64::INFINITY], &[one, side]), [0, 2]);
        assert_eq!(max_places(&[1.0, 1.0, -0.0, 0.0], &[one, side]), [0, 2]);
        assert!(max_places::<f64>(&[], &[one, side]).is_empty());
        // Every element of the window lies beside the image.
        let beside = Side { input: 2, output: 1, kernel: 2, stride: 1, padding: 1, dilation: 3 };
        let places = max_places(&[1.0, 2.0], &[one, beside]);
        assert_eq!(places, [NOWHERE]);
        assert_eq!(take_places(&[1.0, 2.0], &places, 1, low), [low]);
        assert_eq!(scatter_places(&[5.0], &places, 1, 2), [0.0, 0.0]);
        assert!(scatter_places::<f64>(&[], &[], 0, 0).is_empty());
    }
}
