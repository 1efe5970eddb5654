//! Shapes, several tensors, and tensors from nothing.

use tealight::prelude::*;

crate::expressions! {
    [x]:
        x.to_dtype(DType::F32), x.to_dtype(DType::U8), x.to_dtype(DType::F64),
        x.reshape((3, 2)), x.reshape(6), x.reshape(()), x.reshape((0, 3)),
        x.flatten(0, 1), x.flatten(-2, -1), x.squeeze(1), x.squeeze(-1), x.unsqueeze(0), x.unsqueeze(-1),
        x.transpose(0, 2), x.transpose(-1, 0), x.t(),
        x.permute(&[2, 0, 1]), x.permute(&[-1, 0]),
        x.broadcast_to((2, 3)), x.broadcast_to((0, 3)),
        Ok(x.chunk(2, 0)?.remove(0)), Ok(x.chunk(3, -1)?.remove(2)),
        x.narrow(0, 1, 2), x.narrow(-1, 0, 1), x.narrow(1, 2, 0);
    [a, b]:
        Tensor::cat(&[a, b], 0), Tensor::cat(&[a, b], 1), Tensor::cat(&[a, b], -1),
        Tensor::cat(&[a, b, a], 0),
        Tensor::stack(&[a, b], 0), Tensor::stack(&[a, b], 1), Tensor::stack(&[a, b], -1);
    []:
        Tensor::arange(2.0, 4.5, &Device::Cpu), Tensor::arange(5i64, 2, &Device::Cpu),
        Tensor::eye(3, DType::F64, &Device::Cpu),
        Tensor::zeros((2, 1), DType::F64, &Device::Cpu),
        Tensor::ones((2, 1), DType::F64, &Device::Cpu), Tensor::full(2.5, (2, 2), &Device::Cpu);
}
