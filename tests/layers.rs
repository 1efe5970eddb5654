//! Every layer against PyTorch, in f64: values, gradients by inputs and parameters, and what training leaves in the buffers.
//! See reference/layers.py.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tealight::layer::*;
use tealight::ops::{ConvOptions, ConvPadding, Pad, PoolOptions};
use tealight::prelude::*;

/// Outputs of inputs.
type Run = dyn Fn(&[Tensor], &mut ForwardContext) -> Result<Vec<Tensor>>;

/// A layer and how to run it.
struct Case {
    held: Vec<(String, StateEntry)>,
    run: Box<Run>,
}

/// A layer that is run by a function of its own.
fn by<L: Layer + 'static>(
    layer: Result<L>,
    run: impl Fn(&L, &[Tensor], &mut ForwardContext) -> Result<Vec<Tensor>> + 'static,
) -> Option<Case> {
    let layer = Arc::new(layer.unwrap());
    layer.to_dtype(DType::F64).unwrap();
    let held = layer.state_dict();
    Some(Case { held, run: Box::new(move |inputs, pass| run(&layer, inputs, pass)) })
}

fn plain(layer: Result<impl Layer + 'static>) -> Option<Case> {
    by(layer, |layer, inputs, pass| Ok(vec![layer.forward(&inputs[0], pass)?]))
}

fn with_state<C: RecurrentCell<S> + 'static, const S: usize>(layer: Result<Recurrent<C, S>>) -> Option<Case> {
    by(layer, |layer, inputs, pass| {
        let (y, last) =
            layer.forward_with_state(&inputs[0], Some(std::array::from_fn(|s| &inputs[1 + s])), pass)?;
        Ok([vec![y], last.to_vec()].concat())
    })
}

/// Of sequences of 2, 4 and 1 steps, with a state if it is among the inputs.
fn with_lengths<C: RecurrentCell<S> + 'static, const S: usize>(
    layer: Result<Recurrent<C, S>>,
) -> Option<Case> {
    by(layer, |layer, inputs, pass| {
        let state = (inputs.len() > 1).then(|| std::array::from_fn(|s| &inputs[1 + s]));
        let (y, last) = layer.forward_with_lengths(&inputs[0], &[2, 4, 1], state, pass)?;
        Ok([vec![y], last.to_vec()].concat())
    })
}

fn bag(mode: BagMode, padding: bool) -> Option<Case> {
    let layer = EmbeddingBag::new(5, 3, &mut Rng::seed(1)).map(|layer| layer.mode(mode));
    if !padding {
        return by(layer, |layer, inputs, pass| match inputs {
            [words, weights] => Ok(vec![layer.bags(words, &[0, 2, 2, 5], Some(weights))?]),
            inputs => Ok(vec![layer.forward(&inputs[0], pass)?]),
        });
    }
    by(layer.and_then(|layer| layer.padding_idx(4)), |layer, inputs, _| {
        Ok(vec![layer.bags(&inputs[0], &[0, 2, 2, 5], None)?])
    })
}

/// Attention of the first input to itself, and its weights if they are asked for.
fn masked(weights: bool, mask: impl Fn(&[Tensor]) -> AttentionMask + 'static) -> Option<Case> {
    by(MultiHeadAttention::new(4, 2, &mut Rng::seed(1)), move |layer, inputs, pass| {
        let x = &inputs[0];
        let (y, taken) = layer.attend(x, x, x, &mask(inputs), pass)?;
        Ok(if weights { vec![y, taken] } else { vec![y] })
    })
}

fn encoder() -> Result<TransformerEncoderLayer> {
    TransformerEncoderLayer::new(4, 2, 6, &mut Rng::seed(1))?.dropout(0.0)
}

