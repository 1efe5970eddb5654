//! [`ImageStream`]: the images of a tar archive or a Parquet table, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use candle_core::Device;
use unicode_normalization::UnicodeNormalization;

use super::ImageFolderOptions;
use crate::autograd::Tensor;
use crate::data::dataset::stacked;
use crate::data::{IterableDataset, Pieces};
use crate::error::Result;
use crate::file::{file_error, unreadable};
use crate::kernel;

/// The images that are decoded at once.
const PIECE: usize = 64;
/// The names that images end with.
const IMAGES: [&str; 12] =
    ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "pgm", "ppm", "pbm", "pnm"];
/// The most bytes of a text with a class.
const MAX_CLASS: u64 = 1 << 10;

/// The bytes of an image, its name for errors, and the name of its class.
pub(in crate::data) struct Sample {
    pub(in crate::data) name: PathBuf,
    pub(in crate::data) bytes: Vec<u8>,
    pub(in crate::data) class: String,
}

type Samples = Box<dyn Iterator<Item = Result<Sample>> + Send>;

/// Images that stay in an archive or a table, as an [`IterableDataset`]: [`ImageFolderOptions::stream`].
#[derive(Clone, Debug)]
pub struct ImageStream {
    options: ImageFolderOptions,
    path: PathBuf,
    classes: Vec<String>,
    len: usize,
}

impl ImageStream {
    /// The name of each class.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

impl ImageFolderOptions {
    /// The images of a file, one after the other:
    ///
    /// * a `.tar` in the layout of WebDataset, where `0001.jpg` is followed by its class as the text `0001.cls`, or with a directory for
    ///   each class, as [`open`](ImageFolderOptions::open) reads them;
    /// * with the feature `parquet`, a Parquet table, or a folder of them, with a column of images, as `{bytes, path}` or bytes, and one
    ///   of Hugging Face's `ClassLabel` or of the name `label`.
    ///
    /// A first pass counts the images and collects the classes, which are in the order of their names (numbers by size). Pass those of
    /// another stream with [`with_classes`](ImageStream::with_classes). Inputs and targets are those of [`open`](ImageFolderOptions::open).
    ///
    /// # Errors
    /// Errors, now or when a piece is read, if the file is damaged or of another kind, or an image has no class or cannot be read.
    pub fn stream(&self, path: impl AsRef<Path>) -> Result<ImageStream> {
        self.check()?;
        let path = path.as_ref();
        let (mut classes, mut len) = (BTreeSet::new(), 0);
        for sample in samples(path, self.read.most())? {
            classes.insert(sample?.class);
            len += 1;
        }
        let mut classes: Vec<String> = classes.into_iter().collect();
        classes.sort_by_key(|name| name.parse::<u64>().ok());
        Ok(ImageStream { options: self.clone(), path: path.into(), classes, len })
    }
}

impl ImageStream {
    /// The classes in this order: those of the images to train on, say.
    ///
    /// Errors if an image has another class.
    pub fn with_classes(self, classes: &[String]) -> Result<Self> {
        match self.classes.iter().find(|class| !classes.contains(class)) {
            Some(other) => {
                let expected =
                    format!("expected images of the classes {}, got {other:?}", classes.join(", "));
                Err(file_error(&self.path, expected))
            }
            None => Ok(ImageStream { classes: classes.to_vec(), ..self }),
        }
    }
}

impl IterableDataset for ImageStream {
    fn len(&self) -> usize {
        self.len
    }

