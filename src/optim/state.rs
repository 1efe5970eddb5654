//! The memory of an optimizer as tensors with names, and back.
//!
//! # Errors
//! Something that is missing, unknown, or of another shape or dtype; two parameters of one name.

use std::collections::BTreeMap;

use candle_core::{DType, Device, WithDType};

use super::first_order::{FirstOrder, Memory, Numbers, numbers};
use super::not_negative;
use super::rule::UpdateRule;
use crate::autograd::Tensor;
use crate::autograd::array::elements;
use crate::error::{Error, Result};

pub(super) const RATE: &str = "learning_rate";

/// Tensors under names of their own.
#[derive(Default)]
pub(super) struct Writer(pub(super) BTreeMap<String, Tensor>);

impl Writer {
    pub(super) fn put(&mut self, name: String, value: Tensor) -> Result<()> {
        if let Some((name, _)) = self.0.remove_entry(&name) {
            let message = "two parameters have this name, so their state cannot be told apart";
            return Err(Error::Parameter { name, message: message.into() });
        }
        self.0.insert(name, value);
        Ok(())
    }

    pub(super) fn number<T: WithDType>(&mut self, name: String, value: T) -> Result<()> {
        self.put(name, Tensor::from_vec(vec![value], (), &Device::Cpu)?)
    }

    /// A whole number.
    pub(super) fn count(&mut self, name: String, value: u64) -> Result<()> {
        self.number(name, i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// Tensors that are taken out under their names.
pub(super) struct Reader<'a>(BTreeMap<&'a str, &'a Tensor>);

impl<'a> Reader<'a> {
    pub(super) fn new(state: &'a BTreeMap<String, Tensor>) -> Self {
        let mut all = BTreeMap::new();
        for (name, value) in state {
            all.insert(name.as_str(), value);
        }
        Reader(all)
    }

    /// The dims of what is there under this name.
    pub(super) fn dims(&self, name: &str) -> Option<&'a [usize]> {
        self.0.get(name).map(|value| value.dims())
    }

    pub(super) fn take(&mut self, name: &str, dims: &[usize], dtype: DType) -> Result<&'a Tensor> {
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

    pub(super) fn vec<T: WithDType>(&mut self, name: &str, dims: &[usize]) -> Result<Vec<T>> {
        let value = self.take(name, dims, T::DTYPE)?;
        Ok(elements::<T>(&numbers(value.array(), T::DTYPE)?)?.to_vec())
    }

    pub(super) fn number<T: WithDType>(&mut self, name: &str) -> Result<T> {
        self.take(name, &[], T::DTYPE)?.to_scalar()
    }

    /// A whole number.
    pub(super) fn count(&mut self, name: &str) -> Result<u64> {
        let count = self.number::<i64>(name)?;
        let message = format!("expected a count, got {count} in the state");
        u64::try_from(count).map_err(|_| Error::Parameter { name: name.into(), message })
    }

    /// Everything was taken.
    pub(super) fn finish(self) -> Result<()> {
        match self.0.into_keys().next() {
            Some(name) => {
                let message = "in the state, but the optimizer has no such thing";
                Err(Error::Parameter { name: name.into(), message: message.into() })
            }
            None => Ok(()),
        }
    }
}

impl<R: UpdateRule<N>, const N: usize> FirstOrder<R, N> {
    pub(super) fn saved(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = Writer::default();
        writer.number(RATE.into(), self.rate)?;
        for entry in &self.entries {
            let (name, memory) = (&entry.name, &entry.memory);
            let dims = entry.parameter.get().dims().to_vec();
            writer.count(format!("{name}.step"), memory.step)?;
            if let Some(carried) = R::CARRIED {
                writer.number(format!("{name}.{carried}"), memory.carried)?;
            }
            // Before the first step there is nothing.
            for (k, used) in self.settings(entry).rule.memory().into_iter().enumerate() {
                let Some(used) = used.filter(|_| memory.step > 0) else { continue };
                let value = match &memory.numbers {
                    Numbers::F32(numbers) => Tensor::from_vec(numbers[k].clone(), &dims[..], &Device::Cpu)?,
                    Numbers::F64(numbers) => Tensor::from_vec(numbers[k].clone(), &dims[..], &Device::Cpu)?,
                };
                writer.put(format!("{name}.{used}"), value)?;
            }
        }
        Ok(writer.0)
    }

    pub(super) fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = Reader::new(state);
        let rate = not_negative(R::NAME, "a learning rate", reader.number(RATE)?)?;
        let mut memories = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let (name, leaf) = (&entry.name, entry.parameter.get());
            let mut memory = Memory::<N>::new(entry.memory.dtype());
            memory.step = reader.count(&format!("{name}.step"))?;
            if let Some(carried) = R::CARRIED {
                memory.carried = reader.number(&format!("{name}.{carried}"))?;
            }
            for (k, used) in self.settings(entry).rule.memory().into_iter().enumerate() {
                let Some(used) = used.filter(|_| memory.step > 0) else { continue };
                let name = format!("{name}.{used}");
                match &mut memory.numbers {
                    Numbers::F32(numbers) => numbers[k] = reader.vec(&name, leaf.dims())?,
                    Numbers::F64(numbers) => numbers[k] = reader.vec(&name, leaf.dims())?,
                }
            }
            memories.push(memory);
        }
        reader.finish()?;
        self.rate = rate;
        for (entry, memory) in self.entries.iter_mut().zip(memories) {
            entry.memory = memory;
        }
        Ok(())
    }
}
