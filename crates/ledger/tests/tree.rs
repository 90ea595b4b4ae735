//! The tree against another implementation, and against itself.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use concordat_ledger::*;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

fn entry(n: usize) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

fn digests(proof: &[u8]) -> Vec<Hash> {
    proof.as_chunks::<32>().0.iter().copied().map(Hash).collect()
}

/// Roots, inclusion and consistency proofs of every interesting size are bit for bit those of `ct-merkle`.
#[test]
fn an_oracle_agrees() {
    let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let entries: Vec<Vec<u8>> = (0..1100).map(entry).collect();
    let mut edge = RightEdge::new();
    let interesting = |n: usize| n < 40 || (n % 256) < 3 || n % 256 > 253 || n.is_multiple_of(97);
    let mut roots = vec![Hash::EMPTY_ROOT];
    for (n, leaf) in entries.iter().enumerate() {
        oracle.push(leaf.clone());
        edge.push(Hash::leaf(leaf), |_, _| {});
        let size = n + 1;
        let root = Hash((*oracle.root().as_bytes()).into());
        assert_eq!(edge.root(), root, "{size}");
        roots.push(root);
        if !interesting(size) {
            continue;
        }
        let (files, rebuilt) = rebuild(&entries[..size]);
        assert_eq!(rebuilt, edge);
        let mut reader = TileReader::new(&files, size as u64);
        assert_eq!(reader.root().unwrap(), root);
        assert_eq!(reader.right_edge().unwrap(), edge);
        for index in (0..size).filter(|index| index % 61 == 0 || *index + 3 > size) {
            let proof = reader.inclusion_proof(index as u64).unwrap();
            assert_eq!(
                proof,
                digests(oracle.prove_inclusion(index).as_bytes()),
                "{index} of {size}"
            );
            verify_inclusion(
                &Hash::leaf(&entries[index]),
                index as u64,
                size as u64,
                &proof,
                &root,
            )
            .unwrap();
        }
        for old in (1..size).filter(|old| old % 61 == 0 || old.is_power_of_two() || *old + 3 > size) {
            let proof = reader.consistency_proof(old as u64).unwrap();
            assert_eq!(
                proof,
                digests(oracle.prove_consistency(size - old).as_bytes()),
                "{old} to {size}"
            );
            verify_consistency(old as u64, &roots[old], size as u64, &root, &proof).unwrap();
        }
    }
}

/// Three levels of tiles: sizes around 256^2, by formula instead of by an oracle in memory.
#[test]
fn a_tree_of_three_levels() {
    let entries: Vec<Vec<u8>> = (0..66_000).map(entry).collect();
    let leaves: Vec<Hash> = entries.iter().map(|entry| Hash::leaf(entry)).collect();
    for size in [65_535, 65_536, 65_537, 66_000] {
        let (files, edge) = rebuild(&entries[..size]);
        let root = Hash::root(&leaves[..size]);
        assert_eq!(edge.root(), root);
        let mut reader = TileReader::new(&files, size as u64);
        assert_eq!(reader.right_edge().unwrap(), edge);
        for index in [0, 255, 256, 65_279, 65_534, size - 1] {
            let proof = reader.inclusion_proof(index as u64).unwrap();
            verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &root).unwrap();
        }
        for old in [1, 256, 257, 65_280, 65_534, 65_535] {
            let proof = reader.consistency_proof(old as u64).unwrap();
            let old_root = Hash::root(&leaves[..old]);
            verify_consistency(old as u64, &old_root, size as u64, &root, &proof).unwrap();
        }
    }
}

/// Batches do not matter: the files that a checkpoint speaks of are the same however the entries came.
#[test]
fn batches_leave_no_trace() {
    let at_once = write(&[700]);
    for sizes in [
        &[1, 2, 3, 255, 256, 257, 511, 512, 513, 700][..],
        &[300, 700],
        &[256, 512, 700],
    ] {
        let written = write(sizes);
        let (one, other) = (at_once.files(), written.files());
        for (path, bytes) in &one {
            assert_eq!(other.get(path), Some(bytes), "{path} after batches {sizes:?}");
        }
        assert!(
            !other.contains_key("tile/0/000.p/1"),
            "replaced partial tiles are removed"
        );
        assert!(!other.contains_key("tile/entries/000.p/1"));
        let report = verify(&other, &keys(), &written.checkpoints, &now());
        assert_eq!(report.verdict(), Verdict::Holds, "{report}");
        let extends: Vec<u64> = report.extends.iter().map(|held| held.size).collect();
        assert_eq!(extends, sizes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A proof verifies for its own sizes and entry; no other claim is made good by it.
    #[test]
    fn proofs_prove_one_thing(size in 1u64..600, index in 0u64..600, other in 0u64..600, old in 1u64..600, flip in 0usize..256) {
        let (index, old) = (index % size, 1 + old % size);
        let entries: Vec<_> = (0..size as usize).map(entry).collect();
        let leaves: Vec<_> = entries.iter().map(|entry| Hash::leaf(entry)).collect();
        let (files, edge) = rebuild(&entries);
        let root = edge.root();
        let mut reader = TileReader::new(&files, size);
        let proof = reader.inclusion_proof(index).unwrap();
        let leaf = leaves[index as usize];
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
        if other != index {
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
        }
        if !proof.is_empty() {
            let mut bad = proof.clone();
            let position = flip % bad.len();
            bad[position].0[flip % 32] ^= 1 << (flip % 8);
            prop_assert!(verify_inclusion(&leaf, index, size, &bad, &root).is_err());
        }
        let proof = reader.consistency_proof(old).unwrap();
        let old_root = Hash::root(&leaves[..old as usize]);
        prop_assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
        if other != old && other > 0 {
            prop_assert!(verify_consistency(other, &old_root, size, &root, &proof).is_err());
        }
        let mut wrong = old_root;
        wrong.0[flip % 32] ^= 1 << (flip % 8);
        prop_assert!(verify_consistency(old, &wrong, size, &root, &proof).is_err());
    }

    /// Any sizes and any hashes: an answer, never a panic.
    #[test]
    fn hostile_proofs_are_answered(a in any::<u64>(), b in any::<u64>(), hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
        let hashes: Vec<Hash> = hashes.into_iter().map(Hash).collect();
        prop_assert!(verify_inclusion(&Hash([0; 32]), a, b, &hashes, &Hash([1; 32])).is_err());
        let same = a == b && a > 0 && hashes.is_empty();
        prop_assert_eq!(verify_consistency(a, &Hash([0; 32]), b, &Hash([0; 32]), &hashes).is_ok(), same);
    }

    /// A log that lies about everything can be read without harm.
    #[test]
    fn hostile_files_are_answered(size in any::<u64>(), index in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        struct Same(Vec<u8>);
        impl Source for Same {
            fn read(&self, _: &str) -> std::io::Result<Option<Vec<u8>>> {
                Ok(Some(self.0.clone()))
            }
        }
        for bytes in [bytes, vec![7; 8192], vec![0; 8192]] {
            let source = Same(bytes);
            let mut reader = TileReader::new(&source, size);
            let _ = reader.root();
            let _ = reader.right_edge().map(|edge| (edge.root(), edge.partial_tiles().count()));
            let _ = reader.entry(index);
            let _ = reader.inclusion_proof(index);
            let _ = reader.consistency_proof(index);
        }
    }
}
