//! `concordat audit report`: how much was done, for what and with whom.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use concordat_disclosure::text::{csv_cell, markup};
use concordat_ledger::{Cell, EntryType, suppress};
use concordat_node::agreement::purpose_from_name;
use concordat_wire::v1::{GetCheckpointRequest, InfoRequest, ReportRequest, ReportRow};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::entries::moment;
use crate::connect::{Connection, Node};
use crate::exit::{Exit, Usage};
use crate::out::{self, Out, OutFile};

/// What to count, and where the tables go.
#[derive(clap::Args)]
pub struct Args {
    /// Not before this time (2026-11-27T20:00:00Z), or this day (2026-11-27, UTC)
    #[arg(long, value_name = "TIME|DAY", value_parser = moment)]
    since: Option<Timestamp>,
    /// Before this time, or before this day begins
    #[arg(long, value_name = "TIME|DAY", value_parser = moment)]
    before: Option<Timestamp>,
    /// For eyes outside the agency: count each exchange and each request once, withhold counts below this, and what would give them away; one table only
    #[arg(long, value_name = "THRESHOLD", value_parser = threshold)]
    release: Option<u64>,
    /// Write the table as CSV, with what it is a table of as the first columns
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the table as HTML
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// A row is a type, a purpose or an outcome, and the time that a decision took, a column a partner; the last of each are the totals.
struct Report {
    /// What it is a table of: whose, of when.
    head: Vec<(&'static str, String)>,
    rows: Vec<[String; 3]>,
    columns: Vec<String>,
    cells: Vec<Vec<Cell>>,
}

impl Args {
    /// Counts.
    pub async fn run(self, out: Out) -> Result<Exit> {
        if self
            .since
            .zip(self.before)
            .is_some_and(|(since, before)| since >= before)
        {
            return Err(Usage::error(
                "--since is not earlier than --before: no entry is of that time",
            ));
        }
        if self.csv.is_some() && self.csv == self.html {
            return Err(Usage::error(
                "--csv and --html name the same file: give each its own",
            ));
        }
        let files = [self.csv.as_deref(), self.html.as_deref()];
        let files = files.map(|path| path.map(OutFile::create).transpose());
        let [csv, html] = files;
        let (csv, html) = (csv?, html?);
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        let request = ReportRequest {
            since: text(self.since),
            before: text(self.before),
        };
        let node = self.connection.open().await?;
        let counted = node.audit().report(request).await?.into_inner();
        let mut report = match self.release {
            Some(threshold) => Report::released(counted.rows, threshold),
            None => Report::own(&counted.rows),
        };
        report.head = self.head(&node).await?;
        for (file, table) in [(csv, report.csv()), (html, report.html())] {
            if let Some(mut file) = file {
                file.write_all(table.as_bytes()).context("the report")?;
                file.finish()?;
            }
        }
        out.result(|| report.json(), || report.text())?;
        Ok(Exit::Done)
    }

    /// What a reader has to know of the table.
    async fn head(&self, node: &Node) -> Result<Vec<(&'static str, String)>> {
        let info = node.node().info(InfoRequest {}).await?.into_inner();
        let published = node
            .audit()
            .get_checkpoint(GetCheckpointRequest {})
            .await?
            .into_inner();
        // A checkpoint's second line is the number of its entries.
        let entries = published.checkpoint.lines().nth(1).unwrap_or("0").to_owned();
        let time = |time: Option<Timestamp>, none: &str| {
            time.map_or_else(|| none.to_owned(), |time| time.to_string())
        };
        let threshold = self.release.map_or_else(
            || "none: not for release".to_owned(),
            |threshold| threshold.to_string(),
        );
        let made = out::time(&Timestamp::now().to_string());
        Ok(vec![
            ("agency", info.agency_id),
            ("since", time(self.since, "the beginning")),
            ("before", time(self.before, &made)),
            ("threshold", threshold),
            ("made", made),
            ("ledger entries", entries),
        ])
    }
}

/// Below which counts are withheld.
fn threshold(text: &str) -> Result<u64, &'static str> {
    let threshold: Option<u64> = text.parse().ok();
    threshold
        .filter(|threshold| *threshold >= 2)
        .ok_or("a threshold is a number, at least 2")
}

impl Report {
    /// All entries, for the agency's own eyes.
    fn own(rows: &[ReportRow]) -> Self {
        // A threshold of 1 withholds nothing.
        Self::new(rows, 1)
    }

