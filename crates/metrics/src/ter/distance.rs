//! The edit distance of TER: a band around the diagonal, with the operations of the best way.

/// Cells on either side of the diagonal that are looked at (Tercom's beam).
const BEAM: f64 = 25.0;
const FAR: u32 = u32::MAX / 2;

/// What one step of the way from a hypothesis to its reference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The word is right.
    Keep,
    /// Another word stands there.
    Substitute,
    /// The reference has a word that the hypothesis lacks.
    Insert,
    /// The hypothesis has a word too many.
    Delete,
}

/// One row of the matrix: the cells from `start`; all others are out of reach.
#[derive(Debug, Clone)]
struct Row {
    start: usize,
    cells: Vec<(u32, Step)>,
}

impl Row {
    fn cost(&self, column: usize) -> u32 {
        let cell = column.checked_sub(self.start).and_then(|at| self.cells.get(at));
        cell.map_or(FAR, |cell| cell.0)
    }
}

/// The matrix of one hypothesis and one reference.
#[derive(Debug, Clone)]
pub(super) struct Distances {
    rows: Vec<Row>,
}

impl Distances {
    /// Compares a hypothesis with a reference, words as numbers. `before` has a hypothesis of the same length that
    /// begins with the same `same` words, whose rows are kept.
    pub(super) fn new(hypothesis: &[u32], reference: &[u32], before: Option<(&Distances, usize)>) -> Self {
        let mut rows = match before {
            Some((distances, same)) => distances.rows[..=same].to_vec(),
            None => vec![Row { start: 0, cells: (0..=reference.len()).map(|i| (i as u32, Step::Insert)).collect() }],
        };
        let ratio = if hypothesis.is_empty() { 1.0 } else { reference.len() as f64 / hypothesis.len() as f64 };
        let beam = if BEAM < ratio / 2.0 { (ratio / 2.0 + BEAM).ceil() } else { BEAM } as usize;
        for i in rows.len()..=hypothesis.len() {
            let diagonal = (i as f64 * ratio).floor() as usize;
            let end =
                if i == hypothesis.len() { reference.len() + 1 } else { (diagonal + beam).min(reference.len() + 1) };
            let start = diagonal.saturating_sub(beam);
            let row = row(start..end, hypothesis[i - 1], reference, &rows[i - 1]);
            rows.push(row);
        }
        Self { rows }
    }

    /// Edits without moves.
    pub(super) fn edits(&self) -> u32 {
        self.rows.last().and_then(|row| row.cells.last()).map_or(0, |cell| cell.0)
    }

    /// The steps of the best way, from the first word to the last.
    pub(super) fn steps(&self, reference: usize) -> Vec<Step> {
        let (mut i, mut j) = (self.rows.len() - 1, reference);
        let mut steps = Vec::with_capacity(i + j);
        while i > 0 || j > 0 {
            let row = &self.rows[i];
            let step = row.cells[j - row.start].1;
            steps.push(step);
            match step {
                Step::Keep | Step::Substitute => (i, j) = (i - 1, j - 1),
                Step::Insert => j -= 1,
                Step::Delete => i -= 1,
            }
        }
        steps.reverse();
        steps
    }
}

/// One row: of equally cheap steps the first of right or wrong word, deletion, insertion counts.
fn row(columns: std::ops::Range<usize>, word: u32, reference: &[u32], above: &Row) -> Row {
    let mut row = Row { start: columns.start, cells: Vec::with_capacity(columns.len()) };
    for j in columns {
        let mut best = (FAR, Step::Delete);
        let mut offer = |cost: u32, step| {
            if cost < best.0 {
                best = (cost, step);
            }
        };
        if j == 0 {
            offer(above.cost(0) + 1, Step::Delete);
        } else {
            let right = word == reference[j - 1];
            let step = if right { Step::Keep } else { Step::Substitute };
            offer(above.cost(j - 1) + u32::from(!right), step);
            offer(above.cost(j) + 1, Step::Delete);
            offer(row.cost(j - 1) + 1, Step::Insert);
        }
        row.cells.push(best);
    }
    row
}
