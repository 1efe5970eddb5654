use super::Weighted;
use crate::ops::testing::tensor;
use crate::prelude::*;

#[test]
fn reductions_and_weights() -> Result<()> {
    let (p, t) = (tensor(&[1.0, 3.0, 5.0, 8.0]).reshape((2, 2))?, tensor(&[0.0; 4]).reshape((2, 2))?);
    assert_eq!(L1.loss(&p, &t)?.to_scalar::<f64>()?, 4.25);
    assert_eq!(L1.reduction(Reduction::BatchMean).loss(&p, &t)?.to_scalar::<f64>()?, 8.5);
    assert_eq!(L1.reduction(Reduction::None).loss(&p, &t)?.to_vec2::<f64>()?, [[1.0, 3.0], [5.0, 8.0]]);
    let by_sample = L1.weighted(&Tensor::new(&[2.0_f32, 1.0], &Device::Cpu)?);
    assert_eq!(by_sample.loss(&p, &t)?.to_scalar::<f64>()?, 5.25);
    let weights = tensor(&[0.0, 1.0, 0.0, 2.0]).reshape((2, 2))?;
    let each: Weighted<L1> = L1.weighted(&weights);
    assert_eq!(each.reduction(Reduction::Sum).loss(&p, &t)?.to_scalar::<f64>()?, 19.0);
    autograd::gradcheck(|x| Mse.weighted(&x[1]).loss(&x[0], &t), &[p.clone(), weights])?;
    let error = L1.weighted(&tensor(&[1.0; 3])).elementwise(&p, &t).unwrap_err().to_string();
    assert_eq!(error, "weighted: expected weights of shape [2, 2], or of its first axes, got [3]");
    Ok(())
}

#[test]
fn invalid_inputs() -> Result<()> {
    let empty = tensor(&[]);
    assert_eq!(L1.reduction(Reduction::Sum).loss(&empty, &empty)?.to_scalar::<f64>()?, 0.0);
    let error = L1.loss(&empty, &empty).unwrap_err().to_string();
    assert_eq!(error, "mean: expected a batch that is not empty, got [0]");
    assert!(matches!(L1.reduction(Reduction::BatchMean).loss(&empty, &empty), Err(Error::Shape { .. })));
    let p = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    let t = Tensor::new(&[[0.0_f32, 1.0, 2.0], [3.0, f32::NAN, 5.0]], &Device::Cpu)?;
    let error = Mse.loss(&p, &t).unwrap_err().to_string();
    assert_eq!(error, "mse: expected targets that are not NaN, got NaN at [1, 1]");
    let error = Mse.loss(&p, &t.to_dtype(DType::BF16)?).unwrap_err().to_string();
    assert_eq!(error, "mse: expected float tensors of one dtype (see to_dtype), got f32 and bf16");
    assert!(Mse.loss(&p.to_dtype(DType::F16)?, &t.to_dtype(DType::F16)?).is_err());
    Ok(())
}
