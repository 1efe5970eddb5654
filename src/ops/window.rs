//! What convolutions and pools share: their options, and where their windows lie.

use candle_core::{DType, Device};

use super::create::checked;
use crate::autograd::array::on_cpu;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{Dims, WindowAxis};

/// A number for each side: `3` for all, or `[3, 5]` for height and width.
///
/// ```
/// use tealight::ops::PerAxis;
/// assert_eq!(PerAxis::<2>::from(3), PerAxis::from([3, 3]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerAxis<const D: usize>(pub(crate) [usize; D]);

impl<const D: usize> From<usize> for PerAxis<D> {
    fn from(side: usize) -> Self {
        PerAxis([side; D])
    }
}

impl<const D: usize> From<[usize; D]> for PerAxis<D> {
    fn from(sides: [usize; D]) -> Self {
        PerAxis(sides)
    }
}

impl<const D: usize> PerAxis<D> {
    /// Height and width; a sequence is an image of height 1, for which `height` is right.
    pub(super) fn image(self, height: usize) -> [usize; 2] {
        match self.0[..] {
            [.., h, w] => [h, w],
            [w] => [height, w],
            [] => [height; 2],
        }
    }

    /// Height and width; to a sequence its height is all the same, and devices prefer two equal numbers.
    pub(super) fn both(self) -> [usize; 2] {
        self.image(self.0.last().copied().unwrap_or(1))
    }
}

/// How a kernel moves over its input: [`Tensor::conv1d`], [`Tensor::conv2d`] and their transposes.
///
/// ```
/// use tealight::prelude::*;
/// let options = ConvOptions::new().stride(2).padding([1, 0]);
/// let image = Tensor::ones((1, 1, 5, 5), DType::F32, &Device::Cpu)?;
/// let kernel = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(image.conv2d(&kernel, options)?.dims(), [1, 1, 3, 2]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions<const D: usize> {
    pub(super) stride: PerAxis<D>,
    pub(super) padding: PerAxis<D>,
    pub(super) output_padding: PerAxis<D>,
    pub(super) dilation: PerAxis<D>,
    pub(crate) groups: usize,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const D: usize> ConvOptions<D> {
    /// One place at a time, without padding, in one group.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0, 4.0, 5.0]]], &Device::Cpu)?;
    /// let kernel = Tensor::new(&[[[1.0, 1.0]]], &Device::Cpu)?;
    /// assert_eq!(x.conv1d(&kernel, ConvOptions::new())?.to_vec3::<f64>()?, [[[3.0, 5.0, 7.0, 9.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new() -> Self {
        let (zero, one) = (PerAxis([0; D]), PerAxis([1; D]));
        ConvOptions { stride: one, padding: zero, output_padding: zero, dilation: one, groups: 1 }
    }

    /// How far the kernel moves from one place to the next.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0, 4.0, 5.0]]], &Device::Cpu)?;
    /// let kernel = Tensor::new(&[[[1.0, 1.0]]], &Device::Cpu)?;
    /// assert_eq!(x.conv1d(&kernel, ConvOptions::new().stride(2))?.to_vec3::<f64>()?, [[[3.0, 7.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn stride(self, stride: impl Into<PerAxis<D>>) -> Self {
        ConvOptions { stride: stride.into(), ..self }
    }

    /// How many zeros are put before and behind every row and column of the input.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0]]], &Device::Cpu)?;
    /// let kernel = Tensor::new(&[[[1.0, 1.0]]], &Device::Cpu)?;
    /// assert_eq!(x.conv1d(&kernel, ConvOptions::new().padding(1))?.to_vec3::<f64>()?, [[[1.0, 3.0, 5.0, 3.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn padding(self, padding: impl Into<PerAxis<D>>) -> Self {
        ConvOptions { padding: padding.into(), ..self }
    }

    /// How many places a transposed convolution adds behind every row and column of its output.
    ///
    /// With a stride there are several inputs of different lengths that a convolution brings to one length; this says
    /// which of them the transposed convolution gives.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((1, 1, 3), DType::F32, &Device::Cpu)?;
    /// let options = ConvOptions::new().stride(2);
    /// assert_eq!(x.conv_transpose1d(&x, options)?.dims(), [1, 1, 7]);
    /// assert_eq!(x.conv_transpose1d(&x, options.output_padding(1))?.dims(), [1, 1, 8]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn output_padding(self, output_padding: impl Into<PerAxis<D>>) -> Self {
        ConvOptions { output_padding: output_padding.into(), ..self }
    }

    /// How far neighbouring elements of the kernel lie apart.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0, 4.0, 5.0]]], &Device::Cpu)?;
    /// let kernel = Tensor::new(&[[[1.0, 1.0]]], &Device::Cpu)?;
    /// assert_eq!(x.conv1d(&kernel, ConvOptions::new().dilation(3))?.to_vec3::<f64>()?, [[[5.0, 7.0]]]); // 1 + 4, 2 + 5
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "dilation_rate")]
    pub fn dilation(self, dilation: impl Into<PerAxis<D>>) -> Self {
        ConvOptions { dilation: dilation.into(), ..self }
    }

    /// In how many groups the channels are; each is convolved by itself.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0], [10.0, 20.0]]], &Device::Cpu)?;
    /// let kernel = Tensor::new(&[[[3.0]], [[5.0]]], &Device::Cpu)?; // one of its own for each channel
    /// assert_eq!(x.conv1d(&kernel, ConvOptions::new().groups(2))?.to_vec3::<f64>()?, [[[3.0, 6.0], [50.0, 100.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "depthwise")]
    pub fn groups(self, groups: usize) -> Self {
        ConvOptions { groups, ..self }
    }
}

