//! Which examples are for training and which for testing.

use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// The numbers below `n` in two parts, chosen at random: the second one has the share `test` of them, at least one.
///
/// # Errors
/// A share that is not between 0 and 1; fewer than two examples.
///
/// ```
/// use tealight::data::random_split;
/// use tealight::prelude::*;
/// let (train, test) = random_split(10, 0.3, &mut Rng::seed(1))?;
/// assert_eq!((train.len(), test.len()), (7, 3));
/// let mut all = [train, test].concat();
/// all.sort();
/// assert!(all.into_iter().eq(0..10)); // each is in one of them
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "train_test_split")]
pub fn random_split(n: usize, test: f64, rng: &mut Rng) -> Result<(Vec<usize>, Vec<usize>)> {
    let tests = share("random_split", n, test)?;
    let mut train = rng.permutation(n);
    let rest = train.split_off(tests);
    Ok((rest, train))
}

/// As [`random_split`], with every class in both parts as often as its share is: the counts are exact to within one
/// example. `classes` has a class number for each example.
///
/// # Errors
/// As [`random_split`]; classes that are no vector of u32.
///
/// ```
/// use tealight::data::stratified_split;
/// use tealight::prelude::*;
/// let classes = Tensor::new(&[0_u32, 0, 0, 0, 0, 0, 1, 1, 1], &Device::Cpu)?;
/// let (train, test) = stratified_split(&classes, 1.0 / 3.0, &mut Rng::seed(1))?;
/// assert_eq!(train.len(), 6);
/// assert_eq!(test.iter().filter(|&&i| i < 6).count(), 2);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn stratified_split(classes: &Tensor, test: f64, rng: &mut Rng) -> Result<(Vec<usize>, Vec<usize>)> {
    let groups = groups(classes, rng)?;
    let n = groups.iter().map(Vec::len).sum();
    let tests = share("stratified_split", n, test)?;
    // Every class gives what is due, rounded down; those with the largest rest give one more.
    let due = |group: &Vec<usize>| group.len() as f64 * tests as f64 / n as f64;
    let mut counts: Vec<usize> = groups.iter().map(|group| due(group) as usize).collect();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by(|&a, &b| due(&groups[b]).fract().total_cmp(&due(&groups[a]).fract()));
    let missing = tests.saturating_sub(counts.iter().sum());
    order.iter().take(missing).for_each(|&class| counts[class] += 1);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (group, count) in groups.iter().zip(counts) {
        let (test, train) = group.split_at(count.min(group.len()));
        first.extend_from_slice(train);
        second.extend_from_slice(test);
    }
    Ok((shuffled(first, rng), shuffled(second, rng)))
}

/// The numbers below `n` in `k` parts of equal size (to within one): an iterator that gives, for each part, all the
/// others and then the part itself.
///
/// # Errors
/// Fewer than 2 parts, or more than there are examples.
///
/// ```
/// use tealight::data::k_fold;
/// use tealight::prelude::*;
/// let iris = Tensor::zeros((150, 4), DType::F32, &Device::Cpu)?;
/// for (train, test) in k_fold(150, 4, &mut Rng::seed(1))? {
///     assert_eq!(train.len() + test.len(), 150);
///     assert!(test.len() == 37 || test.len() == 38);
/// }
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "cross_validation")]
pub fn k_fold(n: usize, k: usize, rng: &mut Rng) -> Result<Folds> {
    folds("k_fold", n, k)?;
    Ok(Folds { order: rng.permutation(n), k, next: 0 })
}

/// As [`k_fold`], with every class in every part equally often, to within one example.
///
/// # Errors
/// As [`k_fold`]; classes that are no vector of u32.
///
/// ```
/// use tealight::data::stratified_k_fold;
/// use tealight::prelude::*;
/// let classes = Tensor::new(&[0_u32, 0, 0, 1, 1, 1], &Device::Cpu)?;
/// for (_, test) in stratified_k_fold(&classes, 3, &mut Rng::seed(1))? {
///     assert_eq!(test.iter().filter(|&&i| i < 3).count(), 1); // one of class 0, and one of class 1
///     assert_eq!(test.len(), 2);
/// }
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn stratified_k_fold(classes: &Tensor, k: usize, rng: &mut Rng) -> Result<Folds> {
    // Dealt like cards: all of one class, then all of the next.
    let order = groups(classes, rng)?.concat();
    folds("stratified_k_fold", order.len(), k)?;
    Ok(Folds { order, k, next: 0 })
}

/// The parts of [`k_fold`]: pairs of the examples to train on and those to test with.
///
/// ```
/// use tealight::data::{Folds, k_fold};
/// use tealight::prelude::*;
/// let mut folds: Folds = k_fold(6, 3, &mut Rng::seed(1))?;
/// let (train, test) = folds.next().unwrap();
/// assert_eq!((train.len(), test.len(), folds.len()), (4, 2, 2)); // two parts are still to come
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Folds {
    /// The example at place i belongs to part i mod k.
    order: Vec<usize>,
    k: usize,
    next: usize,
}

