//! Turns an entry into an exchange: in, the JSON text of one entry; out, what `reconstruct` observes, or why it is none.
//!
//! A recording holds bodies decoded and as text; where a recorder left them compressed, in base64, or as form fields,
//! they are brought to what was sent. Nothing is redacted: the recording is its owner's, and no value of it gets into a
//! document. It never contacts anybody and never invents an exchange that has no response.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use silhouette_reconstruct::{Body, Message, Observation};

use super::entry::{Content, Entry, Pairs, Param, PostData};
use super::mend::mend;
use super::scan::MAX_ENTRY;
use crate::decode::decode;

/// One request and its response out of a recording.
#[derive(Debug, PartialEq)]
pub struct Exchange<'a> {
    /// When it started, Unix milliseconds; `None` when the recording does not tell.
    pub unix_millis: Option<u64>,
    /// How long it took, in microseconds.
    pub duration_micros: Option<u64>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port as in the URL, without user information.
    pub authority: Cow<'a, str>,
    /// Upper case.
    pub method: Cow<'a, str>,
    /// Raw path, never empty.
    pub path: Cow<'a, str>,
    /// Raw query, without `?`.
    pub query: Option<Cow<'a, str>>,
    /// 100 to 999.
    pub status: u16,
    /// Bodies that are there but cannot be read (0, 1 or 2): broken base64, an unknown coding.
    pub unread_bodies: u8,
    request: Side<'a>,
    response: Side<'a>,
}

/// Why an entry is no exchange to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOut {
    /// No request, or one without method or URL.
    NoRequest,
    /// Blocked, aborted, or still running when the recording ended: no status.
    NoResponse,
    /// The URL is not http or https: `data:`, `blob:`, a browser extension.
    NotHttp,
}

impl LeftOut {
    /// A stable name to count by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRequest => "no_request",
            Self::NoResponse => "no_response",
            Self::NotHttp => "not_http",
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Side<'a> {
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    bytes: Cow<'a, [u8]>,
    size: u64,
    complete: bool,
}

impl Exchange<'_> {
    /// Parses the JSON text of an entry and hands the exchange, or why there is none, to `take`. The error is for text
    /// that is no JSON object.
    pub fn parse<T>(
        json: &[u8],
        take: impl FnOnce(Result<Exchange<'_>, LeftOut>) -> T,
    ) -> Result<T, serde_json::Error> {
        match serde_json::from_slice::<Entry<'_>>(json) {
            Ok(entry) => Ok(take(Exchange::from_entry(entry))),
            Err(error) => match mend(json) {
                Some(mended) => Ok(take(Exchange::from_entry(serde_json::from_str(&mended)?))),
                None => Err(error),
            },
        }
    }

    /// Shows the exchange as an observation; `unknown_time` stands in where the recording has no time.
    pub fn observe<T>(&self, unknown_time: u64, take: impl FnOnce(&Observation<'_>) -> T) -> T {
        let request = self.request.views();
        let response = self.response.views();
        take(&Observation {
            unix_millis: self.unix_millis.unwrap_or(unknown_time),
            duration_micros: self.duration_micros,
            shim: "har",
            scheme: self.scheme,
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            request: Message {
                headers: &request,
                body: self.request.body(),
            },
            status: self.status,
            response: Message {
                headers: &response,
                body: self.response.body(),
            },
            client_certificate: false,
        })
    }
}

impl<'a> Exchange<'a> {
    fn from_entry(entry: Entry<'a>) -> Result<Exchange<'a>, LeftOut> {
        let request = entry.request.0.ok_or(LeftOut::NoRequest)?;
        let method = request.method.into_inner();
        let url = request.url.into_inner();
        if method.is_empty() || url.is_empty() {
            return Err(LeftOut::NoRequest);
        }
        let target = Target::parse(&url, &request.headers).ok_or(LeftOut::NotHttp)?;
        let response = entry.response.0.ok_or(LeftOut::NoResponse)?;
        let status = match response.status.0 {
            Some(status) if (100.0..1000.0).contains(&status) => status as u16,
            _ => return Err(LeftOut::NoResponse),
        };
        let mut unread_bodies = 0;
        let mut request_side = Side {
            headers: headers(request.headers),
            ..Side::default()
        };
        request_side.take_post(
            request.post.0,
            request.body_size.not_negative(),
            &mut unread_bodies,
        );
        let mut response_side = Side {
            headers: headers(response.headers),
            ..Side::default()
        };
        let redirect = response.redirect.into_inner();
        if !redirect.is_empty()
            && (300..400).contains(&status)
            && response_side.header("location").is_none()
        {
            response_side
                .headers
                .push((Cow::Borrowed("location"), redirect));
        }
        response_side.take_content(response.content.0, &mut unread_bodies);
        let Target {
            scheme,
            authority,
            path,
            query,
        } = target;
        Ok(Exchange {
            unix_millis: unix_millis(entry.started.as_str()),
            duration_micros: entry
                .time
                .not_negative()
                .map(|millis| (millis * 1000.0) as u64),
            scheme,
            authority: Cow::Owned(authority.to_owned()),
            method: upper(method),
            path: part(&url, path, "/"),
            query: query.map(|query| part(&url, query, "")),
            status,
            unread_bodies,
            request: request_side,
            response: response_side,
        })
    }
}

/// A part of `whole` that keeps living as long as `whole` does when that is borrowed.
fn part<'a>(
    whole: &Cow<'a, str>,
    range: std::ops::Range<usize>,
    empty: &'static str,
) -> Cow<'a, str> {
    let found = match whole {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(range).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(range).unwrap_or_default().to_owned()),
    };
    if found.is_empty() {
        Cow::Borrowed(empty)
    } else {
        found
    }
}

