//! `concordat audit prove`: one entry in a file that needs no node, if wanted with what it says and identifiers that it was about.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use concordat_ledger::Bundle;
use concordat_wire::v1::{AuditContext, MatchItem, ProveEntryRequest, QueriedItems, match_item};
use serde_json::json;

use super::entries;
use crate::connect::{Connection, Node};
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, OutFile, counted};
use crate::whom::{Asked, CALL_ITEMS, What, WhomArgs};

/// The same where an entry may also stay shut: all or none.
#[derive(clap::Args)]
#[command(next_help_heading = "To open the entry in the bundle (recorded in the ledger)")]
pub struct MaybeReasonArgs {
    /// What for, for example "AUDIT"
    #[arg(long, value_name = "TEXT", requires_all = ["legal_basis", "case_reference", "recipient"])]
    purpose: Option<String>,
    /// On what legal basis
    #[arg(long, value_name = "TEXT", requires = "purpose")]
    legal_basis: Option<String>,
    /// The number of the audit
    #[arg(long = "case", value_name = "TEXT", requires = "purpose")]
    case_reference: Option<String>,
    /// Whom it is opened to, for example the supervisory authority
    #[arg(long, value_name = "NAME", requires = "purpose")]
    recipient: Option<String>,
    /// Who opens it [default: the client certificate's name]
    #[arg(long, value_name = "NAME", requires = "purpose")]
    officer: Option<String>,
}

impl MaybeReasonArgs {
    fn context(self) -> Option<AuditContext> {
        Some(AuditContext {
            purpose: self.purpose?,
            // The command line has them all or none.
            legal_basis: self.legal_basis?,
            case_reference: self.case_reference?,
            recipient: self.recipient?,
            officer: self.officer.unwrap_or_default(),
        })
    }
}

/// What to prove.
#[derive(clap::Args)]
pub struct ProveArgs {
    /// The entry's number
    number: u64,
    /// Where the bundle goes
    #[arg(long = "out", value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    reason: MaybeReasonArgs,
    #[command(flatten)]
    whom: WhomArgs,
    /// Of a file with several items, the one to open, as `concordat match` names it; may be given again
    #[arg(long = "item", value_name = "ID", help_heading = "About whom")]
    items: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

impl ProveArgs {
    /// Proves.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let mut file = OutFile::create(&self.file)?;
        let node = self.connection.open().await?;
        let queried = self.queried(&node).await?;
        let context = self.reason.context();
        if queried.is_some() && context.is_none() {
            return Err(Usage::error(
                "a query's identifiers are opened with the entry: say why, with --purpose, --legal-basis, --case and --recipient",
            ));
        }
        let about = queried.is_some();
        let request = ProveEntryRequest {
            number: self.number,
            context,
            queried,
        };
        let bundle = node.audit().prove_entry(request).await?.into_inner().bundle;
        let opened = Bundle::parse(bundle.as_bytes())
            .context("the bundle, as the node made it")?
            .identifiers()
            .len();
        shows(about, opened)?;
        file.write_all(bundle.as_bytes()).context("the bundle")?;
        file.finish()?;
        let place = self.file.display();
        out.result(
            || json!({ "number": self.number, "bundle": place.to_string(), "bytes": bundle.len(), "identifiers": opened }),
            || {
                let shows = match opened {
                    0 => String::new(),
                    opened => format!("{} of the query in it; ", counted(opened as u64, "identifier")),
                };
                format!("{place}: {shows}`concordat audit check-bundle` verifies it, without a node")
            },
        )?;
        Ok(Exit::Done)
    }

    /// What the query was about, read as on the day of its entry.
    async fn queried(&self, node: &Node) -> Result<Option<QueriedItems>> {
        let at: jiff::Timestamp = entries::one(node, self.number)
            .await?
            .at
            .parse()
            .context("the entry's time, as the node gave it")?;
        let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        match self.whom.questions(day)? {
            Some(whom) => Ok(Some(asked_together(whom.items, &self.items)?)),
            None if self.items.is_empty() => Ok(None),
            None => Err(Usage::error(
                "--item is one of a file: give the query's file with --mrz, --paxlst or --jsonl",
            )),
        }
    }
}

/// Whether the bundle shows whom the query was about, if that was asked for.
fn shows(about: bool, identifiers: usize) -> Result<()> {
    if about && identifiers == 0 {
        return Err(Advice::error(
            "the node's bundle does not show whom the query was about: no bundle was written",
            "the node is of another version than this command, and the opening is on record: use the command that came with the node",
        ));
    }
    Ok(())
}

/// The items that `match` asked about in one call, with the wanted ones among them; the only one if none is named.
fn asked_together(mut items: Asked, wanted: &[String]) -> Result<QueriedItems> {
    let mut found: Option<QueriedItems> = None;
    let (mut all, mut named) = (0, 0);
    loop {
        let batch = items.by_ref().take(CALL_ITEMS).collect::<Result<Vec<_>>>()?;
        if batch.is_empty() {
            break;
        }
        all += batch.len();
        let mut together = QueriedItems::default();
        for (index, question) in batch.into_iter().enumerate() {
            let is_wanted = wanted.is_empty() || wanted.contains(&question.label);
            named += usize::from(is_wanted);
            match question.what {
                What::Ask(subject) => {
                    let item_id = index.to_string();
                    if is_wanted {
                        together.open.push(item_id.clone());
                    }
                    let what = Some(match_item::What::Subject(subject));
                    together.items.push(MatchItem { item_id, what });
                }
                What::Unreadable if is_wanted => {
                    bail!("the item cannot be read, so the query was not about it")
                }
                What::Unreadable => {}
            }
        }
        if !together.open.is_empty() && found.replace(together).is_some() {
            return Err(Usage::error(format!(
                "the items were asked about in several calls of {CALL_ITEMS}, each with entries of its own: name those of one"
            )));
        }
    }
    match (found, wanted.len()) {
        (Some(found), 0) if all == 1 => Ok(found),
        (Some(_), 0) => Err(Usage::error(
            "several items were asked about: name the one to open with --item",
        )),
        (Some(found), names) if names == named => Ok(found),
        (None, 0) => bail!("there is no item in what was given"),
        _ => Err(Usage::error(
            "each --item is the name of one item, and no two in the file may have it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_does_not_show_whom_is_none_where_that_was_asked() {
        assert!(shows(true, 0).is_err());
        for (about, identifiers) in [(true, 1), (false, 0)] {
            assert!(shows(about, identifiers).is_ok());
        }
    }
}
