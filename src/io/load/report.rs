//! [`LoadReport`]: which tensors of a file were loaded.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::DType;

/// Which tensors were loaded, and which were not.
///
/// ```
/// # use tealight::io::LoadOptions;
/// # use tealight::prelude::*;
/// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
/// let tensors = ["weight", "extra"].map(|name| (name.to_string(), Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap()));
/// let report = LoadOptions::new().strict(false).load_tensors(tensors.into(), &model)?;
/// assert_eq!(report.to_string(), "1 that fit; 1 missing: bias; 1 unexpected: extra");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Tensors that were loaded, by their names in the model.
    pub loaded: Vec<String>,
    /// Tensors of the model that the file does not have.
    #[doc(alias = "missing_keys")]
    pub missing: Vec<String>,
    /// Tensors of the file that the model does not have.
    #[doc(alias = "unexpected_keys")]
    pub unexpected: Vec<String>,
    /// Tensors that have another shape or dtype in the file than in the model.
    pub mismatched: Vec<MismatchedTensor>,
    /// What is wrong with the tensors that are in the file and could not be read, by their names in the model.
    pub unreadable: BTreeMap<String, String>,
    /// Tensors that [`LoadOptions::skip`](super::LoadOptions::skip) left out, by their names in the file.
    pub skipped: Vec<String>,
}

/// A tensor that has another shape or dtype in the file than in the model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MismatchedTensor {
    /// Its name in the model.
    pub name: String,
    /// Its shape and dtype in the model.
    pub expected: (Vec<usize>, DType),
    /// Its shape and dtype in the file.
    pub got: (Vec<usize>, DType),
}

/// The first ten, and how many more there are.
pub(in crate::io) fn first_ten<T: fmt::Display>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(10).map(T::to_string).collect();
    let more = if items.len() > 10 { format!(" and {} more", items.len() - 10) } else { String::new() };
    shown.join(", ") + &more
}

impl LoadReport {
    /// Whether nothing is missing, unexpected, unreadable or of another shape or dtype.
    pub fn is_complete(&self) -> bool {
        let LoadReport { missing, unexpected, mismatched, unreadable, .. } = self;
        missing.is_empty() && unexpected.is_empty() && mismatched.is_empty() && unreadable.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} that fit", self.loaded.len())?;
        let unreadable: Vec<String> =
            self.unreadable.iter().map(|(name, message)| format!("{name} ({message})")).collect();
        for (what, count, names) in [
            ("missing", self.missing.len(), first_ten(&self.missing)),
            ("unexpected", self.unexpected.len(), first_ten(&self.unexpected)),
            ("of another shape or dtype", self.mismatched.len(), first_ten(&self.mismatched)),
            ("unreadable", unreadable.len(), first_ten(&unreadable)),
            ("skipped", self.skipped.len(), first_ten(&self.skipped)),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}: {names}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for MismatchedTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |(shape, dtype): &(Vec<usize>, DType)| format!("{shape:?} of {}", dtype.as_str());
        write!(f, "{} (expected {}, got {})", self.name, kind(&self.expected), kind(&self.got))
    }
}
