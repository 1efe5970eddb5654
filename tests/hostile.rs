//! Public functions with hostile arguments: they answer, or refuse by an error. None panics, and none ends the program.
//!
//! What each operation does with odd layouts, ranks and types, NaN and nothing is in ops/edges.rs; here are the arguments beside the
//! tensors, and what is built on the operations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
#[cfg(feature = "image")]
use tealight::data::image::Interpolation;
use tealight::data::{self, DataLoader, LabeledDataset, TensorDataset};
use tealight::functional::{image_to_vector, l1, l2};
use tealight::layer::{self, *};
use tealight::loss::*;
use tealight::metrics::*;
use tealight::normalize::MinMax;
use tealight::ops::{Pad, step};
use tealight::optim::schedule::*;
use tealight::optim::{Adadelta, Adagrad, Ema, Lbfgs, Lion, NAdam, RmsProp};
use tealight::prelude::*;

/// Numbers of things, and places. Nothing in between: a few GiB can be had, and take their time.
const SIZES: [usize; 9] = [0, 1, 2, 3, 7, 1 << 40, usize::MAX / 2, usize::MAX - 1, usize::MAX];
const AXES: [i64; 8] = [0, 1, -1, 2, -3, 7, i64::MIN, i64::MAX];
const FLOATS: [f64; 12] =
    [0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e308, -1e308, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX];

/// What was called, and what of it panicked.
#[derive(Default)]
struct Calls {
    count: usize,
    panics: Vec<String>,
}

impl Calls {
    /// Calls `f`; what it answers is all the same.
    fn call<T>(&mut self, what: impl Fn() -> String, f: impl FnOnce() -> T) -> Option<T> {
        self.count += 1;
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(answer) => Some(answer),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or(panic.downcast_ref::<&str>().map(|text| text.to_string()));
                self.panics.push(format!("{}: {}", what(), text.unwrap_or_default()));
                None
            }
        }
    }

    fn none_panicked(self, at_least: usize) {
        println!("{} calls", self.count);
        let some: Vec<_> = self.panics.iter().take(40).cloned().collect();
        assert!(some.is_empty(), "{} of {} panicked:\n{}", self.panics.len(), self.count, some.join("\n"));
        assert!(self.count >= at_least, "{} calls", self.count);
    }
}

/// Calls each expression with the arguments in scope, which are named in the report.
macro_rules! calls {
    ($calls:ident, [$($argument:ident),*], $($call:expr),* $(,)?) => {{
        let arguments = || [$(format!("{} = {:?}", stringify!($argument), $argument)),*].join(", ");
        $($calls.call(|| format!("{} with {}", stringify!($call), arguments()), || $call);)*
    }};
}

fn tensor(dims: &[usize], dtype: DType) -> Tensor {
    Tensor::ones(dims, dtype, &Device::Cpu).unwrap()
}

/// A tensor for a report: its shape and type.
struct Named(Tensor);

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {:?}", self.0.dims(), self.0.dtype())
    }
}

impl std::ops::Deref for Named {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// Tensors of many shapes and types, with NaN and infinities, strided, empty, and larger than any memory.
fn tensors() -> Vec<Named> {
    let mut all = Vec::new();
    for dims in
        [&[][..], &[0], &[1], &[3], &[2, 3], &[0, 4], &[4, 0], &[2, 3, 4], &[1, 3, 8, 8], &[1, 1, 1, 1, 1, 2]]
    {
        all.push(tensor(dims, DType::F32));
        all.push(tensor(dims, DType::F64));
    }
    for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16] {
        all.push(tensor(&[3], dtype));
        all.push(tensor(&[2, 3], dtype));
    }
    for x in FLOATS {
        all.push(Tensor::full(x, (2, 3), &Device::Cpu).unwrap());
        all.push(Tensor::full(x as f32, 3, &Device::Cpu).unwrap());
    }
    all.push(Tensor::new(&[u32::MAX, 0, 1 << 31], &Device::Cpu).unwrap());
    all.push(Tensor::new(&[i64::MIN, i64::MAX, -1], &Device::Cpu).unwrap());
    all.push(tensor(&[3, 2], DType::F32).t().unwrap());
    all.push(Tensor::parameter(tensor(&[2, 3], DType::F32)));
    all.into_iter().map(Named).collect()
}

