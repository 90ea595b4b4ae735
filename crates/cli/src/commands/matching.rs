//! `concordat match`.

use anyhow::{Context, Result, bail};
use concordat_wire::v1::{
    ItemResult, KindVerdict, MatchItem, MatchRequest, OfferSummary, PartnerSummary, PartnerVerdict,
    QueryContext, UnknownReason, Verdict, match_item,
};
use serde_json::{Value, json};

use crate::connect::{Connection, Node};
use crate::exit::{Exit, Usage};
use crate::out::{Out, count, counted, time};
use crate::query::QueryArgs;
use crate::read::today;
use crate::whom::{CALL_ITEMS, Question, What, Whom, WhomArgs};
use crate::{json, words};

/// Ask whether a person, document or reference is on a partner's list.
///
/// Give one subject by options, or many by --mrz, --paxlst or --jsonl. The partner learns the padded number of
/// questions, the purpose and the legal basis; not whom we asked about, nor the answers.
///
/// Other users of this machine can see a command's arguments: for real cases use a file or a pipe.
///
/// The exit code is 0 only when everything was checked to the end and nothing is listed; 3 with at least one HIT;
/// 4 with no HIT but something UNKNOWN.
#[derive(clap::Args)]
pub struct Args {
    /// Ask only these partners [default: all whose agreement permits it]
    #[arg(long = "partner", value_name = "ID")]
    partners: Vec<String>,
    /// How long a partner may take, in milliseconds [default: the node's own]
    #[arg(long, value_name = "MS", default_value_t = 0, hide_default_value = true)]
    deadline_ms: u32,
    /// Show items that are not listed, too (a single subject is always shown)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    whom: WhomArgs,
    #[command(flatten)]
    query: QueryArgs,
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let asked = self.whom.questions(today())?;
        let Whom { mut items, single } = asked
            .ok_or_else(|| Usage::error("nothing to ask about: give a name, a document, …, or a file"))?;
        let node = self.connection.open().await?;
        let template = MatchRequest {
            context: Some(QueryContext::from(self.query)),
            items: Vec::new(),
            partners: self.partners,
            partner_deadline_ms: self.deadline_ms,
        };
        let mut report = Report {
            out,
            all: self.all || single,
            tally: Tally::default(),
        };
        loop {
            let batch = items.by_ref().take(CALL_ITEMS).collect::<Result<Vec<_>>>()?;
            if batch.is_empty() {
                break;
            }
            ask(&node, &template, batch, &mut report).await?;
        }
        if report.tally.items() == 0 {
            bail!("there was nothing to ask about");
        }
        report.end()
    }
}

/// Sends one batch and shows the answers.
async fn ask(node: &Node, template: &MatchRequest, batch: Vec<Question>, report: &mut Report) -> Result<()> {
    let mut request = template.clone();
    for (index, question) in batch.iter().enumerate() {
        if let What::Ask(subject) = &question.what {
            let what = Some(match_item::What::Subject(subject.clone()));
            request.items.push(MatchItem {
                item_id: index.to_string(),
                what,
            });
        }
    }
    let response = match request.items.is_empty() {
        true => concordat_wire::v1::MatchResponse::default(),
        false => node.matching().r#match(request).await?.into_inner(),
    };
    let mut results = response.results.into_iter();
    for (index, question) in batch.iter().enumerate() {
        let result = match &question.what {
            What::Unreadable => None,
            What::Ask(_) => {
                let result = results
                    .next()
                    .context("the node answered fewer items than it was asked")?;
                if result.item_id != index.to_string() {
                    bail!("the node answered in another order than it was asked");
                }
                Some(result)
            }
        };
        report.item(question, result)?;
    }
    report.tally.partners.extend(response.partners);
    Ok(())
}

/// The verdict of an item. Whatever was not asked, not answered or not read to the end is never `NO_HIT`.
fn verdict(question: &Question, result: Option<&ItemResult>) -> Verdict {
    match result {
        None => Verdict::Unknown,
        Some(result) => match result.verdict() {
            Verdict::NoHit if result.partners.is_empty() || !question.doubts.is_empty() => Verdict::Unknown,
            Verdict::Unspecified => Verdict::Unknown,
            verdict => verdict,
        },
    }
}

