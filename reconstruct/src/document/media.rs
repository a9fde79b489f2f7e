//! What is said of bodies whose media type says more than a schema can.
//!
//! In: media types, notes, and schemas of forms. Out: descriptions, and how the parts of a form are encoded. Media types that say
//! nothing beyond "characters" or "octets" get no words.

use super::OpenApi;
use crate::body::{Bodies, Kind};
use crate::forms;
use crate::notes::Notes;
use crate::table;
use serde_json::{Map, Value, json};

/// What a text or octets of a media type are.
pub(crate) fn description(media: &str, notes: &Notes) -> Option<String> {
    if let Some(separator) = table::separator(media) {
        let kind = if separator == '\t' {
            "Tab-separated values"
        } else {
            "Comma-separated values (RFC 4180)"
        };
        return Some(match table::columns(notes) {
            Some(columns) => format!("{kind} with the columns `{}`.", columns.join("`, `")),
            None => format!("{kind}."),
        });
    }
    let words = match media {
        "text/event-stream" => "A stream of server-sent events (HTML, 9.2).",
        "application/x-protobuf"
        | "application/protobuf"
        | "application/x-google-protobuf"
        | "application/vnd.google.protobuf" => "A Protocol Buffers message.",
        "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
            "A MessagePack value."
        }
        "application/cbor" => "A CBOR data item (RFC 8949).",
        "application/cbor-seq" => "A sequence of CBOR data items (RFC 8742).",
        "application/bson" => "A BSON document.",
        "avro/binary"
        | "application/avro"
        | "application/x-avro"
        | "application/vnd.apache.avro" => "Avro data.",
        "application/vnd.apache.arrow.stream" | "application/vnd.apache.arrow.file" => {
            "Arrow record batches."
        }
        "application/vnd.apache.parquet" => "A Parquet file.",
        m if m.starts_with("application/grpc-web-text") => "Frames of gRPC-Web, as Base64.",
        m if m.starts_with("application/grpc-web") => "Frames of gRPC-Web.",
        m if m.ends_with("+protobuf") => "A Protocol Buffers message.",
        m if m.ends_with("+msgpack") => "A MessagePack value.",
        m if m.ends_with("+cbor") => "A CBOR data item (RFC 8949).",
        _ => return None,
    };
    Some(words.to_owned())
}

/// What has to be said of the bodies of a message, because a schema only describes one line.
pub(crate) fn of_lines(bodies: &Bodies) -> Option<&'static str> {
    let mut lines = bodies
        .media
        .iter()
        .map(|(media, _)| media)
        .filter(|m| Kind::of(m) == Kind::JsonLines);
    Some(match lines.next()? {
        "application/json-seq" => "a sequence of JSON texts (RFC 7464)",
        _ => "one JSON value on each line",
    })
}

/// Makes lists of the fields that came several times.
pub(crate) fn listed(schema: Value, notes: &Notes) -> Value {
    let mut schema = schema;
    if let Some(Value::Object(members)) = schema.get_mut("properties") {
        for (name, member) in members {
            if forms::is_repeated(notes, name) {
                *member = json!({"type": "array", "items": member.take()});
            }
        }
    }
    schema
}

/// The media types of the fields of a multipart form (3.1, Encoding Object), but for those that are what a reader expects. Where
/// a field's files are of one type, its schema says so.
pub(crate) fn encoding(schema: &mut Value, notes: &Notes, openapi: OpenApi) -> Map<String, Value> {
    let mut out = Map::new();
    let Some(Value::Object(members)) = schema.get_mut("properties") else {
        return out;
    };
    for (name, member) in members {
        let types = forms::types(notes, name);
        let one = match member.get_mut("items") {
            Some(items) => items,
            None => member,
        };
        if let ([only], OpenApi::V31, Value::Object(file)) = (&types[..], openapi, &mut *one)
            && file.contains_key("contentMediaType")
        {
            file.insert("contentMediaType".into(), json!(only));
        }
        let usual = match one.get("type").and_then(Value::as_str) {
            _ if one.get("contentMediaType").is_some() || one["format"] == "binary" => {
                "application/octet-stream"
            }
            Some("object") => "application/json",
            _ => "text/plain",
        };
        if !types.is_empty() && types != [usual] {
            out.insert(name.clone(), json!({"contentType": types.join(", ")}));
        }
    }
    out
}
