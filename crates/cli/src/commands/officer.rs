//! `concordat officer`: who works on cases, with which keys.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use concordat_disclosure::{
    Account, Approval, Change, ChangeWhat, Document, FileKey, NewOfficer, OfficerKey, Role, Words,
};
use concordat_ledger::{Digest, Hex, Person, Text, canonical};
use concordat_wire::v1::{ChangeOfficersRequest, InfoRequest, ListOfficersRequest, ListOfficersResponse};
use jiff::Timestamp;
use rand::TryRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::connect::Connection;
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, OutFile, Table, note, time};

/// Say who works on cases, and with which keys.
///
/// A change is a file: it is written (`--out`), signed by two administrators (`officer sign`), and applied. To revoke a
/// key or retire an officer one signature suffices: it must be quick. Passkeys are registered at the console.
#[derive(Subcommand)]
pub enum Command {
    /// Show the officers and their keys
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Make an officer's key in a file, and print its public half
    ///
    /// Such a key signs on the command line. Decisions take it only where the agreement says `file_keys = true`.
    FileKey {
        /// The file to make; it can be read by its owner only
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the first change: two administrators or more, each of whom signs it
    Found {
        /// An administrator with a key; may be given again
        #[arg(long = "administrator", value_name = "ID=KEY", required = true, value_parser = founder)]
        administrators: Vec<(Text, OfficerKey)>,
        #[command(flatten)]
        to: To,
    },
    /// Write a change that registers an officer
    Enrol {
        /// Her id
        #[arg(value_parser = text)]
        id: Text,
        /// Her unit
        #[arg(long, value_name = "TEXT", value_parser = text)]
        unit: Option<Text>,
        /// What she may do; may be given again. Administrators and auditors have no other role
        #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role())]
        roles: Vec<Role>,
        /// A key; may be given again
        #[arg(long = "officer-key", value_name = "KEY", value_parser = key)]
        keys: Vec<OfficerKey>,
        /// Her account at another agency, or the name by which our own systems know her: she counts as one person; may be given again
        #[arg(long = "account", value_name = "AGENCY/ID", value_parser = account)]
        accounts: Vec<Account>,
        #[command(flatten)]
        to: To,
    },
    /// Write a change that registers one more key
    AddKey {
        /// Whose
        #[arg(value_parser = text)]
        id: Text,
        /// The key
        #[arg(long, value_name = "KEY", value_parser = key)]
        officer_key: OfficerKey,
        #[command(flatten)]
        to: To,
    },
    /// Write a change that revokes a key
    RevokeKey {
        /// Whose
        #[arg(value_parser = text)]
        id: Text,
        /// Which, as `officer list` prints it
        #[arg(value_parser = digest)]
        key_id: Digest,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Words,
        #[command(flatten)]
        to: To,
    },
    /// Write a change that revokes an officer with all keys
    Retire {
        /// Who
        #[arg(value_parser = text)]
        id: Text,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Words,
        #[command(flatten)]
        to: To,
    },
    /// Sign a change with a key in a file
    ///
    /// Prints the exact text whose SHA-256 is signed, and asks.
    Sign {
        /// The change
        file: PathBuf,
        /// Who signs
        #[arg(long, value_name = "ID", value_parser = text)]
        officer: Text,
        /// Her key, made by `concordat officer file-key`
        #[arg(long, value_name = "FILE")]
        officer_key: PathBuf,
        /// Sign without asking
        #[arg(long)]
        yes: bool,
    },
    /// Apply a change with the signatures on it
    Apply {
        /// The change
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
}

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
struct ChangeFile {
    /// concordat/v1/registry-change, laid out to be read.
    change: Value,
    /// concordat/v1/approval, one each.
    approvals: Vec<Value>,
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::List { connection } => {
                let node = connection.open().await?;
                let known = node.disclosure().list_officers(ListOfficersRequest {}).await?;
                list(&known.into_inner(), out)?;
            }
            Self::FileKey { out: file } => file_key(&file, out)?,
            Self::Found { administrators, to } => {
                let founders = administrators.into_iter().map(|(id, key)| NewOfficer {
                    person: Person { id, unit: None },
                    roles: BTreeSet::from([Role::Administrator]),
                    accounts: BTreeSet::new(),
                    keys: vec![key],
                });
                to.write(ChangeWhat::Found(founders.collect()), out).await?;
            }
            Self::Enrol {
                id,
                unit,
                roles,
                keys,
                accounts,
                to,
            } => {
                let new = NewOfficer {
                    person: Person { id, unit },
                    roles: roles.into_iter().collect(),
                    accounts: accounts.into_iter().collect(),
                    keys,
                };
                to.write(ChangeWhat::Enrol(new), out).await?;
            }
            Self::AddKey {
                id,
                officer_key: key,
                to,
            } => {
                to.write(ChangeWhat::AddKey { officer: id, key }, out).await?;
            }
            Self::RevokeKey {
                id,
                key_id,
                reason,
                to,
            } => {
                let what = ChangeWhat::RevokeKey {
                    officer: id,
                    key: key_id,
                    reason,
                };
                to.write(what, out).await?;
            }
            Self::Retire { id, reason, to } => {
                to.write(ChangeWhat::Retire { officer: id, reason }, out).await?;
            }
            Self::Sign {
                file,
                officer,
                officer_key,
                yes,
            } => return sign(&file, &officer, &officer_key, yes, out),
            Self::Apply { file, connection } => {
                let request = read(&file)?
                    .request()
                    .with_context(|| file.display().to_string())?;
                let node = connection.open().await?;
                let known = node.disclosure().change_officers(request).await?.into_inner();
                list(&known, out)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl To {
    /// Writes a change that follows the last one at the node.
    async fn write(self, what: ChangeWhat, out: Out) -> Result<()> {
        let mut file = OutFile::create(&self.out)?;
        let node = self.connection.open().await?;
        let agency = node.node().info(InfoRequest {}).await?.into_inner().agency_id;
        let known = node.disclosure().list_officers(ListOfficersRequest {}).await?;
        let known = known.into_inner();
        let change = Change {
            agency: Text::new(agency).context("the node's agency id")?,
            sequence: known.sequence + 1,
            previous: Digest::parse(&known.head).context("the node's answer")?,
            at: Timestamp::now(),
            what,
        };
        let text = change.encode().context("this change cannot be written")?;
        let written = ChangeFile {
            change: serde_json::from_str(&text)?,
            approvals: Vec::new(),
        };
        serde_json::to_writer_pretty(&mut file, &written)?;
        file.write_all(b"\n")?;
        file.finish()?;
        let digest = change.digest().context("this change cannot be written")?;
        out.result(
            || json!({ "file": self.out, "sequence": change.sequence, "sha256": digest.to_string() }),
            || {
                format!(
                    "{}: change {}, SHA-256 {digest}\n  next: `concordat officer sign {0}` by those who must sign it, then `concordat officer apply {0}`",
                    self.out.display(),
                    change.sequence
                )
            },
        )?;
        Ok(())
    }
}

impl ChangeFile {
    /// The exact text that is signed: canonical again, however the file was laid out.
    fn text(&self) -> Result<String> {
        canonical::to_string(&self.change).context("not a change of officers")
    }

    fn request(&self) -> Result<ChangeOfficersRequest> {
        let approvals = self.approvals.iter().map(canonical::to_string);
        Ok(ChangeOfficersRequest {
            change: self.text()?,
            approvals: approvals
                .collect::<Option<_>>()
                .context("a signature cannot be read")?,
        })
    }
}

fn read(file: &Path) -> Result<ChangeFile> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).map_err(|_| {
        Advice::error(
            format!("{} holds no change of officers", file.display()),
            "`concordat officer found`, `enrol`, `add-key`, `revoke-key` and `retire` write one",
        )
    })
}

fn sign(file: &Path, officer: &Text, key_file: &Path, yes: bool, out: Out) -> Result<Exit> {
    let key = read_key(key_file)?;
    let mut signed = read(file)?;
    let text = signed.text()?;
    let change = Change::decode(&text)
        .map_err(|refused| anyhow::anyhow!("{} holds no change of officers: {refused}", file.display()))?;
    let digest = change.digest().context("this change cannot be read")?;
    note(format!(
        "Change {} of the officers of {}:",
        change.sequence,
        change.agency.as_str()
    ));
    note(serde_json::to_string_pretty(&signed.change)?);
    note(format!("\nThe text that is signed:\n{text}\nSHA-256 {digest}"));
    if !confirmed("Sign this change?", yes)? {
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
    let signers: Vec<_> = signed.approvals.iter().filter_map(signer).collect();
    let signers: Vec<_> = signers.iter().map(Text::as_str).collect();
    out.result(
        || json!({ "file": file, "sha256": digest.to_string(), "signed_by": signers }),
        || format!("{}: signed by {}", file.display(), signers.join(", ")),
    )?;
    Ok(Exit::Done)
}

fn signer(approval: &Value) -> Option<Text> {
    let text = canonical::to_string(approval)?;
    Some(Approval::decode(&text).ok()?.officer)
}

fn file_key(file: &Path, out: Out) -> Result<()> {
    let mut seed = Zeroizing::new([0; 32]);
    // The system's generator, as for everything that is kept.
    rand::rngs::SysRng
        .try_fill_bytes(&mut *seed)
        .context("the system's random generator")?;
    let key = FileKey::from_seed(&seed);
    let secret = Zeroizing::new(hex::encode(*seed));
    concordat_node::identity::write_secret(file, secret.as_bytes())?;
    let public = key.public();
    let id = public.id().to_string();
    let OfficerKey::FileKey(public) = public else {
        return Ok(());
    };
    out.result(
        || json!({ "file": file, "public_key": public.to_string(), "key_id": id }),
        || public.to_string(),
    )?;
    Ok(())
}

/// An officer's key, as `officer file-key` wrote it.
///
/// # Errors
/// It cannot be read, others may read it, or it is no key.
pub fn read_key(file: &Path) -> Result<FileKey> {
    let text = concordat_node::identity::read_secret(file)?;
    let seed = concordat_node::identity::parse_master_key(&text).map_err(|_| {
        Advice::error(
            format!("{} holds no officer's key", file.display()),
            "`concordat officer file-key --out FILE` makes one",
        )
    })?;
    Ok(FileKey::from_seed(&seed))
}

/// Asks on the terminal; a script says `--yes`.
///
/// # Errors
/// There is nobody to ask.
pub fn confirmed(question: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Usage::error(
            "there is nobody to ask: read what is signed, then say --yes",
        ));
    }
    note(format!("\n{question} Type \"yes\" to sign."));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn list(known: &ListOfficersResponse, out: Out) -> Result<()> {
    let officers = known.officers.iter().map(|officer| {
        let keys = officer
            .keys
            .iter()
            .map(|key| json!({ "key_id": key.key_id, "type": key.r#type, "revoked_at": key.revoked_at }));
        json!({
            "id": officer.id,
            "unit": officer.unit,
            "roles": officer.roles,
            "since": officer.since,
            "retired_at": officer.retired_at,
            "keys": keys.collect::<Vec<_>>(),
        })
    });
    let value = || {
        json!({
            "sequence": known.sequence,
            "head": known.head,
            "console_id": known.console_id,
            "console_origins": known.console_origins,
            "officers": officers.collect::<Vec<_>>(),
        })
    };
    let text = || {
        if known.officers.is_empty() {
            return "no officers are registered: two administrators found the registry (`concordat officer found`)".into();
        }
        let mut table = Table::new(["OFFICER", "UNIT", "ROLES", "SINCE", "STATE", "KEYS"]);
        for officer in &known.officers {
            let state = match officer.retired_at.as_str() {
                "" => "active".to_owned(),
                at => format!("retired {}", time(at)),
            };
            let keys = officer.keys.iter().map(|key| match key.revoked_at.as_str() {
                "" => format!("{} {}", key.r#type, key.key_id),
                at => format!("{} {} revoked {}", key.r#type, key.key_id, time(at)),
            });
            table.row([
                officer.id.clone(),
                officer.unit.clone(),
                officer.roles.join(", "),
                time(&officer.since),
                state,
                keys.collect::<Vec<_>>().join("; "),
            ]);
        }
        format!("{table}change {}, SHA-256 {}", known.sequence, known.head)
    };
    out.result(value, text)?;
    Ok(())
}

fn text(text: &str) -> Result<Text, &'static str> {
    Text::new(text).map_err(|_| "1 to 1,024 bytes without controls")
}

fn digest(text: &str) -> Result<Digest, &'static str> {
    Digest::parse(text).ok_or("64 lower-case hexadecimal digits")
}

/// A public key: 64 hexadecimal digits of a key in a file, or a passkey as the console shows it.
fn key(text: &str) -> Result<OfficerKey, &'static str> {
    let key = match Hex::parse(text) {
        Some(public) => OfficerKey::FileKey(public),
        None => serde_json::from_str(text).map_err(
            |_| "64 hexadecimal digits, as `concordat officer file-key` prints them, or a passkey's JSON",
        )?,
    };
    key.check().map_err(|_| "not a key")?;
    Ok(key)
}

fn founder(text: &str) -> Result<(Text, OfficerKey), &'static str> {
    let (id, key) = text.split_once('=').ok_or("ID=KEY")?;
    Ok((self::text(id)?, self::key(key)?))
}

fn account(text: &str) -> Result<Account, &'static str> {
    let (agency, id) = text.split_once('/').ok_or("AGENCY/ID")?;
    Ok(Account {
        agency: self::text(agency)?,
        id: self::text(id)?,
    })
}

fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Role::ALL.iter().map(|role| role.name())).map(|name| {
        let found = Role::ALL.iter().find(|role| role.name() == name);
        // Only listed names come here.
        found.copied().unwrap_or(Role::Analyst)
    })
}
