//! The jobs with dfdx.

use dfdx::losses::{binary_cross_entropy_with_logits_loss, cross_entropy_with_logits_loss};
use dfdx::optim::{Adam, Optimizer, Sgd};
use dfdx::prelude::*;

use crate::job::{self, INPUT, Input, Job, OTHER, Outcome, Spec, Step, Total, classes, job, wave};

impl<S: Shape> Total for Tensor<S, f32, Cpu> {
    fn total(&self) -> Outcome<f64> {
        Ok(self.as_vec().into_iter().map(|x| f64::from(x.abs())).sum())
    }
}

type Vector = Tensor<(usize,), f32, Cpu>;
type Matrix = Tensor<(usize, usize), f32, Cpu>;

fn single(numbers: Vec<f64>) -> Vec<f32> {
    numbers.into_iter().map(|x| x as f32).collect()
}

/// Rows with a 1 at the right class: dfdx takes no labels.
fn one_hot(rows: usize, count: usize) -> Vec<f32> {
    let mut hot = vec![0.0; rows * count];
    for (i, class) in classes(rows, count).into_iter().enumerate() {
        hot[i * count + class as usize] = 1.0;
    }
    hot
}

fn forward<S: Shape + 'static>(f: impl Fn() -> Tensor<S, f32, Cpu> + 'static) -> Box<dyn Job> {
    job(move || -> Outcome<Tensor<S, f32, Cpu>> { Ok(f()) })
}

/// The gradient of the scalar f(x) by x.
fn gradient<S: Shape + 'static>(
    x: Tensor<S, f32, Cpu>,
    f: impl Fn(Tensor<S, f32, Cpu, OwnedTape<f32, Cpu>>) -> Tensor<Rank0, f32, Cpu, OwnedTape<f32, Cpu>> + 'static,
) -> Box<dyn Job> {
    job(move || -> Outcome<Tensor<S, f32, Cpu>> {
        let gradients = f(x.leaky_trace()).backward();
        Ok(gradients.get(&x))
    })
}

/// A step of training. A macro, because a generic function would need a page of bounds.
macro_rules! training {
    ($model:ident, $optimizer:expr, $x:expr, $target:expr, $loss:ident) => {{
        let (mut model, mut optimizer, x, target) = ($model, $optimizer, $x, $target);
        let mut held = Some(model.alloc_grads());
        job(move || -> Outcome<Tensor<Rank0, f32, Cpu>> {
            let gradients = held.take().ok_or("the gradients are gone")?;
            let (loss, tape) =
                $loss(model.forward_mut(x.clone().traced(gradients)), target.clone()).split_tape();
            let mut gradients = loss.clone().put_tape(tape).backward();
            optimizer.update(&mut model, &gradients).map_err(|error| format!("{error:?}"))?;
            model.zero_grads(&mut gradients);
            held = Some(gradients);
            Ok(loss)
        })
    }};
}

fn sgd<M>(model: &M, lr: f64) -> Sgd<M, f32, Cpu> {
    Sgd::new(model, SgdConfig { lr, momentum: None, weight_decay: None })
}

fn adamw<M>(model: &M) -> Adam<M, f32, Cpu> {
    let weight_decay = Some(WeightDecay::Decoupled(0.01));
    Adam::new(model, AdamConfig { lr: 1e-3, weight_decay, ..Default::default() })
}

type Mlp = (Linear<784, 128>, ReLU, Linear<128, 10>);
type TinyMlp = (Linear<4, 16>, Tanh, Linear<16, 3>);

fn started<const I: usize, const O: usize>(layer: &mut dfdx::nn::modules::Linear<I, O, f32, Cpu>) {
    layer.weight.copy_from(&single(job::start(&[O, I])));
    layer.bias.copy_from(&[0.0; O]);
}

fn iris_job() -> Box<dyn Job> {
    let dev = Cpu::default();
    let mut model = dev.build_module::<Linear<4, 3>, f32>();
    started(&mut model);
    let x = dev.tensor_from_vec(single(wave(600, INPUT, 1.0)), (Const::<150>, Const::<4>));
    let target = dev.tensor_from_vec(one_hot(150, 3), (Const::<150>, Const::<3>));
    let optimizer = sgd(&model, job::IRIS_RATE);
    training!(model, optimizer, x, target, cross_entropy_with_logits_loss)
}

/// The loss after a thousand steps of softmax regression.
pub(crate) fn iris() -> Outcome<f64> {
    let mut steps = iris_job();
    steps.run(job::IRIS_STEPS - 4)?;
    steps.check() // four more
}

