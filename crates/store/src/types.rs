//! Small types shared by all tables: row ids, the blind index, states kept as words.

use std::fmt;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::{Result, StoreError};

/// The id of a job: a UUID of version 7, made by the caller.
pub type JobId = uuid::Uuid;

/// The first 16 bytes of a PRF output: public to both agencies of the scope.
pub type Tag = [u8; 16];

/// The keyed index of an identifier: 16 bytes of HMAC-SHA256 over kind, rule and canonical bytes under a key that
/// never leaves this store. Equal identifiers have equal blind indexes within one store, and only there.
///
/// It orders identifiers: pages of identifiers and tags come in this order, and a page continues after the last
/// blind index of the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindIndex(pub [u8; 16]);

impl fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlindIndex({})", hex::encode(&self.0[..4]))
    }
}

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

row_id! {
    /// A list. Never used again for another list.
    ListId;
    /// One version of a record. Never used again, and a changed record gets a new one.
    RecordId;
    /// One import.
    ImportId;
    /// One scope: agreement, offer and epoch, seen from one side.
    ScopeId;
}

/// An enum that is kept as a word in a column.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The word in the database, in JSON and in configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub(crate) fn from_column(row: &sqlx::sqlite::SqliteRow, column: &'static str) -> crate::Result<Self> {
                let word: &str = sqlx::Row::try_get(row, column)?;
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(crate::StoreError::Corrupt { what: stringify!($name) }),
                }
            }
        }
    };
}
pub(crate) use words;

/// Columns whose Rust type is narrower than SQL's: a value that does not fit means a damaged database.
pub(crate) trait Columns {
    fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N]>;
    fn bytes_opt<const N: usize>(&self, column: &'static str) -> Result<Option<[u8; N]>>;
    fn int<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T>;
    fn int_opt<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>>;
    fn flag(&self, column: &'static str) -> Result<bool>;
}

impl Columns for SqliteRow {
    fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N]> {
        self.bytes_opt(column)?
            .ok_or(StoreError::Corrupt { what: column })
    }

    fn bytes_opt<const N: usize>(&self, column: &'static str) -> Result<Option<[u8; N]>> {
        let value: Option<&[u8]> = self.try_get(column)?;
        let array = value.map(<[u8; N]>::try_from).transpose();
        array.map_err(|_| StoreError::Corrupt { what: column })
    }

    fn int<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        self.int_opt(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    fn int_opt<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>> {
        let value: Option<i64> = self.try_get(column)?;
        let narrow = value.map(T::try_from).transpose();
        narrow.map_err(|_| StoreError::Corrupt { what: column })
    }

    fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.int::<u8>(column)? != 0)
    }
}

/// Counts go into SQL as signed 64-bit integers; what does not fit was never a count.
pub(crate) fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
