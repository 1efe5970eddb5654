//! The solution of an ordinary differential equation.

use std::sync::Arc;

use super::{Held, positive, same_kind, variable};
use crate::autograd::array::numbers;
use crate::autograd::{Array, SaveContext, Saved, Tensor, VariadicOp, no_grad, partial_vjp, with_grad};
use crate::error::{Error, Result};

/// The right side of y′ = f(t, y).
type Field = Arc<dyn Fn(f64, &Tensor) -> Result<Tensor> + Send + Sync>;

/// y at each of `times`, where y′ = f(t, y) and y is `start` at the first time: [`Odeint`] with its defaults.
///
/// # Errors
/// Errors if a step cannot be made as exact as asked.
///
/// ```
/// # use tealight::prelude::*;
/// use tealight::implicit::odeint;
/// let rate = Tensor::parameter(Tensor::new(-2.0, &Device::Cpu)?);
/// let held = rate.clone();
/// let y = odeint(move |_, y| y * &held, &Tensor::new(3.0, &Device::Cpu)?, &[0.0, 1.0], &[rate.clone()])?;
/// let end = y.i(1)?; // 3·eʳ, with the slope 3·eʳ in r
/// let slope = end.backward()?.get(&rate).unwrap().to_scalar::<f64>()?;
/// let exact = 3.0 * f64::exp(-2.0);
/// assert!((end.to_scalar::<f64>()? - exact).abs() < 1e-6 && (slope - exact).abs() < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn odeint(
    f: impl Fn(f64, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
    start: &Tensor,
    times: &[f64],
    parameters: &[Tensor],
) -> Result<Tensor> {
    Odeint::new().solve(f, start, times, parameters)
}

/// A solver of y′ = f(t, y): Dormand and Prince's method of order 5 with the error estimate of order 4, and steps of variable length.
///
/// The gradient comes from the adjoint equation, a′ = −aᵀ·∂f/∂y, which is integrated backwards from time to time together with y: memory does not
/// grow with the steps. It is as exact as the tolerances.
///
/// Dormand & Prince, "A family of embedded Runge-Kutta formulae", 1980; Chen et al., "Neural ordinary differential equations", 2018.
#[derive(Clone, Copy, Debug)]
pub struct Odeint {
    rtol: f64,
    atol: f64,
    max_steps: usize,
}

impl Default for Odeint {
    fn default() -> Self {
        Odeint { rtol: 1e-7, atol: 1e-9, max_steps: 10_000 }
    }
}

impl Odeint {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The error of a step, relative to y. Default: `1e-7`; take about `1e-5` for f32.
    ///
    /// # Errors
    /// Errors unless it is above 0.
    pub fn rtol(mut self, rtol: f64) -> Result<Self> {
        self.rtol = positive("odeint", "an rtol", rtol)?;
        Ok(self)
    }

    /// The error of a step where y is 0. Default: `1e-9`.
    ///
    /// # Errors
    /// Errors unless it is above 0.
    pub fn atol(mut self, atol: f64) -> Result<Self> {
        self.atol = positive("odeint", "an atol", atol)?;
        Ok(self)
    }

    /// The most steps between two times. Default: `10000`.
    #[must_use]
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.max_steps = steps;
        self
    }

    /// y at each of `times`, which rise or fall: (times, ..) for `start` (..), its first row.
    ///
    /// f is a function of time and y, which reads `parameters`.
    ///
    /// # Errors
    /// Errors if a step cannot be made as exact as asked, or f changes the shape or the dtype.
    pub fn solve(
        self,
        f: impl Fn(f64, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
        start: &Tensor,
        times: &[f64],
        parameters: &[Tensor],
    ) -> Result<Tensor> {
        let rises = |a: &f64, b: &f64| a < b;
        if times.is_empty()
            || !(times.is_sorted_by(rises) || times.iter().rev().is_sorted_by(|a, b| rises(a, b)))
        {
            return Err(Error::argument("odeint", "times that rise or fall", format!("{times:?}")));
        }
        let f: Field = Arc::new(f);
        let mut rows = vec![start.clone()];
        for pair in times.windows(2) {
            let last = rows.last().expect("the first row is there");
            rows.push(self.interval(&f, last, [pair[0], pair[1]], parameters)?);
        }
        Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0)
    }

    fn interval(&self, f: &Field, y: &Tensor, times: [f64; 2], parameters: &[Tensor]) -> Result<Tensor> {
        let op = Interval { solver: *self, f: Held(f.clone()), times, parameters: parameters.to_vec() };
        let inputs: Vec<&Tensor> = [y].into_iter().chain(parameters).collect();
        op.apply(&inputs)
    }

    fn integrate(&self, f: &Field, start: &Tensor, [from, to]: [f64; 2]) -> Result<Tensor> {
        let (mut t, mut y) = (from, start.clone());
        let mut slope = f(t, &y)?;
        same_kind("odeint", "a function that keeps the shape", &y, &slope)?;
        // A first step that moves y by a hundredth.
        let speed = self.size(&slope, &y, &y)?;
        let guess = if speed > 0.0 { 0.01 * self.size(&y, &y, &y)?.max(1e-3) / speed } else { f64::INFINITY };
        let mut h = guess.min((to - from).abs()).copysign(to - from);
        for _ in 0..self.max_steps {
            if (to - t - h) * h <= 0.0 {
                h = to - t;
            }
            let mut slopes = vec![slope.clone()];
            for (row, node) in STAGES.iter().zip(NODES) {
                slopes.push(f(t + node * h, &moved(&y, h, row, &slopes)?)?);
            }
            // The last stage is the result.
            let next = moved(&y, h, STAGES[5], &slopes)?;
            let off = moved(&y.zeros_like()?, h, &ERROR, &slopes)?;
            let error = self.size(&off, &y, &next)?;
            if error <= 1.0 {
                t = if h == to - t { to } else { t + h };
                (y, slope) = (next, slopes.pop().expect("seven slopes"));
                if t == to {
                    return Ok(y);
                }
            } else if t + h == t {
                break;
            }
            let factor = if error.is_finite() { (0.9 * error.powf(-0.2)).clamp(0.2, 5.0) } else { 0.2 };
            h *= factor;
        }
        let expected =
            format!("steps within rtol {:e} and atol {:e}, {} at most", self.rtol, self.atol, self.max_steps);
        Err(Error::argument("odeint", expected, format!("none from t = {t} of {from} to {to}")))
    }

    /// The root of the mean square of `x` in units of the tolerance.
    fn size(&self, x: &Tensor, y: &Tensor, next: &Tensor) -> Result<f64> {
        let [x, y, next] = [x, y, next].map(|x| numbers(x.array()));
        let (x, y, next) = (x?, y?, next?);
        let unit = |(a, b): (&f64, &f64)| self.atol + self.rtol * a.abs().max(b.abs());
        let squares = x.iter().zip(y.iter().zip(&next).map(unit)).map(|(x, unit)| (x / unit).powi(2));
        Ok((squares.sum::<f64>() / x.len().max(1) as f64).sqrt())
    }
}

