//! Names in a document, made from constant path words only, so that more traffic does not change them.
//!
//! In: words of paths. Out: parameter names, templates, component names.

use super::components::Name;
use crate::class;
use crate::part::{Fragment, Part};

/// The words of an identifier or a path segment: `order_items`, `orderItems`, `order-items` → `order`, `items`.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut last_lower = false;
    let mut fresh = true;
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            fresh = true;
            continue;
        }
        if fresh || (c.is_ascii_uppercase() && last_lower) {
            out.push(String::new());
        }
        fresh = false;
        last_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(word) = out.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
    }
    out
}

pub(crate) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |c| {
        c.to_ascii_uppercase().to_string() + chars.as_str()
    })
}

/// `OrderItem`.
pub(crate) fn pascal(words: &[String]) -> String {
    words.iter().map(|w| capital(w)).collect()
}

fn camel(words: &[String]) -> String {
    let all = pascal(words);
    let mut chars = all.chars();
    chars.next().map_or_else(String::new, |c| {
        c.to_ascii_lowercase().to_string() + chars.as_str()
    })
}

/// The singular of an English noun, by rule; what is no plural stays.
pub(crate) fn singular(word: &str) -> String {
    const ODD: [(&str, &str); 8] = [
        ("people", "person"),
        ("children", "child"),
        ("indices", "index"),
        ("vertices", "vertex"),
        ("matrices", "matrix"),
        ("movies", "movie"),
        ("cookies", "cookie"),
        ("leaves", "leaf"),
    ];
    const SAME: [&str; 8] = [
        "series", "news", "species", "status", "address", "analysis", "sms", "dns",
    ];
    if let Some((_, one)) = ODD.iter().find(|(many, _)| *many == word) {
        return (*one).to_owned();
    }
    let cut = |n: usize| {
        word.get(..word.len().saturating_sub(n))
            .unwrap_or(word)
            .to_owned()
    };
    if SAME.contains(&word)
        || word.len() < 4
        || word.ends_with("ss")
        || word.ends_with("us")
        || word.ends_with("is")
    {
        word.to_owned()
    } else if word.ends_with("ies") {
        cut(3) + "y"
    } else if ["sses", "shes", "ches", "xes", "zzes"]
        .iter()
        .any(|e| word.ends_with(e))
    {
        cut(2)
    } else if word.ends_with('s') {
        cut(1)
    } else {
        word.to_owned()
    }
}

pub(crate) fn singular_words(text: &str) -> Vec<String> {
    let mut all = words(text);
    if let Some(last) = all.last_mut() {
        *last = singular(last);
    }
    all
}

/// Whether a constant says nothing about what stands under it.
pub(crate) fn is_prefix(word: &str) -> bool {
    class::is_version(word)
        || matches!(
            word,
            "api" | "apis" | "rest" | "public" | "internal" | "services" | "service"
        )
        || word.bytes().all(|b| b.is_ascii_digit())
}

/// Names for the parameters of a path, in order: after the constant before, unique in the path.
pub(crate) fn parameters(path: &[Part]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut before = "";
    for part in path {
        match part {
            Part::Constant(word) => before = word,
            Part::Parameter(kinds) => {
                let name = kinds.name.clone().unwrap_or_else(|| identifier(before));
                out.push(unique(name, &out));
            }
            Part::Mixed(pieces) => {
                let mut text = "";
                for piece in pieces {
                    match piece {
                        Fragment::Text(t) => text = t,
                        Fragment::Parameter(kinds) => {
                            let name = kinds
                                .name
                                .clone()
                                .or_else(|| inside(text))
                                .unwrap_or_else(|| identifier(before));
                            out.push(unique(name, &out));
                        }
                    }
                }
            }
        }
    }
    out
}

/// The name of what picks one of the things that a constant names: `orderId`.
fn identifier(before: &str) -> String {
    let mut stem = if is_prefix(before) {
        Vec::new()
    } else {
        singular_words(before)
    };
    if stem.last().is_some_and(|w| w == "id") {
        stem.pop();
    }
    stem.push("id".into());
    let mut name = camel(&stem);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, 'n');
    }
    name
}

