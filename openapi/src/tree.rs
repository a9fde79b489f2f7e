//! A document as a tree that knows its lines.
//!
//! In: what the JSON and the YAML parser build. Out: nodes by key, by index and by JSON pointer (RFC 6901), with the line each
//! begins on, so that a finding can point into the file a person edits. It never interprets what it holds.

use std::fmt::Write;

/// A value and the line (from 1) it begins on; for a member of an object, the line of its key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

/// What JSON can say. Numbers stay as they were written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Box<str>),
    String(Box<str>),
    Array(Vec<Node>),
    Object(Object),
}

/// Members in the order of the document, with an index by name where there are many.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object {
    members: Vec<(Box<str>, Node)>,
    /// Positions sorted by name; empty while the object is small.
    sorted: Vec<u32>,
}

/// Up to here members are found by looking at each.
const SMALL: usize = 12;

impl Object {
    /// Of members in order. Of several with one name the last counts, as parsers have it; gives the names there were twice.
    pub(crate) fn new(mut members: Vec<(Box<str>, Node)>) -> (Self, Vec<Box<str>>) {
        let mut order: Vec<u32> = (0..members.len() as u32).collect();
        order.sort_by(|a, b| {
            let name = |i: &u32| members.get(*i as usize).map(|m| &m.0);
            name(a).cmp(&name(b)).then(a.cmp(b))
        });
        let mut twice = Vec::new();
        let mut drop = Vec::new();
        for pair in order.windows(2) {
            if let [a, b] = pair
                && let (Some((first, _)), Some((second, _))) =
                    (members.get(*a as usize), members.get(*b as usize))
                && first == second
            {
                twice.push(first.clone());
                drop.push(*a as usize);
            }
        }
        if !drop.is_empty() {
            drop.sort_unstable();
            let mut at = 0;
            members.retain(|_| {
                at += 1;
                drop.binary_search(&(at - 1)).is_err()
            });
            let (object, _) = Self::new(members);
            return (object, twice);
        }
        let sorted = if members.len() > SMALL {
            order
        } else {
            Vec::new()
        };
        (Self { members, sorted }, twice)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        if self.sorted.is_empty() {
            return self
                .members
                .iter()
                .find(|(key, _)| &**key == name)
                .map(|(_, node)| node);
        }
        let found = self.sorted.binary_search_by(|i| {
            self.members
                .get(*i as usize)
                .map_or("", |(key, _)| key)
                .cmp(name)
        });
        let at = self.sorted.get(found.ok()?)?;
        self.members.get(*at as usize).map(|(_, node)| node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.members.iter().map(|(key, node)| (&**key, node))
    }

    pub(crate) fn members(self) -> Vec<(Box<str>, Node)> {
        self.members
    }
}

impl Node {
    pub(crate) fn object(&self) -> Option<&Object> {
        match &self.value {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn array(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(yes) => Some(*yes),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.object()?.get(name)
    }

    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }

    /// One step of a pointer.
    pub(crate) fn child(&self, step: &str) -> Option<&Node> {
        match &self.value {
            Value::Object(object) => object.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The node at a pointer, or the nearest one above it.
    pub(crate) fn nearest(&self, pointer: &str) -> &Node {
        let mut node = self;
        for step in steps(pointer) {
            match node.child(&step) {
                Some(child) => node = child,
                None => break,
            }
        }
        node
    }

    /// Compact JSON, cut off with an ellipsis after about `limit` bytes.
    pub(crate) fn shown(&self, limit: usize) -> String {
        let mut out = String::new();
        self.write(&mut out, limit);
        if out.len() > limit {
            let mut end = limit;
            while !out.is_char_boundary(end) {
                end -= 1;
            }
            out.truncate(end);
            out.push('…');
        }
        out
    }

    /// A form in which equal values are equal texts, whatever the order of members and the way numbers are written.
    pub(crate) fn canonical(&self) -> String {
        match &self.value {
            Value::Object(object) => {
                let mut members: Vec<(&str, &Node)> = object.iter().collect();
                members.sort_by_key(|(name, _)| *name);
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, node)| format!("{}:{}", quoted(name), node.canonical()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(Node::canonical).collect();
                format!("[{}]", items.join(","))
            }
            Value::Number(text) => match text.parse::<f64>() {
                Ok(number) if number.abs() < 9e15 => number.to_string(),
                _ => text.to_string(),
            },
            _ => self.shown(usize::MAX - 1),
        }
    }

    fn write(&self, out: &mut String, limit: usize) {
        if out.len() > limit {
            return;
        }
        match &self.value {
            Value::Null => out.push_str("null"),
            Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Value::Number(text) => out.push_str(text),
            Value::String(text) => out.push_str(&quoted(text)),
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out, limit);
                }
                out.push(']');
            }
            Value::Object(object) => {
                out.push('{');
                for (at, (name, node)) in object.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    node.write(out, limit);
                }
                out.push('}');
            }
        }
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The unescaped steps of a JSON pointer.
pub(crate) fn steps(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
}

/// A pointer one step further.
pub(crate) fn join(pointer: &str, step: &str) -> String {
    let mut out = String::with_capacity(pointer.len() + step.len() + 1);
    out.push_str(pointer);
    out.push('/');
    for c in step.chars() {
        match c {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            c => out.push(c),
        }
    }
    out
}
