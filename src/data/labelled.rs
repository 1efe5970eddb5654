//! [`Labelled`]: examples, each of one class.

use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Examples with one class each, in main memory.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The examples, f32: the first axis counts them.
    pub inputs: Tensor,
    /// The class number of each example, u32 of shape (n).
    pub targets: Tensor,
    /// The name of each class: class number 0 first.
    pub names: Vec<String>,
    /// What each column of `inputs` measures; none for pictures.
    pub features: Vec<String>,
}

impl Labelled {
    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many examples each class has.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// let iris = tealight::data::iris()?;
    /// assert_eq!(iris.counts()?, [50, 50, 50]);
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Errors
    /// Targets that are not a vector of u32, or a class number without a name.
    pub fn counts(&self) -> Result<Vec<usize>> {
        let mut counts = vec![0; self.names.len()];
        for class in self.targets.to_vec1::<u32>()? {
            match counts.get_mut(class as usize) {
                Some(count) => *count += 1,
                None => {
                    let expected = format!("class numbers below {}", counts.len());
                    return Err(Error::argument("counts", expected, class));
                }
            }
        }
        Ok(counts)
    }

    /// A table with one header line: numbers, then the name of the class in the last column. The classes are numbered in
    /// the order of `names`.
    #[cfg(feature = "csv")]
    pub(super) fn from_csv(file: &str, text: &str, names: &[&str]) -> Result<Labelled> {
        use candle_core::Device;

        let wrong = |line: usize, message: String| Error::File {
            path: file.into(),
            message: format!("line {line}: {message}"),
        };
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
        Ok(Labelled {
            inputs: Tensor::from_vec(inputs, (rows, features.len()), &Device::Cpu)?,
            targets: Tensor::from_vec(targets, rows, &Device::Cpu)?,
            names: names.iter().map(|name| name.to_string()).collect(),
            features,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Labelled;
    use crate::prelude::*;

    #[test]
    fn counting() -> Result<()> {
        let mut data = Labelled {
            inputs: Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?,
            targets: Tensor::new(&[1u32, 0, 1], &Device::Cpu)?,
            names: vec!["a".into(), "b".into(), "c".into()],
            features: Vec::new(),
        };
        assert_eq!((data.len(), data.is_empty(), data.counts()?), (3, false, vec![1, 2, 0]));
        data.names.truncate(1);
        assert_eq!(data.counts().unwrap_err().to_string(), "counts: expected class numbers below 1, got 1");
        Ok(())
    }

    #[cfg(feature = "csv")]
    #[test]
    fn tables() -> Result<()> {
        let data = Labelled::from_csv("t.csv", "x,y,class\n1,2e-1,no\n-3,nan,yes\n", &["yes", "no"])?;
        assert_eq!(data.inputs.to_vec2::<f32>()?[0], [1.0, 0.2]);
        assert_eq!(
            (data.targets.to_vec1::<u32>()?, data.features),
            (vec![1, 0], vec!["x".into(), "y".into()])
        );
        for (text, message) in [
            ("x,class\n1,a\ntwo,a\n", "t.csv: line 3: expected a number, got \"two\""),
            ("x,class\n1,b\n", "t.csv: line 2: expected one of [\"a\"], got \"b\""),
        ] {
            assert_eq!(Labelled::from_csv("t.csv", text, &["a"]).unwrap_err().to_string(), message);
        }
        assert!(Labelled::from_csv("t.csv", "x,class\n1\n", &["a"]).is_err());
        assert!(Labelled::from_csv("t.csv", "", &["a"])?.is_empty());
        Ok(())
    }
}
