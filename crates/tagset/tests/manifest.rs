//! The manifest's text: one way to write it, nothing else accepted, every rule with its error.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::{AS_OF, build, canary_tags, manifest, owner, owner_key, scope, sign, small, tag};
use concordat_note::{Note, NoteError, SigningKey};
use concordat_tagset::{DeltaBuilder, Error, Manifest, ManifestError, Padding, SignedManifest, Snapshot};
use jiff::Timestamp;
use proptest::prelude::*;

/// A base of two segments and one delta.
fn sample() -> Manifest {
    let dir = tempfile::tempdir().unwrap();
    let options = concordat_tagset::Options {
        minimum_size_class: 128,
        padding_reserve: 16,
        ..small()
    };
    let mut padding = Padding::new([9; 32]);
    let tags: Vec<_> = (0..10).map(tag).collect();
    let base = build(dir.path(), &tags, options.clone(), [7; 32], &mut padding);
    let first = Snapshot::install(dir.path(), sign(manifest(1, base, vec![])), None).unwrap();
    let mut builder = DeltaBuilder::new(&first, options).unwrap();
    builder.add(&tag(10)).unwrap();
    builder.remove(&tag(0)).unwrap();
    canary_tags([8; 32], 1)
        .iter()
        .for_each(|canary| builder.add_canary(canary));
    let (delta, _) = builder.finish([8; 32], &mut padding).unwrap();
    Manifest {
        version: 2,
        deltas: vec![delta],
        ..first.manifest().clone()
    }
}

/// Frozen: a change of any byte here is a new version of the format. The segments' digests freeze the segment format, the sorting, the
/// padding stream and the cut as well.
#[test]
fn the_text_and_the_segments_are_frozen() {
    assert_eq!(sample().to_text().unwrap(), include_str!("manifest.txt"));
}

#[test]
fn parsing_gives_back_what_was_written() {
    let manifest = sample();
    let text = manifest.to_text().unwrap();
    assert_eq!(Manifest::parse(&text).unwrap(), manifest);
    assert_eq!(manifest.size_class(), 128);
    assert_eq!(manifest.canaries().count(), 2);
    assert_eq!(manifest.segments().count(), 4);
    assert_eq!(manifest.total_bytes(), 4 * 32 + (128 + 8 + 8) * 16);
    assert_eq!(
        manifest.expires_at(),
        "2026-11-22T20:00:00Z".parse::<Timestamp>().unwrap()
    );
}

#[test]
fn what_is_written_in_another_way_is_refused() {
    let text = sample().to_text().unwrap();
    let digest = sample().segments().next().unwrap().digest.to_string();
    let not_canonical = [
        ("epoch 3", "epoch 03", 4),
        ("epoch 3", "epoch +3", 4),
        ("version 2", "version 0002", 9),
        (AS_OF, "2026-11-21T20:00:00.000Z", 10),
        (AS_OF, "2026-11-21t20:00:00z", 10),
        (AS_OF, "2026-11-21T21:00:00+01:00", 10),
        ("max-age 86400", "max-age 086400", 11),
        (&digest, &digest.to_uppercase(), 15),
    ];
    for (from, to, line) in not_canonical {
        assert_ne!(text.replacen(from, to, 1), text);
        let error = Manifest::parse(&text.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error, ManifestError::NotCanonical { line }, "{to}");
    }
    let last = text.lines().count();
    for changed in [text.trim_end().to_owned(), text.replace('\n', "\r\n")] {
        assert_eq!(
            Manifest::parse(&changed).unwrap_err(),
            ManifestError::NotCanonical { line: last }
        );
    }
}

#[test]
fn a_line_that_is_missing_doubled_or_swapped_is_refused() {
    let text = sample().to_text().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let join = |lines: &[&str]| lines.join("\n") + "\n";
    for at in 0..lines.len() {
        let mut missing = lines.clone();
        missing.remove(at);
        assert!(
            Manifest::parse(&join(&missing)).is_err(),
            "without line {}",
            at + 1
        );
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        // Two sets of canaries are allowed in a base.
        let is_base_canaries = lines[at].starts_with("canaries") && lines[at - 1].starts_with("base");
        assert_eq!(
            Manifest::parse(&join(&doubled)).is_ok(),
            is_base_canaries,
            "line {} twice",
            at + 1
        );
        if at > 0 && lines[at].split(' ').next() != lines[at - 1].split(' ').next() {
            let mut swapped = lines.clone();
            swapped.swap(at - 1, at);
            assert!(
                Manifest::parse(&join(&swapped)).is_err(),
                "lines {at} and {} swapped",
                at + 1
            );
        }
    }
}

