use super::*;
use crate::leftovers::clean_leftovers;
use crate::leftovers::tests::names;

fn no_exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[test]
fn a_folder_is_invisible_until_commit_and_leaves_nothing_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("m");
    let mut folder = FolderWriter::new(&target).unwrap();
    folder.write("sub/x", b"1").unwrap();
    fs::write(folder.path().join("by-hand"), b"2").unwrap();
    assert!(!target.exists());
    drop(folder);
    assert_eq!(names(dir.path()), Vec::<String>::new());

    let mut folder = FolderWriter::new(&target).unwrap();
    folder.write("sub/x", b"1").unwrap();
    fs::write(folder.path().join("by-hand"), b"2").unwrap();
    folder.commit(Existing::Refuse).unwrap();
    assert_eq!(names(dir.path()), ["m"]);
    assert_eq!(names(&target), ["SHA256SUMS", "by-hand", "sub"]);
    let sums = Checksums::read(&target).unwrap();
    assert_eq!(sums.names().collect::<Vec<_>>(), ["by-hand", "sub/x"]);
    sums.verify_all(&target).unwrap();
}

#[test]
fn an_existing_folder_is_refused_or_exchanged() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("m");
    for (i, existing) in [Existing::Refuse, Existing::Replace].into_iter().enumerate() {
        let mut folder = FolderWriter::new(&target).unwrap();
        folder.write(&format!("file{i}"), b"x").unwrap();
        folder.commit(existing).unwrap();
    }
    assert_eq!(names(&target), ["SHA256SUMS", "file1"]);
    let folder = FolderWriter::new(&target).unwrap();
    let error = folder.commit(Existing::Refuse).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert_eq!(names(&target), ["SHA256SUMS", "file1"]);
    assert_eq!(names(dir.path()), ["m"]);
}

#[test]
fn without_exchange_the_earlier_folder_is_moved_aside_and_put_back_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (temp, target) = (dir.path().join("new"), dir.path().join("m"));
    fs::create_dir(&temp).unwrap();
    fs::write(temp.join("new"), b"").unwrap();
    fs::create_dir(&target).unwrap();
    install(&temp, &target, Existing::Replace, no_exchange).unwrap();
    assert_eq!(names(dir.path()), ["m"]);
    assert_eq!(names(&target), ["new"]);

    // As if killed between the two renames:
    fs::rename(&target, dir.path().join(".m.old-99999999-0")).unwrap();
    assert_eq!(clean_leftovers(dir.path()).unwrap(), std::slice::from_ref(&target));
    assert_eq!(names(&target), ["new"]);

    // As if killed after them:
    fs::create_dir(dir.path().join(".m.old-99999999-0")).unwrap();
    clean_leftovers(dir.path()).unwrap();
    assert_eq!(names(dir.path()), ["m"]);
    assert_eq!(names(&target), ["new"]);
}

#[test]
fn if_the_second_rename_fails_the_earlier_folder_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("m");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("old"), b"").unwrap();
    install(&dir.path().join("not-there"), &target, Existing::Replace, no_exchange).unwrap_err();
    assert_eq!(names(&target), ["old"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_named_with_the_final_path() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut writer = FileWriter::new(full, PathBuf::from("runs/m/model.safetensors"));
    let error = writer.write_all(&vec![0; 1 << 20]).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut writer = FileWriter::new(full, PathBuf::from("runs/m/model.safetensors"));
    writer.write_all(b"small, still in the buffer").unwrap();
    let error = writer.finish().unwrap_err();
    assert!(error.to_string().starts_with("cannot write runs/m/model.safetensors: no space left"), "{error}");
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = FolderWriter::new(dir.path().join("m")).unwrap();
    for name in ["../x", "/x", "a/../../x", "", "a\nb", "SHA256SUMS", "a//b", "./a"] {
        let error = folder.write(name, b"").unwrap_err();
        assert!(matches!(error, Error::BadName(_)), "{name}: {error}");
    }
    assert!(matches!(FolderWriter::new("/").unwrap_err(), Error::BadName(_)));
}
