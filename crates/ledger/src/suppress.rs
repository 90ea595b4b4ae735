//! Tables that may leave the house: small counts are withheld, and so is what would give them away.
//!
//! A table with its totals is a graph with two sorts of nodes, rows and columns (the totals are one of each), and a cell is the edge between
//! its row and its column. Each node is an equation: what stands there adds up. Counts can differ from the true ones and still add up
//! everywhere only along a cycle of withheld cells, by one more here and one less at the next. So a withheld cell that is in no cycle (a
//! *bridge*) can be computed, and one in a cycle can be anything as far as the others in it give way (D. Gusfield, "A graph theoretic
//! approach to statistical data security", SIAM J. Comput. 17, 1988).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A cell of a released table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cell {
    /// The count.
    Exact(u64),
    /// Withheld: it is small, or it would give a small one away. Which of the two is not said.
    Withheld,
}

/// A table of counts with its totals: the last row holds the totals of the columns, the last cell of each row its total.
///
/// A count from 1 to `threshold - 1`, a total too, is withheld (primary suppression), and so are others, until this holds
/// (complementary suppression):
///
/// *For each small count there is another table with the same published cells, no withheld one zero, in which that count is `threshold` or
/// more.*
///
/// So none is the solution of linear equations, and none is the only whole number that is left between its bounds, even for a reader who
/// knows that a withheld count is never zero. Nor do withheld counts of a line add up to a small sum that could be computed. A zero is
/// always shown: it is nobody's data.
///
/// Each small count in its turn is hidden by the cycle that withholds the least, the sum of what is withheld being the loss; which of two
/// equal ones depends on nothing but the table.
///
/// *What is not promised:* that several small counts could be large at once; anything to a reader who knows counts of the table from
/// elsewhere, for example from a second table of the same days, or because one row follows from another; anything to one who runs this
/// method backwards, asking which tables it would have treated so.
///
/// Rows shorter than the longest are filled with zeros.
pub fn suppress(counts: &[Vec<u64>], threshold: u64) -> Vec<Vec<Cell>> {
    let mut table = Table::new(with_totals(counts));
    let small: Vec<Place> = table.places(|count| (1..threshold).contains(&count)).collect();
    for &(row, column) in &small {
        table.withheld[row][column] = true;
    }
    // What is withheld later makes more tables possible, not fewer: one round is enough.
    for place in small {
        table.protect(place, threshold);
    }
    table.release()
}

/// Row and column.
type Place = (usize, usize);

/// From a node to the next.
struct Step {
    place: Place,
    /// How much the cell can change by; the others of its cycle change by as much.
    room: u64,
    /// It becomes more, not less.
    rises: bool,
}

struct Table {
    counts: Vec<Vec<u64>>,
    withheld: Vec<Vec<bool>>,
    /// Of each node the nodes that it shares a cell with that is not zero. Rows come first, columns after them.
    near: Vec<Vec<usize>>,
}

impl Table {
    fn new(counts: Vec<Vec<u64>>) -> Self {
        let (height, width) = (counts.len(), counts[0].len());
        let mut table = Self {
            counts,
            withheld: vec![vec![false; width]; height],
            near: vec![Vec::new(); height + width],
        };
        let full: Vec<Place> = table.places(|count| count > 0).collect();
        for (row, column) in full {
            table.near[row].push(height + column);
            table.near[height + column].push(row);
        }
        table
    }

    fn places(&self, wanted: impl Fn(u64) -> bool) -> impl Iterator<Item = Place> {
        let rows = self.counts.iter().enumerate();
        rows.flat_map(|(row, cells)| {
            cells
                .iter()
                .enumerate()
                .map(move |(column, count)| ((row, column), *count))
        })
        .filter(move |&(_, count)| wanted(count))
        .map(|(place, _)| place)
    }

