//! [`Summary`]: the table of a model's layers.

use std::fmt;

use super::{ForwardContext, Layer, Parameter};
use crate::autograd::{Tensor, no_grad};
use crate::error::Result;

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
    /// The shapes of the outputs.
    shapes: String,
    parameters: usize,
    /// Of the outputs.
    bytes: usize,
}

impl Recorder {
    /// Begins the row of a layer.
    pub(super) fn enter(&mut self, name: &str, kind: &'static str) -> usize {
        let (depth, name) = (self.depth, name.to_string());
        self.rows.push(Row { depth, name, kind, shapes: String::new(), parameters: 0, bytes: 0 });
        self.depth += 1;
        self.rows.len() - 1
    }

    /// Completes the row of a layer: its outputs, and the parameters that are not in a row inside it.
    pub(super) fn leave(&mut self, row: usize, parameters: Vec<(String, Parameter)>, y: &[Tensor]) {
        self.depth -= 1;
        let mut own = 0;
        for (_, parameter) in parameters {
            if !self.counted.iter().any(|known| known.ptr_eq(&parameter)) {
                own += parameter.get().elem_count();
                self.counted.push(parameter);
            }
        }
        let row = &mut self.rows[row];
        let shapes: Vec<String> = y.iter().map(|y| format!("{:?}", y.dims())).collect();
        (row.shapes, row.parameters) = (shapes.join(", "), own);
        row.bytes = y.iter().map(|y| y.elem_count() * y.dtype().size_in_bytes()).sum();
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
    /// The table of a model with several inputs or outputs, which `f` runs in evaluation mode.
    ///
    /// ```
    /// use tealight::layer::{Bilinear, Summary};
    /// use tealight::prelude::*;
    /// let (layer, x) = (Bilinear::new(3, 3, 2, &mut Rng::seed(1))?, Tensor::ones((5, 3), DType::F32, &Device::Cpu)?);
    /// let summary = Summary::new(&layer, |_| layer.apply(&x, &x))?;
    /// assert_eq!(summary.num_parameters(), 20);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new<Y: AsRef<[Tensor]>>(
        model: &(impl Layer + ?Sized),
        f: impl FnOnce(&mut ForwardContext) -> Result<Y>,
    ) -> Result<Self> {
        Ok(no_grad(|| ForwardContext::eval().summarize_with(model, f))?.1)
    }

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
            table.push([name, row.shapes.clone(), parameters]);
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

    /// Two inputs and two outputs.
    struct Heads {
        body: Linear,
        heads: Vec<Linear>,
    }

    impl Heads {
        fn call(&self, a: &Tensor, b: &Tensor, ctx: &mut ForwardContext) -> Result<[Tensor; 2]> {
            let wide = (ctx.call("body", &self.body, a)? + ctx.call("body", &self.body, b)?)?;
            let head =
                |i: usize, ctx: &mut ForwardContext| ctx.call(&format!("heads.{i}"), &self.heads[i], &wide);
            Ok([head(0, ctx)?, head(1, ctx)?])
        }
    }

    impl Layer for Heads {
        crate::fields!(body, heads);
    }

    #[test]
    fn several_inputs_and_outputs() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let heads = vec![Linear::new(4, 1, rng)?, Linear::new(4, 3, rng)?];
        let model = Heads { body: Linear::new(2, 4, rng)?, heads };
        let x = Tensor::ones((5, 2), DType::F32, &Device::Cpu)?;
        let summary = super::Summary::new(&model, |ctx| model.call(&x, &x, ctx))?;
        let expected = "\
Layer               Output shape    Parameters
──────────────────────────────────────────────
model (Heads)       [5, 1], [5, 3]           -
  body (Linear)     [5, 4]                  12
  body (Linear)     [5, 4]                   -
  heads.0 (Linear)  [5, 1]                   5
  heads.1 (Linear)  [5, 3]                  15
──────────────────────────────────────────────
Parameters: 32 (32 trainable), 128 B
Outputs of one pass: 240 B";
        assert_eq!(summary.to_string(), expected);
        let ctx = &mut ForwardContext::eval();
        let error = ctx.call_with("net", &model, |ctx| model.call(&x, &x.t()?, ctx)).unwrap_err();
        assert!(error.to_string().starts_with("net.body: linear: expected"), "{error}");
        // It has no single input, so it cannot stand in a chain.
        let error = Sequential::new().push(model).predict(&x).unwrap_err().to_string();
        assert_eq!(
            error,
            "0: forward: expected a layer with one input, got Heads, which has a call of its own"
        );
        Ok(())
    }
}
