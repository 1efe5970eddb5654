//! [`LoadOptions`]: which tensor of a file goes where in a model.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use ::safetensors::View;
use candle_core::Device;

pub use report::{LoadReport, MismatchedTensor};

use super::tensor_file::TensorFile;
use super::{pth, safetensors};
use crate::autograd::Tensor;
use crate::autograd::array::converted;
use crate::error::{Error, Result};
use crate::file::{file_error, kind_or, read_at_most};
use crate::layer::pattern::{captures, fits};
use crate::layer::{Layer, StateEntry};
pub(super) use report::first_ten;

/// Options for loading a model from a file: rename, skip and convert tensors.
///
/// In a pattern `*` matches any text. If anything is an error, nothing is changed.
///
/// ```
/// # use tealight::io::{self, LoadOptions};
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-load.safetensors");
/// # let rng = &mut Rng::seed(1);
/// let theirs = Sequential::new().push(Linear::new(3, 8, rng)?).push(Relu).push(Linear::new(8, 1000, rng)?);
/// let ours = Sequential::new().push(Linear::new(3, 8, rng)?).push(Linear::new(8, 10, rng)?);
/// io::save(&path, &theirs)?;
/// let report = LoadOptions::new().rename("2.*", "1.*").skip("1.*").load(&path, &ours)?;
/// assert_eq!(report.loaded, ["0.weight", "0.bias"]);
/// assert_eq!(report.skipped, ["2.bias", "2.weight"]);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "load_state_dict")]
pub struct LoadOptions {
    renames: Vec<(String, String)>,
    skips: Vec<String>,
    lenient: bool,
    convert: bool,
    key: Option<String>,
}

/// An error that does not name the file yet.
#[derive(Debug)]
pub(super) struct LoadError {
    expected: String,
    got: String,
}

impl LoadError {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        LoadError { expected: expected.into(), got: got.into() }
    }

    pub(super) fn in_file(self, path: &Path) -> Error {
        file_error(path, format!("expected {}, got {}", self.expected, self.got))
    }
}

impl LoadOptions {
    /// Every tensor under its own name; none may be missing, unexpected, or of another shape or dtype.
    pub fn new() -> Self {
        Self::default()
    }

