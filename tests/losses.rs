//! Every activation and every loss with every option, against PyTorch: values, gradients and second derivatives.
//! `tests/reference/losses.py` writes the numbers and says what they are.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::collections::{BTreeMap, BTreeSet};

use tealight::activation::*;
use tealight::layer::{Glu, LogSoftmax, Softmin};
use tealight::loss::*;
use tealight::prelude::*;

const GOLDEN: &str = include_str!("reference/losses.txt");

type Case = BTreeMap<String, Tensor>;

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn cases() -> BTreeMap<String, Case> {
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    let mut name = "";
    for line in GOLDEN.lines() {
        let mut words = line.split(' ');
        let (key, second) = (words.next().unwrap(), words.next().unwrap());
        if key == "case" {
            name = second;
            assert!(cases.insert(name.into(), Case::new()).is_none(), "{name} is there twice");
            continue;
        }
        let dims: Vec<usize> = second.split('x').filter(|n| *n != "-").map(|n| n.parse().unwrap()).collect();
        let words: Vec<&str> = words.collect();
        let whole = words.iter().all(|word| word.parse::<i64>().is_ok());
        let tensor = if whole {
            let classes: Vec<i64> = words.iter().map(|word| word.parse().unwrap()).collect();
            Tensor::from_vec(classes, dims, &Device::Cpu)
        } else {
            Tensor::from_vec(words.into_iter().map(number).collect::<Vec<f64>>(), dims, &Device::Cpu)
        };
        assert!(cases.get_mut(name).unwrap().insert(key.into(), tensor.unwrap()).is_none(), "{name}.{key}");
    }
    cases
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.array().flatten_all().unwrap().to_vec1().unwrap()
}

/// How far a number may be off: relative to itself, to the largest of its tensor, and at all.
const EACH: (f64, f64, f64) = (1e-10, 0.0, 1e-13);
const SCALED: (f64, f64, f64) = (0.0, 1e-10, 0.0);

fn compare(place: &str, got: &Tensor, expected: &Tensor, (each, scaled, least): (f64, f64, f64)) {
    assert_eq!(got.dims(), expected.dims(), "{place}");
    let (got, expected) = (numbers(got), numbers(expected));
    let finite = expected.iter().filter(|e| e.is_finite());
    let largest = finite.fold(0.0_f64, |a, b| a.max(b.abs()));
    for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
        let limit = if e.is_finite() { each * e.abs() + scaled * largest + least } else { 0.0 };
        let same = g == e || g.is_nan() && e.is_nan();
        assert!(same || (g - e).abs() <= limit, "{place}, element {i}: expected {e:e}, got {g:e}");
    }
}

/// 1, 1.5, 2, 2.5, 1, …: as in the script.
fn weights_like(x: &Tensor) -> Tensor {
    let weights: Vec<f64> = (0..x.elem_count()).map(|i| 1.0 + 0.5 * (i % 4) as f64).collect();
    Tensor::from_vec(weights, x.dims(), &Device::Cpu).unwrap()
}

fn leaf(x: &Tensor) -> Tensor {
    Tensor::parameter(x.array().clone())
}

/// The names of the cases in the file are those in the table.
fn all_are_there<'a>(table: impl Iterator<Item = &'a str>, golden: impl Iterator<Item = &'a String>) {
    let table: Vec<&str> = table.collect();
    let unique: BTreeSet<&str> = table.iter().copied().collect();
    assert_eq!(unique.len(), table.len(), "a name stands in the table twice");
    assert_eq!(unique, golden.map(String::as_str).collect());
}

fn activations() -> Vec<(&'static str, Box<dyn Layer>)> {
    macro_rules! table {
        ($($name:literal: $layer:expr),* $(,)?) => { vec![$(($name, Box::new($layer) as Box<dyn Layer>)),*] };
    }
    table! {
        "relu": Relu, "sigmoid": Sigmoid, "tanh": Tanh, "log_sigmoid": LogSigmoid,
        "hard_sigmoid": HardSigmoid, "hard_swish": HardSwish, "relu6": Relu6,
        "hard_tanh": HardTanh::default(), "hard_tanh_bounds": HardTanh { low: -0.6, high: 3.0 },
        "leaky_relu": LeakyRelu::default(), "leaky_relu_slope": LeakyRelu { slope: 0.3 },
        "elu": Elu::default(), "elu_alpha": Elu { alpha: 0.7 }, "selu": Selu,
        "celu": Celu::default(), "celu_alpha": Celu { alpha: 0.5 },
        "gelu": Gelu, "gelu_tanh": GeluTanh, "silu": Silu, "mish": Mish,
        "softplus": Softplus::default(), "softplus_far": Softplus::default(), "softplus_beta": Softplus { beta: 2.5 },
        "softsign": Softsign, "threshold": Threshold { threshold: 0.5, value: -7.0 }, "tanhshrink": Tanhshrink,
        "softmax": Softmax::default(), "softmax_axis": Softmax::new(1),
        "log_softmax": LogSoftmax::default(), "log_softmax_axis": LogSoftmax::new(0),
        "softmin": Softmin::default(), "softmin_axis": Softmin::new(-2),
        "glu": Glu::default(), "glu_axis": Glu::new(1),
    }
}

