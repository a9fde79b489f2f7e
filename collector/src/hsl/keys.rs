//! The keys that records are signed with: who may send by HSL.
//!
//! In: names, the time, key ids as records name them. Out: new keys (once), and the key of an id, ready for HMAC-SHA-256. The file
//! `hsl-keys.json` in the data directory keeps the keys as they are, since a MAC cannot be checked with a hash; it is replaced as a
//! whole, readable by its owner only, who is the owner of the directory.
//!
//! Revoked keys stay in the file without their secret, so that a record signed with one is told from one signed with a key that
//! never was. A secret is never logged.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::private_file::{self, FileError, Stamp};

/// What every secret starts with, so that secret scanners and people know one when they see it.
pub const PREFIX: &str = "silk_";
/// The file in the data directory.
pub const FILE: &str = "hsl-keys.json";
/// Bytes of a key id.
pub const MAX_ID: usize = 32;
/// Keys in the file, revoked ones too.
const MAX_KEYS: usize = 10_000;

/// The name of a key: 1 to 32 of `A-Z a-z 0-9 _ . -`, so that it can stand in a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId {
    bytes: [u8; MAX_ID],
    len: u8,
}

impl KeyId {
    /// `None` when it is no key id.
    pub fn new(id: &[u8]) -> Option<KeyId> {
        let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        if id.is_empty() || id.len() > MAX_ID || !id.iter().all(fine) {
            return None;
        }
        let mut bytes = [0; MAX_ID];
        bytes[..id.len()].copy_from_slice(id);
        let len = id.len() as u8;
        Some(KeyId { bytes, len })
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        let id = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(id).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What is known of a key id.
#[derive(Debug)]
pub enum Found<'a> {
    /// Its key.
    Valid(&'a hmac::Key),
    /// It was one.
    Revoked,
    /// Never heard of.
    Unknown,
}

/// Keys ready for use.
#[derive(Debug, Default)]
pub struct Keyring {
    /// `None`: revoked.
    keys: HashMap<KeyId, Option<hmac::Key>>,
}

impl Keyring {
    /// Of names and secrets; a secret is the text as it is printed, not what it encodes.
    ///
    /// # Errors
    /// A name that is none.
    pub fn new<'a>(
        keys: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Keyring, KeyError> {
        let mut ring = Keyring::default();
        for (name, secret) in keys {
            ring.add(name, Some(secret))?;
        }
        Ok(ring)
    }

    fn add(&mut self, name: &str, secret: Option<&str>) -> Result<(), KeyError> {
        let id = KeyId::new(name.as_bytes()).ok_or_else(|| KeyError::name(name))?;
        let key = secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        // A name that is in use again is not revoked.
        if key.is_some() || !self.keys.contains_key(&id) {
            self.keys.insert(id, key);
        }
        Ok(())
    }

    /// The key of an id.
    pub fn find(&self, id: &KeyId) -> Found<'_> {
        match self.keys.get(id) {
            Some(Some(key)) => Found::Valid(key),
            Some(None) => Found::Revoked,
            None => Found::Unknown,
        }
    }

    /// Whether nobody can send.
    pub fn is_empty(&self) -> bool {
        !self.keys.values().any(Option::is_some)
    }
}

/// One key of the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its id in records.
    pub name: String,
    /// Gone when it is revoked.
    secret: Option<String>,
    /// Unix seconds.
    pub created: u64,
    /// Unix seconds; `None`: in force.
    pub revoked: Option<u64>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    keys: Vec<Key>,
}

/// Why there is no such key, or no keys at all.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be replaced.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not ours.
    #[error(
        "{path} is not a file of HSL keys: {what}; restore it from a backup, or delete it and create every key anew"
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        what: String,
    },
    /// A name that cannot stand in a record.
    #[error("`{0}` is not a key name: want 1 to 32 letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// The name is in use.
    #[error("there is a key named `{0}` in force already: revoke it first, or choose another name")]
    Exists(String),
    /// Nothing to revoke.
    #[error("there is no key named `{0}` in force; `hsl-key list` shows those there are")]
    Unknown(String),
    /// Too many.
    #[error(
        "there are {MAX_KEYS} keys in {0}, revoked ones too: delete those that were revoked long ago from it"
    )]
    Full(PathBuf),
    /// The system has no randomness.
    #[error("cannot draw random bytes: {0}")]
    Random(getrandom::Error),
}

