//! Lines that several ranks work on: each takes a part, and what became of the parts comes together on rank 0 in their
//! order, so that it is what one process makes of all lines.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_ranks::Ranks;

/// Lines of a rank's first window: few, so that somebody who waits soon sees something.
const FIRST_WINDOW: usize = 128;
/// Lines that a rank works on together at most. They are sorted by length, so that more lines make more even batches.
pub const MOST_LINES: usize = 2048;

/// Lines of one window after another, of all ranks together: each twice as many as the one before, up to
/// [`MOST_LINES`] of each rank.
pub fn window_sizes(ranks: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(FIRST_WINDOW), |lines| Some((2 * lines).min(MOST_LINES))).map(move |lines| lines * ranks)
}

/// Works on lines that come in windows, which `next` gives on rank 0 until there are none. `work` gets the number of
/// its first line, from 0, and a rank's part of the window; `take` gets on rank 0 what became of each part, in order.
///
/// # Errors
/// Those of `next`, `work` and `take`, and of the exchange.
pub fn in_windows<L: Serialize + DeserializeOwned + AsRef<str>, R: Serialize + DeserializeOwned>(
    ranks: &Ranks,
    mut next: impl FnMut() -> anyhow::Result<Option<Vec<L>>>,
    mut work: impl FnMut(usize, &[L]) -> anyhow::Result<R>,
    mut take: impl FnMut(R) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut done = 0;
    loop {
        let window = if ranks.is_first() { next()? } else { None };
        let window: Option<Vec<L>> = serde_json::from_slice(&ranks.broadcast(&serde_json::to_vec(&window)?)?)?;
        let Some(lines) = window else { return Ok(()) };
        for part in in_parts(ranks, &lines, |mine| work(done + mine.start, &lines[mine]))? {
            take(part)?;
        }
        done += lines.len();
    }
}

/// What `work` makes of `lines`, which all ranks have: on rank 0 what each rank made of its part, in order; nothing on
/// the others.
///
/// # Errors
/// Those of `work` and of the exchange.
pub fn in_parts<L: AsRef<str>, R: Serialize + DeserializeOwned>(
    ranks: &Ranks,
    lines: &[L],
    work: impl FnOnce(Range<usize>) -> anyhow::Result<R>,
) -> anyhow::Result<Vec<R>> {
    let lengths: Vec<usize> = lines.iter().map(|line| line.as_ref().len()).collect();
    // If it fails anywhere, all ranks hear of it, and rank 0 can clear away what it has begun to write.
    let made = ranks.together(work(part(&lengths, ranks.rank(), ranks.size())))?;
    let parts = ranks.collect_bytes(&serde_json::to_vec(&made)?)?;
    Ok(parts.iter().map(|bytes| serde_json::from_slice(bytes)).collect::<Result<_, _>>()?)
}

/// The lines of `rank`, where each of `ranks` takes about as much text: what begins in its share of the bytes.
fn part(lengths: &[usize], rank: usize, ranks: usize) -> Range<usize> {
    // A short line costs something too.
    let cost = |length: &usize| length + 16;
    let all: usize = lengths.iter().map(cost).sum();
    let first_of = |rank: usize| {
        let mut before = 0;
        let is_before = |length: &&usize| {
            let begins = before;
            before += cost(length);
            begins * ranks < all * rank
        };
        lengths.iter().take_while(is_before).count()
    };
    first_of(rank)..first_of(rank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_up_to_their_largest() {
        assert_eq!(window_sizes(1).take(6).collect::<Vec<_>>(), [128, 256, 512, 1024, 2048, 2048]);
        assert_eq!(window_sizes(3).take(2).collect::<Vec<_>>(), [384, 768]);
    }

    #[test]
    fn parts_follow_each_other_and_are_about_as_long() {
        for lengths in [vec![], vec![0], vec![7; 3], vec![40; 100], (0..200).map(|i| i * 13 % 97).collect()] {
            for ranks in 1..=5 {
                let parts: Vec<Range<usize>> = (0..ranks).map(|rank| part(&lengths, rank, ranks)).collect();
                assert_eq!((parts[0].start, parts[ranks - 1].end), (0, lengths.len()));
                assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
                let bytes = |part: &Range<usize>| lengths[part.clone()].iter().map(|n| n + 16).sum::<usize>();
                let longest = lengths.iter().max().map_or(0, |n| n + 16);
                let fair = parts.iter().map(bytes).sum::<usize>() / ranks;
                assert!(parts.iter().all(|part| bytes(part) <= fair + longest + 1), "{parts:?}");
            }
        }
    }

    /// Threads as ranks: windows of rank 0, results in order, whatever the ranks.
    #[test]
    fn results_are_in_the_order_of_the_lines() {
        let text = |n: usize| "x".repeat(n * 7 % 13);
        for size in 1..=4 {
            let taken = std::thread::scope(|scope| {
                let mut handles = Vec::new();
                for ranks in Ranks::threads(size) {
                    handles.push(scope.spawn(move || {
                        let mut given = 0;
                        let next = || {
                            assert!(ranks.is_first(), "rank 0 alone reads");
                            let window: Vec<String> = (given..(given + 11).min(40)).map(text).collect();
                            given += window.len();
                            Ok((!window.is_empty()).then_some(window))
                        };
                        let work = |first: usize, lines: &[String]| {
                            let number = |(i, line): (usize, &String)| (first + i, line.len());
                            Ok(lines.iter().enumerate().map(number).collect::<Vec<(usize, usize)>>())
                        };
                        let mut taken = Vec::new();
                        in_windows(&ranks, next, work, |part| {
                            taken.extend(part);
                            Ok(())
                        })
                        .unwrap();
                        taken
                    }));
                }
                handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(taken[0], (0..40).map(|n| (n, text(n).len())).collect::<Vec<_>>());
            assert!(taken[1..].iter().all(Vec::is_empty));
        }
    }

    #[test]
    fn what_fails_on_one_rank_is_said_by_it() {
        std::thread::scope(|scope| {
            for ranks in Ranks::threads(3) {
                scope.spawn(move || {
                    let work = |mine: Range<usize>| match mine.contains(&1) {
                        true => anyhow::bail!("no room"),
                        false => Ok(0),
                    };
                    let error = in_parts(&ranks, &["a", "b", "c"], work).unwrap_err().to_string();
                    assert_eq!(error, if ranks.rank() == 1 { "no room" } else { "rank 1 has failed" });
                });
            }
        });
    }
}
