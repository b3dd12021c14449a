//! What can go wrong between ranks.

/// An error of this crate.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The program was started as one of several processes, but there is no library to reach the others.
    #[error(
        "started by {launcher} as {size} processes, but no MPI library can be loaded (tried {tried}): {reason}. Install \
         the MPI that {launcher} belongs to, or name its library in STRATA_MPI"
    )]
    NoLibrary {
        /// The program that started this one.
        launcher: String,
        /// Processes that it started.
        size: usize,
        /// Names of the libraries that were tried.
        tried: String,
        /// Why the last one cannot be loaded.
        reason: String,
    },
    /// A library without one of MPI's functions.
    #[error("{library} has no `{symbol}`: it is not an MPI library, or one that is too old")]
    NoSymbol {
        /// The library.
        library: String,
        /// What it lacks.
        symbol: String,
    },
    /// The library counts other processes than the launcher: it is that of another MPI.
    #[error(
        "{launcher} started {started} processes, but {library} ({version}) sees {seen}: the library belongs to another \
         MPI than the launcher. Name the right one in STRATA_MPI, or start with its own mpirun"
    )]
    OtherLauncher {
        /// The program that started this one.
        launcher: String,
        /// Processes that it started.
        started: usize,
        /// The library.
        library: String,
        /// What the library says about itself.
        version: String,
        /// Processes that the library sees.
        seen: usize,
    },
    /// The thread that calls MPI cannot be started.
    #[error("rank {rank}: the thread that calls MPI cannot be started: {reason}")]
    Thread {
        /// This rank.
        rank: usize,
        /// What the system says.
        reason: String,
    },
    /// A call of MPI failed.
    #[error("rank {rank} on {host}: {call} failed: {reason}")]
    Mpi {
        /// The rank that made the call.
        rank: usize,
        /// Its host.
        host: String,
        /// The function of MPI.
        call: &'static str,
        /// What the library says.
        reason: String,
    },
    /// More values than one call of MPI can count.
    #[error("an exchange of {words} values is more than MPI can count; use smaller batches")]
    TooLarge {
        /// Values of one rank.
        words: usize,
    },
    /// A rank that others wait for has ended.
    #[error("rank {rank} has ended early")]
    Lost {
        /// The rank.
        rank: usize,
    },
    /// Ranks that do not have the same `what`.
    #[error(
        "rank {rank} on {host} has another {what} than rank 0 ({theirs} instead of {ours}): all ranks need the same"
    )]
    Differs {
        /// What is compared, such as `recipe`.
        what: String,
        /// The first rank that differs.
        rank: usize,
        /// Its host.
        host: String,
        /// What that rank has.
        theirs: String,
        /// What rank 0 has.
        ours: String,
    },
    /// Another rank has failed and says why; this one has nothing to add.
    #[error("rank {rank} has failed")]
    Elsewhere {
        /// The rank that speaks.
        rank: usize,
    },
}
