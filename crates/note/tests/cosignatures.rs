//! Timestamped cosignatures (C2SP tlog-cosignature v1).

use base64ct::{Base64, Encoding};
use concordat_note::{CosignerKey, KeyError, Limits, Note, NoteError, Policy, Signature, SigningKey};
use ed25519_dalek::Signer;

const TEXT: &str = "log.example/aa\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).unwrap()
}

fn cosigned(time: u64) -> (Note, CosignerKey) {
    let mut note = Note::sign(TEXT, &[&key("log.example/aa", 1)]).unwrap();
    let witness = key("witness.example/w", 2);
    note.add_cosignature(&witness, time).unwrap();
    (note, witness.verifier().cosigner())
}

fn parse(text: &str) -> Note {
    Note::parse(text.as_bytes(), Limits::default()).unwrap()
}

#[test]
fn a_cosignature_verifies_and_travels() {
    let (note, witness) = cosigned(1_679_315_147);
    let note = parse(&note.to_string());
    assert_eq!(note.cosigned_by(&witness).unwrap(), Some(1_679_315_147));
    let stranger = key("other.example", 3).verifier().cosigner();
    assert_eq!(note.cosigned_by(&stranger).unwrap(), None);
    // The log's own signature is not disturbed, and a cosignature is no signature.
    let log = key("log.example/aa", 1).verifier();
    assert!(note.open(&[log], Policy::All).is_ok());
    let plain = key("witness.example/w", 2).verifier();
    assert_eq!(note.open(&[plain], Policy::Any), Err(NoteError::NotSigned));
}

#[test]
fn the_signed_message_is_that_of_the_specification() {
    let (note, witness) = cosigned(7);
    let secret = ed25519_dalek::SigningKey::from_bytes(&[2; 32]);
    let raw = secret.sign(format!("cosignature/v1\ntime 7\n{TEXT}").as_bytes());
    let bytes = [
        &witness.id().to_be_bytes()[..],
        &7u64.to_be_bytes(),
        &raw.to_bytes(),
    ]
    .concat();
    let line = format!("\u{2014} witness.example/w {}", Base64::encode_string(&bytes));
    assert!(note.to_string().contains(&line), "{note}");

    let mut bare = Note::sign(TEXT, &[&key("log.example/aa", 1)]).unwrap();
    let signature = Signature::parse(&line).unwrap();
    assert_eq!(bare.attach_cosignature(&witness, signature).unwrap(), 7);
    assert_eq!(bare, note);
}

#[test]
fn every_flipped_bit_of_a_cosignature_is_refused() {
    let (note, witness) = cosigned(7);
    let line = note.signatures().last().unwrap().to_string();
    let (start, encoded) = line.rsplit_once(' ').unwrap();
    let bytes = Base64::decode_vec(encoded).unwrap();
    // The first four bytes are the key's id: another id is another key, whose line is ignored.
    for bit in 32..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let bad = format!("{start} {}", Base64::encode_string(&bad));
        let bad = parse(&note.to_string().replace(&line, &bad));
        assert!(
            matches!(bad.cosigned_by(&witness), Err(NoteError::BadSignature { .. })),
            "bit {bit}"
        );
    }
}

#[test]
fn a_signature_and_a_cosignature_never_pass_for_each_other() {
    let signer = key("witness.example/w", 2);
    let message = format!("cosignature/v1\ntime 7\n{TEXT}");
    assert!(matches!(
        Note::sign(&message, &[&signer]),
        Err(NoteError::InvalidText { offset: 0, .. })
    ));
    let note = format!("{message}\n\u{2014} a AAAAAAA=\n");
    assert!(Note::parse(note.as_bytes(), Limits::default()).is_err());
}

#[test]
fn a_foreign_or_late_line_is_not_attached() {
    let (mut note, witness) = cosigned(7);
    let before = note.clone();
    let other = key("other.example", 3);
    let line = note.clone().add_cosignature(&other, 8).unwrap();
    assert!(matches!(
        note.attach_cosignature(&witness, line),
        Err(NoteError::OtherSigner { .. })
    ));
    assert_eq!(note, before);
    assert_eq!(note.add_cosignature(&other, 1 << 63), Err(NoteError::InvalidTime));
    // A second time by one key takes the place of the first.
    note.add_cosignature(&key("witness.example/w", 2), 9).unwrap();
    assert_eq!(note.cosigned_by(&witness).unwrap(), Some(9));
    assert_eq!(note.signatures().len(), 2);
}

#[test]
fn key_texts() {
    let signer = key("witness.example/w", 2);
    let cosigner = signer.verifier().cosigner();
    assert_eq!(cosigner.to_string().parse(), Ok(cosigner.clone()));
    assert_eq!(
        signer.verifier().to_string().parse::<CosignerKey>(),
        Err(KeyError::UnsupportedType(1))
    );
    assert_eq!(
        cosigner.to_string().parse::<concordat_note::VerifierKey>(),
        Err(KeyError::UnsupportedType(4))
    );
    let renamed = signer.renamed("witness.example/ledger").unwrap();
    assert_eq!(
        renamed.verifier(),
        signer.verifier().renamed("witness.example/ledger").unwrap()
    );
    assert_ne!(renamed.id(), signer.id());
    assert!(signer.renamed("a b").is_err());
}
