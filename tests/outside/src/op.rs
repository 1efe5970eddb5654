//! Custom operations that are not formulas of single elements.

use tealight::autograd::{Op, SaveContext, Saved};
use tealight::prelude::*;

/// The distance of two points, √Σ(a − b)², along the last axis. (n, d) and (n, d) to (n).
#[derive(Debug)]
pub struct Distance;

impl Op<2> for Distance {
    const NAME: &'static str = "distance";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        if a.dims() != b.dims() || a.rank() != 2 {
            let got = vec![a.dims().to_vec(), b.dims().to_vec()];
            return Err(Error::Shape { op: Self::NAME, expected: "two matrices of one shape".into(), got });
        }
        (0..2).for_each(|i| ctx.save_input(i));
        ctx.save_output();
        Ok((a - b)?.sqr()?.sum(1)?.sqrt()?)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let along = (saved.input(0)? - &saved.input(1)?)?;
        let by_a = (along * (grad / &saved.output()?)?.unsqueeze(1)?)?;
        let by_b = if saved.needs_input_grad(1) { Some((-&by_a)?) } else { None };
        Ok([Some(by_a), by_b])
    }
}

/// The numbers above a threshold, the rest 0. What it saves is neither input nor output: which ones were taken.
#[derive(Debug)]
pub struct Above(pub f64);

impl Op<1> for Above {
    const NAME: &'static str = "above";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        let taken = x.gt(self.0)?.to_dtype(x.dtype())?;
        ctx.save(taken.clone());
        Ok((x * taken)?)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some((grad * Tensor::constant(saved.array(0)?.clone()))?)])
    }
}

/// (r cos φ, r sin φ): two results, side by side.
#[derive(Debug)]
struct Polar;

impl Op<2> for Polar {
    const NAME: &'static str = "polar";

    fn forward(&self, [r, angle]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_input(1);
        Ok(Array::stack(&[(r * angle.cos()?)?, (r * angle.sin()?)?], 0)?)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let (r, angle) = (saved.input(0)?, saved.input(1)?);
        let (by_x, by_y) = (grad.i(0)?, grad.i(1)?);
        let (cos, sin) = (angle.cos()?, angle.sin()?);
        let by_r = ((&by_x * &cos)? + (&by_y * &sin)?)?;
        let by_angle = (r * ((by_y * cos)? - (by_x * sin)?)?)?;
        Ok([Some(by_r), Some(by_angle)])
    }
}

/// The point at the distance `r` and the angle `angle`.
pub fn polar(r: &Tensor, angle: &Tensor) -> Result<(Tensor, Tensor)> {
    let both = Polar.apply([r, angle])?;
    Ok((both.i(0)?, both.i(1)?))
}

/// The square. `factor` is 1 if its gradient is right; `dropped` forgets it.
#[derive(Debug)]
pub struct Square {
    pub factor: f64,
    pub dropped: bool,
}

impl Op<1> for Square {
    const NAME: &'static str = "square_of_mine";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        Ok(x.sqr()?)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        if self.dropped {
            return Ok([None]);
        }
        Ok([Some((grad * (saved.input(0)? * (2.0 * self.factor))?)?)])
    }
}

/// The cube, whose gradient is right and cannot be differentiated again: it is computed with plain arrays.
#[derive(Debug)]
pub struct Cube;

impl Op<1> for Cube {
    const NAME: &'static str = "cube_of_mine";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        Ok((x.sqr()? * x)?)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?.into_array();
        Ok([Some(Tensor::constant(((x.sqr()? * 3.0)? * grad.array())?))])
    }
}

#[cfg(test)]
mod tests {
    use super::{Above, Cube, Distance, Square, polar};
    use tealight::autograd::Op;
    use tealight::prelude::*;

    fn points() -> Result<Tensor> {
        Tensor::new(&[-1.5, 0.4, 3.0], &Device::Cpu)
    }

