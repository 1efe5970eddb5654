//! What can go wrong, and how it is said: on one line.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use tealight::Error;

/// Why a command ended before it was done.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was expected, what came, and what to do.
    Said(String),
    /// The same, said by the library.
    Library(Error),
    /// It was said on the way.
    Reported,
    /// Nobody reads on, as behind `| head`.
    Closed,
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Library(error)
    }
}

/// The failure with this text.
pub(super) fn said<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure::Said(text.into()))
}

/// What the library calls by its names in Rust, by those of the command line.
const NAMES: [(&str, &str); 4] = [
    ("CsvOptions::missing can drop such rows", "--missing drop leaves such rows out"),
    (
        "it may be one to ignore, or CsvOptions::most_categories may allow more",
        "--ignore passes over a column",
    ),
    ("CsvOptions::categorical or classes takes", "--categorical takes"),
    ("CsvOptions::ignore passes", "--ignore passes"),
];

/// An error as one line.
pub(super) fn plain(error: &Error) -> String {
    let text = NAMES.iter().fold(error.to_string(), |text, (from, to)| text.replace(from, to));
    text.replace(['\n', '\r'], " ")
}

/// Says something that is no result: on standard error. If nobody listens, that is no failure.
pub(super) fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Writes results to standard output.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Said(format!("standard output: expected to be written, got: {error}")),
    })
}

/// Writes results to a file, which is whole or as it was before, or to standard output if there is none.
pub(super) fn write(out: Option<&Path>, text: &str) -> Result<()> {
    let Some(path) = out else { return print(text) };
    let unwritable = |error: std::io::Error| {
        let advice = match error.kind() {
            ErrorKind::StorageFull => "; free some space and try again",
            _ => "",
        };
        let message = format!("expected a file that can be written, got: {error}{advice}");
        Failure::Said(format!("{}: {message}", path.display()))
    };
    // A device or a pipe has no place beside it, and what is written there is gone.
    if path.exists() && !path.is_file() {
        return std::fs::write(path, text).map_err(unwritable);
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        unwritable(error)
    })
}

pub(super) fn exit_code(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Said(text)) => {
            note(&format!("error: {}", text.replace(['\n', '\r'], " ")));
            ExitCode::FAILURE
        }
        Err(Failure::Library(Error::Interrupted { step, .. })) => {
            note(&format!("error: interrupted after step {step}: the same command with --resume goes on"));
            ExitCode::from(130)
        }
        Err(Failure::Library(error)) => {
            note(&format!("error: {}", plain(&error)));
            ExitCode::FAILURE
        }
    }
}
