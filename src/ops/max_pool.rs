//! Max pooling, and the pair of linear operations behind its gradient.

use candle_core::{DType, Device, WithDType};

use super::onnx::{batched, dilations, windows};
use super::take::taken_along;
use super::window::{PerSpatialDim, PoolOptions, images, in_memory, resized};
use crate::autograd::array::{contiguous, converted, with_float};
use crate::autograd::launch::{Primitive, launch, launch_many};
use crate::autograd::{Array, Jacobian, Op, SaveContext, Saved, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::{self, Dims, WindowAxis};

/// Max pooling of `images` over their last one or two axes; the result has the shape `to`.
#[derive(Debug)]
struct MaxPool {
    sides: [WindowAxis; 2],
    images: usize,
    to: Dims,
}

impl Op<1> for MaxPool {
    const NAME: &'static str = "max_pool";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        in_memory([x], |[x]| {
            with_float!(x.dtype(), T => {
                let sides = self.sides;
                let [values, indices] = launch_many((Self::NAME, || Primitive::MaxPool(sides)), [&contiguous(x)?], [&self.to[..]; 2], move |[x]| {
                    let (values, indices) = kernel::max_pool(x.elements::<T>(), &sides);
                    Ok([T::to_cpu_storage_owned(values), u32::to_cpu_storage_owned(indices)])
                })?;
                ctx.save(indices);
                Ok(values)
            })
        })
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let (indices, to) = (saved.array(0)?.clone(), Dims::from_slice(saved.input_dims(0)?));
        Ok([Some(ScatterIndices { indices, images: self.images, to }.apply([grad])?)])
    }
}

/// Takes the elements at `indices` of each image: linear, as the indices are constant.
#[derive(Debug)]
struct TakeIndices {
    indices: Array,
    images: usize,
}

/// The transpose of [`TakeIndices`]: zeros of shape `to` with the input added at `indices` of each image.
#[derive(Debug)]
struct ScatterIndices {
    indices: Array,
    images: usize,
    to: Dims,
}

impl Op<1> for TakeIndices {
    const NAME: &'static str = "pool_gather";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        in_memory([x], |[x]| {
            with_float!(x.dtype(), T => {
                let (inputs, images) = ([&contiguous(x)?, &self.indices], self.images);
                launch(Self::NAME, inputs, self.indices.dims(), move |[x, indices]| {
                    kernel::pool_gather(x.elements::<T>(), indices.elements(), images, 0.0)
                })
            })
        })
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let (indices, to) = (self.indices.clone(), Dims::from_slice(saved.input_dims(0)?));
        Ok([Some(ScatterIndices { indices, images: self.images, to }.apply([grad])?)])
    }
}

impl Op<1> for ScatterIndices {
    const NAME: &'static str = "pool_scatter";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let size = self.to.iter().fold(1, |size: usize, &side| size.saturating_mul(side));
        in_memory([x], |[x]| {
            with_float!(x.dtype(), T => {
                let (inputs, images) = ([&contiguous(x)?, &self.indices], self.images);
                let what = (Self::NAME, || Primitive::PoolScatter(images));
                launch(what, inputs, &self.to, move |[x, indices]| {
                    kernel::pool_scatter(x.elements::<T>(), indices.elements(), images, size)
                })
            })
        })
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(TakeIndices { indices: self.indices.clone(), images: self.images }.apply([grad])?)])
    }
}

fn max_pool<const D: usize>(op: &'static str, x: &Tensor, options: PoolOptions<D>) -> Result<Tensor> {
    let (sides, to) = options.sides(op, x)?;
    let image = sides[0].input.saturating_mul(sides[1].input);
    if image >= u32::MAX as usize {
        return Err(Error::shape(op, "sides whose product is below 2^32 - 1", &[x.dims()]));
    }
    let compute = || MaxPool { sides, images: x.elem_count() / image, to }.apply([x]);
    traced(&[x], compute, |onnx| {
        let mut attributes = windows::<D>(&sides);
        attributes.push(dilations::<D>(&sides));
        batched::<D>(onnx, |onnx, x| Ok(onnx.node("MaxPool", &[x], &attributes)))
    })
}

