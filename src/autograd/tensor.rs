//! [`Tensor`]: an array and the node that made it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use candle_core::{DType, Device, Shape, WithDType};
use smallvec::SmallVec;

use super::array::fits;
use super::node::{Leaf, Node};
use super::saved::SavedArrays;
use crate::error::{Error, Result};

/// Numbers without a history: candle's tensor, of which only the numbers are used.
///
/// ```
/// use tealight::prelude::*;
/// let array: Array = Array::new(&[1.0, 2.0], &Device::Cpu)?;
/// assert!(!Tensor::from(array.clone()).requires_grad() && Tensor::parameter(array).requires_grad());
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Array = candle_core::Tensor;

/// An array of numbers that remembers how it was computed, so that it can be differentiated.
///
/// Cloning is cheap: the numbers and the history are shared. A tensor never changes.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?.into_array());
/// let y = x.sigmoid()?.sum_all()?;
/// let gradients = y.backward()?;
/// let slope = gradients.get(&x).unwrap().to_vec1::<f64>()?;
/// assert!((slope[0] - 0.19661193).abs() < 1e-8);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    pub(super) array: Array,
    pub(super) node: Option<Arc<Node>>,
}

impl Tensor {
    /// A tensor that is not differentiated.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::constant(Array::new(&[1.0, 2.0], &Device::Cpu)?);
    /// assert!(!x.requires_grad());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn constant(array: Array) -> Self {
        // A history of candle's own would keep its inputs alive for nobody.
        let array = if array.track_op() { array.detach() } else { array };
        Tensor { array: placed(array), node: None }
    }

    /// A leaf whose gradient [`backward`](Tensor::backward) collects. Integers have no gradient: one of theirs is a
    /// constant.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let w = Tensor::parameter(Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?.into_array());
    /// assert!(w.requires_grad());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn parameter(array: Array) -> Self {
        let mut tensor = Tensor::constant(array);
        if tensor.dtype().is_float() {
            tensor.node = Some(Node::new(Leaf, tensor.dims(), SmallVec::new(), SavedArrays::default()));
        }
        tensor
    }

    /// The length of each axis.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// assert_eq!(x.t()?.dims(), [3, 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "size")]
    pub fn dims(&self) -> &[usize] {
        self.array.dims()
    }

    /// How many axes there are; 0 for a scalar.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?.rank(), 2);
    /// assert_eq!(Tensor::new(7.0, &Device::Cpu)?.rank(), 0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "ndim")]
    pub fn rank(&self) -> usize {
        self.array.rank()
    }

    /// The shape, as candle writes it.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// assert_eq!(Tensor::ones(x.shape(), DType::U8, x.device())?.dims(), [2, 3]);
    /// assert_eq!(x.shape().dims2()?, (2, 3));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn shape(&self) -> &Shape {
        self.array.shape()
    }

    /// The type of the elements.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::new(&[1.0], &Device::Cpu)?.dtype(), DType::F64);
    /// assert_eq!(Tensor::new(&[1u32], &Device::Cpu)?.dtype(), DType::U32);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }

    /// Where the numbers are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// assert!(x.device().is_cpu());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn device(&self) -> &Device {
        self.array.device()
    }

    /// How many elements there are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// assert_eq!((x.elem_count(), x.sum_all()?.elem_count()), (6, 1));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "numel")]
    pub fn elem_count(&self) -> usize {
        self.array.elem_count()
    }

    /// The numbers without the history, as a tensor of candle's.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// let array: &Array = x.array(); // for what candle does and we do not
    /// assert_eq!(array.stride(), [3, 1]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn array(&self) -> &Array {
        &self.array
    }

    /// The numbers; the history is let go.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// let w = Tensor::parameter(x.into_array());
    /// assert_eq!(w.exp()?.into_array().to_vec2::<f32>()?, [[1.0; 3]; 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn into_array(self) -> Array {
        self.array
    }

    /// The one number of a tensor with one element.
    ///
    /// # Errors
    /// If there is not exactly one element, or `T` is another type than the tensor's.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::new(2.5_f32, &Device::Cpu)?.to_scalar::<f32>()?, 2.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "item")]
    pub fn to_scalar<T: WithDType>(&self) -> Result<T> {
        if self.elem_count() != 1 {
            return Err(Error::shape("to_scalar", "one element", &[self.dims()]));
        }
        self.typed::<T>("to_scalar")?;
        Ok(self.array.flatten_all()?.get(0)?.to_scalar()?)
    }

    /// The elements of a vector.
    ///
    /// # Errors
    /// If the tensor has another rank than 1, or `T` is another type than the tensor's.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0_f32, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.to_vec1::<f32>()?, [1.0, 2.0]);
    /// let error = x.to_vec1::<f64>().unwrap_err().to_string();
    /// assert_eq!(error, "to_vec1: expected a tensor of dtype f64 (see to_dtype), got f32");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "tolist")]
    #[doc(alias = "numpy")]
    pub fn to_vec1<T: WithDType>(&self) -> Result<Vec<T>> {
        self.of_rank("to_vec1", 1)?.typed::<T>("to_vec1")?;
        fits("to_vec1", self.dims(), size_of::<T>())?;
        Ok(self.array.to_vec1()?)
    }

    /// The elements of a matrix, row by row.
    ///
    /// # Errors
    /// If the tensor has another rank than 2, or `T` is another type than the tensor's.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1u8, 2], [3, 4]], &Device::Cpu)?;
    /// assert_eq!(x.t()?.to_vec2::<u8>()?, [[1, 3], [2, 4]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn to_vec2<T: WithDType>(&self) -> Result<Vec<Vec<T>>> {
        self.of_rank("to_vec2", 2)?.typed::<T>("to_vec2")?;
        fits("to_vec2", self.dims(), size_of::<T>())?;
        // Rows of nothing take memory, too.
        fits("to_vec2", &self.dims()[..1], size_of::<Vec<T>>())?;
        Ok(self.array.to_vec2()?)
    }

    /// The elements of a tensor of rank 3.
    ///
    /// # Errors
    /// If the tensor has another rank than 3, or `T` is another type than the tensor's.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1u8], [2]]], &Device::Cpu)?;
    /// assert_eq!(x.to_vec3::<u8>()?, [[[1], [2]]]);
    /// assert_eq!(x.to_vec2::<u8>().unwrap_err().to_string(), "to_vec2: expected a tensor of rank 2, got [1, 2, 1]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn to_vec3<T: WithDType>(&self) -> Result<Vec<Vec<Vec<T>>>> {
        self.of_rank("to_vec3", 3)?.typed::<T>("to_vec3")?;
        fits("to_vec3", self.dims(), size_of::<T>())?;
        fits("to_vec3", &self.dims()[..2], size_of::<Vec<T>>())?;
        Ok(self.array.to_vec3()?)
    }

    /// The same numbers without the history.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// let gradients = (&x * x.detach())?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_scalar::<f64>()?, 3.0); // not 6: one factor counts as a constant
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "stop_gradient")]
    pub fn detach(&self) -> Self {
        Tensor { array: self.array.clone(), node: None }
    }

    /// Whether this tensor depends on a parameter, so that a gradient flows back through it.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// assert!((&x + 1.0)?.requires_grad());
    /// assert!(!x.gt(1.0)?.requires_grad()); // a comparison is no function that one differentiates
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "is_leaf")]
    pub fn requires_grad(&self) -> bool {
        self.node.is_some()
    }

    /// Collects the gradient of this tensor, which is no parameter, in every later
    /// [`backward`](Tensor::backward) through it.
    ///
    /// # Errors
    /// A tensor that depends on no parameter.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// let y = (&x * &x)?;
    /// y.retain_grad()?;
    /// let gradients = (&y * &y)?.backward()?;
    /// assert_eq!(gradients.get(&y).unwrap().to_scalar::<f64>()?, 18.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn retain_grad(&self) -> Result<()> {
        let reason = "this tensor depends on no parameter, so no gradient comes by";
        let node = self.node.as_ref().ok_or_else(|| Error::no_gradient("retain_grad", reason))?;
        node.retained.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Says that this leaf was the value of a parameter that has another one by now: a backward pass that arrives here
    /// is an error.
    pub(crate) fn mark_stale(&self) {
        if let Some(node) = &self.node {
            node.outdated.store(true, Ordering::Relaxed);
        }
    }

    /// The name of the operation that made this tensor, if it was recorded.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// assert_eq!((x.op_name(), x.exp()?.op_name()), (Some("parameter"), Some("exp")));
    /// assert_eq!(x.exp()?.detach().op_name(), None);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "grad_fn")]
    pub fn op_name(&self) -> Option<&'static str> {
        self.node.as_ref().map(|node| node.rule.name())
    }

    fn typed<T: WithDType>(&self, op: &'static str) -> Result<&Self> {
        if T::DTYPE == self.dtype() {
            return Ok(self);
        }
        let expected = format!("a tensor of dtype {} (see to_dtype)", T::DTYPE.as_str());
        Err(Error::dtype(op, expected, &[self.dtype()]))
    }

    fn of_rank(&self, op: &'static str, rank: usize) -> Result<&Self> {
        if self.rank() == rank {
            return Ok(self);
        }
        Err(Error::shape(op, format!("a tensor of rank {rank}"), &[self.dims()]))
    }
}

