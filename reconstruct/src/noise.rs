//! What on a host is no API call: counted by reason, left out of every document.
//!
//! In: one observation. Out: the reason to leave it out, or none, and whether its place may prove it wrong. It looks at one
//! exchange alone; what only shows over many (paths that never succeed, pictures below a value of the API) is decided when
//! a document is emitted.

use crate::observation::Observation;
use serde::{Deserialize, Serialize};

/// Why an exchange is no API call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Noise {
    /// A CORS preflight (Fetch standard, 4.8): `OPTIONS` with `access-control-request-method`.
    Preflight,
    /// The same resource under its canonical name: trailing slash, scheme, host, case.
    Redirect,
    /// Script, style, font, picture, or a file every web site has.
    StaticAsset,
    /// An HTML page fetched with GET or HEAD.
    Page,
    /// A gateway's own 502, 503 or 504 page.
    GatewayError,
    /// `CONNECT`, `TRACE`, or a method OpenAPI has no place for.
    Method,
    /// gRPC: described by its own protocol files, not by OpenAPI.
    Grpc,
    /// No HTTP status between 100 and 599, or a path that does not start with `/`.
    Malformed,
}

impl Noise {
    /// Every reason, in the order they are reported.
    pub const ALL: [Noise; 8] = [
        Noise::Preflight,
        Noise::Redirect,
        Noise::StaticAsset,
        Noise::Page,
        Noise::GatewayError,
        Noise::Method,
        Noise::Grpc,
        Noise::Malformed,
    ];

    /// The reason's name in metrics and summaries.
    pub fn as_str(self) -> &'static str {
        match self {
            Noise::Preflight => "preflight",
            Noise::Redirect => "redirect",
            Noise::StaticAsset => "static_asset",
            Noise::Page => "page",
            Noise::GatewayError => "gateway_error",
            Noise::Method => "method",
            Noise::Grpc => "grpc",
            Noise::Malformed => "malformed",
        }
    }

    /// One exchange of this kind, in words.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Noise::Preflight => "preflight",
            Noise::Redirect => "redirect",
            Noise::StaticAsset => "static asset",
            Noise::Page => "page",
            Noise::GatewayError => "gateway error",
            Noise::Method => "unusual method",
            Noise::Grpc => "gRPC call",
            Noise::Malformed => "malformed exchange",
        }
    }

    pub(crate) fn of(o: &Observation<'_>) -> Option<Noise> {
        if !(100..=599).contains(&o.status) || !o.path.starts_with('/') {
            return Some(Noise::Malformed);
        }
        if !matches!(
            o.method,
            "GET" | "PUT" | "POST" | "DELETE" | "OPTIONS" | "HEAD" | "PATCH"
        ) {
            return Some(Noise::Method);
        }
        if o.method == "OPTIONS" && o.request.header("access-control-request-method").is_some() {
            return Some(Noise::Preflight);
        }
        let media = o.response.media_type();
        if is_grpc(&media) || is_grpc(&o.request.media_type()) {
            return Some(Noise::Grpc);
        }
        if matches!(o.status, 502..=504) && matches!(&*media, "text/html" | "text/plain") {
            return Some(Noise::GatewayError);
        }
        if matches!(o.status, 301 | 302 | 303 | 307 | 308)
            && o.response
                .text_header("location")
                .is_some_and(|l| is_canonical(o.path, l))
        {
            return Some(Noise::Redirect);
        }
        if matches!(o.method, "GET" | "HEAD") && (o.status < 400) {
            let last = o.path.rsplit('/').next().unwrap_or("").to_ascii_lowercase();
            if is_site_file(&last, o.path) {
                return Some(Noise::StaticAsset);
            }
            if is_page(&media) {
                return Some(Noise::Page);
            }
            if is_asset(&media, &last) {
                return Some(Noise::StaticAsset);
            }
        }
        None
    }

    /// Whether an exchange left out for this reason may be a call of an API after all, if only it stands where one does: a
    /// picture, or a page that nobody looked at in a browser. Scripts, styles and fonts never are.
    pub(crate) fn is_doubtful(self, o: &Observation<'_>) -> bool {
        let header = |name| o.request.text_header(name).unwrap_or_default();
        match self {
            Noise::Page => {
                // What browsers send when they open a page (Fetch Metadata, 2.2) and what they ask for (Fetch, 4.1).
                let looked_at = header("sec-fetch-mode") == "navigate"
                    || header("accept").trim_start().starts_with("text/html");
                !looked_at
            }
            Noise::StaticAsset => {
                let last = o.path.rsplit('/').next().unwrap_or("").to_ascii_lowercase();
                let extension = last.rsplit_once('.').map_or("", |(_, e)| e);
                !is_site_file(&last, o.path)
                    && !is_code(&o.response.media_type())
                    && !CODE.contains(&extension)
            }
            _ => false,
        }
    }

    /// The reason for which answers of this media type are left out.
    pub(crate) fn of_media(media: &str) -> Noise {
        if is_page(media) {
            Noise::Page
        } else {
            Noise::StaticAsset
        }
    }
}

fn is_page(media: &str) -> bool {
    matches!(media, "text/html" | "application/xhtml+xml")
}

/// Whether only browsers run it, or draw with it.
fn is_code(media: &str) -> bool {
    matches!(
        media,
        "text/css"
            | "text/javascript"
            | "application/javascript"
            | "application/x-javascript"
            | "application/manifest+json"
    ) || media.starts_with("font/")
        || media.starts_with("application/font")
        || media.starts_with("application/x-font")
}

