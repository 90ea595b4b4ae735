use crate::error::Error;
use crate::segments::MAX_SEGMENTS_PER_SET;

/// The largest set that can be built or announced: 2^30 tags, 16 GiB.
pub(crate) const MAX_TAGS: u64 = 1 << 30;

/// How snapshots are built. The owner's choice; a requester needs to agree on none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Memory for sorting, in bytes. What does not fit is sorted on disk. Default 64 MiB.
    pub memory_bytes: usize,
    /// Sets are cut by tag prefix until a segment holds about this many tags at most. Default 2^20 (16 MiB).
    pub segment_tags: u64,
    /// The smallest size class, a power of two. Two lists below it look alike. Default 1,024.
    pub minimum_size_class: u64,
    /// At least so many padding tags go into a new base: each delta uses up as many as there are more additions than removals.
    /// Default 1,024.
    pub padding_reserve: u64,
    /// The smallest churn class, a power of two: every delta adds and removes at least so many tags. Default 256.
    pub minimum_churn_class: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            segment_tags: 1 << 20,
            minimum_size_class: 1024,
            padding_reserve: 1024,
            minimum_churn_class: 256,
        }
    }
}

impl Options {
    /// The size class of `tags` real tags and canaries, with room for `carried` padding tags.
    pub(crate) fn size_class(&self, tags: u64, carried: u64) -> Result<u64, Error> {
        let padding = self.padding_reserve.max(carried);
        class(tags.saturating_add(padding), self.minimum_size_class)
    }

    /// The churn class of a delta with at most `tags` changes of one sort.
    pub(crate) fn churn_class(&self, tags: u64) -> Result<u64, Error> {
        class(tags, self.minimum_churn_class)
    }

    /// How many leading bits name a segment of a set of `count` tags: as few as give at most [`segment_tags`](Self::segment_tags)
    /// per segment, if tags are spread evenly as those of a PRF are.
    pub(crate) fn prefix_bits(&self, count: u64) -> u8 {
        let most = MAX_SEGMENTS_PER_SET.ilog2() as u8;
        (0..most)
            .find(|&bits| count >> bits <= self.segment_tags)
            .unwrap_or(most)
    }
}

fn class(tags: u64, minimum: u64) -> Result<u64, Error> {
    let wanted = tags.max(minimum).max(1);
    match wanted.checked_next_power_of_two() {
        Some(class) if class <= MAX_TAGS => Ok(class),
        _ => Err(Error::TooManyTags {
            tags: wanted,
            limit: MAX_TAGS,
        }),
    }
}
