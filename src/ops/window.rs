//! Options of convolutions and pools, and where their windows lie.

use candle_core::{DType, Device};

use super::create::checked;
use super::pad::Pad;
use crate::autograd::array::{converted, on_cpu};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{Dims, WindowAxis};

/// One number per axis: `3` for all axes, or `[3, 5]` for height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerSpatialDim<const D: usize>(pub(crate) [usize; D]);

impl<const D: usize> From<usize> for PerSpatialDim<D> {
    fn from(side: usize) -> Self {
        PerSpatialDim([side; D])
    }
}

impl<const D: usize> From<[usize; D]> for PerSpatialDim<D> {
    fn from(sides: [usize; D]) -> Self {
        PerSpatialDim(sides)
    }
}

impl<const D: usize> PerSpatialDim<D> {
    /// Height and width; a sequence is an image of height 1, for which `height` is used.
    pub(super) fn image(self, height: usize) -> [usize; 2] {
        match self.0[..] {
            [.., h, w] => [h, w],
            [w] => [height, w],
            [] => [height; 2],
        }
    }

    /// Height and width; a sequence uses its number for both, since some devices want equal ones.
    pub(super) fn both(self) -> [usize; 2] {
        self.image(*self.0.last().expect("D is 1 or 2"))
    }
}

/// The padding of a convolution: `1` on both sides of all axes, `[1, 0]` for height and width, `[(0, 1), (2, 2)]` for their
/// beginnings and ends, or [`Same`](ConvPadding::Same).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvPadding<const D: usize> {
    /// As much as makes the output as long as the input, for a stride of 1. Where that is an odd number, the end has one more.
    Same,
    /// Before and after each axis.
    Pairs([(usize, usize); D]),
}

impl<const D: usize> From<usize> for ConvPadding<D> {
    fn from(padding: usize) -> Self {
        ConvPadding::Pairs([(padding, padding); D])
    }
}

impl<const D: usize> From<[usize; D]> for ConvPadding<D> {
    fn from(padding: [usize; D]) -> Self {
        ConvPadding::Pairs(padding.map(|side| (side, side)))
    }
}

impl<const D: usize> From<[(usize, usize); D]> for ConvPadding<D> {
    fn from(padding: [(usize, usize); D]) -> Self {
        ConvPadding::Pairs(padding)
    }
}

impl<const D: usize> ConvPadding<D> {
    /// That of height and width; a sequence is an image of height 1.
    pub(super) fn image(self, kernel: [usize; 2], dilation: [usize; 2]) -> [(usize, usize); 2] {
        match self {
            ConvPadding::Same => [0, 1].map(|i| {
                let all = span(kernel[i], dilation[i]) - 1;
                (all / 2, all - all / 2)
            }),
            ConvPadding::Pairs(pairs) => match pairs[..] {
                [.., high, wide] => [high, wide],
                [wide] => [(0, 0), wide],
                [] => [(0, 0); 2],
            },
        }
    }
}

