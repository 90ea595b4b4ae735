//! What holds of the console's sources as a whole.

use std::path::Path;

use super::*;

fn read(folder: &Path, sources: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("tests") {
            read(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push(std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

fn sources() -> Vec<String> {
    let mut sources = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    assert!(sources.len() > 15);
    sources
}

#[test]
fn no_page_writes_markup_past_the_escaping() {
    for source in sources() {
        assert!(!source.contains("PreEscaped"), "markup that is not escaped");
    }
}

#[test]
fn every_rule_of_the_console_is_explained_and_no_other() {
    let page = include_str!("../../../../docs/rules.md");
    let explained: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .map(|(rule, _)| rule)
        .filter(|rule| rule.starts_with("CONS-"))
        .collect();
    let sources = sources();
    let given = sources.iter().flat_map(|source| {
        let places = source.match_indices("\"CONS-");
        places.map(|(place, _)| &source[place + 1..place + 9])
    });
    assert_eq!(given.collect::<BTreeSet<_>>(), explained);
}

#[test]
fn the_manual_has_every_page_and_role() {
    let manual = include_str!("../../../../docs/console.md");
    for role in Role::ALL {
        assert!(manual.contains(&format!("| {} ", role.name())), "{}", role.name());
    }
    for page in [
        "Inbox",
        "Hits",
        "Case",
        "Decision",
        "Approval",
        "Audit",
        "Reports",
        "Administration",
    ] {
        assert!(manual.contains(&format!("- **{page}**")), "{page}");
    }
}
