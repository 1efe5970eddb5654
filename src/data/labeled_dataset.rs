//! [`LabeledDataset`]: examples in memory with their classes or numbers.

use candle_core::Device;

use super::split::random_split;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// Examples in main memory, each with a class or with a number to predict.
///
/// ```
/// # use tealight::data::LabeledDataset;
/// # use tealight::prelude::*;
/// let fruit = LabeledDataset {
///     inputs: Tensor::new(&[[0.1_f32, 7.0], [0.2, 8.0], [1.5, 20.0]], &Device::Cpu)?,
///     targets: Tensor::new(&[0_u32, 0, 1], &Device::Cpu)?,
///     classes: vec!["apple".into(), "melon".into()],
///     features: vec!["kg".into(), "cm".into()],
/// };
/// assert_eq!(fruit.class_counts()?, [2, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LabeledDataset {
    /// The inputs, f32 of shape (n, …).
    pub inputs: Tensor,
    /// The class index of each example, u32 of shape (n); or the number to predict, f32 of shape (n, 1).
    pub targets: Tensor,
    /// The name of each class. Empty where numbers are predicted.
    #[doc(alias = "target_names")]
    pub classes: Vec<String>,
    /// The name of each column of `inputs`. Empty for images.
    #[doc(alias = "feature_names")]
    pub features: Vec<String>,
}

impl LabeledDataset {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of examples of each class.
    ///
    /// Errors if a target is no index into `classes`.
    pub fn class_counts(&self) -> Result<Vec<usize>> {
        let mut counts = vec![0; self.classes.len()];
        for class in self.targets.to_vec1::<u32>()? {
            let expected = || format!("class indices below {}", self.classes.len());
            let count = counts.get_mut(class as usize);
            *count.ok_or_else(|| Error::argument("class_counts", expected(), class))? += 1;
        }
        Ok(counts)
    }

    /// A weight for each example, 1 over the number of examples of its class: with these,
    /// [`DataLoader::weighted`](super::DataLoader::weighted) draws every class equally often.
    ///
    /// ```
    /// let few = tealight::data::iris()?.select(&[0, 1, 100])?; // two setosas, one virginica
    /// assert_eq!(few.balancing_weights()?, [0.5, 0.5, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "compute_sample_weight")]
    pub fn balancing_weights(&self) -> Result<Vec<f64>> {
        let counts = self.class_counts()?;
        let classes = self.targets.to_vec1::<u32>()?;
        Ok(classes.iter().map(|&class| 1.0 / counts[class as usize] as f64).collect())
    }

    /// The same classes and features with these examples.
    fn with(&self, inputs: Tensor, targets: Tensor) -> LabeledDataset {
        LabeledDataset { inputs, targets, classes: self.classes.clone(), features: self.features.clone() }
    }