/// Ends of names of what only browsers run or draw with.
const CODE: [&str; 11] = [
    "js",
    "mjs",
    "css",
    "map",
    "ico",
    "woff",
    "woff2",
    "ttf",
    "otf",
    "eot",
    "webmanifest",
];

/// gRPC-Web is called by browsers like any other API.
fn is_grpc(media: &str) -> bool {
    media
        .strip_prefix("application/grpc")
        .is_some_and(|rest| !rest.starts_with("-web"))
}

/// Whether `location` is the same path spelt canonically.
fn is_canonical(path: &str, location: &str) -> bool {
    let target = match location.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => location,
    };
    let target = target.split(['?', '#']).next().unwrap_or("");
    target
        .trim_end_matches('/')
        .eq_ignore_ascii_case(path.trim_end_matches('/'))
}

fn is_site_file(last: &str, path: &str) -> bool {
    matches!(
        last,
        "robots.txt"
            | "favicon.ico"
            | "sitemap.xml"
            | "ads.txt"
            | "app-ads.txt"
            | "humans.txt"
            | "security.txt"
            | "manifest.json"
            | "browserconfig.xml"
            | "crossdomain.xml"
            | "service-worker.js"
            | "sw.js"
    ) && (path.matches('/').count() == 1 || path.starts_with("/.well-known/"))
}

fn is_asset(media: &str, last: &str) -> bool {
    const EXTENSIONS: [&str; 26] = [
        "js",
        "mjs",
        "css",
        "map",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "ico",
        "webp",
        "avif",
        "bmp",
        "woff",
        "woff2",
        "ttf",
        "otf",
        "eot",
        "mp4",
        "webm",
        "mp3",
        "wasm",
        "webmanifest",
        "html",
        "htm",
        "swf",
    ];
    let extension = last.rsplit_once('.').map_or("", |(_, e)| e);
    let by_name = EXTENSIONS.contains(&extension);
    match media {
        _ if is_code(media) => true,
        // An API may well answer with a picture (`/users/42/avatar`); a file's name says that it is a file.
        _ if media.starts_with("image/")
            || media.starts_with("video/")
            || media.starts_with("audio/") =>
        {
            by_name
        }
        "" | "text/plain" | "application/octet-stream" | "application/wasm" => by_name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Body, Message};

    fn check(
        method: &str,
        path: &str,
        status: u16,
        request: &[(&str, &str)],
        response: &[(&str, &str)],
        expected: Option<Noise>,
    ) {
        let bytes = |h: &[(&'static str, &'static str)]| {
            h.iter()
                .map(|(n, v)| (*n, v.as_bytes()))
                .collect::<Vec<_>>()
        };
        let leak = |h: &[(&str, &str)]| -> Vec<(&'static str, &'static str)> {
            h.iter()
                .map(|(n, v)| (&*n.to_string().leak(), &*v.to_string().leak()))
                .collect()
        };
        let (rq, rs) = (bytes(&leak(request)), bytes(&leak(response)));
        let o = Observation {
            unix_millis: 0,
            duration_micros: None,
            shim: "test",
            scheme: "https",
            method,
            path,
            query: None,
            request: Message {
                headers: &rq,
                body: Body::default(),
            },
            status,
            response: Message {
                headers: &rs,
                body: Body::default(),
            },
            client_certificate: false,
        };
        assert_eq!(Noise::of(&o), expected, "{method} {path} {status}");
    }

    #[test]
    fn api_calls_are_told_from_the_rest() {
        let json = [("content-type", "application/json; charset=utf-8")];
        let html = [("content-type", "text/html; charset=utf-8")];
        check("GET", "/books", 200, &[], &json, None);
        check("GET", "/", 200, &[], &html, Some(Noise::Page));
        check("POST", "/pages", 200, &[], &html, None);
        check(
            "GET",
            "/app.3f2a.js",
            200,
            &[],
            &[("content-type", "application/javascript")],
            Some(Noise::StaticAsset),
        );
        check(
            "GET",
            "/users/42/avatar",
            200,
            &[],
            &[("content-type", "image/png")],
            None,
        );
        check(
            "GET",
            "/logo.png",
            200,
            &[],
            &[("content-type", "image/png")],
            Some(Noise::StaticAsset),
        );
        check(
            "GET",
            "/robots.txt",
            200,
            &[],
            &[("content-type", "text/plain")],
            Some(Noise::StaticAsset),
        );
        check("GET", "/files/report.json", 200, &[], &json, None);
        check(
            "OPTIONS",
            "/books",
            204,
            &[("access-control-request-method", "GET")],
            &[],
            Some(Noise::Preflight),
        );
        check("OPTIONS", "/books", 200, &[], &json, None);
        check(
            "GET",
            "/books/",
            301,
            &[],
            &[("location", "https://shop.test/books")],
            Some(Noise::Redirect),
        );
        check("POST", "/login", 302, &[], &[("location", "/home")], None);
        check("GET", "/books", 502, &[], &html, Some(Noise::GatewayError));
        check("GET", "/books", 503, &[], &json, None);
        check("TRACE", "/", 200, &[], &[], Some(Noise::Method));
        check(
            "CONNECT",
            "example.com:443",
            200,
            &[],
            &[],
            Some(Noise::Malformed),
        );
        check(
            "POST",
            "/pkg.Service/Call",
            200,
            &[("content-type", "application/grpc")],
            &[],
            Some(Noise::Grpc),
        );
        check(
            "POST",
            "/pkg.Service/Call",
            200,
            &[("content-type", "application/grpc-web+proto")],
            &[("content-type", "application/grpc-web+proto")],
            None,
        );
        check("GET", "/x", 0, &[], &[], Some(Noise::Malformed));
    }
}
