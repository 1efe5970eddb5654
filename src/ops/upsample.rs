//! Resized images.

use candle_core::Device;

use super::onnx::batched;
use super::resample::{by_matrices, resampled};
use super::window::{at_least_one, images, resized};
use crate::autograd::{Array, Onnx, OnnxAttribute, OnnxValue, Tensor, traced};
use crate::error::Result;
use crate::kernel::ResampleMode;

fn upsample(op: &'static str, x: &Tensor, sides: [usize; 2], rule: ResampleMode) -> Result<Tensor> {
    let own = images::<2>(op, x)?;
    at_least_one(op, "sides", sides)?;
    resized::<2>(op, x, sides)?;
    traced(&[x], || resampled(x, &sides.map(|side| (side, rule))), |onnx| resize(onnx, own, sides, rule))
}

/// Uses `Resize` only where its positions are exactly ours: a quotient may round to the wrong side of an integer.
fn resize(onnx: &mut Onnx, own: [usize; 2], sides: [usize; 2], rule: ResampleMode) -> Result<OnnxValue> {
    if (0..2).any(|i| !sides[i].is_multiple_of(own[i])) {
        return match rule {
            ResampleMode::Nearest => Ok(nearest(onnx, own, sides)),
            _ => by_matrices(onnx, own, sides, rule),
        };
    }
    let (mode, places) = match rule {
        ResampleMode::Nearest => ("nearest", "asymmetric"),
        ResampleMode::Linear { corners: true } => ("linear", "align_corners"),
        _ => ("linear", "half_pixel"),
    };
    let attributes = [
        ("mode", OnnxAttribute::Text(mode)),
        ("coordinate_transformation_mode", OnnxAttribute::Text(places)),
        ("nearest_mode", OnnxAttribute::Text("floor")),
    ];
    batched::<2>(onnx, |onnx, x| {
        let factors = [1.0, 1.0, (sides[0] / own[0]) as f32, (sides[1] / own[1]) as f32];
        let factors = onnx.constant(&Array::new(&factors, &Device::Cpu)?);
        let absent = onnx.absent();
        Ok(onnx.node("Resize", &[x, absent, factors], &attributes))
    })
}

/// The nearest elements along both axes, one after the other.
fn nearest(onnx: &mut Onnx, own: [usize; 2], sides: [usize; 2]) -> OnnxValue {
    let mut y = onnx.input(0);
    for (i, (from, to)) in own.into_iter().zip(sides).enumerate() {
        let places: Vec<i64> =
            (0..to).map(|place| (place as u128 * from as u128 / to as u128) as i64).collect();
        let places = onnx.ints(&places);
        y = onnx.node("Gather", &[y, places], &[("axis", OnnxAttribute::Int(i as i64 - 2))]);
    }
    y
}

impl Tensor {
    /// Resizes images to `sides` (height, width) by the nearest element: row i of h′ is row ⌊i·h/h′⌋ of h, and so with columns.
    ///
    /// Images are (n, c, h, w) or (c, h, w); they may shrink, too. Errors if a side is 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0]]], &Device::Cpu)?; // (c, h, w)
    /// assert_eq!(x.upsample_nearest2d([2, 3])?.to_vec3::<f64>()?, [[[1.0, 1.0, 2.0]; 2]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "interpolate")]
    #[doc(alias = "UpsamplingNearest2d")]
    pub fn upsample_nearest2d(&self, sides: [usize; 2]) -> Result<Tensor> {
        upsample("upsample_nearest2d", self, sides, ResampleMode::Nearest)
    }

    /// Resizes images to `sides` (height, width) by linear interpolation along both axes: row i of h′ lies at
    /// max(0, (i + ½)·h/h′ − ½) of h, or at i·(h − 1)/(h′ − 1) with `align_corners`, and so with columns.
    ///
    /// Images are (n, c, h, w) or (c, h, w); they may shrink, too. Errors if a side is 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[0.0, 4.0]]], &Device::Cpu)?; // (c, h, w)
    /// assert_eq!(x.upsample_bilinear2d([1, 4], false)?.to_vec3::<f64>()?, [[[0.0, 1.0, 3.0, 4.0]]]);
    /// assert_eq!(x.upsample_bilinear2d([1, 3], true)?.to_vec3::<f64>()?, [[[0.0, 2.0, 4.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "interpolate")]
    #[doc(alias = "UpsamplingBilinear2d")]
    pub fn upsample_bilinear2d(&self, sides: [usize; 2], align_corners: bool) -> Result<Tensor> {
        upsample("upsample_bilinear2d", self, sides, ResampleMode::Linear { corners: align_corners })
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        for sides in [[4, 5], [1, 2], [3, 1]] {
            let image = |x: &Tensor| x.reshape((x.elem_count() / 6, 2, 3));
            check(&x, |x| image(x)?.upsample_nearest2d(sides)?.exp());
            check(&x, |x| image(&x.sqr()?)?.upsample_bilinear2d(sides, false));
            check(&x, |x| image(&x.sqr()?)?.upsample_bilinear2d(sides, true));
        }
    }

