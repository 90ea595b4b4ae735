//! An owner with a pinned key and bad intentions, against an honest requester's node.

use std::sync::Arc;

use bytes::Bytes;
use concordat_ledger::{Event, Refusal};
use concordat_note::Note;
use concordat_tests::{Agency, Lies, OWNER, Pair, Relay, Terms, document, free_port, item, person};
use concordat_wire::FaultView;
use concordat_wire::v1::{ChunkRefused, UnknownReason, Verdict, chunk_refused::Cause, evaluate_response};
use sha2::{Digest, Sha256};

use crate::hostile_requester::{listed, refusals, rule_of};

/// A pair whose owner has a door before it; nothing fetched yet.
pub(crate) async fn behind_a_door(settings: &[(&str, &str)]) -> (Pair, Relay) {
    behind_a_door_with(settings, &Terms::default()).await
}

pub(crate) async fn behind_a_door_with(settings: &[(&str, &str)], terms: &Terms) -> (Pair, Relay) {
    let port = free_port().await;
    let text = port.to_string();
    let asker = Agency::configured("aa-border", Default::default(), settings).await;
    let owner = Agency::configured(OWNER, Default::default(), &[("endpoint_port", &text)]).await;
    let relay = Relay::open(&asker, &owner, port).await;
    let pair = Pair::between(asker, owner, terms).await;
    pair.owner.replace_list("wanted", &listed()).await;
    (pair, relay)
}

/// Verdict and reason on the listed passport and on another one.
pub(crate) async fn verdicts(pair: &Pair) -> [(Verdict, UnknownReason); 2] {
    let subject = |number| person(vec![], vec![], vec![document(number, "NLD")]);
    let items = vec![
        item("listed", subject("ZX7741209")),
        item("other", subject("QQ0000017")),
    ];
    let response = pair.asker.ask(items).await;
    let of = |index: usize| {
        let result = &response.results[index];
        assert_eq!(result.verdict(), result.partners[0].kinds[0].verdict());
        (result.verdict(), result.partners[0].kinds[0].reason())
    };
    [of(0), of(1)]
}

pub(crate) const RIGHT: [(Verdict, UnknownReason); 2] = [
    (Verdict::Hit, UnknownReason::Unspecified),
    (Verdict::NoHit, UnknownReason::Unspecified),
];

fn unknown(reason: UnknownReason) -> [(Verdict, UnknownReason); 2] {
    [(Verdict::Unknown, reason); 2]
}

pub(crate) type Change = Arc<dyn Fn(String) -> String + Send + Sync>;

pub(crate) fn changed(change: impl Fn(String) -> String + Send + Sync + 'static) -> Option<Change> {
    Some(Arc::new(change))
}

pub(crate) async fn incidents(pair: &Pair) -> Vec<concordat_store::Incident> {
    pair.asker.node().state.store.incidents(100).await.expect("read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_that_changes_nothing_is_not_noticed() {
    let (pair, _relay) = behind_a_door(&[]).await;
    pair.refresh().await;
    assert_eq!(verdicts(&pair).await, RIGHT);
    assert!(incidents(&pair).await.is_empty());
}

/// A failed proof aborts the chunk, yields UNKNOWN, and is recorded with the transcript digest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_proof_is_unknown_and_recorded() {
    let (pair, relay) = behind_a_door(&[]).await;
    pair.refresh().await;
    type Lie = fn(&mut concordat_wire::v1::EvaluatedChunk);
    let lies: [(&str, Lie); 7] = [
        ("a flipped bit of the proof", |chunk| chunk.proof[40] ^= 1),
        ("a short proof", |chunk| chunk.proof.truncate(63)),
        ("a proof of nothing", |chunk| chunk.proof = vec![0; 64]),
        ("an element too few", |chunk| {
            chunk.elements = chunk.elements.slice(32..);
        }),
        ("another element", |chunk| {
            let mut elements = chunk.elements.to_vec();
            elements.copy_within(0..32, 32);
            chunk.elements = elements.into();
        }),
        ("two elements exchanged", |chunk| {
            let mut elements = chunk.elements.to_vec();
            elements.rotate_left(32);
            chunk.elements = elements.into();
        }),
        ("the identity", |chunk| {
            let mut elements = chunk.elements.to_vec();
            elements[..32].fill(0);
            chunk.elements = elements.into();
        }),
    ];
    for (number, (name, lie)) in lies.into_iter().enumerate() {
        relay.lie(Lies {
            chunk: Some(Arc::new(move |message| match message {
                evaluate_response::Message::Chunk(mut chunk) => {
                    lie(&mut chunk);
                    evaluate_response::Message::Chunk(chunk)
                }
                refused => refused,
            })),
            ..Lies::default()
        });
        assert_eq!(
            verdicts(&pair).await,
            unknown(UnknownReason::ProofFailed),
            "{name}"
        );
        let incidents = incidents(&pair).await;
        assert_eq!(incidents.len(), number + 1, "{name}");
        for incident in incidents {
            assert_eq!(
                (incident.kind.as_str(), incident.partner.as_str()),
                ("proof_failed", OWNER)
            );
            assert!(
                incident.transcript_digest.is_some_and(|digest| digest != [0; 32]),
                "{name}"
            );
            assert!(incident.exchange.is_some());
        }
        in_the_ledger(&pair).await;
    }
    relay.lie(Lies::default());
    assert_eq!(verdicts(&pair).await, RIGHT, "the next query is not tainted");
}

