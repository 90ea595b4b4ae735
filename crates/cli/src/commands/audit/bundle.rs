//! `concordat audit check-bundle`: one entry, from a file and public keys alone.

use std::path::PathBuf;

use anyhow::Result;
use concordat_identifiers::Kind;
use concordat_ledger::{Bundle, Event, IdentifierOpening, Keys, MAX_BUNDLE_BYTES, Proven, VerdictCounts};
use concordat_wire::kind_to_proto;
use serde_json::{Value, json};

use super::approvals::{Approvals, is_signed};
use super::entries::in_words;
use super::keys::KeyArgs;
use super::{cosigned, read_small};
use crate::exit::{Advice, Exit};
use crate::out::{Out, count};
use crate::words;

/// The most that people sign.
const MAX_DOCUMENT: usize = 1 << 20;

/// The bundle, and what it is held to.
#[derive(clap::Args)]
pub struct Args {
    /// The bundle
    file: PathBuf,
    /// The decision, or the change of the registry, that the entry is about: is it what was signed?
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
}

/// What a bundle shows besides that the entry is in the ledger.
struct Shown {
    proven: Proven,
    /// How many witnesses must have cosigned.
    quorum: usize,
    approvals: Option<Approvals>,
    /// Whether the given document is the one that was signed.
    signed: Option<bool>,
}

impl Args {
    /// Verifies; blocks for files.
    pub fn run(self, out: Out) -> Result<Exit> {
        let keys = self.keys.read()?;
        let bundle = Bundle::parse(&read_small(&self.file, MAX_BUNDLE_BYTES)?)?;
        // What else it shows is told to whoever asks for more witnesses, too.
        let quorum = keys.quorum;
        let keys = Keys { quorum: 0, ..keys };
        let proven = bundle
            .check(&keys)
            .map_err(|error| of_another(&bundle, &keys).unwrap_or_else(|| error.into()))?;
        let signed = self.document.map(|document| {
            let document = read_small(&document, MAX_DOCUMENT)?;
            let signed = proven.entry.as_ref().and_then(|entry| is_signed(entry, &document));
            signed.ok_or_else(|| {
                Advice::error(
                    "the bundle shows nothing that people sign",
                    "leave --document out, or have the entry proven with what it says: `concordat audit prove --purpose …`",
                )
            })
        });
        let shown = Shown {
            approvals: proven.entry.as_ref().map(Approvals::of),
            proven,
            quorum,
            signed: signed.transpose()?,
        };
        out.result(|| shown.json(), || shown.text())?;
        Ok(shown.exit())
    }
}

/// A bundle from another ledger than the key is of.
fn of_another(bundle: &Bundle, keys: &Keys) -> Option<anyhow::Error> {
    let origin = bundle.unverified_checkpoint()?.origin;
    (origin != keys.log.name()).then(|| {
        Advice::error(
            format!(
                "the bundle is signed under another name: {origin}, not {}",
                keys.log.name()
            ),
            "give the key of the ledger that the bundle is from",
        )
    })
}

impl Shown {
    fn is_witnessed(&self) -> bool {
        self.proven.cosigned.len() >= self.quorum
    }

    fn exit(&self) -> Exit {
        let approved = self.approvals.as_ref().is_none_or(Approvals::hold);
        if !approved || self.signed == Some(false) {
            Exit::Failed
        } else if self.is_witnessed() {
            Exit::Done
        } else {
            Exit::Unknown
        }
    }

    fn json(&self) -> Value {
        json!({
            "index": self.proven.index,
            "origin": self.proven.checkpoint.checkpoint().origin,
            "time": self.proven.leaf.time.start().to_string(),
            "size": self.proven.checkpoint.size(),
            "root": self.proven.checkpoint.root().to_string(),
            "cosigned": cosigned(&self.proven.cosigned),
            "quorum": self.quorum,
            "entry": self.proven.entry,
            "identifiers": self.proven.identifiers.iter().map(identifier_json).collect::<Vec<_>>(),
            "approvals": self.approvals.as_ref().map(Approvals::json),
            "document_signed": self.signed,
        })
    }

