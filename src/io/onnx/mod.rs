//! Models as ONNX files.

mod merge;
mod message;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device};

use crate::autograd::trace::{Target, Trace};
use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};
use crate::file::{file_error, write_atomically};
use crate::layer::{ForwardContext, Layer};
use crate::ops::Rng;
use merge::{Axis, Graph, Run, merged};

/// Writes a model as an ONNX file. `shape` is that of an example input, whose first axis is the batch; the file takes batches of any
/// size.
///
/// The model runs in evaluation mode, and each operation that it performs becomes a node, whatever layers, formulas and functions it
/// is made of. Recurrent layers of f32 are `LSTM`, `GRU` and `RNN` nodes. The input is called `input`, the output `output`, parameters keep
/// their names (`0.weight`). The file has opset 17 (2022). [`OnnxExport`] has options, and writes models with several inputs and outputs
/// ([`OnnxExport::multi`]) or axes of any size ([`OnnxExport::free_axis`]). `docs/onnx.md` has what other engines make of such files.
///
/// # Precision
/// An engine's results agree within rounding. Engines do not know all operators in every dtype: onnxruntime 1.32 knows
/// convolutions, mean pools, upsampling and erf (for [`Gelu`](crate::activation::Gelu)) in f32 and not in f64 (see
/// [`OnnxExport::as_f32`]), and few in bf16. NaN may be treated differently, in sorting too;
/// [`normalize_rows`](Tensor::normalize_rows) and norms square numbers that may overflow; and of several numbers that `scatter` writes to
/// one place any may stay.
///
/// # Errors
/// Errors, beside those of the model for an input of this shape, if
/// * an operation has no ONNX form: `assign`, `masked_scatter`, results whose shape depends on values (`masked_select`, `nonzero`),
///   indices of maxima, `unfold`, `diag`, `det`, `inv`, `solve`, `cholesky`, losses, [`from_candle`](crate::autograd::from_candle),
///   and a custom [`Op`](crate::autograd::Op) without [`onnx`](crate::autograd::Op::onnx);
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
    inputs: Vec<Input>,
    outputs: Vec<String>,
    /// The first is the batch.
    free: Vec<FreeAxis>,
    target: Target,
    /// Whether the version of the operators was chosen.
    has_opset: bool,
    metadata: BTreeMap<String, String>,
}

/// What an input may be.
#[derive(Clone, Debug)]
struct Input {
    name: String,
    shape: Vec<usize>,
    numbers: Numbers,
}

/// An axis of an input, or of all inputs, that may have any size.
#[derive(Clone, Debug)]
struct FreeAxis {
    name: String,
    input: Option<String>,
    axis: usize,
}

#[derive(Clone, Copy, Debug)]
enum Numbers {
    /// Of the model's dtype.
    Floats,
    FloatsOf(DType),
    /// Integers below a number.
    Integers(DType, usize),
}

impl OnnxExport {
    /// An input of this shape, whose first axis is the batch.
    pub fn new(shape: &[usize]) -> Self {
        let input = Input { name: "input".into(), shape: shape.to_vec(), numbers: Numbers::Floats };
        OnnxExport {
            inputs: vec![input],
            outputs: vec!["output".into()],
            free: vec![FreeAxis { name: BATCH.into(), input: None, axis: 0 }],
            target: Target { opset: message::OLDEST, unrolled: false, as_f32: false, fixed_steps: true },
            has_opset: false,
            metadata: BTreeMap::new(),
        }
    }

