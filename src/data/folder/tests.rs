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
    for class in ["dogs", "cats", "empty", ".hidden", "cats/more", "__MACOSX"] {
        fs::create_dir(at(class)).unwrap();
    }
    write_png(at("dogs/1.png"), &Tensor::full(255u8, (3, 5), &Device::Cpu)?)?;
    write_png(at("cats/b"), &Tensor::full(51u8, (9, 2, 4), &Device::Cpu)?)?;
    write_png(at("cats/a.jpg"), &Tensor::zeros((2, 2, 3), DType::U8, &Device::Cpu)?)?;
    write_png(at("cats/more/0.png"), &Tensor::full(204u8, (3, 3), &Device::Cpu)?)?;
    fs::write(at("cats/c.jpg"), b"").unwrap();
    for left in ["cats/.DS_Store", "cats/Thumbs.db", "__MACOSX/1.png"] {
        fs::write(at(left), b"x").unwrap();
    }
    fs::write(at("dogs/notes.txt"), b"good dogs").unwrap();
    fs::write(at("readme.txt"), b"pets").unwrap();

    let (pets, paths, errors) = image_folder(root.path(), &ImageFolderOptions::new(4, 6))?;
    assert_eq!(pets.classes, ["cats", "dogs", "empty"]);
    assert_eq!((pets.inputs.dims(), pets.inputs.dtype()), (&[4, 3, 4, 6][..], DType::F32));
    assert_eq!(pets.targets.to_vec1::<u32>()?, [0, 0, 0, 1]);
    let names = ["cats", "cats", "cats", "dogs"].map(at);
    assert!(
        paths.len() == 4 && paths.iter().zip(names).all(|(path, class)| path.starts_with(class)),
        "{paths:?}"
    );
    let first = pets.inputs.flatten(1, -1)?.narrow(1, 0, 1)?.squeeze(1)?.to_vec1::<f32>()?;
    // The alpha of the second is 51, too: (51·51 + 255·204) / 255, rounded.
    assert_eq!(first, [0.0, 214.0 / 255.0, 0.8, 1.0]);
    let paths: Vec<PathBuf> = errors
        .iter()
        .map(|error| match error {
            Error::File { path, .. } => path.clone(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(paths, ["readme.txt", "cats/c.jpg", "dogs/notes.txt"].map(at));

    let grey = ImageFolderOptions::new(1, 1).color(Color::Gray);
    assert_eq!(image_folder(root.path(), &grey)?.0.inputs.dims(), [4, 1, 1, 1]);
    let error = image_folder(root.path(), &ImageFolderOptions::new(0, 4));
    assert!(matches!(error, Err(Error::Argument { .. })), "{error:?}");
    Ok(())
}

#[test]
fn a_directory_without_images_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let options = ImageFolderOptions::new(2, 2);
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
    let options =
        ImageFolderOptions::new(4, 5).crop_to_aspect_ratio().normalize(&[0.5, 0.4, 0.3], &[0.2, 0.3, 0.4]);
    let eager = image_folder(root.path(), &options)?.0;
    let lazy = options.open(root.path())?;
    assert_eq!(
        (lazy.len(), lazy.classes(), lazy.paths().count()),
        (5, &["a".to_string(), "b".into()][..], 5)
    );
    let (x, y) = lazy.batch(&[0, 1, 2, 3, 4])?;
    assert_eq!(x.dims(), [5, 3, 4, 5]);
    let flat = |x: &Tensor| x.flatten(0, -1)?.to_vec1::<f32>();
    assert_eq!(x, eager.inputs);
    let third = lazy.paths().nth(2).unwrap();
    assert_eq!(options.read(third)?, x.i(2)?);
    assert_eq!(options.from_bytes("third", &fs::read(third).unwrap())?, x.i(2)?);
    assert_eq!(
        (y.to_vec1::<u32>()?, lazy.targets()?.to_vec1::<u32>()?),
        (vec![0, 0, 1, 1, 1], eager.targets.to_vec1()?)
    );
    let plain = ImageFolderOptions::new(4, 5).crop_to_aspect_ratio().open(root.path())?.get(3)?.0;
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
    let options = ImageFolderOptions::new(2, 2).color(Color::Gray);
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
            error.starts_with(
                "ImageFolderOptions::normalize: expected 1 means, and 1 deviations above 0, got "
            ),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn directories_at_any_depth() -> Result<()> {
    let root = tempfile::tempdir().unwrap();
    let put = |name: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(path, &Tensor::full(9_u8, (8, 8), &Device::Cpu).unwrap()).unwrap();
    };
    // é of one letter, and e with an accent: the two are one class.
    for name in [
        "e\u{301}te\u{301}/b/2.png",
        "\u{e9}t\u{e9}/3.png",
        "zoo/b/1.png",
        "zoo/z.png",
        "zoo/a/x/1.png",
        "zoo/.b/1.png",
    ] {
        put(name);
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(root.path().join("zoo"), root.path().join("zoo/b/cycle")).unwrap();
    let found = ImageFolderOptions::new(8, 8).open(root.path())?;
    assert_eq!(found.classes(), ["zoo", "\u{e9}t\u{e9}"]);
    assert_eq!(found.targets()?.to_vec1::<u32>()?, [0, 0, 0, 1, 1]);
    let names: Vec<_> =
        found.paths().map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
    // The order of torchvision.datasets.ImageFolder.
    assert_eq!(names[..3], ["zoo/z.png", "zoo/a/x/1.png", "zoo/b/1.png"]);

    let split = tempfile::tempdir().unwrap();
    for part in ["Train", "valid", "test"] {
        fs::create_dir_all(split.path().join(part).join("cat")).unwrap();
    }
    let error = ImageFolderOptions::new(8, 8).open(split.path()).unwrap_err().to_string();
    let got = format!("got Train, test, valid: open {} instead", split.path().join("Train").display());
    assert!(error.ends_with(&got), "{error}");
    fs::create_dir(split.path().join("bus")).unwrap();
    assert!(
        ImageFolderOptions::new(8, 8).open(split.path()).unwrap_err().to_string().contains("its 4 classes")
    );
    Ok(())
}

#[test]
fn the_pixels_of_torchvision() -> Result<()> {
    let reference = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference"));
    let text = fs::read_to_string(reference.join("images.txt")).unwrap();
    for line in text.lines() {
        let [file, steps, height, width, digits] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let images = ImageFolderOptions::new(height.parse().unwrap(), width.parse().unwrap());
        let images = match steps {
            "torchvision" => images.resize(24).exif_orientation(false).without_alpha(),
            "turned" => images.resize(24).without_alpha(),
            "white" => images.resize(24).exif_orientation(false),
            "orange" => images.resize(24).exif_orientation(false).background([255, 128, 0]),
            "grey" => images.resize(24).exif_orientation(false).color(Color::Gray),
            "bilinear" => images.without_alpha(),
            "bicubic" => images.without_alpha().interpolation(Interpolation::Bicubic),
            "padded" => images.resize(20).without_alpha(),
            "fitted" => images.pad_to_aspect_ratio().exif_orientation(false).background([255, 128, 0]),
            other => panic!("{other}"),
        };
        let ours = images.read(reference.join("images").join(file))?.flatten(0, -1)?.to_vec1::<f32>()?;
        let byte = |i: usize| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap();
        assert_eq!(2 * ours.len(), digits.len());
        let far = |(i, x): (usize, &f32)| (x * 255.0 - f32::from(byte(i))).abs();
        let far: Vec<f32> = ours.iter().enumerate().map(far).collect();
        let (most, mean) =
            (far.iter().copied().fold(0.0, f32::max), far.iter().sum::<f32>() / far.len() as f32);
        // Pillow rounds after each axis. Decoders of JPEG differ.
        let (limit, usual) = if file.ends_with("jpg") { (4.0, 0.6) } else { (1.01, 0.3) };
        assert!(most <= limit && mean < usual, "{file} {steps}: {most}, on average {mean}");
    }
    Ok(())
}
