//! An agency's node: agreements, matching, jobs, TLS and the gRPC services.
//!
//! One way through, for a query: [`matching_service`] checks the call, [`matching`] derives identifiers and combines
//! verdicts, [`exchange`] runs the chunks of one offer, [`chunk`] mixes in canaries and verifies, and on the partner's
//! side [`evaluate`] admits, charges and evaluates.

pub mod access;
pub mod admin_services;
pub mod agreement;
pub mod asked;
pub mod audit_service;
pub mod book;
pub mod charge;
pub mod chunk;
pub mod clock;
pub mod compute;
pub mod config;
pub mod cosigning;
pub mod desk;
pub mod disclosure_service;
pub mod entropy;
pub mod erasure;
pub mod evaluate;
pub mod exchange;
pub mod fairness;
pub mod fetch;
pub mod held;
pub mod http;
pub mod identity;
pub mod import;
pub mod intersect;
pub mod jobs;
pub mod key_record;
pub mod keys;
pub mod ledger;
pub mod listen;
pub mod log_files;
pub mod maintenance;
pub mod master_key;
pub mod matching;
pub mod matching_service;
pub mod partner;
mod party;
pub mod peer_service;
mod places;
pub mod publish;
pub mod queried;
pub mod reconcile;
pub mod rows;
pub mod state;
pub mod steps;
pub mod tls;
pub mod upkeep;
pub mod upload;
pub mod watchlist_service;
pub mod witness;
pub mod witnesses;

mod run;

pub use admin_services::client_to_proto;
pub use run::{Node, Outside, StartError, open_store};
