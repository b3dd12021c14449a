//! What goes to standard output.

use std::io::{self, Write};

use anyhow::Context;

/// Writes to standard output. A closed pipe becomes an error that ends the program quietly; `println!` would panic.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout()?.lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Writes a value as indented JSON to standard output.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Writes a value as one line of JSON to standard output.
pub fn print_json_line(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string(value)? + "\n"))
}

/// Standard output, for results.
///
/// # Errors
/// It was closed when the program started (`>&-`), so that results would be lost in silence.
pub fn stdout() -> anyhow::Result<io::Stdout> {
    if at_start::was_closed() {
        return Err(io::Error::other("it is closed")).context("cannot write to standard output");
    }
    Ok(io::stdout())
}

/// Rust's runtime opens `/dev/null` in place of a closed standard output before `main`, so this looks earlier, as
/// uutils' coreutils do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod at_start {
    use std::sync::atomic::{AtomicBool, Ordering};

    static CLOSED: AtomicBool = AtomicBool::new(false);

    extern "C" fn look() {
        // SAFETY: fcntl with F_GETFD only reads a flag of the descriptor, whether or not it is open.
        let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
        CLOSED.store(closed, Ordering::Relaxed);
    }

    // SAFETY: the loader calls each function of this section once before `main`; `look` needs nothing of Rust's
    // runtime, and ignoring the arguments that glibc passes is allowed in C's calling convention.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    pub fn was_closed() -> bool {
        CLOSED.load(Ordering::Relaxed)
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod at_start {
    pub fn was_closed() -> bool {
        false
    }
}
