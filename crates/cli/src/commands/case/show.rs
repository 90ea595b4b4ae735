//! Cases, for people and as JSON.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use concordat_disclosure::codes::Onward;
use concordat_disclosure::deadline::Urgency;
use concordat_disclosure::{Decision, DetailRequest, Document, Event, Message, Verdict};
use concordat_ledger::Side;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{Case, CaseSide, CaseSummary, ListCasesResponse, OpenStep};
use serde_json::{Value, json};

use super::{On, subject};
use crate::exit::Exit;
use crate::out::{Out, OutFile, Table, bytes, time};

/// Prints a list.
pub(super) fn list(page: &ListCasesResponse, out: Out) -> Result<()> {
    let cases = &page.cases;
    if out.json {
        for case in cases {
            out.result(|| summary_json(case), String::new)?;
        }
        return Ok(());
    }
    let mut table = Table::new(["CASE", "SIDE", "PARTNER", "KIND", "STATE", "WAITS FOR", "DUE"]);
    for case in cases {
        table.row([
            case.case_id.clone(),
            side(case.side()).into(),
            case.partner_id.clone(),
            case.kind.replace('_', " "),
            case.state.clone(),
            side(case.waits_for()).into(),
            due(case),
        ]);
    }
    if !cases.is_empty() {
        out.text(table)?;
    }
    out.text(match cases.len() {
        count if !page.next.is_empty() => format!("the first {count} of the cases that match"),
        1 => "1 case matches".to_owned(),
        count => format!("{count} cases match"),
    })?;
    Ok(())
}

/// One line of a list that is watched.
pub(super) fn changed(case: &CaseSummary, out: Out) -> Result<()> {
    let text = || {
        let waits = match side(case.waits_for()) {
            "" => String::new(),
            side => format!(", waits for the {side}"),
        };
        format!(
            "{} {} {} {}{waits}  {}",
            time(&case.updated_at),
            case.case_id,
            case.partner_id,
            case.state,
            due(case)
        )
    };
    out.result(|| summary_json(case), text)?;
    Ok(())
}

/// A summary without what changes with the time alone.
pub(super) fn lasting(case: &CaseSummary) -> CaseSummary {
    CaseSummary {
        used_percent: 0,
        ..case.clone()
    }
}

/// What became of a step.
pub(super) fn taken(case: &Case, out: Out) -> Result<()> {
    let text = || {
        let summary = case.summary.clone().unwrap_or_default();
        let mut text = format!("{}: {}", summary.case_id, summary.state);
        for line in on_its_way(case, &summary.partner_id) {
            text += &format!("\n{line}");
        }
        if !case.may.is_empty() {
            text += &format!("\n  next: {}", case.may.join(", "));
        }
        text
    };
    out.result(|| case_json(case), text)?;
    Ok(())
}

/// What of ours the partner does not have yet.
fn on_its_way(case: &Case, partner: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if !case.sending.is_empty() {
        lines.push(format!(
            "  ON ITS WAY: {}; it counts when {partner} has taken it. {partner} could not be reached yet, the node goes on trying",
            case.sending
        ));
    }
    if !case.undelivered.is_empty() {
        lines.push(format!(
            "  ON ITS WAY: {}; {partner} does not have it yet, the node goes on trying",
            case.undelivered.join(", ")
        ));
    }
    lines
}

/// Opens a release, and writes it down where that is wanted.
pub(super) async fn open(on: &On, file: Option<PathBuf>, out: Out) -> Result<Exit> {
    let mut target = file.as_deref().map(OutFile::create).transpose()?;
    let node = on.open().await?;
    let opened = on.take(&node, "", Step::Open(OpenStep {})).await?;
    if let Some(mut target) = target.take() {
        target.write_all(opened.umf.as_bytes())?;
        target.finish()?;
    }
    self::case(&opened, out)?;
    Ok(Exit::Done)
}

/// Prints one case.
pub(super) fn case(case: &Case, out: Out) -> Result<()> {
    out.result(|| case_json(case), || case_text(case))?;
    Ok(())
}

