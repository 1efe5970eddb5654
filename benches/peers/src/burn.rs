//! The jobs with burn, on either of its CPU backends.

use burn::module::{Module, Param};
use burn::nn::activation::{ActivationConfig, HardSwish};
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::loss::{BinaryCrossEntropyLossConfig, CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::pool::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool1d, MaxPool1dConfig, MaxPool2d, MaxPool2dConfig,
};
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{
    BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, GateController, Gelu, GroupNorm, GroupNormConfig,
    Gru, GruConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, Lstm, LstmConfig, PaddingConfig1d,
    PaddingConfig2d, Relu, Tanh,
};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{relu, sigmoid, softmax, tanh};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::job::{
    self, Block, INPUT, Input, Job, OTHER, Outcome, Spec, Step, Target, Total, classes, job, wave,
};

impl<const D: usize> Total for Tensor<D> {
    fn total(&self) -> Outcome<f64> {
        Ok(self.clone().into_data().iter::<f64>().map(f64::abs).sum())
    }
}

fn array<const D: usize>(numbers: Vec<f64>, dims: [usize; D], device: &Device) -> Tensor<D> {
    let numbers: Vec<f32> = numbers.into_iter().map(|x| x as f32).collect();
    Tensor::from_data(TensorData::new(numbers, dims), device)
}

fn labels(rows: usize, count: usize, device: &Device) -> Tensor<1, Int> {
    let classes: Vec<i64> = classes(rows, count).into_iter().map(i64::from).collect();
    Tensor::from_data(TensorData::new(classes, [rows]), device)
}

fn forward<const D: usize>(f: impl Fn() -> Tensor<D> + 'static) -> Box<dyn Job> {
    job(move || -> Outcome<Tensor<D>> { Ok(f()) })
}

/// The gradient of the scalar f(x) by x.
fn gradient<const D: usize>(x: Tensor<D>, f: impl Fn(Tensor<D>) -> Tensor<1> + 'static) -> Box<dyn Job> {
    let x = x.require_grad();
    job(move || -> Outcome<Tensor<D>> {
        let mut gradients = f(x.clone()).backward();
        Ok(x.grad_remove(&mut gradients).ok_or("no gradient")?)
    })
}

fn learned<const D: usize>(numbers: Vec<f64>, dims: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_data(array(numbers, dims, device).into_data(), device)
}

fn start<const D: usize>(dims: [usize; D], device: &Device) -> Param<Tensor<D>> {
    learned(job::start(&dims), dims, device)
}

/// The layer whose weight is one of `parts` equal parts of (parts · outputs, inputs).
fn linear_part(inputs: usize, outputs: usize, part: usize, parts: usize, device: &Device) -> Linear {
    let all = job::start(&[parts * outputs, inputs]);
    let numbers = all[part * outputs * inputs..][..outputs * inputs].to_vec();
    let mut layer = LinearConfig::new(inputs, outputs).init(device);
    // Burn's weights are (inputs, outputs).
    layer.weight =
        Param::from_data(array(numbers, [outputs, inputs], device).transpose().into_data(), device);
    layer.bias = Some(start([outputs], device));
    layer
}

fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    linear_part(inputs, outputs, 0, 1, device)
}

fn conv(channels: [usize; 2], device: &Device) -> Conv2d {
    let mut layer = Conv2dConfig::new(channels, [3, 3]).init(device);
    layer.weight = start([channels[1], channels[0], 3, 3], device);
    layer.bias = Some(start([channels[1]], device));
    layer
}

/// One of the gates of a recurrent layer, in PyTorch's order.
fn gate(s: &[usize], part: usize, parts: usize, device: &Device) -> GateController {
    let mut gate = LstmConfig::new(s[0], s[1], true).init(device).input_gate;
    gate.input_transform = linear_part(s[0], s[1], part, parts, device);
    gate.hidden_transform = linear_part(s[1], s[1], part, parts, device);
    gate
}

