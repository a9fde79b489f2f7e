//! From the tree to operations, for all three versions.
//!
//! In: a [`Reader`]. Out: operations with everything that holds for them in one place: parameters of the path item and of the
//! operation, base paths of the nearest servers, the security that applies. Swagger 2.0's body and form parameters become a
//! body, its `produces` and `consumes` media types.

use std::collections::{BTreeMap, BTreeSet};

use crate::description::{
    Body, Content, Credential, Operation, Parameter, Place, Response, Security, Seen, Version,
};
use crate::read::{At, Reader};
use crate::schema::Schema;
use crate::servers::{bases, servers, urls};
use crate::template::Template;
use crate::tree::{Node, Value, join};

/// OpenAPI 3.1, "Path Item Object".
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];
/// What holds for all operations unless they say otherwise.
struct Common {
    bases: Vec<String>,
    security: Security,
    schemes: BTreeMap<String, Credential>,
    consumes: Vec<String>,
    produces: Vec<String>,
}

/// Reads all operations.
pub(crate) fn read(reader: &mut Reader<'_>) -> Vec<Operation> {
    let root = reader.root();
    let schemes = schemes(reader);
    let common = Common {
        bases: bases(&servers(reader)),
        security: security(reader, &root, &schemes).unwrap_or_default(),
        schemes,
        consumes: media_list(&root, "consumes"),
        produces: media_list(&root, "produces"),
    };
    let mut operations = Vec::new();
    let mut ids = BTreeSet::new();
    let Some(paths) = reader.object(&root, "paths") else {
        if reader.version == Version::OpenApi30 || reader.version == Version::Swagger20 {
            reader.problem(&root, || {
                "there is no `paths`; want an object of path templates".to_owned()
            });
        }
        return operations;
    };
    for (path, item) in paths.members() {
        if path.starts_with("x-") {
            continue;
        }
        if !path.starts_with('/') {
            reader.problem(&item, || {
                format!("the path `{path}` does not begin with a slash")
            });
        }
        let own = item.pointer.clone();
        let Some(item) = reader.follow(item) else {
            continue;
        };
        if item.node.object().is_none() {
            reader.problem(&item, || {
                format!(
                    "the path item is {}, and should be an object",
                    item.node.kind()
                )
            });
            continue;
        }
        let shared = parameters(reader, &item);
        for method in METHODS {
            let Some(at) = reader.object(&item, method) else {
                continue;
            };
            // The place in `paths`, though a reference may lead elsewhere: that is where people look.
            let pointer = join(&own, method);
            let operation = operation(reader, &common, &item, &shared, method, path, at, pointer);
            if let Some(id) = &operation.id
                && !ids.insert(id.clone())
            {
                let at = item.get(method).unwrap_or(item.clone());
                reader.problem(&at, || {
                    format!("operationId `{id}` is there twice; each must be unique")
                });
            }
            operations.push(operation);
        }
    }
    operations
}

