//! What all offers said of an item, combined into one answer for each partner and one for the item.

use concordat_identifiers::{Grade, Identifier, Kind, Rule};
use concordat_wire::v1::{ItemResult, KindVerdict, PartnerVerdict, UnknownReason, Verdict};
use concordat_wire::{kind_to_proto, v1};

use super::{Answers, Item, Route};

/// Combines what all offers said of one item.
pub(super) fn judge(item: Item, partners: &[String], routes: &[Route], answers: &[Answers]) -> ItemResult {
    let verdicts: Vec<PartnerVerdict> = partners
        .iter()
        .map(|partner| judge_partner(&item, partner, routes, answers))
        .collect();
    ItemResult {
        verdict: combine(verdicts.iter().map(PartnerVerdict::verdict)).into(),
        item_id: item.id,
        partners: verdicts,
        rejections: item.rejections,
    }
}

fn judge_partner(item: &Item, partner: &str, routes: &[Route], answers: &[Answers]) -> PartnerVerdict {
    let mut kinds: Vec<Kind> = item
        .identifiers
        .iter()
        .map(Identifier::kind)
        .chain(item.spoilt.iter().copied())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let covers = |kind: Kind| {
        routes
            .iter()
            .any(|route| route.entry.partner.id == partner && route.offer.kind == kind)
    };
    let (covered, not_covered): (Vec<Kind>, Vec<Kind>) = kinds.into_iter().partition(|kind| covers(*kind));
    let verdicts: Vec<KindVerdict> = covered
        .into_iter()
        .map(|kind| judge_kind(item, partner, kind, answers))
        .collect();
    // An item of which nothing was checked has no "no hit" to report.
    let verdict = if item.unreadable || verdicts.is_empty() {
        Verdict::Unknown
    } else {
        combine(verdicts.iter().map(KindVerdict::verdict))
    };
    let grade = verdicts
        .iter()
        .filter(|kind| kind.verdict() == Verdict::Hit)
        .map(KindVerdict::grade)
        .min_by_key(|grade| i32::from(*grade));
    PartnerVerdict {
        partner_id: partner.to_owned(),
        verdict: verdict.into(),
        grade: grade.unwrap_or(v1::Grade::Unspecified).into(),
        kinds: verdicts,
        not_covered: not_covered
            .into_iter()
            .map(|kind| kind_to_proto(kind).into())
            .collect(),
        case_ids: Vec::new(),
        case_states: Vec::new(),
        known_false: false,
    }
}

fn judge_kind(item: &Item, partner: &str, kind: Kind, answers: &[Answers]) -> KindVerdict {
    let mut best: Option<(Grade, Rule)> = None;
    let mut unknown = item.spoilt.contains(&kind).then_some(UnknownReason::InvalidItem);
    for answer in answers
        .iter()
        .filter(|answer| answer.partner == partner && answer.kind == kind)
    {
        for identifier in item
            .identifiers
            .iter()
            .filter(|identifier| identifier.kind() == kind)
        {
            match answer.found.get(identifier) {
                Some(Ok(true)) => {
                    let hit = (identifier.grade(), identifier.rule());
                    best = Some(best.map_or(hit, |best| best.min(hit)));
                }
                Some(Ok(false)) => {}
                Some(Err(reason)) => unknown = Some(*reason),
                None => unknown = Some(UnknownReason::Failed),
            }
        }
    }
    let verdict = |verdict: Verdict, grade: v1::Grade, rule: &str, reason: UnknownReason| KindVerdict {
        kind: kind_to_proto(kind).into(),
        verdict: verdict.into(),
        grade: grade.into(),
        rule: rule.to_owned(),
        reason: reason.into(),
    };
    match (best, unknown) {
        (Some((grade, rule)), reason) => verdict(
            Verdict::Hit,
            grade.into(),
            rule.id(),
            reason.unwrap_or(UnknownReason::Unspecified),
        ),
        (None, Some(reason)) => verdict(Verdict::Unknown, v1::Grade::Unspecified, "", reason),
        (None, None) => verdict(
            Verdict::NoHit,
            v1::Grade::Unspecified,
            "",
            UnknownReason::Unspecified,
        ),
    }
}

/// HIT if any is; else UNKNOWN if any is, or there is none at all; else NO_HIT.
fn combine(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut combined = None;
    for verdict in verdicts {
        combined = Some(match (combined, verdict) {
            (Some(Verdict::Hit), _) | (_, Verdict::Hit) => Verdict::Hit,
            (None | Some(Verdict::NoHit), Verdict::NoHit) => Verdict::NoHit,
            _ => Verdict::Unknown,
        });
    }
    combined.unwrap_or(Verdict::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_combine_and_nothing_is_never_no_hit() {
        use Verdict::{Hit, NoHit, Unknown};
        let of = |verdicts: &[Verdict]| combine(verdicts.iter().copied());
        assert_eq!(of(&[]), Unknown);
        assert_eq!(of(&[NoHit, NoHit]), NoHit);
        assert_eq!(of(&[NoHit, Unknown]), Unknown);
        assert_eq!(of(&[Unknown, NoHit]), Unknown);
        assert_eq!(of(&[Unknown, Hit, NoHit]), Hit);
        assert_eq!(of(&[Hit, Unknown]), Hit);
        assert_eq!(of(&[Verdict::Unspecified]), Unknown);
    }
}
