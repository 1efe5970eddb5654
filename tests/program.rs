//! A replayed step does what an eager step does, bit for bit.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::cell::RefCell;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tealight::io;
use tealight::layer::{
    ConvTranspose2d, GroupNorm, Gru, Lambda, Lstm, Residual, Rnn, RnnOptions, TransformerEncoderLayer,
    Upsample,
};
use tealight::optim::schedule::{CosineAnnealingLr, OneCycleLr, Schedule};
use tealight::optim::{Adadelta, Adagrad, Adamax, Ema, Lbfgs, Lion, Muon, NAdam, Optimizer, RAdam, RmsProp};
use tealight::prelude::*;
use tealight::program::{TrainStep, compile};
use tealight::train::History;

type Batches = Vec<(Tensor, Tensor)>;
/// Names and the bits of numbers.
type Bits = Vec<(String, Vec<u64>)>;

fn bits(x: &Tensor) -> Result<Vec<u64>> {
    Ok(x.detach()
        .to_dtype(DType::F64)?
        .flatten(0, -1)?
        .to_vec1::<f64>()?
        .into_iter()
        .map(f64::to_bits)
        .collect())
}

fn state_bits(model: &dyn Layer) -> Result<Bits> {
    model.state_dict().into_iter().map(|(name, entry)| Ok((name, bits(&entry.get())?))).collect()
}

/// Two equal models and their steps: one replayed, one eager.
fn compare<M: Layer>(
    make: impl Fn() -> Result<M>,
    batches: &[(Tensor, Tensor)],
    loss: impl Loss + Clone,
    steps: usize,
    with: impl for<'a> Fn(TrainStep<'a>, &M) -> TrainStep<'a>,
    between: impl Fn(usize, &M) -> Result<()>,
) -> Result<()> {
    let (a, b) = (make()?, make()?);
    let step = |model| {
        Ok::<_, Error>(TrainStep::new(model, loss.clone(), AdamW::new(Layer::parameters(model), 1e-2)?))
    };
    let (mut replayed, mut eager) = (with(step(&a)?, &a), with(step(&b)?.eager(), &b));
    for i in 0..steps {
        let (x, y) = &batches[i % batches.len()];
        let losses = (replayed.run(x, y)?, eager.run(x, y)?);
        assert!(replayed.refusal().is_none(), "step {i}: {}", replayed.refusal().unwrap());
        assert_eq!(losses.0.to_bits(), losses.1.to_bits(), "step {i}: {losses:?}");
        between(i, &a)?;
        between(i, &b)?;
    }
    assert!(replayed.replayed() as usize > steps / 2);
    println!("{}", replayed.program().unwrap());
    assert_eq!(state_bits(&a)?, state_bits(&b)?);
    Ok(())
}

fn classes(rows: usize, classes: usize, rng: &mut Rng) -> Result<Tensor> {
    let y: Vec<u32> = (0..rows).map(|_| rng.below(classes) as u32).collect();
    Tensor::new(&y[..], &Device::Cpu)
}

fn batches(dims: &[usize], count: usize) -> Result<Batches> {
    let rng = &mut Rng::seed(9);
    let batch = |rows: usize| {
        let shape: Vec<usize> = [rows].iter().chain(dims).copied().collect();
        Ok((Tensor::randn(0.0, 1.0, shape, rng)?, classes(rows, count, rng)?))
    };
    [16, 16, 16, 7].into_iter().map(batch).collect()
}

fn small() -> Result<Sequential> {
    let rng = &mut Rng::seed(1);
    Ok(Sequential::new().push(Linear::new(4, 8, rng)?).push(Tanh).push(Linear::new(8, 3, rng)?))
}

#[test]
fn a_perceptron() -> Result<()> {
    let data = batches(&[4], 3)?;
    compare(small, &data, CrossEntropy::new(), 200, |step, _| step.clip_grad_norm(0.5), |_, _| Ok(()))
}

#[test]
fn batches_that_are_parts_of_a_tensor() -> Result<()> {
    let rng = &mut Rng::seed(2);
    let (x, y) = (Tensor::randn(0.0, 1.0, (4, 64), rng)?.t()?, classes(64, 3, rng)?);
    let parts = (0..4).map(|i| Ok((x.narrow(0, 16 * i, 16)?, y.narrow(0, 16 * i, 16)?)));
    compare(
        small,
        &parts.collect::<Result<Batches>>()?,
        CrossEntropy::new(),
        40,
        |step, _| step,
        |_, _| Ok(()),
    )
}

#[test]
fn a_convolutional_network() -> Result<()> {
    let make = || {
        let rng = &mut Rng::seed(1);
        Ok(Sequential::new()
            .push(Conv2d::new(1, 4, 3, ConvOptions::default(), rng)?)
            .push(BatchNorm2d::new(4)?)
            .push(Relu)
            .push(MaxPool2d::new(PoolOptions::new(2)))
            .push(Dropout::new(0.3)?)
            .push(Flatten)
            .push(Linear::new(36, 3, rng)?))
    };
    let data = batches(&[1, 8, 8], 3)?;
    let loss = CrossEntropy::new().label_smoothing(0.1)?;
    compare(make, &data, loss, 60, |step, _| step, |_, _| Ok(()))
}

