//! Models as ONNX files.

mod merge;
mod message;
#[cfg(test)]
mod tests;

use std::path::Path;

use candle_core::{DType, Device};

use crate::autograd::trace::Trace;
use crate::autograd::{OnnxValue, Tensor};
use crate::error::{Error, Result};
use crate::file::{file_error, write_atomically};
use crate::layer::Layer;
use crate::ops::Rng;
use merge::{Graph, merged};

/// Writes a model as an ONNX file, which onnxruntime and other engines run: `shape` is that of an example input, whose first
/// axis is the batch, of any size in the file.
///
/// What is written is what the model does when it evaluates: each operation that a run of it comes by, as a node. That may
/// be a layer of this crate, one of your own, or a formula. The input is `input` and the output `output`; parameters keep
/// their names, such as `0.weight`. The file is of opset 17 (2022). [`OnnxExport`] has options.
///
/// # Precision
/// Within rounding of what the model computes itself. The engine has functions of its own, and may not have all in every
/// type: onnxruntime 1.32 knows convolutions, mean pools, upsampling and erf (for [`Gelu`](crate::activation::Gelu)) in f32
/// and not in f64 (see [`Layer::to_dtype`]), and little in bf16. NaN may be treated otherwise, and
/// [`normalize_rows`](Tensor::normalize_rows) and norms square numbers that may overflow.
///
/// # Errors
/// Inputs that the model refuses, and what cannot be exported:
/// * an operation without an ONNX form: writing at indices (`scatter`, `index_add`, `assign`, `masked_scatter`), results
///   whose shape depends on numbers (`masked_select`, `nonzero`), sorting (`sort`, `argsort`, `topk`), `unfold`, `diag`,
///   `cumprod`, `det`, `inv`, `solve`, `cholesky`, losses, what [`from_candle`](crate::autograd::from_candle) made, and an
///   [`Op`](crate::autograd::Op) of one's own that does not define [`onnx`](crate::autograd::Op::onnx);
/// * a model that does not do the same operations for every input, or computes with numbers that it has read out of a
///   tensor. The model runs with two batches of random numbers to find out. A choice that both fall on the same side of
///   stays unseen: the file has that side alone.
/// * a model that cannot take batches of several sizes: see [`OnnxExport::fixed_batch`].
///
/// A file that cannot be written; a model of 2 GiB or more.
///
/// ```
/// use tealight::prelude::*;
/// let rng = &mut Rng::seed(1);
/// let model = Sequential::new().push(Linear::new(64, 32, rng)?).push(Relu).push(Linear::new(32, 10, rng)?);
/// let path = std::env::temp_dir().join(format!("tealight-doc-{}.onnx", std::process::id()));
/// tealight::io::export_onnx(&path, &model, &[1, 64])?;
/// let bytes = std::fs::read(&path).unwrap();
/// assert!(["Gemm", "Relu"].iter().all(|node| bytes.windows(4).any(|word| word == node.as_bytes())));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn export_onnx(path: impl AsRef<Path>, model: &(impl Layer + ?Sized), shape: &[usize]) -> Result<()> {
    OnnxExport::new(shape).write(path, model)
}

/// [`export_onnx`] with options.
///
/// ```
/// use tealight::io::OnnxExport;
/// use tealight::prelude::*;
/// let model = Sequential::new().push(Embedding::new(1000, 16, &mut Rng::seed(1))?);
/// let path = std::env::temp_dir().join(format!("tealight-doc-words-{}.onnx", std::process::id()));
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
}

