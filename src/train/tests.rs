use std::cell::RefCell;

use super::*;
use crate::autograd::Gradients;
use crate::data::{DataLoader, MultiTensorDataset, TensorDataset, from_fn};
use crate::io::Checkpoint;
use crate::layer::{BatchNorm1d, Dropout};
use crate::loss::{Hinge, KlDiv, MultiMargin, Nll};
use crate::metrics::{Accuracy, Average, F1, Mae, R2, RocAuc};
use crate::optim::Lbfgs;
use crate::optim::schedule::{CosineAnnealingLr, OneCycleLr, ReduceLrOnPlateau, Schedule, StepLr};
use crate::prelude::*;

fn data(n: usize) -> (Tensor, Tensor) {
    let x = Tensor::randn(0.0, 1.0, (n, 3), &mut Rng::seed(5)).unwrap();
    let y = x.sum_keepdim(1).unwrap().gt(0.0).unwrap().to_dtype(DType::F32).unwrap();
    (x, y)
}

fn bits(model: &dyn Layer) -> Vec<u32> {
    let numbers =
        |entry: crate::layer::StateEntry| entry.get().to_dtype(DType::F32)?.flatten(0, -1)?.to_vec1::<f32>();
    model.state_dict().into_iter().flat_map(|(_, entry)| numbers(entry).unwrap()).map(f32::to_bits).collect()
}

fn linear() -> Linear {
    Linear::new(3, 1, &mut Rng::seed(1)).unwrap()
}

fn sgd(model: &dyn Layer) -> Sgd {
    Sgd::new(model.parameters(), 0.1).unwrap().momentum(0.9).unwrap()
}

#[test]
fn fit_equals_a_manual_loop() -> Result<()> {
    let (x, y) = data(50);
    let (model, bare) = (linear(), linear());
    let mut trainer = Trainer::new(&model, BceWithLogits, sgd(&model))
        .epochs(3)
        .batch_size(16)
        .seed(4)
        .clip_grad_norm(0.5)
        .schedule(CosineAnnealingLr::new(12)?)
        .silent();
    let history = trainer.fit(&(x.clone(), y.clone()), Some(&(x.clone(), y.clone())))?;

    let mut optimizer = sgd(&bare);
    let mut loader = DataLoader::new(&TensorDataset::new(&x, &y)?, 16)?.shuffle(4);
    let (mut step, mut means) = (0, Vec::new());
    for _ in 0..3 {
        let mut sum = 0.0;
        for batch in loader.epoch()? {
            let (x, y) = batch?;
            optimizer.set_learning_rate(0.1 * CosineAnnealingLr::new(12)?.factor(step))?;
            let loss = BceWithLogits.loss(&bare.forward(&x, &mut ForwardContext::eval())?, &y)?;
            let mut gradients = loss.backward()?;
            gradients.clip_grad_norm(0.5, &bare.parameters())?;
            optimizer.step(&gradients)?;
            sum += f64::from(loss.to_scalar::<f32>()?) * x.dims()[0] as f64;
            step += 1;
        }
        means.push(sum / 50.0);
    }
    assert_eq!(bits(&model), bits(&bare));
    let curve = history.curve("loss");
    assert_eq!(curve.iter().map(|point| point.1).collect::<Vec<_>>(), means);
    assert_eq!((history.len(), history.records()[2].step, curve[0].0), (3, 12, 1.0));
    let loss = BceWithLogits.loss(&bare.predict(&x)?, &y)?.to_scalar::<f32>()?;
    assert!((history.last("valid_loss")? - f64::from(loss)).abs() < 1e-6);
    assert_eq!(trainer.evaluate(&(x.clone(), y))?.get("loss")?, history.last("valid_loss")?);
    assert_eq!(trainer.predict(&x)?.dims(), [50, 1]);
    Ok(())
}

#[test]
fn gradients_of_several_batches_are_that_of_a_large_one() -> Result<()> {
    let (x, y) = data(23);
    let all = TensorDataset::new(&x, &y)?;
    let run = |size, parts| {
        let model = linear();
        let loader = DataLoader::new(&all, size)?;
        let mut trainer =
            Trainer::new(&model, BceWithLogits, sgd(&model)).epochs(2).accumulate(parts).silent();
        let history = trainer.fit(&loader, None)?;
        Ok::<_, Error>((model.weight.get().to_vec2::<f32>()?[0].clone(), history))
    };
    // Batches of 4, 4 | 4, 4 | 4, 3 are batches of 8, 8, 7.
    let ((one, a), (two, b)) = (run(8, 1)?, run(4, 2)?);
    assert_eq!((a.records()[1].step, b.records()[1].step), (6, 6));
    assert!((a.last("loss")? - b.last("loss")?).abs() < 1e-6);
    assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-6), "{one:?} {two:?}");
    assert_eq!(run(8, 3)?.1.records()[1].step, 2);
    Ok(())
}

/// A gradient step and the losses of `batch` × `parts`.
fn together(loss: &dyn Loss, x: &Tensor, y: &Tensor, batch: usize, parts: usize) -> Result<Vec<f64>> {
    #[derive(Debug)]
    struct Borrowed<'a>(&'a dyn Loss);
    impl Loss for Borrowed<'_> {
        fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
            self.0.loss(prediction, target)
        }
        fn divisor(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
            self.0.divisor(prediction, target)
        }
    }
    let model =
        Linear { weight: Parameter::new(Tensor::zeros((2, 2), DType::F64, &Device::Cpu)?), bias: None };
    let loader = DataLoader::new(&TensorDataset::new(x, y)?, batch)?;
    let sgd = Sgd::new(model.parameters(), 1.0)?;
    let mut trainer = Trainer::new(&model, Borrowed(loss), sgd).accumulate(parts).silent();
    let history = trainer.fit(&loader, Some(&loader))?;
    let mut numbers = model.weight.get().neg()?.flatten(0, 1)?.to_vec1()?;
    numbers.extend([history.last("loss")?, history.last("valid_loss")?]);
    Ok(numbers)
}

fn near(name: &str, got: &[f64], expected: &[f64]) {
    assert!(
        got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
        "{name}: {got:?}, not {expected:?}"
    );
}

