//! What the tests of properties share.

use proptest::prelude::*;
use tealight::ops::Rng;
use tealight::prelude::*;

/// Up to four axes of lengths 0 to 4.
pub(crate) fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..5_usize, 0..5)
}

pub(crate) fn numbers(dims: &[usize], seed: u64) -> Tensor {
    Tensor::randn_dtype(0.0, 1.0, dims, DType::F64, &mut Rng::seed(seed)).unwrap()
}

/// The same numbers, laid out with the axes in reverse.
pub(crate) fn strided(x: &Tensor) -> Tensor {
    let back: Vec<usize> = (0..x.rank()).rev().collect();
    let reversed = x.array().permute(&back[..]).unwrap().contiguous().unwrap();
    reversed.permute(&back[..]).unwrap().into()
}

/// The index along each axis of element number `flat`.
pub(crate) fn index(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (slot, &size) in index.iter_mut().zip(dims).rev() {
        *slot = flat % size;
        flat /= size;
    }
    index
}

pub(crate) fn flat(x: &Tensor) -> Vec<f64> {
    x.array().flatten_all().unwrap().to_vec1().unwrap()
}