impl Iterator for Folds {
    type Item = (Vec<usize>, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let part = (self.next < self.k).then_some(self.next)?;
        self.next += 1;
        let pairs = self.order.iter().enumerate();
        let (test, train): (Vec<_>, Vec<_>) = pairs.partition(|(place, _)| place % self.k == part);
        let bare = |pairs: Vec<(usize, &usize)>| pairs.into_iter().map(|(_, &example)| example).collect();
        Some((bare(train), bare(test)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.k - self.next, Some(self.k - self.next))
    }
}

impl ExactSizeIterator for Folds {}

fn share(op: &'static str, n: usize, test: f64) -> Result<usize> {
    if !(test > 0.0 && test < 1.0) {
        return Err(Error::argument(op, "a share between 0 and 1", test));
    }
    if n < 2 {
        return Err(Error::argument(op, "two examples or more", n));
    }
    fits_a_list(op, n)?;
    Ok(((n as f64 * test).round() as usize).clamp(1, n - 1))
}

fn folds(op: &'static str, n: usize, k: usize) -> Result<()> {
    if k < 2 || k > n {
        return Err(Error::argument(op, format!("2 to {n} parts (the examples)"), k));
    }
    fits_a_list(op, n)
}

/// Refuses more examples than a list of them has room for.
pub(super) fn fits_a_list(op: &'static str, n: usize) -> Result<()> {
    if u32::try_from(n).is_err() {
        return Err(Error::argument(op, format!("at most {} examples", u32::MAX), n));
    }
    Ok(())
}

/// The examples of each class, shuffled.
fn groups(classes: &Tensor, rng: &mut Rng) -> Result<Vec<Vec<usize>>> {
    let mut groups = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (i, class) in classes.to_vec1::<u32>()?.into_iter().enumerate() {
        groups.entry(class).or_default().push(i);
    }
    Ok(groups.into_values().map(|group| shuffled(group, rng)).collect())
}

fn shuffled(list: Vec<usize>, rng: &mut Rng) -> Vec<usize> {
    rng.permutation(list.len()).into_iter().map(|place| list[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn whole(train: &[usize], test: &[usize], n: usize) {
        let mut all = [train, test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..n).collect::<Vec<_>>());
    }

    fn classes(n: u32, of: impl Fn(u32) -> u32) -> Tensor {
        Tensor::from_vec((0..n).map(of).collect(), n as usize, &Device::Cpu).unwrap()
    }

    #[test]
    fn every_example_is_in_one_part() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let (train, test) = random_split(11, 0.3, rng)?;
        assert_eq!((train.len(), test.len()), (8, 3));
        whole(&train, &test, 11);
        let mut tested = Vec::new();
        for (train, test) in k_fold(11, 4, rng)? {
            whole(&train, &test, 11);
            assert!(test.len() == 2 || test.len() == 3);
            tested.extend(test);
        }
        whole(&tested, &[], 11);
        assert_eq!(k_fold(5, 5, rng)?.len(), 5);
        Ok(())
    }

    #[test]
    fn classes_keep_their_share() -> Result<()> {
        // 70, 20 and 10 of a hundred; class 1 does not exist.
        let y = classes(100, |i| {
            if i % 10 < 7 {
                0
            } else if i % 10 < 9 {
                5
            } else {
                2
            }
        });
        let labels = y.to_vec1::<u32>()?;
        let count = |part: &[usize], class| part.iter().filter(|&&i| labels[i] == class).count();
        let (train, test) = stratified_split(&y, 0.25, &mut Rng::seed(3))?;
        whole(&train, &test, 100);
        assert_eq!((test.len(), count(&test, 5)), (25, 5));
        assert!([17, 18].contains(&count(&test, 0)) && [2, 3].contains(&count(&test, 2)));
        for (train, test) in stratified_k_fold(&y, 7, &mut Rng::seed(3))? {
            whole(&train, &test, 100);
            assert!([14, 15].contains(&test.len()) && count(&test, 0) == 10);
            assert!([2, 3].contains(&count(&test, 5)) && [1, 2].contains(&count(&test, 2)));
        }
        assert_eq!(stratified_split(&y, 0.25, &mut Rng::seed(3))?, (train, test));
        // Not sorted by class.
        assert_ne!(stratified_split(&classes(50, |i| i / 25), 0.5, &mut Rng::seed(1))?.0[..9], [0; 9]);
        Ok(())
    }

    #[test]
    fn refusals() {
        let rng = &mut Rng::seed(1);
        for share in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(random_split(9, share, rng).is_err());
        }
        assert_eq!(
            random_split(1, 0.5, rng).unwrap_err().to_string(),
            "random_split: expected two examples or more, got 1"
        );
        assert!(random_split(usize::MAX, 0.5, rng).is_err() && k_fold(usize::MAX, 2, rng).is_err());
        for k in [0, 1, 6, usize::MAX] {
            let error = k_fold(5, k, rng).unwrap_err().to_string();
            assert_eq!(error, format!("k_fold: expected 2 to 5 parts (the examples), got {k}"));
        }
        assert!(stratified_k_fold(&classes(0, |i| i), 2, rng).is_err());
        assert!(stratified_split(&Tensor::new(&[0.0, 1.0], &Device::Cpu).unwrap(), 0.5, rng).is_err());
    }
}
