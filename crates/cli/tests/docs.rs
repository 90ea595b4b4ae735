//! What the documents say is what the program does.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Ran, free_ports};
use concordat_identifiers::{Severity, derive};
use concordat_lists::{Format, Input, Item, Options};

fn repository(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_readme_shows_the_python_client_as_it_is() {
    let client = repository("examples/python/ask.py");
    assert!(
        repository("README.md").contains(client.trim_end()),
        "paste examples/python/ask.py into README.md again"
    );
    assert!(client.lines().count() <= 25, "a client in twenty lines");
}

#[test]
fn every_link_of_the_readme_leads_somewhere() {
    let readme = repository("README.md");
    let mut links = 0;
    for target in readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let file = target.split('#').next().unwrap_or_default();
        if file.is_empty() || file.contains("://") {
            continue;
        }
        links += 1;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        assert!(path.exists(), "{file}");
    }
    assert!(links > 5, "the links are found");
}

/// The first block of a language behind a heading.
fn block(doc: &str, heading: &str, language: &str) -> String {
    let (_, rest) = doc.split_once(heading).unwrap_or_else(|| panic!("{heading}"));
    let (_, rest) = rest.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("\n```").expect("its end").0.to_owned()
}

/// Runs a documented block in a folder of its own, with `concordat` on the path; the nodes that it leaves behind are
/// stopped. `changes` are for the test alone: ports that are free here.
fn pasted(script: &str, changes: &[(&str, String)]) -> (tempfile::TempDir, Ran) {
    let folder = tempfile::tempdir().expect("a folder");
    let script = changes.iter().fold(script.to_owned(), |script, (from, to)| {
        assert!(script.contains(from), "{from} in\n{script}");
        script.replacen(from, to, 1)
    });
    let binary = Path::new(env!("CARGO_BIN_EXE_concordat"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.parent().expect("a folder").display());
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONCORDAT_")) {
        command.env_remove(name);
    }
    let output = command
        .arg("-c")
        .arg(format!(
            "trap 'code=$?; kill $(jobs -p); wait; exit $code' EXIT\nset -e\n{script}\n"
        ))
        .env("PATH", path)
        .current_dir(folder.path())
        .output();
    (folder, Ran::from(output.expect("bash runs")))
}

fn listen(peer: u16, api: u16) -> String {
    format!(" --peer-listen 127.0.0.1:{peer} --api-listen 127.0.0.1:{api}")
}

#[test]
fn the_installation_of_the_readme_works_when_pasted() {
    let script = block(&repository("README.md"), "A node of your own", "sh");
    let [peer, api] = free_ports();
    let init = "--dir target/north\n";
    let (folder, ran) = pasted(
        &script,
        &[(init, format!("--dir target/north{}\n", listen(peer, api)))],
    );
    let ran = ran.exits(0);
    assert!(ran.stdout.contains("wanted: 1,000 records"), "{}", ran.stdout);
    assert!(ran.stdout.contains("[[party]]\nid = \"north\""), "{}", ran.stdout);
    let left: Vec<_> = fs::read_dir(folder.path())
        .expect("readable")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["target"], "nothing lands in the checkout itself");
}

/// The walkthrough of two agencies, with ports of its own.
fn walkthrough(script: &str) -> (tempfile::TempDir, Ran) {
    let [peer_a, api_a, console_a, peer_b, api_b, console_b] = free_ports();
    let console = |port: u16| format!(" --console-listen 127.0.0.1:{port}");
    let changes = [
        (
            " --console-listen 127.0.0.1:7448",
            listen(peer_a, api_a) + &console(console_a),
        ),
        (
            " --peer-listen 127.0.0.1:8443 --api-listen 127.0.0.1:8444 --console-listen 127.0.0.1:8448",
            listen(peer_b, api_b) + &console(console_b),
        ),
    ];
    pasted(script, &changes)
}

const FIRST_HIT: &str = "### From nothing to the first hit";

#[test]
fn the_walkthrough_leads_to_the_first_hit() {
    let doc = repository("docs/cli.md");
    let (_folder, ran) = walkthrough(&block(&doc, FIRST_HIT, "sh"));
    let ran = ran.exits(3);
    let promised = block(&doc, FIRST_HIT, "text");
    assert!(ran.stdout.contains(&promised), "{promised}\nin\n{}", ran.stdout);
    assert!(
        !ran.stderr.contains("warning"),
        "the case that it opens can be approved: {}",
        ran.stderr
    );
}

#[test]
fn the_walkthrough_goes_on_to_a_release() {
    let doc = repository("docs/cli.md");
    let first = block(&doc, FIRST_HIT, "sh");
    let (before, _) = first
        .split_once("concordat agreement propose")
        .expect("the draft is written before");
    let release = block(&doc, "### From the hit to a release", "sh");
    let (folder, ran) = walkthrough(&format!("{before}{release}"));
    let ran = ran.exits(0);
    for promised in [": CLOSED", "released", "entries match"] {
        assert!(ran.stdout.contains(promised), "{promised}\nin\n{}", ran.stdout);
    }
    let opened = fs::read_to_string(folder.path().join("release.xml")).expect("the release");
    assert!(opened.contains("MARKOV"), "{opened}");
}

#[test]
fn the_documented_record_is_imported_without_a_complaint() {
    let example = block(&repository("docs/lists.md"), "### `jsonl`", "json");
    let today = jiff::civil::date(2026, 11, 22);
    let input = Input::new("example", std::io::Cursor::new(example.into_bytes()));
    let reader = concordat_lists::open(Format::Jsonl, vec![input], &Options::new(today)).expect("opened");
    let items: Vec<Item> = reader.collect::<Result<_, _>>().expect("read");
    let [Item::Entry(entry)] = items.as_slice() else {
        panic!("one entry and no reject: {items:?}")
    };
    let derived = derive(&entry.subject, today);
    let refused: Vec<_> = derived
        .rejections
        .iter()
        .filter(|rejection| rejection.severity == Severity::Reject)
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    let kinds: std::collections::BTreeSet<_> = derived
        .identifiers
        .iter()
        .map(concordat_identifiers::Identifier::kind)
        .collect();
    assert_eq!(
        kinds.len(),
        concordat_identifiers::Kind::ALL.len(),
        "it shows every kind"
    );
}

#[test]
fn the_example_configuration_and_the_rules_are_reachable() {
    let example = repository("deploy/concordat.example.toml");
    let config = concordat_node::config::Config::parse(&example).expect("a configuration");
    assert!(
        config
            .api
            .certificate_names()
            .contains(&config.api.listen.ip().to_string())
    );
    assert!(repository("README.md").contains("](docs/rules.md)"));
    assert!(repository("docs/cli.md").contains("](rules.md)"));
}
