//! An auditor at a node: what is listed, opened on record, proven, counted, and served to whoever reaches the address.

use std::path::Path;
use std::process::Command;

use concordat_ledger::{AddCheckpoint, Bundle, Event, Keys, Leaf, Opening, attach_cosignatures};
use concordat_node::clock::ManualClock;
use concordat_node::http::Client;
use concordat_node::identity;
use concordat_node::tls::{self, Credentials};
use concordat_node::witness::{self, Witness};
use concordat_tests::{Agency, OWNER, Pair, START, Terms, document, item, person, wait_for};
use concordat_wire::FaultView;
use concordat_wire::v1::agreement_service_client::AgreementServiceClient;
use concordat_wire::v1::audit_service_client::AuditServiceClient;
use concordat_wire::v1::matching_service_client::MatchingServiceClient;
use concordat_wire::v1::node_service_client::NodeServiceClient;
use concordat_wire::v1::snapshot_service_client::SnapshotServiceClient;
use concordat_wire::v1::watchlist_service_client::WatchlistServiceClient;
use concordat_wire::v1::{
    AuditContext, EntryFilter, GetCheckpointRequest, InfoRequest, ListAgreementsRequest, ListClientsRequest,
    ListEntriesRequest, ListListsRequest, MatchItem, MatchRequest, OpenEntriesRequest, OpenedEntry,
    ProveEntryRequest, ReportRequest, SnapshotStatusRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::hostile_requester::{listed, refusals, rule_of};
use crate::tls::channel;

const NUMBER: &str = "ZX7741209";

pub(crate) fn passport(number: &str) -> MatchItem {
    item(number, person(vec![], vec![], vec![document(number, "NLD")]))
}

pub(crate) fn reason() -> AuditContext {
    AuditContext {
        purpose: "AUDIT".into(),
        legal_basis: "EU:2016/680:47".into(),
        case_reference: "AUDIT-1".into(),
        officer: "auditor-3".into(),
        recipient: "authority".into(),
    }
}

async fn asked() -> Pair {
    let pair = Pair::with(Terms::default(), listed()).await;
    pair.asker.ask(vec![passport(NUMBER)]).await;
    pair
}

async fn open(
    agency: &Agency,
    filter: EntryFilter,
    context: Option<AuditContext>,
    limit: u32,
) -> Result<Vec<OpenedEntry>, Status> {
    let request = OpenEntriesRequest {
        filter: Some(filter),
        context,
        limit,
    };
    let mut stream = agency.auditing().open_entries(request).await?.into_inner();
    let mut opened = Vec::new();
    while let Some(entry) = stream.message().await? {
        opened.push(entry);
    }
    Ok(opened)
}

pub(crate) fn rule<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    FaultView::from(&answer.expect_err("refused")).rule
}

