//! Who wrote a record: kept with it, so that none of them approves its disclosure.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use zeroize::Zeroizing;

use crate::Result;
use crate::packed::{pack, unpack};
use crate::record_rows::NewRecord;
use crate::records::open_record;
use crate::seal::Sealer;
use crate::sql::json_ids;

/// So many authors of a record are kept, the newest.
pub const MAX_AUTHORS: usize = 16;

/// The authors of these versions of records, by the list's own id of each.
pub(crate) async fn authors_of(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    versions: &[i64],
) -> Result<BTreeMap<String, Vec<String>>> {
    if versions.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Of form 1 are those that were written before authors were kept: they have none.
    let rows = sqlx::query(
        "SELECT r.id, r.list_id, r.source_id, r.digest, p.form, p.sealed
         FROM json_each(?) j CROSS JOIN record r ON r.id = j.value CROSS JOIN record_payload p ON p.record_id = r.id
         WHERE p.form <> 1",
    )
    .bind(json_ids(versions.iter().copied()))
    .fetch_all(conn)
    .await?;
    let authors = rows.iter().map(|row| {
        let record = open_record(sealer, row)?;
        Ok((record.source_id, record.authors))
    });
    authors.collect()
}

/// A record as it is now was made by those who wrote what it replaces, too.
pub(crate) fn inherit(records: &mut [NewRecord], earlier: &mut BTreeMap<String, Vec<String>>) {
    for record in records {
        if let Some(mut authors) = earlier.remove(&record.source_id) {
            authors.retain(|author| !record.authors.contains(author));
            authors.append(&mut record.authors);
            record.authors = authors;
        }
        let over = record.authors.len().saturating_sub(MAX_AUTHORS);
        record.authors.drain(..over);
    }
}

/// Texts as one value to be sealed.
pub(crate) fn pack_texts(texts: &[String]) -> Zeroizing<Vec<u8>> {
    let parts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    pack(&parts)
}

/// The texts again; `None` if `packed` is not what [`pack_texts`] gives.
pub(crate) fn unpack_texts(packed: &[u8]) -> Option<Vec<String>> {
    texts(&unpack(packed)?)
}

/// A payload and its record's authors as one value to be sealed.
pub(crate) fn pack_payload(payload: &[u8], authors: &[String]) -> Zeroizing<Vec<u8>> {
    let mut parts = vec![payload];
    parts.extend(authors.iter().map(String::as_bytes));
    pack(&parts)
}

/// The payload and the authors again.
pub(crate) fn unpack_payload(packed: &[u8]) -> Option<(Zeroizing<Vec<u8>>, Vec<String>)> {
    let parts = unpack(packed)?;
    let (payload, authors) = parts.split_first()?;
    Some((Zeroizing::new(payload.to_vec()), texts(authors)?))
}

fn texts(parts: &[&[u8]]) -> Option<Vec<String>> {
    let text = |part: &&[u8]| std::str::from_utf8(part).ok().map(str::to_owned);
    parts.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(earlier: &[&str], now: &[&str]) -> Vec<String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut records = [NewRecord {
            source_id: "W-1".into(),
            digest: [0; 32],
            payload: Zeroizing::new(Vec::new()),
            identifiers: Vec::new(),
            authors: texts(now),
        }];
        inherit(&mut records, &mut [("W-1".to_owned(), texts(earlier))].into());
        records[0].authors.clone()
    }

    #[test]
    fn who_wrote_what_was_there_stays_an_author() {
        assert_eq!(inherited(&[], &["anna"]), ["anna"]);
        assert_eq!(inherited(&["anna"], &[]), ["anna"]);
        assert_eq!(inherited(&["anna", "ben"], &["cleo"]), ["anna", "ben", "cleo"]);
        assert_eq!(inherited(&["anna", "ben"], &["anna"]), ["ben", "anna"]);
    }

    #[test]
    fn the_newest_authors_are_kept() {
        let many: Vec<String> = (1..=MAX_AUTHORS).map(|n| format!("o-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = inherited(&many, &["anna"]);
        assert_eq!(kept.len(), MAX_AUTHORS);
        assert_eq!(
            (kept[0].as_str(), kept[MAX_AUTHORS - 1].as_str()),
            ("o-2", "anna")
        );
    }

    #[test]
    fn payload_and_authors_come_back() {
        let authors = ["anna".to_owned(), "ben".to_owned()];
        for authors in [&authors[..], &[]] {
            let (payload, found) = unpack_payload(&pack_payload(b"what it says", authors)).unwrap();
            assert_eq!((payload.as_slice(), &found[..]), (&b"what it says"[..], authors));
            assert_eq!(unpack_texts(&pack_texts(authors)).unwrap(), authors);
        }
        assert_eq!(unpack_payload(b""), None);
        assert_eq!(unpack_texts(&pack(&[b"\xff"])), None);
    }
}
