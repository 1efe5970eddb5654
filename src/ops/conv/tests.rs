use super::{Conv, Derivative, G, W, X};
use crate::kernel::WindowAxis;
use crate::ops::{ConvPadding, Pad, PerSpatialDim};
use crate::prelude::*;

type Pair = [usize; 2];

pub(super) fn numbers(dims: &[usize]) -> Tensor {
    let n = dims.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| (i as f64 * 1.7).sin()).collect(), dims, &Device::Cpu).unwrap()
}

pub(super) fn options(stride: Pair, padding: Pair, dilation: Pair, groups: usize) -> ConvOptions<2> {
    ConvOptions::new().stride(stride).padding(padding).dilation(dilation).groups(groups)
}

fn flat(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().flatten(0, -1).unwrap().to_vec1().unwrap()
}

fn four(x: &Tensor) -> [usize; 4] {
    x.dims().try_into().unwrap()
}

/// Every window and every element of the kernel, one after the other; transposed, what lies there is added to.
fn plain(
    x: &Tensor,
    w: &Tensor,
    [stride, padding, dilation, extra]: [Pair; 4],
    groups: usize,
    transposed: bool,
) -> (Vec<usize>, Vec<f64>) {
    let ([n, c, h, width], [w0, w1, kh, kw]) = (four(x), four(w));
    let (x, w) = (flat(x), flat(w));
    let out = |own: usize, k: usize, i: usize| match transposed {
        false => (own + 2 * padding[i] - dilation[i] * (k - 1) - 1) / stride[i] + 1,
        true => (own - 1) * stride[i] + dilation[i] * (k - 1) + extra[i] + 1 - 2 * padding[i],
    };
    let (oh, ow) = (out(h, kh, 0), out(width, kw, 1));
    let o = if transposed { w1 * groups } else { w0 };
    let mut y = vec![0.0; n * o * oh * ow];
    // The many places are those of the longer side of the pair.
    let (few, many) = if transposed { ([h, width], [oh, ow]) } else { ([oh, ow], [h, width]) };
    for image in 0..n {
        for a in 0..w0 {
            for b in 0..w1 {
                let other = a / (w0 / groups) * w1 + b;
                for place in 0..few[0] * few[1] {
                    for k in 0..kh * kw {
                        let (py, px) = (place / few[1], place % few[1]);
                        let row = (py * stride[0] + k / kw * dilation[0]).wrapping_sub(padding[0]);
                        let column = (px * stride[1] + k % kw * dilation[1]).wrapping_sub(padding[1]);
                        if row >= many[0] || column >= many[1] {
                            continue;
                        }
                        let weight = w[(a * w1 + b) * kh * kw + k];
                        let at_few = ((image * w0 + a) * few[0] + py) * few[1] + px;
                        let at_many = ((image * w1 * groups + other) * many[0] + row) * many[1] + column;
                        match transposed {
                            false => y[at_few] += weight * x[at_many],
                            true => y[at_many] += weight * x[at_few],
                        }
                    }
                }
            }
        }
    }
    assert_eq!(c, if transposed { w0 } else { w1 * groups });
    (vec![n, o, oh, ow], y)
}

fn assert_near(got: &Tensor, (dims, expected): &(Vec<usize>, Vec<f64>), what: &str) {
    assert_eq!(got.dims(), dims, "{what}");
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-11;
    assert!(flat(got).iter().zip(expected).all(near), "{what}");
}

/// The same shape three times: in order, with its sides exchanged in memory, and repeated without a copy.
fn views([n, c, h, w]: [usize; 4]) -> Result<[Tensor; 3]> {
    let repeated = numbers(&[1, c, 1, w]).broadcast_to((n, c, h, w))?;
    Ok([numbers(&[n, c, h, w]), numbers(&[w, c, h, n]).permute(&[3, 1, 2, 0])?, repeated])
}

