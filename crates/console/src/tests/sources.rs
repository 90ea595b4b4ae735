//! What holds of the console's sources as a whole.

use std::path::{Path, PathBuf};

use super::*;

fn read(folder: &Path, sources: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("tests") {
            read(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = std::fs::read_to_string(&path).expect("a source");
            sources.push((path, source));
        }
    }
}

/// Every source but the tests, by its path within `src`.
fn files() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read(&folder, &mut sources);
    assert!(sources.len() > 15);
    for (path, _) in &mut sources {
        *path = path.strip_prefix(&folder).expect("within").to_owned();
    }
    sources
}

fn sources() -> Vec<String> {
    files().into_iter().map(|(_, source)| source).collect()
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

/// Literals that look like a text and are none: what browsers, protocols and compilers read.
const NO_TEXTS: &[&str] = &[
    "width=device-width, initial-scale=1",
    "light dark",
    "clock stopped",
    "clock overdue",
    "clock late",
    "username webauthn",
    "text/css; charset=utf-8",
    "text/javascript; charset=utf-8",
    "text/csv; charset=utf-8",
    "attachment; filename*=UTF-8''{name}",
    "attachment; filename=\\\"requests.csv\\\"",
    "public, max-age=31536000, immutable",
    "camera=(), geolocation=(), microphone=(), payment=(), publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict",
    "{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0",
];

/// Attributes whose value is read to or by a person.
const SAID_BY: &[&str] = &[
    "aria-label=",
    "aria-description=",
    "alt=",
    "data-label=",
    "placeholder=",
    "title=",
];

/// Each text literal of a source with what stands before and after it. Comments are left out, and the tests at a source's end.
fn literals(source: &str) -> Vec<(&str, &str, &str)> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let (mut found, mut place) = (Vec::new(), 0);
    while let Some(next) = source[place..].find(['"', '/', '\'']) {
        let start = place + next;
        let rest = &source[start..];
        place = start + 1;
        if rest.starts_with("//") {
            place = start + rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("'\"'") {
            place = start + 3;
        } else if let Some(text) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = text.find(|letter| {
                let ends = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                ends
            });
            let (text, after) = text.split_at(end.expect("a literal ends"));
            found.push((source[..start].trim_end(), text, after[1..].trim_start()));
            place += text.len() + 1;
        }
    }
    found
}

/// Whether a person would read this literal.
fn is_text((before, literal, after): &(&str, &str, &str)) -> bool {
    // What is put in is no text itself.
    let mut plain = String::new();
    for part in literal.split('{') {
        plain += part.split_once('}').map_or(part, |(_, after)| after);
    }
    let said = SAID_BY.iter().any(|attribute| before.ends_with(attribute));
    // In markup a literal follows an element, a value or a brace. In code only a pattern does, or the key of a JSON object.
    let follows = before.ends_with(['{', '}', ')', ';']) && !after.starts_with(['=', '|', ':']);
    let shown = (follows || before.ends_with("=>")) && !plain.starts_with('/');
    let sentence = plain.contains(' ');
    let code = !plain.contains(char::is_lowercase);
    let word = plain.starts_with(char::is_uppercase) && !code;
    // Why a lint is silent, and the one policy that is longer than a line.
    let for_programs = before.ends_with("reason =") || before.ends_with("CSP: &str =");
    plain.contains(char::is_alphabetic)
        && (said || shown || sentence || word)
        && !for_programs
        && !NO_TEXTS.contains(literal)
}

#[test]
fn every_text_stands_among_the_texts() {
    let mut scattered = Vec::new();
    for (path, source) in files() {
        // What the operator of the node reads, in its log and at its start, is no page.
        let operator = ["lib.rs", "listen.rs"].iter().any(|file| path == Path::new(file));
        if operator || path.starts_with("texts") || path == Path::new("texts.rs") {
            continue;
        }
        let texts = literals(&source);
        let texts = texts.iter().filter(|literal| is_text(literal));
        scattered.extend(texts.map(|(_, text, _)| format!("{}: {text:?}", path.display())));
    }
    let script = include_str!("../assets/console.js");
    assert!(!script.contains('`'), "the script puts no sentence together");
    let said = literals(script);
    let said = said.iter().map(|(_, text, _)| *text);
    scattered.extend(
        said.filter(|text| text.contains(' ') && *text != "use strict")
            .map(|text| format!("console.js: {text:?}")),
    );
    assert!(scattered.is_empty(), "move to texts/: {scattered:#?}");
}

#[test]
fn a_text_in_a_page_is_found() {
    let texts = |source: &str| literals(source).iter().filter(|literal| is_text(literal)).count();
    for page in [
        r#"html! { h2 { "Inbox" } }"#,
        r#"html! { p { "nothing" } }"#,
        r#"html! { p { (count) "entries" } }"#,
        r#"html! { p { (count) " of " (all) } }"#,
        r#"html! { input required; "choose" }"#,
        r#"html! { nav aria-label="main" {} }"#,
        r#"html! { td data-label="state" { (state) } }"#,
        r#"html! { input placeholder="text"; }"#,
        r#"format!("{count} of {all}")"#,
        r#"format!("Sign as {name}")"#,
        r#"Fault::invalid("DESK-021", "until", "a date")"#,
        r#"span { "✗ DOES NOT HOLD" }"#,
        r#"signed.page("Reports")"#,
        r#"match side { Side::Owner => "owner" }"#,
        r#"find('"'); h1 { "Hits" }"#,
        r#"let a = "\""; h1 { "Hits" }"#,
    ] {
        assert_eq!(texts(page), 1, "{page}");
    }
    for page in [
        r#"match may { "request" => ask(), "approve" => { sign() } "say" | "answer" => say() }"#,
        r#"format!("/cases/{id}/{page}")"#,
        r#"Fault::new(Reason::NotFound, "DESK-002", errors::NO_CASE)"#,
        r#"html! { option value="NOT_HELD" class="warn" { (words) } }"#,
        "// Say \"A word\".\nhtml! {}",
        r#"html! { (a) ", " (b) " · " }"#,
        r#"json!({ "type": kind })"#,
    ] {
        assert_eq!(texts(page), 0, "{page}");
    }
}
