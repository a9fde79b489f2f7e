//! A document in words: its operations, and what it says of each.
//!
//! In: a document as JSON, OpenAPI 3 or Swagger 2, however odd. Out: lines of text. Only local references are followed, each chain bounded;
//! whatever is nested or repeated, an operation has a bounded number of lines.

use serde_json::{Map, Value};

use super::views::api::{Detail, Line, Part};

/// Lines of one part; more are counted.
const LINES: usize = 300;
/// Levels shown.
const DEPTH: usize = 8;
/// Characters of a description.
const TEXT: usize = 600;

const METHODS: [&str; 9] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace", "query",
];

/// An operation and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    item: &'a Value,
    operation: &'a Value,
}

impl Found<'_> {
    /// `GET /books`, as an address names it.
    pub(super) fn key(&self) -> String {
        format!("{} {}", self.method.to_ascii_uppercase(), self.path)
    }

    pub(super) fn summary(&self) -> String {
        short(text(self.operation, "summary"), 160)
    }

    pub(super) fn deprecated(&self) -> bool {
        self.operation.get("deprecated") == Some(&Value::Bool(true))
    }
}

/// Every operation, in the document's order.
pub(super) fn operations(document: &Value) -> Vec<Found<'_>> {
    let mut all = Vec::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let item = resolve(document, item);
        for (method, operation) in item.as_object().into_iter().flatten() {
            if operation.is_object() && METHODS.contains(&method.to_ascii_lowercase().as_str()) {
                all.push(Found {
                    method,
                    path,
                    item,
                    operation,
                });
            }
        }
    }
    all
}

/// Whether a word is in the operation's path, name, texts or fields. `word` is in lower case.
pub(super) fn mentions(document: &Value, found: &Found<'_>, word: &str) -> bool {
    let in_head = [
        found.path,
        text(found.operation, "summary"),
        text(found.operation, "operationId"),
        text(found.operation, "description"),
    ]
    .into_iter()
    .chain([found.method])
    .any(|text| text.to_lowercase().contains(word));
    in_head
        || detail(document, found)
            .parts
            .iter()
            .flat_map(|part| &part.lines)
            .any(|line| line.name.to_lowercase().contains(word))
}

/// What a document says of an operation.
pub(super) fn detail(document: &Value, found: &Found<'_>) -> Detail {
    let mut parts = Vec::new();
    let parameters: Vec<&Value> = [found.item, found.operation]
        .into_iter()
        .filter_map(|holder| holder.get("parameters")?.as_array())
        .flatten()
        .map(|parameter| resolve(document, parameter))
        .collect();
    for (place, title) in [
        ("path", "Path parameters"),
        ("query", "Query parameters"),
        ("header", "Headers"),
        ("cookie", "Cookies"),
        ("formData", "Form fields"),
    ] {
        let mut part = Part {
            title: title.to_owned(),
            ..Part::default()
        };
        for parameter in parameters.iter().filter(|p| text(p, "in") == place) {
            let schema = parameter.get("schema").unwrap_or(parameter);
            let mut line = Line {
                name: short(text(parameter, "name"), 120),
                kind: kind(document, schema, 0),
                required: parameter.get("required") == Some(&Value::Bool(true)),
                note: note(document, schema),
                depth: 0,
            };
            if line.note.is_empty() {
                line.note = short(text(parameter, "description"), 200);
            }
            push(&mut part.lines, line);
        }
        if !part.lines.is_empty() {
            parts.push(part);
        }
    }
    for body in parameters.iter().filter(|p| text(p, "in") == "body") {
        let mut part = Part {
            title: "Request body".to_owned(),
            note: short(text(body, "description"), TEXT),
            lines: Vec::new(),
        };
        whole(document, body.get("schema"), &mut part.lines);
        parts.push(part);
    }
    if let Some(body) = found.operation.get("requestBody") {
        contents(
            document,
            resolve(document, body),
            "Request body",
            &mut parts,
        );
    }
    let responses = found.operation.get("responses").and_then(Value::as_object);
    for (status, response) in responses.into_iter().flatten().take(60) {
        let response = resolve(document, response);
        let title = format!("Response {}", short(status, 20));
        if let Some(schema) = response.get("schema") {
            let mut part = Part {
                title,
                note: short(text(response, "description"), TEXT),
                lines: Vec::new(),
            };
            whole(document, Some(schema), &mut part.lines);
            parts.push(part);
        } else {
            contents(document, response, &title, &mut parts);
        }
    }
    Detail {
        description: short(text(found.operation, "description"), TEXT),
        parts,
    }
}

