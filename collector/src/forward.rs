//! Forwarding to the catalog: from models to revisions that the catalog keeps.
//!
//! ```text
//! models ─▶ emitter ─▶ outbox ─▶ link ─▶ catalog
//!           thread     on disk   task
//! ```
//!
//! In: a registration in the data directory, and the models. Out: heartbeats, each new revision of each host once and in order, and what
//! was called. What waits survives the end of either side, however it comes. Nothing is emitted or contacted without a registration.

pub mod backoff;
pub mod client;
pub mod command;
pub mod contract;
mod emitter;
mod link;
pub mod mailbox;
pub mod outbox;
pub mod protocol;
pub mod registration;
pub mod settle;
pub mod standing;
mod sync;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::emission::Emission;
use crate::hosts::Hosts;
use crate::metrics::Metrics;

use emitter::Emitter;
use link::Link;
use outbox::Outbox;
use registration::Registrations;
use settle::Pace;
use standing::Standing;

/// Settings of forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a document stays as it is before it is a revision.
    pub settle: Duration,
    /// How long one that keeps changing waits at most.
    pub settle_limit: Duration,
    /// Bytes of the outbox.
    pub outbox_bytes: u64,
    /// Between two reports of what a host was called.
    pub seen_interval: Duration,
}

/// Forwarding at work.
#[derive(Debug)]
pub struct Forwarding {
    standing: Arc<Standing>,
    emitter: JoinHandle<()>,
    link: Link,
}

impl Forwarding {
    /// Starts the emitter; the link is run with [`run`](Self::run).
    pub fn start(
        data_dir: &Path,
        settings: Settings,
        hosts: Arc<Hosts>,
        emission: Arc<Emission>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Forwarding> {
        let outbox = Outbox::new(data_dir, settings.outbox_bytes);
        let standing = Arc::new(Standing::new(outbox, metrics));
        let emitter = Emitter {
            hosts,
            emission,
            standing: standing.clone(),
            pace: Pace {
                settle: settings.settle,
                limit: settings.settle_limit,
            },
            seen_interval: settings.seen_interval,
        };
        let emitter = std::thread::Builder::new()
            .name("emitter".into())
            .spawn(move || emitter.run())?;
        Ok(Forwarding {
            link: Link::new(standing.clone(), Registrations::new(data_dir)),
            standing,
            emitter,
        })
    }

    /// How it stands.
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.clone()
    }

    /// Talks to the catalog until `ending` says so. What waits then stays in the outbox.
    pub async fn run(self, ending: watch::Receiver<bool>) {
        self.link.run(ending).await;
        self.standing.end();
        let emitter = self.emitter;
        let joined = tokio::task::spawn_blocking(move || emitter.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the emitter ended with a panic; the next start emits what is missing");
        }
    }
}
