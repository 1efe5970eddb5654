//! [`Checkpoint`]: the state of a training in a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use safetensors::SafeTensors;

use super::load::LoadOptions;
use super::safetensors::{other_file, parse, serialized};
use super::tensor_file::TensorFile;
use crate::autograd::{Tensor, named};
use crate::error::Result;
use crate::file::{file_error, read_at_most, write_atomically};
use crate::layer::Layer;

const FORMAT: &str = "tealight checkpoint";
const VERSION: &str = "1";

/// The state of a training in a safetensors file: groups of tensors (`model`, `optimizer`, …) and metadata.
///
/// ```
/// use tealight::io::Checkpoint;
/// # use tealight::prelude::*;
/// # let file = std::env::temp_dir().join("tealight-doc-checkpoint.safetensors");
/// let mut checkpoint = Checkpoint::default();
/// checkpoint.set_meta("step", 7);
/// checkpoint.insert("ema", [("weight".to_string(), Tensor::new(&[1.0, 2.0], &Device::Cpu)?)].into());
/// checkpoint.write(&file)?;
/// let read = Checkpoint::read(&file)?;
/// assert_eq!((read.meta::<u64>("step")?, read.tensors("ema")["weight"].dims()), (7, &[2][..]));
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// Errors if the file cannot be read, is cut off, or is no checkpoint of a version that is known here.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_at_most(path, u64::MAX)?;
        let refuse =
            |message: String| file_error(path, format!("expected a whole checkpoint, got {message}"));
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| refuse(other_file(&bytes, error)))?;
        let mut metadata: BTreeMap<String, String> =
            header.metadata().iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
        if metadata.remove("format").as_deref() != Some(FORMAT) {
            return Err(refuse(format!("a safetensors file whose metadata have no format {FORMAT:?}")));
        }
        let version = metadata.remove("version");
        if version.as_deref() != Some(VERSION) {
            let got = version.as_deref().unwrap_or("none");
            return Err(file_error(path, format!("expected version {VERSION} of {FORMAT}, got {got}")));
        }
        let TensorFile { tensors, unreadable, .. } =
            TensorFile::new(path, parse(&bytes).map_err(refuse)?, &Device::Cpu)?;
        if let Some((name, message)) = unreadable.first_key_value() {
            return Err(file_error(path, format!("{name}: {message}")));
        }
        Ok(Checkpoint { path: path.into(), metadata, tensors })
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut metadata = self.metadata.clone();
        metadata.extend([("format", FORMAT), ("version", VERSION)].map(|(k, v)| (k.into(), v.into())));
        write_atomically(path, with_metadata(&serialized(path, &self.tensors)?, &metadata))
    }

    /// Adds a group of tensors; in the file their names are `group.name`.
    pub fn insert(&mut self, group: &str, tensors: BTreeMap<String, Tensor>) {
        self.tensors.extend(tensors.into_iter().map(|(name, tensor)| (format!("{group}.{name}"), tensor)));
    }

    /// The tensors of a group by name; empty if there is no such group.
    pub fn tensors(&self, group: &str) -> BTreeMap<String, Tensor> {
        let in_group = |(name, tensor): (&String, &Tensor)| {
            let name = name.strip_prefix(group)?.strip_prefix('.')?;
            Some((name.to_string(), tensor.clone()))
        };
        named(self.tensors.iter().filter_map(in_group))
    }

    /// Sets an entry of the metadata.
    ///
    /// ```
    /// # use tealight::io::Checkpoint;
    /// let mut checkpoint = Checkpoint::default();
    /// checkpoint.set_meta("rate", 0.1 + 0.2);
    /// assert_eq!(checkpoint.meta::<f64>("rate")?, 0.1 + 0.2); // all digits are kept
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn set_meta(&mut self, name: &str, value: impl ToString) {
        self.metadata.insert(name.into(), value.to_string());
    }

    /// An entry of the metadata, parsed.
    ///
    /// Errors if there is no such entry, or it cannot be parsed as a `T`.
    pub fn meta<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        let text = self.metadata.get(name);
        text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let got = text.map_or("none".into(), |text| format!("{text:?}"));
            file_error(&self.path, format!("expected a readable {name:?} in its metadata, got {got}"))
        })
    }

    /// Loads the group `model` into a model, with the errors of [`io::load`](super::load).
    pub fn load(&self, model: &dyn Layer) -> Result<()> {
        let report = LoadOptions::new().apply(self.tensors("model"), BTreeMap::new(), model);
        report.map(drop).map_err(|error| error.in_file(&self.path))
    }
}

/// The bytes of a safetensors file with metadata, sorted by name: the crate `safetensors` takes a `HashMap` and would write them in
/// another order each time, but equal checkpoints have equal bytes.
fn with_metadata(bytes: &[u8], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let (length, rest) = bytes.split_first_chunk().expect("a safetensors file begins with a length");
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let entries = header.strip_prefix(b"{").expect("the header is an object").trim_ascii_end();
    let metadata = serde_json::to_string(metadata).expect("strings are valid JSON");
    let comma = if entries == b"}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{metadata}{comma}").into_bytes();
    header.extend_from_slice(entries);
    // The tensors begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

#[cfg(test)]
mod tests {
    use super::Checkpoint;
    use crate::prelude::*;

    #[test]
    fn round_trip_and_refusals() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.safetensors");
        let model = Linear::new(3, 2, &mut Rng::seed(1))?;
        let mut checkpoint = Checkpoint::default();
        checkpoint
            .insert("model", model.state_dict().into_iter().map(|(name, held)| (name, held.get())).collect());
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
            assert!(text.contains("a.safetensors: expected a whole checkpoint, got a"), "{text}");
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