/// Views with more elements than there is memory for.
fn endless() -> Vec<Named> {
    let shapes = [vec![1 << 44], vec![1 << 22, 1 << 22], vec![2, 1 << 44], vec![1 << 44, 2]];
    shapes
        .iter()
        .map(|dims| Named(tensor(&vec![1; dims.len()], DType::F32).broadcast_to(&dims[..]).unwrap()))
        .collect()
}

#[test]
fn operations_with_numbers() {
    let mut calls = Calls::default();
    let device = &Device::Cpu;
    for x in &tensors() {
        for n in SIZES {
            calls!(
                calls,
                [x, n],
                x.reshape(n),
                x.reshape((n, n)),
                x.broadcast_to(n),
                x.broadcast_to((n, n)),
                x.one_hot(n, DType::F32),
                x.one_hot(n, DType::U8),
                x.diag(n as i64),
                x.tril(n as i64),
                x.triu(-(n as i64 & i64::MAX)),
                x.tile(&[n, n]),
                x.i(n),
                x.i(n..),
                x.i((.., n)),
                x.i(step(.., n as i64)),
                x.upsample_nearest2d([n, n]),
                x.upsample_bilinear2d([n, 1], true),
                x.adaptive_avg_pool2d([n, 1]),
                x.avg_pool2d(PoolOptions::new(n)),
                x.max_pool2d(PoolOptions::new(2).stride(n)),
                x.max_pool1d(PoolOptions::new(2).padding(n)),
                x.max_pool2d(PoolOptions::new(2).dilation(n)),
                x.avg_pool1d(PoolOptions::new(1).stride(n).padding(n))
            );
            for axis in AXES {
                calls!(
                    calls,
                    [x, n, axis],
                    x.narrow(axis, n, 1),
                    x.narrow(axis, 0, n),
                    x.narrow(axis, n, n),
                    x.chunk(n, axis),
                    x.split(n, axis),
                    x.tensor_split(&[n, 0], axis),
                    x.repeat(n, axis),
                    x.topk(n, axis),
                    x.unfold(axis, n, 1),
                    x.unfold(axis, 1, n),
                    x.var(axis, n),
                    x.std(axis, n),
                    x.roll(n as i64, axis)
                );
            }
        }
        for a in AXES {
            calls!(
                calls,
                [x, a],
                x.sum(a),
                x.mean(a),
                x.max(a),
                x.min(a),
                x.prod(a),
                x.argmax(a),
                x.logsumexp(a),
                x.softmax(a),
                x.log_softmax(a),
                x.cumsum(a),
                x.cumprod(a),
                x.sort(a, true),
                x.argsort(a, false),
                x.flip(&[a]),
                x.flip(&[a, a]),
                x.squeeze(a),
                x.unsqueeze(a),
                x.sum_keepdim(&[a, a][..]),
                x.norm(0.0, a),
                Tensor::cat(&[&**x, &**x], a),
                Tensor::stack(&[&**x], a),
                x.i(a),
                x.i((a, a)),
                x.index_select(a, x),
                x.gather(a, x),
                x.scatter(a, x, x),
                x.scatter_add(a, x, x),
                x.index_add(a, x, x),
                x.count_nonzero(a),
                x.any(a),
                x.permute(&[a]),
                x.permute(&[a, 0])
            );
            for b in AXES {
                calls!(
                    calls,
                    [x, a, b],
                    x.transpose(a, b),
                    x.flatten(a, b),
                    x.permute(&[a, b]),
                    x.i(a..b),
                    x.i(step(a..b, -1))
                );
            }
        }
        for f in FLOATS {
            calls!(
                calls,
                [x, f],
                &**x + f,
                f - &**x,
                &**x * f,
                &**x / f,
                f / &**x,
                x.pow(f),
                x.powf(f),
                x.clamp(f, 1.0),
                x.clamp(0.0, f),
                x.remainder(f),
                x.norm_all(f),
                x.lerp(x, f),
                x.full_like(f),
                x.maximum(f),
                x.eq(f),
                x.lt(f),
                x.pad(&[(1, 1)], Pad::Constant(f)),
                x.masked_fill(x, f),
                x.addcmul(x, x, f)
            );
        }
        for pair in [(0, usize::MAX), (usize::MAX, usize::MAX), (1 << 40, 0), (3, 3), (0, 0)] {
            calls!(
                calls,
                [x, pair],
                x.pad(&[pair], Pad::Constant(0.0)),
                x.pad(&[pair], Pad::Reflect),
                x.pad(&[pair], Pad::Replicate),
                x.pad(&[pair; 9], Pad::Replicate)
            );
        }
        calls!(
            calls,
            [x],
            x.to_scalar::<f32>(),
            x.to_vec1::<f64>(),
            x.to_vec2::<u32>(),
            x.to_vec3::<i64>(),
            x.to_string(),
            format!("{x:?}"),
            x.backward(),
            x.graph().to_string(),
            x.trace(),
            x.t(),
            x.squeeze_all(),
            x.nonzero(),
            x.normalize_rows(2.0),
            x.sum_all().and_then(|y| y.backward()),
            x.masked_select(x),
            x.masked_scatter(x, x),
            x.where_cond(x, x),
            Tensor::meshgrid(&[&**x, &**x])
        );
    }
    for n in SIZES {
        for f in FLOATS {
            calls!(
                calls,
                [n, f],
                Tensor::linspace(0.0, f, n, device),
                Tensor::full(f, n, device),
                Tensor::arange(f, f + 3.0, device),
                Tensor::arange_step(0.0, 3.0, f, device),
                Tensor::rand(0.0, f, 3, &mut Rng::seed(1)),
                Tensor::randn(f, f, n.min(3), &mut Rng::seed(1))
            );
        }
        for m in SIZES {
            calls!(
                calls,
                [n, m],
                Tensor::zeros((n, m), DType::F32, device),
                Tensor::ones((n, m), DType::U8, device),
                Tensor::full(1.0, (n, m), device),
                Tensor::from_vec(vec![1.0; 4], (n, m), device),
                Tensor::randn(0.0, 1.0, (n, m), &mut Rng::seed(1)),
                Tensor::eye(n, DType::F64, device)
            );
        }
    }
    calls.none_panicked(10_000);
}