fn attend(d: usize, heads: usize, device: &Device) -> MultiHeadAttention {
    let mut layer = MultiHeadAttentionConfig::new(d, heads).with_dropout(0.0).init(device);
    layer.query = linear_part(d, d, 0, 3, device);
    layer.key = linear_part(d, d, 1, 3, device);
    layer.value = linear_part(d, d, 2, 3, device);
    layer.output = linear(d, d, device);
    layer
}

#[derive(Module, Debug)]
struct Flatten;

#[derive(Module, Debug)]
struct Last;

#[derive(Module, Debug)]
struct Mean;

#[derive(Module, Debug)]
struct Residual {
    layers: Vec<Layer>,
}

/// A layer of a step.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
enum Layer {
    Linear(Linear),
    Relu(Relu),
    Tanh(Tanh),
    Gelu(Gelu),
    HardSwish(HardSwish),
    Conv(Conv2d),
    Conv1d(Conv1d),
    BatchNorm(BatchNorm),
    LayerNorm(LayerNorm),
    GroupNorm(GroupNorm),
    Pool(MaxPool2d),
    Pool1d(MaxPool1d),
    Average(AdaptiveAvgPool2d),
    Flatten(Flatten),
    Lstm(Lstm),
    Gru(Gru),
    Last(Last),
    Mean(Mean),
    Embedding(Embedding),
    Attention(MultiHeadAttention),
    Encoder(TransformerEncoder),
    Residual(Residual),
}

/// A tensor of any rank: burn's types have it.
#[derive(Clone)]
enum Any {
    Two(Tensor<2>),
    Three(Tensor<3>),
    Four(Tensor<4>),
    Indices(Tensor<2, Int>),
}

macro_rules! at_any_rank {
    ($layer:expr, $x:expr) => {
        match $x {
            Any::Two(x) => Any::Two($layer.forward(x)),
            Any::Three(x) => Any::Three($layer.forward(x)),
            Any::Four(x) => Any::Four($layer.forward(x)),
            Any::Indices(_) => panic!("indices are for an embedding"),
        }
    };
}

impl Any {
    fn of(numbers: Vec<f64>, dims: &[usize], device: &Device) -> Self {
        match *dims {
            [a, b] => Any::Two(array(numbers, [a, b], device)),
            [a, b, c] => Any::Three(array(numbers, [a, b, c], device)),
            [a, b, c, d] => Any::Four(array(numbers, [a, b, c, d], device)),
            _ => panic!("steps have two to four axes, not {}", dims.len()),
        }
    }

    fn mse(self, y: Any) -> Tensor<1> {
        let loss = MseLoss::new();
        match (self, y) {
            (Any::Two(x), Any::Two(y)) => loss.forward(x, y, Reduction::Mean),
            (Any::Three(x), Any::Three(y)) => loss.forward(x, y, Reduction::Mean),
            _ => panic!("the mean square is of two or three axes"),
        }
    }

    fn scores(self) -> Tensor<2> {
        match self {
            Any::Two(x) => x,
            _ => panic!("scores have two axes"),
        }
    }
}

