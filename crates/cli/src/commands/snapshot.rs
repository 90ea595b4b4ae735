//! `concordat snapshot`.

use anyhow::Result;
use clap::Subcommand;
use concordat_wire::v1::{FetchRequest, PublishRequest, Snapshot, SnapshotStatusRequest};
use serde_json::json;

use super::job;
use crate::connect::Connection;
use crate::exit::Exit;
use crate::out::{Out, Table, bytes, count, time};
use crate::{json, words};

/// Publish our lists' tags and fetch our partners'.
///
/// A node does both by itself; these commands do it now.
#[derive(Subcommand)]
pub enum Command {
    /// Compute and publish the tags of our lists for every offer we own
    Publish {
        /// Only for this agreement
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        agreement: String,
        /// Do not wait until it is done
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Fetch what is new from our partners
    Fetch {
        /// Only from this one
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        partner: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show what is published and what is held, how old it is, and what is missing
    Status {
        #[command(flatten)]
        connection: Connection,
    },
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::Publish {
                agreement,
                no_wait,
                connection,
            } => {
                let node = connection.open().await?;
                let request = PublishRequest {
                    agreement_id: agreement,
                };
                let started = node.snapshots().publish(request).await?.into_inner();
                if no_wait {
                    job::show(&started, out)?;
                    return Ok(Exit::Done);
                }
                job::follow(&node, &started.job_id, "publishing", out).await
            }
            Self::Fetch { partner, connection } => {
                let request = FetchRequest { partner_id: partner };
                let fetched = connection
                    .open()
                    .await?
                    .snapshots()
                    .fetch(request)
                    .await?
                    .into_inner();
                let values = || {
                    json!({
                        "bytes_received": fetched.bytes_received,
                        "snapshots": fetched.snapshots.iter().map(json::snapshot).collect::<Vec<_>>(),
                    })
                };
                let text = || {
                    format!(
                        "{}received {}",
                        table(&fetched.snapshots),
                        bytes(fetched.bytes_received)
                    )
                };
                out.result(values, text)?;
                Ok(exit(&fetched.snapshots))
            }
            Self::Status { connection } => {
                let request = SnapshotStatusRequest {};
                let snapshots = connection
                    .open()
                    .await?
                    .snapshots()
                    .status(request)
                    .await?
                    .into_inner()
                    .snapshots;
                if out.json {
                    for snapshot in &snapshots {
                        out.result(|| json::snapshot(snapshot), String::new)?;
                    }
                } else {
                    out.text(table(&snapshots))?;
                }
                Ok(exit(&snapshots))
            }
        }
    }
}

/// A snapshot that is missing or too old answers nothing: not a success.
fn exit(snapshots: &[Snapshot]) -> Exit {
    let unusable = |snapshot: &Snapshot| snapshot.stale || snapshot.version == 0;
    if snapshots.iter().any(unusable) {
        Exit::Failed
    } else {
        Exit::Done
    }
}

fn table(snapshots: &[Snapshot]) -> Table {
    let mut table = Table::new([
        "ROLE",
        "PARTNER",
        "OFFER",
        "KIND",
        "EPOCH",
        "VERSION",
        "SIZE CLASS",
        "AS OF",
        "",
    ]);
    for snapshot in snapshots {
        let remark = match (snapshot.detail.as_str(), snapshot.stale) {
            ("", false) => String::new(),
            ("", true) => "too old".into(),
            (detail, _) => detail.into(),
        };
        table.row([
            words::snapshot_role(snapshot.role).into(),
            snapshot.partner_id.clone(),
            snapshot.offer_id.clone(),
            words::kind(snapshot.kind).into(),
            snapshot.epoch.to_string(),
            snapshot.version.to_string(),
            count(snapshot.size_class),
            time(&snapshot.as_of),
            remark,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_stale_snapshots_are_no_success() {
        let good = Snapshot {
            version: 3,
            ..Snapshot::default()
        };
        assert_eq!(exit(std::slice::from_ref(&good)), Exit::Done);
        assert_eq!(
            exit(&[
                good.clone(),
                Snapshot {
                    version: 0,
                    ..good.clone()
                }
            ]),
            Exit::Failed
        );
        assert_eq!(exit(&[Snapshot { stale: true, ..good }]), Exit::Failed);
    }
}
