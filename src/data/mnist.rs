//! MNIST and Fashion-MNIST, from files that one has.

use std::path::{Path, PathBuf};

use candle_core::DType;

use super::{LabeledDataset, read_idx};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::file_error;

/// The 60,000 handwritten digits to train on and the 10,000 to test with, from a directory that has the four files
/// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, plain or .gz.
///
/// # Shapes
/// Inputs (n, 28, 28), f32 from 0 (paper) to 1 (ink); the classes are the digits 0 to 9.
///
/// # Errors
/// A file that is missing or that [`read_idx`](fn@read_idx) refuses; pictures that are not (n, 28, 28) of bytes; labels that are not as
/// many, or not below 10. Each names the file.
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
/// println!("{} pictures to train on, {} to test with", train.len(), test.len()); // 60,000 and 10,000
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mnist(directory: impl AsRef<Path>) -> Result<(LabeledDataset, LabeledDataset)> {
    let names: [String; 10] = std::array::from_fn(|digit| digit.to_string());
    both(directory.as_ref(), &names.each_ref().map(String::as_str))
}

/// The pictures of clothes that take MNIST's place, from files of the same names: [`mnist`].
///
/// # Shapes
/// Inputs (n, 28, 28), f32 from 0 to 1; ten classes, from `t-shirt` to `ankle boot`.
///
/// # Errors
/// As [`mnist`].
///
/// # Source
/// H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017, <https://arxiv.org/abs/1708.07747>.
///
/// ```
/// # let dir = std::env::temp_dir().join("tealight-doc-fashion");
/// # std::fs::create_dir_all(&dir)?;
/// # for part in ["train", "t10k"] {
/// #     let images = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], &[0; 784]].concat();
/// #     std::fs::write(dir.join(format!("{part}-images-idx3-ubyte")), images)?;
/// #     std::fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 1, 9])?;
/// # }
/// let (train, test) = tealight::data::fashion_mnist(&dir)?;
/// assert_eq!(train.inputs.dims()[1..], [28, 28]);
/// assert_eq!(test.classes[9], "ankle boot");
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fashion_mnist(directory: impl AsRef<Path>) -> Result<(LabeledDataset, LabeledDataset)> {
    let names = "t-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot";
    both(directory.as_ref(), &names.split(',').collect::<Vec<_>>())
}

fn both(directory: &Path, names: &[&str]) -> Result<(LabeledDataset, LabeledDataset)> {
    Ok((part(directory, "train", names)?, part(directory, "t10k", names)?))
}

fn part(directory: &Path, part: &str, names: &[&str]) -> Result<LabeledDataset> {
    let image_file = find(directory, &format!("{part}-images-idx3-ubyte"))?;
    let label_file = find(directory, &format!("{part}-labels-idx1-ubyte"))?;
    let (images, labels) = (read_idx(&image_file)?, read_idx(&label_file)?);
    let &[count, 28, 28] = images.dims() else {
        return Err(wrong(&image_file, "pictures (n, 28, 28) of bytes", &images));
    };
    if images.dtype() != DType::U8 {
        return Err(wrong(&image_file, "pictures (n, 28, 28) of bytes", &images));
    }
    if labels.dims() != [count] || labels.dtype() != DType::U8 {
        return Err(wrong(&label_file, &format!("{count} labels of bytes, one for each picture"), &labels));
    }
    if let Some((i, label)) =
        labels.to_vec1::<u8>()?.iter().enumerate().find(|(_, label)| usize::from(**label) >= names.len())
    {
        let message = format!("offset {}: expected a label below {}, got {label}", 8 + i, names.len());
        return Err(file_error(&label_file, message));
    }
    Ok(LabeledDataset {
        inputs: (images.to_dtype(DType::F32)? / 255.0)?,
        targets: labels.to_dtype(DType::U32)?,
        classes: names.iter().map(|name| name.to_string()).collect(),
        features: Vec::new(),
    })
}

fn wrong(path: &Path, expected: &str, got: &Tensor) -> crate::error::Error {
    file_error(path, format!("expected {expected}, got {:?} of {}", got.dims(), got.dtype().as_str()))
}

/// The file of this name, under any of the names that it has been given.
fn find(directory: &Path, name: &str) -> Result<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let places = [name, &dotted].map(|name| [directory.join(name), directory.join(format!("{name}.gz"))]);
    let found = places.iter().flatten().find(|path| path.is_file());
    found
        .cloned()
        .ok_or_else(|| file_error(directory, format!("expected a file {name} or {name}.gz, got none")))
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
    fn four_files_and_what_is_wrong_with_them() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let pixels: Vec<u8> = (0..2 * 784).map(|i| (i % 256) as u8).collect();
        write(&at("train-images-idx3-ubyte"), &[2, 28, 28], &pixels);
        write(&at("train-labels-idx1-ubyte"), &[2], &[9, 0]);
        write(&at("t10k-images.idx3-ubyte"), &[1, 28, 28], &pixels[..784]);
        let said = || mnist(directory.path()).unwrap_err().to_string();
        assert!(
            said().ends_with("expected a file t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz, got none")
        );
        write(&at("t10k-labels.idx1-ubyte"), &[1], &[7]);
        let (train, test) = mnist(directory.path())?;
        assert_eq!((train.inputs.dims(), test.inputs.dims()), (&[2, 28, 28][..], &[1, 28, 28][..]));
        assert_eq!(train.inputs.i((0, 1, 2))?.to_scalar::<f32>()?, 30.0 / 255.0);
        assert_eq!((train.targets.to_vec1::<u32>()?, train.class_counts()?.len()), (vec![9, 0], 10));
        assert_eq!(fashion_mnist(directory.path())?.1.classes[7], "sneaker");

        write(&at("train-labels-idx1-ubyte"), &[2], &[9, 10]);
        assert!(said().ends_with("train-labels-idx1-ubyte: offset 9: expected a label below 10, got 10"));
        write(&at("train-labels-idx1-ubyte"), &[3], &[9, 0, 0]);
        assert!(said().ends_with("expected 2 labels of bytes, one for each picture, got [3] of u8"));
        write(&at("train-images-idx3-ubyte"), &[2, 28, 1], &pixels[..56]);
        assert!(said().ends_with("expected pictures (n, 28, 28) of bytes, got [2, 28, 1] of u8"));
        Ok(())
    }
}
