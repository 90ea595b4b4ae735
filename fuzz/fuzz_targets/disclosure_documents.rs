//! Documents of a case: whatever is read is written again byte for byte, and nothing that is read breaks what looks at it.

#![no_main]

use concordat_disclosure::release::SealedRelease;
use concordat_disclosure::{
    Approval, Change, Decision, DetailRequest, Document, Event, Message, Rules, SealedMessage, umf,
};
use libfuzzer_sys::fuzz_target;

fn again<T: Document>(text: &str) -> Option<T> {
    let read = T::decode(text).ok()?;
    // One document, one way to write it: a digest stands for nothing else.
    assert_eq!(read.encode().ok().as_deref(), Some(text));
    Some(read)
}

fuzz_target!(|text: &str| {
    if let Some(decision) = again::<Decision>(text) {
        let _ = umf::write(&decision);
    }
    if let Some(approval) = again::<Approval>(text) {
        let _ = approval.key.check();
    }
    let _ = again::<Event>(text);
    let _ = again::<DetailRequest>(text);
    let _ = again::<Change>(text);
    let _ = again::<Message>(text);
    let _ = again::<SealedMessage>(text);
    let _ = again::<SealedRelease>(text);
    if let Some(rules) = again::<Rules>(text) {
        let _ = rules.check();
    }
});
