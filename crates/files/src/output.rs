//! A file that a user names for results: it appears whole under its name, and only once all of it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext};
use crate::file::{parent_and_name, sync_dir};
use crate::leftovers::{claim, clean_leftovers_of};
use crate::scratch::{forget, put_in_place};

/// Results on their way into a file. A regular file is written beside its place and takes it in
/// [`OutputFile::commit`]; until then, and if this is dropped before, the place holds what it held. Pipes and devices
/// cannot be replaced and are written straight.
///
/// Unlike [`write_file`](crate::write_file) it makes no folders, because a mistyped one should not appear.
#[derive(Debug)]
pub struct OutputFile {
    out: BufWriter<File>,
    /// As the user wrote it.
    shown: PathBuf,
    /// The file beside its place, and the place; none for what is written straight.
    moves: Option<(PathBuf, PathBuf)>,
}

impl OutputFile {
    /// Opens `path` for writing. A link keeps its place, and the file that it names is replaced. An earlier file's
    /// permissions are kept.
    ///
    /// # Errors
    /// A folder in the file's place, a missing parent, or another I/O error.
    pub fn create(path: impl AsRef<Path>) -> Result<OutputFile, Error> {
        let path = path.as_ref();
        let found = fs::metadata(path).ok();
        if found.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(Error::io("write", path, io::ErrorKind::IsADirectory.into()));
        }
        // `/dev/stdout` may name a regular file, which the shell has opened; appending suits `>` and `>>`.
        let device = ["/dev", "/proc"].iter().any(|root| path.starts_with(root));
        if found.as_ref().is_some_and(|found| device || !found.is_file()) {
            let file = OpenOptions::new().append(true).open(path).io_context("write", path)?;
            return Ok(OutputFile { out: BufWriter::new(file), shown: path.to_path_buf(), moves: None });
        }
        let target = if path.is_symlink() { followed(path)? } else { path.to_path_buf() };
        let (parent, name) = parent_and_name(&target)?;
        let _ = clean_leftovers_of(&target); // a folder that may not be listed may still be written to
        let (temp, file) = claim(&parent, &name, |at| File::create_new(at)).io_context("write", path)?;
        let output = OutputFile {
            out: BufWriter::with_capacity(1 << 16, file),
            shown: path.to_path_buf(),
            moves: Some((temp, target)),
        };
        if let Some(found) = found {
            // Whoever may not write the file may not replace it either.
            OpenOptions::new().append(true).open(path).io_context("write", path)?;
            output.out.get_ref().set_permissions(found.permissions()).io_context("write", path)?;
        }
        Ok(output)
    }

    /// Writes the rest and puts the file in its place.
    ///
    /// # Errors
    /// The I/O error; the earlier file is then unchanged.
    pub fn commit(mut self) -> Result<(), Error> {
        self.out.flush().io_context("write", &self.shown)?;
        let Some((temp, target)) = self.moves.as_ref() else { return Ok(()) };
        let synced = self.out.get_ref().sync_all();
        synced.and_then(|()| put_in_place(|| fs::rename(temp, target))).io_context("write", &self.shown)?;
        forget(temp);
        let parent = parent_and_name(target)?.0;
        self.moves = None;
        sync_dir(&parent)
    }
}

/// The file that a link names, which need not be there yet.
fn followed(link: &Path) -> Result<PathBuf, Error> {
    match fs::canonicalize(link) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let target = fs::read_link(link).io_context("read", link)?;
            Ok(link.parent().unwrap_or(Path::new(".")).join(target))
        }
        found => found.io_context("write", link),
    }
}

/// Errors are plain I/O errors; [`OutputFile::commit`] names the path.
impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some((temp, _)) = &self.moves {
            let _ = fs::remove_file(temp); // the next writer's `clean_leftovers_of` removes the rest
            forget(temp);
        }
    }
}

/// Writes `bytes` to an [`OutputFile`].
///
/// # Errors
/// As [`OutputFile::create`] and [`OutputFile::commit`].
pub fn write_output(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    let mut output = OutputFile::create(path)?;
    output.write_all(bytes).io_context("write", path)?;
    output.commit()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::leftovers::tests::names;

    #[test]
    fn the_earlier_file_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut output = OutputFile::create(&path).unwrap();
        output.write_all(b"half").unwrap();
        output.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"old".to_vec(), vec!["out".to_string()]));
        write_output(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["out".to_string()]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_killed_writer_left_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".out.tmp-99999999-4"), b"half").unwrap();
        write_output(dir.path().join("out"), b"new").unwrap();
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn a_link_keeps_its_place() {
        let dir = tempfile::tempdir().unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        for text in ["one", "two"] {
            write_output(dir.path().join("link"), text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), text);
            assert_eq!(names(dir.path()), ["file", "link"]);
        }
    }

    #[test]
    fn devices_are_written_straight_and_folders_refused() {
        write_output("/dev/null", b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let dir = tempfile::tempdir().unwrap();
        let error = write_output(dir.path(), b"x").unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write {}", dir.path().display())), "{error}");
        let error = write_output(dir.path().join("no/out"), b"x").unwrap_err().to_string();
        assert_eq!(error, format!("cannot write {0}/no/out: there is no folder {0}/no", dir.path().display()));
    }
}
