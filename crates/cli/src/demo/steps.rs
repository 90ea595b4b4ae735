//! The demo from beginning to end.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use concordat_identifiers::Kind;
use concordat_wire::v1::{
    FetchRequest, IntersectRequest, ListListsRequest, MatchItem, MatchRequest, MatchResponse, OfferSummary,
    PublishRequest, Purpose, QueryContext, match_item,
};
use concordat_wire::{kind_from_proto, subject_to_proto};

use super::Args;
use super::agency::{self, Agency};
use super::agreement::{self, LEGAL_BASIS, LIST};
use super::disclosure;
use super::keep::{Kept, program};
use super::ledger;
use super::lists::Lists;
use super::pairs::{self, Score};
use super::report::{Flight, Known, Report, Traffic};
use crate::commands::job;
use crate::exit::Exit;
use crate::out::{Out, OutFile, note};

const LEFT: (&str, &str) = ("north", "Northland Police");
const RIGHT: (&str, &str) = ("south", "Southland Border Guard");
/// How long the flight's answer may take, in milliseconds: this shows what a machine can do, not what a gate should wait.
const FLIGHT_DEADLINE_MS: u32 = 60_000;

/// Runs the demo and reports.
pub async fn run(args: &Args, out: Out) -> Result<Exit> {
    let pairs_file = args.pairs.as_deref().map(OutFile::create).transpose()?;
    let folder = tempfile::Builder::new()
        .prefix("concordat-demo-")
        // Lists lie in it, and with --keep they stay.
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir()
        .context("making a temporary folder")?;
    let root = folder.path();
    let begin = Instant::now();
    let mut phases = Phases::default();

    let lists = phases
        .time("lists", "preparing two lists", async {
            Lists::prepare(args, root)
        })
        .await?;
    let (left, right) = phases
        .time("start", "starting two nodes with fresh keys", async {
            let (left, right) =
                tokio::try_join!(start(LEFT, root, args.keep), start(RIGHT, root, args.keep))?;
            Ok((left, right))
        })
        .await?;
    let imports = async { tokio::try_join!(lists.left.import(&left), lists.right.import(&right)) };
    let imported = phases
        .time("import", "importing each list into its own node", imports)
        .await?;
    let kinds = kinds(&right).await?;
    phases
        .time(
            "agree",
            "signing an agreement",
            agreement::sign(&left, &right, &kinds),
        )
        .await?;
    let published = async { tokio::try_join!(publish(&left), publish(&right)) };
    phases
        .time("publish", "publishing snapshots: padded sets of tags", published)
        .await?;
    let fetched = async { tokio::try_join!(fetch(&left), fetch(&right)) };
    let (snapshot_bytes, _) = phases
        .time("fetch", "fetching the partner's snapshots", fetched)
        .await?;

    let request = flight(&lists, right.id);
    let answer = phases
        .time("flight", "asking about a flight", ask(&left, request))
        .await?;
    let (answer, flight_time) = answer;
    let found = pairs::flight_hits(&answer, right.id)?;
    let expected: BTreeSet<_> = lists
        .flight
        .passengers
        .iter()
        .flat_map(|passenger| {
            let id = &passenger.record.source_id;
            passenger
                .expected
                .iter()
                .map(|found| (id.clone(), found.kind, found.grade))
        })
        .collect();
    let flight_score = Score::of(&found, &expected);
    let flight_found = found
        .iter()
        .map(|(passenger, ..)| passenger)
        .collect::<BTreeSet<_>>()
        .len() as u64;

    let intersect = phases
        .time("intersect", "comparing the lists", intersect(&left, right.id))
        .await?;
    let resolved = pairs::resolve(&left, &right, &lists.left, &intersect.job_id);
    let found = phases
        .time(
            "resolve",
            "naming the pairs, as only a demo over both sides can",
            resolved,
        )
        .await?;
    if let Some(file) = pairs_file {
        pairs::write(file, &found)?;
    }
    // Whoever keeps the nodes goes on as the first officer of both: nobody is registered before.
    let disclosure = match args.keep {
        true => None,
        false => {
            let disclosed = disclosure::disclose(&left, &right, &answer, &found);
            let what = "taking one hit to a release, decided by people";
            phases.time("disclose", what, disclosed).await?
        }
    };
    let score = lists.truth.as_ref().map(|truth| Score::of(&found, truth));

    let flight_offers: Vec<&OfferSummary> = answer
        .partners
        .iter()
        .flat_map(|partner| &partner.offers)
        .collect();
    let mut report = Report {
        left: Known {
            agency: LEFT.1,
            records: imported.0.records,
            identifiers: imported.0.identifiers,
        },
        right: Known {
            agency: RIGHT.1,
            records: imported.1.records,
            identifiers: imported.1.identifiers,
        },
        engine: left.info.engine.clone(),
        own_records_found: found.iter().map(|pair| &pair.left).collect::<BTreeSet<_>>().len() as u64,
        hits: found.len() as u64,
        score,
        flight: Flight {
            passengers: lists.flight.passengers.len() as u64,
            listed: lists
                .flight
                .passengers
                .iter()
                .filter(|passenger| passenger.right_id.is_some())
                .count() as u64,
            found: flight_found,
            known: lists.truth.is_some(),
            score: flight_score,
            time: flight_time,
            traffic: Traffic::of(flight_offers.iter().copied()),
        },
        intersect: Traffic::of(&intersect.offers),
        snapshot_bytes,
        disclosure,
        ledgers: None,
        phases: phases.done,
        total: begin.elapsed(),
    };
    if args.keep {
        let kept = Kept::new(folder, left, right, &lists)?;
        let exit = exit(&report);
        out.result(
            || report.json(Some(kept.json())),
            || format!("{}\n{}", report.text(), kept.text(&program())),
        )?;
        return Ok(exit);
    }
    let (left_dir, right_dir) = (left.dir.clone(), right.dir.clone());
    let audit = async {
        ledger::cosigned(&left_dir, &right_dir).await?;
        tokio::join!(left.stop(), right.stop());
        ledger::look(&left_dir, &right_dir, args.tamper).await
    };
    let mut phases = Phases {
        done: std::mem::take(&mut report.phases),
    };
    report.ledgers = Some(
        phases
            .time("audit", "verifying both ledgers and joining them", audit)
            .await?,
    );
    (report.phases, report.total) = (phases.done, begin.elapsed());
    out.result(|| report.json(None), || report.text())?;
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.is_exact() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

/// How long each phase took.
#[derive(Default)]
struct Phases {
    done: Vec<(&'static str, Duration)>,
}

impl Phases {
    async fn time<T>(
        &mut self,
        name: &'static str,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        note(format_args!("{what} ..."));
        let begin = Instant::now();
        let result = work.await.context(name);
        self.done.push((name, begin.elapsed()));
        result
    }
}

async fn start(
    (id, name): (&'static str, &'static str),
    root: &std::path::Path,
    keep: bool,
) -> Result<Agency> {
    let dir = agency::init(root, id, name).await?;
    Agency::start(id, name, dir, keep).await
}

/// What the agreement covers: the kinds the right list has, and what a border sees.
async fn kinds(right: &Agency) -> Result<Vec<Kind>> {
    let lists = right
        .node
        .watchlists()
        .list_lists(ListListsRequest {})
        .await?
        .into_inner()
        .lists;
    let on_list = lists
        .iter()
        .flat_map(|list| &list.identifiers)
        .filter(|entry| entry.count > 0);
    let kinds: BTreeSet<Kind> = on_list
        .filter_map(|entry| kind_from_proto(entry.kind))
        .chain([Kind::TravelDocument, Kind::Person])
        .collect();
    Ok(kinds.into_iter().collect())
}

async fn publish(agency: &Agency) -> Result<()> {
    let started = agency
        .node
        .snapshots()
        .publish(PublishRequest::default())
        .await?
        .into_inner();
    let ended = job::wait(&agency.node, &started.job_id, None).await?;
    ensure!(
        job::exit(&ended) == Exit::Done,
        "publishing by {} ended: {}",
        agency.name,
        ended.detail
    );
    Ok(())
}

/// Bytes received.
async fn fetch(agency: &Agency) -> Result<u64> {
    let fetched = agency
        .node
        .snapshots()
        .fetch(FetchRequest::default())
        .await?
        .into_inner();
    for snapshot in &fetched.snapshots {
        ensure!(
            snapshot.version > 0,
            "{} does not hold {}: {}",
            agency.name,
            snapshot.offer_id,
            snapshot.detail
        );
    }
    Ok(fetched
        .snapshots
        .iter()
        .map(|snapshot| snapshot.bytes)
        .sum::<u64>()
        .max(fetched.bytes_received))
}

fn context(purpose: Purpose, case_reference: &str) -> Option<QueryContext> {
    Some(QueryContext {
        purpose: purpose.into(),
        legal_basis: LEGAL_BASIS.into(),
        case_reference: case_reference.into(),
        officer: String::new(),
        ordered_by: String::new(),
    })
}

fn flight(lists: &Lists, partner: &str) -> MatchRequest {
    let item = |passenger: &concordat_synthetic::Passenger| MatchItem {
        item_id: passenger.record.source_id.clone(),
        what: Some(match_item::What::Subject(subject_to_proto(
            &passenger.record.subject,
        ))),
    };
    MatchRequest {
        context: context(Purpose::BorderCheck, "flight XX100"),
        items: lists.flight.passengers.iter().map(item).collect(),
        partners: vec![partner.into()],
        partner_deadline_ms: FLIGHT_DEADLINE_MS,
    }
}

/// The answer, and how long the caller waited for it.
async fn ask(left: &Agency, request: MatchRequest) -> Result<(MatchResponse, Duration)> {
    let asked = request.items.len();
    let begin = Instant::now();
    let response = left.node.matching().r#match(request).await?.into_inner();
    let time = begin.elapsed();
    ensure!(
        response.results.len() == asked,
        "{asked} passengers, {} answers",
        response.results.len()
    );
    Ok((response, time))
}

async fn intersect(left: &Agency, partner: &str) -> Result<concordat_wire::v1::Job> {
    let request = IntersectRequest {
        context: context(Purpose::CrimInvestigation, "demo"),
        lists: vec![LIST.into()],
        partner_id: partner.into(),
        kinds: Vec::new(),
        request_id: String::new(),
    };
    let started = left.node.matching().intersect(request).await?.into_inner();
    let ended = job::wait(&left.node, &started.job_id, Some("comparing")).await?;
    ensure!(
        job::exit(&ended) == Exit::Done,
        "the job ended with something unchecked: {}",
        ended.detail
    );
    Ok(ended)
}