impl Layer {
    fn forward(&self, x: Any) -> Any {
        match (self, x) {
            (Layer::Linear(layer), x) => at_any_rank!(layer, x),
            (Layer::Relu(layer), x) => at_any_rank!(layer, x),
            (Layer::Tanh(layer), x) => at_any_rank!(layer, x),
            (Layer::Gelu(layer), x) => at_any_rank!(layer, x),
            (Layer::HardSwish(layer), x) => at_any_rank!(layer, x),
            (Layer::BatchNorm(layer), x) => at_any_rank!(layer, x),
            (Layer::LayerNorm(layer), x) => at_any_rank!(layer, x),
            (Layer::GroupNorm(layer), x) => at_any_rank!(layer, x),
            (Layer::Conv(layer), Any::Four(x)) => Any::Four(layer.forward(x)),
            (Layer::Conv1d(layer), Any::Three(x)) => Any::Three(layer.forward(x)),
            (Layer::Pool(layer), Any::Four(x)) => Any::Four(layer.forward(x)),
            (Layer::Pool1d(layer), Any::Three(x)) => Any::Three(layer.forward(x)),
            (Layer::Average(layer), Any::Four(x)) => Any::Two(layer.forward(x).flatten(1, 3)),
            (Layer::Flatten(_), Any::Four(x)) => Any::Two(x.flatten(1, 3)),
            (Layer::Flatten(_), Any::Three(x)) => Any::Two(x.flatten(1, 2)),
            (Layer::Lstm(layer), Any::Three(x)) => Any::Three(layer.forward(x, None).0),
            (Layer::Gru(layer), Any::Three(x)) => Any::Three(layer.forward(x, None)),
            (Layer::Last(_), Any::Three(x)) => {
                let last = x.dims()[1] - 1;
                Any::Two(x.narrow(1, last, 1).squeeze_dim(1))
            }
            (Layer::Mean(_), Any::Three(x)) => Any::Two(x.mean_dim(1).squeeze_dim(1)),
            (Layer::Embedding(layer), Any::Indices(x)) => Any::Three(layer.forward(x)),
            (Layer::Attention(layer), Any::Three(x)) => {
                Any::Three(layer.forward(MhaInput::self_attn(x)).context)
            }
            (Layer::Encoder(layer), Any::Three(x)) => {
                Any::Three(layer.forward(TransformerEncoderInput::new(x)))
            }
            (Layer::Residual(layer), x) => match (x.clone(), sequence(&layer.layers, x)) {
                (Any::Three(x), Any::Three(y)) => Any::Three(x + y),
                (Any::Four(x), Any::Four(y)) => Any::Four(x + y),
                _ => panic!("a residual connection is of three or four axes, which stay as they are"),
            },
            _ => panic!("a layer for another number of axes"),
        }
    }
}

fn sequence(layers: &[Layer], x: Any) -> Any {
    layers.iter().fold(x, |x, layer| layer.forward(x))
}