impl KeyError {
    fn name(name: &str) -> KeyError {
        KeyError::Name(name.chars().take(100).collect())
    }
}

/// The keys of a data directory.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    keys: Vec<Key>,
    stamp: Option<Stamp>,
}

impl Keys {
    /// Reads the file; a missing one holds no key.
    ///
    /// # Errors
    /// It cannot be read, or is none of ours.
    pub fn open(data_dir: &Path) -> Result<Keys, KeyError> {
        let mut keys = Keys {
            path: data_dir.join(FILE),
            keys: Vec::new(),
            stamp: None,
        };
        keys.reload()?;
        Ok(keys)
    }

    /// Reads the file again if it has changed; `true` if so. On an error, and when it is gone, what was known stays in force.
    ///
    /// # Errors
    /// It cannot be read, or is none of ours; said once for each state of the file.
    pub fn reload(&mut self) -> Result<bool, KeyError> {
        let stamp = private_file::stamp(&self.path);
        if stamp == self.stamp || stamp.is_none() {
            return Ok(false);
        }
        self.stamp = stamp;
        let text = std::fs::read(&self.path).map_err(|source| KeyError::Read {
            path: self.path.clone(),
            source,
        })?;
        let damaged = |what| KeyError::Parse {
            path: self.path.clone(),
            what,
        };
        let on_disk: OnDisk =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if let Some(odd) = on_disk
            .keys
            .iter()
            .find(|key| KeyId::new(key.name.as_bytes()).is_none())
        {
            return Err(damaged(KeyError::name(&odd.name).to_string()));
        }
        self.keys = on_disk.keys;
        Ok(true)
    }

    /// All of them, in the order of creation, revoked ones too.
    pub fn list(&self) -> &[Key] {
        &self.keys
    }

    /// Ready for use.
    pub fn ring(&self) -> Keyring {
        let mut ring = Keyring::default();
        for key in &self.keys {
            // Checked when the file was read.
            let _ = ring.add(&key.name, key.secret.as_deref());
        }
        ring
    }

    /// Creates a key and returns its secret. `now` is in Unix seconds.
    ///
    /// # Errors
    /// The name is none or in use, or the file cannot be written.
    pub fn create(&mut self, name: &str, now: u64) -> Result<String, KeyError> {
        KeyId::new(name.as_bytes()).ok_or_else(|| KeyError::name(name))?;
        let _alone = self.alone()?;
        if self
            .keys
            .iter()
            .any(|key| key.name == name && key.secret.is_some())
        {
            return Err(KeyError::Exists(name.to_owned()));
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(KeyError::Full(self.path.clone()));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(KeyError::Random)?;
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        self.keys.push(Key {
            name: name.to_owned(),
            secret: Some(secret.clone()),
            created: now,
            revoked: None,
        });
        self.save()?;
        Ok(secret)
    }

    /// Makes the key of this name invalid, and forgets its secret.
    ///
    /// # Errors
    /// There is none, or the file cannot be written.
    pub fn revoke(&mut self, name: &str, now: u64) -> Result<(), KeyError> {
        let _alone = self.alone()?;
        let key = self
            .keys
            .iter_mut()
            .find(|key| key.name == name && key.secret.is_some())
            .ok_or_else(|| KeyError::Unknown(name.chars().take(100).collect()))?;
        key.secret = None;
        key.revoked = Some(now);
        self.save()
    }

    /// Keeps other commands from changing the file while the result lives, and takes over what they changed before.
    fn alone(&mut self) -> Result<std::fs::File, KeyError> {
        let lock = private_file::alone(self.path.parent().unwrap_or(Path::new(".")))?;
        self.reload()?;
        Ok(lock)
    }

    fn save(&mut self) -> Result<(), KeyError> {
        let on_disk = OnDisk {
            keys: self.keys.clone(),
        };
        let text = serde_json::to_vec_pretty(&on_disk).map_err(|error| KeyError::Parse {
            path: self.path.clone(),
            what: error.to_string(),
        })?;
        private_file::replace(&self.path, &text)?;
        self.stamp = private_file::stamp(&self.path);
        Ok(())
    }
}

/// The keys that are in force while a collector runs.
#[derive(Debug)]
pub struct KeysInForce {
    file: Option<Mutex<Keys>>,
    ring: RwLock<Arc<Keyring>>,
}

impl KeysInForce {
    /// Those of a data directory, followed by [`KeysInForce::reload`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(data_dir: &Path) -> Result<KeysInForce, KeyError> {
        let keys = Keys::open(data_dir)?;
        Ok(KeysInForce {
            ring: RwLock::new(Arc::new(keys.ring())),
            file: Some(Mutex::new(keys)),
        })
    }

