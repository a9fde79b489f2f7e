//! Procedures that one operation carries: GraphQL operations, JSON-RPC methods, SOAP actions.
//!
//! In: a request. Out: the names of what it calls, as far as they are words a programmer gives. It keeps no query, no parameter and
//! no name that could be data. Many procedures behind one path are one operation for OpenAPI; their names are what tells them apart.

use crate::body;
use crate::class::Class;
use crate::graphql;
use crate::keys;
use crate::observation::{Message, Observation};
use crate::tokens::{self, Kind, Token};
use crate::xml;
use memchr::memmem;
use std::borrow::Cow;

/// How procedures are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Query,
    Mutation,
    Subscription,
    /// A GraphQL document the server knows already: its kind cannot be seen.
    Persisted,
    /// JSON-RPC 2.0.
    JsonRpc,
    /// SOAP 1.1 and 1.2.
    Soap,
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 6] = [
        Protocol::Query,
        Protocol::Mutation,
        Protocol::Subscription,
        Protocol::Persisted,
        Protocol::JsonRpc,
        Protocol::Soap,
    ];

    /// Stands before the names a model keeps.
    fn mark(self) -> &'static str {
        match self {
            Protocol::Query => "query",
            Protocol::Mutation => "mutation",
            Protocol::Subscription => "subscription",
            Protocol::Persisted => "persisted",
            Protocol::JsonRpc => "jsonrpc",
            Protocol::Soap => "soap",
        }
    }
}

/// What a key made by [`called`] says: the name is empty when the procedure had none that may be kept.
pub(crate) fn read(key: &str) -> Option<(Protocol, &str)> {
    let (mark, name) = key.split_once(':')?;
    let protocol = Protocol::ALL.into_iter().find(|p| p.mark() == mark)?;
    Some((protocol, name))
}

/// More calls of one batch are not looked at.
const MOST: usize = 64;

/// The procedures a request calls, each as `protocol:name`, see [`read`].
pub(crate) fn called(o: &Observation<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(query) = o.query
        && memmem::find(query.as_bytes(), b"query=").is_some()
    {
        let (mut document, mut name) = (None, None);
        for (key, value) in body::pairs(query).take(64) {
            match &*key {
                "query" => document = Some(value),
                "operationName" => name = Some(value),
                _ => {}
            }
        }
        if let Some(document) = document {
            operation(&document, true, name.as_deref(), &mut out);
        }
    }
    if o.request.body.bytes.is_empty() {
        return out;
    }
    let media = o.request.media_type();
    let body = o.request.body;
    match body::Kind::of(&media) {
        body::Kind::Json => json(body.bytes, body.complete, &mut out),
        body::Kind::Text if media == "application/graphql" => {
            if let Ok(text) = std::str::from_utf8(body.bytes) {
                operation(text, body.complete, None, &mut out);
            }
        }
        _ if matches!(
            &*media,
            "text/xml" | "application/xml" | "application/soap+xml"
        ) =>
        {
            if let Some(action) = soap_action(&o.request) {
                out.push(key(Protocol::Soap, action));
            } else if let Some(name) = xml::soap_call(body.bytes, body.complete) {
                out.push(key(Protocol::Soap, &name));
            }
        }
        _ => {}
    }
    out
}

fn key(protocol: Protocol, name: &str) -> String {
    let name = if is_word(name) { name } else { "" };
    format!("{}:{name}", protocol.mark())
}

/// Names of the joints programmers use, without anything that looks like data in between.
fn is_word(name: &str) -> bool {
    name.len() <= 80
        && name.bytes().any(|b| b.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-./:".contains(&b))
        && name.split(['.', '/', ':', '_', '-']).all(|part| {
            let digits = part.bytes().filter(u8::is_ascii_digit).count();
            part.is_empty()
                || (Class::of(part).is_none()
                    && !keys::is_data(part)
                    // A word has more letters than digits (`sha256`), and a long one hardly any.
                    && digits * 2 <= part.len()
                    && (part.len() <= 8 || digits <= 2))
        })
        && !keys::is_data(name)
}

/// Notes what a GraphQL document does under the name a request asks for, or the first one of the document.
fn operation(document: &str, whole: bool, name: Option<&str>, out: &mut Vec<String>) {
    let Some(all) = graphql::definitions(document, whole) else {
        return;
    };
    let asked = name.filter(|n| graphql::is_name(n));
    let chosen = all
        .iter()
        .find(|d| asked.is_some() && d.name == asked)
        .or(all.first());
    if let Some(chosen) = chosen {
        let protocol = match chosen.kind {
            graphql::Kind::Query => Protocol::Query,
            graphql::Kind::Mutation => Protocol::Mutation,
            graphql::Kind::Subscription => Protocol::Subscription,
        };
        out.push(key(protocol, asked.or(chosen.name).unwrap_or("")));
    }
}

/// JSON-RPC requests, GraphQL requests, and batches of both.
fn json(bytes: &[u8], complete: bool, out: &mut Vec<String>) {
    // Most bodies are neither, and looking for a word costs a fraction of reading them.
    if !["\"jsonrpc\"", "\"query\"", "\"persistedQuery\""]
        .iter()
        .any(|word| memmem::find(bytes, word.as_bytes()).is_some())
    {
        return;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) if complete => return,
        Err(e) => bytes
            .get(..e.valid_up_to())
            .and_then(|b| std::str::from_utf8(b).ok())
            .unwrap_or(""),
    };
    let text = text.trim_start_matches('\u{feff}');
    let Some(tokens) = tokens::scan(text, complete) else {
        return;
    };
    let reader = Reader {
        text,
        tokens: &tokens,
    };
    match tokens.first() {
        Some(t) if t.kind == Kind::Object => reader.request(0, complete, out),
        Some(t) if t.kind == Kind::Array => {
            let mut at = 1;
            for _ in 0..MOST {
                match tokens.get(at) {
                    Some(t) if t.kind == Kind::Object => reader.request(at, complete, out),
                    _ => break,
                }
                at = reader.after(at);
            }
        }
        _ => {}
    }
}

