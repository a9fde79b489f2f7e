//! Wire exchange → observation.
//!
//! In: one encoded `telemetry.v1.Exchange`. Out: a [`reconstruct::Observation`](silhouette_reconstruct::Observation) of
//! it, lent to a closure because it borrows from the exchange; or the reason why there is none. Content codings are
//! undone, bytes that URLs may not contain are percent-encoded, header names are lower case.
//!
//! Never guesses: what the shim left out stays unknown, what was cut off stays marked as incomplete.

use std::borrow::Cow;

use bytes::Bytes;
use prost::Message as _;
use silhouette_proto::telemetry::v1 as wire;
use silhouette_reconstruct::{Body, Message, Observation};

use crate::decode::{Decoded, decode};
use crate::envelope::Rejected;

/// What is known of an exchange besides itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The kind of shim that saw it.
    pub shim: &'a str,
    /// `http` or `https`, as [`crate::envelope::inspect`] found it.
    pub scheme: &'static str,
    /// When its batch was received, Unix milliseconds: stands in for a start time that cannot be right.
    pub received: u64,
    /// Bytes of a decoded body at most.
    pub max_body: usize,
}

/// Decodes an exchange that [`crate::envelope::inspect`] has let pass, and shows it to `learn`, with the consumer the gateway knew (empty: none). `undecoded` is called
/// with a reason for each body that stays behind its content coding.
pub fn observe<R>(
    exchange: &Bytes,
    context: Context<'_>,
    mut undecoded: impl FnMut(&'static str),
    learn: impl FnOnce(&Observation<'_>, &str) -> R,
) -> Result<R, Rejected> {
    let exchange = wire::Exchange::decode(exchange.clone()).map_err(|_| Rejected::Malformed)?;
    let request = exchange.request.as_ref().ok_or(Rejected::NoRequest)?;
    let response = exchange.response.as_ref().ok_or(Rejected::NoResponse)?;
    let method = &request.method;
    if method.is_empty() || method.len() > 32 || !method.bytes().all(is_token) {
        return Err(Rejected::BadMethod);
    }
    if !request.path.starts_with(b"/") {
        return Err(Rejected::BadPath);
    }
    let status = u16::try_from(response.status)
        .ok()
        .filter(|status| (100..600).contains(status))
        .ok_or(Rejected::BadStatus)?;
    let path = visible(&request.path);
    let query = request.query.as_ref().map(|query| {
        // The last parameter of a query that was cut off may be cut off too.
        let whole = if request.target_truncated {
            let end = query.iter().rposition(|byte| *byte == b'&').unwrap_or(0);
            query.get(..end).unwrap_or_default()
        } else {
            query.as_ref()
        };
        visible(whole)
    });
    let (request_names, response_names) = (names(&request.headers), names(&response.headers));
    let request_headers = headers(&request.headers, &request_names);
    let response_headers = headers(&response.headers, &response_names);
    let request_body = body(
        request.body.as_ref(),
        &request_headers,
        false,
        context.max_body,
    );
    let response_body = body(
        response.body.as_ref(),
        &response_headers,
        exchange.unfinished,
        context.max_body,
    );
    for decoded in [&request_body.0, &response_body.0] {
        if let Some(problem) = &decoded.problem {
            undecoded(problem.reason());
        }
    }
    let consumer = exchange
        .gateway
        .as_ref()
        .map_or("", |gateway| gateway.consumer.as_str());
    let observation = Observation {
        unix_millis: start(exchange.start_unix_nanos, context.received),
        duration_micros: exchange.duration_micros,
        shim: context.shim,
        scheme: context.scheme,
        method,
        path: &path,
        query: query.as_deref(),
        request: Message {
            headers: &request_headers,
            body: lent(&request_body),
        },
        status,
        response: Message {
            headers: &response_headers,
            body: lent(&response_body),
        },
        client_certificate: exchange
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_certificate),
    };
    Ok(learn(&observation, consumer))
}

/// Unix milliseconds; a clock that is unset or more than a day ahead is not believed.
fn start(nanos: u64, received: u64) -> u64 {
    const DAY: u64 = 86_400_000;
    let millis = nanos / 1_000_000;
    if millis < 1_000 * DAY || millis > received.saturating_add(DAY) {
        received
    } else {
        millis
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The same path or query with every byte that RFC 3986 does not let stand for itself percent-encoded.
fn visible(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(u8::is_ascii_graphic) => Cow::Borrowed(text),
        _ => {
            use std::fmt::Write as _;
            let mut text = String::with_capacity(bytes.len() + 16);
            for byte in bytes {
                if byte.is_ascii_graphic() {
                    text.push(char::from(*byte));
                } else {
                    let _ = write!(text, "%{byte:02X}");
                }
            }
            Cow::Owned(text)
        }
    }
}

/// Lower-case names; empty for what is no header name, such as HTTP/2's `:path`.
fn names(headers: &[wire::Header]) -> Vec<Cow<'_, str>> {
    headers
        .iter()
        .map(|header| match std::str::from_utf8(&header.name) {
            Ok(name) if name.bytes().all(is_token) => {
                if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    Cow::Owned(name.to_ascii_lowercase())
                } else {
                    Cow::Borrowed(name)
                }
            }
            _ => Cow::Borrowed(""),
        })
        .collect()
}

