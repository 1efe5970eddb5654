//! A custom data set.

use tealight::data::Dataset;
use tealight::prelude::*;

/// Points of the square from −1 to 1, and whether they lie within the circle; each is made when it is asked for.
#[derive(Clone)]
pub struct Circle(pub usize);

impl Dataset for Circle {
    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        let point = Tensor::rand(-1_f32, 1.0, 2, &mut Rng::seed(index as u64))?;
        let inside = point.sqr()?.sum_all()?.lt(0.64)?.to_dtype(DType::U32)?;
        Ok((point, inside))
    }
}

#[cfg(test)]
mod tests {
    use super::Circle;
    use tealight::data::{DataLoader, Dataset};
    use tealight::metrics::Accuracy;
    use tealight::prelude::*;

    #[test]
    fn a_model_learns_from_it() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let model =
            Sequential::new().push(Linear::new(2, 16, rng)?).push(Tanh).push(Linear::new(16, 2, rng)?);
        let mut trainer = Trainer::new(&model, CrossEntropy::new(), Adam::new(model.parameters(), 0.05)?)
            .epochs(20)
            .silent()
            .metric(Accuracy::new());
        let loader = DataLoader::new(&Circle(400), 40)?.shuffle(3).num_workers(2);
        assert!(trainer.fit(&loader, None)?.last("accuracy")? > 0.9);
        assert!(trainer.evaluate(&Circle(100))?.get("accuracy")? > 0.85);
        assert_eq!(Circle(5).batch(&[4, 0, 4])?.0.dims(), [3, 2]);
        Ok(())
    }
}
