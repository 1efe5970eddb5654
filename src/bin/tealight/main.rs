//! The program `tealight`: trains a small model on images or on a table, and uses it. docs/cli.md is the manual.
//!
//! It uses the library by its public names only.

mod artifacts;
mod evaluate;
mod export;
mod failure;
mod inputs;
mod inspect;
mod model;
mod options;
mod predict;
mod scores;
mod serve;
mod train;

use std::process::ExitCode;

use clap::Parser;

use options::{Cli, Command};

fn main() -> ExitCode {
    tealight::memory::keep_freed(512 << 20);
    let done = match Cli::parse().command {
        Command::Train(options) => train::run(&options),
        Command::Predict(options) => predict::run(&options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Serve(options) => serve::run(&options),
    };
    failure::exit_code(done)
}