#[test]
fn operations_with_tensors() {
    let mut calls = Calls::default();
    let all = tensors();
    for x in &all {
        for y in &all {
            let (a, b) = (ConvOptions::new().stride(3), ConvOptions::new().padding(2).groups(3));
            calls!(
                calls,
                [x, y],
                &**x + &**y,
                x.matmul(y),
                x.dot(y),
                x.outer(y),
                x.matvec(y),
                x.conv1d(y, ConvOptions::new()),
                x.conv2d(y, ConvOptions::new()),
                x.conv1d(y, ConvOptions::new().dilation(usize::MAX)),
                x.conv2d(y, ConvOptions::new().padding(usize::MAX)),
                x.conv2d(y, a),
                x.conv2d(y, b),
                x.conv_transpose1d(y, ConvOptions::new()),
                x.conv_transpose2d(y, a),
                x.conv_transpose2d(y, ConvOptions::new().stride(usize::MAX)),
                x.index_select(0, y),
                x.gather(-1, y),
                x.assign(0, y),
                x.assign(.., y),
                x.atan2(y),
                x.backward_from(y),
                Tensor::einsum("ij,jk->ik", &[x, y]),
                Tensor::einsum("...,...", &[x, y]),
                autograd::grad(x, [y]),
                autograd::vjp(x, [x], y),
                autograd::hvp(x, [x], [y]),
                autograd::jvp(x, [x], [y]),
                l1(x, y),
                l2(x, y)
            );
        }
        calls!(
            calls,
            [x],
            autograd::jacobian(x, [x]),
            autograd::hessian(x, [x]),
            autograd::gradcheck(|v| v[0].sqr(), std::slice::from_ref(&x.0)),
        );
    }
    calls.none_panicked(10_000);
}