impl OnnxExport {
    /// For an input of this shape, whose first axis is the batch.
    ///
    /// ```
    /// use tealight::io::OnnxExport;
    /// use tealight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("tealight-doc-onnx-new-{}.onnx", std::process::id()));
    /// let model = Linear::new(64, 10, &mut Rng::seed(1))?;
    /// let error = OnnxExport::new(&[1, 63]).write(&path, &model).unwrap_err().to_string();
    /// assert_eq!(error, "linear: expected inputs of shape [.., 64] for 10 outputs, got [1, 63]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(shape: &[usize]) -> Self {
        OnnxExport {
            shape: shape.to_vec(),
            integers: None,
            names: ["input".into(), "output".into()],
            batch: Some(0),
        }
    }

    /// The names of the input and the output.
    ///
    /// ```
    /// use tealight::io::OnnxExport;
    /// use tealight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("tealight-doc-onnx-names-{}.onnx", std::process::id()));
    /// let model = Linear::new(4, 2, &mut Rng::seed(1))?;
    /// OnnxExport::new(&[1, 4]).names("pixels", "scores").write(&path, &model)?;
    /// let bytes = std::fs::read(&path).unwrap();
    /// assert!(bytes.windows(6).any(|word| word == b"pixels") && !bytes.windows(5).any(|word| word == b"input"));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "input_names")]
    pub fn names(self, input: &str, output: &str) -> Self {
        OnnxExport { names: [input.into(), output.into()], ..self }
    }

    /// The input has integers of this type (u8, u32 or i64), from 0 and below `count`: words, or other classes. u32 is int64 in
    /// the file.
    ///
    /// ```
    /// use tealight::io::OnnxExport;
    /// use tealight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("tealight-doc-onnx-integers-{}.onnx", std::process::id()));
    /// let words = Embedding::new(100, 16, &mut Rng::seed(1))?;
    /// let sentences = OnnxExport::new(&[1, 12]);
    /// assert!(sentences.write(&path, &words).is_err()); // floats are no words
    /// sentences.integers(DType::U32, 100).write(&path, &words)?;
    /// assert!(path.exists());
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn integers(self, dtype: DType, count: usize) -> Self {
        OnnxExport { integers: Some((dtype, count)), ..self }
    }

    /// The file takes inputs of exactly the shape given.
    ///
    /// ```
    /// use tealight::io::OnnxExport;
    /// use tealight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("tealight-doc-onnx-fixed-{}.onnx", std::process::id()));
    /// struct Fixed; // takes a batch of 4 alone
    /// impl Layer for Fixed {
    ///     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
    ///         x.reshape((2, 6))
    ///     }
    ///     tealight::fields!();
    /// }
    /// let export = OnnxExport::new(&[4, 3]);
    /// assert!(export.write(&path, &Fixed).unwrap_err().to_string().contains("fixed_batch"));
    /// export.fixed_batch().write(&path, &Fixed)?;
    /// assert!(path.exists());
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn fixed_batch(self) -> Self {
        OnnxExport { batch: None, ..self }
    }

    /// Another axis of the input is the batch: 1 for sequences with the time first.
    ///
    /// ```
    /// use tealight::io::OnnxExport;
    /// use tealight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("tealight-doc-onnx-axis-{}.onnx", std::process::id()));
    /// let model = Linear::new(4, 2, &mut Rng::seed(1))?;
    /// let sequences = OnnxExport::new(&[12, 1, 4]); // 12 points in time, one sequence
    /// sequences.clone().batch_axis(1).write(&path, &model)?;
    /// assert!(path.exists());
    /// let error = sequences.batch_axis(3).write(&path, &model).unwrap_err().to_string();
    /// assert!(error.contains("expected an example of the input with an axis 3, the batch"));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "dynamic_axes")]
    pub fn batch_axis(self, axis: usize) -> Self {
        OnnxExport { batch: Some(axis), ..self }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of [`export_onnx`]; names that are alike, or that a parameter has; integers of another type, or none.
    ///
    /// ```
    /// use tealight::io::OnnxExport;
    /// use tealight::prelude::*;
    /// let path = std::env::temp_dir().join(format!("tealight-doc-onnx-write-{}.onnx", std::process::id()));
    /// let model = Linear::new(4, 2, &mut Rng::seed(1))?;
    /// let error = OnnxExport::new(&[1, 4]).names("weight", "y").write(&path, &model).unwrap_err().to_string();
    /// assert!(error.contains("expected two names for the input and the output that no parameter has"));
    /// assert!(!path.exists()); // a file is whole or is not there
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn write(&self, path: impl AsRef<Path>, model: &(impl Layer + ?Sized)) -> Result<()> {
        let path = path.as_ref();
        let graph = self.graph(model)?;
        let bytes = message::model(&graph, &self.names)?;
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
        // The shape that was asked for, so that what is wrong with it is said as the model says it.
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

    /// Two sizes of a batch that no other axis of the input has, so that they are not taken for one.
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
            None => Tensor::randn(0.0, 1.0, shape, rng)?.to_dtype(dtype)?,
            Some((DType::U8 | DType::U32 | DType::I64, 1..)) => {
                let count = self.integers.map_or(1, |(_, count)| count);
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

/// The float type of the model's numbers; f32 if it has none.
fn floats(model: &(impl Layer + ?Sized)) -> DType {
    let dtypes = model.state().into_iter().map(|(_, held)| held.get().dtype());
    dtypes.into_iter().find(|dtype| dtype.is_float()).unwrap_or(DType::F32)
}