#[derive(Default)]
struct Tally {
    hits: u64,
    clear: u64,
    unknown: u64,
    partners: Vec<PartnerSummary>,
}

impl Tally {
    fn items(&self) -> u64 {
        self.hits + self.clear + self.unknown
    }

    fn exit(&self) -> Exit {
        match (self.hits, self.unknown) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Unknown,
            _ => Exit::Hit,
        }
    }
}

struct Report {
    out: Out,
    all: bool,
    tally: Tally,
}

impl Report {
    fn item(&mut self, question: &Question, result: Option<ItemResult>) -> Result<()> {
        let verdict = verdict(question, result.as_ref());
        match verdict {
            Verdict::Hit => self.tally.hits += 1,
            Verdict::NoHit => self.tally.clear += 1,
            _ => self.tally.unknown += 1,
        }
        if !self.out.json && verdict == Verdict::NoHit && !self.all {
            return Ok(());
        }
        let result = result.unwrap_or_default();
        Ok(self.out.result(
            || item_json(question, verdict, &result),
            || item_text(question, verdict, &result),
        )?)
    }

    fn end(self) -> Result<Exit> {
        let tally = &self.tally;
        let values = || {
            let partner = |partner: &PartnerSummary| {
                json!({
                    "partner_id": partner.partner_id,
                    "offers": partner.offers.iter().map(json::offer).collect::<Vec<_>>(),
                })
            };
            json!({
                "items": tally.items(),
                "hits": tally.hits,
                "no_hits": tally.clear,
                "unknown": tally.unknown,
                "partners": tally.partners.iter().map(partner).collect::<Vec<_>>(),
            })
        };
        self.out.result(values, || end_text(tally))?;
        Ok(tally.exit())
    }
}

fn item_json(question: &Question, verdict: Verdict, result: &ItemResult) -> Value {
    let unread = question.doubts.iter().map(json::reject);
    json!({
        "item": question.label,
        "line": question.line,
        "verdict": words::verdict(verdict.into()),
        "partners": result.partners.iter().map(json::partner_verdict).collect::<Vec<_>>(),
        "rejections": result.rejections.iter().map(json::rejection).chain(unread).collect::<Vec<_>>(),
    })
}

fn item_text(question: &Question, verdict: Verdict, result: &ItemResult) -> String {
    let place = match (&question.what, question.line) {
        (What::Unreadable, Some(line)) if question.label != format!("line {line}") => {
            format!(" (line {line})")
        }
        _ => String::new(),
    };
    let mut text = format!("{}{place}: {}\n", question.label, spoken(verdict));
    for partner in &result.partners {
        text += &partner_text(partner);
    }
    if result.partners.is_empty() && matches!(question.what, What::Ask(_)) {
        text += "  no partner was asked: no agreement in force covers this\n";
    }
    for rejection in &result.rejections {
        let weight = if rejection.notice { "notice" } else { "not checked" };
        text += &format!(
            "  {weight}: {}: {} [{}]\n",
            rejection.field, rejection.reason, rejection.rule
        );
    }
    for reject in &question.doubts {
        let place = if reject.field.is_empty() {
            "item"
        } else {
            &reject.field
        };
        text += &format!("  not read: {place}: {} [{}]\n", reject.reason, reject.rule.id());
    }
    text
}

fn partner_text(partner: &PartnerVerdict) -> String {
    let mut text = String::new();
    let mut label = partner.partner_id.as_str();
    let mut line = |what: String| {
        text += &format!("  {label:<16} {what}\n");
        label = "";
    };
    for kind in &partner.kinds {
        line(kind_text(kind));
    }
    for kind in &partner.not_covered {
        line(format!(
            "not checked  {}: no offer of the agreement covers it",
            words::kind_spoken(*kind)
        ));
    }
    if partner.kinds.is_empty() && partner.not_covered.is_empty() {
        line(spoken(partner.verdict()).into());
    }
    let mut states = partner.case_states.iter().map(String::as_str);
    for case in &partner.case_ids {
        let what = match states.next() {
            // Of a node that does not tell, a case that was opened now.
            None | Some("" | "HIT") => "a person compares".to_owned(),
            Some(state) => format!("{state}, open since an earlier query"),
        };
        line(format!("case         {case}: {what}"));
    }
    if partner.known_false {
        line("no case      a person has found this hit false lately".into());
    }
    text
}

