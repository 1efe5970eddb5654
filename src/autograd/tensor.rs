//! [`Tensor`]: an array and the node that made it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use candle_core::{DType, Device, Shape, WithDType};

use super::array::{fits, integers, numbers};
use super::launch::refuse_reading;
use super::node::{Leaf, Node};
use super::saved::SavedArrays;
use crate::error::{Error, Result};

/// candle's tensor: an array without history.
pub type Array = candle_core::Tensor;

/// An n-dimensional array that records how it was computed, so that it can be differentiated.
///
/// A tensor is immutable. Cloning is cheap: elements and history are shared. `==` compares shape, dtype and elements, not
/// the history; as for floats, NaN equals nothing.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?);
/// let y = x.sqr()?.sum_all()?;
/// let gradients = y.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 4.0, 6.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    pub(super) array: Array,
    pub(super) node: Option<Arc<Node>>,
}

impl Tensor {
    /// A tensor without gradient. See [`Tensor::new`] to make one of numbers.
    pub fn constant(array: Array) -> Self {
        // candle's own history would keep its inputs alive.
        let array = if array.track_op() { array.detach() } else { array };
        Tensor { array: placed(array), node: None }
    }

    /// A tensor whose gradient [`backward`](Tensor::backward) computes: a leaf of the graph with the given elements.
    ///
    /// Integers have no gradient: of an integer dtype it is a constant.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let w = Tensor::parameter(Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?);
    /// assert!(w.requires_grad());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn parameter(array: impl Into<Array>) -> Self {
        let mut tensor = Tensor::constant(array.into());
        if tensor.dtype().is_float() {
            let edges = Default::default();
            tensor.node = Some(Node::new(Leaf, &tensor.array, edges, SavedArrays::default()));
        }
        tensor
    }

    /// This tensor as a new [`parameter`](Tensor::parameter). Its history is dropped.
    #[doc(alias = "requires_grad_")]
    #[must_use]
    pub fn into_parameter(self) -> Self {
        Tensor::parameter(self)
    }

    /// The length of each axis.
    #[doc(alias = "size")]
    pub fn dims(&self) -> &[usize] {
        self.array.dims()
    }

    /// The number of axes; 0 for a scalar.
    #[doc(alias = "ndim")]
    pub fn rank(&self) -> usize {
        self.array.rank()
    }

    /// The shape as candle's type, with `dims2()` and the like.
    pub fn shape(&self) -> &Shape {
        self.array.shape()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }

    /// The device that holds the elements.
    pub fn device(&self) -> &Device {
        self.array.device()
    }

    /// The number of elements.
    #[doc(alias = "numel")]
    pub fn elem_count(&self) -> usize {
        self.array.elem_count()
    }

    /// The elements as candle's tensor, without history.
    pub fn array(&self) -> &Array {
        &self.array
    }

    /// The elements as candle's tensor. The history is dropped.
    pub fn into_array(self) -> Array {
        self.array
    }

    /// The element of a tensor with one element.
    ///
    /// # Errors
    /// Errors if there is not exactly one element, or `T` is not the tensor's dtype.
    #[doc(alias = "item")]
    #[track_caller]
    pub fn to_scalar<T: WithDType>(&self) -> Result<T> {
        if self.elem_count() != 1 {
            return Err(Error::shape("to_scalar", "one element", &[self.dims()]));
        }
        self.check_dtype::<T>("to_scalar")?;
        refuse_reading("to_scalar", &self.array);
        Ok(self.array.flatten_all()?.get(0)?.to_scalar()?)
    }

    /// The elements of a vector.
    ///
    /// # Errors
    /// Errors if the rank is not 1, or `T` is not the tensor's dtype.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0_f32, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.to_vec1::<f32>()?, [1.0, 2.0]);
    /// let error = x.to_vec1::<f64>().unwrap_err().to_string();
    /// assert_eq!(error, "to_vec1: expected a tensor of dtype f64 (see to_dtype), got f32");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "tolist")]
    #[doc(alias = "numpy")]
    #[track_caller]
    pub fn to_vec1<T: WithDType>(&self) -> Result<Vec<T>> {
        self.check_readable::<T>("to_vec1", 1)?;
        Ok(self.array.to_vec1()?)
    }

    /// The elements of a matrix, row by row.
    ///
    /// # Errors
    /// Errors if the rank is not 2, or `T` is not the tensor's dtype.
    #[track_caller]
    pub fn to_vec2<T: WithDType>(&self) -> Result<Vec<Vec<T>>> {
        self.check_readable::<T>("to_vec2", 2)?;
        Ok(self.array.to_vec2()?)
    }

    /// The elements of a tensor of rank 3.
    ///
    /// # Errors
    /// Errors if the rank is not 3, or `T` is not the tensor's dtype.
    #[track_caller]
    pub fn to_vec3<T: WithDType>(&self) -> Result<Vec<Vec<Vec<T>>>> {
        self.check_readable::<T>("to_vec3", 3)?;
        Ok(self.array.to_vec3()?)
    }

    /// The same elements without history: no gradient flows through the result.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?);
    /// let gradients = (&x * x.detach())?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_scalar::<f64>()?, 3.0); // not 6: one factor is a constant
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "stop_gradient")]
    pub fn detach(&self) -> Self {
        Tensor { array: self.array.clone(), node: None }
    }

    /// Whether this tensor is a parameter or depends on one. Comparisons and integer results do not.
    #[doc(alias = "is_leaf")]
    pub fn requires_grad(&self) -> bool {
        self.node.is_some()
    }

    /// Makes later [`backward`](Tensor::backward) calls keep the gradient of this intermediate result, as they keep
    /// those of parameters.
    ///
    /// # Errors
    /// Errors if the tensor depends on no parameter.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?);
    /// let y = (&x * &x)?;
    /// y.retain_grad()?;
    /// let gradients = (&y * &y)?.backward()?;
    /// assert_eq!(gradients.get(&y).unwrap().to_scalar::<f64>()?, 18.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn retain_grad(&self) -> Result<()> {
        let reason = "this tensor depends on no parameter, so it has no gradient";
        let node = self.node.as_ref().ok_or_else(|| Error::no_gradient("retain_grad", reason))?;
        node.retained.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Marks this leaf as the old value of a parameter that was changed: a backward pass that reaches it is an error.
    pub(crate) fn mark_stale(&self) {
        if let Some(node) = &self.node {
            node.stale.store(true, Ordering::Relaxed);
        }
    }

    /// The name of the recorded operation that made this tensor; `parameter` for a parameter.
    #[doc(alias = "grad_fn")]
    pub fn op_name(&self) -> Option<&'static str> {
        self.node.as_ref().map(|node| node.rule.name())
    }

    fn check_dtype<T: WithDType>(&self, op: &'static str) -> Result<()> {
        if T::DTYPE == self.dtype() {
            return Ok(());
        }
        let expected = format!("a tensor of dtype {} (see to_dtype)", T::DTYPE.as_str());
        Err(Error::dtype(op, expected, &[self.dtype()]))
    }

    #[track_caller]
    fn check_readable<T: WithDType>(&self, op: &'static str, rank: usize) -> Result<()> {
        if self.rank() != rank {
            return Err(Error::shape(op, format!("a tensor of rank {rank}"), &[self.dims()]));
        }
        self.check_dtype::<T>(op)?;
        refuse_reading(op, &self.array);
        fits(op, self.dims(), size_of::<T>())?;
        // Empty rows take memory too.
        if rank > 1 { fits(op, &self.dims()[..rank - 1], size_of::<Vec<T>>()) } else { Ok(()) }
    }
}