    /// Renames the tensors whose names in the file match `from`; each `*` in `to` stands for what the same `*` in `from` matched.
    /// The first pattern that matches counts; one that matches no name is an error.
    ///
    /// ```
    /// # use tealight::io::LoadOptions;
    /// # use tealight::prelude::*;
    /// let model = Linear::new(1, 1, &mut Rng::seed(1))?.without_bias();
    /// let theirs = [("fc.weight".to_string(), Tensor::ones((1, 1), DType::F32, &Device::Cpu)?)].into();
    /// let report = LoadOptions::new().rename("fc.*", "*").load_tensors(theirs, &model)?;
    /// assert_eq!(report.loaded, ["weight"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.renames.push((from.into(), to.into()));
        self
    }

    /// Skips the tensors whose names in the file or in the model match: the model's stay as they are. A pattern that matches no
    /// name is an error.
    #[must_use]
    pub fn skip(mut self, pattern: impl Into<String>) -> Self {
        self.skips.push(pattern.into());
        self
    }

    /// With `false`, loads what fits and lists the rest in the [`LoadReport`], instead of an error. Default: `true`.
    ///
    /// ```
    /// # use tealight::io::LoadOptions;
    /// # use tealight::prelude::*;
    /// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
    /// let tensors = [("weight".to_string(), Tensor::ones((1, 1), DType::F32, &Device::Cpu)?)].into();
    /// let report = LoadOptions::new().strict(false).load_tensors(tensors, &model)?;
    /// assert_eq!((report.loaded, report.missing), (vec!["weight".to_string()], vec!["bias".to_string()]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        LoadOptions { lenient: !strict, ..self }
    }

    /// Whether to convert between float dtypes: an f16 file to an f32 model, say. Default: `false`.
    #[must_use]
    pub fn convert(self, convert: bool) -> Self {
        LoadOptions { convert, ..self }
    }

    /// The path of the state dict in a file of PyTorch's that has several: `"model"` in `{"model": …, "ema": …}`, `"nets.encoder"` in
    /// `{"nets": {"encoder": …, "decoder": …}}`, `""` for the dict around all others.
    #[must_use]
    pub fn state_dict_key(self, key: impl Into<String>) -> Self {
        LoadOptions { key: Some(key.into()), ..self }
    }

    /// Loads a model from a safetensors file or a state dict of PyTorch's.
    ///
    /// `num_batches_tracked`, PyTorch's count in batch normalization, may be in the file alone or in the model alone. A parameter
    /// with several names in the model has to be in the file under one of them.
    pub fn load(&self, path: impl AsRef<Path>, model: &dyn Layer) -> Result<LoadReport> {
        let path = path.as_ref();
        let TensorFile { tensors, unreadable, .. } = self.read(path, &Device::Cpu)?;
        self.apply(tensors, unreadable, model).map_err(|error| error.in_file(path))
    }

    /// Reads the tensors of a file, those under [`state_dict_key`](LoadOptions::state_dict_key) if it is set; nothing is renamed.
    pub fn read(&self, path: impl AsRef<Path>, device: &Device) -> Result<TensorFile> {
        let path = path.as_ref();
        let bytes = read_at_most(path, u64::MAX)?;
        let entries = match &self.key {
            key if pth::looks_like_pth(&bytes) => pth::entries(&bytes, key.as_deref()),
            None => safetensors::parse(&bytes).map_err(|got| {
                format!("expected a safetensors file, or a state dict of PyTorch's, got {got}")
            }),
            Some(key) => {
                let got = kind_or(&bytes, "another file");
                Err(format!("expected a file of PyTorch's with the key {key:?}, got {got}"))
            }
        };
        TensorFile::new(path, entries.map_err(|message| file_error(path, message))?, device)
    }

    /// [`load`](LoadOptions::load) for tensors that are in memory.
    pub fn load_tensors(&self, tensors: BTreeMap<String, Tensor>, model: &dyn Layer) -> Result<LoadReport> {
        self.apply(tensors, BTreeMap::new(), model)
            .map_err(|error| Error::argument("LoadOptions", error.expected, error.got))
    }

    pub(super) fn apply(
        &self,
        tensors: BTreeMap<String, Tensor>,
        unreadable: BTreeMap<String, String>,
        model: &dyn Layer,
    ) -> Result<LoadReport, LoadError> {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, Ok(tensor)));
        let unreadable = unreadable.into_iter().map(|(name, message)| (name, Err(message)));
        let tensors: BTreeMap<String, Result<Tensor, String>> = tensors.chain(unreadable).collect();
        let state = model.state_dict();
        let mut report = LoadReport::default();
        let mut skipped = Vec::new();
        // By their names in the model, with those in the file.
        let mut renamed: BTreeMap<String, (String, Result<Tensor, String>)> = BTreeMap::new();
        for ((name, tensor), target) in tensors.clone().into_iter().zip(self.targets(&tensors)?) {
            if self.skips.iter().any(|pattern| fits(&name, pattern) || fits(&target, pattern)) {
                report.skipped.push(name);
                skipped.push(target);
            } else if let Some((other, _)) = renamed.insert(target.clone(), (name.clone(), tensor)) {
                let got = format!("{other} and {name}, which both become {target}");
                return Err(LoadError::new("a different name for each tensor", got));
            }
        }
        let known = || tensors.keys().chain(&skipped).chain(state.iter().map(|(name, _)| name));
        for pattern in &self.skips {
            if !known().any(|name| fits(name, pattern)) {
                return Err(no_match("skip", pattern, known()));
            }
        }

        let mut updates: Vec<(StateEntry, Tensor)> = Vec::new();
        let mut absent = Vec::new();
        for (name, entry) in state {
            if skipped.contains(&name) || self.skips.iter().any(|pattern| fits(&name, pattern)) {
                continue;
            }
            let Some((_, tensor)) = renamed.remove(&name) else {
                absent.push((name, entry));
                continue;
            };
            let tensor = match tensor {
                Ok(tensor) => tensor,
                Err(message) => {
                    report.unreadable.insert(name, message);
                    continue;
                }
            };
            let current = entry.get();
            let floats = tensor.dtype().is_float() && current.dtype().is_float();
            let dtype_fits = tensor.dtype() == current.dtype() || (self.convert && floats);
            if tensor.dims() != current.dims() || !dtype_fits {
                let kind = |x: &Tensor| (x.dims().to_vec(), x.dtype());
                report.mismatched.push(MismatchedTensor {
                    name,
                    expected: kind(&current),
                    got: kind(&tensor),
                });
                continue;
            }
            let array = converted(tensor.array(), current.dtype())
                .and_then(|array| Ok(array.to_device(current.device())?));
            let array = array.map_err(|error| {
                LoadError::new(format!("{name} on the model's device"), error.to_string())
            })?;
            let differs =
                |(other, value): &(_, Tensor)| same(other, &entry) && value.array().data() != array.data();
            if updates.iter().any(differs) {
                let expected = format!("one value for {name}, which has another name in the model, too");
                return Err(LoadError::new(expected, "two values under these names"));
            }
            updates.push((entry, Tensor::from(array)));
            report.loaded.push(name);
        }
        let tied = |entry: &StateEntry| updates.iter().any(|(other, _)| same(other, entry));
        absent.retain(|(name, entry)| !is_count(name) && !tied(entry));
        report.missing.extend(absent.into_iter().map(|(name, _)| name));
        report.unexpected.extend(renamed.into_values().map(|(name, _)| name).filter(|name| !is_count(name)));
        if !self.lenient && !report.is_complete() {
            let expected = "all tensors of the model and no other (io::LoadOptions renames, skips, converts, or loads what fits)";
            return Err(LoadError::new(expected, format!("{report}{}", reparametrized(&report.unexpected))));
        }
        for (entry, value) in updates {
            entry.set(&value).map_err(|error| LoadError::new("a value that fits", error.to_string()))?;
        }
        Ok(report)
    }

    /// The name that each tensor has in the model.
    fn targets<T>(&self, tensors: &BTreeMap<String, T>) -> Result<Vec<String>, LoadError> {
        let stars = |pattern: &str| pattern.matches('*').count();
        for (from, to) in &self.renames {
            if stars(from) != stars(to) {
                let got = format!("rename({from:?}, {to:?})");
                return Err(LoadError::new("as many * in the new name as in the old", got));
            }
            if !tensors.keys().any(|name| fits(name, from)) {
                return Err(no_match("rename", from, tensors.keys()));
            }
        }
        let target = |name: &String| {
            let rule = self.renames.iter().find_map(|(from, to)| Some((to, captures(name, from)?)));
            let Some((to, captured)) = rule else { return name.clone() };
            let mut pieces = to.split('*');
            let first = pieces.next().expect("split gives one piece at least").to_string();
            pieces.zip(captured).fold(first, |text, (piece, captured)| text + captured + piece)
        };
        Ok(tensors.keys().map(target).collect())
    }
}

