//! `concordat key`: the keys of a node that does not run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use concordat_node::StartError;
use concordat_node::master_key::{Prepared, RotateError, Rotation};
use concordat_store::StoreError;
use serde_json::json;

use crate::connect::ConfigFile;
use crate::exit::{Advice, Exit};
use crate::out::Out;

/// Change the keys of our node.
#[derive(Subcommand)]
pub enum Command {
    /// Put a new master key in the place of the old one
    ///
    /// Works in the folder of a node that does not run. Whenever it is interrupted, the database opens with one of the two
    /// keys, both are on disk, and the next start or the same command finishes it. The old key opens backups made before, and
    /// nothing else: it is kept beside the new one. That it was done is recorded in the ledger.
    RotateMaster {
        #[command(flatten)]
        config: ConfigFile,
        /// Write the new key to this new file instead of replacing the configured one: for a key that comes from the
        /// environment, from systemd or from a container engine
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let Self::RotateMaster { config, out: file } = self;
        let config = config.load()?;
        let prepared = Rotation::prepare(&config, file.as_deref())
            .await
            .map_err(refused)?;
        let (files, done) = match prepared {
            Prepared::New(rotation) => {
                rotation.switch().await.map_err(refused)?;
                (rotation.finish().await.map_err(refused)?, "")
            }
            Prepared::Finished(files) => (files, "The rotation that was interrupted is finished. "),
        };
        let text = || {
            let new = files.new.display();
            match &files.old {
                Some(old) => format!(
                    "{done}{new} holds the new master key: put a copy into the safe.\n\
                     {} holds the old one, which opens backups made before. Keep it as long as you keep those, elsewhere; then destroy it.\n",
                    old.display()
                ),
                None => format!(
                    "{new} holds the new master key: put it where the node takes its key from before you start it, and a copy into the safe.\n\
                     The old one opens backups made before, and nothing else.\n"
                ),
            }
        };
        out.result(|| json!({ "new": files.new, "old": files.old }), text)?;
        Ok(Exit::Done)
    }
}

fn refused(error: RotateError) -> anyhow::Error {
    match error {
        RotateError::Open(StartError::Store(StoreError::AlreadyOpen { .. })) => Advice::error(
            "the node runs: it holds its database",
            "stop the node, run this command, start it again",
        ),
        error => anyhow::Error::new(error),
    }
}
