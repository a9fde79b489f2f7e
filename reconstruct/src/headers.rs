//! Which headers, query names and cookies mean what.
//!
//! In: an observation. Out: the credentials it carries by kind, and which of its headers are part of the API rather than of
//! HTTP, of browsers or of proxies. Values are never returned.

use crate::body;
use crate::class::Class;
use crate::observation::Observation;

/// Credentials by kind: `bearer`, `bearer:jwt`, `http:basic` and other registered schemes, `header:x-api-key`,
/// `query:api_key`, `cookie:sid`, `mtls`. Sorted, each once.
pub(crate) fn credentials(o: &Observation<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for (name, value) in o.request.headers {
        if *name == "authorization" {
            out.push(authorization(value));
        } else if (is_credential_header(name) || may_be_credential(name)) && is_token(name) {
            out.push(format!("header:{name}"));
        } else if *name == "cookie" {
            let text = String::from_utf8_lossy(value);
            let sessions = text
                .split(';')
                .filter_map(|c| c.split_once('='))
                .map(|(n, _)| n.trim())
                .filter(|n| is_session_cookie(n) && is_token(n));
            out.extend(sessions.map(|n| format!("cookie:{n}")));
        }
    }
    if let Some(query) = o.query {
        out.extend(
            body::pairs(query)
                .take(512)
                .filter(|(n, _)| is_query_credential(n) && !n.contains(char::is_control))
                .map(|(n, _)| format!("query:{n}")),
        );
    }
    if o.client_certificate {
        out.push("mtls".into());
    }
    out.sort();
    out.dedup();
    out
}

/// The authentication schemes registered with IANA that no other kind stands for.
const SCHEMES: [&str; 12] = [
    "basic",
    "concealed",
    "digest",
    "dpop",
    "gnap",
    "hoba",
    "mutual",
    "negotiate",
    "privatetoken",
    "scram-sha-1",
    "scram-sha-256",
    "vapid",
];

fn authorization(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" if is_jwt(rest.trim()) => "bearer:jwt".into(),
        "bearer" => "bearer".into(),
        s if SCHEMES.contains(&s) => format!("http:{s}"),
        _ => "header:authorization".into(),
    }
}

/// What a successful call of an OAuth 2 token endpoint (RFC 6749, 3.2: a POST of a form with `grant_type`) asked for:
/// `grant:client_credentials`, `scope:read`. Extension grants are URIs and known as such.
pub(crate) fn grants(o: &Observation<'_>) -> Vec<String> {
    if o.method != "POST"
        || !(200..300).contains(&o.status)
        || o.request.media_type() != "application/x-www-form-urlencoded"
    {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(o.request.body.bytes) else {
        return Vec::new();
    };
    let field = |name: &str| {
        body::pairs(text)
            .take(64)
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.into_owned())
    };
    let Some(grant) = field("grant_type").filter(|g| g.len() <= 96 && is_scope(g)) else {
        return Vec::new();
    };
    let scopes = field("scope").unwrap_or_default();
    let words = scopes.split(' ').filter(|s| s.len() <= 64 && is_scope(s));
    std::iter::once(format!("grant:{grant}"))
        .chain(words.take(32).map(|s| format!("scope:{s}")))
        .collect()
}

