//! [`Task`]: the model and the loss of a trainer, with one input, output and target, or with several.

use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::{ForwardContext, Layer};
use crate::loss::Loss;

/// The only tensor of a list.
pub(super) fn one<'t>(what: &str, tensors: &'t [Tensor]) -> Result<&'t Tensor> {
    match tensors {
        [tensor] => Ok(tensor),
        _ => {
            let expected = format!("one {what} (see Trainer::with_forward)");
            Err(Error::argument("fit", expected, tensors.len()))
        }
    }
}

type Forward<'a> = Box<dyn Fn(&[Tensor], &mut ForwardContext) -> Result<Vec<Tensor>> + 'a>;
type MultiLoss<'a> = Box<dyn Fn(&[Tensor], &[Tensor]) -> Result<Tensor> + 'a>;

pub(super) enum Task<'a> {
    One(&'a dyn Layer, Box<dyn Loss + 'a>),
    Multi(Forward<'a>, MultiLoss<'a>),
}

impl Task<'_> {
    pub(super) fn forward(&self, inputs: &[Tensor], ctx: &mut ForwardContext) -> Result<Vec<Tensor>> {
        match self {
            Task::One(model, _) => Ok(vec![model.forward(one("input", inputs)?, ctx)?]),
            Task::Multi(forward, _) => forward(inputs, ctx),
        }
    }

    pub(super) fn predict(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        no_grad(|| self.forward(inputs, &mut ForwardContext::eval()))
    }

    pub(super) fn loss(&self, outputs: &[Tensor], targets: &[Tensor]) -> Result<Tensor> {
        match self {
            Task::One(_, loss) => loss.loss(one("output", outputs)?, one("target", targets)?),
            Task::Multi(_, loss) => loss(outputs, targets),
        }
    }

    /// See [`Loss::divisor`].
    pub(super) fn divisor(&self, outputs: &[Tensor], targets: &[Tensor]) -> Result<Option<f64>> {
        match self {
            Task::One(_, loss) => loss.divisor(one("output", outputs)?, one("target", targets)?),
            Task::Multi(..) => {
                let rows = outputs.first().and_then(|y| y.dims().first());
                Ok(Some(rows.map_or(1.0, |&rows| rows as f64)))
            }
        }
    }

    /// The name of the loss.
    pub(super) fn name(&self) -> String {
        match self {
            Task::One(_, loss) => format!("{loss:?}"),
            Task::Multi(..) => "a function of several outputs".into(),
        }
    }
}
