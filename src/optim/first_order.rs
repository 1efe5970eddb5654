//! [`FirstOrder`]: what all optimizers have in common.
//!
//! # Errors
//! A parameter without a gradient or with one that is not finite; a learning rate outside its range.

use candle_core::{DType, Device};

use super::rule::{StepInfo, UpdateRule};
use super::{Optimizer, distinct, gradient_of, not_finite, not_negative};
use crate::autograd::Element;
use crate::autograd::array::{contiguous, elements, is_finite, make};
use crate::autograd::{Array, Gradients, Tensor};
use crate::error::Result;
use crate::kernel;
use crate::layer::Parameter;
use crate::layer::pattern::matching;

/// An optimizer that changes every number of every parameter by the formula of a [`UpdateRule`].
///
/// A step happens whole or not at all: the gradients are checked before anything is changed. A parameter that is frozen
/// is passed over, and a tied one takes one step. The memory is f64 for f64 parameters and f32 for all others; f16 and
/// bf16 are computed in f32.
///
/// ```
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.5)?; // `FirstOrder` by `SgdRule`
/// let error = optimizer.step(&(p.get() * f64::NAN)?.backward()?).unwrap_err();
/// assert!(error.to_string().starts_with("p: its gradient is NaN or infinite"));
/// assert_eq!(p.get().to_scalar::<f64>()?, 1.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
pub struct FirstOrder<R, const N: usize> {
    pub(super) entries: Vec<Entry<N>>,
    /// The settings of the parameters that are in no group.
    pub(super) own: Settings<R>,
    groups: Vec<Settings<R>>,
    pub(super) rate: f64,
    skip: bool,
    skipped: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Settings<R> {
    pub(super) rule: R,
    factor: f64,
}

/// A parameter and what is remembered of it.
#[derive(Debug)]
pub(super) struct Entry<const N: usize> {
    pub(super) name: String,
    pub(super) parameter: Parameter,
    group: Option<usize>,
    pub(super) memory: Memory<N>,
}

#[derive(Debug)]
pub(super) struct Memory<const N: usize> {
    pub(super) step: u64,
    pub(super) carried: f64,
    pub(super) numbers: Numbers<N>,
}

/// N numbers for each number of a parameter; empty until they are first used.
#[derive(Debug)]
pub(super) enum Numbers<const N: usize> {
    F32([Vec<f32>; N]),
    F64([Vec<f64>; N]),
}

impl<const N: usize> Memory<N> {
    pub(super) fn new(dtype: DType) -> Self {
        let numbers = match dtype {
            DType::F64 => Numbers::F64([const { Vec::new() }; N]),
            _ => Numbers::F32([const { Vec::new() }; N]),
        };
        Memory { step: 0, carried: 1.0, numbers }
    }

    pub(super) fn dtype(&self) -> DType {
        match self.numbers {
            Numbers::F32(_) => DType::F32,
            Numbers::F64(_) => DType::F64,
        }
    }
}

impl<R: UpdateRule<N>, const N: usize> FirstOrder<R, N> {
    /// The optimizer with PyTorch's settings for the parameters of a model: `Adam::new(model.parameters(), 1e-3)`.
    ///
    /// # Errors
    /// A learning rate that is negative or not finite.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// assert_eq!(Adam::new(model.parameters(), 1e-3)?.learning_rate(), 1e-3);
    /// let error = Adam::new(model.parameters(), -1.0).unwrap_err();
    /// assert_eq!(error.to_string(), "Adam: expected a learning rate that is finite and not negative, got -1");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self>
    where
        R: Default,
    {
        Self::by(R::default(), parameters, learning_rate)
    }

    /// The optimizer with a rule of one's own.
    ///
    /// # Errors
    /// A learning rate that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::{FirstOrder, SgdRule};
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = FirstOrder::with_rule(SgdRule::default(), vec![("p".into(), p.clone())], 0.25)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn by(rule: R, parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self> {
        let rate = not_negative(R::NAME, "a learning rate", learning_rate)?;
        let entry = |(name, parameter): (String, Parameter)| {
            let memory = Memory::new(parameter.get().dtype());
            Entry { name, parameter, group: None, memory }
        };
        let entries = distinct(parameters).into_iter().map(entry).collect();
        let own = Settings { rule, factor: 1.0 };
        Ok(FirstOrder { entries, own, groups: Vec::new(), rate, skip: false, skipped: 0 })
    }

    /// Other settings for the parameters whose names fit `pattern`, in which `*` stands for any text.
    ///
    /// They start from the settings made so far, so groups come last. Where several groups fit, the last one counts.
    ///
    /// # Errors
    /// A pattern that no parameter fits; those of the settings.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let [weight, bias] = [Tensor::new(1.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?].map(Parameter::new);
    /// let all = vec![("fc.weight".into(), weight.clone()), ("fc.bias".into(), bias.clone())];
    /// let mut optimizer = Sgd::new(all, 0.5)?.weight_decay(0.5)?.group("*bias", |g| g.weight_decay(0.0))?;
    /// optimizer.step(&(weight.get() + bias.get())?.backward()?)?;
    /// assert_eq!(weight.get().to_scalar::<f64>()?, 0.25); // 1 − 0.5 · (1 + 0.5 · 1)
    /// assert_eq!(bias.get().to_scalar::<f64>()?, 0.5); // 1 − 0.5 · 1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "param_groups")]
    pub fn group(mut self, pattern: &str, settings: impl FnOnce(Self) -> Result<Self>) -> Result<Self> {
        let fitting = matching(R::NAME, self.entries.iter().map(|entry| entry.name.as_str()), pattern)?;
        let none = FirstOrder { entries: Vec::new(), groups: Vec::new(), own: self.own.clone(), ..self };
        let made = settings(none)?;
        for i in fitting {
            self.entries[i].group = Some(self.groups.len());
        }
        self.groups.push(made.own);
        self.skip = made.skip;
        Ok(self)
    }

    /// The learning rate is multiplied by this: for a [`group`](Descent::group) that learns faster or slower.
    ///
    /// # Errors
    /// A factor that is negative or not finite.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let [weight, bias] = [Tensor::new(1.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?].map(Parameter::new);
    /// let all = vec![("weight".into(), weight.clone()), ("bias".into(), bias.clone())];
    /// let mut optimizer = Sgd::new(all, 0.125)?.group("bias", |g| g.rate_factor(4.0))?;
    /// optimizer.step(&(weight.get() + bias.get())?.backward()?)?;
    /// assert_eq!((weight.get().to_scalar::<f64>()?, bias.get().to_scalar::<f64>()?), (0.875, 0.5));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn rate_factor(mut self, factor: f64) -> Result<Self> {
        self.own.factor = not_negative(R::NAME, "a factor", factor)?;
        Ok(self)
    }

