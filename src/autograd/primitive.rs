//! [`Primitive`]: what a recorded kernel computes, as data.

use std::sync::Arc;

use crate::formula::{Binary, Unary};
use crate::formula::{Interpreter, Tape};
use crate::kernel::scan::Walk;
use crate::kernel::{Conv, Window, WindowAxis};

/// What a kernel makes of its operands, which have the layouts that are recorded beside it.
#[derive(Clone, Debug)]
pub(crate) enum Primitive {
    /// A kernel that only the crate itself can run.
    Opaque,
    /// A formula of operands that are broadcast to the output. Its arithmetic is the output's dtype's.
    Map(Tape),
    /// The operand in the output's dtype.
    Cast,
    /// x·wᵀ + b of the sizes m × k and n × k.
    Affine([usize; 3]),
    /// Products of pairs of matrices m × k and k × n.
    MatMul(Arc<MatMul>),
    /// The sum along the middle one of three axes.
    Sum([usize; 3]),
    /// Softmax of rows of this length, or its logarithm.
    Softmax {
        width: usize,
        log: bool,
    },
    /// The gradient of `Softmax` from its result and the gradient of that.
    SoftmaxBackward {
        width: usize,
        log: bool,
    },
    /// −ln softmax at the class times `factor`, of each row or in total; and the gradient if `slopes`.
    CrossEntropy {
        width: usize,
        factor: f64,
        total: bool,
        slopes: bool,
    },
    /// The sum of a formula divided by a number; and its gradient by the first operand, of which the last input is the factor.
    Total {
        values: Tape,
        slopes: Option<Tape>,
        divisor: f64,
    },
    /// A convolution, with a bias if there are three operands.
    Conv(Box<Conv>),
    /// An error if an element is outside of the bounds or, if `absolute`, its absolute value is.
    InRange {
        bounds: [f64; 2],
        absolute: bool,
    },
    /// The transpose of a convolution, of the kernel and the gradient, with a bias if there are three operands.
    ConvTranspose(Box<Conv>),
    /// The gradient of the kernel of a convolution, of the input and the gradient.
    ConvKernel(Box<Conv>),
    /// Of groups of an array (outer, groups, inner): the mean, the scale and the shift that standardise, the exact mean and the variance.
    Moments {
        sizes: [usize; 3],
        eps: f64,
        centred: bool,
    },
    /// (x − mean)·scale + shift of such groups, then times a weight and plus a bias if there are six operands.
    Standardize([usize; 3]),
    /// The gradient of `Standardize` and `Moments`, of x, the gradient, and the three numbers; by the weight and the bias, too, if the
    /// weight is the sixth operand.
    StandardizeBackward {
        sizes: [usize; 3],
        centred: bool,
    },
    /// Zeros with the elements of each of the images at the places that `MaxPool` found.
    PoolScatter(usize),
    /// The transpose of `Resample`.
    ResampleTranspose {
        windows: Vec<Window>,
        sizes: [usize; 3],
    },
    /// Weighted means of windows along the second of the axes (outer, from, inner).
    Resample {
        windows: Vec<Window>,
        sizes: [usize; 3],
    },
    /// Zeros with this probability, and else this number.
    Mask {
        p: f64,
        kept: f64,
    },
    /// 1 where the first operand compares so with the second, by Rust's operator, else 0, as u8.
    Compare(&'static str),
    /// The second operand where the first is not 0, else the third.
    WhereCond,
    /// The first row of each operand, then the second ones, and so on: the number of rows, and their lengths.
    Concat {
        outer: usize,
        rows: Vec<usize>,
    },
    /// Rows of this length divided by their length, and the lengths; the gradient is of the rows, the lengths and the gradient.
    NormalizeRows(usize),
    NormalizeRowsBackward(usize),
    /// Zeros with the operand from `start` on along the middle axis of (outer, to, inner), where it has length `len`.
    Embed {
        sizes: [usize; 3],
        start: usize,
        len: usize,
    },
    /// Blocks of this length of each piece of length `period`, from the places in the last operand on; those below 0 are none.
    Places {
        block: usize,
        period: usize,
        what: PlacesKernel,
    },
    /// What `step`, an expression in Rust of `total` and the operands' elements `a` and `b`, makes of the elements along the middle one of
    /// three axes, in f64 and from `start` on: each partial result in the order of `walk`, or the last one alone.
    Scan {
        sizes: [usize; 3],
        walk: Option<Walk>,
        start: f64,
        step: &'static str,
    },
    /// The largest or the smallest element along the middle one of three axes; or its place, as u32.
    Extremum {
        sizes: [usize; 3],
        largest: bool,
        place: bool,
    },
    /// The largest elements of windows, and where they are.
    MaxPool([WindowAxis; 2]),
    Int8(Arc<Int8>),
}

/// What happens at [`Primitive::Places`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum PlacesKernel {
    /// The blocks of the first operand, or zeros.
    Take,
    /// Zeros with the first operand added to the blocks.
    Put,
    /// The first operand with the second added to the blocks.
    Add,
    /// The first operand with the second in the blocks.
    Write,
}

