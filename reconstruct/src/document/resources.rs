//! Resources of JSON:API (1.1): objects whose member `type` says what they are.
//!
//! In: objects of bodies that say they are JSON:API, and their schemas. Out: the type where it is a name that never varies, and the names
//! of components after it: `Article`, `ArticleIdentifier`, `ArticleDocument`, `ArticleCollection`.

use super::components::Name;
use super::names;
use crate::class::Class;
use crate::keys;
use crate::shape::Objects;
use serde_json::{Map, Value};

/// The media type that makes `type` a name.
pub(crate) const MEDIA: &str = "application/vnd.api+json";
/// Objects of a type, before its name is believed.
const LEAST_OBJECTS: u64 = 3;
/// What an object may have that only refers to a resource.
const OF_IDENTIFIERS: [&str; 4] = ["id", "lid", "meta", "type"];

/// The type of resources and of what refers to them, where all have the same one.
pub(crate) fn type_of(objects: &Objects) -> Option<&str> {
    let has = |name: &str| objects.members.get(name).is_some();
    let texts = objects.members.get("type")?.shape.strings.as_ref()?;
    let mut words = texts.vocabulary()?;
    let word = words.next()?;
    let whole = words.next().is_none() && texts.empty == 0 && texts.count >= LEAST_OBJECTS;
    let resource = ["id", "lid", "attributes", "relationships"]
        .into_iter()
        .any(has);
    (whole && resource && objects.requires("type") && is_type(word)).then_some(word)
}

/// A name as the specification has them (5.8): letters, and joints between words.
fn is_type(word: &str) -> bool {
    word.len() <= 40
        && word.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b))
        && Class::of(word).is_none()
        && !keys::is_data(word)
}

/// What a schema with one type is called.
pub(crate) fn name(map: &Map<String, Value>) -> Option<Name> {
    let members = map.get("properties")?.as_object()?;
    let of_type = members.get("type")?.get("enum")?.as_array()?;
    let word = of_type.first().filter(|_| of_type.len() == 1)?.as_str()?;
    let resource = names::nested(word);
    let identifier =
        members.keys().all(|m| OF_IDENTIFIERS.contains(&m.as_str())) && members.contains_key("id");
    let is_object = |name: &str| {
        members
            .get(name)
            .is_some_and(|m| m.get("properties").is_some())
    };
    if identifier {
        let name = format!("{resource}Identifier");
        return Some(Name {
            short: name.clone(),
            long: name,
        });
    }
    (is_object("attributes") || is_object("relationships")).then(|| Name {
        long: if members.contains_key("id") {
            format!("{resource}Resource")
        } else {
            format!("{resource}Request")
        },
        short: resource,
    })
}

/// What a document is called whose primary data are resources of one type.
pub(crate) fn document(map: &Map<String, Value>) -> Option<Name> {
    let data = map.get("properties")?.get("data")?.as_object()?;
    let (resource, kind) = match data.get("items") {
        Some(items) => (name(items.as_object()?)?, "Collection"),
        None => (name(data)?, "Document"),
    };
    let with = |base: &str| format!("{base}{kind}");
    Some(Name {
        short: with(&resource.short),
        long: with(&resource.long),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Value, of: fn(&Map<String, Value>) -> Option<Name>, expected: Option<&str>) {
        let found = of(schema.as_object().unwrap());
        assert_eq!(found.map(|n| n.short).as_deref(), expected, "{schema}");
    }

    #[test]
    fn schemas_are_named_after_the_type() {
        let text = json!({"type": "string"});
        let of_type = |words: &[&str]| json!({"type": "string", "enum": words});
        let article = json!({"properties": {"type": of_type(&["blog-posts"]), "id": text, "attributes": {"properties": {}}}});
        check(article.clone(), name, Some("BlogPost"));
        check(
            json!({"properties": {"type": of_type(&["people"]), "id": text}}),
            name,
            Some("PersonIdentifier"),
        );
        check(
            json!({"properties": {"type": of_type(&["a", "b"]), "id": text, "attributes": {"properties": {}}}}),
            name,
            None,
        );
        check(
            json!({"properties": {"type": of_type(&["card"]), "number": text}}),
            name,
            None,
        );
        check(
            json!({"properties": {"data": article}}),
            document,
            Some("BlogPostDocument"),
        );
        check(
            json!({"properties": {"data": {"type": "array", "items": article}}}),
            document,
            Some("BlogPostCollection"),
        );
        check(json!({"properties": {"data": text}}), document, None);
    }
}
