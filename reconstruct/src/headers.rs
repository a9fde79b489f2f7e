//! Which headers and cookies are part of the API rather than of HTTP, of browsers or of proxies.
//!
//! In: an observation and the name of a header, or a cookie header. Out: whether it is a parameter or a response header of the
//! API, and what it is for. Credentials are [`crate::credentials`]' work.

use crate::class::Class;
use crate::credentials::{is_credential_header, is_session_cookie};
use crate::observation::Observation;

/// The cookies of a request that may mean something to the API: no credentials, and none that analytics, consent banners,
/// load balancers and bot checks set in every browser.
pub(crate) fn cookies(value: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    const OTHERS: [&str; 44] = [
        "_ga",
        "_gid",
        "_gat",
        "_gcl",
        "__ga",
        "_utm",
        "__utm",
        "_fb",
        "_hj",
        "_cl",
        "_uet",
        "_pin",
        "_tt",
        "_ym",
        "_pk_",
        "_hs",
        "__hs",
        "hubspot",
        "intercom",
        "ajs_",
        "amp_",
        "amplitude",
        "mp_",
        "mixpanel",
        "optimizely",
        "optanon",
        "onetrust",
        "cookie",
        "cc_",
        "consent",
        "gdpr",
        "eupubconsent",
        "_abck",
        "ak_",
        "bm_",
        "aws",
        "bigip",
        "cf_",
        "__cf",
        "datadome",
        "incap_",
        "visid_",
        "nlbi_",
        "__stripe",
    ];
    let text = std::str::from_utf8(value).unwrap_or("");
    text.split(';')
        .take(64)
        .filter_map(|c| c.split_once('='))
        .map(|(n, v)| (n.trim(), v.trim().trim_matches('"')))
        .filter(|(name, _)| {
            let lower = name.to_ascii_lowercase();
            !name.is_empty()
                && name.len() <= 64
                && is_token(name)
                && Class::of(name).is_none()
                && !is_session_cookie(name)
                && !["csrf", "xsrf", "affinity", "route"]
                    .iter()
                    .any(|w| lower.contains(w))
                && !OTHERS.iter().any(|o| lower.starts_with(o))
        })
}

/// Headers of HTTP itself, of browsers, of proxies and of tracing: no parameters, and, but for `authorization` and `cookie`, no
/// credentials of the API.
pub(crate) fn is_standard(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "user-agent"
            | "accept"
            | "accept-encoding"
            | "accept-charset"
            | "content-type"
            | "content-length"
            | "content-encoding"
            | "transfer-encoding"
            | "te"
            | "trailer"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "upgrade"
            | "upgrade-insecure-requests"
            | "expect"
            | "date"
            | "via"
            | "forwarded"
            | "authorization"
            | "cookie"
            | "origin"
            | "referer"
            | "cache-control"
            | "pragma"
            | "dnt"
            | "save-data"
            | "priority"
            | "max-forwards"
            | "from"
            | "http2-settings"
            | "early-data"
            | "alt-used"
            | "traceparent"
            | "tracestate"
            | "baggage"
            | "b3"
            | "x-request-id"
            | "x-correlation-id"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            | "x-requested-with"
            | "x-trace-id"
            | "x-request-start"
            | "x-amzn-trace-id"
            | "x-cloud-trace-context"
            | "cdn-loop"
            | "x-csrf-token"
            | "x-xsrf-token"
            | "x-purpose"
            | "purpose"
            | "x-moz"
            | "x-original-url"
            | "x-scheme"
    )
}

/// Whether a request header is a parameter of the API.
pub(crate) fn is_parameter(name: &str, o: &Observation<'_>) -> bool {
    const PREFIXES: [&str; 22] = [
        "sec-",
        "x-forwarded",
        "cf-",
        "x-b3-",
        "x-envoy-",
        "x-datadog-",
        "x-newrelic",
        "x-ot-span",
        "uber-trace",
        "proxy-",
        "access-control-",
        "x-kong-",
        "x-amz-cf-",
        "x-akamai",
        "fastly-",
        "x-vercel-id",
        "x-vercel-forwarded",
        "x-vercel-ip-",
        "x-vercel-deployment",
        "x-vercel-proxy",
        "x-original-",
        "x-silhouette",
    ];
    // A browser's cache and language settings send these by themselves; elsewhere somebody chose to.
    const CHOSEN: [&str; 6] = [
        "accept-language",
        "if-none-match",
        "if-modified-since",
        "range",
        "if-range",
        "if-unmodified-since",
    ];
    if name.is_empty()
        || name.starts_with(':')
        || is_standard(name)
        || PREFIXES.iter().any(|p| name.starts_with(p))
        || is_credential_header(name)
    {
        return false;
    }
    if CHOSEN.contains(&name) && is_browser(o) {
        return false;
    }
    is_token(name)
}

/// Whether a browser sent the request: it sends along what nobody chose for this call, every cookie of the site first.
pub(crate) fn is_browser(o: &Observation<'_>) -> bool {
    o.request.header("sec-fetch-mode").is_some()
        || o.request
            .text_header("user-agent")
            .is_some_and(|u| u.starts_with("Mozilla/"))
}

/// Headers of HTTP that say something of the answer.
fn is_standard_answer(name: &str) -> bool {
    matches!(
        name,
        "location"
            | "content-location"
            | "operation-location"
            | "retry-after"
            | "link"
            | "etag"
            | "last-modified"
            | "deprecation"
            | "sunset"
            | "www-authenticate"
            | "content-disposition"
            | "content-language"
            | "content-range"
            | "accept-ranges"
            | "allow"
            | "preference-applied"
            | "ratelimit"
            | "ratelimit-policy"
    )
}