#[test]
fn batches_together_are_one_large_batch_for_every_loss() -> Result<()> {
    let cpu = &Device::Cpu;
    let weights = Tensor::new(&[1.0, 10.0], cpu)?;
    let ignoring = || CrossEntropy::new().ignore_index(-100);
    let weighted = || CrossEntropy::new().class_weights(&weights);

    // The gradients are PyTorch's, of a batch of 4.
    let x = Tensor::new(&[[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [-1.0, 1.0]], cpu)?;
    let cases: [(_, [i64; 4], _); 3] = [
        (ignoring(), [0, -100, 1, 1], [0.0, 1.0 / 3.0]),
        (weighted()?, [0, 0, 1, 0], [10.0 / 13.0, 4.0 / 13.0]),
        (ignoring(), [0, 1, -100, -100], [-0.25, 0.25]),
    ];
    for (loss, classes, [a, b]) in cases {
        let y = Tensor::new(&classes, cpu)?;
        for (batch, parts) in [(4, 1), (2, 2), (1, 4), (3, 2)] {
            let got = together(&loss, &x, &y, batch, parts)?;
            near(&format!("{classes:?}, {parts} x {batch}"), &got[..4], &[a, b, -a, -b]);
        }
    }
    let none = Tensor::new(&[-100_i64; 4], cpu)?;
    let error = together(&ignoring(), &x, &none, 2, 2).unwrap_err().to_string();
    assert_eq!(error, "step 1: fit: expected a batch with a row that the loss counts, got none");
    let error = together(&ignoring(), &x, &none, 4, 1).unwrap_err().to_string();
    let expected = "a class that has a weight and is not ignored, got none in 4 rows";
    assert_eq!(error, format!("step 1: mean: expected {expected}"));

    let rng = &mut Rng::seed(1);
    let x = Tensor::randn_dtype(0.0, 1.0, (7, 2), DType::F64, rng)?;
    let classes = Tensor::new(&[0_i64, -100, 1, 1, -100, -100, 0], cpu)?;
    let valid = Tensor::new(&[0_i64, 1, 1, 1, 0, 1, 0], cpu)?;
    let soft = Tensor::rand_dtype(0.0, 1.0, (7, 2), DType::F64, rng)?;
    let signs = (soft.gt(0.5)?.to_dtype(DType::F64)? * 2.0)? - 1.0;
    let smooth = || CrossEntropy::new().label_smoothing(0.2);
    let nll = Nll::new().class_weights(&weights)?.ignore_index(-100);
    let margin = MultiMargin::new().class_weights(&weights)?;
    let pos = BceWithLogits.pos_weight(&weights)?;
    macro_rules! cases {
        ($($loss:expr, $y:expr;)*) => {{$(
            let (loss, y): (_, &Tensor) = ($loss, $y);
            let reductions = [Reduction::Mean, Reduction::Sum, Reduction::BatchMean];
            let reduced = reductions.map(|reduction| loss.clone().reduction(reduction));
            for loss in reduced.iter().map(|loss| loss as &dyn Loss).chain([&loss as &dyn Loss]) {
                let whole = together(loss, &x, y, 7, 1)?;
                for (batch, parts) in [(1, 7), (2, 4), (3, 3), (6, 2)] {
                    near(&format!("{loss:?}, {parts} x {batch}"), &together(loss, &x, y, batch, parts)?, &whole);
                }
            }
        )*}};
    }
    cases! {
        CrossEntropy::new(), &valid;
        ignoring(), &classes;
        weighted()?, &valid;
        weighted()?.ignore_index(-100), &classes;
        smooth()?, &valid;
        smooth()?.class_weights(&weights)?.ignore_index(-100), &classes;
        CrossEntropy::new(), &soft;
        smooth()?.class_weights(&weights)?, &soft;
        nll, &classes;
        margin, &valid;
        Mse, &soft;
        pos, &soft;
        BceWithLogits, &soft;
        Hinge, &signs?;
        KlDiv::new(), &soft;
    }
    Ok(())
}

#[test]
fn metrics_are_measured() -> Result<()> {
    let data = data(40);
    let model = linear();
    let mut trainer = Trainer::new(&model, BceWithLogits, sgd(&model))
        .epochs(2)
        .silent()
        .metric(Accuracy::new().threshold(0.0));
    let history = trainer.fit(&data, None)?;
    let names: Vec<_> = history.records()[1].scores.names().collect();
    assert_eq!(names, ["loss", "learning_rate", "accuracy"]);
    assert_eq!(trainer.evaluate(&data)?.get("accuracy")?, history.last("accuracy")?);
    let history = trainer.fit(&data, Some(&data))?;
    let names: Vec<_> = history.records()[1].scores.names().collect();
    assert_eq!(names, ["loss", "learning_rate", "valid_loss", "valid_accuracy"]);
    let text = history.last("accuracy").unwrap_err().to_string();
    assert_eq!(
        text,
        "Scores: expected one of loss, learning_rate, valid_loss, valid_accuracy, got \"accuracy\""
    );
    Ok(())
}

#[test]
fn history_has_settings_summary_and_confusion() -> Result<()> {
    let data = data(40);
    let model = Sequential::new().push(linear());
    let mut trainer = Trainer::new(&model, BceWithLogits, sgd(&model))
        .epochs(2)
        .batch_size(100)
        .schedule(CosineAnnealingLr::new(2)?)
        .seed(3)
        .silent()
        .metric(Accuracy::new().threshold(0.0))
        .metric(F1::new(Average::Macro).threshold(0.0));
    let history = trainer.fit(&data, Some(&data))?;
    let settings: Vec<_> = history.settings().iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(
        settings,
        [
            "loss BceWithLogits",
            "optimizer Sgd",
            "learning rate 0.1",
            "schedule CosineAnnealingLr",
            "epochs 2",
            "batch size 40",
            "batches per step 1",
            "training examples 40",
            "validation examples 40",
            "seed 3"
        ]
    );
    assert_eq!(crate::optim::without_paths("a::b::Weighted<(u8, a::c::Bce)>"), "Weighted<(u8, Bce)>");
    assert_eq!(history.summary(), model.summary(&[40, 3])?.to_string());
    let right: u64 = history.confusion().unwrap().counts()?.iter().enumerate().map(|(i, row)| row[i]).sum();
    assert_eq!(right as f64 / 40.0, history.last("valid_accuracy")?);
    #[cfg(feature = "plot")]
    {
        let page = history.report();
        let titles: Vec<&str> = page.curves.iter().map(|curves| curves.title.as_str()).collect();
        assert_eq!(titles, ["Loss", "Learning rate", "Accuracy", "Macro f1"]);
        assert_eq!(page.curves[0].series.len(), 2);
        assert_eq!(page.metrics[1], ("Loss (validation)".to_string(), history.last("valid_loss")?));
        assert!(History::default().report().curves.is_empty());
    }
    Ok(())
}

#[test]
fn callbacks_are_called() -> Result<()> {
    let data = data(40);
    let model = linear();
    let calls = RefCell::new(Vec::new());
    let mut trainer = Trainer::new(&model, BceWithLogits, sgd(&model))
        .epochs(5)
        .silent()
        .callback(|ctx: &mut CallbackContext| {
            calls.borrow_mut().push(format!("e{} {}", ctx.epoch, ctx.history.len()));
            Ok(())
        })
        .on_step_end(|ctx| {
            calls.borrow_mut().push(format!("s{}", ctx.step));
            if ctx.step == 3 {
                ctx.stop();
            }
            Ok(())
        });
    assert_eq!(trainer.fit(&data, None)?.len(), 1);
    drop(trainer);
    assert_eq!(calls.take(), ["s1", "s2", "e1 1", "s3"]);
    let mut failing = Trainer::new(&model, BceWithLogits, sgd(&model))
        .silent()
        .on_epoch_end(|_| Err(Error::argument("mine", "luck", "none")));
    assert_eq!(failing.fit(&data, None).unwrap_err().to_string(), "mine: expected luck, got none");
    Ok(())
}

#[test]
fn early_stopping_restores_the_best_weights() -> Result<()> {
    // The targets turn to noise after the first epochs, so that the loss goes up again.
    let data = data(40);
    let model = linear();
    let seen = RefCell::new(Vec::new());
    let mut trainer = Trainer::new(&model, BceWithLogits, sgd(&model))
        .epochs(100)
        .silent()
        .schedule(|step: usize| if step < 6 { 1.0 } else { 30.0 })
        .callback(EarlyStopping::new("valid_loss", 2).min_delta(1e-3))
        .on_epoch_end(|ctx| {
            seen.borrow_mut().push((ctx.score("valid_loss")?, bits(ctx.model)));
            // A step backwards spoils everything.
            let weight = &ctx.model.parameters()[0].1;
            if ctx.epoch >= 3 {
                weight.set(&(weight.get().detach() * -2.0)?)?;
            }
            Ok(())
        });
    let history = trainer.fit(&data, Some(&data))?;
    assert_eq!(history.len(), 5);
    drop(trainer);
    assert_eq!(bits(&model), seen.take()[2].1);
    let mut unknown = Trainer::new(&model, BceWithLogits, sgd(&model))
        .silent()
        .callback(EarlyStopping::new("valid_loss", 2));
    let text = unknown.fit(&data, None).unwrap_err().to_string();
    assert_eq!(text, "fit: expected one of the scores loss, got \"valid_loss\"");
    Ok(())
}

#[test]
fn the_kept_epoch_is_reported() -> Result<()> {
    let x = Tensor::new(&[[1_f32], [2.0], [-3.0]], &Device::Cpu)?;
    let data = (x.clone(), x.gt(0.0)?.to_dtype(DType::F32)?);
    let directory = tempfile::tempdir().unwrap();
    // The second epoch is right, the others are not. Interrupted and resumed, it is the same.
    for resumed in [false, true] {
        let (model, next) = scripted(&[0.0, 1.0, 0.0, -1.0, -2.0]);
        let trainer = |epochs| {
            Ok::<_, Error>(
                Trainer::new(&model, BceWithLogits, Sgd::new(model.parameters(), 0.0)?)
                    .epochs(epochs)
                    .silent()
                    .metric(Accuracy::new().threshold(0.0))
                    .metric(F1::new(Average::Class(1)).threshold(0.0))
                    .callback(EarlyStopping::new("valid_accuracy", 2))
                    .callback(Checkpoints::new(directory.path())?)
                    .callback(next.clone()),
            )
        };
        let history = if resumed {
            trainer(3)?.fit(&data, Some(&data))?;
            trainer(9)?.resume(directory.path().join("last.safetensors"))?.fit(&data, Some(&data))?
        } else {
            trainer(9)?.fit(&data, Some(&data))?
        };
        let kept = history.kept().unwrap();
        assert_eq!((history.len(), kept.epoch, kept.scores.get("valid_accuracy")?), (4, 2, 1.0));
        assert!(history.last("valid_accuracy")? < 1.0);
        assert_eq!(history.confusion().unwrap().counts()?, [[1, 0], [0, 2]]);
        assert_eq!(model.weight.get().to_vec2::<f32>()?, [[1.0]]);
        #[cfg(feature = "plot")]
        {
            let report = history.report();
            assert_eq!(report.metrics[0], ("Epoch kept of 4".to_string(), 2.0));
            assert!(report.metrics.contains(&("Accuracy (validation)".to_string(), 1.0)));
            let accuracy = report.curves.iter().find(|curves| curves.title == "Accuracy").unwrap();
            assert_eq!(accuracy.series[1], ("kept: epoch 2".to_string(), vec![(2.0, 1.0)]));
        }
    }
    // Nothing was restored: the last epoch is the one that the model has.
    let (model, next) = scripted(&[0.0, 1.0, 0.0]);
    let sgd = Sgd::new(model.parameters(), 0.0)?;
    let mut trainer = Trainer::new(&model, BceWithLogits, sgd).epochs(3).silent().callback(next);
    let history = trainer.fit(&data, None)?;
    assert_eq!(history.kept(), history.records().last());
    assert_eq!(History::default().kept(), None);
    Ok(())
}

#[test]
fn an_undefined_metric_is_nan() -> Result<()> {
    let x = Tensor::new(&[[1_f32], [2.0], [-3.0]], &Device::Cpu)?;
    let (same, valid) = ((x.clone(), x.ones_like()?), (x.clone(), x.gt(0.0)?.to_dtype(DType::F32)?));
    let (model, next) = scripted(&[0.5, 1.0, f32::NAN, f32::INFINITY]);
    let mut trainer = Trainer::new(&model, BceWithLogits, Sgd::new(model.parameters(), 0.0)?)
        .epochs(2)
        .silent()
        .metric(RocAuc::new())
        .metric(R2::new())
        .metric(Mae::new())
        .callback(EarlyStopping::new("valid_roc auc", 9))
        .callback(next);
    // One class only, and targets that do not differ: both epochs are in the history, and the reason once.
    let history = trainer.fit(&valid, Some(&same))?;
    assert!(history.curve("valid_roc auc").iter().all(|(_, score)| score.is_nan()));
    assert!(history.last("valid_r2")?.is_nan() && history.last("valid_mae")? >= 0.0);
    let undefined: Vec<String> =
        history.undefined().iter().map(|(name, why)| format!("{name}: {why}")).collect();
    assert_eq!(
        undefined,
        [
            "valid_roc auc: roc auc: expected targets of other classes than 1, got 3 of class 1",
            "valid_r2: r2: expected targets that differ, got 1 in each of 3"
        ]
    );
    #[cfg(feature = "plot")]
    assert_eq!(history.report().settings.last().unwrap().0, "valid_r2 is NaN");
    assert!(trainer.evaluate(&same)?.get("r2")?.is_nan());
    // A model that diverged does not end the training, a metric that does not fit does.
    for bad in [f32::NAN, f32::INFINITY] {
        model.weight.set(&Tensor::new(&[[bad]], &Device::Cpu)?)?;
        let scores = trainer.evaluate(&valid)?;
        assert!(["loss", "roc auc", "r2", "mae"].iter().any(|name| scores.get(name).unwrap().is_nan()));
    }
    model.weight.set(&Tensor::new(&[[1_f32]], &Device::Cpu)?)?;
    let mut trainer = Trainer::new(&model, BceWithLogits, Sgd::new(model.parameters(), 0.0)?)
        .silent()
        .metric(Accuracy::new());
    let error = trainer.fit(&valid, None).unwrap_err().to_string();
    assert!(error.starts_with("accuracy: expected a threshold for one score an example"), "{error}");
    Ok(())
}

/// A model that predicts its weight, which each epoch sets to the next number.
fn scripted(numbers: &[f32]) -> (Linear, impl FnMut(&mut CallbackContext) -> Result<()> + Clone + use<>) {
    let at = |x: f32| Tensor::new(&[[x]], &Device::Cpu);
    let model = Linear { weight: Parameter::new(at(numbers[0]).unwrap()), bias: None };
    let (weight, numbers) = (model.weight.clone(), numbers.to_vec());
    let next = move |ctx: &mut CallbackContext| match numbers.get(ctx.epoch as usize) {
        Some(&number) => weight.set(&at(number)?),
        None => Ok(()),
    };
    (model, next)
}

#[test]
fn a_metric_knows_what_is_better() -> Result<()> {
    // R² and the loss of predictions near the targets and far away: the second epoch is the best.
    let x = Tensor::new(&[[1_f32], [2.0], [3.0]], &Device::Cpu)?;
    let data = (x.clone(), x.clone());
    let directory = tempfile::tempdir().unwrap();
    for (score, best) in [("valid_r2", 2), ("valid_mae", 2), ("valid_loss", 2), ("loss", 2)] {
        let (model, next) = scripted(&[0.0, 0.9, 0.5, 0.2]);
        let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.0)?)
            .epochs(9)
            .silent()
            .metric(R2::new())
            .metric(Mae::new())
            .callback(EarlyStopping::new(score, 2))
            .callback(Checkpoints::new(directory.path())?.best(score))
            .callback(next);
        assert_eq!(trainer.fit(&data, Some(&data))?.len(), 4, "{score}");
        let kept = Checkpoint::read(directory.path().join("best.safetensors"))?;
        assert_eq!(kept.meta::<u64>("epoch")?, best, "{score}");
        assert_eq!(model.weight.get().to_vec2::<f32>()?, [[0.9]], "{score}");
    }
    let (model, _) = scripted(&[0.0]);
    let sgd = || Sgd::new(model.parameters(), 0.0);
    for callback in ["EarlyStopping", "Checkpoints", "OnPlateau"] {
        let trainer = Trainer::new(&model, Mse, sgd()?).silent().metric(R2::new());
        let mut trainer = match callback {
            "EarlyStopping" => trainer.callback(EarlyStopping::new("r2", 1)),
            "Checkpoints" => trainer.callback(Checkpoints::new(directory.path())?.best("r2")),
            _ => trainer.callback(OnPlateau::new("r2", ReduceLrOnPlateau::new(0.5)?)),
        };
        let error = trainer.fit(&data, Some(&data)).unwrap_err().to_string();
        let expected = "fit: expected one of the scores loss, valid_loss, valid_r2, got \"r2\"";
        assert_eq!(error, expected, "{callback}");
    }
    // R² rises without a reduction, and three epochs in a row without a rise halve the learning rate three times. It is so small
    // that the weight moves by the script alone.
    let rising = [0.0, 0.3, 0.6, 0.9];
    for (score, numbers, rate) in
        [("r2", rising, 1e-30), ("r2", [0.9, 0.6, 0.3, 0.0], 0.125e-30), ("mae", rising, 1e-30)]
    {
        let (model, next) = scripted(&numbers);
        let plateau = ReduceLrOnPlateau::new(0.5)?.patience(0).eps(0.0)?;
        let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 1e-30)?)
            .epochs(4)
            .silent()
            .metric(R2::new())
            .metric(Mae::new())
            .callback(OnPlateau::new(score, plateau))
            .callback(next);
        trainer.fit(&data, None)?;
        assert_eq!(trainer.optimizer.learning_rate(), rate, "{score} {numbers:?}");
    }
    Ok(())
}

