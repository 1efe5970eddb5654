//! [`TensorFile`]: what was read of a file.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::load::first_ten;
use crate::autograd::{Array, Tensor};
use crate::error::Result;
use crate::file::file_error;

/// What is in a file under each name: an array, or what is wrong with it.
pub(super) type Entries = BTreeMap<String, Result<Array, String>>;

/// The tensors of a file by name, and which could not be read and why.
///
/// It dereferences to the map of its tensors.
///
/// ```
/// # use tealight::io;
/// # use tealight::prelude::*;
/// # let file = std::env::temp_dir().join("tealight-doc-tensor-file.safetensors");
/// let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"C64","shape":[1],"data_offsets":[4,12]}}"#;
/// # std::fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 12]].concat())?;
/// let found = io::read(&file, &Device::Cpu)?;
/// assert!(found.keys().eq(["a"]) && found.unreadable["b"].contains("got C64"));
/// assert_eq!(found.tensor("a")?.dims(), [1]);
/// assert!(found.tensor("b").unwrap_err().to_string().contains("got C64"));
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TensorFile {
    path: PathBuf,
    /// The tensors, by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// What is wrong with the entries that could not be read, by name.
    pub unreadable: BTreeMap<String, String>,
}

impl TensorFile {
    pub(super) fn new(path: &Path, entries: Entries, device: &Device) -> Result<Self> {
        let mut file = TensorFile { path: path.into(), ..Default::default() };
        for (name, entry) in entries {
            match entry {
                Ok(array) => drop(file.tensors.insert(name, array.to_device(device)?.into())),
                Err(message) => drop(file.unreadable.insert(name, message)),
            }
        }
        Ok(file)
    }

    /// The tensor of this name. Errors if there is none, or if it could not be read.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| match self.unreadable.get(name) {
            Some(message) => file_error(&self.path, format!("{name}: {message}")),
            None => {
                let names: Vec<&String> = self.tensors.keys().collect();
                file_error(&self.path, format!("expected a tensor {name:?}, got {}", first_ten(&names)))
            }
        })
    }
}

impl Deref for TensorFile {
    type Target = BTreeMap<String, Tensor>;

    fn deref(&self) -> &Self::Target {
        &self.tensors
    }
}