/// Where a request went, as places in its URL.
struct Target {
    scheme: &'static str,
    authority: String,
    path: std::ops::Range<usize>,
    query: Option<std::ops::Range<usize>>,
}

impl Target {
    /// Not a URL parser on purpose: it must neither refuse nor normalise what a client really sent.
    fn parse(url: &str, headers: &Pairs<'_>) -> Option<Self> {
        let end = url.find('#').unwrap_or(url.len());
        let header = |name: &str| {
            let found = headers
                .0
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            found
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
        };
        let (scheme, authority, start) = if url.starts_with('/') && !url.starts_with("//") {
            let scheme = header(":scheme").and_then(http_scheme).unwrap_or("http");
            (scheme, header(":authority").or_else(|| header("host"))?, 0)
        } else {
            let (scheme, rest) = url.split_once("://")?;
            let authority = rest
                .find(['/', '?', '#'])
                .map_or(rest, |end| rest.get(..end).unwrap_or_default());
            let start = url.len() - rest.len() + authority.len();
            (
                http_scheme(scheme)?,
                authority.rsplit('@').next().unwrap_or_default(),
                start,
            )
        };
        let question = url.get(start..end)?.find('?').map(|at| start + at);
        Some(Self {
            scheme,
            authority: authority.to_owned(),
            path: start..question.unwrap_or(end),
            query: question.map(|at| at + 1..end),
        })
    }
}

/// WebSocket handshakes are HTTP.
fn http_scheme(scheme: &str) -> Option<&'static str> {
    match () {
        () if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") => {
            Some("https")
        }
        () if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") => {
            Some("http")
        }
        () => None,
    }
}

fn upper(method: Cow<'_, str>) -> Cow<'_, str> {
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Cow::Owned(method.to_ascii_uppercase())
    } else {
        method
    }
}

/// Lower-case names; pseudo headers (RFC 9113, section 8.3) left out; what Chrome joins with line feeds, apart again.
fn headers<'a>(pairs: Pairs<'a>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let mut headers = Vec::with_capacity(pairs.0.len() + 1);
    for (name, value) in pairs.0 {
        if name.is_empty() || name.starts_with(':') {
            continue;
        }
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => name,
        };
        if value.contains('\n') {
            headers.extend(
                value
                    .lines()
                    .map(|line| (name.clone(), Cow::Owned(line.trim().to_owned()))),
            );
        } else {
            headers.push((name, value));
        }
    }
    headers
}

/// RFC 3339 as the specification asks, ISO 8601 in its other forms, and without a zone as UTC.
fn unix_millis(text: &str) -> Option<u64> {
    let text = text.trim();
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let millis = zoned.map(jiff::Timestamp::as_millisecond).or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(zoned.timestamp().as_millisecond())
    });
    millis.and_then(|millis| u64::try_from(millis).ok())
}

impl<'a> Side<'a> {
    fn views(&self) -> Vec<(&str, &[u8])> {
        self.headers
            .iter()
            .map(|(name, value)| (&**name, value.as_bytes()))
            .collect()
    }

