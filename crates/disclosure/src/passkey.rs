//! Passkeys: WebAuthn assertions (W3C Web Authentication Level 3 §7.2), verified offline from stored bytes, today or in years.
//!
//! The parsing and verifying are `webauthn-rs-core`'s. It keeps the challenge that it drew itself in a state that is made to be stored;
//! here the challenge is the SHA-256 of a document, so the state is written rather than drawn. See decision 013.

use std::collections::BTreeSet;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use concordat_ledger::{Digest, Hex, Text};
use serde::{Deserialize, Serialize};
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AttestationConveyancePreference, AttestationFormat, AttestationMetadata, AuthenticationState,
    AuthenticatorAssertionResponseRaw, COSEAlgorithm, COSEEC2Key, COSEKey, COSEKeyType, CollectedClientData,
    Credential, ECDSACurve, ParsedAttestation, ParsedAttestationData, PublicKeyCredential,
    RegisterPublicKeyCredential, RegisteredExtensions, RegistrationState, UserVerificationPolicy,
};

use crate::document::Bytes;
use crate::rule::*;

/// Where an agency's officers sign: a browser makes an assertion for one page only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelyingParty {
    /// The RP id, a domain name.
    pub id: Text,
    /// The pages, `https://host[:port]`; of the RP id itself or below it.
    pub origins: BTreeSet<Text>,
}

impl RelyingParty {
    /// Whether the origins belong to the RP id. Plain HTTP is for `localhost` only.
    pub(crate) fn holds(&self) -> bool {
        let id = self.id.as_str();
        let belongs = |origin: &Text| {
            let Ok(url) = Url::parse(origin.as_str()) else {
                return false;
            };
            let host = url.domain().unwrap_or_default();
            let below = host
                .strip_suffix(id)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            let secure = url.scheme() == "https" || (url.scheme() == "http" && host == "localhost");
            below && secure && url.origin().ascii_serialization() == origin.as_str()
        };
        !self.origins.is_empty() && self.origins.iter().all(belongs)
    }

    /// Begins the registration of a new passkey of `officer`: what the browser is to be asked for (the options of
    /// `navigator.credentials.create`, JSON), and what [`register`](Self::register) needs. The challenge is drawn by the library from
    /// the system's generator.
    ///
    /// # Errors
    /// [`KEY_SHAPE`] if `officer` is no name.
    pub fn begin_registration(&self, officer: &Text) -> Result<(String, Registering), Refused> {
        let core = self.core();
        let name = officer.as_str();
        let asked = core
            .new_challenge_register_builder(name.as_bytes(), name, name)
            .and_then(|builder| {
                let builder = builder
                    .attestation(AttestationConveyancePreference::None)
                    .credential_algorithms(vec![COSEAlgorithm::ES256])
                    .user_verification_policy(UserVerificationPolicy::Required)
                    .require_resident_key(false);
                core.generate_challenge_register(builder)
            });
        let (options, state) = asked.map_err(|_| KEY_SHAPE.refused())?;
        let options = serde_json::to_string(&options.public_key).map_err(|_| KEY_SHAPE.refused())?;
        Ok((options, Registering(state)))
    }

    /// Ends a registration with what the browser answered (JSON): the new passkey.
    ///
    /// # Errors
    /// [`MALFORMED`], [`TOO_LARGE`], [`USER_VERIFICATION`], [`ORIGIN`], [`KEY_SHAPE`].
    pub fn register(&self, json: &str, state: &Registering) -> Result<Passkey, Refused> {
        TOO_LARGE.unless(json.len() <= 16 * Assertion::MAX_BYTES)?;
        let given: RegisterPublicKeyCredential =
            serde_json::from_str(json).map_err(|_| MALFORMED.at("registration"))?;
        let credential = self.core().register_credential(&given, &state.0, None);
        Passkey::from_credential(&credential.map_err(|error| refusal(&error))?)
    }

