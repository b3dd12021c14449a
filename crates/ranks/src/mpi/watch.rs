//! A watch over the other processes: each sends a beat to the next one every second, so that a process that is stopped,
//! or a network that is cut, is noticed however long operations may take.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use super::library::{Handle, Library};
use super::server::{check, is_done, split};
use crate::error::Error;
use crate::ranks::host;

/// Time from one beat to the next.
const BEAT: Duration = Duration::from_secs(1);

/// Without a beat for so long, a process counts as lost. The thread that sends beats does nothing else that takes time,
/// but for splitting a group, which waits for the others: so ranks split when they have just met.
const SILENCE: Duration = Duration::from_secs(15);

/// Time from one look to the next.
const LOOK: Duration = Duration::from_millis(50);

/// The last beat of a process that ends well.
const GOODBYE: u32 = 1;

/// Beats to the next process, and from the one before.
pub(super) struct Watch {
    rank: usize,
    size: usize,
    /// A group of its own: beats never meet other messages.
    group: Handle,
    looked: Instant,
    sent: Instant,
    heard: Instant,
    /// Boxed, as MPI reads and writes them while the watch moves.
    sending: Option<(Handle, Box<u32>)>,
    receiving: Option<(Handle, Box<u32>)>,
    said_goodbye: bool,
}

impl Watch {
    pub fn new(library: &Library, rank: usize, size: usize) -> Result<Self, Error> {
        let (group, ..) = split(library, rank, library.constants.world, (0, rank))?;
        let now = Instant::now();
        let (sending, said_goodbye) = (None, false);
        let mut watch =
            Self { rank, size, group, looked: now, sent: now, heard: now, sending, receiving: None, said_goodbye };
        watch.receive(library)?;
        Ok(watch)
    }

    /// Sends and receives what is due; `finishing` says goodbye. The error is for people.
    pub fn look(&mut self, library: &Library, finishing: bool) -> Result<(), String> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        self.beat(library, finishing).map_err(|error| error.to_string())?;
        let silence = self.heard.elapsed();
        if self.receiving.is_some() && silence > SILENCE {
            let (before, seconds) = (self.before(), silence.as_secs());
            return Err(format!(
                "rank {} on {}: nothing was heard from rank {before} for {seconds} s; it is stopped or its host cannot \
                 be reached. Ending all ranks",
                self.rank,
                host()
            ));
        }
        Ok(())
    }

    /// Whether both neighbors know that all is over.
    pub fn is_over(&self) -> bool {
        self.said_goodbye && self.sending.is_none() && self.receiving.is_none()
    }

    fn before(&self) -> usize {
        (self.rank + self.size - 1) % self.size
    }

    fn beat(&mut self, library: &Library, finishing: bool) -> Result<(), Error> {
        if let Some((request, _)) = &mut self.sending
            && is_done(library, self.rank, request)?
        {
            self.sending = None;
        }
        if let Some((request, word)) = &mut self.receiving
            && is_done(library, self.rank, request)?
        {
            let over = **word == GOODBYE;
            (self.heard, self.receiving) = (Instant::now(), None);
            if !over {
                self.receive(library)?;
            }
        }
        let due = finishing || self.sent.elapsed() >= BEAT;
        if due && !self.said_goodbye && self.sending.is_none() {
            self.send(library, if finishing { GOODBYE } else { 0 })?;
            self.said_goodbye = finishing;
        }
        Ok(())
    }

    fn send(&mut self, library: &Library, word: u32) -> Result<(), Error> {
        let (word, next, mut request) = (Box::new(word), ((self.rank + 1) % self.size) as c_int, 0);
        // SAFETY: the word is kept in its box until the request is done.
        let code = unsafe {
            let kind = library.constants.word;
            (library.functions.isend)((&raw const *word).cast(), 1, kind, next, 0, self.group, &raw mut request)
        };
        check(library, self.rank, "MPI_Isend", code)?;
        (self.sent, self.sending) = (Instant::now(), Some((request, word)));
        Ok(())
    }

    fn receive(&mut self, library: &Library) -> Result<(), Error> {
        let (mut word, before, mut request) = (Box::new(0u32), self.before() as c_int, 0);
        // SAFETY: as above.
        let code = unsafe {
            let kind = library.constants.word;
            (library.functions.irecv)((&raw mut *word).cast(), 1, kind, before, 0, self.group, &raw mut request)
        };
        check(library, self.rank, "MPI_Irecv", code)?;
        self.receiving = Some((request, word));
        Ok(())
    }
}
