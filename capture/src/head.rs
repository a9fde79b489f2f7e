//! One message's head – first line and headers – encoded as the beginning of a `telemetry.v1.Request` or `Response`.
//!
//! In: raw names and values. Out: redacted wire bytes, within bounds, and what the headers say about the body. A header
//! that exceeds a bound is left out whole, never cut: half a secret is still one. What was left out is counted.

use memchr::memchr;

use crate::body::{Body, Plan};
use crate::coding::Coding;
use crate::exchange::RequestHead;
use crate::pattern::{is_token_byte, media_type};
use crate::policy::Policy;
use crate::redact::Format;
use crate::wire::{put_bool, put_bytes, put_bytes_always, put_length, put_uint, varint_len};

/// All headers of a message together.
const HEADER_BYTES: usize = 64 << 10;
const HEADER_COUNT: u32 = 256;
/// The path, and again the query.
const TARGET_BYTES: usize = 16 << 10;
const AUTHORITY_BYTES: usize = 1024;
const METHOD_BYTES: usize = 64;

pub(crate) struct Head {
    /// Fields of the message so far.
    pub(crate) wire: Vec<u8>,
    headers: u32,
    header_bytes: usize,
    dropped: u32,
    pub(crate) target_truncated: bool,
    /// `None`: there was no content type.
    plan: Option<Plan>,
    coding: Coding,
}

impl Head {
    pub(crate) fn with_capacity(capacity: usize) -> Head {
        Head {
            wire: Vec::with_capacity(capacity),
            headers: 0,
            header_bytes: 0,
            dropped: 0,
            target_truncated: false,
            plan: None,
            coding: Coding::Identity,
        }
    }

    /// Appends a `Header` as `field`, redacted. `cap` is that of the message's body.
    pub(crate) fn header(
        &mut self,
        policy: &Policy,
        field: u32,
        cap: usize,
        name: &[u8],
        value: &[u8],
    ) {
        match name.len() {
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                self.plan = Some(Plan::of(policy, value))
            }
            16 if name.eq_ignore_ascii_case(b"content-encoding") => {
                self.coding = self.coding.and(Coding::of(value));
                // The body will be sent without it, see `Body`. A type that comes later can only mean that no body is
                // kept, which then has no coding either.
                let undone =
                    cap > 0 && policy.redaction.redacts_bodies() && self.coding != Coding::Other;
                if undone
                    && self
                        .plan
                        .as_ref()
                        .is_none_or(|plan| matches!(plan, Plan::Keep { .. }))
                {
                    return;
                }
            }
            _ => {}
        }
        let size = name.len() + value.len();
        if self.headers >= HEADER_COUNT || self.header_bytes + size > HEADER_BYTES {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.headers += 1;
        self.header_bytes += size;
        let mut redacted = Vec::new();
        let value = match policy.redaction.header(name, value, &mut redacted) {
            true => redacted.as_slice(),
            false => value,
        };
        let field_len = |bytes: &[u8]| match bytes.len() {
            0 => 0,
            length @ 1..0x80 => 2 + length,
            length => 1 + varint_len(length as u64) + length,
        };
        let length = field_len(name) + field_len(value);
        self.wire.reserve(length + 8);
        put_length(&mut self.wire, field, length);
        put_bytes(&mut self.wire, 1, name);
        let start = self.wire.len() - name.len();
        if let Some(name) = self.wire.get_mut(start..) {
            name.make_ascii_lowercase();
        }
        put_bytes(&mut self.wire, 2, value);
    }

    /// What to do with the body, now that all headers are known.
    pub(crate) fn body(&mut self, policy: &Policy, cap: usize) -> Body {
        let plan = match self.plan.take() {
            _ if cap == 0 => Plan::Omit("disabled"),
            // RFC 9110 section 8.3: a body without a type may be anything.
            None => Plan::of(policy, b"application/octet-stream"),
            Some(plan) => plan,
        };
        match plan {
            Plan::Keep { .. }
                if self.coding == Coding::Other && policy.redaction.redacts_bodies() =>
            {
                Body::new(Plan::Omit("content_coding"), Coding::Identity, cap)
            }
            // Nothing is redacted, so it may stay as it is.
            plan if !policy.redaction.redacts_bodies() => Body::new(plan, Coding::Identity, cap),
            plan => Body::new(plan, self.coding, cap),
        }
    }

    /// The marks of what a bound cost, which come last. `dropped_field` tells requests and responses apart.
    pub(crate) fn put_tail(&self, out: &mut Vec<u8>, dropped_field: u32) {
        put_uint(out, dropped_field, u64::from(self.dropped));
        put_bool(out, 7, self.target_truncated);
    }

    pub(crate) fn tail_len(&self) -> usize {
        let dropped = if self.dropped == 0 {
            0
        } else {
            1 + varint_len(u64::from(self.dropped))
        };
        dropped + if self.target_truncated { 2 } else { 0 }
    }
}

/// Method, path and query of a `Request`.
pub(crate) fn put_target(request: &mut Head, policy: &Policy, head: &RequestHead<'_>) {
    let wire = &mut request.wire;
    // The field is a string, so that only what can be a method (RFC 9110 section 9.1) may stand in it.
    let method = head.method.get(..METHOD_BYTES).unwrap_or(head.method);
    put_length(wire, 1, method.len());
    wire.extend(
        method
            .iter()
            .map(|b| if is_token_byte(*b) { *b } else { b'?' }),
    );

    let mut redacted = Vec::new();
    let (path, cut) = bounded(head.path);
    request.target_truncated |= cut;
    let changed = policy.redaction.path(path, cut, &mut redacted);
    put_bytes(&mut request.wire, 2, if changed { &redacted } else { path });

    if let Some(query) = head.query {
        redacted.clear();
        let (query, cut) = bounded(query);
        request.target_truncated |= cut;
        let changed = policy.redaction.query(query, cut, &mut redacted);
        put_bytes_always(
            &mut request.wire,
            3,
            if changed { &redacted } else { query },
        );
    }
}

fn bounded(part: &[u8]) -> (&[u8], bool) {
    match part.get(..TARGET_BYTES) {
        Some(beginning) => (beginning, beginning.len() < part.len()),
        None => (part, false),
    }
}

/// The authority without user information, which is a password more often than not.
pub(crate) fn authority(authority: &[u8]) -> &[u8] {
    let host = match memchr::memrchr(b'@', authority) {
        Some(at) => authority.get(at + 1..).unwrap_or_default(),
        None => authority,
    };
    host.get(..AUTHORITY_BYTES).unwrap_or(host)
}

impl Plan {
    /// From a content type with its parameters.
    fn of(policy: &Policy, content_type: &[u8]) -> Plan {
        let media = media_type(content_type);
        if !policy.wants_media(media) {
            return Plan::Omit("content_type");
        }
        let format = Format::of(media);
        let boundary = match format {
            Format::Multipart if memchr(b';', content_type).is_some() => {
                crate::redact::boundary(content_type)
                    .map(<[u8]>::to_vec)
                    .unwrap_or_default()
            }
            _ => Vec::new(),
        };
        Plan::Keep { format, boundary }
    }
}
