//! Moving to another device.

use candle_core::Device;

use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;

#[derive(Debug)]
struct ToDevice {
    from: Device,
    to: Device,
}

impl Op<1> for ToDevice {
    const NAME: &'static str = "to_device";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        Ok(x.to_device(&self.to)?)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        Ok(onnx.input(0))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(grad.to_device(&self.from)?)])
    }
}

impl Tensor {
    /// The same elements on another device. The gradient comes back to the tensor's own.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert!(x.to_device(&Device::Cpu)?.device().is_cpu());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "to")]
    #[doc(alias = "cuda")]
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if self.device().same_device(device) {
            return Ok(self.clone());
        }
        ToDevice { from: self.device().clone(), to: device.clone() }.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    #[test]
    fn gradients() {
        let moved = |x: &Tensor| ToDevice { from: Device::Cpu, to: Device::Cpu }.apply([x])?.sqr();
        check(&[0.5, -1.0], moved);
    }
}
