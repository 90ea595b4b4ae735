//! A list is replaced by a whole list or not at all: uploads that are cut off, empty, or full of rejects.

use std::time::Duration;

use concordat_store::{ImportState, Store};
use concordat_tests::{Agency, import_messages, wait_for};
use concordat_wire::FaultView;
use concordat_wire::v1::{
    ImportOpen, ImportRequest, ImportSummary, List, ListListsRequest, import_request, import_response,
};
use tonic::Status;

const LIST: &str = "wanted";

fn open(format: &str) -> ImportOpen {
    ImportOpen {
        list: LIST.into(),
        format: format.into(),
        create: true,
        ..ImportOpen::default()
    }
}

/// Lines of a jsonl list: passports with these numbers.
fn jsonl(numbers: impl IntoIterator<Item = u32>) -> String {
    let line = |n: u32| {
        format!(
            "{{\"source_id\":\"r{n}\",\"subject\":{{\"documents\":\
             [{{\"class\":\"passport\",\"number\":\"ZX{n:07}\",\"issuer\":\"NLD\"}}]}}}}\n"
        )
    };
    numbers.into_iter().map(line).collect()
}

/// `sdn.csv` and `alt.csv`: persons, each with an alias.
fn ofac(persons: u32) -> (String, String) {
    let main = |n| {
        format!(
            "{n},\"TESTA{n}, Pat\",individual,\"TEST\",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,\"DOB 19 Jun 1951\"\n"
        )
    };
    let alias = |n| format!("{n},{n},\"aka\",\"QUELLA{n}, Maria\",-0- \n");
    (
        (1..=persons).map(main).collect(),
        (1..=persons).map(alias).collect(),
    )
}

async fn state(agency: &Agency) -> Vec<List> {
    let lists = agency.watchlists().list_lists(ListListsRequest {}).await;
    lists.expect("lists").into_inner().lists
}

fn rule(result: Result<ImportSummary, Status>) -> String {
    FaultView::from(&result.expect_err("refused")).rule
}

/// How the latest import of the list ended, once it has.
async fn ended(agency: &Agency) -> ImportState {
    let store = &agency.node().state.store;
    let list = store.list(LIST).await.expect("read").expect("a list");
    let latest = async || store.imports(list.id, 1).await.expect("read").remove(0).state;
    wait_for("the import has ended", async || {
        latest().await != ImportState::Staging
    })
    .await;
    latest().await
}

