//! A replayed step takes no memory from the heap, and a solver of an equation none for its steps.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking
#![allow(unsafe_code)] // an allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tealight::activation::HardSwish;
use tealight::implicit::Odeint;
use tealight::layer::*;
use tealight::loss::*;
use tealight::ops::{ConvOptions, ConvPadding, PoolOptions};
use tealight::optim::*;
use tealight::prelude::*;
use tealight::program::TrainStep;

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are in use, and the most since this was set to them.
static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test after the other: the counters are those of the whole program, the threads of other tests included.
#[test]
fn memory() -> Result<()> {
    every_layer_takes_none()?;
    every_loss_takes_none()?;
    every_optimizer_takes_none()?;
    models_take_none()?;
    large_loops_take_what_threads_need()?;
    a_replayed_step_holds_less()?;
    odeint_takes_none_for_its_steps()
}

/// How often memory is taken in each of some replayed steps.
fn taken(name: &str, mut step: TrainStep, x: &Tensor, y: &Tensor) -> Result<usize> {
    const STEPS: usize = 20;
    for _ in 0..6 {
        step.run(x, y)?;
    }
    assert!(step.refusal().is_none(), "{name}: {:?}", step.refusal());
    let before = TAKEN.load(Ordering::Relaxed);
    for _ in 0..STEPS {
        step.run(x, y)?;
    }
    Ok((TAKEN.load(Ordering::Relaxed) - before).div_ceil(STEPS))
}

fn numbers(dims: &[usize]) -> Result<Tensor> {
    Tensor::randn(0.0, 1.0, dims, &mut Rng::seed(9))
}

/// The numbers below `count` in turn.
fn classes(dims: &[usize], count: usize) -> Result<Tensor> {
    let n = dims.iter().product();
    Tensor::from_vec((0..n).map(|i| (i % count) as u32).collect(), dims, &Device::Cpu)
}

/// A step through the layer, its gradient included.
fn layer(name: &str, layer: impl Layer + 'static, dims: &[usize]) -> Result<()> {
    let width = dims[dims.len() - 1];
    let model = Sequential::new().push(Linear::new(width, width, &mut Rng::seed(1))?).push(layer);
    let x = numbers(dims)?;
    let y = numbers(model.predict(&x)?.dims())?;
    let taken = taken(name, TrainStep::new(&model, Mse, Sgd::new(model.parameters(), 1e-3)?), &x, &y)?;
    assert_eq!(taken, 0, "{name}");
    Ok(())
}