    fn core(&self) -> WebauthnCore {
        let origins = self
            .origins
            .iter()
            .filter_map(|origin| Url::parse(origin.as_str()).ok());
        // No subdomains, no other ports. The timeout is for a browser's dialogue, of which there is none here.
        WebauthnCore::new_unsafe_experts_only(
            self.id.as_str(),
            self.id.as_str(),
            origins.collect(),
            Duration::from_secs(60),
            Some(false),
            Some(false),
        )
    }
}

/// A registration that waits for its browser. Single use.
#[derive(Debug)]
pub struct Registering(RegistrationState);

/// The public half of a passkey: ES256 (ECDSA on P-256 with SHA-256), which every authenticator has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Passkey {
    /// The credential id: 1 to 1,023 bytes.
    pub credential: Bytes,
    /// The point's x.
    pub x: Hex<32>,
    /// The point's y.
    pub y: Hex<32>,
    /// Whether the authenticator may copy it to other devices.
    pub backup_eligible: bool,
}

impl Passkey {
    /// Takes what a registration ceremony gave, attestation and counter left out.
    ///
    /// # Errors
    /// [`KEY_SHAPE`]: another algorithm than ES256; ask the authenticator for ES256 only.
    pub fn from_credential(credential: &Credential) -> Result<Self, Refused> {
        let COSEKeyType::EC_EC2(key) = &credential.cred.key else {
            return Err(KEY_SHAPE.refused());
        };
        let coordinate = |bytes: &[u8]| bytes.try_into().map(Hex).map_err(|_| KEY_SHAPE.refused());
        KEY_SHAPE.unless(key.curve == ECDSACurve::SECP256R1)?;
        let passkey = Self {
            credential: Bytes(credential.cred_id.clone()),
            x: coordinate(&key.x)?,
            y: coordinate(&key.y)?,
            backup_eligible: credential.backup_eligible,
        };
        passkey
            .holds()
            .then_some(passkey)
            .ok_or_else(|| KEY_SHAPE.refused())
    }

    pub(crate) fn holds(&self) -> bool {
        // The library looks at the point first and then at the signature, of which there is none.
        let point = self.cose().verify_signature(&[], &[]);
        (1..=1023).contains(&self.credential.0.len())
            && !matches!(point, Err(WebauthnError::EcdsaPointInvalid))
    }

    fn cose(&self) -> COSEKey {
        COSEKey {
            type_: COSEAlgorithm::ES256,
            key: COSEKeyType::EC_EC2(COSEEC2Key {
                curve: ECDSACurve::SECP256R1,
                x: self.x.0.to_vec(),
                y: self.y.0.to_vec(),
            }),
        }
    }

    fn credential(&self, counter: u32) -> Credential {
        Credential {
            cred_id: self.credential.0.clone(),
            cred: self.cose(),
            counter,
            transports: None,
            user_verified: true,
            backup_eligible: self.backup_eligible,
            backup_state: false,
            registration_policy: UserVerificationPolicy::Required,
            extensions: RegisteredExtensions::none(),
            attestation: ParsedAttestation {
                data: ParsedAttestationData::None,
                metadata: AttestationMetadata::None,
            },
            attestation_format: AttestationFormat::None,
        }
    }
}

/// An assertion, as it is kept: the parts that the signature covers, and the signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The credential id.
    pub credential: Bytes,
    /// The authenticator data (§6.1).
    pub authenticator_data: Bytes,
    /// The client data (§5.8.1), JSON as the browser wrote it.
    pub client_data: Bytes,
    /// The signature, DER.
    pub signature: Bytes,
}

/// What an assertion says besides that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asserted {
    /// The authenticator's signature counter: keep it, and give it to the next [`Assertion::verify`]. 0 if it has none.
    pub counter: u32,
    /// Whether the key is known to exist on several devices.
    pub backed_up: bool,
}

impl Assertion {
    /// The longest client data and authenticator data that are looked at, in bytes.
    pub const MAX_BYTES: usize = 8 << 10;