#[test]
fn predictions_are_in_the_order_of_the_data() -> Result<()> {
    let x = Tensor::arange(0_f32, 10.0, &Device::Cpu)?.reshape((10, 1))?;
    let model = Linear { weight: Parameter::new(Tensor::new(&[[2_f32]], &Device::Cpu)?), bias: None };
    let mut trainer =
        Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent().metric(Mae::new());
    let loader = || DataLoader::new(&TensorDataset::new(&x, &x)?, 4);
    let weights: Vec<f64> = (0..10).map(f64::from).collect();
    let noise = |x: &Tensor, rng: &mut Rng| x + Tensor::randn(0_f32, 9.0, x.dims(), rng)?;
    let mut started = loader()?;
    let mut position = started.position();
    position.batch = 2;
    started.restore(position)?;
    let expected: Vec<f32> = (0..10).map(|i| 2.0 * i as f32).collect();
    for loader in [
        loader()?.shuffle(1).num_workers(2),
        loader()?.drop_last(),
        loader()?.weighted(&weights, 3)?.drop_last(),
        loader()?.augment(noise, 1),
        started,
    ] {
        let y = trainer.predict(&loader)?;
        assert_eq!(y.flatten(0, -1)?.to_vec1::<f32>()?, expected);
        assert_eq!(trainer.evaluate(&loader)?.get("mae")?, 4.5);
        assert_eq!(trainer.fit(&loader, Some(&loader))?.len(), 1);
        model.weight.set(&Tensor::new(&[[2_f32]], &Device::Cpu)?)?;
    }
    Ok(())
}

