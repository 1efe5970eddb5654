use super::*;
use crate::prelude::*;

fn numbers(n: usize) -> TensorDataset {
    let x = Tensor::arange(0.0, 2.0 * n as f64, &Device::Cpu).unwrap().reshape((n, 2)).unwrap();
    TensorDataset::new(&x, &Tensor::arange(0, n as u32, &Device::Cpu).unwrap()).unwrap()
}

#[test]
fn batches_are_stacked_examples() -> Result<()> {
    let plain = numbers(5);
    let lazy = from_fn(5, {
        let plain = plain.clone();
        move |i| plain.get(i)
    });
    let arc: Arc<dyn Dataset> = Arc::new(plain.clone());
    let subset = plain.subset(vec![4, 0, 0, 1, 2])?;
    let order = [3, 0, 3];
    let want = |x: (Tensor, Tensor)| Ok::<_, Error>((x.0.to_vec2::<f64>()?, x.1.to_vec1::<u32>()?));
    let expected = (vec![vec![6.0, 7.0], vec![0.0, 1.0], vec![6.0, 7.0]], vec![3, 0, 3]);
    assert_eq!(want(plain.batch(&order)?)?, expected);
    assert_eq!(want(lazy.batch(&order)?)?, expected);
    assert_eq!(want(arc.batch(&order)?)?, expected);
    assert_eq!(want(lazy.map(|x| x + 1.0).map(|x| x - 1.0).batch(&order)?)?, expected);
    assert_eq!(want(subset.batch(&order)?)?.1, [1, 4, 1]);
    assert_eq!((subset.get(0)?.1.to_scalar::<u32>()?, subset.indices()), (4, &[4, 0, 0, 1, 2][..]));
    assert_eq!((arc.len(), subset.len(), numbers(0).is_empty()), (5, 5, true));
    Ok(())
}

#[test]
fn refusals() -> Result<()> {
    let plain = numbers(3);
    let message = |x: Result<(Tensor, Tensor)>| x.unwrap_err().to_string();
    assert_eq!(message(plain.get(3)), "get: expected an example below 3, got 3");
    assert_eq!(
        message(plain.batch(&[0, usize::MAX])),
        format!("batch: expected an example below 3, got {}", usize::MAX)
    );
    assert_eq!(
        message(plain.map(|x| x * 2.0).batch(&[9])),
        "example 9: get: expected an example below 3, got 9"
    );
    let error = plain.subset(vec![0, 3]).unwrap_err().to_string();
    assert_eq!(error, "subset: expected an example below 3, got 3");
    assert!(plain.subset(vec![])?.get(0).is_err());
    let ragged = from_fn(3, |i| {
        let x = Tensor::zeros(i, DType::F32, &Device::Cpu)?;
        Ok((x.clone(), x))
    });
    assert!(message(ragged.batch(&[1, 2])).starts_with("inputs: stack: "));
    assert!(ragged.batch(&[]).is_err() && ragged.get(3).is_err());
    let x = &plain.inputs;
    let error = TensorDataset::new(x, &x.narrow(0, 0, 2)?).unwrap_err().to_string();
    assert_eq!(error, "TensorDataset: expected inputs (n, ..) and targets (n, ..), got [3, 2] and [2, 2]");
    let scalar = Tensor::new(1.0, &Device::Cpu)?;
    assert!(TensorDataset::new(&scalar, &scalar).is_err());
    Ok(())
}
