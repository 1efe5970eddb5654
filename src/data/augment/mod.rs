//! Random changes to inputs: the same for the same seed.
//!
//! # Shapes
//! A picture is (…, height, width): (h, w) of one channel, or (channels, h, w) as convolutions take it.

mod picture;

pub use picture::{GaussianNoise, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomVerticalFlip};

use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::Rng;

/// A random change to the input of one example; a function `Fn(&Tensor, &mut Rng) -> Result<Tensor>` is one.
///
/// [`DataLoader::augment`](super::DataLoader::augment) applies it.
///
/// ```
/// use tealight::data::{Augment, DataLoader, RandomHorizontalFlip, RandomCrop, RandomRotation, TensorDataset};
/// use tealight::prelude::*;
/// let pictures = Tensor::ones((6, 3, 8, 8), DType::F32, &Device::Cpu)?;
/// let data = TensorDataset::new(&pictures, &Tensor::arange(0_u32, 6, &Device::Cpu)?)?;
/// let change = RandomHorizontalFlip(0.5).then(RandomRotation(10.0)).then(RandomCrop::new(8, 8).padding(1));
/// let mut loader = DataLoader::new(&data, 3)?.shuffle(1).augment(change, 2);
/// for batch in loader.epoch()? {
///     assert_eq!(batch?.0.dims(), [3, 3, 8, 8]);
/// }
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Augment: Send + Sync {
    /// The changed input. All that is random comes from `rng`.
    ///
    /// # Errors
    /// An input that it does not fit.
    ///
    /// ```
    /// use tealight::data::{Augment, RandomHorizontalFlip};
    /// use tealight::prelude::*;
    /// let row = Tensor::new(&[[1.0, 2.0, 3.0]], &Device::Cpu)?;
    /// let flipped = RandomHorizontalFlip(0.5).apply(&row, &mut Rng::seed(1))?;
    /// assert_eq!(flipped, RandomHorizontalFlip(0.5).apply(&row, &mut Rng::seed(1))?); // the same seed, the same change
    /// assert!(RandomHorizontalFlip(0.5).apply(&row.sum_all()?, &mut Rng::seed(1)).is_err()); // a number has no sides
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor>;

    /// This change, and then another.
    ///
    /// ```
    /// use tealight::data::{Augment, RandomHorizontalFlip, RandomCrop};
    /// use tealight::prelude::*;
    /// let change = RandomCrop::new(2, 2).padding(1).then(RandomHorizontalFlip(0.5));
    /// let picture = Tensor::ones((3, 1, 1), DType::F32, &Device::Cpu)?;
    /// assert_eq!(change.apply(&picture, &mut Rng::seed(1))?.dims(), [3, 2, 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

/// One change after the other: [`Augment::then`].
///
/// ```
/// use tealight::data::{Augment, RandomHorizontalFlip, RandomVerticalFlip, Then};
/// use tealight::prelude::*;
/// let half_turn: Then<RandomHorizontalFlip, RandomVerticalFlip> = RandomHorizontalFlip(1.0).then(RandomVerticalFlip(1.0));
/// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// assert_eq!(half_turn.apply(&x, &mut Rng::seed(1))?.to_vec2::<f64>()?, [[4.0, 3.0], [2.0, 1.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Then<A, B>(A, B);

impl<A: Augment, B: Augment> Augment for Then<A, B> {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        self.1.apply(&self.0.apply(input, rng)?, rng)
    }
}
