//! Writing bodies.
//!
//! In: the evidence of all operations of a document, then one operation's bodies after another. Out: media type objects whose
//! schemas are put in once components are chosen, since only then is known which schemas occur twice.

use super::components::{Components, Name};
use super::entities::Entities;
use super::schema::{Dialect, Values};
use super::{OpenApi, elements, media, recursion, resources};
use crate::body::{self, Kind};
use crate::evidence::Evidence;
use crate::shape::Shape;
use crate::xml;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// A body's schema, to be put at a JSON pointer in its operation.
pub(crate) struct Body {
    at: String,
    schema: Value,
    name: Name,
}

/// Shapes that are read otherwise than they were kept, by the address of the original: generations of a recursion are folded, and
/// elements are values. Nothing is read through it.
pub(crate) struct Folded(HashMap<*const Shape, Shape>);

impl Folded {
    pub(crate) fn of<'m>(evidence: impl Iterator<Item = &'m Evidence>) -> Folded {
        Folded(
            shapes(evidence)
                .filter_map(|(shape, kind)| {
                    let folded = match kind {
                        Kind::Xml => Some(xml::values(shape, recursion::fold)),
                        _ => recursion::fold(shape),
                    };
                    Some((std::ptr::from_ref(shape), folded?))
                })
                .collect(),
        )
    }

    fn get<'m>(&'m self, shape: &'m Shape) -> &'m Shape {
        self.0.get(&std::ptr::from_ref(shape)).unwrap_or(shape)
    }
}

/// What all bodies of a document share.
pub(crate) struct Writer<'m> {
    openapi: OpenApi,
    folded: &'m Folded,
    entities: Entities<'m>,
}

fn shapes<'m>(
    evidence: impl Iterator<Item = &'m Evidence>,
) -> impl Iterator<Item = (&'m Shape, Kind)> {
    evidence
        .flat_map(|e| {
            let responses = e.responses.iter().map(|(_, r)| &r.bodies);
            std::iter::once(&e.request).chain(responses)
        })
        .flat_map(|b| b.media.iter())
        .map(|(media, content)| (&content.shape, Kind::of(media)))
}

impl<'m> Writer<'m> {
    pub(crate) fn new(
        openapi: OpenApi,
        folded: &'m Folded,
        evidence: impl Iterator<Item = &'m Evidence>,
    ) -> Writer<'m> {
        let shapes = shapes(evidence).map(|(shape, kind)| (folded.get(shape), kind.is_textual()));
        Writer {
            openapi,
            folded,
            entities: Entities::of(shapes),
        }
    }

    /// The `content` of a request or a response; `at` is its JSON pointer in the operation.
    pub(crate) fn content(
        &self,
        of: &body::Bodies,
        at: &str,
        name: &Name,
        bodies: &mut Vec<Body>,
    ) -> Map<String, Value> {
        let mut out = Map::new();
        for (name_of_media, content) in of.media.iter() {
            let kind = Kind::of(name_of_media);
            let shape = self.folded.get(&content.shape);
            let dialect = Dialect {
                openapi: self.openapi,
                entities: Some(&self.entities),
                values: match kind {
                    Kind::Xml => Values::Text,
                    Kind::Form | Kind::Multipart => Values::Fields,
                    _ if name_of_media == resources::MEDIA => Values::Resources,
                    _ => Values::Typed,
                },
            };
            let mut schema = match kind {
                Kind::Json | Kind::JsonLines => dialect.schema(shape, ""),
                Kind::Form | Kind::Multipart => media::listed(dialect.form(shape), &content.notes),
                Kind::Xml => elements::hinted(dialect.schema(shape, ""), &content.notes),
                Kind::Text => json!({"type": "string"}),
                Kind::Binary if self.openapi == OpenApi::V30 => {
                    json!({"type": "string", "format": "binary"})
                }
                Kind::Binary => json!({"type": "string", "contentMediaType": name_of_media}),
            };
            if matches!(kind, Kind::Text | Kind::Binary)
                && let Some(words) = media::description(name_of_media, &content.notes)
            {
                schema["description"] = json!(words);
            }
            let mut written = Map::from_iter([("schema".to_owned(), json!({}))]);
            // OpenAPI knows no encoding of what is answered.
            if kind == Kind::Multipart && at.starts_with("/requestBody") {
                let encoding = media::encoding(&mut schema, &content.notes, self.openapi);
                if !encoding.is_empty() {
                    written.insert("encoding".into(), Value::Object(encoding));
                }
            }
            out.insert(name_of_media.to_owned(), Value::Object(written));
            bodies.push(Body {
                at: format!(
                    "{at}/{}/schema",
                    name_of_media.replace('~', "~0").replace('/', "~1")
                ),
                schema,
                name: name.clone(),
            });
        }
        out
    }
}

/// The components of all these bodies.
pub(crate) fn components<'b>(bodies: impl Iterator<Item = &'b Body> + Clone) -> Components {
    let mut components = Components::default();
    // What is answered has the first claim to a name.
    for answered in [true, false] {
        for body in bodies
            .clone()
            .filter(|b| b.at.starts_with("/responses") == answered)
        {
            components.count(&body.schema, &body.name);
        }
    }
    components.choose();
    components
}

/// Puts the schemas of its bodies into an operation.
pub(crate) fn put(bodies: &[Body], components: &Components, operation: &mut Value) {
    for body in bodies {
        if let Some(place) = operation.pointer_mut(&body.at) {
            *place = components.refer(&body.schema);
        }
    }
}
