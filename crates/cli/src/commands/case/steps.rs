//! Steps that need nothing but what the command line says.

use anyhow::Result;
use clap::Subcommand;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{
    AskStep, CloseStep, ConfirmRecallStep, ConfirmStep, MoreTimeStep, NotPursuedStep, OutcomeStep, Purpose,
    RecallStep, ReleaseStep, TakeUpStep,
};
use jiff::{SignedDuration, Timestamp};

use super::{On, decide, show};
use crate::exit::{Exit, Usage};
use crate::out::Out;
use crate::query::purpose;

/// Steps of a case.
#[derive(Subcommand)]
pub enum Command {
    /// Say whether the hit is the same person or thing
    Confirm {
        #[command(flatten)]
        on: On,
        /// What the comparison gave
        #[arg(long, value_name = "CODE", ignore_case = true, value_parser = codes(&["SAME", "DIFFERENT", "UNSURE"]))]
        comparison: String,
        /// How it was compared, in words that name nobody
        #[arg(long, value_name = "TEXT")]
        method: String,
    },
    /// Ask for nothing, and say why
    #[command(visible_alias = "not-pursued")]
    NotPursue {
        #[command(flatten)]
        on: On,
        /// The reason's code
        #[arg(long, value_name = "CODE", ignore_case = true, value_parser = codes(&["DIFFERENT", "UNDECIDED",
            "NO_LONGER_NEEDED", "ALREADY_KNOWN", "DISPROPORTIONATE", "OTHER_SERVICE"]))]
        reason: String,
        /// In words
        #[arg(long, value_name = "TEXT")]
        text: String,
    },
    /// Ask the owner for details
    Request(Box<Ask>),
    /// Take a request up
    TakeUp {
        #[command(flatten)]
        on: On,
    },
    /// Wait for a judicial authority
    AwaitJudicial {
        #[command(flatten)]
        on: On,
        /// Which
        #[arg(long, value_name = "TEXT")]
        authority: String,
    },
    /// Say that the judicial authority has authorised it
    Judicial {
        #[command(flatten)]
        on: On,
        /// The authority's reference
        #[arg(long, value_name = "TEXT")]
        reference: String,
    },
    /// State more time, where the agreement allows it
    MoreTime {
        #[command(flatten)]
        on: On,
        /// Until when
        #[arg(long, value_name = "TIME")]
        until: Timestamp,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take a decision back before it is complete; its signatures count no more
    Reconsider {
        #[command(flatten)]
        on: On,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Seal what was decided and send it
    Release {
        #[command(flatten)]
        on: On,
    },
    /// Open a release: everything in it is verified first
    Open {
        #[command(flatten)]
        on: On,
        /// Write the released fields to this file, as UMF-shaped XML
        #[arg(long, value_name = "FILE.xml")]
        out: Option<std::path::PathBuf>,
    },
    /// Say what came of a release
    Outcome {
        #[command(flatten)]
        on: On,
        /// What the hit turned out to be
        #[arg(long, value_name = "CODE", ignore_case = true, value_parser = codes(&["TRUE", "FALSE", "INCONCLUSIVE"]))]
        outcome: String,
        /// What was done
        #[arg(long, value_name = "TEXT")]
        action: String,
    },
    /// Ask no longer
    Withdraw {
        #[command(flatten)]
        on: On,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take a release back: the requester deletes or corrects it within 48 hours
    Recall {
        #[command(flatten)]
        on: On,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The case in which the corrected data are
        #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
        corrected_in: String,
    },
    /// Say that what was taken back is deleted or corrected
    ConfirmRecall {
        #[command(flatten)]
        on: On,
    },
    /// Close a case: nothing is left to do
    Close {
        #[command(flatten)]
        on: On,
    },
}

/// Ask the owner for details.
#[derive(clap::Args)]
pub struct Ask {
    #[command(flatten)]
    on: On,
    /// For what; the agreement lists the purposes it permits
    #[arg(long, value_parser = purpose(), ignore_case = true, hide_possible_values = true)]
    purpose: Purpose,
    /// One of the agreement's legal bases
    #[arg(long, value_name = "TEXT")]
    legal_basis: String,
    /// What the data are for
    #[arg(long, value_name = "CODE", ignore_case = true, value_parser = codes(&["INTELLIGENCE", "EVIDENCE", "ADMINISTRATIVE_DECISION"]))]
    intended_use: String,
    /// Who the person is in our case
    #[arg(long, value_name = "CODE", ignore_case = true, value_parser = codes(&["SUSPECT", "CONVICTED", "VICTIM", "MISSING",
        "REMAINS", "TRAVELLER", "DOCUMENT_ONLY"]))]
    subject: String,
    /// What happened
    #[arg(long, value_name = "TEXT")]
    facts: String,
    /// The offence's code
    #[arg(long, value_name = "CODE")]
    offence: String,
    /// The longest sentence for it, in months
    #[arg(long, value_name = "MONTHS")]
    max_penalty: u32,
    /// What is asked for: a to k, or x:name (docs/disclosure.md)
    #[arg(
        long = "fields",
        value_name = "FIELDS",
        required = true,
        value_delimiter = ','
    )]
    fields: Vec<String>,
    /// How urgent it is
    #[arg(long, value_name = "CODE", ignore_case = true, default_value = "NORMAL",
        value_parser = codes(&["NORMAL", "URGENT", "URGENT_INDIRECT"]))]
    urgency: String,
    /// Why it is urgent
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    urgency_reason: String,
    /// An agency to which the data are to go on
    #[arg(long, value_name = "ID")]
    onward: Vec<String>,
    /// Who ordered it [default: the officer]
    #[arg(long, value_name = "ID")]
    ordered_by: Option<String>,
    /// When the request is void [default: in a week]
    #[arg(long, value_name = "TIME")]
    expires: Option<Timestamp>,
}