#[test]
fn a_schedule_multiplies_the_learning_rate_of_each_group() -> Result<()> {
    let data = data(40);
    // Weight and bias with learning rates of their own, and the same by hand.
    let rates = |factor: f64| [0.3 * factor, 0.3 * 0.25 * factor];
    let (model, manual) = (linear(), linear());
    let sgd = Sgd::new(model.parameters(), 0.3)?.group("bias", |g| g.lr_factor(0.25))?;
    let directory = tempfile::tempdir().unwrap();
    let seen = RefCell::new(Vec::new());
    let schedule = || StepLr::new(1, 0.5);
    let mut trainer = Trainer::new(&model, BceWithLogits, sgd)
        .epochs(3)
        .batch_size(40)
        .schedule(schedule()?)
        .callback(Checkpoints::new(directory.path())?)
        .on_step_end(|ctx| {
            seen.borrow_mut().push(ctx.optimizer.learning_rate());
            Ok(())
        })
        .silent();
    let history = trainer.fit(&data, None)?;
    assert_eq!(history.curve("learning_rate"), [(1.0, 0.3), (2.0, 0.15), (3.0, 0.075)]);
    // A second training begins with the same learning rate, and so does one that goes on.
    assert_eq!(trainer.fit(&data, None)?.curve("learning_rate"), history.curve("learning_rate"));
    drop(trainer);
    assert_eq!(seen.take(), [0.3; 6]);
    let again = linear();
    let mut resumed = Trainer::new(&again, BceWithLogits, Sgd::new(again.parameters(), 0.3)?)
        .epochs(4)
        .batch_size(40)
        .schedule(schedule()?)
        .callback(Checkpoints::new(directory.path())?)
        .on_step_end(|_| Ok(()))
        .silent()
        .resume(directory.path().join("last.safetensors"))?;
    assert_eq!(resumed.fit(&data, None)?.last("learning_rate")?, 0.3 / 8.0);
    for step in (0..3).chain(0..3) {
        let loss = BceWithLogits.loss(&manual.forward(&data.0, &mut ForwardContext::eval())?, &data.1)?;
        let gradients = loss.backward()?;
        for ((_, parameter), rate) in manual.parameters().into_iter().zip(rates(schedule()?.factor(step))) {
            let leaf = parameter.get();
            let gradient = gradients.get(&leaf).unwrap();
            parameter.set(&(leaf.detach() - (gradient * rate)?)?)?;
        }
    }
    let values = |model: &Linear| -> Vec<f32> {
        model
            .parameters()
            .iter()
            .flat_map(|(_, p)| p.get().flatten(0, -1).unwrap().to_vec1().unwrap())
            .collect()
    };
    assert!(values(&model).iter().zip(values(&manual)).all(|(a, b)| (a - b).abs() < 1e-6));
    Ok(())
}