/// Which windows a pool looks at: [`Tensor::max_pool2d`], [`Tensor::avg_pool2d`] and those of sequences.
///
/// ```
/// use tealight::prelude::*;
/// let options = PoolOptions::new(3).stride(2).padding([1, 0]);
/// let image = Tensor::ones((1, 1, 5, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(image.max_pool2d(options)?.dims(), [1, 1, 3, 2]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions<const D: usize> {
    pub(super) kernel: PerAxis<D>,
    stride: PerAxis<D>,
    padding: PerAxis<D>,
    pub(super) dilation: PerAxis<D>,
    pub(super) count_include_pad: bool,
}

impl<const D: usize> PoolOptions<D> {
    /// Windows of the size `kernel`, side by side.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0, 4.0, 5.0]]], &Device::Cpu)?;
    /// assert_eq!(x.max_pool1d(PoolOptions::new(2))?.to_vec3::<f64>()?, [[[2.0, 4.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(kernel: impl Into<PerAxis<D>>) -> Self {
        let kernel = kernel.into();
        let (zero, one) = (PerAxis([0; D]), PerAxis([1; D]));
        PoolOptions { kernel, stride: kernel, padding: zero, dilation: one, count_include_pad: true }
    }

    /// How far one window lies from the next: as far as it is long, if nothing else is said.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0, 4.0, 5.0]]], &Device::Cpu)?;
    /// assert_eq!(x.max_pool1d(PoolOptions::new(2).stride(1))?.to_vec3::<f64>()?, [[[2.0, 3.0, 4.0, 5.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn stride(self, stride: impl Into<PerAxis<D>>) -> Self {
        PoolOptions { stride: stride.into(), ..self }
    }

    /// How many places are put before and behind every row and column: they are never the largest, and 0 to a mean.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0, 4.0, 5.0]]], &Device::Cpu)?;
    /// assert_eq!(x.max_pool1d(PoolOptions::new(2).padding(1))?.to_vec3::<f64>()?, [[[1.0, 3.0, 5.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn padding(self, padding: impl Into<PerAxis<D>>) -> Self {
        PoolOptions { padding: padding.into(), ..self }
    }

    /// How far neighbouring elements of a window lie apart; for the largest element only.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0, 4.0, 5.0]]], &Device::Cpu)?;
    /// assert_eq!(x.max_pool1d(PoolOptions::new(2).dilation(3).stride(1))?.to_vec3::<f64>()?, [[[4.0, 5.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn dilation(self, dilation: impl Into<PerAxis<D>>) -> Self {
        PoolOptions { dilation: dilation.into(), ..self }
    }

    /// Whether a mean divides by the size of the window (as if nothing is said), or by its elements on the input alone.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[2.0, 4.0, 6.0]]], &Device::Cpu)?;
    /// let options = PoolOptions::new(2).padding(1);
    /// assert_eq!(x.avg_pool1d(options)?.to_vec3::<f64>()?, [[[1.0, 5.0]]]);
    /// assert_eq!(x.avg_pool1d(options.count_include_pad(false))?.to_vec3::<f64>()?, [[[2.0, 5.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn count_include_pad(self, count_include_pad: bool) -> Self {
        PoolOptions { count_include_pad, ..self }
    }

    /// The windows over `x`, and the shape of what they make of it.
    pub(super) fn sides(&self, op: &'static str, x: &Tensor) -> Result<([WindowAxis; 2], Dims)> {
        let input = images::<D>(op, x)?;
        let kernel = self.kernel.image(1);
        at_least_one(op, "kernel sides", kernel)?;
        let stride = self.stride.both();
        at_least_one(op, "strides", stride)?;
        let (padding, dilation) = (self.padding.image(0), self.dilation.both());
        at_least_one(op, "dilations", dilation)?;
        if let Some(i) = (0..2).find(|&i| padding[i] > kernel[i] / 2) {
            let expected = format!("a padding of at most half the kernel ({})", kernel[i]);
            return Err(Error::argument(op, expected, padding[i]));
        }
        padding_fits(op, input, padding)?;
        let side = |i| side(input[i], kernel[i], stride[i], padding[i], dilation[i]);
        let (Some(high), Some(wide)) = (side(0), side(1)) else {
            let spans = span_text::<D>(kernel, dilation);
            let expected = format!("a padded input no smaller than the window ({spans})");
            return Err(Error::shape(op, expected, &[x.dims()]));
        };
        Ok(([high, wide], resized::<D>(op, x, [high.output, wide.output])?))
    }
}

