//! The safetensors format.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::{Value, json};

use super::element::{ElementType, no_dtype};
use super::load::LoadOptions;
use super::shape::elements;
use super::tensor_file::{Entries, TensorFile};
use crate::autograd::{Array, Tensor, named};
use crate::error::Result;
use crate::file::{SAFETENSORS, file_error, kind_of, write_atomically};
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
/// Floats of 16 to 64 bits, F8_E4M3, u8, u32, i16, i32 and i64 keep their dtype; bool becomes u8, i8 and u64 become i64, u16 becomes u32,
/// F8_E5M2 becomes f32. Tensors of other dtypes, and of u64 above the largest i64, are listed in [`TensorFile::unreadable`].
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
pub fn read(path: impl AsRef<Path>, device: &Device) -> Result<TensorFile> {
    LoadOptions::new().read(path, device)
}

/// The tensors in the bytes of a file, or what the file is instead.
pub(super) fn parse(bytes: &[u8]) -> Result<Entries, String> {
    let got = |error| other_file(bytes, error);
    let mut unknown = BTreeMap::new();
    let copy;
    let file = match SafeTensors::deserialize(bytes) {
        Ok(file) => file,
        Err(error) => {
            (copy, unknown) = without_unknown_dtypes(bytes).ok_or_else(|| got(error))?;
            SafeTensors::deserialize(&copy).map_err(got)?
        }
    };
    let array = |name: &str, view: &TensorView| {
        if let Some(dtype) = unknown.get(name) {
            return Err(no_dtype(dtype));
        }
        let shape = view.shape();
        // candle would panic.
        elements(shape).ok_or_else(|| format!("expected a shape that fits in memory, got {shape:?}"))?;
        element_type(view.dtype())
            .ok_or_else(|| no_dtype(&view.dtype().to_string()))?
            .array(view.data(), shape)
    };
    Ok(file.iter().map(|(name, view)| (name.to_string(), array(name, &view))).collect())
}

/// What a file is that is none of safetensors.
pub(super) fn other_file(bytes: &[u8], error: SafeTensorError) -> String {
    match kind_of(bytes) {
        Some(kind) if kind != SAFETENSORS => kind.to_string(),
        _ => format!("a file that is cut off or none of safetensors: {error}"),
    }
}

fn element_type(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::BOOL => ElementType::Bool,
        Dtype::I8 => ElementType::I8,
        Dtype::U16 => ElementType::U16,
        Dtype::U64 => ElementType::U64,
        Dtype::F8_E5M2 => ElementType::F8E5M2,
        Dtype::U8 => ElementType::Plain(DType::U8),
        Dtype::U32 => ElementType::Plain(DType::U32),
        Dtype::I16 => ElementType::Plain(DType::I16),
        Dtype::I32 => ElementType::Plain(DType::I32),
        Dtype::I64 => ElementType::Plain(DType::I64),
        Dtype::F8_E4M3 => ElementType::Plain(DType::F8E4M3),
        Dtype::F16 => ElementType::Plain(DType::F16),
        Dtype::BF16 => ElementType::Plain(DType::BF16),
        Dtype::F32 => ElementType::Plain(DType::F32),
        Dtype::F64 => ElementType::Plain(DType::F64),
        _ => return None,
    })
}

