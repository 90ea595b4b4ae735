//! `concordat audit erase`: destroys what entries say before their day, by order.

use anyhow::Result;
use concordat_wire::v1::{EntryRange, EraseEntriesRequest};
use serde_json::json;

use crate::commands::officer::confirmed;
use crate::connect::Connection;
use crate::exit::Exit;
use crate::out::{Out, counted, note};

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
        let numbers: u64 = self.entries.iter().map(numbers).fold(0, u64::saturating_add);
        let what = counted(numbers, "number");
        note(format!(
            "What the entries of {what} say is destroyed in our ledger, for good. That there were entries, and that they were erased, stays."
        ));
        if !confirmed("Erase them?", "erase", self.yes)? {
            return Ok(Exit::Failed);
        }
        let node = self.connection.open().await?;
        let request = EraseEntriesRequest {
            entries: self.entries,
            order: self.order,
        };
        let erased = node.node().erase_entries(request).await?.into_inner().erased;
        out.result(
            || json!({ "erased": erased }),
            || match erased {
                0 => "Nothing was left to erase.\n".to_owned(),
                1 => "What 1 entry said is erased.\n".to_owned(),
                _ => format!("What {} entries said is erased.\n", crate::out::count(erased)),
            },
        )?;
        Ok(Exit::Done)
    }
}

fn numbers(range: &EntryRange) -> u64 {
    (range.last - range.first).saturating_add(1)
}

fn range(text: &str) -> Result<EntryRange, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        text.parse()
            .map_err(|_| format!("{text:?} is no number of an entry"))
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("{first} comes after {last}"));
    }
    Ok(EntryRange { first, last })
}
