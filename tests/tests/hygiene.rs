//! No identifier leaves the agency: not over the wire, not into a log, a file name or the database's bytes.

#![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use concordat_tests::{
    Agency, OWNER, Pair, Record, Relay, Terms, born, document, free_port, item, name, person,
};
use concordat_wire::v1::{Verdict, job};
use sha2::{Digest, Sha256};

/// Everything either node logs, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// MD5 and SHA-1 of the clear forms below: digests of identifiers are identifiers, whoever can count to a billion.
const OLD_DIGESTS: [(&str, &str, &str); 3] = [
    (
        "XK4711993",
        "5aadfc2bd18a8a44e47ab504eaccee17",
        "70218d62dde89d8bcd273c59c7fe12b9ef22b083",
    ),
    (
        "Quistgaard",
        "8d1b718adbb17d4a5cbb889f47f8fabd",
        "73b31e418214b7dc2e93b03489a3e048988f313f",
    ),
    (
        "QUISTGAARD",
        "a71427832ed4a4134fee8488a8b79a70",
        "d5dc1af0c0b469111ea8cc0498c800bcd93fa449",
    ),
];

/// What must not be found, with a name that is not the thing itself.
fn needles(subjects: &[concordat_wire::v1::Subject]) -> Vec<(String, Vec<u8>)> {
    let mut secrets: Vec<(String, Vec<u8>)> = Vec::new();
    for (clear, _, _) in OLD_DIGESTS {
        secrets.push((format!("clear form {}", secrets.len()), clear.as_bytes().to_vec()));
    }
    for subject in subjects {
        let subject = concordat_wire::subject_from_proto(subject).expect("a subject");
        for identifier in concordat_identifiers::derive(&subject, jiff::civil::date(2026, 3, 2)).identifiers {
            let rule = identifier.rule().id();
            secrets.push((
                format!("canonical form of {rule}"),
                identifier.canonical().to_vec(),
            ));
            secrets.push((format!("OPRF input of {rule}"), identifier.oprf_input().to_vec()));
        }
    }
    let mut needles = Vec::new();
    let mut add = |name: &str, bytes: &[u8]| {
        needles.push((name.to_owned(), bytes.to_vec()));
        needles.push((format!("{name}, hexadecimal"), hex::encode(bytes).into_bytes()));
        needles.push((
            format!("{name}, HEXADECIMAL"),
            hex::encode_upper(bytes).into_bytes(),
        ));
        // Without the last group, which depends on what follows.
        let groups = bytes.len() / 3 * 3;
        needles.push((
            format!("{name}, base64"),
            STANDARD.encode(&bytes[..groups]).into_bytes(),
        ));
        needles.push((
            format!("{name}, base64url"),
            URL_SAFE_NO_PAD.encode(&bytes[..groups]).into_bytes(),
        ));
    };
    for (name, secret) in &secrets {
        assert!(
            secret.len() >= 6,
            "{name} is long enough not to be found by chance"
        );
        add(name, secret);
        add(&format!("SHA-256 of {name}"), &Sha256::digest(secret));
    }
    for (_, md5, sha1) in OLD_DIGESTS {
        add("an MD5", &hex::decode(md5).expect("hex"));
        add("a SHA-1", &hex::decode(sha1).expect("hex"));
    }
    needles
}

/// Finds any of many needles, whatever the case of letters, in one pass.
struct Search(HashMap<[u8; 6], Vec<(String, Vec<u8>)>>);

impl Search {
    fn new(needles: Vec<(String, Vec<u8>)>) -> Self {
        let mut search: HashMap<_, Vec<_>> = HashMap::new();
        for (name, needle) in needles {
            let needle = needle.to_ascii_lowercase();
            let start = *needle.first_chunk().expect("six bytes or more");
            search.entry(start).or_default().push((name, needle));
        }
        Self(search)
    }

    /// The name of a needle that is there.
    fn find(&self, haystack: &[u8]) -> Option<&str> {
        let haystack = haystack.to_ascii_lowercase();
        haystack.windows(6).enumerate().find_map(|(at, window)| {
            let starting = self.0.get(window)?;
            let found = starting
                .iter()
                .find(|(_, needle)| haystack[at..].starts_with(needle));
            found.map(|(name, _)| name.as_str())
        })
    }

