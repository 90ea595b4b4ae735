//! What an attacker, a bad line or a mistaken clerk may send: named bad inputs, every prefix of every list, and
//! arbitrary bytes. Nothing may panic, grow without bound, or be taken for a complete list.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use concordat_lists::{Error, Format, Input, Item, Limits, Options, Reader, Summary, open};
use flate2::{Compression, write::GzEncoder};
use jiff::civil::date;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const MAPPING: &str = "id = 1\nheader = false\nname = [{ whole = 2 }]\nbirth = [{ column = 3 }]";

fn options() -> Options {
    Options::new(date(2026, 11, 20)).with_mapping(MAPPING.parse().unwrap())
}

/// The name that an input of a format must have.
fn name(format: Format) -> &'static str {
    if format == Format::OfacSdn {
        "sdn.csv"
    } else {
        "list"
    }
}

fn reader(format: Format, bytes: &[u8], options: &Options) -> Result<Reader, Error> {
    open(
        format,
        [Input::new(name(format), Cursor::new(bytes.to_vec()))],
        options,
    )
}

/// Reads to the end: how many entries, or the error.
fn read_with(format: Format, bytes: &[u8], options: &Options) -> Result<Summary, Error> {
    let mut reader = reader(format, bytes, options)?;
    for item in reader.by_ref() {
        item?;
    }
    assert!(reader.next().is_none(), "nothing comes after the end");
    let summary = reader.summary();
    let skipped: u64 = summary.skipped.values().sum();
    assert_eq!(
        summary.records,
        summary.entries + summary.rejected_records + skipped
    );
    Ok(summary.clone())
}

fn read(format: Format, bytes: &[u8]) -> Result<Summary, Error> {
    read_with(format, bytes, &options())
}

fn fixture(format: Format) -> Vec<u8> {
    let file = match format {
        Format::OfacSdn => "ofac-sdn/sdn.csv",
        Format::UnSc => "un-sc.xml",
        Format::UkOfsi => "uk-ofsi-29.csv",
        Format::Ftm => "ftm.jsonl",
        Format::Jsonl => "records.jsonl",
        Format::Csv => return b"1,Pat Testa,1964-07-17\r\n2,\"Quella, Maria\",1960\r\n3,Sola\r\n".to_vec(),
        Format::Mrz => "mrz.txt",
        Format::Paxlst => "paxlst.edi",
        _ => unreachable!("every format has a fixture"),
    };
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file)).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn un(individual: &str) -> Vec<u8> {
    let start =
        "<CONSOLIDATED_LIST><INDIVIDUALS><INDIVIDUAL><REFERENCE_NUMBER>T1</REFERENCE_NUMBER><FIRST_NAME>";
    format!("{start}{individual}</FIRST_NAME></INDIVIDUAL></INDIVIDUALS></CONSOLIDATED_LIST>").into_bytes()
}

#[test]
fn xml_tricks_are_refused() {
    assert_eq!(read(Format::UnSc, &un("Pat")).unwrap().entries, 1);
    let body = String::from_utf8(un("&lol;")).unwrap();
    let laughs = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol1 \"&lol;&lol;&lol;&lol;\">]>{body}"
    );
    let external = format!("<!DOCTYPE x SYSTEM \"file:///etc/passwd\">{body}");
    for (what, bytes) in [
        ("billion laughs", laughs.into_bytes()),
        ("external entity", external.into_bytes()),
        ("unknown entity", un("&lol;")),
        ("entity of HTML", un("&eacute;")),
        ("depth", un(&format!("{}{}", "<a>".repeat(40), "</a>".repeat(40)))),
        (
            "depth outside a record",
            "<CONSOLIDATED_LIST>".repeat(40).into_bytes(),
        ),
    ] {
        let error = read(Format::UnSc, &bytes).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{what}: {error}");
    }
}

#[test]
fn broken_xml_is_an_error() {
    let list = String::from_utf8(un("Pat")).unwrap();
    for (what, bytes) in [
        ("mismatched tags", un("</INDIVIDUAL>")),
        ("bad character reference", un("&#x110000;")),
        ("dangling ampersand", un("a & b")),
        (
            "a second root",
            format!("{list}<CONSOLIDATED_LIST/>").into_bytes(),
        ),
        (
            "not UTF-8",
            [&un("Pat")[..130], b"\xff\xfe", &un("Pat")[130..]].concat(),
        ),
        (
            "other encoding",
            format!("<?xml version=\"1.0\" encoding=\"utf-7\"?>{list}").into_bytes(),
        ),
    ] {
        let error = read(Format::UnSc, &bytes).unwrap_err();
        let expected = matches!(
            error,
            Error::Syntax { .. } | Error::Truncated { .. } | Error::WrongFormat { .. }
        );
        assert!(expected, "{what}: {error}");
    }
}