fn headers<'a>(headers: &'a [wire::Header], names: &'a [Cow<'a, str>]) -> Vec<(&'a str, &'a [u8])> {
    names
        .iter()
        .zip(headers)
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, header)| (name.as_ref(), header.value.as_ref()))
        .collect()
}

/// A body, decoded, with its size on the wire.
fn body<'a>(
    body: Option<&'a wire::Body>,
    headers: &[(&str, &[u8])],
    unfinished: bool,
    max_body: usize,
) -> (Decoded<'a>, u64) {
    let Some(body) = body else {
        let none = Decoded {
            bytes: Cow::Borrowed(&[]),
            complete: !unfinished,
            problem: None,
        };
        return (none, 0);
    };
    let complete = !body.truncated && body.omitted.is_empty() && !unfinished;
    // Several fields are one list (RFC 9110, section 5.3).
    let mut coding = Cow::Borrowed("");
    for (name, value) in headers {
        if *name == "content-encoding" {
            let value = String::from_utf8_lossy(value);
            coding = if coding.is_empty() {
                value
            } else {
                Cow::Owned(format!("{coding}, {value}"))
            };
        }
    }
    let decoded = if body.data.is_empty() {
        Decoded {
            bytes: Cow::Borrowed(&[]),
            complete: complete && body.original_size == 0,
            problem: None,
        }
    } else {
        decode(&body.data, &coding, complete, max_body)
    };
    (decoded, body.original_size.max(body.data.len() as u64))
}

