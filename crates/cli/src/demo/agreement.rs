//! The agreement of the demo.

use anyhow::{Context, Result};
use concordat_identifiers::Kind;
use concordat_wire::v1::{self, ProposeRequest, SignRequest};
use jiff::Timestamp;

use super::agency::Agency;
use crate::draft::Draft;

/// Name of the list on both sides.
pub const LIST: &str = "wanted";
/// The legal basis that every query of the demo names.
pub const LEGAL_BASIS: &str = "EU:2024/982:26";
/// More than any list of the demo needs.
const QUOTA_PER_DAY: u64 = 50_000_000;

/// Has both sides agree: `asks` may ask `owns` for `kinds`, and `owns` may ask `asks` for travel documents.
///
/// # Errors
/// A node refuses.
pub async fn sign(asks: &Agency, owns: &Agency, kinds: &[Kind]) -> Result<()> {
    let draft = Draft {
        owner: owns.id,
        requester: asks.id,
        lists: &[LIST.into()],
        kinds,
        purposes: &["BORDER_CHECK".into(), "CRIM_INVESTIGATION".into()],
        legal_bases: &[LEGAL_BASIS.into()],
        parties: &owns.info.party_toml,
        quota_per_day: QUOTA_PER_DAY,
        log_retention: None,
        disclosure: Some("PRUM"),
    };
    let back = Draft {
        owner: asks.id,
        requester: owns.id,
        ..draft
    };
    let draft_toml = draft.text(Timestamp::now())? + &back.offer(Kind::TravelDocument);
    // As two agencies would send files: the draft, one signature, both signatures.
    let proposed = asks
        .node
        .agreements()
        .propose(ProposeRequest { draft_toml })
        .await
        .context("proposing")?;
    let request = SignRequest {
        note: proposed.into_inner().note,
    };
    let signed = owns.node.agreements().sign(request).await.context("signing")?;
    let request = SignRequest {
        note: signed.into_inner().note,
    };
    let active = asks
        .node
        .agreements()
        .sign(request)
        .await
        .context("taking over the signature")?
        .into_inner();
    anyhow::ensure!(
        active.status() == v1::agreement::Status::Active,
        "the agreement is not active on both sides"
    );
    Ok(())
}
