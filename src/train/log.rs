//! [`Log`]: the history in a file, for other programs.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::callback::{Callback, CallbackContext};
use super::{EpochRecord, History};
use crate::error::Result;
use crate::file::unwritable;

/// Writes the history to a file, one line per epoch, as CSV or as JSON lines: `epoch`, `step`, `seconds`, and the scores.
///
/// The file is overwritten when a training starts. A resumed training writes the earlier epochs again, so that each epoch is in
/// the file once.
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::train::Log;
/// # let file = std::env::temp_dir().join("tealight-doc-log.csv");
/// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
/// # let sgd = Sgd::new(model.parameters(), 0.1)?;
/// Trainer::new(&model, Mse, sgd).epochs(2).silent().callback(Log::csv(&file)).fit(&x, None)?;
/// let text = std::fs::read_to_string(&file).unwrap();
/// assert!(text.starts_with("epoch,step,seconds,loss,learning_rate\n1,1,"));
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    format: Format,
    file: Option<File>,
    /// The number of epochs in the file.
    written: usize,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Csv,
    JsonLines,
}

impl Log {
    /// Comma-separated values, with a header line.
    #[doc(alias = "CSVLogger")]
    pub fn csv(path: impl AsRef<Path>) -> Self {
        Self::new(path.as_ref(), Format::Csv)
    }

    /// One JSON object per line. NaN and infinity are `null`.
    pub fn json_lines(path: impl AsRef<Path>) -> Self {
        Self::new(path.as_ref(), Format::JsonLines)
    }

    fn new(path: &Path, format: Format) -> Self {
        Log { path: path.into(), format, file: None, written: 0 }
    }

    fn write(&mut self, history: &History) -> Result<()> {
        let mut text = String::new();
        for (i, record) in history.records().iter().enumerate().skip(self.written) {
            match self.format {
                Format::Csv => {
                    if i == 0 {
                        text += &csv(fields(record).map(|(name, _)| quoted(name)));
                    }
                    text += &csv(fields(record).map(|(_, value)| value.to_string()));
                }
                Format::JsonLines => text += &json(record),
            }
        }
        self.written = history.len();
        match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()).map_err(|error| unwritable(&self.path, error)),
            None => Ok(()),
        }
    }
}

/// The values of a record with their names.
fn fields(record: &EpochRecord) -> impl Iterator<Item = (&str, f64)> {
    let own = [("epoch", record.epoch as f64), ("step", record.step as f64), ("seconds", record.seconds)];
    own.into_iter().chain(record.scores.iter())
}

fn csv(fields: impl Iterator<Item = String>) -> String {
    fields.collect::<Vec<_>>().join(",") + "\n"
}

fn quoted(name: &str) -> String {
    match name.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.into(),
    }
}

/// The fields in their order; a `serde_json::Map` would sort them.
fn json(record: &EpochRecord) -> String {
    let field = |(name, value): (&str, f64)| {
        let value = if value.is_finite() { value.to_string() } else { "null".into() };
        format!("{}: {value}", Value::from(name))
    };
    format!("{{{}}}\n", fields(record).map(field).collect::<Vec<_>>().join(", "))
}

impl Callback for Log {
    fn on_train_begin(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if ctx.rank > 0 {
            return Ok(());
        }
        let file = File::create(&self.path).map_err(|error| unwritable(&self.path, error))?;
        (self.file, self.written) = (Some(file), 0);
        self.write(ctx.history)
    }

    fn on_epoch_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        self.write(ctx.history)
    }
}

#[cfg(test)]
mod tests {
    use super::{csv, fields, json, quoted};
    use crate::train::{EpochRecord, Scores};

    #[test]
    fn lines() {
        let mut scores = Scores::default();
        scores.push("a \"b\"\\,\n", 0.1 + 0.2);
        scores.push("c", f64::NAN);
        let record = EpochRecord { epoch: 3, step: 12, seconds: 0.5, scores };
        assert_eq!(
            json(&record),
            "{\"epoch\": 3, \"step\": 12, \"seconds\": 0.5, \"a \\\"b\\\"\\\\,\\n\": 0.30000000000000004, \"c\": null}\n"
        );
        let names = csv(fields(&record).map(|(name, _)| quoted(name)));
        assert_eq!(names, "epoch,step,seconds,\"a \"\"b\"\"\\,\n\",c\n");
        let values = csv(fields(&record).map(|(_, value)| value.to_string()));
        assert_eq!(values, "3,12,0.5,0.30000000000000004,NaN\n");
    }
}
