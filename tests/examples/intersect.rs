//! List against list through two real nodes, each entry one e-mail address: what `benches/peers` sets beside others.
//!
//! `cargo run --release -p concordat-tests --example intersect -- [ENTRIES] [OVERLAP]`
//!
//! The left list is `p0@example.org` to `p(ENTRIES-1)@example.org`, the right one as long, with OVERLAP of them in
//! common (half of them unless said). Two nodes of this process speak over TCP, TLS and gRPC on loopback and keep
//! everything on disk. Then one entry in a hundred is exchanged on both lists, and all is done again. Prints one JSON
//! object: seconds for each phase of both runs. "Protocol" is what other protocols' figures mean: the owner's own
//! tags, their transfer, and the comparison, with no import of lists.

#![allow(clippy::print_stdout, reason = "an example, run by hand")]

use std::ops::Range;
use std::time::Instant;

use concordat_tests::{Agency, OWNER, Offer, Pair, Run, Terms};
use concordat_wire::v1::job::State;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let entries: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let overlap: u64 = arguments.next().map_or(Ok(entries / 2), |text| text.parse())?;
    let settings = [("threads", "0"), ("job_chunk_elements", "4096")];
    let asker = Agency::configured("aa-border", Run::Here, &settings).await;
    let owner = Agency::configured(OWNER, Run::Here, &settings).await;
    let terms = Terms {
        offers: vec![Offer::new("mail", "email")],
        ..Terms::default()
    };
    let pair = Pair::between(asker, owner, &terms.quota(1_000_000_000, 1 << 30)).await;

    let right = entries - overlap..2 * entries - overlap;
    let first = run(&pair, 0..entries, right.clone(), overlap).await?;
    let changed = (entries / 100).max(1);
    let second = run(
        &pair,
        changed..entries + changed,
        right.start + changed..right.end + changed,
        overlap,
    )
    .await?;
    println!(
        "{}",
        serde_json::json!({
            "entries": entries, "overlap": overlap, "first": first, "changed": changed, "second": second,
        })
    );
    Ok(())
}

async fn run(
    pair: &Pair,
    left: Range<u64>,
    right: Range<u64>,
    overlap: u64,
) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let start = Instant::now();
    pair.asker.import_jsonl("watch", list(left)).await?;
    pair.owner.import_jsonl("wanted", list(right)).await?;
    let import = start.elapsed();

    let start = Instant::now();
    pair.owner.publish().await;
    let publish = start.elapsed();
    let start = Instant::now();
    pair.asker.fetch().await?;
    let fetch = start.elapsed();

    let start = Instant::now();
    let job = pair.asker.intersect("watch", OWNER).await;
    let job = pair.asker.finished(&job.job_id).await;
    let intersect = start.elapsed();
    if job.state() != State::Succeeded || job.matches != overlap {
        return Err(format!("{} of {overlap} found: {}", job.matches, job.detail).into());
    }
    let offers = &job.offers;
    Ok(serde_json::json!({
        "import": import.as_secs_f64(),
        "publish": publish.as_secs_f64(),
        "fetch": fetch.as_secs_f64(),
        "intersect": intersect.as_secs_f64(),
        "protocol": (publish + fetch + intersect).as_secs_f64(),
        "elements": offers.iter().map(|offer| offer.padded_elements).sum::<u64>(),
        "bytes": offers.iter().map(|offer| offer.bytes_sent + offer.bytes_received).sum::<u64>(),
    }))
}

fn list(people: Range<u64>) -> Vec<u8> {
    let line = |n| {
        format!(
            "{{\"source_id\": \"{n}\", \"subject\": {{\"others\": [{{\"email\": \"p{n}@example.org\"}}]}}}}\n"
        )
    };
    people.map(line).collect::<String>().into_bytes()
}
