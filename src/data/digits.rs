//! The digits data set: handwriting, 8 × 8 pixels.

use candle_core::Device;

use super::{LabeledDataset, image};
use crate::autograd::Tensor;
use crate::error::Result;

const SIDE: usize = 8;

/// 1797 handwritten digits of 8 × 8 pixels, compiled into the crate.
///
/// Inputs: (1797, 8, 8), from 0 (paper) to 1 (ink) in steps of 1/16. The classes are the digits 0 to 9.
///
/// # Source
/// E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", 1998, the test set; UCI Machine Learning
/// Repository, CC BY 4.0.
///
/// ```
/// let digits = tealight::data::digits()?;
/// assert_eq!(digits.inputs.dims(), [1797, 8, 8]);
/// assert_eq!(digits.targets.to_vec1::<u32>()?[..4], [0, 1, 2, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "load_digits")]
pub fn digits() -> Result<LabeledDataset> {
    let sheet = image::from_bytes("digits.png", include_bytes!("../../data/digits.png"))?;
    let labels = include_str!("../../data/digits-labels.txt").trim_end().as_bytes();
    let columns = sheet.dims()[1] / SIDE;
    let pixels = sheet.flatten(0, -1)?.to_vec1::<u8>()?;
    let mut inputs = Vec::with_capacity(labels.len() * SIDE * SIDE);
    for tile in 0..labels.len() {
        for row in 0..SIDE {
            let start = ((tile / columns * SIDE + row) * columns + tile % columns) * SIDE;
            // The sheet has 15 steps of grey for one of intensity.
            inputs.extend(pixels[start..start + SIDE].iter().map(|&grey| f32::from(grey) / 240.0));
        }
    }
    let targets = labels.iter().map(|label| u32::from(label - b'0')).collect();
    Ok(LabeledDataset {
        inputs: Tensor::from_vec(inputs, (labels.len(), SIDE, SIDE), &Device::Cpu)?,
        targets: Tensor::from_vec(targets, labels.len(), &Device::Cpu)?,
        classes: (0..10).map(|digit| digit.to_string()).collect(),
        features: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn known_facts() -> Result<()> {
        let digits = super::digits()?;
        assert_eq!(digits.class_counts()?, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let labels = digits.targets.to_vec1::<u32>()?;
        assert_eq!(
            (&labels[..10], &labels[1792..]),
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..], &[9, 0, 8, 9, 8][..])
        );
        let inputs = (digits.inputs * 16.0)?.to_vec3::<f32>()?;
        // The first digit, and the last row of the last, as every description of the data set prints them.
        assert_eq!(inputs[0][0], [0., 0., 5., 13., 9., 1., 0., 0.]);
        assert_eq!(inputs[0][7], [0., 0., 6., 13., 10., 0., 0., 0.]);
        assert_eq!(inputs[1796][0], [0., 0., 10., 14., 8., 1., 0., 0.]);
        assert_eq!(inputs[1796][7], [0., 1., 8., 12., 14., 12., 1., 0.]);
        assert!(inputs.iter().flatten().flatten().all(|x| x.fract() == 0.0 && (0.0..=16.0).contains(x)));
        Ok(())
    }
}
