//! Writing one operation.
//!
//! In: what is known of a method at a place. Out: an operation object with keys in a stable order, and its bodies' schemas,
//! which are put in once components are chosen. It never looks at other operations but to keep ids apart.

use super::bodies::{self, Body};
use super::observed::Calls;
use super::parameters::Vocabulary;
use super::security::{Issuer, Keys, Schemes};
use super::{
    OpenApi, OperationSummary, media, names, observed, parameters, responses, template, wording,
};
use crate::evidence::Response;
use crate::fold::Operation;
use crate::part::Part;
use crate::tree::Method;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One operation, and its bodies that are still to be put in.
pub(crate) type Written = (Method, Value, Vec<Body>);

/// What the whole document decides about an operation.
pub(crate) struct Standing {
    /// Its id, unique in the document.
    pub id: String,
    /// Whether it has not succeeded for long.
    pub stale: bool,
    /// How likely its template is right, 0 to 1.
    pub sure: f64,
}

/// Writes operations one after another, and gathers what they have in common.
pub(crate) struct Writer<'a> {
    pub openapi: OpenApi,
    pub bodies: bodies::Writer<'a>,
    pub schemes: Schemes<'a>,
    pub vocabulary: Vocabulary<'a>,
    pub tags: BTreeSet<String>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        openapi: OpenApi,
        bodies: bodies::Writer<'a>,
        issuer: &Issuer,
        keys: Keys<'a>,
        vocabulary: Vocabulary<'a>,
    ) -> Self {
        Writer {
            openapi,
            bodies,
            schemes: Schemes::new(issuer, keys),
            vocabulary,
            tags: BTreeSet::new(),
        }
    }

    /// One operation as OpenAPI writes it.
    pub(crate) fn operation(
        &mut self,
        template: &str,
        path: &[Part],
        (method, operation): (Method, &Operation),
        Standing { id, stale, sure }: Standing,
    ) -> (Value, Vec<Body>, OperationSummary) {
        let (good, failed) = (&operation.good, operation.failed.as_ref());
        let path_names = template::names(path);
        let tag = wording::tag(path);
        self.tags.insert(tag.clone());
        let mut out = Map::new();
        let mut bodies = Vec::new();
        out.insert("tags".into(), json!([tag]));
        out.insert(
            "summary".into(),
            json!(wording::summary(method, path, &path_names)),
        );
        out.insert("operationId".into(), json!(id));
        if responses::is_deprecated(good) {
            out.insert("deprecated".into(), json!(true));
        }
        let mut parameters = template::parameters(path, &path_names, &operation.kinds, good.calls);
        parameters.extend(parameters::list(
            self.openapi,
            good,
            failed,
            &self.vocabulary,
            &self.schemes.keys,
        ));
        if !parameters.is_empty() {
            out.insert("parameters".into(), Value::Array(parameters));
        }
        if !matches!(method, Method::Get | Method::Head) && good.request.present() > 0 {
            let content = self.bodies.content(
                &good.request,
                "/requestBody/content",
                &names::component(path, None),
                &mut bodies,
            );
            if !content.is_empty() {
                let mut body = Map::new();
                if let Some(words) = media::of_lines(&good.request) {
                    body.insert(
                        "description".into(),
                        json!(format!("{}.", names::capital(words))),
                    );
                }
                body.insert("content".into(), Value::Object(content));
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
        let calls = Calls {
            calls: calls.max(good.calls + failed.map_or(0, |f| f.calls)),
            errors,
            first_seen: first,
            last_seen: last,
            stale,
            sure,
        };
        out.insert(
            "x-silhouette".into(),
            observed::extension(self.openapi, good, failed, calls),
        );
        let summary = OperationSummary {
            method: method.as_str().to_ascii_uppercase(),
            path: template.to_owned(),
            operation_id: id,
            calls: calls.calls,
            errors,
            first_seen: first,
            last_seen: last,
            stale,
            statuses: by_status.keys().filter_map(|s| s.parse().ok()).collect(),
        };
        (Value::Object(out), bodies, summary)
    }

    fn response(
        &self,
        status: &str,
        response: &Response,
        path: &[Part],
        bodies: &mut Vec<Body>,
    ) -> Value {
        let reason = responses::reason(status);
        let description = match media::of_lines(&response.bodies) {
            Some(words) => format!("{reason}: {words}"),
            None => reason.to_owned(),
        };
        let mut out = Map::from_iter([("description".to_owned(), json!(description))]);
        let headers: Map<String, Value> = response
            .headers
            .iter()
            .map(|(name, p)| {
                let always = p.calls == response.count;
                (
                    name.to_owned(),
                    parameters::response_header(self.openapi, name, p, always),
                )
            })
            .collect();
        if !headers.is_empty() {
            out.insert("headers".into(), Value::Object(headers));
        }
        let content = self.bodies.content(
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
