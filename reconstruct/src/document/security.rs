//! Credentials as security schemes and requirements.
//!
//! In: the kinds of credentials calls carried together (see [`crate::credentials::credentials`]), and the token endpoint or the
//! discovery document of the host, if calls showed one. Out: schemes for the components and one operation's requirement. It knows
//! kinds and names, never a credential.

use super::OpenApi;
use crate::credentials;
use crate::evidence::Evidence;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where the host's tokens come from.
#[derive(Debug, Default)]
pub(crate) struct Issuer {
    /// The URL of the token endpoint (RFC 6749, 3.2).
    token_url: Option<String>,
    /// The URL of the authorization endpoint (RFC 6749, 3.1).
    authorization_url: Option<String>,
    /// Calls of the token endpoint, to tell the real one from a rare one.
    calls: u64,
    grants: BTreeSet<String>,
    scopes: BTreeSet<String>,
    /// The URL of the discovery document (OpenID Connect Discovery 1.0, 4).
    discovery_url: Option<String>,
}

/// Scopes with fewer calls may be one client's invention.
const LEAST_SCOPE: u64 = 2;

impl Issuer {
    /// Adds an operation: POST or GET at `template`, which is at `url`.
    pub(crate) fn add(&mut self, get: bool, template: &str, url: &str, good: &Evidence) {
        if template.contains('{') {
            return;
        }
        let last = template.rsplit('/').next().unwrap_or("");
        if get && template.ends_with("/.well-known/openid-configuration") {
            self.discovery_url = Some(url.to_owned());
        }
        if get && template.contains("auth") && matches!(last, "authorize" | "authorise" | "auth") {
            self.authorization_url = Some(url.to_owned());
        }
        let grants = || {
            good.grants
                .iter()
                .filter_map(|(g, n)| Some((g.strip_prefix("grant:")?, n.0)))
        };
        let calls: u64 = grants().map(|(_, n)| n).sum();
        if calls > self.calls {
            self.calls = calls;
            self.token_url = Some(url.to_owned());
            self.grants = grants().map(|(g, _)| g.to_owned()).collect();
            self.scopes = good
                .grants
                .iter()
                .filter(|(_, n)| n.0 >= LEAST_SCOPE)
                .filter_map(|(s, _)| s.strip_prefix("scope:"))
                .map(str::to_owned)
                .collect();
        }
    }

    /// The scheme that says where bearer tokens come from, if calls showed it.
    fn scheme(&self) -> Option<(String, Value)> {
        if let Some(flows) = self.flows() {
            let grants: Vec<&str> = self.grants.iter().map(String::as_str).collect();
            let description = format!("OAuth 2.0 (RFC 6749). Grants seen: {}.", grants.join(", "));
            return Some((
                "oauth2".into(),
                json!({"type": "oauth2", "description": description, "flows": flows}),
            ));
        }
        let url = self.discovery_url.as_ref()?;
        Some((
            "openIdConnect".into(),
            json!({"type": "openIdConnect", "description": "OpenID Connect: the discovery document says where tokens come from.", "openIdConnectUrl": url}),
        ))
    }

    fn flows(&self) -> Option<Value> {
        let token_url = self.token_url.as_ref()?;
        let scopes: Map<String, Value> = self
            .scopes
            .iter()
            .map(|s| (s.clone(), json!(format!("Asked for as {s}."))))
            .collect();
        let refresh = self.grants.contains("refresh_token");
        let flow = |authorization: Option<&String>| {
            let mut flow = Map::new();
            if let Some(url) = authorization {
                flow.insert("authorizationUrl".into(), json!(url));
            }
            flow.insert("tokenUrl".into(), json!(token_url));
            if refresh {
                flow.insert("refreshUrl".into(), json!(token_url));
            }
            flow.insert("scopes".into(), Value::Object(scopes.clone()));
            Value::Object(flow)
        };
        let mut flows = Map::new();
        if self.grants.contains("client_credentials") {
            flows.insert("clientCredentials".into(), flow(None));
        }
        if self.grants.contains("password") {
            flows.insert("password".into(), flow(None));
        }
        // The flow is not valid without the page that people are sent to.
        if let (true, Some(url)) = (
            self.grants.contains("authorization_code"),
            &self.authorization_url,
        ) {
            flows.insert("authorizationCode".into(), flow(Some(url)));
        }
        (!flows.is_empty()).then_some(Value::Object(flows))
    }
}

