//! The minimum of a function.

use std::sync::Arc;

use super::{Function, Held, by_parameters, largest, not_converged, positive, variable, with_history};
use crate::autograd::{Array, SaveContext, Saved, Tensor, VariadicOp, grad, jvp, no_grad, with_grad};
use crate::error::{Error, Result};

/// The z that makes the scalar f(z) smallest, near `start`: [`Argmin`] with its defaults. f reads `parameters`.
///
/// # Errors
/// Errors if it does not converge, or f is flat or concave there.
///
/// ```
/// # use tealight::prelude::*;
/// use tealight::implicit::argmin;
/// let a = Tensor::parameter(Tensor::new(&[1.0, 3.0], &Device::Cpu)?);
/// let held = a.clone();
/// // Of Σ ½z² − a·z + ¼z⁴ where z + z³ = a; dz/da = 1/(1 + 3z²).
/// let f = move |z: &Tensor| (((z.sqr()? * 0.5)? + (z.powf(4.0)? * 0.25)?)? - (&held * z)?)?.sum_all();
/// let z = argmin(f, &a.detach(), &[a.clone()])?;
/// let slope = z.sum_all()?.backward()?.get(&a).unwrap().to_vec1::<f64>()?;
/// let exact = z.to_vec1::<f64>()?.into_iter().map(|z| 1.0 / (1.0 + 3.0 * z * z));
/// assert!(slope.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-9));
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn argmin(
    f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    start: &Tensor,
    parameters: &[Tensor],
) -> Result<Tensor> {
    Argmin::new().solve(f, start, parameters)
}

/// A solver for the minimum of a smooth f: Newton's method with conjugate gradients, so that no Hessian is stored, and a line search.
///
/// The gradient with respect to `parameters` is that of −wᵀ·∂f/∂z at the solution, with H·w = g for its Hessian H, by conjugate gradients as
/// well. f must be strictly convex near the solution. No gradient goes to `start`.
#[derive(Clone, Copy, Debug)]
pub struct Argmin {
    tolerance: f64,
    max_steps: usize,
}

impl Default for Argmin {
    fn default() -> Self {
        Argmin { tolerance: 1e-6, max_steps: 100 }
    }
}

impl Argmin {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest element of the gradient at the end, relative to that at the start, if that is above 1. Default: `1e-6`. The last step of
    /// Newton's method doubles the correct digits.
    ///
    /// # Errors
    /// Errors unless it is above 0.
    pub fn tolerance(mut self, tolerance: f64) -> Result<Self> {
        self.tolerance = positive("argmin", "a tolerance", tolerance)?;
        Ok(self)
    }

    /// The most steps of Newton's method. Default: `100`.
    #[must_use]
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.max_steps = steps;
        self
    }

    /// The minimum, in the shape and dtype of `start`.
    ///
    /// # Errors
    /// Errors if it does not converge, f is not a scalar, or, for the gradient, not strictly convex at the solution.
    pub fn solve(
        self,
        f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
        start: &Tensor,
        parameters: &[Tensor],
    ) -> Result<Tensor> {
        self.solve_held(Arc::new(f), start, parameters)
    }

    fn solve_held(self, f: Function, start: &Tensor, parameters: &[Tensor]) -> Result<Tensor> {
        let z = no_grad(|| self.descend(&f, start))?.into_array();
        let inputs: Vec<&Tensor> = parameters.iter().collect();
        Minimum { solver: self, f: Held(f), z, parameters: parameters.to_vec() }.apply(&inputs)
    }

    /// The solution as a parameter.
    fn descend(&self, f: &Function, start: &Tensor) -> Result<Tensor> {
        let mut z = start.detach().into_parameter();
        let (mut residual, mut least) = (f64::INFINITY, None);
        for _ in 0..self.max_steps {
            let value = with_grad(|| f(&z))?;
            let [slope] = with_grad(|| grad(&value, [&z]))?;
            residual = largest(&slope)?;
            let least = *least.get_or_insert(self.tolerance * residual.max(1.0));
            if residual <= least {
                return Ok(z);
            }
            let down = slope.detach().neg()?;
            let step = conjugate_gradients(&|v| jvp(&slope, [&z], [v]), &down)?.solution;
            let (value, fall) = (number(&value)?, dot(&step, &down)?);
            let mut length = 1.0;
            z = loop {
                let next = (&z + (&step * length)?)?;
                let there = number(&f(&next)?)?;
                if there <= value - 1e-4 * length * fall + 1e-14 * value.abs() {
                    break next.into_parameter();
                }
                length *= 0.5;
                if length < 1e-12 {
                    return Err(not_converged("argmin", least, self.max_steps, residual));
                }
            };
        }
        Err(not_converged("argmin", self.tolerance, self.max_steps, residual))
    }
}

