//! Folders that were found sound before. Reading and hashing a model takes about a second per gigabyte, which is more
//! than all else that a short translation does, so it is done once, and a note in the user's cache remembers it.
//!
//! A note holds the stamps of a folder's files: device, inode, length, and when content and inode were last changed.
//! Whatever writes to a file or puts another in its place changes its stamp, because no program can set the time of an
//! inode's change. A disk that loses bits by itself changes no stamp; only reading everything again finds that.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::checksums::Checksums;
use crate::digest::{Digest, Hasher};
use crate::error::Error;
use crate::file::write_file;

/// What a check looks for; other than this, and old notes count no more.
const CHECKS: &str = "sha256 finite 1";

/// Files that were changed more recently are not remembered: they could change once more within a tick of the file
/// system's clock, which is up to two seconds.
const TICK: Duration = Duration::from_secs(2);

/// Runs `verify` unless it found this folder sound before and no file that `sums` lists was touched since. Where there
/// is no cache to write to, it always runs.
///
/// # Errors
/// What `verify` finds.
pub fn once<E: From<Error>>(folder: &Path, sums: &Checksums, verify: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    once_in(cache().as_deref(), SystemTime::now(), folder, sums, verify)
}

fn once_in<E: From<Error>>(
    cache: Option<&Path>,
    now: SystemTime,
    folder: &Path,
    sums: &Checksums,
    verify: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    // A file that cannot be looked at is the check's to report.
    let (Some(note), Some(stamps)) = (cache.and_then(|cache| note(cache, folder)), Stamps::of(folder, sums)) else {
        return verify();
    };
    let found = fs::read_to_string(&note).unwrap_or_default();
    if found.split(' ').next() == Some(&stamps.hex) {
        return Ok(());
    }
    verify()?;
    let is_old = now.duration_since(stamps.newest).is_ok_and(|age| age > TICK);
    if is_old && Stamps::of(folder, sums).is_some_and(|after| after.hex == stamps.hex) {
        // Without a note the next check reads everything again, and that is all.
        let _ = write_file(&note, format!("{} {}\n", stamps.hex, folder.display()).as_bytes());
    }
    Ok(())
}

/// Where the notes are: below `$XDG_CACHE_HOME`, or `~/.cache`; none without either.
pub fn cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let root = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(root.join("strata").join("verified"))
}

/// Where the note on `folder` is.
fn note(cache: &Path, folder: &Path) -> Option<PathBuf> {
    let place = folder.canonicalize().ok()?;
    Some(cache.join(&Digest::of(place.as_os_str().as_encoded_bytes()).hex()[..32]))
}

/// How the files of a folder look from outside.
struct Stamps {
    /// Digest of all of them, and of what the checksum file says.
    hex: String,
    /// When the last of them was changed.
    newest: SystemTime,
}

impl Stamps {
    /// `None` where a file cannot be looked at.
    fn of(folder: &Path, sums: &Checksums) -> Option<Stamps> {
        let mut hasher = Hasher::default();
        hasher.update(CHECKS.as_bytes());
        hasher.update(sums.to_text().as_bytes());
        let mut newest = SystemTime::UNIX_EPOCH;
        for name in sums.names() {
            let file = fs::metadata(folder.join(name)).ok()?;
            let changed = Duration::new(file.ctime().try_into().ok()?, file.ctime_nsec().try_into().ok()?);
            newest = newest.max(SystemTime::UNIX_EPOCH + changed);
            let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
            hasher.update(format!("{} {} {} {times:?}\n", file.dev(), file.ino(), file.len()).as_bytes());
        }
        Some(Stamps { hex: hasher.finish().hex(), newest })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::folder::{Existing, FolderWriter};

    /// A folder, a cache, and how often the folder was verified.
    struct Case {
        dir: tempfile::TempDir,
        runs: Cell<usize>,
    }

    impl Case {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut folder = FolderWriter::new(dir.path().join("m")).unwrap();
            folder.write("a", b"abc").unwrap();
            folder.write("b", b"def").unwrap();
            folder.commit(Existing::Refuse).unwrap();
            Self { dir, runs: Cell::new(0) }
        }

        fn file(&self, name: &str) -> PathBuf {
            self.dir.path().join("m").join(name)
        }

        /// Verifies as if `later` had passed; whether it found the folder sound, and whether it had to look.
        fn check_after(&self, later: Duration, cache: &str) -> (bool, bool) {
            let (folder, before) = (self.dir.path().join("m"), self.runs.get());
            let sums = Checksums::read(&folder).unwrap();
            let cache = self.dir.path().join(cache);
            let found = once_in(Some(&cache), SystemTime::now() + later, &folder, &sums, || {
                self.runs.set(before + 1);
                sums.verify_all(&folder)
            });
            (found.is_ok(), self.runs.get() > before)
        }

        fn check(&self) -> (bool, bool) {
            self.check_after(Duration::from_secs(10), "cache")
        }
    }

    const SOUND_SEEN: (bool, bool) = (true, true);
    const SOUND_KNOWN: (bool, bool) = (true, false);

    #[test]
    fn a_folder_is_verified_once() {
        let case = Case::new();
        assert_eq!([case.check(), case.check(), case.check()], [SOUND_SEEN, SOUND_KNOWN, SOUND_KNOWN]);
    }

    #[test]
    fn whatever_touches_a_file_is_noticed_also_with_its_old_length_and_time() {
        let case = Case::new();
        case.check();
        let modified = fs::metadata(case.file("a")).unwrap().modified().unwrap();
        fs::write(case.file("a"), b"abd").unwrap();
        fs::File::options().append(true).open(case.file("a")).unwrap().set_modified(modified).unwrap();
        assert_eq!((case.check(), case.check()), ((false, true), (false, true)), "damage is not remembered");
        fs::write(case.file("a"), b"abc").unwrap();
        assert_eq!((case.check(), case.check()), (SOUND_SEEN, SOUND_KNOWN));
        // Another file in its place, as package managers and `strata export` put it there.
        fs::write(case.file("new"), b"dex").unwrap();
        fs::rename(case.file("new"), case.file("b")).unwrap();
        assert_eq!(case.check(), (false, true));
        fs::remove_file(case.file("b")).unwrap();
        assert_eq!(case.check(), (false, true));
    }

    #[test]
    fn other_checksums_are_another_folder() {
        let case = Case::new();
        case.check();
        let text = fs::read_to_string(case.file("SHA256SUMS")).unwrap();
        fs::write(case.file("SHA256SUMS"), text.replace("ba78", "ba79")).unwrap();
        assert_eq!(case.check(), (false, true));
    }

    #[test]
    fn what_was_just_written_is_not_remembered() {
        let case = Case::new();
        assert_eq!(case.check_after(Duration::ZERO, "cache"), SOUND_SEEN);
        assert_eq!(case.check_after(Duration::ZERO, "cache"), SOUND_SEEN);
    }

    #[test]
    fn without_a_cache_to_write_to_it_is_verified_each_time() {
        let case = Case::new();
        fs::write(case.dir.path().join("file"), b"").unwrap();
        let check = || case.check_after(Duration::from_secs(10), "file/cache");
        assert_eq!((check(), check()), (SOUND_SEEN, SOUND_SEEN));
    }
}
