//! The safetensors format.
//!
//! # Errors
//! A file that cannot be read or written, or is none of the format; a parameter that is missing, unexpected, or of
//! another shape or dtype. Each names the file or the parameter.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;

use crate::autograd::{Array, Tensor, named};
use crate::error::{Error, Result};
use crate::file::{file_error, read_at_most, replace};
use crate::layer::Layer;

/// Writes tensors under their names. The file is complete or is not there: it is written beside its place and renamed.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: impl AsRef<Path>, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let path = path.as_ref();
    let arrays: Vec<(&str, &Array)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.array())).collect();
    let bytes = safetensors::serialize(arrays, None)
        .map_err(|error| file_error(path, format!("cannot be written: {error}")))?;
    replace(path, |file| file.write_all(&bytes))
}

/// Reads all tensors of a file, by name.
///
/// # Errors
/// A file that cannot be read, or is no safetensors file.
pub fn read(path: impl AsRef<Path>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let bytes = read_at_most(path, u64::MAX)?;
    let arrays = candle_core::safetensors::load_buffer(&bytes, device)
        .map_err(|error| file_error(path, format!("expected a safetensors file: {}", Error::from(error))))?;
    Ok(named(arrays.into_iter().map(|(name, array)| (name, Tensor::from(array)))))
}

/// Writes the parameters of a model under PyTorch's names: `0.weight`, `fc1.bias`.
///
/// ```
/// use tealight::prelude::*;
/// let file = std::env::temp_dir().join("tealight-doc-save.safetensors");
/// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
/// tealight::io::save(&file, &model)?;
/// let other = Linear::new(3, 2, &mut Rng::seed(2))?;
/// tealight::io::load(&file, &other)?;
/// assert_eq!(model.weight.get().to_vec2::<f32>()?, other.weight.get().to_vec2::<f32>()?);
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// A file that cannot be written.
pub fn save(path: impl AsRef<Path>, model: &dyn Layer) -> Result<()> {
    let tensors = model.state().into_iter().map(|(name, held)| (name, held.get()));
    write(path, &named(tensors))
}

/// Reads the parameters of a model. Nothing is changed if anything does not fit.
///
/// # Errors
/// A file that cannot be read; a parameter that is missing in it, unknown to the model, or of another shape or dtype.
pub fn load(path: impl AsRef<Path>, model: &dyn Layer) -> Result<()> {
    let path = path.as_ref();
    let mut tensors = read(path, &Device::Cpu)?;
    let mut updates = Vec::new();
    for (name, held) in model.state() {
        let refuse = |message: String| Error::Parameter { name: name.clone(), message };
        let tensor = tensors
            .remove(&name)
            .ok_or_else(|| refuse(format!("expected in {}, but it is not there", path.display())))?;
        let own = held.get();
        if tensor.dims() != own.dims() || tensor.dtype() != own.dtype() {
            let text = |x: &Tensor| format!("{:?} of {}", x.dims(), x.dtype().as_str());
            return Err(refuse(format!(
                "expected {}, got {} in {}",
                text(&own),
                text(&tensor),
                path.display()
            )));
        }
        updates.push((held, Tensor::from(tensor.array().to_device(own.device())?)));
    }
    if let Some(name) = tensors.into_keys().next() {
        let message = format!("in {}, but the model has no such parameter", path.display());
        return Err(Error::Parameter { name, message });
    }
    for (held, value) in updates {
        held.set(&value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{load, read, save};
    use crate::prelude::*;

    #[test]
    fn round_trip_and_refusals() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.safetensors");
        let model = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?);
        save(&file, &model)?;
        assert_eq!(read(&file, &Device::Cpu)?.keys().collect::<Vec<_>>(), ["0.bias", "0.weight"]);
        let message = |path: &std::path::Path, model: &dyn Layer| load(path, model).unwrap_err().to_string();

        let wide = Sequential::new().push(Linear::new(4, 2, &mut Rng::seed(1))?);
        let before = wide.parameters()[1].1.get().to_vec1::<f32>()?;
        assert!(message(&file, &wide).starts_with("0.weight: expected [2, 4] of f32, got [2, 3] of f32"));
        assert_eq!(wide.parameters()[1].1.get().to_vec1::<f32>()?, before);
        let more = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?.without_bias());
        assert!(message(&file, &more).starts_with("0.bias: in "));
        let deep = Sequential::new().push(Relu).push(Linear::new(3, 2, &mut Rng::seed(1))?);
        assert!(message(&file, &deep).starts_with("1.weight: expected in "));

        let bytes = std::fs::read(&file).unwrap();
        for length in [0, 5, 20, bytes.len() - 1] {
            std::fs::write(&file, &bytes[..length]).unwrap();
            let text = message(&file, &model);
            assert!(text.contains("model.safetensors: expected a safetensors file"), "{length}: {text}");
        }
        assert!(message(&dir.path().join("none"), &model).contains("can be read, got"));
        let nowhere = dir.path().join("no/such/dir/model.safetensors");
        assert!(save(&nowhere, &model).unwrap_err().to_string().contains("can be written, got"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        Ok(())
    }
}