fn is_activation(case: &Case) -> bool {
    case.contains_key("y")
}

#[test]
fn every_activation() -> Result<()> {
    let golden = cases();
    let table = activations();
    let known = golden.iter().filter(|(_, case)| is_activation(case)).map(|(name, _)| name);
    all_are_there(table.iter().map(|(name, _)| *name), known);
    for (name, layer) in table {
        let case = &golden[name];
        let x = leaf(&case["x"]);
        let y = layer.forward(&x, &mut ForwardContext::eval())?;
        compare(&format!("{name}: value"), &y, &case["y"], EACH);
        // Elements have the gradient of the sum, rows that of a weighted one: the sum of a softmax is always 1.
        let total = if x.rank() > 1 { (weights_like(&y) * &y)?.sum_all()? } else { y.sum_all()? };
        let [g] = autograd::grad(&total, [&x])?;
        compare(&format!("{name}: gradient, recorded"), &g, &case["g"], EACH);
        compare(&format!("{name}: gradient"), total.backward()?.get(&x).unwrap(), &case["g"], EACH);
        if let Some(expected) = case.get("h") {
            let [h] = autograd::grad(&(weights_like(&g) * &g)?.sum_all()?, [&x])?;
            compare(&format!("{name}: second derivative"), &h, expected, EACH);
        }
    }
    Ok(())
}