/// The owner evaluates under another key than it published with: whatever it proves, it is not "no hit".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_under_another_key_is_unknown() {
    let (pair, relay) = behind_a_door(&[]).await;
    // A well-made, well-signed snapshot of other tags: every tag moved by one bit, as under another key.
    let owner = pair.owner.identity().signing;
    let file = Arc::new(std::sync::Mutex::new(None::<(Vec<u8>, Vec<u8>)>));
    let folder = pair.owner.folder().join("segments/served/aa-bb-2026/docs/0");
    let kept = Arc::clone(&file);
    relay.lie(Lies {
        manifest: changed(move |note| {
            if !note.contains("\noffer docs\n") {
                return note;
            }
            let forged = forge(
                &note,
                &owner,
                |tags| {
                    for tag in tags.iter_mut() {
                        tag[15] ^= 1;
                    }
                },
                &folder,
            );
            *kept.lock().expect("unpoisoned") = Some((forged.1, forged.2));
            forged.0
        }),
        segment: Some(Arc::new(move |name| {
            let kept = file.lock().expect("unpoisoned");
            let (digest, bytes) = kept.as_ref()?;
            (digest == name).then(|| vec![Bytes::from(bytes.clone())])
        })),
        ..Lies::default()
    });
    pair.refresh().await;
    assert_eq!(verdicts(&pair).await, unknown(UnknownReason::CanaryFailed));
    let incidents = incidents(&pair).await;
    assert_eq!(incidents[0].kind, "canary_failed");
    assert!(incidents[0].transcript_digest.is_some());
    in_the_ledger(&pair).await;
}

/// Each failed proof among the asker's incidents is in its ledger, with exchange and transcript, and no other is.
async fn in_the_ledger(pair: &Pair) {
    let recorded = pair.asker.entries_of("proof.failed").await;
    let mut recorded: Vec<_> = recorded
        .iter()
        .map(|entry| match &entry.event {
            Event::ProofFailed(failed) => {
                let scope = (failed.scope.agreement.as_str(), failed.scope.offer.as_str());
                assert_eq!((failed.partner.as_str(), scope), (OWNER, ("aa-bb-2026", "docs")));
                (failed.exchange.0, failed.transcript.0)
            }
            _ => panic!("a proof"),
        })
        .collect();
    let incidents = incidents(pair).await;
    let mut known: Vec<_> = incidents
        .iter()
        .map(|incident| {
            let exchange = *incident.exchange.expect("an exchange").as_bytes();
            (exchange, incident.transcript_digest.expect("a digest"))
        })
        .collect();
    recorded.sort_unstable();
    known.sort_unstable();
    assert!(!recorded.is_empty());
    assert_eq!(recorded, known);
}

type Tag = [u8; 16];

/// The owner's current segment with its tags changed, named by a manifest that the owner signs: what only a hostile
/// owner can make. Returns manifest, the segment's name, its bytes.
fn forge(
    note: &str,
    owner: &concordat_note::SigningKey,
    change: impl Fn(&mut Vec<Tag>),
    folder: &std::path::Path,
) -> (String, Vec<u8>, Vec<u8>) {
    const HEADER: usize = 32;
    let line = note
        .lines()
        .find(|line| line.starts_with("segment "))
        .expect("a segment");
    let digest = line.split(' ').nth(1).expect("a digest");
    let path = std::fs::read_dir(folder)
        .expect("segments")
        .map(|file| file.expect("a file").path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().contains(digest))
        });
    let mut bytes = std::fs::read(path.expect("the segment")).expect("read");
    let mut tags: Vec<Tag> = bytes[HEADER..]
        .chunks_exact(16)
        .map(|tag| tag.try_into().expect("16"))
        .collect();
    change(&mut tags);
    bytes.truncate(HEADER);
    bytes.extend(tags.concat());
    let forged = Sha256::digest(&bytes).to_vec();
    let text = note
        .split("\n\n")
        .next()
        .expect("a text")
        .replace(digest, &hex::encode(&forged))
        + "\n";
    (
        Note::sign(&text, &[owner]).expect("signed").to_string(),
        forged,
        bytes,
    )
}

