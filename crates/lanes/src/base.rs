//! Multiplication of one base by many scalars.

use std::fmt;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::RistrettoBasepointTable;

use crate::{Point, Points, Scalar};

/// Multiples of one public point, computed once: each multiplication by it then costs less than half.
///
/// The table (30 KiB) is public; the scalars are secret, and the table is scanned in constant time.
pub struct FixedBase(Table);

enum Table {
    Generator(&'static RistrettoBasepointTable),
    Own(Box<RistrettoBasepointTable>),
}

impl FixedBase {
    /// The generator of RFC 9496 §4. Its table is part of the program.
    pub const GENERATOR: Self = Self(Table::Generator(RISTRETTO_BASEPOINT_TABLE));

    /// Computes the table of `point`. Worth it from about ten multiplications on: for a pinned public key, always.
    pub fn new(point: &Point) -> Self {
        Self(Table::Own(Box::new(RistrettoBasepointTable::create(&point.0))))
    }

    /// k·B.
    pub fn mul(&self, k: &Scalar) -> Point {
        Point(self.table() * &k.0)
    }

    /// kᵢ·B for each scalar.
    pub fn mul_each(&self, scalars: &[Scalar]) -> Points {
        let table = self.table();
        Points::from_vec(scalars.iter().map(|scalar| table * &scalar.0).collect())
    }

    fn table(&self) -> &RistrettoBasepointTable {
        match &self.0 {
            Table::Generator(table) => table,
            Table::Own(table) => table,
        }
    }
}

impl fmt::Debug for FixedBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FixedBase({:?})", Point(self.table().basepoint()))
    }
}
