//! What Cloudflare knows of a request: its head, the client's address, the data centre.
//!
//! In: the texts that JavaScript takes from a request, and its headers. Out: the parts of a recorder's beginning and end. What
//! Cloudflare adds to a request on its way is told from what the client sent.

use std::net::{IpAddr, SocketAddr};

use silhouette_capture::{End, Gateway, Peers, Tls};

/// Texts ended by NUL.
pub(crate) struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Texts<'a> {
        Texts(bytes)
    }

    /// The rest, as names and values in turn.
    pub(crate) fn pairs(self) -> Pairs<'a> {
        Pairs(self)
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.0)?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(text)
    }
}

/// Headers, or variables.
#[derive(Clone)]
pub(crate) struct Pairs<'a>(Texts<'a>);

impl Clone for Texts<'_> {
    fn clone(&self) -> Self {
        Texts(self.0)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}

/// A request's head as JavaScript sends it: these texts in this order (empty: unknown), then its headers.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a [u8],
    /// Absolute.
    pub(crate) url: &'a [u8],
    /// `cf.httpProtocol`.
    protocol: &'a [u8],
    colo: &'a [u8],
    country: &'a [u8],
    asn: &'a [u8],
    tls_version: &'a [u8],
    tls_cipher: &'a [u8],
    /// `1` when the client's certificate was verified.
    certificate: &'a [u8],
    bot_score: &'a [u8],
    pub(crate) headers: Pairs<'a>,
}

impl<'a> Head<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Head<'a>> {
        let mut texts = Texts::new(bytes);
        Some(Head {
            method: texts.next()?,
            url: texts.next()?,
            protocol: texts.next()?,
            colo: texts.next()?,
            country: texts.next()?,
            asn: texts.next()?,
            tls_version: texts.next()?,
            tls_cipher: texts.next()?,
            certificate: texts.next()?,
            bot_score: texts.next()?,
            headers: texts.pairs(),
        })
    }

    /// Scheme, authority and target of its URL.
    pub(crate) fn target(&self) -> Option<Target<'a>> {
        let (scheme, rest) = match self.url.strip_prefix(b"https://") {
            Some(rest) => ("https", rest),
            None => ("http", self.url.strip_prefix(b"http://")?),
        };
        let at = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(at)?;
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        Some(Target {
            scheme,
            authority,
            path: parts.next().unwrap_or_default(),
            query: parts.next(),
        })
    }

    /// `1.0`, `1.1`, `2` or `3`; to a Worker that is not told, requests come by HTTP/1.1.
    pub(crate) fn http_version(&self) -> &'a str {
        match self.protocol {
            b"HTTP/3" => "3",
            b"HTTP/2" => "2",
            b"HTTP/1.0" => "1.0",
            _ => "1.1",
        }
    }
}

/// Where a request goes.
pub(crate) struct Target<'a> {
    pub(crate) scheme: &'static str,
    pub(crate) authority: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) query: Option<&'a [u8]>,
}

/// Beside all that begin with `cf-`. `x-forwarded-for` ends with the client's address: what the client itself said there cannot
/// be told any more. The last three are of the connection to the origin.
const OWN: [&[u8]; 8] = [
    b"cdn-loop",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"true-client-ip",
    b"connection",
    b"keep-alive",
    b"transfer-encoding",
];

/// Cloudflare or its connections add it to a message on its way.
pub(crate) fn is_cloudflares_own(name: &[u8]) -> bool {
    let prefix = name.get(..3).unwrap_or_default();
    prefix.eq_ignore_ascii_case(b"cf-") || OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// What an exchange's end needs of its request.
#[derive(Default)]
pub(crate) struct Edge {
    client: Option<SocketAddr>,
    attributes: Vec<(&'static str, String)>,
    tls_version: String,
    tls_cipher: String,
    certificate: bool,
}

impl Edge {
    pub(crate) fn of(head: &Head<'_>) -> Edge {
        let (mut v4, mut v6, mut ray) = (&b""[..], &b""[..], &b""[..]);
        for (name, value) in head.headers.clone() {
            match name {
                b"cf-connecting-ip" => v4 = value,
                // With Pseudo IPv4 the other one is made up.
                b"cf-connecting-ipv6" => v6 = value,
                b"cf-ray" => ray = value,
                _ => {}
            }
        }
        let client = [v6, v4].into_iter().find(|address| !address.is_empty());
        let client: Option<IpAddr> =
            client.and_then(|address| std::str::from_utf8(address).ok()?.trim().parse().ok());
        let attributes = [
            ("colo", head.colo),
            ("country", head.country),
            ("asn", head.asn),
            ("ray", ray),
            ("bot_score", head.bot_score),
        ];
        let known = attributes
            .into_iter()
            .filter(|(_, value)| !value.is_empty());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Edge {
            // Cloudflare does not say which port.
            client: client.map(|ip| SocketAddr::new(ip, 0)),
            attributes: known.map(|(name, value)| (name, text(value))).collect(),
            tls_version: text(head.tls_version),
            tls_cipher: text(head.tls_cipher),
            certificate: head.certificate == b"1",
        }
    }

    /// Calls `take` with the end of the exchange as the recorder wants it.
    pub(crate) fn end<R>(&self, take: impl FnOnce(End<'_>) -> R) -> R {
        let attributes: Vec<(&str, &str)> = self
            .attributes
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let tls = Tls {
            version: self.tls_version.trim_start_matches("TLSv"),
            cipher: &self.tls_cipher,
            client_certificate: self.certificate,
            ..Tls::default()
        };
        take(End {
            gateway: Gateway {
                attributes: &attributes,
                ..Gateway::default()
            },
            peers: Peers {
                client: self.client,
                server: None,
            },
            tls: (!self.tls_version.is_empty()).then_some(tls),
            ..End::default()
        })
    }
}
