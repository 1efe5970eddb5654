//! The Breast Cancer Wisconsin (Diagnostic) data set.

use super::LabeledDataset;
use crate::error::Result;

/// 569 breast tumours: the mean, standard error and worst value of ten measures of their cell nuclei.
///
/// Inputs: (569, 30), from thousandths (fractal dimension) to thousands (area in pixels), so scale the columns before training.
/// Classes: 0 malignant (212), 1 benign (357).
///
/// # Source
/// W. Wolberg, O. Mangasarian, N. Street, W. Street, 1995; UCI Machine Learning Repository, CC BY 4.0.
///
/// ```
/// let cancer = tealight::data::breast_cancer()?;
/// assert_eq!(cancer.inputs.dims(), [569, 30]);
/// assert_eq!(cancer.classes, ["malignant", "benign"]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "load_breast_cancer")]
pub fn breast_cancer() -> Result<LabeledDataset> {
    let text = include_str!("../../data/breast_cancer.csv");
    LabeledDataset::parse_embedded(text, &["malignant", "benign"])
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn known_facts() -> Result<()> {
        let cancer = super::breast_cancer()?;
        assert_eq!(cancer.class_counts()?, [212, 357]);
        assert_eq!(cancer.features.len(), 30);
        assert_eq!((&*cancer.features[0], &*cancer.features[29]), ("mean_radius", "worst_fractal_dimension"));
        let x = cancer.inputs.to_dtype(DType::F64)?;
        let mean = x.mean(0)?.to_vec1::<f64>()?;
        // The mean radius and the mean area that every description of the data set gives.
        assert!((mean[0] - 14.127292).abs() < 1e-5 && (mean[3] - 654.889104).abs() < 1e-4, "{mean:?}");
        Ok(())
    }
}
