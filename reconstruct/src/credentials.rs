//! What a request authenticates with.
//!
//! In: an observation, or the name of a header, a query parameter or a cookie. Out: kinds and names of credentials, grants and
//! scopes that a token endpoint was asked for. A credential itself is never returned.

use crate::body;
use crate::class::Class;
use crate::headers::{is_standard, is_token};
use crate::observation::Observation;

/// Credentials by kind: `bearer`, `bearer:jwt`, `http:basic` and other registered schemes, `header:x-api-key`,
/// `query:api_key`, `cookie:sid`, `mtls`. Sorted, each once.
pub(crate) fn credentials(o: &Observation<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for (name, value) in o.request.headers {
        if *name == "authorization" {
            out.push(authorization(value));
        } else if *name == "cookie" {
            let text = String::from_utf8_lossy(value);
            let sessions = text
                .split(';')
                .filter_map(|c| c.split_once('='))
                .map(|(n, _)| n.trim())
                .filter(|n| is_session_cookie(n) && is_token(n));
            out.extend(sessions.map(|n| format!("cookie:{n}")));
        } else if !is_standard(name)
            && (is_credential_header(name) || may_be_credential(name))
            && is_token(name)
        {
            out.push(format!("header:{name}"));
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

/// Whether [`squeezed`] would end so: most names do not, and every call carries a dozen of them.
fn ends(name: &str, suffix: &str) -> bool {
    let mut left = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
    suffix
        .bytes()
        .rev()
        .all(|s| left.next().is_some_and(|b| b.eq_ignore_ascii_case(&s)))
}

/// Whether a header of this name is a credential wherever it is sent.
pub(crate) fn is_credential_header(name: &str) -> bool {
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
    const WHOLE: [&str; 7] = [
        "xtoken",
        "token",
        "xauth",
        "xauthorization",
        "xaccesskey",
        "xsecretkey",
        "xsessionid",
    ];
    if !KINDS.iter().chain(&WHOLE).any(|k| ends(name, k)) {
        return false;
    }
    let n = squeezed(name);
    let csrf = n.contains("csrf") || n.contains("xsrf");
    !csrf && (KINDS.iter().any(|k| n.ends_with(k)) || WHOLE.contains(&n.as_str()))
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
    KINDS.iter().any(|k| ends(name, k))
        && !name.starts_with("sec-")
        && !is_credential_header(name)
        && !OTHERS.iter().any(|o| name.contains(o))
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

pub(crate) fn is_session_cookie(name: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Body, Message};

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
}
