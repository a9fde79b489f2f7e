//! Path templates: `/reports/{year}-{month}.pdf`.
//!
//! In: templates and concrete paths as text. Out: which covers which, and which of several fits best. Constants come before
//! parameters (OpenAPI, "Path Templating Matching"), names of parameters do not matter, percent-encoding is undone (RFC 3986,
//! 6.2.2), a slash at the end is no difference, since servers rarely make one.

use std::cmp::Ordering;

use crate::read::percent_decoded;

/// A path template taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub(crate) segments: Vec<Segment>,
    /// Some descriptions tell operations of one path apart by what follows `?` or `#`.
    pub(crate) suffix: String,
}

/// What stands between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) parts: Vec<Part>,
    /// `{rest+}`, `{rest*}`, `{+rest}`: takes any number of segments. No OpenAPI, but gateways have it.
    pub(crate) greedy: bool,
}

/// A piece of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Constant(String),
    Parameter(String),
}

/// How one template takes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cover {
    /// The same but for the names of parameters.
    Same,
    /// Every path of the other is one of this.
    Wider,
}

impl Segment {
    fn parse(text: &str) -> Segment {
        let mut parts = Vec::new();
        let mut greedy = false;
        let mut constant = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, inside) = rest.split_at(open);
            let Some(close) = inside.find('}') else {
                break;
            };
            constant.push_str(before);
            let name = inside.get(1..close).unwrap_or_default();
            if !constant.is_empty() {
                parts.push(Part::Constant(percent_decoded(&std::mem::take(
                    &mut constant,
                ))));
            }
            let bare = name.trim_matches(['+', '*']);
            greedy |= bare != name;
            // Two parameters in a row cannot be told apart.
            if !matches!(parts.last(), Some(Part::Parameter(_))) {
                parts.push(Part::Parameter(bare.to_owned()));
            }
            rest = inside.get(close + 1..).unwrap_or_default();
        }
        constant.push_str(rest);
        if !constant.is_empty() {
            parts.push(Part::Constant(percent_decoded(&constant)));
        }
        greedy &= parts.len() == 1;
        Segment { parts, greedy }
    }

    fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Constant(text)] => Some(text),
            [] => Some(""),
            _ => None,
        }
    }

    fn is_parameter(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Parameter(_)])
    }

    /// Whether every text of `other` is one of this.
    fn covers(&self, other: &Segment) -> bool {
        match (self.constant(), other.constant()) {
            (Some(a), Some(b)) => a == b,
            (Some(_), None) => false,
            _ if self.is_parameter() => !other.parts.is_empty(),
            _ => fits(&self.parts, &other.symbols()),
        }
    }

    /// Constants letter by letter, parameters as `None`.
    fn symbols(&self) -> Vec<Option<char>> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Constant(text) => out.extend(text.chars().map(Some)),
                Part::Parameter(_) => out.push(None),
            }
        }
        out
    }

    fn shape(&self, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Constant(text) => out.push_str(text),
                Part::Parameter(_) => out.push_str("{}"),
            }
        }
        if self.greedy {
            out.push('+');
        }
    }

    /// Constants before mixed segments before parameters before what takes several.
    fn rank(&self) -> (u8, usize) {
        let letters = |part: &Part| match part {
            Part::Constant(text) => text.len(),
            Part::Parameter(_) => 0,
        };
        let constant: usize = self.parts.iter().map(letters).sum();
        let rank = if self.greedy {
            3
        } else if self.is_parameter() {
            2
        } else {
            u8::from(self.constant().is_none())
        };
        (rank, usize::MAX - constant)
    }
}

/// Whether parts can be laid over symbols, each parameter over at least one. The classic greedy match with one way back, which is
/// linear times the number of parameters.
fn fits(parts: &[Part], symbols: &[Option<char>]) -> bool {
    let mut pattern: Vec<Option<char>> = Vec::new();
    for part in parts {
        match part {
            Part::Constant(text) => pattern.extend(text.chars().map(Some)),
            Part::Parameter(_) => pattern.push(None),
        }
    }
    let (mut p, mut s) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while s < symbols.len() {
        match pattern.get(p) {
            Some(None) => {
                // A parameter takes one symbol now, and more if the rest does not fit.
                back = Some((p, s));
                p += 1;
                s += 1;
                continue;
            }
            Some(letter) if symbols.get(s) == Some(letter) => {
                p += 1;
                s += 1;
                continue;
            }
            _ => {}
        }
        let Some((parameter, taken)) = back else {
            return false;
        };
        back = Some((parameter, taken + 1));
        p = parameter + 1;
        s = taken + 2;
        if s > symbols.len() {
            return false;
        }
    }
    p == pattern.len()
}

