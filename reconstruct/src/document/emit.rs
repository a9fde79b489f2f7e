//! Writing the document.
//!
//! In: folded templates and the host's counts. Out: a [`Document`] with keys in a stable order: paths sorted, methods in
//! OpenAPI's order, statuses ascending, everything else by name.

use super::components::Components;
use super::schema::Dialect;
use super::security::Schemes;
use super::{Document, DocumentOptions, OpenApi, OperationSummary, names};
use crate::body::{Bodies, Kind};
use crate::class::Class;
use crate::evidence::{Evidence, Parameter, Response};
use crate::fold::{Folded, Kinds, Operation, Part};
use crate::host::HostName;
use crate::model::Counts;
use crate::tree::Method;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Writes the document of one host.
pub(crate) fn emit(
    folded: &Folded,
    counts: &Counts,
    host: &HostName,
    options: &DocumentOptions,
) -> Document {
    let mut writer = Writer {
        openapi: options.openapi,
        schemes: Schemes::default(),
        ids: BTreeSet::new(),
        tags: BTreeSet::new(),
    };
    let mut places: BTreeMap<String, (Vec<Part>, &BTreeMap<Method, Operation>)> = BTreeMap::new();
    folded.walk(&mut Vec::new(), &mut |path, methods| {
        let parameters = names::parameters(path);
        let template = names::template(path, &parameters);
        places.insert(template, (path.to_vec(), methods));
    });
    let mut operations = Vec::new();
    let mut paths: Vec<(String, Vec<Written>)> = Vec::new();
    for (template, (path, methods)) in &places {
        let mut item = Vec::new();
        for (method, operation) in methods.iter() {
            let (value, bodies, summary) = writer.operation(template, path, *method, operation);
            operations.push(summary);
            item.push((*method, value, bodies));
        }
        paths.push((template.clone(), item));
    }
    let mut components = Components::default();
    for body in paths
        .iter()
        .flat_map(|(_, item)| item.iter().flat_map(|(_, _, bodies)| bodies))
    {
        components.count(&body.schema, &body.name);
    }
    components.choose();
    let paths: Map<String, Value> = paths
        .into_iter()
        .map(|(template, item)| {
            let methods: Map<String, Value> = item
                .into_iter()
                .map(|(method, mut value, bodies)| {
                    for body in bodies {
                        if let Some(place) = value.pointer_mut(&body.at) {
                            *place = components.refer(&body.schema);
                        }
                    }
                    (method.as_str().to_owned(), value)
                })
                .collect();
            (template, Value::Object(methods))
        })
        .collect();
    let mut root = Map::new();
    root.insert(
        "openapi".into(),
        json!(match options.openapi {
            OpenApi::V30 => "3.0.3",
            OpenApi::V31 => "3.1.0",
        }),
    );
    root.insert("info".into(), json!({"title": host.as_str(), "version": "1.0.0", "description": "Reconstructed from observed traffic by Silhouette."}));
    let servers: Vec<Value> = counts
        .schemes
        .iter()
        .map(|s| json!({"url": format!("{s}://{host}")}))
        .collect();
    root.insert(
        "servers".into(),
        if servers.is_empty() {
            json!([{"url": format!("https://{host}")}])
        } else {
            Value::Array(servers)
        },
    );
    let tags: Vec<Value> = writer
        .tags
        .iter()
        .map(|t| json!({"name": t, "description": format!("Operations on {t}")}))
        .collect();
    if !tags.is_empty() {
        root.insert("tags".into(), Value::Array(tags));
    }
    root.insert("paths".into(), Value::Object(paths));
    let mut all = Map::new();
    let schemas = components.schemas();
    if !schemas.is_empty() {
        all.insert("schemas".into(), Value::Object(schemas));
    }
    let schemes = writer.schemes.into_map();
    if !schemes.is_empty() {
        all.insert("securitySchemes".into(), Value::Object(schemes));
    }
    if !all.is_empty() {
        root.insert("components".into(), Value::Object(all));
    }
    let left_out: Map<String, Value> = counts
        .left_out
        .iter()
        .map(|(noise, n)| (noise.as_str().to_owned(), json!(n)))
        .collect();
    let mut extension = Map::from_iter([
        ("exchanges".to_owned(), json!(counts.exchanges)),
        ("leftOut".to_owned(), Value::Object(left_out)),
    ]);
    if let Some((first, last)) = counts.seen {
        extension.insert("firstSeen".into(), json!(timestamp(first)));
        extension.insert("lastSeen".into(), json!(timestamp(last)));
    }
    root.insert("x-silhouette".into(), Value::Object(extension));
    Document {
        root: Value::Object(root),
        sufficient: operations.len() >= options.min_operations,
        operations,
    }
}

