//! `concordat officer`: who works on cases, with which keys.

mod change;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_disclosure::{Account, ChangeWhat, FileKey, NewOfficer, OfficerKey, Role, Words};
use concordat_ledger::{Digest, Hex, Person, Text};
use concordat_wire::v1::{LinkOfficerRequest, ListOfficersRequest, ListOfficersResponse};
use rand::TryRng;
use serde_json::json;
use zeroize::Zeroizing;

use crate::connect::Connection;
use crate::exit::{Advice, Exit, Usage};
use crate::out::{Out, Table, note, time};

use change::To;

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
    ///
    /// The console's address must be configured before: passkeys and agreements belong to it for good.
    Found {
        /// An administrator with a key; given twice or more
        #[arg(long = "administrator", value_name = "ID=KEY", required = true, value_parser = founder)]
        administrators: Vec<(Text, OfficerKey)>,
        /// There will never be a console: officers sign with keys in files only
        #[arg(long)]
        no_console: bool,
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
    /// Make a link to the console on which somebody registers a passkey
    ///
    /// It holds once, for an hour. What is registered waits until two administrators sign it, at the console or in a file
    /// (`officer waiting`). An administrator whose key is in a file comes to sign in at the console so; two others sign it.
    Link {
        /// Who registers
        #[arg(value_parser = text)]
        id: Text,
        /// What somebody new may do; may be given again. Without: a further key of an officer who is registered
        #[arg(long = "role", value_name = "ROLE", value_parser = role())]
        roles: Vec<Role>,
        /// The unit of somebody new
        #[arg(long, value_name = "TEXT", value_parser = text, requires = "roles")]
        unit: Option<Text>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show the changes that wait at the console for signatures, or write one to a file
    Waiting {
        /// Only those about this officer
        #[arg(value_parser = text)]
        id: Option<Text>,
        /// Write the change to this file, to be signed with `concordat officer sign`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
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
            Self::Found {
                administrators,
                no_console,
                to,
            } => {
                let ids: BTreeSet<_> = administrators.iter().map(|(id, _)| id.as_str()).collect();
                if ids.len() < 2 || ids.len() < administrators.len() {
                    return Err(Usage::error(
                        "--administrator: name two different administrators or more, each once",
                    ));
                }
                let founders = administrators.into_iter().map(|(id, key)| NewOfficer {
                    person: Person { id, unit: None },
                    roles: BTreeSet::from([Role::Administrator]),
                    accounts: BTreeSet::new(),
                    keys: vec![key],
                });
                to.found(founders.collect(), no_console, out).await?;
            }
            Self::Link {
                id,
                roles,
                unit,
                connection,
            } => link(&id, &roles, unit.as_ref(), &connection, out).await?,
            Self::Waiting {
                id,
                out: file,
                connection,
            } => change::waiting(id.as_ref(), file.as_deref(), &connection, out).await?,
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
            } => return change::sign(&file, &officer, &officer_key, yes, out),
            Self::Apply { file, connection } => {
                let request = change::read(&file)?
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

async fn link(
    id: &Text,
    roles: &[Role],
    unit: Option<&Text>,
    connection: &Connection,
    out: Out,
) -> Result<()> {
    let request = LinkOfficerRequest {
        officer: id.as_str().to_owned(),
        roles: roles.iter().map(|role| role.name().to_owned()).collect(),
        unit: unit.map(|unit| unit.as_str().to_owned()).unwrap_or_default(),
    };
    let node = connection.open().await?;
    let made = node.disclosure().link_officer(request).await?.into_inner();
    out.result(
        || json!({ "officer": id.as_str(), "link": made.link, "valid_until": made.valid_until }),
        || made.link.clone(),
    )?;
    let id = id.as_str();
    note(format!(
        "for {id}, once, until {}: hand it over by a way that nobody else sees\n\
         next: when she has registered, two administrators sign at the console, or in a file: \
         `concordat officer waiting {id} --out change.json`",
        time(&made.valid_until)
    ));
    Ok(())
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
pub fn confirmed(question: &str, to: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Usage::error(format!(
            "there is nobody to ask: read what you are about to {to}, then say --yes"
        )));
    }
    note(format!("\n{question} Type \"yes\" to {to}."));
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
            "console_listens": known.console_listens,
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
        format!(
            "{table}change {}, SHA-256 {}\nkeys belong to {}{}",
            known.sequence,
            known.head,
            known.console_origins.join(", "),
            if known.console_listens {
                ""
            } else {
                "; no console is configured"
            }
        )
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
