//! The safetensors format.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use candle_core::safetensors::Load as _;
use safetensors::{Dtype, SafeTensors};

use super::load::LoadOptions;
use super::pth::{looks_like_pth, read_state};
use super::shape::elements;
use crate::autograd::{Array, Tensor, named};
use crate::error::{Error, Result};
use crate::file::{file_error, read_at_most, write_atomically};
use crate::layer::Layer;

/// Writes tensors under their names as a safetensors file, whole or not at all.
///
/// ```
/// # use tealight::io;
/// # use tealight::prelude::*;
/// # let file = std::env::temp_dir().join("tealight-doc-write.safetensors");
/// io::write(&file, &[("x".to_string(), Tensor::new(&[1_u32, 2], &Device::Cpu)?)].into())?;
/// assert_eq!(io::read(&file, &Device::Cpu)?["x"].to_vec1::<u32>()?, [1, 2]);
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "save_file")]
pub fn write(path: impl AsRef<Path>, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let path = path.as_ref();
    write_atomically(path, serialized(path, tensors)?)
}

/// The bytes of a safetensors file with these tensors.
pub(super) fn serialized(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
    let arrays: Vec<(&str, &Array)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.array())).collect();
    safetensors::serialize(arrays, None)
        .map_err(|error| file_error(path, format!("cannot be written: {error}")).with_source(error))
}

/// Reads all tensors of a safetensors file, or of PyTorch's state dict as [`read_pth`](super::read_pth) does, by name.
///
/// f16, bf16, f32, f64, u8, u32, i16, i32 and i64 keep their dtype; bool becomes u8, i8 becomes i64, u16 becomes u32. Errors for
/// other dtypes.
///
/// ```
/// # use tealight::io;
/// # use tealight::prelude::*;
/// # let file = std::env::temp_dir().join("tealight-doc-read.safetensors");
/// io::save(&file, &Linear::new(3, 2, &mut Rng::seed(1))?)?;
/// let tensors = io::read(&file, &Device::Cpu)?;
/// assert!(tensors.keys().eq(["bias", "weight"]));
/// assert_eq!(tensors["weight"].dims(), [2, 3]);
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "load_file")]
pub fn read(path: impl AsRef<Path>, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let bytes = read_at_most(path, u64::MAX)?;
    if looks_like_pth(&bytes) {
        return read_state(path, &bytes, None, device);
    }
    parse(&bytes, device).map_err(|got| {
        file_error(path, format!("expected a safetensors file, or a state dict of PyTorch's, got {got}"))
    })
}

/// The tensors in the bytes of a file, or what is wrong with them.
pub(super) fn parse(bytes: &[u8], device: &Device) -> Result<BTreeMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("a file that is cut off or none of safetensors: {error}"))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let shape = view.shape();
        // candle would panic.
        if elements(shape).is_none() {
            return Err(format!("one whose tensor {name} has the shape {shape:?}, which fits in no memory"));
        }
        let array = match view.dtype() {
            Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::I16 | Dtype::I32 | Dtype::I64 => view.load(device),
            Dtype::F8_E4M3 | Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => view.load(device),
            Dtype::BOOL => {
                let bits = view.data().iter().map(|&byte| u8::from(byte != 0)).collect();
                Array::from_vec(bits, shape, device)
            }
            Dtype::I8 => {
                let wide = view.data().iter().map(|&byte| i64::from(byte.cast_signed())).collect();
                Array::from_vec(wide, shape, device)
            }
            other => {
                let what = "which is not read: convert it to f32 or i64 before it is saved";
                return Err(format!("one whose tensor {name} is of dtype {other}, {what}"));
            }
        };
        let array = array.map_err(|error| format!("{name}: {}", Error::from(error)))?;
        tensors.insert(name.to_string(), Tensor::from(array));
    }
    Ok(tensors)
}

/// Saves the parameters and buffers of a model as a safetensors file under PyTorch's names: `0.weight`, `fc1.bias`.
///
/// ```
/// # use tealight::prelude::*;
/// # let file = std::env::temp_dir().join("tealight-doc-save.safetensors");
/// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
/// tealight::io::save(&file, &model)?;
/// let other = Linear::new(3, 2, &mut Rng::seed(2))?;
/// tealight::io::load(&file, &other)?;
/// assert_eq!(model.weight.get(), other.weight.get());
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "save_weights")]
pub fn save(path: impl AsRef<Path>, model: &dyn Layer) -> Result<()> {
    let tensors = model.state().into_iter().map(|(name, entry)| (name, entry.get()));
    write(path, &named(tensors))
}

