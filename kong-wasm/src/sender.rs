//! The call to the collector: at most one in flight, given up by the clock.
//!
//! In: a batch to send, the gateway's answer, the time. Out: what became of the batch, for the outbox. Hosts differ in
//! whether they tell of a call that failed; what they do not tell is over when its time is.

use std::time::Duration;

use prost::Message;
use silhouette_capture::{OutBatch, grpc_web};
use silhouette_proto::telemetry::v1::ExportResponse;

use crate::host::{self, Headers};
use crate::settings::Collector;

/// How long the gateway waits for the collector.
const TIMEOUT: Duration = Duration::from_secs(5);
/// When a call is over that the gateway has not told anything about, in nanoseconds. After the gateway's own time, so that
/// there are never two in flight.
const GIVEN_UP: u64 = 7_000_000_000;
/// An answer is a few numbers. Of a longer one only the beginning is taken from the gateway, in bytes.
pub(crate) const MOST_ANSWER: usize = 64 << 10;

/// This many characters are shown of what a server says.
const MOST_SHOWN: usize = 200;

/// What became of a batch.
pub(crate) enum Outcome {
    /// It is durable.
    Acknowledged { sequence: u64, retry_after_ms: u32 },
    /// The collector will never take it.
    Rejected { sequence: u64, why: String },
    /// It is to be sent again.
    Failed(String),
}

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
    pub(crate) fn expired(&mut self, now: u64) -> Option<Outcome> {
        let call = self.call.as_ref()?;
        if now.saturating_sub(call.since) < GIVEN_UP {
            return None;
        }
        self.call = None;
        let seconds = GIVEN_UP / 1_000_000_000;
        Some(Outcome::Failed(format!(
            "the gateway has told nothing of a call to {} for {seconds} s: is the collector reachable from it?",
            self.collector.upstream
        )))
    }

    /// Sends a batch. Only from a tick: the hosts allow a call in few other places.
    pub(crate) fn send(&mut self, batch: &OutBatch, now: u64) -> Option<Outcome> {
        let body = match grpc_web::frame(&batch.bytes) {
            Ok(body) => body,
            Err(error) => {
                return Some(Outcome::Rejected {
                    sequence: batch.sequence,
                    why: error.to_string(),
                });
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
            None => Some(Outcome::Failed(format!(
                "the gateway knows no way to `{}`: in Envoy `cluster` has to name a cluster that leads to the collector",
                self.collector.upstream
            ))),
        }
    }

    /// The gateway's answer to the call in flight.
    pub(crate) fn answered(&mut self, headers: &Headers, body: &[u8]) -> Option<Outcome> {
        let call = self.call.take()?;
        Some(self.outcome(&call, headers, body))
    }

    fn outcome(&self, call: &Call, headers: &Headers, body: &[u8]) -> Outcome {
        let collector = &self.collector.authority;
        if headers.is_empty() && body.is_empty() {
            return Outcome::Failed(format!(
                "could not reach the collector at {collector}: does it listen there, and does the name resolve?"
            ));
        }
        let status = headers.get(":status");
        let is_grpc = headers.get("content-type").starts_with(b"application/grpc");
        if !is_grpc && status != b"200" {
            // Envoy answers so itself when nobody listens.
            return Outcome::Failed(format!(
                "could not reach the collector at {collector}: HTTP {}: {}",
                String::from_utf8_lossy(status),
                shown(&String::from_utf8_lossy(body))
            ));
        }
        let mut decoder = grpc_web::Decoder::new(MOST_ANSWER);
        let reply = decoder
            .push(body)
            .and_then(|()| decoder.finish(headers.iter()));
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                let status = String::from_utf8_lossy(status);
                return Outcome::Failed(format!(
                    "{collector} answers HTTP {status} and no gRPC-Web ({error}): is that a Silhouette collector?"
                ));
            }
        };
        let said = shown(&reply.status.message);
        match reply.status.code {
            0 => {
                let response = reply
                    .messages
                    .first()
                    .map(|message| ExportResponse::decode(message.as_slice()));
                match response {
                    Some(Ok(response)) if response.acknowledged_sequence >= call.sequence => {
                        Outcome::Acknowledged {
                            sequence: response.acknowledged_sequence,
                            retry_after_ms: response.retry_after_ms,
                        }
                    }
                    _ => Outcome::Failed(format!(
                        "{collector} answers without acknowledging batch {}",
                        call.sequence
                    )),
                }
            }
            3 | 11 => Outcome::Rejected {
                sequence: call.sequence,
                why: said,
            },
            7 | 16 => Outcome::Failed(format!(
                "the collector at {collector} refuses the token ({said}): check `token`"
            )),
            12 => Outcome::Failed(format!("{collector} is no Silhouette collector ({said})")),
            code => Outcome::Failed(format!(
                "the collector at {collector} answers with gRPC status {code}: {said}"
            )),
        }
    }
}

/// The beginning of what a server says, as a part of one line of a log, whoever the server is.
fn shown(said: &str) -> String {
    let plain = |character: char| match character.is_control() {
        true => ' ',
        false => character,
    };
    said.chars().take(MOST_SHOWN).map(plain).collect()
}
