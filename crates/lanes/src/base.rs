//! Multiplication of one base by many scalars.

use std::fmt;
use std::sync::LazyLock;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::RistrettoBasepointTable;

use crate::engine::{Engine, Kind, Lanes};
use crate::fixed::{self, BuildTable, MultiplyBase};
use crate::scalar::OddDigits;
use crate::{Point, Points, Scalar};

/// Multiples of one public point, computed once: each multiplication by it then costs less than half.
///
/// The table is public: 30 KiB on the portable engine, 161 KiB on `avx512ifma`, both on `avx2`. The scalars are
/// secret, and which entries are chosen shows neither in time nor in addresses.
pub struct FixedBase(Table);

enum Table {
    /// Of the active engine.
    Generator,
    Portable(Box<RistrettoBasepointTable>),
    Lanes(LanesTable),
}

struct LanesTable {
    base: Point,
    lanes: Lanes,
    table: fixed::Table,
    /// For fewer scalars than the lanes are worth it, where that is more than one.
    few: Option<Box<RistrettoBasepointTable>>,
}

/// The generator's table on the active engine; `None` on the portable one, which has it in the program.
static GENERATOR: LazyLock<Option<LanesTable>> = LazyLock::new(|| match Engine::active().0 {
    Kind::Portable => None,
    Kind::Lanes(lanes) => Some(LanesTable::new(lanes, &Point::GENERATOR)),
});

impl FixedBase {
    /// The generator of RFC 9496 §4. Its table is part of the program, or computed when it is first used.
    pub const GENERATOR: Self = Self(Table::Generator);

    /// Computes the table of `point`. Worth it from about ten multiplications on: for a pinned public key, always.
    pub fn new(point: &Point) -> Self {
        Self::new_on(Engine::active(), point)
    }

    /// [`FixedBase::new`] on a given engine.
    #[doc(hidden)]
    pub fn new_on(engine: Engine, point: &Point) -> Self {
        Self(match engine.0 {
            Kind::Portable => Table::Portable(Box::new(RistrettoBasepointTable::create(&point.0))),
            Kind::Lanes(lanes) => Table::Lanes(LanesTable {
                few: (lanes.worth_it() > 2).then(|| Box::new(RistrettoBasepointTable::create(&point.0))),
                ..LanesTable::new(lanes, point)
            }),
        })
    }

    /// k·B.
    pub fn mul(&self, k: &Scalar) -> Point {
        match &self.0 {
            Table::Generator => Point(RISTRETTO_BASEPOINT_TABLE * &k.0),
            Table::Portable(table) => Point(&**table * &k.0),
            Table::Lanes(LanesTable { few: Some(table), .. }) => Point(&**table * &k.0),
            Table::Lanes(table) => {
                let product = table.mul_each(std::slice::from_ref(k)).portable();
                Point(product[0])
            }
        }
    }

    /// kᵢ·B for each scalar.
    pub fn mul_each(&self, scalars: &[Scalar]) -> Points {
        match &self.0 {
            // One point alone is in portable form, like every other batch of one.
            _ if scalars.len() == 1 => Points::from_vec(vec![self.mul(&scalars[0]).0]),
            Table::Generator => match &*GENERATOR {
                Some(table) if scalars.len() >= table.lanes.worth_it() => table.mul_each(scalars),
                _ => portable(RISTRETTO_BASEPOINT_TABLE, scalars),
            },
            Table::Portable(table) => portable(table, scalars),
            Table::Lanes(table) => match &table.few {
                Some(few) if scalars.len() < table.lanes.worth_it() => portable(few, scalars),
                _ => table.mul_each(scalars),
            },
        }
    }
}

impl LanesTable {
    fn new(lanes: Lanes, point: &Point) -> Self {
        let words = Points::lanes_of_point(lanes, point);
        Self {
            base: *point,
            lanes,
            table: lanes.run(BuildTable { base: &words }),
            few: None,
        }
    }

    fn mul_each(&self, scalars: &[Scalar]) -> Points {
        let digits = OddDigits::new(fixed::WIDTH * fixed::DIGITS).of_each(scalars);
        Points::from_kernel(self.lanes, scalars.len(), |points| {
            self.lanes.run(MultiplyBase {
                table: &self.table,
                scalars: &digits,
                points,
            });
        })
    }
}

fn portable(table: &RistrettoBasepointTable, scalars: &[Scalar]) -> Points {
    Points::from_vec(scalars.iter().map(|scalar| table * &scalar.0).collect())
}

impl fmt::Debug for FixedBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match &self.0 {
            Table::Generator => Point::GENERATOR,
            Table::Portable(table) => Point(table.basepoint()),
            Table::Lanes(table) => table.base,
        };
        write!(f, "FixedBase({base:?})")
    }
}