fn kind_text(kind: &KindVerdict) -> String {
    let what = words::kind_spoken(kind.kind);
    match kind.verdict() {
        Verdict::Hit => format!(
            "HIT          {what}, {} (rule {})",
            words::grade(kind.grade),
            kind.rule
        ),
        Verdict::NoHit => format!("NO HIT       {what}"),
        Verdict::Unknown | Verdict::Unspecified => {
            format!("UNKNOWN      {what}: {}", words::reason_spoken(kind.reason))
        }
    }
}

fn end_text(tally: &Tally) -> String {
    let mut text = String::new();
    for partner in &tally.partners {
        for offer in &partner.offers {
            text += &format!(
                "{} {}: {}\n",
                partner.partner_id,
                words::kind_spoken(offer.kind),
                offer_text(offer)
            );
        }
    }
    text + &format!(
        "{} asked about: {} HIT, {} NO HIT, {} UNKNOWN\n",
        count(tally.items()),
        count(tally.hits),
        count(tally.clear),
        count(tally.unknown)
    )
}

fn offer_text(offer: &OfferSummary) -> String {
    if offer.reason != i32::from(UnknownReason::Unspecified) {
        return words::reason_detailed(offer.reason, &offer.detail);
    }
    let wall = offer.timings.unwrap_or_default().wall_us / 1_000;
    format!(
        "list as of {}, {} sent as {}, {wall} ms",
        time(&offer.as_of),
        counted(offer.identifiers, "identifier"),
        counted(offer.padded_elements, "element")
    )
}

