//! XML bodies: schemas with OpenAPI's hints, and that every document that was seen fits the schema under them.

mod common;

use common::{
    Draw, Exchange,
    elements::{archive, wild},
};
use proptest::prelude::*;
use roxmltree::Node;
use serde_json::{Value, json};
use silhouette_reconstruct::{Document, DocumentOptions, HostName, Limits, Model, OpenApi};

fn learnt<'e>(exchanges: impl IntoIterator<Item = &'e Exchange>) -> Model {
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model
}

fn document(model: &Model, openapi: OpenApi) -> Document {
    model.document(
        &HostName::parse(b"archive.example.com", "https").unwrap(),
        &DocumentOptions {
            openapi,
            ..DocumentOptions::default()
        },
    )
}

fn resolved<'v>(root: &'v Value, schema: &'v Value) -> &'v Value {
    match schema["$ref"].as_str() {
        Some(at) => root
            .pointer(at.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{at} leads nowhere")),
        None => schema,
    }
}

fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(all) => all.iter().any(|k| k == kind),
        one => one == kind,
    }
}

/// What is wrong with an element under a schema with hints, if anything.
fn refused(root: &Value, schema: &Value, node: Node<'_, '_>) -> Option<String> {
    let schema = resolved(root, schema);
    let name = node.tag_name();
    if let Some(alternatives) = schema["anyOf"].as_array() {
        let all: Vec<String> = alternatives
            .iter()
            .map_while(|s| refused(root, s, node))
            .collect();
        return (all.len() == alternatives.len()).then(|| all.join(" | "));
    }
    if let Some(namespace) = schema["xml"]["namespace"].as_str()
        && name.namespace().is_some_and(|n| n != namespace)
    {
        return Some(format!("{name:?} is not in {namespace}"));
    }
    schema.get("type")?;
    let nil = node
        .attributes()
        .any(|a| a.name() == "nil" && a.namespace().is_some());
    let text: String = node
        .children()
        .filter_map(|c| c.text().filter(|_| c.is_text()))
        .collect();
    let children: Vec<_> = node.children().filter(Node::is_element).collect();
    let empty = text.trim().is_empty() && children.is_empty();
    let nullable = is(schema, "null") || schema["nullable"] == true;
    if empty && (nil || nullable) {
        return (!nullable).then(|| format!("{name:?} is nil"));
    }
    if is(schema, "array") {
        if schema["xml"]["wrapped"] != true {
            return Some(format!("{name:?} is one element and described as many"));
        }
        return children.iter().find_map(|child| {
            let item = resolved(root, &schema["items"]);
            let named = item["xml"]["name"].as_str();
            if named.is_some_and(|n| n != child.tag_name().name()) {
                return Some(format!("{:?} in {name:?}", child.tag_name()));
            }
            refused(root, item, *child)
        });
    }
    if !is(schema, "object") {
        return if children.is_empty() {
            text_refused(schema, text.trim())
        } else {
            Some(format!("{name:?} has elements"))
        };
    }
    let empty = json!({});
    let members = schema["properties"]
        .as_object()
        .or(empty.as_object())
        .unwrap();
    let mut there: Vec<&str> = Vec::new();
    for attribute in node.attributes() {
        if attribute
            .namespace()
            .is_some_and(|n| n.starts_with("http://www.w3.org/"))
        {
            continue;
        }
        let found = members.iter().find(|(name, s)| {
            s["xml"]["attribute"] == true
                && s["xml"]["name"].as_str().unwrap_or(name) == attribute.name()
        });
        if let Some((member, s)) = found {
            there.push(member);
            if let Some(why) = text_refused(s, attribute.value().trim()) {
                return Some(why);
            }
        } else if !schema["additionalProperties"].is_object() {
            return Some(format!("{name:?} has an attribute {}", attribute.name()));
        }
    }
    for (member, s) in members {
        if s["description"] == "The text of the element."
            && children.is_empty()
            && !text.trim().is_empty()
        {
            there.push(member);
            if let Some(why) = text_refused(s, text.trim()) {
                return Some(why);
            }
        }
    }
    for child in &children {
        let found = members.iter().find(|(name, s)| {
            s["xml"]["attribute"] != true
                && s["description"] != "The text of the element."
                && *name == child.tag_name().name()
        });
        let Some((member, s)) = found else {
            if schema["additionalProperties"].is_object() {
                continue;
            }
            return Some(format!("{name:?} has an element {:?}", child.tag_name()));
        };
        there.push(member);
        let s = resolved(root, s);
        let list = s["type"] == "array" && s["xml"]["wrapped"] != true;
        if !list
            && children
                .iter()
                .filter(|c| c.tag_name().name() == child.tag_name().name())
                .count()
                > 1
        {
            return Some(format!("{:?} is there twice in {name:?}", child.tag_name()));
        }
        if let Some(why) = refused(root, if list { &s["items"] } else { s }, *child) {
            return Some(why);
        }
    }
    schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|r| !there.contains(&r.as_str().unwrap()))
        .map(|r| format!("{r} is missing in {name:?}"))
}