#[test]
fn batch_norm_with_relu_and_a_pool_in_one_pass() -> Result<()> {
    type After = fn(&Tensor) -> Result<Tensor>;
    // How many normalizations and gradients of one take the rectifier with them, and how many the windows as well.
    let cases: [(After, [usize; 2]); 9] = [
        (|x| x.relu()?.max_pool2d(PoolOptions::new(2)), [2, 2]),
        (|x| x.relu()?.max_pool2d(PoolOptions::new(3).stride(1).padding(1)), [2, 2]),
        (|x| x.relu()?.max_pool2d(PoolOptions::new([1, 2]))?.exp(), [2, 2]),
        (|x| x.relu()?.flatten(2, -1)?.max_pool1d(PoolOptions::new(2))?.unsqueeze(-1), [2, 2]),
        // The rectified values are read twice.
        (|x| x.relu()?.max_pool2d(PoolOptions::new(2))? + x.relu()?.mean_all(), [0, 0]),
        // The gradient of a sum is a view of few elements.
        (|x| x.relu(), [1, 0]),
        (|x| x.tanh(), [0, 0]),
        // The normalized values are read twice.
        (|x| x.relu()? + x, [0, 0]),
        (|x| x.transpose(2, 3)?.relu(), [0, 0]),
    ];
    let data = batches(&[2, 4, 4], 2)?;
    for (after, expected) in cases {
        let make = || {
            let rng = &mut Rng::seed(1);
            Ok(Sequential::new()
                .push(Conv2d::new(2, 5, 3, ConvOptions::new().padding(1), rng)?)
                .push(BatchNorm2d::new(5)?)
                .push(Lambda::new(after))
                .push(Lambda::new(|x| x.sum([2, 3])))
                .push(Linear::new(5, 2, rng)?))
        };
        compare(make, &data, CrossEntropy::new(), 20, |step, _| step, |_, _| Ok(()))?;
        let model = make()?;
        let mut step = TrainStep::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?);
        step.run(&data[0].0, &data[0].1)?;
        step.run(&data[0].0, &data[0].1)?;
        let text = step.program().unwrap().to_string();
        let count = |passes: [&str; 2]| passes.iter().map(|pass| text.matches(pass).count()).sum::<usize>();
        let counts = [
            count(["standardize_affine+relu", "relu+standardize_backward"]),
            count(["standardize_affine+relu+max_pool", "pool_scatter+relu+standardize_backward"]),
        ];
        assert_eq!(counts, expected, "{text}");
    }
    Ok(())
}

#[test]
fn what_changes_between_steps_is_seen() -> Result<()> {
    let data = batches(&[4], 3)?;
    let file = tempfile::NamedTempFile::new().unwrap();
    let between = |i: usize, model: &Sequential| {
        let parameters = model.parameters();
        match i {
            10 => io::save(file.path(), model)?,
            20 => parameters[0].1.set_frozen(true),
            40 => parameters[0].1.set_frozen(false),
            50 => parameters[1].1.set(&Tensor::ones(8, DType::F32, &Device::Cpu)?)?,
            60 => io::load(file.path(), model)?,
            _ => {}
        }
        Ok(())
    };
    compare(small, &data, CrossEntropy::new(), 80, |step, _| step, between)
}

#[test]
fn the_plan_is_printed() -> Result<()> {
    let (model, data) = (small()?, batches(&[4], 3)?);
    let mut step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-2)?);
    for _ in 0..5 {
        step.run(&data[0].0, &data[0].1)?;
    }
    let plan = step.program().unwrap().to_string();
    let first = plan.lines().next().unwrap();
    // Input, weight, bias and output: 4·(64 + 32 + 8 + 128) bytes, whatever the slot holds in the end; 2·16·4·8 operations.
    assert!(
        first.starts_with("   0  linear ") && first.ends_with(" -> slot 0  928 B  1024 FLOP  0"),
        "{first}"
    );
    Ok(())
}

