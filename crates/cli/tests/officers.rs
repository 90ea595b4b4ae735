//! The register of officers by the command line: what it belongs to, who signs, and how a passkey comes to keys in files.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{Node, free_ports, init, run};

/// Keys in files of these people, as `officer found` takes them.
fn keys<const N: usize>(root: &Path, names: [&str; N]) -> [String; N] {
    names.map(|name| {
        let file = root.join(format!("{name}.key"));
        let made = run(&format!("officer file-key --out {}", file.display())).exits(0);
        format!("{name}={}", made.stdout.trim())
    })
}

fn sign(root: &Path, by: &str, key: &str) -> common::Ran {
    let (change, key) = (root.join("change.json"), root.join(format!("{key}.key")));
    run(&format!(
        "officer sign {} --officer {by} --officer-key {} --yes",
        change.display(),
        key.display()
    ))
}

fn set_console(dir: &Path, section: &str) {
    let path = dir.join("concordat.toml");
    let config = fs::read_to_string(&path).expect("there");
    let others = config.split("\n[console]").next().expect("a beginning");
    fs::write(&path, format!("{others}\n[console]\n{section}\n")).expect("written");
}

#[test]
fn a_register_belongs_to_a_console_that_was_meant() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    let dir = init(root, "aa");
    let (node, change) = (dir.display(), root.join("change.json"));
    let change = change.display();
    let [ada, bob, _] = keys(root, ["ada", "bob", "eve"]);
    let running = Node::start(&dir);

    let party = run(&format!("agreement party --dir {node}")).exits(0);
    assert!(
        party
            .stderr
            .contains("warning: no console is configured, so an agreement names https://localhost"),
        "{}",
        party.stderr
    );
    let found = format!("officer found --out {change} --dir {node} --administrator {ada}");
    run(&found).exits(2);
    run(&format!("{found} --administrator {ada}")).exits(2);
    let meant = format!("{found} --administrator {bob}");
    let unset = run(&meant).exits(1).stderr;
    assert!(
        unset.contains("no console is configured") && unset.contains("--no-console"),
        "{unset}"
    );

    // Once it is set, the block names it.
    running.stop();
    let [port, other] = free_ports();
    set_console(
        &dir,
        &format!("listen = \"127.0.0.1:{port}\"\nhost = \"desk.example\""),
    );
    let running = Node::start(&dir);
    let address = format!("https://desk.example:{port}");
    let party = run(&format!("agreement party --dir {node}")).exits(0);
    assert!(
        party.stderr.contains(&format!("our officers sign at {address}"))
            && !party.stderr.contains("warning"),
        "{}",
        party.stderr
    );
    let founding = run(&meant).exits(0);
    assert!(founding.stderr.contains(&address), "{}", founding.stderr);

    let foreign = sign(root, "ada", "bob").exits(1).stderr;
    assert!(
        foreign.contains("this is not a key of ada: nothing was signed"),
        "{foreign}"
    );
    let stranger = sign(root, "eve", "eve").exits(1).stderr;
    assert!(
        stranger.contains("eve does not sign this change") && stranger.contains("ada, bob"),
        "{stranger}"
    );
    assert!(
        sign(root, "ada", "ada")
            .exits(0)
            .stdout
            .contains("bob must still sign")
    );
    let early = run(&format!("officer apply {change} --dir {node}"))
        .exits(1)
        .stderr;
    assert!(
        early.contains("each founder signs: bob must still sign [DISC-050]"),
        "{early}"
    );
    assert!(
        sign(root, "bob", "bob")
            .exits(0)
            .stdout
            .contains("next: `concordat officer apply")
    );
    let made = run(&format!("officer apply {change} --dir {node}"))
        .exits(0)
        .stdout;
    assert!(made.contains(&format!("keys belong to {address}")), "{made}");

    // Moved afterwards, it is said at the start, and everywhere the block stays the one of the founding.
    let log = running.stop();
    assert!(!log.contains("ERROR"), "{log}");
    set_console(
        &dir,
        &format!("listen = \"127.0.0.1:{other}\"\nhost = \"other.example\""),
    );
    let running = Node::start(&dir);
    let party = run(&format!("agreement party --dir {node}")).exits(0);
    assert!(
        party.stdout.contains(&format!("console = \"{address}\"")),
        "{}",
        party.stdout
    );
    assert!(
        party.stderr.contains(&format!("was founded at {address}")),
        "{}",
        party.stderr
    );
    let log = running.stop();
    assert!(
        log.contains("ERROR") && log.contains("https://other.example") && log.contains("nobody can sign in"),
        "{log}"
    );
}

