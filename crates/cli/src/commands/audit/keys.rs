//! Whose signatures an auditor believes: keys as arguments, in files, or in the agreement that a partner holds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use concordat_ledger::Keys;
use concordat_node::agreement::Agreement;
use concordat_node::ledger::{key_of, origin};
use concordat_note::{CosignerKey, KeyError, VerifierKey};

use super::read_small;
use crate::exit::{Advice, Usage};
use crate::out::note;

/// Far more than a key or an agreement has.
const MAX_BYTES: usize = 256 << 10;

/// Whom to believe.
#[derive(clap::Args)]
pub struct KeyArgs {
    /// Ledger key of the agency that is audited, as its `concordat info` shows it, or a file that holds it
    #[arg(
        long,
        alias = "key",
        value_name = "VKEY|FILE",
        required_unless_present = "agreement"
    )]
    log_key: Option<String>,
    /// Take that key from an agreement that both parties signed: the partner's copy, not the audited agency's
    #[arg(long, value_name = "FILE", requires = "agency", conflicts_with = "log_key")]
    agreement: Option<PathBuf>,
    /// Which party of the agreement is audited
    #[arg(long, value_name = "ID", requires = "agreement")]
    agency: Option<String>,
    /// Key of a witness: a partner's identity key, or an independent witness's; may be given again
    #[arg(long = "witness", value_name = "VKEY|FILE")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have cosigned [default: all that are given]
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
}

impl KeyArgs {
    /// The keys.
    ///
    /// # Errors
    /// One is none, or another one than it should be, or the agreement does not give it.
    pub fn read(&self) -> Result<Keys> {
        let witnesses = self.witnesses.iter().map(|key| witness(key));
        let witnesses = witnesses.collect::<Result<Vec<_>>>()?;
        let quorum = self.quorum.unwrap_or(witnesses.len());
        if quorum > witnesses.len() {
            return Err(Usage::error("--quorum is larger than the number of --witness"));
        }
        let log = match (&self.log_key, &self.agreement, &self.agency) {
            (Some(key), ..) => ledger_key(key)?,
            (None, Some(file), Some(agency)) => agreed(file, agency)?,
            // The command line has one of them.
            _ => return Err(Usage::error("give --log-key, or --agreement with --agency")),
        };
        if let Some(own) = witnesses
            .iter()
            .find(|witness| witness.public_key() == log.public_key())
        {
            return Err(Usage::error(format!(
                "--witness: {} is the agency that is audited, with the key that signs the ledger, and no witness to itself: \
                 give the key of a partner or of an independent witness",
                own.name()
            )));
        }
        Ok(Keys {
            witnesses,
            quorum,
            ..Keys::of(log)
        })
    }
}

/// The key of an agency's ledger, given as such or as the file that holds it.
///
/// # Errors
/// It is none, or the agency's identity key.
pub fn ledger_key(argument: &str) -> Result<VerifierKey> {
    let key = verifier_of(argument)?;
    if is_of_a_ledger(key.name()) {
        return Ok(key);
    }
    let ledger = key_of(&key).map(|key| format!("the key of its ledger is {key}"));
    Err(Advice::error(
        format!("this is the identity key of {}, not its ledger's", key.name()),
        ledger.unwrap_or_else(|_| "give the ledger's key, whose name ends in /ledger".into()),
    ))
}

/// A verifier's key, given as such or as the file that holds it.
///
/// # Errors
/// It is none.
pub fn verifier_of(argument: &str) -> Result<VerifierKey> {
    verifier(argument, &text_of(argument)?)
}

fn is_of_a_ledger(name: &str) -> bool {
    name.strip_suffix("/ledger")
        .is_some_and(|agency| !agency.is_empty())
}

