//! [`LoadOptions`]: what of a file goes where in a model.
//!
//! # Errors
//! Tensors that are missing in the file, unknown to the model, or of another shape or dtype: the first ten of each by name.

mod loaded;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use safetensors::View;

pub use loaded::{LoadReport, MismatchedTensor};

use super::pth::{looks_like_pth, read_state};
use super::safetensors::read;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::{file_error, read_at_most};
use crate::layer::pattern::{captures, fits};
use crate::layer::{Layer, StateEntry};
use loaded::first;

/// How the tensors of a file are given to a model: names that differ are mapped, parts are left out.
///
/// In a pattern `*` stands for any text. Nothing is changed if there is an error.
///
/// ```
/// use tealight::io::{self, LoadOptions};
/// use tealight::prelude::*;
/// let path = std::env::temp_dir().join("tealight-doc-load.safetensors");
/// let rng = &mut Rng::seed(1);
/// let theirs = Sequential::new().push(Linear::new(3, 8, rng)?).push(Relu).push(Linear::new(8, 1000, rng)?);
/// io::save(&path, &theirs)?;
///
/// struct Ours { encoder: Linear, head: Linear }
/// impl Layer for Ours {
///     fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
///         self.head.forward(&self.encoder.forward(x, ctx)?.relu()?, ctx)
///     }
///     tealight::fields!(encoder, head);
/// }
/// let ours = Ours { encoder: Linear::new(3, 8, rng)?, head: Linear::new(8, 10, rng)? };
/// let loaded = LoadOptions::new().rename("0.*", "encoder.*").rename("2.*", "head.*").skip("head.*").load(&path, &ours)?;
/// assert_eq!(loaded.loaded, ["encoder.weight", "encoder.bias"]);
/// assert_eq!(ours.encoder.weight.get(), theirs.parameters()[0].1.get());
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    renames: Vec<(String, String)>,
    skips: Vec<String>,
    lenient: bool,
    convert: bool,
    key: Option<String>,
}

/// What was expected of a file, and what is in it.
#[derive(Debug)]
pub(super) struct Misfit {
    expected: String,
    got: String,
}

impl Misfit {
    pub(super) fn of_file(self, path: &Path) -> Error {
        file_error(path, format!("expected {}, got {}", self.expected, self.got))
    }
}