    fn assert_clean(&self, place: &str, bytes: &[u8]) {
        assert_eq!(self.find(bytes), None, "{place} is not clean");
    }
}

/// Every file below a folder: its path, and its bytes.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identifier_leaves_the_agency() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    // One on both lists, one the owner's alone, one the asker's alone; and one that is rejected for its check digit.
    let shared = person(
        vec![name("Quistgaard", "Thorvald Emil")],
        vec![born(1963, 7, 29)],
        vec![document("XK4711993", "DNK")],
    );
    let theirs = person(
        vec![name("Zubizarreta", "Iker")],
        vec![born(1971, 1, 5)],
        vec![document("ZB5550187", "ESP")],
    );
    let ours = person(
        vec![name("Wojciechowska", "Halina")],
        vec![born(1988, 12, 2)],
        vec![document("PW9081726", "POL")],
    );
    let record = |id: &str, subject: &concordat_wire::v1::Subject| Record {
        source_id: id.into(),
        subject: Some(subject.clone()),
    };

    let port = free_port().await;
    let text = port.to_string();
    let asker = Agency::new("aa-border").await;
    let owner = Agency::configured(OWNER, Default::default(), &[("endpoint_port", &text)]).await;
    let relay = Relay::open(&asker, &owner, port).await;
    let mut pair = Pair::between(asker, owner, &Terms::default()).await;
    pair.owner
        .replace_list("wanted", &[record("w1", &shared), record("w2", &theirs)])
        .await;
    pair.asker
        .replace_list("ours", &[record("o1", &shared), record("o2", &ours)])
        .await;
    pair.refresh().await;

    let mut broken = shared.clone();
    broken.documents[0].issuer = "Quistgaard XK4711993".into();
    let answer = pair
        .asker
        .ask(vec![
            item("a", shared.clone()),
            item("b", ours.clone()),
            item("c", broken),
        ])
        .await;
    assert_eq!(answer.results[0].verdict(), Verdict::Hit);
    assert_eq!(answer.results[1].verdict(), Verdict::NoHit);
    let job = pair.asker.intersect("ours", OWNER).await;
    let job = pair.asker.finished(&job.job_id).await;
    assert_eq!(
        (job.state(), job.matches),
        (job::State::Succeeded, 2),
        "{}",
        job.detail
    );
    // And once more while the owner is down: errors are logged too.
    pair.owner.stop().await;
    pair.asker.ask(vec![item("a", shared.clone())]).await;

    let search = Search::new(needles(&[shared, theirs, ours]));
    let heard = relay.heard();
    assert!(heard.len() > 2_000, "the relay heard the queries");
    search.assert_clean("the wire", &heard);

    // Read while the asker's node still runs, so that its write-ahead log is there too.
    let mut read = Vec::new();
    files(pair.asker.folder(), &mut read);
    files(pair.owner.folder(), &mut read);
    assert!(
        read.iter()
            .any(|(path, bytes)| path.ends_with("node.db-wal") && bytes.len() > 10_000)
    );
    for (path, bytes) in &read {
        let base = path.rsplit('/').next().unwrap_or_default();
        search.assert_clean("a file's name", base.as_bytes());
        search.assert_clean(base, bytes);
    }

    let logged = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let lines = String::from_utf8_lossy(&logged);
    assert!(
        lines.contains("evaluating") && lines.contains("imported"),
        "both nodes were heard"
    );
    search.assert_clean("a log", &logged);
}

#[test]
fn the_search_finds_what_it_should() {
    let search = Search::new(vec![("a number".to_owned(), b"XK4711993".to_vec())]);
    assert_eq!(search.find(b"..XXK4711993"), Some("a number"));
    assert_eq!(
        search.find(b"number xk4711993 is"),
        Some("a number"),
        "in any case of letters"
    );
    assert_eq!(search.find(b"XK471199"), None);
    let subject = person(
        vec![name("Quistgaard", "Thorvald")],
        vec![born(1963, 7, 29)],
        vec![],
    );
    let search = Search::new(needles(&[subject]));
    let digest = STANDARD.encode(Sha256::digest(b"XK4711993"));
    assert!(
        search.find(format!("\"{digest}\"").as_bytes()).is_some(),
        "digests in base64"
    );
    assert!(
        search.find(hex::encode("QUISTGAARD").as_bytes()).is_some(),
        "hexadecimal"
    );
}
