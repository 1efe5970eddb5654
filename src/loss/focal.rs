//! [`SigmoidFocal`] and [`Focal`], losses for rare classes.

use super::bce_with_logits::softplus;
use super::classes::Classes;
use super::{ElementwiseLoss, PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Formula, Real};
use crate::ops;

/// The focal loss of logits z and targets t from 0 to 1, which gives easy examples little weight: the mean of
/// αₜ·(1 − pₜ)^γ·[`BceWithLogits`](super::BceWithLogits), with pₜ = p·t + (1 − p)(1 − t), αₜ = α·t + (1 − α)(1 − t) and p = sigmoid(z).
///
/// The defaults are torchvision's; it divides by the number of elements, where the paper divides by that of positive targets.
/// Errors if a target is outside of 0 to 1.
///
/// # Source
/// T.-Y. Lin et al. 2017.
///
/// ```
/// use tealight::loss::SigmoidFocal;
/// use tealight::prelude::*;
/// let (z, t) = (Tensor::new(&[0.0, 9.0], &Device::Cpu)?, Tensor::new(&[1.0, 1.0], &Device::Cpu)?);
/// let losses = SigmoidFocal::new().elementwise(&z, &t)?.to_vec1::<f64>()?;
/// assert!((losses[0] - 0.25 * 0.5 * 0.5 * 2.0_f64.ln()).abs() < 1e-15);
/// assert!(losses[1] < 1e-11);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "sigmoid_focal_loss")]
pub struct SigmoidFocal {
    alpha: Option<f64>,
    gamma: f64,
}

impl Default for SigmoidFocal {
    fn default() -> Self {
        SigmoidFocal { alpha: Some(0.25), gamma: 2.0 }
    }
}

impl SigmoidFocal {
    /// With α = 0.25 and γ = 2.
    pub fn new() -> Self {
        SigmoidFocal::default()
    }

    /// α, the weight of positive targets; negative ones have 1 − α. `None`: both have 1. Default: 0.25. Errors if `alpha` is
    /// outside of 0 to 1.
    pub fn alpha(self, alpha: impl Into<Option<f64>>) -> Result<Self> {
        let alpha = alpha.into();
        match alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            Some(alpha) => Err(Error::argument("sigmoid_focal", "an alpha from 0 to 1", alpha)),
            None => Ok(SigmoidFocal { alpha, ..self }),
        }
    }

    /// γ: the larger, the less easy examples count. Default: 2. Errors if `gamma` is negative, infinite or NaN.
    pub fn gamma(self, gamma: f64) -> Result<Self> {
        Ok(SigmoidFocal { gamma: check_gamma("sigmoid_focal", gamma)?, ..self })
    }

    /// αₜ and its derivative by t.
    fn weight<R: Real>(&self, t: R) -> (R, R) {
        let (at_0, slope) = self.alpha.map_or((1.0, 0.0), |alpha| (1.0 - alpha, 2.0 * alpha - 1.0));
        (R::constant(at_0) + R::constant(slope) * t, R::constant(slope))
    }
}

fn check_gamma(op: &'static str, gamma: f64) -> Result<f64> {
    let valid = (0.0..f64::INFINITY).contains(&gamma);
    if valid { Ok(gamma) } else { Err(Error::argument(op, "a gamma >= 0", gamma)) }
}

/// 1 − pₜ
fn error<R: Real>(z: R, t: R) -> R {
    z.sigmoid() * (R::constant(1.0) - t) + (-z).sigmoid() * t
}

fn entropy<R: Real>(z: R, t: R) -> R {
    softplus(t, -z) + softplus(R::constant(1.0) - t, z)
}

impl PointwiseLoss for SigmoidFocal {
    const NAME: &'static str = "sigmoid_focal";

    fn value<R: Real>(&self, z: R, t: R) -> R {
        let (weight, _) = self.weight(t);
        weight * error(z, t).powf(R::constant(self.gamma)) * entropy(z, t)
    }

    fn derivative<R: Real>(&self, z: R, t: R) -> [R; 2] {
        let (zero, one, two) = (R::constant(0.0), R::constant(1.0), R::constant(2.0));
        let (p, q, (weight, slope)) = (z.sigmoid(), error(z, t), self.weight(t));
        let entropy = entropy(z, t);
        let (power, divisor) = (q.powf(R::constant(self.gamma)), q.select_gt(zero, q, one));
        // The slope of q^γ times x, over q^γ: 0 where q is 0.
        let through = |x: R| q.select_gt(zero, R::constant(self.gamma) * x / divisor, zero);
        // From 1e4 on, where the entropy may be infinite, the slope of the sigmoid is 0.
        let bounded = entropy.minimum(R::constant(1e4));
        let by_z = p - t + through(bounded * (p * (-z).sigmoid() * (one - two * t)));
        let by_t = through(entropy * (one - two * p)) - z;
        [weight * power * by_z, weight * power * by_t + slope * power * entropy]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        check::in_range("sigmoid_focal", "targets", target, 0.0, 1.0)
    }
}

/// The focal loss of classes: the mean over rows of −(1 − p)^γ·ln p, with p = softmax(x)\[class\].
///
/// Takes what [`CrossEntropy`](super::CrossEntropy) takes, of which it is a weighted form: with γ = 0 it is the same. The
/// prediction is (n, c), (n, c, d1, ..) or (c), the target integer classes, (n), (n, d1, ..) or ().
///
/// ```
/// use tealight::loss::Focal;
/// use tealight::prelude::*;
/// let (x, classes) = (Tensor::zeros((1, 4), DType::F64, &Device::Cpu)?, Tensor::new(&[2u32], &Device::Cpu)?);
/// assert!((Focal::new().loss(&x, &classes)?.to_scalar::<f64>()? - 0.75 * 0.75 * 4.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Source
/// T.-Y. Lin et al. 2017.
#[derive(Clone, Debug)]
pub struct Focal {
    classes: Classes,
    gamma: f64,
}

