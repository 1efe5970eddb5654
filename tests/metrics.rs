//! Every metric against scikit-learn, on 1,100 random cases in batches of random sizes.
//! `tests/reference/metrics.py` writes the numbers and says what they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use tealight::metrics::*;
use tealight::prelude::*;

const GOLDEN: &str = include_str!("reference/metrics.txt");
const BINS: usize = 7;

/// Compares the metrics of a kind of case with its values: where, the case, the values.
type Check = fn(&str, &[&str], &[&str], &mut Rng);

fn numbers(text: &str) -> Vec<f64> {
    text.split(',').map(|word| word.parse().unwrap()).collect()
}

/// Shows the metric some batches, and compares its value with what scikit-learn says.
fn compare(place: &str, metric: &mut dyn Metric, x: &Tensor, y: &Tensor, expected: &str, rng: &mut Rng) {
    let name = metric.name();
    let n = y.dims()[0] as i64;
    let mut start = 0;
    while start < n {
        let width = 1.0
            + 12.0 * Tensor::rand_dtype(0.0, 1.0, (), DType::F64, rng).unwrap().to_scalar::<f64>().unwrap();
        let end = (start + width as i64).min(n);
        metric.update(&x.i(start..end).unwrap(), &y.i(start..end).unwrap()).expect(place);
        start = end;
    }
    match (metric.value(), expected) {
        (_, "-") | (Err(_), "x") => {}
        (Ok(value), expected) => {
            let number: f64 =
                expected.parse().unwrap_or_else(|_| panic!("{place} {name}: no value, got {value}"));
            // 13 digits are written; of R² and the like the digits before the subtraction count.
            let off = (value - number).abs() / number.abs().max(1.0);
            assert!(off < 1e-12, "{place} {name}: expected {expected}, got {value}");
        }
        (Err(error), _) => panic!("{place} {name}: expected {expected}, got {error}"),
    }
}

fn tensor(numbers: Vec<f64>, dims: &[usize]) -> Tensor {
    Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap()
}

fn binary(place: &str, words: &[&str], values: &[&str], rng: &mut Rng) {
    let (y, p) = (numbers(words[0]), numbers(words[1]));
    let n = y.len();
    let y = tensor(y, &[n]);
    // Sixty-fourths are exact in any float, and classes may be of any dtype and either shape.
    let p = tensor(p.iter().map(|k| k / 64.0).collect(), &[n]);
    let dtype = [DType::F64, DType::F32, DType::F16, DType::BF16][n % 4];
    let (narrow, column) = (p.to_dtype(dtype).unwrap(), p.unsqueeze(1).unwrap());
    let y = [&y, &y.to_dtype(DType::U8).unwrap(), &y.to_dtype(DType::I64).unwrap()][n % 3].clone();
    let class = Average::Class(1);
    let both = Tensor::stack(&[&(1.0 - &p).unwrap(), &p], 1).unwrap();
    let mut check =
        |metric: &mut dyn Metric, p: &Tensor, i: usize| compare(place, metric, p, &y, values[i], rng);
    check(&mut Accuracy::new().threshold(0.5), &narrow, 0);
    check(&mut Accuracy::new(), &both, 0);
    check(&mut Accuracy::new().threshold(-0.5), &(&p - 1.0).unwrap(), 0);
    check(&mut Precision::new(class).threshold(0.5), &column, 1);
    check(&mut Recall::new(class).threshold(0.5), &narrow, 2);
    check(&mut F1::new(class), &both, 3);
    check(&mut RocAuc::new(), &narrow, 4);
    check(&mut RocAuc::new(), &both, 4);
    check(&mut RocAuc::new(), &(&p * 7.0).unwrap(), 4);
    check(&mut AveragePrecision::new(), &narrow, 5);
    check(&mut LogLoss::new(), &p, 6);
    check(&mut LogLoss::new(), &both, 6);
    check(&mut CalibrationError::new(BINS), &column, 7);
}

