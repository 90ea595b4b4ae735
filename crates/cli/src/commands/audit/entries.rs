//! `concordat audit list`, `show` and `open`: what the agency's own node has of its ledger.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use concordat_ledger::{Entry, EntryType, Event, Leaf, Opening, Text, VerdictCounts};
use concordat_wire::v1::{AuditContext, EntryFilter, LedgerEntry, ListEntriesRequest, OpenEntriesRequest};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::approvals::Approvals;
use crate::connect::{Connection, Node};
use crate::exit::{Advice, Exit};
use crate::out::{Out, OutFile, Table, count, counted, note, time};
use crate::query::label;

/// Which entries, as far as it can be told without opening any.
#[derive(clap::Args)]
#[command(next_help_heading = "Which entries")]
pub struct FilterArgs {
    /// Not before this number
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number)]
    from: u64,
    /// Before this number
    #[arg(long, value_name = "N", value_parser = number)]
    until: Option<u64>,
    /// Not before this time (2026-11-27T20:00:00Z), or this day (2026-11-27, UTC)
    #[arg(long, value_name = "TIME|DAY", value_parser = moment)]
    since: Option<Timestamp>,
    /// Before this time, or before this day begins
    #[arg(long, value_name = "TIME|DAY", value_parser = moment)]
    before: Option<Timestamp>,
    /// Of this type, for example "query"; docs/ledger.md, section 3, has them all
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<EntryType>,
    /// Of this exchange
    #[arg(long, value_name = "ID", value_parser = exchange)]
    exchange: Option<[u8; 16]>,
}

/// What is sealed: entries are opened to find it.
#[derive(clap::Args)]
#[command(next_help_heading = "Which entries")]
pub struct SealedArgs {
    /// With this purpose: one of the code list in either spelling, border-check or BORDER_CHECK, or any other as it was typed
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    of_purpose: String,
    /// By this person: who asked, ordered, decided, or did it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    of_person: String,
    /// Of this case: the agency's own reference, or the id of a disclosure case
    #[arg(
        long,
        value_name = "TEXT|CASE-ID",
        default_value = "",
        hide_default_value = true
    )]
    of_case: String,
    /// With this partner
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    of_partner: String,
}

/// Why entries are opened, and for whom: recorded in the ledger first.
#[derive(clap::Args)]
#[command(next_help_heading = "Why entries are opened (recorded in the ledger)")]
pub struct ReasonArgs {
    /// What for, for example "AUDIT"
    #[arg(long, value_name = "TEXT", value_parser = label)]
    purpose: String,
    /// On what legal basis
    #[arg(long, value_name = "TEXT", value_parser = label)]
    legal_basis: String,
    /// The number of the audit
    #[arg(long = "case", value_name = "TEXT", value_parser = label)]
    case_reference: String,
    /// Whom they are opened to, for example the supervisory authority
    #[arg(long, value_name = "NAME", value_parser = label)]
    recipient: String,
    /// Who opens them [default: the client certificate's name]
    #[arg(long, value_name = "NAME", value_parser = label)]
    officer: Option<String>,
}

/// What to list.
#[derive(clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many; 0 for all
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: u32,
    #[command(flatten)]
    connection: Connection,
}

/// What to open.
#[derive(clap::Args)]
pub struct OpenArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    sealed: SealedArgs,
    #[command(flatten)]
    reason: ReasonArgs,
    /// At most so many; 10,000 at most
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Write leaves and openings here, one JSON object a line, for `audit reconcile` or another auditor
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl FilterArgs {
    fn message(&self) -> EntryFilter {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        EntryFilter {
            from: self.from,
            until: self.until,
            since: text(self.since),
            before: text(self.before),
            r#type: self.kind.map(EntryType::name).unwrap_or_default().to_owned(),
            exchange: self.exchange.map(|id| id.to_vec()).unwrap_or_default(),
            ..EntryFilter::default()
        }
    }
}

impl From<ReasonArgs> for AuditContext {
    fn from(args: ReasonArgs) -> Self {
        Self {
            purpose: args.purpose,
            legal_basis: args.legal_basis,
            case_reference: args.case_reference,
            officer: args.officer.unwrap_or_default(),
            recipient: args.recipient,
        }
    }
}

