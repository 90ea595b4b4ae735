//! `concordat agreement`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_identifiers::Kind;
use concordat_node::agreement::purpose_name;
use concordat_node::config::is_agency_id;
use concordat_wire::v1::{
    self, EndRequest, GetAgreementRequest, InfoRequest, ListAgreementsRequest, ListOfficersRequest,
    ProposeRequest, Purpose, ResumeRequest, SignRequest, SuspendRequest,
};
use serde_json::json;

use crate::connect::Connection;
use crate::draft::Draft;
use crate::exit::{Exit, Usage};
use crate::out::{Out, OutFile, Table, count, note, time};
use crate::query::purpose;
use crate::{json, words};

/// Agree with another agency on what may be asked.
///
/// One agency writes a draft and proposes it; the signed document goes to the other by any way; that agency reads and
/// signs it. The nodes then exchange signatures; where they cannot, the document goes back by hand. Once both nodes
/// hold both signatures it is active.
#[derive(Subcommand)]
pub enum Command {
    Template(Template),
    /// Check a draft, complete it with our own identity and sign it
    Propose {
        /// The draft (docs/cli.md shows one)
        draft: PathBuf,
        /// Write the signed document to this file, to be sent to the partner
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Sign a document the partner signed, or take over the partner's signature on ours
    Sign {
        /// The document
        file: PathBuf,
        /// Write the document with both signatures to this file, for the record or to be sent back
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show an agreement and how much of its quotas is used
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show all our agreements
    Ls {
        #[command(flatten)]
        connection: Connection,
    },
    /// Stop every query under an agreement at once
    Suspend {
        /// Its id
        id: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// End an agreement for good, or withdraw a proposal
    ///
    /// Its keys and snapshots are destroyed at once. It does not come back: a new agreement needs another id.
    End {
        /// Its id
        id: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Let a suspended agreement go on
    Resume {
        /// Its id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    #[allow(
        rustdoc::broken_intra_doc_links,
        reason = "a TOML table in a help text, not a link"
    )]
    /// Print our own [[party]] block, for a draft that the partner writes
    Party {
        #[command(flatten)]
        connection: Connection,
    },
}

/// Print a draft to start from.
///
/// It is complete but for our own party block, which our node adds.
#[derive(clap::Args)]
pub struct Template {
    /// Agency id of the one whose lists are asked
    #[arg(long, value_name = "ID", value_parser = id)]
    owner: String,
    /// Agency id of the one who asks
    #[arg(long, value_name = "ID", value_parser = id)]
    requester: String,
    /// The owner's lists
    #[arg(long = "list", value_name = "LIST", required = true, value_parser = id)]
    lists: Vec<String>,
    /// What may be asked about; one offer for each
    #[arg(long = "kind", value_name = "KIND", default_value = "travel_document")]
    kinds: Vec<Kind>,
    /// For what
    #[arg(long = "purpose", value_name = "PURPOSE", default_value = "border-check", value_parser = purpose(),
        ignore_case = true, hide_possible_values = true)]
    purposes: Vec<Purpose>,
    /// On what legal basis
    #[arg(long = "legal-basis", value_name = "TEXT", required = true)]
    legal_bases: Vec<String>,
    /// Padded elements per day and offer
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    quota_per_day: u64,
    /// How long both sides keep what their ledgers say of exchanges [default: as each node is configured]
    #[arg(long, value_name = "PERIOD", value_parser = ["one_year", "three_years"])]
    log_retention: Option<String>,
    /// Rules for asking details of a hit, with the deadlines of this regime; `none`: details are asked for by other means
    #[arg(long, value_name = "REGIME", ignore_case = true, default_value = "PRUM",
        value_parser = ["PRUM", "EU977", "NCIC", "SIRENE", "none"])]
    disclosure: String,
    /// What `concordat agreement party` printed at the partner
    #[arg(long, value_name = "FILE")]
    party: Option<PathBuf>,
}

