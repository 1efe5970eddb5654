//! What the tests of the activations share.

use super::Activation;
use crate::formula::Dual;
use crate::ops::testing::tensor;
use crate::prelude::*;

/// Checks `f` from −∞ to ∞ in f32 and f64: the value, the slope and the slope's slope are those of `below` at −∞ and of
/// `above` at ∞, and nothing but NaN gives NaN. A slope written by hand must agree with the dual numbers.
#[track_caller]
pub(super) fn extremes<A: Activation>(f: &A, below: [f64; 3], above: [f64; 3]) {
    for dtype in [DType::F32, DType::F64] {
        at_the_ends(f, dtype, below, above).unwrap();
    }
    for x in [
        -1e4_f64, -745.0, -100.0, -20.0, -3.3, -1.2, -0.7, -1e-3, 1e-3, 0.4, 1.7, 2.9, 6.5, 20.0, 100.0,
        745.0, 1e4,
    ] {
        let by_hand = f.derivative(x, f.value(x));
        let exact = f.value(Dual::variable(x)).slope();
        let off = (by_hand - exact).abs();
        assert!(off <= 2e-14 * exact.abs().max(1.0), "{} at {x}: {by_hand} {exact}", A::NAME);
    }
}

fn at_the_ends<A: Activation>(f: &A, dtype: DType, below: [f64; 3], above: [f64; 3]) -> Result<()> {
    let points = [f64::NEG_INFINITY, f64::INFINITY, -1e4, 1e4, -0.0, 0.0, -1e-30, 1e-30];
    let x = tensor(&points).to_dtype(dtype)?.into_parameter();
    let y = f.apply(&x)?;
    let [slope] = autograd::grad(&y.sum_all()?, [&x])?;
    let [curvature] = autograd::grad(&slope.sum_all()?, [&x])?;
    let gradients = y.sum_all()?.backward()?;
    let ordinary = gradients.get(&x).map_or((&slope * 0.0)?, Tensor::clone);
    let rows = [y, slope, curvature, ordinary]
        .map(|row| row.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap());
    let name = A::NAME;
    for (i, row) in rows.iter().enumerate() {
        assert!(row.iter().all(|x| !x.is_nan()), "{name} {dtype:?} of order {i}: {row:?}");
        let limit = [0, 1, 2, 1][i];
        assert_eq!(row[0], below[limit], "{name} {dtype:?} of order {i} at -inf");
        assert_eq!(row[1], above[limit], "{name} {dtype:?} of order {i} at inf");
        if limit > 0 {
            // All of them are as good as straight there.
            assert!(
                (row[2] - below[limit]).abs() < 1e-3,
                "{name} {dtype:?} of order {i} at -1e4: {}",
                row[2]
            );
            assert!((row[3] - above[limit]).abs() < 1e-3, "{name} {dtype:?} of order {i} at 1e4: {}", row[3]);
        }
    }
    let nan = f.apply(&tensor(&[f64::NAN]).to_dtype(dtype)?)?.to_dtype(DType::F64)?;
    assert!(nan.to_vec1::<f64>()?[0].is_nan(), "{name} {dtype:?} of NaN");
    Ok(())
}
