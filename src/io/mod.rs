//! Models and tensors in files: safetensors, which PyTorch and candle read and write too.

mod checkpoint;
mod safetensors;

pub use checkpoint::Checkpoint;
pub use safetensors::{load, read, save, write};
