//! The node's keys and certificates on disk: made once by `concordat init`, read at every start.
//!
//! | file | what |
//! |---|---|
//! | `identity.key` | Ed25519: signs agreements, scope keys and snapshots |
//! | `disclosure.key` | X-Wing: opens what partners release to us and tell us |
//! | `master.key` | seals what the database keeps secret |
//! | `tls/peer.crt`, `.key` | shown to partners, who pin the key |
//! | `tls/ca.crt`, `.key` | the authority of our own listener and clients |
//! | `tls/api.crt`, `.key` | shown to our own systems |
//! | `clients/<name>.crt`, `.key` | one per system or person of ours |
//!
//! Secrets are created with mode 0600 and never overwritten; one that others may read is refused. Of all files only
//! `tls/api.crt` is made anew by a running node: when the names or the address of its listener have changed.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use concordat_disclosure::DisclosureKey;
use concordat_note::SigningKey;
use rand::CryptoRng;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use zeroize::Zeroizing;

use crate::tls::{Credentials, TlsError};

/// The client that `concordat init` makes, and the only one that may make others.
pub const ADMIN: &str = "admin";

/// A node's secrets, read from its data folder.
pub struct Identity {
    /// Signs agreements, scope keys and snapshots.
    pub signing: SigningKey,
    /// Opens releases and messages.
    pub disclosure: DisclosureKey,
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
    /// A secret that others than its owner may read.
    #[error(
        "{} can be read or written by others (mode {mode:04o}): run `chmod 600` on it, and make new keys if others may have read it",
        path.display()
    )]
    Shared {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate could not be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A client's request for a certificate cannot be read, or is not signed by its key.
    #[error("the request for a certificate cannot be used: {0}")]
    Request(rcgen::Error),
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
    for name in ["master.key", "disclosure.key"] {
        write_random(&data_dir.join(name), rng)?;
    }

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
    let api = api_certificate(agency_id, api_names)?.signed_by(&api_key, &issuer)?;
    write_pair(&tls, "api", &api.pem(), &api_key)
}

fn write_random(path: &Path, rng: &mut impl CryptoRng) -> Result<(), IdentityError> {
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *secret);
    write_secret(path, Zeroizing::new(hex::encode(*secret)).as_bytes())
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

/// Makes key and certificate for one of our own systems or people, in the folder of a node that does not run.
///
/// # Errors
/// The name is not usable or taken, or a file cannot be read or written.
pub fn create_client(data_dir: &Path, name: &str) -> Result<ClientFiles, IdentityError> {
    let request = client_request(&data_dir.join("clients"), name)?;
    let certificate = sign_client(data_dir, name, request.pem())?;
    request.granted(&certificate.pem, data_dir.join("tls/ca.crt"))
}

/// The key of a client to be, and the request for its certificate. The key is in its file already; it is removed again
/// unless the certificate is [granted](ClientRequest::granted).
pub struct ClientRequest {
    pem: String,
    certificate: PathBuf,
    key: PathBuf,
    granted: bool,
}

/// Makes a new key as `<folder>/<name>.key`.
///
/// # Errors
/// The name is not usable or taken, or the file cannot be written.
pub fn client_request(folder: &Path, name: &str) -> Result<ClientRequest, IdentityError> {
    check_client_name(name)?;
    let [certificate, key] = ["crt", "key"].map(|end| folder.join(format!("{name}.{end}")));
    if certificate.exists() {
        return Err(IdentityError::File {
            path: certificate,
            source: io::ErrorKind::AlreadyExists.into(),
        });
    }
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    let pem = params.serialize_request(&pair)?.pem()?;
    make_folder(folder)?;
    write_secret(&key, Zeroizing::new(pair.serialize_pem()).as_bytes())?;
    Ok(ClientRequest {
        pem,
        certificate,
        key,
        granted: false,
    })
}

impl ClientRequest {
    /// The request, PKCS #10 in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes the certificate beside its key. `ca` is where the client finds the node's authority.
    ///
    /// # Errors
    /// It is no certificate, or cannot be written.
    pub fn granted(mut self, certificate_pem: &str, ca: PathBuf) -> Result<ClientFiles, IdentityError> {
        let certificate = crate::tls::first_certificate(certificate_pem.as_bytes())?;
        write_new(&self.certificate, certificate_pem.as_bytes(), 0o644)?;
        self.granted = true;
        Ok(ClientFiles {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            ca,
            fingerprint: crate::tls::fingerprint(&certificate),
        })
    }
}

