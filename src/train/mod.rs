//! The training loop: a [`Trainer`] runs epochs and batches, and [`Callback`]s ([`EarlyStopping`], [`Checkpoints`], [`Log`],
//! [`TensorBoard`], or your own) act on the way.

mod batches;
mod callback;
mod checkpoints;
mod early_stopping;
mod fit;
mod history;
#[cfg(feature = "interrupt")]
mod interrupt;
mod log;
mod on_plateau;
mod progress;
mod shards;
mod task;
mod tensor_board;
#[cfg(test)]
mod tests;
mod trainer;

pub use batches::Batches;
pub use callback::{Callback, CallbackContext};
pub use checkpoints::Checkpoints;
pub use early_stopping::EarlyStopping;
pub use fit::LrFinder;
pub use history::{EpochRecord, History, Scores};
pub use log::Log;
pub use on_plateau::OnPlateau;
pub use progress::Progress;
pub use tensor_board::TensorBoard;
pub use trainer::Trainer;