pub(crate) fn make(name: &str) -> Outcome<Option<Box<dyn Job>>> {
    let spec = Spec::of(name)?;
    if spec.double {
        return Ok(None);
    }
    let dev = Cpu::default();
    let (n, rows, columns) = (spec.count(), spec.dims[0], spec.dims.get(1).copied().unwrap_or_default());
    let scaled = |scale| -> Vector { dev.tensor_from_vec(single(wave(n, INPUT, scale)), (n,)) };
    let vector = |frequency| -> Vector { dev.tensor_from_vec(single(wave(n, frequency, 1.0)), (n,)) };
    // The numbers of the input of a network.
    let inputs = match Step::of(name)? {
        Some(step) => match step.input() {
            Input::Numbers(numbers) => numbers,
            Input::Indices(_) => return Ok(None),
        },
        None => wave(n, INPUT, 1.0),
    };
    let matrix =
        |frequency| -> Matrix { dev.tensor_from_vec(single(wave(n, frequency, 1.0)), (rows, columns)) };
    Ok(Some(match spec.kind {
        "sigmoid" => {
            let x = scaled(3.0);
            forward(move || x.clone().sigmoid())
        }
        "sigmoid-grad" => gradient(scaled(3.0), |x| x.sigmoid().sum()),
        "softmax-grad" => {
            let w = matrix(OTHER);
            gradient(matrix(INPUT), move |x| (x.softmax::<Axis<1>>() * w.clone()).sum())
        }
        "normalize-rows-grad" => {
            let w = matrix(OTHER);
            gradient(matrix(INPUT), move |x| {
                let shape = *x.shape();
                let length = x.with_empty_tape().square().sum::<(usize,), Axis<1>>().sqrt();
                (x / length.broadcast_like::<_, Axis<1>>(&shape) * w.clone()).sum()
            })
        }
        "l1-grad" => {
            let target = vector(OTHER);
            gradient(vector(INPUT), move |x| (x - target.clone()).abs().sum())
        }
        "l2-grad" => {
            let target = vector(OTHER);
            gradient(vector(INPUT), move |x| (x - target.clone()).square().sum())
        }
        "cross-entropy-grad" => {
            let target: Matrix = dev.tensor_from_vec(one_hot(rows, columns), (rows, columns));
            gradient(matrix(INPUT), move |x| cross_entropy_with_logits_loss(x, target.clone()))
        }
        "dot" => {
            let (a, b) = (vector(INPUT), vector(INPUT));
            forward(move || (a.clone() * b.clone()).sum::<Rank0, _>())
        }
        "outer" => {
            let a: Vector = dev.tensor_from_vec(single(wave(rows, INPUT, 1.0)), (rows,));
            let b: Vector = dev.tensor_from_vec(single(wave(columns, OTHER, 1.0)), (columns,));
            forward(move || a.clone().matmul(b.clone()))
        }
        "matvec" => {
            let a = matrix(INPUT);
            let v: Vector = dev.tensor_from_vec(single(wave(columns, OTHER, 1.0)), (columns,));
            forward(move || a.clone().matmul(v.clone()))
        }
        "sgemm" => {
            let (a, b) = (matrix(INPUT), matrix(OTHER));
            forward(move || a.clone().matmul(b.clone()))
        }
        "logistic-sgd" => {
            let mut model = dev.build_module::<Linear<12288, 1>, f32>();
            started(&mut model);
            let x = dev.tensor_from_vec(single(inputs), (Const::<209>, Const::<12288>));
            let ones = classes(209, 2).into_iter().map(|class| class as f32).collect();
            let target = dev.tensor_from_vec(ones, (Const::<209>, Const::<1>));
            let optimizer = sgd(&model, 1e-4);
            training!(model, optimizer, x, target, binary_cross_entropy_with_logits_loss)
        }
        "mlp-sgd" | "mlp-adamw" => {
            let mut model = dev.build_module::<Mlp, f32>();
            started(&mut model.0);
            started(&mut model.2);
            let x = dev.tensor_from_vec(single(inputs), (Const::<64>, Const::<784>));
            let target = dev.tensor_from_vec(one_hot(64, 10), (Const::<64>, Const::<10>));
            if spec.kind == "mlp-sgd" {
                let optimizer = sgd(&model, 0.1);
                training!(model, optimizer, x, target, cross_entropy_with_logits_loss)
            } else {
                let optimizer = adamw(&model);
                training!(model, optimizer, x, target, cross_entropy_with_logits_loss)
            }
        }
        "tiny-mlp-sgd" | "tiny-mlp-adamw" => {
            let mut model = dev.build_module::<TinyMlp, f32>();
            started(&mut model.0);
            started(&mut model.2);
            let x = dev.tensor_from_vec(single(inputs), (Const::<16>, Const::<4>));
            let target = dev.tensor_from_vec(one_hot(16, 3), (Const::<16>, Const::<3>));
            if spec.kind == "tiny-mlp-sgd" {
                let optimizer = sgd(&model, 0.1);
                training!(model, optimizer, x, target, cross_entropy_with_logits_loss)
            } else {
                let optimizer = adamw(&model);
                training!(model, optimizer, x, target, cross_entropy_with_logits_loss)
            }
        }
        "iris-process" => job::process(&["--iris", "dfdx"]),
        _ => return Ok(None),
    }))
}
