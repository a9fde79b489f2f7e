//! The link: one task that talks to the catalog, as the registration in the data directory says.
//!
//! In: the registration, the outbox, the mailbox, what the catalog answers. Out: heartbeats, revisions in order per host, figures,
//! new credentials. Nothing is taken from the outbox before the catalog has answered. While the catalog does
//! not answer one call at a time tries it, at growing distances; a host whose revisions fail does not hold up the others.
//! It never emits a document and never decides what one is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::client::{CallError, Catalog, Taken};
use super::outbox::{Entry, OutboxError, Refused};
use super::protocol::{Heartbeat, NewCredential, OutboxCounts, Pulse, timestamp};
use super::registration::{Registration, Registrations};
use super::standing::{Part, Registered, Standing, State};
use super::sync::Sync;
use crate::private_file::Stamp;

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

/// What is known of the catalog since the start, or since the registration.
#[derive(Debug)]
struct Session {
    catalog: Catalog,
    registration: Registration,
    /// When the next heartbeat is due, monotonic milliseconds.
    beat_due: u64,
    beating: bool,
    /// Whether the catalog answers at all.
    link: Backoff,
    /// Whether it takes revisions.
    pushes: Backoff,
    /// Hosts whose revisions fail.
    lanes: HashMap<String, Lane>,
    /// Hosts with a revision or figures on the way.
    busy: HashSet<String>,
    /// What it said last; nothing is pushed before it said something.
    pulse: Option<Pulse>,
    rotate: bool,
    /// It does not know us any more.
    stopped: bool,
    sync: Option<Sync>,
}

#[derive(Debug, Default)]
struct Lane {
    backoff: Backoff,
    why: String,
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

impl Session {
    fn new(registration: Registration, catalog: Catalog) -> Session {
        Session {
            catalog,
            registration,
            beat_due: 0,
            beating: false,
            link: Backoff::default(),
            pushes: Backoff::default(),
            lanes: HashMap::new(),
            busy: HashSet::new(),
            pulse: None,
            rotate: false,
            stopped: false,
            sync: None,
        }
    }

    /// Whether revisions may go out at all.
    fn may_push(&self) -> bool {
        let auto = self.pulse.as_ref().is_some_and(|pulse| pulse.auto_sync);
        auto || self.sync.as_ref().is_some_and(Sync::is_running)
    }

    /// Whether one call has to go alone: who does not answer is tried by one, and no credential must be used while
    /// another one takes its place.
    fn is_alone(&self) -> bool {
        self.link.failures() > 0
            || self.pulse.is_none()
            || self.rotate
            || self.registration.next_credential.is_some()
    }

    fn may(&self, host: &str, now: u64) -> bool {
        !self.busy.contains(host)
            && self
                .lanes
                .get(host)
                .is_none_or(|lane| lane.backoff.may(now))
    }
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
        let whose = format!("{} {}", catalog.url(), registration.collector_id);
        match self.outbox(move |outbox| outbox.adopt(&whose)).await {
            // Who has just registered wants to see what is known already.
            Ok(true) => {
                self.standing.want_everything();
            }
            Ok(false) => {}
            Err(error) => {
                let error = error.to_string();
                self.standing.trouble(Part::Outbox, None, &error, now);
                return;
            }
        }
        self.standing.well(Part::Outbox, None);
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
        self.standing.set_registered(true);
        self.session = Some(Session::new(registration, catalog));
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
        let totals = totals.unwrap_or_else(|error| {
            let error = error.to_string();
            self.standing.trouble(Part::Outbox, None, &error, unix);
            super::outbox::Totals::default()
        });
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

    async fn ended(&mut self, done: Done) {
        match done {
            Done::Beat(Ok(pulse), sent) => self.pulse(pulse, sent).await,
            Done::Beat(Err(error), _) => {
                if let Some(session) = &mut self.session {
                    session.beating = false;
                    session.beat_due = 0;
                }
                self.away(&error).await;
            }
            Done::Rotated(Ok(new)) => self.take_credential(new).await,
            Done::Rotated(Err(error)) => self.away(&error).await,
            Done::Pushed(host, entry, result) => {
                if let Some(session) = &mut self.session {
                    session.busy.remove(&host);
                }
                match result {
                    Ok(taken) => self.taken(host, entry, taken).await,
                    Err(error) => self.not_taken(host, entry, error).await,
                }
            }
            Done::Seen(host, figures, result) => {
                if let Some(session) = &mut self.session {
                    session.busy.remove(&host);
                }
                if let Err(error) = result {
                    self.not_seen(&host, figures, error).await;
                }
            }
        }
    }