/// The options of a convolution: [`Tensor::conv1d`], [`Tensor::conv2d`] and their transposes.
///
/// ```
/// use tealight::prelude::*;
/// let options = ConvOptions::new().stride(2).padding([1, 0]);
/// let image = Tensor::ones((1, 1, 5, 5), DType::F32, &Device::Cpu)?;
/// let kernel = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(image.conv2d(&kernel, options)?.dims(), [1, 1, 3, 2]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvOptions<const D: usize> {
    pub(super) stride: PerSpatialDim<D>,
    pub(super) padding: ConvPadding<D>,
    pub(super) padding_mode: Pad,
    pub(super) output_padding: PerSpatialDim<D>,
    pub(super) dilation: PerSpatialDim<D>,
    pub(crate) groups: usize,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const D: usize> ConvOptions<D> {
    /// Stride 1, no padding, dilation 1, one group.
    pub fn new() -> Self {
        let (zero, one) = (PerSpatialDim([0; D]), PerSpatialDim([1; D]));
        let padding_mode = Pad::Constant(0.0);
        ConvOptions {
            stride: one,
            padding: 0.into(),
            padding_mode,
            output_padding: zero,
            dilation: one,
            groups: 1,
        }
    }

    /// The step of the kernel. Default: 1.
    pub fn stride(self, stride: impl Into<PerSpatialDim<D>>) -> Self {
        ConvOptions { stride: stride.into(), ..self }
    }

    /// How much each axis is padded: on both sides, on each of them, or as much as keeps its length. Default: 0.
    ///
    /// ```
    /// use tealight::ops::{ConvPadding, Pad};
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0]], &Device::Cpu)?;
    /// let sum = Tensor::ones((1, 1, 2), DType::F64, &Device::Cpu)?;
    /// let same = ConvOptions::new().padding(ConvPadding::Same);
    /// assert_eq!(x.conv1d(&sum, same)?.to_vec2::<f64>()?, [[3.0, 5.0, 3.0]]);
    /// let causal = ConvOptions::new().padding([(1, 0)]);
    /// assert_eq!(x.conv1d(&sum, causal)?.to_vec2::<f64>()?, [[1.0, 3.0, 5.0]]);
    /// assert_eq!(x.conv1d(&sum, causal.padding_mode(Pad::Circular))?.to_vec2::<f64>()?, [[4.0, 3.0, 5.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn padding(self, padding: impl Into<ConvPadding<D>>) -> Self {
        ConvOptions { padding: padding.into(), ..self }
    }

    /// What the padding is filled with; transposed convolutions have zeros only. Default: zeros.
    pub fn padding_mode(self, padding_mode: Pad) -> Self {
        ConvOptions { padding_mode, ..self }
    }

    /// How many elements a transposed convolution adds at the end of each axis of its output. Default: 0.
    ///
    /// With a stride above 1 a convolution maps several input lengths to one output length; this chooses among them.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((1, 1, 3), DType::F32, &Device::Cpu)?;
    /// let options = ConvOptions::new().stride(2);
    /// assert_eq!(x.conv_transpose1d(&x, options)?.dims(), [1, 1, 7]);
    /// assert_eq!(x.conv_transpose1d(&x, options.output_padding(1))?.dims(), [1, 1, 8]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn output_padding(self, output_padding: impl Into<PerSpatialDim<D>>) -> Self {
        ConvOptions { output_padding: output_padding.into(), ..self }
    }

    /// The distance between neighboring elements of the kernel. Default: 1.
    #[doc(alias = "dilation_rate")]
    pub fn dilation(self, dilation: impl Into<PerSpatialDim<D>>) -> Self {
        ConvOptions { dilation: dilation.into(), ..self }
    }

    /// The number of groups of channels that are convolved separately. Default: 1.
    #[doc(alias = "depthwise")]
    pub fn groups(self, groups: usize) -> Self {
        ConvOptions { groups, ..self }
    }
}

/// The options of a pool: [`Tensor::max_pool2d`], [`Tensor::avg_pool2d`] and those of sequences.
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
    pub(super) kernel: PerSpatialDim<D>,
    stride: PerSpatialDim<D>,
    padding: PerSpatialDim<D>,
    pub(super) dilation: PerSpatialDim<D>,
    pub(super) count_include_pad: bool,
    ceil_mode: bool,
}

impl<const D: usize> PoolOptions<D> {
    /// Windows of the size `kernel`, without padding; the stride is `kernel`.
    pub fn new(kernel: impl Into<PerSpatialDim<D>>) -> Self {
        let kernel = kernel.into();
        let (zero, one) = (PerSpatialDim([0; D]), PerSpatialDim([1; D]));
        let (count_include_pad, ceil_mode) = (true, false);
        PoolOptions { kernel, stride: kernel, padding: zero, dilation: one, count_include_pad, ceil_mode }
    }

    /// The distance between windows. Default: the size of the window.
    pub fn stride(self, stride: impl Into<PerSpatialDim<D>>) -> Self {
        PoolOptions { stride: stride.into(), ..self }
    }

    /// The padding on both sides of each axis: −∞ for a maximum, 0 for an average. Default: 0.
    pub fn padding(self, padding: impl Into<PerSpatialDim<D>>) -> Self {
        PoolOptions { padding: padding.into(), ..self }
    }

    /// The distance between neighboring elements of a window; for max pools only. Default: 1.
    pub fn dilation(self, dilation: impl Into<PerSpatialDim<D>>) -> Self {
        PoolOptions { dilation: dilation.into(), ..self }
    }

    /// Whether an average divides by the size of the window, or only by its elements on the input. Default: `true`.
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

