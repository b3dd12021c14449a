//! Reading a `.deb`: an `ar` archive of `debian-binary`, `control.tar.*` and `data.tar.*`.
//!
//! Nothing is unpacked to disk. Wanted files are read into memory under a normalized path, so a path such as
//! `../../etc/passwd` or a link in a hostile archive is simply not found.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use liblzma::read::XzDecoder;
use strata_files::IoContext;
use tar::EntryType;

use crate::error::Error;
use crate::sources::Files;

/// No page comes near this size; a larger file in an archive is an error.
const LARGEST_FILE: u64 = 64 << 20;
/// The most an archive may unpack to, wanted or not.
const LARGEST_ARCHIVE: u64 = 8 << 30;
/// How long a chain of links between files may be.
const LONGEST_CHAIN: usize = 8;

/// What a package says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub package: String,
    pub version: String,
}

/// Reads a package's name and version.
pub(crate) fn read_control(deb: &Path) -> Result<Control, Error> {
    let mut control = None;
    for_each_file(deb, "control.tar", &mut |path, entry| {
        if path == "control" {
            let mut text = String::new();
            entry.take(LARGEST_FILE).read_to_string(&mut text)?;
            control = Some(text);
        }
        Ok(())
    })?;
    let control = control.ok_or_else(|| bad(deb, "it has no control file"))?;
    let field = |name: &str| {
        let value = control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|v| v.trim().to_owned()).ok_or_else(|| bad(deb, &format!("its control file has no {name}")))
    };
    Ok(Control { package: field("Package")?, version: field("Version")? })
}

/// Reads the files whose path (`usr/share/...`) is wanted. Links to wanted files are followed.
pub(crate) fn read_files(deb: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Files, Error> {
    let mut files = Files::new();
    let mut links = Vec::new();
    for_each_file(deb, "data.tar", &mut |path, entry| {
        if !wanted(&path) {
            return Ok(());
        }
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                if entry.size() > LARGEST_FILE {
                    return Err(io::Error::other(format!("{path} has {} bytes", entry.size())));
                }
                let mut bytes = Vec::with_capacity(entry.size() as usize);
                entry.read_to_end(&mut bytes)?;
                files.insert(path, bytes);
            }
            kind @ (EntryType::Link | EntryType::Symlink) => {
                if let Some(target) = entry.link_name()? {
                    // A hard link names a path of the archive, a symbolic one a path seen from its own folder.
                    let base = if kind == EntryType::Symlink { Path::new(&path).parent() } else { None };
                    links.extend(normalize(&base.unwrap_or(Path::new("")).join(target)).map(|target| (path, target)));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    for _ in 0..LONGEST_CHAIN {
        links.retain(|(path, target)| match files.get(target).cloned() {
            Some(bytes) => files.insert(path.clone(), bytes).is_some(),
            None => true,
        });
    }
    Ok(files)
}

/// Gets a path and its entry of a tar archive.
type Visit<'a> = dyn FnMut(String, &mut tar::Entry<'_, Box<dyn Read + '_>>) -> io::Result<()> + 'a;

/// Calls `visit` with each entry of the tar archive `member` (plus `.xz`, `.zst`, `.gz` or nothing) inside a package.
fn for_each_file(deb: &Path, member: &str, visit: &mut Visit<'_>) -> Result<(), Error> {
    let file = File::open(deb).io_context("read", deb)?;
    let mut archive = ar::Archive::new(BufReader::new(file));
    while let Some(entry) = archive.next_entry() {
        let entry = entry.map_err(Error::package(deb))?;
        let name = String::from_utf8_lossy(entry.header().identifier()).into_owned();
        let Some(compression) = name.strip_prefix(member) else { continue };
        let entry = BufReader::with_capacity(1 << 16, entry);
        let plain: Box<dyn Read + '_> = match compression {
            "" => Box::new(entry),
            ".xz" => Box::new(XzDecoder::new(entry)),
            ".gz" => Box::new(GzDecoder::new(entry)),
            ".zst" => Box::new(zstd::Decoder::with_buffer(entry).map_err(Error::package(deb))?),
            other => return Err(bad(deb, &format!("its {member} is compressed in an unknown way ({other})"))),
        };
        let limited: Box<dyn Read + '_> = Box::new(plain.take(LARGEST_ARCHIVE));
        let mut tar = tar::Archive::new(limited);
        for entry in tar.entries().map_err(Error::package(deb))? {
            let mut entry = entry.map_err(Error::package(deb))?;
            let path = entry.path().ok().and_then(|p| normalize(&p));
            if let Some(path) = path {
                visit(path, &mut entry).map_err(Error::package(deb))?;
            }
        }
        return Ok(());
    }
    Err(bad(deb, &format!("it has no {member}")))
}

/// A path inside an archive as `a/b/c`; `None` if it leads outside or is not UTF-8.
fn normalize(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir | Component::RootDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn bad(deb: &Path, reason: &str) -> Error {
    Error::BadPackage { path: deb.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let normal = |p: &str| normalize(Path::new(p));
        assert_eq!(normal("./usr//share/./doc").as_deref(), Some("usr/share/doc"));
        assert_eq!(normal("/etc/passwd").as_deref(), Some("etc/passwd"));
        assert_eq!(normal("usr/share/../doc").as_deref(), Some("usr/doc"));
        assert_eq!(normal("../etc/passwd"), None);
        assert_eq!(normal("usr/../../etc"), None);
        assert_eq!(normal("./"), None);
    }

    #[test]
    fn what_is_no_package_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello, not an archive").unwrap();
        let error = read_control(file.path()).unwrap_err();
        assert!(matches!(&error, Error::BadPackage { path, .. } if path == file.path()), "{error}");
        std::fs::write(file.path(), "!<arch>\n").unwrap();
        assert!(read_control(file.path()).unwrap_err().to_string().contains("it has no control.tar"));
    }
}
