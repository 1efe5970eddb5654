//! Every reader with damaged files: it answers or refuses, and what it answers holds together.
//!
//! The checks are those of the fuzz targets in fuzz/, which look further and longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

#[path = "fuzz/checks.rs"]
#[allow(unreachable_pub, dead_code)] // the crate of the fuzz targets
mod checks;

use checks::{check, seeds};
use proptest::prelude::*;

/// One change of a file. Places are taken modulo its length.
#[derive(Clone, Debug)]
enum Change {
    Bit(usize, u8),
    Byte(usize, u8),
    /// A number in the file becomes one of the odd ones.
    Word(usize, usize, u64, bool),
    /// The digits after this place become another number.
    Digits(usize, String),
    Cut(usize),
    Drop(usize, usize),
    Insert(usize, Vec<u8>),
    /// A piece of another file, here.
    Splice(usize, usize, usize, usize),
}

const ODD: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX >> 1, u64::MAX];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>;
    let digits = prop_oneof![
        prop::sample::select(&ODD[..]).prop_map(|n| n.to_string()),
        prop::sample::select(&["", "-1", "1e999", "nan", "0x10", "99999999999999999999"][..])
            .prop_map(String::from),
    ];
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Bit(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (at(), prop::sample::select(&[1_usize, 2, 4, 8][..]), prop::sample::select(&ODD[..]), any::<bool>())
            .prop_map(|(at, width, odd, big)| Change::Word(at, width, odd, big)),
        (at(), digits).prop_map(|(at, digits)| Change::Digits(at, digits)),
        at().prop_map(Change::Cut),
        (at(), 1..20_usize).prop_map(|(at, length)| Change::Drop(at, length)),
        (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), at(), at(), 1..200_usize)
            .prop_map(|(at, file, from, length)| Change::Splice(at, file, from, length)),
    ]
}

fn changed(bytes: &mut Vec<u8>, files: &[Vec<u8>], change: Change) {
    let length = bytes.len();
    let place = |at: usize| at % (length + 1);
    match change {
        Change::Bit(at, bit) => bytes.get_mut(place(at)).into_iter().for_each(|byte| *byte ^= 1 << bit),
        Change::Byte(at, new) => bytes.get_mut(place(at)).into_iter().for_each(|byte| *byte = new),
        Change::Word(at, width, odd, big) => {
            let word = if big {
                odd.to_be_bytes()[8 - width..].to_vec()
            } else {
                odd.to_le_bytes()[..width].to_vec()
            };
            bytes.iter_mut().skip(place(at)).zip(word).for_each(|(byte, new)| *byte = new);
        }
        Change::Digits(at, digits) => {
            let digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = bytes[place(at)..].iter().position(digit).map(|start| start + place(at)) else {
                return;
            };
            let end = start + bytes[start..].iter().take_while(|byte| digit(byte)).count();
            bytes.splice(start..end, digits.into_bytes());
        }
        Change::Cut(at) => bytes.truncate(place(at)),
        Change::Drop(at, count) => drop(bytes.drain(place(at)..length.min(place(at).saturating_add(count)))),
        Change::Insert(at, new) => drop(bytes.splice(place(at)..place(at), new)),
        Change::Splice(at, file, from, count) => {
            let other = &files[file % files.len()];
            let from = from % (other.len() + 1);
            let piece = &other[from..other.len().min(from + count)];
            bytes.splice(place(at)..place(at), piece.iter().copied());
        }
    }
}

fn fuzz(target: &str, cases: u32) {
    let files = seeds(target);
    files.iter().for_each(|file| check(target, file));
    let damaged = (any::<usize>(), prop::collection::vec(change(), 1..5)).prop_map(|(which, changes)| {
        let mut bytes = files[which % files.len()].clone();
        changes.into_iter().for_each(|change| changed(&mut bytes, &files, change));
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    proptest!(config, |(bytes in prop_oneof![9 => damaged, 1 => noise])| check(target, &bytes));
}

macro_rules! readers {
    ($($(#[$if:meta])? $name:ident: $cases:literal),*) => {
        /// Each target has a test here.
        const TESTED: &[&str] = &[$($(#[$if])? stringify!($name)),*];

        $($(#[$if])?
        #[test]
        fn $name() {
            fuzz(stringify!($name), $cases);
        })*
    };
}

readers! { image: 2000, idx: 2000, csv: 2000, npy: 2000, npz: 2000, safetensors: 2000, pth: 2000, checkpoint: 1000, model: 2000, formula: 4000, #[cfg(feature = "parquet")] parquet: 4000, compressed: 2000, #[cfg(feature = "tar")] tar: 1000 }

#[test]
fn every_target_is_tested() {
    assert_eq!(TESTED, checks::NAMES);
}
