//! What can go wrong, said as "what: expected …, got …".

use std::fmt;
use std::path::PathBuf;

use candle_core::DType;

/// The result of every fallible function of the crate.
///
/// ```
/// use tealight::prelude::*;
/// fn half(x: &Tensor) -> tealight::Result<Tensor> { x / 2.0 }
/// assert_eq!(half(&Tensor::new(3.0, &Device::Cpu)?)?.to_scalar::<f64>()?, 1.5);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong.
///
/// Each variant names the operation (or the file), what it expected and what it got.
///
/// ```
/// use tealight::prelude::*;
/// let a = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
/// let b = Tensor::zeros(4, DType::F32, &Device::Cpu)?;
/// let error = (&a + &b).unwrap_err();
/// assert_eq!(error.to_string(), "add: expected shapes that broadcast together, got [2, 3] and [4]");
/// assert_eq!(format!("{error:?}"), error.to_string());
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// `Debug` says the same as `Display`: that is what a program prints whose `main` gives a `Result`, and what `unwrap` says.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The shapes of the operands do not fit the operation.
    #[error("{op}: expected {expected}, got {}", join(got, "and"))]
    Shape {
        /// The operation that refused.
        op: &'static str,
        /// What it would have taken.
        expected: String,
        /// The shape of each operand.
        got: Vec<Vec<usize>>,
    },
    /// The element types of the operands do not fit the operation.
    #[error("{op}: expected {expected}, got {}", names(got))]
    Dtype {
        /// The operation that refused.
        op: &'static str,
        /// What it would have taken.
        expected: String,
        /// The dtype of each operand.
        got: Vec<DType>,
    },
    /// An axis that the tensor does not have.
    #[error("{op}: expected {}, got axis {axis} of shape {shape:?}", axes(shape.len()))]
    Axis {
        /// The operation that refused.
        op: &'static str,
        /// The axis asked for.
        axis: i64,
        /// The shape of the tensor.
        shape: Vec<usize>,
    },
    /// An argument outside its domain.
    #[error("{op}: expected {expected}, got {got}")]
    Argument {
        /// The function that refused.
        op: &'static str,
        /// What it would have taken.
        expected: String,
        /// What came.
        got: String,
    },
    /// Operands that live on different devices.
    #[error("{op}: expected all tensors on one device, got {got}")]
    Device {
        /// The operation that refused.
        op: &'static str,
        /// The devices.
        got: String,
    },
    /// A gradient was asked for that does not exist.
    #[error("{op}: {reason}")]
    NoGradient {
        /// The operation, or the function that was asked.
        op: &'static str,
        /// Why there is none, and what to do about it.
        reason: String,
    },
    /// [`gradcheck`](crate::autograd::gradcheck) found a derivative that disagrees with finite differences.
    #[error("gradcheck: {0}")]
    GradCheck(Box<Mismatch>),
    /// A file could not be read or written, or does not hold what it should.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A parameter is missing, unexpected or of another shape.
    #[error("{name}: {message}")]
    Parameter {
        /// The parameter's full name, such as `0.weight`.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// Somebody interrupted the training (Ctrl-C), and it was saved.
    #[error("fit: interrupted after step {step}; {} has all that `resume` needs to go on", saved.display())]
    Interrupted {
        /// How many steps were taken.
        step: u64,
        /// The checkpoint.
        saved: PathBuf,
    },
    /// Where in a model the error arose.
    #[error("{place}: {source}")]
    In {
        /// The layer's path, such as `fc1`.
        place: String,
        /// What went wrong there.
        source: Box<Error>,
    },
    /// An error of candle's that none of our checks foresaw.
    #[error("{0}")]
    Candle(String),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    pub(crate) fn shape(op: &'static str, expected: impl Into<String>, got: &[&[usize]]) -> Self {
        Error::Shape { op, expected: expected.into(), got: got.iter().map(|s| s.to_vec()).collect() }
    }

    pub(crate) fn dtype(op: &'static str, expected: impl Into<String>, got: &[DType]) -> Self {
        Error::Dtype { op, expected: expected.into(), got: got.to_vec() }
    }

    pub(crate) fn argument(
        op: &'static str,
        expected: impl Into<String>,
        got: impl std::fmt::Display,
    ) -> Self {
        Error::Argument { op, expected: expected.into(), got: got.to_string() }
    }

    pub(crate) fn no_gradient(op: &'static str, reason: impl Into<String>) -> Self {
        Error::NoGradient { op, reason: reason.into() }
    }

    /// The error of a file, with what is wrong with it: for what a program reads and writes itself.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let path = "no/such/place.txt";
    /// let error = std::fs::write(path, "text").map_err(|error| Error::file(path, error)).unwrap_err();
    /// assert!(error.to_string().starts_with("no/such/place.txt: "));
    /// ```
    pub fn file(path: impl Into<PathBuf>, message: impl fmt::Display) -> Self {
        Error::File { path: path.into(), message: message.to_string() }
    }

    /// The same error, with the place in a model where it arose put before it.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// let error = x.squeeze(0).unwrap_err().within("fc1").within("encoder");
    /// assert!(error.to_string().starts_with("encoder.fc1: squeeze: "));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn within(self, place: impl Into<String>) -> Self {
        match self {
            Error::In { place: inner, source } => {
                Error::In { place: format!("{}.{inner}", place.into()), source }
            }
            other => Error::In { place: place.into(), source: Box::new(other) },
        }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        // candle puts the whole backtrace into the message when RUST_BACKTRACE is set.
        fn bare(error: candle_core::Error) -> String {
            match error {
                candle_core::Error::WithBacktrace { inner, .. } => bare(*inner),
                candle_core::Error::Context { inner, context } => format!("{context}: {}", bare(*inner)),
                candle_core::Error::WithPath { inner, path } => {
                    format!("{}: {}", path.display(), bare(*inner))
                }
                other => other.to_string(),
            }
        }
        Error::Candle(bare(error))
    }
}

/// A derivative that disagrees with finite differences.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[1.0, 3.0], &Device::Cpu)?;
/// // x·x with half of its history cut off: the gradient is x instead of 2x.
/// let result = autograd::gradcheck(|x| &x[0] * x[0].detach(), &[x]);
/// let Err(Error::GradCheck(mismatch)) = result else { panic!("a wrong gradient passed") };
/// assert_eq!((mismatch.order, mismatch.input, &mismatch.element[..]), (1, 0, &[0][..]));
/// assert!((mismatch.numeric / mismatch.given - 2.0).abs() < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The operations of the function.
    pub ops: String,
    /// 1 for the gradient, 2 for the gradient's gradient.
    pub order: usize,
    /// Which pass: `backward` or `grad`.
    pub pass: &'static str,
    /// Which input.
    pub input: usize,
    /// Which element of it, by its index along each axis.
    pub element: Vec<usize>,
    /// The input there.
    pub at: f64,
    /// The derivative that the backward pass gave.
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

fn join(shapes: &[Vec<usize>], word: &str) -> String {
    let shapes: Vec<String> = shapes.iter().map(|s| format!("{s:?}")).collect();
    shapes.join(&format!(" {word} "))
}

fn names(dtypes: &[DType]) -> String {
    dtypes.iter().map(|d| d.as_str()).collect::<Vec<_>>().join(" and ")
}

fn axes(rank: usize) -> String {
    match rank {
        0 => "no axis (a scalar has none)".into(),
        rank => format!("an axis from -{rank} to {}", rank - 1),
    }
}
