//! [`Gradients`]: the result of a backward pass.

use std::collections::BTreeMap;

use super::Tensor;

/// The gradients of the parameters that a scalar depends on, and of tensors with [`retain_grad`](Tensor::retain_grad).
/// Made by [`Tensor::backward`].
#[derive(Debug, Default)]
pub struct Gradients {
    pub(super) by_node: BTreeMap<u64, Tensor>,
}

impl Gradients {
    /// The gradient of a parameter; `None` if the scalar does not depend on it.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
    /// let unrelated = x.detach().into_parameter();
    /// let gradients = x.sqr()?.sum_all()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 4.0]);
    /// assert!(gradients.get(&unrelated).is_none());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn get(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.by_node.get(&parameter.node.as_ref()?.id)
    }

    /// Replaces the gradient of a parameter.
    pub(crate) fn replace(&mut self, parameter: &Tensor, gradient: Tensor) {
        if let Some(node) = &parameter.node {
            self.by_node.insert(node.id, gradient);
        }
    }

    /// The number of tensors with a gradient.
    pub fn len(&self) -> usize {
        self.by_node.len()
    }

    /// Whether there is no gradient.
    pub fn is_empty(&self) -> bool {
        self.by_node.is_empty()
    }
}
