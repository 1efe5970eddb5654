//! Reads files into examples: tensors and class names.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tealight::data::image::{Color, Interpolation};
use tealight::data::{CsvOptions, CsvSchema, ImageFolder, LabeledDataset, Missing, image_folder};
use tealight::prelude::*;

use super::failure::{Failure, Result, fail, note, one_line};
use super::options::{ColorMode, MissingMode, Train};

/// The largest `--size`.
pub(super) const MAX_SIZE: usize = 512;

/// The most bytes of a picture as decoded: 223 megapixels, more than any phone makes.
const MAX_PICTURE: usize = 640 << 20;

/// How a model's inputs are read from files.
#[derive(Clone, Debug)]
pub(super) enum Inputs {
    Images(Pictures),
    Table(Box<CsvSchema>),
}

/// How images become inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pictures {
    /// The height and the width.
    pub(super) size: usize,
    pub(super) color: Color,
    /// The colour behind transparent parts; without one, they show the colour that the file has for them.
    pub(super) background: Option<[u8; 3]>,
    pub(super) interpolation: Interpolation,
}

impl Pictures {
    pub(super) fn reader(&self) -> ImageFolder {
        let reader = ImageFolder::new(self.size, self.size)
            .color(self.color)
            .interpolation(self.interpolation)
            .max_bytes(MAX_PICTURE);
        match self.background {
            Some(color) => reader.background(color),
            None => reader.without_alpha(),
        }
    }

    fn grey(&self) -> bool {
        self.color == Color::Gray
    }

    /// What a program has to know that gives images to the model.
    pub(super) fn description(&self) -> Value {
        json!({
            "size": self.size,
            "color": if self.grey() { "grey" } else { "rgb" },
            "background": self.background.map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")),
            "interpolation": if self.interpolation == Interpolation::Bicubic { "bicubic" } else { "bilinear" },
            "antialias": true,
            "exif_orientation": true,
            "layout": "NCHW",
            "range": [0, 1],
        })
    }

    /// Reads a [`description`](Pictures::description).
    pub(super) fn parse(description: &Value) -> Option<Pictures> {
        let size = description["size"].as_u64().map(|size| size as usize);
        Some(Pictures {
            size: size.filter(|size| (1..=MAX_SIZE).contains(size))?,
            color: match description["color"].as_str()? {
                "grey" => Color::Gray,
                "rgb" => Color::Rgb,
                _ => return None,
            },
            // The first models say neither of these.
            background: match &description["background"] {
                Value::Null => None,
                color => Some(background(color.as_str()?).ok()?),
            },
            interpolation: match description["interpolation"].as_str() {
                Some("bilinear") => Interpolation::Bilinear,
                None | Some("bicubic") => Interpolation::Bicubic,
                _ => return None,
            },
        })
    }
}

/// A colour: `white`, `black` or `#rrggbb`.
pub(super) fn background(text: &str) -> std::result::Result<[u8; 3], &'static str> {
    let expected = "expected white, black or a colour such as #ff8800";
    match text {
        "white" => Ok([255; 3]),
        "black" => Ok([0; 3]),
        _ => match text.strip_prefix('#').filter(|digits| digits.len() == 6) {
            Some(digits) => {
                let number = u32::from_str_radix(digits, 16).map_err(|_| expected)?;
                let [_, r, g, b] = number.to_be_bytes();
                Ok([r, g, b])
            }
            None => Err(expected),
        },
    }
}

/// Examples with their classes.
pub(super) struct Examples {
    /// Images (n, channels, h, w) from 0 to 1, or rows (n, features).
    pub(super) inputs: Tensor,
    /// (n) of u32.
    pub(super) targets: Tensor,
    pub(super) classes: Vec<String>,
}

impl Examples {
    pub(super) fn len(&self) -> usize {
        self.targets.elem_count()
    }

    /// How many examples each class has.
    pub(super) fn counts(&self) -> Result<Vec<usize>> {
        let mut counts = vec![0; self.classes.len()];
        for class in self.targets.to_vec1::<u32>()? {
            counts[class as usize] += 1;
        }
        Ok(counts)
    }

    /// The examples with these indices.
    pub(super) fn select(&self, rows: &[usize]) -> Result<Examples> {
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let rows = Tensor::from_vec(rows.clone(), rows.len(), &Device::Cpu)?;
        Ok(Examples {
            inputs: self.inputs.index_select(0, &rows)?,
            targets: self.targets.index_select(0, &rows)?,
            classes: self.classes.clone(),
        })
    }
}

