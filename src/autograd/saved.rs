//! What a recorded operation keeps for its backward pass.

use smallvec::SmallVec;

use super::node::Call;
use super::{Array, Tensor};
use crate::error::Result;

/// The arrays that a node holds.
#[derive(Debug, Default)]
pub(crate) struct SavedArrays {
    pub(crate) inputs: SmallVec<[Option<Array>; 3]>,
    pub(crate) output: Option<Array>,
    pub(crate) extra: SmallVec<[Array; 1]>,
}

/// Told by [`Op::forward`](super::Op::forward) what the backward pass will want; nothing else is held.
///
/// ```
#[doc = own!(begin 1)]
///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
///         keep.output(); // its derivative is eˣ again: x is let go
///         Ok(x.exp()?)
///     }
///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
///         Ok([Some((grad * saved.output()?)?)])
///     }
/// }
/// autograd::gradcheck(|x| Own.apply([&x[0]]), &[Tensor::new(&[0.5, 2.0], &Device::Cpu)?])?;
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "save_for_backward")]
pub struct SaveContext {
    wanted: u32,
    pub(super) inputs: u32,
    pub(super) output: bool,
    pub(super) extra: SmallVec<[Array; 1]>,
}

/// The mark of input `i`; an operation has at most 32.
fn bit(i: usize) -> u32 {
    1_u32.checked_shl(i as u32).unwrap_or(0)
}

impl SaveContext {
    pub(super) fn new(wanted: u32) -> Self {
        SaveContext { wanted, inputs: 0, output: false, extra: SmallVec::new() }
    }

    pub(super) fn into_saved(self, inputs: &[&Tensor], output: &Array) -> SavedArrays {
        let kept = |(i, input): (usize, &&Tensor)| (self.inputs & bit(i) != 0).then(|| input.array().clone());
        SavedArrays {
            inputs: inputs.iter().enumerate().map(kept).collect(),
            output: self.output.then(|| output.clone()),
            extra: self.extra,
        }
    }

    /// Whether anything is kept at all: false under [`no_grad`](super::no_grad) and where no input needs a gradient.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         Ok((x.zeros_like()? + if keep.recording() { 1.0 } else { 0.0 })?)
    ///     }
    #[doc = own!(backward 1)]
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// assert_eq!(Own.apply([&x])?.to_scalar::<f64>()?, 1.0);
    /// assert_eq!(no_grad(|| Own.apply([&x]))?.to_scalar::<f64>()?, 0.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn recording(&self) -> bool {
        self.wanted != 0
    }

    /// Whether input `i` will need a gradient: what only the gradients of others read need not be kept.
    ///
    /// ```
    #[doc = own!(begin 2)]
    ///     fn forward(&self, [a, _]: [&Array; 2], keep: &mut Keep) -> Result<Array> {
    ///         Ok(Array::new(&[keep.wants(0) as u8, keep.wants(1) as u8], a.device())?)
    ///     }
    #[doc = own!(backward 2)]
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// assert_eq!(Own.apply([&x, &x.detach()])?.to_vec1::<u8>()?, [1, 0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn needs_input_grad(&self, i: usize) -> bool {
        self.wanted & bit(i) != 0
    }

    /// Keeps input `i`; one that the operation does not have is no input to keep.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         keep.input(0);
    ///         Ok(x.sqr()?)
    ///     }
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some((grad * (saved.input(0)? * 2.0)?)?)])
    ///     }
    /// }
    /// autograd::gradcheck(|x| Own.apply([&x[0]]), &[Tensor::new(&[0.5, 2.0], &Device::Cpu)?])?;
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn save_input(&mut self, i: usize) {
        self.inputs |= bit(i);
    }

    /// Keeps the output.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         keep.output();
    ///         Ok(x.sqrt()?)
    ///     }
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some((grad / (saved.output()? * 2.0)?)?)]) // 1/(2√x)
    ///     }
    /// }
    /// autograd::gradcheck(|x| Own.apply([&x[0]]), &[Tensor::new(&[0.5, 2.0], &Device::Cpu)?])?;
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn save_output(&mut self) {
        self.output = true;
    }

    /// Keeps something else: a mask, indices, a statistic. It comes back from [`Saved::extra`] in the order given, as
    /// a constant.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         keep.extra(x.gt(1.0)?.to_dtype(x.dtype())?); // where x > 1
    ///         Ok((x * x.gt(1.0)?.to_dtype(x.dtype())?)?)
    ///     }
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some((grad * Tensor::from(saved.extra(0)?.clone()))?)])
    ///     }
    /// }
    /// autograd::gradcheck(|x| Own.apply([&x[0]]), &[Tensor::new(&[0.5, 2.0], &Device::Cpu)?])?;
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn save(&mut self, array: Array) {
        if self.recording() {
            self.extra.push(array);
        }
    }
}

