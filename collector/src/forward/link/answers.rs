//! What the link makes of the catalog's answers: what leaves the outbox, whom it leaves alone for a while, which credential is in force.

use bytes::Bytes;

use super::super::client::{CallError, Taken};
use super::super::outbox::{Entry, Refused};
use super::super::protocol::{NewCredential, Pulse};
use super::super::registration::Registration;
use super::super::standing::{Part, State};
use super::super::sync::Sync;
use super::{Done, Link, PushError, Sent};

impl Link {
    pub(super) async fn ended(&mut self, done: Done) {
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
}

/// For jitter; without any, everybody comes at the same time, which is no failure.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
