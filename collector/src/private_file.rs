//! Files in the data directory that hold secrets, or what opens something.
//!
//! In: a path and what is to stand there. Out: a file that is replaced as a whole and is on disk before the call returns, readable by
//! its owner only, who is the owner of the directory: the collector's own user, also when an administrator runs a command.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use silhouette_serving::directory;

/// What could not be done with a file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}: {source}")]
pub struct FileError {
    /// What was tried.
    pub what: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`.
    pub fn new(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_owned();
        move |source| FileError { what, path, source }
    }
}

/// Which state of a file was read: another inode, time or length is another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64, i64, i64, u64);

/// The state of a file now; `None` when there is none.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some(Stamp(
        meta.ino(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.len(),
    ))
}

/// Keeps other commands from changing files of this directory while the result lives; makes the directory when there is none.
pub fn alone(dir: &Path) -> Result<File, FileError> {
    directory::make_private(dir)
        .and_then(|()| File::open(dir))
        .and_then(|dir| dir.lock().map(|()| dir))
        .map_err(FileError::new("lock the directory", dir))
}

/// Puts a file in place of the one there is.
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // A temporary file is created with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(FileError::new("write", path))?;
    file.write_all(contents)
        .and_then(|()| give_to_owner_of(dir, file.as_file()))
        .and_then(|()| file.as_file().sync_all())
        .map_err(FileError::new("write", path))?;
    file.persist(path)
        .map_err(|error| FileError::new("replace", path)(error.error))?;
    synchronise(path, dir)
}

/// Removes a file; one that is not there is removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::new("remove", path)(error)),
        Ok(()) => synchronise(path, path.parent().unwrap_or(Path::new("."))),
    }
}

/// A name in a directory is on disk when the directory is.
fn synchronise(path: &Path, dir: &Path) -> Result<(), FileError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(FileError::new("synchronise the directory of", path))
}

/// Makes the owner of a directory the owner of a file in it, if the caller may.
fn give_to_owner_of(dir: &Path, file: &File) -> io::Result<()> {
    let (owner, own) = (fs::metadata(dir)?, file.metadata()?);
    if (owner.uid(), owner.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    match fchown(file, Some(owner.uid()), Some(owner.gid())) {
        // Not an administrator: the file is the caller's, as every file they make there.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert_eq!(stamp(&path), None);
        replace(&path, b"one").unwrap();
        let first = stamp(&path);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(first.is_some() && stamp(&path) != first);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        let error = replace(&dir.path().join("none/secret"), b"x").unwrap_err();
        assert!(error.to_string().contains("none/secret"), "{error}");
    }
}
