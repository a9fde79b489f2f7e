//! A small validator of JSON Schema as documents use it: types, members, items, alternatives, enumerations, formats.

#![allow(unreachable_pub, reason = "a test's module")]

use serde_json::Value;

/// What is wrong with `value` under `schema`, if anything.
pub fn refused(root: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(at) = schema.get("$ref").and_then(Value::as_str) {
        let target = root
            .pointer(at.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{at} leads nowhere"));
        return refused(root, target, value);
    }
    if schema.get("nullable") == Some(&Value::Bool(true)) && value.is_null() {
        return None;
    }
    if let Some(all) = schema.get("anyOf").and_then(Value::as_array)
        && all.iter().all(|s| refused(root, s, value).is_some())
    {
        return Some(format!("{value} fits none of {schema}"));
    }
    if let Some(all) = schema.get("oneOf").and_then(Value::as_array) {
        let fit = |s: &&Value| refused(root, s, value).is_none();
        if all.iter().filter(fit).count() != 1 {
            return Some(format!("{value} does not fit one of {schema}"));
        }
    }
    if let Some(kind) = schema.get("type") {
        let fits = |kind: &Value| match kind.as_str() {
            Some("null") => value.is_null(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0)
            }
            Some("number") => value.is_number(),
            Some("string") => value.is_string(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => panic!("{kind} is no type"),
        };
        if !kind
            .as_array()
            .map_or_else(|| fits(kind), |all| all.iter().any(fits))
        {
            return Some(format!("{value} is no {kind}"));
        }
    }
    if let Some(members) = schema.get("enum").and_then(Value::as_array)
        && !members.contains(value)
    {
        return Some(format!("{value} is none of {members:?}"));
    }
    if let (Some(format), Some(text)) =
        (schema.get("format").and_then(Value::as_str), value.as_str())
        && !has_format(format, text)
    {
        return Some(format!("{text:?} is no {format}"));
    }
    if let Some(all) = value.as_array() {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let length = all.len() as u64;
        if bound("minItems").is_some_and(|n| length < n)
            || bound("maxItems").is_some_and(|n| length > n)
        {
            return Some(format!("{value} is too short or too long"));
        }
        let positions = schema.get("prefixItems").and_then(Value::as_array);
        for (at, item) in positions.into_iter().flatten().zip(all) {
            if let Some(why) = refused(root, at, item) {
                return Some(why);
            }
        }
    }
    if let (Some(items), Some(all)) = (schema.get("items"), value.as_array()) {
        return all.iter().find_map(|v| refused(root, items, v));
    }
    if let Some(object) = value.as_object() {
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if !object.contains_key(name.as_str().unwrap()) {
                return Some(format!("{name} is missing in {value}"));
            }
        }
        let properties = schema.get("properties");
        return object
            .iter()
            .find_map(|(name, v)| match properties.and_then(|p| p.get(name)) {
                Some(s) => refused(root, s, v),
                None => schema
                    .get("additionalProperties")
                    .and_then(|s| refused(root, s, v)),
            });
    }
    None
}

/// By other means than the library's own, where there are any.
fn has_format(format: &str, text: &str) -> bool {
    match format {
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "uuid" => {
            text.len() == 36
                && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
                && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
        }
        "email" => text.split('@').count() == 2 && !text.contains(' '),
        "date" => text.split('-').map(str::len).eq([4, 2, 2]),
        "date-time" => {
            text.contains('T')
                && (text.ends_with(['Z', 'z'])
                    || text.contains('+')
                    || text.matches('-').count() == 3)
        }
        "uri" => text.contains(':') && !text.contains(char::is_whitespace),
        _ => true,
    }
}
