//! Files to examples: tensors, and what they mean.

use std::path::{Path, PathBuf};

use tealight::data::image::{self, Color, ReadOptions};
use tealight::data::{CsvOptions, CsvSchema, ImageFolder, LabeledDataset, Missing, image_folder};
use tealight::prelude::*;

use super::failure::{Failure, Result, note, plain, said};
use super::options::{Colour, Gap, Train};

/// More pixels a side than this are no small model's.
pub(super) const LARGEST: usize = 512;

/// How a model's inputs are made of files.
#[derive(Clone, Debug)]
pub(super) enum Inputs {
    Pictures { size: usize, color: Color },
    Table(Box<CsvSchema>),
}

/// Examples with their classes.
pub(super) struct Examples {
    /// Pictures (n, channels, h, w) from 0 to 1, or rows (n, features).
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
            counts.get_mut(class as usize).into_iter().for_each(|count| *count += 1);
        }
        Ok(counts)
    }

    /// Some of them.
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
            Inputs::Pictures { color: Color::Rgb, .. } => 3,
            Inputs::Pictures { .. } => 1,
            Inputs::Table(_) => 0,
        }
    }

    /// The shape of one input.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Inputs::Pictures { size, .. } => vec![self.channels(), *size, *size],
            Inputs::Table(schema) => vec![schema.features().len()],
        }
    }

    /// What one example is called.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Inputs::Pictures { .. } => "pictures",
            Inputs::Table(_) => "rows",
        }
    }

    /// The examples to train with, and how they were read.
    pub(super) fn find(options: &Train) -> Result<(Inputs, Examples)> {
        let path = &options.data;
        let place = path.display();
        let (size, colour) = (options.pictures.size, options.pictures.colour);
        let table = &options.table;
        if path.is_dir() {
            let column = table.ignore.first().or(table.categorical.first()).or(table.target.as_ref());
            if column.is_some() || table.missing.is_some() || table.delimiter.is_some() {
                return said(format!("{place}: expected a CSV file for the options of tables, got a folder"));
            }
            let size = size.unwrap_or(32);
            if !(1..=LARGEST).contains(&size) {
                return said(format!("--size: expected 1 to {LARGEST} pixels, got {size}"));
            }
            folder(path, size, colour.unwrap_or(Colour::Auto))
        } else if path.is_file() {
            if size.is_some() || colour.is_some() || options.pictures.flip {
                return said(format!("{place}: expected a folder for the options of pictures, got a file"));
            }
            let (schema, examples) = read_table(path, table)?;
            Ok((Inputs::Table(Box::new(schema)), examples))
        } else {
            said(format!("{place}: expected a folder of pictures or a CSV file, got nothing of this name"))
        }
    }

    /// Examples for a model that has these classes.
    pub(super) fn read(&self, path: &Path, classes: &[String]) -> Result<Examples> {
        match self {
            Inputs::Table(schema) => {
                let found = schema.read(path)?;
                Ok(Examples { inputs: found.inputs, targets: found.targets, classes: classes.to_vec() })
            }
            Inputs::Pictures { size, color } => {
                let found = pictures(path, *size, *color)?;
                let mut numbers = Vec::new();
                for (class, count) in found.names.iter().zip(found.counts()?) {
                    let number = classes.iter().position(|known| known == class);
                    if number.is_none() && count > 0 {
                        let expected = format!("expected folders named {}", listed(classes));
                        return said(format!("{}: {expected}, got {class:?}", path.display()));
                    }
                    numbers.push(number.unwrap_or(0) as u32);
                }
                let own = |class: u32| numbers.get(class as usize).copied().unwrap_or(0);
                let targets: Vec<u32> = found.targets.to_vec1::<u32>()?.into_iter().map(own).collect();
                let targets = Tensor::from_vec(targets.clone(), targets.len(), &Device::Cpu)?;
                Ok(Examples { inputs: channels_first(&found.inputs)?, targets, classes: classes.to_vec() })
            }
        }
    }

    /// One picture, (channels, h, w).
    pub(super) fn picture(path: &Path, size: usize, color: Color) -> tealight::Result<Tensor> {
        // A pipe would be waited for, perhaps for ever.
        if !path.is_file() {
            let got = if path.exists() { "something that is no file" } else { "nothing of this name" };
            let message = format!("expected a picture, got {got}");
            return Err(Error::File { path: path.into(), message });
        }
        let picture = image::read_with(path, &ReadOptions::new().color(color))?;
        channels_first(&image::to_float(&image::resize(&picture, size, size)?)?.unsqueeze(0)?)?.squeeze(0)
    }
}

/// Pictures (n, h, w, c) as (n, c, h, w).
fn channels_first(pictures: &Tensor) -> tealight::Result<Tensor> {
    Ok(Tensor::from(pictures.permute(&[0, 3, 1, 2])?.array().contiguous()?))
}