#[test]
fn more_elements_than_memory() {
    let mut calls = Calls::default();
    for x in &endless() {
        calls!(
            calls,
            [x],
            x.exp(),
            &**x + 1.0,
            &**x * &**x,
            x.to_vec1::<f32>(),
            x.to_vec2::<f32>(),
            x.to_dtype(DType::F64),
            x.softmax(0),
            x.sort(0, true),
            x.outer(x),
            Tensor::cat(&[&**x, &**x], 0),
            Tensor::stack(&[&**x], 0),
            x.repeat(2, 0),
            x.pad(&[(1, 1)], Pad::Replicate),
            x.flip(&[0]),
            x.roll(1, 0),
            x.one_hot(2, DType::F32),
            x.eq(1.0),
            x.cumsum(0),
            x.tril(0),
            x.where_cond(x, x),
            x.normalize_rows(2.0),
            x.nonzero(),
            Mse.reduction(Reduction::None).loss(x, x),
            Relu.apply(x),
            x.zeros_like(),
            x.log_softmax(-1),
            x.argsort(0, false),
            x.clamp(0.0, 1.0),
            x.masked_fill(x, 0.0),
            x.masked_select(x),
            x.max_pool1d(PoolOptions::new(1)),
            x.unfold(0, 2, 1),
            x.assign(0, &tensor(&[], DType::F32))
        );
    }
    let (row, column) = (tensor(&[1, 1], DType::F32), tensor(&[1, 1], DType::F32));
    let (row, column) = (row.broadcast_to((1, 1 << 23)).unwrap(), column.broadcast_to((1 << 23, 1)).unwrap());
    let (row, column) = (Named(row), Named(column));
    calls!(
        calls,
        [row, column],
        column.matmul(&row),
        &*row + &*column,
        row.flatten(0, 1).unwrap().outer(&column.flatten(0, 1).unwrap()),
        Tensor::einsum("ab,bc->ac", &[&column, &row]),
        tensor(&[1 << 23, 1], DType::F32).matmul(&row)
    );
    calls.none_panicked(50);
}