#[test]
fn a_schedule_sets_the_momentum_of_each_step() -> Result<()> {
    let data = data(40);
    let schedule = || OneCycleLr::new(12)?.cycle_momentum(0.5, 0.95);
    let sgd = |model: &dyn Layer| {
        Sgd::new(model.parameters(), 0.3)?.momentum(0.9)?.group("bias", |group| group.momentum(0.2))
    };
    let directory = tempfile::tempdir().unwrap();
    let train = |model, epochs, resume: bool| {
        let mut trainer = Trainer::new(model, BceWithLogits, sgd(model)?)
            .epochs(epochs)
            .batch_size(40)
            .schedule(schedule()?)
            .callback(Checkpoints::new(directory.path())?)
            .silent();
        if resume {
            trainer = trainer.resume(directory.path().join("last.safetensors"))?;
        }
        trainer.fit(&data, None)?;
        Ok::<_, Error>(trainer)
    };
    let (whole, parted, manual) = (linear(), linear(), linear());
    let mut trainer = train(&whole, 12, false)?;
    train(&parted, 5, false)?;
    train(&parted, 12, true)?;
    assert_eq!(bits(&whole), bits(&parted));

    let mut optimizer = sgd(&manual)?;
    let mut loader = data.batches(40, Some(0))?;
    for step in 0..12 {
        let (x, y) = loader.epoch()?.next().unwrap()?;
        let loss = BceWithLogits.loss(&manual.forward(&x, &mut ForwardContext::eval())?, &y)?;
        optimizer.set_learning_rate(0.3 * schedule()?.factor(step))?;
        optimizer.set_momentum(schedule()?.momentum(step))?;
        optimizer.step(&loss.backward()?)?;
    }
    assert_eq!(bits(&whole), bits(&manual));
    // After the training each group has its own momentum again.
    optimizer.set_momentum(None)?;
    optimizer.set_learning_rate(0.3)?;
    for (optimizer, model) in [(&mut *trainer.optimizer, &whole), (&mut optimizer, &manual)] {
        let loss = BceWithLogits.loss(&model.forward(&data.0, &mut ForwardContext::eval())?, &data.1)?;
        optimizer.step(&loss.backward()?)?;
    }
    drop(trainer);
    assert_eq!(bits(&whole), bits(&manual));

    // An optimizer without momentum stays as it was.
    let model = linear();
    let plain = Sgd::new(model.parameters(), 0.3)?;
    let mut trainer = Trainer::new(&model, BceWithLogits, plain).schedule(schedule()?).silent();
    let error = trainer.fit(&data, None).unwrap_err().to_string();
    assert!(error.contains("an optimizer with a momentum"), "{error}");
    assert_eq!(trainer.optimizer.learning_rate(), 0.3);
    Ok(())
}

