//! What a case costs, from a hit to a release, and what the console's pages cost with many cases in the store.
//!
//! `cargo run --release -p concordat-tests --example cases -- [CASES] [STORED] [RECORDS]`
//!
//! Two nodes of this process with real TLS, databases and ledgers share the machine's cores. Every time is beside that of a call
//! that changes nothing (the registry of officers, over the same connection) or of the page that shows nothing (sign-in), in the
//! same run: compare those, not the milliseconds of one machine with those of another.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "an example, run by hand")]

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use concordat_console::Console;
use concordat_disclosure::software_passkey::{Flags, SoftwarePasskey};
use concordat_disclosure::{ChangeWhat, NewOfficer, OfficerKey, RelyingParty, Role};
use concordat_ledger::{Digest, Hex};
use concordat_node::desk::officers;
use concordat_store::{CaseChange, CaseClock, CaseRow, CaseSide, NewEvent, Store};
use concordat_synthetic::{Spec, World};
use concordat_tests::office::{Office, ask, confirm, propose, state};
use concordat_tests::staff::human;
use concordat_tests::{
    Agency, OWNER, Pair, Record, Run, START, Terms, born, document, free_port, item, name, person,
};
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{FieldValues, ListOfficersRequest, ReleaseStep, TakeUpStep};
use futures_util::{StreamExt, TryStreamExt};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use zeroize::Zeroizing;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Officers at work at once.
const AT_ONCE: usize = 8;
/// Views of each page.
const VIEWS: usize = 200;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse());
    let (cases, stored, records): (usize, usize, usize) = (number(200)?, number(100_000)?, number(20_000)?);

    let place = Place::new(cases, records).await?;
    let hits = place.hits(cases).await;
    println!("{cases} cases; the owner's list has {} records", records + cases);
    let nothing = place.nothing().await?;
    println!("a call that changes nothing: {nothing}");
    place.requests(&hits).await?;
    place.releases(&hits, &nothing).await?;

    let start = Instant::now();
    fill(&place.pair.owner.node().state.store, stored).await?;
    println!(
        "{stored} more cases in the owner's store in {:.0?}",
        start.elapsed()
    );
    place.pages(&hits[0]).await
}

/// Times of the same thing, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    fn beside(&self, other: &Self) -> String {
        let times = self.at(50).as_secs_f64() / other.at(50).as_secs_f64();
        format!("{self}, {times:.1} times that at p50")
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most] = [50, 99].map(|percent| self.at(percent).as_secs_f64() * 1_000.0);
        write!(f, "p50 {half:.1} ms, p99 {most:.1} ms of {}", self.0.len())
    }
}

struct Place {
    pair: Pair,
    asking: Office,
    owning: Office,
    console: Console,
}

fn number(case: usize) -> String {
    format!("P{:07}", 1_000_000 + case)
}

impl Place {
    async fn new(cases: usize, records: usize) -> Result<Self> {
        let settings = [("threads", "0"), ("query_chunk_elements", "256")];
        let port = free_port().await;
        let console = format!("[console]\nlisten = \"127.0.0.1:{port}\"\n");
        let asker = Agency::configured("aa-border", Run::Here, &settings).await;
        let settings = [&settings[..], &[("console", &console)]].concat();
        let owner = Agency::configured(OWNER, Run::Here, &settings).await;
        let mut terms = Terms::default().disclosing().quota(100_000_000, 1_000_000_000);
        // All requests are of one day here, and nobody waits an hour.
        terms.disclosure += "bulk = { from = 100000, wait_minutes = 60 }\n";
        let pair = Pair::between(asker, owner, &terms).await;
        let world = World::new(Spec {
            seed: 1,
            left: 10,
            right: records as u64,
            overlap: 10,
            reference_date: jiff::civil::date(2026, 3, 2),
        })?;
        let mut bytes = Vec::new();
        concordat_synthetic::write_jsonl(&mut bytes, world.right())?;
        pair.owner.import_jsonl("wanted", bytes).await?;
        let ours: Vec<Record> = (0..cases)
            .map(|case| Record {
                source_id: format!("W-{case}"),
                subject: Some(person(
                    vec![name("MARKOV", "IVAN PETROVICH")],
                    vec![born(1975, 4, 12)],
                    vec![document(&number(case), "RUS")],
                )),
            })
            .collect();
        for some in ours.chunks(500) {
            pair.owner.upsert("wanted", some.to_vec()).await;
        }
        pair.refresh().await;
        let (asking, owning) = (Office::of(&pair.asker, 1).await, Office::of(&pair.owner, 2).await);
        let console = Console::start(pair.owner.node()).await?.ok_or("no console")?;
        Ok(Self {
            pair,
            asking,
            owning,
            console,
        })
    }

