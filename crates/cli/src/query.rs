//! Who asks and why: required on every query.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use concordat_wire::v1::{Purpose, QueryContext};

use crate::words;

/// The context of a query. The agreement and both nodes hold the query to it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Why we ask (required)")]
pub struct QueryArgs {
    /// What the data is wanted for; the agreement lists the purposes it permits
    #[arg(long, value_parser = purpose(), ignore_case = true)]
    purpose: Purpose,
    /// One of the agreement's legal bases, for example "EU:2024/982:26"
    #[arg(long, value_name = "TEXT")]
    legal_basis: String,
    /// Our own number of the case or flight; it stays in our node
    #[arg(long = "case", value_name = "TEXT")]
    case_reference: String,
    /// Who carries the query out [default: the client certificate's name]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    officer: String,
}

impl From<QueryArgs> for QueryContext {
    fn from(args: QueryArgs) -> Self {
        Self {
            purpose: args.purpose.into(),
            legal_basis: args.legal_basis,
            case_reference: args.case_reference,
            officer: args.officer,
        }
    }
}

/// Reads a purpose as written on the command line.
pub fn purpose() -> impl TypedValueParser<Value = Purpose> {
    PossibleValuesParser::new(words::purposes())
        // Only listed names come here.
        .map(|name| words::purpose_from_name(&name).unwrap_or_default())
}
