//! Models and training steps as one file of C or Rust that depends on nothing.
//!
//! A [`Program`] says what a model is made of. [`c`] and [`rust`] write it down with its weights, for a
//! microcontroller or for a program that shall predict without this crate: no allocation, no library, and the same bits.

mod int8;
#[allow(unused_assignments, clippy::all, clippy::pedantic, clippy::restriction)] // in as little of Rust as `translate` knows
#[rustfmt::skip]
mod integers;
mod lower;
mod translate;

use std::fmt::Write;

use candle_core::{DType, Device, Shape};

use crate::autograd::array::elements;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::program::{Program, TrainStep, record};
pub use int8::{CalibrationMethod, Quantize, Quantized, quantize};
use lower::{Lowered, Place, Update};

/// A model in C11: `model_run(x, y)`. See [`Export`].
///
/// ```
/// use tealight::prelude::*;
/// let rng = &mut Rng::seed(1);
/// let model = Sequential::new().push(Linear::new(4, 8, rng)?).push(Tanh).push(Linear::new(8, 3, rng)?);
/// let source = tealight::export::c(&model, (1, 4))?;
/// assert!(source.contains("void model_run(const float x[4], float y[3])"));
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn c(model: &dyn Layer, input: impl Into<Shape>) -> Result<String> {
    Ok(Export::model(model, input)?.to_c())
}

/// A model in Rust that needs `core` alone: `Model::new().run(&x, &mut y)`. See [`Export`].
pub fn rust(model: &dyn Layer, input: impl Into<Shape>) -> Result<String> {
    Ok(Export::model(model, input)?.to_rust())
}

/// A model, a function or a training step as source text in f32, with its weights.
///
/// The sums are in the same order as here, each product that is fused with a sum here is fused there, and the elementary functions are
/// the same polynomials: the results have the same bits on each machine, with each compiler, as those of an input of the same shape here: the order of a sum depends on the
/// number of rows. (Here: where there are instructions for fused products, which is everywhere but on x86 before 2013.) Products of large matrices, convolutions of 3×3 at stride 1 from 16 channels on, and recurrent
/// layers with several sequences, are the same within rounding; the header of the file names them.
///
/// The memory is that of the program's plan, in static arrays. A header says how much flash and RAM that is, and what goes in and
/// comes out.
#[derive(Debug)]
pub struct Export {
    name: String,
    lowered: Lowered,
    notes: Vec<String>,
}

impl Export {
    /// What [`Layer::predict`] does with an input of this shape.
    ///
    /// # Errors
    /// Errors if the model has an operation that has no form in C; the error names it and its layer.
    pub fn model(model: &dyn Layer, input: impl Into<Shape>) -> Result<Export> {
        let x = Tensor::zeros(input, DType::F32, &Device::Cpu)?;
        Export::function(|[x]| model.predict(x), [&x])
    }

    /// What a function does with inputs of the shapes and dtypes of these examples, which are `f32`, `f64` or `u32`. See
    /// [`compile`](crate::program::compile) for what a function may be.
    pub fn function<const N: usize>(
        f: impl Fn([&Tensor; N]) -> Result<Tensor>,
        examples: [&Tensor; N],
    ) -> Result<Export> {
        let program = record(&f, examples)?;
        let names = (0..N).map(|i| if N == 1 { "x".into() } else { format!("x{i}") }).collect();
        Export::of(&program, names, Vec::new(), None)
    }

    /// The step that was run last, with the present parameters: forward and backward pass, and the update.
    ///
    /// The optimizer, which is [`Sgd`](crate::optim::Sgd), [`Adam`](crate::optim::Adam) or
    /// [`AdamW`](crate::optim::AdamW), starts without a state, and random numbers are those of a new [`TrainStep`] with this seed.
    ///
    /// # Errors
    /// Errors if no step was run, it cannot be replayed, or has an operation that has no form in C.
    pub fn step(step: &TrainStep<'_>) -> Result<Export> {
        let recorded = step.recorded()?;
        let update = Update {
            gradients: recorded.gradients,
            rules: recorded.rules,
            max_norm: recorded.max_norm,
            seed: recorded.seed,
        };
        Export::of(
            &recorded.program.unfused(),
            vec!["x".into(), "target".into()],
            recorded.state,
            Some(update),
        )
    }

    fn of(
        program: &Program,
        inputs: Vec<String>,
        state: Vec<(String, Array)>,
        update: Option<Update>,
    ) -> Result<Export> {
        let lowered = lower::lower(program, inputs, state, update)?;
        let mut notes = Vec::new();
        if !lowered.inexact.is_empty() {
            notes.push(format!("Not the same bits, but within rounding: {}.", lowered.inexact.join(", ")));
        }
        Ok(Export { name: "model".into(), lowered, notes })
    }