fn every_layer_takes_none() -> Result<()> {
    let (rng, rnn) = (&mut Rng::seed(1), RnnOptions::new());
    let (line, plane) = (ConvOptions::<1>::new(), ConvOptions::<2>::new());
    let mut conv = |name, [inputs, outputs, kernel]: [usize; 3], options: ConvOptions<2>| {
        layer(name, Conv2d::new(inputs, outputs, kernel, options, rng)?, &[3, inputs, 8, 8])
    };
    conv("Conv2d", [3, 4, 3], plane.padding(1))?;
    conv("Conv2d, channels in vectors", [8, 16, 3], plane.padding(1))?;
    conv("Conv2d in tiles", [16, 16, 3], plane.padding(1))?;
    conv("Conv2d, pointwise", [3, 4, 1], plane)?;
    conv("Conv2d, strided", [3, 4, 3], plane.padding(1).stride(2))?;
    conv("Conv2d, large and strided", [3, 16, 7], plane.padding(3).stride(2))?;
    conv("Conv2d, dilated", [3, 4, 3], plane.padding(2).dilation(2))?;
    conv("Conv2d, depthwise", [4, 4, 3], plane.padding(1).groups(4))?;
    conv("Conv2d, depthwise and strided", [4, 4, 3], plane.padding(1).groups(4).stride(2))?;
    conv("Conv2d, same", [3, 4, 3], plane.padding(ConvPadding::Same))?;
    let rng = &mut Rng::seed(2);
    layer("Conv1d", Conv1d::new(3, 4, 3, line.padding(1), rng)?, &[2, 3, 8])?;
    layer("ConvTranspose1d", ConvTranspose1d::new(3, 4, 3, line.stride(2), rng)?, &[2, 3, 8])?;
    layer("ConvTranspose2d", ConvTranspose2d::new(3, 4, 3, plane.stride(2), rng)?, &[2, 3, 8, 8])?;
    layer("Linear", Linear::new(8, 3, rng)?, &[4, 8])?;
    layer("MaxPool1d", MaxPool1d::new(PoolOptions::new(2)), &[2, 3, 8])?;
    layer("MaxPool2d", MaxPool2d::new(PoolOptions::new(2)), &[2, 3, 8, 8])?;
    layer("MaxPool2d, overlapping", MaxPool2d::new(PoolOptions::new(3).stride(2)), &[2, 3, 8, 8])?;
    layer("AvgPool1d", AvgPool1d::new(PoolOptions::new(2)), &[2, 3, 8])?;
    layer("AvgPool2d", AvgPool2d::new(PoolOptions::new(3).stride(2)), &[2, 3, 8, 8])?;
    layer("AdaptiveAvgPool1d", AdaptiveAvgPool1d::new(3), &[2, 3, 8])?;
    layer("AdaptiveAvgPool2d", AdaptiveAvgPool2d::new([1, 1]), &[2, 3, 8, 8])?;
    layer("AdaptiveMaxPool1d", AdaptiveMaxPool1d::new(3), &[2, 3, 8])?;
    layer("AdaptiveMaxPool2d", AdaptiveMaxPool2d::new([3, 2]), &[2, 3, 8, 8])?;
    layer("Upsample", Upsample::to([16, 16]), &[2, 3, 8, 8])?;
    layer("Upsample, bilinear", Upsample::to([16, 16]).bilinear(false), &[2, 3, 8, 8])?;
    layer("BatchNorm1d", BatchNorm1d::new(8)?, &[4, 8])?;
    layer("BatchNorm2d", BatchNorm2d::new(3)?, &[4, 3, 8, 8])?;
    layer("LayerNorm", LayerNorm::new(8)?, &[4, 8])?;
    layer("RmsNorm", RmsNorm::new(8)?, &[4, 8])?;
    layer("GroupNorm", GroupNorm::new(2, 4)?, &[4, 4, 8, 8])?;
    layer("InstanceNorm", InstanceNorm::new(4), &[4, 4, 8, 8])?;
    layer("Rnn", Rnn::new(8, 5, rnn, rng)?, &[3, 4, 8])?;
    layer("Lstm", Lstm::new(8, 5, rnn.layers(2).bidirectional(), rng)?, &[3, 4, 8])?;
    layer("Gru", Gru::new(32, 32, rnn.layers(2).dropout(0.3), rng)?, &[8, 16, 32])?;
    layer("MultiHeadAttention", MultiHeadAttention::new(32, 4, rng)?, &[4, 16, 32])?;
    layer("TransformerEncoderLayer", TransformerEncoderLayer::new(8, 2, 16, rng)?, &[3, 4, 8])?;
    layer("Dropout", Dropout::new(0.3)?, &[4, 8])?;
    layer("Dropout2d", Dropout2d::new(0.3)?, &[4, 3, 8, 8])?;
    layer("Flatten", Flatten, &[4, 3, 8])?;
    layer("Reshape", Reshape::new([8, 3]), &[4, 3, 8])?;
    layer("Softmax", Softmax::new(1), &[4, 3, 8])?;
    layer("LogSoftmax", LogSoftmax::new(-1), &[4, 8])?;
    layer("Softmin", Softmin::new(-1), &[4, 8])?;
    layer("PRelu", PRelu::new()?, &[4, 8])?;
    layer("Glu", Glu::new(-1), &[4, 8])?;
    layer("Residual", Residual::new(Linear::new(8, 8, rng)?), &[4, 8])?;
    layer("Lambda", Lambda::new(|x| x.transpose(1, 2)?.mean(1)), &[4, 3, 8])?;
    layer("Tanh", Tanh, &[4, 8])?;
    layer("Gelu", Gelu, &[4, 8])?;
    layer("HardSwish", HardSwish, &[4, 8])
}

/// A step of a linear layer with 5 inputs, and what turns its results into what the loss takes.
fn loss(name: &str, loss: impl Loss + 'static, last: impl Layer + 'static, y: &Tensor) -> Result<()> {
    let model = Sequential::new().push(Linear::new(5, 3, &mut Rng::seed(1))?).push(last);
    let step = TrainStep::new(&model, loss, Sgd::new(model.parameters(), 1e-3)?);
    assert_eq!(taken(name, step, &numbers(&[8, 5])?, y)?, 0, "{name}");
    Ok(())
}