/// What layers are made of.
#[test]
fn layers_are_replayed() -> Result<()> {
    fn check(
        data: &[(Tensor, Tensor)],
        make: impl Fn(Sequential, &mut Rng) -> Result<Sequential>,
    ) -> Result<()> {
        let make = || make(Sequential::new(), &mut Rng::seed(1));
        compare(make, data, CrossEntropy::new(), 24, |step, _| step, |_, _| Ok(()))
    }
    let last = || Lambda::new(|x| x.i((.., -1, ..)));
    let sequences = batches(&[5, 6], 3)?;
    let options = || RnnOptions::new().layers(2).dropout(0.2);
    check(&sequences, |m, r| {
        Ok(m.push(Lstm::new(6, 8, options(), r)?).push(last()).push(Linear::new(8, 3, r)?))
    })?;
    check(&sequences, |m, r| {
        Ok(m.push(Gru::new(6, 8, options().bidirectional(), r)?).push(last()).push(Linear::new(16, 3, r)?))
    })?;
    check(&sequences, |m, r| {
        Ok(m.push(Rnn::new(6, 8, options(), r)?).push(last()).push(Linear::new(8, 3, r)?))
    })?;
    check(&sequences, |m, r| {
        let layer = TransformerEncoderLayer::new(6, 2, 8, r)?.dropout(0.1)?;
        Ok(m.push(layer).push(last()).push(Linear::new(6, 3, r)?))
    })?;
    let rng = &mut Rng::seed(3);
    let words = sequences
        .iter()
        .map(|(_, y)| Ok((classes(y.dims()[0] * 5, 7, rng)?.reshape((y.dims()[0], 5))?, y.clone())));
    check(&words.collect::<Result<Batches>>()?, |m, r| {
        Ok(m.push(Embedding::new(7, 6, r)?.padding_idx(0)?).push(Flatten).push(Linear::new(30, 3, r)?))
    })?;
    let images = batches(&[2, 4, 4], 3)?;
    check(&images, |m, r| {
        Ok(m.push(ConvTranspose2d::new(2, 4, 2, ConvOptions::new().stride(2), r)?)
            .push(GroupNorm::new(2, 4)?)
            .push(Gelu)
            .push(Flatten)
            .push(Linear::new(256, 3, r)?))
    })?;
    for upsample in [Upsample::by(2), Upsample::to([6, 7]).bilinear(false)] {
        let size = upsample.forward(&images[0].0, &mut ForwardContext::eval())?.dims()[1..].iter().product();
        check(&images, |m, r| {
            let bottleneck = Conv2d::new(2, 2, 1, ConvOptions::new(), r)?;
            Ok(m.push(Residual::new(bottleneck))
                .push(upsample)
                .push(Flatten)
                .push(LayerNorm::new(size)?)
                .push(Linear::new(size, 3, r)?))
        })?;
    }
    Ok(())
}

/// The steps of two optimizers in turns, on a model and on another that shares a weight, which also uses it twice.
#[test]
fn steps_that_share_parameters_take_turns() -> Result<()> {
    let data = batches(&[4], 3)?;
    let run = |eager: bool| {
        let rng = &mut Rng::seed(1);
        let shared = Linear::new(4, 4, rng)?;
        let tied = || Linear { weight: shared.weight.clone(), bias: None };
        let a = Sequential::new().push(tied()).push(Tanh).push(Linear::new(4, 3, rng)?);
        let b = Sequential::new().push(tied()).push(Relu).push(tied()).push(Linear::new(4, 3, rng)?);
        let steps = [
            TrainStep::new(&a, CrossEntropy::new(), AdamW::new(a.parameters(), 1e-2)?),
            TrainStep::new(&a, CrossEntropy::new(), Sgd::new(a.parameters(), 1e-2)?.momentum(0.9)?),
            TrainStep::new(&b, CrossEntropy::new(), AdamW::new(b.parameters(), 1e-2)?),
        ];
        let mut steps = steps.map(|step| if eager { step.eager() } else { step });
        let mut losses = Vec::new();
        for i in 0..90 {
            let (x, y) = &data[i / 9 % data.len()];
            losses.push(steps[i % 3].run(x, y)?.to_bits());
        }
        for step in &steps {
            assert_eq!(step.replayed() > 20, !eager, "{:?}", step.refusal());
        }
        Ok::<_, Error>((losses, state_bits(&a)?, state_bits(&b)?))
    };
    assert_eq!(run(false)?, run(true)?);
    Ok(())
}

/// Its derivative is 2·x; it is made of candle's operations.
#[derive(Debug)]
struct Square;

impl Op<1> for Square {
    const NAME: &'static str = "square";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        Ok((x * x)?)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some((saved.input(0)? * grad)? * 2.0).transpose()?])
    }
}

#[test]
fn an_op_of_candles_is_called_as_a_whole() -> Result<()> {
    let make = || {
        let rng = &mut Rng::seed(1);
        let square = Lambda::new(|x| Square.apply([x]));
        Ok(Sequential::new().push(Linear::new(4, 8, rng)?).push(square).push(Linear::new(8, 3, rng)?))
    };
    compare(make, &batches(&[4], 3)?, CrossEntropy::new(), 40, |step, _| step, |_, _| Ok(()))
}

/// Divides by its largest number, at which it looks.
fn looking() -> Result<Sequential> {
    let looks = Lambda::new(|x| x / f64::from(x.abs()?.max_all()?.to_scalar::<f32>()?));
    Ok(small()?.push(looks))
}

