//! Openings of identifiers, and bundles that prove one entry.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use base64ct::{Base64, Encoding};
use common::*;
use concordat_ledger::*;

#[test]
fn identifiers_open_one_by_one() {
    let key = AuditKey::new([9; 32]);
    let canonical: Vec<Vec<u8>> = (0..7).map(|n| format!("UTO\u{1f}X{n:07}").into_bytes()).collect();
    let mut queried: Vec<Queried<'_>> = canonical
        .iter()
        .map(|c| Queried {
            kind: "travel_document",
            canonical: Some(c),
        })
        .collect();
    queried.push(Queried {
        kind: "fingerprint",
        canonical: None,
    });
    let commitment = IdentifierCommitment::new(&key, &exchange(1), &queried).unwrap();
    assert_eq!(commitment.count, 8);
    assert_ne!(
        IdentifierCommitment::new(&key, &exchange(2), &queried)
            .unwrap()
            .root,
        commitment.root
    );
    assert_eq!(IdentifierCommitment::new(&key, &exchange(1), &[]), None);
    for position in 0..8 {
        let opening = IdentifierOpening::new(&key, &exchange(1), &queried, position).unwrap();
        opening.verify(&commitment).unwrap();
        // An opening of one says nothing of the others: its key does not make their items.
        let mut guess = opening.clone();
        guess.position = (position as u64 + 1) % 8;
        assert!(guess.verify(&commitment).is_err());
        let mut other = opening.clone();
        other.canonical = Some(hex::encode("UTO\u{1f}X9999999"));
        assert!(other.verify(&commitment).is_err());
        other.canonical = Some("zz".to_owned());
        assert!(other.verify(&commitment).is_err());
        assert!(!format!("{opening:?}").contains("5554"));
        // Travels as JSON.
        let text = serde_json::to_string(&opening).unwrap();
        assert_eq!(serde_json::from_str::<IdentifierOpening>(&text).unwrap(), opening);
    }
    assert_eq!(IdentifierOpening::new(&key, &exchange(1), &queried, 8), None);
}

/// Made by another program from what docs/ledger.md says of the format: a change of it must not go unnoticed.
#[test]
fn commitments_to_identifiers_stay_as_they_are() {
    let key = AuditKey::new([9; 32]);
    let canonical: Vec<Vec<u8>> = (0..20)
        .map(|n| format!("UTO\u{1f}X{n:07}").into_bytes())
        .collect();
    let documents = canonical.iter().map(|canonical| Queried {
        kind: "travel_document",
        canonical: Some(canonical),
    });
    let print = Queried {
        kind: "fingerprint",
        canonical: None,
    };
    let queried: Vec<Queried<'_>> = documents.chain([print]).collect();
    let exchange = Hex([1; 16]);
    let commitment = IdentifierCommitment::new(&key, &exchange, &queried).unwrap();
    assert_eq!(commitment.count, 21);
    assert_eq!(
        hex::encode(commitment.root.0),
        "17848b76b17d5ae7aa94c6e5340f6bdb9f1943138a89928385ebdba1e309571a"
    );
    let opening = IdentifierOpening::new(&key, &exchange, &queried, 17).unwrap();
    opening.verify(&commitment).unwrap();
    let text = serde_json::to_string(&opening).unwrap();
    let item_key = "9d637a50203560f23b7a2b609cecf2de51e206ef1cae13380308dd4e8c4b43a5";
    assert!(text.contains(item_key), "the 18th 32 bytes of the key stream");
}

/// A bundle: one entry, checked offline with two public keys.
#[test]
fn a_bundle_proves_one_entry() {
    let written = write(&[300, 700]);
    let mut checkpoint = written.checkpoints[1].clone();
    checkpoint.cosign(&witness(), 1_795_000_000).unwrap();
    let mut keys = keys();
    keys.witnesses = vec![witness().verifier().cosigner()];
    keys.quorum = 1;
    let source = Folder::read_only(written.dir.path());
    for index in [0, 255, 256, 511, 699] {
        let sealed = seal(index, &query(index));
        let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key(index)).unwrap();
        for opening in [None, Some(opening)] {
            let bundle = Bundle::new(&source, index, &checkpoint, opening.clone()).unwrap();
            let file = bundle.to_string();
            assert!(
                file.starts_with("c2sp.org/tlog-proof@v1\nextra ") && file.len() < 4096,
                "{}",
                file.len()
            );
            assert_eq!(Bundle::parse(file.as_bytes()).unwrap(), bundle);
            let proven = bundle.check(&keys).unwrap();
            assert_eq!((proven.index, proven.entry.is_some()), (index, opening.is_some()));
            assert_eq!(proven.cosigned[0].time, 1_795_000_000);
        }
    }
    let sealed = seal(5, &query(5));
    let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key(5)).unwrap();
    assert!(matches!(
        Bundle::new(&source, 6, &checkpoint, Some(opening)),
        Err(BundleError::Opening(OpeningError::OtherEntry))
    ));
    assert!(Bundle::new(&source, 700, &checkpoint, None).is_err());

    let good = Bundle::new(&source, 5, &checkpoint, None).unwrap().to_string();
    let check = |file: &str| Bundle::parse(file.as_bytes()).and_then(|bundle| bundle.check(&keys));
    check(&good).unwrap();
    assert!(matches!(
        check(&good.replace("index 5", "index 6")),
        Err(BundleError::Proof(_))
    ));
    assert!(matches!(
        check(&good.replace("\n700\n", "\n701\n")),
        Err(BundleError::Checkpoint(_))
    ));
    let bare = Bundle::new(&source, 5, &written.checkpoints[1], None)
        .unwrap()
        .to_string();
    assert!(matches!(
        check(&bare),
        Err(BundleError::NoQuorum { found: 0, needed: 1 })
    ));
    assert!(matches!(check(&bare[1..]), Err(BundleError::Malformed)));
    assert!(matches!(
        check(&good.replace("extra ", "extra A")),
        Err(BundleError::Malformed)
    ));
    assert!(matches!(Bundle::parse(&[0xff; 10]), Err(BundleError::Malformed)));
}

