//! A flight of 300 against a large list, measured where the border's system stands: at its gRPC client.
//!
//! `cargo run --release -p concordat-tests --example flight -- [RECORDS] [RUNS]`
//!
//! Two nodes of this process speak to each other over TCP, TLS and gRPC on loopback and share the machine's cores.
//! Prints p50 and p99 over all runs, and how much of the processor time of both nodes and of the client were group
//! operations.

#![allow(clippy::print_stdout, reason = "an example, run by hand")]
use std::time::{Duration, Instant};

use concordat_synthetic::{Spec, World};
use concordat_tests::{Agency, OWNER, Pair, Run, Terms};
use concordat_wire::v1::{MatchItem, MatchRequest, SnapshotStatusRequest, Verdict, match_item};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let records: u64 = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let runs: usize = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let cores = std::thread::available_parallelism()?.get();

    let spec = Spec {
        seed: 1,
        left: 10,
        right: records,
        overlap: 10,
        reference_date: jiff::civil::date(2026, 3, 2),
    };
    let world = World::new(spec)?;
    let flight = world.flight(300, 6)?;
    let settings = [
        ("threads", "0"),
        ("query_chunk_elements", "256"),
        ("partner_deadline_ms", "30000"),
    ];
    let asker = Agency::configured("aa-border", Run::Here, &settings).await;
    let owner = Agency::configured(OWNER, Run::Here, &settings).await;
    // Quota for every run: 3,072 padded elements each.
    let terms = Terms::default().quota(100_000_000, 1_000_000_000);
    let pair = Pair::between(asker, owner, &terms).await;

    let start = Instant::now();
    let mut bytes = Vec::new();
    concordat_synthetic::write_jsonl(&mut bytes, world.right())?;
    let summary = pair.owner.import_jsonl("wanted", bytes).await?;
    println!(
        "imported {} records, {} identifiers in {:.0?}",
        summary.records,
        summary.identifiers,
        start.elapsed()
    );
    let start = Instant::now();
    pair.refresh().await;
    println!("published and fetched in {:.0?}", start.elapsed());
    for snapshot in pair
        .asker
        .snapshots()
        .status(SnapshotStatusRequest {})
        .await?
        .into_inner()
        .snapshots
    {
        println!(
            "  {}: {} tags, {} bytes",
            snapshot.offer_id, snapshot.size_class, snapshot.bytes
        );
    }

    let items: Vec<MatchItem> = flight
        .passengers
        .iter()
        .map(|passenger| MatchItem {
            item_id: passenger.record.source_id.clone(),
            what: Some(match_item::What::Subject(concordat_wire::subject_to_proto(
                &passenger.record.subject,
            ))),
        })
        .collect();
    let mut client = pair.asker.matching();
    let (mut walls, mut group) = (Vec::with_capacity(runs), Duration::ZERO);
    let mut before = Duration::ZERO;
    for run in 0..=runs {
        let request = MatchRequest {
            context: Some(pair.asker.context()),
            items: items.clone(),
            ..MatchRequest::default()
        };
        let start = Instant::now();
        let response = client.r#match(request).await?.into_inner();
        let wall = start.elapsed();
        let hits = response
            .results
            .iter()
            .filter(|result| result.verdict() == Verdict::Hit)
            .count();
        let unknown = response
            .results
            .iter()
            .filter(|result| result.verdict() == Verdict::Unknown)
            .count();
        assert!(hits >= 6 && unknown == 0, "{hits} hits, {unknown} unknown");
        if run == 0 {
            let offers = response.partners.iter().flat_map(|partner| &partner.offers);
            let (identifiers, elements) = offers.fold((0, 0), |(identifiers, elements), offer| {
                (identifiers + offer.identifiers, elements + offer.padded_elements)
            });
            println!(
                "{} passengers, {identifiers} identifiers, {elements} padded elements, {hits} hits",
                items.len()
            );
            before = processor_time();
            continue; // The first run opens the connection.
        }
        walls.push(wall);
        for timings in response
            .partners
            .iter()
            .flat_map(|partner| &partner.offers)
            .filter_map(|offer| offer.timings)
        {
            let spent = timings.blind_us + timings.verify_finalize_us + timings.partner_evaluate_us;
            group += Duration::from_micros(spent);
        }
    }
    walls.sort_unstable();
    println!(
        "p50 {:.1?}, p99 {:.1?} of {runs} runs",
        walls[runs / 2],
        walls[(runs * 99 / 100).min(runs - 1)]
    );
    let spent = processor_time() - before;
    println!(
        "processor time {:.0?} a run, of which group operations {:.0} %; {cores} cores",
        spent / u32::try_from(runs)?,
        100.0 * group.as_secs_f64() / spent.as_secs_f64()
    );
    Ok(())
}

/// What this process has used so far, in all its threads.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
