//! Writing a path: its template, the names of its parameters, their objects.
//!
//! In: the parts of a path and what the values of each parameter looked like. Out: `/users/{userId}` and what stands for
//! it in `parameters`. Names come from the constants around and from the class of all values, never from a value.

use super::names::{camel, capital, is_prefix, singular_words, words};
use crate::class::Class;
use crate::part::{Fragment, Kinds, Part};
use serde_json::{Map, Value, json};

/// Constants that name the value after them and not a collection of things with ids: `/languages/{…}` picks a language by
/// its id, `/language/{language}` says it.
const SAID: [&str; 36] = [
    "category", "city", "code", "color", "colour", "country", "currency", "date", "day", "domain",
    "email", "format", "handle", "hash", "host", "ip", "isbn", "key", "lang", "language", "locale",
    "month", "name", "phone", "postcode", "query", "region", "sha", "slug", "status", "symbol",
    "tag", "timezone", "type", "username", "year",
];

/// Calls of an operation that asked for each of its formats, before they are enumerated.
const LEAST_CALLS: u64 = 5;

const ORDINALS: [&str; 7] = [
    "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
];

/// Names for the parameters of a path, in order, unique in the path.
pub(crate) fn names(path: &[Part]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut before = "";
    for part in path {
        match part {
            Part::Constant(word) => before = word,
            Part::Parameter(kinds) => {
                let name = kinds.name.clone();
                out.push(unique(name.unwrap_or_else(|| named(before, kinds)), &out));
            }
            Part::Mixed(pieces) => {
                let mut text = "";
                for piece in pieces {
                    match piece {
                        Fragment::Text(t) => text = t,
                        Fragment::Parameter(kinds) => {
                            let set = || called(text).map(|set| named(set, kinds));
                            let name = kinds.name.clone().or_else(set).or_else(|| inside(text));
                            out.push(unique(name.unwrap_or_else(|| named(before, kinds)), &out));
                        }
                    }
                }
            }
        }
    }
    out
}