    /// The catalog has answered a heartbeat.
    async fn pulse(&mut self, pulse: Pulse, sent: Sent) {
        let (now, unix) = (self.now(), crate::unix_millis());
        let Some(session) = &mut self.session else {
            return;
        };
        session.beating = false;
        session.beat_due = now + pulse.heartbeat_seconds.clamp(1, 3600) * 1000;
        if session.link.failures() > 0 {
            session.link.succeeded();
            session.pushes.again();
        }
        session.rotate = pulse.rotate_credential;
        let wanted = pulse.sync.clone();
        let auto_sync = pulse.auto_sync;
        let server: Option<jiff::Timestamp> = pulse.server_time.parse().ok();
        // Half of the way there and back passed before the catalog looked at its clock.
        let own = sent.at.midpoint(unix) as i64;
        let skew = server.map(|server| own - server.as_millisecond());
        self.standing.set_document_bytes(pulse.document_bytes);
        session.pulse = Some(pulse);
        let reported = session
            .sync
            .as_ref()
            .is_some_and(|sync| sent.reported.as_deref() == Some(sync.id()));
        match wanted {
            Some(id) if session.sync.as_ref().is_some_and(|sync| sync.id() == id) => {}
            Some(id) => {
                tracing::info!(sync = id, "the catalog asks for everything");
                session.sync = Some(Sync::new(id, self.standing.want_everything()));
                session.lanes.clear();
                session.pushes.succeeded();
            }
            None if reported => session.sync = None,
            None => {}
        }
        let sync = session.sync.as_ref().map(Sync::report);
        if self.standing.set_state(State::Connected, unix) {
            tracing::info!(catalog = session.catalog.url(), "the catalog answers");
        }
        self.standing.well(Part::Link, None);
        self.standing.show(|visible| {
            visible.heartbeat = Some(unix);
            visible.auto_sync = Some(auto_sync);
            visible.clock_skew = skew;
            if sync.is_some() {
                visible.sync = sync;
            }
        });
        self.promote();
    }

    /// The new credential was used: the old one is dead.
    fn promote(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let mut new = session.registration.clone();
        if let Some(next) = new.next_credential.take() {
            new.credential = next;
            self.rewrite(new);
        }
    }

    /// The catalog has given a new credential: it is on disk before it is used.
    async fn take_credential(&mut self, new: NewCredential) {
        if let Some(session) = &mut self.session {
            session.rotate = false;
            let mut registration = session.registration.clone();
            registration.next_credential = Some(new.credential);
            self.rewrite(registration);
        }
    }

    /// Replaces the registration on disk, and then in memory. When somebody else has replaced it, theirs is taken up.
    fn rewrite(&mut self, new: Registration) {
        let Some(session) = &mut self.session else {
            return;
        };
        match self.registrations.change(&session.registration, &new) {
            Ok(true) => {
                session.registration = new;
                self.stamp = Some(self.registrations.stamp());
            }
            Ok(false) => self.stamp = None,
            Err(error) => {
                let (error, unix) = (error.to_string(), crate::unix_millis());
                self.standing
                    .trouble(Part::Registration, None, &error, unix);
                // What cannot be written down must not be used: tried again with the next heartbeat.
            }
        }
    }

