//! Another dtype or device for a whole model.

use super::{Layer, StateEntry};
use crate::autograd::Tensor;
use crate::error::Result;

/// Replaces each value for which `convert` returns another. If one fails, nothing is changed.
pub(super) fn replace_state(
    layer: &(impl Layer + ?Sized),
    convert: impl Fn(&Tensor) -> Result<Option<Tensor>>,
) -> Result<()> {
    let mut changed = Vec::new();
    for (_, entry) in layer.state_dict() {
        if let Some(value) = convert(&entry.get())? {
            changed.push((entry, value));
        }
    }
    for (entry, value) in changed {
        match entry {
            StateEntry::Parameter(parameter) => {
                parameter.replace(value.into_parameter()).mark_stale();
            }
            StateEntry::Buffer(buffer) => buffer.replace(value.detach()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn dtype_of_a_whole_model() -> Result<()> {
        let model = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?).push(BatchNorm1d::new(2)?);
        let x = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
        let old = model.forward(&x, &mut ForwardContext::eval())?.sum_all()?;
        model.to_dtype(DType::F64)?;
        let dtypes: Vec<DType> = model.state_dict().iter().map(|(_, entry)| entry.get().dtype()).collect();
        assert_eq!(dtypes, [[DType::F64; 6].as_slice(), &[DType::I64]].concat());
        assert!(model.parameters()[0].1.get().requires_grad());
        // What was computed with the old parameters cannot be differentiated any more.
        assert!(old.backward().is_err());
        let error = model.to_dtype(DType::U8).unwrap_err();
        assert_eq!(error.to_string(), "to_dtype: expected a float dtype, got u8");
        Ok(())
    }

    #[test]
    fn a_model_that_is_already_there_is_left_alone() -> Result<()> {
        let model = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?).push(BatchNorm1d::new(2)?);
        let loss = |model: &Sequential| {
            model
                .forward(&Tensor::ones((4, 3), DType::F32, &Device::Cpu)?, &mut ForwardContext::eval())?
                .sum_all()
        };
        let before = loss(&model)?;
        model.to_device(&Device::Cpu)?;
        model.to_dtype(DType::F32)?;
        // Neither made new parameters, so the graph is still valid.
        assert!(before.backward().is_ok());
        Ok(())
    }
}