/// Numbers as scale·(q − zero), where q is an integer of 8 bits, which is stored with 128 added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Int8Range {
    pub(crate) scale: f32,
    pub(crate) zero: i32,
}

/// A kernel of integers of 8 bits.
#[derive(Debug)]
pub(crate) enum Int8 {
    /// Numbers to integers.
    Quantize(Int8Range),
    /// Integers to numbers.
    Dequantize(Int8Range),
    /// A linear layer or a convolution.
    Product(Int8Product),
    /// The largest integers of windows.
    MaxPool([WindowAxis; 2], Int8Range),
}

#[derive(Debug)]
pub(crate) struct Int8Product {
    /// Of one example.
    pub(crate) conv: Conv,
    pub(crate) weight: Vec<i8>,
    pub(crate) bias: Vec<i32>,
    /// The scale of the weights of each output channel.
    pub(crate) scales: Vec<f32>,
    /// What the sums of each output channel are multiplied by.
    pub(crate) factors: Vec<f32>,
    pub(crate) ranges: [Int8Range; 2],
}

/// Whether a convolution is a linear layer.
pub(crate) fn is_linear(conv: &Conv) -> bool {
    conv.groups == 1 && conv.sides.iter().all(|side| [side.input, side.kernel, side.output] == [1; 3])
}

#[derive(Debug)]
pub(crate) struct MatMul {
    pub(crate) sizes: [usize; 3],
    /// The distances of rows and of columns, of either factor.
    pub(crate) strides: [[usize; 2]; 2],
    /// Where the matrices of each pair start in the operands.
    pub(crate) starts: Vec<[usize; 2]>,
}

impl Primitive {
    /// x ↦ y of each element.
    pub(crate) fn map(
        inputs: usize,
        f: impl FnOnce(&[crate::formula::Expr]) -> crate::formula::Expr,
    ) -> Self {
        Primitive::Map(Tape::capture_exact(inputs, |x| vec![f(x)]))
    }

    /// The product of two matrices that are stored row by row or, `turned`, column by column.
    pub(crate) fn matmul(sizes: [usize; 3], turned: [bool; 2]) -> Self {
        let [m, k, n] = sizes;
        let a = if turned[0] { [1, m] } else { [k, 1] };
        let b = if turned[1] { [1, k] } else { [n, 1] };
        Primitive::MatMul(Arc::new(MatMul { sizes, strides: [a, b], starts: vec![[0; 2]] }))
    }

