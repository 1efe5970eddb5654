use std::collections::BTreeMap;

use super::{OnnxExport, export_onnx};
use crate::layer::{Lambda, Rnn};
use crate::prelude::*;

/// The fields of a protobuf message: number and, of a number, its value, of anything else its bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (mut value, mut length) = (0, 0);
        match key & 7 {
            0 => value = varint(&mut bytes),
            2 => length = varint(&mut bytes) as usize,
            5 => length = 4,
            other => panic!("wire type {other}"),
        }
        let (own, rest) = bytes.split_at(length);
        all.push((key >> 3, value, own));
        bytes = rest;
    }
    all
}

fn of(message: &[u8], number: u64) -> Vec<&[u8]> {
    fields(message).into_iter().filter(|field| field.0 == number).map(|field| field.2).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a file holds: the nodes as "Operator(inputs) -> output", the initializers' shapes, and both ends.
struct Read {
    nodes: Vec<String>,
    initializers: BTreeMap<String, Vec<u64>>,
    ends: Vec<String>,
}

fn read(bytes: &[u8]) -> Read {
    let model = fields(bytes);
    assert!(model.contains(&(1, 8, b"")), "IR version");
    assert_eq!(fields(of(bytes, 8)[0])[1], (2, 17, &b""[..]), "opset");
    let graph = of(bytes, 7)[0];
    let node = |node: &[u8]| {
        let texts = |number| of(node, number).into_iter().map(text).collect::<Vec<_>>().join(", ");
        format!("{}({}) -> {}", texts(4), texts(1), texts(2))
    };
    let initializer = |tensor: &[u8]| {
        let dims = fields(tensor).into_iter().filter(|field| field.0 == 1).map(|field| field.1);
        (text(of(tensor, 8)[0]), dims.collect())
    };
    let end = |info| {
        let tensor = of(of(info, 2)[0], 1)[0];
        let dim = |dim: &[u8]| match fields(dim)[..] {
            [(1, value, _)] => value.to_string(),
            [(2, _, name)] => text(name),
            [] => "?".into(),
            _ => panic!("{dim:?}"),
        };
        let dims: Vec<String> = of(of(tensor, 2)[0], 1).into_iter().map(dim).collect();
        format!("{}: {} [{}]", text(of(info, 1)[0]), fields(tensor)[0].1, dims.join(", "))
    };
    Read {
        nodes: of(graph, 1).into_iter().map(node).collect(),
        initializers: of(graph, 5).into_iter().map(initializer).collect(),
        ends: [11, 12].into_iter().flat_map(|number| of(graph, number)).map(end).collect(),
    }
}

fn written(export: &OnnxExport, model: &dyn Layer) -> Result<Read> {
    Ok(read(&export.bytes(&export.graph(model)?)?))
}

fn refused(shape: &[usize], f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static) -> String {
    let model = Sequential::new().push(Lambda::new(f));
    OnnxExport::new(shape).graph(&model).unwrap_err().to_string()
}

#[test]
fn a_file() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let model = Sequential::new().push(Linear::new(4, 3, rng)?).push(Relu).push(Linear::new(3, 2, rng)?);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    export_onnx(&path, &model, &[1, 4])?;
    let file = read(&std::fs::read(&path).unwrap());
    let nodes = [
        "Gemm(input, 0.weight, 0.bias) -> 0.Gemm",
        "Relu(0.Gemm) -> 1.Relu",
        "Gemm(1.Relu, 2.weight, 2.bias) -> output",
    ];
    assert_eq!(file.nodes, nodes);
    let shapes: Vec<(&str, &[u64])> = file.initializers.iter().map(|(a, b)| (a.as_str(), &b[..])).collect();
    let expected: [(&str, &[u64]); 4] =
        [("0.bias", &[3]), ("0.weight", &[3, 4]), ("2.bias", &[2]), ("2.weight", &[2, 3])];
    assert_eq!(shapes, expected);
    assert_eq!(file.ends, ["input: 1 [batch, 4]", "output: 1 [batch, 2]"]);
    // A path that cannot be written.
    let error = export_onnx(dir.path().join("none/model.onnx"), &model, &[1, 4]).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    Ok(())
}

