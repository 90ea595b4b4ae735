//! Facts of the specifications, and published vectors.

mod common;

use std::fs;

use base64ct::{Base64, Encoding};
use common::*;
use concordat_ledger::*;
use serde_json::Value;

/// The classic eight leaves and the roots of all sizes (RFC 6962 §2.1; used by every implementation since).
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(hex_text: &str) -> Hash {
    Hash(hex::decode(hex_text).unwrap().try_into().unwrap())
}

#[test]
fn roots_of_the_eight_leaves() {
    let mut edge = RightEdge::new();
    let mut hashes = Vec::new();
    for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
        let leaf = Hash::leaf(&hex::decode(leaf).unwrap());
        edge.push(leaf, |_, _| {});
        hashes.push(leaf);
        assert_eq!(edge.root(), hash(root));
        assert_eq!(Hash::root(&hashes), hash(root));
    }
    assert_eq!(RightEdge::new().root(), hash(ROOTS[0]));
}

/// Every proof of the eight leaves verifies; with any change to any part of it, it does not.
#[test]
fn proofs_of_the_eight_leaves_and_their_broken_neighbours() {
    let entries: Vec<Vec<u8>> = LEAVES.iter().map(|leaf| hex::decode(leaf).unwrap()).collect();
    for size in 1..=8usize {
        let (files, _) = rebuild(&entries[..size]);
        let root = hash(ROOTS[size]);
        let mut reader = TileReader::new(&files, size as u64);
        for index in 0..size {
            let leaf = Hash::leaf(&entries[index]);
            let proof = reader.inclusion_proof(index as u64).unwrap();
            verify_inclusion(&leaf, index as u64, size as u64, &proof, &root).unwrap();
            let broken = |leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash| {
                assert!(
                    verify_inclusion(leaf, index, size, proof, root).is_err(),
                    "{index} of {size}"
                );
            };
            broken(&root_of_nothing(), index as u64, size as u64, &proof, &root);
            broken(&leaf, index as u64, size as u64, &proof, &root_of_nothing());
            broken(&leaf, index as u64 + size as u64, size as u64, &proof, &root);
            broken(&leaf, index as u64, 0, &proof, &root);
            broken(
                &leaf,
                index as u64,
                size as u64,
                &[&proof[..], &[root]].concat(),
                &root,
            );
            broken(
                &leaf,
                index as u64,
                size as u64,
                &[&[root][..], &proof].concat(),
                &root,
            );
            if !proof.is_empty() {
                broken(&leaf, index as u64, size as u64, &proof[1..], &root);
                broken(&leaf, index as u64, size as u64, &proof[..proof.len() - 1], &root);
            }
            for position in 0..proof.len() {
                let mut bad = proof.clone();
                bad[position].0[position] ^= 1;
                broken(&leaf, index as u64, size as u64, &bad, &root);
            }
        }
        for old in 1..=size {
            let old_root = hash(ROOTS[old]);
            let proof = reader.consistency_proof(old as u64).unwrap();
            let check = |old_root: &Hash, root: &Hash, proof: &[Hash]| {
                verify_consistency(old as u64, old_root, size as u64, root, proof)
            };
            check(&old_root, &root, &proof).unwrap();
            assert!(check(&root_of_nothing(), &root, &proof).is_err());
            assert!(check(&old_root, &root_of_nothing(), &proof).is_err());
            assert!(check(&old_root, &root, &[&proof[..], &[root]].concat()).is_err());
            for position in 0..proof.len() {
                let mut bad = proof.clone();
                bad[position].0[31] ^= 0x80;
                assert!(check(&old_root, &root, &bad).is_err());
                bad.remove(position);
                assert!(check(&old_root, &root, &bad).is_err());
            }
        }
    }
}

fn root_of_nothing() -> Hash {
    Hash([0xAB; 32])
}

/// Paths that the specification gives as examples, and some that are written in another way.
#[test]
fn tile_paths() {
    let path = |kind, index, width| TilePath { kind, index, width };
    for (expected, tile) in [
        (
            "tile/0/x001/x234/067",
            path(TileKind::Hashes { level: 0 }, 1_234_067, 256),
        ),
        ("tile/entries/x273.p/112", path(TileKind::Entries, 0, 0)),
        ("tile/0/273.p/112", path(TileKind::Hashes { level: 0 }, 273, 112)),
        ("tile/63/000", path(TileKind::Hashes { level: 63 }, 0, 256)),
        ("tile/entries/x001/000", path(TileKind::Entries, 1000, 256)),
        ("tile/entries/999.p/1", path(TileKind::Entries, 999, 1)),
    ] {
        if tile.width > 0 {
            assert_eq!(tile.to_string(), expected);
            assert_eq!(TilePath::parse(expected), Some(tile));
        } else {
            assert_eq!(TilePath::parse(expected), None, "{expected}");
        }
    }
    for wrong in [
        "tile/0/x000/001",
        "tile/00/001",
        "tile/64/000",
        "tile/0/1",
        "tile/0/0001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001/",
        "tile/0/001.p/",
        "tile//001",
        "tile/0/../001",
        "/tile/0/001",
        "tile/0/x01/001",
        "tile/entries",
        "tile/-1/000",
        "tile/0/+01",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/٠٠١",
        "",
    ] {
        assert_eq!(TilePath::parse(wrong), None, "{wrong}");
    }
    // "A tree of size 70,000 will be represented by …"
    let width = |level, index| TilePath::hashes(level, index, 70_000).map(|tile| tile.width);
    assert_eq!(
        (width(0, 272), width(0, 273), width(0, 274)),
        (Some(256), Some(112), None)
    );
    assert_eq!(
        (width(1, 0), width(1, 1), width(2, 0), width(3, 0)),
        (Some(256), Some(17), Some(1), None)
    );
    assert_eq!(TilePath::hashes(1, 0, 256).map(|tile| tile.width), Some(1));
    assert_eq!(TilePath::hashes(0, 1, 256), None);
}

