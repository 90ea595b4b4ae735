//! The node's keys and certificates on disk: made once by `concordat init`, read at every start.
//!
//! | file | what |
//! |---|---|
//! | `identity.key` | Ed25519: signs agreements, scope keys and snapshots |
//! | `master.key` | seals what the database keeps secret |
//! | `tls/peer.crt`, `.key` | shown to partners, who pin the key |
//! | `tls/ca.crt`, `.key` | the authority of our own listener and clients |
//! | `tls/api.crt`, `.key` | shown to our own systems |
//! | `clients/<name>.crt`, `.key` | one per system or person of ours |
//!
//! Secrets are created with mode 0600 and never overwritten.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use concordat_note::SigningKey;
use rand::CryptoRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use zeroize::Zeroizing;

use crate::tls::{Credentials, TlsError};

/// A node's secrets, read from its data folder.
pub struct Identity {
    /// Signs agreements, scope keys and snapshots.
    pub signing: SigningKey,
    /// Shown to partners.
    pub peer: Credentials,
    /// Shown to our own systems.
    pub api: Credentials,
    /// The authority of our own systems' certificates, PEM.
    pub client_ca: Vec<u8>,
}

/// Why keys could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path}: {reason}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate could not be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The agency id cannot name a key, or a client's name is not usable.
    #[error("{0}")]
    Name(String),
}

/// Makes all keys and certificates of a new node.
///
/// # Errors
/// Any of the files exists already, or cannot be written.
pub fn create(
    data_dir: &Path,
    agency_id: &str,
    api_names: &[String],
    rng: &mut impl CryptoRng,
) -> Result<(), IdentityError> {
    let signing =
        SigningKey::generate(agency_id, rng).map_err(|error| IdentityError::Name(error.to_string()))?;
    write_secret(&data_dir.join("identity.key"), signing.encode().as_bytes())?;
    let mut master = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *master);
    write_secret(
        &data_dir.join("master.key"),
        Zeroizing::new(hex::encode(*master)).as_bytes(),
    )?;

    let tls = data_dir.join("tls");
    make_folder(&tls)?;
    make_folder(&data_dir.join("clients"))?;
    let peer_key = KeyPair::generate()?;
    let peer = named(agency_id, &[agency_id.to_owned()], both_usages())?.self_signed(&peer_key)?;
    write_pair(&tls, "peer", &peer.pem(), &peer_key)?;

    let ca_key = KeyPair::generate()?;
    let mut ca = named(&format!("{agency_id} clients"), &[], Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key)?;
    write_pair(&tls, "ca", &ca_certificate.pem(), &ca_key)?;

    let api_key = KeyPair::generate()?;
    let issuer = Issuer::new(ca, ca_key);
    let api = named(agency_id, api_names, vec![ExtendedKeyUsagePurpose::ServerAuth])?
        .signed_by(&api_key, &issuer)?;
    write_pair(&tls, "api", &api.pem(), &api_key)
}

/// Where a client's certificate and key were written.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// Certificate, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// The authority the client verifies the node with, PEM.
    pub ca: PathBuf,
    /// SHA-256 of the certificate: goes on the node's list of clients.
    pub fingerprint: [u8; 32],
}

/// Makes a certificate for one of our own systems or people.
///
/// # Errors
/// The name is not usable or taken, or a file cannot be read or written.
pub fn create_client(data_dir: &Path, name: &str) -> Result<ClientFiles, IdentityError> {
    if !crate::config::is_agency_id(name) {
        return Err(IdentityError::Name(
            "a client's name has 1 to 64 lower-case letters, digits, '-' or '.'".into(),
        ));
    }
    let ca_path = data_dir.join("tls/ca.crt");
    let ca_key_path = data_dir.join("tls/ca.key");
    let ca_pem = read_text(&ca_path)?;
    let ca_key = KeyPair::from_pem(&Zeroizing::new(read_text(&ca_key_path)?))?;
    let issuer = Issuer::from_ca_cert_pem(&ca_pem, ca_key)?;
    let key = KeyPair::generate()?;
    let certificate =
        named(name, &[], vec![ExtendedKeyUsagePurpose::ClientAuth])?.signed_by(&key, &issuer)?;
    let folder = data_dir.join("clients");
    write_pair(&folder, name, &certificate.pem(), &key)?;
    Ok(ClientFiles {
        certificate: folder.join(format!("{name}.crt")),
        key: folder.join(format!("{name}.key")),
        ca: ca_path,
        fingerprint: crate::tls::fingerprint(certificate.der()),
    })
}

