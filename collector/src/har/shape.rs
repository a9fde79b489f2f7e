//! Says what a file is when it is not a HAR: in, its first bytes or its top-level keys; out, words for a message.

/// What is known by its first bytes, and what to do about it (led by a separator).
pub(super) fn of_bytes(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const UTF16: (&str, &str) = (
        "UTF-16 text",
        "; save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8",
    );
    let known: [(&[u8], (&str, &str)); 9] = [
        (b"\xff\xfe", UTF16),
        (b"\xfe\xff", UTF16),
        (b"{\0", UTF16),
        (b"\0{", UTF16),
        (b"PK\x03\x04", ("a ZIP archive", "; unpack it first")),
        (
            b"\x28\xb5\x2f\xfd",
            (
                "zstd-compressed",
                "; unpack it first, e.g. zstdcat FILE | silhouette-collector learn -",
            ),
        ),
        (
            b"BZh",
            (
                "bzip2-compressed",
                "; unpack it first, e.g. bzcat FILE | silhouette-collector learn -",
            ),
        ),
        (
            b"\xfd7zXZ",
            (
                "xz-compressed",
                "; unpack it first, e.g. xzcat FILE | silhouette-collector learn -",
            ),
        ),
        (
            b"\xd4\xc3\xb2\xa1",
            (
                "a packet capture",
                "; captures of packets have no decrypted exchanges",
            ),
        ),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(*what);
    }
    // mitmproxy's own format is a sequence of netstrings: "1234:…".
    let digits = head.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if (1..10).contains(&digits) && head.get(digits) == Some(&b':') {
        return Some((
            "a mitmproxy flow file",
            "; convert it: mitmdump -nr FLOWS --set hardump=traffic.har",
        ));
    }
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    if text.first() == Some(&b'<') {
        let lower = text
            .get(..text.len().min(512))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let html = [b"<!doctype html".as_slice(), b"<html"]
            .iter()
            .any(|tag| contains(&lower, tag));
        return Some(if html {
            (
                "an HTML page",
                "; was it saved from a page that asks to sign in?",
            )
        } else {
            ("XML", "; Charles and Burp can export HAR instead")
        });
    }
    if text.starts_with(b"openapi:") || text.starts_with(b"swagger:") {
        return Some(("an OpenAPI description in YAML", "; learning needs traffic"));
    }
    None
}

/// What text that is no JSON object is, by its first byte.
pub(super) fn of_first_byte(first: u8) -> &'static str {
    match first {
        b'[' => "a JSON array",
        b'"' => "a JSON string",
        b'-' | b'0'..=b'9' => "a number or other text",
        b't' | b'f' | b'n' => "text, and no JSON object",
        byte if byte.is_ascii_graphic() => "text, and no JSON",
        _ => "binary data",
    }
}

/// What a JSON object without `log` is, by its keys.
pub(super) fn of_keys(keys: &[String]) -> (String, &'static str) {
    let has = |name: &str| keys.iter().any(|key| key == name);
    if has("openapi") || has("swagger") {
        return (
            "an OpenAPI description".to_owned(),
            "; learning needs traffic",
        );
    }
    if has("info") && has("item") {
        return (
            "a Postman collection".to_owned(),
            "; a collection holds requests to make, not exchanges that happened",
        );
    }
    if has("_type") && has("resources") {
        return (
            "an Insomnia export".to_owned(),
            "; it holds requests to make, not exchanges that happened",
        );
    }
    if has("entries") {
        return (
            "a JSON object with \"entries\" at the top".to_owned(),
            "; wrap it: jq '{log: .}' FILE | silhouette-collector learn -",
        );
    }
    if has("resourceSpans") || has("resourceLogs") {
        return ("OpenTelemetry data".to_owned(), "");
    }
    if has("request") && has("response") {
        return (
            "a single exchange".to_owned(),
            "; wrap it: jq -s '{log: {entries: .}}' FILE | silhouette-collector learn -",
        );
    }
    if keys.is_empty() {
        return ("an empty JSON object".to_owned(), "");
    }
    let shown = keys
        .iter()
        .take(6)
        .map(|key| format!("{key:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    let more = if keys.len() > 6 { ", …" } else { "" };
    (format!("a JSON object with the keys {shown}{more}"), "")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_is_shows_in_its_first_bytes() {
        for (head, expected) in [
            (b"\xff\xfe{\0".as_slice(), "UTF-16"),
            (b"PK\x03\x04rest", "ZIP"),
            (b"9123:4:type", "mitmproxy"),
            (b"  <!DOCTYPE html><html>", "HTML"),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?><charles>", "XML"),
            (b"openapi: 3.0.0", "OpenAPI"),
        ] {
            let what = of_bytes(head).map(|(what, _)| what).unwrap_or_default();
            assert!(what.contains(expected), "{head:?}: {what:?}");
        }
        for head in [
            b"{\"log\":{}}".as_slice(),
            b"\xef\xbb\xbf{",
            b"",
            b" [",
            b"12",
            b"{\n \"log\"",
        ] {
            assert_eq!(of_bytes(head), None, "{head:?}");
        }
    }

    #[test]
    fn what_an_object_is_shows_in_its_keys() {
        for (keys, expected) in [
            (vec!["swagger", "paths"], "an OpenAPI description"),
            (vec!["info", "item", "auth"], "a Postman collection"),
            (vec!["a", "b"], "a JSON object with the keys \"a\", \"b\""),
            (vec![], "an empty JSON object"),
        ] {
            let keys = keys.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(of_keys(&keys).0, expected);
        }
    }
}