/// A type of entry, by its name.
pub fn kind(text: &str) -> Result<EntryType, String> {
    EntryType::parse(text).ok_or_else(|| {
        let names: Vec<_> = EntryType::ALL.iter().map(|kind| kind.name()).collect();
        format!("no entry is of this type; use one of {}", names.join(", "))
    })
}

/// An entry's number.
///
/// # Errors
/// It is none.
pub fn number(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "not the number of an entry, such as 4711")
}

/// A time, or a day, which is its beginning in UTC.
///
/// # Errors
/// It is neither.
pub fn moment(text: &str) -> Result<Timestamp, &'static str> {
    let day = || {
        let day = Date::strptime("%Y-%m-%d", text).ok()?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    text.parse()
        .ok()
        .or_else(day)
        .ok_or("neither a time such as 2026-11-27T20:00:00Z nor a day such as 2026-11-27")
}

/// What was found: `1 entry matches`. Where the limit is reached there may be more.
fn matching(found: u64, limit: u32) -> String {
    match found {
        1 if limit != 1 => "1 entry matches".to_owned(),
        found if found > 0 && found == u64::from(limit) => {
            format!("the first {} of the entries that match", count(found))
        }
        found => format!("{} entries match", count(found)),
    }
}

/// What was not found because nobody can read it any more: none is silently left out.
fn of_erased(erased: u64, first: u64) -> String {
    let (matches, shows) = match erased {
        1 => ("1 that matches as far as leaves tell was".to_owned(), "it"),
        erased => (
            format!("{} that match as far as leaves tell were", count(erased)),
            "the first",
        ),
    };
    format!(
        "{matches} erased, and of what was sealed nothing can be told any more: `concordat audit show {first}` shows {shows}"
    )
}

/// What an entry says, in one line: what the types have in common, and how a query came out.
pub fn in_words(entry: &Entry) -> String {
    let event = &entry.event;
    let mut text = event.kind().name().to_owned();
    let mut people: Vec<&str> = event
        .people()
        .into_iter()
        .map(|person| person.id.as_str())
        .collect();
    people.dedup();
    if !people.is_empty() {
        text += &format!(" by {}", people.join(" and "));
    }
    if let Some(purpose) = event.purpose() {
        text += &format!(" for {}", purpose.as_str());
    }
    if let Some(legal_basis) = legal_basis(event) {
        text += &format!(" ({})", legal_basis.as_str());
    }
    if let Some(case) = event.case_reference() {
        text += &format!(", case {}", case.as_str());
    }
    if let Some(partner) = event.partner() {
        text += &format!(", with {}", partner.as_str());
    }
    if let Event::Query(query) = event {
        let VerdictCounts { hit, unknown, .. } = query.verdicts;
        text += &format!(
            ": {}, {}",
            counted(query.items, "identifier"),
            counted(hit, "hit")
        );
        if unknown > 0 {
            text += &format!(", {} unknown", count(unknown));
        }
    }
    text
}

fn legal_basis(event: &Event) -> Option<&Text> {
    Some(match event {
        Event::QueryOpened(e) => &e.why.legal_basis,
        Event::Query(e) => &e.why.legal_basis,
        Event::RecordChanged(e) => &e.why.legal_basis,
        Event::Opened(e) => &e.why.legal_basis,
        Event::EvaluationOpened(e) => &e.stated.legal_basis,
        Event::Evaluation(e) => &e.stated.legal_basis,
        Event::DetailRequested(e) => &e.stated.legal_basis,
        Event::Decision(e) => &e.stated.legal_basis,
        Event::Release(e) => &e.stated.legal_basis,
        _ => return None,
    })
}

fn exchange(text: &str) -> Result<[u8; 16], &'static str> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or("32 hexadecimal digits")
}

fn entry_json(entry: &LedgerEntry) -> Value {
    json!({
        "number": entry.number,
        "at": entry.at,
        "type": entry.r#type,
        "exchange": (!entry.exchange.is_empty()).then(|| hex::encode(&entry.exchange)),
        "erased": entry.erased,
        "leaf": entry.leaf,
    })
}

