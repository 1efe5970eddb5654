//! A custom activation is one method.

use tealight::prelude::*;

/// x / (1 + |x|)
#[derive(Clone, Debug)]
pub struct Softsign;

impl Activation for Softsign {
    const NAME: &'static str = "softsign";

    fn value<R: Real>(&self, x: R) -> R {
        x / (R::constant(1.0) + x.abs())
    }
}

/// x · tanh(ln(1 + eˣ)), with a derivative by hand. `factor` is 1 if it is right.
#[derive(Clone, Debug)]
pub struct Mish {
    pub factor: f64,
}

impl Activation for Mish {
    const NAME: &'static str = "mish_by_hand";

    fn value<R: Real>(&self, x: R) -> R {
        x * x.exp().ln_1p().tanh()
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let one = R::constant(1.0);
        let t = x.exp().ln_1p().tanh();
        let sigmoid = one / (one + (-x).exp());
        R::constant(self.factor) * (t + x * (one - t * t) * sigmoid)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mish, Softsign};
    use tealight::prelude::*;

    const POINTS: [f64; 6] = [-30.0, -2.0, -0.3, 0.1, 1.5, 20.0];

    fn points() -> Result<Tensor> {
        Tensor::new(&POINTS, &Device::Cpu)
    }

    #[test]
    fn one_method_gives_values_and_both_derivatives() -> Result<()> {
        let x = points()?;
        let y = Softsign.apply(&x)?.to_vec1::<f64>()?;
        assert_eq!(y, POINTS.map(|x| x / (1.0 + x.abs())));
        let check = autograd::gradcheck(|x| Softsign.apply(&x[0]), &[x])?;
        assert!(check.first <= 1e-9 && check.second.unwrap() <= 1e-9, "{check:?}");
        Ok(())
    }

    #[test]
    fn it_is_a_layer() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let model =
            Sequential::new().push(Linear::new(3, 4, rng)?).push(Softsign).push(Linear::new(4, 2, rng)?);
        let x = Tensor::randn(0.0_f32, 1.0, (5, 3), rng)?;
        let y = model.forward(&x, &mut tealight::layer::ForwardContext::eval())?;
        assert_eq!(y.dims(), [5, 2]);
        let gradients = y.sqr()?.sum_all()?.backward()?;
        for (name, parameter) in model.parameters() {
            let gradient = gradients.get(&parameter.get()).expect(&name);
            let sum = gradient.abs()?.sum_all()?.to_scalar::<f32>()?;
            assert!(sum > 0.0 && sum.is_finite(), "{name}: {sum}");
        }
        Ok(())
    }

    #[test]
    fn a_derivative_by_hand_is_checked_and_a_wrong_one_named() -> Result<()> {
        let right = Mish { factor: 1.0 };
        autograd::gradcheck(|x| right.apply(&x[0]), &[points()?])?;

        let wrong = Mish { factor: 1.0 + 1e-7 };
        let error = autograd::gradcheck(|x| wrong.apply(&x[0]), &[points()?]).unwrap_err();
        assert!(error.to_string().contains("mish_by_hand: gradient (backward)"), "{error}");
        let Error::GradCheck(mismatch) = error else { panic!("{error}") };
        assert!(mismatch.ops.contains(Mish::NAME), "{mismatch}");
        assert_eq!((mismatch.order, mismatch.pass, mismatch.input), (1, "backward", 0));
        let off = mismatch.given / mismatch.numeric - 1.0;
        // The numeric one has an error of its own, far below the fault.
        assert!((0.7e-7..1.3e-7).contains(&off), "{off:e}");
        Ok(())
    }

    #[test]
    fn a_wrong_one_is_found_in_the_middle_of_a_model() -> Result<()> {
        let wrong = Mish { factor: 1.0 + 1e-7 };
        let error = autograd::gradcheck(|x| wrong.apply(&(&x[0] * 2.0)?)?.tanh(), &[points()?]).unwrap_err();
        let Error::GradCheck(mismatch) = error else { panic!("{error}") };
        for name in ["mul", "mish_by_hand", "tanh"] {
            assert!(mismatch.ops.contains(name), "{mismatch}");
        }
        Ok(())
    }
}
