//! Build and train small models on [candle](https://github.com/huggingface/candle)'s tensors.
//!
//! A formula, written once, gives the forward pass at SIMD speed, exact gradients of any order, and a check of both.
//!
//! ```
//! # use tealight::prelude::*;
//! let x = Tensor::parameter(Tensor::new(0.0, &Device::Cpu)?);
//! let [first] = autograd::grad(&x.sigmoid()?, [&x])?;
//! let [second] = autograd::grad(&first, [&x])?;
//! let [third] = autograd::grad(&second, [&x])?;
//! assert_eq!((first.to_scalar::<f64>()?, third.to_scalar::<f64>()?), (0.25, -0.125));
//! # Ok::<(), tealight::Error>(())
//! ```
//!
//! A model is made of layers, a loss and an optimizer:
//!
//! ```
//! # use tealight::prelude::*;
//! let iris = tealight::data::iris()?;
//! let inputs = Standardize::fit(&iris.inputs)?.normalize(&iris.inputs)?;
//! let model = Linear::new(4, 3, &mut Rng::seed(1))?;
//! let mut optimizer = Sgd::new(model.parameters(), 1.0)?;
//! for _ in 0..50 {
//!     let scores = model.forward(&inputs, &mut ForwardContext::eval())?;
//!     optimizer.step(&CrossEntropy::new().loss(&scores, &iris.targets)?.backward()?)?;
//! }
//! let correct = model.predict(&inputs)?.argmax(1)?.eq(&iris.targets)?.sum_all()?;
//! assert!(correct.to_scalar::<u32>()? >= 140);
//! # Ok::<(), tealight::Error>(())
//! ```
//!
//! [`autograd`] has tensors and gradients, [`ops`] their operations, [`formula`] what activations and losses are written
//! in. [`layer`], [`activation`], [`loss`], [`normalize`], [`optim`] and [`train`] build and train models; [`data`],
//! [`metrics`], [`io`] and `plot` surround them.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `approx` | yes | `assert_relative_eq!` and the like on tensors |
//! | `image` | yes | reading and writing images, and the bundled digits |
//! | `csv` | yes | CSV tables, and the iris and breast cancer data |
//! | `xlsx` | | workbooks as tables: `.xlsx`, `.xls`, `.ods` |
//! | `parquet` | | Parquet tables, and `zstd` |
//! | `zstd` | | tables in `.zst` |
//! | `tar` | | pictures in `.tar` archives, and in Parquet tables, one after the other |
//! | `compress` | yes | compressed files: `.gz` and `.npz` |
//! | `plot` | yes | plots and reports |
//! | `progress` | yes | progress bars on a terminal |
//! | `interrupt` | yes | Ctrl-C saves a training before it ends |
//! | `linalg` | | `cholesky`, `solve`, `inv` and `det` |
//! | `mpi` | | training by several processes, on one machine or many |
//! | `cli` | | the program `tealight` |
//! | `cuda`, `metal` | | GPUs, through candle |
//! | `mkl`, `accelerate` | | other matrix libraries, for candle's own products |

#![forbid(unsafe_code)]

pub mod activation;
pub mod autograd;
#[cfg(all(doctest, feature = "plot", feature = "csv", feature = "compress"))]
mod book;
pub mod data;
pub mod distributed;
pub mod error;
pub mod export;
mod file;
pub mod formula;
pub mod functional;
pub mod implicit;
pub mod io;
pub mod layer;
pub mod loss;
pub mod memory;
pub mod metrics;
pub mod normalize;
pub mod ops;
pub mod optim;
#[cfg(feature = "plot")]
pub mod plot;
pub mod program;
pub mod train;

pub use candle_core::{self, DType, Device, FloatDType, NdArray, Shape, WithDType};
pub use error::{Error, Result};
pub use kernel::simd_level;
use tealight_kernels::kernel;

/// The names that most programs use: `use tealight::prelude::*;`.
pub mod prelude {
    pub use crate::activation::{Activation, Gelu, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh};
    pub use crate::autograd::{self, Array, Gradients, Op, SaveContext, Saved, Tensor, no_grad};
    pub use crate::error::{Error, Result};
    pub use crate::formula::Real;
    pub use crate::layer::{
        BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Dropout, Embedding, Fields, Flatten, ForwardContext, Gru,
        Layer, LayerNorm, Linear, Lstm, MaxPool2d, Parameter, Residual, RnnOptions, Sequential, Softmax,
    };
    pub use crate::loss::{
        Bce, BceWithLogits, CrossEntropy, ElementwiseLoss, L1, Loss, Mse, PointwiseLoss, Reduction,
    };
    pub use crate::normalize::{Normalize, NormalizeRows, Standardize};
    pub use crate::ops::{ConvOptions, PoolOptions, Rng};
    pub use crate::optim::{Adam, AdamW, Optimizer, Sgd};
    pub use crate::train::Trainer;
    pub use candle_core::{DType, Device};
}

#[cfg(all(doctest, feature = "image"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
