//! JSON text (RFC 8259) as a tree with lines.
//!
//! In: text. Out: a [`Node`], and what was odd about it. What lies deeper than the bound is left out and reported, not
//! followed; nothing is recursed into beyond it, so no text can exhaust the stack.

use crate::problem::Problems;
use crate::read::ReadError;
use crate::tree::{Node, Object, Value};

/// Deeper than any description that people or programs can use.
pub(crate) const MAX_DEPTH: usize = 200;

/// Parses one JSON text.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Result<Node, ReadError> {
    let mut parser = Parser {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        problems,
    };
    let node = parser.value(0)?;
    parser.space();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.wrong("the end of the text")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
    problems: &'a mut Problems,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => {}
                b'\n' => self.newline(),
                _ => break,
            }
            self.at += 1;
        }
    }

    fn newline(&mut self) {
        self.line += 1;
        self.line_start = self.at + 1;
    }

    fn wrong(&self, wanted: &str) -> ReadError {
        let found = self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next());
        ReadError::Json {
            line: self.line,
            column: (self.at - self.line_start.min(self.at) + 1) as u32,
            found: found.map_or("the end of the text".into(), |c| format!("`{c}`")),
            wanted: wanted.to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, ReadError> {
        self.space();
        let line = self.line;
        let value = match self.peek() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => {
                self.problems.too_deep(line);
                self.skip()?;
                Value::Null
            }
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.wrong("a value")),
        };
        Ok(Node { line, value })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, ReadError> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.wrong("a value"))
    }

    fn number(&mut self) -> Result<Value, ReadError> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
        ) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if text.parse::<f64>().is_err() {
            self.at = start;
            return Err(self.wrong("a number"));
        }
        Ok(Value::Number(text.into()))
    }

    fn array(&mut self, depth: usize) -> Result<Value, ReadError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.wrong("`,` or `]`")),
            }
        }
        self.at += 1;
        Ok(Value::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value, ReadError> {
        let begin = self.line;
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Object::default()));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a name in double quotes"));
            }
            let line = self.line;
            let name = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.wrong("`:`"));
            }
            self.at += 1;
            let mut node = self.value(depth + 1)?;
            node.line = line;
            members.push((name, node));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.wrong("`,` or `}`")),
            }
        }
        self.at += 1;
        let (object, twice) = Object::new(members);
        self.problems.twice(begin, &twice);
        Ok(Value::Object(object))
    }

    fn string(&mut self) -> Result<Box<str>, ReadError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(text.into());
                }
                Some(b'\\') => break,
                Some(b'\n') => {
                    self.newline();
                    self.at += 1;
                }
                Some(_) => self.at += 1,
                None => return Err(self.wrong("`\"`")),
            }
        }
        let mut out = self.text.get(start..self.at).unwrap_or_default().to_owned();
        let mut plain = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    out.push_str(self.text.get(plain..self.at).unwrap_or_default());
                    self.at += 1;
                    return Ok(out.into());
                }
                Some(b'\\') => {
                    out.push_str(self.text.get(plain..self.at).unwrap_or_default());
                    self.at += 1;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                Some(b'\n') => {
                    self.newline();
                    self.at += 1;
                }
                Some(_) => self.at += 1,
                None => return Err(self.wrong("`\"`")),
            }
        }
    }

    /// What follows a backslash. Half a surrogate pair becomes U+FFFD: no reason to refuse a description.
    fn escape(&mut self) -> Result<char, ReadError> {
        let c = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.hex()?;
                if (0xd800..0xdc00).contains(&first)
                    && self
                        .text
                        .get(self.at..)
                        .is_some_and(|rest| rest.starts_with("\\u"))
                {
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    return Ok('\u{fffd}');
                }
                return Ok(char::from_u32(first).unwrap_or('\u{fffd}'));
            }
            _ => return Err(self.wrong("an escape such as \\n or \\u00e9")),
        };
        self.at += 1;
        Ok(c)
    }

    fn hex(&mut self) -> Result<u32, ReadError> {
        let digits = self.text.get(self.at..self.at + 4);
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => Err(self.wrong("four hexadecimal digits")),
        }
    }

    /// Steps over an array or object without building or checking it.
    fn skip(&mut self) -> Result<(), ReadError> {
        let mut open = 0usize;
        loop {
            match self.peek() {
                Some(b'{' | b'[') => open += 1,
                Some(b'}' | b']') => {
                    open = open.saturating_sub(1);
                    if open == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'\n') => self.newline(),
                Some(_) => {}
                None => return Err(self.wrong("`}` or `]`")),
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut problems = Problems::default();
        let got = match parse(text, &mut problems) {
            Ok(node) => node.canonical(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn values_are_read_as_json_has_them() {
        check(
            r#" {"b": [1, 2.50, -3e2, true, false, null], "a": "x"} "#,
            r#"{"a":"x","b":[1,2.5,-300,true,false,null]}"#,
        );
        check(r#""\u00e9\n\ud83d\ude00\ud83d\/""#, "\"é\\n😀\u{fffd}/\"");
        check("{}", "{}");
        check(r#"{"a":1,"a":2}"#, r#"{"a":2}"#);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check(
            "{\n  \"a\": 1,\n}",
            "it is not JSON: line 3, column 1: found `}`, where a name in double quotes should be",
        );
        check(
            "[1 2]",
            "it is not JSON: line 1, column 4: found `2`, where `,` or `]` should be",
        );
        check(
            "{\"a\": \"",
            "it is not JSON: line 1, column 8: found the end of the text, where `\"` should be",
        );
        check(
            "nul",
            "it is not JSON: line 1, column 1: found `n`, where a value should be",
        );
    }

    #[test]
    fn depth_is_bounded_and_lines_are_those_of_keys() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let mut problems = Problems::default();
        parse(&deep, &mut problems).unwrap();
        assert_eq!(problems.list().len(), 1);
        let node = parse("{\n\"a\":\n{\"b\":\n1}}", &mut problems).unwrap();
        assert_eq!(node.nearest("/a").line, 2);
        assert_eq!(node.nearest("/a/b/c").line, 3);
    }
}
