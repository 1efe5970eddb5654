//! The matrix whose columns are the windows of an image (im2col), and its transpose (col2im).

use std::ops::Range;

use super::super::Element;
use super::super::parallel::vectorize;
use super::Conv;

/// Neighbouring windows under one element of the kernel.
struct Run {
    /// Their range in the matrix of windows.
    columns: Range<usize>,
    /// Those of them that lie on the image and not on its padding, counted from the first.
    inside: Range<usize>,
    /// The element of the image under the first of these.
    at: usize,
}

impl Conv {
    /// Calls `f` for every element of the kernel and every row of the image in `windows`.
    #[inline(always)]
    fn runs(&self, windows: &Range<usize>, mut f: impl FnMut(Run)) {
        let [high, wide] = self.sides;
        let mut start = 0;
        for channel in 0..self.inputs {
            for ky in 0..high.kernel {
                let rows = high.outputs(ky);
                for kx in 0..wide.kernel {
                    let places = wide.outputs(kx);
                    let (mut oy, mut ox) = (windows.start / wide.output, windows.start % wide.output);
                    let end = start + windows.len();
                    while start < end {
                        let len = (wide.output - ox).min(end - start);
                        let mut run = Run { columns: start..start + len, inside: 0..0, at: 0 };
                        let first = places.start.max(ox);
                        let last = places.end.min(ox + len);
                        if rows.contains(&oy) && first < last {
                            run.inside = first - ox..last - ox;
                            run.at = (channel * high.input + high.place(oy, ky)) * wide.input
                                + wide.place(first, kx);
                        }
                        f(run);
                        start += len;
                        (oy, ox) = (oy + 1, 0);
                    }
                }
            }
        }
    }

    /// Writes the `windows` of an image to `columns`.
    pub(super) fn gather<T: Element>(&self, image: &[T], windows: &Range<usize>, columns: &mut [T]) {
        let stride = self.sides[1].stride;
        vectorize!({
            self.runs(
                windows,
                #[inline(always)]
                |Run { columns: range, inside, at }| {
                    let columns = &mut columns[range];
                    columns[..inside.start].fill(T::default());
                    columns[inside.end..].fill(T::default());
                    let columns = &mut columns[inside];
                    if stride == 1 {
                        columns.copy_from_slice(&image[at..at + columns.len()]);
                    } else {
                        let image = &image[at..];
                        columns.iter_mut().zip(image.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
                    }
                },
            );
        });
    }

    /// Adds `columns` to the image where the `windows` lie on it: the transpose of [`gather`](Conv::gather).
    pub(super) fn scatter<T: Element>(&self, columns: &[T], windows: &Range<usize>, image: &mut [T]) {
        let stride = self.sides[1].stride;
        vectorize!({
            self.runs(
                windows,
                #[inline(always)]
                |Run { columns: range, inside, at }| {
                    let columns = &columns[range][inside];
                    if stride == 1 {
                        let image = &mut image[at..at + columns.len()];
                        image.iter_mut().zip(columns).for_each(|(x, &from)| *x += from);
                    } else {
                        let image = &mut image[at..];
                        image.iter_mut().step_by(stride).zip(columns).for_each(|(x, &from)| *x += from);
                    }
                },
            );
        });
    }
}
