//! Group and instance normalization.

use super::{affine, checked_eps, ones, per_channel, zeros};
use crate::autograd::Tensor;
use crate::autograd::array::count;
use crate::error::{Error, Result};
use crate::layer::{ForwardContext, Layer, Parameter};
use crate::ops::standardize;

/// Normalizes groups of channels of each input to mean 0 and variance 1, then scales and shifts each channel.
///
/// # Shapes
/// (n, channels, ..); the shape stays.
///
/// # Formula
/// y = (x − mean) / √(var + ε) · w + b, mean and var (with divisor n) over the channels of a group and all later axes
///
/// # Errors
/// Errors if a group has one element only: it would always become 0.
///
/// # Source
/// Y. Wu and K. He 2018
///
/// ```
/// use tealight::layer::GroupNorm;
/// use tealight::prelude::*;
/// // Two groups of two channels.
/// let y = GroupNorm::new(2, 4)?.predict(&Tensor::new(&[[1_f32, 3.0, 100.0, 300.0]], &Device::Cpu)?)?;
/// assert_eq!(y.round()?.to_vec2::<f32>()?, [[-1.0, 1.0, -1.0, 1.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "GroupNormalization")]
#[derive(Clone, Debug)]
pub struct GroupNorm {
    /// w, (channels), initially ones.
    pub weight: Option<Parameter>,
    /// b, (channels), initially zeros.
    pub bias: Option<Parameter>,
    groups: usize,
    channels: usize,
    eps: f64,
}

impl GroupNorm {
    /// A layer for `channels` channels in `groups` groups, in f32.
    ///
    /// # Errors
    /// Errors if `groups` does not divide `channels`.
    pub fn new(groups: usize, channels: usize) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            let got = format!("{channels} channels in {groups} groups");
            return Err(Error::argument("group_norm", "channels that the groups divide", got));
        }
        Ok(GroupNorm { weight: ones(channels)?, bias: zeros(channels)?, groups, channels, eps: 1e-5 })
    }

    /// Removes w and b.
    pub fn without_affine(self) -> Self {
        GroupNorm { weight: None, bias: None, ..self }
    }

    /// Sets ε. Default: `1e-5`.
    ///
    /// # Errors
    /// Errors if `eps` is not above 0.
    pub fn eps(self, eps: f64) -> Result<Self> {
        Ok(GroupNorm { eps: checked_eps("group_norm", eps)?, ..self })
    }
}

impl Layer for GroupNorm {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let &GroupNorm { groups, channels, eps, .. } = self;
        let y = grouped("group_norm", x, groups, channels, eps)?;
        affine(y, &self.weight, &self.bias, &per_channel(channels, x.rank()))
    }

    crate::fields!(weight, bias);
}

/// Normalizes each channel of each input to mean 0 and variance 1: a [`GroupNorm`] with one channel in each group.
///
/// # Shapes
/// (n, channels, ..), images or sequences; the shape stays.
///
/// # Formula
/// y = (x − mean) / √(var + ε), mean and var (with divisor n) over the axes after the channels; then · w + b if
/// [`affine`](InstanceNorm::affine)
///
/// # Errors
/// Errors if a channel of an input has one element only: it would always become 0.
///
/// # Source
/// D. Ulyanov, A. Vedaldi and V. Lempitsky 2016
///
/// ```
/// use tealight::layer::InstanceNorm;
/// use tealight::prelude::*;
/// let y = InstanceNorm::new(2).predict(&Tensor::new(&[[[1_f32, 3.0], [100.0, 300.0]]], &Device::Cpu)?)?;
/// assert_eq!(y.round()?.to_vec3::<f32>()?, [[[-1.0, 1.0], [-1.0, 1.0]]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "InstanceNorm1d")]
#[doc(alias = "InstanceNorm2d")]
pub struct InstanceNorm {
    /// w, (channels), if [`affine`](InstanceNorm::affine).
    pub weight: Option<Parameter>,
    /// b, (channels), if [`affine`](InstanceNorm::affine).
    pub bias: Option<Parameter>,
    channels: usize,
    eps: f64,
}