impl Template {
    /// Takes a path apart; anything is a template.
    pub fn parse(path: &str) -> Template {
        let cut = suffix_at(path);
        let (path, suffix) = path.split_at(cut);
        let path = path.trim_end_matches('/');
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments = if path.is_empty() {
            Vec::new()
        } else {
            split(path).into_iter().map(Segment::parse).collect()
        };
        Template {
            segments,
            suffix: suffix.to_owned(),
        }
    }

    /// The template below a base path.
    pub fn below(&self, base: &str) -> Template {
        let mut whole = Template::parse(base);
        whole.segments.extend(self.segments.iter().cloned());
        whole.suffix.clone_from(&self.suffix);
        whole
    }

    /// Text that is equal for templates that differ in the names of their parameters alone.
    pub fn shape(&self) -> String {
        let mut out = String::new();
        for segment in &self.segments {
            out.push('/');
            segment.shape(&mut out);
        }
        if out.is_empty() {
            out.push('/');
        }
        out.push_str(&self.suffix);
        out
    }

    /// The names of the parameters, from left to right.
    pub fn parameters(&self) -> Vec<&str> {
        let parts = self.segments.iter().flat_map(|segment| &segment.parts);
        parts
            .filter_map(|part| match part {
                Part::Parameter(name) => Some(name.as_str()),
                Part::Constant(_) => None,
            })
            .collect()
    }

    /// Whether every path of `other` is one of this, suffixes aside.
    pub fn covers(&self, other: &Template) -> Option<Cover> {
        if self.segments.len() == other.segments.len()
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|(a, b)| same(a, b))
        {
            return Some(Cover::Same);
        }
        covers(&self.segments, &other.segments).then_some(Cover::Wider)
    }

    /// Whether a concrete path, as it stands in a request without its query, is one of this template.
    pub fn takes(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<Segment> = match path {
            "" => Vec::new(),
            path => path
                .split('/')
                .map(|text| Segment {
                    parts: match percent_decoded(text) {
                        text if text.is_empty() => Vec::new(),
                        text => vec![Part::Constant(text)],
                    },
                    greedy: false,
                })
                .collect(),
        };
        covers(&self.segments, &segments)
    }

    /// Which of two templates that take the same path is tried first: constants before parameters, from the left.
    pub fn by_precedence(&self, other: &Template) -> Ordering {
        let ranks = self.segments.iter().map(Segment::rank);
        ranks.cmp(other.segments.iter().map(Segment::rank))
    }

    /// The text of each segment that is a constant.
    pub(crate) fn constants(&self) -> impl Iterator<Item = Option<&str>> {
        self.segments.iter().map(Segment::constant)
    }

    /// Whether it takes paths of several lengths.
    pub(crate) fn is_greedy(&self) -> bool {
        self.segments.iter().any(|segment| segment.greedy)
    }

    /// The constants it begins with.
    pub(crate) fn leading_constants(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map_while(Segment::constant)
    }

    /// For each parameter of this template that stands alone in its segment, what `other` has there, if that is a constant.
    pub(crate) fn constants_of<'a>(&'a self, other: &'a Template) -> Vec<(&'a str, &'a str)> {
        let mut out = Vec::new();
        for (mine, theirs) in self.segments.iter().zip(&other.segments) {
            if mine.greedy {
                break;
            }
            if let ([Part::Parameter(name)], Some(constant)) =
                (mine.parts.as_slice(), theirs.constant())
            {
                out.push((name.as_str(), constant));
            }
        }
        out
    }

    /// For each parameter of this template, in order, the parameter of `other` at the same place, if there is one.
    pub(crate) fn parameters_of<'a>(&'a self, other: &'a Template) -> Vec<(&'a str, &'a str)> {
        let mut out = Vec::new();
        for (mine, theirs) in self.segments.iter().zip(&other.segments) {
            let names = |segment: &'a Segment| {
                segment.parts.iter().filter_map(|part| match part {
                    Part::Parameter(name) => Some(name.as_str()),
                    Part::Constant(_) => None,
                })
            };
            if same(mine, theirs) {
                out.extend(names(mine).zip(names(theirs)));
            }
        }
        out
    }
}

fn same(a: &Segment, b: &Segment) -> bool {
    a.greedy == b.greedy
        && a.parts.len() == b.parts.len()
        && a.parts.iter().zip(&b.parts).all(|pair| match pair {
            (Part::Constant(a), Part::Constant(b)) => a == b,
            (Part::Parameter(_), Part::Parameter(_)) => true,
            _ => false,
        })
}

