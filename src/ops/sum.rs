//! Sums and means, along an axis or over everything.
//!
//! # Formula
//! Σ x, Σ x / n
//!
//! # Gradient
//! The gradient repeated along the axis; divided by n for a mean.
//!
//! # Precision
//! The relative error of a sum of positive f32 stays under 1e-6 for any length; f16 and bf16 accumulate in f32.
//!
//! # Errors
//! An axis that does not exist; a mean of integers.

use candle_core::DType;

use super::axis::Axis;
use super::reshape::reshaped;
use crate::autograd::array::sum_axes;
use crate::autograd::{Array, Keep, Op, Saved, Tensor, broadcast_to};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// A sum or mean over `axes` (ascending).
#[derive(Debug)]
struct Sum {
    axes: Dims,
    keepdim: bool,
}

#[derive(Debug)]
struct Mean(Sum);

impl Sum {
    fn all(x: &Tensor) -> Self {
        Sum { axes: (0..x.rank()).collect(), keepdim: false }
    }

    fn one(op: &'static str, x: &Tensor, axis: impl Axis, keepdim: bool) -> Result<Self> {
        Ok(Sum { axes: Dims::from_slice(&[axis.of(op, x.dims())?]), keepdim })
    }

    /// The shape of the result with the summed axes left in, or out.
    fn dims(&self, input: &[usize], keepdim: bool) -> Dims {
        let mut dims = Dims::new();
        for (axis, &size) in input.iter().enumerate() {
            match self.axes.contains(&axis) {
                true if keepdim => dims.push(1),
                true => {}
                false => dims.push(size),
            }
        }
        dims
    }

    fn count(&self, input: &[usize]) -> usize {
        self.axes.iter().map(|&axis| input[axis]).product()
    }

    fn total(&self, x: &Array) -> Result<Array> {
        Ok(sum_axes(x, &self.axes)?.reshape(&self.dims(x.dims(), self.keepdim)[..])?)
    }

    /// The gradient, repeated along the summed axes.
    fn spread(&self, grad: &Tensor, input: &[usize]) -> Result<Tensor> {
        broadcast_to(&reshaped(grad, &self.dims(input, true))?, input)
    }
}

impl Op<1> for Sum {
    const NAME: &'static str = "sum";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        self.total(x)
    }

    fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(self.spread(grad, saved.input_dims(0)?)?)])
    }
}

impl Op<1> for Mean {
    const NAME: &'static str = "mean";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        let Mean(sum) = self;
        match x.dtype() {
            // Their sums overflow long before their means do.
            DType::F16 | DType::BF16 => {
                let mean = (sum.total(&x.to_dtype(DType::F32)?)? / sum.count(x.dims()) as f64)?;
                Ok(mean.to_dtype(x.dtype())?)
            }
            dtype if dtype.is_float() => {
                // A product would round 1/n; candle has no division by a number.
                let count = Array::new(sum.count(x.dims()) as f64, x.device())?.to_dtype(dtype)?;
                Ok(sum.total(x)?.broadcast_div(&count)?)
            }
            dtype => Err(Error::dtype("mean", "a float tensor (see to_dtype)", &[dtype])),
        }
    }

    fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let dims = saved.input_dims(0)?;
        let grad = (grad / self.0.count(dims) as f64)?;
        Ok([Some(self.0.spread(&grad, dims)?)])
    }
}

impl Tensor {
    /// The sums along `axis`, which goes away; 0 for an empty axis.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!(x.sum(0)?.to_vec1::<f64>()?, [4.0, 6.0]);
    /// assert_eq!(x.sum(-1)?.to_vec1::<f64>()?, [3.0, 7.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Gradient
    /// The gradient repeated along the axis.
    ///
    /// # Errors
    /// An axis that does not exist.
    pub fn sum(&self, axis: impl Axis) -> Result<Tensor> {
        Sum::one("sum", self, axis, false)?.apply([self])
    }

    /// [`sum`](Tensor::sum), with the axis kept at length 1, so that the result broadcasts against this tensor.
    ///
    /// # Errors
    /// An axis that does not exist.
    pub fn sum_keepdim(&self, axis: impl Axis) -> Result<Tensor> {
        Sum::one("sum_keepdim", self, axis, true)?.apply([self])
    }

    /// The sum of all elements, a scalar.
    ///
    /// # Errors
    /// None on the CPU.
    pub fn sum_all(&self) -> Result<Tensor> {
        Sum::all(self).apply([self])
    }

    /// The means along `axis`, which goes away; NaN for an empty axis.
    ///
    /// # Gradient
    /// The gradient divided by n and repeated along the axis.
    ///
    /// # Errors
    /// An axis that does not exist; integers.
    pub fn mean(&self, axis: impl Axis) -> Result<Tensor> {
        Mean(Sum::one("mean", self, axis, false)?).apply([self])
    }

    /// [`mean`](Tensor::mean), with the axis kept at length 1.
    ///
    /// # Errors
    /// An axis that does not exist; integers.
    pub fn mean_keepdim(&self, axis: impl Axis) -> Result<Tensor> {
        Mean(Sum::one("mean_keepdim", self, axis, true)?).apply([self])
    }

    /// The mean of all elements, a scalar; NaN if there are none.
    ///
    /// # Errors
    /// Integers.
    pub fn mean_all(&self) -> Result<Tensor> {
        Mean(Sum::all(self)).apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.sum(-1));
        check(&x, |x| x.sqr()?.sum_keepdim(0)?.exp());
        check(&x, |x| x.sqr()?.sum_all());
        check(&x, |x| x.mean(0));
        check(&x, |x| x * x.mean_keepdim(-1));
        check(&x, |x| x.exp()?.mean_all());
    }

    #[test]
    fn edges() -> Result<()> {
        let empty = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(empty.sum(1)?.to_vec1::<f32>()?, [0.0, 0.0]);
        assert_eq!(empty.sum_all()?.to_scalar::<f32>()?, 0.0);
        assert!(empty.mean(1)?.to_vec1::<f32>()?.iter().all(|x| x.is_nan()));
        assert!(empty.mean_all()?.to_scalar::<f32>()?.is_nan());
        assert_eq!(empty.sum(0)?.dims(), [0]);
        // candle wraps at 256.
        let ones = Tensor::full(1u8, 1000, &Device::Cpu)?;
        assert_eq!(ones.sum_all()?.to_scalar::<u32>()?, 1000);
        assert!(matches!(ones.mean_all(), Err(Error::Dtype { .. })));
        // candle: 0.256.
        let half = Tensor::ones(70_000, DType::F16, &Device::Cpu)?;
        assert_eq!(half.mean_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?, 1.0);
        assert!(matches!(ones.sum(1), Err(Error::Axis { axis: 1, .. })));
        let infinities = tensor(&[1.0, f64::INFINITY, f64::NEG_INFINITY]);
        assert!(infinities.sum(0)?.to_scalar::<f64>()?.is_nan());
        Ok(())
    }
}
