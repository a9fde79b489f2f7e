//! Which headers, query names and cookies mean what.
//!
//! In: an observation. Out: the credentials it carries by kind, and which of its headers are part of the API rather than of
//! HTTP, of browsers or of proxies. Values are never returned.

use crate::body;
use crate::observation::Observation;

/// Credentials by kind: `bearer`, `bearer:jwt`, `basic`, `digest`, `header:x-api-key`, `query:api_key`, `cookie:sid`, `mtls`.
pub(crate) fn credentials(o: &Observation<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for (name, value) in o.request.headers {
        if *name == "authorization" {
            out.push(authorization(value));
        } else if is_credential_header(name) {
            out.push(format!("header:{name}"));
        } else if *name == "cookie" {
            let text = String::from_utf8_lossy(value);
            let sessions = text
                .split(';')
                .filter_map(|c| c.split_once('='))
                .map(|(n, _)| n.trim().to_owned())
                .filter(|n| is_session_cookie(n));
            out.extend(sessions.map(|n| format!("cookie:{n}")));
        }
    }
    if let Some(query) = o.query {
        out.extend(
            body::pairs(query)
                .take(512)
                .filter(|(n, _)| is_query_credential(n))
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

fn authorization(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" if is_jwt(rest.trim()) => "bearer:jwt".into(),
        "bearer" => "bearer".into(),
        "basic" => "basic".into(),
        "digest" => "digest".into(),
        _ => "header:authorization".into(),
    }
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

fn is_credential_header(name: &str) -> bool {
    let n = squeezed(name);
    let csrf = n.contains("csrf") || n.contains("xsrf");
    !csrf
        && (n.ends_with("apikey")
            || n.ends_with("accesstoken")
            || n.ends_with("authtoken")
            || n.ends_with("sessiontoken")
            || n.ends_with("securitytoken")
            || n.ends_with("subscriptionkey")
            || n.ends_with("appkey")
            || n.ends_with("apitoken")
            || n.ends_with("privatetoken")
            || n.ends_with("authkey")
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
    const PREFIXES: [&str; 18] = [
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
        "x-vercel-",
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
    if CHOSEN.contains(&name)
        && (o.request.header("sec-fetch-mode").is_some()
            || o.request
                .text_header("user-agent")
                .is_some_and(|u| u.starts_with("Mozilla/")))
    {
        return false;
    }
    is_token(name)
}

/// Whether a response header belongs in a document.
pub(crate) fn is_response_header(name: &str) -> bool {
    matches!(
        name,
        "location"
            | "retry-after"
            | "link"
            | "etag"
            | "deprecation"
            | "sunset"
            | "www-authenticate"
            | "content-disposition"
            | "x-total-count"
            | "x-total-pages"
            | "x-next-page"
            | "x-page"
            | "x-per-page"
    ) || name.starts_with("x-ratelimit-")
        || name.starts_with("ratelimit")
        || name.starts_with("x-rate-limit-")
        || name.starts_with("x-pagination")
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
        check(&[("authorization", "basic dTpw")], None, &["basic"], &[]);
        check(
            &[("authorization", "zzz")],
            None,
            &["header:authorization"],
            &[],
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
}
