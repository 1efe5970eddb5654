//! Errors of the program: one line each on standard error.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use tealight::Error;

/// Why a command ended before it was done.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error of the program: what it expected and what it got.
    Message(String),
    /// An error of the library.
    Library(Error),
    /// The errors were printed already.
    Reported,
    /// Standard output was closed, as by `| head`.
    OutputClosed,
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Library(error)
    }
}

/// Fails with this message.
pub(super) fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::Message(text.into()))
}

/// The library's names in Rust, and those of the command line.
const NAMES: [(&str, &str); 4] = [
    ("CsvOptions::missing can drop such rows", "--missing drop leaves such rows out"),
    ("ignore the column, or raise CsvOptions::max_categories", "--ignore leaves a column out"),
    ("CsvOptions::categorical and categorical_target take", "--categorical takes"),
    ("CsvOptions::ignore leaves", "--ignore leaves"),
];

/// An error as one line.
pub(super) fn one_line(error: &Error) -> String {
    let text = NAMES.iter().fold(error.to_string(), |text, (from, to)| text.replace(from, to));
    text.replace(['\n', '\r'], " ")
}

/// Prints a line to standard error; a closed standard error is ignored.
pub(super) fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Writes results to standard output.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Message(format!("standard output: expected to be written, got: {error}")),
    })
}

/// Writes results to a file, whole or not at all, or to standard output without one.
pub(super) fn write(out: Option<&Path>, text: &str) -> Result<()> {
    match out {
        Some(path) => Ok(tealight::io::write_atomically(path, text)?),
        None => print(text),
    }
}

pub(super) fn exit_code(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Message(text)) => {
            note(&format!("error: {}", text.replace(['\n', '\r'], " ")));
            ExitCode::FAILURE
        }
        Err(Failure::Library(Error::Interrupted { step, .. })) => {
            note(&format!("error: interrupted after step {step}: the same command with --resume goes on"));
            ExitCode::from(130)
        }
        Err(Failure::Library(error)) => {
            note(&format!("error: {}", one_line(&error)));
            ExitCode::FAILURE
        }
    }
}
