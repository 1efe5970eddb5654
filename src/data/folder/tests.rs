use std::fs;
use std::path::PathBuf;

use super::*;
use crate::data::image::write_png;
use crate::data::{DataLoader, Dataset, RandomHorizontalFlip};
use crate::prelude::*;

#[test]
fn classes_images_and_other_files() -> Result<()> {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for class in ["dogs", "cats", "empty", ".hidden", "cats/more"] {
        fs::create_dir(at(class)).unwrap();
    }
    write_png(at("dogs/1.png"), &Tensor::full(255u8, (3, 5), &Device::Cpu)?)?;
    write_png(at("cats/b"), &Tensor::full(51u8, (9, 2, 4), &Device::Cpu)?)?;
    write_png(at("cats/a.jpg"), &Tensor::zeros((2, 2, 3), DType::U8, &Device::Cpu)?)?;
    fs::write(at("cats/c.jpg"), b"").unwrap();
    fs::write(at("cats/.DS_Store"), b"x").unwrap();
    fs::write(at("dogs/notes.txt"), b"good dogs").unwrap();
    fs::write(at("readme.txt"), b"pets").unwrap();

    let (pets, errors) = image_folder(root.path(), &ImageFolder::new(4, 6))?;
    assert_eq!(pets.classes, ["cats", "dogs", "empty"]);
    assert_eq!((pets.inputs.dims(), pets.inputs.dtype()), (&[3, 4, 6, 3][..], DType::F32));
    assert_eq!(pets.targets.to_vec1::<u32>()?, [0, 0, 1]);
    let first: Vec<f32> =
        pets.inputs.array().narrow(3, 0, 1)?.flatten_from(1)?.get_on_dim(1, 0)?.to_vec1()?;
    assert_eq!(first, [0.0, 0.2, 1.0]);
    let paths: Vec<PathBuf> = errors
        .iter()
        .map(|error| match error {
            Error::File { path, .. } => path.clone(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(paths, ["readme.txt", "cats/c.jpg", "cats/more", "dogs/notes.txt"].map(at));

    let grey = ImageFolder::new(1, 1).color(Color::Gray);
    assert_eq!(image_folder(root.path(), &grey)?.0.inputs.dims(), [3, 1, 1, 1]);
    let error = image_folder(root.path(), &ImageFolder::new(0, 4));
    assert!(matches!(error, Err(Error::Argument { .. })), "{error:?}");
    Ok(())
}

#[test]
fn a_directory_without_images_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let options = ImageFolder::new(2, 2);
    let message = |path: &Path| image_folder(path, &options).unwrap_err().to_string();
    assert!(message(&root.path().join("none")).contains("expected a directory"));
    assert!(message(root.path()).ends_with("expected a sub-directory for each class, got none"));
    fs::create_dir(root.path().join("cats")).unwrap();
    assert!(message(root.path()).ends_with("expected images in its 1 classes, got none that can be read"));
    fs::write(root.path().join("cats/a.png"), b"").unwrap();
    assert!(message(root.path()).ends_with("a.png: expected an image, got an empty file"));
}

#[test]
fn read_when_needed_the_images_are_the_same() -> Result<()> {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for class in ["a", "b"] {
        fs::create_dir(at(class)).unwrap();
    }
    for i in 0..5_u8 {
        let pixels = (0..90_u8).map(|p| p.wrapping_mul(i + 1)).collect();
        let class = if i < 2 { "a" } else { "b" };
        write_png(at(&format!("{class}/{i}.png")), &Tensor::from_vec(pixels, (5, 6, 3), &Device::Cpu)?)?;
    }
    let options = ImageFolder::new(4, 3).center_crop().normalize(&[0.5, 0.4, 0.3], &[0.2, 0.3, 0.4]);
    let eager = image_folder(root.path(), &options)?.0;
    let lazy = options.open(root.path())?;
    assert_eq!(
        (lazy.len(), lazy.classes(), lazy.paths().count()),
        (5, &["a".to_string(), "b".into()][..], 5)
    );
    let (x, y) = lazy.batch(&[0, 1, 2, 3, 4])?;
    assert_eq!(x.dims(), [5, 3, 4, 3]);
    let flat = |x: &Tensor| x.flatten(0, -1)?.to_vec1::<f32>();
    assert_eq!(flat(&x.permute(&[0, 2, 3, 1])?)?, flat(&eager.inputs)?);
    assert_eq!(
        (y.to_vec1::<u32>()?, lazy.targets()?.to_vec1::<u32>()?),
        (vec![0, 0, 1, 1, 1], eager.targets.to_vec1()?)
    );
    let plain = ImageFolder::new(4, 3).center_crop().open(root.path())?.get(3)?.0;
    let expected = ((plain.i(1)? - 0.4)? / 0.3)?;
    assert!((lazy.get(3)?.0.i(1)? - expected)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);

    let epoch = |threads| {
        let mut loader =
            DataLoader::new(&lazy, 2)?.shuffle(3).augment(RandomHorizontalFlip(0.5), 4).num_workers(threads);
        loader.epoch()?.map(|batch| flat(&batch?.0)).collect::<Result<Vec<_>>>()
    };
    assert_eq!(epoch(0)?, epoch(3)?);
    assert!(lazy.get(5).is_err());
    Ok(())
}

#[test]
fn unreadable_files_are_errors_or_skipped() -> Result<()> {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir(at("a")).unwrap();
    write_png(at("a/2.png"), &Tensor::full(9_u8, (2, 2), &Device::Cpu)?)?;
    fs::write(at("a/1.png"), b"none").unwrap();
    fs::write(at("a/3.png"), b"").unwrap();
    let options = ImageFolder::new(2, 2).color(Color::Gray);
    let strict = options.open(root.path())?;
    assert_eq!((strict.len(), strict.get(1)?.0.dims()), (3, &[1, 2, 2][..]));
    let mut loader = DataLoader::new(&strict, 1)?.num_workers(1);
    let results: Vec<_> = loader.epoch()?.collect();
    assert!(results[0].as_ref().unwrap_err().to_string().contains("1.png: expected a PNG"));
    assert!(results[1].is_ok() && results[2].is_err());

    fs::write(at("stray"), b"").unwrap();
    let error = options.open(root.path()).unwrap_err().to_string();
    assert!(error.ends_with("stray: expected a directory of one class, got a file"), "{error}");
    let skipping = options.clone().unreadable(Unreadable::Skip);
    let lazy = skipping.open(root.path())?;
    assert_eq!((lazy.len(), lazy.skipped().len(), lazy.batch(&[0])?.1.to_vec1::<u32>()?), (1, 3, vec![0]));
    fs::remove_file(at("a/2.png")).unwrap();
    assert!(
        skipping
            .open(root.path())
            .unwrap_err()
            .to_string()
            .contains("got none that can be read; the first: ")
    );

    for (mean, std) in [(&[0.5; 3][..], &[1.0; 3][..]), (&[0.5], &[0.0]), (&[f32::NAN], &[1.0]), (&[], &[])] {
        let error = options.clone().normalize(mean, std).open(root.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("ImageFolder::normalize: expected 1 means, and 1 deviations above 0, got "),
            "{error}"
        );
    }
    Ok(())
}
