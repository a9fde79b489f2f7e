//! Where PostgreSQL's programs are, and as whom they run.
//!
//! In: the machine. Out: paths and a user. Never installs anything.

use std::path::{Path, PathBuf};
use std::process::Command;

/// PostgreSQL is not on this machine.
#[derive(Debug, thiserror::Error)]
#[error(
    "PostgreSQL's server is not installed: there is no {searched}. Run `cargo xtask install`, which installs it without \
     starting it, or `apt-get install postgresql`"
)]
pub struct NotInstalled {
    searched: String,
}

/// Debian keeps each version's server programs in a directory of its own.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The directory with `initdb` and `postgres`: the newest version's.
pub(crate) fn directory() -> Result<PathBuf, NotInstalled> {
    newest(Path::new(VERSIONS))
}

fn newest(versions: &Path) -> Result<PathBuf, NotInstalled> {
    let entries = std::fs::read_dir(versions).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let dir = entry.path().join("bin");
        let complete = ["initdb", "postgres", "createdb", "dropdb"]
            .iter()
            .all(|program| dir.join(program).exists());
        complete.then_some((number, dir))
    });
    numbered
        .max_by_key(|(number, _)| *number)
        .map(|(_, dir)| dir)
        .ok_or_else(|| NotInstalled {
            searched: versions.join("*/bin/postgres").display().to_string(),
        })
}

/// Whom PostgreSQL runs as when the tests run as root, which it refuses to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// `None`: as the tests do.
pub(crate) fn user() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    // The user the package makes, or the one that every system has.
    let nobody = User {
        uid: 65_534,
        gid: 65_534,
    };
    Some(
        find(&passwd, "postgres")
            .or_else(|| find(&passwd, "nobody"))
            .unwrap_or(nobody),
    )
}

/// passwd(5): name, password, uid, gid, …
fn find(passwd: &str, name: &str) -> Option<User> {
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { uid, gid })
}

/// `program`, run as `user`. `setpriv` (util-linux) drops root and then becomes the program.
pub(crate) fn command(program: &Path, user: Option<User>) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some(User { uid, gid }) => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .args(["--clear-groups", "--"])
                .arg(program);
            command
        }
    };
    // Settings of the caller's own PostgreSQL (PGHOST, PGDATA, …) are none of the private server's.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    // A directory that this user may enter, whoever it is.
    command.current_dir("/");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\npostgresql:x:7:8::/:/bin/sh\npostgres:x:101:104:PostgreSQL,,,:/var:/bin/sh\n";
        assert_eq!(find(passwd, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find(passwd, "nobody"), None);
        assert_eq!(find("postgres:x:many:104::/:/bin/sh\n", "postgres"), None);
    }

    #[test]
    fn the_newest_complete_version_is_taken_and_none_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let said = newest(dir.path()).unwrap_err().to_string();
        assert!(said.contains("cargo xtask install"), "{said}");
        for (version, programs) in [
            ("9", &["initdb", "postgres", "createdb", "dropdb"][..]),
            ("15", &["initdb", "postgres", "createdb", "dropdb"]),
            ("16", &["createdb", "dropdb"]),
            ("common", &["initdb", "postgres", "createdb", "dropdb"]),
        ] {
            let bin = dir.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in programs {
                std::fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(newest(dir.path()).unwrap(), dir.path().join("15/bin"));
    }
}