#[test]
fn a_layer_that_looks_at_numbers_is_run_anew() -> Result<()> {
    let (data, a, b) = (batches(&[4], 3)?, looking()?, looking()?);
    let mut step = TrainStep::new(&a, CrossEntropy::new(), AdamW::new(a.parameters(), 1e-2)?);
    let mut eager = TrainStep::new(&b, CrossEntropy::new(), AdamW::new(b.parameters(), 1e-2)?).eager();
    for (x, y) in &data {
        assert_eq!(step.run(x, y)?.to_bits(), eager.run(x, y)?.to_bits());
    }
    assert_eq!((step.replayed(), state_bits(&a)?), (0, state_bits(&b)?));
    assert!(step.refusal().unwrap().to_string().starts_with(LOOKED), "{:?}", step.refusal());
    Ok(())
}

const LOOKED: &str = "program: expected a function that does not look at the numbers that it computes, got to_scalar of a tensor of shape [] (tests/program.rs:";

/// Trains beside the other tests, for the next one.
#[test]
fn trainings_that_print() -> Result<()> {
    let data = batches(&[4], 3)?.remove(0);
    for (model, replayed) in [(looking()?, false), (small()?, true)] {
        let trainer = Trainer::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?);
        let history = trainer.epochs(20).always_replay().fit(&data, None)?;
        assert_eq!(history.replayed_steps() > 10, replayed, "{}", history.replayed_steps());
    }
    let model = looking()?;
    Trainer::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?).eager().fit(&data, None)?;
    Ok(())
}

#[test]
fn a_training_says_what_is_not_replayed() {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let said = test.args(["--exact", "trainings_that_print", "--nocapture"]).output().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.matches(&format!("steps are computed anew: {LOOKED}")).count(), 1, "{said}");
    assert_eq!(said.matches("steps are").count(), 1, "{said}");
    assert_eq!(said.matches(" steps per second").count(), 21, "{said}");
}

/// A layer that does something else each time.
struct Counter(AtomicU32);

impl Layer for Counter {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        x * f64::from(self.0.fetch_add(1, Ordering::Relaxed))
    }

    tealight::fields!();
}

#[test]
fn a_hidden_counter_is_found_by_the_comparison() -> Result<()> {
    let data = batches(&[4], 3)?;
    let make = || Ok::<_, Error>(small()?.push(Counter(AtomicU32::new(1))));
    let (a, b) = (make()?, make()?);
    let mut step = TrainStep::new(&a, CrossEntropy::new(), AdamW::new(a.parameters(), 1e-2)?);
    let mut eager = TrainStep::new(&b, CrossEntropy::new(), AdamW::new(b.parameters(), 1e-2)?).eager();
    for _ in 0..20 {
        assert_eq!(step.run(&data[0].0, &data[0].1)?.to_bits(), eager.run(&data[0].0, &data[0].1)?.to_bits());
    }
    assert_eq!((step.replayed(), state_bits(&a)?), (0, state_bits(&b)?));
    assert_eq!(
        step.refusal().unwrap().to_string(),
        "program: expected a step that does the same each time, got one whose replay differs from it: in the loss"
    );
    Ok(())
}

#[test]
fn a_bad_class_changes_nothing() -> Result<()> {
    let (data, a, b) = (batches(&[4], 3)?, small()?, small()?);
    let step = |model| {
        Ok::<_, Error>(TrainStep::new(
            model,
            CrossEntropy::new(),
            AdamW::new(Layer::parameters(model), 1e-2)?,
        ))
    };
    let (mut replayed, mut eager) = (step(&a)?, step(&b)?.eager());
    let mut wrong = [0_u32; 16];
    wrong[5] = 3;
    let wrong = Tensor::new(&wrong[..], &Device::Cpu)?;
    for i in 0..20 {
        let (x, y) = &data[0];
        if i == 10 {
            let before = state_bits(&a)?;
            let errors = (replayed.run(x, &wrong).unwrap_err(), eager.run(x, &wrong).unwrap_err());
            assert_eq!(errors.0.to_string(), errors.1.to_string());
            assert!(errors.0.to_string().ends_with("got class 3 in row 5"), "{}", errors.0);
            assert_eq!(state_bits(&a)?, before);
        }
        assert_eq!(replayed.run(x, y)?.to_bits(), eager.run(x, y)?.to_bits());
    }
    assert!(replayed.replayed() >= 19 && state_bits(&a)? == state_bits(&b)?);
    Ok(())
}

#[test]
fn the_same_bits_on_any_number_of_threads() -> Result<()> {
    let data = (Tensor::randn(0.0, 1.0, (512, 256), &mut Rng::seed(2))?, classes(512, 4, &mut Rng::seed(3))?);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let rng = &mut Rng::seed(1);
            let model = Sequential::new()
                .push(Linear::new(256, 256, rng)?)
                .push(BatchNorm1d::new(256)?)
                .push(Relu)
                .push(Dropout::new(0.1)?)
                .push(Linear::new(256, 4, rng)?);
            let mut step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-2)?);
            let losses =
                (0..8).map(|_| Ok(step.run(&data.0, &data.1)?.to_bits())).collect::<Result<Vec<_>>>()?;
            assert_eq!(step.replayed(), 7);
            Ok::<_, Error>((losses, state_bits(&model)?))
        })
    };
    let one = run(1)?;
    for threads in [2, 3] {
        assert!(run(threads)? == one, "{threads} threads");
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    Plain,
    Masked,
    Normalized,
    Clipping,
    Accumulation,
    Averaged,
    Groups,
    Freezing,
    SmallerLast,
}

