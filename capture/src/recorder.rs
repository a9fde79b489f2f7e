//! Records one exchange: from its first line to its end, straight into the bytes of a `telemetry.v1.Exchange`.
//!
//! In: what the gateway sees, as it sees it. Out: a [`Sealed`] exchange, bounded and redacted, or the [`Skip`] that says
//! why there is none. It keeps at most the policy's body caps and the bounds of [`head`](crate::head); it never waits, and
//! whatever the bytes are it never fails.
//!
//! Headers are redacted and encoded when they arrive; bodies are kept as they come and redacted at the end, because
//! redaction must see across chunks. No message struct is built in between.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::body::{Body, Finished};
use crate::counters::Skip;
use crate::exchange::{Clock, End, Gateway, RequestHead, Tls};
use crate::head::{self, Head};
use crate::policy::Policy;
use crate::sampler::Sampler;
use crate::wire::{
    put_bool, put_bytes, put_bytes_always, put_fixed64, put_length, put_uint, put_uint_always,
    varint_len,
};

/// One exchange that is being recorded.
pub struct Recorder {
    policy: Arc<Policy>,
    start: u64,
    /// The exchange's own fields, as many bytes as `own`, then those of the request.
    request: Head,
    own: usize,
    request_body: Body,
    response: Option<Response>,
    skip: Option<Skip>,
}

struct Response {
    head: Head,
    body: Body,
    head_micros: u64,
}

/// One bounded, redacted and encoded `telemetry.v1.Exchange`. Only [`Recorder::finish`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    bytes: Vec<u8>,
}

impl Sealed {
    /// How many bytes it takes, encoded.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

impl Recorder {
    /// Begins with the request's head: `headers` in order, with duplicates, names in any case. `id` must be unique.
    pub fn begin<'h>(
        policy: &Arc<Policy>,
        sampler: &mut Sampler,
        id: [u8; 16],
        head: &RequestHead<'_>,
        headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
        clock: Clock,
    ) -> Result<Recorder, Skip> {
        if let Some(skip) = policy.skips(head) {
            return Err(skip);
        }
        // When a header may exclude the exchange, it must not use up its route's share first.
        let by_header = !policy.excluded_headers.is_empty();
        if !by_header && !sampler.keeps(policy.sample_rate, head, clock.monotonic_nanos) {
            return Err(Skip::SampledOut);
        }
        let mut request = Head::with_capacity(1024);
        let exchange = &mut request.wire;
        put_bytes(exchange, 1, &id);
        put_fixed64(exchange, 2, clock.unix_nanos);
        put_bytes(exchange, 8, bounded(head.scheme, 16).as_bytes());
        put_bytes(exchange, 9, head::authority(head.authority));
        put_bytes(exchange, 10, bounded(head.http_version, 16).as_bytes());
        let own = exchange.len();
        head::put_target(&mut request, policy, head);
        for (name, value) in headers {
            if by_header && policy.excludes_header(name) {
                return Err(Skip::ExcludedHeader);
            }
            request.header(policy, 4, policy.max_request_body, name, value);
        }
        if by_header && !sampler.keeps(policy.sample_rate, head, clock.monotonic_nanos) {
            return Err(Skip::SampledOut);
        }
        let request_body = request.body(policy, policy.max_request_body);
        Ok(Recorder {
            policy: Arc::clone(policy),
            start: clock.monotonic_nanos,
            request,
            own,
            request_body,
            response: None,
            skip: None,
        })
    }

    /// The gateway itself had only the beginning of path or query: it is marked as what a bound of ours would have cut.
    pub fn target_was_cut(&mut self) {
        self.request.target_truncated = true;
    }

    /// Whether the request's chunks are of any use. `false`: the gateway need not show them.
    pub fn wants_request_body(&self) -> bool {
        self.skip.is_none() && self.request_body.wants_more()
    }

    /// The next bytes of the request's body, without transfer coding.
    pub fn request_chunk(&mut self, chunk: &[u8]) {
        self.request_body.chunk(chunk);
    }