#[allow(clippy::too_many_arguments)]
fn operation<'a>(
    reader: &mut Reader<'a>,
    common: &Common,
    item: &At<'a>,
    shared: &Parameters<'a>,
    method: &str,
    path: &str,
    at: At<'a>,
    pointer: String,
) -> Operation {
    let own = parameters(reader, &at);
    let mut all: BTreeMap<(Place, String), Parameter> = BTreeMap::new();
    for parameter in shared.plain.iter().chain(&own.plain) {
        all.insert(parameter.key(), parameter.clone());
    }
    let template = Template::parse(path);
    for (place, name) in all.keys() {
        if *place == Place::Path && !template.parameters().contains(&name.as_str()) {
            reader.problem(&at, || {
                format!("path parameter `{name}` is not in the path `{path}`")
            });
        }
    }
    for name in template.parameters() {
        if !all.contains_key(&(Place::Path, name.to_owned())) {
            reader.problem(&at, || {
                format!("path parameter `{name}` of `{path}` is not declared under `parameters`")
            });
        }
    }
    let body = if reader.version == Version::Swagger20 {
        let consumes = own_media(&at, "consumes", &common.consumes);
        let body = own.body.as_ref().or(shared.body.as_ref());
        let form: Vec<At<'a>> = shared.form.iter().chain(&own.form).cloned().collect();
        match (body, form.is_empty()) {
            (Some(body), _) => Some(swagger_body(reader, body, &consumes)),
            (None, false) => Some(swagger_form(reader, &form, &consumes)),
            (None, true) => None,
        }
    } else {
        reader.object(&at, "requestBody").map(|body| Body {
            required: body.flag("required"),
            content: content(reader, &body),
            pointer: body.pointer,
        })
    };
    let produces = own_media(&at, "produces", &common.produces);
    let responses = responses(reader, &at, &produces);
    let servers = ["servers"].iter().find_map(|name| {
        let nearest = at.get(name).or_else(|| item.get(name))?;
        let urls: Vec<String> = nearest.items().flat_map(|server| urls(&server)).collect();
        (!urls.is_empty()).then(|| bases(&urls))
    });
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        template,
        bases: servers.unwrap_or_else(|| common.bases.clone()),
        id: at.text("operationId").map(str::to_owned),
        summary: at.text("summary").unwrap_or_default().to_owned(),
        deprecated: at.flag("deprecated"),
        parameters: all.into_values().collect(),
        body,
        responses,
        security: security(reader, &at, &common.schemes).unwrap_or_else(|| common.security.clone()),
        seen: at.get("x-silhouette").map(|seen| self::seen(&seen)),
        pointer,
    }
}

fn seen(at: &At<'_>) -> Seen {
    let text = |name| at.text(name).map(str::to_owned);
    let calls = at.node.get("calls").and_then(Node::number).unwrap_or(0.0);
    Seen {
        calls: calls.max(0.0) as u64,
        first: text("firstSeen"),
        last: text("lastSeen"),
    }
}

/// Parameters of a path item or an operation.
#[derive(Default)]
struct Parameters<'a> {
    plain: Vec<Parameter>,
    /// Swagger 2.0: `in: body`.
    body: Option<At<'a>>,
    /// Swagger 2.0: `in: formData`.
    form: Vec<At<'a>>,
}

fn parameters<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Parameters<'a> {
    let mut out = Parameters::default();
    let Some(list) = at.get("parameters") else {
        return out;
    };
    if list.node.array().is_none() && !matches!(list.node.value, Value::Null) {
        reader.problem(&list, || {
            format!(
                "`parameters` is {}, and should be an array",
                list.node.kind()
            )
        });
    }
    for item in list.items() {
        let Some(at) = reader.follow(item) else {
            continue;
        };
        let place = match at.text("in") {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            Some("body") if reader.version == Version::Swagger20 => {
                out.body = Some(at);
                continue;
            }
            Some("formData") if reader.version == Version::Swagger20 => {
                out.form.push(at);
                continue;
            }
            other => {
                reader.problem(&at, || {
                    format!(
                        "`in` of a parameter is {:?}; want path, query, header or cookie",
                        other.unwrap_or("missing")
                    )
                });
                continue;
            }
        };
        let Some(name) = at.text("name") else {
            reader.problem(&at, || "the parameter has no `name`".to_owned());
            continue;
        };
        out.plain.push(parameter(reader, &at, place, name));
    }
    out
}

fn parameter<'a>(reader: &mut Reader<'a>, at: &At<'a>, place: Place, name: &str) -> Parameter {
    let schema = if reader.version == Version::Swagger20 {
        // The parameter itself says what a schema says.
        Some(reader.schema(at))
    } else if let Some(schema) = at.get("schema") {
        Some(reader.schema(&schema))
    } else {
        let media = at
            .get("content")
            .and_then(|content| content.members().next());
        media
            .and_then(|(_, media)| media.get("schema"))
            .map(|schema| reader.schema(&schema))
    };
    Parameter {
        place,
        name: name.to_owned(),
        required: at.flag("required") || place == Place::Path,
        deprecated: at.flag("deprecated"),
        style: style(at, place, reader.version),
        schema,
        pointer: at.pointer.clone(),
    }
}

