//! `SHA256SUMS`: the SHA-256 of every file of a folder, in the format that `sha256sum -c SHA256SUMS` checks. Comment
//! lines give the sizes, so that a file that was cut short can be told from one that was changed.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::digest::Digest;
use crate::error::{Error, IoContext};
use crate::numbers::thousands;

/// The name of the checksum file in every folder.
pub const SUMS_FILE: &str = "SHA256SUMS";

/// What `SHA256SUMS` says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its length in bytes; `None` if the checksum file came from elsewhere and has no size comments.
    pub bytes: Option<u64>,
}

/// The checksums of a folder's files by relative name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    files: BTreeMap<String, Entry>,
}

impl Checksums {
    /// Reads `folder/SHA256SUMS`.
    ///
    /// # Errors
    /// [`Error::Missing`] or another I/O error, [`Error::Damaged`] for a file that is not a list of checksums.
    pub fn read(folder: impl AsRef<Path>) -> Result<Checksums, Error> {
        let path = folder.as_ref().join(SUMS_FILE);
        let bytes = crate::regular::read(&path)?;
        let damaged = |what: String| Error::Damaged { path: path.clone(), what };
        let text = String::from_utf8(bytes).map_err(|_| damaged("not UTF-8 text".to_string()))?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(damaged("its last line is cut short".to_string()));
        }
        Checksums::parse(&text).map_err(damaged)
    }

    fn parse(text: &str) -> Result<Checksums, String> {
        let mut files = BTreeMap::new();
        let mut sizes = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("line {}: {what}", number + 1);
            if let Some(comment) = line.strip_prefix('#') {
                if let Some((bytes, name)) = comment.strip_prefix(" bytes ").and_then(|c| c.split_once(' ')) {
                    sizes.insert(name, bytes.parse::<u64>().map_err(|_| wrong("the size is no number"))?);
                }
                continue;
            }
            // `HEX  NAME`, or `HEX *NAME` as written by `sha256sum --binary`.
            let (hex, name) = line.split_at_checked(64).ok_or_else(|| wrong("expected `HEX  NAME`"))?;
            let sha256 = from_hex(hex).ok_or_else(|| wrong("the checksum is not 64 hexadecimal digits"))?;
            let name = name.strip_prefix("  ").or(name.strip_prefix(" *")).ok_or_else(|| wrong("no file name"))?;
            Checksums::check_name(name).map_err(|e| wrong(&e.to_string()))?;
            if files.insert(name.to_string(), Entry { sha256, bytes: None }).is_some() {
                return Err(wrong("the file is listed twice"));
            }
        }
        for (name, bytes) in sizes {
            files.get_mut(name).ok_or_else(|| format!("a size but no checksum for {name}"))?.bytes = Some(bytes);
        }
        Ok(Checksums { files })
    }

    /// The content of the checksum file.
    pub fn to_text(&self) -> String {
        let mut text = format!("# SHA-256 of the files of this folder; check with: sha256sum -c {SUMS_FILE}\n");
        for (name, entry) in &self.files {
            if let Some(bytes) = entry.bytes {
                text += &format!("# bytes {bytes} {name}\n");
            }
            for byte in entry.sha256 {
                text += &format!("{byte:02x}");
            }
            text += &format!("  {name}\n");
        }
        text
    }

    /// The listed names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether a file is listed.
    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub(crate) fn insert(&mut self, name: &str, Digest { sha256, bytes }: Digest) {
        self.files.insert(name.to_string(), Entry { sha256, bytes: Some(bytes) });
    }

    /// Checks one file of `folder` by content.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::CutShort`] or [`Error::Damaged`], else the I/O error.
    pub fn verify(&self, folder: impl AsRef<Path>, name: &str) -> Result<(), Error> {
        let (folder, path) = (folder.as_ref(), folder.as_ref().join(name));
        let entry = self.listed(folder, name)?;
        let size = self.verify_size(folder, name);
        if matches!(size, Err(Error::Missing { .. })) {
            return size;
        }
        let found = Digest::of_file(&path)?;
        match (found.sha256 == entry.sha256, size) {
            (true, Ok(())) => Ok(()),
            (false, Ok(())) => Err(Error::Damaged { path, what: "checksum differs".to_string() }),
            (false, Err(size)) => Err(size),
            // The content is right, so it is the size comment that changed.
            (true, Err(_)) => {
                Err(Error::Damaged { path: folder.join(SUMS_FILE), what: format!("it gives a wrong size for {name}") })
            }
        }
    }

    /// Checks only that a file is there and has the listed length, where a length is listed.
    ///
    /// # Errors
    /// As [`Checksums::verify`].
    pub fn verify_size(&self, folder: impl AsRef<Path>, name: &str) -> Result<(), Error> {
        let path = folder.as_ref().join(name);
        let entry = self.listed(folder.as_ref(), name)?;
        let metadata = fs::metadata(&path).io_context("read", &path)?;
        if !metadata.is_file() {
            return Err(Error::Damaged { path, what: "not a regular file".to_string() });
        }
        let found = metadata.len();
        match entry.bytes {
            Some(expected) if found < expected => Err(Error::CutShort { path, found, expected }),
            Some(expected) if found > expected => {
                let what = format!("{} bytes too long", thousands(found - expected));
                Err(Error::Damaged { path, what })
            }
            _ => Ok(()),
        }
    }

    /// Checks every listed file by content, on up to four threads. Files that are not listed are not looked at.
    ///
    /// # Errors
    /// As [`Checksums::verify`], for the first damaged file by name.
    pub fn verify_all(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        // Cheap checks first: a missing or cut file is found before gigabytes are hashed.
        for name in self.names() {
            match self.verify_size(folder, name) {
                Ok(()) => {}
                Err(e @ Error::Missing { .. }) => return Err(e),
                Err(_) => self.verify(folder, name)?,
            }
        }
        // Largest first, so that the threads finish together.
        let mut order: Vec<&str> = self.names().collect();
        order.sort_by_key(|name| std::cmp::Reverse(self.files[*name].bytes));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut failed = Vec::new();
            while let Some(&name) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(e) = self.verify(folder, name) {
                    failed.push((name, e));
                }
            }
            failed
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(order.len()).min(4);
        let mut failed = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut failed = work();
            for other in others {
                match other.join() {
                    Ok(more) => failed.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            failed
        });
        failed.sort_by_key(|(name, _)| *name);
        failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// What is listed of a file that must be listed.
    ///
    /// # Errors
    /// [`Error::Damaged`], of the checksum file, for a file that is not listed.
    pub fn listed(&self, folder: impl AsRef<Path>, name: &str) -> Result<&Entry, Error> {
        let missing =
            || Error::Damaged { path: folder.as_ref().join(SUMS_FILE), what: format!("it does not list {name}") };
        self.files.get(name).ok_or_else(missing)
    }

    /// Refuses names that leave the folder or that a checksum file cannot hold.
    pub(crate) fn check_name(name: &str) -> Result<(), Error> {
        let plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !plain || name == SUMS_FILE || name.contains(['\n', '\r', '\\', '\0']) {
            return Err(Error::BadName(format!("{name:?} is no file name for a folder with checksums")));
        }
        Ok(())
    }
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::{Existing, FolderWriter};
    use std::path::PathBuf;

    fn folder(dir: &Path) -> PathBuf {
        let mut folder = FolderWriter::new(dir.join("m")).unwrap();
        folder.write("abc", b"abc").unwrap();
        folder.write("deep/empty", b"").unwrap();
        folder.write("million", &vec![b'a'; 1_000_000]).unwrap();
        folder.commit(Existing::Refuse).unwrap()
    }

    #[test]
    fn sums_are_those_of_fips_180_4() {
        let dir = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(folder(dir.path()).join(SUMS_FILE)).unwrap();
        let expected = "# SHA-256 of the files of this folder; check with: sha256sum -c SHA256SUMS
# bytes 3 abc
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc
# bytes 0 deep/empty
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  deep/empty
# bytes 1000000 million
cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0  million
";
        assert_eq!(text, expected);
        assert_eq!(Checksums::parse(&text).unwrap().to_text(), text);
    }

    #[test]
    fn the_sha256sum_program_agrees() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let run = || {
            let output = std::process::Command::new("sha256sum").args(["-c", SUMS_FILE]).current_dir(&path).output();
            output.map(|o| (o.status.success(), String::from_utf8_lossy(&o.stderr).into_owned()))
        };
        let Ok((good, stderr)) = run() else {
            return strata_testing::skip("the_sha256sum_program_agrees", "no sha256sum program");
        };
        assert!(good && stderr.is_empty(), "{stderr}");
        fs::write(path.join("abc"), b"abd").unwrap();
        assert!(!run().unwrap().0);
    }

    #[test]
    fn each_kind_of_damage_has_its_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let sums = Checksums::read(&path).unwrap();
        sums.verify_all(&path).unwrap();
        let fails = |expected: &str| {
            let error = sums.verify_all(&path).unwrap_err();
            assert!(error.is_damage());
            assert_eq!(error.to_string(), format!("{}/{expected}", path.display()));
        };
        let mut content = vec![b'a'; 1_000_000];
        content[765_432] ^= 1;
        fs::write(path.join("million"), &content).unwrap();
        fails("million is damaged (checksum differs)");
        sums.verify(&path, "abc").unwrap();
        fs::write(path.join("million"), &content[..999]).unwrap();
        fails("million is cut short (999 of 1,000,000 bytes)");
        content.push(0);
        fs::write(path.join("million"), &content).unwrap();
        fails("million is damaged (1 bytes too long)");
        fs::remove_file(path.join("million")).unwrap();
        fails("million is missing");
        fs::create_dir(path.join("million")).unwrap();
        fails("million is damaged (not a regular file)");
    }

    #[test]
    #[cfg(unix)]
    fn what_never_ends_is_refused_unread() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let sums = Checksums::read(&path).unwrap();
        let file = path.join("million");
        let refused = || {
            let expected = format!("{} is damaged (not a regular file)", file.display());
            assert_eq!(sums.verify(&path, "million").unwrap_err().to_string(), expected);
            assert_eq!(sums.verify_all(&path).unwrap_err().to_string(), expected);
            fs::remove_file(&file).unwrap();
        };
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        refused();
        if !std::process::Command::new("mkfifo").arg(&file).status().is_ok_and(|status| status.success()) {
            return strata_testing::skip("what_never_ends_is_refused_unread", "no mkfifo program");
        }
        refused();
    }

    #[test]
    fn a_wrong_size_comment_blames_the_checksum_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let text = fs::read_to_string(path.join(SUMS_FILE)).unwrap();
        fs::write(path.join(SUMS_FILE), text.replace("# bytes 3 abc", "# bytes 7 abc")).unwrap();
        let error = Checksums::read(&path).unwrap().verify_all(&path).unwrap_err().to_string();
        assert!(error.ends_with("SHA256SUMS is damaged (it gives a wrong size for abc)"), "{error}");
    }

    #[test]
    fn malformed_sums_are_named_by_line() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (text, expected) in [
            ("abc", "line 1: expected `HEX  NAME`"),
            (&format!("{}é  x", &hash[1..]), "line 1: expected `HEX  NAME`"),
            (&format!("#\n{}g  x", &hash[1..]), "line 2: the checksum is not 64 hexadecimal digits"),
            (hash, "line 1: no file name"),
            (&format!("{hash}  ../x"), "line 1: \"../x\" is no file name for a folder with checksums"),
            (&format!("{hash}  x\n{hash}  x"), "line 2: the file is listed twice"),
            ("# bytes 12 x", "a size but no checksum for x"),
            ("# bytes many x", "line 1: the size is no number"),
        ] {
            assert_eq!(Checksums::parse(text).unwrap_err(), expected, "{text}");
        }
        let other = Checksums::parse(&format!("{hash} *x y\n")).unwrap();
        assert_eq!(other.files["x y"].bytes, None);
    }

    #[test]
    fn a_torn_checksum_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path());
        let text = fs::read(path.join(SUMS_FILE)).unwrap();
        fs::write(path.join(SUMS_FILE), &text[..text.len() - 3]).unwrap();
        let error = Checksums::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("SHA256SUMS is damaged (its last line is cut short)"), "{error}");
        fs::remove_file(path.join(SUMS_FILE)).unwrap();
        assert!(matches!(Checksums::read(&path).unwrap_err(), Error::Missing { .. }));
    }
}