impl LoadOptions {
    /// All tensors of the file under their own names, and none may be missing, unexpected, or of another shape or dtype.
    ///
    /// ```
    /// use tealight::io::LoadOptions;
    /// use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// let error = LoadOptions::new().load_tensors([].into(), &model).unwrap_err().to_string();
    /// assert!(error.ends_with("got 0 that fit; 2 missing: weight, bias"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a tensor whose name in the file fits `from` the name `to`, in which each `*` is what it stood for in `from`. The first
    /// pattern that fits counts.
    ///
    /// ```
    /// use tealight::io::LoadOptions;
    /// use tealight::prelude::*;
    /// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
    /// let one = Tensor::ones((1, 1), DType::F32, &Device::Cpu)?;
    /// let theirs = [("fc.weight".to_string(), one.clone()), ("fc.bias".to_string(), one.squeeze(0)?)].into();
    /// let loaded = LoadOptions::new().rename("fc.*", "*").load_tensors(theirs, &model)?;
    /// assert_eq!(loaded.loaded, ["weight", "bias"]);
    /// assert_eq!(model.weight.get(), one);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.renames.push((from.into(), to.into()));
        self
    }

    /// Leaves out what fits `pattern` in the file or in the model: the model's part stays as it is.
    ///
    /// ```
    /// use tealight::io::LoadOptions;
    /// use tealight::prelude::*;
    /// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
    /// let bias = model.bias.as_ref().unwrap().get();
    /// let tensors = [("weight".to_string(), Tensor::ones((1, 1), DType::F32, &Device::Cpu)?)].into();
    /// LoadOptions::new().skip("bias").load_tensors(tensors, &model)?;
    /// assert_eq!(model.bias.as_ref().unwrap().get(), bias); // as it was, and no error that it is missing
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn skip(mut self, pattern: impl Into<String>) -> Self {
        self.skips.push(pattern.into());
        self
    }

    /// Whether everything has to fit. If not, what fits is loaded, and [`LoadReport`] names the rest.
    ///
    /// ```
    /// use tealight::io::LoadOptions;
    /// use tealight::prelude::*;
    /// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
    /// let tensors = || Ok::<_, Error>([("weight".to_string(), Tensor::ones((1, 1), DType::F32, &Device::Cpu)?)].into());
    /// assert!(LoadOptions::new().load_tensors(tensors()?, &model).is_err());
    /// let loaded = LoadOptions::new().strict(false).load_tensors(tensors()?, &model)?;
    /// assert_eq!((loaded.loaded, loaded.missing), (vec!["weight".to_string()], vec!["bias".to_string()]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        LoadOptions { lenient: !strict, ..self }
    }

    /// Whether floats of another width are converted: those of an f16 file for an f32 model.
    ///
    /// ```
    /// use tealight::io::LoadOptions;
    /// use tealight::prelude::*;
    /// let model = Linear::new(1, 1, &mut Rng::seed(1))?.without_bias();
    /// let half = [("weight".to_string(), Tensor::ones((1, 1), DType::F16, &Device::Cpu)?)].into();
    /// LoadOptions::new().convert(true).load_tensors(half, &model)?;
    /// assert_eq!(model.weight.get().to_vec2::<f32>()?, [[1.0]]); // the model's own dtype stays
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn convert(self, convert: bool) -> Self {
        LoadOptions { convert, ..self }
    }

    /// Where in a file of PyTorch's the state dict is, if it has several: `"model"` of `{"model": …, "ema": …}`.
    ///
    /// ```
    /// use tealight::io::{self, LoadOptions};
    /// use tealight::prelude::*;
    /// let file = std::env::temp_dir().join("tealight-doc-key.safetensors");
    /// io::save(&file, &Linear::new(3, 2, &mut Rng::seed(1))?)?;
    /// let error = LoadOptions::new().key("ema").read(&file, &Device::Cpu).unwrap_err().to_string();
    /// assert!(error.ends_with("expected a file of PyTorch's with the key \"ema\", got another file"));
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        LoadOptions { key: Some(key.into()), ..self }
    }

    /// Reads the tensors of a safetensors file, or of a state dict of PyTorch's, into a model.
    ///
    /// `num_batches_tracked`, which batch normalization counts in PyTorch, may be in the file alone or in the model alone. A
    /// parameter that has several names in the model has to be in the file under one of them.
    ///
    /// # Errors
    /// A file that cannot be read; a pattern that no name fits, or two names that become one; tensors that do not fit, if that is
    /// not allowed.
    ///
    /// ```
    /// use tealight::io::{self, LoadOptions};
    /// use tealight::prelude::*;
    /// let file = std::env::temp_dir().join("tealight-doc-load-fn.safetensors");
    /// let (model, other) = (Linear::new(3, 2, &mut Rng::seed(1))?, Linear::new(3, 2, &mut Rng::seed(2))?);
    /// io::save(&file, &model)?;
    /// let loaded = LoadOptions::new().load(&file, &other)?;
    /// assert_eq!(loaded.loaded, ["weight", "bias"]);
    /// assert_eq!(other.weight.get(), model.weight.get());
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn load(&self, path: impl AsRef<Path>, model: &dyn Layer) -> Result<LoadReport> {
        let path = path.as_ref();
        let tensors = self.read(path, &Device::Cpu)?;
        self.fit(tensors, model).map_err(|misfit| misfit.of_file(path))
    }

    /// The tensors of a file under the names that they have there, from the [`key`](LoadOptions::key) if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, or has no such key.
    ///
    /// ```
    /// use tealight::io::{self, LoadOptions};
    /// use tealight::prelude::*;
    /// let file = std::env::temp_dir().join("tealight-doc-load-read.safetensors");
    /// io::save(&file, &Linear::new(3, 2, &mut Rng::seed(1))?)?;
    /// let load = LoadOptions::new().rename("weight", "w"); // names change when a model is loaded, not before
    /// assert!(load.read(&file, &Device::Cpu)?.keys().eq(["bias", "weight"]));
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn read(&self, path: impl AsRef<Path>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
        let path = path.as_ref();
        let Some(key) = &self.key else { return read(path, device) };
        let bytes = read_at_most(path, u64::MAX)?;
        if !looks_like_pth(&bytes) {
            return Err(file_error(
                path,
                format!("expected a file of PyTorch's with the key {key:?}, got another file"),
            ));
        }
        read_state(path, &bytes, Some(key), device)
    }

    /// Loads tensors that were read already into a model, as [`load`](LoadOptions::load) does those of a file.
    ///
    /// # Errors
    /// Those of `load`, but for those of a file.
    ///
    /// ```
    /// use tealight::io::LoadOptions;
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?.without_bias();
    /// let tensors = [("weight".to_string(), Tensor::new(&[[3_f32, 4.0]], &Device::Cpu)?)].into();
    /// LoadOptions::new().load_tensors(tensors, &model)?;
    /// assert_eq!(model.weight.get().to_vec2::<f32>()?, [[3.0, 4.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn load_tensors(&self, tensors: BTreeMap<String, Tensor>, model: &dyn Layer) -> Result<LoadReport> {
        self.fit(tensors, model).map_err(|misfit| Error::argument("LoadOptions", misfit.expected, misfit.got))
    }

    pub(super) fn fit(
        &self,
        tensors: BTreeMap<String, Tensor>,
        model: &dyn Layer,
    ) -> Result<LoadReport, Misfit> {
        let state = model.state();
        let mut done = LoadReport::default();
        let mut spared = Vec::new();
        let mut named: BTreeMap<String, (String, Tensor)> = BTreeMap::new();
        for ((name, tensor), target) in tensors.clone().into_iter().zip(self.targets(&tensors)?) {
            if self.skips.iter().any(|pattern| fits(&name, pattern) || fits(&target, pattern)) {
                done.skipped.push(name);
                spared.push(target);
            } else if let Some((other, _)) = named.insert(target.clone(), (name.clone(), tensor)) {
                let got = format!("{other} and {name}, which both become {target}");
                return Err(Misfit { expected: "a name of its own for each tensor".into(), got });
            }
        }
        let known = || tensors.keys().chain(&spared).chain(state.iter().map(|(name, _)| name));
        for pattern in &self.skips {
            if !known().any(|name| fits(name, pattern)) {
                return Err(unfit("skip", pattern, known()));
            }
        }

        let mut updates: Vec<(StateEntry, Tensor)> = Vec::new();
        let mut absent = Vec::new();
        for (name, held) in state {
            if spared.contains(&name) || self.skips.iter().any(|pattern| fits(&name, pattern)) {
                continue;
            }
            let Some((_, tensor)) = named.remove(&name) else {
                absent.push((name, held));
                continue;
            };
            let own = held.get();
            let floats = tensor.dtype().is_float() && own.dtype().is_float();
            if tensor.dims() != own.dims() || (tensor.dtype() != own.dtype() && !(self.convert && floats)) {
                let kind = |x: &Tensor| (x.dims().to_vec(), x.dtype());
                done.mismatched.push(MismatchedTensor { name, expected: kind(&own), got: kind(&tensor) });
                continue;
            }
            let array = tensor.array().to_dtype(own.dtype()).and_then(|array| array.to_device(own.device()));
            let array = array.map_err(|error| Misfit {
                expected: format!("{name} on the model's device"),
                got: Error::from(error).to_string(),
            })?;
            if updates.iter().any(|(other, value)| same(other, &held) && value.array().data() != array.data())
            {
                let expected = format!("one value for {name}, which has another name in the model, too");
                return Err(Misfit { expected, got: "two values under these names".into() });
            }
            updates.push((held, Tensor::from(array)));
            done.loaded.push(name);
        }
        let tied = |held: &StateEntry| updates.iter().any(|(other, _)| same(other, held));
        absent.retain(|(name, held)| !is_count(name) && !tied(held));
        done.missing.extend(absent.into_iter().map(|(name, _)| name));
        done.unexpected.extend(named.into_values().map(|(name, _)| name).filter(|name| !is_count(name)));
        if !self.lenient && !done.is_complete() {
            let expected = "all tensors of the model and no other (io::LoadOptions renames, skips, converts, or loads what fits)";
            return Err(Misfit { expected: expected.into(), got: done.to_string() });
        }
        for (held, value) in updates {
            held.set(&value)
                .map_err(|error| Misfit { expected: "a value that fits".into(), got: error.to_string() })?;
        }
        Ok(done)
    }

    /// The name that each tensor has in the model.
    fn targets(&self, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<String>, Misfit> {
        let stars = |pattern: &str| pattern.matches('*').count();
        let mut used = vec![false; self.renames.len()];
        for (from, to) in &self.renames {
            if stars(from) != stars(to) {
                let got = format!("rename({from:?}, {to:?})");
                return Err(Misfit { expected: "as many * in the new name as in the old".into(), got });
            }
        }
        let target = |name: &String| {
            let fitting = self
                .renames
                .iter()
                .enumerate()
                .filter_map(|(i, rule)| Some((i, rule, captures(name, &rule.0)?)));
            // Those after the first are of use, too, if only to somebody else.
            let mut found = None;
            for (i, (_, to), captured) in fitting {
                used[i] = true;
                found.get_or_insert_with(|| {
                    let mut captured = captured.into_iter();
                    let mut pieces = to.split('*');
                    let first = pieces.next().unwrap_or_default().to_string();
                    pieces.fold(first, |text, piece| text + captured.next().unwrap_or_default() + piece)
                });
            }
            found.unwrap_or_else(|| name.clone())
        };
        let targets = tensors.keys().map(target).collect();
        match used.iter().zip(&self.renames).find(|(used, _)| !**used) {
            Some((_, (from, _))) => Err(unfit("rename", from, tensors.keys())),
            None => Ok(targets),
        }
    }
}

/// Whether both are the same parameter.
fn same(a: &StateEntry, b: &StateEntry) -> bool {
    matches!((a, b), (StateEntry::Parameter(a), StateEntry::Parameter(b)) if a.ptr_eq(b))
}

fn unfit<'a>(op: &str, pattern: &str, names: impl Iterator<Item = &'a String>) -> Misfit {
    let names: Vec<&str> = names.map(String::as_str).collect();
    Misfit {
        expected: format!("a pattern that a name fits ({})", first(&names)),
        got: format!("{op}({pattern:?})"),
    }
}

/// How many batches batch normalization has seen: only a mean over all batches needs it, and many files do not have it.
fn is_count(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}
