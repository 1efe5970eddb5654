use super::*;
use crate::data::{TensorDataset, from_fn};
use crate::prelude::*;

fn numbers(n: usize) -> TensorDataset {
    let x = Tensor::arange(0, n as u32, &Device::Cpu).unwrap();
    TensorDataset::new(&x.to_dtype(DType::F64).unwrap().unsqueeze(1).unwrap(), &x).unwrap()
}

/// The targets of each batch, and the bits of its inputs.
fn batches(epoch: Epoch) -> Result<Vec<(Vec<u32>, Vec<u64>)>> {
    let one = |batch: Result<(Tensor, Tensor)>| {
        let (x, y) = batch?;
        let bits = x.flatten(0, -1)?.to_vec1::<f64>()?.into_iter().map(f64::to_bits).collect();
        Ok((y.to_vec1()?, bits))
    };
    epoch.map(one).collect()
}

fn targets(epoch: Epoch) -> Result<Vec<u32>> {
    Ok(batches(epoch)?.into_iter().flat_map(|(y, _)| y).collect())
}

#[test]
fn sizes_and_orders() -> Result<()> {
    let data = numbers(10);
    let mut plain = DataLoader::new(&data, 4)?;
    let sizes = |epoch| Ok::<_, Error>(batches(epoch)?.iter().map(|(y, _)| y.len()).collect::<Vec<_>>());
    assert_eq!((sizes(plain.epoch()?)?, plain.len()), (vec![4, 4, 2], 3));
    assert_eq!(targets(plain.epoch()?)?, (0..10).collect::<Vec<_>>());
    let mut whole = DataLoader::new(&data, 4)?.drop_last();
    assert_eq!((sizes(whole.epoch()?)?, whole.len()), (vec![4, 4], 2));
    assert_eq!(sizes(DataLoader::new(&data, usize::MAX)?.epoch()?)?, [10]);
    assert!(DataLoader::new(&data, 11)?.drop_last().is_empty());
    assert_eq!(DataLoader::new(&numbers(0), 3)?.shuffle(1).num_workers(2).epoch()?.count(), 0);

    let mut shuffled = DataLoader::new(&data, 3)?.shuffle(1);
    let (one, two) = (targets(shuffled.epoch()?)?, targets(shuffled.epoch()?)?);
    let mut again = DataLoader::new(&data, 3)?.shuffle(1);
    assert_eq!((targets(again.epoch()?)?, targets(again.epoch()?)?), (one.clone(), two.clone()));
    assert_ne!(one, two);
    assert_ne!(one, targets(DataLoader::new(&data, 3)?.shuffle(2).epoch()?)?);
    for mut order in [one, two] {
        order.sort_unstable();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn threads_change_nothing() -> Result<()> {
    let noise = |x: &Tensor, rng: &mut Rng| x + Tensor::randn_dtype(0.0, 1.0, x.dims(), x.dtype(), rng)?;
    let data = from_fn(23, |i| {
        // The examples do not take equally long.
        std::thread::sleep(std::time::Duration::from_micros((i as u64 * 7) % 11 * 50));
        let x = Tensor::new(&[i as f64], &Device::Cpu)?;
        Ok((x, Tensor::new(i as u32, &Device::Cpu)?))
    });
    let epochs = |threads| {
        let mut loader = DataLoader::new(&data, 2)?.shuffle(5).augment(noise, 9).num_workers(threads);
        (0..3).map(|_| batches(loader.epoch()?)).collect::<Result<Vec<_>>>()
    };
    let plain = epochs(0)?;
    assert_ne!(plain[0][0].1, plain[1][0].1);
    for threads in [1, 2, 5, usize::MAX] {
        assert_eq!(epochs(threads)?, plain, "{threads}");
    }
    // Another seed, other noise on the same examples.
    let mut other = DataLoader::new(&data, 2)?.shuffle(5).augment(noise, 10);
    let other = batches(other.epoch()?)?;
    assert!(other[0].0 == plain[0][0].0 && other[0].1 != plain[0][0].1);
    Ok(())
}

#[test]
fn a_position_is_saved_and_restored() -> Result<()> {
    let noise = |x: &Tensor, rng: &mut Rng| x + Tensor::randn_dtype(0.0, 1.0, x.dims(), x.dtype(), rng)?;
    for threads in [0, 2] {
        let make = || {
            Ok::<_, Error>(
                DataLoader::new(&numbers(10), 3)?.shuffle(1).augment(noise, 2).num_workers(threads),
            )
        };
        let mut loader = make()?;
        let all = [batches(loader.epoch()?)?, batches(loader.epoch()?)?].concat();
        for stop in 0..=8 {
            let mut first = make()?;
            let mut position = first.position();
            let mut done = 0;
            while done < stop {
                let mut epoch = first.epoch()?;
                while done < stop && epoch.next().is_some() {
                    done += 1;
                    position = epoch.position();
                }
            }
            assert_eq!((position.epoch, position.batch), (stop as u64 / 4, stop % 4));
            let mut second = make()?;
            second.restore(position.to_string().parse()?)?;
            assert_eq!(second.position(), position);
            let mut rest = batches(second.epoch()?)?;
            if stop < 4 {
                rest.extend(batches(second.epoch()?)?);
            }
            let expected = if stop < 8 { &all[stop..] } else { &batches(loader.clone().epoch()?)?[..] };
            assert_eq!(rest, expected, "{stop}");
        }
    }
    Ok(())
}

#[test]
fn a_position_of_another_loader_is_refused() -> Result<()> {
    let data = numbers(10);
    let base = || DataLoader::new(&data, 3).unwrap().shuffle(1);
    let position = base().position();
    let nothing = |x: &Tensor, _: &mut Rng| Ok(x.clone());
    let others = [
        base().shuffle(2),
        DataLoader::new(&data, 3)?,
        DataLoader::new(&data, 4)?.shuffle(1),
        DataLoader::new(&numbers(9), 3)?.shuffle(1),
        base().drop_last(),
        base().augment(nothing, 1),
        base().weighted(&[1.0; 10], 1)?,
    ];
    for mut other in others {
        let error = other.restore(position).unwrap_err().to_string();
        assert!(error.starts_with("DataLoader: expected a position of a loader with the same"), "{error}");
    }
    assert!(base().num_workers(3).restore(position).is_ok());
    let far = Position { batch: 5, ..position };
    assert!(base().restore(far).is_err());
    let text = position.to_string();
    for wrong in [
        "",
        "epoch 1",
        &text[1..],
        &text.replace('0', "x"),
        &format!("{text} "),
        &text.replace("0 b", "-1 b"),
    ] {
        assert!(wrong.parse::<Position>().is_err(), "{wrong}");
    }
    Ok(())
}

#[test]
fn weights_are_probabilities() -> Result<()> {
    let data = numbers(4);
    let mut loader = DataLoader::new(&data, 4)?.weighted(&[1.0, 0.0, 3.0, 0.0], 1)?;
    let mut counts = [0; 4];
    for _ in 0..5000 {
        targets(loader.epoch()?)?.iter().for_each(|&y| counts[y as usize] += 1);
    }
    assert_eq!((counts[1], counts[3], counts[0] + counts[2]), (0, 0, 20_000));
    // The deviation is 61.
    assert!((4_700..5_300).contains(&counts[0]), "{counts:?}");
    for weights in
        [&[1.0; 3][..], &[0.0; 4], &[1.0, -1.0, 2.0, 2.0], &[1.0, f64::NAN, 1.0, 1.0], &[f64::MAX; 4]]
    {
        assert!(matches!(DataLoader::new(&data, 4)?.weighted(weights, 1), Err(Error::Argument { .. })));
    }
    let tiny = DataLoader::new(&data, 4)?.weighted(&[0.0, 0.0, 5e-324, 0.0], 1)?.epoch()?;
    assert_eq!(targets(tiny)?, [2; 4]);
    assert_eq!(DataLoader::new(&numbers(0), 4)?.weighted(&[], 1)?.epoch()?.count(), 0);
    Ok(())
}

#[test]
fn errors_come_with_their_batch() -> Result<()> {
    assert_eq!(
        DataLoader::new(&numbers(3), 0).err().unwrap().to_string(),
        "DataLoader: expected a batch size of 1 or more, got 0"
    );
    let broken = from_fn(6, |i| match i {
        3 => Err(Error::argument("test", "no three", i)),
        _ => Ok((Tensor::new(1.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?)),
    });
    for threads in [0, 2] {
        let mut loader = DataLoader::new(&broken, 2)?.num_workers(threads);
        let results: Vec<_> =
            loader.epoch()?.map(|batch| batch.map(|_| ()).map_err(|e| e.to_string())).collect();
        assert_eq!(results, [Ok(()), Err("example 3: test: expected no three, got 3".into()), Ok(())]);
    }
    let panics = from_fn(1, |_| panic!("planted"));
    let error = DataLoader::new(&panics, 1)?.num_workers(1).epoch()?.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "DataLoader: expected a data set that does not panic, got a panic in batch 0");
    let endless =
        from_fn(usize::MAX, |_| Ok((Tensor::new(1.0, &Device::Cpu)?, Tensor::new(1.0, &Device::Cpu)?)));
    assert!(DataLoader::new(&endless, 9)?.shuffle(1).epoch().is_err());
    assert_eq!(DataLoader::new(&endless, 9)?.epoch()?.next().unwrap()?.0.dims(), [9]);
    Ok(())
}

#[test]
fn batches_have_no_history() -> Result<()> {
    let x = Tensor::parameter(Tensor::ones((4, 2), DType::F64, &Device::Cpu)?);
    let data = TensorDataset::new(&x, &x)?;
    assert!(!DataLoader::new(&data, 2)?.epoch()?.next().unwrap()?.0.requires_grad());
    Ok(())
}
