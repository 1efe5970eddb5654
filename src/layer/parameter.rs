//! [`Parameter`]: a shared handle on one learnable tensor.

use std::sync::{Arc, PoisonError, RwLock};

use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};

/// A shared handle on one learnable tensor: clones are the same parameter, which is how weights are tied.
///
/// Setting it makes a new leaf. A history that was recorded before still refers to the old one, and a backward pass that
/// arrives there is an error: a parameter changed between forward and backward never gives a wrong number.
///
/// ```
/// use tealight::prelude::*;
/// let weight = Parameter::new(Tensor::zeros(3, DType::F32, &Device::Cpu)?);
/// let tied = weight.clone();
/// weight.set(Tensor::ones(3, DType::F32, &Device::Cpu)?.into_array())?;
/// assert_eq!(tied.get().to_vec1::<f32>()?, [1.0; 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parameter(Arc<RwLock<Tensor>>);

impl Parameter {
    /// A parameter that starts as `value`.
    pub fn new(value: Tensor) -> Self {
        Parameter(Arc::new(RwLock::new(Tensor::parameter(value.into_array()))))
    }

    /// The leaf: what a layer computes with, and what a gradient is looked up by.
    pub fn get(&self) -> Tensor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the numbers.
    ///
    /// # Errors
    /// Another shape or dtype.
    pub fn set(&self, value: Array) -> Result<()> {
        let mut leaf = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if value.dims() != leaf.dims() {
            let expected = format!("a value of the parameter's shape {:?}", leaf.dims());
            return Err(Error::shape("Parameter::set", expected, &[value.dims()]));
        }
        if value.dtype() != leaf.dtype() {
            let expected = format!("a value of the parameter's dtype {}", leaf.dtype().as_str());
            return Err(Error::dtype("Parameter::set", expected, &[value.dtype()]));
        }
        // A backward pass through what was computed from the old value would give the gradient of no value that is.
        leaf.outdate();
        *leaf = Tensor::parameter(value);
        Ok(())
    }

    /// Puts this very tensor in the place of the value, and returns what was there.
    pub(super) fn replace(&self, tensor: Tensor) -> Tensor {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), tensor)
    }

    /// Whether both are handles on the same parameter.
    pub fn same(&self, other: &Parameter) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
