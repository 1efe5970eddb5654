//! Files that other programs read, and files that they wrote. tests/interop/run runs both sides:
//!
//! * `interop write DIR` writes ours, which interop.py compares with what it makes itself;
//! * `interop check DIR` reads what interop.py wrote, and compares it bit for bit, or, for outputs of layers, to 1e-5;
//! * without arguments, as `cargo test` runs it, ours are written, and read by ourselves and by candle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tealight::data;
use tealight::io::{self, Checkpoint, NpyOptions};
use tealight::layer::{
    BatchNorm, ConvTranspose1d, ConvTranspose2d, GroupNorm, MultiHeadAttention, PRelu, RmsNorm, Rnn,
    TransformerEncoderLayer,
};
use tealight::prelude::*;
use tealight::train::{TensorBoard, Trainer};

#[path = "files.rs"]
mod files;
#[path = "onnx_models.rs"]
mod onnx_models;

type Tensors = BTreeMap<String, Tensor>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", dir] => write(Path::new(dir)),
        ["check", dir] => check(Path::new(dir)),
        // What `cargo test` passes on is meant for tests that have names.
        _ => {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path())?;
            read_back(dir.path())
        }
    }
}

fn write(dir: &Path) -> Result<()> {
    write_tensors(dir)?;
    write_layers(dir)?;
    write_training(dir)?;
    onnx_models::write(dir)
}

fn check(dir: &Path) -> Result<()> {
    check_tensors(dir)?;
    check_odd(dir)?;
    check_others(dir);
    check_layers(dir)?;
    files::check(dir)
}

const SHAPES: [(&str, &[usize]); 6] = [
    ("scalar", &[]),
    ("one", &[1]),
    ("empty", &[2, 0, 3]),
    ("matrix", &[3, 5]),
    ("five", &[2, 1, 3, 2, 4]),
    ("many", &[41, 37]),
];

/// Tensors of every dtype and several shapes, whose numbers every program can make.
fn tensors() -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for (dtype, low) in [
        (DType::U8, 0),
        (DType::U32, 0),
        (DType::I16, -3),
        (DType::I32, -3),
        (DType::I64, -3),
        (DType::F16, -3),
        (DType::BF16, -3),
        (DType::F32, -3),
        (DType::F64, -3),
    ] {
        let filled = |shape: &[usize]| {
            let numbers = (0..shape.iter().product::<usize>()).map(|i| (i * 7 % 11) as f64 + f64::from(low));
            Tensor::from_vec(numbers.collect::<Vec<f64>>(), shape, &Device::Cpu)?.to_dtype(dtype)
        };
        let name = dtype.as_str();
        for (shape, sizes) in SHAPES {
            tensors.insert(format!("{name}.{shape}"), filled(sizes)?);
        }
        // Not as the numbers lie in memory.
        tensors.insert(format!("{name}.turned"), filled(&[3, 4, 5])?.transpose(0, 2)?);
        tensors.insert(format!("{name}.part"), filled(&[6, 7])?.narrow(1, 2, 3)?);
        tensors.insert(format!("{name}.repeated"), filled(&[4])?.broadcast_to((3, 4))?);
    }
    let special = [f64::NAN, f64::INFINITY, -f64::INFINITY, -0.0, 0.1, -1e-7, 65504.0, 6e-8];
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let special = Tensor::new(&special, &Device::Cpu)?.to_dtype(dtype)?;
        tensors.insert(format!("{}.special", dtype.as_str()), special);
    }
    let extremes = Tensor::new(&[i64::MIN, i64::MAX, -1], &Device::Cpu)?;
    tensors.insert("i64.extremes".into(), extremes);
    tensors.insert("u32.extremes".into(), Tensor::new(&[0, u32::MAX], &Device::Cpu)?);
    Ok(tensors)
}

/// Whether both have the same dtype, shape and bits.
fn same(a: &Tensor, b: &Tensor) -> bool {
    let bits = |x: &Tensor| safetensors::View::data(x.array()).into_owned();
    (a.dtype(), a.dims()) == (b.dtype(), b.dims()) && bits(a) == bits(b)
}

fn assert_same(what: &str, got: &Tensors, expected: &Tensors) {
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (name, tensor) in expected {
        assert!(same(&got[name], tensor), "{what}: {name}: expected {tensor:?}, got {:?}", got[name]);
    }
    println!("{what}: {} tensors, the same bits", expected.len());
}

/// What numpy has a dtype for.
fn numpy(tensors: Tensors) -> Tensors {
    tensors.into_iter().filter(|(_, tensor)| tensor.dtype() != DType::BF16).collect()
}