fn case_text(case: &Case) -> String {
    let summary = case.summary.clone().unwrap_or_default();
    let mut lines = vec![
        format!("case {}: {}", summary.case_id, summary.state),
        format!(
            "  we are the {}; partner {}, agreement {}, offer {}, {}",
            side(summary.side()),
            summary.partner_id,
            summary.agreement_id,
            summary.offer_id,
            summary.kind.replace('_', " ")
        ),
    ];
    match side(summary.waits_for()) {
        "" => lines.push("  nobody's turn".into()),
        side => lines.push(format!("  waits for the {side}")),
    }
    if !summary.due_at.is_empty() {
        lines.push(format!("  due {}", due(&summary)));
    }
    lines.push(format!("  head {}", case.head));
    lines.extend(on_its_way(case, &summary.partner_id));
    if !case.subject.is_empty() {
        lines.push("\nwhat hit".into());
        lines.extend(subject::lines(&case.subject));
    }
    if let Ok(request) = DetailRequest::decode(&case.request) {
        lines.push(format!("\nrequest\n{}", request_text(&request)));
    }
    for record in &case.records {
        let place = format!("{} {}", record.list, record.source_id);
        lines.push(format!("\nour record {place}"));
        lines.extend(subject::lines(&record.subject));
    }
    if !case.suggested.is_empty() {
        lines.push("\nwhat our records say for the fields that are asked for".into());
        let said = case.suggested.iter().filter(|known| !known.values.is_empty());
        lines.extend(said.map(|known| format!("  {}: {}", known.field, known.values.join(" | "))));
    }
    if let Ok(decision) = Decision::decode(&case.decision) {
        lines.push(format!("\n{}", self::decision(&decision)));
        lines.push(format!("  signatures: {}", case.approvals.len()));
    }
    lines.push("\nhistory".into());
    lines.extend(
        case.steps
            .iter()
            .filter_map(|step| Some(step_text(&Event::decode(step).ok()?))),
    );
    let messages: Vec<_> = case
        .messages
        .iter()
        .filter_map(|text| Message::decode(text).ok())
        .collect();
    if !messages.is_empty() {
        lines.push("\nmessages".into());
        lines.extend(messages.iter().map(message_text));
    }
    if !case.may.is_empty() {
        lines.push(format!("\nnext: {}", case.may.join(", ")));
    }
    lines.join("\n")
}

fn step_text(step: &Event) -> String {
    let by = step.by.as_ref().map_or("the node", |person| person.id.as_str());
    let whose = match step.side {
        Side::Requester => "requester",
        Side::Owner => "owner",
    };
    let at = time(&step.at.to_string());
    format!("  {at}  {whose:<9}  {:<16}  {by}", step.what.name())
}

fn message_text(message: &Message) -> String {
    let at = time(&message.at.to_string());
    let mut text = format!("  {at}  {}  {}", message.by.id.as_str(), message.id);
    for paragraph in &message.text {
        text += &format!("\n    {}", paragraph.as_str());
    }
    for file in &message.attachments {
        let (name, kind) = (file.name.as_str(), file.media_type.as_str());
        text += &format!("\n    [{}] {name}, {kind}, {}", file.id, bytes(file.bytes));
    }
    text
}

fn request_text(request: &DetailRequest) -> String {
    let fields: Vec<_> = request
        .fields
        .iter()
        .map(|field| format!("{field} {}", field.name()))
        .collect();
    let urgency = match &request.urgency {
        Urgency::Normal => "normal".to_owned(),
        Urgency::Urgent(why) => format!("urgent: {}", why.as_str()),
        Urgency::UrgentIndirect(why) => format!("urgent, data elsewhere: {}", why.as_str()),
    };
    let rows = [
        ("purpose", request.purpose.as_str().to_owned()),
        ("legal basis", request.legal_basis.as_str().to_owned()),
        ("facts", request.facts.as_str().to_owned()),
        (
            "offence",
            format!(
                "{}, up to {} months",
                request.offence.as_str(),
                request.max_penalty_months
            ),
        ),
        ("asked for", fields.join(", ")),
        ("urgency", urgency),
        (
            "by",
            format!(
                "{}, ordered by {}",
                request.by.id.as_str(),
                request.ordered_by.id.as_str()
            ),
        ),
        ("void after", time(&request.expires.to_string())),
    ];
    let rows = rows.map(|(name, value)| format!("  {name:<12} {value}"));
    rows.join("\n")
}

