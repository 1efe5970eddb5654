//! [`FirstOrder`]: parameter groups, gradient checks and state, for every optimizer whose update is a formula.

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::{CpuStorage, DType, Device, WithDType};

use super::rule::{LoweredRule, StepInfo, UpdateRule};
use super::state::{LEARNING_RATE, StateReader, StateWriter};
use super::{
    InPlace, Optimizer, ParameterMemory, check_reached, distinct, gradient_of, no_momentum,
    nonfinite_gradient, not_negative,
};
use crate::autograd::Element;
use crate::autograd::array::{contiguous, elements, is_finite};
use crate::autograd::{Array, Gradients, Tensor};
use crate::error::{Error, Result};
use crate::kernel;
use crate::layer::Parameter;
use crate::layer::pattern::matching;

/// An optimizer that updates every parameter element by the formula of an [`UpdateRule`]: [`Sgd`](super::Sgd) is
/// `FirstOrder<SgdRule, 1>`.
///
/// A step is all or nothing: every gradient is checked before any parameter changes. Frozen parameters are skipped, and
/// tied parameters take one step. State is f64 for f64 parameters and f32 for all others; f16 and bf16 parameters are
/// updated in f32.
#[derive(Debug)]
pub struct FirstOrder<R, const N: usize> {
    entries: Vec<Entry<N>>,
    /// The hyperparameters of the parameters that are in no group.
    pub(super) base: Group<R>,
    groups: Vec<Group<R>>,
    learning_rate: f64,
    /// What [`set_momentum`](Optimizer::set_momentum) set.
    momentum: Option<f64>,
    /// The patterns of [`allow_unused`](FirstOrder::allow_unused).
    unused: Vec<String>,
    skip_nonfinite: bool,
    skipped: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Group<R> {
    pub(super) rule: R,
    lr_factor: f64,
}

#[derive(Debug)]
struct Entry<const N: usize> {
    name: String,
    parameter: Parameter,
    /// The index of its group; `None` for `base`.
    group: Option<usize>,
    state: ParameterState<N>,
}

#[derive(Debug)]
struct ParameterState<const N: usize> {
    step: u64,
    scalar_state: f64,
    arrays: StateArrays<N>,
}

/// N state values per parameter element; empty before the first step.
#[derive(Debug)]
enum StateArrays<const N: usize> {
    F32([Vec<f32>; N]),
    F64([Vec<f64>; N]),
}

impl<const N: usize> ParameterState<N> {
    fn new(dtype: DType) -> Self {
        let arrays = match dtype {
            DType::F64 => StateArrays::F64([const { Vec::new() }; N]),
            _ => StateArrays::F32([const { Vec::new() }; N]),
        };
        ParameterState { step: 0, scalar_state: 1.0, arrays }
    }

    fn dtype(&self) -> DType {
        match self.arrays {
            StateArrays::F32(_) => DType::F32,
            StateArrays::F64(_) => DType::F64,
        }
    }
}

impl<R: UpdateRule<N>, const N: usize> FirstOrder<R, N> {
    /// The optimizer with default hyperparameters, for the parameters of a model.
    ///
    /// # Errors
    /// Errors if the learning rate is negative or not finite.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// let optimizer = AdamW::new(model.parameters(), 1e-3)?.betas(0.9, 0.98)?.weight_decay(0.1)?;
    /// assert_eq!(optimizer.learning_rate(), 1e-3);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self>
    where
        R: Default,
    {
        Self::with_rule(R::default(), parameters, learning_rate)
    }

