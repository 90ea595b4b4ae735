//! From a hit to a closed case by the command line alone: two agencies, their officers with keys in files, and each refusal on the way.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Node, Ran, concordat, init, run};
use serde_json::{Value, json};

const AUDIT: &str = "--purpose AUDIT --legal-basis EU:2016/680:47 --case AUDIT-1 --recipient authority";
const WHY: &str = "--purpose border-check --legal-basis EU:2024/982:26 --case GATE-7";

/// Runs with arguments that hold blanks.
fn say(line: &str, texts: &[&str]) -> Ran {
    let mut texts = texts.iter();
    let arguments = line.split(' ').map(|part| match part {
        "{}" => *texts.next().expect("a text"),
        part => part,
    });
    Ran::from(concordat(arguments).output().expect("it runs"))
}

fn one(ran: Ran) -> Value {
    ran.exits(0).json().remove(0)
}

fn state(case: &Value) -> &str {
    case["case"]["state"].as_str().expect("a state")
}

/// Two administrators, two officers and an analyst, each with a key in a file; enrolled by documents that two sign.
fn office(root: &Path, node: &str) {
    let file = |name: &str| root.join(name).display().to_string();
    let key = |name: &str| {
        let made = one(run(&format!(
            "officer file-key --out {} --json",
            file(&format!("{name}.key"))
        )));
        let public = made["public_key"].as_str().expect("a key").to_owned();
        format!("{name}={public}")
    };
    let (ada, bob) = (key("ada"), key("bob"));
    let mode = fs::metadata(root.join("ada.key"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner only");
    run(&format!("officer file-key --out {}", file("ada.key"))).exits(1);

    let change = file("change.json");
    let sign = |by: &str| {
        let key = file(&format!("{by}.key"));
        let line = format!("officer sign {change} --officer {by} --officer-key {key}");
        let unasked = run(&line).exits(2);
        assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
        assert!(
            unasked.stderr.contains("concordat/v1/registry-change"),
            "the text is shown first"
        );
        run(&format!("{line} --yes")).exits(0);
    };
    let apply = format!("officer apply {change} --json --dir {node}");
    run(&format!(
        "officer found --administrator {ada} --administrator {bob} --no-console --out {change} --dir {node}"
    ))
    .exits(0);
    sign("ada");
    let early = run(&apply).exits(1).stderr;
    assert!(
        early.contains("bob must still sign [DISC-050]"),
        "two found a registry: {early}"
    );
    sign("bob");
    run(&apply).exits(0);
    assert!(run(&apply).exits(1).stderr.contains("[DISC-053]"), "once");
    for (name, role) in [("anna", "officer"), ("ben", "officer"), ("ivan", "analyst")] {
        let key = key(name);
        let key = key.split_once('=').expect("a key").1;
        let enrol = format!(
            "officer enrol {name} --unit desk --role {role} --officer-key {key} --out {change} --dir {node}"
        );
        let there = run(&enrol).exits(1);
        assert!(there.stderr.contains("exists already"), "{}", there.stderr);
        fs::remove_file(&change).expect("there");
        run(&enrol).exits(0);
        sign("ada");
        // A file that was changed on the way carries signatures on something else.
        let text = fs::read_to_string(&change).expect("there");
        let other = text.replace("\"unit\": \"desk\"", "\"unit\": \"vice\"");
        assert_ne!(other, text, "the unit is in it");
        fs::write(&change, other).expect("written");
        sign("bob");
        assert!(
            run(&apply).exits(1).stderr.contains("[DISC-040]"),
            "ada signed another text"
        );
        fs::write(&change, text).expect("written");
        sign("bob");
        run(&apply).exits(0);
    }
    let known = one(run(&format!("officer list --json --dir {node}")));
    assert_eq!(known["officers"].as_array().map(Vec::len), Some(5));
}

fn wanted(root: &Path) -> String {
    let record = json!({ "source_id": "W-1", "subject": {
        "names": [{ "rank": "primary", "text": { "parts": { "primary": "MARKOV", "secondary": "IVAN" } } }],
        "births": [{ "day": { "year": 1975, "month": 4, "day": 12 } }],
        "documents": [{ "class": "passport", "number": "X1234567", "issuer": "NLD" }],
    } });
    let path = root.join("wanted.jsonl");
    fs::write(&path, format!("{record}\n")).expect("written");
    path.display().to_string()
}

#[test]
fn a_case_by_the_command_line() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    let (aa, bb) = (init(root, "aa"), init(root, "bb"));
    let (a, b) = (aa.display().to_string(), bb.display().to_string());
    let (asker, _owner) = (Node::start(&aa), Node::start(&bb));
    let file = |name: &str| root.join(name).display().to_string();

    // The agreement of the template, with keys in files allowed.
    let party = run(&format!("agreement party --dir {b}")).exits(0).stdout;
    fs::write(root.join("bb.toml"), party).expect("written");
    let draft = run(&format!(
        "agreement template --owner bb --requester aa --list wanted --legal-basis EU:2024/982:26 --party {}",
        file("bb.toml")
    ));
    let draft = draft.exits(0).stdout;
    assert!(
        draft.contains("file_keys = false"),
        "passkeys only, unless it is said"
    );
    fs::write(
        root.join("draft.toml"),
        draft.replace("file_keys = false", "file_keys = true"),
    )
    .expect("written");
    let (offer, signed) = (file("offer.txt"), file("signed.txt"));
    run(&format!(
        "agreement propose {} --out {offer} --dir {a}",
        file("draft.toml")
    ))
    .exits(0);
    run(&format!("agreement sign {offer} --out {signed} --dir {b}")).exits(0);
    run(&format!(
        "list import {} --list wanted --format jsonl --dir {b}",
        wanted(root)
    ))
    .exits(0);
    run(&format!("snapshot publish --dir {b}")).exits(0);
    run(&format!("snapshot fetch --dir {a}")).exits(0);
    for (folder, node) in [("of-aa", &a), ("of-bb", &b)] {
        fs::create_dir(root.join(folder)).expect("made");
        office(&root.join(folder), node);
    }

    let hit = run(&format!("match --passport X1234567:NLD {WHY} --json --dir {a}"))
        .exits(3)
        .json();
    let case = hit[0]["partners"][0]["case_ids"][0]
        .as_str()
        .expect("a case")
        .to_owned();
    let listed = run(&format!("case list --ours --json --dir {a}")).exits(0).json();
    assert_eq!((listed.len(), listed[0]["state"].as_str()), (1, Some("HIT")));

    let asks = |what: &str, texts: &[&str]| {
        let (command, options) = what.split_once(' ').unwrap_or((what, ""));
        let line = format!("case {command} {case} --officer ivan --json --dir {a} {options}");
        say(line.trim_end(), texts)
    };
    let owns = |who: &str, what: &str, texts: &[&str]| {
        let (command, options) = what.split_once(' ').unwrap_or((what, ""));
        let line = format!("case {command} {case} --officer {who} --json --dir {b} {options}");
        say(line.trim_end(), texts)
    };
    let confirmed = one(asks(
        "confirm --comparison same --method {}",
        &["photograph in the passport"],
    ));
    assert_eq!(state(&confirmed), "CONFIRMED_SAME");
    let ask = "request --purpose border-check --legal-basis EU:2024/982:26 --intended-use intelligence --subject suspect \
               --facts {} --offence 0801 --max-penalty 60 --fields a,b,d,i";
    let ask = ask.split_whitespace().collect::<Vec<_>>().join(" ");
    let unexplained = asks(&format!("{ask} --urgency urgent"), &["stopped at the border"]);
    unexplained.exits(2);
    let misspelt = asks(&ask.replace("a,b,d,i", "a,z"), &["stopped at the border"])
        .exits(2)
        .stderr;
    assert!(
        misspelt.contains("there is no field \"z\": a FirstNames, b FamilyNames"),
        "{misspelt}"
    );
    assert_eq!(state(&one(asks(&ask, &["stopped at the border"]))), "REQUESTED");

    let again = run(&format!("match --passport X1234567:NLD {WHY} --dir {a}"))
        .exits(3)
        .stdout;
    assert!(
        again.contains(&format!("{case}: REQUESTED, open since an earlier query")),
        "{again}"
    );
    let refusals = [
        (
            "anna",
            "release",
            "[DISC-020]",
            "it is REQUESTED; what can be done now: take-up",
        ),
        (
            "ada",
            "take-up",
            "[DISC-023]",
            "ada is registered as administrator, and this step is for another role",
        ),
        (
            "ana",
            "take-up",
            "[DISC-023]",
            "nobody of this name is registered here",
        ),
        (
            "ana",
            "show",
            "[DISC-023]",
            "nobody of this name is registered here",
        ),
    ];
    for (who, step, rule, why) in refusals {
        let refused = owns(who, step, &[]).exits(1).stderr;
        assert!(refused.contains(rule) && refused.contains(why), "{refused}");
    }
    let taken = one(owns("anna", "take-up", &[]));
    assert_eq!(state(&taken), "TRIAGE");
    assert_eq!(taken["records"][0]["source_id"], "W-1");
    let attached = root.join("list.txt");
    fs::write(&attached, "seat 12A").expect("written");
    one(owns("anna", "question --text {}", &["which seat?"]));
    let answer = format!("answer --attach {} --text {{}}", attached.display());
    one(asks(&answer, &["see the list"]));
    let seen = one(owns("anna", "show", &[]));
    let attachment = seen["messages"][1]["body"]["attachments"][0]["id"]
        .as_str()
        .expect("a file")
        .to_owned();
    let fetch = format!("fetch {attachment} --out {}", file("fetched.txt"));
    let mut tries = 0;
    while owns("anna", &fetch, &[]).code != Some(0) {
        tries += 1;
        assert!(tries < 50, "the file does not arrive");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(
        fs::read_to_string(root.join("fetched.txt")).expect("there"),
        "seat 12A"
    );

    let forgotten = owns("anna", "propose --suggested", &[]).exits(2);
    assert!(
        forgotten.stderr.contains("neither released nor withheld: i"),
        "{}",
        forgotten.stderr
    );
    let proposed = one(owns(
        "anna",
        "propose --suggested --withhold i=HARMS_INVESTIGATION --source A --information 1",
        &[],
    ));
    assert_eq!(state(&proposed), "APPROVING");
    let key = |name: &str| root.join(format!("of-bb/{name}.key")).display().to_string();
    let unasked = owns("ben", &format!("approve --officer-key {}", key("ben")), &[]).exits(2);
    let text = proposed["decision_text"].as_str().expect("the text");
    assert!(
        unasked.stderr.contains(text),
        "the exact text is shown before it is signed"
    );
    let foreign = owns(
        "ben",
        &format!("approve --yes --officer-key {}", key("anna")),
        &[],
    )
    .exits(1);
    let of_whom = "the key is not registered for ben: sign with one of her own [DISC-044]";
    assert!(foreign.stderr.contains(of_whom), "{}", foreign.stderr);
    let shown = run(&format!("case show {case} --officer ben --dir {b}"))
        .exits(0)
        .stdout;
    assert!(
        shown.contains("our record wanted W-1\n  name           MARKOV, IVAN\n  born           1975-04-12\n"),
        "in lines that a person reads: {shown}"
    );
    let approved = one(owns(
        "ben",
        &format!("approve --yes --officer-key {}", key("ben")),
        &[],
    ));
    assert_eq!(state(&approved), "PARTIAL");
    let head = proposed["head"].as_str().expect("a head");
    let late = owns("ben", &format!("release --seen {head}"), &[]).exits(1);
    assert!(late.stderr.contains("[DISC-024]"), "{}", late.stderr);
    // It counts at once; while the partner is away, the case says that it is on its way.
    asker.stop();
    let released = one(owns("ben", "release", &[]));
    assert_eq!(
        (state(&released), &released["undelivered"]),
        ("RELEASED", &json!(["released"]))
    );
    let shown = run(&format!("case show {case} --dir {b}")).exits(0).stdout;
    let way = "ON ITS WAY: released; aa does not have it yet, the node goes on trying";
    assert!(shown.contains(way), "{shown}");
    let _asker = Node::start(&aa);

    let mut tries = 0;
    while state(&one(asks("show", &[]))) != "RELEASED" {
        tries += 1;
        assert!(tries < 200, "the release does not arrive");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let there = run(&format!("case show {case} --dir {b}")).exits(0).stdout;
    assert!(!there.contains("ON ITS WAY"), "{there}");
    let opened = one(asks(&format!("open --out {}", file("release.xml")), &[]));
    assert_eq!(state(&opened), "RECEIVED");
    let xml = fs::read_to_string(root.join("release.xml")).expect("written");
    assert!(xml.contains("MARKOV"), "{xml}");
    let plain = run(&format!("case show {case} --dir {a}")).exits(0).stdout;
    assert!(
        plain.contains("released") && !plain.contains("MARKOV"),
        "without an officer the history alone: {plain}"
    );
    let whole = run(&format!("case show {case} --officer ivan --dir {a}"))
        .exits(0)
        .stdout;
    assert!(
        whole.contains("MARKOV") && whole.contains("withhold  i Offence: HARMS_INVESTIGATION"),
        "{whole}"
    );
    assert_eq!(
        state(&one(asks("outcome --outcome true --action arrested", &[]))),
        "OUTCOME"
    );
    assert_eq!(state(&one(owns("ben", "close", &[]))), "CLOSED");
    let ours = run(&format!("case list --ours --json --dir {b}")).exits(0).json();
    assert!(ours.is_empty(), "nobody's turn");
    let none = run(&format!("case list --state triage --partner aa --dir {b}")).exits(0);
    assert_eq!(none.stdout, "0 cases match\n");
    let nobody = run(&format!("case list --partner cc --dir {b}")).exits(1);
    assert!(
        nobody
            .stderr
            .contains("neither such a case nor a current agreement is with cc")
    );

    // An auditor finds its entries by the id that both agencies know, at either of them.
    for (dir, kinds) in [
        (&a, ["hit.step", "detail.requested", "receipt"]),
        (&b, ["decision", "release", "receipt"]),
    ] {
        let line = format!("audit open --of-case {case} {AUDIT} --json --dir {dir}");
        let found = run(&line).exits(0).json();
        assert!(
            found
                .iter()
                .all(|entry| entry["entry"].to_string().contains(&case))
        );
        for kind in kinds {
            let of_kind = |entry: &&Value| entry["entry"]["event"]["type"] == kind;
            assert!(found.iter().any(|entry| of_kind(&entry)), "{kind} at {dir}");
        }
    }

    // The same record of ours, found by comparing lists: another case, which nobody pursues.
    run(&format!(
        "list import {} --list ours --format jsonl --dir {a}",
        wanted(root)
    ))
    .exits(0);
    let open = |record: &str| {
        run(&format!(
            "case open-hit --partner bb --list ours --source-id {record} {WHY} --json --dir {a}"
        ))
    };
    assert!(open("W-2").exits(1).stderr.contains("[DESK-011]"));
    let again = one(open("W-1"))["case_ids"][0]
        .as_str()
        .expect("a case")
        .to_owned();
    assert_ne!(again, case);
    let line =
        format!("case confirm {again} --officer ivan --comparison different --method {{}} --json --dir {a}");
    assert_eq!(
        state(&one(say(&line, &["another photograph"]))),
        "CONFIRMED_DIFFERENT"
    );
    let line =
        format!("case not-pursued {again} --officer ivan --reason different --text {{}} --json --dir {a}");
    assert_eq!(state(&one(say(&line, &["another man"]))), "NOT_PURSUED");
    let known = open("W-1").exits(1).json().remove(0);
    assert_eq!(known["case_ids"], json!([]), "a person has found it false lately");
}
