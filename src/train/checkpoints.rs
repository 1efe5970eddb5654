//! [`Checkpoints`]: the training in files, so that it can go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::callback::{Better, Callback, CallbackContext, number, to_tensor};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::{advice, file_error};

/// Writes checkpoints to a directory: `last.safetensors` after each epoch, and what else one asks for. Each has everything that
/// [`Trainer::resume`](super::Trainer::resume) needs to go on with the same bits.
///
/// Ctrl-C while [`fit`](super::Trainer::fit) runs writes `last.safetensors` after the step that is being taken, and ends `fit` with
/// [`Error::Interrupted`](crate::Error::Interrupted) (feature `interrupt`); a second one ends the program at once. Before and after,
/// Ctrl-C does what it always did.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::train::{Checkpoints, Trainer};
/// let dir = std::env::temp_dir().join("tealight-doc-checkpoints");
/// let x = Tensor::randn(0_f32, 1.0, (50, 2), &mut Rng::seed(1))?;
/// let data = (x.clone(), x.sum_keepdim(1)?);
/// let train = |epochs: u64, resume: bool| {
///     let model = Linear::new(2, 1, &mut Rng::seed(2))?;
///     let mut trainer = Trainer::new(&model, Mse, Adam::new(model.parameters(), 0.1)?)
///         .epochs(epochs)
///         .silent()
///         .callback(Checkpoints::new(&dir)?.best("valid_loss").every(2));
///     if resume {
///         trainer = trainer.resume(dir.join("last.safetensors"))?;
///     }
///     trainer.fit(&data, Some(&data))?.last("loss")
/// };
/// let whole = train(4, false)?;
/// train(3, false)?;
/// assert_eq!(train(4, true)?, whole);
/// assert!(dir.join("best.safetensors").exists() && dir.join("epoch-2.safetensors").exists());
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "ModelCheckpoint")]
pub struct Checkpoints {
    directory: PathBuf,
    every: Option<u64>,
    steps: Option<u64>,
    best: Option<(String, Better)>,
    record: f64,
}