#[test]
fn against_plain_loops() -> Result<()> {
    for stride in 1..=3 {
        for padding in 0..=2 {
            for dilation in 1..=2 {
                for groups in [1, 2] {
                    let [s, p, d] = [[stride, 4 - stride], [padding, 2 - padding], [dilation, 3 - dilation]];
                    let what = format!("{s:?} {p:?} {d:?} {groups}");
                    let (all, plus) = (options(s, p, d, groups), [stride - 1, 0]);
                    for (x, w) in views([2, 4, 6, 7])?.iter().zip(views([6, 4 / groups, 2, 3])?.iter().rev())
                    {
                        let y = plain(x, w, [s, p, d, [0, 0]], groups, false);
                        assert_near(&x.conv2d(w, all)?, &y, &what);
                    }
                    for (x, w) in views([2, 4, 4, 5])?.iter().zip(views([4, 3, 2, 3])?.iter().rev()) {
                        let y = plain(x, w, [s, p, d, plus], groups, true);
                        let got = x.conv_transpose2d(w, all.output_padding(plus))?;
                        assert_near(&got, &y, &format!("transposed {what}"));
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn sequences_are_images_of_height_1() -> Result<()> {
    let (x, w) = (numbers(&[2, 4, 9]), numbers(&[6, 2, 3]));
    // A kernel whose axes were exchanged in memory.
    let strided = numbers(&[3, 2, 6]).transpose(0, 2)?;
    let own = ConvOptions::new().stride(2).padding(1).dilation(2).groups(2);
    let same = options([1, 2], [0, 1], [1, 2], 2);
    for w in [&w, &strided] {
        let expected = x.unsqueeze(2)?.conv2d(&w.unsqueeze(2)?, same)?;
        assert_eq!(x.conv1d(w, own)?, expected.squeeze(2)?);
        let y = plain(&x.unsqueeze(2)?, &w.unsqueeze(2)?, [[1, 2], [0, 1], [1, 2], [0; 2]], 2, false);
        assert_near(&expected, &y, "conv1d");
    }
    let (own, same) = (own.output_padding(1), same.output_padding([0, 1]));
    let w = numbers(&[4, 3, 3]);
    let expected = x.unsqueeze(2)?.conv_transpose2d(&w.unsqueeze(2)?, same)?;
    assert_eq!(x.conv_transpose1d(&w, own)?, expected.squeeze(2)?);
    let y = plain(&x.unsqueeze(2)?, &w.unsqueeze(2)?, [[1, 2], [0, 1], [1, 2], [0, 1]], 2, true);
    assert_near(&expected, &y, "conv_transpose1d");
    // One image or sequence alone.
    assert_eq!(x.i(1)?.conv_transpose1d(&w, own)?, x.conv_transpose1d(&w, own)?.i(1)?);
    let (x, w) = (numbers(&[2, 3, 4, 5]), numbers(&[2, 3, 2, 2]));
    let one = ConvOptions::new();
    assert_eq!(x.i(1)?.conv2d(&w, one)?, x.conv2d(&w, one)?.i(1)?);
    Ok(())
}

#[test]
fn only_what_is_wanted_is_computed_and_kept() -> Result<()> {
    let x = numbers(&[1, 1, 4, 4]);
    let w = Tensor::parameter(numbers(&[1, 1, 2, 2]));
    let y = x.conv2d(&w, ConvOptions::new())?.sum_all()?;
    let gradients = y.backward()?;
    // Each element of the kernel lay on nine elements of the image.
    let corner = |i: usize, j: usize| flat(&x.i((0, 0, i..i + 3, j..j + 3)).unwrap()).iter().sum::<f64>();
    let expected = [corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)];
    let got = flat(gradients.get(&w).unwrap());
    assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-13), "{got:?} {expected:?}");
    Ok(())
}

#[test]
fn by_candle_as_by_our_own() -> Result<()> {
    fn agree<const P: usize>(conv: Conv, a: &Tensor, b: &Tensor) -> Result<()> {
        let own = super::Derivative::<P>(conv).apply([a, b])?;
        let candle: Tensor = Derivative::<P>(conv).by_candle(a.array(), b.array())?.unwrap().into();
        assert_near(&candle, &(own.dims().to_vec(), flat(&own)), &format!("{P} {conv:?}"));
        Ok(())
    }
    for (stride, dilation, [ph, pw]) in [(1, 1, [0, 0]), (2, 1, [1, 0]), (3, 2, [0, 2]), (1, 2, [1, 1])] {
        for (groups, plus) in [(1, 0), (1, 1), (2, 0)] {
            let side = |input: usize, kernel: usize, padding: usize| {
                let output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
                WindowAxis { input: input + plus, output, kernel, stride, padding, dilation }
            };
            let sides = [side(6, 2, ph), side(7, 3, pw)];
            let conv = Conv { batch: 2, groups, inputs: 2, outputs: 3, sides };
            let [x, w, g] = [conv.x_dims(), conv.w_dims(), conv.y_dims()].map(|dims| numbers(&dims));
            agree::<G>(conv, &x, &w)?;
            let transposed = Derivative::<X>(conv).by_candle(w.array(), g.array())?;
            assert_eq!(transposed.is_some(), groups == 1);
            if groups == 1 {
                agree::<X>(conv, &w, &g)?;
            }
            assert!(Derivative::<W>(conv).by_candle(x.array(), g.array())?.is_none());
        }
    }
    Ok(())
}

#[test]
fn extremes() -> Result<()> {
    let one = ConvOptions::<2>::new();
    let zeros = |dims: [usize; 4]| Tensor::parameter(Array::zeros(&dims, DType::F32, &Device::Cpu).unwrap());
    // Nothing in, nothing or zeros out; and gradients of the right shape.
    for (x, w, y) in [
        ([0, 2, 4, 4], [3, 2, 2, 2], [0, 3, 3, 3]),
        ([2, 0, 4, 4], [3, 0, 2, 2], [2, 3, 3, 3]),
        ([2, 2, 4, 4], [0, 2, 2, 2], [2, 0, 3, 3]),
    ] {
        let (x, w) = (zeros(x), zeros(w));
        let out = x.conv2d(&w, one)?;
        assert_eq!(out.dims(), y);
        let gradients = out.sum_all()?.backward()?;
        assert_eq!(gradients.get(&x).unwrap().dims(), x.dims());
        assert_eq!(gradients.get(&w).unwrap().dims(), w.dims());
    }
    assert_eq!(zeros([0, 2, 4, 4]).conv_transpose2d(&zeros([2, 3, 2, 2]), one)?.dims(), [0, 3, 5, 5]);
    assert_eq!(zeros([1, 0, 4, 4]).conv_transpose2d(&zeros([0, 3, 2, 2]), one)?.dims(), [1, 3, 5, 5]);
    // The padding alone: a window over nothing.
    let y = zeros([1, 1, 0, 1]).conv2d(&zeros([1, 1, 1, 1]), one.padding([1, 0]))?;
    assert_eq!(flat(&y), [0.0, 0.0]);
    // A NaN and an infinity reach the windows that hold them.
    let x = Tensor::new(&[[[f64::NAN, 1.0, 1.0, f64::INFINITY]]], &Device::Cpu)?;
    let y = flat(&x.conv2d(&Tensor::ones((1, 1, 1, 2), DType::F64, &Device::Cpu)?, one)?);
    assert!(y[0].is_nan() && y[1] == 2.0 && y[2] == f64::INFINITY);
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        // 4096 ones: in f16 the sum would stay at 2048.
        let x = Tensor::parameter(Array::ones((1, 1, 64, 64), dtype, &Device::Cpu)?);
        let w = Tensor::parameter(Array::ones((1, 1, 64, 64), dtype, &Device::Cpu)?);
        let y = x.conv2d(&w, one)?;
        assert_eq!((y.dtype(), flat(&y)), (dtype, vec![4096.0]));
        let gradients = y.sum_all()?.backward()?;
        assert_eq!(gradients.get(&w).unwrap().dtype(), dtype);
        assert_eq!(flat(gradients.get(&x).unwrap()), [1.0; 4096]);
    }
    // Sizes that are none.
    let max = usize::MAX;
    let (x, w) = (numbers(&[1, 2, 4, 4]), numbers(&[2, 2, 2, 2]));
    assert_eq!(x.conv2d(&w, one.stride(max))?.dims(), [1, 2, 1, 1]);
    assert_eq!(x.conv2d(&numbers(&[2, 2, 1, 1]), one.dilation(max))?.dims(), [1, 2, 4, 4]);
    for padding in [max, max / 2, max / 4] {
        let error = x.conv2d(&w, one.padding(padding)).unwrap_err().to_string();
        assert_eq!(error, format!("conv2d: expected a padding that fits in memory, got {padding}"));
        assert!(matches!(x.conv_transpose2d(&w, one.padding(padding)), Err(Error::Shape { .. })));
    }
    assert!(matches!(x.conv2d(&w, one.padding(1 << 40)), Err(Error::Shape { .. })));
    assert!(matches!(x.conv2d(&w, one.padding([(0, max), (0, 0)])), Err(Error::Argument { .. })));
    assert!(matches!(x.conv_transpose2d(&w, one.padding([(1, max), (0, 0)])), Err(Error::Shape { .. })));
    assert!(matches!(x.conv2d(&w, one.dilation(max)), Err(Error::Shape { .. })));
    assert!(matches!(x.conv_transpose2d(&w, one.dilation(max)), Err(Error::Shape { .. })));
    assert!(matches!(x.conv_transpose2d(&w, one.stride(max)), Err(Error::Shape { .. })));
    let own = one.stride(max).output_padding(max - 1);
    assert!(matches!(x.conv_transpose2d(&w, own), Err(Error::Shape { .. })));
    assert!(matches!(x.conv2d(&w, one.groups(max)), Err(Error::Argument { .. })));
    Ok(())
}

#[test]
fn paddings_that_have_no_meaning() -> Result<()> {
    let (x, w, one) = (numbers(&[1, 2, 4, 4]), numbers(&[2, 2, 2, 2]), ConvOptions::<2>::new());
    let says = |y: Result<Tensor>, message: &str| assert_eq!(y.unwrap_err().to_string(), message);
    let same = one.padding(ConvPadding::Same);
    let numbers = "expected the numbers of padding (Same has one meaning at stride 1 only), got Same";
    says(x.conv2d(&w, same.stride([1, 2])), &format!("conv2d: {numbers} with a stride above 1"));
    says(x.conv_transpose2d(&w, same), &format!("conv_transpose2d: {numbers}"));
    says(
        x.conv_transpose2d(&w, one.padding_mode(Pad::Reflect)),
        "conv_transpose2d: expected zeros as padding (a transposed convolution cuts it off), got Reflect",
    );
    says(
        x.conv2d(&w, one.padding(5).padding_mode(Pad::Circular)),
        "conv2d: pad: expected padding of at most 4 (axis 2 of shape [1, 2, 4, 4]), got (5, 5)",
    );
    // One element is its own neighbor; a kernel longer than the input is not too long with the padding.
    let y = x.i((.., .., ..1, ..1))?.conv2d(&w, same.padding_mode(Pad::Circular))?;
    assert_eq!(y.dims(), [1, 2, 1, 1]);
    assert_eq!(
        x.i((.., .., ..1, ..1))?.conv2d(&Tensor::ones((1, 2, 9, 8), DType::F64, &Device::Cpu)?, same)?.dims(),
        [1, 1, 1, 1]
    );
    Ok(())
}

#[test]
fn errors() {
    let (x, w) = (numbers(&[1, 4, 5, 5]), numbers(&[6, 4, 3, 3]));
    let one = ConvOptions::<2>::new;
    let both = "got [1, 4, 5, 5] and [6, 4, 3, 3]";
    let says = |result: Result<Tensor>, expected: &str| assert_eq!(result.unwrap_err().to_string(), expected);
    says(x.conv2d(&w, one().stride([1, 0])), "conv2d: expected strides of at least 1, got 0");
    says(x.conv2d(&w, one().dilation(0)), "conv2d: expected dilations of at least 1, got 0");
    let groups = "a number of groups that divides the 4 channels of the input";
    says(x.conv2d(&w, one().groups(0)), &format!("conv2d: expected {groups}, got 0"));
    says(x.conv2d(&w, one().groups(3)), &format!("conv2d: expected {groups}, got 3"));
    let weight = "inputs of 8 channels for this weight";
    says(x.conv2d(&w, one().groups(2)), &format!("conv2d: expected {weight}, {both}"));
    says(
        x.conv_transpose2d(&w, one()),
        &format!("conv_transpose2d: expected a weight of shape (4, ..), {both}"),
    );
    let long = "a kernel no larger than the padded input (it spans 7 by 5)";
    says(x.conv2d(&w, one().dilation([3, 2])), &format!("conv2d: expected {long}, {both}"));
    let none = "conv2d: expected no output padding (transposed convolutions have it), got [1, 1]";
    says(x.conv2d(&w, one().output_padding(1)), none);
    let (small, two) = (numbers(&[1, 6, 2, 2]), one().stride(2));
    let below = "conv_transpose2d: expected an output padding below the stride or the dilation, got 2";
    says(small.conv_transpose2d(&w, two.output_padding(2)), below);
    let places = "conv_transpose2d: expected an output with sides of at least 1 that fits in memory";
    says(
        small.conv_transpose2d(&w, one().padding(2)),
        &format!("{places}, got [1, 6, 2, 2] and [6, 4, 3, 3]"),
    );
    let ranks = "conv2d: expected an input of rank 4 or 3 and a weight of rank 4";
    says(x.i((0, 0)).unwrap().conv2d(&w, one()), &format!("{ranks}, got [5, 5] and [6, 4, 3, 3]"));
    says(x.conv2d(&w.i(0).unwrap(), one()), &format!("{ranks}, got [1, 4, 5, 5] and [4, 3, 3]"));
    let kernel = numbers(&[6, 4, 0, 3]);
    let sides = "conv2d: expected a kernel with sides of at least 1, got [1, 4, 5, 5] and [6, 4, 0, 3]";
    says(x.conv2d(&kernel, one()), sides);
    let spans =
        "conv1d: expected a kernel no larger than the padded input (it spans 3), got [2, 1] and [1, 2, 3]";
    says(numbers(&[2, 1]).conv1d(&numbers(&[1, 2, 3]), ConvOptions::new()), spans);
    for dims in [&[][..], &[3], &[1, 1, 4, 5, 5], &[1; 7]] {
        assert!(matches!(numbers(dims).conv2d(&w, one()), Err(Error::Shape { .. })));
        assert!(matches!(numbers(dims).conv_transpose1d(&w, ConvOptions::new()), Err(Error::Shape { .. })));
    }
    let empty = numbers(&[1, 6, 0, 2]);
    assert!(matches!(empty.conv_transpose2d(&w, one()), Err(Error::Shape { .. })));
    let single = w.to_dtype(DType::F32).unwrap();
    assert!(matches!(x.conv2d(&single, one()), Err(Error::Dtype { .. })));
    let counts = x.to_dtype(DType::U32).unwrap();
    assert!(matches!(counts.conv2d(&counts, one()), Err(Error::Dtype { .. })));
    assert_eq!(PerSpatialDim::<2>::from(3), PerSpatialDim::from([3, 3]));
}