fn layer(block: &Block, device: &Device) -> Outcome<Layer> {
    let s = &block.sizes[..];
    Ok(match block.kind {
        "linear" => Layer::Linear(linear(s[0], s[1], device)),
        "relu" => Layer::Relu(Relu::new()),
        "tanh" => Layer::Tanh(Tanh::new()),
        "gelu" => Layer::Gelu(Gelu::new()),
        "hardswish" => Layer::HardSwish(HardSwish::new()),
        "conv" => {
            let around = s[2] / 2;
            let mut layer = Conv2dConfig::new([s[0], s[1]], [s[2], s[2]])
                .with_padding(PaddingConfig2d::Explicit(around, around, around, around))
                .with_stride([s[3], s[3]])
                .with_groups(s[4])
                .init(device);
            layer.weight = start([s[1], s[0] / s[4], s[2], s[2]], device);
            layer.bias = Some(start([s[1]], device));
            Layer::Conv(layer)
        }
        "conv1d" => {
            let mut layer = Conv1dConfig::new(s[0], s[1], s[2])
                .with_padding(PaddingConfig1d::Explicit(s[2] / 2, s[2] / 2))
                .with_stride(s[3])
                .with_groups(s[4])
                .init(device);
            layer.weight = start([s[1], s[0] / s[4], s[2]], device);
            layer.bias = Some(start([s[1]], device));
            Layer::Conv1d(layer)
        }
        "batchnorm" => Layer::BatchNorm(BatchNormConfig::new(s[0]).init(device)),
        "layernorm" => Layer::LayerNorm(LayerNormConfig::new(s[0]).init(device)),
        "groupnorm" => Layer::GroupNorm(GroupNormConfig::new(s[0], s[1]).init(device)),
        "pool" => Layer::Pool(MaxPool2dConfig::new([s[0], s[0]]).init()),
        "pool1d" => Layer::Pool1d(MaxPool1dConfig::new(s[0]).init()),
        "average" => Layer::Average(AdaptiveAvgPool2dConfig::new([1, 1]).init()),
        "flatten" => Layer::Flatten(Flatten),
        "lstm" => {
            let mut layer = LstmConfig::new(s[0], s[1], true).init(device);
            layer.input_gate = gate(s, 0, 4, device);
            layer.forget_gate = Some(gate(s, 1, 4, device));
            layer.cell_gate = gate(s, 2, 4, device);
            layer.output_gate = gate(s, 3, 4, device);
            Layer::Lstm(layer)
        }
        "gru" => {
            let mut layer = GruConfig::new(s[0], s[1], true).init(device);
            layer.reset_gate = gate(s, 0, 3, device);
            layer.update_gate = gate(s, 1, 3, device);
            layer.new_gate = gate(s, 2, 3, device);
            Layer::Gru(layer)
        }
        "last" => Layer::Last(Last),
        "mean" => Layer::Mean(Mean),
        "embedding" => {
            let mut layer = EmbeddingConfig::new(s[0], s[1]).init(device);
            layer.weight = start([s[0], s[1]], device);
            Layer::Embedding(layer)
        }
        "attention" => Layer::Attention(attend(s[0], s[1], device)),
        "encoder" => {
            let [d, heads, wide] = *s else { return Err("encoder WIDTH HEADS FEED-FORWARD".into()) };
            let mut layer = TransformerEncoderConfig::new(d, wide, heads, 1)
                .with_dropout(0.0)
                .with_activation(ActivationConfig::Relu)
                .init(device);
            layer.layers[0].mha = attend(d, heads, device);
            layer.layers[0].pwff.linear_inner = linear(d, wide, device);
            layer.layers[0].pwff.linear_outer = linear(wide, d, device);
            Layer::Encoder(layer)
        }
        "residual" => Layer::Residual(Residual { layers: layers(&block.inner, device)? }),
        kind => return Err(format!("burn has no {kind}").into()),
    })
}

fn layers(blocks: &[Block], device: &Device) -> Outcome<Vec<Layer>> {
    blocks.iter().map(|block| layer(block, device)).collect()
}

fn step(step: Step, device: &Device) -> Outcome<Box<dyn Job>> {
    let model = layers(&step.layers, device)?;
    let (rows, input) = (step.dims[0], step.input());
    let x = match &input {
        Input::Numbers(numbers) => Any::of(numbers.clone(), &step.dims, device),
        Input::Indices(indices) => {
            let indices: Vec<i64> = indices.iter().map(|&index| index.into()).collect();
            Any::Indices(Tensor::from_data(TensorData::new(indices, [rows, step.dims[1]]), device))
        }
    };
    let optimizer = if step.adamw { adamw() } else { SgdConfig::new().init() };
    Ok(match step.target {
        Target::Classes(count) => {
            let (target, entropy) = (labels(rows, count, device), CrossEntropyLossConfig::new().init(device));
            training(model, optimizer, step.rate, move |model| {
                entropy.forward(sequence(model, x.clone()).scores(), target.clone())
            })
        }
        Target::Binary => {
            let target = labels(rows, 2, device).unsqueeze_dim::<2>(1);
            let entropy = BinaryCrossEntropyLossConfig::new().with_logits(true).init(device);
            training(model, optimizer, step.rate, move |model| {
                entropy.forward(sequence(model, x.clone()).scores(), target.clone())
            })
        }
        Target::Wave(dims) => {
            let y = Any::of(wave(dims.iter().product(), OTHER, 1.0), &dims, device);
            training(model, optimizer, step.rate, move |model| sequence(model, x.clone()).mse(y.clone()))
        }
        Target::Input => {
            training(model, optimizer, step.rate, move |model| sequence(model, x.clone()).mse(x.clone()))
        }
    })
}

