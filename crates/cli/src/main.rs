//! The `concordat` command: an agency's node, and a thin client of it.
//!
//! Every command but `init`, `node`, `client`, `key`, much of `audit`, `witness`, `gen`, `demo`, `bench` and `completions` is one call or two to the agency's own
//! node, over the services of `proto/concordat/v1/`. Results go to stdout, progress and errors to stderr.

#![expect(
    unreachable_pub,
    reason = "a program has no public API: `pub` marks what other modules use"
)]

mod commands;
mod connect;
mod demo;
mod draft;
mod exit;
mod json;
mod out;
mod progress;
mod query;
mod read;
mod subject;
mod upload;
mod whom;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Exit;
use crate::out::Out;

/// Private hit/no-hit matching between agencies.
///
/// Each agency runs its own node. A node learns which of its own people, documents or references are also on a
/// partner's list, and nothing else about that list; the partner learns neither what was asked nor what was found.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Print each result as one JSON object on one line
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for `match`: everything was checked to the end and nothing is listed
  1  it failed, or not everything could be done
  2  the command line cannot be understood
  3  `match`: at least one HIT
  4  `match`, `intersect`, `job`, `snapshot publish`: no HIT, but something could not be checked
     (UNKNOWN); `audit`: what was looked at holds, but too few witnesses have cosigned, not all
     could be read, or an exchange has not ended
  5  `list import`: imported, but at least one record could not be used
  6  `audit`: a ledger could not be read (UNREAD), so nothing is said about it
130  interrupted by Ctrl-C; a job of the node goes on

A rule in brackets, such as [AGR-102], says who is to blame and what to do: docs/rules.md.";

// Each command describes itself where its options are.
#[derive(Subcommand)]
enum Command {
    Init(commands::init::Args),
    Node(commands::node::Args),
    Info(commands::info::Args),
    #[command(subcommand)]
    Client(commands::client::Command),
    #[command(subcommand)]
    Key(commands::key::Command),
    #[command(subcommand)]
    List(commands::list::Command),
    #[command(subcommand)]
    Agreement(commands::agreement::Command),
    Match(Box<commands::matching::Args>),
    Intersect(commands::intersect::Args),
    #[command(subcommand)]
    Job(commands::job::Command),
    #[command(subcommand)]
    Case(Box<commands::case::Command>),
    #[command(subcommand)]
    Officer(commands::officer::Command),
    #[command(subcommand)]
    Snapshot(commands::snapshot::Command),
    #[command(subcommand)]
    Audit(commands::audit::Command),
    Witness(commands::witness::Args),
    Gen(commands::generate::Args),
    Demo(demo::Args),
    Bench(commands::bench::Args),
    Completions(commands::completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out { json: cli.json };
    let ended = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(cli.command, out)),
        Err(error) => Err(anyhow::Error::new(error).context("starting")),
    };
    ended.unwrap_or_else(|error| exit::report(&error)).into()
}

async fn run(command: Command, out: Out) -> anyhow::Result<Exit> {
    match command {
        Command::Init(args) => args.run(out).await,
        Command::Node(args) => args.run().await,
        Command::Info(args) => args.run(out).await,
        Command::Client(command) => command.run(out).await,
        Command::Key(command) => command.run(out).await,
        Command::List(command) => command.run(out).await,
        Command::Agreement(command) => command.run(out).await,
        Command::Match(args) => args.run(out).await,
        Command::Intersect(args) => args.run(out).await,
        Command::Job(command) => command.run(out).await,
        Command::Case(command) => command.run(out).await,
        Command::Officer(command) => command.run(out).await,
        Command::Snapshot(command) => command.run(out).await,
        Command::Audit(command) => command.run(out).await,
        Command::Witness(args) => args.run(out).await,
        Command::Gen(args) => args.run(out),
        Command::Demo(args) => args.run(out).await,
        Command::Bench(args) => args.run(out),
        Command::Completions(args) => args.run(),
    }
}

/// The command line as clap knows it, for completions.
fn command_line() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command_line().debug_assert();
    }

    #[test]
    fn every_command_is_documented() {
        let mut waiting = vec![(String::new(), super::command_line())];
        let mut commands = 0;
        while let Some((before, command)) = waiting.pop() {
            let name = format!("{before}{}", command.get_name());
            if command.has_subcommands() {
                waiting.extend(
                    command
                        .get_subcommands()
                        .map(|sub| (format!("{name} "), sub.clone())),
                );
            } else {
                commands += 1;
                let doc = include_str!("../../../docs/cli.md");
                assert!(
                    doc.contains(&format!("`{name}")),
                    "docs/cli.md does not mention `{name}`"
                );
            }
        }
        assert!(commands > 30, "{commands}");
    }
}