#[test]
fn options() -> Result<()> {
    let model = Sequential::new().push(Linear::new(4, 3, &mut Rng::seed(1))?);
    let file = written(&OnnxExport::new(&[2, 4]).fixed_batch().names("x", "y"), &model)?;
    assert_eq!(file.ends, ["x: 1 [2, 4]", "y: 1 [2, 3]"]);
    let words = Embedding::new(9, 3, &mut Rng::seed(1))?;
    let file = written(&OnnxExport::new(&[1, 5]).integers(DType::U32, 9), &words)?;
    assert_eq!(file.ends, ["input: 7 [batch, 5]", "output: 1 [batch, 5, 3]"]);
    let turned = Lambda::new(|x| x.t()? * 2.0);
    let file = written(&OnnxExport::new(&[3, 1]).batch_axis(1), &turned)?;
    assert_eq!(file.ends, ["input: 1 [3, batch]", "output: 1 [batch, 3]"]);
    model.to_dtype(DType::F64)?;
    assert_eq!(written(&OnnxExport::new(&[1, 4]), &model)?.ends[0], "input: 11 [batch, 4]");
    Ok(())
}

/// Words and an image, a class and a place.
struct Two {
    words: Embedding,
    conv: Conv2d,
    class: Linear,
    place: Linear,
}
impl Layer for Two {
    crate::fields!(words, conv, class, place);
}
impl Two {
    fn new() -> Result<Self> {
        let rng = &mut Rng::seed(1);
        Ok(Two {
            words: Embedding::new(9, 3, rng)?,
            conv: Conv2d::new(1, 2, 3, ConvOptions::new(), rng)?,
            class: Linear::new(5, 4, rng)?,
            place: Linear::new(5, 2, rng)?,
        })
    }

    fn run(&self, x: &[Tensor], ctx: &mut ForwardContext) -> Result<[Tensor; 2]> {
        let words = ctx.call("words", &self.words, &x[0])?.mean(1)?;
        let image = ctx.call("conv", &self.conv, &x[1])?.relu()?.mean([2, 3])?;
        let h = Tensor::cat(&[words, image], 1)?;
        Ok([ctx.call("class", &self.class, &h)?, ctx.call("place", &self.place, &h)?])
    }
}

#[test]
fn several_inputs_and_outputs() -> Result<()> {
    let cpu = &Device::Cpu;
    let (words, image) = (Tensor::new(&[[8_u32, 0]], cpu)?, Tensor::zeros((1, 1, 4, 4), DType::F32, cpu)?);
    let inputs = [("words", &words), ("image", &image)];
    let export = |outputs: &[&str]| OnnxExport::multi(&inputs, outputs);
    let model = Two::new()?;
    let write = |export: &OnnxExport, forward: &dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>| {
        Ok::<_, Error>(read(&export.bytes(&export.graph_of(&model, forward)?)?))
    };
    let run = |x: &[Tensor]| Ok(model.run(x, &mut ForwardContext::eval())?.to_vec());
    let file = write(&export(&["class", "box"]), &run)?;
    let ends =
        ["words: 7 [batch, 2]", "image: 1 [batch, 1, 4, 4]", "class: 1 [batch, 4]", "box: 1 [batch, 2]"];
    assert_eq!(file.ends, ends);
    let last = &file.nodes[file.nodes.len() - 2..];
    assert_eq!(
        last.iter().map(|node| node.split_once(", ").unwrap().1).collect::<Vec<_>>(),
        ["class.weight, class.bias) -> class", "place.weight, place.bias) -> box"]
    );
    // One result under two names, an input as an output, an input that is not used, and a fixed batch.
    let file = write(&export(&["a", "b", "c"]).fixed_batch(), &|x| {
        let y = x[1].exp()?;
        Ok(vec![y.clone(), y, x[1].clone()])
    })?;
    assert_eq!(file.nodes, ["Exp(image) -> a", "Identity(a) -> b", "Identity(image) -> c"]);
    assert_eq!(file.ends[..2], ["words: 7 [1, 2]", "image: 1 [1, 1, 4, 4]"]);

    let text = |export: OnnxExport| write(&export, &run).err().unwrap().to_string();
    let expected = "export_onnx: expected an output for each of [\"class\"], got 2";
    assert_eq!(text(export(&["class"])), expected);
    let names =
        "export_onnx: expected different names for the inputs and the outputs that no parameter has, got";
    assert_eq!(text(export(&["a", "a"])), format!("{names} [\"words\", \"image\", \"a\", \"a\"]"));
    assert!(text(export(&["a", "class.bias"])).starts_with(names));
    assert_eq!(
        text(export(&[])),
        "export_onnx: expected an input and an output, or more, got [\"words\", \"image\"]"
    );
    assert!(text(export(&["a", "b"]).batch_axis(2)).contains("an axis 2, the batch, got [1, 2]"));
    let error = export(&["y"]).graph(&model).unwrap_err().to_string();
    assert_eq!(error, "export_onnx: expected one input (see write_with), got 2");
    Ok(())
}

