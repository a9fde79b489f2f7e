//! How many unknown keys an address may try.
//!
//! In: keys that were found good or unknown, and when. Out: whether to look a key up at all. Only unknown keys count, and
//! a key that was good lately is never kept waiting: one careless client behind a shared address does not lock others out.
//! Memory is bounded whatever is tried.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Millis;

/// Unknown keys an address may try in [`WINDOW`].
const MAX_UNKNOWN: u32 = 30;
/// How long they count.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a good key is remembered.
const GOOD_FOR: Duration = Duration::from_secs(3600);
/// Addresses, and good keys, that are remembered.
const MOST: usize = 10_000;

/// What was tried lately.
#[derive(Debug, Default)]
pub(super) struct UnknownKeys {
    tried: Mutex<Tried>,
}

#[derive(Debug, Default)]
struct Tried {
    /// By address: since when, and how many.
    unknown: HashMap<Option<IpAddr>, (Millis, u32)>,
    /// By fingerprint: when last.
    good: HashMap<String, Millis>,
}

impl UnknownKeys {
    /// Whether a key may be looked up; else for how long to wait.
    pub(super) fn may_try(
        &self,
        fingerprint: &str,
        address: &str,
        now: Millis,
    ) -> Result<(), Duration> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let good = tried.good.get(fingerprint);
        if good.is_some_and(|at| now.since(*at) < GOOD_FOR) {
            return Ok(());
        }
        match tried.unknown.get(&network(address)) {
            // Not where the clock was set back: nobody would know how long to wait.
            Some((since, count)) if *count >= MAX_UNKNOWN && *since <= now => {
                let left = WINDOW.saturating_sub(now.since(*since));
                if left.is_zero() { Ok(()) } else { Err(left) }
            }
            _ => Ok(()),
        }
    }

    /// The key is one.
    pub(super) fn good(&self, fingerprint: String, now: Millis) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.good.len() >= MOST {
            tried.good.retain(|_, at| now.since(*at) < GOOD_FOR);
        }
        if tried.good.len() < MOST || tried.good.contains_key(&fingerprint) {
            tried.good.insert(fingerprint, now);
        }
    }

    /// The key is none, or no longer.
    pub(super) fn unknown(&self, fingerprint: &str, address: &str, now: Millis) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.good.remove(fingerprint);
        if tried.unknown.len() >= MOST {
            tried
                .unknown
                .retain(|_, (since, _)| now.since(*since) < WINDOW);
            if tried.unknown.len() >= MOST {
                // So many addresses in a minute: start anew rather than grow.
                tried.unknown.clear();
            }
        }
        let entry = tried.unknown.entry(network(address)).or_insert((now, 0));
        if now.since(entry.0) >= WINDOW || entry.0 > now {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
    }
}

/// An IPv6 network of 64 bits counts as one, since one host has all of it.
fn network(address: &str) -> Option<IpAddr> {
    match address.parse().ok()? {
        IpAddr::V4(v4) => Some(IpAddr::V4(v4)),
        IpAddr::V6(v6) => Some(match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_bounded_per_address_and_good_ones_never_wait() {
        let keys = UnknownKeys::default();
        let now = Millis(1_000_000);
        keys.good("good".to_owned(), now);
        for _ in 0..MAX_UNKNOWN {
            assert_eq!(keys.may_try("bad", "192.0.2.1", now), Ok(()));
            keys.unknown("bad", "192.0.2.1", now);
        }
        let later = now.plus(Duration::from_secs(20));
        assert_eq!(
            keys.may_try("bad", "192.0.2.1", later),
            Err(Duration::from_secs(40))
        );
        assert_eq!(
            keys.may_try("other", "::ffff:192.0.2.1", later),
            Err(Duration::from_secs(40))
        );
        assert_eq!(keys.may_try("good", "192.0.2.1", later), Ok(()));
        assert_eq!(keys.may_try("bad", "192.0.2.2", later), Ok(()));
        assert_eq!(keys.may_try("bad", "192.0.2.1", now.plus(WINDOW)), Ok(()));
        // The clock was set back by a day.
        let before = Millis(now.0 - 86_400_000);
        assert_eq!(keys.may_try("bad", "192.0.2.1", before), Ok(()));
        keys.unknown("good", "192.0.2.1", later);
        assert!(keys.may_try("good", "192.0.2.1", later).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let keys = UnknownKeys::default();
        for n in 0..=u32::try_from(MOST).unwrap() {
            let address = std::net::Ipv4Addr::from_bits(n).to_string();
            keys.unknown("bad", &address, Millis(1));
            keys.good(n.to_string(), Millis(1));
        }
        let tried = keys.tried.lock().unwrap();
        assert!(tried.unknown.len() <= MOST && tried.good.len() <= MOST);
    }
}
