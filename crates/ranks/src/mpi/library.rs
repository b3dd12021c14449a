//! The library itself: which one, its functions, and its constants, which differ by binary interface.

use std::ffi::{c_char, c_int, c_void};

use libloading::os::unix;

use crate::error::Error;
use crate::launch::{Launch, Launcher};

/// A handle of MPI. Those of Open MPI and of MPI 5 are pointers, those of MPICH and its kin are ints; a register holds
/// either, and so does memory that starts as zero on a machine whose lowest byte comes first.
pub(super) type Handle = usize;

/// The variable that names the library, for those that are not found by name.
const LIBRARY_VARIABLE: &str = "STRATA_MPI";

const OPEN_MPI: &[&str] = &["libmpi.so.40", "libmpi.so"];
const MPI_5: &[&str] = &["libmpi_abi.so.1", "libmpi_abi.so.0"];
const MPICH: &[&str] = &["libmpi.so.12", "libmpich.so.12"];

/// The values that MPI's header would give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    pub world: Handle,
    /// A type of 32 bits.
    pub word: Handle,
    pub errors_return: Handle,
    pub status_ignore: usize,
    /// All calls come from one thread.
    pub funneled: c_int,
}

type GetInt = unsafe extern "C" fn(Handle, *mut c_int) -> c_int;
type Buffer = *const c_void;
type BufferMut = *mut c_void;

/// The functions that this program calls, as MPI's standard declares them.
pub(super) struct Functions {
    pub init_thread: unsafe extern "C" fn(*mut c_int, *mut c_void, c_int, *mut c_int) -> c_int,
    pub comm_rank: GetInt,
    pub comm_size: GetInt,
    pub comm_set_errhandler: unsafe extern "C" fn(Handle, Handle) -> c_int,
    pub comm_split: unsafe extern "C" fn(Handle, c_int, c_int, *mut Handle) -> c_int,
    pub alltoallv: unsafe extern "C" fn(
        Buffer,
        *const c_int,
        *const c_int,
        Handle,
        BufferMut,
        *const c_int,
        *const c_int,
        Handle,
        Handle,
        *mut Handle,
    ) -> c_int,
    pub isend: unsafe extern "C" fn(Buffer, c_int, Handle, c_int, c_int, Handle, *mut Handle) -> c_int,
    pub irecv: unsafe extern "C" fn(BufferMut, c_int, Handle, c_int, c_int, Handle, *mut Handle) -> c_int,
    pub test: unsafe extern "C" fn(*mut Handle, *mut c_int, usize) -> c_int,
    pub error_string: unsafe extern "C" fn(c_int, *mut c_char, *mut c_int) -> c_int,
    pub get_library_version: unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int,
    pub abort: unsafe extern "C" fn(Handle, c_int) -> c_int,
    pub finalize: unsafe extern "C" fn() -> c_int,
}

/// A loaded library.
pub(super) struct Library {
    pub name: String,
    pub constants: Constants,
    pub functions: Functions,
    /// Never unloaded: the library has threads and handlers of its own.
    _library: std::mem::ManuallyDrop<unix::Library>,
}

impl Library {
    /// Loads the library that `STRATA_MPI` names, or one that fits the launcher.
    pub fn load(launch: &Launch) -> Result<Self, Error> {
        Self::of_launcher(launch.launcher).unwrap_or_else(|(tried, reason)| {
            let launcher = launch.launcher.to_string();
            Err(Error::NoLibrary { launcher, size: launch.size, tried, reason })
        })
    }

    /// The first library that can be loaded; else which were tried, and why the last could not be.
    pub fn of_launcher(launcher: Launcher) -> Result<Result<Self, Error>, (String, String)> {
        let named = std::env::var(LIBRARY_VARIABLE).ok().filter(|name| !name.is_empty());
        let names = match &named {
            Some(name) => vec![name.as_str()],
            None => candidates(launcher),
        };
        let mut reason = String::new();
        for name in &names {
            // Open MPI's plugins look for its symbols among those that are visible to all.
            // SAFETY: loading runs the library's own initialization; MPI libraries are made to be loaded.
            match unsafe { unix::Library::open(Some(*name), unix::RTLD_NOW | unix::RTLD_GLOBAL) } {
                Ok(library) => return Ok(Self::with(name, library)),
                Err(error) => reason = causes(&error),
            }
        }
        Err((names.join(", "), reason))
    }

