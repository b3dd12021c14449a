//! MPI by a library that is loaded when the program runs.
//!
//! All calls of the library come from one thread of its own, so that the least level of thread support is enough, and
//! exchanges make progress while the others compute: nothing moves unless somebody calls MPI.

mod library;
mod server;
mod watch;

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::Duration;

use self::library::{Handle, Library};
use self::server::{Exchange, Request, Server};
use crate::engine::{Engine, Underway};
use crate::error::Error;
use crate::launch::{Launch, Launcher};

/// Time that a process has left, after it asked MPI to end all, before it ends itself.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// What the MPI library on this machine says about itself; none where there is no library that ranks could use.
pub fn installed_mpi() -> Option<String> {
    // `srun` may start processes with any of them.
    let library = Library::of_launcher(Launcher::Slurm).ok()?.ok()?;
    Some(format!("{} ({})", library.version(), library.name))
}

/// A group of processes that MPI connects.
pub(crate) struct Mpi {
    rank: usize,
    size: usize,
    group: Handle,
    requests: Sender<Request>,
}

impl Mpi {
    /// Loads the library and joins the processes of `launch`. `report` gets the last words of a process that must end
    /// because another no longer answers.
    pub fn start(launch: &Launch, report: fn(&str)) -> Result<Self, Error> {
        let (requests, incoming) = channel();
        let (started, joined) = sync_channel(1);
        let launch = *launch;
        let serve = move || match Library::load(&launch).and_then(|library| Server::join(library, &launch, report)) {
            Ok(server) => {
                let _ = started.send(Ok((server.rank(), server.size(), server.world())));
                server.run(&incoming);
            }
            Err(error) => drop(started.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name("mpi".to_string()).spawn(serve);
        thread.map_err(|e| Error::Thread { rank: launch.rank, reason: e.to_string() })?;
        let (rank, size, group) = receive(&joined, launch.rank)??;
        Ok(Self { rank, size, group, requests })
    }

    /// Asks the thread that calls MPI; `request` gets where to answer.
    fn ask<T: Send + 'static>(&self, request: impl FnOnce(server::Reply<T>) -> Request) -> Receiver<Result<T, Error>> {
        let (reply, answer) = sync_channel(1);
        // If the thread has ended, the answer says so.
        let _ = self.requests.send(request(reply));
        answer
    }
}

/// The answer of the thread that calls MPI.
fn receive<T>(answer: &Receiver<T>, rank: usize) -> Result<T, Error> {
    answer.recv().map_err(|_| Error::Lost { rank })
}

impl Engine for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn begin(&self, data: Vec<u32>, sends: &[Range<usize>], receives: &[usize]) -> Result<Box<dyn Underway>, Error> {
        let exchange = Exchange::new(self.group, data, sends, receives)?;
        let answer = self.ask(|reply| Request::Exchange(exchange, reply));
        Ok(Box::new(Asked { answer, rank: self.rank }))
    }

    fn split(&self, color: usize) -> Result<Box<dyn Engine>, Error> {
        let (parent, key) = (self.group, self.rank);
        let answer = self.ask(|reply| Request::Split { parent, color, key, reply });
        let (group, rank, size) = receive(&answer, self.rank)??;
        Ok(Box::new(Mpi { rank, size, group, requests: self.requests.clone() }))
    }

    fn abort(&self, code: i32) -> ! {
        let _ = self.requests.send(Request::Abort(code));
        std::thread::sleep(LAST_MOMENTS);
        std::process::exit(code)
    }

    fn finish(&self) -> Result<(), Error> {
        receive(&self.ask(Request::Finish), self.rank)?
    }
}

/// An exchange that the thread works on.
struct Asked {
    answer: Receiver<Result<Vec<u32>, Error>>,
    rank: usize,
}

impl Underway for Asked {
    fn wait(self: Box<Self>) -> Result<Vec<u32>, Error> {
        receive(&self.answer, self.rank)?
    }
}
