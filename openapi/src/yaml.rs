//! YAML text (1.2, core schema) as the tree that JSON would give, with lines.
//!
//! In: text. Out: a [`Node`] of its first document. Anchors are copied where they are used, up to a bound on nodes, so that no
//! small text becomes a huge tree; `<<` merges as YAML 1.1 had it, because descriptions use it. Keys become text.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

use crate::json::MAX_DEPTH;
use crate::problem::Problems;
use crate::read::ReadError;
use crate::tree::{Node, Object, Value};

/// Nodes that copies of anchors may add.
const MAX_COPIED: usize = 1_000_000;

/// Parses the first document of a YAML stream.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Result<Node, ReadError> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        copied: 0,
        problems,
    };
    loop {
        match builder.next()? {
            None | Some((Event::StreamEnd, _)) => {
                return Ok(Node {
                    line: 1,
                    value: Value::Null,
                });
            }
            Some((Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _)) => {}
            Some((event, line)) => return builder.node(event, line, 0),
        }
    }
}

struct Builder<'a, 'p> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// Nodes by anchor, and how many nodes each has.
    anchors: HashMap<usize, (Node, usize)>,
    copied: usize,
    problems: &'p mut Problems,
}

impl<'a> Builder<'a, '_> {
    fn next(&mut self) -> Result<Option<(Event<'a>, u32)>, ReadError> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                other => return Self::event(other),
            }
        }
    }

    fn event(
        event: Option<Result<(Event<'a>, granit_parser::Span), granit_parser::ScanError>>,
    ) -> Result<Option<(Event<'a>, u32)>, ReadError> {
        match event {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
                Ok(Some((event, line.max(1))))
            }
            Some(Err(error)) => Err(ReadError::Yaml {
                line: u32::try_from(error.marker().line()).unwrap_or(u32::MAX),
                column: u32::try_from(error.marker().col() + 1).unwrap_or(u32::MAX),
                message: error.info().to_owned(),
            }),
        }
    }

    fn node(&mut self, event: Event<'a>, line: u32, depth: usize) -> Result<Node, ReadError> {
        let anchor = event.anchor_id();
        let value = match event {
            Event::Alias(id) => return Ok(self.alias(id, line)),
            Event::Scalar(text, style, _, tag) => {
                let text_tag = tag
                    .as_ref()
                    .is_some_and(|tag| tag.core_suffix() == Some("str"));
                scalar(&text, style == ScalarStyle::Plain && !text_tag)
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if depth >= MAX_DEPTH => {
                self.problems.too_deep(line);
                self.skip()?;
                Value::Null
            }
            Event::SequenceStart(..) => self.sequence(depth)?,
            Event::MappingStart(..) => self.mapping(line, depth)?,
            _ => Value::Null,
        };
        let node = Node { line, value };
        if let Some(id) = anchor {
            let size = size(&node);
            self.anchors.insert(id, (node.clone(), size));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, line: u32) -> Node {
        let null = Node {
            line,
            value: Value::Null,
        };
        match self.anchors.get(&id) {
            Some((node, size)) if self.copied + size <= MAX_COPIED => {
                self.copied += size;
                node.clone()
            }
            Some(_) => {
                self.problems.add("", line, || {
                    format!("copies of anchors come to more than {MAX_COPIED} nodes; this one is left out")
                });
                null
            }
            // It stands inside the very node it names.
            None => {
                self.problems.add("", line, || {
                    "an alias inside its own anchor has no end; it is left out".to_owned()
                });
                null
            }
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, ReadError> {
        let mut items = Vec::new();
        while let Some((event, line)) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event => items.push(self.node(event, line, depth + 1)?),
            }
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, begin: u32, depth: usize) -> Result<Value, ReadError> {
        let mut members: Vec<(Box<str>, Node)> = Vec::new();
        let mut merged: Vec<(Box<str>, Node)> = Vec::new();
        while let Some((event, line)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let plain_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.key(event, line, depth)?;
            let Some((event, value_line)) = self.next()? else {
                break;
            };
            let mut node = self.node(event, value_line, depth + 1)?;
            if plain_merge {
                merge(node, &mut merged);
                continue;
            }
            node.line = line;
            members.push((key, node));
        }
        // What is written itself wins over what is merged, and of several merged the first.
        for (name, node) in merged {
            if members.iter().all(|(other, _)| *other != name) {
                members.push((name, node));
            }
        }
        let (object, twice) = Object::new(members);
        self.problems.twice(begin, &twice);
        Ok(Value::Object(object))
    }

    /// A key as text: `200:` is "200", `yes:` is "yes".
    fn key(&mut self, event: Event<'a>, line: u32, depth: usize) -> Result<Box<str>, ReadError> {
        if let Event::Scalar(text, _, anchor, _) = &event
            && *anchor == 0
        {
            return Ok(text.as_ref().into());
        }
        let node = self.node(event, line, depth + 1)?;
        if let Value::String(text) | Value::Number(text) = node.value {
            return Ok(text);
        }
        self.problems.add("", line, || {
            format!("{} as a name; names should be text", node.kind())
        });
        Ok(node.shown(60).into())
    }

    /// Steps over the rest of a collection that has begun.
    fn skip(&mut self) -> Result<(), ReadError> {
        let mut open = 1;
        while open > 0 {
            match self.next()? {
                None => break,
                Some((Event::SequenceStart(..) | Event::MappingStart(..), _)) => open += 1,
                Some((Event::SequenceEnd | Event::MappingEnd, _)) => open -= 1,
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn merge(node: Node, into: &mut Vec<(Box<str>, Node)>) {
    match node.value {
        Value::Object(object) => {
            for (name, node) in object.members() {
                if into.iter().all(|(other, _)| *other != name) {
                    into.push((name, node));
                }
            }
        }
        Value::Array(items) => items.into_iter().for_each(|item| {
            if matches!(item.value, Value::Object(_)) {
                merge(item, into);
            }
        }),
        _ => {}
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(object) => object.iter().map(|(_, node)| size(node)).sum(),
        _ => 0,
    }
}

/// YAML 1.2.2, 10.3.2: the core schema. Octal and hexadecimal integers are numbers too.
fn scalar(text: &str, plain: bool) -> Value {
    if !plain {
        return Value::String(text.into());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix = |prefix, radix| {
        let digits = text.strip_prefix(prefix)?;
        u64::from_str_radix(digits, radix).ok()
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Value::Number(number.to_string().into());
    }
    let digits = text.trim_start_matches(['+', '-', '.']);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
        && text.parse::<f64>().is_ok();
    if numeric {
        Value::Number(text.into())
    } else {
        Value::String(text.into())
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
    fn scalars_follow_the_core_schema() {
        check(
            "a: 1\nb: '1'\nc: yes\nd: ~\ne: 1.50\nf: 2024-01-01\n200: x\ng: !!str 7\nh: 1e3\ni: 0x1f",
            r#"{"200":"x","a":1,"b":"1","c":"yes","d":null,"e":1.5,"f":"2024-01-01","g":"7","h":1000,"i":31}"#,
        );
        check(
            "- a\n- {b: [1, 2], c: true}\n",
            r#"["a",{"b":[1,2],"c":true}]"#,
        );
        check("", "null");
        check(
            "# a comment\n- 1 # another\n# and one\n- {a: # here too\n  2}\n",
            r#"[1,{"a":2}]"#,
        );
    }

    #[test]
    fn anchors_are_copied_and_merged() {
        check(
            "base: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}\nsame: *b\n",
            r#"{"base":{"x":1,"y":2},"own":{"x":1,"y":3},"same":{"x":1,"y":2}}"#,
        );
    }

    #[test]
    fn neither_copies_nor_depth_explode() {
        let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for n in 1..20 {
            let list = vec![format!("*a{}", n - 1); 10].join(",");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        let mut problems = Problems::default();
        let node = parse(&text, &mut problems).unwrap();
        assert!(size(&node) < 2 * MAX_COPIED);
        assert!(!problems.list().is_empty());
        // The parser's own bound may come first; either way it ends.
        let _ = parse(&"[".repeat(50_000), &mut problems);
        let _ = parse(&"- ".repeat(50_000), &mut problems);
    }

    #[test]
    fn members_have_the_line_of_their_key() {
        let mut problems = Problems::default();
        let node = parse("# first\na:\n  b:\n    - 1\n", &mut problems).unwrap();
        assert_eq!(node.nearest("/a").line, 2);
        assert_eq!(node.nearest("/a/b").line, 3);
        assert_eq!(node.nearest("/a/b/0").line, 4);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let mut problems = Problems::default();
        let error = parse("a: [1\nb: 2", &mut problems).unwrap_err().to_string();
        assert!(error.starts_with("it is not YAML: line 2"), "{error}");
    }
}
