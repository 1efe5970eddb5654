//! [`Gradients`]: what a backward pass found.

use std::collections::BTreeMap;

use super::Tensor;

/// The gradients of the parameters that a scalar depends on, and of the tensors with [`retain_grad`](Tensor::retain_grad).
#[derive(Debug, Default)]
pub struct Gradients {
    pub(super) by_node: BTreeMap<u64, Tensor>,
}

impl Gradients {
    /// The gradient of a parameter; `None` if the scalar does not depend on it, or if it is neither a parameter nor
    /// retained.
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
    pub fn len(&self) -> usize {
        self.by_node.len()
    }

    /// Whether none has one.
    pub fn is_empty(&self) -> bool {
        self.by_node.is_empty()
    }
}
