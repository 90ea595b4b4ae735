//! Tables that may leave the house: small counts are withheld, and so is what would give them away.

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
/// A count from 1 to `threshold - 1` is withheld (primary suppression). Then, until nothing changes, every row and column in which only
/// one cell is withheld, or whose withheld cells add up to less than `threshold`, loses its smallest cell that is still shown and not
/// zero (complementary suppression), a total if there is no other. A zero is shown as long as anything else can be withheld: it is
/// nobody's data.
///
/// Rows shorter than the longest are filled with zeros.
pub fn suppress(counts: &[Vec<u64>], threshold: u64) -> Vec<Vec<Cell>> {
    let table = with_totals(counts);
    let (height, width) = (table.len(), table[0].len());
    let mut withheld = vec![vec![false; width]; height];
    for (row, hidden) in table.iter().zip(&mut withheld) {
        for (&count, hidden) in row.iter().zip(hidden) {
            *hidden = (1..threshold).contains(&count);
        }
    }
    // Each row and each column, its total included, is an equation.
    let rows = (0..height).map(|row| (0..width).map(|column| (row, column)).collect());
    let columns = (0..width).map(|column| (0..height).map(|row| (row, column)).collect());
    let lines: Vec<Vec<(usize, usize)>> = rows.chain(columns).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for line in &lines {
            changed |= protect(line, &table, &mut withheld, threshold);
        }
    }
    let release = |(count, hidden): (&u64, &bool)| match hidden {
        true => Cell::Withheld,
        false => Cell::Exact(*count),
    };
    table
        .iter()
        .zip(&withheld)
        .map(|(row, hidden)| row.iter().zip(hidden).map(release).collect())
        .collect()
}

/// Withholds one more cell of the line if what is withheld could be computed; whether it did.
fn protect(line: &[(usize, usize)], table: &[Vec<u64>], withheld: &mut [Vec<bool>], threshold: u64) -> bool {
    let (&(total_row, total_column), inner) = match line.split_last() {
        Some(parts) => parts,
        None => return false,
    };
    let hidden: Vec<_> = line.iter().filter(|&&(r, c)| withheld[r][c]).collect();
    let sum: u64 = inner
        .iter()
        .filter(|&&(r, c)| withheld[r][c])
        .fold(0, |sum, &(r, c)| sum.saturating_add(table[r][c]));
    let total_hidden = withheld[total_row][total_column];
    let safe = match hidden.len() {
        0 => true,
        1 => false,
        _ => total_hidden || sum >= threshold,
    };
    if safe {
        return false;
    }
    // Not zero before zero, inner cells before the total, small before large.
    let next = line
        .iter()
        .enumerate()
        .filter(|&(_, &(r, c))| !withheld[r][c])
        .min_by_key(|&(position, &(r, c))| {
            (
                position == line.len() - 1,
                table[r][c] == 0,
                table[r][c],
                position,
            )
        });
    let Some((_, &(row, column))) = next else {
        return false;
    };
    // A zero in the line tells nothing, so the total is better withheld than that.
    let zero = table[row][column] == 0 && !total_hidden;
    let (row, column) = if zero {
        (total_row, total_column)
    } else {
        (row, column)
    };
    withheld[row][column] = true;
    true
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