    /// Inputs with their names and an example of each, and the names of the outputs, for [`write_with`](OnnxExport::write_with). The
    /// first axis of every input is the batch. Integers of an input (u8, u32 or i64) are from 0 to the largest of its example.
    ///
    /// ```
    /// # use tealight::io::OnnxExport;
    /// # use tealight::prelude::*;
    /// # struct Net { body: Linear, class: Linear, place: Linear }
    /// # impl Layer for Net { tealight::fields!(body, class, place); }
    /// # impl Net {
    /// #     fn run(&self, x: &[Tensor], ctx: &mut ForwardContext) -> Result<[Tensor; 2]> {
    /// #         let h = ctx.call("body", &self.body, &Tensor::cat(&[&x[0].flatten(1, -1)?, &x[1]], 1)?)?.tanh()?;
    /// #         Ok([ctx.call("class", &self.class, &h)?, ctx.call("place", &self.place, &h)?])
    /// #     }
    /// # }
    /// # let rng = &mut Rng::seed(1);
    /// # let net = Net { body: Linear::new(20, 5, rng)?, class: Linear::new(5, 3, rng)?, place: Linear::new(5, 4, rng)? };
    /// # let path = std::env::temp_dir().join(format!("tealight-doc-multi-{}.onnx", std::process::id()));
    /// let (image, meta) = (Tensor::randn(0.0, 1.0, (1, 1, 4, 4), rng)?, Tensor::randn(0.0, 1.0, (1, 4), rng)?);
    /// OnnxExport::multi(&[("image", &image), ("meta", &meta)], &["class", "box"])
    ///     .write_with(&path, &net, |x, ctx| net.run(x, ctx))?; // net.run returns [class, box]
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "input_names")]
    #[doc(alias = "output_names")]
    pub fn multi(inputs: &[(&str, &Tensor)], outputs: &[&str]) -> Self {
        let input = |&(name, example): &(&str, &Tensor)| {
            let numbers = match example.dtype() {
                dtype if dtype.is_float() => Numbers::FloatsOf(dtype),
                dtype => Numbers::Integers(dtype, largest(example).map_or(1, |most| most.saturating_add(1))),
            };
            Input { name: name.into(), shape: example.dims().to_vec(), numbers }
        };
        OnnxExport {
            inputs: inputs.iter().map(input).collect(),
            outputs: outputs.iter().map(|&name| name.into()).collect(),
            ..OnnxExport::new(&[])
        }
    }

    /// The names of the input and the output. Default: `input`, `output`.
    #[must_use]
    #[doc(alias = "input_names")]
    pub fn names(mut self, input: &str, output: &str) -> Self {
        self.inputs.iter_mut().for_each(|own| own.name = input.into());
        OnnxExport { outputs: vec![output.into()], ..self }
    }

    /// The input has integers of this dtype (u8, u32 or i64) below `count`: indices of words, say. u32 becomes int64 in the file.
    #[must_use]
    pub fn integers(mut self, dtype: DType, count: usize) -> Self {
        self.inputs.iter_mut().for_each(|own| own.numbers = Numbers::Integers(dtype, count));
        self
    }

    /// The model's floats are of this dtype. Default: that of its first parameter, or `f32`.
    #[must_use]
    pub fn floats(mut self, dtype: DType) -> Self {
        self.inputs.iter_mut().for_each(|own| own.numbers = Numbers::FloatsOf(dtype));
        self
    }

    /// The batch has the size of the given shapes.
    #[must_use]
    pub fn fixed_batch(mut self) -> Self {
        self.free.retain(|free| free.input.is_some());
        self
    }

    /// The axis of the batch: 1 for sequences with the time first. Default: 0.
    #[must_use]
    #[doc(alias = "dynamic_axes")]
    pub fn batch_axis(self, axis: usize) -> Self {
        let mut own = self.fixed_batch();
        own.free.insert(0, FreeAxis { name: BATCH.into(), input: None, axis });
        own
    }

    /// An axis of the input of this name may have any size, as the batch may. Axes of one `name` have one size.
    ///
    /// ```
    /// # use tealight::io::OnnxExport;
    /// # use tealight::prelude::*;
    /// # let path = std::env::temp_dir().join(format!("tealight-doc-steps-{}.onnx", std::process::id()));
    /// let model = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// OnnxExport::new(&[1, 7, 3]).free_axis("input", 1, "steps").write(&path, &model)?; // any number of steps
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "dynamic_axes")]
    #[doc(alias = "dynamic_shapes")]
    pub fn free_axis(mut self, input: &str, axis: usize, name: &str) -> Self {
        self.free.push(FreeAxis { name: name.into(), input: Some(input.into()), axis });
        self.target.fixed_steps = false;
        self
    }

    /// The version of the operators, from 17 (2022) to 26 (2025). From 18 on `mean` has its axes as an input, from 19 on circular padding
    /// is one operator, and from 26 on `cumprod` is. Default: `17`, and `19` for a model in integers (`export::quantize`).
    #[must_use]
    #[doc(alias = "opset_version")]
    pub fn opset(mut self, opset: usize) -> Self {
        (self.target.opset, self.has_opset) = (opset, true);
        self
    }

    /// Writes recurrent layers step by step, for a fixed number of steps and engines that do not know `LSTM`, `GRU` and `RNN`. Layers of
    /// f64, which no engine has, are always written so, and an [`Rnn`](crate::layer::Rnn) with relu unless the number of steps is a
    /// [`free_axis`](OnnxExport::free_axis): tract would compute tanh.
    #[must_use]
    pub fn unrolled(mut self) -> Self {
        self.target.unrolled = true;
        self
    }

    /// Writes an f64 model as f32, with inputs and outputs of f32: few engines know all operators in f64.
    #[must_use]
    pub fn as_f32(mut self) -> Self {
        self.target.as_f32 = true;
        self
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
        self.save(path.as_ref(), &self.graph(model)?)
    }

    /// Writes the file of a model with several inputs or outputs, which `forward` runs in evaluation mode, as
    /// [`Trainer::with_forward`](crate::train::Trainer::with_forward) does in training. Parameters have the names that `model` gives them.
    ///
    /// Errors as [`write`](OnnxExport::write), and if there are not as many outputs as names.
    #[doc(alias = "torch.onnx.export")]
    pub fn write_with<Y: AsRef<[Tensor]>>(
        &self,
        path: impl AsRef<Path>,
        model: &(impl Layer + ?Sized),
        forward: impl Fn(&[Tensor], &mut ForwardContext) -> Result<Y>,
    ) -> Result<()> {
        let run = |x: &[Tensor]| Ok(forward(x, &mut ForwardContext::eval())?.as_ref().to_vec());
        self.save(path.as_ref(), &self.graph_of(model, &run)?)
    }

    fn save(&self, path: &Path, graph: &Graph) -> Result<()> {
        let bytes = self.bytes(graph)?;
        // Protobuf counts in 31 bits.
        if i32::try_from(bytes.len()).is_err() {
            let message = format!("expected a model of less than 2 GiB, got {} bytes", bytes.len());
            return Err(file_error(path, message));
        }
        write_atomically(path, &bytes)
    }

    fn bytes(&self, graph: &Graph) -> Result<Vec<u8>> {
        let inputs: Vec<String> = self.inputs.iter().map(|input| input.name.clone()).collect();
        message::model(graph, [&inputs, &self.outputs], &self.metadata)
    }

    fn graph(&self, model: &(impl Layer + ?Sized)) -> Result<Graph> {
        self.graph_of(model, &|x| match x {
            [x] => Ok(vec![model.predict(x)?]),
            _ => Err(Error::argument(OP, "one input (see write_with)", x.len())),
        })
    }

    fn graph_of(&self, model: &(impl Layer + ?Sized), forward: Forward) -> Result<Graph> {
        let graph = self.graph_in_opset(model, forward)?;
        if self.has_opset || !graph.is_quantized() {
            return Ok(graph);
        }
        self.clone().opset(message::OF_INTEGERS).graph_in_opset(model, forward)
    }

    fn graph_in_opset(&self, model: &(impl Layer + ?Sized), forward: Forward) -> Result<Graph> {
        let state: Vec<(String, Tensor)> =
            model.state_dict().into_iter().map(|(name, held)| (name, held.get())).collect();
        self.check_names(&state)?;
        let axes = self.axes()?;
        // The given shapes first, so that the model's own error shows what is wrong with them.
        let first = self.run(&state, forward, &axes, None, 1)?;
        if axes.is_empty() {
            return merged([first, self.run(&state, forward, &axes, None, 2)?], axes);
        }
        let with = |run: usize| {
            self.run(&state, forward, &axes, Some(run), run as u64 + 1).map_err(|error| {
                let sizes: Vec<String> =
                    axes.iter().map(|axis| format!("a {} of {}", axis.name, axis.sizes[run])).collect();
                let expected =
                    format!("a model that takes {} as well (see fixed_batch)", sizes.join(" and "));
                Error::argument(OP, expected, error)
            })
        };
        merged([with(0)?, with(1)?], axes)
    }

    /// The free sizes, each with two that no axis of an input has, so that they cannot be confused with one.
    fn axes(&self) -> Result<Vec<Axis>> {
        let mut axes: Vec<Axis> = Vec::new();
        let used = |size: &usize| self.inputs.iter().any(|input| input.shape.contains(size));
        let mut sizes =
            [5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53].into_iter().filter(|size| !used(size));
        for free in &self.free {
            if free.input.as_ref().is_some_and(|name| self.inputs.iter().all(|input| input.name != *name)) {
                let expected = format!("an input that has the axis {:?}", free.name);
                return Err(Error::argument(OP, expected, format!("{:?}", free.input)));
            }
            for (i, input) in self.inputs.iter().enumerate() {
                if free.input.as_ref().is_some_and(|name| input.name != *name) {
                    continue;
                }
                if free.axis >= input.shape.len() {
                    let expected =
                        format!("an example of the input with an axis {}, the {}", free.axis, free.name);
                    return Err(Error::shape(OP, expected, &[&input.shape]));
                }
                let place = (i, free.axis);
                if axes.iter().any(|axis| axis.name != free.name && axis.places.contains(&place)) {
                    let expected = format!("one name for axis {} of {:?}", free.axis, input.name);
                    return Err(Error::argument(OP, expected, "two"));
                }
                if let Some(axis) = axes.iter_mut().find(|axis| axis.name == free.name) {
                    axis.places.push(place);
                    continue;
                }
                let (Some(first), Some(second)) = (sizes.next(), sizes.next()) else {
                    return Err(Error::argument(OP, "at most five free sizes", self.free.len()));
                };
                axes.push(Axis { name: free.name.clone(), sizes: [first, second], places: vec![place] });
            }
        }
        Ok(axes)
    }

    /// A run with random inputs, of the sizes of this run along the free axes.
    fn run(
        &self,
        state: &[(String, Tensor)],
        forward: Forward,
        axes: &[Axis],
        run: Option<usize>,
        seed: u64,
    ) -> Result<Run> {
        let rng = &mut Rng::seed(seed);
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (i, input) in self.inputs.iter().enumerate() {
            let mut shape = input.shape.clone();
            for axis in axes {
                for &(_, at) in axis.places.iter().filter(|place| place.0 == i) {
                    shape[at] = run.map_or(shape[at], |run| axis.sizes[run]);
                }
            }
            let x = input.numbers.draw(shape, floats(state), rng)?;
            inputs.push(match state.first() {
                Some((_, first)) => Tensor::from(x.array().to_device(first.device())?),
                None => x,
            });
        }
        let (trace, values, y) = Trace::of(self.target, &inputs, state.to_vec(), |x| no_grad(|| forward(x)))?;
        if y.len() != self.outputs.len() {
            let expected = format!("an output for each of {:?}", self.outputs);
            return Err(Error::argument(OP, expected, y.len()));
        }
        Ok((trace, values, inputs, y))
    }

    fn check_names(&self, state: &[(String, Tensor)]) -> Result<()> {
        let mut names: Vec<&str> = state.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::argument(
                OP,
                "parameters of different names",
                format!("two of {:?}", pair[0]),
            ));
        }
        let ends: Vec<&str> = self
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .chain(self.outputs.iter().map(String::as_str))
            .collect();
        let taken =
            |(i, name): (usize, &&str)| name.is_empty() || names.contains(name) || ends[..i].contains(name);
        if ends.iter().enumerate().any(taken) {
            let expected = "different names for the inputs and the outputs that no parameter has";
            return Err(Error::argument(OP, expected, format!("{ends:?}")));
        }
        let opsets = message::OLDEST..=message::NEWEST;
        if !opsets.contains(&self.target.opset) {
            let expected = format!("an opset from {} to {}", opsets.start(), opsets.end());
            return Err(Error::argument(OP, expected, self.target.opset));
        }
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return Err(Error::argument(OP, "an input and an output, or more", format!("{ends:?}")));
        }
        Ok(())
    }
}

