//! A record as a batch.
//!
//! In: a checked [`Record`]. Out: a [`Batch`] of one exchange, recorded, redacted and bounded by [`silhouette_capture::Recorder`] like
//! every other shim's, encoded as the `telemetry.v1.ExportRequest` that the journal keeps. What is not redacted never leaves this
//! module.
//!
//! The instance of a batch is made of key, boot and TMM, and its sequence number is the record's, so that the journal's windows count a
//! record once, however often it comes. Buffers are used again: what is allocated for a record is what is kept of it.

use std::mem::MaybeUninit;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use sha2::{Digest, Sha256};
use silhouette_capture::{
    Clock, End, Gateway, Peers, Policy, Recorder, RequestHead, Sampler, Sealed, SettingError,
    Settings, Tls,
};
use silhouette_proto::telemetry::v1::{Count, Shim};

use super::body::unframe;
use super::head::{self, Head, MAX_HEADERS, RequestLine, decode_onto};
use super::keys::KeyId;
use super::record::{Counts, MAX_BODY, Record};
use super::refused::Refusal;
use crate::envelope::Instance;

/// How far a record's clock may be from ours. The windows remember an instance for longer, so what is sent again within this time
/// counts once.
pub const MAX_CLOCK_SECONDS: u64 = 86_400;
/// Senders remembered by one connection.
const MAX_SENDERS: usize = 32;
/// Characters of a text about the BIG-IP.
const MAX_TEXT: usize = 256;

/// What operators may say about redaction; each stands for the capture setting of its name and has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    /// `redact_headers`.
    pub headers: Option<String>,
    /// `redact_query`.
    pub query: Option<String>,
    /// `redact_json`.
    pub json: Option<String>,
    /// `content_types`.
    pub content_types: Option<String>,
}

impl Redaction {
    /// The collector's name of the first setting that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        let all = [
            ("hsl_redact_headers", &self.headers),
            ("hsl_redact_query", &self.query),
            ("hsl_redact_json", &self.json),
            ("hsl_content_types", &self.content_types),
        ];
        let given = all.into_iter().find(|(_, value)| value.is_some());
        given.map(|(name, _)| name)
    }

    /// What is recorded of what arrives: all of it. What is captured and how much the rule decides.
    ///
    /// # Errors
    /// A value that the capture setting does not take.
    pub fn policy(&self) -> Result<Policy, SettingError> {
        let mut settings = Settings::default();
        let body = MAX_BODY.to_string();
        settings.set("max_request_body", &body)?;
        settings.set("max_response_body", &body)?;
        settings.set("excluded_methods", "off")?;
        for (name, value) in [
            ("redact_headers", &self.headers),
            ("redact_query", &self.query),
            ("redact_json", &self.json),
            ("content_types", &self.content_types),
        ] {
            if let Some(value) = value {
                settings.set(name, value)?;
            }
        }
        settings.build()
    }
}

/// One TMM of one BIG-IP, from one loading of the rule on.
#[derive(Debug, PartialEq)]
pub struct Sender {
    /// Whose key.
    pub key: KeyId,
    /// 16 hexadecimal digits.
    pub boot: [u8; 16],
    /// Unix seconds at which the rule was loaded.
    pub booted: u64,
    /// Its number.
    pub tmm: u32,
    /// The BIG-IP's name; empty when it does not say.
    pub host: String,
    /// What the journal knows it as.
    pub instance: Instance,
    /// What it says of itself.
    pub shim: Shim,
    /// The same, encoded as a field of a batch.
    encoded: Vec<u8>,
}

/// One record on its way to the journal.
#[derive(Debug, Clone)]
pub struct Batch {
    /// From whom.
    pub sender: Arc<Sender>,
    /// The record's number.
    pub sequence: u64,
    /// The BIG-IP's totals of what it captured and lost.
    pub dropped: Vec<Count>,
    /// The BIG-IP's totals of what its settings exclude.
    pub skipped: Vec<Count>,
    /// An encoded `telemetry.v1.ExportRequest`.
    pub payload: Bytes,
}

impl Batch {
    /// Records that HSL did not take from the rule, by the rule's own count.
    pub fn refused_by_hsl(&self) -> u64 {
        let refused = self.dropped.iter().find(|count| count.reason == "refused");
        refused.map_or(0, |count| count.count)
    }
}

