//! [`LabeledDataset`]: examples in memory, each of one class or with one number to predict.

use super::split::random_split;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// Examples in main memory, with one class each, or with one number each that is to be predicted.
///
/// ```
/// use tealight::data::LabeledDataset;
/// use tealight::prelude::*;
/// let fruit = LabeledDataset {
///     inputs: Tensor::new(&[[0.1_f32, 7.0], [0.2, 8.0], [1.5, 20.0]], &Device::Cpu)?,
///     targets: Tensor::new(&[0_u32, 0, 1], &Device::Cpu)?,
///     names: vec!["apple".into(), "melon".into()],
///     features: vec!["kg".into(), "cm".into()],
/// };
/// assert_eq!(fruit.class_counts()?, [2, 1]); // apples and melons
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LabeledDataset {
    /// The examples, f32: the first axis counts them.
    pub inputs: Tensor,
    /// The class number of each example, u32 of shape (n); or the number to predict, f32 of shape (n, 1).
    pub targets: Tensor,
    /// The name of each class: class number 0 first. None where numbers are predicted.
    pub classes: Vec<String>,
    /// What each column of `inputs` measures; none for pictures.
    pub features: Vec<String>,
}

impl LabeledDataset {
    /// How many examples there are.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// let iris = tealight::data::iris()?;
    /// assert_eq!((iris.len(), iris.inputs.dims()), (150, &[150, 4][..]));
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there are no examples.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// let iris = tealight::data::iris()?;
    /// assert!(!iris.is_empty() && iris.select(&[])?.is_empty());
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many examples each class has.
    ///
    /// # Errors
    /// Targets that are not a vector of u32, or a class number without a name.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// let iris = tealight::data::iris()?;
    /// assert_eq!(iris.class_counts()?, [50, 50, 50]);
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn class_counts(&self) -> Result<Vec<usize>> {
        let mut counts = vec![0; self.classes.len()];
        for class in self.targets.to_vec1::<u32>()? {
            match counts.get_mut(class as usize) {
                Some(count) => *count += 1,
                None => {
                    let expected = format!("class numbers below {}", counts.len());
                    return Err(Error::argument("class_counts", expected, class));
                }
            }
        }
        Ok(counts)
    }

    /// A weight for each example, 1 over the number of examples of its class: with these,
    /// [`DataLoader::weighted`](super::DataLoader::weighted) takes every class equally often.
    ///
    /// # Errors
    /// As [`class_counts`](LabeledDataset::class_counts).
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// let few = tealight::data::iris()?.select(&[0, 1, 100])?; // two setosas, one virginica
    /// assert_eq!(few.balancing_weights()?, [0.5, 0.5, 1.0]);
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn balancing_weights(&self) -> Result<Vec<f64>> {
        let counts = self.class_counts()?;
        let classes = self.targets.to_vec1::<u32>()?;
        Ok(classes.iter().map(|&class| 1.0 / counts[class as usize] as f64).collect())
    }

    /// The examples that `rows` names, in its order.
    ///
    /// # Errors
    /// A row that does not exist.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// let iris = tealight::data::iris()?;
    /// assert_eq!(iris.select(&[149, 0])?.targets.to_vec1::<u32>()?, [2, 0]);
    /// assert_eq!(iris.select(&[150]).unwrap_err().to_string(), "select: expected rows below 150, got 150");
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn select(&self, rows: &[usize]) -> Result<LabeledDataset> {
        let fits = |&row: &usize| u32::try_from(row).ok().filter(|_| row < self.len());
        let rows = rows.iter().map(|row| {
            let expected = || Error::argument("select", format!("rows below {}", self.len()), row);
            fits(row).ok_or_else(expected)
        });
        let rows = Tensor::new(&rows.collect::<Result<Vec<u32>>>()?[..], &candle_core::Device::Cpu)?;
        let (inputs, targets) = (self.inputs.index_select(0, &rows)?, self.targets.index_select(0, &rows)?);
        Ok(LabeledDataset { inputs, targets, classes: self.classes.clone(), features: self.features.clone() })
    }

