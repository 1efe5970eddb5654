//! The same jobs with candle and candle-nn. The peers in benches/peers share this file.

use std::collections::HashMap;

use candle_core::{D, DType, Device, IndexOp, Result, Tensor, Var};
use candle_nn::rnn::{GRU, LSTM, RNN};
use candle_nn::{
    Activation, AdamW, BatchNorm, Conv2d, Conv2dConfig, Embedding, GroupNorm, Linear, Module, ModuleT,
    Optimizer, ParamsAdamW, SGD, VarBuilder,
};

use crate::job::{
    self, Block, INPUT, Input, Job, OTHER, Outcome, Spec, Step, Target, Total, classes, job, wave,
};

/// What a run gives; a type of its own because a tealight array is a candle tensor.
struct Given(Tensor);

impl Total for Given {
    fn total(&self) -> Outcome<f64> {
        Ok(self.0.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar()?)
    }
}

fn array(numbers: Vec<f64>, dims: &[usize], dtype: DType) -> Result<Tensor> {
    Tensor::from_vec(numbers, dims, &Device::Cpu)?.to_dtype(dtype)
}

fn labels(rows: usize, count: usize) -> Result<Tensor> {
    Tensor::from_vec(classes(rows, count), rows, &Device::Cpu)
}

fn forward(f: impl Fn() -> Result<Tensor> + 'static) -> Box<dyn Job> {
    job(move || f().map(Given))
}

/// The gradient of the scalar f(x) by x.
fn gradient(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor> + 'static) -> Result<Box<dyn Job>> {
    let x = Var::from_tensor(x)?;
    Ok(job(move || -> Outcome<Given> {
        let gradients = f(&x)?.backward()?;
        Ok(Given(gradients.get(&x).cloned().ok_or("no gradient")?))
    }))
}

fn training(
    mut optimizer: impl Optimizer + 'static,
    f: impl Fn() -> Result<Tensor> + 'static,
) -> Box<dyn Job> {
    job(move || -> Result<Given> {
        let loss = f()?;
        optimizer.backward_step(&loss)?;
        Ok(Given(loss))
    })
}

/// Learned arrays of these shapes.
fn learned<const N: usize>(dims: [&[usize]; N]) -> Result<[Var; N]> {
    let vars: Result<Vec<Var>> =
        dims.iter().map(|dims| Var::from_tensor(&array(job::start(dims), dims, DType::F32)?)).collect();
    vars?.try_into().map_err(|_| candle_core::Error::Msg("another number of arrays".into()))
}

fn linear(weight: &Var, bias: &Var) -> Linear {
    Linear::new(weight.as_tensor().clone(), Some(bias.as_tensor().clone()))
}

fn conv(weight: &Var, bias: &Var) -> Conv2d {
    Conv2d::new(weight.as_tensor().clone(), Some(bias.as_tensor().clone()), Default::default())
}

/// Two layers with `act` between them, and what they learn.
fn perceptron(
    [inputs, hidden, outputs]: [usize; 3],
    act: fn(&Tensor) -> Result<Tensor>,
    x: Tensor,
) -> Result<(Vec<Var>, impl Fn() -> Result<Tensor>)> {
    let vars = learned([&[hidden, inputs], &[hidden], &[outputs, hidden], &[outputs]])?;
    let (first, second) = (linear(&vars[0], &vars[1]), linear(&vars[2], &vars[3]));
    let target = labels(x.dim(0)?, outputs)?;
    let loss = move || candle_nn::loss::cross_entropy(&second.forward(&act(&first.forward(&x)?)?)?, &target);
    Ok((vars.to_vec(), loss))
}

fn convolutions(x: Tensor) -> Result<(Vec<Var>, impl Fn() -> Result<Tensor>)> {
    let vars = learned([&[8, 1, 3, 3], &[8], &[16, 8, 3, 3], &[16], &[10, 400], &[10]])?;
    let (first, second, last) =
        (conv(&vars[0], &vars[1]), conv(&vars[2], &vars[3]), linear(&vars[4], &vars[5]));
    let target = labels(x.dim(0)?, 10)?;
    let loss = move || {
        let x = first.forward(&x)?.relu()?.max_pool2d(2)?;
        // Candle's gradient of a pool needs sides that are multiples of the window: 11 → 10. It divides the gradient by the
        // window's size too, so that this training learns more slowly; the work is the same.
        let x = second.forward(&x)?.relu()?.narrow(2, 0, 10)?.narrow(3, 0, 10)?.max_pool2d(2)?;
        candle_nn::loss::cross_entropy(&last.forward(&x.flatten_from(1)?)?, &target)
    };
    Ok((vars.to_vec(), loss))
}