/// The losses of all elements, their mean and their sum.
type Reduced = [(&'static str, Tensor); 3];
type Run = Box<dyn Fn(&Case) -> Result<Reduced>>;

/// A loss of a prediction p and a target t, or q if that has a gradient too.
fn two<L: ElementwiseLoss + Clone + 'static>(make: impl Fn(&Case) -> Result<L> + 'static) -> Run {
    Box::new(move |case| {
        let (loss, p) = (make(case)?, &case["p"]);
        let t = case.get("t").or(case.get("q")).unwrap();
        let reduced = [
            ("each", loss.elementwise(p, t)?),
            ("mean", loss.loss(p, t)?),
            ("sum", loss.clone().reduction(Reduction::Sum).loss(p, t)?),
        ];
        if let Some(expected) = case.get("batch_mean") {
            compare("batch mean", &loss.reduction(Reduction::BatchMean).loss(p, t)?, expected, SCALED);
        }
        Ok(reduced)
    })
}

/// A loss of three tensors.
macro_rules! three {
    ($loss:expr, $c:literal) => {
        Box::new(|case| {
            let (loss, [a, b, c]) = ($loss, [&case["a"], &case["b"], &case[$c]]);
            let each = loss.reduction(Reduction::None).loss(a, b, c)?;
            let sum = loss.reduction(Reduction::Sum).loss(a, b, c)?;
            Ok([("each", each), ("mean", loss.loss(a, b, c)?), ("sum", sum)])
        })
    };
}

fn losses() -> Vec<(&'static str, Run)> {
    fn always<L: ElementwiseLoss + Clone + 'static>(loss: L) -> Run {
        two(move |_| Ok(loss.clone()))
    }
    let entropy = || CrossEntropy::new().ignore_index(-100);
    let (poisson, rates) = (PoissonNll::new(), PoissonNll::new().log_input(false));
    let smooth = || CrossEntropy::new().label_smoothing(0.2).unwrap();
    vec![
        ("l1", always(L1)),
        ("mse", always(Mse)),
        ("huber", always(Huber::new())),
        ("huber_delta", two(|_| Huber::new().delta(0.6))),
        ("smooth_l1", always(SmoothL1::new())),
        ("smooth_l1_beta", two(|_| SmoothL1::new().beta(0.6))),
        ("smooth_l1_beta_0", two(|_| SmoothL1::new().beta(0.0))),
        ("bce", always(Bce)),
        ("bce_weight", two(|case| Ok(Bce.weighted(&case["w"])))),
        ("bce_with_logits", always(BceWithLogits)),
        ("bce_with_logits_weight", two(|case| Ok(BceWithLogits.weighted(&case["w"])))),
        ("bce_with_logits_pos_weight", two(|case| BceWithLogits.pos_weight(&case["w"]))),
        ("nll", always(Nll::new())),
        ("nll_weights_ignored", two(|case| Ok(Nll::new().class_weights(&case["w"])?.ignore_index(-100)))),
        ("nll_single", always(Nll::new())),
        ("cross_entropy", always(CrossEntropy::new())),
        ("cross_entropy_ignored", always(entropy())),
        ("cross_entropy_weights", two(|case| CrossEntropy::new().class_weights(&case["w"]))),
        ("cross_entropy_weights_ignored", two(move |case| entropy().class_weights(&case["w"]))),
        ("cross_entropy_smoothing", always(smooth())),
        (
            "cross_entropy_smoothing_all",
            two(move |case| smooth().ignore_index(-100).class_weights(&case["w"])),
        ),
        ("cross_entropy_single", always(CrossEntropy::new())),
        ("cross_entropy_single_smoothing", always(smooth())),
        ("cross_entropy_probabilities", always(CrossEntropy::new())),
        ("cross_entropy_probabilities_weights", two(|case| CrossEntropy::new().class_weights(&case["w"]))),
        ("cross_entropy_probabilities_all", two(move |case| smooth().class_weights(&case["w"]))),
        ("cross_entropy_probabilities_single", always(CrossEntropy::new())),
        ("focal", always(Focal::new())),
        ("focal_all", two(|case| Focal::new().gamma(0.5)?.ignore_index(-100).class_weights(&case["w"]))),
        ("sigmoid_focal", always(SigmoidFocal::new())),
        ("sigmoid_focal_all", two(|_| SigmoidFocal::new().alpha(None)?.gamma(1.5))),
        ("soft_margin", always(SoftMargin)),
        ("hinge_embedding", always(HingeEmbedding::new())),
        ("hinge_embedding_margin", two(|_| HingeEmbedding::new().margin(0.3))),
        ("multi_label_margin", always(MultiLabelMargin)),
        ("multi_label_margin_single", always(MultiLabelMargin)),
        ("multi_label_soft_margin", always(MultiLabelSoftMargin::new())),
        (
            "multi_label_soft_margin_weights",
            two(|case| MultiLabelSoftMargin::new().class_weights(&case["w"])),
        ),
        ("margin_ranking", three!(MarginRanking::new(), "t")),
        ("margin_ranking_margin", three!(MarginRanking::new().margin(0.4)?, "t")),
        ("edge_l1", always(L1)),
        ("edge_mse", always(Mse)),
        ("edge_huber", always(Huber::new())),
        ("edge_smooth_l1", always(SmoothL1::new())),
        ("edge_bce", always(Bce)),
        ("edge_cross_entropy", always(CrossEntropy::new())),
        ("edge_nll", always(Nll::new())),
        ("edge_kl_div", always(KlDiv::new())),
        ("edge_soft_margin", always(SoftMargin)),
        ("edge_hinge_embedding", always(HingeEmbedding::new())),
        ("edge_multi_margin", always(MultiMargin::new())),
        ("edge_multi_label_margin", always(MultiLabelMargin)),
        ("edge_poisson_nll", always(poisson)),
        ("edge_poisson_nll_rates_full", always(rates.full())),
        ("edge_cosine_embedding", three!(CosineEmbedding::new(), "t")),
        ("edge_cosine_embedding_apart", three!(CosineEmbedding::new(), "t")),
        ("edge_triplet_margin", three!(TripletMargin::new(), "c")),
        ("edge_triplet_margin_p_1", three!(TripletMargin::new().p(1.0)?.swap(), "c")),
        ("edge_margin_ranking", three!(MarginRanking::new().margin(0.5)?, "t")),
        ("edge_gaussian_nll", three!(GaussianNll::new(), "c")),
        ("kl_div", always(KlDiv::new())),
        ("kl_div_log_target", always(KlDiv::new().log_target())),
        ("hinge", always(Hinge)),
        ("multi_margin", always(MultiMargin::new())),
        ("multi_margin_all", two(|case| MultiMargin::new().p(2)?.margin(0.7)?.class_weights(&case["w"]))),
        ("multi_margin_single", always(MultiMargin::new())),
        ("cosine_embedding", three!(CosineEmbedding::new(), "t")),
        ("cosine_embedding_margin", three!(CosineEmbedding::new().margin(-0.7)?, "t")),
        ("triplet_margin", three!(TripletMargin::new(), "c")),
        ("triplet_margin_all", three!(TripletMargin::new().margin(2.5)?.p(3.0)?.swap().eps(1e-3)?, "c")),
        ("triplet_margin_p_1", three!(TripletMargin::new().p(1.0)?, "c")),
        ("poisson_nll", always(poisson)),
        ("poisson_nll_full", always(poisson.full())),
        ("poisson_nll_rates", always(rates)),
        ("poisson_nll_rates_full", always(rates.full())),
        ("poisson_nll_eps", two(move |_| rates.eps(1e-2))),
        ("gaussian_nll", three!(GaussianNll::new(), "c")),
        ("gaussian_nll_rows", three!(GaussianNll::new(), "c")),
        ("gaussian_nll_column", three!(GaussianNll::new(), "c")),
        ("gaussian_nll_full", three!(GaussianNll::new().full(), "c")),
        ("gaussian_nll_eps", three!(GaussianNll::new().eps(0.5)?, "c")),
    ]
}

