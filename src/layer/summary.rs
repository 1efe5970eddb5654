//! [`Summary`]: the table of a model's layers.

use std::fmt;

use super::Parameter;
use crate::autograd::Tensor;

/// Collects the rows of a summary during a forward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder {
    rows: Vec<Row>,
    depth: usize,
    /// The parameters of all finished rows, each once.
    counted: Vec<Parameter>,
}

#[derive(Clone, Debug)]
struct Row {
    depth: usize,
    name: String,
    kind: &'static str,
    dims: Vec<usize>,
    parameters: usize,
    /// Of the output.
    bytes: usize,
}

impl Recorder {
    /// Begins the row of a layer.
    pub(super) fn enter(&mut self, name: &str, kind: &'static str) -> usize {
        let (depth, name) = (self.depth, name.to_string());
        self.rows.push(Row { depth, name, kind, dims: Vec::new(), parameters: 0, bytes: 0 });
        self.depth += 1;
        self.rows.len() - 1
    }

    /// Completes the row of a layer: its output, and the parameters that are not in a row inside it.
    pub(super) fn leave(&mut self, row: usize, parameters: Vec<(String, Parameter)>, y: &Tensor) {
        self.depth -= 1;
        let mut own = 0;
        for (_, parameter) in parameters {
            if !self.counted.iter().any(|known| known.ptr_eq(&parameter)) {
                own += parameter.get().elem_count();
                self.counted.push(parameter);
            }
        }
        let row = &mut self.rows[row];
        (row.dims, row.parameters) = (y.dims().to_vec(), own);
        row.bytes = y.elem_count() * y.dtype().size_in_bytes();
    }

    pub(super) fn into_summary(self) -> Summary {
        let frozen = self.counted.iter().filter(|p| p.is_frozen()).map(|p| p.get().elem_count()).sum();
        let size = |p: &Parameter| p.get().elem_count() * p.get().dtype().size_in_bytes();
        let parameter_bytes = self.counted.iter().map(size).sum();
        Summary { rows: self.rows, frozen, parameter_bytes }
    }
}

/// The layers of a model with their output shapes and parameters, made by [`Layer::summary`](super::Layer::summary). `{}`
/// prints a table.
///
/// ```
/// use tealight::prelude::*;
/// let model = Sequential::new().push(Linear::new(3, 4, &mut Rng::seed(1))?).push(Tanh);
/// let table = model.summary(&[10, 3])?.to_string();
/// assert!(table.contains("0 (Linear)") && table.contains("[10, 4]"));
/// assert!(table.contains("Parameters: 16 (16 trainable), 64 B"));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Summary {
    rows: Vec<Row>,
    frozen: usize,
    parameter_bytes: usize,
}

impl Summary {
    /// The number of elements of all parameters; tied ones count once.
    pub fn num_parameters(&self) -> usize {
        self.rows.iter().map(|row| row.parameters).sum()
    }

    /// The number of elements of the parameters that are not frozen.
    pub fn num_trainable(&self) -> usize {
        self.num_parameters() - self.frozen
    }
}

/// 12345678 as 12,345,678.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["Layer", "Output shape", "Parameters"].map(String::from);
        let mut table = vec![heading];
        for row in &self.rows {
            let name = format!("{}{} ({})", "  ".repeat(row.depth), row.name, row.kind);
            let parameters = if row.parameters == 0 { "-".into() } else { grouped(row.parameters) };
            table.push([name, format!("{:?}", row.dims), parameters]);
        }
        let width = |column: usize| {
            table.iter().map(|row| row[column].chars().count()).max().expect("the heading is a row")
        };
        let widths = [0, 1, 2].map(width);
        let line = "─".repeat(widths.iter().sum::<usize>() + 4);
        for (i, [name, dims, parameters]) in table.iter().enumerate() {
            let [a, b, c] = widths;
            writeln!(f, "{name:<a$}  {dims:<b$}  {parameters:>c$}")?;
            if i == 0 {
                writeln!(f, "{line}")?;
            }
        }
        writeln!(f, "{line}")?;
        let (all, learning) = (grouped(self.num_parameters()), grouped(self.num_trainable()));
        writeln!(f, "Parameters: {all} ({learning} trainable), {}", size(self.parameter_bytes))?;
        // A container's output is that of its last layer: counted there.
        let nested = |i: usize| self.rows.get(i + 1).is_some_and(|next| next.depth > self.rows[i].depth);
        let outputs = (0..self.rows.len()).filter(|&i| !nested(i)).map(|i| self.rows[i].bytes).sum();
        write!(f, "Outputs of one pass: {}", size(outputs))
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn a_table_of_layers() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let tied = Linear::new(16, 16, rng)?;
        let inner =
            Sequential::new().push(Linear::new(64, 16, rng)?).push(Relu).push(tied.clone()).push(tied);
        let model = Sequential::new().push(Flatten).push(inner).push(Linear::new(16, 1000, rng)?);
        assert_eq!(model.freeze("1.0.*")?, 2);
        let summary = model.summary(&[2, 8, 8])?;
        assert_eq!((summary.num_parameters(), summary.num_trainable()), (18_312, 17_272));
        let expected = "\
Layer               Output shape  Parameters
────────────────────────────────────────────
model (Sequential)  [2, 1000]              -
  0 (Flatten)       [2, 64]                -
  1 (Sequential)    [2, 16]                -
    0 (Linear)      [2, 16]            1,040
    1 (Relu)        [2, 16]                -
    2 (Linear)      [2, 16]              272
    3 (Linear)      [2, 16]                -
  2 (Linear)        [2, 1000]         17,000
────────────────────────────────────────────
Parameters: 18,312 (17,272 trainable), 71.5 KiB
Outputs of one pass: 8.8 KiB";
        assert_eq!(summary.to_string(), expected);
        assert!(model.summary(&[2, 8, 7]).unwrap_err().to_string().starts_with("1.0: linear: expected"));
        Ok(())
    }
}
