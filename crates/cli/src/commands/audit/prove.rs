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
use crate::query::label;
use crate::whom::{Asked, CALL_ITEMS, What, WhomArgs};

/// The same where an entry may also stay shut: all or none.
#[derive(clap::Args)]
#[command(next_help_heading = "To open the entry in the bundle (recorded in the ledger)")]
pub struct MaybeReasonArgs {
    /// What for, for example "AUDIT"
    #[arg(long, value_name = "TEXT", value_parser = label, requires_all = ["legal_basis", "case_reference", "recipient"])]
    purpose: Option<String>,
    /// On what legal basis
    #[arg(long, value_name = "TEXT", value_parser = label, requires = "purpose")]
    legal_basis: Option<String>,
    /// The number of the audit
    #[arg(long = "case", value_name = "TEXT", value_parser = label, requires = "purpose")]
    case_reference: Option<String>,
    /// Whom it is opened to, for example the supervisory authority
    #[arg(long, value_name = "NAME", value_parser = label, requires = "purpose")]
    recipient: Option<String>,
    /// Who opens it [default: the client certificate's name]
    #[arg(long, value_name = "NAME", value_parser = label, requires = "purpose")]
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
    #[arg(value_parser = entries::number)]
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
        let (is_opened, about) = (context.is_some(), queried.is_some());
        let request = ProveEntryRequest {
            number: self.number,
            context,
            queried,
        };
        let bundle = node.audit().prove_entry(request).await?.into_inner().bundle;
        let made = Bundle::parse(bundle.as_bytes()).context("the bundle, as the node made it")?;
        let identifiers = made.identifiers().len();
        shows(about, identifiers)?;
        file.write_all(bundle.as_bytes()).context("the bundle")?;
        file.finish()?;
        let place = self.file.display();
        out.result(
            || json!({ "number": self.number, "bundle": place.to_string(), "bytes": bundle.len(), "opened": is_opened, "identifiers": identifiers }),
            || {
                let shows = discloses(is_opened, identifiers);
                format!("{place}: {shows}\n`concordat audit check-bundle` verifies it, without a node")
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

/// What whoever has the bundle learns.
fn discloses(is_opened: bool, identifiers: usize) -> String {
    if !is_opened {
        return "that the entry is in the ledger; what it says is not in it: that takes a reason, with --purpose, --legal-basis, --case and --recipient".to_owned();
    }
    let shown = match identifiers {
        0 => String::new(),
        shown => format!(
            ", and {} that the query was about",
            counted(shown as u64, "identifier")
        ),
    };
    format!(
        "it discloses all that the entry says{shown}; of a query, also how its identifiers came out and the secret id of the exchange. That it was opened is on record"
    )
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
    // How many items have each of these names.
    let (mut all, mut named) = (0, vec![0; wanted.len()]);
    loop {
        let batch = items.by_ref().take(CALL_ITEMS).collect::<Result<Vec<_>>>()?;
        if batch.is_empty() {
            break;
        }
        all += batch.len();
        let mut together = QueriedItems::default();
        for (index, question) in batch.into_iter().enumerate() {
            let is_wanted = wanted.is_empty() || wanted.contains(&question.label);
            for (name, named) in wanted.iter().zip(&mut named) {
                *named += usize::from(*name == question.label);
            }
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
    if all == 0 {
        bail!("there is no item in what was given");
    }
    if named.contains(&0) {
        return Err(Usage::error(
            "no item of the file has the name that --item gives: name it as `concordat match` does",
        ));
    }
    if named.iter().any(|named| *named > 1) {
        return Err(Usage::error(
            "several items of the file have the name that --item gives: which one is meant cannot be told",
        ));
    }
    match found {
        Some(found) if all == 1 || !wanted.is_empty() => Ok(found),
        _ => Err(Usage::error(
            "several items were asked about: name the one to open with --item",
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