    /// The optimizer with a rule that is not its type's default.
    ///
    /// # Errors
    /// Errors if the learning rate is negative or not finite.
    pub fn with_rule(rule: R, parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self> {
        let learning_rate = not_negative(R::NAME, "a learning rate", learning_rate)?;
        let entry = |(name, parameter): (String, Parameter)| {
            let state = ParameterState::new(parameter.get().dtype());
            Entry { name, parameter, group: None, state }
        };
        let entries = distinct(parameters).into_iter().map(entry).collect();
        let base = Group { rule, lr_factor: 1.0 };
        let (groups, unused) = (Vec::new(), Vec::new());
        Ok(FirstOrder {
            entries,
            base,
            groups,
            learning_rate,
            momentum: None,
            unused,
            skip_nonfinite: false,
            skipped: 0,
        })
    }

    /// Sets other hyperparameters for the parameters whose names match `pattern`, in which `*` matches any text.
    ///
    /// A group starts from the settings made so far, so call this after the other setters. Where several groups match,
    /// the last one counts.
    ///
    /// # Errors
    /// Errors if no parameter matches, or if `settings` fails, or changes what is for all groups:
    /// [`set_learning_rate`](Optimizer::set_learning_rate), in place of which there is [`lr_factor`](FirstOrder::lr_factor),
    /// [`set_momentum`](Optimizer::set_momentum) or [`load_state_dict`](Optimizer::load_state_dict).
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let [weight, bias] = [Tensor::new(1.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?].map(Parameter::new);
    /// # let parameters = vec![("fc.weight".into(), weight.clone()), ("fc.bias".into(), bias.clone())];
    /// let mut optimizer = Sgd::new(parameters, 0.5)?.weight_decay(0.5)?.group("*bias", |g| g.weight_decay(0.0))?;
    /// optimizer.step(&(weight.get() + bias.get())?.backward()?)?;
    /// assert_eq!(weight.get().to_scalar::<f64>()?, 0.25); // 1 − 0.5 · (1 + 0.5 · 1)
    /// assert_eq!(bias.get().to_scalar::<f64>()?, 0.5); // 1 − 0.5 · 1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "param_groups")]
    pub fn group(mut self, pattern: &str, settings: impl FnOnce(Self) -> Result<Self>) -> Result<Self> {
        let matched = matching(R::NAME, "parameter", self.names(), pattern)?;
        let (entries, groups, unused) = (Vec::new(), Vec::new(), Vec::new());
        let empty = FirstOrder { entries, groups, unused, base: self.base.clone(), ..self };
        let made = settings(empty)?;
        if made.learning_rate != self.learning_rate {
            let expected = "lr_factor in a group, not set_learning_rate";
            return Err(Error::argument(R::NAME, expected, made.learning_rate));
        }
        if made.momentum != self.momentum {
            let got = made.momentum.map_or("None".into(), |momentum| momentum.to_string());
            return Err(Error::argument(R::NAME, "momentum or betas in a group, not set_momentum", got));
        }
        for i in matched {
            self.entries[i].group = Some(self.groups.len());
        }
        self.groups.push(made.base);
        self.skip_nonfinite = made.skip_nonfinite;
        Ok(self)
    }

    /// Multiplies the learning rate by a factor: for a [`group`](FirstOrder::group) that learns faster or slower.
    /// Default: 1.
    ///
    /// # Errors
    /// Errors if the factor is negative or not finite.
    pub fn lr_factor(mut self, factor: f64) -> Result<Self> {
        self.base.lr_factor = not_negative(R::NAME, "a factor", factor)?;
        Ok(self)
    }

    /// Leaves the parameters whose names match `pattern`, in which `*` matches any text, out of the steps in which they have
    /// no gradient because the loss does not depend on them. Without this such a step is an error.
    ///
    /// It is for parts of a model that only some batches use. A parameter left out keeps its value and its state, without
    /// weight decay, as in PyTorch, which leaves out every such parameter silently.
    ///
    /// # Errors
    /// Errors if no parameter matches.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let [a, b] = [Tensor::new(1.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?].map(Parameter::new);
    /// # let parameters = vec![("body.weight".into(), a.clone()), ("head.weight".into(), b.clone())];
    /// let mut optimizer = Sgd::new(parameters, 0.5)?.weight_decay(0.5)?.allow_unused("head.*")?;
    /// optimizer.step(&(a.get() * 1.0)?.backward()?)?;
    /// assert_eq!(a.get().to_scalar::<f64>()?, 0.25);
    /// assert_eq!(b.get().to_scalar::<f64>()?, 1.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "find_unused_parameters")]
    pub fn allow_unused(mut self, pattern: &str) -> Result<Self> {
        matching(R::NAME, "parameter", self.names(), pattern)?;
        self.unused.push(pattern.into());
        Ok(self)
    }

    /// Skips and counts steps with a NaN or infinite gradient, which otherwise are an error.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.5)?.skip_nonfinite_gradients();
    /// for slope in [1.0, f64::NAN, f64::INFINITY] {
    ///     optimizer.step(&(p.get() * slope)?.backward()?)?;
    /// }
    /// assert_eq!((p.get().to_scalar::<f64>()?, optimizer.skipped_steps()), (0.5, 2));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn skip_nonfinite_gradients(mut self) -> Self {
        self.skip_nonfinite = true;
        self
    }

    /// How many steps [`skip_nonfinite_gradients`](FirstOrder::skip_nonfinite_gradients) skipped.
    pub fn skipped_steps(&self) -> u64 {
        self.skipped
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    fn settings(&self, entry: &Entry<N>) -> &Group<R> {
        entry.group.map_or(&self.base, |group| &self.groups[group])
    }

    /// Counts a step of parameter `i`: its rule, and what the rule reads.
    fn next(&mut self, i: usize) -> (R, StepInfo) {
        let Group { rule, lr_factor } = self.settings(&self.entries[i]).clone();
        let rule = self.momentum.and_then(|momentum| rule.with_momentum(momentum)).unwrap_or(rule);
        let state = &mut self.entries[i].state;
        state.step += 1;
        state.scalar_state = rule.scalar_state(state.step, state.scalar_state);
        let learning_rate = self.learning_rate * lr_factor;
        (rule, StepInfo { learning_rate, step: state.step, scalar_state: state.scalar_state })
    }

    fn update_in_place(&mut self, memory: &mut dyn ParameterMemory) -> Result<()> {
        let mut nonfinite = false;
        for entry in self.entries.iter().filter(|entry| !entry.parameter.is_frozen()) {
            let gradient = memory.gradient(&entry.parameter);
            check_reached(gradient.is_some(), &entry.name, &self.unused)?;
            let finite = match gradient {
                Some(CpuStorage::F64(gradient)) => kernel::is_finite(gradient),
                Some(gradient) => kernel::is_finite::<f32>(&floats(gradient)),
                None => true,
            };
            if !finite && !self.skip_nonfinite {
                return Err(nonfinite_gradient(&entry.name));
            }
            nonfinite |= !finite;
        }
        if nonfinite {
            self.skipped += 1;
            return Ok(());
        }
        for i in 0..self.entries.len() {
            let parameter = self.entries[i].parameter.clone();
            if parameter.is_frozen() || memory.gradient(&parameter).is_none() {
                continue;
            }
            let (rule, at) = self.next(i);
            let arrays = &mut self.entries[i].state.arrays;
            memory.update(&parameter, &mut |value, grad| match arrays {
                StateArrays::F32(arrays) => updated_in_place(&rule, at, value, grad, arrays),
                StateArrays::F64(arrays) => updated_in_place(&rule, at, value, grad, arrays),
            });
        }
        Ok(())
    }

    /// The state names of a parameter with their indices; none before its first step.
    fn used_states(&self, entry: &Entry<N>, step: u64) -> Vec<(usize, String)> {
        let names = self.settings(entry).rule.state_names().into_iter().enumerate();
        let full = |(k, name): (usize, Option<&str>)| Some((k, format!("{}.{}", entry.name, name?)));
        if step > 0 { names.filter_map(full).collect() } else { Vec::new() }
    }
}

/// The elements of an array in row-major order, in main memory.
pub(super) fn flat_on_cpu(x: &Array, dtype: DType) -> Result<Array> {
    let x = x.to_device(&Device::Cpu)?;
    contiguous(&if x.dtype() == dtype { x } else { x.to_dtype(dtype)? })
}

/// The new parameter value; the state changes in place.
fn updated<T: Element, R: UpdateRule<N>, const N: usize>(
    rule: &R,
    at: StepInfo,
    value: &[T],
    grad: &[T],
    state: &mut [Vec<T>; N],
) -> Vec<T> {
    let (n, initial) = (value.len(), T::from_f64(rule.initial_state()));
    let mut slices = [const { None }; N];
    for ((slice, array), name) in slices.iter_mut().zip(state).zip(rule.state_names()) {
        if name.is_some() {
            if array.len() != n {
                *array = vec![initial; n];
            }
            *slice = Some(&mut array[..]);
        }
    }
    kernel::optim::update(value, grad, slices, rule.formula::<T>(at))
}

/// [`updated`] of a parameter in the memory of a program, in the dtype of the state.
fn updated_in_place<T: Element, R: UpdateRule<N>, const N: usize>(
    rule: &R,
    at: StepInfo,
    value: &CpuStorage,
    grad: &CpuStorage,
    state: &mut [Vec<T>; N],
) -> CpuStorage {
    let data = updated(rule, at, &floats(value), &floats(grad), state);
    match value {
        CpuStorage::F32(_) if T::DTYPE == DType::F64 => {
            CpuStorage::F32(data.into_iter().map(|x| WithDType::to_f64(x) as f32).collect())
        }
        CpuStorage::F64(_) if T::DTYPE == DType::F32 => {
            CpuStorage::F64(data.into_iter().map(WithDType::to_f64).collect())
        }
        _ => T::to_cpu_storage_owned(data),
    }
}

/// The elements as `T`.
fn floats<T: Element>(storage: &CpuStorage) -> Cow<'_, [T]> {
    match (T::cpu_storage_as_slice(storage), storage) {
        (Ok(same), _) => Cow::Borrowed(same),
        (_, CpuStorage::F32(x)) => x.iter().map(|&x| T::from_f64(f64::from(x))).collect(),
        (_, CpuStorage::F64(x)) => x.iter().map(|&x| T::from_f64(x)).collect(),
        _ => unreachable!("parameters in the memory of a program are f32 or f64"),
    }
}

impl<R: UpdateRule<N>, const N: usize> Optimizer for FirstOrder<R, N> {
    fn step(&mut self, gradients: &Gradients) -> Result<()> {
        let mut ready = Vec::with_capacity(self.entries.len());
        let mut nonfinite = false;
        for (i, entry) in self.entries.iter().enumerate() {
            if entry.parameter.is_frozen() {
                continue;
            }
            let leaf = entry.parameter.get();
            let Some(grad) = gradient_of(gradients, &entry.name, &leaf, &self.unused)? else { continue };
            if !is_finite(grad.array())? {
                if !self.skip_nonfinite {
                    return Err(nonfinite_gradient(&entry.name));
                }
                nonfinite = true;
            }
            let dtype = entry.state.dtype();
            ready.push((i, flat_on_cpu(leaf.array(), dtype)?, flat_on_cpu(grad.array(), dtype)?, leaf));
        }
        if nonfinite {
            self.skipped += 1;
            return Ok(());
        }
        // From here on only a device that is out of memory can fail.
        for (i, value, grad, leaf) in ready {
            let (rule, at) = self.next(i);
            let (dims, device) = (value.dims(), value.device());
            let value = match &mut self.entries[i].state.arrays {
                StateArrays::F32(arrays) => {
                    let data = updated::<f32, _, N>(&rule, at, &elements(&value)?, &elements(&grad)?, arrays);
                    Array::from_vec(data, dims, device)?
                }
                StateArrays::F64(arrays) => {
                    let data = updated::<f64, _, N>(&rule, at, &elements(&value)?, &elements(&grad)?, arrays);
                    Array::from_vec(data, dims, device)?
                }
            };
            let value = if value.dtype() == leaf.dtype() { value } else { value.to_dtype(leaf.dtype())? };
            self.entries[i].parameter.set(&Tensor::from(value.to_device(leaf.device())?))?;
        }
        Ok(())
    }