/// OpenAPI 3.1, "Style Values"; Swagger 2.0's `collectionFormat` in the same words.
fn style(at: &At<'_>, place: Place, version: Version) -> String {
    let query = matches!(place, Place::Query | Place::Cookie);
    if version == Version::Swagger20 {
        return match at.text("collectionFormat") {
            Some("multi") => "form exploded".to_owned(),
            Some("ssv") => "spaceDelimited".to_owned(),
            Some("pipes") => "pipeDelimited".to_owned(),
            Some("tsv") => "tab separated".to_owned(),
            _ if query => "form".to_owned(),
            _ => "simple".to_owned(),
        };
    }
    let style = at
        .text("style")
        .unwrap_or(if query { "form" } else { "simple" });
    let explode = at
        .node
        .get("explode")
        .and_then(Node::bool)
        .unwrap_or(style == "form");
    if explode && style != "simple" && style != "deepObject" {
        format!("{style} exploded")
    } else {
        style.to_owned()
    }
}

/// `application/json; charset=utf-8` is `application/json`.
fn media_type(text: &str) -> String {
    let bare = text.split(';').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

fn media_list(at: &At<'_>, name: &str) -> Vec<String> {
    let list = at.get(name);
    list.iter()
        .flat_map(At::items)
        .filter_map(|item| item.node.str().map(media_type))
        .collect()
}

fn own_media(at: &At<'_>, name: &str, common: &[String]) -> Vec<String> {
    if at.get(name).is_some() {
        media_list(at, name)
    } else {
        common.to_vec()
    }
}

fn content<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> BTreeMap<String, Content> {
    let mut out = BTreeMap::new();
    let Some(content) = reader.object(at, "content") else {
        return out;
    };
    for (media, at) in content.members() {
        let schema = at.get("schema").map(|schema| reader.schema(&schema));
        let content = Content {
            schema,
            pointer: at.pointer,
        };
        out.insert(media_type(media), content);
    }
    out
}

fn responses<'a>(reader: &mut Reader<'a>, at: &At<'a>, produces: &[String]) -> Vec<Response> {
    let mut out = Vec::new();
    let Some(all) = reader.object(at, "responses") else {
        return out;
    };
    for (status, at) in all.members() {
        if status.starts_with("x-") {
            continue;
        }
        let digits = status.as_bytes();
        let valid = status.eq_ignore_ascii_case("default")
            || matches!(digits, [b'1'..=b'5', b, c]
                if (b.is_ascii_digit() && c.is_ascii_digit()) || (b"xX".contains(b) && b"xX".contains(c)));
        if !valid {
            reader.problem(&at, || {
                format!("`{status}` is no status; want 100 to 599, 1XX to 5XX, or default")
            });
        }
        let Some(at) = reader.follow(at) else {
            continue;
        };
        let status = match status {
            status if status.eq_ignore_ascii_case("default") => "default".to_owned(),
            status => status.to_ascii_uppercase(),
        };
        let content = if reader.version == Version::Swagger20 {
            swagger_content(reader, &at, produces)
        } else {
            content(reader, &at)
        };
        let mut headers = Vec::new();
        if let Some(list) = reader.object(&at, "headers") {
            for (name, header) in list.members() {
                let Some(header) = reader.follow(header) else {
                    continue;
                };
                // OpenAPI, "Response Object": a Content-Type header shall be ignored.
                if header.node.object().is_some() && !name.eq_ignore_ascii_case("content-type") {
                    headers.push(parameter(reader, &header, Place::Header, name));
                }
            }
        }
        out.push(Response {
            status,
            content,
            headers,
            pointer: at.pointer,
        });
    }
    out
}

fn swagger_content<'a>(
    reader: &mut Reader<'a>,
    at: &At<'a>,
    produces: &[String],
) -> BTreeMap<String, Content> {
    let Some(schema) = at.get("schema") else {
        return BTreeMap::new();
    };
    let id = reader.schema(&schema);
    let media = or_json(produces).into_iter().map(|media| {
        let content = Content {
            schema: Some(id),
            pointer: schema.pointer.clone(),
        };
        (media, content)
    });
    media.collect()
}

fn or_json(media: &[String]) -> Vec<String> {
    if media.is_empty() {
        vec!["application/json".to_owned()]
    } else {
        media.to_vec()
    }
}

