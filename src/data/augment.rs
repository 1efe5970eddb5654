//! Random changes to inputs.

use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::Rng;

/// A random change to the input of one example; a function `Fn(&Tensor, &mut Rng) -> Result<Tensor>` is one.
///
/// [`DataLoader::augment`](super::DataLoader::augment) applies it.
pub trait Augment: Send + Sync {
    /// The changed input. All that is random comes from `rng`.
    ///
    /// # Errors
    /// An input that it does not fit.
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor>;

    /// This change, and then another.
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
#[derive(Clone, Copy, Debug)]
pub struct Then<A, B>(A, B);

impl<A: Augment, B: Augment> Augment for Then<A, B> {
    fn apply(&self, input: &Tensor, rng: &mut Rng) -> Result<Tensor> {
        self.1.apply(&self.0.apply(input, rng)?, rng)
    }
}
