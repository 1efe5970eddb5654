//! `tealight`: trains a small classifier on pictures or on a table, and uses it.
//!
//! A thin layer over the library: it reads the arguments and the files, and says what came of it. docs/cli.md is the manual.

mod evaluate;
mod examples;
mod export;
mod failure;
mod inspect;
mod model;
mod options;
mod pictures;
mod predict;
mod train;

use std::process::ExitCode;

use clap::Parser;

use options::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Train(options) => train::run(&options),
        Command::Predict(options) => predict::run(&options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Export(options) => export::run(&options),
    };
    failure::exit_code(done)
}
