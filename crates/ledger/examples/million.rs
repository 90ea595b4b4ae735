//! Appends a million entries (or the number given), verifies them, and says how fast and in how much memory.
//!
//! `cargo run --release -p concordat-ledger --example million [entries] [entries per batch] [folder]`

#![allow(clippy::print_stdout, reason = "an example shows its figures")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use concordat_ledger::*;
use concordat_note::SigningKey;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let total: u64 = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let per_batch: u64 = arguments.next().map_or(Ok(4096), |n| n.parse())?;
    let temporary = tempfile::tempdir()?;
    let dir = arguments
        .next()
        .map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let key = SigningKey::from_seed("police.example/aa/ledger", &[7; 32])?;

    let started = Instant::now();
    let sealed: Vec<SealedEntry> = (0..per_batch).map(seal).collect::<Result<_, _>>()?;
    report("sealed", per_batch, started);

    let mut log = Log::open(Folder::create(&dir)?, key.verifier())?;
    let started = Instant::now();
    let mut slowest = std::time::Duration::ZERO;
    while log.size() < total {
        let batch = Instant::now();
        let left = usize::try_from(total - log.size())?;
        log.append(sealed.iter().take(left).map(|entry| &entry.leaf), &key)?;
        slowest = slowest.max(batch.elapsed());
    }
    report("appended", total, started);
    println!("           in durable batches of {per_batch}, the slowest {slowest:.1?}");

    let options = AuditOptions {
        now: "2026-11-22T08:00:00Z".parse()?,
        leaves: true,
    };
    let started = Instant::now();
    let audit = verify(&Folder::read_only(&dir), &Keys::of(key.verifier()), &[], &options);
    report("verified", audit.entries, started);
    println!("{audit}");

    let checkpoint = log.latest().ok_or("nothing was published")?;
    let started = Instant::now();
    let proofs = 1000.min(total);
    for n in 0..proofs {
        Bundle::new(log.source(), n * (total / proofs), checkpoint, None)?;
    }
    report("bundles", proofs, started);
    Ok(())
}

fn seal(n: u64) -> Result<SealedEntry, Box<dyn Error>> {
    let mut exchange = [0; 16];
    exchange[8..].copy_from_slice(&n.to_be_bytes());
    let evaluation = Evaluation {
        step: 0,
        exchange: Hex(exchange),
        partner: Text::new("police.example/bb")?,
        stated: Stated {
            purpose: Text::new("terrorism")?,
            legal_basis: Text::new("Art. 5")?,
        },
        scope: Scope {
            agreement: Text::new("2026/014")?,
            offer: Text::new("passports")?,
            epoch: 3,
        },
        elements: 1024,
        transcript: Hex([1; 32]),
    };
    let mut entry_key = [0; 32];
    entry_key[..8].copy_from_slice(&n.to_be_bytes());
    let entry = Entry::new("2026-11-21T20:15:00Z".parse()?, evaluation);
    Ok(SealedEntry::seal(
        &entry,
        Retention::ThreeYears,
        &EntryKey::new(entry_key),
    )?)
}

fn report(what: &str, count: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{what:<10} {count:>9} in {seconds:>7.2} s = {:>9.0} /s; processor {:.2} s so far, peak memory {}",
        count as f64 / seconds,
        processor_seconds(),
        peak_memory()
    );
}

/// The time this process was on a processor, where the system tells it: what other processes do does not count.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    // Fields 14 and 15 of proc(5), user and system time, in hundredths of a second.
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / 100.0
}

/// The high-water mark of resident memory, where the system tells it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}
