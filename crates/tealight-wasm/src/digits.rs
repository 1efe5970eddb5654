//! Page 3: logistic regression on handwritten digits.

use tealight::prelude::*;
use wasm_bindgen::prelude::*;

use crate::thrown;

pub(crate) const PIXELS: usize = 64;
/// The digits after these were written by other people.
pub(crate) const TRAIN: usize = 1437;

/// A linear model with softmax over the ten digits, its data, and its training.
#[wasm_bindgen]
pub struct Digits {
    inputs: Tensor,
    targets: Tensor,
    labels: Vec<u32>,
    model: Linear,
    optimizer: Sgd,
    batch: usize,
    rng: Rng,
    order: Vec<usize>,
}

#[wasm_bindgen]
impl Digits {
    /// From 64 numbers between 0 and 16 for each digit, and what each is.
    #[wasm_bindgen(constructor)]
    pub fn new(ink: &[u8], labels: &[u8], rate: f64, batch: usize, seed: u32) -> Result<Digits, JsError> {
        build(ink, labels, rate, batch, seed).map_err(thrown)
    }

    /// Takes this many steps and returns the mean loss of their batches.
    pub fn train(&mut self, steps: u32) -> Result<f64, JsError> {
        self.steps(steps).map_err(thrown)
    }

    /// 64 weights for each digit.
    pub fn weights(&self) -> Result<Vec<f32>, JsError> {
        let weights = || self.model.parameters()[0].1.get().flatten(0, -1)?.to_vec1();
        weights().map_err(thrown)
    }

    /// The share of right answers on the training digits and on those of other people.
    pub fn accuracy(&self) -> Result<Vec<f64>, JsError> {
        let answers = || self.model.predict(&self.inputs)?.argmax(1)?.to_vec1::<u32>();
        let answers = answers().map_err(thrown)?;
        let share = |range: std::ops::Range<usize>| {
            let right = range.clone().filter(|&i| answers[i] == self.labels[i]).count();
            right as f64 / range.len() as f64
        };
        Ok(vec![share(0..TRAIN), share(TRAIN..answers.len())])
    }

    /// The wrong answers on the digits of other people, the most confident first: index, answer, probability, in turn.
    pub fn mistakes(&self, count: usize) -> Result<Vec<f64>, JsError> {
        let probabilities = || self.model.predict(&self.inputs)?.softmax(1)?.to_vec2::<f32>();
        let mut wrong: Vec<[f64; 3]> = Vec::new();
        for (i, row) in probabilities().map_err(thrown)?.iter().enumerate().skip(TRAIN) {
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
            if best != self.labels[i] as usize {
                wrong.push([i as f64, best as f64, f64::from(row[best])]);
            }
        }
        wrong.sort_by(|a, b| b[2].total_cmp(&a[2]));
        Ok(wrong.into_iter().take(count).flatten().collect())
    }

    /// The ten probabilities for a picture of 64 numbers between 0 and 1.
    pub fn answer(&self, ink: Vec<f32>) -> Result<Vec<f32>, JsError> {
        let answer = || {
            let x = Tensor::from_vec(ink, (1, PIXELS), &Device::Cpu)?;
            self.model.predict(&x)?.softmax(1)?.flatten(0, -1)?.to_vec1()
        };
        answer().map_err(thrown)
    }

    /// How much each pixel speaks for this digit: ink times weight, less the mean over all digits.
    pub fn evidence(&self, ink: Vec<f32>, digit: usize) -> Result<Vec<f32>, JsError> {
        let evidence = || {
            let weights = self.model.parameters()[0].1.get();
            let x = Tensor::from_vec(ink, PIXELS, &Device::Cpu)?;
            (x * (weights.i(digit)? - weights.mean(0)?)?)?.to_vec1()
        };
        evidence().map_err(thrown)
    }
}

fn build(ink: &[u8], labels: &[u8], rate: f64, batch: usize, seed: u32) -> Result<Digits> {
    if ink.len() != labels.len() * PIXELS || labels.len() <= TRAIN || batch == 0 {
        let expected =
            format!("{PIXELS} numbers a digit, more than {TRAIN} digits, and a batch of at least one");
        let got = format!("{} numbers for {} digits, and {batch}", ink.len(), labels.len());
        return Err(Error::argument("Digits", &expected, got));
    }
    let rng = &mut Rng::seed(seed.into());
    let ink: Vec<f32> = ink.iter().map(|&ink| f32::from(ink) / 16.0).collect();
    let labels: Vec<u32> = labels.iter().map(|&label| label.into()).collect();
    let model = Linear::new(PIXELS, 10, rng)?;
    Ok(Digits {
        inputs: Tensor::from_vec(ink, (labels.len(), PIXELS), &Device::Cpu)?,
        targets: Tensor::new(&labels[..], &Device::Cpu)?,
        labels,
        optimizer: Sgd::new(model.parameters(), rate)?,
        model,
        batch: batch.min(TRAIN),
        rng: Rng::seed(u64::from(seed) + 1),
        order: Vec::new(),
    })
}

impl Digits {
    fn steps(&mut self, steps: u32) -> Result<f64> {
        let mut sum = 0.0;
        for _ in 0..steps {
            if self.order.len() < self.batch {
                self.order = self.rng.permutation(TRAIN);
            }
            let chosen = self.order.split_off(self.order.len() - self.batch);
            let chosen: Vec<u32> = chosen.into_iter().map(|i| i as u32).collect();
            let chosen = Tensor::new(&chosen[..], &Device::Cpu)?;
            let scores =
                self.model.forward(&self.inputs.index_select(0, &chosen)?, &mut ForwardContext::eval())?;
            let loss = CrossEntropy::new().loss(&scores, &self.targets.index_select(0, &chosen)?)?;
            sum += f64::from(loss.to_scalar::<f32>()?);
            self.optimizer.step(&loss.backward()?)?;
        }
        Ok(sum / f64::from(steps))
    }
}
