//! A program as a function in as much of Rust as [`translate`](super::translate) knows.

use std::fmt::Write;

use candle_core::{CpuStorage, DType, Layout};

use super::numbers;
use super::translate::Source;
use crate::autograd::Array;
use crate::autograd::launch::{
    Int8, Int8Product, Int8Range, Launch, MatMul, PlacesKernel, Primitive, ValueView, is_linear,
};
use crate::error::{Error, Result};
use crate::formula::{Binary, Interpreter, Tape, Unary};
use crate::kernel::scan::Walk;
use crate::kernel::{Conv, Dims, WindowAxis, broadcast_dims, run_of};
use crate::optim::LoweredRule;
use crate::program::{Place as Storage, Program};

/// The exported kernels.
const KERNELS: &str = include_str!("kernels.rs");
const INTEGERS: &str = include_str!("integers.rs");

/// The longest sum that runs in one piece.
const PIECE: usize = 1 << 15;

/// An input or the output.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) dims: Vec<usize>,
}

impl Place {
    pub(super) fn len(&self) -> usize {
        self.dims.iter().product()
    }
}

/// An array of the program.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) name: String,
    /// Rust's name of the type.
    pub(super) ty: &'static str,
    pub(super) len: usize,
    /// What it starts with, if not 0.
    pub(super) values: Option<Vec<f64>>,
    pub(super) mutable: bool,
}

impl Data {
    pub(super) fn bytes(&self) -> usize {
        let size = match self.ty {
            "f64" => 8,
            "i8" | "u8" => 1,
            _ => 4,
        };
        self.len * size
    }
}

/// How an optimizer changes the parameters.
pub(super) struct Update {
    /// The state entry and the output of each gradient.
    pub(super) gradients: Vec<(usize, usize)>,
    /// The rule for each of them.
    pub(super) rules: Vec<LoweredRule>,
    pub(super) max_norm: Option<f64>,
    /// The seed of the random numbers of step 0; the number of another step is added to it bit by bit.
    pub(super) seed: u64,
}

/// A program in Rust.
#[derive(Debug)]
pub(super) struct Lowered {
    /// The function `run`.
    run: String,
    pub(super) inputs: Vec<Place>,
    pub(super) output: Place,
    pub(super) data: Vec<Data>,
    pub(super) is_step: bool,
    /// The kernels whose sums may run in another order than here.
    pub(super) inexact: Vec<String>,
}

impl Lowered {
    pub(super) fn source(&self) -> Source {
        let mut files = crate::formula::MATH_SOURCES.to_vec();
        files.extend([KERNELS, INTEGERS, &self.run]);
        Source::parse(&files)
    }
}

/// The trait of the elementary functions that take several numbers at a time elsewhere, for one.
pub(super) fn singles() -> String {
    let text = crate::formula::MATH_SOURCES[0];
    let item = |start: &str| {
        let from = text.find(start).expect("the file has the trait and what implements it");
        let end = text[from..].find("\n}\n").expect("an item ends");
        format!("{}\n}}\n\n", text[from..from + end].trim_start_matches("pub "))
    };
    item("pub trait Singles") + &item("impl Singles for f32")
}

/// What stands in the source for an operand.
struct Operand<'a> {
    name: String,
    dtype: DType,
    layout: &'a Layout,
}

impl Operand<'_> {
    /// The array and the place where it starts.
    fn at(&self) -> String {
        format!("{}, {}", self.name, self.layout.start_offset())
    }

    fn count(&self) -> usize {
        self.layout.shape().elem_count()
    }
}

struct Writer<'a> {
    program: &'a Program,
    names: &'a [String],
    inputs: usize,
    /// The seed of a training step.
    seed: Option<u64>,
    /// The random numbers that a step has drawn.
    draws: usize,
    body: String,
    used: Vec<Storage>,
    /// The longest scratch that a kernel needs.
    scratch: usize,
    temporaries: usize,
    inexact: Vec<String>,
    /// The numbers of kernels of integers.
    tables: Vec<Data>,
}

