//! The memory of what is not durable yet, shared by all listeners.
//!
//! In: how many bytes. Out: a permit, at once or when there is room. Whoever waits holds its reader up, which the transport hands on
//! to the sender.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Bytes per permit; a semaphore counts in 32 bits.
const GRAIN: usize = 1024;

/// Room for so many bytes.
#[derive(Debug, Clone)]
pub struct Budget {
    room: Arc<Semaphore>,
    grains: u32,
}

impl Budget {
    /// Of so many bytes.
    pub fn new(bytes: usize) -> Budget {
        let grains = (bytes / GRAIN).clamp(1, u32::MAX as usize >> 4);
        Budget {
            room: Arc::new(Semaphore::new(grains)),
            grains: grains as u32,
        }
    }

    /// What is larger than all of it takes all of it.
    fn grains(&self, bytes: usize) -> u32 {
        ((bytes / GRAIN + 1) as u32).min(self.grains)
    }

    /// As soon as there is room.
    ///
    /// # Errors
    /// The budget is closed.
    pub async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        let room = self.room.clone();
        room.acquire_many_owned(self.grains(bytes)).await
    }

    /// At once, or `None`.
    pub fn room_now(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let room = self.room.clone();
        room.try_acquire_many_owned(self.grains(bytes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_given_back_and_nothing_is_too_large() {
        let budget = Budget::new(10 << 10);
        let some = budget.room_now(6 << 10).unwrap();
        assert!(budget.room_now(6 << 10).is_none());
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.room(100 << 10).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(some);
        assert!(waiting.await.unwrap());
    }
}
