//! XML and HTML: the texts of elements and the values of attributes whose names are in the set.
//!
//! In: the document, possibly cut off or not well-formed. Out: edits; tags, names and order stay. It knows tags, comments
//! and CDATA sections, no entities and no schema. Names are compared without their namespace prefix.

use memchr::{memchr, memchr3, memmem};

use super::edits::Edits;
use super::fields;
use super::names::Names;
use super::placeholder;

/// Redacts a document. `false`: there was nothing to do and nothing was written.
pub(crate) fn redact(names: &Names, input: &[u8], cut: bool, out: &mut Vec<u8>) -> bool {
    let mut named = Vec::new();
    let mut edits = Edits::new(input, &mut named);
    // The secret element we are in, if any, and how many of the same name are open inside it.
    let mut secret: Option<(&[u8], usize)> = None;
    let mut at = 0;
    while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(body) = rest.strip_prefix(b"<![CDATA[") {
            let length = memmem::find(body, b"]]>").unwrap_or(body.len());
            text(
                names,
                &mut edits,
                at + 9,
                at + 9 + length,
                secret.is_some(),
                cut,
            );
            at += 9 + length + 3;
        } else if rest.starts_with(b"<!--") {
            let length = memmem::find(rest, b"-->").unwrap_or(rest.len());
            text(
                names,
                &mut edits,
                at + 4,
                at + length,
                secret.is_some(),
                cut,
            );
            at += length + 3;
        } else if rest.starts_with(b"<") {
            let end = tag_end(rest);
            let tag = rest.get(1..end).unwrap_or_default();
            let (closes, name) = match tag.strip_prefix(b"/") {
                Some(name) => (true, name),
                None => (false, tag),
            };
            let length = name
                .iter()
                .position(|b| b.is_ascii_whitespace() || *b == b'/')
                .unwrap_or(name.len());
            let name = name.get(..length).unwrap_or(name);
            attributes(
                names,
                &mut edits,
                at + 1 + length,
                at + end,
                secret.is_some(),
            );
            let empty = tag.ends_with(b"/");
            secret = match secret {
                Some((open, depth)) if open == name && closes => {
                    depth.checked_sub(1).map(|depth| (open, depth))
                }
                Some((open, depth)) if open == name && !empty => Some((open, depth + 1)),
                None if !closes && !empty && names.contains(name) => Some((name, 0)),
                same => same,
            };
            at += end + 1;
        } else {
            let length = memchr(b'<', rest).unwrap_or(rest.len());
            text(names, &mut edits, at, at + length, secret.is_some(), cut);
            at += length;
        }
    }
    let changed = edits.finish();
    fields::finish(input, named, changed, cut, out)
}

/// Where the tag that `text` begins with ends: at its `>` outside quotes, or at the end.
fn tag_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr3(b'>', b'"', b'\'', text.get(at..).unwrap_or_default()) {
        at += found;
        match text.get(at) {
            Some(b'>') | None => return at,
            Some(quote) => match memchr(*quote, text.get(at + 1..).unwrap_or_default()) {
                Some(length) => at += length + 2,
                None => return text.len(),
            },
        }
    }
    text.len()
}

fn attributes(names: &Names, edits: &mut Edits<'_, '_>, mut at: usize, end: usize, secret: bool) {
    let input = edits.input();
    while let Some(rest) = input.get(at..end) {
        let Some(equals) = memchr(b'=', rest) else {
            return;
        };
        let name = rest.get(..equals).unwrap_or_default().trim_ascii();
        let name = name
            .rsplit(|b| b.is_ascii_whitespace())
            .next()
            .unwrap_or(name);
        let value = rest.get(equals + 1..).unwrap_or_default();
        let start = at + equals + 1 + value.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let value = input.get(start..end).unwrap_or_default();
        let (start, length, next) = match value.first() {
            Some(quote @ (b'"' | b'\'')) => {
                let inner = value.get(1..).unwrap_or_default();
                let length = memchr(*quote, inner).unwrap_or(inner.len());
                (start + 1, length, start + length + 2)
            }
            _ => {
                let length = value
                    .iter()
                    .position(u8::is_ascii_whitespace)
                    .unwrap_or(value.len());
                (start, length, start + length)
            }
        };
        if secret || names.contains(name) {
            edits.replace(start, start + length, placeholder::put);
        } else {
            nested(names, edits, start, start + length, end == input.len());
        }
        at = next;
    }
}

fn text(
    names: &Names,
    edits: &mut Edits<'_, '_>,
    start: usize,
    end: usize,
    secret: bool,
    cut: bool,
) {
    let Some(content) = edits.input().get(start..end) else {
        return;
    };
    let trimmed = content.trim_ascii();
    if trimmed.is_empty() {
        return;
    }
    if secret {
        let start = start + (content.len() - content.trim_ascii_start().len());
        return edits.replace(start, start + trimmed.len(), placeholder::put);
    }
    nested(names, edits, start, end, cut && end == edits.input().len());
}

/// A URL, JSON or a query inside a text.
fn nested(names: &Names, edits: &mut Edits<'_, '_>, start: usize, end: usize, cut: bool) {
    let Some(content) = edits.input().get(start..end) else {
        return;
    };
    let mut redacted = Vec::new();
    if fields::has_named_value(names, content, cut)
        && fields::redact(names, content, cut, &mut redacted)
    {
        edits.replace(start, end, |_, out| out.extend_from_slice(&redacted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, cut: bool) -> String {
        let mut names = Names::default();
        for name in ["*password", "*token", "card"] {
            names.add(name).unwrap();
        }
        let mut out = Vec::new();
        if redact(&names, text.as_bytes(), cut, &mut out) {
            String::from_utf8(out).unwrap()
        } else {
            text.to_owned()
        }
    }

    #[test]
    fn elements_and_attributes_by_name() {
        for (text, wanted) in [
            (
                "<a><password>hunter2</password>b</a>",
                "<a><password>xxxxxxx</password>b</a>",
            ),
            (
                "<w:Password w:x='y'> hunter2 </w:Password>c",
                "<w:Password w:x='y'> xxxxxxx </w:Password>c",
            ),
            (
                "<u token=\"ab>c\" id='1'>t</u>",
                "<u token=\"xxxx\" id='1'>t</u>",
            ),
            (
                "<card><n a=\"b\">4242</n><card>x</card><!-- c --></card><n>1</n>",
                "<card><n a=\"x\">1111</n><card>x</card><!-- x --></card><n>1</n>",
            ),
            (
                "<token><![CDATA[a<b]]></token>",
                "<token><![CDATA[xxx]]></token>",
            ),
            ("<token/><b>c</b>", "<token/><b>c</b>"),
            (
                "<a href=\"https://x/?token=abc&amp;y=1\">z</a>",
                "<a href=\"https://x/?token=xxx&amp;y=1\">z</a>",
            ),
            ("<pan>4111111111111111</pan>", "<pan>1111111111111111</pan>"),
        ] {
            assert_eq!(redacted(text, false), wanted, "{text}");
        }
    }

    #[test]
    fn cut_off_anywhere_nothing_leaks() {
        let text = "<a token='hunter2'><password>hunter2</password><card><x y=\"hunter2\"/><![CDATA[hunter2]]></card></a>";
        for end in 0..text.len() {
            assert!(!redacted(&text[..end], true).contains("hun"), "{end}");
        }
    }
}