pub(super) fn lower(
    program: &Program,
    names: Vec<String>,
    state: Vec<(String, Array)>,
    update: Option<Update>,
) -> Result<Lowered> {
    let externals = program.external_arrays();
    let inputs: Vec<Place> = names
        .iter()
        .zip(externals)
        .map(|(name, (dtype, layout))| Place { name: name.clone(), dtype, dims: layout.dims().to_vec() })
        .collect();
    let mut writer = Writer {
        program,
        names: &names,
        inputs: inputs.len(),
        seed: update.as_ref().map(|update| update.seed),
        draws: 0,
        body: String::new(),
        used: Vec::new(),
        scratch: 0,
        temporaries: 0,
        inexact: program.stepwise().to_vec(),
        tables: Vec::new(),
    };
    for place in &inputs {
        known(place.dtype, "an input", "")?;
    }
    // Integers of 64 bits count batches, which nothing that has a form reads.
    let counts = |value: usize| program.place(value).1 == DType::I64;
    for call in program.launches() {
        if !(call.outputs.len() == 1 && counts(call.outputs[0]) && update.is_some()) {
            writer.launch(call)?;
        }
    }
    let is_step = update.is_some();
    if let (Some((i, _)), false) = (program.assignments().first(), is_step) {
        return Err(Error::argument(
            "export",
            "a function that changes nothing",
            format!("one that sets array {i}"),
        ));
    }
    let view = &program.outputs()[0];
    let result = writer.operand(view)?;
    let output = Place {
        name: if is_step { "loss" } else { "y" }.into(),
        dtype: result.dtype,
        dims: view.layout.dims().to_vec(),
    };
    let identity = Primitive::map(1, |x| x[0]);
    let Primitive::Map(identity) = &identity else { unreachable!("a map is one") };
    writer.map(identity, &[result], &output.name, output.dtype, output.len())?;
    let mut memory = Vec::new();
    if let Some(update) = &update {
        let gradients = writer.gradients(update)?;
        for (external, view) in program.assignments().iter().filter(|(_, view)| !counts(view.value)) {
            let from = writer.operand(view)?;
            let (target, dtype, count) = (external_name(writer.inputs, *external), from.dtype, from.count());
            writer.map(identity, &[from], &target, dtype, count)?;
        }
        writer.update(update, gradients, &mut memory)?;
    }

    let mut data = Vec::new();
    for (i, (name, value)) in state.iter().enumerate() {
        let place = Storage::External(inputs.len() + i);
        let changed =
            update.as_ref().is_some_and(|update| update.gradients.iter().any(|(entry, _)| *entry == i))
                || program
                    .assignments()
                    .iter()
                    .any(|(external, view)| *external == inputs.len() + i && !counts(view.value));
        if writer.used.contains(&place) || changed {
            known(value.dtype(), "a parameter", name)?;
            let values = Some(numbers(value)?);
            let name = external_name(inputs.len(), inputs.len() + i);
            data.push(Data {
                name,
                ty: value.dtype().as_str(),
                len: value.elem_count(),
                values,
                mutable: changed,
            });
        }
    }
    for (i, constant) in program.constants().iter().enumerate() {
        if writer.used.contains(&Storage::Constant(i)) {
            let values = Some(storage_numbers(constant)?);
            let len = crate::autograd::launch::storage_len(constant);
            let ty = candle_core::backend::BackendStorage::dtype(constant).as_str();
            data.push(Data { name: format!("c{i}"), ty, len, values, mutable: false });
        }
    }
    for (i, (dtype, len)) in program.slot_sizes().enumerate() {
        if writer.used.contains(&Storage::Slot(i)) {
            if dtype != DType::U8 {
                known(dtype, "a value", "")?;
            }
            let ty = dtype.as_str();
            data.push(Data { name: format!("s{i}"), ty, len, values: None, mutable: true });
        }
    }
    if writer.scratch > 0 {
        data.push(Data {
            name: "scratch".into(),
            ty: "f32",
            len: writer.scratch,
            values: None,
            mutable: true,
        });
    }
    data.extend(memory);
    data.append(&mut writer.tables);

    let mut parameters: Vec<String> =
        inputs.iter().map(|place| format!("{}: &[{}]", place.name, place.dtype.as_str())).collect();
    if is_step {
        parameters.push("learning_rate: f64".into());
    }
    parameters.push(format!("{}: &mut [{}]", output.name, output.dtype.as_str()));
    for data in &data {
        let kind = if data.mutable { "&mut " } else { "&" };
        parameters.push(format!("{}: {kind}[{}]", data.name, data.ty));
    }
    let (result, end) = if is_step { (" -> bool", "    true\n") } else { ("", "") };
    let run = format!("fn run({}){result} {{\n{}{end}}}\n", parameters.join(", "), writer.body);
    Ok(Lowered { run, inputs, output, data, is_step, inexact: writer.inexact })
}

/// Errors unless the dtype has a form in C.
fn known(dtype: DType, what: &str, name: &str) -> Result<()> {
    if matches!(dtype, DType::F32 | DType::F64 | DType::U32) {
        return Ok(());
    }
    Err(Error::argument("export", "f32, f64 or u32", format!("{what} {name} of {}", dtype.as_str())))
}

fn storage_numbers(storage: &CpuStorage) -> Result<Vec<f64>> {
    Ok(match storage {
        CpuStorage::F32(x) => x.iter().map(|&x| x.into()).collect(),
        CpuStorage::F64(x) => x.clone(),
        CpuStorage::U32(x) => x.iter().map(|&x| x.into()).collect(),
        CpuStorage::U8(x) => x.iter().map(|&x| x.into()).collect(),
        _ => {
            return known(candle_core::backend::BackendStorage::dtype(storage), "a constant", "")
                .map(|()| Vec::new());
        }
    })
}

fn external_name(inputs: usize, external: usize) -> String {
    format!("p{}", external - inputs)
}

