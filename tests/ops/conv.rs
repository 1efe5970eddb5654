//! Convolution, pooling and upsampling.

crate::expressions! {}