#[test]
fn sizes_that_follow_the_batch() -> Result<()> {
    let export = OnnxExport::new(&[1, 2, 3]);
    // One size follows from the others.
    let file = written(&export, &Lambda::new(|x| x.flatten(0, 1)))?;
    assert_eq!(file.nodes, ["Reshape(input, constant) -> output"]);
    assert_eq!(file.ends[1], "output: 1 [2*batch, 3]");
    // Rows for each of the batch, from a constant that knew its size.
    let file = written(
        &export,
        &Lambda::new(|x| Tensor::full(2f32, (2 * x.dims()[0], 3), x.device())? * x.flatten(0, 1)?),
    )?;
    let nodes = file.nodes.join("; ");
    for part in
        ["Shape(input) -> sizes.Shape; Slice(sizes.Shape, ", ") -> sizes.Slice; Mul(sizes.Slice, constant"]
    {
        assert!(nodes.contains(part), "{nodes}");
    }
    assert!(nodes.contains("Expand("), "{nodes}");
    Ok(())
}

#[test]
fn nothing_but_what_is_needed() -> Result<()> {
    // A result that nobody uses, of an operation that has no form, does not matter.
    let file = written(
        &OnnxExport::new(&[1, 3]),
        &Lambda::new(|x| {
            x.nonzero()?;
            let constant = Tensor::new(&[3f32, 1.0, 2.0], x.device())?.cumprod(0)?;
            x + constant
        }),
    )?;
    assert_eq!(file.nodes, ["Add(input, constant) -> output"]);
    let file = written(&OnnxExport::new(&[1, 3]), &Lambda::new(|x| Ok(x.clone())))?;
    assert_eq!(file.nodes, ["Identity(input) -> output"]);
    // No node between a comparison and what it decides.
    let file = written(&OnnxExport::new(&[1, 3]), &Lambda::new(|x| x.gt(0.0)?.where_cond(x, &x.neg()?)))?;
    let operators: Vec<&str> = file.nodes.iter().filter_map(|node| node.split('(').next()).collect();
    assert_eq!(operators, ["Greater", "Neg", "Where"]);
    Ok(())
}

