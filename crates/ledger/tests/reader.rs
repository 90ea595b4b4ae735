//! A reader in another language, with no code of ours, verifies a log that we wrote; and refuses one that was touched.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::*;
use concordat_ledger::*;

fn python(dir: &Path, keys: &[String]) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.py");
    let run = Command::new("python3").arg(script).arg(dir).args(keys).output();
    match run {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: python3 cannot be run ({error}), so no independent reader verifies the log");
            None
        }
    }
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn a_script_verifies_the_log_and_refuses_a_changed_one() {
    let written = write(&[10, 700]);
    let dir = written.dir.path();
    let witnesses = [witness().verifier().cosigner()];
    {
        let mut log = Log::open(Folder::create(dir).unwrap(), key().verifier()).unwrap();
        let erasure = Erasure {
            by: Actor::Node,
            erased: Ranges::take(&mut (0..3).peekable()).unwrap(),
            order: Some(text("order 7")),
        };
        log.append([&seal(700, &Entry::new(at(700), erasure)).leaf], &key())
            .unwrap();
        let mut checkpoint = log.latest().unwrap().clone();
        checkpoint.cosign(&witness(), 1_795_000_000).unwrap();
        log.cosigned(&checkpoint, &witnesses).unwrap();
    }
    let keys = [key().verifier().to_string(), witnesses[0].to_string()];
    let Some(output) = python(dir, &keys) else { return };
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(text_of(&output).contains("HOLDS: police.example/aa/ledger, 701 entries, 1 cosignatures"));

    let refuses = |keys: &[String]| {
        let output = python(dir, keys).unwrap();
        assert!(!output.status.success(), "{}", text_of(&output));
        text_of(&output)
    };
    let stranger = concordat_note::SigningKey::from_seed("police.example/aa/ledger", &[9; 32]).unwrap();
    assert!(refuses(&[stranger.verifier().to_string()]).contains("the log's signature"));
    for path in [
        "tile/entries/001",
        "tile/0/001",
        "tile/1/000.p/2",
        "tile/entries/002.p/189",
    ] {
        let path = dir.join(path);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let place = bad.len() - 100.min(bad.len() / 2);
        bad[place] ^= 1;
        fs::write(&path, bad).unwrap();
        refuses(&keys);
        fs::write(&path, good).unwrap();
    }
    let checkpoint = fs::read_to_string(dir.join("checkpoint")).unwrap();
    for (from, to) in [
        ("\n701\n", "\n700\n"),
        ("police.example/bb ", "police.example/cc "),
    ] {
        fs::write(dir.join("checkpoint"), checkpoint.replace(from, to)).unwrap();
        refuses(&keys);
    }
}
