//! A batch as it came in, opened just far enough to keep it, acknowledge it and hand its exchanges on.
//!
//! In: the bytes of a `telemetry.v1.ExportRequest`. Out: an [`Envelope`] whose exchanges are still encoded slices of
//! those bytes, and, per exchange, where it goes ([`inspect`]). What is journaled is therefore exactly what was sent.
//!
//! Counts every repeated field before anything is allocated for it: two bytes on the wire can be a message that takes a
//! hundred in memory, so a small batch could otherwise grow without bound. Never copies a body.

use bytes::Bytes;
use prost::Message;
use silhouette_proto::telemetry::v1::{Count, Shim};

/// Exchanges in one batch at most. Shims cut at 512.
pub const MAX_EXCHANGES: usize = 16_384;
/// Headers of one message at most. Shims keep 256.
pub const MAX_HEADERS: usize = 1_024;
/// Drop and skip reasons in one batch at most.
const MAX_COUNTS: usize = 128;
/// Gateway attributes of one exchange at most.
const MAX_ATTRIBUTES: usize = 256;
/// Bytes of `Shim` at most: identity, not payload.
const MAX_SHIM: usize = 4_096;

/// The 16 bytes a shim draws when it starts.
pub type Instance = [u8; 16];

/// An opened batch.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Who sent it.
    pub shim: Shim,
    /// `shim.instance`, checked.
    pub instance: Instance,
    /// From 1.
    pub sequence: u64,
    /// Encoded `Exchange` messages, in order.
    pub exchanges: Vec<Bytes>,
    /// Totals of this instance.
    pub dropped: Vec<Count>,
    /// Totals of this instance.
    pub skipped: Vec<Count>,
    /// Total of this instance.
    pub captured: u64,
}

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not protobuf, or not this message.
    #[error("the batch is not a telemetry.v1.ExportRequest: {what} at byte {offset}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// No `shim`.
    #[error("the batch does not say which shim sent it: `shim` is missing")]
    NoShim,
    /// `shim.instance` has another length.
    #[error("`shim.instance` has {0} bytes; it must have 16")]
    Instance(usize),
    /// `sequence` is 0.
    #[error("`sequence` is 0; the batches of an instance count from 1")]
    NoSequence,
    /// Too many of something.
    #[error("the batch has more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are accepted.
        max: usize,
    },
}

/// Why one exchange of a batch cannot be learnt. [`Rejected::reason`] is what it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Rejected {
    /// Not an encoded `Exchange`.
    #[error("not a telemetry.v1.Exchange")]
    Malformed,
    /// More headers or attributes than any honest exchange.
    #[error("more than {MAX_HEADERS} headers in one message")]
    TooManyHeaders,
    /// `request` is missing.
    #[error("the request is missing")]
    NoRequest,
    /// The gateway never answered.
    #[error("there is no response")]
    NoResponse,
    /// `authority` is not `host[:port]`.
    #[error("the authority is not host[:port]")]
    BadHost,
    /// Neither `http` nor `https`.
    #[error("the scheme is neither http nor https")]
    BadScheme,
    /// Not a method of RFC 9110.
    #[error("the method is not a token")]
    BadMethod,
    /// Does not start with `/`.
    #[error("the path does not start with /")]
    BadPath,
    /// The path was cut off, so that nobody knows which operation it is.
    #[error("the path was cut off by the shim")]
    PathTruncated,
    /// Not 100 to 599.
    #[error("the status is not one of HTTP's")]
    BadStatus,
    /// The host table is full.
    #[error("there are as many hosts as max_hosts allows")]
    TooManyHosts,
    /// The models are as large as they may be.
    #[error("the models take as much memory as model_memory allows")]
    ModelMemory,
    /// The learning code failed on it.
    #[error("learning it failed inside the collector")]
    Panicked,
}

impl Rejected {
    /// The label of metrics and of `ExportResponse.rejected`.
    pub fn reason(self) -> &'static str {
        match self {
            Rejected::Malformed => "malformed",
            Rejected::TooManyHeaders => "too_many_headers",
            Rejected::NoRequest => "no_request",
            Rejected::NoResponse => "no_response",
            Rejected::BadHost => "bad_host",
            Rejected::BadScheme => "bad_scheme",
            Rejected::BadMethod => "bad_method",
            Rejected::BadPath => "bad_path",
            Rejected::PathTruncated => "path_truncated",
            Rejected::BadStatus => "bad_status",
            Rejected::TooManyHosts => "too_many_hosts",
            Rejected::ModelMemory => "model_memory",
            Rejected::Panicked => "panicked",
        }
    }
}

