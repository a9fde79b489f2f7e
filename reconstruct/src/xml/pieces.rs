//! The text of a document as a list of elements and texts.
//!
//! In: the text of a body, whole or cut off anywhere. Out: its pieces in order, or that it is no XML (1.0, fifth edition). What
//! the reader takes for well-formed and the language does not (a second root, text outside of it, names that begin with a digit) is
//! refused here. Document type declarations are passed over, and no entity but the five of the language is expanded.

use super::local;
use quick_xml::escape;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;
use std::borrow::Cow;

/// One piece of a document.
#[derive(Debug)]
pub(super) enum Piece<'t> {
    Element(Element<'t>),
    /// Part of the text of the element it stands in, references undone.
    Text(Cow<'t, str>),
}

#[derive(Debug)]
pub(super) struct Element<'t> {
    pub tag: BytesStart<'t>,
    /// The first piece behind it.
    pub after: usize,
    /// Whether its end was seen.
    pub whole: bool,
}

/// The pieces of a document; `None` where it is none. What was open at a cut is not whole.
pub(super) fn pieces(text: &str, complete: bool) -> Option<Vec<Piece<'_>>> {
    let mut reader = Reader::from_str(text);
    let (mut pieces, mut open) = (Vec::new(), Vec::new());
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            // Markup that does not end: the cut.
            Err(quick_xml::Error::Syntax(_)) if !complete => break,
            Err(_) => return None,
        };
        match event {
            Event::Start(tag) => {
                open.push(pieces.len());
                element(&mut pieces, tag, false, open.len() == 1)?;
            }
            Event::Empty(tag) => element(&mut pieces, tag, true, open.is_empty())?,
            Event::End(_) => close(&mut pieces, open.pop()?, true),
            Event::Text(content) if open.is_empty() => {
                if !content.trim().is_empty() {
                    return None;
                }
            }
            Event::Text(content) => pieces.push(Piece::Text(content.into_inner())),
            Event::CData(content) if !open.is_empty() => {
                pieces.push(Piece::Text(content.into_inner()));
            }
            Event::GeneralRef(reference) if !open.is_empty() => {
                pieces.push(Piece::Text(resolved(&reference)));
            }
            Event::CData(_) | Event::GeneralRef(_) => return None,
            Event::DocType(_) if !pieces.is_empty() => return None,
            Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if pieces.is_empty() || complete && !open.is_empty() {
        return None;
    }
    open.into_iter()
        .for_each(|opened| close(&mut pieces, opened, false));
    Some(pieces)
}

fn element<'t>(
    pieces: &mut Vec<Piece<'t>>,
    tag: BytesStart<'t>,
    whole: bool,
    root: bool,
) -> Option<()> {
    // A document has one root.
    let fits = !root || pieces.is_empty();
    let names = || {
        // Looking for one that is there twice would compare each with each.
        let mut all = tag.attributes();
        all.with_checks(false)
            .all(|a| a.is_ok_and(|a| is_name(a.key.as_ref())))
    };
    (fits && is_name(tag.name().as_ref()) && names()).then(|| {
        let after = pieces.len() + 1;
        pieces.push(Piece::Element(Element { tag, after, whole }));
    })
}

fn close(pieces: &mut [Piece<'_>], opened: usize, whole: bool) {
    let after = pieces.len();
    if let Some(Piece::Element(element)) = pieces.get_mut(opened) {
        (element.after, element.whole) = (after, whole);
    }
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_alphabetic() || c == '_' || c == ':')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || "_:-.·".contains(c))
        && !local(name).is_empty()
}

/// The character a reference in a text stands for; what a document type would define stays as it is.
fn resolved(reference: &BytesRef<'_>) -> Cow<'static, str> {
    match reference.resolve_char_ref() {
        Ok(Some(c)) => Cow::Owned(c.to_string()),
        _ => escape::resolve_xml_entity(reference)
            .map_or_else(|| Cow::Owned(format!("&{};", &**reference)), Cow::Borrowed),
    }
}

/// The value of an attribute, references undone unless one is defined by a document type.
pub(super) fn unescaped(value: Cow<'_, str>) -> String {
    match escape::unescape(&value) {
        Ok(plain) => plain.into_owned(),
        Err(_) => value.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, complete: bool, expected: Option<&str>) {
        let drawn = pieces(text, complete).map(|all| {
            let each = all.iter().map(|p| match p {
                Piece::Element(e) => {
                    format!("<{}{}{}>", &*e.tag, e.after, if e.whole { "" } else { "…" })
                }
                Piece::Text(text) => format!("{text:?}"),
            });
            each.collect::<String>()
        });
        assert_eq!(drawn.as_deref(), expected, "{text}");
    }

    #[test]
    fn references_are_undone_and_nothing_is_expanded() {
        check(
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\"><!ENTITY y '&x;>]'>]><a>&x;&lt;&#65;&#x42;<![CDATA[&amp;]]></a>",
            true,
            Some("<a6>\"&x;\"\"<\"\"A\"\"B\"\"&amp;\""),
        );
        for (value, expected) in [("a&amp;b&#x42;", "a&bB"), ("&x; &", "&x; &")] {
            assert_eq!(unescaped(value.into()), expected);
        }
    }

    #[test]
    fn a_cut_leaves_elements_open() {
        check(
            "<a><b>1</b><c>tex",
            false,
            Some("<a5…><b3>\"1\"<c5…>\"tex\""),
        );
        check("<a><b>1</b><c", false, Some("<a3…><b3>\"1\""));
        check("<a><b>1</b><!-- ", false, Some("<a3…><b3>\"1\""));
        check("<a", false, None);
        check("{\"a\":", false, None);
        check("<a></b", false, Some("<a1…>"));
        check("<a></b>", false, None);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a b=1/>",
            "<a b/>",
            "<a/>x",
            "{\"a\":1}",
            "</a>",
            "<1/>",
            "< a/>",
            "<a:/>",
            "<![CDATA[a]]>",
            "<a/><!DOCTYPE a>",
            "&amp;",
            "<a>&</a>",
        ] {
            check(text, true, None);
        }
    }
}