    fn text(&self) -> String {
        let Proven {
            index,
            leaf,
            checkpoint,
            cosigned,
            ..
        } = &self.proven;
        let mut text = format!(
            "Entry {index} is in the ledger {} of {} entries; it says that it was written in the hour from {}.\n",
            checkpoint.checkpoint().origin,
            checkpoint.size(),
            leaf.time.start(),
        );
        text += &match cosigned.as_slice() {
            [] => "Nobody whose key was given has cosigned this checkpoint: when it was is the agency's word alone.\n".to_owned(),
            cosigned => {
                let seen: Vec<String> = cosigned.iter().map(ToString::to_string).collect();
                format!("This checkpoint was cosigned by {}.\n", seen.join(", "))
            }
        };
        match &self.proven.entry {
            Some(entry) => {
                let whole = serde_json::to_string(entry).unwrap_or_default();
                text += &format!("It says: {}\n{whole}\n", in_words(entry));
            }
            None => text += "What it says is not part of this bundle.\n",
        }
        text += &self.answered();
        text += &self.identifiers();
        text += &self.approvals.as_ref().map(Approvals::text).unwrap_or_default();
        match self.signed {
            Some(true) => text += "The document is the one that was signed.\n",
            Some(false) => text += "BROKEN: the document is not the one that was signed.\n",
            None => {}
        }
        if !self.is_witnessed() {
            text += &format!(
                "Too few witnesses have cosigned: {} of {} needed.\n",
                cosigned.len(),
                self.quorum
            );
        }
        text + self.verdict()
    }

    /// The last line, as the exit code says it.
    fn verdict(&self) -> &'static str {
        match self.exit() {
            Exit::Done => "The bundle holds.\n",
            Exit::Unknown => "The bundle holds, but too few witnesses vouch for when it was (exit code 4).\n",
            _ => "The entry is in the ledger, but what it says does NOT hold (exit code 1).\n",
        }
    }

    /// What whoever has the file of an opened query learns with it: the payload is committed to as a whole.
    fn answered(&self) -> String {
        let Some(Event::Query(query)) = self.proven.entry.as_ref().map(|entry| &entry.event) else {
            return String::new();
        };
        let VerdictCounts { hit, no_hit, unknown } = query.verdicts;
        format!(
            "This file discloses how the query's identifiers came out ({} HIT, {} NO_HIT, {} UNKNOWN; one person may have several) and the secret id of the exchange.\n",
            count(hit),
            count(no_hit),
            count(unknown)
        )
    }

    /// Which identifiers the query's entry commits to, as far as the bundle opens them.
    fn identifiers(&self) -> String {
        let all = match self.proven.entry.as_ref().map(|entry| &entry.event) {
            Some(Event::Query(query)) => query.identifiers.as_ref().map_or(0, |all| all.count),
            _ => 0,
        };
        let opened = &self.proven.identifiers;
        let mut text = String::new();
        for opening in opened {
            let place = format!("identifier {} of {}", count(opening.position + 1), count(all));
            let kind = Kind::from_name(opening.kind.as_str())
                .map(|kind| words::kind_spoken(kind_to_proto(kind).into()));
            let kind = kind.unwrap_or_else(|| opening.kind.as_str().to_owned());
            text += &match spoken(opening) {
                Some(identifier) => {
                    format!("The query's entry commits to this {kind}: {identifier} ({place})\n")
                }
                None => {
                    format!("The query's entry commits to a {kind} ({place}); which one is not recorded.\n")
                }
            };
        }
        if all > opened.len() as u64 && !opened.is_empty() {
            text += "Nothing is shown of its other identifiers.\n";
        }
        text
    }
}

fn identifier_json(opening: &IdentifierOpening) -> Value {
    json!({
        "position": opening.position,
        "kind": opening.kind.as_str(),
        "canonical": opening.canonical,
        "text": spoken(opening),
    })
}

/// Canonical bytes (docs/identifiers.md) as people read them; `None` of a biometric one.
fn spoken(opening: &IdentifierOpening) -> Option<String> {
    let canonical = opening.canonical.as_deref()?;
    let text = hex::decode(canonical)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    Some(text.unwrap_or_else(|| canonical.to_owned()))
}