/// Pictures (n, c, h, w) as (n, h, w, c).
pub(super) fn channels_last(pictures: &Tensor) -> tealight::Result<Tensor> {
    Ok(Tensor::from(pictures.permute(&[0, 2, 3, 1])?.array().contiguous()?))
}

/// The pictures of a folder with a folder a class; what cannot be read is named.
fn pictures(path: &Path, size: usize, color: Color) -> Result<LabeledDataset> {
    let (found, errors) = image_folder(path, &ImageFolder::new(size, size).color(color))?;
    errors.iter().for_each(|error| note(&format!("skipped: {}", plain(error))));
    if !errors.is_empty() {
        note(&format!("{} of {} files skipped", errors.len(), errors.len() + found.len()));
    }
    Ok(found)
}

fn folder(path: &Path, size: usize, colour: Colour) -> Result<(Inputs, Examples)> {
    let place = path.display();
    let color = if colour == Colour::Grey { Color::Grey } else { Color::Rgb };
    let found = pictures(path, size, color)?;
    let names = &found.names;
    if names.len() < 2 {
        let got = format!("got one ({})", names.join(""));
        return said(format!("{place}: expected two folders or more, one for each class, {got}"));
    }
    if let Some(empty) = found.counts()?.iter().position(|&count| count == 0) {
        let class = path.join(&names[empty]);
        return said(format!("{}: expected pictures of this class, got none", class.display()));
    }
    let mut inputs = channels_first(&found.inputs)?;
    let mut color = color;
    if colour == Colour::Auto && is_grey(&found.inputs)? {
        (inputs, color) = (channels_first(&found.inputs.narrow(3, 0, 1)?)?, Color::Grey);
    }
    let examples = Examples { inputs, targets: found.targets.clone(), classes: names.clone() };
    let counts = examples.counts()?;
    if let Some(lonely) = counts.iter().position(|&count| count == 1) {
        let class = path.join(&names[lonely]);
        return said(format!("{}: expected two pictures or more of each class, got one", class.display()));
    }
    Ok((Inputs::Pictures { size, color }, examples))
}

/// Whether red, green and blue are the same everywhere.
fn is_grey(pictures: &Tensor) -> Result<bool> {
    let numbers = pictures.flatten(0, -1)?.to_vec1::<f32>()?;
    Ok(numbers.chunks_exact(3).all(|pixel| pixel.iter().all(|x| *x == pixel[0])))
}

fn read_table(path: &Path, table: &super::options::Table) -> Result<(CsvSchema, Examples)> {
    let missing = match table.missing {
        None | Some(Gap::Fill) => Missing::Fill,
        Some(Gap::Drop) => Missing::Drop,
        Some(Gap::Error) => Missing::Error,
    };
    let mut options = CsvOptions::new().classes().missing(missing);
    options = match table.delimiter.as_deref() {
        None => options,
        Some("tab") => options.delimiter(b'\t'),
        Some(text) => match text.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => options.delimiter(*byte),
            _ => return said(format!("--delimiter: expected one character or `tab`, got {text:?}")),
        },
    };
    options = table.target.iter().fold(options, |options, column| options.target(column));
    options = table.ignore.iter().fold(options, |options, column| options.ignore(column));
    options = table.categorical.iter().fold(options, |options, column| options.categorical(column));
    let schema = CsvSchema::of(path, &options)?;
    let found = schema.read(path)?;
    let classes = schema.classes().to_vec();
    let examples = Examples { inputs: found.inputs, targets: found.targets, classes };
    check_classes(path, schema.target(), &examples)?;
    Ok((schema, examples))
}

/// Refuses a column that is none of classes.
fn check_classes(path: &Path, target: &str, examples: &Examples) -> Result<()> {
    let wrong = |message: String| said(format!("{}: column {target:?}: {message}", path.display()));
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
            "{expected}, got another one in each of {rows} rows; --target chooses another column"
        ));
    }
    let counts = examples.counts()?;
    match counts.iter().position(|&count| count < 2).and_then(|lonely| classes.get(lonely)) {
        Some(class) => wrong(format!("expected two rows or more of each class, got one of {class:?}")),
        None => Ok(()),
    }
}

/// The first few names of many.
pub(super) fn listed(names: &[String]) -> String {
    let few: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    few.join(", ") + if names.len() > 10 { ", …" } else { "" }
}

/// A file, or the files of a folder and of the folders in it, in the order of their names; hidden ones are passed over.
pub(super) fn files(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        found.push(path.into());
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        Failure::Said(format!("{}: expected a folder that can be read, got: {error}", path.display()))
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_folder_elsewhere =
            entry.path().is_dir() && entry.file_type().map_err(unreadable)?.is_symlink();
        // A link to a folder may lead back to where it is.
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && !is_folder_elsewhere {
            entries.push(entry.path());
        }
    }
    entries.sort();
    entries.iter().try_for_each(|entry| files(entry, found))
}
