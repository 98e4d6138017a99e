//! The command line: one file per command. JSON on standard output, logs and progress on standard error;
//! exit code 0 for done, 1 for failed or findings, 2 for usage or configuration.

mod accounts;
mod backup;
mod catalog;
mod check;
mod costs;
#[cfg(feature = "simulator")]
mod demo;
mod journal;
mod print_config;
mod render;
mod run;
#[cfg(feature = "simulator")]
mod simulate;
#[cfg(feature = "simulator")]
mod simulator;
mod token;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use gondola_protocol::Moment;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::run::StartError;
use crate::template::{TemplateError, Templates};

/// Electronic shelf label controller.
#[derive(Debug, Parser)]
#[command(name = "gondola", version, about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole system at work: broker, store, simulated shop and dashboard in one process.
    #[cfg(feature = "simulator")]
    Demo(demo::Demo),
    /// Run the controller.
    Run(run::Run),
    /// Look for mistakes in a configuration, in templates, and in what the templates make of a catalog.
    Check(check::Check),
    /// Convert a catalog between a table and a snapshot.
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// Draw one product's label as a PNG.
    Render(render::Render),
    /// Run stores with simulated shops in virtual time.
    #[cfg(feature = "simulator")]
    Simulate(simulate::Simulate),
    /// Simulated base stations and labels.
    #[cfg(feature = "simulator")]
    #[command(subcommand)]
    Simulator(simulator::Simulator),
    /// Look at stores' journals.
    #[command(subcommand)]
    Journal(journal::Journal),
    /// Users of the dashboard.
    #[command(subcommand)]
    User(user::User),
    /// Tokens of programs that use the REST interface.
    #[command(subcommand)]
    Token(token::Token),
    /// Copy the data directory, verified, while the controller works.
    Backup(backup::Backup),
    /// Bring a backup back to a data directory without stores.
    Restore(backup::Restore),
    /// Print the effective configuration.
    PrintConfig(print_config::PrintConfig),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    /// Findings, or a goal that was not reached; what there is to say has been said.
    Findings,
}

/// Something wrong with what the command was given, and not with its work: exit code 2.
#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot use the templates in {}\n{}", directory.display(), list(problems))]
    Templates { directory: PathBuf, problems: Vec<TemplateError> },
    #[error("cannot use {}", file.display())]
    File { file: PathBuf, source: anyhow::Error },
    #[error("{0}")]
    Value(String),
}

fn list(problems: &[TemplateError]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let ended = match command {
        #[cfg(feature = "simulator")]
        Command::Demo(demo) => demo.run(),
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Catalog(catalog) => catalog.run(),
        Command::Render(render) => render.run(),
        #[cfg(feature = "simulator")]
        Command::Simulate(simulate) => simulate.run(),
        #[cfg(feature = "simulator")]
        Command::Simulator(simulator) => simulator.run(),
        Command::Journal(journal) => journal.run(),
        Command::User(user) => user.run(),
        Command::Token(token) => token.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::PrintConfig(print) => print.run(),
    };
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(1),
        Err(error) => {
            report(&error);
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}

/// Prints an error with its causes, once, and what a person can do.
fn report(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("cause: {cause}");
    }
    if let Some(hint) = error.downcast_ref::<StartError>().and_then(StartError::hint) {
        eprintln!("hint:  {hint}");
    }
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// An instant as the core counts it; one before 1970 is the start of it.
fn moment(at: jiff::Timestamp) -> Moment {
    Moment::from_micros(u64::try_from(at.as_microsecond()).unwrap_or(0))
}

fn read_file(path: &PathBuf) -> Result<Vec<u8>, UsageError> {
    std::fs::read(path).map_err(|error| UsageError::File { file: path.clone(), source: error.into() })
}

/// The templates of a directory, or those that ship.
fn templates(directory: Option<&PathBuf>) -> Result<Arc<Templates>, UsageError> {
    let Some(directory) = directory else { return Ok(Arc::new(Templates::embedded())) };
    let refused = |problems| UsageError::Templates { directory: directory.clone(), problems };
    Templates::from_directory(directory).map(Arc::new).map_err(refused)
}

fn config(path: &std::path::Path) -> Result<Config, UsageError> {
    Ok(Config::load(path)?)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Cancelled by the first Ctrl-C or SIGTERM. A second one ends the process at once.
async fn until_signalled(stop: CancellationToken) {
    signalled().await;
    stop.cancel();
    signalled().await;
    tracing::warn!("stopped at once by a second signal");
    std::process::exit(1);
}

async fn signalled() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        // Cancel-safe: a signal that comes between two waits is a wish to stop all the same.
        _ = tokio::signal::ctrl_c() => {}
        // Cancel-safe: as above.
        () = terminated => {}
    }
}
