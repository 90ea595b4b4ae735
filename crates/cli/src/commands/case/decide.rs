//! Drawing up a decision, and signing it with a key in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use concordat_disclosure::codes::Field;
use concordat_disclosure::{Decision, DetailRequest, Document};
use concordat_ledger::Text;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{Case, FieldValues, ProposeStep, WithheldField};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::steps::codes;
use super::{On, show};
use crate::commands::officer::{confirmed, read_key};
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, note};

const GROUNDS: &[&str] = &[
    "NO_LEGAL_BASIS",
    "BELOW_THRESHOLD",
    "HARMS_INVESTIGATION",
    "HARMS_PERSON",
    "NATIONAL_SECURITY",
    "DISPROPORTIONATE",
    "NOT_HELD",
    "THIRD_PARTY",
    "JUDICIAL_REFUSAL",
    "CONTESTED",
    "WRONG_ADDRESSEE",
];

/// Draw up the decision.
///
/// Every field that is asked for is released or withheld. It is then signed by officers (`case approve`, the console), and
/// decided as soon as enough have signed.
#[derive(Args)]
pub struct Propose {
    #[command(flatten)]
    on: On,
    /// A value that is released: a=ANNA, once for each value
    #[arg(long = "release", value_name = "FIELD=VALUE", value_parser = pair)]
    released: Vec<(String, String)>,
    /// Release what our records say for the fields that are not named otherwise
    #[arg(long)]
    suggested: bool,
    /// A field that is withheld, and the ground: i=HARMS_INVESTIGATION
    #[arg(long = "withhold", value_name = "FIELD=GROUND", value_parser = pair)]
    withheld: Vec<(String, String)>,
    /// Withhold every field that is not named otherwise, on this ground
    #[arg(long, value_name = "GROUND", ignore_case = true, value_parser = codes(GROUNDS))]
    withhold_rest: Option<String>,
    /// Release nothing, on this ground
    #[arg(long, value_name = "GROUND", ignore_case = true, value_parser = codes(GROUNDS), requires = "text",
        conflicts_with_all = ["released", "suggested", "withheld", "withhold_rest"])]
    refuse: Option<String>,
    /// Why nothing is released, in words that the requester may read
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// The handling code: H0, H1, H2, H3
    #[arg(long, value_name = "CODE", ignore_case = true, default_value = "H1", value_parser = codes(&["H0", "H1", "H2", "H3"]))]
    handling: String,
    /// The words of H3
    #[arg(long, value_name = "TEXT")]
    restriction: Option<String>,
    /// Reliability of the source: A, B, C, X
    #[arg(long, value_name = "CODE", ignore_case = true, default_value = "X", value_parser = codes(&["A", "B", "C", "X"]))]
    source: String,
    /// Reliability of the information: 1, 2, 3, 4
    #[arg(long, value_name = "CODE", default_value = "4", value_parser = codes(&["1", "2", "3", "4"]))]
    information: String,
    /// The classification
    #[arg(long, value_name = "CODE", ignore_case = true, default_value = "UNCLASSIFIED",
        value_parser = codes(&["UNCLASSIFIED", "RESTRICTED", "CONFIDENTIAL"]))]
    classification: String,
    /// The last day on which the requester may hold it [default: in a year, UTC]
    #[arg(long, value_name = "DATE")]
    retain_until: Option<Date>,
    /// An agency to which it may be passed on [default: nobody]
    #[arg(long, value_name = "ID")]
    onward: Vec<String>,
    /// A condition, in words
    #[arg(long = "condition", value_name = "TEXT")]
    conditions: Vec<String>,
}

impl Propose {
    pub(super) async fn run(self, out: Out) -> Result<Exit> {
        let node = self.on.open().await?;
        let case = self.on.case(&node).await?;
        let request = DetailRequest::decode(&case.request)
            .map_err(|_| anyhow!("the case has no request yet: nothing can be decided"))?;
        let (released, withheld) = self.fields(&request, &case)?;
        let proposal = ProposeStep {
            refusal_ground: self.refuse.clone().unwrap_or_default(),
            refusal_text: self.text.clone().unwrap_or_default(),
            released,
            withheld,
            marks: self.marks(&request)?.to_string(),
            conditions: self.conditions.clone(),
        };
        let case = self.on.take(&node, &case.head, Step::Propose(proposal)).await?;
        show::taken(&case, out)?;
        Ok(Exit::Done)
    }

