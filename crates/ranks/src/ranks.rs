//! The ranks as the rest of the program sees them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::{Engine, Underway};
use crate::error::Error;
use crate::launch::Launch;
use crate::mpi::Mpi;
use crate::single::Single;
use crate::threads::threads;
use crate::traffic::{Counter, Ledger, Traffic};

/// A group of ranks of which this process is one. All of them make the same calls in the same order. Clones are the
/// same group.
#[derive(Clone)]
pub struct Ranks {
    engine: Arc<dyn Engine>,
    ledger: Arc<Ledger>,
    counter: Arc<Counter>,
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

/// An exchange that has begun; it goes on while this process computes.
pub struct Pending {
    underway: Box<dyn Underway>,
    receives: Vec<usize>,
    counter: Arc<Counter>,
}

impl Ranks {
    /// One process alone. Calls cost next to nothing.
    pub fn single() -> Self {
        Self::new(Arc::new(Single))
    }

    /// Ranks that are threads of this process, one for each of `size` threads. A rank whose clones are all dropped has
    /// ended; others that wait for it get [`Error::Lost`].
    pub fn threads(size: usize) -> Vec<Self> {
        threads(size).into_iter().map(|rank| Self::new(Arc::new(rank))).collect()
    }

    /// The ranks that this process was launched with; one alone without a launch. `report` gets the last words of a
    /// process that must end because others no longer answer.
    ///
    /// # Errors
    /// [`Error::NoLibrary`], [`Error::NoSymbol`], [`Error::OtherLauncher`], [`Error::Mpi`].
    pub fn of_environment(report: fn(&str)) -> Result<Self, Error> {
        match Launch::of_environment() {
            Some(launch) => Ok(Self::new(Arc::new(Mpi::start(&launch, report)?))),
            None => Ok(Self::single()),
        }
    }

    fn new(engine: Arc<dyn Engine>) -> Self {
        let ledger = Arc::<Ledger>::default();
        let counter = ledger.counter("agreement");
        Self { engine, ledger, counter }
    }

    /// The same group, whose exchanges count as those of `purpose` in [`Ranks::traffic`]. Without a purpose they count
    /// as `agreement`.
    #[must_use]
    pub fn counting(&self, purpose: &'static str) -> Self {
        Self { counter: self.ledger.counter(purpose), ..self.clone() }
    }

    /// This rank, from 0.
    pub fn rank(&self) -> usize {
        self.engine.rank()
    }

    /// Ranks in all.
    pub fn size(&self) -> usize {
        self.engine.size()
    }

    /// Whether this is rank 0, which speaks and writes for all.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there are other ranks.
    pub fn is_many(&self) -> bool {
        self.size() > 1
    }

    /// The group of the ranks that give the same `color`, in the order of this group. All ranks must get here within
    /// seconds of each other: who waits sends no beats.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn split(&self, color: usize) -> Result<Self, Error> {
        Ok(Self { engine: Arc::from(self.engine.split(color)?), ..self.clone() })
    }

