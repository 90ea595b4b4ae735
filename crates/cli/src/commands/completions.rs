//! `concordat completions`.

use std::io::Write;

use anyhow::Result;

use crate::exit::Exit;
use crate::out::Stdout;

/// Print a completion script for a shell.
#[derive(clap::Args)]
pub struct Args {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> Result<Exit> {
        // In memory first: clap takes a reader that has seen enough (`| head`) for a reason to panic.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command_line(), "concordat", &mut script);
        Stdout.write_all(&script)?;
        Stdout.flush()?;
        Ok(Exit::Done)
    }
}