/// Whether all are at least 1.
pub(super) fn at_least_one(op: &'static str, what: &str, sides: [usize; 2]) -> Result<()> {
    if sides.contains(&0) {
        return Err(Error::argument(op, format!("{what} of at least 1"), 0));
    }
    Ok(())
}

/// Whether the sides with their padding are no larger than memory.
pub(super) fn padding_fits(op: &'static str, input: [usize; 2], padding: [usize; 2]) -> Result<()> {
    for (input, padding) in input.into_iter().zip(padding) {
        let padded = padding.checked_mul(2).and_then(|both| both.checked_add(input));
        if padded.is_none_or(|padded| isize::try_from(padded).is_err()) {
            return Err(Error::argument(op, "a padding that fits in memory", padding));
        }
    }
    Ok(())
}

/// The places from a window's first element to its last.
pub(super) fn span(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

/// The spans of a window, as a user of D sides knows them.
pub(super) fn span_text<const D: usize>(kernel: [usize; 2], dilation: [usize; 2]) -> String {
    let spans: Vec<String> =
        (2_usize.saturating_sub(D)..2).map(|i| span(kernel[i], dilation[i]).to_string()).collect();
    spans.join(" by ")
}

/// The windows along one axis, if one fits; the padding does.
pub(super) fn side(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Option<WindowAxis> {
    let output = (input + 2 * padding).checked_sub(span(kernel, dilation))? / stride + 1;
    Some(WindowAxis { input, output, kernel, stride, padding, dilation })
}

/// The windows along an axis whose outputs are `own`, and which come from `extra` more inputs than they must.
pub(super) fn transposed_side(
    own: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    extra: usize,
) -> Option<WindowAxis> {
    let padded =
        own.checked_sub(1)?.checked_mul(stride)?.checked_add(span(kernel, dilation))?.checked_add(extra)?;
    isize::try_from(padded).ok()?;
    let input = padded.checked_sub(padding.checked_mul(2)?).filter(|&input| input > 0)?;
    Some(WindowAxis { input, output: own, kernel, stride, padding, dilation })
}

/// Height and width of float images (.., c, h, w), or height 1 and the length of float sequences (.., c, l).
pub(super) fn images<const D: usize>(op: &'static str, x: &Tensor) -> Result<[usize; 2]> {
    if !matches!(x.dtype(), DType::F16 | DType::BF16 | DType::F32 | DType::F64) {
        return Err(Error::dtype(op, "a float tensor (see to_dtype)", &[x.dtype()]));
    }
    let dims = x.dims();
    let input = match (D, dims) {
        (1, [_, l] | [_, _, l]) => [1, *l],
        (2, [_, h, w] | [_, _, h, w]) => [*h, *w],
        _ => {
            let expected =
                if D == 1 { "sequences (n, c, l) or (c, l)" } else { "images (n, c, h, w) or (c, h, w)" };
            return Err(Error::shape(op, expected, &[dims]));
        }
    };
    if input.contains(&0) {
        return Err(Error::shape(op, "sides of at least 1", &[dims]));
    }
    Ok(input)
}

/// The shape of `x` with other sides.
pub(super) fn resized<const D: usize>(op: &'static str, x: &Tensor, sides: [usize; 2]) -> Result<Dims> {
    let mut dims = Dims::from_slice(x.dims());
    let lead = dims.len().saturating_sub(D);
    dims[lead..].iter_mut().rev().zip(sides.iter().rev()).for_each(|(dim, &side)| *dim = side);
    room_for(op, &dims)?;
    Ok(dims)
}

/// Refuses a shape that is too large; an empty one too, if it would be without its zeros: its strides would overflow.
pub(super) fn room_for(op: &'static str, dims: &[usize]) -> Result<()> {
    match checked(op, dims.into(), 8) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::shape(op, "a result whose elements fit in memory", &[dims])),
    }
}

/// `f` of the arrays as f32 or f64 in main memory. What it returns goes where the first array is, and gets its type.
pub(super) fn in_memory<const N: usize>(
    arrays: [&Array; N],
    f: impl FnOnce([&Array; N]) -> Result<Array>,
) -> Result<Array> {
    if arrays.iter().all(|array| on_cpu(array)) {
        return f(arrays);
    }
    let like = arrays[0];
    let wide = if like.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let moved = arrays
        .iter()
        .map(|array| Ok(array.to_device(&Device::Cpu)?.to_dtype(wide)?))
        .collect::<Result<Vec<Array>>>()?;
    Ok(f(std::array::from_fn(|i| &moved[i]))?.to_dtype(like.dtype())?.to_device(like.device())?)
}
