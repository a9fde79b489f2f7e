//! One request and its response, as nginx holds them: what the host shows the filter in maps, buffers and properties.
//!
//! In: what the front has read so far. Out: pairs, bytes and text. Knows no WebAssembly and no socket.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Name and value, as they were sent.
pub type Pair = (Vec<u8>, Vec<u8>);

/// At most so many pairs are handed over in one map, pseudo-headers included.
pub const MOST_PAIRS: usize = 100;

/// The version of Kong whose behaviour is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kong {
    pub version: &'static str,
    pub nginx: &'static str,
    /// Metrics exist; without them each call of one traps.
    pub metrics: bool,
    /// A call that failed is told with neither headers nor body; without, it is never heard of again.
    pub failures_told: bool,
    /// All `kong.*` properties; without, the ids of route and service alone.
    pub all_properties: bool,
}

impl Kong {
    pub const V3_4: Kong = Kong {
        version: "3.4.3",
        nginx: "1.21.4",
        metrics: false,
        failures_told: false,
        all_properties: false,
    };
    pub const V3_9: Kong = Kong {
        version: "3.9.1",
        nginx: "1.25.3",
        metrics: true,
        failures_told: true,
        all_properties: true,
    };
    pub const V3_10: Kong = Kong {
        version: "3.10.0",
        nginx: "1.27.1",
        metrics: true,
        failures_told: true,
        all_properties: true,
    };
}

/// What nginx and Kong know about a request beside what was sent.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub kong: Kong,
    pub node: String,
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub server_name: String,
    pub tls: Option<Tls>,
    pub route: Named,
    pub service: Named,
    /// Known once the upstream was chosen, which is after the request's phases.
    pub upstream: Option<SocketAddr>,
}

/// An entity of Kong.
#[derive(Debug, Clone, Default)]
pub struct Named {
    pub id: String,
    pub name: String,
}

/// The client's connection, if it is encrypted.
#[derive(Debug, Clone)]
pub struct Tls {
    /// `TLSv1.3`
    pub protocol: String,
    pub cipher: String,
    pub server_name: String,
}

/// Where the bytes of a request's body are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RequestBody {
    /// Not read yet, or there is none.
    #[default]
    None,
    Memory(Vec<u8>),
    /// In a file, because it is larger than `client_body_buffer_size`: nobody can look at it.
    Spooled(usize),
}

impl RequestBody {
    pub fn size(&self) -> usize {
        match self {
            RequestBody::None => 0,
            RequestBody::Memory(bytes) => bytes.len(),
            RequestBody::Spooled(size) => *size,
        }
    }
}

/// Status and headers.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    pub status: u16,
    pub headers: Vec<Pair>,
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    /// Path and query as the client sent them.
    pub target: String,
    /// `HTTP/1.1`
    pub protocol: String,
    pub headers: Vec<Pair>,
    pub body: RequestBody,
    pub response: Option<ResponseHead>,
    /// The piece of the response's body that passes now.
    pub chunk: Vec<u8>,
    pub surroundings: Surroundings,
    pub begin: Instant,
    pub request_length: u64,
    pub body_bytes_sent: u64,
}

impl Exchange {
    /// The request's headers with the pseudo-headers that nginx can make up.
    pub fn request_pairs(&self) -> Vec<Pair> {
        let surroundings = &self.surroundings;
        let authority = format!(
            "{}:{}",
            surroundings.server_name,
            surroundings.server.port()
        );
        let mut pairs = vec![
            pair(":path", self.normalised_target()),
            pair(":method", self.method.clone()),
            pair(":scheme", self.scheme()),
            pair(":authority", authority),
        ];
        pairs.extend(self.headers.iter().cloned());
        pairs
    }

    /// The response's status and headers; empty before there is one.
    pub fn response_pairs(&self) -> Vec<Pair> {
        let Some(response) = &self.response else {
            return Vec::new();
        };
        let mut pairs = vec![pair(":status", format!("{:03}", response.status))];
        pairs.extend(response.headers.iter().cloned());
        pairs
    }

    pub fn scheme(&self) -> &'static str {
        match self.surroundings.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// `$uri`: percent-decoded, without dot segments and double slashes.
    pub fn normalised_path(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        let mut segments: Vec<String> = Vec::new();
        let mut last_is_directory = false;
        for segment in decode(path).split('/').skip(1) {
            last_is_directory = matches!(segment, "" | "." | "..");
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                name => segments.push(name.to_owned()),
            }
        }
        let end = match last_is_directory && !segments.is_empty() {
            true => "/",
            false => "",
        };
        format!("/{}{end}", segments.join("/"))
    }

    /// What `:path` shows: not what was sent.
    fn normalised_target(&self) -> String {
        match self.query() {
            Some(query) if !query.is_empty() => format!("{}?{query}", self.normalised_path()),
            _ => self.normalised_path(),
        }
    }

    /// First value of a request header.
    pub fn request_header(&self, name: &str) -> Option<&[u8]> {
        value(&self.headers, name)
    }

    /// First value of a response header.
    pub fn response_header(&self, name: &str) -> Option<&[u8]> {
        value(&self.response.as_ref()?.headers, name)
    }

    /// The response's `Content-Length`, if it has one that is not zero.
    pub fn announced(&self) -> Option<usize> {
        let text = std::str::from_utf8(self.response_header("content-length")?).ok()?;
        text.parse().ok().filter(|&size| size > 0)
    }

    /// Seconds since 1970 when the request began.
    pub fn begin_unix(&self) -> f64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().as_secs_f64() - self.begin.elapsed().as_secs_f64()
    }
}

fn pair(name: &str, value: impl Into<String>) -> Pair {
    (name.as_bytes().to_vec(), value.into().into_bytes())
}

/// First value of a name, whatever its case.
pub fn value<'a>(pairs: &'a [Pair], name: &str) -> Option<&'a [u8]> {
    let found = pairs
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, value)| value.as_slice())
}

fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3);
        let hex = hex.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (byte, hex) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// As the host hands a map over: a count, the sizes of all names and values, then these, a NUL byte after each.
pub fn marshal(pairs: &[Pair]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = number(pairs.len()).to_vec();
    for (name, value) in pairs {
        out.extend(number(name.len()));
        out.extend(number(value.len()));
    }
    for (name, value) in pairs {
        for part in [name, value] {
            out.extend(part);
            out.push(0);
        }
    }
    out
}

/// The reverse, for maps that the filter hands over; `None` when they are cut off.
pub fn unmarshal(bytes: &[u8]) -> Option<Vec<Pair>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let number = |at: usize| -> Option<usize> {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(four)).ok()
    };
    let count = number(0)?;
    let mut at = 4 + 8 * count;
    let mut part = |size: usize| -> Option<Vec<u8>> {
        let part = bytes.get(at..at + size)?.to_vec();
        at += size + 1;
        Some(part)
    };
    (0..count)
        .map(|n| Some((part(number(4 + 8 * n)?)?, part(number(8 + 8 * n)?)?)))
        .collect()
}

/// A map as text.
pub fn decode_pairs(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let pairs = unmarshal(bytes)?.into_iter();
    Some(
        pairs
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
    )
}
