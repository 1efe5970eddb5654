//! [`ForwardContext`]: what a forward pass hands to every layer.

use std::fmt::Debug;
use std::sync::Arc;

use super::summary::{Recorder, Summary};
use super::{Layer, Peer};
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
    outputs: Option<Outputs>,
    peer: Option<Arc<Peer>>,
}

/// What happens to the outputs of the layers that are run, and the full name of the one that is running.
#[derive(Clone, Debug, Default)]
struct Outputs {
    path: String,
    map: Option<Map>,
    kept: bool,
    all: Vec<(String, Tensor)>,
}

type Function = dyn Fn(&str, Tensor) -> Result<Tensor> + Send + Sync;

#[derive(Clone)]
struct Map(Arc<Function>);

impl Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Map")
    }
}

impl Outputs {
    fn see(&mut self, outputs: &mut [Tensor]) -> Result<()> {
        for y in outputs {
            if let Some(Map(f)) = &self.map {
                *y = f(&self.path, y.clone())?;
            }
            self.all.extend(self.kept.then(|| (self.path.clone(), y.clone())));
        }
        Ok(())
    }
}

impl ForwardContext {
    /// Training mode. Layers such as [`Dropout`](super::Dropout) draw from `rng`: the same seed gives the same output.
    pub fn train(rng: Rng) -> Self {
        ForwardContext { rng: Some(rng), recorder: None, outputs: None, peer: None }
    }

    /// Evaluation mode: nothing is random, and running statistics are used and not updated.
    pub fn eval() -> Self {
        ForwardContext { rng: None, recorder: None, outputs: None, peer: None }
    }

    /// Whether this is training mode.
    #[doc(alias = "training")]
    pub fn is_training(&self) -> bool {
        self.rng.is_some()
    }

    /// The same for one of the shards of a batch that are computed side by side.
    pub(crate) fn with_peer(self, peer: Arc<Peer>) -> Self {
        ForwardContext { peer: Some(peer), ..self }
    }

