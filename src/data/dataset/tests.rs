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

#[test]
fn several_inputs_and_targets() -> Result<()> {
    use crate::data::{DataLoader, MultiDataset, MultiTensorDataset};
    let tensor = |n: usize| Tensor::arange(0.0, n as f64, &Device::Cpu);
    let data = MultiTensorDataset::new(&[&tensor(5)?, &(tensor(5)? * 10.0)?], &[&(tensor(5)? * 100.0)?])?;
    let (inputs, targets) = data.batch_multi(&[4, 0])?;
    let numbers = |x: &Tensor| x.to_vec1::<f64>().unwrap();
    assert_eq!(inputs.iter().map(numbers).collect::<Vec<_>>(), [[4.0, 0.0], [40.0, 0.0]]);
    assert_eq!(targets.iter().map(numbers).collect::<Vec<_>>(), [[400.0, 0.0]]);
    assert_eq!(data.get_multi(3)?.1[0].to_scalar::<f64>()?, 300.0);
    assert!(data.get_multi(5).is_err() && data.batch_multi(&[0, 5]).is_err());
    for (inputs, targets) in
        [(vec![], vec![]), (vec![tensor(5)?], vec![tensor(4)?]), (vec![tensor(5)?.sum_all()?], vec![])]
    {
        let (inputs, targets): (Vec<&Tensor>, Vec<&Tensor>) =
            (inputs.iter().collect(), targets.iter().collect());
        assert!(matches!(MultiTensorDataset::new(&inputs, &targets), Err(Error::Shape { .. })));
    }
    let error = DataLoader::new(&data, 2)?.epoch()?.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "DataLoader: expected one input and one target (see next_multi), got 2 and 1");

    // Examples that do not fit together, and none.
    #[derive(Clone)]
    struct Uneven;
    impl MultiDataset for Uneven {
        fn num_examples(&self) -> usize {
            3
        }
        fn get_multi(&self, index: usize) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
            Ok((vec![Tensor::new(1.0, &Device::Cpu)?; 1 + index / 2], Vec::new()))
        }
    }
    assert_eq!(Uneven.batch_multi(&[0, 1])?.0[0].dims(), [2]);
    let error = Uneven.batch_multi(&[1, 2]).unwrap_err().to_string();
    assert_eq!(error, "batch: expected as many inputs for each example, 1, got 2");
    assert!(Uneven.batch_multi(&[]).is_err());
    Ok(())
}
