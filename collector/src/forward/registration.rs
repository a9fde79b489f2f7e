//! The registration with a catalog: where it is, and the credential it gave.
//!
//! In: what `register` was told. Out: the file `registration.json` in the data directory, and news when it changes: `register` writes
//! it beside a running collector. It is a file of its own, replaced atomically and readable by its owner only. The instance, a UUID
//! made once per data directory, is another one and outlives registrations. Never shows a credential.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::private_file::{self, FileError, Stamp};

/// The file in the data directory.
pub const FILE: &str = "registration.json";
/// The file of the instance.
const INSTANCE: &str = "instance";

/// Why there is no registration.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not ours.
    #[error(
        "{path} is no registration: {why}; delete it and register anew, with a new token from the catalog"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system has no randomness.
    #[error("cannot draw random bytes: {0}")]
    Random(getrandom::Error),
}

/// A registration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Where the catalog is, with its path if it has one.
    pub catalog: String,
    /// Authorities its certificate may come from, PEM; the system's when left out.
    pub tls_ca: Option<PathBuf>,
    /// Plain HTTP to another machine was asked for.
    pub insecure_http: bool,
    /// What the catalog calls this collector.
    pub collector_id: String,
    /// The source it feeds.
    pub source_id: String,
    /// What people call that source.
    pub source_name: String,
    /// Unix milliseconds.
    pub registered: u64,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u64,
    /// Bytes of the largest document the catalog takes.
    pub document_bytes: u64,
    /// The credential in force.
    pub credential: String,
    /// The one that takes its place with its first use; written down before that.
    pub next_credential: Option<String>,
}

/// Without the credentials.
impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("catalog", &self.catalog)
            .field("collector_id", &self.collector_id)
            .field("source_name", &self.source_name)
            .finish_non_exhaustive()
    }
}

impl Registration {
    /// What to authenticate with now.
    pub fn bearer(&self) -> &str {
        self.next_credential.as_deref().unwrap_or(&self.credential)
    }
}

/// The registration of a data directory.
#[derive(Debug, Clone)]
pub struct Registrations {
    dir: PathBuf,
}

impl Registrations {
    /// That of this data directory.
    pub fn new(data_dir: &Path) -> Registrations {
        Registrations {
            dir: data_dir.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Which state the file is in.
    pub fn stamp(&self) -> Option<Stamp> {
        private_file::stamp(&self.path())
    }

    /// The registration, if there is one.
    pub fn read(&self) -> Result<Option<Registration>, RegistrationError> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new("read", &path)(error).into()),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| RegistrationError::Damaged {
                path,
                why: error.to_string(),
            })
    }

    /// Writes a new registration, in place of any there is.
    pub fn write(&self, registration: &Registration) -> Result<(), RegistrationError> {
        let _alone = private_file::alone(&self.dir)?;
        self.put(registration)
    }

    /// Changes the registration, if it still is `known`: whoever registered anew in the meantime wins. Whether it was changed.
    pub fn change(
        &self,
        known: &Registration,
        new: &Registration,
    ) -> Result<bool, RegistrationError> {
        let _alone = private_file::alone(&self.dir)?;
        if self.read()?.as_ref() != Some(known) {
            return Ok(false);
        }
        self.put(new)?;
        Ok(true)
    }

    /// Removes the registration.
    pub fn remove(&self) -> Result<(), RegistrationError> {
        let _alone = private_file::alone(&self.dir)?;
        Ok(private_file::remove(&self.path())?)
    }

    fn put(&self, registration: &Registration) -> Result<(), RegistrationError> {
        let path = self.path();
        let text = serde_json::to_vec_pretty(registration)
            .map_err(|error| FileError::new("write", &path)(error.into()))?;
        Ok(private_file::replace(&path, &text)?)
    }

    /// The UUID of this data directory; drawn when there is none yet.
    pub fn instance(&self) -> Result<String, RegistrationError> {
        let _alone = private_file::alone(&self.dir)?;
        let path = self.dir.join(INSTANCE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let text = text.trim();
                let fine = text.len() == 36
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
                if fine {
                    return Ok(text.to_owned());
                }
                Err(RegistrationError::Damaged {
                    path,
                    why: "want one UUID".into(),
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut random = [0; 16];
                getrandom::fill(&mut random).map_err(RegistrationError::Random)?;
                let uuid = uuid(random);
                private_file::replace(&path, format!("{uuid}\n").as_bytes())?;
                Ok(uuid)
            }
            Err(error) => Err(FileError::new("read", &path)(error).into()),
        }
    }
}

/// A UUID of version 4 (RFC 9562, 5.4) from random bytes.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut out = String::with_capacity(36);
    for (at, byte) in random.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn registration(credential: &str) -> Registration {
        Registration {
            catalog: "https://catalog.example/".into(),
            tls_ca: None,
            insecure_http: false,
            collector_id: "c".into(),
            source_id: "s".into(),
            source_name: "Edge".into(),
            registered: 1,
            heartbeat_seconds: 30,
            document_bytes: 1 << 20,
            credential: credential.into(),
            next_credential: None,
        }
    }

    #[test]
    fn a_registration_is_kept_private_and_shown_without_its_credential() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Registrations::new(dir.path());
        assert_eq!((kept.read().unwrap(), kept.stamp()), (None, None));
        let one = registration("slc_one");
        kept.write(&one).unwrap();
        assert_eq!(kept.read().unwrap().as_ref(), Some(&one));
        assert!(kept.stamp().is_some());
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{one:?}").contains("slc_"), "{one:?}");
        kept.remove().unwrap();
        assert_eq!(kept.read().unwrap(), None);
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = kept.read().unwrap_err().to_string();
        assert!(
            error.contains(FILE) && error.contains("register anew"),
            "{error}"
        );
    }

    #[test]
    fn who_registered_anew_in_the_meantime_wins() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Registrations::new(dir.path());
        let (one, other) = (registration("slc_one"), registration("slc_other"));
        kept.write(&one).unwrap();
        let mut rotated = one.clone();
        rotated.next_credential = Some("slc_next".into());
        assert_eq!((one.bearer(), rotated.bearer()), ("slc_one", "slc_next"));
        assert!(kept.change(&one, &rotated).unwrap());
        kept.write(&other).unwrap();
        assert!(!kept.change(&rotated, &one).unwrap());
        assert_eq!(kept.read().unwrap(), Some(other));
    }

    #[test]
    fn the_instance_is_drawn_once_and_outlives_registrations() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Registrations::new(dir.path());
        let instance = kept.instance().unwrap();
        kept.write(&registration("slc_one")).unwrap();
        kept.remove().unwrap();
        assert_eq!(kept.instance().unwrap(), instance);
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        fs::write(dir.path().join(INSTANCE), "x").unwrap();
        assert!(kept.instance().is_err());
    }
}