    /// Withholds what it takes for this small count to be possibly as large as the threshold.
    fn protect(&mut self, place: Place, threshold: u64) {
        let height = self.counts.len();
        let (row, column) = (place.0, height + place.1);
        let (from, to) = if self.is_turned(place) {
            (row, column)
        } else {
            (column, row)
        };
        // The other table, where it differs from the true one.
        let mut other: HashMap<Place, u64> = HashMap::new();
        let mut count = self.counts[place.0][place.1];
        // There is always a way: over the totals of its row and of its column.
        while count < threshold
            && let Some(way) = self.way(from, to, place, &other)
        {
            let room = way.iter().map(|step| step.room).fold(threshold - count, u64::min);
            for Step { place, rises, .. } in way {
                self.withheld[place.0][place.1] = true;
                let cell = other.entry(place).or_insert(self.counts[place.0][place.1]);
                *cell = if rises {
                    cell.saturating_add(room)
                } else {
                    cell.saturating_sub(room)
                };
            }
            count += room;
        }
    }

    /// The way from one node to another that withholds the least, of those the shortest, not over the cell `without`.
    fn way(&self, from: usize, to: usize, without: Place, other: &HashMap<Place, u64>) -> Option<Vec<Step>> {
        let nodes = self.near.len();
        let mut best = vec![(u64::MAX, usize::MAX); nodes];
        let mut before = vec![from; nodes];
        best[from] = (0, 0);
        // Of equals the last node first: totals give way without end.
        let mut next = BinaryHeap::from([(Reverse((0, 0)), from)]);
        while let Some((Reverse(reached), node)) = next.pop() {
            if node == to {
                break;
            }
            if reached > best[node] {
                continue;
            }
            for &neighbour in &self.near[node] {
                let Step {
                    place: (row, column),
                    room,
                    ..
                } = self.step(node, neighbour, other);
                if (row, column) == without || room == 0 {
                    continue;
                }
                let loss = if self.withheld[row][column] {
                    0
                } else {
                    self.counts[row][column]
                };
                let found = (reached.0.saturating_add(loss), reached.1 + 1);
                if found < best[neighbour] {
                    best[neighbour] = found;
                    before[neighbour] = node;
                    next.push((Reverse(found), neighbour));
                }
            }
        }
        let mut way = Vec::new();
        let mut node = to;
        while node != from {
            if best[node].1 == usize::MAX {
                return None;
            }
            way.push(self.step(before[node], node, other));
            node = before[node];
        }
        Some(way)
    }

    /// On the way from a row to a column counts rise and back they fall; totals, on the other side of their equations, do the opposite.
    fn step(&self, from: usize, to: usize, other: &HashMap<Place, u64>) -> Step {
        let height = self.counts.len();
        let from_row = from < height;
        let place @ (row, column) = if from_row {
            (from, to - height)
        } else {
            (to, from - height)
        };
        let rises = from_row != self.is_turned(place);
        // A total falls as far as what is in it.
        let is_total = row + 1 == height || column + 1 == self.counts[row].len();
        let count = other.get(&place).copied().unwrap_or(self.counts[row][column]);
        let room = if rises || is_total {
            u64::MAX
        } else {
            count.saturating_sub(1)
        };
        Step { place, room, rises }
    }

    /// It is the total of one row or of one column; the total of all is both, and so neither.
    fn is_turned(&self, (row, column): Place) -> bool {
        (row + 1 == self.counts.len()) != (column + 1 == self.counts[row].len())
    }

    fn release(&self) -> Vec<Vec<Cell>> {
        let cell = |(count, hidden): (&u64, &bool)| match hidden {
            true => Cell::Withheld,
            false => Cell::Exact(*count),
        };
        let rows = self.counts.iter().zip(&self.withheld);
        rows.map(|(row, hidden)| row.iter().zip(hidden).map(cell).collect())
            .collect()
    }
}

fn with_totals(counts: &[Vec<u64>]) -> Vec<Vec<u64>> {
    let width = counts.iter().map(Vec::len).max().unwrap_or(0);
    let sum = |cells: &[u64]| cells.iter().copied().fold(0, u64::saturating_add);
    let mut table: Vec<Vec<u64>> = counts
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row.resize(width, 0);
            row.push(sum(&row));
            row
        })
        .collect();
    let totals = (0..=width).map(|column| table.iter().map(|row| row[column]).fold(0, u64::saturating_add));
    let totals = totals.collect();
    table.push(totals);
    table
}