/// An array without elements lets go of its place in a larger one: candle cuts the storage at that place, which may lie
/// behind its end.
pub(super) fn placed(array: Array) -> Array {
    if array.layout().start_offset() == 0 || !array.dims().contains(&0) {
        return array;
    }
    Array::zeros(array.shape(), array.dtype(), array.device()).unwrap_or(array)
}

impl From<Array> for Tensor {
    fn from(array: Array) -> Self {
        Tensor::constant(array)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn parts_of_nothing() -> Result<()> {
        // candle panics when it reads a view that begins behind the end of its storage.
        let x = Array::zeros((0, 5), DType::F64, &Device::Cpu)?.narrow(1, 4, 1)?;
        assert_eq!(Tensor::constant(x.clone()).to_vec2::<f64>()?, Vec::<Vec<f64>>::new());
        let rows = Tensor::constant(Array::zeros((1_usize << 44, 0), DType::F64, &Device::Cpu)?);
        assert!(rows.to_vec2::<f64>().is_err());
        assert!(rows.unsqueeze(0)?.to_vec3::<f64>().is_err());
        let x = Tensor::parameter(x);
        assert_eq!(x.exp()?.sum_all()?.to_scalar::<f64>()?, 0.0);
        let part = Tensor::parameter(Array::zeros((0, 3), DType::F64, &Device::Cpu)?).narrow(1, 2, 1)?;
        assert_eq!(part.squeeze(1)?.to_vec1::<f64>()?, Vec::<f64>::new());
        Ok(())
    }
}
