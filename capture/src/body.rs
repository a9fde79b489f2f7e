//! One message's body: kept up to its cap as the chunks come, redacted and encoded as a `telemetry.v1.Body` at the end.
//!
//! In: chunks. Out: the message's bytes, or nothing when no byte passed. It never keeps more than the cap and never
//! allocates ahead of what arrived.

use crate::coding::Coding;
use crate::redact::{Format, Redaction};
use crate::wire::{put_bool, put_bytes, put_length, put_uint, varint_len};

/// What is to be done with a body, from its message's head.
pub(crate) enum Plan {
    /// Keep it, and redact it as this format. The boundary is that of a multipart type.
    Keep { format: Format, boundary: Vec<u8> },
    /// Only count it, for this reason.
    Omit(&'static str),
}

pub(crate) struct Body {
    plan: Plan,
    coding: Coding,
    cap: usize,
    data: Vec<u8>,
    passed: u64,
}

impl Body {
    pub(crate) fn new(plan: Plan, coding: Coding, cap: usize) -> Body {
        Body {
            plan,
            coding,
            cap,
            data: Vec::new(),
            passed: 0,
        }
    }

    pub(crate) fn wants_more(&self) -> bool {
        // A full body still wants its chunks, to count them: the gateway may not know the size.
        matches!(self.plan, Plan::Keep { .. })
    }

    pub(crate) fn chunk(&mut self, chunk: &[u8]) {
        self.passed = self.passed.saturating_add(chunk.len() as u64);
        let room = self.cap - self.data.len().min(self.cap);
        if room == 0 || !self.wants_more() || chunk.is_empty() {
            return;
        }
        let kept = chunk.get(..room).unwrap_or(chunk);
        let wanted = self.data.len() + kept.len();
        if wanted > self.data.capacity() {
            // Doubling as a vector does, but not beyond the cap.
            let capacity = wanted.max(self.data.capacity() * 2).min(self.cap);
            self.data.reserve_exact(capacity - self.data.len());
        }
        self.data.extend_from_slice(kept);
    }

    /// `size` is the gateway's own count, when it has one.
    pub(crate) fn finish(self, redaction: &Redaction, size: Option<u64>) -> Option<Finished> {
        let original_size = self.passed.max(size.unwrap_or(0));
        if original_size == 0 {
            return None;
        }
        let omitted = |reason| Finished {
            data: Vec::new(),
            original_size,
            truncated: false,
            omitted: reason,
            redacted: false,
        };
        let (format, boundary) = match self.plan {
            Plan::Omit(reason) => return Some(omitted(reason)),
            Plan::Keep { .. } if self.passed == 0 => return Some(omitted("unavailable")),
            Plan::Keep { format, boundary } => (format, boundary),
        };
        let mut truncated = (self.data.len() as u64) < original_size;
        let mut data = self.data;
        if self.coding != Coding::Identity {
            match self.coding.undo(&data, self.cap) {
                Some((plain, whole)) => {
                    truncated |= !whole;
                    data = plain;
                }
                None => return Some(omitted("content_coding")),
            }
        }
        let mut out = Vec::new();
        let redacted = redaction.body(format, &boundary, &data, truncated, &mut out);
        if redacted {
            if out.is_empty() {
                return Some(omitted("content_type"));
            }
            data = out;
            // A placeholder may be longer than its value. Nothing secret is left that a cut could lay open.
            truncated |= data.len() > self.cap;
            data.truncate(self.cap);
        }
        Some(Finished {
            data,
            original_size,
            truncated,
            omitted: "",
            redacted,
        })
    }
}

/// A body ready to be encoded.
pub(crate) struct Finished {
    data: Vec<u8>,
    original_size: u64,
    truncated: bool,
    omitted: &'static str,
    redacted: bool,
}

impl Finished {
    fn message_len(&self) -> usize {
        let field = |length: usize| {
            if length == 0 {
                0
            } else {
                1 + varint_len(length as u64) + length
            }
        };
        field(self.data.len())
            + 1
            + varint_len(self.original_size)
            + field(self.omitted.len())
            + 2 * (usize::from(self.truncated) + usize::from(self.redacted))
    }

    /// Bytes that [`Self::put`] appends.
    pub(crate) fn len(&self) -> usize {
        let length = self.message_len();
        1 + varint_len(length as u64) + length
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>, field: u32) {
        put_length(out, field, self.message_len());
        put_bytes(out, 1, &self.data);
        put_uint(out, 2, self.original_size);
        put_bool(out, 3, self.truncated);
        put_bytes(out, 4, self.omitted.as_bytes());
        put_bool(out, 5, self.redacted);
    }
}