impl Writer<'_> {
    fn operand<'v>(&mut self, view: &'v ValueView) -> Result<Operand<'v>> {
        let (place, dtype) = self.program.place(view.value);
        if !self.used.contains(&place) {
            self.used.push(place);
        }
        let name = match place {
            Storage::External(i) if i < self.inputs => self.names[i].clone(),
            Storage::External(i) => external_name(self.inputs, i),
            Storage::Constant(i) => format!("c{i}"),
            Storage::Slot(i) => format!("s{i}"),
            Storage::Nowhere => unreachable!("a value that is read has a place"),
        };
        Ok(Operand { name, dtype, layout: &view.layout })
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.body, "    {text}");
    }

    /// Notes that the sums of a kernel may have another order.
    fn differs(&mut self, call: &Launch, differs: bool) {
        let name =
            format!("{} in {}", call.name, if call.scope.is_empty() { "the model" } else { &call.scope });
        if differs && !self.inexact.contains(&name) {
            self.inexact.push(name);
        }
    }

    fn launch(&mut self, call: &Launch) -> Result<()> {
        let refused = |why: &str| {
            let layer =
                if call.scope.is_empty() { String::new() } else { format!(" in layer {}", call.scope) };
            Error::argument(
                "export",
                "operations that have a form in C",
                format!("{}{layer}{why}", call.name),
            )
        };
        // Compilers warn of loops that never run.
        if call.outputs.first().is_some_and(|&output| self.program.len(output) == 0) {
            return Ok(());
        }
        let mut inputs = &call.inputs[..];
        let mut places = None;
        if let (Primitive::Places { .. }, [rest @ .., starts]) = (&call.primitive, inputs) {
            let Some(found) = self.places(starts) else {
                return Err(refused(" at places that are computed"));
            };
            (inputs, places) = (rest, Some(found));
        }
        let operands = inputs.iter().map(|view| self.operand(view)).collect::<Result<Vec<_>>>()?;
        let Some(&output) = call.outputs.first() else {
            return match (&call.primitive, &operands[..]) {
                (Primitive::InRange { bounds, absolute }, [x, ..])
                    if self.seed.is_some() && x.dtype == DType::F32 =>
                {
                    let [low, high] = bounds.map(|bound| number(bound, DType::F32));
                    let (at, n) = (x.at(), x.count());
                    self.line(&format!(
                        "if !in_range({at}, {n}, {low}, {high}, {absolute}) {{ return false; }}"
                    ));
                    Ok(())
                }
                _ => Err(refused(", a check")),
            };
        };
        let (place, dtype) = self.program.place(output);
        let Storage::Slot(slot) = place else { return Err(refused("")) };
        if !self.used.contains(&place) {
            self.used.push(place);
        }
        let (y, count) = (format!("s{slot}"), self.program.len(output));
        if let Primitive::Int8(kernel) = &call.primitive {
            self.int8(kernel, &operands[0], &y, count);
            return Ok(());
        }
        let is_typed =
            matches!(call.primitive, Primitive::Cast | Primitive::Compare(_) | Primitive::WhereCond);
        let has_form = |x: &Operand<'_>| is_typed && x.dtype == DType::U8 || known(x.dtype, "", "").is_ok();
        let is_map = is_typed || matches!(call.primitive, Primitive::Map(_));
        let made = if matches!(call.primitive, Primitive::Extremum { place: true, .. }) {
            DType::U32
        } else {
            DType::F32
        };
        if !operands.iter().all(has_form) || (!is_map && dtype != made) {
            return Err(refused(&format!(" of {}", operands.first().map_or(dtype, |x| x.dtype).as_str())));
        }
        let at: Vec<String> = operands.iter().map(Operand::at).collect();
        match &call.primitive {
            Primitive::Opaque | Primitive::Int8(_) | Primitive::InRange { .. } => return Err(refused("")),
            Primitive::Map(tape) => {
                self.map(tape, &operands, &y, dtype, count).map_err(|error| refused(&format!(", {error}")))?
            }
            Primitive::Cast => {
                let (from, to) = (operands[0].dtype, dtype.as_str());
                if from.is_float() && !dtype.is_float() || dtype != DType::U8 && known(dtype, "", "").is_err()
                {
                    return Err(refused(&format!(" from {} to {to}", from.as_str())));
                }
                self.elements(&operands, &y, count, |x| {
                    Ok((Block::new(dtype, 0, false), format!("{} as {to}", x[0])))
                })?;
            }
            Primitive::Places { block, period, what } => {
                let (starts, n) = places.expect("those of the call, taken above");
                let blocks =
                    |len: usize| format!("{starts}, {y}, {}, {n}, {block}, {period}", len / (*period).max(1));
                let (whole, changed) = (operands[0].count(), blocks(count));
                match what {
                    PlacesKernel::Take => self.line(&format!("take({}, {});", at[0], blocks(whole))),
                    PlacesKernel::Put => {
                        self.line(&format!("clear({y}, {count});"));
                        self.line(&format!("put({}, {changed}, true);", at[0]));
                    }
                    PlacesKernel::Add | PlacesKernel::Write => {
                        let adds = matches!(what, PlacesKernel::Add);
                        self.line(&format!("copy_rows({}, {y}, 0, 1, {whole}, {whole});", at[0]));
                        self.line(&format!("put({}, {changed}, {adds});", at[1]));
                    }
                }
            }
            Primitive::Mask { p, kept } => {
                let Some(seed) = self.seed else { return Err(refused(" outside of a training step")) };
                let (start, kept) = (self.draws, number(*kept, dtype));
                self.line(&format!(
                    "random_mask({seed} ^ (steps[0] as u64), {start}, {y}, {count}, {p:?}, {kept});"
                ));
                self.draws += count;
            }
            Primitive::Compare(sign) => {
                self.elements(&operands, &y, count, |x| {
                    Ok((
                        Block::new(dtype, 0, false),
                        format!("if {} {sign} {} {{ 1 }} else {{ 0 }}", x[0], x[1]),
                    ))
                })?;
            }
            Primitive::WhereCond => self.elements(&operands, &y, count, |x| {
                let mut block = Block::new(dtype, 0, false);
                // Both are read: of a choice between memory and a constant GCC 11 to 13 make loads with masks, in other places than they should
                // where the condition has fewer bits (-O3 with AVX2).
                let [yes, no] = [&x[1], &x[2]].map(|value| block.declare(value));
                let choice = block.declare(&format!("if {} != 0 {{ {yes} }} else {{ {no} }}", x[0]));
                Ok((block, choice))
            })?,
            Primitive::Affine([m, k, n]) => {
                self.line(&format!("affine({}, {}, {}, {y}, 0, {m}, {k}, {n});", at[0], at[1], at[2]));
            }
            Primitive::MatMul(product) => self.matmul(product, &operands, &y),
            Primitive::Sum([outer, axis, inner]) => {
                self.differs(call, *inner == 1 && *axis > PIECE);
                self.line(&format!("sum_axis({}, {y}, 0, {outer}, {axis}, {inner});", at[0]));
            }
            Primitive::Softmax { width, log } => {
                let name = if *log { "log_softmax" } else { "softmax" };
                self.line(&format!("{name}({}, {y}, 0, {}, {width});", at[0], count / width));
            }
            Primitive::Embed { sizes: [outer, to, inner], start, len } => {
                let (row, total) = (len * inner, to * inner);
                self.line(&format!("clear({y}, {count});"));
                self.line(&format!("copy_rows({}, {y}, {}, {outer}, {row}, {total});", at[0], start * inner));
            }
            Primitive::SoftmaxBackward { width, log } => {
                let name = if *log { "log_softmax_backward" } else { "softmax_backward" };
                self.line(&format!("{name}({}, {}, {y}, 0, {}, {width});", at[0], at[1], count / width));
            }
            Primitive::CrossEntropy { width, factor, total, slopes } => {
                if self.seed.is_none() {
                    return Err(refused(" outside of a training step"));
                }
                if operands[1].dtype != DType::U32 {
                    return Err(refused(&format!(" with classes of {}", operands[1].dtype.as_str())));
                }
                let (n, factor) = (operands[0].count() / width, number(*factor, DType::F32));
                let (classes, start) = (&operands[1].name, operands[1].layout.start_offset());
                self.line(&format!(
                    "for i in 0..{n} {{ if {classes}[{start} + i] as usize >= {width} {{ return false; }} }}"
                ));
                self.differs(call, n > PIECE);
                let losses = if *total { "scratch" } else { &y };
                match slopes {
                    true => {
                        let Storage::Slot(slot) = self.program.place(call.outputs[1]).0 else {
                            return Err(refused(""));
                        };
                        self.used.push(Storage::Slot(slot));
                        self.line(&format!(
                            "cross_entropy_slopes({}, {}, {factor}, {losses}, 0, s{slot}, 0, {n}, {width});",
                            at[0], at[1]
                        ));
                    }
                    false => {
                        // Behind the losses, if they are there, too.
                        return Err(refused(" without a gradient"));
                    }
                }
                if *total {
                    self.scratch = self.scratch.max(n);
                    self.line(&format!("{y}[0] = lanes_sum(scratch, 0, {n}) as f32;"));
                }
            }
            Primitive::Total { values, slopes, divisor } => {
                let n = operands[0].count();
                self.differs(call, n > 2048);
                self.scratch = self.scratch.max(n);
                self.map(values, &operands, "scratch", dtype, n)
                    .map_err(|error| refused(&format!(", {error}")))?;
                let divisor = number(*divisor, dtype);
                self.line(&format!("{y}[0] = (lanes_sum(scratch, 0, {n}) as f32) / {divisor};"));
                if let Some(slopes) = slopes {
                    let Storage::Slot(slot) = self.program.place(call.outputs[1]).0 else {
                        return Err(refused(""));
                    };
                    self.used.push(Storage::Slot(slot));
                    self.temporaries += 1;
                    let factor = format!("f{}", self.temporaries);
                    self.line(&format!("let {factor}: f32 = 1.0 / {divisor};"));
                    self.formula(slopes, &operands, &[factor], &format!("s{slot}"), dtype, n)
                        .map_err(|error| refused(&format!(", {error}")))?;
                }
            }
            Primitive::Conv(conv) => self.conv(call, conv, &operands, &y),
            Primitive::ConvTranspose(conv) => self.conv_transpose(call, conv, &operands, &y),
            Primitive::ConvKernel(conv) => {
                // In blocks that depend on the machine.
                self.differs(call, true);
                self.line(&format!("clear({y}, {count});"));
                let [x_step, w_step, y_step] = steps(conv);
                self.line(&format!("for i in 0..{} {{", conv.batch * conv.groups));
                self.line(&format!("    let group: usize = i % {};", conv.groups));
                self.line(&format!(
                    "    conv_kernel({} + i * {x_step}, {} + i * {y_step}, {y}, group * {w_step}, {}, {}, {});",
                    at[0],
                    at[1],
                    conv.inputs,
                    conv.outputs,
                    sides(&conv.sides[0], &conv.sides[1]),
                ));
                self.line("}");
            }
            Primitive::Moments { sizes: [outer, groups, inner], eps, centred } => {
                let names: Vec<Option<String>> =
                    call.outputs.iter().map(|&output| self.slot(output)).collect();
                let [Some(mean), Some(scale), Some(shift), exact, variance] = &names[..] else {
                    return Err(refused(""));
                };
                let sizes = format!("{outer}, {groups}, {inner}");
                self.line(&format!(
                    "moments({}, {mean}, {scale}, {shift}, {sizes}, {eps:?}, {centred});",
                    at[0]
                ));
                if let Some(exact) = exact {
                    self.line(&format!(
                        "for i in 0..{groups} {{ {exact}[i] = {mean}[i] - {shift}[i] / {scale}[i]; }}"
                    ));
                }
                if let Some(variance) = variance {
                    self.line(&format!("variances({}, {mean}, {variance}, {sizes}, {centred});", at[0]));
                }
            }
            Primitive::Standardize([outer, groups, inner]) => {
                let [_, m, scale, shift, ..] = &operands[..] else { return Err(refused("")) };
                let numbers = format!("{}, {}, {}", m.name, scale.name, shift.name);
                let sizes = format!("{outer}, {groups}, {inner}");
                self.line(&format!("standardize({}, {numbers}, {y}, 0, {sizes});", at[0]));
                if let [weight, bias] = &at[4..] {
                    self.line(&format!("affine_groups({weight}, {bias}, {y}, 0, {sizes});"));
                }
            }
            Primitive::StandardizeBackward { sizes: [outer, groups, inner], centred } => {
                let [_, _, m, scale, shift, ..] = &operands[..] else { return Err(refused("")) };
                let numbers = format!("{}, {}, {}", m.name, scale.name, shift.name);
                let sizes = format!("{outer}, {groups}, {inner}");
                // Σ g·y and Σ g.
                for (&output, kind) in call.outputs[1..].iter().zip([3, 2]) {
                    if let Some(sums) = self.slot(output) {
                        let (x, g) = (&at[0], &at[1]);
                        self.line(&format!("group_sums({kind}, {x}, {g}, {numbers}, {sums}, {sizes});"));
                    }
                }
                let weighted = at.len() > 5;
                let weight = if weighted { &at[5] } else { &at[4] };
                self.line(&format!(
                    "standardize_backward({}, {}, {numbers}, {weight}, {y}, 0, {sizes}, {centred}, {weighted});",
                    at[0], at[1]
                ));
            }
            Primitive::NormalizeRows(width) => {
                // The lengths may be for the backward pass alone.
                let lengths = call.outputs.get(1).and_then(|&output| self.slot(output));
                let rows = count / width;
                if lengths.is_none() {
                    self.scratch = self.scratch.max(rows);
                }
                let lengths = lengths.unwrap_or_else(|| "scratch".into());
                self.line(&format!("normalize_rows({}, {y}, 0, {lengths}, {rows}, {width});", at[0]));
            }
            Primitive::NormalizeRowsBackward(width) => {
                let lengths = &operands[1].name;
                let rows = count / width;
                self.line(&format!(
                    "normalize_rows_backward({}, {lengths}, {}, {y}, 0, {rows}, {width});",
                    at[0], at[2]
                ));
            }
            Primitive::PoolScatter(images) => {
                let (width, size) = (operands[0].count() / images.max(&1), count / images.max(&1));
                self.line(&format!("pool_scatter({}, {}, {y}, 0, {images}, {width}, {size});", at[0], at[1]));
            }
            Primitive::ResampleTranspose { windows, sizes: [outer, from, inner] } => {
                self.line(&format!("clear({y}, {count});"));
                for (i, window) in windows.iter().enumerate() {
                    let [first, rest, divisor] =
                        [window.first, window.rest, window.divisor].map(|x| number(x, DType::F32));
                    let (to, start, len) = (windows.len(), window.start, window.len);
                    self.line(&format!(
                        "resample_transpose({}, {y}, 0, {outer}, {from}, {to}, {inner}, {i}, {start}, {len}, {first}, {rest}, {divisor});",
                        at[0]
                    ));
                }
            }
            Primitive::Resample { windows, sizes: [outer, from, inner] } => {
                for (i, window) in windows.iter().enumerate() {
                    let [first, rest, divisor] =
                        [window.first, window.rest, window.divisor].map(|x| number(x, DType::F32));
                    let (to, start, len) = (windows.len(), window.start, window.len);
                    self.line(&format!(
                        "resample({}, {y}, 0, {outer}, {from}, {to}, {inner}, {i}, {start}, {len}, {first}, {rest}, {divisor});",
                        at[0]
                    ));
                }
            }
            Primitive::Concat { outer, rows } => {
                let (total, mut start) = (rows.iter().sum::<usize>(), 0);
                for (x, row) in at.iter().zip(rows) {
                    self.line(&format!("copy_rows({x}, {y}, {start}, {outer}, {row}, {total});"));
                    start += row;
                }
            }
            Primitive::Scan { sizes: [outer, axis, inner], walk, start, step } => {
                let Walk { reverse, exclusive } = walk.unwrap_or_default();
                let place = if reverse { format!("{axis} - 1 - k") } else { "k".into() };
                self.line(&format!("for o in 0..{outer} {{ for i in 0..{inner} {{"));
                self.line(&format!("    let mut total: f64 = {start:?};"));
                self.line(&format!("    for k in 0..{axis} {{"));
                self.line(&format!("        let at: usize = (o * {axis} + {place}) * {inner} + i;"));
                if exclusive {
                    self.line(&format!("        {y}[at] = total as f32;"));
                }
                for (x, name) in operands.iter().zip(["a", "b"]) {
                    let (array, start) = (&x.name, x.layout.start_offset());
                    self.line(&format!("        let {name}: f64 = {array}[{start} + at] as f64;"));
                }
                self.line(&format!("        total = {step};"));
                if walk.is_some() && !exclusive {
                    self.line(&format!("        {y}[at] = total as f32;"));
                }
                self.line("    }");
                if walk.is_none() {
                    self.line(&format!("    {y}[o * {inner} + i] = total as f32;"));
                }
                self.line("} }");
            }
            Primitive::Extremum { sizes: [outer, axis, inner], largest, place } => {
                let name = if *place { "extremum_places" } else { "extrema" };
                self.line(&format!("{name}({}, {y}, {outer}, {axis}, {inner}, {largest});", at[0]));
            }
            Primitive::MaxPool([high, wide]) => {
                let images = count / (high.output * wide.output).max(1);
                self.line(&format!("max_pool({}, {y}, 0, {images}, {});", at[0], sides(high, wide)));
                // Where they are has a use in the backward pass alone.
                if let Some(places) = call.outputs.get(1).and_then(|&output| self.slot(output)) {
                    self.line(&format!("max_places({}, {places}, {images}, {});", at[0], sides(high, wide)));
                }
            }
        }
        Ok(())
    }

    /// The array of places that do not change, and how many there are.
    fn places(&mut self, starts: &ValueView) -> Option<(String, usize)> {
        let Storage::Constant(i) = self.program.place(starts.value).0 else { return None };
        let CpuStorage::I64(all) = &self.program.constants()[i] else { return None };
        let (from, to) = starts.layout.contiguous_offsets()?;
        let (name, places) = (format!("i{i}_{from}"), all.get(from..to)?);
        if self.tables.iter().all(|table| table.name != name) {
            let values = Some(places.iter().map(|&place| place as f64).collect());
            self.tables.push(Data {
                name: name.clone(),
                ty: "i32",
                len: places.len(),
                values,
                mutable: false,
            });
        }
        Some((name, places.len()))
    }

    /// The memory of an output, if something reads it.
    fn slot(&mut self, output: usize) -> Option<String> {
        let read = |call: &Launch| call.inputs.iter().any(|view| view.value == output);
        let kept =
            self.program.outputs().iter().chain(self.program.assignments().iter().map(|(_, view)| view));
        if !self.program.launches().iter().any(read) && !kept.into_iter().any(|view| view.value == output) {
            return None;
        }
        let (place @ Storage::Slot(slot), _) = self.program.place(output) else { return None };
        if !self.used.contains(&place) {
            self.used.push(place);
        }
        Some(format!("s{slot}"))
    }

    fn conv_transpose(&mut self, call: &Launch, conv: &Conv, operands: &[Operand<'_>], y: &str) {
        // In blocks that depend on the machine.
        self.differs(call, true);
        let (w, g) = (&operands[0], &operands[1]);
        let [x_step, w_step, y_step] = steps(conv);
        let bias = match operands.get(2) {
            Some(bias) => format!("{} + group * {}", bias.at(), conv.inputs),
            None => w.at(),
        };
        self.line(&format!("for i in 0..{} {{", conv.batch * conv.groups));
        self.line(&format!("    let group: usize = i % {};", conv.groups));
        self.line(&format!(
            "    conv_transpose({} + group * {w_step}, {} + i * {y_step}, {bias}, {y}, i * {x_step}, {}, {}, {}, {});",
            w.at(),
            g.at(),
            operands.len() > 2,
            conv.inputs,
            conv.outputs,
            sides(&conv.sides[0], &conv.sides[1]),
        ));
        self.line("}");
    }

    fn matmul(&mut self, product: &MatMul, operands: &[Operand<'_>], y: &str) {
        let MatMul { sizes: [m, k, n], strides: [a, b], starts } = product;
        let mut text = String::new();
        for (i, [start_a, start_b]) in starts.iter().enumerate() {
            let place = |operand: &Operand<'_>, start| {
                format!("{}, {}", operand.name, operand.layout.start_offset() + start)
            };
            let (left, right, to) = (place(&operands[0], start_a), place(&operands[1], start_b), i * m * n);
            // As kernel::matmul chooses.
            let vector = *m == 1 || *n == 1;
            text += &match vector {
                true if *n == 1 && a[1] == 1 && b[0] == 1 => {
                    format!("rows_vector({left}, {}, {right}, {y}, {to}, {m}, {k});", a[0])
                }
                true if *m == 1 && a[1] == 1 && b[0] == 1 => {
                    format!("rows_vector({right}, {}, {left}, {y}, {to}, {n}, {k});", b[1])
                }
                true if *m == 1 && b[1] == 1 => {
                    let run = run_of(*k);
                    format!("vector_matrix({left}, {}, {right}, {}, {y}, {to}, {k}, {n}, {run});", a[1], b[0])
                }
                true if *n == 1 && a[0] == 1 => {
                    let run = run_of(*k);
                    format!("vector_matrix({right}, {}, {left}, {}, {y}, {to}, {k}, {m}, {run});", b[0], a[1])
                }
                _ => format!(
                    "matmul({left}, {}, {}, {right}, {}, {}, {y}, {to}, {m}, {k}, {n});",
                    a[0], a[1], b[0], b[1]
                ),
            };
            text += "\n    ";
        }
        self.line(text.trim_end());
    }

    fn conv(&mut self, call: &Launch, conv: &Conv, operands: &[Operand<'_>], y: &str) {
        let [high, wide] = conv.sides;
        let ahead = conv.starts_at_bias::<f32>();
        let depth = conv.inputs * high.kernel * wide.kernel;
        let windows = high.output * wide.output;
        self.differs(call, conv.is_tiled::<f32>());
        let (x, w) = (&operands[0], &operands[1]);
        let bias = operands.get(2);
        for image in 0..conv.batch {
            for group in 0..conv.groups {
                let place = |operand: &Operand<'_>, start| {
                    format!("{}, {}", operand.name, operand.layout.start_offset() + start)
                };
                let number = image * conv.groups + group;
                let x = place(x, number * conv.inputs * high.input * wide.input);
                let filter = place(w, group * conv.outputs * depth);
                let biases = bias.map_or_else(|| filter.clone(), |bias| place(bias, group * conv.outputs));
                self.line(&format!(
                    "conv({x}, {filter}, {biases}, {y}, {}, {}, {ahead}, {}, {}, {});",
                    number * conv.outputs * windows,
                    bias.is_some(),
                    conv.inputs,
                    conv.outputs,
                    sides(&high, &wide),
                ));
            }
        }
    }

    /// A kernel of integers.
    fn int8(&mut self, kernel: &Int8, x: &Operand<'_>, y: &str, count: usize) {
        let at = x.at();
        match kernel {
            Int8::Quantize(Int8Range { scale, zero }) => {
                self.line(&format!("quantize({at}, {y}, 0, {count}, {scale:?}, {:?});", (zero + 128) as f32));
            }
            Int8::Dequantize(Int8Range { scale, zero }) => {
                self.line(&format!("dequantize({at}, {y}, 0, {count}, {scale:?}, {});", zero + 128));
            }
            Int8::MaxPool(windows, _) => {
                let [high, wide] = windows;
                let images = count / (high.output * wide.output);
                self.line(&format!("max_pool_u8({at}, {y}, 0, {images}, {});", sides(high, wide)));
            }
            Int8::Product(product) => {
                let Int8Product { conv, weight, bias, factors, ranges, .. } = product;
                let [from, to] = ranges.map(|range| range.zero + 128);
                let own = format!("q{}", self.tables.len() / 3);
                let mut table = |name: &str, ty, values: Vec<f64>| {
                    let name = format!("{own}_{name}");
                    self.tables.push(Data {
                        name,
                        ty,
                        len: values.len(),
                        values: Some(values),
                        mutable: false,
                    });
                };
                table("weight", "i8", weight.iter().map(|&x| x.into()).collect());
                table("bias", "i32", bias.iter().map(|&x| x.into()).collect());
                table("factor", "f32", factors.iter().map(|&x| x.into()).collect());
                let (k, n) = (conv.inputs, conv.outputs);
                if is_linear(conv) {
                    let m = count / n;
                    self.line(&format!(
                        "affine_u8({at}, {own}_weight, {own}_bias, {own}_factor, {y}, 0, {m}, {k}, {n}, {from}, {to});"
                    ));
                    return;
                }
                let [high, wide] = conv.sides;
                // Of all examples; the batch of the recorded convolution is one.
                let [x_step, w_step, y_step] = steps(conv);
                let start = x.layout.start_offset();
                self.line(&format!("for i in 0..{} {{", count / y_step));
                self.line(&format!("    let group: usize = i % {};", conv.groups));
                self.line(&format!(
                    "    conv_u8({}, {start} + i * {x_step}, {own}_weight, group * {w_step}, {own}_bias, {own}_factor, \
                     group * {n}, {y}, i * {y_step}, {from}, {to}, {k}, {n}, {});",
                    x.name,
                    sides(&high, &wide)
                ));
                self.line("}");
            }
        }
    }

    fn map(
        &mut self,
        tape: &Tape,
        operands: &[Operand<'_>],
        y: &str,
        dtype: DType,
        count: usize,
    ) -> Result<()> {
        self.formula(tape, operands, &[], y, dtype, count)
    }

    /// A loop over a formula of operands, and of variables behind them.
    fn formula(
        &mut self,
        tape: &Tape,
        operands: &[Operand<'_>],
        more: &[String],
        y: &str,
        dtype: DType,
        count: usize,
    ) -> Result<()> {
        self.elements(operands, y, count, |values| {
            let mut block = Block::new(dtype, 0, false);
            let values = block.inputs(&[values, more].concat());
            let mut results = tape.run(&mut block, &values)?;
            Ok((block, results.swap_remove(0)))
        })
    }

    /// A loop over elements that are broadcast; `make` gives the declarations for one, and the result.
    fn elements(
        &mut self,
        operands: &[Operand<'_>],
        y: &str,
        count: usize,
        make: impl FnOnce(&[String]) -> Result<(Block, String)>,
    ) -> Result<()> {
        let dims = operands.iter().skip(1).fold(Dims::from_slice(operands[0].layout.dims()), |dims, x| {
            broadcast_dims(&dims, x.layout.dims()).expect("the operands of a recorded formula broadcast")
        });
        let flat =
            |x: &Operand<'_>| x.count() == 1 || x.layout.is_contiguous() && x.layout.dims() == &dims[..];
        let mut values = Vec::new();
        if operands.iter().all(flat) {
            for x in operands {
                let start = x.layout.start_offset();
                let index = if x.count() == 1 { start.to_string() } else { format!("{start} + i") };
                values.push(format!("{}[{index}]", x.name));
            }
            let (block, result) = make(&values)?;
            self.line(&format!("for i in 0..{count} {{"));
            self.body += &block.text(std::slice::from_ref(&result), "        ");
            self.line(&format!("    {y}[i] = {result};"));
            self.line("}");
            return Ok(());
        }
        let index = |strides: &[usize], skipped: usize, start: usize| {
            let moving = strides.iter().enumerate().filter(|(_, stride)| **stride != 0);
            moving.fold(start.to_string(), |text, (axis, stride)| {
                format!("{text} + i{} * {stride}", axis + skipped)
            })
        };
        for x in operands {
            let own = x.layout.dims();
            let strides: Vec<usize> = x
                .layout
                .stride()
                .iter()
                .zip(own)
                .map(|(&stride, &size)| if size == 1 { 0 } else { stride })
                .collect();
            let index = index(&strides, dims.len() - own.len(), x.layout.start_offset());
            values.push(format!("{}[{index}]", x.name));
        }
        let (block, result) = make(&values)?;
        for (axis, size) in dims.iter().enumerate() {
            let _ = writeln!(self.body, "{}for i{axis} in 0..{size} {{", "    ".repeat(axis + 1));
        }
        let indent = "    ".repeat(dims.len() + 1);
        self.body += &block.text(std::slice::from_ref(&result), &indent);
        let strides: Vec<usize> = (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect();
        let _ = writeln!(self.body, "{indent}{y}[{}] = {};", index(&strides, 0, 0), result);
        for axis in (0..dims.len()).rev() {
            let _ = writeln!(self.body, "{}}}", "    ".repeat(axis + 1));
        }
        Ok(())
    }

    /// The declaration of the factor of the gradients, in f64 as the crate computes it; none without clipping.
    fn clip(&mut self, max_norm: Option<f64>, gradients: &[(String, String, usize, usize)]) -> Result<bool> {
        let Some(max_norm) = max_norm else { return Ok(false) };
        if gradients.len() >= 32 || gradients.iter().any(|(_, _, _, count)| *count > PIECE) {
            return Err(Error::argument(
                "export",
                "fewer and smaller gradients to clip",
                format!("{}", gradients.len()),
            ));
        }
        self.line("let mut squares: f64 = 0.0;");
        for (i, (at, _, _, count)) in gradients.iter().enumerate() {
            self.line(&format!("let norm{i}: f64 = gradient_norm({at}, {count});"));
            self.line(&format!("squares = squares + norm{i} * norm{i};"));
        }
        self.line("let total: f64 = root_f64(squares);");
        self.line(&format!("let wanted: f64 = {} / (total + 1e-6);", number(max_norm, DType::F64)));
        self.line("let clip: f32 = if wanted < 1.0 { wanted as f32 } else { 1.0 };");
        Ok(true)
    }

    /// The gradients, which are checked: where each begins, its array, its place there and its length.
    fn gradients(&mut self, update: &Update) -> Result<Vec<(String, String, usize, usize)>> {
        let mut gradients = Vec::new();
        for (_, output) in &update.gradients {
            let view = self.program.outputs()[*output].clone();
            let gradient = self.operand(&view)?;
            if !gradient.layout.is_contiguous() || gradient.dtype != DType::F32 {
                return Err(Error::argument(
                    "export",
                    "gradients in f32 and row-major order",
                    gradient.dtype.as_str(),
                ));
            }
            gradients.push((
                gradient.at(),
                gradient.name.clone(),
                gradient.layout.start_offset(),
                gradient.count(),
            ));
        }
        for (at, _, _, count) in &gradients {
            self.line(&format!("if !is_finite({at}, {count}) {{ return false; }}"));
        }
        Ok(gradients)
    }

    /// The update of the parameters; the arrays of the optimizer go to `memory`.
    fn update(
        &mut self,
        update: &Update,
        gradients: Vec<(String, String, usize, usize)>,
        memory: &mut Vec<Data>,
    ) -> Result<()> {
        let clipped = self.clip(update.max_norm, &gradients)?;
        memory.push(Data { name: "steps".into(), ty: "f64", len: 1, values: None, mutable: true });
        self.line("steps[0] = steps[0] + 1.0;");
        for (((entry, _), rule), (_, gradient, start, count)) in
            update.gradients.iter().zip(&update.rules).zip(gradients)
        {
            // What depends on the step is computed in f64, as the optimizer does.
            let mut block = Block::new(DType::F64, self.temporaries, true);
            let rate = format!("learning_rate * {}", number(rule.lr_factor, DType::F64));
            let inputs = block.inputs(&[rate, "steps[0]".into()]);
            let scalars = rule.scalars.run(&mut block, &inputs)?;
            self.body += &block.text(&scalars, "    ");
            self.temporaries = block.temporaries;
            let (p, factor) = (format!("p{entry}"), if clipped { " * clip" } else { "" });
            let mut values = vec![format!("{p}[i]"), format!("{gradient}[{start} + i]{factor}")];
            let mut targets = vec![Some(p)];
            for (number, kept) in rule.states.iter().enumerate() {
                let name = kept.map(|initial| {
                    let name = format!("m{number}_{entry}");
                    let values = (initial != 0.0).then(|| vec![initial; count]);
                    memory.push(Data { name: name.clone(), ty: "f32", len: count, values, mutable: true });
                    name
                });
                values.push(name.as_ref().map_or("0.0".into(), |name| format!("{name}[i]")));
                targets.push(name);
            }
            values.extend(scalars.iter().map(|scalar| format!("{scalar} as f32")));
            let mut block = Block::new(DType::F32, self.temporaries, false);
            let values = block.inputs(&values);
            let results = rule.formula.run(&mut block, &values)?;
            self.temporaries = block.temporaries;
            let (targets, results): (Vec<String>, Vec<String>) = targets
                .into_iter()
                .zip(results)
                .filter_map(|(target, result)| Some((target?, result)))
                .unzip();
            self.line(&format!("for i in 0..{count} {{"));
            self.body += &block.text(&results, "        ");
            for (target, result) in targets.iter().zip(results) {
                self.line(&format!("    {target}[i] = {result};"));
            }
            self.line("}");
        }
        Ok(())
    }
}

/// The elements of the input, the kernel and the output of one group of one image.
fn steps(conv: &Conv) -> [usize; 3] {
    let one = Conv { batch: 1, ..*conv };
    [one.x_dims(), one.w_dims(), one.y_dims()].map(|dims| Conv::count(dims) / conv.groups.max(1))
}

/// The sizes of windows, in the order of the kernels' parameters.
fn sides(high: &WindowAxis, wide: &WindowAxis) -> String {
    let pairs = [
        [high.input, wide.input],
        [high.output, wide.output],
        [high.kernel, wide.kernel],
        [high.stride, wide.stride],
        [high.padding, wide.padding],
        [high.dilation, wide.dilation],
    ];
    pairs.iter().flatten().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// A number of this type.
fn number(value: f64, dtype: DType) -> String {
    let ty = dtype.as_str();
    let rounded = if dtype == DType::F32 { f64::from(value as f32) } else { value };
    match rounded {
        value if value.is_nan() => format!("{ty}::NAN"),
        value if value.is_infinite() => format!("{}{ty}::INFINITY", if value < 0.0 { "-" } else { "" }),
        value if dtype == DType::F32 => format!("{:?}", value as f32),
        value => format!("{value:?}"),
    }
}

/// The instructions of a tape as declarations of variables.
struct Block {
    /// Names and values.
    lines: Vec<(String, String)>,
    dtype: DType,
    temporaries: usize,
    /// Of an optimizer's scalars.
    is_scalar: bool,
}

impl Block {
    fn new(dtype: DType, temporaries: usize, is_scalar: bool) -> Self {
        Block { lines: Vec::new(), dtype, temporaries, is_scalar }
    }

    fn inputs(&mut self, values: &[String]) -> Vec<String> {
        values.iter().map(|value| self.declare(value)).collect()
    }

    fn declare(&mut self, value: &str) -> String {
        self.temporaries += 1;
        let name = format!("t{}", self.temporaries);
        self.lines.push((name.clone(), value.into()));
        name
    }

    /// The declarations that `results` need.
    fn text(&self, results: &[String], indent: &str) -> String {
        let mut needed: std::collections::HashSet<&str> = results.iter().map(String::as_str).collect();
        let mut lines = Vec::new();
        for (name, value) in self.lines.iter().rev() {
            if needed.contains(name.as_str()) {
                needed.extend(value.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
                lines.push(format!("{indent}let {name}: {} = {value};\n", self.dtype.as_str()));
            }
        }
        lines.into_iter().rev().collect()
    }

    fn no_form(what: &str) -> Error {
        Error::argument("export", "a formula that has a form in C", what)
    }
}

impl Interpreter for Block {
    type Value = String;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<String> {
        let value = number(value, self.dtype);
        Ok(self.declare(&value))
    }

    fn unary(&mut self, f: Unary, a: &String) -> Result<String> {
        let function = match f {
            Unary::Neg => return Ok(self.declare(&format!("-{a}"))),
            Unary::Abs => return Ok(self.declare(&format!("{a}.abs()"))),
            Unary::Recip | Unary::Powi(-1) => return Ok(self.declare(&format!("1.0 / {a}"))),
            Unary::Powi(2) => return Ok(self.declare(&format!("{a} * {a}"))),
            Unary::Powi(3) => {
                let square = self.declare(&format!("{a} * {a}"));
                return Ok(self.declare(&format!("{square} * {a}")));
            }
            Unary::Exp => "exp_f32",
            Unary::ExpM1 => "exp_m1_f32",
            Unary::Ln => "ln_f32",
            Unary::Ln1p => "ln_1p_f32",
            Unary::Sqrt if self.dtype == DType::F64 => return Ok(self.declare(&format!("root_f64({a})"))),
            Unary::Sqrt => "root_f32",
            Unary::Atan => "atan_f32",
            Unary::Tanh => "tanh_f32",
            Unary::Sigmoid => "sigmoid_f32",
            Unary::Erf => "erf_f32",
            Unary::Erfc => "erfc_f32",
            Unary::Sin => "sin_f32",
            Unary::Cos => "cos_f32",
            Unary::Floor => "floor_f32",
            Unary::Round => "round_f32",
            Unary::Signum => "signum_f32",
            Unary::Powi(0) => return Ok(self.declare("1.0")),
            Unary::Powi(1) => return Ok(a.clone()),
            Unary::Powi(n) => {
                let n = self.constant(n.into())?;
                return self.binary(Binary::Pow, a, &n);
            }
        };
        if self.dtype != DType::F32 {
            return Err(Self::no_form(&format!("{f:?} in f64")));
        }
        Ok(self.declare(&format!("{function}({a})")))
    }

    fn binary(&mut self, f: Binary, a: &String, b: &String) -> Result<String> {
        let text = match f {
            Binary::Add => format!("{a} + {b}"),
            Binary::Sub => format!("{a} - {b}"),
            Binary::Mul => format!("{a} * {b}"),
            Binary::Div => format!("{a} / {b}"),
            Binary::Max => {
                format!("if {a} != {a} {{ {a} }} else {{ if {a} > {b} {{ {a} }} else {{ {b} }} }}")
            }
            Binary::Min => {
                format!("if {a} != {a} {{ {a} }} else {{ if {a} < {b} {{ {a} }} else {{ {b} }} }}")
            }
            // Of a positive constant: Adam's bias correction.
            Binary::Pow if self.is_scalar => format!("magnitude_f64({a}, {b})"),
            Binary::Pow if self.dtype == DType::F32 => format!("powf_f32({a}, {b})"),
            Binary::Remainder if self.dtype == DType::F32 => format!("remainder_f32({a}, {b})"),
            Binary::Pow | Binary::Remainder => return Err(Self::no_form(&format!("{f:?}"))),
        };
        Ok(self.declare(&text))
    }

    fn select_gt(&mut self, [a, b, yes, no]: [&String; 4]) -> Result<String> {
        Ok(self.declare(&format!("if {a} > {b} {{ {yes} }} else {{ {no} }}")))
    }
}
