//! The door, and what comes out of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::draft::Queue;
use crate::formats::{self, Records};
use crate::input::{Input, Inputs, Progress};
use crate::{Error, Format, Item, Lost, Options};

/// Opens a list.
///
/// `inputs` are asked for one after the other, each read to its end before the next: parts of an upload can be
/// handed on while they arrive. Only `ofac-sdn` takes more than one. The first bytes are looked at here, so that a
/// file of another format is refused at once; everything else happens while the reader is iterated, in the caller's
/// thread.
///
/// # Errors
/// [`Error`], all variants: each says whether the caller, the file or the machine is to blame.
pub fn open<I>(format: Format, inputs: I, options: &Options) -> Result<Reader, Error>
where
    I: IntoIterator<Item = Input>,
    I::IntoIter: Send + 'static,
{
    let inputs = Inputs::new(format, inputs.into_iter(), options.limits);
    let progress = inputs.progress.clone();
    let mut rest = None;
    let mut sole = |mut inputs: Inputs| {
        let source = inputs.next()?.ok_or(Error::NoInput)?;
        rest = Some(inputs);
        Ok::<_, Error>(source)
    };
    let records: Box<dyn Records> = match format {
        Format::OfacSdn => Box::new(formats::ofac::OfacSdn::new(inputs, options)),
        Format::UnSc => Box::new(formats::un::UnSc::new(sole(inputs)?)?),
        Format::UkOfsi => Box::new(formats::uk::UkOfsi::new(sole(inputs)?, options)?),
        Format::Ftm => Box::new(formats::ftm::Ftm::new(sole(inputs)?, options)),
        Format::Jsonl => Box::new(formats::jsonl::Jsonl::new(sole(inputs)?)),
        Format::Csv => Box::new(formats::mapped::MappedCsv::new(sole(inputs)?, options)?),
        Format::Mrz => Box::new(formats::mrz::MrzLines::new(sole(inputs)?, options.today)),
        Format::Paxlst => Box::new(formats::paxlst::Paxlst::new(sole(inputs)?, options.today)?),
    };
    Ok(Reader {
        format,
        records,
        rest,
        queue: Queue::default(),
        summary: Summary::default(),
        progress,
        ended: false,
    })
}

/// A list being read: an iterator of [`Item`]s. After an error or the end there is nothing more.
///
/// Entries come in the order of the input, except for formats whose entries are spread over several lines
/// (`ofac-sdn`, `uk-ofsi`, `ftm`), where they come sorted by id.
pub struct Reader {
    format: Format,
    records: Box<dyn Records>,
    /// Inputs that should not be there.
    rest: Option<Inputs>,
    queue: Queue,
    summary: Summary,
    progress: Progress,
    ended: bool,
}

impl Reader {
    /// The format being read.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Counts so far; final once the reader has ended.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The count of bytes consumed, to be watched from anywhere.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn advance(&mut self) -> Result<Option<Item>, Error> {
        loop {
            for kind in self.queue.skipped.drain(..) {
                self.summary.records += 1;
                *self.summary.skipped.entry(kind).or_default() += 1;
            }
            if let Some(item) = self.queue.items.pop_front() {
                return Ok(Some(item));
            }
            if self.records.advance(&mut self.queue)? {
                continue;
            }
            if let Some(name) = self.rest.as_mut().and_then(Inputs::next_name) {
                return Err(Error::ExtraInput {
                    format: self.format,
                    name,
                });
            }
            return Ok(None);
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.advance().transpose();
        match &item {
            Some(Ok(Item::Entry(_))) => {
                self.summary.records += 1;
                self.summary.entries += 1;
            }
            Some(Ok(Item::Reject(reject))) => match reject.lost {
                Lost::Record => {
                    self.summary.records += 1;
                    self.summary.rejected_records += 1;
                }
                Lost::Field => self.summary.rejected_fields += 1,
            },
            Some(Err(_)) | None => self.ended = true,
        }
        item
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("format", &self.format)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

/// What was read. `records = entries + rejected_records + all skipped`, so nothing is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records of the list: persons, documents, and things that are neither.
    pub records: u64,
    /// Records that became entries.
    pub entries: u64,
    /// Records that could not be used at all.
    pub rejected_records: u64,
    /// Single values that could not be used.
    pub rejected_fields: u64,
    /// Records that are no persons, by what they are (`entity`, `vessel`, …).
    pub skipped: BTreeMap<&'static str, u64>,
}
