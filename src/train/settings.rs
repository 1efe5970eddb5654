//! How a training was set up, in words.

use super::Trainer;
use crate::data::DataLoader;

impl Trainer<'_> {
    /// What [`History::settings`](super::History::settings) says.
    pub(super) fn settings(
        &self,
        examples: usize,
        measured: Option<&(&str, DataLoader)>,
    ) -> Vec<(String, String)> {
        let mut settings = vec![
            ("loss", format!("{:?}", self.loss)),
            ("optimizer", self.optimizer.name()),
            ("learning rate", self.optimizer.learning_rate().to_string()),
            ("schedule", self.schedule_name.clone()),
            ("epochs", self.epochs.to_string()),
            ("batch size", self.batch_size.min(examples).to_string()),
            ("batches a step", self.accumulate.to_string()),
            ("training examples", examples.to_string()),
        ];
        if let Some(("valid_", valid)) = measured {
            settings.push(("validation examples", valid.dataset().len().to_string()));
        }
        settings.push(("clip norm", self.clip.map_or(String::new(), |max| max.to_string())));
        settings.push(("seed", self.seed.to_string()));
        settings.retain(|(_, value)| !value.is_empty());
        settings.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }
}
