//! Layers: the building blocks of models.
//!
//! A model is a layer too: a struct of layers, or a [`Sequential`]. Parameters have PyTorch's names.

mod attention;
mod bilinear;
mod boxed;
mod conv;
mod convert;
mod dropout;
mod embedding;
mod embedding_bag;
mod fields;
mod flatten;
mod forward_context;
mod glu;
mod gradcheck;
pub mod init;
mod lambda;
mod linear;
mod norm;
mod parameter;
pub(crate) mod pattern;
mod peers;
mod prelu;
mod reshape;
mod residual;
mod rnn;
mod sequential;
mod softmax;
mod summary;

pub use attention::{AttentionMask, MultiHeadAttention, TransformerEncoderLayer};
pub use bilinear::Bilinear;
pub use conv::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AvgPool1d, AvgPool2d, Conv1d,
    Conv2d, ConvTranspose1d, ConvTranspose2d, MaxPool1d, MaxPool2d, Upsample,
};
pub use dropout::{Dropout, Dropout2d};
pub use embedding::Embedding;
pub use embedding_bag::{BagMode, EmbeddingBag};
pub use fields::{Field, Fields};
pub use flatten::Flatten;
pub use forward_context::ForwardContext;
pub use glu::Glu;
pub use gradcheck::gradcheck;
pub use lambda::Lambda;
pub use linear::Linear;
pub use norm::{
    BatchNorm, BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm, LayerNorm, RmsNorm, RunningStats,
};
pub(crate) use parameter::Lender;
pub use parameter::{Buffer, Parameter, StateEntry};
pub(crate) use peers::Peer;
pub use prelu::PRelu;
pub use reshape::Reshape;
pub use residual::Residual;
pub use rnn::{
    Gru, GruCell, Lstm, LstmCell, OnnxCell, Recurrent, RecurrentCell, RecurrentMap, Rnn, RnnCell, RnnOptions,
    RnnWeights,
};
pub use sequential::Sequential;
pub use softmax::{LogSoftmax, Softmax, Softmin};
pub use summary::Summary;

use candle_core::{DType, Device};

use crate::activation::Activation;
use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};
use pattern::matching;

