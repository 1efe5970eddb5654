//! What a [`Trainer`] is told before it trains: epochs, batches, the learning rate, metrics, callbacks.

use std::any::type_name;

use super::Trainer;
use super::callback::{Callback, CallbackContext, EachStep};
use crate::error::Result;
use crate::metrics::Metric;
use crate::optim::schedule::Schedule;
use crate::optim::without_paths;

impl<'a> Trainer<'a> {
    /// How many times all examples are gone through.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).epochs(3).silent();
    /// assert_eq!(trainer.fit(&x, None)?.len(), 3);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }

    /// How many examples a batch has, 32 if nothing is said; `usize::MAX` puts all into one. A
    /// [`DataLoader`](crate::data::DataLoader) has a size of its own.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((10, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).batch_size(4).silent();
    /// assert_eq!(trainer.fit(&x, None)?.records()[0].step, 3); // 4, 4 and 2 examples
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn batch_size(mut self, size: usize) -> Self {
        self.batch_size = size;
        self
    }

    /// A step is taken for this many batches together, with the mean of their gradients, in which each batch counts by its
    /// number of examples. With a mean as the loss that is the gradient of one large batch.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).batch_size(2).accumulate(2).silent();
    /// assert_eq!(trainer.fit(&x, None)?.records()[0].step, 2); // for four batches
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "gradient_accumulation_steps")]
    #[doc(alias = "accumulate_grad_batches")]
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.accumulate = batches.max(1);
        self
    }

    /// The learning rate of each step. Without a schedule it is what the optimizer was made with.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let halves = |step: usize| 0.5_f64.powi(step as i32);
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(3).schedule(halves).silent();
    /// assert_eq!(trainer.fit(&x, None)?.curve("rate"), [(1.0, 1.0), (2.0, 0.5), (3.0, 0.25)]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "lr_scheduler")]
    #[doc(alias = "LearningRateScheduler")]
    pub fn schedule<S: Schedule + 'a>(mut self, schedule: S) -> Self {
        self.schedule_name = without_paths(type_name::<S>());
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Scales the gradients so that their norm, over all parameters together, is at most this.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let data = (Tensor::new(&[[10_f32]], &Device::Cpu)?, Tensor::new(&[[90_f32]], &Device::Cpu)?);
    /// let model = Linear::new(1, 1, &mut Rng::seed(1))?.without_bias();
    /// let before = model.weight.get().to_scalar::<f32>()?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 1.0)?).clip_norm(0.5).silent();
    /// trainer.fit(&data, None)?;
    /// assert!((model.weight.get().to_scalar::<f32>()? - before - 0.5).abs() < 1e-6); // not 200 times as far
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn clip_norm(mut self, max: f64) -> Self {
        self.clip = Some(max);
        self
    }

    /// The seed of the order of the examples and of what the model does at random, 0 if nothing is said.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::randn(0_f32, 1.0, (6, 2), &mut Rng::seed(1))?;
    /// let train = |seed| {
    ///     let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    ///     let sgd = Sgd::new(model.parameters(), 0.1)?;
    ///     Trainer::new(&model, Mse, sgd).batch_size(1).seed(seed).silent().fit(&x, None)?;
    ///     model.weight.get().to_vec2::<f32>()
    /// };
    /// assert_eq!(train(7)?, train(7)?);
    /// assert_ne!(train(7)?, train(8)?); // another order of the examples
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Shows no [`Progress`](super::Progress).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let history = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent().fit(&x, None)?;
    /// assert_eq!(history.len(), 1); // what was measured is in the history all the same
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "verbose")]
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Adds a metric: it is measured after each epoch, on the validation data, or on the training data if there are no other.
    ///
    /// ```
    /// use tealight::metrics::Accuracy;
    /// use tealight::prelude::*;
    /// use tealight::train::Trainer;
    /// let x = Tensor::randn(0_f32, 1.0, (100, 2), &mut Rng::seed(1))?;
    /// let data = (x.clone(), x.gt(0.0)?.all(1)?.to_dtype(DType::U32)?);
    /// let model = Linear::new(2, 2, &mut Rng::seed(2))?;
    /// let mut trainer = Trainer::new(&model, CrossEntropy::new(), Adam::new(model.parameters(), 0.1)?)
    ///     .epochs(20)
    ///     .silent()
    ///     .metric(Accuracy::new());
    /// assert!(trainer.fit(&data, Some(&data))?.last("valid_accuracy")? > 0.8);
    /// assert!(trainer.evaluate(&data)?.get("accuracy")? > 0.8);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn metric(mut self, metric: impl Metric + 'a) -> Self {
        self.metrics.push(Box::new(metric));
        self
    }

    /// Adds a callback, or a closure that is called after each epoch.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::CallbackContext;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let two_are_enough = |run: &mut CallbackContext| {
    ///     if run.epoch == 2 {
    ///         run.stop();
    ///     }
    ///     Ok(())
    /// };
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(9).silent().callback(two_are_enough);
    /// assert_eq!(trainer.fit(&x, None)?.len(), 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Adds a closure that is called after each epoch. An error from it ends the training.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::CallbackContext;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let mut losses = Vec::new();
    /// let note = |run: &mut CallbackContext| {
    ///     losses.push(run.score("loss")?);
    ///     Ok(())
    /// };
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// Trainer::new(&model, Mse, sgd).epochs(3).silent().each_epoch(note).fit(&x, None)?;
    /// assert!(losses.len() == 3 && losses[2] < losses[0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn each_epoch(self, f: impl FnMut(&mut CallbackContext) -> Result<()> + 'a) -> Self {
        self.callback(f)
    }

    /// Adds a closure that is called after each step. An error from it ends the training.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::CallbackContext;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let mut steps = Vec::new();
    /// let note = |run: &mut CallbackContext| {
    ///     steps.push(run.step);
    ///     Ok(())
    /// };
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// Trainer::new(&model, Mse, sgd).batch_size(3).silent().each_step(note).fit(&x, None)?;
    /// assert_eq!(steps, [1, 2, 3]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn each_step(self, f: impl FnMut(&mut CallbackContext) -> Result<()> + 'a) -> Self {
        self.callback(EachStep(f))
    }
}
