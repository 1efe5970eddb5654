//! [`Parts`]: the list of what a layer consists of.

use super::{Layer, Parameter};

/// Collects the parameters of a model under their full names, `fc1.weight`.
#[derive(Default)]
pub struct Parts<'a> {
    path: String,
    parameters: Vec<(String, &'a Parameter)>,
}

impl<'a> Parts<'a> {
    /// A parameter of this layer.
    pub fn parameter(&mut self, name: &str, parameter: &'a Parameter) -> &mut Self {
        self.parameters.push((format!("{}{name}", self.path), parameter));
        self
    }

    /// A layer inside this layer.
    pub fn layer(&mut self, name: &str, layer: &'a (impl Layer + ?Sized)) -> &mut Self {
        let outer = self.path.len();
        self.path.push_str(name);
        self.path.push('.');
        layer.parts(self);
        self.path.truncate(outer);
        self
    }

    pub(super) fn into_parameters(self) -> Vec<(String, Parameter)> {
        self.parameters.into_iter().map(|(name, parameter)| (name, parameter.clone())).collect()
    }
}
