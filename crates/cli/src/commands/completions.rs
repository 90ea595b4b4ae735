//! `concordat completions`.

use std::io;

use anyhow::Result;

use crate::exit::Exit;

/// Print a completion script for a shell.
#[derive(clap::Args)]
pub struct Args {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Args {
    /// Runs the command.
    #[expect(clippy::unnecessary_wraps, reason = "as every command")]
    pub fn run(self) -> Result<Exit> {
        clap_complete::generate(
            self.shell,
            &mut crate::command_line(),
            "concordat",
            &mut io::stdout(),
        );
        Ok(Exit::Done)
    }
}
