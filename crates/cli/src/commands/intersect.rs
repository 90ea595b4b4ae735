//! `concordat intersect`.

use std::path::PathBuf;

use anyhow::Result;
use concordat_identifiers::Kind;
use concordat_wire::v1::IntersectRequest;

use super::job;
use crate::connect::Connection;
use crate::exit::Exit;
use crate::out::{Out, OutFile, note};
use crate::query::QueryArgs;

/// Compare our own lists with a partner's.
///
/// A job of our node asks the partner for every identifier of the lists, blinded. We learn which of our own records
/// are on the partner's list too; the partner learns how many elements were asked for, and why. Without --wait the
/// job's id is printed and the command returns at once.
#[derive(clap::Args)]
pub struct Args {
    /// The partner's agency id
    #[arg(long, value_name = "ID")]
    partner: String,
    /// Our own lists
    #[arg(long = "list", value_name = "LIST", required = true)]
    lists: Vec<String>,
    /// Compare only these kinds, for example travel_document [default: all that the agreement covers]
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,
    /// Follow the job to its end
    #[arg(long)]
    wait: bool,
    /// Write what was found to this file when the job has ended; implies --wait
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Makes the call safe to repeat: the same id gives the same job
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    request_id: String,
    #[command(flatten)]
    query: QueryArgs,
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let file = self.out.as_deref().map(OutFile::create).transpose()?;
        let node = self.connection.open().await?;
        let request = IntersectRequest {
            context: Some(self.query.into()),
            lists: self.lists,
            partner_id: self.partner,
            kinds: self
                .kinds
                .into_iter()
                .map(|kind| concordat_wire::kind_to_proto(kind).into())
                .collect(),
            request_id: self.request_id,
        };
        let started = node.matching().intersect(request).await?.into_inner();
        if !self.wait && self.out.is_none() {
            job::show(&started, out)?;
            return Ok(Exit::Done);
        }
        let exit = job::follow(&node, &started.job_id, "intersecting", out).await?;
        // Of a job that did not end there is no result yet: an older file stays.
        if let (Some(path), Some(file), Exit::Done | Exit::Unknown) = (&self.out, file, exit) {
            let found = job::write_matches(&node, &started.job_id, file).await?;
            note(format_args!("{} in {}", job::found(found), path.display()));
        }
        Ok(exit)
    }
}