/// A manifest with a wrong signature, lower version, unsorted or duplicate tags is refused and the last good one kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_manifest_is_refused_and_the_last_good_one_kept() {
    let (pair, relay) = behind_a_door(&[]).await;
    pair.refresh().await;
    assert_eq!(verdicts(&pair).await, RIGHT);
    let old = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let hear = Arc::clone(&old);
    relay.lie(Lies {
        manifest: changed(move |note| {
            hear.lock().expect("unpoisoned").push(note.clone());
            note
        }),
        ..Lies::default()
    });
    pair.asker.fetch().await.expect("nothing new");
    // A second version, which the asker holds from now on.
    pair.owner.upsert("wanted", vec![another()]).await;
    pair.refresh().await;

    let signing = || pair.owner.identity().signing;
    let stranger = concordat_note::SigningKey::from_seed(OWNER, &[9; 32]).expect("a key");
    let resign = |change: fn(&str) -> String| {
        let owner = signing();
        changed(move |note: String| {
            let text = note.split("\n\n").next().expect("a text").to_owned() + "\n";
            Note::sign(&change(&text), &[&owner]).expect("signed").to_string()
        })
    };
    let back = old.lock().expect("unpoisoned").clone();
    let cases = [
        (
            "a text changed after signing",
            changed(|note| note.replacen("version 2", "version 3", 1)),
        ),
        (
            "signed by a stranger",
            changed(move |note| {
                let text = note.split("\n\n").next().expect("a text").to_owned() + "\n";
                Note::sign(&text, &[&stranger]).expect("signed").to_string()
            }),
        ),
        (
            "an older version",
            changed(move |note| {
                let offer = note
                    .lines()
                    .find(|line| line.starts_with("offer "))
                    .expect("an offer")
                    .to_owned();
                back.iter()
                    .find(|old| old.lines().any(|line| line == offer))
                    .cloned()
                    .expect("heard")
            }),
        ),
        (
            "version 1, freshly signed",
            resign(|text| text.replacen("version 2", "version 1", 1)),
        ),
        (
            "another text of the same version",
            resign(|text| text.replacen("max-age 86400", "max-age 86399", 1)),
        ),
        (
            "another agreement",
            resign(|text| text.replacen("agreement aa-bb-2026", "agreement aa-bb-2027", 1)),
        ),
        (
            "another epoch",
            resign(|text| text.replacen("epoch 0", "epoch 1", 1)),
        ),
        (
            "another profile",
            resign(|text| text.replacen("concordat-norm-1", "concordat-norm-0", 1)),
        ),
        (
            "another requester",
            resign(|text| text.replacen("requester aa-border", "requester cc-customs", 1)),
        ),
        (
            "a version that no ledger can hold",
            resign(|text| text.replacen("version 2", "version 9007199254740992", 1)),
        ),
        ("no manifest at all", changed(|_| "no".into())),
        ("a manifest larger than any", changed(|_| "x".repeat(900 << 10))),
        (
            "segments beyond counting",
            resign(|text| {
                text.replacen("version 2", "version 3", 1)
                    .lines()
                    .map(|line| match line.strip_prefix("segment ") {
                        Some(rest) => format!(
                            "segment {} 18446744073709551615\n",
                            rest.split(' ').next().expect("a name")
                        ),
                        None => format!("{line}\n"),
                    })
                    .collect()
            }),
        ),
    ];
    for (name, manifest) in cases {
        relay.lie(Lies {
            manifest,
            ..Lies::default()
        });
        let refused = FaultView::from(&pair.asker.fetch().await.expect_err(name));
        assert_eq!(refused.rule, "SNAP-002", "{name}: {}", refused.message);
        assert_eq!(verdicts(&pair).await, RIGHT, "{name}: the last good one is kept");
    }
    let refused = incidents(&pair).await;
    assert!(refused.iter().all(|incident| incident.kind == "snapshot_refused"));
    assert!(refused.len() >= 13, "each is recorded");
    let mut ledger = refusals(&pair.asker).await;
    ledger.retain(|refusal| rule_of(refusal) == "SNAP-002");
    let of_owner = |refusal: &Refusal| refusal.partner.as_ref().is_some_and(|id| id.as_str() == OWNER);
    assert!(ledger.iter().all(of_owner));
    assert_eq!(ledger.len(), refused.len(), "in the ledger too");

    // A restart keeps it too.
    let (mut pair, relay) = (pair, relay);
    pair.asker.stop().await;
    pair.asker.start().await;
    assert_eq!(verdicts(&pair).await, RIGHT);
    relay.lie(Lies::default());
    pair.asker.fetch().await.expect("honest again");
    assert_eq!(verdicts(&pair).await, RIGHT);
}