/// What a record says of the BIG-IP.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts<'a> {
    host: &'a str,
    rule: &'a str,
    tmos: &'a str,
    virtual_server: &'a str,
    pool: &'a str,
    tls: &'a str,
    cipher: &'a str,
    server_name: &'a str,
    certificate: bool,
}

impl<'a> Facts<'a> {
    /// Lines of `name value`; what is not known here is for later versions of the rule.
    fn read(text: &'a [u8]) -> Facts<'a> {
        let mut facts = Facts::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            let Some((name, value)) = line.trim_end_matches('\r').split_once(' ') else {
                continue;
            };
            let value = match value.char_indices().nth(MAX_TEXT) {
                Some((end, _)) => value.get(..end).unwrap_or_default(),
                None => value,
            };
            match name {
                "host" => facts.host = value,
                "rule" => facts.rule = value,
                "tmos" => facts.tmos = value,
                "virtual" => facts.virtual_server = value,
                "pool" => facts.pool = value,
                // As OpenSSL names them; elsewhere in telemetry it is the number alone.
                "tls" => {
                    facts.tls = match value.strip_prefix("TLSv").unwrap_or(value) {
                        "1" => "1.0",
                        version => version,
                    }
                }
                "cipher" => facts.cipher = value,
                "sni" => facts.server_name = value,
                "cert" => facts.certificate = value == "1",
                _ => {}
            }
        }
        facts
    }

    fn tls(&self) -> Option<Tls<'a>> {
        let known = !self.tls.is_empty() || !self.cipher.is_empty() || self.certificate;
        known.then_some(Tls {
            version: self.tls,
            cipher: self.cipher,
            server_name: self.server_name,
            client_certificate: self.certificate,
        })
    }
}

impl Sender {
    fn new(record: &Record<'_>, facts: &Facts<'_>) -> Sender {
        let mut hash = Sha256::new();
        for part in [
            record.key.as_str().as_bytes(),
            b" ",
            &record.boot,
            &record.tmm.to_be_bytes(),
        ] {
            hash.update(part);
        }
        let mut instance = Instance::default();
        instance.copy_from_slice(&hash.finalize()[..16]);
        let gateway_version = match facts.tmos {
            "" => String::new(),
            tmos => format!("BIG-IP {tmos}"),
        };
        let shim = Shim {
            kind: "f5".into(),
            version: facts.rule.into(),
            gateway_version,
            node: format!("{}/tmm{}", facts.host, record.tmm),
            instance: Bytes::copy_from_slice(&instance),
            name: record.key.as_str().into(),
        };
        let mut encoded = Vec::new();
        put_length(&mut encoded, 1, shim.encoded_len());
        // Writing to a Vec cannot fail.
        let _ = shim.encode(&mut encoded);
        Sender {
            key: record.key,
            boot: record.boot,
            booted: record.booted(),
            tmm: record.tmm,
            host: facts.host.into(),
            instance,
            shim,
            encoded,
        }
    }

    fn is_of(&self, record: &Record<'_>, facts: &Facts<'_>) -> bool {
        let version = &self.shim.gateway_version;
        self.boot == record.boot
            && self.tmm == record.tmm
            && self.key == record.key
            && self.host == facts.host
            && self.shim.version == facts.rule
            && version.strip_prefix("BIG-IP ").unwrap_or(version) == facts.tmos
    }
}

/// Turns records into batches; one per connection.
pub struct Translator {
    policy: Arc<Policy>,
    sampler: Sampler,
    /// The last ones, the latest at the end.
    senders: Vec<Arc<Sender>>,
    head: Head,
    facts: Vec<u8>,
    body: Vec<u8>,
    odd_lines: u64,
}

impl std::fmt::Debug for Translator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Translator({} senders)", self.senders.len())
    }
}

impl Translator {
    /// Records under this policy.
    pub fn new(policy: Arc<Policy>) -> Translator {
        Translator {
            policy,
            // Nothing is left to chance: the rule has sampled already.
            sampler: Sampler::new(0),
            senders: Vec::new(),
            head: Head::default(),
            facts: Vec::new(),
            body: Vec::new(),
            odd_lines: 0,
        }
    }

    /// Header lines that were none and were left out, since this was asked last.
    pub fn take_odd_lines(&mut self) -> u64 {
        std::mem::take(&mut self.odd_lines)
    }

