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

use clap::{CommandFactory, Parser};

use options::{Cli, Command};

fn main() -> ExitCode {
    tealight::memory::keep_freed(512 << 20);
    let done = match Cli::parse().command {
        Command::Train(options) => train::run(*options),
        Command::Predict(options) => predict::run(&options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Completions { shell } => {
            let shell: clap_complete::Shell = shell.parse().expect("the names of clap_complete");
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tealight", &mut script);
            failure::print(&String::from_utf8_lossy(&script))
        }
        Command::Man { command } => man(command.as_deref()),
    };
    failure::exit_code(done)
}

/// Prints the man page of the program or of a command.
fn man(name: Option<&str>) -> failure::Result<()> {
    let mut command = Cli::command();
    command.build();
    let names: Vec<String> = command.get_subcommands().map(|found| found.get_name().to_string()).collect();
    let page = match name {
        None => Some(&command),
        Some(name) => command.find_subcommand(name),
    };
    let Some(page) = page.cloned() else {
        let (expected, got) = (names.join(", "), name.unwrap_or_default());
        return failure::fail(format!("man: expected one of {expected}, got {got:?}"));
    };
    // A page is called tealight-train, as those of git are.
    let name = page.get_display_name().unwrap_or(page.get_name()).to_string();
    let mut text = Vec::new();
    let written = clap_mangen::Man::new(page).title(name).render(&mut text);
    written.expect("memory can be written to");
    failure::print(&String::from_utf8_lossy(&text))
}