fn case(key: &str) -> Option<Case> {
    let rng = &mut Rng::seed(1);
    let (one, two) = (ConvOptions::<1>::new(), ConvOptions::<2>::new());
    let options = RnnOptions::new();
    let both = options.layers(2).bidirectional();
    match key {
        "linear" => plain(Linear::new(3, 2, rng)),
        "bilinear" => by(Bilinear::new(3, 2, 4, rng), |layer, x, _| Ok(vec![layer.apply(&x[0], &x[1])?])),
        "bilinear three axes" => {
            by(Bilinear::new(2, 2, 1, rng).map(Bilinear::without_bias), |layer, x, _| {
                Ok(vec![layer.apply(&x[0], &x[1])?])
            })
        }
        "embedding" => plain(Embedding::new(5, 3, rng)),
        "embedding padding" => plain(Embedding::new(5, 3, rng).and_then(|layer| layer.padding_idx(4))),
        "embedding_bag sum" => bag(BagMode::Sum, false),
        "embedding_bag weights" => bag(BagMode::Sum, false),
        "embedding_bag mean" => bag(BagMode::Mean, false),
        "embedding_bag max" => bag(BagMode::Max, false),
        "embedding_bag sum offsets" => bag(BagMode::Sum, true),
        "embedding_bag mean offsets" => bag(BagMode::Mean, true),
        "embedding_bag max offsets" => bag(BagMode::Max, true),
        "softmax" => plain(Ok(Softmax::default())),
        "flatten" => plain(Ok(Flatten)),
        "reshape" => plain(Ok(Reshape::new([2, 3]))),
        "dropout" => plain(Dropout::new(0.5)),
        "dropout2d" => plain(Dropout2d::new(0.5)),
        "layer_norm" => plain(LayerNorm::new(5)),
        "layer_norm two axes" => plain(LayerNorm::new((3, 4)).and_then(|layer| layer.eps(1e-3))),
        "layer_norm without bias" => plain(LayerNorm::new(4).map(LayerNorm::without_bias)),
        "layer_norm plain" => plain(LayerNorm::new(4).map(LayerNorm::without_affine)),
        "rms_norm" => plain(RmsNorm::new(5)),
        "rms_norm two axes" => plain(RmsNorm::new((3, 4)).and_then(|layer| layer.eps(1e-3))),
        "batch_norm1d" => plain(BatchNorm1d::new(3)),
        "batch_norm1d sequence" => {
            plain(BatchNorm1d::new(3).and_then(|layer| layer.eps(1e-3)?.momentum(0.3)))
        }
        "batch_norm1d cumulative" => plain(BatchNorm1d::new(3).and_then(|layer| layer.momentum(None))),
        "batch_norm2d" => plain(BatchNorm2d::new(2)),
        "batch_norm2d frozen" => {
            let case = plain(BatchNorm2d::new(2))?;
            for (_, entry) in &case.held {
                if let StateEntry::Buffer(buffer) = entry {
                    buffer.set_frozen(true);
                }
            }
            Some(case)
        }
        "batch_norm2d plain" => plain(BatchNorm2d::new(2).map(BatchNorm2d::without_affine)),
        "batch_norm2d without running" => plain(BatchNorm2d::new(2).map(BatchNorm2d::without_running_stats)),
        "group_norm" => plain(GroupNorm::new(2, 4)),
        "group_norm images" => plain(GroupNorm::new(3, 6).and_then(|layer| layer.eps(1e-3))),
        "group_norm plain" => plain(GroupNorm::new(1, 4).map(GroupNorm::without_affine)),
        "instance_norm" => plain(Ok(InstanceNorm::new(3))),
        "instance_norm affine" => plain(InstanceNorm::new(3).affine().and_then(|layer| layer.eps(1e-3))),
        "rnn" => plain(Rnn::new(3, 4, options, rng)),
        "rnn relu" => plain(Rnn::new(3, 4, options, rng).map(Rnn::relu)),
        "rnn time first" => plain(Rnn::new(3, 4, options.time_first(), rng)),
        "rnn without bias" => plain(Rnn::new(3, 2, options.without_bias(), rng)),
        "rnn two layers, both ways" => plain(Rnn::new(3, 2, both, rng)),
        "rnn lengths" => with_lengths(Rnn::new(2, 3, both, rng)),
        "rnn lengths, with a state" => with_lengths(Rnn::new(2, 3, both, rng)),
        "rnn lengths, time first" => with_lengths(Rnn::new(2, 3, RnnOptions::new().time_first(), rng)),
        "rnn with a state" => with_state(Rnn::new(2, 3, both, rng)),
        "lstm" => plain(Lstm::new(3, 4, options, rng)),
        "lstm time first" => plain(Lstm::new(3, 4, options.time_first(), rng)),
        "lstm without bias" => plain(Lstm::new(3, 2, options.without_bias(), rng)),
        "lstm two layers, both ways" => plain(Lstm::new(3, 2, both, rng)),
        "lstm lengths" => with_lengths(Lstm::new(2, 3, both, rng)),
        "lstm lengths, with a state" => with_lengths(Lstm::new(2, 3, both, rng)),
        "lstm lengths, time first" => with_lengths(Lstm::new(2, 3, RnnOptions::new().time_first(), rng)),
        "lstm with a state" => with_state(Lstm::new(2, 3, both, rng)),
        "gru" => plain(Gru::new(3, 4, options, rng)),
        "gru time first" => plain(Gru::new(3, 4, options.time_first(), rng)),
        "gru without bias" => plain(Gru::new(3, 2, options.without_bias(), rng)),
        "gru two layers, both ways" => plain(Gru::new(3, 2, both, rng)),
        "gru lengths" => with_lengths(Gru::new(2, 3, both, rng)),
        "gru lengths, with a state" => with_lengths(Gru::new(2, 3, both, rng)),
        "gru lengths, time first" => with_lengths(Gru::new(2, 3, RnnOptions::new().time_first(), rng)),
        "gru with a state" => with_state(Gru::new(2, 3, both, rng)),
        "attention" => plain(MultiHeadAttention::new(4, 2, rng)),
        "attention without bias" => {
            plain(MultiHeadAttention::new(4, 1, rng).map(MultiHeadAttention::without_bias))
        }
        "attention to others" => by(MultiHeadAttention::new(4, 2, rng), |layer, x, pass| {
            let (y, weights) = layer.attend(&x[0], &x[1], &x[2], &AttentionMask::new(), pass)?;
            Ok(vec![y, weights])
        }),
        "attention causal" => masked(false, |_| AttentionMask::new().causal()),
        "attention masked" => masked(true, |x| AttentionMask::new().attn_mask(&x[1]).padding(&x[2])),
        "attention with scores added" => masked(true, |x| AttentionMask::new().attn_mask(&x[1])),
        "encoder" => plain(encoder()),
        "encoder norm first" => plain(encoder().map(TransformerEncoderLayer::norm_first)),
        "encoder tanh" => plain(encoder().and_then(|layer| {
            let mut layer = layer.activation(Tanh);
            (layer.norm1, layer.norm2) = (layer.norm1.eps(1e-3)?, layer.norm2.eps(1e-3)?);
            Ok(layer)
        })),
        "encoder masked" => by(encoder(), |layer, x, pass| {
            Ok(vec![layer.encode(&x[0], &AttentionMask::new().causal().padding(&x[1]), pass)?])
        }),
        "conv1d" => plain(Conv1d::new(2, 3, 3, one, rng)),
        "conv1d options" => {
            let options = one.stride(2).padding(2).dilation(2).groups(2);
            plain(Conv1d::new(4, 2, 3, options, rng).map(Conv1d::without_bias))
        }
        "conv2d" => plain(Conv2d::new(2, 3, [2, 3], two, rng)),
        "conv1d same circular" => {
            let options = ConvOptions::new().padding(ConvPadding::Same).padding_mode(Pad::Circular);
            plain(Conv1d::new(2, 3, 4, options, rng))
        }
        "conv2d same" => {
            plain(Conv2d::new(2, 3, [2, 3], two.padding(ConvPadding::Same).dilation([1, 2]), rng))
        }
        "conv2d reflect" => {
            plain(Conv2d::new(2, 3, 3, two.padding([1, 2]).stride(2).padding_mode(Pad::Reflect), rng))
        }
        "conv2d replicate" => {
            plain(Conv2d::new(2, 2, 3, two.padding(3).padding_mode(Pad::Replicate).groups(2), rng))
        }
        "conv2d options" => {
            let options = two.stride([2, 1]).padding([1, 2]).dilation([1, 2]).groups(2);
            plain(Conv2d::new(2, 4, 3, options, rng))
        }
        "conv2d unbatched" => plain(Conv2d::new(2, 1, 2, two, rng)),
        "conv_transpose1d" => plain(ConvTranspose1d::new(2, 3, 3, one.stride(2), rng)),
        "conv_transpose2d" => plain(ConvTranspose2d::new(2, 3, [2, 3], two, rng)),
        "conv_transpose2d options" => {
            let options = two.stride([2, 3]).padding(1).output_padding([1, 2]).groups(2);
            plain(ConvTranspose2d::new(4, 2, 3, options, rng))
        }
        "max_pool1d" => plain(Ok(MaxPool1d::new(PoolOptions::new(2)))),
        "max_pool2d" => plain(Ok(MaxPool2d::new(PoolOptions::new(3).stride(2).padding(1)))),
        "avg_pool1d" => plain(Ok(AvgPool1d::new(PoolOptions::new(3).stride(1).padding(1)))),
        "avg_pool2d" => {
            let options = PoolOptions::new([2, 3]).count_include_pad(false).padding(1);
            plain(Ok(AvgPool2d::new(options)))
        }
        "max_pool2d ceil" => plain(Ok(MaxPool2d::new(PoolOptions::new(3).stride(2).ceil_mode(true)))),
        "avg_pool2d ceil" => {
            plain(Ok(AvgPool2d::new(PoolOptions::new(3).stride(2).padding(1).ceil_mode(true))))
        }
        "adaptive_avg_pool1d" => plain(Ok(AdaptiveAvgPool1d::new(3))),
        "adaptive_max_pool1d" => plain(Ok(AdaptiveMaxPool1d::new(3))),
        "adaptive_max_pool2d" => plain(Ok(AdaptiveMaxPool2d::new([2, 3]))),
        "adaptive_avg_pool2d" => plain(Ok(AdaptiveAvgPool2d::new([2, 3]))),
        "upsample nearest" => plain(Ok(Upsample::by(2))),
        "upsample nearest to" => plain(Ok(Upsample::to([5, 4]))),
        "upsample bilinear" => plain(Ok(Upsample::by([2, 3]).bilinear(false))),
        "upsample corners" => plain(Ok(Upsample::to([3, 5]).bilinear(true))),
        "prelu" => plain(PRelu::new()),
        "prelu per channel" => plain(PRelu::per_channel(3)),
        _ => None,
    }
}