#[test]
fn refusals() {
    let text = refused(&[1, 3], |x| x.nonzero());
    assert_eq!(text, "0: export_onnx: expected an operation with an ONNX form, got nonzero");
    let text = refused(&[1, 3], |x| x.masked_select(&x.gt(0.0)?));
    assert_eq!(text, "0: export_onnx: expected an operation with an ONNX form, got masked_select");
    let text = refused(&[1, 3], |x| autograd::from_candle("own", |[x]: [&Array; 1]| x.exp()).apply([x]));
    assert_eq!(text, "0: export_onnx: expected an operation with an ONNX form, got own");
    // A number that was read out of a tensor.
    let text = refused(&[1, 3], |x| x * f64::from(x.sum_all()?.to_scalar::<f32>()?));
    let expected = "0: export_onnx: expected constants that depend on neither the input nor the batch (numbers read out of a tensor, \
                    say), got one of shape [] that does";
    assert_eq!(text, expected);
    // Numbers that the batch counts.
    let text =
        refused(&[1, 3], |x| x + Tensor::arange(0f32, x.dims()[0] as f32, x.device())?.unsqueeze(1)?);
    let expected = "0: export_onnx: expected constants that depend on neither the input nor the batch (numbers read out of a tensor, \
                    say), got one of shape [5, 1] that does";
    assert_eq!(text, expected);
    let text = refused(&[1, 3], |x| x.assign(&x.argmax(1)?, x));
    let expected =
        "0: export_onnx: expected indices (see scatter) that do not depend on the input, got some that do";
    assert_eq!(text, expected);
    // Another way for another batch.
    let text = refused(&[1, 3], |x| if x.dims()[0] > 5 { x.exp() } else { x.sin() });
    let expected = "export_onnx: expected the same operations for every input (see fixed_batch), got Sin (in 0) and Exp \
                    (in 0) for two of them";
    assert_eq!(text, expected);
    let text = refused(&[2, 3], |x| x.reshape((3, 2)));
    let expected = "export_onnx: expected a model that takes a batch of 5 as well (see fixed_batch), got 0: reshape: \
                    expected a shape of 15 elements for [5, 3], got [3, 2]";
    assert_eq!(text, expected);
    let text = refused(&[1, 3], |x| x.narrow(0, 0, x.dims()[0] - 1));
    let expected = "0: export_onnx: expected sizes that stay, or are a multiple of the batch (see fixed_batch), got [4] \
                    and [6] for a batch of 5 and 7";
    assert_eq!(text, expected);
    // What the model itself refuses is said as it says it.
    let text = refused(&[1, 3], |x| x.matmul(x));
    assert_eq!(text, "0: matmul: expected inner sizes to be equal (3 and 1), got [1, 3] and [1, 3]");
}

#[test]
fn refused_options() -> Result<()> {
    let model = Sequential::new().push(Linear::new(4, 3, &mut Rng::seed(1))?);
    let text = |export: OnnxExport| export.graph(&model).unwrap_err().to_string();
    let export = || OnnxExport::new(&[1, 4]);
    for (input, output) in [("x", "x"), ("0.weight", "y"), ("x", "")] {
        let expected =
            "export_onnx: expected different names for the inputs and the outputs that no parameter has, got";
        assert_eq!(text(export().names(input, output)), format!("{expected} [{input:?}, {output:?}]"));
    }
    let expected = "export_onnx: expected one integer or more of u8, u32 or i64, got";
    assert_eq!(text(export().integers(DType::U32, 0)), format!("{expected} 0 of u32"));
    assert_eq!(text(export().integers(DType::F32, 5)), format!("{expected} 5 of f32"));
    let expected = "export_onnx: expected an example of the input with an axis 2, the batch, got [1, 4]";
    assert_eq!(text(export().batch_axis(2)), expected);
    assert_eq!(text(export().opset(16)), "export_onnx: expected an opset from 17 to 26, got 16");
    let expected = "export_onnx: expected an input that has the axis \"steps\", got Some(\"x\")";
    assert_eq!(text(export().free_axis("x", 1, "steps")), expected);
    let expected = "export_onnx: expected one name for axis 0 of \"input\", got two";
    assert_eq!(text(export().free_axis("input", 0, "steps")), expected);
    Ok(())
}

fn operators(file: &Read) -> Vec<&str> {
    file.nodes.iter().filter_map(|node| node.split('(').next()).collect()
}

