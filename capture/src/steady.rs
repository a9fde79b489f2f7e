//! A clock that never goes back, made of one that does when it is set.
//!
//! In: a gateway's only clock, the wall's. Out: both times a recorder and an outbox want.

use crate::exchange::Clock;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct SteadyClock {
    wall: u64,
    passed: u64,
}

impl SteadyClock {
    /// The time now, when the wall's clock shows so many nanoseconds since 1970.
    pub fn at(&mut self, wall: u64) -> Clock {
        if self.wall > 0 {
            self.passed += wall.saturating_sub(self.wall);
        }
        self.wall = wall;
        Clock {
            unix_nanos: wall,
            monotonic_nanos: self.passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_the_other_is_set_back() {
        let mut clock = SteadyClock::default();
        let passed = |clock: &mut SteadyClock, wall| clock.at(wall).monotonic_nanos;
        assert_eq!(passed(&mut clock, 1_000), 0);
        assert_eq!(passed(&mut clock, 1_500), 500);
        assert_eq!(passed(&mut clock, 900), 500);
        assert_eq!(passed(&mut clock, 1_000), 600);
    }
}
