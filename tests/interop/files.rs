//! Files of pandas, Pillow and Keras: files.py writes them, and what is in them as npz.

use std::path::Path;

use tealight::data::image::{self, Color, Interpolation, ReadOptions};
use tealight::data::{ImageFolderOptions, LabeledDataset, Missing, TableOptions, image_folder, read_csv};
use tealight::io;
use tealight::layer::AdaptiveAvgPool2d;
use tealight::prelude::*;

pub(crate) fn check(dir: &Path) -> Result<()> {
    check_tables(&dir.join("tables"))?;
    check_pictures(&dir.join("pictures"))?;
    check_keras(dir)?;
    check_answers(dir)
}

fn numbers(x: &Tensor) -> Result<Vec<f64>> {
    x.to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1()
}

/// Tables of pandas, each recognised, and read by the options that say what it is.
fn check_tables(dir: &Path) -> Result<()> {
    let plain = TableOptions::new;
    let mut forms = vec![
        ("semicolon", plain().delimiter(b';').decimal(',')),
        ("tab", plain().delimiter(b'\t')),
        ("tab-comma", plain().delimiter(b'\t').decimal(',')),
        ("pipe", plain().delimiter(b'|')),
        ("no-header", plain().no_header()),
        ("utf-16-le", plain().encoding("utf-16le")?),
        ("utf-16-be", plain().encoding("utf-16be")?),
        ("cp1252", plain().encoding("windows-1252")?),
    ];
    let others = "plain index named-index crlf quoted quoted-words digits exponents nullable utc utf-8-sig utf-16 gzip milliseconds \
        days-points days-slashes na-0 na-1 na-2 na-3 na-4 na-5 na-6 na-7 na-8";
    forms.extend(others.split_whitespace().map(|name| (name, plain())));
    let check = |name: &str, options: TableOptions, missing, expected: &str| -> Result<()> {
        let options = options.dtype(DType::F64)?.missing(missing);
        let options = if name == "named-index" { options.ignore("id") } else { options };
        let read: LabeledDataset = read_csv(dir.join(format!("{name}.csv")), &options)?;
        let expected = io::read_npz(dir.join(format!("{expected}.expected.npz")))?;
        let (x, y) = (&read.inputs, &expected["inputs"]);
        assert_eq!(x.dims(), y.dims(), "{name}: {:?}", read.features);
        for (i, (x, y)) in numbers(x)?.into_iter().zip(numbers(y)?).enumerate() {
            let (row, feature) = (i / read.features.len(), &read.features[i % read.features.len()]);
            // The mean of a column with gaps may be summed up in another order.
            assert!((x - y).abs() <= 1e-14 * y.abs(), "{name}: row {row}, {feature}: expected {y}, got {x}");
        }
        assert_eq!(read.classes, ["a", "b", "ç d"], "{name}");
        assert_eq!(numbers(&read.targets)?, numbers(&expected["targets"])?, "{name}");
        Ok(())
    };
    for (name, options) in &forms {
        let expected = match *name {
            "milliseconds" => name,
            name if name.starts_with("days") => "days",
            _ => "all",
        };
        check(name, options.clone(), Missing::Fill, expected)?;
        check(name, TableOptions::auto(), Missing::Fill, expected)?;
    }
    check("plain", plain(), Missing::Drop, "dropped")?;
    check("semicolon", TableOptions::auto(), Missing::Drop, "dropped")?;

    for (name, words) in [
        ("infinite", "line 2, column \"x\": expected a finite number"),
        ("single-quoted", "line "),
        ("bzip2", "got a bzip2 file: decompress it first"),
        ("xz", "got an xz file: decompress it first"),
        ("zip", "a zip"),
    ] {
        for options in [TableOptions::auto(), plain()] {
            let error = read_csv(dir.join(format!("{name}.csv")), &options.missing(Missing::Fill))
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
    }
    println!("pandas: {} tables, the same numbers", forms.len());
    Ok(())
}

/// Pictures of Pillow, with the same pixels: two decoders of JPEG, and of lossy WebP, may differ by 4.
fn check_pictures(dir: &Path) -> Result<()> {
    let off = |what: &str, x: &Tensor, y: &Tensor, most: f64| -> Result<()> {
        assert_eq!(x.dims(), y.dims(), "{what}");
        let off = numbers(x)?.iter().zip(numbers(y)?).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(off <= most, "{what}: differs by {off}");
        Ok(())
    };
    let expected = io::read_npz(dir.join("expected.npz"))?;
    for (what, y) in &expected.tensors {
        let (name, how) = what.split_once(' ').expect("a name and how it is read");
        let options = match how {
            "turned" => ReadOptions::new(),
            "as it is" => ReadOptions::new().exif_orientation(false),
            _ => ReadOptions::new().exif_orientation(false).color(Color::Rgb).without_alpha(),
        };
        let lossy = name.ends_with(".jpg") || ["lossy.webp", "jpeg.tiff"].contains(&name);
        off(what, &image::read_with(dir.join(name), &options)?, y, if lossy { 4.0 } else { 0.0 })?;
    }
    let kind = "grey or RGB, of at most 16 bits a channel";
    for (name, words) in [
        ("avif.avif", "got an AVIF image: convert it to PNG or JPEG"),
        ("j2k.jp2", "got a JPEG 2000 image"),
        ("j2k.j2k", "got a JPEG 2000 image"),
        ("icon.ico", "got an icon of Windows (.ico)"),
        ("pcx.pcx", "got a PCX image"),
        ("tga.tga", "got a TGA image"),
        ("dds.dds", "got a DDS image"),
        ("ints.tiff", kind),
        ("floats.tiff", kind),
        ("palette.tiff", kind),
        ("alpha.tiff", kind),
    ] {
        let error = image::read(dir.join(name)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let resized = io::read_npz(dir.join("resized.npz"))?;
    for (what, y) in &resized.tensors {
        let (number, filter) = what.split_once(' ').expect("a number and a filter");
        let filter = if filter == "bicubic" { Interpolation::Bicubic } else { Interpolation::Bilinear };
        let x = image::read(dir.join(format!("resized-{number}.png")))?;
        // Pillow rounds after each axis.
        off(what, &image::resize(&x, (y.dims()[0], y.dims()[1]), filter)?, y, 1.0)?;
    }
    println!("Pillow: {} pictures, and {} resized", expected.len() / 3, resized.len());
    Ok(())
}

/// A network of Keras in our layers.
fn check_keras(dir: &Path) -> Result<()> {
    let rng = &mut Rng::seed(1);
    let model = Sequential::new()
        .push(Conv2d::new(3, 4, [3, 2], ConvOptions::new(), rng)?)
        .push(BatchNorm2d::new(4)?.eps(1e-3)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Conv2d::new(4, 5, 2, ConvOptions::new(), rng)?)
        .push(Gelu)
        .push(Sequential::new().push(AdaptiveAvgPool2d::new([1, 1])).push(Flatten))
        .push(LayerNorm::new(5)?.eps(1e-3)?)
        .push(Sequential::new().push(Linear::new(5, 6, rng)?).push(Tanh))
        .push(Linear::new(6, 2, rng)?);
    io::LoadOptions::new().rename("8.*", "8.0.*").load(dir.join("keras.safetensors"), &model)?;
    let file = io::read_npz(dir.join("keras.npz"))?;
    let off = (model.predict(&file["x"])? - &file["y"])?.abs()?.max_all()?.to_scalar::<f32>()?;
    assert!(off <= 1e-5, "the outputs differ by {off}");
    println!("a network of Keras: outputs within {off:e}");
    Ok(())
}

/// The share of pictures for which a network that torchvision's pixels trained gives another answer here: under 0.5 % with the
/// settings of docs/how-to/from-pytorch.md.
fn check_answers(dir: &Path) -> Result<()> {
    let rng = &mut Rng::seed(1);
    let same = ConvOptions::new().padding(2);
    let model = Sequential::new()
        .push(Conv2d::new(3, 8, 5, same, rng)?)
        .push(BatchNorm2d::new(8)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Conv2d::new(8, 16, 3, ConvOptions::new().padding(1), rng)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Flatten)
        .push(Linear::new(16 * 8 * 8, 4, rng)?);
    io::load(dir.join("stripes.safetensors"), &model)?;
    let expected = io::read_npy(dir.join("stripes.npy"))?.to_vec1::<i64>()?;
    let defaults =
        ImageFolderOptions::new(32, 32).resize(36).normalize(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
    let of_torchvision = defaults.clone().exif_orientation(false).without_alpha();
    let others = |options: &ImageFolderOptions| -> Result<f64> {
        let (pictures, _, unreadable) = image_folder(dir.join("stripes/test"), options)?;
        assert!(unreadable.is_empty(), "{unreadable:?}");
        let answers = model.predict(&pictures.inputs)?.argmax(1)?.to_vec1::<u32>()?;
        assert_eq!(answers.len(), expected.len());
        let others = answers.iter().zip(&expected).filter(|(x, y)| i64::from(**x) != **y).count();
        Ok(100.0 * others as f64 / expected.len() as f64)
    };
    let (with, without) = (others(&of_torchvision)?, others(&defaults)?);
    println!("other answers: {with:.2} % with torchvision's settings, {without:.1} % with the defaults");
    assert!(with < 0.5 && without > 5.0);
    Ok(())
}
