//! Models as ONNX files.

mod merge;
mod message;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device};

use crate::autograd::trace::Trace;
use crate::autograd::{OnnxValue, Tensor};
use crate::error::{Error, Result};
use crate::file::{file_error, write_atomically};
use crate::layer::Layer;
use crate::ops::Rng;
use merge::{Graph, merged};

/// Writes a model as an ONNX file. `shape` is that of an example input, whose first axis is the batch; the file takes batches of any
/// size.
///
/// The model runs in evaluation mode, and each operation that it performs becomes a node, whatever layers, formulas and functions it
/// is made of. The input is called `input`, the output `output`, parameters keep their names (`0.weight`). The file has opset 17
/// (2022). [`OnnxExport`] has options.
///
/// # Precision
/// An engine's results agree within rounding. Engines do not know all operators in every dtype: onnxruntime 1.32 knows
/// convolutions, mean pools, upsampling and erf (for [`Gelu`](crate::activation::Gelu)) in f32 and not in f64 (see
/// [`Layer::to_dtype`](crate::layer::Layer::to_dtype)), and few in bf16. NaN may be treated differently, and
/// [`normalize_rows`](Tensor::normalize_rows) and norms square numbers that may overflow.
///
/// # Errors
/// Errors, beside those of the model for an input of this shape, if
/// * an operation has no ONNX form: writing at indices (`scatter`, `index_add`, `assign`, `masked_scatter`), results whose shape depends
///   on values (`masked_select`, `nonzero`), sorting (`sort`, `argsort`, `topk`), `unfold`, `diag`, `cumprod`, `det`, `inv`, `solve`,
///   `cholesky`, losses, [`from_candle`](crate::autograd::from_candle), and a custom [`Op`](crate::autograd::Op) without
///   [`onnx`](crate::autograd::Op::onnx);
/// * the model does not perform the same operations for every input, or reads values out of tensors. Two runs with random batches
///   find out; a branch that both take is not noticed, and the file has that branch alone;
/// * the model cannot take batches of several sizes: see [`OnnxExport::fixed_batch`];
/// * the file cannot be written, or would have 2 GiB or more.
///
/// ```
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join(format!("tealight-doc-{}.onnx", std::process::id()));
/// let rng = &mut Rng::seed(1);
/// let model = Sequential::new().push(Linear::new(64, 32, rng)?).push(Relu).push(Linear::new(32, 10, rng)?);
/// tealight::io::export_onnx(&path, &model, &[1, 64])?;
/// let bytes = std::fs::read(&path).unwrap();
/// assert!(["Gemm", "Relu"].iter().all(|node| bytes.windows(4).any(|word| word == node.as_bytes())));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn export_onnx(path: impl AsRef<Path>, model: &(impl Layer + ?Sized), shape: &[usize]) -> Result<()> {
    OnnxExport::new(shape).write(path, model)
}

/// Options of [`export_onnx`].
///
/// ```
/// # use tealight::io::OnnxExport;
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join(format!("tealight-doc-words-{}.onnx", std::process::id()));
/// let model = Sequential::new().push(Embedding::new(1000, 16, &mut Rng::seed(1))?);
/// // A batch of sentences of 12 words.
/// OnnxExport::new(&[1, 12]).integers(DType::U32, 1000).names("words", "vectors").write(&path, &model)?;
/// assert!(std::fs::read(&path).unwrap().windows(5).any(|word| word == b"words"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OnnxExport {
    shape: Vec<usize>,
    integers: Option<(DType, usize)>,
    names: [String; 2],
    batch: Option<usize>,
    metadata: BTreeMap<String, String>,
}

impl OnnxExport {
    /// An input of this shape, whose first axis is the batch.
    pub fn new(shape: &[usize]) -> Self {
        OnnxExport {
            shape: shape.to_vec(),
            integers: None,
            names: ["input".into(), "output".into()],
            batch: Some(0),
            metadata: BTreeMap::new(),
        }
    }

    /// The names of the input and the output. Default: `input`, `output`.
    #[must_use]
    #[doc(alias = "input_names")]
    pub fn names(self, input: &str, output: &str) -> Self {
        OnnxExport { names: [input.into(), output.into()], ..self }
    }

    /// The input has integers of this dtype (u8, u32 or i64) below `count`: indices of words, say. u32 becomes int64 in the file.
    #[must_use]
    pub fn integers(self, dtype: DType, count: usize) -> Self {
        OnnxExport { integers: Some((dtype, count)), ..self }
    }

    /// The file takes inputs of exactly the given shape.
    #[must_use]
    pub fn fixed_batch(self) -> Self {
        OnnxExport { batch: None, ..self }
    }

    /// The axis of the batch: 1 for sequences with the time first. Default: 0.
    #[must_use]
    #[doc(alias = "dynamic_axes")]
    pub fn batch_axis(self, axis: usize) -> Self {
        OnnxExport { batch: Some(axis), ..self }
    }

