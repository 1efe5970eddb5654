//! [`gradcheck`]: gradients against finite differences.

use super::array::{self, place};
use super::backward::op_names;
use super::grad::vjps;
use super::series::series;
use super::{Array, Tensor};
use crate::error::{Error, Mismatch, Result};

/// Step widths, relative to max(1, |x|). The one that suits the function best decides: a wrong derivative fits none.
const STEPS: [f64; 5] = [1e-3, 1e-2, 1e-4, 3e-3, 1e-5];

/// The result of [`gradcheck`]: the largest differences from finite differences, relative to the derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct GradCheckReport {
    /// Of the gradient.
    pub first: f64,
    /// Of the gradient of the gradient; `None` if it was not checked.
    pub second: Option<f64>,
}

/// Checks the gradient of `f` at `inputs`, and the gradient of the gradient, against five-point finite differences.
///
/// The inputs are f64; the result of `f` may have any shape. Checked are the ordinary and the recorded backward pass, and
/// that strided inputs give the same gradient, and that forward mode agrees with both derivatives, all to a relative 1e-9. The inputs should be away from kinks, where
/// finite differences have no meaning. [`GradCheck`] has options; [`layer::gradcheck`](crate::layer::gradcheck) checks a
/// layer with its parameters.
///
/// # Errors
/// [`Error::GradCheck`] if a derivative is wrong; also if an input is not f64, or the result depends on no input.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::new(&[-1.0, 0.5, 2.0], &Device::Cpu)?;
/// let report = autograd::gradcheck(|x| x[0].sigmoid(), &[x])?;
/// assert!(report.first < 1e-9 && report.second.unwrap() < 1e-9);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn gradcheck(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<GradCheckReport> {
    GradCheck::new().run(f, inputs)
}

/// [`gradcheck`] with options.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
/// // At values between 0.1 and 5, where ln is defined.
/// autograd::GradCheck::new().domain(0.1, 5.0).run(|x| x[0].ln(), &[x])?;
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GradCheck {
    order: usize,
    tolerance: f64,
    domain: Option<(f64, f64)>,
}

impl Default for GradCheck {
    fn default() -> Self {
        GradCheck { order: 2, tolerance: 1e-9, domain: None }
    }
}

impl GradCheck {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// 1 checks the gradient only, 2 also the gradient of the gradient. Default: 2.
    #[must_use]
    pub fn order(mut self, order: usize) -> Self {
        self.order = order;
        self
    }

    /// The largest difference that passes, relative to the derivative. Default: 1e-9.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Checks at values spread between `low` and `high`; only the shapes of the inputs are used. Default: at the inputs.
    #[must_use]
    pub fn domain(mut self, low: f64, high: f64) -> Self {
        self.domain = Some((low, high));
        self
    }

    /// Runs [`gradcheck`].
    ///
    /// # Errors
    /// As [`gradcheck`], and if an option is invalid.
    pub fn run(&self, f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<GradCheckReport> {
        if !matches!(self.order, 1 | 2) {
            return Err(Error::argument("gradcheck", "order 1 or 2", self.order));
        }
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(Error::argument("gradcheck", "a tolerance of 0 or more", self.tolerance));
        }
        for input in inputs {
            if input.dtype() != candle_core::DType::F64 {
                return Err(Error::dtype("gradcheck", "inputs of dtype f64", &[input.dtype()]));
            }
        }
        match self.domain {
            None => self.at(&f, inputs),
            Some((low, high)) if low < high && (high - low).is_finite() => {
                let spread = |(i, x): (usize, &Tensor)| spread(x, i, low, high);
                self.at(&f, &inputs.iter().enumerate().map(spread).collect::<Result<Vec<_>>>()?)
            }
            Some((low, high)) => {
                Err(Error::argument("gradcheck", "a domain with low < high", format!("{low} to {high}")))
            }
        }
    }