    /// The catalog does not answer, or not as one, or does not know us.
    async fn away(&mut self, error: &CallError) {
        let (now, unix) = (self.now(), crate::unix_millis());
        self.standing.failed(error.reason());
        if matches!(error, CallError::Refused { status: 401, .. }) {
            return self.unknown(error);
        }
        let asked = match error {
            CallError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        let Some(session) = &mut self.session else {
            return;
        };
        session.link.failed(now, asked, random());
        self.standing.set_state(State::Away, unix);
        self.standing
            .trouble(Part::Link, None, &error.to_string(), unix);
    }

    /// The catalog does not know the credential.
    fn unknown(&mut self, error: &CallError) {
        let unix = crate::unix_millis();
        let Some(session) = &mut self.session else {
            return;
        };
        let mut old = session.registration.clone();
        if old.next_credential.take().is_some() {
            // The new one was replaced by a newer one whose answer was lost: the old one still lives then.
            self.rewrite(old);
            return;
        }
        session.stopped = true;
        let what = format!(
            "{error}; nothing is sent until it is registered again: create a token in the catalog (API sources, Edit) and run \
             `silhouette-collector register --catalog {} --token …`",
            session.registration.catalog
        );
        self.standing.set_state(State::Refused, unix);
        self.standing.trouble(Part::Link, None, &what, unix);
    }

    async fn taken(&mut self, host: String, entry: Entry, taken: Taken) {
        let unix = crate::unix_millis();
        let (of, sequence) = (host.clone(), entry.sequence);
        let removed = self
            .outbox(move |outbox| outbox.delivered(&of, sequence, unix))
            .await;
        let Some(session) = &mut self.session else {
            return;
        };
        session.pushes.succeeded();
        if let Err(error) = removed {
            // It is sent again, and counts once.
            let error = error.to_string();
            self.standing.trouble(Part::Outbox, None, &error, unix);
            return self.hold(&host, error, None);
        }
        session.lanes.remove(&host);
        if session.lanes.is_empty() {
            self.standing.well(Part::Push, None);
        }
        self.standing.well(Part::Refusal, Some(&host));
        self.standing.metrics.forward_delivered.inc();
        tracing::debug!(
            host,
            sequence,
            new = taken == Taken::New,
            "the catalog took a revision"
        );
    }

    async fn not_taken(&mut self, host: String, entry: Entry, error: PushError) {
        let (now, unix) = (self.now(), crate::unix_millis());
        let call = match error {
            PushError::Gone => return,
            PushError::Outbox(error) => {
                let error = error.to_string();
                self.standing.trouble(Part::Outbox, None, &error, unix);
                return self.hold(&host, error, None);
            }
            PushError::Call(error) => error,
        };
        let said = call.to_string();
        let CallError::Refused {
            status,
            problem,
            retry_after,
        } = &call
        else {
            // Should it be this document that does not get through, the others do.
            self.hold(&host, said, None);
            return self.away(&call).await;
        };
        match status {
            401 => {
                self.standing.failed(call.reason());
                self.unknown(&call);
            }
            409 if problem.latest.is_some() => {
                let (of, latest) = (host.clone(), problem.latest.unwrap_or_default());
                tracing::info!(
                    host,
                    latest,
                    "the catalog has higher numbers of this host: going on above"
                );
                let done = self
                    .outbox(move |outbox| outbox.renumber(&of, latest))
                    .await;
                if let Err(error) = done {
                    self.hold(&host, error.to_string(), None);
                }
            }
            // It will say so of this document for ever.
            400 | 413 | 415 | 422 => {
                self.standing.failed(call.reason());
                let refused = Refused {
                    sequence: entry.sequence,
                    status: *status,
                    why: said.clone(),
                    at: unix,
                };
                let of = host.clone();
                let done = self
                    .outbox(move |outbox| outbox.refused(&of, refused))
                    .await;
                self.standing
                    .trouble(Part::Refusal, Some(&host), &said, unix);
                if let Some(session) = &mut self.session {
                    session.lanes.remove(&host);
                    if let Some(sync) = &mut session.sync {
                        sync.refused(&host, &said);
                    }
                }
                if let Err(error) = done {
                    self.hold(&host, error.to_string(), None);
                }
            }
            // Not because of this document.
            408 | 429 | 502..=504 => {
                self.standing.failed(call.reason());
                self.standing.trouble(Part::Push, None, &said, unix);
                if let Some(session) = &mut self.session {
                    session.pushes.failed(now, *retry_after, random());
                }
            }
            _ => {
                self.standing.failed(call.reason());
                self.standing.trouble(Part::Push, Some(&host), &said, unix);
                self.hold(&host, said, *retry_after);
            }
        }
    }

    /// Leaves a host alone for a while.
    fn hold(&mut self, host: &str, why: String, asked: Option<u64>) {
        let now = self.now();
        if let Some(session) = &mut self.session {
            let lane = session.lanes.entry(host.to_owned()).or_default();
            lane.backoff.failed(now, asked, random());
            lane.why = why;
        }
    }

    async fn not_seen(&mut self, host: &str, figures: Bytes, error: CallError) {
        let CallError::Refused {
            status, problem, ..
        } = &error
        else {
            self.standing.mailbox.put_back(host, figures);
            return self.away(&error).await;
        };
        match status {
            401 => {
                self.standing.failed(error.reason());
                self.unknown(&error);
            }
            404 if problem.name() == "host-unknown" => {
                // It was restored from before the host: sent again.
                let of = host.to_owned();
                let _ = self.outbox(move |outbox| outbox.forget(&of)).await;
                self.standing.want(host);
            }
            // Newer figures follow.
            _ => {
                self.standing.failed(error.reason());
                self.hold(host, error.to_string(), None);
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
        let is_under_way = !session.busy.is_empty() || session.link.failures() > 0;
        if is_under_way || !standing.has_everything(sync.order()) {
            return;
        }
        // A host that failed once may have met a moment's trouble.
        let lanes = &session.lanes;
        let fails = |host: &str| {
            lanes
                .get(host)
                .is_some_and(|lane| lane.backoff.failures() > 1)
        };
        let Ok(None) = standing.outbox.next(|host| !fails(host)) else {
            return;
        };
        let failing = lanes
            .iter()
            .filter(|(host, _)| {
                let standing = standing.outbox.standing(host);
                matches!(standing, Ok(Some((_, 1..))))
            })
            .map(|(host, lane)| (host.as_str(), lane.why.as_str()));
        sync.end(failing);
        let report = sync.report();
        tracing::info!(sync = sync.id(), state = ?report.state, error = report.error, "everything was sent that can be");
        standing.show(|visible| visible.sync = Some(report));
        session.beat_due = now;
    }
}

impl Session {
    /// What a call needs.
    fn caller(&self) -> (Catalog, String) {
        (self.catalog.clone(), self.registration.bearer().to_owned())
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

/// For jitter; without any, everybody comes at the same time, which is no failure.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
