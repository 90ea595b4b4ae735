//! The public contract: types generated from `proto/concordat/v1/`, conversions to and from the types of
//! [`concordat_identifiers`], and the one mapping between errors and gRPC status ([`Fault`]).

mod convert;
mod fault;

pub use convert::{
    BadSubject, birth_to_proto, kind_from_proto, kind_to_proto, subject_from_proto, subject_to_proto,
};
pub use fault::{Fault, FaultView, Reason};

/// Messages, clients and servers of `concordat.v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::use_self,
    clippy::or_fun_call,
    clippy::cloned_instead_of_copied
)]
#[allow(rustdoc::all, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("concordat.v1");
}

/// Most bytes in one message between nodes.
pub const PEER_MESSAGE_LIMIT: usize = 1 << 20;
/// Most bytes in one message between an agency's system and its own node: 10,000 items with room to spare.
pub const API_MESSAGE_LIMIT: usize = 16 << 20;
/// Most bytes of data in one message of a stream of bytes (imports, segments).
pub const DATA_PIECE: usize = 512 << 10;
/// Most elements in one chunk between nodes: with proof and framing it stays below [`PEER_MESSAGE_LIMIT`].
pub const MAX_CHUNK_ELEMENTS: u32 = 16_384;
/// Most items in one `Match` call.
pub const MAX_MATCH_ITEMS: usize = 10_000;
/// The protocol between nodes.
pub const PROTOCOL: &str = "concordat/1";
/// The suite of RFC 9497 in use.
pub const SUITE: &str = "ristretto255-SHA512";
