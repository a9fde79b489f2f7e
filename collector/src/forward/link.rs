//! The link: one task that talks to the catalog, as the registration in the data directory says.
//!
//! In: the registration, the outbox, the mailbox, what the catalog answers. Out: heartbeats, revisions in order per host, figures,
//! new credentials. Nothing is taken from the outbox before the catalog has answered. While the catalog does
//! not answer one call at a time tries it, at growing distances; a host whose revisions fail does not hold up the others.
//! It never emits a document and never decides what one is.

mod answers;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::{CallError, Catalog, Taken};
use super::outbox::{Entry, OutboxError};
use super::protocol::{Heartbeat, NewCredential, OutboxCounts, Pulse, timestamp};
use super::registration::Registrations;
use super::standing::{Part, Registered, Standing, State};
use super::sync::Sync;
use crate::private_file::Stamp;

use session::Session;

/// Between two looks at the registration, and at what may be due.
const TICK: u64 = 500;
/// Revisions on the way at once, of different hosts.
const AT_ONCE: usize = 2;

/// A task that talks to the catalog.
#[derive(Debug)]
pub(super) struct Link {
    standing: Arc<Standing>,
    registrations: Registrations,
    stamp: Option<Option<Stamp>>,
    session: Option<Session>,
    calls: JoinSet<Done>,
    started: Instant,
}

/// A call that has ended.
#[derive(Debug)]
enum Done {
    Beat(Result<Pulse, CallError>, Sent),
    Pushed(String, Entry, Result<Taken, PushError>),
    Seen(String, Bytes, Result<(), CallError>),
    Rotated(Result<NewCredential, CallError>),
}

/// What was sent with a heartbeat.
#[derive(Debug)]
struct Sent {
    /// Whether it said how the synchronisation of this name ended.
    reported: Option<String>,
    /// The collector's clock, Unix milliseconds.
    at: u64,
}

#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// It was folded into a newer one in the meantime.
    #[error("it does not wait any more")]
    Gone,
}

