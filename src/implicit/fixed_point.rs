//! The fixed point of a function.

use std::sync::Arc;

use super::{
    Function, Held, by_parameters, largest, not_converged, positive, same_kind, variable, with_history,
};
use crate::autograd::{Array, SaveContext, Saved, Tensor, VariadicOp, no_grad, vjp, with_grad};
use crate::error::Result;

/// z with z = f(z), found from `start` by iteration: [`FixedPoint`] with its defaults. f reads `parameters`.
///
/// # Errors
/// Errors if it does not converge.
///
/// ```
/// # use tealight::prelude::*;
/// use tealight::implicit::fixed_point;
/// let a = Tensor::parameter(Tensor::new(2.0, &Device::Cpu)?);
/// let held = a.clone();
/// // Heron: z = (z + a/z)/2 is √a, with the slope 1/(2·√a).
/// let root = fixed_point(move |z| (z + (&held / z)?)? * 0.5, &a.detach(), &[a.clone()])?;
/// let slope = root.backward()?.get(&a).unwrap().to_scalar::<f64>()?;
/// assert!((root.to_scalar::<f64>()? - 2_f64.sqrt()).abs() < 1e-12 && (slope - 0.5 / 2_f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn fixed_point(
    f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    start: &Tensor,
    parameters: &[Tensor],
) -> Result<Tensor> {
    FixedPoint::new().solve(f, start, parameters)
}

/// A solver of z = f(z): z ← f(z) until it stays.
///
/// The gradient with respect to `parameters` is that of f at the solution, with the weights w = g + wᵀ·∂f/∂z, which are found by the same
/// iteration. Both converge where f is a contraction: where ∂f/∂z has no eigenvalue of magnitude 1 or more. No gradient
/// goes to `start`.
#[derive(Clone, Copy, Debug)]
#[doc(alias = "DEQ")]
pub struct FixedPoint {
    tolerance: f64,
    max_steps: usize,
}

impl Default for FixedPoint {
    fn default() -> Self {
        FixedPoint { tolerance: 1e-6, max_steps: 1000 }
    }
}

impl FixedPoint {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest step at the end, relative to the largest element of z, if that is above 1. Default: `1e-6`. The solution is more exact where the
    /// iteration converges fast.
    ///
    /// # Errors
    /// Errors unless it is above 0.
    pub fn tolerance(mut self, tolerance: f64) -> Result<Self> {
        self.tolerance = positive("fixed_point", "a tolerance", tolerance)?;
        Ok(self)
    }

    /// The most evaluations of f, and as many for the gradient. Default: `1000`.
    #[must_use]
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.max_steps = steps;
        self
    }

    /// z = f(z), in the shape and dtype of `start`.
    ///
    /// # Errors
    /// Errors if it does not converge, or f changes the shape or the dtype.
    pub fn solve(
        self,
        f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
        start: &Tensor,
        parameters: &[Tensor],
    ) -> Result<Tensor> {
        self.solve_held(Arc::new(f), start, parameters)
    }

    fn solve_held(self, f: Function, start: &Tensor, parameters: &[Tensor]) -> Result<Tensor> {
        let z = no_grad(|| self.iterate(&f, start))?.into_array();
        let inputs: Vec<&Tensor> = parameters.iter().collect();
        Equilibrium { solver: self, f: Held(f), z, parameters: parameters.to_vec() }.apply(&inputs)
    }

    fn iterate(&self, f: &Function, start: &Tensor) -> Result<Tensor> {
        let mut z = start.detach();
        let mut residual = f64::INFINITY;
        for _ in 0..self.max_steps {
            let next = f(&z)?;
            same_kind("fixed_point", "a function that keeps the shape", &z, &next)?;
            residual = largest(&(&next - &z)?)? / largest(&next)?.max(1.0);
            z = next.detach();
            if residual <= self.tolerance {
                return Ok(z);
            }
            if !residual.is_finite() {
                residual = f64::INFINITY; // also for ∞/∞
                break;
            }
        }
        Err(not_converged("fixed_point", self.tolerance, self.max_steps, residual))
    }
}

/// The solution, as a function of the parameters.
#[derive(Debug)]
struct Equilibrium {
    solver: FixedPoint,
    f: Held<Function>,
    z: Array,
    parameters: Vec<Tensor>,
}

impl VariadicOp for Equilibrium {
    fn name(&self) -> &'static str {
        "fixed_point"
    }

    fn forward(&self, _: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_output();
        Ok(self.z.clone())
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let z = variable(saved.output()?);
        let image = with_grad(|| (self.f.0)(&z))?;
        let (f, place, g) = (image.clone(), z.clone(), grad.clone());
        let weights = move |w: &Tensor| {
            let [pulled] = vjp(&f, [&place], w)?;
            &g + pulled
        };
        let reads = with_history(&[&z, grad], &self.parameters);
        let w = self.solver.solve_held(Arc::new(weights), grad, &reads)?;
        by_parameters(saved, &image, &z, &self.parameters, &w)
    }
}