/// A name somebody chose: letters with joints, and at most versions in it.
fn is_scope(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:/*".contains(&b))
        && text
            .split([':', '/', '.'])
            .all(|w| w.is_empty() || w.len() <= 3 || Class::of(w).is_none())
}

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

/// Three base64url parts, the first of which starts a JSON object (RFC 7519, 3.1).
fn is_jwt(text: &str) -> bool {
    text.starts_with("ey")
        && text.split('.').count() == 3
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.=".contains(&b))
}

fn squeezed(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .collect::<String>()
        .to_ascii_lowercase()
}

/// Whether a header of this name is a credential wherever it is sent.
fn is_credential_header(name: &str) -> bool {
    let n = squeezed(name);
    let csrf = n.contains("csrf") || n.contains("xsrf");
    const KINDS: [&str; 11] = [
        "apikey",
        "accesstoken",
        "authtoken",
        "sessiontoken",
        "securitytoken",
        "subscriptionkey",
        "appkey",
        "apitoken",
        "privatetoken",
        "authkey",
        "apisecret",
    ];
    !csrf
        && (KINDS.iter().any(|k| n.ends_with(k))
            || matches!(
                n.as_str(),
                "xtoken"
                    | "token"
                    | "xauth"
                    | "xauthorization"
                    | "xaccesskey"
                    | "xsecretkey"
                    | "xsessionid"
            ))
}

/// Whether a header of this name may be a credential or a parameter (`x-store-key`, `x-object-key`): which one is decided when
/// a document is emitted, by how many of the host's operations calls carry it to. Most published descriptions that have
/// headers of such names declare them as security schemes; the words excepted are what the others mean.
pub(crate) fn may_be_credential(name: &str) -> bool {
    const KINDS: [&str; 9] = [
        "key",
        "token",
        "secret",
        "jwt",
        "password",
        "credential",
        "credentials",
        "authorization",
        "sessionid",
    ];
    const OTHERS: [&str; 27] = [
        "csrf",
        "xsrf",
        "idempot",
        "client-token",
        "client-request",
        "next",
        "page",
        "cursor",
        "continuation",
        "sync",
        "encryption",
        "kms",
        "lock",
        "captcha",
        "device",
        "push",
        "fcm",
        "public",
        "routing",
        "partition",
        "surrogate",
        "cache",
        "sort",
        "object",
        "share",
        "upload",
        "proxy-",
    ];
    let n = squeezed(name);
    !name.starts_with("sec-")
        && !is_credential_header(name)
        && !OTHERS.iter().any(|o| name.contains(o))
        && KINDS.iter().any(|k| n.ends_with(k))
}

/// Names that carry a credential in a query. A bare `token` may as well confirm an address or continue a list: a parameter.
pub(crate) fn is_query_credential(name: &str) -> bool {
    matches!(
        squeezed(name).as_str(),
        "apikey"
            | "accesstoken"
            | "authtoken"
            | "apitoken"
            | "appkey"
            | "subscriptionkey"
            | "jwt"
            | "authkey"
            | "sessiontoken"
            | "privatetoken"
            | "userkey"
            | "accesskey"
            | "secretkey"
            | "apisecret"
            | "oauthtoken"
            | "hapikey"
    )
}

fn is_session_cookie(name: &str) -> bool {
    let n = squeezed(name);
    let counter = n.starts_with("ga") || n.contains("csrf") || n.contains("xsrf");
    !counter
        && (n.contains("session")
            || n.contains("sess") && n.ends_with("id")
            || n.ends_with("sid")
            || n.contains("auth")
            || n.contains("token")
            || n.contains("jwt")
            || n == "connectsid")
        && name.len() <= 64
}

/// Whether a request header is a parameter of the API.
pub(crate) fn is_parameter(name: &str, o: &Observation<'_>) -> bool {
    const STANDARD: [&str; 58] = [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "accept-charset",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "te",
        "trailer",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "upgrade-insecure-requests",
        "expect",
        "date",
        "via",
        "forwarded",
        "authorization",
        "cookie",
        "origin",
        "referer",
        "cache-control",
        "pragma",
        "dnt",
        "save-data",
        "priority",
        "max-forwards",
        "from",
        "http2-settings",
        "early-data",
        "alt-used",
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-request-id",
        "x-correlation-id",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "x-requested-with",
        "x-trace-id",
        "x-request-start",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "cdn-loop",
        "x-csrf-token",
        "x-xsrf-token",
        "x-purpose",
        "purpose",
        "x-moz",
        "x-original-url",
        "x-scheme",
    ];
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
        || STANDARD.contains(&name)
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

/// Whether a response header belongs in a document.
pub(crate) fn is_response_header(name: &str) -> bool {
    const STANDARD: [&str; 18] = [
        "location",
        "content-location",
        "operation-location",
        "retry-after",
        "link",
        "etag",
        "last-modified",
        "deprecation",
        "sunset",
        "www-authenticate",
        "content-disposition",
        "content-language",
        "content-range",
        "accept-ranges",
        "allow",
        "preference-applied",
        "ratelimit",
        "ratelimit-policy",
    ];
    STANDARD.contains(&name) || rate_limit(name).is_some() || paging(name).is_some()
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
fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn token_endpoints_tell_their_grants() {
        let check = |method: &str, media: &str, body: &str, status: u16, expected: &[&str]| {
            let headers = [("content-type", media.as_bytes())];
            let o = Observation {
                unix_millis: 0,
                duration_micros: None,
                shim: "test",
                scheme: "https",
                method,
                path: "/oauth/token",
                query: None,
                request: Message {
                    headers: &headers,
                    body: Body::whole(body.as_bytes()),
                },
                status,
                response: Message::default(),
                client_certificate: false,
            };
            assert_eq!(grants(&o), expected, "{body}");
        };
        let form = "application/x-www-form-urlencoded";
        check(
            "POST",
            form,
            "grant_type=client_credentials&scope=read:users+write",
            200,
            &[
                "grant:client_credentials",
                "scope:read:users",
                "scope:write",
            ],
        );
        check(
            "POST",
            form,
            "scope=a+5f2b9a647c1d4e8b9a550c8e&grant_type=password&password=x",
            200,
            &["grant:password", "scope:a"],
        );
        check("POST", form, "grant_type=password", 400, &[]);
        check("GET", form, "grant_type=password", 200, &[]);
        check("POST", "application/json", "grant_type=password", 200, &[]);
        check("POST", form, "a=b", 200, &[]);
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