fn adamw() -> ModuleOptimizer {
    AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init()
}

#[derive(Module, Debug)]
struct Perceptron {
    first: Linear,
    second: Linear,
}

#[derive(Module, Debug)]
struct Convolutions {
    first: Conv2d,
    second: Conv2d,
    pool: MaxPool2d,
    last: Linear,
}

impl Convolutions {
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(relu(self.first.forward(x)));
        let x = self.pool.forward(relu(self.second.forward(x)));
        self.last.forward(x.flatten(1, 3))
    }
}

fn training<M: Module + 'static>(
    model: M,
    mut optimizer: ModuleOptimizer,
    rate: f64,
    loss: impl Fn(&M) -> Tensor<1> + 'static,
) -> Box<dyn Job> {
    let mut held = Some(model);
    job(move || -> Outcome<Tensor<1>> {
        let model = held.take().ok_or("the model is gone")?;
        let loss = loss(&model);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        held = Some(optimizer.step(rate, model, gradients));
        Ok(loss)
    })
}

fn perceptron(
    [inputs, hidden, outputs]: [usize; 3],
    act: fn(Tensor<2>) -> Tensor<2>,
    x: Tensor<2>,
    optimizer: ModuleOptimizer,
    rate: f64,
) -> Box<dyn Job> {
    let device = x.device();
    let model =
        Perceptron { first: linear(inputs, hidden, &device), second: linear(hidden, outputs, &device) };
    let target = labels(x.dims()[0], outputs, &device);
    let entropy = CrossEntropyLossConfig::new().init(&device);
    training(model, optimizer, rate, move |model| {
        let scores = model.second.forward(act(model.first.forward(x.clone())));
        entropy.forward(scores, target.clone())
    })
}