/// Goes through the entries of a filter, 0 for all of them, and counts them.
///
/// # Errors
/// The node refused, or `each` failed.
pub async fn listed(
    node: &Node,
    filter: EntryFilter,
    limit: u32,
    mut each: impl FnMut(LedgerEntry) -> Result<()>,
) -> Result<u64> {
    let request = ListEntriesRequest {
        filter: Some(filter),
        limit,
    };
    let mut entries = node.audit().list_entries(request).await?.into_inner();
    let mut count = 0;
    while let Some(entry) = entries.message().await? {
        each(entry)?;
        count += 1;
    }
    Ok(count)
}

impl ListArgs {
    /// Lists.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let node = self.connection.open().await?;
        let mut table = Table::new(["ENTRY", "TIME", "TYPE", "EXCHANGE", "ERASED"]);
        let found = listed(&node, self.filter.message(), self.limit, |entry| {
            if out.json {
                out.result(|| entry_json(&entry), String::new)?;
            } else {
                table.row([
                    entry.number.to_string(),
                    time(&entry.at),
                    entry.r#type,
                    hex::encode(entry.exchange),
                    if entry.erased { "yes".into() } else { String::new() },
                ]);
            }
            Ok(())
        })
        .await?;
        if found > 0 {
            out.text(table)?;
        }
        out.ending(matching(found, self.limit))?;
        if self.limit > 0 && found == u64::from(self.limit) {
            note("there may be more: --from goes on, --limit 0 lists all");
        }
        Ok(Exit::Done)
    }
}

/// One entry, as far as it can be told without opening it.
pub async fn one(node: &Node, number: u64) -> Result<LedgerEntry> {
    let filter = EntryFilter {
        from: number,
        until: number.checked_add(1),
        ..EntryFilter::default()
    };
    let mut found = None;
    listed(node, filter, 1, |entry| {
        found = Some(entry);
        Ok(())
    })
    .await?;
    found.ok_or_else(|| {
        Advice::error(
            format!("the ledger has no entry {number}"),
            "`concordat audit list` shows which there are",
        )
    })
}

/// Shows one entry's public part.
pub async fn show(number: u64, connection: &Connection, out: Out) -> Result<Exit> {
    let entry = one(&connection.open().await?, number).await?;
    let text = || {
        let exchange = match entry.exchange.as_slice() {
            [] => String::new(),
            id => format!("exchange  {}\n", hex::encode(id)),
        };
        let payload = if entry.erased {
            "erased"
        } else {
            "sealed; `concordat audit open` opens it"
        };
        format!(
            "entry     {}\ntime      {}\ntype      {}\n{exchange}payload   {payload}\nleaf      {}",
            entry.number, entry.at, entry.r#type, entry.leaf
        )
    };
    out.result(|| entry_json(&entry), text)?;
    Ok(Exit::Done)
}