#[test]
fn values_out_of_bounds_are_refused_with_their_line() {
    let text = sample().to_text().unwrap();
    let digest = "0".repeat(64);
    let bad_lines: [(&str, String, usize); 15] = [
        ("concordat/v1/snapshot", "concordat/v2/snapshot".into(), 1),
        ("agreement 2026/014", "agreement".into(), 2),
        ("epoch 3", "epoch -3".into(), 4),
        ("epoch 3", "epoch 18446744073709551616".into(), 4),
        ("profile concordat-1 f1", "profile concordat-1 f".into(), 7),
        ("public-key 2b", "public-key xb".into(), 8),
        ("as-of 2026-11", "as-of 2026-13".into(), 10),
        ("max-age 86400", "max-age 4294967296".into(), 11),
        ("size-class 128", "size-class 127".into(), 12),
        ("size-class 128", "size-class 18446744073709551616".into(), 12),
        ("base 1", "base 11".into(), 14),
        ("base 1", "base 256".into(), 13),
        ("base 1", "base 2".into(), 17),
        ("canaries 2", "canaries 65536".into(), 14),
        ("delta 0 8", format!("delta 0 16\ncanaries 1 {digest}"), 19),
    ];
    for (from, to, line) in bad_lines {
        let changed = text.replacen(from, &to, 1);
        assert_ne!(changed, text, "{from}");
        match Manifest::parse(&changed).unwrap_err() {
            ManifestError::Line { line: found, .. } => assert_eq!(found, line, "{to}"),
            other => panic!("{to}: {other}"),
        }
    }
    let invalid = [
        ("offer passports", format!("offer {}", "x".repeat(129))),
        ("offer passports", "offer pass\u{e9}".into()),
        ("offer passports", "offer pass ports".into()),
        ("owner police", "owner \u{7f}police".into()),
        ("version 2", "version 0".into()),
        ("max-age 86400", "max-age 0".into()),
        (AS_OF, "1969-12-31T23:59:59Z".into()),
        (AS_OF, "2026-11-21T20:00:00.5Z".into()),
        ("canaries 2", "canaries 0".into()),
        ("canaries 1", "canaries 0".into()),
    ];
    for (from, to) in invalid {
        let changed = text.replacen(from, &to, 1);
        assert_ne!(changed, text, "{from}");
        let error = Manifest::parse(&changed).unwrap_err();
        assert!(matches!(error, ManifestError::Invalid(_)), "{to}: {error}");
    }
}

#[test]
fn counts_that_do_not_add_up_or_overflow_are_refused() {
    let text = sample().to_text().unwrap();
    let line = text.lines().find(|l| l.starts_with("segment")).unwrap();
    let huge = line.rsplit_once(' ').unwrap().0.to_owned() + " 18446744073709551615";
    let many = line.rsplit_once(' ').unwrap().0.to_owned() + " 1073741824";
    for changed in [text.replacen(line, &huge, 1), text.replacen(line, &many, 1)] {
        assert!(matches!(
            Manifest::parse(&changed),
            Err(ManifestError::Line { line: 16, .. })
        ));
    }
}

#[test]
fn more_deltas_than_allowed_are_refused() {
    let mut manifest = sample();
    let delta = manifest.deltas[0].clone();
    manifest.deltas = vec![delta.clone(); 64];
    let text = manifest.to_text().unwrap();
    assert!(Manifest::parse(&text).is_ok());
    manifest.deltas.push(delta);
    assert!(matches!(manifest.to_text(), Err(ManifestError::Invalid(_))));
    let delta_text = &text[text.rfind("delta ").unwrap()..];
    assert!(matches!(
        Manifest::parse(&(text.clone() + delta_text)),
        Err(ManifestError::Invalid(_))
    ));
}

#[test]
fn a_note_is_verified_before_its_text_is_read() {
    let signed = sign(sample());
    let verify = |note: &str| SignedManifest::verify(note.as_bytes(), &owner(), &scope());
    assert_eq!(verify(signed.note()).unwrap(), signed);
    assert_eq!(verify(signed.note()).unwrap().seen(), signed.seen());

    let changed = signed.note().replace("max-age 86400", "max-age 86401");
    assert!(matches!(
        verify(&changed),
        Err(Error::Note(NoteError::BadSignature { .. }))
    ));
    let other = SigningKey::from_seed("police.example/aa", &[2; 32]).unwrap();
    let forged = SignedManifest::sign(sample(), &other).unwrap();
    assert!(matches!(
        verify(forged.note()),
        Err(Error::Note(NoteError::NotSigned | NoteError::NotSignedBy { .. }))
    ));
    let nonsense = Note::sign("concordat/v1/agreement\n", &[&owner_key()])
        .unwrap()
        .to_string();
    assert!(matches!(
        verify(&nonsense),
        Err(Error::Manifest(ManifestError::Line { line: 1, .. }))
    ));
    let large = "x".repeat(600 << 10) + "\n";
    let large = Note::sign(&large, &[&owner_key()]).unwrap().to_string();
    assert!(matches!(
        verify(&large),
        Err(Error::Note(NoteError::TooLarge { .. }))
    ));
}

#[test]
fn a_manifest_for_anything_but_the_agreed_scope_is_refused_by_field() {
    type Change = fn(&mut concordat_tagset::Scope);
    let cases: [(&str, Change); 8] = [
        ("agreement", |s| s.agreement.push('x')),
        ("offer", |s| s.offer.push('x')),
        ("epoch", |s| s.epoch += 1),
        ("owner", |s| s.owner.push('x')),
        ("requester", |s| s.requester.push('x')),
        ("profile", |s| s.profile.push('x')),
        ("profile fingerprint", |s| s.profile_fingerprint[31] ^= 1),
        ("public-key", |s| s.public_key[0] ^= 1),
    ];
    for (expected, change) in cases {
        let mut manifest = sample();
        change(&mut manifest.scope);
        match SignedManifest::verify(sign(manifest).note().as_bytes(), &owner(), &scope()) {
            Err(Error::OutOfScope {
                field,
                expected: agreed,
                found,
            }) => {
                assert_eq!(field, expected);
                assert_ne!(agreed, found);
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(common::cases(256))]

    /// Whatever is accepted is written back as the same bytes; nothing panics.
    #[test]
    fn edited_texts_are_refused_or_canonical(position in any::<prop::sample::Index>(), cut in 0usize..12, insert in "[ -~\n]{0,6}") {
        let text = include_str!("manifest.txt");
        let start = position.index(text.len());
        let end = (start + cut).min(text.len());
        let edited = format!("{}{insert}{}", &text[..start], &text[end..]);
        if let Ok(manifest) = Manifest::parse(&edited) {
            prop_assert_eq!(manifest.to_text().unwrap(), edited);
        }
    }
}
