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
        [start.as_bytes(), name, b":MARIA'DTM+329:640717'UNT+5+1'UNZ+1+1'"].concat()
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

fn passengers(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("NAD+FL+++{name}:PAT'DTM+329:640717'"))
        .collect()
}

/// A message of two passengers and a crew member, as it was sent.
fn sent() -> String {
    let people = passengers(&["TESTA", "QUELLA"]);
    format!(
        "UNA:+.? 'UNB+UNOA:4+A+B+260101:0600+1'UNG+PAXLST+A+B+260101:0600+1+UN+D:05B'\
         UNH+1+PAXLST:D:05B:UN:IATA'BGM+745'{people}NAD+FM+++SOLA:KIM'CNT+42:2'CNT+41:1'UNT+10+1'UNE+1+1'UNZ+1+1'"
    )
}

/// What a relay has lost shows in the counts, and the error says where.
#[test]
fn a_passenger_lost_in_relay_is_noticed() {
    let whole = sent();
    assert_eq!(read(Format::Paxlst, whole.as_bytes()).unwrap().entries, 3);
    let lost = passengers(&["QUELLA"]);
    let shorter = whole.replace(&lost, "");
    let message = whole.split("UNH").nth(1).unwrap().split("UNE").next().unwrap();
    let cases = [
        // The segments of a passenger, and the same by a relay that counts segments anew.
        (shorter.clone(), "UNT", 10, 8),
        (shorter.replace("UNT+10", "UNT+8"), "CNT+42", 2, 1),
        (
            whole.replace("NAD+FM+++SOLA:KIM'", "").replace("UNT+10", "UNT+9"),
            "CNT+41",
            1,
            0,
        ),
        // One date of birth.
        (whole.replacen("DTM+329:640717'", "", 1), "UNT", 10, 9),
        // A whole message, a whole group; and one too many.
        (whole.replace(&format!("UNH{message}"), ""), "UNE", 1, 0),
        (whole.replace("UNE+1", "UNE+2"), "UNE", 2, 1),
        (whole.replace("UNZ+1", "UNZ+3"), "UNZ", 3, 1),
        (
            whole.replace("UNE+1+1'", &format!("UNH{message}UNE+1+1'")),
            "UNE",
            1,
            2,
        ),
    ];
    for (text, tag, declared, received) in cases {
        let error = read(Format::Paxlst, text.as_bytes()).unwrap_err();
        let words = error.to_string();
        assert!(
            matches!(error, Error::Count { segment, expected, found, .. }
                if (segment, expected, found) == (tag, declared, received)),
            "{words}"
        );
        assert!(words.contains(&format!("{tag} declares {declared} ")), "{words}");
    }
    for text in [
        whole.replace("UNT+10", "UNT+"),
        whole.replace("CNT+42:2", "CNT+42:two"),
    ] {
        let error = read(Format::Paxlst, text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Syntax { .. }), "{error}");
    }
}

/// A list in blocks, of which each names the total of the whole list, or its own.
#[test]
fn a_list_in_blocks_is_counted_as_a_whole() {
    let block = |number: &str, names: &[&str], total: u32| {
        let segments = 3 + 2 * names.len();
        let people = passengers(names);
        format!("UNH+{number}+PAXLST:D:05B:UN+TT1+{number}'{people}CNT+42:{total}'UNT+{segments}+1'")
    };
    let list = |blocks: [String; 3]| format!("UNB+UNOA:4'{}UNZ+3+1'", blocks.concat());
    let (first, second, last) = (["TESTA", "QUELLA"], ["SOLA"], ["MORA"]);
    for totals in [[4, 4, 4], [2, 1, 1]] {
        let text = list([
            block("1:C", &first, totals[0]),
            block("2", &second, totals[1]),
            block("3:F", &last, totals[2]),
        ]);
        assert_eq!(
            read(Format::Paxlst, text.as_bytes()).unwrap().entries,
            4,
            "{totals:?}"
        );
    }
    let text = list([
        block("1:C", &first, 4),
        block("2", &[], 4),
        block("3:F", &last, 4),
    ]);
    let error = read(Format::Paxlst, text.as_bytes()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Count {
                segment: "CNT+42",
                expected: 4,
                found: 3,
                ..
            }
        ),
        "{error}"
    );
    // Alone, a later block can only be too large for its total.
    let alone = |total| format!("UNB+UNOA:4'{}UNZ+1+1'", block("3:F", &first, total));
    assert!(read(Format::Paxlst, alone(130).as_bytes()).is_ok());
    assert!(matches!(
        read(Format::Paxlst, alone(1).as_bytes()),
        Err(Error::Count { .. })
    ));
}

/// An interchange far behind the last one is neither read nor passed over.
#[test]
fn an_interchange_behind_much_else_is_an_error() {
    let one = sent();
    let between = |length: usize| format!("{one}{}{one}", "-".repeat(length));
    assert_eq!(
        read(Format::Paxlst, between(60_000).as_bytes()).unwrap().entries,
        6
    );
    for length in [66_000, 200_000] {
        for second in [&one, &one.replace("UNA:+.? '", ""), &one.replace('+', "*")] {
            let text = format!("{one}{}{second}", "-".repeat(length));
            let error = read(Format::Paxlst, text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Syntax { .. }), "{length}: {error}");
        }
        let signed = format!("{one}{}", "-".repeat(length));
        assert_eq!(read(Format::Paxlst, signed.as_bytes()).unwrap().entries, 3);
        let behind = format!("{}{one}", "-".repeat(length));
        assert!(read(Format::Paxlst, behind.as_bytes()).is_err());
    }
}

/// Which ids of rejected records are read, so that an import can keep what it has of them.
#[test]
fn a_rejected_record_is_named_where_its_id_can_be_read() {
    let named = |format, bytes: &[u8], options: &Options| {
        let mut ids = Vec::new();
        for item in reader(format, bytes, options).unwrap() {
            if let Item::Reject(reject) = item.unwrap() {
                ids.push((
                    reject.line,
                    reject.source_id.map(|id| id.into_string()).unwrap_or_default(),
                ));
            }
        }
        ids
    };
    let id = |line, id: &str| (line, id.to_owned());
    let jsonl = "{\"source_id\":\"a\",\"subject\":{},\"new\":1}\n{\"source_id\":\"b\",\"subject\":{}}\n\
                 {\"source_id\":\"c\n{\"source_id\":5}\n";
    assert_eq!(
        named(Format::Jsonl, jsonl.as_bytes(), &options()),
        [id(1, "a"), id(2, "b"), id(3, ""), id(4, "")]
    );
    let csv = b"1,Pat Testa\n2,Maria,1960\n3,\"Sola\xff\"\n,x,y\n";
    assert_eq!(
        named(Format::Csv, csv, &options()),
        [id(2, "2"), id(3, "3"), id(4, "")]
    );
    let ofac = "1,\"T, P\",individual,\"T\",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \n2,\"Q, M\",individual\n";
    assert_eq!(named(Format::OfacSdn, ofac.as_bytes(), &options()), [id(2, "2")]);
    let ftm = "{\"id\":\"a\",\"schema\":\"Person\",\"properties\":{\"name\":\"T\"}}\n\
               {\"id\":\"b\",\"schema\":\"Person\",\"properties\":[]}\n";
    assert_eq!(named(Format::Ftm, ftm.as_bytes(), &options()), [id(2, "b")]);
    let limits = Limits {
        text_bytes: 10,
        ..Limits::default()
    };
    assert_eq!(
        named(
            Format::UnSc,
            &un("Patricia Testa"),
            &options().with_limits(limits)
        ),
        [id(1, "T1")]
    );
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