impl OpenArgs {
    /// Opens.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let mut export = self.export.as_deref().map(OutFile::create).transpose()?;
        let public = self.filter.message();
        let request = OpenEntriesRequest {
            filter: Some(EntryFilter {
                purpose: self.sealed.of_purpose,
                person: self.sealed.of_person,
                case_reference: self.sealed.of_case,
                partner: self.sealed.of_partner,
                ..public.clone()
            }),
            context: Some(self.reason.into()),
            limit: self.limit,
        };
        let node = self.connection.open().await?;
        let mut opened = node.audit().open_entries(request).await?.into_inner();
        let (mut found, mut broken, mut last) = (0, 0, 0);
        while let Some(answer) = opened.message().await? {
            let entry = answer.entry.unwrap_or_default();
            let number = entry.number;
            let said = verified(number, &entry.leaf, &answer.opening)
                .with_context(|| format!("entry {number}, as the node opened it"))?;
            (found, last) = (found + 1, number);
            let approvals = Approvals::of(&said);
            if !approvals.hold() {
                broken += 1;
                note(format!("entry {number}: an approval does not hold"));
            }
            match &mut export {
                Some(file) => {
                    let line = json!({ "number": number, "leaf": entry.leaf, "opening": answer.opening });
                    writeln!(file, "{line}").context("the export")?;
                }
                None => {
                    let words = in_words(&said);
                    let said = serde_json::to_value(&said)?;
                    out.result(
                        || json!({ "number": number, "leaf": entry.leaf, "entry": said, "approvals": approvals.json() }),
                        || format!("{number}  {words}\n{said}\n{}", approvals.text()),
                    )?;
                }
            }
        }
        let is_full = found == u64::from(self.limit);
        // Behind the last one of so many nothing was looked at.
        let until = if is_full {
            last.checked_add(1)
        } else {
            public.until
        };
        let (mut erased, mut first) = (0, 0);
        listed(&node, EntryFilter { until, ..public }, 0, |entry| {
            if entry.erased {
                first = if erased == 0 { entry.number } else { first };
                erased += 1;
            }
            Ok(())
        })
        .await?;
        let said = match found {
            0 => format!(
                "{}: nothing was opened, and nothing is on record",
                matching(0, self.limit)
            ),
            found => format!("{}: opened, and on record", matching(found, self.limit)),
        };
        match export {
            Some(file) => {
                file.finish()?;
                out.result(|| json!({ "opened": found, "erased": erased }), || said)?;
            }
            None => out.ending(said)?,
        }
        if erased > 0 {
            out.ending(of_erased(erased, first))?;
        }
        if is_full {
            note("there may be more: --from goes on after the last number");
        }
        Ok(if broken == 0 { Exit::Done } else { Exit::Failed })
    }
}

/// What an entry says, if leaf and opening belong together. The leaf itself is proven by the log.
///
/// # Errors
/// They do not, or cannot be read.
pub fn verified(number: u64, leaf: &str, opening: &str) -> Result<Entry> {
    let leaf = Leaf::parse(leaf.as_bytes()).filter(|(found, _)| *found == number);
    let (_, leaf) = leaf.context("the leaf is not one of this entry")?;
    let opening = Opening::parse(opening).context("the opening cannot be read")?;
    Ok(opening.verify(&leaf)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_beginning_and_half_a_time_is_none() {
        let day = moment("2026-11-27").expect("a day");
        assert_eq!(day, moment("2026-11-27T00:00:00Z").expect("a time"));
        assert_eq!(day, moment("2026-11-27T01:00:00+01:00").expect("a time"));
        for wrong in [
            "2026-11-27T10:00:00",
            "2026-11-31",
            "2026-11",
            "27.11.2026",
            "",
            "yesterday",
            "2026-11-27 ",
        ] {
            let error = moment(wrong).expect_err(wrong);
            assert!(error.contains("2026-11-27"), "{error}");
        }
    }

    #[test]
    fn an_entry_in_words_says_who_why_with_whom_and_how_it_came_out() {
        let entry = |event: Value| -> Entry {
            let entry = json!({ "v": 1, "at": "2026-11-21T20:15:01Z", "event": event });
            serde_json::from_str(&entry.to_string()).expect("an entry")
        };
        let why =
            json!({ "purpose": "BORDER_CHECK", "legal_basis": "EU:2024/982:26", "case_reference": "GATE-7" });
        let query = |ordered_by: &str, unknown: u64| {
            entry(json!({
                "type": "query",
                "exchange": "00".repeat(16),
                "by": { "id": "officer-7" },
                "ordered_by": { "id": ordered_by },
                "why": why,
                "partner": "south",
                "scope": { "agreement": "a", "offer": "o", "epoch": 0 },
                "elements": 1024,
                "items": 2 + unknown,
                "transcript": "00".repeat(32),
                "verdicts": { "hit": 1, "no_hit": 1, "unknown": unknown },
            }))
        };
        assert_eq!(
            in_words(&query("officer-7", 0)),
            "query by officer-7 for BORDER_CHECK (EU:2024/982:26), case GATE-7, with south: 2 identifiers, 1 hit"
        );
        assert_eq!(
            in_words(&query("lead-12", 3)),
            "query by officer-7 and lead-12 for BORDER_CHECK (EU:2024/982:26), case GATE-7, with south: 5 identifiers, 1 hit, 3 unknown"
        );
    }
}
