//! Bearer tokens: who may send telemetry, and who may look.
//!
//! In: names, spans of validity, the time, tokens as presented. Out: new tokens (once), and whose a presented one is.
//! The file `tokens.json` in the data directory keeps the SHA-256 of each token and nothing from which it could be had:
//! a token is 32 random bytes, so no slow hash is needed. It is replaced atomically, readable by its owner only, who is
//! the owner of the directory: the collector's own user, also when an administrator creates or revokes a token.
//!
//! Revoked and expired tokens stay in the file: a directory that ever had a token never goes back to letting anybody in.
//! Comparison takes the same time wherever two hashes differ.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::private_file::{self, FileError};

/// What every token starts with, so that secret scanners and people know one when they see it.
pub const PREFIX: &str = "sil_";

/// The file in the data directory.
pub const FILE: &str = "tokens.json";

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The telemetry port.
    Telemetry,
    /// The admin listener.
    Admin,
}

/// One token, without the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the operator calls its holder.
    pub name: String,
    /// SHA-256 of the token, hexadecimal.
    sha256: String,
    /// What it opens.
    pub scope: Scope,
    /// Unix seconds.
    pub created: u64,
    /// Unix seconds; `None`: never.
    pub expires: Option<u64>,
    /// Unix seconds; `None`: not revoked.
    pub revoked: Option<u64>,
}

/// Why there is no such token, or no tokens at all.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The operating system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file cannot be replaced.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not ours.
    #[error(
        "{path} is not a token file: {source}; restore it from a backup, or delete it and create every token anew"
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A name that would be confusing in a log.
    #[error("`{0}` is not a token name: want 1 to 64 letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// The name is in use.
    #[error("there is a valid token named `{0}` already: revoke it first, or choose another name")]
    Exists(String),
    /// Nothing to revoke.
    #[error("there is no valid token named `{0}`; `token list` shows those there are")]
    Unknown(String),
    /// The system has no randomness.
    #[error("cannot draw random bytes: {0}")]
    Random(getrandom::Error),
}

/// Why a presented token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// None presented.
    #[error("a token is needed: `authorization: Bearer sil_…`")]
    Missing,
    /// Not one of ours.
    #[error("the token is not known here")]
    Unknown,
    /// Was one.
    #[error("the token has expired")]
    Expired,
    /// Was one.
    #[error("the token has been revoked")]
    Revoked,
    /// Opens something else.
    #[error(
        "the token is for something else: `token create --admin` makes those for people, without it those for shims"
    )]
    Scope,
}

impl Denied {
    /// The label of metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Denied::Missing => "token_missing",
            Denied::Unknown => "token_unknown",
            Denied::Expired => "token_expired",
            Denied::Revoked => "token_revoked",
            Denied::Scope => "token_scope",
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    tokens: Vec<Token>,
}

/// The tokens of a data directory.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    tokens: Vec<Token>,
    stamp: Option<(SystemTime, u64)>,
}

impl Tokens {
    /// Reads the file; a missing one holds no token.
    pub fn open(data_dir: &Path) -> Result<Tokens, TokenError> {
        let mut tokens = Tokens {
            path: data_dir.join(FILE),
            tokens: Vec::new(),
            stamp: None,
        };
        tokens.reload()?;
        Ok(tokens)
    }

    /// Reads the file again if it has changed. On an error what was known stays in force.
    pub fn reload(&mut self) -> Result<bool, TokenError> {
        let failed = |what, source| TokenError::Io {
            what,
            path: self.path.clone(),
            source,
        };
        let stamp = match fs::metadata(&self.path) {
            Ok(meta) => meta
                .modified()
                .map(|modified| Some((modified, meta.len())))
                .map_err(|error| failed("look at", error))?,
            // Deleted while running: keep to what was known, rather than let everybody in.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed("look at", error)),
        };
        if stamp == self.stamp {
            return Ok(false);
        }
        let text = fs::read(&self.path).map_err(|error| failed("read", error))?;
        let on_disk: OnDisk =
            serde_json::from_slice(&text).map_err(|source| TokenError::Parse {
                path: self.path.clone(),
                source,
            })?;
        self.tokens = on_disk.tokens;
        self.stamp = stamp;
        Ok(true)
    }

    /// All of them, in the order of creation, revoked and expired ones too.
    pub fn list(&self) -> &[Token] {
        &self.tokens
    }

    /// Whether tokens of this kind were ever created: from then on one is needed.
    pub fn any(&self, scope: Scope) -> bool {
        self.tokens.iter().any(|token| token.scope == scope)
    }

