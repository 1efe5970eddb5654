//! Where windows lie along one axis of an image.

use std::ops::Range;

/// One axis of a convolution or pool: element k of the window of output o lies on input o·stride + k·dilation − padding.
///
/// `padding` is that before the input; that behind it follows from the number of outputs. `stride` and `dilation` are not 0, and
/// input + padding and every o·stride + k·dilation fit in a `usize`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowAxis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub dilation: usize,
}

impl WindowAxis {
    /// Which of the `count` positions offset + i·step lie on the input and not on the padding.
    #[inline(always)]
    fn inside(&self, offset: usize, step: usize, count: usize) -> Range<usize> {
        let end = match (self.input + self.padding).checked_sub(offset) {
            Some(room) => room.div_ceil(step).min(count),
            None => 0,
        };
        self.padding.saturating_sub(offset).div_ceil(step).min(end)..end
    }

    /// The outputs for which element `k` of the window lies on the input.
    #[inline(always)]
    pub(super) fn outputs(&self, k: usize) -> Range<usize> {
        self.inside(k * self.dilation, self.stride, self.output)
    }

    /// The elements of the window of output `o` that lie on the input.
    #[inline(always)]
    pub(super) fn elements(&self, o: usize) -> Range<usize> {
        self.inside(o * self.stride, self.dilation, self.kernel)
    }

    /// The input under element `k` of the window of output `o`, which lies on the input.
    #[inline(always)]
    pub(super) fn place(&self, o: usize, k: usize) -> usize {
        o * self.stride + k * self.dilation - self.padding
    }
}

#[cfg(test)]
mod tests {
    use super::WindowAxis;

    #[test]
    fn against_every_place() {
        for (input, kernel, stride, padding, dilation) in [
            (5, 3, 1, 0, 1),
            (5, 3, 2, 1, 1),
            (7, 2, 3, 2, 2),
            (1, 2, 1, 2, 3),
            (0, 2, 1, 1, 1),
            (4, 4, 1, 9, 1),
        ] {
            let output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
            let side = WindowAxis { input, output, kernel, stride, padding, dilation };
            for o in 0..output {
                for k in 0..kernel {
                    let at = o * stride + k * dilation;
                    let inside = (padding..input + padding).contains(&at);
                    assert_eq!(side.outputs(k).contains(&o), inside, "{side:?} {o} {k}");
                    assert_eq!(side.elements(o).contains(&k), inside, "{side:?} {o} {k}");
                    assert!(!inside || side.place(o, k) + padding == at);
                }
            }
        }
    }
}
