//! Models and tensors in files: safetensors, which PyTorch and candle read and write too, numpy's `.npy` and `.npz`,
//! and ONNX, which other engines run.

mod checkpoint;
mod npy;
mod onnx;
mod safetensors;

pub use checkpoint::Checkpoint;
pub use npy::{read_npy, write_npy};
#[cfg(feature = "compress")]
pub use npy::{read_npz, write_npz};
pub use onnx::{OnnxExport, export_onnx};
pub use safetensors::{load, read, save, write};
