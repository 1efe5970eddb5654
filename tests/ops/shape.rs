//! Shapes, several tensors, and tensors from nothing.

use tealight::ops::Pad;
use tealight::prelude::*;

use crate::run::part;

crate::expressions! {
    [x]:
        x.to_dtype(DType::F32), x.to_dtype(DType::U8), x.to_dtype(DType::F64),
        x.reshape((3, 2)), x.reshape(6), x.reshape(()), x.reshape((0, 3)),
        x.flatten(0, 1), x.flatten(-2, -1),
        x.squeeze(1), x.squeeze(-1), x.squeeze_all(), x.unsqueeze(0), x.unsqueeze(-1),
        x.transpose(0, 2), x.transpose(-1, 0), x.t(),
        x.permute(&[2, 0, 1]), x.permute(&[-1, 0]), x.permute(&[3, 1, 0, 2]),
        x.broadcast_to((2, 3)), x.broadcast_to((0, 3)), x.flip(&[0]), x.flip(&[0, -1]),
        x.roll(1, 0), x.roll(-4, -1), x.roll(3, 1),
        x.repeat(2, 0), x.repeat(3, -1), x.repeat(0, 0),
        x.tile(&[2]), x.tile(&[2, 3]), x.tile(&[2, 1, 2]), x.tile(&[0]),
        part(x.chunk(2, 0), 0), part(x.chunk(3, -1), 2),
        part(x.split(2, 0), 1), part(x.split(2, -1), 0),
        part(x.tensor_split(&[1, 3], 1), 1), part(x.tensor_split(&[1, 3], 1), 2),
        part(x.tensor_split(&[2, 2], 0), 1),
        x.narrow(0, 1, 2), x.narrow(-1, 0, 1), x.narrow(1, 2, 0),
        x.diag(0), x.diag(1), x.diag(-2), x.diag(-1), x.diag(5),
        x.tril(0), x.tril(-1), x.tril(1), x.tril(-9),
        x.triu(0), x.triu(1), x.triu(-1), x.triu(-9),
        x.unfold(0, 2, 1), x.unfold(1, 3, 2), x.unfold(-1, 2, 3), x.unfold(0, 3, 1),
        x.pad(&[(1, 2)], Pad::Constant(0.5)), x.pad(&[(1, 0), (0, 2)], Pad::Constant(0.0)),
        x.pad(&[(1, 1)], Pad::Constant(0.0)), x.pad(&[(2, 1)], Pad::Reflect),
        x.pad(&[(1, 1), (2, 0)], Pad::Reflect), x.pad(&[(2, 4)], Pad::Replicate),
        x.pad(&[(1, 2), (0, 1)], Pad::Replicate), x.pad(&[(1, 1)], Pad::Reflect),
        x.pad(&[(2, 1)], Pad::Circular), x.pad(&[(1, 2), (0, 3)], Pad::Circular),
        x.pad(&[(0, 1), (1, 0), (1, 1)], Pad::Constant(-1.0)), x.zeros_like(), x.ones_like();
    [a, b]:
        Tensor::cat(&[a, b], 0), Tensor::cat(&[a, b], 1), Tensor::cat(&[a, b], -1),
        Tensor::cat(&[a, b, a], 0),
        Tensor::stack(&[a, b], 0), Tensor::stack(&[a, b], 1), Tensor::stack(&[a, b], -1),
        part(Tensor::meshgrid(&[a, b]), 0), part(Tensor::meshgrid(&[a, b]), 1);
    [a, b, c]:
        part(Tensor::meshgrid(&[a, b, c]), 1);
    []:
        Tensor::linspace(0.0, 1.0, 5, &Device::Cpu), Tensor::linspace(2.0, -1.0, 4, &Device::Cpu),
        Tensor::linspace(1.5, 9.0, 1, &Device::Cpu), Tensor::linspace(0.0, 1.0, 0, &Device::Cpu),
        Tensor::arange(2.0, 4.5, &Device::Cpu), Tensor::arange(5i64, 2, &Device::Cpu),
        Tensor::eye(3, DType::F64, &Device::Cpu),
        Tensor::zeros((2, 1), DType::F64, &Device::Cpu),
        Tensor::ones((2, 1), DType::F64, &Device::Cpu), Tensor::full(2.5, (2, 2), &Device::Cpu);
}
