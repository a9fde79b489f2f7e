//! Credentials as security schemes and requirements.
//!
//! In: the kinds of credentials calls carried (see [`crate::headers::credentials`]). Out: schemes for the components and one
//! operation's requirement. It knows kinds and names, never a credential.

use super::OpenApi;
use crate::evidence::Evidence;
use serde_json::{Map, Value, json};

/// The schemes in use so far, by component name.
#[derive(Default)]
pub(crate) struct Schemes(Map<String, Value>);

impl Schemes {
    /// One operation's `security`: what all calls carried is required together, what some carried is an alternative.
    pub(crate) fn requirement(&mut self, evidence: &Evidence, openapi: OpenApi) -> Value {
        let mut always = Map::new();
        let mut sometimes: Vec<Value> = Vec::new();
        let kinds: Vec<(String, Value, u64)> = evidence
            .credentials
            .iter()
            .filter_map(|(kind, n)| scheme(kind, openapi).map(|(name, s)| (name, s, n.0)))
            .collect();
        let mut counts: Vec<(String, u64)> = Vec::new();
        for (name, scheme, n) in kinds {
            let opaque = scheme.get("bearerFormat").is_none();
            let known = self.0.entry(name.clone()).or_insert(scheme);
            if opaque && let Some(map) = known.as_object_mut() {
                // Not every token is a JWT: say nothing of the format.
                map.remove("bearerFormat");
            }
            match counts.iter_mut().find(|c| c.0 == name) {
                Some(count) => count.1 += n,
                None => counts.push((name, n)),
            }
        }
        for (name, n) in counts {
            if n >= evidence.calls {
                always.insert(name, json!([]));
            } else {
                sometimes.push(json!({name: []}));
            }
        }
        if !always.is_empty() {
            return json!([always]);
        }
        if evidence.anonymous > 0 && !sometimes.is_empty() {
            sometimes.push(json!({}));
        }
        Value::Array(sometimes)
    }

    /// `components.securitySchemes`, sorted by name.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        let mut all: Vec<(String, Value)> = self.0.into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.into_iter().collect()
    }
}

fn scheme(kind: &str, openapi: OpenApi) -> Option<(String, Value)> {
    let fixed = |name: &str, value: Value| Some((name.to_owned(), value));
    match kind {
        "bearer" => return fixed("bearerAuth", json!({"type": "http", "scheme": "bearer"})),
        "bearer:jwt" => {
            return fixed(
                "bearerAuth",
                json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
            );
        }
        "basic" => return fixed("basicAuth", json!({"type": "http", "scheme": "basic"})),
        "digest" => return fixed("digestAuth", json!({"type": "http", "scheme": "digest"})),
        // OpenAPI 3.0 cannot say it.
        "mtls" => {
            return if openapi == OpenApi::V31 {
                fixed("mutualTLS", json!({"type": "mutualTLS"}))
            } else {
                None
            };
        }
        _ => {}
    }
    let (place, name) = kind.split_once(':')?;
    let id: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .collect();
    Some((
        format!("{place}_{id}"),
        json!({"type": "apiKey", "in": place, "name": name}),
    ))
}