impl Ask {
    fn step(self) -> Result<(On, Step)> {
        if (self.urgency == "NORMAL") != self.urgency_reason.is_empty() {
            return Err(Usage::error("--urgency-reason: say why, of urgent requests only"));
        }
        for name in &self.fields {
            decide::field(name)?;
        }
        let in_a_week = || Timestamp::now().checked_add(SignedDuration::from_hours(7 * 24));
        let expires = self.expires.map_or_else(in_a_week, Ok)?;
        let step = Step::Request(AskStep {
            purpose: concordat_node::agreement::purpose_name(self.purpose).into(),
            legal_basis: self.legal_basis,
            intended_use: self.intended_use,
            subject_class: self.subject,
            facts: self.facts,
            offence: self.offence,
            max_penalty_months: self.max_penalty,
            fields: self.fields,
            urgency: self.urgency,
            urgency_reason: self.urgency_reason,
            onward: self.onward,
            ordered_by: self.ordered_by.unwrap_or_else(|| self.on.officer.clone()),
            expires_at: expires.to_string(),
        });
        Ok((self.on, step))
    }
}

impl Command {
    pub(super) async fn run(self, out: Out) -> Result<Exit> {
        let (on, step) = match self {
            Self::Confirm {
                on,
                comparison,
                method,
            } => (on, Step::Confirm(ConfirmStep { comparison, method })),
            Self::NotPursue { on, reason, text } => (on, Step::NotPursue(NotPursuedStep { reason, text })),
            Self::Request(ask) => ask.step()?,
            Self::TakeUp { on } => (on, Step::TakeUp(TakeUpStep {})),
            Self::AwaitJudicial { on, authority } => (on, Step::AwaitJudicial(authority)),
            Self::Judicial { on, reference } => (on, Step::Judicial(reference)),
            Self::MoreTime { on, until, reason } => {
                let until = until.to_string();
                (on, Step::MoreTime(MoreTimeStep { until, reason }))
            }
            Self::Reconsider { on, reason } => (on, Step::Reconsider(reason)),
            Self::Release { on } => (on, Step::Release(ReleaseStep {})),
            Self::Open { on, out: file } => return show::open(&on, file, out).await,
            Self::Outcome { on, outcome, action } => (on, Step::Outcome(OutcomeStep { outcome, action })),
            Self::Withdraw { on, reason } => (on, Step::Withdraw(reason)),
            Self::Recall {
                on,
                reason,
                corrected_in,
            } => (on, Step::Recall(RecallStep { reason, corrected_in })),
            Self::ConfirmRecall { on } => (on, Step::ConfirmRecall(ConfirmRecallStep {})),
            Self::Close { on } => (on, Step::Close(CloseStep {})),
        };
        on.step(out, step).await
    }
}

/// Codes of a list, in either case on the command line and in capitals after it; `-` and `_` are one.
pub(super) fn codes(known: &'static [&'static str]) -> impl clap::builder::TypedValueParser<Value = String> {
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
    let values = known
        .iter()
        .map(|code| PossibleValue::new(*code).alias(code.replace('_', "-")));
    PossibleValuesParser::new(values).map(|code| code.to_ascii_uppercase().replace('-', "_"))
}