fn write_tensors(dir: &Path) -> Result<()> {
    io::write(dir.join("ours.safetensors"), &tensors()?)?;
    io::write_npz(dir.join("ours.npz"), &numpy(tensors()?))?;
    fs::create_dir_all(dir.join("npy")).unwrap();
    for (name, tensor) in numpy(tensors()?) {
        io::write_npy(dir.join("npy").join(format!("{name}.npy")), &tensor)?;
    }
    Ok(())
}

/// numpy's signed integers of fewer bits than 64 are read as i64.
fn widened(tensors: Tensors) -> Result<Tensors> {
    let wide = |tensor: Tensor| match tensor.dtype() {
        DType::I16 | DType::I32 => tensor.to_dtype(DType::I64),
        _ => Ok(tensor),
    };
    tensors.into_iter().map(|(name, tensor)| Ok((name, wide(tensor)?))).collect()
}

/// What interop.py wrote; it writes what it expects to be read, too, in the plainest way.
fn check_tensors(dir: &Path) -> Result<()> {
    let plain = |name: &str| io::read(dir.join(name), &Device::Cpu).map(|file| file.tensors);
    assert_same("safetensors of PyTorch", &plain("theirs.safetensors")?, &tensors()?);
    assert_same("state dict of PyTorch", &plain("theirs.pth")?, &tensors()?);
    assert_same("state dict of PyTorch, nested", &plain("nested.pth")?, &tensors()?);
    assert_same(
        "views of PyTorch",
        &io::read_pth(dir.join("views.pth"), &Device::Cpu)?.tensors,
        &plain("views.safetensors")?,
    );
    let expected = widened(numpy(tensors()?))?;
    assert_same("npz of numpy", &io::read_npz(dir.join("theirs.npz"))?.tensors, &expected);
    assert_same("npz of numpy, compressed", &io::read_npz(dir.join("small.npz"))?.tensors, &expected);
    for folder in ["npy-plain", "npy-big-endian", "npy-fortran"] {
        let mut read = Tensors::new();
        for name in expected.keys() {
            read.insert(name.clone(), io::read_npy(dir.join(folder).join(format!("{name}.npy")))?);
        }
        assert_same(&format!("{folder} of numpy"), &read, &expected);
    }
    Ok(())
}

/// Files with tensors that we do not read among others: `ok.*` has the numbers of `*.expected.npz`, `odd.*` is named.
fn check_odd(dir: &Path) -> Result<()> {
    let small = NpyOptions::new().extension_dtype(DType::BF16)?.extension_dtype(DType::F8E4M3)?;
    for (name, read) in [
        ("numpy", io::read_npz(dir.join("odd/numpy.npz"))?),
        ("small", small.read_npz(dir.join("odd/small.npz"))?),
        ("tensors.safetensors", io::read(dir.join("odd/tensors.safetensors"), &Device::Cpu)?),
        ("checkpoint.pth", io::read(dir.join("odd/checkpoint.pth"), &Device::Cpu)?),
    ] {
        let expected = io::read_npz(dir.join(format!("odd/{name}.expected.npz")))?;
        assert!(read.keys().eq(expected.keys()), "{name}: {:?}", read.unreadable);
        assert!(read.unreadable.keys().all(|name| name.starts_with("odd.")), "{name}: {:?}", read.unreadable);
        for (tensor, x) in &expected.tensors {
            let y = read.tensor(tensor)?;
            let bits = |x: &Tensor| -> Result<Vec<u64>> {
                let numbers = x.to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1::<f64>()?;
                Ok(numbers.into_iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect())
            };
            assert_eq!(y.dims(), x.dims(), "{name}: {tensor}");
            assert!(bits(y)? == bits(x)?, "{name}: {tensor}: expected {x}, got {y}");
        }
        println!("{name}: {} tensors, the same numbers; {} named", read.len(), read.unreadable.len());
        for (name, message) in &read.unreadable {
            println!("    {name}: {message}");
        }
    }
    Ok(())
}

/// Each reader names a file of another kind.
fn check_others(dir: &Path) {
    let mut count = 0;
    for entry in fs::read_dir(dir.join("others")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(words) = fs::read_to_string(path.with_extension("words")) else { continue };
        if path.extension().is_some() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (reader, result) in [
            ("safetensors", io::read(&path, &Device::Cpu).map(drop)),
            ("pth", io::read_pth(&path, &Device::Cpu).map(drop)),
            ("npy", io::read_npy(&path).map(drop)),
            ("npz", io::read_npz(&path).map(drop)),
            ("checkpoint", Checkpoint::read(&path).map(drop)),
            ("idx", data::read_idx(&path).map(drop)),
            ("image", data::image::read(&path).map(drop)),
        ] {
            let text = result.unwrap_err().to_string();
            // The reader of idx files unpacks them.
            assert!(text.contains(&words) || reader == "idx" && name == "gzip", "{reader}: {text}");
        }
        count += 1;
    }
    assert_eq!(count, 21);
    println!("{count} files of other kinds, each named");
}