fn several(place: &str, words: &[&str], values: &[&str], rng: &mut Rng) {
    let (c, k): (usize, usize) = (words[0].parse().unwrap(), words[1].parse().unwrap());
    let (y, w) = (numbers(words[2]), numbers(words[3]));
    let n = y.len();
    let p = w.chunks_exact(c).flat_map(|row| row.iter().map(|x| x / row.iter().sum::<f64>())).collect();
    let (p, w) = (tensor(p, &[n, c]), tensor(w, &[n, c]));
    let y = tensor(y, &[n]).to_dtype(DType::U32).unwrap();
    let classes = w.argmax(1).unwrap();
    let mut check =
        |metric: &mut dyn Metric, p: &Tensor, i: usize| compare(place, metric, p, &y, values[i], rng);
    check(&mut Accuracy::new(), &p, 0);
    check(&mut Accuracy::new(), &classes, 0);
    check(&mut TopKAccuracy::new(k), &p, 1);
    for (i, average) in [Average::Micro, Average::Macro, Average::Weighted].into_iter().enumerate() {
        check(&mut Precision::new(average), &p, 2 + 3 * i);
        check(&mut Recall::new(average), &classes, 3 + 3 * i);
        check(&mut F1::new(average), &w, 4 + 3 * i);
    }
    check(&mut RocAuc::new(), &p, 11);
    check(&mut AveragePrecision::new(), &p, 12);
    check(&mut LogLoss::new(), &p, 13);
    check(&mut CalibrationError::new(BINS), &p, 14);
    let mut f1 = F1::new(Average::Macro);
    check(&mut f1, &p, 6 + 1);
    for (class, value) in f1.per_class().unwrap().into_iter().enumerate() {
        let expected: f64 = values[15 + class].parse().unwrap();
        assert!((value - expected).abs() < 1e-12, "{place} class {class}: expected {expected}, got {value}");
    }
    let mut confusion = ConfusionMatrix::new();
    check(&mut confusion, &p, 0);
    let counts: Vec<f64> = confusion.counts().unwrap().into_iter().flatten().map(|n| n as f64).collect();
    assert_eq!(counts, numbers(words[4]), "{place}");
    // Zeros are certain and wrong: their logits would be infinite.
    if w.min_all().unwrap().to_scalar::<f64>().unwrap() > 0.0 {
        check(&mut LogLoss::from_logits(), &w.ln().unwrap(), 13);
    }
}

fn regression(place: &str, words: &[&str], values: &[&str], rng: &mut Rng) {
    let d: usize = words[0].parse().unwrap();
    let read = |word: &str| {
        let numbers: Vec<f64> = numbers(word).iter().map(|x| x / 8.0).collect();
        let n = numbers.len() / d;
        if d == 1 { tensor(numbers, &[n]) } else { tensor(numbers, &[n, d]) }
    };
    let (p, y) = (read(words[1]), read(words[2]));
    let mut check = |metric: &mut dyn Metric, i: usize| compare(place, metric, &p, &y, values[i], rng);
    check(&mut Mae::new(), 0);
    check(&mut Rmse::new(), 1);
    check(&mut R2::new(), 2);
}

fn logits(place: &str, words: &[&str], values: &[&str], rng: &mut Rng) {
    let c: usize = words[0].parse().unwrap();
    let (y, z) = (numbers(words[1]), numbers(words[2]).iter().map(|z| z / 8.0).collect());
    let (y, z) = (
        tensor(y.clone(), &[y.len()]),
        if c == 1 { tensor(z, &[y.len()]) } else { tensor(z, &[y.len(), c]) },
    );
    let mut check = |metric: &mut dyn Metric, i: usize| compare(place, metric, &z, &y, values[i], rng);
    check(&mut Accuracy::new().threshold(0.0), 0);
    check(&mut RocAuc::from_logits(), 1);
    check(&mut AveragePrecision::from_logits(), 2);
    check(&mut LogLoss::from_logits(), 3);
    check(&mut CalibrationError::from_logits(BINS), 4);
}

#[test]
fn as_scikit_learn() {
    let rng = &mut Rng::seed(6);
    let mut seen = [0; 4];
    for (i, line) in GOLDEN.lines().enumerate() {
        let (place, (case, values)) = (format!("line {}", i + 1), line.split_once(" = ").unwrap());
        let (case, values): (Vec<&str>, Vec<&str>) = (case.split(' ').collect(), values.split(' ').collect());
        let (kind, run): (usize, Check) = match case[0] {
            "b" => (0, binary),
            "m" => (1, several),
            "r" => (2, regression),
            "l" => (3, logits),
            other => panic!("{place}: {other}"),
        };
        run(&place, &case[1..], &values, rng);
        seen[kind] += 1;
    }
    assert_eq!(seen, [400, 400, 200, 100]);
}