    /// Creates a token and returns it. `now` is in Unix seconds.
    pub fn create(
        &mut self,
        name: &str,
        scope: Scope,
        valid_for: Option<Duration>,
        now: u64,
    ) -> Result<String, TokenError> {
        let fine = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !fine {
            return Err(TokenError::Name(name.chars().take(100).collect()));
        }
        let _alone = self.alone()?;
        if self
            .tokens
            .iter()
            .any(|token| token.name == name && token.state(now).is_ok())
        {
            return Err(TokenError::Exists(name.to_owned()));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(TokenError::Random)?;
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        self.tokens.push(Token {
            name: name.to_owned(),
            sha256: hash(secret.as_bytes()),
            scope,
            created: now,
            expires: valid_for.map(|span| now.saturating_add(span.as_secs())),
            revoked: None,
        });
        self.save()?;
        Ok(secret)
    }

    /// Makes every valid token of this name invalid.
    pub fn revoke(&mut self, name: &str, now: u64) -> Result<(), TokenError> {
        let unknown = || TokenError::Unknown(name.chars().take(100).collect());
        if self.tokens.is_empty() {
            return Err(unknown());
        }
        let _alone = self.alone()?;
        let mut found = false;
        for token in &mut self.tokens {
            if token.name == name && token.revoked.is_none() {
                token.revoked = Some(now);
                found = true;
            }
        }
        if !found {
            return Err(unknown());
        }
        self.save()
    }

    /// Whose token this is.
    pub fn check(&self, presented: &[u8], scope: Scope, now: u64) -> Result<&str, Denied> {
        let presented = hash(presented);
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.sha256.as_bytes().ct_eq(presented.as_bytes())) {
                found = Some(token);
            }
        }
        let token = found.ok_or(Denied::Unknown)?;
        token.state(now)?;
        if token.scope != scope {
            return Err(Denied::Scope);
        }
        Ok(&token.name)
    }

    /// Keeps other commands from changing the file while the result lives, and takes over what they changed before: of two
    /// changes at the same time none is lost.
    fn alone(&mut self) -> Result<File, TokenError> {
        let lock = private_file::alone(self.path.parent().unwrap_or(Path::new(".")))?;
        self.reload()?;
        Ok(lock)
    }

    /// Replaces the file.
    fn save(&mut self) -> Result<(), TokenError> {
        let on_disk = OnDisk {
            tokens: self.tokens.clone(),
        };
        let text = serde_json::to_vec_pretty(&on_disk).map_err(|error| TokenError::Io {
            what: "write",
            path: self.path.clone(),
            source: error.into(),
        })?;
        private_file::replace(&self.path, &text)?;
        self.stamp = None;
        Ok(())
    }
}

impl Token {
    /// Whether it is valid at `now` (Unix seconds).
    pub fn state(&self, now: u64) -> Result<(), Denied> {
        if self.revoked.is_some() {
            Err(Denied::Revoked)
        } else if self.expires.is_some_and(|expires| now >= expires) {
            Err(Denied::Expired)
        } else {
            Ok(())
        }
    }
}

/// The token in an `Authorization` value: `Bearer TOKEN`, or the password of `Basic` so that browsers can send one.
pub fn presented(authorization: Option<&[u8]>) -> Result<Vec<u8>, Denied> {
    let value = authorization.ok_or(Denied::Missing)?;
    let space = value
        .iter()
        .position(|byte| *byte == b' ')
        .ok_or(Denied::Unknown)?;
    let (scheme, rest) = value.split_at(space);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(rest.to_vec());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(rest)
            .map_err(|_| Denied::Unknown)?;
        let colon = decoded
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Denied::Unknown)?;
        return Ok(decoded[colon + 1..].to_vec());
    }
    Err(Denied::Unknown)
}