#[test]
fn fit_refuses_bad_losses_and_data() -> Result<()> {
    let (x, y) = data(10);
    let model = linear();
    let before = bits(&model);
    let bad = from_fn(40, move |i| {
        let input = if i == 35 { Tensor::new(&[f32::INFINITY; 3], &Device::Cpu)? } else { x.i(i % 10)? };
        Ok((input, y.i(i % 10)?))
    });
    let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.0)?).silent();
    let loader = DataLoader::new(&bad, 4)?;
    let text = trainer.fit(&loader, None).unwrap_err().to_string();
    assert_eq!(
        text,
        "step 9: fit: expected a loss that is finite (a smaller learning rate? autograd::detect_anomaly finds the operation), got NaN"
    );
    assert_eq!(bits(&model), before);
    let empty = from_fn(0, |_| Err(Error::argument("f", "", "")));
    let text = trainer.fit(&empty, None).unwrap_err().to_string();
    assert_eq!(text, "fit: expected enough examples for a batch, got 0 examples");
    assert!(trainer.evaluate(&empty).is_err() && trainer.predict(&empty).is_err());
    let (x, y) = data(10);
    let text = trainer.fit(&(x.clone(), y.i(0..9)?), None).unwrap_err().to_string();
    assert!(text.starts_with("TensorDataset: expected"), "{text}");
    let each = Mse.reduction(Reduction::None);
    let mut trainer = Trainer::new(&model, each, sgd(&model)).silent();
    let text = trainer.fit(&(x.clone(), y.clone()), None).unwrap_err().to_string();
    assert_eq!(text, "step 1: fit: expected a scalar loss (not Reduction::None), got [10, 1]");
    let mut none = Trainer::new(&model, Mse, sgd(&model)).silent().batch_size(0);
    assert!(none.fit(&(x.clone(), y.clone()), None).is_err());
    let mut none = Trainer::new(&model, Mse, sgd(&model)).silent().epochs(0);
    assert!(none.fit(&(x, y), None)?.is_empty());
    Ok(())
}

/// A model with random numbers and buffers, and a trainer with all that has a memory.
fn net() -> Sequential {
    let rng = &mut Rng::seed(3);
    Sequential::new()
        .push(Linear::new(3, 8, rng).unwrap())
        .push(BatchNorm1d::new(8).unwrap())
        .push(Dropout::new(0.3).unwrap())
        .push(Linear::new(8, 1, rng).unwrap())
}

fn trainer<'a>(model: &'a Sequential, directory: &std::path::Path, epochs: u64) -> Trainer<'a> {
    // The checkpoints of every step stay, each under its own name.
    let directory = directory.to_path_buf();
    Trainer::new(model, BceWithLogits, Adam::new(model.parameters(), 0.05).unwrap().amsgrad())
        .epochs(epochs)
        .batch_size(7)
        .accumulate(2)
        .clip_grad_norm(1.0)
        .seed(9)
        .silent()
        .metric(Accuracy::new().threshold(0.0))
        .callback(EarlyStopping::new("valid_loss", 100))
        .callback(OnPlateau::new("valid_loss", ReduceLrOnPlateau::new(0.5).unwrap().patience(0)))
        .callback(Log::json_lines(directory.join("log")))
        .callback(Checkpoints::new(&directory).unwrap().best("valid_accuracy").every(2))
        .on_step_end(move |ctx| {
            ctx.save(directory.join(ctx.step.to_string()));
            Ok(())
        })
}

#[test]
fn resuming_after_any_step_gives_the_same_bits() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (train, valid) = (data(40), data(10));
    let model = net();
    let whole = trainer(&model, directory.path(), 4).fit(&train, Some(&valid))?;
    let text = |name| std::fs::read_to_string(path(name)).unwrap();
    // Without the times, which differ.
    let log = || {
        text("log")
            .lines()
            .map(|l| (l[..24].to_string(), l.split("loss").last().unwrap().to_string()))
            .collect::<Vec<_>>()
    };
    let whole_log = log();
    assert_eq!((whole.len(), whole.records()[3].step, whole_log.len()), (4, 12, 4));
    let scores = |history: &History| {
        history.records().iter().map(|r| (r.epoch, r.step, r.scores.clone())).collect::<Vec<_>>()
    };
    for step in 1..=12 {
        let again = net();
        std::fs::write(path("log"), "spoilt").unwrap();
        let mut second = trainer(&again, directory.path(), 4).resume(path(&step.to_string()))?;
        let history = second.fit(&train, Some(&valid))?;
        assert_eq!(scores(&history), scores(&whole), "{step}");
        assert_eq!(bits(&again), bits(&model), "{step}");
        assert_eq!(log(), whole_log, "{step}");
    }
    assert!(path("best.safetensors").exists() && path("epoch-4.safetensors").exists());
    assert!(!path("epoch-3.safetensors").exists());

    // Longer than it was meant to be.
    let (long, short) = (net(), net());
    trainer(&long, directory.path(), 6).fit(&train, Some(&valid))?;
    let first = net();
    trainer(&first, directory.path(), 4).fit(&train, Some(&valid))?;
    trainer(&short, directory.path(), 6).resume(path("last.safetensors"))?.fit(&train, Some(&valid))?;
    assert_eq!(bits(&long), bits(&short));
    Ok(())
}

#[test]
fn a_checkpoint_of_something_else_is_refused() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("last.safetensors");
    let (train, model) = (data(40), linear());
    let base = |model| Trainer::new(model, BceWithLogits, sgd(model)).silent();
    base(&model).callback(Checkpoints::new(directory.path())?).fit(&train, None)?;
    let refusal = |trainer: Result<Trainer>| trainer.err().unwrap().to_string();

    let fresh = linear();
    let before = bits(&fresh);
    assert_eq!(
        refusal(base(&fresh).seed(1).resume(&file)),
        "resume: expected a checkpoint with seed 1, got 0"
    );
    let wide = Linear::new(4, 1, &mut Rng::seed(1))?;
    assert!(refusal(base(&wide).resume(&file)).starts_with("weight.momentum_buffer: expected [1, 4]"));
    let adam = Adam::new(fresh.parameters(), 0.1)?;
    assert!(refusal(Trainer::new(&fresh, Mse, adam).resume(&file)).contains("in the state"));
    assert_eq!(bits(&fresh), before);
    let fit = |trainer: Trainer, data| -> Result<String> {
        let mut trainer = trainer.resume(&file)?;
        Ok(trainer.fit(data, None).unwrap_err().to_string())
    };
    assert_eq!(fit(base(&fresh), &train)?, "fit: expected a checkpoint with 0 callbacks, got 1");
    let other = |_: &mut CallbackContext| Ok(());
    let text = fit(base(&fresh).callback(other), &train)?;
    assert_eq!(text, "callback0: best: not expected in the state");
    let text = fit(base(&fresh).callback(Checkpoints::new(directory.path())?), &data(30))?;
    assert!(text.starts_with("DataLoader: expected a position"), "{text}");
    Ok(())
}