/// A part for each media type; one without lines where there is none.
fn contents(document: &Value, holder: &Value, title: &str, parts: &mut Vec<Part>) {
    let note = short(text(holder, "description"), TEXT);
    let kinds: Vec<(&String, &Value)> = holder
        .get("content")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .take(20)
        .collect();
    if kinds.is_empty() {
        parts.push(Part {
            title: title.to_owned(),
            note: note.clone(),
            lines: Vec::new(),
        });
    }
    for (media, content) in kinds {
        let mut part = Part {
            title: format!("{title}, {}", short(media, 80)),
            note: note.clone(),
            lines: Vec::new(),
        };
        whole(document, content.get("schema"), &mut part.lines);
        parts.push(part);
    }
}

/// A schema that stands for itself: a line for it, and its members below.
fn whole(document: &Value, schema: Option<&Value>, lines: &mut Vec<Line>) {
    let Some(schema) = schema else { return };
    push(
        lines,
        Line {
            kind: kind(document, schema, 0),
            note: note(document, schema),
            ..Line::default()
        },
    );
    members(document, schema, 1, &mut Vec::new(), lines);
}

/// The members of an object, of an array's items, of alternatives. `above`: the schemas this one is in.
fn members<'a>(
    document: &'a Value,
    schema: &'a Value,
    depth: usize,
    above: &mut Vec<*const Value>,
    lines: &mut Vec<Line>,
) {
    let schema = resolve(document, schema);
    if depth > DEPTH || lines.len() > LINES || above.contains(&std::ptr::from_ref(schema)) {
        return;
    }
    above.push(std::ptr::from_ref(schema));
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if lines.len() > LINES {
            break;
        }
        push(
            lines,
            Line {
                depth,
                name: short(name, 120),
                kind: kind(document, property, 0),
                required: required.contains(&name.as_str()),
                note: note(document, property),
            },
        );
        members(document, property, depth + 1, above, lines);
    }
    if let Some(items) = schema.get("items") {
        members(document, items, depth, above, lines);
    }
    if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
        push(
            lines,
            Line {
                depth,
                name: "{any name}".to_owned(),
                kind: kind(document, values, 0),
                note: note(document, values),
                required: false,
            },
        );
        members(document, values, depth + 1, above, lines);
    }
    for part in list(schema, "allOf") {
        members(document, part, depth, above, lines);
    }
    for (word, title) in [("oneOf", "one of"), ("anyOf", "any of")] {
        for (at, part) in list(schema, word).enumerate() {
            push(
                lines,
                Line {
                    depth,
                    name: String::new(),
                    kind: format!("{title}, {}: {}", at + 1, kind(document, part, 0)),
                    note: note(document, part),
                    required: false,
                },
            );
            members(document, part, depth + 1, above, lines);
        }
    }
    above.pop();
}

fn list<'a>(schema: &'a Value, word: &str) -> impl Iterator<Item = &'a Value> {
    schema
        .get(word)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(50)
}

fn push(lines: &mut Vec<Line>, line: Line) {
    match lines.len() {
        n if n < LINES => lines.push(line),
        LINES => lines.push(Line {
            kind: "… and more, as the document has it".to_owned(),
            ..Line::default()
        }),
        _ => {}
    }
}

/// `string (date-time)`, `array of Book`, `integer or null`.
fn kind(document: &Value, schema: &Value, depth: usize) -> String {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.rsplit('/').next())
        .map(|name| short(name, 80));
    let schema = resolve(document, schema);
    if let Some(Value::Bool(allowed)) = Some(schema) {
        return if *allowed { "anything" } else { "nothing" }.to_owned();
    }
    let mut words: Vec<String> = match schema.get("type") {
        Some(Value::String(word)) => vec![word.clone()],
        Some(Value::Array(words)) => words
            .iter()
            .filter_map(Value::as_str)
            .take(8)
            .map(str::to_owned)
            .collect(),
        _ if schema.get("properties").is_some() => vec!["object".to_owned()],
        _ if schema.get("items").is_some() => vec!["array".to_owned()],
        _ => Vec::new(),
    };
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        words.push("null".to_owned());
    }
    for word in &mut words {
        *word = short(word, 40);
        if word == "array"
            && depth < 4
            && let Some(items) = schema.get("items")
        {
            *word = format!("array of {}", kind(document, items, depth + 1));
        } else if word == "object"
            && let Some(name) = &name
        {
            word.clone_from(name);
        }
    }
    let mut text = words.join(" or ");
    if text.is_empty() {
        text = name.unwrap_or_else(|| {
            let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf"));
            if alternatives.is_some() {
                "alternatives"
            } else {
                "anything"
            }
            .to_owned()
        });
    }
    let format = self::text(schema, "format");
    if !format.is_empty() {
        text.push_str(&format!(" ({})", short(format, 40)));
    }
    text
}

