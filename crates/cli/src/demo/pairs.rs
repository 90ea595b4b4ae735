//! From what the left side learned to pairs of records, and from pairs to a verdict on the demo.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use concordat_identifiers::{Grade, Kind, Subject};
use concordat_wire::subject_to_proto;
use concordat_wire::v1::{self, LookupRequest};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::agency::Agency;
use super::agreement::LIST;
use super::lists::Given;
use crate::commands::job;
use crate::out::{OutFile, csv_error};
use crate::words;

/// One record of each side that share something, and how well it identifies. At most one per kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The left list's own id.
    pub left: String,
    /// The right list's own id.
    pub right: String,
    /// What they share.
    pub kind: Kind,
    /// The best grade of it.
    pub grade: Grade,
}

/// What an intersect job told the left side: its own records, each with the kinds that hit and their best grades.
type Learned = BTreeMap<String, BTreeMap<Kind, Grade>>;

/// Lookups on their way at once.
const LOOKUPS: usize = 16;

/// Turns the job's answer into pairs by asking the right node, as its own clerk would, which of its records the left
/// side's subjects meet. Only the demo can do this: the left side learns its own records and nothing else.
///
/// # Errors
/// A node, or the private answer and the right side's own list disagree.
pub async fn resolve(left: &Agency, right: &Agency, list: &Given, job_id: &str) -> Result<BTreeSet<Pair>> {
    let mut learned = Learned::new();
    job::matches(&left.node, job_id, |found| {
        let (kind, grade) = (kind(found.kind)?, grade(found.grade)?);
        ensure!(
            found.list == LIST && found.partner_id == right.id,
            "a match of another list or partner"
        );
        learned
            .entry(found.source_id.clone())
            .or_default()
            .insert(kind, grade);
        Ok(())
    })
    .await
    .context("reading the matches")?;
    let subjects = list.subjects(&learned.keys().cloned().collect())?;
    ensure!(
        subjects.len() == learned.len(),
        "a match names a record that is not on the list"
    );
    let pairs: Vec<Vec<Pair>> = stream::iter(subjects)
        .map(|(id, subject)| {
            let learned = &learned[&id];
            async move { look_up(right, &id, &subject, learned).await }
        })
        .buffer_unordered(LOOKUPS)
        .try_collect()
        .await?;
    Ok(pairs.into_iter().flatten().collect())
}

async fn look_up(
    right: &Agency,
    id: &str,
    subject: &Subject,
    learned: &BTreeMap<Kind, Grade>,
) -> Result<Vec<Pair>> {
    let request = LookupRequest {
        subject: Some(subject_to_proto(subject)),
    };
    let found = right
        .node
        .watchlists()
        .lookup(request)
        .await
        .context("looking up a pair")?
        .into_inner()
        .matches;
    let mut pairs = Vec::new();
    let mut best: BTreeMap<Kind, Grade> = BTreeMap::new();
    for found in found {
        let (kind, grade) = (kind(found.kind)?, grade(found.grade)?);
        if learned.contains_key(&kind) {
            let entry = best.entry(kind).or_insert(grade);
            *entry = (*entry).min(grade);
            pairs.push(Pair {
                left: id.to_owned(),
                right: found.source_id,
                kind,
                grade,
            });
        }
    }
    // Two ways to the same answer: if they differ, one of them is wrong, and no summary may hide it.
    ensure!(
        best == *learned,
        "the private answer for record {id} and the owner's own list disagree"
    );
    Ok(pairs)
}

fn kind(number: i32) -> Result<Kind> {
    concordat_wire::kind_from_proto(number).context("the node named a kind this program does not know")
}

fn grade(number: i32) -> Result<Grade> {
    words::grade(number)
        .parse()
        .ok()
        .context("the node named a grade this program does not know")
}

/// Found and expected, compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Found.
    pub hits: u64,
    /// Expected and not found.
    pub missed: u64,
    /// Found and not expected.
    pub false_hits: u64,
}

