//! `kill -9`: what was acknowledged is there, what was not leaves nothing half done.
//!
//! The test starts its own binary again as a child that works on a database and says after each step, once the
//! store has acknowledged it, what it has done. The parent kills it in the middle and looks.
#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::*;
use concordat_store::*;
use uuid::Uuid;
use zeroize::Zeroizing;

const CHILD: &str = "CONCORDAT_STORE_TEST_CHILD";

/// Not a test of its own: the work of the child, which does nothing unless it is one.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(PathBuf::from(path)));
}

/// One line, at once, past the test harness's capture.
fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    writeln!(out, "did {line}").unwrap();
    out.flush().unwrap();
}

async fn work(path: PathBuf) {
    let store = Store::open(options(&path, [7; 32], 1)).await.unwrap();
    let scope = owner_scope(&store).await;
    let asked = store
        .create_scope(&new_scope(1, NewScopeRole::Requester), 0)
        .await
        .unwrap();
    let list = store.create_list("wanted", 0).await.unwrap();
    let job = NewJob {
        id: Uuid::from_bytes([1; 16]),
        request_id: None,
        kind: "intersect".to_owned(),
        spec: Zeroizing::new(vec![]),
    };
    let job = store.create_job(&job, 0).await.unwrap();
    say("ready");

    let charging = async {
        for chunk in 0.. {
            store
                .charge(&[], &[a_charge(scope, chunk)], 1, unrecorded)
                .await
                .unwrap();
            say("charge");
        }
    };
    let importing = async {
        for round in 0.. {
            let mut import = store
                .begin_import(list, ImportMode::Replace, "", 0)
                .await
                .unwrap();
            for part in 0..3 {
                import.stage(round_of(round, part)).await.unwrap();
            }
            import.commit(1).await.unwrap();
            say("import");
            let mut publication = store
                .begin_publication(scope, selection(&[list], PASSPORT))
                .await
                .unwrap();
            while let Some(page) = publication.next_page(100).await.unwrap() {
                let tags: Vec<KeptTag> = page.untagged.iter().map(tag_of).collect();
                publication.add_tags(&tags).await.unwrap();
            }
            publication.commit("m", 1).await.unwrap();
            say("publish");
        }
    };
    let matching = async {
        for index in 0.. {
            store.plan_chunk(&a_plan(job, asked, index)).await.unwrap();
            say("plan");
            let done = CompletedChunk {
                job,
                scope: asked,
                index,
                tags: vec![KeptTag {
                    blind_index: a_plan(job, asked, index).items[0].blind_index,
                    tag: [1; 16],
                }],
                matches: vec![],
                unknown: vec![],
                done: 1,
                found: 0,
                digest: [9; 32],
                elements: 16,
            };
            assert!(store.complete_chunk(&done, 1).await.unwrap());
            say("complete");
        }
    };
    let purging = async {
        loop {
            if store.purge_step().await.unwrap() == Purged::Nothing {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(charging, importing, matching, purging);
}

fn a_charge(scope: ScopeId, chunk_index: u32) -> Charge {
    Charge {
        scope,
        quota: Quota {
            per_day: u64::MAX,
            per_epoch: u64::MAX,
        },
        day: 1,
        request_id: [1; 16],
        announced: u64::MAX,
        chunk_index,
        digest: [2; 32],
        elements: 3,
    }
}

/// Three times a hundred records, all of one round.
fn round_of(round: u32, part: u32) -> Vec<NewRecord> {
    (0..100)
        .map(|n| passports(&format!("r{part}-{n}"), &[&format!("ROUND{round}-{part}-{n}")]))
        .collect()
}

fn a_plan(job: JobId, scope: ScopeId, index: u32) -> ChunkPlan {
    let mut blind_index = [0; 16];
    blind_index[..4].copy_from_slice(&index.to_be_bytes());
    let item = ChunkItem {
        blind_index: BlindIndex(blind_index),
        rule: 1,
        grade: 1,
        canonical: Zeroizing::new(vec![1]),
    };
    ChunkPlan {
        job,
        scope,
        index,
        seed: Zeroizing::new([3; 32]),
        items: vec![item],
    }
}

#[derive(Debug, Default)]
struct Done {
    charges: u64,
    imports: u64,
    publications: u64,
    planned: u64,
    completed: u64,
}

/// Lets the child work until it has said `what` so many times, kills it, and returns all it had said by then.
fn run_and_kill(home: &Home, what: &str, times: usize) -> Done {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(|line| line.unwrap());
    let mut done = Done::default();
    let mut count = |line: &str| match line.strip_prefix("did ") {
        Some("charge") => done.charges += 1,
        Some("import") => done.imports += 1,
        Some("publish") => done.publications += 1,
        Some("plan") => done.planned += 1,
        Some("complete") => done.completed += 1,
        Some("ready") => {}
        _ => panic!("the child said: {line}"),
    };
    let mut left = times;
    while left > 0 {
        let line = said.next().expect("the child works until it is killed");
        left -= usize::from(line.strip_prefix("did ") == Some(what));
        count(&line);
    }
    // SIGKILL; what was said and not yet read counts as acknowledged.
    child.kill().unwrap();
    said.for_each(|line| count(&line));
    child.wait().unwrap();
    done
}

#[tokio::test]
async fn what_was_acknowledged_survives_and_nothing_else_is_seen() {
    let moments = [
        ("ready", 1),
        ("charge", 20),
        ("import", 1),
        ("publish", 1),
        ("import", 3),
        ("complete", 100),
    ];
    for (what, times) in moments {
        let home = Home::new();
        let done = run_and_kill(&home, what, times);
        let store = Store::open(options(&home.path(), [7; 32], 2)).await.unwrap();
        let agreed = store.scopes("a-1").await.unwrap();
        let scope = agreed
            .iter()
            .find(|scope| scope.role == ScopeRole::Owner)
            .unwrap()
            .id;
        let asked = agreed
            .iter()
            .find(|scope| scope.role == ScopeRole::Requester)
            .unwrap()
            .id;
        let list = store.list("wanted").await.unwrap().unwrap().id;
        let job = Uuid::from_bytes([1; 16]);

        // Charges: at least those acknowledged, at most one more, and none is charged again.
        let used = store.usage(scope, 1).await.unwrap().epoch;
        assert!(
            (done.charges * 3..=done.charges * 3 + 3).contains(&used),
            "{done:?} {used}"
        );
        for chunk in 0..(used / 3) as u32 {
            let again = store
                .charge(&[], &[a_charge(scope, chunk)], 2, unrecorded)
                .await
                .unwrap();
            assert_eq!(again, [ChargeOutcome::AlreadyCharged]);
        }

        // Imports: one whole round is visible, the last acknowledged or the one after.
        let visible = canonicals(&store, &selection(&[list], PASSPORT)).await;
        if done.imports > 0 || !visible.is_empty() {
            let round = visible[0]
                .strip_prefix("ROUND")
                .unwrap()
                .split('-')
                .next()
                .unwrap()
                .to_owned();
            assert!(
                (done.imports.saturating_sub(1)..=done.imports).contains(&round.parse().unwrap()),
                "{done:?} {round}"
            );
            let prefix = format!("ROUND{round}-");
            assert!(
                visible.iter().all(|text| text.starts_with(&prefix)),
                "rounds are mixed"
            );
            assert_eq!(visible.len(), 300);
            assert_eq!(store.list_stats(list).await.unwrap().records, 300);
        }

        // Publications: the version acknowledged or the one after, whole.
        let version = store
            .latest_served(scope)
            .await
            .unwrap()
            .map_or(0, |snapshot| snapshot.version);
        assert!(
            (done.publications..=done.publications + 1).contains(&version),
            "{done:?} {version}"
        );
        if version > 0 {
            let page = store
                .published_tags_page(scope, version, None, 1_000)
                .await
                .unwrap();
            assert_eq!(page.len(), 300);
        }

        // Chunks: planned ones can be sent again as they were, complete ones are not.
        let planned = store.planned_chunks(job, asked).await.unwrap();
        let progress = store.job(job).await.unwrap().done;
        assert!(
            (done.completed..=done.completed + 1).contains(&progress),
            "{done:?} {progress}"
        );
        let next = store
            .plan_cursor(job, asked)
            .await
            .unwrap()
            .map_or(0, |cursor| u64::from(cursor.next_index));
        assert!(
            (done.planned..=done.planned + 1).contains(&next),
            "{done:?} {next}"
        );
        assert_eq!(planned.len() as u64, next - progress);
        for plan in planned {
            assert_eq!(plan, a_plan(job, asked, plan.index));
        }
        assert_eq!(
            store.kept_tags_page(asked, None, 1_000_000).await.unwrap().len() as u64,
            progress
        );

        // The next import and publication go on as if nothing had been.
        purge(&store).await;
        let mut import = store
            .begin_import(list, ImportMode::Replace, "", 0)
            .await
            .unwrap();
        import.stage(round_of(999, 0)).await.unwrap();
        import.commit(1).await.unwrap();
        purge(&store).await;
        assert_eq!(
            (rows(&home, "record").await, rows(&home, "identifier_index").await),
            (100, 100)
        );
        let mut publication = store
            .begin_publication(scope, selection(&[list], PASSPORT))
            .await
            .unwrap();
        assert_eq!(publication.version(), version + 1);
        let page = publication.next_page(1_000).await.unwrap().unwrap();
        publication
            .add_tags(&page.untagged.iter().map(tag_of).collect::<Vec<_>>())
            .await
            .unwrap();
        assert_eq!(page.removes.len(), if version > 0 { 300 } else { 0 });
        assert_eq!(publication.next_page(1_000).await.unwrap(), None);
        publication.commit("m", 1).await.unwrap();
        assert_eq!(
            store
                .published_tags_page(scope, version + 1, None, 1_000)
                .await
                .unwrap()
                .len(),
            100
        );
    }
}