/// Headers that may be credentials (see [`credentials::may_be_credential`]) and are: an API's key is sent to most of its operations,
/// where a parameter that is called a key belongs to a few.
#[derive(Debug, Default)]
pub(crate) struct Keys<'a>(BTreeMap<&'a str, usize>, usize);

impl<'a> Keys<'a> {
    /// Adds the successful calls of an operation.
    pub(crate) fn add(&mut self, good: &'a Evidence) {
        self.1 += 1;
        for (name, _) in good.headers.iter() {
            if credentials::may_be_credential(name) {
                *self.0.entry(name).or_default() += 1;
            }
        }
    }

    /// Whether a header that may be a credential is one.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|n| n * 2 >= self.1)
    }
}

/// The schemes in use so far, by component name.
#[derive(Default)]
pub(crate) struct Schemes<'a> {
    all: BTreeMap<String, Value>,
    issuer: Option<(String, Value)>,
    pub keys: Keys<'a>,
}

impl<'a> Schemes<'a> {
    pub(crate) fn new(issuer: &Issuer, keys: Keys<'a>) -> Self {
        Schemes {
            all: BTreeMap::new(),
            issuer: issuer.scheme(),
            keys,
        }
    }

    /// One operation's `security`: an alternative for each set of credentials that was enough. A set that holds all of another one
    /// is no alternative: what it has beyond that was not needed.
    pub(crate) fn requirement(&mut self, evidence: &Evidence, openapi: OpenApi) -> Value {
        let mut sets: BTreeSet<BTreeSet<String>> = BTreeSet::new();
        let mut seen: Vec<(String, Value)> = Vec::new();
        for (kinds, _) in evidence.credentials.iter() {
            let schemes: Vec<_> = kinds
                .split('\n')
                .filter_map(|k| self.scheme(k, openapi))
                .collect();
            sets.insert(schemes.iter().map(|s| s.0.clone()).collect());
            seen.extend(schemes);
        }
        let anonymous = sets.remove(&BTreeSet::new());
        let enough: Vec<&BTreeSet<String>> = sets
            .iter()
            .filter(|set| !sets.iter().any(|s| s != *set && s.is_subset(set)))
            .collect();
        for (name, scheme) in seen {
            if enough.iter().any(|set| set.contains(&name)) {
                self.define(&name, scheme);
            }
        }
        let mut out: Vec<Value> = enough
            .iter()
            .map(|set| {
                let names: Map<String, Value> =
                    set.iter().map(|n| (n.clone(), json!([]))).collect();
                Value::Object(names)
            })
            .collect();
        if anonymous && !out.is_empty() {
            out.push(json!({}));
        }
        Value::Array(out)
    }

    fn define(&mut self, name: &str, scheme: Value) {
        let jwt = scheme.get("bearerFormat").is_some();
        let known = self.all.entry(name.to_owned()).or_insert(scheme);
        if !jwt && let Some(map) = known.as_object_mut() {
            // Not every token is a JWT: say nothing of the format.
            map.remove("bearerFormat");
        }
    }

    /// `components.securitySchemes`, sorted by name.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.all.into_iter().collect()
    }

    fn scheme(&self, kind: &str, openapi: OpenApi) -> Option<(String, Value)> {
        let (place, name) = kind.split_once(':').unwrap_or((kind, ""));
        let scheme = match (place, name) {
            ("bearer", _) if self.issuer.is_some() => return self.issuer.clone(),
            ("bearer", "jwt") => {
                json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
            }
            ("bearer", _) => json!({"type": "http", "scheme": "bearer"}),
            ("http", scheme) => json!({"type": "http", "scheme": scheme}),
            // OpenAPI 3.0 cannot say it; `x-silhouette` of the operation does.
            ("mtls", _) if openapi == OpenApi::V31 => json!({"type": "mutualTLS"}),
            ("header", "authorization") => {
                json!({"type": "apiKey", "description": "A scheme of the API's own.", "in": "header", "name": "Authorization"})
            }
            ("header", name)
                if credentials::may_be_credential(name) && !self.keys.contains(name) =>
            {
                return None;
            }
            ("header" | "query" | "cookie", name) => {
                json!({"type": "apiKey", "in": place, "name": name})
            }
            _ => return None,
        };
        Some((component(place, name), scheme))
    }
}

