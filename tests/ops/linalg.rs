//! Linear algebra, behind the feature `linalg`.

use tealight::prelude::*;

/// A positive definite matrix.
fn positive(x: &Tensor) -> Result<Tensor> {
    let n = x.dims().first().copied().unwrap_or(0);
    let square = x.matmul(&x.t()?)?;
    square + (Tensor::eye(n, x.dtype(), x.device())? * 2.0)?
}

crate::expressions! {
    [a, b]:
        a.solve(b);
    [x]:
        positive(x)?.cholesky(), x.inv(), x.det();
}