impl Drop for ClientRequest {
    fn drop(&mut self) {
        if !self.granted {
            // A key without a certificate is of no use to anybody; should it stay, its name stays taken.
            let _ = fs::remove_file(&self.key);
        }
    }
}

/// A client's new certificate.
pub struct ClientCertificate {
    /// PEM.
    pub pem: String,
    /// SHA-256 of it: goes on the node's list of clients.
    pub fingerprint: [u8; 32],
}

/// Signs the certificate of a client with the node's own authority. Of the request only the public key counts: name,
/// dates and usages are ours.
///
/// # Errors
/// The name is not usable, the request cannot be read or is not signed by its key, or the authority's key is not here.
pub fn sign_client(
    data_dir: &Path,
    name: &str,
    request_pem: &str,
) -> Result<ClientCertificate, IdentityError> {
    check_client_name(name)?;
    let request = CertificateSigningRequestParams::from_pem(request_pem).map_err(IdentityError::Request)?;
    let certificate = named(name, &[], vec![ExtendedKeyUsagePurpose::ClientAuth])?
        .signed_by(&request.public_key, &authority(data_dir)?)?;
    Ok(ClientCertificate {
        pem: certificate.pem(),
        fingerprint: crate::tls::fingerprint(certificate.der()),
    })
}

fn check_client_name(name: &str) -> Result<(), IdentityError> {
    if crate::config::is_agency_id(name) {
        return Ok(());
    }
    Err(IdentityError::Name(
        "a client's name has 1 to 64 lower-case letters, digits, '-' or '.', starting with a letter or digit"
            .into(),
    ))
}

/// What signs the certificates of our own listener and systems.
fn authority(data_dir: &Path) -> Result<Issuer<'static, KeyPair>, IdentityError> {
    let certificate = read_text(&data_dir.join("tls/ca.crt"))?;
    let key = KeyPair::from_pem(&read_secret(&data_dir.join("tls/ca.key"))?)?;
    Ok(Issuer::from_ca_cert_pem(&certificate, key)?)
}

impl Identity {
    /// Reads what [`create`] made. A folder of an earlier version gets its disclosure key now.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn load(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join("identity.key");
        let text = read_secret(&path)?;
        let signing = SigningKey::decode(text.trim_end()).map_err(|error| IdentityError::Damaged {
            path,
            reason: error.to_string(),
        })?;
        let pair = |name: &str| -> Result<Credentials, IdentityError> {
            let certificate = read_text(&data_dir.join(format!("tls/{name}.crt")))?;
            let key = read_secret(&data_dir.join(format!("tls/{name}.key")))?;
            Ok(Credentials::from_pem(certificate.as_bytes(), key.as_bytes())?)
        };
        let path = data_dir.join("disclosure.key");
        if !path.exists() {
            write_random(&path, &mut rand::rand_core::UnwrapErr(rand::rngs::SysRng))?;
        }
        let disclosure = parse_key(&read_secret(&path)?, &path)?;
        Ok(Self {
            signing,
            disclosure: DisclosureKey::new(&disclosure),
            peer: pair("peer")?,
            api: pair("api")?,
            client_ca: read_text(&data_dir.join("tls/ca.crt"))?.into_bytes(),
        })
    }

    /// Makes the certificate that our own systems see stand for `names`, if it does not: with the same key, signed
    /// by the node's own authority, so that no client notices. Where the file cannot be written (the service may have
    /// read access only) the new certificate is used all the same, and made again at the next start.
    ///
    /// Returns whether a new one was made.
    ///
    /// # Errors
    /// A name cannot stand in a certificate, or the authority's key is not here.
    pub fn cover(&mut self, data_dir: &Path, names: &[String]) -> Result<bool, IdentityError> {
        if self.api.stands_for(names) {
            return Ok(false);
        }
        let key_path = data_dir.join("tls/api.key");
        let key = KeyPair::from_pem(&read_secret(&key_path)?)?;
        let pem = api_certificate(self.signing.name(), names)?
            .signed_by(&key, &authority(data_dir)?)?
            .pem();
        self.api = Credentials::from_pem(pem.as_bytes(), read_secret(&key_path)?.as_bytes())?;
        let (path, new) = (data_dir.join("tls/api.crt"), data_dir.join("tls/api.crt.new"));
        let written = match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => write_new(&new, pem.as_bytes(), 0o644)
                .map_err(io::Error::other)
                .and_then(|()| fs::rename(&new, &path)),
        };
        if let Err(error) = written {
            tracing::info!(path = %path.display(), %error, "the new certificate is not on disk: it is made again at each start");
        }
        Ok(true)
    }
}