fn tensor(dtype: &str, shape: &str, numbers: &str) -> Tensor {
    let dims: Vec<usize> = match shape {
        "-" => vec![],
        shape => shape.split('x').map(|side| side.parse().unwrap()).collect(),
    };
    let numbers: Vec<f64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let dtype = match dtype {
        "u8" => DType::U8,
        "i64" => DType::I64,
        _ => DType::F64,
    };
    Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// Refuses what is further away than 1e-10, relative to the largest of the numbers.
fn near(what: &str, got: &Tensor, expected: &str) {
    let got = got.to_dtype(DType::F64).unwrap().flatten(0, -1).unwrap().to_vec1::<f64>().unwrap();
    let expected: Vec<f64> = expected.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3, |largest: f64, x| largest.max(x.abs()));
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let off = (got - expected).abs();
        assert!(off <= 1e-10 * largest, "{what}, element {i}: expected {expected}, got {got}");
    }
}

/// One block of the file, with the layer in this mode.
fn check(block: &[&str], key: &str, mode: &str) {
    let Some(Case { held, run }) = case(key) else { panic!("{key}: no layer in tests/layers.rs") };
    let held: BTreeMap<String, StateEntry> = held.into_iter().collect();
    let mut named = BTreeSet::new();
    let (mut inputs, mut outputs, mut cotangents, mut gradients) = (vec![], vec![], vec![], vec![]);
    let (mut by_parameter, mut after) = (vec![], vec![]);
    for line in block {
        let (head, numbers) = line.split_once(" :").unwrap();
        match head.split(' ').collect::<Vec<_>>()[..] {
            ["held", name, shape] => {
                named.insert(name.to_string());
                let own = held.get(name).unwrap_or_else(|| panic!("{key}: no {name} in {:?}", held.keys()));
                let dtype = if own.get().dtype() == DType::I64 { "i64" } else { "f64" };
                own.set(&tensor(dtype, shape, numbers)).unwrap();
            }
            ["in", dtype, shape] => {
                let x = tensor(dtype, shape, numbers);
                inputs.push(if dtype == "f64" { Tensor::parameter(x) } else { x });
            }
            ["out", shape] => outputs.push((shape, numbers)),
            ["v"] => cotangents.push(numbers),
            ["g"] => gradients.push(numbers),
            ["gp", name] => by_parameter.push((name, numbers)),
            ["after", name] => after.push((name, numbers)),
            _ => panic!("{key}: {line}"),
        }
    }
    assert_eq!(held.keys().cloned().collect::<BTreeSet<_>>(), named, "{key}");
    let changed: BTreeSet<&str> = after.iter().map(|&(name, _)| name).collect();
    let before: BTreeMap<&String, Tensor> = held.iter().map(|(name, held)| (name, held.get())).collect();
    let what = |of: &str| format!("{key} ({mode}): {of}");

    let mut pass = if mode == "train" { ForwardContext::train(Rng::seed(1)) } else { ForwardContext::eval() };
    let got = run(&inputs, &mut pass).unwrap_or_else(|error| panic!("{}", what(&error.to_string())));
    assert_eq!((got.len(), cotangents.len()), (outputs.len(), outputs.len()), "{key}");
    let mut total = Tensor::zeros((), DType::F64, &Device::Cpu).unwrap();
    for ((got, (shape, numbers)), v) in got.iter().zip(outputs).zip(cotangents) {
        assert_eq!(got.dims(), tensor("f64", shape, numbers).dims(), "{key}");
        near(&what("value"), got, numbers);
        total = (total + (got * tensor("f64", shape, v)).unwrap().sum_all().unwrap()).unwrap();
    }
    let floats = || inputs.iter().filter(|x| x.dtype() == DType::F64);
    assert_eq!(floats().count(), gradients.len(), "{key}");
    if total.requires_grad() {
        let found = total.backward().unwrap();
        for (i, (x, numbers)) in floats().zip(gradients).enumerate() {
            near(&what(&format!("gradient of input {i}")), found.get(x).unwrap(), numbers);
        }
        let parameters = held.values().filter(|held| matches!(held, StateEntry::Parameter(_))).count();
        assert_eq!(parameters, by_parameter.len(), "{key}");
        for (name, numbers) in by_parameter {
            let StateEntry::Parameter(parameter) = &held[name] else { panic!("{key}: {name}") };
            near(&what(&format!("gradient of {name}")), found.get(&parameter.get()).unwrap(), numbers);
        }
    }
    for (name, numbers) in after {
        near(&what(&format!("{name} afterwards")), &held[name].get(), numbers);
    }
    for (name, value) in before.iter().filter(|(name, _)| !changed.contains(name.as_str())) {
        assert_eq!(&held[*name].get(), value, "{key} ({mode}): {name} has changed");
    }
}

