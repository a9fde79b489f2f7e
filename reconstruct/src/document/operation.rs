//! Writing one operation.
//!
//! In: what is known of a method at a place. Out: an operation object with keys in a stable order, and its bodies' schemas,
//! which are put in once components are chosen. It never looks at other operations but to keep ids apart.

use super::schema::Dialect;
use super::security::Schemes;
use super::{OpenApi, OperationSummary, names, observed, parameters, responses, wording};
use crate::body::{Bodies, Kind};
use crate::evidence::Response;
use crate::fold::{Operation, Part};
use crate::tree::Method;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One operation, and its bodies that are still to be put in.
pub(crate) type Written = (Method, Value, Vec<Body>);

/// A body's schema, to be put at a JSON pointer in its operation once components are chosen.
pub(crate) struct Body {
    pub at: String,
    pub schema: Value,
    pub name: String,
}

/// Writes operations one after another, and gathers what they have in common.
pub(crate) struct Writer {
    pub openapi: OpenApi,
    pub schemes: Schemes,
    ids: BTreeSet<String>,
    pub tags: BTreeSet<String>,
}

impl Writer {
    pub(crate) fn new(openapi: OpenApi) -> Writer {
        Writer {
            openapi,
            schemes: Schemes::default(),
            ids: BTreeSet::new(),
            tags: BTreeSet::new(),
        }
    }

    /// One operation as OpenAPI writes it.
    pub(crate) fn operation(
        &mut self,
        template: &str,
        path: &[Part],
        method: Method,
        operation: &Operation,
    ) -> (Value, Vec<Body>, OperationSummary) {
        let (good, failed) = (&operation.good, operation.failed.as_ref());
        let path_names = names::parameters(path);
        let id = self.unique(wording::operation_id(method, path, &path_names));
        let tag = wording::tag(path);
        self.tags.insert(tag.clone());
        let mut out = Map::new();
        let mut bodies = Vec::new();
        out.insert("tags".into(), json!([tag]));
        out.insert("summary".into(), json!(wording::summary(method, path)));
        out.insert("operationId".into(), json!(id));
        let parameters = parameters::list(self.openapi, path, &path_names, good, failed);
        if !parameters.is_empty() {
            out.insert("parameters".into(), Value::Array(parameters));
        }
        if !matches!(method, Method::Get | Method::Head) && good.request.present() > 0 {
            let content = self.content(
                &good.request,
                "/requestBody/content",
                &names::component(path, None),
                &mut bodies,
            );
            if !content.is_empty() {
                let mut body = Map::from_iter([("content".to_owned(), Value::Object(content))]);
                if good.request.absent == 0 {
                    body.insert("required".into(), json!(true));
                }
                out.insert("requestBody".into(), Value::Object(body));
            }
        }
        let mut by_status: BTreeMap<&str, Vec<&Response>> = BTreeMap::new();
        for (status, response) in good
            .responses
            .iter()
            .chain(failed.iter().flat_map(|f| f.responses.iter()))
        {
            by_status.entry(status).or_default().push(response);
        }
        let mut written = Map::new();
        let (mut calls, mut errors) = (0, 0);
        for (status, all) in &by_status {
            for response in all {
                calls += response.count;
                errors += if status.starts_with(['4', '5']) {
                    response.count
                } else {
                    0
                };
                written.insert(
                    (*status).to_owned(),
                    self.response(status, response, path, &mut bodies),
                );
            }
        }
        if written.is_empty() {
            written.insert("default".into(), json!({"description": "Any response"}));
        }
        out.insert("responses".into(), Value::Object(written));
        out.insert(
            "security".into(),
            self.schemes.requirement(good, self.openapi),
        );
        let seen = [Some(good), failed].into_iter().flatten();
        let (first, last) = (
            seen.clone().map(|e| e.first_seen).min().unwrap_or(0),
            seen.clone().map(|e| e.last_seen).max().unwrap_or(0),
        );
        let calls = calls.max(good.calls + failed.map_or(0, |f| f.calls));
        out.insert(
            "x-silhouette".into(),
            observed::extension(good, failed, calls, errors, first, last),
        );
        let summary = OperationSummary {
            method: method.as_str().to_ascii_uppercase(),
            path: template.to_owned(),
            operation_id: id,
            calls,
            errors,
            first_seen: first,
            last_seen: last,
            statuses: by_status.keys().filter_map(|s| s.parse().ok()).collect(),
        };
        (Value::Object(out), bodies, summary)
    }

    fn unique(&mut self, id: String) -> String {
        let mut unique = id.clone();
        let mut n = 2;
        while !self.ids.insert(unique.clone()) {
            unique = format!("{id}{n}");
            n += 1;
        }
        unique
    }

    fn content(
        &self,
        of: &Bodies,
        at: &str,
        name: &str,
        bodies: &mut Vec<Body>,
    ) -> Map<String, Value> {
        let mut out = Map::new();
        for (media, content) in of.media.iter() {
            let kind = Kind::of(media);
            let schema = match kind {
                Kind::Json | Kind::JsonLines => Dialect {
                    openapi: self.openapi,
                    textual: false,
                }
                .schema(&content.shape, ""),
                Kind::Form | Kind::Multipart => Dialect {
                    openapi: self.openapi,
                    textual: true,
                }
                .schema(&content.shape, ""),
                Kind::Text => json!({"type": "string"}),
                Kind::Binary if self.openapi == OpenApi::V30 => {
                    json!({"type": "string", "format": "binary"})
                }
                Kind::Binary => json!({"type": "string", "contentMediaType": media}),
            };
            out.insert(media.to_owned(), json!({"schema": {}}));
            bodies.push(Body {
                at: format!(
                    "{at}/{}/schema",
                    media.replace('~', "~0").replace('/', "~1")
                ),
                schema,
                name: name.to_owned(),
            });
        }
        out
    }

    fn response(
        &self,
        status: &str,
        response: &Response,
        path: &[Part],
        bodies: &mut Vec<Body>,
    ) -> Value {
        let mut out =
            Map::from_iter([("description".to_owned(), json!(responses::reason(status)))]);
        let headers: Map<String, Value> = response
            .headers
            .iter()
            .map(|(name, p)| {
                (
                    name.to_owned(),
                    json!({"schema": parameters::schema(self.openapi, name, p)}),
                )
            })
            .collect();
        if !headers.is_empty() {
            out.insert("headers".into(), Value::Object(headers));
        }
        let content = self.content(
            &response.bodies,
            &format!("/responses/{status}/content"),
            &names::component(path, Some(status)),
            bodies,
        );
        if !content.is_empty() {
            out.insert("content".into(), Value::Object(content));
        }
        Value::Object(out)
    }
}
