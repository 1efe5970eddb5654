//! A line search for the strong Wolfe conditions, f(t) ≤ f(0) + c₁·t·f′(0) and |f′(t)| ≤ c₂·|f′(0)|, the first up to rounding.
//!
//! # Source
//! J. Nocedal and S. Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6; the same trial points as PyTorch.
//! W. Hager and H. Zhang 2005: near a minimum the losses differ by their rounding alone, and the slope decides.

use crate::error::Result;

/// A point on the line.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) t: f64,
    pub(super) loss: f64,
    /// The derivative by t.
    pub(super) slope: f64,
    pub(super) grad: Vec<f64>,
}

/// The minimum of the cubic through two points with their slopes, clamped to the bounds.
fn cubic(a: &Point, b: &Point, (low, high): (f64, f64)) -> f64 {
    let (a, b) = if a.t <= b.t { (a, b) } else { (b, a) };
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t);
    let d2 = (d1 * d1 - a.slope * b.slope).sqrt();
    let least = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
    // The cubic may have no minimum, and the loss may be infinite.
    if least.is_finite() { least.max(low).min(high) } else { (low + high) / 2.0 }
}

/// A point that satisfies the conditions, or the lowest found in `max_trials` trials; and the number of evaluations.
///
/// Losses that differ by less than `noise` count as equal. `longest` is the largest element of the direction: the search ends
/// in a bracket where no element changes by `tolerance`.
pub(super) fn strong_wolfe(
    mut at: impl FnMut(f64) -> Result<Point>,
    start: &Point,
    t: f64,
    noise: f64,
    longest: f64,
    tolerance: f64,
    max_trials: usize,
) -> Result<(Point, usize)> {
    const C1: f64 = 1e-4;
    const C2: f64 = 0.9;
    let too_high = |p: &Point| p.loss > start.loss + C1 * p.t * start.slope + noise;
    let flat = |p: &Point| p.slope.abs() <= -C2 * start.slope;

    let (mut new, mut before, mut trials) = (at(t)?, start.clone(), 0);
    let mut bracket = loop {
        if trials == max_trials {
            break [start.clone(), new];
        }
        if too_high(&new) || trials > 1 && new.loss >= before.loss + noise {
            break [before, new];
        }
        if flat(&new) {
            return Ok((new, trials + 1));
        }
        if new.slope >= 0.0 {
            break [before, new];
        }
        let bounds = (new.t + 0.01 * (new.t - before.t), new.t * 10.0);
        let next = cubic(&before, &new, bounds);
        before = std::mem::replace(&mut new, at(next)?);
        trials += 1;
    };

    let order = |bracket: &[Point; 2]| if bracket[0].loss <= bracket[1].loss { (0, 1) } else { (1, 0) };
    let (mut low, mut high) = order(&bracket);
    let mut stuck = false;
    while trials < max_trials && (bracket[1].t - bracket[0].t).abs() * longest >= tolerance {
        let left = bracket[0].t.min(bracket[1].t);
        let right = bracket[0].t.max(bracket[1].t);
        let mut t = cubic(&bracket[0], &bracket[1], (left, right));
        // Twice too near an end, or at it: move a tenth of the bracket away from it.
        let margin = 0.1 * (right - left);
        if (right - t).min(t - left) < margin {
            if stuck || t >= right || t <= left {
                t = if (t - right).abs() < (t - left).abs() { right - margin } else { left + margin };
                stuck = false;
            } else {
                stuck = true;
            }
        } else {
            stuck = false;
        }
        let new = at(t)?;
        trials += 1;
        if too_high(&new) || new.loss >= bracket[low].loss + noise {
            bracket[high] = new;
            (low, high) = order(&bracket);
        } else {
            let done = flat(&new);
            if !done && new.slope * (bracket[high].t - bracket[low].t) >= 0.0 {
                bracket[high] = bracket[low].clone();
            }
            bracket[low] = new;
            if done {
                break;
            }
        }
    }
    let [first, second] = bracket;
    Ok((if low == 0 { first } else { second }, trials + 1))
}

#[cfg(test)]
mod tests {
    use super::{Point, strong_wolfe};
    use crate::error::Result;

    fn search(f: impl Fn(f64) -> (f64, f64), t: f64, most: usize) -> Result<(Point, usize)> {
        let point = |t: f64| {
            let (loss, slope) = f(t);
            let loss = if loss.is_nan() { f64::INFINITY } else { loss };
            Point { t, loss, slope, grad: Vec::new() }
        };
        strong_wolfe(|t| Ok(point(t)), &point(0.0), t, 0.0, 1.0, 1e-9, most)
    }

    #[test]
    fn both_conditions_hold() -> Result<()> {
        for t in [1e-3, 0.5, 7.0, 1e4] {
            let valley = |t: f64| ((t - 3.0).powi(4) + t, 4.0 * (t - 3.0).powi(3) + 1.0);
            let (p, count) = search(valley, t, 25)?;
            assert!(p.loss <= 81.0 - 107.0 * 1e-4 * p.t && p.slope.abs() <= 0.9 * 107.0, "{t}: {p:?}");
            assert!(count <= 26);
        }
        Ok(())
    }

    #[test]
    fn where_the_function_ends() -> Result<()> {
        // −ln(1 − t) − 2t is NaN from 1 on.
        let barrier = |t: f64| (-(1.0 - t).ln() - 2.0 * t, 1.0 / (1.0 - t) - 2.0);
        let (p, _) = search(barrier, 5.0, 25)?;
        assert!(p.t > 0.0 && p.t < 1.0 && p.loss < 0.0, "{p:?}");
        // No trial at all: the first point, or the start where that is lower.
        assert_eq!(search(barrier, 5.0, 0)?.0.t, 0.0);
        assert_eq!(search(barrier, 0.4, 0)?.0.t, 0.4);
        Ok(())
    }
}