/// Where an exchange goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// As the client sent it.
    pub authority: &'a [u8],
}

impl Envelope {
    /// Opens a batch.
    pub fn open(batch: &Bytes) -> Result<Envelope, EnvelopeError> {
        let (mut shim, mut sequence, mut captured) = (None, 0, 0);
        let (mut exchanges, mut dropped, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        let mut fields = Fields::new(batch);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Bytes(start, end)) => {
                    let bytes = batch.slice(start..end);
                    if bytes.len() > MAX_SHIM {
                        return Err(malformed(start, "`shim` is longer than 4096 bytes"));
                    }
                    shim = Some(Shim::decode(bytes).map_err(|_| malformed(start, "bad `shim`"))?);
                }
                (2, Value::Varint(value)) => sequence = value,
                (3, Value::Bytes(start, end)) => {
                    bounded(exchanges.len(), MAX_EXCHANGES, "exchanges")?;
                    exchanges.push(batch.slice(start..end));
                }
                (4, Value::Bytes(start, end)) => {
                    bounded(dropped.len(), MAX_COUNTS, "drop reasons")?;
                    dropped.push(count(batch, start, end)?);
                }
                (5, Value::Bytes(start, end)) => {
                    bounded(skipped.len(), MAX_COUNTS, "skip reasons")?;
                    skipped.push(count(batch, start, end)?);
                }
                (6, Value::Varint(value)) => captured = value,
                (1..=6, _) => return Err(malformed(fields.at, "a field of the wrong type")),
                _ => {} // of a later version of the contract
            }
        }
        let shim: Shim = shim.ok_or(EnvelopeError::NoShim)?;
        let instance = Instance::try_from(shim.instance.as_ref())
            .map_err(|_| EnvelopeError::Instance(shim.instance.len()))?;
        if sequence == 0 {
            return Err(EnvelopeError::NoSequence);
        }
        Ok(Envelope {
            shim,
            instance,
            sequence,
            exchanges,
            dropped,
            skipped,
            captured,
        })
    }
}

fn bounded(len: usize, max: usize, what: &'static str) -> Result<(), EnvelopeError> {
    if len < max {
        Ok(())
    } else {
        Err(EnvelopeError::TooMany { what, max })
    }
}

fn count(batch: &Bytes, start: usize, end: usize) -> Result<Count, EnvelopeError> {
    Count::decode(batch.slice(start..end)).map_err(|_| malformed(start, "bad count"))
}

fn malformed(offset: usize, what: &'static str) -> EnvelopeError {
    EnvelopeError::Malformed { offset, what }
}

/// Looks at an encoded exchange without decoding it: is everything there that learning needs, is it bounded, and which
/// host is it for. Allocates nothing.
pub fn inspect(exchange: &[u8]) -> Result<Target<'_>, Rejected> {
    let (mut scheme, mut authority): (&[u8], &[u8]) = (b"", b"");
    let (mut request, mut response, mut tls, mut target_truncated) = (false, false, false, false);
    let mut query = false;
    // A message may come in several pieces, which decoding puts together (protobuf, "Last One Wins"): what counts is their sum.
    let (mut request_headers, mut response_headers, mut attributes) = (0, 0, 0);
    let mut fields = Fields::new(exchange);
    while let Some((field, value)) = fields.next().map_err(|_| Rejected::Malformed)? {
        let Value::Bytes(start, end) = value else {
            continue;
        };
        let inner = exchange.get(start..end).unwrap_or_default();
        match field {
            7 => tls = true,
            8 => scheme = inner,
            9 => authority = inner,
            11 => {
                request = true;
                occurrences(inner, 4, MAX_HEADERS, &mut request_headers)?;
                let mut of_request = Fields::new(inner);
                while let Some((field, value)) =
                    of_request.next().map_err(|_| Rejected::Malformed)?
                {
                    match (field, value) {
                        (3, _) => query = true,
                        (7, Value::Varint(1)) => target_truncated = true,
                        _ => {}
                    }
                }
            }
            12 => {
                response = true;
                occurrences(inner, 2, MAX_HEADERS, &mut response_headers)?;
            }
            13 => occurrences(inner, 8, MAX_ATTRIBUTES, &mut attributes)?,
            _ => {}
        }
    }
    if !request {
        return Err(Rejected::NoRequest);
    }
    if !response {
        return Err(Rejected::NoResponse);
    }
    // A query that was cut off still tells its first parameters; a path that was cut off tells nothing.
    if target_truncated && !query {
        return Err(Rejected::PathTruncated);
    }
    if authority.is_empty() {
        return Err(Rejected::BadHost);
    }
    let scheme = match scheme {
        b"http" => "http",
        b"https" => "https",
        b"" if tls => "https",
        b"" => "http",
        _ => return Err(Rejected::BadScheme),
    };
    Ok(Target { scheme, authority })
}