    /// The prefix of the names in C. Default: `model`.
    ///
    /// # Errors
    /// Errors if it is not a name in C.
    pub fn name(mut self, name: &str) -> Result<Self> {
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Error::argument("export", "a name of letters, digits and _", format!("{name:?}")));
        }
        self.name = name.into();
        Ok(self)
    }

    /// Adds a line to the header, such as the classes.
    #[must_use]
    pub fn note(mut self, line: &str) -> Self {
        // Nothing that ends a comment of C.
        self.notes.extend(line.lines().map(|line| line.replace("*/", "* /").replace('\\', "/")));
        self
    }

    /// The bytes of the weights and constants, which do not change.
    pub fn flash(&self) -> usize {
        self.lowered
            .data
            .iter()
            .filter(|data| data.values.is_some() && !data.mutable)
            .map(lower::Data::bytes)
            .sum()
    }

    /// The bytes of memory, those that start with values included.
    pub fn ram(&self) -> usize {
        self.lowered.data.iter().filter(|data| data.mutable).map(lower::Data::bytes).sum()
    }

    fn header(&self) -> Vec<String> {
        let described = |place: &Place| format!("{}: {} {:?}", place.name, place.dtype.as_str(), place.dims);
        let same = if self.lowered.inexact.is_empty() { ", as it computes, bit for bit" } else { "" };
        let mut lines = vec![
            format!("{}: written by tealight {}{same}.", self.name, env!("CARGO_PKG_VERSION")),
            String::new(),
            format!("flash: {} bytes of numbers, and the code", self.flash()),
            format!("RAM:   {} bytes, and the stack", self.ram()),
        ];
        lines.extend(self.lowered.inputs.iter().map(|place| format!("input  {}", described(place))));
        lines.push(format!("output {}", described(&self.lowered.output)));
        if !self.notes.is_empty() {
            lines.push(String::new());
            lines.extend(self.notes.iter().cloned());
        }
        lines
    }

    /// The source in C11. It compiles without a warning, with `-ffreestanding` too, and needs no library.
    pub fn to_c(&self) -> String {
        let Lowered { data, inputs, output, is_step, .. } = &self.lowered;
        let name = &self.name;
        let mut text = format!("/* {} */\n\n", self.header().join("\n * ").replace(" \n", "\n"));
        let source = self.lowered.source();
        text += translate::C_PRELUDE;
        text += &translate::fused(&source);
        text += &source.c_without(&["run"], &["fused_f32", "fused_f64"]);
        for data in data {
            let kind = if data.mutable { "static" } else { "static const" };
            let ty = c_type(data.ty);
            let _ = match &data.values {
                Some(values) => {
                    let _ = writeln!(text, "{kind} {ty} {}[{}] = {{", data.name, data.len);
                    text += &lines(values.iter().map(|&value| c_value(value, data.ty)));
                    writeln!(text, "}};\n")
                }
                None => writeln!(text, "{kind} {ty} {}[{}];\n", data.name, data.len),
            };
        }
        let mut parameters: Vec<String> = inputs
            .iter()
            .map(|place| format!("const {} {}[{}]", c_type(place.dtype.as_str()), place.name, place.len()))
            .collect();
        if *is_step {
            parameters.push("double learning_rate".into());
        }
        parameters.push(format!("{} {}[{}]", c_type(output.dtype.as_str()), output.name, output.len()));
        let arguments = self.arguments("", "");
        let (result, verb) = if *is_step { ("bool", "step") } else { ("void", "run") };
        let call = if *is_step { "return run" } else { "run" };
        let list = parameters.join(", ");
        let _ = write!(
            text,
            "{result} {name}_{verb}({list});\n\n{result} {name}_{verb}({list}) {{\n    {call}({arguments});\n}}\n"
        );
        for data in data.iter().filter(|data| data.mutable && data.values.is_some()) {
            let (ty, own) = (c_type(data.ty), &data.name);
            let _ = write!(
                text,
                "\n{ty} *{name}_{own}(void);\n\n{ty} *{name}_{own}(void) {{\n    return {own};\n}}\n"
            );
        }
        text
    }

    /// The source in Rust: a module that needs `core` alone.
    pub fn to_rust(&self) -> String {
        let Lowered { data, inputs, output, is_step, .. } = &self.lowered;
        let mut text: String =
            self.header().iter().map(|line| format!("//! {line}").trim_end().to_string() + "\n").collect();
        text += "#![allow(dead_code, unused, non_upper_case_globals, clippy::all)]\n\n";
        text += RUST_PRELUDE;
        text += &lower::singles();
        let source = self.lowered.source();
        text += &source
            .rust(&["run", "fused_f32", "fused_f64", "floor_f32"])
            .replace("pub(super) fn", "fn")
            .replace("pub fn", "fn")
            .replace("pub(super) const", "const");
        // In a module of their own: in Rust no variable can have the name of a static.
        text += "mod data {\n";
        for data in data.iter().filter(|data| !data.mutable) {
            let values = data.values.as_deref().unwrap_or_default();
            let _ = writeln!(text, "pub static {}: [{}; {}] = [", data.name, data.ty, data.len);
            text += &lines(values.iter().map(|&value| rust_value(value, data.ty)));
            text += "];\n\n";
        }
        text += "}\n\n";
        let mutable = || data.iter().filter(|data| data.mutable);
        text += "/// The memory.\npub struct Model {\n";
        for data in mutable() {
            let shown = if data.values.is_some() { "pub " } else { "" };
            let _ = writeln!(text, "    {shown}{}: [{}; {}],", data.name, data.ty, data.len);
        }
        text += "}\n\nimpl Model {\n    pub const fn new() -> Self {\n        Model {\n";
        for data in mutable() {
            let _ = match &data.values {
                Some(values) => {
                    let _ = writeln!(text, "            {}: [", data.name);
                    text += &lines(values.iter().map(|&value| rust_value(value, data.ty)));
                    writeln!(text, "            ],")
                }
                None => {
                    writeln!(text, "            {}: [{}; {}],", data.name, rust_value(0.0, data.ty), data.len)
                }
            };
        }
        let mut parameters: Vec<String> = inputs
            .iter()
            .map(|place| format!("{}: &[{}; {}]", place.name, place.dtype.as_str(), place.len()))
            .collect();
        if *is_step {
            parameters.push("learning_rate: f64".into());
        }
        parameters.push(format!("{}: &mut [{}; {}]", output.name, output.dtype.as_str(), output.len()));
        let (verb, result) = if *is_step { ("step", " -> bool") } else { ("run", "") };
        let _ = write!(
            text,
            "        }}\n    }}\n\n    pub fn {verb}(&mut self, {}){result} {{\n        run({})\n    }}\n}}\n",
            parameters.join(", "),
            self.arguments("&mut self.", "&data::"),
        );
        text
    }

    /// The arguments of `run`: the inputs, the output and the arrays.
    fn arguments(&self, mutable: &str, shared: &str) -> String {
        let Lowered { data, inputs, output, is_step, .. } = &self.lowered;
        let mut arguments: Vec<String> = inputs.iter().map(|place| place.name.clone()).collect();
        arguments.extend(is_step.then(|| "learning_rate".into()));
        arguments.push(output.name.clone());
        arguments.extend(
            data.iter().map(|data| format!("{}{}", if data.mutable { mutable } else { shared }, data.name)),
        );
        arguments.join(", ")
    }
}