/// The name of a value after a constant: what its class says it is, else what picks one of the things the constant names.
fn named(before: &str, kinds: &Kinds) -> String {
    let said = match kinds.only() {
        Some(Class::Date) => Some("date"),
        Some(Class::DateTime) => Some("time"),
        Some(Class::Email) => Some("email"),
        Some(Class::Address) => Some("address"),
        Some(Class::Semver) => Some("version"),
        _ => None,
    };
    let mut stem = if is_prefix(before) {
        Vec::new()
    } else {
        singular_words(before)
    };
    if let Some(said) = said {
        return said.to_owned();
    }
    if words(before) == stem && stem.last().is_some_and(|w| SAID.contains(&w.as_str())) {
        return camel(&stem);
    }
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

/// The set that a key in parentheses picks from: `Users` of `Users(` and `Users('`.
fn called(text: &str) -> Option<&str> {
    text.trim_end_matches('\'')
        .strip_suffix('(')?
        .rsplit('.')
        .next()
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

/// `userId`, `secondUserId`, `thirdUserId`.
fn unique(name: String, taken: &[String]) -> String {
    let numbered = |n: usize| match ORDINALS.get(n) {
        Some(ordinal) => format!("{ordinal}{}", capital(&name)),
        None => format!("{name}{}", n + 2),
    };
    std::iter::once(name.clone())
        .chain((0..=taken.len()).map(numbered))
        .find(|n| !taken.contains(n))
        .unwrap_or(name)
}

/// The path template with the names that a document gives its parameters.
pub(crate) fn written(path: &[Part]) -> String {
    template(path, &names(path))
}

/// The path template as OpenAPI writes it.
pub(crate) fn template(path: &[Part], names: &[String]) -> String {
    let mut names = names.iter();
    let mut out = String::new();
    let mut parameter = |out: &mut String| {
        out.push('{');
        out.push_str(names.next().map_or("id", |n| n));
        out.push('}');
    };
    for part in path {
        out.push('/');
        match part {
            Part::Constant(word) => out.push_str(word),
            Part::Parameter(_) => parameter(&mut out),
            Part::Mixed(pieces) => {
                for piece in pieces {
                    match piece {
                        Fragment::Text(text) => out.push_str(text),
                        Fragment::Parameter(_) => parameter(&mut out),
                    }
                }
            }
        }
    }
    if out.is_empty() { "/".into() } else { out }
}

/// The parameter objects of one operation's path; `kinds` is what its own successful `calls` carried.
pub(crate) fn parameters(
    path: &[Part],
    names: &[String],
    kinds: &[Kinds],
    calls: u64,
) -> Vec<Value> {
    let subjects = subjects(path);
    names
        .iter()
        .zip(kinds)
        .zip(subjects)
        .map(|((name, kinds), subject)| {
            let mut out = Map::from_iter([
                ("name".to_owned(), json!(name)),
                ("in".to_owned(), json!("path")),
                ("required".to_owned(), json!(true)),
                (
                    "description".to_owned(),
                    json!(description(name, &subject, kinds)),
                ),
            ]);
            out.insert("schema".into(), schema(kinds, calls));
            Value::Object(out)
        })
        .collect()
}

/// For each parameter the words of what it picks one of; none where no constant names it.
fn subjects(path: &[Part]) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let mut subject = Vec::new();
    for part in path {
        if let Part::Constant(word) = part {
            subject = if is_prefix(word) {
                Vec::new()
            } else {
                singular_words(word)
            };
        }
        for _ in part.parameters() {
            out.push(std::mem::take(&mut subject));
        }
    }
    out
}

fn description(name: &str, subject: &[String], kinds: &Kinds) -> String {
    let said = match kinds.only() {
        Some(Class::Date) => Some("A date as year, month and day."),
        Some(Class::DateTime) => Some("A point in time."),
        Some(Class::Email) => Some("An e-mail address."),
        Some(Class::Address) => Some("An IP address."),
        Some(Class::Semver) => Some("A version."),
        Some(Class::List) => Some("Values separated by commas."),
        _ => None,
    };
    let read = words(name).join(" ");
    match said {
        Some(said) => said.to_owned(),
        None if name.to_ascii_lowercase().ends_with("format") => {
            "The format of the answer.".to_owned()
        }
        None if !name.ends_with("Id") && name != "id" => format!("The {read}."),
        None if subject.is_empty() => "Identifies what is meant.".to_owned(),
        None => format!("Identifies the {}.", subject.join(" ")),
    }
}

/// Formats are all that is enumerated in paths: half of the published descriptions with a format behind a point list them. Other
/// closed vocabularies are constants of templates of their own; words that are one parameter are so because more of them come.
fn formats(kinds: &Kinds, calls: u64) -> Option<Value> {
    let known = kinds.formats.values().sum::<u64>() == calls;
    let often = kinds.formats.values().all(|n| *n >= LEAST_CALLS);
    (known && often && kinds.formats.len() >= 2)
        .then(|| json!({"type": "string", "enum": kinds.formats.keys().collect::<Vec<_>>()}))
}

fn schema(kinds: &Kinds, calls: u64) -> Value {
    if let Some(formats) = formats(kinds, calls) {
        return formats;
    }
    match kinds.only() {
        Some(Class::Integer) => json!({"type": "integer", "format": "int64"}),
        Some(Class::Number) => json!({"type": "number"}),
        Some(Class::Uuid) => json!({"type": "string", "format": "uuid"}),
        Some(Class::Date) => json!({"type": "string", "format": "date"}),
        Some(Class::DateTime) => json!({"type": "string", "format": "date-time"}),
        Some(Class::Email) => json!({"type": "string", "format": "email"}),
        Some(Class::Digits) => json!({"type": "string", "pattern": "^[0-9]+$"}),
        Some(Class::Hex) => json!({"type": "string", "pattern": "^[0-9A-Fa-f]{12,}$"}),
        Some(Class::List) => json!({"type": "array", "items": {"type": "string"}}),
        _ if kinds.is_numeric() => json!({"type": "number"}),
        _ => json!({"type": "string"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Part> {
        text.split('/')
            .filter(|s| !s.is_empty())
            .map(|s| match s {
                "{}" => Part::Parameter(Kinds::default()),
                "{date}" => Part::Parameter(Kinds::of(Class::Date)),
                s if s.contains('{') => Part::of_pattern(s),
                s => Part::Constant(s.into()),
            })
            .collect()
    }

    fn check(text: &str, expected: &str) {
        let path = path(text);
        assert_eq!(template(&path, &names(&path)), expected);
    }

    #[test]
    fn names_come_from_the_path() {
        check("/users/{}", "/users/{userId}");
        check(
            "/api/v1/order-items/{}/lines",
            "/api/v1/order-items/{orderItemId}/lines",
        );
        check("/v1/{}", "/v1/{id}");
        check("/categories/{}", "/categories/{categoryId}");
        check("/language/{}/words", "/language/{language}/words");
        check("/", "/");
    }

    #[test]
    fn several_in_a_row_are_told_apart_by_what_they_are_or_by_their_order() {
        check(
            "/repos/{}/{}/{}",
            "/repos/{repoId}/{secondRepoId}/{thirdRepoId}",
        );
        check("/lists/{date}/{}", "/lists/{date}/{listId}");
        check("/fares/{date}/{date}", "/fares/{date}/{secondDate}");
        check("/users/{}/users/{}", "/users/{userId}/users/{secondUserId}");
        let many = format!("/a{}", "/{}".repeat(11));
        let path = path(&many);
        let all = names(&path);
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), 11, "{all:?}");
    }

    #[test]
    fn text_in_the_segment_names_what_follows_it() {
        check("/models/{i}.json", "/models/{modelId}.json");
        check("/models/{i}.{w}", "/models/{modelId}.{format}");
        check("/lists.{w}", "/lists.{format}");
        check("/users/@{w}", "/users/@{userId}");
        check("/books/isbn:{i}", "/books/isbn:{isbn}");
        check("/jobs/{u}:cancel", "/jobs/{jobId}:cancel");
    }

    #[test]
    fn a_parameter_says_what_it_is() {
        let path = path("/users/{}/days/{a}.{w}");
        let names = names(&path);
        let of = |class| Kinds::of(class);
        let all = parameters(
            &path,
            &names,
            &[of(Class::Uuid), of(Class::Date), of(Class::Any)],
            9,
        );
        let drawn: Vec<String> = all
            .iter()
            .map(|p| format!("{} {} {}", p["name"], p["description"], p["schema"]))
            .collect();
        assert_eq!(
            drawn,
            [
                r#""userId" "Identifies the user." {"type":"string","format":"uuid"}"#,
                r#""date" "A date as year, month and day." {"type":"string","format":"date"}"#,
                r#""format" "The format of the answer." {"type":"string"}"#,
            ]
        );
        let mixed = Kinds {
            words: true,
            ..of(Class::Integer)
        };
        assert_eq!(schema(&mixed, 9), json!({"type": "string"}));
    }

    #[test]
    fn formats_are_enumerated_when_each_is_asked_for_often_and_no_call_names_another() {
        let of = |formats: &[(&str, u64)]| Kinds {
            formats: formats.iter().map(|(f, n)| ((*f).to_owned(), *n)).collect(),
            ..Kinds::of(Class::Any)
        };
        let string = json!({"type": "string"});
        let known = json!({"type": "string", "enum": ["csv", "json"]});
        assert_eq!(schema(&of(&[("csv", 5), ("json", 7)]), 12), known);
        assert_eq!(schema(&of(&[("csv", 5), ("json", 7)]), 13), string);
        assert_eq!(schema(&of(&[("csv", 4), ("json", 8)]), 12), string);
        assert_eq!(schema(&of(&[("csv", 12)]), 12), string);
    }
}
