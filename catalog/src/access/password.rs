//! Passwords: what is taken as one, and what is kept of it.
//!
//! In: a password. Out: an argon2id hash as a PHC string, or whether it fits one. Hashing takes tens of milliseconds and 19 MiB
//! each, so it is done off the asynchronous threads and only few at once. Never logs a password, never keeps one.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::Refusal;

/// Memory in KiB, passes and lanes that OWASP's Password Storage Cheat Sheet recommends for argon2id.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Characters a password has at least and at most.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=256;

/// Passwords that are worked on at once, and how many more may wait.
const AT_ONCE: usize = 2;
const WAITING: usize = 32;

/// What passwords are most often made of: whoever guesses, guesses these first, with any digits and signs around them.
const COMMON: &[&str] = &[
    "abc",
    "abcd",
    "abcdef",
    "account",
    "admin",
    "administrator",
    "asdf",
    "asdfghjkl",
    "baseball",
    "catalog",
    "changeit",
    "changeme",
    "correcthorsebatterystaple",
    "default",
    "dragon",
    "football",
    "god",
    "guest",
    "hello",
    "helloworld",
    "iloveyou",
    "letmein",
    "letmeinnow",
    "login",
    "master",
    "monkey",
    "mypassword",
    "newpassword",
    "nopassword",
    "owner",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "passwordpassword",
    "princess",
    "qazwsx",
    "qazwsxedc",
    "qwerty",
    "qwertyqwerty",
    "qwertyuiop",
    "qwertyuiopasdfghjkl",
    "qwertz",
    "qwertzuiop",
    "root",
    "secret",
    "security",
    "shadow",
    "silhouette",
    "silhouettecatalog",
    "starwars",
    "summer",
    "spring",
    "autumn",
    "winter",
    "sunshine",
    "superman",
    "supersecret",
    "temp",
    "temporary",
    "test",
    "testtest",
    "thisisapassword",
    "trustno",
    "user",
    "welcome",
    "welcomeback",
    "whatever",
    "zxcvbnm",
];

/// Hashes and compares, a bounded number at once.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// What a password is compared with when there is no such user, so that both take the same time.
    nobody: Arc<str>,
}

impl Passwords {
    /// Ready to work.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when argon2 does not work here.
    pub fn new() -> Result<Passwords, Refusal> {
        Ok(Passwords {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            nobody: hash(&crate::random::secret(""))?.into(),
        })
    }

    /// What is to be kept of a password that [`check`] took.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] when too many are waiting.
    pub async fn hash(&self, password: &str) -> Result<String, Refusal> {
        let password = password.to_owned();
        self.work(move || hash(&password)).await?
    }

    /// Whether the password fits the hash. Without a hash it does not, after the same time.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] when too many are waiting.
    pub async fn fits(&self, password: &str, kept: Option<&str>) -> Result<bool, Refusal> {
        // Nobody's password is longer; hashing one would be work for nothing.
        let (password, too_long) = if password.chars().count() > *LENGTH.end() {
            (String::new(), true)
        } else {
            (password.to_owned(), false)
        };
        let there = kept.is_some();
        let kept = kept.unwrap_or(&self.nobody).to_owned();
        let fits = self
            .work(move || {
                PasswordHash::new(&kept).is_ok_and(|kept| {
                    Argon2::default()
                        .verify_password(password.as_bytes(), &kept)
                        .is_ok()
                })
            })
            .await?;
        Ok(fits && there && !too_long)
    }

    async fn work<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let Ok(place) = Arc::clone(&self.queue).try_acquire_owned() else {
            return Err(Refusal::TooMany { seconds: 2 });
        };
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        // The permits go along: who stops waiting does not make room for one more while the work is still done.
        let worked = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            what()
        })
        .await;
        worked.map_err(|error| Refusal::Internal(format!("a password cannot be hashed: {error}")))
    }
}

fn hash(password: &str) -> Result<String, Refusal> {
    let inside = |error: &dyn std::fmt::Display| Refusal::Internal(format!("argon2: {error}"));
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| inside(&error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2
        .hash_password(password.as_bytes())
        .map_err(|error| inside(&error))?
        .to_string())
}

/// Whether a new password is one that can be taken. `field`: what the form calls it.
///
/// # Errors
/// [`Refusal::Invalid`] with what is wrong.
pub fn check(field: &'static str, password: &str, email: &str) -> Result<(), Refusal> {
    let length = password.chars().count();
    if !LENGTH.contains(&length) {
        return Err(Refusal::invalid(
            field,
            format!(
                "it has {length} characters; {} to {} are needed",
                LENGTH.start(),
                LENGTH.end()
            ),
        ));
    }
    let lower = password.to_lowercase();
    let email = email.to_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    let core = lower.trim_matches(|c: char| !c.is_alphabetic());
    if lower == email || core == local {
        return Err(Refusal::invalid(
            field,
            "it is the e-mail address, which is the first that is tried",
        ));
    }
    // `p@ssw0rd` is `password` to whoever guesses.
    let plain: String = core
        .chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .filter(|c| c.is_alphabetic())
        .collect();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    // `COMMON` has an entry of its own for what has no letters: nothing but digits and signs is guessed through quickly.
    if plain.is_empty()
        || different.len() < 5
        || COMMON.contains(&plain.as_str())
        || in_a_row(&lower)
    {
        return Err(Refusal::invalid(
            field,
            "it is among the most common ones; several words that have nothing to do with each other are easy to remember \
             and hard to guess",
        ));
    }
    Ok(())
}

/// `abcdefghijkl`, `cba…`: each character the next or the previous of the one before.
fn in_a_row(text: &str) -> bool {
    let steps: Vec<i64> = text
        .chars()
        .zip(text.chars().skip(1))
        .map(|(a, b)| i64::from(u32::from(b)) - i64::from(u32::from(a)))
        .collect();
    let by = |step: i64| steps.iter().filter(|s| **s == step).count() * 10 >= steps.len() * 8;
    by(1) || by(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        for (password, word) in [
            ("short", "12 to 256"),
            ("owner@example.com", "e-mail"),
            ("samantha.jones2026!", "e-mail"),
            ("password1234", "common"),
            ("P@ssw0rd!!2026", "common"),
            ("!!Welcome2026!!", "common"),
            ("123456789012", "common"),
            ("aaaaaaaaaaaaaaa", "common"),
            ("abcdefghijklmn", "common"),
            ("qwertyuiop12", "common"),
        ] {
            let email = if password.starts_with("sam") {
                "samantha.jones@example.com"
            } else {
                "owner@example.com"
            };
            let error = check("password", password, email).unwrap_err().to_string();
            assert!(error.contains(word), "{password}: {error}");
        }
        for good in [
            "tram orchid gravel nine",
            "Xk29-vQ77-mmLp",
            "ünïcode für alle 7",
        ] {
            check("password", good, "owner@example.com").unwrap();
        }
        assert!(check("password", &"long ".repeat(60), "a@b").is_err());
    }

    #[tokio::test]
    async fn only_the_same_password_fits() {
        let passwords = Passwords::new().unwrap();
        let kept = passwords.hash("tram orchid gravel nine").await.unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        let fits = async |password: &str, kept| passwords.fits(password, kept).await.unwrap();
        assert!(fits("tram orchid gravel nine", Some(kept.as_str())).await);
        assert!(!fits("tram orchid gravel ten", Some(kept.as_str())).await);
        assert!(!fits("tram orchid gravel nine", None).await);
        assert!(!fits("tram orchid gravel nine", Some("no hash")).await);
        assert!(!fits(&"a".repeat(300), Some(kept.as_str())).await);
    }
}
