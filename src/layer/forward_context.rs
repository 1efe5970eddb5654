//! [`ForwardContext`]: what a forward pass hands to every layer.

use super::Layer;
use super::summary::{Recorder, Summary};
use crate::autograd::{Tensor, named_scope};
use crate::error::Result;
use crate::ops::Rng;

/// The mode of a forward pass: training, with its random number generator, or evaluation.
///
/// It takes the place of PyTorch's `model.train()` and `model.eval()`, which change the model.
///
/// ```
/// use tealight::prelude::*;
/// let (layer, x) = (Dropout::new(1.0)?, Tensor::ones(2, DType::F32, &Device::Cpu)?);
/// assert_eq!(layer.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?.to_vec1::<f32>()?, [0.0, 0.0]);
/// assert_eq!(layer.forward(&x, &mut ForwardContext::eval())?.to_vec1::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ForwardContext {
    rng: Option<Rng>,
    recorder: Option<Recorder>,
}

impl ForwardContext {
    /// Training mode. Layers such as [`Dropout`](super::Dropout) draw from `rng`: the same seed gives the same output.
    pub fn train(rng: Rng) -> Self {
        ForwardContext { rng: Some(rng), recorder: None }
    }

    /// Evaluation mode: nothing is random, and running statistics are used and not updated.
    pub fn eval() -> Self {
        ForwardContext { rng: None, recorder: None }
    }

    /// Whether this is training mode.
    #[doc(alias = "training")]
    pub fn is_training(&self) -> bool {
        self.rng.is_some()
    }

    /// The random number generator of training mode; none in evaluation mode.
    pub fn rng(&mut self) -> Option<&mut Rng> {
        self.rng.as_mut()
    }

    /// The output of a whole model, and the table of its layers.
    pub(crate) fn summarize(self, model: &(impl Layer + ?Sized), x: &Tensor) -> Result<(Tensor, Summary)> {
        self.summarize_with(model, |ctx| model.forward(x, ctx))
    }

    pub(super) fn summarize_with<Y: AsRef<[Tensor]>>(
        mut self,
        model: &(impl Layer + ?Sized),
        f: impl FnOnce(&mut Self) -> Result<Y>,
    ) -> Result<(Y, Summary)> {
        self.recorder = Some(Recorder::default());
        let y = self.recorded("model", model, f)?;
        let recorder = self.recorder.expect("recorded leaves the recorder in its place");
        Ok((y, recorder.into_summary()))
    }

    /// Runs a layer inside another one under its name: [`summary`](Layer::summary) shows a row for it, and its errors
    /// begin with the name.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// let x = Tensor::zeros((1, 4), DType::F32, &Device::Cpu)?;
    /// let error = ForwardContext::eval().call("fc1", &layer, &x).unwrap_err();
    /// assert!(error.to_string().starts_with("fc1: linear: expected inputs of shape [.., 3]"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn call(&mut self, name: &str, layer: &(impl Layer + ?Sized), x: &Tensor) -> Result<Tensor> {
        self.call_with(name, layer, |ctx| layer.forward(x, ctx))
    }

    /// Runs a layer that has several inputs or outputs, by a call of its own, as [`call`](ForwardContext::call) runs the others.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// struct Siamese { encoder: Linear }
    /// impl Siamese {
    ///     fn distance(&self, a: &Tensor, b: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    ///         let [a, b] = [ctx.call("encoder", &self.encoder, a)?, ctx.call("encoder", &self.encoder, b)?];
    ///         (a - b)?.norm(2.0, -1)
    ///     }
    /// }
    /// // A layer without `forward`: it has parameters, and is saved and loaded.
    /// impl Layer for Siamese { tealight::fields!(encoder); }
    ///
    /// let (net, x) = (Siamese { encoder: Linear::new(3, 2, &mut Rng::seed(1))? }, Tensor::ones((4, 3), DType::F32, &Device::Cpu)?);
    /// let y = ForwardContext::eval().call_with("pair", &net, |ctx| net.distance(&x, &x, ctx))?;
    /// assert_eq!(y.to_vec1::<f32>()?, [0.0; 4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn call_with<Y: AsRef<[Tensor]>>(
        &mut self,
        name: &str,
        layer: &(impl Layer + ?Sized),
        f: impl FnOnce(&mut Self) -> Result<Y>,
    ) -> Result<Y> {
        named_scope(name, || self.recorded(name, layer, f))
    }

    fn recorded<Y: AsRef<[Tensor]>>(
        &mut self,
        name: &str,
        layer: &(impl Layer + ?Sized),
        f: impl FnOnce(&mut Self) -> Result<Y>,
    ) -> Result<Y> {
        let row = self.recorder.as_mut().map(|recorder| recorder.enter(name, layer.kind()));
        let y = f(self)?;
        if let (Some(recorder), Some(row)) = (&mut self.recorder, row) {
            recorder.leave(row, layer.parameters(), y.as_ref());
        }
        Ok(y)
    }
}
