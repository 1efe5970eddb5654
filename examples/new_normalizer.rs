//! Example 10: a custom normalizer is a function of tensors, composed of existing operations. It needs no derivative.
//!
//! `cargo run --release --example new_normalizer` checks the gradient that comes of it against finite differences, and recognises
//! the digit 0 with images whose brightest pixel is 1: it prints the accuracy, above 0.98, however dark an image was.

use tealight::layer::Lambda;
use tealight::metrics::Accuracy;
use tealight::prelude::*;

/// Every row divided by its largest absolute value.
#[derive(Clone, Debug)]
struct MaxNorm;

impl Normalize for MaxNorm {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        x / x.abs()?.max_keepdim(-1)?
    }
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn_dtype(0.0, 1.0, (3, 4), DType::F64, rng)?;
    println!("{:.2}\nbecomes\n{:.2}", x, MaxNorm.normalize(&x)?);
    println!("{:?}", autograd::gradcheck(|x| MaxNorm.normalize(&x[0]), &[x])?);

    let (train, test) = tealight::data::digits()?.one_vs_rest(0)?.train_test_split(0.2, rng)?;
    let normalised = Lambda::new(|x| MaxNorm.normalize(x));
    let model = Sequential::new().push(Flatten).push(normalised).push(Linear::new(64, 1, rng)?);
    let mut trainer = Trainer::new(&model, BceWithLogits, Adam::new(model.parameters(), 0.02)?)
        .epochs(20)
        .metric(Accuracy::new().threshold(0.0));
    let accuracy = trainer.fit(&train, Some(&test))?.last("valid_accuracy")?;
    println!("test accuracy {accuracy:.4}");

    let darker = (&test.inputs * 0.125)?;
    assert_eq!(model.predict(&darker)?, model.predict(&test.inputs)?, "the brightness counts");
    assert!(accuracy > 0.98, "the digit was not learned");
    Ok(())
}