fn text_refused(schema: &Value, text: &str) -> Option<String> {
    if text.is_empty() && (is(schema, "null") || schema["nullable"] == true) {
        return None;
    }
    let fits = match schema["type"]
        .as_array()
        .map_or(&schema["type"], |all| &all[0])
        .as_str()
    {
        Some("integer") => text.parse::<i64>().is_ok(),
        Some("number") => text.parse::<f64>().is_ok(),
        Some("boolean") => matches!(text, "true" | "false" | "True" | "False" | "0" | "1"),
        _ => match schema["format"].as_str() {
            Some("date") => text.split('-').map(str::len).eq([4, 2, 2]),
            Some("uuid") => text.len() == 36,
            _ => true,
        },
    };
    let among = schema["enum"]
        .as_array()
        .is_none_or(|all| all.iter().any(|m| m == text));
    (!fits || !among).then(|| format!("{text:?} is not {schema}"))
}

fn check_sound(exchanges: &[Exchange]) -> Result<(), TestCaseError> {
    let model = learnt(exchanges);
    for openapi in [OpenApi::V30, OpenApi::V31] {
        let document = document(&model, openapi);
        let root = document.as_value();
        for e in exchanges {
            let paths = root["paths"].as_object().unwrap();
            let fits = |t: &&String| {
                **t == e.path
                    || t.split_once('{')
                        .is_some_and(|(start, _)| e.path.starts_with(start))
            };
            let template = paths.keys().find(fits).unwrap();
            let media = if template.starts_with("/things") {
                "text/xml"
            } else {
                "application/xml"
            };
            let operation = &root["paths"][template][e.method.to_lowercase()];
            for (content, body) in [
                (&operation["requestBody"]["content"], &e.request),
                (
                    &operation["responses"][e.status.to_string()]["content"],
                    &e.response,
                ),
            ] {
                let text = String::from_utf8_lossy(body);
                if text.is_empty() {
                    continue;
                }
                let parsed = roxmltree::Document::parse(&text).unwrap();
                let schema = &content[media]["schema"];
                prop_assert!(schema.is_object(), "{} {}", e.method, e.path);
                let described = resolved(root, schema);
                // Several roots are alternatives, of which each has its own name.
                let names: Vec<&Value> = match described["anyOf"].as_array() {
                    Some(all) => all
                        .iter()
                        .map(|s| &resolved(root, s)["xml"]["name"])
                        .collect(),
                    None => vec![&described["xml"]["name"]],
                };
                let name = parsed.root_element().tag_name().name();
                prop_assert!(
                    described == &json!({}) || names.iter().any(|n| n.is_null() || *n == name),
                    "{name} {names:?}"
                );
                if let Some(why) = refused(root, schema, parsed.root_element()) {
                    return Err(TestCaseError::fail(format!(
                        "{why}\n{text}\n{}",
                        document.to_yaml()
                    )));
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_document_fits_its_schema(seed in any::<u64>(), n in 1usize..80) {
        check_sound(&archive(n, seed))?;
        check_sound(&wild(n, seed))?;
    }

    #[test]
    fn order_and_partition_do_not_matter(seed in any::<u64>(), n in 2usize..80) {
        let mut exchanges = wild(n, seed);
        exchanges.extend(archive(n, seed));
        // Some are cut off anywhere.
        let mut d = Draw(seed);
        for e in &mut exchanges {
            if d.below(5) == 0 {
                e.response.truncate(d.below(e.response.len() as u64 + 1) as usize);
                e.complete = false;
            }
        }
        let whole = document(&learnt(&exchanges), OpenApi::V31).to_json();
        let cut = d.below(exchanges.len() as u64) as usize;
        let mut parts = learnt(exchanges.iter().skip(cut).rev());
        parts.merge(Model::from_bytes(&learnt(exchanges.iter().take(cut).rev()).to_bytes()).unwrap());
        prop_assert_eq!(whole, document(&parts, OpenApi::V31).to_json());
    }
}

fn check(at: &str, expected: &Value) {
    let document = document(&learnt(&archive(400, 1)), OpenApi::V31);
    assert_eq!(
        document.as_value().pointer(at),
        Some(expected),
        "{at}\n{}",
        document.to_yaml()
    );
}

#[test]
fn lists_have_their_wrapper_and_namespaces_their_prefix() {
    let own = |mut xml: Value| {
        xml["namespace"] = json!("http://archive.example.com/2020/records");
        xml["prefix"] = json!("a");
        xml
    };
    let body = "/paths/~1records/get/responses/200/content/application~1xml/schema";
    check(&format!("{body}/type"), &json!("array"));
    check(
        &format!("{body}/xml"),
        &own(json!({"wrapped": true, "name": "records"})),
    );
    check(
        &format!("{body}/items/xml"),
        &own(json!({"name": "record"})),
    );
    let record = format!("{body}/items/properties");
    check(
        &format!("{record}/id"),
        &json!({"type": "integer", "xml": {"attribute": true}}),
    );
    check(
        &format!("{record}/pages"),
        &json!({"type": ["integer", "null"], "xml": own(json!({}))}),
    );
    check(
        &format!("{record}/keywords"),
        &json!({
            "type": "array",
            "items": {"type": "string", "enum": ["letters", "maps", "photos"], "xml": own(json!({"name": "keyword"}))},
            "xml": own(json!({"wrapped": true})),
        }),
    );
}

#[test]
fn a_folder_in_a_folder_refers_to_itself() {
    check(
        "/components/schemas/Folder/properties/folder/items",
        &json!({"$ref": "#/components/schemas/Folder"}),
    );
}

#[test]
fn hostile_documents_stay_in_bounds() {
    let mut d = Draw(3);
    let mut model = learnt(&archive(200, 2));
    let limits = Limits::default();
    for i in 0..60 {
        let text = match i % 5 {
            0 => format!("{}1{}", "<a>".repeat(50_000), "</a>".repeat(50_000)),
            1 => {
                let all: String = (0..20_000)
                    .map(|n| format!("<e{n}{} a{n}='x'/>", d.next()))
                    .collect();
                format!("<r>{all}</r>")
            }
            2 => {
                let all: String = (0..20_000)
                    .map(|n| format!(" xmlns:p{n}='urn:a:b{n}'"))
                    .collect();
                format!("<r{all}>{}</r>", "<p7:a/>".repeat(20_000))
            }
            3 => format!("<r a='{}'>{}</r>", "x".repeat(1 << 20), "y".repeat(1 << 20)),
            _ => format!(
                "<!DOCTYPE r [{}]><r>{}</r>",
                "<!ENTITY a '&b;&b;'>".repeat(10_000),
                "&a;".repeat(50_000)
            ),
        };
        Exchange::new("POST", "/records", 201)
            .sends("application/xml", &text)
            .observe(&mut model);
    }
    assert!(model.memory_bytes() <= limits.memory_bytes);
    let document = document(&model, OpenApi::V31);
    let root = document.as_value();
    let list = &root["paths"]["/records"]["get"]["responses"]["200"]["content"]["application/xml"]
        ["schema"];
    assert_eq!(
        list["items"]["properties"]["taken"]["format"], "date",
        "{list}"
    );
    assert!(document.to_json().len() < 1 << 20);
}