/// Where each maximum lies in its image.
fn max_indices<const D: usize>(op: &'static str, x: &Tensor, options: PoolOptions<D>) -> Result<Tensor> {
    let (sides, to) = options.sides(op, x)?;
    let compute = || {
        let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let own = contiguous(&converted(&x.array().to_device(&Device::Cpu)?, wide)?)?;
        let indices = with_float!(wide, T => {
            launch(op, [&own], &to, move |[x]| kernel::max_pool(x.elements::<T>(), &sides).1)?
        });
        Tensor::from(indices).to_device(x.device())
    };
    traced(&[x], compute, |onnx| Err(onnx.no_form(op)))
}

fn max_unpool<const D: usize>(
    op: &'static str,
    x: &Tensor,
    indices: &Tensor,
    sides: [usize; D],
) -> Result<Tensor> {
    images::<D>(op, x)?;
    let dims = resized::<D>(op, x, PerSpatialDim(sides).image(1))?;
    let lead = x.rank() - D;
    if indices.dims() != x.dims() {
        return Err(Error::shape(op, "as many indices as elements", &[x.dims(), indices.dims()]));
    }
    let flat_dims = [&dims[..lead], &[sides.iter().product()]].concat();
    let zeros = Tensor::zeros(flat_dims, x.dtype(), x.device())?;
    let flat = |x: &Tensor| x.flatten(lead as isize, -1);
    let y = zeros.scatter(-1, &flat(indices)?, &flat(x)?).map_err(|error| error.context(op))?;
    y.reshape(&dims[..])
}

fn adaptive_max_pool<const D: usize>(op: &'static str, x: &Tensor, sides: [usize; D]) -> Result<Tensor> {
    images::<D>(op, x)?;
    let dims = resized::<D>(op, x, PerSpatialDim(sides).image(1))?;
    if sides.contains(&0) {
        return Tensor::zeros(&dims[..], x.dtype(), x.device());
    }
    let (mut y, mut kernel) = (x.clone(), sides);
    for (axis, (to, kernel)) in (x.rank() - D..).zip(sides.into_iter().zip(&mut kernel)) {
        let from = x.dims()[axis];
        let start = |i: usize| (i as u128 * from as u128 / to as u128) as usize;
        let end = |i: usize| ((i as u128 + 1) * from as u128).div_ceil(to as u128) as usize;
        let longest = (0..to).map(|i| end(i) - start(i)).max().expect("there is a window");
        *kernel = longest;
        if !from.is_multiple_of(to) {
            // Windows of one length: the last element of a shorter one stands there again.
            let window = |i| (0..longest).map(move |k| (start(i) + k).min(end(i) - 1));
            let elements: Vec<usize> = (0..to).flat_map(window).collect();
            y = taken_along(op, &y, axis, elements.into_iter())?;
        }
    }
    max_pool(op, &y, PoolOptions::new(kernel))
}

impl Tensor {
    /// Computes the maximum of each window of a sequence; see [`max_pool2d`](Tensor::max_pool2d).
    ///
    /// Shapes: (n, c, l) or (c, l); l becomes ⌊(l + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
    pub fn max_pool1d(&self, options: PoolOptions<1>) -> Result<Tensor> {
        max_pool("max_pool1d", self, options)
    }

