//! Statements over many rows at once.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use crate::Result;
use crate::types::BlindIndex;

/// A statement being bound.
pub(crate) type Binding = Query<'static, Sqlite, SqliteArguments>;

/// Rows per statement: five texts per table, so that each is prepared once and cached.
const ROWS: [usize; 5] = [128, 16, 4, 2, 1];

/// Runs `head VALUES (…),(…) tail` until all of `rows` are in. `bind` binds exactly `columns` values of one row.
/// Returns how many rows changed.
pub(crate) async fn insert_many<T: Sync>(
    conn: &mut SqliteConnection,
    head: &'static str,
    columns: usize,
    tail: &'static str,
    rows: &[T],
    bind: impl Fn(Binding, &T) -> Binding + Send,
) -> Result<u64> {
    let (mut rest, mut changed) = (rows, 0);
    for size in ROWS {
        if rest.len() < size {
            continue;
        }
        let text = insertion(head, columns, size, tail);
        while rest.len() >= size {
            let (now, later) = rest.split_at(size);
            rest = later;
            // Only our own literals and question marks are in the text.
            let mut query: Binding = sqlx::query(AssertSqlSafe(text.as_str()));
            for row in now {
                query = bind(query, row);
            }
            changed += query.execute(&mut *conn).await?.rows_affected();
        }
    }
    Ok(changed)
}

fn insertion(head: &str, columns: usize, rows: usize, tail: &str) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("{head} VALUES {} {tail}", vec![row.as_str(); rows].join(","))
}

/// The same in one statement, with what its `tail` returns.
pub(crate) async fn insert_at_once<T: Sync>(
    conn: &mut SqliteConnection,
    head: &'static str,
    columns: usize,
    tail: &'static str,
    rows: &[T],
    bind: impl Fn(Binding, &T) -> Binding + Send,
) -> sqlx::Result<Vec<SqliteRow>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let text = insertion(head, columns, rows.len(), tail);
    // Only our own literals and question marks are in the text. Texts for few rows are kept, prepared.
    let query: Binding = sqlx::query(AssertSqlSafe(text.as_str()));
    let mut query = query.persistent(rows.len() <= 8);
    for row in rows {
        query = bind(query, row);
    }
    query.fetch_all(conn).await
}

/// Row ids as a JSON array, for `IN (SELECT value FROM json_each(?))`.
pub(crate) fn json_ids(ids: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// Blind indexes as a JSON array of hex, for `IN (SELECT unhex(value) FROM json_each(?))`.
pub(crate) fn json_blind_indexes<'a>(indexes: impl IntoIterator<Item = &'a BlindIndex>) -> String {
    let mut text = String::from("[");
    for index in indexes {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('"');
        text.push_str(&hex::encode(index.0));
        text.push('"');
    }
    text.push(']');
    text
}

/// Texts as a JSON array, for `json_each(?)`.
pub(crate) fn json_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    serde_json::Value::from_iter(texts).to_string()
}

/// The lower bound of a keyset page: the empty blob sorts before every blind index.
pub(crate) fn after(cursor: Option<BlindIndex>) -> Vec<u8> {
    cursor.map(|index| index.0.to_vec()).unwrap_or_default()
}