/// A function of a tensor, with parameters that can be learned; PyTorch's `nn.Module`.
///
/// ```
/// use tealight::prelude::*;
/// struct Net { fc: Linear, scale: Parameter }
/// impl Layer for Net {
///     fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
///         ctx.call("fc", &self.fc, x)?.relu()? * &self.scale.get()
///     }
///     tealight::fields!(fc, scale);
/// }
/// # let scale = Parameter::new(Tensor::new(3.0, &Device::Cpu)?);
/// # let net = Net { fc: Linear::new(3, 2, &mut Rng::seed(1))?, scale };
/// # let names: Vec<String> = net.parameters().into_iter().map(|(name, _)| name).collect();
/// # assert_eq!(names, ["fc.weight", "fc.bias", "scale"]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "Module")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    label = "expected a layer",
    note = "a layer has `forward` and `fields` (see `fields!`); activations are layers, and `Lambda` makes a layer of a function"
)]
pub trait Layer: Send + Sync {
    /// The output for `x`. To run a model after training, use [`predict`](Layer::predict).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (layer, x) = (Dropout::new(1.0)?, Tensor::ones(2, DType::F32, &Device::Cpu)?);
    /// let y = layer.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?;
    /// assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// A layer with several inputs leaves it out and has its own method instead, which [`ForwardContext::call_with`] runs.
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let _ = (x, ctx);
        let got = format!("{}, which has a call of its own", self.kind());
        Err(Error::argument("forward", "a layer with one input", got))
    }

    /// Lists the layer's parameters, buffers and inner layers with their names. [`fields!`](crate::fields) writes this
    /// method.
    fn fields<'a>(&'a self, fields: &mut Fields<'a>);

    /// The output for `x` in evaluation mode, without recording a graph: PyTorch's `model.eval()` and `no_grad()`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// let y = layer.predict(&Tensor::ones((1, 3), DType::F32, &Device::Cpu)?)?;
    /// assert!(!y.requires_grad());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn predict(&self, x: &Tensor) -> Result<Tensor> {
        no_grad(|| self.forward(x, &mut ForwardContext::eval()))
    }

    /// Every parameter and buffer with its full name, such as `0.weight`, in the order of [`fields`](Layer::fields). The
    /// handles are shared: setting one changes the model.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let names: Vec<String> = BatchNorm1d::new(3)?.state_dict().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn state_dict(&self) -> Vec<(String, StateEntry)> {
        let mut fields = Fields::default();
        self.fields(&mut fields);
        fields.into_entries()
    }

    /// Every parameter with its full name, without the buffers.
    #[doc(alias = "named_parameters")]
    #[doc(alias = "trainable_weights")]
    fn parameters(&self) -> Vec<(String, Parameter)> {
        let parameter = |(name, entry)| match entry {
            StateEntry::Parameter(parameter) => Some((name, parameter)),
            StateEntry::Buffer(_) => None,
        };
        self.state_dict().into_iter().filter_map(parameter).collect()
    }

    /// Freezes the parameters whose full names match `pattern`, in which `*` stands for any text: they get no gradients,
    /// and optimizers skip them. Returns how many there are.
    ///
    /// # Errors
    /// Errors if no name matches.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let rng = &mut Rng::seed(1);
    /// let model = Sequential::new().push(Linear::new(3, 4, rng)?).push(Tanh).push(Linear::new(4, 2, rng)?);
    /// assert_eq!(model.freeze("0.*")?, 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "requires_grad_")]
    fn freeze(&self, pattern: &str) -> Result<usize> {
        set_frozen("freeze", "parameter", self.state_dict(), pattern, true)
    }

    /// Unfreezes the parameters whose full names match `pattern`; see [`freeze`](Layer::freeze).
    ///
    /// # Errors
    /// Errors if no name matches.
    fn unfreeze(&self, pattern: &str) -> Result<usize> {
        set_frozen("unfreeze", "parameter", self.state_dict(), pattern, false)
    }

    /// Freezes the buffers whose full names match `pattern`, in which `*` stands for any text: training leaves them as they are. A
    /// [`BatchNorm`] whose running statistics are frozen uses them while training too, as when it evaluates. Returns how many there
    /// are. [`freeze`](Layer::freeze) freezes parameters only.
    ///
    /// # Errors
    /// Errors if no name matches.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let backbone = Sequential::new().push(Conv2d::new(3, 8, 3, ConvOptions::new(), &mut Rng::seed(1))?).push(BatchNorm2d::new(8)?);
    /// backbone.freeze("*")?; // the parameters
    /// assert_eq!(backbone.freeze_buffers("*.running_*")?, 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "eval")]
    fn freeze_buffers(&self, pattern: &str) -> Result<usize> {
        set_frozen("freeze_buffers", "buffer", self.state_dict(), pattern, true)
    }

    /// Unfreezes the buffers whose full names match `pattern`; see [`freeze_buffers`](Layer::freeze_buffers).
    ///
    /// # Errors
    /// Errors if no name matches.
    fn unfreeze_buffers(&self, pattern: &str) -> Result<usize> {
        set_frozen("unfreeze_buffers", "buffer", self.state_dict(), pattern, false)
    }

    /// Changes all float parameters and buffers to another float dtype; integer buffers keep theirs.
    ///
    /// Call it before making an optimizer: the model has new parameters, and an optimizer refuses gradients of parameters
    /// that it was not made with.
    ///
    /// # Errors
    /// Errors if `dtype` is not a float dtype, or if the device does not support it. Nothing is changed then.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// model.to_dtype(DType::F64)?;
    /// assert_eq!(model.predict(&Tensor::ones((1, 3), DType::F64, &Device::Cpu)?)?.dtype(), DType::F64);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "to")]
    #[doc(alias = "double")]
    #[doc(alias = "half")]
    fn to_dtype(&self, dtype: DType) -> Result<()> {
        if !dtype.is_float() {
            return Err(Error::dtype("to_dtype", "a float dtype", &[dtype]));
        }
        convert::replace_state(self, |value| {
            let changes = value.dtype().is_float() && value.dtype() != dtype;
            changes.then(|| value.to_dtype(dtype)).transpose()
        })
    }

    /// Moves all parameters and buffers to a device. Call it before making an optimizer, as [`to_dtype`](Layer::to_dtype).
    ///
    /// # Errors
    /// Errors if the device does not support a dtype, or has too little memory. Nothing is changed then.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let device = Device::cuda_if_available(0)?;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// model.to_device(&device)?;
    /// assert!(model.weight.get().device().same_device(&device));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "to")]
    #[doc(alias = "cuda")]
    fn to_device(&self, device: &Device) -> Result<()> {
        convert::replace_state(self, |value| {
            let moves = !value.device().same_device(device);
            moves.then(|| value.to_device(device)).transpose()
        })
    }

    /// The table of the model's layers, with their output shapes and parameters, for a batch of zeros of this shape.
    ///
    /// Layers inside a layer have a row of their own if they are run by [`ForwardContext::call`], as those of a
    /// [`Sequential`] are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Sequential::new().push(Linear::new(3, 4, &mut Rng::seed(1))?).push(Tanh);
    /// let summary = model.summary(&[10, 3])?;
    /// assert_eq!(summary.num_parameters(), 16);
    /// println!("{summary}");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn summary(&self, input_shape: &[usize]) -> Result<Summary> {
        let x = match self.parameters().first() {
            Some((_, parameter)) => {
                let parameter = parameter.get();
                Tensor::zeros(input_shape, parameter.dtype(), parameter.device())?
            }
            None => Tensor::zeros(input_shape, DType::F32, &Device::Cpu)?,
        };
        Ok(no_grad(|| ForwardContext::eval().summarize(self, &x))?.1)
    }

    /// The name of the layer's type without its path, such as `Linear`: its name in a summary.
    fn kind(&self) -> &'static str {
        let name = std::any::type_name::<Self>();
        let name = name.split_once('<').map_or(name, |(name, _)| name);
        name.rsplit_once("::").map_or(name, |(_, name)| name)
    }
}