    /// One class against all others: the targets are 1 where it is, else 0, f32 of shape (n, 1), as a model with one score takes
    /// them.
    ///
    /// # Errors
    /// A class without a name; targets that are not a vector of u32.
    ///
    /// ```
    /// let digits = tealight::data::digits()?;
    /// let zeros = digits.one_vs_rest(0)?;
    /// assert_eq!((zeros.targets.dims(), &zeros.classes[..]), (&[1797, 1][..], &["not 0".to_string(), "0".into()][..]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn one_vs_rest(&self, class: usize) -> Result<LabeledDataset> {
        let Some(name) = self.classes.get(class) else {
            let expected = format!("a class below {}", self.classes.len());
            return Err(Error::argument("one_vs_rest", expected, class));
        };
        let is = |target| f32::from(u8::from(target as usize == class));
        let targets: Vec<f32> = self.targets.to_vec1::<u32>()?.into_iter().map(is).collect();
        let n = targets.len();
        Ok(LabeledDataset {
            inputs: self.inputs.clone(),
            targets: Tensor::from_vec(targets, (n, 1), &candle_core::Device::Cpu)?,
            classes: vec![format!("not {name}"), name.clone()],
            features: self.features.clone(),
        })
    }

    /// The first `n` examples, and the rest.
    ///
    /// # Errors
    /// More than there are.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// let (first, rest) = tealight::data::iris()?.split_at(50)?;
    /// assert_eq!((first.class_counts()?, rest.counts()?), (vec![50, 0, 0], vec![0, 50, 50])); // they are in order
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn split_at(&self, n: usize) -> Result<(LabeledDataset, LabeledDataset)> {
        let rest = self
            .len()
            .checked_sub(n)
            .ok_or_else(|| Error::argument("split_at", format!("at most {} examples", self.len()), n))?;
        let part = |start, len| {
            Ok::<_, Error>(LabeledDataset {
                inputs: self.inputs.narrow(0, start, len)?,
                targets: self.targets.narrow(0, start, len)?,
                classes: self.classes.clone(),
                features: self.features.clone(),
            })
        };
        Ok((part(0, n)?, part(n, rest)?))
    }

    /// Two parts, chosen at random: the second one has the share `test` of the examples, at least one.
    ///
    /// # Errors
    /// A share that is not between 0 and 1; fewer than two examples.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// use tealight::prelude::*;
    /// let (train, test) = tealight::data::iris()?.train_test_split(0.2, &mut Rng::seed(1))?;
    /// assert_eq!((train.len(), test.len()), (120, 30));
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn train_test_split(&self, test: f64, rng: &mut Rng) -> Result<(LabeledDataset, LabeledDataset)> {
        let (train, test) = random_split(self.len(), test, rng)?;
        Ok((self.select(&train)?, self.select(&test)?))
    }

    /// A table with one header line: numbers, then the name of the class in the last column. The classes are numbered in
    /// the order of `names`.
    #[cfg(feature = "csv")]
    pub(super) fn from_csv(file: &str, text: &str, names: &[&str]) -> Result<LabeledDataset> {
        use candle_core::Device;

        let wrong = |line: usize, message: String| Error::file(file, format!("line {line}: {message}"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut features: Vec<String> =
            reader.headers().map_err(|e| wrong(1, e.to_string()))?.iter().map(String::from).collect();
        features.pop();
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for (i, record) in reader.records().enumerate() {
            let record = record.map_err(|e| wrong(i + 2, e.to_string()))?;
            for field in record.iter().take(features.len()) {
                let number: f32 =
                    field.parse().map_err(|_| wrong(i + 2, format!("expected a number, got {field:?}")))?;
                inputs.push(number);
            }
            let name = record.get(features.len()).unwrap_or_default();
            let class = names.iter().position(|known| *known == name);
            let class =
                class.ok_or_else(|| wrong(i + 2, format!("expected one of {names:?}, got {name:?}")))?;
            targets.push(class as u32);
        }
        let rows = targets.len();
        Ok(LabeledDataset {
            inputs: Tensor::from_vec(inputs, (rows, features.len()), &Device::Cpu)?,
            targets: Tensor::from_vec(targets, rows, &Device::Cpu)?,
            classes: names.iter().map(|name| name.to_string()).collect(),
            features,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::LabeledDataset;
    use crate::prelude::*;

    #[test]
    fn counting() -> Result<()> {
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
            "class_counts: expected class numbers below 1, got 1"
        );
        Ok(())
    }

    #[test]
    fn parts() -> Result<()> {
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

    #[cfg(feature = "csv")]
    #[test]
    fn tables() -> Result<()> {
        let data = LabeledDataset::from_csv("t.csv", "x,y,class\n1,2e-1,no\n-3,nan,yes\n", &["yes", "no"])?;
        assert_eq!(data.inputs.to_vec2::<f32>()?[0], [1.0, 0.2]);
        assert_eq!(
            (data.targets.to_vec1::<u32>()?, data.features),
            (vec![1, 0], vec!["x".into(), "y".into()])
        );
        for (text, message) in [
            ("x,class\n1,a\ntwo,a\n", "t.csv: line 3: expected a number, got \"two\""),
            ("x,class\n1,b\n", "t.csv: line 2: expected one of [\"a\"], got \"b\""),
        ] {
            assert_eq!(LabeledDataset::from_csv("t.csv", text, &["a"]).unwrap_err().to_string(), message);
        }
        assert!(LabeledDataset::from_csv("t.csv", "x,class\n1\n", &["a"]).is_err());
        assert!(LabeledDataset::from_csv("t.csv", "", &["a"])?.is_empty());
        Ok(())
    }
}