type Layer = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// The layers one after the other, whose learned arrays come into `vars`.
fn sequence(blocks: &[Block], vars: &mut Vec<Var>) -> Outcome<Layer> {
    let layers: Outcome<Vec<Layer>> = blocks.iter().map(|block| layer(block, vars)).collect();
    let layers = layers?;
    Ok(Box::new(move |x| layers.iter().try_fold(x.clone(), |x, layer| layer(&x))))
}

fn layer(block: &Block, vars: &mut Vec<Var>) -> Outcome<Layer> {
    let s = block.sizes.clone();
    let mut learn = |dims: &[usize], fill: Option<f64>| -> Result<Tensor> {
        let numbers = fill.map_or_else(|| job::start(dims), |fill| vec![fill; dims.iter().product()]);
        let var = Var::from_tensor(&array(numbers, dims, DType::F32)?)?;
        vars.push(var.clone());
        Ok(var.as_tensor().clone())
    };
    Ok(match block.kind {
        "linear" => module(Linear::new(learn(&[s[1], s[0]], None)?, Some(learn(&[s[1]], None)?))),
        "relu" => module(Activation::Relu),
        "tanh" => Box::new(Tensor::tanh),
        "gelu" => module(Activation::Gelu),
        "hardswish" => module(Activation::HardSwish),
        "conv" => {
            let (weight, bias) = (learn(&[s[1], s[0] / s[4], s[2], s[2]], None)?, learn(&[s[1]], None)?);
            let config = Conv2dConfig { padding: s[2] / 2, stride: s[3], groups: s[4], ..Default::default() };
            module(Conv2d::new(weight, Some(bias), config))
        }
        "batchnorm" => {
            let (weight, bias) = (learn(&s, Some(1.0))?, learn(&s, None)?);
            let statistics = array(vec![0.0; s[0]], &s, DType::F32)?;
            let norm = BatchNorm::new(s[0], statistics.clone(), statistics.ones_like()?, weight, bias, 1e-5)?;
            Box::new(move |x| norm.forward_t(x, true))
        }
        "groupnorm" => {
            let (weight, bias) = (learn(&s[1..], Some(1.0))?, learn(&s[1..], None)?);
            module(GroupNorm::new(weight, bias, s[1], s[0], 1e-5)?)
        }
        "layernorm" => {
            // The faster one, which `LayerNorm` has, has no gradient.
            let (weight, bias) = (learn(&s, Some(1.0))?, learn(&s, None)?);
            Box::new(move |x| candle_nn::ops::layer_norm_slow(x, &weight, &bias, 1e-5))
        }
        "pool" => Box::new(move |x| x.max_pool2d(s[0])),
        "average" => Box::new(|x| x.flatten_from(2)?.mean(2)),
        "flatten" => Box::new(|x| x.flatten_from(1)),
        "lstm" | "gru" => {
            let gates = if block.kind == "lstm" { 4 } else { 3 } * s[1];
            let mut weights = HashMap::new();
            for (name, dims) in [("weight_ih_l0", [gates, s[0]]), ("weight_hh_l0", [gates, s[1]])] {
                weights.insert(name.to_string(), learn(&dims, None)?);
            }
            for name in ["bias_ih_l0", "bias_hh_l0"] {
                weights.insert(name.to_string(), learn(&[gates], None)?);
            }
            let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
            // `states_to_tensor` of a GRU puts the steps side by side.
            if block.kind == "lstm" {
                let lstm = LSTM::new(s[0], s[1], Default::default(), weights)?;
                Box::new(move |x| lstm.states_to_tensor(&lstm.seq(x)?))
            } else {
                let gru = GRU::new(s[0], s[1], Default::default(), weights)?;
                Box::new(move |x| {
                    let steps: Vec<Tensor> = gru.seq(x)?.into_iter().map(|state| state.h).collect();
                    Tensor::stack(&steps, 1)
                })
            }
        }
        "last" => Box::new(|x| x.i((.., x.dim(1)? - 1))?.contiguous()),
        "mean" => Box::new(|x| x.mean(1)),
        "embedding" => module(Embedding::new(learn(&s, None)?, s[1])),
        "attention" => {
            let (d, heads) = (s[0], s[1]);
            let all = Linear::new(learn(&[3 * d, d], None)?, Some(learn(&[3 * d], None)?));
            let out = Linear::new(learn(&[d, d], None)?, Some(learn(&[d], None)?));
            Box::new(move |x| {
                let (n, t, _) = x.dims3()?;
                let all = all.forward(x)?.reshape((n, t, 3, heads, d / heads))?;
                let part = |i: usize| all.i((.., .., i))?.transpose(1, 2)?.contiguous();
                let scores = (part(0)? * (heads as f64 / d as f64).sqrt())?.matmul(&part(1)?.t()?)?;
                let mixed = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&part(2)?)?;
                out.forward(&mixed.transpose(1, 2)?.reshape((n, t, d))?)
            })
        }
        "encoder" => {
            let [d, heads, wide] = s[..] else { return Err("encoder WIDTH HEADS FEED-FORWARD".into()) };
            let block = |kind, sizes: &[usize]| Block { kind, sizes: sizes.to_vec(), inner: Vec::new() };
            let attention = vec![block("attention", &[d, heads])];
            let forward = vec![block("linear", &[d, wide]), block("relu", &[]), block("linear", &[wide, d])];
            let residual = |inner| Block { kind: "residual", sizes: Vec::new(), inner };
            let norm = || block("layernorm", &[d]);
            sequence(&[residual(attention), norm(), residual(forward), norm()], vars)?
        }
        "residual" => {
            let inner = sequence(&block.inner, vars)?;
            Box::new(move |x| x + inner(x)?)
        }
        kind => return Err(format!("candle has no {kind}").into()),
    })
}

