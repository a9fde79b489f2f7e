//! The OpenAPI documents of the REST API: one for each of its definitions.
//!
//! In: what utoipa gathers from the handlers. Out: documents in which every operation also says what all have in common: the key,
//! the headers, and each refusal that can happen. What can happen follows from an operation's shape – whoever has parameters can
//! refuse them, whoever takes a body can refuse that – so that no handler can forget to say it.

use serde_json::{Map, Value, json};

use super::problem::ProblemDocument;

/// One document of the REST API.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// The last word of its URL.
    pub name: &'static str,
    /// Its URL, as the page of Swagger UI sees it, one level below.
    pub url: &'static str,
    /// As the drop-down shows it.
    pub title: &'static str,
    description: &'static str,
    tags: &'static [(&'static str, &'static str)],
}

/// All, in the order of the drop-down.
pub const DEFINITIONS: [Definition; 4] = [
    Definition {
        name: "inventory",
        url: "../openapi/inventory.json",
        title: "Inventory REST API",
        description: "What is there: APIs in discovery and in the catalog, their definitions, revisions, operations and drift, and \
            the targets they are linked to.",
        tags: &[
            ("APIs", "APIs that were discovered, documented or both."),
            (
                "Links",
                "Moving APIs between discovery and catalog, and hiding them.",
            ),
            (
                "Definitions",
                "What one source says of an API, with every revision.",
            ),
            ("Targets", "What APIs are linked to."),
            ("Overview", "What was found over time."),
        ],
    },
    Definition {
        name: "importers",
        url: "../openapi/importers.json",
        title: "API Importers API",
        description: "Where definitions come from: sources, registration tokens and collectors, and documents that are uploaded.",
        tags: &[
            ("Sources", "Traffic analyzers, uploads and URLs."),
            (
                "Collectors",
                "Registration tokens, and the collectors that used them.",
            ),
            (
                "Imports",
                "OpenAPI 3 and Swagger 2 documents from files, texts and URLs.",
            ),
        ],
    },
    Definition {
        name: "scans",
        url: "../openapi/scans.json",
        title: "External Scan API",
        description: "What scanners found: SARIF 2.1.0 in, findings by API and operation out.",
        tags: &[
            ("Scans", "Reports that were imported."),
            ("Findings", "What they found, by API and operation."),
        ],
    },
    Definition {
        name: "identity",
        url: "../openapi/identity.json",
        title: "Identity API",
        description: "Who may do what: organisations, users, roles, API keys, and the audit log.",
        tags: &[
            ("Me", "Who the key belongs to."),
            ("Users", "People and their roles in this organisation."),
            ("Roles", "Built-in and custom roles and their permissions."),
            ("Keys", "API keys."),
            ("Organisations", "Separate worlds."),
            ("Audit log", "Who changed what."),
        ],
    },
];

/// What all definitions say of themselves.
const COMMON: &str = "Send an API key in `X-Auth`. Lists take `pageNumber` and `pageSize` and answer with `items` and \
    `pageInfo`. Refusals are problem documents (RFC 9457) of the media type `application/problem+json`. `X-Correlation-ID` is \
    echoed and logged. Times are RFC 3339 in UTC, ids are UUIDs.";

/// Refusals: status, name of the component, description.
const REFUSALS: [(u16, &str, &str); 11] = [
    (
        400,
        "BadRequest",
        "A parameter cannot be taken, or the body cannot be read.",
    ),
    (
        401,
        "Unauthorized",
        "`X-Auth` is missing, or its key is unknown, expired or revoked.",
    ),
    (
        403,
        "Forbidden",
        "The role of the key's user does not allow this.",
    ),
    (
        404,
        "NotFound",
        "There is no such thing in this organisation.",
    ),
    (
        408,
        "Timeout",
        "The body did not come, or the answer was not made, in time.",
    ),
    (409, "Conflict", "Something stands in the way."),
    (413, "TooLarge", "The body is larger than what is taken."),
    (
        415,
        "UnsupportedMediaType",
        "The media type of the body is not taken.",
    ),
    (
        422,
        "UnprocessableContent",
        "A field of the body cannot be taken.",
    ),
    (
        429,
        "TooManyRequests",
        "Too many unknown keys came from this address.",
    ),
    (
        503,
        "Busy",
        "So many large bodies are being taken at once that there is no memory for another one.",
    ),
];

