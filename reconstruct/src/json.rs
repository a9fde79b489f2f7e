//! JSON text straight into a [`Shape`]: its tokens are walked, no tree is built.
//!
//! In: the bytes of a body, whole or cut off. Out: whether it was JSON; the shape has learnt it. A whole body that is no
//! JSON teaches nothing. A cut body teaches what stands before the cut. Depth is bounded; nothing here panics.

use crate::bounded::Seen;
use crate::shape::{DEEPEST, OPAQUE, Scale, Shape, tally};
use crate::tokens::{self, Kind, Token};
use crate::tuple;
use std::borrow::Cow;

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Learnt.
    Json,
    /// Whole, and no JSON.
    Malformed,
}

/// Values of identifying members (`id`, `slug`, …) are noted in `identities`, so that a path segment that is one is recognised.
pub(crate) fn learn(
    shape: &mut Shape,
    bytes: &[u8],
    complete: bool,
    scale: Scale,
    identities: &mut Seen,
) -> Read {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) if complete => return Read::Malformed,
        // A cut may split a character, and only what stands before it counts.
        Err(e) => bytes
            .get(..e.valid_up_to())
            .and_then(|b| std::str::from_utf8(b).ok())
            .unwrap_or(""),
    };
    let Some(tokens) = tokens::scan(text, complete) else {
        return Read::Malformed;
    };
    if scale >= OPAQUE {
        shape.unknown = tally(shape.unknown, 1);
        return Read::Json;
    }
    let mut walker = Walker {
        text,
        tokens: &tokens,
        at: 0,
        sure: complete,
        scale,
        identities,
    };
    walker.value(shape, 0, false);
    Read::Json
}

struct Walker<'a, 's> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    sure: bool,
    scale: Scale,
    identities: &'s mut Seen,
}

impl<'a> Walker<'a, '_> {
    fn string(&self, token: Token) -> Cow<'a, str> {
        let text = self
            .text
            .get(token.start as usize..token.end as usize)
            .unwrap_or("");
        if token.kind == Kind::Escaped {
            Cow::Owned(tokens::unescape(text))
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Learns the value that comes next, if the text was not cut off before it. Returns by how much the shape's charge grew:
    /// hardly any value changes it, so nobody has to add charges up for each.
    fn value(&mut self, shape: &mut Shape, depth: usize, identifies: bool) -> u32 {
        let Some(&token) = self.tokens.get(self.at) else {
            return 0;
        };
        self.at += 1;
        let count = match token.kind {
            Kind::String | Kind::Escaped => {
                let text = self.string(token);
                if identifies && text.len() <= 64 {
                    self.identities.add(&text);
                }
                return shape.text(|s| s.learn(&text));
            }
            Kind::Object if depth < DEEPEST => return self.object(shape, depth, token.end),
            Kind::Array if depth < DEEPEST => {
                return self.array(shape, depth, token.end, identifies);
            }
            Kind::Object | Kind::Array => {
                self.at = token.end as usize;
                &mut shape.unknown
            }
            Kind::Null => &mut shape.nulls,
            Kind::Boolean => &mut shape.booleans,
            Kind::Integer => &mut shape.integers,
            Kind::Wide => {
                shape.wide = true;
                &mut shape.integers
            }
            Kind::Number => &mut shape.numbers,
        };
        *count = tally(*count, 1);
        0
    }

    fn array(&mut self, shape: &mut Shape, depth: usize, end: u32, identifies: bool) -> u32 {
        let (arrays, mut grown) = shape.array();
        arrays.count += 1;
        if arrays.tuples.is_open() {
            arrays.tuples.learn(self.sure, self.values(end));
        }
        while self.at < end as usize {
            grown += self.value(&mut arrays.items, depth + 1, identifies);
        }
        grown
    }

    /// The kinds and texts of the values up to `end`, passing over what is in them.
    fn values(&self, end: u32) -> impl Iterator<Item = (u8, Option<Cow<'a, str>>)> {
        let mut at = self.at;
        std::iter::from_fn(move || {
            let token = *self.tokens.get(at).filter(|_| at < end as usize)?;
            at += 1;
            let kind = match token.kind {
                Kind::Null => tuple::NULL,
                Kind::Boolean => tuple::BOOLEAN,
                Kind::Integer => tuple::INTEGER,
                Kind::Wide => tuple::WIDE,
                Kind::Number => tuple::NUMBER,
                Kind::String | Kind::Escaped => {
                    return Some((tuple::STRING, Some(self.string(token))));
                }
                Kind::Array | Kind::Object => {
                    at = token.end as usize;
                    match token.kind {
                        Kind::Array => tuple::ARRAY,
                        _ => tuple::OBJECT,
                    }
                }
            };
            Some((kind, None))
        })
    }

    fn object(&mut self, shape: &mut Shape, depth: usize, end: u32) -> u32 {
        let (objects, grown) = shape.object();
        let before = objects.charge();
        let mut open = objects.open(self.sure, depth, self.scale);
        while self.at < end as usize
            && let Some(&token) = self.tokens.get(self.at)
        {
            self.at += 1;
            let name = self.string(token);
            let identifies = || is_identifying(&name);
            // A cut right after the colon shows that the member is there, not what it is.
            if self.at < end as usize {
                objects.member(&mut open, &name, self.at as u32, |member| {
                    let identifies = self.holds_text() && identifies();
                    self.value(member, depth + 1, identifies)
                });
            } else {
                objects.member(&mut open, &name, u32::MAX, |_| 0);
            }
        }
        objects.close(&open, |value| self.text(value));
        grown + objects.charge().saturating_sub(before)
    }

    /// The text at an index, if there is one.
    fn text(&self, at: u32) -> Option<Cow<'a, str>> {
        let token = *self.tokens.get(at as usize)?;
        matches!(token.kind, Kind::String | Kind::Escaped).then(|| self.string(token))
    }

    /// Whether the next value is or may hold text.
    fn holds_text(&self) -> bool {
        self.tokens
            .get(self.at)
            .is_some_and(|t| matches!(t.kind, Kind::String | Kind::Escaped | Kind::Array))
    }
}