/// What the exported Rust needs before it.
const RUST_PRELUDE: &str = r"/// a·b + c, rounded once.
trait Fused {
    fn mul_add(self, a: Self, b: Self) -> Self;
}

/// What `core` has not.
trait Floor {
    fn floor(self) -> Self;
}

impl Floor for f32 {
    fn floor(self) -> f32 {
        floor_f32(self)
    }
}

impl Fused for f32 {
    fn mul_add(self, a: f32, b: f32) -> f32 {
        fused_f32(self, a, b)
    }
}

impl Fused for f64 {
    fn mul_add(self, a: f64, b: f64) -> f64 {
        fused_f64(self, a, b)
    }
}

macro_rules! polynomial {
    ($x:ident, $c:ident[$highest:literal $($i:literal)*]) => {
        $c[$highest]$(.mul_add($x, $c[$i]))*
    };
}

";

/// Numbers in lines of eight.
fn lines(numbers: impl Iterator<Item = String>) -> String {
    let numbers: Vec<String> = numbers.collect();
    numbers.chunks(8).fold(String::new(), |text, line| text + "    " + &line.join(", ") + ",\n")
}

fn c_type(ty: &str) -> &'static str {
    match ty {
        "f64" => "double",
        "u32" => "uint32_t",
        "u8" => "uint8_t",
        "i8" => "int8_t",
        "i32" => "int32_t",
        _ => "float",
    }
}

fn c_value(value: f64, ty: &str) -> String {
    match ty {
        "u32" => format!("{value}u"),
        "f32" | "f64" if !value.is_finite() => {
            // No constant expression of C makes it with these bits.
            let sign = if value < 0.0 { "-" } else { "" };
            let one = if value.is_nan() { "0.0" } else { "1.0" };
            format!("{sign}({one}f / 0.0f)")
        }
        "f64" => translate::c_number(value, true),
        "f32" => translate::c_number(value, false),
        _ => format!("{value}"),
    }
}

fn rust_value(value: f64, ty: &str) -> String {
    match ty {
        "f32" | "f64" if value.is_nan() => format!("{ty}::NAN"),
        "f32" | "f64" if value.is_infinite() => {
            format!("{ty}::{}INFINITY", if value < 0.0 { "NEG_" } else { "" })
        }
        "f64" => format!("{value:?}"),
        "f32" => format!("{:?}", value as f32),
        _ => format!("{value}"),
    }
}

/// The elements of an array as f64, which holds those of each exported dtype.
fn numbers(x: &Array) -> Result<Vec<f64>> {
    Ok(match x.dtype() {
        DType::F32 => elements::<f32>(x)?.iter().map(|&x| x.into()).collect(),
        DType::F64 => elements::<f64>(x)?.to_vec(),
        _ => x.flatten_all()?.to_vec1::<u32>()?.into_iter().map(f64::from).collect(),
    })
}

#[cfg(test)]
mod tests;
