//! The state of an optimizer as named tensors, written and read.

use std::collections::BTreeMap;

use candle_core::{DType, Device, WithDType};

use super::first_order::flat_on_cpu;
use crate::autograd::Tensor;
use crate::autograd::array::elements;
use crate::error::{Error, Result};

pub(super) const LEARNING_RATE: &str = "learning_rate";

/// Named tensors; two of the same name are an error.
#[derive(Default)]
pub(crate) struct StateWriter(pub(crate) BTreeMap<String, Tensor>);

impl StateWriter {
    pub(crate) fn insert(&mut self, name: String, value: Tensor) -> Result<()> {
        if self.0.contains_key(&name) {
            let message = "two parameters have this name, so their state cannot be told apart";
            return Err(Error::Parameter { name, message: message.into() });
        }
        self.0.insert(name, value);
        Ok(())
    }

    pub(crate) fn scalar<T: WithDType>(&mut self, name: String, value: T) -> Result<()> {
        self.insert(name, Tensor::from_vec(vec![value], (), &Device::Cpu)?)
    }

    /// A counter, as i64: candle has no u64.
    pub(crate) fn count(&mut self, name: String, value: u64) -> Result<()> {
        self.scalar(name, i64::try_from(value).expect("a counter of steps is below 2^63"))
    }
}

/// Named tensors that are taken out one by one, each with the dims and dtype that it must have.
pub(crate) struct StateReader<'a>(BTreeMap<&'a str, &'a Tensor>);

impl<'a> StateReader<'a> {
    pub(crate) fn new(state: &'a BTreeMap<String, Tensor>) -> Self {
        StateReader(state.iter().map(|(name, value)| (name.as_str(), value)).collect())
    }

    pub(crate) fn dims(&self, name: &str) -> Option<&'a [usize]> {
        self.0.get(name).map(|value| value.dims())
    }

    pub(crate) fn take(&mut self, name: &str, dims: &[usize], dtype: DType) -> Result<&'a Tensor> {
        let refuse = |message| Error::Parameter { name: name.into(), message };
        let value =
            self.0.remove(name).ok_or_else(|| refuse("expected in the state, but not there".into()))?;
        if value.dims() != dims || value.dtype() != dtype {
            let text = |dims: &[usize], dtype: DType| format!("{dims:?} of {}", dtype.as_str());
            let (expected, got) = (text(dims, dtype), text(value.dims(), value.dtype()));
            return Err(refuse(format!("expected {expected}, got {got} in the state")));
        }
        Ok(value)
    }

    pub(crate) fn vec<T: WithDType>(&mut self, name: &str, dims: &[usize]) -> Result<Vec<T>> {
        let value = self.take(name, dims, T::DTYPE)?;
        Ok(elements::<T>(&flat_on_cpu(value.array(), T::DTYPE)?)?.to_vec())
    }

    pub(crate) fn scalar<T: WithDType>(&mut self, name: &str) -> Result<T> {
        self.take(name, &[], T::DTYPE)?.to_scalar()
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<u64> {
        let count = self.scalar::<i64>(name)?;
        let message = format!("expected a count, got {count} in the state");
        u64::try_from(count).map_err(|_| Error::Parameter { name: name.into(), message })
    }

    /// The tensors that were not taken.
    pub(super) fn rest(&self) -> BTreeMap<String, Tensor> {
        self.0.iter().map(|(name, value)| (name.to_string(), (*value).clone())).collect()
    }

    /// Errors if a tensor was not taken.
    pub(crate) fn finish(self) -> Result<()> {
        let Some((name, _)) = self.0.first_key_value() else { return Ok(()) };
        let message = "not expected in the state";
        Err(Error::Parameter { name: (*name).into(), message: message.into() })
    }
}
