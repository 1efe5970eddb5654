//! What programs compute from other inputs, against the operations and layers themselves.

use super::{Program, TrainStep, compile, storage};
use crate::autograd::array::numbers;
use crate::autograd::launch::{Recording, ValueView};
use crate::layer::{self, AttentionMask, BagMode, EmbeddingBag, ForwardContext, Layer, RnnOptions};
use crate::loss;
use crate::ops::{Pad, step};
use crate::prelude::*;

fn replay(program: &mut Program, externals: &[Array], views: &[ValueView], seed: u64) -> Result<Vec<Array>> {
    let mut rng = Rng::seed(seed);
    let storages = externals.iter().map(storage).collect::<Result<Vec<_>>>()?;
    let storages: Vec<_> = storages.iter().collect();
    program.run(&storages, &mut |out| rng.fill_uniform(out))?;
    views.iter().map(|view| program.value(view, &storages).to_array()).collect()
}

/// The results of `f`, and the gradients of the float inputs.
fn run(f: &F<'_>, arrays: &[Array], seed: u64) -> Result<Vec<Array>> {
    let leaf = |x: &Array| match x.dtype().is_float() {
        true => Tensor::parameter(x.clone()),
        false => Tensor::from(x.clone()),
    };
    let leaves: Vec<Tensor> = arrays.iter().map(leaf).collect();
    let ys = f(&leaves, &mut ForwardContext::train(Rng::seed(seed)))?;
    let mut total: Option<Tensor> = None;
    for y in ys.iter().filter(|y| y.requires_grad()) {
        let sum = y.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        total = Some(match total {
            Some(total) => (total + sum)?,
            None => sum,
        });
    }
    let mut all: Vec<Array> = ys.iter().map(|y| y.array().clone()).collect();
    if let Some(total) = total {
        let gradients = total.backward()?;
        all.extend(leaves.iter().filter_map(|x| gradients.get(x)).map(|g| g.array().clone()));
    }
    Ok(all)
}

/// The recording, and the parameters and buffers that it read.
fn with_state(mut recording: Recording) -> (Recording, Vec<Array>) {
    let state = std::mem::take(&mut recording.state);
    (recording, state.iter().map(|state| state().into_array()).collect())
}

type F<'a> = dyn Fn(&[Tensor], &mut ForwardContext) -> Result<Vec<Tensor>> + 'a;

/// Whether a recording with the first inputs computes from the second ones what `f` does.
fn same(name: &str, f: &F<'_>, [first, second]: [Vec<Array>; 2]) -> std::result::Result<(), String> {
    let text = |error: Error| format!("{name}: {error}");
    let record = |fused: bool| {
        let (results, recording) = Recording::of(&first, || run(f, &first, 1))?;
        let (recording, state) = with_state(recording?);
        let externals = [first.clone(), state.clone()].concat();
        let mut program = Program::new(recording, &externals, &results.iter().collect::<Vec<_>>())?;
        if fused {
            program = program.fused();
        }
        let views = program.outputs.clone();
        // The second run finds what the first one left in the memory.
        replay(&mut program, &externals, &views, 1)?;
        Ok((replay(&mut program, &[second.clone(), state].concat(), &views, 2)?, run(f, &second, 2)?))
    };
    for fused in [false, true] {
        let (got, expected) = record(fused).map_err(text)?;
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let (a, b) = (numbers(got).map_err(text)?, numbers(expected).map_err(text)?);
            if !a.iter().zip(&b).all(|(a, b)| a == b || a.is_nan() && b.is_nan()) || a.len() != b.len() {
                return Err(format!("{name}: result {i} is {a:?}, not {b:?}, {fused}"));
            }
        }
    }
    Ok(())
}

fn normal(dims: &[usize], seed: u64) -> Array {
    Tensor::randn_dtype(0.0, 1.0, dims, DType::F32, &mut Rng::seed(seed)).unwrap().into_array()
}

fn below(n: usize, dims: &[usize], seed: u64) -> Array {
    let mut rng = Rng::seed(seed);
    let numbers: Vec<u32> = (0..dims.iter().product()).map(|_| rng.below(n) as u32).collect();
    Array::from_vec(numbers, dims, &Device::Cpu).unwrap()
}

