//! [`TensorBoard`], and the event file format.
//!
//! A record of the file is its length (u64, little endian), the masked CRC of these eight bytes, the bytes of a protobuf message
//! `Event`, and their masked CRC. The CRC is CRC-32C; masked, it is rotated right by 15 bits, plus 0xa282ead8.
//!
//! # Source
//! TensorFlow's `record_writer.cc`, `event.proto` and `summary.proto`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::callback::{Callback, CallbackContext};
use crate::error::{Error, Result};
use crate::file::protobuf::{field, float_field, varint_field};
use crate::file::unwritable;

/// Writes the scores of each epoch, and the loss of each step as `step_loss`, for TensorBoard: `tensorboard --logdir runs`.
///
/// Each training writes its own file in the directory, and tells TensorBoard to discard what earlier ones wrote there: all of it,
/// or for a resumed training what came after the checkpoint. So give each training that is to be shown its own directory.
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::train::TensorBoard;
/// # let dir = std::env::temp_dir().join(format!("tealight-doc-runs-{}", std::process::id()));
/// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
/// # let sgd = Sgd::new(model.parameters(), 0.1)?;
/// Trainer::new(&model, Mse, sgd).callback(TensorBoard::new(&dir)).silent().fit(&x, None)?;
/// let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().file_name();
/// assert!(file.to_string_lossy().starts_with("events.out.tfevents."));
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "SummaryWriter")]
pub struct TensorBoard {
    directory: PathBuf,
    every_steps: u64,
    file: Option<(PathBuf, File)>,
    /// Events that are not written yet.
    buffer: Vec<u8>,
}

/// The buffer is written before the end of the epoch when it is larger.
const MAX_BUFFER: usize = 1 << 16;

impl TensorBoard {
    /// Writes to this directory, which is created if it does not exist.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        TensorBoard { directory: directory.as_ref().into(), every_steps: 1, file: None, buffer: Vec::new() }
    }

    /// Writes the loss of every `steps`-th step only, or with 0 of none. Default: 1.
    #[must_use]
    #[doc(alias = "update_freq")]
    pub fn every_steps(mut self, steps: u64) -> Self {
        self.every_steps = steps;
        self
    }

    fn open(&mut self, step: u64) -> Result<()> {
        std::fs::create_dir_all(&self.directory).map_err(|error| unwritable(&self.directory, error))?;
        // Two trainings may start in the same second.
        for number in 0..u32::MAX {
            let name =
                format!("events.out.tfevents.{:010}.tealight.{}.{number}", now() as u64, std::process::id());
            let path = self.directory.join(name);
            match File::create_new(&path) {
                Ok(file) => {
                    self.file = Some((path, file));
                    break;
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritable(&path, error)),
            }
        }
        self.buffer = event(now(), 0, &field(3, b"brain.Event:2"));
        // A session start: TensorBoard discards what earlier files have for this step and later ones. Its Python loader takes the
        // first of a directory for the beginning and discards nothing, so that a fresh training writes one too.
        self.buffer.extend(event(now(), step.saturating_add(1), &field(7, &varint_field(1, 1))));
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let Some((path, file)) = &mut self.file else {
            return Err(Error::argument("TensorBoard", "on_train_begin before the other calls", "none"));
        };
        let written = file.write_all(&self.buffer).and_then(|()| file.flush());
        written.map_err(|error| unwritable(path, error))?;
        self.buffer.clear();
        Ok(())
    }
}

impl Callback for TensorBoard {
    fn on_train_begin(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if ctx.rank == 0 { self.open(ctx.step) } else { Ok(()) }
    }

    fn on_step_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if ctx.rank == 0 && ctx.step.checked_rem(self.every_steps) == Some(0) {
            self.buffer.extend(scalars(ctx.step, [("step_loss", ctx.loss)].into_iter()));
        }
        if self.buffer.len() > MAX_BUFFER { self.flush() } else { Ok(()) }
    }

    fn on_epoch_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if ctx.rank > 0 {
            return Ok(());
        }
        let record = ctx.history.records().last();
        let scores = record.into_iter().flat_map(|record| record.scores.iter());
        self.buffer.extend(scalars(ctx.step, scores));
        self.flush()
    }

    fn on_train_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if ctx.rank == 0 { self.flush() } else { Ok(()) }
    }
}

/// The seconds since 1970; 0 for a clock that is set to an earlier time.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// An event with the scores as its summary.
fn scalars<'a>(step: u64, scores: impl Iterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let value = |(name, score): (&str, f64)| {
        field(1, &[field(1, name.as_bytes()), float_field(2, score as f32)].concat())
    };
    let summary: Vec<u8> = scores.flat_map(value).collect();
    event(now(), step, &field(5, &summary))
}

/// A record of the file: an event of this time and step, and its other fields.
fn event(time: f64, step: u64, rest: &[u8]) -> Vec<u8> {
    let message = [&[1 << 3 | 1][..], &time.to_le_bytes(), &varint_field(2, step), rest].concat();
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), &message, &masked_crc(&message)].concat()
}

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    (crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)).to_le_bytes()
}

fn crc32c(bytes: &[u8]) -> u32 {
    // The remainders of all bytes by the polynomial, with its bits reversed.
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 8 {
                crc = (crc >> 1) ^ (if crc & 1 == 1 { 0x82f6_3b78 } else { 0 });
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::{crc32c, event, scalars};

    #[test]
    fn checksums() {
        // RFC 3720, B.4, and the usual check value.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn records() {
        // What tensorboard's own writer makes of Event(wall_time=1.5, step=300, file_version="brain.Event:2").
        let record = event(1.5, 300, &super::field(3, b"brain.Event:2"));
        assert_eq!(record, GOLDEN);
        let record = scalars(1, [("a", 0.5)].into_iter());
        assert_eq!(&record[record.len() - 14..record.len() - 4], b"\x0a\x08\x0a\x01a\x15\0\0\0\x3f");
    }

    const GOLDEN: &[u8] = &[
        27, 0, 0, 0, 0, 0, 0, 0, 26, 13, 158, 19, 9, 0, 0, 0, 0, 0, 0, 248, 63, 16, 172, 2, 26, 13, 98, 114,
        97, 105, 110, 46, 69, 118, 101, 110, 116, 58, 50, 10, 141, 197, 228,
    ];
}
