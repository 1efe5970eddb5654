//! [`Parameter`] and [`Buffer`]: shared handles on what a layer holds.

use std::sync::atomic::{AtomicBool, Ordering};
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
pub struct Parameter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    leaf: RwLock<Tensor>,
    frozen: AtomicBool,
}

impl Parameter {
    /// A parameter that starts as `value`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parameter = Parameter::new(Tensor::new(2.0, &Device::Cpu)?);
    /// assert!(parameter.get().requires_grad());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(value: Tensor) -> Self {
        let leaf = RwLock::new(Tensor::parameter(value.into_array()));
        Parameter(Arc::new(Inner { leaf, frozen: AtomicBool::new(false) }))
    }

    /// The leaf: what a layer computes with, and what a gradient is looked up by. A frozen one has no gradient.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parameter = Parameter::new(Tensor::new(3.0, &Device::Cpu)?);
    /// let gradients = parameter.get().sqr()?.backward()?;
    /// assert_eq!(gradients.get(&parameter.get()).unwrap().to_scalar::<f64>()?, 6.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn get(&self) -> Tensor {
        let leaf = self.0.leaf.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_frozen() { leaf.detach() } else { leaf.clone() }
    }

    /// Replaces the numbers.
    ///
    /// # Errors
    /// Another shape or dtype.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parameter = Parameter::new(Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?);
    /// let error = parameter.set(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array()).unwrap_err();
    /// assert_eq!(error.to_string(), "Parameter::set: expected a value of the shape [3], got [2]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "copy_")]
    pub fn set(&self, value: Array) -> Result<()> {
        let mut leaf = self.0.leaf.write().unwrap_or_else(PoisonError::into_inner);
        same_kind("Parameter::set", &leaf, &value)?;
        // A backward pass through what was computed from the old value would give the gradient of no value that is.
        leaf.mark_stale();
        *leaf = Tensor::parameter(value);
        Ok(())
    }

    /// The leaf, whether it is frozen or not.
    pub(super) fn leaf(&self) -> Tensor {
        self.0.leaf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts this very tensor in the place of the value, and returns what was there.
    pub(super) fn replace(&self, tensor: Tensor) -> Tensor {
        std::mem::replace(&mut *self.0.leaf.write().unwrap_or_else(PoisonError::into_inner), tensor)
    }

    /// Whether both are handles on the same parameter.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parameter = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// assert!(parameter.same(&parameter.clone()));
    /// assert!(!parameter.same(&Parameter::new(parameter.get()))); // equal, but not the same
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn same(&self, other: &Parameter) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether it is left as it is: it has no gradient then, and optimizers pass it over.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// layer.freeze("weight")?;
    /// assert!(layer.weight.is_frozen());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn is_frozen(&self) -> bool {
        self.0.frozen.load(Ordering::Relaxed)
    }

    /// Freezes it, or lets it learn again.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parameter = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// parameter.set_frozen(true);
    /// assert!(!parameter.get().requires_grad());
    /// parameter.set_frozen(false);
    /// assert!(parameter.get().requires_grad());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn set_frozen(&self, frozen: bool) {
        self.0.frozen.store(frozen, Ordering::Relaxed);
    }
}

/// A shared handle on a tensor that belongs to a model but is not learned, such as running statistics. It is saved with
/// the parameters.
///
/// ```
/// use tealight::layer::Buffer;
/// use tealight::prelude::*;
/// let mean = Buffer::new(Tensor::zeros(3, DType::F32, &Device::Cpu)?);
/// mean.set(&Tensor::ones(3, DType::F32, &Device::Cpu)?)?;
/// assert_eq!(mean.get().to_vec1::<f32>()?, [1.0; 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "register_buffer")]
#[derive(Clone, Debug)]
pub struct Buffer(Arc<RwLock<Tensor>>);

impl Buffer {
    /// A buffer that starts as `value`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let leaf = Parameter::new(Tensor::new(2.0, &Device::Cpu)?).get();
    /// assert!(!Buffer::new(leaf).get().requires_grad()); // the number alone
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(value: Tensor) -> Self {
        Buffer(Arc::new(RwLock::new(value.detach())))
    }

    /// The value, a constant.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let seen = Buffer::new(Tensor::new(&[1_i64, 2], &Device::Cpu)?);
    /// assert_eq!(seen.get().to_vec1::<i64>()?, [1, 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn get(&self) -> Tensor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value. A history of `value` is let go.
    ///
    /// # Errors
    /// Another shape or dtype.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let seen = Buffer::new(Tensor::new(1_i64, &Device::Cpu)?);
    /// seen.set(&Tensor::new(2_i64, &Device::Cpu)?)?;
    /// assert_eq!(seen.get().to_scalar::<i64>()?, 2);
    /// let error = seen.set(&Tensor::new(2.5, &Device::Cpu)?).unwrap_err();
    /// assert_eq!(error.to_string(), "Buffer::set: expected a value of dtype i64, got f64");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn set(&self, value: &Tensor) -> Result<()> {
        let mut own = self.0.write().unwrap_or_else(PoisonError::into_inner);
        same_kind("Buffer::set", &own, value.array())?;
        *own = value.detach();
        Ok(())
    }

    /// Puts this very tensor in the place of the value.
    pub(super) fn replace(&self, tensor: Tensor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tensor;
    }
}

fn same_kind(op: &'static str, own: &Tensor, value: &Array) -> Result<()> {
    if value.dims() != own.dims() {
        return Err(Error::shape(op, format!("a value of the shape {:?}", own.dims()), &[value.dims()]));
    }
    if value.dtype() != own.dtype() {
        let expected = format!("a value of dtype {}", own.dtype().as_str());
        return Err(Error::dtype(op, expected, &[value.dtype()]));
    }
    Ok(())
}

/// What a layer holds under a name: see [`Layer::state`](super::Layer::state).
///
/// ```
/// use tealight::layer::StateEntry;
/// use tealight::prelude::*;
/// let state = BatchNorm1d::new(3)?.state();
/// let learned = state.iter().filter(|(_, held)| matches!(held, StateEntry::Parameter(_))).count();
/// assert_eq!((learned, state.len()), (2, 5));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum StateEntry {
    /// A learnable tensor.
    Parameter(Parameter),
    /// A tensor that is not learned.
    Buffer(Buffer),
}

impl StateEntry {
    /// The value, without a history.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (name, held) = &BatchNorm1d::new(2)?.state()[3];
    /// assert_eq!((name.as_str(), held.get().to_vec1::<f32>()?), ("running_var", vec![1.0, 1.0]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn get(&self) -> Tensor {
        match self {
            StateEntry::Parameter(parameter) => parameter.get().detach(),
            StateEntry::Buffer(buffer) => buffer.get(),
        }
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// Another shape or dtype.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Linear::new(1, 1, &mut Rng::seed(1))?;
    /// layer.state()[0].1.set(&Tensor::new(&[[3_f32]], &Device::Cpu)?)?;
    /// assert_eq!(layer.weight.get().to_vec2::<f32>()?, [[3.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn set(&self, value: &Tensor) -> Result<()> {
        match self {
            StateEntry::Parameter(parameter) => parameter.set(value.array().clone()),
            StateEntry::Buffer(buffer) => buffer.set(value),
        }
    }
}