/// What else is said of a value: what it may be, between what, and in words.
fn note(document: &Value, schema: &Value) -> String {
    let schema = resolve(document, schema);
    let mut said: Vec<String> = Vec::new();
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let shown: Vec<String> = values.iter().take(12).map(plain).collect();
        let more = if values.len() > 12 { ", …" } else { "" };
        said.push(format!("one of {}{more}", shown.join(", ")));
    }
    if let Some(value) = schema.get("const") {
        said.push(format!("always {}", plain(value)));
    }
    for (word, title) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least characters"),
        ("maxLength", "at most characters"),
        ("minItems", "at least items"),
        ("maxItems", "at most items"),
        ("pattern", "like"),
        ("default", "default"),
    ] {
        if let Some(value) = schema.get(word) {
            said.push(format!("{title} {}", plain(value)));
        }
    }
    let words = self::text(schema, "description");
    if !words.is_empty() {
        said.push(short(words, 200));
    }
    said.join("; ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => short(text, 60),
        other => short(&other.to_string(), 60),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn short(text: &str, most: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most).collect();
    cut.push('…');
    cut
}

/// What a reference of the document itself leads to; what leads nowhere, or in a circle, stays as it is.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let mut here = value;
    for _ in 0..16 {
        let reference = here
            .as_object()
            .and_then(|object: &Map<String, Value>| object.get("$ref"))
            .and_then(Value::as_str);
        let Some(pointer) = reference.and_then(|text| text.strip_prefix('#')) else {
            return here;
        };
        let decoded = percent(pointer);
        match document.pointer(&decoded) {
            Some(next) => here = next,
            None => return here,
        }
    }
    here
}

/// A fragment of a URI as it is meant: `%7B` is `{`.
fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = bytes
            .get(at + 1..at + 3)
            .filter(|_| *byte == b'%')
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        out.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(document: &Value) -> Vec<String> {
        let all = operations(document);
        let parts = detail(document, &all[0]).parts;
        parts
            .into_iter()
            .flat_map(|part| {
                let lines = part.lines.into_iter().map(|line| {
                    format!(
                        "{}{} {} {}",
                        "  ".repeat(line.depth),
                        line.name,
                        line.kind,
                        line.note
                    )
                    .trim_end()
                    .to_owned()
                });
                [part.title].into_iter().chain(lines).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn an_operation_is_told_with_what_its_references_lead_to() {
        let document = json!({
            "paths": { "/books/{id}": { "parameters": [{ "$ref": "#/components/parameters/id" }], "get": { "responses": {
                "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Book" } } } }
            } } } },
            "components": {
                "parameters": { "id": { "name": "id", "in": "path", "required": true, "schema": { "type": "string", "format": "uuid" } } },
                "schemas": { "Book": { "type": "object", "properties": {
                    "title": { "type": "string", "maxLength": 80 },
                    "related": { "type": "array", "items": { "$ref": "#/components/schemas/Book" } }
                } } }
            }
        });
        assert_eq!(
            lines(&document),
            [
                "Path parameters",
                "id string (uuid)",
                "Response 200, application/json",
                " Book",
                "  title string at most characters 80",
                "  related array of Book",
            ]
        );
    }

    #[test]
    fn swagger_2_is_told_too() {
        let document = json!({
            "swagger": "2.0",
            "paths": { "/a": { "post": {
                "parameters": [{ "in": "body", "name": "b", "schema": { "properties": { "x": { "type": "integer" } } } }],
                "responses": { "201": { "description": "made", "schema": { "type": "string" } } }
            } } }
        });
        assert_eq!(
            lines(&document),
            [
                "Request body",
                " object",
                "  x integer",
                "Response 201",
                " string"
            ]
        );
    }

    #[test]
    fn circles_and_floods_end() {
        let mut properties = serde_json::Map::new();
        for at in 0..1_000 {
            properties.insert(
                format!("p{at}"),
                json!({ "$ref": "#/components/schemas/A" }),
            );
        }
        let document = json!({
            "paths": { "/": { "get": { "responses": { "200": { "content": { "x": { "schema": { "$ref": "#/components/schemas/A" } } } } } } } },
            "components": { "schemas": {
                "A": { "properties": properties, "allOf": [{ "$ref": "#/components/schemas/A" }] },
                "B": { "$ref": "#/components/schemas/B" }
            } }
        });
        assert!(lines(&document).len() <= LINES + 3);
        assert!(resolve(&document, &document["components"]["schemas"]["B"]).is_object());
    }

    #[test]
    fn what_is_no_document_has_no_operations() {
        for odd in [
            json!(null),
            json!([]),
            json!({ "paths": [] }),
            json!({ "paths": { "/": null } }),
            json!({ "paths": { "/": { "get": 1 } } }),
        ] {
            assert!(operations(&odd).is_empty(), "{odd}");
        }
    }
}
