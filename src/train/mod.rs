//! Training: what goes around the steps of an optimizer.

mod progress;

pub use progress::Progress;
