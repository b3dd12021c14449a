//! A folder of files that appears whole or not at all, with the checksums of all its files.
//!
//! A folder `NAME` is written beside itself as `.NAME.tmp-PID-N`; every file and folder in it is synced, then it is
//! renamed into place and its parent is synced. Until the rename nothing of an earlier `NAME` is touched. An existing
//! folder is exchanged for the new one in one step where the system can do that (Linux, macOS); elsewhere it is first
//! moved to `.NAME.old-PID-N`, and [`clean_leftovers`](crate::clean_leftovers) undoes that if the process died in
//! between.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checksums::{Checksums, SUMS_FILE};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, IoContext};
use crate::file::{exists, parent_and_name, sync_dir, to_json};
use crate::scratch::put_in_place;
use crate::staging::Staging;
use crate::temporary::temporary;

/// What to do when the destination of a folder is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`Error::Exists`].
    Refuse,
    /// Put the new folder in its place; the earlier one is removed only after that.
    Replace,
}

/// A folder being written; it appears at its place, with its `SHA256SUMS`, on [`FolderWriter::commit`]. Dropped before
/// that, it leaves nothing behind.
#[derive(Debug)]
pub struct FolderWriter {
    target: PathBuf,
    staging: Staging,
    sums: Checksums,
}

impl FolderWriter {
    /// Starts the folder `target`; missing parents are made. Nothing is visible at `target` yet.
    ///
    /// # Errors
    /// [`Error::BadName`] for a path without a last part, else the I/O error.
    pub fn new(target: impl AsRef<Path>) -> Result<FolderWriter, Error> {
        let target = target.as_ref().to_path_buf();
        let staging = Staging::new(&target)?;
        Ok(FolderWriter { target, staging, sums: Checksums::default() })
    }

    /// The temporary folder, for writers that need a path. [`FolderWriter::commit`] reads their files again for the
    /// checksums; what went through [`FolderWriter::file`] was hashed on the way.
    pub fn path(&self) -> &Path {
        self.staging.path()
    }

    /// Writes the file `name` (relative, may contain `/`) through `fill` and syncs it.
    ///
    /// # Errors
    /// [`Error::BadName`] for a name that leaves the folder, the I/O error, or what `fill` fails with.
    pub fn file<E: From<Error>>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut FileWriter) -> Result<(), E>,
    ) -> Result<(), E> {
        Checksums::check_name(name)?;
        let (temp, shown) = (self.path().join(name), self.target.join(name));
        // One by one, so that the temporary folder itself is not made again once it was cleared away.
        let mut folder = self.path().to_path_buf();
        for part in Path::new(name).parent().into_iter().flat_map(Path::components) {
            folder.push(part);
            match fs::create_dir(&folder) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.io_context("make the folder of", &shown)?,
            }
        }
        let file = File::create_new(&temp).io_context("write", &shown)?;
        let mut writer = FileWriter::new(file, shown);
        fill(&mut writer)?;
        self.sums.insert(name, writer.finish()?);
        Ok(())
    }

    /// Writes the file `name` with the given content.
    ///
    /// # Errors
    /// As [`FolderWriter::file`].
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.file(name, |file| file.write_all(bytes))
    }

    /// Writes the file `name` with a value as indented JSON.
    ///
    /// # Errors
    /// As [`FolderWriter::file`], or [`Error::Io`] for a value that has no JSON form.
    pub fn write_json(&mut self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let bytes = to_json(&self.target.join(name), value)?;
        self.write(name, &bytes)
    }

    /// Adds `SHA256SUMS`, syncs everything and puts the folder in its place. Returns that place.
    ///
    /// # Errors
    /// [`Error::Exists`] where a folder is not to be replaced, else the I/O error. The earlier folder is then
    /// unchanged.
    pub fn commit(mut self, existing: Existing) -> Result<PathBuf, Error> {
        let target = self.target.clone();
        if existing == Existing::Refuse && exists(&target) {
            return Err(Error::Exists { path: target });
        }
        let mut dirs = vec![self.path().to_path_buf()];
        let mut next = 0;
        while next < dirs.len() {
            let dir = dirs[next].clone();
            next += 1;
            for found in fs::read_dir(&dir).io_context("list", &dir)? {
                let path = found.io_context("list", &dir)?.path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    self.adopt(&path)?;
                }
            }
        }
        let text = self.sums.to_text();
        let shown = self.target.join(SUMS_FILE);
        let file = File::create_new(self.path().join(SUMS_FILE)).io_context("write", &shown)?;
        let mut writer = FileWriter::new(file, shown);
        writer.write_all(text.as_bytes())?;
        writer.finish()?;
        for dir in dirs.iter().rev() {
            sync_dir(dir)?;
        }
        install(self.path(), &target, existing, exchange)?;
        Ok(target)
    }

    /// Syncs a file that was not written through [`FolderWriter::file`] and takes its checksum.
    fn adopt(&mut self, path: &Path) -> Result<(), Error> {
        let relative = path.strip_prefix(self.path()).unwrap_or(path);
        let shown = self.target.join(relative);
        let Some(name) = relative.to_str() else {
            return Err(Error::BadName(format!("{}: the file name is not UTF-8", shown.display())));
        };
        if !self.sums.contains(name) {
            Checksums::check_name(name)?;
            File::open(path).and_then(|f| f.sync_all()).io_context("sync", &shown)?;
            self.sums.insert(name, Digest::of_file(path)?);
        }
        Ok(())
    }
}

/// A file being written; it hashes what passes through it. Errors name its final path.
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
    ///
    /// # Errors
    /// The I/O error, such as [`Error::NoSpace`].
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).io_context("write", &self.shown)?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// The path that the file will have.
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// Syncs the file. A full disk may show only here.
    fn finish(mut self) -> Result<Digest, Error> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        flushed.io_context("write", &self.shown)?;
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

/// Puts the complete folder `temp` at `target`.
fn install(
    temp: &Path,
    target: &Path,
    existing: Existing,
    exchange: impl Fn(&Path, &Path) -> io::Result<()>,
) -> Result<(), Error> {
    let (parent, name) = parent_and_name(target)?;
    let error = |e| Error::io("put in place", target, e);
    if !exists(target) {
        put_in_place(|| fs::rename(temp, target)).map_err(error)?;
        return sync_dir(&parent);
    }
    if existing == Existing::Refuse {
        return Err(Error::Exists { path: target.to_path_buf() });
    }
    let old = put_in_place(|| {
        if exchange(temp, target).is_ok() {
            return Ok(temp.to_path_buf());
        }
        let lock = File::open(target)?;
        let _ = lock.try_lock(); // so that no cleaner puts it back too early
        let old = parent.join(temporary(&name, "old"));
        fs::rename(target, &old)?;
        fs::rename(temp, target).inspect_err(|_| drop(fs::rename(&old, target)))?;
        Ok(old)
    });
    let old = old.map_err(error)?;
    sync_dir(&parent)?;
    let _ = fs::remove_dir_all(&old); // the new folder is in place; `clean_leftovers` removes the rest
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

#[cfg(test)]
mod tests;
