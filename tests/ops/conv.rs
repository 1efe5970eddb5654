//! Convolution, pooling and upsampling.

use tealight::ops::{ConvOptions, ConvPadding, Pad, PoolOptions};
use tealight::prelude::*;

fn first(pair: Result<(Tensor, Tensor)>) -> Result<Tensor> {
    Ok(pair?.0)
}

fn second(pair: Result<(Tensor, Tensor)>) -> Result<Tensor> {
    Ok(pair?.1)
}

crate::expressions! {
    [x, w]:
        x.conv1d(w, ConvOptions::<1>::new()), x.conv1d(w, ConvOptions::<1>::new().stride(2).padding(1)),
        x.conv1d(w, ConvOptions::<1>::new().dilation(3)),
        x.conv1d(w, ConvOptions::<1>::new().padding(2).groups(2)),
        x.conv1d(w, ConvOptions::<1>::new().groups(3)),
        x.conv1d(w, ConvOptions::<1>::new().stride(3).padding(2).dilation(2)),
        x.conv2d(w, ConvOptions::<2>::new()), x.conv2d(w, ConvOptions::<2>::new().padding(1)),
        x.conv2d(w, ConvOptions::<2>::new().stride([2, 1]).padding([1, 0])),
        x.conv2d(w, ConvOptions::<2>::new().dilation([2, 1])),
        x.conv2d(w, ConvOptions::<2>::new().groups(2)),
        x.conv2d(w, ConvOptions::<2>::new().stride(2).padding([2, 1]).groups(2)),
        x.conv2d(w, ConvOptions::<2>::new().stride([1, 2]).padding([1, 1]).groups(2)),
        x.conv2d(w, ConvOptions::<2>::new().stride([1, 2]).padding([1, 1]).groups(1)),
        x.conv_transpose1d(w, ConvOptions::<1>::new()),
        x.conv_transpose1d(w, ConvOptions::<1>::new().stride(2).padding(1)),
        x.conv_transpose1d(w, ConvOptions::<1>::new().stride(3).output_padding(2)),
        x.conv_transpose1d(w, ConvOptions::<1>::new().dilation(2).groups(2)),
        x.conv_transpose2d(w, ConvOptions::<2>::new()),
        x.conv_transpose2d(w, ConvOptions::<2>::new().stride([2, 1]).padding([1, 0])),
        x.conv_transpose2d(w, ConvOptions::<2>::new().stride(2).output_padding([1, 0]).groups(2)),
        x.conv_transpose2d(w, ConvOptions::<2>::new().dilation([1, 2]).padding(1)),
        x.conv1d(w, ConvOptions::<1>::new().padding(ConvPadding::Same)),
        x.conv1d(w, ConvOptions::<1>::new().groups(2).padding(ConvPadding::Same)),
        x.conv1d(w, ConvOptions::<1>::new().dilation(3).padding(ConvPadding::Same)),
        x.conv2d(w, ConvOptions::<2>::new().dilation([1, 2]).padding(ConvPadding::Same)),
        x.conv1d(w, ConvOptions::<1>::new().padding([(2, 0)])),
        x.conv2d(w, ConvOptions::<2>::new().stride(1).padding([(0, 1), (2, 1)])),
        x.conv2d(w, ConvOptions::<2>::new().stride(2).padding([(0, 1), (2, 1)])),
        x.conv_transpose2d(w, ConvOptions::<2>::new().stride(2).padding([(0, 1), (2, 1)])),
        x.conv2d(w, ConvOptions::<2>::new().stride([1, 2]).padding([1, 2]).padding_mode(Pad::Reflect)),
        x.conv2d(w, ConvOptions::<2>::new().stride([1, 2]).padding([1, 2]).padding_mode(Pad::Replicate)),
        x.conv2d(w, ConvOptions::<2>::new().stride([1, 2]).padding([1, 2]).padding_mode(Pad::Circular)),
        x.conv1d(w, ConvOptions::<1>::new().padding(ConvPadding::Same).padding_mode(Pad::Circular));
    [x]:
        x.max_pool1d(PoolOptions::<1>::new(2)),
        x.max_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1)),
        x.max_pool1d(PoolOptions::<1>::new(2).stride(1)),
        x.max_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1).dilation(2)),
        x.avg_pool1d(PoolOptions::<1>::new(2)),
        x.avg_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1)),
        x.avg_pool1d(PoolOptions::<1>::new(2).stride(1)),
        x.avg_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1).count_include_pad(false)),
        x.max_pool2d(PoolOptions::<2>::new([2, 2])),
        x.max_pool2d(PoolOptions::<2>::new([2, 3]).stride([1, 2])),
        x.max_pool2d(PoolOptions::<2>::new([3, 2]).stride(2).padding([1, 1])),
        x.max_pool2d(PoolOptions::<2>::new([2, 3])),
        x.max_pool2d(PoolOptions::<2>::new(2).stride(1).dilation(2)),
        x.max_pool2d(PoolOptions::<2>::new([2, 2]).stride(1)),
        x.avg_pool2d(PoolOptions::<2>::new([2, 2])),
        x.avg_pool2d(PoolOptions::<2>::new([2, 3]).stride([1, 2])),
        x.avg_pool2d(PoolOptions::<2>::new([3, 2]).stride(2).padding([1, 1])),
        x.avg_pool2d(PoolOptions::<2>::new([2, 3])),
        x.avg_pool2d(PoolOptions::<2>::new(2).stride(1).padding(1).count_include_pad(false)),
        x.adaptive_avg_pool2d([2, 2]), x.adaptive_avg_pool2d([1, 1]), x.adaptive_avg_pool2d([3, 2]),
        x.adaptive_avg_pool2d([3, 3]),
        x.upsample_nearest2d([4, 6]), x.upsample_nearest2d([3, 5]), x.upsample_nearest2d([2, 2]),
        x.upsample_nearest2d([1, 3]),
        x.upsample_bilinear2d([4, 6], false), x.upsample_bilinear2d([4, 6], true),
        x.upsample_bilinear2d([3, 5], false), x.upsample_bilinear2d([3, 5], true),
        x.upsample_bilinear2d([2, 2], false), x.upsample_bilinear2d([2, 2], true),
        x.upsample_bilinear2d([1, 3], false), x.upsample_bilinear2d([1, 3], true),
        x.adaptive_avg_pool1d(2),
        x.adaptive_max_pool1d(2),
        x.adaptive_avg_pool1d(5),
        x.adaptive_max_pool1d(5),
        x.adaptive_avg_pool1d(1),
        x.adaptive_max_pool1d(1),
        x.adaptive_max_pool2d([2, 2]),
        x.adaptive_max_pool2d([1, 1]),
        x.adaptive_max_pool2d([3, 2]),
        x.adaptive_max_pool2d([3, 4]),
        x.max_pool1d(PoolOptions::<1>::new(3).stride(2).padding(0).ceil_mode(true)),
        x.avg_pool1d(PoolOptions::<1>::new(3).stride(2).padding(0).ceil_mode(true)),
        x.max_pool1d(PoolOptions::<1>::new(2).stride(2).padding(1).ceil_mode(true)),
        x.avg_pool1d(PoolOptions::<1>::new(2).stride(2).padding(1).ceil_mode(true)),
        x.max_pool1d(PoolOptions::<1>::new(2).stride(4).padding(0).ceil_mode(true)),
        x.avg_pool1d(PoolOptions::<1>::new(2).stride(4).padding(0).ceil_mode(true)),
        x.max_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1).ceil_mode(true)),
        x.avg_pool1d(PoolOptions::<1>::new(3).stride(2).padding(1).ceil_mode(true)),
        x.max_pool2d(PoolOptions::<2>::new([3, 2]).stride([2, 3]).padding([1, 0]).ceil_mode(true)),
        x.avg_pool2d(PoolOptions::<2>::new([3, 2]).stride([2, 3]).padding([1, 0]).ceil_mode(true)),
        x.avg_pool2d(PoolOptions::<2>::new([3, 2]).stride([2, 3]).padding([1, 0]).ceil_mode(true).count_include_pad(false)),
        x.max_pool2d(PoolOptions::<2>::new([2, 3]).stride([2, 2]).padding([0, 1]).ceil_mode(true)),
        x.avg_pool2d(PoolOptions::<2>::new([2, 3]).stride([2, 2]).padding([0, 1]).ceil_mode(true)),
        x.avg_pool2d(PoolOptions::<2>::new([2, 3]).stride([2, 2]).padding([0, 1]).ceil_mode(true).count_include_pad(false)),
        first(x.max_pool2d_with_indices(PoolOptions::<2>::new(3).stride(2).padding(1))),
        second(x.max_pool2d_with_indices(PoolOptions::<2>::new(3).stride(2).padding(1))),
        first(x.max_pool1d_with_indices(PoolOptions::<1>::new(2).stride(1))),
        second(x.max_pool1d_with_indices(PoolOptions::<1>::new(2).stride(1)));
    [x, i]:
        x.max_unpool2d(i, [4, 5]),
        x.max_unpool1d(i, 6);
}
