//! Who asks and why: required on every query.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
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
    #[arg(long, value_name = "TEXT", value_parser = label)]
    legal_basis: String,
    /// Our own number of the case or flight; it stays in our node
    #[arg(long = "case", value_name = "TEXT", value_parser = label)]
    case_reference: String,
    /// Who carries the query out [default: the client certificate's name]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    officer: String,
    /// Who ordered it [default: who carries it out]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    ordered_by: String,
}

impl From<QueryArgs> for QueryContext {
    fn from(args: QueryArgs) -> Self {
        Self {
            purpose: args.purpose.into(),
            legal_basis: args.legal_basis,
            case_reference: args.case_reference,
            officer: args.officer,
            ordered_by: args.ordered_by,
        }
    }
}

/// Reads a purpose as written on the command line.
pub fn purpose() -> impl TypedValueParser<Value = Purpose> {
    let spelled = |name: String| {
        // As the code list and agreements write it.
        let code = name.replace('-', "_");
        let value = PossibleValue::new(name);
        if code.contains('_') {
            value.alias(code)
        } else {
            value
        }
    };
    PossibleValuesParser::new(words::purposes().map(spelled))
        // Only listed names come here.
        .map(|name| words::purpose_from_name(&name).unwrap_or_default())
}

/// A text that goes into records: the node takes nothing else.
///
/// # Errors
/// It is empty, too long, or cannot be printed.
pub fn label(text: &str) -> Result<String, &'static str> {
    if concordat_node::agreement::is_label(text) {
        Ok(text.to_owned())
    } else {
        Err("1 to 128 printable characters")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        query: QueryArgs,
    }

    fn parse(purpose: &str, case: &str) -> Result<QueryContext, clap::Error> {
        let line = ["x", "--purpose", purpose, "--legal-basis", "b", "--case", case];
        Ok(Line::try_parse_from(line)?.query.into())
    }

    #[test]
    fn a_purpose_is_known_in_both_spellings() {
        for spelling in ["border-check", "BORDER_CHECK", "Border-Check", "border_check"] {
            let context = parse(spelling, "c").expect(spelling);
            assert_eq!(context.purpose(), Purpose::BorderCheck);
        }
        assert!(parse("fugitive", "c").is_ok());
        assert!(parse("border check", "c").is_err());
    }

    #[test]
    fn an_empty_case_is_refused_by_the_name_of_its_option() {
        let error = parse("fugitive", "").expect_err("empty").to_string();
        assert!(error.contains("--case"), "{error}");
    }
}
