//! A list is replaced by a whole list or not at all: uploads that are cut off, empty, or full of rejects.

use std::time::Duration;

use concordat_store::ImportState;
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