    /// The batch a record makes. `now` is in Unix seconds.
    ///
    /// # Errors
    /// [`Refusal::Fields`], [`Refusal::Head`] and [`Refusal::Clock`].
    pub fn translate(&mut self, record: &Record<'_>, now: u64) -> Result<Batch, Refusal> {
        let seconds = now.abs_diff(record.began);
        if seconds > MAX_CLOCK_SECONDS {
            let direction = if record.began < now {
                "before"
            } else {
                "after"
            };
            return Err(Refusal::Clock { seconds, direction });
        }
        let mut facts = std::mem::take(&mut self.facts);
        facts.clear();
        let batch = match record
            .facts
            .map_or(Ok(()), |text| decode_onto(&mut facts, text))
        {
            Ok(()) => self.with_facts(record, &Facts::read(&facts)),
            Err(()) => Err(no_base64("facts64")),
        };
        self.facts = facts;
        batch
    }

    fn with_facts(&mut self, record: &Record<'_>, facts: &Facts<'_>) -> Result<Batch, Refusal> {
        let sender = self.sender(record, facts);
        let sealed = self.exchange(record, facts, &sender)?;
        let (dropped, skipped) = (counts(record.dropped), counts(record.skipped));
        let mut out = Vec::with_capacity(sender.encoded.len() + sealed.size() + 64);
        out.extend_from_slice(&sender.encoded);
        put_number(&mut out, 2, record.sequence);
        put_length(&mut out, 3, sealed.size());
        out.extend_from_slice(sealed.as_bytes());
        put_counts(&mut out, 4, &dropped);
        put_counts(&mut out, 5, &skipped);
        put_number(&mut out, 6, record.sequence);
        Ok(Batch {
            sender,
            sequence: record.sequence,
            dropped,
            skipped,
            payload: out.into(),
        })
    }

    fn sender(&mut self, record: &Record<'_>, facts: &Facts<'_>) -> Arc<Sender> {
        let known = self
            .senders
            .iter()
            .rposition(|sender| sender.is_of(record, facts));
        if let Some(sender) = known.and_then(|at| self.senders.get(at)) {
            return sender.clone();
        }
        if self.senders.len() >= MAX_SENDERS {
            self.senders.remove(0);
        }
        let sender = Arc::new(Sender::new(record, facts));
        self.senders.push(sender.clone());
        sender
    }

    /// Records what happened, as a shim would have that saw it.
    fn exchange(
        &mut self,
        record: &Record<'_>,
        facts: &Facts<'_>,
        sender: &Sender,
    ) -> Result<Sealed, Refusal> {
        let flags = record.flags;
        let refused = |whose| {
            move |error: head::HeadError| Refusal::Head {
                whose,
                what: error.0,
            }
        };
        let (request_refused, response_refused) = (refused("request"), refused("response"));

        self.head
            .decode(record.request_head, flags.request_head_cut)
            .map_err(request_refused)?;
        let line =
            RequestLine::read(self.head.line(), flags.request_head_cut).map_err(request_refused)?;
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let (headers, odd) = self.head.headers(&mut slots).map_err(request_refused)?;
        self.odd_lines += odd as u64;
        let host = || {
            let host = headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("host"));
            host.map_or(b"".as_slice(), |host| host.value)
        };
        let request = RequestHead {
            scheme: if flags.tls { "https" } else { "http" },
            authority: line.authority.unwrap_or_else(host),
            method: line.method,
            path: line.path,
            query: line.query,
            http_version: record.http_version,
        };
        let clock = Clock {
            unix_nanos: record.began.saturating_mul(1_000_000_000),
            monotonic_nanos: 0,
        };
        let recorder = Recorder::begin(
            &self.policy,
            &mut self.sampler,
            id(&sender.instance, record.sequence),
            &request,
            headers
                .iter()
                .map(|header| (header.name.as_bytes(), header.value)),
            clock,
        );
        // The policy leaves nothing out.
        let mut recorder = recorder.map_err(|_| Refusal::Head {
            whose: "request",
            what: "is left out by the policy",
        })?;
        if line.cut {
            recorder.target_was_cut();
        }
        let framed = is_chunked(headers);
        let request_size = self.body(
            record.request_body.map(|body| (body, "request-body64")),
            Passed {
                size: record.request_size,
                cut: flags.request_body_cut,
                framed,
            },
            |chunk| recorder.request_chunk(chunk),
        )?;