use Variant::{Accumulation, Averaged, Clipping, Freezing, Groups, Masked, Normalized, Plain, SmallerLast};

#[derive(Debug)]
enum Rates {
    Constant,
    Cosine(CosineAnnealingLr),
    OneCycle(OneCycleLr),
}

impl Schedule for Rates {
    fn factor(&self, step: usize) -> f64 {
        match self {
            Rates::Constant => 1.0,
            Rates::Cosine(schedule) => schedule.factor(step),
            Rates::OneCycle(schedule) => schedule.factor(step),
        }
    }

    fn momentum(&self, step: usize) -> Option<f64> {
        match self {
            Rates::OneCycle(schedule) => schedule.momentum(step),
            _ => None,
        }
    }
}

/// Steps of three batches an epoch.
fn rates(epochs: u64) -> Result<[Rates; 3]> {
    let steps = 3 * epochs as usize;
    Ok([
        Rates::Constant,
        Rates::Cosine(CosineAnnealingLr::new(steps)?),
        Rates::OneCycle(OneCycleLr::new(steps)?.cycle_momentum(0.85, 0.95)?),
    ])
}

type Named = Vec<(String, Parameter)>;

/// The losses of a training, and what is left in the end: parameters, buffers, averages and the optimizer's state.
fn train<O: Optimizer>(
    make: impl Fn(Named, bool) -> Result<O>,
    rates: Rates,
    variant: Variant,
    epochs: u64,
    eager: bool,
) -> Result<(History, Vec<u64>, Bits)> {
    let rng = &mut Rng::seed(1);
    let mut model = Sequential::new().push(Linear::new(4, 8, rng)?);
    model = match variant {
        Masked => model.push(Dropout::new(0.3)?),
        Normalized => model.push(BatchNorm1d::new(8)?),
        _ => model,
    };
    let model = model.push(Tanh).push(Linear::new(8, 3, rng)?);
    let parameters = model.parameters();
    let rows = if variant == SmallerLast { 43 } else { 48 };
    let data = (Tensor::randn(0.0, 1.0, (rows, 4), rng)?, classes(rows, 3, rng)?);
    let (losses, left) = (RefCell::new(Vec::new()), RefCell::new(Bits::new()));
    let mut ema = Ema::new(parameters.clone(), 0.9)?;
    let optimizer = make(parameters.clone(), variant == Groups)?;
    let mut trainer = Trainer::new(&model, CrossEntropy::new(), optimizer)
        .epochs(epochs)
        .batch_size(16)
        .schedule(rates)
        .silent()
        .on_step_end(|ctx| {
            losses.borrow_mut().push(ctx.loss.to_bits());
            match (variant, ctx.step) {
                (Averaged, _) => ema.update()?,
                (Freezing, 10) => parameters[0].1.set_frozen(true),
                (Freezing, 20) => parameters[0].1.set_frozen(false),
                _ => {}
            }
            Ok(())
        })
        .on_epoch_end(|ctx| {
            let state = ctx.optimizer.state_dict()?;
            *left.borrow_mut() =
                state.iter().map(|(name, x)| Ok((name.clone(), bits(x)?))).collect::<Result<_>>()?;
            Ok(())
        });
    trainer = match variant {
        Clipping => trainer.clip_grad_norm(0.1),
        Accumulation => trainer.accumulate(2),
        _ => trainer,
    };
    let history = if eager { trainer.eager() } else { trainer.always_replay() }.fit(&data, None)?;
    let mut left = left.into_inner();
    left.extend(state_bits(&model)?);
    for (name, average) in ema.state_dict()? {
        left.push((name, bits(&average)?));
    }
    Ok((history, losses.into_inner(), left))
}

fn same<O: Optimizer>(
    name: &str,
    make: impl Fn(Named, bool) -> Result<O>,
    variant: Variant,
    epochs: u64,
) -> Result<()> {
    let momentum = make(small()?.parameters(), false)?.set_momentum(Some(0.9)).is_ok();
    for (mine, rates) in rates(epochs)?.into_iter().zip(rates(epochs)?) {
        let text = format!("{name}, {variant:?}, {mine:?}");
        if !momentum && matches!(mine, Rates::OneCycle(_)) {
            continue;
        }
        let (history, losses, left) = train(&make, mine, variant, epochs, false)?;
        let (eager, expected, expected_left) = train(&make, rates, variant, epochs, true)?;
        let steps = losses.len() as u64;
        // The first with each shape and each set of frozen parameters is recorded.
        assert!(history.replayed_steps() >= steps - 2, "{text}: {} of {steps}", history.replayed_steps());
        assert_eq!(eager.replayed_steps(), 0);
        assert_eq!(losses, expected, "{text}");
        assert_eq!(left, expected_left, "{text}");
    }
    Ok(())
}