#[test]
fn layers() {
    let mut calls = Calls::default();
    let rng = &mut Rng::seed(1);
    let one = ConvOptions::<1>::new;
    let two = ConvOptions::<2>::new;
    for n in SIZES {
        for m in SIZES {
            calls!(
                calls,
                [n, m],
                Linear::new(n, m, rng),
                Embedding::new(n, m, rng),
                Bilinear::new(n, m, 1, rng),
                Bilinear::new(1, n, m, rng),
                Conv1d::new(n, m, 3, one(), rng),
                Conv1d::new(2, 2, n, one().groups(m), rng),
                Conv2d::new(n, m, 3, two().groups(n), rng),
                Conv2d::new(1, 1, [n, m], two().stride(m), rng),
                ConvTranspose1d::new(n, m, 2, one(), rng),
                ConvTranspose2d::new(n, m, 2, two().groups(m), rng),
                Lstm::new(n, m, RnnOptions::new(), rng),
                Gru::new(n, 2, RnnOptions::new().layers(m.min(3)), rng),
                Rnn::new(2, n, RnnOptions::new().bidirectional(), rng),
                MultiHeadAttention::new(n, m, rng),
                TransformerEncoderLayer::new(n, m, 4, rng),
                GroupNorm::new(n, m),
                LayerNorm::new((n, m)),
                RmsNorm::new((n, m)),
                Embedding::new(n.min(9), 2, rng).and_then(|layer| layer.padding_idx(m)),
                layer::init::orthogonal((n, m), 1.0, rng),
                layer::init::kaiming_uniform((n, m), 1.0, layer::init::Fan::In, rng),
                layer::init::xavier_normal((n, m), f64::NAN, rng)
            );
        }
        calls!(
            calls,
            [n],
            BatchNorm1d::new(n),
            BatchNorm2d::new(n),
            PRelu::per_channel(n),
            Standardize::new(n),
            MinMax::new(n),
            InstanceNorm::new(n).affine()
        );
    }
    for f in FLOATS {
        calls!(
            calls,
            [f],
            Dropout::new(f),
            Dropout2d::new(f),
            LayerNorm::new(2).unwrap().eps(f),
            BatchNorm1d::new(2).unwrap().eps(f),
            BatchNorm1d::new(2).unwrap().momentum(f),
            GroupNorm::new(1, 2).unwrap().eps(f),
            RmsNorm::new(2).unwrap().eps(f),
            Lstm::new(2, 2, RnnOptions::new().dropout(f), rng),
            MultiHeadAttention::new(2, 1, rng).unwrap().dropout(f),
            layer::init::truncated_normal(3, 0.0, f, f..-f, rng),
            layer::init::uniform(3, f, -f, rng)
        );
    }
    let odd = |options: PoolOptions<2>| MaxPool2d::new(options.stride(usize::MAX).padding(1));
    let models: Vec<(&str, Box<dyn Layer>)> = vec![
        ("linear", Box::new(Linear::new(3, 2, rng).unwrap())),
        ("linear without bias", Box::new(Linear::new(3, 2, rng).unwrap().without_bias())),
        ("conv1d", Box::new(Conv1d::new(3, 2, 2, one(), rng).unwrap())),
        ("conv2d", Box::new(Conv2d::new(3, 2, 3, two(), rng).unwrap())),
        ("conv_transpose2d", Box::new(ConvTranspose2d::new(3, 2, 3, two(), rng).unwrap())),
        ("max_pool2d", Box::new(odd(PoolOptions::new(2)))),
        ("avg_pool1d", Box::new(AvgPool1d::new(PoolOptions::new(2)))),
        ("adaptive", Box::new(AdaptiveAvgPool2d::new([3, 0]))),
        ("upsample", Box::new(Upsample::by(3))),
        ("embedding", Box::new(Embedding::new(3, 2, rng).unwrap())),
        ("batch norm", Box::new(BatchNorm1d::new(3).unwrap())),
        ("batch norm 2d", Box::new(BatchNorm2d::new(3).unwrap())),
        ("layer norm", Box::new(LayerNorm::new(3).unwrap())),
        ("group norm", Box::new(GroupNorm::new(3, 3).unwrap())),
        ("instance norm", Box::new(InstanceNorm::new(3))),
        ("rms norm", Box::new(RmsNorm::new(3).unwrap())),
        ("lstm", Box::new(Lstm::new(3, 2, RnnOptions::new(), rng).unwrap())),
        ("gru", Box::new(Gru::new(3, 2, RnnOptions::new().bidirectional().time_first(), rng).unwrap())),
        ("attention", Box::new(MultiHeadAttention::new(4, 2, rng).unwrap())),
        ("encoder", Box::new(TransformerEncoderLayer::new(4, 2, 8, rng).unwrap())),
        ("dropout", Box::new(Dropout::new(0.5).unwrap())),
        ("dropout2d", Box::new(Dropout2d::new(0.5).unwrap())),
        ("flatten", Box::new(Flatten)),
        ("reshape", Box::new(layer::Reshape::new(vec![3, usize::MAX]))),
        ("glu", Box::new(Glu::new(1))),
        ("prelu", Box::new(PRelu::per_channel(3).unwrap())),
        ("softmax", Box::new(Softmax::default())),
        ("normalize_rows", Box::new(NormalizeRows::default())),
        ("standardize", Box::new(Standardize::new(3).unwrap())),
        ("relu", Box::new(Relu)),
        ("gelu", Box::new(Gelu)),
    ];
    for (name, model) in &models {
        for x in &tensors() {
            let trained =
                || model.forward(x, &mut ForwardContext::train(Rng::seed(1)))?.sum_all()?.backward();
            calls!(calls, [name, x], model.predict(x), trained(), model.summary(x.dims()));
        }
        for x in &endless() {
            calls!(calls, [name, x], (*name != "linear" && !name.contains("norm")).then(|| model.predict(x)));
        }
    }
    calls.none_panicked(3000);
}