    /// What connects the shard with the others, if layers that look at a whole batch are to see all of them.
    pub(crate) fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref()
    }

    /// The random number generator of training mode; none in evaluation mode.
    pub fn rng(&mut self) -> Option<&mut Rng> {
        self.rng.as_mut()
    }

    /// Keeps the output of every layer inside the model that runs next, for [`outputs`](ForwardContext::outputs).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let rng = &mut Rng::seed(1);
    /// let model = Sequential::new().push(Linear::new(3, 4, rng)?).push(Relu).push(Linear::new(4, 2, rng)?);
    /// let ctx = &mut ForwardContext::eval().record_outputs();
    /// let y = model.forward(&Tensor::randn(0.0, 1.0, (5, 3), rng)?, ctx)?;
    /// let hidden = &ctx.outputs()[1];
    /// assert_eq!((hidden.0.as_str(), hidden.1.dims()), ("1", &[5, 4][..]));
    /// hidden.1.retain_grad()?; // and its gradient
    /// assert!(y.sum_all()?.backward()?.get(&hidden.1).is_some());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "register_forward_hook")]
    #[must_use]
    pub fn record_outputs(mut self) -> Self {
        self.outputs.get_or_insert_default().kept = true;
        self
    }

    /// Passes the output of every layer inside the model through `f`, with the full name of the layer; the model goes on with what it
    /// returns. It sees the layers that [`outputs`](ForwardContext::outputs) would show.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let rng = &mut Rng::seed(1);
    /// let model = Sequential::new().push(Linear::new(3, 4, rng)?).push(Relu).push(Linear::new(4, 2, rng)?.without_bias());
    /// // Without the hidden units, to see what they do.
    /// let ctx = ForwardContext::eval().map_outputs(|name, y| if name == "1" { y.zeros_like() } else { Ok(y) });
    /// let y = model.forward(&Tensor::randn(0.0, 1.0, (5, 3), rng)?, &mut { ctx })?;
    /// assert_eq!(y.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "register_forward_hook")]
    #[must_use]
    pub fn map_outputs(mut self, f: impl Fn(&str, Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Self {
        self.outputs.get_or_insert_default().map = Some(Map(Arc::new(f)));
        self
    }

    /// The outputs of the layers inside the model by full name, such as `encoder.fc1`, in the order in which the layers
    /// ended; empty without [`record_outputs`](ForwardContext::record_outputs).
    ///
    /// A layer is seen if it is run by [`call`](ForwardContext::call), as those of a [`Sequential`](super::Sequential) are.
    /// One that runs several times, or has several outputs, is there as often.
    pub fn outputs(&self) -> &[(String, Tensor)] {
        self.outputs.as_ref().map_or(&[], |outputs| &outputs.all)
    }

    /// The output of a whole model, and the table of its layers.
    pub(crate) fn summarize(self, model: &(impl Layer + ?Sized), x: &Tensor) -> Result<(Tensor, Summary)> {
        self.summarize_with(model, |ctx| model.forward(x, ctx))
    }

    pub(crate) fn summarize_with<Y: AsRef<[Tensor]>>(
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
    pub fn call_with<Y: AsRef<[Tensor]> + AsMut<[Tensor]>>(
        &mut self,
        name: &str,
        layer: &(impl Layer + ?Sized),
        f: impl FnOnce(&mut Self) -> Result<Y>,
    ) -> Result<Y> {
        let outside = self.outputs.as_mut().map(|outputs| {
            let outside = outputs.path.len();
            outputs.path.extend((outside > 0).then_some('.'));
            outputs.path.push_str(name);
            outside
        });
        let y = named_scope(name, || {
            let mut y = self.recorded(name, layer, f)?;
            self.outputs.as_mut().map_or(Ok(()), |outputs| outputs.see(y.as_mut()))?;
            Ok(y)
        });
        if let (Some(outputs), Some(outside)) = (&mut self.outputs, outside) {
            outputs.path.truncate(outside);
        }
        y
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

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn outputs_replaced() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let (first, last) = (Linear::new(3, 4, rng)?, Linear::new(4, 4, rng)?);
        let inner = Sequential::new().push(first.clone()).push(Tanh);
        let model = Sequential::new().push(inner).push(last.clone());
        let x = Tensor::randn(0.0, 1.0, (2, 3), rng)?.into_parameter();
        let twice = |name: &str, y: Tensor| if name == "0.1" { y * 2.0 } else { Ok(y) };
        let ctx = &mut ForwardContext::eval().map_outputs(twice).record_outputs();
        let y = model.forward(&x, ctx)?;
        let plain = &mut ForwardContext::eval();
        let by_hand = last.forward(&(first.forward(&x, plain)?.tanh()? * 2.0)?, plain)?;
        assert_eq!(y, by_hand);
        assert_eq!(ctx.outputs()[1].1, ctx.outputs()[2].1); // what was kept is what went on
        let slope = |y: &Tensor| y.sum_all()?.backward()?.get(&x).unwrap().to_vec2::<f32>();
        assert_eq!(slope(&y)?, slope(&by_hand)?);
        // Each output of a layer with several, and an error with the layer's name.
        let pair = |ctx: &mut ForwardContext| ctx.call_with("pair", &Tanh, |_| Ok([x.clone(), x.clone()]));
        let [a, b] = pair(&mut ForwardContext::eval().map_outputs(|_, y| y + 1.0))?;
        assert_eq!((&a, &b), (&(&x + 1.0)?, &(&x + 1.0)?));
        let error =
            pair(&mut ForwardContext::eval().map_outputs(|_, y| y.reshape(7))).unwrap_err().to_string();
        assert!(error.starts_with("pair: reshape: expected"), "{error}");
        Ok(())
    }

    #[test]
    fn outputs_by_name() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let inner = Sequential::new().push(Linear::new(3, 4, rng)?).push(Tanh);
        let model = Sequential::new().push(inner).push(Residual::new(Linear::new(4, 4, rng)?));
        let x = Tensor::randn(0.0, 1.0, (2, 3), rng)?;
        let ctx = &mut ForwardContext::train(Rng::seed(1)).record_outputs();
        let y = model.forward(&x, ctx)?;
        let names: Vec<&str> = ctx.outputs().iter().map(|(name, _)| &name[..]).collect();
        assert_eq!(names, ["0.0", "0.1", "0", "1"]);
        let [linear, tanh, inner, last] = [0, 1, 2, 3].map(|i| &ctx.outputs()[i].1);
        assert_eq!((&linear.tanh()?, inner, last), (tanh, tanh, &y));
        // A layer that fails leaves no trace in the names of the next run.
        assert!(model.forward(&y, ctx).is_err());
        model.forward(&x, ctx)?;
        assert_eq!((ctx.outputs().len(), &ctx.outputs()[4].0[..]), (8, "0.0"));
        let ctx = &mut ForwardContext::eval();
        model.forward(&x, ctx)?;
        assert!(ctx.outputs().is_empty());
        Ok(())
    }
}