    fn body(&self) -> Body<'_> {
        Body {
            bytes: &self.bytes,
            original_size: self.size,
            complete: self.complete,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    fn set_media_type(&mut self, value: Cow<'a, str>) {
        match self
            .headers
            .iter_mut()
            .find(|(name, _)| name == "content-type")
        {
            Some(header) => header.1 = value,
            None => self.headers.push((Cow::Borrowed("content-type"), value)),
        }
    }

    /// Recorders that keep no headers still note the media type.
    fn add_media_type(&mut self, mime: Cow<'a, str>) {
        if mime.contains('/') && self.header("content-type").is_none() {
            self.headers.push((Cow::Borrowed("content-type"), mime));
        }
    }

    fn take_post(&mut self, post: Option<PostData<'a>>, size: Option<f64>, unread: &mut u8) {
        let size = size.unwrap_or_default() as u64;
        self.complete = size == 0;
        self.size = size;
        let Some(post) = post else { return };
        self.add_media_type(post.mime.clone().into_inner());
        let params = post.params.0.unwrap_or_default();
        if !post.text.as_str().is_empty() {
            let base64 =
                is_base64(post.encoding.as_str()) || is_base64(post.custom_encoding.as_str());
            self.take_text(post.text.into_inner(), base64, size, unread);
        } else if !params.is_empty() {
            self.take_params(&params, post.mime.as_str());
        }
    }

    fn take_content(&mut self, content: Option<Content<'a>>, unread: &mut u8) {
        self.complete = true;
        let Some(content) = content else { return };
        // Chrome's "x-unknown" has no slash.
        self.add_media_type(content.mime.into_inner());
        let size = content.size.not_negative().unwrap_or_default() as u64;
        if content.text.as_str().is_empty() {
            self.size = size;
            self.complete = size == 0;
        } else {
            self.take_text(
                content.text.into_inner(),
                is_base64(content.encoding.as_str()),
                size,
                unread,
            );
        }
    }

    fn take_text(&mut self, text: Cow<'a, str>, base64: bool, size: u64, unread: &mut u8) {
        let bytes = match base64 {
            false => match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            true => match from_base64(&text) {
                Some(bytes) => Cow::Owned(bytes),
                None => {
                    *unread += 1;
                    self.size = size.max(1);
                    self.complete = false;
                    return;
                }
            },
        };
        self.size = size.max(bytes.len() as u64);
        self.complete = true;
        // A body is decoded in a recording, yet some recorders keep it as it was on the wire.
        let coding = self.header("content-encoding").unwrap_or_default();
        if !coding.is_empty() && std::str::from_utf8(&bytes).is_err() {
            let decoded = decode(&bytes, coding, true, MAX_ENTRY);
            if decoded.problem.is_none() {
                self.size = decoded.bytes.len() as u64;
                self.bytes = Cow::Owned(decoded.bytes.into_owned());
                return;
            }
        }
        // The size is of bytes, the text may have lost some to another charset: shorter than it should be is cut only
        // when it does not read to its end either.
        if (bytes.len() as u64) < size
            && self
                .header("content-type")
                .is_some_and(|kind| kind.contains("json"))
        {
            self.complete = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        }
        self.bytes = bytes;
    }

    /// Form fields without the text they came from.
    fn take_params(&mut self, params: &[Param<'a>], mime: &str) {
        let kind = self.header("content-type").unwrap_or(mime).to_owned();
        let body = if kind
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/")
        {
            let boundary = kind
                .split(';')
                .find_map(|part| part.trim().strip_prefix("boundary="));
            let boundary = boundary
                .unwrap_or("silhouette-boundary")
                .trim_matches('"')
                .to_owned();
            if !kind.contains("boundary=") {
                self.set_media_type(Cow::Owned(format!("{kind}; boundary={boundary}")));
            }
            multipart(params, &boundary)
        } else {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(
                params
                    .iter()
                    .map(|param| (param.name.as_str(), param.value.as_str())),
            );
            form.finish().into_bytes()
        };
        self.size = self.size.max(body.len() as u64);
        self.complete = true;
        self.bytes = Cow::Owned(body);
    }
}

/// The fields as RFC 7578 writes them.
fn multipart(params: &[Param<'_>], boundary: &str) -> Vec<u8> {
    let quoted = |text: &str| {
        text.replace('"', "%22")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let mut body = String::new();
    for param in params {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            quoted(param.name.as_str())
        ));
        if param.file_name.0.is_some() {
            body.push_str(&format!(
                "; filename=\"{}\"",
                quoted(param.file_name.as_str())
            ));
        }
        if !param.content_type.as_str().is_empty() {
            body.push_str(&format!(
                "\r\nContent-Type: {}",
                quoted(param.content_type.as_str())
            ));
        }
        body.push_str(&format!("\r\n\r\n{}\r\n", param.value.as_str()));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    body.into_bytes()
}

fn is_base64(encoding: &str) -> bool {
    encoding.eq_ignore_ascii_case("base64")
}

/// Standard or URL-safe alphabet, with or without padding and line ends.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);
    let engine = if text.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        engine
            .decode(text.split_ascii_whitespace().collect::<String>())
            .ok()
    } else {
        engine.decode(text).ok()
    }
}

#[cfg(test)]
mod tests;
