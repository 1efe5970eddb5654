//! Random changes to inputs: the same for the same seed.

#[cfg(feature = "image")]
mod area;
mod color;
mod image;

#[cfg(feature = "image")]
pub use area::{RandomErasing, RandomResizedCrop};
pub use color::ColorJitter;
pub use image::{GaussianNoise, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomVerticalFlip};

use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// A random change to the input of one example, applied by [`DataLoader::augment`](super::DataLoader::augment).
///
/// A function `Fn(&Tensor, &mut Rng) -> Result<Tensor>` is one too. Those for images take (…, height, width), with the channels
/// before them; [`channels_last`](Augment::channels_last) is for (…, height, width, channels).
///
/// ```
/// use tealight::data::{Augment, RandomCrop, RandomHorizontalFlip, RandomRotation};
/// # use tealight::prelude::*;
/// let change = RandomHorizontalFlip(0.5).then(RandomRotation(10.0)).then(RandomCrop::new(8, 8).padding(1));
/// let image = Tensor::ones((3, 8, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(change.apply(&image, &mut Rng::seed(1))?.dims(), [3, 8, 8]);
/// assert_eq!(change.apply(&image, &mut Rng::seed(1))?, change.apply(&image, &mut Rng::seed(1))?);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Augment: Send + Sync {
    /// The changed input. All randomness comes from `rng`.
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor>;

    /// Applies `next` after this change.
    #[doc(alias = "Compose")]
    fn then<B: Augment>(self, next: B) -> Then<Self, B>
    where
        Self: Sized,
    {
        Then(self, next)
    }

    /// This change for images with the channels last, (…, height, width, channels).
    ///
    /// ```
    /// # use tealight::data::{Augment, RandomHorizontalFlip};
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]], &Device::Cpu)?;
    /// let flipped = RandomHorizontalFlip(1.0).channels_last().apply(&x, &mut Rng::seed(1))?;
    /// assert_eq!(flipped.to_vec3::<f64>()?, [[[4.0, 5.0, 6.0], [1.0, 2.0, 3.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn channels_last(self) -> ChannelsLast<Self>
    where
        Self: Sized,
    {
        ChannelsLast(self)
    }
}

/// The most channels of an image. An axis of this length or less may be that of the channels.
const CHANNELS: usize = 4;

impl<F: Fn(&Tensor, &mut Rng) -> Result<Tensor> + Send + Sync> Augment for F {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        self(input, rng)
    }
}

/// Two changes, one after the other: [`Augment::then`].
#[derive(Clone, Copy, Debug)]
pub struct Then<A, B>(A, B);

impl<A: Augment, B: Augment> Augment for Then<A, B> {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        self.1.apply(&self.0.apply(input, rng)?, rng)
    }
}

/// A change of images with the channels last: [`Augment::channels_last`].
#[derive(Clone, Copy, Debug)]
pub struct ChannelsLast<A>(A);

impl<A: Augment> Augment for ChannelsLast<A> {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        let rank = input.rank() as i64;
        let (Some(&[_, width, _]), true) = (input.dims().last_chunk(), rank <= 4) else {
            let expected = "an image (height, width, channels) or (n, height, width, channels)";
            return Err(Error::shape("channels_last", expected, &[input.dims()]));
        };
        let axes: Vec<i64> = (0..rank - 3).chain([rank - 1, rank - 3, rank - 2]).collect();
        let mut first = input.permute(&axes)?;
        // A narrow image could have its channels last, too, if its rank did not say that it has not.
        let more = if width <= CHANNELS { 5 - rank } else { 0 };
        for _ in 0..more {
            first = first.unsqueeze(0)?;
        }
        let mut changed = self.0.apply(&first, rng)?;
        for _ in 0..more {
            changed = changed.squeeze(0)?;
        }
        let axes: Vec<i64> = (0..rank - 3).chain([rank - 2, rank - 1, rank - 3]).collect();
        changed.permute(&axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{RandomCrop, RandomHorizontalFlip, RandomRotation};
    use crate::prelude::*;

    #[test]
    fn colours_are_never_swapped() -> Result<()> {
        let (cpu, rng) = (&Device::Cpu, &mut Rng::seed(1));
        for shape in [&[2, 2, 3][..], &[32, 24, 3], &[5, 8, 8, 3], &[8, 8, 1], &[3, 4, 4], &[2, 8, 8, 4]] {
            let x = Tensor::zeros(shape, DType::F32, cpu)?;
            for change in [
                &RandomHorizontalFlip(1.0) as &dyn Augment,
                &RandomVerticalFlip(1.0),
                &RandomCrop::new(1, 1),
                &RandomRotation(9.0),
            ] {
                let error = change.apply(&x, rng).unwrap_err().to_string();
                assert!(error.contains("see channels_last, got ["), "{error}");
            }
            assert_eq!(RandomHorizontalFlip(1.0).channels_last().apply(&x, rng)?.dims(), shape);
        }
        let x = Tensor::arange(0.0, 48.0, cpu)?.reshape((2, 2, 4, 3))?;
        let both = RandomHorizontalFlip(1.0).then(RandomVerticalFlip(1.0)).channels_last().apply(&x, rng)?;
        assert_eq!(both, x.flip(&[1, 2])?);
        let crop = RandomCrop::new(1, 3).padding(1).channels_last().apply(&x.i(0)?, rng)?;
        assert_eq!(crop.dims(), [1, 3, 3]);
        assert!(RandomHorizontalFlip(1.0).channels_last().apply(&x.i((0, 0))?, rng).is_err());
        Ok(())
    }
}