impl Template {
    fn run(self, out: Out) -> Result<Exit> {
        if self.owner == self.requester {
            return Err(Usage::error("--owner and --requester are two agencies"));
        }
        if self.kinds.iter().collect::<BTreeSet<_>>().len() < self.kinds.len() {
            return Err(Usage::error("--kind: each kind has one offer, name it once"));
        }
        let parties = match &self.party {
            Some(path) => read_text(path)?,
            None => "# Paste the partner's block here.".into(),
        };
        let purposes: Vec<String> = self
            .purposes
            .iter()
            .map(|purpose| purpose_name(*purpose).into())
            .collect();
        let regime = self.disclosure.to_ascii_uppercase();
        let draft = Draft {
            owner: &self.owner,
            requester: &self.requester,
            lists: &self.lists,
            kinds: &self.kinds,
            purposes: &purposes,
            legal_bases: &self.legal_bases,
            parties: &parties,
            quota_per_day: self.quota_per_day,
            log_retention: self.log_retention.as_deref(),
            disclosure: Some(regime.as_str()).filter(|regime| *regime != "NONE"),
        };
        let text = draft.text(jiff::Timestamp::now())?;
        out.result(|| json!({ "draft_toml": text }), || text.clone())?;
        Ok(Exit::Done)
    }
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let agreement = match self {
            Self::Template(template) => return template.run(out),
            Self::Propose {
                draft,
                out: file,
                connection,
            } => {
                let draft_toml = read_text(&draft)?;
                let file = Target::open(file)?;
                let mut agreements = connection.open().await?.agreements();
                let agreement = agreements
                    .propose(ProposeRequest { draft_toml })
                    .await?
                    .into_inner();
                return written(&agreement, file, out);
            }
            Self::Sign {
                file,
                out: target,
                connection,
            } => {
                let note = read_text(&file)?;
                let target = Target::open(target)?;
                let mut agreements = connection.open().await?.agreements();
                let agreement = agreements.sign(SignRequest { note }).await?.into_inner();
                return written(&agreement, target, out);
            }
            Self::Show { id, connection } => {
                let request = GetAgreementRequest { agreement_id: id };
                let agreement = connection
                    .open()
                    .await?
                    .agreements()
                    .get(request)
                    .await?
                    .into_inner();
                out.result(|| json::agreement(&agreement), || shown(&agreement))?;
                warn(&agreement.warnings);
                return Ok(Exit::Done);
            }
            Self::Ls { connection } => return ls(&connection, out).await,
            Self::Suspend {
                id,
                reason,
                connection,
            } => {
                let request = SuspendRequest {
                    agreement_id: id,
                    reason,
                };
                connection
                    .open()
                    .await?
                    .agreements()
                    .suspend(request)
                    .await?
                    .into_inner()
            }
            Self::End {
                id,
                reason,
                connection,
            } => {
                let request = EndRequest {
                    agreement_id: id,
                    reason,
                };
                connection
                    .open()
                    .await?
                    .agreements()
                    .end(request)
                    .await?
                    .into_inner()
            }
            Self::Resume { id, connection } => {
                let request = ResumeRequest { agreement_id: id };
                connection
                    .open()
                    .await?
                    .agreements()
                    .resume(request)
                    .await?
                    .into_inner()
            }
            Self::Party { connection } => {
                let node = connection.open().await?;
                let info = node.node().info(InfoRequest {}).await?.into_inner();
                let known = node.disclosure().list_officers(ListOfficersRequest {}).await?;
                let console = known.into_inner().console_origins.join(", ");
                out.result(
                    || json!({ "party_toml": info.party_toml, "console": console, "console_warnings": info.console_warnings }),
                    || info.party_toml.clone(),
                )?;
                note(format!("our officers sign at {console}"));
                warn(&info.console_warnings);
                return Ok(Exit::Done);
            }
        };
        out.result(|| json::agreement(&agreement), || standing(&agreement))?;
        Ok(Exit::Done)
    }
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Says on stderr what keeps officers from their work.
fn warn(warnings: &[String]) {
    for warning in warnings {
        note(format!("warning: {warning}"));
    }
}

