//! One request's capture, from the first hook that sees it to the log phase.
//!
//! In: a view of nginx's request and the chunks that pass. Out: a sealed exchange in the worker's queue, or why there is
//! none, as `$silhouette_status` shows it. Capture begins as late as possible – when a body passes, when the response's
//! head is there, or when the request is logged – because only then is the location known. Knows no nginx structure but
//! the view.

use std::fmt;

use silhouette_capture::{Clock, DropReason, End, Gateway, Peers, Recorder, RequestHead, Skip};

use crate::config::Compiled;
use crate::request::{Chunk, Request};
use crate::worker::Worker;

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// `silhouette off` where the request was processed.
    Off,
    /// It is in the queue.
    Captured,
    /// The settings leave it out.
    Skipped(Skip),
    /// It was recorded and lost.
    Dropped(DropReason),
    /// The module failed; the client's request did not notice.
    Fault,
}

/// As `$silhouette_status` shows it.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Off => f.write_str("off"),
            Outcome::Captured => f.write_str("captured"),
            Outcome::Skipped(skip) => write!(f, "skipped:{skip}"),
            Outcome::Dropped(reason) => write!(f, "dropped:{reason}"),
            Outcome::Fault => f.write_str("fault"),
        }
    }
}

// It lies in the request's pool; a box would be one more allocation per request.
#[allow(clippy::large_enum_variant)]
enum Capture {
    Undecided,
    Recording { recorder: Recorder, link: usize },
    Over(Outcome),
}

/// The capture of one request; lives in its pool.
pub(crate) struct Exchange {
    capture: Capture,
    link: Option<usize>,
    /// Monotonic time of the request's first byte.
    started: u64,
    request_bytes: u64,
    response_bytes: u64,
    response_head: bool,
    response_ended: bool,
    /// Bytes passed that were only in a file: what follows cannot be appended to what came before.
    response_has_hole: bool,
}

impl Exchange {
    /// For a request that just came into sight.
    pub(crate) fn new(request: Request, worker: &Worker) -> Exchange {
        let (_, millis_ago) = request.started();
        Exchange {
            capture: Capture::Undecided,
            link: None,
            started: worker.now().saturating_sub(millis_ago * 1_000_000),
            request_bytes: 0,
            response_bytes: 0,
            response_head: false,
            response_ended: false,
            response_has_hole: false,
        }
    }

