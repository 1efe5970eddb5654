use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::*;
use crate::data::{IterableDataset, Pieces, TensorDataset, from_fn};
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

/// The numbers below `n` in pieces of odd lengths, and their negatives.
#[derive(Clone)]
struct Counter(usize);

impl IterableDataset for Counter {
    fn len(&self) -> usize {
        self.0
    }

    fn iter(&self) -> Result<Pieces> {
        let (n, mut next) = (self.0, 0);
        Ok(Box::new(std::iter::from_fn(move || {
            let (from, to) = (next, n.min(next + 1 + next % 7));
            next = to;
            let piece = || {
                let x = Tensor::arange(from as f64, to as f64, &Device::Cpu)?;
                Ok((x.clone(), (-&x)?))
            };
            (from < to).then(piece)
        })))
    }
}

fn values(loader: &mut DataLoader) -> Result<Vec<Vec<f64>>> {
    loader
        .epoch()?
        .map(|batch| {
            let (x, y) = batch?;
            assert_eq!(x, (-&y)?);
            x.to_vec1::<f64>()
        })
        .collect()
}

#[test]
fn iterable_data_are_all_read_once() -> Result<()> {
    let in_order: Vec<f64> = (0..100).map(f64::from).collect();
    for threads in [0, 1, 3] {
        for (seed, size) in [(None, 1), (Some(1), 1), (Some(1), 2), (Some(1), 30), (Some(2), 1000)] {
            let mut loader = DataLoader::iterable(&Counter(100), 32)?.num_workers(threads).buffer_size(size);
            loader = if let Some(seed) = seed { loader.shuffle(seed) } else { loader };
            let [first, second] = [values(&mut loader)?, values(&mut loader)?];
            assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 32, 4]);
            let mut all = first.concat();
            assert_eq!((all == in_order, first == second), (size == 1, size == 1), "{seed:?}, {size}");
            all.sort_by(f64::total_cmp);
            assert_eq!(all, in_order);
        }
    }
    let mut empty = DataLoader::iterable(&Counter(0), 4)?.shuffle(1);
    assert!(empty.epoch()?.next().is_none());
    assert_eq!(DataLoader::iterable(&Counter(10), 4)?.drop_last().epoch()?.count(), 2);
    assert!(DataLoader::iterable(&Counter(2), 1)?.weighted(&[1.0, 1.0], 1).is_err());
    // A buffer lets none through before half of it is there.
    let first = values(&mut DataLoader::iterable(&Counter(100), 10)?.shuffle(1).buffer_size(20))?.remove(0);
    assert!(first.iter().all(|&x| x < 20.0) && first != in_order[..10], "{first:?}");
    Ok(())
}

#[test]
fn iterable_data_go_on_where_they_stopped() -> Result<()> {
    let noise = |x: &Tensor, rng: &mut Rng| x + rng.uniform();
    for threads in [0, 2] {
        let loader = || {
            Ok::<_, Error>(
                DataLoader::iterable(&Counter(50), 8)?.shuffle(3).buffer_size(20).augment(noise, 4),
            )
        };
        let mut whole = loader()?;
        let batches = whole.epoch()?.collect::<Result<Vec<_>>>()?;
        let mut epoch = loader()?.num_workers(threads).epoch()?;
        for (taken, batch) in batches.iter().enumerate() {
            let mut again = loader()?.num_workers(threads);
            again.restore(epoch.position().to_string().parse()?)?;
            let rest = again.epoch()?.collect::<Result<Vec<_>>>()?;
            assert_eq!(rest, batches[taken..]);
            assert_eq!(&epoch.next().unwrap()?, batch);
        }
        let other = loader()?.buffer_size(21).restore(epoch.position());
        assert!(other.is_err());
    }
    // The shards of a batch, by two ranks.
    let loader = || DataLoader::iterable(&Counter(20), 8)?.shuffle(3).buffer_size(9).drop_last().epoch();
    let mut whole = loader()?;
    let part = |rank| {
        Ok::<_, Error>(
            DataLoader::iterable(&Counter(20), 8)?.shuffle(3).buffer_size(9).drop_last().sharded(3, rank, 2),
        )
    };
    let mut parts = [part(0)?.epoch()?, part(1)?.epoch()?];
    for batch in whole.by_ref() {
        let mut shards = Vec::new();
        for part in &mut parts {
            shards.extend(part.next_shards().unwrap()?);
        }
        shards.sort_by_key(|(number, _)| *number);
        let inputs: Vec<Tensor> = shards.into_iter().map(|(_, (inputs, _))| inputs[0].clone()).collect();
        assert_eq!(Tensor::cat(&inputs, 0)?, batch?.0);
    }
    Ok(())
}

