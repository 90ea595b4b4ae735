//! A set of row ids as a sparse bitmap: about one bit per id, since row ids are handed out in sequence.

use std::collections::HashMap;

const PAGE_BITS: i64 = 4096;

/// Which records an import has seen: 1,000,000 records of one list are about 125 kB.
#[derive(Debug, Default)]
pub(crate) struct IdSet {
    pages: HashMap<i64, Box<[u64; 64]>>,
}

impl IdSet {
    /// Adds `id`; `false` if it was there.
    pub(crate) fn insert(&mut self, id: i64) -> bool {
        let (page, word, bit) = locate(id);
        let words = self.pages.entry(page).or_insert_with(|| Box::new([0; 64]));
        let fresh = words[word] & bit == 0;
        words[word] |= bit;
        fresh
    }

    /// Whether `id` is in the set.
    pub(crate) fn contains(&self, id: i64) -> bool {
        let (page, word, bit) = locate(id);
        self.pages.get(&page).is_some_and(|words| words[word] & bit != 0)
    }
}

fn locate(id: i64) -> (i64, usize, u64) {
    let offset = id.rem_euclid(PAGE_BITS) as usize;
    (id.div_euclid(PAGE_BITS), offset / 64, 1 << (offset % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::IdSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_like_a_set(ids in prop::collection::vec(-10_000_i64..10_000, 0..200), probe in -10_000_i64..10_000) {
            let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
            for id in ids {
                prop_assert_eq!(set.insert(id), model.insert(id));
            }
            prop_assert_eq!(set.contains(probe), model.contains(&probe));
        }
    }
}