impl Checkpoints {
    /// Writes to this directory, which is made if it is not there.
    ///
    /// # Errors
    /// A directory that cannot be made.
    ///
    /// ```
    /// use tealight::train::Checkpoints;
    /// let dir = std::env::temp_dir().join("tealight-doc-checkpoints-new");
    /// Checkpoints::new(&dir)?;
    /// assert!(dir.is_dir());
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref().to_path_buf();
        std::fs::create_dir_all(&directory).map_err(|error| {
            let advice = advice(&error);
            file_error(&directory, format!("expected a directory that can be made, got: {error}{advice}"))
        })?;
        Ok(Checkpoints { directory, every: None, steps: None, best: None, record: f64::NAN })
    }

    /// Also `epoch-10.safetensors` after each tenth epoch, or whatever `epochs` is; these stay.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::Checkpoints;
    /// let dir = std::env::temp_dir().join("tealight-doc-checkpoints-every");
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let (sgd, files) = (Sgd::new(model.parameters(), 0.1)?, Checkpoints::new(&dir)?.every(2));
    /// Trainer::new(&model, Mse, sgd).epochs(4).silent().callback(files).fit(&x, None)?;
    /// let there = |epoch: u64| dir.join(format!("epoch-{epoch}.safetensors")).exists();
    /// assert_eq!([1, 2, 3, 4].map(there), [false, true, false, true]);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn every(mut self, epochs: u64) -> Self {
        self.every = Some(epochs.max(1));
        self
    }

    /// Writes `last.safetensors` also after this many steps, for long epochs.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// use tealight::prelude::*;
    /// use tealight::train::{Checkpoints, CallbackContext};
    /// let dir = std::env::temp_dir().join("tealight-doc-checkpoints-steps");
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let (sgd, files) = (Sgd::new(model.parameters(), 0.1)?, Checkpoints::new(&dir)?.every_steps(2));
    /// let stop = |run: &mut CallbackContext| {
    ///     if run.step == 5 {
    ///         run.stop(); // of eight
    ///     }
    ///     Ok(())
    /// };
    /// Trainer::new(&model, Mse, sgd).batch_size(1).silent().callback(files).each_step(stop).fit(&x, None)?;
    /// assert_eq!(Checkpoint::read(dir.join("last.safetensors"))?.meta::<u64>("step")?, 4);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "save_freq")]
    pub fn every_steps(mut self, steps: u64) -> Self {
        self.steps = Some(steps.max(1));
        self
    }

    /// Also `best.safetensors`, whenever the score is smaller than in all epochs before.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// use tealight::prelude::*;
    /// use tealight::train::Checkpoints;
    /// let dir = std::env::temp_dir().join("tealight-doc-checkpoints-best");
    /// let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// let model = Linear { weight: Parameter::new(x.clone()), bias: None }; // y = x: the loss is 0 from the start
    /// let (sgd, files) = (Sgd::new(model.parameters(), 0.1)?, Checkpoints::new(&dir)?.best("loss"));
    /// Trainer::new(&model, Mse, sgd).epochs(3).silent().callback(files).fit(&x, None)?;
    /// assert_eq!(Checkpoint::read(dir.join("best.safetensors"))?.meta::<u64>("epoch")?, 1);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "save_best_only")]
    pub fn best(mut self, score: &str) -> Self {
        self.best = Some((score.into(), Better::default()));
        self
    }

    /// Also `best.safetensors`, whenever the score is larger than in all epochs before.
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// use tealight::metrics::Accuracy;
    /// use tealight::prelude::*;
    /// use tealight::train::Checkpoints;
    /// let dir = std::env::temp_dir().join("tealight-doc-checkpoints-largest");
    /// let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// let data = (x.clone(), Tensor::new(&[0_u32, 1], &Device::Cpu)?);
    /// let model = Linear { weight: Parameter::new((x * -1.0)?), bias: None }; // at first it takes each class for the other
    /// let (sgd, files) = (Sgd::new(model.parameters(), 1.0)?, Checkpoints::new(&dir)?.best_is_largest("accuracy"));
    /// let mut trainer = Trainer::new(&model, CrossEntropy::new(), sgd).epochs(5).silent().metric(Accuracy::new()).callback(files);
    /// assert_eq!(trainer.fit(&data, None)?.curve("accuracy")[..3], [(1.0, 0.0), (2.0, 1.0), (3.0, 1.0)]);
    /// assert_eq!(Checkpoint::read(dir.join("best.safetensors"))?.meta::<u64>("epoch")?, 2);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn best_is_largest(mut self, score: &str) -> Self {
        self.best = Some((score.into(), Better { larger: true, least_change: 0.0 }));
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.safetensors"))
    }
}

impl Callback for Checkpoints {
    fn begin(&mut self, run: &mut CallbackContext) -> Result<()> {
        if run.history.is_empty() {
            self.record = f64::NAN;
        }
        Ok(())
    }

    fn step(&mut self, run: &mut CallbackContext) -> Result<()> {
        if self.steps.is_some_and(|steps| run.step.is_multiple_of(steps)) {
            run.save(self.file("last"));
        }
        Ok(())
    }

    fn epoch(&mut self, run: &mut CallbackContext) -> Result<()> {
        if let Some((name, better)) = &self.best {
            let score = run.score(name)?;
            if better.than(score, self.record) {
                self.record = score;
                run.save(self.file("best"));
            }
        }
        if self.every.is_some_and(|epochs| run.epoch.is_multiple_of(epochs)) {
            run.save(self.file(&format!("epoch-{}", run.epoch)));
        }
        run.save(self.file("last"));
        Ok(())
    }

    fn on_interrupt(&self) -> Option<PathBuf> {
        Some(self.file("last"))
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(BTreeMap::from([("best".to_string(), to_tensor(self.record)?)]))
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.record = number(state, "best")?;
        Ok(())
    }
}