impl Score {
    /// Compares what was found with the truth.
    pub fn of<T: Ord>(found: &BTreeSet<T>, truth: &BTreeSet<T>) -> Self {
        Self {
            hits: found.len() as u64,
            missed: truth.difference(found).count() as u64,
            false_hits: found.difference(truth).count() as u64,
        }
    }

    /// Nothing missing, nothing false.
    pub fn is_exact(self) -> bool {
        self.missed == 0 && self.false_hits == 0
    }
}

/// What a flight's answer says, by passenger: every kind that hit, with its grade.
///
/// # Errors
/// A passenger without an answer from the partner, or with one that is not certain.
pub fn flight_hits(response: &v1::MatchResponse, partner: &str) -> Result<BTreeSet<(String, Kind, Grade)>> {
    let mut hits = BTreeSet::new();
    for result in &response.results {
        ensure!(
            result.verdict() == v1::Verdict::Hit || result.verdict() == v1::Verdict::NoHit,
            "passenger {} is UNKNOWN: {}",
            result.item_id,
            unknown(result)
        );
        let [answer] = result.partners.as_slice() else {
            anyhow::bail!(
                "passenger {} was answered by {} partners",
                result.item_id,
                result.partners.len()
            )
        };
        ensure!(
            answer.partner_id == partner && answer.not_covered.is_empty(),
            "a passenger was not checked fully"
        );
        for found in &answer.kinds {
            match found.verdict() {
                v1::Verdict::Hit => {
                    hits.insert((result.item_id.clone(), kind(found.kind)?, grade(found.grade)?));
                }
                v1::Verdict::NoHit => {}
                _ => anyhow::bail!("passenger {} is UNKNOWN: {}", result.item_id, unknown(result)),
            }
        }
    }
    Ok(hits)
}

fn unknown(result: &v1::ItemResult) -> &'static str {
    let kinds = result.partners.iter().flat_map(|partner| &partner.kinds);
    let reason = kinds.map(|kind| kind.reason).find(|reason| *reason != 0);
    words::reason_spoken(reason.unwrap_or_default())
}

/// Writes pairs as CSV `left_id,right_id,kind,grade`.
///
/// # Errors
/// The file.
pub fn write(file: OutFile, pairs: &BTreeSet<Pair>) -> Result<()> {
    let mut csv = csv::Writer::from_writer(file);
    csv.write_record(["left_id", "right_id", "kind", "grade"])
        .map_err(csv_error)?;
    for pair in pairs {
        csv.write_record([&*pair.left, &*pair.right, pair.kind.name(), pair.grade.name()])
            .map_err(csv_error)?;
    }
    csv.into_inner()
        .map_err(csv::IntoInnerError::into_error)?
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_grade_is_both_missed_and_false() {
        let pair = |grade| Pair {
            left: "1".into(),
            right: "2".into(),
            kind: Kind::Person,
            grade,
        };
        let truth = BTreeSet::from([pair(Grade::Exact)]);
        let score = Score::of(&BTreeSet::from([pair(Grade::Strong)]), &truth);
        assert_eq!(
            score,
            Score {
                hits: 1,
                missed: 1,
                false_hits: 1
            }
        );
        assert!(!score.is_exact());
        assert!(Score::of(&truth, &truth).is_exact());
        assert!(!Score::of(&BTreeSet::new(), &truth).is_exact());
    }

    #[test]
    fn an_unknown_passenger_fails_the_flight() {
        let partner = v1::PartnerVerdict {
            partner_id: "right".into(),
            kinds: vec![v1::KindVerdict {
                kind: 1,
                verdict: 3,
                reason: 2,
                ..Default::default()
            }],
            ..Default::default()
        };
        let result = |verdict: v1::Verdict| v1::ItemResult {
            item_id: "P1".into(),
            verdict: verdict.into(),
            partners: vec![partner.clone()],
            ..Default::default()
        };
        for verdict in [v1::Verdict::Unknown, v1::Verdict::NoHit, v1::Verdict::Unspecified] {
            let response = v1::MatchResponse {
                results: vec![result(verdict)],
                ..Default::default()
            };
            assert!(
                flight_hits(&response, "right").is_err(),
                "{verdict:?} must not pass for a no hit"
            );
        }
    }
}
