//! Answers of the node as JSON: the field names of the `.proto` files, enumerations as the words people know.

use concordat_lists::Reject;
use concordat_wire::v1;
use serde_json::{Value, json};

use crate::commands::info::ledger_key;
use crate::words;

/// An [`v1::InfoResponse`].
pub fn info(info: &v1::InfoResponse) -> Value {
    let witness = |witness: &v1::LedgerWitness| {
        json!({
            "key": witness.key,
            "url": witness.url,
            "cosigned_size": witness.cosigned_size,
            "cosigned_at": witness.cosigned_at,
            "trouble": witness.trouble,
        })
    };
    json!({
        "agency_id": info.agency_id,
        "agency_name": info.agency_name,
        "version": info.version,
        "identity_key": info.identity_key,
        "ledger_key": ledger_key(&info.identity_key),
        "tls_spki_sha256": info.tls_spki_sha256,
        "peer_endpoint": info.peer_endpoint,
        "profile": info.profile,
        "engine": info.engine,
        "rss_bytes": info.rss_bytes,
        "peak_rss_bytes": info.peak_rss_bytes,
        "ledger_witnesses": info.ledger_witnesses.iter().map(witness).collect::<Vec<_>>(),
    })
}

/// A [`v1::List`].
pub fn list(list: &v1::List) -> Value {
    json!({
        "name": list.name,
        "created_at": list.created_at,
        "last_import_at": list.last_import_at,
        "records": list.records,
        "identifiers": list
            .identifiers
            .iter()
            .map(|entry| (words::kind(entry.kind).to_owned(), json!(entry.count)))
            .collect::<serde_json::Map<_, _>>(),
    })
}

/// A [`v1::ImportSummary`].
pub fn import_summary(summary: &v1::ImportSummary) -> Value {
    json!({
        "records": summary.records,
        "added": summary.added,
        "changed": summary.changed,
        "removed": summary.removed,
        "unchanged": summary.unchanged,
        "identifiers": summary.identifiers,
        "rejected": summary.rejected,
        "rejected_records": summary.rejected_records,
        "notices": summary.notices,
        "kept": summary.kept,
        "skipped": summary
            .skipped
            .iter()
            .map(|skip| (skip.r#type.clone(), json!(skip.count)))
            .collect::<serde_json::Map<_, _>>(),
    })
}

/// A [`v1::Rejection`]: never holds the value itself.
pub fn rejection(rejection: &v1::Rejection) -> Value {
    json!({
        "line": rejection.line,
        "field": rejection.field,
        "rule": rejection.rule,
        "reason": rejection.reason,
        "notice": rejection.notice,
    })
}

/// A [`Reject`] of a file read on this side, in the form of [`rejection`]. None of them is a notice: what could not
/// be read was not asked about.
pub fn reject(reject: &Reject) -> Value {
    rejection(&v1::Rejection {
        line: reject.line,
        field: reject.field.clone(),
        rule: reject.rule.id().to_owned(),
        reason: reject.reason.clone(),
        notice: false,
    })
}

/// A [`v1::LookupMatch`].
pub fn lookup_match(found: &v1::LookupMatch) -> Value {
    json!({
        "list": found.list,
        "source_id": found.source_id,
        "kind": words::kind(found.kind),
        "grade": words::grade(found.grade),
        "rule": found.rule,
    })
}

/// An [`v1::Agreement`].
pub fn agreement(agreement: &v1::Agreement) -> Value {
    let usage = |usage: &v1::OfferUsage| {
        json!({
            "offer_id": usage.offer_id,
            "owner": usage.owner,
            "kind": words::kind(usage.kind),
            "epoch": usage.epoch,
            "used_today": usage.used_today,
            "quota_per_day": usage.quota_per_day,
            "used_epoch": usage.used_epoch,
            "quota_per_epoch": usage.quota_per_epoch,
        })
    };
    json!({
        "agreement_id": agreement.agreement_id,
        "status": words::agreement_status(agreement.status),
        "status_reason": agreement.status_reason,
        "valid_until": agreement.valid_until,
        "partner_id": agreement.partner_id,
        "signed_by": agreement.signed_by,
        "digest": hex::encode(&agreement.digest),
        "usage": agreement.usage.iter().map(usage).collect::<Vec<_>>(),
        "warnings": agreement.warnings,
        "note": agreement.note,
    })
}

/// A [`v1::Snapshot`].
pub fn snapshot(snapshot: &v1::Snapshot) -> Value {
    json!({
        "agreement_id": snapshot.agreement_id,
        "offer_id": snapshot.offer_id,
        "partner_id": snapshot.partner_id,
        "kind": words::kind(snapshot.kind),
        "epoch": snapshot.epoch,
        "role": words::snapshot_role(snapshot.role),
        "version": snapshot.version,
        "as_of": snapshot.as_of,
        "max_age_s": snapshot.max_age_s,
        "stale": snapshot.stale,
        "size_class": snapshot.size_class,
        "segments": snapshot.segments,
        "bytes": snapshot.bytes,
        "detail": snapshot.detail,
    })
}

/// A [`v1::Job`].
pub fn job(job: &v1::Job) -> Value {
    json!({
        "job_id": job.job_id,
        "type": job.r#type,
        "state": words::job_state(job.state),
        "done": job.done,
        "total": job.total,
        "matches": job.matches,
        "detail": job.detail,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "offers": job.offers.iter().map(offer).collect::<Vec<_>>(),
    })
}

/// A [`v1::JobMatch`].
pub fn job_match(found: &v1::JobMatch) -> Value {
    json!({
        "list": found.list,
        "source_id": found.source_id,
        "partner_id": found.partner_id,
        "kind": words::kind(found.kind),
        "grade": words::grade(found.grade),
        "rule": found.rule,
    })
}

/// A [`v1::OfferSummary`].
pub fn offer(offer: &v1::OfferSummary) -> Value {
    let timings = offer.timings.unwrap_or_default();
    json!({
        "agreement_id": offer.agreement_id,
        "offer_id": offer.offer_id,
        "kind": words::kind(offer.kind),
        "epoch": offer.epoch,
        "as_of": offer.as_of,
        "max_age_s": offer.max_age_s,
        "snapshot_version": offer.snapshot_version,
        "padded_elements": offer.padded_elements,
        "identifiers": offer.identifiers,
        "bytes_sent": offer.bytes_sent,
        "bytes_received": offer.bytes_received,
        "reason": words::reason(offer.reason),
        "detail": offer.detail,
        "timings_us": {
            "blind": timings.blind_us,
            "verify_finalize": timings.verify_finalize_us,
            "lookup": timings.lookup_us,
            "partner_evaluate": timings.partner_evaluate_us,
            "wall": timings.wall_us,
        },
    })
}

/// A [`v1::PartnerVerdict`].
pub fn partner_verdict(partner: &v1::PartnerVerdict) -> Value {
    let kind = |kind: &v1::KindVerdict| {
        json!({
            "kind": words::kind(kind.kind),
            "verdict": words::verdict(kind.verdict),
            "grade": words::grade(kind.grade),
            "rule": kind.rule,
            "reason": words::reason(kind.reason),
        })
    };
    json!({
        "partner_id": partner.partner_id,
        "verdict": words::verdict(partner.verdict),
        "grade": words::grade(partner.grade),
        "kinds": partner.kinds.iter().map(kind).collect::<Vec<_>>(),
        "not_covered": partner.not_covered.iter().map(|kind| words::kind(*kind)).collect::<Vec<_>>(),
        "case_ids": partner.case_ids,
        "case_states": partner.case_states,
        "known_false": partner.known_false,
    })
}