pub(crate) fn another() -> concordat_tests::Record {
    concordat_tests::Record {
        source_id: "w2".into(),
        subject: Some(person(vec![], vec![], vec![document("AB1234567", "NLD")])),
    }
}

/// Unsorted and duplicate tags in a well-signed segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsorted_and_duplicate_tags_are_refused() {
    for (name, change) in [
        (
            "unsorted",
            (|tags: &mut Vec<Tag>| tags.swap(3, 4)) as fn(&mut Vec<Tag>),
        ),
        ("duplicate", |tags| tags[4] = tags[3]),
    ] {
        let (pair, relay) = behind_a_door(&[]).await;
        let owner = pair.owner.identity().signing;
        let files = Arc::new(std::sync::Mutex::new(Vec::<(Vec<u8>, Vec<u8>)>::new()));
        let kept = Arc::clone(&files);
        let folder = pair.owner.folder().join("segments/served/aa-bb-2026");
        relay.lie(Lies {
            manifest: changed(move |note| {
                let offer = if note.contains("\noffer docs\n") {
                    "docs/0"
                } else {
                    "people/0"
                };
                let (note, digest, bytes) = forge(&note, &owner, change, &folder.join(offer));
                kept.lock().expect("unpoisoned").push((digest, bytes));
                note
            }),
            segment: Some(Arc::new(move |name| {
                let files = files.lock().expect("unpoisoned");
                let found = files.iter().find(|(digest, _)| digest == name);
                found.map(|(_, bytes)| vec![Bytes::from(bytes.clone())])
            })),
            ..Lies::default()
        });
        pair.owner.publish().await;
        let refused = FaultView::from(&pair.asker.fetch().await.expect_err(name));
        assert_eq!(refused.rule, "SNAP-002", "{name}: {}", refused.message);
        assert_eq!(
            verdicts(&pair).await,
            unknown(UnknownReason::SnapshotMissing),
            "{name}"
        );
        // The honest one is fetched after it.
        relay.lie(Lies::default());
        pair.asker.fetch().await.expect("fetched");
        assert_eq!(verdicts(&pair).await, RIGHT, "{name}");
    }
}

/// A segment that is longer than announced, never ends, or is cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_bounded_by_what_was_announced() {
    let (pair, relay) = behind_a_door(&[]).await;
    pair.owner.publish().await;
    let segment = |pieces: Vec<Bytes>| Lies {
        segment: Some(Arc::new(move |_| Some(pieces.clone()))),
        ..Lies::default()
    };
    let endless = Lies {
        endless_segment: true,
        ..Lies::default()
    };
    for (name, lies) in [
        ("nothing", segment(vec![])),
        ("garbage", segment(vec![Bytes::from(vec![7; 1_000])])),
        ("too long", segment(vec![Bytes::from(vec![0; 512 << 10]); 4])),
        (
            "a message above the limit",
            segment(vec![Bytes::from(vec![0; 3 << 20])]),
        ),
        ("endless", endless),
    ] {
        relay.lie(lies);
        pair.asker.fetch().await.expect_err(name);
        assert_eq!(
            verdicts(&pair).await,
            unknown(UnknownReason::SnapshotMissing),
            "{name}"
        );
    }
    let held = folder_bytes(&pair.asker.folder().join("segments"));
    assert!(held < 1 << 20, "{held} bytes of refused segments are on disk");
    relay.lie(Lies::default());
    // What was received of a damaged segment is thrown away, not built upon.
    if pair.asker.fetch().await.is_err() {
        pair.asker.fetch().await.expect("fetched");
    }
    assert_eq!(verdicts(&pair).await, RIGHT);
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let Ok(files) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |file: std::fs::DirEntry| match file.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&file.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    files.map(|file| size(file.expect("a file"))).sum()
}

