//! Splits into training and test sets, and cross-validation.

use std::collections::BTreeMap;

use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// Splits the indices below `n` at random: those to train on, and a fraction `test` of them, at least one, to test with.
///
/// Errors if `test` is not between 0 and 1, or `n` is below 2.
///
/// ```
/// # use tealight::data::random_split;
/// # use tealight::prelude::*;
/// let (train, test) = random_split(10, 0.3, &mut Rng::seed(1))?;
/// assert_eq!((train.len(), test.len()), (7, 3));
/// let mut all = [train, test].concat();
/// all.sort();
/// assert!(all.into_iter().eq(0..10));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "train_test_split")]
pub fn random_split(n: usize, test: f64, rng: &mut Rng) -> Result<(Vec<usize>, Vec<usize>)> {
    let test = test_count("random_split", n, test)?;
    let mut indices = rng.permutation(n);
    let train = indices.split_off(test);
    Ok((train, indices))
}

/// [`random_split`] with the proportions of the classes kept in both parts, to within one example.
///
/// `classes` is the class index of each example, u32 of shape (n).
///
/// ```
/// # use tealight::data::stratified_split;
/// # use tealight::prelude::*;
/// let classes = Tensor::new(&[0_u32, 0, 0, 0, 0, 0, 1, 1, 1], &Device::Cpu)?;
/// let (train, test) = stratified_split(&classes, 1.0 / 3.0, &mut Rng::seed(1))?;
/// assert_eq!(train.len(), 6);
/// assert_eq!(test.iter().filter(|&&i| i < 6).count(), 2);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn stratified_split(classes: &Tensor, test: f64, rng: &mut Rng) -> Result<(Vec<usize>, Vec<usize>)> {
    let groups = groups(classes, rng)?;
    let n = groups.iter().map(Vec::len).sum();
    let tests = test_count("stratified_split", n, test)?;
    // Each class gives its share rounded down; those with the largest remainders give one more.
    let share = |group: &Vec<usize>| group.len() as f64 * tests as f64 / n as f64;
    let mut counts: Vec<usize> = groups.iter().map(|group| share(group) as usize).collect();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by(|&a, &b| share(&groups[b]).fract().total_cmp(&share(&groups[a]).fract()));
    let missing = tests.saturating_sub(counts.iter().sum());
    order.iter().take(missing).for_each(|&class| counts[class] += 1);
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (group, count) in groups.iter().zip(counts) {
        let (first, rest) = group.split_at(count.min(group.len()));
        test.extend_from_slice(first);
        train.extend_from_slice(rest);
    }
    Ok((shuffled(train, rng), shuffled(test, rng)))
}

/// Cross-validation: splits the indices below `n` at random into `k` parts of equal size, to within one.
///
/// The iterator gives, for each part, the indices of all others to train on and those of the part to test with. Errors if `k` is
/// below 2 or above `n`.
///
/// ```
/// # use tealight::data::k_fold;
/// # use tealight::prelude::*;
/// for (train, test) in k_fold(150, 4, &mut Rng::seed(1))? {
///     assert_eq!(train.len() + test.len(), 150);
///     assert!(test.len() == 37 || test.len() == 38);
/// }
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "KFold")]
#[doc(alias = "cross_validation")]
pub fn k_fold(n: usize, k: usize, rng: &mut Rng) -> Result<Folds> {
    check_folds("k_fold", n, k)?;
    Ok(Folds { order: rng.permutation(n), k, next: 0 })
}

/// [`k_fold`] with the proportions of the classes kept in each part, to within one example.
///
/// `classes` is the class index of each example, u32 of shape (n).
#[doc(alias = "StratifiedKFold")]
pub fn stratified_k_fold(classes: &Tensor, k: usize, rng: &mut Rng) -> Result<Folds> {
    // Dealt like cards: all of one class, then all of the next.
    let order = groups(classes, rng)?.concat();
    check_folds("stratified_k_fold", order.len(), k)?;
    Ok(Folds { order, k, next: 0 })
}

/// The parts of [`k_fold`]: pairs of the indices to train on and those to test with.
#[derive(Clone, Debug)]
pub struct Folds {
    /// The index at place i belongs to part i mod k.
    order: Vec<usize>,
    k: usize,
    next: usize,
}

impl Iterator for Folds {
    type Item = (Vec<usize>, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let part = (self.next < self.k).then_some(self.next)?;
        self.next += 1;
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (place, &index) in self.order.iter().enumerate() {
            if place % self.k == part { test.push(index) } else { train.push(index) }
        }
        Some((train, test))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.k - self.next, Some(self.k - self.next))
    }
}

impl ExactSizeIterator for Folds {}

fn test_count(op: &'static str, n: usize, test: f64) -> Result<usize> {
    if !(test > 0.0 && test < 1.0) {
        return Err(Error::argument(op, "a fraction between 0 and 1", test));
    }
    if n < 2 {
        return Err(Error::argument(op, "two examples or more", n));
    }
    check_length(op, n)?;
    Ok(((n as f64 * test).round() as usize).clamp(1, n - 1))
}

fn check_folds(op: &'static str, n: usize, k: usize) -> Result<()> {
    if k < 2 || k > n {
        return Err(Error::argument(op, format!("2 to {n} parts (the examples)"), k));
    }
    check_length(op, n)
}

/// Refuses to list more than 2³² − 1 indices.
pub(super) fn check_length(op: &'static str, n: usize) -> Result<()> {
    if u32::try_from(n).is_err() {
        return Err(Error::argument(op, format!("at most {} examples", u32::MAX), n));
    }
    Ok(())
}

/// The examples of each class, shuffled.
fn groups(classes: &Tensor, rng: &mut Rng) -> Result<Vec<Vec<usize>>> {
    let mut groups = BTreeMap::<u32, Vec<usize>>::new();
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

    fn assert_all(train: &[usize], test: &[usize], n: usize) {
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
        assert_all(&train, &test, 11);
        let mut tested = Vec::new();
        for (train, test) in k_fold(11, 4, rng)? {
            assert_all(&train, &test, 11);
            assert!(test.len() == 2 || test.len() == 3);
            tested.extend(test);
        }
        assert_all(&tested, &[], 11);
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
        assert_all(&train, &test, 100);
        assert_eq!((test.len(), count(&test, 5)), (25, 5));
        assert!([17, 18].contains(&count(&test, 0)) && [2, 3].contains(&count(&test, 2)));
        for (train, test) in stratified_k_fold(&y, 7, &mut Rng::seed(3))? {
            assert_all(&train, &test, 100);
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