    /// Computes the maximum of each window of an image.
    ///
    /// Padding is −∞ and never taken. Rows and columns that do not fill a window are dropped. NaN in, NaN out.
    ///
    /// Shapes: (n, c, h, w) or (c, h, w); h becomes ⌊(h + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, and w
    /// likewise. Gradient: g at the element that was taken, the first of equal ones as in PyTorch; overlapping windows add up.
    ///
    /// # Errors
    /// Errors if a kernel side, stride or dilation is 0, a window is longer than the padded input, or the padding is more
    /// than half the kernel.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[[[1.0, 2.0], [3.0, 4.0]]], &Device::Cpu)?); // (c, h, w)
    /// let y = x.max_pool2d(PoolOptions::new(2))?;
    /// assert_eq!(y.to_vec3::<f64>()?, [[[4.0]]]);
    /// let gradients = y.sum_all()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec3::<f64>()?, [[[0.0, 0.0], [0.0, 1.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn max_pool2d(&self, options: PoolOptions<2>) -> Result<Tensor> {
        max_pool("max_pool2d", self, options)
    }

    /// Computes the maximum of each window of a sequence, and where it lies; see
    /// [`max_pool2d_with_indices`](Tensor::max_pool2d_with_indices).
    pub fn max_pool1d_with_indices(&self, options: PoolOptions<1>) -> Result<(Tensor, Tensor)> {
        Ok((self.max_pool1d(options)?, max_indices("max_pool1d_with_indices", self, options)?))
    }

    /// Computes the maximum of each window of an image as [`max_pool2d`](Tensor::max_pool2d), and where it lies, as u32: row · w +
    /// column.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 9.0], [3.0, 4.0]]], &Device::Cpu)?; // (c, h, w)
    /// let (y, indices) = x.max_pool2d_with_indices(PoolOptions::new(2))?;
    /// assert_eq!(indices.to_vec3::<u32>()?, [[[1]]]);
    /// assert_eq!(y.max_unpool2d(&indices, [2, 2])?.to_vec3::<f64>()?, [[[0.0, 9.0], [0.0, 0.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "return_indices")]
    pub fn max_pool2d_with_indices(&self, options: PoolOptions<2>) -> Result<(Tensor, Tensor)> {
        Ok((self.max_pool2d(options)?, max_indices("max_pool2d_with_indices", self, options)?))
    }

    /// The way back of [`max_pool1d_with_indices`](Tensor::max_pool1d_with_indices): see [`max_unpool2d`](Tensor::max_unpool2d).
    pub fn max_unpool1d(&self, indices: &Tensor, length: usize) -> Result<Tensor> {
        max_unpool("max_unpool1d", self, indices, [length])
    }

    /// Zeros with each element at its index in an image of these sides; of several with one index, the last.
    ///
    /// Shapes: (n, c, h, w) or (c, h, w), and indices of the same shape; the last two become `sides`. Gradient: that of the element
    /// at each index.
    ///
    /// # Errors
    /// Errors if an index is not below h′·w′.
    pub fn max_unpool2d(&self, indices: &Tensor, sides: [usize; 2]) -> Result<Tensor> {
        max_unpool("max_unpool2d", self, indices, sides)
    }

    /// Computes the maxima of `length` windows of a sequence; see [`adaptive_max_pool2d`](Tensor::adaptive_max_pool2d).
    pub fn adaptive_max_pool1d(&self, length: usize) -> Result<Tensor> {
        adaptive_max_pool("adaptive_max_pool1d", self, [length])
    }

    /// Computes the maxima of `sides[0]` by `sides[1]` windows of nearly equal size that cover an image.
    ///
    /// The windows are those of [`adaptive_avg_pool2d`](Tensor::adaptive_avg_pool2d), shapes and gradient as for
    /// [`max_pool2d`](Tensor::max_pool2d). Errors if a side of the image is 0.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 7.0, 6.0]]], &Device::Cpu)?; // (c, h, w)
    /// assert_eq!(x.adaptive_max_pool2d([1, 2])?.to_vec3::<f64>()?, [[[7.0, 7.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "global_max_pool")]
    pub fn adaptive_max_pool2d(&self, sides: [usize; 2]) -> Result<Tensor> {
        adaptive_max_pool("adaptive_max_pool2d", self, sides)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{check, tensor};
    use crate::prelude::*;

    const X: [f64; 20] = [
        0.3, -1.0, 2.0, 0.5, 1.5, -0.7, 0.9, 1.1, -2.0, 0.1, 2.5, 0.2, -0.4, 0.8, 1.9, -1.5, 0.6, 1.3, -0.2,
        0.4,
    ];

    #[test]
    fn gradients() {
        // Windows that overlap, leave columns out, and reach into the padding.
        for own in [
            PoolOptions::new(2),
            PoolOptions::new(2).stride(1),
            PoolOptions::new([3, 2]).stride([1, 2]).padding([1, 0]),
            PoolOptions::new([2, 3]).stride([3, 1]).padding(1).dilation([2, 1]),
        ] {
            check(&X, |x| x.reshape((x.elem_count() / 20, 4, 5))?.max_pool2d(own)?.exp());
        }
        check(&X, |x| {
            x.reshape((x.elem_count() / 5, 5))?.max_pool1d(PoolOptions::new(3).stride(1).padding(1))
        });
        check(&X, |x| x.sqr()?.reshape((2, 2, x.elem_count() / 4))?.max_pool1d(PoolOptions::new(2)));
    }

    #[test]
    fn the_whole_gradient_goes_to_the_element_that_was_taken() -> Result<()> {
        let slope = |x: &[f64], own: PoolOptions<1>| -> Result<Vec<f64>> {
            let x = Tensor::parameter(tensor(x));
            let gradients = x.unsqueeze(0)?.max_pool1d(own)?.sum_all()?.backward()?;
            gradients.get(&x).unwrap().to_vec1()
        };
        let two = PoolOptions::new(2);
        assert_eq!(slope(&[1.0, 1.0, 3.0, 2.0, 9.0], two)?, [1.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(slope(&[1.0, 3.0, 2.0], two.stride(1))?, [0.0, 2.0, 0.0]);
        assert_eq!(slope(&[f64::NAN, 3.0], two)?, [1.0, 0.0]);
        // Four windows of two places that are never both beside the sequence.
        assert_eq!(slope(&[-5.0, -6.0], PoolOptions::new(3).stride(1).padding(1))?, [2.0, 0.0]);
        // A window whose elements all lie beside it takes nothing.
        assert_eq!(slope(&[1.0, 2.0], two.padding(1).dilation(3))?, [0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn known_values() -> Result<()> {
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((2, 1, 3, 4))?.to_dtype(dtype)?;
            for x in [
                x.clone(),
                x.permute(&[3, 2, 1, 0])?.array().contiguous().map(Tensor::from)?.permute(&[3, 2, 1, 0])?,
            ] {
                let values = |own| x.max_pool2d(own)?.i((1, 0))?.to_dtype(DType::F64)?.to_vec2::<f64>();
                assert_eq!(values(PoolOptions::new(2))?, [[17.0, 19.0]]);
                assert_eq!(
                    values(PoolOptions::new([1, 3]).padding([0, 1]))?,
                    [[13.0], [17.0], [21.0]].map(|row| vec![row[0], row[0] + 2.0])
                );
                assert_eq!(values(PoolOptions::new(2).stride(1).dilation([2, 3]))?, [[23.0]]);
            }
        }
        let row = tensor(&[1.0, 2.0, 3.0]).broadcast_to((2, 3, 3))?;
        assert_eq!(row.max_pool2d(PoolOptions::new([3, 2]).stride(1))?.to_vec3::<f64>()?, [[[2.0, 3.0]]; 2]);
        let low = tensor(&[f64::NEG_INFINITY; 4]).reshape((1, 4))?;
        let y = low.max_pool1d(PoolOptions::new(2).padding(1))?;
        assert_eq!(y.to_vec2::<f64>()?, [[f64::NEG_INFINITY; 3]]);
        let y = tensor(&[1.0, f64::NAN, 2.0, 3.0]).reshape((1, 4))?.max_pool1d(PoolOptions::new(2))?;
        let y = y.to_vec2::<f64>()?;
        assert!(y[0][0].is_nan() && y[0][1] == 3.0);
        Ok(())
    }

    #[test]
    fn adaptive_edges() -> Result<()> {
        let x = tensor(&X).reshape((1, 4, 5))?;
        assert_eq!(x.adaptive_max_pool2d([4, 5])?, x);
        assert_eq!(x.adaptive_max_pool2d([0, 3])?.dims(), [1, 0, 3]);
        assert_eq!(x.adaptive_max_pool2d([8, 1])?.dims(), [1, 8, 1]);
        assert!(matches!(x.adaptive_max_pool2d([usize::MAX, 1]), Err(Error::Shape { .. })));
        for dims in [[1, 2, 0, 3], [0, 2, 0, 0]] {
            let none = Tensor::zeros(&dims, DType::F32, &Device::Cpu)?;
            assert!(matches!(none.adaptive_max_pool2d([1, 1]), Err(Error::Shape { .. })));
        }
        let empty = Tensor::zeros((0, 2, 4, 4), DType::F32, &Device::Cpu)?;
        assert_eq!(empty.adaptive_max_pool2d([3, 2])?.dims(), [0, 2, 3, 2]);
        let nan = tensor(&[1.0, f64::NAN, 2.0]).reshape((1, 3))?.adaptive_max_pool1d(2)?.to_vec2::<f64>()?;
        assert!(nan[0].iter().all(|y| y.is_nan()));
        // A tie: the first of equal ones, once, though the gathered window has the last one twice.
        let leaf = Tensor::parameter(tensor(&[1.0, 2.0, 2.0, 2.0, 0.0]));
        let gradients = leaf.unsqueeze(0)?.adaptive_max_pool1d(3)?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&leaf).unwrap().to_vec1::<f64>()?, [0.0, 2.0, 0.0, 1.0, 0.0]);
        Ok(())
    }

    #[test]
    fn there_and_back() -> Result<()> {
        let x = tensor(&X).reshape((1, 4, 5))?;
        let (y, indices) = x.max_pool2d_with_indices(PoolOptions::new(2).ceil_mode(true))?;
        let back = y.max_unpool2d(&indices, [4, 5])?;
        assert_eq!(back.max_pool2d(PoolOptions::new(2).ceil_mode(true))?.relu()?, y.relu()?);
        let error = y.max_unpool2d(&indices, [2, 2]).unwrap_err().to_string();
        assert!(error.starts_with("max_unpool2d: scatter: expected"), "{error}");
        assert!(matches!(y.max_unpool2d(&indices.i(0)?, [4, 5]), Err(Error::Shape { .. })));
        check(&X[..6], |x| {
            let indices = Tensor::new(&[[[0_u32, 7, 3], [11, 4, 8]]], &Device::Cpu)?;
            let n = x.elem_count() / 6;
            x.exp()?.reshape((n, 2, 3))?.max_unpool2d(&indices.repeat(n, 0)?, [3, 4])
        });
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&X).reshape((1, 4, 5))?;
        let two = PoolOptions::<2>::new(2);
        let says = |own, expected: &str| {
            let error = x.max_pool2d(own).unwrap_err().to_string();
            assert_eq!(error, format!("max_pool2d: expected {expected}"));
        };
        says(PoolOptions::new(0), "kernel sides of at least 1, got 0");
        says(two.stride(0), "strides of at least 1, got 0");
        says(two.dilation([1, 0]), "dilations of at least 1, got 0");
        says(two.padding([0, 2]), "a padding of at most half the kernel (2), got 2");
        says(PoolOptions::new(5), "a padded input no smaller than the window (5 by 5), got [1, 4, 5]");
        says(
            two.dilation(usize::MAX),
            &format!("a padded input no smaller than the window ({0} by {0}), got [1, 4, 5]", usize::MAX),
        );
        says(
            PoolOptions::new(usize::MAX).padding(usize::MAX / 2),
            &format!("a padding that fits in memory, got {}", usize::MAX / 2),
        );
        assert_eq!(x.max_pool2d(two.stride(usize::MAX))?.dims(), [1, 1, 1]);
        // A window far longer than the image looks at no more than the image.
        let wide = PoolOptions::new(1 << 60).padding(1 << 59).stride(2);
        assert_eq!(x.max_pool2d(wide)?.to_vec3::<f64>()?, [[[2.5; 3]; 3]]);
        for empty in [[0, 2, 4, 4], [2, 0, 4, 4]] {
            let x = Tensor::parameter(Array::zeros(&empty, DType::F32, &Device::Cpu)?);
            let y = x.max_pool2d(two)?;
            assert_eq!(y.dims(), [empty[0], empty[1], 2, 2]);
            assert_eq!(y.sum_all()?.backward()?.get(&x).unwrap().dims(), empty);
        }
        for dims in [&[][..], &[4], &[4, 4], &[1; 5], &[1; 7], &[1, 0, 4]] {
            let x = Tensor::zeros(dims, DType::F32, &Device::Cpu)?;
            assert!(matches!(x.max_pool2d(two), Err(Error::Shape { .. })), "{dims:?}");
        }
        assert!(matches!(tensor(&X).max_pool1d(PoolOptions::new(2)), Err(Error::Shape { .. })));
        let counts = x.to_dtype(DType::U32)?;
        assert!(matches!(counts.max_pool2d(two), Err(Error::Dtype { .. })));
        Ok(())
    }
}