    fn at(&self, f: &dyn Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<GradCheckReport> {
        let leaves = leaves(inputs);
        let y = f(&leaves)?;
        if !y.requires_grad() {
            return Err(Error::no_gradient("gradcheck", "the result depends on none of the inputs"));
        }
        let ops = op_names(&y).join(", ");
        let v = weights(&y, 1)?;
        let wrong = |order, pass, mut mismatch: Mismatch| {
            (mismatch.order, mismatch.pass, mismatch.ops) = (order, pass, ops.clone());
            Error::GradCheck(Box::new(mismatch))
        };

        let value = |x: &[Tensor]| super::no_grad(|| Ok(vec![f(x)?]));
        let weighted = [v.clone()];
        let plain = gradient(&y, &leaves, &v, false)?;
        let against = |given: &[Tensor]| self.compare(&value, inputs, &weighted, given);
        let first = against(&plain)?.map_err(|m| wrong(1, "backward", m))?;
        let recorded = gradient(&y, &leaves, &v, true)?;
        against(&recorded)?.map_err(|m| wrong(1, "grad", m))?;

        // The same values in another memory order must give the same gradient.
        let strided = self::leaves(&inputs.iter().map(strided).collect::<Result<Vec<_>>>()?);
        let there = gradient(&f(&strided)?, &strided, &v, false)?;
        self.same(inputs, &plain, &there)?.map_err(|m| wrong(1, "backward of strided inputs", m))?;
        if self.order == 1 {
            return Ok(GradCheckReport { first, second: None });
        }

        // The gradient is itself a function of the inputs, weighted with a direction.
        let slope = |x: &[Tensor]| {
            let leaves = self::leaves(x);
            gradient(&f(&leaves)?, &leaves, &v, false)
        };
        let directions =
            leaves.iter().enumerate().map(|(i, x)| weights(x, i + 2)).collect::<Result<Vec<_>>>()?;
        let mut exact = leaves.iter().map(|x| Ok(x.array().zeros_like()?)).collect::<Result<Vec<_>>>()?;
        for (part, direction) in recorded.iter().zip(&directions) {
            for (sum, term) in exact.iter_mut().zip(gradient(part, &leaves, direction, false)?) {
                *sum = (&*sum + term.array())?;
            }
        }
        let exact: Vec<Tensor> = exact.into_iter().map(Tensor::constant).collect();
        let second = self.compare(&slope, inputs, &directions, &exact)?;
        let second = second.map_err(|m| wrong(2, "grad of grad", m))?;
        self.forward_mode(&y, &leaves, &v, &directions, [&plain, &exact])?
            .map_err(|m| wrong(m.order, m.pass, m))?;
        Ok(GradCheckReport { first, second: Some(second) })
    }

    /// Whether the derivatives along `directions`, by forward mode, are those of the gradient and of the gradient of the gradient.
    fn forward_mode(
        &self,
        y: &Tensor,
        leaves: &[Tensor],
        v: &Tensor,
        directions: &[Tensor],
        slopes: [&[Tensor]; 2],
    ) -> Result<Result<(), Mismatch>> {
        // Σ a·b and Σ |a·b|
        let dot = |a: &[Tensor], b: &[Tensor]| -> Result<[f64; 2]> {
            let flat =
                |x: &[Tensor]| Ok::<_, Error>(x.iter().map(numbers).collect::<Result<Vec<_>>>()?.concat());
            let terms: Vec<f64> = flat(a)?.iter().zip(flat(b)?).map(|(a, b)| a * b).collect();
            Ok([terms.iter().sum(), terms.iter().map(|x| x.abs()).sum()])
        };
        let plain = super::no_grad(|| series(y, leaves, directions, 2))?;
        let recorded = series(y, leaves, directions, 2)?;
        for (pass, tangents) in [("jvp", plain), ("recorded jvp", recorded)] {
            for (i, tangent) in tangents.into_iter().enumerate() {
                let [given, size] = dot(&[tangent], std::slice::from_ref(v))?;
                let [expected, scale] = dot(slopes[i], directions)?;
                if (given - expected).abs() > self.tolerance.max(1e-13) * size.max(scale).max(1e-9) {
                    let mut mismatch = mismatch(leaves, 0, 0, f64::NAN, given, expected);
                    (mismatch.order, mismatch.pass) = (i + 1, pass);
                    return Ok(Err(mismatch));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Whether two gradients are equal up to rounding.
    fn same(&self, inputs: &[Tensor], given: &[Tensor], there: &[Tensor]) -> Result<Result<(), Mismatch>> {
        for (input, (given, there)) in given.iter().zip(there).enumerate() {
            let (at, given, there) = (numbers(&inputs[input])?, numbers(given)?, numbers(there)?);
            let scale = given.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            let differ = |i: &usize| (given[*i] - there[*i]).abs() > self.tolerance * scale;
            if let Some(i) = (0..given.len()).find(differ) {
                return Ok(Err(mismatch(inputs, input, i, at[i], there[i], given[i])));
            }
        }
        Ok(Ok(()))
    }

    /// The worst relative difference between `given` and the differences of Σ weights · f, or the first that is too large.
    fn compare(
        &self,
        f: Function,
        inputs: &[Tensor],
        weights: &[Tensor],
        given: &[Tensor],
    ) -> Result<Result<f64, Mismatch>> {
        let weights = weights.iter().map(numbers).collect::<Result<Vec<_>>>()?.concat();
        let mut worst: f64 = 0.0;
        for (input, given) in given.iter().enumerate() {
            let (x, given) = (numbers(&inputs[input])?, numbers(given)?);
            // A derivative of zero has no relative error: the largest other derivative gives the scale.
            let least = 1e-2 * given.iter().fold(1e-9, |most: f64, x| most.max(x.abs()));
            for (i, &given) in given.iter().enumerate() {
                let at = |value: f64| -> Result<Vec<f64>> {
                    let mut moved = x.clone();
                    moved[i] = value;
                    let like = &inputs[input];
                    let mut all = inputs.to_vec();
                    all[input] = Tensor::constant(Array::from_vec(moved, like.dims(), like.device())?);
                    Ok(f(&all)?.iter().map(numbers).collect::<Result<Vec<_>>>()?.concat())
                };
                let (difference, numeric) = self.closest(&at, x[i], given, least, &weights)?;
                if let Some(numeric) = numeric {
                    return Ok(Err(mismatch(inputs, input, i, x[i], given, numeric)));
                }
                worst = worst.max(difference);
            }
        }
        Ok(Ok(worst))
    }

    /// The smallest relative difference over all step widths, and the numeric derivative if even that is too large.
    fn closest(
        &self,
        at: &dyn Fn(f64) -> Result<Vec<f64>>,
        x: f64,
        given: f64,
        least: f64,
        weights: &[f64],
    ) -> Result<(f64, Option<f64>)> {
        let mut best = (f64::INFINITY, f64::NAN);
        for step in STEPS {
            let h = step * x.abs().max(1.0);
            let (a, b, c, d) = (at(x - 2.0 * h)?, at(x - h)?, at(x + h)?, at(x + 2.0 * h)?);
            for y in [&a, &b, &c, &d] {
                if y.len() != weights.len() {
                    let expected = format!("a function whose result keeps its {} elements", weights.len());
                    return Err(Error::argument(
                        "gradcheck",
                        expected,
                        format!("{} elements at another x", y.len()),
                    ));
                }
            }
            let (mut sum, mut scale) = (0.0, 0.0_f64);
            for (i, weight) in weights.iter().enumerate() {
                // Subtracting before summing loses the fewest digits.
                sum += weight * (8.0 * (c[i] - b[i]) - (d[i] - a[i])) / (12.0 * h);
                if c[i] != b[i] {
                    scale = scale.max((weight * c[i]).abs());
                }
            }
            // The error of the differences by rounding in f.
            let rounding = 1e-15 * scale / h;
            let off = (sum - given).abs();
            let difference =
                if off <= rounding { 0.0 } else { (off - rounding) / sum.abs().max(given.abs()).max(least) };
            if difference < best.0 || best.1.is_nan() {
                best = (difference, sum);
            }
            if difference <= self.tolerance {
                return Ok((difference, None));
            }
        }
        Ok((best.0, Some(best.1)))
    }
}

/// A mismatch at element `i` of an input; the caller fills in the rest.
fn mismatch(inputs: &[Tensor], input: usize, i: usize, at: f64, given: f64, numeric: f64) -> Mismatch {
    let element = place(inputs[input].dims(), i).to_vec();
    Mismatch { ops: String::new(), order: 0, pass: "", input, element, at, given, numeric }
}

fn leaves(inputs: &[Tensor]) -> Vec<Tensor> {
    inputs.iter().map(|x| Tensor::parameter(x.array().clone())).collect()
}

/// Distinct values spread over the domain, in the shape of x.
fn spread(x: &Tensor, salt: usize, low: f64, high: f64) -> Result<Tensor> {
    let number =
        |i: usize| low + (high - low) * (0.5 + (i + 7 * salt) as f64 * 0.618_033_988_749_894_8).fract();
    let numbers: Vec<f64> = (0..x.elem_count()).map(number).collect();
    Ok(Tensor::constant(Array::from_vec(numbers, x.dims(), x.device())?))
}

/// The same values with the axes reversed in memory and a gap after each value.
fn strided(x: &Tensor) -> Result<Tensor> {
    let back: Vec<usize> = (0..x.rank()).rev().collect();
    let reversed = x.array().permute(&back[..])?.contiguous()?.unsqueeze(x.rank())?;
    let padded = reversed.pad_with_zeros(x.rank(), 0, 1)?;
    Ok(Tensor::constant(padded.narrow(x.rank(), 0, 1)?.squeeze(x.rank())?.permute(&back[..])?))
}

fn gradient(y: &Tensor, leaves: &[Tensor], v: &Tensor, recording: bool) -> Result<Vec<Tensor>> {
    vjps(y, &leaves.iter().collect::<Vec<_>>(), v, recording)
}

/// Unrelated values of magnitude 0.5 to 1.5, of both signs.
fn weights(like: &Tensor, salt: usize) -> Result<Tensor> {
    let numbers: Vec<f64> = (0..like.elem_count())
        .map(|i| {
            let turn =
                ((i + 1) as f64 * 0.618_033_988_749_894_8 + salt as f64 * 0.754_877_666_246_692_7).fract();
            if i % 3 == 2 { -(0.5 + turn) } else { 0.5 + turn }
        })
        .collect();
    Ok(Tensor::constant(Array::from_vec(numbers, like.dims(), like.device())?))
}

fn numbers(x: &Tensor) -> Result<Vec<f64>> {
    array::numbers(x.array())
}

type Function<'a> = &'a dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>;
