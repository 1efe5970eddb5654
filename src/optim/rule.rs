//! [`UpdateRule`]: an optimizer's settings and its formula.

use std::fmt::Debug;

use crate::formula::Real;

/// What a formula may ask about the step that is taken.
///
/// ```
/// use tealight::optim::{StepInfo, UpdateRule, SgdRule};
/// let rule = SgdRule::default();
/// let update = rule.formula::<f64>(StepInfo { rate: 0.25, step: 1, carried: 1.0 });
/// assert_eq!(update(1.0, 2.0, [0.0]), (0.5, [2.0]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StepInfo {
    /// The learning rate of the parameter.
    pub rate: f64,
    /// Which step of the parameter it is: 1, 2, …
    pub step: u64,
    /// What [`UpdateRule::carry`] gave for this step.
    pub carried: f64,
}

/// A formula for one number: (value, gradient, memory) to (new value, new memory).
///
/// ```
/// use tealight::optim::Update;
/// fn step(update: impl Update<f64, 1>) -> (f64, [f64; 1]) {
///     update(1.0, 0.25, [3.0])
/// }
/// assert_eq!(step(|p: f64, g: f64, [count]: [f64; 1]| (p - g, [count + 1.0])), (0.75, [4.0]));
/// ```
pub trait Update<T, const N: usize>: Fn(T, T, [T; N]) -> (T, [T; N]) + Send + Sync {}

impl<T, const N: usize, F: Fn(T, T, [T; N]) -> (T, [T; N]) + Send + Sync> Update<T, N> for F {}

/// The closure itself: Rust takes `#[inline(always)]` before an argument, and not before a result.
///
/// ```
/// use tealight::optim::each;
/// let descend = each(#[inline(always)] |p: f64, g: f64, [count]: [f64; 1]| (p - g, [count + 1.0]));
/// assert_eq!(descend(1.0, 0.25, [3.0]), (0.75, [4.0]));
/// ```
pub fn each<T, const N: usize, F: Update<T, N>>(formula: F) -> F {
    formula
}

/// The settings of an optimizer and its formula, which remembers N numbers for each number of a parameter.
///
/// [`FirstOrder`](super::Descent) makes an optimizer of it:
///
/// ```
/// use tealight::optim::{FirstOrder, StepInfo, UpdateRule, Update, each};
/// use tealight::prelude::*;
///
/// /// A step of one length in the direction of an averaged gradient.
/// #[derive(Clone, Debug, Default)]
/// struct Signs;
///
/// impl UpdateRule<1> for Signs {
///     const NAME: &'static str = "Signs";
///     fn memory(&self) -> [Option<&'static str>; 1] { [Some("average")] }
///     fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 1> {
///         let (rate, keep) = (T::constant(at.rate), T::constant(0.5));
///         each(#[inline(always)] move |p: T, g: T, [m]: [T; 1]| {
///             let m = m * keep + g * keep;
///             (p - rate * m.signum(), [m])
///         })
///     }
/// }
///
/// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
/// let before = model.weight.get().to_scalar::<f32>()?;
/// let mut optimizer = FirstOrder::with_rule(Signs, model.parameters(), 0.25)?;
/// let y = model.forward(&Tensor::new(&[[3.0_f32]], &Device::Cpu)?, &mut ForwardContext::eval())?;
/// optimizer.step(&y.sum_all()?.backward()?)?;
/// assert_eq!(model.weight.get().to_scalar::<f32>()?, before - 0.25);
/// assert_eq!(optimizer.state()?["weight.average"].to_scalar::<f32>()?, 1.5);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait UpdateRule<const N: usize>: Clone + Debug + Send + Sync {
    /// The optimizer's name, for errors.
    const NAME: &'static str;

    /// The name under which the carried number is saved, if the rule has one.
    const CARRIED: Option<&'static str> = None;

    /// The names of the N numbers; `None` for one that these settings do not use, which then reads as 0.
    ///
    /// ```
    /// use tealight::optim::{RmsPropRule, UpdateRule};
    /// assert_eq!(RmsPropRule::default().memory(), [Some("square_avg"), None, None]);
    /// ```
    fn memory(&self) -> [Option<&'static str>; N];

    /// What the memory holds before the first step: 0 if nothing is said.
    ///
    /// ```
    /// use tealight::optim::{AdagradRule, UpdateRule};
    /// assert_eq!(AdagradRule::default().start(), 0.0);
    /// ```
    fn start(&self) -> f64 {
        0.0
    }

    /// A number that a parameter carries from step to step (from 1 on), such as a product of what changes with the step.
    ///
    /// ```
    /// use tealight::optim::{NAdamRule, UpdateRule};
    /// // Nearly half of β₁ = 0.9 in the first step.
    /// assert!((NAdamRule::default().carry(1, 1.0) - 0.45).abs() < 1e-3);
    /// ```
    fn carry(&self, step: u64, carried: f64) -> f64 {
        let _ = step;
        carried
    }

    /// The formula for one step.
    ///
    /// ```
    /// use tealight::optim::{LionRule, StepInfo, UpdateRule};
    /// let rule = LionRule::default();
    /// let update = rule.formula::<f64>(StepInfo { rate: 0.25, step: 1, carried: 1.0 });
    /// let (value, _) = update(1.0, -30.0, [0.0]);
    /// assert_eq!(value, 1.25); // against the gradient, by the rate
    /// ```
    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, N>;
}

/// 1 − βⁿ
pub(super) fn correction(beta: f64, n: u64) -> f64 {
    1.0 - Real::powf(beta, n as f64)
}
