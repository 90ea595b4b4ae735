//! Messages between the two desks of a case: questions, answers and what is attached to them, sealed so that the desks alone read.

use concordat_ledger::{Digest, Hex, Person, Side};
use jiff::Timestamp;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::attachment::Manifest;
use crate::document::Document;
use crate::request::CaseId;
use crate::rule::{MALFORMED, OTHER_CASE, Refused};
use crate::sealing::{self, DisclosureKey, DisclosurePublicKey, Sealed};
use crate::text::Words;

const INFO: &str = "concordat/v1/message\n";

/// A message. **Holds personal data**, and the keys of its attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The case.
    pub case: CaseId,
    /// 16 random bytes, unique within the case.
    pub id: Hex<16>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Hex<16>>,
    /// Whose.
    pub side: Side,
    /// Who wrote it.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// Its paragraphs: 1 to 32.
    pub text: Vec<Words>,
    /// What is attached: at most 16.
    pub attachments: Vec<Manifest>,
}

impl Document for Message {
    const KIND: &'static str = "concordat/v1/message";
}

/// A message as it travels and as both stores keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedMessage {
    /// The case.
    pub case: CaseId,
    /// The message's id.
    pub id: Hex<16>,
    /// A [`Message`], sealed.
    pub sealed: Sealed,
}

impl Document for SealedMessage {
    const KIND: &'static str = "concordat/v1/sealed-message";
    const MAX_BYTES: usize = 600 << 10;
}

impl Message {
    /// Seals it to the other desk. Its digest goes into the step that asks or answers.
    ///
    /// # Errors
    /// [`MALFORMED`], [`DISCLOSURE_KEY`](crate::rule::DISCLOSURE_KEY), [`TOO_LARGE`](crate::rule::TOO_LARGE).
    pub fn seal(&self, to: &DisclosurePublicKey, rng: &mut impl CryptoRng) -> Result<SealedMessage, Refused> {
        self.check()?;
        let text = Zeroizing::new(self.encode()?);
        Ok(SealedMessage {
            case: self.case,
            id: self.id,
            sealed: sealing::seal(to, INFO, &about(&self.case, &self.id), text.as_bytes(), rng)?,
        })
    }

    fn check(&self) -> Result<(), Refused> {
        MALFORMED.unless_at("text", (1..=32).contains(&self.text.len()))?;
        MALFORMED.unless_at("attachments", self.attachments.len() <= 16)?;
        self.attachments.iter().try_for_each(Manifest::check)
    }
}

impl SealedMessage {
    /// Opens it at the desk that it was sealed to. `case` and `side` are those that the step which names it says.
    ///
    /// # Errors
    /// [`UNSEALABLE`](crate::rule::UNSEALABLE), [`OTHER_CASE`], [`MALFORMED`].
    pub fn open(&self, case: &CaseId, side: Side, key: &DisclosureKey) -> Result<Message, Refused> {
        OTHER_CASE.unless(self.case == *case)?;
        let text = sealing::open(key, INFO, &about(case, &self.id), &self.sealed)?;
        let message = Message::decode(&text)?;
        OTHER_CASE.unless(message.case == *case && message.id == self.id && message.side == side)?;
        message.check()?;
        Ok(message)
    }

    /// What a step names it by.
    ///
    /// # Errors
    /// As [`Document::encode`].
    pub fn name(&self) -> Result<Digest, Refused> {
        self.digest()
    }
}

fn about(case: &CaseId, id: &Hex<16>) -> Vec<u8> {
    [case.0, id.0].concat()
}
