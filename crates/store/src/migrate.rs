//! The schema, in steps that are only ever added.
//!
//! `PRAGMA user_version` counts the steps applied, `application_id` marks the file as ours, and the table
//! `schema_step` keeps the SHA-256 of each step's text, so that a step changed after the fact is noticed.

use std::path::Path;

use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqlitePool;

use crate::{Result, StoreError};

/// "Ccd1".
const APPLICATION_ID: i64 = 0x4363_6431;

/// Step n is the n-th; never change one that was released.
pub(crate) const STEPS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_ledger.sql"),
    include_str!("../migrations/0003_client_role.sql"),
    include_str!("../migrations/0004_disclosure.sql"),
    include_str!("../migrations/0005_authors.sql"),
    include_str!("../migrations/0006_stale_cases.sql"),
    include_str!("../migrations/0007_open_exchanges.sql"),
    include_str!("../migrations/0008_forgotten_exchanges.sql"),
    include_str!("../migrations/0009_cases_by_agreement.sql"),
];

/// The schema this program writes and the newest it reads.
pub const SCHEMA_VERSION: u32 = STEPS.len() as u32;

/// Brings the database to [`SCHEMA_VERSION`], each step in a transaction of its own.
pub(crate) async fn run(writer: &SqlitePool, path: &Path) -> Result<()> {
    apply(writer, path, STEPS).await
}

async fn apply(writer: &SqlitePool, path: &Path, steps: &'static [&'static str]) -> Result<()> {
    let mut conn = writer
        .acquire()
        .await
        .map_err(|error| not_a_database(error, path))?;
    let found = identify(&mut conn, path).await?;
    let known = steps.len() as u32;
    if found > known {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    drop(conn);
    for (index, &step) in steps.iter().enumerate() {
        let version = index as u32 + 1;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        if version <= found {
            verify(&mut tx, version, step).await?;
            continue;
        }
        sqlx::raw_sql(step).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_step (version, sha256) VALUES (?, ?)")
            .bind(version)
            .bind(Sha256::digest(step).to_vec())
            .execute(&mut *tx)
            .await?;
        // A pragma takes no parameters; this is our own number.
        let count = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
        sqlx::raw_sql(count).execute(&mut *tx).await?;
        tx.commit().await?;
        tracing::info!(version, "schema step applied");
    }
    Ok(())
}

/// How many steps the database has. A new file becomes ours here.
async fn identify(conn: &mut SqliteConnection, path: &Path) -> Result<u32> {
    let id: i64 = pragma(conn, "PRAGMA application_id").await?;
    let version: i64 = pragma(conn, "PRAGMA user_version").await?;
    let tables: i64 = pragma(conn, "SELECT count(*) FROM sqlite_schema").await?;
    let not_ours = || StoreError::NotAStore {
        path: path.to_owned(),
    };
    match (id, tables) {
        (APPLICATION_ID, _) => u32::try_from(version).map_err(|_| not_ours()),
        (0, 0) if version == 0 => {
            sqlx::raw_sql(
                "BEGIN IMMEDIATE;
                 PRAGMA application_id = 1130587185;
                 CREATE TABLE schema_step (
                     version INTEGER PRIMARY KEY,
                     sha256  BLOB NOT NULL CHECK (length(sha256) = 32)
                 ) STRICT;
                 COMMIT;",
            )
            .execute(&mut *conn)
            .await?;
            Ok(0)
        }
        _ => Err(not_ours()),
    }
}

async fn verify(conn: &mut SqliteConnection, version: u32, step: &str) -> Result<()> {
    let applied: Option<Vec<u8>> = sqlx::query_scalar("SELECT sha256 FROM schema_step WHERE version = ?")
        .bind(version)
        .fetch_optional(conn)
        .await?;
    match applied {
        Some(sha256) if sha256 == Sha256::digest(step).as_slice() => Ok(()),
        _ => Err(StoreError::SchemaDiffers { version }),
    }
}

async fn pragma(conn: &mut SqliteConnection, sql: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(conn).await?)
}

/// SQLITE_NOTADB (26) is the operator's wrong path, everything else a failure.
fn not_a_database(error: sqlx::Error, path: &Path) -> StoreError {
    match error.as_database_error().and_then(|db| db.code()) {
        Some(code) if code == "26" => StoreError::NotAStore {
            path: path.to_owned(),
        },
        _ => StoreError::Database(error),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    const ONE: &[&str] = &["CREATE TABLE a (x INTEGER) STRICT;"];
    const TWO: &[&str] = &[
        "CREATE TABLE a (x INTEGER) STRICT;",
        "ALTER TABLE a ADD COLUMN y INTEGER;",
    ];
    const TWO_OTHER: &[&str] = &[
        "CREATE TABLE a (x TEXT) STRICT;",
        "ALTER TABLE a ADD COLUMN y INTEGER;",
    ];
    const HALF_WRONG: &[&str] = &[
        "CREATE TABLE a (x INTEGER) STRICT;",
        "CREATE TABLE b (x INTEGER) STRICT; CREATE TABLE a (x INTEGER) STRICT;",
    ];

    fn open(path: &Path) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        SqlitePoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options)
    }

    #[test]
    fn the_number_in_the_statement_is_the_constant() {
        assert_eq!(APPLICATION_ID, 1_130_587_185);
    }

    #[tokio::test]
    async fn steps_are_applied_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let pool = open(&path);
        apply(&pool, &path, ONE).await.unwrap();
        sqlx::query("INSERT INTO a (x) VALUES (1)")
            .execute(&pool)
            .await
            .unwrap();
        for _ in 0..2 {
            apply(&pool, &path, TWO).await.unwrap();
        }
        let row: (i64, Option<i64>) = sqlx::query_as("SELECT x, y FROM a")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(row, (1, None));
    }

    #[tokio::test]
    async fn newer_changed_and_foreign_databases_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let pool = open(&path);
        apply(&pool, &path, TWO).await.unwrap();
        let downgrade = apply(&pool, &path, ONE).await;
        assert!(matches!(
            downgrade,
            Err(StoreError::SchemaTooNew { found: 2, known: 1 })
        ));
        let changed = apply(&pool, &path, TWO_OTHER).await;
        assert!(matches!(changed, Err(StoreError::SchemaDiffers { version: 1 })));

        let path = folder.path().join("foreign.db");
        let pool = open(&path);
        sqlx::query("CREATE TABLE theirs (x)")
            .execute(&pool)
            .await
            .unwrap();
        assert!(matches!(
            apply(&pool, &path, ONE).await,
            Err(StoreError::NotAStore { .. })
        ));
    }

    #[tokio::test]
    async fn a_step_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let pool = open(&path);
        assert!(apply(&pool, &path, HALF_WRONG).await.is_err());
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b')")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(tables, 1);
        apply(&pool, &path, TWO).await.unwrap();
    }
}