fn spoken(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Hit => "HIT",
        Verdict::NoHit => "NO HIT",
        Verdict::Unknown | Verdict::Unspecified => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use concordat_lists::{Item, Lost, Reject, Rule};

    use super::*;
    use crate::whom::Questions;

    fn question(doubts: Vec<Reject>) -> Question {
        Question {
            label: "7".into(),
            line: Some(3),
            what: What::Ask(Default::default()),
            doubts,
        }
    }

    fn reject(lost: Lost) -> Reject {
        Reject {
            input: "x".into(),
            line: 3,
            field: "f".into(),
            rule: Rule::Value,
            reason: "no".into(),
            lost,
            source_id: None,
        }
    }

    fn result(verdict: Verdict, partners: usize) -> ItemResult {
        let partner = PartnerVerdict {
            partner_id: "bb".into(),
            ..Default::default()
        };
        ItemResult {
            verdict: verdict.into(),
            partners: vec![partner; partners],
            ..Default::default()
        }
    }

    #[test]
    fn nothing_unchecked_is_a_no_hit() {
        let plain = question(Vec::new());
        assert_eq!(verdict(&plain, Some(&result(Verdict::NoHit, 1))), Verdict::NoHit);
        assert_eq!(
            verdict(&plain, Some(&result(Verdict::NoHit, 0))),
            Verdict::Unknown,
            "nobody was asked"
        );
        assert_eq!(
            verdict(&plain, Some(&result(Verdict::Unspecified, 1))),
            Verdict::Unknown
        );
        assert_eq!(verdict(&plain, None), Verdict::Unknown);
        let doubtful = question(vec![reject(Lost::Field)]);
        assert_eq!(
            verdict(&doubtful, Some(&result(Verdict::NoHit, 1))),
            Verdict::Unknown,
            "half was not read"
        );
        assert_eq!(verdict(&doubtful, Some(&result(Verdict::Hit, 1))), Verdict::Hit);
    }

    #[test]
    fn unreadable_items_stay_in_the_count() {
        let items: Vec<Result<Item>> = vec![
            Ok(Item::Reject(reject(Lost::Record))),
            Ok(Item::Entry(Box::new(concordat_lists::Entry {
                source_id: "P1".into(),
                subject: Default::default(),
                published: Default::default(),
                line: 4,
            }))),
            Ok(Item::Reject(reject(Lost::Field))),
            Ok(Item::Reject(reject(Lost::Record))),
        ];
        let questions: Vec<Question> = Questions {
            items: items.into_iter().peekable(),
            numbered: None,
        }
        .collect::<Result<_>>()
        .expect("read");
        let labels: Vec<_> = questions.iter().map(|question| question.label.as_str()).collect();
        assert_eq!(labels, ["line 3", "P1", "line 3"]);
        assert_eq!(
            questions[1].doubts.len(),
            1,
            "the reject of its field belongs to the passenger"
        );
    }

    #[test]
    fn unreadable_zones_have_a_number_like_the_others() {
        let entry = |source_id: &str, line| {
            Ok(Item::Entry(Box::new(concordat_lists::Entry {
                source_id: source_id.into(),
                subject: Default::default(),
                published: Default::default(),
                line,
            })))
        };
        let items: Vec<Result<Item>> = vec![
            Ok(Item::Reject(reject(Lost::Record))),
            entry("2", 5),
            Ok(Item::Reject(reject(Lost::Record))),
            Ok(Item::Reject(reject(Lost::Field))),
            entry("4", 9),
        ];
        let questions: Vec<Question> = Questions {
            items: items.into_iter().peekable(),
            numbered: Some(0),
        }
        .collect::<Result<_>>()
        .expect("read");
        let labels: Vec<_> = questions
            .iter()
            .map(|question| (question.label.as_str(), question.line))
            .collect();
        assert_eq!(
            labels,
            [("1", Some(3)), ("2", Some(5)), ("3", Some(3)), ("4", Some(9))]
        );
        assert_eq!(
            questions[2].doubts.len(),
            2,
            "what else is wrong with it is not another item"
        );
        let value = item_json(&questions[2], Verdict::Unknown, &ItemResult::default());
        assert_eq!(
            (value["item"].as_str(), value["line"].as_u64()),
            (Some("3"), Some(3))
        );
        let keys = |value: &Value| {
            value
                .as_object()
                .map(|map| map.keys().cloned().collect::<Vec<_>>())
        };
        assert_eq!(
            keys(&value["rejections"][0]),
            keys(&json::rejection(&Default::default())),
            "one form of rejection"
        );
        let text = item_text(&questions[2], Verdict::Unknown, &ItemResult::default());
        assert!(text.starts_with("3 (line 3): UNKNOWN"), "{text}");
    }

    #[test]
    fn the_exit_code_is_the_verdict_of_all() {
        let exit = |hits, clear, unknown| {
            Tally {
                hits,
                clear,
                unknown,
                partners: Vec::new(),
            }
            .exit()
        };
        assert_eq!(exit(0, 5, 0), Exit::Done);
        assert_eq!(exit(0, 5, 1), Exit::Unknown);
        assert_eq!(exit(1, 5, 1), Exit::Hit);
    }

    #[test]
    fn a_person_reads_verdict_grade_and_reason() {
        let kinds = vec![
            KindVerdict {
                kind: 1,
                verdict: 1,
                grade: 1,
                rule: "document+issuer/1".into(),
                reason: 0,
            },
            KindVerdict {
                kind: 2,
                verdict: 3,
                reason: 5,
                ..Default::default()
            },
        ];
        let partner = PartnerVerdict {
            partner_id: "bb".into(),
            kinds,
            not_covered: vec![6],
            case_ids: vec!["00ff".into(), "01ff".into()],
            case_states: vec!["HIT".into(), "REQUESTED".into()],
            known_false: true,
            ..Default::default()
        };
        assert_eq!(
            partner_text(&partner),
            "  bb               HIT          travel document, exact (rule document+issuer/1)\n\
             \x20                  UNKNOWN      person: the quota of the agreement is used up\n\
             \x20                  not checked  phone: no offer of the agreement covers it\n\
             \x20                  case         00ff: a person compares\n\
             \x20                  case         01ff: REQUESTED, open since an earlier query\n\
             \x20                  no case      a person has found this hit false lately\n"
        );
    }
}