fn every_loss_takes_none() -> Result<()> {
    let (plain, logs) = (Residual::new(Tanh), LogSoftmax::new(-1));
    let (y, class, binary) =
        (numbers(&[8, 3])?, classes(&[8], 3)?, classes(&[8, 3], 2)?.to_dtype(DType::F32)?);
    let (sign, shares) = (((&binary * 2.0)? - 1.0)?, y.softmax(-1)?);
    loss("L1", L1, plain, &y)?;
    loss("Mse", Mse, plain, &y)?;
    loss("Huber", Huber::new(), plain, &y)?;
    loss("SmoothL1", SmoothL1::new(), plain, &y)?;
    loss("Bce", Bce, Sigmoid, &binary)?;
    loss("BceWithLogits", BceWithLogits, plain, &binary)?;
    loss("CrossEntropy", CrossEntropy::new(), plain, &class)?;
    loss("CrossEntropy, smoothed", CrossEntropy::new().label_smoothing(0.1)?, plain, &class)?;
    loss("CrossEntropy of probabilities", CrossEntropy::new(), plain, &shares)?;
    loss("Focal", Focal::new(), plain, &class)?;
    loss("SigmoidFocal", SigmoidFocal::new(), plain, &binary)?;
    loss("Nll", Nll::new(), logs, &class)?;
    loss("MultiLabelSoftMargin", MultiLabelSoftMargin::new(), plain, &binary)?;
    loss("Hinge", Hinge, plain, &sign)?;
    loss("SoftMargin", SoftMargin, plain, &sign)?;
    loss("HingeEmbedding", HingeEmbedding::new(), plain, &sign)?;
    loss("KlDiv", KlDiv::new(), logs, &shares)?;
    loss("PoissonNll", PoissonNll::new(), plain, &binary)
}

fn every_optimizer_takes_none() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let model = Sequential::new().push(Linear::new(5, 6, rng)?).push(Relu).push(Linear::new(6, 3, rng)?);
    let (x, y, p) = (numbers(&[8, 5])?, classes(&[8], 3)?, || model.parameters());
    let run = |name: &str, step: TrainStep| -> Result<()> {
        assert_eq!(taken(name, step, &x, &y)?, 0, "{name}");
        Ok(())
    };
    macro_rules! each {
        ($($name:literal: $optimizer:expr;)*) => {
            $(
                run($name, TrainStep::new(&model, CrossEntropy::new(), $optimizer))?;
                run($name, TrainStep::new(&model, CrossEntropy::new(), $optimizer).clip_grad_norm(0.01))?;
            )*
        };
    }
    each! {
        "Sgd": Sgd::new(p(), 1e-3)?;
        "Sgd with momentum": Sgd::new(p(), 1e-3)?.momentum(0.9)?.nesterov()?;
        "Adam": Adam::new(p(), 1e-3)?.amsgrad();
        "AdamW": AdamW::new(p(), 1e-3)?;
        "NAdam": NAdam::new(p(), 1e-3)?;
        "RAdam": RAdam::new(p(), 1e-3)?;
        "Adamax": Adamax::new(p(), 1e-3)?;
        "RmsProp": RmsProp::new(p(), 1e-3)?;
        "Adagrad": Adagrad::new(p(), 1e-3)?;
        "Adadelta": Adadelta::new(p(), 1e-3)?;
        "Lion": Lion::new(p(), 1e-3)?;
    }
    Ok(())
}

/// x·w·x for two halves of x, as a layer.
struct Halves(Bilinear);

impl Layer for Halves {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.0.apply(&x.i((.., ..4))?, &x.i((.., 4..))?)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.0.fields(fields);
    }
}

fn models_take_none() -> Result<()> {
    let rng = &mut Rng::seed(1);
    layer("Bilinear", Halves(Bilinear::new(4, 4, 3, rng)?), &[4, 8])?;
    let (words, y) = (classes(&[4, 7], 11)?, classes(&[4], 3)?);
    let mut first: Vec<(&str, Box<dyn Layer>)> = vec![(
        "Embedding",
        Box::new(Sequential::new().push(Embedding::new(11, 6, rng)?).push(Lambda::new(|x| x.mean(1)))),
    )];
    for (name, mode) in [("sums", BagMode::Sum), ("means", BagMode::Mean), ("maxima", BagMode::Max)] {
        first.push((name, Box::new(EmbeddingBag::new(11, 6, rng)?.mode(mode))));
    }
    for (name, first) in first {
        let model = Sequential::new().push(first).push(Linear::new(6, 3, rng)?);
        let step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-3)?);
        assert_eq!(taken(name, step, &words, &y)?, 0, "{name}");
    }
    let mut model = Sequential::new();
    for [inputs, outputs] in [[3, 8], [8, 16]] {
        model = model
            .push(Conv2d::new(inputs, outputs, 3, ConvOptions::new().padding(1), rng)?)
            .push(BatchNorm2d::new(outputs)?)
            .push(Relu)
            .push(MaxPool2d::new(PoolOptions::new(2)));
    }
    let model = model.push(Flatten).push(Linear::new(64, 3, rng)?);
    let step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-3)?);
    assert_eq!(taken("CNN", step, &numbers(&[4, 3, 8, 8])?, &y)?, 0, "CNN");
    Ok(())
}

