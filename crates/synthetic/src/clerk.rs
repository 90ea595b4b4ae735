//! What each list decides to publish of a person.

use concordat_identifiers::NameRank;

use crate::dossier::{BirthUse, DocumentUse, Dossier, Layout, NameUse, OtherKind, OtherUse, Side};
use crate::names::{CULTURES, Country, Script};
use crate::permutation::{Dice, Stream};
use crate::person::{Facts, Person};

/// What the list on `side` knows of `person`, who is on `both` lists or only on this one.
pub(crate) fn fill_in(seed: u64, person: Person, facts: &Facts, side: Side, both: bool) -> Dossier {
    let stream = match side {
        Side::Left => Stream::Left(person.index),
        Side::Right => Stream::Right(person.index),
    };
    let mut clerk = Clerk {
        facts,
        side,
        dice: Dice::new(seed, stream),
    };
    if both {
        let link = LINKS[(person.index % LINKS.len() as u64) as usize];
        clerk.linked(link, person.index % 2 == side as u64)
    } else {
        clerk.alone()
    }
}

/// What connects the two records of a person on both lists. Whatever the link does not name differs or is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Everything,
    /// Document and issuer.
    Document,
    /// One list does not say who issued it.
    DocumentNumber,
    /// The lists disagree on who issued it.
    DocumentConflict,
    /// Name in parts and date of birth.
    Name,
    /// One list does not tell the parts apart.
    NameOrder,
    /// One list's alias is the other's main name.
    Alias,
    /// One list omits the middle name.
    MiddleName,
    /// One list knows only the year of birth.
    YearOfBirth,
    /// One list writes the culture's own script.
    OwnScript,
    Other(OtherKind),
}

/// Links by a person's index: each occurs once in a full round, the frequent ones more often.
const LINKS: [Link; 29] = {
    use Link::{
        Alias, Document, DocumentConflict, DocumentNumber, Everything, MiddleName, Name, NameOrder, Other,
        OwnScript, YearOfBirth,
    };
    [
        Everything,
        Document,
        Name,
        DocumentNumber,
        NameOrder,
        YearOfBirth,
        Other(OtherKind::BiometricReference),
        Alias,
        Everything,
        OwnScript,
        DocumentConflict,
        Other(OtherKind::Phone),
        Name,
        MiddleName,
        Document,
        Other(OtherKind::NationalId),
        Everything,
        NameOrder,
        DocumentNumber,
        Other(OtherKind::Email),
        YearOfBirth,
        Alias,
        Other(OtherKind::BiometricRecordDigest),
        Everything,
        OwnScript,
        Other(OtherKind::Iban),
        MiddleName,
        Other(OtherKind::VehiclePlate),
        Other(OtherKind::Vin),
    ]
};

/// Fills in one list's form.
struct Clerk<'a> {
    facts: &'a Facts,
    side: Side,
    dice: Dice,
}

