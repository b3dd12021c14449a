//! The thread that calls MPI: it begins what it is asked for, tests what is underway, and keeps watch.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

use super::library::{Handle, Library};
use super::watch::Watch;
use crate::error::Error;
use crate::launch::Launch;
use crate::ranks::host;

/// Where an answer goes.
pub(super) type Reply<T> = SyncSender<Result<T, Error>>;

/// What the thread is asked for.
pub(super) enum Request {
    Exchange(Exchange, Reply<Vec<u32>>),
    /// A new group: its handle, this process's rank, its size.
    Split {
        parent: Handle,
        color: usize,
        key: usize,
        reply: Reply<(Handle, usize, usize)>,
    },
    Abort(i32),
    Finish(Reply<()>),
}

/// Tests of what is underway without rest: small exchanges are done by then.
const EAGER_TESTS: usize = 200;

/// Rest between two tests later on. A thread that never rests takes a processor from the work that it should hide
/// behind; with this one, an exchange was hidden whole.
const REST: Duration = Duration::from_micros(50);

/// Rest while nothing is underway.
const IDLE: Duration = Duration::from_millis(100);

/// An exchange with its counts as MPI takes them; all of it stays in place until the exchange is done.
pub(super) struct Exchange {
    group: Handle,
    data: Vec<u32>,
    received: Vec<u32>,
    send_counts: Vec<c_int>,
    send_starts: Vec<c_int>,
    receive_counts: Vec<c_int>,
    receive_starts: Vec<c_int>,
}

impl Exchange {
    pub fn new(group: Handle, mut data: Vec<u32>, sends: &[Range<usize>], receives: &[usize]) -> Result<Self, Error> {
        let total: usize = receives.iter().sum();
        let largest = total.max(data.len());
        let int = |n: usize| c_int::try_from(n).map_err(|_| Error::TooLarge { words: largest });
        let mut start = 0;
        let mut receive_starts = Vec::with_capacity(receives.len());
        for count in receives {
            receive_starts.push(int(start)?);
            start += count;
        }
        // Two empty vectors would be the same address, which MPICH takes for an error.
        data.reserve(1);
        let mut received = Vec::with_capacity(total.max(1));
        received.resize(total, 0);
        Ok(Self {
            group,
            send_counts: sends.iter().map(|range| int(range.len())).collect::<Result<_, _>>()?,
            send_starts: sends.iter().map(|range| int(range.start)).collect::<Result<_, _>>()?,
            receive_counts: receives.iter().map(|n| int(*n)).collect::<Result<_, _>>()?,
            receive_starts,
            data,
            received,
        })
    }
}

/// An exchange that MPI works on.
struct Underway {
    exchange: Exchange,
    request: Handle,
    reply: Reply<Vec<u32>>,
}

/// The library and what is underway.
pub(super) struct Server {
    library: Library,
    rank: usize,
    size: usize,
    underway: Vec<Underway>,
    watch: Watch,
    finishing: Option<Reply<()>>,
    report: fn(&str),
}

/// Calls a function of MPI that gives an error code.
///
/// # Errors
/// What the library says.
pub(super) fn check(library: &Library, rank: usize, call: &'static str, code: c_int) -> Result<(), Error> {
    match code {
        0 => Ok(()),
        code => Err(Error::Mpi { rank, host: host(), call, reason: library.explain(code) }),
    }
}

impl Server {
    /// Starts MPI. The library must see as many processes as the launcher started.
    pub fn join(library: Library, launch: &Launch, report: fn(&str)) -> Result<Self, Error> {
        let (functions, constants) = (&library.functions, library.constants);
        let check = |call, code| check(&library, launch.rank, call, code);
        let mut provided = 0;
        let none = std::ptr::null_mut();
        // SAFETY: MPI may be started once, by this thread; every pointer is valid for its call.
        unsafe {
            let code = (functions.init_thread)(none, none.cast::<c_void>(), constants.funneled, &raw mut provided);
            check("MPI_Init_thread", code)?;
            let code = (functions.comm_set_errhandler)(constants.world, constants.errors_return);
            check("MPI_Comm_set_errhandler", code)?;
        }
        let (rank, size) = rank_and_size(&library, launch.rank, constants.world)?;
        if size != launch.size {
            let (library, version) = (library.name.clone(), library.version());
            let launcher = launch.launcher.to_string();
            return Err(Error::OtherLauncher { launcher, started: launch.size, library, version, seen: size });
        }
        let watch = Watch::new(&library, rank, size)?;
        Ok(Self { library, rank, size, underway: Vec::new(), watch, finishing: None, report })
    }

    pub fn rank(&self) -> usize {
        self.rank
    }

    pub fn size(&self) -> usize {
        self.size
    }

    pub fn world(&self) -> Handle {
        self.library.constants.world
    }

    /// Works until the ranks say goodbye or this process ends. If nobody is left to ask, the server is never dropped:
    /// MPI may still write into the buffers of what is underway.
    pub fn run(self, incoming: &Receiver<Request>) {
        let mut server = std::mem::ManuallyDrop::new(self);
        if server.serve(incoming) {
            std::mem::ManuallyDrop::into_inner(server).finalize();
        }
    }

