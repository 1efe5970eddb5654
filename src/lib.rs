//! Build and train small models on candle's tensors.
//!
//! One formula, written once, gives the forward pass at SIMD speed, the exact gradient of any order, and its own check.
//!
//! # Tensors remember how they were made
//!
//! ```
//! use tealight::prelude::*;
//! let x = Tensor::parameter(Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?.into_array());
//! let y = (x.sigmoid()? * 2.0)?.sum_all()?;
//! let gradients = y.backward()?;
//! assert_eq!(gradients.get(&x).unwrap().to_string(), "[0.39322387 0.20998717 0.09035332]");
//! # Ok::<(), tealight::Error>(())
//! ```
//!
//! # A formula is differentiated exactly, as often as one likes
//!
//! ```
//! use tealight::prelude::*;
//! let x = Tensor::parameter(Tensor::new(0.0, &Device::Cpu)?.into_array());
//! let [first] = autograd::grad(&x.sigmoid()?, [&x])?;
//! let [second] = autograd::grad(&first, [&x])?;
//! let [third] = autograd::grad(&second, [&x])?;
//! assert_eq!((first.to_scalar::<f64>()?, third.to_scalar::<f64>()?), (0.25, -0.125));
//! assert_eq!(Sigmoid.tape().to_string(), "1 / (1 + exp(-x))");
//! # Ok::<(), tealight::Error>(())
//! ```
//!
//! # A model is layers, a loss and an optimizer
//!
//! ```
//! use tealight::prelude::*;
//! let iris = tealight::data::iris()?;
//! let inputs = Standardize::fit(&iris.inputs)?.normalize(&iris.inputs)?;
//! let model = Linear::new(4, 3, &mut Rng::seed(1))?;
//! let mut optimizer = Sgd::new(model.parameters(), 1.0)?;
//! for _ in 0..50 {
//!     let scores = model.forward(&inputs, &mut ForwardContext::eval())?;
//!     optimizer.step(&CrossEntropy::new().loss(&scores, &iris.targets)?.backward()?)?;
//! }
//! let right = model.predict(&inputs)?.argmax(1)?.eq(&iris.targets)?.sum_all()?;
//! assert!(right.to_scalar::<u32>()? >= 140);
//! # Ok::<(), tealight::Error>(())
//! ```
//!
//! # Where things are
//!
//! [`autograd`] has the tensor and its gradients, [`ops`] the operations, [`formula`] the mechanism behind activations and
//! losses. [`layer`], [`activation`], [`loss`], [`normalize`] and [`optim`] are what models are made of and trained with,
//! [`data`] is what they are trained on, [`metrics`] is what they are measured by, and [`io`], `plot` and [`train`] are what
//! surrounds them. [`functional`] has the functions that a first course builds, and
//! [`memory`] a setting that makes programs with large arrays faster.
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `approx` | yes | `assert_relative_eq!` and friends on tensors |
//! | `image` | yes | pictures in and out, and the digits that ship |
//! | `csv` | yes | tables, and the iris and breast cancer data |
//! | `compress` | yes | compressed files: `.gz` and `.npz` |
//! | `plot` | yes | pictures and reports |
//! | `progress` | yes | progress bars on a terminal |
//! | `interrupt` | yes | Ctrl-C saves a training before it ends it |
//! | `linalg` | | `cholesky`, `solve`, `inv` and `det` |
//! | `cli` | | the program `tealight` |
//! | `cuda`, `metal` | | GPUs, through candle |
//! | `mkl`, `accelerate` | | other matrix libraries, for candle's own products |

#![forbid(unsafe_code)]

pub mod activation;
pub mod autograd;
#[cfg(all(doctest, feature = "plot", feature = "csv", feature = "compress"))]
mod book;
pub mod data;
pub mod error;
mod file;
pub mod formula;
pub mod functional;
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
pub mod train;

pub use error::{Error, Result};
pub use kernel::simd;
use tealight_kernels::kernel;

/// Everything that most programs use: `use tealight::prelude::*;`.
pub mod prelude {
    pub use crate::activation::{Activation, Gelu, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh};
    pub use crate::autograd::{self, Array, Gradients, Op, SaveContext, Saved, Tensor, no_grad};
    pub use crate::data::image_to_vector;
    pub use crate::error::{Error, Result};
    pub use crate::formula::Real;
    pub use crate::layer::{
        BatchNorm1d, BatchNorm2d, Buffer, Conv1d, Conv2d, Dropout, Embedding, Fields, Flatten,
        ForwardContext, Gru, Layer, LayerNorm, Linear, Lstm, MaxPool2d, Parameter, Residual, RnnOptions,
        Sequential, Softmax,
    };
    pub use crate::loss::{
        Bce, BceWithLogits, CrossEntropy, ElementwiseLoss, L1, Loss, Mse, PointwiseLoss, Reduction, l1, l2,
    };
    pub use crate::normalize::{Normalize, NormalizeRows, Standardize};
    pub use crate::ops::{ConvOptions, PoolOptions, Rng, sigmoid_derivative};
    pub use crate::optim::{Adam, AdamW, Optimizer, Sgd};
    pub use crate::train::Trainer;
    pub use candle_core::{DType, Device};
}

#[cfg(all(doctest, feature = "image"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