struct Reader<'t> {
    text: &'t str,
    tokens: &'t [Token],
}

impl<'t> Reader<'t> {
    /// The token behind the value at `at`.
    fn after(&self, at: usize) -> usize {
        match self.tokens.get(at) {
            Some(t) if matches!(t.kind, Kind::Object | Kind::Array) => t.end as usize,
            _ => at + 1,
        }
    }

    fn string(&self, at: usize) -> Option<Cow<'t, str>> {
        let token = self.tokens.get(at)?;
        let text = self.text.get(token.start as usize..token.end as usize)?;
        match token.kind {
            Kind::String => Some(Cow::Borrowed(text)),
            Kind::Escaped => Some(Cow::Owned(tokens::unescape(text))),
            _ => None,
        }
    }

    /// Names of the members of the object at `at`, and where their values are.
    fn members(&self, at: usize) -> impl Iterator<Item = (Cow<'t, str>, usize)> {
        let object = self.tokens.get(at).filter(|t| t.kind == Kind::Object);
        let end = object.map_or(0, |t| t.end as usize);
        let mut next = at + 1;
        std::iter::from_fn(move || {
            // A name whose value was cut off is the last token.
            if next + 1 >= end {
                return None;
            }
            let (name, value) = (self.string(next)?, next + 1);
            next = self.after(value);
            Some((name, value))
        })
    }

    fn request(&self, at: usize, complete: bool, out: &mut Vec<String>) {
        let (mut version, mut method) = (None, None);
        let (mut document, mut name, mut persisted) = (None, None, false);
        for (member, value) in self.members(at) {
            match &*member {
                "jsonrpc" => version = self.string(value),
                "method" => method = self.string(value),
                "query" => document = self.string(value),
                "operationName" => name = self.string(value),
                "extensions" => persisted = self.members(value).any(|m| m.0 == "persistedQuery"),
                _ => {}
            }
        }
        if let (Some("2.0"), Some(method)) = (version.as_deref(), method) {
            out.push(key(Protocol::JsonRpc, &method));
        } else if let Some(document) = document {
            // The scanner drops a string that was cut off, so the document is whole.
            operation(&document, true, name.as_deref(), out);
        } else if persisted && complete {
            let name = name.filter(|n| graphql::is_name(n));
            out.push(key(Protocol::Persisted, name.as_deref().unwrap_or("")));
        }
    }
}

