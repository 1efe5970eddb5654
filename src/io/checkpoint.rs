//! Checkpoints: a training in a file.
//!
//! A checkpoint is a safetensors file whose metadata say where the training was, and whose tensors are in parts: `model.` has the
//! weights and buffers, `optimizer.` its memory.
//!
//! # Errors
//! A file that cannot be read or written, is cut off, or is no checkpoint; one of a format that is not known here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use safetensors::SafeTensors;

use super::load::LoadOptions;
use super::safetensors::parse;
use crate::autograd::{Array, Tensor, named};
use crate::error::Result;
use crate::file::{file_error, read_at_most, write_atomically};
use crate::layer::Layer;

const FORMAT: &str = "tealight checkpoint";
const VERSION: &str = "1";

/// A training in a file: tensors, and words about them.
///
/// ```
/// use tealight::io::Checkpoint;
/// use tealight::prelude::*;
/// use tealight::train::{Checkpoints, Trainer};
/// let dir = std::env::temp_dir().join("tealight-doc-checkpoint");
/// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?)
///     .silent()
///     .callback(Checkpoints::new(&dir)?);
/// trainer.fit(&(x.clone(), x.sum_keepdim(1)?), None)?;
///
/// let other = Linear::new(2, 1, &mut Rng::seed(2))?;
/// Checkpoint::read(dir.join("last.safetensors"))?.load(&other)?;
/// assert_eq!(other.predict(&x)?, model.predict(&x)?);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    path: PathBuf,
    about: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read, is cut off, or is no checkpoint.
    ///
    /// ```
    /// use tealight::io::{self, Checkpoint};
    /// use tealight::prelude::*;
    /// let file = std::env::temp_dir().join("tealight-doc-checkpoint-read.safetensors");
    /// io::save(&file, &Linear::new(3, 2, &mut Rng::seed(1))?)?; // a model alone is no checkpoint
    /// let error = Checkpoint::read(&file).unwrap_err().to_string();
    /// assert!(error.ends_with("whose metadata have no format \"tealight checkpoint\""));
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_at_most(path, u64::MAX)?;
        let none = |message: String| file_error(path, format!("expected a whole checkpoint, got {message}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| none(format!("a file that is cut off or none of safetensors: {error}")))?;
        let mut about: BTreeMap<String, String> =
            metadata.metadata().clone().unwrap_or_default().into_iter().collect();
        if about.remove("format").as_deref() != Some(FORMAT) {
            return Err(none(format!("a safetensors file whose metadata have no format {FORMAT:?}")));
        }
        match about.remove("version") {
            Some(version) if version == VERSION => {}
            version => {
                let got = version.unwrap_or_else(|| "none".into());
                return Err(file_error(path, format!("expected version {VERSION} of {FORMAT}, got {got}")));
            }
        }
        let tensors = parse(&bytes, &Device::Cpu).map_err(none)?;
        Ok(Checkpoint { path: path.into(), about, tensors })
    }

    /// Writes it: the file is complete or is as it was before.
    ///
    /// # Errors
    /// A file that cannot be written.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// let file = std::env::temp_dir().join("tealight-doc-checkpoint-write.safetensors");
    /// let mut checkpoint = Checkpoint::default();
    /// checkpoint.set_meta("step", 7);
    /// checkpoint.write(&file)?;
    /// assert_eq!(Checkpoint::read(&file)?.meta::<u64>("step")?, 7);
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let about = [("format", FORMAT), ("version", VERSION)].map(|(k, v)| (k.to_string(), v.to_string()));
        let about: BTreeMap<String, String> = self.about.clone().into_iter().chain(about).collect();
        let arrays: Vec<(&str, &Array)> =
            self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.array())).collect();
        let failed = |error: String| file_error(path, format!("cannot be written: {error}"));
        let bytes = safetensors::serialize(arrays, None).map_err(|error| failed(error.to_string()))?;
        let bytes = with_metadata(&bytes, &about).map_err(failed)?;
        write_atomically(path, &bytes)
    }

    /// Adds tensors as a part.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// use tealight::prelude::*;
    /// let mut checkpoint = Checkpoint::default();
    /// checkpoint.insert("ema", [("weight".to_string(), Tensor::new(&[1.0, 2.0], &Device::Cpu)?)].into());
    /// assert_eq!(checkpoint.tensors("ema")["weight"].to_vec1::<f64>()?, [1.0, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn insert(&mut self, part: &str, tensors: BTreeMap<String, Tensor>) {
        self.tensors.extend(tensors.into_iter().map(|(name, tensor)| (format!("{part}.{name}"), tensor)));
    }

    /// The tensors of a part under the names that they had; none if there is no such part.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// use tealight::prelude::*;
    /// let mut checkpoint = Checkpoint::default();
    /// checkpoint.insert("model", [("0.weight".to_string(), Tensor::new(1.0, &Device::Cpu)?)].into());
    /// assert!(checkpoint.tensors("model").keys().eq(["0.weight"]));
    /// assert!(checkpoint.tensors("optimizer").is_empty());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn tensors(&self, part: &str) -> BTreeMap<String, Tensor> {
        let own = |(name, tensor): (&String, &Tensor)| {
            let name = name.strip_prefix(part)?.strip_prefix('.')?;
            Some((name.to_string(), tensor.clone()))
        };
        named(self.tensors.iter().filter_map(own))
    }

    /// Adds a word to the metadata.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// let mut checkpoint = Checkpoint::default();
    /// checkpoint.set_meta("rate", 0.1 + 0.2);
    /// assert_eq!(checkpoint.meta::<String>("rate")?, "0.30000000000000004"); // all its digits
    /// assert_eq!(checkpoint.meta::<f64>("rate")?, 0.1 + 0.2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn set_meta(&mut self, name: &str, value: impl ToString) {
        self.about.insert(name.into(), value.to_string());
    }

    /// A word of the metadata as what it stands for.
    ///
    /// # Errors
    /// It is not there, or stands for no such thing.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// let mut checkpoint = Checkpoint::default();
    /// checkpoint.set_meta("step", 12);
    /// assert_eq!(checkpoint.meta::<u64>("step")?, 12);
    /// let error = checkpoint.meta::<bool>("step").unwrap_err().to_string();
    /// assert!(error.ends_with("expected a readable \"step\" in its metadata, got \"12\""));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn meta<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        let text = self.about.get(name);
        text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let got = text.map_or("none".into(), |text| format!("{text:?}"));
            file_error(&self.path, format!("expected a readable {name:?} in its metadata, got {got}"))
        })
    }

    /// Gives the model the weights and buffers of the part `model`. Nothing is changed if anything does not fit.
    ///
    /// # Errors
    /// A tensor that is missing, unknown to the model, or of another shape or dtype.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// use tealight::prelude::*;
    /// let (model, other) = (Linear::new(3, 2, &mut Rng::seed(1))?, Linear::new(3, 2, &mut Rng::seed(2))?);
    /// let mut checkpoint = Checkpoint::default();
    /// checkpoint.insert("model", model.state().into_iter().map(|(name, held)| (name, held.get())).collect());
    /// checkpoint.load(&other)?;
    /// assert_eq!(other.weight.get(), model.weight.get());
    /// assert!(checkpoint.load(&Linear::new(4, 2, &mut Rng::seed(1))?).is_err()); // another shape
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn load(&self, model: &dyn Layer) -> Result<()> {
        LoadOptions::new()
            .fit(self.tensors("model"), model)
            .map(drop)
            .map_err(|error| error.of_file(&self.path))
    }
}