/// One operation, and its bodies that are still to be put in.
type Written = (Method, Value, Vec<Body>);

/// A body's schema, to be put at a JSON pointer in its operation once components are chosen.
struct Body {
    at: String,
    schema: Value,
    name: String,
}

struct Writer {
    openapi: OpenApi,
    schemes: Schemes,
    ids: BTreeSet<String>,
    tags: BTreeSet<String>,
}

impl Writer {
    fn operation(
        &mut self,
        template: &str,
        path: &[Part],
        method: Method,
        operation: &Operation,
    ) -> (Value, Vec<Body>, OperationSummary) {
        let (good, failed) = (&operation.good, operation.failed.as_ref());
        let path_names = names::parameters(path);
        let id = self.unique(names::operation_id(method, path, &path_names));
        let tag = names::tag(path);
        self.tags.insert(tag.clone());
        let mut out = Map::new();
        let mut bodies = Vec::new();
        out.insert("tags".into(), json!([tag]));
        out.insert("summary".into(), json!(names::summary(method, path)));
        out.insert("operationId".into(), json!(id));
        let parameters = self.parameters(path, &path_names, good, failed);
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
        let mut responses: BTreeMap<&str, Vec<&Response>> = BTreeMap::new();
        for (status, response) in good
            .responses
            .iter()
            .chain(failed.iter().flat_map(|f| f.responses.iter()))
        {
            responses.entry(status).or_default().push(response);
        }
        let mut written = Map::new();
        let (mut calls, mut errors) = (0, 0);
        for (status, all) in &responses {
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
            extension(good, failed, calls, errors, first, last),
        );
        let summary = OperationSummary {
            method: method.as_str().to_ascii_uppercase(),
            path: template.to_owned(),
            operation_id: id,
            calls,
            errors,
            first_seen: first,
            last_seen: last,
            statuses: responses.keys().filter_map(|s| s.parse().ok()).collect(),
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

    fn parameters(
        &self,
        path: &[Part],
        path_names: &[String],
        good: &Evidence,
        failed: Option<&Evidence>,
    ) -> Vec<Value> {
        let mut out = Vec::new();
        let kinds = path.iter().filter_map(|p| match p {
            Part::Parameter(kinds) => Some(kinds),
            Part::Constant(_) => None,
        });
        for (name, kinds) in path_names.iter().zip(kinds) {
            out.push(
                json!({"name": name, "in": "path", "required": true, "schema": path_schema(kinds)}),
            );
        }
        // Header names are case-insensitive and arrive in lower case; a query parameter and a header may share a name.
        for (place, of) in [
            ("query", (&good.query, failed.map(|f| &f.query))),
            ("header", (&good.headers, failed.map(|f| &f.headers))),
        ] {
            let mut all: BTreeMap<&str, Parameter> = BTreeMap::new();
            for (name, p) in of.0.iter() {
                all.insert(name, p.clone());
            }
            for (name, p) in of.1.iter().flat_map(|f| f.iter()) {
                use crate::bounded::Entry;
                all.entry(name).or_default().values.merge(p.values.clone());
            }
            for (name, p) in all {
                let mut parameter = Map::from_iter([
                    ("name".to_owned(), json!(name)),
                    ("in".to_owned(), json!(place)),
                ]);
                if p.calls == good.calls {
                    parameter.insert("required".into(), json!(true));
                }
                if place == "query" && p.values.empty > 0 {
                    parameter.insert("allowEmptyValue".into(), json!(true));
                }
                parameter.insert("schema".into(), self.parameter_schema(name, &p));
                out.push(Value::Object(parameter));
            }
        }
        out
    }

    fn parameter_schema(&self, name: &str, p: &Parameter) -> Value {
        let schema = Value::Object(
            Dialect {
                openapi: self.openapi,
                textual: true,
            }
            .text(&p.values, name),
        );
        if p.repeated > 0 {
            json!({"type": "array", "items": schema})
        } else {
            schema
        }
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
        let mut out = Map::from_iter([("description".to_owned(), json!(reason(status)))]);
        let headers: Map<String, Value> = response
            .headers
            .iter()
            .map(|(name, p)| {
                (
                    name.to_owned(),
                    json!({"schema": self.parameter_schema(name, p)}),
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

fn path_schema(kinds: &Kinds) -> Value {
    let only = if kinds.words || kinds.classes.len() != 1 {
        None
    } else {
        kinds.classes.first()
    };
    match only {
        Some(Class::Integer) => json!({"type": "integer", "format": "int64"}),
        Some(Class::Uuid) => json!({"type": "string", "format": "uuid"}),
        Some(Class::Date) => json!({"type": "string", "format": "date"}),
        Some(Class::DateTime) => json!({"type": "string", "format": "date-time"}),
        Some(Class::Email) => json!({"type": "string", "format": "email"}),
        _ => json!({"type": "string"}),
    }
}

fn extension(
    good: &Evidence,
    failed: Option<&Evidence>,
    calls: u64,
    errors: u64,
    first: u64,
    last: u64,
) -> Value {
    let mut shims: BTreeSet<&str> = BTreeSet::new();
    let mut latency: BTreeMap<u8, u64> = BTreeMap::new();
    for evidence in [Some(good), failed].into_iter().flatten() {
        shims.extend(evidence.shims.iter().map(|(s, _)| s));
        evidence
            .latency
            .iter()
            .for_each(|(bucket, n)| *latency.entry(*bucket).or_default() += n);
    }
    let mut out = Map::new();
    out.insert("calls".into(), json!(calls));
    out.insert(
        "errorShare".into(),
        json!((errors * 10_000).checked_div(calls).unwrap_or(0) as f64 / 10_000.0),
    );
    out.insert("firstSeen".into(), json!(timestamp(first)));
    out.insert("lastSeen".into(), json!(timestamp(last)));
    if let (Some(p50), Some(p95)) = (quantile(&latency, 50), quantile(&latency, 95)) {
        out.insert("latencyMicros".into(), json!({"p50": p50, "p95": p95}));
    }
    out.insert("shims".into(), json!(shims));
    // Linters refuse templates that end in a slash; whoever calls it has to know all the same.
    if good.slashes == good.calls {
        out.insert("trailingSlash".into(), json!(true));
    }
    Value::Object(out)
}

/// The upper end of the bucket in which the quantile lies.
fn quantile(latency: &BTreeMap<u8, u64>, percent: u64) -> Option<u64> {
    let total: u64 = latency.values().sum();
    let mut left = (total * percent).div_ceil(100);
    for (bucket, n) in latency {
        if left <= *n {
            return Some((1u64.checked_shl(u32::from(*bucket) + 1)).unwrap_or(u64::MAX) - 1);
        }
        left -= n;
    }
    None
}

/// RFC 3339 in UTC, from Unix milliseconds.
fn timestamp(millis: u64) -> String {
    // No clock is off by more than this; a wild value must not make a wild year.
    let seconds = (millis / 1000).min(253_402_300_799);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the civil calendar, after Howard Hinnant's `civil_from_days`.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (
        day_of_year - (153 * shifted + 2) / 5 + 1,
        if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        },
    );
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// The reason phrase of RFC 9110, 15, and of the registry.
fn reason(status: &str) -> &'static str {
    match status {
        "101" => "Switching Protocols",
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        "203" => "Non-Authoritative Information",
        "204" => "No Content",
        "205" => "Reset Content",
        "206" => "Partial Content",
        "207" => "Multi-Status",
        "301" => "Moved Permanently",
        "302" => "Found",
        "303" => "See Other",
        "304" => "Not Modified",
        "307" => "Temporary Redirect",
        "308" => "Permanent Redirect",
        "400" => "Bad Request",
        "401" => "Unauthorized",
        "402" => "Payment Required",
        "403" => "Forbidden",
        "404" => "Not Found",
        "405" => "Method Not Allowed",
        "406" => "Not Acceptable",
        "408" => "Request Timeout",
        "409" => "Conflict",
        "410" => "Gone",
        "411" => "Length Required",
        "412" => "Precondition Failed",
        "413" => "Content Too Large",
        "414" => "URI Too Long",
        "415" => "Unsupported Media Type",
        "416" => "Range Not Satisfiable",
        "418" => "I'm a teapot",
        "422" => "Unprocessable Content",
        "423" => "Locked",
        "424" => "Failed Dependency",
        "425" => "Too Early",
        "426" => "Upgrade Required",
        "428" => "Precondition Required",
        "429" => "Too Many Requests",
        "431" => "Request Header Fields Too Large",
        "451" => "Unavailable For Legal Reasons",
        "500" => "Internal Server Error",
        "501" => "Not Implemented",
        "502" => "Bad Gateway",
        "503" => "Service Unavailable",
        "504" => "Gateway Timeout",
        s if s.starts_with('1') => "Informational",
        s if s.starts_with('2') => "Success",
        s if s.starts_with('3') => "Redirection",
        s if s.starts_with('4') => "Client Error",
        _ => "Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_follow_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_772_438_399_999, "2026-03-02T07:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(millis), text);
        }
    }
}
