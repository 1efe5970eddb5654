//! Errors of the program: one line each on standard error.

use std::error::Error as _;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use tealight::Error;
use tealight::data::{TableError, TableHint};

use super::options::Keep;

/// Why a command ended before it was done.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error of the program: what it expected and what it got.
    Message(String),
    /// An error of the library.
    Library(Error),
    /// Ctrl-C ended the training after this step, and the model so far was kept.
    Interrupted { step: u64, keep: Keep },
    /// The model is no better than guessing, and --beat-guessing was given.
    Guessing,
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

/// `1 row`, `2 rows`: a count of what `units` names in the plural.
pub(super) fn counted(count: usize, units: &str) -> String {
    format!("{count} {}", if count == 1 { units.trim_end_matches('s') } else { units })
}

/// Fails with this message.
pub(super) fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::Message(text.into()))
}

/// The message of an error on one line, with options of the command line where the library names its own.
pub(super) fn one_line(error: &Error) -> String {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<TableError>());
    let text = match (error, cause) {
        (Error::File { path, .. }, Some(TableError { message, hint, .. })) => {
            let advice = match hint {
                TableHint::Missing => "--missing drop leaves out such rows",
                TableHint::Categorical => {
                    "--na-values counts a text as missing, --categorical takes all values as words"
                }
                TableHint::Encoding => "--encoding names another encoding",
                TableHint::Delimiter => "is the delimiter another one? See --delimiter",
                _ => "--ignore leaves out the column",
            };
            format!("{}: {message} ({advice})", path.display())
        }
        _ => error.to_string(),
    };
    text.replace(['\n', '\r'], " ")
}

/// Errors if a file to write is one of those that are read.
pub(super) fn check_out(option: &str, out: Option<&Path>, read: &[&Path]) -> Result<()> {
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    match out {
        Some(out) if read.iter().any(|path| same(out, path)) => {
            fail(format!("{option} {}: expected another file than those that are read", out.display()))
        }
        _ => Ok(()),
    }
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
        Err(Failure::Guessing) => ExitCode::from(3),
        Err(Failure::Message(text)) => {
            note(&format!("error: {}", text.replace(['\n', '\r'], " ")));
            ExitCode::FAILURE
        }
        Err(Failure::Interrupted { step, keep }) => {
            let best = if keep == Keep::Best { "best " } else { "" };
            note(&format!(
                "interrupted after step {step}: the {best}model so far was kept; the same command with --resume goes on"
            ));
            ExitCode::from(130)
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