/// A decision, as a person reads it who is to sign it.
pub(super) fn decision(decision: &Decision) -> String {
    let verdict = match &decision.verdict {
        Verdict::Approved => "everything that was asked for is released".to_owned(),
        Verdict::Partial => "some of what was asked for is released".to_owned(),
        Verdict::Refused(why) => {
            format!(
                "nothing is released: {}, {}",
                code(&why.ground),
                why.text.as_str()
            )
        }
    };
    let mut lines = vec![format!("decision: {verdict}")];
    for released in &decision.released {
        let values: Vec<_> = released.values.iter().map(|value| value.as_str()).collect();
        let name = released.field.name();
        lines.push(format!(
            "  release   {} {name}: {}",
            released.field,
            values.join(" | ")
        ));
    }
    for withheld in &decision.withheld {
        let ground = code(&withheld.ground);
        let name = withheld.field.name();
        lines.push(format!("  withhold  {} {name}: {ground}", withheld.field));
    }
    let marks = &decision.marks;
    let restriction = marks.restriction.as_ref();
    let restriction = restriction.map(|words| format!(" ({})", words.as_str()));
    let onward = match &marks.onward {
        Onward::Nobody => "nobody".to_owned(),
        Onward::To(agencies) => {
            let agencies: Vec<_> = agencies.iter().map(|agency| agency.as_str()).collect();
            agencies.join(", ")
        }
    };
    lines.push(format!(
        "  to {}, handling {}{}, source {}{}, {}, held until {}, passed on to {onward}, for {}",
        decision.recipient.as_str(),
        code(&marks.handling),
        restriction.unwrap_or_default(),
        code(&marks.source),
        code(&marks.information),
        code(&marks.classification),
        marks.retain_until,
        marks.purpose.as_str(),
    ));
    for condition in &decision.conditions {
        lines.push(format!("  condition: {}", condition.as_str()));
    }
    lines.join("\n")
}

/// A code, as documents write it.
fn code(code: &impl serde::Serialize) -> String {
    match serde_json::to_value(code) {
        Ok(Value::String(code)) => code,
        _ => String::new(),
    }
}

fn side(side: CaseSide) -> &'static str {
    match side {
        CaseSide::Requester => "requester",
        CaseSide::Owner => "owner",
        CaseSide::Unspecified => "",
    }
}

fn due(case: &CaseSummary) -> String {
    if case.due_at.is_empty() {
        return String::new();
    }
    let state = match case {
        case if case.overdue => "OVERDUE".to_owned(),
        case if case.clock_stopped => "the clock stands".to_owned(),
        case => format!("{} % used", case.used_percent),
    };
    format!("{} ({state})", time(&case.due_at))
}

fn summary_json(case: &CaseSummary) -> Value {
    json!({
        "case_id": case.case_id,
        "side": side(case.side()),
        "partner_id": case.partner_id,
        "agreement_id": case.agreement_id,
        "offer_id": case.offer_id,
        "kind": case.kind,
        "state": case.state,
        "waits_for": side(case.waits_for()),
        "purpose": case.purpose,
        "urgency": case.urgency,
        "opened_at": case.opened_at,
        "updated_at": case.updated_at,
        "due_at": case.due_at,
        "used_percent": case.used_percent,
        "clock_stopped": case.clock_stopped,
        "overdue": case.overdue,
    })
}

fn case_json(case: &Case) -> Value {
    // What is signed stays as it is, byte for byte; all else can be looked into.
    let document = |text: &String| serde_json::from_str(text).unwrap_or(Value::Null);
    let documents = |texts: &[String]| texts.iter().map(document).collect::<Vec<Value>>();
    let records = case.records.iter().map(|record| {
        json!({
            "list": record.list,
            "source_id": record.source_id,
            "subject": document(&record.subject),
        })
    });
    let suggested = case
        .suggested
        .iter()
        .map(|known| (known.field.clone(), json!(known.values)));
    json!({
        "case": case.summary.as_ref().map(summary_json),
        "head": case.head,
        "steps": documents(&case.steps),
        "request": document(&case.request),
        "decision": document(&case.decision),
        "decision_text": case.decision,
        "approvals": documents(&case.approvals),
        "umf": case.umf,
        "messages": documents(&case.messages),
        "records": records.collect::<Vec<_>>(),
        "suggested": suggested.collect::<serde_json::Map<_, _>>(),
        "subject": document(&case.subject),
        "sending": case.sending,
        "undelivered": case.undelivered,
        "may": case.may,
    })
}