fn number(x: &Tensor) -> Result<f64> {
    x.to_dtype(candle_core::DType::F64)?.to_scalar()
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    number(&(a * b)?.sum_all()?)
}

struct Solved {
    solution: Tensor,
    /// The residual, relative to the right side; infinite where the matrix is not positive definite.
    residual: f64,
}

/// x with H·x = b for a symmetric H. Where H is not positive definite it is the best x so far, or b.
fn conjugate_gradients(h: &dyn Fn(&Tensor) -> Result<Tensor>, b: &Tensor) -> Result<Solved> {
    let tolerance = 10.0 * crate::autograd::array::epsilon(b.dtype()).expect("gradients are floats");
    let size = dot(b, b)?;
    let (mut x, mut r, mut p, mut rest) = (b.zeros_like()?, b.clone(), b.clone(), size);
    for i in 0..10 * b.elem_count().max(1) {
        if rest <= tolerance * tolerance * size {
            break;
        }
        let hp = h(&p)?;
        let curvature = dot(&p, &hp)?;
        if curvature.is_nan() || curvature <= 0.0 {
            return Ok(Solved { solution: if i == 0 { b.clone() } else { x }, residual: f64::INFINITY });
        }
        let length = rest / curvature;
        x = (x + (&p * length)?)?;
        r = (r - (hp * length)?)?;
        let now = dot(&r, &r)?;
        p = (&r + (p * (now / rest))?)?;
        rest = now;
    }
    Ok(Solved { solution: x, residual: if size == 0.0 { 0.0 } else { (rest / size).sqrt() } })
}

/// The solution, as a function of the parameters.
#[derive(Debug)]
struct Minimum {
    solver: Argmin,
    f: Held<Function>,
    z: Array,
    parameters: Vec<Tensor>,
}

impl VariadicOp for Minimum {
    fn name(&self) -> &'static str {
        "argmin"
    }

    fn forward(&self, _: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_output();
        Ok(self.z.clone())
    }

    fn backward(&self, saved: &Saved, g: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let z = variable(saved.output()?);
        let [slope] = with_grad(|| grad(&(self.f.0)(&z)?, [&z]))?;
        let solved = no_grad(|| conjugate_gradients(&|v| jvp(&slope, [&z], [v]), &g.detach()))?;
        let limit = self.solver.tolerance;
        if !solved.residual.is_finite() {
            let expected = "a function that is strictly convex at its minimum";
            return Err(Error::argument(self.name(), expected, "a direction without positive curvature"));
        }
        if solved.residual > limit {
            return Err(not_converged(self.name(), limit, 10 * g.elem_count(), solved.residual));
        }
        let mut w = solved.solution;
        if saved.recording() {
            // w = H⁻¹·g is the minimum of ½·wᵀH·w − g·w, whose gradient is known.
            let (g_held, slope, place) = (g.clone(), slope.clone(), z.clone());
            let quadratic = move |w: &Tensor| {
                let bend = (jvp(&slope, [&place], [w])? * w)?.sum_all()? * 0.5;
                bend? - (&g_held * w)?.sum_all()?
            };
            w = self.solver.solve_held(Arc::new(quadratic), &w, &with_history(&[&z, g], &self.parameters))?;
        }
        by_parameters(saved, &slope, &z, &self.parameters, &w.neg()?)
    }
}
