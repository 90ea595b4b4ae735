//! `uk-ofsi`: the UK consolidated list in CSV, in the layout of 29 columns (until 2022) or of 36, told apart by the
//! header. One row per name and date of birth, persons held together by their group id.

use std::sync::Arc;

use concordat_identifiers::{Document, DocumentClass, NameRank, Other};
use serde::{Deserialize, Serialize};

use super::Records;
use crate::csv_rows::{Charset, Rows};
use crate::dates;
use crate::documents::{Found, Sort, items, scan, scan_with_details};
use crate::draft::{Draft, Queue};
use crate::input::Source;
use crate::sorter::{Group, Groups, Sorter};
use crate::{Error, Options, Rule};

/// Reads the list.
pub(crate) struct UkOfsi {
    input: Arc<str>,
    header: Vec<String>,
    group_id: usize,
    state: State,
}

enum State {
    Collecting(Box<Rows<Source>>, Sorter),
    Joining(Groups),
    Ended,
}

#[derive(Serialize, Deserialize)]
struct Line {
    line: u64,
    cells: Vec<String>,
}

impl UkOfsi {
    pub(crate) fn new(source: Source, options: &Options) -> Result<Self, Error> {
        let mut rows = Rows::new(source, b',', b'"', Charset::Utf8OrWindows1252);
        let input = rows.input();
        // A line with the date of publication stands before the header.
        let mut header = next_cells(&mut rows)?;
        if header.first().is_some_and(|cell| cell.trim() == "Last Updated") {
            header = next_cells(&mut rows)?;
        }
        let header: Vec<String> = header.into_iter().map(|name| name.trim().to_owned()).collect();
        let missing = REQUIRED
            .iter()
            .find(|required| !header.iter().any(|name| name == *required));
        if let Some(missing) = missing {
            let why = format!("the header has no column {missing:?} among its {}", header.len());
            return Err(rows.source().wrong_format(why));
        }
        let group_id = header
            .iter()
            .position(|name| name == "Group ID")
            .unwrap_or_default();
        Ok(Self {
            input,
            header,
            group_id,
            state: State::Collecting(Box::new(rows), Sorter::new(options)),
        })
    }
}

/// Columns of both layouts.
const REQUIRED: &[&str] = &[
    "Name 6",
    "Name 1",
    "DOB",
    "Nationality",
    "Passport Details",
    "Group Type",
    "Alias Type",
    "Group ID",
];

fn next_cells(rows: &mut Rows<Source>) -> Result<Vec<String>, Error> {
    Ok(rows.next()?.and_then(|row| row.cells.ok()).unwrap_or_default())
}

impl Records for UkOfsi {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Collecting(mut rows, mut sorter) => {
                self.state = match rows.next()? {
                    None => State::Joining(sorter.finish()?),
                    Some(row) => {
                        match row.cells {
                            Ok(cells) if cells.len() != self.header.len() => {
                                let id = rows.cell(self.group_id);
                                queue.reject_named(&self.input, row.line, Rule::Columns, id);
                            }
                            Ok(cells) if cells[self.group_id].trim().is_empty() => {
                                queue.reject_record(&self.input, row.line, Rule::NoId);
                            }
                            Ok(cells) => {
                                let key = cells[self.group_id].trim().as_bytes().to_vec();
                                sorter.push(
                                    &key,
                                    &Line {
                                        line: row.line,
                                        cells,
                                    },
                                )?;
                            }
                            Err(rule) => {
                                let id = rows.cell(self.group_id);
                                queue.reject_named(&self.input, row.line, rule, id);
                            }
                        }
                        State::Collecting(rows, sorter)
                    }
                };
                Ok(true)
            }
            State::Joining(mut groups) => {
                let Some(group) = groups.next()? else {
                    return Ok(false);
                };
                self.entry(&group, queue);
                self.state = State::Joining(groups);
                Ok(true)
            }
            State::Ended => Ok(false),
        }
    }
}

/// A row with its header.
struct Cells<'a> {
    header: &'a [String],
    line: &'a Line,
}

impl<'a> Cells<'a> {
    /// The trimmed cell of a column; empty where the layout lacks it.
    fn get(&self, name: &str) -> &'a str {
        self.header
            .iter()
            .position(|column| column == name)
            .map_or("", |index| self.line.cells[index].trim())
    }
}

impl UkOfsi {
    fn entry(&self, group: &Group<Line>, queue: &mut Queue) {
        let rows: Vec<_> = group
            .lines
            .iter()
            .map(|line| Cells {
                header: &self.header,
                line,
            })
            .collect();
        let Some(first) = rows.first() else { return };
        if group.too_large {
            let id = first.get("Group ID");
            queue.reject_named(&self.input, first.line.line, Rule::EntryTooLarge, id);
            return;
        }
        match first.get("Group Type") {
            "Individual" => {}
            "Entity" => return queue.skipped.push("entity"),
            "Ship" => return queue.skipped.push("vessel"),
            _ => return queue.skipped.push("other"),
        }
        let mut draft = Draft::new(Arc::clone(&self.input), first.line.line);
        let is_primary = |row: &&Cells<'_>| matches!(row.get("Alias Type"), "Primary name" | "Prime Alias");
        // Primary names first, whatever the order of the rows.
        for row in rows
            .iter()
            .filter(is_primary)
            .chain(rows.iter().filter(|row| !is_primary(row)))
        {
            name(row, &mut draft);
        }
        for row in &rows {
            birth(row, &mut draft);
            self.numbers(row, &mut draft);
            publish(row, &mut draft);
        }
        draft.finish(first.get("Group ID"), queue);
    }