    /// The response's head. Called again (after a 103, say) the last one counts.
    pub fn response_head<'h>(
        &mut self,
        status: u16,
        headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
        monotonic_nanos: u64,
    ) {
        if self.policy.excluded_statuses.contains(status) {
            self.skip = Some(Skip::ExcludedStatus);
            self.response = None;
            return;
        }
        self.skip = None;
        let mut head = Head::with_capacity(512);
        put_uint(&mut head.wire, 1, u64::from(status));
        for (name, value) in headers {
            head.header(&self.policy, 2, self.policy.max_response_body, name, value);
        }
        let body = head.body(&self.policy, self.policy.max_response_body);
        self.response = Some(Response {
            head,
            body,
            head_micros: self.micros(monotonic_nanos),
        });
    }

    /// Whether the response's chunks are of any use. `false` also before its head.
    pub fn wants_response_body(&self) -> bool {
        self.response
            .as_ref()
            .is_some_and(|response| response.body.wants_more())
    }

    /// The next bytes of the response's body, without transfer coding.
    pub fn response_chunk(&mut self, chunk: &[u8]) {
        if let Some(response) = &mut self.response {
            response.body.chunk(chunk);
        }
    }

    /// What [`Recorder::finish`] will say, when that is known already: the status is excluded. A shim whose queue is full
    /// asks this to count rightly without paying for the end.
    pub fn skip(&self) -> Option<Skip> {
        self.skip
    }

    /// The end: redacts the bodies and encodes what was recorded.
    pub fn finish(self, end: &End<'_>) -> Result<Sealed, Skip> {
        if let Some(skip) = self.skip {
            return Err(skip);
        }
        let duration = self.micros(end.monotonic_nanos);
        let Recorder {
            policy,
            request,
            own,
            request_body,
            response,
            ..
        } = self;
        let request_body = request_body.finish(&policy.redaction, end.request_size);
        let response = response.map(|response| {
            let Response {
                head,
                body,
                head_micros,
            } = response;
            (
                head,
                body.finish(&policy.redaction, end.response_size),
                head_micros,
            )
        });

        let request_len = request.wire.len() - own
            + request.tail_len()
            + request_body.as_ref().map_or(0, Finished::len);
        let response_len = response.as_ref().map_or(0, |(head, body, _)| {
            head.wire.len() + head.tail_len() + body.as_ref().map_or(0, Finished::len)
        });
        let gateway_len = gateway_len(&end.gateway);
        let mut out = Vec::with_capacity(own + request_len + response_len + gateway_len + 640);
        let (exchange, request_fields) = request.wire.split_at_checked(own).unwrap_or_default();
        out.extend_from_slice(exchange);
        if let Some((_, _, micros)) = &response {
            put_uint_always(&mut out, 3, *micros);
        }
        put_uint_always(&mut out, 4, duration);
        put_address(&mut out, 5, end.peers.client);
        put_address(&mut out, 6, end.peers.server);
        if let Some(tls) = &end.tls {
            put_tls(&mut out, tls);
        }
        put_length(&mut out, 11, request_len);
        out.extend_from_slice(request_fields);
        request.put_tail(&mut out, 6);
        if let Some(body) = &request_body {
            body.put(&mut out, 5);
        }
        if let Some((head, body, _)) = &response {
            put_length(&mut out, 12, response_len);
            out.extend_from_slice(&head.wire);
            head.put_tail(&mut out, 4);
            if let Some(body) = body {
                body.put(&mut out, 3);
            }
        }
        put_gateway(&mut out, &end.gateway, gateway_len);
        put_bool(&mut out, 14, end.unfinished);
        Ok(Sealed { bytes: out })
    }

    fn micros(&self, monotonic_nanos: u64) -> u64 {
        monotonic_nanos.saturating_sub(self.start) / 1000
    }
}

