//! The Iris data set.

use super::LabeledDataset;
use crate::error::Result;

/// The 150 flowers of three species that Fisher measured in 1936.
///
/// Inputs: (150, 4), in centimetres. Classes: 0 setosa, 1 versicolor, 2 virginica; 50 flowers each, in this order.
///
/// # Source
/// R. A. Fisher, "The use of multiple measurements in taxonomic problems", 1936; UCI Machine Learning Repository, CC BY
/// 4.0.
///
/// ```
/// let iris = tealight::data::iris()?;
/// assert_eq!(iris.inputs.dims(), [150, 4]);
/// assert_eq!(iris.classes, ["setosa", "versicolor", "virginica"]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "load_iris")]
pub fn iris() -> Result<LabeledDataset> {
    let text = include_str!("../../data/iris.csv");
    LabeledDataset::parse_embedded(text, &["setosa", "versicolor", "virginica"])
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn known_facts() -> Result<()> {
        let iris = super::iris()?;
        assert_eq!(iris.features, ["sepal_length", "sepal_width", "petal_length", "petal_width"]);
        assert_eq!(iris.class_counts()?, [50, 50, 50]);
        let x = iris.inputs.to_vec2::<f32>()?;
        assert_eq!((&x[0], &x[149]), (&vec![5.1, 3.5, 1.4, 0.2], &vec![5.9, 3.0, 5.1, 1.8]));
        // The means that every description of the data set gives.
        let mean = iris.inputs.to_dtype(DType::F64)?.mean(0)?.to_vec1::<f64>()?;
        for (mean, known) in mean.iter().zip([5.843333, 3.057333, 3.758, 1.199333]) {
            assert!((mean - known).abs() < 1e-6, "{mean} {known}");
        }
        Ok(())
    }
}