#[test]
fn size_bombs_are_stopped() {
    let limits = Limits {
        record_bytes: 100_000,
        text_bytes: 1000,
        ..Limits::default()
    };
    let options = options().with_limits(limits);
    let long = "x".repeat(300_000);
    for (format, bytes) in [
        (Format::UnSc, un(&long)),
        (
            Format::UnSc,
            format!("<CONSOLIDATED_LIST a=\"{long}").into_bytes(),
        ),
        (
            Format::UnSc,
            format!("<CONSOLIDATED_LIST><!-- {long}").into_bytes(),
        ),
        (Format::OfacSdn, format!("1,\"{long}").into_bytes()),
        (Format::UkOfsi, format!("\"{long}").into_bytes()),
        (Format::Ftm, format!("{{\"id\": \"{long}\"}}").into_bytes()),
        (
            Format::Jsonl,
            format!("{{\"source_id\": \"{long}\"}}").into_bytes(),
        ),
        (Format::Csv, format!("1,\"{long}").into_bytes()),
        (Format::Mrz, long.clone().into_bytes()),
        (Format::Paxlst, format!("UNB+UNOA:4'UNH+{long}").into_bytes()),
    ] {
        let error = read_with(format, &bytes, &options).unwrap_err();
        assert!(
            matches!(error, Error::RecordTooLarge { limit: 100_000, .. }),
            "{format}: {error}"
        );
    }
    // A passenger without end, in segments of honest size.
    let options = options.with_limits(Limits {
        entry_bytes: 100_000,
        ..limits
    });
    let start = "UNB+UNOA:4'UNH+1+PAXLST'NAD+FL+++TESTA:PAT'";
    for segment in ["DOC+P+999999'", "FTX+BAG+++1'"] {
        let error = read_with(
            Format::Paxlst,
            format!("{start}{}", segment.repeat(20_000)).as_bytes(),
            &options,
        )
        .unwrap_err();
        assert!(
            matches!(error, Error::RecordTooLarge { limit: 100_000, .. }),
            "{error}"
        );
    }
    // One text too long costs its record only.
    let text = "x".repeat(2000);
    let summary = read_with(Format::UnSc, &un(&text), &options).unwrap();
    assert_eq!((summary.entries, summary.rejected_records), (0, 1));
    let summary = read_with(Format::Csv, format!("1,{text},\n2,Pat,\n").as_bytes(), &options).unwrap();
    assert_eq!((summary.entries, summary.rejected_records), (1, 1));
    let deep = format!("{{\"source_id\": {}", "[".repeat(10_000));
    assert_eq!(
        read_with(Format::Jsonl, deep.as_bytes(), &options)
            .unwrap()
            .rejected_records,
        1
    );
}

#[test]
fn a_gzip_cut_anywhere_is_never_a_complete_list() {
    for format in Format::ALL {
        let whole = fixture(format);
        let summary = read(format, &whole).unwrap();
        let zipped = gzip(&whole);
        assert_eq!(read(format, &zipped).unwrap(), summary, "{format}");
        for cut in (2..zipped.len()).step_by(13) {
            let result = read(format, &zipped[..cut]);
            assert!(
                matches!(result, Err(Error::Truncated { .. })),
                "{format} cut at {cut}: {result:?}"
            );
        }
    }
}

#[test]
fn no_prefix_panics_and_markup_never_ends_early() {
    for format in Format::ALL {
        let whole = fixture(format);
        for cut in (0..whole.len()).step_by(3) {
            let result = read(format, &whole[..cut]);
            let closed = match format {
                Format::UnSc => whole[cut..].trim_ascii().is_empty(),
                Format::Paxlst => whole[cut..].trim_ascii().is_empty(),
                _ => true,
            };
            assert!(closed || result.is_err(), "{format} cut at {cut}");
        }
    }
}

#[test]
fn one_byte_at_a_time_gives_the_same() {
    struct Slow(Cursor<Vec<u8>>);
    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let length = into.len().min(1);
            self.0.read(&mut into[..length])
        }
    }
    for format in Format::ALL {
        for bytes in [fixture(format), gzip(&fixture(format))] {
            let slow = Input::new(name(format), Slow(Cursor::new(bytes.clone())));
            let mut reader = open(format, [slow], &options()).unwrap();
            reader.by_ref().for_each(|item| drop(item.unwrap()));
            assert_eq!(reader.progress().bytes(), bytes.len() as u64, "{format}");
            assert_eq!(*reader.summary(), read(format, &bytes).unwrap(), "{format}");
        }
    }
}

/// After a segment that cannot be read nobody knows whose data follows.
#[test]
fn a_passenger_list_in_an_unknown_encoding_is_an_error() {
    let message = |syntax: &str, name: &[u8]| {
        let start = format!("UNB+{syntax}:4'UNH+1+PAXLST'NAD+FL+++TESTA:PAT'NAD+FL+++");
        [start.as_bytes(), name, b":MARIA'DTM+329:640717'UNT+4+1'UNZ+1+1'"].concat()
    };
    assert_eq!(
        read(Format::Paxlst, &message("UNOC", b"QU\xc9LLA"))
            .unwrap()
            .entries,
        2
    );
    assert_eq!(
        read(Format::Paxlst, &message("UNOY", "QUÉLLA".as_bytes()))
            .unwrap()
            .entries,
        2
    );
    let error = read(Format::Paxlst, &message("UNOY", b"QU\xc9LLA")).unwrap_err();
    assert!(matches!(error, Error::Syntax { .. }), "{error}");
    for outside in ["UNB+UNOA:4'NAD+FL+++TESTA:PAT'", "UNH+1+PAXLST'UNH+2+PAXLST'"] {
        let error = read(Format::Paxlst, outside.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Syntax { .. }), "{error}");
    }
}