/// Counts a repeated field, and refuses a message in which it occurs too often.
fn occurrences(message: &[u8], wanted: u32, max: usize, seen: &mut usize) -> Result<(), Rejected> {
    let mut fields = Fields::new(message);
    while let Some((field, _)) = fields.next().map_err(|_| Rejected::Malformed)? {
        *seen += usize::from(field == wanted);
        if *seen > max {
            return Err(Rejected::TooManyHeaders);
        }
    }
    Ok(())
}

/// A value on the wire; ranges are byte offsets into the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Varint(u64),
    Bytes(usize, usize),
    Fixed,
}

/// The fields of one protobuf message, in order, not descending. Groups are refused: proto3 has none.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Fields { bytes, at: 0 }
    }

    fn next(&mut self) -> Result<Option<(u32, Value)>, EnvelopeError> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let key = self.varint()?;
        let field = u32::try_from(key >> 3)
            .ok()
            .filter(|field| *field > 0)
            .ok_or(malformed(start, "bad field number"))?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?)
                    .map_err(|_| malformed(start, "a length beyond the end"))?;
                let (from, to) = self.skip(len)?;
                Value::Bytes(from, to)
            }
            5 => self.skip(4).map(|_| Value::Fixed)?,
            _ => return Err(malformed(start, "a wire type proto3 does not have")),
        };
        Ok(Some((field, value)))
    }

    fn skip(&mut self, len: usize) -> Result<(usize, usize), EnvelopeError> {
        let from = self.at;
        match from.checked_add(len) {
            Some(to) if to <= self.bytes.len() => {
                self.at = to;
                Ok((from, to))
            }
            _ => Err(malformed(from, "a length beyond the end")),
        }
    }

    fn varint(&mut self) -> Result<u64, EnvelopeError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = *self
                .bytes
                .get(self.at)
                .ok_or(malformed(self.at, "the end inside a number"))?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed(self.at, "a number longer than 64 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use silhouette_proto::telemetry::v1::{
        Exchange, ExportRequest, Header, Request, Response, Tls,
    };

    fn shim() -> Shim {
        Shim {
            kind: "nginx".into(),
            instance: Bytes::from_static(&[7; 16]),
            ..Default::default()
        }
    }

    fn exchange() -> Exchange {
        Exchange {
            scheme: "https".into(),
            authority: Bytes::from_static(b"api.example.com"),
            request: Some(Request::default()),
            response: Some(Response::default()),
            ..Default::default()
        }
    }

    fn open(request: &ExportRequest) -> Result<Envelope, EnvelopeError> {
        Envelope::open(&Bytes::from(request.encode_to_vec()))
    }

    #[test]
    fn agrees_with_prost() {
        let request = ExportRequest {
            shim: Some(shim()),
            sequence: 3,
            exchanges: vec![exchange(), Exchange::default(), exchange()],
            dropped: vec![Count {
                reason: "queue_full".into(),
                count: 9,
            }],
            skipped: vec![],
            captured: 12,
        };
        let envelope = open(&request).unwrap();
        assert_eq!(envelope.shim, shim());
        assert_eq!(
            (envelope.sequence, envelope.captured, envelope.instance),
            (3, 12, [7; 16])
        );
        assert_eq!(envelope.dropped, request.dropped);
        let decoded: Vec<_> = envelope
            .exchanges
            .iter()
            .map(|bytes| Exchange::decode(bytes.clone()).unwrap())
            .collect();
        assert_eq!(decoded, request.exchanges);
        assert_eq!(
            inspect(&envelope.exchanges[0]),
            Ok(Target {
                scheme: "https",
                authority: b"api.example.com"
            })
        );
        assert_eq!(inspect(&envelope.exchanges[1]), Err(Rejected::NoRequest));
    }

    #[test]
    fn what_is_missing_is_named() {
        let good = ExportRequest {
            shim: Some(shim()),
            sequence: 1,
            ..Default::default()
        };
        for (change, want) in [
            (
                Box::new(|r: &mut ExportRequest| r.shim = None) as Box<dyn Fn(&mut ExportRequest)>,
                "`shim` is missing",
            ),
            (
                Box::new(|r| r.sequence = 0),
                "the batches of an instance count from 1",
            ),
            (
                Box::new(|r| r.shim.as_mut().unwrap().instance = Bytes::from_static(b"short")),
                "has 5 bytes; it must have 16",
            ),
            (
                Box::new(|r| r.dropped = vec![Count::default(); MAX_COUNTS + 1]),
                "more than 128 drop reasons",
            ),
            (
                Box::new(|r| r.exchanges = vec![Exchange::default(); MAX_EXCHANGES + 1]),
                "more than 16384 exchanges",
            ),
        ] {
            let mut request = good.clone();
            change(&mut request);
            let error = open(&request).unwrap_err().to_string();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
        assert_eq!(
            Envelope::open(&Bytes::from_static(b"GET / HTTP/1.1"))
                .unwrap_err()
                .to_string(),
            "the batch is not a telemetry.v1.ExportRequest: a wire type proto3 does not have at byte 0"
        );
    }

    #[test]
    fn an_exchange_is_inspected_without_decoding() {
        let check = |change: &dyn Fn(&mut Exchange), want: Result<&'static str, Rejected>| {
            let mut one = exchange();
            change(&mut one);
            assert_eq!(
                inspect(&one.encode_to_vec()).map(|target| target.scheme),
                want
            );
        };
        check(&|_| {}, Ok("https"));
        check(&|e| e.scheme = String::new(), Ok("http"));
        check(
            &|e| (e.scheme, e.tls) = (String::new(), Some(Tls::default())),
            Ok("https"),
        );
        check(&|e| e.scheme = "ftp".into(), Err(Rejected::BadScheme));
        check(&|e| e.authority = Bytes::new(), Err(Rejected::BadHost));
        check(&|e| e.response = None, Err(Rejected::NoResponse));
        check(
            &|e| e.request.as_mut().unwrap().target_truncated = true,
            Err(Rejected::PathTruncated),
        );
        check(
            &|e| {
                let request = e.request.as_mut().unwrap();
                (request.target_truncated, request.query) =
                    (true, Some(Bytes::from_static(b"a=1&b")));
            },
            Ok("https"),
        );
        check(
            &|e| e.response.as_mut().unwrap().headers = vec![Header::default(); MAX_HEADERS + 1],
            Err(Rejected::TooManyHeaders),
        );
        assert_eq!(inspect(b"\x0b"), Err(Rejected::Malformed));
    }

    #[test]
    fn headers_are_bounded_however_many_pieces_they_come_in() {
        let piece = |count| {
            let mut one = exchange();
            one.response.as_mut().unwrap().headers = vec![Header::default(); count];
            one.encode_to_vec()
        };
        let pieces = |count: usize| [piece(count), piece(MAX_HEADERS / 2)].concat();
        let decoded = Exchange::decode(pieces(7).as_slice()).unwrap();
        let together = decoded.response.unwrap().headers.len();
        assert_eq!(
            together,
            7 + MAX_HEADERS / 2,
            "decoding puts pieces together"
        );
        assert!(inspect(&pieces(MAX_HEADERS / 2)).is_ok());
        assert_eq!(
            inspect(&pieces(MAX_HEADERS / 2 + 1)),
            Err(Rejected::TooManyHeaders)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_and_never_more_lenient_than_prost(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = inspect(&bytes);
            if let Ok(envelope) = Envelope::open(&bytes) {
                prop_assert!(envelope.exchanges.iter().all(|exchange| exchange.len() <= bytes.len()));
            }
        }
    }
}
