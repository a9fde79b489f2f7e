//! How often somebody may try to sign in.
//!
//! In: who tries, from where, and when. Out: go ahead, or how long to wait. A try counts as failed until it is known to be good,
//! so that many at once are no way around it. Accounts wait a minute at most: nobody can lock another out for long. Memory is
//! bounded whatever is tried.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Millis;

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    /// The account, by the hash of its address: whatever is typed takes as much room.
    Account(String),
    /// The peer; an IPv6 network of 64 bits is one, since one host has all of it.
    Address(IpAddr),
    /// A peer whose address is not known.
    Nowhere,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    failed: u32,
    last: Millis,
}

/// Tries without a wait, and the longest wait.
const ACCOUNT: (u32, Duration) = (5, Duration::from_secs(60));
const ADDRESS: (u32, Duration) = (20, Duration::from_secs(15 * 60));

/// What is not tried for so long is forgotten.
const FORGET: Duration = Duration::from_secs(3600);

/// Accounts and addresses remembered.
const MOST: usize = 10_000;

/// What was tried lately.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    tries: Mutex<HashMap<Who, Tries>>,
}

impl Throttle {
    /// Counts a try. `Err`: not now; wait so long.
    ///
    /// # Errors
    /// The time to wait, when it is too early for another one; it is not counted then.
    pub(super) fn begin(&self, account: &str, address: &str, now: Millis) -> Result<(), Duration> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let who = [
            (account_of(account), ACCOUNT),
            (address_of(address), ADDRESS),
        ];
        // Where the clock was set back nobody waits for the time it showed before.
        for (who, _) in &who {
            if let Some(tried) = tries.get_mut(who) {
                tried.last = tried.last.min(now);
            }
        }
        let wait = who
            .iter()
            .filter_map(|(who, bound)| {
                let tried = tries.get(who)?;
                let passed = now.since(tried.last);
                wait(tried.failed, *bound).checked_sub(passed)
            })
            .max()
            .filter(|wait| !wait.is_zero());
        if let Some(wait) = wait {
            return Err(wait);
        }
        if tries.len() + who.len() > MOST {
            make_room(&mut tries, now);
        }
        for (who, _) in who {
            let tried = tries.entry(who).or_insert(Tries {
                failed: 0,
                last: now,
            });
            if now.since(tried.last) > FORGET {
                tried.failed = 0;
            }
            *tried = Tries {
                failed: tried.failed.saturating_add(1),
                last: now,
            };
        }
        Ok(())
    }

    /// It was good: the account starts anew, and the address gets this try back.
    pub(super) fn succeeded(&self, account: &str, address: &str) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.remove(&account_of(account));
        if let Some(tried) = tries.get_mut(&address_of(address)) {
            tried.failed = tried.failed.saturating_sub(1);
        }
    }
}

/// One second after the last free try, then twice as long each time.
fn wait(failed: u32, (free, longest): (u32, Duration)) -> Duration {
    match failed.checked_sub(free) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1_u64 << more.min(20)).min(longest),
    }
}

fn account_of(account: &str) -> Who {
    Who::Account(crate::hash::sha256(account.to_lowercase().as_bytes()))
}

fn address_of(address: &str) -> Who {
    match address.parse() {
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => Who::Address(address.into()),
            None => {
                let network = u128::from(address) >> 64 << 64;
                Who::Address(Ipv6Addr::from(network).into())
            }
        },
        Ok(address) => Who::Address(address),
        Err(_) => Who::Nowhere,
    }
}

/// Lets go of what is old, or else of the older half: who is remembered longest matters least.
fn make_room(tries: &mut HashMap<Who, Tries>, now: Millis) {
    tries.retain(|_, tried| now.since(tried.last) <= FORGET);
    if tries.len() + 2 > MOST {
        let mut times: Vec<Millis> = tries.values().map(|tried| tried.last).collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or(now);
        tries.retain(|_, tried| tried.last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: i64) -> Millis {
        Millis(1_700_000_000_000 + n * 1000)
    }

    #[test]
    fn an_account_waits_longer_each_time_and_never_more_than_a_minute() {
        let throttle = Throttle::default();
        let (mut now, mut waits) = (0, Vec::new());
        for at in 0..14 {
            // Each from elsewhere: the account alone decides.
            let address = format!("192.0.2.{at}");
            if let Err(wait) = throttle.begin("Me@example.com", &address, seconds(now)) {
                waits.push(wait.as_secs());
                now += i64::try_from(wait.as_secs()).unwrap();
                throttle
                    .begin("me@EXAMPLE.com", &address, seconds(now))
                    .unwrap();
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        throttle
            .begin("other@example.com", "192.0.2.99", seconds(now))
            .unwrap();
        throttle
            .begin("me@example.com", "192.0.2.99", seconds(now + 60))
            .unwrap();
        throttle.succeeded("me@example.com", "192.0.2.99");
        throttle
            .begin("me@example.com", "192.0.2.99", seconds(now + 60))
            .unwrap();
    }

    #[test]
    fn an_address_is_throttled_whatever_account_it_tries() {
        let throttle = Throttle::default();
        for n in 0..20 {
            let address = format!("2001:db8::{n:x}");
            throttle
                .begin(&format!("user{n}@example.com"), &address, seconds(0))
                .unwrap();
        }
        assert!(
            throttle
                .begin("x@example.com", "2001:db8::ffff", seconds(0))
                .is_err()
        );
        throttle
            .begin("x@example.com", "2001:db8:0:1::1", seconds(0))
            .unwrap();
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let throttle = Throttle::default();
        for _ in 0..6 {
            let _ = throttle.begin("me@example.com", "192.0.2.1", seconds(86_400));
        }
        let wait = throttle.begin("me@example.com", "192.0.2.1", seconds(0));
        let wait = wait.unwrap_err();
        assert!(wait <= Duration::from_secs(60), "{wait:?}");
        let later = seconds(i64::try_from(wait.as_secs()).unwrap() + 1);
        throttle
            .begin("me@example.com", "192.0.2.1", later)
            .unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..30_000_u32 {
            let address = std::net::Ipv4Addr::from(n).to_string();
            let _ = throttle.begin(
                &format!("user{n}@example.com"),
                &address,
                seconds(i64::from(n) / 100),
            );
        }
        let held = throttle.tries.lock().unwrap().len();
        assert!(held <= MOST, "{held}");
    }
}