/// The file of a signed document, opened before anything is signed.
struct Target {
    path: PathBuf,
    file: OutFile,
}

impl Target {
    fn open(path: Option<PathBuf>) -> Result<Option<Self>> {
        path.map(|path| {
            let file = OutFile::create(&path)?;
            Ok(Self { path, file })
        })
        .transpose()
    }
}

/// Writes the signed document to its file, or to stdout, and says what to do next.
fn written(agreement: &v1::Agreement, target: Option<Target>, out: Out) -> Result<Exit> {
    let partner = &agreement.partner_id;
    let active = agreement.status() == v1::agreement::Status::Active;
    let text = match target {
        Some(Target { path, mut file }) => {
            file.write_all(agreement.note.as_bytes())
                .with_context(|| path.display().to_string())?;
            file.finish()?;
            let path = path.display();
            let next = if active {
                format!(
                    "in force; the signed document is in {path}. If {partner} does not have it yet, send it back"
                )
            } else {
                format!("next: send {path} to {partner}, who runs `concordat agreement sign` on it")
            };
            format!("{}\n{next}", standing(agreement))
        }
        None => {
            // stdout is the document alone, so that it can go into a file.
            if !out.json {
                note(standing(agreement));
            }
            agreement.note.clone()
        }
    };
    out.result(|| json::agreement(agreement), || text)?;
    warn(&agreement.warnings);
    Ok(Exit::Done)
}

fn standing(agreement: &v1::Agreement) -> String {
    let mut text = format!(
        "{}: {}, signed by {}",
        agreement.agreement_id,
        words::agreement_status(agreement.status),
        if agreement.signed_by.is_empty() {
            "nobody".into()
        } else {
            agreement.signed_by.join(" and ")
        },
    );
    if !agreement.valid_until.is_empty() {
        text += &format!(", valid until {}", time(&agreement.valid_until));
    }
    if !agreement.status_reason.is_empty() {
        text += &format!("\nsuspended here because: {}", agreement.status_reason);
    }
    text
}

/// A name as agencies, agreements and lists have it.
fn id(text: &str) -> Result<String, &'static str> {
    if is_agency_id(text) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 lower-case letters, digits, '-' or '.', starting with a letter or digit")
    }
}

fn shown(agreement: &v1::Agreement) -> String {
    let mut table = Table::new(["OFFER", "OWNER", "KIND", "EPOCH", "TODAY", "EPOCH TOTAL"]);
    for usage in &agreement.usage {
        table.row([
            usage.offer_id.clone(),
            usage.owner.clone(),
            words::kind(usage.kind).into(),
            usage.epoch.to_string(),
            format!("{} of {}", count(usage.used_today), count(usage.quota_per_day)),
            format!("{} of {}", count(usage.used_epoch), count(usage.quota_per_epoch)),
        ]);
    }
    format!(
        "{}\n{}\nQuota used, in padded elements:\n{table}",
        agreement.note,
        standing(agreement)
    )
}

async fn ls(connection: &Connection, out: Out) -> Result<Exit> {
    let request = ListAgreementsRequest {};
    let agreements = connection
        .open()
        .await?
        .agreements()
        .list(request)
        .await?
        .into_inner()
        .agreements;
    if out.json {
        for agreement in &agreements {
            out.result(|| json::agreement(agreement), String::new)?;
        }
        return Ok(Exit::Done);
    }
    let mut table = Table::new([
        "AGREEMENT",
        "PARTNER",
        "STATUS",
        "VALID UNTIL",
        "SIGNED BY",
        "OFFERS",
    ]);
    for agreement in &agreements {
        table.row([
            agreement.agreement_id.clone(),
            agreement.partner_id.clone(),
            words::agreement_status(agreement.status).into(),
            time(&agreement.valid_until),
            agreement.signed_by.join(", "),
            agreement.usage.len().to_string(),
        ]);
    }
    out.text(table)?;
    Ok(Exit::Done)
}
