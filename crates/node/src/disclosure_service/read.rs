//! Cases as callers see them.

use concordat_disclosure::{CaseId, Document};
use concordat_ledger::Side;
use concordat_store::{CaseRow, CaseSide};
use concordat_wire::v1::{Case, CaseSummary, FieldValues, OwnRecord};
use concordat_wire::{Fault, v1};
use jiff::Timestamp;

use crate::desk::{CaseView, refused};

/// An id of a case or an attachment.
pub(super) fn case_id(text: &str) -> Result<CaseId, Fault> {
    CaseId::parse(text).ok_or_else(|| Fault::invalid("DESK-021", "case_id", "32 hexadecimal digits"))
}

fn side(side: CaseSide) -> v1::CaseSide {
    match side {
        CaseSide::Requester => v1::CaseSide::Requester,
        CaseSide::Owner => v1::CaseSide::Owner,
    }
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map(|at| at.to_string())
        .unwrap_or_default()
}

/// What a list shows of a case.
pub(super) fn summary(row: &CaseRow, now: Timestamp) -> CaseSummary {
    let clock = row.clock.filter(|clock| !clock.ended);
    let now_ms = now.as_millisecond();
    let percent = clock.map(|clock| {
        let (used, whole) = (
            now_ms - clock.started_ms,
            (clock.due_ms - clock.started_ms).max(1),
        );
        u32::try_from(used.max(0).saturating_mul(100) / whole).unwrap_or(u32::MAX)
    });
    CaseSummary {
        case_id: hex::encode(row.id),
        side: side(row.side).into(),
        partner_id: row.partner.clone(),
        agreement_id: row.agreement.clone(),
        offer_id: row.offer.clone(),
        kind: row.kind.clone(),
        state: row.state.clone(),
        waits_for: row.waits_for.map_or(v1::CaseSide::Unspecified, side).into(),
        purpose: row.purpose.clone(),
        urgency: row.urgency.clone(),
        opened_at: time(row.opened_ms),
        updated_at: time(row.updated_ms),
        due_at: row.clock.map(|clock| time(clock.due_ms)).unwrap_or_default(),
        used_percent: percent.unwrap_or(0),
        clock_stopped: clock.is_some_and(|clock| clock.stopped),
        overdue: clock.is_some_and(|clock| !clock.stopped && now_ms > clock.due_ms),
    }
}

/// A whole case.
pub(super) fn case(view: &CaseView, now: Timestamp) -> Result<Case, Fault> {
    let request = view.case.request().map(Document::encode).transpose();
    let texts = |texts: &mut dyn Iterator<Item = Result<String, concordat_disclosure::Refused>>| {
        texts.collect::<Result<Vec<_>, _>>().map_err(refused)
    };
    let subject = match &view.subject {
        Some(subject) => {
            serde_json::to_string(&subject.subject).map_err(|_| Fault::internal("writing a subject"))?
        }
        None => String::new(),
    };
    let records = view.records.iter().map(|record| {
        Ok(OwnRecord {
            list: record.list.clone(),
            source_id: record.source_id.clone(),
            subject: serde_json::to_string(&record.subject)
                .map_err(|_| Fault::internal("writing a record"))?,
        })
    });
    Ok(Case {
        summary: Some(CaseSummary {
            side: match view.side {
                Side::Requester => v1::CaseSide::Requester,
                Side::Owner => v1::CaseSide::Owner,
            }
            .into(),
            // Rebuilt from the steps, not what a column says.
            state: view.case.name().to_owned(),
            ..summary(&view.row, now)
        }),
        head: view.case.head().to_string(),
        steps: texts(&mut view.case.events().iter().map(Document::encode))?,
        request: request.map_err(refused)?.unwrap_or_default(),
        decision: view.decision_text.clone().unwrap_or_default(),
        approvals: texts(&mut view.approvals.iter().map(Document::encode))?,
        umf: view.umf.clone().unwrap_or_default(),
        messages: texts(&mut view.messages.iter().map(Document::encode))?,
        records: records.collect::<Result<_, Fault>>()?,
        suggested: view
            .suggested
            .iter()
            .map(|(field, values)| FieldValues {
                field: field.to_string(),
                values: values.iter().map(|value| value.as_str().to_owned()).collect(),
            })
            .collect(),
        subject,
        sending: view
            .sending
            .as_ref()
            .map(|sending| sending.what.to_owned())
            .unwrap_or_default(),
        may: view.may.iter().map(|may| (*may).to_owned()).collect(),
        undelivered: view.undelivered.iter().map(|step| (*step).to_owned()).collect(),
    })
}
