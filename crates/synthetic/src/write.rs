//! Lists, truths and flights as bytes.

use std::io::{self, Write};

use concordat_identifiers::mrz::check_digit;
use jiff::civil::Date;

use crate::flight::Passport;
use crate::names::Sex;
use crate::{Flight, Record, TruthPair};

/// One record per line: `{"source_id": "…", "subject": {…}}`, the list format `jsonl`.
///
/// # Errors
/// If `out` fails.
pub fn write_jsonl(out: &mut impl Write, records: impl IntoIterator<Item = Record>) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *out, &record)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// CSV with the header `left_id,right_id,kind,grade`: one row for each pair and kind.
///
/// # Errors
/// If `out` fails.
pub fn write_truth(out: &mut impl Write, pairs: impl IntoIterator<Item = TruthPair>) -> io::Result<()> {
    writeln!(out, "left_id,right_id,kind,grade")?;
    for pair in pairs {
        for found in &pair.expected {
            writeln!(
                out,
                "{},{},{},{}",
                pair.left_id, pair.right_id, found.kind, found.grade
            )?;
        }
    }
    Ok(())
}

/// The machine-readable zone of each passenger's passport: two lines of 44 characters (ICAO 9303-4, TD3), then an
/// empty line.
///
/// # Errors
/// If `out` fails.
pub fn write_mrz(out: &mut impl Write, flight: &Flight) -> io::Result<()> {
    for passenger in &flight.passengers {
        let [names, data] = passenger.passport.mrz();
        writeln!(out, "{names}\n{data}\n")?;
    }
    Ok(())
}

/// The passenger list as a UN/EDIFACT PAXLST message (D.05B with the IATA/WCO implementation guide's segments).
/// `RFF+ABO` holds the passenger's [`Record::source_id`]. One segment per line.
///
/// # Errors
/// If `out` fails.
pub fn write_paxlst(out: &mut impl Write, flight: &Flight) -> io::Result<()> {
    let day = yymmdd(flight.departure);
    let head = [
        "UNH+1+PAXLST:D:05B:UN:IATA".to_owned(),
        "BGM+745".to_owned(),
        "NAD+MS+++DUTY DESK".to_owned(),
        "COM+0000000:TE".to_owned(),
        "TDT+20+XX100+++XX".to_owned(),
        "LOC+125+AAA".to_owned(),
        format!("DTM+189:{day}0930:201"),
        "LOC+87+BBB".to_owned(),
        format!("DTM+232:{day}1415:201"),
    ];
    let people = flight
        .passengers
        .iter()
        .flat_map(|passenger| passenger.passport.paxlst_group(&passenger.record.source_id));
    let count = [format!("CNT+42:{}", flight.passengers.len())];
    writeln!(out, "UNA:+.?*'")?;
    writeln!(out, "UNB+UNOA:4+CARRIER+BORDER+{day}:0915+1++PAXLST'")?;
    writeln!(out, "UNG+PAXLST+CARRIER+BORDER+{day}:0915+1+UN+D:05B'")?;
    let mut segments = 1; // UNT counts itself.
    for segment in head.into_iter().chain(people).chain(count) {
        writeln!(out, "{segment}'")?;
        segments += 1;
    }
    writeln!(out, "UNT+{segments}+1'\nUNE+1+1'\nUNZ+1+1'")
}

impl Passport {
    /// ICAO 9303-4 §4.2.
    fn mrz(&self) -> [String; 2] {
        // Germany alone has a code of one letter (ICAO 9303-3 §5).
        let country = if self.country.alpha3 == "DEU" {
            "D<<"
        } else {
            self.country.alpha3
        };
        let field = |text: &str| text.replace([' ', '-'], "<");
        let names = format!("P<{country}{}<<{}", field(&self.family), field(&self.given));
        let number = with_check_digit(&format!("{:<<9}", self.number));
        let birth = with_check_digit(&yymmdd(self.birth));
        let expiry = with_check_digit(&yymmdd(self.expiry));
        let personal_number = with_check_digit(&"<".repeat(14));
        let composite = check_digit(&[&*number, &birth, &expiry, &personal_number].concat());
        let sex = match self.sex {
            Sex::Female => 'F',
            Sex::Male => 'M',
        };
        [
            format!("{names:<<44.44}"),
            format!("{number}{country}{birth}{sex}{expiry}{personal_number}{composite}"),
        ]
    }

    /// Segment group 4: one passenger.
    fn paxlst_group(&self, reference: &str) -> [String; 9] {
        let country = self.country.alpha3;
        [
            format!("NAD+FL+++{}:{}", self.family, self.given),
            format!("ATT+2++{}", if self.sex == Sex::Female { 'F' } else { 'M' }),
            format!("DTM+329:{}", yymmdd(self.birth)),
            "LOC+178+AAA".to_owned(),
            format!("NAT+2+{country}"),
            format!("RFF+ABO:{reference}"),
            format!("DOC+P:110:111+{}", self.number),
            format!("DTM+36:{}", yymmdd(self.expiry)),
            format!("LOC+91+{country}"),
        ]
    }
}

fn yymmdd(date: Date) -> String {
    date.strftime("%y%m%d").to_string()
}

fn with_check_digit(field: &str) -> String {
    format!("{field}{}", check_digit(field))
}