/// A list of one format imported as another is refused, or yields not a single entry.
#[test]
fn the_wrong_file_is_named() {
    // A FollowTheMoney file is JSON lines, and any text file is a separated file for a mapping without a header.
    let alike = |format, other| format == Format::Csv || (format, other) == (Format::Jsonl, Format::Ftm);
    for format in Format::ALL {
        for other in Format::ALL
            .into_iter()
            .filter(|other| *other != format && !alike(format, *other))
        {
            match read(format, &fixture(other)) {
                Err(Error::WrongFormat { why, .. }) => assert!(!why.is_empty()),
                Err(error) => panic!("{other} as {format}: {error}"),
                Ok(summary) => assert_eq!(summary.entries, 0, "{other} as {format}"),
            }
        }
        if format != Format::OfacSdn && format != Format::Csv {
            let error = open(format, [], &options()).unwrap_err();
            assert!(matches!(error, Error::NoInput), "{error}");
        }
    }
    let error = read(Format::OfacSdn, b"Last Updated,13/04/2018\n").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("sdn.csv: this is not ofac-sdn: the rows of sdn.csv have 12 columns"),
        "{error}"
    );
}

#[test]
fn inputs_that_do_not_belong_are_named() {
    let input = |name: &str, bytes: &[u8]| Input::new(name, Cursor::new(bytes.to_vec()));
    let jsonl = fixture(Format::Jsonl);
    let last = |mut reader: Reader| reader.by_ref().find_map(Result::err).unwrap();
    let error = last(
        open(
            Format::Jsonl,
            [input("a", &jsonl), input("b", &jsonl)],
            &options(),
        )
        .unwrap(),
    );
    assert!(
        matches!(&error, Error::ExtraInput { name, .. } if name == "b"),
        "{error}"
    );
    let sdn = fixture(Format::OfacSdn);
    let error = last(
        open(
            Format::OfacSdn,
            [input("sdn.csv", &sdn), input("notes.txt", b"")],
            &options(),
        )
        .unwrap(),
    );
    assert!(
        matches!(&error, Error::UnknownPart { name, .. } if name == "notes.txt"),
        "{error}"
    );
    let error = last(
        open(
            Format::OfacSdn,
            [input("alt.csv", b"1,2,\"aka\",\"X\",-0- \r\n")],
            &options(),
        )
        .unwrap(),
    );
    assert!(matches!(error, Error::MissingPart { .. }), "{error}");
    let error = open(
        Format::Csv,
        [input("x", b"a,b\n")],
        &Options::new(date(2026, 1, 1)),
    )
    .unwrap_err();
    assert!(matches!(error, Error::NoMapping), "{error}");
    let mapping = "id = 'a'\nname = [{ whole = 'c' }]".parse().unwrap();
    let error = open(
        Format::Csv,
        [input("x", b"a,b\n")],
        &options().with_mapping(mapping),
    )
    .unwrap_err();
    assert!(
        matches!(&error, Error::MissingColumn { column, .. } if column == "c"),
        "{error}"
    );
}

/// All numbers of the fictional lists hold `999`; no report may.
#[test]
fn reports_never_hold_a_value() {
    for format in Format::ALL {
        let mut bytes = fixture(format);
        // Damage in many places, so that many rules speak.
        for round in 0..40 {
            let at = (round * 997) % bytes.len();
            bytes[at] = b"\0\"<&{'+:;,(9"[round % 12];
            let Ok(reader) = reader(format, &bytes, &options()) else {
                continue;
            };
            for item in reader {
                let report = match item {
                    Ok(Item::Reject(reject)) => serde_json::to_string(&reject).unwrap(),
                    Ok(Item::Entry(entry)) => format!("{entry:?}"),
                    Err(error) => error.to_string(),
                };
                assert!(
                    !report.contains("999") && !report.contains("Testa"),
                    "{format}: {report}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in Format::ALL {
            let _ = read(format, &bytes);
            let _ = read(format, &gzip(&bytes));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "([ -~\n\u{e9}\u{627}]|1,|\"|<A>|</A>|&#x;|\\{\"id\":|'UNH\\+|NAD\\+FL\\+\\+\\+|P<UTO){0,120}") {
        for format in Format::ALL {
            let _ = read(format, text.as_bytes());
        }
    }

    #[test]
    fn damaged_lists_never_panic(at in any::<prop::sample::Index>(), patch in prop::collection::vec(any::<u8>(), 0..6), cut in 0_usize..8) {
        for format in Format::ALL {
            let mut bytes = fixture(format);
            let start = at.index(bytes.len());
            let end = (start + cut).min(bytes.len());
            bytes.splice(start..end, patch.iter().copied());
            let _ = read(format, &bytes);
        }
    }
}