fn covers(mine: &[Segment], theirs: &[Segment]) -> bool {
    let mut at = 0;
    for (index, segment) in mine.iter().enumerate() {
        if segment.greedy {
            // What follows it must fit at the end.
            let after = mine.get(index + 1..).unwrap_or_default();
            let rest = theirs.get(at..).unwrap_or_default();
            return rest.len() > after.len()
                && after
                    .iter()
                    .rev()
                    .zip(rest.iter().rev())
                    .all(|(a, b)| a.covers(b));
        }
        match theirs.get(at) {
            Some(other) if !other.greedy && segment.covers(other) => at += 1,
            _ => return false,
        }
    }
    at == theirs.len()
}

/// Where a query or fragment begins, outside braces.
fn suffix_at(path: &str) -> usize {
    let mut inside = false;
    for (at, c) in path.char_indices() {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            '?' | '#' if !inside => return at,
            _ => {}
        }
    }
    path.len()
}

/// Splits at slashes outside braces: a parameter's name may hold one.
fn split(path: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut from, mut inside) = (0, false);
    for (at, c) in path.char_indices() {
        match c {
            '{' => inside = path.get(at..).is_some_and(|rest| rest.contains('}')),
            '}' => inside = false,
            '/' if !inside => {
                out.push(path.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push(path.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, path: &str, expected: bool) {
        assert_eq!(
            Template::parse(template).takes(path),
            expected,
            "{template} {path}"
        );
    }

    #[test]
    fn paths_are_taken_as_openapi_says() {
        check("/books/{id}", "/books/7", true);
        check("/books/{id}", "/books/7/", true);
        check("/books/{id}/", "/books/7", true);
        check("/books/{id}", "/books/", false);
        check("/books/{id}", "/books/7/reviews", false);
        check("/caf%C3%A9/{id}", "/café/7", true);
        check("/café", "/caf%c3%a9", true);
        check("/Books", "/books", false);
        check("/", "", true);
        check("/{a}", "/", false);
        check("/files/{name}.{ext}", "/files/a.b.pdf", true);
        check("/files/{name}.{ext}", "/files/a", false);
        check("/files/{name}.{ext}", "/files/.pdf", false);
        check("/v1/{name}:cancel", "/v1/x:cancel", true);
        check("/v1/{name}:cancel", "/v1/:cancel", false);
        check("/v1/{name}:cancel", "/v1/x:cancelled", false);
        check("/{a}aab", "/aaaab", true);
        check("/p/{proxy+}", "/p/a/b/c", true);
        check("/p/{proxy+}", "/p", false);
        check("/p/{proxy+}/end", "/p/a/b/end", true);
        check("/x?action=list", "/x", true);
        check("/odd/{unclosed", "/odd/{unclosed", true);
    }

    #[test]
    fn templates_cover_templates() {
        let cover = |a: &str, b: &str| Template::parse(a).covers(&Template::parse(b));
        assert_eq!(cover("/books/{id}", "/books/{isbn}/"), Some(Cover::Same));
        assert_eq!(cover("/books/{id}", "/books/top"), Some(Cover::Wider));
        assert_eq!(cover("/books/top", "/books/{id}"), None);
        assert_eq!(cover("/f/{file}", "/f/{a}.{b}"), Some(Cover::Wider));
        assert_eq!(cover("/f/{a}.{b}", "/f/{file}"), None);
        assert_eq!(cover("/f/{a}.{b}", "/f/{a}.pdf"), Some(Cover::Wider));
        assert_eq!(cover("/f/{a}", "/f/{a+}"), None);
    }

    #[test]
    fn constants_come_before_parameters_from_the_left() {
        let mut all: Vec<Template> = ["/{a}/b", "/a/{b}", "/a/b", "/a/{b}.x", "/{r+}"]
            .iter()
            .map(|path| Template::parse(path))
            .collect();
        all.sort_by(Template::by_precedence);
        let order: Vec<String> = all.iter().map(Template::shape).collect();
        assert_eq!(order, ["/a/b", "/a/{}.x", "/a/{}", "/{}/b", "/{}+"]);
    }

    #[test]
    fn shapes_leave_names_out_and_keep_suffixes() {
        let shape = |path: &str| Template::parse(path).shape();
        assert_eq!(shape("/a/{b}/c/"), "/a/{}/c");
        assert_eq!(shape("/a?x={y}"), "/a?x={y}");
        assert_eq!(Template::parse("/a/{b}").below("/v1/").shape(), "/v1/a/{}");
        assert_eq!(Template::parse("/").below("").shape(), "/");
    }
}
