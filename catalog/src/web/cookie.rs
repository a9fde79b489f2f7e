//! Cookies: read from a request, written into an answer.
//!
//! All are HttpOnly, SameSite=Lax and for the whole site; behind https they have the prefix `__Host-` and Secure (RFC 6265bis, 4.1.3),
//! so that no other host of the domain can set them.

use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The session's secret.
pub(super) const SESSION: &str = "silhouette-session";
/// What the form to sign in must carry.
pub(super) const DOOR: &str = "silhouette-door";
/// What was just done.
pub(super) const FLASH: &str = "silhouette-flash";
/// Light or dark.
pub(super) const THEME: &str = "silhouette-theme";

fn full(name: &str, https: bool) -> String {
    if https {
        format!("__Host-{name}")
    } else {
        name.to_owned()
    }
}

/// The value of a cookie, when there is exactly one of the name.
pub(super) fn get(headers: &HeaderMap, name: &str, https: bool) -> Option<String> {
    let name = full(name, https);
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned());
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

/// `Set-Cookie` that keeps a value: for so long, or until the browser is closed.
pub(super) fn set(name: &str, value: &str, keep: Option<Duration>, https: bool) -> HeaderValue {
    let mut text = format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Lax",
        full(name, https)
    );
    if let Some(keep) = keep {
        text.push_str("; Max-Age=");
        text.push_str(&keep.as_secs().to_string());
    }
    if https {
        text.push_str("; Secure");
    }
    // Values are made here of characters a cookie may have.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// `Set-Cookie` that forgets it.
pub(super) fn forget(name: &str, https: bool) -> HeaderValue {
    set(name, "", Some(Duration::ZERO), https)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_a_doubled_one_is_not_believed() {
        let check = |line: &'static str, https: bool, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static(line));
            assert_eq!(get(&headers, "a", https).as_deref(), expected, "{line}");
        };
        check("x=1; a=2; b=3", false, Some("2"));
        check("a=2; a=3", false, None);
        check("aa=2", false, None);
        check("a=2", true, None);
        check("__Host-a=2", true, Some("2"));
    }

    #[test]
    fn cookies_are_bound_to_the_site() {
        let plain = set("a", "b", None, false);
        assert_eq!(plain, "a=b; Path=/; HttpOnly; SameSite=Lax");
        let secure = forget("a", true);
        assert_eq!(
            secure,
            "__Host-a=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"
        );
    }
}