impl Default for Focal {
    fn default() -> Self {
        Focal { classes: Classes::default(), gamma: 2.0 }
    }
}

impl Focal {
    /// With γ = 2, without class weights or an ignored class.
    pub fn new() -> Self {
        Focal::default()
    }

    /// γ: the larger, the less easy rows count. Default: 2. Errors if `gamma` is negative, infinite or NaN.
    pub fn gamma(self, gamma: f64) -> Result<Self> {
        Ok(Focal { gamma: check_gamma("focal", gamma)?, ..self })
    }

    /// Multiplies the loss of each row by the weight of its class, from a float vector (c). The mean divides by the sum of the
    /// weights of the targets. Errors if a weight is negative or NaN.
    pub fn class_weights(mut self, weights: &Tensor) -> Result<Self> {
        self.classes.set_weights("focal", weights)?;
        Ok(self)
    }

    /// Leaves out rows of this class, as [`CrossEntropy::ignore_index`](super::CrossEntropy::ignore_index).
    pub fn ignore_index(mut self, class: i64) -> Self {
        self.classes.ignored = Some(class);
        self
    }
}

impl ElementwiseLoss for Focal {
    fn elementwise(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        let mut rows = self.classes.rows("focal", prediction, target)?;
        rows.scores = rows.scores.log_softmax(1)?;
        let losses = ops::apply(OfLogProbability { gamma: self.gamma }, [&rows.own_scores()?])?;
        self.classes.finish(losses, rows)
    }

    fn total_weight(&self, prediction: &Tensor, target: &Tensor) -> Result<Option<f64>> {
        self.classes.total_weight("focal", prediction, target)
    }
}

/// −(1 − exp(x))^γ·x for x ≤ 0.
#[derive(Clone, Copy, Debug)]
struct OfLogProbability {
    gamma: f64,
}

impl Formula<1> for OfLogProbability {
    const NAME: &'static str = "focal";

    fn value<R: Real>(&self, [x]: [R; 1]) -> R {
        -x * (-x.exp_m1()).powf(R::constant(self.gamma))
    }

    fn derivative<R: Real>(&self, [x]: [R; 1], _: R) -> [R; 1] {
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        // From −1e4 on, where x may be infinite, exp(x) is 0.
        let (q, x) = (-x.exp_m1(), x.maximum(R::constant(-1e4)));
        let ratio = q.select_gt(zero, x / q.select_gt(zero, q, one), -one);
        [q.powf(R::constant(self.gamma)) * (R::constant(self.gamma) * x.exp() * ratio - one)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Focal, SigmoidFocal};
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [tensor(&[0.3, -4.0, 9.0, 0.0]), tensor(&[0.9, 0.2, 0.3, 0.7])];
        let loss = SigmoidFocal::new();
        for loss in [loss, loss.alpha(None)?.gamma(0.0)?, loss.gamma(0.5)?, loss.alpha(0.9)?.gamma(3.0)?] {
            autograd::gradcheck(|x| loss.loss(&x[0], &x[1])?.sqr(), &inputs)?;
        }
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 3, 2), DType::F64, &mut Rng::seed(1))?;
        let classes = Tensor::new(&[[0i64, -1], [2, 1]], &Device::Cpu)?;
        let loss = Focal::new().class_weights(&tensor(&[1.0, 2.0, 0.5]))?.ignore_index(-1);
        for gamma in [0.0, 0.5, 2.0] {
            let loss = loss.clone().gamma(gamma)?;
            autograd::gradcheck(|x| loss.loss(&x[0], &classes)?.sqr(), std::slice::from_ref(&x))?;
        }
        Ok(())
    }

    #[test]
    fn certainty_has_no_loss_and_no_slope() -> Result<()> {
        for gamma in [0.0, 0.5, 1.0, 2.0] {
            let z = Tensor::parameter(tensor(&[1e3, -1e3, 1e3, -1e3]));
            let losses = SigmoidFocal::new().gamma(gamma)?.elementwise(&z, &tensor(&[1.0, 0.0, 0.0, 1.0]))?;
            assert_eq!(losses.to_vec1::<f64>()?, [0.0, 0.0, 750.0, 250.0]);
            let [slopes] = autograd::grad(&losses.sum_all()?, [&z])?;
            assert_eq!(slopes.to_vec1::<f64>()?, [0.0, 0.0, 0.75, -0.25]);
            let x = Tensor::parameter(Tensor::new(&[[1e3, 0.0], [0.0, 1e3]], &Device::Cpu)?);
            let losses =
                Focal::new().gamma(gamma)?.elementwise(&x, &Tensor::new(&[0u32, 0], &Device::Cpu)?)?;
            assert_eq!(losses.to_vec1::<f64>()?, [0.0, 1e3]);
            let [slopes] = autograd::grad(&losses.sum_all()?, [&x])?;
            assert_eq!(slopes.to_vec2::<f64>()?, [[0.0, 0.0], [-1.0, 1.0]]);
        }
        assert!(SigmoidFocal::new().alpha(1.5).is_err() && Focal::new().gamma(-1.0).is_err());
        Ok(())
    }
}