/// Numbers, one in a piece, each of which is told when it is read.
#[derive(Clone)]
struct Told(usize, Sender<usize>);

impl IterableDataset for Told {
    fn len(&self) -> usize {
        self.0
    }

    fn iter(&self) -> Result<Pieces> {
        let told = self.1.clone();
        Ok(Box::new((0..self.0).map(move |i| {
            told.send(i).unwrap();
            let x = Tensor::ones(1, DType::F32, &Device::Cpu)?;
            Ok((x.clone(), x))
        })))
    }
}

#[test]
fn a_buffer_fills_up_again_while_its_batches_are_taken() -> Result<()> {
    let (sender, told) = channel();
    let data = Told(100, sender);
    let mut epoch = DataLoader::iterable(&data, 2)?.shuffle(1).buffer_size(20).num_workers(1).epoch()?;
    assert_eq!(epoch.next().unwrap()?.0.dims(), [2]);
    // Nothing else is taken. The first buffer gives 5 batches, and the second one needs 10 examples more.
    let read = |_| told.recv_timeout(Duration::from_secs(60));
    assert_eq!((0..30).map(read).collect::<std::result::Result<Vec<_>, _>>(), Ok((0..30).collect()));
    // As many as are told, whatever the buffer.
    let mut all =
        DataLoader::iterable(&data, 2)?.shuffle(1).buffer_size(usize::MAX).num_workers(1).epoch()?;
    assert_eq!(all.by_ref().collect::<Result<Vec<_>>>()?.len(), 50);
    Ok(())
}

#[test]
fn iterable_data_with_faults_are_errors() -> Result<()> {
    #[derive(Clone)]
    struct Faulty(u8);
    impl IterableDataset for Faulty {
        fn len(&self) -> usize {
            10
        }

        fn iter(&self) -> Result<Pieces> {
            let x = Tensor::ones((4, 2), DType::F32, &Device::Cpu)?;
            let y = x.narrow(1, 0, 1)?;
            Ok(Box::new(match self.0 {
                0 => vec![Ok((x.clone(), y.clone())), Ok((x, y))].into_iter(),
                1 => vec![Ok((x.clone(), y.clone())), Ok((y, x))].into_iter(),
                2 => vec![Ok((x.clone(), y.narrow(0, 0, 3)?))].into_iter(),
                3 => vec![Ok((x, y)), Err(Error::argument("file", "a page", "none"))].into_iter(),
                _ => return Err(Error::argument("file", "a folder", "none")),
            }))
        }
    }
    for (fault, expected) in [
        (0, "an iterable data set of 10 examples, as it says, got 8"),
        (1, "inputs: "),
        (2, "pieces with a first axis that counts inputs and targets, got [4, 2] and [3, 1]"),
        (3, "expected a page"),
        (4, "expected a folder"),
    ] {
        for threads in [0, 1] {
            let mut epoch = DataLoader::iterable(&Faulty(fault), 5)?.num_workers(threads).epoch()?;
            let error = epoch.find_map(Result::err).unwrap().to_string();
            assert!(error.contains(expected), "{fault}: {error}");
        }
    }
    Ok(())
}
