//! How this process was started: alone, or as one of several.

use std::process::Command;

use crate::ranks::host;

/// The program that started several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// `mpirun` of Open MPI.
    OpenMpi,
    /// `mpirun` of MPICH, Intel MPI or MVAPICH (Hydra), or Slurm's `srun --mpi=pmi2`.
    Pmi,
    /// Slurm's `srun --mpi=pmix`.
    Slurm,
}

impl std::fmt::Display for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Launcher::OpenMpi => "Open MPI's mpirun",
            Launcher::Pmi => "mpirun (PMI)",
            Launcher::Slurm => "srun",
        })
    }
}

/// What the environment says about a launch of several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Who started them.
    pub launcher: Launcher,
    /// This process, from 0.
    pub rank: usize,
    /// Processes in all; at least 2.
    pub size: usize,
    /// This process among those of its host, from 0, where the launcher says so.
    pub local_rank: Option<usize>,
}

/// Launchers in the order in which they are looked for, since each may run under the next: variables of the number of
/// processes, of the rank, and of the rank on the host.
const LAUNCHERS: [(Launcher, &str, &str, &str); 3] = [
    (Launcher::OpenMpi, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
    (Launcher::Pmi, "PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"),
    (Launcher::Slurm, "SLURM_STEP_NUM_TASKS", "PMIX_RANK", "SLURM_LOCALID"),
];

/// Beginnings of the variables by which launchers reach the processes that they start.
const PREFIXES: [&str; 5] = ["OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_LOCAL"];

impl Launch {
    /// The launch of this process; none if it was started alone, or as the only one.
    pub fn of_environment() -> Option<Self> {
        Self::from(|name| std::env::var(name).ok())
    }

    /// This rank and its host, for messages before the ranks have met: `rank 3 on node17`.
    pub fn name(&self) -> String {
        format!("rank {} on {}", self.rank, host())
    }

    /// The launch that the variables `get` tell.
    fn from(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| get(name)?.trim().parse::<usize>().ok();
        LAUNCHERS.iter().find_map(|&(launcher, size, rank, local)| {
            let (size, rank) = (number(size)?, number(rank)?);
            (size > 1 && rank < size).then(|| Launch { launcher, rank, size, local_rank: number(local) })
        })
    }
}

/// Makes `command` a process of its own: without this, a program that is started by a rank would take itself for that
/// rank.
pub fn forget_launch(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if PREFIXES.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Option<Launch> {
        Launch::from(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn each_launcher_is_known_by_its_variables() {
        let open = [("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1")];
        let expected = Launch { launcher: Launcher::OpenMpi, rank: 3, size: 4, local_rank: Some(1) };
        assert_eq!(launch(&open), Some(expected));
        let found = launch(&[("PMI_SIZE", "2"), ("PMI_RANK", "0")]);
        assert_eq!(found, Some(Launch { launcher: Launcher::Pmi, rank: 0, size: 2, local_rank: None }));
        let slurm = [("SLURM_STEP_NUM_TASKS", "8"), ("PMIX_RANK", "7"), ("SLURM_LOCALID", "3")];
        assert_eq!(launch(&slurm).map(|l| (l.launcher, l.rank, l.size)), Some((Launcher::Slurm, 7, 8)));
    }

    #[test]
    fn one_process_is_no_launch() {
        assert_eq!(launch(&[]), None);
        assert_eq!(launch(&[("OMPI_COMM_WORLD_SIZE", "1"), ("OMPI_COMM_WORLD_RANK", "0")]), None);
        // A batch job's own shell has Slurm's variables, but is no step of several tasks.
        assert_eq!(launch(&[("SLURM_STEP_NUM_TASKS", "8")]), None);
        assert_eq!(launch(&[("PMI_SIZE", "two"), ("PMI_RANK", "0")]), None);
    }
}
