//! A custom callback.

use tealight::prelude::*;
use tealight::train::{Callback, CallbackContext};

/// Halves the learning rate whenever the loss of an epoch is no smaller than the one before.
#[derive(Default)]
pub struct Halve {
    last: Option<f64>,
}

impl Callback for Halve {
    fn on_epoch_end(&mut self, run: &mut CallbackContext) -> Result<()> {
        let loss = run.score("loss")?;
        if self.last.is_some_and(|last| loss >= last) {
            run.optimizer.set_learning_rate(run.optimizer.learning_rate() / 2.0)?;
        }
        self.last = Some(loss);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Halve;
    use tealight::prelude::*;

    #[test]
    fn the_rate_is_halved_until_the_loss_falls() -> Result<()> {
        let x = Tensor::new(&[[1.0_f32], [-2.0], [3.0]], &Device::Cpu)?;
        let model = Linear::new(1, 1, &mut Rng::seed(1))?;
        // So large a step that the loss grows.
        let optimizer = Sgd::new(model.parameters(), 2.0)?;
        let mut trainer = Trainer::new(&model, Mse, optimizer).epochs(20).silent().callback(Halve::default());
        let history = trainer.fit(&(x.clone(), (&x * 2.0)?), None)?;
        let rates: Vec<f64> = history.curve("learning_rate").into_iter().map(|(_, rate)| rate).collect();
        assert!(
            rates[0] == 2.0 && rates.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] / 2.0)
        );
        assert!(*rates.last().unwrap() < 0.5 && history.last("loss")? < history.curve("loss")[1].1);
        Ok(())
    }
}
