//! [`LoadReport`]: what became of the tensors of a file.

use std::fmt;

use candle_core::DType;

/// What became of the tensors of a file, and of the parameters and buffers of a model.
///
/// ```
/// use tealight::io::{LoadOptions, LoadReport};
/// use tealight::prelude::*;
/// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
/// let tensors = [("weight", (2, 3)), ("extra", (1, 1))].map(|(name, shape)| {
///     Ok((name.to_string(), Tensor::zeros(shape, DType::F32, &Device::Cpu)?))
/// });
/// let tensors = tensors.into_iter().collect::<Result<_>>()?;
/// let loaded: LoadReport = LoadOptions::new().strict(false).load_tensors(tensors, &model)?;
/// assert_eq!(loaded.to_string(), "1 that fit; 1 missing: bias; 1 unexpected: extra");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// The model's names of what was loaded.
    pub loaded: Vec<String>,
    /// The model's names of what the file does not have.
    pub missing: Vec<String>,
    /// The file's names of what the model does not have.
    pub unexpected: Vec<String>,
    /// What is in both, and is another shape or dtype.
    pub mismatched: Vec<MismatchedTensor>,
    /// The file's names of what [`LoadOptions::skip`](super::LoadOptions::skip) left out.
    pub skipped: Vec<String>,
}

/// A tensor that is in the file and in the model, and does not fit.
///
/// ```
/// use tealight::io::{LoadOptions, MismatchedTensor};
/// use tealight::prelude::*;
/// let model = Linear::new(3, 2, &mut Rng::seed(1))?.without_bias();
/// let tensors = [("weight".to_string(), Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?)].into();
/// let loaded = LoadOptions::new().strict(false).load_tensors(tensors, &model)?;
/// let (expected, got) = ((vec![2, 3], DType::F32), (vec![3, 2], DType::F32));
/// assert_eq!(loaded.mismatched, [MismatchedTensor { name: "weight".into(), expected, got }]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MismatchedTensor {
    /// The model's name of it.
    pub name: String,
    /// Its shape and dtype in the model.
    pub expected: (Vec<usize>, DType),
    /// Its shape and dtype in the file.
    pub got: (Vec<usize>, DType),
}

/// The first ten, and how many more there are.
pub(super) fn first<T: fmt::Display>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(10).map(T::to_string).collect();
    let more = if items.len() > 10 { format!(" and {} more", items.len() - 10) } else { String::new() };
    shown.join(", ") + &more
}

impl LoadReport {
    /// Whether nothing is missing, unexpected or of another shape or dtype.
    ///
    /// ```
    /// use tealight::io::LoadOptions;
    /// use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// let loaded = LoadOptions::new().strict(false).load_tensors([].into(), &model)?;
    /// assert!(!loaded.is_complete());
    /// assert_eq!(loaded.missing, ["weight", "bias"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} that fit", self.loaded.len())?;
        let parts = [
            ("missing", self.missing.len(), first(&self.missing)),
            ("unexpected", self.unexpected.len(), first(&self.unexpected)),
            ("of another shape or dtype", self.mismatched.len(), first(&self.mismatched)),
            ("skipped", self.skipped.len(), first(&self.skipped)),
        ];
        for (what, count, names) in parts.into_iter().filter(|(_, count, _)| *count > 0) {
            write!(f, "; {count} {what}: {names}")?;
        }
        Ok(())
    }
}

impl fmt::Display for MismatchedTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |(shape, dtype): &(Vec<usize>, DType)| format!("{shape:?} of {}", dtype.as_str());
        write!(f, "{} (expected {}, got {})", self.name, text(&self.expected), text(&self.got))
    }
}