impl Link {
    /// For this data directory.
    pub(super) fn new(standing: Arc<Standing>, registrations: Registrations) -> Link {
        Link {
            standing,
            registrations,
            stamp: None,
            session: None,
            calls: JoinSet::new(),
            started: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Talks until it is told to end. What is on the way then stays in the outbox.
    pub(super) async fn run(mut self, mut ending: watch::Receiver<bool>) {
        loop {
            self.follow().await;
            self.adopt().await;
            let wait = self.begin_what_is_due().await;
            tokio::select! {
                _ = ending.changed() => break,
                Some(done) = self.calls.join_next(), if !self.calls.is_empty() => match done {
                    Ok(done) => self.ended(done).await,
                    Err(error) => tracing::error!(%error, "a call of the catalog ended with a panic"),
                },
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
                () = self.standing.news() => {}
            }
            self.progress().await;
        }
        self.calls.shutdown().await;
    }

    /// Takes up a registration that was made, changed or removed beside it.
    async fn follow(&mut self) {
        let stamp = self.registrations.stamp();
        if self.stamp == Some(stamp) {
            return;
        }
        let now = crate::unix_millis();
        let read = self.registrations.read();
        let registration = match read {
            Ok(registration) => registration,
            Err(error) => {
                let error = error.to_string();
                self.standing.trouble(Part::Registration, None, &error, now);
                self.stamp = Some(stamp);
                self.leave(State::NotRegistered, now).await;
                return;
            }
        };
        self.standing.well(Part::Registration, None);
        let Some(registration) = registration else {
            self.stamp = Some(stamp);
            if self.session.is_some() {
                tracing::info!("forwarding ends: the registration is gone");
            }
            self.leave(State::NotRegistered, now).await;
            return;
        };
        if let Some(session) = &self.session
            && session.registration == registration
        {
            self.stamp = Some(stamp);
            return;
        }
        self.leave(State::Connecting, now).await;
        let catalog = match Catalog::of(&registration) {
            Ok(catalog) => catalog,
            Err(error) => {
                // A file with authorities may be readable later.
                let error = error.to_string();
                self.standing.trouble(Part::Registration, None, &error, now);
                return;
            }
        };
        self.stamp = Some(stamp);
        tracing::info!(
            catalog = catalog.url(),
            source = registration.source_name,
            "forwarding to the catalog"
        );
        self.standing
            .set_document_bytes(registration.document_bytes);
        self.standing.show(|visible| {
            visible.registration = Some(Registered {
                catalog: registration.catalog.clone(),
                collector_id: registration.collector_id.clone(),
                source_name: registration.source_name.clone(),
                at: registration.registered,
            });
        });
        self.session = Some(Session::new(registration, catalog));
    }

    /// Makes the outbox that of the registration. Until that is done the catalog is told why it is not, and nothing else.
    async fn adopt(&mut self) {
        let Some(session) = self.session.as_ref().filter(|session| !session.adopted) else {
            return;
        };
        let whose = format!(
            "{} {}",
            session.catalog.url(),
            session.registration.collector_id
        );
        match self.outbox(move |outbox| outbox.adopt(&whose)).await {
            // Who has just registered wants to see what is known already.
            Ok(true) => {
                self.standing.want_everything();
            }
            Ok(false) => {}
            Err(error) => {
                let (now, error) = (crate::unix_millis(), error.to_string());
                self.standing.trouble(Part::Outbox, None, &error, now);
                return;
            }
        }
        self.standing.well(Part::Outbox, None);
        if let Some(session) = &mut self.session {
            session.adopted = true;
        }
        self.standing.set_registered(true);
    }

    /// Ends what is under way with a catalog.
    async fn leave(&mut self, state: State, now: u64) {
        self.calls.shutdown().await;
        self.session = None;
        self.standing.mailbox.clear();
        self.standing.set_registered(false);
        self.standing.set_state(state, now);
        self.standing.well(Part::Link, None);
        self.standing.well(Part::Push, None);
        self.standing.well(Part::Refusal, None);
        self.standing.well(Part::Keeping, None);
        self.standing.show(|visible| {
            visible.registration = None;
            visible.heartbeat = None;
            visible.auto_sync = None;
            visible.clock_skew = None;
            visible.sync = None;
        });
    }

    /// Work on the outbox, which waits for the disk.
    async fn outbox<T: Send + 'static>(
        &self,
        work: impl FnOnce(&super::outbox::Outbox) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let standing = self.standing.clone();
        match tokio::task::spawn_blocking(move || work(&standing.outbox)).await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Begins every call that is due; milliseconds until the next may be.
    async fn begin_what_is_due(&mut self) -> u64 {
        let now = self.now();
        let Some(session) = &mut self.session else {
            return TICK;
        };
        if session.stopped {
            return TICK;
        }
        if session.is_alone() {
            if !self.calls.is_empty() {
                return TICK;
            }
            if !session.link.may(now) {
                return (session.link.until() - now).min(TICK);
            }
            let ask = session.rotate
                && session.link.failures() == 0
                && session.registration.next_credential.is_none();
            match ask {
                true => self.begin_rotation(),
                false => self.begin_beat().await,
            }
            return TICK;
        }
        if !session.beating && now >= session.beat_due {
            self.begin_beat().await;
        }
        self.begin_pushes(now);
        let due = self.session.as_ref().map_or(0, |session| session.beat_due);
        due.saturating_sub(now).clamp(1, TICK)
    }

    async fn begin_beat(&mut self) {
        let unix = crate::unix_millis();
        let totals = self.outbox(super::outbox::Outbox::totals).await;
        let totals = match totals {
            Ok(totals) => {
                if self.session.as_ref().is_some_and(|session| session.adopted) {
                    self.standing.well(Part::Outbox, None);
                }
                totals
            }
            Err(error) => {
                let error = error.to_string();
                self.standing.trouble(Part::Outbox, None, &error, unix);
                super::outbox::Totals::default()
            }
        };
        let Some(session) = &mut self.session else {
            return;
        };
        session.beating = true;
        let sync = session.sync.as_ref().map(Sync::report);
        let beat = Heartbeat {
            version: env!("CARGO_PKG_VERSION"),
            sent_at: timestamp(unix),
            hosts: self.standing.hosts(),
            outbox: OutboxCounts {
                pending: totals.pending,
                oldest_seconds: totals.oldest.map(|at| unix.saturating_sub(at) / 1000),
                merged: totals.merged,
            },
            last_error: self.standing.visible().last_error(),
            sync,
        };
        let sent = Sent {
            reported: session
                .sync
                .as_ref()
                .filter(|sync| !sync.is_running())
                .map(|sync| sync.id().to_owned()),
            at: unix,
        };
        let (catalog, bearer) = session.caller();
        self.calls.spawn(async move {
            let answer = catalog.heartbeat(&bearer, &beat).await;
            Done::Beat(answer, sent)
        });
    }

    fn begin_rotation(&mut self) {
        let Some(session) = &self.session else { return };
        let (catalog, bearer) = session.caller();
        self.calls
            .spawn(async move { Done::Rotated(catalog.rotate(&bearer).await) });
    }

    fn begin_pushes(&mut self, now: u64) {
        let Some(session) = &mut self.session else {
            return;
        };
        if !session.may_push() || !session.pushes.may(now) {
            return;
        }
        let most = match session.pushes.failures() {
            0 => AT_ONCE,
            _ => 1,
        };
        while session.busy.len() < most {
            let next = self.standing.outbox.next(|host| session.may(host, now));
            let (catalog, bearer) = session.caller();
            match next {
                Ok(Some((host, entry))) => {
                    session.busy.insert(host.clone());
                    let standing = self.standing.clone();
                    self.calls.spawn(async move {
                        let taken = push(&catalog, &bearer, &host, &entry, standing).await;
                        Done::Pushed(host, entry, taken)
                    });
                }
                Ok(None) => {
                    // Figures of a host after its revisions, and only of one the catalog knows.
                    let outbox = &self.standing.outbox;
                    let is_there = |host: &str| {
                        let standing = outbox.standing(host).ok().flatten();
                        standing.is_some_and(|(record, pending)| {
                            pending == 0 && record.delivered.is_some()
                        })
                    };
                    let figures = self
                        .standing
                        .mailbox
                        .next(|host| session.may(host, now) && is_there(host));
                    let Some((host, figures)) = figures else {
                        return;
                    };
                    session.busy.insert(host.clone());
                    self.calls.spawn(async move {
                        let sent = catalog.seen(&bearer, &host, figures.clone()).await;
                        Done::Seen(host, figures, sent)
                    });
                }
                Err(error) => {
                    let (now, error) = (crate::unix_millis(), error.to_string());
                    self.standing.trouble(Part::Outbox, None, &error, now);
                    return;
                }
            }
        }
    }

    /// Looks whether the synchronisation is over.
    async fn progress(&mut self) {
        let standing = self.standing.clone();
        let now = self.now();
        let Some(session) = &mut self.session else {
            return;
        };
        let Some(sync) = session.sync.as_mut().filter(|sync| sync.is_running()) else {
            return;
        };
        if !session.busy.is_empty() || session.link.failures() > 0 {
            return;
        }
        let lanes = &session.lanes;
        let mut failing = Vec::new();
        if session.adopted {
            let Some(unkept) = standing.outcome(sync.order()) else {
                return;
            };
            // A host that failed once may have met a moment's trouble.
            let fails = |host: &str| {
                lanes
                    .get(host)
                    .is_some_and(|lane| lane.backoff.failures() > 1)
            };
            failing = unkept;
            match standing.outbox.next(|host| !fails(host)) {
                Ok(None) => {}
                Ok(Some(_)) => return,
                Err(error) => failing.push(("the outbox".to_owned(), error.to_string())),
            }
        } else if let Some(why) = standing.visible().trouble(Part::Outbox) {
            failing.push(("the outbox".to_owned(), why.to_owned()));
        } else {
            return;
        }
        let waiting = lanes.iter().filter(|(host, _)| {
            let standing = standing.outbox.standing(host);
            matches!(standing, Ok(Some((_, 1..))))
        });
        failing.extend(waiting.map(|(host, lane)| (host.clone(), lane.why.clone())));
        sync.end(
            failing
                .iter()
                .map(|(host, why)| (host.as_str(), why.as_str())),
        );
        let report = sync.report();
        tracing::info!(sync = sync.id(), state = ?report.state, error = report.error, "everything was sent that can be");
        standing.show(|visible| visible.sync = Some(report));
        session.beat_due = now;
    }
}

async fn push(
    catalog: &Catalog,
    bearer: &str,
    host: &str,
    entry: &Entry,
    standing: Arc<Standing>,
) -> Result<Taken, PushError> {
    let (of, sequence) = (host.to_owned(), entry.sequence);
    let body = tokio::task::spawn_blocking(move || standing.outbox.body(&of, sequence)).await;
    let body = match body {
        Ok(body) => body?.ok_or(PushError::Gone)?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    Ok(catalog.revision(bearer, host, entry, body).await?)
}