macro_rules! optimizers {
    ($($test:ident: $type:ident, $rate:expr, |$optimizer:ident| $settings:expr;)*) => {$(
        #[test]
        fn $test() -> Result<()> {
            let make = |parameters: Named, groups: bool| {
                let $optimizer = $type::new(parameters, $rate)?;
                let optimizer: $type = $settings;
                match groups {
                    true => optimizer.weight_decay(0.1)?.group("*bias", |group| group.weight_decay(0.0)),
                    false => Ok(optimizer),
                }
            };
            for variant in
                [Plain, Masked, Normalized, Clipping, Accumulation, Averaged, Groups, Freezing, SmallerLast]
            {
                same(stringify!($test), make, variant, 11)?;
            }
            Ok(())
        }
    )*};
}

optimizers! {
    sgd: Sgd, 0.05, |o| o;
    sgd_with_momentum: Sgd, 0.05, |o| o.momentum(0.9)?.nesterov()?;
    adam: Adam, 0.01, |o| o;
    adam_amsgrad: Adam, 0.01, |o| o.amsgrad();
    adamw: AdamW, 0.01, |o| o;
    adamax: Adamax, 0.01, |o| o;
    nadam: NAdam, 0.01, |o| o;
    radam: RAdam, 0.01, |o| o;
    adagrad: Adagrad, 0.05, |o| o;
    adadelta: Adadelta, 1.0, |o| o;
    rms_prop: RmsProp, 0.01, |o| o;
    rms_prop_centered: RmsProp, 0.01, |o| o.momentum(0.9)?.centered();
    lion: Lion, 0.01, |o| o;
}

#[test]
fn muon_and_lbfgs() -> Result<()> {
    let muon = |parameters: Named, groups: bool| {
        let (matrices, others): (Named, Named) =
            parameters.into_iter().partition(|(_, p)| p.get().rank() == 2);
        Muon::new(matrices, 0.02)?
            .weight_decay(if groups { 0.1 } else { 0.0 })?
            .others(AdamW::new(others, 0.01)?.weight_decay(0.0)?)
    };
    let lbfgs = |parameters: Named, _: bool| Lbfgs::new(parameters, 0.1)?.max_iter(3);
    for variant in [Plain, Masked, Normalized, Clipping, Accumulation, Averaged, Freezing, SmallerLast] {
        same("Muon", muon, variant, 11)?;
        same("L-BFGS", lbfgs, variant, 8)?;
    }
    same("Muon", muon, Groups, 11)
}

/// 10,008 steps, with a comparison every thousand.
#[test]
fn ten_thousand_steps() -> Result<()> {
    let adamw = |parameters: Named, _: bool| AdamW::new(parameters, 1e-3);
    let run = |eager| train(adamw, Rates::Cosine(CosineAnnealingLr::new(10_008)?), Normalized, 3336, eager);
    let ((history, losses, left), (_, expected, expected_left)) = (run(false)?, run(true)?);
    assert_eq!((history.replayed_steps(), losses.len()), (10_007, 10_008));
    assert!(losses == expected && left == expected_left);
    Ok(())
}

#[test]
fn a_compiled_function() -> Result<()> {
    let rng = &mut Rng::seed(3);
    let model = Sequential::new().push(Linear::new(4, 8, rng)?).push(Gelu).push(Linear::new(8, 1, rng)?);
    // The gradient by the input, and a number of axes that changes.
    let slope = |[x]: [&Tensor; 1]| {
        let x = x.clone().into_parameter();
        let [slope] = autograd::grad(&model.forward(&x, &mut ForwardContext::eval())?.sum_all()?, [&x])?;
        Ok(slope)
    };
    let mut compiled = compile(slope);
    for i in 0..12 {
        let x = Tensor::randn(0.0, 1.0, (1 + i % 3, 4), rng)?;
        assert_eq!(compiled.call([&x])?, slope([&x])?);
        if i == 8 {
            model.parameters()[1].1.set(&Tensor::ones(8, DType::F32, &Device::Cpu)?)?;
        }
    }
    assert!(compiled.program().unwrap().kernel_count() > 2);
    // What it looks at is refused with the line; what it draws too.
    let mut looks = compile(|[x]: [&Tensor; 1]| x * f64::from(x.sum_all()?.to_scalar::<f32>()?));
    let x = Tensor::ones(3, DType::F32, &Device::Cpu)?;
    let error = looks.call([&x]).unwrap_err().to_string();
    assert!(error.contains("to_scalar") && error.contains("tests/program.rs"), "{error}");
    let draws = std::cell::RefCell::new(Rng::seed(1));
    let mut draws = compile(|[x]: [&Tensor; 1]| x + Tensor::rand(0.0, 1.0, 3, &mut draws.borrow_mut())?);
    assert!(draws.call([&x]).unwrap_err().to_string().contains("random numbers"));
    // A hidden count is found by the comparison.
    let count = std::cell::Cell::new(0.0);
    let mut counts = compile(|[x]: [&Tensor; 1]| {
        count.set(count.get() + 1.0);
        x * count.get()
    });
    counts.call([&x])?;
    assert!(counts.call([&x]).unwrap_err().to_string().contains("does the same each time"));
    Ok(())
}

