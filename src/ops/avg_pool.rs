//! Average pooling. It runs along one axis after the other, so a NaN or infinity reaches only the windows that contain it.

use super::onnx::{batched, pad_after, windows};
use super::resample::{by_matrices, resampled};
use super::window::{PerSpatialDim, PoolOptions, images, resized};
use crate::autograd::{OnnxAttribute, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::{ResampleMode, WindowAxis};

fn avg_pool<const D: usize>(op: &'static str, x: &Tensor, options: PoolOptions<D>) -> Result<Tensor> {
    if options.dilation != 1.into() {
        return Err(Error::argument(op, "a dilation of 1", format!("{:?}", options.dilation.both())));
    }
    let (sides, _) = options.sides(op, x)?;
    let modes =
        sides.map(|side| (side.output, ResampleMode::Mean { side, padded: options.count_include_pad }));
    traced(
        &[x],
        || resampled(x, &modes[2 - D..]),
        |onnx| {
            batched::<D>(onnx, |onnx, x| {
                let (mut x, mut sides, mut counted) = (x, sides, options.count_include_pad);
                if counted && sides.iter().any(|side| pad_after(side) > side.padding) {
                    // The padding counts, and what a window of `ceil_mode` has behind it does not.
                    let pads = sides[2 - D..].iter().map(|side| side.padding as i64);
                    let pads: Vec<i64> = [0, 0].into_iter().chain(pads).collect();
                    let inputs = [x, onnx.ints(&[&pads[..], &pads].concat())];
                    x = onnx.node("Pad", &inputs, &[]);
                    sides = sides.map(|side| WindowAxis {
                        input: side.input + 2 * side.padding,
                        padding: 0,
                        ..side
                    });
                    counted = false;
                }
                let mut attributes = windows::<D>(&sides);
                attributes.push(("count_include_pad", OnnxAttribute::Int(i64::from(counted))));
                Ok(onnx.node("AveragePool", &[x], &attributes))
            })
        },
    )
}

impl Tensor {
    /// Computes the mean of each window of a sequence; see [`avg_pool2d`](Tensor::avg_pool2d).
    ///
    /// Shapes: (n, c, l) or (c, l); l becomes ⌊(l + 2·padding − kernel) / stride⌋ + 1.
    pub fn avg_pool1d(&self, options: PoolOptions<1>) -> Result<Tensor> {
        avg_pool("avg_pool1d", self, options)
    }

    /// Computes the mean of each window of an image.
    ///
    /// Padding adds zeros, which count towards the mean unless [`count_include_pad`](PoolOptions::count_include_pad) is
    /// false. Rows and columns that do not fill a window are dropped.
    ///
    /// Shapes: (n, c, h, w) or (c, h, w); h becomes ⌊(h + 2·padding − kernel) / stride⌋ + 1, and w likewise. Gradient: g
    /// divided by the number of elements of the window, for each of them; overlapping windows add up.
    ///
    /// # Errors
    /// Errors if a kernel side or stride is 0, the dilation is not 1, a window is longer than the padded input, or the
    /// padding is more than half the kernel.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0], [3.0, 6.0]]], &Device::Cpu)?; // (c, h, w)
    /// assert_eq!(x.avg_pool2d(PoolOptions::new(2))?.to_vec3::<f64>()?, [[[3.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "mean_pool2d")]
    pub fn avg_pool2d(&self, options: PoolOptions<2>) -> Result<Tensor> {
        avg_pool("avg_pool2d", self, options)
    }

    /// Computes the means of `sides[0]` by `sides[1]` windows of nearly equal size that cover an image.
    ///
    /// Window i of m reaches from ⌊i·h/m⌋ to ⌈(i + 1)·h/m⌉. Gradient: as for [`avg_pool2d`](Tensor::avg_pool2d). Errors if
    /// a side of the image is 0.
    ///
    /// Shapes: (n, c, h, w) or (c, h, w); the last two become `sides`.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 6.0]]], &Device::Cpu)?; // (c, h, w)
    /// assert_eq!(x.adaptive_avg_pool2d([1, 1])?.to_vec3::<f64>()?, [[[3.0]]]);
    /// assert_eq!(x.adaptive_avg_pool2d([1, 2])?.to_vec3::<f64>()?, [[[1.5, 4.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "global_average_pool")]
    pub fn adaptive_avg_pool2d(&self, sides: [usize; 2]) -> Result<Tensor> {
        adaptive_avg_pool("adaptive_avg_pool2d", self, sides)
    }

    /// Computes the means of `length` windows of a sequence; see [`adaptive_avg_pool2d`](Tensor::adaptive_avg_pool2d).
    pub fn adaptive_avg_pool1d(&self, length: usize) -> Result<Tensor> {
        adaptive_avg_pool("adaptive_avg_pool1d", self, [length])
    }
}

fn adaptive_avg_pool<const D: usize>(op: &'static str, x: &Tensor, to: [usize; D]) -> Result<Tensor> {
    let (own, sides) = (images::<D>(op, x)?, PerSpatialDim(to).image(1));
    resized::<D>(op, x, sides)?;
    let compute = || resampled(x, &to.map(|side| (side, ResampleMode::Adaptive)));
    traced(&[x], compute, |onnx| {
        if to == [1; D] {
            return batched::<D>(onnx, |onnx, x| Ok(onnx.node("GlobalAveragePool", &[x], &[])));
        }
        by_matrices(onnx, own, sides, ResampleMode::Adaptive)
    })
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{check, tensor};
    use crate::prelude::*;

    fn numbers(dims: &[usize]) -> Tensor {
        let n = dims.iter().product::<usize>();
        Tensor::from_vec((0..n).map(|i| (i as f64 * 1.7).sin()).collect(), dims, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients() {
        let x: [f64; 20] = std::array::from_fn(|i| (i as f64 * 1.7).sin());
        for own in [
            PoolOptions::new(2),
            PoolOptions::new([3, 2]).stride([1, 2]).padding([1, 0]),
            PoolOptions::new([2, 3]).stride([3, 1]).padding(1).count_include_pad(false),
        ] {
            check(&x, |x| x.reshape((x.elem_count() / 20, 4, 5))?.avg_pool2d(own)?.exp());
        }
        check(&x, |x| x.reshape((x.elem_count() / 5, 5))?.sqr()?.avg_pool1d(PoolOptions::new(3).padding(1)));
        check(&x, |x| x.reshape((2, 1, 5, x.elem_count() / 10))?.sqr()?.adaptive_avg_pool2d([2, 3]));
    }

    #[test]
    fn against_plain_loops() -> Result<()> {
        let x = numbers(&[2, 3, 5, 7]);
        let strided = numbers(&[7, 5, 3, 2]).permute(&[3, 2, 1, 0])?;
        let repeated = numbers(&[3, 1, 7]).broadcast_to((2, 3, 5, 7))?;
        for x in [&x, &strided, &repeated] {
            let numbers = x.flatten(0, -1)?.to_vec1::<f64>()?;
            // The mean of rows × columns of an image, divided by n if that is given.
            let mean = |image: usize, rows: [usize; 2], columns: [usize; 2], n: Option<usize>| {
                let mut sum = 0.0;
                for i in rows[0]..rows[1] {
                    for j in columns[0]..columns[1] {
                        sum += numbers[(image * 5 + i) * 7 + j];
                    }
                }
                sum / n.unwrap_or((rows[1] - rows[0]) * (columns[1] - columns[0])) as f64
            };
            let near = |y: Tensor, at: &dyn Fn(usize, usize, usize) -> f64| -> Result<()> {
                let [.., oh, ow] = *y.dims() else { panic!("{y}") };
                for (i, y) in y.flatten(0, -1)?.to_vec1::<f64>()?.into_iter().enumerate() {
                    let expected = at(i / (oh * ow), i / ow % oh, i % ow);
                    assert!((y - expected).abs() < 1e-15, "{i}: {y} {expected}");
                }
                Ok(())
            };
            for (kernel, stride, padding) in [
                ([2, 2], [2, 2], [0, 0]),
                ([3, 2], [1, 3], [1, 1]),
                ([1, 4], [2, 1], [0, 2]),
                ([5, 7], [1, 1], [0, 0]),
            ] {
                let own = PoolOptions::new(kernel).stride(stride).padding(padding);
                let inside = |o: usize, i: usize, len: usize| {
                    let start = o * stride[i];
                    let clipped = |place: usize| place.saturating_sub(padding[i]).min(len);
                    [clipped(start), clipped(start + kernel[i])]
                };
                let n = kernel[0] * kernel[1];
                near(x.avg_pool2d(own)?, &|image, i, j| {
                    mean(image, inside(i, 0, 5), inside(j, 1, 7), Some(n))
                })?;
                let own = own.count_include_pad(false);
                near(x.avg_pool2d(own)?, &|image, i, j| mean(image, inside(i, 0, 5), inside(j, 1, 7), None))?;
            }
            for [h, w] in [[1, 1], [2, 3], [5, 7], [3, 4], [8, 9]] {
                near(x.adaptive_avg_pool2d([h, w])?, &|image, i, j| {
                    let rows = [i * 5 / h, ((i + 1) * 5).div_ceil(h)];
                    mean(image, rows, [j * 7 / w, ((j + 1) * 7).div_ceil(w)], None)
                })?;
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = numbers(&[1, 4, 5]);
        let two = PoolOptions::<2>::new(2);
        let error = x.avg_pool2d(two.dilation(2)).unwrap_err().to_string();
        assert_eq!(error, "avg_pool2d: expected a dilation of 1, got [2, 2]");
        let error = x.avg_pool2d(PoolOptions::new([2, 6])).unwrap_err().to_string();
        assert_eq!(
            error,
            "avg_pool2d: expected a padded input no smaller than the window (2 by 6), got [1, 4, 5]"
        );
        for own in [PoolOptions::new(0), two.stride(0), two.padding(2), two.padding(usize::MAX)] {
            assert!(matches!(x.avg_pool2d(own), Err(Error::Argument { .. })));
        }
        assert!(matches!(x.avg_pool2d(PoolOptions::new(usize::MAX)), Err(Error::Shape { .. })));
        assert_eq!(x.avg_pool2d(two.stride(usize::MAX))?.dims(), [1, 1, 1]);
        assert!(matches!(x.i(0)?.avg_pool2d(two), Err(Error::Shape { .. })));
        assert!(matches!(x.i((0, 0))?.avg_pool1d(PoolOptions::new(1)), Err(Error::Shape { .. })));
        assert!(matches!(x.to_dtype(DType::I64)?.avg_pool2d(two), Err(Error::Dtype { .. })));
        assert!(matches!(x.adaptive_avg_pool2d([usize::MAX, 1]), Err(Error::Shape { .. })));
        assert_eq!(x.adaptive_avg_pool2d([0, 3])?.dims(), [1, 0, 3]);
        for dims in [[1, 2, 0, 3], [0, 2, 0, 0]] {
            let none = Tensor::zeros(&dims, DType::F32, &Device::Cpu)?;
            assert!(matches!(none.adaptive_avg_pool2d([1, 1]), Err(Error::Shape { .. })));
        }
        let empty = Tensor::zeros((0, 2, 4, 4), DType::F32, &Device::Cpu)?;
        assert_eq!(empty.avg_pool2d(two)?.dims(), [0, 2, 2, 2]);
        assert!(matches!(empty.adaptive_avg_pool2d([usize::MAX, 9]), Err(Error::Shape { .. })));
        // The means of ones are ones, to the last bit, however many.
        assert_eq!(
            Tensor::ones((1, 49, 49), DType::F64, &Device::Cpu)?
                .avg_pool2d(PoolOptions::new(49))?
                .to_vec3::<f64>()?,
            [[[1.0]]]
        );
        let x = tensor(&[1.0, f64::NAN, 1.0, 1.0, f64::INFINITY, 1.0, 3.0, 5.0]).reshape((1, 2, 4))?;
        let y = x.avg_pool2d(PoolOptions::new([1, 2]))?.to_vec3::<f64>()?;
        assert!(y[0][0][0].is_nan());
        assert_eq!([y[0][0][1], y[0][1][0], y[0][1][1]], [1.0, f64::INFINITY, 4.0]);
        Ok(())
    }
}
