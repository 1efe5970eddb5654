//! Training: what goes around the steps of an optimizer.
//!
//! A [`Trainer`] has a model, a loss and an optimizer, and takes them through the epochs. What else is to happen on the way is a
//! [`Callback`]: [`EarlyStopping`], [`Checkpoints`], a [`Log`], a [`TensorBoard`], or a closure.
//!
//! ```
//! use tealight::prelude::*;
//! use tealight::train::Trainer;
//! let x = Tensor::randn(0_f32, 1.0, (100, 3), &mut Rng::seed(1))?;
//! let y = x.sum_keepdim(1)?.gt(0.0)?.to_dtype(DType::F32)?;
//! let model = Linear::new(3, 1, &mut Rng::seed(2))?;
//! let optimizer = Adam::new(model.parameters(), 0.1)?;
//! let mut trainer = Trainer::new(&model, BceWithLogits, optimizer).epochs(20).silent();
//! let history = trainer.fit(&(x, y), None)?;
//! assert!(history.last("loss")? < 0.2);
//! # Ok::<(), tealight::Error>(())
//! ```
//!
//! Where nothing is at hand that fits, an ordinary loop over a [`DataLoader`](crate::data::DataLoader) does it: a trainer does
//! nothing that a program could not.

mod batches;
mod callback;
mod checkpoints;
mod early_stopping;
mod history;
#[cfg(feature = "interrupt")]
mod interrupt;
mod log;
mod options;
mod plateau;
mod progress;
mod rate;
#[cfg(feature = "plot")]
mod report;
mod resume;
mod settings;
mod step;
mod tensor_board;
#[cfg(test)]
mod tests;
mod trainer;

pub use batches::Batches;
pub use callback::{Callback, CallbackContext};
pub use checkpoints::Checkpoints;
pub use early_stopping::EarlyStopping;
pub use history::{History, Record, Scores};
pub use log::Log;
pub use plateau::OnPlateau;
pub use progress::Progress;
pub use rate::LrFinder;
pub use tensor_board::TensorBoard;
pub use trainer::Trainer;