    /// Cases, each opened by a hit and confirmed by a person.
    async fn hits(&self, cases: usize) -> Vec<String> {
        let mut hits = Vec::with_capacity(cases);
        for some in (0..cases).collect::<Vec<_>>().chunks(100) {
            let traveller = |case: &usize| {
                item(
                    &case.to_string(),
                    person(vec![], vec![], vec![document(&number(*case), "RUS")]),
                )
            };
            let answer = self.pair.asker.ask(some.iter().map(traveller).collect()).await;
            for result in &answer.results {
                let opened = result.partners[0].case_ids.first();
                hits.push(opened.expect("the hit opens a case").clone());
            }
        }
        for hit in &hits {
            let confirmed = self.asking.take(hit, "ivan", confirm()).await;
            confirmed.expect("confirmed");
        }
        hits
    }

    async fn nothing(&self) -> Result<Times> {
        let mut client = self.owning.client.clone();
        let mut times = Vec::new();
        for _ in 0..200 {
            let start = Instant::now();
            client.list_officers(ListOfficersRequest {}).await?;
            times.push(start.elapsed());
        }
        Ok(Times::of(times))
    }

    /// Every case is asked about: proof of hit and agreement checked, in both databases and both ledgers.
    async fn requests(&self, hits: &[String]) -> Result<()> {
        let start = Instant::now();
        let asked = futures_util::stream::iter(hits).map(async |hit| {
            let start = Instant::now();
            let asked = self.asking.take(hit, "ivan", Step::Request(ask())).await?;
            if state(&asked) != "REQUESTED" {
                return Err(format!("{}, sending {:?}", state(&asked), asked.sending).into());
            }
            Ok::<_, Box<dyn Error>>(start.elapsed())
        });
        let times: Vec<Duration> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
        let rate = hits.len() as f64 / start.elapsed().as_secs_f64();
        println!(
            "requests taken by the owner: {rate:.0} a second, {AT_ONCE} at once; each {}",
            Times::of(times)
        );
        Ok(())
    }

    /// From the last officer's signature until the requester's node has the release.
    async fn releases(&self, hits: &[String], nothing: &Times) -> Result<()> {
        let (mut decided, mut released, mut arrived) = (Vec::new(), Vec::new(), Vec::new());
        for hit in hits {
            let office = &self.owning;
            let taken = office.take(hit, "anna", Step::TakeUp(TakeUpStep {})).await?;
            let mut proposal = propose(&taken);
            proposal.withheld.clear();
            proposal.released.push(FieldValues {
                field: "i".into(),
                values: vec!["forged documents".into()],
            });
            office.take(hit, "anna", Step::Propose(proposal)).await?;
            office.approve(hit, "anna").await?;
            let start = Instant::now();
            let approved = office.approve(hit, "ben").await?;
            decided.push(start.elapsed());
            if state(&approved) != "APPROVED" {
                return Err(state(&approved).into());
            }
            office.take(hit, "ben", Step::Release(ReleaseStep {})).await?;
            released.push(start.elapsed());
            while state(&self.asking.see(hit, "ivan").await) != "RELEASED" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            arrived.push(start.elapsed());
        }
        for (what, times) in [
            ("last signature to decision", decided),
            ("last signature to release", released),
            ("last signature to the requester's screen", arrived),
        ] {
            println!("{what}: {}", Times::of(times).beside(nothing));
        }
        Ok(())
    }

    async fn pages(&self, case: &str) -> Result<()> {
        let mut browser = Browser::open(self).await?;
        let mut officers = Vec::new();
        for (name, role) in [("olga", Role::Officer), ("otto", Role::Auditor)] {
            let mut secret = [7; 32];
            secret[0] = name.as_bytes()[1];
            let key = SoftwarePasskey::new(&secret)?;
            let new = NewOfficer {
                person: human(name),
                roles: BTreeSet::from([role]),
                accounts: BTreeSet::new(),
                keys: vec![OfficerKey::Passkey(key.public())],
            };
            let change = self.owning.change(ChangeWhat::Enrol(new)).await;
            self.owning.apply(&change, &["ada", "bob"]).await?;
            officers.push((name, key));
        }
        self.pair.advance(61);
        let empty = Times::of(browser.views("/sign-in").await?.0);
        println!("the console's empty page (sign-in): {empty}");
        let case = format!("/cases/{case}");
        let pages: [&[(&str, &str)]; 2] = [
            &[("inbox", "/"), ("all cases", "/?show=all"), ("a case", &case)],
            &[
                ("a case, replayed", &case),
                ("ledger and cases", "/audit"),
                ("reports", "/audit/reports"),
            ],
        ];
        for ((officer, key), pages) in officers.iter_mut().zip(pages) {
            browser
                .sign_in(officer, key, &self.relying_party().await?)
                .await?;
            for (name, path) in pages {
                let (times, bytes) = browser.views(path).await?;
                println!(
                    "{officer}: {name}, {} KiB: {}",
                    bytes / 1024,
                    Times::of(times).beside(&empty)
                );
            }
        }
        Ok(())
    }

    async fn relying_party(&self) -> Result<RelyingParty> {
        let party = officers::relying_party(&self.pair.owner.node().state).await;
        party.map_err(|fault| fault.to_string().into())
    }
}

/// One connection, kept open, as a browser has it.
struct Browser {
    stream: BufReader<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>,
    host: String,
    cookie: String,
}