    /// Writes this text under this name into the file's metadata (`metadata_props`): how images become inputs, or the classes.
    #[must_use]
    #[doc(alias = "metadata_props")]
    pub fn metadata(mut self, name: &str, text: &str) -> Self {
        self.metadata.insert(name.into(), text.into());
        self
    }

    /// Writes the file.
    ///
    /// Errors as [`export_onnx`] does, and if the names are equal or those of a parameter, or the integers are of another dtype or
    /// their `count` is 0.
    pub fn write(&self, path: impl AsRef<Path>, model: &(impl Layer + ?Sized)) -> Result<()> {
        let path = path.as_ref();
        let graph = self.graph(model)?;
        let bytes = message::model(&graph, &self.names, &self.metadata)?;
        // Protobuf counts in 31 bits.
        if i32::try_from(bytes.len()).is_err() {
            let message = format!("expected a model of less than 2 GiB, got {} bytes", bytes.len());
            return Err(file_error(path, message));
        }
        write_atomically(path, &bytes)
    }

    fn graph(&self, model: &(impl Layer + ?Sized)) -> Result<Graph> {
        self.check_names(model)?;
        let dtype = match self.integers {
            Some((dtype, _)) => dtype,
            None => floats(model),
        };
        // The given shape first, so that the model's own error shows what is wrong with it.
        let first = self.run(model, &self.shape, dtype, 1)?;
        let Some(axis) = self.batch else {
            return merged([first, self.run(model, &self.shape, dtype, 2)?], None);
        };
        if axis >= self.shape.len() {
            let expected = format!("an example of the input with an axis {axis}, the batch");
            return Err(Error::shape(OP, expected, &[&self.shape]));
        }
        let sizes = self.batches();
        let with = |size: usize, seed| {
            let mut shape = self.shape.clone();
            shape[axis] = size;
            self.run(model, &shape, dtype, seed).map_err(|error| {
                let expected = format!("a model that takes a batch of {size} as well (see fixed_batch)");
                Error::argument(OP, expected, error)
            })
        };
        merged([with(sizes[0], 1)?, with(sizes[1], 2)?], Some((axis, sizes)))
    }

    /// Two batch sizes that no other axis of the input has, so that they cannot be confused with one.
    fn batches(&self) -> [usize; 2] {
        let mut free = [5, 7, 11, 13, 17, 19].into_iter().filter(|size| !self.shape.contains(size));
        [free.next().unwrap_or(5), free.next().unwrap_or(7)]
    }

    fn run(
        &self,
        model: &(impl Layer + ?Sized),
        shape: &[usize],
        dtype: DType,
        seed: u64,
    ) -> Result<(Trace, OnnxValue, Tensor, Tensor)> {
        let rng = &mut Rng::seed(seed);
        let x = match self.integers {
            None => Tensor::randn_dtype(0.0, 1.0, shape, dtype, rng)?,
            Some((DType::U8 | DType::U32 | DType::I64, count @ 1..)) => {
                let numbers = (0..shape.iter().product()).map(|_| rng.below(count) as i64);
                Tensor::from_vec(numbers.collect(), shape, &Device::Cpu)?.to_dtype(dtype)?
            }
            Some((dtype, count)) => {
                let got = format!("{count} of {}", dtype.as_str());
                return Err(Error::argument(OP, "one integer or more of u8, u32 or i64", got));
            }
        };
        let state: Vec<(String, Tensor)> =
            model.state().into_iter().map(|(name, held)| (name, held.get())).collect();
        let x = match state.first() {
            Some((_, first)) => Tensor::from(x.array().to_device(first.device())?),
            None => x,
        };
        let (trace, output, y) = Trace::of(&x, state, |x| model.predict(x))?;
        Ok((trace, output, x, y))
    }

    fn check_names(&self, model: &(impl Layer + ?Sized)) -> Result<()> {
        let mut names: Vec<String> = model.state().into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::argument(
                OP,
                "parameters of different names",
                format!("two of {:?}", pair[0]),
            ));
        }
        let [input, output] = &self.names;
        let taken = |name: &String| name.is_empty() || names.contains(name);
        if input == output || taken(input) || taken(output) {
            let expected = "two names for the input and the output that no parameter has";
            return Err(Error::argument(OP, expected, format!("{input:?} and {output:?}")));
        }
        Ok(())
    }
}

const OP: &str = "export_onnx";

/// The float dtype of the model; f32 if it has none.
fn floats(model: &(impl Layer + ?Sized)) -> DType {
    let dtypes = model.state().into_iter().map(|(_, held)| held.get().dtype());
    dtypes.into_iter().find(|dtype| dtype.is_float()).unwrap_or(DType::F32)
}
