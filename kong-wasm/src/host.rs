//! The functions of the host's that the filter calls; it imports no others.
//!
//! In: plain values. Out: plain values; `None` for whatever the host did not do, for whatever reason. What the host gives is
//! bytes: neither text nor a known number is taken for granted.
#![allow(
    unsafe_code,
    reason = "the host's functions take and give addresses in this module's memory"
)]

use std::time::Duration;

/// How much a line in the gateway's log matters.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// Where bytes are taken from.
#[derive(Clone, Copy)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CallResponseBody = 4,
    Configuration = 7,
}

/// Whose headers are taken.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    Request = 0,
    Response = 2,
    CallResponse = 6,
}

/// What a metric can do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter = 0,
    Gauge = 1,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_done() -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        most: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_http_call(
        upstream: *const u8,
        upstream_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
}

const OK: u32 = 0;

/// Writes a line to the gateway's log.
pub(crate) fn log(level: Level, text: &str) {
    // SAFETY: the host reads `text.len()` bytes, which are there.
    let _ = unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Nanoseconds since 1970. The only clock that every host has; it may be set back.
pub(crate) fn now() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes eight bytes.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    time
}

/// Asks for a tick every so often. Kong allows one call per configuration.
pub(crate) fn tick_every(period: Duration) {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: no address is passed.
    let _ = unsafe { proxy_set_tick_period_milliseconds(millis) };
}

/// The root whose tick this is may go now.
pub(crate) fn done() {
    // SAFETY: no address is passed.
    let _ = unsafe { proxy_done() };
}

/// What the host put into this module's memory by way of `proxy_on_memory_allocate`.
fn given(status: u32, data: *mut u8, size: usize) -> Option<Vec<u8>> {
    if status != OK || data.is_null() {
        return None;
    }
    // SAFETY: `proxy_on_memory_allocate` made exactly `size` bytes for the host, with the allocator that frees a `Vec`.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// The first `most` bytes of a buffer. Always from its beginning: Kong does not know another start.
pub(crate) fn buffer(buffer: Buffer, most: usize) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host writes an address and a size.
    let status =
        unsafe { proxy_get_buffer_bytes(buffer as u32, 0, most, &raw mut data, &raw mut size) };
    given(status, data, size)
}

/// All headers of a message; none when the host has no such message.
pub(crate) fn headers(map: Map) -> Headers {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host writes an address and a size.
    let status = unsafe { proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size) };
    Headers(given(status, data, size).unwrap_or_default())
}

/// A property's raw value. `path` has its parts separated by NUL bytes.
pub(crate) fn property(path: &str) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host reads `path.len()` bytes, and writes an address and a size.
    let status =
        unsafe { proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size) };
    given(status, data, size)
}

/// A property that is text; empty when there is none.
pub(crate) fn text(path: &str) -> String {
    property(path)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// Makes a metric known; its number.
pub(crate) fn define_metric(kind: Kind, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the host reads `name.len()` bytes and writes four.
    let status =
        unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Adds to a metric.
pub(crate) fn add_to_metric(id: u32, by: i64) {
    // SAFETY: no address is passed.
    let _ = unsafe { proxy_increment_metric(id, by) };
}

/// Sets a gauge.
pub(crate) fn set_metric(id: u32, value: u64) {
    // SAFETY: no address is passed.
    let _ = unsafe { proxy_record_metric(id, value) };
}

/// Has the gateway make an HTTP call; its token, which comes back with the answer.
pub(crate) fn call(
    upstream: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    timeout: Duration,
) -> Option<u32> {
    let headers = written(headers);
    let trailers = written(&[]);
    let timeout = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let mut token = 0;
    // SAFETY: the host reads as many bytes as it is told, which are there, and writes four.
    let status = unsafe {
        proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// Headers as the host reads them: see [`Headers`].
fn written(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut size = |size: usize| {
        // Headers of ours are short.
        bytes.extend_from_slice(&u32::try_from(size).unwrap_or(0).to_le_bytes());
    };
    size(headers.len());
    for (name, value) in headers {
        size(name.len());
        size(value.len());
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// A message's headers as the host writes them: a count, the sizes of all names and values, then these with a NUL byte after
/// each. Pseudo-headers (`:path`) are among them.
pub(crate) struct Headers(Vec<u8>);

impl Headers {
    /// Name and value, in order, with duplicates. Ends early where the bytes are not what they should be.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let count = number(&self.0, 0).unwrap_or(0);
        let mut at = count.saturating_mul(8).saturating_add(4);
        (0..count).map_while(move |index| {
            let sizes = 4 + 8 * index;
            let name = self.part(&mut at, number(&self.0, sizes)?)?;
            let value = self.part(&mut at, number(&self.0, sizes + 4)?)?;
            Some((name, value))
        })
    }

    /// The first value of a name in lower case; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &[u8] {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map_or(b"", |(_, value)| value)
    }

    /// Whether the host showed none.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn part(&self, at: &mut usize, size: usize) -> Option<&[u8]> {
        let part = self.0.get(*at..at.checked_add(size)?)?;
        *at += size + 1;
        Some(part)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*four)).ok()
}