/// Whether a response header belongs in a document.
pub(crate) fn is_response_header(name: &str) -> bool {
    is_standard_answer(name) || rate_limit(name).is_some() || paging(name).is_some()
}

/// The part of a rate limit's header that says what it counts: `limit`, `remaining`, `reset`, … (`RateLimit-Limit`,
/// `X-RateLimit-Remaining-Minute`, `X-Rate-Limit-Reset`).
pub(crate) fn rate_limit(name: &str) -> Option<&str> {
    let name = name.strip_prefix("x-").unwrap_or(name);
    ["ratelimit-", "rate-limit-"]
        .iter()
        .find_map(|p| name.strip_prefix(p))
}

/// The part of a header about pages and totals that says which: `total-count`, `page`, `next-page`, …
pub(crate) fn paging(name: &str) -> Option<&str> {
    let name = name.strip_prefix("x-")?;
    let plain = name
        .strip_prefix("pagination-")
        .or_else(|| name.strip_prefix("paging-"))
        .unwrap_or(name);
    let known = matches!(
        plain,
        "total"
            | "total-count"
            | "total-pages"
            | "total-results"
            | "totalresults"
            | "count"
            | "pages"
            | "page-count"
            | "page"
            | "current-page"
            | "per-page"
            | "perpage"
            | "page-size"
            | "next"
            | "next-page"
            | "prev-page"
            | "previous-page"
            | "cursor"
            | "next-cursor"
            | "next-token"
            | "has-more"
    );
    (known || plain.len() < name.len() || name == "pagination").then_some(plain)
}

/// A field name of RFC 9110, 5.1.
pub(crate) fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::credentials;
    use crate::observation::{Body, Message};

    fn check(
        headers: &[(&'static str, &'static str)],
        query: Option<&str>,
        credentials_expected: &[&str],
        parameters: &[&str],
    ) {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let o = Observation {
            unix_millis: 0,
            duration_micros: None,
            shim: "test",
            scheme: "https",
            method: "GET",
            path: "/",
            query,
            request: Message {
                headers: &headers,
                body: Body::default(),
            },
            status: 200,
            response: Message::default(),
            client_certificate: false,
        };
        assert_eq!(credentials(&o), credentials_expected);
        let got: Vec<&str> = headers
            .iter()
            .map(|(n, _)| *n)
            .filter(|n| is_parameter(n, &o))
            .collect();
        assert_eq!(got, parameters);
    }

    #[test]
    fn credentials_are_told_by_kind() {
        check(
            &[(
                "authorization",
                "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOjF9.c2ln",
            )],
            None,
            &["bearer:jwt"],
            &[],
        );
        check(
            &[("authorization", "Bearer 2YotnFZFEjr1zCsicMWpAA")],
            None,
            &["bearer"],
            &[],
        );
        check(
            &[("authorization", "basic dTpw")],
            None,
            &["http:basic"],
            &[],
        );
        check(
            &[("authorization", "zzz")],
            None,
            &["header:authorization"],
            &[],
        );
        check(
            &[("authorization", "Negotiate YII=")],
            None,
            &["http:negotiate"],
            &[],
        );
        check(
            &[
                ("x-store-key", "k"),
                ("x-shop-api-secret", "s"),
                ("x-idempotency-key", "1"),
                ("x-next-token", "t"),
                ("sec-websocket-key", "w"),
                ("x-auth", "a"),
            ],
            None,
            &[
                "header:x-auth",
                "header:x-shop-api-secret",
                "header:x-store-key",
            ],
            &["x-store-key", "x-idempotency-key", "x-next-token"],
        );
        check(
            &[("x-api-key", "k"), ("cookie", "theme=dark; sessionid=1")],
            Some("api_key=1&page_token=2"),
            &["cookie:sessionid", "header:x-api-key", "query:api_key"],
            &[],
        );
    }

    #[test]
    fn only_headers_of_the_api_are_parameters() {
        check(
            &[
                ("host", "a"),
                ("x-tenant", "b"),
                ("sec-fetch-mode", "cors"),
                ("if-none-match", "e"),
                ("idempotency-key", "1"),
                ("x-forwarded-for", "::1"),
            ],
            None,
            &[],
            &["x-tenant", "idempotency-key"],
        );
        check(
            &[
                ("if-match", "e"),
                ("if-none-match", "e"),
                ("accept-language", "de"),
            ],
            None,
            &[],
            &["if-match", "if-none-match", "accept-language"],
        );
    }

    #[test]
    fn cookies_of_the_api_are_told_from_those_of_browsers() {
        let text = "theme=dark; _ga=GA1.2; sid=abc; csrftoken=x; region=\"eu\"; AWSALB=1; =x; 5f2b9a647c1d4e8b9a550c8e=1; broken";
        let got: Vec<_> = cookies(text.as_bytes()).collect();
        assert_eq!(got, [("theme", "dark"), ("region", "eu")]);
        assert_eq!(cookies(b"\xff=1").count(), 0);
    }

    #[test]
    fn response_headers_of_the_api_are_told_from_the_rest() {
        for name in [
            "location",
            "x-ratelimit-remaining-minute",
            "ratelimit-limit",
            "x-rate-limit-reset",
            "x-total-count",
            "x-pagination-offset",
            "sunset",
            "link",
        ] {
            assert!(is_response_header(name), "{name}");
        }
        for name in [
            "date",
            "server",
            "x-powered-by",
            "cf-ray",
            "x-total-eclipse",
            "content-type",
            "x-request-id",
        ] {
            assert!(!is_response_header(name), "{name}");
        }
    }
}