/// Threads that share a loop take memory: two pieces for each loop, one of them rayon's, and rayon's queue some after many.
fn large_loops_take_what_threads_need() -> Result<()> {
    let model = Sequential::new().push(Linear::new(600, 500, &mut Rng::seed(1))?).push(Relu);
    let (x, y) = (numbers(&[600, 600])?, numbers(&[600, 500])?);
    let step = TrainStep::new(&model, Mse, AdamW::new(model.parameters(), 1e-3)?);
    let taken = taken("large", step, &x, &y)?;
    println!("a large model: {taken}");
    let one_thread = std::env::var("RAYON_NUM_THREADS").is_ok_and(|threads| threads == "1");
    assert!(taken <= if one_thread { 0 } else { 50 }, "{taken}");
    Ok(())
}

fn a_replayed_step_holds_less() -> Result<()> {
    let build = || -> Result<Sequential> {
        let (rng, mut model) = (&mut Rng::seed(4), Sequential::new());
        for [inputs, outputs] in [[3, 16], [16, 32]] {
            model = model
                .push(Conv2d::new(inputs, outputs, 3, ConvOptions::new().padding(1), rng)?)
                .push(BatchNorm2d::new(outputs)?)
                .push(Relu)
                .push(MaxPool2d::new(PoolOptions::new(2)));
        }
        Ok(model.push(Flatten).push(Linear::new(512, 4, rng)?))
    };
    let x = Tensor::randn(0.0, 1.0, (16, 3, 16, 16), &mut Rng::seed(5))?;
    let y = Tensor::new(&[0u32, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3], &Device::Cpu)?;
    // The most bytes in the first steps and in later ones, above those of the model.
    let most = |eager: bool| -> Result<[usize; 2]> {
        let model = build()?;
        let before = USED.load(Ordering::Relaxed);
        let mut step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-3)?);
        if eager {
            step = step.eager();
        }
        let mut most = |steps: usize| -> Result<usize> {
            MOST.store(USED.load(Ordering::Relaxed), Ordering::Relaxed);
            for _ in 0..steps {
                step.run(&x, &y)?;
            }
            Ok(MOST.load(Ordering::Relaxed) - before)
        };
        Ok([most(3)?, most(5)?])
    };
    let ([first, _], [recorded, replayed]) = (most(true)?, most(false)?);
    println!("eager: {first} bytes, replayed: {recorded} in the first steps, then {replayed}");
    assert!(5 * replayed < 3 * first, "{replayed} bytes, {first} eager");
    // A run that is recorded or compared with, and less than another one beside it.
    assert!(recorded < 2 * first, "{recorded} bytes in the first steps, {first} eager");
    Ok(())
}

fn odeint_takes_none_for_its_steps() -> Result<()> {
    let rng = &mut Rng::seed(2);
    let layer = Linear::new(64, 64, rng)?;
    layer.to_dtype(DType::F64)?;
    let start = Tensor::randn_dtype(0.0, 1.0, (16, 64), DType::F64, rng)?.into_parameter();
    // The bytes of the solution and its gradients, and how often the function was evaluated.
    let most = |end: f64| -> Result<(usize, usize)> {
        let calls = std::sync::Arc::new(AtomicUsize::new(0));
        let (held, counted) = (layer.clone(), calls.clone());
        let field = move |t: f64, y: &Tensor| {
            counted.fetch_add(1, Ordering::Relaxed);
            held.forward(y, &mut ForwardContext::eval())?.sin()? + 20.0 * (20.0 * t).cos()
        };
        let reads: Vec<Tensor> = layer.parameters().iter().map(|(_, p)| p.get()).collect();
        let before = USED.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let y = Odeint::new().rtol(1e-3)?.atol(1e-3)?.solve(field, &start, &[0.0, end], &reads)?;
        assert_eq!(y.sum_all()?.backward()?.len(), 3);
        Ok((MOST.load(Ordering::Relaxed) - before, calls.load(Ordering::Relaxed)))
    };
    most(0.1)?;
    let ((short, few), (long, many)) = (most(0.5)?, most(20.0)?);
    assert!(many > 10 * few, "{few} and {many} evaluations");
    assert!(long < short + short / 20, "{short} bytes for {few} evaluations, {long} for {many}");
    Ok(())
}
