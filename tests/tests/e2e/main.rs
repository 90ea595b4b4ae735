//! Two real nodes over real mTLS: what they must find, and what must hold against a hostile or failing partner.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod agreements;
mod audit;
mod authors;
mod case_attacks;
mod case_crash;
mod cases;
mod crash;
mod disclosure;
mod hostile_owner;
mod hostile_requester;
mod hostile_sizes;
mod imports;
mod jobs;
mod ledger;
mod matching;
mod never_false;
mod publication;
mod queried;
mod quota;
mod reconciled;
mod recorded;
mod rules;
mod steps;
mod tls;
mod upkeep;
mod witnesses;
