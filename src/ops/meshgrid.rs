//! `meshgrid`.

use std::borrow::Borrow;

use super::create::checked;
use super::reshape::reshaped;
use crate::autograd::{self, Tensor};
use crate::error::{Error, Result};

impl Tensor {
    /// Returns the coordinates of a grid: the k-th result is the k-th vector along axis k, repeated along the others.
    ///
    /// This is `indexing="ij"` in numpy and PyTorch. The results are views, not copies. Scalars count as vectors of length 1.
    /// Shapes: (n), (m), … to (n, m, …) each. Gradient: g summed over all axes but the vector's.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// let y = Tensor::new(&[5.0, 6.0, 7.0], &Device::Cpu)?;
    /// let grid = Tensor::meshgrid(&[&x, &y])?;
    /// assert_eq!(grid[0].to_vec2::<f64>()?, [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]);
    /// assert_eq!(grid[1].to_vec2::<f64>()?, [[5.0, 6.0, 7.0], [5.0, 6.0, 7.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn meshgrid<T: Borrow<Tensor>>(vectors: &[T]) -> Result<Vec<Tensor>> {
        let vectors: Vec<&Tensor> = vectors.iter().map(T::borrow).collect();
        if let Some(other) = vectors.iter().find(|x| x.rank() > 1) {
            return Err(Error::shape("meshgrid", "vectors", &[other.dims()]));
        }
        let dims: Vec<usize> = vectors.iter().map(|x| x.elem_count()).collect();
        let shape = checked("meshgrid", dims.into(), 0)?;
        let spread = |(axis, x): (usize, &&Tensor)| {
            let mut own = vec![1; vectors.len()];
            own[axis] = x.elem_count();
            autograd::broadcast_to(&reshaped(x, &own)?, shape.dims())
        };
        vectors.iter().enumerate().map(spread).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[0.3, -1.0, 2.0], |x| {
            let x = x.flatten(0, -1)?;
            let grid = Tensor::meshgrid(&[x.exp()?, x.sqr()?, x.i(..1)?])?;
            (&grid[0] * &grid[1])? * &grid[2]
        });
    }

    #[test]
    fn grids() -> Result<()> {
        let (x, y) = (Tensor::arange(0_i64, 2, &Device::Cpu)?, Tensor::arange(5_i64, 9, &Device::Cpu)?);
        let z = tensor(&[7.0]).i(0)?;
        let grid = Tensor::meshgrid(&[&x, &z, &y])?;
        for (k, y) in grid.iter().enumerate() {
            assert_eq!(y.dims(), [2, 1, 4]);
            for (i, j) in (0..8).map(|n| (n / 4, n % 4)) {
                let expected = [i as f64, 7.0, 5.0 + j as f64][k];
                assert_eq!(y.to_dtype(DType::F64)?.to_vec3::<f64>()?[i][0][j], expected);
            }
        }
        assert_eq!(Tensor::meshgrid(&[&x, &tensor(&[])])?[0].dims(), [2, 0]);
        let none: [Tensor; 0] = [];
        assert!(Tensor::meshgrid(&none)?.is_empty());
        let error = Tensor::meshgrid(&[&x.unsqueeze(0)?]).unwrap_err();
        assert_eq!(error.to_string(), "meshgrid: expected vectors, got [1, 2]");
        let long = z.broadcast_to(1 << 40)?;
        assert!(matches!(Tensor::meshgrid(&[&long, &long]), Err(Error::Shape { .. })));
        Ok(())
    }
}