/// Freezes or unfreezes parameters or buffers.
fn set_frozen(
    op: &'static str,
    what: &str,
    mut state: Vec<(String, StateEntry)>,
    pattern: &str,
    frozen: bool,
) -> Result<usize> {
    state.retain(|(_, entry)| matches!(entry, StateEntry::Parameter(_)) == (what == "parameter"));
    let matching = matching(op, what, state.iter().map(|(name, _)| name.as_str()), pattern)?;
    matching.iter().for_each(|&i| state[i].1.set_frozen(frozen));
    Ok(matching.len())
}

impl<A: Activation> Layer for A {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.apply(x)
    }

    crate::fields!();
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn frozen_parameters_do_not_change() -> Result<()> {
        let model = Sequential::new().push(Linear::new(2, 1, &mut Rng::seed(1))?);
        let mut optimizer = Sgd::new(model.parameters(), 0.1)?;
        let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu)?;
        let mut step = || -> Result<bool> {
            let before = model.parameters()[0].1.get().to_vec2::<f32>()?;
            optimizer.step(&model.forward(&x, &mut ForwardContext::eval())?.sum_all()?.backward()?)?;
            Ok(model.parameters()[0].1.get().to_vec2::<f32>()? == before)
        };
        assert!(!step()?);
        model.freeze("*.weight")?;
        assert!(step()?);
        model.unfreeze("*")?;
        assert!(!step()?);
        Ok(())
    }
}