/// The loss after a thousand steps of softmax regression.
pub(crate) fn iris(device: &Device) -> Outcome<f64> {
    let device = &device.clone().autodiff();
    let x = array(wave(600, INPUT, 1.0), [150, 4], device);
    let target = labels(150, 3, device);
    let entropy = CrossEntropyLossConfig::new().init(device);
    let mut model = linear(4, 3, device);
    let mut optimizer = SgdConfig::new().init();
    let mut last = 0.0;
    for step in 1..=job::IRIS_STEPS {
        let loss = entropy.forward(model.forward(x.clone()), target.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(job::IRIS_RATE, model, gradients);
        if step == job::IRIS_STEPS {
            last = loss.total()?;
        }
    }
    Ok(last)
}

pub(crate) fn flex() -> Device {
    Device::flex()
}

#[allow(deprecated)] // in favour of flex, and a peer still
pub(crate) fn ndarray() -> Device {
    Device::ndarray()
}

pub(crate) fn make_flex(name: &str) -> Outcome<Option<Box<dyn Job>>> {
    make(name, &flex(), &["--iris", "burn-flex"])
}

pub(crate) fn make_ndarray(name: &str) -> Outcome<Option<Box<dyn Job>>> {
    make(name, &ndarray(), &["--iris", "burn-ndarray"])
}

fn make(name: &str, device: &Device, iris: &'static [&'static str]) -> Outcome<Option<Box<dyn Job>>> {
    let spec = Spec::of(name)?;
    if spec.double {
        return Ok(None);
    }
    let learning = &device.clone().autodiff();
    match Step::of(name)? {
        // Its gradients have none of their own.
        Some(it) if it.layers[0].kind == "oscillation" => return Ok(None),
        Some(it) => return step(it, learning).map(Some),
        None => {}
    }
    let numbers = |frequency, scale| wave(spec.count(), frequency, scale);
    let (n, rows, columns) = (spec.count(), spec.dims[0], spec.dims.get(1).copied().unwrap_or_default());
    let vector = |frequency, device| array(numbers(frequency, 1.0), [n], device);
    let matrix = |frequency, device| array(numbers(frequency, 1.0), [rows, columns], device);
    Ok(Some(match spec.kind {
        "sigmoid" => {
            let x = array(numbers(INPUT, 3.0), [n], device);
            forward(move || sigmoid(x.clone()))
        }
        "sigmoid-grad" => gradient(array(numbers(INPUT, 3.0), [n], learning), |x| sigmoid(x).sum()),
        "softmax-grad" => {
            let w = matrix(OTHER, learning);
            gradient(matrix(INPUT, learning), move |x| (softmax(x, 1) * w.clone()).sum())
        }
        "normalize-rows-grad" => {
            let w = matrix(OTHER, learning);
            gradient(matrix(INPUT, learning), move |x| {
                let length = x.clone().square().sum_dim(1).sqrt();
                (x / length * w.clone()).sum()
            })
        }
        "l1-grad" => {
            let target = vector(OTHER, learning);
            gradient(vector(INPUT, learning), move |x| (x - target.clone()).abs().sum())
        }
        "l2-grad" => {
            let target = vector(OTHER, learning);
            gradient(vector(INPUT, learning), move |x| (x - target.clone()).square().sum())
        }
        "cross-entropy-grad" => {
            let target = labels(rows, columns, learning);
            let entropy = CrossEntropyLossConfig::new().init(learning);
            gradient(matrix(INPUT, learning), move |x| entropy.forward(x, target.clone()))
        }
        "dot" => {
            let (a, b) = (vector(INPUT, device), vector(INPUT, device));
            forward(move || a.clone().dot(b.clone()))
        }
        "outer" => {
            let a = array(wave(rows, INPUT, 1.0), [rows, 1], device);
            let b = array(wave(columns, OTHER, 1.0), [1, columns], device);
            forward(move || a.clone() * b.clone())
        }
        "matvec" => {
            let (a, v) = (matrix(INPUT, device), array(wave(columns, OTHER, 1.0), [columns, 1], device));
            forward(move || a.clone().matmul(v.clone()))
        }
        "sgemm" => {
            let (a, b) = (matrix(INPUT, device), matrix(OTHER, device));
            forward(move || a.clone().matmul(b.clone()))
        }
        "logistic-sgd" => {
            let x = matrix(INPUT, learning);
            let target = labels(rows, 2, learning).unsqueeze_dim::<2>(1);
            let entropy = BinaryCrossEntropyLossConfig::new().with_logits(true).init(learning);
            training(linear(columns, 1, learning), SgdConfig::new().init(), 1e-4, move |model| {
                entropy.forward(model.forward(x.clone()), target.clone())
            })
        }
        "mlp-sgd" => perceptron([784, 128, 10], relu, matrix(INPUT, learning), SgdConfig::new().init(), 0.1),
        "mlp-adamw" => perceptron([784, 128, 10], relu, matrix(INPUT, learning), adamw(), 1e-3),
        "cnn-sgd" => {
            let x = array(numbers(INPUT, 1.0), [rows, 1, 28, 28], learning);
            let target = labels(rows, 10, learning);
            let entropy = CrossEntropyLossConfig::new().init(learning);
            let model = Convolutions {
                first: conv([1, 8], learning),
                second: conv([8, 16], learning),
                pool: MaxPool2dConfig::new([2, 2]).init(),
                last: linear(400, 10, learning),
            };
            training(model, SgdConfig::new().init(), 0.1, move |model| {
                entropy.forward(model.forward(x.clone()), target.clone())
            })
        }
        "tiny-mlp-sgd" => perceptron([4, 16, 3], tanh, matrix(INPUT, learning), SgdConfig::new().init(), 0.1),
        "iris-process" => job::process(iris),
        _ => return Ok(None),
    }))
}
