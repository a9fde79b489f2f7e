//! One exchange: from the request's head to the log phase.
//!
//! In: the host's calls for one HTTP context. Out: a sealed exchange in the queue, or the count of why there is none. Bodies are taken from the host only while the recorder wants them; of others only the size counts.

use silhouette_capture::{Recorder, RequestHead, Skip};

use crate::host::{self, Buffer, Map};
use crate::root::Root;
use crate::settings::Gateway;
use crate::surroundings::{Surroundings, is_gateways_own};

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Stream {
    recording: Option<Recording>,
}

struct Recording {
    recorder: Recorder,
    surroundings: Surroundings,
    is_head: bool,
    request_bytes: u64,
    /// What the request's head says of its body.
    request_length: Option<u64>,
    response: Option<Response>,
}

/// How much of a response has passed.
#[derive(Default)]
struct Response {
    bytes: u64,
    /// What its head says of its body.
    length: Option<u64>,
    ended: bool,
}

impl Response {
    /// Kong does not tell the end of a response whose length was announced.
    fn is_over(&self) -> bool {
        self.ended || self.length.is_some_and(|length| self.bytes >= length)
    }
}

impl Stream {
    /// Decides whether the exchange is captured.
    pub(crate) fn request_head(&mut self, root: &mut Root) {
        let Some(queue) = root.queue() else {
            return;
        };
        let headers = host::headers(Map::Request);
        let gateway = queue.gateway;
        let target = match gateway {
            // Its `:path` may be rewritten already.
            Gateway::Kong => host::property("ngx\0request_uri").unwrap_or_default(),
            Gateway::Envoy => headers.get(":path").to_vec(),
        };
        let authority = match gateway {
            // Its `:authority` is the name of the machine.
            Gateway::Kong => headers.get("host"),
            Gateway::Envoy => headers.get(":authority"),
        };
        let method = headers.get(":method");
        if method.is_empty() || (target.is_empty() && method != b"CONNECT") {
            queue.skip(Skip::Malformed);
            return;
        }
        let (path, query) = split(&target);
        let scheme = match headers.get(":scheme") {
            b"https" => "https",
            b"http" => "http",
            _ if host::property("request\0scheme").as_deref() == Some(b"https") => "https",
            _ => "http",
        };
        let protocol = host::text("request\0protocol");
        let head = RequestHead {
            scheme,
            authority,
            method,
            path,
            query,
            http_version: http_version(&protocol),
        };
        let clock = queue.clock();
        let id = queue.next_id();
        let shown = headers
            .iter()
            .filter(|(name, _)| !is_gateways_own(gateway, name));
        let begun = Recorder::begin(&queue.policy, &mut queue.sampler, id, &head, shown, clock);
        match begun {
            Ok(recorder) => {
                self.recording = Some(Recording {
                    recorder,
                    surroundings: Surroundings::at_request(gateway, &headers, scheme == "https"),
                    is_head: method == b"HEAD",
                    request_bytes: 0,
                    request_length: number(headers.get("content-length")),
                    response: None,
                });
            }
            Err(skip) => queue.skip(skip),
        }
    }

    /// The next `size` bytes of the request's body.
    pub(crate) fn request_body(&mut self, root: &mut Root, size: usize) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.request_bytes += size as u64;
        if size == 0 || !recording.recorder.wants_request_body() {
            return;
        }
        let Some(queue) = root.queue() else {
            return;
        };
        if size >= queue.spooled_from {
            return;
        }
        let most = size.min(queue.policy.max_request_body());
        match host::buffer(Buffer::RequestBody, most) {
            Some(chunk) => recording.recorder.request_chunk(&chunk),
            None => queue.spooled_from = size,
        }
    }

    /// The response's head; `over` when no body follows.
    pub(crate) fn response_head(&mut self, root: &mut Root, over: bool) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        let Some(queue) = root.queue() else {
            return;
        };
        let gateway = queue.gateway;
        let headers = host::headers(Map::Response);
        let status = number(headers.get(":status")).and_then(|status| u16::try_from(status).ok());
        let status = status.unwrap_or(0);
        let shown = headers
            .iter()
            .filter(|(name, _)| !is_gateways_own(gateway, name));
        let now = queue.clock().monotonic_nanos;
        recording.recorder.response_head(status, shown, now);
        recording.surroundings.at_response(gateway, &headers);
        recording.response = Some(Response {
            bytes: 0,
            length: number(headers.get("content-length")),
            // Kong says of every head that nothing follows.
            ended: (over && gateway == Gateway::Envoy)
                || recording.is_head
                || matches!(status, 101 | 204 | 304),
        });
    }

    /// The next `size` bytes of the response's body.
    pub(crate) fn response_body(&mut self, root: &mut Root, size: usize, over: bool) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        if let Some(response) = &mut recording.response {
            response.bytes += size as u64;
            response.ended |= over;
        }
        if size == 0 || !recording.recorder.wants_response_body() {
            return;
        }
        if let Some(queue) = root.queue() {
            let most = size.min(queue.policy.max_response_body());
            if let Some(chunk) = host::buffer(Buffer::ResponseBody, most) {
                recording.recorder.response_chunk(&chunk);
            }
        }
    }

    /// The response is over.
    pub(crate) fn response_end(&mut self) {
        let recording = self.recording.as_mut();
        if let Some(response) = recording.and_then(|recording| recording.response.as_mut()) {
            response.ended = true;
        }
    }

    /// The exchange is over: seals and queues it.
    pub(crate) fn end(&mut self, root: &mut Root) {
        let Some(mut recording) = self.recording.take() else {
            return;
        };
        let Some(queue) = root.queue() else {
            return;
        };
        if let Some(skip) = recording.recorder.skip() {
            queue.skip(skip);
            return;
        }
        if queue.is_full() {
            queue.drop_exchange();
            return;
        }
        let now = queue.clock().monotonic_nanos;
        recording.surroundings.at_end(queue.gateway);
        let mut end = recording.surroundings.end();
        end.monotonic_nanos = now;
        // A body that the host did not show has only the size that was announced.
        end.request_size = match recording.request_bytes {
            0 => recording.request_length,
            bytes => Some(bytes),
        };
        let response = recording.response.unwrap_or_default();
        end.response_size = Some(response.bytes);
        end.unfinished = !response.is_over();
        let sealed = recording.recorder.finish(&end);
        queue.take(sealed, now);
    }
}

/// Path and query.
fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    (parts.next().unwrap_or_default(), parts.next())
}

/// As telemetry has it: `1.0`, `1.1`, `2`, `3`.
fn http_version(protocol: &str) -> &str {
    let version = protocol.strip_prefix("HTTP/").unwrap_or(protocol);
    version
        .strip_suffix(".0")
        .filter(|version| *version != "1")
        .unwrap_or(version)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}