/// At most `most` bytes of a text, cut at a character.
fn bounded(text: &str, most: usize) -> &str {
    // A character takes at most four bytes, so one of these is between two.
    let ends = (0..4).map(|back| most.saturating_sub(back));
    match text.len() <= most {
        true => text,
        false => ends
            .filter_map(|end| text.get(..end))
            .next()
            .unwrap_or_default(),
    }
}

fn address_len(address: Option<SocketAddr>) -> usize {
    let Some(address) = address else { return 0 };
    let octets = if address.ip().to_canonical().is_ipv4() {
        4
    } else {
        16
    };
    2 + 2 + octets + port_len(address)
}

fn port_len(address: SocketAddr) -> usize {
    if address.port() == 0 {
        0
    } else {
        1 + varint_len(u64::from(address.port()))
    }
}

fn put_address(out: &mut Vec<u8>, field: u32, address: Option<SocketAddr>) {
    let Some(address) = address else { return };
    let mut put = |octets: &[u8]| {
        put_length(out, field, 2 + octets.len() + port_len(address));
        put_bytes_always(out, 1, octets);
        put_uint(out, 2, u64::from(address.port()));
    };
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => put(&ip.octets()),
        IpAddr::V6(ip) => put(&ip.octets()),
    }
}

fn put_tls(out: &mut Vec<u8>, tls: &Tls<'_>) {
    let texts = [
        bounded(tls.version, 32),
        bounded(tls.cipher, 128),
        bounded(tls.server_name, 256),
    ];
    let length: usize = texts.iter().map(|text| text_len(text)).sum();
    put_length(out, 7, length + if tls.client_certificate { 2 } else { 0 });
    for (field, text) in (1..).zip(texts) {
        put_bytes(out, field, text.as_bytes());
    }
    put_bool(out, 4, tls.client_certificate);
}

fn text_len(text: &str) -> usize {
    if text.is_empty() {
        0
    } else {
        1 + varint_len(text.len() as u64) + text.len()
    }
}

/// The longest text of the gateway's that is kept, in bytes.
const LONGEST_TEXT: usize = 1024;
const MOST_ATTRIBUTES: usize = 64;

fn gateway_texts<'a>(gateway: &Gateway<'a>) -> [(u32, &'a str); 5] {
    let texts = [
        (1, gateway.route),
        (2, gateway.service),
        (3, gateway.upstream),
        (5, gateway.virtual_server),
        (6, gateway.consumer),
    ];
    texts.map(|(field, text)| (field, bounded(text, LONGEST_TEXT)))
}

fn attributes<'a>(gateway: &Gateway<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let attributes = gateway.attributes.iter().take(MOST_ATTRIBUTES);
    attributes.map(|(key, value)| (bounded(key, LONGEST_TEXT), bounded(value, LONGEST_TEXT)))
}

fn gateway_len(gateway: &Gateway<'_>) -> usize {
    let texts: usize = gateway_texts(gateway)
        .iter()
        .map(|(_, text)| text_len(text))
        .sum();
    let attributes = attributes(gateway).map(|(key, value)| {
        let length = text_len(key) + text_len(value);
        1 + varint_len(length as u64) + length
    });
    texts
        + address_len(gateway.upstream_address)
        + gateway
            .upstream_micros
            .map_or(0, |micros| 1 + varint_len(micros))
        + attributes.sum::<usize>()
}

fn put_gateway(out: &mut Vec<u8>, gateway: &Gateway<'_>, length: usize) {
    if length == 0 {
        return;
    }
    put_length(out, 13, length);
    for (field, text) in gateway_texts(gateway) {
        put_bytes(out, field, text.as_bytes());
    }
    put_address(out, 4, gateway.upstream_address);
    if let Some(micros) = gateway.upstream_micros {
        put_uint_always(out, 7, micros);
    }
    for (key, value) in attributes(gateway) {
        put_length(out, 8, text_len(key) + text_len(value));
        put_bytes(out, 1, key.as_bytes());
        put_bytes(out, 2, value.as_bytes());
    }
}