/// The file with the tensors of dtypes that the crate `safetensors` does not know as bytes, since it refuses the whole file for one of
/// them, and these dtypes by name; `None` if there are none.
fn without_unknown_dtypes(bytes: &[u8]) -> Option<(Vec<u8>, BTreeMap<String, String>)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (header, numbers) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(header).ok()?;
    let mut unknown = BTreeMap::new();
    for (name, entry) in header.iter_mut().filter(|(name, _)| *name != "__metadata__") {
        let dtype = entry.get("dtype")?.as_str()?;
        if serde_json::from_value::<Dtype>(dtype.into()).is_err() {
            unknown.insert(name.clone(), dtype.to_string());
            let offsets = entry.get("data_offsets")?;
            let size = offsets.get(1)?.as_u64()?.checked_sub(offsets.get(0)?.as_u64()?)?;
            *entry = json!({"dtype": "U8", "shape": [size], "data_offsets": offsets});
        }
    }
    let header = serde_json::to_vec(&header).ok().filter(|_| !unknown.is_empty())?;
    Some(([&(header.len() as u64).to_le_bytes()[..], &header, numbers].concat(), unknown))
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
    let tensors = model.state_dict().into_iter().map(|(name, entry)| (name, entry.get()));
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
    use super::{LoadOptions, load, parse, read, save};
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

    /// A file with this header, and `bytes` bytes after it.
    fn file(header: &str, bytes: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![1; bytes]].concat()
    }

    #[test]
    fn every_dtype_is_read_or_refused() -> Result<()> {
        let read = |dtype: &str, shape: &str, bytes| {
            let header =
                format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{bytes}]}}}}"#);
            let entry = parse(&file(&header, bytes)).unwrap().remove("x").unwrap();
            entry.map(Tensor::from)
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
            ("U64", 16, DType::I64),
            ("F8_E4M3", 2, DType::F8E4M3),
            ("F8_E5M2", 2, DType::F32),
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
        for (dtype, shape, bytes) in
            [("C64", "[1]", 8), ("F4", "[2]", 1), ("F8_E8M0", "[1]", 1), ("F33", "[7]", 5), ("", "[]", 0)]
        {
            let text = read(dtype, shape, bytes).unwrap_err();
            assert!(text.contains(&format!("got {dtype}: convert it")), "{dtype}: {text}");
        }
        Ok(())
    }

    #[test]
    fn one_odd_tensor() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        // A dtype that the format has, and one that it may have some day; the metadata stay.
        for odd in ["C64", "F8_NEW"] {
            let header = format!(
                r#"{{"__metadata__":{{"a":"b"}},"n":{{"dtype":"{odd}","shape":[1],"data_offsets":[0,8]}},"weight":{{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]}}}}"#
            );
            std::fs::write(&path, [file(&header, 0), vec![9; 8], 2.5_f32.to_le_bytes().to_vec()].concat())
                .unwrap();
            let found = read(&path, &Device::Cpu)?;
            assert_eq!((found.len(), found["weight"].to_vec2::<f32>()?), (1, vec![vec![2.5]]));
            assert!(found.unreadable["n"].contains(&format!("got {odd}")), "{:?}", found.unreadable);
            let text = found.tensor("n").unwrap_err().to_string();
            assert!(text.contains(&format!(
                "a.safetensors: n: expected booleans, integers, or floats of 8 to 64 bits, got {odd}"
            )));
            let text = found.tensor("m").unwrap_err().to_string();
            assert!(text.ends_with("a.safetensors: expected a tensor \"m\", got weight"), "{text}");

            let rng = &mut Rng::seed(1);
            let model = Linear::new(1, 1, rng)?.without_bias();
            let text = load(&path, &model).unwrap_err().to_string();
            assert!(text.ends_with("got 1 that fit; 1 unexpected: n"), "{text}");
            LoadOptions::new().skip("n").load(&path, &model)?;
            assert_eq!(model.weight.get().to_vec2::<f32>()?, [[2.5]]);
            let needs_it = LoadOptions::new().rename("n", "bias");
            let model = Linear::new(1, 1, rng)?;
            let text = needs_it.load(&path, &model).unwrap_err().to_string();
            let expected = format!(
                "got 1 that fit; 1 unreadable: bias (expected booleans, integers, or floats of 8 to 64 bits, got {odd}"
            );
            assert!(text.contains(&expected), "{text}");
            let report = needs_it.strict(false).load(&path, &model)?;
            assert!(!report.is_complete() && report.unreadable.contains_key("bias"));
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
            (format!("{{{}}}", x.replace("F32", "F33")), 7),
            (format!("{{{}}}", x.replace("F32", "F33").replace("[0,8]", "[8,0]")), 8),
            (format!("{{{},{x}}}", x.replace("F32", "F33").replace("\"x\"", "\"y\"")), 8),
            ("[]".into(), 0),
            ("{".into(), 0),
        ] {
            let text = parse(&file(&header, bytes)).unwrap_err();
            assert!(text.starts_with("a file that is cut off or none of safetensors: "), "{header}: {text}");
        }
        let empty =
            format!("{{{}}}", x.replace("[2]", "[0,4611686018427387904,4]").replace("[0,8]", "[0,0]"));
        let entry = parse(&file(&empty, 0)).unwrap().remove("x").unwrap();
        assert!(entry.unwrap_err().contains("fits in memory, got [0, 4611"));
        let endless = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
        assert!(parse(&endless).is_err());
        assert!(parse(&file("{}", 0)).unwrap().is_empty());
    }
}