        let nanos = |millis: u64| millis.saturating_mul(1_000_000);
        let mut response_size = None;
        if let Some(response) = record.response_head {
            self.head
                .decode(response, flags.response_head_cut)
                .map_err(response_refused)?;
            let status = head::status(self.head.line()).map_err(response_refused)?;
            let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
            let (headers, odd) = self.head.headers(&mut slots).map_err(response_refused)?;
            self.odd_lines += odd as u64;
            recorder.response_head(
                status,
                headers
                    .iter()
                    .map(|header| (header.name.as_bytes(), header.value)),
                nanos(record.head_millis.or(record.total_millis).unwrap_or(0)),
            );
            let framed = is_chunked(headers);
            response_size = self.body(
                record.response_body.map(|body| (body, "response-body64")),
                Passed {
                    size: record.response_size,
                    cut: flags.response_body_cut,
                    framed,
                },
                |chunk| recorder.response_chunk(chunk),
            )?;
        }
        let end = End {
            monotonic_nanos: nanos(record.total_millis.or(record.head_millis).unwrap_or(0)),
            gateway: Gateway {
                upstream: facts.pool,
                upstream_address: record.server,
                virtual_server: facts.virtual_server,
                ..Gateway::default()
            },
            peers: Peers {
                client: record.client,
                server: record.vip,
            },
            tls: facts.tls(),
            request_size,
            response_size,
            unfinished: flags.unfinished,
        };
        recorder.finish(&end).map_err(|_| Refusal::Head {
            whose: "response",
            what: "is left out by the policy",
        })
    }

    /// Hands a body on; its size as far as it is known.
    fn body(
        &mut self,
        base64: Option<(&[u8], &'static str)>,
        passed: Passed,
        chunk: impl FnOnce(&[u8]),
    ) -> Result<Option<u64>, Refusal> {
        let Some((base64, field)) = base64 else {
            return Ok(passed.size);
        };
        self.body.clear();
        decode_onto(&mut self.body, base64).map_err(|()| no_base64(field))?;
        let (mut size, mut cut) = (passed.size, passed.cut);
        if passed.framed
            && let Some(unframed) = unframe(&mut self.body, cut)
        {
            self.body.truncate(unframed.len);
            cut = !unframed.whole;
            // The size was that of the framing.
            size = None;
        }
        chunk(&self.body);
        let here = self.body.len() as u64;
        Ok(match cut {
            // More than what is here: how much more is not always known.
            true => Some(size.unwrap_or(0).max(here + 1)),
            false => size,
        })
    }
}

/// What is known of a body besides its bytes.
struct Passed {
    size: Option<u64>,
    cut: bool,
    framed: bool,
}

fn no_base64(field: &'static str) -> Refusal {
    let what = "is no base64";
    Refusal::Fields { field, what }
}

fn is_chunked(headers: &[httparse::Header<'_>]) -> bool {
    headers.iter().any(|header| {
        let value = header.value.trim_ascii();
        header.name.eq_ignore_ascii_case("transfer-encoding")
            && value
                .rsplit(|byte| *byte == b',')
                .next()
                .is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    })
}

/// Unique: the instance's beginning tells senders apart, the rest counts.
fn id(instance: &Instance, sequence: u64) -> [u8; 16] {
    (u128::from_be_bytes(*instance) >> 64 << 64 | u128::from(sequence)).to_be_bytes()
}

fn counts(counts: Counts<'_>) -> Vec<Count> {
    let count = |(reason, count): (&str, u64)| Count {
        reason: reason.to_owned(),
        count,
    };
    counts.iter().map(count).collect()
}

fn put_counts(out: &mut Vec<u8>, field: u32, counts: &[Count]) {
    for count in counts {
        put_length(out, field, count.encoded_len());
        // Writing to a Vec cannot fail.
        let _ = count.encode(out);
    }
}

fn put_number(out: &mut Vec<u8>, field: u32, number: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(number, out);
}

fn put_length(out: &mut Vec<u8>, field: u32, length: usize) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// A TMM of a BIG-IP whose rule was loaded at `booted` (Unix seconds).
#[cfg(test)]
pub(super) fn sender_for_test(booted: u64, tmm: u32) -> Sender {
    let fields =
        format!("{booted:08x}00000000 {tmm} 1 - - 0 - - - - - - - - - 1.1 - - - R0VU - - -");
    let key = KeyId::new(b"bigip-1").unwrap();
    let record = Record::read(key, fields.as_bytes()).unwrap();
    Sender::new(&record, &Facts::default())
}

#[cfg(test)]
mod tests;
