//! [`Gradients`]: the result of a backward pass.

use std::collections::BTreeMap;

use super::Tensor;
use crate::error::Result;

/// The gradients of the parameters that a scalar depends on, and of tensors with [`retain_grad`](Tensor::retain_grad).
/// Made by [`Tensor::backward`].
#[derive(Debug, Default)]
pub struct Gradients {
    pub(crate) by_node: BTreeMap<u64, Tensor>,
}

impl Gradients {
    /// The gradient of a parameter; `None` if the scalar does not depend on it.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
    /// let unrelated = x.detach().into_parameter();
    /// let gradients = x.sqr()?.sum_all()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 4.0]);
    /// assert!(gradients.get(&unrelated).is_none());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn get(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.by_node.get(&parameter.node.as_ref()?.id)
    }

    /// Adds the gradients of another backward pass, to accumulate those of several batches before a step. A tensor that
    /// has a gradient in only one of them keeps it.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
    /// let mut gradients = Gradients::default();
    /// for weight in [1.0, 5.0] {
    ///     gradients.add(&(&x * weight)?.sum_all()?.backward()?)?;
    /// }
    /// gradients.scale(0.5)?; // the mean
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [3.0, 3.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn add(&mut self, other: &Gradients) -> Result<()> {
        let sum = |(id, new): (&u64, &Tensor)| match self.by_node.get(id) {
            Some(known) => Ok((*id, Tensor::constant((known.array() + new.array())?))),
            None => Ok((*id, new.clone())),
        };
        // All or nothing.
        let sums = other.by_node.iter().map(sum).collect::<Result<Vec<_>>>()?;
        self.by_node.extend(sums);
        Ok(())
    }

    /// Multiplies all gradients by a number.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        let scaled = |(id, grad): (&u64, &Tensor)| Ok((*id, Tensor::constant((grad.array() * factor)?)));
        self.by_node = self.by_node.iter().map(scaled).collect::<Result<_>>()?;
        Ok(())
    }

    /// Replaces the gradient of a parameter.
    pub(crate) fn replace(&mut self, parameter: &Tensor, gradient: Tensor) {
        if let Some(node) = &parameter.node {
            self.by_node.insert(node.id, gradient);
        }
    }

    /// The number of tensors with a gradient.
    pub fn len(&self) -> usize {
        self.by_node.len()
    }

    /// Whether there is no gradient.
    pub fn is_empty(&self) -> bool {
        self.by_node.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn the_union_is_added_and_scaled() -> Result<()> {
        for dtype in [DType::F16, DType::F32, DType::F64] {
            let [a, b, c] =
                [(); 3].map(|()| Tensor::parameter(Array::ones((2, 1), dtype, &Device::Cpu).unwrap()));
            // The gradients of a are views of one element.
            let mut first = (a.sum_all()? + (&b * 2.0)?.sum_all()?)?.backward()?;
            let second = (a.sum_all()? + (&c * 4.0)?.sum_all()?)?.backward()?;
            first.add(&second)?;
            first.add(&Gradients::default())?;
            first.scale(0.25)?;
            let of =
                |x: &Tensor| first.get(x).unwrap().to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1::<f64>();
            assert_eq!(
                (first.len(), of(&a)?, of(&b)?, of(&c)?),
                (3, vec![0.5; 2], vec![0.5; 2], vec![1.0; 2])
            );
            // The other one is what it was.
            assert_eq!((second.len(), second.get(&a)), (2, Some(&a.ones_like()?)));
            assert_eq!(first.get(&a).unwrap().dtype(), dtype);
        }
        let mut none = Gradients::default();
        none.scale(2.0)?;
        assert!(none.is_empty());
        Ok(())
    }
}
