//! Layers: what models are made of.
//!
//! A model is plain data, a struct of layers or a [`Sequential`]; [`parts`](Layer::parts) is the only list a layer
//! writes, and from it come its parameters and their names.

mod attention;
mod bilinear;
mod conv;
mod dropout;
mod dtype;
mod embedding;
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
    AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, MaxPool1d,
    MaxPool2d, Upsample,
};
pub use dropout::{Dropout, Dropout2d};
pub use dtype::to_dtype;
pub use embedding::Embedding;
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
pub use parameter::{Buffer, Parameter, StateEntry};
pub use prelu::PRelu;
pub use reshape::Reshape;
pub use residual::Residual;
pub use rnn::{
    Cell, Gru, GruCell, Lstm, LstmCell, Recurrent, RecurrentProjection, Rnn, RnnCell, RnnOptions, RnnWeights,
};
pub use sequential::Sequential;
pub use softmax::{LogSoftmax, Softmax, Softmin};
pub use summary::Summary;

use candle_core::{DType, Device};

use crate::activation::Activation;
use crate::autograd::{Tensor, no_grad};
use crate::error::Result;
use pattern::fitting;

/// A function of a tensor with parameters that can be learned.
///
/// ```
/// use tealight::prelude::*;
///
/// struct Scale { factor: Parameter }
/// impl Layer for Scale {
///     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> { x * &self.factor.get() }
///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) { fields.parameter("factor", &self.factor); }
/// }
///
/// let layer = Scale { factor: Parameter::new(Tensor::new(3.0, &Device::Cpu)?) };
/// assert_eq!(layer.predict(&Tensor::new(&[1.0, 2.0], &Device::Cpu)?)?.to_vec1::<f64>()?, [3.0, 6.0]);
/// assert_eq!(layer.parameters()[0].0, "factor");
/// # Ok::<(), tealight::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer",
    label = "a layer was expected here",
    note = "a layer has `forward` and `fields` (see `fields!`); an activation is a layer, and a function becomes one by `Lambda`"
)]
pub trait Layer: Send + Sync {
    /// The output for `x`.
    ///
    /// # Errors
    /// Inputs that the layer was not made for.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones(2, DType::F32, &Device::Cpu)?;
    /// // What a layer does can depend on the pass.
    /// let y = Dropout::new(1.0)?.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?;
    /// assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor>;

    /// Names the layer's parameters and inner layers, in order. [`fields!`](crate::parts) writes it.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// struct Block { fc: Linear }
    /// impl Layer for Block {
    ///     fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> { ctx.call("fc", &self.fc, x)?.relu() }
    ///     fn fields<'a>(&'a self, fields: &mut Fields<'a>) { fields.layer("fc", &self.fc); }
    /// }
    /// let block = Block { fc: Linear::new(3, 2, &mut Rng::seed(1))? };
    /// assert_eq!(block.parameters()[1].0, "fc.bias");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn fields<'a>(&'a self, fields: &mut Fields<'a>);

    /// The output for `x` as when the model is used: an evaluating [`ForwardContext`], and no history.
    ///
    /// # Errors
    /// Those of `forward`.
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

    /// Every parameter and buffer with its full name, such as `0.weight`, in the order of [`parts`](Layer::parts). The
    /// handles are shared: setting one changes the model.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let names: Vec<String> = BatchNorm1d::new(3)?.state().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "state_dict")]
    fn state(&self) -> Vec<(String, StateEntry)> {
        let mut fields = Fields::default();
        self.fields(&mut fields);
        fields.into_entries()
    }

    /// Every parameter with its full name; buffers are left out.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let names: Vec<String> = BatchNorm1d::new(3)?.parameters().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["weight", "bias"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "named_parameters")]
    #[doc(alias = "trainable_weights")]
    fn parameters(&self) -> Vec<(String, Parameter)> {
        let parameter = |(name, held)| match held {
            StateEntry::Parameter(parameter) => Some((name, parameter)),
            StateEntry::Buffer(_) => None,
        };
        self.state().into_iter().filter_map(parameter).collect()
    }

    /// Freezes the parameters whose full names fit `pattern`, in which `*` stands for any text: they have no gradients
    /// any more, and optimizers pass them over. Returns how many there are.
    ///
    /// # Errors
    /// A pattern that no name fits.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let rng = &mut Rng::seed(1);
    /// let model = Sequential::new().push(Linear::new(3, 4, rng)?).push(Tanh).push(Linear::new(4, 2, rng)?);
    /// assert_eq!(model.freeze("0.*")?, 2);
    /// let y = model.forward(&Tensor::ones((1, 3), DType::F32, &Device::Cpu)?, &mut ForwardContext::eval())?;
    /// assert_eq!(y.sum_all()?.backward()?.len(), 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "requires_grad_")]
    fn freeze(&self, pattern: &str) -> Result<usize> {
        set_frozen("freeze", self.parameters(), pattern, true)
    }

    /// Lets the parameters whose names fit `pattern` learn again: see [`freeze`](Layer::freeze).
    ///
    /// # Errors
    /// A pattern that no name fits.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// layer.freeze("*")?;
    /// assert_eq!(layer.unfreeze("bias")?, 1);
    /// assert_eq!(layer.parameters().iter().filter(|(_, parameter)| parameter.is_frozen()).count(), 1);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn unfreeze(&self, pattern: &str) -> Result<usize> {
        set_frozen("unfreeze", self.parameters(), pattern, false)
    }

    /// The table of the layers, their output shapes and parameters, for an input of this shape.
    ///
    /// The layers inside a layer have rows if they are run by [`ForwardContext::call`], as those of a [`Sequential`] are.
    ///
    /// # Errors
    /// Those of `forward` for a tensor of zeros of this shape.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Sequential::new().push(Linear::new(3, 4, &mut Rng::seed(1))?).push(Tanh);
    /// let summary = model.summary(&[10, 3])?;
    /// assert_eq!(summary.parameters(), 16);
    /// println!("{summary}");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn summary(&self, input_shape: &[usize]) -> Result<Summary> {
        let dtype = self.parameters().first().map_or(DType::F32, |(_, parameter)| parameter.get().dtype());
        let x = Tensor::zeros(input_shape, dtype, &Device::Cpu)?;
        Ok(no_grad(|| ForwardContext::eval().summarised(self, &x))?.1)
    }

    /// The name of the layer's type, without its path: what a summary calls it.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!((Relu.kind(), Linear::new(3, 2, &mut Rng::seed(1))?.kind()), ("Relu", "Linear"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn kind(&self) -> &'static str {
        let name = std::any::type_name::<Self>().split('<').next().unwrap_or_default();
        name.rsplit("::").next().unwrap_or_default()
    }
}

fn set_frozen(
    op: &'static str,
    parameters: Vec<(String, Parameter)>,
    pattern: &str,
    frozen: bool,
) -> Result<usize> {
    let fitting = fitting(op, parameters.iter().map(|(name, _)| name.as_str()), pattern)?;
    for &i in &fitting {
        parameters[i].1.set_frozen(frozen);
    }
    Ok(fitting.len())
}

impl<A: Activation> Layer for A {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.apply(x)
    }

    fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn what_is_frozen_stays() -> Result<()> {
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
