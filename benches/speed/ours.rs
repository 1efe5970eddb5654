//! Tealight's jobs, written as a user would write them.

use tealight::activation::HardSwish;
use tealight::functional::{l1, l2};
use tealight::layer::{
    AdaptiveAvgPool2d, GroupNorm, Lambda, MaxPool1d, MultiHeadAttention, TransformerEncoderLayer,
};
use tealight::prelude::*;
use tealight::program::{TrainStep, compile};

use crate::job::{
    self, Block, INPUT, Input, Job, OTHER, Outcome, Spec, Step, Target, Total, classes, job, wave,
};

impl Total for Tensor {
    fn total(&self) -> Outcome<f64> {
        Ok(self.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar()?)
    }
}

fn array(numbers: Vec<f64>, dims: &[usize], dtype: DType) -> Outcome<Array> {
    Ok(Tensor::from_vec(numbers, dims, &Device::Cpu)?.to_dtype(dtype)?.into_array())
}

fn labels(rows: usize, count: usize) -> Result<Tensor> {
    Tensor::from_vec(classes(rows, count), rows, &Device::Cpu)
}

/// The gradient of the scalar f(x) by x.
fn gradient(x: Array, f: impl Fn(&Tensor) -> Result<Tensor> + 'static) -> Box<dyn Job> {
    let x = Tensor::parameter(x);
    job(move || -> Outcome<Tensor> {
        let gradients = f(&x)?.backward()?;
        Ok(gradients.get(&x).cloned().ok_or("no gradient")?)
    })
}

/// The gradient of the scalar f(x, y) by x, replayed.
fn compiled(x: Array, y: Tensor, f: fn(&Tensor, &Tensor) -> Result<Tensor>) -> Box<dyn Job> {
    let mut gradient = compile(move |[x, y]: [&Tensor; 2]| {
        let x = x.detach().into_parameter();
        let gradients = f(&x, y)?.backward()?;
        Ok(gradients.get(&x).cloned().expect("the loss depends on x"))
    });
    let x = Tensor::constant(x);
    job(move || gradient.call([&x, &y]))
}

/// The gradient by x, where w is the gradient by f(x).
fn pulled(x: Array, w: Tensor, f: fn(&Tensor) -> Result<Tensor>) -> Box<dyn Job> {
    let x = Tensor::parameter(x);
    job(move || -> Outcome<Tensor> {
        let gradients = f(&x)?.backward_from(&w)?;
        Ok(gradients.get(&x).cloned().ok_or("no gradient")?)
    })
}

/// Gives the model the weights that every peer starts from; those of a normalization stay ones.
fn started<M: Layer>(model: M) -> Outcome<M> {
    for (name, parameter) in model.parameters() {
        let dims = parameter.get().dims().to_vec();
        if dims.len() == 1 && name.ends_with("weight") {
            continue;
        }
        parameter.set(&array(job::start(&dims), &dims, DType::F32)?.into())?;
    }
    Ok(model)
}

fn training(
    model: impl Layer + 'static,
    loss: impl Loss + 'static,
    mut optimizer: impl Optimizer + 'static,
    x: Tensor,
    target: Tensor,
) -> Box<dyn Job> {
    job(move || -> Result<Tensor> {
        let scores = model.forward(&x, &mut ForwardContext::eval())?;
        let loss = loss.loss(&scores, &target)?;
        optimizer.step(&loss.backward()?)?;
        Ok(loss)
    })
}

fn perceptron() -> Outcome<Sequential> {
    let rng = &mut Rng::seed(1);
    started(Sequential::new().push(Linear::new(784, 128, rng)?).push(Relu).push(Linear::new(128, 10, rng)?))
}

fn convolutions() -> Outcome<Sequential> {
    let rng = &mut Rng::seed(1);
    let pool = || MaxPool2d::new(PoolOptions::new(2));
    let model = Sequential::new()
        .push(Conv2d::new(1, 8, 3, ConvOptions::new(), rng)?)
        .push(Relu)
        .push(pool())
        .push(Conv2d::new(8, 16, 3, ConvOptions::new(), rng)?)
        .push(Relu)
        .push(pool())
        .push(Flatten)
        .push(Linear::new(400, 10, rng)?);
    started(model)
}

/// f″(x) + f(x), each x alone.
struct Oscillation(Sequential);

impl Layer for Oscillation {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let x = x.detach().into_parameter();
        let y = self.0.forward(&x, ctx)?;
        &autograd::taylor(&y, &x, &x.ones_like()?, 2)?[1] + y
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.0.fields(fields);
    }
}