    /// Passports and national identification numbers: free text in the layout of 29 columns; a number and what is
    /// said of it in that of 36.
    fn numbers(&self, row: &Cells<'_>, draft: &mut Draft) {
        const PASSPORT: Sort = Sort::Travel(DocumentClass::Passport);
        let in_own_column = self.header.iter().any(|name| name == "Passport Number");
        let columns = match in_own_column {
            false => [
                ("Passport Details", "", PASSPORT),
                ("NI Number", "", Sort::NationalId),
            ],
            true => [
                ("Passport Number", "Passport Details", PASSPORT),
                (
                    "National Identification Number",
                    "National Identification Details",
                    Sort::NationalId,
                ),
            ],
        };
        for (column, details, default) in columns {
            let found = match (row.get(column), row.get(details)) {
                ("", "") => continue,
                ("", details) => scan(details, default),
                (numbers, details) if in_own_column => scan_with_details(numbers, details, default),
                (text, _) => scan(text, default),
            };
            if found.is_empty() {
                draft.reject(column, Rule::DocumentNumber);
            }
            for Found { sort, number, issuer } in found {
                match sort {
                    Sort::Travel(class) => draft.document(Document {
                        class,
                        number,
                        issuer,
                    }),
                    Sort::NationalId => draft.other(Other::NationalId {
                        number,
                        country: issuer,
                    }),
                }
            }
        }
    }
}

fn name(row: &Cells<'_>, draft: &mut Draft) {
    let rank = match (row.get("Alias Type"), row.get("Alias Quality")) {
        ("Primary name" | "Prime Alias", _) => NameRank::Primary,
        (_, "Low quality") => NameRank::WeakAlias,
        _ => NameRank::Alias,
    };
    let family = row.get("Name 6");
    let given = ["Name 1", "Name 2", "Name 3", "Name 4", "Name 5"].map(|column| row.get(column));
    let given = given
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if family.is_empty() || given.is_empty() {
        // One column alone may hold a whole name.
        draft.name_whole(rank, if family.is_empty() { &given } else { family });
    } else {
        draft.name_parts(rank, family, &given);
    }
    draft.name_whole(NameRank::Alias, row.get("Name Non-Latin Script"));
}

fn birth(row: &Cells<'_>, draft: &mut Draft) {
    let text = row.get("DOB");
    draft.published.add("date_of_birth", text);
    for date in items(text) {
        draft.birth("DOB", dates::birth(date));
    }
}

fn publish(row: &Cells<'_>, draft: &mut Draft) {
    let published = &mut draft.published;
    for (name, column) in [
        ("type", "Group Type"),
        ("programme", "Regime"),
        ("title", "Title"),
        ("position", "Position"),
        ("remarks", "Other Information"),
        ("listed_on", "Listed On"),
        ("updated_on", "Last Updated"),
        ("gender", "Gender"),
    ] {
        published.add(name, row.get(column));
    }
    for nationality in items(row.get("Nationality")) {
        published.add("nationality", nationality);
    }
    let joined = |columns: &[&str]| {
        let cells = columns
            .iter()
            .map(|column| row.get(column))
            .filter(|text| !text.is_empty());
        cells.collect::<Vec<_>>().join(", ")
    };
    published.add("place_of_birth", joined(&["Town of Birth", "Country of Birth"]));
    published.add(
        "address",
        joined(&[
            "Address 1",
            "Address 2",
            "Address 3",
            "Address 4",
            "Address 5",
            "Address 6",
            "Post/Zip Code",
            "Country",
        ]),
    );
    for reference in references(row.get("Other Information")) {
        published.add("reference", reference);
    }
}

/// The references of other lists that the remarks quote: the UN's (`QDi.123`) and the UK sanctions list's (`ABC0123`).
fn references(text: &str) -> Vec<&str> {
    const UK: &str = "(UK Sanctions List Ref):";
    let uk = text
        .split(UK)
        .skip(1)
        .map(|rest| rest.split(['.', ' ', '(']).next().unwrap_or_default());
    let is_un = |word: &&str| match word.as_bytes() {
        [a, b, c, b'.', digits @ ..] => {
            a.is_ascii_uppercase()
                && b.is_ascii_uppercase()
                && matches!(c, b'i' | b'e' | b'I' | b'E')
                && digits.len() == 3
                && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    let words = text
        .split([' ', ':', ',', ';', '(', ')'])
        .map(|word| word.trim_end_matches('.'));
    let words = words.map(|word| word.strip_prefix("Ref.").unwrap_or(word));
    uk.chain(words.filter(is_un))
        .filter(|reference| !reference.is_empty())
        .collect()
}