struct Answer {
    status: String,
    cookie: Option<String>,
    body: String,
}

impl Browser {
    async fn open(place: &Place) -> Result<Self> {
        let ca = rustls::pki_types::CertificateDer::from_pem_file(
            place.pair.owner.folder().join("tls").join("ca.crt"),
        )?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = place.console.address;
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector
            .connect(ServerName::try_from("localhost")?, stream)
            .await?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: format!("localhost:{}", address.port()),
            cookie: String::new(),
        })
    }

    async fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let host = &self.host;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\norigin: https://{host}\r\nsec-fetch-site: same-origin\r\n\
             cookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            self.cookie,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let (mut status, mut cookie, mut length) = (String::new(), None, 0);
        self.stream.read_line(&mut status).await?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "set-cookie" => cookie = value.split(';').next().map(str::to_owned),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer {
            status,
            cookie,
            body: String::from_utf8(body)?,
        })
    }

    async fn sign_in(
        &mut self,
        officer: &str,
        key: &mut SoftwarePasskey,
        console: &RelyingParty,
    ) -> Result<()> {
        let asked = self
            .send("POST", "/sign-in", &format!("officer={officer}"))
            .await?;
        let (_, rest) = asked
            .body
            .split_once("name=\"challenge\" value=\"")
            .ok_or("no challenge")?;
        let challenge = rest.split_once('"').ok_or("no end")?.0;
        let digest: Digest = Hex::parse(challenge).ok_or("no digest")?;
        let assertion = key.assert(&digest, console, Flags::BOTH)?;
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let id = encoded(&assertion.credential.0);
        let answer = serde_json::json!({
            "id": id, "rawId": id, "type": "public-key", "extensions": {},
            "response": {
                "authenticatorData": encoded(&assertion.authenticator_data.0),
                "clientDataJSON": encoded(&assertion.client_data.0),
                "signature": encoded(&assertion.signature.0),
                "userHandle": null,
            },
        });
        // No character of it needs escaping in a form but these.
        let answer = answer
            .to_string()
            .replace('%', "%25")
            .replace('+', "%2B")
            .replace('&', "%26");
        let body = format!("officer={officer}&challenge={challenge}&answer={answer}");
        let opened = self.send("POST", "/sign-in/passkey", &body).await?;
        self.cookie = opened
            .cookie
            .ok_or_else(|| format!("{officer}: {}", opened.body))?;
        Ok(())
    }

    /// A page again and again; how long each took, and its size.
    async fn views(&mut self, path: &str) -> Result<(Vec<Duration>, usize)> {
        let (mut times, mut bytes) = (Vec::with_capacity(VIEWS), 0);
        for _ in 0..VIEWS {
            let start = Instant::now();
            let answer = self.send("GET", path, "").await?;
            times.push(start.elapsed());
            bytes = answer.body.len();
            if !answer.status.contains(" 200 ") {
                return Err(format!("{path}: {}", answer.status).into());
            }
        }
        Ok((times, bytes))
    }
}

/// Cases of the years before: one in twenty still open, the others closed.
async fn fill(store: &Store, cases: usize) -> Result<()> {
    let changes = (0..cases).map(|case| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(case as u64).to_be_bytes());
        id[15] = 1;
        let mut tag = [0; 16];
        tag.copy_from_slice(&id);
        let opened_ms = START * 1_000 - i64::try_from(case).unwrap_or(0) * 60_000;
        let open = case % 20 == 0;
        store.change_case(CaseChange {
            row: CaseRow {
                id,
                side: CaseSide::Owner,
                partner: "aa-border".to_owned(),
                agreement: "aa-bb-2026".to_owned(),
                offer: "docs".to_owned(),
                epoch: 1,
                kind: "travel_document".to_owned(),
                exchange: id,
                tag,
                state: if open { "TRIAGE" } else { "CLOSED" }.to_owned(),
                waits_for: open.then_some(CaseSide::Owner),
                purpose: "BORDER_CHECK".to_owned(),
                urgency: "NORMAL".to_owned(),
                opened_ms,
                updated_ms: opened_ms,
                // Due at some time within the next two days.
                clock: open.then_some(CaseClock {
                    started_ms: START * 1_000,
                    due_ms: (START + 172_800 - i64::try_from(case % 3_600).unwrap_or(0)) * 1_000,
                    stopped: false,
                    ended: false,
                    reminded: 0,
                }),
                expires_ms: None,
                step: 1,
                head: [0; 32],
            },
            private: None,
            events_before: 0,
            events: vec![NewEvent {
                at_ms: opened_ms,
                private: false,
                document: Zeroizing::new(String::new()),
            }],
            documents: Vec::new(),
            forget: Vec::new(),
            pending: None,
            delivered: Some(1),
            counters: Vec::new(),
            suppress: None,
        })
    });
    let mut changes = futures_util::stream::iter(changes).buffer_unordered(64);
    while let Some(changed) = changes.next().await {
        changed?;
    }
    Ok(())
}
