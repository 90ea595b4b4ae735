//! Merging sorted streams of tags.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::error::Error;

/// Merges streams that each increase strictly. Gives each tag once, with the number of the first stream that has it. Ends after an
/// error.
pub(crate) struct Merge<I> {
    sources: Vec<I>,
    heads: BinaryHeap<Reverse<(u128, usize)>>,
    failed: Option<Error>,
    last: Option<u128>,
}

impl<I: Iterator<Item = Result<u128, Error>>> Merge<I> {
    pub(crate) fn new(sources: impl IntoIterator<Item = I>) -> Self {
        let sources: Vec<_> = sources.into_iter().collect();
        let heads = BinaryHeap::with_capacity(sources.len());
        let mut merge = Self {
            sources,
            heads,
            failed: None,
            last: None,
        };
        for source in 0..merge.sources.len() {
            merge.advance(source);
        }
        merge
    }

    fn advance(&mut self, source: usize) {
        match self.sources[source].next() {
            Some(Ok(tag)) => self.heads.push(Reverse((tag, source))),
            Some(Err(e)) => self.failed = Some(e),
            None => {}
        }
    }
}

impl<I: Iterator<Item = Result<u128, Error>>> Iterator for Merge<I> {
    type Item = Result<(u128, usize), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(e) = self.failed.take() {
                self.heads.clear();
                return Some(Err(e));
            }
            let Reverse((tag, source)) = self.heads.pop()?;
            self.advance(source);
            if self.last != Some(tag) {
                self.last = Some(tag);
                return Some(Ok((tag, source)));
            }
        }
    }
}

/// Whether two streams that increase strictly have no tag in common.
pub(crate) fn are_disjoint(
    a: impl Iterator<Item = Result<u128, Error>>,
    b: impl Iterator<Item = Result<u128, Error>>,
) -> Result<bool, Error> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        let order = match (x, y) {
            (Ok(x), Ok(y)) => x.cmp(y),
            (Err(_), _) => Ordering::Less,
            (_, Err(_)) => Ordering::Greater,
        };
        match order {
            Ordering::Less => a.next().transpose()?,
            Ordering::Greater => b.next().transpose()?,
            Ordering::Equal => return Ok(false),
        };
    }
    Ok(true)
}