/// Loads the parameters and buffers of a model from a safetensors file or PyTorch's state dict (`model.pth`).
///
/// [`LoadOptions`] renames, skips and converts tensors.
///
/// # Errors
/// Errors if the file cannot be read, or if a tensor is missing, unknown to the model, or of another shape or dtype. Then nothing
/// is changed.
///
/// ```
/// # use tealight::io;
/// # use tealight::prelude::*;
/// # let file = std::env::temp_dir().join("tealight-doc-load-model.safetensors");
/// io::save(&file, &Linear::new(3, 2, &mut Rng::seed(1))?)?;
/// let error = io::load(&file, &Linear::new(4, 2, &mut Rng::seed(1))?).unwrap_err().to_string();
/// assert!(error.ends_with("weight (expected [2, 4] of f32, got [2, 3] of f32)"));
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "load_weights")]
#[doc(alias = "load_state_dict")]
pub fn load(path: impl AsRef<Path>, model: &dyn Layer) -> Result<()> {
    LoadOptions::new().load(path, model).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{load, parse, read, save};
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
        let text = message(&file, &wide);
        assert!(text.contains("model.safetensors: expected all tensors of the model and no other"), "{text}");
        let one =
            "1 that fit; 1 of another shape or dtype: 0.weight (expected [2, 4] of f32, got [2, 3] of f32)";
        assert!(text.ends_with(one), "{text}");
        assert_eq!(wide.parameters()[1].1.get().to_vec1::<f32>()?, before);
        let more = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?.without_bias());
        assert!(message(&file, &more).ends_with("got 1 that fit; 1 unexpected: 0.bias"));
        let deep = Sequential::new().push(Relu).push(Linear::new(3, 2, &mut Rng::seed(1))?);
        let both = "got 0 that fit; 2 missing: 1.weight, 1.bias; 2 unexpected: 0.bias, 0.weight";
        assert!(message(&file, &deep).ends_with(both));

        let bytes = std::fs::read(&file).unwrap();
        for length in 0..bytes.len() {
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

    /// A file with this header, and so many bytes after it.
    fn file(header: &str, bytes: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![1; bytes]].concat()
    }

    #[test]
    fn every_dtype_is_read_or_refused() -> Result<()> {
        let read = |dtype: &str, shape: &str, bytes| {
            let header =
                format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#);
            parse(&file(&header, bytes), &Device::Cpu).map(|mut tensors| tensors.remove("x").unwrap())
        };
        for (dtype, bytes, expected) in [
            ("BOOL", 2, DType::U8),
            ("U8", 2, DType::U8),
            ("I8", 2, DType::I64),
            ("U16", 4, DType::U32),
            ("U32", 8, DType::U32),
            ("I16", 4, DType::I16),
            ("I32", 8, DType::I32),
            ("I64", 16, DType::I64),
            ("F8_E4M3", 2, DType::F8E4M3),
            ("F16", 4, DType::F16),
            ("BF16", 4, DType::BF16),
            ("F32", 8, DType::F32),
            ("F64", 16, DType::F64),
        ] {
            let x = read(dtype, "[1,2]", bytes).unwrap();
            assert_eq!((x.dims(), x.dtype()), (&[1, 2][..], expected), "{dtype}");
            assert!(read(dtype, "[0,2]", 0).unwrap().dims() == [0, 2]);
        }
        assert_eq!(read("I8", "[2]", 2).unwrap().to_vec1::<i64>()?, [1, 1]);
        for (dtype, shape, bytes) in [
            ("U64", "[1]", 8),
            ("C64", "[1]", 8),
            ("F8_E5M2", "[1]", 1),
            ("F4", "[2]", 1),
            ("F8_E8M0", "[1]", 1),
        ] {
            let text = read(dtype, shape, bytes).unwrap_err();
            assert!(text.contains("tensor x is of dtype") && text.contains("convert it"), "{dtype}: {text}");
        }
        Ok(())
    }

    #[test]
    fn headers_that_lie() {
        let x = r#""x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
        for (header, bytes) in [
            (format!("{{{x}}}"), 7),
            (format!("{{{x}}}"), 9),
            (format!("{{{x},{}}}", x.replace("\"x\"", "\"y\"")), 8),
            (format!("{{{x},{}}}", x.replace("[0,8]", "[8,16]")), 16),
            (format!("{{{}}}", x.replace("[0,8]", "[0,4]")), 4),
            (format!("{{{}}}", x.replace("[0,8]", "[8,0]")), 8),
            (format!("{{{}}}", x.replace("[0,8]", "[1,9]")), 9),
            (format!("{{{}}}", x.replace("[0,8]", "[-8,0]")), 8),
            (format!("{{{}}}", x.replace("[2]", "[4611686018427387904,4]")), 8),
            (format!("{{{}}}", x.replace("[2]", "[3]")), 8),
            (format!("{{{}}}", x.replace("F32", "F33")), 8),
            ("[]".into(), 0),
            ("{".into(), 0),
        ] {
            let text = parse(&file(&header, bytes), &Device::Cpu).unwrap_err();
            assert!(text.starts_with("a file that is cut off or none of safetensors: "), "{header}: {text}");
        }
        let empty =
            format!("{{{}}}", x.replace("[2]", "[0,4611686018427387904,4]").replace("[0,8]", "[0,0]"));
        assert!(parse(&file(&empty, 0), &Device::Cpu).unwrap_err().contains("x has the shape [0, 4611"));
        let endless = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
        assert!(parse(&endless, &Device::Cpu).is_err());
        assert!(parse(&file("{}", 0), &Device::Cpu).unwrap().is_empty());
    }
}