    fn rejected(result: Result<autograd::GradCheckReport>, name: &str) -> tealight::autograd::Mismatch {
        let error = result.expect_err("a planted fault");
        assert!(error.to_string().contains(name), "{error}");
        let Error::GradCheck(mismatch) = error else { panic!("{error}") };
        assert!(mismatch.ops.contains(name), "{mismatch}");
        *mismatch
    }

    #[test]
    fn two_inputs() -> Result<()> {
        let a = Tensor::new(&[[0.0, 3.0], [1.0, 1.0]], &Device::Cpu)?;
        let b = Tensor::new(&[[4.0, 0.0], [1.0, 3.0]], &Device::Cpu)?;
        assert_eq!(Distance.apply([&a, &b])?.to_vec1::<f64>()?, [5.0, 2.0]);
        autograd::gradcheck(|x| Distance.apply([&x[0], &x[1]]), &[a.clone(), b.clone()])?;
        autograd::gradcheck(|x| Distance.apply([&x[0], &x[0].sqr()?]), std::slice::from_ref(&b))?;
        // The gradient that nobody waits for is not asked for.
        autograd::gradcheck(|x| Distance.apply([&x[0], &b])?.exp(), &[a])?;
        Ok(())
    }

    #[test]
    fn what_is_saved_is_neither_input_nor_output() -> Result<()> {
        assert_eq!(Above(0.0).apply([&points()?])?.to_vec1::<f64>()?, [0.0, 0.4, 3.0]);
        autograd::gradcheck(|x| Above(0.0).apply([&x[0]])?.powf(3.0), &[points()?])?;
        Ok(())
    }

    #[test]
    fn two_results() -> Result<()> {
        let (r, angle) = (Tensor::new(&[1.0, 2.0], &Device::Cpu)?, Tensor::new(&[0.3, -2.0], &Device::Cpu)?);
        let (x, y) = polar(&r, &angle)?;
        let length = (x.sqr()? + y.sqr()?)?.sqrt()?.to_vec1::<f64>()?;
        assert!((length[0] - 1.0).abs() < 1e-15 && (length[1] - 2.0).abs() < 1e-15);
        let inputs = [r, angle];
        autograd::gradcheck(|v| polar(&v[0], &v[1]).and_then(|(x, y)| x.powf(3.0)? * y), &inputs)?;
        // One of the two alone is differentiated as well.
        autograd::gradcheck(|v| polar(&v[0], &v[1])?.1.exp(), &inputs)?;
        Ok(())
    }

    #[test]
    fn its_refusal_is_an_error_of_the_crate() -> Result<()> {
        let error = Distance.apply([&points()?, &points()?]).unwrap_err();
        assert_eq!(error.to_string(), "distance: expected two matrices of one shape, got [3] and [3]");
        Ok(())
    }

    #[test]
    fn a_wrong_factor_is_rejected_by_name() -> Result<()> {
        let op = |factor| Square { factor, dropped: false };
        autograd::gradcheck(|x| op(1.0).apply([&x[0]]), &[points()?])?;
        for factor in [1.0 + 1e-7, 1.0 - 1e-7, -1.0] {
            let mismatch =
                rejected(autograd::gradcheck(|x| op(factor).apply([&x[0]]), &[points()?]), Square::NAME);
            assert_eq!(mismatch.order, 1);
        }
        Ok(())
    }

    #[test]
    fn a_dropped_gradient_is_rejected_by_name() -> Result<()> {
        let op = || Square { factor: 1.0, dropped: true };
        let mismatch = rejected(autograd::gradcheck(|x| op().apply([&x[0]]), &[points()?]), Square::NAME);
        assert_eq!((mismatch.order, mismatch.given), (1, 0.0));
        // On one of two ways from the input to the result too.
        rejected(autograd::gradcheck(|x| op().apply([&x[0]])? + &x[0], &[points()?]), Square::NAME);
        Ok(())
    }

    #[test]
    fn a_gradient_that_cannot_be_differentiated_again_is_rejected_by_name() -> Result<()> {
        let mismatch = rejected(autograd::gradcheck(|x| Cube.apply([&x[0]]), &[points()?]), Cube::NAME);
        assert_eq!(mismatch.order, 2);
        Ok(())
    }
}