#[test]
fn lbfgs_equals_a_manual_loop() -> Result<()> {
    let (x, y) = data(50);
    let (model, manual) = (linear(), linear());
    let lbfgs =
        |model: &Linear| Ok::<_, Error>(Lbfgs::new(model.parameters(), 1.0)?.max_iter(4)?.strong_wolfe());
    let mut trainer = Trainer::new(&model, BceWithLogits, lbfgs(&model)?).epochs(3).batch_size(50).silent();
    let history = trainer.fit(&(x.clone(), y.clone()), None)?;
    let mut optimizer = lbfgs(&manual)?;
    let mut losses = Vec::new();
    for _ in 0..3 {
        let loss = || BceWithLogits.loss(&manual.forward(&x, &mut ForwardContext::eval())?, &y);
        losses.push(optimizer.step(loss)?);
    }
    assert_eq!(bits(&model), bits(&manual));
    assert!(losses[2] < 0.5 * losses[0], "{losses:?}");
    let curve = history.curve("loss");
    assert!(curve.iter().zip(&losses).all(|((_, a), b)| (a - b).abs() < 1e-15), "{curve:?} {losses:?}");

    let range = trainer.lr_find(&(x.clone(), y.clone()), 1e-3, 1.0, 5)?;
    assert_eq!((range.losses.len(), bits(&model)), (5, bits(&manual)));
    let error = trainer.fit(&((x * f64::INFINITY)?, y), None).unwrap_err().to_string();
    assert!(error.starts_with("step 1: fit: expected a loss that is finite"), "{error}");
    assert_eq!(bits(&model), bits(&manual));
    let error = Optimizer::step(&mut optimizer, &Gradients::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("Lbfgs: expected a function that evaluates the loss (step_with), got"),
        "{error}"
    );
    Ok(())
}

fn lbfgs_trainer<'a>(model: &'a Sequential, directory: &std::path::Path) -> Trainer<'a> {
    let directory = directory.to_path_buf();
    let lbfgs = Lbfgs::new(model.parameters(), 1.0).unwrap().max_iter(3).unwrap().strong_wolfe();
    Trainer::new(model, BceWithLogits, lbfgs)
        .epochs(3)
        .batch_size(10)
        .accumulate(2)
        .schedule(CosineAnnealingLr::new(8).unwrap())
        .silent()
        .callback(EarlyStopping::new("valid_loss", 100))
        .on_step_end(move |ctx| {
            ctx.save(directory.join(ctx.step.to_string()));
            Ok(())
        })
}

#[test]
fn lbfgs_resumes_with_the_same_bits() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let (train, valid) = (data(40), data(10));
    let model = net();
    let whole = lbfgs_trainer(&model, directory.path()).fit(&train, Some(&valid))?;
    assert_eq!(whole.records()[2].step, 6);
    for step in 1..=6 {
        let again = net();
        let mut second =
            lbfgs_trainer(&again, directory.path()).resume(directory.path().join(step.to_string()))?;
        let history = second.fit(&train, Some(&valid))?;
        assert_eq!(bits(&again), bits(&model), "{step}");
        assert_eq!(history.last("valid_loss")?, whole.last("valid_loss")?, "{step}");
    }
    Ok(())
}

/// Evaluates each step twice, and notes both losses.
struct Twice<'a>(Sgd, &'a RefCell<Vec<f64>>);

impl Optimizer for Twice<'_> {
    fn step(&mut self, gradients: &Gradients) -> Result<()> {
        self.0.step(gradients)
    }

    fn step_with(&mut self, evaluate: &mut dyn FnMut() -> Result<(f64, Gradients)>) -> Result<f64> {
        let (loss, _) = evaluate()?;
        let (again, gradients) = evaluate()?;
        self.1.borrow_mut().extend([loss, again]);
        self.0.step(&gradients)?;
        Ok(loss)
    }

    fn learning_rate(&self) -> f64 {
        self.0.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        self.0.set_learning_rate(learning_rate)
    }

    fn state_dict(&self) -> Result<std::collections::BTreeMap<String, Tensor>> {
        self.0.state_dict()
    }

    fn load_state_dict(&mut self, state: &std::collections::BTreeMap<String, Tensor>) -> Result<()> {
        self.0.load_state_dict(state)
    }
}

#[test]
fn evaluations_of_a_step_have_the_same_dropout_masks() -> Result<()> {
    let (model, losses) = (net(), RefCell::new(Vec::new()));
    let optimizer = Twice(sgd(&model), &losses);
    let mut trainer = Trainer::new(&model, BceWithLogits, optimizer).batch_size(10).accumulate(2).silent();
    let history = trainer.fit(&data(40), None)?;
    drop(trainer);
    let losses = losses.take();
    assert_eq!((losses.len(), losses[0], losses[2]), (4, losses[1], losses[3]));
    assert_ne!(losses[0], losses[2]);
    assert!((history.last("loss")? - (losses[0] + losses[2]) / 2.0).abs() < 1e-12);
    Ok(())
}

/// A body with two heads, one of them through a skip connection.
struct TwoHeads {
    body: Linear,
    class: Linear,
    sum: Linear,
}

impl TwoHeads {
    fn new() -> Result<Self> {
        let rng = &mut Rng::seed(1);
        let [body, class, sum] = [Linear::new(3, 8, rng)?, Linear::new(8, 2, rng)?, Linear::new(11, 1, rng)?];
        Ok(TwoHeads { body, class, sum })
    }

    fn heads(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<[Tensor; 2]> {
        let h = ctx.call("body", &self.body, x)?.tanh()?;
        let skip = Tensor::cat(&[&h, x], 1)?;
        Ok([ctx.call("class", &self.class, &h)?, ctx.call("sum", &self.sum, &skip)?])
    }
}

impl Layer for TwoHeads {
    crate::fields!(body, class, sum);
}

fn two_losses(y: &[Tensor], t: &[Tensor]) -> Result<Tensor> {
    CrossEntropy::new().loss(&y[0], &t[0])? + Mse.loss(&y[1], &t[1])?
}

fn two_heads_data(n: usize) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    let (x, y) = data(n);
    let sums = x.sum_keepdim(1)?;
    Ok((vec![x], vec![y.squeeze(1)?.to_dtype(DType::U32)?, sums]))
}

