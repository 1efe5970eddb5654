//! The same jobs with candle and candle-nn. The peers in benches/peers share this file.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{AdamW, Conv2d, Linear, Module, Optimizer, ParamsAdamW, SGD};

use crate::job::{self, INPUT, Job, OTHER, Outcome, Spec, Total, classes, job, wave};

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
