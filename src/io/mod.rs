//! Models and tensors in files: safetensors, PyTorch's state dicts, numpy's `.npy` and `.npz`, ONNX, and checkpoints.

mod checkpoint;
mod element;
mod load;
mod npy;
mod onnx;
#[cfg(feature = "parquet")]
mod parquet;
mod pth;
mod safetensors;
mod shape;
mod tensor_file;

pub use crate::file::write_atomically;
pub use checkpoint::Checkpoint;
pub use load::{LoadOptions, LoadReport, MismatchedTensor};
pub use npy::{NpyOptions, read_npy, write_npy};
#[cfg(feature = "compress")]
pub use npy::{read_npz, write_npz};
pub use onnx::{OnnxExport, export_onnx};
#[cfg(feature = "parquet")]
pub use parquet::write_parquet;
pub use pth::read_pth;
pub use safetensors::{load, read, save, write};
pub use tensor_file::TensorFile;