/// y + h·Σ cᵢ·kᵢ
fn moved(y: &Tensor, h: f64, row: &[f64], slopes: &[Tensor]) -> Result<Tensor> {
    row.iter().zip(slopes).filter(|(c, _)| **c != 0.0).try_fold(y.clone(), |y, (c, k)| y + (k * (c * h))?)
}

const NODES: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];
const STAGES: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];
/// The result less that of order 4.
const ERROR: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0];

/// From y at the first time, and the parameters, to y at the second.
#[derive(Debug)]
struct Interval {
    solver: Odeint,
    f: Held<Field>,
    times: [f64; 2],
    parameters: Vec<Tensor>,
}

impl VariadicOp for Interval {
    fn name(&self) -> &'static str {
        "odeint"
    }

    fn forward(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_output();
        let start = Tensor::constant(inputs[0].clone());
        Ok(no_grad(|| self.solver.integrate(&self.f.0, &start, self.times))?.into_array())
    }

    /// The adjoint equation: y, a = the gradient by y, and the gradients by the parameters, in one vector.
    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let y = saved.output()?;
        let dims = y.dims().to_vec();
        let wanted: Vec<usize> =
            (0..self.parameters.len()).filter(|&i| saved.needs_input_grad(i + 1)).collect();
        let parameters: Vec<Tensor> = wanted.iter().map(|&i| self.parameters[i].clone()).collect();
        let mut pieces = vec![y.clone(), grad.clone()];
        for p in &parameters {
            pieces.push(p.detach().zeros_like()?);
        }
        let state = flat(&pieces)?;
        let (f, held, shape) = (self.f.0.clone(), parameters.clone(), dims.clone());
        let field = move |t: f64, state: &Tensor| {
            let (y, a) = (piece(state, 0, &shape)?, piece(state, 1, &shape)?);
            let y = variable(y);
            let speed = with_grad(|| f(t, &y))?;
            let targets: Vec<&Tensor> = [&y].into_iter().chain(&held).collect();
            let mut slopes = vec![speed.clone()];
            for slope in partial_vjp(&speed, &targets, &a)? {
                slopes.push(slope.neg()?);
            }
            flat(&slopes)
        };
        let [from, to] = self.times;
        let before = self.solver.interval(&(Arc::new(field) as Field), &state, [to, from], &parameters)?;
        let mut grads = vec![None; saved.input_count()];
        if saved.needs_input_grad(0) {
            grads[0] = Some(piece(&before, 1, &dims)?);
        }
        let mut at = 2 * y.elem_count();
        for (i, p) in wanted.into_iter().zip(&parameters) {
            grads[i + 1] = Some(before.narrow(0, at, p.elem_count())?.reshape(p.dims())?);
            at += p.elem_count();
        }
        Ok(grads)
    }
}

fn flat(pieces: &[Tensor]) -> Result<Tensor> {
    let pieces = pieces.iter().map(|x| x.reshape(x.elem_count())).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&pieces.iter().collect::<Vec<_>>(), 0)
}

/// Piece i of those of one shape.
fn piece(state: &Tensor, i: usize, dims: &[usize]) -> Result<Tensor> {
    let n = dims.iter().product::<usize>();
    state.narrow(0, i * n, n)?.reshape(dims)
}
