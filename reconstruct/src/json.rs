//! JSON text straight into a [`Shape`]: tokens are walked, no tree is built.
//!
//! In: the bytes of a body, whole or cut off. Out: whether it was JSON; the shape has learnt it. A whole body that is no
//! JSON teaches nothing. A cut body teaches what stands before the cut. Depth is bounded; nothing here panics.

use crate::bounded::Seen;
use crate::shape::{DEEPEST, OPAQUE, Scale, Shape};
use memchr::memchr2;
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
    // The shape is changed in place, so what is whole is checked first; serde_json ignores without recursion or allocation.
    if complete && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Read::Malformed;
    }
    if scale >= OPAQUE {
        shape.unknown = shape.unknown.saturating_add(1);
        return Read::Json;
    }
    let mut walker = Walker {
        text,
        bytes: text.as_bytes(),
        at: 0,
        sure: complete,
        scale,
        identities,
    };
    walker.blank();
    let _ = walker.value(shape, 0, false);
    Read::Json
}

/// The text ended, or is no JSON from here on.
struct Cut;

struct Walker<'a, 's> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    sure: bool,
    scale: Scale,
    identities: &'s mut Seen,
}

impl<'a> Walker<'a, '_> {
    fn blank(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Result<u8, Cut> {
        self.blank();
        self.bytes.get(self.at).copied().ok_or(Cut)
    }

    fn word(&mut self, word: &str) -> Result<(), Cut> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) == Some(word.as_bytes()) {
            self.at = end;
            Ok(())
        } else {
            Err(Cut)
        }
    }

    fn value(&mut self, shape: &mut Shape, depth: usize, identifies: bool) -> Result<(), Cut> {
        match self.peek()? {
            b'{' if depth < DEEPEST => self.object(shape, depth),
            b'[' if depth < DEEPEST => self.array(shape, depth, identifies),
            b'{' | b'[' => {
                shape.unknown = shape.unknown.saturating_add(1);
                self.skip()
            }
            b'"' => {
                let text = self.string()?;
                if identifies && text.len() <= 64 {
                    self.identities.add(&text);
                }
                shape.text(|s| s.learn(&text));
                Ok(())
            }
            b't' => self
                .word("true")
                .map(|()| shape.booleans = shape.booleans.saturating_add(1)),
            b'f' => self
                .word("false")
                .map(|()| shape.booleans = shape.booleans.saturating_add(1)),
            b'n' => self
                .word("null")
                .map(|()| shape.nulls = shape.nulls.saturating_add(1)),
            b'-' | b'0'..=b'9' => self.number(shape),
            _ => Err(Cut),
        }
    }

    fn number(&mut self, shape: &mut Shape) -> Result<(), Cut> {
        let start = self.at;
        let mut whole = true;
        while let Some(b) = self.bytes.get(self.at) {
            match b {
                b'0'..=b'9' | b'-' => {}
                b'.' | b'e' | b'E' | b'+' => whole = false,
                _ => break,
            }
            self.at += 1;
        }
        if self.at == self.bytes.len() && !self.sure {
            return Err(Cut);
        }
        if whole {
            shape.integers = shape.integers.saturating_add(1);
            let digits = self.at - start;
            shape.wide |= digits > 9
                && self
                    .text
                    .get(start..self.at)
                    .is_none_or(|t| t.parse::<i32>().is_err());
        } else {
            shape.numbers = shape.numbers.saturating_add(1);
        }
        Ok(())
    }

    fn array(&mut self, shape: &mut Shape, depth: usize, identifies: bool) -> Result<(), Cut> {
        self.at += 1;
        let arrays = shape.arrays.get_or_insert_default();
        arrays.count += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(&mut arrays.items, depth + 1, identifies)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Cut),
            }
        }
    }

    fn object(&mut self, shape: &mut Shape, depth: usize) -> Result<(), Cut> {
        self.at += 1;
        let objects = shape.objects.get_or_insert_default();
        let number = objects.open(self.sure);
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek()? != b'"' {
                return Err(Cut);
            }
            let name = self.string()?;
            if self.peek()? != b':' {
                return Err(Cut);
            }
            self.at += 1;
            let identifies = is_identifying(&name);
            let (sure, scale) = (self.sure, self.scale);
            // A cut right after the colon shows that the member is there, not what it is.
            objects.member(&name, number, sure, (depth, scale), |member| {
                self.value(member, depth + 1, identifies)
            })?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Cut),
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Cut> {
        self.at += 1;
        let start = self.at;
        let mut unescaped: Option<String> = None;
        let mut from = start;
        loop {
            let rest = self.bytes.get(self.at..).ok_or(Cut)?;
            self.at += memchr2(b'"', b'\\', rest).ok_or(Cut)?;
            let piece = self.text.get(from..self.at).ok_or(Cut)?;
            if self.bytes.get(self.at) == Some(&b'"') {
                self.at += 1;
                return Ok(match unescaped {
                    None => Cow::Borrowed(piece),
                    Some(mut text) => {
                        text.push_str(piece);
                        Cow::Owned(text)
                    }
                });
            }
            let text = unescaped.get_or_insert_default();
            text.push_str(piece);
            let escape = self.bytes.get(self.at + 1).copied().ok_or(Cut)?;
            self.at += 2;
            match escape {
                b'n' => text.push('\n'),
                b't' => text.push('\t'),
                b'r' => text.push('\r'),
                b'b' => text.push('\u{8}'),
                b'f' => text.push('\u{c}'),
                b'u' => {
                    let c = self.unicode()?;
                    text.push(c);
                }
                other => text.push(char::from(other)),
            }
            from = self.at;
        }
    }

    fn hex4(&mut self) -> Result<u32, Cut> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Cut)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Cut)
    }

    fn unicode(&mut self) -> Result<char, Cut> {
        let high = self.hex4()?;
        if (0xd800..0xdc00).contains(&high) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u")
        {
            let before = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                return Ok(
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                        .unwrap_or('\u{fffd}'),
                );
            }
            self.at = before;
        }
        Ok(char::from_u32(high).unwrap_or('\u{fffd}'))
    }

    /// Passes over one array or object without looking, in constant stack.
    fn skip(&mut self) -> Result<(), Cut> {
        let mut open = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open = open.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Ok(());
            }
        }
    }
}

/// Whether a member of this name identifies what it is in, so that paths may carry its value.
pub(crate) fn is_identifying(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "id", "uid", "uuid", "guid", "key", "slug", "name", "login", "username", "handle", "code",
        "symbol", "number", "ref",
    ];
    NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
        || name.ends_with("_id")
        || name.ends_with("Id")
        || name.ends_with("_slug")
        || name.ends_with("Slug")
        || name == "_id"
        || name.ends_with("_key")
        || name.ends_with("ID")
        || name.ends_with("_name") && name.len() <= 12
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