    fn with(name: &str, library: unix::Library) -> Result<Self, Error> {
        let missing = |symbol: &str| Error::NoSymbol { library: name.to_string(), symbol: symbol.to_string() };
        macro_rules! function {
            ($symbol:literal) => {
                // SAFETY: the type of the field is the function's declaration in MPI's standard.
                *unsafe { library.get(concat!($symbol, "\0").as_bytes()) }.map_err(|_| missing($symbol))?
            };
        }
        let functions = Functions {
            init_thread: function!("MPI_Init_thread"),
            comm_rank: function!("MPI_Comm_rank"),
            comm_size: function!("MPI_Comm_size"),
            comm_set_errhandler: function!("MPI_Comm_set_errhandler"),
            comm_split: function!("MPI_Comm_split"),
            alltoallv: function!("MPI_Ialltoallv"),
            isend: function!("MPI_Isend"),
            irecv: function!("MPI_Irecv"),
            test: function!("MPI_Test"),
            error_string: function!("MPI_Error_string"),
            get_library_version: function!("MPI_Get_library_version"),
            abort: function!("MPI_Abort"),
            finalize: function!("MPI_Finalize"),
        };
        let constants = Constants::of(name, &library)?;
        Ok(Self { name: name.to_string(), constants, functions, _library: std::mem::ManuallyDrop::new(library) })
    }

    /// What the library says about itself, its first line.
    pub fn version(&self) -> String {
        let mut length = 0;
        let text = self.text(|buffer| {
            // SAFETY: the buffer has the length that the standard asks for.
            unsafe { (self.functions.get_library_version)(buffer, &raw mut length) }
        });
        text.lines().next().unwrap_or_default().trim().to_string()
    }

    /// What the library says about an error code.
    pub fn explain(&self, code: c_int) -> String {
        let mut length = 0;
        // SAFETY: as above.
        self.text(|buffer| unsafe { (self.functions.error_string)(code, buffer, &raw mut length) })
    }

    /// The text that `fill` writes, up to its end mark.
    fn text(&self, fill: impl FnOnce(*mut c_char) -> c_int) -> String {
        // The longest text of any library (MPI_MAX_LIBRARY_VERSION_STRING) has 8192 bytes.
        let mut buffer = vec![0u8; 8192 + 1];
        fill(buffer.as_mut_ptr().cast());
        let end = buffer.iter().position(|byte| *byte == 0).unwrap_or_default();
        String::from_utf8_lossy(&buffer[..end]).into_owned()
    }
}

/// Names under which the launcher's MPI is found.
fn candidates(launcher: Launcher) -> Vec<&'static str> {
    match launcher {
        Launcher::OpenMpi => [OPEN_MPI, MPI_5].concat(),
        Launcher::Pmi => [MPICH, MPI_5].concat(),
        Launcher::Slurm => [OPEN_MPI, MPI_5, MPICH].concat(),
    }
}

/// An error with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Constants {
    /// The constants of the library's binary interface.
    fn of(name: &str, library: &unix::Library) -> Result<Self, Error> {
        let address = |symbol: &str| -> Option<usize> {
            // SAFETY: only the address is taken.
            let found = unsafe { library.get::<*mut c_void>(symbol.as_bytes()) }.ok()?;
            Some(found.into_raw() as usize)
        };
        if address("ompi_mpi_comm_world\0").is_some() {
            // Open MPI's constants are the addresses of its objects.
            let of = |symbol: &str| {
                let missing = || Error::NoSymbol { library: name.to_string(), symbol: symbol.to_string() };
                address(&format!("{symbol}\0")).ok_or_else(missing)
            };
            return Ok(Self {
                world: of("ompi_mpi_comm_world")?,
                word: of("ompi_mpi_int")?,
                errors_return: of("ompi_mpi_errors_return")?,
                status_ignore: 0,
                funneled: 1,
            });
        }
        // MPICH 5 has the functions of both interfaces, so the name decides.
        if name.contains("mpi_abi") {
            return Ok(Self { world: 0x101, word: 0x209, errors_return: 0x143, status_ignore: 0, funneled: 1024 });
        }
        Ok(Self { world: 0x4400_0000, word: 0x4c00_0405, errors_return: 0x5400_0001, status_ignore: 1, funneled: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAUNCH: Launch = Launch { launcher: Launcher::OpenMpi, rank: 0, size: 4, local_rank: None };

    #[test]
    fn a_library_without_mpi_is_named_with_what_it_lacks() {
        // SAFETY: the C library is loaded already.
        let libc = unsafe { unix::Library::open(Some("libc.so.6"), unix::RTLD_NOW) }.unwrap();
        let error = Library::with("libc.so.6", libc).err().map(|e| e.to_string());
        let expected = "libc.so.6 has no `MPI_Init_thread`: it is not an MPI library, or one that is too old";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn a_missing_library_says_what_was_tried_and_what_to_do() {
        let (launcher, tried) = (LAUNCH.launcher.to_string(), candidates(Launcher::OpenMpi).join(", "));
        let error = Error::NoLibrary { launcher, size: LAUNCH.size, tried, reason: "no such file".to_string() };
        let text = error.to_string();
        assert!(text.starts_with("started by Open MPI's mpirun as 4 processes, but no MPI library"), "{text}");
        assert!(text.contains("libmpi.so.40") && text.ends_with("name its library in STRATA_MPI"), "{text}");
    }
}
