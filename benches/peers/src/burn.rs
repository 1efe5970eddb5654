//! The jobs with burn, on either of its CPU backends.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{BinaryCrossEntropyLossConfig, CrossEntropyLossConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{relu, sigmoid, softmax, tanh};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::job::{self, INPUT, Job, OTHER, Outcome, Spec, Total, classes, job, wave};

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

fn started(mut layer: Linear, device: &Device) -> Linear {
    // Burn's weights are (inputs, outputs).
    let [inputs, outputs] = layer.weight.dims();
    let weight = array(job::start(&[outputs, inputs]), [outputs, inputs], device).transpose().into_data();
    layer.weight = Param::from_data(weight, device);
    layer.bias = Some(Param::from_data(TensorData::new(vec![0.0_f32; outputs], [outputs]), device));
    layer
}

fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    started(LinearConfig::new(inputs, outputs).init(device), device)
}

fn conv(channels: [usize; 2], device: &Device) -> Conv2d {
    let mut layer = Conv2dConfig::new(channels, [3, 3]).init(device);
    let dims = [channels[1], channels[0], 3, 3];
    layer.weight = Param::from_data(array(job::start(&dims), dims, device).into_data(), device);
    layer.bias = Some(Param::from_data(TensorData::new(vec![0.0_f32; channels[1]], [channels[1]]), device));
    layer
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
        "mlp-adamw" => {
            let optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init();
            perceptron([784, 128, 10], relu, matrix(INPUT, learning), optimizer, 1e-3)
        }
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
