//! `pad`.

use candle_core::Shape;

use super::assign::assigned;
use super::create::{checked, scalar};
use super::index::Selection;
use super::take::taken_along;
use crate::autograd::{Onnx, OnnxAttribute, OnnxValue, Tensor, traced};
use crate::error::{Error, Result};

/// What [`Tensor::pad`] fills the padding with.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Pad {
    /// This value.
    Constant(f64),
    /// The elements mirrored at the edge, without the edge itself: c b \[a b c\] b a.
    Reflect,
    /// The element at the edge: a a \[a b c\] c c.
    Replicate,
    /// The elements of the other end, as if the axis were a ring: b c \[a b c\] a b.
    #[doc(alias = "wrap")]
    Circular,
}

impl Tensor {
    /// Pads the last axes: one pair (before, after) for each, in the order of the axes (PyTorch's is reversed).
    ///
    /// Shapes: (.., n, m) and \[(a, b), (c, d)\] to (.., a + n + b, c + m + d). Gradient: g without the padding; elements
    /// that were copied into the padding get its gradient as well.
    ///
    /// # Errors
    /// Errors if there are more pairs than axes, a reflection is as long as its axis or longer, circular padding is longer than
    /// its axis, an empty axis is replicated, or an integer dtype cannot hold the constant.
    ///
    /// ```
    /// # use tealight::ops::Pad;
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0]], &Device::Cpu)?;
    /// assert_eq!(x.pad(&[(1, 2)], Pad::Constant(0.0))?.to_vec2::<f64>()?, [[0.0, 1.0, 2.0, 3.0, 0.0, 0.0]]);
    /// assert_eq!(x.pad(&[(2, 1)], Pad::Reflect)?.to_vec2::<f64>()?, [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]]);
    /// assert_eq!(x.pad(&[(1, 1)], Pad::Circular)?.to_vec2::<f64>()?, [[3.0, 1.0, 2.0, 3.0, 1.0]]);
    /// assert_eq!(x.pad(&[(0, 1), (1, 0)], Pad::Replicate)?.to_vec2::<f64>()?, [[1.0, 1.0, 2.0, 3.0]; 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "ZeroPad2d")]
    #[doc(alias = "ConstantPad2d")]
    #[doc(alias = "ReflectionPad2d")]
    #[doc(alias = "ReplicationPad2d")]
    pub fn pad(&self, pairs: &[(usize, usize)], pad: Pad) -> Result<Tensor> {
        let Some(first) = self.rank().checked_sub(pairs.len()) else {
            let expected = format!("at most {} pairs for shape {:?}", self.rank(), self.dims());
            return Err(Error::argument("pad", expected, pairs.len()));
        };
        let mut dims = self.dims().to_vec();
        for (size, &(before, after)) in dims[first..].iter_mut().zip(pairs) {
            *size = size.saturating_add(before).saturating_add(after);
        }
        let shape = checked("pad", dims.into(), self.dtype().size_in_bytes())?;
        traced(
            &[self],
            || self.padded(first, pairs, pad, shape),
            |onnx| {
                let rank = first + pairs.len();
                let mut pads = vec![0; 2 * rank];
                for (axis, &(before, after)) in (first..).zip(pairs) {
                    (pads[axis], pads[rank + axis]) = (before as i64, after as i64);
                }
                let mode = match pad {
                    Pad::Constant(_) => "constant",
                    Pad::Reflect => "reflect",
                    Pad::Replicate => "edge",
                    Pad::Circular if onnx.opset() >= 19 => "wrap",
                    Pad::Circular => return Ok(self.wrapped(first, pairs, onnx)),
                };
                let mut inputs = vec![onnx.input(0), onnx.ints(&pads)];
                if let Pad::Constant(value) = pad {
                    inputs.push(onnx.number(value, onnx.dtype(0)?)?);
                }
                Ok(onnx.node("Pad", &inputs, &[("mode", OnnxAttribute::Text(mode))]))
            },
        )
    }

    /// Circular padding in ONNX, which has a mode for it from opset 19 on only.
    fn wrapped(&self, first: usize, pairs: &[(usize, usize)], onnx: &mut Onnx) -> OnnxValue {
        let mut y = onnx.input(0);
        for (axis, &(before, after)) in (first..).zip(pairs).filter(|&(_, &pair)| pair != (0, 0)) {
            let size = self.dims()[axis];
            let mut part = |start: usize, end: usize| {
                let [start, end, axis] = [start, end, axis].map(|i| onnx.ints(&[i as i64]));
                onnx.node("Slice", &[y, start, end, axis], &[])
            };
            let parts = [part(size - before, size), y, part(0, after)];
            y = onnx.node("Concat", &parts, &[("axis", OnnxAttribute::Int(axis as i64))]);
        }
        y
    }

    /// Pads the axes from `first` on, to this shape.
    fn padded(&self, first: usize, pairs: &[(usize, usize)], pad: Pad, shape: Shape) -> Result<Tensor> {
        if let Pad::Constant(value) = pad {
            let value = scalar("pad", value, self.dtype(), self.device())?;
            let border: Tensor = value.array().broadcast_as(shape)?.into();
            let starts = std::iter::repeat_n(0, first).chain(pairs.iter().map(|pair| pair.0));
            let inner = self.dims().iter().zip(starts).map(|(&size, start)| Selection::Span(start, size));
            return assigned("pad", &border, inner.collect(), self);
        }
        let mut x = self.clone();
        for (axis, &(before, after)) in (first..).zip(pairs).filter(|&(_, &pair)| pair != (0, 0)) {
            let size = x.dims()[axis];
            let most = match pad {
                Pad::Reflect => size.saturating_sub(1),
                Pad::Circular => size,
                _ => usize::MAX,
            };
            if size == 0 || before.max(after) > most {
                let expected =
                    format!("padding of at most {} (axis {axis} of shape {:?})", most.min(size), self.dims());
                return Err(Error::argument("pad", expected, format!("{:?}", (before, after))));
            }
            let source = |i: usize| match i.checked_sub(before) {
                Some(i) if i < size => i,
                Some(i) if pad == Pad::Reflect => 2 * (size - 1) - i,
                Some(i) if pad == Pad::Circular => i - size,
                Some(_) => size - 1,
                None if pad == Pad::Reflect => before - i,
                None if pad == Pad::Circular => size - (before - i),
                None => 0,
            };
            x = taken_along("pad", &x, axis, (0..before + size + after).map(source))?;
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use super::Pad;
    use crate::prelude::*;

    const ALL: [Pad; 4] = [Pad::Constant(0.7), Pad::Reflect, Pad::Replicate, Pad::Circular];

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        for pad in ALL {
            check(&x, |x| x.exp()?.pad(&[(3, 2)], pad)?.sqr());
            check(&x, |x| x.sqr()?.reshape((2, x.elem_count() / 2))?.pad(&[(1, 0), (0, 2)], pad));
        }
    }

    /// The number at place `i` of a row of `row`, or the constant.
    fn expected(row: &[f64], i: i64, pad: Pad) -> f64 {
        let n = row.len() as i64;
        let place = match pad {
            Pad::Constant(value) if i < 0 || i >= n => return value,
            Pad::Constant(_) => i,
            Pad::Replicate => i.clamp(0, n - 1),
            Pad::Circular => i.rem_euclid(n),
            // |i| mirrors at the first, and the same from the other end.
            Pad::Reflect => n - 1 - (n - 1 - i.abs()).abs(),
        };
        row[place as usize]
    }

    #[test]
    fn against_a_row_at_a_time() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(1.0, 13.0, &Device::Cpu)?.reshape((4, 3))?.t()?.to_dtype(dtype)?;
            let rows = x.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            for pad in [Pad::Constant(9.0), Pad::Reflect, Pad::Replicate, Pad::Circular] {
                let y = x.pad(&[(2, 1), (0, 3)], pad)?;
                assert_eq!((y.dims(), y.dtype()), (&[6, 7][..], dtype));
                let wide: Vec<Vec<f64>> =
                    rows.iter().map(|row| (0..7).map(|j| expected(row, j, pad)).collect()).collect();
                for (i, row) in y.to_dtype(DType::F64)?.to_vec2::<f64>()?.iter().enumerate() {
                    for (j, &value) in row.iter().enumerate() {
                        let column: Vec<f64> = wide.iter().map(|row| row[j]).collect();
                        assert_eq!(value, expected(&column, i as i64 - 2, pad), "{dtype:?} {pad:?}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0]);
        for pad in ALL {
            assert_eq!(x.pad(&[], pad)?.to_vec1::<f64>()?, [1.0, 2.0, 3.0]);
            assert_eq!(x.pad(&[(0, 0)], pad)?.to_vec1::<f64>()?, [1.0, 2.0, 3.0]);
            assert!(matches!(x.pad(&[(usize::MAX, usize::MAX)], pad), Err(Error::Shape { .. })));
            assert!(matches!(x.pad(&[(0, 0), (1, 1)], pad), Err(Error::Argument { .. })));
            assert!(matches!(x.i(0)?.pad(&[(1, 1)], pad), Err(Error::Argument { .. })));
            let none = Tensor::zeros((0, 2), DType::F64, &Device::Cpu)?;
            assert_eq!(none.pad(&[(1, 1)], pad)?.dims(), [0, 4]);
            assert_eq!(none.pad(&[(1, 0), (0, 0)], pad).is_ok(), matches!(pad, Pad::Constant(_)));
        }
        let none = tensor(&[]).pad(&[(1, 1)], Pad::Constant(f64::NAN))?.to_vec1::<f64>()?;
        assert!(none[0].is_nan() && none[1].is_nan());
        assert_eq!(x.pad(&[(2, 2)], Pad::Reflect)?.to_vec1::<f64>()?, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
        let error = x.pad(&[(0, 3)], Pad::Reflect).unwrap_err();
        assert_eq!(error.to_string(), "pad: expected padding of at most 2 (axis 0 of shape [3]), got (0, 3)");
        let error = x.pad(&[(4, 0)], Pad::Circular).unwrap_err();
        assert_eq!(error.to_string(), "pad: expected padding of at most 3 (axis 0 of shape [3]), got (4, 0)");
        let bytes = x.to_dtype(DType::U8)?.pad(&[(1, 1)], Pad::Constant(-1.0)).unwrap_err();
        assert_eq!(bytes.to_string(), "pad: expected a number of dtype u8, got -1");
        Ok(())
    }
}