/// What to do about weights that PyTorch computes of other tensors.
fn reparametrized(unexpected: &[String]) -> &'static str {
    let ends = |ends: &[&str]| unexpected.iter().any(|name| ends.iter().any(|end| name.ends_with(end)));
    match () {
        () if unexpected.iter().any(|name| name.contains("parametrizations.")) => {
            "; PyTorch computes these weights (weight_norm, …): call torch.nn.utils.parametrize.remove_parametrizations before saving"
        }
        () if ends(&["weight_g", "weight_v"]) => {
            "; PyTorch's weight_norm computes these weights: call torch.nn.utils.remove_weight_norm before saving"
        }
        () if ends(&["weight_orig"]) => {
            "; PyTorch computes these weights (spectral_norm, prune): call its remove function before saving"
        }
        () => "",
    }
}

/// Whether both are the same parameter.
fn same(a: &StateEntry, b: &StateEntry) -> bool {
    matches!((a, b), (StateEntry::Parameter(a), StateEntry::Parameter(b)) if a.ptr_eq(b))
}

fn no_match<'a>(op: &str, pattern: &str, names: impl Iterator<Item = &'a String>) -> LoadError {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let expected = format!("a pattern that a name fits ({})", first_ten(&names));
    LoadError::new(expected, format!("{op}({pattern:?})"))
}

/// Whether this is the number of batches that batch normalization has seen: only a mean over all batches needs it, and many files do
/// not have it.
fn is_count(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}
