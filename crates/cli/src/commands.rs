//! One module per command.

pub mod agreement;
pub mod audit;
pub mod bench;
pub mod case;
pub mod client;
pub mod completions;
pub mod generate;
pub mod import;
pub mod info;
pub mod init;
pub mod intersect;
pub mod job;
pub mod key;
pub mod list;
pub mod matching;
pub mod node;
pub mod officer;
pub mod snapshot;
pub mod witness;