    /// Whether all ranks have said goodbye; `false` where nobody is left to ask.
    fn serve(&mut self, incoming: &Receiver<Request>) -> bool {
        let mut idle_tests = 0;
        loop {
            let request = if self.underway.is_empty() {
                match incoming.recv_timeout(IDLE) {
                    Ok(request) => Some(request),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return false,
                }
            } else {
                match incoming.try_recv() {
                    Ok(request) => Some(request),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return false,
                }
            };
            let mut progress = request.is_some();
            if let Some(request) = request {
                self.take(request);
            }
            progress |= self.test();
            idle_tests = if progress { 0 } else { idle_tests + 1 };
            if let Err(error) = self.watch.look(&self.library, self.finishing.is_some()) {
                (self.report)(&error);
                self.abort(1);
            }
            if self.finishing.is_some() && self.underway.is_empty() && self.watch.is_over() {
                return true;
            }
            if !self.underway.is_empty() && !progress {
                if idle_tests < EAGER_TESTS { std::thread::yield_now() } else { std::thread::sleep(REST) }
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Exchange(exchange, reply) => self.begin(exchange, reply),
            Request::Split { parent, color, key, reply } => {
                let _ = reply.send(split(&self.library, self.rank, parent, (color, key)));
            }
            Request::Abort(code) => self.abort(code),
            Request::Finish(reply) => self.finishing = Some(reply),
        }
    }

    fn begin(&mut self, mut exchange: Exchange, reply: Reply<Vec<u32>>) {
        let word = self.library.constants.word;
        let mut request = 0;
        // SAFETY: the exchange owns all buffers, each as long as its counts say, and is kept until it is done; moving
        // it moves no buffer.
        let code = unsafe {
            (self.library.functions.alltoallv)(
                exchange.data.as_ptr().cast(),
                exchange.send_counts.as_ptr(),
                exchange.send_starts.as_ptr(),
                word,
                exchange.received.as_mut_ptr().cast(),
                exchange.receive_counts.as_ptr(),
                exchange.receive_starts.as_ptr(),
                word,
                exchange.group,
                &raw mut request,
            )
        };
        match check(&self.library, self.rank, "MPI_Ialltoallv", code) {
            Ok(()) => self.underway.push(Underway { exchange, request, reply }),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Answers what is done; says whether anything was.
    fn test(&mut self) -> bool {
        let mut i = 0;
        let before = self.underway.len();
        while i < self.underway.len() {
            match is_done(&self.library, self.rank, &mut self.underway[i].request) {
                Ok(false) => i += 1,
                Ok(true) => {
                    let done = self.underway.remove(i);
                    let _ = done.reply.send(Ok(done.exchange.received));
                }
                Err(error) => {
                    // MPI may still write into the buffers of an exchange that failed.
                    let failed = self.underway.remove(i);
                    std::mem::forget(failed.exchange);
                    let _ = failed.reply.send(Err(error));
                }
            }
        }
        self.underway.len() < before
    }

    fn abort(&self, code: i32) -> ! {
        // SAFETY: MPI has been started; the call does not return.
        unsafe { (self.library.functions.abort)(self.library.constants.world, code) };
        std::process::exit(code)
    }

    fn finalize(mut self) {
        // SAFETY: nothing is underway, and this thread started MPI.
        let code = unsafe { (self.library.functions.finalize)() };
        if let Some(reply) = self.finishing.take() {
            let _ = reply.send(check(&self.library, self.rank, "MPI_Finalize", code));
        }
    }
}

/// Whether a request is done; it is void then.
pub(super) fn is_done(library: &Library, rank: usize, request: &mut Handle) -> Result<bool, Error> {
    let mut done = 0;
    // SAFETY: the request came from MPI and has not been found done.
    let code = unsafe { (library.functions.test)(request, &raw mut done, library.constants.status_ignore) };
    check(library, rank, "MPI_Test", code)?;
    Ok(done != 0)
}

/// A group of the processes of `parent` that give the same color, in the order of their keys.
pub(super) fn split(
    library: &Library,
    rank: usize,
    parent: Handle,
    (color, key): (usize, usize),
) -> Result<(Handle, usize, usize), Error> {
    let mut group = 0;
    // SAFETY: the parent is a group that MPI gave.
    let code = unsafe { (library.functions.comm_split)(parent, color as c_int, key as c_int, &raw mut group) };
    check(library, rank, "MPI_Comm_split", code)?;
    let (rank, size) = rank_and_size(library, rank, group)?;
    Ok((group, rank, size))
}

fn rank_and_size(library: &Library, rank: usize, group: Handle) -> Result<(usize, usize), Error> {
    let (mut own, mut size) = (0, 0);
    // SAFETY: the group is one that MPI gave.
    unsafe {
        check(library, rank, "MPI_Comm_rank", (library.functions.comm_rank)(group, &raw mut own))?;
        check(library, rank, "MPI_Comm_size", (library.functions.comm_size)(group, &raw mut size))?;
    }
    Ok((own as usize, size as usize))
}
