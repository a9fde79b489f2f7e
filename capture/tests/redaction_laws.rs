//! Laws of redaction, for random nestings, chunks and caps: the secret is gone, what was valid stays valid, nothing grows
//! beyond its cap, nothing panics.
#![cfg(not(target_family = "wasm"))]

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use silhouette_capture::{Clock, End, Policy, Recorder, RequestHead, Sampler, Settings};
use silhouette_proto::telemetry::v1::Exchange;

/// No other part of any input contains these, so that finding a piece of one means that it leaked.
const SECRETS: &[&str] = &["Zq7~Wk!Jx9#vQz", "QZXKWVJQZXKWVJ", "Zq7\"Wk\\Jx9\nvQz"];
/// The shortest piece of a secret that counts as a leak.
const PIECE: usize = 3;

fn leaks(text: &[u8], secret: &str) -> bool {
    let secret = secret.as_bytes();
    secret
        .windows(PIECE)
        .any(|piece| text.windows(PIECE).any(|window| window == piece))
}

fn policy(cap: usize) -> Arc<Policy> {
    let mut settings = Settings::default();
    settings.set("max_request_body", &cap.to_string()).unwrap();
    Arc::new(settings.build().unwrap())
}

struct Sent<'a> {
    path: &'a [u8],
    query: Option<&'a [u8]>,
    headers: &'a [(&'a [u8], &'a [u8])],
    body: &'a [u8],
    chunk: usize,
}

impl<'a> Sent<'a> {
    fn body(headers: &'a [(&'a [u8], &'a [u8])], body: &'a [u8], chunk: usize) -> Sent<'a> {
        Sent {
            path: b"/",
            query: None,
            headers,
            body,
            chunk,
        }
    }

    fn record(&self, policy: &Arc<Policy>) -> (Vec<u8>, Exchange) {
        let head = RequestHead {
            scheme: "http",
            authority: b"h",
            method: b"POST",
            path: self.path,
            query: self.query,
            http_version: "1.1",
        };
        let headers = self.headers.iter().copied();
        let clock = Clock::default();
        let mut recorder =
            Recorder::begin(policy, &mut Sampler::new(1), [1; 16], &head, headers, clock).unwrap();
        for chunk in self.body.chunks(self.chunk.max(1)) {
            recorder.request_chunk(chunk);
        }
        let sealed = recorder.finish(&End::default()).unwrap();
        let exchange = Exchange::decode(sealed.as_bytes()).unwrap();
        assert_eq!(
            exchange.encode_to_vec().len(),
            sealed.size(),
            "prost reads what was written, and nothing else"
        );
        (sealed.as_bytes().to_vec(), exchange)
    }
}

fn body_of(exchange: &Exchange) -> &[u8] {
    exchange
        .request
        .as_ref()
        .and_then(|request| request.body.as_ref())
        .map_or(b"", |body| &body.data)
}

fn secret_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "password",
        "PassWord",
        "new_password",
        "user-password",
        "token",
        "accessToken",
        "api_key",
        "apiKey",
        "client_secret",
        "ssn",
        "cvv",
        "pin",
        "sessionId",
        "privateKey",
    ])
    .prop_map(str::to_owned)
}

fn secret() -> impl Strategy<Value = String> {
    prop::sample::select(SECRETS).prop_map(str::to_owned)
}

/// JSON without a secret and without a number long enough to be the beginning of one, in letters and digits that no secret has a piece of.
fn innocent() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i16>().prop_map(|n| json!(n)),
        "[a-f :=/.,{}\\[\\]\"\\\\\n\u{e9}]{0,20}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("[a-f_:\" ]{0,6}", inner), 0..4)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// JSON with the secret somewhere below a name that says so, or in JSON or a URL inside a string.
fn with_secret(secret: String) -> impl Strategy<Value = Value> {
    let named = (secret_name(), innocent()).prop_flat_map(move |(name, other)| {
        let secret = secret.clone();
        let deep = json!([{ "x": secret, "y": [other.clone(), secret] }]);
        let url = format!(
            "https://x/?a=1&{name}={}",
            secret.replace(['"', '\\', '\n', '#'], "~")
        );
        let inner = json!({ name.clone(): secret, "o": other });
        prop::sample::select(vec![
            inner.clone(),
            json!({ name: deep }),
            json!({ "url": url }),
            json!({ "raw": inner.to_string() }),
            json!({ "raw": json!({ "raw": inner.to_string() }).to_string() }),
        ])
    });
    named.prop_recursive(4, 16, 3, |inner| {
        (inner, innocent(), "[a-f]{1,4}")
            .prop_map(|(inner, other, name)| json!({ "o": other, name: [inner] }))
    })
}