/// The name of a parameter after text in the same segment: a format after a point, else after the last word of the text.
fn inside(text: &str) -> Option<String> {
    if text.ends_with('.') {
        return Some("format".into());
    }
    let last = words(text).pop()?;
    Some(if last.starts_with(|c: char| c.is_ascii_digit()) {
        format!("n{last}")
    } else {
        last
    })
}

fn unique(name: String, taken: &[String]) -> String {
    let mut unique = name.clone();
    let mut n = 2;
    while taken.contains(&unique) {
        unique = format!("{name}{n}");
        n += 1;
    }
    unique
}

/// The path template with the names that a document gives its parameters.
pub(crate) fn written(path: &[Part]) -> String {
    template(path, &parameters(path))
}

/// The path template as OpenAPI writes it.
pub(crate) fn template(path: &[Part], parameters: &[String]) -> String {
    let mut names = parameters.iter();
    let mut out = String::new();
    let parameter = |out: &mut String, names: &mut std::slice::Iter<'_, String>| {
        out.push('{');
        out.push_str(names.next().map_or("id", |n| n));
        out.push('}');
    };
    for part in path {
        out.push('/');
        match part {
            Part::Constant(word) => out.push_str(word),
            Part::Parameter(_) => parameter(&mut out, &mut names),
            Part::Mixed(pieces) => {
                for piece in pieces {
                    match piece {
                        Fragment::Text(text) => out.push_str(text),
                        Fragment::Parameter(_) => parameter(&mut out, &mut names),
                    }
                }
            }
        }
    }
    if out.is_empty() { "/".into() } else { out }
}

/// The component a body of this path is likely to be; without a status it is what is sent.
pub(crate) fn component(path: &[Part], status: Option<&str>) -> Name {
    let mut constants = path.iter().rev().filter_map(|p| match p {
        Part::Constant(word) if !is_prefix(word) => Some(nested(word)),
        _ => None,
    });
    let last = constants.next().unwrap_or_else(|| nested("root"));
    let long = match constants.next() {
        Some(before) if !last.starts_with(&before) => format!("{before}{last}"),
        _ => last.clone(),
    };
    match status {
        Some(s) if s.starts_with(['4', '5']) => Name {
            short: "Error".into(),
            long: format!("{last}Error"),
        },
        Some(_) => Name { short: last, long },
        None => Name {
            long: format!("{last}Request"),
            short: last,
        },
    }
}

/// The component named after a member.
pub(crate) fn nested(member: &str) -> String {
    let name = pascal(&singular_words(member));
    match name.bytes().next() {
        Some(b) if b.is_ascii_alphabetic() => name,
        _ => format!("Item{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Kinds;

    fn path(text: &str) -> Vec<Part> {
        text.split('/')
            .filter(|s| !s.is_empty())
            .map(|s| {
                if s == "{}" {
                    Part::Parameter(Kinds::default())
                } else if s.contains('{') {
                    Part::of_pattern(s)
                } else {
                    Part::Constant(s.into())
                }
            })
            .collect()
    }

    fn check(text: &str, template_expected: &str) {
        let path = path(text);
        let names = parameters(&path);
        assert_eq!(template(&path, &names), template_expected);
    }

    #[test]
    fn names_come_from_the_path() {
        check("/users/{}", "/users/{userId}");
        check(
            "/api/v1/order-items/{}/lines",
            "/api/v1/order-items/{orderItemId}/lines",
        );
        check("/repos/{}/{}", "/repos/{repoId}/{repoId2}");
        check("/v1/{}", "/v1/{id}");
        check("/models/{i}.json", "/models/{modelId}.json");
        check("/models/{i}.{w}", "/models/{modelId}.{format}");
        check("/lists.{w}", "/lists.{format}");
        check("/users/@{w}", "/users/@{userId}");
        check("/categories/{}", "/categories/{categoryId}");
        check("/", "/");
    }

    #[test]
    fn plurals() {
        for (many, one) in [
            ("users", "user"),
            ("boxes", "box"),
            ("status", "status"),
            ("people", "person"),
            ("bus", "bus"),
            ("news", "news"),
            ("addresses", "address"),
        ] {
            assert_eq!(singular(many), one);
        }
    }
}