/// Cases of inputs x (4, 6) and y (4, 6), indices (4, 3) below 3 and classes (4) below 6.
macro_rules! cases {
    ($failed:ident, $dtype:expr, |$x:ident, $y:ident, $i:ident, $k:ident, $ctx:ident| $($case:expr;)*) => {$({
        #[allow(unused_variables)]
        let f = |inputs: &[Tensor], $ctx: &mut ForwardContext| {
            let [$x, $y, $i, $k] = [0, 1, 2, 3].map(|i| &inputs[i]);
            Ok(vec![$case?])
        };
        let inputs = [1, 2].map(|seed| {
            let float = |x: Array| x.to_dtype($dtype).unwrap();
            vec![
                float(normal(&[4, 6], seed)),
                float(normal(&[4, 6], seed + 10)),
                below(3, &[4, 3], seed + 20),
                below(6, &[4], seed + 30),
            ]
        });
        if let Err(text) = same(stringify!($case), &f, inputs) {
            $failed.push(text);
        }
    })*};
}

#[test]
fn recorded_ops_compute_the_same() {
    let mut failed: Vec<String> = vec![];
    for dtype in [DType::F32, DType::F64, DType::F16] {
        cases!(failed, dtype, |x, y, i, k, ctx|
            x.softmax(-1);
            x.log_softmax(0);
            x.norm(2.0, 1);
            x.norm(3.0, 0);
            x.norm(f64::INFINITY, 1);
            x.norm(0.0, 1);
            x.norm(1.0, 1);
            x.var(1, 1);
            x.std(0, 0);
            x.normalize_rows(2.0);
            x.normalize_rows(3.0);
            x.logsumexp(1);
            x.logsumexp(0);
            x.max(1);
            x.min(0);
            x.max_with_indices(1).map(|(value, _)| value);
            x.argmax(1);
            x.argmin_all();
            x.index_select(1, &k.reshape(4)?);
            x.index_select(0, &i.flatten(0, -1)?);
            x.index_add(0, &i.i((.., 0))?, y);
            x.gather(0, i);
            x.gather(1, i);
            x.scatter(1, i, y);
            x.scatter_add(1, i, y);
            x.i((.., k));
            x.i(&i.i((0, ..))?);
            k.one_hot(6, DType::F32);
            x.gt(0.0)?.where_cond(x, y);
            x.gt(y)?.where_cond(x, &y.exp()?);
            x.le(y);
            x.masked_fill(&y.gt(0.0)?, 3.0);
            x.cumsum(1);
            x.cumprod(0);
            k.cumsum(0);
            k.cumprod(0);
            x.prod(1);
            k.prod(0);
            x.sort(1, true).map(|(value, _)| value);
            x.argsort(0, false);
            x.topk(2, 1).map(|(value, _)| value);
            x.median(1).map(|(value, _)| value);
            x.any(1);
            x.gt(0.0)?.all(0);
            x.count_nonzero(1);
            x.diag(1);
            x.tril(0);
            x.i((.., ..4))?.trace();
            Tensor::cat(&[x, y], 0);
            Tensor::cat(&[x, y, x], 1);
            Tensor::stack(&[x, y], 1);
            x.t()?.reshape((3, 8));
            x.pad(&[(1, 2)], Pad::Constant(2.0));
            x.pad(&[(1, 2), (2, 1)], Pad::Reflect);
            x.pad(&[(1, 2)], Pad::Circular);
            x.pad(&[(1, 2)], Pad::Replicate);
            x.repeat(2, 0);
            x.tile(&[2, 3]);
            x.flip(&[1]);
            x.roll(2, 1);
            x.narrow(1, 2, 3);
            x.unfold(1, 3, 2);
            x.assign((1.., 2), &y.i((1.., 0))?);
            x.i((.., 2));
            x.to_dtype(DType::F64);
            x.to_dtype(DType::F32);
            x.to_dtype(DType::I64);
            x.remainder(3.0);
            x.lerp(y, 0.3);
            x.maximum(y);
            x.matmul(&y.t()?);
            x.i(0)?.outer(&y.i(1)?);
            x.sum(0);
            x.mean_all();
            k.sum(0);
            x.reshape((1, 2, 3, 4))?.max_pool2d(PoolOptions::new(2).stride(1));
            x.reshape((1, 2, 3, 4))?.avg_pool2d(PoolOptions::new([1, 2]));
            x.reshape((1, 2, 3, 4))?.adaptive_avg_pool2d([2, 3]);
            x.reshape((1, 2, 3, 4))?.adaptive_max_pool2d([2, 3]);
            x.reshape((1, 2, 3, 4))?.upsample_bilinear2d([5, 7], false);
            x.reshape((1, 2, 3, 4))?.upsample_nearest2d([5, 8]);
            x.reshape((1, 2, 3, 4))?.max_pool2d_with_indices(PoolOptions::new(2)).map(|(_, indices)| indices);
            x.reshape((2, 2, 6))?.conv1d(&y.reshape((3, 2, 4))?, ConvOptions::new().padding(1));
            x.reshape((2, 2, 2, 3))?.conv2d(&y.reshape((3, 2, 2, 2))?, ConvOptions::new());
            x.reshape((2, 2, 2, 3))?.conv_transpose2d(&y.reshape((2, 3, 2, 2))?, ConvOptions::new());
            layer::Dropout::new(0.4)?.forward(x, ctx);
            layer::Dropout2d::new(0.4)?.forward(&x.reshape((4, 2, 3))?, ctx);
            loss::SigmoidFocal::new().elementwise(x, &y.sigmoid()?.detach());
            loss::Huber::new().elementwise(x, &y.detach());
            loss::Focal::new().elementwise(x, k);
            loss::Nll::new().elementwise(&x.log_softmax(1)?, k);
            loss::Nll::new().ignore_index(2).elementwise(&x.log_softmax(1)?, k);
            loss::MultiMargin::new().elementwise(x, k);
            loss::CrossEntropy::new().loss(x, k);
            loss::CrossEntropy::new().ignore_index(3).elementwise(x, k);
            loss::CrossEntropy::new().loss(x, &y.softmax(1)?.detach());
            loss::Bce.elementwise(&x.sigmoid()?, &y.sigmoid()?.detach());
            loss::BceWithLogits.elementwise(x, &y.sigmoid()?.detach());
            loss::KlDiv::new().elementwise(&x.log_softmax(1)?, &y.softmax(1)?.detach());
            loss::GaussianNll::new().loss(x, &y.detach(), &y.exp()?);
            loss::PoissonNll::new().elementwise(x, &y.exp()?.detach());
            loss::Hinge.elementwise(x, &y.sign()?.detach());
            loss::SoftMargin.elementwise(x, &y.sign()?.detach());
            loss::HingeEmbedding::new().elementwise(x, &y.sign()?.detach());
            loss::CosineEmbedding::new().loss(x, y, &y.i((.., 0))?.sign()?.detach());
            loss::MarginRanking::new().loss(x, y, &y.sign()?.detach());
            loss::SmoothL1::new().elementwise(x, &y.detach());
            loss::Mse.loss(x, &y.detach());
            loss::L1.loss(x, &y.detach());
            loss::MultiLabelSoftMargin::new().elementwise(x, &y.sigmoid()?.detach());
            x.cosine_similarity(y, 1);
            x.pairwise_distance(y, 2.0);
            Tensor::einsum("ij,kj->ik", &[x, y]);
            x.logaddexp(y);
            x.mean(0);
            x.clamp(-0.5, 0.5);
            x.i((.., step(.., -2)));
            x.masked_fill(&k.unsqueeze(1)?.eq(2.0)?, 0.5);
            x.reshape((1, 2, 12))?.max_unpool1d(&k.to_dtype(DType::I64)?.repeat(6, 0)?.reshape((1, 2, 12))?, 20);
            x.gelu();
            layer::Glu::new(1).forward(x, ctx);
            loss::TripletMargin::new().loss(x, y, &x.neg()?);
            Tensor::randn(0.0, 1.0, (4, 6), ctx.rng().expect("training"))?.to_dtype(x.dtype())? * x;
            Tensor::rand(0.0, 1.0, (4, 6), ctx.rng().expect("training"))?.to_dtype(x.dtype())? * x;
        );
    }
    #[cfg(feature = "linalg")]
    for dtype in [DType::F32, DType::F64] {
        cases!(failed, dtype, |x, y, i, k, ctx|
            x.matmul(&y.t()?)?.inv();
            x.matmul(&y.t()?)?.solve(&y.i(..)?);
            (x.matmul(&x.t()?)? + Tensor::eye(4, x.dtype(), &Device::Cpu)?)?.cholesky();
            x.detach().matmul(&y.t()?.detach())?.det();
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn recorded_layers_compute_the_same() -> Result<()> {
    let (mut failed, rng) = (vec![], &mut Rng::seed(5));
    let lstm = layer::Lstm::new(3, 5, RnnOptions::new().layers(2).dropout(0.3), rng)?;
    let gru = layer::Gru::new(3, 5, RnnOptions::new().bidirectional(), rng)?;
    let embedding = layer::Embedding::new(3, 4, rng)?.padding_idx(1)?;
    let mut bags = |mode| Ok::<_, Error>(EmbeddingBag::new(3, 4, rng)?.padding_idx(1)?.mode(mode));
    let (means, maxima) = (bags(BagMode::Mean)?, bags(BagMode::Max)?);
    let encoder = layer::TransformerEncoderLayer::new(6, 2, 8, rng)?;
    let attention = layer::MultiHeadAttention::new(6, 2, rng)?.dropout(0.2)?;
    let bilinear = layer::Bilinear::new(6, 6, 2, rng)?;
    let (layer_norm, rms_norm) = (layer::LayerNorm::new(6)?, layer::RmsNorm::new(6)?);
    let (group_norm, prelu) = (layer::GroupNorm::new(2, 6)?, layer::PRelu::new()?);
    let mask = AttentionMask::new().causal();
    cases!(failed, DType::F32, |x, y, i, k, ctx|
        layer_norm.forward(x, ctx);
        rms_norm.forward(x, ctx);
        group_norm.forward(x, ctx);
        prelu.forward(x, ctx);
        lstm.forward(&x.reshape((2, 4, 3))?, ctx);
        gru.forward(&x.reshape((2, 4, 3))?, ctx);
        gru.forward_with_lengths(&x.reshape((2, 4, 3))?, &[2, 4], None, ctx).map(|(y, _)| y);
        embedding.forward(i, ctx);
        means.forward(i, ctx);
        maxima.forward(i, ctx);
        encoder.forward(&x.reshape((2, 2, 6))?, ctx);
        { let x = x.reshape((2, 2, 6))?; attention.attend(&x, &x, &x, &mask, ctx).map(|(y, _)| y) };
        bilinear.apply(x, y);
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn buffers(layer: &layer::BatchNorm1d) -> Vec<Array> {
    let stats = layer.running_stats.as_ref().expect("kept by default");
    [&stats.mean, &stats.var, &stats.num_batches_tracked].map(|x| x.get().into_array()).into()
}

#[test]
fn recorded_batch_norms_count_and_average() -> Result<()> {
    for momentum in [Some(0.1), None] {
        let ctx = &mut ForwardContext::train(Rng::seed(1));
        let layers = [0, 1].map(|_| layer::BatchNorm1d::new(6).and_then(|layer| layer.momentum(momentum)));
        let [recorded, plain] = layers;
        let (recorded, plain) = (recorded?, plain?);
        let externals = [vec![normal(&[4, 6], 1)], buffers(&recorded)].concat();
        let x = Tensor::from(externals[0].clone());
        let (_, recording) = Recording::of(&externals, || recorded.forward(&x, ctx))?;
        let (recording, state) = with_state(recording?);
        let mut program = Program::new(recording, &[externals.clone(), state.clone()].concat(), &[])?;
        let (assigned, views): (Vec<usize>, Vec<ValueView>) = program.assignments.iter().cloned().unzip();
        assert_eq!(assigned, [1, 2, 3]);
        let mut inputs = externals.clone();
        for seed in 2..5 {
            inputs[0] = normal(&[4, 6], seed);
            let new = replay(&mut program, &[inputs.clone(), state.clone()].concat(), &views, 0)?;
            inputs.splice(1.., new);
            plain.forward(&Tensor::from(inputs[0].clone()), ctx)?;
            for (replayed, buffer) in inputs[1..].iter().zip(buffers(&plain)) {
                assert_eq!(numbers(replayed)?, numbers(&buffer)?, "{momentum:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_buffer_may_be_set_twice() -> Result<()> {
    let layer = layer::BatchNorm1d::new(6)?;
    let externals = [vec![normal(&[4, 6], 1)], buffers(&layer)].concat();
    let x = Tensor::from(externals[0].clone());
    let ctx = &mut ForwardContext::train(Rng::seed(1));
    let recording = Recording::of(&externals, || layer.forward(&layer.forward(&x, ctx)?, ctx))?.1?;
    let (recording, state) = with_state(recording);
    let externals = [externals, state].concat();
    let mut program = Program::new(recording, &externals, &[])?;
    let (assigned, views): (Vec<usize>, Vec<ValueView>) = program.assignments.iter().cloned().unzip();
    assert_eq!(assigned, [1, 2, 3]);
    for (replayed, buffer) in replay(&mut program, &externals, &views, 0)?.iter().zip(buffers(&layer)) {
        assert_eq!(numbers(replayed)?, numbers(&buffer)?);
    }
    Ok(())
}

#[test]
fn what_depends_on_the_data_is_refused_or_checked_again() -> Result<()> {
    let externals = [normal(&[4, 6], 1), below(6, &[4], 2)];
    let [x, k] = externals.each_ref().map(|x| Tensor::from(x.clone()));
    let refused = |f: &dyn Fn() -> Result<Tensor>| Ok::<_, Error>(Recording::of(&externals, f)?.1.is_err());
    assert!(refused(&|| x.masked_select(&x.gt(0.0)?))?);
    assert!(refused(&|| x.nonzero())?);
    assert!(refused(&|| x.assign((.., &k), &x.i((.., ..4))?))?);
    assert!(!refused(&|| x.gather(1, &k.unsqueeze(1)?))?);
    let wrong = Array::from_vec(vec![0_u32, 1, 9, 2], 4, &Device::Cpu)?;
    let cases: [(&dyn Fn() -> Result<Tensor>, &str); 5] = [
        (
            &|| {
                let target = (8.0 - k.to_dtype(DType::F32)?)?.sqrt()?.unsqueeze(1)?.broadcast_to((4, 6))?;
                loss::Mse.loss(&x, &target)
            },
            "mse: expected targets that are not NaN, got NaN at [2, 0]",
        ),
        (&|| x.gather(1, &k.unsqueeze(1)?), "gather: expected indices from -6 and below 6"),
        (&|| k.one_hot(6, DType::F32), "one_hot: expected classes from 0 and below 6, got 9 (element 2)"),
        (&|| loss::Nll::new().elementwise(&x, &k), "nll: expected classes from 0 to 5, got class 9 in row 2"),
        (
            &|| {
                loss::Bce.elementwise(
                    &x.sigmoid()?,
                    &(k.to_dtype(DType::F32)? / 8.0)?.unsqueeze(1)?.broadcast_to((4, 6))?,
                )
            },
            "bce: expected targets from 0 to 1, got 1.125 at [2, 0]",
        ),
    ];
    for (f, expected) in cases {
        let (y, recording) = Recording::of(&externals, f)?;
        let mut program = Program::new(recording?, &externals, &[y.array()])?;
        let error = replay(&mut program, &[externals[0].clone(), wrong.clone()], &[], 0);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    Ok(())
}

/// The program of `f`, before and after formulas are fused, whose results have the bits of `f` itself.
fn fused(f: &dyn Fn([&Tensor; 2]) -> Result<Vec<Tensor>>, examples: [[Array; 2]; 2]) -> Result<[Program; 2]> {
    let [first, second] = examples;
    let call = |x: &[Array; 2]| {
        let [x, y] = x.each_ref().map(|x| Tensor::from(x.clone()));
        Ok::<_, Error>(f([&x, &y])?.into_iter().map(Tensor::into_array).collect::<Vec<_>>())
    };
    let (results, recording) = Recording::of(&first, || call(&first))?;
    let mut plain = Program::new(recording?, &first, &results.iter().collect::<Vec<_>>())?;
    let mut fused = plain.unfused().fused();
    assert_eq!(fused.unfused().to_string(), plain.to_string());
    let expected = call(&second)?;
    for program in [&mut plain, &mut fused] {
        for _ in 0..2 {
            let views = program.outputs.clone();
            for (got, expected) in replay(program, &second, &views, 0)?.iter().zip(&expected) {
                assert_eq!(got.dims(), expected.dims());
                let bits =
                    |x: &Array| Ok::<_, Error>(numbers(x)?.into_iter().map(f64::to_bits).collect::<Vec<_>>());
                assert_eq!(bits(got)?, bits(expected)?);
            }
        }
    }
    Ok([plain, fused])
}

#[test]
fn formulas_after_each_other_are_one_kernel() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        for dims in [[1, 1], [3, 5], [1, 1024], [41, 25], [300, 211]] {
            let examples =
                [1, 2].map(|seed| [seed, seed + 10].map(|seed| normal(&dims, seed).to_dtype(dtype).unwrap()));
            // A result in the middle, a number for all, an array that is read twice, and one that has another shape.
            let f = |[x, y]: [&Tensor; 2]| {
                let a = (x * y)?.tanh()?;
                let b = (a.exp()? + &a)?;
                let c = (b.reshape((dims[1], dims[0]))? * 0.5)?;
                Ok(vec![b.clone(), (c.sqr()? / b.reshape((dims[1], dims[0]))?)?])
            };
            let [plain, fused] = self::fused(&f, examples.clone())?;
            assert_eq!([plain.kernel_count(), fused.kernel_count()], [7, 1], "{plain}");
            assert!(fused.to_string().contains("mul+tanh+exp+add+mul+sqr+div"), "{fused}");
            assert_eq!(fused.memory_bytes(), 2 * dims[0] * dims[1] * dtype.size_in_bytes());
            let flops = |program: &Program| {
                program.to_string().split_once(" FLOP, ").map(|(text, _)| text.to_string())
            };
            let last = |program: &Program| {
                flops(program).and_then(|text| text.split(' ').next_back().map(String::from))
            };
            assert_eq!(last(&plain), last(&fused));

            // An array, and its first element for all.
            let f = |[x, y]: [&Tensor; 2]| {
                let first = x.i((0, 0))?.broadcast_to(&dims[..])?;
                Ok(vec![((x * y)? + &first)?.exp()?, (x - first)?.sqr()?])
            };
            let [plain, fused] = self::fused(&f, examples.clone())?;
            assert_eq!([plain.kernel_count(), fused.kernel_count()], [5, 1], "{plain}");

            // A transposed array is read by another kernel; one that repeats is not whole.
            let f = |[x, y]: [&Tensor; 2]| {
                let a = (x.exp()? - y)?;
                let b = (a.t()? * y.t()?)?.cos()?;
                Ok(vec![(b.sqr()? + b.mean(1)?.unsqueeze(1)?)?])
            };
            let [plain, fused] = self::fused(&f, examples.clone())?;
            assert!(fused.kernel_count() < plain.kernel_count(), "{fused}");

            // More results than one kernel makes.
            let f = |[x, y]: [&Tensor; 2]| {
                let (mut all, mut z) = (vec![], x.clone());
                for _ in 0..10 {
                    z = (z.sin()? + y)?;
                    all.push(z.clone());
                }
                Ok(all)
            };
            let [plain, fused] = self::fused(&f, examples)?;
            assert_eq!([plain.kernel_count(), fused.kernel_count()], [20, 3], "{fused}");
        }
    }
    Ok(())
}

#[test]
fn formulas_with_others_between_them_are_one_kernel() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let examples =
            [1, 2].map(|seed| [seed, seed + 10].map(|seed| normal(&[9, 9], seed).to_dtype(dtype).unwrap()));
        // A product that comes before both, one that comes after, and a sum that stays between.
        let f = |[x, y]: [&Tensor; 2]| {
            let a = (x.tanh()? * 0.5)?;
            let before = x.matmul(y)?;
            let after = a.matmul(y)?;
            let b = (&a * before)?;
            Ok(vec![after, (b + a.sum(1)?.unsqueeze(1)?)?.sqr()?])
        };
        let [plain, fused] = self::fused(&f, examples.clone())?;
        let plan = fused.to_string();
        let names: Vec<&str> = plan.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(plain.kernel_count(), 8, "{plain}");
        assert_eq!(names[..6], ["matmul", "tanh+mul+mul", "matmul", "sum", "add", "sqr"], "{fused}");
        // The second derivatives along a line, and their gradients.
        let f = |[x, y]: [&Tensor; 2]| {
            let (x, w) = (x.detach().into_parameter(), y.detach().into_parameter());
            let z = x.matmul(&w)?.tanh()?.matmul(&w)?.sin()?;
            let series = autograd::taylor(&z, &x, &x.ones_like()?, 2)?;
            let sum = ((&series[0] + &series[1])?.sqr()? + z)?.sum_all()?;
            let gradients = sum.backward()?;
            Ok(vec![sum.detach(), gradients.get(&w).cloned().expect("the sum depends on w")])
        };
        let [plain, fused] = self::fused(&f, examples)?;
        assert!(fused.kernel_count() + 15 < plain.kernel_count(), "{plain}\n{fused}");
    }
    Ok(())
}

/// The plans of a training step, as recorded and as replayed, whose results have the bits of eager steps on any number of threads.
fn plans(model: &dyn Layer, loss: &(impl Loss + Clone), x: &Tensor, y: &Tensor) -> Result<[String; 2]> {
    let start: Vec<Tensor> = model.parameters().iter().map(|(_, p)| p.get().detach()).collect();
    let run = |eager: bool| -> Result<(Vec<u64>, Option<[String; 2]>)> {
        for ((_, p), value) in model.parameters().iter().zip(&start) {
            p.set(value)?;
        }
        let mut step = TrainStep::new(model, loss.clone(), Sgd::new(model.parameters(), 1e-3)?);
        if eager {
            step = step.eager();
        }
        let mut bits = Vec::new();
        for _ in 0..4 {
            bits.push(step.run(x, y)?.to_bits());
        }
        for (_, p) in model.parameters() {
            bits.extend(numbers(p.get().array())?.into_iter().map(f64::to_bits));
        }
        assert_eq!(step.replayed(), if eager { 0 } else { 3 }, "{:?}", step.refusal());
        Ok((bits, step.program().map(|program| [program.unfused().to_string(), program.to_string()])))
    };
    let on = |threads, eager| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(|| run(eager))
    };
    let (expected, _) = on(1, true)?;
    assert_eq!(on(2, true)?.0, expected);
    assert_eq!(on(2, false)?.0, expected);
    assert_eq!(on(3, false)?.0, expected);
    let (bits, plans) = on(1, false)?;
    assert_eq!(bits, expected);
    Ok(plans.expect("a step that was replayed has a program"))
}

#[test]
fn both_products_of_a_regression_are_one_pass() -> Result<()> {
    let matrix = |m, k, dtype| Tensor::randn_dtype(0.0, 1.0, (m, k), dtype, &mut Rng::seed(7));
    for (m, k) in [(209, 2000), (75, 12_289), (33_000, 5), (7, 10_000)] {
        for dtype in [DType::F32, DType::F64] {
            let x = matrix(m, k, dtype)?;
            let y = matrix(m, 1, dtype)?;
            let classes = y.gt(0.0)?.to_dtype(dtype)?;
            let linear = Linear::new(k, 1, &mut Rng::seed(1))?;
            let unbiased = Linear::new(k, 1, &mut Rng::seed(1))?.without_bias();
            [&linear, &unbiased].map(|model| model.to_dtype(dtype)).into_iter().collect::<Result<()>>()?;
            let sigmoid = Sequential::new().push(linear.clone()).push(Sigmoid);
            for [plain, fused] in [
                plans(&linear, &Mse, &x, &y)?,
                plans(&linear, &BceWithLogits, &x, &classes)?,
                plans(&linear, &L1.reduction(Reduction::Sum), &x, &y)?,
                plans(&sigmoid, &loss::Bce, &x, &classes)?,
            ] {
                assert!(fused.contains("linear+matmul "), "{fused}");
                assert!(!plain.contains("linear+matmul ") && plain.contains(" matmul "), "{plain}");
                let operations =
                    |plan: &str| plan.lines().last().map(|line| line.split(' ').nth(2).map(String::from));
                assert_eq!(operations(&plain), operations(&fused));
            }
            let [_, fused] = plans(&unbiased, &Mse, &x, &y)?;
            assert!(fused.contains("matmul+matmul "), "{fused}");
        }
    }
    // Small ones, one row, and a vector that is made of something else between the products stay two.
    let linear = Linear::new(3, 1, &mut Rng::seed(1))?;
    for m in [1, 4] {
        let [plain, fused] = plans(&linear, &Mse, &matrix(m, 3, DType::F32)?, &matrix(m, 1, DType::F32)?)?;
        assert!(!fused.contains("linear+matmul ") && plain.contains("linear "), "{fused}");
    }
    let wide = Linear::new(70_000, 1, &mut Rng::seed(1))?;
    plans(&wide, &Mse, &matrix(1, 70_000, DType::F32)?, &matrix(1, 1, DType::F32)?)?;
    let model =
        Sequential::new().push(Linear::new(700, 1, &mut Rng::seed(1))?).push(layer::BatchNorm1d::new(1)?);
    let [_, fused] = plans(&model, &Mse, &matrix(100, 700, DType::F32)?, &matrix(100, 1, DType::F32)?)?;
    assert!(!fused.contains("linear+matmul "), "{fused}");
    Ok(())
}

#[test]
fn a_matrix_and_a_vector_of_a_function_are_one_pass() -> Result<()> {
    // No layer: the product has one axis, and the target is made before it.
    let f = |[x, w]: [&Tensor; 2]| {
        let (x, w) = (x.detach(), w.i(0)?.detach().into_parameter());
        let target = x.i((.., 0))?.sin()?;
        let z = (x.matmul(&w)? + 0.5)?.tanh()?;
        let gradients = loss::Huber::new().loss(&z, &target)?.backward()?;
        Ok(vec![gradients.get(&w).cloned().expect("a gradient")])
    };
    let examples = [1, 2].map(|seed| [normal(&[200, 700], seed), normal(&[1, 700], seed + 10)]);
    let [plain, fused] = fused(&f, examples)?;
    assert!(fused.to_string().contains("matmul+matmul "), "{plain}\n{fused}");
    // A target out of range is the error that it was.
    let f = |[x, t]: [&Tensor; 2]| {
        let w = Tensor::ones((700, 1), DType::F32, &Device::Cpu)?.into_parameter();
        let gradients = BceWithLogits.loss(&x.detach().matmul(&w)?, &t.detach())?.backward()?;
        Ok(gradients.get(&w).cloned().expect("a gradient").into_array())
    };
    let good = [normal(&[200, 700], 1), Array::zeros((200, 1), DType::F32, &Device::Cpu)?];
    let (y, recording) =
        Recording::of(&good, || f(good.each_ref().map(|x| Tensor::from(x.clone())).each_ref()))?;
    let mut program = Program::new(recording?, &good, &[&y])?.fused();
    assert!(program.to_string().contains("matmul+matmul "), "{program}");
    let mut bad = vec![0.0_f32; 200];
    bad[77] = 2.0;
    let bad = [good[0].clone(), Array::from_vec(bad, (200, 1), &Device::Cpu)?];
    let error = replay(&mut program, &bad, &[], 0).unwrap_err().to_string();
    assert_eq!(error, "bce_with_logits: expected targets from 0 to 1, got 2 at [77, 0]");
    Ok(())
}

#[test]
fn a_recorded_gradient_of_a_loss_is_its_own_kernel() -> Result<()> {
    let examples = [1, 2].map(|seed| [seed, seed + 10].map(|seed| normal(&[30, 40], seed)));
    let f = |[x, t]: [&Tensor; 2]| {
        let x = x.detach().into_parameter();
        let [slopes] = autograd::grad(&L1.loss(&x, &t.detach())?, [&x])?;
        Ok(vec![slopes])
    };
    // The loss with its slopes, and the check of the targets.
    let [plain, mut fused] = fused(&f, examples.clone())?;
    assert_eq!([plain.kernel_count(), fused.kernel_count()], [2, 2], "{fused}");
    // The check looks only where the loss is not finite, and finds what it found before.
    let mut numbers = vec![0.0_f32; 1200];
    numbers[1_000] = f32::NAN;
    let [x, _] = examples[0].clone();
    let bad = [x.clone(), Array::from_vec(numbers.clone(), (30, 40), &Device::Cpu)?];
    let error = replay(&mut fused, &bad, &[], 0).unwrap_err().to_string();
    assert_eq!(error, "l1: expected targets that are not NaN, got NaN at [25, 0]");
    // An infinite target, and a prediction that is NaN, are none of its faults.
    numbers[1_000] = f32::INFINITY;
    replay(&mut fused, &[x, Array::from_vec(numbers, (30, 40), &Device::Cpu)?], &[], 0)?;
    let nan = Array::full(f32::NAN, (30, 40), &Device::Cpu)?;
    replay(&mut fused, &[nan, examples[0][1].clone()], &[], 0)?;
    Ok(())
}

#[test]
fn a_result_is_given_away() -> Result<()> {
    let x = Tensor::from(normal(&[30, 40], 1));
    let mut f = compile(|[x]: [&Tensor; 1]| x.exp()?.tanh());
    let expected = x.exp()?.tanh()?;
    let results: Vec<Tensor> = (0..5).map(|_| f.call([&x])).collect::<Result<_>>()?;
    // Later runs write to other memory.
    let other = f.call([&x.neg()?])?;
    assert!(results.iter().all(|y| *y == expected) && other != expected);
    // A part of a value, and one that is given twice, are copied.
    let mut part = compile(|[x]: [&Tensor; 1]| x.exp()?.i((.., 1..3)));
    for _ in 0..3 {
        assert_eq!(part.call([&x])?, x.exp()?.i((.., 1..3))?);
    }
    let mut own = compile(|[x]: [&Tensor; 1]| Ok(x.clone()));
    for _ in 0..3 {
        assert_eq!(own.call([&x])?, x);
    }
    Ok(())
}