#[test]
fn losses_and_metrics() {
    let mut calls = Calls::default();
    let losses: Vec<Box<dyn Loss>> = vec![
        Box::new(CrossEntropy::new()),
        Box::new(CrossEntropy::new().ignore_index(i64::MIN)),
        Box::new(Nll::new()),
        Box::new(L1),
        Box::new(Mse.reduction(Reduction::Sum)),
        Box::new(Mse.reduction(Reduction::None)),
        Box::new(Mse.reduction(Reduction::BatchMean)),
        Box::new(Mse),
        Box::new(Bce),
        Box::new(BceWithLogits),
        Box::new(Hinge),
        Box::new(Huber::new()),
        Box::new(SmoothL1::new()),
        Box::new(KlDiv::new()),
        Box::new(PoissonNll::new()),
        Box::new(MultiMargin::new()),
    ];
    let metrics = || -> Vec<Box<dyn Metric>> {
        vec![
            Box::new(Accuracy::new()),
            Box::new(TopKAccuracy::new(2)),
            Box::new(TopKAccuracy::new(0)),
            Box::new(ConfusionMatrix::new().threshold(f64::NAN)),
            Box::new(Precision::new(Average::Class(u32::MAX))),
            Box::new(Recall::new(Average::Macro)),
            Box::new(F1::new(Average::Weighted)),
            Box::new(RocAuc::new()),
            Box::new(AveragePrecision::new()),
            Box::new(LogLoss::new()),
            Box::new(CalibrationError::new(0)),
            Box::new(CalibrationError::new(10)),
            Box::new(Mae::new()),
            Box::new(Rmse::new()),
            Box::new(R2::new()),
        ]
    };
    let all = tensors();
    for x in &all {
        for y in &all {
            for loss in &losses {
                calls!(calls, [loss, x, y], loss.loss(x, y).and_then(|loss| loss.backward()));
            }
            for mut metric in metrics() {
                let name = metric.name();
                calls!(
                    calls,
                    [name, x, y],
                    metric.update(x, y),
                    metric.value(),
                    metric.confusion().map(|c| (c.counts(), c.to_tensor()))
                );
            }
            calls!(
                calls,
                [x, y],
                CosineEmbedding::new().loss(x, x, y),
                GaussianNll::new().loss(x, y, y),
                TripletMargin::new().loss(x, y, x),
                CrossEntropy::new().class_weights(x).and_then(|loss| loss.loss(x, y)),
                BceWithLogits.pos_weight(x).and_then(|loss| loss.loss(x, y))
            );
        }
        calls!(
            calls,
            [x],
            Standardize::fit(x).and_then(|s| s.normalize(x)),
            MinMax::fit(x).and_then(|s| s.normalize(x)),
            NormalizeRows::default().normalize(x),
            tealight::ops::sigmoid_derivative(x),
            image_to_vector(x)
        );
    }
    for f in FLOATS {
        calls!(calls, [f], CrossEntropy::new().label_smoothing(f), MultiMargin::new().margin(f));
    }
    calls.none_panicked(20_000);
}

