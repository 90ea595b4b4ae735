//! From hit to disclosure: a person decides, and can prove it.
//!
//! The pure heart of the disclosure: cases, requests, decisions that people sign with their own keys, sealed releases. No network, no
//! SQL, no clock, no random generator: time, randomness, keys and documents are arguments. Every parser is a pure function on bytes.
//!
//! # What holds
//! - **No path from a hit to a release without a person on each side.** A [`Case`] goes from state to state by its steps only; a step
//!   that its state does not allow does not compile, and is refused with a rule id where the state is known at run time
//!   ([`AnyCase`]). Nothing reads a state from a store: it is rebuilt from the steps, and each approval is verified again.
//! - **What was signed is what is shown is what is released.** An officer's passkey signs the SHA-256 of the [`Decision`]: request,
//!   exact fields and values, recipient and key, handling, retention, time. [`release::seal`] seals that document and no other.
//! - **Who asks has the identifier.** A [`ProofOfHit`] needs the escalation key, which a snapshot does not give.
//! - **Both sides have one history.** Steps form a chain; two equal [heads](Case::head) are two equal histories.
//!
//! # Who calls what
//! ```text
//! requester                                              owner
//! Case::open ─ confirm ─ ask_for_details ──Requested──►  Case::receive ─ triage ─ propose ─ approve × k ─ decide
//!                                                        release::seal ─ Case::release
//! release::open ─ receive_package  ◄──SealedRelease────
//! receipt, outcome ──────────────────────────────────►   close
//! ```
//! Texts for people and the documents' formats are in `docs/disclosure.md`, rule ids in `docs/rules.md`.

mod agreement;
mod approval;
mod attachment;
mod case;
pub mod codes;
pub mod deadline;
mod decision;
mod document;
pub mod event;
mod logged;
mod message;
mod passkey;
mod recorded;
mod registry;
pub mod release;
mod request;
pub mod rule;
mod sealing;
#[cfg(feature = "software-passkey")]
pub mod software_passkey;
mod statement;
mod suppression;
pub mod text;
pub mod umf;

pub use agreement::{Bulk, Quorum, Rules};
pub use approval::{Approval, FileKey, KeyId, OfficerKey, Signature};
pub use attachment::{AttachmentKey, MAX_ATTACHMENT_BYTES, Manifest, PART_BYTES, seal_part};
pub use case::{
    AnyCase, ApprovedAll, ApprovedPart, Approving, AskedFor, Case, Cleared, ClosedCase, Comparing, Different,
    Documents, ExpiredCase, HitFound, NeedsInfo, NeedsJudicial, NotPursuedFor, OutcomeKnown, RecalledCase,
    ReceivedBy, RefusedAll, ReleasedTo, Ruled, Same, Signed, State, Step, Triage, Unsure, WithdrawnCase,
    World,
};
pub use decision::{Decided, Decision, Refusal, Released, Verdict, Withheld};
pub use document::{Bytes, Document};
pub use event::{Event, What};
pub use logged::{ledger_events, registry_changed};
pub use message::{Message, SealedMessage};
pub use passkey::{Asserted, Assertion, Passkey, Registering, RelyingParty};
pub use recorded::{CheckedApproval, check_approvals};
pub use registry::{Account, Change, ChangeWhat, Listed, NewOfficer, Registry, Role};
pub use request::{CaseId, ConfirmedBy, DetailRequest, EscalationKey, ProofOfHit};
pub use rule::{Refused, Rule};
pub use sealing::{DisclosureKey, DisclosurePublicKey, Sealed};
pub use statement::{Statement, Stating};
pub use suppression::{Suppression, SuppressionKey, SuppressionTag};
pub use text::Words;
/// The library that verifies passkeys, in the version that a registration ceremony must use as well.
pub use webauthn_rs_core;