impl InstanceNorm {
    /// A layer for `channels` channels, without w and b, as in PyTorch.
    pub fn new(channels: usize) -> Self {
        InstanceNorm { weight: None, bias: None, channels, eps: 1e-5 }
    }

    /// Adds w, initially ones, and b, initially zeros, in f32.
    pub fn affine(self) -> Result<Self> {
        Ok(InstanceNorm { weight: ones(self.channels)?, bias: zeros(self.channels)?, ..self })
    }

    /// Sets ε. Default: `1e-5`.
    ///
    /// # Errors
    /// Errors if `eps` is not above 0.
    pub fn eps(self, eps: f64) -> Result<Self> {
        Ok(InstanceNorm { eps: checked_eps("instance_norm", eps)?, ..self })
    }
}

impl Layer for InstanceNorm {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let y = grouped("instance_norm", x, self.channels, self.channels, self.eps)?;
        affine(y, &self.weight, &self.bias, &per_channel(self.channels, x.rank()))
    }

    crate::fields!(weight, bias);
}

fn grouped(op: &'static str, x: &Tensor, groups: usize, channels: usize, eps: f64) -> Result<Tensor> {
    let (n, rest) = match x.dims() {
        &[n, c, ref rest @ ..] if c == channels => (n, rest),
        dims => return Err(Error::shape(op, format!("inputs of shape [n, {channels}, ..]"), &[dims])),
    };
    // With no channels there are no groups.
    let width = (channels / groups.max(1)).saturating_mul(count(rest));
    if width == 1 {
        let expected = "two numbers or more in a group (one alone would always become 0)";
        return Err(Error::shape(op, expected, &[x.dims()]));
    }
    standardize(&x.reshape((1, n.saturating_mul(groups), width))?, eps, true)?.0.reshape(x.dims())
}

#[cfg(test)]
mod tests {
    use super::{GroupNorm, InstanceNorm};
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.5, 1.0, (2, 4, 3), DType::F64, &mut Rng::seed(1))?;
        let ctx = ForwardContext::train(Rng::seed(1));
        gradcheck(&Sequential::new().push(GroupNorm::new(2, 4)?).push(Tanh), &x, &ctx)?;
        let plain = GroupNorm::new(1, 4)?.without_affine().eps(0.1)?;
        gradcheck(&Sequential::new().push(plain).push(Tanh), &x, &ctx)?;
        gradcheck(&Sequential::new().push(InstanceNorm::new(4).affine()?).push(Tanh), &x, &ctx)?;
        gradcheck(&InstanceNorm::new(4).eps(0.1)?, &x, &ctx)?;
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        assert_eq!(GroupNorm::new(2, 4)?.predict(&zeros(&[0, 4, 2])?)?.dims(), [0, 4, 2]);
        assert_eq!(GroupNorm::new(1, 0)?.predict(&zeros(&[2, 0])?)?.dims(), [2, 0]);
        assert_eq!(InstanceNorm::new(0).predict(&zeros(&[2, 0, 3])?)?.dims(), [2, 0, 3]);
        let error = GroupNorm::new(2, 4)?.predict(&zeros(&[2, 3, 5])?).unwrap_err();
        assert_eq!(error.to_string(), "group_norm: expected inputs of shape [n, 4, ..], got [2, 3, 5]");
        let error = InstanceNorm::new(3).predict(&zeros(&[2, 3])?).unwrap_err().to_string();
        assert!(error.ends_with("(one alone would always become 0), got [2, 3]"), "{error}");
        let error = GroupNorm::new(3, 4).unwrap_err();
        let message = "group_norm: expected channels that the groups divide, got 4 channels in 3 groups";
        assert_eq!(error.to_string(), message);
        assert!(GroupNorm::new(0, 4).is_err());
        Ok(())
    }
}
