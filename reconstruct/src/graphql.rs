//! What a GraphQL document defines (GraphQL specification, September 2025, chapter 2).
//!
//! In: the text of a document. Out: the kind and the name of each operation in it, or `None` when it is no document. Selections,
//! arguments and values are passed over; nothing recurses, and nothing is kept.

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// An operation of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Definition<'t> {
    pub kind: Kind,
    pub name: Option<&'t str>,
}

/// More definitions of one document are not looked at.
const MOST: usize = 64;

/// The operations a document defines, in its order. A document that was cut off defines those that began before the cut.
pub(crate) fn definitions(text: &str, whole: bool) -> Option<Vec<Definition<'_>>> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next() {
        let kind = match token {
            Lexeme::Mark(b'{') => Some(Kind::Query),
            Lexeme::Name("query") => Some(Kind::Query),
            Lexeme::Name("mutation") => Some(Kind::Mutation),
            Lexeme::Name("subscription") => Some(Kind::Subscription),
            Lexeme::Name("fragment") => None,
            _ => return None,
        };
        let mut name = None;
        let mut open = matches!(token, Lexeme::Mark(b'{'));
        // Variables and directives stand between the name and the selections, with braces of their own only in brackets.
        let (mut brackets, mut first) = (0usize, true);
        while !open {
            match lexer.next() {
                Some(Lexeme::Name(n)) if first && kind.is_some() => name = Some(n),
                Some(Lexeme::Mark(b'(')) => brackets += 1,
                Some(Lexeme::Mark(b')')) => brackets = brackets.checked_sub(1)?,
                Some(Lexeme::Mark(b'{')) if brackets == 0 => open = true,
                Some(Lexeme::Mark(b'}')) if brackets == 0 => return None,
                Some(Lexeme::Odd) => return None,
                // The words of a search may begin like a definition: only selections make it one.
                None => return (!whole && !found.is_empty()).then_some(found),
                Some(_) => {}
            }
            first = false;
        }
        // An object of JSON or of a query language has a quote or a value where a selection has a name.
        if !matches!(
            lexer.next(),
            Some(Lexeme::Name(_) | Lexeme::Mark(b'.')) | None
        ) {
            return None;
        }
        if let Some(kind) = kind
            && found.len() < MOST
        {
            found.push(Definition { kind, name });
        }
        // Values stand between brackets only, and braces there are theirs.
        let (mut depth, mut brackets) = (1usize, 0usize);
        while depth > 0 || brackets > 0 {
            match lexer.next() {
                Some(Lexeme::Mark(b'(')) => brackets += 1,
                Some(Lexeme::Mark(b')')) => brackets = brackets.checked_sub(1)?,
                Some(_) if brackets > 0 => {}
                Some(Lexeme::Mark(b'{')) => depth += 1,
                Some(Lexeme::Mark(b'}')) => depth = depth.checked_sub(1)?,
                Some(Lexeme::Odd | Lexeme::Value) => return None,
                None if whole => return None,
                None => return Some(found),
                Some(_) => {}
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Whether a text is a Name (2.1.9).
pub(crate) fn is_name(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.bytes().all(is_name_byte)
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// A token, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme<'t> {
    Name(&'t str),
    /// A punctuator; three points are three of them.
    Mark(u8),
    /// A number or a string.
    Value,
    /// What no document has.
    Odd,
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn next(&mut self) -> Option<Lexeme<'t>> {
        let bytes = self.text.as_bytes();
        loop {
            let b = *bytes.get(self.at)?;
            match b {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => self.at += 1,
                // The byte order mark may stand anywhere between tokens.
                0xef | 0xbb | 0xbf => self.at += 1,
                b'#' => {
                    let rest = bytes.get(self.at..).unwrap_or(&[]);
                    self.at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                b'{' | b'}' | b'(' | b')' | b'[' | b']' | b'!' | b'$' | b'&' | b':' | b'='
                | b'@' | b'|' | b'.' => {
                    self.at += 1;
                    return Some(Lexeme::Mark(b));
                }
                b'"' => return Some(self.string()),
                b'-' | b'0'..=b'9' => {
                    self.pass(|b| is_name_byte(b) || b"+-.".contains(&b));
                    return Some(Lexeme::Value);
                }
                b if is_name_byte(b) => {
                    let start = self.at;
                    self.pass(is_name_byte);
                    return self.text.get(start..self.at).map(Lexeme::Name);
                }
                _ => return Some(Lexeme::Odd),
            }
        }
    }

    fn pass(&mut self, of: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        self.at += rest.iter().take_while(|b| of(**b)).count();
    }

    /// A string, or a block of text between three quotes.
    fn string(&mut self) -> Lexeme<'t> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        let block = rest.starts_with(b"\"\"\"");
        let mut at = if block { 3 } else { 1 };
        while let Some(b) = rest.get(at) {
            match b {
                b'\\' => at += 1,
                b'"' if !block => {
                    self.at += at + 1;
                    return Lexeme::Value;
                }
                b'"' if rest.get(at..).is_some_and(|r| r.starts_with(b"\"\"\"")) => {
                    self.at += at + 3;
                    return Lexeme::Value;
                }
                b'\n' if !block => return Lexeme::Odd,
                _ => {}
            }
            at += 1;
        }
        self.at = self.text.len();
        Lexeme::Value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, whole: bool, expected: Option<&[&str]>) {
        let got = definitions(text, whole).map(|all| {
            all.iter()
                .map(|d| format!("{:?} {}", d.kind, d.name.unwrap_or("-")).to_lowercase())
                .collect::<Vec<_>>()
        });
        let expected = expected.map(|e| e.iter().map(|s| s.to_lowercase()).collect::<Vec<_>>());
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn documents_define_operations() {
        check("{ me { name } }", true, Some(&["query -"]));
        check(
            "query GetUser($id: ID! = \"}\", $f: F = {a: 1}) @live { user(id: $id) { ...F } } fragment F on User { id }",
            true,
            Some(&["query GetUser"]),
        );
        check(
            "# first\nmutation Rename { rename(to: \"\"\"a } \"b\" \"\"\") { id } }\nsubscription Ticks { tick }",
            true,
            Some(&["mutation Rename", "subscription Ticks"]),
        );
        check("query ($id: ID) { a }", true, Some(&["query -"]));
        check("{ ...F } fragment F on Q { a }", true, Some(&["query -"]));
    }

    #[test]
    fn other_texts_are_no_documents() {
        for text in [
            "",
            "shoes",
            "query",
            "query builders for rust",
            "{\"match\": {\"a\": 1}}",
            "{a: 1",
            "{a: 1}",
            "{a (b}",
            "{ }",
            "SELECT * FROM books",
            "{ a } ; drop",
            "query A) { a }",
            "fragment F on Q { a }",
        ] {
            check(text, true, None);
        }
    }

    #[test]
    fn a_cut_document_defines_what_began() {
        check("query A { a { b", false, Some(&["query A"]));
        check("query A { a } mutation B($x: ", false, Some(&["query A"]));
        check("query A { a { b", true, None);
        check("query", false, None);
        check(&"{a".repeat(100_000), false, Some(&["query -"]));
    }
}
