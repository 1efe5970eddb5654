//! Cross-entropy between scores and classes.
//!
//! # Shapes
//! Scores (n, c), classes (n) as u32 or i64; a loss for each of the n rows.
//!
//! # Formula
//! −ln softmax(x)[class] = ln Σ exp(x) − x[class]
//!
//! # Gradient
//! softmax(x) − one-hot(class)
//!
//! # Errors
//! Scores that are no float matrix, classes that are no integers, another number of them than rows, a class that is
//! not below c.

use candle_core::DType;

use super::{EachLoss, Loss, Mean};
use crate::autograd::array::{make, on_cpu, with_float, with_slice};
use crate::autograd::{Array, Keep, Op, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::rows;

/// −ln of the probability that softmax gives to the right class; the mean over rows as a [`Loss`].
///
/// ```
/// use tealight::prelude::*;
/// let scores = Tensor::new(&[[2.0, 0.0, 0.0], [0.0, 0.0, 1000.0]], &Device::Cpu)?;
/// let classes = Tensor::new(&[0u32, 2], &Device::Cpu)?;
/// let loss = CrossEntropy.loss(&scores, &classes)?.to_scalar::<f64>()?;
/// assert!((loss - 0.5 * (1.0 + 2.0 * (-2.0_f64).exp()).ln()).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropy;

const NAME: &str = "cross_entropy";

impl EachLoss for CrossEntropy {
    fn each(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        let &[rows, classes] = prediction.dims() else {
            let got = [prediction.dims(), target.dims()];
            return Err(Error::shape(NAME, "scores (n, c) and classes (n)", &got));
        };
        if target.dims() != [rows] {
            let got = [prediction.dims(), target.dims()];
            return Err(Error::shape(NAME, format!("one class for each of {rows} rows"), &got));
        }
        let float = matches!(prediction.dtype(), DType::F16 | DType::BF16 | DType::F32 | DType::F64);
        if !float || !matches!(target.dtype(), DType::U8 | DType::U32 | DType::I64) {
            let got = [prediction.dtype(), target.dtype()];
            return Err(Error::dtype(NAME, "float scores and integer classes", &got));
        }
        let numbers: Vec<i64> = target.to_dtype(DType::I64)?.to_vec1()?;
        if let Some((row, class)) = numbers.iter().enumerate().find(|(_, c)| !(0..classes as i64).contains(c))
        {
            let got = format!("class {class} in row {row}");
            return Err(Error::argument(NAME, format!("classes from 0 to {}", classes as i64 - 1), got));
        }
        Rows { classes: numbers.into_iter().map(|class| class as u32).collect() }.apply([prediction])
    }
}

impl Loss for CrossEntropy {
    fn loss(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        Mean(*self).loss(prediction, target)
    }
}

/// The loss of each row for classes that were checked.
#[derive(Debug)]
struct Rows {
    classes: Vec<u32>,
}

impl Rows {
    fn one_hot(&self, x: &Array) -> Result<Array> {
        let width = x.dims()[1];
        let mut ones = vec![0_f32; x.elem_count()];
        for (row, &class) in self.classes.iter().enumerate() {
            ones[row * width + class as usize] = 1.0;
        }
        Ok(Array::from_vec(ones, x.dims(), x.device())?.to_dtype(x.dtype())?)
    }
}

impl Op<1> for Rows {
    const NAME: &'static str = NAME;

    fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
        keep.input(0);
        if on_cpu(x) {
            let width = x.dims()[1];
            return with_float!(x.dtype(), T => {
                let losses = with_slice(x, |x: &[T]| rows::cross_entropy(x, &self.classes, width))?;
                make(losses, &[self.classes.len()], x)
            });
        }
        let log = Tensor::constant(x.clone()).log_softmax(1)?;
        Ok((log.array() * self.one_hot(x)?)?.sum(1)?.neg()?)
    }

    fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        if !saved.recording() && on_cpu(x.array()) {
            let (width, g) = (x.dims()[1], grad.array());
            return with_float!(x.dtype(), T => {
                let data = with_slice(x.array(), |x: &[T]| {
                    with_slice(g, |g: &[T]| rows::cross_entropy_backward(x, &self.classes, g, width))
                })??;
                Ok([Some(Tensor::constant(make(data, x.dims(), x.array())?))])
            });
        }
        let one_hot = Tensor::constant(self.one_hot(x.array())?);
        Ok([Some(((x.softmax(1)? - one_hot)? * grad.unsqueeze(1)?)?)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EachLoss, Sum};
    use super::CrossEntropy;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.0, 2.0, (4, 3), &mut Rng::seed(5))?;
        let classes = Tensor::new(&[0u32, 2, 2, 1], &Device::Cpu)?;
        autograd::gradcheck(|x| CrossEntropy.loss(&x[0], &classes), std::slice::from_ref(&x))?;
        autograd::gradcheck(|x| Sum(CrossEntropy).loss(&x[0], &classes)?.sqr(), &[x])?;
        Ok(())
    }

    #[test]
    fn agrees_with_log_softmax_and_is_stable() -> Result<()> {
        let x = Tensor::new(&[[1e4, -1e4, 0.0], [3.0, 1.0, 2.0]], &Device::Cpu)?;
        let classes = Tensor::new(&[1i64, 0], &Device::Cpu)?;
        let log = x.log_softmax(1)?.to_vec2::<f64>()?;
        let got = CrossEntropy.each(&x, &classes)?.to_vec1::<f64>()?;
        assert_eq!(got[0], 2e4);
        assert!((got[1] + log[1][0]).abs() < 1e-15);
        Ok(())
    }

    #[test]
    fn refusals() -> Result<()> {
        let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        let loss = |classes: &Tensor| CrossEntropy.loss(&x, classes).unwrap_err().to_string();
        let cpu = &Device::Cpu;
        assert_eq!(
            loss(&Tensor::new(&[0u32, 3], cpu)?),
            "cross_entropy: expected classes from 0 to 2, got class 3 in row 1"
        );
        assert!(loss(&Tensor::new(&[0i64, -1], cpu)?).contains("class -1"));
        assert!(
            loss(&Tensor::new(&[0u32], cpu)?).contains("one class for each of 2 rows, got [2, 3] and [1]")
        );
        assert!(loss(&Tensor::new(&[0.0, 1.0], cpu)?).contains("integer classes"));
        Ok(())
    }
}
