//! Tables that may leave the house: nothing small can be computed from what is published.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use concordat_ledger::{Cell, suppress};
use proptest::prelude::*;

#[test]
fn small_counts_do_not_leave_the_house() {
    use Cell::{Exact, Withheld};
    // One small cell: its row, its column and their totals would give it away.
    let table = suppress(&[vec![3, 40, 50], vec![60, 70, 80], vec![0, 90, 100]], 5);
    assert_eq!(table[0][0], Withheld);
    assert_eq!(table[3][3], Exact(493));
    assert_eq!(table[2][0], Exact(0), "a zero is nobody's data");
    // Nothing small, nothing withheld.
    let table = suppress(&[vec![10, 20], vec![0, 30]], 5);
    assert_eq!(
        table,
        [
            [Exact(10), Exact(20), Exact(30)],
            [Exact(0), Exact(30), Exact(30)],
            [Exact(10), Exact(50), Exact(60)]
        ]
    );
    // A single row: the total goes too.
    assert_eq!(suppress(&[vec![2, 0, 0]], 5)[0][3], Withheld);
    assert_eq!(suppress(&[], 5), [[Exact(0)]]);
    assert_eq!(
        suppress(&[vec![4], vec![9, 9]], 1),
        [
            [Exact(4), Exact(0), Exact(4)],
            [Exact(9), Exact(9), Exact(18)],
            [Exact(13), Exact(9), Exact(22)]
        ]
    );
}

#[test]
fn rows_less_columns_give_no_small_count_away() {
    // Each line has two small ones, and row 1 + row 2 - column 1 - column 2 is one alone.
    let table = [
        vec![3, 3, 3, 100],
        vec![3, 3, 100, 100],
        vec![100, 100, 3, 3],
        vec![100, 100, 3, 3],
    ];
    assert_eq!(computed_small_counts(&table, 5), []);
}

#[test]
fn withheld_counts_do_not_add_up_to_a_small_one() {
    // Whoever knows that none is zero would know both from their sum, 2.
    let table = [vec![1, 1, 50, 60], vec![70, 80, 90, 90]];
    let withheld = suppress(&table, 5)[0]
        .iter()
        .filter(|cell| **cell == Cell::Withheld)
        .count();
    assert!(withheld > 2);
}

#[test]
fn the_least_that_is_enough_is_withheld() {
    let released = suppress(&[vec![3, 40, 50], vec![60, 70, 80], vec![10, 90, 100]], 5);
    let withheld = |(r, c): (usize, usize)| released[r][c] == Cell::Withheld;
    let places = (0..16).map(|n| (n / 4, n % 4)).filter(|place| withheld(*place));
    assert_eq!(places.collect::<Vec<_>>(), [(0, 0), (0, 1), (2, 0), (2, 1)]);
}

#[test]
fn a_table_with_many_small_counts_is_done_in_no_time() {
    let count = |r: u64, c: u64| (r * 7919 + c * 104_729) % 97 / (1 + r % 3);
    let table: Vec<Vec<u64>> = (0..60).map(|r| (0..30).map(|c| count(r, c)).collect()).collect();
    for threshold in [5, 30, 1_000_000] {
        assert_eq!(computed_small_counts(&table[..12], threshold), []);
        suppress(&table, threshold);
    }
}

/// A cell, and the equations that it is in: row and column.
type Place = (usize, usize);

/// The small counts, totals too, that linear equations give from what is published.
fn computed_small_counts(table: &[Vec<u64>], threshold: u64) -> Vec<Place> {
    let released = suppress(table, threshold);
    let (height, width) = (released.len(), released[0].len());
    let places: Vec<Place> = (0..height)
        .flat_map(|r| (0..width).map(move |c| (r, c)))
        .collect();
    let withheld = |place: &Place| released[place.0][place.1] == Cell::Withheld;
    let unknown: Vec<Place> = places.into_iter().filter(withheld).collect();
    // Each line says: its cells less its total are zero. What is published is no unknown, and only moves to the other side.
    let sign = |is_total: bool| if is_total { PRIME - 1 } else { 1 };
    let row = |r: usize| {
        unknown.iter().map(move |place| {
            if place.0 == r {
                sign(place.1 + 1 == width)
            } else {
                0
            }
        })
    };
    let column = |c: usize| {
        unknown.iter().map(move |place| {
            if place.1 == c {
                sign(place.0 + 1 == height)
            } else {
                0
            }
        })
    };
    let rows = (0..height).map(|r| row(r).collect());
    let solved = eliminate(rows.chain((0..width).map(|c| column(c).collect())).collect());
    let alone = |equation: &Vec<u64>| {
        let mut places = unknown.iter().zip(equation).filter(|(_, factor)| **factor != 0);
        let first = places.next().map(|(place, _)| *place);
        first.filter(|_| places.next().is_none())
    };
    let small = |place: &Place| (1..threshold).contains(&true_count(table, *place, (height, width)));
    solved.iter().filter_map(alone).filter(small).collect()
}