fn witness(argument: &str) -> Result<CosignerKey> {
    let text = text_of(argument)?;
    // A witness may give its key as one that cosigns, or as the identity key that agreements name.
    if let Ok(key) = text.parse::<CosignerKey>() {
        return Ok(key);
    }
    let key = verifier(argument, &text)?;
    if is_of_a_ledger(key.name()) {
        return Err(Advice::error(
            format!("this is the key of {}, which cosigns nothing", key.name()),
            "give the partner's identity key: `concordat info` there, or the agreement, shows it",
        ));
    }
    Ok(key.cosigner())
}

/// The key that an agreement gives for the ledger of one of its parties.
fn agreed(file: &Path, agency: &str) -> Result<VerifierKey> {
    let name = || file.display().to_string();
    let text = String::from_utf8(read_small(file, MAX_BYTES)?).with_context(name)?;
    let refused = |fault: concordat_wire::Fault| {
        let said = match fault.rule {
            // No note at all: what is wrong with its lines helps nobody.
            "AGR-010" => format!("{} is not a signed agreement", name()),
            _ => format!("{} holds no agreement: {fault}", name()),
        };
        Advice::error(
            said,
            "give the document that both parties signed, as the partner's `concordat agreement sign --out` wrote it",
        )
    };
    let (agreement, signed) = Agreement::from_note(&text).map_err(refused)?;
    let signers = agreement.signers(&signed).map_err(refused)?;
    let unsigned = agreement
        .parties
        .iter()
        .find(|party| !signers.contains(&party.id));
    if let Some(party) = unsigned {
        return Err(Advice::error(
            format!("{}: {} has not signed this agreement", name(), party.id),
            "give the document that both parties signed",
        ));
    }
    let Some(party) = agreement.parties.iter().find(|party| party.id == agency) else {
        let ids: Vec<&str> = agreement.parties.iter().map(|party| party.id.as_str()).collect();
        return Err(Usage::error(format!(
            "--agency: {agency} is no party of {}; use one of {}",
            name(),
            ids.join(", ")
        )));
    };
    let key = key_of(&party.identity).with_context(|| origin(agency))?;
    note(format!(
        "the key of {} is {key}, as {} has it, valid from {} until {}: it is as good as the hand you have that document from",
        key.name(),
        agreement.id,
        agreement.valid_from,
        agreement.valid_until
    ));
    Ok(key)
}

/// A key, or the content of the file of this name.
fn text_of(argument: &str) -> Result<String> {
    if argument.contains('+') && !Path::new(argument).exists() {
        return Ok(argument.to_owned());
    }
    let bytes =
        read_small(Path::new(argument), MAX_BYTES).with_context(|| format!("reading the key {argument}"))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("-----BEGIN ") {
        return Err(Advice::error(
            format!("{argument} holds a key or certificate of TLS, not a ledger's key"),
            "a ledger's key is one line, name+id+base64, as `concordat info` shows it",
        ));
    }
    Ok(key_in(&text).unwrap_or_else(|| text.trim()).to_owned())
}

/// The one key in a text, for example in what a witness printed when it was ready.
fn key_in(text: &str) -> Option<&str> {
    let is_key = |word: &&str| word.parse::<VerifierKey>().is_ok() || word.parse::<CosignerKey>().is_ok();
    let mut keys = text
        .split(|c: char| c.is_whitespace() || matches!(c, '"' | ','))
        .filter(is_key);
    let key = keys.next()?;
    keys.all(|other| other == key).then_some(key)
}

/// The key with this text; `argument` is it, or the file that holds it.
fn verifier(argument: &str, text: &str) -> Result<VerifierKey> {
    let place = if text == argument { "this" } else { argument };
    text.parse().map_err(|error: KeyError| {
        let said = match error {
            KeyError::Malformed { .. } => format!("{place} is not a key"),
            KeyError::UnsupportedType(_) if text.parse::<CosignerKey>().is_ok() => {
                format!("{place} is the key of a witness, which cosigns, and of no ledger")
            }
            error => format!("{place} is not a key: {error}"),
        };
        Advice::error(
            said,
            "a key is one line, name+id+base64, as `concordat info` shows it",
        )
    })
}
