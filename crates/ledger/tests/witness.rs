//! Cosigning: the conversation of tlog-witness, refusals with their status, rollback protection.

mod common;

use common::*;
use concordat_ledger::*;
use concordat_note::Signature;

fn request(written: &Written, old: u64, new: usize) -> AddCheckpoint {
    let checkpoint = &written.checkpoints[new];
    let source = Folder::read_only(written.dir.path());
    AddCheckpoint {
        old_size: old,
        proof: TileReader::new(source, checkpoint.size())
            .consistency_proof(old)
            .unwrap(),
        checkpoint: checkpoint.to_string(),
    }
}

#[test]
fn a_log_is_followed_and_cosigned() {
    let written = write(&[5, 300, 300, 700]);
    let log = key().verifier();
    let cosigners = [witness().verifier().cosigner()];
    let mut latest: Option<Checkpoint> = None;
    for new in 0..written.checkpoints.len() {
        let old = latest.as_ref().map_or(0, |latest| latest.size);
        let body = request(&written, old, new).to_string();
        let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
        let mut signed = request.judge(&log, latest.as_ref()).unwrap();
        latest = Some(signed.checkpoint().clone());
        let line = signed.cosign(&witness(), 1_795_000_000 + new as u64).unwrap();

        // The log takes the answer; lines of others are ignored.
        let stranger = signed.clone().cosign(&key(), 5).unwrap();
        let answer = format_cosignatures(&[stranger, line]);
        let mut ours = written.checkpoints[new].clone();
        assert_eq!(
            attach_cosignatures(&mut ours, &cosigners, answer.as_bytes()),
            Some(1)
        );
        assert_eq!(ours.cosigned_by(&cosigners[0]), Some(1_795_000_000 + new as u64));
    }
    assert_eq!(latest.unwrap().size, 700);
}

#[test]
fn refusals_have_the_status_of_the_specification() {
    let written = write(&[5, 300, 700]);
    let log = key().verifier();
    let latest = written.checkpoints[1].checkpoint();
    let status = |request: &AddCheckpoint, latest: Option<&Checkpoint>| {
        let refusal = request.judge(&log, latest).unwrap_err();
        (refusal.status(), refusal.body())
    };
    let good = request(&written, 300, 2);
    good.judge(&log, Some(latest)).unwrap();
    // Another old size: the size cosigned last is told, so that the log can ask again.
    assert_eq!(status(&good, None), (409, Some("0\n".to_owned())));
    assert_eq!(
        status(&request(&written, 5, 2), Some(latest)),
        (409, Some("300\n".to_owned()))
    );
    assert_eq!(parse_size(b"300\n"), Some(300));
    // Old size above the checkpoint's.
    let larger = AddCheckpoint {
        old_size: 701,
        ..good.clone()
    };
    assert_eq!(status(&larger, Some(latest)), (400, None));
    // A wrong proof, one too many, one too few.
    let mut bad = good.clone();
    bad.proof[0].0[0] ^= 1;
    assert_eq!(status(&bad, Some(latest)), (422, None));
    bad.proof = Vec::new();
    assert_eq!(status(&bad, Some(latest)), (422, None));
    let first = AddCheckpoint {
        old_size: 0,
        ..good.clone()
    };
    assert_eq!(status(&first, None), (422, None));
    // The same size with another root.
    let split = SignedCheckpoint::sign(300, Hash([1; 32]), &key()).unwrap();
    let split = AddCheckpoint {
        old_size: 300,
        proof: Vec::new(),
        checkpoint: split.to_string(),
    };
    assert_eq!(status(&split, Some(latest)), (409, Some("300\n".to_owned())));
    // Somebody else's signature, and none.
    assert_eq!(
        good.judge(&witness().verifier(), Some(latest))
            .unwrap_err()
            .status(),
        403
    );
    let other_key = concordat_note::SigningKey::from_seed("police.example/aa/ledger", &[9; 32]).unwrap();
    let forged = SignedCheckpoint::sign(700, written.checkpoints[2].root(), &other_key).unwrap();
    let forged = AddCheckpoint {
        checkpoint: forged.to_string(),
        ..good.clone()
    };
    assert_eq!(status(&forged, Some(latest)), (403, None));
}

#[test]
fn malformed_requests_and_answers() {
    let written = write(&[5]);
    let good = request(&written, 0, 0).to_string();
    assert!(AddCheckpoint::parse(good.as_bytes()).is_ok());
    let many = format!(
        "old 1\n{}\n{}",
        format!("{}\n", Hash::EMPTY_ROOT).repeat(64),
        good.split_once("\n\n").unwrap().1
    );
    for bad in [
        "",
        "old 0",
        "old 0\n\n",
        &good.replace("old 0", "old 00"),
        &good.replace("old 0", "old -1"),
        &good.replace("old 0", "0"),
        &good.replace("old 0\n", "old 0\nAAAA\n"),
        &good.replace("old 0\n", "old 99999999999999999999\n"),
        &many,
        "\n\n",
        "old 0\r\n\r\n",
    ] {
        let refused = match AddCheckpoint::parse(bad.as_bytes()) {
            Ok(request) => request.judge(&key().verifier(), None).is_err(),
            Err(refusal) => refusal.status() == 400,
        };
        assert!(refused, "{bad:?}");
    }
    let mut checkpoint = written.checkpoints[0].clone();
    let cosigners = [witness().verifier().cosigner()];
    for bad in [&b""[..], b"\n", b"hello\n", b"\xff\n", "\u{2014} x\n".as_bytes()] {
        assert_eq!(attach_cosignatures(&mut checkpoint, &cosigners, bad), None);
    }
    // Well-formed, and a lie: not attached, and the checkpoint is as it was.
    let before = checkpoint.clone();
    let mut other = SignedCheckpoint::sign(6, Hash([1; 32]), &key()).unwrap();
    let line: Signature = other.cosign(&witness(), 9).unwrap();
    let answer = format_cosignatures(&[line]);
    assert_eq!(
        attach_cosignatures(&mut checkpoint, &cosigners, answer.as_bytes()),
        Some(0)
    );
    assert_eq!(checkpoint, before);
    for bad in ["", "300", "0300\n", "-1\n", "300\n\n", "99999999999999999999\n"] {
        assert_eq!(parse_size(bad.as_bytes()), None, "{bad:?}");
    }
}

/// The node comes back with an older tree than its partner cosigned, or with another.
#[test]
fn a_rolled_back_log_knows_it() {
    let written = write(&[300, 700]);
    let open =
        |written: &Written| Log::open(Folder::create(written.dir.path()).unwrap(), key().verifier()).unwrap();
    {
        let log = open(&written);
        assert_eq!(log.extends(&written.checkpoints[0]).unwrap(), Extends::Yes);
        assert_eq!(log.extends(&written.checkpoints[1]).unwrap(), Extends::Yes);
        let empty = SignedCheckpoint::sign(0, Hash::EMPTY_ROOT, &key()).unwrap();
        assert_eq!(log.extends(&empty).unwrap(), Extends::Yes);
        let other = SignedCheckpoint::sign(300, Hash([1; 32]), &key()).unwrap();
        assert_eq!(log.extends(&other).unwrap(), Extends::Forked { size: 300 });
    }
    // An older copy of the folder.
    let old = write(&[300]);
    let log = open(&old);
    assert_eq!(
        log.extends(&written.checkpoints[1]).unwrap(),
        Extends::RolledBack { kept: 700, have: 300 }
    );
}