/// An array without elements gets a storage of its own: candle slices the storage at the view's offset, which may lie
/// behind its end.
pub(super) fn placed(array: Array) -> Array {
    if array.layout().start_offset() == 0 || !array.dims().contains(&0) {
        return array;
    }
    // A device that cannot allocate nothing keeps the view.
    Array::zeros(array.shape(), array.dtype(), array.device()).unwrap_or(array)
}

impl From<Array> for Tensor {
    fn from(array: Array) -> Self {
        Tensor::constant(array)
    }
}

impl From<Tensor> for Array {
    fn from(tensor: Tensor) -> Self {
        tensor.array
    }
}

/// One tensor, where several may stand.
impl AsRef<[Tensor]> for Tensor {
    fn as_ref(&self) -> &[Tensor] {
        std::slice::from_ref(self)
    }
}

impl AsMut<[Tensor]> for Tensor {
    fn as_mut(&mut self) -> &mut [Tensor] {
        std::slice::from_mut(self)
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.array, &other.array);
        let same = a.dims() == b.dims() && a.dtype() == b.dtype();
        same && if a.dtype().is_int() {
            matches!((integers(a), integers(b)), (Ok(a), Ok(b)) if a == b)
        } else {
            matches!((numbers(a), numbers(b)), (Ok(a), Ok(b)) if a == b)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn views_without_elements() -> Result<()> {
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

    #[test]
    fn equality() -> Result<()> {
        let tensor = |x: &[f64]| Tensor::new(x, &Device::Cpu);
        let (a, nan) = (tensor(&[1.0, 2.0])?, tensor(&[f64::NAN])?);
        assert!(a == a.clone().into_parameter() && a != tensor(&[1.0, 2.5])? && nan != nan);
        let [big, next] = [i64::MAX, i64::MAX - 1].map(|x| Tensor::new(x, &Device::Cpu).unwrap());
        assert!(big != next && big == big.clone());
        assert!(a != a.unsqueeze(0)? && a != a.to_dtype(DType::F32)? && tensor(&[])? == tensor(&[])?);
        Ok(())
    }
}
