//! Other orders of the axes: views, without a copy.

use super::axis::Axis;
use crate::autograd::{Array, Jacobian, Onnx, OnnxAttribute, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// Axis i of the output is axis `self.0[i]` of the input.
#[derive(Debug)]
struct Permute(Dims);

impl Op<1> for Permute {
    const NAME: &'static str = "permute";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        Ok(x.permute(&self.0[..])?)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let (x, order) = (onnx.input(0), self.0.iter().map(|&axis| axis as i64).collect());
        Ok(onnx.node("Transpose", &[x], &[("perm", OnnxAttribute::Ints(order))]))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let mut back = self.0.clone();
        for (i, &axis) in self.0.iter().enumerate() {
            back[axis] = i;
        }
        Ok([Some(Permute(back).apply([grad])?)])
    }
}

impl Tensor {
    /// Exchanges the axes `a` and `b`: a view.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu)?;
    /// assert_eq!(x.transpose(0, -1)?.dims(), [4, 3, 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "swapaxes")]
    #[doc(alias = "swapdims")]
    pub fn transpose(&self, a: impl Axis, b: impl Axis) -> Result<Tensor> {
        let (a, b) = (a.to_index("transpose", self.dims())?, b.to_index("transpose", self.dims())?);
        let mut axes: Dims = (0..self.rank()).collect();
        axes.swap(a, b);
        permuted(self, axes)
    }

    /// The matrix transpose: exchanges the last two axes. Errors for a rank below 2.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?;
    /// assert_eq!(x.t()?.to_vec2::<f64>()?, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "mT")]
    pub fn t(&self) -> Result<Tensor> {
        let rank = self.rank();
        if rank < 2 {
            return Err(Error::shape("t", "a tensor of rank 2 or more", &[self.dims()]));
        }
        let mut axes: Dims = (0..rank).collect();
        axes.swap(rank - 2, rank - 1);
        permuted(self, axes)
    }

    /// Reorders the axes: a view. Errors unless `axes` names each axis once.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let image = Tensor::zeros((28, 20, 3), DType::F32, &Device::Cpu)?; // (h, w, c)
    /// assert_eq!(image.permute(&[-1, 0, 1])?.dims(), [3, 28, 20]); // (c, h, w)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "moveaxis")]
    #[doc(alias = "movedim")]
    pub fn permute(&self, axes: &[impl Axis]) -> Result<Tensor> {
        let order =
            axes.iter().map(|axis| axis.to_index("permute", self.dims())).collect::<Result<Dims>>()?;
        if order.len() != self.rank() || (0..self.rank()).any(|axis| !order.contains(&axis)) {
            let expected = format!("each axis of shape {:?} once", self.dims());
            let got: Vec<i64> = axes.iter().map(|axis| axis.number()).collect();
            return Err(Error::argument("permute", expected, format!("{got:?}")));
        }
        permuted(self, order)
    }
}

fn permuted(x: &Tensor, axes: Dims) -> Result<Tensor> {
    if axes.iter().copied().eq(0..x.rank()) { Ok(x.clone()) } else { Permute(axes).apply([x]) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.unsqueeze(0)?.t());
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.permute(&[1, 2, 0])?.exp());
        check(&x, |x| {
            let x = x.reshape((2, x.elem_count() / 2))?;
            x.transpose(0, 1)?.sqr()? * Tensor::new(&[2.0, 3.0], &Device::Cpu)?
        });
    }

    #[test]
    fn every_order_of_three_axes_against_plain_indexing() -> Result<()> {
        let x = Tensor::arange(0u32, 24, &Device::Cpu)?.reshape((2, 3, 4))?;
        let numbers = x.to_vec3::<u32>()?;
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let y = x.permute(&order)?;
            let values = y.to_vec3::<u32>()?;
            for i in 0..24 {
                let at = [i / 12, i / 4 % 3, i % 4];
                let [a, b, c] = order.map(|axis| at[axis]);
                assert_eq!(values[a][b][c], numbers[at[0]][at[1]][at[2]], "{order:?}");
            }
            // Back again from the strided view.
            let mut back = [0; 3];
            (0..3).for_each(|i| back[order[i]] = i);
            assert_eq!(y.permute(&back)?.to_vec3::<u32>()?, numbers);
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::zeros((2, 0, 3), DType::F32, &Device::Cpu)?;
        assert_eq!(x.t()?.dims(), [2, 3, 0]);
        assert_eq!(x.transpose(-1, 0)?.dims(), [3, 0, 2]);
        assert_eq!(x.transpose(1, 1)?.dims(), [2, 0, 3]);
        let scalar = Tensor::new(1.0, &Device::Cpu)?;
        assert_eq!(scalar.permute(&[0_i64; 0])?.dims(), [0_usize; 0]);
        let error = scalar.t().unwrap_err();
        assert_eq!(error.to_string(), "t: expected a tensor of rank 2 or more, got []");
        assert!(matches!(scalar.transpose(0, 0), Err(Error::Axis { .. })));
        assert!(matches!(x.transpose(0, 3), Err(Error::Axis { axis: 3, .. })));
        assert!(matches!(x.permute(&[0, 1, -4]), Err(Error::Axis { axis: -4, .. })));
        for wrong in [&[0, 1][..], &[0, 1, 1], &[0, 1, -2], &[0, 1, 2, 0]] {
            assert!(matches!(x.permute(wrong), Err(Error::Argument { .. })), "{wrong:?}");
        }
        Ok(())
    }
}