#[test]
fn every_loss() -> Result<()> {
    let golden = cases();
    let table = losses();
    let known = golden.iter().filter(|(_, case)| !is_activation(case)).map(|(name, _)| name);
    all_are_there(table.iter().map(|(name, _)| *name), known);
    for (name, run) in table {
        let mut case = golden[name].clone();
        let inputs: Vec<String> =
            case.keys().filter(|key| golden[name].contains_key(&format!("g{key}"))).cloned().collect();
        assert!(!inputs.is_empty(), "{name} has no gradient");
        for key in &inputs {
            let x = leaf(&case[key]);
            case.insert(key.clone(), x);
        }
        let reduced = run(&case)?;
        for (key, got) in &reduced {
            compare(&format!("{name}: {key}"), got, &case[*key], SCALED);
        }
        let mean = &reduced[1].1;
        let ordinary = mean.backward()?;
        let mut firsts = Vec::new();
        for key in &inputs {
            let [g] = autograd::grad(mean, [&case[key]])?;
            let expected = &case[&format!("g{key}")];
            compare(&format!("{name}: gradient of {key}, recorded"), &g, expected, SCALED);
            compare(
                &format!("{name}: gradient of {key}"),
                ordinary.get(&case[key]).unwrap(),
                expected,
                SCALED,
            );
            firsts.push(g);
        }
        let mut total = Tensor::zeros((), DType::F64, &Device::Cpu)?;
        for g in &firsts {
            total = (total + (weights_like(g) * g)?.sum_all()?)?;
        }
        for key in &inputs {
            if let Some(expected) = case.get(&format!("h{key}")) {
                let [h] = autograd::grad(&total, [&case[key]])?;
                compare(&format!("{name}: second derivative of {key}"), &h, expected, SCALED);
            }
        }
    }
    Ok(())
}

/// Of every rank up to 7, empty, infinite, NaN, strided, broadcast, and of every dtype.
fn odd() -> Result<Vec<Tensor>> {
    let cpu = &Device::Cpu;
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let matrix = Tensor::new(&[[0.5, 1.0, 0.0], [1.0, 0.0, 0.25]], cpu)?;
    let mut odd = vec![
        Tensor::new(0.5, cpu)?,
        Tensor::new(&[1.0, -1.0], cpu)?,
        Tensor::new(&[[nan, inf, -inf], [0.0, -0.0, 1e300]], cpu)?,
        matrix.t()?.reshape((2, 3))?,
        Tensor::from_vec(vec![0.5, 1.0, 0.0, 0.25, 1.0, 0.0], (3, 2), cpu)?.t()?,
        Tensor::new(&[0.25, 0.5, 0.25], cpu)?.broadcast_to((2, 3))?,
        Tensor::new(1.0, cpu)?.broadcast_to((2, 3))?,
        Tensor::ones(vec![1, 2, 1, 2, 1, 1, 2], DType::F64, cpu)?,
        Tensor::new(&[0i64, 2], cpu)?,
        Tensor::new(&[i64::MIN, i64::MAX], cpu)?,
        Tensor::new(&[0u32, u32::MAX], cpu)?,
        Tensor::new(1u8, cpu)?,
    ];
    for dims in [vec![0], vec![0, 3], vec![2, 0], vec![2, 0, 3], vec![0, 0]] {
        odd.push(Tensor::zeros(dims.clone(), DType::F64, cpu)?);
        odd.push(Tensor::zeros(dims, DType::I64, cpu)?);
    }
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::U8] {
        odd.push(matrix.to_dtype(dtype)?);
    }
    Ok(odd)
}

/// What comes is a result or an error; that no test says which is why nothing is asserted.
#[test]
fn nothing_panics() -> Result<()> {
    let odd = odd()?;
    for (_, layer) in activations() {
        for x in &odd {
            let leaf = leaf(x);
            if let Ok(y) = layer.forward(&leaf, &mut ForwardContext::eval()) {
                let _ = y.sum_all()?.backward();
            }
        }
    }
    let golden = cases();
    for (name, run) in losses() {
        for a in &odd {
            for b in &odd {
                let mut case = golden[name].clone();
                case.remove("batch_mean");
                for key in ["p", "a", "c"] {
                    case.entry(key.into()).and_modify(|x| *x = leaf(a));
                }
                for key in ["t", "q", "b"] {
                    case.entry(key.into()).and_modify(|x| *x = b.clone());
                }
                if let Ok(reduced) = run(&case) {
                    let _ = reduced[1].1.backward();
                }
            }
        }
    }
    Ok(())
}
