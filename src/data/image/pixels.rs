//! Images as bytes.

use candle_core::{DType, Device};

use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// An image of 8 bits a channel, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Pixels {
    pub(in crate::data) height: usize,
    pub(in crate::data) width: usize,
    pub(in crate::data) channels: usize,
    pub(in crate::data) bytes: Vec<u8>,
}

impl Pixels {
    /// The bytes of a tensor (height, width) or (height, width, channels). Errors if it is empty.
    pub(super) fn from_tensor(op: &'static str, image: &Tensor) -> Result<Pixels> {
        let (height, width, channels) = dims(op, image)?;
        if image.dtype() != DType::U8 {
            return Err(Error::dtype(op, "an image of u8", &[image.dtype()]));
        }
        let bytes = image.array().flatten_all()?.to_vec1()?;
        Ok(Pixels { height, width, channels, bytes })
    }

    pub(super) fn into_tensor(self) -> Result<Tensor> {
        Tensor::from_vec(self.bytes, (self.height, self.width, self.channels), &Device::Cpu)
    }

    /// The image with every pixel put through `change`, which writes one pixel of `channels` channels.
    pub(super) fn map(&self, channels: usize, mut change: impl FnMut(&[u8], &mut Vec<u8>)) -> Pixels {
        let mut bytes = Vec::with_capacity(self.height * self.width * channels);
        self.bytes.chunks_exact(self.channels).for_each(|pixel| change(pixel, &mut bytes));
        Pixels { channels, bytes, ..*self }
    }
}

/// (height, width, channels) of an image with at least one pixel.
pub(super) fn dims(op: &'static str, image: &Tensor) -> Result<(usize, usize, usize)> {
    let (height, width, channels) = match *image.dims() {
        [height, width] => (height, width, 1),
        [height, width, channels @ 1..=4] => (height, width, channels),
        _ => (0, 0, 0),
    };
    if height == 0 || width == 0 {
        let expected = "an image of shape (height, width) or (height, width, 1 to 4 channels), not empty";
        return Err(Error::shape(op, expected, &[image.dims()]));
    }
    Ok((height, width, channels))
}