    /// Begins to send `data[sends[p]]` to each rank `p` and to receive `receives[p]` values from it. Parts may overlap.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn begin(&self, data: Vec<f32>, sends: &[Range<usize>], receives: &[usize]) -> Result<Pending, Error> {
        self.begin_words(bytemuck::cast_vec(data), sends, receives)
    }

    fn begin_words(&self, data: Vec<u32>, sends: &[Range<usize>], receives: &[usize]) -> Result<Pending, Error> {
        let me = self.rank();
        let away = sends.iter().enumerate().filter(|(p, _)| *p != me).map(|(_, range)| range.len() as u64);
        self.counter.sent(4 * away.sum::<u64>());
        let underway = self.engine.begin(data, sends, receives)?;
        Ok(Pending { underway, receives: receives.to_vec(), counter: Arc::clone(&self.counter) })
    }

    /// Sends the next `sends[p]` of `data` to each rank `p`; gives what all ranks sent here, `receives[p]` values from
    /// rank `p`, in the order of the ranks.
    ///
    /// # Errors
    /// [`Error::Lost`] where another rank has ended, [`Error::TooLarge`], [`Error::Mpi`].
    pub fn exchange(&self, data: Vec<f32>, sends: &[usize], receives: &[usize]) -> Result<Vec<f32>, Error> {
        let sends: Vec<Range<usize>> = sends
            .iter()
            .scan(0, |end, count| {
                let start = *end;
                *end += count;
                Some(start..*end)
            })
            .collect();
        self.begin(data, &sends, receives)?.values()
    }

    /// Every rank's `mine`, which is equally long everywhere, by rank.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn gather(&self, mine: &[u32]) -> Result<Vec<Vec<u32>>, Error> {
        let (n, size) = (mine.len(), self.size());
        self.begin_words(mine.to_vec(), &vec![0..n; size], &vec![n; size])?.parts()
    }

    /// Every rank's bytes, of any length, by rank.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn gather_bytes(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.bytes_to(|_| true, mine)
    }

    /// Every rank's bytes on rank 0, by rank; nothing on the others.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn collect_bytes(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let parts = self.bytes_to(|rank| rank == 0, mine)?;
        Ok(if self.is_first() { parts } else { Vec::new() })
    }

    /// Every rank's bytes on the ranks that `gets` them.
    fn bytes_to(&self, gets: impl Fn(usize) -> bool, mine: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let length = u32::try_from(mine.len()).map_err(|_| Error::TooLarge { words: mine.len().div_ceil(4) })?;
        let lengths = self.gather(&[length])?;
        let length_of = |rank: usize| if gets(self.rank()) { lengths[rank][0] as usize } else { 0 };
        let mut words = vec![0u32; mine.len().div_ceil(4)];
        bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..mine.len()].copy_from_slice(mine);
        let count = words.len();
        let sends: Vec<Range<usize>> = (0..self.size()).map(|to| 0..if gets(to) { count } else { 0 }).collect();
        let receives: Vec<usize> = (0..self.size()).map(|from| length_of(from).div_ceil(4)).collect();
        let parts = self.begin_words(words, &sends, &receives)?.parts()?;
        let bytes =
            |(from, words): (usize, &Vec<u32>)| bytemuck::cast_slice::<u32, u8>(words)[..length_of(from)].to_vec();
        Ok(parts.iter().enumerate().map(bytes).collect())
    }

    /// Rank 0's bytes, on every rank.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn broadcast(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut all = self.gather_bytes(if self.is_first() { bytes } else { &[] })?;
        Ok(all.swap_remove(0))
    }

    /// Sums over the ranks, added in their order.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn sum(&self, values: &mut [f64]) -> Result<(), Error> {
        let words = |value: &f64| [value.to_bits() as u32, (value.to_bits() >> 32) as u32];
        let parts = self.gather(&values.iter().flat_map(words).collect::<Vec<u32>>())?;
        values.fill(0.0);
        for part in parts {
            let pairs = part.chunks_exact(2).map(|w| f64::from_bits(u64::from(w[0]) | u64::from(w[1]) << 32));
            values.iter_mut().zip(pairs).for_each(|(sum, value)| *sum += value);
        }
        Ok(())
    }

    /// Whether `mine` is true on any rank.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn any(&self, mine: bool) -> Result<bool, Error> {
        Ok(self.gather(&[u32::from(mine)])?.iter().any(|part| part[0] != 0))
    }

    /// Waits until all ranks have come here.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn barrier(&self) -> Result<(), Error> {
        self.any(false).map(drop)
    }

    /// Ends all processes at once with exit code `code`. Threads as ranks panic.
    pub fn abort(&self, code: i32) -> ! {
        self.engine.abort(code)
    }

    /// Says goodbye to the other ranks, after which no call may follow. A process that ends without it, or before
    /// others have come here, takes them down.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn finish(&self) -> Result<(), Error> {
        self.engine.finish()
    }

    /// What this process has exchanged with others so far, by purpose, all groups together.
    pub fn traffic(&self) -> Vec<Traffic> {
        self.ledger.totals()
    }
}

/// The name of this host.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Pending {
    /// Waits for what the ranks sent, in their order.
    ///
    /// # Errors
    /// As [`Ranks::exchange`].
    pub fn values(self) -> Result<Vec<f32>, Error> {
        Ok(bytemuck::cast_vec(self.words()?))
    }

    fn words(self) -> Result<Vec<u32>, Error> {
        let begun = Instant::now();
        let words = self.underway.wait();
        self.counter.waited(begun.elapsed());
        words
    }

    /// The same by rank.
    fn parts(self) -> Result<Vec<Vec<u32>>, Error> {
        let receives = self.receives.clone();
        let words = self.words()?;
        let mut rest = words.as_slice();
        let part = |n: &usize| {
            let (part, others) = rest.split_at(*n);
            rest = others;
            part.to_vec()
        };
        Ok(receives.iter().map(part).collect())
    }
}