fn read_back(dir: &Path) -> Result<()> {
    assert_same("safetensors", &io::read(dir.join("ours.safetensors"), &Device::Cpu)?.tensors, &tensors()?);
    assert_same("npz", &io::read_npz(dir.join("ours.npz"))?.tensors, &widened(numpy(tensors()?))?);

    let of_candle = |name: &str| -> Result<Tensors> {
        let arrays = candle_core::safetensors::load(dir.join(name), &Device::Cpu)?;
        Ok(arrays.into_iter().map(|(name, array)| (name, Tensor::from(array))).collect())
    };
    assert_same("safetensors, by candle", &of_candle("ours.safetensors")?, &tensors()?);
    let arrays = tensors()?.into_iter().map(|(name, tensor)| (name, tensor.into_array())).collect();
    candle_core::safetensors::save(&arrays, dir.join("candle.safetensors"))?;
    assert_same(
        "safetensors of candle",
        &io::read(dir.join("candle.safetensors"), &Device::Cpu)?.tensors,
        &tensors()?,
    );

    for (name, layer, x) in layers(8)? {
        let written = io::read_npz(dir.join(format!("layers/{name}.npz")))?;
        assert!(!same(&layer.predict(&x)?, &written["y"]), "{name}");
        io::load(dir.join(format!("layers/{name}.safetensors")), &*layer)?;
        assert!(same(&layer.predict(&written["x"])?, &written["y"]), "{name}");
    }
    println!("layers: the same bits after they were written and read");
    Ok(())
}

type Named = (&'static str, Box<dyn Layer>, Tensor);

/// Layers, each with an input; interop.py has the same of PyTorch's.
fn layers(seed: u64) -> Result<Vec<Named>> {
    let rng = &mut Rng::seed(seed);
    let randn = |shape: &[usize]| Tensor::randn(0.0_f32, 1.0, shape, &mut Rng::seed(7));
    let same = ConvOptions::new().padding(1);
    let options = RnnOptions::new().layers(2).bidirectional();
    let words = Tensor::new(&[[1_i64, 0, 6], [3, 3, 2]], &Device::Cpu)?;
    let mlp = Sequential::new().push(Linear::new(6, 16, rng)?).push(Tanh).push(Linear::new(16, 3, rng)?);
    let cnn = Sequential::new()
        .push(Conv2d::new(1, 4, 3, same, rng)?)
        .push(BatchNorm2d::new(4)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Conv2d::new(4, 8, 3, same, rng)?)
        .push(Relu)
        .push(Flatten)
        .push(Linear::new(8 * 4 * 4, 5, rng)?);
    let mut layers: Vec<Named> = Vec::new();
    let mut add = |name, layer: Box<dyn Layer>, shape: &[usize]| -> Result<()> {
        layers.push((name, layer, randn(shape)?));
        Ok(())
    };
    add("mlp", Box::new(mlp), &[4, 6])?;
    add("cnn", Box::new(cnn), &[3, 1, 8, 8])?;
    add("linear", Box::new(Linear::new(5, 3, rng)?), &[4, 5])?;
    add("linear_without_bias", Box::new(Linear::new(5, 3, rng)?.without_bias()), &[4, 5])?;
    add("conv1d", Box::new(Conv1d::new(3, 4, 3, ConvOptions::new().stride(2), rng)?), &[2, 3, 9])?;
    add(
        "conv_transpose1d",
        Box::new(ConvTranspose1d::new(3, 4, 3, ConvOptions::new().padding(1), rng)?),
        &[2, 3, 6],
    )?;
    add("conv2d", Box::new(Conv2d::new(3, 4, [3, 2], ConvOptions::new().padding(1), rng)?), &[2, 3, 7, 6])?;
    add(
        "conv_transpose2d",
        Box::new(ConvTranspose2d::new(3, 4, 3, ConvOptions::new().stride(2), rng)?),
        &[2, 3, 4, 5],
    )?;
    add("batch_norm1d", Box::new(BatchNorm1d::new(3)?), &[6, 3])?;
    add("batch_norm2d", Box::new(BatchNorm2d::new(3)?), &[2, 3, 4, 4])?;
    add("batch_norm_plain", Box::new(BatchNorm::<1>::new(3)?.without_affine()), &[6, 3])?;
    add("layer_norm", Box::new(LayerNorm::new((3, 4))?), &[2, 3, 4])?;
    add("group_norm", Box::new(GroupNorm::new(2, 6)?), &[2, 6, 5])?;
    add("rms_norm", Box::new(RmsNorm::new(4)?), &[2, 3, 4])?;
    add("lstm", Box::new(Lstm::new(3, 4, options, rng)?), &[2, 6, 3])?;
    add("rnn", Box::new(Rnn::new(3, 4, RnnOptions::new().without_bias(), rng)?), &[2, 6, 3])?;
    add("gru", Box::new(Gru::new(3, 4, options, rng)?), &[2, 6, 3])?;
    add("attention", Box::new(MultiHeadAttention::new(8, 2, rng)?), &[2, 5, 8])?;
    add("encoder", Box::new(TransformerEncoderLayer::new(8, 2, 16, rng)?.dropout(0.0)?), &[2, 5, 8])?;
    add("prelu", Box::new(PRelu::per_channel(3)?), &[2, 3, 4])?;
    layers.push(("embedding", Box::new(Embedding::new(7, 4, rng)?), words));
    // Some begin with ones and zeros, which would hide a mistake.
    for (_, parameter) in layers.iter().flat_map(|(_, layer, _)| layer.parameters()) {
        let start = parameter.get().detach();
        parameter.set(&(&start + Tensor::randn(0.0_f32, 0.1, start.dims(), rng)?)?)?;
    }
    Ok(layers)
}

fn write_layers(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("layers")).unwrap();
    for (name, layer, x) in layers(9)? {
        // Batches that a normalization remembers.
        layer.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?;
        io::save(dir.join(format!("layers/{name}.safetensors")), &*layer)?;
        let y = layer.predict(&x)?;
        io::write_npz(
            dir.join(format!("layers/{name}.npz")),
            &BTreeMap::from([("x".into(), x), ("y".into(), y)]),
        )?;
    }
    Ok(())
}