#[test]
fn forward_mode_is_replayed() -> Result<()> {
    type Function = fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>;
    let functions: [(&str, Function); 7] = [
        ("jvp", |u, x, v| autograd::jvp(u, [x], [v])),
        ("taylor, 2", |u, x, v| Ok(autograd::taylor(u, x, v, 2)?[1].clone())),
        ("taylor, 4", |u, x, v| Ok(autograd::taylor(u, x, v, 4)?[3].clone())),
        ("laplacian", |u, x, _| autograd::laplacian(u, x)),
        ("hessian_diagonal", |u, x, _| autograd::hessian_diagonal(u, x)),
        ("divergence", |u, x, _| autograd::divergence(u, x)),
        ("jvp of a gradient", |u, x, v| {
            let [slope] = autograd::grad(&u.sqr()?.sum_all()?, [x])?;
            autograd::jvp(&slope, [x], [v])
        }),
    ];
    for (name, f) in functions {
        // General, bilinear, diagonal, symmetric and linear operations.
        let make = || {
            let rng = &mut Rng::seed(3);
            let model = Sequential::new()
                .push(Linear::new(3, 8, rng)?)
                .push(Tanh)
                .push(Lambda::new(|x| x.softmax(-1)? + x.log_softmax(-1)?))
                .push(Linear::new(8, 3, rng)?)
                .push(Lambda::new(|x| x / (x.norm_keepdim(2.0, -1)? + 1.0)?));
            model.to_dtype(DType::F64)?;
            Ok::<_, Error>(model)
        };
        // As a function, which is seen to read the model's parameters.
        let model = make()?;
        let rng = &mut Rng::seed(4);
        let function = |[x, v]: [&Tensor; 2]| {
            let x = x.detach().into_parameter();
            f(&model.forward(&x, &mut ForwardContext::eval())?, &x, v)
        };
        let mut compiled = compile(function);
        let mut batch = |dims: [usize; 2]| Tensor::randn_dtype(0.0, 1.0, &dims[..], DType::F64, rng);
        for i in 0..4 {
            let (x, v) = (batch([5, 3])?, batch([5, 3])?);
            let y = compiled.call([&x, &v])?;
            assert!(y.flatten(0, -1)?.to_vec1::<f64>()?.iter().all(|y| y.is_finite()) && !y.requires_grad());
            assert_eq!(bits(&y)?, bits(&function([&x, &v])?)?, "{name}");
            if i == 1 {
                let (_, first) = &model.parameters()[0];
                first.set(&(first.get().detach() * 0.9)?)?;
            }
        }
        // In a loss, which is differentiated by the parameters; in a step that is replayed and one that is not.
        let loss = move |model: &Sequential, x: &Tensor, ctx: &mut ForwardContext| {
            let x = x.detach().into_parameter();
            f(&model.forward(&x, ctx)?, &x, &x.detach().sin()?)
        };
        struct Derived<F>(Sequential, F);
        impl<F: Fn(&Sequential, &Tensor, &mut ForwardContext) -> Result<Tensor> + Send + Sync> Layer for Derived<F> {
            fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
                (self.1)(&self.0, x, ctx)
            }
            fn fields<'a>(&'a self, fields: &mut tealight::layer::Fields<'a>) {
                fields.layer("inner", &self.0);
            }
        }
        let shape = function([&batch([5, 3])?, &batch([5, 3])?])?.dims().to_vec();
        let pairs =
            (0..3).map(|_| Ok((batch([5, 3])?, Tensor::zeros(&shape[..], DType::F64, &Device::Cpu)?)));
        let pairs = pairs.collect::<Result<Batches>>()?;
        compare(|| Ok(Derived(make()?, loss)), &pairs, Mse, 20, |step, _| step, |_, _| Ok(()))?;
    }
    Ok(())
}

#[test]
fn a_laplacian_of_any_number_of_axes_is_replayed() -> Result<()> {
    for d in [1, 2, 16, 17, 40] {
        let rng = &mut Rng::seed(6);
        let model = Sequential::new().push(Linear::new(d, 9, rng)?).push(Tanh).push(Linear::new(9, 1, rng)?);
        let model = model.push(Sigmoid).push(Linear::new(1, 1, rng)?);
        let function = |[x]: [&Tensor; 1]| {
            let x = x.detach().into_parameter();
            autograd::laplacian(&model.forward(&x, &mut ForwardContext::eval())?, &x)
        };
        let mut compiled = compile(function);
        for _ in 0..4 {
            let x = Tensor::randn(0.0, 1.0, (33, d), rng)?;
            assert_eq!(bits(&compiled.call([&x])?)?, bits(&function([&x])?)?, "{d}");
        }
        assert!(compiled.program().is_some());
    }
    Ok(())
}

