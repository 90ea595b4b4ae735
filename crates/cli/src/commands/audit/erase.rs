//! `concordat audit erase`: destroys what entries say before their day, by order.

use anyhow::Result;
use concordat_ledger::EntryType;
use concordat_wire::v1::{EntryFilter, EntryRange, EraseEntriesRequest};
use serde_json::json;

use super::entries;
use crate::commands::officer::confirmed;
use crate::connect::Connection;
use crate::exit::Exit;
use crate::out::{Out, Table, count, note, time};

/// So many entries are shown before somebody says yes.
const SHOWN: u64 = 20;

/// What to erase.
#[derive(clap::Args)]
pub struct Args {
    /// Numbers of entries: one (4711), or the first and the last of several (4711-4720)
    #[arg(required = true, value_name = "N|FIRST-LAST", value_parser = range)]
    entries: Vec<EntryRange>,
    /// Who is entitled to order it, and why; stays on record for ever, so without what is to be forgotten
    #[arg(long, value_name = "TEXT")]
    order: String,
    /// Erase without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let node = self.connection.open().await?;
        let (mut table, mut left) = (Table::new(["ENTRY", "TIME", "TYPE"]), 0);
        for range in &self.entries {
            // The ledger has no gaps: with the last one it has all.
            entries::one(&node, range.last).await?;
            let filter = EntryFilter {
                from: range.first,
                until: range.last.checked_add(1),
                ..EntryFilter::default()
            };
            entries::listed(&node, filter, 0, |entry| {
                // What says that others were erased is not erased itself.
                if !entry.erased && entry.r#type != EntryType::Erasure.name() {
                    left += 1;
                    if left <= SHOWN {
                        table.row([entry.number.to_string(), time(&entry.at), entry.r#type]);
                    }
                }
                Ok(())
            })
            .await?;
        }
        if left > 0 {
            note(table.to_string().trim_end());
            if left > SHOWN {
                note(format!("and {} more", count(left - SHOWN)));
            }
            note(
                "What these entries say will be destroyed in our ledger, for good. That there were entries, and that they were erased, stays.",
            );
            if !confirmed("Erase them?", "erase", self.yes)? {
                note("Nothing was erased.");
                return Ok(Exit::Failed);
            }
        }
        let request = EraseEntriesRequest {
            entries: self.entries,
            order: self.order,
        };
        // Also if nothing is left: the node says who may not even ask.
        let erased = node.node().erase_entries(request).await?.into_inner().erased;
        out.result(
            || json!({ "erased": erased }),
            || match erased {
                0 => "Nothing was left to erase.\n".to_owned(),
                1 => "What 1 entry said is erased.\n".to_owned(),
                _ => format!("What {} entries said is erased.\n", count(erased)),
            },
        )?;
        Ok(Exit::Done)
    }
}

fn range(text: &str) -> Result<EntryRange, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (entries::number(first)?, entries::number(last)?);
    if first > last {
        return Err(format!("{first} comes after {last}"));
    }
    Ok(EntryRange { first, last })
}
