//! Files and folders that are wholly there or not at all, whatever moment the process dies or the power fails.
//!
//! A folder `NAME` is written beside itself as `.NAME.tmp-PID-N`; every file and directory in it is synced, then it is
//! renamed into place and the parent directory is synced. Until the rename nothing of an earlier `NAME` is touched.
//! An existing folder is exchanged for the new one in one step where the system can do that (Linux, macOS), else it is
//! first renamed to `.NAME.old-PID-N`; [`clean_leftovers`] undoes that if the process died in between.
//!
//! The writer holds a kernel lock on its temporary folder, so that cleaning tells a dead writer's remains from a live
//! writer's work.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::checksums::{Checksums, Entry, Hasher, SUMS_FILE};
use crate::error::Error;

/// What to do when the destination of a folder is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`Error::Exists`].
    Refuse,
    /// Put the new folder in its place; the earlier one is removed only after that.
    Replace,
}

/// Writes `bytes` to `path` so that it holds either its earlier content or all of `bytes`. Missing parent folders are
/// made.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    let (parent, name) = split(path)?;
    create_dirs(&parent)?;
    let (temp, file) = claim(&parent, &name, |at| File::create_new(at)).map_err(|e| Error::io("write", path, e))?;
    let written = (&file).write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temp, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temp); // the first error is the one to tell
        return Err(Error::io("write", path, error));
    }
    sync_dir(&parent)
}

/// Makes `path` a symbolic link to `target`, replacing an earlier link in one step.
pub(crate) fn write_link(path: &Path, target: &Path) -> Result<(), Error> {
    let (parent, name) = split(path)?;
    let error = |e| Error::io("link", path, e);
    let temp = loop {
        let temp = parent.join(hidden(&name, "tmp"));
        match std::os::unix::fs::symlink(target, &temp) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            made => break made.map(|()| temp).map_err(error)?,
        }
    };
    if let Err(e) = fs::rename(&temp, path) {
        let _ = fs::remove_file(&temp);
        return Err(error(e));
    }
    sync_dir(&parent)
}

/// A folder being written; it appears at its place, with its `SHA256SUMS`, on [`FolderWriter::commit`]. Dropped before
/// that, it leaves nothing behind.
#[derive(Debug)]
pub struct FolderWriter {
    target: PathBuf,
    temp: PathBuf,
    _lock: File,
    sums: Checksums,
    committed: bool,
}

impl FolderWriter {
    /// Starts the folder `target`; missing parents are made. Nothing is visible at `target` yet.
    pub fn new(target: impl AsRef<Path>) -> Result<FolderWriter, Error> {
        let target = target.as_ref().to_path_buf();
        let (parent, name) = split(&target)?;
        create_dirs(&parent)?;
        let (temp, lock) = claim(&parent, &name, |at| fs::create_dir(at).and_then(|()| File::open(at)))
            .map_err(|e| Error::io("make the folder", &target, e))?;
        Ok(FolderWriter { target, temp, _lock: lock, sums: Checksums::default(), committed: false })
    }

    /// The temporary folder, for libraries that insist on writing files themselves. Such files are read again on
    /// [`FolderWriter::commit`] for their checksums; those of [`FolderWriter::file`] are not.
    pub fn path(&self) -> &Path {
        &self.temp
    }

    /// Writes the file `name` (relative, may contain `/`) through `fill` and syncs it.
    pub fn file(&mut self, name: &str, fill: impl FnOnce(&mut FileWriter) -> Result<(), Error>) -> Result<(), Error> {
        Checksums::check_name(name)?;
        let (temp, shown) = (self.temp.join(name), self.target.join(name));
        if let Some(parent) = temp.parent().filter(|parent| *parent != self.temp) {
            fs::create_dir_all(parent).map_err(|e| Error::io("make the folder of", &shown, e))?;
        }
        let file = File::create_new(&temp).map_err(|e| Error::io("write", &shown, e))?;
        let mut writer = FileWriter::new(file, shown);
        fill(&mut writer)?;
        let entry = writer.finish()?;
        self.sums.insert(name, entry);
        Ok(())
    }