    /// What became of it; `None` while it is recorded or before it is.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.capture {
            Capture::Over(outcome) => Some(outcome),
            Capture::Undecided | Capture::Recording { .. } => None,
        }
    }

    /// A panic was caught: nothing more of this request is touched. What became of it before stays true.
    pub(crate) fn fault(&mut self) {
        if self.outcome().is_some() {
            return;
        }
        // The recorder may be in any state; it is forgotten rather than dropped, which might panic again.
        std::mem::forget(std::mem::replace(
            &mut self.capture,
            Capture::Over(Outcome::Fault),
        ));
    }

    /// The link that would have taken the exchange.
    pub(crate) fn link(&self) -> Option<usize> {
        self.link
    }

    /// Decides, when it was not decided before, whether the request is captured, by the settings of the location in
    /// which it is now.
    fn decide(&mut self, request: Request, settings: Option<&Compiled>, worker: &mut Worker) {
        if !matches!(self.capture, Capture::Undecided) {
            return;
        }
        let Some(settings) = settings else {
            // Not final: an internal redirect may still lead to a location that captures.
            return;
        };
        self.link = Some(settings.link);
        let (path, query) = request.target();
        if request.method().is_empty() || path.is_empty() {
            worker.skip(settings.link, Skip::Malformed);
            self.capture = Capture::Over(Outcome::Skipped(Skip::Malformed));
            return;
        }
        let (start_millis, _) = request.started();
        let head = RequestHead {
            scheme: if request.is_https() { "https" } else { "http" },
            authority: request.authority(),
            method: request.method(),
            path,
            query,
            http_version: request.http_version(),
        };
        let clock = Clock {
            unix_nanos: start_millis * 1_000_000,
            monotonic_nanos: self.started,
        };
        let id = worker.next_id();
        let begun = Recorder::begin(
            &settings.policy,
            &mut worker.sampler,
            id,
            &head,
            request.headers(),
            clock,
        );
        self.capture = match begun {
            Ok(recorder) => Capture::Recording {
                recorder,
                link: settings.link,
            },
            Err(skip) => {
                worker.skip(settings.link, skip);
                Capture::Over(Outcome::Skipped(skip))
            }
        };
    }

    /// Bytes of the request's body, as they arrive.
    pub(crate) fn request_body<'a>(
        &mut self,
        request: Request,
        settings: Option<&Compiled>,
        chunks: impl Iterator<Item = Chunk<'a>>,
        worker: &mut Worker,
    ) {
        self.decide(request, settings, worker);
        for chunk in chunks {
            match chunk {
                Chunk::Memory(bytes) => {
                    self.request_bytes += bytes.len() as u64;
                    if let Capture::Recording { recorder, .. } = &mut self.capture
                        && recorder.wants_request_body()
                    {
                        recorder.request_chunk(bytes);
                    }
                }
                Chunk::File(length) => self.request_bytes += length,
            }
        }
    }

    /// The response's head is about to be sent, or was just sent. True when the body is to be kept in memory for us.
    pub(crate) fn response_head(
        &mut self,
        request: Request,
        settings: Option<&Compiled>,
        hide_coding: bool,
        worker: &mut Worker,
    ) -> bool {
        self.decide(request, settings, worker);
        let Capture::Recording { recorder, .. } = &mut self.capture else {
            return false;
        };
        // An error page after a head that was never sent replaces it.
        self.response_head = true;
        self.response_bytes = 0;
        let headers = request.response_headers(hide_coding);
        recorder.response_head(request.status(), headers.iter(), worker.now());
        !request.is_header_only() && recorder.wants_response_body()
    }

    /// Bytes of the response's body on their way to the client; `last` once the body is complete.
    pub(crate) fn response_body<'a>(&mut self, chunks: impl Iterator<Item = Chunk<'a>>) {
        let Capture::Recording { recorder, .. } = &mut self.capture else {
            return;
        };
        for chunk in chunks {
            match chunk {
                Chunk::Memory(bytes) => {
                    self.response_bytes += bytes.len() as u64;
                    if !self.response_has_hole && recorder.wants_response_body() {
                        recorder.response_chunk(bytes);
                    }
                }
                Chunk::File(length) => {
                    self.response_bytes += length;
                    self.response_has_hole = true;
                }
            }
        }
    }

    /// The whole body was handed over.
    pub(crate) fn response_end(&mut self) {
        self.response_ended = true;
    }

    /// The request is over and about to be logged.
    pub(crate) fn finish(
        &mut self,
        request: Request,
        settings: Option<&Compiled>,
        worker: &mut Worker,
    ) {
        self.decide(request, settings, worker);
        let capture = std::mem::replace(&mut self.capture, Capture::Over(Outcome::Off));
        let outcome = match capture {
            Capture::Over(outcome) => outcome,
            Capture::Undecided => Outcome::Off,
            // The location where processing ended says off: nothing is kept of what was recorded on the way.
            Capture::Recording { .. } if settings.is_none() => Outcome::Off,
            Capture::Recording { recorder, link } => self.seal(recorder, link, request, worker),
        };
        self.capture = Capture::Over(outcome);
    }

    fn seal(
        &self,
        recorder: Recorder,
        link: usize,
        request: Request,
        worker: &mut Worker,
    ) -> Outcome {
        if worker.is_full(link) && recorder.skip().is_none() {
            worker.drop_exchange(link, DropReason::QueueFull);
            return Outcome::Dropped(DropReason::QueueFull);
        }
        let upstream = request.upstream();
        // A body that nginx discards unread never passes; that there was one is still known.
        let request_size = match self.request_bytes {
            0 => request.announced_length(),
            passed => Some(passed),
        };
        let complete = self.response_ended || request.is_header_only() || request.status() == 101;
        let end = End {
            monotonic_nanos: worker.now(),
            gateway: Gateway {
                route: request.location_name(),
                upstream: upstream.name,
                upstream_address: upstream.address,
                virtual_server: request.virtual_server(),
                upstream_micros: upstream.micros,
                ..Gateway::default()
            },
            peers: Peers {
                client: request.client(),
                server: request.server(),
            },
            tls: request.tls(),
            request_size,
            response_size: Some(self.response_bytes),
            unfinished: !(self.response_head && complete) || request.is_cut_off(),
        };
        match recorder.finish(&end) {
            Ok(sealed) => match worker.send(link, &sealed) {
                Ok(()) => Outcome::Captured,
                Err(reason) => Outcome::Dropped(reason),
            },
            Err(skip) => {
                worker.skip(link, skip);
                Outcome::Skipped(skip)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_read_as_words_for_a_log() {
        for (outcome, text) in [
            (Outcome::Off, "off"),
            (Outcome::Captured, "captured"),
            (
                Outcome::Skipped(Skip::ExcludedStatus),
                "skipped:excluded_status",
            ),
            (
                Outcome::Dropped(DropReason::QueueFull),
                "dropped:queue_full",
            ),
            (Outcome::Fault, "fault"),
        ] {
            assert_eq!(outcome.to_string(), text);
        }
    }
}