fn lent<'a>((decoded, original_size): &'a (Decoded<'_>, u64)) -> Body<'a> {
    Body {
        bytes: &decoded.bytes,
        original_size: *original_size,
        complete: decoded.complete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const CONTEXT: Context<'static> = Context {
        shim: "nginx",
        scheme: "https",
        received: 1_800_000_000_000,
        max_body: 1 << 20,
    };

    fn header(name: &'static str, value: &'static str) -> wire::Header {
        wire::Header {
            name: Bytes::from_static(name.as_bytes()),
            value: Bytes::from_static(value.as_bytes()),
        }
    }

    fn exchange() -> wire::Exchange {
        wire::Exchange {
            start_unix_nanos: 1_799_999_999_123_456_789,
            duration_micros: Some(1500),
            request: Some(wire::Request {
                method: "POST".into(),
                path: Bytes::from_static(b"/books"),
                query: Some(Bytes::from_static(b"page=2&q=x")),
                headers: vec![
                    header("content-type", "application/json"),
                    header("X-Odd", "1"),
                    header(":path", "/"),
                ],
                body: Some(wire::Body {
                    data: Bytes::from_static(b"{}"),
                    original_size: 2,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            response: Some(wire::Response {
                status: 201,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// What the observation of a changed exchange shows.
    fn check(
        change: impl FnOnce(&mut wire::Exchange, &mut wire::Request, &mut wire::Response),
        look: impl FnOnce(&Observation<'_>) -> String,
    ) -> Result<String, Rejected> {
        let mut exchange = exchange();
        let mut request = exchange.request.take().unwrap();
        let mut response = exchange.response.take().unwrap();
        change(&mut exchange, &mut request, &mut response);
        (exchange.request, exchange.response) = (Some(request), Some(response));
        let mut problems = Vec::new();
        let seen = observe(
            &Bytes::from(exchange.encode_to_vec()),
            CONTEXT,
            |reason| problems.push(reason),
            |observation, _| look(observation),
        )?;
        Ok(
            [vec![seen], problems.iter().map(|p| p.to_string()).collect()]
                .concat()
                .join(" "),
        )
    }

    #[test]
    fn everything_arrives() {
        let seen = check(
            |_, _, _| {},
            |o| {
                format!(
                    "{} {:?} {} {} {} {:?} {:?} {} {}",
                    o.unix_millis,
                    o.duration_micros,
                    o.scheme,
                    o.method,
                    o.path,
                    o.query,
                    o.request
                        .headers
                        .iter()
                        .map(|(name, _)| *name)
                        .collect::<Vec<_>>(),
                    String::from_utf8_lossy(o.request.body.bytes),
                    o.status
                )
            },
        );
        assert_eq!(
            seen.unwrap(),
            "1799999999123 Some(1500) https POST /books Some(\"page=2&q=x\") [\"content-type\", \"x-odd\"] {} 201"
        );
    }

    #[test]
    fn bytes_that_no_url_may_contain_are_encoded() {
        let seen = check(
            |_, request, _| request.path = Bytes::from_static(b"/b\xc3\xbccher/\xff a"),
            |o| o.path.to_owned(),
        );
        assert_eq!(seen.unwrap(), "/b%C3%BCcher/%FF%20a");
    }

    #[test]
    fn what_was_cut_off_is_marked() {
        let cut = check(
            |_, request, _| request.target_truncated = true,
            |o| o.query.unwrap().to_owned(),
        );
        assert_eq!(cut.unwrap(), "page=2");
        let complete = |change: fn(&mut wire::Body)| {
            check(
                |_, request, _| change(request.body.as_mut().unwrap()),
                |o| {
                    format!(
                        "{} {}",
                        o.request.body.complete, o.request.body.original_size
                    )
                },
            )
            .unwrap()
        };
        assert_eq!(complete(|_| {}), "true 2");
        assert_eq!(
            complete(|b| (b.truncated, b.original_size) = (true, 9)),
            "false 9"
        );
        assert_eq!(
            complete(|b| {
                (b.data, b.original_size, b.omitted) = (Bytes::new(), 9, "content_type".into())
            }),
            "false 9"
        );
        let unfinished = check(
            |exchange, _, _| exchange.unfinished = true,
            |o| format!("{} {}", o.request.body.complete, o.response.body.complete),
        );
        assert_eq!(unfinished.unwrap(), "true false");
    }

    #[test]
    fn content_codings_are_undone() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"{\"a\":1}").unwrap();
        let zipped = Bytes::from(gzip.finish().unwrap());
        let look = |o: &Observation<'_>| {
            format!(
                "{} {}",
                String::from_utf8_lossy(o.response.body.bytes),
                o.response.body.complete
            )
        };
        let with = |coding: &'static str, data: Bytes| {
            check(
                |_, _, response| {
                    response.headers = vec![header("content-encoding", coding)];
                    response.body = Some(wire::Body {
                        original_size: data.len() as u64,
                        data,
                        ..Default::default()
                    });
                },
                look,
            )
            .unwrap()
        };
        assert_eq!(with("gzip", zipped.clone()), "{\"a\":1} true");
        assert_eq!(with("gzip", Bytes::new()), " true");
        let unknown = with("compress", zipped);
        assert!(
            unknown.contains("false") && unknown.len() > "false".len() + 1,
            "{unknown}"
        );
    }

    #[test]
    fn what_is_no_exchange_is_named() {
        let no = |change: fn(&mut wire::Exchange, &mut wire::Request, &mut wire::Response)| {
            check(change, |_| String::new()).unwrap_err()
        };
        assert_eq!(no(|_, q, _| q.method = "".into()), Rejected::BadMethod);
        assert_eq!(no(|_, q, _| q.method = "G T".into()), Rejected::BadMethod);
        assert_eq!(no(|_, q, _| q.path = Bytes::new()), Rejected::BadPath);
        assert_eq!(
            no(|_, q, _| q.path = Bytes::from_static(b"*")),
            Rejected::BadPath
        );
        assert_eq!(no(|_, _, r| r.status = 0), Rejected::BadStatus);
        assert_eq!(no(|_, _, r| r.status = 65_736), Rejected::BadStatus);
        let garbage = observe(
            &Bytes::from_static(b"\x5a\x05x"),
            CONTEXT,
            |_| {},
            |_, _| (),
        );
        assert_eq!(garbage, Err(Rejected::Malformed));
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_not_believed() {
        let received = CONTEXT.received;
        assert_eq!(start(0, received), received);
        assert_eq!(start(u64::MAX, received), received);
        assert_eq!(start((received - 5) * 1_000_000, received), received - 5);
    }
}