    /// For eyes outside: with two rows about the same exchanges, what is withheld in one would be read off the other. Of purposes
    /// only the code list's are shown: others are what somebody typed, and so is why an entry was opened, whatever it looks like.
    fn released(mut rows: Vec<ReportRow>, threshold: u64) -> Self {
        rows.retain(|row| !row.repeats);
        for row in &mut rows {
            if row.r#type == EntryType::Opened.name() || purpose_from_name(&row.purpose).is_none() {
                row.purpose.clear();
            }
        }
        Self::new(&rows, threshold)
    }

    fn new(rows: &[ReportRow], threshold: u64) -> Self {
        let about = |row: &ReportRow| {
            let what = match (row.erased, row.outcome.as_str()) {
                (true, _) => "(erased)".to_owned(),
                (false, "") => row.purpose.clone(),
                (false, outcome) => outcome.to_owned(),
            };
            [row.r#type.clone(), what, row.took.clone()]
        };
        let names: BTreeSet<[String; 3]> = rows.iter().map(about).collect();
        let partners: BTreeSet<&str> = rows.iter().map(|row| row.partner.as_str()).collect();
        let column: BTreeMap<&str, usize> = partners.iter().copied().zip(0..).collect();
        let mut names: Vec<[String; 3]> = names.into_iter().collect();
        let mut counts = vec![vec![0; partners.len()]; names.len()];
        for row in rows {
            if let Ok(place) = names.binary_search(&about(row)) {
                counts[place][column[row.partner.as_str()]] += row.entries;
            }
        }
        names.push(["total".into(), String::new(), String::new()]);
        let columns = partners.iter().map(|partner| match *partner {
            "" => "(no partner)".to_owned(),
            partner => partner.to_owned(),
        });
        Self {
            head: Vec::new(),
            rows: names,
            columns: columns.chain(["total".to_owned()]).collect(),
            cells: suppress(&counts, threshold),
        }
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let head = ["type", "purpose or outcome", "time taken"].map(str::to_owned);
        let head: Vec<String> = head.into_iter().chain(self.columns.iter().cloned()).collect();
        let line = |(names, cells): (&[String; 3], &Vec<Cell>)| {
            let cells = cells.iter().map(|cell| match cell {
                Cell::Exact(count) => count.to_string(),
                Cell::Withheld => "withheld".to_owned(),
            });
            names.iter().cloned().chain(cells).collect()
        };
        std::iter::once(head)
            .chain(self.rows.iter().zip(&self.cells).map(line))
            .collect()
    }

    fn csv(&self) -> String {
        let line = |line: &Vec<String>| {
            let cells: Vec<String> = line.iter().map(|cell| csv_cell(cell)).collect();
            format!("{}\r\n", cells.join(","))
        };
        let (names, said): (Vec<String>, Vec<String>) = self
            .head
            .iter()
            .map(|(name, said)| ((*name).to_owned(), said.clone()))
            .unzip();
        let lines = self.lines().into_iter().enumerate();
        // Each line says it: the table stays one that a program reads.
        let whole = lines.map(|(number, cells)| {
            let first = if number == 0 { &names } else { &said };
            [first.as_slice(), &cells].concat()
        });
        whole.map(|cells| line(&cells)).collect()
    }

    fn html(&self) -> String {
        let mut text =
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Ledger report</title>\n<h1>Ledger report</h1>\n"
                .to_owned();
        let head = self
            .head
            .iter()
            .map(|(name, said)| format!("{name}: {}", markup(said)));
        text += &format!("<p>{}</p>\n<table>\n", head.collect::<Vec<_>>().join("; "));
        for (number, line) in self.lines().iter().enumerate() {
            let tag = if number == 0 { "th" } else { "td" };
            let cells = line.iter().map(|cell| format!("<{tag}>{}</{tag}>", markup(cell)));
            text += &format!("<tr>{}</tr>\n", cells.collect::<String>());
        }
        text + "</table>\n</html>\n"
    }

    fn text(&self) -> String {
        let lines = self.lines();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len() + 3).map(width).collect();
        let line = |line: &Vec<String>| {
            let cells = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}  "));
            format!("{}\n", cells.collect::<String>().trim_end())
        };
        let head = self.head.iter().map(|(name, said)| format!("{name:<16}{said}\n"));
        head.chain(lines.iter().map(line)).collect()
    }

    fn json(&self) -> Value {
        let cell = |cell: &Cell| match cell {
            Cell::Exact(count) => json!(count),
            Cell::Withheld => Value::Null,
        };
        let rows = self
            .rows
            .iter()
            .zip(&self.cells)
            .map(|([kind, what, took], cells)| {
                let counts: Vec<Value> = cells.iter().map(cell).collect();
                json!({ "type": kind, "what": what, "took": took, "counts": counts })
            });
        let head = self
            .head
            .iter()
            .map(|(name, said)| ((*name).to_owned(), json!(said)));
        let head: serde_json::Map<_, _> = head.collect();
        json!({ "head": head, "columns": self.columns, "rows": rows.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str, purpose: &str, partner: &str, entries: u64) -> ReportRow {
        ReportRow {
            r#type: kind.into(),
            purpose: purpose.into(),
            partner: partner.into(),
            entries,
            ..ReportRow::default()
        }
    }

    #[test]
    fn a_report_has_totals_and_withholds_what_is_small() {
        let rows = [
            row("query", "BORDER_CHECK", "aa", 40),
            row("query", "BORDER_CHECK", "bb", 2),
            row("query", "FUGITIVE", "aa", 30),
            row("query", "FUGITIVE", "bb", 50),
        ];
        let own = Report::own(&rows).text();
        assert!(own.contains("BORDER_CHECK"), "{own}");
        assert!(
            own.lines()
                .any(|line| line.starts_with("total") && line.ends_with("122")),
            "{own}"
        );
        let released = Report::released(rows.to_vec(), 5).lines();
        let small = released
            .iter()
            .find(|line| line[1] == "BORDER_CHECK")
            .expect("a row");
        assert_eq!(small[4], "withheld");
        let withheld = released
            .iter()
            .flatten()
            .filter(|cell| *cell == "withheld")
            .count();
        assert!(withheld >= 4, "one alone could be computed: {released:?}");
    }

    #[test]
    fn rows_about_the_same_exchanges_do_not_give_a_small_count_away() {
        let repeats = |row: ReportRow| ReportRow { repeats: true, ..row };
        let rows = [
            row("query", "BORDER_CHECK", "aa", 10),
            row("query", "BORDER_CHECK", "bb", 50),
            repeats(row("query.opened", "BORDER_CHECK", "aa", 10)),
            repeats(row("query.opened", "BORDER_CHECK", "bb", 50)),
            row("refusal", "", "aa", 2),
            row("refusal", "", "bb", 50),
        ];
        assert!(Report::own(&rows).text().contains("query.opened"));
        // With the row of those opened, refusals are 22 - 10 - 10.
        let released = Report::released(rows.to_vec(), 5).lines();
        let cells: Vec<_> = released[1..]
            .iter()
            .map(|line| [&line[0], &line[3], &line[4], &line[5]])
            .collect();
        assert_eq!(
            cells,
            [
                ["query", "withheld", "withheld", "60"],
                ["refusal", "withheld", "withheld", "52"],
                ["total", "12", "100", "112"],
            ]
        );
    }

    #[test]
    fn decisions_are_shown_by_outcome_and_time_taken() {
        let decision = |outcome: &str, took: &str, entries| ReportRow {
            outcome: outcome.into(),
            took: took.into(),
            ..row("decision", "FUGITIVE", "aa", entries)
        };
        let rows = [
            decision("refused", "within 8 h", 7),
            decision("released", "within 1 h", 9),
            decision("released", "longer", 2),
        ];
        let own = Report::own(&rows);
        let text = own.text();
        let has = |line: &str| {
            text.lines()
                .any(|shown| shown.split_whitespace().eq(line.split_whitespace()))
        };
        assert!(has("decision refused within 8 h 7 7"), "{text}");
        assert!(has("decision released within 1 h 9 9"), "{text}");
        assert!(own.html().contains("<td>released</td><td>longer</td><td>2</td>"));
        assert_eq!(own.json()["rows"][0]["took"], "within 8 h");
        let released = Report::released(rows.to_vec(), 5).text();
        let small = released
            .lines()
            .find(|line| line.contains("longer"))
            .expect("a row");
        assert!(small.ends_with("withheld  withheld"), "{released}");
    }

    #[test]
    fn what_somebody_typed_is_no_label_of_a_released_table() {
        let rows = [
            row("query", "BORDER_CHECK", "aa", 9),
            row("query", "the Smith affair", "aa", 6),
            row("query", "border-check", "aa", 7),
            // Each is small and would be withheld; they are one row before that is decided.
            row("opened", "Complaint of J. Smith", "", 2),
            row("opened", "Complaint of K. Jones", "", 2),
            row("opened", "FUGITIVE", "", 3),
            row("record.changed", "UNSPECIFIED", "", 8),
        ];
        let own = Report::own(&rows);
        assert!(own.text().contains("J. Smith") && own.text().contains("the Smith affair"));
        let released = Report::released(rows.to_vec(), 5);
        let lines: Vec<_> = released.lines().iter().map(|line| line.join("|")).collect();
        assert_eq!(
            lines,
            [
                "type|purpose or outcome|time taken|(no partner)|aa|total",
                "opened|||7|0|7",
                "query|||0|13|13",
                "query|BORDER_CHECK||0|9|9",
                "record.changed|||8|0|8",
                "total|||15|22|37",
            ]
        );
    }

    #[test]
    fn names_do_not_become_markup_or_formulas() {
        for formula in ["=1+1", "  =1+1", "＝1", "|calc", "%0", "\t=1"] {
            let rows = [row("query", formula, "<b title='\"'>", 9)];
            let report = Report::own(&rows);
            assert!(report.html().contains("&lt;b title=&apos;&quot;&apos;&gt;"));
            let csv = report.csv();
            assert!(csv.contains(&format!("\"query\",\"'{formula}\"")), "{csv}");
            assert!(
                csv.starts_with("\"type\",\"purpose or outcome\",\"time taken\",\"<b title='\"\"'>\","),
                "{csv}"
            );
            assert!(csv.ends_with("\"9\"\r\n"), "{csv}");
        }
    }

    #[test]
    fn a_report_says_whose_it_is_and_each_line_of_csv_does() {
        let mut report = Report::own(&[row("query", "FUGITIVE", "bb", 9)]);
        report.head = vec![
            ("agency", "=<b>".to_owned()),
            ("since", "the beginning".to_owned()),
        ];
        assert!(
            report
                .html()
                .contains("<p>agency: =&lt;b&gt;; since: the beginning</p>")
        );
        assert!(
            report
                .text()
                .starts_with("agency          =<b>\nsince           the beginning\ntype")
        );
        assert_eq!(report.json()["head"]["since"], "the beginning");
        let csv = report.csv();
        let mut lines = csv.lines();
        assert!(
            lines
                .next()
                .is_some_and(|line| line.starts_with("\"agency\",\"since\",\"type\",")),
            "{csv}"
        );
        assert!(
            lines.all(|line| line.starts_with("\"'=<b>\",\"the beginning\",")),
            "{csv}"
        );
    }

    #[test]
    fn a_threshold_withholds_something() {
        assert_eq!(threshold("2"), Ok(2));
        for wrong in ["1", "0", "-5", "two", ""] {
            assert!(threshold(wrong).is_err_and(|error| error.contains("at least 2")));
        }
    }
}