    /// The examples with these indices, in this order; an index may be repeated.
    ///
    /// ```
    /// let iris = tealight::data::iris()?;
    /// assert_eq!(iris.select(&[149, 0])?.targets.to_vec1::<u32>()?, [2, 0]);
    /// assert_eq!(iris.select(&[150]).unwrap_err().to_string(), "select: expected rows below 150, got 150");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn select(&self, indices: &[usize]) -> Result<LabeledDataset> {
        let checked = |&index: &usize| {
            let fits = u32::try_from(index).ok().filter(|_| index < self.len());
            fits.ok_or_else(|| Error::argument("select", format!("rows below {}", self.len()), index))
        };
        let rows = indices.iter().map(checked).collect::<Result<Vec<u32>>>()?;
        let rows = Tensor::from_vec(rows, indices.len(), &Device::Cpu)?;
        Ok(self.with(self.inputs.index_select(0, &rows)?, self.targets.index_select(0, &rows)?))
    }

    /// One class against all others: the target is 1 for it and 0 otherwise, f32 of shape (n, 1), as a model with one score
    /// takes it.
    ///
    /// ```
    /// let zeros = tealight::data::digits()?.one_vs_rest(0)?;
    /// assert_eq!((zeros.targets.dims(), &zeros.classes[..]), (&[1797, 1][..], &["not 0".to_string(), "0".into()][..]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn one_vs_rest(&self, class: usize) -> Result<LabeledDataset> {
        let Some(name) = self.classes.get(class) else {
            let expected = format!("a class below {}", self.classes.len());
            return Err(Error::argument("one_vs_rest", expected, class));
        };
        let is_class = |target| f32::from(u8::from(target as usize == class));
        let targets: Vec<f32> = self.targets.to_vec1::<u32>()?.into_iter().map(is_class).collect();
        let n = targets.len();
        Ok(LabeledDataset {
            classes: vec![format!("not {name}"), name.clone()],
            ..self.with(self.inputs.clone(), Tensor::from_vec(targets, (n, 1), &Device::Cpu)?)
        })
    }

    /// The first `n` examples, and the rest.
    pub fn split_at(&self, n: usize) -> Result<(LabeledDataset, LabeledDataset)> {
        let rest = self.len().checked_sub(n);
        let rest =
            rest.ok_or_else(|| Error::argument("split_at", format!("at most {} examples", self.len()), n))?;
        let part = |start, len| -> Result<_> {
            Ok(self.with(self.inputs.narrow(0, start, len)?, self.targets.narrow(0, start, len)?))
        };
        Ok((part(0, n)?, part(n, rest)?))
    }

    /// Splits at random: the examples to train on, and a fraction `test` of them, at least one, to test with.
    ///
    /// Errors if `test` is not between 0 and 1, or there are fewer than two examples.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let (train, test) = tealight::data::iris()?.train_test_split(0.2, &mut Rng::seed(1))?;
    /// assert_eq!((train.len(), test.len()), (120, 30));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn train_test_split(&self, test: f64, rng: &mut Rng) -> Result<(LabeledDataset, LabeledDataset)> {
        let (train, test) = random_split(self.len(), test, rng)?;
        Ok((self.select(&train)?, self.select(&test)?))
    }

    /// A table that is compiled into the crate: numbers, and the name of the class in the last column. The classes are numbered
    /// in the order of `classes`.
    pub(super) fn parse_embedded(text: &str, classes: &[&str]) -> Result<LabeledDataset> {
        let mut lines = text.lines();
        let header = lines.next().expect("the table has a header");
        let (features, _) = header.rsplit_once(',').expect("the table has two columns or more");
        let features: Vec<String> = features.split(',').map(String::from).collect();
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for line in lines {
            let (numbers, name) = line.rsplit_once(',').expect("a row has two values or more");
            inputs.extend(numbers.split(',').map(|x| x.parse::<f32>().expect("inputs are numbers")));
            let class = classes.iter().position(|class| *class == name);
            targets.push(class.expect("the last value is a class") as u32);
        }
        let rows = targets.len();
        Ok(LabeledDataset {
            inputs: Tensor::from_vec(inputs, (rows, features.len()), &Device::Cpu)?,
            targets: Tensor::from_vec(targets, rows, &Device::Cpu)?,
            classes: classes.iter().map(|class| class.to_string()).collect(),
            features,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::LabeledDataset;
    use crate::prelude::*;

    #[test]
    fn class_counts() -> Result<()> {
        let mut data = LabeledDataset {
            inputs: Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?,
            targets: Tensor::new(&[1u32, 0, 1], &Device::Cpu)?,
            classes: vec!["a".into(), "b".into(), "c".into()],
            features: Vec::new(),
        };
        assert_eq!((data.len(), data.is_empty(), data.class_counts()?), (3, false, vec![1, 2, 0]));
        assert_eq!(data.balancing_weights()?, [0.5, 1.0, 0.5]);
        data.classes.truncate(1);
        assert_eq!(
            data.class_counts().unwrap_err().to_string(),
            "class_counts: expected class indices below 1, got 1"
        );
        Ok(())
    }

    #[test]
    fn random_parts() -> Result<()> {
        let data = LabeledDataset {
            inputs: Tensor::arange(0.0_f32, 20.0, &Device::Cpu)?.reshape((10, 2))?,
            targets: Tensor::arange(0u32, 10, &Device::Cpu)?,
            classes: (0..10).map(|i| i.to_string()).collect(),
            features: vec!["a".into(), "b".into()],
        };
        let (train, test) = data.train_test_split(0.25, &mut Rng::seed(1))?;
        assert_eq!((train.len(), test.len()), (7, 3));
        let mut all = [train.targets.to_vec1::<u32>()?, test.targets.to_vec1()?].concat();
        // Each example is in one part, with its own target.
        assert_eq!(test.inputs.to_vec2::<f32>()?[2][0], 2.0 * all[9] as f32);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(data.train_test_split(0.001, &mut Rng::seed(1))?.1.len(), 1);
        for share in [0.0, 1.0, f64::NAN] {
            assert!(matches!(data.train_test_split(share, &mut Rng::seed(1)), Err(Error::Argument { .. })));
        }
        assert!(data.select(&[0])?.train_test_split(0.5, &mut Rng::seed(1)).is_err());
        assert_eq!(data.select(&[10]).unwrap_err().to_string(), "select: expected rows below 10, got 10");
        assert!(data.select(&[])?.is_empty());
        Ok(())
    }

    #[test]
    fn one_class_and_the_others() -> Result<()> {
        let data = LabeledDataset {
            inputs: Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?,
            targets: Tensor::new(&[1u32, 0, 2], &Device::Cpu)?,
            classes: vec!["a".into(), "b".into(), "c".into()],
            features: Vec::new(),
        };
        let (first, rest) = data.one_vs_rest(2)?.split_at(2)?;
        assert_eq!(
            (first.len(), rest.targets.to_vec2::<f32>()?, &rest.classes[1][..]),
            (2, vec![vec![1.0]], "c")
        );
        assert!(data.split_at(3)?.1.is_empty());
        assert_eq!(data.split_at(4).unwrap_err().to_string(), "split_at: expected at most 3 examples, got 4");
        assert_eq!(
            data.one_vs_rest(3).unwrap_err().to_string(),
            "one_vs_rest: expected a class below 3, got 3"
        );
        assert!(data.one_vs_rest(1)?.one_vs_rest(1).is_err());
        Ok(())
    }
}
