//! Whether a request that changes something comes from these pages.
//!
//! In: headers that browsers set and scripts of other sites cannot (Fetch Metadata, `Origin`). Out: yes or no. The token in every form is
//! checked as well; either alone would do.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// `public`: the origin under which the catalog is known, behind proxies that change `Host`.
pub(super) fn is_own(headers: &HeaderMap, public: Option<&url::Url>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key("sec-fetch-site") {
        // `none`: the person's own doing, such as sending a form again after a restart of the browser.
        return matches!(text("sec-fetch-site"), Some("same-origin" | "none"));
    }
    if !headers.contains_key(ORIGIN) {
        // Not a browser of today: the token decides.
        return true;
    }
    let Some(origin) = text(ORIGIN.as_str()).and_then(|text| url::Url::parse(text).ok()) else {
        return false;
    };
    if public.is_some_and(|public| public.origin() == origin.origin()) {
        return true;
    }
    let Some(host) = text(HOST.as_str()) else {
        return false;
    };
    url::Url::parse(&format!("{}://{host}/", origin.scheme()))
        .is_ok_and(|own| own.origin() == origin.origin())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn other_sites_are_told_apart() {
        let check = |given: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            let public = url::Url::parse("https://catalog.example.com/").unwrap();
            assert_eq!(is_own(&headers, Some(&public)), expected, "{given:?}");
        };
        check(&[], true);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("host", "a:1"), ("origin", "http://a:1")], true);
        check(&[("host", "a:1"), ("origin", "http://a:2")], false);
        check(&[("host", "a"), ("origin", "null")], false);
        check(
            &[("host", "inner"), ("origin", "https://catalog.example.com")],
            true,
        );
        check(
            &[
                ("host", "a"),
                ("origin", "https://catalog.example.com.evil.example"),
            ],
            false,
        );
    }
}