/// Larger than any factor here: the equations of a table are totally unimodular, so this solves what fractions would.
const PRIME: u64 = (1 << 31) - 1;

/// The reduced row echelon form.
fn eliminate(mut equations: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    let mut done = 0;
    for column in 0..equations.first().map_or(0, Vec::len) {
        let Some(pivot) = (done..equations.len()).find(|&row| equations[row][column] != 0) else {
            continue;
        };
        equations.swap(done, pivot);
        let inverse = power(equations[done][column], PRIME - 2);
        for factor in &mut equations[done] {
            *factor = *factor * inverse % PRIME;
        }
        let pivot = equations[done].clone();
        for (_, equation) in equations.iter_mut().enumerate().filter(|(row, _)| *row != done) {
            let times = PRIME - equation[column];
            for (factor, of_pivot) in equation.iter_mut().zip(&pivot) {
                *factor = (*factor + times * of_pivot) % PRIME;
            }
        }
        done += 1;
    }
    equations
}

fn power(base: u64, exponent: u64) -> u64 {
    match exponent {
        0 => 1,
        _ => power(base * base % PRIME, exponent / 2) * if exponent % 2 == 1 { base } else { 1 } % PRIME,
    }
}

fn true_count(table: &[Vec<u64>], (r, c): Place, (height, width): (usize, usize)) -> u64 {
    let rows = table
        .iter()
        .enumerate()
        .filter(|(row, _)| r + 1 == height || *row == r);
    rows.flat_map(|(_, row)| {
        row.iter()
            .enumerate()
            .filter(|(column, _)| c + 1 == width || *column == c)
    })
    .map(|(_, count)| count)
    .sum()
}

/// For each inner cell the largest count in any table that publishes the same, withheld counts from 1 to `most`, all tried.
fn largest(table: &[Vec<u64>], released: &[Vec<Cell>], most: u64) -> Vec<Vec<u64>> {
    let (height, width) = (released.len(), released[0].len());
    let places = (0..height - 1).flat_map(|r| (0..width - 1).map(move |c| (r, c)));
    let unknown: Vec<Place> = places
        .filter(|&(r, c)| released[r][c] == Cell::Withheld)
        .collect();
    let mut largest = table.to_vec();
    let mut other = table.to_vec();
    for number in 0..most.pow(unknown.len() as u32) {
        let mut rest = number;
        for &(r, c) in &unknown {
            other[r][c] = 1 + rest % most;
            rest /= most;
        }
        let same = |place: Place| match released[place.0][place.1] {
            Cell::Exact(count) => true_count(&other, place, (height, width)) == count,
            Cell::Withheld => true,
        };
        if (0..height).all(|r| same((r, width - 1))) && (0..width).all(|c| same((height - 1, c))) {
            for &(r, c) in &unknown {
                largest[r][c] = largest[r][c].max(other[r][c]);
            }
        }
    }
    largest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn equations_give_no_small_count_away(
        rows in 1usize..7,
        columns in 1usize..7,
        counts in prop::collection::vec(prop_oneof![2 => 0u64..6, 1 => 6u64..200], 36),
        threshold in 2u64..8,
    ) {
        let table: Vec<Vec<u64>> = (0..rows).map(|r| counts[r * 6..r * 6 + columns].to_vec()).collect();
        let released = suppress(&table, threshold);
        for (r, row) in released.iter().enumerate() {
            for (c, cell) in row.iter().enumerate() {
                let count = true_count(&table, (r, c), (rows + 1, columns + 1));
                match cell {
                    Cell::Exact(said) => prop_assert!(*said == count && !(1..threshold).contains(&count)),
                    Cell::Withheld => prop_assert!(count > 0, "a zero is nobody's data"),
                }
            }
        }
        prop_assert_eq!(computed_small_counts(&table, threshold), []);
    }

    #[test]
    fn a_table_with_nothing_small_is_unchanged(
        rows in 1usize..7,
        columns in 1usize..7,
        counts in prop::collection::vec(prop_oneof![Just(0u64), 5u64..200], 36),
    ) {
        let table: Vec<Vec<u64>> = (0..rows).map(|r| counts[r * 6..r * 6 + columns].to_vec()).collect();
        let released = suppress(&table, 5);
        prop_assert!(released.iter().flatten().all(|cell| *cell != Cell::Withheld));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// All tables tried: each small count may be as large as the threshold. Nothing need change by more than the 3 that this takes at most.
    #[test]
    fn bounds_give_no_small_count_away(
        rows in 1usize..3,
        columns in 1usize..4,
        counts in prop::collection::vec(0u64..5, 6),
        threshold in 2u64..5,
    ) {
        let table: Vec<Vec<u64>> = (0..rows).map(|r| counts[r * 3..r * 3 + columns].to_vec()).collect();
        let largest = largest(&table, &suppress(&table, threshold), 7);
        for (row, most) in table.iter().zip(&largest) {
            for (count, most) in row.iter().zip(most) {
                prop_assert!(!(1..threshold).contains(count) || *most >= threshold, "{largest:?}");
            }
        }
    }
}
