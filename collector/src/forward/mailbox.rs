//! The latest figures of hosts that the catalog has not got yet.
//!
//! In: what was seen of a host, as it is sent. Out: the same, once. New figures replace those before; it is in memory only and bounded:
//! figures that do not fit are dropped, newer ones follow.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of all figures that wait.
const MOST: usize = 32 << 20;

/// Figures by host.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    by_host: BTreeMap<String, Bytes>,
    bytes: usize,
}

impl Mailbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the newest figures of a host.
    pub fn put(&self, host: &str, figures: Bytes) {
        let mut all = self.lock();
        all.take(host);
        if all.bytes + figures.len() <= MOST {
            all.bytes += figures.len();
            all.by_host.insert(host.to_owned(), figures);
        }
    }

    /// Puts figures back that could not be sent, if there are no newer ones.
    pub fn put_back(&self, host: &str, figures: Bytes) {
        if !self.lock().by_host.contains_key(host) {
            self.put(host, figures);
        }
    }

    /// Takes figures of a host that `may`.
    pub fn next(&self, may: impl Fn(&str) -> bool) -> Option<(String, Bytes)> {
        let mut all = self.lock();
        let host = all.by_host.keys().find(|host| may(host))?.clone();
        let figures = all.take(&host)?;
        Some((host, figures))
    }

    /// Drops everything.
    pub fn clear(&self) {
        *self.lock() = Figures::default();
    }
}

impl Figures {
    fn take(&mut self, host: &str) -> Option<Bytes> {
        let figures = self.by_host.remove(host)?;
        self.bytes -= figures.len();
        Some(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_figures_are_taken_once() {
        let mailbox = Mailbox::default();
        mailbox.put("a", Bytes::from_static(b"old"));
        mailbox.put("a", Bytes::from_static(b"new"));
        mailbox.put("b", Bytes::from_static(b"b"));
        assert_eq!(mailbox.next(|host| host == "c"), None);
        let a = mailbox.next(|_| true).unwrap();
        assert_eq!(a, ("a".to_owned(), Bytes::from_static(b"new")));
        mailbox.put_back("a", a.1.clone());
        mailbox.put("b", Bytes::from_static(b"b2"));
        mailbox.put_back("b", Bytes::from_static(b"b"));
        assert_eq!(mailbox.next(|_| true), Some(a));
        assert_eq!(mailbox.next(|_| true).unwrap().1, "b2");
        assert_eq!(mailbox.next(|_| true), None);
    }

    #[test]
    fn it_is_bounded() {
        let mailbox = Mailbox::default();
        let large = Bytes::from(vec![0; MOST / 2 + 1]);
        mailbox.put("a", large.clone());
        mailbox.put("b", large.clone());
        mailbox.put("a", large);
        assert_eq!(mailbox.next(|_| true).unwrap().0, "a");
        assert_eq!(mailbox.next(|_| true), None);
        assert_eq!(mailbox.lock().bytes, 0);
    }
}
