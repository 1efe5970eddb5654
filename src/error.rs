//! The error type of the crate. Messages have the form "op: expected …, got …".

use std::fmt;
use std::path::PathBuf;

use candle_core::DType;

/// The result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. Each variant names the operation or the file, what was expected, and what was found.
///
/// The constructors ([`Error::shape`], [`Error::argument`], …) are for the errors of your own operations and layers.
/// `Debug` prints the same text as `Display`, so that `unwrap` and a `main` that returns a `Result` show a readable
/// message.
///
/// ```
/// # use tealight::prelude::*;
/// let a = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
/// let b = Tensor::zeros(4, DType::F32, &Device::Cpu)?;
/// let error = (&a + &b).unwrap_err();
/// assert_eq!(error.to_string(), "add: expected shapes that broadcast together, got [2, 3] and [4]");
/// assert!(matches!(error, Error::Shape { op: "add", .. }));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The shapes of the operands do not fit the operation.
    #[error("{op}: expected {expected}, got {}", join(got.iter().map(|shape| format!("{shape:?}"))))]
    Shape {
        /// The operation.
        op: &'static str,
        /// The shapes that it takes.
        expected: String,
        /// The shape of each operand.
        got: Vec<Vec<usize>>,
    },
    /// The dtypes of the operands do not fit the operation.
    #[error("{op}: expected {expected}, got {}", join(got.iter().map(|dtype| dtype.as_str().to_string())))]
    Dtype {
        /// The operation.
        op: &'static str,
        /// The dtypes that it takes.
        expected: String,
        /// The dtype of each operand.
        got: Vec<DType>,
    },
    /// The axis is out of range.
    #[error("{op}: expected {}, got axis {axis} of shape {shape:?}", axes(shape.len()))]
    Axis {
        /// The operation.
        op: &'static str,
        /// The requested axis.
        axis: i64,
        /// The shape of the tensor.
        shape: Vec<usize>,
    },
    /// An argument is invalid.
    #[error("{op}: expected {expected}, got {got}")]
    Argument {
        /// The function.
        op: &'static str,
        /// The values that it takes.
        expected: String,
        /// The value that was given.
        got: String,
    },
    /// The operands are on different devices.
    #[error("{op}: expected all tensors on one device, got {got}")]
    Device {
        /// The operation.
        op: &'static str,
        /// The devices of the operands.
        got: String,
    },
    /// There is no gradient.
    #[error("{op}: {reason}")]
    NoGradient {
        /// The operation without a gradient, or the function that was to compute one.
        op: &'static str,
        /// Why there is none, and what to do about it.
        reason: String,
    },
    /// [`gradcheck`](crate::autograd::gradcheck) found a derivative that differs from finite differences.
    #[error("gradcheck: {0}")]
    GradCheck(Box<Mismatch>),
    /// A file could not be read or written, or its contents are invalid.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
        /// The cause, such as a [`std::io::Error`].
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A parameter is missing, unexpected or of another shape.
    #[error("{name}: {message}")]
    Parameter {
        /// The parameter's full name, such as `0.weight`.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// The training was interrupted (Ctrl-C), and saved.
    #[error("fit: interrupted after step {step}; {} has all that `resume` needs to go on", saved.display())]
    Interrupted {
        /// The number of steps taken.
        step: u64,
        /// The checkpoint.
        saved: PathBuf,
    },
    /// An error, and where it arose.
    #[error("{context}: {source}")]
    Context {
        /// The path of the layer, such as `encoder.fc1`, or what else was given to [`Error::context`].
        context: String,
        /// The error.
        source: Box<Error>,
    },
    /// An error of candle.
    #[error("{}", without_backtrace(.0))]
    Candle(#[from] candle_core::Error),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// An [`Error::Shape`]: the shapes that `op` takes, in words, and those of its operands.
    ///
    /// ```
    /// # use tealight::Error;
    /// let error = Error::shape("my_op", "two matrices", &[&[2, 3], &[4]]);
    /// assert_eq!(error.to_string(), "my_op: expected two matrices, got [2, 3] and [4]");
    /// ```
    pub fn shape(op: &'static str, expected: impl Into<String>, got: &[&[usize]]) -> Self {
        Error::Shape { op, expected: expected.into(), got: got.iter().map(|s| s.to_vec()).collect() }
    }

    /// An [`Error::Dtype`]: the dtypes that `op` takes, in words, and those of its operands.
    pub fn dtype(op: &'static str, expected: impl Into<String>, got: &[DType]) -> Self {
        Error::Dtype { op, expected: expected.into(), got: got.to_vec() }
    }

    /// An [`Error::Argument`]: the values that `op` takes, in words, and the given one.
    pub fn argument(op: &'static str, expected: impl Into<String>, got: impl fmt::Display) -> Self {
        Error::Argument { op, expected: expected.into(), got: got.to_string() }
    }

    /// An [`Error::NoGradient`]: why `op` has no gradient.
    pub fn no_gradient(op: &'static str, reason: impl Into<String>) -> Self {
        Error::NoGradient { op, reason: reason.into() }
    }

    /// An [`Error::File`]: what is wrong with the file. [`with_source`](Error::with_source) adds the cause.
    pub fn file(path: impl Into<PathBuf>, message: impl fmt::Display) -> Self {
        Error::File { path: path.into(), message: message.to_string(), source: None }
    }

    /// An [`Error::File`] with the cause's own message.
    ///
    /// ```
    /// # use tealight::Error;
    /// # use std::error::Error as _;
    /// let path = "no/such/place.txt";
    /// let error = std::fs::read(path).map_err(|error| Error::io(path, error)).unwrap_err();
    /// let cause = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    /// assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
    /// ```
    pub fn io(path: impl Into<PathBuf>, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        Error::file(path, &cause).with_source(cause)
    }

    /// This [`Error::File`] with its cause. Other errors stay as they are.
    #[must_use]
    pub fn with_source(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        if let Error::File { source, .. } = &mut self {
            *source = Some(cause.into());
        }
        self
    }

    /// This error with the place where it arose, such as the name of a layer, before its message.
    ///
    /// ```
    /// # use tealight::Error;
    /// let error = Error::argument("dropout", "a probability", 7).context("drop").context("encoder");
    /// assert_eq!(error.to_string(), "encoder.drop: dropout: expected a probability, got 7");
    /// ```
    #[must_use]
    pub fn context(self, context: impl Into<String>) -> Self {
        let mut context = context.into();
        match self {
            Error::Context { context: inner, source } => {
                context = context + "." + &inner;
                Error::Context { context, source }
            }
            other => Error::Context { context, source: Box::new(other) },
        }
    }
}

/// A derivative that differs from finite differences: the cause of [`Error::GradCheck`].
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::new(&[1.0, 3.0], &Device::Cpu)?;
/// // One factor of x·x is a constant: the gradient is x instead of 2x.
/// let result = autograd::gradcheck(|x| &x[0] * x[0].detach(), &[x]);
/// let Err(Error::GradCheck(mismatch)) = result else { panic!("a wrong gradient passed") };
/// assert_eq!((mismatch.order, mismatch.input, &mismatch.element[..]), (1, 0, &[0][..]));
/// assert!((mismatch.numeric / mismatch.given - 2.0).abs() < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The operations of the function.
    pub ops: String,
    /// 1 for the gradient, 2 for the gradient of the gradient.
    pub order: usize,
    /// The kind of backward pass, such as `backward` or `grad`.
    pub pass: &'static str,
    /// The number of the input.
    pub input: usize,
    /// The element of the input: its index along each axis.
    pub element: Vec<usize>,
    /// The value of that element.
    pub at: f64,
    /// The derivative by the backward pass.
    pub given: f64,
    /// The derivative by finite differences.
    pub numeric: f64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.order == 1 { "gradient" } else { "second derivative" };
        let Mismatch { ops, pass, input, element, at, given, numeric, .. } = self;
        let off = (given - numeric).abs() / given.abs().max(numeric.abs());
        write!(f, "{ops}: {kind} ({pass}) of input {input} at element {element:?}, x = {at}: ")?;
        write!(f, "expected {numeric:e} by finite differences, got {given:e} (relative difference {off:.1e})")
    }
}

/// The message without the backtrace that candle appends when RUST_BACKTRACE is set.
fn without_backtrace(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(inner),
        candle_core::Error::Context { inner, context } => format!("{context}: {}", without_backtrace(inner)),
        candle_core::Error::WithPath { inner, path } => {
            format!("{}: {}", path.display(), without_backtrace(inner))
        }
        other => other.to_string(),
    }
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" and ")
}

fn axes(rank: usize) -> String {
    match rank {
        0 => "no axis (a scalar has none)".into(),
        rank => format!("an axis from -{rank} to {}", rank - 1),
    }
}