#[test]
fn keys_in_files_come_to_a_passkey_by_a_link() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    let dir = init(root, "aa");
    let [port] = free_ports();
    set_console(&dir, &format!("listen = \"127.0.0.1:{port}\""));
    let (node, change) = (dir.display(), root.join("change.json"));
    let change = change.display();
    let [ada, bob, eve] = keys(root, ["ada", "bob", "eve"]);
    let _running = Node::start(&dir);
    let link = |rest: &str| run(&format!("officer link {rest} --dir {node}"));
    assert!(link("ada").exits(1).stderr.contains("[DESK-001]"), "nobody yet");
    let apply = || run(&format!("officer apply {change} --dir {node}")).exits(0);
    run(&format!(
        "officer found --administrator {ada} --administrator {bob} --out {change} --dir {node}"
    ))
    .exits(0);
    for name in ["ada", "bob"] {
        sign(root, name, name).exits(0);
    }
    apply();

    let alone = link("ada").exits(1).stderr;
    assert!(
        alone.contains("enrol another administrator first [DISC-050]"),
        "two others sign a key: {alone}"
    );
    assert!(link("zoe").exits(1).stderr.contains("[DISC-052]"));
    assert!(
        link("ada --role administrator")
            .exits(1)
            .stderr
            .contains("[DISC-051]")
    );
    let new = link("carol --role administrator").exits(0);
    let address = format!("https://localhost:{port}/enrol/");
    assert!(
        new.stdout.starts_with(&address) && new.stderr.contains("for carol, once, until"),
        "{new:?}"
    );

    // With a third administrator, each can have a further key.
    let key = eve.split_once('=').expect("a key").1;
    fs::remove_file(change.to_string()).expect("there");
    run(&format!(
        "officer enrol eve --role administrator --officer-key {key} --out {change} --dir {node}"
    ))
    .exits(0);
    for name in ["ada", "bob"] {
        sign(root, name, name).exits(0);
    }
    apply();
    assert!(link("ada").exits(0).stdout.starts_with(&address));
    let waiting = run(&format!("officer waiting --dir {node}")).exits(0).stdout;
    assert!(
        waiting.contains("no change waits"),
        "nobody has registered: {waiting}"
    );
    run(&format!(
        "officer waiting ada --out {} --dir {node}",
        root.join("none.json").display()
    ))
    .exits(2);

    // Another client than the admin makes no links.
    run(&format!("client add gate --dir {node}")).exits(0);
    let files = ["--cert", "--key"].map(|option| {
        let ending = if option == "--cert" { "crt" } else { "key" };
        format!(
            "{option} {}",
            dir.join(format!("clients/gate.{ending}")).display()
        )
    });
    let other = link(&format!("ada {}", files.join(" "))).exits(1).stderr;
    assert!(other.contains("[NODE-010]"), "{other}");
}

#[test]
fn an_agreement_under_which_nobody_can_approve_is_not_signed_in_silence() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    let (aa, bb) = (init(root, "aa"), init(root, "bb"));
    let (a, b) = (aa.display(), bb.display());
    let (_asker, owner) = (Node::start(&aa), Node::start(&bb));
    let party = run(&format!("agreement party --dir {b}")).exits(0).stdout;
    let file = |name: &str| root.join(name).display().to_string();
    fs::write(file("bb.toml"), party).expect("written");
    let draft = run(&format!(
        "agreement template --owner bb --requester aa --list wanted --legal-basis EU:2024/982:26 --party {}",
        file("bb.toml")
    ));
    fs::write(file("draft.toml"), draft.exits(0).stdout).expect("written");
    let offer = file("offer.txt");
    let proposed = run(&format!(
        "agreement propose {} --out {offer} --dir {a}",
        file("draft.toml")
    ))
    .exits(0);
    assert!(
        !proposed.stderr.contains("warning"),
        "who asks approves nothing: {}",
        proposed.stderr
    );
    let signed = run(&format!(
        "agreement sign {offer} --out {} --dir {b}",
        file("signed.txt")
    ))
    .exits(0);
    let why = "nobody here can approve a release under it";
    assert!(
        signed.stderr.contains("warning: ") && signed.stderr.contains(why),
        "{}",
        signed.stderr
    );
    owner.stop();
    let log = Node::start(&bb).stop();
    assert!(log.contains("WARN") && log.contains(why), "{log}");

    // The console is set up under another name than the agreement has.
    set_console(&bb, "listen = \"127.0.0.1:0\"\nport = 7448");
    let _owner = Node::start(&bb);
    let again = run(&format!("agreement sign {offer} --dir {b}")).exits(1).stderr;
    assert!(
        again.contains(
            "names https://localhost as our console, but `[console]` of this node says https://localhost:7448"
        ) && again.contains("[AGR-039]"),
        "{again}"
    );
    let id = run(&format!("agreement ls --json --dir {b}"))
        .exits(0)
        .json()
        .remove(0);
    let warnings = id["warnings"].to_string();
    assert!(warnings.contains("Agree anew"), "{warnings}");
}
