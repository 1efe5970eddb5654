//! Models and tensors in files: safetensors, which PyTorch and candle read and write too, PyTorch's own state dicts, and numpy's
//! `.npy` and `.npz`.

mod checkpoint;
mod load;
mod npy;
mod pth;
mod safetensors;
mod shape;

pub use checkpoint::Checkpoint;
pub use load::{Load, Loaded, Mismatched};
pub use npy::{read_npy, write_npy};
#[cfg(feature = "compress")]
pub use npy::{read_npz, write_npz};
pub use pth::read_pth;
pub use safetensors::{load, read, save, write};
