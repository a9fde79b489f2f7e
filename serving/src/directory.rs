//! Directories of data.
//!
//! In: a path. Out: a directory that only its owner can look into: what passes through gateways is nobody else's business. One that is
//! there already stays as it is.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes it, and what is missing above it.
///
/// # Errors
/// What the system says.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_the_owner_looks_in_and_what_is_there_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let mode = || metadata(&path).unwrap().permissions().mode() & 0o777;
        make_private(&path).unwrap();
        assert_eq!(mode(), 0o700);
        set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        make_private(&path).unwrap();
        assert_eq!(mode(), 0o750);
        std::fs::write(dir.path().join("file"), "").unwrap();
        make_private(&dir.path().join("file/x")).unwrap_err();
    }
}