#[test]
fn recurrent_layers_are_nodes() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let deep = RnnOptions::new().layers(2).bidirectional();
    let model = Sequential::new().push(Lstm::new(3, 5, deep, rng)?);
    let export = OnnxExport::new(&[1, 6, 3]);
    let file = written(&export.clone().free_axis("input", 1, "steps"), &model)?;
    let expected = ["Transpose", "LSTM", "Transpose", "Reshape", "LSTM", "Transpose", "Reshape", "Transpose"];
    assert_eq!(operators(&file), expected);
    assert_eq!(file.ends, ["input: 1 [batch, steps, 3]", "output: 1 [batch, steps, 10]"]);
    let shapes: Vec<&[u64]> =
        file.initializers.values().map(Vec::as_slice).filter(|dims| dims.len() > 1).collect();
    assert!(
        [&[2, 20, 3][..], &[2, 20, 5], &[2, 40], &[2, 20, 10]].iter().all(|dims| shapes.contains(dims)),
        "{shapes:?}"
    );
    // On request, and in f64, step by step.
    let file = written(&export.clone().unrolled(), &model)?;
    assert!(!operators(&file).contains(&"LSTM") && operators(&file).len() > 100);
    model.to_dtype(DType::F64)?;
    assert!(!operators(&written(&export, &model)?).contains(&"LSTM"));
    let file = written(&export.clone().as_f32(), &model)?;
    assert_eq!(operators(&file), expected);
    assert_eq!(file.ends, ["input: 1 [batch, 6, 3]", "output: 1 [batch, 6, 10]"]);
    // candle-onnx refuses the sum of one tensor, and would take the steps and sequences of the LSTM's outputs for each other.
    let model = Lstm::new(3, 5, RnnOptions::new(), rng)?;
    let of = |export: &OnnxExport| -> Result<String> { Ok(operators(&written(export, &model)?).join(" ")) };
    let guarded = "Transpose LSTM Sum Squeeze Transpose";
    assert_eq!(of(&export)?, guarded);
    assert_eq!(of(&OnnxExport::new(&[1, 1, 3]).free_axis("input", 1, "steps"))?, guarded);
    assert_eq!(of(&OnnxExport::new(&[4, 6, 3]).fixed_batch())?, guarded);
    let plain = "Transpose LSTM Squeeze Transpose";
    assert_eq!(of(&export.clone().fixed_batch())?, plain);
    assert_eq!(of(&OnnxExport::new(&[1, 1, 3]))?, plain);
    let x = Tensor::zeros((1, 6, 3), DType::F32, &Device::Cpu)?;
    let export = OnnxExport::multi(&[("x", &x)], &["h", "c"]);
    let file = read(&export.bytes(&export.graph_of(&model, &|x| {
        Ok(model.forward_with_state(&x[0], None, &mut ForwardContext::eval())?.1.to_vec())
    })?)?);
    assert!(!operators(&file).contains(&"Sum"), "{:?}", file.nodes);
    // States in and out.
    let model = Gru::new(3, 5, RnnOptions::new(), rng)?;
    let [x, h] = [[1, 6, 3], [1, 1, 5]].map(|dims| Tensor::zeros(&dims, DType::F32, &Device::Cpu).unwrap());
    let export = OnnxExport::multi(&[("x", &x), ("h", &h)], &["y", "last"]);
    let export = export.fixed_batch().free_axis("x", 1, "steps");
    let file = read(&export.bytes(&export.graph_of(&model, &|x| {
        let (y, [h]) = model.forward_with_state(&x[0], Some([&x[1]]), &mut ForwardContext::eval())?;
        Ok(vec![y, h])
    })?)?);
    let node = file.nodes.iter().find(|node| node.starts_with("GRU")).unwrap();
    assert!(node.ends_with(", h) -> GRU, GRU_1"), "{node}");
    assert_eq!(file.ends[2..], ["y: 1 [1, steps, 5]", "last: 1 [1, 1, 5]"]);
    Ok(())
}

#[test]
fn free_sizes() -> Result<()> {
    let export = OnnxExport::new(&[1, 6, 4]).free_axis("input", 1, "steps");
    let file = written(&export, &Lambda::new(|x| x.flatten(0, 1)))?;
    assert_eq!(file.nodes, ["Reshape(input, constant) -> output"]);
    assert_eq!(file.ends[1], "output: 1 [batch*steps, 4]");
    // A size that is a sum has no name.
    let file =
        written(&export, &Lambda::new(|x| Tensor::cat(&[x, &x.narrow(1, 0, 1)?], 1)?.flatten(0, 1)?.exp()))?;
    assert_eq!(file.ends[1], "output: 1 [?, 4]");
    // Two of one name.
    let export = OnnxExport::new(&[1, 6, 6]).free_axis("input", 1, "side").free_axis("input", 2, "side");
    let file = written(&export, &Lambda::new(|x| x.transpose(1, 2)? + x))?;
    assert_eq!(file.ends[1], "output: 1 [batch, side, side]");
    Ok(())
}