impl Clerk<'_> {
    /// A person whom only this list knows.
    fn alone(&mut self) -> Dossier {
        let mut dossier = Dossier {
            names: vec![],
            births: self.births(),
            documents: vec![],
            others: vec![],
        };
        let extra = self.dice.one_in(2);
        dossier.names.push(self.name(0, NameRank::Primary, extra));
        if self.dice.one_in(3) {
            dossier.names.push(self.alias(1));
        }
        self.own_script_alias(&mut dossier);
        if !self.dice.one_in(3) {
            dossier.documents.push(self.document(0));
        }
        if self.dice.one_in(4) {
            dossier.others.push(self.other(0));
        }
        dossier
    }

    /// A person whom both lists know, so that `link` and nothing else connects the records. `may_share_alias` is
    /// true on one side only.
    fn linked(&mut self, link: Link, has_spare_alias: bool) -> Dossier {
        let own = if self.side == Side::Left { 1 } else { 2 };
        let left = self.side == Side::Left;
        let mut dossier = Dossier {
            names: vec![],
            births: vec![BirthUse::Day],
            documents: vec![],
            others: vec![],
        };
        let shown = self.facts.show_extra;
        let primary = NameRank::Primary;
        match link {
            Link::Everything | Link::Name => {
                dossier.names.push(NameUse {
                    layout: Layout::Parts,
                    ..self.name(0, primary, shown)
                });
            }
            Link::NameOrder => {
                let layout = if left {
                    Layout::Parts
                } else {
                    *self.dice.pick(&[Layout::FamilyFirst, Layout::GivenFirst])
                };
                dossier.names.push(NameUse {
                    layout,
                    ..self.name(0, primary, shown)
                });
            }
            Link::Alias if left => {
                dossier.names.push(self.name(own as usize, primary, shown));
                dossier.names.push(NameUse {
                    extra: shown,
                    ..self.alias(0)
                });
            }
            Link::Alias => dossier.names.push(self.name(0, primary, shown)),
            Link::MiddleName => dossier.names.push(self.name(0, primary, left)),
            Link::YearOfBirth => {
                dossier.names.push(self.name(0, primary, shown));
                if !left {
                    dossier.births = vec![*self.dice.pick(&[
                        BirthUse::Month,
                        BirthUse::Year,
                        BirthUse::Years,
                    ])];
                }
            }
            Link::OwnScript => {
                if left {
                    dossier.names.push(self.name(own as usize, primary, shown));
                }
                let rank = if left { NameRank::Alias } else { primary };
                let latin = self.name(0, rank, false);
                dossier.names.push(self.in_own_script(latin));
            }
            Link::Document | Link::DocumentNumber | Link::DocumentConflict | Link::Other(_) => {
                dossier.births = self.births();
                dossier.names.push(self.name(own as usize, primary, shown));
            }
        }
        match link {
            Link::Everything | Link::Document => {
                dossier.documents.push(DocumentUse {
                    which: 0,
                    issuer: Some(self.facts.country),
                });
            }
            Link::DocumentNumber => {
                let issuer = left.then_some(self.facts.country);
                dossier.documents.push(DocumentUse { which: 0, issuer });
            }
            Link::DocumentConflict => {
                let issuer = if left {
                    self.facts.country
                } else {
                    self.foreign_country()
                };
                dossier.documents.push(DocumentUse {
                    which: 0,
                    issuer: Some(issuer),
                });
            }
            Link::Other(kind) => dossier.others.push(OtherUse { kind, which: 0 }),
            _ => {}
        }
        if has_spare_alias && self.dice.one_in(3) {
            dossier.names.push(self.alias(3));
        }
        self.own_script_alias(&mut dossier);
        if self.dice.one_in(3) {
            dossier.documents.push(self.document(own));
        }
        if self.dice.one_in(4) {
            dossier.others.push(self.other(own));
        }
        dossier
    }

    fn name(&mut self, slot: usize, rank: NameRank, extra: bool) -> NameUse {
        let (script, layout) = match self.side {
            Side::Left if self.dice.one_in(2) => (Script::Plain, Layout::Parts),
            Side::Left => (Script::Marked, Layout::Parts),
            Side::Right if self.dice.one_in(4) => (Script::Plain, Layout::FamilyFirst),
            Side::Right => (Script::Marked, Layout::GivenFirst),
        };
        // Which spelling a clerk without marks would choose is not known, so both lists keep the marks.
        let script = if self.facts.names[slot].has_several_spellings() {
            Script::Marked
        } else {
            script
        };
        NameUse {
            slot,
            rank,
            script,
            layout,
            extra,
        }
    }

    fn alias(&mut self, slot: usize) -> NameUse {
        let rank = if self.dice.one_in(5) {
            NameRank::WeakAlias
        } else {
            NameRank::Alias
        };
        let layout = *self.dice.pick(&[Layout::FamilyFirst, Layout::GivenFirst]);
        NameUse {
            layout,
            ..self.name(slot, rank, false)
        }
    }

    /// Now and then the first name again, in the culture's own script.
    fn own_script_alias(&mut self, dossier: &mut Dossier) {
        if self.dice.one_in(4) {
            let first = dossier.names[0];
            if self.facts.names[first.slot].culture.has_native() && first.script != Script::Native {
                let alias = NameUse {
                    rank: NameRank::Alias,
                    extra: false,
                    ..first
                };
                dossier.names.push(self.in_own_script(alias));
            }
        }
    }

    /// The same name in its culture's script; with marks where that is Latin.
    fn in_own_script(&self, name: NameUse) -> NameUse {
        let has_native = self.facts.names[name.slot].culture.has_native();
        NameUse {
            script: if has_native {
                Script::Native
            } else {
                Script::Marked
            },
            ..name
        }
    }

    fn births(&mut self) -> Vec<BirthUse> {
        match self.dice.below(20) {
            0..12 => vec![BirthUse::Day],
            12 | 13 => vec![BirthUse::Day, BirthUse::Misprint],
            14 => vec![BirthUse::Misprint],
            15 => vec![BirthUse::Month],
            16 | 17 => vec![BirthUse::Year],
            18 => vec![BirthUse::Years],
            _ => vec![],
        }
    }

    fn document(&mut self, which: u64) -> DocumentUse {
        let issuer = (!self.dice.one_in(4)).then_some(self.facts.country);
        DocumentUse { which, issuer }
    }

    fn other(&mut self, which: u64) -> OtherUse {
        OtherUse {
            kind: *self.dice.pick(&OtherKind::ALL),
            which,
        }
    }

    fn foreign_country(&mut self) -> &'static Country {
        let home = self.facts.country.alpha3;
        let abroad: Vec<&Country> = CULTURES
            .iter()
            .flat_map(|culture| culture.countries)
            .filter(|country| country.alpha3 != home)
            .collect();
        abroad[self.dice.below(abroad.len() as u32) as usize]
    }
}
