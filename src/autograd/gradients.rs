//! [`Gradients`]: what a backward pass found.

use std::collections::BTreeMap;

use super::Tensor;

/// The gradients of the parameters that a scalar depends on, and of the tensors with [`retain_grad`](Tensor::retain_grad).
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
/// let gradients = (&x * 3.0)?.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [3.0, 3.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Gradients {
    pub(super) by_node: BTreeMap<u64, Tensor>,
}

impl Gradients {
    /// The gradient of a parameter; `None` if the scalar does not depend on it, or if it is neither a parameter nor
    /// retained.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
    /// let unrelated = Tensor::parameter(x.array().clone());
    /// let gradients = x.sqr()?.sum_all()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 4.0]);
    /// assert!(gradients.get(&unrelated).is_none());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn get(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.by_node.get(&parameter.node.as_ref()?.id)
    }

    /// Puts another gradient in the place of a parameter's.
    pub(crate) fn replace(&mut self, parameter: &Tensor, gradient: Tensor) {
        if let Some(node) = &parameter.node {
            self.by_node.insert(node.id, gradient);
        }
    }

    /// How many tensors have a gradient.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?.into_array());
    /// let y = x.exp()?;
    /// y.retain_grad()?;
    /// assert_eq!(y.sum_all()?.backward()?.len(), 2); // x and y
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.by_node.len()
    }

    /// Whether none has one.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// assert!(Gradients::default().is_empty() && !x.sqr()?.backward()?.is_empty());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.by_node.is_empty()
    }
}
