//! Ranks that must agree: on what they have, and that all is well.

use crate::error::Error;
use crate::ranks::{Ranks, host};

impl Ranks {
    /// Checks that `value` of `what` (a checksum, a version, the lines of a recipe) is the same on every rank. The
    /// error shows the first line that differs.
    ///
    /// # Errors
    /// [`Error::Differs`] on rank 0, which speaks for all, and [`Error::Elsewhere`] on the others.
    pub fn same(&self, what: &str, value: &str) -> Result<(), Error> {
        let all = self.gather_bytes(format!("{}\n{value}", host()).as_bytes())?;
        let all: Vec<(String, String)> = all
            .iter()
            .map(|bytes| {
                let text = String::from_utf8_lossy(bytes);
                let (host, value) = text.split_once('\n').unwrap_or_default();
                (host.to_string(), value.to_string())
            })
            .collect();
        let Some(rank) = all.iter().position(|(_, value)| *value != all[0].1) else { return Ok(()) };
        if !self.is_first() {
            return Err(Error::Elsewhere { rank: 0 });
        }
        let (theirs, ours) = first_difference(&all[rank].1, &all[0].1);
        Err(Error::Differs { what: what.to_string(), rank, host: all[rank].0.clone(), theirs, ours })
    }

    /// This rank's result if all ranks have one. If any has failed, the first of those keeps its error, and all others
    /// get [`Error::Elsewhere`].
    ///
    /// # Errors
    /// This rank's own, or that of the ranks.
    pub fn together<T, E: From<Error>>(&self, result: Result<T, E>) -> Result<T, E> {
        if !self.is_many() {
            return result;
        }
        let failed = self.gather(&[u32::from(result.is_err())])?;
        match failed.iter().position(|failed| failed[0] != 0) {
            Some(rank) if rank != self.rank() => Err(Error::Elsewhere { rank }.into()),
            _ => result,
        }
    }

    /// Ranks on this rank's host, itself included.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn on_this_host(&self) -> Result<usize, Error> {
        Ok(self.are_here()?.into_iter().filter(|here| *here).count())
    }

    /// The place of this rank among those of its host, from 0.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn place_on_this_host(&self) -> Result<usize, Error> {
        Ok(self.are_here()?.into_iter().take(self.rank()).filter(|here| *here).count())
    }

    /// Which ranks are on this rank's host.
    fn are_here(&self) -> Result<Vec<bool>, Error> {
        let here = host().into_bytes();
        Ok(self.gather_bytes(&here)?.iter().map(|host| *host == here).collect())
    }

    /// This rank's share of the processors of its host, at least 1: ranks of one host share them evenly.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn share_of_processors(&self) -> Result<usize, Error> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok((processors / self.on_this_host()?).max(1))
    }

    /// This rank and its host, for messages: `rank 3 on node17`.
    pub fn name(&self) -> String {
        format!("rank {} on {}", self.rank(), host())
    }
}

/// The first lines that differ.
fn first_difference(theirs: &str, ours: &str) -> (String, String) {
    let line = |text: &str, n: usize| text.lines().nth(n).unwrap_or("nothing").trim().to_string();
    let same = theirs.lines().zip(ours.lines()).take_while(|(a, b)| a == b).count();
    (line(theirs, same), line(ours, same))
}