/// Sends the messages and then gives the call up, as a caller does that is cancelled, whose deadline passes or whose
/// iterator of requests fails: for the node the stream just ends.
async fn cancelled_after(agency: &Agency, messages: Vec<ImportRequest>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    let count = messages.len();
    for message in messages {
        sender.send(message).await.expect("room");
    }
    assert!(count < 64);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let answers = agency.watchlists().import(requests).await.expect("begun");
    // Time for what was sent to arrive, or the test would only show that a call without data changes nothing.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(answers);
    drop(sender);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_off_leaves_the_list_as_it_was() {
    let agency = Agency::new("bb-police").await;
    let (main, alt) = ofac(30);
    let files = [("sdn.csv", main.as_bytes()), ("alt.csv", alt.as_bytes())];
    let all = import_messages(open("ofac-sdn"), &files);
    assert_eq!(all.len(), 6, "opening, two files of one piece, end");
    let full = agency.import(open("ofac-sdn"), &files).await.expect("imported");
    assert_eq!((full.added, full.removed), (30, 0));
    let before = state(&agency).await;

    // In the middle of a file, at the end of a line.
    let mut middle = all[..2].to_vec();
    let half = main.lines().take(16).map(|line| format!("{line}\n"));
    middle.push(ImportRequest {
        message: Some(import_request::Message::Data(
            half.collect::<String>().into_bytes().into(),
        )),
    });
    for (where_, messages) in [
        ("in the middle of a file", middle),
        ("between two files", all[..3].to_vec()),
        ("before the data of the last file", all[..4].to_vec()),
        ("before the end is said", all[..5].to_vec()),
    ] {
        cancelled_after(&agency, messages.clone()).await;
        assert_eq!(ended(&agency).await, ImportState::Aborted, "{where_}, cancelled");
        assert_eq!(state(&agency).await, before, "{where_}, cancelled");

        // The same from a caller that ends the stream properly and never says that it is the end.
        let requests = tokio_stream::iter(messages);
        let answers = agency.watchlists().import(requests).await.expect("begun");
        let mut answers = answers.into_inner();
        let refused = loop {
            match answers.message().await {
                Ok(Some(answer)) => assert!(
                    !matches!(answer.message, Some(import_response::Message::Summary(_))),
                    "{where_}: committed"
                ),
                Ok(None) => panic!("{where_}: an end without a word"),
                Err(status) => break FaultView::from(&status).rule,
            }
        };
        assert_eq!(refused, "IMP-008", "{where_}");
        assert_eq!(state(&agency).await, before, "{where_}");
    }
    let again = agency.import(open("ofac-sdn"), &files).await.expect("imported");
    assert_eq!(again.unchanged, 30, "a whole upload is taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_after_thousands_of_staged_records_leaves_the_list_as_it_was() {
    let agency = Agency::new("bb-police").await;
    let numbers = 0..3_000;
    let list = jsonl(numbers);
    agency
        .import_jsonl(LIST, list.clone().into_bytes())
        .await
        .expect("imported");
    let before = state(&agency).await;
    let half: String = list.lines().take(2_500).map(|line| format!("{line}\n")).collect();
    let mut messages = import_messages(open("jsonl"), &[("list.jsonl", half.as_bytes())]);
    messages.pop();
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    for message in messages {
        sender.send(message).await.expect("room");
    }
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = agency
        .watchlists()
        .import(requests)
        .await
        .expect("begun")
        .into_inner();
    loop {
        let answer = answers.message().await.expect("an answer").expect("not the end");
        if matches!(answer.message, Some(import_response::Message::Progress(progress)) if progress.records >= 2_000)
        {
            break;
        }
    }
    drop((answers, sender));
    assert_eq!(ended(&agency).await, ImportState::Aborted);
    assert_eq!(state(&agency).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_differs_from_what_was_sent_is_refused() {
    let agency = Agency::new("bb-police").await;
    agency
        .import_jsonl(LIST, jsonl(0..5).into_bytes())
        .await
        .expect("imported");
    let before = state(&agency).await;
    let list = jsonl(0..4);
    let messages = import_messages(open("jsonl"), &[("list.jsonl", list.as_bytes())]);
    // A piece is lost on the way, or comes twice.
    for (from, to) in [
        (vec![0, 1, 3], "a piece too few"),
        (vec![0, 1, 2, 2, 3], "one too many"),
    ]
    .map(|(order, what)| {
        (
            order
                .into_iter()
                .map(|at| messages[at].clone())
                .collect::<Vec<_>>(),
            what,
        )
    }) {
        let answers = agency.watchlists().import(tokio_stream::iter(from)).await;
        let mut answers = answers.expect("begun").into_inner();
        let refused = loop {
            match answers.message().await {
                Ok(answer) => assert!(answer.is_some(), "{to}: an end without a word"),
                Err(status) => break FaultView::from(&status).rule,
            }
        };
        assert_eq!(refused, "IMP-008", "{to}");
        assert_eq!(state(&agency).await, before, "{to}");
    }
}

async fn import(agency: &Agency, text: &str) -> Result<ImportSummary, Status> {
    agency.import_jsonl(LIST, text.as_bytes().to_vec()).await
}

async fn shrinking(agency: &Agency, text: &str) -> Result<ImportSummary, Status> {
    let open = ImportOpen {
        allow_shrink: true,
        ..open("jsonl")
    };
    agency.import(open, &[("list.jsonl", text.as_bytes())]).await
}

/// Whether the list holds a record.
async fn holds(store: &Store, id: &str) -> bool {
    let list = store.list(LIST).await.expect("read").expect("a list");
    store.record(list.id, id).await.expect("read").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_empty_or_has_lost_most_of_its_records_is_refused() {
    let agency = Agency::new("bb-police").await;
    assert_eq!(rule(import(&agency, "").await), "IMP-009", "a new list too");
    let whole = jsonl(0..40);
    import(&agency, &whole).await.expect("imported");
    let before = state(&agency).await;

    // A download that failed, in every format that could take it for a list.
    for (format, name) in [
        ("jsonl", "list.jsonl"),
        ("ftm", "list.jsonl"),
        ("ofac-sdn", "sdn.csv"),
    ] {
        let refused = agency.import(open(format), &[(name, b"")]).await;
        assert_eq!(rule(refused), "IMP-009", "{format}");
        assert_eq!(state(&agency).await, before, "{format}");
    }
    // A field that this node does not know, in every record.
    let newer = whole.replace("\"subject\"", "\"score\":1,\"subject\"");
    assert_eq!(rule(import(&agency, &newer).await), "IMP-009");
    assert_eq!(state(&agency).await, before);
    // 21 of 40 are gone; 20 are half of them, and believed.
    assert_eq!(rule(import(&agency, &jsonl(0..19)).await), "IMP-010");
    assert_eq!(state(&agency).await, before);
    assert_eq!(
        import(&agency, &jsonl(0..20)).await.expect("imported").removed,
        20
    );
    // A short list may lose what it likes, but not everything.
    assert_eq!(import(&agency, &jsonl(0..1)).await.expect("imported").removed, 19);
    assert_eq!(rule(import(&agency, "").await), "IMP-009");

    import(&agency, &whole).await.expect("imported");
    let told = shrinking(&agency, &jsonl(0..2)).await.expect("believed");
    assert_eq!((told.removed, told.unchanged), (38, 2));
    assert_eq!(shrinking(&agency, "").await.expect("believed").removed, 2);
    assert_eq!(state(&agency).await[0].records, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_record_stays_on_the_list_as_it_was() {
    let agency = Agency::new("bb-police").await;
    import(&agency, &jsonl(0..30)).await.expect("imported");

    // r1 to r4 get a field that is not known, r5 loses everything that can be matched, r6 is gone, r7 changes, one line
    // has no id that could be read.
    let newer = jsonl((0..30).filter(|n| *n != 6)).replace("ZX0000007", "ZX9999999");
    let newer: Vec<String> = newer
        .lines()
        .map(|line| match line.split('"').nth(3) {
            Some("r1" | "r2" | "r3" | "r4") => line.replace("\"subject\"", "\"score\":1,\"subject\""),
            Some("r5") => "{\"source_id\":\"r5\",\"subject\":{}}".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let told = import(&agency, &format!("{}\n{{\"score\":1}}\n", newer.join("\n"))).await;
    let told = told.expect("imported");
    assert_eq!(
        (told.kept, told.rejected_records, told.rejected, told.notices),
        (5, 6, 6, 0)
    );
    assert_eq!(
        (told.added, told.changed, told.removed, told.unchanged),
        (0, 1, 1, 23)
    );
    let store = &agency.node().state.store;
    assert!(holds(store, "r3").await && holds(store, "r5").await);
    assert!(!holds(store, "r6").await, "what is not named at all is gone");

    // A first row of another shape makes every other row one of a wrong shape.
    let mapping = "id = 1\nheader = false\nname = [{ whole = 2 }]\n";
    let csv = |first: &str| {
        let rows = (1..30).map(|n| format!("r{n},Maria Quella{n}\n"));
        format!("{first}\n{}", rows.collect::<String>())
    };
    let open = ImportOpen {
        csv_mapping: mapping.into(),
        ..open("csv")
    };
    let good = csv("r0,Pat Testa");
    let told = agency
        .import(open.clone(), &[("list.csv", good.as_bytes())])
        .await;
    assert_eq!(told.expect("imported").rejected_records, 0);
    let bad = csv("r0,Pat Testa,1970");
    let told = agency.import(open.clone(), &[("list.csv", bad.as_bytes())]).await;
    let told = told.expect("imported");
    assert_eq!((told.unchanged, told.kept, told.removed), (1, 29, 0));
    // A quote that is never closed swallows the rest: nothing of it was removed.
    let quoted = good.replace("r20,Maria", "r20,\"Maria");
    let refused = agency.import(open, &[("list.csv", quoted.as_bytes())]).await;
    assert_eq!(rule(refused), "IMP-004");
    assert_eq!(state(&agency).await[0].records, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_are_not_rejects() {
    let agency = Agency::new("bb-police").await;
    let mononym = |n: u32| {
        format!(
            "{{\"source_id\":\"r{n}\",\"subject\":{{\"names\":[{{\"rank\":\"primary\",\"text\":{{\"whole\":\
             \"Mononym{n}\"}}}}],\"births\":[{{\"day\":{{\"year\":1970,\"month\":1,\"day\":2}}}}]}}}}\n"
        )
    };
    let mut list: String = (0..300).map(mononym).collect();
    list.push_str(&"not json\n".repeat(40));
    let told = import(&agency, &list).await.expect("imported");
    assert_eq!(
        (told.rejected, told.rejected_records, told.notices),
        (40, 40, 300)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_for_sorting_is_private_and_empty_at_start() {
    use std::os::unix::fs::PermissionsExt;
    let mut agency = Agency::new("bb-police").await;
    agency.stop().await;
    let folder = agency.folder().join("sorting");
    std::fs::write(folder.join("left behind"), "QUELLA").expect("the folder is there");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("set");
    agency.start().await;
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
    let mode = std::fs::metadata(&folder).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