/// A safetensors file with metadata in the order of their names: the crate `safetensors` would write them in an order that is
/// another one each time, and a file that is the same has to have the same bytes.
fn with_metadata(bytes: &[u8], about: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    let (length, rest) = bytes.split_first_chunk().ok_or("no header")?;
    let (header, tensors) =
        rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or("half a header")?;
    let entries = header.strip_prefix(b"{").ok_or("a header that is no object")?.trim_ascii_end();
    let about = serde_json::to_string(about).map_err(|error| error.to_string())?;
    let comma = if entries == b"}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{about}{comma}").into_bytes();
    header.extend_from_slice(entries);
    // The tensors begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok([&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat())
}

#[cfg(test)]
mod tests {
    use super::Checkpoint;
    use crate::prelude::*;

    #[test]
    fn round_trip_and_what_is_none() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.safetensors");
        let model = Linear::new(3, 2, &mut Rng::seed(1))?;
        let mut checkpoint = Checkpoint::default();
        checkpoint
            .insert("model", model.state().into_iter().map(|(name, held)| (name, held.get())).collect());
        checkpoint.set_meta("step", 7);
        checkpoint.write(&file)?;
        let read = Checkpoint::read(&file)?;
        assert_eq!(
            (read.meta::<u64>("step")?, read.tensors("model").len(), read.tensors("mod").len()),
            (7, 2, 0)
        );
        let text = read.meta::<u64>("epoch").unwrap_err().to_string();
        assert!(text.ends_with("a.safetensors: expected a readable \"epoch\" in its metadata, got none"));
        let other = Linear::new(3, 2, &mut Rng::seed(2))?;
        read.load(&other)?;
        assert_eq!(other.weight.get(), model.weight.get());
        // The same bytes each time, and what JSON has to escape comes back.
        let mut checkpoint = Checkpoint::default();
        let words = ["", "a\nb", "\"\\", "é\u{1}", "}"];
        words.iter().enumerate().for_each(|(i, word)| checkpoint.set_meta(&format!("{word}{i}"), word));
        let (first, second) = (dir.path().join("1"), dir.path().join("2"));
        checkpoint.write(&first)?;
        checkpoint.clone().write(&second)?;
        assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(second).unwrap());
        let again = Checkpoint::read(first)?;
        for (i, word) in words.iter().enumerate() {
            assert_eq!(&again.meta::<String>(&format!("{word}{i}"))?, word);
        }
        let wide = read.load(&Linear::new(4, 2, &mut Rng::seed(1))?).unwrap_err().to_string();
        assert!(wide.contains("a.safetensors: expected all tensors of the model and no other"), "{wide}");
        assert!(wide.ends_with("weight (expected [2, 4] of f32, got [2, 3] of f32)"), "{wide}");
        let less = Linear::new(3, 2, &mut Rng::seed(1))?.without_bias();
        assert!(read.load(&less).unwrap_err().to_string().ends_with("1 unexpected: bias"));

        let message = |file| Checkpoint::read(file).unwrap_err().to_string();
        let bytes = std::fs::read(&file).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&file, &bytes[..length]).unwrap();
            let text = message(&file);
            assert!(text.contains("a.safetensors: expected a whole checkpoint, got a file"), "{text}");
        }
        crate::io::save(&file, &model)?;
        let text = message(&file);
        assert!(text.ends_with("whose metadata have no format \"tealight checkpoint\""), "{text}");
        let at = bytes.windows(11).position(|w| w == b"\"version\":\"").unwrap() + 11;
        let mut newer = bytes.clone();
        newer[at] = b'2';
        std::fs::write(&file, newer).unwrap();
        assert!(message(&file).ends_with("expected version 1 of tealight checkpoint, got 2"));
        assert!(message(&dir.path().join("none")).contains("can be read"));
        Ok(())
    }
}