/// Reads a 32-byte key in hexadecimal, as [`create`] writes `master.key`.
///
/// # Errors
/// Not 64 hexadecimal digits.
pub fn parse_master_key(text: &str) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    parse_key(text, Path::new("master key"))
}

fn parse_key(text: &str, path: &Path) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *key).map_err(|_| IdentityError::Damaged {
        path: path.to_owned(),
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
    params.distinguished_name = self::common_name(common_name);
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2124, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = usages;
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn api_certificate(agency_id: &str, names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    named(agency_id, names, vec![ExtendedKeyUsagePurpose::ServerAuth])
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

/// Creates a file that its owner alone may read; never overwrites one.
///
/// # Errors
/// It is there already, or cannot be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
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

pub(crate) fn make_folder(path: &Path) -> Result<(), IdentityError> {
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

/// Reads a secret that is for its owner only. One that belongs to root and that we may read as a group or by an access
/// list was given to us on purpose: so systemd hands over credentials, and container engines secrets.
///
/// # Errors
/// It cannot be read, or others may read or write it.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, IdentityError> {
    use std::os::unix::fs::MetadataExt;
    let read = || -> io::Result<(u32, u32, Zeroizing<String>)> {
        // Of the file that is read, whatever happens to its name meanwhile.
        let mut file = fs::File::open(path)?;
        let about = file.metadata()?;
        let mut text = Zeroizing::new(String::with_capacity(8 << 10));
        file.read_to_string(&mut text)?;
        Ok((about.mode() & 0o7777, about.uid(), text))
    };
    let (mode, owner, text) = read().map_err(|source| IdentityError::File {
        path: path.to_owned(),
        source,
    })?;
    let given = if owner == 0 { 0o040 } else { 0 };
    if mode & 0o077 & !given != 0 {
        return Err(IdentityError::Shared {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(text)
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
    fn a_secret_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        create(folder.path(), "aa", &[], &mut rand::rng()).expect("made");
        for secret in ["identity.key", "tls/peer.key", "tls/api.key"] {
            let path = folder.path().join(secret);
            let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect(secret);
            for mode in [0o644, 0o604, 0o620] {
                set(mode);
                let error = Identity::load(folder.path()).err().expect("refused").to_string();
                assert!(
                    error.contains(secret) && error.contains(&format!("{mode:04o}")),
                    "{error}"
                );
            }
            set(0o400);
            assert!(Identity::load(folder.path()).is_ok(), "{secret}");
        }
    }

    #[test]
    fn the_api_certificate_follows_the_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        create(
            folder.path(),
            "aa",
            &names(&["localhost", "127.0.0.1"]),
            &mut rand::rng(),
        )
        .expect("made");
        let mut identity = Identity::load(folder.path()).expect("read");
        let pin = identity.api.pin().expect("a pin");
        let wanted = names(&["LOCALHOST"]);
        assert!(
            !identity.cover(folder.path(), &wanted).expect("covered"),
            "nothing to do"
        );
        let wanted = names(&["localhost", "192.0.2.10", "2001:db8::7", "api.police.example"]);
        assert!(!identity.api.stands_for(&wanted));
        assert!(identity.cover(folder.path(), &wanted).expect("made anew"));
        assert!(identity.api.stands_for(&wanted));
        assert!(
            !identity.api.stands_for(&names(&["127.0.0.1"])),
            "what is gone is gone"
        );
        assert_eq!(identity.api.pin().expect("a pin"), pin, "the same key");
        let again = Identity::load(folder.path()).expect("read");
        assert!(again.api.stands_for(&wanted), "it is on disk");
        fs::remove_file(folder.path().join("tls/ca.key")).expect("removed");
        assert!(identity.cover(folder.path(), &names(&["other.example"])).is_err());
    }

    #[test]
    fn a_request_that_is_not_granted_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        create(folder.path(), "aa", &[], &mut rand::rng()).expect("made");
        let clients = folder.path().join("clients");
        drop(client_request(&clients, "gate-7").expect("a key"));
        assert_eq!(fs::read_dir(&clients).expect("readable").count(), 0);
        assert!(matches!(
            sign_client(folder.path(), "gate-7", "no request"),
            Err(IdentityError::Request(_))
        ));
        let request = client_request(&clients, "gate-7").expect("a key");
        let signed = sign_client(folder.path(), "gate-7", request.pem()).expect("signed");
        let files = request.granted(&signed.pem, "ca.crt".into()).expect("written");
        assert_eq!(files.fingerprint, signed.fingerprint);
        assert!(files.key.exists() && files.certificate.exists());
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
