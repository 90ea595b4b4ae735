//! An authenticator without hardware, for tests and the demo. Its assertions are genuine; its key is in this process's memory, and
//! nobody is asked to touch anything. **Never for officers.**

use base64ct::{Base64UrlUnpadded, Encoding};
use concordat_ledger::{Digest, Hex, Text};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::approval::{Approval, OfficerKey, Signature as OfficerSignature};
use crate::document::Bytes;
use crate::passkey::{Assertion, Passkey, RelyingParty};
use crate::rule::{KEY_SHAPE, ORIGIN, Refused};

/// A passkey with its private key. `Debug` does not show it; wiped when dropped.
#[derive(Debug)]
pub struct SoftwarePasskey {
    secret: SigningKey,
    passkey: Passkey,
    counter: u32,
}

/// What an authenticator says about itself and its user (§6.1, flags).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// UP: the user was present.
    pub present: bool,
    /// UV: the user was verified.
    pub verified: bool,
}

impl Flags {
    /// Present and verified.
    pub const BOTH: Self = Self {
        present: true,
        verified: true,
    };
}

impl SoftwarePasskey {
    /// The passkey with this private key, 32 random bytes.
    ///
    /// # Errors
    /// [`KEY_SHAPE`] if they are no scalar of P-256, which has probability 2^-32: draw others.
    pub fn new(secret: &[u8; 32]) -> Result<Self, Refused> {
        let secret = SigningKey::from_slice(secret).map_err(|_| KEY_SHAPE.refused())?;
        let point = secret.verifying_key().to_sec1_point(false);
        let coordinate = |bytes: Option<&_>| {
            let bytes: &p256::FieldBytes = bytes.ok_or_else(|| KEY_SHAPE.refused())?;
            Ok(Hex((*bytes).into()))
        };
        let credential = Sha256::digest(point.as_bytes())[..16].to_vec();
        let passkey = Passkey {
            credential: Bytes(credential),
            x: coordinate(point.x())?,
            y: coordinate(point.y())?,
            backup_eligible: false,
        };
        Ok(Self {
            secret,
            passkey,
            counter: 0,
        })
    }

    /// The public half, to be registered.
    pub fn public(&self) -> Passkey {
        self.passkey.clone()
    }

    /// Signs a document's digest on the first page of `console`, as its user would.
    ///
    /// # Errors
    /// [`ORIGIN`] if `console` has no page.
    pub fn approve(
        &mut self,
        officer: &Text,
        document: &Digest,
        console: &RelyingParty,
    ) -> Result<Approval, Refused> {
        Ok(Approval {
            officer: officer.clone(),
            key: OfficerKey::Passkey(self.public()),
            document: *document,
            signature: OfficerSignature::Passkey(self.assert(document, console, Flags::BOTH)?),
        })
    }

    /// Makes an assertion over `challenge` with these flags.
    ///
    /// # Errors
    /// [`ORIGIN`] if `console` has no page.
    pub fn assert(
        &mut self,
        challenge: &Digest,
        console: &RelyingParty,
        flags: Flags,
    ) -> Result<Assertion, Refused> {
        let client_data = client_data(challenge, console)?;
        Ok(self.sign(client_data, console, flags))
    }

    /// Makes an assertion over client data that a hostile browser changed.
    ///
    /// # Errors
    /// [`ORIGIN`] if `console` has no page.
    pub fn assert_edited(
        &mut self,
        challenge: &Digest,
        console: &RelyingParty,
        edit: impl FnOnce(String) -> String,
    ) -> Result<Assertion, Refused> {
        let client_data = edit(client_data(challenge, console)?);
        Ok(self.sign(client_data, console, Flags::BOTH))
    }

    fn sign(&mut self, client_data: String, console: &RelyingParty, flags: Flags) -> Assertion {
        self.counter += 1;
        let mut authenticator_data = Sha256::digest(console.id.as_str()).to_vec();
        authenticator_data.push(u8::from(flags.present) | u8::from(flags.verified) << 2);
        authenticator_data.extend(self.counter.to_be_bytes());
        let signed = [authenticator_data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature: Signature = self.secret.sign(&signed);
        Assertion {
            credential: self.passkey.credential.clone(),
            authenticator_data: Bytes(authenticator_data),
            client_data: Bytes(client_data.into_bytes()),
            signature: Bytes(signature.to_der().as_bytes().to_vec()),
        }
    }
}

fn client_data(challenge: &Digest, console: &RelyingParty) -> Result<String, Refused> {
    let origin = console.origins.first().ok_or_else(|| ORIGIN.refused())?;
    let client_data = serde_json::json!({
        "type": "webauthn.get",
        "challenge": Base64UrlUnpadded::encode_string(&challenge.0),
        "origin": origin.as_str(),
        "crossOrigin": false,
    });
    Ok(client_data.to_string())
}