impl Inputs {
    pub(super) fn channels(&self) -> usize {
        match self {
            Inputs::Images(pictures) if pictures.grey() => 1,
            Inputs::Images(_) => 3,
            Inputs::Table(_) => 0,
        }
    }

    /// The shape of one input.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Inputs::Images(Pictures { size, .. }) => vec![self.channels(), *size, *size],
            Inputs::Table(schema) => vec![schema.features().len()],
        }
    }

    /// The plural of what one example is, for messages.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Inputs::Images(_) => "images",
            Inputs::Table(_) => "rows",
        }
    }

    /// Reads the training examples.
    pub(super) fn find(options: &Train) -> Result<(Inputs, Examples)> {
        let path = &options.data;
        let place = path.display();
        let (size, colour) = (options.images.size, options.images.colour);
        let table = &options.table;
        if path.is_dir() {
            let column = table.ignore.first().or(table.categorical.first()).or(table.target.as_ref());
            if column.is_some() || table.missing.is_some() || table.delimiter.is_some() {
                return fail(format!("{place}: expected a CSV file for the options of tables, got a folder"));
            }
            let size = size.unwrap_or(32);
            if !(1..=MAX_SIZE).contains(&size) {
                return fail(format!("--size: expected 1 to {MAX_SIZE} pixels, got {size}"));
            }
            let colour = colour.unwrap_or(ColorMode::Auto);
            let color = if colour == ColorMode::Grey { Color::Gray } else { Color::Rgb };
            let background = Some(options.images.background.unwrap_or([255; 3]));
            folder(path, Pictures { size, color, background, interpolation: Interpolation::Bilinear }, colour)
        } else if path.is_file() {
            if size.is_some()
                || colour.is_some()
                || options.images.background.is_some()
                || options.images.flip
            {
                return fail(format!("{place}: expected a folder for the options of images, got a file"));
            }
            let (schema, examples) = read_table(path, table)?;
            Ok((Inputs::Table(Box::new(schema)), examples))
        } else {
            fail(format!("{place}: expected a folder of images or a CSV file, got nothing of this name"))
        }
    }

    /// Reads labeled examples for a model with these classes.
    pub(super) fn read(&self, path: &Path, classes: &[String]) -> Result<Examples> {
        match self {
            Inputs::Table(schema) => {
                let found = schema.read(path)?;
                Ok(Examples { inputs: found.inputs, targets: found.targets, classes: classes.to_vec() })
            }
            Inputs::Images(pictures) => {
                let found = images(path, pictures)?;
                let mut numbers = Vec::new();
                for (class, count) in found.classes.iter().zip(found.class_counts()?) {
                    let number = classes.iter().position(|known| known == class);
                    if number.is_none() && count > 0 {
                        let expected = format!("expected folders named {}", listed(classes));
                        return fail(format!("{}: {expected}, got {class:?}", path.display()));
                    }
                    numbers.push(number);
                }
                let targets = found.targets.to_vec1::<u32>()?;
                let number =
                    |class: u32| numbers[class as usize].expect("a class with images is known") as u32;
                let targets: Vec<u32> = targets.into_iter().map(number).collect();
                let targets = Tensor::from_vec(targets.clone(), targets.len(), &Device::Cpu)?;
                Ok(Examples { inputs: found.inputs, targets, classes: classes.to_vec() })
            }
        }
    }
}

/// Reads a folder with one subfolder per class; unreadable files are skipped with a note.
fn images(path: &Path, pictures: &Pictures) -> Result<LabeledDataset> {
    let (found, errors) = image_folder(path, &pictures.reader())?;
    errors.iter().for_each(|error| note(&format!("skipped: {}", one_line(error))));
    if !errors.is_empty() {
        note(&format!("{} of {} files skipped", errors.len(), errors.len() + found.len()));
    }
    Ok(found)
}

