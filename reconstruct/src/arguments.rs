//! Segments that say which part of them is a value: `year=2024`, `map;lat=48.8;lon=2.3` (RFC 3986, 3.3; RFC 6570's matrix
//! style), `Users(42)`, `Users('ada')`, `Near(lat=48.8,lon=2.3)` (OData 4.01 URL Conventions, 4.3).
//!
//! In: a decoded segment. Out: its pattern, in which every value has made room for its class, or for any text. What no part of
//! surely is a value stays a word, for the fold to decide: `Action=CreateUser` picks an operation. A pure function of the text.

use crate::class::{self, Class};
use crate::pattern;

/// Segments with more arguments are values as a whole.
const MOST: usize = 8;

/// The pattern of a segment with arguments, when some of it surely is a value, by its looks or because it is in quotes.
pub(crate) fn of(text: &str) -> Option<String> {
    let pattern = open(text)?;
    let sure = pattern::runs(&pattern)
        .iter()
        .any(|run| matches!(run, pattern::Run::Value(class) if *class != Class::Any));
    (sure || pattern.contains("'{w}'") || pattern.starts_with("{w}") || Class::of(text).is_some())
        .then_some(pattern)
}

/// The pattern of a segment with arguments, whatever their values look like.
pub(crate) fn open(text: &str) -> Option<String> {
    if text.contains(['{', '}']) {
        return None;
    }
    if let Some((name, arguments)) = text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        let arguments = list(arguments, ',')?;
        let written = match arguments.as_slice() {
            [one] if !one.contains('=') => key(one)?,
            several => joined(several, ",")?,
        };
        return is_name(name).then(|| format!("{name}({written})"));
    }
    if let Some((base, arguments)) = text.split_once(';') {
        let base = if base.is_empty() || pattern::is_name(base) {
            base.to_owned()
        } else {
            blank(base)
        };
        let arguments = list(arguments, ';')?;
        return Some(format!("{base};{}", joined(&arguments, ";")?));
    }
    let joint = if text.contains('&') { '&' } else { ',' };
    joined(&list(text, joint)?, &joint.to_string())
}

/// The arguments between joints that stand in no quotes.
fn list(text: &str, joint: char) -> Option<Vec<&str>> {
    let mut quoted = false;
    let split = text.split(|c: char| {
        quoted ^= c == '\'';
        c == joint && !quoted
    });
    let out: Vec<&str> = split.take(MOST + 1).collect();
    (out.len() <= MOST).then_some(out)
}

/// `k=v`, each.
fn joined(arguments: &[&str], joint: &str) -> Option<String> {
    let each: Option<Vec<String>> = arguments
        .iter()
        .map(|argument| {
            let (name, value) = argument.split_once('=')?;
            let open = !value.is_empty() && !value.contains('=');
            (is_name(name) && open).then(|| format!("{name}={}", blank(value)))
        })
        .collect();
    Some(each?.join(joint))
}

/// Names in code, perhaps with digits.
fn is_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A key without a name: a sure value, or in quotes. `Mercury_(planet)` has none.
fn key(text: &str) -> Option<String> {
    (value(text).is_some() || is_quoted(text)).then(|| blank(text))
}

/// The letter of a value; a fraction is one here, though it may be a version elsewhere.
fn value(text: &str) -> Option<char> {
    pattern::value(text).or_else(|| class::is_fraction(text).then_some('f'))
}

fn blank(text: &str) -> String {
    if is_quoted(text) {
        return "'{w}'".to_owned();
    }
    format!("{{{}}}", value(text).unwrap_or('w'))
}

fn is_quoted(text: &str) -> bool {
    text.len() > 2 && text.starts_with('\'') && text.ends_with('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(of(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn what_is_said_to_be_a_value_makes_room() {
        check("year=2024", Some("year={i}"));
        check("country=de", None);
        assert_eq!(open("country=de").as_deref(), Some("country={w}"));
        check("Action=CreateUser", None);
        check("lat=48.8566,lon=2.35", Some("lat={f},lon={f}"));
        check("from=2024-02-29&to=x y", Some("from={a}&to={w}"));
        check("map;zoom=7;lang=en", Some("map;zoom={i};lang={w}"));
        check("42;version=7", Some("{i};version={i}"));
        check("ab3dEFgh;colour=red", Some("{w};colour={w}"));
        check("a7=1", Some("a7={i}"));
        check(";role=admin", None);
        check("Users(42)", Some("Users({i})"));
        check("Users('O''Neil, Ada')", Some("Users('{w}')"));
        check(
            "Users(5f2b9a64-7c1d-4e8b-9a55-0c8e6a1b2c3d)",
            Some("Users({u})"),
        );
        check(
            "Lines(Order=7,Name='a,b')",
            Some("Lines(Order={i},Name='{w}')"),
        );
        check("NS.Nearest(count=3)", Some("NS.Nearest(count={i})"));
    }

    #[test]
    fn other_signs_are_part_of_a_text() {
        for text in [
            "users",
            "dGVzdA==",
            "a=b=c",
            "=x",
            "x=",
            "Nearest()",
            "Mercury_(planet)",
            "f(x)",
            "(42)",
            "a;b",
            "a;b;c=1",
            "x y=1",
            "a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9",
            "{a}=1",
            "",
            ";",
            "=",
            "()",
            "'",
            "f(')",
        ] {
            check(text, None);
        }
    }
}