    /// The floating-point operations that make `count` elements; `None` if that is not known. A function such as exp counts as one.
    pub(crate) fn flops(&self, count: usize) -> Option<usize> {
        Some(match self {
            Primitive::Opaque => return None,
            Primitive::Map(tape) => count * operations(tape),
            Primitive::Cast
            | Primitive::InRange { .. }
            | Primitive::Mask { .. }
            | Primitive::WhereCond
            | Primitive::Places { .. } => 0,
            Primitive::Compare(_) => count,
            Primitive::Affine(sizes) => 2 * sizes.iter().product::<usize>(),
            Primitive::MatMul(product) => 2 * product.starts.len() * product.sizes.iter().product::<usize>(),
            Primitive::Sum([outer, axis, inner])
            | Primitive::Scan { sizes: [outer, axis, inner], .. }
            | Primitive::Extremum { sizes: [outer, axis, inner], .. } => outer * axis * inner,
            // The maximum, the difference, the exponential, the sum and the quotient.
            Primitive::Softmax { .. } => 5 * count,
            Primitive::SoftmaxBackward { .. } => 4 * count,
            Primitive::CrossEntropy { width, slopes, total, .. } => match (slopes, total) {
                (true, _) => 5 * count,
                (false, _) => 4 * count * width,
            },
            Primitive::Total { values, slopes, .. } => {
                count * (1 + operations(values) + slopes.as_ref().map_or(0, operations))
            }
            Primitive::Conv(conv) => 2 * conv.work(),
            Primitive::ConvTranspose(conv) | Primitive::ConvKernel(conv) => 2 * conv.work(),
            Primitive::Moments { sizes, .. } => 5 * sizes.iter().product::<usize>(),
            Primitive::Standardize(_) => 3 * count,
            Primitive::StandardizeBackward { .. } => 11 * count,
            Primitive::NormalizeRows(_) => 3 * count,
            Primitive::NormalizeRowsBackward(_) => 5 * count,
            Primitive::PoolScatter(_) => count,
            Primitive::Resample { windows, sizes: [outer, _, inner] }
            | Primitive::ResampleTranspose { windows, sizes: [outer, _, inner] } => {
                windows.iter().map(|window| 2 * window.len + 1).sum::<usize>() * outer * inner
            }
            Primitive::Concat { .. } | Primitive::Embed { .. } => 0,
            Primitive::MaxPool(sides) => count * sides[0].kernel * sides[1].kernel,
            Primitive::Int8(kernel) => match &**kernel {
                Int8::Quantize(_) | Int8::Dequantize(_) => 2 * count,
                Int8::Product(product) => 2 * count / product.bias.len() * (product.weight.len()),
                Int8::MaxPool(sides, _) => count * sides[0].kernel * sides[1].kernel,
            },
        })
    }
}

/// The operations of a formula.
fn operations(tape: &Tape) -> usize {
    struct Count(usize);
    impl Interpreter for Count {
        type Value = ();
        type Error = std::convert::Infallible;
        fn constant(&mut self, _: f64) -> Result<(), Self::Error> {
            Ok(())
        }
        fn unary(&mut self, _: Unary, (): &()) -> Result<(), Self::Error> {
            self.0 += 1;
            Ok(())
        }
        fn binary(&mut self, _: Binary, (): &(), (): &()) -> Result<(), Self::Error> {
            self.0 += 1;
            Ok(())
        }
        fn select_gt(&mut self, _: [&(); 4]) -> Result<(), Self::Error> {
            self.0 += 1;
            Ok(())
        }
    }
    let mut count = Count(0);
    let Ok(_) = tape.run(&mut count, &vec![(); tape.inputs()]);
    count.0
}

/// The name of a kernel and, for the readers of a program, what it computes.
pub(crate) trait Describe {
    fn name(&self) -> &'static str;

    /// Called only while a program is recorded.
    fn primitive(self) -> Primitive;
}

impl Describe for &'static str {
    fn name(&self) -> &'static str {
        self
    }

    fn primitive(self) -> Primitive {
        Primitive::Opaque
    }
}

impl<F: FnOnce() -> Primitive> Describe for (&'static str, F) {
    fn name(&self) -> &'static str {
        self.0
    }

    fn primitive(self) -> Primitive {
        (self.1)()
    }
}