fn module(module: impl Module + 'static) -> Layer {
    Box::new(move |x| module.forward(x))
}

fn step(step: Step) -> Outcome<Box<dyn Job>> {
    let mut vars = Vec::new();
    let model = sequence(&step.layers, &mut vars)?;
    let x = match step.input() {
        Input::Numbers(numbers) => array(numbers, &step.dims, DType::F32)?,
        Input::Indices(indices) => Tensor::from_vec(indices, &step.dims[..], &Device::Cpu)?,
    };
    let rows = step.dims[0];
    let y = match &step.target {
        Target::Classes(count) => labels(rows, *count)?,
        Target::Binary => labels(rows, 2)?.to_dtype(DType::F32)?.unsqueeze(1)?,
        Target::Wave(dims) => array(wave(dims.iter().product(), OTHER, 1.0), dims, DType::F32)?,
        Target::Input => x.clone(),
    };
    let loss = move || match step.target {
        Target::Classes(_) => candle_nn::loss::cross_entropy(&model(&x)?, &y),
        Target::Binary => candle_nn::loss::binary_cross_entropy_with_logit(&model(&x)?, &y),
        Target::Wave(_) | Target::Input => candle_nn::loss::mse(&model(&x)?, &y),
    };
    Ok(match step.adamw {
        true => training(AdamW::new(vars, ParamsAdamW { lr: step.rate, ..Default::default() })?, loss),
        false => training(SGD::new(vars, step.rate)?, loss),
    })
}

/// The loss after a thousand steps of softmax regression.
pub(crate) fn iris() -> Outcome<f64> {
    let x = array(wave(600, INPUT, 1.0), &[150, 4], DType::F32)?;
    let target = labels(150, 3)?;
    let vars = learned([&[3, 4], &[3]])?;
    let model = linear(&vars[0], &vars[1]);
    let mut optimizer = SGD::new(vars.to_vec(), job::IRIS_RATE)?;
    let mut last = 0.0;
    for step in 1..=job::IRIS_STEPS {
        let loss = candle_nn::loss::cross_entropy(&model.forward(&x)?, &target)?;
        optimizer.backward_step(&loss)?;
        if step == job::IRIS_STEPS {
            last = loss.to_scalar::<f32>()?.into();
        }
    }
    Ok(last)
}