    fn is_in_place(&self) -> bool {
        true
    }

    fn lowered(&self, parameter: &Parameter) -> Option<LoweredRule> {
        let entry = self.entries.iter().find(|entry| entry.parameter.ptr_eq(parameter))?;
        let Group { rule, lr_factor } = self.settings(entry).clone();
        let rule = self.momentum.and_then(|momentum| rule.with_momentum(momentum)).unwrap_or(rule);
        Some(LoweredRule { lr_factor, ..rule.lowered()? })
    }

    fn step_in_place(&mut self, InPlace(memory): &mut InPlace<'_>) -> Result<()> {
        self.update_in_place(&mut **memory)
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        self.learning_rate = not_negative(R::NAME, "a learning rate", learning_rate)?;
        Ok(())
    }

    fn set_momentum(&mut self, momentum: Option<f64>) -> Result<()> {
        if let Some(new) = momentum {
            super::momentum(R::NAME, new)?;
            if self.entries.iter().any(|entry| self.settings(entry).rule.with_momentum(new).is_none()) {
                return Err(no_momentum(R::NAME));
            }
        }
        self.momentum = momentum;
        Ok(())
    }

    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = StateWriter::default();
        writer.scalar(LEARNING_RATE.into(), self.learning_rate)?;
        for entry in &self.entries {
            let (name, state) = (&entry.name, &entry.state);
            let dims = entry.parameter.get().dims().to_vec();
            writer.count(format!("{name}.step"), state.step)?;
            if let Some(scalar_state) = R::SCALAR_STATE {
                writer.scalar(format!("{name}.{scalar_state}"), state.scalar_state)?;
            }
            for (k, name) in self.used_states(entry, state.step) {
                let value = match &state.arrays {
                    StateArrays::F32(arrays) => Tensor::from_vec(arrays[k].clone(), &dims[..], &Device::Cpu)?,
                    StateArrays::F64(arrays) => Tensor::from_vec(arrays[k].clone(), &dims[..], &Device::Cpu)?,
                };
                writer.insert(name, value)?;
            }
        }
        Ok(writer.0)
    }

    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let learning_rate = not_negative(R::NAME, "a learning rate", reader.scalar(LEARNING_RATE)?)?;
        let mut states = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let (name, leaf) = (&entry.name, entry.parameter.get());
            let mut state = ParameterState::<N>::new(entry.state.dtype());
            state.step = reader.count(&format!("{name}.step"))?;
            if let Some(scalar_state) = R::SCALAR_STATE {
                state.scalar_state = reader.scalar(&format!("{name}.{scalar_state}"))?;
            }
            for (k, name) in self.used_states(entry, state.step) {
                match &mut state.arrays {
                    StateArrays::F32(arrays) => arrays[k] = reader.vec(&name, leaf.dims())?,
                    StateArrays::F64(arrays) => arrays[k] = reader.vec(&name, leaf.dims())?,
                }
            }
            states.push(state);
        }
        reader.finish()?;
        self.learning_rate = learning_rate;
        for (entry, state) in self.entries.iter_mut().zip(states) {
            entry.state = state;
        }
        Ok(())
    }

    fn name(&self) -> String {
        R::NAME.into()
    }
}