/// Identifiers of a query, in the bundle that opens it: those that were committed to, and no others.
#[test]
fn a_bundle_opens_identifiers_of_its_query() {
    let audit = AuditKey::new([9; 32]);
    let canonical: Vec<Vec<u8>> = (0..5).map(|n| format!("UTO\u{1f}X{n:07}").into_bytes()).collect();
    let queried: Vec<Queried<'_>> = canonical
        .iter()
        .map(|c| Queried {
            kind: "travel_document",
            canonical: Some(c),
        })
        .collect();
    let of = |n: u64, position| IdentifierOpening::new(&audit, &exchange(n), &queried, position).unwrap();
    let mut entry = query(0);
    if let Event::Query(query) = &mut entry.event {
        query.identifiers = IdentifierCommitment::new(&audit, &exchange(0), &queried);
    }
    let sealed = [seal(0, &entry), seal(1, &query(1))];
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(Folder::create(dir.path()).unwrap(), key().verifier()).unwrap();
    let checkpoint = log
        .append(sealed.each_ref().map(|sealed| &sealed.leaf), &key())
        .unwrap()
        .clone();
    let bundle = |n: u64| {
        let sealed = &sealed[n as usize];
        let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key(n)).unwrap();
        Bundle::new(log.source(), n, &checkpoint, Some(opening)).unwrap()
    };
    let keys = Keys::of(key().verifier());
    let good = bundle(0).with_identifiers(vec![of(0, 1), of(0, 3)]).unwrap();
    let file = good.to_string();
    let read = Bundle::parse(file.as_bytes()).unwrap();
    assert_eq!(read, good);
    let proven = read.check(&keys).unwrap();
    assert_eq!(proven.identifiers, [of(0, 1), of(0, 3)]);
    // Nothing of the others is in it.
    let extra = file.lines().nth(1).unwrap().strip_prefix("extra ").unwrap();
    let extra = String::from_utf8(Base64::decode_vec(extra).unwrap()).unwrap();
    for (position, shown) in [(0, false), (1, true), (2, false), (3, true), (4, false)] {
        assert_eq!(extra.contains(&hex::encode(&canonical[position])), shown);
    }

    // Another query's, out of order, twice; with an entry that is shut, or commits to none.
    let refused = |bundle: Bundle, identifiers| bundle.with_identifiers(identifiers).unwrap_err();
    assert!(matches!(
        refused(bundle(0), vec![of(1, 1)]),
        BundleError::Identifier { position: 1, .. }
    ));
    for identifiers in [vec![of(0, 3), of(0, 1)], vec![of(0, 1), of(0, 1)]] {
        assert!(matches!(refused(bundle(0), identifiers), BundleError::Malformed));
    }
    let shut = Bundle::new(log.source(), 0, &checkpoint, None).unwrap();
    assert!(matches!(refused(shut, vec![of(0, 1)]), BundleError::NoCommitment));
    assert!(matches!(
        refused(bundle(1), vec![of(1, 1)]),
        BundleError::NoCommitment
    ));
    // One byte of what is opened: every place of the line is read in one way and bound.
    let line = of(0, 1).encode().unwrap();
    for place in 0..line.len() {
        let mut bytes = line.clone().into_bytes();
        bytes[place] ^= if bytes[place].is_ascii_lowercase() {
            0x20
        } else {
            1
        };
        let Ok(altered) = String::from_utf8(bytes) else {
            continue;
        };
        let extra = Base64::encode_string(extra.replace(&line, &altered).as_bytes());
        let mut lines: Vec<_> = file.lines().map(str::to_owned).collect();
        lines[1] = format!("extra {extra}");
        let file = format!("{}\n", lines.join("\n"));
        let checked = Bundle::parse(file.as_bytes()).and_then(|bundle| bundle.check(&keys));
        assert!(checked.is_err(), "{place}: {altered}");
    }
}
