//! Softmax as a layer.
//!
//! # Formula
//! exp(x) / Σ exp(x) along the last axis
//!
//! # Errors
//! A scalar; a dtype that is no float.

use super::{Layer, Parts, Pass};
use crate::autograd::Tensor;
use crate::error::Result;

/// Softmax along the last axis. For training, give the scores to [`CrossEntropy`](crate::loss::CrossEntropy) instead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Softmax;

impl Layer for Softmax {
    fn forward(&self, x: &Tensor, _: &mut Pass) -> Result<Tensor> {
        x.softmax(-1)
    }

    fn parts<'a>(&'a self, _: &mut Parts<'a>) {}
}