#[test]
fn forms_that_engines_agree_on() -> Result<()> {
    let of = |f: fn(&Tensor) -> Result<Tensor>| written(&OnnxExport::new(&[1, 3, 4]), &Lambda::new(f));
    for (f, expected) in [
        (
            (|x| x.logsumexp(1)) as fn(&Tensor) -> Result<Tensor>,
            "ReduceMax Clip Sub Exp ReduceSum Log Add Squeeze",
        ),
        (|x| x.norm(2.0, 1), "Mul ReduceSum Sqrt"),
        (|x| x.maximum(0.25)?.minimum(3.0), "Clip Clip"),
        (|x| x.clamp(-1.0, 1.0), "Clip Clip"),
        (|x| x.leaky_relu(0.25), "LeakyRelu"),
        (|x| Ok(x.sort(1, true)?.0), "TopK GatherElements"),
        (|x| x.max_pool1d(PoolOptions::new(2)), "MaxPool"),
        (|x| x.conv1d(&Tensor::ones((2, 3, 2), DType::F32, x.device())?, ConvOptions::new()), "Conv"),
    ] {
        let file = of(f)?;
        assert_eq!(operators(&file).join(" "), expected);
    }
    let model = Linear::new(4, 3, &mut Rng::seed(1))?;
    model.to_dtype(DType::F64)?;
    assert_eq!(operators(&written(&OnnxExport::new(&[1, 4]), &model)?), ["Transpose", "MatMul", "Add"]);
    // A model without parameters.
    let file = written(&OnnxExport::new(&[1, 4]).floats(DType::F64), &Tanh)?;
    assert_eq!(file.ends, ["input: 11 [batch, 4]", "output: 11 [batch, 4]"]);
    Ok(())
}

#[test]
fn newer_operators() -> Result<()> {
    let f = Lambda::new(|x| x.mean(1)?.cumprod(0));
    let export = OnnxExport::new(&[4, 3]).fixed_batch().opset(26);
    let bytes = export.bytes(&export.graph(&f)?)?;
    assert!(fields(&bytes).contains(&(1, 13, b"")), "IR version");
    assert_eq!(fields(of(&bytes, 8)[0])[1], (2, 26, &b""[..]), "opset");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("CumProd") && text.contains("keepdims") && !text.contains("\u{4}axes"));
    Ok(())
}

#[test]
fn forms_by_what_engines_have() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let model = Linear::new(4, 3, rng)?;
    let small = crate::export::quantize(&model, &Tensor::randn(0.0, 1.0, (5, 4), rng)?)?;
    let opset = |export: OnnxExport| -> Result<_> {
        Ok(fields(of(&export.bytes(&export.graph(&small)?)?, 8)[0])[1].1)
    };
    // onnx.reference has integers from 19 on.
    assert_eq!(opset(OnnxExport::new(&[1, 4]))?, 19);
    assert_eq!(opset(OnnxExport::new(&[1, 4]).opset(17))?, 17);
    // An RNN with relu is one with tanh to tract.
    let has_node = |export: OnnxExport, rnn: &crate::layer::Rnn| -> Result<bool> {
        Ok(operators(&written(&export, rnn)?).contains(&"RNN"))
    };
    let rnn = crate::layer::Rnn::new(4, 3, RnnOptions::new(), rng)?;
    assert!(has_node(OnnxExport::new(&[1, 5, 4]), &rnn)?);
    let rnn = rnn.relu();
    assert!(!has_node(OnnxExport::new(&[1, 5, 4]), &rnn)?);
    assert!(has_node(OnnxExport::new(&[1, 5, 4]).free_axis("input", 1, "steps"), &rnn)?);
    Ok(())
}

#[test]
fn two_parameters_of_one_name() -> Result<()> {
    struct Twins(Linear, Linear);
    impl Layer for Twins {
        fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
            self.1.forward(&self.0.forward(x, ctx)?, ctx)
        }
        fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
            fields.layer("fc", &self.0).layer("fc", &self.1);
        }
    }
    let rng = &mut Rng::seed(1);
    let (a, b) = (Linear::new(3, 3, rng)?.without_bias(), Linear::new(3, 3, rng)?.without_bias());
    let error = OnnxExport::new(&[1, 3]).graph(&Twins(a, b)).unwrap_err().to_string();
    assert_eq!(error, "export_onnx: expected parameters of different names, got two of \"fc.weight\"");
    Ok(())
}

