//! The errors that a beginner meets first, word for word: what was expected, what came, and what to do where that is not plain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![cfg(all(feature = "csv", feature = "image", feature = "plot"))]

use std::path::Path;

use tealight::data::{self, DataLoader, ImageFolderOptions, TableOptions, TensorDataset};
use tealight::io::{self, Checkpoint};
use tealight::layer::MultiHeadAttention;
use tealight::prelude::*;
use tealight::train::EarlyStopping;

fn rng() -> Rng {
    Rng::seed(1)
}

fn zeros(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap()
}

fn classes(numbers: &[u32]) -> Tensor {
    Tensor::new(numbers, &Device::Cpu).unwrap()
}

fn linear() -> Linear {
    Linear::new(4, 3, &mut rng()).unwrap()
}

/// What the error says, with the temporary directory as `DIR`.
fn said<T>(result: Result<T>, directory: &Path) -> String {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => error.to_string().replace(&directory.display().to_string(), "DIR"),
    }
}

/// One step of training with this loss.
fn step(model: &dyn Layer, x: &Tensor, y: &Tensor) -> Result<()> {
    Trainer::new(model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?)
        .silent()
        .fit(&(x.clone(), y.clone()), None)
        .map(drop)
}

/// What was done, what is to be said, and what is said.
fn errors(d: &Path) -> Vec<(&'static str, &'static str, String)> {
    let write = |name: &str, bytes: &[u8]| {
        let path = d.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let wide = |n, m| Linear::new(n, m, &mut rng()).unwrap();
    let conv = Conv2d::new(3, 8, 3, ConvOptions::new(), &mut rng()).unwrap();
    let deep = Sequential::new().push(wide(4, 8)).push(Relu).push(wide(16, 3));
    let embedding = Embedding::new(10, 4, &mut rng()).unwrap();
    let lstm = Lstm::new(4, 8, RnnOptions::new(), &mut rng()).unwrap();
    let attention = MultiHeadAttention::new(8, 2, &mut rng()).unwrap();
    let f64s = Tensor::zeros((4, 3), DType::F64, &Device::Cpu).unwrap();
    let leaf = Tensor::parameter(zeros(&[3]));
    let layer = linear();
    let model = layer.clone();
    let mut sgd = Sgd::new(layer.parameters(), 0.1).unwrap();
    let saved = d.join("wide.safetensors");
    io::save(&saved, &wide(5, 3)).unwrap();
    let csv = |text: &str, target: &str| {
        data::read_csv(write("t.csv", text.as_bytes()), &TableOptions::new().target(target))
    };
    let half = |x: &Tensor, y: &Tensor| BceWithLogits.loss(x, y);
    let png = {
        let path = d.join("cut.png");
        data::image::write_png(&path, &zeros(&[8, 8])).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        path
    };
    let nan = |x: &Tensor| x / 0.0;
    let say = |result: Result<Tensor>| said(result, d);
    let unit = |result: Result<()>| said(result, d);
    vec![
        // Shapes that do not fit a layer.
        (
            "linear",
            "linear: expected inputs of shape [.., 4] for 3 outputs, got [2, 5]",
            say(layer.predict(&zeros(&[2, 5]))),
        ),
        (
            "a layer in a model",
            "2: linear: expected inputs of shape [.., 16] for 3 outputs, got [2, 8]",
            say(deep.predict(&zeros(&[2, 4]))),
        ),
        (
            "conv2d, channels",
            "conv2d: expected inputs of 3 channels for this weight, got [2, 1, 8, 8] and [8, 3, 3, 3]",
            say(conv.predict(&zeros(&[2, 1, 8, 8]))),
        ),
        (
            "conv2d, channels last",
            "conv2d: expected inputs of 3 channels for this weight (is it the last axis? see permute), got [2, 8, 8, 3] and [8, 3, 3, 3]",
            say(conv.predict(&zeros(&[2, 8, 8, 3]))),
        ),
        (
            "conv2d, small",
            "conv2d: expected a kernel no larger than the padded input (it spans 3 by 3), got [2, 3, 2, 2] and [8, 3, 3, 3]",
            say(conv.predict(&zeros(&[2, 3, 2, 2]))),
        ),
        (
            "batch norm",
            "batch_norm1d: expected inputs of shape [n, 4] or [n, 4, l], got [2, 5]",
            say(BatchNorm1d::new(4).unwrap().predict(&zeros(&[2, 5]))),
        ),
        (
            "layer norm",
            "layer_norm: expected inputs of shape [.., 4], got [2, 5]",
            say(LayerNorm::new(4).unwrap().predict(&zeros(&[2, 5]))),
        ),
        (
            "max pool",
            "max_pool2d: expected a padded input no smaller than the window (3 by 3), got [1, 1, 2, 2]",
            say(MaxPool2d::new(PoolOptions::new(3)).predict(&zeros(&[1, 1, 2, 2]))),
        ),
        (
            "embedding, floats",
            "embedding: expected indices of dtype u8, u32 or i64, got f32",
            say(embedding.predict(&zeros(&[2, 3]))),
        ),
        (
            "embedding, range",
            "embedding: index_select: expected indices from -10 and below 10 (axis 0 of shape [10, 4]), got 10 (element 1 of the indices)",
            say(embedding.predict(&classes(&[3, 10]))),
        ),
        (
            "lstm",
            "lstm: expected inputs of shape [n, t, 4] with t > 0, got [2, 7, 5]",
            say(lstm.predict(&zeros(&[2, 7, 5]))),
        ),
        (
            "attention",
            "multi_head_attention: expected queries [n, t, 8], keys and values [n, s, 8] with s > 0, got [2, 7, 5] and [2, 7, 5] and [2, 7, 5]",
            say(attention.predict(&zeros(&[2, 7, 5]))),
        ),
        ("dropout", "dropout: expected p from 0 to 1, got 1.5", said(Dropout::new(1.5), d)),
        // Operations.
        (
            "add",
            "add: expected shapes that broadcast together, got [2, 3] and [4]",
            say(zeros(&[2, 3]) + zeros(&[4])),
        ),
        (
            "matmul",
            "matmul: expected inner sizes to be equal (3 and 4), got [2, 3] and [4, 5]",
            say(zeros(&[2, 3]).matmul(&zeros(&[4, 5]))),
        ),
        (
            "matmul, dtypes",
            "matmul: expected float tensors of one dtype (see to_dtype), got f32 and f64",
            say(zeros(&[2, 4]).matmul(&f64s)),
        ),
        (
            "add, dtypes",
            "add: expected float tensors of one dtype (see to_dtype), got f32 and f64",
            say(zeros(&[4, 3]) + &f64s),
        ),
        ("integers", "sqrt: expected a float tensor (see to_dtype), got u32", say(classes(&[1, 2]).sqrt())),
        (
            "reshape",
            "reshape: expected a shape of 6 elements for [2, 3], got [4, 2]",
            say(zeros(&[2, 3]).reshape((4, 2))),
        ),
        (
            "axis",
            "sum: expected an axis from -2 to 1, got axis 2 of shape [2, 3]",
            say(zeros(&[2, 3]).sum(2)),
        ),
        (
            "cat",
            "cat: expected shapes that differ on axis 0 alone, got [2, 3] and [2, 4]",
            say(Tensor::cat(&[zeros(&[2, 3]), zeros(&[2, 4])], 0)),
        ),
        (
            "index",
            "i: expected indices from -2 and below 2 (axis 0 of shape [2, 3]), got 2",
            say(zeros(&[2, 3]).i(2)),
        ),
        (
            "narrow",
            "narrow: expected start + len <= 3 on axis 1 of shape [2, 3], got start = 2 and len = 2",
            say(zeros(&[2, 3]).narrow(1, 2, 2)),
        ),
        (
            "from_vec",
            "from_vec: expected 4 elements for shape [2, 2], got 3",
            say(Tensor::from_vec(vec![1.0, 2.0, 3.0], (2, 2), &Device::Cpu)),
        ),
        (
            "ragged",
            "new: expected nested arrays of equal lengths, got two elements have different len 1 2",
            say(Tensor::new(vec![vec![1.0], vec![2.0, 3.0]], &Device::Cpu)),
        ),
        (
            "to_vec1",
            "to_vec1: expected a tensor of rank 1, got [2, 3]",
            said(zeros(&[2, 3]).to_vec1::<f32>(), d),
        ),
        ("to_scalar", "to_scalar: expected one element, got [3]", said(zeros(&[3]).to_scalar::<f32>(), d)),
        (
            "to_scalar, dtype",
            "to_scalar: expected a tensor of dtype f64 (see to_dtype), got f32",
            said(zeros(&[]).to_scalar::<f64>(), d),
        ),
        // Losses and targets.
        (
            "label out of range",
            "cross_entropy: expected classes from 0 to 2, got class 3 in row 1",
            say(CrossEntropy::new().loss(&zeros(&[2, 3]), &classes(&[0, 3]))),
        ),
        (
            "labels as floats",
            "cross_entropy: expected float scores and integer classes (see to_dtype), got f32 and f32",
            say(CrossEntropy::new().loss(&zeros(&[2, 3]), &zeros(&[2]))),
        ),
        (
            "labels as a column",
            "cross_entropy: expected one class for each of 2 rows (see squeeze), got [2, 3] and [2, 1]",
            say(CrossEntropy::new().loss(&zeros(&[2, 3]), &classes(&[0, 1]).unsqueeze(1).unwrap())),
        ),
        (
            "probabilities, shape",
            "bce_with_logits: expected prediction and target of one shape, got [2, 1] and [2]",
            say(half(&zeros(&[2, 1]), &zeros(&[2]))),
        ),
        (
            "probabilities, range",
            "bce_with_logits: expected targets from 0 to 1, got 2 at [1]",
            say(half(&zeros(&[2]), &Tensor::new(&[0.0_f32, 2.0], &Device::Cpu).unwrap())),
        ),
        (
            "mean of squares",
            "mse: expected prediction and target of one shape, got [2, 1] and [3, 1]",
            say(Mse.loss(&zeros(&[2, 1]), &zeros(&[3, 1]))),
        ),
        // Gradients.
        (
            "backward of many",
            "backward: expected a scalar (reduce it with mean_all or sum_all, or see autograd::vjp), got [3]",
            said(leaf.exp().unwrap().backward(), d),
        ),
        (
            "backward of nothing",
            "backward: this tensor depends on no parameter (make one with Tensor::parameter; detach, no_grad and comparisons end the history)",
            said(zeros(&[]).backward(), d),
        ),
        (
            "gradient by a constant",
            "grad: input 0 does not require a gradient (make it with Tensor::parameter)",
            said(autograd::grad(&leaf.sum_all().unwrap(), [&zeros(&[3])]), d),
        ),
        (
            "forgotten gradient",
            "weight: no gradient: the loss does not depend on it (see allow_unused), or it was changed since the forward pass",
            unit(sgd.step(&leaf.sum_all().unwrap().backward().unwrap())),
        ),
        (
            "NaN gradient",
            "weight: its gradient is NaN or infinite (autograd::detect_anomaly finds the operation)",
            {
                let y = layer.forward(&nan(&zeros(&[1, 4])).unwrap(), &mut ForwardContext::eval()).unwrap();
                unit(sgd.step(&y.sum_all().unwrap().backward().unwrap()))
            },
        ),
        (
            "changed parameter",
            "backward: a parameter of shape [3, 4] was changed after the forward pass that read it: run forward again",
            {
                let y = layer
                    .forward(&zeros(&[1, 4]), &mut ForwardContext::eval())
                    .unwrap()
                    .sqr()
                    .unwrap()
                    .sum_all()
                    .unwrap();
                layer.weight.set(&zeros(&[3, 4])).unwrap();
                said(y.backward(), d)
            },
        ),
        (
            "argmax",
            "backward: this tensor depends on no parameter (make one with Tensor::parameter; detach, no_grad and comparisons end the history)",
            said(leaf.argmax(0).unwrap().backward(), d),
        ),
        // Training.
        (
            "NaN loss",
            "step 1: fit: expected a loss that is finite (a smaller learning rate? autograd::detect_anomaly finds the operation), got NaN",
            unit(step(&model, &nan(&zeros(&[2, 4])).unwrap(), &classes(&[0, 1]))),
        ),
        (
            "learning rate",
            "Sgd: expected a learning rate that is finite and not negative, got NaN",
            said(Sgd::new(layer.parameters(), f64::NAN), d),
        ),
        ("loss of each example", "step 1: fit: expected a scalar loss (not Reduction::None), got [2, 3]", {
            let mut trainer = Trainer::new(
                &model,
                Mse.reduction(Reduction::None),
                Sgd::new(model.parameters(), 0.1).unwrap(),
            )
            .silent();
            said(trainer.fit(&(zeros(&[2, 4]), zeros(&[2, 3])), None), d)
        }),
        (
            "numbers of examples",
            "TensorDataset: expected inputs (n, ..) and targets (n, ..), got [3, 4] and [2]",
            unit(step(&model, &zeros(&[3, 4]), &classes(&[0, 1]))),
        ),
        (
            "label in training",
            "step 1: cross_entropy: expected classes from 0 to 2, got class 7 in row 1",
            unit(step(&model, &zeros(&[2, 4]), &classes(&[0, 7]))),
        ),
        (
            "batch size",
            "DataLoader: expected a batch size of 1 or more, got 0",
            said(DataLoader::new(&TensorDataset::new(&zeros(&[2, 4]), &classes(&[0, 1])).unwrap(), 0), d),
        ),
        ("unknown score", "fit: expected one of the scores loss, got \"accuracy\"", {
            let optimizer = Sgd::new(model.parameters(), 0.1).unwrap();
            let mut trainer = Trainer::new(&model, CrossEntropy::new(), optimizer)
                .silent()
                .callback(EarlyStopping::new("accuracy", 3));
            said(trainer.fit(&(zeros(&[2, 4]), classes(&[0, 1])), None), d)
        }),
        // Files.
        (
            "no such model",
            "DIR/none.safetensors: expected a file that can be read, got: No such file or directory (os error 2)",
            unit(io::load(d.join("none.safetensors"), &model)),
        ),
        (
            "no model",
            "DIR/text.safetensors: expected a safetensors file, or a state dict of PyTorch's, got a text file",
            unit(io::load(write("text.safetensors", b"hello, this is no model"), &model)),
        ),
        (
            "another model",
            "DIR/wide.safetensors: expected all tensors of the model and no other (io::LoadOptions renames, skips, converts, or loads what fits), got 1 that fit; 1 of another shape or dtype: weight (expected [3, 4] of f32, got [3, 5] of f32)",
            unit(io::load(&saved, &model)),
        ),
        (
            "no checkpoint",
            "DIR/wide.safetensors: expected a whole checkpoint, got a safetensors file whose metadata have no format \"tealight checkpoint\"",
            said(Checkpoint::read(&saved), d),
        ),
        (
            "no such picture",
            "DIR/none.png: expected a file that can be read, got: No such file or directory (os error 2)",
            say(data::image::read(d.join("none.png"))),
        ),
        (
            "picture cut off",
            "DIR/cut.png: expected a readable image (PNG), got: unexpected end of file",
            say(data::image::read(&png)),
        ),
        (
            "no picture",
            "DIR/text.png: expected a PNG, JPEG, BMP, GIF, WebP, TIFF or PNM image, got a text file",
            say(data::image::read(write("text.png", b"hello"))),
        ),
        (
            "no folders of pictures",
            "DIR/none: expected a directory, got: No such file or directory (os error 2)",
            said(data::image_folder(d.join("none"), &ImageFolderOptions::new(8, 8)), d),
        ),
        (
            "CSV, no such column",
            "DIR/t.csv: expected a column \"c\", got a, b",
            said(csv("a,b\n1,2\n", "c"), d),
        ),
        (
            "CSV, missing value",
            "DIR/t.csv: line 3, column \"a\": expected a value, got \"\" (TableOptions::missing can drop such rows)",
            said(csv("a,b\n1,x\n,y\n", "b"), d),
        ),
        (
            "CSV, short line",
            "DIR/t.csv: line 3: expected 2 values, got 1",
            said(csv("a,b\n1,x\n2\n", "b"), d),
        ),
        (
            "idx",
            "DIR/images.idx: expected the beginning of an idx file (0, 0, type 8 to 14, number of axes), got a text file",
            said(data::read_idx(write("images.idx", b"hello, this is no idx")), d),
        ),
        (
            "plot file name",
            "DIR/a.jpg: expected a file name that ends in .png or .svg",
            unit(tealight::plot::heatmap(d.join("a.jpg"), "", &zeros(&[2, 2]))),
        ),
    ]
}

#[test]
fn word_for_word() {
    let directory = tempfile::tempdir().unwrap();
    let errors = errors(directory.path());
    let wrong = errors.iter().filter(|(_, expected, said)| expected != said);
    let wrong: Vec<String> =
        wrong.map(|(what, a, b)| format!("{what}\n  expected {a}\n  got      {b}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(errors.len() >= 40);
}