/// The document of a definition, complete.
///
/// # Panics
/// Never: what utoipa gathers is always JSON.
#[must_use]
pub(super) fn document(definition: &Definition, gathered: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(gathered).unwrap_or_default();
    let tags: Vec<Value> = definition
        .tags
        .iter()
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect();
    document["info"] = json!({
        "title": definition.title,
        "description": format!("{} {COMMON}", definition.description),
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        "version": env!("CARGO_PKG_VERSION"),
    });
    document["servers"] = json!([{"url": "/", "description": "This catalog"}]);
    document["security"] = json!([{"xAuth": []}]);
    document["tags"] = Value::Array(tags);
    let mut used = Vec::new();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, item) in paths {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            complete(operation, &mut used);
        }
    }
    components(&mut document, &used);
    document
}

/// Says of an operation what follows from its shape.
fn complete(operation: &mut Value, used: &mut Vec<u16>) {
    let has_body = operation.get("requestBody").is_some();
    if !operation["parameters"].is_array() {
        operation["parameters"] = json!([]);
    }
    if let Some(text) = operation["description"].as_str() {
        // Lines of a comment in the source are no lines of a text.
        let paragraphs: Vec<String> = text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect();
        operation["description"] = paragraphs.join("\n\n").into();
    }
    if let Some(id) = operation["operationId"].as_str() {
        operation["operationId"] = camel(id).into();
    }
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        for name in ["CorrelationId", "OrganizationId", "UserId"] {
            parameters.push(json!({"$ref": format!("#/components/parameters/{name}")}));
        }
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    // Also without an id in the path: the organisation or the user of a header may not be there.
    let mut statuses = vec![400, 401, 403, 404, 408, 429];
    if has_body {
        statuses.extend([413, 415, 422, 503]);
    }
    for status in statuses {
        responses.entry(status.to_string()).or_insert(json!({}));
    }
    for (status, response) in responses.iter_mut() {
        let number: u16 = status.parse().unwrap_or_default();
        let Some((_, name, common)) = REFUSALS.iter().find(|(refused, ..)| *refused == number)
        else {
            let headers = response_headers(response);
            headers.insert(
                "X-Correlation-ID".to_owned(),
                json!({"$ref": "#/components/headers/CorrelationId"}),
            );
            if number == 201 {
                headers.insert(
                    "Location".to_owned(),
                    json!({"$ref": "#/components/headers/Location"}),
                );
            }
            continue;
        };
        match response.get("description").and_then(Value::as_str) {
            // This operation has more to say about it.
            Some(own) if !own.is_empty() && own != *common => {
                *response = refusal(own);
            }
            _ => {
                used.push(number);
                *response = json!({"$ref": format!("#/components/responses/{name}")});
            }
        }
    }
    let mut sorted: Vec<(String, Value)> = std::mem::take(responses).into_iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    responses.extend(sorted);
}

