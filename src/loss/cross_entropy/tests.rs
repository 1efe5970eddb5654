use super::CrossEntropy;
use crate::prelude::*;

#[test]
fn ignored_rows() -> Result<()> {
    for smoothing in [0.0, 0.5] {
        let nan = f64::NAN;
        let x = Tensor::new(&[[0.0, 0.0], [nan, nan]], &Device::Cpu)?;
        let x = Tensor::parameter(x);
        let classes = Tensor::new(&[1i64, -100], &Device::Cpu)?;
        let loss = CrossEntropy::new().ignore_index(-100).label_smoothing(smoothing)?;
        assert_eq!(loss.elementwise(&x, &classes)?.to_vec1::<f64>()?, [2.0_f64.ln(), 0.0]);
        let y = loss.loss(&x, &classes)?;
        assert_eq!(y.to_scalar::<f64>()?, 2.0_f64.ln());
        let by_class = 0.5 - smoothing / 2.0;
        let expected = [[by_class, -by_class], [0.0, 0.0]];
        assert_eq!(y.backward()?.get(&x).unwrap().to_vec2::<f64>()?, expected);
    }
    Ok(())
}

#[test]
fn zero_probability_of_an_impossible_class() -> Result<()> {
    let x = Tensor::new(&[[0.0, 0.0, f64::NEG_INFINITY]], &Device::Cpu)?;
    let t = Tensor::new(&[[0.5, 0.5, 0.0]], &Device::Cpu)?;
    assert_eq!(CrossEntropy::new().loss(&x, &t)?.to_scalar::<f64>()?, 2.0_f64.ln());
    assert_eq!(
        CrossEntropy::new().loss(&x.to_dtype(DType::BF16)?, &t.to_dtype(DType::BF16)?)?.dtype(),
        DType::BF16
    );
    Ok(())
}

#[test]
fn agrees_with_log_softmax_and_is_stable() -> Result<()> {
    let x = Tensor::new(&[[1e4, -1e4, 0.0], [3.0, 1.0, 2.0]], &Device::Cpu)?;
    let classes = Tensor::new(&[1i64, 0], &Device::Cpu)?;
    let log = x.log_softmax(1)?.to_vec2::<f64>()?;
    let got = CrossEntropy::new().elementwise(&x, &classes)?.to_vec1::<f64>()?;
    assert_eq!(got[0], 2e4);
    assert!((got[1] + log[1][0]).abs() < 1e-15);
    Ok(())
}

#[test]
fn invalid_inputs() -> Result<()> {
    let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    let loss = |classes: &Tensor| CrossEntropy::new().loss(&x, classes).unwrap_err().to_string();
    let cpu = &Device::Cpu;
    assert_eq!(
        loss(&Tensor::new(&[0u32, 3], cpu)?),
        "cross_entropy: expected classes from 0 to 2, got class 3 in row 1"
    );
    assert!(loss(&Tensor::new(&[0i64, -1], cpu)?).contains("class -1"));
    assert!(
        loss(&Tensor::new(&[0u32], cpu)?)
            .contains("one class for each of 2 rows (see squeeze), got [2, 3] and [1]")
    );
    assert!(loss(&Tensor::new(&[0.0, 1.0], cpu)?).contains("integer classes"));
    let t = Tensor::new(&[[0.0_f32, 1.0, 0.0], [0.5, 0.0, -0.5]], cpu)?;
    assert_eq!(loss(&t), "cross_entropy: expected probabilities from 0 to 1, got -0.5 at [1, 2]");
    assert!(loss(&t.to_dtype(DType::F64)?).contains("of one dtype"));
    assert!(CrossEntropy::new().ignore_index(1).loss(&x, &t).is_err());
    assert!(CrossEntropy::new().label_smoothing(f64::NAN).is_err());
    assert!(CrossEntropy::new().class_weights(&t).is_err());
    let cube = Tensor::zeros((2, 3, 2), DType::F32, cpu)?;
    let error =
        CrossEntropy::new().loss(&cube, &Tensor::new(&[[0u32, 1], [2, 3]], cpu)?).unwrap_err().to_string();
    assert_eq!(error, "cross_entropy: expected classes from 0 to 2, got class 3 at [1, 1]");
    let (none, no) = (Tensor::zeros((0, 3), DType::F32, cpu)?, Tensor::zeros(0, DType::U32, cpu)?);
    assert_eq!(CrossEntropy::new().elementwise(&none, &no)?.dims(), [0]);
    assert_eq!(
        CrossEntropy::new().loss(&none, &no).unwrap_err().to_string(),
        "mean: expected a batch that is not empty, got [0]"
    );
    assert!(CrossEntropy::new().loss(&Tensor::new(1.0, cpu)?, &no).is_err());
    Ok(())
}