    /// Each field that is asked for: its values, or the ground on which it is withheld.
    fn fields(&self, request: &DetailRequest, case: &Case) -> Result<(Vec<FieldValues>, Vec<WithheldField>)> {
        let mut values: BTreeMap<Field, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.released {
            values.entry(field(name)?).or_default().push(value.clone());
        }
        let mut grounds = BTreeMap::new();
        for (name, ground) in &self.withheld {
            grounds.insert(field(name)?, ground.to_ascii_uppercase().replace('-', "_"));
        }
        let mut left = BTreeSet::new();
        for asked in &request.fields {
            if values.contains_key(asked) || grounds.contains_key(asked) {
                continue;
            }
            let name = asked.to_string();
            let known = case
                .suggested
                .iter()
                .find(|known| known.field == name && !known.values.is_empty());
            if self.refuse.is_some() {
                continue;
            }
            match (known, &self.withhold_rest) {
                (Some(known), _) if self.suggested => {
                    values.insert(asked.clone(), known.values.clone());
                }
                (_, Some(ground)) => {
                    grounds.insert(asked.clone(), ground.clone());
                }
                _ => {
                    left.insert(name);
                }
            }
        }
        if !left.is_empty() {
            let left: Vec<_> = left.into_iter().collect();
            return Err(Usage::error(format!(
                "neither released nor withheld: {}; name each with --release or --withhold, or use --withhold-rest",
                left.join(", ")
            )));
        }
        let released = values.into_iter().map(|(field, values)| FieldValues {
            field: field.to_string(),
            values,
        });
        let withheld = grounds.into_iter().map(|(field, ground)| WithheldField {
            field: field.to_string(),
            ground,
        });
        Ok((released.collect(), withheld.collect()))
    }

    /// How it must be handled, as a decision writes it.
    fn marks(&self, request: &DetailRequest) -> Result<Value> {
        let in_a_year = || {
            let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
            today.checked_add(1.year())
        };
        let retain_until = self.retain_until.map_or_else(in_a_year, Ok)?;
        let mut marks = json!({
            "handling": self.handling,
            "source": self.source,
            "information": self.information,
            "classification": self.classification,
            "retain_until": retain_until.to_string(),
            "onward": if self.onward.is_empty() { json!("NOBODY") } else { json!({ "TO": self.onward }) },
            "purpose": request.purpose.as_str(),
        });
        if let Some(restriction) = &self.restriction {
            marks["restriction"] = restriction.as_str().into();
        }
        Ok(marks)
    }
}

/// Sign the decision with a key in a file.
#[derive(Args)]
pub struct Approve {
    #[command(flatten)]
    on: On,
    /// The officer's key, made by `concordat officer file-key`
    #[arg(long, value_name = "FILE")]
    officer_key: PathBuf,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

impl Approve {
    pub(super) async fn run(self, out: Out) -> Result<Exit> {
        let key = read_key(&self.officer_key)?;
        let node = self.on.open().await?;
        let case = self.on.case(&node).await?;
        if case.decision.is_empty() {
            return Err(Advice::error(
                "there is no decision that this officer may read",
                "`concordat case show` says in which state the case is, and what the officer may do",
            ));
        }
        let decision = Decision::decode(&case.decision).context("the decision cannot be read")?;
        let digest = decision.digest().context("the decision cannot be read")?;
        // To the terminal, not to stdout: that is for what became of it.
        note(show::decision(&decision));
        note(format!("\nThe text that is signed:\n{}", case.decision));
        note(format!("SHA-256 {digest}"));
        if !confirmed("Sign this decision?", "sign", self.yes)? {
            return Ok(Exit::Failed);
        }
        let officer =
            Text::new(self.on.officer.as_str()).map_err(|_| Usage::error("--officer: not an id"))?;
        let approval = key
            .approve(&officer, &digest)
            .encode()
            .context("writing the approval")?;
        // Signed is what was shown: if the case has moved on, the node refuses.
        let case = self.on.take(&node, &case.head, Step::Approve(approval)).await?;
        show::taken(&case, out)?;
        Ok(Exit::Done)
    }
}

/// A field by its name.
pub(super) fn field(name: &str) -> Result<Field> {
    name.parse().map_err(|_| {
        let known = Field::CORE
            .iter()
            .map(|field| format!("{field} {}", field.name()));
        Usage::error(format!(
            "{}, or x:name of the owner's list",
            match name.chars().count() {
                // What is longer may be anything, and is not repeated.
                0..=4 => format!(
                    "there is no field \"{name}\": {}",
                    known.collect::<Vec<_>>().join(", ")
                ),
                _ => format!("a field is {}", known.collect::<Vec<_>>().join(", ")),
            }
        ))
    })
}

/// `FIELD=VALUE`. An error never holds the value.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("FIELD=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
