//! One agency: its node, and the system of its own that calls it.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concordat_node::agreement::Party;
use concordat_node::clock::ManualClock;
use concordat_node::config::Config;
use concordat_node::identity::{self, Identity};
use concordat_node::partner::Partner;
use concordat_node::steps::Step;
use concordat_node::{Node, Outside, StartError};
use concordat_wire::v1::agreement_service_client::AgreementServiceClient;
use concordat_wire::v1::audit_service_client::AuditServiceClient;
use concordat_wire::v1::disclosure_service_client::DisclosureServiceClient;
use concordat_wire::v1::matching_service_client::MatchingServiceClient;
use concordat_wire::v1::node_service_client::NodeServiceClient;
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use concordat_wire::v1::snapshot_service_client::SnapshotServiceClient;
use concordat_wire::v1::watchlist_service_client::WatchlistServiceClient;
use concordat_wire::v1::{
    Agreement, ChangeContext, CreateListRequest, DeleteRecordsRequest, EntryRange, EraseEntriesRequest,
    FetchRequest, FetchResponse, GetAgreementRequest, GetJobRequest, ImportEnd, ImportFile, ImportOpen,
    ImportRequest, ImportSummary, InfoRequest, IntersectRequest, Job, JobMatch, ListMatchesRequest,
    MatchItem, MatchRequest, MatchResponse, OfferUsage, ProposeRequest, PublishRequest, QueryContext, Record,
    ResumeRequest, SignRequest, SuspendRequest, UpsertRequest, UpsertResponse, import_request,
    import_response, job,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::terms::{LEGAL_BASIS, PURPOSE, START};

/// What [`Agency::try_start`] says of a node that was killed before it served.
pub const KILLED: &str = "killed";

/// How an agency's node runs.
#[derive(Clone, Debug, Default)]
pub enum Run {
    /// In the test's own process.
    #[default]
    Here,
    /// In a process of its own, of this program, which can be killed.
    Child(PathBuf),
}

enum Running {
    Here(Box<Node>),
    Child(Box<Child>),
}

/// One agency.
pub struct Agency {
    /// Its id.
    pub id: String,
    /// Its node's time. A node in a process of its own has the time of its start.
    pub clock: Arc<ManualClock>,
    /// Its node's port for partners.
    pub peer_port: u16,
    folder: tempfile::TempDir,
    run: Run,
    running: Option<Running>,
    dies_after: Option<Step>,
    channel: Channel,
}

impl Agency {
    /// A new agency with fresh keys, its node started.
    pub async fn new(id: &str) -> Self {
        Self::configured(id, Run::Here, &[]).await
    }

    /// The same with lines of the configuration replaced: `("poll_interval_s", "1")`. The key `endpoint_port` makes
    /// agreements name another port than the node listens on: that of a relay.
    pub async fn configured(id: &str, run: Run, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        identity::create(folder.path(), id, &names, &mut rand::rng()).expect("keys");
        let mut agency = Self {
            id: id.to_owned(),
            clock: Arc::new(ManualClock::new(START)),
            peer_port: 0,
            folder,
            run,
            running: None,
            dies_after: None,
            channel: Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
        };
        // Another test may take the port between our look and our start: then another one will do.
        for _ in 0..20 {
            agency.peer_port = free_port().await;
            agency.configure(settings);
            match agency.try_start().await {
                Ok(()) => return agency,
                Err(error) => assert!(error.contains("listen"), "{error}"),
            }
        }
        panic!("no free port in 20 tries");
    }

    /// Writes the configuration anew; it holds from the next start.
    pub fn configure(&self, settings: &[(&str, &str)]) {
        let own = self.peer_port.to_string();
        let setting = |key: &str, default: &str| {
            let found = settings.iter().find(|(name, _)| *name == key);
            found.map_or(default, |(_, value)| *value).to_owned()
        };
        let text = format!(
            "[node]\nagency_id = \"{id}\"\nagency_name = \"Agency {id}\"\ndata_dir = \".\"\n\
             [peer]\nlisten = \"127.0.0.1:{own}\"\nendpoint = \"https://127.0.0.1:{endpoint}\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\ninsecure_loopback_listen = \"127.0.0.1:0\"\n\
             [matching]\npartner_deadline_ms = {deadline}\nquery_chunk_elements = {query}\n\
             job_chunk_elements = {job}\n\
             [snapshot]\npoll_interval_s = {poll}\nauto_publish = {auto}\nmax_snapshot_mib = {snapshot}\n\
             call_deadline_ms = {call}\n\
             [ledger]\nlisten = \"127.0.0.1:0\"\n{witness}\
             {console}[compute]\nthreads = {threads}\nqueue_chunks = {queue}\n",
            id = self.id,
            endpoint = setting("endpoint_port", &own),
            deadline = setting("partner_deadline_ms", "20000"),
            query = setting("query_chunk_elements", "64"),
            job = setting("job_chunk_elements", "64"),
            poll = setting("poll_interval_s", "86400"),
            auto = setting("auto_publish", "false"),
            snapshot = setting("max_snapshot_mib", "4096"),
            call = setting("call_deadline_ms", "20000"),
            witness = setting("witness", ""),
            console = setting("console", ""),
            threads = setting("threads", "1"),
            queue = setting("queue_chunks", "256"),
        );
        std::fs::write(self.folder.path().join("concordat.toml"), text).expect("written");
    }

    /// Starts the node again after [`Agency::stop`] or [`Agency::kill`].
    pub async fn start(&mut self) {
        self.try_start().await.expect("started");
    }

    /// The same where it may be refused.
    ///
    /// # Errors
    /// Why the node does not start.
    pub async fn try_start(&mut self) -> Result<(), String> {
        let path = self.folder.path().join("concordat.toml");
        let address = match &self.run {
            Run::Here => {
                let outside = Outside {
                    clock: Arc::clone(&self.clock) as _,
                    ..Outside::default()
                };
                let config = Config::load(&path).map_err(|error| error.to_string())?;
                let node = Node::start(config, outside)
                    .await
                    .map_err(|error: StartError| error.to_string())?;
                let address = node.insecure_address.ok_or("no API")?;
                self.running = Some(Running::Here(Box::new(node)));
                address
            }
            Run::Child(program) => {
                use concordat_node::clock::Clock;
                let mut child = Command::new(program)
                    .arg(&path)
                    .arg(self.clock.seconds().to_string())
                    .args(self.dies_after.map(Step::name))
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(|error| error.to_string())?;
                let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
                let line = lines.next_line().await.map_err(|error| error.to_string())?;
                let Some(line) = line else {
                    let output = child
                        .wait_with_output()
                        .await
                        .map_err(|error| error.to_string())?;
                    if output.status.signal() == Some(9) {
                        return Err(KILLED.to_owned());
                    }
                    return Err(String::from_utf8_lossy(&output.stderr).into_owned());
                };
                self.running = Some(Running::Child(Box::new(child)));
                line.parse::<SocketAddr>().map_err(|error| error.to_string())?
            }
        };
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
        self.channel = endpoint.connect_lazy();
        Ok(())
    }

    /// Stops the node in order.
    pub async fn stop(&mut self) {
        match self.running.take() {
            Some(Running::Here(node)) => node.stop().await,
            Some(Running::Child(mut child)) => {
                drop(child.stdin.take());
                child.wait().await.expect("ended");
            }
            None => {}
        }
    }

    /// `kill -9`, for a node in a process of its own.
    pub async fn kill(&mut self) {
        match self.running.take() {
            Some(Running::Child(mut child)) => child.kill().await.expect("killed"),
            _ => panic!("only a child process can be killed"),
        }
    }

    /// A node in a process of its own kills itself from its next start on as soon as its ledger has done this step.
    pub fn dies_after(&mut self, step: Option<Step>) {
        self.dies_after = step;
    }

    /// Waits until a node in a process of its own has been killed.
    pub async fn died(&mut self) {
        match self.running.take() {
            Some(Running::Child(mut child)) => {
                assert_eq!(child.wait().await.expect("ended").signal(), Some(9), "killed");
            }
            _ => panic!("only a child process can die"),
        }
    }

    /// The node, where it runs in this process.
    pub fn node(&self) -> &Node {
        match &self.running {
            Some(Running::Here(node)) => node,
            _ => panic!("the node does not run in this process"),
        }
    }

    /// Where its data is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its keys.
    pub fn identity(&self) -> Identity {
        Identity::load(self.folder.path()).expect("keys")
    }

    /// The peer protocol by hand, with this agency's real credentials, to another agency's node itself (not a relay
    /// before it). No limit of our own on what is sent.
    pub fn impersonate(&self, to: &Self) -> PeerServiceClient<Channel> {
        let partner = Partner::new(&to.party_at(to.peer_port), &self.identity().peer).expect("credentials");
        partner
            .client()
            .max_encoding_message_size(usize::MAX)
            .max_decoding_message_size(usize::MAX)
    }

    /// This agency as a party whose node is at a port.
    pub(crate) fn party_at(&self, port: u16) -> Party {
        let identity = self.identity();
        Party {
            id: self.id.clone(),
            name: self.id.clone(),
            identity: identity.signing.verifier(),
            tls_spki: identity.peer.pin().expect("a pin"),
            endpoint: format!("https://127.0.0.1:{port}").parse().expect("an endpoint"),
            disclosure_key: None,
            console: None,
        }
    }

    /// A client of the agency's own API.
    pub fn matching(&self) -> MatchingServiceClient<Channel> {
        MatchingServiceClient::new(self.channel.clone())
            .max_decoding_message_size(concordat_wire::API_MESSAGE_LIMIT)
    }

    /// A client of the agency's own API.
    pub fn auditing(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel.clone())
    }

    /// What the node says of itself.
    pub fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    /// A client of the agency's own API.
    pub fn watchlists(&self) -> WatchlistServiceClient<Channel> {
        WatchlistServiceClient::new(self.channel.clone())
    }

    /// A client of the agency's own API.
    pub fn agreements(&self) -> AgreementServiceClient<Channel> {
        AgreementServiceClient::new(self.channel.clone())
    }

    /// A client of the agency's own API.
    pub fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.channel.clone())
    }

    /// A client of the agency's own API.
    pub fn disclosures(&self) -> DisclosureServiceClient<Channel> {
        DisclosureServiceClient::new(self.channel.clone())
            .max_decoding_message_size(concordat_wire::API_MESSAGE_LIMIT)
    }

    /// The node's block for an agreement.
    pub async fn party(&self) -> String {
        let info = NodeServiceClient::new(self.channel.clone())
            .info(InfoRequest {})
            .await;
        info.expect("info").into_inner().party_toml
    }

    /// Orders the erasure of an entry of the node's ledger.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn erase(&self, number: u64, order: &str) -> Result<u64, Status> {
        let request = EraseEntriesRequest {
            entries: vec![EntryRange {
                first: number,
                last: number,
            }],
            order: order.to_owned(),
        };
        let erased = NodeServiceClient::new(self.channel.clone())
            .erase_entries(request)
            .await?;
        Ok(erased.into_inner().erased)
    }

    /// Proposes an agreement.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn propose(&self, draft: &str) -> Result<Agreement, Status> {
        let request = ProposeRequest {
            draft_toml: draft.to_owned(),
        };
        Ok(self.agreements().propose(request).await?.into_inner())
    }

    /// Signs what a partner proposed.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn sign(&self, note: &str) -> Result<Agreement, Status> {
        let request = SignRequest {
            note: note.to_owned(),
        };
        Ok(self.agreements().sign(request).await?.into_inner())
    }

    /// An agreement as the node has it.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn agreement(&self, id: &str) -> Result<Agreement, Status> {
        let request = GetAgreementRequest {
            agreement_id: id.to_owned(),
        };
        Ok(self.agreements().get(request).await?.into_inner())
    }

    /// Suspends an agreement.
    pub async fn suspend(&self, id: &str) {
        let request = SuspendRequest {
            agreement_id: id.to_owned(),
            reason: "a test".into(),
        };
        self.agreements().suspend(request).await.expect("suspended");
    }

    /// Resumes it.
    pub async fn resume(&self, id: &str) {
        let request = ResumeRequest {
            agreement_id: id.to_owned(),
        };
        self.agreements().resume(request).await.expect("resumed");
    }

    /// What was charged under an offer.
    pub async fn usage(&self, agreement: &str, offer: &str) -> OfferUsage {
        let agreement = self.agreement(agreement).await.expect("known");
        let usage = agreement.usage.into_iter().find(|usage| usage.offer_id == offer);
        usage.expect("an offer")
    }

    /// Imports a whole list, created if need be, whatever the one before was.
    pub async fn replace_list(&self, list: &str, records: &[Record]) -> ImportSummary {
        let mut lines = Vec::new();
        for record in records {
            let subject = record.subject.clone().unwrap_or_default();
            let subject = concordat_wire::subject_from_proto(&subject).expect("a subject");
            let line = serde_json::json!({ "source_id": record.source_id, "subject": subject });
            lines.extend(serde_json::to_vec(&line).expect("JSON"));
            lines.push(b'\n');
        }
        let open = ImportOpen {
            list: list.to_owned(),
            format: "jsonl".into(),
            create: true,
            allow_shrink: true,
            ..ImportOpen::default()
        };
        let imported = self.import(open, &[("list.jsonl", &lines)]).await;
        imported.expect("imported")
    }

    /// Imports a list's bytes.
    ///
    /// # Errors
    /// As the node answers, or the stream broke.
    pub async fn import_jsonl(&self, list: &str, bytes: Vec<u8>) -> Result<ImportSummary, Status> {
        let open = ImportOpen {
            list: list.to_owned(),
            format: "jsonl".into(),
            create: true,
            ..ImportOpen::default()
        };
        self.import(open, &[("list.jsonl", &bytes)]).await
    }

    /// Imports the files of a list.
    ///
    /// # Errors
    /// As the node answers, or the stream broke.
    pub async fn import(&self, open: ImportOpen, files: &[(&str, &[u8])]) -> Result<ImportSummary, Status> {
        let requests = tokio_stream::iter(import_messages(open, files));
        let mut answers = self.watchlists().import(requests).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            if let Some(import_response::Message::Summary(summary)) = answer.message {
                return Ok(summary);
            }
        }
        Err(Status::aborted("the import ended without a summary"))
    }

    /// Creates an empty list.
    pub async fn create_list(&self, list: &str) {
        let request = CreateListRequest { name: list.into() };
        self.watchlists().create_list(request).await.expect("created");
    }

    /// Adds or replaces records.
    pub async fn upsert(&self, list: &str, records: Vec<Record>) -> UpsertResponse {
        let request = UpsertRequest {
            list: list.into(),
            records,
            context: None,
        };
        self.watchlists()
            .upsert(request)
            .await
            .expect("kept")
            .into_inner()
    }

    /// The same, in an officer's name.
    pub async fn upsert_by(&self, officer: &str, list: &str, records: Vec<Record>) -> UpsertResponse {
        let request = UpsertRequest {
            list: list.into(),
            records,
            context: Some(ChangeContext {
                officer: officer.into(),
                ..ChangeContext::default()
            }),
        };
        self.watchlists()
            .upsert(request)
            .await
            .expect("kept")
            .into_inner()
    }

    /// Removes records.
    pub async fn remove(&self, list: &str, source_ids: &[&str]) {
        let request = DeleteRecordsRequest {
            list: list.into(),
            source_ids: source_ids.iter().map(|id| (*id).to_owned()).collect(),
            context: None,
        };
        self.watchlists().delete_records(request).await.expect("removed");
    }

    /// Publishes every offer and waits for it.
    pub async fn publish(&self) -> Job {
        let job = self.snapshots().publish(PublishRequest::default()).await;
        let job = self.finished(&job.expect("a job").into_inner().job_id).await;
        assert_eq!(job.state(), job::State::Succeeded, "{}", job.detail);
        job
    }

    /// Fetches from every partner.
    ///
    /// # Errors
    /// The first that failed.
    pub async fn fetch(&self) -> Result<FetchResponse, Status> {
        Ok(self
            .snapshots()
            .fetch(FetchRequest::default())
            .await?
            .into_inner())
    }

    /// Who asks, and why, in every question of a test.
    pub fn context(&self) -> QueryContext {
        QueryContext {
            purpose: PURPOSE.into(),
            legal_basis: LEGAL_BASIS.into(),
            case_reference: "case-1".into(),
            officer: "officer-1".into(),
            ordered_by: "commander-1".into(),
        }
    }

    /// Asks every partner.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn try_ask(&self, items: Vec<MatchItem>) -> Result<MatchResponse, Status> {
        let request = MatchRequest {
            context: Some(self.context()),
            items,
            ..MatchRequest::default()
        };
        Ok(self.matching().r#match(request).await?.into_inner())
    }

    /// Asks every partner.
    pub async fn ask(&self, items: Vec<MatchItem>) -> MatchResponse {
        self.try_ask(items).await.expect("answered")
    }

    /// Starts comparing own lists with a partner's.
    pub async fn intersect(&self, list: &str, partner: &str) -> Job {
        let request = IntersectRequest {
            context: Some(self.context()),
            lists: vec![list.to_owned()],
            partner_id: partner.to_owned(),
            ..IntersectRequest::default()
        };
        self.matching()
            .intersect(request)
            .await
            .expect("a job")
            .into_inner()
    }

    /// A job now.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn job(&self, id: &str) -> Result<Job, Status> {
        let request = GetJobRequest {
            job_id: id.to_owned(),
        };
        Ok(self.matching().get_job(request).await?.into_inner())
    }

    /// A job when it is over.
    pub async fn finished(&self, id: &str) -> Job {
        use job::State;
        self.job_when(id, |job| {
            matches!(job.state(), State::Succeeded | State::Failed | State::Cancelled)
        })
        .await
    }

    /// A job as soon as something is true of it.
    pub async fn job_when(&self, id: &str, holds: impl Fn(&Job) -> bool) -> Job {
        // The examples' jobs are large.
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let job = self.job(id).await.expect("a job");
            if holds(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "waited in vain for {job:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a job found: own record, kind, rule; sorted.
    pub async fn found(&self, job: &str) -> Vec<JobMatch> {
        let request = ListMatchesRequest {
            job_id: job.to_owned(),
        };
        let mut stream = self
            .matching()
            .list_matches(request)
            .await
            .expect("matches")
            .into_inner();
        let mut found = Vec::new();
        while let Some(one) = stream.message().await.expect("a match") {
            found.push(one);
        }
        found.sort_by(|a, b| (&a.source_id, a.kind).cmp(&(&b.source_id, b.kind)));
        found
    }
}

/// The messages of an import, its end included.
pub fn import_messages(open: ImportOpen, files: &[(&str, &[u8])]) -> Vec<ImportRequest> {
    let mut messages = vec![import_request::Message::Open(open)];
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        let name = (*name).to_owned();
        messages.push(import_request::Message::File(ImportFile { name }));
        let pieces = bytes.chunks(256 << 10).map(|piece| piece.to_vec().into());
        messages.extend(pieces.map(import_request::Message::Data));
        hash.update(bytes);
    }
    messages.push(import_request::Message::End(ImportEnd {
        files: u32::try_from(files.len()).expect("some files"),
        bytes: files.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
        sha256: hash.finalize().to_vec(),
    }));
    let request = |message| ImportRequest {
        message: Some(message),
    };
    messages.into_iter().map(request).collect()
}

/// A port nobody listens on now, below those that systems give to outgoing connections: a node that was stopped finds it free when it
/// starts again.
pub async fn free_port() -> u16 {
    for _ in 0..1_000 {
        let port = rand::random_range(10_000..32_000);
        if tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .is_ok()
        {
            return port;
        }
    }
    panic!("no free port in 1000 tries");
}

/// Waits until something is true, at most a minute.
pub async fn wait_for<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
