//! The release: exactly what was decided, sealed to the one who asked, with everything that proves it.

use std::collections::BTreeSet;

use concordat_ledger::{Digest, Person, Side};
use concordat_note::{SigningKey, VerifierKey};
use jiff::Timestamp;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::approval::{Approval, OfficerKey};
use crate::case::{Case, Cleared, ReleasedTo, World};
use crate::decision::{Decision, Verdict};
use crate::document::Document;
use crate::event::ReleasedAs;
use crate::request::DetailRequest;
use crate::rule::*;
use crate::sealing::{self, DisclosureKey, DisclosurePublicKey, Sealed};
use crate::statement::{Statement, Stating};
use crate::umf;

const INFO: &str = "concordat/v1/release\n";

/// What travels: a signed statement, and what only the recipient's disclosure key opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRelease {
    /// The owner's [`Statement`], a signed note.
    pub statement: String,
    /// A [`Package`], sealed.
    pub sealed: Sealed,
}

impl Document for SealedRelease {
    const KIND: &'static str = "concordat/v1/sealed-release";
    const MAX_BYTES: usize = 1 << 20;
}

/// What is sealed. **Holds personal data.**
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The decision: the fields as canonical JSON.
    pub decision: Decision,
    /// Every approval of the case's history for this decision.
    pub approvals: Vec<Approval>,
    /// The same fields as [`umf`] writes them.
    pub umf: String,
}

impl Document for Package {
    const KIND: &'static str = "concordat/v1/release-package";
    const MAX_BYTES: usize = 448 << 10;
}

/// Seals the decision of a cleared case: there is no other way to a package, and no cleared case without the people who signed.
///
/// Gives the package and the step to record it with. Seal once and keep the package: sealing again gives another digest.
///
/// # Errors
/// [`QUORUM`] if a key was revoked since; [`DISCLOSURE_KEY`] if `to` is not the key that the request named and the officers signed;
/// [`DOCUMENT_MISSING`]; [`TOO_LARGE`].
pub fn seal(
    case: &impl Cleared,
    world: &World<'_>,
    at: Timestamp,
    to: &DisclosurePublicKey,
    key: &SigningKey,
    rng: &mut impl CryptoRng,
) -> Result<(SealedRelease, ReleasedAs), Refused> {
    case.check(world, at)?;
    let signed = case.signed();
    let decision = world.documents.decision(&signed.decision);
    let decision = decision.ok_or_else(|| DOCUMENT_MISSING.at("decision"))?.clone();
    DISCLOSURE_KEY.unless(decision.recipient_key == to.digest())?;
    let approvals = signed.approvals.iter().map(|digest| {
        let approval = world.documents.approval(digest).cloned();
        approval.ok_or_else(|| DOCUMENT_MISSING.at("approval"))
    });
    let package = Package {
        approvals: approvals.collect::<Result<_, _>>()?,
        umf: umf::write(&decision),
        decision,
    };
    let request = case.asked_for().ok_or_else(|| WRONG_STATE.refused())?;
    let about = about(request, &signed.decision)?;
    let text = Zeroizing::new(package.encode()?);
    let sealed = sealing::seal(to, INFO, &about, text.as_bytes(), rng)?;
    let statement = Statement {
        stating: Stating::Release,
        case: case.case_id(),
        request: request.digest()?,
        decision: signed.decision,
        package: sealed.digest(),
        from: request.owner.clone(),
        to: request.requester.clone(),
        at,
    };
    let release = SealedRelease {
        statement: statement.sign(key)?,
        sealed,
    };
    let released = ReleasedAs {
        decision: signed.decision,
        package: release.digest()?,
    };
    Ok((release, released))
}

/// Case, request and decision: a package opens for these only.
fn about(request: &DetailRequest, decision: &Digest) -> Result<Vec<u8>, Refused> {
    Ok([request.case.0.as_slice(), &request.digest()?.0, &decision.0].concat())
}

/// What was released, after everything was verified. There is no other way to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    package: Package,
    digest: Digest,
    statement: Statement,
}

/// Opens a release for `reader`, one of the people whom the request names: verifies that it is the package of this case's history, the
/// owner's signature, the decision against request and agreement, every approval that the history names, and that enough distinct
/// people signed.
///
/// The requester knows the owner's officers by id and key only; that two ids are two people is the owner's word.
///
/// # Errors
/// [`READER`], [`RECEIPT`], [`NOT_SIGNED`], [`SUPERSEDED`], [`UNSEALABLE`], [`PACKAGE_CONTENT`], [`SIGNATURE`], [`QUORUM`], and those of
/// [`Decision::check`]. Nothing of the content is given out.
pub fn open(
    case: &Case<ReleasedTo>,
    world: &World<'_>,
    release: &SealedRelease,
    key: &DisclosureKey,
    owner: &VerifierKey,
    reader: &Person,
) -> Result<Opened, Refused> {
    WRONG_SIDE.unless(world.side == Side::Requester)?;
    let request = case.request().ok_or_else(|| WRONG_STATE.refused())?;
    let named = [&request.by, &request.ordered_by, &request.confirmed.person];
    READER.unless(named.iter().any(|person| person.id == reader.id))?;
    let state = case.state();
    RECEIPT.unless(release.digest()? == state.package)?;

    let statement = release.check(request, &state.decision, owner)?;
    UNSEALABLE.unless_at("recipient_key", key.public()?.digest() == request.recipient_key)?;

    let text = sealing::open(key, INFO, &about(request, &state.decision)?, &release.sealed)?;
    let package = Package::decode(&text)?;
    package.check(world, request, &state.decision, &state.approvals)?;
    Ok(Opened {
        package,
        digest: state.package,
        statement,
    })
}

