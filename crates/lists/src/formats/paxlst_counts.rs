//! The control counts of a passenger list (`UNT`, `UNE`, `UNZ`, `CNT`): what a relay has lost shows here and nowhere
//! else.

use super::edifact::Segment;
use crate::Error;
use crate::input::Source;

/// What the counts of an interchange are compared with.
#[derive(Default)]
pub(super) struct Counts {
    /// Segments of the message so far, `UNH` and `UNT` included.
    pub(super) segments: u64,
    /// Messages since the group began, or without groups since the interchange began.
    messages: u64,
    groups: u64,
    /// People of the message.
    people: People,
    /// As `CNT+42` and `CNT+41` say, with their lines.
    passengers: Option<(u64, u64)>,
    crew: Option<(u64, u64)>,
    /// Set in a message that is one block of a longer list.
    block: Option<Block>,
    blocks: Option<Blocks>,
}

#[derive(Clone, Copy, Default)]
struct People {
    passengers: Tally,
    crew: Tally,
}

/// How many of a sort. Whether totals include those in transit differs between carriers.
#[derive(Clone, Copy, Default)]
struct Tally {
    listed: u64,
    in_transit: u64,
}

/// Which part of a list a message is: the status of transfer of its `UNH`.
struct Block {
    reference: String,
    sequence: u64,
    last: bool,
}

/// Blocks of one list that came in order, from the first on.
struct Blocks {
    reference: String,
    next: u64,
    people: People,
}

impl Counts {
    /// Blocks of one list may come in interchanges of their own.
    pub(super) fn start_interchange(&mut self) {
        *self = Self {
            blocks: self.blocks.take(),
            ..Self::default()
        };
    }

    pub(super) fn start_group(&mut self) {
        self.groups += 1;
        self.messages = 0;
    }

    /// `UNH+reference+PAXLST:…+access reference+sequence:F`
    pub(super) fn start_message(&mut self, segment: &Segment) {
        self.messages += 1;
        self.segments = 1;
        (self.people, self.passengers, self.crew) = Default::default();
        let block = segment.get(4, 0).parse().ok().map(|sequence| Block {
            reference: segment.get(3, 0).to_owned(),
            sequence,
            last: segment.get(4, 1) == "F",
        });
        self.blocks = match (&block, self.blocks.take()) {
            (Some(block), _) if block.sequence == 1 => Some(Blocks {
                reference: block.reference.clone(),
                next: 1,
                people: People::default(),
            }),
            (Some(block), Some(blocks))
                if block.sequence == blocks.next && block.reference == blocks.reference =>
            {
                Some(blocks)
            }
            _ => None,
        };
        self.block = block;
    }

    /// Counts a person of the message by the qualifier of the `NAD` segment.
    pub(super) fn person(&mut self, qualifier: &str) {
        let People { passengers, crew } = &mut self.people;
        match qualifier {
            "FL" => passengers.listed += 1,
            "DDT" => passengers.in_transit += 1,
            "FM" => crew.listed += 1,
            "DDU" => crew.in_transit += 1,
            _ => {}
        }
    }

    /// `CNT+42:passengers`, `CNT+41:crew`; some carriers write an element separator for the component's.
    pub(super) fn declare(&mut self, segment: &Segment, source: &Source) -> Result<(), Error> {
        let declared = match segment.get(1, 0) {
            "42" => &mut self.passengers,
            "41" => &mut self.crew,
            _ => return Ok(()),
        };
        let text = Some(segment.get(1, 1)).filter(|text| !text.is_empty());
        let total = text.unwrap_or_else(|| segment.get(2, 0)).parse();
        let total = total.map_err(|_| source.syntax("a CNT segment has no number"))?;
        *declared = Some((segment.line, total));
        Ok(())
    }

    /// The end of a message: `UNT+segments+reference`.
    pub(super) fn message(&mut self, segment: &Segment, source: &Source) -> Result<(), Error> {
        check(segment, "UNT", "segments", self.segments, source)?;
        let People { passengers, crew } = self.people;
        let before = self.blocks.as_ref().map(|blocks| blocks.people);
        let (passengers_before, crew_before) = (before.map(|p| p.passengers), before.map(|p| p.crew));
        for (declared, own, before, segment, what) in [
            (
                self.passengers,
                passengers,
                passengers_before,
                "CNT+42",
                "passengers",
            ),
            (self.crew, crew, crew_before, "CNT+41", "crew members"),
        ] {
            if let Some((line, total)) = declared
                && let Err(found) = self.agrees(total, own, before)
            {
                return Err(source.miscounted(line, segment, what, total, found));
            }
        }
        if let Some(blocks) = &mut self.blocks {
            blocks.next += 1;
            blocks.people.passengers.add(passengers);
            blocks.people.crew.add(crew);
        }
        Ok(())
    }

    /// Whether a declared total is right, or else what was found. In one block of a longer list carriers write the
    /// total of the block or that of the list: the latter can be checked in the last block, if the others came
    /// before it, and else only be too small.
    fn agrees(&self, total: u64, own: Tally, before: Option<Tally>) -> Result<(), u64> {
        let is_last = self.block.as_ref().is_some_and(|block| block.last);
        let whole = before.filter(|_| is_last).map(|before| before.plus(own));
        match (&self.block, whole) {
            _ if own.is(total) => Ok(()),
            (None, _) => Err(own.all()),
            (Some(_), Some(whole)) if whole.is(total) => Ok(()),
            (Some(_), Some(whole)) => Err(whole.all()),
            (Some(_), None) if own.listed > total => Err(own.all()),
            (Some(_), None) => Ok(()),
        }
    }

    /// The end of a group: `UNE+messages+reference`.
    pub(super) fn group(&self, segment: &Segment, source: &Source) -> Result<(), Error> {
        check(segment, "UNE", "messages", self.messages, source)
    }

    /// The end of an interchange: `UNZ+groups+reference`, or messages where there are no groups.
    pub(super) fn interchange(&self, segment: &Segment, source: &Source) -> Result<(), Error> {
        match self.groups {
            0 => check(segment, "UNZ", "messages", self.messages, source),
            groups => check(segment, "UNZ", "groups", groups, source),
        }
    }
}

impl Tally {
    fn all(self) -> u64 {
        self.listed + self.in_transit
    }

    fn is(self, total: u64) -> bool {
        total == self.listed || total == self.all()
    }

    fn add(&mut self, more: Self) {
        *self = self.plus(more);
    }

    fn plus(self, more: Self) -> Self {
        Self {
            listed: self.listed + more.listed,
            in_transit: self.in_transit + more.in_transit,
        }
    }
}

/// Compares the count in a segment's first element.
fn check(
    segment: &Segment,
    tag: &'static str,
    what: &'static str,
    found: u64,
    source: &Source,
) -> Result<(), Error> {
    match segment.get(1, 0).parse() {
        Ok(expected) if expected == found => Ok(()),
        Ok(expected) => Err(source.miscounted(segment.line, tag, what, expected, found)),
        Err(_) => Err(source.syntax("a segment that ends a message or an interchange has no count")),
    }
}