#[test]
fn two_heads_equal_a_manual_loop() -> Result<()> {
    let (train, valid) = (two_heads_data(40)?, two_heads_data(10)?);
    let directory = tempfile::tempdir().unwrap();
    let (model, manual, again) = (TwoHeads::new()?, TwoHeads::new()?, TwoHeads::new()?);
    fn trainer<'a>(model: &'a TwoHeads, epochs: u64, directory: &std::path::Path) -> Result<Trainer<'a>> {
        let forward = |x: &[Tensor], ctx: &mut ForwardContext| model.heads(&x[0], ctx);
        let trainer = Trainer::with_forward(model, forward, two_losses, sgd(model));
        let trainer = trainer.epochs(epochs).batch_size(16).seed(4);
        let trainer = trainer.metric_of(0, "class", Accuracy::new()).metric_of(1, "sum", R2::new());
        let trainer = trainer.callback(EarlyStopping::new("loss", 50)).silent();
        Ok(trainer.callback(Checkpoints::new(directory)?.best("valid_class accuracy")))
    }
    let trainer = |model, epochs| trainer(model, epochs, directory.path());
    let mut whole = trainer(&model, 4)?;
    let history = whole.fit(&train, Some(&valid))?;

    let mut optimizer = sgd(&manual);
    let classes = TensorDataset::new(&train.0[0], &train.1[0])?;
    let sums = TensorDataset::new(&train.0[0], &train.1[1])?;
    let loader = |data| Ok::<_, Error>(DataLoader::new(data, 16)?.shuffle(4));
    let (mut classes, mut sums) = (loader(&classes)?, loader(&sums)?);
    for _ in 0..4 {
        for (first, second) in classes.epoch()?.zip(sums.epoch()?) {
            let ((x, class), (_, sum)) = (first?, second?);
            let y = manual.heads(&x, &mut ForwardContext::eval())?;
            optimizer.step(&two_losses(&y, &[class, sum])?.backward()?)?;
        }
    }
    assert_eq!(bits(&model), bits(&manual));

    let names: Vec<&str> = history.records()[0].scores.names().collect();
    assert_eq!(names, ["loss", "learning_rate", "valid_loss", "valid_class accuracy", "valid_sum r2"]);
    assert!(history.last("valid_sum r2")? > 0.8, "{history:?}");
    assert!(history.summary().contains("sum (Linear)"), "{}", history.summary());
    let predictions = whole.predict_multi(&valid)?;
    assert_eq!(predictions[..], manual.heads(&valid.0[0], &mut ForwardContext::eval())?.map(|y| y.detach()));
    let inputs_alone = (valid.0.clone(), Vec::new());
    assert_eq!(whole.predict_multi(&inputs_alone)?, predictions);
    let error = whole.predict(&valid).unwrap_err().to_string();
    assert_eq!(error, "predict: expected one output (see predict_multi), got 2");

    trainer(&again, 2)?.fit(&train, Some(&valid))?;
    let mut rest = trainer(&again, 4)?.resume(directory.path().join("last.safetensors"))?;
    assert_eq!(rest.fit(&train, Some(&valid))?.last("valid_loss")?, history.last("valid_loss")?);
    assert_eq!(bits(&again), bits(&model));

    let forward = |x: &[Tensor], ctx: &mut ForwardContext| model.heads(&x[0], ctx);
    let mut third = Trainer::with_forward(&model, forward, two_losses, sgd(&model)).silent().metric_of(
        2,
        "x",
        Mae::new(),
    );
    let error = third.fit(&train, None).unwrap_err().to_string();
    assert_eq!(
        error,
        "fit: expected an output 2 and a target 2 for the metric x mae, got 2 outputs and 2 targets"
    );
    let error =
        Trainer::new(&linear(), Mse, sgd(&linear())).silent().fit(&train, None).unwrap_err().to_string();
    assert_eq!(error, "step 1: fit: expected one target (see Trainer::with_forward), got 2");
    Ok(())
}

#[test]
fn a_siamese_network_is_trained() -> Result<()> {
    // Whether two points are near, through one encoder.
    let [a, b] = [1, 2].map(|seed| Tensor::randn(0.0, 1.0, (64, 3), &mut Rng::seed(seed)));
    let (a, b) = (a?, b?);
    let near = (&a - &b)?.norm(2.0, 1)?.lt(2.0)?.to_dtype(DType::F32)?;
    let (encoder, manual) = (linear(), linear());
    let distance = |encoder: &Linear, x: &[Tensor], ctx: &mut ForwardContext| {
        let [a, b] = [ctx.call("encoder", encoder, &x[0])?, ctx.call("encoder", encoder, &x[1])?];
        1.0 - (a - b)?.abs()?.squeeze(1)?
    };
    let noise = |x: &Tensor, rng: &mut Rng| x + Tensor::randn(0.0, 0.1, x.dims(), rng)?;
    let examples = MultiTensorDataset::new(&[&a, &b], &[&near])?;
    let loader = || {
        Ok::<_, Error>(
            DataLoader::new(&examples, 10)?.shuffle(3).augment(noise, 5).num_workers(2).drop_last(),
        )
    };
    let loss = |y: &[Tensor], t: &[Tensor]| BceWithLogits.loss(&y[0], &t[0]);
    let mut trainer =
        Trainer::with_forward(&encoder, |x, ctx| distance(&encoder, x, ctx), loss, sgd(&encoder))
            .epochs(2)
            .silent()
            .metric(Accuracy::new().threshold(0.0));
    let history = trainer.fit(&loader()?, Some(&loader()?))?;
    assert_eq!(history.records()[1].step, 12);
    // All 64 pairs in their order, without noise.
    let expected = distance(&encoder, &[a.clone(), b.clone()], &mut ForwardContext::eval())?.detach();
    assert_eq!(trainer.predict(&loader()?)?, expected);

    let (mut optimizer, mut batches) = (sgd(&manual), loader()?);
    for _ in 0..2 {
        let mut epoch = batches.epoch()?;
        while let Some(batch) = epoch.next_multi() {
            let (x, t) = batch?;
            let y = distance(&manual, &x, &mut ForwardContext::eval())?;
            optimizer.step(&loss(&[y], &t)?.backward()?)?;
        }
    }
    assert_eq!(bits(&encoder), bits(&manual));
    Ok(())
}

#[test]
fn a_last_batch_of_one_and_batch_normalization() -> Result<()> {
    let (data, model) = (data(33), net());
    let trainer = || Trainer::new(&model, BceWithLogits, sgd(&model)).silent();
    let error = trainer().fit(&data, None).unwrap_err().to_string();
    assert!(
        error.starts_with("step 2.1: batch_norm1d: expected two values or more for each channel"),
        "{error}"
    );
    assert!(error.contains("DataLoader::drop_last leaves out a last batch of one"), "{error}");
    let loader = DataLoader::new(&TensorDataset::new(&data.0, &data.1)?, 32)?.drop_last();
    assert_eq!(trainer().fit(&loader, Some(&data))?.records()[0].step, 1);
    Ok(())
}
