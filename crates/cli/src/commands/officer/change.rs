//! A change of officers as a file: written, signed by one hand after the other, sent.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use concordat_disclosure::{Approval, Change, ChangeWhat, Document, NewOfficer, OfficerKey};
use concordat_ledger::{Digest, Text, canonical};
use concordat_wire::v1::{
    ChangeOfficersRequest, InfoRequest, ListOfficersRequest, ListOfficersResponse, WaitingChangesRequest,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{confirmed, read_key};
use crate::connect::{Connection, Node};
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, OutFile, note};

/// Where a change is written, and the node whose officers it is about.
#[derive(Args)]
pub struct To {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// A change on its way from hand to hand.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeFile {
    /// concordat/v1/registry-change, laid out to be read.
    change: Value,
    /// concordat/v1/approval, one each.
    approvals: Vec<Value>,
    /// Who may sign it, with the ids of their keys: spares a signature that the node would refuse, and nothing more.
    #[serde(default)]
    may_sign: BTreeMap<String, Vec<String>>,
    /// Of the first change: there will be no console.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    no_console: bool,
}

impl To {
    /// Writes a change that follows the last one at the node.
    pub(super) async fn write(self, what: ChangeWhat, out: Out) -> Result<()> {
        let file = OutFile::create(&self.out)?;
        let node = self.connection.open().await?;
        let known = node.disclosure().list_officers(ListOfficersRequest {}).await?;
        let known = known.into_inner();
        let change = following(&node, what, &known).await?;
        written(&self.out, file, &change, &known, false, out)
    }

    /// Writes the first change.
    pub(super) async fn found(self, founders: Vec<NewOfficer>, no_console: bool, out: Out) -> Result<()> {
        let file = OutFile::create(&self.out)?;
        let node = self.connection.open().await?;
        let known = node.disclosure().list_officers(ListOfficersRequest {}).await?;
        let known = known.into_inner();
        if !known.console_listens && !no_console {
            return Err(Advice::error(
                "no console is configured at this node, and keys belong to its address for good",
                "set `[console]` listen and host and start the node again; or say that there will never be one: --no-console",
            ));
        }
        let change = following(&node, ChangeWhat::Found(founders), &known).await?;
        written(&self.out, file, &change, &known, no_console, out)?;
        note(format!(
            "passkeys and agreements will belong to {} for good",
            known.console_origins.join(", ")
        ));
        Ok(())
    }
}

/// A change that follows the last one at the node.
async fn following(node: &Node, what: ChangeWhat, known: &ListOfficersResponse) -> Result<Change> {
    let agency = node.node().info(InfoRequest {}).await?.into_inner().agency_id;
    Ok(Change {
        agency: Text::new(agency).context("the node's agency id")?,
        sequence: known.sequence + 1,
        previous: Digest::parse(&known.head).context("the node's answer")?,
        at: Timestamp::now(),
        what,
    })
}

fn written(
    path: &Path,
    mut file: OutFile,
    change: &Change,
    known: &ListOfficersResponse,
    no_console: bool,
    out: Out,
) -> Result<()> {
    let text = change.encode().context("this change cannot be written")?;
    let written = ChangeFile {
        change: serde_json::from_str(&text)?,
        approvals: Vec::new(),
        may_sign: may_sign(&change.what, known),
        no_console,
    };
    serde_json::to_writer_pretty(&mut file, &written)?;
    file.write_all(b"\n")?;
    file.finish()?;
    let digest = change.digest().context("this change cannot be written")?;
    out.result(
        || json!({ "file": path, "sequence": change.sequence, "sha256": digest.to_string() }),
        || {
            format!(
                "{}: change {}, SHA-256 {digest}\n  next: `concordat officer sign {0}` by those who must sign it, then `concordat officer apply {0}`",
                path.display(),
                change.sequence
            )
        },
    )?;
    Ok(())
}