/// Whether a member of this name identifies what it is in, so that paths may carry its value.
pub(crate) fn is_identifying(name: &str) -> bool {
    let one = |names: &[&str]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let ends = |ends: &[&str]| ends.iter().any(|e| name.ends_with(e));
    // Every member that holds text is asked for, and the last letter mostly says no.
    match name.as_bytes().last() {
        Some(b'd' | b'D') => one(&["id", "uid", "uuid", "guid"]) || ends(&["_id", "Id", "ID"]),
        Some(b'e' | b'E') => {
            one(&["name", "code", "username", "handle"]) || name.len() <= 12 && ends(&["_name"])
        }
        Some(b'y' | b'Y') => one(&["key"]) || ends(&["_key"]),
        Some(b'g' | b'G') => one(&["slug"]) || ends(&["_slug", "Slug"]),
        Some(b'n' | b'N') => one(&["login"]),
        Some(b'r' | b'R') => one(&["number"]),
        Some(b'l' | b'L') => one(&["symbol"]),
        Some(b'f' | b'F') => one(&["ref"]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// `{a: integer, b?: [string]}`, `?` for members that are not always there.
    fn draw(shape: &Shape) -> String {
        let mut kinds = Vec::new();
        for (n, name) in [
            (shape.nulls, "null"),
            (shape.booleans, "boolean"),
            (shape.integers, "integer"),
            (shape.numbers, "number"),
            (shape.unknown, "any"),
        ] {
            if n > 0 {
                kinds.push(name.to_string());
            }
        }
        if shape.strings.is_some() {
            kinds.push("string".into());
        }
        if let Some(arrays) = &shape.arrays {
            kinds.push(format!("[{}]", draw(&arrays.items)));
        }
        if let Some(objects) = &shape.objects {
            let mut out = String::new();
            for (name, p) in objects.members.iter() {
                let optional = if p.present == objects.complete && objects.complete > 0 {
                    ""
                } else {
                    "?"
                };
                let _ = write!(
                    out,
                    "{}{name}{optional}: {}",
                    if out.is_empty() { "" } else { ", " },
                    draw(&p.shape)
                );
            }
            if let Some(rest) = objects.members.rest() {
                let _ = write!(
                    out,
                    "{}*: {}",
                    if out.is_empty() { "" } else { ", " },
                    draw(&rest.shape)
                );
            }
            kinds.push(format!("{{{out}}}"));
        }
        kinds.join("|")
    }

    fn check(bodies: &[(&str, bool)], expected: &str) {
        let (mut shape, mut seen) = (Shape::default(), Seen::default());
        for (body, complete) in bodies {
            learn(&mut shape, body.as_bytes(), *complete, 0, &mut seen);
        }
        assert_eq!(draw(&shape), expected, "{bodies:?}");
    }

    #[test]
    fn values_are_walked_into_a_shape() {
        check(
            &[(r#"{"a":1,"b":["x",null],"c":{"d":1.5e3}}"#, true)],
            "{a: integer, b: [null|string], c: {d: number}}",
        );
        check(
            &[(r#"{"a":1}"#, true), (r#"{"b":true}"#, true)],
            "{a?: integer, b?: boolean}",
        );
        check(&[(r#" [ ] "#, true), ("[]", true)], "[]");
        check(
            &[("3", true), ("\"s\"", true), ("null", true)],
            "null|integer|string",
        );
        check(&[(r#"{"a\u0062":"\ud83e\udd80"}"#, true)], "{ab: string}");
        check(
            &[(
                r#"{"5f2b9a647c1d4e8b9a550c8e":1,"6f2b9a647c1d4e8b9a550c8e":2}"#,
                true,
            )],
            "{*: integer}",
        );
        check(
            &[(r#"{"a":1,"a":"x"}"#, true), (r#"{}"#, true)],
            "{a?: integer|string}",
        );
    }

    #[test]
    fn a_cut_body_teaches_only_what_it_shows() {
        check(&[(r#"{"a":1,"b":"tex"#, false)], "{a?: integer, b?: }");
        check(&[(r#"{"a":12"#, false)], "{a?: }");
        check(
            &[(r#"{"a":1,"b":2}"#, true), (r#"{"a":1,"#, false)],
            "{a: integer, b: integer}",
        );
    }

    #[test]
    fn what_is_no_json_teaches_nothing() {
        for body in ["{", "{\"a\":}", "nul", "", "[1,]", "{\"a\":1}x", "<html>"] {
            let (mut shape, mut seen) = (Shape::default(), Seen::default());
            assert_eq!(
                learn(&mut shape, body.as_bytes(), true, 0, &mut seen),
                Read::Malformed,
                "{body}"
            );
            assert_eq!(shape.seen(), 0);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let (mut shape, mut seen) = (Shape::default(), Seen::default());
        assert_eq!(
            learn(&mut shape, deep.as_bytes(), true, 0, &mut seen),
            Read::Json
        );
        learn(
            &mut shape,
            "{\"a\":".repeat(100_000).as_bytes(),
            false,
            0,
            &mut seen,
        );
        assert!(shape.heap() < 64 * 1024);
    }
}
