//! [`Parameter`] and [`Buffer`]: the tensors of a layer, as shared handles.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::autograd::{Array, Tensor, launch};
use crate::error::{Error, Result};

/// A learnable tensor. Clones are handles on the same parameter: this is how weights are tied.
///
/// [`set`](Parameter::set) makes a new leaf. A graph that was recorded before still refers to the old one, and
/// differentiating it is an error: a parameter changed between forward and backward never gives a wrong gradient.
///
/// ```
/// use tealight::prelude::*;
/// let weight = Parameter::new(Tensor::zeros(3, DType::F32, &Device::Cpu)?);
/// let tied = weight.clone();
/// weight.set(&Tensor::ones(3, DType::F32, &Device::Cpu)?)?;
/// assert_eq!(tied.get().to_vec1::<f32>()?, [1.0; 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parameter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    value: RwLock<Value>,
    frozen: AtomicBool,
}

/// Where a value is.
#[derive(Debug)]
enum Value {
    Own(Tensor),
    /// In the memory of a program, which changes it in place: a reader gets a copy.
    Lent(Arc<dyn Lender>, usize),
}

/// The memory of a program that trains a model.
pub(crate) trait Lender: Debug + Send + Sync {
    /// A copy of value `i`.
    fn value(&self, i: usize) -> Array;
}

/// The tensor; one that is lent is copied, by `wrap` made a tensor, and no longer lent.
fn read(value: &RwLock<Value>, wrap: fn(Array) -> Tensor) -> Tensor {
    if let Value::Own(tensor) = &*value.read().unwrap_or_else(PoisonError::into_inner) {
        return tensor.clone();
    }
    let mut value = value.write().unwrap_or_else(PoisonError::into_inner);
    if let Value::Lent(lender, i) = &*value {
        *value = Value::Own(wrap(lender.value(*i)));
    }
    match &*value {
        Value::Own(tensor) => tensor.clone(),
        Value::Lent(..) => unreachable!("replaced above"),
    }
}

/// Marks the value as held by the memory of a program.
fn lend(value: &RwLock<Value>, lender: Arc<dyn Lender>, i: usize) {
    let mut value = value.write().unwrap_or_else(PoisonError::into_inner);
    if let Value::Own(tensor) = std::mem::replace(&mut *value, Value::Lent(lender, i)) {
        tensor.mark_stale();
    }
}

fn is_lent_by(value: &RwLock<Value>, lender: *const ()) -> bool {
    match &*value.read().unwrap_or_else(PoisonError::into_inner) {
        Value::Own(_) => false,
        Value::Lent(own, _) => std::ptr::addr_eq(Arc::as_ptr(own), lender),
    }
}

impl Parameter {
    /// A parameter with this initial value.
    pub fn new(value: Tensor) -> Self {
        let value = RwLock::new(Value::Own(value.into_parameter()));
        Parameter(Arc::new(Inner { value, frozen: AtomicBool::new(false) }))
    }

    /// The tensor to compute with, a leaf of the graph; its gradient is found by it. A frozen one requires no gradient.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parameter = Parameter::new(Tensor::new(3.0, &Device::Cpu)?);
    /// let gradients = parameter.get().sqr()?.backward()?;
    /// assert_eq!(gradients.get(&parameter.get()).unwrap().to_scalar::<f64>()?, 6.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "data")]
    pub fn get(&self) -> Tensor {
        let leaf = self.leaf();
        if launch::recording() {
            let own = self.clone();
            launch::note_state(leaf.array(), move || own.get());
        }
        if self.is_frozen() { leaf.detach() } else { leaf }
    }

    /// Replaces the value; the history of `value` is dropped.
    ///
    /// # Errors
    /// Errors if `value` has another shape or dtype.
    #[doc(alias = "copy_")]
    pub fn set(&self, value: &Tensor) -> Result<()> {
        check_replacement("Parameter::set", &self.leaf(), value)?;
        // A backward pass through what was computed from the old value would give the gradient of no present value.
        self.replace(value.clone().into_parameter()).mark_stale();
        Ok(())
    }

    /// The leaf, whether it is frozen or not.
    pub(super) fn leaf(&self) -> Tensor {
        read(&self.0.value, Tensor::parameter)
    }

    /// Makes this tensor the leaf, and returns the old one.
    pub(super) fn replace(&self, tensor: Tensor) -> Tensor {
        let old = self.leaf();
        *self.0.value.write().unwrap_or_else(PoisonError::into_inner) = Value::Own(tensor);
        old
    }

    /// A number that only handles on this parameter have.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether both are handles on the same parameter.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let parameter = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// assert!(parameter.ptr_eq(&parameter.clone()));
    /// assert!(!parameter.ptr_eq(&Parameter::new(parameter.get()))); // an equal value, but another parameter
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn ptr_eq(&self, other: &Parameter) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether it is frozen: it gets no gradient, and optimizers skip it.
    pub fn is_frozen(&self) -> bool {
        self.0.frozen.load(Ordering::Relaxed)
    }

    /// Freezes or unfreezes it; see [`Layer::freeze`](super::Layer::freeze).
    #[doc(alias = "requires_grad_")]
    pub fn set_frozen(&self, frozen: bool) {
        self.0.frozen.store(frozen, Ordering::Relaxed);
    }
}

/// A tensor of a model that is not learned, such as running statistics. It is saved with the parameters. Clones are handles
/// on the same buffer.
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
pub struct Buffer(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    value: RwLock<Value>,
    frozen: AtomicBool,
}

