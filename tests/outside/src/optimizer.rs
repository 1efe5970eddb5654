//! A custom optimizer: a formula for one number.

use tealight::optim::{FirstOrder, StepInfo, UpdateFn, UpdateRule, update_fn};
use tealight::prelude::*;

/// A step of one length against the sign of the averaged gradient.
#[derive(Clone, Debug, Default)]
pub struct Signs;

impl UpdateRule<1> for Signs {
    const NAME: &'static str = "Signs";

    fn state_names(&self) -> [Option<&'static str>; 1] {
        [Some("average")]
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 1> {
        let (rate, keep) = (T::constant(at.learning_rate), T::constant(0.5));
        update_fn(move |p: T, g: T, [m]: [T; 1]| {
            let m = m * keep + g * keep;
            (p - rate * m.signum(), [m])
        })
    }
}

/// The optimizer by that rule, which checks, groups and saves as all others do.
pub type SignDescent = FirstOrder<Signs, 1>;

#[cfg(test)]
mod tests {
    use super::SignDescent;
    use tealight::prelude::*;

    #[test]
    fn it_steps_by_signs_and_saves_its_memory() -> Result<()> {
        let model = Linear::new(2, 1, &mut Rng::seed(1))?;
        let before = model.weight.get().to_vec2::<f32>()?;
        let mut optimizer = SignDescent::new(model.parameters(), 0.25)?;
        let x = Tensor::new(&[[3.0_f32, -5.0]], &Device::Cpu)?;
        let step = |optimizer: &mut SignDescent| {
            optimizer.step(&model.forward(&x, &mut ForwardContext::eval())?.sum_all()?.backward()?)
        };
        step(&mut optimizer)?;
        let after = model.weight.get().to_vec2::<f32>()?;
        assert_eq!(after[0], [before[0][0] - 0.25, before[0][1] + 0.25]);
        let state = optimizer.state_dict()?;
        assert_eq!(state["weight.average"].to_vec2::<f32>()?, [[1.5, -2.5]]);
        let mut again = SignDescent::new(model.parameters(), 0.25)?;
        again.load_state_dict(&state)?;
        step(&mut again)?;
        assert_eq!(again.state_dict()?["weight.average"].to_vec2::<f32>()?, [[2.25, -3.75]]);
        assert_eq!((again.name(), SignDescent::new(vec![], -1.0).is_err()), ("Signs".into(), true));
        Ok(())
    }
}