/// Whose signature counts: of founders, of administrators who are not the change's subject, of who loses a key.
fn may_sign(what: &ChangeWhat, known: &ListOfficersResponse) -> BTreeMap<String, Vec<String>> {
    if let ChangeWhat::Found(founders) = what {
        let founders = founders.iter().map(|founder| {
            let keys = founder.keys.iter().map(|key| key.id().to_string());
            (founder.person.id.as_str().to_owned(), keys.collect())
        });
        return founders.collect();
    }
    let able = known.officers.iter().filter(|officer| {
        let administrator = officer.roles.iter().any(|role| role == "administrator");
        let counts = match what {
            ChangeWhat::Enrol(new) => administrator && officer.id != new.person.id.as_str(),
            ChangeWhat::AddKey { officer: subject, .. } => administrator && officer.id != subject.as_str(),
            ChangeWhat::RevokeKey { officer: subject, .. } => administrator || officer.id == subject.as_str(),
            _ => administrator,
        };
        counts && officer.retired_at.is_empty()
    });
    let keys = able.map(|officer| {
        let keys = officer.keys.iter().filter(|key| key.revoked_at.is_empty());
        (officer.id.clone(), keys.map(|key| key.key_id.clone()).collect())
    });
    keys.collect()
}

impl ChangeFile {
    /// The exact text that is signed: canonical again, however the file was laid out.
    fn text(&self) -> Result<String> {
        canonical::to_string(&self.change).context("not a change of officers")
    }

    pub(super) fn request(&self) -> Result<ChangeOfficersRequest> {
        let approvals = self.approvals.iter().map(canonical::to_string);
        Ok(ChangeOfficersRequest {
            change: self.text()?,
            approvals: approvals
                .collect::<Option<_>>()
                .context("a signature cannot be read")?,
            no_console: self.no_console,
        })
    }

    fn signers(&self) -> Vec<Text> {
        self.approvals.iter().filter_map(signer).collect()
    }

    /// Refuses a signature that would not count. A file of an older version does not say whose would.
    fn check_signer(&self, officer: &Text, key: &OfficerKey) -> Result<()> {
        if self.may_sign.is_empty() {
            return Ok(());
        }
        let Some(keys) = self.may_sign.get(officer.as_str()) else {
            return Err(Advice::error(
                format!("{} does not sign this change", officer.as_str()),
                format!("it waits for {}", self.names().join(", ")),
            ));
        };
        if keys.contains(&key.id().to_string()) {
            return Ok(());
        }
        Err(Advice::error(
            format!("this is not a key of {}: nothing was signed", officer.as_str()),
            "`concordat officer list` shows the keys of each; a signature with another's key would be refused (DISC-044)",
        ))
    }

    fn names(&self) -> Vec<&str> {
        self.may_sign.keys().map(String::as_str).collect()
    }

    /// What is still to be signed, in words; `None` when it is complete as far as the file tells.
    fn missing(&self, what: &ChangeWhat) -> Option<String> {
        let signed = self.signers();
        let left: Vec<&str> = self
            .names()
            .into_iter()
            .filter(|id| !signed.iter().any(|signer| signer.as_str() == *id))
            .collect();
        let needed = match what {
            ChangeWhat::Found(_) => self.may_sign.len(),
            ChangeWhat::RevokeKey { .. } | ChangeWhat::Retire { .. } => 1,
            ChangeWhat::Enrol(_) | ChangeWhat::AddKey { .. } => 2,
        };
        match needed.saturating_sub(signed.len()) {
            0 => None,
            more if left.len() <= more => Some(format!("{} must still sign", left.join(", "))),
            more => Some(format!("{more} more of {} must sign", left.join(", "))),
        }
    }
}

/// Reads a change from its file.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn read(file: &Path) -> Result<ChangeFile> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).map_err(|_| {
        Advice::error(
            format!("{} holds no change of officers", file.display()),
            "`concordat officer found`, `enrol`, `add-key`, `revoke-key`, `retire` and `waiting` write one",
        )
    })
}