    #[test]
    fn against_plain_loops() -> Result<()> {
        let x =
            Tensor::from_vec((0..60).map(|i| (i as f64 * 1.7).sin()).collect(), (2, 2, 3, 5), &Device::Cpu)?;
        let strided = x.permute(&[3, 2, 1, 0])?.reshape((5, 3, 2, 2))?.permute(&[3, 2, 1, 0])?;
        for x in [x, strided] {
            let numbers = x.flatten(0, -1)?.to_vec1::<f64>()?;
            for [h, w] in [[6, 10], [7, 4], [2, 9], [1, 1], [3, 5]] {
                let close = |y: Tensor, at: &dyn Fn(usize, usize, &[f64]) -> f64| -> Result<()> {
                    assert_eq!(y.dims(), [2, 2, h, w]);
                    for (i, y) in y.flatten(0, -1)?.to_vec1::<f64>()?.into_iter().enumerate() {
                        let image = &numbers[i / (h * w) * 15..][..15];
                        let expected = at(i / w % h, i % w, image);
                        assert!((y - expected).abs() < 1e-14, "{h} {w} {i}: {y} {expected}");
                    }
                    Ok(())
                };
                close(x.upsample_nearest2d([h, w])?, &|i, j, x| x[i * 3 / h * 5 + j * 5 / w])?;
                for corners in [false, true] {
                    let place = |i: usize, from: usize, to: usize| match corners {
                        true => i as f64 * (from - 1) as f64 / (to.max(2) - 1) as f64,
                        false => ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
                    };
                    close(x.upsample_bilinear2d([h, w], corners)?, &|i, j, x| {
                        let (y, z) = (place(i, 3, h), place(j, 5, w));
                        let (row, column) = ((y as usize).min(2), (z as usize).min(4));
                        let (below, right) = ((row + 1).min(2), (column + 1).min(4));
                        let (f, g) = (y - row as f64, z - column as f64);
                        let at = |i: usize, j: usize| x[i * 5 + j];
                        (1.0 - f) * ((1.0 - g) * at(row, column) + g * at(row, right))
                            + f * ((1.0 - g) * at(below, column) + g * at(below, right))
                    })?;
                }
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0, f64::INFINITY]).reshape((1, 2, 2))?;
        let error = x.upsample_nearest2d([0, 2]).unwrap_err().to_string();
        assert_eq!(error, "upsample_nearest2d: expected sides of at least 1, got 0");
        let error = x.i(0)?.upsample_bilinear2d([2, 2], true).unwrap_err().to_string();
        assert_eq!(error, "upsample_bilinear2d: expected images (n, c, h, w) or (c, h, w), got [2, 2]");
        assert!(matches!(x.upsample_nearest2d([usize::MAX, 2]), Err(Error::Shape { .. })));
        assert!(matches!(x.to_dtype(DType::U8)?.upsample_nearest2d([2, 2]), Err(Error::Dtype { .. })));
        let empty = Tensor::zeros((1, 1, 0, 2), DType::F32, &Device::Cpu)?;
        assert!(matches!(empty.upsample_bilinear2d([2, 2], false), Err(Error::Shape { .. })));
        let none = Tensor::zeros((0, 1, 2, 2), DType::F32, &Device::Cpu)?;
        assert_eq!(none.upsample_bilinear2d([1 << 40, 3], false)?.dims(), [0, 1, 1 << 40, 3]);
        // An infinity stays where its weight is not 0.
        let y = x.upsample_bilinear2d([3, 3], true)?.to_vec3::<f64>()?;
        assert_eq!(y[0][0], [1.0, 1.5, 2.0]);
        assert_eq!(y[0][2], [3.0, f64::INFINITY, f64::INFINITY]);
        for dtype in [DType::F16, DType::BF16, DType::F32] {
            let y = x.to_dtype(dtype)?.upsample_nearest2d([2, 4])?;
            assert_eq!((y.dtype(), y.dims()), (dtype, &[1, 2, 4][..]));
            assert_eq!(y.to_dtype(DType::F64)?.to_vec3::<f64>()?[0][0], [1.0, 1.0, 2.0, 2.0]);
        }
        Ok(())
    }
}