impl Identity {
    /// Reads what [`create`] made.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn load(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join("identity.key");
        let text = Zeroizing::new(read_text(&path)?);
        let signing = SigningKey::decode(text.trim_end()).map_err(|error| IdentityError::Damaged {
            path,
            reason: error.to_string(),
        })?;
        let pair = |name: &str| -> Result<Credentials, IdentityError> {
            let certificate = read_text(&data_dir.join(format!("tls/{name}.crt")))?;
            let key = Zeroizing::new(read_text(&data_dir.join(format!("tls/{name}.key")))?);
            Ok(Credentials::from_pem(certificate.as_bytes(), key.as_bytes())?)
        };
        Ok(Self {
            signing,
            peer: pair("peer")?,
            api: pair("api")?,
            client_ca: read_text(&data_dir.join("tls/ca.crt"))?.into_bytes(),
        })
    }
}

/// Reads a 32-byte key in hexadecimal, as [`create`] writes `master.key`.
///
/// # Errors
/// Not 64 hexadecimal digits.
pub fn parse_master_key(text: &str) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *key).map_err(|_| IdentityError::Damaged {
        path: "master key".into(),
        reason: "expected 64 hexadecimal digits".into(),
    })?;
    Ok(key)
}

/// A key's certificate for 100 years: pins and the node's own list of clients decide who is let in, not dates.
fn named(
    common_name: &str,
    alternative_names: &[String],
    usages: Vec<ExtendedKeyUsagePurpose>,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(alternative_names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2124, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = usages;
    Ok(params)
}

fn both_usages() -> Vec<ExtendedKeyUsagePurpose> {
    vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ]
}

fn write_pair(folder: &Path, name: &str, certificate: &str, key: &KeyPair) -> Result<(), IdentityError> {
    write_secret(
        &folder.join(format!("{name}.key")),
        Zeroizing::new(key.serialize_pem()).as_bytes(),
    )?;
    write_new(&folder.join(format!("{name}.crt")), certificate.as_bytes(), 0o644)
}

fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    write_new(path, bytes, 0o600)
}

/// Creates a file, never overwrites one, and makes it durable.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    use std::os::unix::fs::OpenOptionsExt;
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| IdentityError::File {
        path: path.to_owned(),
        source,
    })
}

fn make_folder(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| IdentityError::File {
            path: path.to_owned(),
            source,
        })
}

fn read_text(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|source| IdentityError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        create(folder.path(), "aa", &["localhost".into()], &mut rand::rng()).expect("made");
        let identity = Identity::load(folder.path()).expect("read");
        assert_eq!(identity.signing.name(), "aa");
        assert_ne!(
            identity.peer.pin().expect("pin"),
            identity.api.pin().expect("pin")
        );
        let again = create(folder.path(), "aa", &[], &mut rand::rng()).expect_err("exists");
        assert!(again.to_string().contains("identity.key"), "{again}");
        let client = create_client(folder.path(), "gate-7").expect("made");
        assert!(client.certificate.exists() && client.key.exists());
        assert!(
            create_client(folder.path(), "gate-7").is_err(),
            "the name is taken"
        );
        assert!(
            create_client(folder.path(), "../x").is_err(),
            "a name, not a path"
        );
    }

    #[test]
    fn secrets_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        create(folder.path(), "aa", &[], &mut rand::rng()).expect("made");
        for secret in [
            "identity.key",
            "master.key",
            "tls/peer.key",
            "tls/ca.key",
            "tls/api.key",
        ] {
            let mode = fs::metadata(folder.path().join(secret))
                .expect(secret)
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "{secret}");
        }
        assert!(parse_master_key(&read_text(&folder.path().join("master.key")).expect("read")).is_ok());
        assert!(parse_master_key("12").is_err());
    }
}
