//! Cases for tests.

use concordat_store::*;
use zeroize::Zeroizing;

pub fn id(n: u32) -> CaseKey {
    let mut id = [0xCA; 16];
    id[12..].copy_from_slice(&n.to_be_bytes());
    id
}

pub fn row(n: u32) -> CaseRow {
    let mut tag = *b"TAG-of-a-hit-...";
    tag[12..].copy_from_slice(&n.to_be_bytes());
    CaseRow {
        id: id(n),
        side: CaseSide::Requester,
        partner: "agency-b".to_owned(),
        agreement: "a-1".to_owned(),
        offer: "passports".to_owned(),
        epoch: 1,
        kind: "passport".to_owned(),
        exchange: [0xE0; 16],
        tag,
        state: "HIT".to_owned(),
        waits_for: Some(CaseSide::Requester),
        purpose: String::new(),
        urgency: String::new(),
        opened_ms: 1_000,
        updated_ms: 1_000,
        clock: None,
        expires_ms: None,
        step: 0,
        head: [0; 32],
    }
}

pub fn owned(n: u32) -> CaseRow {
    CaseRow {
        side: CaseSide::Owner,
        waits_for: Some(CaseSide::Owner),
        state: "REQUESTED".to_owned(),
        step: 1,
        ..row(n)
    }
}

pub fn clock(due_ms: i64) -> CaseClock {
    CaseClock {
        started_ms: 0,
        due_ms,
        stopped: false,
        ended: false,
        reminded: 0,
    }
}

pub fn change(row: CaseRow, events_before: u32) -> CaseChange {
    CaseChange {
        row,
        events_before,
        events: Vec::new(),
        documents: Vec::new(),
        forget: Vec::new(),
        private: None,
        pending: None,
        delivered: None,
        counters: Vec::new(),
        suppress: None,
    }
}

pub fn event(text: &str, private: bool) -> NewEvent {
    NewEvent {
        at_ms: 1_000,
        private,
        document: text.to_owned().into(),
    }
}

pub fn document(n: u8, kind: &str, text: &str) -> CaseDocument {
    CaseDocument {
        digest: [n; 32],
        kind: kind.to_owned(),
        document: text.to_owned().into(),
    }
}

/// A case of one step, of each part something.
pub fn full(n: u32) -> CaseChange {
    CaseChange {
        events: vec![event("CANARY-event-one", true)],
        documents: vec![
            document(9, "decision", "CANARY-decision"),
            document(1, "approval", "CANARY-approval"),
        ],
        private: Some(CasePrivate {
            escalation_key: Some(Zeroizing::new(*b"CANARY-key-of-thirty-two-bytes!!")),
            subject: Some(Zeroizing::new(b"CANARY-subject".to_vec())),
            authors: Some(vec!["CANARY-author".to_owned()]),
        }),
        pending: Some(Some(PendingStep {
            since_ms: 7,
            event: "CANARY-pending-event".to_owned().into(),
            documents: vec![document(3, "message", "CANARY-pending-message")],
        })),
        counters: vec![([4; 32], 5)],
        suppress: Some(([5; 32], 9_000)),
        ..change(row(n), 0)
    }
}

pub fn an_officer(sequence: u64) -> RegistryChange {
    RegistryChange {
        sequence,
        document: format!("CANARY-officer-{sequence}").into(),
        applied_ms: 7_000,
        approvals: vec![
            "CANARY-first-administrator".to_owned().into(),
            String::new().into(),
        ],
    }
}

pub async fn open_all(store: &Store, rows: impl IntoIterator<Item = CaseRow>) {
    for row in rows {
        store.change_case(change(row, 0)).await.unwrap();
    }
}