impl Numbers {
    fn draw(self, shape: Vec<usize>, floats: DType, rng: &mut Rng) -> Result<Tensor> {
        match self {
            Numbers::Floats => Tensor::randn_dtype(0.0, 1.0, shape, floats, rng),
            Numbers::FloatsOf(dtype) => Tensor::randn_dtype(0.0, 1.0, shape, dtype, rng),
            Numbers::Integers(dtype @ (DType::U8 | DType::U32 | DType::I64), count @ 1..) => {
                let numbers = (0..shape.iter().product()).map(|_| rng.below(count) as i64);
                Tensor::from_vec(numbers.collect(), shape, &Device::Cpu)?.to_dtype(dtype)
            }
            Numbers::Integers(dtype, count) => {
                let got = format!("{count} of {}", dtype.as_str());
                Err(Error::argument(OP, "one integer or more of u8, u32 or i64", got))
            }
        }
    }
}

/// The largest element; none if there is none that is 0 or more.
fn largest(x: &Tensor) -> Option<usize> {
    let numbers = x
        .to_dtype(DType::I64)
        .and_then(|x| x.to_device(&Device::Cpu)?.reshape(x.elem_count())?.to_vec1::<i64>());
    usize::try_from(numbers.ok()?.into_iter().max()?).ok()
}

type Forward<'a> = &'a dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>;

const OP: &str = "export_onnx";

/// The name of the free size of the first axis.
const BATCH: &str = "batch";

/// The float dtype of the model; f32 if it has none.
fn floats(state: &[(String, Tensor)]) -> DType {
    state.iter().map(|(_, tensor)| tensor.dtype()).find(|dtype| dtype.is_float()).unwrap_or(DType::F32)
}