fn leak_or_url_escape(secret: &str) -> String {
    secret.replace(['"', '\\', '\n', '#'], "~")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_loses_its_secrets_and_stays_json(
        (secret, value) in secret().prop_flat_map(|secret| (Just(secret.clone()), with_secret(secret))),
        pretty in any::<bool>(),
        chunk in 1usize..64,
        cap in prop_oneof![Just(1 << 20), 1usize..400],
    ) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let headers: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/json")];
        let (wire, exchange) = Sent::body(&headers, text.as_bytes(), chunk).record(&policy(cap));
        prop_assert!(!leaks(&wire, &secret), "{text}\n{}", String::from_utf8_lossy(body_of(&exchange)));
        prop_assert!(!leaks(&wire, &leak_or_url_escape(&secret)), "{text}");
        prop_assert!(body_of(&exchange).len() <= cap);
        if text.len() <= cap {
            let kept: Value = serde_json::from_slice(body_of(&exchange)).expect("valid JSON stays valid");
            prop_assert!(same_shape(&value, &kept), "{value}\n{kept}");
        }
        let whole = Sent::body(&headers, text.as_bytes(), text.len()).record(&policy(cap)).0;
        prop_assert_eq!(wire, whole, "chunks make no difference");
    }

    #[test]
    fn json_without_secrets_is_not_touched(value in innocent(), cap in prop_oneof![Just(1 << 20), 1usize..100]) {
        // Quotes inside strings may look like names; without colons and equals signs nothing does.
        let text = value.to_string();
        let headers: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/json")];
        let (_, exchange) = Sent::body(&headers, text.as_bytes(), 7).record(&policy(cap));
        prop_assert_eq!(body_of(&exchange), &text.as_bytes()[..text.len().min(cap)]);
    }

    #[test]
    fn forms_queries_and_cookies_lose_their_secrets(
        pairs in prop::collection::vec(("[a-f]{1,5}", "[a-f%+ =;]{0,9}"), 0..5),
        name in secret_name(),
        at in 0usize..5,
        secret in Just("QZXKWVJQZXKWVJ"),
        escaped in any::<bool>(),
        cap in prop_oneof![Just(1 << 20), 1usize..60],
    ) {
        let mut list: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let name = if escaped { name.bytes().map(|b| format!("%{b:02X}")).collect() } else { name };
        list.insert(at.min(list.len()), format!("{name}={secret}"));
        let form = list.join("&");
        let cookie = list.join("; ");
        let headers: [(&[u8], &[u8]); 3] = [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"cookie", cookie.as_bytes()),
            (b"x-auth-token", secret.as_bytes()),
        ];
        let sent = Sent { query: Some(form.as_bytes()), ..Sent::body(&headers, form.as_bytes(), 3) };
        let (wire, exchange) = sent.record(&policy(cap));
        prop_assert!(!leaks(&wire, secret), "{form}\n{}", String::from_utf8_lossy(&wire));
        let request = exchange.request.unwrap();
        let names = |list: &[u8]| -> Vec<Vec<u8>> {
            list.split(|b| *b == b'&').map(|pair| pair.split(|b| *b == b'=').next().unwrap().to_vec()).collect()
        };
        let kept = request.query.unwrap();
        if !form.contains(';') {
            prop_assert_eq!(names(&kept), names(form.as_bytes()), "names and order stay");
        }
    }

    #[test]
    fn tokens_and_cards_go_whatever_their_name(
        before in "[g-m ]{0,30}",
        after in "[g-m ]{0,30}",
        card in prop::sample::select(vec!["4111111111111111", "5555 5555 5555 4444", "3782-822463-10005"]),
        as_json in any::<bool>(),
        cap in prop_oneof![Just(1 << 20), 1usize..120],
    ) {
        const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBREFMT1ZFTEFDRSJ9.QZXKWVJQZXKWVJ";
        let text = format!("{before}{JWT} {after} {card}");
        let text = if as_json { json!({ "note": text }).to_string() } else { text };
        let kind: &[u8] = if as_json { b"application/json" } else { b"text/plain" };
        let headers: [(&[u8], &[u8]); 1] = [(b"content-type", kind)];
        let (_, exchange) = Sent::body(&headers, text.as_bytes(), 5).record(&policy(cap));
        let body = body_of(&exchange);
        prop_assert!(!leaks(body, "BREFMT1ZFTEFDRSJ9") && !leaks(body, "QZXKWVJ"), "{}", String::from_utf8_lossy(body));
        // The issuer's digits may be seen of a card that was cut off.
        let digits: String = card.chars().filter(char::is_ascii_digit).collect();
        let seen: String = String::from_utf8_lossy(body).chars().filter(char::is_ascii_digit).collect();
        prop_assert!(!seen.contains(&digits[..7]), "{}", String::from_utf8_lossy(body));
    }

    #[test]
    fn any_bytes_anywhere_are_recorded_within_the_caps(
        path in prop::collection::vec(any::<u8>(), 0..200),
        query in prop::collection::vec(any::<u8>(), 0..200),
        name in prop::collection::vec(any::<u8>(), 0..30),
        value in prop::collection::vec(any::<u8>(), 0..200),
        kind in prop::sample::select(vec![
            "application/json", "text/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain",
        ]),
        coding in prop::sample::select(vec!["identity", "gzip", "deflate", "br"]),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400),
            "[\\[\\]{}\":,=&;<>/\\\\a-f0-9 \n-]{0,400}".prop_map(String::into_bytes),
            "(password|\"|:|=|\\{|\\[|\\}|\\]|eyJ|4111111111111111|--x\r\n|\r\n\r\n|<password>|<!\\[CDATA\\[|\\\\u0061|\\\\|://a:b@| |%){0,40}".prop_map(String::into_bytes),
        ],
        chunk in 1usize..50,
        cap in 0usize..300,
    ) {
        let headers: [(&[u8], &[u8]); 3] =
            [(&name, &value), (b"content-type", kind.as_bytes()), (b"content-encoding", coding.as_bytes())];
        let sent = Sent { path: &path, query: Some(&query), ..Sent::body(&headers, &body, chunk) };
        let (_, exchange) = sent.record(&policy(cap));
        prop_assert!(body_of(&exchange).len() <= cap);
        let kept = exchange.request.unwrap().body;
        prop_assert_eq!(kept.map_or(0, |body| body.original_size), body.len() as u64);
    }
}

/// The same names, kinds of values and lengths of arrays.
fn same_shape(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((n, a), (m, b))| n == m && same_shape(a, b))
        }
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}
