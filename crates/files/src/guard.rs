//! SIGBUS: when another program truncates a mapped file, the pages beyond its new end are gone, and reading them raises
//! SIGBUS, which by default ends the process. After [`survive_truncation`] a signal handler maps zeros over the whole
//! file instead, so that a program that serves several models loses only the one; [`MappedFile::change`] then reports
//! it.
//!
//! [`MappedFile::change`]: crate::MappedFile::change

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many maps can be guarded at a time; any beyond that are not.
const MAX_MAPS: usize = 256;

/// A guarded map. The handler reads it, in any thread at any time, and may neither lock nor allocate.
struct Slot {
    /// Address of the map; 0 for a free slot, 1 while the slot is being filled.
    start: AtomicUsize,
    /// Length of the map in bytes; 0 while the slot is being filled or emptied.
    length: AtomicUsize,
    /// Whether the map was replaced by zeros.
    lost: AtomicBool,
}

static SLOTS: [Slot; MAX_MAPS] =
    [const { Slot { start: AtomicUsize::new(0), length: AtomicUsize::new(0), lost: AtomicBool::new(false) } };
        MAX_MAPS];

/// A map's slot in the table, given back when this is dropped. That must be before the map is unmapped.
#[derive(Debug)]
pub(crate) struct Guarded(Option<usize>);

impl Guarded {
    /// Enters a map into the table.
    pub(crate) fn new(map: &[u8]) -> Self {
        if map.is_empty() {
            return Self(None);
        }
        let free = |slot: &Slot| slot.start.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let place = SLOTS.iter().position(free);
        if let Some(slot) = place.map(|place| &SLOTS[place]) {
            slot.lost.store(false, Ordering::Release);
            slot.start.store(map.as_ptr() as usize, Ordering::Release);
            slot.length.store(map.len(), Ordering::Release);
        }
        Self(place)
    }

    /// Whether the map was replaced by zeros.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.is_some_and(|place| SLOTS[place].lost.load(Ordering::Acquire))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(slot) = self.0.map(|place| &SLOTS[place]) {
            slot.length.store(0, Ordering::Release);
            slot.start.store(0, Ordering::Release);
        }
    }
}

/// From now on, a mapped file that another program truncates reads as zeros and does not end this process. Only for
/// programs that ask [`MappedFile::change`] before they use what they computed. Linux only; elsewhere it does nothing.
///
/// [`MappedFile::change`]: crate::MappedFile::change
pub fn survive_truncation() {
    #[cfg(target_os = "linux")]
    // SAFETY: the handler does only what is allowed in one: it reads atomics and calls mmap and signal. The structure
    // is valid when zeroed, and is filled in as sigaction(2) asks.
    #[allow(unsafe_code)]
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid structure to handlers with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    for slot in &SLOTS {
        let (start, length) = (slot.start.load(Ordering::Acquire), slot.length.load(Ordering::Acquire));
        if length == 0 || address < start || address - start >= length {
            continue;
        }
        let how = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range is a map of this process that is only ever read. It stays mapped while it is in the table:
        // the thread that was stopped here is reading it, and so holds it. All types read from maps accept zeros.
        let zeros = unsafe { libc::mmap(start as *mut libc::c_void, length, libc::PROT_READ, how, -1, 0) };
        if zeros != libc::MAP_FAILED {
            slot.lost.store(true, Ordering::Release);
            return;
        }
    }
    // Not one of our maps: with the default action restored, the same fault comes again and ends the program.
    // SAFETY: signal(2) may be called in a handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::survive_truncation;
    use crate::MappedFile;

    #[test]
    fn a_file_that_is_cut_short_reads_as_zeros_and_says_so() {
        survive_truncation();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights");
        std::fs::write(&path, vec![7; 3 * 4096 + 5]).unwrap();
        let (file, other) = (MappedFile::open(&path).unwrap(), MappedFile::open(&path).unwrap());
        assert_eq!((file.change(), file[3 * 4096]), (None, 7));
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        // Known before anything beyond its end is read.
        assert!(other.change().unwrap().contains("12293 bytes, now 100"), "{:?}", other.change());
        assert_eq!(file[2 * 4096], 0);
        assert!(file.change().is_some());
        assert_eq!(file[0], 0, "the whole map is replaced");
        std::fs::write(&path, vec![7; 3 * 4096 + 5]).unwrap();
        assert!(file.change().is_some(), "what was lost does not come back with the file");
        drop((file, other));
        assert_eq!(MappedFile::open(&path).unwrap().change(), None);
    }

    #[test]
    fn a_file_that_is_overwritten_says_so_and_one_that_is_replaced_or_removed_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("weights"), dir.path().join("new"));
        std::fs::write(&path, [7; 64]).unwrap();
        let file = MappedFile::open(&path).unwrap();
        std::fs::write(&new, [8; 64]).unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert_eq!((file.change(), file[0]), (None, 7));
        let file = MappedFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((file.change(), file[0]), (None, 8));
        std::fs::write(&path, [9; 64]).unwrap();
        let file = MappedFile::open(&path).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        let writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        writer.set_modified(later).unwrap();
        assert!(file.change().unwrap().contains("written to"));
    }
}