/// Signs a change with a key in a file.
///
/// # Errors
/// The signature would not count; file or key cannot be read.
pub(super) fn sign(file: &Path, officer: &Text, key_file: &Path, yes: bool, out: Out) -> Result<Exit> {
    let key = read_key(key_file)?;
    let mut signed = read(file)?;
    let text = signed.text()?;
    let change = Change::decode(&text)
        .map_err(|refused| anyhow::anyhow!("{} holds no change of officers: {refused}", file.display()))?;
    signed.check_signer(officer, &key.public())?;
    let digest = change.digest().context("this change cannot be read")?;
    note(format!(
        "Change {} of the officers of {}:",
        change.sequence,
        change.agency.as_str()
    ));
    note(serde_json::to_string_pretty(&signed.change)?);
    note(format!("\nThe text that is signed:\n{text}\nSHA-256 {digest}"));
    if !confirmed("Sign this change?", "sign", yes)? {
        return Ok(Exit::Failed);
    }
    let approval = key.approve(officer, &digest);
    let approval = approval.encode().context("writing the signature")?;
    // Signed again by the same officer: the new signature takes the place of the old one.
    signed
        .approvals
        .retain(|kept| signer(kept).as_ref() != Some(officer));
    signed.approvals.push(serde_json::from_str(&approval)?);
    let mut target = OutFile::replace(file)?;
    serde_json::to_writer_pretty(&mut target, &signed)?;
    target.write_all(b"\n")?;
    target.finish()?;
    let signers = signed.signers();
    let signers: Vec<_> = signers.iter().map(Text::as_str).collect();
    let missing = signed.missing(&change.what);
    out.result(
        || json!({ "file": file, "sha256": digest.to_string(), "signed_by": signers, "missing": missing }),
        || {
            let next = match &missing {
                Some(missing) => missing.clone(),
                None => format!("next: `concordat officer apply {}`", file.display()),
            };
            format!("{}: signed by {}\n  {next}", file.display(), signers.join(", "))
        },
    )?;
    Ok(Exit::Done)
}

fn signer(approval: &Value) -> Option<Text> {
    let text = canonical::to_string(approval)?;
    Some(Approval::decode(&text).ok()?.officer)
}

/// Shows the changes that wait at the console, or writes one to a file.
///
/// # Errors
/// There is no console; `path` is given and not one change is meant.
pub(super) async fn waiting(
    officer: Option<&Text>,
    path: Option<&Path>,
    connection: &Connection,
    out: Out,
) -> Result<()> {
    let file = path.map(OutFile::create).transpose()?;
    let node = connection.open().await?;
    let waiting = node
        .disclosure()
        .waiting_changes(WaitingChangesRequest {})
        .await?;
    let mut changes = Vec::new();
    for text in waiting.into_inner().changes {
        let change = Change::decode(&text).context("the node's answer")?;
        let (whose, words) = described(&change.what);
        if officer.is_none_or(|officer| whose == officer.as_str()) {
            changes.push((change, words));
        }
    }
    if let (Some(path), Some(file)) = (path, file) {
        let [(change, _)] = changes.as_slice() else {
            let count = changes.len();
            return Err(Usage::error(format!(
                "{count} changes are meant, and a file holds one: `concordat officer waiting` shows all; name the officer"
            )));
        };
        let known = node.disclosure().list_officers(ListOfficersRequest {}).await?;
        return written(path, file, change, &known.into_inner(), false, out);
    }
    let words: Vec<&String> = changes.iter().map(|(_, words)| words).collect();
    out.result(
        || json!({ "waiting": words }),
        || match words.as_slice() {
            [] => "no change waits for signatures at the console".to_owned(),
            words => words
                .iter()
                .map(|words| words.as_str())
                .collect::<Vec<_>>()
                .join("\n"),
        },
    )?;
    Ok(())
}

/// The beginning of a key's id: enough to compare with what its owner was shown.
fn short(key: &OfficerKey) -> String {
    key.id().to_string().chars().take(12).collect()
}

/// Whom a change is about, and what it does.
fn described(what: &ChangeWhat) -> (String, String) {
    let named = |id: &Text, words: &str| (id.as_str().to_owned(), format!("{}: {words}", id.as_str()));
    match what {
        ChangeWhat::Found(_) => (String::new(), "the founding".to_owned()),
        ChangeWhat::Enrol(new) => {
            let roles: Vec<&str> = new.roles.iter().map(|role| role.name()).collect();
            let keys: Vec<String> = new.keys.iter().map(short).collect();
            let words = format!("is enrolled as {}, key {}", roles.join(", "), keys.join(", "));
            named(&new.person.id, &words)
        }
        ChangeWhat::AddKey { officer, key } => named(officer, &format!("has a further key, {}", short(key))),
        ChangeWhat::RevokeKey { officer, .. } => named(officer, "loses a key"),
        ChangeWhat::Retire { officer, .. } => named(officer, "is retired"),
    }
}
