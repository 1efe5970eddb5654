//! Fused loops, blocks, candle ops and recorded tensor ops agree.

use super::apply;
use crate::formula::{Formula, Real};
use crate::prelude::*;

/// Uses most operations.
#[inline(always)]
fn mixture<R: Real>(a: R, b: R) -> R {
    let c = (a * b).sin().exp() / (b.abs() + R::constant(0.5)).sqrt();
    let d = (a * R::constant(3.0)).round_ties_even() + b.floor() + a.remainder(b) * b.erfc() - c.atan();
    d + c.select_gt(a, c.tanh() - a.erf(), a.maximum(b).sigmoid())
        + b.powi(2).ln_1p().minimum(c)
        + b.abs().powf(a)
}

#[derive(Clone, Debug)]
struct Fused;
impl Formula<2> for Fused {
    const NAME: &'static str = "fused";
    const IS_INLINED: bool = true;
    #[inline(always)]
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        mixture(a, b)
    }
}

#[derive(Clone, Debug)]
struct Blocks;
impl Formula<2> for Blocks {
    const NAME: &'static str = "blocks";
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        mixture(a, b)
    }
}

fn both<D: candle_core::WithDType>(dtype: DType) -> Result<()> {
    let rng = &mut Rng::seed(9);
    for (da, db) in [
        (vec![3, 700], vec![700]),
        (vec![40_000], vec![40_000]),
        (vec![5, 1], vec![1, 3]),
        (vec![0], vec![1]),
    ] {
        let a = Tensor::parameter(Tensor::randn_dtype(0.0, 1.0, da, DType::F64, rng)?.to_dtype(dtype)?);
        let b = Tensor::parameter(Tensor::randn_dtype(0.0, 1.0, db, DType::F64, rng)?.to_dtype(dtype)?);
        let run = |y: Tensor| -> Result<[Vec<D>; 3]> {
            let gradients = y.sum_all()?.backward()?;
            let numbers = |x: Option<&Tensor>| x.map_or(Ok(Vec::new()), |x| x.flatten(0, -1)?.to_vec1::<D>());
            Ok([numbers(Some(&y))?, numbers(gradients.get(&a))?, numbers(gradients.get(&b))?])
        };
        assert!(run(apply(Fused, [&a, &b])?)? == run(apply(Blocks, [&a, &b])?)?, "{dtype:?}");
    }
    Ok(())
}

#[test]
fn fused_loops_and_blocks_give_the_same_bits() -> Result<()> {
    both::<f32>(DType::F32)?;
    both::<f64>(DType::F64)
}

#[test]
fn candle_ops_and_tensor_ops_give_the_same_numbers() -> Result<()> {
    use super::super::interpreters::{CandleOps, RecordedOps, Value};
    let rng = &mut Rng::seed(4);
    let (a, b) = (
        Tensor::randn_dtype(0.0, 1.0, 500, DType::F64, rng)?,
        Tensor::randn_dtype(0.0, 1.0, 500, DType::F64, rng)?,
    );
    let expected = apply(Fused, [&a, &b])?.to_vec1::<f64>()?;
    let tape = Fused.tape();
    let operands = [&a, &b].map(|x| Value::Array(x.array().clone()));
    let candle = tape.run(&mut CandleOps, &operands)?.remove(0).into_array(a.array(), &[500])?;
    let recorded = tape.run(&mut RecordedOps, &[Value::Array(a), Value::Array(b)])?.remove(0);
    let Value::Array(recorded) = recorded else { panic!("{recorded:?}") };
    for (other, limit) in [(candle.to_vec1::<f64>()?, 1e-9), (recorded.to_vec1()?, 1e-13)] {
        for (x, y) in other.iter().zip(&expected) {
            assert!((x - y).abs() <= limit * y.abs().max(1.0), "{x} {y}");
        }
    }
    Ok(())
}