fn sequence(blocks: &[Block], rng: &mut Rng) -> Outcome<Sequential> {
    let image = blocks.iter().any(|block| block.kind == "conv");
    let mut model = Sequential::new();
    for Block { kind, sizes, inner } in blocks {
        let s = &sizes[..];
        model = match *kind {
            "linear" => model.push(Linear::new(s[0], s[1], rng)?),
            "relu" => model.push(Relu),
            "tanh" => model.push(Tanh),
            "gelu" => model.push(Gelu),
            "hardswish" => model.push(HardSwish),
            "conv" => model.push(Conv2d::new(s[0], s[1], s[2], options(s), rng)?),
            "conv1d" => model.push(Conv1d::new(s[0], s[1], s[2], options(s), rng)?),
            "batchnorm" if image => model.push(BatchNorm2d::new(s[0])?),
            "batchnorm" => model.push(BatchNorm1d::new(s[0])?),
            "layernorm" => model.push(LayerNorm::new(s[0])?),
            "groupnorm" => model.push(GroupNorm::new(s[0], s[1])?),
            "pool" => model.push(MaxPool2d::new(PoolOptions::new(s[0]))),
            "pool1d" => model.push(MaxPool1d::new(PoolOptions::new(s[0]))),
            "average" => model.push(AdaptiveAvgPool2d::new([1, 1])).push(Flatten),
            "flatten" => model.push(Flatten),
            "lstm" => model.push(Lstm::new(s[0], s[1], RnnOptions::new(), rng)?),
            "gru" => model.push(Gru::new(s[0], s[1], RnnOptions::new(), rng)?),
            "last" => model.push(Lambda::new(|x| x.i((.., -1)))),
            "mean" => model.push(Lambda::new(|x| x.mean(1))),
            "embedding" => model.push(Embedding::new(s[0], s[1], rng)?),
            "attention" => model.push(MultiHeadAttention::new(s[0], s[1], rng)?),
            "encoder" => model.push(TransformerEncoderLayer::new(s[0], s[1], s[2], rng)?.dropout(0.0)?),
            "residual" => model.push(Residual::new(sequence(inner, rng)?)),
            "oscillation" => model.push(Oscillation(sequence(inner, rng)?)),
            _ => return Err(format!("no layer {kind}").into()),
        };
    }
    Ok(model)
}

fn options<const N: usize>(sizes: &[usize]) -> ConvOptions<N> {
    ConvOptions::new().padding(sizes[2] / 2).stride(sizes[3]).groups(sizes[4])
}

impl Loss for Target {
    fn loss(&self, scores: &Tensor, y: &Tensor) -> Result<Tensor> {
        match self {
            Target::Classes(_) => CrossEntropy::new().loss(scores, y),
            Target::Binary => BceWithLogits.loss(scores, y),
            Target::Wave(_) | Target::Input => Mse.loss(scores, y),
        }
    }
}

/// A step that is recorded once and replayed, or `eager`.
pub(crate) fn step(name: &str, eager: bool) -> Outcome<Option<Box<dyn Job>>> {
    let Some(step) = Step::of(name)? else { return Ok(None) };
    // The step borrows its model, and lasts as long as the program.
    let model: &'static Sequential =
        Box::leak(Box::new(started(sequence(&step.layers, &mut Rng::seed(1))?)?));
    let x: Tensor = match step.input() {
        Input::Numbers(numbers) => array(numbers, &step.dims, DType::F32)?.into(),
        Input::Indices(indices) => Tensor::from_vec(indices, &step.dims[..], &Device::Cpu)?,
    };
    let rows = step.dims[0];
    let y = match &step.target {
        Target::Classes(count) => labels(rows, *count)?,
        Target::Binary => labels(rows, 2)?.to_dtype(DType::F32)?.unsqueeze(1)?,
        Target::Wave(dims) => array(wave(dims.iter().product(), OTHER, 1.0), dims, DType::F32)?.into(),
        Target::Input => x.clone(),
    };
    let (loss, parameters) = (step.target, model.parameters());
    let mut training = match step.adamw {
        true => TrainStep::new(model, loss, AdamW::new(parameters, step.rate)?),
        false => TrainStep::new(model, loss, Sgd::new(parameters, step.rate)?),
    };
    if eager {
        training = training.eager();
    }
    Ok(Some(job(move || -> Outcome<f64> {
        let loss = training.run(&x, &y)?;
        match training.refusal() {
            Some(refusal) if !eager => Err(format!("the step is not replayed: {refusal}").into()),
            _ => Ok(loss),
        }
    })))
}

/// The loss after a thousand steps of softmax regression.
pub(crate) fn iris() -> Outcome<f64> {
    let x = Tensor::constant(array(wave(600, INPUT, 1.0), &[150, 4], DType::F32)?);
    let target = labels(150, 3)?;
    let model = started(Linear::new(4, 3, &mut Rng::seed(1))?)?;
    let mut optimizer = Sgd::new(model.parameters(), job::IRIS_RATE)?;
    let mut last = 0.0;
    for step in 1..=job::IRIS_STEPS {
        let loss = CrossEntropy::new().loss(&model.forward(&x, &mut ForwardContext::eval())?, &target)?;
        optimizer.step(&loss.backward()?)?;
        if step == job::IRIS_STEPS {
            last = loss.to_scalar::<f32>()?.into();
        }
    }
    Ok(last)
}