    /// Whether there is one more window where the last ones would leave elements over: it reaches beyond the padding, but begins
    /// before its end. Default: `false`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[2.0, 4.0, 6.0]]], &Device::Cpu)?;
    /// assert_eq!(x.max_pool1d(PoolOptions::new(2))?.to_vec3::<f64>()?, [[[4.0]]]);
    /// assert_eq!(x.max_pool1d(PoolOptions::new(2).ceil_mode(true))?.to_vec3::<f64>()?, [[[4.0, 6.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        PoolOptions { ceil_mode, ..self }
    }

    /// The windows over `x`, and the shape of the result.
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
        let padding = padding.map(|side| (side, side));
        padding_fits(op, input, padding)?;
        let side = |i| side(input[i], kernel[i], stride[i], padding[i], dilation[i], self.ceil_mode);
        let (Some(high), Some(wide)) = (side(0), side(1)) else {
            let spans = span_text::<D>(kernel, dilation);
            let expected = format!("a padded input no smaller than the window ({spans})");
            return Err(Error::shape(op, expected, &[x.dims()]));
        };
        Ok(([high, wide], resized::<D>(op, x, [high.output, wide.output])?))
    }
}

pub(super) fn at_least_one(op: &'static str, what: &str, sides: [usize; 2]) -> Result<()> {
    if sides.contains(&0) {
        return Err(Error::argument(op, format!("{what} of at least 1"), 0));
    }
    Ok(())
}

/// Errors if a padded side is larger than memory.
pub(super) fn padding_fits(op: &'static str, input: [usize; 2], padding: [(usize, usize); 2]) -> Result<()> {
    for (input, (before, after)) in input.into_iter().zip(padding) {
        let padded = before.checked_add(after).and_then(|both| both.checked_add(input));
        if padded.is_none_or(|padded| isize::try_from(padded).is_err()) {
            return Err(Error::argument(op, "a padding that fits in memory", before.max(after)));
        }
    }
    Ok(())
}

/// The distance from the first element of a window to its last, both included.
pub(super) fn span(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

/// How far the windows reach, from the start of the padding.
pub(super) fn reach(side: &WindowAxis) -> usize {
    side.output.saturating_sub(1) * side.stride + span(side.kernel, side.dilation)
}

/// The spans of a window of D axes, for messages.
pub(super) fn span_text<const D: usize>(kernel: [usize; 2], dilation: [usize; 2]) -> String {
    let spans: Vec<String> =
        (2_usize.saturating_sub(D)..2).map(|i| span(kernel[i], dilation[i]).to_string()).collect();
    spans.join(" by ")
}

/// The windows along one axis; `None` if none fits.
pub(super) fn side(
    input: usize,
    kernel: usize,
    stride: usize,
    (padding, after): (usize, usize),
    dilation: usize,
    ceil: bool,
) -> Option<WindowAxis> {
    let room = (input + padding + after).checked_sub(span(kernel, dilation))?;
    let mut output = room / stride + 1;
    // A window that begins behind the input would have nothing in it.
    if ceil && room % stride > 0 && output.saturating_mul(stride) < input + padding {
        output += 1;
    }
    Some(WindowAxis { input, output, kernel, stride, padding, dilation })
}

/// The windows along an axis with `own` outputs, from `extra` more inputs than they need.
pub(super) fn transposed_side(
    own: usize,
    kernel: usize,
    stride: usize,
    (padding, after): (usize, usize),
    dilation: usize,
    extra: usize,
) -> Option<WindowAxis> {
    let padded =
        own.checked_sub(1)?.checked_mul(stride)?.checked_add(span(kernel, dilation))?.checked_add(extra)?;
    isize::try_from(padded).ok()?;
    let input = padded.checked_sub(padding.checked_add(after)?).filter(|&input| input > 0)?;
    Some(WindowAxis { input, output: own, kernel, stride, padding, dilation })
}

/// The sides of float images (.., c, h, w), or 1 and the length of float sequences (.., c, l).
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

/// Errors if a shape is too large for memory, without its zeros too: the strides of an empty array would overflow.
pub(super) fn room_for(op: &'static str, dims: &[usize]) -> Result<()> {
    match checked(op, dims.into(), 8) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::shape(op, "a result whose elements fit in memory", &[dims])),
    }
}

/// `f` of the arrays as f32 or f64 on the CPU; the result returns to the dtype and device of the first.
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
        .map(|array| converted(&array.to_device(&Device::Cpu)?, wide))
        .collect::<Result<Vec<Array>>>()?;
    Ok(converted(&f(std::array::from_fn(|i| &moved[i]))?, like.dtype())?.to_device(like.device())?)
}
