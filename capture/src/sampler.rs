//! Which exchanges to capture when `sample_rate` is below 1, fair to rare routes.
//!
//! In: a request's method, host and path, and the time. Out: yes or no. The first [`FIRST`] exchanges of each route in each
//! minute are always captured, the rest at the rate. A route is a path whose id-like segments are collapsed, told apart
//! by a hash in a table of fixed size. When hostile traffic fills the table, further routes are captured at the rate alone
//! until the minute is over: memory and volume stay bounded. The same seed, times and requests give the same answers.

use crate::exchange::RequestHead;
use crate::jitter::Jitter;

/// How many exchanges of a route are captured in each minute whatever the rate.
pub(crate) const FIRST: u16 = 10;
const MINUTE: u64 = 60_000_000_000;
/// Routes that fall on the same set share this many places.
const WAYS: usize = 4;
const SETS: usize = 512;
/// Segments beyond this many do not tell routes apart.
const DEEPEST: usize = 16;

/// One per worker; 32 KiB, allocated when it is first needed.
pub struct Sampler {
    jitter: Jitter,
    places: Vec<[Place; WAYS]>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    route: u64,
    minute: u32,
    count: u16,
}

impl Sampler {
    /// `seed` decides which of the exchanges beyond the first of each route are captured.
    pub fn new(seed: u64) -> Sampler {
        Sampler {
            jitter: Jitter::new(seed),
            places: Vec::new(),
        }
    }

    /// Whether to capture this exchange.
    pub(crate) fn keeps(
        &mut self,
        rate: f64,
        head: &RequestHead<'_>,
        monotonic_nanos: u64,
    ) -> bool {
        if rate >= 1.0 {
            return true;
        }
        if rate <= 0.0 {
            return false;
        }
        // The top 53 bits are a uniform number in [0, 1). Drawn for every exchange, so that the answer for one does not
        // depend on how another was decided.
        let drawn = (self.jitter.next() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < rate || self.is_among_the_first(route(head), monotonic_nanos)
    }

    fn is_among_the_first(&mut self, route: u64, monotonic_nanos: u64) -> bool {
        if self.places.is_empty() {
            self.places = vec![[Place::default(); WAYS]; SETS];
        }
        // 0 marks a place that was never used.
        let minute = (monotonic_nanos / MINUTE) as u32 + 1;
        let Some(set) = self.places.get_mut(route as usize % SETS) else {
            return false;
        };
        let mut free = None;
        for place in set.iter_mut() {
            if place.minute == minute && place.route == route {
                place.count = place.count.saturating_add(1);
                return place.count <= FIRST;
            }
            if place.minute != minute {
                free = Some(place);
            }
        }
        match free {
            Some(place) => {
                *place = Place {
                    route,
                    minute,
                    count: 1,
                };
                true
            }
            None => false,
        }
    }
}

/// A hash of method, host and path with its id-like segments collapsed.
fn route(head: &RequestHead<'_>) -> u64 {
    let mut hash = Fnv(0xCBF2_9CE4_8422_2325);
    hash.add(head.method);
    for byte in head.authority {
        hash.add(&[byte.to_ascii_lowercase()]);
    }
    for segment in head.path.split(|b| *b == b'/').take(DEEPEST) {
        hash.add(b"/");
        hash.add(if is_id_like(segment) { b"{}" } else { segment });
    }
    // FNV's low bits are its best; the fold lets the high ones count for the set as well.
    hash.0 ^ hash.0 >> 32
}

/// Looks like a value and not like a word of the path: digits (but not `v2`), percent-encoding, or very long.
fn is_id_like(segment: &[u8]) -> bool {
    if segment.len() > 32 {
        return true;
    }
    let is_version = matches!(segment, [b'v' | b'V', rest @ ..] if !rest.is_empty() && rest.len() <= 3
        && rest.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
    !is_version
        && segment
            .iter()
            .any(|b| b.is_ascii_digit() || matches!(b, b'%' | b'@' | b':' | b',' | b'='))
}

/// FNV-1a, 64 bits: a few bytes at a time, no state to set up.
struct Fnv(u64);

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(path: &'a str) -> RequestHead<'a> {
        RequestHead {
            scheme: "http",
            authority: b"api",
            method: b"GET",
            path: path.as_bytes(),
            query: None,
            http_version: "1.1",
        }
    }

    #[test]
    fn the_first_of_a_route_are_kept_every_minute() {
        let mut sampler = Sampler::new(1);
        for minute in 0..5u64 {
            let kept = (0..10_000)
                .filter(|i| sampler.keeps(1e-9, &head(&format!("/users/{i}")), minute * MINUTE + i))
                .count();
            assert_eq!(kept, usize::from(FIRST));
        }
    }

    #[test]
    fn a_rare_route_is_not_starved_by_a_busy_one() {
        let mut sampler = Sampler::new(2);
        for i in 0..100_000u64 {
            sampler.keeps(0.001, &head("/busy"), i);
            if i % 20_000 == 0 {
                assert!(sampler.keeps(0.001, &head("/rare"), i));
            }
        }
    }

    #[test]
    fn the_rate_holds_beyond_the_first() {
        let mut sampler = Sampler::new(3);
        let kept = (0..100_000)
            .filter(|i| sampler.keeps(0.1, &head("/busy"), *i))
            .count();
        assert!((9_000..11_000).contains(&kept), "{kept}");
        let spray = (0..200_000)
            .filter(|i| sampler.keeps(0.001, &head(&word(*i)), MINUTE + *i))
            .count();
        assert!(spray < SETS * WAYS + 400, "{spray}");
    }

    fn word(mut number: u64) -> String {
        let mut path = "/".to_owned();
        for _ in 0..8 {
            path.push(char::from(b'a' + (number % 26) as u8));
            number /= 26;
        }
        path
    }

    #[test]
    fn the_ends_of_the_rate_are_exact_and_answers_repeat() {
        let mut sampler = Sampler::new(4);
        assert!((0..1000).all(|i| sampler.keeps(1.0, &head("/a"), i)));
        assert!((0..1000).all(|i| !sampler.keeps(0.0, &head("/a"), i)));
        let run = || {
            let mut sampler = Sampler::new(5);
            (0..1000u64)
                .map(|i| sampler.keeps(0.3, &head(&word(i % 7)), i))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    }

    #[cfg(not(target_family = "wasm"))]
    proptest::proptest! {
        #[test]
        fn a_route_seen_a_few_times_a_minute_is_always_kept(
            seed in proptest::prelude::any::<u64>(),
            busy in 1usize..20,
            rare in 1u16..=FIRST,
            gap in 1u64..200,
        ) {
            let mut sampler = Sampler::new(seed);
            let mut now = 0;
            for _ in 0..rare {
                for i in 0..gap {
                    now += 1;
                    sampler.keeps(0.001, &head(&word(i % busy as u64)), now);
                }
                assert!(sampler.keeps(0.001, &head("/rare/17"), now));
            }
        }
    }

    #[test]
    fn ids_collapse_and_words_do_not() {
        for (a, b, same) in [
            ("/users/1", "/users/2", true),
            ("/v1/x", "/v2/x", false),
            ("/users/me", "/users/all", false),
            ("/o/6f9619ff-8b86-d011-b42d-00cf4fc964ff", "/o/7", true),
        ] {
            assert_eq!(route(&head(a)) == route(&head(b)), same, "{a} {b}");
        }
    }
}
