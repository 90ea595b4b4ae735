//! The data model's document names every table and every column.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use sqlx::Row;

#[tokio::test]
async fn every_table_and_column_is_described() {
    let home = Home::new();
    drop(home.open().await);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data-model.md");
    let document = std::fs::read_to_string(path).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let columns = sqlx::query(
        "SELECT t.name AS tab, c.name AS col FROM sqlite_schema t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert!(columns.len() > 100);
    for row in columns {
        let (table, column): (String, String) = (row.get("tab"), row.get("col"));
        // The description of a table lists its columns in brackets after its name.
        let start = [format!("**`{table}`** ("), format!("`{table}` (")]
            .into_iter()
            .find_map(|name| document.find(&name))
            .unwrap_or_else(|| panic!("docs/data-model.md does not describe {table}"));
        let listed = document[start..].split(')').next().unwrap();
        assert!(
            listed.contains(&format!("`{column}`")),
            "docs/data-model.md does not name {table}.{column}"
        );
    }
}