fn hash(secret: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(secret)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const NOW: u64 = 1_800_000_000;

    /// A service under a user of its own must be able to read what root creates and revokes.
    #[test]
    fn the_file_belongs_to_whom_the_directory_belongs_to() {
        let dir = tempfile::tempdir().unwrap();
        let is_root = fs::metadata(dir.path()).unwrap().uid() == 0;
        let owner = if is_root {
            std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_534)).unwrap();
            65_534
        } else {
            fs::metadata(dir.path()).unwrap().uid()
        };
        let mut tokens = Tokens::open(dir.path()).unwrap();
        tokens
            .create("edge-1", Scope::Telemetry, None, NOW)
            .unwrap();
        let file = || fs::metadata(dir.path().join(FILE)).unwrap();
        assert_eq!(file().uid(), owner);
        tokens.revoke("edge-1", NOW).unwrap();
        assert_eq!((file().uid(), file().mode() & 0o777), (owner, 0o600));
    }

    #[test]
    fn of_changes_at_the_same_time_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        // Both read the file before either changes it.
        let (mut one, mut other) = (
            Tokens::open(dir.path()).unwrap(),
            Tokens::open(dir.path()).unwrap(),
        );
        one.create("a", Scope::Telemetry, None, NOW).unwrap();
        other.create("b", Scope::Telemetry, None, NOW).unwrap();
        one.revoke("b", NOW).unwrap();
        assert!(matches!(
            other.create("a", Scope::Telemetry, None, NOW),
            Err(TokenError::Exists(_))
        ));
        let names: Vec<_> = Tokens::open(dir.path()).unwrap().tokens;
        let names: Vec<_> = names
            .iter()
            .map(|token| (token.name.as_str(), token.revoked.is_some()))
            .collect();
        assert_eq!(names, [("a", false), ("b", true)]);
    }

    #[test]
    fn a_token_is_shown_once_and_kept_as_a_hash() {
        let dir = tempfile::tempdir().unwrap();
        let mut tokens = Tokens::open(dir.path()).unwrap();
        assert!(!tokens.any(Scope::Telemetry));
        let secret = tokens
            .create("edge-1", Scope::Telemetry, None, NOW)
            .unwrap();
        assert_eq!(secret.len(), PREFIX.len() + 43);
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret) && !text.contains(&secret[PREFIX.len()..]));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let again = Tokens::open(dir.path()).unwrap();
        assert_eq!(
            again.check(secret.as_bytes(), Scope::Telemetry, NOW),
            Ok("edge-1")
        );
        assert_eq!(
            again.check(secret.as_bytes(), Scope::Admin, NOW),
            Err(Denied::Scope)
        );
        let wrong = secret.replace(|c: char| c.is_ascii_lowercase(), "A");
        assert_eq!(
            again.check(wrong.as_bytes(), Scope::Telemetry, NOW),
            Err(Denied::Unknown)
        );
        assert_eq!(
            again.check(b"", Scope::Telemetry, NOW),
            Err(Denied::Unknown)
        );
    }

    #[test]
    fn tokens_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut tokens = Tokens::open(dir.path()).unwrap();
        let span = Some(Duration::from_secs(60));
        let short = tokens.create("short", Scope::Telemetry, span, NOW).unwrap();
        let check = |tokens: &Tokens, secret: &str, now| {
            tokens
                .check(secret.as_bytes(), Scope::Telemetry, now)
                .map(str::to_owned)
        };
        assert_eq!(check(&tokens, &short, NOW + 59), Ok("short".into()));
        assert_eq!(check(&tokens, &short, NOW + 60), Err(Denied::Expired));
        // The name is free again then, the old token stays dead.
        let fresh = tokens
            .create("short", Scope::Telemetry, None, NOW + 60)
            .unwrap();
        assert_eq!(check(&tokens, &fresh, NOW + 60), Ok("short".into()));
        tokens.revoke("short", NOW + 61).unwrap();
        assert_eq!(check(&tokens, &fresh, NOW + 62), Err(Denied::Revoked));
        assert!(tokens.any(Scope::Telemetry), "one is still needed");
        let error = tokens.revoke("short", NOW).unwrap_err().to_string();
        assert!(error.contains("no valid token named `short`"), "{error}");
    }

    #[test]
    fn bad_names_and_doubles_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut tokens = Tokens::open(dir.path()).unwrap();
        for name in ["", "a b", "ü", &"x".repeat(65), "a\nb"] {
            let error = tokens
                .create(name, Scope::Telemetry, None, NOW)
                .unwrap_err();
            assert!(matches!(error, TokenError::Name(_)), "{error}");
        }
        tokens.create("a", Scope::Telemetry, None, NOW).unwrap();
        let error = tokens.create("a", Scope::Admin, None, NOW).unwrap_err();
        assert!(error.to_string().contains("already"), "{error}");
    }

    #[test]
    fn a_running_reader_sees_changes_and_survives_a_broken_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Tokens::open(dir.path()).unwrap();
        let mut reader = Tokens::open(dir.path()).unwrap();
        let secret = writer.create("a", Scope::Telemetry, None, NOW).unwrap();
        assert!(reader.reload().unwrap());
        assert!(!reader.reload().unwrap());
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = reader.reload().unwrap_err().to_string();
        assert!(error.contains("is not a token file"), "{error}");
        let check = |reader: &Tokens| {
            reader
                .check(secret.as_bytes(), Scope::Telemetry, NOW)
                .is_ok()
        };
        assert!(check(&reader));
        fs::remove_file(dir.path().join(FILE)).unwrap();
        assert!(!reader.reload().unwrap());
        assert!(check(&reader));
    }

    #[test]
    fn both_ways_to_present_one() {
        assert_eq!(presented(Some(b"Bearer sil_x")), Ok(b"sil_x".to_vec()));
        assert_eq!(presented(Some(b"bearer  sil_x ")), Ok(b"sil_x".to_vec()));
        assert_eq!(
            presented(Some(b"Basic bWU6c2lsX3g=")),
            Ok(b"sil_x".to_vec())
        );
        assert_eq!(presented(None), Err(Denied::Missing));
        for wrong in ["sil_x", "Digest x", "Basic !", "Basic bWU="] {
            assert_eq!(presented(Some(wrong.as_bytes())), Err(Denied::Unknown));
        }
    }
}