/// What [`Op::backward`](super::Op::backward) has to work with.
///
/// ```
#[doc = own!(begin 2)]
///     fn forward(&self, [a, b]: [&Array; 2], keep: &mut Keep) -> Result<Array> {
///         keep.input(0);
///         keep.input(1);
///         Ok((a * b)?)
///     }
///     fn backward(&self, saved: &Saved<2>, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
///         Ok([Some((grad * saved.input(1)?)?), Some((grad * saved.input(0)?)?)])
///     }
/// }
/// let x = [Tensor::new(&[0.5, 2.0], &Device::Cpu)?, Tensor::new(&[3.0, -1.0], &Device::Cpu)?];
/// autograd::gradcheck(|x| Own.apply([&x[0], &x[1]]), &x)?;
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "saved_tensors")]
pub struct Saved<'a, const N: usize> {
    pub(crate) call: &'a Call<'a>,
}

impl<const N: usize> Saved<'_, N> {
    /// Input `i`, with its history, so that what is computed from it can be differentiated again.
    ///
    /// # Errors
    /// If `forward` did not keep it.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         keep.input(0);
    ///         Ok(x.sin()?)
    ///     }
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some((grad * saved.input(0)?.cos()?)?)])
    ///     }
    /// }
    /// autograd::gradcheck(|x| Own.apply([&x[0]]), &[Tensor::new(&[0.5, 2.0], &Device::Cpu)?])?;
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn input(&self, i: usize) -> Result<Tensor> {
        self.call.input_with_history(i)
    }

    /// The output, with its history.
    ///
    /// # Errors
    /// If `forward` did not keep it.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         Ok(x.exp()?) // without `ctx.save_output()`
    ///     }
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some((grad * saved.output()?)?)])
    ///     }
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// let error = Own.apply([&x])?.backward().unwrap_err();
    /// assert_eq!(error.to_string(), "own: the backward rule asks for the output, which forward did not keep");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn output(&self) -> Result<Tensor> {
        self.call.output_with_history()
    }

    /// The `i`-th of the other arrays that `forward` kept.
    ///
    /// # Errors
    /// If there is none.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         keep.extra(Array::new(7.0, x.device())?);
    ///         Ok(x.clone())
    ///     }
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some((grad * Tensor::from(saved.extra(0)?.clone()))?)])
    ///     }
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// let gradients = Own.apply([&x])?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_scalar::<f64>()?, 7.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn array(&self, i: usize) -> Result<&Array> {
        self.call.extra(i)
    }

    /// The shape of input `i`, whether it was kept or not.
    ///
    /// # Errors
    /// If input `i` is a constant, whose gradient nobody wants.
    ///
    /// ```
    #[doc = own!(begin 1)]
    ///     fn forward(&self, [x]: [&Array; 1], keep: &mut Keep) -> Result<Array> {
    ///         Ok(x.sum_all()?)
    ///     }
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some(grad.broadcast_to(saved.input_dims(0)?)?)])
    ///     }
    /// }
    /// autograd::gradcheck(|x| Own.apply([&x[0]]), &[Tensor::new(&[0.5, 2.0], &Device::Cpu)?])?;
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn input_dims(&self, i: usize) -> Result<&[usize]> {
        self.call.known_dims(i)
    }

    /// Whether anybody waits for the gradient of input `i`; if not, answer `None` and save the work.
    ///
    /// ```
    #[doc = own!(begin 2)]
    ///     fn forward(&self, [a, b]: [&Array; 2], _: &mut Keep) -> Result<Array> { Ok((a + b)?) }
    ///     fn backward(&self, saved: &Saved<2>, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
    ///         Ok([0, 1].map(|i| saved.wants(i).then(|| grad.clone())))
    ///     }
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// let gradients = Own.apply([&x, &x.detach()])?.backward()?;
    /// assert_eq!((gradients.len(), gradients.get(&x).unwrap().to_scalar::<f64>()?), (1, 1.0));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn needs_input_grad(&self, i: usize) -> bool {
        self.call.wants(i)
    }

    /// Whether this backward pass is itself recorded. In an ordinary one a fused kernel may do the work.
    ///
    /// ```
    #[doc = own!(begin 1)]
    #[doc = own!(forward)]
    ///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
    ///         Ok([Some((grad * if saved.recording() { 1.0 } else { 0.0 })?)])
    ///     }
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// let [recorded] = autograd::grad(&Own.apply([&x])?, [&x])?;
    /// assert_eq!(recorded.to_scalar::<f64>()?, 1.0);
    /// assert_eq!(Own.apply([&x])?.backward()?.get(&x).unwrap().to_scalar::<f64>()?, 0.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn recording(&self) -> bool {
        self.call.recording()
    }
}