pub(crate) fn make(name: &str) -> Outcome<Option<Box<dyn Job>>> {
    match Step::of(name)? {
        // Its gradients have none of their own, and that of `conv1d` is wrong for more than one sequence.
        Some(it) if matches!(it.layers[0].kind, "oscillation" | "conv1d") => return Ok(None),
        Some(it) => return step(it).map(Some),
        None => {}
    }
    let spec = Spec::of(name)?;
    let dims = &spec.dims[..];
    let dtype = if spec.double { DType::F64 } else { DType::F32 };
    let input = |scale| array(wave(spec.count(), INPUT, scale), dims, dtype);
    let other = || array(wave(spec.count(), OTHER, 1.0), dims, dtype);
    Ok(Some(match spec.kind {
        "sigmoid" => {
            let x = input(3.0)?;
            forward(move || candle_nn::ops::sigmoid(&x))
        }
        "sigmoid-grad" => gradient(&input(3.0)?, |x| candle_nn::ops::sigmoid(x)?.sum_all())?,
        "softmax-grad" => {
            let w = other()?;
            gradient(&input(1.0)?, move |x| (candle_nn::ops::softmax(x, D::Minus1)? * &w)?.sum_all())?
        }
        "normalize-rows-grad" => {
            let w = other()?;
            gradient(&input(1.0)?, move |x| {
                (x.broadcast_div(&x.sqr()?.sum_keepdim(1)?.sqrt()?)? * &w)?.sum_all()
            })?
        }
        "l1-grad" => {
            let target = other()?;
            gradient(&input(1.0)?, move |x| (x - &target)?.abs()?.sum_all())?
        }
        "l2-grad" => {
            let target = other()?;
            gradient(&input(1.0)?, move |x| (x - &target)?.sqr()?.sum_all())?
        }
        "cross-entropy-grad" => {
            let target = labels(dims[0], dims[1])?;
            gradient(&input(1.0)?, move |x| candle_nn::loss::cross_entropy(x, &target))?
        }
        "dot" => {
            let (a, b) = (input(1.0)?, input(1.0)?);
            forward(move || a.dot(&b))
        }
        "outer" => {
            let a = array(wave(dims[0], INPUT, 1.0), &[dims[0], 1], dtype)?;
            let b = array(wave(dims[1], OTHER, 1.0), &[1, dims[1]], dtype)?;
            forward(move || a.broadcast_mul(&b))
        }
        "matvec" => {
            let (a, v) = (input(1.0)?, array(wave(dims[1], OTHER, 1.0), &dims[1..], dtype)?);
            forward(move || a.mv(&v))
        }
        "sgemm" => {
            let (a, b) = (input(1.0)?, other()?);
            forward(move || a.matmul(&b))
        }
        "logistic-sgd" => {
            let vars = learned([&[1, dims[1]], &[1]])?;
            let (x, model) = (input(1.0)?, linear(&vars[0], &vars[1]));
            let target = labels(dims[0], 2)?.to_dtype(DType::F32)?.unsqueeze(1)?;
            training(SGD::new(vars.to_vec(), 1e-4)?, move || {
                candle_nn::loss::binary_cross_entropy_with_logit(&model.forward(&x)?, &target)
            })
        }
        "mlp-sgd" => {
            let (vars, loss) = perceptron([784, 128, 10], Tensor::relu, input(1.0)?)?;
            training(SGD::new(vars, 0.1)?, loss)
        }
        "mlp-adamw" => {
            let (vars, loss) = perceptron([784, 128, 10], Tensor::relu, input(1.0)?)?;
            training(AdamW::new(vars, ParamsAdamW { lr: 1e-3, ..Default::default() })?, loss)
        }
        "cnn-sgd" => {
            let (vars, loss) = convolutions(input(1.0)?.unsqueeze(1)?)?;
            training(SGD::new(vars, 0.1)?, loss)
        }
        "tiny-mlp-sgd" => {
            let (vars, loss) = perceptron([4, 16, 3], Tensor::tanh, input(1.0)?)?;
            training(SGD::new(vars, 0.1)?, loss)
        }
        "iris-process" => job::process(&["--iris", "candle"]),
        _ => return Ok(None),
    }))
}