    /// Writes the file `name` with the given content.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.file(name, |file| file.write_all(bytes))
    }

    /// Adds `SHA256SUMS`, syncs everything and puts the folder in its place. Returns that place.
    pub fn commit(mut self, existing: Existing) -> Result<PathBuf, Error> {
        let target = self.target.clone();
        if existing == Existing::Refuse && is_there(&target) {
            return Err(Error::Exists { path: target });
        }
        let mut dirs = vec![self.temp.clone()];
        let mut next = 0;
        while next < dirs.len() {
            let dir = dirs[next].clone();
            next += 1;
            for found in fs::read_dir(&dir).map_err(|e| Error::io("list", &dir, e))? {
                let path = found.map_err(|e| Error::io("list", &dir, e))?.path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    self.adopt(&path)?;
                }
            }
        }
        let text = self.sums.to_text();
        let shown = self.target.join(SUMS_FILE);
        let file = File::create_new(self.temp.join(SUMS_FILE)).map_err(|e| Error::io("write", &shown, e))?;
        let mut writer = FileWriter::new(file, shown);
        writer.write_all(text.as_bytes())?;
        writer.finish()?;
        for dir in dirs.iter().rev() {
            sync_dir(dir)?;
        }
        install(&self.temp, &target, existing, exchange)?;
        self.committed = true;
        Ok(target)
    }

    /// Syncs a file that was not written through [`FolderWriter::file`] and takes its checksum.
    fn adopt(&mut self, path: &Path) -> Result<(), Error> {
        let relative = path.strip_prefix(&self.temp).unwrap_or(path);
        let shown = self.target.join(relative);
        let Some(name) = relative.to_str() else {
            return Err(Error::Invalid(format!("{}: the file name is not UTF-8", shown.display())));
        };
        if !self.sums.contains(name) {
            Checksums::check_name(name)?;
            File::open(path).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", &shown, e))?;
            self.sums.insert(name, Entry::of_file(path)?);
        }
        Ok(())
    }
}

impl Drop for FolderWriter {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_dir_all(&self.temp); // what remains, `clean_leftovers` removes
        }
    }
}

/// A file being written, which counts and hashes what passes through it. Errors name its final path.
#[derive(Debug)]
pub struct FileWriter {
    file: BufWriter<File>,
    hasher: Hasher,
    shown: PathBuf,
}

impl FileWriter {
    fn new(file: File, shown: PathBuf) -> FileWriter {
        FileWriter { file: BufWriter::with_capacity(1 << 18, file), hasher: Hasher::default(), shown }
    }

    /// Appends `bytes`.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|e| Error::io("write", &self.shown, e))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// The path that the file will have.
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// Syncs the file to the disk, where a full disk may show itself only now.
    fn finish(mut self) -> Result<Entry, Error> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        flushed.map_err(|e| Error::io("write", &self.shown, e))?;
        Ok(self.hasher.finish())
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes what writers that died left in `parent`, and puts back a folder that was moved aside and not yet replaced.
/// The work of a living writer is left alone. Returns the paths removed or put back; a missing `parent` is no error.
pub fn clean_leftovers(parent: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    clean(parent.as_ref(), None)
}

/// As [`clean_leftovers`], but only what writers of the folder `target` left: for parents that others use as well.
pub fn clean_leftovers_of(target: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    let (parent, name) = split(target.as_ref())?;
    clean(&parent, Some(&name))
}

fn clean(parent: &Path, only: Option<&str>) -> Result<Vec<PathBuf>, Error> {
    let found = match fs::read_dir(parent) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(|e| Error::io("list", parent, e))?,
    };
    let mut cleaned = Vec::new();
    for entry in found {
        let path = entry.map_err(|e| Error::io("list", parent, e))?.path();
        let Some((name, kind)) = path.file_name().and_then(|n| n.to_str()).and_then(parse_hidden) else { continue };
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let is_link = path.is_symlink();
        let lock = if is_link { None } else { File::open(&path).ok() };
        if lock.as_ref().is_some_and(|f| matches!(f.try_lock(), Err(TryLockError::WouldBlock))) {
            continue; // its writer lives
        }
        let original = parent.join(name);
        if kind == "old" && !is_there(&original) {
            fs::rename(&path, &original).map_err(|e| Error::io("put back", &original, e))?;
            cleaned.push(original);
            continue;
        }
        let removed = if path.is_dir() && !is_link { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path, e)),
            _ => cleaned.push(path),
        }
    }
    if !cleaned.is_empty() {
        sync_dir(parent)?;
    }
    Ok(cleaned)
}