#[test]
fn optimizers_and_schedules() {
    let mut calls = Calls::default();
    let model = Linear::new(2, 2, &mut Rng::seed(1)).unwrap();
    let own = || model.parameters();
    let step = |optimizer: Result<Box<dyn Optimizer>>| {
        let mut optimizer = optimizer?;
        let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu)?;
        let gradients = model.forward(&x, &mut ForwardContext::eval())?.sum_all()?.backward()?;
        optimizer.step(&gradients)?;
        optimizer.set_learning_rate(f64::NAN).unwrap_err();
        let state = optimizer.state_dict()?;
        optimizer.load_state_dict(&state)
    };
    for f in FLOATS {
        calls!(
            calls,
            [f],
            step(Ok(Box::new(Sgd::new(own(), f)?))),
            step(Ok(Box::new(Adam::new(own(), f)?))),
            step(Ok(Box::new(RmsProp::new(own(), f)?))),
            step(Ok(Box::new(Adagrad::new(own(), f)?))),
            step(Ok(Box::new(Adadelta::new(own(), f)?))),
            step(Ok(Box::new(Lion::new(own(), f)?))),
            step(Ok(Box::new(NAdam::new(own(), f)?))),
            Lbfgs::new(own(), f),
            Ema::new(own(), f),
            ExponentialLr::new(f),
            ReduceLrOnPlateau::new(f)
        );
        for g in FLOATS {
            calls!(
                calls,
                [f, g],
                Sgd::new(own(), 0.1).and_then(|o| o.momentum(f)?.weight_decay(g)?.dampening(g)?.nesterov()),
                AdamW::new(own(), 0.1).and_then(|o| o.betas(f, g)?.eps(g)?.weight_decay(f)),
                NAdam::new(own(), 0.1).and_then(|o| o.betas(f, g)),
                RmsProp::new(own(), 0.1).and_then(|o| o.alpha(f)?.momentum(g)),
                Lbfgs::new(own(), 1.0).and_then(|o| o.tolerance_grad(f)?.tolerance_change(g)),
                ReduceLrOnPlateau::new(0.5).map(|mut p| [f, g, f64::NAN].map(|loss| p.observe(loss, g)))
            );
        }
        for n in SIZES {
            for at in SIZES {
                calls!(
                    calls,
                    [f, n, at],
                    CosineAnnealingLr::new(n).and_then(|s| Ok(s.min_factor(f)?.factor(at))),
                    CosineAnnealingWarmRestarts::new(n, at).map(|s| s.factor(at)),
                    OneCycleLr::new(n).and_then(|s| Ok(s.pct_start(f)?.factor(at))),
                    LinearLr::new(f, 1.0, n).map(|s| s.factor(at)),
                    StepLr::new(n, f).map(|s| s.factor(at)),
                    MultiStepLr::new(&[n, at], f).map(|s| s.factor(at)),
                    PolynomialLr::new(n, f).map(|s| s.factor(at)),
                    ExponentialLr::new(f).map(|s| s.factor(n)),
                    Lbfgs::new(own(), 1.0).and_then(|o| o.max_iter(n)?.history_size(at))
                );
            }
        }
    }
    calls.none_panicked(3000);
}

