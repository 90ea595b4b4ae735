//! One module per format.

pub(crate) mod ftm;
pub(crate) mod jsonl;
pub(crate) mod mapped;
pub(crate) mod mrz;
pub(crate) mod ofac;
pub(crate) mod paxlst;
mod paxlst_counts;
pub(crate) mod uk;
pub(crate) mod un;

mod edifact;
mod ofac_remarks;
mod xml;

use crate::Error;
use crate::draft::Queue;

/// A format being read.
pub(crate) trait Records: Send {
    /// Reads on, until at least something was read or the input has ended. False at the end.
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error>;
}