/// Removes a folder so that a kill halfway never leaves a half-removed folder under its name.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    let (parent, name) = split(path)?;
    let doomed = parent.join(hidden(&name, "tmp"));
    fs::rename(path, &doomed).map_err(|e| Error::io("remove", path, e))?;
    sync_dir(&parent)?;
    fs::remove_dir_all(&doomed).map_err(|e| Error::io("remove", path, e))
}

/// Makes a folder and its missing parents, each synced into its parent.
pub(crate) fn create_dirs(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let (parent, _) = split(path)?;
    create_dirs(&parent)?;
    match fs::create_dir(path) {
        Err(e) if !(e.kind() == io::ErrorKind::AlreadyExists && path.is_dir()) => {
            Err(Error::io("make the folder", path, e))
        }
        _ => sync_dir(&parent),
    }
}

/// Syncs a directory's entries. File systems that cannot do that (some network ones) are not asked twice.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    match File::open(path).and_then(|dir| dir.sync_all()) {
        Err(e) if !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(Error::io("sync", path, e))
        }
        _ => Ok(()),
    }
}

/// Whether something has that name, a dangling link included.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Puts the complete folder `temp` at `target`.
fn install(
    temp: &Path,
    target: &Path,
    existing: Existing,
    exchange: impl Fn(&Path, &Path) -> io::Result<()>,
) -> Result<(), Error> {
    let (parent, name) = split(target)?;
    let error = |e| Error::io("put in place", target, e);
    if !is_there(target) {
        fs::rename(temp, target).map_err(error)?;
        return sync_dir(&parent);
    }
    if existing == Existing::Refuse {
        return Err(Error::Exists { path: target.to_path_buf() });
    }
    let old = match exchange(temp, target) {
        Ok(()) => temp.to_path_buf(),
        Err(_) => {
            let lock = File::open(target).map_err(error)?;
            let _ = lock.try_lock(); // keeps cleaning elsewhere from putting it back too early
            let old = parent.join(hidden(&name, "old"));
            fs::rename(target, &old).map_err(error)?;
            if let Err(e) = fs::rename(temp, target) {
                let _ = fs::rename(&old, target);
                return Err(error(e));
            }
            old
        }
    };
    sync_dir(&parent)?;
    let _ = fs::remove_dir_all(&old); // the new folder stands; what remains, `clean_leftovers` removes
    Ok(())
}

/// Swaps two paths in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes a temporary file or folder beside `name` and locks it for the life of the returned handle.
fn claim(parent: &Path, name: &str, make: impl Fn(&Path) -> io::Result<File>) -> io::Result<(PathBuf, File)> {
    loop {
        let path = parent.join(hidden(name, "tmp"));
        let file = match make(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        };
        match file.try_lock() {
            // A cleaner came between making and locking: it holds the lock, or has removed the path already.
            Err(TryLockError::WouldBlock) => continue,
            Ok(()) if !is_there(&path) => continue,
            // A file system without locks: cleaning is then only safe under the run's own lock.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok((path, file)),
        }
    }
}

/// `.NAME.KIND-PID-N`, another N at each call.
fn hidden(name: &str, kind: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(".{name}.{kind}-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The original name and the kind (`tmp` or `old`) of a name that [`hidden`] made.
fn parse_hidden(name: &str) -> Option<(&str, &str)> {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (rest, n) = name.strip_prefix('.')?.rsplit_once('-')?;
    let (rest, pid) = rest.rsplit_once('-')?;
    let (original, kind) = rest.rsplit_once('.')?;
    (digits(n) && digits(pid) && !original.is_empty() && matches!(kind, "tmp" | "old")).then_some((original, kind))
}

/// The folder that holds `path`, and its name there.
fn split(path: &Path) -> Result<(PathBuf, String), Error> {
    let name = path.file_name().and_then(|n| n.to_str());
    let Some(name) = name else {
        return Err(Error::Invalid(format!("{} has no usable last part; name a file or folder", path.display())));
    };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent.to_path_buf(), name.to_string()))
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
