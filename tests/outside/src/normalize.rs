//! A custom normalizer.

use tealight::prelude::*;

/// Each row with mean 0.
pub struct CentreRows;

impl Normalize for CentreRows {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        x - &x.mean_keepdim(-1)?
    }
}

#[cfg(test)]
mod tests {
    use super::CentreRows;
    use tealight::prelude::*;

    #[test]
    fn rows_are_centred_and_differentiable() -> Result<()> {
        let x = Tensor::new(&[[1.0, 2.0, 6.0], [-1.0, 0.0, 1.0]], &Device::Cpu)?;
        assert_eq!(CentreRows.normalize(&x)?.to_vec2::<f64>()?, [[-2.0, -1.0, 3.0], [-1.0, 0.0, 1.0]]);
        autograd::gradcheck(|x| CentreRows.normalize(&x[0])?.powf(3.0), &[x])?;
        Ok(())
    }
}