    /// Takes what `navigator.credentials.get()` gave, as JSON (`PublicKeyCredential.toJSON()`).
    ///
    /// # Errors
    /// [`TOO_LARGE`], [`MALFORMED`].
    pub fn from_browser(json: &str) -> Result<Self, Refused> {
        TOO_LARGE.unless(json.len() <= 8 * Self::MAX_BYTES)?;
        let given: PublicKeyCredential = serde_json::from_str(json).map_err(|_| MALFORMED.at("assertion"))?;
        let assertion = Self {
            credential: Bytes(given.raw_id),
            authenticator_data: Bytes(given.response.authenticator_data),
            client_data: Bytes(given.response.client_data_json),
            signature: Bytes(given.response.signature),
        };
        assertion
            .bounded()
            .then_some(assertion)
            .ok_or_else(|| TOO_LARGE.at("assertion"))
    }

    fn bounded(&self) -> bool {
        self.authenticator_data.0.len() <= Self::MAX_BYTES
            && self.client_data.0.len() <= Self::MAX_BYTES
            && self.signature.0.len() <= 256
            && self.credential.0.len() <= 1023
    }

    /// Verifies that the user of `key` was present, was verified by the authenticator, and signed `challenge` on the agency's page.
    ///
    /// `last_counter` is the counter of the key's last assertion when it is fresh, and 0 when an old one is verified again: then the
    /// counter was checked when it was made, and the step that was refused is not in the history.
    ///
    /// # Errors
    /// [`UNKNOWN_KEY`], [`ORIGIN`], [`USER_VERIFICATION`], [`COUNTER`], [`SIGNATURE`], [`TOO_LARGE`].
    pub fn verify(
        &self,
        key: &Passkey,
        challenge: &Digest,
        console: &RelyingParty,
        last_counter: u32,
    ) -> Result<Asserted, Refused> {
        TOO_LARGE.unless_at("assertion", self.bounded())?;
        UNKNOWN_KEY.unless(self.credential == key.credential)?;
        let client: CollectedClientData =
            serde_json::from_slice(&self.client_data.0).map_err(|_| SIGNATURE.refused())?;
        // The page must not have been in a frame of another: what the officer saw would not be ours.
        let framed = client.cross_origin == Some(true) || client.unknown_keys.contains_key("topOrigin");
        ORIGIN.unless(!framed)?;
        let given = PublicKeyCredential {
            id: Base64UrlUnpadded::encode_string(&self.credential.0),
            raw_id: self.credential.0.clone(),
            response: AuthenticatorAssertionResponseRaw {
                authenticator_data: self.authenticator_data.0.clone(),
                client_data_json: self.client_data.0.clone(),
                signature: self.signature.0.clone(),
                user_handle: None,
            },
            extensions: Default::default(),
            type_: "public-key".to_owned(),
        };
        let state = state(challenge)?;
        let asserted = console
            .core()
            .authenticate_single_credential(&given, &state, &key.credential(last_counter))
            .map_err(|error| refusal(&error))?;
        // Asked for in the state, and looked at once more: it is what the whole approval rests on.
        USER_VERIFICATION.unless(asserted.user_verified())?;
        Ok(Asserted {
            counter: asserted.counter(),
            backed_up: asserted.backup_state(),
        })
    }
}

/// The library's state of a ceremony whose challenge is `challenge` and that requires user verification, in the form in which it is
/// kept between the two halves of a ceremony.
fn state(challenge: &Digest) -> Result<AuthenticationState, Refused> {
    serde_json::from_value(serde_json::json!({
        "credentials": [],
        "policy": "required",
        "challenge": Base64UrlUnpadded::encode_string(&challenge.0),
        "appid": null,
        "allow_backup_eligible_upgrade": false,
    }))
    .map_err(|_| SIGNATURE.refused())
}

fn refusal(error: &WebauthnError) -> Refused {
    match error {
        WebauthnError::UserNotPresent | WebauthnError::UserNotVerified => USER_VERIFICATION,
        WebauthnError::InvalidRPOrigin | WebauthnError::InvalidRPIDHash => ORIGIN,
        WebauthnError::CredentialPossibleCompromise => COUNTER,
        WebauthnError::CredentialNotFound => UNKNOWN_KEY,
        _ => SIGNATURE,
    }
    .refused()
}
