//! What the documents say is what the program does.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::fs;
use std::path::Path;

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