/// The component's name: `bearerAuth`, `digestAuth`, `header_x-api-key`.
fn component(place: &str, name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            c
        } else {
            '_'
        }
    };
    match place {
        "bearer" => "bearerAuth".into(),
        "mtls" => "mutualTLS".into(),
        "http" => format!("{name}Auth"),
        _ => format!("{place}_{}", name.chars().map(safe).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::Bound;

    fn evidence(sets: &[&str], grants: &[&str]) -> Evidence {
        let bound = Bound {
            charge: 10_000,
            entries: 100,
        };
        let mut evidence = Evidence::default();
        sets.iter()
            .for_each(|s| evidence.credentials.count(s, bound));
        grants.iter().for_each(|g| evidence.grants.count(g, bound));
        evidence.calls = sets.len() as u64;
        evidence
    }

    fn check(sets: &[&str], openapi: OpenApi, expected: Value) {
        let mut schemes = Schemes::default();
        assert_eq!(
            schemes.requirement(&evidence(sets, &[]), openapi),
            expected,
            "{sets:?}"
        );
    }

    #[test]
    fn requirements_are_the_sets_that_were_enough() {
        let v31 = OpenApi::V31;
        check(&[""], v31, json!([]));
        check(&["bearer", "bearer:jwt"], v31, json!([{"bearerAuth": []}]));
        check(&["bearer", ""], v31, json!([{"bearerAuth": []}, {}]));
        check(
            &["bearer", "header:x-api-key"],
            v31,
            json!([{"bearerAuth": []}, {"header_x-api-key": []}]),
        );
        check(
            &["bearer\nheader:x-api-key"],
            v31,
            json!([{"bearerAuth": [], "header_x-api-key": []}]),
        );
        check(
            &["header:x-api-key", "bearer\nheader:x-api-key"],
            v31,
            json!([{"header_x-api-key": []}]),
        );
        check(&["http:digest"], v31, json!([{"digestAuth": []}]));
        check(&["mtls"], v31, json!([{"mutualTLS": []}]));
        check(&["mtls"], OpenApi::V30, json!([]));
    }

    #[test]
    fn a_key_that_most_operations_are_sent_is_a_credential() {
        let bound = Bound {
            charge: 10_000,
            entries: 100,
        };
        let mut all = [
            evidence(&["header:x-store-key"], &[]),
            evidence(&["header:x-map-key\nheader:x-store-key"], &[]),
            evidence(&["header:x-store-key"], &[]),
        ];
        for (operation, names) in all.iter_mut().zip([1, 2, 1]) {
            for name in ["x-store-key", "x-map-key"].into_iter().take(names) {
                operation.headers.slot(name, bound);
            }
        }
        let mut keys = Keys::default();
        all.iter().for_each(|e| keys.add(e));
        assert!(keys.contains("x-store-key") && !keys.contains("x-map-key"));
        let mut schemes = Schemes::new(&Issuer::default(), keys);
        assert_eq!(
            schemes.requirement(&all[1], OpenApi::V31),
            json!([{"header_x-store-key": []}])
        );
    }

    #[test]
    fn tokens_come_from_where_they_were_asked_for() {
        let mut issuer = Issuer::default();
        let url = "https://api.example.com/oauth/token";
        let token = evidence(
            &[],
            &[
                "grant:client_credentials",
                "grant:refresh_token",
                "scope:read",
                "scope:read",
                "scope:odd",
            ],
        );
        issuer.add(false, "/oauth/token", url, &token);
        issuer.add(
            true,
            "/oauth/authorize",
            "https://api.example.com/oauth/authorize",
            &evidence(&[], &[]),
        );
        let mut schemes = Schemes::new(&issuer, Keys::default());
        assert_eq!(
            schemes.requirement(&evidence(&["bearer:jwt"], &[]), OpenApi::V31),
            json!([{"oauth2": []}])
        );
        let all = schemes.into_map();
        assert_eq!(
            all["oauth2"]["flows"],
            json!({"clientCredentials": {"tokenUrl": url, "refreshUrl": url, "scopes": {"read": "Asked for as read."}}})
        );
    }

    #[test]
    fn a_discovery_document_is_an_issuer_too() {
        let mut issuer = Issuer::default();
        let at = "/.well-known/openid-configuration";
        issuer.add(
            true,
            at,
            &format!("https://id.example.com{at}"),
            &evidence(&[], &[]),
        );
        let mut schemes = Schemes::new(&issuer, Keys::default());
        assert_eq!(
            schemes.requirement(&evidence(&["bearer"], &[]), OpenApi::V30),
            json!([{"openIdConnect": []}])
        );
    }
}
