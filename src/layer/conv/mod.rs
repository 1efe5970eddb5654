//! Layers for sequences and images: convolutions, pooling, upsampling.

mod convolution;
mod pool;
mod upsample;

pub use convolution::{Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d};
pub use pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AvgPool1d, AvgPool2d,
    MaxPool1d, MaxPool2d,
};
pub use upsample::Upsample;