#[test]
fn data_and_plots() {
    let mut calls = Calls::default();
    let directory = tempfile::tempdir().unwrap();
    let all = tensors();
    for x in &all {
        for y in &all {
            let labelled = LabeledDataset {
                inputs: x.0.clone(),
                targets: y.0.clone(),
                classes: vec!["a".into()],
                features: vec![],
            };
            calls!(
                calls,
                [x, y],
                TensorDataset::new(x, y)
                    .and_then(|d| DataLoader::new(&d, 2)?.epoch()?.collect::<Result<Vec<_>>>()),
                labelled.class_counts(),
                labelled.train_test_split(0.5, &mut Rng::seed(1)),
                labelled.one_vs_rest(0),
                labelled.balancing_weights(),
                labelled.split_at(1),
                labelled.select(&[0, 9])
            );
            #[cfg(feature = "plot")]
            {
                let path = directory.path().join("a.svg");
                calls!(
                    calls,
                    [x, y],
                    tealight::plot::predictions(&path, "", &labelled, y),
                    tealight::plot::misclassified(&path, &labelled, y),
                    tealight::plot::decision_boundary(&path, "", &labelled, |_| Ok(y.0.clone()))
                );
            }
        }
        for n in SIZES {
            calls!(
                calls,
                [x, n],
                data::stratified_split(x, 0.5, &mut Rng::seed(1)),
                data::stratified_k_fold(x, n, &mut Rng::seed(1))
            );
            #[cfg(feature = "image")]
            calls!(
                calls,
                [x, n],
                data::image::resize(x, (n, 3), Interpolation::Bilinear),
                data::image::resize(x, n, Interpolation::Bicubic),
                data::image::center_crop(x, n, n),
                data::image::write_png(directory.path().join("a.png"), x)
            );
        }
        #[cfg(feature = "plot")]
        {
            let path = directory.path().join("a.svg");
            calls!(
                calls,
                [x],
                tealight::plot::heatmap(&path, "", x),
                tealight::plot::image_grid(&path, "", x, &["a"]),
                tealight::plot::weights(&path, "", x),
                tealight::plot::histogram(&path, "", "", &[("a", x.0.clone())])
            );
        }
    }
    for f in FLOATS {
        calls!(
            calls,
            [f],
            data::random_split(9, f, &mut Rng::seed(1)),
            data::random_split(usize::MAX, f, &mut Rng::seed(1)).is_ok()
        );
        #[cfg(feature = "plot")]
        for g in FLOATS {
            let path = directory.path().join("a.svg");
            calls!(
                calls,
                [f, g],
                tealight::plot::curve(&path, "", "", "", &[("a", vec![(f, g), (g, f)])]),
                tealight::plot::curve_with_axes(
                    &path,
                    "",
                    &tealight::plot::Axes::new("", "").log_x().log_y(),
                    &[("a", vec![(f, g)])]
                ),
                tealight::plot::activation(&path, &Tanh, f..g)
            );
        }
    }
    for n in SIZES {
        calls!(
            calls,
            [n],
            data::k_fold(9, n, &mut Rng::seed(1)),
            data::k_fold(n.min(9), 3, &mut Rng::seed(1)),
            Rng::seed(1).permutation(n.min(9))
        );
    }
    calls.none_panicked(5000);
}

/// Shapes and places that nobody thought of.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![6 => 0_usize..5, 1 => any::<usize>(), 1 => Just(usize::MAX)], 0..5)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]

    #[test]
    fn any_shapes_and_places(dims in prop::collection::vec(0_usize..4, 0..5), other in shape(), axes in prop::collection::vec(any::<i64>(), 0..4),
                             spec in "[a-c.,> -]{0,12}", n in any::<usize>(), small in -5_i64..5) {
        let x = Named(tensor(&dims, DType::F64));
        let mut calls = Calls::default();
        calls!(calls, [x, other], x.reshape(&other[..]), x.broadcast_to(&other[..]), Tensor::zeros(&other[..], DType::F32, &Device::Cpu), x.tile(&other),
            x.tensor_split(&other, 0), Tensor::randn(0.0, 1.0, &other[..], &mut Rng::seed(1)));
        calls!(calls, [x, axes], x.permute(&axes), x.flip(&axes), x.sum(&axes[..]), x.max(&axes[..]), x.var(&axes[..], 1), x.logsumexp_keepdim(&axes[..]));
        calls!(calls, [x, spec], Tensor::einsum(&spec, &[&x]), Tensor::einsum(&spec, &[&x, &x]));
        calls!(calls, [x, n, small], x.narrow(small, n, 1), x.i(small), x.i((.., small)), x.chunk(n, small), x.unfold(small, n, 1), x.repeat(n, small),
            x.roll(n as i64, small), x.i(small..), x.i(step(.., small)));
        proptest::prop_assert!(calls.panics.is_empty(), "{:?}", calls.panics);
    }
}