impl Package {
    fn check(
        &self,
        world: &World<'_>,
        request: &DetailRequest,
        decision: &Digest,
        approvals: &[Digest],
    ) -> Result<(), Refused> {
        PACKAGE_CONTENT.unless_at("decision", self.decision.digest()? == *decision)?;
        self.decision.check(request, world.rules)?;
        let refused = matches!(self.decision.verdict, Verdict::Refused(_));
        PACKAGE_CONTENT.unless_at("verdict", !refused)?;
        PACKAGE_CONTENT.unless_at("umf", self.umf == umf::write(&self.decision))?;
        let named: Result<Vec<_>, _> = self.approvals.iter().map(Document::digest).collect();
        PACKAGE_CONTENT.unless_at("approvals", named? == approvals)?;
        let mut officers = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for approval in &self.approvals {
            let file_key = matches!(approval.key, OfficerKey::FileKey(_));
            FILE_KEY.unless(!file_key || world.rules.file_keys)?;
            approval.verify(decision, &world.rules.console, 0)?;
            officers.insert(&approval.officer);
            keys.insert(approval.key.id());
        }
        let needed = usize::from(self.decision.approvers(world.rules));
        QUORUM.unless(officers.len() >= needed && keys.len() >= needed)
    }
}

impl Opened {
    /// The decision: what was released, and how it must be handled.
    pub fn decision(&self) -> &Decision {
        &self.package.decision
    }

    /// Who approved it, with which kind of key.
    pub fn approvals(&self) -> &[Approval] {
        &self.package.approvals
    }

    /// The released fields as XML.
    pub fn umf(&self) -> &str {
        &self.package.umf
    }

    /// The digest of the package, for [`Case::receive_package`].
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The requester's signed receipt.
    ///
    /// # Errors
    /// As [`Statement::sign`].
    pub fn receipt(&self, at: Timestamp, key: &SigningKey) -> Result<String, Refused> {
        answer(&self.statement, self.digest, Stating::Receipt, at).sign(key)
    }
}

impl SealedRelease {
    /// Verifies that the owner signed it for this request and this decision, and that it is sealed as it was then. What is in it only
    /// [`open`] can tell.
    ///
    /// # Errors
    /// [`NOT_SIGNED`], [`MALFORMED`]; [`SUPERSEDED`] if it is for another case, request, decision or recipient, or was changed.
    pub fn check(
        &self,
        request: &DetailRequest,
        decision: &Digest,
        owner: &VerifierKey,
    ) -> Result<Statement, Refused> {
        let statement = Statement::verify(&self.statement, owner)?;
        let same = statement.stating == Stating::Release
            && statement.case == request.case
            && statement.request == request.digest()?
            && statement.decision == *decision
            && statement.package == self.sealed.digest()
            && statement.from == request.owner
            && statement.to == request.requester;
        SUPERSEDED.unless_at("statement", same)?;
        Ok(statement)
    }

    /// Verifies that `note` is the requester's receipt, or its confirmation of a recall, for exactly this package.
    ///
    /// # Errors
    /// [`NOT_SIGNED`], [`MALFORMED`], [`RECEIPT`]; the requester is to blame.
    pub fn check_answer(
        &self,
        note: &str,
        stating: Stating,
        owner: &VerifierKey,
        requester: &VerifierKey,
    ) -> Result<Statement, Refused> {
        let released = Statement::verify(&self.statement, owner)?;
        let given = Statement::verify(note, requester)?;
        RECEIPT.unless(given == answer(&released, self.digest()?, stating, given.at))?;
        Ok(given)
    }

    /// The requester's signed confirmation that what was in this package is deleted or corrected.
    ///
    /// # Errors
    /// As [`Statement::verify`], the statement in it being the owner's, and [`Statement::sign`].
    pub fn recall_done(
        &self,
        at: Timestamp,
        owner: &VerifierKey,
        key: &SigningKey,
    ) -> Result<String, Refused> {
        let released = Statement::verify(&self.statement, owner)?;
        answer(&released, self.digest()?, Stating::RecallDone, at).sign(key)
    }

    /// The owner's signed recall of this package.
    ///
    /// # Errors
    /// As [`Statement::verify`] and [`Statement::sign`].
    pub fn recall(&self, at: Timestamp, key: &SigningKey) -> Result<String, Refused> {
        let released = Statement::verify(&self.statement, &key.verifier())?;
        let recall = Statement {
            stating: Stating::Recall,
            package: self.digest()?,
            at,
            ..released
        };
        recall.sign(key)
    }

    /// Verifies that `note` is the owner's recall of exactly this package.
    ///
    /// # Errors
    /// [`NOT_SIGNED`], [`MALFORMED`], [`RECEIPT`]; the owner is to blame.
    pub fn check_recall(&self, note: &str, owner: &VerifierKey) -> Result<Statement, Refused> {
        let released = Statement::verify(&self.statement, owner)?;
        let recall = Statement::verify(note, owner)?;
        let expected = Statement {
            stating: Stating::Recall,
            package: self.digest()?,
            at: recall.at,
            ..released
        };
        RECEIPT.unless(recall == expected)?;
        Ok(recall)
    }
}

fn answer(released: &Statement, package: Digest, stating: Stating, at: Timestamp) -> Statement {
    Statement {
        stating,
        package,
        from: released.to.clone(),
        to: released.from.clone(),
        at,
        ..released.clone()
    }
}
