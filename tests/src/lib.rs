//! A workbench for end-to-end tests: real nodes on loopback, with real TLS, databases and files.
//!
//! [`Agency`] is one node and its own system that calls it; [`Pair`] is two agencies with an agreement. A hostile
//! requester is [`Agency::impersonate`]: the peer protocol spoken by hand with an agency's real credentials. A
//! hostile owner is a [`Relay`]: an honest node behind a door that holds the node's own TLS key, records what comes
//! in and changes what goes out.
//!
//! Time stands still unless a test moves it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise, and so does what it is built with"
)]

mod agency;
mod ledger;
pub mod office;
mod people;
mod relay;
pub mod staff;
mod terms;

pub use agency::{Agency, KILLED, Run, free_port, import_messages, wait_for};
pub use ledger::opened;
pub use people::{Record, born, document, item, name, person};
pub use relay::{Lies, Relay};
pub use terms::{LEGAL_BASIS, OWNER, Offer, PURPOSE, Pair, START, Terms};