#[test]
fn layers_are_pytorchs() {
    let text = include_str!("reference/layers.txt");
    let mut keys = BTreeSet::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let lines: Vec<&str> = block.trim_start().lines().collect();
        let (key, modes) = lines[0].strip_prefix("case ").and_then(|head| head.split_once(" | ")).unwrap();
        keys.insert(key);
        modes.split(' ').for_each(|mode| check(&lines[1..], key, mode));
    }
    // Every layer of the list above is in the file: each of its arms is a line that begins with its key.
    let source = include_str!("layers.rs");
    let list = source.split("fn case(").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
    let listed = list.lines().filter_map(|line| line.strip_prefix("        \"")?.split_once("\" =>"));
    assert_eq!(listed.map(|(key, _)| key).collect::<BTreeSet<_>>(), keys);
    assert!(keys.len() > 60);
}

/// What torch 2.15 makes of inputs at the edges: the shape, or no shape where it refuses.
#[test]
fn edges_are_pytorchs() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let (line, image, ctx) = (ConvOptions::<1>::new(), ConvOptions::<2>::new(), ForwardContext::train);
    let (pool, rnn) = (PoolOptions::<2>::new, RnnOptions::new());
    type Case = (&'static str, Box<dyn Layer>, &'static [usize], Option<&'static [usize]>);
    let cases: Vec<Case> = vec![
        ("linear of no rows", Box::new(Linear::new(3, 2, rng)?), &[0, 3], Some(&[0, 2])),
        ("linear of a row", Box::new(Linear::new(3, 2, rng)?), &[3], Some(&[2])),
        ("conv1d of none", Box::new(Conv1d::new(2, 3, 2, line, rng)?), &[0, 2, 5], Some(&[0, 3, 4])),
        ("conv2d of none", Box::new(Conv2d::new(2, 3, 2, image, rng)?), &[0, 2, 5, 5], Some(&[0, 3, 4, 4])),
        ("kernel = input", Box::new(Conv2d::new(2, 3, 5, image, rng)?), &[1, 2, 5, 5], Some(&[1, 3, 1, 1])),
        ("kernel > input", Box::new(Conv2d::new(2, 3, 6, image, rng)?), &[1, 2, 5, 5], None),
        (
            "stride > kernel",
            Box::new(Conv2d::new(2, 3, 2, image.stride(4), rng)?),
            &[1, 2, 5, 5],
            Some(&[1, 3, 1, 1]),
        ),
        (
            "transposed of none",
            Box::new(ConvTranspose2d::new(2, 3, 2, image, rng)?),
            &[0, 2, 5, 5],
            Some(&[0, 3, 6, 6]),
        ),
        ("pool of none", Box::new(MaxPool2d::new(pool(2))), &[0, 2, 5, 5], Some(&[0, 2, 2, 2])),
        ("pool > input", Box::new(MaxPool2d::new(pool(6))), &[1, 2, 5, 5], None),
        ("padding > half", Box::new(MaxPool2d::new(pool(2).padding(2))), &[1, 2, 5, 5], None),
        ("padding > half, odd", Box::new(AvgPool2d::new(pool(3).padding(2))), &[1, 2, 5, 5], None),
        (
            "padding of a dilated window",
            Box::new(MaxPool2d::new(pool(3).padding(2).dilation(2).stride(1))),
            &[1, 2, 5, 5],
            None,
        ),
        ("adaptive to none", Box::new(AdaptiveAvgPool2d::new([0, 0])), &[1, 2, 5, 5], Some(&[1, 2, 0, 0])),
        (
            "adaptive max to none",
            Box::new(AdaptiveMaxPool2d::new([0, 2])),
            &[1, 2, 5, 5],
            Some(&[1, 2, 0, 2]),
        ),
        ("adaptive max of no side", Box::new(AdaptiveMaxPool2d::new([1, 2])), &[1, 2, 0, 5], None),
        ("batch norm of one", Box::new(BatchNorm1d::new(3)?), &[1, 3, 1], None),
        ("batch norm of two", Box::new(BatchNorm1d::new(3)?), &[1, 3, 2], Some(&[1, 3, 2])),
        ("layer norm of none", Box::new(LayerNorm::new(3)?), &[0, 3], Some(&[0, 3])),
        ("layer norm of one", Box::new(LayerNorm::new(1)?), &[2, 1], Some(&[2, 1])),
        ("layer norm of another size", Box::new(LayerNorm::new(3)?), &[2, 4], None),
        ("group norm of none", Box::new(GroupNorm::new(1, 3)?), &[0, 3, 2], Some(&[0, 3, 2])),
        ("instance norm of one", Box::new(InstanceNorm::new(3)), &[2, 3, 1], None),
        ("rms norm of none", Box::new(RmsNorm::new(3)?), &[0, 3], Some(&[0, 3])),
        ("lstm of none", Box::new(Lstm::new(3, 4, rnn, rng)?), &[0, 2, 3], Some(&[0, 2, 4])),
        ("lstm without steps", Box::new(Lstm::new(3, 4, rnn, rng)?), &[2, 0, 3], None),
        ("gru of one step", Box::new(Gru::new(3, 4, rnn, rng)?), &[2, 1, 3], Some(&[2, 1, 4])),
        ("attention of none", Box::new(MultiHeadAttention::new(4, 2, rng)?), &[0, 3, 4], Some(&[0, 3, 4])),
        ("flatten of none", Box::new(Flatten), &[0, 2, 3], Some(&[0, 6])),
        ("softmax of none", Box::new(Softmax::new(-1)), &[2, 0], Some(&[2, 0])),
        ("glu of an odd number", Box::new(Glu::new(-1)), &[2, 3], None),
        ("glu of none", Box::new(Glu::new(-1)), &[2, 0], Some(&[2, 0])),
        ("upsample of none", Box::new(Upsample::by(2)), &[0, 1, 2, 2], Some(&[0, 1, 4, 4])),
        ("upsample of no side", Box::new(Upsample::to([2, 2])), &[1, 1, 0, 2], None),
        ("dropout of all", Box::new(Dropout::new(1.0)?), &[2, 2], Some(&[2, 2])),
        ("dropout2d of sequences", Box::new(Dropout2d::new(0.5)?), &[2, 3, 4], Some(&[2, 3, 4])),
    ];
    for (name, layer, dims, expected) in cases {
        let y = layer.forward(&Tensor::ones(dims, DType::F32, &Device::Cpu)?, &mut ctx(Rng::seed(1)));
        let got = y.as_ref().map(|y| y.dims()).ok();
        assert_eq!(got, expected, "{name}: {:?}", y.as_ref().err());
    }
    Ok(())
}
