//! The history as a page.

use std::path::Path;

use super::History;
use crate::error::Result;
use crate::plot::{Axes, Curves, Report, report};

impl History {
    /// Writes a page of HTML on the training: its last scores, curves, confusion matrix, settings, and the table of its model.
    ///
    /// The page is one file, with the pictures in it. The confusion matrix is there if a metric of the trainer counts it.
    ///
    /// # Errors
    /// A file that cannot be written.
    ///
    /// ```
    /// use tealight::metrics::ConfusionMatrix;
    /// use tealight::prelude::*;
    /// use tealight::train::Trainer;
    /// let x = Tensor::randn(0_f32, 1.0, (50, 2), &mut Rng::seed(1))?;
    /// let data = (x.clone(), x.gt(0.0)?.all(1)?.to_dtype(DType::U32)?);
    /// let model = Linear::new(2, 2, &mut Rng::seed(2))?;
    /// let mut trainer = Trainer::new(&model, CrossEntropy::new(), Adam::new(model.parameters(), 0.1)?)
    ///     .epochs(10)
    ///     .silent()
    ///     .metric(ConfusionMatrix::new());
    /// let history = trainer.fit(&data, Some(&data))?;
    /// let page = std::env::temp_dir().join("tealight-doc-report.html");
    /// history.report(&page)?;
    /// assert!(std::fs::read_to_string(&page).unwrap().contains("<td>Adam</td>"));
    /// # std::fs::remove_file(page).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn report(&self, path: impl AsRef<Path>) -> Result<()> {
        report(path, &self.to_html())
    }

    /// What [`report`](History::report) writes, to be added to.
    ///
    /// ```
    /// use tealight::plot::report;
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let history = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent().fit(&x, None)?;
    /// let mut page = history.to_html();
    /// page.settings.push(("data".into(), "eight ones".into()));
    /// let file = std::env::temp_dir().join("tealight-doc-page.html");
    /// report(&file, &page)?;
    /// assert!(std::fs::read_to_string(&file).unwrap().contains("<td>eight ones</td>"));
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn to_html(&self) -> Report {
        let mut names: Vec<&str> = Vec::new();
        for name in self.records.iter().flat_map(|record| record.scores.names()) {
            let name = name.strip_prefix("valid_").unwrap_or(name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let scores = self.records.last().map(|record| record.scores.iter()).into_iter().flatten();
        Report {
            title: "Training".into(),
            metrics: scores.filter(|(name, _)| *name != "rate").map(|(name, x)| (shown(name), x)).collect(),
            settings: self.settings.clone(),
            summary: self.summary.clone(),
            curves: names.into_iter().filter_map(|name| self.curves_of(name)).collect(),
            confusion: self.confusion.clone(),
            classes: Vec::new(),
        }
    }

    /// A score while training and on the validation data; nothing of a learning rate that stays.
    fn curves_of(&self, name: &str) -> Option<Curves> {
        let kinds = [("training", name.to_string()), ("validation", format!("valid_{name}"))];
        let series = kinds.map(|(kind, name)| (kind.to_string(), self.curve(&name)));
        let series: Vec<_> = series.into_iter().filter(|(_, points)| !points.is_empty()).collect();
        if name != "rate" {
            return Some(Curves { title: shown(name), axes: Axes::new("epoch", name), series });
        }
        let mut points = series.into_iter().next()?.1;
        points.dedup_by(|a, b| a.1 == b.1);
        let series = vec![("learning rate".to_string(), self.curve(name))];
        let axes = Axes::new("epoch", "learning rate");
        (points.len() > 1).then(|| Curves { title: "Learning rate".into(), axes, series })
    }
}

/// `valid_loss` as a person would write it.
fn shown(name: &str) -> String {
    let name = match name.strip_prefix("valid_") {
        Some(name) => format!("{name} (validation)"),
        None => name.to_string(),
    };
    let mut characters = name.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}
