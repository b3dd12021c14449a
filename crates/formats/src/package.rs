//! Unpacking a zipped model, such as an `.argosmodel`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use strata_files::IoContext;

use crate::archive::Archive;
use crate::error::Error;

/// Unpacks an archive of one folder into `destination`, without that folder's name. Only files of which `wanted` is
/// true, by their names in the folder.
///
/// # Errors
/// Anything but a whole zip archive, a name that leaves the folder, the I/O error.
pub fn unpack(archive: &Path, destination: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), Error> {
    let zip = Archive::open(archive)?;
    for member in zip.names().filter(|member| !member.ends_with('/')) {
        let Some((_, name)) = member.split_once('/') else { continue };
        if !wanted(name) {
            continue;
        }
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
        if !name.split('/').all(is_plain) {
            return Err(Error::damaged(archive, format!("the member {member:?} would leave its folder")));
        }
        let path = destination.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).io_context("make the folder", parent)?;
        }
        let file = File::create(&path).io_context("write", &path)?;
        zip.copy(member, &path, &mut BufWriter::new(file))?;
    }
    Ok(())
}