fn swagger_body<'a>(reader: &mut Reader<'a>, at: &At<'a>, consumes: &[String]) -> Body {
    let schema = at.get("schema").map(|schema| reader.schema(&schema));
    let media = or_json(consumes).into_iter().map(|media| {
        let pointer = join(&at.pointer, "schema");
        (media, Content { schema, pointer })
    });
    Body {
        required: at.flag("required"),
        content: media.collect(),
        pointer: at.pointer.clone(),
    }
}

/// Form parameters as the object they are together.
fn swagger_form<'a>(reader: &mut Reader<'a>, form: &[At<'a>], consumes: &[String]) -> Body {
    let mut schema = Schema {
        pointer: form
            .first()
            .map(|at| at.pointer.clone())
            .unwrap_or_default(),
        ..Schema::object()
    };
    let mut files = false;
    for at in form {
        let Some(name) = at.text("name") else {
            continue;
        };
        files |= at.text("type") == Some("file");
        let id = reader.schema(at);
        schema.properties.insert(name.to_owned(), id);
        if at.flag("required") {
            schema.required.insert(name.to_owned());
        }
    }
    let required = !schema.required.is_empty();
    let pointer = schema.pointer.clone();
    let id = reader.schemas.add(schema);
    let mut media: Vec<String> = consumes
        .iter()
        .filter(|media| media.contains("form"))
        .cloned()
        .collect();
    if media.is_empty() {
        media.push(if files {
            "multipart/form-data".to_owned()
        } else {
            "application/x-www-form-urlencoded".to_owned()
        });
    }
    let content = media.into_iter().map(|media| {
        let content = Content {
            schema: Some(id),
            pointer: pointer.clone(),
        };
        (media, content)
    });
    Body {
        required,
        content: content.collect(),
        pointer: pointer.clone(),
    }
}

fn schemes(reader: &mut Reader<'_>) -> BTreeMap<String, Credential> {
    let root = reader.root();
    let all = if reader.version == Version::Swagger20 {
        reader.object(&root, "securityDefinitions")
    } else {
        reader
            .object(&root, "components")
            .and_then(|components| reader.object(&components, "securitySchemes"))
    };
    let mut out = BTreeMap::new();
    for (name, at) in all.iter().flat_map(At::members) {
        let Some(at) = reader.follow(at) else {
            continue;
        };
        let credential = match at.text("type") {
            Some("basic") => Credential::Http("basic".to_owned()),
            Some("http") => {
                Credential::Http(at.text("scheme").unwrap_or("bearer").to_ascii_lowercase())
            }
            Some("apiKey") => {
                let place = match at.text("in") {
                    Some("query") => Place::Query,
                    Some("cookie") => Place::Cookie,
                    _ => Place::Header,
                };
                Credential::Key(place, at.text("name").unwrap_or_default().to_owned())
            }
            Some("oauth2") => Credential::OAuth2,
            Some("openIdConnect") => Credential::OpenIdConnect,
            Some("mutualTLS") => Credential::MutualTls,
            other => {
                reader.problem(&at, || {
                    format!(
                        "security scheme `{name}` has type {:?}; want http, apiKey, oauth2, openIdConnect, mutualTLS or (in Swagger 2.0) basic",
                        other.unwrap_or("missing")
                    )
                });
                Credential::Unknown(name.to_owned())
            }
        };
        out.insert(name.to_owned(), credential);
    }
    out
}

/// `security` of the document or an operation, if it says anything.
fn security(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    schemes: &BTreeMap<String, Credential>,
) -> Option<Security> {
    let list = at.get("security")?;
    list.node.array()?;
    let mut alternatives = Vec::new();
    for item in list.items() {
        let mut set = BTreeMap::new();
        for (name, scopes) in item.members() {
            let credential = schemes.get(name).cloned().unwrap_or_else(|| {
                reader.problem(&item, || format!("security scheme `{name}` is not defined"));
                Credential::Unknown(name.to_owned())
            });
            let scopes = scopes
                .items()
                .filter_map(|scope| scope.node.str().map(str::to_owned));
            set.insert(credential, scopes.collect());
        }
        alternatives.push(set);
    }
    Some(Security { alternatives })
}