/// Layers with PyTorch's weights, under PyTorch's names: from safetensors, and from a state dict.
fn check_layers(dir: &Path) -> Result<()> {
    for suffix in ["safetensors", "pth"] {
        let mut worst = 0.0_f32;
        for (name, layer, x) in layers(3)? {
            let outputs = io::read_npz(dir.join(format!("torch/{name}.npz")))?;
            let path = dir.join(format!("torch/{name}.{suffix}"));
            io::load(&path, &*layer)?;
            let state: Tensors =
                layer.state_dict().into_iter().map(|(name, held)| (name, held.get())).collect();
            let written = io::read(&path, &Device::Cpu)?;
            assert!(state.iter().all(|(name, tensor)| same(tensor, &written[name])), "{name}");
            assert_eq!(outputs["x"].dims(), x.dims());
            let y = layer.predict(&outputs["x"])?;
            assert_eq!(y.dims(), outputs["y"].dims(), "{name}");
            let off = (y - &outputs["y"])?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(off <= 1e-5, "{name}: the outputs differ by {off}");
            worst = worst.max(off);
        }
        println!(
            "{} layers with PyTorch's weights from .{suffix}: outputs within {worst:e}",
            layers(3)?.len()
        );
    }
    Ok(())
}

/// A short training as TensorBoard has it, and its history: the second goes on within an epoch that the first one finished.
fn write_training(dir: &Path) -> Result<()> {
    let rng = &mut Rng::seed(5);
    let x = Tensor::randn(0.0_f32, 1.0, (40, 3), rng)?;
    let data = (x.clone(), x.sum_keepdim(1)?);
    let model = Linear::new(3, 1, rng)?;
    let checkpoint = dir.join("step-7.safetensors");
    let trainer = |epochs| {
        let trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.01)?)
            .epochs(epochs)
            .batch_size(8)
            .silent()
            .callback(TensorBoard::new(dir.join("runs")));
        Ok::<_, Error>(trainer.on_step_end(|ctx| {
            if ctx.step == 7 {
                ctx.save(&checkpoint);
            }
            Ok(())
        }))
    };
    trainer(3)?.fit(&data, Some(&data))?;
    let history = trainer(4)?.resume(&checkpoint)?.fit(&data, Some(&data))?;
    let mut tensors = Tensors::new();
    let column = |numbers: Vec<f64>| Tensor::new(numbers, &Device::Cpu);
    tensors
        .insert("step".into(), column(history.records().iter().map(|record| record.step as f64).collect())?);
    for name in history.records()[0].scores.names() {
        tensors
            .insert(name.into(), column(history.curve(name).into_iter().map(|(_, score)| score).collect())?);
    }
    io::write_npz(dir.join("history.npz"), &tensors)
}