/// The last word of the action a SOAP request names: the header of 1.1, or the media type's parameter of 1.2 (RFC 3902).
fn soap_action<'m>(message: &Message<'m>) -> Option<&'m str> {
    let parameter = || {
        let (_, rest) = message.text_header("content-type")?.split_once("action=")?;
        Some(rest.split(';').next().unwrap_or(""))
    };
    let action = message.text_header("soapaction").or_else(parameter)?;
    let action = action.trim().trim_matches('"').trim_end_matches('/');
    action
        .rsplit(['/', '#', ':'])
        .next()
        .filter(|last| !last.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Body;

    fn check_request(
        media: &str,
        soap: &str,
        query: Option<&str>,
        body: Body<'_>,
        expected: &[&str],
    ) {
        let headers = [
            ("content-type", media.as_bytes()),
            ("soapaction", soap.as_bytes()),
        ];
        let headers = headers.get(..if soap.is_empty() { 1 } else { 2 }).unwrap();
        let o = Observation {
            unix_millis: 0,
            duration_micros: None,
            shim: "har",
            scheme: "https",
            method: "POST",
            path: "/api",
            query,
            request: Message { headers, body },
            status: 200,
            response: Message::default(),
            client_certificate: false,
        };
        assert_eq!(called(&o), expected);
    }

    fn check(body: &str, expected: &[&str]) {
        let body = Body::whole(body.as_bytes());
        check_request("application/json", "", None, body, expected);
    }

    #[test]
    fn graphql_operations_have_names() {
        check(
            r#"{"query":"query GetUser($id: ID!) {\n user(id: $id) { id } }","variables":{"id":"7"}}"#,
            &["query:GetUser"],
        );
        check(
            r#"{"operationName":"B","query":"query A { a } mutation B { b }"}"#,
            &["mutation:B"],
        );
        check(r#"{"query":"{ me { id } }"}"#, &["query:"]);
        check(
            r#"[{"query":"query A { a }"},{"query":"query Other { a }"}]"#,
            &["query:A", "query:Other"],
        );
        check(
            r#"{"operationName":"ListBooks","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#,
            &["persisted:ListBooks"],
        );
        let none = Body::default();
        check_request("", "", Some("query=%7B+me+%7D"), none, &["query:"]);
        check_request(
            "",
            "",
            Some("query=query+Me%7Bme%7D&operationName=Me"),
            none,
            &["query:Me"],
        );
        check_request("", "", Some("query=shoes"), none, &[]);
        let text = Body::whole(b"subscription Ticks { tick }");
        check_request(
            "application/graphql",
            "",
            None,
            text,
            &["subscription:Ticks"],
        );
    }

    #[test]
    fn searches_are_no_graphql() {
        check(r#"{"query":"shoes"}"#, &[]);
        check(r#"{"query":{"match":{"a":1}}}"#, &[]);
        check(r#"{"query":"{\"match\":1}"}"#, &[]);
        check(r#"{"a":{"query":"{ a }"}}"#, &[]);
    }

    #[test]
    fn json_rpc_methods_have_names() {
        check(
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":[]}"#,
            &["jsonrpc:eth_getBlockByNumber"],
        );
        check(
            r#"[{"jsonrpc":"2.0","method":"tools/call"},{"method":"user.get","jsonrpc":"2.0"}]"#,
            &["jsonrpc:tools/call", "jsonrpc:user.get"],
        );
        check(r#"{"jsonrpc":"1.0","method":"a"}"#, &[]);
        check(r#"{"jsonrpc":"2.0","method":7}"#, &[]);
        check(r#"{"jsonrpc":"2.0","method":"a"#, &[]);
        let cut = Body {
            bytes: br#"{"jsonrpc":"2.0","method":"stop","params":{"a"#,
            original_size: 99,
            complete: false,
        };
        check_request("application/json", "", None, cut, &["jsonrpc:stop"]);
    }

    #[test]
    fn soap_actions_end_in_a_word() {
        let body = Body::whole(b"<a/>");
        for (media, action, expected) in [
            (
                "text/xml",
                "\"http://example.com/stock/GetPrice\"",
                "soap:GetPrice",
            ),
            ("text/xml; charset=utf-8", "urn:example#Sell", "soap:Sell"),
            (
                "application/soap+xml; action=\"urn:a:Buy\"; charset=utf-8",
                "",
                "soap:Buy",
            ),
        ] {
            check_request(media, action, None, body, &[expected]);
        }
        check_request("text/xml", "\"\"", None, body, &[]);
        check_request("text/plain", "urn:a:Buy", None, body, &[]);
    }

    #[test]
    fn soap_calls_without_an_action_are_named_by_what_they_send() {
        for (text, complete, expected) in [
            (
                "<s:Envelope xmlns:s='u'><s:Header><t>1</t></s:Header><s:Body>\n<m:GetPrice xmlns:m='v'><id>1</id></m:GetPrice></s:Body></s:Envelope>",
                true,
                &["soap:GetPrice"][..],
            ),
            ("<Envelope><Body><Sell><id>1</id><n", false, &["soap:Sell"]),
            (
                "<Envelope><Body><a5f2b9a647c1d4e8b9a550c8e/></Body></Envelope>",
                true,
                &["soap:"],
            ),
            ("<Envelope><Body/></Envelope>", true, &[]),
            ("<order><Body><Sell/></Body></order>", true, &[]),
            ("<Envelope><Body><Sell>", true, &[]),
        ] {
            let body = Body {
                bytes: text.as_bytes(),
                original_size: 999,
                complete,
            };
            check_request("text/xml", "\"\"", None, body, expected);
            check_request("application/soap+xml", "", None, body, expected);
        }
    }

    #[test]
    fn what_may_be_data_is_not_named() {
        for name in [
            "5f2b9a647c1d4e8b9a550c8e",
            "zq8d2f0c4a17be",
            "zqdadacaceaf03418",
            "a b",
            "q1234567",
        ] {
            check(
                &format!(r#"{{"jsonrpc":"2.0","method":"{name}"}}"#),
                &["jsonrpc:"],
            );
        }
        for name in [
            "getUserV2",
            "wallet_switchEthereumChain",
            "rpc.discover",
            "hash.sha256",
        ] {
            check(
                &format!(r#"{{"jsonrpc":"2.0","method":"{name}"}}"#),
                &[&format!("jsonrpc:{name}")],
            );
        }
    }

    #[test]
    fn hostile_requests_are_read_in_bounds() {
        let deep = format!("{{\"query\":{}", "[".repeat(50_000));
        check(&deep, &[]);
        let many = vec![r#"{"jsonrpc":"2.0","method":"ping"}"#; 10_000].join(",");
        check(&format!("[{many}]"), &["jsonrpc:ping"; MOST]);
    }
}