    fn iter(&self) -> Result<Pieces> {
        let (mut samples, stream) = (samples(&self.path, self.options.read.most())?, self.clone());
        let numbers: BTreeMap<String, u32> =
            (0..).zip(&self.classes).map(|(i, name)| (name.clone(), i)).collect();
        let decode = move |sample: Result<Sample>| {
            let Sample { name, bytes, class } = sample?;
            let class = numbers.get(&class).ok_or_else(|| {
                file_error(
                    &name,
                    format!("expected one of the classes {}, got {class:?}", stream.classes.join(", ")),
                )
            })?;
            Ok((stream.options.from_bytes(&name, &bytes)?, Tensor::new(*class, &Device::Cpu)?))
        };
        Ok(Box::new(std::iter::from_fn(move || {
            let some: Vec<_> = samples.by_ref().take(PIECE).collect();
            let decoded = kernel::map_each(some, &decode);
            (!decoded.is_empty()).then(|| stacked(decoded.into_iter()))
        })))
    }
}

/// Takes a sample; false if no more are wanted.
pub(in crate::data) type Take<'a> = dyn FnMut(Result<Sample>) -> bool + 'a;

/// The samples of a file, read by a thread of its own; an image has at most `most` bytes.
fn samples(path: &Path, most: usize) -> Result<Samples> {
    let path = path.to_path_buf();
    let open = |path: &Path| File::open(path).map_err(|error| unreadable(path, error));
    let file = if path.is_dir() { None } else { Some(open(&path)?) };
    let place = path.clone();
    let (sender, receiver) = sync_channel(PIECE);
    let work = move || {
        let take: &mut Take = &mut |sample| sender.send(sample).is_ok();
        let done = match file {
            #[cfg(feature = "parquet")]
            _ if crate::data::table::is_parquet(&path) => crate::data::table::images(&path, take),
            Some(file) => archive(&path, BufReader::new(file), most, take),
            None => Err(file_error(&path, "expected a tar archive or a Parquet table, got a folder")),
        };
        if let Err(error) = done {
            // Nobody may be there any more to take it.
            let _ = sender.send(Err(error));
        }
    };
    thread::Builder::new().name("images".into()).spawn(work).map_err(|error| unreadable(&place, error))?;
    Ok(Box::new(receiver.into_iter()))
}

/// The samples of a tar archive.
fn archive(path: &Path, file: impl Read, most: usize, take: &mut Take) -> Result<()> {
    let damaged =
        |error: std::io::Error| file_error(path, format!("expected a whole tar archive, got: {error}"));
    let mut archive = tar::Archive::new(file);
    let entries = archive.entries().map_err(damaged)?;
    let (mut parts, mut texts) = (Parts::default(), None);
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (folder, base) = name.rsplit_once('/').unwrap_or(("", &name));
        let stem = base.split_once('.').map_or(base, |(stem, _)| stem);
        let end = base.rsplit_once('.').map_or("", |(_, end)| end).to_lowercase();
        let key = format!("{folder}/{stem}");
        let is_image = IMAGES.contains(&end.as_str());
        if stem.is_empty() || !(is_image || end == "cls") {
            continue;
        }
        // Two images of a directory may have one name with several ends.
        let begins = key != parts.key || (is_image && parts.image.is_some());
        if begins && !std::mem::replace(&mut parts, Parts::new(key)).send(path, &mut texts, take) {
            return Ok(());
        }
        let most = if is_image { most as u64 } else { MAX_CLASS };
        let mut bytes = Vec::new();
        entry.by_ref().take(most + 1).read_to_end(&mut bytes).map_err(damaged)?;
        if bytes.len() as u64 > most {
            let message = format!("expected at most {most} bytes in {name:?}, got more");
            return Err(file_error(path, message));
        }
        match is_image {
            true => parts.image = Some((name.clone(), bytes)),
            false => parts.class = Some(String::from_utf8_lossy(&bytes).trim().nfc().collect()),
        }
    }
    parts.send(path, &mut texts, take);
    Ok(())
}

/// The files of one image in an archive.
#[derive(Default)]
struct Parts {
    /// The directory and the name up to the first dot.
    key: String,
    image: Option<(String, Vec<u8>)>,
    class: Option<String>,
}

impl Parts {
    fn new(key: String) -> Self {
        Parts { key, ..Parts::default() }
    }

    /// Whether more is wanted. Without an image, there is nothing to send. Either all classes are `texts`, or none.
    fn send(self, path: &Path, texts: &mut Option<bool>, take: &mut Take) -> bool {
        let Some((name, bytes)) = self.image else { return true };
        let place = path.join(&name);
        let class = match (*texts.get_or_insert(self.class.is_some()), self.class) {
            (true, class) => class,
            (false, Some(_)) => None,
            (false, None) => {
                name.rsplit_once('/').and_then(|(folder, _)| Some(folder.rsplit('/').next()?.nfc().collect()))
            }
        };
        let expected = match texts {
            Some(true) => "expected its class as a text (.cls) beside it, got none",
            _ => "expected a directory of its class, or all classes as texts (.cls), got neither",
        };
        take(match class.filter(|class: &String| !class.is_empty() && class != ".") {
            Some(class) => Ok(Sample { name: place, bytes, class }),
            None => Err(file_error(&place, expected)),
        })
    }
}