pub(crate) fn make(name: &str) -> Outcome<Option<Box<dyn Job>>> {
    if let Some(step) = step(name, false)? {
        return Ok(Some(step));
    }
    let spec = Spec::of(name)?;
    let dims = &spec.dims[..];
    let dtype = if spec.double { DType::F64 } else { DType::F32 };
    let input = |scale| array(wave(spec.count(), INPUT, scale), dims, dtype);
    let other = || {
        Ok::<_, Box<dyn std::error::Error>>(Tensor::constant(array(
            wave(spec.count(), OTHER, 1.0),
            dims,
            dtype,
        )?))
    };
    let rng = &mut Rng::seed(1);
    Ok(Some(match spec.kind {
        "sigmoid" => {
            let x = Tensor::constant(input(3.0)?);
            job(move || x.sigmoid())
        }
        "sigmoid-grad" => gradient(input(3.0)?, |x| x.sigmoid()?.sum_all()),
        "softmax-grad" => {
            let w = other()?;
            pulled(input(1.0)?, w, |x| x.softmax(-1))
        }
        "normalize-rows-grad" => {
            let w = other()?;
            pulled(input(1.0)?, w, |x| x.normalize_rows(2.0))
        }
        "l1-grad" if spec.replayed => compiled(input(1.0)?, other()?, l1),
        "l2-grad" if spec.replayed => compiled(input(1.0)?, other()?, l2),
        "l1-grad" => {
            let target = other()?;
            gradient(input(1.0)?, move |x| l1(x, &target))
        }
        "l2-grad" => {
            let target = other()?;
            gradient(input(1.0)?, move |x| l2(x, &target))
        }
        "cross-entropy-grad" => {
            let target = labels(dims[0], dims[1])?;
            gradient(input(1.0)?, move |x| CrossEntropy::new().loss(x, &target))
        }
        "dot" => {
            // The other operand has the same numbers: a sum that cancels could not be compared.
            let [a, b] = [input(1.0)?, input(1.0)?].map(Tensor::constant);
            job(move || a.dot(&b))
        }
        "outer" => {
            let [a, b] =
                [(dims[0], INPUT), (dims[1], OTHER)].map(|(n, f)| array(wave(n, f, 1.0), &[n], dtype));
            let (a, b) = (Tensor::constant(a?), Tensor::constant(b?));
            job(move || a.outer(&b))
        }
        "matvec" => {
            let a = Tensor::constant(input(1.0)?);
            let v = Tensor::constant(array(wave(dims[1], OTHER, 1.0), &dims[1..], dtype)?);
            job(move || a.matvec(&v))
        }
        "sgemm" => {
            let (a, b) = (Tensor::constant(input(1.0)?), other()?);
            job(move || a.matmul(&b))
        }
        "logistic-sgd" => {
            let model = started(Linear::new(dims[1], 1, rng)?)?;
            let target = labels(dims[0], 2)?.to_dtype(DType::F32)?.unsqueeze(1)?;
            let optimizer = Sgd::new(model.parameters(), 1e-4)?;
            training(model, BceWithLogits, optimizer, Tensor::constant(input(1.0)?), target)
        }
        "mlp-sgd" => {
            let model = perceptron()?;
            let optimizer = Sgd::new(model.parameters(), 0.1)?;
            training(
                model,
                CrossEntropy::new(),
                optimizer,
                Tensor::constant(input(1.0)?),
                labels(dims[0], 10)?,
            )
        }
        "mlp-adamw" => {
            let model = perceptron()?;
            let optimizer = AdamW::new(model.parameters(), 1e-3)?;
            training(
                model,
                CrossEntropy::new(),
                optimizer,
                Tensor::constant(input(1.0)?),
                labels(dims[0], 10)?,
            )
        }
        "cnn-sgd" => {
            let model = convolutions()?;
            let optimizer = Sgd::new(model.parameters(), 0.1)?;
            let x = Tensor::constant(input(1.0)?).unsqueeze(1)?;
            training(model, CrossEntropy::new(), optimizer, x, labels(dims[0], 10)?)
        }
        "tiny-mlp-sgd" => {
            let model =
                Sequential::new().push(Linear::new(4, 16, rng)?).push(Tanh).push(Linear::new(16, 3, rng)?);
            let model = started(model)?;
            let optimizer = Sgd::new(model.parameters(), 0.1)?;
            training(
                model,
                CrossEntropy::new(),
                optimizer,
                Tensor::constant(input(1.0)?),
                labels(dims[0], 3)?,
            )
        }
        "iris-process" => job::process(&["--iris", "tealight"]),
        _ => return Ok(None),
    }))
}
