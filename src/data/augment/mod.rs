//! Random changes to inputs: the same for the same seed.

mod image;

pub use image::{GaussianNoise, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomVerticalFlip};

use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::Rng;

/// A random change to the input of one example, applied by [`DataLoader::augment`](super::DataLoader::augment).
///
/// A function `Fn(&Tensor, &mut Rng) -> Result<Tensor>` is one too. Those for images take (…, height, width).
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
}

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