#[test]
fn an_operation_that_names_what_is_not_there() {
    use std::sync::Mutex;

    use crate::autograd::{Onnx, OnnxValue};

    /// A value of an earlier graph, which was longer.
    static OLD: Mutex<Option<OnnxValue>> = Mutex::new(None);
    #[derive(Debug)]
    struct Wrong(&'static str);
    impl Op<1> for Wrong {
        const NAME: &'static str = "wrong";
        fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
            Ok((x * 2.0)?)
        }
        fn backward(&self, _: &Saved, _: &Tensor) -> Result<[Option<Tensor>; 1]> {
            Ok([None])
        }
        fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
            match self.0 {
                "missing" => Ok(onnx.input(1)),
                "dims" => onnx.dims(1).map(<[usize]>::len).map(|_| onnx.input(0)),
                "dtype" => onnx.dtype(1).map(|_| onnx.input(0)),
                "old" => Ok(OLD.lock().unwrap().unwrap_or(onnx.input(0))),
                _ => {
                    (0..50).for_each(|_| *OLD.lock().unwrap() = Some(onnx.absent()));
                    Ok(onnx.input(0))
                }
            }
        }
    }
    for missing in ["missing", "dims", "dtype"] {
        let text = refused(&[1, 3], |x| Wrong(missing).apply([x]));
        assert!(text.ends_with("export_onnx: expected an input that the operation has, got 1"), "{text}");
    }
    let first = written(&OnnxExport::new(&[1, 3]), &Lambda::new(|x| Wrong("first").apply([x])));
    assert_eq!(first.unwrap().nodes, ["Identity(input) -> output"]);
    let expected = "export_onnx: expected values of this graph, got one of another (see Op::onnx)";
    assert_eq!(refused(&[1, 3], |x| Wrong("old").apply([x])), expected);
    assert_eq!(refused(&[1, 3], |x| Wrong("old").apply([x])?.exp()), expected);
}

#[test]
fn norms_are_one_operator() -> Result<()> {
    let file = written(
        &OnnxExport::new(&[1, 3]),
        &Sequential::new().push(LayerNorm::new(3)?).push(BatchNorm1d::new(3)?),
    )?;
    let nodes = [
        "LayerNormalization(input, 0.weight, 0.bias) -> 0.LayerNormalization",
        "BatchNormalization(0.LayerNormalization, 1.weight, 1.bias, 1.running_mean, 1.running_var) -> output",
    ];
    assert_eq!(file.nodes, nodes);
    Ok(())
}

/// tract and OpenCV compute a Softplus as ln(1 + eˣ), which is infinite from 89 on.
#[test]
fn the_argument_of_softplus_is_never_positive() -> Result<()> {
    let file =
        written(&OnnxExport::new(&[1, 3]), &Sequential::new().push(crate::activation::Softplus::default()))?;
    let operators: Vec<&str> = file.nodes.iter().filter_map(|node| node.split('(').next()).collect();
    assert_eq!(operators, ["Abs", "Neg", "Softplus", "Relu", "Add"], "{:?}", file.nodes);
    assert!(file.nodes[2].contains(file.nodes[1].rsplit(' ').next().unwrap()), "{:?}", file.nodes);
    Ok(())
}

#[test]
fn a_trace_ends_with_the_run() {
    let broken = Lambda::new(|_: &Tensor| -> Result<Tensor> { panic!("on purpose") });
    let run = std::panic::AssertUnwindSafe(|| OnnxExport::new(&[1, 3]).graph(&broken).map(|_| ()));
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(refused(&[1, 3], |x| x.nonzero()).split(": ").next(), Some("0"));
    let file = written(&OnnxExport::new(&[1, 3]), &Tanh).unwrap();
    assert_eq!(file.nodes, ["Tanh(input) -> output"]);
}

#[test]
fn many_nodes_have_different_names() -> Result<()> {
    let model = Rnn::new(2, 3, RnnOptions::new(), &mut Rng::seed(1))?;
    let file = written(&OnnxExport::new(&[1, 300, 2]).unrolled(), &model)?;
    let names: std::collections::BTreeSet<&str> =
        file.nodes.iter().filter_map(|node| node.split(" -> ").nth(1)).collect();
    assert!(names.len() == file.nodes.len() && names.len() > 1200, "{} of {}", names.len(), file.nodes.len());
    Ok(())
}
