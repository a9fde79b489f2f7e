//! The call to the collector: at most one in flight, given up by the clock.
//!
//! In: a batch to send, the gateway's answer, the time. Out: what became of the batch, for the outbox. Hosts differ in
//! whether they tell of a call that failed; what they do not tell is over when its time is.

use std::time::Duration;

use silhouette_capture::reply::{self, Answer, Outcome};
use silhouette_capture::{OutBatch, grpc_web};

use crate::host::{self, Headers};
use crate::settings::Collector;

/// How long the gateway waits for the collector.
const TIMEOUT: Duration = Duration::from_secs(5);
/// When a call is over that the gateway has not told anything about, in nanoseconds. After the gateway's own time, so that
/// there are never two in flight.
const GIVEN_UP: u64 = 7_000_000_000;
struct Call {
    token: u32,
    sequence: u64,
    since: u64,
}

/// See the module's documentation.
pub(crate) struct Sender {
    collector: Collector,
    authorization: Option<String>,
    agent: String,
    call: Option<Call>,
}

impl Sender {
    pub(crate) fn new(collector: Collector, token: Option<&str>, agent: String) -> Sender {
        Sender {
            collector,
            authorization: token.map(|token| format!("Bearer {token}")),
            agent,
            call: None,
        }
    }

    /// `host:port` of the collector.
    pub(crate) fn collector(&self) -> &str {
        &self.collector.authority
    }

    /// Whether a call is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.call.is_some()
    }

    /// Whether it is this one.
    pub(crate) fn awaits(&self, token: u32) -> bool {
        self.call.as_ref().is_some_and(|call| call.token == token)
    }

    /// The call in flight has taken so long that nothing will come of it.
    pub(crate) fn expired(&mut self, now: u64) -> Option<(u64, Outcome)> {
        let call = self.call.as_ref()?;
        if now.saturating_sub(call.since) < GIVEN_UP {
            return None;
        }
        let sequence = call.sequence;
        self.call = None;
        let seconds = GIVEN_UP / 1_000_000_000;
        let why = format!(
            "the gateway has told nothing of a call to {} for {seconds} s: is the collector reachable from it?",
            self.collector.upstream
        );
        Some((sequence, Outcome::Failed(why)))
    }

    /// Sends a batch. Only from a tick: the hosts allow a call in few other places.
    pub(crate) fn send(&mut self, batch: &OutBatch, now: u64) -> Option<(u64, Outcome)> {
        let body = match grpc_web::frame(&batch.bytes) {
            Ok(body) => body,
            Err(error) => {
                return Some((batch.sequence, Outcome::Rejected(error.to_string())));
            }
        };
        let mut headers = vec![
            (":method", "POST"),
            (":scheme", self.collector.scheme),
            (":authority", self.collector.authority.as_str()),
            (":path", grpc_web::EXPORT_PATH),
            ("content-type", grpc_web::CONTENT_TYPE),
            ("accept", grpc_web::CONTENT_TYPE),
            ("x-grpc-web", "1"),
            ("user-agent", self.agent.as_str()),
        ];
        if let Some(authorization) = &self.authorization {
            headers.push(("authorization", authorization));
        }
        match host::call(&self.collector.upstream, &headers, &body, TIMEOUT) {
            Some(token) => {
                self.call = Some(Call {
                    token,
                    sequence: batch.sequence,
                    since: now,
                });
                None
            }
            None => {
                let why = format!(
                    "the gateway knows no way to `{}`: in Envoy `cluster` has to name a cluster that leads to the collector",
                    self.collector.upstream
                );
                Some((batch.sequence, Outcome::Failed(why)))
            }
        }
    }

    /// The gateway's answer to the call in flight.
    pub(crate) fn answered(&mut self, headers: &Headers, body: &[u8]) -> Option<(u64, Outcome)> {
        let call = self.call.take()?;
        let outcome = self.outcome(&call, headers, body);
        Some((call.sequence, outcome))
    }

    fn outcome(&self, call: &Call, headers: &Headers, body: &[u8]) -> Outcome {
        let collector = &self.collector.authority;
        if headers.is_empty() && body.is_empty() {
            return Outcome::Failed(format!(
                "could not reach the collector at {collector}: does it listen there, and does the name resolve?"
            ));
        }
        let answer = Answer {
            status: headers.get(":status"),
            content_type: headers.get("content-type"),
            body,
        };
        reply::outcome(collector, call.sequence, &answer, headers.iter())
    }
}