fn of_type(kind: &str) -> EntryFilter {
    EntryFilter {
        r#type: kind.into(),
        ..EntryFilter::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_opened_is_on_record_first_and_proven_offline() {
    let pair = asked().await;
    let agency = &pair.asker;
    let found =
        |filter: EntryFilter| async move { open(agency, filter, Some(reason()), 0).await.expect("opened") };
    let queries = found(of_type("query")).await;
    assert_eq!(queries.len(), 1);
    let entry = queries[0].entry.clone().expect("an entry");
    let (number, leaf) = Leaf::parse(entry.leaf.as_bytes()).expect("a leaf");
    assert_eq!(number, entry.number);
    let said = Opening::parse(&queries[0].opening)
        .expect("an opening")
        .verify(&leaf);
    let said = said.expect("what was committed to");
    assert!(matches!(said.event, Event::Query(_)));
    let records = agency.entries_of("opened").await;
    let Event::Opened(record) = &records[0].event else {
        panic!("an opening")
    };
    assert_eq!(
        (record.by.id.as_str(), record.recipient.as_str()),
        ("auditor-3", "authority")
    );
    assert_eq!(record.entries.iter().collect::<Vec<_>>(), [number..=number]);

    // By what is sealed, each alone and together; nothing is recorded where nothing is found.
    let filters = |purpose: &str, who: &str, case: &str, partner: &str| EntryFilter {
        purpose: purpose.into(),
        person: who.into(),
        case_reference: case.into(),
        partner: partner.into(),
        ..of_type("query")
    };
    for filter in [
        filters("BORDER_CHECK", "", "", ""),
        filters("border-check", "", "", ""),
        filters("", "commander-1", "", ""),
        filters("BORDER_CHECK", "officer-1", "case-1", OWNER),
    ] {
        assert_eq!(found(filter).await.len(), 1);
    }
    let before = agency.entries_of("opened").await.len();
    for filter in [
        filters("FUGITIVE", "", "", ""),
        filters("", "nobody", "", ""),
        filters("BORDER_CHECK", "officer-1", "case-2", ""),
        filters("", "commander-2", "", OWNER),
    ] {
        assert!(found(filter).await.is_empty());
    }
    // What nobody has is not merely not found.
    let nobody = open(agency, filters("", "", "", "somebody"), Some(reason()), 0).await;
    assert_eq!(rule(nobody), "AUD-013");
    let no_type = open(agency, of_type("qeury"), Some(reason()), 0).await;
    assert_eq!(rule(no_type), "AUD-001");
    assert_eq!(agency.entries_of("opened").await.len(), before);

    // Proven, with the node away.
    agency.published().await;
    let prove = |number, context| async move {
        let request = ProveEntryRequest {
            number,
            context,
            queried: None,
        };
        agency
            .auditing()
            .prove_entry(request)
            .await
            .map(|answer| answer.into_inner().bundle)
    };
    let keys = Keys::of(agency.node().state.ledger.verifier());
    let check = |bundle: String| {
        Bundle::parse(bundle.as_bytes())
            .expect("a bundle")
            .check(&keys)
            .expect("it holds")
    };
    assert_eq!(
        check(prove(number, Some(reason())).await.expect("a bundle")).entry,
        Some(said)
    );
    assert_eq!(check(prove(number, None).await.expect("a bundle")).entry, None);
    assert_eq!(rule(prove(u64::MAX, None).await), "AUD-004");
    let newest = agency.auditing().get_checkpoint(GetCheckpointRequest {}).await;
    let newest = newest.expect("a checkpoint").into_inner();
    assert_eq!(newest.key, keys.log.to_string());
    assert!(!newest.checkpoint.is_empty());

    // Counted.
    let counts = agency
        .auditing()
        .report(ReportRequest::default())
        .await
        .expect("a report")
        .into_inner();
    let queries = counts
        .rows
        .iter()
        .find(|row| row.r#type == "query")
        .expect("a row");
    assert_eq!(
        (queries.purpose.as_str(), queries.entries, queries.erased),
        ("BORDER_CHECK", 1, false)
    );
    // The exchange is counted once.
    let once: Vec<_> = counts
        .rows
        .iter()
        .filter(|row| row.purpose == "BORDER_CHECK" && !row.repeats)
        .map(|row| row.r#type.as_str())
        .collect();
    assert_eq!(once, ["query"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_opened_without_reason_and_record() {
    let pair = asked().await;
    let agency = &pair.asker;
    assert_eq!(rule(open(agency, of_type("query"), None, 0).await), "AUD-009");
    for blank in 0..4 {
        let mut context = reason();
        let fields = [
            &mut context.purpose,
            &mut context.legal_basis,
            &mut context.case_reference,
            &mut context.recipient,
        ];
        fields.into_iter().nth(blank).expect("a field").clear();
        assert_eq!(
            rule(open(agency, of_type("query"), Some(context), 0).await),
            "AUD-009"
        );
    }
    assert_eq!(
        rule(open(agency, of_type("query"), Some(reason()), 10_001).await),
        "AUD-003"
    );
    let by_person = EntryFilter {
        person: "officer-1".into(),
        ..EntryFilter::default()
    };
    let list = |filter: EntryFilter| async move {
        let request = ListEntriesRequest {
            filter: Some(filter),
            limit: 0,
        };
        let mut stream = agency.auditing().list_entries(request).await?.into_inner();
        let mut count = 0;
        while stream.message().await?.is_some() {
            count += 1;
        }
        Ok::<_, Status>(count)
    };
    assert_eq!(rule(list(by_person).await), "AUD-002");
    for bad in [
        EntryFilter {
            since: "yesterday".into(),
            ..EntryFilter::default()
        },
        EntryFilter {
            exchange: vec![1; 15],
            ..EntryFilter::default()
        },
    ] {
        assert_eq!(rule(list(bad).await), "AUD-001");
    }
    assert!(agency.entries_of("opened").await.is_empty());
    assert_eq!(list(of_type("query")).await.expect("listed"), 1);
    // A halted ledger records nothing, and so opens nothing.
    agency.node().state.ledger.halt("a test".into());
    assert_eq!(
        rule(open(agency, of_type("query"), Some(reason()), 0).await),
        "LEDG-001"
    );
}

async fn raw(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(20), reading)
        .await
        .expect("in time")
        .expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_files_and_nothing_else_are_served() {
    let pair = asked().await;
    pair.asker.published().await;
    let address = pair.asker.node().ledger_address.expect("served");
    let get = |method: &'static str, path: &'static str| async move {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        raw(address, &head).await
    };
    let checkpoint = get("GET", "/checkpoint").await;
    assert!(checkpoint.starts_with("HTTP/1.1 200"), "{checkpoint}");
    assert!(checkpoint.contains("cache-control: no-store"), "{checkpoint}");
    let on_disk =
        std::fs::read_to_string(pair.asker.folder().join("ledger/checkpoint")).expect("a checkpoint");
    let origin = on_disk.lines().next().expect("a line");
    assert!(checkpoint.contains(origin));
    let head = get("HEAD", "/checkpoint").await;
    assert!(
        head.starts_with("HTTP/1.1 200") && !head.contains(origin),
        "{head}"
    );
    for path in [
        "/",
        "/.lock",
        "/../node.db",
        "/%2e%2e/node.db",
        "/tile/../../node.db",
        "/tile/0/../../checkpoint",
        "//checkpoint",
        "/checkpoint/",
        "/checkpoint.tmp",
        "/tile/0/999",
        "/tile/0/x001/000",
        "/tile/entries/000.p/256",
    ] {
        let answer = get("GET", path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert!(
            get(method, "/checkpoint").await.starts_with("HTTP/1.1 405"),
            "{method}"
        );
    }
    let fat = raw(
        address,
        "POST /checkpoint HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde",
    )
    .await;
    assert!(fat.starts_with("HTTP/1.1 413"), "{fat}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_witness_cosigns_what_the_node_publishes() {
    let pair = asked().await;
    let latest = pair.asker.published().await;
    let log = pair.asker.node().state.ledger.verifier();
    let dir = tempfile::tempdir().expect("a folder");
    let start = || async {
        let witness = Witness::open(dir.path(), "w.example/1", vec![log.clone()], &mut rand::rng());
        let witness = std::sync::Arc::new(witness.expect("a witness"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = Client::new(&format!("http://{}", listener.local_addr().expect("an address")));
        let (key, stop) = (witness.cosigner(), CancellationToken::new());
        let clock = std::sync::Arc::new(ManualClock::new(START));
        let task = tokio::spawn(witness::serve(witness, clock, listener, stop.clone()));
        (client.expect("a client"), key, stop, task)
    };
    let (client, key, stop, task) = start().await;
    let request = |old_size| AddCheckpoint {
        old_size,
        proof: vec![],
        checkpoint: latest.to_string(),
    };
    let body = request(0).to_string().into_bytes();
    let (status, answer) = client
        .post("add-checkpoint", body.clone(), 4_096)
        .await
        .expect("answered");
    assert_eq!(status, 200);
    let mut cosigned = latest.clone();
    assert_eq!(
        attach_cosignatures(&mut cosigned, std::slice::from_ref(&key), &answer),
        Some(1)
    );
    assert!(cosigned.cosigned_by(&key).is_some());
    // It stops reading at once, so the answer may not even arrive.
    match client.post("add-checkpoint", vec![b'x'; 1 << 20], 4_096).await {
        Ok((status, _)) => assert_eq!(status, 413),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    stop.cancel();
    task.await.expect("ended");

    // It comes back, and remembers.
    drop(client);
    let (client, same, stop, task) = start().await;
    assert_eq!(same, key);
    let (status, answer) = client
        .post("add-checkpoint", body, 4_096)
        .await
        .expect("answered");
    assert_eq!(
        (status.as_u16(), answer),
        (409, format!("{}\n", latest.size()).into())
    );
    stop.cancel();
    task.await.expect("ended");
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_in_another_language_verifies_what_a_node_wrote() {
    let pair = asked().await;
    pair.asker.published().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/ledger/tests/reader.py");
    let key = pair.asker.node().state.ledger.verifier().to_string();
    let run = Command::new("python3")
        .arg(script)
        .arg(pair.asker.folder().join("ledger"))
        .arg(key)
        .output();
    let Ok(output) = run else {
        eprintln!("SKIPPED: python3 cannot be run, so no independent reader verifies the log");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("HOLDS"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_may_audit_and_nothing_else() {
    let pair = asked().await;
    let agency = &pair.asker;
    let port = agency.node().api_address.port();
    let files = identity::create_client(agency.folder(), "court").expect("made");
    let store = &agency.node().state.store;
    store
        .add_auditor("court", &files.fingerprint, 0)
        .await
        .expect("kept");
    let read = |path: &Path| std::fs::read(path).expect("read");
    let credentials = Credentials::from_pem(&read(&files.certificate), &read(&files.key)).expect("PEM");
    let config = tls::api_client(&credentials, &read(&files.ca)).expect("TLS");
    let channel = channel(config, port);

    NodeServiceClient::new(channel.clone())
        .info(InfoRequest {})
        .await
        .expect("let in");
    let mut audit = AuditServiceClient::new(channel.clone());
    audit
        .get_checkpoint(GetCheckpointRequest {})
        .await
        .expect("an auditor's own");
    let request = MatchRequest {
        items: vec![passport(NUMBER)],
        ..MatchRequest::default()
    };
    let asked = MatchingServiceClient::new(channel.clone()).r#match(request).await;
    assert_eq!(rule(asked), "NODE-016");
    let lists = WatchlistServiceClient::new(channel.clone())
        .list_lists(ListListsRequest {})
        .await;
    assert_eq!(rule(lists), "NODE-016");
    let agreements = AgreementServiceClient::new(channel.clone())
        .list(ListAgreementsRequest {})
        .await;
    assert_eq!(rule(agreements), "NODE-016");
    let fetched = SnapshotServiceClient::new(channel.clone())
        .status(SnapshotStatusRequest {})
        .await;
    assert_eq!(rule(fetched), "NODE-016");
    let clients = NodeServiceClient::new(channel)
        .list_clients(ListClientsRequest {})
        .await;
    assert_eq!(rule(clients), "NODE-010");
    // Recorded in the background, each rule once a minute.
    wait_for("both refusals are on record", || async {
        refusals(agency).await.len() >= 2
    })
    .await;
    let refused = refusals(agency).await;
    let mut refused: Vec<_> = refused
        .iter()
        .map(|refusal| {
            let claimed = refusal.claimed.as_ref().map(|person| person.id.as_str());
            (rule_of(refusal), claimed, refusal.action.as_str())
        })
        .collect();
    refused.sort_unstable();
    let action = "calling what is not for this client";
    assert_eq!(
        refused,
        ["NODE-010", "NODE-016"].map(|rule| (rule, Some("court"), action))
    );
    let sign_ins = agency.entries_of("sign-in").await;
    let Some(Event::SignIn(sign_in)) = sign_ins.last().map(|entry| &entry.event) else {
        panic!("a sign-in")
    };
    assert_eq!(
        (sign_in.by.id.as_str(), sign_in.role.as_str()),
        ("court", "auditor")
    );
}