/// The example request of tlog-witness is read and written byte for byte (its key was not published).
#[test]
fn the_example_request_of_tlog_witness() {
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
    assert_eq!((request.old_size, request.proof.len()), (20_852_014, 4));
    assert_eq!(request.unverified_origin(), Some("example.com/behind-the-sofa"));
    assert_eq!(request.to_string(), body);
    let note = body.split_once("\n\n").unwrap().1;
    let checkpoint = Checkpoint::parse(
        note.split_once("\n\n")
            .map(|(text, _)| format!("{text}\n"))
            .unwrap()
            .as_str(),
    );
    assert_eq!(checkpoint.unwrap().size, 20_852_163);
}

/// Two roots of the vectors are a text that says "don't care": they stand for some hash, the same for the same text.
fn vector_hash(text: &str) -> Option<Hash> {
    text.parse().ok().or_else(|| {
        let bytes = Base64::decode_vec(text).ok()?;
        bytes.starts_with(b"don't care").then(|| Hash::leaf(&bytes))
    })
}

#[test]
fn published_inclusion_and_consistency_vectors() {
    let Some(data) = real_data() else { return };
    let hashes = |value: &Value| -> Option<Vec<Hash>> {
        match value {
            Value::Null => Some(Vec::new()),
            other => other
                .as_array()?
                .iter()
                .map(|hash| hash.as_str()?.parse().ok())
                .collect(),
        }
    };
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(data.join("vectors/merkle").join(name)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let mut counts = (0, 0);
    for case in lines("rfc6962_inclusion_proofs.jsonl") {
        let number = |name: &str| case[name].as_u64().unwrap();
        let hash = |name: &str| case[name].as_str().and_then(vector_hash);
        let holds = (|| {
            let (leaf, root) = (hash("leafHash")?, hash("root")?);
            verify_inclusion(
                &leaf,
                number("leafIdx"),
                number("treeSize"),
                &hashes(&case["proof"])?,
                &root,
            )
            .ok()
        })();
        assert_eq!(
            holds.is_none(),
            case["wantErr"].as_bool().unwrap(),
            "{}",
            case["case"]
        );
        counts = if holds.is_some() {
            (counts.0 + 1, counts.1)
        } else {
            (counts.0, counts.1 + 1)
        };
    }
    for case in lines("rfc6962_consistency_proofs.jsonl") {
        let number = |name: &str| case[name].as_u64().unwrap();
        let hash = |name: &str| case[name].as_str().and_then(vector_hash);
        let holds = (|| {
            let (old, new) = (hash("root1")?, hash("root2")?);
            verify_consistency(
                number("size1"),
                &old,
                number("size2"),
                &new,
                &hashes(&case["proof"])?,
            )
            .ok()
        })();
        assert_eq!(
            holds.is_none(),
            case["wantErr"].as_bool().unwrap(),
            "{}",
            case["case"]
        );
        counts = if holds.is_some() {
            (counts.0 + 1, counts.1)
        } else {
            (counts.0, counts.1 + 1)
        };
    }
    assert_eq!(counts.0 + counts.1, 196);
    assert!(counts.0 > 5, "{counts:?}");
}

/// A log that another program wrote: every checkpoint, tile and entry.
#[test]
fn the_published_sample_log() {
    let Some(data) = real_data() else { return };
    let dir = data.join("vectors/tlog/tessera_log");
    let log = fs::read_to_string(dir.join("KEY.txt"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let keys = Keys::of(log);
    let checkpoint = |n: u64| {
        let bytes = fs::read(dir.join(format!("checkpoint.{n}"))).unwrap();
        SignedCheckpoint::open(&bytes, &keys.log).unwrap()
    };
    let kept: Vec<_> = (0..=15).map(checkpoint).collect();
    let options = AuditOptions {
        leaves: false,
        ..now()
    };
    let source = Folder::read_only(&dir);
    let report = verify(&source, &keys, &kept, &options);
    assert_eq!(report.verdict(), Verdict::Holds, "{report}");
    assert_eq!((report.entries, report.extends.len()), (15, 16));

    for (size, kept) in (1..=15).zip(&kept[1..]) {
        let mut reader = TileReader::new(&source, size);
        assert_eq!(reader.root().unwrap(), kept.root());
        for old in 1..=size {
            let proof = reader.consistency_proof(old).unwrap();
            verify_consistency(old, &checkpoint(old).root(), size, &kept.root(), &proof).unwrap();
        }
    }
    // And with a bit flipped in an entry.
    let mut files = files(&dir);
    files.get_mut("tile/entries/000.p/15").unwrap()[3] ^= 1;
    let report = verify(&files, &keys, &kept, &options);
    assert_eq!(report.findings, [Finding::EntryAltered { index: 0 }]);
}

#[test]
fn published_checkpoints_are_read_and_written_alike() {
    let Some(data) = real_data() else { return };
    let text =
        fs::read_to_string(data.join("vectors/tlog/signed_note_and_checkpoint_examples.json")).unwrap();
    let examples: Value = serde_json::from_str(&text).unwrap();
    let mut seen = 0;
    for example in examples["format_only"].as_array().unwrap() {
        let note = example["note"].as_str().unwrap();
        let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
        if example["name"].as_str().unwrap().contains("checkpoint") {
            assert_eq!(Checkpoint::parse(&text).unwrap().to_string(), text);
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
    assert_eq!(
        Base64::encode_string(&Hash::EMPTY_ROOT.0),
        Hash::EMPTY_ROOT.to_string()
    );
}