    /// These, whatever is on disk.
    pub fn fixed(ring: Keyring) -> KeysInForce {
        KeysInForce {
            file: None,
            ring: RwLock::new(Arc::new(ring)),
        }
    }

    /// What to check the next records with.
    pub fn ring(&self) -> Arc<Keyring> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the file again if it has changed; `true` if so.
    ///
    /// # Errors
    /// It cannot be read; what was known stays in force.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let mut keys = file.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = keys.reload()?;
        if changed {
            let ring = Arc::new(keys.ring());
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: u64 = 1_800_000_000;

    fn id(name: &str) -> KeyId {
        KeyId::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn a_key_is_created_followed_and_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let in_force = KeysInForce::open(dir.path()).unwrap();
        assert!(in_force.ring().is_empty());
        let mut keys = Keys::open(dir.path()).unwrap();
        let secret = keys.create("bigip-1", NOW).unwrap();
        assert_eq!(secret.len(), PREFIX.len() + 43);
        assert!(secret.starts_with(PREFIX));
        let path = dir.path().join(FILE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(in_force.reload().unwrap() && !in_force.reload().unwrap());
        let ring = in_force.ring();
        let Found::Valid(key) = ring.find(&id("bigip-1")) else {
            panic!("it is in force")
        };
        let expected = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        assert_eq!(
            hmac::sign(key, b"x").as_ref(),
            hmac::sign(&expected, b"x").as_ref()
        );
        assert!(matches!(ring.find(&id("bigip-2")), Found::Unknown));

        assert!(
            keys.create("bigip-1", NOW)
                .unwrap_err()
                .to_string()
                .contains("`bigip-1`")
        );
        keys.revoke("bigip-1", NOW + 1).unwrap();
        assert!(keys.revoke("bigip-1", NOW + 1).is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret), "nobody needs it any more");
        in_force.reload().unwrap();
        assert!(matches!(
            in_force.ring().find(&id("bigip-1")),
            Found::Revoked
        ));
        let again = keys.create("bigip-1", NOW + 2).unwrap();
        in_force.reload().unwrap();
        assert!(matches!(
            in_force.ring().find(&id("bigip-1")),
            Found::Valid(_)
        ));
        assert!(again != secret && keys.list().len() == 2);
        assert!(!format!("{keys:?} {in_force:?}").contains(&again));
    }

    #[test]
    fn names_are_what_a_record_can_carry() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::open(dir.path()).unwrap();
        for bad in ["", "a b", "ü", "a/b", &"x".repeat(33)] {
            let error = keys.create(bad, NOW).unwrap_err().to_string();
            assert!(error.contains("1 to 32"), "{error}");
        }
        keys.create(&"x".repeat(32), NOW).unwrap();
        keys.create("A.b_c-9", NOW).unwrap();
    }

    #[test]
    fn of_changes_at_the_same_time_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (
            Keys::open(dir.path()).unwrap(),
            Keys::open(dir.path()).unwrap(),
        );
        one.create("a", NOW).unwrap();
        other.create("b", NOW).unwrap();
        one.revoke("b", NOW).unwrap();
        assert!(matches!(other.create("a", NOW), Err(KeyError::Exists(_))));
    }

    #[test]
    fn a_damaged_file_is_said_once_and_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        Keys::open(dir.path()).unwrap().create("a", NOW).unwrap();
        let in_force = KeysInForce::open(dir.path()).unwrap();
        for text in ["{", r#"{"keys":[{"name":"a b","created":1}]}"#] {
            private_file::replace(&dir.path().join(FILE), text.as_bytes()).unwrap();
            let error = in_force.reload().unwrap_err().to_string();
            assert!(
                error.contains(FILE) && error.contains("create every key anew"),
                "{error}"
            );
            assert!(!in_force.reload().unwrap());
            assert!(!in_force.ring().is_empty());
            assert!(Keys::open(dir.path()).is_err());
        }
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert!(!in_force.reload().unwrap() && !in_force.ring().is_empty());
    }
}