#[test]
fn what_a_callback_changes_between_epochs_is_seen() -> Result<()> {
    let data = (Tensor::randn(0.0, 1.0, (160, 4), &mut Rng::seed(2))?, classes(160, 3, &mut Rng::seed(3))?);
    // A weight of the loss that is 0 at first, in closures: these are never replayed unless it is asked for.
    let run = |eager: bool| {
        let (model, weight, seen) = (small()?, std::cell::Cell::new(0.0), RefCell::new(Vec::new()));
        let mut trainer = Trainer::with_forward(
            &model,
            |inputs, ctx| model.forward(&inputs[0], ctx),
            |outputs, targets| {
                CrossEntropy::new().loss(&outputs[0], &targets[0])?
                    + (outputs[0].sqr()?.mean_all()? * weight.get())?
            },
            Sgd::new(model.parameters(), 0.1)?,
        )
        .batch_size(8)
        .epochs(4)
        .silent()
        .on_step_end(|ctx| {
            weight.set(if ctx.step < 30 { 0.0 } else { 0.5 });
            seen.borrow_mut().push(ctx.loss.to_bits());
            Ok(())
        });
        trainer = if eager { trainer.eager() } else { trainer };
        trainer.fit(&data, None)?;
        drop(trainer);
        Ok::<_, Error>(seen.into_inner())
    };
    assert_eq!(run(false)?, run(true)?);

    // A number that a layer reads and a callback changes after an epoch.
    let run = |eager: bool| {
        let (scaled, seen) = (std::sync::Arc::new(AtomicU32::new(1)), RefCell::new(Vec::new()));
        let own = scaled.clone();
        let scale = Lambda::new(move |x: &Tensor| x * f64::from(own.load(Ordering::Relaxed)));
        let model = small()?.push(scale);
        let mut trainer = Trainer::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?)
            .batch_size(8)
            .epochs(4)
            .silent()
            .on_step_end(|ctx| {
                seen.borrow_mut().push(ctx.loss.to_bits());
                Ok(())
            })
            .on_epoch_end(|ctx| {
                scaled.store(ctx.epoch as u32, Ordering::Relaxed);
                Ok(())
            });
        trainer = if eager { trainer.eager() } else { trainer };
        let replayed = trainer.fit(&data, None)?.replayed_steps();
        drop(trainer);
        Ok::<_, Error>((replayed, seen.into_inner()))
    };
    let ((replayed, got), (_, expected)) = (run(false)?, run(true)?);
    assert_eq!(got, expected);
    // The first epoch, and the second, in which the number is the same; from the third on the steps are computed anew.
    assert_eq!(replayed, 39);
    Ok(())
}

/// The optimizer's state has the dtype that the parameters had when it was made.
#[test]
fn parameters_may_change_their_dtype() -> Result<()> {
    let data = batches(&[4], 3)?;
    let run = |eager: bool| {
        let model = small()?;
        let step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-2)?);
        let mut step = if eager { step.eager() } else { step };
        let mut losses = Vec::new();
        for i in 0..20 {
            if i == 10 {
                model.to_dtype(DType::F64)?;
            }
            let (x, y) = &data[i % 3];
            losses.push(step.run(&if i < 10 { x.clone() } else { x.to_dtype(DType::F64)? }, y)?.to_bits());
        }
        assert_eq!(step.refusal().is_some(), eager);
        Ok::<_, Error>((losses, state_bits(&model)?))
    };
    assert_eq!(run(false)?, run(true)?);
    // With inputs that have no dtype of floats, nothing but the parameters tells.
    let tokens = Tensor::new(&[0_u32, 3, 1, 2], &Device::Cpu)?;
    let target = Tensor::new(&[0_u32, 1, 0, 1], &Device::Cpu)?;
    let run = |eager: bool| {
        let rng = &mut Rng::seed(1);
        let model = Sequential::new().push(Embedding::new(4, 3, rng)?).push(Linear::new(3, 2, rng)?);
        let step = TrainStep::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?);
        let mut step = if eager { step.eager() } else { step };
        let mut losses = Vec::new();
        for i in 0..30 {
            if i % 10 == 9 {
                model.to_dtype(if i == 9 { DType::F64 } else { DType::F32 })?;
            }
            losses.push(step.run(&tokens, &target)?.to_bits());
        }
        assert!(eager || step.replayed() > 20);
        Ok::<_, Error>((losses, state_bits(&model)?))
    };
    assert_eq!(run(false)?, run(true)?);
    Ok(())
}