/// `list_apis` as clients in most languages are named: `listApis`.
fn camel(snake: &str) -> String {
    let mut words = snake.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

fn response_headers(response: &mut Value) -> &mut Map<String, Value> {
    if !response["headers"].is_object() {
        response["headers"] = json!({});
    }
    match &mut response["headers"] {
        Value::Object(headers) => headers,
        _ => unreachable!("it was made an object above"),
    }
}

fn refusal(description: &str) -> Value {
    json!({
        "description": description,
        "headers": {"X-Correlation-ID": {"$ref": "#/components/headers/CorrelationId"}},
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

fn components(document: &mut Value, used: &[u16]) {
    let mut schemas = Vec::new();
    <ProblemDocument as utoipa::ToSchema>::schemas(&mut schemas);
    let components = &mut document["components"];
    if let Some(known) = components["schemas"].as_object_mut() {
        for (name, schema) in schemas {
            known.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
        let problem = <ProblemDocument as utoipa::PartialSchema>::schema();
        known.insert(
            "Problem".to_owned(),
            serde_json::to_value(problem).unwrap_or_default(),
        );
        for (name, schema) in super::values::shared() {
            known
                .entry(name)
                .or_insert_with(|| serde_json::to_value(schema).unwrap_or_default());
        }
        known.sort_keys();
    }
    name_lists(document);
    prune(document);
    let components = &mut document["components"];
    let responses: Map<String, Value> = REFUSALS
        .iter()
        .filter(|(status, ..)| used.contains(status))
        .map(|(status, name, description)| {
            let mut response = refusal(description);
            if [429, 503].contains(status) {
                response["headers"]["Retry-After"] = json!({"description": "Seconds to wait.",
                    "schema": {"type": "integer", "minimum": 0}});
            }
            ((*name).to_owned(), response)
        })
        .collect();
    components["responses"] = Value::Object(responses);
    components["headers"] = json!({
        "CorrelationId": {
            "description": "The request's `X-Correlation-ID`, or the one that was made for it.",
            "schema": {"type": "string"},
        },
        "Location": {
            "description": "Where what was made can be found.",
            "schema": {"type": "string", "format": "uri-reference"},
        },
    });
    components["parameters"] = json!({
        "CorrelationId": {
            "name": "X-Correlation-ID", "in": "header", "required": false,
            "description": "Names this request in the log. Up to 128 printable characters without spaces; anything else is replaced.",
            "schema": {"type": "string"}, "example": "build-4711",
        },
        "OrganizationId": {
            "name": "X-Invicti-OrganizationId", "in": "header", "required": false,
            "description": "The organisation to work in, where the key's user belongs to several. Without it: the key's own.",
            "schema": {"type": "string", "format": "uuid"},
        },
        "UserId": {
            "name": "X-Invicti-UserId", "in": "header", "required": false,
            "description": "The user to act for. Needs the permission `users:act-as`, and allows what both users may do.",
            "schema": {"type": "string", "format": "uuid"},
        },
    });
    components["securitySchemes"] = json!({
        "xAuth": {"type": "apiKey", "in": "header", "name": "X-Auth", "description": "An API key (`slk_…`)."},
    });
}

/// Takes out schemas nothing refers to.
fn prune(document: &mut Value) {
    loop {
        let text = document.to_string();
        let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
            return;
        };
        let before = schemas.len();
        schemas.retain(|name, _| {
            name == "Problem" || text.contains(&format!("\"#/components/schemas/{name}\""))
        });
        if schemas.len() == before {
            return;
        }
    }
}

/// utoipa writes the entries of a generic list into it; each gets its own name, and `ListOf_Api` becomes `ApiList`.
fn name_lists(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let lists: Vec<String> = schemas
        .keys()
        .filter_map(|name| name.strip_prefix("ListOf_").map(str::to_owned))
        .collect();
    for entry in &lists {
        let Some(mut list) = schemas.remove(&format!("ListOf_{entry}")) else {
            continue;
        };
        let items = &mut list["properties"]["items"]["items"];
        if items["type"] == "object" {
            let reference = json!({"$ref": format!("#/components/schemas/{entry}")});
            let schema = std::mem::replace(items, reference);
            schemas.entry(entry).or_insert(schema);
        }
        schemas.insert(format!("{entry}List"), list);
    }
    schemas.sort_keys();
    rename_references(document);
}

fn rename_references(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(entry) = reference.strip_prefix("#/components/schemas/ListOf_")
            {
                *reference = format!("#/components/schemas/{entry}List");
            }
            members.values_mut().for_each(rename_references);
        }
        Value::Array(items) => items.iter_mut().for_each(rename_references),
        _ => {}
    }
}
