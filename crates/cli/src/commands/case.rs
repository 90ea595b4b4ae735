//! `concordat case`: from a hit to a release, on the command line.

mod decide;
mod files;
mod show;
mod steps;
mod subject;

use std::collections::HashMap;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use concordat_disclosure::AnyCase;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{
    Case, CaseSide, CaseSummary, GetCaseRequest, ListAgreementsRequest, ListCasesRequest, OpenMatchRequest,
    QueryContext, TakeStepRequest,
};
use serde_json::json;

use crate::connect::{Connection, Node};
use crate::exit::{Advice, Exit};
use crate::out::{Out, note};
use crate::query::QueryArgs;

/// Work on cases: a hit is compared, details are asked for, decided on, released.
///
/// Each step is taken in the name of an officer of the registry (`concordat officer`), on our system's word; an approval
/// carries the officer's own signature. `case show` says which steps are open.
#[derive(Subcommand)]
pub enum Command {
    /// Show cases, the most urgent first
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show one case: its history, and what the officer may see of it
    Show {
        /// Its id
        id: String,
        /// Who looks: released values and messages are for those who work on the case [default: the history alone]
        #[arg(long, value_name = "ID", env = "CONCORDAT_OFFICER", hide_env_values = true)]
        officer: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print each case of a list now, and again whenever it changes, until Ctrl-C
    Watch {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        connection: Connection,
    },
    /// Open a case on a match that an intersection found
    ///
    /// The record is asked about once more, which proves the hit anew and is charged as a query.
    OpenHit {
        /// The agency whose list it is on
        #[arg(long, value_name = "ID")]
        partner: String,
        /// Our own list
        #[arg(long, value_name = "LIST")]
        list: String,
        /// Our own record
        #[arg(long, value_name = "ID")]
        source_id: String,
        #[command(flatten)]
        query: QueryArgs,
        #[command(flatten)]
        connection: Connection,
    },
    #[command(flatten)]
    Step(steps::Command),
    /// Draw up the decision
    Propose(Box<decide::Propose>),
    /// Sign the decision with a key in a file
    ///
    /// Prints the exact text whose SHA-256 is signed, and asks. Refused where the agreement allows passkeys only.
    Approve(decide::Approve),
    /// Say something to the other desk
    Say(files::Say),
    /// Ask the requester something
    Question(files::Say),
    /// Answer the owner's question
    Answer(files::Say),
    /// Send files to the other desk
    Attach(files::Attach),
    /// Write a file that the other desk has sent
    Fetch(files::Fetch),
}

/// Which cases.
#[derive(Args, Clone)]
pub struct Filter {
    /// Where we are this side
    #[arg(long, value_name = "SIDE")]
    side: Option<Side>,
    /// In this state, for example TRIAGE
    #[arg(long, value_name = "STATE", value_parser = state, default_value = "", hide_default_value = true)]
    state: String,
    /// With this partner
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    partner: String,
    /// Only those in which it is our turn
    #[arg(long)]
    ours: bool,
}

/// A state's name; nothing for any.
fn state(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    match name.is_empty() || AnyCase::STATES.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(format!(
            "no case is in this state; use one of {}",
            AnyCase::STATES.join(", ")
        )),
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Side {
    Requester,
    Owner,
}

impl Filter {
    fn request(self, limit: u32) -> ListCasesRequest {
        ListCasesRequest {
            side: match self.side {
                None => CaseSide::Unspecified,
                Some(Side::Requester) => CaseSide::Requester,
                Some(Side::Owner) => CaseSide::Owner,
            }
            .into(),
            state: self.state,
            partner_id: self.partner,
            ours: self.ours,
            limit,
            after: Vec::new(),
        }
    }
}

/// A case, and who works on it.
#[derive(Args, Clone)]
pub struct On {
    /// The case's id
    id: String,
    /// In whose name, as the registry of officers names her
    #[arg(long, value_name = "ID", env = "CONCORDAT_OFFICER", hide_env_values = true)]
    officer: String,
    /// Only if the case is still as it was: its head, as `case show` prints it
    #[arg(long, value_name = "SHA-256", default_value = "", hide_default_value = true)]
    seen: String,
    #[command(flatten)]
    connection: Connection,
}

impl On {
    async fn open(&self) -> Result<Node> {
        self.connection.open().await
    }

    /// The case as the officer may see it.
    async fn case(&self, node: &Node) -> Result<Case> {
        let request = GetCaseRequest {
            case_id: self.id.clone(),
            officer: self.officer.clone(),
        };
        Ok(node.disclosure().get_case(request).await?.into_inner())
    }

    /// Takes a step; `seen` is the head that the officer saw.
    async fn take(&self, node: &Node, seen: &str, step: Step) -> Result<Case> {
        let request = TakeStepRequest {
            case_id: self.id.clone(),
            officer: self.officer.clone(),
            seen: if self.seen.is_empty() { seen } else { &self.seen }.to_owned(),
            step: Some(step),
        };
        Ok(node.disclosure().take_step(request).await?.into_inner())
    }

    /// Takes a step on the case as it is, and tells what became of it.
    async fn step(&self, out: Out, step: Step) -> Result<Exit> {
        let node = self.open().await?;
        let case = self.take(&node, "", step).await?;
        show::taken(&case, out)?;
        Ok(Exit::Done)
    }
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::List {
                filter,
                limit,
                connection,
            } => {
                let request = filter.request(limit);
                let partner = request.partner_id.clone();
                let node = connection.open().await?;
                let page = node.disclosure().list_cases(request).await?.into_inner();
                if page.cases.is_empty() && !partner.is_empty() && !is_partner(&node, &partner).await? {
                    return Err(Advice::error(
                        format!("neither such a case nor a current agreement is with {partner}"),
                        "`concordat agreement ls` shows with whom there is one",
                    ));
                }
                show::list(&page, out)?;
                if !page.next.is_empty() {
                    note("there are more: narrow the list, or raise --limit");
                }
            }
            Self::Show {
                id,
                officer,
                connection,
            } => {
                let request = GetCaseRequest {
                    case_id: id,
                    officer: officer.unwrap_or_default(),
                };
                let case = connection
                    .open()
                    .await?
                    .disclosure()
                    .get_case(request)
                    .await?
                    .into_inner();
                show::case(&case, out)?;
            }
            Self::Watch { filter, connection } => watch(filter, &connection, out).await?,
            Self::OpenHit {
                partner,
                list,
                source_id,
                query,
                connection,
            } => {
                let context = QueryContext::from(query);
                let purpose = concordat_node::agreement::purpose_name(context.purpose());
                let request = OpenMatchRequest {
                    list,
                    source_id,
                    partner_id: partner,
                    purpose: purpose.into(),
                    legal_basis: context.legal_basis,
                    case_reference: context.case_reference,
                    officer: context.officer,
                    ordered_by: context.ordered_by,
                };
                let node = connection.open().await?;
                let cases = node.disclosure().open_match(request).await?.into_inner().case_ids;
                let text = || match cases.as_slice() {
                    [] => "no case: it does not hit any more, or was found false lately".to_owned(),
                    cases => cases.join("\n"),
                };
                out.result(|| json!({ "case_ids": cases }), text)?;
                if cases.is_empty() {
                    return Ok(Exit::Failed);
                }
            }
            Self::Step(step) => return step.run(out).await,
            Self::Propose(propose) => return propose.run(out).await,
            Self::Approve(approve) => return approve.run(out).await,
            Self::Say(say) => return say.run(out, Step::Say).await,
            Self::Question(say) => return say.run(out, Step::Question).await,
            Self::Answer(say) => return say.run(out, Step::Answer).await,
            Self::Attach(attach) => return attach.run(out).await,
            Self::Fetch(fetch) => return fetch.run(out).await,
        }
        Ok(Exit::Done)
    }
}

/// Whether some agreement, in force or not, is with this agency.
async fn is_partner(node: &Node, id: &str) -> Result<bool> {
    let request = ListAgreementsRequest::default();
    let known = node.agreements().list(request).await?.into_inner();
    Ok(known
        .agreements
        .iter()
        .any(|agreement| agreement.partner_id == id))
}

/// The node tells the whole list at each change; we tell what is new in it.
async fn watch(filter: Filter, connection: &Connection, out: Out) -> Result<()> {
    let node = connection.open().await?;
    let mut pages = node
        .disclosure()
        .watch_cases(filter.request(500))
        .await?
        .into_inner();
    let mut known: HashMap<String, CaseSummary> = HashMap::new();
    while let Some(page) = pages.message().await.context("watching cases")? {
        let before = std::mem::take(&mut known);
        for case in page.cases {
            if before.get(&case.case_id).map(show::lasting) != Some(show::lasting(&case)) {
                show::changed(&case, out)?;
            }
            known.insert(case.case_id.clone(), case);
        }
    }
    Ok(())
}
