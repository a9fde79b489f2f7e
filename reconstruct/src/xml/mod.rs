//! XML text straight into a [`Shape`].
//!
//! In: the bytes of a body, whole or cut off. Out: whether it was XML; the shape has learnt elements and attributes by their local
//! names, since prefixes are each writer's own, and the notes their namespaces. A whole body that is no XML teaches nothing, a cut one
//! what stands before the cut. Depth is bounded; nothing here reads anything but the body.
//!
//! An element is an object when it has attributes (`@name`) or elements, and a text otherwise. The text of an element that has
//! attributes is its member `#text`. One that occurred twice in an element is noted as an array and stays where it is until a
//! document is written ([`values`]), so that it does not matter which of the two kinds of parents came first.

mod names;
mod pieces;
mod values;
mod walk;

pub(crate) use names::of as names_of;
pub(crate) use values::values;

use crate::json::Read;
use crate::notes::Notes;
use crate::shape::{OPAQUE, Scale, Shape, tally};
use pieces::Piece;

/// What stands for an element's own text beside its attributes.
pub(crate) const TEXT: &str = "#text";

/// Learns a body.
pub(crate) fn learn(
    shape: &mut Shape,
    notes: &mut Notes,
    bytes: &[u8],
    complete: bool,
    scale: Scale,
) -> Read {
    // Markup is the same in all encodings that hold ASCII; texts in others only lose letters.
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let Some(pieces) = pieces::pieces(text, complete) else {
        return Read::Malformed;
    };
    if scale >= OPAQUE {
        shape.unknown = tally(shape.unknown, 1);
        return Read::Json;
    }
    walk::walk(shape, notes, &pieces, complete, scale);
    Read::Json
}

/// The local name of the first element in the body of a SOAP envelope (SOAP 1.1, 4; SOAP 1.2, 5): the procedure of a call.
pub(crate) fn soap_call(bytes: &[u8], complete: bool) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let pieces = pieces::pieces(text.trim_start_matches('\u{feff}'), complete)?;
    let child = |parent: usize, name: Option<&str>| {
        let Some(Piece::Element(element)) = pieces.get(parent) else {
            return None;
        };
        let mut at = parent + 1;
        while at < element.after {
            let next = at;
            at = match pieces.get(at)? {
                Piece::Element(e) => {
                    if name.is_none_or(|n| n == local(e.tag.name().as_ref())) {
                        return Some(next);
                    }
                    e.after
                }
                Piece::Text(_) => at + 1,
            };
        }
        None
    };
    let named = |at: usize| match pieces.get(at) {
        Some(Piece::Element(e)) => Some(local(e.tag.name().as_ref()).to_owned()),
        _ => None,
    };
    (named(0)? == "Envelope").then_some(())?;
    named(child(child(0, Some("Body"))?, None)?)
}

/// The name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{a: text, @b?: text, c: [..]}`, `?` for members that are not always there.
    fn draw(shape: &Shape) -> String {
        let mut kinds = Vec::new();
        if shape.nulls > 0 {
            kinds.push("null".to_owned());
        }
        if shape.unknown > 0 {
            kinds.push("any".to_owned());
        }
        if shape.strings.is_some() {
            kinds.push("text".to_owned());
        }
        if let Some(arrays) = &shape.arrays {
            kinds.push(format!("[{}]", draw(&arrays.items)));
        }
        if let Some(objects) = &shape.objects {
            let members: Vec<String> = objects
                .members
                .iter()
                .map(|(name, p)| {
                    let mark = if objects.requires(name) { "" } else { "?" };
                    format!("{name}{mark}: {}", draw(&p.shape))
                })
                .collect();
            kinds.push(format!("{{{}}}", members.join(", ")));
        }
        kinds.join("|")
    }

    fn check(bodies: &[(&str, bool)], expected: &str) {
        let (mut one, mut left, mut right) = (Shape::default(), Shape::default(), Shape::default());
        let notes = &mut Notes::default();
        for (i, (body, complete)) in bodies.iter().enumerate() {
            assert_eq!(
                learn(&mut one, notes, body.as_bytes(), *complete, 0),
                Read::Json,
                "{body}"
            );
            let part = if i % 2 == 0 { &mut left } else { &mut right };
            learn(part, notes, body.as_bytes(), *complete, 0);
        }
        right.merge(left);
        assert_eq!(draw(&values(&one, |_| None)), expected, "{bodies:?}");
        assert_eq!(draw(&values(&right, |_| None)), expected, "{bodies:?}");
    }

    #[test]
    fn elements_and_attributes_become_members() {
        check(
            &[(
                "<?xml version='1.0'?><!-- a --><b:book xmlns:b='urn:b' id=\"1\"><b:title>A &amp; B</b:title><n/></b:book>\n",
                true,
            )],
            "{book: {@id: text, n: text, title: text}}",
        );
        check(
            &[
                ("<l><i>1</i><i>2</i></l>", true),
                ("<l><i>1</i></l>", true),
                ("<l/>", true),
            ],
            "{l: {i?: [text]}}",
        );
        check(
            &[
                ("<p><price c='EUR'>1</price></p>", true),
                ("<p><price>2</price></p>", true),
            ],
            "{p: {price: {#text: text, @c?: text}}}",
        );
        check(
            &[(
                "<a xmlns:xsi='u'><b xsi:nil='true'/><c><![CDATA[<x>]]></c></a>",
                true,
            )],
            "{a: {b: null, c: text}}",
        );
    }

    #[test]
    fn a_cut_body_teaches_what_stands_before_the_cut() {
        check(&[("<a><b>1</b><c>tex", false)], "{a?: {b?: text, c?: }}");
        check(&[("<a><b>1</b><c", false)], "{a?: {b?: text}}");
        check(
            &[("<a><b>1</b></a>", true), ("<a><b>1</b", false)],
            "{a: {b: text}}",
        );
    }

    #[test]
    fn what_is_no_xml_teaches_nothing() {
        for body in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a b=1/>",
            "<a/>x",
            "{\"a\":1}",
            "</a>",
            "<1/>",
            "<![CDATA[a]]>",
        ] {
            let mut shape = Shape::default();
            assert_eq!(
                learn(&mut shape, &mut Notes::default(), body.as_bytes(), true, 0),
                Read::Malformed,
                "{body}"
            );
            assert_eq!(shape.seen(), 0);
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{}1{}", "<a>".repeat(50_000), "</a>".repeat(50_000));
        let wide: String = (0..20_000).map(|i| format!("<e{i} a{i}='x'/>")).collect();
        let (mut shape, mut notes) = (Shape::default(), Notes::default());
        for (body, complete) in [
            (deep.clone(), true),
            (deep, false),
            (format!("<r>{wide}</r>"), true),
        ] {
            assert_eq!(
                learn(&mut shape, &mut notes, body.as_bytes(), complete, 0),
                Read::Json
            );
        }
        assert!(shape.heap() < 512 * 1024, "{}", shape.heap());
    }
}
