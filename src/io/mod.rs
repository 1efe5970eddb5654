//! Models and tensors in files: safetensors, which PyTorch and candle read and write too.

mod safetensors;

pub use safetensors::{load, read, save, write};