    /// A step with a gradient that is NaN or infinite is left out, and counted; without this it is an error.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.5)?.skip_bad_gradients();
    /// optimizer.step(&(p.get() * f64::NAN)?.backward()?)?;
    /// optimizer.step(&(p.get() * 1.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn skip_bad_gradients(mut self) -> Self {
        self.skip = true;
        self
    }

    /// How many steps were left out.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.5)?.skip_bad_gradients();
    /// for slope in [1.0, f64::NAN, f64::INFINITY] {
    ///     optimizer.step(&(p.get() * slope)?.backward()?)?;
    /// }
    /// assert_eq!(optimizer.skipped(), 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn settings<'a>(&'a self, entry: &Entry<N>) -> &'a Settings<R> {
        entry.group.and_then(|group| self.groups.get(group)).unwrap_or(&self.own)
    }
}

impl<R: UpdateRule<N>, const N: usize> FirstOrder<R, N> {
    pub(super) fn take_step(&mut self, gradients: &Gradients) -> Result<()> {
        let mut ready = Vec::with_capacity(self.entries.len());
        let mut bad = false;
        for (i, entry) in self.entries.iter().enumerate() {
            if entry.parameter.is_frozen() {
                continue;
            }
            let leaf = entry.parameter.get();
            let grad = gradient_of(gradients, &entry.name, &leaf)?;
            if !is_finite(grad.array())? {
                if !self.skip {
                    return Err(not_finite(&entry.name));
                }
                bad = true;
            }
            let dtype = entry.memory.dtype();
            ready.push((i, numbers(leaf.array(), dtype)?, numbers(grad.array(), dtype)?, leaf));
        }
        if bad {
            self.skipped += 1;
            return Ok(());
        }
        // From here on nothing fails, but for a device that is out of memory.
        for (i, value, grad, leaf) in ready {
            let Settings { rule, factor } = self.settings(&self.entries[i]).clone();
            let memory = &mut self.entries[i].memory;
            memory.step += 1;
            memory.carried = rule.carry(memory.step, memory.carried);
            let at = StepInfo { rate: self.rate * factor, step: memory.step, carried: memory.carried };
            let value = match &mut memory.numbers {
                Numbers::F32(numbers) => moved(&rule, at, &value, &grad, numbers)?,
                Numbers::F64(numbers) => moved(&rule, at, &value, &grad, numbers)?,
            };
            let value = if value.dtype() == leaf.dtype() { value } else { value.to_dtype(leaf.dtype())? };
            self.entries[i].parameter.set(&Tensor::from(value.to_device(leaf.device())?))?;
        }
        Ok(())
    }
}

/// The numbers of an array in row-major order, in main memory.
pub(super) fn numbers(x: &Array, dtype: DType) -> Result<Array> {
    let x = x.to_device(&Device::Cpu)?;
    contiguous(&if x.dtype() == dtype { x } else { x.to_dtype(dtype)? })
}

/// The new value; the memory is changed in place.
fn moved<T: Element, R: UpdateRule<N>, const N: usize>(
    rule: &R,
    at: StepInfo,
    value: &Array,
    grad: &Array,
    memory: &mut [Vec<T>; N],
) -> Result<Array> {
    let (n, start) = (value.elem_count(), T::from_f64(rule.start()));
    let used = rule.memory();
    let mut slices = [const { None }; N];
    for ((slice, numbers), used) in slices.iter_mut().zip(memory).zip(used) {
        if used.is_some() {
            if numbers.len() != n {
                *numbers = vec![start; n];
            }
            *slice = Some(&mut numbers[..]);
        }
    }
    let formula = rule.formula::<T>(at);
    let data = kernel::optim::update(&elements::<T>(value)?, &elements::<T>(grad)?, slices, formula);
    make(data, value.dims(), value)
}

impl<R: UpdateRule<N>, const N: usize> Optimizer for FirstOrder<R, N> {
    fn step(&mut self, gradients: &Gradients) -> Result<()> {
        self.take_step(gradients)
    }

    fn learning_rate(&self) -> f64 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        self.rate = not_negative(R::NAME, "a learning rate", rate)?;
        Ok(())
    }

    fn state(&self) -> Result<std::collections::BTreeMap<String, Tensor>> {
        self.saved()
    }

    fn load_state(&mut self, state: &std::collections::BTreeMap<String, Tensor>) -> Result<()> {
        self.restore(state)
    }

    fn name(&self) -> String {
        R::NAME.into()
    }
}