fn folder(path: &Path, mut pictures: Pictures, colour: ColorMode) -> Result<(Inputs, Examples)> {
    let place = path.display();
    let found = images(path, &pictures)?;
    let names = &found.classes;
    if names.len() < 2 {
        let got = format!("got one ({})", names.join(""));
        return fail(format!("{place}: expected two folders or more, one for each class, {got}"));
    }
    if let Some(empty) = found.class_counts()?.iter().position(|&count| count == 0) {
        let class = path.join(&names[empty]);
        return fail(format!("{}: expected images of this class, got none", class.display()));
    }
    let mut inputs = found.inputs.clone();
    if colour == ColorMode::Auto && is_grey(&inputs)? {
        inputs = inputs.narrow(1, 0, 1)?;
        pictures.color = Color::Gray;
    }
    let examples = Examples { inputs, targets: found.targets.clone(), classes: names.clone() };
    let counts = examples.counts()?;
    if let Some(lonely) = counts.iter().position(|&count| count == 1) {
        let class = path.join(&names[lonely]);
        return fail(format!("{}: expected two images or more of each class, got one", class.display()));
    }
    Ok((Inputs::Images(pictures), examples))
}

/// Whether red, green and blue are the same everywhere.
fn is_grey(images: &Tensor) -> Result<bool> {
    let [red, green, blue] = [0, 1, 2].map(|channel| images.narrow(1, channel, 1));
    let red = red?;
    Ok(red == green? && red == blue?)
}

fn read_table(path: &Path, table: &super::options::Table) -> Result<(CsvSchema, Examples)> {
    let missing = match table.missing {
        None | Some(MissingMode::Fill) => Missing::Fill,
        Some(MissingMode::Drop) => Missing::Drop,
        Some(MissingMode::Error) => Missing::Error,
    };
    let mut options = CsvOptions::new().categorical_target().missing(missing);
    options = match table.delimiter.as_deref() {
        None => options,
        Some("tab") => options.delimiter(b'\t'),
        Some(text) => match text.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => options.delimiter(*byte),
            _ => return fail(format!("--delimiter: expected one character or `tab`, got {text:?}")),
        },
    };
    options = table.target.iter().fold(options, |options, column| options.target(column));
    options = table.ignore.iter().fold(options, |options, column| options.ignore(column));
    options = table.categorical.iter().fold(options, |options, column| options.categorical(column));
    let schema = CsvSchema::infer(path, &options)?;
    let found = schema.read(path)?;
    let classes = schema.classes().to_vec();
    let examples = Examples { inputs: found.inputs, targets: found.targets, classes };
    check_classes(path, schema.target(), &examples)?;
    Ok((schema, examples))
}

/// Errors if the target column does not hold classes.
fn check_classes(path: &Path, target: &str, examples: &Examples) -> Result<()> {
    let wrong = |message: String| fail(format!("{}: column {target:?}: {message}", path.display()));
    let (classes, rows) = (&examples.classes, examples.len());
    let numbers: Option<Vec<f64>> = classes.iter().map(|class| class.parse().ok()).collect();
    let fraction = numbers.iter().flatten().position(|number| number.fract() != 0.0);
    if let Some(class) = fraction.and_then(|class| classes.get(class)) {
        let expected = "expected classes (words or whole numbers)";
        return wrong(format!("{expected}, got {class:?}; --target chooses another column"));
    }
    if let [class] = &classes[..] {
        return wrong(format!("expected two classes or more, got {class:?} in every row"));
    }
    if classes.len() == rows {
        let expected = "expected classes that several rows share";
        return wrong(format!(
            "{expected}, got {rows} different values in {rows} rows; --target chooses another column"
        ));
    }
    let counts = examples.counts()?;
    match counts.iter().position(|&count| count < 2).and_then(|lonely| classes.get(lonely)) {
        Some(class) => wrong(format!("expected two rows or more of each class, got one of {class:?}")),
        None => Ok(()),
    }
}

/// At most ten names, with `…` for the others.
pub(super) fn listed(names: &[String]) -> String {
    let few: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    few.join(", ") + if names.len() > 10 { ", …" } else { "" }
}

/// Collects a file, or the files below a folder sorted by name, without hidden ones.
pub(super) fn files(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        found.push(path.into());
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        Failure::Message(format!("{}: expected a folder that can be read, got: {error}", path.display()))
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_linked_folder = entry.path().is_dir() && entry.file_type().map_err(unreadable)?.is_symlink();
        let name = entry.file_name();
        let left = name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX";
        // A link to a folder may form a cycle.
        if !left && !is_linked_folder {
            entries.push(entry.path());
        }
    }
    entries.sort();
    entries.iter().try_for_each(|entry| files(entry, found))
}