/// A key statement that is not word for word what both sides would write is never pinned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_cannot_slip_in_another_key() {
    let (pair, relay) = behind_a_door(&[]).await;
    pair.owner.publish().await;
    let resign = |change: fn(&str) -> String| {
        let owner = pair.owner.identity().signing;
        changed(move |note: String| {
            let text = note.split("\n\n").next().expect("a text").to_owned() + "\n";
            Note::sign(&change(&text), &[&owner]).expect("signed").to_string()
        })
    };
    let flip = |note: String| {
        let at = note.find("public-key ").expect("a key") + 12;
        let mut bytes = note.into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).expect("text")
    };
    for (name, key) in [
        ("another key, unsigned", changed(flip)),
        (
            "another suite",
            resign(|text| text.replacen("ristretto255-SHA512", "P256-SHA256", 1)),
        ),
        (
            "another offer",
            resign(|text| {
                text.replacen("offer docs", "offer cards", 1)
                    .replacen("offer people", "offer cards", 1)
            }),
        ),
        (
            "another epoch",
            resign(|text| text.replacen("epoch 0", "epoch 1", 1)),
        ),
        (
            "a longer life",
            resign(|text| text.replacen("not-after 2026", "not-after 2036", 1)),
        ),
        ("one line more", resign(|text| format!("{text}profile mine\n"))),
        (
            "the identity as key",
            resign(|text| {
                text.lines()
                    .map(|line| match line.strip_prefix("public-key ") {
                        Some(_) => format!("public-key {}\n", "0".repeat(64)),
                        None => format!("{line}\n"),
                    })
                    .collect()
            }),
        ),
    ] {
        relay.lie(Lies {
            key,
            ..Lies::default()
        });
        let refused = FaultView::from(&pair.asker.fetch().await.expect_err(name));
        assert_eq!(refused.rule, "PEER-010", "{name}: {}", refused.message);
        assert_eq!(
            verdicts(&pair).await,
            unknown(UnknownReason::SnapshotMissing),
            "{name}"
        );
    }
    relay.lie(Lies::default());
    pair.asker.fetch().await.expect("fetched");
    assert_eq!(verdicts(&pair).await, RIGHT);

    // Once pinned, another statement is not even asked for.
    relay.lie(Lies {
        key: changed(|_| "no".into()),
        ..Lies::default()
    });
    pair.asker.fetch().await.expect("fetched");
    assert_eq!(verdicts(&pair).await, RIGHT);
}

/// Whatever an owner refuses with, it is UNKNOWN; a "busy" without end is bounded by the deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_unknown() {
    let (pair, relay) = behind_a_door(&[("partner_deadline_ms", "2000")]).await;
    pair.refresh().await;
    for (cause, reason) in [
        (Cause::Quota, UnknownReason::Quota),
        (Cause::InvalidElement, UnknownReason::Failed),
        (Cause::ReplayMismatch, UnknownReason::Failed),
        (Cause::Failed, UnknownReason::Failed),
        (Cause::Unspecified, UnknownReason::Failed),
        (Cause::Busy, UnknownReason::Deadline),
    ] {
        relay.lie(Lies {
            chunk: Some(Arc::new(move |message| {
                let index = match message {
                    evaluate_response::Message::Chunk(chunk) => chunk.index,
                    evaluate_response::Message::Refused(refused) => refused.index,
                };
                evaluate_response::Message::Refused(ChunkRefused {
                    index,
                    cause: cause.into(),
                    rule: "X".into(),
                    retry_after_ms: 1_500,
                    ..ChunkRefused::default()
                })
            })),
            ..Lies::default()
        });
        assert_eq!(verdicts(&pair).await, unknown(reason), "{cause:?}");
    }
    // An answer to a chunk that was never sent adds nothing.
    relay.lie(Lies {
        chunk: Some(Arc::new(|message| match message {
            evaluate_response::Message::Chunk(mut chunk) => {
                chunk.index += 1_000;
                evaluate_response::Message::Chunk(chunk)
            }
            refused => refused,
        })),
        ..Lies::default()
    });
    let [listed, other] = verdicts(&pair).await;
    assert!(
        listed.0 == Verdict::Unknown && other.0 == Verdict::Unknown,
        "{listed:?} {other:?}"
    );
}
