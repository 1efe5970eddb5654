//! MNIST and Fashion-MNIST, from files on disk.

use std::path::{Path, PathBuf};

use candle_core::DType;

use super::{LabeledDataset, read_idx};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::file_error;

/// MNIST: 60,000 handwritten digits to train on and 10,000 to test with.
///
/// The directory has the four files `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, plain or .gz.
///
/// Inputs: (n, 28, 28), f32 from 0 (paper) to 1 (ink). The classes are the digits 0 to 9.
///
/// # Source
/// Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998.
///
/// ```
/// # let dir = std::env::temp_dir().join("tealight-doc-mnist");
/// # std::fs::create_dir_all(&dir)?;
/// # for part in ["train", "t10k"] {
/// #     let images = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], &[0; 784]].concat();
/// #     std::fs::write(dir.join(format!("{part}-images-idx3-ubyte")), images)?;
/// #     std::fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 1, 7])?;
/// # }
/// let (train, test) = tealight::data::mnist(&dir)?;
/// assert_eq!(train.inputs.dims()[1..], [28, 28]);
/// assert_eq!(test.classes[7], "7");
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mnist(directory: impl AsRef<Path>) -> Result<(LabeledDataset, LabeledDataset)> {
    both(directory.as_ref(), "0,1,2,3,4,5,6,7,8,9")
}

/// Fashion-MNIST: images of clothes, from files of the same names as those of [`mnist`].
///
/// Inputs: (n, 28, 28), f32 from 0 to 1. Ten classes, from `t-shirt` to `ankle boot`.
///
/// # Source
/// H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017, <https://arxiv.org/abs/1708.07747>.
pub fn fashion_mnist(directory: impl AsRef<Path>) -> Result<(LabeledDataset, LabeledDataset)> {
    both(directory.as_ref(), "t-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot")
}

fn both(directory: &Path, classes: &str) -> Result<(LabeledDataset, LabeledDataset)> {
    let classes: Vec<String> = classes.split(',').map(String::from).collect();
    Ok((part(directory, "train", classes.clone())?, part(directory, "t10k", classes)?))
}

fn part(directory: &Path, part: &str, classes: Vec<String>) -> Result<LabeledDataset> {
    let image_file = find(directory, &format!("{part}-images-idx3-ubyte"))?;
    let label_file = find(directory, &format!("{part}-labels-idx1-ubyte"))?;
    let (images, labels) = (read_idx(&image_file)?, read_idx(&label_file)?);
    let &[count, 28, 28] = images.dims() else {
        return Err(wrong(&image_file, "images (n, 28, 28) of bytes", &images));
    };
    if images.dtype() != DType::U8 {
        return Err(wrong(&image_file, "images (n, 28, 28) of bytes", &images));
    }
    if labels.dims() != [count] || labels.dtype() != DType::U8 {
        return Err(wrong(&label_file, &format!("{count} labels of bytes, one for each image"), &labels));
    }
    let labels_read = labels.to_vec1::<u8>()?;
    if let Some(i) = labels_read.iter().position(|&label| usize::from(label) >= classes.len()) {
        let (most, got) = (classes.len(), labels_read[i]);
        let message = format!("offset {}: expected a label below {most}, got {got}", 8 + i);
        return Err(file_error(&label_file, message));
    }
    Ok(LabeledDataset {
        inputs: (images.to_dtype(DType::F32)? / 255.0)?,
        targets: labels.to_dtype(DType::U32)?,
        classes,
        features: Vec::new(),
    })
}

fn wrong(path: &Path, expected: &str, got: &Tensor) -> Error {
    file_error(path, format!("expected {expected}, got {:?} of {}", got.dims(), got.dtype().as_str()))
}

/// The file of this name, also with a dot before `idx` and with `.gz`.
fn find(directory: &Path, name: &str) -> Result<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let places = [name, &dotted].map(|name| [directory.join(name), directory.join(format!("{name}.gz"))]);
    let found = places.into_iter().flatten().find(|path| path.is_file());
    found.ok_or_else(|| file_error(directory, format!("expected a file {name} or {name}.gz, got none")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, shape: &[u32], numbers: &[u8]) {
        let lengths: Vec<u8> = shape.iter().flat_map(|length| length.to_be_bytes()).collect();
        let bytes = [&[0, 0, 8, shape.len() as u8], &lengths[..], numbers].concat();
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn files_that_fit_and_files_that_do_not() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let pixels: Vec<u8> = (0..2 * 784).map(|i| (i % 256) as u8).collect();
        write(&at("train-images-idx3-ubyte"), &[2, 28, 28], &pixels);
        write(&at("train-labels-idx1-ubyte"), &[2], &[9, 0]);
        write(&at("t10k-images.idx3-ubyte"), &[1, 28, 28], &pixels[..784]);
        let message = || mnist(directory.path()).unwrap_err().to_string();
        assert!(
            message()
                .ends_with("expected a file t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz, got none")
        );
        write(&at("t10k-labels.idx1-ubyte"), &[1], &[7]);
        let (train, test) = mnist(directory.path())?;
        assert_eq!((train.inputs.dims(), test.inputs.dims()), (&[2, 28, 28][..], &[1, 28, 28][..]));
        assert_eq!(train.inputs.i((0, 1, 2))?.to_scalar::<f32>()?, 30.0 / 255.0);
        assert_eq!((train.targets.to_vec1::<u32>()?, train.class_counts()?.len()), (vec![9, 0], 10));
        assert_eq!(fashion_mnist(directory.path())?.1.classes[7], "sneaker");

        write(&at("train-labels-idx1-ubyte"), &[2], &[9, 10]);
        assert!(message().ends_with("train-labels-idx1-ubyte: offset 9: expected a label below 10, got 10"));
        write(&at("train-labels-idx1-ubyte"), &[3], &[9, 0, 0]);
        assert!(message().ends_with("expected 2 labels of bytes, one for each image, got [3] of u8"));
        write(&at("train-images-idx3-ubyte"), &[2, 28, 1], &pixels[..56]);
        assert!(message().ends_with("expected images (n, 28, 28) of bytes, got [2, 28, 1] of u8"));
        Ok(())
    }
}
