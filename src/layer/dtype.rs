//! [`to_dtype`] of a whole model.

use candle_core::DType;

use super::{Layer, StateEntry};
use crate::error::{Error, Result};

/// Changes all parameters and buffers of a model to another float type; integer buffers stay.
///
/// Do it before an optimizer is made: one that knows the old parameters refuses the gradients of the new ones.
///
/// # Errors
/// A type that is no float, or that the device does not have. Nothing is changed then.
///
/// ```
/// use tealight::prelude::*;
/// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
/// tealight::layer::to_dtype(&model, DType::F64)?;
/// assert_eq!(model.predict(&Tensor::ones((1, 3), DType::F64, &Device::Cpu)?)?.dtype(), DType::F64);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "double")]
#[doc(alias = "half")]
pub fn to_dtype(layer: &(impl Layer + ?Sized), dtype: DType) -> Result<()> {
    if !dtype.is_float() {
        return Err(Error::dtype("layer::to_dtype", "a float dtype", &[dtype]));
    }
    let mut changed = Vec::new();
    for (_, held) in layer.state() {
        let value = held.get();
        if value.dtype().is_float() && value.dtype() != dtype {
            changed.push((held, value.to_dtype(dtype)?.detach()));
        }
    }
    for (held, value) in changed {
        match held {
            StateEntry::Parameter(parameter) => {
                parameter.replace(crate::autograd::Tensor::parameter(value.into_array())).mark_stale();
            }
            StateEntry::Buffer(buffer) => buffer.replace(value),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::layer::{BatchNorm1d, to_dtype};
    use crate::prelude::*;

    #[test]
    fn all_of_a_model() -> Result<()> {
        let model = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?).push(BatchNorm1d::new(2)?);
        let x = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
        let old = model.forward(&x, &mut ForwardContext::eval())?.sum_all()?;
        to_dtype(&model, DType::F64)?;
        let dtypes: Vec<DType> = model.state().iter().map(|(_, held)| held.get().dtype()).collect();
        assert_eq!(dtypes, [[DType::F64; 6].as_slice(), &[DType::I64]].concat());
        assert!(model.parameters()[0].1.get().requires_grad());
        // What was computed with the old parameters cannot be differentiated any more.
        assert!(old.backward().is_err());
        assert!(to_dtype(&model, DType::U8).is_err());
        Ok(())
    }
}
