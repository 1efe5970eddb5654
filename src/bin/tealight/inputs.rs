//! Reads files into examples: tensors and class names.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tealight::data::image::{Color, Interpolation};
use tealight::data::{
    FillValue, ImageFolderOptions, LabeledDataset, Missing, Table, TableOptions, TableSchema, image_folder,
};
use tealight::prelude::*;

use super::failure::{Failure, Result, counted, fail, note, one_line};
use super::options::{ColorMode, FitMode, Form, MissingMode, Task, Train};

/// The largest `--size`.
pub(super) const MAX_SIZE: usize = 512;

/// The largest number of a table.
const MAX_NUMBER: f64 = 1e100;

/// The most bytes of a picture as decoded: 223 megapixels, more than any phone makes.
const MAX_PICTURE: usize = 640 << 20;

/// How a model's inputs are read from files.
#[derive(Clone, Debug)]
pub(super) enum Inputs {
    Images(Pictures),
    Table(Box<TableSchema>),
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
    pub(super) fit: FitMode,
}

impl Pictures {
    pub(super) fn reader(&self) -> ImageFolderOptions {
        let reader = ImageFolderOptions::new(self.size, self.size)
            .color(self.color)
            .interpolation(self.interpolation)
            .max_bytes(MAX_PICTURE);
        let reader = match self.fit {
            FitMode::Pad => reader.pad_to_aspect_ratio(),
            FitMode::Crop => reader.crop_to_aspect_ratio(),
            FitMode::Stretch => reader,
        };
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
            "fit": match self.fit {
                FitMode::Pad => "pad",
                FitMode::Crop => "crop",
                FitMode::Stretch => "stretch",
            },
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
            // The first models say none of these.
            background: match &description["background"] {
                Value::Null => None,
                color => Some(background(color.as_str()?).ok()?),
            },
            interpolation: match description["interpolation"].as_str() {
                Some("bilinear") => Interpolation::Bilinear,
                None | Some("bicubic") => Interpolation::Bicubic,
                _ => return None,
            },
            fit: match description["fit"].as_str() {
                Some("pad") => FitMode::Pad,
                Some("crop") => FitMode::Crop,
                None | Some("stretch") => FitMode::Stretch,
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

/// Examples with their classes or numbers.
pub(super) struct Examples {
    /// Images (n, channels, h, w) from 0 to 1, or rows (n, features) of f64.
    pub(super) inputs: Tensor,
    /// (n) of u32, or (n, 1) of f64.
    pub(super) targets: Tensor,
    /// Empty where numbers are predicted.
    pub(super) classes: Vec<String>,
    /// The path of each image, or the number of each row.
    pub(super) names: Vec<String>,
}

/// What is there to train on.
pub(super) struct Found {
    pub(super) inputs: Inputs,
    pub(super) examples: Examples,
    /// The table that the examples come from.
    pub(super) table: Option<Table>,
    /// Why files were skipped.
    pub(super) skipped: Vec<String>,
}

impl Examples {
    pub(super) fn len(&self) -> usize {
        self.targets.elem_count()
    }

    /// The numbers to predict.
    pub(super) fn numbers(&self) -> Result<Vec<f64>> {
        Ok(self.targets.flatten(0, -1)?.to_vec1()?)
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
        let names = rows.iter().map(|&row| self.names[row].clone()).collect();
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let rows = Tensor::from_vec(rows.clone(), rows.len(), &Device::Cpu)?;
        Ok(Examples {
            inputs: self.inputs.index_select(0, &rows)?,
            targets: self.targets.index_select(0, &rows)?,
            classes: self.classes.clone(),
            names,
        })
    }

    /// All examples of the parts, at least one.
    pub(super) fn cat(parts: &[&Examples]) -> Result<Examples> {
        let all = |of: fn(&Examples) -> &Tensor| {
            Tensor::cat(&parts.iter().map(|part| of(part)).collect::<Vec<_>>(), 0)
        };
        Ok(Examples {
            inputs: all(|part| &part.inputs)?,
            targets: all(|part| &part.targets)?,
            classes: parts[0].classes.clone(),
            names: parts.iter().flat_map(|part| part.names.iter().cloned()).collect(),
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
    pub(super) fn find(options: &Train) -> Result<Found> {
        let path = &options.data;
        let place = path.display();
        let (size, colour) = (options.images.size, options.images.colour);
        let table = &options.table;
        if path.is_dir() && !is_parquet(path) {
            // It would be a class of the next training.
            // Of a folder that is not there yet, the nearest one that is.
            let nearest = |path: &Path| {
                std::path::absolute(path).ok()?.ancestors().find_map(|path| path.canonicalize().ok())
            };
            if let (Some(folder), Some(out)) = (nearest(path), nearest(&options.out))
                && out.starts_with(&folder)
            {
                let out = options.out.display();
                return fail(format!(
                    "--out {out}: expected a folder outside of {place}, whose folders are the classes"
                ));
            }
            let column = table.ignore.first().or(table.categorical.first()).or(table.target.as_ref());
            let told = table.task.is_some() || table.na_values.is_some() || table.form != Form::default();
            if column.is_some() || table.missing.is_some() || told {
                return fail(format!("{place}: expected a CSV file for the options of tables, got a folder"));
            }
            let size = size.unwrap_or(32);
            if !(1..=MAX_SIZE).contains(&size) {
                return fail(format!("--size: expected 1 to {MAX_SIZE} pixels, got {size}"));
            }
            let colour = colour.unwrap_or(ColorMode::Auto);
            let color = if colour == ColorMode::Grey { Color::Gray } else { Color::Rgb };
            let background = Some(options.images.background.unwrap_or([255; 3]));
            let fit = options.images.fit.unwrap_or(FitMode::Pad);
            let pictures = Pictures { size, color, background, interpolation: Interpolation::Bilinear, fit };
            folder(path, pictures, colour)
        } else if path.exists() {
            if size.is_some()
                || colour.is_some()
                || options.images.background.is_some()
                || options.images.fit.is_some()
                || options.images.flip
            {
                return fail(format!("{place}: expected a folder for the options of images, got a file"));
            }
            let (table, schema, examples) = read_table(path, table)?;
            let inputs = Inputs::Table(Box::new(schema));
            Ok(Found { inputs, examples, table: Some(table), skipped: Vec::new() })
        } else {
            fail(format!("{place}: expected a folder of images or a CSV file, got nothing of this name"))
        }
    }

    /// Reads labeled examples for a model with these classes.
    pub(super) fn read(&self, path: &Path, classes: &[String], form: &Form) -> Result<Examples> {
        match self {
            Inputs::Table(schema) => {
                check_table(path)?;
                let found = examples(schema, &table(schema, path, form)?)?;
                Ok(Examples { classes: classes.to_vec(), ..found })
            }
            Inputs::Images(pictures) => {
                if path.is_file() {
                    let expected = "expected a folder with one subfolder of images per class, as the model was trained on";
                    return fail(format!("{}: {expected}, got a file", path.display()));
                }
                let (found, names, _) = images(path, pictures)?;
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
                Ok(Examples { inputs: found.inputs, targets, classes: classes.to_vec(), names })
            }
        }
    }
}

/// Reads a folder with one subfolder per class; unreadable files are skipped with a note.
fn images(path: &Path, pictures: &Pictures) -> Result<(LabeledDataset, Vec<String>, Vec<String>)> {
    let (found, paths, errors) = image_folder(path, &pictures.reader())?;
    let skipped: Vec<String> = errors.iter().map(one_line).collect();
    skipped.iter().for_each(|error| note(&format!("skipped: {error}")));
    if !errors.is_empty() {
        let files = counted(errors.len() + found.len(), "files");
        note(&format!("{} of {files} skipped", errors.len()));
    }
    Ok((found, paths.iter().map(|path| path.display().to_string()).collect(), skipped))
}

fn folder(path: &Path, mut pictures: Pictures, colour: ColorMode) -> Result<Found> {
    let place = path.display();
    let (found, paths, skipped) = images(path, &pictures)?;
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
    let examples = Examples { inputs, targets: found.targets.clone(), classes: names.clone(), names: paths };
    let counts = examples.counts()?;
    if let Some(lonely) = counts.iter().position(|&count| count == 1) {
        let class = path.join(&names[lonely]);
        return fail(format!("{}: expected two images or more of each class, got one", class.display()));
    }
    Ok(Found { inputs: Inputs::Images(pictures), examples, table: None, skipped })
}

/// Whether red, green and blue are the same everywhere.
fn is_grey(images: &Tensor) -> Result<bool> {
    let [red, green, blue] = [0, 1, 2].map(|channel| images.narrow(1, channel, 1));
    let red = red?;
    Ok(red == green? && red == blue?)
}

/// Errors if this is no table, but a folder.
pub(super) fn check_table(path: &Path) -> Result<()> {
    if path.is_dir() && !is_parquet(path) {
        return fail(format!(
            "{}: expected a table, as the model was trained on, got a folder",
            path.display()
        ));
    }
    Ok(())
}

/// Reads a table for a model: as the training table was read, if nothing else was told.
pub(super) fn table(schema: &TableSchema, path: &Path, form: &Form) -> Result<Table> {
    if *form == Form::default() {
        return Ok(schema.read_table(path)?);
    }
    Ok(Table::read(path, &csv_options(form)?)?)
}

/// Whether a folder is a table of Parquet files.
fn is_parquet(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    cfg!(feature = "parquet")
        && files.map(|file| file.path()).any(|file| file.extension().is_some_and(|end| end == "parquet"))
}

fn csv_options(form: &Form) -> Result<TableOptions> {
    let mut options = TableOptions::auto();
    options = match form.delimiter.as_deref() {
        None => options,
        Some("tab") => options.delimiter(b'\t'),
        Some(text) => match text.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => options.delimiter(*byte),
            _ => return fail(format!("--delimiter: expected one character or `tab`, got {text:?}")),
        },
    };
    if form.decimal.is_some() && form.decimal == form.thousands {
        return fail("--thousands: expected another mark than --decimal");
    }
    options = form.decimal.iter().fold(options, |options, mark| options.decimal(*mark));
    options = form.thousands.iter().fold(options, |options, mark| options.thousands(*mark));
    options = form.sheet.iter().fold(options, |options, name| options.sheet(name));
    options = if form.header { options.header() } else { options };
    options = if form.no_header { options.no_header() } else { options };
    options = if form.day_first { options.day_first() } else { options };
    match &form.encoding {
        None => Ok(options),
        Some(label) => options.encoding(label).or_else(|error| fail(format!("--{error}"))),
    }
}

fn read_table(path: &Path, table: &super::options::Table) -> Result<(Table, TableSchema, Examples)> {
    let missing = match table.missing {
        None | Some(MissingMode::Fill) => Missing::Fill,
        Some(MissingMode::Drop) => Missing::Drop,
        Some(MissingMode::Error) => Missing::Error,
    };
    let mut options = csv_options(&table.form)?.missing(missing).dtype(DType::F64)?;
    options = table.target.iter().fold(options, |options, column| options.target(column));
    options = table.ignore.iter().fold(options, |options, column| options.ignore(column));
    options = table.categorical.iter().fold(options, |options, column| options.categorical(column));
    if let Some(values) = &table.na_values {
        options = options.na_values(&values.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let read = Table::read(path, &options)?;
    let mut schema = TableSchema::from_table(&read, &options)?;
    let mut examples = examples(&schema, &read)?;
    let wrong =
        |message: String| fail(format!("{}: column {:?}: {message}", path.display(), schema.target()));
    check_size(path, &schema, &examples)?;
    if schema.classes().is_empty() {
        let numbers = examples.numbers()?;
        if table.task == Some(Task::Classification) || (table.task.is_none() && are_codes(&numbers)) {
            schema = TableSchema::from_table(&read, &options.categorical_target())?;
            examples = self::examples(&schema, &read)?;
            check_classes(path, schema.target(), &examples)?;
        } else if let Some(first) = numbers.first()
            && numbers.iter().all(|number| number == first)
        {
            return wrong(format!("expected numbers that differ, got {first} in every row"));
        } else if numbers.len() < 4 {
            return wrong(format!("expected four rows or more, got {}", numbers.len()));
        }
    } else if table.task == Some(Task::Regression) {
        return wrong(format!("expected numbers for a regression, got {}", listed(schema.classes())));
    } else {
        check_classes(path, schema.target(), &examples)?;
    }
    Ok((read, schema, examples))
}

/// The examples in a table.
pub(super) fn examples(schema: &TableSchema, table: &Table) -> Result<Examples> {
    let found = schema.encode(table)?;
    let names = schema.used_rows(table)?.into_iter().map(|row| (row + 1).to_string()).collect();
    Ok(Examples { inputs: found.inputs, targets: found.targets, classes: found.classes, names })
}

/// Errors if a number is so large that the squares of such numbers have no sum.
fn check_size(path: &Path, schema: &TableSchema, examples: &Examples) -> Result<()> {
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    for (i, name) in schema.features().into_iter().enumerate() {
        columns.push((name, examples.inputs.narrow(1, i, 1)?.flatten(0, -1)?.to_vec1()?));
    }
    if schema.classes().is_empty() {
        columns.push((schema.target().into(), examples.numbers()?));
    }
    for (name, numbers) in columns {
        if let Some(row) = numbers.iter().position(|x| x.abs() > MAX_NUMBER) {
            let (x, row) = (numbers[row], &examples.names[row]);
            let expected = format!("expected numbers up to {MAX_NUMBER:e}, got {x:e}");
            let advice = "(--na-values counts it as missing, --ignore leaves out the column)";
            return fail(format!("{}: row {row}, column {name:?}: {expected} {advice}", path.display()));
        }
    }
    Ok(())
}

/// Whether numbers look like names of classes: two whole numbers, or 0 to k or 1 to k without a gap, each in several rows.
fn are_codes(numbers: &[f64]) -> bool {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let groups: Vec<&[f64]> = sorted.chunk_by(|a, b| a == b).collect();
    let count = groups.len();
    let first = groups.first().map_or(0.0, |group| group[0]);
    let whole = sorted.iter().all(|x| x.fract() == 0.0) && groups.iter().all(|group| group.len() > 1);
    let counted = groups.iter().enumerate().all(|(i, group)| group[0] == first + i as f64);
    count == 1 || (whole && (count == 2 || (count <= 20 && counted && (first == 0.0 || first == 1.0))))
}

/// What was filled in, on one line; nothing if there were no gaps.
pub(super) fn filled(gaps: &[FillValue]) -> Option<String> {
    let cells: usize = gaps.iter().map(|gap| gap.count).sum();
    let one = |gap: &FillValue| {
        let text = if gap.text.is_empty() { String::new() } else { format!(", such as {:?}", gap.text) };
        format!("{} ({}{text}) with {}", gap.column, gap.count, gap.value)
    };
    let some = gaps.iter().take(10).map(one).collect::<Vec<_>>().join("; ");
    let more = if gaps.len() > 10 { "; …" } else { "" };
    let words = gaps.iter().any(|gap| gap.text.chars().all(char::is_alphabetic) && !gap.text.is_empty());
    let advice = if words { " (--na-values '' keeps such words)" } else { "" };
    (cells > 0).then(|| format!("filled {}: {some}{more}{advice}", counted(cells, "missing values")))
}

/// Errors if the target column does not hold classes.
fn check_classes(path: &Path, target: &str, examples: &Examples) -> Result<()> {
    let wrong = |message: String| fail(format!("{}: column {target:?}: {message}", path.display()));
    let (classes, rows) = (&examples.classes, examples.len());
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
        Some(class) => {
            wrong(format!("expected two rows or more of each class, got one of {class:?}: leave out the row"))
        }
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
