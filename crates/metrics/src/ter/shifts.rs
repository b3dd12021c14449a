//! Moving runs of words: the greedy search of Tercom, as sacreBLEU follows it.

use super::distance::{Distances, Step};

/// The longest run that is moved.
const MAX_SHIFT_SIZE: usize = 10;
/// How far a run is moved at most, in words.
const MAX_SHIFT_DISTANCE: usize = 50;
/// Moves that are tried for one segment, so that long ones end.
const MAX_CANDIDATES: usize = 1000;

/// Edits, moves included, that turn the hypothesis into the reference; words as numbers.
pub(super) fn edits(hypothesis: &[u32], reference: &[u32]) -> u64 {
    if reference.is_empty() {
        return hypothesis.len() as u64;
    }
    let mut words = hypothesis.to_vec();
    let mut distances = Distances::new(&words, reference, None);
    let (mut moves, mut tried) = (0, 0);
    loop {
        let best = best_move(&words, reference, &distances, &mut tried);
        let Some(best) = best.filter(|best| best.gain > 0 && tried < MAX_CANDIDATES) else { break };
        moves += 1;
        words = best.words;
        distances = Distances::new(&words, reference, None);
    }
    moves + u64::from(distances.edits())
}

/// A move and what it gains.
struct Move {
    gain: i64,
    /// Words of the run.
    length: usize,
    /// Where the run stands.
    start: usize,
    /// Before which word it goes.
    target: usize,
    words: Vec<u32>,
}

impl Move {
    /// Tercom's order: the largest gain, then the longest run, then the earliest run and target.
    fn beats(&self, other: &Move) -> bool {
        let rank = |m: &Move| (m.gain, m.length, std::cmp::Reverse(m.start), std::cmp::Reverse(m.target));
        rank(self) > rank(other)
    }
}

fn best_move(words: &[u32], reference: &[u32], distances: &Distances, tried: &mut usize) -> Option<Move> {
    let alignment = Alignment::of(&distances.steps(reference.len()));
    let before = i64::from(distances.edits());
    let mut best: Option<Move> = None;
    for start in 0..words.len() {
        let near = start.saturating_sub(MAX_SHIFT_DISTANCE)..(start + MAX_SHIFT_DISTANCE + 1).min(reference.len());
        for place in near {
            let pairs = words[start..].iter().zip(&reference[place..]).take(MAX_SHIFT_SIZE);
            for length in 1..=pairs.take_while(|(a, b)| a == b).count() {
                // Only a run that is wrong where it stands goes to where the reference has it and the hypothesis not.
                let right = |wrong: &[bool]| !wrong.contains(&true);
                let (run, aim) = (start..start + length, place..place + length);
                if right(&alignment.hypothesis_wrong[run.clone()]) || right(&alignment.reference_wrong[aim.clone()]) {
                    continue;
                }
                // The word of the hypothesis, plus one, that each place of the reference stands at.
                if alignment.after[place].checked_sub(1).is_some_and(|at| run.contains(&at)) {
                    continue;
                }
                let first = if place == 0 { 0 } else { alignment.after[place - 1] };
                let mut previous = None;
                for target in std::iter::once(first).chain(aim.map(|place| alignment.after[place])) {
                    if previous.replace(target) == Some(target) {
                        continue;
                    }
                    let moved = moved(words, start, length, target);
                    let same = words.iter().zip(&moved).take_while(|(a, b)| a == b).count();
                    let after = Distances::new(&moved, reference, Some((distances, same.min(words.len() - 1))));
                    let found = Move { gain: before - i64::from(after.edits()), length, start, target, words: moved };
                    *tried += 1;
                    if best.as_ref().is_none_or(|best| found.beats(best)) {
                        best = Some(found);
                    }
                }
                if *tried >= MAX_CANDIDATES {
                    return best;
                }
            }
        }
    }
    best
}

/// `words` with the run of `length` words at `start` before the word `target`; a target within the run moves it on by
/// as many words.
fn moved(words: &[u32], start: usize, length: usize, target: usize) -> Vec<u32> {
    let end = start + length;
    let run = &words[start..end];
    if target < start {
        [&words[..target], run, &words[target..start], &words[end..]].concat()
    } else {
        let until = if target > end { target } else { (length + target).min(words.len()) };
        [&words[..start], &words[end..until], run, &words[until..]].concat()
    }
}

/// Where words of the reference stand in the hypothesis, and which words are wrong.
struct Alignment {
    /// For each word of the reference: words of the hypothesis up to it.
    after: Vec<usize>,
    reference_wrong: Vec<bool>,
    hypothesis_wrong: Vec<bool>,
}

impl Alignment {
    fn of(steps: &[Step]) -> Self {
        let mut alignment = Self { after: Vec::new(), reference_wrong: Vec::new(), hypothesis_wrong: Vec::new() };
        for step in steps {
            let wrong = *step != Step::Keep;
            if *step != Step::Insert {
                alignment.hypothesis_wrong.push(wrong);
            }
            if *step != Step::Delete {
                alignment.after.push(alignment.hypothesis_wrong.len());
                alignment.reference_wrong.push(wrong);
            }
        }
        alignment
    }
}
