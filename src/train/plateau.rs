//! [`OnPlateau`]: a smaller learning rate when nothing gets better.

use std::collections::BTreeMap;

use super::callback::{Callback, CallbackContext};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::optim::schedule::Plateau;

/// Shows a [`Plateau`] a score after each epoch, and gives the optimizer its rate. It goes without a schedule, which would set
/// the rate at the next step.
///
/// ```
/// use tealight::optim::schedule::Plateau;
/// use tealight::prelude::*;
/// use tealight::train::{OnPlateau, Trainer};
/// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// let data = (x.clone(), x.sum_keepdim(1)?);
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?)
///     .epochs(200)
///     .silent()
///     .callback(OnPlateau::new("valid_loss", Plateau::new(0.1, 0.5)?.patience(3)));
/// assert!(trainer.fit(&data, Some(&data))?.last("rate")? < 0.1);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OnPlateau {
    score: String,
    plateau: Plateau,
}

impl OnPlateau {
    /// Watches the score of this name.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// use tealight::prelude::*;
    /// use tealight::train::OnPlateau;
    /// let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// let model = Linear { weight: Parameter::new(x.clone()), bias: None }; // y = x: the loss stays 0
    /// let (sgd, halve) = (Sgd::new(model.parameters(), 0.1)?, OnPlateau::new("loss", Plateau::new(0.4, 0.5)?.patience(0)));
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(4).silent().callback(halve);
    /// assert_eq!(trainer.fit(&x, None)?.curve("rate"), [(1.0, 0.4), (2.0, 0.4), (3.0, 0.2), (4.0, 0.1)]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(score: &str, plateau: Plateau) -> Self {
        OnPlateau { score: score.into(), plateau }
    }
}

impl Callback for OnPlateau {
    fn begin(&mut self, run: &mut CallbackContext) -> Result<()> {
        run.optimizer.set_learning_rate(self.plateau.rate())
    }

    fn epoch(&mut self, run: &mut CallbackContext) -> Result<()> {
        let rate = self.plateau.observe(run.score(&self.score)?);
        run.optimizer.set_learning_rate(rate)
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.plateau.state()
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.plateau.load_state(state)
    }
}
