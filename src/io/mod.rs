//! Models and tensors in files: safetensors, which PyTorch and candle read and write too, and numpy's `.npy` and `.npz`.

mod checkpoint;
mod npy;
mod safetensors;

pub use checkpoint::Checkpoint;
pub use npy::{read_npy, write_npy};
#[cfg(feature = "compress")]
pub use npy::{read_npz, write_npz};
pub use safetensors::{load, read, save, write};