impl Buffer {
    /// A buffer with this initial value.
    pub fn new(value: Tensor) -> Self {
        let value = RwLock::new(Value::Own(value.detach()));
        Buffer(Arc::new(Contents { value, frozen: AtomicBool::new(false) }))
    }

    /// The value, a constant.
    pub fn get(&self) -> Tensor {
        let value = read(&self.0.value, Tensor::constant);
        if launch::recording() {
            let own = self.clone();
            launch::note_state(value.array(), move || own.get());
        }
        value
    }

    /// Whether training leaves it as it is; see [`Layer::freeze_buffers`](super::Layer::freeze_buffers).
    pub fn is_frozen(&self) -> bool {
        self.0.frozen.load(Ordering::Relaxed)
    }

    /// Freezes or unfreezes it: a layer that updates it while training asks [`is_frozen`](Buffer::is_frozen) first.
    pub fn set_frozen(&self, frozen: bool) {
        self.0.frozen.store(frozen, Ordering::Relaxed);
    }

    /// Replaces the value; the history of `value` is dropped.
    ///
    /// # Errors
    /// Errors if `value` has another shape or dtype.
    pub fn set(&self, value: &Tensor) -> Result<()> {
        let current = self.get();
        check_replacement("Buffer::set", &current, value)?;
        launch::assign(current.array(), value.array());
        self.replace(value.detach());
        Ok(())
    }

    /// Replaces the value by one of any shape and dtype.
    pub(super) fn replace(&self, tensor: Tensor) {
        *self.0.value.write().unwrap_or_else(PoisonError::into_inner) = Value::Own(tensor);
    }
}

fn check_replacement(op: &'static str, current: &Tensor, value: &Tensor) -> Result<()> {
    if value.dims() != current.dims() {
        return Err(Error::shape(op, format!("a value of the shape {:?}", current.dims()), &[value.dims()]));
    }
    if value.dtype() != current.dtype() {
        let expected = format!("a value of dtype {}", current.dtype().as_str());
        return Err(Error::dtype(op, expected, &[value.dtype()]));
    }
    Ok(())
}

/// A parameter or a buffer, as [`Layer::state_dict`](super::Layer::state_dict) lists them.
#[derive(Clone, Debug)]
pub enum StateEntry {
    /// A learnable tensor.
    Parameter(Parameter),
    /// A tensor that is saved, but not learned.
    Buffer(Buffer),
}

impl StateEntry {
    pub(super) fn set_frozen(&self, frozen: bool) {
        match self {
            StateEntry::Parameter(parameter) => parameter.set_frozen(frozen),
            StateEntry::Buffer(buffer) => buffer.set_frozen(frozen),
        }
    }

    fn value(&self) -> &RwLock<Value> {
        match self {
            StateEntry::Parameter(parameter) => &parameter.0.value,
            StateEntry::Buffer(buffer) => &buffer.0.value,
        }
    }

    /// Marks the value as held by the memory of a program: graphs of the old value are stale.
    pub(crate) fn lend(&self, lender: Arc<dyn Lender>, i: usize) {
        lend(self.value(), lender, i);
    }

    /// Whether the value is in this memory.
    pub(crate) fn is_lent_by(&self, lender: *const ()) -> bool {
        is_lent_by(self.value(), lender)
    }

    /// The buffer, if it is one.
    pub(crate) fn buffer(&self) -> Option<&Buffer> {
        match self {
            StateEntry::Buffer(buffer) => Some(buffer),
            StateEntry::Parameter(_) => None,
        }
    }

    /// The value, detached from the graph.
    pub fn get(&self) -> Tensor {
        match self {
            StateEntry::Parameter(parameter) => parameter.leaf().detach(),
            StateEntry::Buffer(buffer) => buffer.get(),
        }
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// Errors if `value` has another shape or dtype.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Linear::new(1, 1, &mut Rng::seed(1))?;
    /// layer.state_dict()[0].1.set(&Tensor::new(&[[3_f32]], &Device::Cpu)?)?;
    /// assert_eq!(layer.weight.get().to_vec2::<f32>()?, [[3.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn set(&self, value: &Tensor) -> Result<()> {
        match self {
            StateEntry::Parameter(parameter) => parameter.set(value),
            StateEntry::Buffer(buffer) => buffer.set(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffer, Parameter};
    use crate::prelude::*;

    #[test]
    fn set_refuses_another_shape_or_dtype() -> Result<()> {
        let cpu = &Device::Cpu;
        let parameter = Parameter::new(Tensor::new(&[1.0, 2.0, 3.0], cpu)?);
        let error = parameter.set(&Tensor::new(&[1.0, 2.0], cpu)?).unwrap_err();
        assert_eq!(error.to_string(), "Parameter::set: expected a value of the shape [3], got [2]");
        let seen = Buffer::new(Tensor::new(1_i64, cpu)?);
        let error = seen.set(&Tensor::new(2.5, cpu)?).unwrap_err();
        assert_eq!(error.to_string(), "Buffer::set: expected a value of dtype i64, got f64");
        Ok(())
    }

    #[test]
    fn values_have_no_history() -> Result<()> {
        let leaf = Parameter::new(Tensor::new(2.0, &Device::Cpu)?);
        assert!(leaf.get().requires_grad());
        assert!(!Buffer::new(leaf.get()).get().requires_grad());
        leaf.set_frozen(true);
        assert!(!leaf.get().requires_grad());
        Ok(())
    }
}
